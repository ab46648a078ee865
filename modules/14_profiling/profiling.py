# %% [markdown]
# # Module 14: Profiling
#
# *Optimization tier, first of seven. Difficulty 3 of 5. About four hours.*
#
# You have a framework that works. You do not know where its time goes. Nobody does before they measure,
# and most first guesses are wrong.
#
# In this module you build the instruments the next six modules rely on: a timer you can trust, a counter of
# work, a memory report, a profiler with nested regions, and a roofline. They go into `tinytorch.profiling`.
#
# Every lesson of this tier walks the same road: **Profile → Discover → Implement → Validate**.

# %% [markdown]
# ## What you will be able to do
#
# - measure a function of 50 nanoseconds with a clock that ticks every microsecond;
# - say how many multiply-accumulates a model does, from its shapes and from its execution, and get the same number;
# - say where a training step's memory is, and when it peaks;
# - find the part of a model worth optimizing, and the most that optimizing it can give;
# - know what your profiler costs.
#
# Tests follow each exercise. Run them as you go; `tito check 14` runs them all in a fresh process.

# %%
#| export
import json
import math
import os
import statistics
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from tinytorch import Tensor, backend, nn, no_grad
from tinytorch import functional as F
from tinytorch.models import GPT

# %%
import tempfile
from types import SimpleNamespace

from tinytorch import optim
from tinytorch.models import MLP, GPTConfig, SmallCNN
from tito.testing import FakeClock, assert_close, assert_int, counted, expect_error, fresh, inside

# %% [markdown]
# ### Tools of the tests
#
# The tests need a little machinery: events with known shapes, work to count, layers that take a known time. It stands in
# the locked cell below. There is nothing to write in it; come back when a test puzzles you.
#
# In a test, `inside(fn, ...)` calls `fn(...)`, and in your notebook that is all it does. When your work is graded, your code
# runs in one process and the tests in another. `inside` marks the calls that must happen where your code is: a counter
# can only count what it sees.


# %% nbgrader={"grade_id": "given_test_tools"}
def event_of(
    op: str, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray], **attributes: object
) -> backend.Event:
    """An event at the dispatch point, made by hand."""
    return backend.Event(op, tuple(inputs), tuple(outputs), attributes, 0, 0)


def zeros(*shape: int, dtype: type = np.float32) -> np.ndarray:
    """An array of zeros: for counting, only shape and dtype matter."""
    return np.zeros(shape, dtype)


def under(context: Any, work: Callable[..., object], *args: Any) -> Any:
    """Do `work(*args)` inside a `with` block and give back what the block's `as` would hold.

    What the work returns stays alive until the block is left, and not longer.
    """
    with context as entered:
        held = work(*args)
    del held
    return entered


def play(script: Sequence[Sequence[str]], first: Tensor) -> dict[str, Tensor]:
    """Follow a script of tensors, of which `first` is "a"; give back those that are left.

    Its lines: ("add", new, left, right), ("view", new, of) and ("free", name).
    """
    held = {"a": first}
    for kind, name, *operands in script:
        if kind == "free":
            del held[name]
        elif kind == "view":
            held[name] = held[operands[0]].reshape(1, -1)  # (N,) or (1, N) -> (1, N)
        else:
            held[name] = held[operands[0]] + held[operands[1]]
    return held


def three_layers(layer: nn.Module, x: Tensor) -> None:
    """Two calls of a layer and one relu."""
    layer(x)
    layer(x).relu()


def pass_and_step(
    cnn: nn.Module, images: Tensor, model: nn.Module, features: Tensor, targets: np.ndarray
) -> None:
    """A forward pass of one model, and the forward and backward pass of another."""
    with no_grad():
        cnn.eval()(images)
    model.zero_grad()
    F.cross_entropy(model(features), targets).backward()


def step_in_place(weights: np.ndarray, gradient: np.ndarray) -> None:
    """A step of plain SGD, which writes into the weights."""
    backend.active.sgd_step(
        weights, gradient, None, lr=0.1, momentum=0.0, nesterov=False, weight_decay=0.0
    )


def sgd(parameters: list[nn.Parameter]) -> optim.SGD:
    """An optimizer without state."""
    return optim.SGD(parameters, lr=0.1)


def heavy_sgd(parameters: list[nn.Parameter]) -> optim.SGD:
    """An optimizer that keeps one number a parameter."""
    return optim.SGD(parameters, lr=0.1, momentum=0.9)


def adamw(parameters: list[nn.Parameter]) -> optim.AdamW:
    """An optimizer that keeps two numbers a parameter."""
    return optim.AdamW(parameters, lr=0.1)


class PatientLinear(nn.Linear):
    """A Linear that hands on what is no Tensor: a hook left behind on it stumbles over that."""

    def forward(self, x: Any) -> Any:
        return super().forward(x) if isinstance(x, Tensor) else x


class Delay(nn.Module):
    """Hands on its input and calls `spend`: a layer that takes a known time on a fake clock."""

    def __init__(self, spend: Callable[[], object]) -> None:
        self.spend = spend

    def forward(self, x: Any) -> Any:
        self.spend()
        return x


def files_after(
    write: Callable[..., Any], rows: Sequence[tuple[Any, ...]], name: str, over: str | None = None
) -> tuple[str, dict[str, str]]:
    """Let `write(spans, path)` write into an empty folder; the name it returns, and all files there.

    With `over`, a file of that text has the path before, and "second name.txt" as another name of it.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        if over is not None:
            path.write_text(over, encoding="utf-8")
            os.link(path, Path(folder) / "second name.txt")
        written = Path(write([Span(*row) for row in rows], path if over is None else str(path)))
        texts = {each.name: each.read_text(encoding="utf-8") for each in Path(folder).iterdir()}
        return written.relative_to(folder).as_posix(), texts


def tally(rows: dict[str, tuple[int, ...]]) -> SimpleNamespace:
    """Just the totals that `analyze` reads: an OpWork for each operation."""
    return SimpleNamespace(by_op={name: OpWork(*row) for name, row in rows.items()})


# %% [markdown]
# ## Motivation: where does a GPT spend its time?
#
# `docs_gpt` is a small character-level GPT. It ships with the course and was trained on Python's own
# documentation: 4 layers, 4 heads, 128 channels. Here it writes a line, and we take the time with the
# only instrument we have so far: read the clock, do the work, read the clock again.

# %% tags=["measure"]
import threadpoolctl

from tinytorch import dashboards, zoo
from tinytorch.data import digits, python_docs

# One BLAS thread: with two, each waits for the other, and any other program on the machine makes
# both wait. Times then differ by factors, and you would study the scheduler.
blas_threads = threadpoolctl.threadpool_limits(limits=1)

gpt = zoo.load("docs_gpt")
corpus = python_docs()
tokens = np.array(corpus.encode(corpus.validation[:4096]))  # (4096,)


def stopwatch_ms(fn: Callable[[], object]) -> float:
    start_ns = time.perf_counter_ns()
    fn()
    return (time.perf_counter_ns() - start_ns) / 1e6


def forward(length: int, batch: int = 1) -> Tensor:
    with no_grad():
        return gpt(tokens[: batch * length].reshape(batch, length))  # (B, T) -> (B, T, V)


first_runs_ms = [stopwatch_ms(lambda: forward(128)) for _ in range(8)]
print("the same forward pass, eight times (ms):", " ".join(f"{ms:.2f}" for ms in first_runs_ms))

# %% [markdown]
# Eight runs, eight answers. Which one is the truth? The first is often the slowest: memory is touched for
# the first time, libraries wake up. The others differ because the machine does other things as well.
#
# Now the length. A sequence twice as long has twice as many tokens. Is it twice as slow?

# %% tags=["measure"]
lengths = [16, 32, 64, 128, 256]
scaling = [
    (length, min(stopwatch_ms(lambda n=length: forward(n)) for _ in range(9))) for length in lengths
]
dashboards.show(
    dashboards.scaling_curve(
        {"GPT forward": scaling}, x_title="sequence length (tokens)", y_title="milliseconds"
    ),
    summary=f"One forward pass takes {scaling[0][1]:.2f} ms at {lengths[0]} tokens and {scaling[-1][1]:.2f} ms at "
    f"{lengths[-1]}: {scaling[-1][1] / scaling[0][1]:.1f} times the time for {lengths[-1] // lengths[0]} times the tokens.",
    table=[
        {"tokens": length, "ms": round(ms, 3), "ms per token": round(ms / length, 4)}
        for length, ms in scaling
    ],
)

# %% [markdown]
# ### Predict, then measure
#
# Before you build anything, commit yourself. In one training step of the GPT at 128 tokens, how many times
# longer does **forward and backward** take than **forward alone**? Put your guess in place of `None`.
#
# The score is a band of the logarithm of your error: within 10 %, within 1.5 times, within 3 times, beyond.
# Nobody grades it. It is there because a prediction you wrote down teaches more than one you only thought.

# %%
my_prediction: float | None = None

# %% tags=["measure"]
window = tokens[:129]


def forward_with_graph() -> Tensor:
    return F.cross_entropy(gpt(window[None, :-1]), window[None, 1:])


def forward_and_backward() -> None:
    forward_with_graph().backward()
    gpt.zero_grad()


measured_ratio = min(stopwatch_ms(forward_and_backward) for _ in range(7)) / min(
    stopwatch_ms(forward_with_graph) for _ in range(7)
)
print(f"measured: forward and backward takes {measured_ratio:.2f} times the forward pass")
if my_prediction is None:
    print("You made no prediction yet. Put a number in the cell above and run both again.")
else:
    error = abs(math.log(my_prediction / measured_ratio))
    bands = [
        (math.log(1.1), "within 10 %"),
        (math.log(1.5), "within 1.5 times"),
        (math.log(3), "within 3 times"),
    ]
    print(
        f"you said {my_prediction}:",
        next((words for limit, words in bands if error <= limit), "more than 3 times off"),
    )

# %% [markdown]
# ## Exercise 1: a timer you can trust
#
# *Difficulty 2 of 5, 40 minutes, 12 points.*
#
# Three things stand between you and the truth:
#
# - **the clock has a resolution.** A function of 50 ns is shorter than one step of many clocks. So run it many
#   times between two readings, and divide.
# - **the first runs are not like the others.** So throw some away (*warm-up*).
# - **the machine interrupts.** Interruptions only ever add time, and sometimes a lot. So take many samples and
#   report a statistic that one bad sample cannot move.

# %% [markdown]
# The **median** is such a statistic: half of the samples may be wild before it leaves the field. Its spread is
# told by the **median absolute deviation** (MAD): the median of the distances from the median.
#
# The clock is an argument. In the tests it is a fake one that moves only when told to, so that a test of time
# takes no time and never fails by chance.

# %%
#| export
Clock = Callable[[], int]
"""A clock returns nanoseconds as an int and never goes back, like `time.perf_counter_ns`."""


# %% nbgrader={"grade_id": "latency__timer"}
#| export
class Timer:
    """Time one block of code.

    After `with Timer() as timer:` the attribute `elapsed_ns` holds the block's duration, also when
    the
    block raised. A timer can be used again; it then holds the last duration.

    Args:
        clock: nanosecond clock.

    Example:
        >>> ticks = iter([100, 350])
        >>> with Timer(clock=lambda: next(ticks)) as timer:
        ...     total = sum(range(10))
        >>> timer.elapsed_ns
        250
    """

    def __init__(self, clock: Clock = time.perf_counter_ns) -> None:
        self._clock = clock
        self._start_ns = 0
        self.elapsed_ns = 0

    def __enter__(self) -> "Timer":
        # TODO: read the clock as the last thing you do here, and return the timer
        ### BEGIN SOLUTION
        self._start_ns = self._clock()
        return self
        ### END SOLUTION

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # TODO: read the clock as the first thing you do here, and keep the difference
        ### BEGIN SOLUTION
        self.elapsed_ns = self._clock() - self._start_ns
        ### END SOLUTION


# %% nbgrader={"grade_id": "test_latency__timer", "points": 2}
# A Timer that forgets to store the duration when the block raises is rejected here.
clock = FakeClock()
timer = Timer(clock=clock)
with timer:
    clock.advance(1_250)
assert_int(timer.elapsed_ns, 1_250, what="elapsed_ns of a block of 1250 ns")
try:
    with timer:
        clock.advance(70)
        raise KeyError("the block failed")
except KeyError:
    assert_int(timer.elapsed_ns, 70, what="elapsed_ns of a block that raised after 70 ns")
else:
    raise AssertionError("Timer swallowed the error of its block; __exit__ must return None")
### BEGIN HIDDEN TESTS
rng = fresh("timer")
for duration_ns in rng.integers(0, 10**9, size=20).tolist():
    with timer as entered:
        clock.advance(duration_ns)
    assert entered is timer, "`with Timer() as t` must give the timer itself"
    assert_int(timer.elapsed_ns, duration_ns, what=f"elapsed_ns of a block of {duration_ns} ns")
### END HIDDEN TESTS

# %% [markdown]
# Next, the samples. `Latency` keeps them all: a number without its samples cannot be checked by anybody.
#
# `measure_latency` finds by itself how often to call the function between two readings. Let the **resolution** of
# the clock be the smallest step you can see. A sample that lasts 200 resolutions is wrong by at most 0.5 % at each
# end, so double the number of calls until a sample is long enough.


# %% nbgrader={"grade_id": "latency__statistics"}
#| export
@dataclass(frozen=True)
class Latency:
    """Samples of one function's duration.

    Attributes:
        samples_ns: nanoseconds **per call**, one entry a sample, in the order measured.
        loops: calls between two readings of the clock.

    Example:
        >>> latency = Latency(samples_ns=(10.0, 11.0, 12.0, 500.0, 9.0), loops=1)
        >>> latency.median_ns, latency.mad_ns
        (11.0, 1.0)
    """

    samples_ns: tuple[float, ...]
    loops: int

    @property
    def median_ns(self) -> float:
        """The median of the samples, in nanoseconds a call."""
        # TODO: the middle of the sorted samples (mean of the two middle ones when their number is
        # even)
        ### BEGIN SOLUTION
        return statistics.median(self.samples_ns)
        ### END SOLUTION

    @property
    def mad_ns(self) -> float:
        """The median absolute deviation from the median, unscaled, in nanoseconds a call."""
        # TODO: the median of the distances from `median_ns`
        ### BEGIN SOLUTION
        center = self.median_ns
        return statistics.median(abs(sample - center) for sample in self.samples_ns)
        ### END SOLUTION

    def __str__(self) -> str:
        samples = f"{len(self.samples_ns)} samples of {self.loops}"
        return f"{self.median_ns / 1e3:.2f} us ± {self.mad_ns / 1e3:.2f} ({samples})"


# %% nbgrader={"grade_id": "test_latency__robust", "points": 4}
# Rejects the mean and the standard deviation: one interruption must not move the result.
quiet = Latency(samples_ns=(100.0, 101.0, 99.0, 100.0, 102.0), loops=1)
disturbed = Latency(samples_ns=(100.0, 101.0, 99.0, 100.0, 90_000.0), loops=1)
assert_close(quiet.median_ns, 100.0, what="median of 99 100 100 101 102")
assert_close(quiet.mad_ns, 1.0, what="MAD of 99 100 100 101 102")
assert_close(disturbed.median_ns, 100.0, what="median with one interruption")
assert_close(disturbed.mad_ns, 1.0, what="MAD with one interruption")
### BEGIN HIDDEN TESTS
rng = fresh("latency statistics")
for count in (1, 2, 7, 10, 31):
    values = rng.lognormal(5.0, 1.0, size=count)
    result = Latency(samples_ns=tuple(values.tolist()), loops=3)
    center = np.sort(values)[[(count - 1) // 2, count // 2]].mean()
    distances = np.sort(np.abs(values - center))
    assert_close(result.median_ns, center, rtol=1e-12, what=f"median of {count} samples")
    assert_close(
        result.mad_ns,
        distances[[(count - 1) // 2, count // 2]].mean(),
        rtol=1e-12,
        what=f"MAD of {count} samples",
    )
### END HIDDEN TESTS


# %% nbgrader={"grade_id": "latency"}
#| export
def clock_resolution_ns(clock: Clock = time.perf_counter_ns, changes: int = 20) -> int:
    """The smallest step seen between two different readings of a clock, in nanoseconds.

    Raises:
        RuntimeError: the clock did not move in a million readings.
    """
    smallest = 0
    for _ in range(changes):
        before = clock()
        for _ in range(1_000_000):
            after = clock()
            if after != before:
                break
        else:
            raise RuntimeError(
                f"the clock {clock!r} stood still for a million readings; pass a clock that runs"
            )
        smallest = min(smallest or after - before, after - before)
    return smallest


def measure_latency(
    fn: Callable[..., object],
    *args: Any,
    warmup: int = 2,
    repeats: int = 15,
    min_sample_ns: int = 0,
    clock: Clock = time.perf_counter_ns,
) -> Latency:
    """Measure how long one call of `fn(*args)` takes.

    Args:
        fn: the function; its result is thrown away.
        args: passed to every call.
        warmup: calls made first and not measured.
        repeats: number of samples, at least 1.
        min_sample_ns: make each sample at least this long, in nanoseconds, even if the clock needs
            less.
        clock: nanosecond clock.

    Returns:
        Latency with `repeats` samples. Each sample is `loops` calls between two readings; `loops`
        is the
        smallest power of two whose sample lasts at least 200 clock resolutions and `min_sample_ns`.

    Raises:
        ValueError: `repeats` below 1 or `warmup` below 0.

    Source:
        The doubling of the loop count is that of Python's `timeit.Timer.autorange`.

    Example:
        >>> measure_latency(sum, range(100), repeats=5).loops >= 1
        True
    """
    # TODO:
    # 1. refuse a `repeats` below 1 and a `warmup` below 0 with a ValueError that shows the value
    #    given
    # 2. call fn(*args) `warmup` times without looking at the clock
    # 3. the target: 200 * clock_resolution_ns(clock), or min_sample_ns if that is longer
    # 4. start with one loop; double the loops while a trial sample is shorter than the target
    # 5. take `repeats` samples: read, call fn `loops` times, read. No clock inside the inner loop
    # 6. divide each sample by the loops
    ### BEGIN SOLUTION
    if repeats < 1 or warmup < 0:
        raise ValueError(
            f"need repeats >= 1 and warmup >= 0, got repeats={repeats} and warmup={warmup}"
        )
    for _ in range(warmup):
        fn(*args)
    target_ns = max(200 * clock_resolution_ns(clock), min_sample_ns)

    def sample_ns(loops: int) -> int:
        start_ns = clock()
        for _ in range(loops):
            fn(*args)
        return clock() - start_ns

    loops = 1
    while sample_ns(loops) < target_ns:
        loops *= 2
    samples_ns = tuple(sample_ns(loops) / loops for _ in range(repeats))
    return Latency(samples_ns=samples_ns, loops=loops)
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_latency__calibrated", "points": 6}
# Rejects: one call a sample, warm-up calls among the samples, a clock read inside the inner loop.
class Work:
    """A function of known duration: it moves the fake clock. Its first calls are slower."""

    def __init__(self, clock: FakeClock, duration_ns: int, slow_calls: int = 0) -> None:
        self.clock, self.duration_ns, self.slow_calls, self.arguments = (
            clock,
            duration_ns,
            slow_calls,
            [],
        )

    def __call__(self, *args: object) -> None:
        self.arguments.append(args)
        self.clock.advance(
            self.duration_ns + (1_000_000 if len(self.arguments) <= self.slow_calls else 0)
        )


# This clock shows whole microseconds, and a reading of it takes 200 ns.
clock = FakeClock(tick_ns=1_000, read_ns=200)
work = Work(clock, duration_ns=1_700, slow_calls=3)
latency = measure_latency(work, "x", 3, warmup=3, repeats=5, clock=clock)
assert_int(len(latency.samples_ns), 5, what="number of samples for repeats=5")
assert_close(latency.median_ns, 1_700, rtol=0.01, what="a function of 1700 ns, a clock of 1000 ns")
assert max(latency.samples_ns) < 1_740, f"warm-up calls are among the samples: {latency.samples_ns}"
assert work.arguments[-1] == ("x", 3), (
    f"fn must be called as fn(*args), got the arguments {work.arguments[-1]}"
)
expect_error(ValueError, measure_latency, work, repeats=0, clock=clock, mentions=("repeats", "0"))
### BEGIN HIDDEN TESTS
rng = fresh("latency calibration")
for _ in range(4):
    read_ns = int(rng.integers(1, 900))
    tick_ns = int(read_ns * rng.uniform(1.5, 3)) + 1
    duration_ns = 5 + int(tick_ns * rng.uniform(4, 60))
    clock = FakeClock(tick_ns=tick_ns, read_ns=read_ns)
    work = Work(clock, duration_ns, slow_calls=5)
    latency = measure_latency(work, warmup=5, repeats=7, clock=clock)
    assert_int(len(latency.samples_ns), 7, what="number of samples for repeats=7")
    assert_close(
        latency.median_ns,
        duration_ns,
        rtol=0.011,
        what=f"{duration_ns} ns on a clock of {tick_ns} ns",
    )
    assert max(latency.samples_ns) < 1.02 * duration_ns + 30, (
        f"slow warm-up calls are among the samples: {latency}"
    )
    calls = len(work.arguments)
    assert calls < 5 + 7 * latency.loops + 4 * latency.loops, (
        "more than twice the calls needed: double, do not count up"
    )
    assert calls >= 5 + 7 * latency.loops, (
        f"{calls} calls cannot be 5 for warming up and 7 samples of {latency.loops} calls each"
    )
    readings = clock.reads
    measure_latency(work, warmup=0, repeats=12, min_sample_ns=8 * duration_ns, clock=clock)
    assert clock.reads - readings < 20 * (tick_ns // read_ns + 2) + 2 * 12 + 30, (
        "the clock is read more than twice a sample"
    )
clock = FakeClock(read_ns=10)
long = measure_latency(Work(clock, 1_000), warmup=0, repeats=3, min_sample_ns=30_000, clock=clock)
assert long.loops * 1_010 >= 30_000, (
    f"min_sample_ns=30000 wants longer samples, got {long.loops} loops of 1000 ns"
)
### END HIDDEN TESTS

# %% [markdown]
# ### Validate: the same code twice
#
# Your timer against the stopwatch, on the same forward pass. Each dot is one sample; the line is the median.
# Look at how far the dots reach on the right, and how little the medians care.

# %% tags=["measure"]
timed_a = measure_latency(forward, 64, repeats=25)
timed_b = measure_latency(forward, 64, repeats=25)
dashboards.show(
    dashboards.distribution(
        {
            "first": [ns / 1e6 for ns in timed_a.samples_ns],
            "second": [ns / 1e6 for ns in timed_b.samples_ns],
        },
        x_title="milliseconds a forward pass, 64 tokens",
    ),
    summary=f"The same code, measured twice: {timed_a.median_ns / 1e6:.3f} and {timed_b.median_ns / 1e6:.3f} ms (medians); "
    f"the slowest samples took {max(timed_a.samples_ns) / 1e6:.3f} and {max(timed_b.samples_ns) / 1e6:.3f} ms.",
    table=[
        {
            "run": name,
            "median ms": round(t.median_ns / 1e6, 4),
            "MAD ms": round(t.mad_ns / 1e6, 4),
            "max ms": round(max(t.samples_ns) / 1e6, 4),
        }
        for name, t in (("first", timed_a), ("second", timed_b))
    ],
)

# %% [markdown]
# ## Exercise 2: what does one operation cost?
#
# *Difficulty 3 of 5, 45 minutes, 7 points.*
#
# Time depends on the machine. **Work** does not. Three counts describe it:
#
# - **MACs**: multiply-accumulates, `a += b * c`. Nearly all arithmetic of a neural network is of this kind.
# - **FLOPs**: floating point operations. By convention one MAC is two (a product and a sum).
# - **bytes** read and written, each operand counted once.
#
# In `tinytorch` every operation passes one point, `tinytorch.backend`. There you can listen.

# %%
with backend.observe(
    lambda event: print(
        f"{event.op:12s}", [a.shape for a in event.inputs], "->", event.outputs[0].shape
    )
):
    layer = nn.Linear(8, 3, rng=np.random.default_rng(0))
    layer(Tensor(np.ones((5, 8), np.float32))).relu()  # (5, 8) -> (5, 3)

# %% [markdown]
# An **event** carries the operation's name, its arrays in and out, its other arguments (`attributes`) and two
# readings of the clock.
#
# How many MACs does a matrix product do? Each of the M·N results is a dot product of length K: M·N·K. A convolution
# is the same thought: each of the B·O·H'·W' results is a dot product of length C·R·S with the kernel. Attention is
# two products a head: queries with keys (T·S·D) and weights with values (T·S·D).
#
# `attention` computes the whole T × S rectangle and then masks half of it. Count what is done, not what is useful.

# %% [markdown]
# The other operations are counted by a table of FLOPs for each element: conventions, written down so that two people
# get the same number. A `gelu` is 9 because its formula, 0.5·x·(1 + tanh(0.798·(x + 0.0447·x³))), has nine operations.
# An exponential counts as one here, though it costs the machine far more. Keep that in mind for the roofline.

# %%
#| export
FLOPS_PER_ELEMENT: dict[str, int] = {
    **dict.fromkeys(["add", "sub", "mul", "div", "pow", "maximum", "neg", "abs", "relu"], 1),
    **dict.fromkeys(["exp", "log", "sqrt", "tanh", "sigmoid", "sum", "mean", "max"], 1),
    "gelu": 9,
    "softmax": 5,
    "log_softmax": 5,
    "cross_entropy": 5,
    "layer_norm": 7,
    "batch_norm": 2,
}
"""FLOPs an element (of the larger of first input and first output). Unlisted ones move data: 0."""

FLOPS_PER_SCORE = 6
"""FLOPs for each entry of attention's T x S matrix besides the MACs: scale 1, softmax 5."""


