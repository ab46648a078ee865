"""What a graded cell can do with the student's objects, and what it is refused."""

from __future__ import annotations

import gc
import time
from typing import Any

import numpy as np
import pytest

from tests.grading.judge.conftest import Connect
from tinytorch import Tensor
from tito.grading.judge.handles import Handle
from tito.grading.judge.link import Budget, Link
from tito.grading.judge.remote_errors import (
    CellDeadlineError,
    SandboxLostError,
    remote_traceback,
)

STUDENT = """
import numpy as np
from tinytorch import Tensor

class Box:
    made = 0
    def __init__(self, x=0):
        self.x = x
        Box.made += 1
    def itself(self): return self
    def __add__(self, other): return Box(self.x + other)
    def __radd__(self, other): return Box(other - self.x)
    def __matmul__(self, other): return self.x @ other
    def __neg__(self): return Box(-self.x)
    def __getitem__(self, key): return (self.x, key)
    def __setitem__(self, key, value): self.x = (key, value)
    def __len__(self): return 3
    def __float__(self): return 2.5
    def __index__(self): return 7
    def __eq__(self, other): return True
    def __bool__(self): return True
    def __iter__(self): return iter([1, 2])
    def __contains__(self, item): return True
    def __repr__(self): return f"Box({self.x})"

class Timer:
    def __init__(self, clock, swallow=False):
        self.clock, self.swallow, self.seen = clock, swallow, None
    def __enter__(self):
        self.start = self.clock()
        return self
    def __exit__(self, kind, error, trace):
        self.seen = None if error is None else (kind.__name__, str(error))
        self.elapsed_ns = self.clock() - self.start
        return self.swallow

def echo(*args, **kwargs): return (args, kwargs)
def call(fn, *args, **kwargs): return fn(*args, **kwargs)
def boxes(): return [Box(1), {"b": Box(2)}, 3]
def kind_of(value): return type(value).__name__
def fail(error): raise error
def printing(): print("hello"); return 1
class MyError(ValueError): pass
def my_error(): raise MyError("my own")
counter = 0
"""


@pytest.fixture
def link(connect: Connect) -> Link:
    return connect(STUDENT)


def test_data_arrives_as_data(link: Link) -> None:
    echo = link.ask("name", "echo")
    args, kwargs = echo(1, "a", None, (2.5, [True]), key={"k": b"v"})
    assert args == (1, "a", None, (2.5, [True]))
    assert kwargs == {"key": {"k": b"v"}}
    ((array, tensor), _) = echo(np.arange(3), Tensor(np.ones(2, np.float32), requires_grad=True))
    np.testing.assert_array_equal(array, [0, 1, 2])
    assert type(tensor) is Tensor
    assert tensor.requires_grad


def test_an_object_is_one_handle_while_it_lives(link: Link) -> None:
    box = link.ask("name", "Box")(4)
    assert type(box) is Handle
    assert box.itself() is box
    assert link.ask("name", "echo")(box)[0][0] is box
    assert Handle.remote_type(box) == "Box"


def test_operators_attributes_items_and_text(link: Link) -> None:
    box = link.ask("name", "Box")(4)
    assert (box + 3).x == 7
    assert (10 + box).x == 6
    assert (-box).x == -4
    assert box["k"] == (4, "k")
    box[1] = 2
    assert box.x == (1, 2)
    box.x = np.ones((2, 2))
    np.testing.assert_array_equal(box @ np.ones((2, 1)), [[2], [2]])
    assert (len(box), float(box), range(9)[box]) == (3, 2.5, 7)
    box.x = 5
    assert (str(box), repr(box), f"{box}", f"{box:>8}") == (
        "Box(5)",
        "Box(5)",
        "Box(5)",
        "  Box(5)",
    )
    del box.x
    assert not hasattr(box, "x")
    assert isinstance(box, link.ask("name", "Box"))
    assert not isinstance(3, link.ask("name", "Box"))


def test_comparison_truth_and_iteration_are_refused(link: Link) -> None:
    box = link.ask("name", "Box")(4)
    for use in (
        lambda: box == 4,
        lambda: box != 4,
        lambda: box == 4,
        lambda: box < 4,
        lambda: [box] == [4],
        lambda: bool(box),
        lambda: list(box),
        lambda: 1 in box,
        lambda: {box},
        lambda: box in (1, 2),
        lambda: np.asarray(box),
        lambda: np.isclose(np.ones(2), [box, box]),
    ):
        with pytest.raises(TypeError, match="student's object"):
            use()


def test_handles_inside_containers(link: Link) -> None:
    first, second, third = link.ask("name", "boxes")()
    assert (first.x, second["b"].x, third) == (1, 2, 3)


