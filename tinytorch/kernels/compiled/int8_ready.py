"""Importing this compiles the int8 kernels that suit this processor.

For a process that will be forked many times: its children find the work done.
"""

from tinytorch.kernels.compiled.int8_decode import DECODE
from tinytorch.kernels.compiled.int8_direct import matmul_direct
from tinytorch.kernels.compiled.int8_gemm import matmul_packed, matmul_plain
from tinytorch.kernels.compiled.int8_linear import LINEAR
from tinytorch.kernels.compiled.int8_vnni import vnni_available

PACKED = vnni_available()

for kernel in (LINEAR[PACKED], *DECODE[PACKED]):
    kernel.compile()
for product in (matmul_direct, matmul_packed) if PACKED else (matmul_plain,):
    product.compile()
