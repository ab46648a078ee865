"""The comparisons, in the order of the table."""

from collections.abc import Callable

from benchmarks.case import Case
from benchmarks.cases import (
    convolution,
    gpt_decode,
    gpt_forward,
    int8_decode,
    int8_linear,
    mlp_training,
    tiny_operations,
)

CASES: tuple[Callable[[], Case], ...] = (
    tiny_operations.recorded_add,
    tiny_operations.multiply_chain,
    mlp_training.small_step,
    mlp_training.large_step,
    convolution.forward,
    gpt_forward.uncached,
    gpt_decode.uncached_generation,
    gpt_decode.cached_beside_uncached,
    gpt_decode.late_beside_early,
    gpt_decode.fused_beside_torch,
    gpt_decode.compiled_beside_torch,
    gpt_decode.compiled_beside_ort,
    int8_linear.one_row,
    int8_linear.batch_of_64,
    int8_linear.batch_of_512,
    int8_decode.int8_beside_ort,
    int8_decode.int8_beside_fp32,
)
