"""What the processor can do, as numba sees it when it compiles."""

from numba import config
from numba.core.codegen import get_host_cpu_features
from numba.core.registry import cpu_target


def cpu_name() -> str:
    """The processor numba compiles for, by LLVM's name: "znver4", "skylake-avx512", ..."""
    return str(cpu_target.target_context.codegen().magic_tuple()[1])


def has_feature(name: str) -> bool:
    """Whether numba compiles for a processor with an instruction set, by LLVM's name for it.

    Args:
        name: for example "avx2", "avx512f", "avx512vnni".

    Returns:
        False also when `NUMBA_CPU_FEATURES` or `NUMBA_ENABLE_AVX` took the instructions away: code
        that uses them could then not be compiled.
    """
    chosen = config.CPU_FEATURES  # type: ignore[attr-defined]
    if chosen is None:
        chosen = get_host_cpu_features()  # type: ignore[no-untyped-call]
    return f"+{name}" in str(chosen).split(",")  # of "+avx2,-avx512f,..."
