"""Cells behave as in a Jupyter kernel, or fail in the way that is written down."""

from __future__ import annotations

from typing import Any

import pytest

from tests.grading.sandbox.cells import run, said
from tito.grading.sandbox.process import Sandbox


def shown(sandbox: Sandbox, source: str) -> list[tuple[str, Any]]:
    return [(each["msg_type"], each["content"]) for each in run(sandbox, source)["shown"]]


def test_prints_come_in_order_and_in_few_messages(shared: Sandbox) -> None:
    code = "import sys\nfor n in range(500):\n    print(n)\nprint('e', file=sys.stderr)\nprint('o')"
    messages = [content for kind, content in shown(shared, code) if kind == "stream"]
    assert len(messages) < 10
    assert [each["name"] for each in messages][-2:] == ["stderr", "stdout"]
    text = "".join(each["text"] for each in messages)
    assert text == "".join(f"{n}\n" for n in range(500)) + "e\no\n"


def test_prints_appear_while_the_cell_runs(shared: Sandbox) -> None:
    code = "import time\nfor n in range(4):\n    print(n)\n    time.sleep(0.06)"
    assert len(shown(shared, code)) >= 2


def test_a_display_comes_after_what_was_printed_before_it(shared: Sandbox) -> None:
    code = "print('a')\ndisplay('b')\nprint('c')\n'd'"
    kinds = [kind for kind, _ in shown(shared, code)]
    assert kinds == ["stream", "display_data", "stream", "execute_result"]


def test_values_have_their_rich_forms(shared: Sandbox) -> None:
    code = """
class Rich:
    def _repr_html_(self): return "<b>x</b>"
    def _repr_png_(self): return b"\\x89PNG"
    def _repr_mimebundle_(self, include=None, exclude=None):
        return {"application/json": {"n": 1, 2: (3,)}}
    def __repr__(self): return "plain"
Rich()
"""
    [(kind, content)] = shown(shared, code)
    assert kind == "execute_result"
    assert content["data"]["text/plain"] == "plain"
    assert content["data"]["text/html"] == "<b>x</b>"
    assert content["data"]["image/png"].strip() == "iVBORw=="
    assert content["data"]["application/json"] == {"n": 1, "2": [3]}
    assert shown(shared, "Rich();") == []


def test_a_plotly_figure_is_a_figure(shared: Sandbox) -> None:
    pytest.importorskip("plotly")
    code = "import plotly.graph_objects as go\nfigure = go.Figure(go.Bar(y=[1, 2]))\n"
    for last in ("figure", "figure.show()"):
        [(_, content)] = shown(shared, code + last)
        assert "application/vnd.plotly.v1+json" in content["data"]
        assert "text/html" not in content["data"]  # not a copy of plotly.js a figure


def test_a_display_can_be_updated_and_cleared(shared: Sandbox) -> None:
    code = "h = display('a', display_id='mine')\nh.update('b')"
    (first, one), (second, two) = shown(shared, code)
    assert (first, second) == ("display_data", "update_display_data")
    assert one["transient"] == two["transient"] == {"display_id": "mine"}
    assert two["data"]["text/plain"] == "'b'"
    code = "from IPython.display import clear_output\nprint(1)\nclear_output(wait=True)"
    assert shown(shared, code)[-1] == ("clear_output", {"wait": True})


def test_a_widget_shows_its_static_form(shared: Sandbox) -> None:
    pytest.importorskip("ipywidgets")
    code = "import ipywidgets as w\ns = w.IntSlider(value=3, description='n')\ndisplay(s)\ns"
    for _, content in shown(shared, code):
        assert "IntSlider(value=3" in content["data"]["text/plain"]
        assert not any("widget-view" in kind for kind in content["data"])
    code = "seen = []\nw.interact(lambda x: seen.append(x), x=(0, 4))\nprint(seen)"
    assert said(shared, code).endswith("[2]")
    assert said(shared, "out = w.Output()\nwith out:\n    print('in')") == "in"


def test_magics_and_shell_lines_work(shared: Sandbox) -> None:
    said(shared, "open('here.txt', 'w').close()")
    assert said(shared, "!ls") == "here.txt"
    assert said(shared, "x = !echo one; echo two\nprint(list(x))") == "['one', 'two']"
    assert said(shared, "!exit 3\nprint(_exit_code)") == "3"
    assert said(shared, "name = 'there'\n!echo hello {name} $name") == "hello there there"
    assert "Wall time" in said(shared, "%%time\nsum(range(10))")
    assert "per loop" in said(shared, "%timeit -n 2 -r 2 1 + 1")
    assert said(shared, "%%bash\necho from bash") == "from bash"
    assert said(shared, "%%writefile made.py\nz = 4") == "Writing made.py"
    assert said(shared, "import made\nprint(made.z)\n!rm made.py here.txt") == "4"
    assert "not found" in said(shared, "!no-such-program")
    assert run(shared, "%no_such_magic")["reply"]["status"] == "error"
    assert "UsageError" in said(shared, "%no_such_magic")


