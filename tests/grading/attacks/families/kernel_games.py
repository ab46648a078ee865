"""Asking the operating system's kernel for what nobody needs to do a lesson."""

from __future__ import annotations

from functools import partial

from tests.grading.attacks.case import Case

case = partial(Case, "kernel_games")

# Numbers of x86_64 and aarch64; a call that is refused at the door gives EPERM, ENOSYS or EACCES.
CALLS = r'''
import errno, platform
libc = ctypes.CDLL(None, use_errno=True)
ARM = platform.machine() == "aarch64"
def refused(x86, arm, *arguments):
    """Whether the kernel turned a system call away before looking at its arguments."""
    if libc.syscall(arm if ARM else x86, *arguments) != -1:
        return False
    return ctypes.get_errno() in (errno.EPERM, errno.ENOSYS, errno.EACCES)
def check(name, x86, arm, *arguments):
    if not refused(x86, arm, *arguments):
        reached(name)
'''

CASES = [
    case(
        "namespaces",
        "namespaces of its own, in which it is root",
        early=CALLS
        + r"""
for flag in (0x10000000, 0x00020000, 0x40000000, 0x20000000):
    if os.fork() == 0:
        if not refused(272, 97, flag):
            os._exit(7)
        os._exit(0)
    if os.waitstatus_to_exitcode(os.wait()[1]) == 7:
        reached(f"unshare {flag:#x}")
""",
    ),
    case(
        "mount",
        "file systems are mounted or taken away",
        early=CALLS
        + r"""
check("mount", 165, 40, b"none", b"/tmp", b"tmpfs", 0, None)
check("umount", 166, 39, b"/proc", 2)
check("pivot_root", 155, 41, b"/", b"/")
check("chroot", 161, 51, b"/tmp")
check("open_tree", 428, 428, -100, b"/", 1)
check("fsopen", 430, 430, b"tmpfs", 0)
""",
    ),
    case(
        "setns",
        "the namespaces of other processes",
        early=CALLS
        + r"""
for process in ("1", str(os.getppid())):
    for kind in ("mnt", "net", "pid", "user"):
        try:
            found = os.open(f"/proc/{process}/ns/{kind}", os.O_RDONLY)
        except OSError:
            continue
        check(f"setns {kind} of {process}", 308, 268, found, 0)
""",
    ),
    case(
        "ptrace",
        "other processes are stopped and read",
        deadly=True,
        early=CALLS
        + r"""
for process in (1, os.getppid(), int("@GRADER@")):
    if process and process != os.getpid():
        if libc.ptrace(16, process, 0, 0) == 0:
            reached(f"ptrace of {process}")
check("kcmp", 312, 272, os.getpid(), os.getpid(), 0, 0, 0)
""",
    ),
    case(
        "keyrings",
        "keyrings, which know no namespaces",
        early=CALLS
        + r"""
check("keyctl", 250, 219, 0, -3, 1)
check("add_key", 248, 217, b"user", b"@TOKEN@", b"x", 1, -3)
""",
    ),
    case(
        "io_uring",
        "system calls past the filter",
        early=CALLS + 'check("io_uring", 425, 425, 1, 0)',
    ),
    case(
        "bpf",
        "programs and counters in the kernel",
        early=CALLS
        + r"""
check("bpf", 321, 280, 0, 0, 0)
check("perf_event_open", 298, 241, 0, 0, -1, -1, 0)
check("userfaultfd", 323, 282, 0)
""",
    ),
    case(
        "file_handles",
        "files opened by number, past every folder",
        early=CALLS
        + r"""
check("open_by_handle_at", 304, 265, -1, 0, 0)
check("acct", 163, 89, None)
check("swapon", 167, 224, b"/x", 0)
check("init_module", 175, 105, 0, 0, b"")
check("reboot", 169, 142, 0, 0, 0, 0)
check("kexec_load", 246, 104, 0, 0, 0, 0)
""",
    ),
    case(
        "foreign_architecture",
        "system calls of another architecture",
        early=CALLS
        + r"""
if not ARM:
    if libc.syscall(0x40000000 + 39) > 0:
        reached("x32")
    import mmap
    if os.fork() == 0:
        code = mmap.mmap(-1, 4096, prot=7)
        code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")  # mov eax, 20 (getpid); int 0x80; ret
        address = ctypes.addressof(ctypes.c_char.from_buffer(code))
        os._exit(9 if ctypes.CFUNCTYPE(ctypes.c_int)(address)() > 0 else 0)
    if os.waitstatus_to_exitcode(os.wait()[1]) == 9:
        reached("int 0x80")
""",
    ),
    case(
        "becoming_root",
        "users, groups and capabilities",
        early=CALLS
        + r"""
for become in (lambda: os.setuid(0), lambda: os.setgroups([0]), lambda: os.setgid(0),
               lambda: os.setresuid(0, 0, 0)):
    try:
        become()
    except OSError:
        continue
    if os.geteuid() == 0 and os.access("/etc/shadow", os.W_OK):
        reached("root")
status = open("/proc/self/status").read() if os.path.exists("/proc/self/status") else ""
for line in status.splitlines():
    if line.startswith(("CapEff", "CapPrm")) and int(line.split()[1], 16):
        reached(line)
    if line.startswith("NoNewPrivs") and line.split()[1] != "1":
        reached(line)
""",
    ),
    case(
        "terminal",
        "characters are typed into the grader's terminal",
        early=r"""
import fcntl, termios
for name in (0, 1, 2, "/dev/tty", "/dev/pts/0", "/dev/console"):
    try:
        found = os.open(name, os.O_RDWR) if isinstance(name, str) else name
        fcntl.ioctl(found, termios.TIOCSTI, b"\n")
        reached(f"typed into {name}")
    except OSError:
        pass
""",
    ),
    case(
        "system_settings",
        "settings of the machine",
        early=r"""
for name in ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/vm/drop_caches",
             "/proc/self/oom_score_adj", "/sys/fs/cgroup/cgroup.procs", "/sys/power/state"):
    try:
        os.close(os.open(name, os.O_WRONLY))
        if "self" not in name:
            reached(name)
        else:
            os.write(os.open(name, os.O_WRONLY), b"-900")
            reached(name)
    except OSError:
        pass
""",
    ),
]
