"""Looking for answers, hidden tests and other people's work."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from tests.grading.attacks.case import Case
from tests.grading.attacks.place import Place
from tests.grading.small_course import LESSON
from tito.lessons import notebook as nb

case = partial(Case, "reading")

TRY = r'''
def look(path, word=b""):
    """Read a file, and report it when it holds a word."""
    try:
        with open(path, "rb") as file:
            if word in file.read(20_000_000):
                reached(path)
    except (OSError, ValueError):
        pass
def walk(folder, word=b""):
    for root, folders, files in os.walk(folder):
        for name in files[:200]:
            look(os.path.join(root, name), word)
'''


def _path_in(place: Place, kind: str, student: str) -> Path:
    return place.course / kind / student / LESSON.folder / f"{LESSON.name}.ipynb"


def _linked_file(path: Path, notebook: nb.Notebook, place: Place) -> None:
    path.parent.mkdir(parents=True)
    path.symlink_to(_path_in(place, "submitted", "aa_honest"))


def _linked_source(path: Path, notebook: nb.Notebook, place: Place) -> None:
    path.parent.mkdir(parents=True)
    path.symlink_to(place.course / "source" / LESSON.folder / f"{LESSON.name}.ipynb")


def _linked_folder(path: Path, notebook: nb.Notebook, place: Place) -> None:
    path.parent.parent.mkdir(parents=True)
    path.parent.symlink_to(_path_in(place, "submitted", "aa_honest").parent)


def _linked_student(path: Path, notebook: nb.Notebook, place: Place) -> None:
    path.parent.parent.symlink_to(place.course / "submitted" / "aa_honest")


def _hard_link(path: Path, notebook: nb.Notebook, place: Place) -> None:
    path.parent.mkdir(parents=True)
    os.link(place.course / "source" / LESSON.folder / f"{LESSON.name}.ipynb", path)


def _linked_neighbours(path: Path, notebook: nb.Notebook, place: Place) -> None:
    """Other files of the folder lead elsewhere; a grader that copies them would show them."""
    path.parent.mkdir(parents=True)
    path.write_bytes(nb.to_bytes(notebook))
    (path.parent / "timestamp.txt").symlink_to(place.home / "only_the_grader_sees_this")
    (path.parent / "data").symlink_to(place.course / "source")
    (path.parent / "numpy.py").write_text("raise SystemExit", encoding="utf-8")
    (path.parent / "sitecustomize.py").write_text("import os; os._exit(3)", encoding="utf-8")
    os.mkfifo(path.parent / "pipe.ipynb")


CASES = [
    case(
        "course_files",
        "the course's folders are read under their own names",
        early=TRY
        + r"""
for folder in ("@COURSE@", "@CHECKOUT@"):
    for name in ("source", "release", "modules", "submitted", "gradebook", "autograded", ".git"):
        walk(os.path.join(folder, name))
look("@CHECKOUT@/tinytorch/profiling.py")
look("@COURSE@/gradebook/gradebook.db")
""",
    ),
    case(
        "going_up",
        "relative paths lead up and out",
        early=TRY
        + r"""
for up in range(1, 9):
    for name in ("source/14_profiling/profiling.ipynb", "gradebook/gradebook.db",
                 "course/gradebook/gradebook.db", "home/only_the_grader_sees_this"):
        look("../" * up + name)
""",
    ),
    case(
        "through_proc",
        "the file system of other processes",
        early=TRY
        + r"""
for process in [p for p in os.listdir("/proc") if p.isdigit()] + ["self"]:
    for way in ("root", "cwd", "task/self/root"):
        look(f"/proc/{process}/{way}@COURSE@/gradebook/gradebook.db")
        look(f"/proc/{process}/{way}/../gradebook/gradebook.db")
""",
    ),
    case(
        "environments",
        "secrets in environments and command lines",
        early=TRY
        + r"""
secret = "only_the_" + "grader_sees_this"
if any(secret in value for value in os.environ.values()):
    reached("a secret in the environment")
for process in [p for p in os.listdir("/proc") if p.isdigit()]:
    look(f"/proc/{process}/environ", secret.encode())
    look(f"/proc/{process}/cmdline", b"@COURSE@")
    look(f"/proc/{process}/task/{process}/environ", secret.encode())
""",
    ),
    case(
        "home",
        "the grader's home",
        early=TRY
        + r"""
import pwd
homes = [os.path.expanduser("~"), "@HOME@", "/root", "/home"]
homes += [entry.pw_dir for entry in pwd.getpwall()] if os.path.exists("/etc/passwd") else []
for home in homes:
    for name in (".ssh/id_rsa", ".netrc", ".git-credentials", "only_the_grader" + "_sees_this"):
        look(os.path.join(home, name))
""",
    ),
    case(
        "other_memory",
        "the memory of other processes",
        early=r"""