# %% nbgrader={"grade_id": "work"}
#| export
def macs_of(event: backend.Event) -> int:
    """Multiply-accumulates of one operation.

    Args:
        event: one call at the dispatch point. Shapes by operation: `matmul` a (..., M, K), b (...,
            K, N);
            `linear` x (..., K), weight (N, K); `conv2d` x (B, C, H, W), weight (O, C, R, S) and
            result
            (B, O, H', W'); `conv2d_grad_input` gradient (B, O, H', W'), weight (O, C, R, S);
            `conv2d_grad_weight` gradient (B, O, H', W'), x and result (O, C, R, S); `attention`
            q (B, H, T, D), k (B, H, S, D); `attention_grad` gradient, q, k, v, weights.

    Returns:
        The exact count; 0 for operations that are no products of matrices.

    Example:
        >>> x, weight = np.zeros((5, 8)), np.zeros((3, 8))
        >>> macs_of(backend.Event("linear", (x, weight), (x @ weight.T,), {}, 0, 0))
        120
    """
    # TODO: one formula for each operation named above. `attention_grad` does four products like
    # attention's two.
    ### BEGIN SOLUTION
    first, result = event.inputs[0], event.outputs[0]
    if event.op in ("matmul", "linear"):
        return result.size * first.shape[-1]
    if event.op == "conv2d":
        return result.size * math.prod(event.inputs[1].shape[1:])
    if event.op == "conv2d_grad_input":
        return first.size * math.prod(event.inputs[1].shape[1:])
    if event.op == "conv2d_grad_weight":
        return first.size * math.prod(result.shape[1:])
    if event.op == "attention":
        return 2 * first.size * event.inputs[1].shape[-2]
    if event.op == "attention_grad":
        return 4 * event.inputs[1].size * event.inputs[2].shape[-2]
    return 0
    ### END SOLUTION


def flops_of(event: backend.Event) -> int:
    """FLOPs of one operation: two a MAC, and the conventions of the tables above.

    A bias (third input of `linear` and `conv2d`) adds one for each element of the result.
    `max_pool2d` compares
    each of its kernel_size² inputs once for each element of the result.
    """
    # TODO:
    # 1. two for each MAC
    # 2. `linear` and `conv2d`: one for each element of the result when there are three inputs
    # 3. `attention`: FLOPS_PER_SCORE for each of the B * H * T * S scores
    # 4. `max_pool2d`: kernel_size squared for each element of the result
    # 5. all others: the table, times the larger of first input and first output
    ### BEGIN SOLUTION
    first, result = event.inputs[0], event.outputs[0]
    flops = 2 * macs_of(event)
    if event.op in ("linear", "conv2d"):
        return flops + (result.size if len(event.inputs) == 3 else 0)
    if event.op == "attention":
        return flops + FLOPS_PER_SCORE * math.prod(first.shape[:-1]) * event.inputs[1].shape[-2]
    if event.op == "max_pool2d":
        return int(event.attributes["kernel_size"]) ** 2 * result.size
    return flops + FLOPS_PER_ELEMENT.get(event.op, 0) * max(first.size, result.size)
    ### END SOLUTION


def bytes_of(event: backend.Event) -> tuple[int, int]:
    """Bytes one operation must read and write: every operand once, at its own dtype's width.

    `embedding` and `getitem` read only what they pick: as many bytes as they write, plus their
    other inputs.

    Returns:
        (bytes read, bytes written)
    """
    # TODO: sum the nbytes of inputs and of outputs; for `embedding` and `getitem` the first input
    # counts as much as the result
    ### BEGIN SOLUTION
    written = sum(array.nbytes for array in event.outputs)
    if event.op in ("embedding", "getitem"):
        return event.outputs[0].nbytes + sum(array.nbytes for array in event.inputs[1:]), written
    return sum(array.nbytes for array in event.inputs), written
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_work__products", "points": 4}
# Rejects: a forgotten batch, K taken from the wrong axis, a convolution counted by its input.
assert_int(
    macs_of(event_of("matmul", [zeros(7, 4, 5), zeros(7, 5, 3)], [zeros(7, 4, 3)])),
    7 * 4 * 5 * 3,
    what="MACs of matmul (7,4,5) @ (7,5,3)",
)
assert_int(
    macs_of(event_of("linear", [zeros(2, 6, 8), zeros(3, 8), zeros(3)], [zeros(2, 6, 3)])),
    2 * 6 * 8 * 3,
    what="MACs of linear (2,6,8) -> 3",
)
conv = event_of(
    "conv2d", [zeros(2, 3, 9, 9), zeros(4, 3, 3, 3)], [zeros(2, 4, 4, 4)], stride=2, padding=0
)
assert_int(
    macs_of(conv),
    2 * 4 * 4 * 4 * 3 * 3 * 3,
    what="MACs of conv2d 3x3, stride 2, 3 -> 4 channels, result 4x4",
)
q, k = zeros(2, 4, 6, 5), zeros(2, 4, 9, 5)
assert_int(
    macs_of(event_of("attention", [q, k, k], [q], causal=True)),
    2 * (2 * 4 * 6 * 9 * 5),
    what="MACs of attention, 6 queries, 9 keys",
)
assert_int(macs_of(event_of("relu", [zeros(9)], [zeros(9)])), 0, what="MACs of relu")
### BEGIN HIDDEN TESTS
rng = fresh("products")
for _ in range(8):
    b, m, n, c, h, s, d = (int(v) for v in rng.integers(1, 9, size=7))
    assert_int(
        macs_of(event_of("matmul", [zeros(b, c, m, d), zeros(b, c, d, n)], [zeros(b, c, m, n)])),
        b * c * m * d * n,
        what="MACs of a batched matmul",
    )
    assert_int(
        macs_of(event_of("linear", [zeros(b, d), zeros(n, d)], [zeros(b, n)])),
        b * d * n,
        what="MACs of linear without bias",
    )
    weight, x, g = zeros(n, c, h, s), zeros(b, c, h + m - 1, s + d - 1), zeros(b, n, m, d)
    expected = b * n * m * d * c * h * s
    assert_int(
        macs_of(event_of("conv2d", [x, weight, zeros(n)], [g], stride=1, padding=0)),
        expected,
        what="MACs of conv2d",
    )
    assert_int(
        macs_of(event_of("conv2d_grad_input", [g, weight], [x])),
        expected,
        what="MACs of conv2d_grad_input",
    )
    assert_int(
        macs_of(event_of("conv2d_grad_weight", [g, x], [weight])),
        expected,
        what="MACs of conv2d_grad_weight",
    )
    q, k, scores = zeros(b, h, m, d), zeros(b, h, n, d), zeros(b, h, m, n)
    assert_int(
        macs_of(event_of("attention", [q, k, k], [q], causal=False)),
        2 * b * h * m * n * d,
        what="MACs of attention",
    )
    assert_int(
        macs_of(event_of("attention_grad", [q, q, k, k, scores], [q, k, k])),
        4 * b * h * m * n * d,
        what="MACs of attention_grad",
    )
### END HIDDEN TESTS