def test_dropped_handles_are_released_in_the_sandbox(connect: Connect) -> None:
    link = connect(
        "import gc, weakref\nalive = weakref.WeakSet()\nclass Box: pass\n"
        "def make():\n    b = Box(); alive.add(b); return b\n"
        "def count():\n    gc.collect(); return len(alive)\n"
        "def same(b): return b\n"
    )
    make, count, same = (link.ask("name", name) for name in ("make", "count", "same"))
    boxes = [make() for _ in range(5)]
    assert count() == 5
    assert same(boxes[0]) is boxes[0]
    del boxes[1:]
    gc.collect()
    assert count() == 1
    again = same(boxes[0])
    boxes.clear()
    assert count() == 1
    assert again is same(again)
    del again
    assert count() == 0


def test_errors_arrive_as_builtins_with_the_students_traceback(link: Link) -> None:
    with pytest.raises(ValueError, match="my own") as error:
        link.ask("name", "my_error")()
    assert type(error.value) is ValueError
    assert "in my_error" in remote_traceback(error.value)
    assert "agent.py" not in remote_traceback(error.value)
    fail = link.ask("name", "fail")
    with pytest.raises(KeyError) as missing:
        fail(KeyError("name"))
    assert missing.value.args == ("name",)
    with pytest.raises(NotImplementedError):
        fail(NotImplementedError())
    with pytest.raises(ZeroDivisionError):
        fail(ZeroDivisionError("x"))
    with pytest.raises(NameError, match="'nothing' is not defined"):
        link.ask("name", "nothing")


@pytest.mark.parametrize(
    "error", [StopIteration(1), SystemExit(0), KeyboardInterrupt(), GeneratorExit()]
)
def test_errors_that_would_end_more_than_the_test_are_runtime_errors(
    link: Link, error: BaseException
) -> None:
    fail = link.ask("name", "fail")
    with pytest.raises(RuntimeError, match=type(error).__name__):
        fail(error)
    assert link.lost is None


def test_with_blocks_reach_the_student(link: Link) -> None:
    times = iter([5, 9, 20, 29])
    timer = link.ask("name", "Timer")(lambda: next(times))
    with timer as entered:
        assert entered is timer
    assert timer.elapsed_ns == 4
    with pytest.raises(KeyError), timer:
        raise KeyError("the block failed")
    assert timer.seen == ("KeyError", "'the block failed'")
    assert timer.elapsed_ns == 9


def test_a_with_block_swallows_nothing(link: Link) -> None:
    timer = link.ask("name", "Timer")(lambda: 0, swallow=True)
    with pytest.raises(AssertionError, match="swallowed the KeyError"), timer:
        raise KeyError("lost")
    with pytest.raises(AssertionError), timer:
        raise AssertionError("a test's own check")


def test_private_names_of_python_are_not_asked(link: Link) -> None:
    box = link.ask("name", "Box")(1)
    for name in ("__array_interface__", "__dict__", "__globals__"):
        with pytest.raises(AttributeError):
            getattr(box, name)
    assert link.ask("name", "echo").__name__ == "echo"


def test_what_functions_print_reaches_the_judge(connect: Connect) -> None:
    told: list[str] = []
    link = connect(STUDENT, printed=told.append)
    assert link.ask("name", "printing")() == 1
    assert told == ["hello\n"]


def test_the_number_of_live_handles_is_bounded(connect: Connect) -> None:
    link = connect("def many(n): return [object() for _ in range(n)]", budget=Budget(handles=50))
    many = link.ask("name", "many")
    kept = many(40)
    assert len(kept) == 40
    with pytest.raises(SandboxLostError, match="more than 50 objects"):
        many(20)
    assert link.lost is not None


def test_a_value_too_large_for_a_frame_is_a_handle(connect: Connect) -> None:
    link = connect(
        "import numpy as np\nclass V: pass\nloop = []; loop.append(loop)\n"
        "def large(): return np.zeros(9 << 20)\ndef huge(): return 10 ** 5000\n"
        "def deep():\n    d = 0\n    for _ in range(5000): d = [d]\n    return d\n"
    )
    assert type(link.ask("name", "loop")) is Handle
    assert link.ask("name", "loop")[0] is link.ask("name", "loop")
    for name in ("large", "huge", "deep"):
        assert type(link.ask("name", name)()) is Handle
    assert link.ask("name", "large")().shape == (9 << 20,)


def test_a_handle_of_a_lost_sandbox_says_so(connect: Connect) -> None:
    old = connect(STUDENT).ask("name", "Box")(1)
    echo = connect(STUDENT).ask("name", "echo")
    with pytest.raises(TypeError, match="each test cell must make the objects"):
        echo(old)


def test_a_late_call_is_interrupted_and_the_sandbox_lives(connect: Connect) -> None:
    link = connect("def loop():\n    while True: pass\ndef f(): return 5", seconds=0.3)
    loop, f = link.ask("name", "loop"), link.ask("name", "f")
    with pytest.raises(CellDeadlineError):
        loop()
    assert (link.late, link.lost) == (True, None)
    link.begin_cell(time.monotonic() + 5, test=True)
    assert f() == 5


def test_attributes_set_by_the_judge_stay_in_the_sandbox(link: Link) -> None:
    box: Any = link.ask("name", "Box")(1)
    box.fresh = [1, 2]
    assert box.fresh == [1, 2]
