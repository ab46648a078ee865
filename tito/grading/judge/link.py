"""The judge's end of the pipes: requests to a sandbox, its answers, and its questions in between.

A sandbox speaks only when asked. Each request carries a fresh number that its answer repeats; while
it works on one, the sandbox may ask to use an object that the judge gave it. Everything else it
might send, early, twice or out of turn, is a breach of the protocol and ends it.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol
from weakref import WeakValueDictionary

from tinytorch import autograd
from tito.grading.judge import remote_errors, wire
from tito.grading.judge.arguments import Arguments
from tito.grading.judge.handles import Handle, described, received
from tito.grading.judge.own_objects import OwnObjects
from tito.grading.judge.remote_errors import CellDeadlineError, CellEndedError, SandboxLostError
from tito.grading.judge.twins import Twins
from tito.grading.sandbox.errors import DeadlineError, ProtocolError, SandboxEndedError

_HEADER = struct.Struct("<cQI")
_GRACE_S = 2.0
_MOST_ERRORS = 10_000  # of the judge's that can come back as themselves
_NEVER_AGAIN = (StopIteration, StopAsyncIteration)

ENDED = "ended the student's process"
STUBBORN = "did not stop when its time was over, so the student's process was ended"


class Channel(Protocol):
    """What carries frames; a `Sandbox` is one."""

    def send(self, frame: bytes, deadline: float) -> None:
        """Send one frame."""

    def receive(self, deadline: float) -> bytes:
        """Wait for one frame."""

    def interrupt(self) -> None:
        """Stop what the student's process does."""


@dataclass(frozen=True)
class Budget:
    """What one cell may cost the judge."""

    questions: int = 1_000_000
    received_bytes: int = 512 << 20
    handles: int = 200_000


