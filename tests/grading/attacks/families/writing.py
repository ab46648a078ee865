"""Writing where others will read."""

from __future__ import annotations

from functools import partial

from tests.grading.attacks.case import Case

case = partial(Case, "writing")

WRITE = r'''
def write(path, text="# @TOKEN@\n"):
    """Write a file; report it when its folder is not one of this process's own making."""
    there = os.path.isdir(os.path.dirname(path))
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "a") as file:
            file.write(text)
        if there:
            reached("wrote " + path)
    except OSError as error:
        print(type(error).__name__)
'''

CASES = [
    case(
        "gradebook",
        "the gradebook's rows are changed",
        early=WRITE
        + r"""
import sqlite3
try:
    book = sqlite3.connect("@COURSE@/gradebook/gradebook.db", timeout=1)
    book.execute("update grade set manual_score = 100")
    book.commit()
    reached("the gradebook")
except sqlite3.Error as error:
    print(type(error).__name__)
""",
    ),
    case(
        "config",
        "nbgrader's and Jupyter's settings run code",
        early=WRITE
        + r"""
for name in ("@COURSE@/nbgrader_config.py", "@CHECKOUT@/tests/@TOKEN@.py",
             "@HOME@/.jupyter/nbgrader_config.py", "/etc/jupyter/jupyter_config.py"):
    write(name)
""",
    ),
    case(
        "startup_files",
        "files that Python and IPython run when they start",
        early=r"""
import site, sysconfig
home = os.path.expanduser("~")
places = [sysconfig.get_path("purelib"), site.getusersitepackages(), *sys.path]
names = [os.path.join(place, each) for place in places
         for each in ("@TOKEN@_sitecustomize.py", "@TOKEN@.pth")]
names += [f"{home}/.ipython/profile_default/startup/@TOKEN@.py", f"{home}/@TOKEN@.bashrc",
          "@HOME@/.ipython/profile_default/startup/@TOKEN@.py"]
for name in names:
    try:
        os.makedirs(os.path.dirname(name), exist_ok=True)
        open(name, "w").write("raise SystemExit('@TOKEN@')")
    except OSError:
        continue
""",
    ),
    case(
        "other_submissions",
        "what others handed in is overwritten",
        early=WRITE
        + r"""
import glob
for name in glob.glob("@COURSE@/submitted/*/14_profiling/profiling.ipynb"):
    write(name, "{}")
write("@COURSE@/submitted/m_honest/14_profiling/profiling.ipynb", "{}")
""",
    ),
    case(
        "own_result",
        "its own graded notebook and feedback are there before they are made",
        early=WRITE
        + r"""
for kind in ("autograded", "feedback"):
    write(f"@COURSE@/{kind}/writing.own_result/14_profiling/profiling.ipynb", "{}")
""",
    ),
    case(
        "left_in_tmp",
        "files for the next one",
        early=r"""
for folder in ("/tmp", "/var/tmp", "/dev/shm", "/run", "/", os.path.expanduser("~"), "."):
    try:
        open(os.path.join(folder, "@TOKEN@-left"), "w").write("for the next one")
        os.makedirs(os.path.join(folder, "@TOKEN@-folder"), mode=0o777)
    except OSError:
        continue
""",
    ),
    case(
        "left_in_memory",
        "shared memory and sockets for the next one",
        early=r"""
import socket
from multiprocessing import shared_memory
try:
    block = shared_memory.SharedMemory("@TOKEN@", create=True, size=64)
    block.buf[:8] = b"for next"
except OSError as error:
    print(type(error).__name__)
libc = ctypes.CDLL(None)
libc.shmget(0x61746b, 4096, 0o1666)
libc.semget(0x61746b, 1, 0o1666)
libc.msgget(0x61746b, 0o1666)
try:
    door = socket.socket(socket.AF_UNIX)
    door.bind("\0@TOKEN@")
    door.listen()
except OSError as error:
    print(type(error).__name__)
""",
    ),
    case(
        "given_tree",
        "what all submissions import is changed",
        early=r"""
import importlib, tinytorch, tito.testing
for module in (tinytorch, tito.testing, sys.modules["os"], importlib):
    for name in (module.__file__, os.path.join(os.path.dirname(module.__file__), "@TOKEN@.py")):
        try:
            with open(name, "a") as file:
                file.write("")
            reached("can write " + name)
        except OSError:
            pass
    caches = os.path.join(os.path.dirname(module.__file__), "__pycache__")
    try:
        os.makedirs(caches, exist_ok=True)
        open(os.path.join(caches, "@TOKEN@.pyc"), "wb").close()
        reached("can write " + caches)
    except OSError:
        pass
""",
    ),
    case(
        "shared_memory",
        "memory that this process shares with others is overwritten",
        early=r"""
for line in open("/proc/self/maps") if os.path.exists("/proc/self/maps") else ():
    area, mode, *rest = line.split()
    if mode == "rw-s":
        start, end = (int(edge, 16) for edge in area.split("-"))
        ctypes.memset(start, 0x41, min(end - start, 4096))
        print("overwrote shared memory", rest[-1])
""",
    ),
    case(
        "scratch_traps",
        "folders that cannot be removed: deep, closed, oddly named",
        early=r"""
import tempfile
for top in {os.getcwd(), tempfile.gettempdir(), "/dev/shm", *sys.argv[1:2]}:
    top = top if os.path.isdir(top) else os.path.dirname(top)
    try:
        os.makedirs(os.path.join(top, "@TOKEN@-closed", "in"))
        os.chmod(os.path.join(top, "@TOKEN@-closed"), 0)
        for name in (b"line\nbreak", b"\xff\xfe", b"-rf", b"x" * 255):
            open(os.path.join(os.fsencode(top), name), "w").close()
        where = os.open(top, os.O_RDONLY)
        for _ in range(1500):
            os.mkdir("@TOKEN@", dir_fd=where)
            below = os.open("@TOKEN@", os.O_RDONLY, dir_fd=where)
            os.close(where)
            where = below
        os.close(where)
    except (OSError, ValueError) as error:
        print(type(error).__name__)
""",
    ),
    case(
        "device_nodes",
        "devices, set-uid programs and capabilities on files",
        early=r"""
import stat, tempfile
where = os.path.join(tempfile.gettempdir(), "@TOKEN@-node")
try:
    os.mknod(where, stat.S_IFBLK | 0o666, os.makedev(254, 0))
    reached("made a device")
except OSError:
    pass
try:
    open(where + "s", "w").close()
    os.chown(where + "s", 0, 0)
    reached("gave a file to root")
except OSError:
    pass
""",
    ),
]
