"""What answers the judge inside a sandbox: it runs cells and does what graded cells ask.

Everything here runs beside the student's code and can be changed by it. Nothing the judge believes
rests on it: an answer is the student's word, whoever in this process wrote it.
"""

from __future__ import annotations

import importlib
import io
import operator
import pickle
import signal
import struct
import sys
import threading
from collections.abc import Callable
from typing import Any

from tinytorch import autograd

from . import failures, proxies, twins, wire  # a sandbox has these files, and no tito.grading

_HEADER = struct.Struct("<cQI")  # what it is, its number, the test it belongs to
_PRINTED = 20_000


class Agent:
    """One student's process, as the judge speaks with it.

    Args:
        shell: Runs cells; its `namespace` is the student's `__main__`.
        receive: Waits for a frame; EOFError or no bytes at the end.
        send: Sends a frame.
    """

    def __init__(
        self, shell: Any, receive: Callable[[], bytes], send: Callable[[bytes], None]
    ) -> None:
        self._shell = shell
        self._receive = receive
        self._send = send
        self._twins = twins.Twins()
        self._objects: dict[int, list[Any]] = {}
        self._number_of: dict[int, int] = {}
        self._next_number = 1
        self._given: dict[str, Any] = {}
        self._judges: dict[int, proxies.JudgeObject] = {}
        self._test = 0
        self._callbacks = 0
        self._thread = threading.get_ident()
        self._printed = _Printed()
        self._counting: Any = None
        self._counts: Any = None
        self.busy = False

    def serve(self) -> None:
        """Answer until the judge closes its end."""
        while True:
            try:
                frame = self._receive()
            except EOFError:
                return
            if not frame:
                return
            self._answer(frame)

    # ---- one request ----------------------------------------------------------------------------

    def _answer(self, frame: bytes) -> None:
        number = _HEADER.unpack_from(frame)[1]
        done: tuple[Any, ...]
        try:
            head, verb, operands, *_ = self._load(frame)
            result = self._perform(head, verb, operands, number)
            done = ("done", number, result)
        except BaseException as error:
            done = ("failed", number, *failures.described(error))
        self._deliver(done)

    def _load(self, frame: bytes) -> Any:
        test = _HEADER.unpack_from(frame)[2]
        if test != self._test:  # before the frame's own twins are made
            self._test = test
            self._twins.forget()
        message = _Unpickler(io.BytesIO(memoryview(frame)[_HEADER.size :]), self).load()
        self._twins.settle()
        return message

    def _perform(self, head: Any, verb: str, operands: Any, number: int) -> Any:
        released, recording, counting = head
        self._release(released)
        if verb == "cell":
            return self._cell(number, *operands)
        before, out, err = autograd.recording, sys.stdout, sys.stderr
        autograd.recording = recording
        sys.stdout = sys.stderr = self._printed
        try:
            if not counting or self._counting is not None:
                return self._do(verb, operands)
            return self._counted(verb, operands)
        finally:
            sys.stdout, sys.stderr = out, err
            autograd.recording = before

    def _do(self, verb: str, operands: Any) -> Any:
        action = _ACTIONS[verb]
        self.busy = True
        try:
            return action(self, *operands)
        finally:
            self.busy = False

    def _counted(self, verb: str, operands: Any) -> Any:
        from tinytorch import backend
        from tito.testing import Work

        self._counting = Work()
        try:
            with backend.observe(self._counting.add):
                return self._do(verb, operands)
        finally:
            self._counts, self._counting = self._counting, None

    def _release(self, released: Any) -> None:
        """Forget objects to which the judge holds no handle any more."""
        for number, count in released:
            entry = self._objects[number]
            entry[1] -= count
            if entry[1] == 0:
                del self._objects[number], self._number_of[id(entry[0])]

    def _cell(self, number: int, source: str) -> Any:
        def show(message: dict[str, Any]) -> None:
            try:
                frame = self._encoded(("show", number, message))
            except wire.TooLargeError as error:
                text = f"[an output was left out: {error}]\n"
                content = {"name": "stderr", "text": text}
                note = {"msg_type": "stream", "content": content}
                frame = self._encoded(("show", number, note))
            self._send(frame)

        self.busy = True
        try:
            return self._shell.run(source, show)
        finally:
            self.busy = False

    def _deliver(self, done: tuple[Any, ...]) -> None:
        """Send an answer; a value that fits into no frame goes as a handle."""
        try:
            tail = (self._printed.taken(), self._work(), self._twins.changes())
            try:
                frame = self._encoded((*done, tail))
            except wire.TooLargeError:
                frame = self._encoded((done[0], done[1], _Whole(done[2]), *done[3:], tail))
        except BaseException as error:
            words = failures.described(error)
            frame = self._encoded(("failed", done[1], *words, ("", None, [])))
        self._send(frame)

    def _work(self) -> Any:
        counts, self._counts = self._counts, None
        if counts is None:
            return None
        return dict(counts.calls), counts.macs, counts.bytes_read, counts.bytes_written

    # ---- objects --------------------------------------------------------------------------------

    def _encoded(self, message: Any) -> bytes:
        made: list[int] = []

        def refer(value: object) -> wire.Reference:
            if type(value) is _Whole:
                value = value.value
            known = self._known(value)
            if known is not None:
                return known
            number = self._number(value)
            made.append(number)
            return wire.Reference(b"h", number, type(value).__name__)

        try:
            return wire.Encoder(refer, self._known).frame(message)
        except BaseException:
            for number in made:  # the judge never hears of these
                self._objects[number][1] -= 1
                if self._objects[number][1] == 0:
                    value, _ = self._objects.pop(number)
                    del self._number_of[id(value)]
            raise

    def _known(self, value: object) -> wire.Reference | None:
        """The judge's own number of an object of the judge's, or of a twin."""
        if isinstance(value, proxies.JudgeObject):
            return wire.Reference(b"j", proxies.number_of(value))
        number = self._twins.number(value)
        return None if number is None else wire.Reference(b"w", number)

    def _number(self, value: object) -> int:
        number = self._number_of.get(id(value))
        if number is None:
            number = self._number_of[id(value)] = self._next_number
            self._objects[number] = [value, 0]
            self._next_number += 1
        self._objects[number][1] += 1
        return number

    # ---- what the judge's frames ask for --------------------------------------------------------

    def student_object(self, number: int) -> Any:
        """The object of a handle."""
        return self._objects[number][0]

    def given_name(self, name: str) -> Any:
        """What a given cell bound, as it was right after that cell."""
        if name in self._given:
            return self._given[name]
        return self.name(name)

    def judge_object(self, number: int, name: str, called: bool, exposed: tuple[str, ...]) -> Any:
        """The proxy of one of the judge's objects."""
        proxy = self._judges.get(number)
        if proxy is None:
            kind = proxies.proxy_type(called, exposed)
            proxy = self._judges[number] = kind(self._use, number, name, exposed)
        return proxy

    def reader(self, name: str) -> Any:
        """The function that the judge's frames know by a name."""
        kept = {
            "student_object": self.student_object,
            "given_name": self.given_name,
            "judge_object": self.judge_object,
            "imported": importlib.import_module,
            "plain_tensor": twins.plain_tensor,
            "twin": self._twins.twin,
            "twin_module": self._twins.module,
            "set_module": self._twins.set_module,
            "twin_tensor": self._twins.tensor,
        }
        return kept[name]

    def _use(self, number: int, what: str, args: Any, kwargs: Any) -> Any:
        """Ask the judge to use one of its objects, and answer what it asks meanwhile."""
        if threading.get_ident() != self._thread:
            raise RuntimeError("what a test gave can be used only in the thread that was called")
        self._callbacks += 1
        mine = self._callbacks
        recording = autograd.recording
        changes = self._twins.changes()
        frame = self._encoded(("use", mine, number, what, args, kwargs, recording, changes))
        busy, self.busy = self.busy, False
        self._send(frame)
        while True:
            frame = self._receive()
            if not frame:
                raise EOFError("the judge is gone")
            if frame[:1] != b"?":
                break
            self._answer(frame)
        self.busy = busy
        autograd.recording = recording
        head, value, error, *_ = self._load(frame)
        self._release(head[0])
        if error is not None:
            raise failures.built(*error)
        return value

    # ---- what can be asked ----------------------------------------------------------------------

    def name(self, name: str) -> Any:
        """What the student's cells bound to a name."""
        try:
            return self._shell.namespace[name]
        except KeyError:
            raise NameError(f"name {name!r} is not defined") from None

    def keep(self, names: Any) -> None:
        """Remember what given cells bound, before later cells can bind it anew."""
        found = self._shell.namespace
        self._given.update({name: found[name] for name in names if name in found})


