"""Tricks that every lesson's grading must give nothing for, made for the lesson at hand.

Each stands below every blank solution. The corpus in tests/grading/attacks is larger; these
few are the ones that beat graders which run tests in the student's own interpreter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_ANYTHING = '''\
class Anything(float):
    """Answers everything with itself, and agrees with everybody."""
    def __new__(cls, *args, **kwargs):
        return super().__new__(cls, 0.0)
    def __getattr__(self, name):
        if name.startswith("__array"):
            raise AttributeError(name)
        return self
    __call__ = __getitem__ = __enter__ = lambda self, *args, **kwargs: self
    __exit__ = lambda self, *args: None
    __eq__ = __le__ = __ge__ = __lt__ = __gt__ = __contains__ = lambda self, other: True
    __ne__ = lambda self, other: False
    __hash__ = lambda self: 0
    __bool__ = lambda self: True
    __len__ = lambda self: 1
    __iter__ = lambda self: iter((self,))

for name in {names}:
    globals()[name] = Anything()
'''

_PATCHED_TESTS = """\
import sys
import numpy as np
import tito.testing

def agree(*args, **kwargs):
    return True

for module in [m for n, m in list(sys.modules.items()) if n.startswith(("tito", "numpy.testing"))]:
    for name in dir(module):
        if name.startswith(("assert", "expect")):
            setattr(module, name, agree)
for name in ("allclose", "isclose", "array_equal"):
    setattr(np, name, agree)
for name in {names}:
    globals()[name] = agree
"""

_HOOKED_SHELL = """\
from IPython import get_ipython

shell = get_ipython()
plain = type(shell).run_cell
type(shell).run_cell = lambda self, source, *args, **kwargs: plain(self, "0", *args, **kwargs)
shell.input_transformers_cleanup.append(lambda lines: ["0\\n"])
shell.set_custom_exc((BaseException,), lambda *args, **kwargs: None)
"""

_FORGED_REPLIES = """\
import os

full_marks = b"\\x0d\\x00\\x00\\x00" + b'{{"points": 9}}'
for descriptor in range(3, 64):
    try:
        os.set_blocking(descriptor, False)
        os.write(descriptor, full_marks)
    except OSError:
        continue
"""

_EARLY_END = """\
import os

def leave(*args, **kwargs):
    os._exit(0)

for name in {names}:
    globals()[name] = leave
"""

_ANSWERS_ON_DISK = """\
import glob, importlib, os, re, sys

for place in ["/proc/1/cwd", "/proc/1/root", os.path.expanduser("~"), os.getcwd(), *sys.path]:
    for pattern in ("*", "*/*", "../*/*", "../*/*/*", "../../*/*/*"):
        for path in glob.glob(os.path.join(place, pattern, "{lesson}.*")):
            text = open(path, encoding="utf-8", errors="replace").read()
            for source in re.findall(r"### BEGIN SOLUTION(.*?)### END SOLUTION", text, re.DOTALL):
                exec(source, globals())
module = importlib.import_module("tinytorch.{lesson}")
globals().update({{n: v for n, v in vars(module).items() if n in {names}}})
"""

_CALLERS_VALUES = """\
import gc, sys

def borrowed(*args, **kwargs):
    frame = sys._getframe(1)
    while frame is not None:
        for name in ("expected", "truth", "want"):
            if name in frame.f_locals:
                return frame.f_locals[name]
        frame = frame.f_back
    known = (each for each in gc.get_objects() if isinstance(each, dict) and "expected" in each)
    return next((each["expected"] for each in known), None)

for name in {names}:
    globals()[name] = borrowed
"""


@dataclass(frozen=True)
class Trick:
    """Lines put below each blank solution."""

    name: str
    about: str
    source: str


def tricks(names: list[str], lesson: str) -> Iterator[Trick]:
    """The tricks against a lesson.

    Args:
        names: What the lesson's solution cells define.
        lesson: The name of the module that it becomes.
    """
    for name, about, text in (
        ("anything", "answers that agree with everything", _ANYTHING),
        ("patched_tests", "comparisons replaced by ones that pass", _PATCHED_TESTS),
        ("hooked_shell", "a shell that runs no test", _HOOKED_SHELL),
        ("forged_replies", "replies written to every open file", _FORGED_REPLIES),
        ("early_end", "functions that end the process with code 0", _EARLY_END),
        ("answers_on_disk", "the solution looked for on disk", _ANSWERS_ON_DISK),
        ("callers_values", "the expected value taken from the caller", _CALLERS_VALUES),
    ):
        yield Trick(name, about, text.format(names=repr(names), lesson=lesson))
