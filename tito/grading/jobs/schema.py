"""The two tables in which jobs of grading live, in SQLite or PostgreSQL."""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, Integer, LargeBinary, MetaData, String, Table, Text

QUEUED, RUNNING, DONE, FAILED, STORED = "queued", "running", "done", "failed", "stored"
MOST_ATTEMPTS = 3

METADATA = MetaData()

# The number in a table's name changes with its columns: an older table is left alone.
JOBS = Table(
    "tito_jobs_1",
    METADATA,
    Column("key", String(64), primary_key=True),
    Column("scope", String(64), nullable=False),  # one lesson of one class
    Column("position", Integer, nullable=False),
    Column("student", String(255), nullable=False),
    Column("state", String(8), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("claim", String(32)),  # names the one attempt that may write a result
    Column("worker", String(255)),
    Column("lease_until", Float),  # seconds since 1970 by the database's clock
    Column("cells_done", Integer, nullable=False),
    Column("cells_all", Integer, nullable=False),
    Column("payload", LargeBinary),
    Column("result", LargeBinary),
    Column("error", Text),
)
Index("tito_jobs_1_ready", JOBS.c.scope, JOBS.c.state, JOBS.c.position)

# What many jobs share: a lesson's notebook, a given tree.
BLOBS = Table(
    "tito_blobs_1",
    METADATA,
    Column("hash", String(64), primary_key=True),
    Column("content", LargeBinary, nullable=False),
)
