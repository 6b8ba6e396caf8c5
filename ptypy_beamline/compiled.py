"""Functions that numba compiles, without the interpreter lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

from .kernel_cache import KernelCache


def compiled(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Compile without the interpreter lock; keep the result on disk where there is a place."""
    kernel: Any = njit(nogil=True, **options)(function)
    if hasattr(kernel, "_cache"):  # else NUMBA_DISABLE_JIT, to debug
        kernel._cache = KernelCache(function)
    return kernel  # type: ignore[no-any-return]


def compiled_fast(function: Callable[..., Any]) -> Callable[..., Any]:
    """:func:`compiled`, with sums in whatever order the machine adds fastest; not for NaN.

    Division by 0 gives infinity: a loop that could stop there computes one pixel at a time.
    """
    fastmath = {"reassoc", "contract", "nsz", "arcp", "nnan"}
    return compiled(function, fastmath=fastmath, error_model="numpy")
