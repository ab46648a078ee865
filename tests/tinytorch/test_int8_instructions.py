"""Which instructions are used: the other widths of vectors, in processes that see less of them."""

import os
import subprocess
import sys

import numpy as np
import pytest
from numba.core.codegen import get_host_cpu_features

from tinytorch.kernels.compiled import has_feature
from tinytorch.kernels.compiled.int8_packed import LANES, WIDE, pack
from tinytorch.kernels.compiled.int8_vnni import NARROW

EXACT = """
import numpy as np
from tinytorch.kernels.compiled import int8_matmul, vnni_available
from tinytorch.kernels.compiled.int8_vnni import LANES, WIDE
rng = np.random.default_rng(0)
for rows in (1, 2, 5, 6, 7, 12, 17, 20, 21, 64, 193, 200):
    for channels, columns in ((1, 1), (31, 15), (32, 16), (101, 33), (64, 70)):
        a = rng.integers(-128, 128, (rows, channels), dtype=np.int8)
        b = rng.integers(-128, 128, (columns, channels), dtype=np.int8)
        exact = a.astype(np.int64) @ b.astype(np.int64).T
        assert (int8_matmul(a, b) == exact).all(), (rows, channels, columns)
print(vnni_available(), WIDE, LANES)
"""


def run_without(prefix):
    """The script's output where numba sees no instructions of a family."""
    features = [
        f"-{name[1:]}" if name[1:].startswith(prefix) else name
        for name in get_host_cpu_features().split(",")
    ]
    environment = os.environ | {"NUMBA_CPU_FEATURES": ",".join(features)}
    done = subprocess.run(
        [sys.executable, "-c", EXACT], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.skipif(not NARROW, reason="the processor has no VNNI for 256 bits")
def test_narrow_vectors_are_exact():
    """Rejects tiles that are only right for 512 bits; most laptops have 256."""
    assert run_without("avx512") == ["True", "False", "8"]


def test_plain_loops_are_exact():
    """Rejects an intrinsic that is compiled where the processor lacks it."""
    assert run_without("avx") == ["False", "False", "8"]


def test_this_processor():
    """What the constants say follows from the probe."""
    assert (has_feature("avx512vnni") and has_feature("avx512vl")) == WIDE
    assert (16 if WIDE else 8) == LANES


def test_layout_of_panels():
    """Four channels of each of LANES weight rows lie together, plus 128; the rest is filled up."""
    weight = np.arange(-30, 25, dtype=np.int8).reshape(5, 11)
    panels = pack(weight)
    assert panels.shape == (2, 3, 4 * LANES)
    lanes = panels.reshape(2, 3, LANES, 4)
    for row in range(5):
        stored = lanes[0, :, row].reshape(-1)[:11].astype(int) - 128
        np.testing.assert_array_equal(stored, weight[row])
