"""What the arithmetic on pixels takes and gives, and the part of it that needs no compiler."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bools, Float32s, Floats, Ints

SUM, MEAN, RATE = 0, 1, 2
"""How exposures are combined: sum (scaled for bad exposures), mean, counts per second."""

LARGEST = float(np.finfo(np.float32).max)
"""Largest value of a good pixel: loaded frames are float32."""

SMALLEST = float(np.nextafter(0, 1))
"""Smallest positive number."""

FEW_PIXELS = 2**24
"""NumPy takes 0.1 s for so many; importing Numba, and what it imports of SciPy, takes 0.4 s."""

_done = 0
"""Pixels that this process has corrected, roughly."""

PROMOTED = {
    "float16": np.float32,
    "longdouble": np.float64,
    "float128": np.float64,
    "bool": np.uint8,
}
"""Pixel types that kernels do not take, and the types they are converted to."""


def contiguous(raw: NDArray[Any]) -> NDArray[Any]:
    """Frames in C order and native byte order, for which the kernels are compiled."""
    dtype = PROMOTED.get(raw.dtype.name, raw.dtype.newbyteorder("="))
    return np.ascontiguousarray(raw, dtype=dtype)


def arithmetic(pixels: int) -> ModuleType:
    """The module whose functions correct so many pixels more: :mod:`.kernels`, or this one.

    Until a process has corrected :data:`FEW_PIXELS`, NumPy does it sooner than Numba is imported.
    The functions below give the same as the compiled ones, to the last bit.
    """
    global _done  # noqa: PLW0603
    _done += pixels
    if _done <= FEW_PIXELS and "numba" not in sys.modules:
        return sys.modules[__name__]
    from . import kernels

    return kernels


def single(
    raw: NDArray[Any],
    scale: Floats,
    offset: Float32s,
    gain: Float32s,
    limits: tuple[float, float, float],
    corner: tuple[int, int],
    frames: Float32s,
    tally: Ints,
) -> None:
    """As :func:`.kernels.single`."""
    top, left = corner
    threshold = limits[2]
    for p, one in enumerate(raw):
        value, valid = _corrected(one, scale[p], offset, gain, limits)
        kept = valid & (value >= (threshold if threshold > 0.0 else SMALLEST))
        out = frames[p, top : top + one.shape[0], left : left + one.shape[1]]
        out[...] = np.where(kept, value, 0.0)
        tally[p] = np.count_nonzero(~valid & (gain > 0.0)), kept.any()


def counted(
    raw: NDArray[Any],
    scale: float,
    offset: Float32s,
    gain: Float32s,
    limits: tuple[float, float, float],
    bad: Bools,
    corner: tuple[int, int],
    good: Bools,
) -> None:
    """As :func:`.kernels.counted`."""
    top, left = corner
    _, valid = _corrected(raw, scale, offset, gain, limits)
    good[top : top + raw.shape[0], left : left + raw.shape[1]] = valid & ~bad


def _corrected(
    raw: NDArray[Any],
    scale: float,
    offset: Float32s,
    gain: Float32s,
    limits: tuple[float, float, float],
) -> tuple[Floats, Bools]:
    """Corrected pixels of an exposure, and which of them are valid."""
    lowest, saturation, _ = limits
    counts = raw.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        value = (counts - offset) * gain * scale
    return value, (counts >= lowest) & (counts < saturation) & (value <= LARGEST)


def add_counts(  # noqa: PLR0913
    raw: NDArray[Any],
    offset: Float32s,
    gain: Float32s,
    bad: Bools,
    limits: tuple[float, float],
    size: int,
    rows: Floats,
    total: Floats,
    number: Floats,
) -> None:
    """As :func:`.kernels.add_counts`; ``rows`` is not used."""
    lowest, saturation = limits
    counts = raw.astype(np.float64)
    usable = ~bad & (counts >= lowest) & (counts < saturation)
    with np.errstate(invalid="ignore", over="ignore"):
        values = np.where(usable, (counts - offset) * gain, 0.0)
    for image, bins in ((values, total), (usable.astype(np.float64), number)):
        if size == 1:
            np.add(bins, image, out=bins)
            continue
        columns = np.zeros((len(bins), image.shape[1]))
        for y in range(size):
            part = image[y::size]
            columns[: len(part)] += part
        for x in range(size):
            part = columns[:, x::size]
            bins[:, : part.shape[1]] += part
