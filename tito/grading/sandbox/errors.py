"""What can go wrong between the grader and a sandbox."""

from __future__ import annotations


class SandboxEndedError(Exception):
    """The student's process is gone, or its pipes can no longer be used."""


class DeadlineError(Exception):
    """The sandbox did not answer, or did not take what was sent, in time."""


class ProtocolError(Exception):
    """The sandbox sent what no honest one sends."""
