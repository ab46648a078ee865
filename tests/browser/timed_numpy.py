"""A block of a transformer in NumPy, timed step by step: results measured on this machine."""

import time
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

WIDTHS = {"small": 64, "wide": 256}


@dataclass
class Region:
    name: str
    path: tuple
    calls: int
    inclusive_ns: int
    exclusive_ns: int


@dataclass
class Ceilings:
    gflops: float
    gigabytes_per_second: float


@dataclass
class Point:
    name: str
    flops: int
    bytes_moved: int
    seconds: float
    roof: Ceilings

    @property
    def intensity(self):
        return self.flops / self.bytes_moved

    @property
    def gflops(self):
        return self.flops / self.seconds / 1e9

    @property
    def bound(self):
        memory_roof = self.intensity * self.roof.gigabytes_per_second
        return "memory" if memory_roof < self.roof.gflops else "compute"


@dataclass
class Result:
    latency_ns: float
    regions: list
    memory: dict
    timeline: list
    ceilings: Ceilings
    roofline_points: list


def measured_ceilings():
    square = np.ones((512, 512), np.float32)
    block = np.ones(4_000_000, np.float32)
    target = np.empty_like(block)
    gemm = min(seconds_of(lambda: square @ square) for _ in range(5))
    copy = min(seconds_of(lambda: np.copyto(target, block)) for _ in range(5))
    return Ceilings(2 * 512**3 / gemm / 1e9, 2 * block.nbytes / copy / 1e9)


def seconds_of(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Recorder:
    def __init__(self):
        self.start = time.perf_counter_ns()
        self.live, self.timeline, self.open, self.regions, self.work = (
            0,
            [(0, 0, "start")],
            [],
            {},
            {},
        )

    @contextmanager
    def region(self, name):
        self.open.append([name, 0])
        path = tuple(part for part, _ in self.open)
        start = time.perf_counter_ns()
        try:
            yield
        finally:
            spent = time.perf_counter_ns() - start
            inside = self.open.pop()[1]
            if self.open:
                self.open[-1][1] += spent
            seen = self.regions.setdefault(path, Region(name, path, 0, 0, 0))
            seen.calls += 1
            seen.inclusive_ns += spent
            seen.exclusive_ns += spent - inside

    def step(self, name, flops, function, *arrays):
        with self.region(name):
            start = time.perf_counter()
            result = function(*arrays)
            seconds = time.perf_counter() - start
        moved = result.nbytes + sum(array.nbytes for array in arrays)
        before = self.work.get(name, (0, 0, 0.0))
        self.work[name] = tuple(a + b for a, b in zip(before, (flops, moved, seconds), strict=True))
        self.allocated(name, result.nbytes)
        return result

    def allocated(self, name, size):
        self.live += size
        self.timeline.append((time.perf_counter_ns() - self.start, self.live, name))


def softmax(x):
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    return x / x.sum(axis=-1, keepdims=True)


def block(record, x, weights):
    batch, length, width = x.shape
    with record.region("block"):
        with record.region("attention"):
            qkv = record.step("project", 6 * x.size * width, np.matmul, x, weights["qkv"])
            q, k, v = np.split(qkv, 3, axis=-1)
            scores = record.step(
                "scores", 2 * batch * length**2 * width, np.matmul, q, k.swapaxes(1, 2)
            )
            chances = record.step("softmax", 5 * scores.size, softmax, scores)
            x = record.step("mix", 2 * batch * length**2 * width, np.matmul, chances, v)
            record.allocated("attention freed", -scores.nbytes - chances.nbytes)
        with record.region("feed_forward"):
            hidden = record.step("expand", 8 * x.size * width, np.matmul, x, weights["up"])
            hidden = record.step("relu", hidden.size, lambda h: np.maximum(h, 0), hidden)
            return record.step("contract", 8 * x.size * width, np.matmul, hidden, weights["down"])


CEILINGS = measured_ceilings()


def measure(model, batch_size, sequence_length):
    width = WIDTHS[model]
    rng = np.random.default_rng(0)
    shapes = {"qkv": (width, 3 * width), "up": (width, 4 * width), "down": (4 * width, width)}
    weights = {name: rng.normal(size=s).astype(np.float32) for name, s in shapes.items()}
    x = rng.normal(size=(batch_size, sequence_length, width)).astype(np.float32)
    block(Recorder(), x, weights)
    record = Recorder()
    with record.region(model):
        for _ in range(3):
            block(record, x, weights)
    points = [Point(name, *work, CEILINGS) for name, work in record.work.items()]
    whole = record.regions[(model,)].inclusive_ns
    sizes = {
        "parameters": sum(array.nbytes for array in weights.values()),
        "activations": max(live for _, live, _ in record.timeline),
        "gradients": 0,
        "optimizer_state": 0,
    }
    sizes["peak"] = sum(sizes.values())
    return Result(whole, list(record.regions.values()), sizes, record.timeline, CEILINGS, points)


def latencies(length):
    return [measure("small", 1, length).latency_ns / 1e6 for _ in range(40)]
