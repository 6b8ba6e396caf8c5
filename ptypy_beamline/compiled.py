"""Functions compiled by numba, which run without the interpreter lock."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Compile without the interpreter lock; keep the result on disk where there is a place."""
    try:
        kernel: Any = njit(nogil=True, cache=True, **options)(function)
    except RuntimeError:  # neither the package's folder nor the home can be written
        return njit(nogil=True, **options)(function)  # type: ignore[no-any-return]
    if not hasattr(kernel, "_cache"):  # NUMBA_DISABLE_JIT, to debug
        return function
    keep = kernel._cache.save_overload

    def keep_if_there_is_room(signature: Any, code: Any) -> None:
        with suppress(OSError):
            keep(signature, code)

    kernel._cache.save_overload = keep_if_there_is_room
    return kernel  # type: ignore[no-any-return]


def compiled_fast(function: Callable[..., Any]) -> Callable[..., Any]:
    """:func:`compiled`, with sums in whatever order the machine adds fastest; not for NaN.

    Division by 0 gives infinity: a loop that could stop there computes one pixel at a time.
    """
    fastmath = {"reassoc", "contract", "nsz", "arcp", "nnan"}
    return compiled(function, fastmath=fastmath, error_model="numpy")
