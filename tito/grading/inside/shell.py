"""Cells as IPython runs them, without Jupyter around it: no sockets, no threads, no history."""

from __future__ import annotations

import builtins
import codecs
import contextlib
import getpass
import os
import subprocess
import sys
import traceback
import types
import warnings
from collections.abc import Iterator
from typing import Any, NoReturn

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets import Type
from traitlets.config import Config

from .bundles import bundle
from .printing import PrintedStream, Printer, Show

_EVALUE_CHARACTERS = 10_000
_CHUNK = 1 << 16
_STOP_S = 1.0


class Shell:
    """One session: cells share its names.

    Args:
        module: The module whose names they are; it is `__main__`.
        printed: How many characters a cell may print.

    Attributes:
        namespace: The names that cells have bound.
    """

    def __init__(self, module: types.ModuleType, printed: int = 100_000) -> None:
        self._target: Show = _to_nobody
        self._printer = Printer(printed, self._send)
        self._captured: int | None = None
        self._errors_shown = 0
        sys.stdout = PrintedStream(self._printer, "stdout")
        sys.stderr = PrintedStream(self._printer, "stderr")
        builtins.input = _nobody_to_ask
        getpass.getpass = _nobody_to_ask
        warnings.filterwarnings("ignore", message="To exit: use 'exit'")
        config = Config()
        config.HistoryManager.enabled = False
        config.InteractiveShell.colors = "nocolor"
        config.InteractiveShell.cache_size = 100
        self._ipython: Any = _Interpreter.instance(config=config, user_module=module)
        self._ipython.session = self
        self.namespace: dict[str, Any] = self._ipython.user_ns
        self._at_first = dict(self.namespace)

    def run(self, source: str, show: Show) -> dict[str, Any]:
        """Run one cell.

        Args:
            source: Its text.
            show: Takes each output as it appears, as a dict of `msg_type` and `content`.

        Returns:
            `status` ("ok" or "error"), `execution_count`, `ename` and `evalue`.
        """
        self._errors_shown = 0
        with self.showing(show):
            error = self._run(source)
            if error is not None and not self._errors_shown:
                lines = traceback.format_exception(error)
                self.error(type(error), error, "".join(lines).splitlines())
        reply = {"status": "ok", "ename": "", "evalue": ""}
        if error is not None:
            reply = {"status": "error", "ename": type(error).__name__, "evalue": _words(error)}
        return {**reply, "execution_count": int(self._ipython.execution_count) - 1}

    @contextlib.contextmanager
    def showing(self, show: Show) -> Iterator[None]:
        """Send what is printed and displayed meanwhile to `show`."""
        before, self._target = self._target, show
        self._printer.start()
        try:
            yield
            self._show_captured()
            self._printer.flush()
        finally:
            self._target = before

    def capture(self, descriptor: int) -> None:
        """Show, after each cell, what other programs wrote to a file.

        Args:
            descriptor: A file that is descriptors 1 and 2 of this process, opened for appending.
        """
        self._captured = descriptor

    def forget(self) -> None:
        """Go back to a fresh session."""
        self._ipython.reset(new_session=True)
        for name in set(self.namespace) - set(self._at_first):
            del self.namespace[name]
        self._ipython.execution_count = 1

    def publish(self, kind: str, content: dict[str, Any]) -> None:
        """Show something that is not print, after what was printed before it."""
        self._printer.flush()
        self._send({"msg_type": kind, "content": content})

    def error(self, kind: type[BaseException], error: object, lines: list[str]) -> None:
        """Show an error."""
        self._errors_shown += 1
        content = {"ename": kind.__name__, "evalue": _words(error), "traceback": list(lines)}
        self.publish("error", content)

    def _run(self, source: str) -> BaseException | None:
        try:
            result = self._ipython.run_cell(source, store_history=True)
        except KeyboardInterrupt as interrupt:  # between the cell's own lines
            return interrupt
        error: BaseException | None = result.error_before_exec or result.error_in_exec
        return error

    def _send(self, message: dict[str, Any]) -> None:
        self._target(message)

    def _show_captured(self) -> None:
        if self._captured is None or os.fstat(self._captured).st_size == 0:
            return
        text = os.pread(self._captured, 4 * self._printer.most, 0).decode("utf-8", "replace")
        os.ftruncate(self._captured, 0)
        self._printer.write("stdout", text)


class _Display(DisplayHook):
    """Shows the value of a cell's last expression."""

    shell: Any

    def write_output_prompt(self) -> None:
        """Write nothing: the message carries the number."""

    def write_format_data(self, format_dict: Any, md_dict: Any = None) -> None:
        """Send the value in all its forms."""
        content = {"execution_count": self.prompt_count, **bundle(format_dict, md_dict)}
        self.shell.session.publish("execute_result", content)

    def log_output(self, format_dict: Any) -> None:
        """Keep no record of it."""

    def finish_displayhook(self) -> None:
        """Write nothing after it."""
        self._is_active = False


class _Publisher(DisplayPublisher):
    """Shows what `display` is given."""

    shell: Any

    def publish(
        self,
        data: Any,
        metadata: Any = None,
        *arguments: Any,
        transient: Any = None,
        update: bool = False,
        **others: Any,
    ) -> None:
        """Send an output, or the new form of an earlier one."""
        content = bundle(data, metadata)
        identity = (transient or {}).get("display_id")
        if identity is not None:
            content["transient"] = {"display_id": str(identity)}
        kind = "update_display_data" if update else "display_data"
        self.shell.session.publish(kind, content)

    def clear_output(self, wait: bool = False) -> None:
        """Take away the outputs so far; with `wait`, when the next one comes."""
        self.shell.session.publish("clear_output", {"wait": bool(wait)})


class _Interpreter(InteractiveShell):
    """IPython that sends messages where it would write to a terminal."""

    session: Shell
    displayhook_class = Type(_Display)
    display_pub_class = Type(_Publisher)

    def _showtraceback(self, etype: Any, evalue: Any, stb: list[str]) -> None:
        self.session.error(etype, evalue, [str(line) for line in stb])

    def ask_exit(self) -> NoReturn:
        """End the cell; the session goes on."""
        raise SystemExit

    def system(self, cmd: str) -> None:
        """Run a shell line and show what it prints, as it prints it."""
        expand: Any = self.var_expand
        command = expand(cmd, depth=1)
        self.user_ns["_exit_code"] = _run_in_shell(command)

    system_piped = system_raw = system

    def enable_gui(self, gui: Any = None) -> None:
        """Do nothing: there is no window to draw in."""


def _run_in_shell(command: str) -> int:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    with subprocess.Popen(
        command,
        shell=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        try:
            while chunk := os.read(process.stdout.fileno(), _CHUNK):
                sys.stdout.write(decoder.decode(chunk))
                sys.stdout.flush()
        except KeyboardInterrupt:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_S)
            process.kill()
            raise
        return process.wait()


def _words(error: object) -> str:
    """An error's message, which its class may refuse to give."""
    try:
        return str(error)[:_EVALUE_CHARACTERS]
    except Exception as refusal:
        return f"<its message cannot be shown: {type(refusal).__name__}>"


def _nobody_to_ask(*arguments: Any, **others: Any) -> NoReturn:
    raise RuntimeError(
        "input() has nobody to ask while a notebook is graded. Give the value in the cell."
    )


def _to_nobody(message: dict[str, Any]) -> None:
    """Show a message to nobody."""
