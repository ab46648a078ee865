"""Grading a class: one process a submission, one writer of marks, and a clean end at any time."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from tito.course import CourseError, Lesson
from tito.grading.class_folders import ClassFolders, is_usable_name
from tito.grading.confinement import Isolation
from tito.grading.pool import Finished, WorkerPool
from tito.grading.record import read_record
from tito.grading.worker import Job
from tito.lessons import notebook as nb
from tito.lessons.given import given_tree

_VERSION = "1"  # a new one grades everything anew
_TIMESTAMP = "timestamp.txt"


@dataclass(frozen=True)
class GradeOptions:
    """How a batch is graded: see `tito grade --help`."""

    isolation: Isolation
    cell_s: float = 30.0
    notebook_s: float = 600.0
    again: bool = False
    at_once: int = 2


@dataclass
class Batch:
    """What a batch came to.

    Attributes:
        graded: Students whose submissions were graded now.
        skipped: Students whose marks were up to date.
        problems: Students without new marks, and why.
        interrupted: Whether it was ended before its end.
    """

    graded: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    interrupted: bool = False


Progress = Callable[[str, int, int], None]


def grade_batch(
    folders: ClassFolders,
    lesson: Lesson,
    students: list[str] | None,
    options: GradeOptions,
    progress: Progress = lambda student, done, total: None,
) -> Batch:
    """Grade the submissions of a lesson.

    Args:
        folders: The class.
        lesson: The lesson.
        students: Whom to grade; everyone who handed in when None.
        options: How.
        progress: Told a student, and the number of cells done out of all.

    Raises:
        CourseError: The lesson cannot be graded at all, or another batch is under way.
    """
    source = folders.course.source(lesson)
    if not source.is_file():
        raise CourseError(
            f"{folders.course.relative(source)} is missing.",
            f"Run `tito build {lesson.number}` first.",
        )
    folders.make()
    with _alone(folders), _interruptible() as stopped, _scratch() as scratch:
        given = scratch / "given"
        given_tree(given, lesson.number)
        batch = Batch()
        jobs = _jobs(folders, lesson, students, options, scratch, batch)
        if jobs:
            _run(folders, lesson, jobs, options, progress, batch, stopped, scratch)
        batch.interrupted = stopped()
    return batch


def _run(
    folders: ClassFolders,
    lesson: Lesson,
    jobs: dict[str, Job],
    options: GradeOptions,
    progress: Progress,
    batch: Batch,
    stopped: Callable[[], bool],
    scratch: Path,
) -> None:
    """Run the jobs, and store each result as it comes."""
    with WorkerPool(scratch, options.at_once, progress) as pool:
        ends = pool.run(jobs, stopped)
        from tito.grading import gradebook  # takes seconds to import: the first workers run by now

        gradebook.register(folders, lesson)
        for end in ends:
            try:
                _store(folders, lesson, end, jobs[end.student], scratch)
                batch.graded.append(end.student)
            except CourseError as error:
                batch.problems[end.student] = error.message
            except Exception as error:  # one submission never stops the batch
                batch.problems[end.student] = f"{type(error).__name__}: {error}"


def _store(folders: ClassFolders, lesson: Lesson, end: Finished, job: Job, scratch: Path) -> None:
    """Write one student's marks, graded notebook and feedback."""
    from tito.grading import gradebook

    ran = Path(job.ran)
    if end.problem or not ran.is_file():
        raise CourseError(f"The process that ran the submission failed: {end.problem}.")
    with gradebook.opened(folders) as book:
        earlier = read_record(folders.autograded(end.student, lesson))
        if earlier is None or earlier.content != job.content:
            kept = _same_answers(folders.autograded(end.student, lesson), ran)
            gradebook.forget_manual_marks(book, lesson, end.student, kept)
    gradebook.store(folders, lesson, end.student, scratch / "ran")
    gradebook.make_feedback(folders, lesson, end.student)


def _jobs(
    folders: ClassFolders,
    lesson: Lesson,
    students: list[str] | None,
    options: GradeOptions,
    scratch: Path,
    batch: Batch,
) -> dict[str, Job]:
    """A job for each submission that needs one; the others go into the batch at once."""
    handed_in = folders.students(lesson)
    unchanging = _digest_of_tree(scratch / "given") + _digest(folders.course.source(lesson))
    jobs: dict[str, Job] = {}
    for student in students if students is not None else handed_in:
        if not is_usable_name(student):
            batch.problems[student] = "the name has characters that nbgrader cannot handle"
        elif student not in handed_in:
            place = f"submitted/{student}/{lesson.folder}/"
            batch.problems[student] = f"nothing was handed in: there is no {place}"
        else:
            job = _job(folders, lesson, student, options, scratch, unchanging)
            earlier = read_record(folders.autograded(student, lesson))
            current = earlier is not None and earlier.content == job.content
            if current and folders.feedback(student, lesson).is_file() and not options.again:
                batch.skipped.append(student)
            else:
                jobs[student] = job
    return jobs


def _job(
    folders: ClassFolders,
    lesson: Lesson,
    student: str,
    options: GradeOptions,
    scratch: Path,
    unchanging: str,
) -> Job:
    submission = folders.submitted(student, lesson)
    folder = scratch / "ran" / student / lesson.folder
    folder.mkdir(parents=True, exist_ok=True)
    stamp = submission.parent / _TIMESTAMP
    if stamp.is_file() and not stamp.is_symlink() and stamp.stat().st_size < 1_000:
        shutil.copyfile(stamp, folder / _TIMESTAMP)
    words = f"{_VERSION} {options.isolation.value} {unchanging} {_digest(submission)}"
    return Job(
        submission=str(submission),
        source=str(folders.course.source(lesson)),
        given=str(scratch / "given"),
        ran=str(folder / submission.name),
        isolation=options.isolation.value,
        cell_s=options.cell_s,
        notebook_s=options.notebook_s,
        content=hashlib.sha256(words.encode()).hexdigest(),
    )


def _same_answers(before: Path, now: Path) -> set[str]:
    """The written answers that a resubmission left word for word as they were."""
    try:
        old = {nb.grade_id(cell): cell["source"] for cell in nb.read_notebook(before)["cells"]}
    except CourseError:
        return set()
    cells = nb.read_notebook(now)["cells"]
    return {
        identity
        for cell in cells
        if (identity := nb.grade_id(cell)) is not None
        and cell["cell_type"] == "markdown"
        and old.get(identity) == cell["source"]
    }


def _digest(path: Path) -> str:
    """A file's hash; an absent one and a link have hashes of their own."""
    if path.is_symlink():
        return "link"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "absent"


def _digest_of_tree(folder: Path) -> str:
    digests = (f"{p.relative_to(folder)} {_digest(p)}" for p in sorted(folder.rglob("*.*")))
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


@contextmanager
def _scratch() -> Iterator[Path]:
    """A private folder for one batch, with a short name: sockets' paths are limited."""
    usual = tempfile.gettempdir()
    with tempfile.TemporaryDirectory(
        prefix="tito-", dir=usual if len(usual) < 40 else "/tmp"
    ) as name:
        yield Path(name)


@contextmanager
def _alone(folders: ClassFolders) -> Iterator[None]:
    """Hold the class's lock: two batches at once would write the same notebooks."""
    path = folders.root / "gradebook" / ".grading"
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CourseError(
                "This class is being graded already, by another process.",
                "Wait for its end, or stop it, and run the command again.",
            ) from error
        yield


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C into a question: marks that are being written are written to their end."""
    asked: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    previous = {n: signal.signal(n, on_signal) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