# %% nbgrader={"grade_id": "test_work__flops_and_bytes", "points": 3}
# Rejects: one FLOP a MAC, a forgotten bias, every element taken as 4 bytes, a whole embedding table
# as read.
assert_int(
    flops_of(event_of("linear", [zeros(5, 8), zeros(3, 8)], [zeros(5, 3)])),
    2 * 5 * 8 * 3,
    what="FLOPs of linear without bias",
)
assert_int(
    flops_of(event_of("linear", [zeros(5, 8), zeros(3, 8), zeros(3)], [zeros(5, 3)])),
    2 * 5 * 8 * 3 + 15,
    what="FLOPs of linear with bias",
)
assert_int(
    flops_of(event_of("gelu", [zeros(4, 10)], [zeros(4, 10)])),
    360,
    what="FLOPs of gelu on 40 elements",
)
assert_int(
    flops_of(event_of("sum", [zeros(4, 10)], [zeros(4)], axis=1)),
    40,
    what="FLOPs of a sum over 40 elements",
)
assert bytes_of(event_of("add", [zeros(6, 2), zeros(2)], [zeros(6, 2)])) == (56, 48), (
    "add reads 48 + 8 bytes and writes 48"
)
assert bytes_of(event_of("neg", [zeros(6, dtype=np.int8)], [zeros(6, dtype=np.int8)])) == (6, 6), (
    "int8 is one byte an element"
)
table, ids = zeros(1_000, 16), zeros(3, dtype=np.int64)
assert bytes_of(event_of("embedding", [table, ids], [zeros(3, 16)])) == (192 + 24, 192), (
    "embedding reads three rows and three ids"
)
### BEGIN HIDDEN TESTS
rng = fresh("flops and bytes")
for _ in range(5):
    b, c, t, s, d, p = (int(v) for v in rng.integers(1, 7, size=6))
    q, k = zeros(b, c, t, d), zeros(b, c, s, d)
    assert_int(
        flops_of(event_of("attention", [q, k, k], [q], causal=True)),
        4 * b * c * t * s * d + 6 * b * c * t * s,
        what="FLOPs of attention",
    )
    pooled = event_of(
        "max_pool2d", [zeros(b, c, t * p, s * p)], [zeros(b, c, t, s)], kernel_size=p, stride=p
    )
    assert_int(flops_of(pooled), p * p * b * c * t * s, what=f"FLOPs of max_pool2d with kernel {p}")
    assert_int(
        flops_of(event_of("concat", [zeros(b, c), zeros(b, c)], [zeros(b, 2 * c)], axis=1)),
        0,
        what="FLOPs of concat",
    )
    wide, narrow = zeros(b, d, dtype=np.float64), zeros(b, d, dtype=np.float16)
    assert bytes_of(event_of("mul", [wide, narrow], [wide])) == (10 * b * d, 8 * b * d), (
        "float64 is 8 bytes an element, float16 is 2"
    )
### END HIDDEN TESTS

# %% [markdown]
# ## Exercise 3: a counter that listens
#
# *Difficulty 3 of 5, 50 minutes, 11 points.*
#
# Now add up. `OpCounter` is a context manager: it listens while its block runs and keeps the totals, for each kind
# of operation and together.
#
# It also watches memory. An operation's result is an **allocation**, unless it is a view of memory that was there
# before, or the operation worked in place. The bytes are **live** until the last array that looks at them is gone.
# The highest sum of live bytes is the **peak**: what your machine must have.

# %% [markdown]
# How do you learn that an array is gone? Python can tell you: `weakref.finalize(array, callback, ...)` calls back
# when the array is freed. A view keeps its owner alive, so watch the **owner**: follow `array.base` to its end.


# %%
#| export
@dataclass
class OpWork:
    """What one kind of operation did, added up over its calls."""

    calls: int = 0
    macs: int = 0
    flops: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    time_ns: int = 0


