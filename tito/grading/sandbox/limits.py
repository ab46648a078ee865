"""What one submission may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds of one sandbox.

    Attributes:
        memory_bytes: Address space of each process; where control groups can be made, also the
            memory of all its processes and private files together.
        processes: Processes and threads at one time.
        file_bytes: Size of one file.
        scratch_bytes: All private files together; they live in memory.
        cpu_s: CPU time of each process, in seconds.
        printed: Characters that one cell may print.
    """

    memory_bytes: int = 4 << 30
    processes: int = 128
    file_bytes: int = 64 << 20
    scratch_bytes: int = 256 << 20
    cpu_s: int = 900
    printed: int = 100_000