def test_what_other_programs_print_is_shown(shared: Sandbox) -> None:
    code = """
import ctypes, os, subprocess
os.system("echo from a program")
subprocess.run(["echo", "from a child"])
ctypes.CDLL(None).puts(b"from C"); ctypes.CDLL(None).fflush(None)
os.write(1, b"from a descriptor\\n")
"""
    words = said(shared, code)
    for each in ("a program", "a child", "C", "a descriptor"):
        assert f"from {each}\n" in words + "\n"
    assert said(shared, "1;") == ""  # and not again


def test_await_works_at_the_top(shared: Sandbox) -> None:
    code = "import asyncio\nasync def f():\n    await asyncio.sleep(0.01)\n    return 7\nawait f()"
    assert shown(shared, code)[0][1]["data"]["text/plain"] == "7"


def test_nobody_answers_input(shared: Sandbox) -> None:
    for code in ("input()", "import getpass\ngetpass.getpass()"):
        assert "nobody to ask" in said(shared, code)


@pytest.mark.parametrize("code", ["exit()", "quit", "import sys; sys.exit(3)", "raise SystemExit"])
def test_leaving_ends_nothing_but_the_cell(shared: Sandbox, code: str) -> None:
    said(shared, "kept = 5")
    messages = run(shared, code if code == "quit" else f"{code}\nkept = 6")
    assert messages["reply"]["ename"] == "SystemExit"
    assert all(each["content"].get("name") != "stderr" for each in messages["shown"])
    assert said(shared, "print(kept)") == "5"


def test_an_error_is_told_plainly(shared: Sandbox) -> None:
    reply = run(shared, "def f(n):\n    return 1 / n\nf(0)")
    assert reply["reply"]["status"] == "error"
    assert reply["reply"]["ename"] == "ZeroDivisionError"
    [error] = [each["content"] for each in reply["shown"]]
    text = "\n".join(error["traceback"])
    assert "1 / n" in text
    assert "\x1b" not in text
    assert "inside" not in text  # the student's lines, not the machinery's


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("def (", "SyntaxError"),
        ("  x = 1\n y", "IndentationError"),
        ("raise ExceptionGroup('g', [ValueError('v')])", "ExceptionGroup"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("class E(Exception):\n    def __str__(self): raise ValueError\nraise E", ""),
        ("class R:\n    def __repr__(self): raise ValueError('r')\nR()", ""),
    ],
)
def test_each_error_has_an_output(shared: Sandbox, code: str, name: str) -> None:
    found = run(shared, code)
    errors = [each["content"] for each in found["shown"] if each["msg_type"] == "error"]
    assert errors
    if name:
        assert found["reply"]["ename"] == errors[0]["ename"] == name
    assert said(shared, "print('alive')") == "alive"


def test_names_live_in_main(shared: Sandbox) -> None:
    code = """
import dataclasses, inspect, pickle, sys
@dataclasses.dataclass
class Point:
    x: int
def twice(n):
    return 2 * n
print(__name__, Point.__module__, sys.modules["__main__"].twice is twice)
print(pickle.loads(pickle.dumps(Point(3))), pickle.loads(pickle.dumps(twice))(4))
print(inspect.getsource(twice).splitlines()[0])
"""
    assert said(shared, code).splitlines() == [
        "__main__ __main__ True",
        "Point(x=3) 8",
        "def twice(n):",
    ]


def test_numbers_and_history_are_a_kernels(sandbox: Sandbox) -> None:
    assert [run(sandbox, str(n))["reply"]["execution_count"] for n in (7, 8)] == [1, 2]
    assert said(sandbox, "print(_, __, Out[1], In[1], _1)") == "8 7 7 7 7"
    names = eval(said(sandbox, "print([n for n in dir() if not n.startswith('_')])"))
    assert set(names) == {"In", "Out", "exit", "get_ipython", "quit", "open"}


def test_two_sandboxes_draw_different_random_numbers(sandbox: Sandbox, shared: Sandbox) -> None:
    code = (
        "import random, numpy as np, uuid\nprint(np.random.rand(), random.random(), uuid.uuid4())"
    )
    one, two = (said(each, code).split() for each in (sandbox, shared))
    assert not set(one) & set(two)


def test_a_stream_takes_text_alone(shared: Sandbox) -> None:
    assert said(shared, "import sys\nsys.stdout.write(b'x')").startswith("TypeError")
    assert said(shared, "print(sys.stdout.isatty(), sys.stdout.encoding)") == "False utf-8"
    assert said(shared, "class S(str): pass\nprint(S('sub'), flush=True)") == "sub"
