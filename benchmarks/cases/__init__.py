"""The comparisons, in the order of the table."""

from collections.abc import Callable

from benchmarks.case import Case
from benchmarks.cases import convolution, gpt_forward, mlp_training, tiny_operations

CASES: tuple[Callable[[], Case], ...] = (
    tiny_operations.recorded_add,
    tiny_operations.multiply_chain,
    mlp_training.small_step,
    mlp_training.large_step,
    convolution.forward,
    gpt_forward.uncached,
)
