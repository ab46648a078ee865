"""What the zygote tells about a sandbox: that it started, that its walls are up, that it ended."""

from __future__ import annotations

import json
import os
import select
import socket
import time
from typing import Any

_MESSAGE_BYTES = 1 << 18


def told(control: socket.socket, kinds: set[str], deadline: float) -> tuple[dict[str, Any], int]:
    """Wait for news of some kinds.

    Args:
        control: The socket of one sandbox.
        kinds: What to wait for, of `started`, `ready`, `failed` and `ended`.
        deadline: A value of `time.monotonic()`.

    Returns:
        The message, and a descriptor of the process if it brought one, else -1. The message is
        empty when nobody is left to send one, or in time did not.
    """
    poller = select.poll()
    poller.register(control, select.POLLIN)
    while True:
        left_ms = (deadline - time.monotonic()) * 1000
        if left_ms <= 0 or not poller.poll(left_ms):
            return {}, -1
        try:
            words, descriptors, _, _ = socket.recv_fds(
                control, _MESSAGE_BYTES, 1, socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionResetError:
            return {}, -1
        process = descriptors[0] if descriptors else -1
        message: dict[str, Any] = json.loads(words) if words else {}
        if not message or message["kind"] in kinds:
            return message, process
        if process >= 0:
            os.close(process)