class _Whole:
    """A value that goes as one handle, whatever it is."""

    def __init__(self, value: object) -> None:
        self.value = value


class _Printed(io.TextIOBase):
    """What functions print while a test calls them, up to a bound."""

    def __init__(self) -> None:
        self._text = ""

    def write(self, text: str) -> int:
        """Keep what there is room for."""
        self._text += text[: _PRINTED - len(self._text)]
        return len(text)

    def taken(self) -> str:
        """What was printed since the last time."""
        text, self._text = self._text, ""
        return text


class _Unpickler(pickle.Unpickler):
    """Reads the judge's frames, which name this side's functions by the judge's modules."""

    def __init__(self, file: io.BytesIO, agent: Agent) -> None:
        super().__init__(file)
        self._agent = agent

    def find_class(self, module: str, name: str) -> Any:
        """A class or function by its name."""
        if module.startswith("tito.grading."):
            return self._agent.reader(name)
        return super().find_class(module, name)


def _call(agent: Agent, fn: Any, args: Any, kwargs: Any) -> Any:
    return fn(*args, **kwargs)


def _operate(agent: Agent, name: str, *operands: Any) -> Any:
    return getattr(operator, name)(*operands)


def _exit(agent: Agent, manager: Any, error: Any) -> bool:
    if error is None:
        manager.__exit__(None, None, None)
        return False
    name, message = error
    raised = failures.built(name, message, None)
    return bool(type(manager).__exit__(manager, type(raised), raised, raised.__traceback__))