class Link:
    """One sandbox, as the judge speaks with it.

    Args:
        channel: The sandbox.
        given: The name under which given cells bound a value, or None.
        printed: Told what the student's functions print while a test calls them.
        budget: What one cell may cost.

    Attributes:
        deadline: When the running cell must be done, on the clock of `time.monotonic`.
        lost: Why the sandbox can be used no more; None while it can.
        late: Whether the running cell's time was over.
    """

    def __init__(
        self,
        channel: Channel,
        given: Callable[[object], str | None] = lambda value: None,
        printed: Callable[[str], None] = lambda text: None,
        budget: Budget = Budget(),
    ) -> None:
        self.deadline = time.monotonic() + 60.0
        self.lost: str | None = None
        self.late = False
        self._channel = channel
        self._printed = printed
        self._budget = budget
        self._own = OwnObjects()
        self._twins = Twins()
        self._arguments = Arguments(self, self._own, self._twins, given)
        self._handles: WeakValueDictionary[int, Handle] = WeakValueDictionary()
        self._released: list[tuple[int, int]] = []
        self._counters: list[Any] = []
        self._depth = 0
        self._test = 0
        self._in_test = False
        self._questions = 0
        self._errors = 0
        self._received_bytes = 0

    # ---- what the judge does with it ------------------------------------------------------------

    def begin_cell(self, deadline: float, test: bool) -> None:
        """A new cell: its deadline, and whether it is a test; twins of the last one are forgotten.

        Args:
            deadline: When it must be done, on the clock of `time.monotonic`.
            test: Whether the sandbox may ask to use what it was given.
        """
        self.deadline = deadline
        self.late = False
        self._in_test = test
        self._test += 1
        self._twins.forget()
        self._questions = self._received_bytes = 0

    def ask(self, verb: str, *operands: object) -> Any:
        """Have something done in the sandbox; its result, as data or as a handle.

        Raises:
            Exception: What the student's code raised, as a builtin exception.
            CellEndedError: The sandbox is lost, or the cell's time is over.
        """
        return self._exchange(verb, operands, None)

    def run_cell(self, source: str, show: Callable[[dict[str, Any]], None]) -> Any:
        """Run a student's cell.

        Args:
            source: Its text.
            show: Told each message that it shows; a claim of the student's process.
        """
        return self._exchange("cell", (source,), show)

    @contextmanager
    def counting(self, work: Any) -> Iterator[None]:
        """Add to `work` what the student's process says that its code did through the backend."""
        self._counters.append(work)
        try:
            yield
        finally:
            self._counters.remove(work)

    def is_the_judges(self, fn: object) -> bool:
        """Whether a function would go by reference: it exists only in the judge."""
        return self._arguments.by_reference(fn)

    def dropped(self, number: int, received: int) -> None:
        """A handle is gone: the sandbox is told with the next message."""
        self._released.append((number, received))

    # ---- what frames refer to -------------------------------------------------------------------

    def handle(self, number: int, type_name: str) -> Handle:
        """The handle of an object, the same one while it lives."""
        found = self._handles.get(number)
        if found is None:
            if len(self._handles) >= self._budget.handles:
                raise ProtocolError(f"more than {self._budget.handles} objects at one time")
            found = self._handles[number] = Handle(self, number, type_name)
        received(found)
        return found

    def own(self, number: int) -> object:
        """One of the judge's objects."""
        return self._own.object(number)

    def twin(self, number: int) -> object:
        """The judge's own object of a twin."""
        return self._twins.original(number)

    # ---- messages -------------------------------------------------------------------------------

    def _exchange(
        self, verb: str, operands: tuple[object, ...], show: Callable[[dict[str, Any]], None] | None
    ) -> Any:
        number = int.from_bytes(os.urandom(8), "little")
        frame = self._frame(b"?", number, verb, operands)
        self._depth += 1
        try:
            self._send(frame)
            return self._outcome(number, show)
        except DeadlineError:
            self._stop(number)
        except (SandboxEndedError, EOFError):
            self._lose(ENDED)
        except ProtocolError as error:
            self._lose(f"{ENDED}: it broke the protocol ({error})")
        except CellEndedError:
            self._give_up()
            raise
        finally:
            self._depth -= 1

    def _outcome(self, number: int, show: Callable[[dict[str, Any]], None] | None) -> Any:
        """Read until the answer is here; serve the sandbox's questions meanwhile."""
        while True:
            message = self._receive()
            kind = message[0]
            if kind == "use":
                self._serve(message)
            elif message[1] != number:
                raise ProtocolError("an answer that nobody asked for")
            elif kind == "done" and len(message) == 4:
                self._take_tail(message[3])
                return message[2]
            elif kind == "failed" and len(message) == 7:
                self._take_tail(message[6])
                raise self._error(*message[2:6])
            elif kind == "show" and len(message) == 3 and show and type(message[2]) is dict:
                show(message[2])
            else:
                raise ProtocolError(f"a message of kind {kind!r:.40} out of turn")

    def _frame(self, kind: bytes, number: int, *content: object) -> bytes:
        if self.lost is not None:
            raise SandboxLostError(self.lost)
        released, self._released = tuple(self._released), []
        if self._twins and (stale := self._twins.stale()):
            content = (*content, stale)
        head = (released, autograd.recording, bool(self._counters))
        try:
            pickled = self._arguments.frame((head, *content))
        except BaseException:
            self._released.extend(released)
            raise
        return _HEADER.pack(kind, number, self._test) + pickled

    def _send(self, frame: bytes) -> None:
        self._channel.send(frame, self.deadline)

    def _receive(self) -> tuple[Any, ...]:
        frame = self._channel.receive(self.deadline)
        self._received_bytes += len(frame)
        if self._received_bytes > self._budget.received_bytes:
            raise ProtocolError(f"more than {self._budget.received_bytes} bytes in one cell")
        try:
            message = wire.decode(frame, self)
        except (MemoryError, RecursionError) as error:
            raise ProtocolError(f"a frame that cannot be held: {error}") from None
        if type(message) is not tuple or len(message) < 3 or type(message[1]) is not int:
            raise ProtocolError("a message without a kind and a number")
        return message

    def _take_tail(self, tail: object) -> None:
        """What comes with every answer: text printed, work claimed, changes of twins."""
        if type(tail) is not tuple or len(tail) != 3 or type(tail[0]) is not str:
            raise ProtocolError("an answer without its three last parts")
        printed, work, changes = tail
        if printed:
            self._printed(printed)
        if work is not None:
            if not self._counters:
                raise ProtocolError("counted work that nobody asked for")
            for counter in self._counters:
                add_claim(counter, work)
        self._twins.take(changes)

    def _error(self, name: object, message: object, trace: object, number: object) -> BaseException:
        if number is None:
            return remote_errors.remote_error(name, message, trace)
        own = self._own.object(number) if type(number) is int else None
        if not isinstance(own, Exception):
            raise ProtocolError("an error of the judge's that never was")
        own.remote_traceback = str(trace)  # type: ignore[attr-defined]
        return own

    # ---- the sandbox's questions ----------------------------------------------------------------

    def _serve(self, message: tuple[Any, ...]) -> None:
        """Use one of the judge's objects for the sandbox, and answer it."""
        mine, number, what, args, kwargs, recording, changes = self._checked(message)
        self._twins.take(changes)
        value: Any = None
        error: tuple[str, str, int | None] | None = None
        before, autograd.recording = autograd.recording, recording
        try:
            if not self._in_test:
                raise RuntimeError("what a test gave can be used only while a test runs")
            value = self._own.use(number, what, args, kwargs)
        except ProtocolError:
            raise
        except Exception as raised:
            kept = None
            if self._errors < _MOST_ERRORS and not isinstance(raised, _NEVER_AGAIN):
                self._errors += 1
                kept = self._own.number(raised)
            name, said = described(raised)
            error = (name, said, kept)
        finally:
            autograd.recording = before
        try:
            answer = self._frame(b"=", mine, value, error)
        except Exception as unsent:  # the value can go nowhere: that is the caller's error
            name, said = described(unsent)
            answer = self._frame(b"=", mine, None, (name, said, self._own.number(unsent)))
        self._send(answer)

    def _checked(self, message: tuple[Any, ...]) -> tuple[Any, ...]:
        self._questions += 1
        if self._questions > self._budget.questions:
            raise ProtocolError(f"more than {self._budget.questions} calls of a test's objects")
        kinds = (int, int, str, tuple, dict, bool, list)
        right = len(message) == 8 and all(
            type(part) is kind for part, kind in zip(message[1:], kinds, strict=True)
        )
        if not right or not 0 <= message[1] < 1 << 64:
            raise ProtocolError("a question in a form that no honest sandbox uses")
        if not all(type(name) is str for name in message[5]):
            raise ProtocolError("a question with names that are no strings")
        return message[1:]

    # ---- when it ends ---------------------------------------------------------------------------

    def _stop(self, number: int) -> NoReturn:
        """The cell's time is over: interrupt it; a sandbox that answers lives on."""
        self.late = True
        if self._depth > 1 or not self._interrupted(number):
            self.lost = self.lost or STUBBORN
        raise CellDeadlineError

    def _interrupted(self, number: int) -> bool:
        self.deadline = time.monotonic() + _GRACE_S
        self._in_test = False  # its questions are refused from here on
        try:
            self._channel.interrupt()
            self._outcome(number, lambda message: None)
        except (DeadlineError, SandboxEndedError, ProtocolError, EOFError):
            return False
        except Exception:
            return True
        return True

    def _lose(self, why: str) -> NoReturn:
        self.lost = self.lost or why
        raise SandboxLostError(self.lost)

    def _give_up(self) -> None:
        """An answer is left unread, so the sandbox cannot be asked again."""
        if self.lost is None:
            self.lost = STUBBORN


def add_claim(counter: Any, work: object) -> None:
    """Add the work that a student's process says it did.

    Raises:
        ProtocolError: It is not in the form that a sandbox sends.
    """
    if type(work) is not tuple or len(work) != 4 or type(work[0]) is not dict:
        raise ProtocolError("counted work in a form that no honest sandbox uses")
    calls, *numbers = work
    if len(calls) > 500 or not all(type(op) is str and len(op) <= 100 for op in calls):
        raise ProtocolError("counted work of operations without proper names")
    if not all(type(n) is int and 0 <= n < 1 << 63 for n in (*numbers, *calls.values())):
        raise ProtocolError("counted work that is no number of operations or bytes")
    counter.calls.update(calls)
    counter.macs += numbers[0]
    counter.bytes_read += numbers[1]
    counter.bytes_written += numbers[2]
