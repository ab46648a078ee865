# %% [markdown]
# # Module 15: Memoization
#
# *Optimization tier, second of seven. Difficulty 2 of 5. About five hours.*
#
# The fastest work is the work you do not do. **Memoization** means: keep a result, and give it back when the
# same question comes again.
#
# Transformers recompute attention for every token: wasteful. In Module 14 you could see it happen. In this module
# you stop it, with a **key-value cache**: what makes it affordable to let a language model write.
#
# What you build goes into `tinytorch.memoization`. The road is the same as before:
# **Profile → Discover → Implement → Validate**.

# %% [markdown]
# ## What you will be able to do
#
# - build a bounded cache that forgets the right thing, and say when a cache costs more than it gives;
# - keep the keys and values of a transformer in memory that is taken once, and predict its bytes from the shapes;
# - compute attention for new positions only, and prove that the result is the same;
# - generate text with one token of work for one token of text, in any GPT of `tinytorch.models`, without changing it;
# - name the cases in which the cache loses.
#
# Tests follow each exercise. Run them as you go; `tito check 15` runs them all in a fresh process.

# %%
#| export
import functools
import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tinytorch import Tensor, nn, no_grad
from tinytorch.evaluation_mode import evaluating
from tinytorch.functional import Ids
from tinytorch.models import GPT, GPTConfig
from tinytorch.models.generation import next_tokens

# %%
from tinytorch.models import generate
from tito.testing import assert_close, assert_int, counted, expect_error, fresh, inside, speedup

# %% [markdown]
# ### Tools of the tests
#
# The tests need some machinery: small models, a slow but obvious attention, a cache that is simple instead of good.
# It stands in the locked cell below. There is nothing to write in it; come back when a test puzzles you.
#
# `inside(fn, ...)` calls `fn(...)`, and in your notebook that is all it does. When your work is graded, it marks the
# calls that must happen in the process your code runs in.


# %% nbgrader={"grade_id": "given_tools_a"}
class JoiningLayer:
    """Keys and values of one layer, joined anew for each call: the simplest cache there is."""

    def __init__(self) -> None:
        self.keys: Any = None
        self.values: Any = None

    @property
    def length(self) -> int:
        return 0 if self.keys is None else self.keys.shape[2]

    def update(self, keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        empty = self.keys is None
        self.keys = keys if empty else np.concatenate([self.keys, keys], axis=2)
        self.values = values if empty else np.concatenate([self.values, values], axis=2)
        return self.keys, self.values


class JoiningCache:
    """One simple cache a layer, for tests that must not depend on yours."""

    def __init__(self, n_layer: int) -> None:
        self.layers = [JoiningLayer() for _ in range(n_layer)]

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, index: int) -> JoiningLayer:
        return self.layers[index]


def small_gpt(
    rng: np.random.Generator, layers: int = 2, heads: int = 2, channels: int = 16, block: int = 48
) -> GPT:
    """A GPT in float64 and in evaluation mode, whose scores differ clearly from each other."""
    model = GPT(GPTConfig(23, block, layers, heads, channels), rng=rng)
    for parameter in model.parameters():
        parameter.data = 4 * parameter.data.astype(np.float64)
    return model.eval()


def last_logits(model: GPT, ids: np.ndarray) -> np.ndarray:
    """Scores after the last position (B, V), by reading everything from the start."""
    with no_grad():
        return model(ids).data[:, -1]


