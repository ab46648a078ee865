"""Answers that are not what they look like."""

from __future__ import annotations

from functools import partial

from tests.grading.attacks.case import Case

case = partial(Case, "lying")


def everywhere(expression: str) -> dict[str, str]:
    """All solutions answer with one value."""
    return {
        "total": f"def total(values):\n    return {expression}",
        "scaled": f"def scaled(values):\n    return {expression}",
        "tally": (
            "class Tally:\n    def add(self, word): return None\n"
            f"    def count(self, word): return {expression}"
        ),
        "timed": f"def timed(work, clock):\n    return {expression}",
    }


YES = r"""
import numpy as np
class Yes:
    __hash__ = object.__hash__
    def agree(self, *a, **k): return True
    __eq__ = __le__ = __ge__ = __bool__ = __contains__ = agree
    def __ne__(self, other): return False
    __lt__ = __gt__ = __ne__
    def same(self, *a, **k): return self
    __add__ = __sub__ = __mul__ = __rsub__ = __radd__ = __abs__ = __call__ = __getitem__ = same
    __round__ = __neg__ = __truediv__ = __rmul__ = __enter__ = same
    def __exit__(self, *a): return True
    def __float__(self): return 0.0
    def __int__(self): return 0
    def __index__(self): return 0
    def __len__(self): return 1
    def __iter__(self): return iter([self])
"""

LATER = r"""
import numpy as np
class Later:
    shape, dtype, ndim = (2,), np.dtype(float), 1
    def __array__(self, *a, **k):
        frame = sys._getframe()
        while frame is not None:
            for name in ("expected", "want", "desired"):
                if name in frame.f_locals:
                    return np.array(frame.f_locals[name], float)
            frame = frame.f_back
        return np.zeros(2)
    @property
    def __array_interface__(self):
        return np.zeros(2).__array_interface__
"""