def owner_of(array: np.ndarray) -> np.ndarray:
    """The array that owns the memory which `array` looks at."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


# %% nbgrader={"grade_id": "counter"}
#| export
class OpCounter:
    """Count the work of every operation inside `with OpCounter() as counter:`.

    Attributes:
        by_op: OpWork for each kind of operation, by its name.
        allocations: results that took new memory.
        live_bytes: bytes of results still alive now (at the end of the block once it is left).
        peak_live_bytes: the highest `live_bytes` there was.
        timeline: (end of the operation in ns, live bytes after it, name of the operation), one
            entry an operation.

    What the counter cannot see: memory that a kernel takes and gives back inside itself.

    Example:
        >>> with OpCounter() as counter:
        ...     y = Tensor(np.ones((2, 3), np.float32)) @ Tensor(np.ones((3, 4), np.float32))
        >>> counter.macs, counter.by_op["matmul"].calls, counter.live_bytes
        (24, 1, 32)
    """

    def __init__(self) -> None:
        self.by_op: dict[str, OpWork] = {}
        self.allocations = 0
        self.live_bytes = 0
        self.peak_live_bytes = 0
        self.timeline: list[tuple[int, int, str]] = []
        self._alive: dict[int, int] = {}
        self._listening = False
        self._observation: AbstractContextManager[object] | None = None

    def __enter__(self) -> "OpCounter":
        self._listening = True
        self._observation = backend.observe(self._record)
        self._observation.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listening = False
        if self._observation is not None:
            self._observation.__exit__(kind, error, trace)

    def _record(self, event: backend.Event) -> None:
        """Called by the framework after each operation."""
        # TODO:
        # 1. find (or make) the OpWork of this kind of operation
        # 2. add the call, its MACs, FLOPs, bytes and nanoseconds
        # 3. call self._watch(event), then note the timeline
        ### BEGIN SOLUTION
        work = self.by_op.setdefault(event.op, OpWork())
        read, written = bytes_of(event)
        work.calls += 1
        work.macs += macs_of(event)
        work.flops += flops_of(event)
        work.bytes_read += read
        work.bytes_written += written
        work.time_ns += event.end_ns - event.start_ns
        self._watch(event)
        self.timeline.append((event.end_ns, self.live_bytes, event.op))
        ### END SOLUTION

    def _watch(self, event: backend.Event) -> None:
        """Count the results that took new memory, and follow them until they are freed."""
        # TODO: for each output
        # 1. find its owner; skip it if an input has the same owner or if it is alive already
        #    (self._alive, by id)
        # 2. count the allocation, add the owner's bytes to self._alive and to live_bytes
        # 3. weakref.finalize(owner, self._release, id(owner)), and set the finalizer's `atexit` to
        #    False
        # 4. keep the peak
        ### BEGIN SOLUTION
        borrowed = {id(owner_of(array)) for array in event.inputs}
        for output in event.outputs:
            owner = owner_of(output)
            if id(owner) in borrowed or id(owner) in self._alive:
                continue
            self.allocations += 1
            self._alive[id(owner)] = owner.nbytes
            self.live_bytes += owner.nbytes
            weakref.finalize(owner, self._release, id(owner)).atexit = False
        self.peak_live_bytes = max(self.peak_live_bytes, self.live_bytes)
        ### END SOLUTION

    def _release(self, key: int) -> None:
        """Called when a watched array is freed."""
        # TODO: take its bytes out of self._alive, and off live_bytes while the block is running
        ### BEGIN SOLUTION
        size_bytes = self._alive.pop(key)
        if self._listening:
            self.live_bytes -= size_bytes
        ### END SOLUTION

    @property
    def calls(self) -> int:
        """Operations seen."""
        return sum(work.calls for work in self.by_op.values())

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return sum(work.macs for work in self.by_op.values())

    @property
    def flops(self) -> int:
        """Floating point operations."""
        return sum(work.flops for work in self.by_op.values())

    @property
    def bytes_read(self) -> int:
        """Bytes read."""
        return sum(work.bytes_read for work in self.by_op.values())

    @property
    def bytes_written(self) -> int:
        """Bytes written."""
        return sum(work.bytes_written for work in self.by_op.values())


# %% nbgrader={"grade_id": "test_counter__totals", "points": 5}
# Rejects: a counter that keeps only the last call, that misses the backward pass, or that listens
# after its block.
x = Tensor(np.ones((4, 8), np.float32))
layer = nn.Linear(8, 3, rng=np.random.default_rng(0))
began_ns = time.perf_counter_ns()
counter = inside(under, OpCounter(), three_layers, layer, x)
passed_ns = time.perf_counter_ns() - began_ns
inside(three_layers, layer, x)
assert_int(counter.calls, 3, what="operations of two linears and one relu")
assert_int(counter.by_op["linear"].calls, 2, what="calls of linear")
assert_int(counter.macs, 2 * 4 * 8 * 3, what="MACs of two linears (4, 8) -> 3")
assert_int(counter.bytes_written, 2 * 48 + 48, what="bytes written")
assert 0 < counter.by_op["linear"].time_ns < passed_ns, (
    "time_ns of an operation is the end of its event minus the start"
)
### BEGIN HIDDEN TESTS
rng = fresh("counter totals")
batch, inputs, outputs = (int(v) for v in rng.integers(2, 12, size=3))
cnn = SmallCNN(rng=rng)
model = MLP([inputs, 16, outputs], rng=rng)
images = Tensor(rng.standard_normal((batch, 1, 8, 8), dtype=np.float32))
features = Tensor(rng.standard_normal((batch, inputs), dtype=np.float32))
work = (cnn, images, model, features, rng.integers(0, outputs, size=batch))
truth = counted(pass_and_step, *work)
counter = inside(under, OpCounter(), pass_and_step, *work)
assert_int(
    counter.calls, sum(truth.calls.values()), what="operations of a CNN forward and an MLP step"
)
assert_int(counter.macs, truth.macs, what="MACs of a CNN forward and an MLP step")
assert_int(counter.bytes_read, truth.bytes_read, what="bytes read by a CNN forward and an MLP step")
assert_int(
    counter.bytes_written,
    truth.bytes_written,
    what="bytes written by a CNN forward and an MLP step",
)
by_op = {name: (done.calls, done.macs) for name, done in counter.by_op.items()}
assert {name: calls for name, (calls, _) in by_op.items()} == dict(truth.calls), (
    f"calls of each kind of operation, got {by_op}"
)
assert_int(sum(macs for _, macs in by_op.values()), truth.macs, what="sum of the kinds' MACs")
inside(pass_and_step, *work)
assert_int(
    counter.calls,
    sum(truth.calls.values()),
    what="operations counted, once the block was left and other work was done",
)
### END HIDDEN TESTS

# %% nbgrader={"grade_id": "test_counter__memory", "points": 6}
# Rejects: views and in-place work counted as new memory, memory that is never given back, a peak
# that forgets.
script = [
    ("add", "b", "a", "a"),  # 1024 bytes live
    ("add", "c", "b", "b"),  # 2048
    ("free", "b"),  # 1024
    ("view", "left", "c"),
    ("view", "right", "c"),  # views are free
    ("add", "d", "left", "right"),  # 2048
    ("free", "left"),
    ("free", "right"),
    ("add", "e", "d", "d"),  # 3072: the peak
    ("free", "c"),
    ("free", "d"),  # 1024
    ("add", "f", "e", "e"),  # 2048
]
counter = inside(under, OpCounter(), play, script, Tensor(np.ones(256, np.float32)))
assert_int(counter.allocations, 5, what="allocations of five sums")
assert_int(counter.peak_live_bytes, 3072, what="peak of live bytes")
assert_int(
    counter.live_bytes,
    2048,
    what="live bytes at the end of the block; what is freed later does not count",
)
### BEGIN HIDDEN TESTS
rng = fresh("counter memory")


def random_script(lines: int) -> tuple[list[tuple[str, ...]], list[int]]:
    """A script, and how many sums are alive after each of its sums: "a" was there before."""
    owners, script, alive = {"a": "a"}, [], []
    for line in range(lines):
        new, names = f"t{line}", list(owners)
        kind = ("add", "add", "view", "free")[int(rng.integers(4))]
        one, other = (names[int(rng.integers(len(names)))] for _ in range(2))
        if kind == "free" and one != "a":
            del owners[one]
            script.append(("free", one))
        elif kind == "view":
            owners[new] = owners[one]
            script.append(("view", new, one))
        else:
            owners[new] = new
            script.append(("add", new, one, other))
            alive.append(len(set(owners.values()) - {"a"}))
    for name in list(owners)[2:]:
        del owners[name]
        script.append(("free", name))
    alive.append(len(set(owners.values()) - {"a"}))
    return script, alive


for _ in range(4):
    size = int(rng.integers(50, 500))
    script, alive = random_script(40)
    first = Tensor(rng.standard_normal(size, dtype=np.float32))
    counter = inside(under, OpCounter(), play, script, first)
    assert_int(counter.allocations, len(alive) - 1, what=f"allocations of {script}")
    assert_int(counter.peak_live_bytes, 4 * size * max(alive), what=f"peak of {script}")
    assert_int(counter.live_bytes, 4 * size * alive[-1], what=f"live bytes at the end of {script}")
    timeline = [(live, op) for _, live, op in counter.timeline]
    assert timeline == [(4 * size * count, "add") for count in alive[:-1]], (
        f"the timeline holds the live bytes after each operation, got {timeline} for {script}"
    )
weights, gradient = np.ones(size, np.float32), np.ones(size, np.float32)
counter = inside(under, OpCounter(), step_in_place, weights, gradient)
assert_int(counter.allocations, 0, what="allocations of a step in place")
assert_int(len(counter.timeline), 1, what="entries of the timeline after one operation")
assert counter.timeline[0][2] == "sgd_step", (
    f"the timeline names the operation, got {counter.timeline[0]}"
)
### END HIDDEN TESTS

# %% [markdown]
# ### Validate: what one training step holds
#
# The counter's timeline, drawn. Live bytes climb during the forward pass, because the backward pass will want the
# results again. Then they fall, while the gradients take their place.

# %% tags=["measure"]
with OpCounter() as step_counter:
    forward_and_backward()
turn = max(range(len(step_counter.timeline)), key=lambda i: step_counter.timeline[i][1])
dashboards.show(
    dashboards.memory_timeline(step_counter.timeline),
    summary=f"A forward and backward pass of the GPT over 128 tokens: {step_counter.calls} operations, "
    f"{step_counter.macs / 1e6:.1f} million MACs, {step_counter.peak_live_bytes / 2**20:.2f} MiB of live results at the peak, "
    f"after {turn + 1} of {len(step_counter.timeline)} operations ({step_counter.timeline[turn][2]}).",
    table=[
        {
            "operation": name,
            "calls": w.calls,
            "MACs": w.macs,
            "MB read": round(w.bytes_read / 1e6, 2),
            "ms": round(w.time_ns / 1e6, 3),
        }
        for name, w in sorted(step_counter.by_op.items(), key=lambda item: -item[1].time_ns)[:8]
    ],
)

# %% [markdown]
# ## Exercise 4: parameters
#
# *Difficulty 1 of 5, 10 minutes, 3 points.*
#
# How many numbers did training learn? Two traps: a weight shared by two layers is one weight, and a buffer (the
# running mean of a BatchNorm) is state but was not learned.


# %% nbgrader={"grade_id": "parameters"}
#| export
def count_parameters(model: nn.Module, trainable_only: bool = False) -> int:
    """Count the learned numbers of a model, each shared tensor once; buffers do not count.

    Args:
        model: any module.
        trainable_only: leave out parameters whose `requires_grad` is False.

    Example:
        >>> count_parameters(nn.Linear(8, 3))
        27
    """
    # TODO: collect the parameters by identity, then add up their sizes
    ### BEGIN SOLUTION
    unique = {id(parameter): parameter for parameter in model.parameters()}
    return sum(p.numel() for p in unique.values() if p.requires_grad or not trainable_only)
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_parameters", "points": 3}
# Rejects: buffers counted, shared weights counted twice, frozen weights counted as trainable.
assert_int(
    count_parameters(MLP([64, 32, 10])),
    64 * 32 + 32 + 32 * 10 + 10,
    what="parameters of MLP 64-32-10",
)
normalized = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
assert_int(
    count_parameters(normalized),
    4 * 3 * 9 + 4 + 2 * 4,
    what="parameters of Conv2d 3 -> 4 with BatchNorm2d",
)
### BEGIN HIDDEN TESTS
rng = fresh("parameters")
v, t, n, c = (
    int(rng.integers(5, 40)),
    int(rng.integers(4, 30)),
    int(rng.integers(1, 4)),
    4 * int(rng.integers(1, 6)),
)
small = GPT(GPTConfig(vocab_size=v, block_size=t, n_layer=n, n_head=2, n_embd=c), rng=rng)
total = sum(array.data.size for array in {id(p): p for _, p in small.named_parameters()}.values())
assert_int(count_parameters(small), total, what="parameters of a GPT")
small.head.weight = small.token_embedding.weight
assert_int(
    count_parameters(small),
    total - v * c,
    what="parameters of a GPT whose head shares the embedding's weight",
)
small.position_embedding.weight.requires_grad = False
assert_int(
    count_parameters(small, trainable_only=True),
    total - v * c - t * c,
    what="trainable parameters with frozen positions",
)
### END HIDDEN TESTS

# %% [markdown]
# ## Exercise 5: FLOPs from shapes
#
# *Difficulty 3 of 5, 50 minutes, 11 points.*
#
# The counter measured the work by doing it. You can also **derive** it from the layers and their shapes, before any
# large model is ever run. Two ways to one number: where they differ, one of them is wrong. Few checks are as strong.
#
# A hook tells you the shapes: `module.register_forward_hook(hook)` calls `hook(module, inputs, output)` after each
# forward pass of that layer.

# %% [markdown]
# Most arithmetic sits in leaf layers. Three modules also do some of their own:
#
# - `MultiHeadAttention`: scores and weighted values between its two projections;
# - `TransformerBlock`: two residual additions;
# - `GPT`: token embedding plus position embedding.


# %% nbgrader={"grade_id": "flops__layer"}
#| export
def flops_of_layer(layer: nn.Module, x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> int:
    """FLOPs that a layer does itself (not its submodules) on one forward pass in evaluation mode.

    Args:
        layer: any module of `tinytorch.nn`, or a GPT. Containers, embeddings, Flatten and (in
            evaluation mode)
            Dropout do none.
        x_shape: shape of the first input: (B, T, C), (B, C, H, W), (B, features), (B, T) for token
            ids.
        y_shape: shape of the output.

    Returns:
        The count by the conventions of Exercise 2.

    Example:
        >>> flops_of_layer(nn.Linear(8, 3, bias=False), (5, 8), (5, 3))
        240
    """
    x_size, y_size = math.prod(x_shape), math.prod(y_shape)
    # TODO: a formula for each of
    # 1. Linear and Conv2d: two a MAC, and the bias if there is one
    # 2. ReLU, GELU, LayerNorm, BatchNorm2d: FLOPS_PER_ELEMENT
    # 3. MaxPool2d: kernel_size squared for each output
    # 4. MultiHeadAttention: two products of 2 * B * T * T * C each, FLOPS_PER_SCORE for each head's
    #    T x T scores
    # 5. TransformerBlock: two additions; GPT: one, of B * T * C elements
    ### BEGIN SOLUTION
    if isinstance(layer, nn.Linear | nn.Conv2d):
        dot_length = math.prod(layer.weight.shape[1:])
        return y_size * (2 * dot_length + (layer.bias is not None))
    if isinstance(layer, nn.ReLU | nn.GELU | nn.LayerNorm | nn.BatchNorm2d):
        kinds = {
            nn.ReLU: "relu",
            nn.GELU: "gelu",
            nn.LayerNorm: "layer_norm",
            nn.BatchNorm2d: "batch_norm",
        }
        return FLOPS_PER_ELEMENT[kinds[type(layer)]] * x_size
    if isinstance(layer, nn.MaxPool2d):
        return layer.kernel_size**2 * y_size
    if isinstance(layer, nn.MultiHeadAttention):
        batch, length, channels = x_shape
        scores = batch * length * length
        return 4 * scores * channels + FLOPS_PER_SCORE * scores * layer.num_heads
    if isinstance(layer, nn.TransformerBlock):
        return 2 * y_size
    if isinstance(layer, GPT):
        return x_size * layer.config.n_embd
    return 0
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_flops__layers", "points": 5}
# Closed forms, one a layer. Rejects: a batch that does not count, a bias that is never added, T
# instead of T squared.
assert_int(
    flops_of_layer(nn.Linear(8, 3), (5, 8), (5, 3)),
    2 * 5 * 8 * 3 + 15,
    what="FLOPs of Linear 8 -> 3, batch 5",
)
assert_int(
    flops_of_layer(nn.Conv2d(3, 4, 3, bias=False), (2, 3, 9, 9), (2, 4, 7, 7)),
    2 * 2 * 4 * 7 * 7 * 27,
    what="FLOPs of Conv2d 3 -> 4",
)
assert_int(flops_of_layer(nn.GELU(), (2, 6), (2, 6)), 108, what="FLOPs of GELU on 12 elements")
assert_int(
    flops_of_layer(nn.MultiHeadAttention(8, 2), (3, 5, 8), (3, 5, 8)),
    4 * 3 * 25 * 8 + 6 * 3 * 2 * 25,
    what="own FLOPs of attention",
)
assert_int(flops_of_layer(nn.Flatten(), (3, 5, 8), (3, 40)), 0, what="FLOPs of Flatten")
### BEGIN HIDDEN TESTS
rng = fresh("layer flops")
for _ in range(5):
    b, t, heads, c, o, r = (int(v) for v in rng.integers(1, 7, size=6))
    assert_int(
        flops_of_layer(nn.Linear(c, o, bias=False), (b, t, c), (b, t, o)),
        2 * b * t * c * o,
        what="FLOPs of Linear without bias",
    )
    assert_int(
        flops_of_layer(nn.Conv2d(c, o, r), (b, c, r + t - 1, r), (b, o, t, 1)),
        b * o * t * (2 * c * r * r + 1),
        what="FLOPs of Conv2d",
    )
    assert_int(
        flops_of_layer(nn.MaxPool2d(r), (b, c, t * r, r), (b, c, t, 1)),
        r * r * b * c * t,
        what="FLOPs of MaxPool2d",
    )
    assert_int(
        flops_of_layer(nn.LayerNorm(c), (b, t, c), (b, t, c)),
        7 * b * t * c,
        what="FLOPs of LayerNorm",
    )
    assert_int(
        flops_of_layer(nn.BatchNorm2d(c), (b, c, t, t), (b, c, t, t)),
        2 * b * c * t * t,
        what="FLOPs of BatchNorm2d",
    )
    width = heads * c
    attention = nn.MultiHeadAttention(width, heads)
    assert_int(
        flops_of_layer(attention, (b, t, width), (b, t, width)),
        4 * b * t * t * width + 6 * b * heads * t * t,
        what="own FLOPs of attention",
    )
    assert_int(
        flops_of_layer(nn.TransformerBlock(width, heads), (b, t, width), (b, t, width)),
        2 * b * t * width,
        what="own FLOPs of TransformerBlock",
    )
assert_int(
    flops_of_layer(nn.Dropout(0.5), (3, 4), (3, 4)), 0, what="FLOPs of Dropout in evaluation mode"
)
assert_int(flops_of_layer(nn.ReLU(), (3, 4), (3, 4)), 12, what="FLOPs of ReLU on 12 elements")
### END HIDDEN TESTS


# %% nbgrader={"grade_id": "flops"}
#| export
def layer_flops(model: nn.Module, *inputs: Any) -> dict[str, int]:
    """FLOPs of each module on one forward pass, by its dotted name (the model itself is "").

    The pass runs in evaluation mode without gradients; the model's mode is put back and no hook
    stays behind,
    also when the pass fails. A module that runs twice counts twice.
    """
    # TODO:
    # 1. for each name, module in model.named_modules(): register a forward hook that adds
    #    flops_of_layer
    # 2. run the model once, in evaluation mode and under no_grad
    # 3. in a `finally`: remove the hooks, put the training mode back
    ### BEGIN SOLUTION
    flops: dict[str, int] = {}

    def listener(name: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def add(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            flops[name] = flops.get(name, 0) + flops_of_layer(
                module, tuple(args[0].shape), tuple(output.shape)
            )

        return add

    was_training = model.training
    handles = [
        module.register_forward_hook(listener(name)) for name, module in model.named_modules()
    ]
    try:
        model.eval()
        with no_grad():
            model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
        model.train(was_training)
    return flops
    ### END SOLUTION


def count_flops(model: nn.Module, *inputs: Any) -> int:
    """FLOPs of one forward pass of `model(*inputs)`, from layers and shapes; the batch counts.

    Example:
        >>> count_flops(nn.Linear(8, 3, bias=False), Tensor(np.zeros((5, 8), np.float32)))
        240
    """
    # TODO: one line
    ### BEGIN SOLUTION
    return sum(layer_flops(model, *inputs).values())
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_flops__models", "points": 6}
# Two ways, one number. Rejects: hooks left behind, a mode not put back, a layer seen twice.
model = MLP([64, 32, 10])
batch = Tensor(np.zeros((7, 64), np.float32))
assert_int(
    count_flops(model, batch),
    7 * (2 * 64 * 32 + 32 + 32 + 2 * 32 * 10 + 10),
    what="FLOPs of MLP 64-32-10, batch 7",
)
assert_int(
    count_flops(model, Tensor(np.zeros((14, 64), np.float32))),
    14 * (2 * 64 * 32 + 32 + 32 + 2 * 32 * 10 + 10),
    what="FLOPs of twice the batch",
)
assert model.training, "count_flops must put the model's training mode back"
### BEGIN HIDDEN TESTS
rng = fresh("model flops")


def flops_at_dispatch(model: nn.Module, *inputs: object) -> int:
    """The same number by listening: an oracle that knows nothing of layers."""
    per_element = {"add": 1, "relu": 1, "gelu": 9, "layer_norm": 7, "batch_norm": 2}
    total = 0

    def listen(event: backend.Event) -> None:
        nonlocal total
        first, result = event.inputs[0], event.outputs[0]
        if event.op == "linear":
            total += result.size * (2 * first.shape[-1] + len(event.inputs) - 2)
        elif event.op == "conv2d":
            total += result.size * (2 * event.inputs[1][0].size + len(event.inputs) - 2)
        elif event.op == "attention":
            scores = first.size // first.shape[-1] * event.inputs[1].shape[-2]
            total += scores * (4 * first.shape[-1] + 6)
        elif event.op == "max_pool2d":
            total += result.size * event.attributes["kernel_size"] ** 2
        else:
            total += per_element.get(event.op, 0) * max(first.size, result.size)

    model.eval()
    with no_grad(), backend.observe(listen):
        model(*inputs)
    model.train()
    return total


b, t = int(rng.integers(1, 5)), int(rng.integers(3, 20))
small = GPT(GPTConfig(vocab_size=23, block_size=32, n_layer=2, n_head=2, n_embd=12), rng=rng)
ids = rng.integers(0, 23, size=(b, t))
assert_int(
    count_flops(small, ids),
    flops_at_dispatch(small, ids),
    what=f"FLOPs of a GPT, batch {b}, {t} tokens",
)
cnn, images = SmallCNN(rng=rng), Tensor(rng.standard_normal((b, 1, 8, 8), dtype=np.float32))
assert_int(
    count_flops(cnn, images), flops_at_dispatch(cnn, images), what=f"FLOPs of SmallCNN, batch {b}"
)
twice = nn.Linear(6, 6, rng=rng)
expected = 2 * b * (2 * 36 + 6)
assert_int(
    count_flops(nn.Sequential(twice, twice), Tensor(np.zeros((b, 6), np.float32))),
    expected,
    what="FLOPs of one layer run twice",
)
named = layer_flops(nn.Sequential(twice, nn.ReLU(), twice), Tensor(np.zeros((b, 6), np.float32)))
assert {name: flops for name, flops in named.items() if flops} == {"0": expected, "1": 6 * b}, (
    f"FLOPs by dotted name of a layer run twice and a ReLU, got {named}"
)
cnn, statistics_before = SmallCNN(rng=rng), {}
statistics_before = {name: value.data.copy() for name, value in cnn.named_buffers()}
count_flops(cnn, images)
for name, value in cnn.named_buffers():
    assert_close(value.data, statistics_before[name], what=f"{name} (the pass is no training)")
cnn.eval()
count_flops(cnn, images)
assert not cnn.training, "a model in evaluation mode must stay in it"


def assert_no_hooks(patient: nn.Module, when: str) -> None:
    """A hook left behind asks for the shape of whatever passes. Words have none."""
    try:
        handed_on = inside(patient, "no shape")
    except Exception as error:
        raise AssertionError(f"a hook is left behind {when}: {error}") from error
    assert handed_on == "no shape", f"a hook is left behind {when}"


patient = nn.Sequential(PatientLinear(6, 6, rng=rng), PatientLinear(6, 4, rng=rng))
flops = b * (2 * 36 + 6) + b * (2 * 24 + 4)
assert_int(
    count_flops(patient, Tensor(np.zeros((b, 6), np.float32))), flops, what="FLOPs of two Linears"
)
assert_no_hooks(patient, "after a pass")
expect_error(Exception, count_flops, patient, Tensor(np.zeros((b, 5), np.float32)))
assert patient.training, "count_flops must put the mode back also when the pass fails"
assert_no_hooks(patient, "after a failed pass")
### END HIDDEN TESTS

# %% tags=["measure"]
derived = count_flops(gpt, tokens[None, :128])
with no_grad(), OpCounter() as counter:
    gpt(tokens[None, :128])
print(
    f"GPT, 128 tokens: {derived:,} FLOPs derived from shapes, {counter.flops:,} counted while running"
)
print(
    f"parameters: {count_parameters(gpt):,}; 2 FLOPs x parameters x tokens = {2 * count_parameters(gpt) * 128:,}"
)

# %% [markdown]
# The last line is a rule of thumb of the field: a forward pass costs about two FLOPs for each parameter and token
# (Kaplan et al., *Scaling Laws for Neural Language Models*, 2020). Which parameters does it count that do no
# arithmetic? Which arithmetic does it miss? You now have the tools to say by how much.

# %% [markdown]
# ## Exercise 6: where the memory is
#
# *Difficulty 3 of 5, 35 minutes, 9 points.*
#
# A model that fits on your machine may not **train** there. A training step holds four things at once:
#
# - the **parameters**;
# - the **activations**: results of the forward pass that the backward pass needs again;
# - the **gradients**, one number for each parameter;
# - the **optimizer's state**: none for plain SGD, one number a parameter with momentum, two for AdamW.
#
# And the **peak** is what counts: the highest sum there was at any moment.


# %%
#| export
@dataclass(frozen=True)
class MemoryReport:
    """Bytes of one pass or one training step.

    Attributes:
        parameter_bytes: the model's parameters, shared ones once.
        activation_bytes: results alive at the end of the forward pass; without targets, the most
            alive at any time.
        gradient_bytes: gradients of the parameters after the backward pass.
        optimizer_bytes: the optimizer's state after one step.
        peak_bytes: parameters, optimizer state and the highest sum of live results.
        timeline: (nanoseconds, live bytes of results, operation), one entry an operation.
    """

    parameter_bytes: int
    activation_bytes: int
    gradient_bytes: int
    optimizer_bytes: int
    peak_bytes: int
    timeline: tuple[tuple[int, int, str], ...] = field(default=(), repr=False)

    def categories(self) -> dict[str, int]:
        """The five figures by name, for tables and dashboards."""
        return {
            "parameters": self.parameter_bytes,
            "activations": self.activation_bytes,
            "gradients": self.gradient_bytes,
            "optimizer_state": self.optimizer_bytes,
            "peak": self.peak_bytes,
        }


# %% nbgrader={"grade_id": "memory"}
#| export
def measure_memory(
    model: nn.Module,
    x: Any,
    targets: np.ndarray | None = None,
    make_optimizer: Callable[[list[nn.Parameter]], Any] | None = None,
) -> MemoryReport:
    """Measure the memory of a forward pass, or of a training step when `targets` are given.

    Works on a deep copy: the model, its gradients and its mode stay as they were.

    Args:
        model: any module; with targets its output is logits.
        x: the input, as the model takes it.
        targets: class indices for `cross_entropy`. None: one forward pass in evaluation mode
            without gradients.
        make_optimizer: makes the optimizer of a list of parameters, for example `lambda p: AdamW(p,
            lr=1e-3)`;
            it then takes one step. Its state is found by its `state_arrays()`.

    Returns:
        MemoryReport; gradients and optimizer are 0 when there is no backward pass or no optimizer.
    """
    # TODO:
    # 1. deep-copy the model; add up nbytes of its parameters, each shared one once
    # 2. without targets: evaluation mode, no_grad, one pass under an OpCounter; the peak of live
    #    bytes is the activations
    # 3. with targets: training mode; under an OpCounter compute the loss, note live_bytes while you
    #    hold it, then backward
    # 4. gradients: nbytes of each parameter's grad. Optimizer: make it, step it inside the counter,
    #    add up state_arrays()
    # 5. peak: parameters + optimizer state + the counter's peak
    ### BEGIN SOLUTION
    twin = deepcopy(model)
    parameters = list({id(parameter): parameter for parameter in twin.parameters()}.values())
    parameter_bytes = sum(parameter.data.nbytes for parameter in parameters)
    if targets is None:
        twin.eval()
        with no_grad(), OpCounter() as counter:
            twin(x)
        peak = counter.peak_live_bytes
        return MemoryReport(
            parameter_bytes, peak, 0, 0, parameter_bytes + peak, tuple(counter.timeline)
        )
    twin.train()
    twin.zero_grad()
    optimizer = make_optimizer(parameters) if make_optimizer else None
    with OpCounter() as counter:
        loss = F.cross_entropy(twin(x), targets)
        activation_bytes = counter.live_bytes
        loss.backward()
        gradient_bytes = sum(p.grad.data.nbytes for p in parameters if p.grad is not None)
        if optimizer is not None:
            optimizer.step()
    optimizer_bytes = (
        sum(array.nbytes for array in optimizer.state_arrays()) if optimizer is not None else 0
    )
    return MemoryReport(
        parameter_bytes,
        activation_bytes,
        gradient_bytes,
        optimizer_bytes,
        parameter_bytes + optimizer_bytes + counter.peak_live_bytes,
        tuple(counter.timeline),
    )
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_memory", "points": 9}
# Rejects: activations read after the backward pass, gradients forgotten, a model changed by being
# measured.
model = MLP([64, 128, 10], rng=np.random.default_rng(0))
x, targets = Tensor(np.ones((32, 64), np.float32)), np.zeros(32, np.int64)
weights_before = {name: value.data.copy() for name, value in model.state_dict().items()}
report = measure_memory(model, x, targets, make_optimizer=adamw)
parameter_bytes = 4 * (64 * 128 + 128 + 128 * 10 + 10)
assert_int(
    report.parameter_bytes,
    parameter_bytes,
    what="bytes of the parameters of MLP 64-128-10 in float32",
)
assert_int(report.gradient_bytes, parameter_bytes, what="bytes of the gradients")
assert_int(report.optimizer_bytes, 2 * parameter_bytes, what="bytes of AdamW's two moments")
assert report.activation_bytes >= 4 * 32 * (128 + 10), (
    f"backward needs at least the two layers' outputs, got {report.activation_bytes} bytes"
)
assert report.peak_bytes >= 4 * parameter_bytes, (
    f"the peak holds parameters, gradients and two moments, got {report.peak_bytes} bytes"
)
assert all(p.grad is None for p in model.parameters()), (
    "measuring must not leave gradients in the model"
)
for name, value in model.state_dict().items():
    assert_close(value.data, weights_before[name], what=f"{name} after measuring")
passed = measure_memory(model, x)
assert (passed.gradient_bytes, passed.optimizer_bytes) == (0, 0), (
    "a forward pass has no gradients and no optimizer"
)
assert passed.activation_bytes < report.activation_bytes, (
    "without gradients nothing is kept for a backward pass"
)
### BEGIN HIDDEN TESTS
import tracemalloc

rng = fresh("memory")
width = int(rng.integers(40, 200))
model = MLP([width, 2 * width, width, 10], rng=rng)
size = 4 * sum(p.numel() for p in model.parameters())


def report_of(batch: int, **kind: object) -> MemoryReport:
    features = Tensor(rng.standard_normal((batch, width), dtype=np.float32))
    return measure_memory(model, features, rng.integers(0, 10, batch), **kind)


def traced_bytes(work: Callable[[], object]) -> tuple[int, int]:
    """What Python's own allocator holds after some work, and the most it held: another oracle."""
    work()
    tracemalloc.start()
    result = work()
    held, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del result
    return held, most


