"""Vacuum: the part of an object without sample, a reference for phase and amplitude."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Complexes, Floats
from ..errors import ScanError
from .area import Slices

SIDES = (1, 1 / 2, 1 / 4, 1 / 8)
"""Sides of the rectangles that are tried, as fractions of the sides of the area."""

MIN_SIDE_PX = 8
MIN_CONTRAST = 12.0
"""How many times less a vacuum rectangle varies than the average rectangle of the size that varies
most."""

MAX_VARIATION = 0.005
"""Maximum variation of a vacuum rectangle: noise of 0.1 rad, or of 0.1 of the modulus."""

NOISE_FREE = 1e-6
"""A smaller variation (0.001 rad) is rounding error."""

MAX_RATIO_TO_SMOOTHEST = 1.5
"""Maximum variation relative to the smoothest rectangle; more would be structure at its edge."""

MAX_AMPLITUDE_LOSS = 0.04
"""How much lower than in the brightest smooth rectangle the amplitude may be."""


def find_vacuum(wave: Complexes) -> Slices:
    """The largest rectangle with a flat amplitude near the maximum and a phase without structure.

    How much a rectangle varies is ½·⟨|Ψ(r+d)·e^(−iκ) − Ψ(r)|²⟩/⟨|Ψ|²⟩ with the best κ, for d of a
    quarter of its side along either axis: the structure function of the wave, known from
    turbulence (D. L. Fried, J. Opt. Soc. Am. 55, 1427 (1965)). A phase ramp, however steep, does
    not count.

    Parameters
    ----------
    wave
        (ny, nx) transmission, preferably of the scanned area only: noise varies, too.

    Raises
    ------
    ScanError
        There is none: every part varies about as much as the whole area.
    """
    sides = [sorted({round(n * s) for s in SIDES if n * s >= MIN_SIDE_PX}) for n in wave.shape]
    tried = [_rectangles(wave, (height, width)) for height, width in product(*sides)]
    found = np.concatenate([*tried, np.empty((0, 6))])
    typical = max((float(rectangles[:, 4].mean()) for rectangles in tried), default=0.0)
    found = found[found[:, 4] <= min(MAX_VARIATION, typical / MIN_CONTRAST)]
    if not len(found):
        raise ScanError(
            "no vacuum region was found: every part of the scanned area varies like the whole",
            "specify one (--flatten Y0,X0,H,W), or use the whole area (--flatten whole)",
        )
    found = found[found[:, 5] >= (1 - MAX_AMPLITUDE_LOSS) * found[:, 5].max()]
    found = found[found[:, 4] <= MAX_RATIO_TO_SMOOTHEST * found[:, 4].min()]
    area, variation = found[:, 2] * found[:, 3], found[:, 4]
    row, column, height, width = found[np.lexsort((variation, -area))[0], :4].astype(int).tolist()
    return slice(row, row + height), slice(column, column + width)


def _rectangles(wave: Complexes, shape: tuple[int, int]) -> Floats:
    """Rectangles of one shape: (n, 6) row, column, height, width, variation, amplitude."""
    variation = np.maximum(*(_variation(wave, shape, axis) for axis in (0, 1)))
    amplitude = _means(np.abs(wave), shape)
    # Rectangles an eighth of their sides apart are enough.
    grid = [
        np.arange(0, n, max(1, side // 8)) for n, side in zip(variation.shape, shape, strict=True)
    ]
    corners = np.stack(np.meshgrid(*grid, indexing="ij"), axis=-1).reshape(-1, 2)
    at = tuple(corners.T)
    size = np.tile(shape, (len(corners), 1))
    return np.column_stack([corners, size, variation[at], amplitude[at]]).astype(np.float64)


def _variation(wave: Complexes, shape: tuple[int, int], axis: int) -> Floats:
    """The structure function along ``axis`` of every rectangle of ``shape``."""
    step = max(1, shape[axis] // 4)
    ahead = np.take(wave, range(step, wave.shape[axis]), axis)
    behind = np.take(wave, range(wave.shape[axis] - step), axis)
    pairs = (shape[0] - step, shape[1]) if axis == 0 else (shape[0], shape[1] - step)
    power = _means((np.abs(ahead) ** 2 + np.abs(behind) ** 2) / 2, pairs)
    covariance = np.abs(_means(ahead * behind.conj(), pairs))
    variation: Floats = 1 - covariance / np.maximum(power, np.finfo(np.float64).tiny)
    return variation.clip(NOISE_FREE)


def _means(image: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Mean of every rectangle of ``shape``, by its first pixel; from sums over both axes."""
    sums = np.pad(image.astype(np.promote_types(image.dtype, np.float64)), ((1, 0), (1, 0)))
    sums = sums.cumsum(axis=0).cumsum(axis=1)
    height, width = shape
    total = (
        sums[height:, width:]
        - sums[:-height, width:]
        - sums[height:, :-width]
        + sums[:-height, :-width]
    )
    means: NDArray[Any] = total / (height * width)
    return means