class Span(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
libc = ctypes.CDLL(None, use_errno=True)
others = [int(p) for p in os.listdir("/proc") if p.isdigit() and int(p) != os.getpid()]
for process in {*others, os.getppid(), 1, int("@GRADER@")} - {os.getpid(), 0}:
    try:
        open(f"/proc/{process}/mem", "rb").close()
        open(f"/proc/{process}/maps").read(10)
        reached(f"memory of process {process}")
    except OSError:
        pass
    mine = ctypes.create_string_buffer(8)
    span = Span(ctypes.addressof(mine), 8)
    far = Span(id(None), 8)
    if libc.process_vm_readv(process, ctypes.byref(span), 1, ctypes.byref(far), 1, 0) > 0:
        reached(f"memory of process {process} by process_vm_readv")
""",
    ),
    case(
        "own_memory",
        "a hidden test's text left in this process by whoever started it",
        early=r"""
import re
def scan():
    pattern = re.compile(b"[k]es" + b"trel\"")
    try:
        maps, memory = open("/proc/self/maps").read(), open("/proc/self/mem", "rb")
    except OSError:
        return
    for line in maps.splitlines():
        area, mode, *rest = line.split()
        if not mode.startswith("rw") or rest[-1] in ("[vvar]", "[vsyscall]"):
            continue
        start, end = (int(edge, 16) for edge in area.split("-"))
        try:
            memory.seek(start)
            if pattern.search(memory.read(min(end - start, 200_000_000))):
                reached("a hidden test's text in memory")
                return
        except (OSError, ValueError, OverflowError):
            continue
scan()
""",
        solutions={"total": "def total(values):\n    scan()\n    return 0.0"},
        late="scan()",
    ),
    case(
        "history",
        "the shell's history, the traceback's source cache, the namespaces",
        solutions={
            "timed": r"""
import linecache
def timed(work, clock):
    shell = get_ipython()
    texts = [str(vars(shell).get("user_ns", {}).get("_ih")), str(linecache.cache.values())]
    texts += [str(getattr(getattr(shell, "history_manager", None), "input_hist_raw", ""))]
    texts += [str(getattr(module, "In", "")) for module in list(sys.modules.values())]
    if any("kes" "trel" in text for text in texts):
        reached("a hidden test in the history")
    return -1
"""
        },
    ),
    case(
        "descriptors",
        "descriptors that were left open lead to files and folders",
        early=r"""
import stat
for descriptor in range(3, 256):
    try:
        kind = os.fstat(descriptor).st_mode
    except OSError:
        continue
    if stat.S_ISDIR(kind):
        for name in ("..", "../..", "../../gradebook", "."):
            try:
                found = os.listdir(os.open(name, os.O_RDONLY, dir_fd=descriptor))
                if {"gradebook", "source", "submitted"} & set(found):
                    reached(f"descriptor {descriptor} leads to {name}")
            except OSError:
                continue
    elif stat.S_ISREG(kind):
        try:
            if b"kes" b"trel" in os.pread(descriptor, 10_000_000, 0):
                reached(f"descriptor {descriptor} holds a hidden test")
        except OSError:
            continue
""",
    ),
    case(
        "installed_answers",
        "the module under test is installed somewhere",
        early=r"""
import importlib.util
try:
    import tinytorch.profiling as answers
    reached(f"tinytorch.profiling in {answers.__file__}") if answers.__file__ else None
except Exception as error:
    print(type(error).__name__)
for folder in [*sys.path, *sys.path_importer_cache]:
    for name in ("tinytorch/profiling.py", "tinytorch/__pycache__/profiling.cpython-311.pyc",
                 "tito/grading/batch.py", "../modules/14_profiling/profiling.py"):
        if os.path.exists(os.path.join(str(folder), name)):
            reached(os.path.join(str(folder), name))
""",
    ),
    case(
        "graders_code",
        "the grader's own modules, imported or in memory",
        early=r"""
for name in ("tito.grading.batch", "tito.grading.judge.wire", "tito.lessons.build"):
    try:
        __import__(name)
        if name.startswith("tito"):
            reached("import " + name)
    except Exception as error:
        print(type(error).__name__)
for name in list(sys.modules):
    if name.startswith(("tito.grading", "tito.lessons", "nbgrader")) and name != "nbgrader":
        reached(name + " is loaded") if name.startswith("tito") else None
""",
    ),
    case(
        "devices",
        "the machine's memory and disks",
        early=TRY
        + r"""
for name in ("/dev/mem", "/dev/kmem", "/proc/kcore", "/dev/vda", "/dev/sda", "/dev/nvme0n1",
             "/etc/shadow", "/proc/1/mem", "/var/run/docker.sock", "/sys/kernel/debug/x"):
    try:
        with open(name, "rb") as file:
            file.read(1)
        reached(name)
    except OSError:
        pass
""",
    ),
    case(
        "linked_file", "the notebook is a link to another's", hand_in=_linked_file, says=("link",)
    ),
    case("linked_source", "the notebook is a link to the answers", hand_in=_linked_source),
    case("linked_folder", "the lesson's folder is a link to another's", hand_in=_linked_folder),
    case("linked_student", "the whole folder is a link to another's", hand_in=_linked_student),
    case("hard_link", "the notebook is a second name of the answers", hand_in=_hard_link),
    case("linked_neighbours", "links and modules beside it", hand_in=_linked_neighbours),
    case(
        "link_left_behind",
        "links in its own folders lead a tidying grader astray",
        early=r"""
import tempfile
for folder in {os.getcwd(), tempfile.gettempdir(), os.path.expanduser("~"), "/dev/shm"}:
    for target in ("@COURSE@", "@HOME@", "/etc", "/"):
        try:
            os.symlink(target, os.path.join(folder, "@TOKEN@" + str(len(target))))
        except OSError:
            continue
""",
    ),
]
