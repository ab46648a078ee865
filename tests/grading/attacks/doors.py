"""Doors that stand open on the grader's machine; an attack that walks through one is seen."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Doors:
    """Listening sockets, and the names of those through which somebody came."""

    port: int
    socket: Path
    entered: list[str] = field(default_factory=list)


@contextlib.contextmanager
def open_doors(folder: Path, abstract: str) -> Iterator[Doors]:
    """Listen on a port of 127.0.0.1 (TCP and UDP), a unix socket and an abstract one."""
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    tcp.bind(("127.0.0.1", 0))
    port = tcp.getsockname()[1]
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", port))
    unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    unix.bind(str(folder / "door"))
    (folder / "door").chmod(0o777)
    hidden = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    hidden.bind("\0" + abstract)
    doors = Doors(port, folder / "door")
    listening = {"tcp": tcp, "unix": unix, "abstract": hidden}
    stop = threading.Event()
    for name, door in listening.items():
        door.listen()
        _watch(name, door, doors, stop)
    _watch("udp", udp, doors, stop)
    try:
        yield doors
    finally:
        stop.set()
        for door in (*listening.values(), udp):
            door.close()


def _watch(name: str, door: socket.socket, doors: Doors, stop: threading.Event) -> None:
    door.settimeout(0.2)

    def watch() -> None:
        while not stop.is_set():
            try:
                if name == "udp":
                    door.recv(100)
                else:
                    door.accept()[0].close()
            except TimeoutError:
                continue
            except OSError:
                return  # closed at the end of the batch
            doors.entered.append(name)

    threading.Thread(target=watch, daemon=True).start()
