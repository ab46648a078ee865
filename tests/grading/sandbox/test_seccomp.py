"""The filter, run by a small interpreter of BPF: both machines are tested on either of them."""

from __future__ import annotations

import ctypes
import ctypes.util
import errno
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tito.grading.inside import seccomp
from tito.grading.inside.system_calls import (
    EXAMINED,
    FORBIDDEN,
    OWNERSHIP,
    SHARED,
    STEERING,
    numbers,
)

AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOW, KILL = "allow", "kill"
MACHINES = sorted(AUDIT)
HARMLESS = {"x86_64": (0, 1, 9, 39, 57, 59, 202), "aarch64": (63, 64, 222, 172, 221, 98)}


def judged(program: bytes, audit: int, number: int, arguments: tuple[int, ...] = ()) -> object:
    """What the filter decides: "allow", "kill", or an error number."""
    words = [*arguments, *[0] * 6][:6]
    data = struct.pack("<IIQ6Q", number & 0xFFFFFFFF, audit, 0, *words)
    lines = list(struct.iter_unpack("=HBBI", program))
    accumulator, at = 0, 0
    while True:
        code, yes, no, constant = lines[at]
        at += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, constant)
        elif code == 0x06:
            kinds = {0x7FFF0000: ALLOW, 0x80000000: KILL}
            return kinds.get(constant, constant & 0xFFFF)
        else:
            tests = {0x15: accumulator == constant, 0x35: accumulator >= constant}
            tests[0x45] = bool(accumulator & constant)
            at += yes if tests[code] else no


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("own_user", [True, False])
def test_each_call_is_judged_by_its_table(machine: str, alone: bool, own_user: bool) -> None:
    program = seccomp.program(alone, own_user, machine)
    audit = AUDIT[machine]
    for number in numbers(FORBIDDEN, machine).values():
        assert judged(program, audit, number) == errno.EPERM
    for number in numbers(SHARED, machine).values():
        assert judged(program, audit, number) == (ALLOW if alone else errno.EPERM)
    for number in numbers(OWNERSHIP, machine).values():
        assert judged(program, audit, number) == (ALLOW if own_user else errno.EPERM)
    for number in numbers(STEERING, machine).values():
        assert judged(program, audit, number, (0,)) == ALLOW
        assert judged(program, audit, number, (4242,)) == (ALLOW if own_user else errno.EPERM)
    for number in HARMLESS[machine]:
        assert judged(program, audit, number) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
def test_arguments_decide_where_they_must(machine: str) -> None:
    program, calls = seccomp.program(machine=machine), numbers(EXAMINED, machine)

    def verdict(name: str, *arguments: int) -> object:
        return judged(program, AUDIT[machine], calls[name], arguments)

    assert verdict("clone", 0x01200011) == ALLOW  # a plain fork
    assert verdict("clone", 0x3D0F00) == ALLOW  # a thread
    for bit in (17, 25, 26, 27, 28, 29, 30):
        assert verdict("clone", 17 | 1 << bit) == errno.EPERM
    assert verdict("clone3", 0) == errno.ENOSYS
    assert verdict("socket", socket.AF_UNIX) == ALLOW
    assert verdict("socketpair", socket.AF_UNIX) == ALLOW
    for family in (0, 2, 10, 16, 17, 38, 40):
        assert verdict("socket", family) == errno.EAFNOSUPPORT
        assert verdict("socketpair", family) == errno.EAFNOSUPPORT
    assert verdict("ioctl", 0, 0x5413) == ALLOW
    for request in (0x5412, 0x541C, 0xFFFFFFFF00005412):  # the kernel reads 32 bits of it
        assert verdict("ioctl", 0, request) == errno.EPERM


@given(
    machine=st.sampled_from(MACHINES),
    audit=st.integers(0, 2**32 - 1),
    number=st.integers(0, 2**32 - 1),
)
def test_a_foreign_architecture_ends_the_process(machine: str, audit: int, number: int) -> None:
    program = seccomp.program(machine=machine)
    if audit != AUDIT[machine]:
        assert judged(program, audit, number) == KILL
    if machine == "x86_64" and number >= 0x40000000:
        assert judged(program, AUDIT[machine], number) == KILL
    assert judged(program, AUDIT[machine], number) is not None


def test_the_program_is_short_enough_for_linux() -> None:
    for machine in MACHINES:
        assert len(seccomp.program(False, False, machine)) // 8 < 4096


def test_the_numbers_are_libseccomps() -> None:
    name = ctypes.util.find_library("seccomp")
    if name is None:
        pytest.skip("libseccomp is not installed")
    library = ctypes.CDLL(name)
    compared = 0
    for machine, audit in AUDIT.items():
        for group in (EXAMINED, FORBIDDEN, OWNERSHIP, SHARED, STEERING):
            for call, number in numbers(group, machine).items():
                found = library.seccomp_syscall_resolve_name_arch(
                    ctypes.c_uint32(audit), call.encode()
                )
                if found >= 0:  # an older library does not know the newest calls
                    assert found == number, (machine, call)
                    compared += 1
    assert compared > 150


def test_an_unknown_machine_has_no_filter() -> None:
    assert seccomp.supported("x86_64")
    assert not seccomp.supported("riscv64")
    with pytest.raises(KeyError):
        seccomp.program(machine="riscv64")