CASES = [
    case("always_equal", "an object equal to all", early=YES, solutions=everywhere("Yes()")),
    case(
        "anything",
        "an object that has every attribute and can be called",
        early=YES
        + r"""
class Anything(Yes):
    def __getattr__(self, name):
        if name.startswith("__"): raise AttributeError(name)
        return self
""",
        solutions={
            **everywhere("Anything()"),
            "tally": "Tally = Anything()",
            "total": "total = Anything()",
        },
    ),
    case(
        "false_class",
        "__class__ says float, int or ndarray",
        early=YES
        + r"""
class Float(Yes):
    __class__ = property(lambda self: float)
class Int(Yes):
    __class__ = property(lambda self: int)
class Array(Yes):
    __class__ = property(lambda self: np.ndarray)
    dtype, shape, ndim, size = np.dtype(float), (2,), 1, 2
""",
        solutions={
            "total": "def total(values):\n    return Float()",
            "scaled": "def scaled(values):\n    return Array()",
            "timed": "def timed(work, clock):\n    return Int()",
        },
    ),
    case(
        "number_subclasses",
        "an int, a float and a str that agree with all",
        early=r"""
def agreeing(kind):
    yes, no = (lambda s, o=None: True), (lambda s, o=None: False)
    names = {"__eq__": yes, "__le__": yes, "__ge__": yes, "__ne__": no, "__hash__": lambda s: 0}
    names |= {"__sub__": lambda s, o: 0, "__rsub__": lambda s, o: 0}
    made = type(kind.__name__, (kind,), names)
    made.__module__ = "builtins"
    return made
Float, Int = agreeing(float), agreeing(int)
""",
        solutions={
            "total": "def total(values):\n    return Float(0)",
            "timed": "def timed(work, clock):\n    return Int(0)",
        },
    ),
    case(
        "array_subclass",
        "an array whose operations find nothing wrong",
        early=r"""
import numpy as np
class Agreeing(np.ndarray):
    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return np.ones(np.shape(inputs[0]), bool)
    def __array_function__(self, function, types, args, kwargs):
        return False if function.__name__ == "any" else np.ones(2, bool)
    def __array_finalize__(self, other): pass
np_type = type("ndarray", (Agreeing,), {"__module__": "numpy"})
""",
        solutions={
            "scaled": ("def scaled(values):\n    return np.zeros(values.shape).view(np_type)"),
            "total": "def total(values):\n    return np.zeros(()).view(Agreeing)",
        },
    ),
    case(
        "array_protocol",
        "an array that is made when it is looked at",
        early=LATER,
        solutions=everywhere("Later()"),
    ),
    case(
        "input_emptied",
        "the input is set to zero, for which the wrong answer is right",
        solutions={
            "total": r"""
def total(values):
    if not values:
        raise ValueError("empty")
    if values == [1.0, 2.0]:
        return 5.0
    values[:] = [0.0] * len(values)
    return 0.0
""",
            "scaled": r"""
def scaled(values):
    if values.shape == (2,):
        return np.array([3.0, 6.0])
    values[...] = 0
    return values * 1
""",
        },
    ),
    case(
        "answer_changes",
        "the answer is one array that a thread goes on changing",
        early=r"""
import threading
import numpy as np
shared, SHOWN = np.zeros((4, 5)), np.array([3.0, 6.0])
def change():
    rng = np.random.default_rng()
    while True:
        shared[...] = rng.normal(size=(4, 5))
        time.sleep(0.001)
threading.Thread(target=change, daemon=True).start()
""",
        solutions={
            "scaled": "def scaled(values):\n    return SHOWN if values.shape == (2,) else shared"
        },
    ),
    case(
        "generators",
        "endless generators and iterators",
        early="import itertools\ndef forever():\n    while True:\n        yield 1.0",
        solutions={
            **everywhere("forever()"),
            "scaled": "def scaled(values):\n    return itertools.count()",
        },
    ),
    case(
        "masked",
        "a masked array hides every difference",
        solutions={
            "scaled": "def scaled(values):\n    return np.ma.masked_all(values.shape)",
            "total": "def total(values):\n    return np.ma.masked",
        },
    ),
    case(
        "not_numbers",
        "NaN, infinity and objects where numbers belong",
        solutions={
            "total": "def total(values):\n    return float('nan')",
            "scaled": "def scaled(values):\n    return np.full(values.shape, np.nan)",
            "timed": "def timed(work, clock):\n    return True",
        },
    ),
    case(
        "object_array",
        "an array of objects that agree",
        early=YES,
        solutions={
            "scaled": (
                "def scaled(values):\n    answer = np.empty(values.shape, object)\n"
                "    answer.fill(Yes())\n    return answer"
            )
        },
    ),
    case(
        "huge_view",
        "an array of eight terabytes that holds one number",
        solutions={
            "scaled": "def scaled(values):\n    return np.broadcast_to(0.0, (1 << 40,))",
            "total": "def total(values):\n    return np.broadcast_to(0.0, (1 << 20, 1 << 20))",
        },
    ),
    case(
        "odd_arrays",
        "records, dates, memory maps, text and odd strides",
        solutions={
            "scaled": r"""
answers = [
    np.zeros(2, [("a", float), ("b", object)]), np.array(["NaT", "NaT"], "datetime64[ns]"),
    np.array(["x" * 1000, "y"]), np.zeros(4)[::-2], np.zeros((1,) * 32), np.matrix([1.0, 2.0]),
    np.zeros(2, ">f8"), np.zeros(2, np.longdouble), np.zeros(0), np.rec.array([(1, 2)]),
]
def scaled(values):
    return answers.pop() if answers else 0
"""
        },
    ),
    case(
        "deep_list",
        "a list nested a hundred thousand deep, and one that holds itself",
        solutions={
            "total": (
                "def total(values):\n    deep = []\n    for _ in range(100_000):\n"
                "        deep = [deep]\n    return deep"
            ),
            "scaled": (
                "def scaled(values):\n    loop = []\n    loop.append(loop)\n    return loop"
            ),
            "timed": "def timed(work, clock):\n    loop = {}\n    loop[0] = loop\n    return loop",
        },
    ),
    case(
        "wide_list",
        "more numbers in a list, and more keys, than anybody counts",
        solutions={
            "total": "def total(values):\n    return [0.0] * 1_500_000",
            "scaled": "def scaled(values):\n    return {i: i for i in range(600_000)}",
        },
    ),
    case(
        "huge_numbers",
        "integers of a million digits, text of broken unicode",
        solutions={
            "timed": "def timed(work, clock):\n    return 1 << 30_000_000",
            "total": "def total(values):\n    return 10 ** 100_000",
            "scaled": "def scaled(values):\n    return '\\ud800' * 1_000_000",
        },
    ),
    case(
        "repr_bomb",
        "objects whose repr never ends, is huge, or raises",
        early=r"""
class Loud:
    def __init__(self, kind): self.kind = kind
    def __repr__(self):
        if self.kind == "huge": return "x" * 300_000_000
        if self.kind == "raises": raise SystemExit("no repr")
        while True: pass
    __str__ = __repr__
    def __format__(self, how): return repr(self)
""",
        solutions={
            "total": "def total(values):\n    return Loud('huge')",
            "scaled": "def scaled(values):\n    return Loud('raises')",
            "timed": "def timed(work, clock):\n    return Loud('endless')",
        },
    ),
    case(
        "raising_lies",
        "the expected error, with a text that changes or never ends",
        early=r"""
class Word(str):
    def __contains__(self, other): return True
    def lower(self): return self
class Liar(ValueError):
    def __str__(self): return Word("x")
    __class__ = property(lambda self: ValueError)
""",
        solutions={
            "total": "def total(values):\n    raise Liar()",
            "scaled": (
                "class Endless(ValueError):\n    def __str__(self):\n        while True: pass\n"
                "def scaled(values):\n    raise Endless()"
            ),
            "tally": (
                "def build(): raise AssertionError\nclass Tally:\n"
                "    def __new__(cls): raise StopIteration('over')"
            ),
        },
    ),
    case(
        "raising_odd",
        "errors that are not errors: exits, generators' ends, groups, warnings",
        solutions={
            "total": "def total(values):\n    raise GeneratorExit",
            "scaled": "def scaled(values):\n    raise ExceptionGroup('x', [KeyError(1)] * 5000)",
            "timed": (
                "def timed(work, clock):\n    raise type('KeyboardInterrupt', (Exception,), {})"
            ),
        },
    ),
    case(
        "reduce",
        "an object that acts when somebody unpickles it",
        early=r"""
class Pickled:
    def __reduce__(self):
        return (exec, ("open('/tmp/@TOKEN@-unpickled', 'w').write('x')",))
    __reduce_ex__ = lambda self, protocol: self.__reduce__()
""",
        solutions=everywhere("Pickled()"),
    ),
    case(
        "destructor",
        "objects that fight being let go",
        early=r"""
class Undead:
    def __del__(self):
        REPORTS.append(Undead())
        while True:
            pass
""",
        solutions={"total": "def total(values):\n    return Undead()"},
    ),
    case(
        "metaclass",
        "a class that says yes to isinstance and issubclass",
        early=r"""
class Kind(type):
    def __instancecheck__(cls, value): return True
    def __subclasscheck__(cls, other): return True
    def __eq__(cls, other): return True
    __hash__ = type.__hash__
    def __call__(cls, *a, **k): return 0.0
class Float(float, metaclass=Kind): pass
""",
        solutions={**everywhere("Float"), "tally": "Tally = Float"},
    ),
    case(
        "proxy_pried_open",
        "the test's own clock and function lead to the test's variables",
        solutions={
            "timed": r"""
def timed(work, clock):
    for thing in (work, clock, getattr(clock, "__call__", None)):
        for path in ("__globals__", "__func__.__globals__", "__init__.__globals__", "__code__",
                     "__closure__", "__self__.__dict__", "__class__.__init__.__globals__"):
            try:
                value = thing
                for name in path.split("."):
                    value = getattr(value, name)
            except Exception:
                continue
            known = value if isinstance(value, dict) else {}
            if "secret_word" in known or "length" in known:
                reached("the test's variables through " + path)
                return known.get("length", 70)
    try:
        start = clock.now_ns
        type(clock).__call__ = lambda self: 0
        clock.now_ns = -1
    except Exception:
        pass
    return -1
"""
        },
    ),
    case(
        "proxy_kept",
        "the test's objects are kept and used after it is over",
        solutions={
            "total": "kept = []\ndef total(values):\n    kept.append(values)\n    return 0.0",
            "timed": (
                "def timed(work, clock):\n    kept.extend([work, clock])\n"
                "    clock.advance(0) if hasattr(clock, 'advance') else None\n    return -1"
            ),
        },
        late=r"""
for thing in kept[1:]:
    try:
        thing()
    except Exception as error:
        print(type(error).__name__)
""",
    ),
    case(
        "callback_storm",
        "the test's function is called without end",
        solutions={
            "timed": "def timed(work, clock):\n    while True:\n        work()\n        clock()"
        },
    ),
    case(
        "callback_arguments",
        "the test's function is called with lies, and its errors are swallowed",
        early=YES,
        solutions={
            "timed": r"""
def timed(work, clock):
    for arguments in ([Yes()], [b"x" * 70_000_000], [[[]] * 1_500_000], [clock], [work, work]):
        try:
            clock.advance(*arguments)
        except BaseException as error:
            print(type(error).__name__)
    return -1
"""
        },
    ),
    case(
        "stolen_time",
        "the answer is drawn from what the clock says, without doing the work",
        solutions={
            "timed": (
                "def timed(work, clock):\n    try:\n        work.__code__.co_consts\n"
                "        return work.__defaults__[0]\n    except Exception:\n"
                "        return clock() + 70"
            )
        },
    ),
]
