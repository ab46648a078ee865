"""Leaving by the network."""

from __future__ import annotations

from functools import partial

from tests.grading.attacks.case import Case

case = partial(Case, "network")

CASES = [
    case(
        "tcp",
        "a port of this machine, and one of the world",
        early=r"""
import socket
for address in (("127.0.0.1", int("@PORT@")), ("192.0.2.1", 80)):
    try:
        socket.create_connection(address, timeout=1).close()
        reached(f"connected to {address}")
    except OSError as error:
        print(error)
""",
    ),
    case(
        "udp_and_names",
        "a datagram, and a question to a name server",
        early=r"""
import socket
try:
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.sendto(b"hello", ("127.0.0.1", int("@PORT@")))
    socket.getaddrinfo("example.org", 80)
    reached("a name was resolved")
except OSError as error:
    print(error)
""",
    ),
    case(
        "unix_sockets",
        "sockets of this machine's services",
        early=r"""
import socket
for name in ("@SOCKET@", "\0@ABSTRACT@", "/run/docker.sock", "/run/dbus/system_bus_socket",
             "/run/systemd/private", "/proc/1/root@SOCKET@"):
    try:
        door = socket.socket(socket.AF_UNIX)
        door.settimeout(1)
        door.connect(name)
        reached("connected to " + name.replace("\0", "abstract "))
    except OSError as error:
        print(error)
""",
    ),
    case(
        "other_families",
        "sockets below and beside the internet's",
        early=r"""
import socket
for family, kind, protocol in ((40, 1, 0), (17, 3, 3), (16, 3, 9), (38, 5, 0), (31, 3, 1)):
    try:
        found = socket.socket(family, kind, protocol)
        if family in (40, 17):
            reached(f"a socket of family {family}")
    except OSError as error:
        print(error)
""",
    ),
    case(
        "listening",
        "a server that others could enter",
        early=r"""
import socket
try:
    door = socket.socket()
    door.bind(("0.0.0.0", 0))
    door.listen()
    print("listens", door.getsockname()[1])
    outside = socket.socket(socket.AF_INET)
    outside.settimeout(1)
    outside.connect(("127.0.0.1", int("@PORT@")))
    reached("the grader's network")
except OSError as error:
    print(error)
""",
    ),
]
