"""The decorator compiles what it says, and its cache on disk is never stale and never needed."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numba import types
from numba.core.caching import FunctionCache, IndexDataCacheFile

from tinytorch.kernels.compiled import cpu_name, has_feature, jit
from tinytorch.kernels.compiled.jit import sources_digest

JIT_MODULE = sys.modules["tinytorch.kernels.compiled.jit"]
DOT = """
import numpy as np
from tinytorch.kernels.compiled import jit

@jit(any_order=True)
def dot(a, b):
    total = np.float32(0)
    for i in range(a.size):
        total += a[i] * b[i]
    return total
"""


def imported(path: Path) -> ModuleType:
    """A fresh copy of a module, as another process would have it."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def kernel_file(tmp_path: Path) -> Path:
    path = tmp_path / "kernel.py"
    path.write_text(DOT, encoding="utf-8")
    return path


def called(path: Path) -> Any:
    """The function of a fresh copy of the module, after one call."""
    dot = imported(path).dot
    x = np.arange(5, dtype=np.float32)
    assert dot(x, x) == 30
    return dot


class TestCompiling:
    def test_the_package_gives_the_decorator_and_not_its_module(self) -> None:
        assert jit is JIT_MODULE.jit

    def test_it_compiles_with_and_without_options(self) -> None:
        @jit
        def twice(x: float) -> float:
            return 2 * x

        @jit(inline=True, cache=False)
        def thrice(x: float) -> float:
            return 3 * x

        assert (twice(2.5), thrice(2.5)) == (5.0, 7.5)
        assert twice.signatures == [(types.float64,)]  # type: ignore[attr-defined]

    def test_it_releases_the_lock_and_starts_no_threads(self) -> None:
        @jit(cache=False)
        def one() -> int:
            return 1

        options = one.targetoptions  # type: ignore[attr-defined]
        assert options["nogil"] is True
        assert not options.get("parallel", False)

    def test_a_division_by_zero_is_inf_as_in_numpy(self) -> None:
        @jit(cache=False)
        def divide(a: float, b: float) -> float:
            return a / b

        assert divide(1.0, 0.0) == np.inf

    def test_sums_in_any_order_keep_nan_and_inf(self, kernel_file: Path) -> None:
        dot = imported(kernel_file).dot
        x = np.random.default_rng(0).standard_normal(1003).astype(np.float32)
        exact = float(x.astype(np.float64) @ x.astype(np.float64))
        assert dot(x, x) == pytest.approx(exact, rel=1e-5)
        x[700] = np.inf
        assert dot(x, np.ones_like(x)) == np.inf
        x[3] = np.nan
        assert np.isnan(dot(x, x))

    def test_with_types_it_compiles_at_once_and_never_again(self) -> None:
        vector = types.Array(types.float32, 1, "C", readonly=True)

        @jit(types=(vector,), cache=False)
        def first(x: np.ndarray[tuple[int], np.dtype[np.float32]]) -> np.float32:
            return x[0]  # type: ignore[no-any-return]

        assert first.signatures == [(vector,)]  # type: ignore[attr-defined]
        assert first(np.array([4, 5], np.float32)) == 4
        with pytest.raises(TypeError, match="No matching definition"):
            first(np.array([4, 5], np.float64))
        with pytest.raises(TypeError, match="No matching definition"):
            first(np.arange(9, dtype=np.float32)[::2])


class TestCache:
    def test_the_second_process_finds_the_machine_code(self, kernel_file: Path) -> None:
        assert sum(called(kernel_file).stats.cache_misses.values()) == 1
        again = called(kernel_file).stats
        assert (len(again.cache_hits), len(again.cache_misses)) == (1, 0)

    def test_machine_code_of_other_sources_is_not_used(
        self, kernel_file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        called(kernel_file)
        monkeypatch.setattr(JIT_MODULE, "sources_digest", lambda: "another digest")
        assert len(called(kernel_file).stats.cache_misses) == 1

    def test_the_digest_follows_every_file_of_the_kernels(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(JIT_MODULE, "__file__", str(tmp_path / "jit.py"))
        digests = set()
        for name, text in [("jit.py", "a"), ("gemm.py", "b"), ("gemm.py", "c")]:
            (tmp_path / name).write_text(text, encoding="utf-8")
            digests.add(sources_digest.__wrapped__())
        assert len(digests) == 3

    def test_no_folder_to_write_to_means_no_cache(self) -> None:
        space: dict[str, Any] = {}
        exec(compile(DOT, "<nowhere>", "exec"), space)  # numba finds no folder for such a file
        x = np.arange(5, dtype=np.float32)
        assert space["dot"](x, x) == 30
        assert space["dot"].stats.cache_path is None

    def test_a_full_disk_only_costs_the_cache(
        self, kernel_file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(IndexDataCacheFile, "save", full)
        called(kernel_file)

    def test_a_file_with_other_types_is_not_used(
        self, kernel_file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        dot = called(kernel_file)
        other = dot.overloads[dot.signatures[0]]
        x = np.arange(3, dtype=np.float64)
        monkeypatch.setattr(FunctionCache, "load_overload", lambda *_: other)
        fresh = imported(kernel_file).dot
        assert fresh(x, x) == 5.0
        assert fresh.signatures[0][0].dtype == types.float64


class TestProcessor:
    def test_what_every_64_bit_pc_has_is_there(self) -> None:
        assert has_feature("no-such-instructions") is False
        if os.uname().machine == "x86_64":
            assert has_feature("sse2") is True
        assert len(cpu_name()) > 1

    @pytest.mark.parametrize(
        ("name", "value", "answer"),
        [
            ("NUMBA_CPU_FEATURES", "+sse2,-avx512f", "True False"),
            ("NUMBA_CPU_FEATURES", "-sse2,+avx512f", "False True"),
            ("NUMBA_CPU_NAME", "generic", "False False"),
        ],
    )
    def test_numbas_own_settings_count(self, name: str, value: str, answer: str) -> None:
        code = (
            "from tinytorch.kernels.compiled.cpu_features import has_feature\n"
            "print(has_feature('sse2'), has_feature('avx512f'))"
        )
        run = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, name: value},
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.split() == answer.split()