two, four, six = (report_of(200 * n).activation_bytes for n in (2, 4, 6))
assert_int(six - four, four - two, what="activations grow by the same amount for each 400 examples")
features = Tensor(rng.standard_normal((800, width), dtype=np.float32))
targets, traced_model = rng.integers(0, 10, 800), deepcopy(model)


def traced_step() -> None:
    traced_model.zero_grad()
    F.cross_entropy(traced_model(features), targets).backward()


held, _ = traced_bytes(lambda: F.cross_entropy(traced_model(features), targets))
assert_close(float(four), float(held), rtol=0.1, what="activation_bytes against Python's allocator")
_, most = traced_bytes(traced_step)
results_peak = report_of(800).peak_bytes - size
assert most / 4 < results_peak < 4 * most, (
    f"the peak without the parameters is {results_peak} bytes; Python's allocator says {most}"
)
plain, heavy = report_of(64, make_optimizer=sgd), report_of(64, make_optimizer=heavy_sgd)
assert_int(plain.optimizer_bytes, 0, what="state of plain SGD")
assert_int(heavy.optimizer_bytes, size, what="state of SGD with momentum")
assert_int(report_of(64).gradient_bytes, size, what="gradients without an optimizer")
assert heavy.peak_bytes >= 3 * size, (
    f"peak of {heavy.peak_bytes} bytes cannot hold parameters, gradients and momentum of {size} each"
)
tied = GPT(GPTConfig(vocab_size=30, block_size=8, n_layer=1, n_head=2, n_embd=8), rng=rng)
tied.head.weight = tied.token_embedding.weight
unique = {id(p): p.data.nbytes for p in tied.parameters()}
assert_int(
    measure_memory(tied, rng.integers(0, 30, (2, 8))).parameter_bytes,
    sum(unique.values()),
    what="bytes of shared parameters",
)
model.train()
measure_memory(model, Tensor(np.zeros((1, width), np.float32)))
assert model.training, "measuring must not change the model's mode"
### END HIDDEN TESTS

# %% tags=["measure"]
memory_of_optimizers = {
    "SGD": measure_memory(gpt, window[None, :-1], window[None, 1:], lambda p: optim.SGD(p, lr=0.1)),
    "SGD, momentum": measure_memory(
        gpt, window[None, :-1], window[None, 1:], lambda p: optim.SGD(p, lr=0.1, momentum=0.9)
    ),
    "AdamW": measure_memory(
        gpt, window[None, :-1], window[None, 1:], lambda p: optim.AdamW(p, lr=1e-3)
    ),
}
adamw = memory_of_optimizers["AdamW"]
dashboards.show(
    dashboards.memory_breakdown(adamw.categories()),
    summary=f"One AdamW step of the GPT over 128 tokens peaks at {adamw.peak_bytes / 2**20:.1f} MiB, "
    f"{adamw.peak_bytes / adamw.parameter_bytes:.1f} times its parameters.",
    table=[
        {"optimizer": name, **{k: f"{v / 2**20:.2f} MiB" for k, v in r.categories().items()}}
        for name, r in memory_of_optimizers.items()
    ],
)

# %% [markdown]
# ## Exercise 7: a profiler with regions
#
# *Difficulty 4 of 5, 60 minutes, 15 points.*
#
# A total tells you that it is slow. You need to know **where**. A region is a named block of code; regions nest. Of each
# you want two times:
#
# - **inclusive**: from its start to its end, everything inside;
# - **exclusive**: inclusive minus the regions directly inside. The exclusive times of all regions add up to the whole,
#   so that is what shares are made of.


# %%
#| export
@dataclass(frozen=True)
class Span:
    """One visit of one region: its place in the nesting, its begin and end in nanoseconds."""

    path: tuple[str, ...]
    start_ns: int
    end_ns: int


@dataclass(frozen=True)
class Region:
    """All visits of one region, added up; `path` goes from the outermost region to this one."""

    path: tuple[str, ...]
    calls: int
    inclusive_ns: int
    exclusive_ns: int

    @property
    def name(self) -> str:
        """The region's own name."""
        return self.path[-1]


def region_name(dotted: str, module: nn.Module) -> str:
    """A module's name in a profile: `blocks.0.attention` is `attention`, the root is its class."""
    parts = dotted.split(".")
    if not dotted:
        return type(module).__name__
    return ".".join(parts[-2:]) if parts[-1].isdigit() else parts[-1]


# %% nbgrader={"grade_id": "profiler"}
#| export
class PerformanceProfiler:
    """Times nested regions of code, and the modules of a model.

    Args:
        clock: nanosecond clock.

    Attributes:
        spans: every visit of every region, in the order in which they **ended**.

    Example:
        >>> profiler = PerformanceProfiler()
        >>> with profiler.profile("step"):
        ...     with profiler.profile("inner"):
        ...         total = sum(range(1000))
        >>> [region.path for region in profiler.regions()]
        [('step',), ('step', 'inner')]
    """

    def __init__(self, clock: Clock = time.perf_counter_ns) -> None:
        self.clock = clock
        self.spans: list[Span] = []
        self._open: list[tuple[str, int]] = []

    def _begin(self, name: str) -> None:
        self._open.append((name, self.clock()))

    def _end(self) -> None:
        end_ns = self.clock()
        path = tuple(name for name, _ in self._open)
        _, start_ns = self._open.pop()
        self.spans.append(Span(path, start_ns, end_ns))

    @contextmanager
    def profile(self, name: str) -> Iterator[None]:
        """Time a block as the region `name`, inside the open regions; also when it raises."""
        # TODO: _begin, the block, _end (whatever happens)
        ### BEGIN SOLUTION
        self._begin(name)
        try:
            yield
        finally:
            self._end()
        ### END SOLUTION

    def profile_model(self, model: nn.Module, *inputs: Any) -> Any:
        """Run `model(*inputs)` once with a region around each module's forward pass.

        Works through forward hooks, named by `region_name`. No hook stays behind and no region
        stays open, also when
        the pass raises.

        Returns:
            What the model returned.
        """
        # TODO:
        # 1. for each name, module of model.named_modules(): a forward pre-hook that begins the
        #    region,
        #    and a forward hook with always_call=True that ends it
        # 2. run the model; remove the hooks in a `finally`
        ### BEGIN SOLUTION
        handles = []
        try:
            for dotted, module in model.named_modules():
                name = region_name(dotted, module)
                handles.append(
                    module.register_forward_pre_hook(lambda *_, name=name: self._begin(name))
                )
                handles.append(
                    module.register_forward_hook(lambda *_: self._end(), always_call=True)
                )
            return model(*inputs)
        finally:
            for handle in handles:
                handle.remove()
        ### END SOLUTION

    def regions(self) -> list[Region]:
        """The regions, one for each path, in the order they first began: parents before children."""
        # TODO:
        # 1. add up the visits and their durations for each path
        # 2. exclusive: take each region's inclusive time off its parent's (path[:-1])
        # 3. sort by the first start (of two equal starts, the shorter path first)
        ### BEGIN SOLUTION
        calls: dict[tuple[str, ...], int] = {}
        inclusive: dict[tuple[str, ...], int] = {}
        for span in sorted(self.spans, key=lambda span: (span.start_ns, len(span.path))):
            calls[span.path] = calls.get(span.path, 0) + 1
            inclusive[span.path] = inclusive.get(span.path, 0) + span.end_ns - span.start_ns
        exclusive = dict(inclusive)
        for path, duration_ns in inclusive.items():
            if path[:-1] in exclusive:
                exclusive[path[:-1]] -= duration_ns
        return [Region(path, calls[path], inclusive[path], exclusive[path]) for path in inclusive]
        ### END SOLUTION

    def shares(self, names: Sequence[str] | None = None) -> dict[str, float]:
        """Each name's share of the time, largest first; they add up to 1.

        Args:
            names: give each region's exclusive time to the **innermost** of these names in its
                path, the rest to
                "other". None: to its own name.

        Raises:
            ValueError: nothing was profiled.
        """
        # TODO:
        # 1. for each region find the name that gets its exclusive time
        # 2. divide by the total; sort from large to small
        ### BEGIN SOLUTION
        time_ns: dict[str, int] = {}
        for region in self.regions():
            wanted = (
                region.path
                if names is None
                else [part for part in region.path if part in names] or ["other"]
            )
            time_ns[wanted[-1]] = time_ns.get(wanted[-1], 0) + region.exclusive_ns
        total_ns = sum(time_ns.values())
        if total_ns == 0:
            raise ValueError(
                "no time was profiled; wrap some work in `with profiler.profile(name):` first"
            )
        return {
            name: ns / total_ns for name, ns in sorted(time_ns.items(), key=lambda item: -item[1])
        }
        ### END SOLUTION

    def report(self, names: Sequence[str] | None = None) -> str:
        """The shares as whole percents that add up to 100: `attention 70 %, other 30 %`.

        Rounded by largest remainders: all are rounded down, then the missing percents go to those
        that lost most.
        """
        # TODO:
        # 1. percents from self.shares(names), rounded down
        # 2. one more for those with the largest remainders, until the sum is 100
        ### BEGIN SOLUTION
        percents = {name: 100 * share for name, share in self.shares(names).items()}
        whole = {name: math.floor(percent) for name, percent in percents.items()}
        by_remainder = sorted(percents, key=lambda name: whole[name] - percents[name])
        for name in by_remainder[: 100 - sum(whole.values())]:
            whole[name] += 1
        return ", ".join(f"{name} {percent} %" for name, percent in whole.items())
        ### END SOLUTION

    def compare_optimizations(self, **systems: Callable[[], object]) -> "Comparison":
        """Compare functions against the one named `baseline`: see `compare_latencies` (Exercise 8)."""
        return compare_latencies(systems, clock=self.clock)

    def to_chrome_trace(self, path: str | os.PathLike[str]) -> Path:
        """Write the spans as a trace file: see `write_chrome_trace` (Exercise 9)."""
        return write_chrome_trace(self.spans, path)


# %% nbgrader={"grade_id": "test_profiler__regions", "points": 6}
# Rejects: exclusive time that still holds the children's, a region left open by an error, visits
# overwritten.
clock = FakeClock()
profiler = PerformanceProfiler(clock=clock)
with profiler.profile("step"):
    clock.advance(10)
    for _ in range(2):
        with profiler.profile("attention"):
            clock.advance(30)
            with profiler.profile("softmax"):
                clock.advance(5)
    with profiler.profile("feed_forward"):
        clock.advance(20)
seen = {
    region.path: (region.calls, region.inclusive_ns, region.exclusive_ns)
    for region in profiler.regions()
}
assert seen == {
    ("step",): (1, 100, 10),
    ("step", "attention"): (2, 70, 60),
    ("step", "attention", "softmax"): (2, 10, 10),
    ("step", "feed_forward"): (1, 20, 20),
}, f"(calls, inclusive, exclusive) by path is wrong: {seen}"
assert [r.name for r in profiler.regions()] == ["step", "attention", "softmax", "feed_forward"], (
    "regions come in the order they began"
)
try:
    with profiler.profile("broken"):
        clock.advance(7)
        raise KeyError("the block failed")
except KeyError:
    clock.advance(1)
with profiler.profile("after"):
    clock.advance(3)
assert [r.path for r in profiler.regions()][-2:] == [("broken",), ("after",)], (
    "a region that raised must be closed"
)
### BEGIN HIDDEN TESTS
rng = fresh("regions")
clock = FakeClock()
profiler = PerformanceProfiler(clock=clock)
expected_exclusive: dict[tuple[str, ...], int] = {}
expected_calls: dict[tuple[str, ...], int] = {}


def wander(path: tuple[str, ...], depth: int) -> None:
    """A random tree of regions; keeps its own books."""
    name = "abc"[int(rng.integers(3))]
    here = (*path, name)
    with profiler.profile(name):
        expected_calls[here] = expected_calls.get(here, 0) + 1
        for child in range(int(rng.integers(0, 4)) if depth else 0):
            own = int(rng.integers(0, 50))
            clock.advance(own)
            expected_exclusive[here] = expected_exclusive.get(here, 0) + own
            wander(here, depth - 1)
        own = int(rng.integers(1, 50))
        clock.advance(own)
        expected_exclusive[here] = expected_exclusive.get(here, 0) + own


for _ in range(4):
    wander((), 4)
regions = profiler.regions()
assert {r.path: r.exclusive_ns for r in regions} == expected_exclusive, (
    "exclusive times of a random tree of regions"
)
assert {r.path: r.calls for r in regions} == expected_calls, "calls of a random tree of regions"
roots = sum(r.inclusive_ns for r in regions if len(r.path) == 1)
assert_int(
    sum(r.exclusive_ns for r in regions), roots, what="sum of exclusive times against the whole"
)
### END HIDDEN TESTS


