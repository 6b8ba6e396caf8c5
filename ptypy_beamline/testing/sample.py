"""A sample that makes every mistake of orientation, sign or handedness visible."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, rotate

from ..arrays import Bools, Complex64s, Floats

LETTER = np.array(
    [
        [1, 1, 1, 1, 1],
        [1, 0, 0, 0, 0],
        [1, 1, 1, 1, 0],
        [1, 0, 0, 0, 0],
        [1, 0, 0, 0, 0],
        [1, 0, 0, 0, 0],
    ],
    dtype=np.float64,
)
"""An F: no rotation, mirroring or transposition leaves it as it is."""


def sample(shape: tuple[int, int], rng: np.random.Generator) -> Complex64s:
    """Complex transmission of a flat sample.

    A spoke pattern, an F, round grains, a fine texture and a smooth background. It follows
    T = exp(−k·β·t)·exp(−i·k·δ·t): material gives a *negative* phase, here down to about −1 rad,
    and an amplitude between 0.7 and 1.

    Parameters
    ----------
    shape
        (ny, nx) in pixels of the reconstruction.
    rng
        Source of the grains' places and of the texture.
    """
    thickness = np.zeros(shape)
    thickness += 0.55 * _spokes(shape)
    thickness += 0.35 * _grains(shape, rng)
    thickness = np.maximum(thickness, 0.75 * _letters(shape))
    thickness += 0.10 * _smooth_noise(shape, min(shape) / 8, rng)
    thickness += 0.12 * _smooth_noise(shape, 1.5, rng)
    thickness = thickness.clip(0, 1)
    absorption = 0.25 * thickness + 0.10 * _smooth_noise(shape, min(shape) / 12, rng)
    return np.asarray(np.exp(-absorption.clip(0, 0.35) - 1j * thickness), np.complex64)


def _spokes(shape: tuple[int, int], spokes: int = 27) -> Bools:
    """A spoke pattern left of and above the middle, cut by a ring.

    An odd number of spokes and an odd angle leave it no symmetry.
    """
    y, x = np.indices(shape, dtype=np.float64)
    y, x = y - 0.44 * shape[0], x - 0.42 * shape[1]
    r = np.hypot(y, x) / (0.27 * min(shape))
    wedge = np.sin(spokes * np.arctan2(y, x) + 0.8) > 0
    return np.asarray(wedge & (r < 1) & (r > 0.12) & (np.abs(r - 0.55) > 0.03))


def _letters(shape: tuple[int, int]) -> Floats:
    """A large upright F at the lower right and a small turned one at the upper right."""
    image = np.zeros(shape)
    scale = max(1, min(shape) // 36)
    for letter, (row, column) in (
        (np.kron(LETTER, np.ones((scale, scale))), (0.60, 0.60)),
        (rotate(np.kron(LETTER, np.ones((scale, scale))), 30, order=1).clip(0, 1), (0.20, 0.62)),
    ):
        top, left = int(row * shape[0]), int(column * shape[1])
        part = image[top : top + letter.shape[0], left : left + letter.shape[1]]
        part += letter[: part.shape[0], : part.shape[1]]
    return image


def _grains(shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Round grains, denser towards the bottom, so that up and down differ."""
    image = np.zeros(shape)
    y, x = np.indices(shape)
    for _ in range(int(shape[0] * shape[1] / 900)):
        row, column = shape[0] * rng.random() ** 0.5, shape[1] * rng.random()
        radius = rng.uniform(2, 7)
        rows = slice(max(0, int(row - radius) - 1), int(row + radius) + 2)
        columns = slice(max(0, int(column - radius) - 1), int(column + radius) + 2)
        distance = np.hypot(y[rows, columns] - row, x[rows, columns] - column)
        part = image[rows, columns]
        np.maximum(part, distance < radius, out=part)
    return image


def _smooth_noise(shape: tuple[int, int], sigma_px: float, rng: np.random.Generator) -> Floats:
    """Noise smoothed over ``sigma_px``, between 0 and 1."""
    noise: NDArray[Any] = gaussian_filter(rng.standard_normal(shape), sigma_px, mode="wrap")
    return np.asarray((noise - noise.min()) / np.ptp(noise))
