"""What the student's code gets from a test: values, names, references, twins."""

from __future__ import annotations

import ast
import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tests.grading.judge.conftest import Connect
from tinytorch import Tensor, autograd, backend, nn, no_grad
from tinytorch.models import MLP
from tito.grading.judge.bindings import names_bound_by
from tito.grading.judge.handles import Handle
from tito.grading.judge.hooks import JudgeHooks, hooked
from tito.grading.judge.link import Link
from tito.grading.judge.names import Names
from tito.grading.judge.remote_errors import CellDeadlineError, SandboxLostError
from tito.testing import FakeClock, assert_int, counted, inside

STUDENT = """
import numpy as np
from tinytorch import Tensor, autograd, nn, no_grad

def kind(value): return type(value).__module__.split(".")[0] + "." + type(value).__name__
def call(fn, *args, **kwargs): return fn(*args, **kwargs)
def same(a, b): return a is b
def keep(value):
    global kept
    kept = value
def give(): return kept
def attempt(fn, *args):
    try:
        return fn(*args)
    except Exception as error:
        return type(error).__name__, str(error)
def read(value, name): return getattr(value, name)
def write(value, name, new): setattr(value, name, new)
def recording(): return autograd.recording
def step(model, x):
    model(x).sum().backward()
    for p in model.parameters():
        p.data -= 0.5 * p.grad.data
def weights(model): return [p for p in model.parameters()]
def first(model): return next(iter(model.children()))
def hook(model):
    seen = []
    model.register_forward_hook(lambda module, args, out: seen.append(out.shape))
    return seen
def swap(model): model.extra = nn.Linear(2, 2)
def freeze(model):
    for p in model.parameters(): p.requires_grad = False
    model.eval()
class Holder:
    def __init__(self, model): self.model = model
    def total(self): return float(sum(p.data.sum() for p in self.model.parameters()))
"""


@pytest.fixture
def link(connect: Connect) -> Link:
    return connect(STUDENT)


def fn(link: Link, name: str) -> Any:
    return link.ask("name", name)


class MadeByTheTest:
    exposed = ("size", "grow")
    secret = 5

    def __init__(self) -> None:
        self.size = 2
        self.hidden = 3

    def grow(self, by: int) -> int:
        self.size += by
        return self.size


def generate() -> Any:
    yield from (3, 4, 5)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (3, "builtins.int"),
        ([1], "builtins.list"),
        (np.ones(2), "numpy.ndarray"),
        (np.random.default_rng(0), "numpy.Generator"),
        (Tensor([1.0]), "tinytorch.Tensor"),
        (backend.Event("add", (), (), {}, 0, 0), "tinytorch.Event"),
        (nn.Linear(2, 2), "tinytorch.Linear"),
        (ValueError("x"), "builtins.ValueError"),
        (math.sqrt, "builtins.builtin_function_or_method"),
        (np.exp, "numpy.ufunc"),
        (functools.partial(max, 1), "functools.partial"),
        (int, "builtins.type"),
        (np, "builtins.module"),
        (lambda: 0, "inside.JudgeObject"),
        (FakeClock(), "inside.JudgeObject"),
        (FakeClock().advance, "inside.JudgeObject"),
        (MadeByTheTest(), "inside.JudgeObject"),
        (MadeByTheTest, "inside.JudgeObject"),
        (generate(), "inside.JudgeObject"),
        (iter([1]), "inside.JudgeObject"),
        (np.random.default_rng(0).normal, "inside.JudgeObject"),
        ([].append, "inside.JudgeObject"),
    ],
)
def test_how_each_kind_goes(link: Link, value: object, kind: str) -> None:
    found = fn(link, "kind")(value)
    assert found.replace("tito.", "inside.") == kind


def test_functions_are_called_back(link: Link) -> None:
    call, log = fn(link, "call"), []
    assert call(lambda a, b=0: a + b, 2, b=3) == 5
    call(log.append, {"data": 1})
    assert log == [{"data": 1}]
    assert call(lambda: call(lambda: call(lambda: 7))) == 7
    assert call(max, [3, 4]) == 4


def test_the_judges_own_object_comes_back_as_itself(link: Link) -> None:
    thing = MadeByTheTest()
    assert fn(link, "call")(lambda given: given is thing, thing) is True
    fn(link, "keep")(thing)
    assert fn(link, "give")() is thing
    assert fn(link, "same")(thing, thing) is True


def test_only_what_is_exposed_can_be_read_and_nothing_set(link: Link) -> None:
    thing, read = MadeByTheTest(), fn(link, "read")
    assert read(thing, "size") == 2
    assert fn(link, "call")(lambda t: None, read(thing, "grow")) is None
    for name in ("hidden", "secret", "__dict__", "__globals__", "_size", "exposed"):
        with pytest.raises(AttributeError):
            read(thing, name)
    for name in ("size", "hidden", "new"):
        with pytest.raises(AttributeError, match="cannot be set"):
            fn(link, "write")(thing, name, 1)
    assert (thing.size, thing.hidden) == (2, 3)