# %% nbgrader={"grade_id": "test_profiler__shares", "points": 4}
# Rejects: shares of inclusive time (they add up to more than the whole), and percents that add up
# to 99 or 101.
def shares_of(**exclusive_ns: int) -> PerformanceProfiler:
    clock = FakeClock()
    profiler = PerformanceProfiler(clock=clock)
    with profiler.profile("model"):
        for name, duration_ns in exclusive_ns.items():
            with profiler.profile(name):
                clock.advance(duration_ns // 2)
                with profiler.profile("linear"):
                    clock.advance(duration_ns - duration_ns // 2)
    return profiler


profiler = shares_of(attention=450, feed_forward=300, embedding=150, norm=100)
shares = profiler.shares(["attention", "feed_forward", "embedding"])
assert list(shares) == ["attention", "feed_forward", "embedding", "other"], (
    f"largest first, the rest as other: {shares}"
)
assert_close(
    np.array(list(shares.values())), np.array([0.45, 0.3, 0.15, 0.1]), rtol=1e-12, what="shares"
)
assert (
    profiler.report(["attention", "feed_forward", "embedding"])
    == "attention 45 %, feed_forward 30 %, embedding 15 %, other 10 %"
)
assert_close(profiler.shares()["linear"], 0.5, rtol=1e-12, what="share of all regions named linear")
assert shares_of(a=1_000, b=1_000, c=1_000).report(["a", "b", "c"]).count("33") == 2, (
    "three thirds are 34, 33 and 33 percent"
)
expect_error(ValueError, PerformanceProfiler().shares, mentions=("profile",))
### BEGIN HIDDEN TESTS
rng = fresh("shares")
for _ in range(10):
    names = [f"part{i}" for i in range(int(rng.integers(2, 9)))]
    parts = {name: int(rng.integers(2, 10_000)) for name in names}
    profiler = shares_of(**parts)
    shares = profiler.shares(names)
    total = sum(parts.values())
    for name, duration_ns in parts.items():
        assert_close(shares[name], duration_ns / total, rtol=1e-12, what=f"share of {name}")
    percents = {
        piece.rsplit(" ", 2)[0]: int(piece.rsplit(" ", 2)[1])
        for piece in profiler.report(names).split(", ")
    }
    assert_int(sum(percents.values()), 100, what=f"sum of the percents of {parts}")
    for name in names:
        assert abs(percents[name] - 100 * shares[name]) < 1, (
            f"{name} is {100 * shares[name]:.2f} %, reported as {percents[name]} %"
        )
### END HIDDEN TESTS

# %% nbgrader={"grade_id": "test_profiler__model", "points": 5}
# Rejects: hooks left behind, regions left open after a failed pass, and a profile that changes the
# result.
small = GPT(
    GPTConfig(vocab_size=17, block_size=16, n_layer=2, n_head=2, n_embd=8),
    rng=np.random.default_rng(0),
).eval()
ids = np.arange(12).reshape(1, 12)
profiler = PerformanceProfiler()
with no_grad():
    profiled, plain = profiler.profile_model(small, ids), small(ids)
assert_close(profiled.data, plain.data, what="the output of a profiled model")
paths = [region.path for region in profiler.regions()]
assert paths[0] == ("GPT",), f"the model itself is the outermost region, got {paths[0]}"
assert ("GPT", "blocks.1", "attention", "qkv") in paths, (
    f"each module is a region inside its caller's, got {paths}"
)
visits = len(profiler.spans)
with no_grad():
    inside(small, ids)
assert_int(
    len(profiler.spans), visits, what="visits after a pass without the profiler (no hook may stay)"
)
### BEGIN HIDDEN TESTS
rng = fresh("profile model")
cnn = SmallCNN(rng=rng).eval()
clock = FakeClock(read_ns=1)
profiler = PerformanceProfiler(clock=clock)
images = Tensor(rng.standard_normal((2, 1, 8, 8), dtype=np.float32))
with no_grad():
    profiler.profile_model(cnn, images)
calls = {r.path: r.calls for r in profiler.regions()}
assert_int(
    sum(calls.values()),
    len(list(cnn.named_modules())),
    what="visits of modules in one pass of SmallCNN",
)
shared = nn.Linear(4, 4, rng=rng)
profiler = PerformanceProfiler()
profiler.profile_model(
    nn.Sequential(shared, nn.ReLU(), shared), Tensor(np.ones((1, 4), np.float32))
)
assert_int(max(r.calls for r in profiler.regions()), 2, what="visits of a layer used twice")
profiler = PerformanceProfiler()
expect_error(Exception, profiler.profile_model, cnn, Tensor(np.zeros((1, 3, 8, 8), np.float32)))
visits = len(profiler.spans)
inside(cnn, images)
assert_int(
    len(profiler.spans), visits, what="visits after a failed pass and one without the profiler"
)
with profiler.profile("after"):
    clock.advance(1)
assert profiler.spans[-1].path == ("after",), (
    f"a failed pass left regions open: {profiler.spans[-1].path}"
)
### END HIDDEN TESTS

# %% [markdown]
# ### Discover: where does the GPT spend its time?
#
# Remember your guess. Then run.

# %% tags=["measure"]
PARTS = ("attention", "feed_forward", "token_embedding", "position_embedding", "head")
gpt_profile = PerformanceProfiler()
with no_grad():
    for _ in range(10):
        gpt_profile.profile_model(gpt, tokens[None, :128])
print(gpt_profile.report(PARTS))
dashboards.show(
    dashboards.icicle(gpt_profile.regions()),
    summary=f"Time of the GPT's modules over ten forward passes of 128 tokens: {gpt_profile.report(PARTS)}.",
    table=[
        {
            "region": " / ".join(r.path),
            "calls": r.calls,
            "inclusive ms": round(r.inclusive_ns / 1e6, 3),
            "exclusive ms": round(r.exclusive_ns / 1e6, 3),
        }
        for r in sorted(gpt_profile.regions(), key=lambda r: -r.exclusive_ns)[:8]
    ],
)

# %% [markdown]
# ## Exercise 8: is it faster?
#
# *Difficulty 3 of 5, 40 minutes, 8 points.*
#
# "Before: 12.1 ms. After: 11.6 ms. 4 % faster!" Perhaps. Perhaps the machine was busier before.
#
# Measure in **pairs**. In each round time every system once, in turn; the next round in the opposite order (A B, B A).
# What slows the machine for a while slows both, and cancels in the round's **ratio**. Then report the median of the
# ratios with an **interval**.

# %% [markdown]
# The interval needs no bell curve. Each of n samples is above the true median with chance one half, so the number
# above it is binomial. The k-th smallest and the k-th largest sample enclose the true median with confidence
#
# $$1 - 2\,P(X \le k-1), \qquad X \sim \mathrm{Binomial}(n, \tfrac12).$$
#
# Take the largest k that still gives the confidence you want (Hollander & Wolfe, *Nonparametric Statistical Methods*).
# If 1 lies inside the interval of a ratio, say so: *no measurable change*.


# %%
#| export
@dataclass(frozen=True)
class Compared:
    """One system against the baseline.

    Attributes:
        name: the system.
        latency: its samples, one a round.
        ratio: median over the rounds of baseline time / this time; above 1 is faster.
        low, high: interval of that median, at the comparison's confidence.
    """

    name: str
    latency: Latency
    ratio: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """What may be said: faster, slower, or no measurable change."""
        if self.low <= 1 <= self.high:
            return "no measurable change"
        return "faster" if self.ratio > 1 else "slower"


@dataclass(frozen=True)
class Comparison:
    """The systems of one comparison, the baseline first."""

    rows: tuple[Compared, ...]

    def __getitem__(self, name: str) -> Compared:
        return next(row for row in self.rows if row.name == name)

    def table(self) -> list[dict[str, object]]:
        """The rows as plain dictionaries."""
        return [
            {
                "system": row.name,
                "median us": round(row.latency.median_ns / 1e3, 2),
                "ratio": round(row.ratio, 3),
                "95 % interval": f"{row.low:.3f} to {row.high:.3f}",
                "verdict": row.verdict if row.name != "baseline" else "",
            }
            for row in self.rows
        ]

    def __str__(self) -> str:
        lines = [
            f"{row['system']!s:20s} {row['median us']!s:>11s} us  "
            f"x{row['ratio']!s:7s} [{row['95 % interval']}] {row['verdict']}"
            for row in self.table()
        ]
        return "\n".join(lines)


# %% nbgrader={"grade_id": "compare"}
#| export
def median_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Order-statistics interval of the median: the k-th smallest and k-th largest value.

    Args:
        values: independent samples.
        confidence: at least this chance to hold the true median.

    Raises:
        ValueError: too few values for any interval of that confidence (fewer than 6 at 95 %).

    Example:
        >>> median_interval([5, 1, 4, 2, 3, 6])
        (1, 6)
    """
    # TODO: grow k while 2 * P(X <= k - 1) stays at or below 1 - confidence; math.comb gives the
    # binomial's terms
    ### BEGIN SOLUTION
    ordered, count = sorted(values), len(values)
    outside, k = 0.0, 0
    while True:
        outside += 2 * math.comb(count, k) / 2**count
        if outside > 1 - confidence or 2 * k >= count:
            break
        k += 1
    if k == 0:
        raise ValueError(
            f"{count} values are too few for an interval of {confidence:.0%}; measure more rounds"
        )
    return ordered[k - 1], ordered[count - k]
    ### END SOLUTION


def compare_latencies(
    systems: Mapping[str, Callable[[], object]],
    rounds: int = 15,
    loops: int | None = None,
    clock: Clock = time.perf_counter_ns,
) -> Comparison:
    """Compare the latency of functions with the one named `baseline`, in interleaved rounds.

    Args:
        systems: functions without arguments by name; one is named "baseline".
        rounds: each round takes one sample of every system, odd rounds in the opposite order.
        loops: calls a sample. None: for each system as many as `measure_latency` finds for one
            millisecond.
        clock: nanosecond clock.

    Raises:
        ValueError: no system named "baseline".
    """
    # TODO:
    # 1. refuse systems without a "baseline", showing the names given
    # 2. each system's loops: `loops`, or measure_latency(fn, repeats=1, min_sample_ns=1_000_000,
    #    clock=clock).loops
    # 3. `rounds` times: a sample (nanoseconds a call) of each system; reverse the order in every
    #    second round
    # 4. for each system: the ratios round by round, their median and median_interval; the baseline
    #    first
    ### BEGIN SOLUTION
    if "baseline" not in systems:
        raise ValueError(f"name one system 'baseline'; got {', '.join(systems) or 'none'}")
    names = ["baseline", *(name for name in systems if name != "baseline")]
    calls = {
        name: loops
        or measure_latency(systems[name], repeats=1, min_sample_ns=1_000_000, clock=clock).loops
        for name in names
    }
    samples: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        for name in names if turn % 2 == 0 else reversed(names):
            fn, start_ns = systems[name], clock()
            for _ in range(calls[name]):
                fn()
            samples[name].append((clock() - start_ns) / calls[name])
    rows = []
    for name in names:
        ratios = [base / own for base, own in zip(samples["baseline"], samples[name], strict=True)]
        low, high = median_interval(ratios)
        rows.append(
            Compared(
                name,
                Latency(tuple(samples[name]), calls[name]),
                statistics.median(ratios),
                low,
                high,
            )
        )
    return Comparison(tuple(rows))
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_compare", "points": 8}
# Rejects: a ratio of two medians (a drifting machine fools it), a fixed order, min and max as the
# interval.
def compare_scripted(
    baseline_ns: Sequence[int], candidate_ns: Sequence[int]
) -> tuple[Comparison, list[str]]:
    """Compare two systems whose calls take these nanoseconds, one round each; also the order of calls."""
    clock, log = FakeClock(), []

    def system(name: str, durations_ns: Sequence[int]) -> Callable[[], None]:
        remaining = iter(durations_ns)

        def call() -> None:
            clock.advance(next(remaining))
            log.append(name)

        return call

    systems = {
        "candidate": system("candidate", candidate_ns),
        "baseline": system("baseline", baseline_ns),
    }
    return compare_latencies(systems, rounds=len(baseline_ns), loops=1, clock=clock), log


# In the first ten rounds the machine is 10 times slower, for both. The candidate takes half the time.
speeds = [10] * 10 + [1] * 5
comparison, order = compare_scripted([2_000 * s for s in speeds], [1_000 * s for s in speeds])
row = comparison["candidate"]
assert [r.name for r in comparison.rows] == ["baseline", "candidate"], "the baseline comes first"
assert_close(row.ratio, 2.0, rtol=1e-9, what="ratio when every round's ratio is 2")
assert (row.low, row.high) == (2.0, 2.0), f"the interval of equal ratios is one point, got {row}"
assert_close(comparison["baseline"].ratio, 1.0, rtol=1e-9, what="ratio of the baseline with itself")
assert order[:4] == ["baseline", "candidate", "candidate", "baseline"], (
    f"rounds alternate their order (A B, B A), got {order[:4]}"
)
assert_int(len(row.latency.samples_ns), 15, what="samples of a system in 15 rounds")
assert tuple(median_interval([float(v) for v in range(15, 0, -1)])) == (4.0, 12.0), (
    "15 values: the 4th smallest and the 4th largest"
)
expect_error(ValueError, compare_latencies, {"fast": int}, mentions=("baseline", "fast"))
expect_error(ValueError, median_interval, [1.0, 2.0, 3.0], mentions=("3",))
### BEGIN HIDDEN TESTS
rng = fresh("compare")
for rounds in (9, 21, 30):
    base_ns, own_ns = rng.integers(10**6, 10**7, size=(2, rounds))
    comparison, order = compare_scripted(base_ns.tolist(), own_ns.tolist())
    row, ratios = comparison["candidate"], np.sort(base_ns / own_ns)
    assert_close(
        list(row.latency.samples_ns), own_ns.astype(float).tolist(), what="samples, one a round"
    )
    assert_close(
        row.ratio, float(np.median(ratios)), rtol=1e-9, what="median of the rounds' ratios"
    )
    k = max(
        k
        for k in range(1, rounds // 2 + 1)
        if 2 * sum(math.comb(rounds, i) for i in range(k)) / 2**rounds <= 0.05
    )
    assert_close(row.low, float(ratios[k - 1]), rtol=1e-9, what=f"low end, {rounds} rounds")
    assert_close(row.high, float(ratios[rounds - k]), rtol=1e-9, what=f"high end, {rounds} rounds")
    starts = order[::2]
    assert starts == (["baseline", "candidate"] * rounds)[:rounds], "who starts alternates"
for count in (6, 9, 20, 33):
    values = rng.permutation(count).astype(float)
    for confidence in (0.8, 0.95):
        tail = [
            2 * sum(math.comb(count, i) for i in range(k)) / 2**count for k in range(count // 2 + 1)
        ]
        k = max(i for i, chance in enumerate(tail) if chance <= 1 - confidence + 1e-12)
        low, high = median_interval(values.tolist(), confidence)
        assert (low, high) == (k - 1, count - k), (
            f"{count} values at {confidence:.0%}: ranks {k} and {count - k + 1}, got {low + 1:g} and {high + 1:g}"
        )
expect_error(ValueError, median_interval, [1.0, 2.0, 3.0, 4.0, 5.0], mentions=("5",))
### END HIDDEN TESTS

# %% [markdown]
# ### Validate: a real change, and none at all
#
# A change that is known to matter: `x**3` against `x * x * x` in float32. And one that is none: the same function
# under two names. A good instrument sees the first and stays silent on the second.

# %% tags=["measure"]
activations = gpt.token_embedding.weight.data.ravel()[:8192].copy()
profiler = PerformanceProfiler()
cubes = profiler.compare_optimizations(
    baseline=lambda: activations**3,
    products=lambda: activations * activations * activations,
    same_again=lambda: activations**3,
)
print(cubes)

# %% [markdown]
# ## Exercise 9: a trace you can open
#
# *Difficulty 2 of 5, 20 minutes, 4 points.*
#
# Tools exist that draw time as an interactive chart. They read the **Trace Event Format**: JSON with a list of events.
# A complete event has `"ph": "X"`, a name, a start `ts` and a duration `dur` in **microseconds**, and the ids of process
# and thread. Open the file at ui.perfetto.dev or speedscope.app: both work on your machine, nothing is uploaded.


# %% nbgrader={"grade_id": "trace"}
#| export
def write_chrome_trace(spans: Sequence[Span], path: str | os.PathLike[str]) -> Path:
    """Write spans as a Chrome trace (JSON object format), one complete event a span, by start time.

    The first span starts at 0. The file appears whole or not at all: it is written beside its place
    and then renamed.

    Args:
        spans: what `PerformanceProfiler.spans` holds.
        path: the file, by custom `something.trace.json`.

    Returns:
        The path written.

    Source:
        Duca & Sinclair, *Trace Event Format* (Google, 2016).
    """
    # TODO:
    # 1. the spans by (start, depth), so that parents come before their children
    # 2. an event for each: name, ph "X", ts and dur in microseconds from the first start, pid 1,
    #    tid 1,
    #    and args {"path": the names joined by "/"}
    # 3. {"traceEvents": [...], "displayTimeUnit": "ns"} as JSON into a temporary name, then
    #    os.replace
    ### BEGIN SOLUTION
    ordered = sorted(spans, key=lambda span: (span.start_ns, len(span.path)))
    events = [
        {
            "name": span.path[-1],
            "ph": "X",
            "ts": (span.start_ns - ordered[0].start_ns) / 1e3,
            "dur": (span.end_ns - span.start_ns) / 1e3,
            "pid": 1,
            "tid": 1,
            "args": {"path": "/".join(span.path)},
        }
        for span in ordered
    ]
    destination = Path(path)
    partial = destination.with_name(destination.name + ".partial")
    partial.write_text(
        json.dumps({"traceEvents": events, "displayTimeUnit": "ns"}), encoding="utf-8"
    )
    os.replace(partial, destination)
    return destination
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_trace", "points": 4}
# Rejects: nanoseconds in place of microseconds, times that do not start at 0, a half-written file.
rows = [(("step", "attention"), 5_500, 6_250), (("step",), 5_000, 9_000)]
written, files = inside(files_after, write_chrome_trace, rows, "step.trace.json")
assert list(files) == ["step.trace.json"], f"only the finished file may stay, found {list(files)}"
assert written == "step.trace.json", f"the path written is returned, got {written}"
trace = json.loads(files["step.trace.json"])
complete = [event for event in trace["traceEvents"] if event["ph"] == "X"]
assert [event["name"] for event in complete] == ["step", "attention"], (
    "parents come before their children"
)
assert [(event["ts"], event["dur"]) for event in complete] == [(0, 4), (0.5, 0.75)], (
    "ts and dur are microseconds from the first start"
)
### BEGIN HIDDEN TESTS
rng = fresh("trace")
starts = np.sort(rng.integers(10**9, 10**12, size=30))
durations = rng.integers(1, 10**6, size=30)
rows = [
    (("all", f"part{i}"), int(start), int(start) + int(duration))
    for i, (start, duration) in enumerate(zip(starts, durations, strict=True))
]
shuffled = [rows[i] for i in rng.permutation(30)]
written, files = inside(
    files_after, write_chrome_trace, shuffled, "random.trace.json", over="an older trace"
)
assert files.pop("second name.txt") == "an older trace", (
    "the new file must replace the old one; to write into the old one is seen by who reads it now"
)
assert list(files) == ["random.trace.json"], f"only the finished file may stay, found {list(files)}"
complete = [e for e in json.loads(files["random.trace.json"])["traceEvents"] if e["ph"] == "X"]
for event, (path, start_ns, end_ns) in zip(complete, rows, strict=True):
    assert event["name"] == path[-1], "events come by start time"
    assert_close(event["ts"], (start_ns - rows[0][1]) / 1e3, rtol=1e-9, what="ts")
    assert_close(event["dur"], (end_ns - start_ns) / 1e3, rtol=1e-9, what="dur")
    assert {"pid", "tid"} <= set(event), "an event without pid and tid is not drawn"
### END HIDDEN TESTS

# %% tags=["measure"]
trace_file = gpt_profile.to_chrome_trace("gpt.trace.json")
print(
    f"{len(gpt_profile.spans)} spans written to {trace_file.resolve()}: open it at ui.perfetto.dev"
)

# %% [markdown]
# ## Exercise 10: the roofline
#
# *Difficulty 3 of 5, 45 minutes, 9 points.*
#
# A slow operation: is it slow because it computes much, or because it moves much? Your machine has two **ceilings**:
# how many FLOPs it does in a second, and how many bytes it moves in a second.
#
# The **arithmetic intensity** of an operation is its FLOPs for each byte moved. It cannot be faster than
#
# $$\text{attainable} = \min(\text{peak},\ \text{intensity} \times \text{bandwidth}).$$

# %% [markdown]
# Where the two meet is the **ridge**. To its left an operation is *memory-bound*: a faster processor would not help, fewer
# bytes would. To its right it is *compute-bound* (Williams, Waterman & Patterson, *Roofline*, CACM 2009).
#
# Data sheets promise ceilings. We **measure** ours, here: a large matrix product, and a copy of an array much larger than
# the caches. For ceilings the *fastest* sample is the right one: the question is what the machine can do.
#
# And before you start on the slowest part, ask **Amdahl** (1967): if a part takes the share p of the time and becomes s
# times faster, the whole becomes 1 / ((1 - p) + p / s) times faster. For p = 0.3 that is at most 1.43, however clever you are.


# %%
#| export
@dataclass(frozen=True)
class Ceilings:
    """What one machine can do: GFLOP/s of a large product, GB/s of a large copy."""

    gflops: float
    gigabytes_per_second: float

    @property
    def ridge(self) -> float:
        """FLOPs for each byte at which the two ceilings meet."""
        return self.gflops / self.gigabytes_per_second


@dataclass(frozen=True)
class RooflinePoint:
    """One operation under the roofline.

    Attributes:
        flops, bytes_moved, seconds: what it did.
        intensity: FLOPs for each byte moved.
        gflops: GFLOP/s reached.
        attainable_gflops: GFLOP/s the ceilings allow at this intensity.
        bound: "memory" left of the ridge, "compute" at or right of it.
    """

    name: str
    flops: int
    bytes_moved: int
    seconds: float
    intensity: float
    gflops: float
    attainable_gflops: float
    bound: str


# %% nbgrader={"grade_id": "roofline"}
#| export
def measure_ceilings(
    size: int = 1024, copy_bytes: int = 1 << 27, measure: Callable[..., Latency] = measure_latency
) -> Ceilings:
    """Measure the two ceilings of this machine, with as many threads as the BLAS library uses.

    Args:
        size: side of the float32 matrices of the product.
        copy_bytes: size of the array that is copied; choose it several times the last-level cache.
        measure: like `measure_latency`; called as `measure(fn, *args)`.

    Returns:
        Ceilings from the fastest sample of each.
    """
    # TODO:
    # 1. two float32 matrices (random: some machines are quicker on zeros) and a result; measure
    #    np.matmul(a, b, out=c)
    # 2. 2 * size**3 FLOPs over the fastest sample: FLOPs a nanosecond are GFLOP/s
    # 3. a source and a destination of copy_bytes, both written once before; measure
    #    np.copyto(destination, source)
    # 4. bytes moved: read and written
    ### BEGIN SOLUTION
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, size, size), dtype=np.float32)
    product = np.empty((size, size), np.float32)
    fastest_product_ns = min(measure(lambda: np.matmul(a, b, out=product)).samples_ns)
    source, destination = (
        np.ones(copy_bytes // 4, np.float32),
        np.zeros(copy_bytes // 4, np.float32),
    )
    fastest_copy_ns = min(measure(np.copyto, destination, source).samples_ns)
    return Ceilings(2 * size**3 / fastest_product_ns, 2 * source.nbytes / fastest_copy_ns)
    ### END SOLUTION


class BottleneckAnalyzer:
    """Places operations under the roofline of one machine and says what improving them can give.

    Args:
        ceilings: from `measure_ceilings`.
    """

    def __init__(self, ceilings: Ceilings) -> None:
        self.ceilings = ceilings

    def place(self, name: str, flops: int, bytes_moved: int, seconds: float) -> RooflinePoint:
        """Place one operation under the roofline.

        Raises:
            ValueError: `bytes_moved` or `seconds` not above 0.

        Example:
            >>> analyzer = BottleneckAnalyzer(Ceilings(gflops=100.0, gigabytes_per_second=10.0))
            >>> point = analyzer.place("add", flops=10**9, bytes_moved=10**9, seconds=0.2)
            >>> point.bound, point.gflops, point.attainable_gflops
            ('memory', 5.0, 10.0)
        """
        # TODO: intensity, GFLOP/s, the attainable GFLOP/s, and which ceiling is the lower one
        ### BEGIN SOLUTION
        if bytes_moved <= 0 or seconds <= 0:
            raise ValueError(
                f"{name}: bytes_moved and seconds must be above 0, got {bytes_moved} and {seconds}"
            )
        intensity = flops / bytes_moved
        attainable = min(self.ceilings.gflops, intensity * self.ceilings.gigabytes_per_second)
        bound = "memory" if intensity < self.ceilings.ridge else "compute"
        return RooflinePoint(
            name, flops, bytes_moved, seconds, intensity, flops / seconds / 1e9, attainable, bound
        )
        ### END SOLUTION

    def analyze(self, counter: OpCounter) -> list[RooflinePoint]:
        """What an OpCounter saw, as points, the slowest first; without bytes or time, left out."""
        # TODO: place each OpWork of counter.by_op; sort by seconds
        ### BEGIN SOLUTION
        points = [
            self.place(name, work.flops, work.bytes_read + work.bytes_written, work.time_ns / 1e9)
            for name, work in counter.by_op.items()
            if work.time_ns > 0 and work.bytes_read + work.bytes_written > 0
        ]
        return sorted(points, key=lambda point: -point.seconds)
        ### END SOLUTION

    @staticmethod
    def amdahl(share: float, speedup: float = math.inf) -> float:
        """How many times faster the whole is when a part of it becomes `speedup` times faster.

        Args:
            share: the part's share of the time, in [0, 1].
            speedup: above 1 is faster; infinity gives the limit.

        Raises:
            ValueError: share outside [0, 1] or speedup not above 0.
        """
        # TODO: Amdahl's law. With an infinite speedup only the rest remains (a share of 1 then
        # gives infinity)
        ### BEGIN SOLUTION
        if not 0 <= share <= 1 or not speedup > 0:
            raise ValueError(
                f"need a share in [0, 1] and a speedup above 0, got {share} and {speedup}"
            )
        remaining = (1 - share) + share / speedup
        return 1 / remaining if remaining > 0 else math.inf
        ### END SOLUTION

    def diagnose(self, points: Sequence[RooflinePoint]) -> str:
        """One sentence on the slowest point: its share, its bound, the most that fixing it gives."""
        total = sum(point.seconds for point in points)
        slowest = max(points, key=lambda point: point.seconds)
        share = slowest.seconds / total
        return (
            f"{slowest.name} takes {share:.0%} of the time, is {slowest.bound}-bound and reaches "
            f"{slowest.gflops:.1f} of {slowest.attainable_gflops:.1f} GFLOP/s; made infinitely fast "
            f"it makes the whole {self.amdahl(share):.2f} times faster"
        )


# %% nbgrader={"grade_id": "test_roofline__ceilings", "points": 3}
# Rejects: a ceiling from the median or the first sample, one FLOP a MAC, bytes of a copy counted
# once.
def pretend_measure(fn: Callable[..., object], *args: object, **options: object) -> Latency:
    fn(*args)
    return Latency(samples_ns=(4_000.0, 2_000.0, 50_000.0), loops=1)


ceilings = measure_ceilings(size=100, copy_bytes=4_000, measure=pretend_measure)
assert_close(
    ceilings.gflops, 2 * 100**3 / 2_000, what="GFLOP/s of a product of side 100 in 2000 ns"
)
assert_close(ceilings.gigabytes_per_second, 4.0, what="GB/s of a copy of 4000 bytes in 2000 ns")
### BEGIN HIDDEN TESTS
rng = fresh("ceilings")
size, copy_bytes, fastest = (
    int(rng.integers(8, 90)),
    4 * int(rng.integers(100, 9_000)),
    float(rng.uniform(1_000, 9_000)),
)
seen_arguments = []


def spying_measure(fn: Callable[..., object], *args: object, **options: object) -> Latency:
    seen_arguments.append(fn(*args))
    return Latency(samples_ns=(2 * fastest, 1.5 * fastest, fastest, 7 * fastest), loops=1)


with_spy = measure_ceilings(size=size, copy_bytes=copy_bytes, measure=spying_measure)
assert_int(len(seen_arguments), 2, what="measurements (one product, one copy)")
assert_close(with_spy.gflops, 2 * size**3 / fastest, rtol=1e-9, what="GFLOP/s ceiling")
assert_close(
    with_spy.gigabytes_per_second, 2 * copy_bytes / fastest, rtol=1e-9, what="GB/s ceiling"
)
### END HIDDEN TESTS

# %% nbgrader={"grade_id": "test_roofline__points", "points": 6}
# Rejects: intensity upside down, a bound decided by time, Amdahl's law without the part that stays.
analyzer = BottleneckAnalyzer(Ceilings(gflops=200.0, gigabytes_per_second=20.0))
adding = analyzer.place("add", flops=1_000, bytes_moved=12_000, seconds=1e-6)
product = analyzer.place("matmul", flops=2 * 10**9, bytes_moved=3 * 4 * 10**6, seconds=0.02)
assert (adding.bound, product.bound) == ("memory", "compute"), (
    f"add is memory-bound and matmul compute-bound, got {adding.bound} and {product.bound}"
)
assert_close(adding.intensity, 1 / 12, rtol=1e-12, what="intensity of add")
assert_close(adding.attainable_gflops, 20 / 12, rtol=1e-12, what="attainable GFLOP/s of add")
assert_close(product.gflops, 100.0, rtol=1e-12, what="GFLOP/s of 2 billion FLOPs in 20 ms")
assert_close(product.attainable_gflops, 200.0, rtol=1e-12, what="attainable GFLOP/s of matmul")
assert_close(
    analyzer.amdahl(0.3, 2.0), 1 / 0.85, rtol=1e-12, what="Amdahl for a share of 0.3, twice as fast"
)
assert_close(analyzer.amdahl(0.5), 2.0, rtol=1e-12, what="Amdahl's limit for a share of 0.5")
expect_error(ValueError, analyzer.amdahl, 1.5, mentions=("1.5",))
expect_error(ValueError, analyzer.place, "nothing", 1, 0, 1.0, mentions=("nothing",))
### BEGIN HIDDEN TESTS
rng = fresh("points")
for _ in range(10):
    peak, bandwidth = rng.uniform(10, 500), rng.uniform(2, 100)
    analyzer = BottleneckAnalyzer(Ceilings(peak, bandwidth))
    flops, bytes_moved, seconds = (
        int(rng.integers(1, 10**9)),
        int(rng.integers(1, 10**8)),
        rng.uniform(1e-6, 1),
    )
    point = analyzer.place("random", flops, bytes_moved, seconds)
    assert_close(point.intensity, flops / bytes_moved, rtol=1e-12, what="intensity")
    assert_close(
        point.attainable_gflops,
        min(peak, flops / bytes_moved * bandwidth),
        rtol=1e-12,
        what="attainable GFLOP/s",
    )
    assert point.bound == ("compute" if flops / bytes_moved >= peak / bandwidth else "memory"), (
        f"bound of {point}"
    )
    share, speedup = rng.uniform(0, 1), rng.uniform(0.1, 50)
    assert_close(
        analyzer.amdahl(share, speedup), 1 / (1 - share + share / speedup), rtol=1e-9, what="Amdahl"
    )
assert analyzer.amdahl(1.0) == math.inf, "a share of 1 made infinitely fast leaves nothing"
assert_close(analyzer.amdahl(0.0, 100.0), 1.0, what="Amdahl for a share of 0")
# Of each operation: calls, MACs, FLOPs, bytes read, bytes written, nanoseconds.
seen = {
    "linear": (2, 50, 100, 30, 20, 4_000),
    "gelu": (1, 0, 90, 40, 40, 9_000),
    "free": (1, 0, 0, 0, 0, 0),
}
points = analyzer.analyze(inside(tally, seen))
assert [p.name for p in points] == ["gelu", "linear"], (
    f"slowest first, operations without time left out, got {[p.name for p in points]}"
)
assert_close(points[1].intensity, 2.0, rtol=1e-12, what="intensity of 100 FLOPs over 30 + 20 bytes")
assert_close(points[1].seconds, 4e-6, rtol=1e-12, what="seconds of 4000 ns")
### END HIDDEN TESTS

# %% [markdown]
# ### Discover: the GPT under its roofline
#
# Points far below the roof have room. Points on the slanted part want fewer bytes; points under the flat part want fewer
# FLOPs or a better kernel. A point *above* the slanted line is no error: its data came from a cache, which is quicker
# than the memory we measured.

# %% tags=["measure"]
ceilings = measure_ceilings()
analyzer = BottleneckAnalyzer(ceilings)
with no_grad(), OpCounter() as counter:
    for _ in range(10):
        gpt(tokens[None, :128])
points = analyzer.analyze(counter)
dashboards.show(
    dashboards.roofline(ceilings, points),
    summary=f"Ceilings measured here: {ceilings.gflops:.0f} GFLOP/s and {ceilings.gigabytes_per_second:.1f} GB/s; the ridge is at "
    f"{ceilings.ridge:.1f} FLOPs a byte. In the GPT's forward pass {analyzer.diagnose(points)}.",
    table=[
        {
            "operation": p.name,
            "ms": round(1e3 * p.seconds, 3),
            "FLOPs a byte": round(p.intensity, 2),
            "GFLOP/s": round(p.gflops, 2),
            "attainable": round(p.attainable_gflops, 1),
            "bound": p.bound,
        }
        for p in points
    ],
)

# %% [markdown]
# ## Exercise 11: two tools for the road
#
# *Difficulty 2 of 5, 25 minutes, 6 points.*
#
# The next modules start with a quick look at a model. `quick_profile` puts your instruments together. And Modules 16 and
# 17 ask what is *in* the weights: how large, how spread, how many near zero. `analyze_weight_distribution` tells them.


# %%
#| export
@dataclass(frozen=True)
class QuickProfile:
    """A first look at a model on one input."""

    latency: Latency
    parameters: int
    parameter_bytes: int
    macs: int
    flops: int
    bytes_moved: int
    peak_bytes: int
    time_ns_by_op: dict[str, int]

    def __str__(self) -> str:
        slowest = max(self.time_ns_by_op, key=lambda name: self.time_ns_by_op[name])
        share = self.time_ns_by_op[slowest] / sum(self.time_ns_by_op.values())
        return "\n".join(
            [
                f"latency      {self.latency}",
                f"parameters   {self.parameters:,} ({self.parameter_bytes / 2**20:.2f} MiB)",
                f"work         {self.macs / 1e6:.2f} million MACs, "
                f"{self.flops / 1e6:.2f} million FLOPs, {self.bytes_moved / 1e6:.2f} MB moved",
                f"rate         {self.flops / self.latency.median_ns:.2f} GFLOP/s",
                f"peak memory  {self.peak_bytes / 2**20:.2f} MiB",
                f"slowest op   {slowest}, {share:.0%} of the operations' time",
            ]
        )


@dataclass(frozen=True)
class WeightStatistics:
    """One weight tensor's distribution.

    Attributes:
        name, shape, size_bytes: which tensor.
        mean, std: of its values.
        largest: the largest magnitude.
        zeros: share of values that are exactly 0.
        below: for each threshold, the share of values whose magnitude is below threshold times
            `largest`.
    """

    name: str
    shape: tuple[int, ...]
    size_bytes: int
    mean: float
    std: float
    largest: float
    zeros: float
    below: dict[float, float]


# %% nbgrader={"grade_id": "quick"}
#| export
def quick_profile(
    model: nn.Module, *inputs: Any, repeats: int = 7, clock: Clock = time.perf_counter_ns
) -> QuickProfile:
    """Profile one forward pass in evaluation mode without gradients; the model's mode is put back.

    Args:
        model: any module.
        inputs: as the model takes them.
        repeats: samples of the latency.
        clock: nanosecond clock.
    """
    # TODO: under no_grad, in evaluation mode: one pass under an OpCounter, then measure_latency;
    # count_parameters;
    # peak_bytes is parameters and the counter's peak. Put the mode back in a `finally`.
    ### BEGIN SOLUTION
    was_training = model.training
    parameters = {id(parameter): parameter for parameter in model.parameters()}
    parameter_bytes = sum(parameter.data.nbytes for parameter in parameters.values())
    try:
        model.eval()
        with no_grad():
            model(*inputs)
            with OpCounter() as counter:
                model(*inputs)
            latency = measure_latency(model, *inputs, repeats=repeats, clock=clock)
    finally:
        model.train(was_training)
    return QuickProfile(
        latency=latency,
        parameters=count_parameters(model),
        parameter_bytes=parameter_bytes,
        macs=counter.macs,
        flops=counter.flops,
        bytes_moved=counter.bytes_read + counter.bytes_written,
        peak_bytes=parameter_bytes + counter.peak_live_bytes,
        time_ns_by_op={name: work.time_ns for name, work in counter.by_op.items()},
    )
    ### END SOLUTION


def analyze_weight_distribution(
    model: nn.Module, thresholds: Sequence[float] = (0.001, 0.01, 0.05, 0.1)
) -> list[WeightStatistics]:
    """Statistics of each weight tensor with two or more axes, in the model's order.

    Args:
        model: any module.
        thresholds: fractions of a tensor's largest magnitude.

    Example:
        >>> [stats.shape for stats in analyze_weight_distribution(nn.Linear(8, 3))]
        [(3, 8)]
    """
    # TODO: biases and norms have one axis: leave them out. Mind a tensor that is all zeros.
    ### BEGIN SOLUTION
    found, seen = [], set()
    for name, parameter in model.named_parameters():
        values = parameter.data
        if values.ndim < 2 or id(parameter) in seen:
            continue
        seen.add(id(parameter))
        magnitudes = np.abs(values)
        largest = float(magnitudes.max())
        found.append(
            WeightStatistics(
                name=name,
                shape=values.shape,
                size_bytes=values.nbytes,
                mean=float(values.mean(dtype=np.float64)),
                std=float(values.std(dtype=np.float64)),
                largest=largest,
                zeros=float((values == 0).mean()),
                below={limit: float((magnitudes < limit * largest).mean()) for limit in thresholds},
            )
        )
    return found
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_quick__profile", "points": 3}
# Rejects: a profile in training mode, the work of more than one pass, a mode not put back.
model = MLP([64, 32, 10], rng=np.random.default_rng(0))
batch = Tensor(np.ones((5, 64), np.float32))
quick = quick_profile(model, batch)
assert_int(quick.macs, 5 * (64 * 32 + 32 * 10), what="MACs of MLP 64-32-10, batch 5")
assert_int(quick.parameters, 64 * 32 + 32 + 320 + 10, what="parameters of MLP 64-32-10")
assert_int(quick.parameter_bytes, 4 * quick.parameters, what="bytes of the parameters in float32")
assert quick.peak_bytes >= quick.parameter_bytes + 4 * 5 * 32, (
    f"the peak holds parameters and a result, got {quick.peak_bytes}"
)
assert quick.latency.median_ns > 0, "the latency was not measured"
assert model.training, "quick_profile must put the model's mode back"
assert "MACs" in str(quick), "a QuickProfile prints as a small report"
### BEGIN HIDDEN TESTS
rng = fresh("quick")
cnn, images = (
    SmallCNN(rng=rng),
    Tensor(rng.standard_normal((int(rng.integers(1, 6)), 1, 8, 8), dtype=np.float32)),
)
statistics_before = {name: value.data.copy() for name, value in cnn.state_dict().items()}
quick = quick_profile(cnn, images)
with no_grad():
    truth = counted(lambda: cnn.eval()(images))
assert_int(quick.macs, truth.macs, what="MACs of SmallCNN")
assert_int(
    quick.bytes_moved, truth.bytes_read + truth.bytes_written, what="bytes moved by SmallCNN"
)
assert set(quick.time_ns_by_op) == set(truth.calls), "time_ns_by_op names each kind of operation"
clock = FakeClock(read_ns=10)
duration_ns = int(rng.integers(10_000, 50_000))
delayed = nn.Sequential(nn.Linear(4, 4, rng=rng), Delay(lambda: clock.advance(duration_ns)))
quick = quick_profile(delayed, Tensor(np.ones((1, 4), np.float32)), repeats=5, clock=clock)
assert_int(len(quick.latency.samples_ns), 5, what="samples of the latency for repeats=5")
assert_close(
    quick.latency.median_ns,
    duration_ns,
    rtol=0.01,
    what=f"latency of a model that takes {duration_ns} ns on the clock given",
)
for name, value in cnn.state_dict().items():
    assert_close(
        value.data,
        statistics_before[name],
        what=f"{name} (a pass in training mode changes running statistics)",
    )
### END HIDDEN TESTS

# %% nbgrader={"grade_id": "test_quick__weights", "points": 3}
# Rejects: biases among the weights, shares in percent, signs that matter, a division by the zeros
# of a fresh layer.
layer = nn.Linear(4, 2)
layer.weight.data[:] = np.array([[0.0, -1.0, 0.5, 0.009], [0.0, 0.0, -0.04, 0.2]], np.float32)
stats = analyze_weight_distribution(layer, thresholds=(0.01, 0.1))
assert_int(len(stats), 1, what="weight tensors of a Linear (its bias does not count)")
assert_close(stats[0].largest, 1.0, what="largest magnitude")
assert_close(stats[0].zeros, 3 / 8, what="share of exact zeros")
assert_close(stats[0].below[0.01], 4 / 8, what="share below 1 % of the largest magnitude")
assert_close(stats[0].below[0.1], 5 / 8, what="share below 10 % of the largest magnitude")
### BEGIN HIDDEN TESTS
rng = fresh("weights")
small = GPT(GPTConfig(vocab_size=19, block_size=8, n_layer=2, n_head=2, n_embd=8), rng=rng)
small.head.weight = small.token_embedding.weight
small.blocks[0].feed_forward.fc1.weight.data[:] = 0
tables = {name: p.data for name, p in small.named_parameters() if p.data.ndim >= 2}
tables["head.weight"] = tables["token_embedding.weight"]  # one weight: either name is right
stats = analyze_weight_distribution(small)
found_names = [found.name for found in stats]
assert set(found_names) <= set(tables), f"names in the model are {list(tables)}, got {found_names}"
assert_int(
    len({id(tables[name]) for name in found_names}),
    len(tables) - 1,
    what="weight tensors of a GPT whose head shares the embedding's weight",
)
assert_int(len(stats), len(tables) - 1, what="statistics of those weight tensors, one each")
for found in stats:
    name, values = found.name, tables[found.name].astype(np.float64)
    magnitudes = np.abs(values)
    assert tuple(found.shape) == values.shape, f"shape of {name}: {found.shape}"
    assert_int(found.size_bytes, 4 * values.size, what=f"bytes of {name} in float32")
    assert_close(found.std, float(values.std()), rtol=1e-5, atol=1e-9, what=f"std of {name}")
    assert_close(found.mean, float(values.mean()), rtol=1e-4, atol=1e-7, what=f"mean of {name}")
    assert_close(
        found.largest, float(magnitudes.max()), rtol=1e-6, what=f"largest magnitude of {name}"
    )
    below = found.below
    assert sorted(below) == [0.001, 0.01, 0.05, 0.1], f"thresholds of {name}: {sorted(below)}"
    for limit, share in below.items():
        assert_close(
            share,
            float((magnitudes < limit * magnitudes.max()).mean()),
            rtol=1e-9,
            atol=1.5 / values.size,
            what=f"below {limit} of {name}",
        )
by_name = {found.name: found for found in stats}
zeroed = by_name["blocks.0.feed_forward.fc1.weight"]
assert (zeroed.zeros, zeroed.largest) == (1.0, 0.0), (
    f"a layer of zeros: all zeros, largest 0, got {zeroed}"
)
### END HIDDEN TESTS

# %% tags=["measure"]
cnn = zoo.load("digits_cnn")
images = Tensor(digits().test_images[:64])  # (64, 1, 8, 8)
print(quick_profile(cnn, images))
largest_layers = sorted(analyze_weight_distribution(cnn), key=lambda s: -s.size_bytes)[:3]
weights_by_name = dict(cnn.named_parameters())
dashboards.show(
    dashboards.histogram(
        {s.name: weights_by_name[s.name].data for s in largest_layers}, x_title="weight"
    ),
    summary="Weights of the digits CNN: "
    + "; ".join(
        f"in {s.name} {s.below[0.1]:.0%} are smaller than a tenth of the largest"
        for s in largest_layers
    )
    + ". Module 17 asks what happens when they go.",
    table=[
        {
            "layer": s.name,
            "weights": math.prod(s.shape),
            "std": round(s.std, 4),
            "largest": round(s.largest, 4),
            "below 10 %": f"{s.below[0.1]:.1%}",
        }
        for s in largest_layers
    ],
)

# %% [markdown]
# ## The dashboard
#
# Everything at once: choose a model, a batch and a sequence length. Each setting is measured when you choose it, by
# **your** profiler, on this machine. The first setting stays as the grey baseline.
#
# Try: what happens to the share of attention from 16 to 256 tokens? Which operation changes its bound with the batch?


# %% tags=["measure"]
@dataclass(frozen=True)
class Measured:
    """What the dashboard draws for one setting."""

    latency_ns: float
    latency_interval_ns: tuple[float, float]
    regions: list[Region]
    memory: dict[str, int]
    timeline: list[tuple[int, int, str]]
    ceilings: Ceilings
    roofline_points: list[RooflinePoint]


mlp = zoo.load("digits_mlp")
digit_images = digits().train_images  # (N, 1, 8, 8)


def inputs_of(model_name: str, batch_size: int, sequence_length: int) -> tuple[nn.Module, Any]:
    if model_name == "docs_gpt":
        return gpt, np.resize(tokens, batch_size * sequence_length).reshape(
            batch_size, sequence_length
        )
    if model_name == "digits_cnn":
        return cnn, Tensor(digit_images[:batch_size])
    return mlp, Tensor(digit_images[:batch_size].reshape(batch_size, -1))


def measure_setting(model_name: str, batch_size: int, sequence_length: int) -> Measured:
    model, x = inputs_of(model_name, batch_size, sequence_length)
    profiler, memory = PerformanceProfiler(), measure_memory(model, x)
    with no_grad():
        model(x)
        with OpCounter() as counter:
            model(x)
        for _ in range(5):  # one preempted pass must not decide the shares
            profiler.profile_model(model, x)
        latency = measure_latency(model, x, repeats=7)
    return Measured(
        latency.median_ns,
        median_interval(latency.samples_ns),
        profiler.regions(),
        memory.categories(),
        list(memory.timeline),
        ceilings,
        analyzer.analyze(counter),
    )


dashboard = dashboards.ProfilerDashboard(
    measure_setting,
    models=["docs_gpt", "digits_cnn", "digits_mlp"],
    batch_sizes=[1, 2, 4, 8, 16],
    sequence_lengths=[16, 32, 64, 128, 256],
)
dashboard

# %% [markdown]
# ## When does this lose? What a profiler costs
#
# Your profiler runs code between the operations it times. On a large model nobody notices. On a tiny one the instrument
# becomes a good part of what it measures. Measure it: each model bare, under the counter, and with a region around each module.


# %% tags=["measure"]
def overhead(model: nn.Module, x: Any) -> Comparison:
    def bare() -> None:
        model(x)

    def counted_pass() -> None:
        with OpCounter():
            model(x)

    def profiled_pass() -> None:
        PerformanceProfiler().profile_model(model, x)

    with no_grad():
        return PerformanceProfiler().compare_optimizations(
            baseline=bare, counted=counted_pass, profiled=profiled_pass
        )


costs = {
    "MLP, one image": overhead(mlp, Tensor(digit_images[:1].reshape(1, -1))),
    "CNN, 64 images": overhead(cnn, images),
    "GPT, 128 tokens": overhead(gpt, tokens[None, :128]),
}
for name, comparison in costs.items():
    print(f"{name}\n{comparison}\n")

# %% [markdown]
# Read the ratios below 1: there the instrument loses. For a network that takes microseconds, region times are mostly the
# profiler's own. Two ways out: profile fewer, larger regions; or time the whole from outside, as `measure_latency` does,
# and use regions only for *shares* of large models.

# %% [markdown] nbgrader={"grade_id": "question_overhead", "points": 5}
# ## A question to answer in words
#
# *15 minutes, 5 points, graded by your instructor.*
#
# A colleague shows you a profile of a small MLP that answers one request at a time: "LayerNorm takes 40 %, so I will
# write a faster LayerNorm; that makes us 1.67 times faster." She timed each module once, with hooks, in one run.
#
# In about ten sentences: what would you check before you believe the 40 %? If it is right, what is the most her change can
# give, and what must hold for her figure of 1.67? Which measurement, made how, would convince you afterwards?
#
# ### BEGIN SOLUTION
# The hooks run between the operations: on a small model their own cost can be most of a region's time, and it falls hardest on
# small modules such as LayerNorm. I would time the whole forward pass with and without hooks, in alternating rounds, and
# compare the sum of the regions with the bare time. One run is one sample: I want a warm-up, many samples, the median and its spread.
# If 40 % is right, Amdahl's law allows at most 1 / (1 - 0.4) = 1.67, and only if LayerNorm becomes infinitely fast; twice as fast
# gives 1 / (0.6 + 0.2) = 1.25. LayerNorm does few FLOPs a byte, so it is memory-bound or dominated by the call itself; fusing it
# with its neighbour saves more than faster arithmetic. Afterwards: the old and the new model end to end, at batch 1, in pairs of
# alternating order, the median of the ratios with its interval, and the same outputs.
#
# Rubric: the profiler's overhead named and a check for it (1); warm-up, several samples, median and spread (1); Amdahl applied, 1.67 as
# the limit only (1); why LayerNorm is slow: bytes or call overhead, not FLOPs (1); a paired end-to-end comparison with an interval
# and equal outputs (1).
# ### END SOLUTION

# %% [markdown]
# ## Summary
#
# You can now say what a model costs in time, work and memory, where the cost is, and the most that any improvement can give.
# You also know what your instruments cost, and when they lie.
#
# 1. Run `tito check 14`: every visible test, in a fresh process.
# 2. Run `tito export 14`: your code becomes `tinytorch.profiling`, and the next modules import it.
# 3. Hand in this notebook as your course tells you (`docs/students.md`).
#
# **Next, Module 15: Memoization.** You saw that a forward pass takes longer for longer texts. To write 256 characters, the GPT
# runs 256 of them, and computes the same keys and values again each time.