def slow_attention(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Causal attention of a whole sequence, (B, H, S, D) each, query by query in float64."""
    q, k, v = (each.astype(np.float64) for each in (q, k, v))
    result = np.empty(q.shape)
    for place in range(q.shape[2]):
        scores = np.einsum("bhd,bhsd->bhs", q[:, :, place], k[:, :, : place + 1])  # (B, H, S)
        scores /= math.sqrt(q.shape[3])
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        result[:, :, place] = np.einsum("bhs,bhsd->bhd", weights, v[:, :, : place + 1])
    return result


def write_reserved(cache: Any, keys: np.ndarray, values: np.ndarray) -> None:
    """Write new positions (B, H, T, D) through the views that `reserve` gives."""
    new = keys.shape[2]
    all_keys, all_values = cache.reserve(new)
    all_keys[:, :, -new:] = keys
    all_values[:, :, -new:] = values


def memory_stays(cache: Any, keys: np.ndarray, values: np.ndarray) -> tuple[bool, bool]:
    """Whether two updates in a row give views of one memory, for keys and for values."""
    first_keys, first_values = cache.update(keys, values)
    second_keys, second_values = cache.update(keys, values)
    return (
        bool(np.shares_memory(first_keys, second_keys)),
        bool(np.shares_memory(first_values, second_values)),
    )


def keys_meet(make_key: Callable[..., Hashable], a: Any, b: Any) -> bool:
    """Whether two calls (args, kwargs) find each other in a dictionary."""
    return make_key(*b) in {make_key(*a): True}


def layer_lengths(cache: Any) -> list[int]:
    """Positions that each layer of a cache holds."""
    return [layer.length for layer in cache]


def model_scores(model: GPT, ids: np.ndarray, cache: Any) -> np.ndarray:
    """What a model says with a cache, (B, T, V)."""
    with no_grad():
        return model(ids, cache=cache).data


def recompute(model: GPT, prompt: np.ndarray, max_new_tokens: int) -> np.ndarray:
    """Greedy generation that reads the whole text again for each new token."""
    return generate(model, prompt, max_new_tokens)


# %% [markdown]
# One thing is given for your own use as well: `check_sizes(capacity=0)` raises an error that names the size and what it
# should be.


# %%
#| export
def check_sizes(**sizes: int) -> None:
    """Refuse sizes that are no whole numbers of 1 or more.

    Raises:
        TypeError: a size is no whole number.
        ValueError: a size is below 1.
    """
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, (int, np.integer)):
            raise TypeError(f"{name} is {size!r}; it must be a whole number")
        if size < 1:
            raise ValueError(f"{name} is {size}; it must be 1 or more")


# %% [markdown]
# ## Motivation: what does the next character cost?
# One token costs one forward pass. `docs_gpt`, the small character GPT of Module 14, continues a line, and your
# `measure_latency` times its next character after texts of different lengths.
#
# Without a cache, the model reads the whole text again for each new character. Watch what that does.

# %% tags=["measure"]
import statistics
import tracemalloc

import threadpoolctl

from tinytorch import dashboards, zoo
from tinytorch.data import python_docs
from tinytorch.profiling import (
    OpCounter,
    PerformanceProfiler,
    Timer,
    compare_latencies,
    measure_latency,
)

blas_threads = threadpoolctl.threadpool_limits(limits=1)  # as in Module 14

gpt = zoo.load("docs_gpt")
corpus = python_docs()
text_ids = np.array(corpus.encode(corpus.validation[:4096]))  # (4096,)


def next_token_latency(length: int) -> Any:
    """Time of one more token after `length` tokens, everything read again."""
    return measure_latency(lambda: generate(gpt, text_ids[:length], 1), warmup=1, repeats=7)


text_lengths = list(range(16, 257, 16))
next_ms = [next_token_latency(length).median_ns / 1e6 for length in text_lengths]
opening = text_ids[:16]
print(corpus.decode(generate(gpt, opening, 80).tolist()))

# %% tags=["measure"]
slope, intercept = np.polyfit(text_lengths, next_ms, 1)
dashboards.show(
    dashboards.scaling_curve(
        {
            "measured": list(zip(text_lengths, next_ms, strict=True)),
            "straight line through it": [
                (n, float(intercept + slope * n)) for n in (text_lengths[0], text_lengths[-1])
            ],
        },
        x_title="length of the text (tokens)",
        y_title="milliseconds for the next token",
    ),
    summary=f"The next token takes {next_ms[0]:.2f} ms after {text_lengths[0]} tokens and {next_ms[-1]:.2f} ms after "
    f"{text_lengths[-1]}: {1e3 * slope:.1f} us more for each token that is already there.",
    table=[
        {"length": n, "ms for the next token": round(ms, 3)}
        for n, ms in zip(text_lengths, next_ms, strict=True)
    ],
)

# %% [markdown]
# Each token costs more than the one before. When the cost of one grows like $n$, the cost of all grows like
# $1 + 2 + \dots + n \approx n^2 / 2$: **O(n²)**. Here are whole texts, each measured from its first token to its last.


# %% tags=["measure"]
def generation_ms(new: int) -> float:
    """Median time of a whole generation without a cache."""
    samples_ms, timer = [], Timer()
    for _ in range(min(3, 240 // new)):
        with timer:
            generate(gpt, opening, new)
        samples_ms.append(timer.elapsed_ns / 1e6)
    return statistics.median(samples_ms)


written = [15, 30, 60, 120, 240]
whole_ms = [generation_ms(new) for new in written]
at_first_price = next_ms[0]  # milliseconds a token
dashboards.show(
    dashboards.scaling_curve(
        {
            "read everything again": list(zip(written, whole_ms, strict=True)),
            "if each cost as much as the first": [(new, new * at_first_price) for new in written],
        },
        x_title="tokens written",
        y_title="milliseconds in all",
    ),
    summary=f"120 tokens take {whole_ms[-2]:.0f} ms and 240 take {whole_ms[-1]:.0f} ms: {whole_ms[-1] / whole_ms[-2]:.2f} times "
    f"as long for twice the text. At the price of the first one, 240 tokens would take {240 * at_first_price:.0f} ms.",
    table=[
        {"tokens written": new, "ms in all": round(ms, 1), "ms a token": round(ms / new, 3)}
        for new, ms in zip(written, whole_ms, strict=True)
    ],
)

# %% [markdown]
# Where does the time go? Your profiler compares the parts of one step at 32 and at 256 tokens.
#
# At 256 tokens, 255 of the 256 positions go through `qkv`, `fc1` and `fc2` exactly as they went one token before. In a causal
# model the past does not know the future, so nothing about these positions has changed. All of it is the same question again.


# %% tags=["measure"]
def regions_of_step(length: int) -> list[Any]:
    profiler = PerformanceProfiler()
    with no_grad():
        for _ in range(7):
            profiler.profile_model(gpt, text_ids[None, :length])
    return profiler.regions()


short_regions, long_regions = regions_of_step(32), regions_of_step(256)
dashboards.show(
    dashboards.op_time_bars(long_regions, baseline=short_regions, baseline_name="32 tokens"),
    summary="Every part that has weights grows with the length, though only one position is new.",
)

# %% [markdown]
# ### Predict, then measure
#
# A text of 256 characters, of which `docs_gpt` writes all but the first 16, each by reading everything again. Compare this
# with reading the finished text **once**. How many times as long does writing take? Put your guess in place of `None`.
#
# As before, the score is a band of the logarithm of your error, and nobody grades it.

# %%
my_prediction: float | None = None

# %% tags=["measure"]
finished = generate(gpt, opening, 240)  # (256,)


def macs_of_pass(ids: np.ndarray) -> int:
    """Multiply-accumulates of one pass over a text."""
    with no_grad(), OpCounter() as counter:
        gpt(ids[None], last_only=True)
    return counter.macs


with no_grad():
    reading = measure_latency(lambda: gpt(finished[None], last_only=True), repeats=15)
measured_ratio = 1e6 * whole_ms[-1] / reading.median_ns
with no_grad(), OpCounter() as counter:
    generate(gpt, opening, 240)
work_ratio = counter.macs / macs_of_pass(finished)
print(f"reading once: {reading}")
print(
    f"measured: writing takes {measured_ratio:.0f} times as long, with {work_ratio:.0f} times the MACs"
)
if my_prediction is None:
    print("You made no prediction yet. Put a number in the cell above and run both again.")
else:
    log_error = abs(math.log(my_prediction / measured_ratio))
    bands = {"within 10 %": 1.1, "within 1.5 times": 1.5, "within 3 times": 3.0}
    words = (band for band, limit in bands.items() if log_error <= math.log(limit))
    print(f"you said {my_prediction}:", next(words, "more than 3 times off"))

# %% [markdown]
# The passes have between 16 and 255 positions, about half of the finished text on average, and there are 240 of them: about
# 120 times the work of one pass. Almost all of it was done before. That is what this module takes away.

# %% [markdown]
# ## Exercise 1: remember what a function returned
#
# *Difficulty 2 of 5, 40 minutes, 12 points.*
#
# Start small: a decorator that keeps the results of any function. Three questions decide whether it is right.
#
# - **What is the same question?** Python says `1 == 1.0 == True`. A function that prints its argument disagrees.
# - **What to forget?** Memory ends. An **LRU** cache (least recently used) forgets the entry that was not asked
#   for the longest.
# - **Does it pay?** Looking up takes time as well.
#
# First the **key**: a value that is equal for equal questions and that a dictionary accepts. An array is the same
# if its dtype, its shape and every byte of its content are. Keeping all these bytes as the key would keep a second
# copy of each array; a **digest**, 32 bytes computed from the content, stands for them.

# %% [markdown]
# A digest by SHA-256 is not the content. Two different arrays with one digest exist, but nobody has ever found a pair
# (NIST, FIPS 180-4), so you may take equal digests for equal arrays. Python's own `hash` is no such digest: it has 64 bits,
# and -1 and -2 share one.
#
# Float numbers have two traps of their own: `nan != nan`, so it would never be found again; and `0.0 == -0.0`, though
# `math.copysign` tells them apart. `float.hex()` writes a float exactly, bit for bit, and solves both.


# %% nbgrader={"grade_id": "memoize__key"}
#| export
def value_key(value: Any) -> Hashable:
    """A key that is equal for two values if, and only if, they are of one type and hold the same.

    Args:
        value: None, a number, a string, bytes; a NumPy array or a Tensor, taken by its dtype, shape
            and content; tuples, lists, sets and dicts of such values (the order of a dict's or a
            set's items does not count); anything else that is hashable, by its own equality.

    Raises:
        TypeError: it is none of these, for example a bytearray or an array of objects.

    Example:
        >>> value_key(1) == value_key(1.0)
        False
        >>> value_key([np.zeros(2)]) == value_key([np.zeros(2)])
        True
    """
    # TODO:
    # 1. start every key with the value's type: it tells 1, 1.0 and True apart, and a list from a tuple
    # 2. a float or complex number: its exact text (`float.hex`)
    # 3. an array: dtype, shape, and the sha256 digest of its bytes in C order; refuse dtype.hasobject
    # 4. a Tensor: the key of its `data`
    # 5. a tuple or list: the keys of its items; a dict or a set: a frozenset of them
    # 6. anything else: the value itself, if `hash(value)` works; else a TypeError that shows its type
    ### BEGIN SOLUTION
    kind = type(value)
    if kind in (int, str, bool, bytes) or value is None:
        return kind, value
    if kind in (float, complex):
        return kind, value.real.hex(), value.imag.hex()
    if kind is np.ndarray or isinstance(value, np.generic):
        if value.dtype.hasobject:
            raise TypeError(f"an array of dtype {value.dtype}; use an array of numbers")
        content = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
        return kind, value.dtype, value.shape, hashlib.sha256(content.data).digest()
    if isinstance(value, Tensor):
        return kind, value_key(value.data)
    if isinstance(value, (tuple, list)):
        return kind, tuple(map(value_key, value))
    if isinstance(value, Mapping):
        return kind, frozenset((value_key(name), value_key(item)) for name, item in value.items())
    if isinstance(value, (set, frozenset)):
        return kind, frozenset(map(value_key, value))
    try:
        hash(value)
    except TypeError:
        raise TypeError(f"{kind.__name__} cannot be hashed; use a tuple, or give `key=`") from None
    return kind, value
    ### END SOLUTION


def call_key(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Hashable:
    """The key of one call `fn(*args, **kwargs)`; the order of keyword arguments does not count.

    Raises:
        TypeError: an argument has no key. The message names the argument: "argument 0" for the
            first positional one, or its keyword.

    Example:
        >>> call_key((1,), {"a": 2, "b": 3}) == call_key((1,), {"b": 3, "a": 2})
        True
        >>> call_key((1, 2), {}) == call_key((1,), {"b": 2})
        False
    """
    # TODO:
    # 1. the keys of the positional arguments, in their order
    # 2. the keys of the keyword arguments, each with its name, in an order of your own
    # 3. when `value_key` refuses one: a TypeError that names this argument and says why
    ### BEGIN SOLUTION
    names = sorted(kwargs)
    keys = []
    for place, value in enumerate((*args, *(kwargs[name] for name in names))):
        try:
            keys.append(value_key(value))
        except TypeError as error:
            name = f"argument {place}" if place < len(args) else names[place - len(args)]
            raise TypeError(f"memoize: no key for {name!r}: {error}") from error
    return tuple(keys), tuple(names)
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_memoize__key", "points": 4}
# Rejects: 1, 1.0 and True as one question; arrays by identity, without dtype or without shape;
# keyword arguments in the order given; nan that is never found again.
def same_key(a: Any, b: Any) -> bool:
    """Whether two values give one key, as a dictionary in your process sees it."""
    return bool(inside(keys_meet, call_key, a, b))


grid = np.arange(6, dtype=np.float32).reshape(2, 3)
assert same_key(((1, "x"), {}), ((1, "x"), {})), "equal calls must have equal keys"
for one, other in [(1, 1.0), (1, True), (0.0, -0.0), ("1", 1), ((1, 2), [1, 2]), (b"a", "a")]:
    assert not same_key(((one,), {}), ((other,), {})), f"{one!r} and {other!r} are two questions"
assert same_key(((float("nan"),), {}), ((float("nan"),), {})), "nan must be found again"
assert same_key(((1,), {"a": 2, "b": 3}), ((1,), {"b": 3, "a": 2})), (
    "the order of keyword arguments does not count"
)
assert not same_key(((1,), {"a": 2}), ((1,), {"b": 2})), "a=2 and b=2 are two questions"
assert not same_key(((1, 2), {}), ((1,), {"a": 2})), "fn(1, 2) and fn(1, a=2) are kept apart"
assert same_key(((grid,), {}), ((grid.copy(),), {})), "an array is taken by its content"
assert not same_key(((grid,), {}), ((grid.reshape(3, 2),), {})), "the shape is part of the key"
assert not same_key(((grid,), {}), ((grid.view(np.int32),), {})), "the dtype is part of the key"
expect_error(TypeError, call_key, (1, bytearray(b"a")), {}, mentions=("argument 1",))
### BEGIN HIDDEN TESTS
rng = fresh("memoize key")
table = rng.standard_normal((36, 36))
changed = table.copy()
changed[int(rng.integers(10, 30)), int(rng.integers(10, 20))] += 1e-9
for shown, wrap in {
    "an argument": lambda x: ((x,), {}),
    "a keyword argument": lambda x: ((), {"x": x}),
    "a list": lambda x: (([1, x],), {}),
    "a tuple": lambda x: (((x, "y"),), {}),
    "a list in a dict": lambda x: (({"w": [x]},), {}),
    "a Tensor": lambda x: ((Tensor(x),), {}),
}.items():
    assert same_key(wrap(table), wrap(table.copy())), f"equal arrays, equal keys: {shown}"
    assert not same_key(wrap(table), wrap(changed)), f"one element differs: {shown}"
    assert not same_key(wrap(table), wrap(table.T)), f"the array or its transpose: {shown}"
    assert same_key(wrap(table), wrap(np.asfortranarray(table))), (
        f"the order in memory is not content: {shown}"
    )
assert not same_key((([[1], 2],), {}), (([[1, 2]],), {})), "nesting is part of the key"
assert same_key((({"a": 1, "b": 2},), {}), (({"b": 2, "a": 1},), {})), (
    "dicts are equal in any order"
)
assert not same_key((({"a": 1, "b": 2},), {}), (({"a": 2, "b": 1},), {})), "dicts differ by values"
assert not same_key(((np.float32(1),), {}), ((np.float64(1),), {})), "NumPy's numbers have dtypes"
assert not same_key(((np.zeros((0, 3)),), {}), ((np.zeros((0, 4)),), {})), (
    "empty arrays have shapes"
)
for args, kwargs, name in [
    (([bytearray(b"a")],), {}, "argument 0"),
    ((1,), {"weights": np.array([None])}, "weights"),
    ((1, 2), {"a": 1, "late": {"x": bytearray(b"a")}}, "late"),
]:
    expect_error(TypeError, call_key, args, kwargs, mentions=(name,))
### END HIDDEN TESTS

# %% [markdown]
# Now the cache itself. It counts what happens, because a cache whose hit rate nobody knows is a cache that nobody
# can judge: a **hit** was found, a **miss** had to be computed, an **eviction** was forgotten to make room.
#
# `OrderedDict` keeps its items in an order that you can change: `move_to_end(key)` makes an item the newest,
# `popitem(last=False)` takes the oldest.


# %% nbgrader={"grade_id": "memoize__stats"}
#| export
@dataclass(frozen=True)
class CacheStats:
    """What a cache did.

    Attributes:
        hits: calls answered from the cache.
        misses: calls that had to be computed, also those that raised.
        evictions: results forgotten to make room.
        size: results stored now.
        capacity: the most it stores.

    Example:
        >>> CacheStats(hits=3, misses=1, evictions=0, size=1, capacity=8).hit_rate
        0.75
    """

    hits: int
    misses: int
    evictions: int
    size: int
    capacity: int

    @property
    def hit_rate(self) -> float:
        """Share of the calls that were hits; 0.0 before the first call."""
        # TODO: hits of all calls; mind the cache that was never called
        ### BEGIN SOLUTION
        calls = self.hits + self.misses
        return self.hits / calls if calls else 0.0
        ### END SOLUTION


# %% nbgrader={"grade_id": "memoize"}
#| export
def memoize(
    capacity: int = 128, key: Callable[..., Hashable] | None = None
) -> Callable[[Callable[..., Any]], Any]:
    """A decorator that keeps the last results of a function, at most `capacity` of them.

    The decorated function has `stats() -> CacheStats`, `clear()`, which forgets results and counts,
    and `__wrapped__`, the function itself. When it is full, the result that was not asked for the
    longest is forgotten. A call that raises is not kept. The **same object** is given back each
    time: who changes it, changes what the cache gives back.

    Args:
        capacity: a whole number, 1 or more.
        key: makes the key from the arguments of a call, `key(*args, **kwargs)`; `call_key` if None.

    Raises:
        TypeError: `capacity` is no whole number, as when the parentheses were forgotten.
        ValueError: `capacity` is below 1.

    Example:
        >>> @memoize(capacity=2)
        ... def double(x):
        ...     return 2 * x
        >>> double(4), double(4), double.stats().hits
        (8, 8, 1)
    """
    # TODO:
    # 1. refuse a capacity that is no whole number, or below 1, by `check_sizes`
    # 2. per decorated function: an OrderedDict and three counts
    # 3. a hit: count it, make the entry the newest, return it. None is a result like any other
    # 4. a miss: count it, call the function; only if it returns, store the result
    # 5. more than `capacity` results: forget the oldest and count the eviction
    # 6. attach stats and clear; functools.wraps keeps name, docstring and __wrapped__
    ### BEGIN SOLUTION
    check_sizes(capacity=capacity)
    absent = object()

    def decorate(fn: Callable[..., Any]) -> Any:
        stored: OrderedDict[Hashable, Any] = OrderedDict()
        hits = misses = evictions = 0

        @functools.wraps(fn)
        def remembered(*args: Any, **kwargs: Any) -> Any:
            nonlocal hits, misses, evictions
            place = call_key(args, kwargs) if key is None else key(*args, **kwargs)
            result = stored.get(place, absent)
            if result is not absent:
                hits += 1
                stored.move_to_end(place)
                return result
            misses += 1
            result = stored[place] = fn(*args, **kwargs)
            if len(stored) > capacity:
                stored.popitem(last=False)
                evictions += 1
            return result

        def stats() -> CacheStats:
            return CacheStats(hits, misses, evictions, len(stored), capacity)

        def clear() -> None:
            nonlocal hits, misses, evictions
            stored.clear()
            hits = misses = evictions = 0

        vars(remembered).update(stats=stats, clear=clear)
        return remembered

    return decorate
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_memoize__lru", "points": 5}
# Rejects: first in, first out; one result too many or too few; hits that do not count as use.
def counted_stats(cached: Any) -> tuple[int, int, int, int]:
    """Hits, misses, evictions and size of a memoized function."""
    stats = cached.stats()
    return stats.hits, stats.misses, stats.evictions, stats.size


asked: list[int] = []


def square(x: int) -> int:
    asked.append(x)
    return x * x


cached = memoize(capacity=2)(square)
assert_close(cached.stats().hit_rate, 0.0, what="hit rate before any call")
answers = [cached(x) for x in (3, 4, 3, 5, 3, 4)]
assert answers == [9, 16, 9, 25, 9, 16], f"memoize must not change results, got {answers}"
assert asked == [3, 4, 5, 4], (
    f"3 was used again before 5 came, so 4 is forgotten: expected calls 3 4 5 4, got {asked}"
)
assert counted_stats(cached) == (2, 4, 2, 2), (
    f"expected 2 hits, 4 misses, 2 evictions, 2 stored; got {counted_stats(cached)}"
)
assert_close(cached.stats().hit_rate, 2 / 6, what="hit rate of 2 hits in 6 calls")
cached.clear()
assert counted_stats(cached) == (0, 0, 0, 0), f"after clear: {counted_stats(cached)}"
assert cached(3) == 9 and asked[-1] == 3 and len(asked) == 5, "clear must forget the results too"
### BEGIN HIDDEN TESTS
rng = fresh("memoize lru")
for capacity in (1, 3, 5):
    truth = functools.lru_cache(maxsize=capacity)(lambda x: x * x)
    asked.clear()
    cached = memoize(capacity=capacity)(square)
    # Fill it, use the oldest again, add one more, ask for the oldest and the second oldest.
    names = rng.permutation(100)[: capacity + 1].tolist()
    script = [*names[:-1], names[0], names[-1], names[0], *names[1:2]]
    script += rng.integers(0, 2 * capacity, size=60).tolist()
    for x in script:
        assert_int(cached(x), truth(x), what=f"the square of {x}")
    info = truth.cache_info()
    assert_int(len(asked), info.misses, what=f"calls of the function with capacity {capacity}")
    assert counted_stats(cached) == (
        info.hits,
        info.misses,
        info.misses - info.currsize,
        info.currsize,
    ), f"capacity {capacity}, script {script}: {counted_stats(cached)}"
    assert_int(cached.stats().capacity, capacity, what="capacity in the statistics")
    assert_close(
        cached.stats().hit_rate, info.hits / len(script), what=f"hit rate, capacity {capacity}"
    )
first, second = memoize(capacity=4)(square), memoize(capacity=4)(square)
first(2)
assert counted_stats(second) == (0, 0, 0, 0), "each decorated function has a cache of its own"
### END HIDDEN TESTS

# %% nbgrader={"grade_id": "test_memoize__careful", "points": 2}
# Rejects: errors that are kept, None that is never found, a `key` that is ignored, capacity 0.
attempts: list[int] = []


def fails_twice(x: int) -> None:
    attempts.append(x)
    if len(attempts) <= 2:
        raise KeyError("not yet")


careful = memoize(capacity=4)(fails_twice)
expect_error(KeyError, careful, -1)
expect_error(KeyError, careful, -1)
assert careful(-1) is None and careful(-1) is None, "the function returns None"
assert_int(len(attempts), 3, what="calls: an error is not kept, and None is a result")
assert_int(careful.stats().misses, 3, what="misses, two of which raised")
expect_error(ValueError, memoize, 0, mentions=("capacity", "0"))
expect_error(TypeError, memoize, "many", mentions=("capacity", "many"))
### BEGIN HIDDEN TESTS
expect_error(ValueError, memoize, capacity=-3, mentions=("-3",))
expect_error(TypeError, memoize, 2.5, mentions=("2.5",))
rng = fresh("memoize careful")
seen: list[tuple[int, str]] = []


def describe(x: int, *, unit: str = "m") -> str:
    seen.append((x, unit))
    return f"{x} {unit}"


by_last_digit = memoize(capacity=8, key=lambda x, unit="m": (x % 10, unit))(describe)
start = int(rng.integers(10, 50))
assert by_last_digit(start, unit="s") == f"{start} s"
assert by_last_digit(start + 10, unit="s") == f"{start} s", (
    "`key` decides what the same question is"
)
assert by_last_digit(start + 10) == f"{start + 10} m", "`key` is called with the keywords too"
assert_int(len(seen), 2, what="calls under a key of its own")
assert by_last_digit.__wrapped__(start) == f"{start} m", "__wrapped__ is the function itself"
assert_int(by_last_digit.stats().misses, 2, what="misses: __wrapped__ goes past the cache")
### END HIDDEN TESTS

# %% [markdown]
# ### When does it pay?
#
# Let a call take $t$ and a lookup $l$. Every call pays the lookup, and the share $1 - h$ of misses pays the call too:
# on average $l + (1 - h)\,t$. Without a cache it is $t$. At which hit rate $h$ are the two equal?


# %% nbgrader={"grade_id": "memoize__break_even"}
#| export
def break_even_hit_rate(call_ns: float, lookup_ns: float) -> float:
    """The hit rate from which on memoizing saves time.

    Args:
        call_ns: time of the function, above 0.
        lookup_ns: time of making the key and looking it up, 0 or more; each call pays it.

    Returns:
        A share; above 1.0 if no hit rate is high enough.

    Raises:
        ValueError: a time that cannot be.

    Example:
        >>> break_even_hit_rate(call_ns=200.0, lookup_ns=50.0)
        0.25
    """
    # TODO:
    # 1. refuse a call_ns that is not above 0, and a lookup_ns below 0; show both
    # 2. solve the equation above for h
    ### BEGIN SOLUTION
    if not call_ns > 0 or not lookup_ns >= 0:
        raise ValueError(
            f"call_ns is {call_ns} and lookup_ns is {lookup_ns}; a call takes more than 0 ns and a "
            "lookup 0 ns or more"
        )
    return lookup_ns / call_ns
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_memoize__break_even", "points": 1}
# Rejects: the ratio upside down, a lookup that only hits pay, a share that is cut at 1.
assert_close(
    break_even_hit_rate(200.0, 50.0), 0.25, what="break-even of a 200 ns call, 50 ns lookup"
)
expect_error(ValueError, break_even_hit_rate, 0.0, 50.0, mentions=("call_ns", "0"))
### BEGIN HIDDEN TESTS
rng = fresh("break even")
for _ in range(20):
    call_ns, lookup_ns = rng.uniform(10, 1000, size=2).tolist()
    rate = break_even_hit_rate(call_ns, lookup_ns)
    assert_close(
        lookup_ns + (1 - rate) * call_ns, call_ns, rtol=1e-9, what="mean time at the break-even"
    )
assert_close(
    break_even_hit_rate(10.0, 25.0), 2.5, what="break-even of a lookup dearer than its call"
)
expect_error(ValueError, break_even_hit_rate, 10.0, -1.0, mentions=("lookup_ns", "-1"))
expect_error(ValueError, break_even_hit_rate, float("nan"), 1.0, mentions=("nan",))
### END HIDDEN TESTS

# %% [markdown]
# ### Validate: when caching loses
#
# A lookup of an array reads every byte of it for the digest. If the function does not do much more than that, the cache
# costs more than it can ever give. Measure two functions of an N × N array: `np.tanh`, which touches each element once,
# and a matrix product, whose N³ grows away from the N² of the key.


# %% tags=["measure"]
def break_even_at(work: Callable[[np.ndarray], object], size: int) -> tuple[float, float, float]:
    """Nanoseconds of a call and of a hit, and the break-even hit rate, for an array size x size."""
    x = np.random.default_rng(size).standard_normal((size, size), dtype=np.float32)
    kept = memoize()(work)
    call = measure_latency(work, x, repeats=9, min_sample_ns=2_000_000)
    hit = measure_latency(kept, x, repeats=9, min_sample_ns=2_000_000)  # the warm-up is the miss
    return call.median_ns, hit.median_ns, break_even_hit_rate(call.median_ns, hit.median_ns)


array_sizes = [8, 16, 32, 64, 128, 256, 512]
even = {
    name: [(size, *break_even_at(work, size)) for size in array_sizes]
    for name, work in {"tanh": np.tanh, "matrix product": lambda x: x @ x}.items()
}
worth = {name: [size for size, *_, rate in rows if rate <= 0.5] for name, rows in even.items()}
dashboards.show(
    dashboards.scaling_curve(
        {
            **{name: [(size, rate) for size, *_, rate in rows] for name, rows in even.items()},
            "every call is a hit": [(array_sizes[0], 1.0), (array_sizes[-1], 1.0)],
        },
        x_title="N, for an N x N array",
        y_title="break-even hit rate",
        log=True,
    ),
    summary="Above 1 no hit rate is high enough. "
    + "; ".join(
        f"{name}: every second call a hit pays at N = {', '.join(map(str, sizes)) or 'none of these'}"
        for name, sizes in worth.items()
    )
    + ".",
    table=[
        {
            "function": name,
            "N": size,
            "call us": round(call_ns / 1e3, 2),
            "hit us": round(hit_ns / 1e3, 2),
            "break-even": round(rate, 2),
        }
        for name, rows in even.items()
        for size, call_ns, hit_ns, rate in rows
    ],
)

# %% [markdown]
# Three things to carry away:
#
# - the key is part of the price, and often all of it;
# - results that are handed out twice are **one object**: a caller that writes into it writes into the cache;
# - an object taken by its identity may change inside. Memoize `f(model)`, train the model, and the cache answers for weights
#   that are gone. Call `clear()`, or give a `key` that knows the version.

# %% [markdown]
# ## Exercise 2: the cache of a transformer
#
# *Difficulty 3 of 5, 60 minutes, 17 points.*
#
# `memoize` answers the same question again. A GPT asks a *longer* question each time, so it would never hit. What
# repeats is inside: each layer turns each position into a **key** (what the position offers) and a **value** (what
# it hands over). In a causal model a position never looks ahead, so its key and value stay what they are, whatever is
# written after it. These are worth keeping. Queries are not: only the newest one is ever needed.
#
# The simplest way joins old and new with `np.concatenate`. It copies everything for each token, and so brings back
# a work that grows with the length. Yours takes its memory **once** and writes into it.

# %% [markdown]
# The interface is the framework's **cache protocol**. `MultiHeadAttention` calls `update(keys, values)` with the arrays
# of the new positions, (B, H, T, D): batch, heads, positions, channels of a head. It takes back **all** of them,
# (B, H, S, D), as **views**: windows on the same memory, nothing copied.
#
# `reserve(n)` is the same without the writing: it makes room for `n` more positions and gives the views; the last `n` are
# then the caller's to write. A kernel that computes keys can put them where they belong.
#
# The memory is laid out (B, H, capacity, D), so that the positions of one head stand next to each other: the product of
# a query with all keys of its head then reads memory from front to back.


# %% nbgrader={"grade_id": "kv_cache__layer"}
#| export
class LayerKVCache:
    """Keys and values of one attention layer, in memory that is taken once.

    Args:
        batch: B, sequences.
        n_head: H, heads.
        capacity: the most positions it holds.
        head_dim: D, channels of a head.
        dtype: a floating point type.

    Attributes:
        length: positions stored.

    Raises:
        TypeError: the dtype is not of floating point, or a size is no whole number.
        ValueError: a size is below 1.

    Example:
        >>> cache = LayerKVCache(batch=1, n_head=2, capacity=8, head_dim=4)
        >>> new = np.ones((1, 2, 3, 4), np.float32)
        >>> keys, values = cache.update(new, new)
        >>> keys.shape, cache.length, cache.nbytes
        ((1, 2, 3, 4), 3, 512)
    """

    def __init__(
        self,
        batch: int,
        n_head: int,
        capacity: int,
        head_dim: int,
        dtype: DTypeLike = np.float32,
    ) -> None:
        # TODO:
        # 1. check the sizes with `check_sizes`, and that the dtype's kind is "f"
        # 2. take the memory of keys and of values, (batch, n_head, capacity, head_dim); length 0
        ### BEGIN SOLUTION
        check_sizes(batch=batch, n_head=n_head, capacity=capacity, head_dim=head_dim)
        if np.dtype(dtype).kind != "f":
            raise TypeError(f"dtype is {np.dtype(dtype)}; keys and values need a float type")
        self._keys = np.empty((batch, n_head, capacity, head_dim), dtype)
        self._values = np.empty_like(self._keys)
        self.length = 0
        ### END SOLUTION

    @property
    def capacity(self) -> int:
        """The most positions it holds."""
        # TODO: from the memory's shape
        ### BEGIN SOLUTION
        return self._keys.shape[2]
        ### END SOLUTION

    @property
    def keys(self) -> NDArray[Any]:
        """The keys stored, a view (B, H, length, D)."""
        # TODO: a slice, no copy
        ### BEGIN SOLUTION
        return self._keys[:, :, : self.length]
        ### END SOLUTION

    @property
    def values(self) -> NDArray[Any]:
        """The values stored, a view (B, H, length, D)."""
        # TODO: a slice, no copy
        ### BEGIN SOLUTION
        return self._values[:, :, : self.length]
        ### END SOLUTION

    @property
    def nbytes(self) -> int:
        """Bytes of memory taken for keys and values, used or not."""
        # TODO: from the arrays
        ### BEGIN SOLUTION
        return self._keys.nbytes + self._values.nbytes
        ### END SOLUTION

    def reserve(self, n: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Make room for `n` more positions.

        Args:
            n: 1 or more.

        Returns:
            Keys and values, views (B, H, length, D) with the new length. What their last `n`
            positions hold is undefined until the caller writes it.

        Raises:
            ValueError: they do not fit, or `n` is below 1; nothing has changed then.
        """
        # TODO:
        # 1. refuse n below 1
        # 2. refuse what does not fit: say the capacity, how many are stored and how many requested
        # 3. the new length; both views
        ### BEGIN SOLUTION
        end = self.length + n
        if n < 1:
            raise ValueError(f"{n} positions requested; ask for 1 or more")
        if end > self.capacity:
            raise ValueError(
                f"the cache's capacity is {self.capacity} positions; {self.length} are stored and "
                f"{n} more requested: give it capacity {end} or more, or reset() or rewind() first"
            )
        self.length = end
        return self._keys[:, :, :end], self._values[:, :, :end]
        ### END SOLUTION

    def update(self, keys: NDArray[Any], values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Store new positions and return all.

        Args:
            keys: (B, H, T, D) in the cache's dtype, T at least 1.
            values: as keys.

        Returns:
            All keys and all values so far, views (B, H, length, D).

        Raises:
            TypeError: not arrays of the cache's dtype.
            ValueError: another shape than (B, H, T, D), or more than fit; nothing has changed then.
        """
        # TODO:
        # 1. both must be arrays of the cache's dtype (NumPy would round float64 without a word)
        # 2. both must have the cache's B, H and D, four axes, and the same T (NumPy would broadcast)
        # 3. reserve, write the new positions, return all
        ### BEGIN SOLUTION
        batch, heads, _, width = self._keys.shape
        for name, given in (("keys", keys), ("values", values)):
            if not isinstance(given, np.ndarray) or given.dtype != self._keys.dtype:
                kind = getattr(given, "dtype", type(given).__name__)
                raise TypeError(f"{name} are {kind}; expected an array of {self._keys.dtype}")
            if given.ndim != 4 or given.shape != (batch, heads, keys.shape[2], width):
                raise ValueError(
                    f"{name} have the shape {given.shape}; this cache takes ({batch}, {heads}, T, "
                    f"{width}), the same T for keys and values"
                )
        start = self.length
        all_keys, all_values = self.reserve(keys.shape[2])
        all_keys[:, :, start:] = keys
        all_values[:, :, start:] = values
        return all_keys, all_values
        ### END SOLUTION

    def reset(self) -> None:
        """Forget all positions; the memory stays."""
        # TODO: nothing needs to be erased
        ### BEGIN SOLUTION
        self.length = 0
        ### END SOLUTION

    def rewind(self, n: int) -> None:
        """Forget the last `n` positions.

        Raises:
            ValueError: `n` is below 0, or more than are stored; nothing has changed then.
        """
        # TODO: refuse what cannot be, with both numbers; the rest stays where it is
        ### BEGIN SOLUTION
        if not 0 <= n <= self.length:
            raise ValueError(f"cannot forget {n} of {self.length} stored positions")
        self.length -= n
        ### END SOLUTION


# %% nbgrader={"grade_id": "test_kv_cache__layer", "points": 6}
# Rejects: new positions over old ones, keys in place of values, the whole capacity in place of what
# is stored, copies, memory that moves.
rng = np.random.default_rng(0)
one = LayerKVCache(batch=2, n_head=3, capacity=6, head_dim=4)
assert_int(one.length, 0, what="length of a new cache")
assert_int(one.capacity, 6, what="capacity")
fed_keys, fed_values = rng.standard_normal((2, 2, 3, 5, 4), dtype=np.float32)  # (B, H, 5, D) each
for start, end in ((0, 3), (3, 4), (4, 5)):
    got_keys, got_values = one.update(fed_keys[:, :, start:end], fed_values[:, :, start:end])
    assert_close(got_keys, fed_keys[:, :, :end], rtol=0, atol=0, what=f"keys after {end} positions")
    assert_close(got_values, fed_values[:, :, :end], rtol=0, atol=0, what=f"values after {end}")
    assert_int(one.length, end, what="length")
assert_close(one.keys, fed_keys, rtol=0, atol=0, what="cache.keys", dtype=np.float32)
assert_close(one.values, fed_values, rtol=0, atol=0, what="cache.values", dtype=np.float32)
assert inside(memory_stays, LayerKVCache(2, 3, 10, 4), fed_keys, fed_values) == (True, True), (
    "two updates must give views of one memory, taken once"
)
### BEGIN HIDDEN TESTS
rng = fresh("layer cache")
for dtype in (np.float32, np.float64):
    batch, heads, width = rng.integers(1, 5, size=3).tolist()
    total = int(rng.integers(9, 20))
    fed_keys, fed_values = rng.standard_normal((2, batch, heads, total, width)).astype(dtype)
    one = LayerKVCache(batch, heads, total, width, dtype)
    cuts = [0, *sorted(rng.choice(np.arange(1, total), size=4, replace=False).tolist()), total]
    for turn, (start, end) in enumerate(zip(cuts[:-1], cuts[1:], strict=True)):
        new = fed_keys[:, :, start:end], fed_values[:, :, start:end]
        if turn % 2:
            inside(write_reserved, one, *new)
        else:
            one.update(*new)
        assert_int(one.length, end, what=f"length after {end} positions")
        assert_close(one.keys, fed_keys[:, :, :end], rtol=0, atol=0, what="keys", dtype=dtype)
        assert_close(one.values, fed_values[:, :, :end], rtol=0, atol=0, what="values", dtype=dtype)
### END HIDDEN TESTS

# %% nbgrader={"grade_id": "test_kv_cache__rewind", "points": 2}
# Rejects: a rewind to n in place of by n, a rewind past the start, a reset that keeps positions.
one = LayerKVCache(1, 2, 8, 4)
fed_keys, fed_values = np.arange(2 * 48, dtype=np.float32).reshape(2, 1, 2, 6, 4)
one.update(fed_keys, fed_values)
one.rewind(2)
assert_int(one.length, 4, what="length after 6 positions and rewind(2)")
one.update(fed_values[:, :, :1], fed_keys[:, :, :1])
assert_close(one.keys[:, :, :4], fed_keys[:, :, :4], what="keys that the rewind leaves")
assert_close(one.keys[:, :, 4], fed_values[:, :, 0], what="the key written after the rewind")
expect_error(ValueError, one.rewind, 6, mentions=("6", "5"))
one.reset()
assert_int(one.length, 0, what="length after reset")
assert one.keys.shape == (1, 2, 0, 4), f"no keys after reset, got the shape {one.keys.shape}"
### BEGIN HIDDEN TESTS
rng = fresh("rewind")
total = int(rng.integers(12, 20))
back = int(rng.integers(1, total // 2))  # never half of it
fed_keys, fed_values = rng.standard_normal((2, 2, 1, total, 3), dtype=np.float32)
one = LayerKVCache(2, 1, total, 3)
for _ in range(2):
    one.update(fed_keys, fed_values)
    one.rewind(0)
    assert_int(one.length, total, what="length after rewind(0)")
    one.rewind(back)
    assert_close(one.keys, fed_keys[:, :, : total - back], what="keys left")
    assert_close(one.values, fed_values[:, :, : total - back], what="values left")
    one.update(fed_keys[:, :, -back:], fed_values[:, :, -back:])
    assert_close(one.values, fed_values, what="values written again after a rewind")
    expect_error(ValueError, one.rewind, -1, mentions=("-1",))
    expect_error(ValueError, one.rewind, total + 1, mentions=(str(total + 1), str(total)))
    assert_int(one.length, total, what="length after a rewind that was refused")
    one.rewind(total)
    assert_int(one.length, 0, what="length after a rewind of everything")
### END HIDDEN TESTS

# %% nbgrader={"grade_id": "test_kv_cache__refuses", "points": 3}
# Rejects: positions past the end, a cache that is spoilt by a refused call, shapes that NumPy would
# broadcast and dtypes it would round, capacity 0.
one = LayerKVCache(2, 3, 6, 4)
four, three = np.ones((2, 3, 4, 4), np.float32), np.ones((2, 3, 3, 4), np.float32)
one.update(four, four)
expect_error(ValueError, one.update, three, three, mentions=("6", "4", "3"))
assert_int(one.length, 4, what="length after an update that did not fit")
one.update(three[:, :, :2], three[:, :, :2])
assert_int(one.length, 6, what="length of a full cache")
one.reset()
expect_error(ValueError, one.update, four[:1], four[:1], mentions=("(1, 3, 4, 4)", "2"))
expect_error(TypeError, one.update, four.astype(np.float64), four, mentions=("float64", "float32"))
expect_error(ValueError, LayerKVCache, 2, 3, 0, 4, mentions=("capacity", "0"))
### BEGIN HIDDEN TESTS
rng = fresh("refused updates")
capacity = int(rng.integers(60, 90))
stored, more = int(rng.integers(31, 50)), int(rng.integers(100, 200))
one = LayerKVCache(2, 3, capacity, 4)
block = rng.standard_normal((2, 3, stored, 4), dtype=np.float32)
one.update(block, block)
expect_error(ValueError, one.reserve, more, mentions=(str(capacity), str(stored), str(more)))
expect_error(ValueError, one.reserve, capacity - stored + 1, mentions=(str(capacity), str(stored)))
good = np.ones((2, 3, 2, 4), np.float32)
for wrong in (
    good[:1],
    good[:, :1],
    good[:, :, :, :1],
    good[:, :, :1],
    good[0],
    good[None],
    np.ones((3, 2, 2, 4), np.float32),
    good[:, :, :0],
):
    expect_error(ValueError, one.update, good, wrong, mentions=(str(wrong.shape),))
    expect_error(ValueError, one.update, wrong, good)
for wrong in (good.astype(np.float64), good.astype(np.int8), good.tolist(), None):
    expect_error((TypeError, ValueError), one.update, good, wrong)
    expect_error((TypeError, ValueError), one.update, wrong, good)
empty = np.ones((2, 3, 0, 4), np.float32)
expect_error(ValueError, one.update, empty, empty)
expect_error(ValueError, one.reserve, 0, mentions=("0",))
expect_error(ValueError, one.reserve, -2, mentions=("-2",))
assert_int(one.length, stored, what="length after calls that were all refused")
assert_close(one.keys, block, what="keys after calls that were all refused")
for place, name in enumerate(("batch", "n_head", "capacity", "head_dim")):
    sizes = [2, 3, 6, 4]
    sizes[place] = -int(rng.integers(1, 9))
    expect_error(ValueError, LayerKVCache, *sizes, mentions=(name, str(sizes[place])))
expect_error((TypeError, ValueError), LayerKVCache, 2, 3, 6, 4, np.int8, mentions=("int8",))
### END HIDDEN TESTS

# %% [markdown]
# ### One cache a layer
#
# A model with L layers needs L of these. `KVCache` is a sequence of them, so that `GPT.forward(ids, cache=...)` can
# take it. Its memory follows from the shapes:
#
# $$\text{bytes} = 2 \cdot L \cdot H \cdot D \cdot T \cdot B \cdot \text{itemsize}$$
#
# Two for keys and values; L layers, H heads of D channels, T positions, B sequences (Pope et al., "Efficiently Scaling
# Transformer Inference", arXiv:2211.05102). Note what is *not* in it: the size of the vocabulary, the feed-forward
# layers, the number of tokens you generate in the end. Memory is what you pay for the time you save.


# %% nbgrader={"grade_id": "kv_cache"}
#| export
def kv_cache_bytes(
    n_layer: int, n_head: int, head_dim: int, positions: int, batch: int = 1, itemsize: int = 4
) -> int:
    """Bytes of keys and values of all layers.

    Args:
        n_layer, n_head, head_dim: sizes of the model.
        positions: T, positions there is room for.
        batch: sequences.
        itemsize: bytes of one number: 4 for float32.

    Raises:
        ValueError: a size is below 1.

    Source: Pope et al., "Efficiently Scaling Transformer Inference", arXiv:2211.05102.

    Example:
        >>> kv_cache_bytes(n_layer=4, n_head=4, head_dim=32, positions=256)
        1048576
    """
    # TODO: check the sizes with `check_sizes`; then the formula
    ### BEGIN SOLUTION
    check_sizes(
        n_layer=n_layer,
        n_head=n_head,
        head_dim=head_dim,
        positions=positions,
        batch=batch,
        itemsize=itemsize,
    )
    return 2 * n_layer * n_head * head_dim * positions * batch * itemsize
    ### END SOLUTION


class KVCache(Sequence[LayerKVCache]):
    """Keys and values of every layer of a model: a sequence with one `LayerKVCache` a layer.

    Args:
        n_layer: L, layers.
        batch, n_head, capacity, head_dim, dtype: as `LayerKVCache` takes them.

    Raises:
        TypeError: the dtype is not of floating point, or a size is no whole number.
        ValueError: a size is below 1.

    Example:
        >>> cache = KVCache(n_layer=2, batch=1, n_head=4, capacity=16, head_dim=8)
        >>> len(cache), cache.length, cache.capacity, cache.nbytes
        (2, 0, 16, 8192)
    """

    def __init__(
        self,
        n_layer: int,
        batch: int,
        n_head: int,
        capacity: int,
        head_dim: int,
        dtype: DTypeLike = np.float32,
    ) -> None:
        # TODO: check n_layer; one LayerKVCache a layer in the list `self._layers`, which the methods
        # below use
        ### BEGIN SOLUTION
        check_sizes(n_layer=n_layer)
        self._layers = [
            LayerKVCache(batch, n_head, capacity, head_dim, dtype) for _ in range(n_layer)
        ]
        ### END SOLUTION

    @classmethod
    def for_model(
        cls,
        model: GPT,
        batch: int = 1,
        capacity: int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> "KVCache":
        """A cache of the right sizes for a model.

        Args:
            model: a GPT; its `config` knows the sizes.
            batch: sequences.
            capacity: positions; the model's `block_size` if None.
            dtype: the model's.
        """
        # TODO: read n_layer, n_head, n_embd and block_size from model.config; D is n_embd / n_head
        ### BEGIN SOLUTION
        config = model.config
        positions = config.block_size if capacity is None else capacity
        width = config.n_embd // config.n_head
        return cls(config.n_layer, batch, config.n_head, positions, width, dtype)
        ### END SOLUTION

    def __len__(self) -> int:
        return len(self._layers)

    @overload
    def __getitem__(self, index: int) -> LayerKVCache: ...

    @overload
    def __getitem__(self, index: slice) -> list[LayerKVCache]: ...

    def __getitem__(self, index: int | slice) -> LayerKVCache | list[LayerKVCache]:
        return self._layers[index]

    def __iter__(self) -> Iterator[LayerKVCache]:
        return iter(self._layers)

    @property
    def length(self) -> int:
        """Positions stored, the same in every layer."""
        # TODO: ask a layer
        ### BEGIN SOLUTION
        return self._layers[0].length
        ### END SOLUTION

    @property
    def capacity(self) -> int:
        """The most positions it holds."""
        return self._layers[0].capacity

    @property
    def nbytes(self) -> int:
        """Bytes of memory taken by all layers."""
        # TODO: add up
        ### BEGIN SOLUTION
        return sum(layer.nbytes for layer in self._layers)
        ### END SOLUTION

    def reset(self) -> None:
        """Forget all positions in every layer; the memory stays."""
        # TODO: every layer
        ### BEGIN SOLUTION
        for layer in self._layers:
            layer.reset()
        ### END SOLUTION

    def rewind(self, n: int) -> None:
        """Forget the last `n` positions in every layer.

        Raises:
            ValueError: `n` is below 0, or more than are stored.
        """
        # TODO: every layer
        ### BEGIN SOLUTION
        for layer in self._layers:
            layer.rewind(n)
        ### END SOLUTION


# %% nbgrader={"grade_id": "test_kv_cache__whole", "points": 3}
# Rejects: one layer for all, sizes from the wrong place, a rewind or reset of one layer only.
model = small_gpt(np.random.default_rng(0), layers=3, heads=2, channels=16, block=24)
cache = KVCache.for_model(model, batch=2, dtype=np.float64)
assert_int(len(cache), 3, what="layers of the cache")
assert_int(cache.capacity, 24, what="capacity, which is the model's block_size")
ids = np.arange(14).reshape(2, 7)  # (B, T)
scores = inside(model_scores, model, ids, cache)
assert_close(
    scores,
    model_scores(model, ids, None),
    rtol=1e-9,
    what="scores of a prompt read with your cache",
)
assert inside(layer_lengths, cache) == [7, 7, 7], "each layer holds the prompt's 7 positions"
cache.rewind(3)
assert inside(layer_lengths, cache) == [4, 4, 4], "rewind(3) in every layer"
cache.reset()
assert inside(layer_lengths, cache) == [0, 0, 0], "reset in every layer"
### BEGIN HIDDEN TESTS
rng = fresh("whole cache")
heads, width, layers = (int(rng.integers(low, low + 3)) for low in (2, 6, 2))
model = small_gpt(rng, layers=layers, heads=heads, channels=heads * width, block=30)
cache = KVCache.for_model(model, batch=3, capacity=19, dtype=np.float64)
assert_int(cache.capacity, 19, what="the capacity asked for")
ids = rng.integers(0, 23, size=(3, 17))
inside(model_scores, model, ids[:, :11], cache)
assert_int(cache.length, 11, what="length after a prompt of 11")
scores = inside(model_scores, model, ids[:, 11:], cache)
assert_close(
    scores, model_scores(model, ids, None)[:, 11:], rtol=1e-8, what="scores of the second half"
)
for place in range(layers):
    assert cache[place].keys.shape == (3, heads, 17, width), f"keys of layer {place}"
assert not np.array_equal(cache[0].keys, cache[1].keys), "each layer has keys of its own"
expect_error(ValueError, cache.rewind, 18, mentions=("18", "17"))
assert KVCache(2, 1, 2, 5, 3)[-1].keys.dtype == np.float32, "float32 unless another dtype is given"
expect_error(ValueError, KVCache, 0, 1, 2, 5, 3, mentions=("n_layer", "0"))
expect_error(ValueError, KVCache.for_model, model, capacity=0, mentions=("capacity", "0"))
### END HIDDEN TESTS

# %% nbgrader={"grade_id": "test_kv_cache__bytes", "points": 3}
# Rejects: keys without values, a forgotten batch or layer, bytes of the used part only.
assert_int(kv_cache_bytes(4, 4, 32, 256), 1_048_576, what="bytes for docs_gpt at 256 positions")
cache = KVCache(n_layer=2, batch=3, n_head=4, capacity=10, head_dim=8)
assert_int(cache.nbytes, kv_cache_bytes(2, 4, 8, 10, batch=3), what="nbytes beside the formula")
assert_int(cache[0].nbytes, 2 * 3 * 4 * 10 * 8 * 4, what="nbytes of one layer, still empty")
expect_error(ValueError, kv_cache_bytes, 2, 4, 8, 0, mentions=("positions", "0"))
### BEGIN HIDDEN TESTS
rng = fresh("cache bytes")
for itemsize, dtype in ((2, np.float16), (4, np.float32), (8, np.float64)):
    # Different primes: no factor can stand for another, and none can be missing.
    layers, heads, width, positions, batch = rng.permutation([2, 3, 5, 7, 11]).tolist()
    truth = 2 * layers * heads * width * positions * batch * itemsize
    assert_int(
        kv_cache_bytes(layers, heads, width, positions, batch=batch, itemsize=itemsize),
        truth,
        what=f"bytes for L={layers} H={heads} D={width} T={positions} B={batch}, {itemsize} each",
    )
    cache = KVCache(layers, batch, heads, positions, width, dtype)
    assert_int(cache.nbytes, truth, what=f"nbytes of a {np.dtype(dtype)} cache")
    assert_int(cache[0].nbytes * layers, truth, what="nbytes of one layer, times the layers")
for place in range(6):
    sizes = [2, 4, 8, 16, 1, 4]
    sizes[place] = 0
    expect_error(ValueError, kv_cache_bytes, *sizes, mentions=("0",))
### END HIDDEN TESTS

# %% [markdown]
# ### Validate: memory against length
#
# The line is the formula. The dots are measured twice: `nbytes` of your arrays, and what Python's memory tracer sees
# being taken. Beside them stand the weights of the model, which do not grow.


# %% tags=["measure"]
def traced_bytes(make: Callable[[], object]) -> int:
    """Memory that is still taken after `make()`, as the tracer sees it."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        held = make()
        taken = tracemalloc.get_traced_memory()[0] - before
        del held
        return taken
    finally:
        tracemalloc.stop()


weight_bytes = sum(parameter.data.nbytes for parameter in gpt.parameters())
head_width = gpt.config.n_embd // gpt.config.n_head
memory_rows = [
    {
        "positions": positions,
        "batch": batch,
        "formula": kv_cache_bytes(4, 4, head_width, positions, batch),
        "nbytes": KVCache.for_model(gpt, batch, positions).nbytes,
        "traced": traced_bytes(
            lambda b=batch, n=positions: KVCache.for_model(gpt, batch=b, capacity=n)
        ),
    }
    for batch in (1, 8)
    for positions in (32, 64, 128, 192, 256)
]
series = {
    f"{what}, batch {batch}": [
        (row["positions"], row[what] / 2**20) for row in memory_rows if row["batch"] == batch
    ]
    for batch in (1, 8)
    for what in ("formula", "traced")
}
off = max(abs(row["traced"] / row["formula"] - 1) for row in memory_rows)
dashboards.show(
    dashboards.scaling_curve(
        {**series, "weights": [(32, weight_bytes / 2**20), (256, weight_bytes / 2**20)]},
        x_title="positions there is room for",
        y_title="MiB",
    ),
    summary=f"Formula and nbytes are equal; the tracer sees at most {off:.1%} more (the objects around the arrays). "
    f"docs_gpt's weights take {weight_bytes / 2**20:.2f} MiB; at 256 positions the cache of 8 sequences takes "
    f"{memory_rows[-1]['nbytes'] / 2**20:.2f} MiB.",
    table=memory_rows,
)

# %% [markdown]
# And what the preallocation gives: the time of storing one more position, against joining arrays anew. The dots of the
# joined arrays climb with what is already there; yours should not.


# %% tags=["measure"]
def append_times_us(make: Callable[[], Any], total: int) -> np.ndarray:
    """Median microseconds of each append over several runs, (total,)."""
    new = np.ones((1, 4, 1, head_width), np.float32)
    runs, timer = np.empty((5, total)), Timer()
    for run in runs:
        layer = make()
        for place in range(total):
            with timer:
                layer.update(new, new)
            run[place] = timer.elapsed_ns / 1e3
    return np.median(runs, axis=0)


appended = {
    "yours": append_times_us(lambda: LayerKVCache(1, 4, 1024, head_width), 1024),
    "np.concatenate": append_times_us(JoiningLayer, 1024),
}
spans = [(start, start + 64) for start in range(0, 1024, 64)]
append_series = {
    name: [(end, float(np.median(times[start:end]))) for start, end in spans]
    for name, times in appended.items()
}
dashboards.show(
    dashboards.scaling_curve(
        append_series, x_title="positions stored", y_title="microseconds to store one more"
    ),
    summary="; ".join(
        f"{name}: {points[0][1]:.1f} us at the start, {points[-1][1]:.1f} us at 1024 positions"
        for name, points in append_series.items()
    )
    + ".",
)

# %% [markdown]
# ## Exercise 3: attention for the new positions only
#
# *Difficulty 3 of 5, 50 minutes, 17 points.*
#
# Reading with a cache has two phases. **Prefill** reads the prompt, many positions at once. **Decode** reads one
# new token at a time. Both are one operation: T new queries meet all S keys, the T new ones at the end included.
#
# For a head of D channels (Vaswani et al., "Attention Is All You Need", arXiv:1706.03762):
#
# $$\text{softmax}\!\left(\frac{q\,k^\top}{\sqrt{D}} + \text{mask}\right) v$$
#
# The mask is where most caches go wrong. New query $i$ stands at position $S - T + i$ and may see the keys
# $j \le S - T + i$: the triangle is **aligned to the end**. With T = 1 everything is allowed and no mask is needed.


# %% nbgrader={"grade_id": "incremental__attention"}
#| export
def incremental_attention(
    q: NDArray[Any], k: NDArray[Any], v: NDArray[Any], cache: nn.LayerCache
) -> NDArray[Any]:
    """Causal attention of new positions with everything the cache holds, and with themselves.

    Args:
        q: queries of the new positions, (B, H, T, D), T at least 1.
        k, v: their keys and values, of the same shape; the cache stores them.
        cache: one layer's, with `update(keys, values)`.

    Returns:
        (B, H, T, D), as full attention gives it for these positions.

    Raises:
        ValueError: the shapes of q, k and v differ; the cache has not changed then.

    Source: Vaswani et al., "Attention Is All You Need", arXiv:1706.03762.

    Example:
        >>> cache, x = LayerKVCache(1, 2, 8, 4), np.ones((1, 2, 3, 4), np.float32)
        >>> incremental_attention(x, x, x, cache).shape, cache.length
        ((1, 2, 3, 4), 3)
    """
    # TODO:
    # 1. refuse different shapes before you touch the cache
    # 2. update the cache; it gives all keys and values, (B, H, S, D)
    # 3. scores (B, H, T, S), scaled; for T > 1 add -inf where a query would see the future
    # 4. subtract each row's maximum before exp, or large scores become inf
    # 5. weights times values; divide by the rows' sums
    ### BEGIN SOLUTION
    if not q.shape == k.shape == v.shape or q.ndim != 4:
        raise ValueError(
            f"q, k and v have the shapes {q.shape}, {k.shape} and {v.shape}; the new positions need "
            "(B, H, T, D), the same for all three"
        )
    keys, values = cache.update(k, v)  # (B, H, S, D)
    (_, _, queries, width), length = q.shape, keys.shape[2]
    scaled = q * q.dtype.type(1 / math.sqrt(width))
    scores = scaled @ keys.transpose(0, 1, 3, 2)  # (B, H, T, S)
    if queries > 1:
        future = np.full((queries, length), -np.inf, scores.dtype)
        scores += np.triu(future, k=length - queries + 1)
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    result: NDArray[Any] = scores @ values  # (B, H, T, D)
    result /= scores.sum(axis=-1, keepdims=True)
    return result
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_incremental__attention", "points": 5}
# Rejects: a triangle aligned to the start, no triangle, new positions that do not see the old or
# themselves, no scaling, exp of large scores.
rng = np.random.default_rng(1)
q, k, v = rng.standard_normal((3, 2, 2, 7, 4))  # (B, H, 7, D) each
truth, layer = slow_attention(q, k, v), inside(JoiningLayer)
for start, end in ((0, 4), (4, 5), (5, 7)):
    new = [each[:, :, start:end] for each in (q, k, v)]
    assert_close(
        incremental_attention(*new, layer),
        truth[:, :, start:end],
        rtol=1e-9,
        what=f"attention of the positions {start} to {end - 1}",
    )
expect_error(
    ValueError, incremental_attention, q, k, v[:, :, :3], layer, mentions=("(2, 2, 3, 4)",)
)
assert_int(layer.length, 7, what="positions in the cache: a refused call stores nothing")
### BEGIN HIDDEN TESTS
rng = fresh("incremental attention")
for _ in range(4):
    batch, heads = rng.integers(1, 4, size=2).tolist()
    width, total = int(rng.integers(2, 9)), int(rng.integers(10, 24))
    q, k, v = rng.standard_normal((3, batch, heads, total, width))
    truth, layer = slow_attention(q, k, v), inside(JoiningLayer)
    # The first piece and the last have several positions: their triangles are different.
    cuts = [0, int(rng.integers(2, 4)), int(rng.integers(5, 7)), 7, total]
    for start, end in zip(cuts[:-1], cuts[1:], strict=True):
        new = [each[:, :, start:end] for each in (q, k, v)]
        assert_close(
            incremental_attention(*new, layer),
            truth[:, :, start:end],
            rtol=1e-8,
            atol=1e-10,
            what=f"positions {start} to {end - 1} of {total}",
        )
q, k, v = 60 * rng.standard_normal((3, 1, 2, 9, 16), dtype=np.float32)
layer = inside(JoiningLayer)
for start, end in ((0, 8), (8, 9)):
    got = incremental_attention(*(each[:, :, start:end] for each in (q, k, v)), layer)
    assert_close(
        got,
        slow_attention(q, k, v)[:, :, start:end].astype(np.float32),
        rtol=2e-3,
        atol=2e-2,
        what="attention with scores in the thousands",
        dtype=np.float32,
    )
for wrong in ((q[:, :1], k, v), (q, k[:, :, :5], v), (q[0], k[0], v[0])):
    expect_error(ValueError, incremental_attention, *wrong, layer, mentions=("shape",))
assert_int(layer.length, 9, what="positions in the cache after refused calls")
### END HIDDEN TESTS

# %% [markdown]
# ### Prefill and decode
#
# The model itself needs no change. `model(ids, cache=cache, last_only=True)` reads `ids` as the positions that follow
# what the cache holds, and returns the scores of the last one, (B, 1, V).
#
# Because positions count from `cache.length`, a long prompt can be read in pieces: prefill the first part, then the
# rest. The result must be the same, and the tests say so to nine digits, in float64. Equal to the last *bit* it is not:
# a product of matrices adds up in another order for another shape.


# %% nbgrader={"grade_id": "incremental__steps"}
#| export
@no_grad()
def prefill(model: GPT, ids: Ids, cache: Sequence[nn.LayerCache]) -> NDArray[Any]:
    """Read a prompt, or a piece of it, into the cache.

    Args:
        model: in evaluation mode.
        ids: (B, T) whole numbers, T at least 1; they follow what the cache holds.
        cache: one object a layer.

    Returns:
        (B, V): scores for the token after the last position.

    Raises:
        ValueError: `ids` is not (B, T), or has more positions than fit into model or cache.

    Example:
        >>> model = GPT(GPTConfig(vocab_size=5, block_size=8, n_layer=1, n_head=2, n_embd=4))
        >>> cache = KVCache.for_model(model)
        >>> prefill(model, [[1, 2, 3]], cache).shape, cache.length
        ((1, 5), 3)
    """
    # TODO: one call of the model, `last_only=True`; take the array out of the Tensor
    ### BEGIN SOLUTION
    logits: NDArray[Any] = model(ids, cache=cache, last_only=True).data  # (B, 1, V)
    return logits[:, -1]
    ### END SOLUTION


@no_grad()
def decode_step(model: GPT, tokens: Ids, cache: Sequence[nn.LayerCache]) -> NDArray[Any]:
    """Read one new token of each sequence.

    Args:
        model: in evaluation mode.
        tokens: (B,) whole numbers.
        cache: one object a layer, which holds everything before them.

    Returns:
        (B, V): scores for the token after these.

    Raises:
        ValueError: `tokens` is not (B,), or model or cache are full.

    Example:
        >>> model = GPT(GPTConfig(vocab_size=5, block_size=8, n_layer=1, n_head=2, n_embd=4))
        >>> cache = KVCache.for_model(model, batch=2)
        >>> decode_step(model, [1, 4], cache).shape, cache.length
        ((2, 5), 1)
    """
    # TODO:
    # 1. refuse anything that is not (B,), and show its shape
    # 2. B tokens are B sequences of one position
    ### BEGIN SOLUTION
    newest = np.asarray(tokens.data if isinstance(tokens, Tensor) else tokens)
    if newest.ndim != 1:
        raise ValueError(f"tokens have the shape {newest.shape}; expected (B,), one a sequence")
    logits: NDArray[Any] = model(newest[:, None], cache=cache, last_only=True).data  # (B, 1, V)
    return logits[:, -1]
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_incremental__logits", "points": 6}
# Rejects: scores of another position, a batch read as one sequence, positions that start at 0 again,
# anything that is equal only roughly.
rng = np.random.default_rng(2)
model = small_gpt(rng)
ids = rng.integers(0, 23, size=(3, 12))  # (B, T)
joined = inside(JoiningCache, 2)
assert_close(
    prefill(model, ids[:, :5], joined),
    last_logits(model, ids[:, :5]),
    rtol=1e-9,
    what="prompt of 5",
)
for end in range(6, 10):
    assert_close(
        decode_step(model, ids[:, end - 1], joined),
        last_logits(model, ids[:, :end]),
        rtol=1e-9,
        what=f"scores after token {end}",
    )
assert_close(
    prefill(model, ids[:, 9:], joined), last_logits(model, ids), rtol=1e-9, what="a second prefill"
)
expect_error(ValueError, decode_step, model, ids, joined, mentions=("(3, 12)",))
expect_error(ValueError, prefill, model, ids[0], joined, mentions=("(12,)",))
### BEGIN HIDDEN TESTS
rng = fresh("cached logits")
for heads, width, layers, batch in ((1, 8, 1, 1), (3, 4, 2, 2), (2, 8, 3, 4)):
    model = small_gpt(rng, layers=layers, heads=heads, channels=heads * width, block=32)
    total = int(rng.integers(16, 33))
    ids = rng.integers(0, 23, size=(batch, total))
    first, second = sorted(rng.choice(np.arange(1, total - 6), size=2, replace=False).tolist())
    joined = inside(JoiningCache, layers)
    for start, end in ((0, first), (first, second)):
        assert_close(
            prefill(model, ids[:, start:end], joined),
            last_logits(model, ids[:, :end]),
            rtol=1e-8,
            atol=1e-9,
            what=f"prefill of the positions {start} to {end - 1}, batch {batch}",
        )
    for end in range(second + 1, min(second + 6, total) + 1):
        tokens = ids[:, end - 1]
        logits = decode_step(model, tokens.tolist() if end % 2 else tokens, joined)
        truth = last_logits(model, ids[:, :end])
        assert_close(logits, truth, rtol=1e-8, atol=1e-9, what=f"scores after {end} tokens")
        assert np.array_equal(logits.argmax(axis=1), truth.argmax(axis=1)), "greedy tokens differ"
with_single = small_gpt(rng, block=8)
joined = inside(JoiningCache, 2)
ids = rng.integers(0, 23, size=(1, 8))
prefill(with_single, ids, joined)
expect_error(ValueError, decode_step, with_single, ids[:, 0], joined, mentions=("8",))
expect_error(ValueError, prefill, with_single, ids, joined, mentions=("8",))
expect_error(ValueError, decode_step, with_single, 3, joined, mentions=("()",))
### END HIDDEN TESTS

# %% nbgrader={"grade_id": "test_incremental__positions", "points": 2}
# Rejects: a cache that is not itself again after reset and rewind.
rng = np.random.default_rng(3)
model, ids = small_gpt(rng), rng.integers(0, 23, size=(2, 20))
cache = KVCache.for_model(model, batch=2, capacity=20, dtype=np.float64)
for turn in range(2):
    cache.reset()
    prefill(model, ids[::-1, :15], cache)
    cache.reset()
    prefill(model, ids[:, : 5 + turn], cache)
    assert_close(
        decode_step(model, ids[:, 5 + turn], cache),
        last_logits(model, ids[:, : 6 + turn]),
        rtol=1e-9,
        what="scores after a reset",
    )
### BEGIN HIDDEN TESTS
rng = fresh("positions")
model = small_gpt(rng)
cache = KVCache.for_model(model, batch=2, capacity=30, dtype=np.float64)
ids = rng.integers(0, 23, size=(2, 12))
logits = prefill(model, ids, cache)
for _ in range(5):  # write on, take some of it back, write something else
    extra = rng.integers(0, 23, size=(2, int(rng.integers(2, 5))))
    for tokens in extra.T:
        logits = decode_step(model, tokens, cache)
    assert_close(
        logits, last_logits(model, np.hstack([ids, extra])), rtol=1e-8, atol=1e-9, what="the scores"
    )
    back = int(rng.integers(1, extra.shape[1] + 1))
    cache.rewind(back)
    ids = np.hstack([ids, extra])[:, : ids.shape[1] + extra.shape[1] - back]
    assert_int(cache.length, ids.shape[1], what="positions after the rewind")
### END HIDDEN TESTS

# %% [markdown]
# ### The work law
#
# What does one decode step cost? Count multiply-accumulates (MACs), as in Module 14, for a model with L layers and C
# channels, at **length** S: the positions the new token attends to, itself included.
#
# - **Projections**: each weight matrix meets one position. A layer has four products with C × C weights in its attention
#   (`qkv` counts as three) and two with C × 4C in its feed-forward; the head adds C × V. No length in it: **flat**.
# - **Attention**: in each layer the query meets S keys, and S weights meet S values: **linear** in S.
#
# A table lookup (an embedding) multiplies nothing.


# %%
#| export
@dataclass(frozen=True)
class DecodeMacs:
    """Multiply-accumulates of one decode step of one sequence.

    Attributes:
        projections: in products with weights.
        attention: in products with keys and values.
    """

    projections: int
    attention: int

    @property
    def total(self) -> int:
        """Both together."""
        return self.projections + self.attention


# %% nbgrader={"grade_id": "incremental__work"}
#| export
def decode_macs(config: GPTConfig, length: int) -> DecodeMacs:
    """The work of one decode step, from the shapes.

    Args:
        config: sizes of the model.
        length: S, positions the new token attends to, itself included; 1 or more.

    Raises:
        ValueError: `length` is below 1.

    Example:
        >>> config = GPTConfig(vocab_size=7, block_size=8, n_layer=2, n_head=2, n_embd=4)
        >>> decode_macs(config, length=5)
        DecodeMacs(projections=412, attention=80)
    """
    # TODO:
    # 1. refuse a length below 1
    # 2. projections: per layer qkv, out, fc1 and fc2; then the head
    # 3. attention: per layer two products of all heads together
    ### BEGIN SOLUTION
    check_sizes(length=length)
    channels = config.n_embd
    projections = 12 * config.n_layer * channels**2 + channels * config.vocab_size
    return DecodeMacs(projections, attention=2 * config.n_layer * channels * length)
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_incremental__work", "points": 4}
# Rejects: attention that counts one of its two products or misses the new position, projections
# without the head, a prefill that scores every position.
config = GPTConfig(vocab_size=11, block_size=16, n_layer=2, n_head=2, n_embd=8)
law = decode_macs(config, length=6)
assert_int(law.projections, 2 * 12 * 64 + 8 * 11, what="MACs with weights")
assert_int(law.attention, 2 * 2 * 8 * 6, what="MACs with keys and values")
assert_int(
    decode_macs(config, 7).projections, law.projections, what="MACs with weights one token later"
)
expect_error(ValueError, decode_macs, config, 0, mentions=("length", "0"))
### BEGIN HIDDEN TESTS
rng = fresh("work law")
for _ in range(3):
    layers, heads = (int(each) for each in rng.integers(1, 4, size=2))
    channels = heads * int(rng.integers(2, 7))
    model = small_gpt(rng, layers=layers, heads=heads, channels=channels, block=40)
    length = int(rng.integers(10, 30))
    ids = rng.integers(0, 23, size=(1, length))
    own = JoiningCache(layers)
    model_scores(model, ids[:, :-1], own)
    truth = counted(model_scores, model, ids[:, -1:], own)
    attention = 2 * layers * channels * length
    law = decode_macs(model.config, length)
    assert_int(law.attention, attention, what=f"MACs with {length} keys and values")
    assert_int(law.projections, truth.macs - attention, what="MACs with weights, as counted")
    joined = inside(JoiningCache, layers)
    read = counted(prefill, model, ids[:, :-1], joined)
    body = (length - 1) * 12 * layers * channels**2 + 2 * layers * channels * (length - 1) ** 2
    assert_int(read.macs, body + 23 * channels, what="MACs of a prefill: one position in the head")
    step = counted(decode_step, model, ids[0, -1:], joined)
    assert_int(step.macs, truth.macs, what="MACs of a decode step")
### END HIDDEN TESTS

# %% [markdown]
# ### Validate: the law, counted
#
# Your `OpCounter` of Module 14 counts the MACs of real decode steps of `docs_gpt`, by kind of operation. The lines are
# your law. The step without a cache, at the same length, is counted too.

# %% tags=["measure"]
cache = KVCache.for_model(gpt)
counted_rows = []
for length in (1, 16, 32, 64, 96, 128, 160, 192, 224, 256):
    cache.reset()
    if length > 1:
        prefill(gpt, text_ids[None, : length - 1], cache)
    with OpCounter() as counter:
        decode_step(gpt, text_ids[length - 1 : length], cache)
    law = decode_macs(gpt.config, length)
    counted_rows.append(
        {
            "length": length,
            "projections counted": counter.by_op["linear"].macs,
            "projections law": law.projections,
            "attention counted": counter.by_op["attention"].macs,
            "attention law": law.attention,
            "without cache": macs_of_pass(text_ids[:length]),
        }
    )
agree = all(
    row[f"{part} counted"] == row[f"{part} law"]
    for row in counted_rows
    for part in ("projections", "attention")
)
dashboards.show(
    dashboards.scaling_curve(
        {
            name: [(row["length"], row[name] / 1e6) for row in counted_rows]
            for name in (
                "projections counted",
                "projections law",
                "attention counted",
                "attention law",
            )
        },
        x_title="length (positions, the new one included)",
        y_title="million MACs for one token",
    ),
    summary=("Law and counts are equal at every length. " if agree else "Law and counts DIFFER. ")
    + f"At 256 positions one token costs {decode_macs(gpt.config, 256).total / 1e6:.2f} million MACs with the cache and "
    f"{counted_rows[-1]['without cache'] / 1e6:.0f} million without: "
    f"{counted_rows[-1]['without cache'] / decode_macs(gpt.config, 256).total:.0f} times the work. "
    f"A step is {sum(work.calls for work in counter.by_op.values())} operations at any length.",
    table=counted_rows,
)

# %% [markdown]
# The line of attention starts low and climbs. Where does it meet the flat one? Set $2 L C S = 12 L C^2 + C V$: with a small
# vocabulary about at $S = 6C$. For `docs_gpt` that is 768 positions, three times its block. Long before, the *bytes*
# matter more than the MACs: each step reads the whole cache from memory.

# %% [markdown]
# ## Exercise 4: generate
#
# *Difficulty 2 of 5, 40 minutes, 17 points.*
#
# Now the whole loop: read the prompt once, choose a token, read that token, choose the next. The last token chosen
# is never read, so T prompt tokens and N new ones need T + N − 1 positions.
#
# `generate_cached` gives **the same tokens** as `tinytorch.models.generate`, with any temperature, for the same random
# generator. `next_tokens(logits, temperature, top_k, rng)`, which is imported above, chooses as `generate` does: use it once
# a step for the whole batch, and the draws agree.
#
# `step` makes the loop open for what comes later: whatever computes the newest token's scores, faster than `decode_step`.


# %%
#| export
Step = Callable[[GPT, NDArray[np.int64], Sequence[nn.LayerCache]], NDArray[Any]]
"""Reads the newest tokens (B,) into the cache and returns the scores (B, V), as `decode_step`."""


def checked_prompt(
    prompt: Ids, max_new_tokens: int, temperature: float, top_k: int | None
) -> NDArray[np.int64]:
    """The prompt as (B, T) whole numbers, once everything that `generate` refuses is refused.

    Raises:
        ValueError: no prompt, a number of new tokens or a temperature below 0, a `top_k` below 1.
    """
    given = np.asarray(prompt.data if isinstance(prompt, Tensor) else prompt)
    if given.ndim not in (1, 2) or given.size == 0 or given.dtype.kind not in "iu":
        raise ValueError(
            f"the prompt is {given.dtype} of shape {given.shape}; generate_cached needs at least "
            "one whole number, (T,) or (B, T)"
        )
    if max_new_tokens < 0:
        raise ValueError(f"max_new_tokens is {max_new_tokens}; it must be 0 or more")
    if not temperature >= 0:
        raise ValueError(f"temperature is {temperature}; it must be 0 (greedy) or above")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k is {top_k}; it must be 1 or more, or None for all tokens")
    return np.atleast_2d(given).astype(np.int64)


# %% nbgrader={"grade_id": "generate"}
#| export
@no_grad()
def generate_cached(
    model: GPT,
    prompt: Ids,
    max_new_tokens: int,
    temperature: float = 0.0,
    top_k: int | None = None,
    rng: np.random.Generator | None = None,
    cache: Sequence[nn.LayerCache] | None = None,
    step: Step | None = None,
) -> NDArray[np.int64]:
    """Continue a prompt by `max_new_tokens` tokens; each position is read once.

    Args:
        model: runs in evaluation mode here; afterwards each module has its own mode again.
        prompt: (T,) or (B, T) whole numbers, T at least 1.
        max_new_tokens: 0 or more; with 0 nothing is read.
        temperature: 0: always the most probable token; above 0: draw, as `generate` does.
        top_k: draw from the k most probable tokens only.
        rng: where draws come from; None: a generator that is different each time.
        cache: one object a layer; the prompt follows what it holds. None: a new `KVCache` with
            just enough room, in the dtype of the model.
        step: computes the newest token's scores; None: `decode_step`.

    Returns:
        Prompt and new tokens, (T + new,) or (B, T + new), as `tinytorch.models.generate`.

    Raises:
        ValueError: what `generate` refuses; or more positions than the model's block_size or the
            cache's capacity, before anything is read.

    Example:
        >>> model = GPT(GPTConfig(vocab_size=5, block_size=8, n_layer=1, n_head=2, n_embd=4))
        >>> generate_cached(model, [1, 2, 3], max_new_tokens=4).shape
        (7,)
    """
    # TODO:
    # 1. `checked_prompt` gives the ids (B, T)
    # 2. a KVCache for T + new - 1 positions, if none is given
    # 3. refuse more positions (stored, prompt and new together) than block_size or, if the cache has
    #    one, its capacity; show the numbers
    # 4. under `evaluating(model)`: prefill gives the scores for the first new token, `step` those for
    #    each further one; `next_tokens` chooses
    # 5. a prompt of (T,) gives a result of one axis
    ### BEGIN SOLUTION
    ids = checked_prompt(prompt, max_new_tokens, temperature, top_k)  # (B, T)
    (batch, length), new = ids.shape, max_new_tokens
    reads = length + max(new - 1, 0)
    if cache is None:
        kept_dtype = model.token_embedding.weight.data.dtype
        cache = KVCache.for_model(model, batch, reads, kept_dtype)
    stored, block_size = cache[0].length, model.config.block_size
    room = min(block_size, getattr(cache, "capacity", block_size))
    if stored + reads > room:
        raise ValueError(
            f"{stored} cached, {length} prompt and {new} new tokens need {stored + reads} positions; "
            f"model (block_size {block_size}) and cache have room for {room}: ask for fewer"
        )
    advance = decode_step if step is None else step
    rng = np.random.default_rng() if rng is None else rng
    result = np.empty((batch, length + new), np.int64)  # (B, T + new)
    result[:, :length] = ids
    with evaluating(model):
        for end in range(length, length + new):
            if end == length:
                logits = prefill(model, ids, cache)  # (B, V)
            else:
                logits = advance(model, result[:, end - 1], cache)  # (B, V)
            result[:, end] = next_tokens(logits, temperature, top_k, rng)
    return result if np.ndim(prompt) == 2 else result[0]
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_generate__greedy", "points": 4}
# Rejects: other tokens than without a cache, another shape, a result without the prompt.
rng = np.random.default_rng(4)
model = small_gpt(rng)
prompt = rng.integers(0, 23, size=(3, 9))  # (B, T)
for given in (prompt, prompt[0], prompt[:1]):
    wanted = generate(model, given, 20)
    got = generate_cached(model, given, 20)
    assert got.shape == wanted.shape, f"shape {got.shape}, expected {wanted.shape}"
    assert np.array_equal(got, wanted), "the tokens differ from those without a cache"
assert np.array_equal(generate_cached(model, prompt, 0), prompt), "no new tokens: the prompt alone"
### BEGIN HIDDEN TESTS
rng = fresh("greedy")
for batch, layers in ((1, 1), (2, 3), (4, 2)):
    model = small_gpt(rng, layers=layers, block=40)
    length = int(rng.integers(1, 20))
    prompt = rng.integers(0, 23, size=(batch, length))
    for new in (1, 2, 41 - length):  # the last one fills the model to the end
        assert_close(
            generate_cached(model, prompt, new),
            generate(model, prompt, new),
            rtol=0,
            atol=0,
            what=f"tokens of a prompt of {length} and {new} new, batch {batch}",
        )
    assert_close(
        generate_cached(model, prompt[0].tolist(), 5),
        generate(model, prompt[0], 5),
        rtol=0,
        atol=0,
        what="tokens after a prompt given as a list",
    )
### END HIDDEN TESTS

# %% nbgrader={"grade_id": "test_generate__sampling", "points": 3}
# Rejects: a temperature or top_k that is ignored, draws one sequence at a time, draws for the prompt.
rng = np.random.default_rng(5)
model, prompt = small_gpt(rng), rng.integers(0, 23, size=(2, 6))
for temperature, top_k in ((1.0, None), (3.0, 5)):
    wanted = generate(model, prompt, 25, temperature, top_k, np.random.default_rng(6))
    got = generate_cached(model, prompt, 25, temperature, top_k, np.random.default_rng(6))
    assert np.array_equal(got, wanted), (
        f"temperature {temperature}, top_k {top_k}: other tokens than without a cache"
    )
### BEGIN HIDDEN TESTS
rng = fresh("sampling")
model = small_gpt(rng)
for batch, temperature, top_k in ((1, 2.0, None), (3, 4.0, 3), (4, 3.0, 40), (2, 5.0, 1)):
    prompt = rng.integers(0, 23, size=(batch, int(rng.integers(2, 12))))
    seed = int(rng.integers(1 << 30))
    assert_close(
        generate_cached(
            model, prompt, 30, temperature=temperature, top_k=top_k, rng=np.random.default_rng(seed)
        ),
        generate(model, prompt, 30, temperature, top_k, np.random.default_rng(seed)),
        rtol=0,
        atol=0,
        what=f"tokens drawn at temperature {temperature}, top_k {top_k}, batch {batch}",
    )
### END HIDDEN TESTS

# %% nbgrader={"grade_id": "test_generate__step", "points": 3}
# Rejects: a `step` that is ignored or reads the prompt, a cache that is ignored or emptied, a model
# in training mode, a mode that is not put back.
rng = np.random.default_rng(7)
model, prompt = small_gpt(rng), rng.integers(0, 23, size=(2, 6))
steps: list[list[int]] = []


def always_next(model: GPT, tokens: np.ndarray, cache: Any) -> np.ndarray:
    """A step that wants the token after the newest, and reads nothing."""
    steps.append(tokens.tolist())
    return np.eye(23)[(tokens + 1) % 23]


got = generate_cached(model, prompt, 4, step=always_next)
first = generate(model, prompt, 1)[:, -1]
expected_steps = [((first + turn) % 23).tolist() for turn in range(3)]
assert steps == expected_steps, (
    f"`step` gets the newest token of each sequence, (B,): expected {expected_steps}, got {steps}"
)
assert np.array_equal(got[:, 6:], (first[:, None] + np.arange(4)) % 23), "the step's scores decide"
### BEGIN HIDDEN TESTS
rng = fresh("step")
model = small_gpt(rng)
ids = rng.integers(0, 23, size=(2, 14))
cache = KVCache.for_model(model, batch=2, dtype=np.float64)
first = generate_cached(model, ids[:, :8], 5, cache=cache)
assert_int(cache.length, 12, what="positions read: 8 of the prompt, 4 of the 5 new tokens")
second = generate_cached(model, np.hstack([first[:, -1:], ids[:, 8:]]), 6, cache=cache)
assert_close(
    second[:, 7:],
    generate(model, np.hstack([first, ids[:, 8:]]), 6)[:, 19:],
    rtol=0,
    atol=0,
    what="tokens of a second turn, after what the cache holds",
)
joined = inside(JoiningCache, 2)
assert_close(
    generate_cached(model, ids, 6, cache=joined),
    generate(model, ids, 6),
    rtol=0,
    atol=0,
    what="tokens with a cache that has no capacity",
)
dropping = GPT(GPTConfig(23, 48, 2, 2, 16, dropout=0.5), rng=rng)
for parameter in dropping.parameters():
    parameter.data = 4 * parameter.data.astype(np.float64)
dropping.train()
dropping.blocks[0].eval()
modes = [module.training for module in dropping.modules()]
assert_close(
    generate_cached(dropping, ids, 12),
    generate(dropping, ids, 12),
    rtol=0,
    atol=0,
    what="tokens of a model that was in training mode",
)
assert [module.training for module in dropping.modules()] == modes, "each module's mode is put back"
### END HIDDEN TESTS

# %% nbgrader={"grade_id": "test_generate__room", "points": 2}
# Rejects: a request that fails half way, one position too many or too few, bad arguments.
model = small_gpt(np.random.default_rng(8), block=16)
assert generate_cached(model, [1, 2, 3, 4], 13).shape == (17,), "4 + 13 tokens need 16 positions"
expect_error(ValueError, generate_cached, model, [1, 2, 3, 4], 14, mentions=("4", "14", "17", "16"))
expect_error(ValueError, generate_cached, model, [], 3, mentions=("prompt",))
### BEGIN HIDDEN TESTS
rng = fresh("room")
cache = KVCache.for_model(model, capacity=12, dtype=np.float64)
stored = int(rng.integers(2, 6))
ids = rng.integers(0, 23, size=12)
prefill(model, ids[None, :stored], cache)
expect_error(
    ValueError, generate_cached, model, ids, 2, 0.0, None, None, cache, mentions=(str(stored), "12")
)
room = 12 - stored
expect_error(
    ValueError, generate_cached, model, ids[:room], 2, cache=cache, mentions=(str(stored), "12")
)
assert_int(cache.length, stored, what="positions after a request that was refused")
generate_cached(model, ids[: room - 1], 2, cache=cache)
assert_int(cache.length, 12, what="positions of a cache filled to the last")
for wrong in ([1.5, 2.0], np.zeros((2, 0), int), np.zeros((1, 2, 2), int), 3):
    expect_error(ValueError, generate_cached, model, wrong, 3, mentions=("prompt",))
expect_error(ValueError, generate_cached, model, [1], -1, mentions=("-1",))
expect_error(ValueError, generate_cached, model, [1], 3, -0.5, mentions=("temperature", "-0.5"))
expect_error(ValueError, generate_cached, model, [1], 3, 1.0, 0, mentions=("top_k", "0"))
### END HIDDEN TESTS

# %% nbgrader={"grade_id": "test_generate__speed", "points": 5}
# Rejects: reading everything again for each token. The hidden half measures it: at 128 new tokens
# yours must be at least 4 times as fast as `recompute` of the tools above.
model = GPT(GPTConfig(48, 160, 1, 4, 160), rng=np.random.default_rng(9)).eval()
assert np.array_equal(
    generate_cached(model, np.arange(32), 8), recompute(model, np.arange(32), 8)
), "the tokens differ from those without a cache"


### BEGIN HIDDEN TESTS
def generation_request(rng: np.random.Generator) -> tuple[Any, ...]:
    return GPT(GPTConfig(48, 160, 1, 4, 160), rng=rng), rng.integers(0, 48, size=32), 128


speedup(generate_cached, recompute, generation_request, at_least=4.0)
### END HIDDEN TESTS

# %% [markdown]
# ### Validate: the time of each token
#
# One more token at different lengths: by reading everything again, and by one step with your cache, which takes the
# position back afterwards. `compare_latencies` of Module 14 measures both in rounds of changing order; each round gives
# a ratio. The table shows the median ratio and the interval that holds it with 95 % confidence.


# %% tags=["measure"]
def compare_at(length: int) -> Any:
    """Paired comparison of one more token at a length, without and with the cache."""
    seen, held = text_ids[None, :length], KVCache.for_model(gpt)
    newest = seen[0, -1:]
    prefill(gpt, seen[:, :-1], held)

    def again() -> None:
        with no_grad():
            gpt(seen, last_only=True)

    def cached_step() -> None:
        decode_step(gpt, newest, held)
        held.rewind(1)

    with evaluating(gpt):
        return compare_latencies({"baseline": again, "cached": cached_step}, rounds=11)


compared = {length: compare_at(length) for length in (8, 16, 32, 64, 96, 128, 160, 192, 224, 256)}
faster = {length: rows["cached"] for length, rows in compared.items()}
dashboards.show(
    dashboards.scaling_curve(
        {
            title: [
                (length, rows[name].latency.median_ns / 1e6) for length, rows in compared.items()
            ]
            for title, name in (
                ("read everything again", "baseline"),
                ("with your cache", "cached"),
            )
        },
        x_title="length of the text (tokens)",
        y_title="milliseconds for the next token",
    ),
    summary="; ".join(
        f"at {length} tokens {faster[length].ratio:.1f} times faster "
        f"({faster[length].low:.1f} to {faster[length].high:.1f})"
        for length in (8, 64, 256)
    )
    + ".",
    table=[
        {
            "length": length,
            "without ms": round(rows["baseline"].latency.median_ns / 1e6, 3),
            "with ms": round(rows["cached"].latency.median_ns / 1e6, 3),
            "MAD ms": round(rows["cached"].latency.mad_ns / 1e6, 3),
            "times faster": round(rows["cached"].ratio, 2),
            "95 % interval": f"{rows['cached'].low:.2f} to {rows['cached'].high:.2f}",
        }
        for length, rows in compared.items()
    ],
)

# %% [markdown]
# Two things are worth a second look. The curve with the cache is nearly flat, though attention's work grows: at these lengths a
# step is dominated by what does not depend on the length. And it is far from zero: one token still runs as many
# operations as a whole text does, each for very little arithmetic. That is a task for later, and the reason `step` is an argument.

# %% [markdown]
# ## When does this lose? Prompts only, and tiny texts
#
# The cache gives back work that would be done **again**. Where nothing is done twice, it only costs: memory to take, keys
# to copy, checks to run. Two such cases:
#
# - **prompt-only work**: scoring a text, or choosing one token after a long prompt. Each position is read once anyway.
# - **tiny T**: a few tokens after a few. Reading them again is hardly more than the fixed price of a pass.
#
# Below 1 in this figure, the cache loses. Ratios come from paired rounds, as in Module 14; the table has the intervals.


# %% tags=["measure"]
def cache_ratio(model: GPT, length: int, new: int) -> Any:
    """Paired comparison of generating without and with the cache; above 1 the cache is faster."""
    start = text_ids[:length]
    return compare_latencies(
        {
            "baseline": lambda: generate(model, start, new),
            "cached": lambda: generate_cached(model, start, new),
        },
        rounds=7,
        loops=max(1, 8 // new),
    )["cached"]


new_counts = [1, 2, 4, 8]
losing = {
    (length, new): cache_ratio(gpt, length, new) for length in (2, 16, 128) for new in new_counts
}
single = {key: row for key, row in losing.items() if key[1] == 1}
dashboards.show(
    dashboards.scaling_curve(
        {
            **{
                f"prompt of {length}": [(new, losing[length, new].ratio) for new in new_counts]
                for length in (2, 16, 128)
            },
            "no difference": [(1, 1.0), (8, 1.0)],
        },
        x_title="new tokens",
        y_title="times faster with the cache",
        log="x",
    ),
    summary="With one new token: "
    + "; ".join(
        f"prompt of {length}: {row.verdict} ({row.ratio:.2f})"
        for (length, _), row in single.items()
    )
    + ". The cache is slower, or makes no measurable change, in "
    + f"{sum(row.verdict != 'faster' for row in losing.values())} of {len(losing)} cases.",
    table=[
        {
            "prompt": length,
            "new": new,
            "without ms": round(losing[length, new].latency.median_ns * row.ratio / 1e6, 3),
            "with ms": round(row.latency.median_ns / 1e6, 3),
            "times faster": round(row.ratio, 3),
            "95 % interval": f"{row.low:.3f} to {row.high:.3f}",
            "verdict": row.verdict,
        }
        for (length, new), row in losing.items()
    ],
)

# %% [markdown]
# Now the pure case: scoring a text, nothing generated. The same pass, with a cache that nobody will use. What it costs
# is the copying of keys and values, and the memory.


# %% tags=["measure"]
def score_plain(length: int, batch: int) -> None:
    with no_grad():
        gpt(text_ids[: batch * length].reshape(batch, length))


def score_cached(length: int, batch: int) -> None:
    with no_grad():
        gpt(
            text_ids[: batch * length].reshape(batch, length),
            cache=KVCache.for_model(gpt, batch, length),
        )


scoring_rows = []
for batch, length in ((1, 8), (1, 256), (8, 256)):
    row = compare_latencies(
        {
            "baseline": lambda b=batch, n=length: score_plain(n, b),
            "cached": lambda b=batch, n=length: score_cached(n, b),
        },
        rounds=9,
    )["cached"]
    scoring_rows.append(
        f"batch {batch}, {length} tokens: ratio {row.ratio:.3f} [{row.low:.3f} to {row.high:.3f}], {row.verdict}; "
        f"{kv_cache_bytes(4, 4, head_width, length, batch) / 2**20:.2f} MiB for nothing"
    )
print("\n".join(scoring_rows))

# %% [markdown]
# So a server that only scores texts leaves the cache off, and a chat server cannot live without it. Between them lies the
# case of many short requests with one long common beginning. There the *prompt* is what repeats, and the keys
# and values of a common prefix can be shared.

# %%
#| export
import copy
import math
from dataclasses import dataclass

from tinytorch import Tensor, no_grad
from tinytorch import functional as F
from tinytorch.evaluation_mode import evaluating

# %%
import time

from tinytorch import backend
from tinytorch.models import GPTConfig, generate
from tito.testing import assert_close, expect_error, fresh, inside, speedup

# %% [markdown]
# ### Tools of the next tests
#
# Locked, as before: an attention that repeats its keys, a plain cache that joins arrays, and functions that feed a model
# piece by piece or draw many times.


# %% nbgrader={"grade_id": "given_tools_b"}
def attention_with_repeated_keys(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, causal: bool = True
) -> np.ndarray:
    """Grouped-query attention the wasteful way: write each key head out for each of its query heads."""
    times = q.shape[1] // k.shape[1]
    scale = 1 / math.sqrt(q.shape[3])
    wide_k, wide_v = np.repeat(k, times, axis=1), np.repeat(v, times, axis=1)  # (B, Hq, S, D)
    return backend.active.attention(q, wide_k, wide_v, causal=causal, scale=scale)[0]


class PiecewiseLayer:
    """One layer of keys and values that joins old and new arrays: slow, and simple."""

    def __init__(self) -> None:
        self.pieces: list[tuple[np.ndarray, np.ndarray]] = []
        self.length = 0

    def update(self, keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.pieces.append((keys, values))
        joined = tuple(np.concatenate(arrays, axis=2) for arrays in zip(*self.pieces, strict=True))
        self.pieces, self.length = [joined], joined[0].shape[2]
        return joined

    def cut(self, length: int) -> None:
        self.pieces = [tuple(array[:, :, :length] for array in piece) for piece in self.pieces]
        self.length = length


class PiecewiseCache:
    """One PiecewiseLayer a layer, and `rewind(n)`."""

    def __init__(self, n_layer: int) -> None:
        self.layers = [PiecewiseLayer() for _ in range(n_layer)]

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, index: int) -> PiecewiseLayer:
        return self.layers[index]

    @property
    def length(self) -> int:
        return self.layers[0].length

    def rewind(self, n: int) -> None:
        for layer in self.layers:
            layer.cut(layer.length - n)


def feed(model: nn.Module, pieces: Sequence[np.ndarray], cache: Any) -> list[np.ndarray]:
    """Scores (B, V) after each piece (B, T) of a text, read one after the other through a cache."""
    with no_grad():
        return [model(ids, cache=cache, last_only=True).data[:, -1] for ids in pieces]


def write_new_positions(layer: Any, keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, ...]:
    """Reserve room for new positions, write them there, and return copies of all there is."""
    n = keys.shape[2]
    all_keys, all_values = layer.reserve(n)
    all_keys[:, :, all_keys.shape[2] - n :] = keys
    all_values[:, :, all_values.shape[2] - n :] = values
    return all_keys.copy(), all_values.copy()


def pieces_of(ids: np.ndarray, lengths: Sequence[int]) -> list[np.ndarray]:
    """ids (B, T) cut into pieces of these lengths."""
    return np.split(ids, np.cumsum(lengths)[:-1], axis=1)


def tiny_gpt(rng: np.random.Generator, vocab_size: int = 11, block_size: int = 64) -> GPT:
    """A GPT in float64 with weights large enough that its scores differ."""
    model = GPT(GPTConfig(vocab_size, block_size, n_layer=2, n_head=2, n_embd=16), rng=rng).eval()
    for parameter in model.parameters():
        parameter.data = 8.0 * parameter.data.astype(np.float64)
    return model


def many_draws(
    accept: Callable[..., Any], target: np.ndarray, draft: np.ndarray, count: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw tokens from `draft` and let `accept` decide: what was drafted, what came out, accepted?"""
    rng = np.random.default_rng(seed)
    drafted = rng.choice(len(draft), size=count, p=draft)
    outcomes = [accept(target, draft, int(token), rng) for token in drafted]
    tokens, accepted = zip(*outcomes, strict=True)
    return drafted, np.array(tokens, np.int64), np.array(accepted, np.int64)


# %% [markdown]
# ## Exercise 5: memory against computation
#
# *Difficulty 3 of 5, 60 minutes, 14 points.*
#
# A cache trades memory for time. How much memory? For L layers, H heads, D channels a head, T positions and B sequences:
#
# $$\text{bytes} = 2 \cdot L \cdot H \cdot D \cdot T \cdot B \cdot \text{itemsize}$$
#
# The 2 is for keys *and* values. Every factor is a place to save. Module 16 shrinks the itemsize. Here you shrink H and T.

# %% [markdown]
# - **Grouped-query attention**: several query heads share one key/value head. H becomes the number of key/value heads.
#   With one for all it is called multi-query attention (Shazeer, [arXiv:1911.02150](https://arxiv.org/abs/1911.02150);
#   Ainslie et al., [arXiv:2305.13245](https://arxiv.org/abs/2305.13245)).
# - **Sliding window**: keep the last `window` positions. T stops growing.
# - **Sinks**: keep the first few positions as well. Many models park attention there when nothing else matters
#   (Xiao et al., [arXiv:2309.17453](https://arxiv.org/abs/2309.17453)).
#
# First the law, with its variants.


# %% nbgrader={"grade_id": "memory__law"}
#| export
def kv_cache_law(
    n_layer: int,
    n_head: int,
    head_dim: int,
    positions: int,
    batch: int = 1,
    itemsize: int = 4,
    n_kv_head: int | None = None,
    window: int | None = None,
    sinks: int = 0,
) -> int:
    """Bytes of the keys and values that are kept after `positions` positions were read.

    Args:
        n_layer, n_head, head_dim: the model's L, H, D.
        positions: T, 0 or more.
        batch: B sequences.
        itemsize: bytes of one number.
        n_kv_head: heads that have keys and values of their own; None: all. It divides `n_head`.
        window: how many of the last positions are kept; None: all.
        sinks: how many of the first positions are kept beside the window; needs a window.

    Raises:
        ValueError: a size below 1 (positions and sinks: below 0), an `n_kv_head` that does not
            divide `n_head`, or sinks without a window. The message names the argument.

    Example:
        >>> kv_cache_law(n_layer=4, n_head=4, head_dim=32, positions=256)
        1048576
        >>> kv_cache_law(n_layer=4, n_head=4, head_dim=32, positions=256, n_kv_head=1, window=60, sinks=4)
        65536
    """
    # TODO:
    # 1. refuse what the docstring refuses; name the argument and what was given
    # 2. how many heads have keys? how many positions are kept? (a short text fills no window)
    # 3. multiply
    ### BEGIN SOLUTION
    heads = n_head if n_kv_head is None else n_kv_head
    at_least_one = {"n_layer": n_layer, "n_head": n_head, "head_dim": head_dim, "batch": batch}
    at_least_one |= {"itemsize": itemsize, "n_kv_head": heads}
    at_least_one |= {} if window is None else {"window": window}
    for name, given in at_least_one.items():
        if given < 1:
            raise ValueError(f"{name} is {given}; it must be 1 or more")
    for name, given in {"positions": positions, "sinks": sinks}.items():
        if given < 0:
            raise ValueError(f"{name} is {given}; it must be 0 or more")
    if n_head % heads:
        raise ValueError(f"n_kv_head is {heads}; it must divide n_head, which is {n_head}")
    if sinks and window is None:
        raise ValueError(f"sinks is {sinks} without a window; without one all positions are kept")
    kept = positions if window is None else min(positions, sinks + window)
    return 2 * n_layer * heads * head_dim * kept * batch * itemsize
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_memory__law", "points": 3}
# Rejects: a forgotten factor, a window that is charged before it is full, sinks counted inside the
# window, query heads counted where key heads are meant.
assert_int(kv_cache_law(4, 4, 32, 256), 1_048_576, what="bytes of docs_gpt's 256 positions")
assert_int(kv_cache_law(4, 4, 32, 256, n_kv_head=2), 524_288, what="bytes with 2 key/value heads")
assert_int(kv_cache_law(4, 4, 32, 256, window=60), 245_760, what="bytes with a window of 60")
assert_int(kv_cache_law(4, 4, 32, 20, window=60), 81_920, what="bytes of 20 positions, window 60")
expect_error(ValueError, kv_cache_law, 4, 4, 32, 256, n_kv_head=3, mentions=("n_kv_head", "3", "4"))
### BEGIN HIDDEN TESTS
rng = fresh("kv law")
for _ in range(8):
    layers, groups, kv_heads, width, rows, size = (int(n) for n in rng.integers(2, 9, size=6))
    window, sinks, more = (int(n) for n in rng.integers(2, 30, size=3))
    heads, one = groups * kv_heads, 2 * layers * width * rows * size
    for positions in (1, window + 1, window + sinks, window + sinks + more):
        assert_int(
            kv_cache_law(layers, heads, width, positions, rows, size),
            one * heads * positions,
            what=f"bytes of {positions} positions, all kept",
        )
        assert_int(
            kv_cache_law(
                layers, heads, width, positions, rows, size, kv_heads, window=window, sinks=sinks
            ),
            one * kv_heads * min(positions, window + sinks),
            what=f"bytes of {positions} positions, window {window}, sinks {sinks}",
        )
assert_int(kv_cache_law(2, 2, 8, 0), 0, what="bytes of no positions")
for wrong, name in (
    ({"positions": -1}, "positions"),
    ({"batch": 0}, "batch"),
    ({"itemsize": 0}, "itemsize"),
    ({"n_kv_head": 0}, "n_kv_head"),
    ({"window": 0}, "window"),
    ({"window": 8, "sinks": -2}, "sinks"),
    ({"sinks": 4}, "window"),
):
    sizes = {"n_layer": 2, "n_head": 4, "head_dim": 8, "positions": 16} | wrong
    expect_error(
        ValueError, kv_cache_law, **sizes, mentions=(name, str(next(reversed(wrong.values()))))
    )
### END HIDDEN TESTS

# %% [markdown]
# ### What the law says
#
# The model below has the sizes of Llama 3 8B: 32 layers, 32 query heads, 128 channels a head, two bytes a number. These bytes are
# computed, not measured: the law is exact, and your caches are checked against it.

# %% tags=["measure"]
large = {"n_layer": 32, "n_head": 32, "head_dim": 128, "itemsize": 2}
variants_of_large: dict[str, dict[str, int]] = {
    "32 key/value heads": {},
    "8 key/value heads (grouped)": {"n_kv_head": 8},
    "1 key/value head (multi-query)": {"n_kv_head": 1},
    "8 heads, window 4096 + 4 sinks": {"n_kv_head": 8, "window": 4096, "sinks": 4},
}
text_lengths = [1024, 2048, 4096, 8192, 16384, 32768]
gib_by_variant = {
    name: [(t, kv_cache_law(**large, positions=t, **extra) / 2**30) for t in text_lengths]
    for name, extra in variants_of_large.items()
}
dashboards.show(
    dashboards.scaling_curve(
        gib_by_variant,
        x_title="positions",
        y_title="GiB of keys and values, one sequence",
        log="xy",
    ),
    summary=f"At 32768 positions one sequence holds {gib_by_variant['32 key/value heads'][-1][1]:.0f} GiB of keys and values with 32 "
    f"heads, {gib_by_variant['8 key/value heads (grouped)'][-1][1]:.0f} GiB with 8, and "
    f"{gib_by_variant['8 heads, window 4096 + 4 sinks'][-1][1]:.2f} GiB with a window of 4096 as well.",
    table=[
        {"variant": name}
        | {
            f"T={t}, B={b}": round(kv_cache_law(**large, positions=t, batch=b, **extra) / 2**30, 3)
            for t, b in ((2048, 1), (2048, 32), (32768, 1), (32768, 32))
        }
        for name, extra in variants_of_large.items()
    ],
)

# %% [markdown]
# ### Fewer key/value heads
#
# With Hq query heads and Hkv key/value heads, query head h reads key head `h // (Hq / Hkv)`: neighbours share.
#
# You could write each key head out Hq / Hkv times. That gives the right numbers and throws the gain away: a decode step is
# slow because it *reads* the keys. So turn it round. The queries of one group are just more rows for the same keys:
# one matrix product a key head, with Hq / Hkv times as many rows.


# %% nbgrader={"grade_id": "memory__grouped"}
#| export
def grouped_query_attention(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, causal: bool = True
) -> np.ndarray:
    """Attention in which groups of query heads share keys and values; no key is copied.

    Args:
        q: (B, Hq, T, D), float32 or float64.
        k, v: (B, Hkv, S, D), Hq a multiple of Hkv. Query head h reads key head h // (Hq / Hkv).
        causal: query i sees keys j <= i + S - T only (the ends are aligned).

    Returns:
        (B, Hq, T, D) in the dtype of q.

    Raises:
        ValueError: shapes that do not fit, Hq no multiple of Hkv, or fewer keys than queries with
            `causal`. The message shows the shapes.

    Source: arXiv:1911.02150 (Hkv = 1), arXiv:2305.13245.

    Example:
        >>> q, k = np.ones((1, 4, 1, 8), np.float32), np.ones((1, 2, 3, 8), np.float32)
        >>> grouped_query_attention(q, k, 2 * k).shape
        (1, 4, 1, 8)
    """
    # TODO:
    # 1. check the shapes
    # 2. see q as (B, Hkv, group * T, D)
    # 3. scores with each key head, times 1 / sqrt(D): (B, Hkv, group * T, S)
    # 4. causal and T > 1: see the scores as (..., group, T, S) and hide j > i + S - T
    # 5. softmax over S (take the largest score off first), times v
    # 6. see the result as (B, Hq, T, D)
    ### BEGIN SOLUTION
    check_grouped_shapes(q.shape, k.shape, v.shape, causal)
    (batch, n_head, new, head_dim), (n_kv_head, stored) = q.shape, k.shape[1:3]
    group = n_head // n_kv_head
    rows = q.reshape(batch, n_kv_head, group * new, head_dim)  # (B, Hkv, G * T, D)
    weights = rows @ k.transpose(0, 1, 3, 2)  # (B, Hkv, G * T, S)
    weights *= weights.dtype.type(1 / math.sqrt(head_dim))
    if causal and new > 1:
        hidden = np.triu(np.ones((new, stored), bool), k=stored - new + 1)  # (T, S)
        apart = weights.reshape(batch, n_kv_head, group, new, stored)  # a view
        np.copyto(apart, -np.inf, where=hidden)
    weights -= weights.max(axis=-1, keepdims=True)
    np.exp(weights, out=weights)
    totals = weights.sum(axis=-1, keepdims=True)  # (B, Hkv, G * T, 1)
    gathered: np.ndarray = weights @ v  # (B, Hkv, G * T, D)
    gathered /= totals
    return gathered.reshape(batch, n_head, new, head_dim)
    ### END SOLUTION


def check_grouped_shapes(
    q: tuple[int, ...], k: tuple[int, ...], v: tuple[int, ...], causal: bool
) -> None:
    """Refuse shapes that grouped-query attention cannot work on: a ValueError that shows them."""
    # TODO: four axes each, k and v alike, B and D alike, Hq a multiple of Hkv, S >= T when causal
    ### BEGIN SOLUTION
    fits = len(q) == len(k) == 4 and k == v and (q[0], q[3]) == (k[0], k[3]) and min(q + k) > 0
    if not fits:
        raise ValueError(
            f"q {q}, k {k}, v {v}: expected q (B, Hq, T, D) and k, v (B, Hkv, S, D), none empty"
        )
    if q[1] % k[1]:
        raise ValueError(f"q {q} has {q[1]} heads, no multiple of the {k[1]} heads of k {k}")
    if causal and k[2] < q[2]:
        raise ValueError(f"{k[2]} keys for {q[2]} queries (q {q}, k {k}); causal needs S >= T")
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_memory__grouped", "points": 3}
# Rejects: query heads that read the wrong key head, a mask that starts at the wrong end, a missing
# scale, a result in another dtype, scores too large for exp.
rng = np.random.default_rng(5)
q = rng.standard_normal((2, 6, 4, 8))
for kv_heads in (6, 3, 2, 1):
    k, v = (rng.standard_normal((2, kv_heads, 7, 8)) for _ in range(2))
    assert_close(
        grouped_query_attention(q, k, v),
        attention_with_repeated_keys(q, k, v),
        rtol=1e-9,
        what=f"attention of 6 query heads over {kv_heads} key/value heads",
    )
expect_error(
    ValueError,
    grouped_query_attention,
    q,
    k[:, [0, 0, 0, 0]],
    v[:, [0, 0, 0, 0]],
    mentions=("6", "4"),
)
### BEGIN HIDDEN TESTS
rng = fresh("grouped")
for kv_heads, group, new, stored in ((2, 3, 5, 5), (3, 2, 2, 9), (1, 4, 1, 6), (4, 1, 3, 8)):
    batch, width = int(rng.integers(2, 4)), int(rng.integers(3, 9))
    q = rng.standard_normal((batch, kv_heads * group, new, width))
    k, v = (rng.standard_normal((batch, kv_heads, stored, width)) for _ in range(2))
    for causal in (True, False):
        assert_close(
            grouped_query_attention(q, k, v, causal=causal),
            attention_with_repeated_keys(q, k, v, causal),
            rtol=1e-9,
            what=f"q {q.shape}, k {k.shape}, causal={causal}",
        )
# Whole numbers and D = 4: these scores are exact in float32, so that only the order of steps counts.
q, k = (rng.integers(-3, 4, (2, 4, count, 4)).astype(np.float32) for count in (3, 8))
v = rng.standard_normal((2, 4, 8, 4)).astype(np.float32)
result = grouped_query_attention(64 * q, 64 * k, v)
assert result.dtype == np.float32, f"float32 in gives float32 out, got {result.dtype}"
assert_close(
    result,
    attention_with_repeated_keys(64 * q, 64 * k, v),
    rtol=1e-4,
    atol=1e-5,
    what="scores of some ten thousand (subtract the largest before exp)",
)
expect_error(ValueError, grouped_query_attention, q, k[:, :, :2], v[:, :, :2], mentions=("2", "3"))
expect_error(ValueError, grouped_query_attention, q, k, v[:, :, :-1], mentions=str(k.shape))
expect_error(ValueError, grouped_query_attention, q[0], k, v, mentions=str(q[0].shape))
expect_error(
    ValueError, grouped_query_attention, q, k[..., :-1], v[..., :-1], mentions=str(q.shape)
)
### END HIDDEN TESTS


# %% nbgrader={"grade_id": "test_memory__speed", "points": 2}
# Rejects a copy of the keys for each query head: 64 heads share one here, and reading is what costs.
def one_decode_step(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """One new position of 64 query heads over 1024 stored ones of a single key/value head."""
    shapes = ((1, 64, 1, 64), (1, 1, 1024, 64), (1, 1, 1024, 64))
    return tuple(rng.standard_normal(shape, dtype=np.float32) for shape in shapes)


def alike(result: np.ndarray, expected: np.ndarray) -> None:
    """Equal but for float32's rounding."""
    assert_close(result, expected, rtol=1e-3, atol=1e-4, what="attention of 64 heads over one")


alike(
    grouped_query_attention(*one_decode_step(np.random.default_rng(0))),
    attention_with_repeated_keys(*one_decode_step(np.random.default_rng(0))),
)
### BEGIN HIDDEN TESTS
speedup(
    grouped_query_attention,
    attention_with_repeated_keys,
    one_decode_step,
    at_least=2.5,
    check=alike,
)
### END HIDDEN TESTS

# %% [markdown]
# ### A checkpoint with fewer heads
#
# Your model was trained with all its key/value heads. The paper on grouped queries starts from such a checkpoint and
# **averages** the key projections of each group, and the value projections too ([arXiv:2305.13245](https://arxiv.org/abs/2305.13245),
# section 2.1). Then it trains on for a while. Averaging alone is not free; you will measure what it costs.
#
# In a Linear's weight (H * D, C), head h owns the rows `h * D` up to `(h + 1) * D`.


# %% nbgrader={"grade_id": "memory__merge"}
#| export
def merge_kv_heads(weight: np.ndarray, n_head: int, n_kv_head: int) -> np.ndarray:
    """Mean of the heads of each group, for the projection of keys or of values.

    Args:
        weight: (n_head * D, C), or the bias (n_head * D,); head after head.
        n_head: heads there are.
        n_kv_head: heads to make; it divides `n_head`.

    Returns:
        (n_kv_head * D, C), or (n_kv_head * D,), in the dtype of `weight`.

    Raises:
        ValueError: rows that are no multiple of `n_head`, an `n_kv_head` that does not divide it,
            or NaN or infinity in the weights.

    Source: arXiv:2305.13245.

    Example:
        >>> merge_kv_heads(np.array([1.0, 2.0, 3.0, 4.0]), n_head=2, n_kv_head=1).tolist()
        [2.0, 3.0]
    """
    # TODO:
    # 1. check
    # 2. see the rows as (n_kv_head, group, D, ...) and take the mean of each group
    # 3. put the heads under each other again
    ### BEGIN SOLUTION
    if n_head < 1 or n_kv_head < 1 or n_head % n_kv_head:
        raise ValueError(f"n_kv_head is {n_kv_head}; it must divide n_head, which is {n_head}")
    if weight.ndim < 1 or weight.size == 0 or weight.shape[0] % n_head:
        raise ValueError(f"weight {weight.shape}: expected rows for each of {n_head} heads alike")
    if not np.isfinite(weight).all():
        raise ValueError(f"weight {weight.shape} has NaN or infinity; a mean would spread them")
    head_dim = weight.shape[0] // n_head
    groups = weight.reshape(n_kv_head, n_head // n_kv_head, head_dim, *weight.shape[1:])
    means = groups.mean(axis=1)  # (Hkv, D, ...)
    return means.reshape(n_kv_head * head_dim, *weight.shape[1:])  # type: ignore[no-any-return]
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_memory__merge", "points": 2}
# Rejects: the mean over the wrong axis, heads grouped by stride in place of neighbours, a sum, the
# first head of each group in place of the mean, another dtype.
rows = np.arange(24.0).reshape(8, 3)  # 4 heads of 2 channels, C = 3
assert_close(
    merge_kv_heads(rows, 4, 2),
    np.stack(
        [
            (rows[0] + rows[2]) / 2,
            (rows[1] + rows[3]) / 2,
            (rows[4] + rows[6]) / 2,
            (rows[5] + rows[7]) / 2,
        ]
    ),
    what="4 heads merged into 2",
)
expect_error(ValueError, merge_kv_heads, rows, 4, 3, mentions=("3", "4"))
### BEGIN HIDDEN TESTS
rng = fresh("merge")
for group, kv_heads, width in ((2, 3, 4), (3, 2, 5), (4, 1, 2), (1, 4, 3)):
    heads = rng.standard_normal((kv_heads, group, width, 6)).astype(np.float32)
    for several in (heads, heads[..., 0]):
        tail = several.shape[3:]
        expected = sum(several[:, i].astype(np.float64) for i in range(group)) / group
        assert_close(
            merge_kv_heads(several.reshape(-1, *tail), kv_heads * group, kv_heads),
            expected.reshape(-1, *tail).astype(np.float32),
            rtol=1e-5,
            atol=1e-6,
            what=f"{kv_heads * group} heads of {width} channels merged into {kv_heads}",
        )
expect_error(ValueError, merge_kv_heads, rows, 3, 1, mentions=("(8, 3)", "3"))
expect_error(ValueError, merge_kv_heads, rows, 4, 0, mentions="0")
spoiled = rows.copy()
spoiled[int(rng.integers(8)), 1] = np.nan
expect_error(ValueError, merge_kv_heads, spoiled, 4, 2, mentions="nan")
### END HIDDEN TESTS

# %% [markdown]
# ### Into a model
#
# The module below is given. It has the place and the cache protocol of `MultiHeadAttention`, with your two functions inside. In
# training it repeats the keys, because only operations of the framework have gradients.


# %%
#| export
class GroupedQueryAttention(nn.Module):
    """Self-attention whose cache holds `n_kv_head` heads; made from a trained MultiHeadAttention.

    Args:
        attention: where the weights come from; key and value heads are averaged.
        n_kv_head: heads with keys and values of their own.
    """

    def __init__(self, attention: nn.MultiHeadAttention, n_kv_head: int) -> None:
        width, self.n_head, self.n_kv_head = attention.embed_dim, attention.num_heads, n_kv_head
        self.causal = attention.causal
        self.q, self.k, self.v = (
            nn.Linear(width, size, bias=attention.qkv.bias is not None)
            for size in (width, *(2 * [width // self.n_head * n_kv_head]))
        )
        self.out = copy.deepcopy(attention.out)
        for part, source in (("weight", attention.qkv.weight), ("bias", attention.qkv.bias)):
            if source is not None:
                q, k, v = np.split(source.data, 3)  # (C, C) or (C,) each
                getattr(self.q, part).data = q.copy()
                getattr(self.k, part).data = merge_kv_heads(k, self.n_head, n_kv_head)
                getattr(self.v, part).data = merge_kv_heads(v, self.n_head, n_kv_head)

    def forward(self, x: Tensor, cache: nn.LayerCache | None = None) -> Tensor:
        """(B, T, C) -> (B, T, C); with a cache, x holds only the new positions."""
        batch, length, width = x.shape
        head_dim = width // self.n_head
        q, k, v = (
            layer(x).reshape(batch, length, -1, head_dim).transpose(1, 2)  # (B, H or Hkv, T, D)
            for layer in (self.q, self.k, self.v)
        )
        if cache is None and x.requires_grad:
            shared_by = np.repeat(np.arange(self.n_kv_head), self.n_head // self.n_kv_head)
            k, v = k[:, shared_by], v[:, shared_by]  # (B, H, T, D)
            heads = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        else:
            keys, values = (k.data, v.data) if cache is None else cache.update(k.data, v.data)
            heads = Tensor(grouped_query_attention(q.data, keys, values, self.causal))
        return self.out(heads.transpose(1, 2).reshape(batch, length, width))  # type: ignore[no-any-return]


def with_kv_heads(model: GPT, n_kv_head: int) -> GPT:
    """A copy of a GPT whose attention has `n_kv_head` key/value heads, averaged from all of them.

    Its cache is `KVCache(n_layer, batch, n_kv_head, capacity, head_dim)`.
    """
    grouped = copy.deepcopy(model)
    for block in grouped.blocks:
        block.attention = GroupedQueryAttention(block.attention, n_kv_head)  # type: ignore[attr-defined]
    return grouped


# %% [markdown]
# ### A window with sinks
#
# `WindowKVCache` keeps the first `sinks` positions and the last `window`, and forgets what lies between. Its memory never
# grows. A new token must cost the same at position 50 and at position 50 million, so nothing may be moved along: the
# oldest slot is used again, as in a **ring**.
#
# Attention does not care in which order it reads the keys: position lives in the vectors. So the slots need no order,
# with one exception. `reserve(1)` promises that the *last* slot is the caller's. A trick keeps the promise: the last slot always
# holds the newest position. When the next one comes, move that single position into the slot of the oldest, and the last slot is free.

# %% [markdown]
# A pass over several positions at once (a prompt) sees everything kept so far, and itself in full, even if it is longer than the
# window. Only afterwards its middle is forgotten.
#
# One warning. The sinks paper gives each *kept* position a new number, counted inside the window, so a text may go on for ever.
# A GPT with learned positions cannot do that after the fact: its keys hold their position already, and it ends at
# `block_size`. Here a window saves memory and time, it does not lengthen the text.


# %%
#| export
def require_positions(
    keys: np.ndarray, values: np.ndarray, like: tuple[int, int, int], dtype: Any
) -> int:
    """How many new positions there are, once shapes and dtypes are right.

    Args:
        keys, values: (B, H, T, D) each, T at least 1.
        like: B, H and D as the cache has them.
        dtype: the cache's.

    Raises:
        ValueError: other shapes or another dtype.
    """
    batch, n_head, head_dim = like
    fits = keys.ndim == 4 and keys.shape == values.shape and keys.shape[2] > 0
    if not fits or (keys.shape[0], keys.shape[1], keys.shape[3]) != like:
        raise ValueError(
            f"keys {keys.shape} and values {values.shape}: this cache takes ({batch}, {n_head}, T, "
            f"{head_dim}) each, T at least 1"
        )
    if keys.dtype != dtype or values.dtype != dtype:
        raise ValueError(
            f"keys are {keys.dtype} and values {values.dtype}; this cache holds {np.dtype(dtype)}"
        )
    return int(keys.shape[2])


# %% nbgrader={"grade_id": "memory__window"}
#| export
class WindowLayerCache:
    """Keys and values of one layer: the first `sinks` positions and the last `window`.

    Attributes:
        length: positions **seen**, whatever was kept of them.

    Example:
        >>> layer = WindowLayerCache(batch=1, n_head=2, window=3, sinks=1, head_dim=4)
        >>> for _ in range(9):
        ...     keys, values = layer.update(*np.ones((2, 1, 2, 1, 4), np.float32))
        >>> layer.length, keys.shape
        (9, (1, 2, 4, 4))
    """

    def __init__(
        self,
        batch: int,
        n_head: int,
        window: int,
        sinks: int,
        head_dim: int,
        dtype: Any = np.float32,
    ) -> None:
        sizes = {"batch": batch, "n_head": n_head, "window": window, "head_dim": head_dim}
        for name, size in (sizes | {"sinks + 1": sinks + 1}).items():
            if size < 1:
                raise ValueError(f"WindowKVCache: {name} is {size}; it must be 1 or more")
        self.window, self.sinks, self.length = window, sinks, 0
        self._key_slots = np.empty((batch, n_head, sinks + window, head_dim), dtype)
        self._value_slots = np.empty_like(self._key_slots)
        self._oldest = sinks  # the slot used next once all are taken

    @property
    def keys(self) -> np.ndarray:
        """What is kept, (B, H, S, D), a view; the newest is last, the others in any order."""
        return self._key_slots[..., : self.length, :]

    @property
    def values(self) -> np.ndarray:
        """As `keys`."""
        return self._value_slots[..., : self.length, :]

    @property
    def nbytes(self) -> int:
        """Bytes of the memory taken, the same from the first position on."""
        return 2 * self._key_slots.nbytes

    def reserve(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Make room for `n` positions; the last `n` of the views returned are the caller's to write.

        Raises:
            ValueError: `n` below 1, or above 1 where it would push positions out that are still to
                be read; `update` can do that.
        """
        # TODO:
        # 1. n positions fit into free slots: add to the length
        # 2. one position and all slots taken: copy the last slot into the oldest one (with window 1
        #    there is none but the last), move on round the ring sinks ... sinks + window - 2
        # 3. otherwise a ValueError with the numbers
        ### BEGIN SOLUTION
        room = self.sinks + self.window
        if n < 1 or (n > 1 and self.length + n > room):
            raise ValueError(
                f"reserve({n}) in a window cache of {room} slots, {min(self.length, room)} taken: "
                "n must be 1, or fit into free slots; for a longer pass call update"
            )
        if self.length >= room and self.window > 1:
            for array in (self._key_slots, self._value_slots):
                array[:, :, self._oldest] = array[:, :, -1]
            self._oldest += 1
            if self._oldest == room - 1:
                self._oldest = self.sinks
        self.length += n
        return self.keys, self.values
        ### END SOLUTION

    def update(self, keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Store new keys and values (B, H, T, D); return all that this pass may see, (B, H, S, D).

        That is what was kept before and everything new, the new ones last and in order.
        """
        shape = self._key_slots.shape
        new = require_positions(keys, values, (shape[0], shape[1], shape[3]), self._key_slots.dtype)
        # TODO:
        # 1. where reserve can do it: reserve and write
        # 2. otherwise join what is kept, oldest first, with what is new: this is what you return
        # 3. keep the first `sinks` and the last `window` of it; the ring starts anew
        ### BEGIN SOLUTION
        room = self.sinks + self.window
        if new == 1 or self.length + new <= room:
            all_keys, all_values = self.reserve(new)
            all_keys[:, :, -new:], all_values[:, :, -new:] = keys, values
            return all_keys, all_values
        order = np.arange(min(self.length, room))  # slots, oldest position first
        if self.length > room:
            ring = np.arange(self.sinks, room - 1)
            order[self.sinks : room - 1] = np.roll(ring, self.sinks - self._oldest)
        joined = []
        for stored, added in ((self._key_slots, keys), (self._value_slots, values)):
            seen = np.concatenate([stored[:, :, order], added], axis=2)  # (B, H, kept + T, D)
            stored[:, :, : self.sinks] = seen[:, :, : self.sinks]
            stored[:, :, self.sinks :] = seen[:, :, -self.window :]
            joined.append(seen)
        self.length += new
        self._oldest = self.sinks
        return joined[0], joined[1]
        ### END SOLUTION

    def rewind(self, n: int) -> None:
        """Forget the last `n` positions.

        Raises:
            ValueError: more than there are, or something was pushed out already: it cannot come
                back.
        """
        # TODO: check, then take n off the length
        ### BEGIN SOLUTION
        if not 0 <= n <= self.length:
            raise ValueError(f"rewind({n}): there are {self.length} positions")
        if n and self.length > self.sinks + self.window:
            raise ValueError(
                f"rewind({n}) after {self.length} positions: a window of {self.window} with "
                f"{self.sinks} sinks has forgotten the ones that would come back; call reset"
            )
        self.length -= n
        ### END SOLUTION

    def reset(self) -> None:
        """Forget everything."""
        self.length, self._oldest = 0, self.sinks


class WindowKVCache(Sequence[WindowLayerCache]):
    """One WindowLayerCache for each layer: constant memory, O(1) a token.

    Args:
        n_layer, batch, n_head, head_dim: sizes of the model's cache.
        window: last positions kept, 1 or more.
        sinks: first positions kept, 0 or more.
        dtype: of keys and values.

    Source: Xiao et al., "Efficient Streaming Language Models with Attention Sinks", arXiv:2309.17453.
    """

    def __init__(
        self,
        n_layer: int,
        batch: int,
        n_head: int,
        window: int,
        sinks: int,
        head_dim: int,
        dtype: Any = np.float32,
    ) -> None:
        if n_layer < 1:
            raise ValueError(f"WindowKVCache: n_layer is {n_layer}; it must be 1 or more")
        self._layers = [
            WindowLayerCache(batch, n_head, window, sinks, head_dim, dtype) for _ in range(n_layer)
        ]

    def __len__(self) -> int:
        return len(self._layers)

    def __getitem__(self, index: Any) -> Any:
        return self._layers[index]

    @property
    def length(self) -> int:
        """Positions seen."""
        return self._layers[0].length

    @property
    def nbytes(self) -> int:
        """Bytes of all layers."""
        return sum(layer.nbytes for layer in self._layers)

    def rewind(self, n: int) -> None:
        """Forget the last `n` positions of each layer; see WindowLayerCache."""
        for layer in self._layers:
            layer.rewind(n)

    def reset(self) -> None:
        """Forget everything."""
        for layer in self._layers:
            layer.reset()


# %% nbgrader={"grade_id": "test_memory__window", "points": 4}
# Rejects: a window that forgets the sinks or keeps one position too many, keys and values that part
# company, a prompt cut to the window before it was read, memory that grows, a length that stops at
# the window.
rng = np.random.default_rng(15)
layer = WindowKVCache(1, 1, 2, window=3, sinks=1, head_dim=4)[0]
ids = np.arange(8.0)
stream = np.broadcast_to(ids[:, None], (1, 2, 8, 4)).astype(np.float32)  # position t holds t
for t in range(8):
    seen, _ = layer.update(stream[:, :, t : t + 1], stream[:, :, t : t + 1])
    kept = sorted({0, *range(max(0, t - 2), t + 1)})
    assert_close(
        np.sort(seen[0, 0, :, 0]), np.float32(kept), what=f"positions kept after token {t}"
    )
    assert_close(seen[0, 0, -1, 0], float(t), what="the newest position is last")
assert_int(layer.length, 8, what="length after 8 positions (seen, not kept)")
expect_error(ValueError, layer.rewind, 2, mentions="2")
expect_error(ValueError, WindowKVCache, 1, 1, 2, 0, 1, 4, mentions=("window", "0"))
### BEGIN HIDDEN TESTS
rng = fresh("window")


def kept_of(positions: list[int], window: int, sinks: int) -> list[int]:
    """What is left of positions in order: the first and the last."""
    fits = len(positions) <= window + sinks
    return positions if fits else positions[:sinks] + positions[len(positions) - window :]


def check_stream(window: int, sinks: int, passes: list[tuple[str, int]]) -> None:
    """Follow passes of a kind and a length, and compare what each may see with the rule."""
    batch, heads, width = 2, 3, 4
    cache = WindowKVCache(2, batch, heads, window, sinks, width, np.float64)
    size = cache.nbytes
    assert_int(
        size,
        2 * 2 * heads * width * (window + sinks) * batch * 8,
        what=f"nbytes of window {window}, sinks {sinks}",
    )
    total = sum(length for _, length in passes)
    keys, values = rng.standard_normal((2, batch, heads, total, width))
    kept: list[int] = []
    at = 0
    for kind, length in passes:
        new = list(range(at, at + length))
        piece = keys[:, :, new], values[:, :, new]
        layer = cache[1]
        seen = (
            inside(write_new_positions, layer, *piece)
            if kind == "reserve"
            else layer.update(*piece)
        )
        single = length == 1
        visible = kept_of(kept + new, window, sinks) if single else kept + new
        what = f"{kind} of {length} at position {at}, window {window}, sinks {sinks}"
        for array, truth in zip(seen, (keys, values), strict=True):
            assert array.shape == (batch, heads, len(visible), width), f"{what}: {array.shape}"
            assert_close(
                array[:, :, len(visible) - length :], truth[:, :, new], what=f"{what}: new"
            )
        by_first = np.argsort(seen[0][0, 0, :, 0])
        expected = np.argsort(keys[0, 0, visible, 0])
        for array, truth in zip(seen, (keys, values), strict=True):
            assert_close(array[:, :, by_first], truth[:, :, visible][:, :, expected], what=what)
        kept = kept_of(kept + new, window, sinks)
        at += length
        assert_int(layer.length, at, what=f"length after {what}")
        assert_int(cache.nbytes, size, what=f"nbytes after {what}")


single = [("update", 1)]
check_stream(4, 2, single * 17)
check_stream(
    3, 0, [("update", 2), *single * 4, ("reserve", 1), ("reserve", 1), ("update", 5), *single * 6]
)
check_stream(
    7, 2, [("update", 2), ("update", 13), *single * 9, ("update", 3), *[("reserve", 1)] * 9]
)
check_stream(4, 1, [("reserve", 3), ("reserve", 2), *single * 6, ("update", 2), *single * 3])
check_stream(1, 2, [("update", 5), *single * 4, ("reserve", 1), ("update", 2), *single * 2])
model = tiny_gpt(rng)
text = rng.integers(0, 11, size=(2, 30))
with no_grad():
    truth = model(text).data
wide = WindowKVCache(2, 2, 2, 28, 2, 8, np.float64)
lengths = [12, *[1] * 18]
scores = inside(feed, model, pieces_of(text, lengths), wide)
for end, found in zip(np.cumsum(lengths), scores, strict=True):
    assert_close(
        found,
        truth[:, end - 1],
        rtol=1e-7,
        atol=1e-9,
        what=f"scores, {end} positions in a window of 28 + 2",
    )
narrow = WindowKVCache(2, 2, 2, 5, 1, 8, np.float64)
prompt_scores = inside(feed, model, [text[:, :20]], narrow)[0]
assert_close(
    prompt_scores,
    truth[:, 19],
    rtol=1e-7,
    atol=1e-9,
    what="a prompt longer than the window sees itself in full",
)
narrow.reset()
assert_int(narrow.length, 0, what="length after reset")
again = inside(feed, model, [text[:, :4], text[:, 4:6]], narrow)[1]
assert_close(again, truth[:, 5], rtol=1e-7, atol=1e-9, what="scores after a reset")
narrow.rewind(3)
again = inside(feed, model, [text[:, 3:6]], narrow)[0]
assert_close(again, truth[:, 5], rtol=1e-7, atol=1e-9, what="scores after a rewind by 3")
expect_error(ValueError, narrow.rewind, 7, mentions=("7", "6"))
layer = narrow[0]
expect_error(ValueError, layer.reserve, 2, mentions="2")
zeros = np.zeros((2, 2, 1, 8), np.float32)
expect_error(ValueError, layer.update, zeros, zeros, mentions=("float32", "float64"))
zeros = np.zeros((1, 2, 1, 8))
expect_error(ValueError, layer.update, zeros, zeros, mentions="(1, 2, 1, 8)")
expect_error(ValueError, WindowKVCache, 1, 1, 1, 4, -1, 8, mentions="sinks")
### END HIDDEN TESTS
# %% [markdown]
# ### Validate: watch the ring
#
# The picture below is observed, not drawn by rule: after each step your cache's keys are compared with those before it. What changed was written.
# Press play. First the cache fills. Then each step writes two slots: the newest position into the last slot, and the one that stood there into the ring.

# %% tags=["measure"]
gpt = zoo.load("docs_gpt")
corpus = python_docs()
validation_ids = np.asarray(corpus.encode(corpus.validation))  # (N,)
gpt_sizes = gpt.config
gpt_head_dim = gpt_sizes.n_embd // gpt_sizes.n_head


@dataclass(frozen=True)
class CacheFrame:
    """One step of the animation: slots written and read."""

    step: int
    phase: str
    written: list[int]
    read: list[int]
    capacity: int
    label: str


def changed_slots(before: np.ndarray, after: np.ndarray) -> list[int]:
    """Slots of keys (B, H, S, D) that hold something else than before, or are new."""
    known = before.shape[2]
    moved = (before != after[:, :, :known]).any(axis=(0, 1, 3))  # (known,)
    return np.flatnonzero(moved).tolist() + list(range(known, after.shape[2]))


def watch_cache(
    model: GPT, cache: Any, ids: np.ndarray, prompt: int, capacity: int
) -> list[CacheFrame]:
    """Read ids (T,) through a cache, the prompt at once and then one by one; what each step wrote and read."""
    frames, start = [], 0
    for end in [prompt, *range(prompt + 1, len(ids) + 1)]:
        before = cache[0].keys.copy()
        prefill(model, ids[start:end][None], cache)
        after = cache[0].keys
        kept = list(range(after.shape[2]))
        label = f"{end} positions seen, {len(kept)} kept"
        phase = "prefill" if start == 0 else "decode"
        frames.append(
            CacheFrame(len(frames), phase, changed_slots(before, after), kept, capacity, label)
        )
        start = end
    return frames


ring_frames = watch_cache(
    gpt,
    WindowKVCache(gpt_sizes.n_layer, 1, gpt_sizes.n_head, 12, 4, gpt_head_dim),
    validation_ids[:40],
    8,
    16,
)
dashboards.show(dashboards.cache_fill(ring_frames))

# %% [markdown]
# ### Measure: what does forgetting cost?
#
# Bytes are half of the story. The other half is what the model still knows. Twelve pieces of the validation text, 256 characters
# each, are read one token at a time through your window caches. The loss is taken where the windows differ: after the first 128 characters.

# %% tags=["measure"]
pieces = validation_ids[: 12 * 4 * 257].reshape(-1, 257)[::4]  # (12, 257)


def losses_read_by_token(cache: Any) -> np.ndarray:
    """Loss of each next token (B, T), read one at a time through a cache."""
    losses = np.empty((len(pieces), 256))
    with no_grad():
        for t in range(256):
            logits = gpt(pieces[:, t : t + 1], cache=cache).data[:, -1].astype(np.float64)  # (B, V)
            logits -= logits.max(axis=1, keepdims=True)
            chosen = np.take_along_axis(logits, pieces[:, t + 1 : t + 2], axis=1)[:, 0]
            losses[:, t] = np.log(np.exp(logits).sum(axis=1)) - chosen
    return losses


def interval_of_mean(by_piece: np.ndarray) -> tuple[float, float]:
    """Mean over the pieces, and 1.96 standard errors of it."""
    return float(by_piece.mean()), float(1.96 * by_piece.std(ddof=1) / math.sqrt(len(by_piece)))


def read_with(kept: int, sinks: int) -> tuple[np.ndarray, int]:
    """Loss of each piece after 128 characters, and bytes, with `kept` positions, sinks among them."""
    cache = WindowKVCache(
        gpt_sizes.n_layer, len(pieces), gpt_sizes.n_head, kept - sinks, sinks, gpt_head_dim
    )
    return losses_read_by_token(cache)[:, 128:].mean(axis=1), cache.nbytes


full_losses, full_bytes = read_with(256, 0)
window_rows = []
for kept in (8, 32, 64, 128):
    for sinks in (0, 4):
        found, used_bytes = read_with(kept, sinks)
        mean, half = interval_of_mean(found - full_losses)  # the same text: compare piece by piece
        window_rows.append(
            {
                "positions kept": kept,
                "sinks among them": sinks,
                "KiB a sequence": used_bytes // 1024 // len(pieces),
                "loss": round(float(found.mean()), 3),
                "more than with all": f"{mean:+.3f} ± {half:.3f}",
            }
        )
by_sinks = {
    f"{sinks} sinks": [
        (row["positions kept"], row["loss"])
        for row in window_rows
        if row["sinks among them"] == sinks
    ]
    for sinks in (0, 4)
}
dashboards.show(
    dashboards.scaling_curve(
        by_sinks | {"all 256 positions": [(kept, float(full_losses.mean())) for kept in (8, 128)]},
        x_title="positions kept (sinks among them)",
        y_title="validation loss (nats a character)",
        log="x",
    ),
    summary=f"With all positions kept the loss after 128 characters is {full_losses.mean():.3f} at {full_bytes // 1024 // len(pieces)} KiB a sequence. "
    + "; ".join(
        f"{row['positions kept']} kept with {row['sinks among them']} sinks: {row['more than with all']}"
        for row in window_rows
    )
    + " (95 % intervals over 12 pieces).",
    table=window_rows,
)

# %% [markdown]
# Look at the two curves. Are sinks worth their slots *here*? The paper found them vital for models with billions of
# weights, trained on thousands of positions. This one has 850 thousand, and saw 256. A method's gain is a
# measurement on a model, not a property of the method.
#
# Now the heads. The model is averaged to fewer key/value heads, and then trained on for a little while.

# %% tags=["measure"]
from tinytorch import optim
from tinytorch.data import token_windows

train_ids = np.asarray(corpus.encode(corpus.train))
train_inputs, train_targets = token_windows(train_ids, 128, stride=128)  # (W, 128) each


def loss_of(model: GPT) -> np.ndarray:
    """Loss of each of the validation pieces (12,), read in one pass."""
    with no_grad():
        logits = model(pieces[:, :-1]).data.astype(np.float64)  # (B, T, V)
    logits -= logits.max(axis=-1, keepdims=True)
    chosen = np.take_along_axis(logits, pieces[:, 1:, None], axis=-1)[..., 0]
    return (np.log(np.exp(logits).sum(axis=-1)) - chosen).mean(axis=1)


def train_on(model: GPT, steps: int, seed: int) -> float:
    """A few more steps on the training text; the seconds they took."""
    rng = np.random.default_rng(seed)
    optimizer = optim.AdamW(model.parameters(), lr=4e-4, weight_decay=0.1)
    start_ns = time.perf_counter_ns()
    for _ in range(steps):
        rows = rng.integers(len(train_inputs), size=2)
        loss = F.cross_entropy(model(train_inputs[rows]), train_targets[rows])
        model.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    return (time.perf_counter_ns() - start_ns) / 1e9


original_losses = loss_of(gpt)
grouped_models: dict[int, GPT] = {4: gpt}
head_rows = []
more_steps = 40
for kv_heads in (4, 2, 1):
    merged = with_kv_heads(gpt, kv_heads)
    at_once = loss_of(merged)
    seconds = train_on(merged.train(), more_steps, seed=kv_heads)
    trained, half = interval_of_mean(loss_of(merged) - original_losses)
    averaged, averaged_half = interval_of_mean(at_once - original_losses)
    if kv_heads < 4:
        grouped_models[kv_heads] = merged
    head_rows.append(
        {
            "key/value heads": kv_heads,
            "KiB at 256 positions": kv_cache_law(
                gpt_sizes.n_layer, gpt_sizes.n_head, gpt_head_dim, 256, n_kv_head=kv_heads
            )
            // 1024,
            "more loss, averaged": f"{averaged:+.3f} ± {averaged_half:.3f}",
            f"after {more_steps} steps": f"{trained:+.3f} ± {half:.3f}",
            "seconds": round(seconds, 1),
        }
    )
dashboards.show(
    dashboards.scaling_curve(
        {
            name: [
                (
                    row["key/value heads"],
                    float(original_losses.mean()) + float(str(row[name]).split()[0]),
                )
                for row in head_rows
            ]
            for name in ("more loss, averaged", f"after {more_steps} steps")
        },
        x_title="key/value heads",
        y_title="validation loss (nats a character)",
        title="Validation loss after averaging heads, and after a little training",
    ),
    summary=f"The model as trained: {original_losses.mean():.3f}. "
    + "; ".join(
        f"{row['key/value heads']} heads: {row['more loss, averaged']} averaged, {row[f'after {more_steps} steps']} after {more_steps} more steps"
        for row in head_rows
    )
    + ". A bigram model, which sees one character, has 2.575.",
    table=head_rows,
)

# %% [markdown]
# The row of four heads is the control: nothing was averaged, so any change of it comes from the training alone.
#
# Averaging is a starting point and nothing more. The paper trains on for 5 % of the original compute. This model had 6500 steps; you gave it 40,
# and see how far they go. If memory is your limit, decide on grouped heads *before* you train.

# %% [markdown]
# ## Exercise 6a: pages
#
# *Difficulty 4 of 5, 50 minutes, 9 points.*
#
# A preallocated cache reserves room for the longest text each request might become. Most end sooner. And ten requests with the
# same beginning store that beginning ten times.
#
# An operating system solved this long ago: hand out memory in **pages** of one size, and let a table say which page holds what.
# Kwon et al. ([arXiv:2309.06180](https://arxiv.org/abs/2309.06180)) did the same for keys and values. A page is called a **block** here and holds
# `block_size` positions of all layers.

# %% [markdown]
# - The **pool** owns all blocks. A **free list** names those nobody holds.
# - A **block table** says for each sequence: positions 0 ... 15 are in block 7, positions 16 ... 31 in block 2.
# - Two caches may hold the same block. A **reference count** says how many do. At 0 the block is free again.
# - Who wants to write into a block that others hold too takes a copy first: **copy-on-write**.


# %% nbgrader={"grade_id": "paged__pool"}
#| export
class BlockPool:
    """Memory for keys and values, handed out in blocks of `block_size` positions of all layers.

    Attributes:
        keys, values: (L, H, n_blocks, block_size, D).

    Example:
        >>> pool = BlockPool(n_blocks=3, n_layer=2, n_head=2, block_size=4, head_dim=8)
        >>> block = pool.take()
        >>> pool.share(block)
        >>> pool.references(block), pool.free_blocks
        (2, 2)
    """

    def __init__(
        self,
        n_blocks: int,
        n_layer: int,
        n_head: int,
        block_size: int,
        head_dim: int,
        dtype: Any = np.float32,
    ) -> None:
        sizes = {"n_blocks": n_blocks, "n_layer": n_layer, "n_head": n_head}
        for name, size in (sizes | {"block_size": block_size, "head_dim": head_dim}).items():
            if size < 1:
                raise ValueError(f"BlockPool: {name} is {size}; it must be 1 or more")
        self.block_size = block_size
        self.keys = np.empty((n_layer, n_head, n_blocks, block_size, head_dim), dtype)
        self.values = np.empty_like(self.keys)
        self._references = [0] * n_blocks
        self._free = list(range(n_blocks))

    @property
    def free_blocks(self) -> int:
        """Blocks nobody holds."""
        return len(self._free)

    @property
    def block_bytes(self) -> int:
        """Bytes of one block: keys and values, all layers."""
        return (self.keys.nbytes + self.values.nbytes) // len(self._references)

    def references(self, block: int) -> int:
        """How many hold this block."""
        return self._references[block]

    def take(self) -> int:
        """A free block, now held once.

        Raises:
            ValueError: none is free; the message says how many blocks there are.
        """
        # TODO: from the free list, with one reference
        ### BEGIN SOLUTION
        if not self._free:
            raise ValueError(
                f"the pool is exhausted: 1 block wanted, 0 of {len(self._references)} free; free a "
                "cache or make a larger pool"
            )
        block = self._free.pop()
        self._references[block] = 1
        return block
        ### END SOLUTION

    def share(self, block: int) -> None:
        """One more holds this block.

        Raises:
            ValueError: nobody held it.
        """
        # TODO: check, count
        ### BEGIN SOLUTION
        if self._references[block] < 1:
            raise ValueError(f"block {block} is free; only a block that is held can be shared")
        self._references[block] += 1
        ### END SOLUTION

    def release(self, block: int) -> None:
        """One fewer holds this block; the last one gives it back to the free list.

        Raises:
            ValueError: nobody held it.
        """
        # TODO: check, count, and at 0 back to the free list
        ### BEGIN SOLUTION
        if self._references[block] < 1:
            raise ValueError(f"block {block} is free already; it was released once too often")
        self._references[block] -= 1
        if self._references[block] == 0:
            self._free.append(block)
        ### END SOLUTION

    def to_write(self, block: int) -> int:
        """A block with the same content that the caller alone holds: this one, or a copy.

        With a copy, the caller holds the copy and no longer holds `block`.
        """
        # TODO: held once: nothing to do. Otherwise take a block, copy keys and values of all
        # layers, release the old one
        ### BEGIN SOLUTION
        if self._references[block] == 1:
            return block
        copied = self.take()
        for array in (self.keys, self.values):
            array[:, :, copied] = array[:, :, block]
        self.release(block)
        return copied
        ### END SOLUTION


# %% nbgrader={"grade_id": "test_paged__pool", "points": 2}
# Rejects: a block handed out twice, a shared block freed by the first who lets go, a block given
# back that is still held, a copy of one layer only.
pool = BlockPool(n_blocks=3, n_layer=2, n_head=1, block_size=4, head_dim=8)
blocks = [pool.take() for _ in range(3)]
assert sorted(blocks) == [0, 1, 2], f"three takes give three blocks, got {blocks}"
expect_error(ValueError, pool.take, mentions="3")
pool.share(blocks[0])
pool.release(blocks[0])
assert_int(pool.free_blocks, 0, what="free blocks while a shared block is still held once")
pool.release(blocks[0])
assert_int(pool.free_blocks, 1, what="free blocks after the last release")
expect_error(ValueError, pool.release, blocks[0], mentions=str(blocks[0]))
expect_error(ValueError, pool.share, blocks[0], mentions=str(blocks[0]))
### BEGIN HIDDEN TESTS
rng = fresh("pool")
n_blocks = int(rng.integers(5, 9))
pool = BlockPool(n_blocks, 2, 1, 4, 8)
held: dict[int, int] = {}
for turn in range(60):
    kind = ("take", "share", "release")[turn % 3 if turn < 6 else int(rng.integers(3))]
    if kind == "take" and len(held) < n_blocks:
        block = pool.take()
        assert block not in held and 0 <= block < n_blocks, f"took block {block}, held are {held}"
        held[block] = 1
    elif held:
        block = list(held)[int(rng.integers(len(held)))]
        (pool.share if kind == "share" else pool.release)(block)
        held[block] += 1 if kind == "share" else -1
        held = {block: count for block, count in held.items() if count}
    assert_int(pool.free_blocks, n_blocks - len(held), what=f"free blocks while {held} are held")
    for block, count in held.items():
        assert_int(pool.references(block), count, what=f"references of block {block}")
assert_int(BlockPool(3, 2, 5, 4, 8).block_bytes, 2 * 2 * 5 * 4 * 8 * 4, what="bytes of a block")
expect_error(ValueError, BlockPool, 0, 1, 1, 4, 8, mentions=("n_blocks", "0"))
expect_error(ValueError, BlockPool, 2, 1, 1, 0, 8, mentions=("block_size", "0"))
### END HIDDEN TESTS

# %% [markdown]
# ### A cache of pages
#
# The attention of the framework wants its keys in one piece, so `update` **gathers** the blocks into one array: a copy of everything
# stored, for each token and layer. Kernels made for pages read the table themselves and skip that copy. You will measure what it costs here.
#
# Position p of sequence b is in block `table[b][p // block_size]`, slot `p % block_size`. The first layer that writes a new position makes
# room for it in the table; the others find it there.


# %% nbgrader={"grade_id": "paged"}
#| export
class PagedLayer:
    """One layer's view of a PagedKVCache: what attention calls."""

    def __init__(self, cache: "PagedKVCache", layer: int) -> None:
        self._cache, self._layer = cache, layer
        self.length = 0

    def update(self, keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Store new keys and values (B, H, T, D); return all of them, (B, H, S, D)."""
        pool, cache, layer = self._cache.pool, self._cache, self._layer
        _, n_head, _, block_size, head_dim = pool.keys.shape
        like = (len(cache.tables), n_head, head_dim)
        new = require_positions(keys, values, like, pool.keys.dtype)
        cache.make_room(self.length, new)
        # TODO:
        # 1. the new positions' blocks (B, T) from the tables, and their slots (T,)
        # 2. write: pool.keys[layer][:, blocks, slots] is (H, B, T, D); values alike
        # 3. add to the length
        # 4. gather: pool.keys[layer][:, table] is (H, B, blocks, block_size, D); join blocks and
        #    slots, cut to the length, and bring B to the front
        ### BEGIN SOLUTION
        positions = np.arange(self.length, self.length + new)
        table = np.array(cache.tables)  # (B, blocks)
        blocks, slots = table[:, positions // block_size], positions % block_size
        self.length += new
        gathered = []
        for stored, added in ((pool.keys[layer], keys), (pool.values[layer], values)):
            stored[:, blocks, slots] = added.transpose(1, 0, 2, 3)  # (H, B, T, D)
            pages = stored[:, table]  # (H, B, blocks, block_size, D)
            joined = pages.reshape(n_head, len(table), -1, head_dim)[:, :, : self.length]
            gathered.append(joined.transpose(1, 0, 2, 3))  # (B, H, S, D)
        return gathered[0], gathered[1]
        ### END SOLUTION


class PagedKVCache(Sequence[PagedLayer]):
    """Keys and values in blocks of a shared pool; one object a layer, as attention wants it.

    Attributes:
        tables: for each sequence the blocks that hold its positions, in order.

    Source: Kwon et al., "Efficient Memory Management for Large Language Model Serving with
        PagedAttention", arXiv:2309.06180.

    Example:
        >>> cache = PagedKVCache(BlockPool(n_blocks=8, n_layer=1, n_head=2, block_size=4, head_dim=8))
        >>> keys, values = cache[0].update(*np.ones((2, 1, 2, 5, 8), np.float32))
        >>> keys.shape, cache.length, len(cache.tables[0])
        ((1, 2, 5, 8), 5, 2)
    """

    def __init__(self, pool: BlockPool, batch: int = 1) -> None:
        if batch < 1:
            raise ValueError(f"PagedKVCache: batch is {batch}; it must be 1 or more")
        self.pool = pool
        self.tables: list[list[int]] = [[] for _ in range(batch)]
        self._layers = [PagedLayer(self, layer) for layer in range(len(pool.keys))]

    def __len__(self) -> int:
        return len(self._layers)

    def __getitem__(self, index: Any) -> Any:
        return self._layers[index]

    @property
    def length(self) -> int:
        """Positions stored."""
        return self._layers[0].length

    @property
    def nbytes(self) -> int:
        """Bytes of the blocks this cache holds, those it shares included."""
        return self.pool.block_bytes * sum(len(table) for table in self.tables)

    def make_room(self, start: int, n: int) -> None:
        """Let the positions start ... start + n - 1 have blocks that this cache alone holds.

        Raises:
            ValueError: the pool has too few free blocks. The message has both numbers, and nothing
                has changed.
        """
        # TODO:
        # 1. first and last block (in the table) that will be written: start // block_size, ...
        # 2. how many blocks will be taken: missing ones, and copies of those others hold too
        # 3. too few free: a ValueError with the numbers, before anything is taken
        # 4. pool.to_write for each block that is there, pool.take for each that is missing
        ### BEGIN SOLUTION
        size = self.pool.block_size
        first, last = start // size, (start + n - 1) // size
        missing = sum(max(0, last + 1 - len(table)) for table in self.tables)
        written = [block for table in self.tables for block in table[first : last + 1]]
        copies = sum(self.pool.references(block) > 1 for block in written)
        if missing + copies > self.pool.free_blocks:
            raise ValueError(
                f"the pool is exhausted: {n} more positions after {start} need {missing + copies} "
                f"blocks of {size} ({copies} of them copies), {self.pool.free_blocks} are free"
            )
        for table in self.tables:
            table[first : last + 1] = [
                self.pool.to_write(block) for block in table[first : last + 1]
            ]
            table += [self.pool.take() for _ in range(last + 1 - len(table))]
        ### END SOLUTION

    def fork(self) -> "PagedKVCache":
        """A cache with the same content, which shares every block until one of the two writes."""
        # TODO: a new cache with copies of the tables and the layers' lengths; share each block
        ### BEGIN SOLUTION
        other = PagedKVCache(self.pool, len(self.tables))
        other.tables = [list(table) for table in self.tables]
        for block in (block for table in self.tables for block in table):
            self.pool.share(block)
        for mine, its in zip(self._layers, other._layers, strict=True):
            its.length = mine.length
        return other
        ### END SOLUTION

    def rewind(self, n: int) -> None:
        """Forget the last `n` positions and let go of blocks that hold none any more.

        Raises:
            ValueError: fewer than 0 or more than there are.
        """
        # TODO: check; every layer's length; release and drop blocks behind the last needed one
        ### BEGIN SOLUTION
        if not 0 <= n <= self.length:
            raise ValueError(f"rewind({n}): there are {self.length} positions")
        for layer in self._layers:
            layer.length -= n
        needed = -(-self.length // self.pool.block_size)
        for table in self.tables:
            for block in table[needed:]:
                self.pool.release(block)
            del table[needed:]
        ### END SOLUTION

    def free(self) -> None:
        """Forget everything and let go of every block; the cache is empty then and can be used."""
        self.rewind(self.length)

    def reset(self) -> None:
        """The same as `free`."""
        self.free()


# %% nbgrader={"grade_id": "test_paged__cache", "points": 3}
# Rejects: positions in the wrong block or slot, sequences that read each other's blocks, a layer that
# writes into another, blocks taken before they are needed, a rewind that keeps its blocks.
rng = np.random.default_rng(6)
pool = BlockPool(n_blocks=6, n_layer=1, n_head=2, block_size=4, head_dim=3)
cache = PagedKVCache(pool)
keys, values = rng.standard_normal((2, 1, 2, 9, 3), dtype=np.float32)
for start, end in ((0, 3), (3, 4), (4, 9)):
    found = cache[0].update(keys[:, :, start:end], values[:, :, start:end])
    assert_close(found[0], keys[:, :, :end], what=f"keys after {end} positions")
    assert_close(found[1], values[:, :, :end], what=f"values after {end} positions")
    assert_int(pool.free_blocks, 6 - math.ceil(end / 4), what=f"free blocks after {end} positions")
cache.rewind(5)
assert_int(cache.length, 4, what="length after a rewind from 9 by 5")
assert_int(pool.free_blocks, 5, what="free blocks after a rewind to 4 positions")
### BEGIN HIDDEN TESTS
rng = fresh("paged")
for batch, block_size, lengths in ((1, 4, [6, 1, 1, 1, 5]), (3, 3, [1] * 8), (2, 5, [13, 2, 1])):
    total, n_layer = sum(lengths), 3
    pool = BlockPool(40, n_layer, 2, block_size, 4, np.float64)
    pool.take()  # so that block numbers and places in the table differ
    cache = PagedKVCache(pool, batch)
    assert_int(len(cache), n_layer, what="layers of a PagedKVCache")
    data = rng.standard_normal((n_layer, 2, batch, 2, total, 4))  # L, keys or values, B, H, T, D
    at = 0
    for length in lengths:
        for layer in range(n_layer):
            piece = data[layer, :, :, :, at : at + length]
            found = cache[layer].update(piece[0], piece[1])
            for array, truth in zip(found, data[layer], strict=True):
                assert_close(
                    array, truth[:, :, : at + length], what=f"layer {layer} after {at + length}"
                )
        at += length
        used = batch * math.ceil(at / block_size)
        assert_int(pool.free_blocks, 39 - used, what=f"free blocks, {batch} sequences of {at}")
        assert_int(cache.nbytes, used * 2 * n_layer * 2 * block_size * 4 * 8, what="nbytes")
        assert_int(cache.length, at, what="length")
    cache.free()
    assert_int(pool.free_blocks, 39, what="free blocks after free()")
    assert_int(cache.length, 0, what="length after free()")
model = tiny_gpt(rng)
text = rng.integers(0, 11, size=(2, 24))
with no_grad():
    truth = model(text).data
cache = PagedKVCache(BlockPool(20, 2, 2, 4, 8, np.float64), batch=2)
scores = inside(feed, model, pieces_of(text, [10, *[1] * 14]), cache)
for end, found in zip(range(10, 25), scores, strict=True):
    assert_close(
        found, truth[:, end - 1], rtol=1e-7, atol=1e-9, what=f"scores after {end} positions"
    )
cache.rewind(9)
again = inside(feed, model, [text[:, 15:20]], cache)[0]
assert_close(again, truth[:, 19], rtol=1e-7, atol=1e-9, what="scores after a rewind by 9")
expect_error(ValueError, cache.rewind, 21, mentions=("21", "20"))
expect_error(ValueError, PagedKVCache, cache.pool, 0, mentions="0")
zeros = np.zeros((2, 2, 1, 8), np.float32)
expect_error(ValueError, cache[0].update, zeros, zeros, mentions=("float32", "float64"))
### END HIDDEN TESTS

# %% nbgrader={"grade_id": "test_paged__fork", "points": 2}
# Rejects: a fork that copies at once, a write that others see, a block copied though nobody else holds it,
# a copy though the shared block is only read.
rng = np.random.default_rng(7)
pool = BlockPool(n_blocks=8, n_layer=1, n_head=1, block_size=4, head_dim=2)
trunk = PagedKVCache(pool)
prompt = rng.standard_normal((1, 1, 6, 2), dtype=np.float32)
trunk[0].update(prompt, prompt)
branch = trunk.fork()
assert_int(pool.free_blocks, 6, what="free blocks after a fork (it shares both blocks)")
one, other = rng.standard_normal((2, 1, 1, 1, 2), dtype=np.float32)
in_branch = branch[0].update(one, one)[0]
assert_int(pool.free_blocks, 5, what="free blocks once the branch wrote (one copy)")
in_trunk = trunk[0].update(other, other)[0]
assert_int(
    pool.free_blocks, 5, what="free blocks once the trunk wrote into the block it alone holds"
)
assert_close(in_branch, np.concatenate([prompt, one], axis=2), what="what the branch reads")
assert_close(in_trunk, np.concatenate([prompt, other], axis=2), what="what the trunk reads")
### BEGIN HIDDEN TESTS
rng = fresh("fork")
size, batch, n_layer = 3, 2, 2
pool = BlockPool(60, n_layer, 1, size, 2, np.float64)


def grow(cache: Any, known: np.ndarray, n: int) -> np.ndarray:
    """Write n new positions into every layer; check all that is read; return all that is known."""
    more = rng.standard_normal((n_layer, 2, batch, 1, n, 2))
    known = np.concatenate([known, more], axis=4)
    for layer in range(n_layer):
        found = cache[layer].update(more[layer, 0], more[layer, 1])
        for array, truth in zip(found, known[layer], strict=True):
            assert_close(array, truth, what=f"layer {layer} of a cache of {known.shape[4]}")
    return known


caches = [PagedKVCache(pool, batch)]
contents = [
    grow(caches[0], np.empty((n_layer, 2, batch, 1, 0, 2)), 7)
]  # two full blocks and one begun
for parent in (0, 0, 1):
    before = pool.free_blocks
    caches.append(caches[parent].fork())
    contents.append(contents[parent])
    assert_int(pool.free_blocks, before, what="free blocks after a fork")
before = pool.free_blocks
for turn, which in enumerate((3, 1, 0, 2)):  # the last one holds its begun block alone
    contents[which] = grow(caches[which], contents[which], 1)
    copied = batch * min(turn + 1, 3)
    assert_int(pool.free_blocks, before - copied, what=f"free blocks after {turn + 1} of 4 wrote")
for which in (2, 0, 3, 1):
    contents[which] = grow(caches[which], contents[which], 4)
for which in (1, 3, 0):
    caches[which].free()
    contents[2] = grow(caches[2], contents[2], 1)
caches[2].rewind(11)  # from 15 to 4: into the blocks that were shared
contents[2] = grow(caches[2], contents[2][:, :, :, :, :4], 3)
caches[2].reset()
assert_int(pool.free_blocks, 60, what="free blocks when all are freed")
full = PagedKVCache(pool, batch)
known = grow(full, np.empty((n_layer, 2, batch, 1, 0, 2)), 6)
branch = full.fork()
known = grow(branch, known, 1)
assert_int(
    pool.free_blocks,
    60 - 3 * batch,
    what="free blocks when full blocks are shared and new ones written",
)
branch.rewind(3)
branch_known = grow(branch, known[:, :, :, :, :4], 1)
assert_int(
    pool.free_blocks,
    60 - 3 * batch,
    what="free blocks after a rewind into a shared block and a write",
)
known = grow(full, known[:, :, :, :, :6], 1)
### END HIDDEN TESTS

# %% nbgrader={"grade_id": "test_paged__exhausted", "points": 2}
# Rejects: a pool that hands out what is held, an error without numbers, a failure that has taken blocks or
# counted positions already.
pool = BlockPool(n_blocks=3, n_layer=1, n_head=1, block_size=4, head_dim=2)
first, second = PagedKVCache(pool), PagedKVCache(pool)
row = np.ones((1, 1, 6, 2), np.float32)
first[0].update(row, row)
expect_error(ValueError, second[0].update, row, row, mentions=("2", "1", "free"))
assert_int(pool.free_blocks, 1, what="free blocks after a request that could not be met")
assert_int(second.length, 0, what="length after a request that could not be met")
first.free()
assert second[0].update(row, row)[0].shape == (1, 1, 6, 2), "freed blocks can be used again"
### BEGIN HIDDEN TESTS
rng = fresh("exhausted")
pool = BlockPool(7, 1, 1, 2, 2)
trunk = PagedKVCache(pool, batch=2)
rows = rng.standard_normal((2, 1, 5, 2), dtype=np.float32)
trunk[0].update(rows, rows)  # three blocks a sequence, the third one half full
branch = trunk.fork()
one = rng.standard_normal((2, 1, 1, 2), dtype=np.float32)
expect_error(
    ValueError, branch[0].update, one, one, mentions=("2", "1", "free")
)  # two copies, one free
assert_int(pool.free_blocks, 1, what="free blocks after a copy-on-write that could not be met")
assert_int(branch.length, 5, what="length after a copy-on-write that could not be met")
expect_error(ValueError, trunk[0].update, rows, rows, mentions="1")
trunk.free()
found = branch[0].update(one, one)[0]
assert_close(
    found, np.concatenate([rows, one], axis=2), what="the branch, once it holds its blocks alone"
)
assert_int(pool.free_blocks, 1, what="free blocks: the branch needed none")
### END HIDDEN TESTS

# %% [markdown]
# ### Measure: what do pages save, and what do they cost?
#
# Eight answers to one prompt of 128 characters, 32 characters each. Once with eight caches of full size, once with pages: the prompt is read once,
# and seven forks share its blocks.

# %% tags=["measure"]
answers, prompt_length, answer_length, block_size = 8, 128, 32, 16
prompt_ids = validation_ids[:prompt_length][None]  # (1, 128)
shared_pool = BlockPool(128, gpt_sizes.n_layer, gpt_sizes.n_head, block_size, gpt_head_dim)


def bytes_in_use() -> int:
    """Bytes of the shared_pool's blocks that somebody holds."""
    return (128 - shared_pool.free_blocks) * shared_pool.block_bytes


shared_trunk = PagedKVCache(shared_pool)
first_scores = prefill(gpt, prompt_ids, shared_trunk)
answer_branches = [shared_trunk.fork() for _ in range(answers)]
paged_bytes = [(0, bytes_in_use() / 1024)]
best_first = np.argsort(-first_scores[0])  # each answer starts with another character
next_ids = [best_first[i : i + 1] for i in range(answers)]
for step_number in range(1, answer_length + 1):
    for which, branch in enumerate(answer_branches):
        next_ids[which] = decode_step(gpt, next_ids[which], branch).argmax(axis=1)
    paged_bytes.append((step_number, bytes_in_use() / 1024))
whole = KVCache(gpt_sizes.n_layer, answers, gpt_sizes.n_head, 256, gpt_head_dim).nbytes / 1024
exact = (
    kv_cache_law(
        gpt_sizes.n_layer, gpt_sizes.n_head, gpt_head_dim, prompt_length + answer_length, answers
    )
    / 1024
)
dashboards.show(
    dashboards.scaling_curve(
        {
            "pages, prompt shared": paged_bytes,
            "eight caches of 256 positions": [(0, whole), (answer_length, whole)],
            "eight caches that fit exactly": [(0, exact), (answer_length, exact)],
        },
        x_title="characters written by each of 8 answers",
        y_title="KiB of keys and values",
    ),
    summary=f"Pages with a shared prompt hold {paged_bytes[-1][1]:.0f} KiB at the end, eight full caches {whole:.0f} KiB "
    f"({whole / paged_bytes[-1][1]:.1f} times as much), eight that fit exactly {exact:.0f} KiB.",
)
for branch in (shared_trunk, *answer_branches):
    branch.free()

# %% tags=["measure"]
from tinytorch.profiling import compare_latencies


def decode_with(make_cache: Callable[[], Any], new: int = 64) -> Callable[[], None]:
    """A run that reads 128 characters and then decodes `new` more."""

    def run() -> None:
        cache = make_cache()
        scores = prefill(gpt, prompt_ids, cache)
        for _ in range(new):
            scores = decode_step(gpt, scores.argmax(axis=1), cache)
        if isinstance(cache, PagedKVCache):
            cache.free()

    return run


print(
    compare_latencies(
        {
            "baseline": decode_with(lambda: KVCache.for_model(gpt)),
            "pages, gathered": decode_with(lambda: PagedKVCache(shared_pool)),
        }
    )
)

# %% [markdown]
# The baseline keeps each layer in one piece. A ratio below 1 is the price of gathering: every token copies all keys and values once. A kernel that reads the block table does not pay it.
# Pages are for memory; they win time only where memory decides how many requests run at once.
# %% [markdown]
# ## Exercise 6b: guess first, check at once
#
# *Difficulty 4 of 5, 50 minutes, 9 points.*
#
# Decoding reads all weights to make *one* token. Where reading is the limit, as on most accelerators, five tokens cost little more: the same
# weights, read once. But the next token depends on the last. So **guess** the next few, cheaply, and let the model check all guesses in **one** pass. Where a guess is
# what the model would have said, you have won a token. From the first wrong guess on, forget.
#
# This is **speculative decoding** (Leviathan et al., [arXiv:2211.17192](https://arxiv.org/abs/2211.17192); Chen et al.,
# [arXiv:2302.01318](https://arxiv.org/abs/2302.01318)). The text is the *same* as without it. Only the number of passes falls.

# %% [markdown]
# The cheapest guesser is a search. If the last three tokens stood somewhere earlier, what followed them there? Texts repeat names,
# phrases and whole lines, and code does so even more.


# %% nbgrader={"grade_id": "speculative__draft"}
#| export
def ngram_draft(ids: np.ndarray, max_ngram: int, n_draft: int) -> np.ndarray:
    """Guess what comes next: what followed the last time the same few tokens stood in the text.

    The longest match wins: first the last `max_ngram` tokens are looked for, then one fewer, down
    to the last token alone. Of several places the latest counts.

    Args:
        ids: (N,) whole numbers, the text so far.
        max_ngram: longest piece to look for, 1 or more.
        n_draft: most tokens to guess, 0 or more.

    Returns:
        (K,) int64 with K <= n_draft: fewer where the text ends, none without a match.

    Raises:
        ValueError: `ids` not (N,) whole numbers, `max_ngram` below 1 or `n_draft` below 0.

    Example:
        >>> ngram_draft(np.array([5, 1, 2, 9, 8, 1, 2]), max_ngram=3, n_draft=3).tolist()
        [9, 8, 1]
    """
    # TODO:
    # 1. check
    # 2. for each length n, the longest first (the text has more than n tokens): where does the last n
    #    stand earlier? np.lib.stride_tricks.sliding_window_view helps
    # 3. the latest such place: what follows it, at most n_draft tokens
    ### BEGIN SOLUTION
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise ValueError(f"ids are {ids.dtype} of shape {ids.shape}; expected whole numbers (N,)")
    if max_ngram < 1 or n_draft < 0:
        raise ValueError(
            f"max_ngram is {max_ngram} and n_draft {n_draft}; expected 1 or more, and 0 or more"
        )
    for n in range(min(max_ngram, len(ids) - 1), 0, -1):
        earlier = np.lib.stride_tricks.sliding_window_view(ids[:-1], n)  # (N - n, n)
        places = np.flatnonzero((earlier == ids[-n:]).all(axis=1))
        if len(places):
            after = int(places[-1]) + n
            return ids[after : after + n_draft].astype(np.int64)
    return np.empty(0, np.int64)
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_speculative__draft", "points": 2}
# Rejects: a match of the end with itself, the first place in place of the latest, short matches before
# long ones, more guesses than asked for.
text = np.array([1, 2, 3, 7, 7, 2, 3, 8, 1, 2, 3])
found = ngram_draft(text, max_ngram=3, n_draft=2)
assert_close(found, np.array([7, 7]), what="after 1 2 3, which stood at the start")
assert_close(ngram_draft(text, 2, 4), np.array([8, 1, 2, 3]), what="after 2 3, the latest place")
assert_int(len(ngram_draft(np.array([1, 2, 3]), 3, 4)), 0, what="guesses where nothing repeats")
expect_error(ValueError, ngram_draft, text, 0, 4, mentions="0")
### BEGIN HIDDEN TESTS
rng = fresh("ngram")


def best_guess(ids: list[int], longest: int, most: int) -> list[int]:
    """The rule, read aloud."""
    for n in range(longest, 0, -1):
        for start in range(len(ids) - n - 1, -1, -1):
            if ids[start : start + n] == ids[len(ids) - n :]:
                return ids[start + n : start + n + most]
    return []


for letters in (2, 3, 6):
    ids = rng.integers(0, letters, size=60).tolist()
    for end in range(1, 60, 4):
        for longest, most in ((1, 3), (4, 2), (2, 7)):
            found = ngram_draft(np.array(ids[:end]), longest, most)
            assert found.dtype == np.int64, f"guesses are int64, got {found.dtype}"
            assert found.tolist() == best_guess(ids[:end], longest, most), (
                f"guesses after {ids[:end]}, max_ngram={longest}, n_draft={most}: {found.tolist()}"
            )
assert_int(len(ngram_draft(np.array([4, 4, 4]), 2, 0)), 0, what="guesses when none are wanted")
assert_close(
    ngram_draft(np.array([4, 4, 4]), 2, 5), np.array([4]), what="a match may overlap the end"
)
expect_error(ValueError, ngram_draft, np.zeros((2, 3), np.int64), 2, 2, mentions="(2, 3)")
expect_error(ValueError, ngram_draft, np.array([1.0, 2.0]), 2, 2, mentions="float64")
expect_error(ValueError, ngram_draft, text, 2, -1, mentions="-1")
### END HIDDEN TESTS

# %% [markdown]
# ### One pass for several tokens
#
# A pass reads what the cache has not seen yet, and behind it the guesses. Say the newest token is `a` and the guesses are `x y z`. The model
# reads `a x y z` and gives four rows of scores: its choice after `a`, after `x`, after `y`, after `z`. Is the choice after `a` really `x`? Then the choice after `x` is valid too,
# and so on. At the first difference the model's own choice is the next token. So each pass gives at least one token.
#
# The cache has stored all guesses. The wrong ones must go: `cache.rewind(n)`.


# %%
#| export
@dataclass(frozen=True)
class SpeculativeStats:
    """What guessing gave.

    Attributes:
        proposed: tokens guessed.
        accepted: guesses the model agreed with.
        passes: runs of the model, the one over the prompt included.
    """

    proposed: int
    accepted: int
    passes: int

    @property
    def acceptance(self) -> float:
        """Share of the guesses that were right; 0.0 without any."""
        return self.accepted / self.proposed if self.proposed else 0.0

    @property
    def tokens_a_pass(self) -> float:
        """New tokens for each run of the model; 0.0 without any."""
        return (self.accepted + self.passes) / self.passes if self.passes else 0.0


# %% nbgrader={"grade_id": "speculative"}
#| export
@no_grad()
def speculative_generate(
    model: GPT,
    prompt: np.ndarray,
    max_new_tokens: int,
    n_draft: int = 4,
    max_ngram: int = 3,
    cache: Any = None,
) -> tuple[np.ndarray, SpeculativeStats]:
    """Greedy generation that checks several guessed tokens in one pass; the same tokens as one by one.

    Every pass, the first over the prompt too, reads the tokens the cache has not seen and behind them
    `ngram_draft` of all tokens so far: at most `n_draft`, and at most one fewer than are still wanted,
    because each pass gives one token of its own.

    Args:
        model: runs in evaluation mode here.
        prompt: (T,) whole numbers, T at least 1.
        max_new_tokens: 0 or more.
        n_draft, max_ngram: as in `ngram_draft`; both 1 or more.
        cache: one object a layer and `rewind(n)`; the prompt follows what it holds. None: a
            `KVCache` for the model, in its dtype. Afterwards it holds all tokens but the last.

    Returns:
        Prompt and new tokens (T + new,) int64, and the statistics.

    Raises:
        ValueError: a prompt that is not (T,) whole numbers, a number too small, or more positions
            than the model's block_size. The message has the numbers.

    Note:
        Scores of one pass over five tokens and of five passes may differ by rounding. Where two
        tokens have scores that close, float32 can choose either.

    Source: arXiv:2211.17192, section 2, with a drafter that is a search.
    """
    ids = check_request(model, prompt, max_new_tokens, n_draft, max_ngram, cache)
    if cache is None:
        cache = KVCache.for_model(model, dtype=model.token_embedding.weight.data.dtype)
    proposed = accepted = passes = 0
    # TODO:
    # 1. make room for all tokens; how many are known, and how many the cache has read (none of the prompt)
    # 2. in evaluation mode, while tokens are wanted: guess, and read the unread tokens with the guesses
    # 3. the model's choices: argmax of the scores of the newest token and of each guess, 1 + K rows
    # 4. how many guesses in a row, from the first, equal the choice before them? those are accepted
    # 5. the tokens won: the choices up to the first that differs, one more than accepted
    # 6. rewind the cache by the guesses that were wrong; count
    ### BEGIN SOLUTION
    known, read = len(ids), 0
    wanted = known + max_new_tokens
    ids = np.concatenate([ids, np.zeros(max_new_tokens, np.int64)])  # (T + new,)
    with evaluating(model):
        while known < wanted:
            guesses = ngram_draft(ids[:known], max_ngram, min(n_draft, wanted - known - 1))
            reading = np.concatenate([ids[read:known], guesses])[None]  # (1, unread + K)
            scores = model(reading, cache=cache).data[0, -1 - len(guesses) :]  # (1 + K, V)
            choices = scores.argmax(axis=1)
            wrong = np.flatnonzero(choices[:-1] != guesses)
            agreed = int(wrong[0]) if len(wrong) else len(guesses)
            ids[known : known + agreed + 1] = choices[: agreed + 1]
            if agreed < len(guesses):
                cache.rewind(len(guesses) - agreed)
            read = known + agreed
            known = read + 1
            proposed, accepted, passes = proposed + len(guesses), accepted + agreed, passes + 1
    return ids, SpeculativeStats(proposed, accepted, passes)
    ### END SOLUTION


def check_request(
    model: GPT, prompt: Any, max_new_tokens: int, n_draft: int, max_ngram: int, cache: Any
) -> np.ndarray:
    """The prompt as (T,) int64, once all that `speculative_generate` refuses is refused."""
    # TODO:
    # 1. the prompt: (T,) whole numbers, at least one
    # 2. max_new_tokens at least 0, n_draft and max_ngram at least 1
    # 3. positions in the cache + T + new - 1 (the last token is not read) within block_size
    ### BEGIN SOLUTION
    ids = np.asarray(prompt)
    if ids.ndim != 1 or ids.size == 0 or ids.dtype.kind not in "iu":
        raise ValueError(
            f"the prompt is {ids.dtype} of shape {ids.shape}; expected whole numbers (T,), one or "
            "more: one sequence at a time, since each accepts another number of guesses"
        )
    least = {
        "max_new_tokens": (max_new_tokens, 0),
        "n_draft": (n_draft, 1),
        "max_ngram": (max_ngram, 1),
    }
    for name, (given, at_least) in least.items():
        if given < at_least:
            raise ValueError(f"{name} is {given}; it must be {at_least} or more")
    stored = 0 if cache is None else int(cache[0].length)
    needed, block_size = stored + len(ids) + max(max_new_tokens - 1, 0), model.config.block_size
    if needed > block_size:
        raise ValueError(
            f"{stored} cached, {len(ids)} prompt and {max_new_tokens} new tokens need {needed} "
            f"positions; the model's block_size is {block_size}"
        )
    return ids.astype(np.int64)
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_speculative__generate", "points": 4}
# Rejects: guesses kept that the model would not have made, wrong guesses left in the cache, a pass for each
# guess, statistics that count otherwise, a request past the end of the model.
rng = np.random.default_rng(8)
model = tiny_gpt(rng, vocab_size=5)
prompt = np.array([1, 2, 0, 1, 2])
ids, stats = speculative_generate(model, prompt, 30, cache=PiecewiseCache(2))
assert_close(ids, generate(model, prompt, 30), what="tokens with guesses and one by one")
assert_int(stats.accepted + stats.passes, 30, what="accepted + passes, for 30 tokens")
assert 0 < stats.accepted <= stats.proposed, f"some guesses come true here, got {stats.accepted}"
expect_error(ValueError, speculative_generate, model, prompt, 61, mentions=("61", "65", "64"))
### BEGIN HIDDEN TESTS
rng = fresh("speculative")


def guessed(ids: list[int], longest: int, most: int) -> list[int]:
    """What the search finds."""
    for n in range(longest, 0, -1):
        for start in range(len(ids) - n - 1, -1, -1):
            if ids[start : start + n] == ids[len(ids) - n :]:
                return ids[start + n : start + n + most]
    return []


def expected_stats(text: list[int], known: int, n_draft: int, longest: int) -> list[int]:
    """Proposed, accepted and passes, from the text that must come out."""
    proposed = accepted = passes = 0
    while known < len(text):
        guesses = guessed(text[:known], longest, min(n_draft, len(text) - known - 1))
        agreed = 0
        while agreed < len(guesses) and guesses[agreed] == text[known + agreed]:
            agreed += 1
        known += agreed + 1
        proposed, accepted, passes = proposed + len(guesses), accepted + agreed, passes + 1
    return [proposed, accepted, passes]


agreed_in_part = 0
for n_draft, longest, length in (
    (4, 3, 9),
    (1, 1, 3),
    (7, 2, 14),
    (3, 4, 1),
    (5, 1, 6),
    (6, 1, 20),
):
    model = tiny_gpt(rng, vocab_size=4)
    model.train()
    prompt = rng.integers(0, 4, size=length)
    truth = generate(model, prompt, 40)
    ids, stats = speculative_generate(model, prompt, 40, n_draft, longest, PiecewiseCache(2))
    what = f"n_draft={n_draft}, max_ngram={longest}, prompt {prompt.tolist()}"
    assert_close(ids, truth, what=f"tokens, {what}")
    found = [stats.proposed, stats.accepted, stats.passes]
    expected = expected_stats(truth.tolist(), length, n_draft, longest)
    assert found == expected, f"proposed, accepted and passes, {what}: {found}, expected {expected}"
    assert model.training, "the model's mode is put back"
ids, stats = speculative_generate(model, prompt, 0)
assert_close(ids, prompt, what="no new tokens: the prompt")
assert_int(stats.passes, 0, what="passes for no new tokens")
fits = speculative_generate(model, prompt, 64 - len(prompt) + 1, cache=PiecewiseCache(2))[0]
assert_int(len(fits), 65, what="tokens of the longest request: the last one is not read")
for wrong, words in (
    ({"prompt": np.zeros((2, 3), np.int64)}, "(2, 3)"),
    ({"prompt": np.zeros(0, np.int64)}, "(0,)"),
    ({"prompt": np.array([0.5])}, "float64"),
    ({"max_new_tokens": -1}, "max_new_tokens"),
    ({"n_draft": 0}, "n_draft"),
    ({"max_ngram": 0}, "max_ngram"),
):
    request = {"prompt": prompt, "max_new_tokens": 4} | wrong
    expect_error(ValueError, speculative_generate, model, **request, mentions=words)
### END HIDDEN TESTS


# %% [markdown]
# ### When the text is drawn, not chosen
#
# Above temperature 0 the model does not choose, it draws from probabilities p. The guess x was drawn from other probabilities q. Accept it with
# probability min(1, p(x) / q(x)); otherwise draw from what q gave too little: max(0, p - q), divided by its sum.
# Then the outcome is distributed exactly like p (theorem in [arXiv:2302.01318](https://arxiv.org/abs/2302.01318), appendix A; arXiv:2211.17192, appendix A).
# And a guess is accepted with probability sum of min(p, q).


# %% nbgrader={"grade_id": "speculative__sampling"}
#| export
def accept_or_resample(
    target_probs: np.ndarray, draft_probs: np.ndarray, token: int, rng: np.random.Generator
) -> tuple[int, bool]:
    """Turn a token drawn from `draft_probs` into one that is distributed like `target_probs`.

    Args:
        target_probs: (V,) p, the model's.
        draft_probs: (V,) q, the guesser's.
        token: drawn from q, so q(token) > 0.
        rng: where draws come from.

    Returns:
        The token to use, and whether it is the guess that was accepted.

    Raises:
        ValueError: probabilities of different shapes, negative, not finite or not summing to 1
            (within 1e-6 ... 1e-3 is the caller's rounding; beyond 1e-3 is refused), or a token
            that q cannot give.

    Source: arXiv:2211.17192, 2302.01318.

    Example:
        >>> p = np.array([0.0, 1.0])
        >>> accept_or_resample(p, np.array([1.0, 0.0]), 0, np.random.default_rng(0))
        (1, False)
    """
    # TODO:
    # 1. check both arrays and the token
    # 2. accept with probability p / q
    # 3. otherwise draw from max(0, p - q), divided by its sum
    ### BEGIN SOLUTION
    for name, probs in (("target_probs", target_probs), ("draft_probs", draft_probs)):
        valid = probs.ndim == 1 and probs.size and bool(np.isfinite(probs).all())
        if not valid or probs.min() < 0 or abs(float(probs.sum()) - 1) > 1e-3:
            raise ValueError(
                f"{name} of shape {probs.shape} sums to {float(probs.sum())}; expected (V,), finite, "
                "none negative, sum 1"
            )
    if target_probs.shape != draft_probs.shape:
        raise ValueError(
            f"target_probs {target_probs.shape} and draft_probs {draft_probs.shape} must be alike"
        )
    if not 0 <= token < len(draft_probs) or draft_probs[token] <= 0:
        raise ValueError(f"token {token} cannot have been drawn from draft_probs: it has no chance")
    if rng.random() * draft_probs[token] < target_probs[token]:
        return int(token), True
    missing = np.maximum(target_probs.astype(np.float64) - draft_probs, 0)
    sums = np.cumsum(missing)
    return int(np.searchsorted(sums, rng.random() * sums[-1], side="right")), False
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_speculative__sampling", "points": 3}
# Rejects: drawing from p after a refusal (what q had too much of is then counted twice), accepting always,
# never or with q / p, an answer "accepted" that is not the guess.
# chi-square: the sum of (seen - expected)^2 / expected. Above 35 with 3 degrees of freedom happens by chance
# once in ten million times; the seed is fixed, so here it never does.
target, draft = np.array([0.5, 0.3, 0.15, 0.05]), np.array([0.1, 0.2, 0.3, 0.4])
drafted, tokens, accepted = inside(many_draws, accept_or_resample, target, draft, 4000, 11)
seen = np.bincount(tokens, minlength=4)
chi_square = float(((seen - 4000 * target) ** 2 / (4000 * target)).sum())
assert chi_square < 35, f"4000 tokens are distributed {seen / 4000}, not {target}: {chi_square:.0f}"
assert_close(accepted.mean(), 0.5, atol=0.04, what="share accepted, the sum of min(p, q)")
assert (tokens[accepted == 1] == drafted[accepted == 1]).all(), "accepted means: it is the guess"
expect_error(
    ValueError, accept_or_resample, target, draft, 7, np.random.default_rng(0), mentions="7"
)
### BEGIN HIDDEN TESTS
rng = fresh("sampling")
generator = np.random.default_rng(0)
for p, q in (
    ([0.4, 0.3, 0.2, 0.1, 0.0], [0.05, 0.05, 0.1, 0.3, 0.5]),
    ([0.25, 0.25, 0.2, 0.2, 0.1], [0.0, 0.0, 0.0, 0.0, 1.0]),  # a search has no doubts
    ([0.1, 0.2, 0.3, 0.4, 0.0], [0.3, 0.3, 0.3, 0.1, 0.0]),
):
    order = rng.permutation(5)
    target, draft = np.array(p)[order], np.array(q)[order]
    count, seed = 6000, int(rng.integers(2**31))
    drafted, tokens, accepted = inside(many_draws, accept_or_resample, target, draft, count, seed)
    seen, possible = np.bincount(tokens, minlength=5), target > 0
    what = f"p {target}, q {draft}"
    assert len(tokens) == count and seen[~possible].sum() == 0, f"impossible tokens, {what}: {seen}"
    expected = count * target[possible]
    chi_square = float(((seen[possible] - expected) ** 2 / expected).sum())
    assert chi_square < 70, (
        f"{count} tokens are distributed {seen / count}, {what}: {chi_square:.0f}"
    )
    share = float(np.minimum(target, draft).sum())
    assert_close(accepted.mean(), share, atol=7 * math.sqrt(0.25 / count), what=f"accepted, {what}")
    same = tokens == drafted
    assert same[accepted == 1].all(), f"accepted tokens are the guesses, {what}"
    assert not same[accepted == 0].any(), f"a refused guess cannot come out again, {what}"
half = np.array([0.5, 0.5])
assert accept_or_resample(half, half, 1, generator) == (1, True), "p = q: always accepted"
for p, q, token, words in (
    ([0.5, 0.6], [0.5, 0.5], 0, "target_probs"),
    ([0.5, 0.5], [1.5, -0.5], 0, "draft_probs"),
    ([0.5, np.nan], [0.5, 0.5], 0, "target_probs"),
    ([0.5, 0.5], [0.2, 0.3, 0.5], 0, "(3,)"),
    ([0.5, 0.5], [1.0, 0.0], 1, "1"),
    ([0.5, 0.5], [0.5, 0.5], -1, "-1"),
):
    expect_error(
        ValueError, accept_or_resample, np.array(p), np.array(q), token, generator, mentions=words
    )
### END HIDDEN TESTS

# %% [markdown]
# ### Measure: how often is the guess right?
#
# First the guesser alone, on text people wrote: at each place of the validation text, how many of the next characters does it guess, before the first wrong one?
# Then the whole thing: greedy text of `docs_gpt` after seven real prompts, with and without guesses, taking turns.


# %% tags=["measure"]
def guessed_right(max_ngram: int, n_draft: int = 4, places: int = 400) -> float:
    """Mean number of right guesses in a row on the validation text, 512 characters known."""
    starts = np.linspace(512, len(validation_ids) - n_draft - 1, places).astype(int)
    right = 0
    for start in starts.tolist():
        guesses = ngram_draft(validation_ids[start - 512 : start], max_ngram, n_draft)
        truth = validation_ids[start : start + len(guesses)]
        right += int(np.cumprod(guesses == truth).sum())
    return right / places


on_real_text = [(n, guessed_right(n)) for n in (1, 2, 3, 4, 6, 8)]
dashboards.show(
    dashboards.scaling_curve(
        {"right guesses in a row, of 4": on_real_text},
        x_title="longest piece looked for (characters)",
        y_title="right guesses",
    ),
    summary="On text people wrote, of 4 guessed characters are right, up to the first wrong one: "
    + ", ".join(f"{right:.2f} with pieces of {n}" for n, right in on_real_text)
    + ".",
)

# %% tags=["measure"]
prompts = [
    validation_ids[start : start + 96]
    for start in np.linspace(0, len(validation_ids) - 97, 7).astype(int)
]
new_tokens = 64


def seconds_of(fn: Callable[[], object]) -> float:
    start_ns = time.perf_counter_ns()
    fn()
    return (time.perf_counter_ns() - start_ns) / 1e9


def pairs_of(n_draft: int, max_ngram: int) -> dict[str, object]:
    """Each prompt with and without guesses, in turn: acceptance, tokens a pass, speed."""
    ratios, found, different = [], [], 0
    for number, prompt in enumerate(prompts):
        results: dict[str, Any] = {}

        def plain(prompt: np.ndarray = prompt, results: dict[str, Any] = results) -> None:
            results["plain"] = generate_cached(gpt, prompt, new_tokens)

        def guessing(prompt: np.ndarray = prompt, results: dict[str, Any] = results) -> None:
            results["guessing"] = speculative_generate(gpt, prompt, new_tokens, n_draft, max_ngram)

        order = (plain, guessing) if number % 2 else (guessing, plain)
        spent = {fn.__name__: seconds_of(fn) for fn in order}
        ratios.append(spent["plain"] / spent["guessing"])
        ids, stats = results["guessing"]
        different += int((ids != results["plain"]).any())
        found.append(stats)
    proposed, accepted = (sum(getattr(s, name) for s in found) for name in ("proposed", "accepted"))
    a_pass = sorted(s.tokens_a_pass for s in found)
    return {
        "guesses": n_draft,
        "longest piece": max_ngram,
        "acceptance": round(accepted / max(proposed, 1), 3),
        "tokens a pass": round(float(np.median(a_pass)), 2),
        "smallest - largest": f"{a_pass[0]:.2f} - {a_pass[-1]:.2f}",
        "times as fast": round(float(np.median(ratios)), 2),
        "slowest - fastest": f"{min(ratios):.2f} - {max(ratios):.2f}",
        "texts that differ": different,
    }


speculative_rows = [pairs_of(n_draft, n) for n_draft, n in ((4, 1), (4, 3), (12, 3))]
dashboards.show(
    dashboards.scaling_curve(
        {
            name: [
                (row["guesses"], row[name]) for row in speculative_rows if row["longest piece"] == 3
            ]
            for name in ("tokens a pass", "times as fast")
        },
        x_title="guesses a pass (pieces of 3)",
        y_title="tokens a pass; times as fast",
    ),
    summary="Median of 7 prompts: "
    + "; ".join(
        f"{row['guesses']} guesses, pieces of {row['longest piece']}: {row['acceptance']:.0%} accepted, {row['tokens a pass']} tokens a pass, "
        f"{row['times as fast']} times as fast ({row['slowest - fastest']})"
        for row in speculative_rows
    )
    + ".",
    table=speculative_rows,
)

# %% [markdown]
# Fewer passes? Look at the smallest tokens a pass. Faster? Look at the last columns. A pass gives its right guesses and one token more, so the figure above
# says what to expect of real text with 512 characters to search in. A short prompt leaves less to find, and a long one more.
#
# ### When does it lose?
#
# Whenever a pass over 1 + K tokens costs more than the tokens it wins. So measure that cost: the linear layer of one block, and a whole pass of
# the model, for several tokens against one.

# %% tags=["measure"]
rows_measured = (1, 2, 3, 5, 9, 17)
rng = np.random.default_rng(15)


def rows_of_linear(width: int) -> dict[str, Callable[[], object]]:
    """A product of some rows with a (4 C, C) weight."""
    weight = rng.standard_normal((4 * width, width), dtype=np.float32)
    inputs = {rows: rng.standard_normal((rows, width), dtype=np.float32) for rows in rows_measured}
    return {
        "baseline" if rows == 1 else str(rows): lambda x=x: x @ weight.T  # type: ignore[misc]
        for rows, x in inputs.items()
    }


def rows_of_model() -> dict[str, Callable[[], object]]:
    """A pass of `docs_gpt` over some tokens behind 100 others, and the rewind."""
    cache = KVCache.for_model(gpt)
    prefill(gpt, validation_ids[:100][None], cache)

    def one_pass(rows: int) -> None:
        with no_grad():
            gpt(validation_ids[100 : 100 + rows][None], cache=cache)
        cache.rewind(rows)

    return {
        "baseline" if rows == 1 else str(rows): lambda rows=rows: one_pass(rows)  # type: ignore[misc]
        for rows in rows_measured
    }


cost_of_rows: dict[str, list[tuple[int, float]]] = {}
cost_table = []
for what, passes in {
    "one layer, C = 128": rows_of_linear(128),
    "one layer, C = 1024": rows_of_linear(1024),
    "docs_gpt, a whole pass": rows_of_model(),
}.items():
    comparison = compare_latencies(passes, rounds=25, loops=20 if "128" in what else 1)
    # The fastest of many short samples: interruptions only ever add time.
    fastest = {row.name: min(row.latency.samples_ns) for row in comparison.rows}
    cost_of_rows[what] = [
        (rows, fastest["baseline" if rows == 1 else str(rows)] / fastest["baseline"])
        for rows in rows_measured
    ]
    cost_table.append(
        {"times one token": what}
        | {f"{rows} tokens": round(cost, 2) for rows, cost in cost_of_rows[what]}
    )
break_even = dict(cost_of_rows["docs_gpt, a whole pass"])[5]
dashboards.show(
    dashboards.scaling_curve(
        cost_of_rows, x_title="tokens in one pass", y_title="times the cost of one token"
    ),
    summary=f"On this machine a pass of docs_gpt over 5 tokens (4 guesses) costs {break_even:.2f} times a pass over one: guessing pays from {break_even:.2f} "
    "tokens a pass on. "
    + "; ".join(
        f"{what}: 2 tokens {costs[1][1]:.1f} times, 17 tokens {costs[-1][1]:.1f} times"
        for what, costs in cost_of_rows.items()
    )
    + ".",
    table=cost_table,
)

# %% [markdown]
# Where does the curve rise? If it jumps between one and two tokens and is flat afterwards, you see the linear algebra library change its method. A product
# with *one* row is a matrix-vector product: it reads the weights once, as they lie. From two rows on it is a matrix product, and a general
# one copies the weights into a better order first. For a hundred rows that pays. For five it does not.
#
# The idea is sound; this kernel is not made for it. Systems that gain from guessing have kernels for a few rows. They meet another limit: with
# many requests in one batch the machine is busy already, and a guess is no longer nearly free.
# %% [markdown]
# ## How far does it go?
#
# You removed the repeated work. What is left of a decode step is about a hundred small operations, and between them Python. Two finished steps go on from
# there. They do the same arithmetic and write into the same cache; you pass them as `step=` to your own `generate_cached`.
#
# - `FusedStep`: NumPy alone, with fewer and larger calls and no new memory;
# - `CompiledStep`: each block of the model is one compiled function, made by [numba](https://numba.pydata.org).
#
# Compiling has a price of its own, paid once on a machine, when it is imported. It is measured too.

# %% tags=["measure"]
start_ns = time.perf_counter_ns()
from tinytorch.models import CompiledStep, FusedStep  # compiles, unless it was done before

decode_prompt, decode_tokens, decode_rounds = validation_ids[:32], 96, 7
steps: dict[str, Any] = {"plain": None, "fused": FusedStep(gpt), "compiled": CompiledStep(gpt)}
texts = {
    name: generate_cached(gpt, decode_prompt, decode_tokens, step=step)
    for name, step in steps.items()
}
first_seconds = (time.perf_counter_ns() - start_ns) / 1e9
print(
    f"Two steps imported, made and a text written with each: {first_seconds:.1f} s, compiling included if this machine had not compiled it before."
)

# %% tags=["measure"]
tokens_a_second: dict[str, list[float]] = {name: [] for name in steps}
for turn in range(decode_rounds):
    for name in list(steps) if turn % 2 else list(steps)[::-1]:
        start_ns = time.perf_counter_ns()
        generate_cached(gpt, decode_prompt, decode_tokens, step=steps[name])
        tokens_a_second[name].append(decode_tokens * 1e9 / (time.perf_counter_ns() - start_ns))
decode_rows = []
for name, rates in tokens_a_second.items():
    ratios = sorted(own / plain for own, plain in zip(rates, tokens_a_second["plain"], strict=True))
    decode_rows.append(
        {
            "step": name,
            "tokens a second": round(float(np.median(rates))),
            "slowest - fastest": f"{min(rates):.0f} - {max(rates):.0f}",
            "times the plain step": round(float(np.median(ratios)), 2),
            "of the pairs": f"{ratios[0]:.2f} - {ratios[-1]:.2f}",
            "same text": bool((texts[name] == texts["plain"]).all()),
        }
    )
dashboards.show(
    dashboards.distribution(tokens_a_second, x_title="tokens a second, one sequence"),
    summary=f"32 characters read and {decode_tokens} written, {decode_rounds} rounds in turns: "
    + "; ".join(
        f"{row['step']} {row['tokens a second']} tokens a second ({row['slowest - fastest']}), {row['times the plain step']} times the plain step"
        for row in decode_rows
    )
    + ".",
    table=decode_rows,
)

# %% [markdown]
# If most of the plain step's time lies *between* its operations, then leaving out calls helps one sequence much, and sixteen sequences little: their
# calls are as many, and each does more. Look.

# %% tags=["measure"]
many_prompts = np.stack(
    [validation_ids[start : start + 32] for start in range(0, 16 * 64, 64)]
)  # (16, 32)
batch_rates: dict[str, list[float]] = {name: [] for name in steps}
for step in steps.values():
    generate_cached(gpt, many_prompts, 8, step=step)
for turn in range(5):
    for name in list(steps) if turn % 2 else list(steps)[::-1]:
        start_ns = time.perf_counter_ns()
        generate_cached(gpt, many_prompts, 48, step=steps[name])
        batch_rates[name].append(16 * 48 * 1e9 / (time.perf_counter_ns() - start_ns))
for name, rates in batch_rates.items():
    ratio = float(
        np.median([own / plain for own, plain in zip(rates, batch_rates["plain"], strict=True)])
    )
    alone = float(np.median(tokens_a_second[name]))
    print(
        f"{name:9s} 16 sequences: {np.median(rates):6.0f} tokens a second ({min(rates):.0f} - {max(rates):.0f}), "
        f"{ratio:.2f} times the plain step, {np.median(rates) / alone:.1f} times one sequence"
    )

# %% [markdown]
# ## The dashboard
#
# Latency of each token and memory, against the position. Choose: cache on or off, a window, fewer key/value heads, a length. Each
# setting is measured when you choose it. Below, the cache fills step by step: what each step writes, and what it reads.
#
# Try: without a cache, where does the curve bend? With a window of 32, from which token on is the line flat, and which slots are written again?


# %% tags=["measure"]
@dataclass(frozen=True)
class GenerationTrace:
    """What the dashboard draws for one setting."""

    positions: list[int]
    latency_ns: list[float]
    cache_bytes: list[int]
    frames: list[CacheFrame]
    note: str


trace_prompt = 16
sinks_of_windows = 4


def cache_of(window: int | None, kv_heads: int, length: int) -> Any:
    """An empty cache for a setting; the sinks are a part of the window."""
    layers, sinks = gpt_sizes.n_layer, sinks_of_windows
    if window is None:
        return KVCache(layers, 1, kv_heads, length, gpt_head_dim)
    return WindowKVCache(layers, 1, kv_heads, window - sinks, sinks, gpt_head_dim)


def bytes_kept(cache: Any) -> int:
    """Bytes of the keys and values a cache holds now."""
    return sum(layer.keys.nbytes + layer.values.nbytes for layer in cache)


def one_generation(
    model: GPT, cache: Any, length: int
) -> tuple[np.ndarray, list[float], list[int]]:
    """Write on up to `length` positions, with a cache or (None) without: ids, nanoseconds, bytes."""
    ids = validation_ids[:trace_prompt][None]  # (1, T)
    times, kept = [], []
    while ids.shape[1] < length:
        start_ns = time.perf_counter_ns()
        if cache is None:
            with no_grad():
                scores = model(ids, last_only=True).data[:, -1]  # (1, V)
        elif cache.length == 0:
            scores = prefill(model, ids, cache)
        else:
            scores = decode_step(model, ids[:, -1], cache)
        ids = np.concatenate([ids, scores.argmax(axis=1)[:, None]], axis=1)
        times.append(float(time.perf_counter_ns() - start_ns))
        kept.append(0 if cache is None else bytes_kept(cache))
    return ids[0], times, kept


def frames_of(model: GPT, cache: Any, ids: np.ndarray) -> list[CacheFrame]:
    """What each step writes and reads; without a cache every step computes all of it anew."""
    if cache is None:
        every = [list(range(end)) for end in range(trace_prompt, len(ids))]
        return [
            CacheFrame(
                i, "decode", seen, seen, len(ids), f"{len(seen)} positions, all computed anew"
            )
            for i, seen in enumerate(every)
        ]
    room = cache[0].capacity if isinstance(cache, KVCache) else cache[0].window + cache[0].sinks
    return watch_cache(model, cache, ids[:-1], trace_prompt, room)


def trace_of(cached: bool, window: int | None, kv_heads: int, length: int) -> GenerationTrace:
    """Measure one setting: the median of three generations, token by token."""
    model = grouped_models[kv_heads]
    runs = [
        one_generation(model, cache_of(window, kv_heads, length) if cached else None, length)
        for _ in range(3)
    ]
    ids, _, kept = runs[0]
    frames = frames_of(model, cache_of(window, kv_heads, length) if cached else None, ids)
    note = "Bytes are those of the positions kept. The first token, which reads the prompt, is left out."
    return GenerationTrace(
        positions=list(range(trace_prompt + 2, length + 1)),
        latency_ns=np.median([times for _, times, _ in runs], axis=0)[1:].tolist(),
        cache_bytes=kept[1:],
        frames=frames,
        note=note,
    )


dashboard = dashboards.MemoizationDashboard(
    trace_of,
    lengths=[64, 128, 256],
    windows=[None, 32, 64],
    kv_heads=[4, 2, 1],
)
dashboard

# %% [markdown] nbgrader={"grade_id": "question_cache_choice", "points": 5}
# ## A question to answer in words
#
# *20 minutes, 5 points, graded by your instructor.*
#
# You serve a chat model: 32 layers, 32 heads of 128 channels, float16, weights of 14 GiB, on a card of 24 GiB. Every request begins with the same
# instructions of 1500 tokens; a conversation then grows to 2500 tokens on average and 8000 at most. Your manager reads about speculative
# decoding and asks you to build it, "because it doubles the throughput". Forty users write at once, and some wait.
#
# In about twelve sentences: how many conversations fit at once today, if each gets a preallocated cache? Which of this module's means would you
# build first, and how many fit then? Which of them change what the model answers? What do you tell your manager about doubling, and which
# measurement would settle it?
#
# ### BEGIN SOLUTION
# A position costs 2 * 32 * 32 * 128 * 2 bytes = 512 KiB. A cache for 8000 positions is 3.9 GiB, and 10 GiB are left beside the weights: two
# conversations at once. Most of that room is never written: the average is 2500 positions, 1.2 GiB. Pages give each what it uses: about eight. The shared
# 1500 tokens (0.73 GiB) are stored once with copy-on-write, so each conversation adds 1000 positions, 0.49 GiB: (10 - 0.73) / 0.49 is about 18. Pages
# and sharing change no answer. Grouped heads (8 for 32) would give four times as many, but need training and change the answers; so does a window
# with sinks, which forgets the middle of long conversations. I build pages first. Speculative decoding changes no answer in exact arithmetic, and lowers the number
# of passes, not the bytes. It helps where a pass is limited by reading weights with few rows. With forty waiting users I fill the batch instead; wrong guesses then
# cost work others could use. Its gain depends on acceptance, which I measure on our own logs, and on tokens a second of the loaded server with and without it, in
# turns, with an interval. I would also watch the time to the first token and the longest wait.
#
# Rubric: 512 KiB a position and two conversations (1); pages with a shared prefix first, with a number between 15 and 20 (1); which means change the
# answers (heads, window) and which do not (pages, speculation) (1); why speculation gains little in a full batch, or that it saves no memory (1); a measurement: acceptance on real
# traffic, tokens a second under load, paired, with spread (1).
# ### END SOLUTION

# %% [markdown]
# ## Summary
#
# You stopped computing what you knew already. Keys and values of old positions do not change, so a token costs one pass over one position,
# and generation that grew with the square of the length grows with the length.
#
# You also know the price: 2 · L · H · D · T · B numbers. You can lower it by fewer key/value heads, by a window with sinks, by pages and by sharing, and
# you measured which of them cost quality. And you can let a model check several guesses at once without changing a single token.
#
# 1. Run `tito check 15`: every visible test, in a fresh process.
# 2. Run `tito export 15`: your code becomes `tinytorch.memoization`, and the next modules import it.
# 3. Hand in this notebook as your course tells you (`docs/students.md`).
#
# **Next, Module 16: Quantization.** The last factor of the law is the itemsize. And beside the cache stand the weights, four bytes each.
