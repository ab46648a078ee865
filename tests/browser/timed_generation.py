"""A small GPT that writes, timed token by token: traces measured on this machine."""

import time
from dataclasses import dataclass

import numpy as np

from tinytorch import no_grad
from tinytorch.models import GPT, GPTConfig

HEAD_CHANNELS = 16
PROMPT = 8


@dataclass
class Frame:
    step: int
    phase: str
    written: list
    read: list
    capacity: int
    label: str


@dataclass
class Trace:
    positions: list
    latency_ns: list
    cache_bytes: list
    frames: list
    note: str


class LayerCache:
    """Keeps keys and values of one layer, the newest `window` positions where there is one."""

    def __init__(self, heads, capacity, window):
        self.keys = np.zeros((1, heads, capacity, HEAD_CHANNELS), np.float32)
        self.values = np.zeros_like(self.keys)
        self.length, self.window = 0, window

    def first(self):
        return 0 if self.window is None else max(0, self.length - self.window)

    def update(self, keys, values):
        end = self.length + keys.shape[2]
        self.keys[:, :, self.length : end], self.values[:, :, self.length : end] = keys, values
        self.length = end
        return self.keys[:, :, self.first() : end], self.values[:, :, self.first() : end]

    def nbytes(self):
        return 2 * self.keys[:, :, self.first() : self.length].nbytes


def measure_generation(cached, window, kv_heads, length):
    """Write from PROMPT to `length` tokens with a GPT of `kv_heads` heads of 16 channels."""
    config = GPTConfig(64, length, n_layer=2, n_head=kv_heads, n_embd=HEAD_CHANNELS * kv_heads)
    model = GPT(config, rng=np.random.default_rng(0)).eval()
    caches = [LayerCache(kv_heads, length, window) for _ in range(2)] if cached else None
    trace = Trace([], [], [], [], f"A model of {kv_heads} heads, not trained.")
    ids = list(range(PROMPT))
    with no_grad():
        while len(ids) < length:
            stored = caches[0].length if cached else 0
            start = time.perf_counter_ns()
            scores = model(np.array([ids[stored:]]), cache=caches, last_only=True)
            trace.latency_ns.append(time.perf_counter_ns() - start)
            trace.positions.append(len(ids))
            trace.cache_bytes.append(sum(cache.nbytes() for cache in caches) if cached else 0)
            first = caches[0].first() if cached else 0
            phase = "prefill" if len(ids) == PROMPT else "decode"
            trace.frames.append(
                Frame(
                    len(trace.frames),
                    phase,
                    list(range(stored, len(ids))),
                    list(range(first, len(ids))),
                    length,
                    f"{phase}: {len(ids) - stored} in, reads {len(ids) - first}",
                )
            )
            ids.append(int(scores.data[0, -1].argmax()))
    return trace
