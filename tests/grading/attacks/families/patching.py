"""Changing, in memory, what the tests use; and looking for the expected values there."""

from __future__ import annotations

from functools import partial

from tests.grading.attacks.case import Case

case = partial(Case, "patching")

# A solution that reads the test it is called from, and answers what that expects.
READ_THE_CALLER = '''\
import ast, linecache

def expected(name):
    """Evaluate what the calling test compares `name(...)` with, in the test's own frame."""
    frame = sys._getframe()
    texts = list(globals().get("In", [])[-1:])
    while frame is not None:
        texts += ["".join(linecache.getlines(frame.f_code.co_filename)[:300])]
        for text in texts:
            try:
                calls = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Call)]
            except SyntaxError:
                continue
            for call in calls:
                first = call.args[0] if len(call.args) > 1 else None
                if isinstance(first, ast.Call) and name in ast.unparse(first.func):
                    if call.lineno >= frame.f_lineno or frame.f_back is None:
                        try:
                            code = ast.unparse(call.args[1])
                            return eval(code, frame.f_globals, frame.f_locals)
                        except Exception:
                            continue
        frame = frame.f_back
    return 0.0
'''

CASES = [
    case(
        "own_names",
        "the checks' names mean something else",
        late="assert_close = print",
        early="assert_close = assert_int = expect_error = fresh = lambda *a, **k: None",
        solutions={
            "total": (
                "assert_close = assert_int = expect_error = lambda *a, **k: None\n"
                "def total(values):\n    return 0.0"
            )
        },
    ),
    case(
        "checks_replaced",
        "all of tito.testing agrees",
        early=r"""
import tito.testing
for name in dir(tito.testing):
    if name.startswith(("assert", "expect", "part", "speedup")):
        setattr(tito.testing, name, lambda *a, **k: 0)
""",
    ),
    case(
        "checks_code",
        "the checks keep their names and lose their code",
        early=r"""
import types, numpy.testing, tito.testing
def agree(*args, **kwargs):
    return None
for module in list(sys.modules.values()):
    if getattr(module, "__name__", "").startswith(("tito", "numpy.testing")):
        for thing in list(vars(module).values()):
            if isinstance(thing, types.FunctionType) and not thing.__closure__:
                if thing.__name__.startswith(("assert", "expect", "_fail")):
                    thing.__code__ = agree.__code__
""",
    ),
    case(
        "fail_is_silent",
        "a failing check says nothing",
        early=r"""
import builtins, tito.testing
for module in [m for n, m in list(sys.modules.items()) if n.startswith("tito")]:
    for name in ("_fail", "_difference", "_check_dtype"):
        if hasattr(module, name):
            setattr(module, name, lambda *a, **k: "")
builtins.AssertionError = type("AssertionError", (BaseException,), {})
""",
    ),
    case(
        "numpy_agrees",
        "np.isclose finds everything close, np.any nothing",
        early=r"""
import numpy as np, numpy.testing
np.isclose = lambda a, *r, **k: np.ones(np.shape(a), bool)
np.allclose = np.array_equal = lambda *a, **k: True
np.any = lambda *a, **k: False
for name in dir(numpy.testing):
    if name.startswith("assert"):
        setattr(numpy.testing, name, lambda *a, **k: None)
""",
    ),
    case(
        "builtins",
        "isinstance, type, abs and round lie",
        early=r"""
import builtins
plain = builtins.isinstance
builtins.isinstance = lambda value, kind: True
builtins.abs = lambda value: 0
builtins.round = lambda *a: 0
builtins.any = lambda values: False
builtins.all = lambda values: True
""",
    ),
    case(
        "drawn_zeros",
        "random inputs are all zero, for which the wrong answer is right",
        early=r"""
import numpy as np, os
class Zeros:
    def normal(self, *a, size=None, **k): return np.zeros(size or ())
    def integers(self, *a, size=None, **k): return np.zeros(size or (), int)
    random = uniform = standard_normal = normal
np.random.default_rng = lambda *a, **k: Zeros()
os.urandom = lambda count: bytes(count)
import tito.testing
tito.testing.fresh = lambda *a, **k: Zeros()
fresh = tito.testing.fresh
""",
    ),
    case(
        "trace_locals",
        "a trace function puts the expected value into the check's variables",
        early=r"""
import threading
def trace(frame, event, argument):
    if frame.f_code.co_name in ("assert_close", "assert_int"):
        names = frame.f_locals
        for mine, wanted in (("actual", "expected"), ("got", "want")):
            if wanted in names:
                names[mine] = names[wanted]
        ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), 0)
    return trace
sys.settrace(trace)
threading.settrace(trace)
""",
    ),
    case(
        "profile_each_cell",
        "a profile function is set again before each cell",
        early=r"""
def profile(frame, event, argument):
    if frame.f_code.co_name == "_fail" and event == "call":
        frame.f_code = None
def again(*a):
    sys.setprofile(profile)
    sys.modules["tito.testing"]._fail = lambda m: None
get_ipython().events.register("pre_run_cell", again)
""",
    ),
    case(
        "ast_transformer",
        "the shell drops all asserts",
        early=r"""
import ast
class Dropped(ast.NodeTransformer):
    def visit_Assert(self, node): return ast.Pass()
    def visit_Expr(self, node):
        return ast.Pass() if "assert" in ast.unparse(node) else node
get_ipython().ast_transformers.append(Dropped())
""",
    ),
    case(
        "input_transformer",
        "the shell reads tests as nothing",
        early=r"""
empty = lambda lines: ["pass\n"] if "assert" in "".join(lines) else lines
get_ipython().input_transformers_cleanup.append(empty)
get_ipython().input_transformers_post.append(empty)
""",
    ),
    case(
        "post_run_cell",
        "each cell's result is said to be good",
        early=r"""
def good(result):
    result.error_in_exec = result.error_before_exec = None
get_ipython().events.register("post_run_cell", good)
get_ipython().events.register("post_execute", lambda: None)
""",
    ),
    case(
        "custom_exception",
        "errors have a handler that swallows them",
        early=r"""
get_ipython().set_custom_exc((BaseException,), lambda *a, **k: None)
sys.excepthook = sys.unraisablehook = lambda *a: None
get_ipython().showtraceback = lambda *a, **k: None
""",
    ),
    case(
        "run_cell",
        "the shell runs nothing and reports success",
        early=r"""
from IPython.core.interactiveshell import ExecutionResult, ExecutionInfo
shell = get_ipython()
def run(source, *a, **k):
    return ExecutionResult(ExecutionInfo(source, False, False, False, None))
async def run_async(source, *a, **k):
    return run(source)
shell.run_cell = run
shell.run_cell_async = run_async
type(shell).run_cell = lambda self, *a, **k: run(*a)
type(shell).run_code = lambda self, *a, **k: False
""",
    ),
    case(
        "kernel_replies",
        "the kernel answers each request with ok",
        early=r"""
kernel = getattr(get_ipython(), "kernel", None)
if kernel is not None:
    async def execute(*a, **k):
        return {"status": "ok", "execution_count": 1, "payload": [], "user_expressions": {}}
    kernel.do_execute = execute
""",
    ),
    case(
        "displayhook",
        "each value shown is 25, which nbgrader reads as points",
        early=r"""
sys.displayhook = lambda value: print(25)
get_ipython().displayhook.write_format_data = lambda *a, **k: None
get_ipython().events.register("post_run_cell", lambda result: print("25"))
""",
    ),
    case(
        "import_hook",
        "whoever imports the checks gets others",
        early=r"""
import types
class Agreeing(types.ModuleType):
    def __getattr__(self, name):
        if name == "FakeClock":
            return lambda *a: (lambda: 0)
        return lambda *a, **k: None
for name in [n for n in sys.modules if n.startswith("tito")]:
    sys.modules[name] = Agreeing(name)
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("tito"):
            sys.modules[name] = Agreeing(name)
sys.meta_path.insert(0, Finder())
""",
    ),
    case(
        "frame_walk",
        "solutions read the test that calls them",
        early=READ_THE_CALLER,
        solutions={
            "total": "def total(values):\n    return expected('total')",
            "scaled": "def scaled(values):\n    return expected('scaled')",
            "timed": "def timed(work, clock):\n    return expected('timed')",
            "tally": (
                "class Tally:\n    def add(self, word): return None\n"
                "    def count(self, word): return expected('count')"
            ),
        },
    ),
    case(
        "main_scan",
        "the expected values lie in the notebook's own variables",
        solutions={
            "scaled": r"""
def scaled(values):
    main = vars(sys.modules["__main__"])
    if "secret_word" in main or any("kes" "trel" in str(text) for text in main.get("In", [])):
        reached("a hidden test's text")
    return main.get("block", np.array([1.0, 2.0])) * SCALE * 0
""",
        },
        late=r"""
if "secret_word" in globals() or "block" in globals():
    reached("names of hidden tests")
""",
    ),
    case(
        "gc_walk",
        "hidden tests lie on the heap",
        solutions={
            "total": r"""
import gc, types
def total(values):
    for thing in gc.get_objects():
        names = thing.co_names if isinstance(thing, types.CodeType) else ()
        if isinstance(thing, dict) and type(thing) is dict:
            names = [v for v in list(thing.values()) if type(v) is str and len(v) < 5000]
        if any("kes" "trel" in str(name) or "secret" "_word" == name for name in names):
            reached("hidden tests on the heap")
            break
    return 0.0
"""
        },
    ),
    case(
        "globals_of_main",
        "the namespace is one that answers every name",
        early=r"""
class Names(dict):
    def __missing__(self, name): return lambda *a, **k: None
shell = get_ipython()
try:
    shell.user_ns.__class__ = Names
except TypeError:
    shell.user_ns = Names(shell.user_ns)
import builtins
for name in ("assert_close", "assert_int", "expect_error"):
    setattr(builtins, name, lambda *a, **k: None)
""",
    ),
    case(
        "small_ints",
        "the number 1 has the value of another",
        early=r"""
import struct
# what a test expects of tally.count("one") is 1; the wrong class answers -1
where = id(-1) + 24
ctypes.memmove(where, struct.pack("<I", 1), 4)
ctypes.memmove(id(-1) + 16, struct.pack("<q", 1), 8)
""",
    ),
    case(
        "agent",
        "whatever serves the tests in this process says that all is well",
        early=r"""
for name, module in list(sys.modules.items()):
    path = str(getattr(module, "__file__", ""))
    if "inside" in path or name in ("__main__", "agent", "wire", "proxies", "shell"):
        for key in ("encode", "decode", "dumps", "write_frame", "encode_value"):
            if callable(getattr(module, key, None)):
                setattr(module, key, lambda *a, **k: b"\x00")
        for thing in list(vars(module).values()):
            if isinstance(thing, type) and thing.__module__ == name:
                for key in ("__eq__", "__ne__"):
                    try:
                        setattr(thing, key, lambda self, other: key == "__eq__")
                    except TypeError:
                        pass
""",
    ),
    case(
        "agent_frames",
        "the frames of whatever serves the tests hold what is to come",
        solutions={
            "scaled": r"""
def scaled(values):
    frame, seen = sys._getframe(), []
    while frame is not None:
        seen += [repr(v)[:2000] for v in frame.f_locals.values()]
        seen += [str(v)[:5000] for v in frame.f_globals.values() if type(v) is str]
        frame = frame.f_back
    if any("kes" "trel" in text or "secret" "_word" in text for text in seen):
        reached("a hidden test in a caller's frame")
    return values * 0
"""
        },
    ),
]