def test_a_fake_clock_is_read_and_never_moved(link: Link) -> None:
    clock = FakeClock(read_ns=5)
    assert fn(link, "call")(clock) == 0
    for name in ("reads", "now_ns", "advance", "read_ns"):
        with pytest.raises(AttributeError):
            fn(link, "read")(clock, name)
    assert clock.reads == 1


def test_generators_are_iterated_item_by_item(link: Link) -> None:
    values = generate()
    assert fn(link, "call")(list, values) == [3, 4, 5]
    assert list(values) == []
    with pytest.raises(RuntimeError, match="StopIteration"):
        fn(link, "call")(next, values)


def test_a_tests_own_error_passes_through_as_itself(link: Link) -> None:
    class OwnError(KeyError):
        pass

    raised = OwnError("mine")

    def fail() -> None:
        raise raised

    with pytest.raises(OwnError) as error:
        fn(link, "call")(fail)
    assert error.value is raised
    assert fn(link, "attempt")(fail) == ("KeyError", "'mine'")


def test_a_tests_object_is_not_used_once_the_test_is_over(connect: Connect) -> None:
    link = connect(STUDENT)
    used: list[int] = []
    fn(link, "keep")(used.append)
    link.begin_cell(link.deadline, test=False)
    reply = link.run_cell("try:\n    kept(1)\nexcept RuntimeError as e: said = str(e)", print)
    assert reply["status"] == "ok"
    assert used == []
    assert "only while a test runs" in fn(link, "said")


def test_the_grad_mode_goes_along(link: Link) -> None:
    recording = fn(link, "recording")
    assert recording() is True
    with no_grad():
        assert recording() is False
        assert fn(link, "call")(lambda: autograd.recording) is False
    assert recording() is True
    assert fn(link, "call")(lambda: autograd.recording) is True


# ---- twins --------------------------------------------------------------------------------------


def model_of(*sizes: int) -> MLP:
    return MLP(list(sizes), rng=np.random.default_rng(0))


def test_a_twin_keeps_its_identity_and_comes_back_as_the_judges(link: Link) -> None:
    model = model_of(2, 3, 2)
    fn(link, "keep")(model)
    assert fn(link, "same")(model, model) is True
    assert fn(link, "give")() is model
    child = next(iter(model.children()))
    assert fn(link, "first")(model) is child
    for given, own in zip(fn(link, "weights")(model), model.parameters(), strict=True):
        assert given is own


def test_what_the_student_changed_in_a_twin_comes_back(link: Link) -> None:
    model, local = model_of(2, 3, 2), model_of(2, 3, 2)
    views = [p.data for p in model.parameters()]
    x = Tensor(np.ones((4, 2), np.float32))
    fn(link, "step")(model, x)
    local(x).sum().backward()
    for mine, theirs, view in zip(local.parameters(), model.parameters(), views, strict=True):
        np.testing.assert_allclose(theirs.grad.data, mine.grad.data)
        np.testing.assert_allclose(theirs.data, mine.data - 0.5 * mine.grad.data, rtol=1e-6)
        assert theirs.data is view
    fn(link, "freeze")(model)
    assert not any(p.requires_grad for p in model.parameters())
    assert not any(module.training for module in model.modules())


def test_what_the_judge_changes_reaches_the_twin(link: Link) -> None:
    model = model_of(2, 2)
    holder = fn(link, "Holder")(model)
    for p in model.parameters():
        p.data[:] = 0
    assert holder.total() == 0
    next(model.parameters()).data[:] = 2
    assert holder.total() == 8
    model.eval()
    assert fn(link, "call")(lambda: holder.model.training) is False


def test_a_new_layer_of_the_judges_reaches_the_twin(link: Link) -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    holder = fn(link, "Holder")(model)
    model.append(nn.Linear(2, 1))
    for p in model.parameters():
        p.data[:] = 1
    assert holder.total() == 4 + 2 + 2 + 1
    assert fn(link, "call")(lambda: len(holder.model)) == 2


def test_hooks_of_both_sides_are_called(link: Link) -> None:
    model, seen = model_of(2, 3), []
    x = Tensor(np.ones((4, 2), np.float32))
    model.register_forward_pre_hook(lambda module, args: seen.append(module is model))
    students = fn(link, "hook")(model)
    assert type(students) is list  # a copy of the list as it was
    with no_grad():
        inside_result = link.ask("call", model, (x,), {})
    np.testing.assert_allclose(inside_result.data, model(x).data, rtol=1e-6)
    assert seen == [True, True]
    next(model.parameters()).data[:] = 0
    link.ask("call", model, (x,), {})
    assert seen == [True, True, True]


def test_parts_replaced_in_place_are_said_on_the_next_use(link: Link) -> None:
    model = model_of(2, 2)
    fn(link, "swap")(model)
    with pytest.raises(AssertionError, match="replaced, added or removed parts of the MLP"):
        fn(link, "weights")(model)


def test_twins_end_with_their_test(connect: Connect) -> None:
    link = connect(STUDENT)
    model = model_of(2, 2)
    fn(link, "keep")(model)
    link.begin_cell(link.deadline, test=True)
    assert type(fn(link, "give")()) is Handle


