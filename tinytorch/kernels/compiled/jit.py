"""The one decorator that makes a Python function a machine code kernel."""

import contextlib
import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, overload

from numba import njit
from numba.core.caching import FunctionCache, IndexDataCacheFile

Function = TypeVar("Function", bound=Callable[..., Any])

ANY_ORDER = frozenset({"reassoc", "contract", "arcp", "nsz"})
"""LLVM's freedoms that let a loop be summed in vector registers. NaN and inf keep their meaning."""


@functools.lru_cache(maxsize=1)
def sources_digest() -> str:
    """A digest of all files of this folder: machine code made from other files is stale."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


class KernelCache(FunctionCache):
    """numba's cache of machine code on disk, made safe for kernels of several files.

    numba's own looks only at the file of the cached function, and would go on using an old version
    of a kernel that was compiled into it from another file.

    Raises:
        RuntimeError: there is no folder to write to.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)  # type: ignore[no-untyped-call]
        self._cache_file = IndexDataCacheFile(  # type: ignore[no-untyped-call]
            cache_path=self._cache_path,
            filename_base=self._impl.filename_base,
            source_stamp=sources_digest(),
        )

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The stored machine code for argument types, or None.

        Two processes that write at once can leave a file with the other one's types in it.
        """
        stored = super().load_overload(sig, target_context)  # type: ignore[no-untyped-call]
        fits = stored is not None and tuple(stored.signature.args) == tuple(sig)
        return stored if fits else None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Store machine code; on a full disk it is compiled again next time."""
        with contextlib.suppress(OSError):
            super().save_overload(sig, data)  # type: ignore[no-untyped-call]


@overload
def jit(function: Function) -> Function: ...


@overload
def jit(
    *, any_order: bool = ..., inline: bool = ..., cache: bool = ..., types: Any = ...
) -> Callable[[Function], Function]: ...


def jit(
    function: Callable[..., Any] | None = None,
    *,
    any_order: bool = False,
    inline: bool = False,
    cache: bool = True,
    types: Any = None,
) -> Any:
    """Compile a function with numba when it is first called with new argument types.

    The compiled function releases Python's lock and runs on the calling thread alone. Division by
    zero gives inf or NaN, as in NumPy. The machine code is kept on disk, for this processor and
    for these sources, wherever numba finds a folder to write to; elsewhere each process compiles.

    Args:
        function: what to compile: loops over NumPy arrays and numbers.
        any_order: sums may be taken in any order, so that loops over float32 use vectors. The last
            digits then depend on the processor.
        inline: paste the function into its callers, for what is called in an inner loop.
        cache: keep the machine code on disk; only kernels called from Python need it.
        types: numba types of the arguments. It is then compiled here and now for these alone, and
            calls with anything that does not convert to them raise TypeError.

    Returns:
        The compiled function, or with options alone a decorator.
    """
    if function is None:
        return functools.partial(jit, any_order=any_order, inline=inline, cache=cache, types=types)
    compiled = njit(
        function,
        nogil=True,
        error_model="numpy",
        fastmath=set(ANY_ORDER) if any_order else False,
        inline="always" if inline else "never",
    )
    if cache:
        with contextlib.suppress(RuntimeError):  # nowhere to write
            compiled._cache = KernelCache(function)
    if types is not None:
        compiled.compile(tuple(types))
        compiled.disable_compile()
    return compiled