def _setitem(agent: Agent, owner: Any, key: Any, value: Any) -> None:
    owner[key] = value


def _delitem(agent: Agent, owner: Any, key: Any) -> None:
    del owner[key]


_ACTIONS: dict[str, Callable[..., Any]] = {
    "name": Agent.name,
    "keep": Agent.keep,
    "call": _call,
    "getattr": lambda _, owner, name: getattr(owner, name),
    "setattr": lambda _, owner, name, value: setattr(owner, name, value),
    "delattr": lambda _, owner, name: delattr(owner, name),
    "getitem": lambda _, owner, key: owner[key],
    "setitem": _setitem,
    "delitem": _delitem,
    "len": lambda _, value: len(value),
    "index": lambda _, value: operator.index(value),
    "float": lambda _, value: float(value),
    "str": lambda _, value: failures.cut(str(value), failures.SHOWN),
    "repr": lambda _, value: failures.cut(repr(value), failures.SHOWN),
    "isinstance": lambda _, value, kind: isinstance(value, kind),
    "enter": lambda _, manager: type(manager).__enter__(manager),
    "exit": _exit,
    "operate": _operate,
}


def serve(shell: Any, receive: Callable[[], bytes], send: Callable[[bytes], None]) -> None:
    """Answer the judge's requests until it closes its end.

    Args:
        shell: Runs cells; see `shell.py`.
        receive: Waits for one frame.
        send: Sends one frame.
    """
    agent = Agent(shell, receive, send)

    def interrupted(number: int, frame: Any) -> None:
        if agent.busy:  # otherwise nothing of the student's runs that could be stopped
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupted)
    agent.serve()
