"""Whether the processor multiplies bytes in vectors, and how many at once.

VNNI is an x86 instruction, `vpdpbusd`: in each 32-bit lane of a vector it multiplies four unsigned
bytes by four signed ones and adds the four products to the lane. Sums wrap around at 32 bits, so a
sum whose end fits is exact, whatever happened on the way.
"""

from tinytorch.kernels.compiled.cpu_features import has_feature

WIDE = has_feature("avx512vnni") and has_feature("avx512vl")
"""Vectors of 512 bits and 32 registers."""

NARROW = has_feature("avxvnni") and has_feature("avx2")
"""Vectors of 256 bits and 16 registers."""

LANES = 16 if WIDE else 8
"""32-bit lanes of a vector; each holds four bytes."""


def vnni_available() -> bool:
    """Whether int8 kernels use the processor's instruction for products of bytes.

    Where they cannot, kernels of plain loops compute the same integers more slowly.
    """
    return WIDE or NARROW