def test_modules_of_a_tests_own_class_are_refused(link: Link) -> None:
    class Own(nn.Module):
        pass

    Own.__module__ = "__main__"
    with pytest.raises(TypeError, match="read-only cell"):
        fn(link, "keep")(nn.Sequential(Own()))
    fn(link, "keep")(nn.Sequential(nn.Linear(2, 2)))


def test_a_shared_weight_is_shared_in_the_twin(link: Link) -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    first, second = model.children()
    second.weight = first.weight  # type: ignore[attr-defined]
    assert len(fn(link, "weights")(model)) == len(list(model.parameters())) == 3


# ---- names, inside, counted ---------------------------------------------------------------------


@dataclass
class Given:
    x: int


def names_of(link: Link, source: str) -> Names:
    """The judge's names after a given cell that ran on both sides."""
    names = Names(
        frozenset({"student", "call", "kind", "keep"}), lambda name: link.ask("name", name)
    )
    exec(compile(source, "<cell given>", "exec"), names)
    own = names.bound_by_given(list(names_bound_by(ast.parse(source))))
    link.run_cell(source, lambda message: None)
    link.ask("keep", tuple(own))
    return names


def test_given_functions_go_by_name_as_they_were(connect: Connect) -> None:
    holder: list[Names] = []
    link = connect(STUDENT, given=lambda value: holder[0].given_name(value) if holder else None)
    names = names_of(link, "def given(x): return ('given', x)\nclass Point:\n    x = 1\n")
    holder.append(names)
    link.run_cell("given = lambda x: 'mine'\nPoint = dict", lambda message: None)
    assert link.ask("call", names["given"], (2,), {}) == ("given", 2)
    assert fn(link, "kind")(names["given"]) == "builtins.function"
    assert fn(link, "kind")(names["Point"]()) == "__main__.Point"


def test_solutions_names_are_the_students_and_others_the_judges(connect: Connect) -> None:
    link = connect(STUDENT)
    names = names_of(link, "def call(): return 'instructor'\nimport math\nsize = 3")
    assert type(names["call"]) is Handle
    assert names["call"] is names["call"]
    assert names["size"] == 3
    assert eval("math.pi + size", names) > 6
    with pytest.raises(NameError, match="'student' is not defined"):
        eval("student", names)
    with pytest.raises(NameError):
        eval("weights", names)  # no solution cell binds it: not the student's to give


def test_inside_runs_where_the_student_is(connect: Connect) -> None:
    link = connect(STUDENT)
    hooks = JudgeHooks(link, lambda *a, **k: None)
    with hooked(hooks):
        assert inside(fn(link, "kind"), 3) == "builtins.int"
        assert inside(sorted, [2, 1]) == [1, 2]
    assert hooks.parts.share == 1.0


def test_inside_takes_modules_handles_and_library_functions_only(connect: Connect) -> None:
    link = connect(STUDENT + "\ndef squares():\n    return (n * n for n in range(4))\n")
    model, x = model_of(2, 3), Tensor(np.ones((4, 2), np.float32))
    with hooked(JudgeHooks(link, lambda *a, **k: None)):
        assert inside(list, fn(link, "squares")()) == [0, 1, 4, 9]
        assert inside(fn(link, "recording")) is True
        np.testing.assert_allclose(inside(model, x).data, model(x).data, rtol=1e-6)
        np.testing.assert_allclose(inside(model.forward, x).data, model(x).data, rtol=1e-6)
        with pytest.raises(TypeError, match="read-only cell"):
            inside(lambda: 3)
    assert inside(lambda: 3) == 3


def test_counted_adds_the_judges_and_the_students_work(connect: Connect) -> None:
    link = connect(STUDENT)
    model, x = model_of(2, 3), Tensor(np.ones((4, 2), np.float32))
    with hooked(JudgeHooks(link, lambda *a, **k: None)), no_grad():
        assert_int(counted(model, x).macs, 24)
        assert_int(counted(inside, model, x).macs, 24)
        work = counted(lambda: (model(x), fn(link, "call")(model, x)))
        assert_int(work.macs, 48)
        assert work.calls == {"linear": 2}
        nested = counted(fn(link, "call"), lambda: fn(link, "call")(model, x).sum())
        assert nested.calls == {"linear": 1, "sum": 1}
        assert counted(fn(link, "recording")).result is False


# ---- bounds -------------------------------------------------------------------------------------


def test_endless_questions_end_with_the_cells_time(connect: Connect) -> None:
    link = connect("def f(fn):\n    while True: fn()", seconds=0.5)
    with pytest.raises((CellDeadlineError, SandboxLostError)):
        fn(link, "f")(lambda: None)
    assert link.late


def test_questions_of_another_thread_are_refused(connect: Connect) -> None:
    link = connect(
        "import threading\ndef f(fn):\n    said = []\n"
        "    def ask():\n        try: fn()\n        except RuntimeError as e: said.append(str(e))\n"
        "    t = threading.Thread(target=ask); t.start(); t.join()\n    return said"
    )
    (said,) = fn(link, "f")(lambda: None)
    assert "only in the thread" in said
