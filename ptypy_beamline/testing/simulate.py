"""Scans with a known truth: sample, probe, positions and the photons they give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import DTypeLike, NDArray
from scipy.ndimage import gaussian_filter, rotate

from ..arrays import Bools, Complex64s, Float32s, Floats, Ints
from ..frames.simulated import zone_plate_beam
from ..geometry import wavelength_m

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
"""An F, which no rotation, mirroring or transposition leaves unchanged."""


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
        Random generator for the grains' positions and the texture.
    """
    thickness = 0.55 * _spokes(shape) + 0.35 * _grains(shape, rng)
    thickness = np.maximum(thickness, 0.75 * _letters(shape))
    thickness += 0.10 * _smooth_noise(shape, min(shape) / 8, rng)
    thickness += 0.12 * _smooth_noise(shape, 1.5, rng)
    thickness = thickness.clip(0, 1)
    absorption = 0.25 * thickness + 0.10 * _smooth_noise(shape, min(shape) / 12, rng)
    return np.asarray(np.exp(-absorption.clip(0, 0.35) - 1j * thickness), np.complex64)


def _spokes(shape: tuple[int, int]) -> Bools:
    """A spoke pattern, without symmetry, left of and above the middle, cut by a ring."""
    y, x = np.indices(shape, dtype=np.float64)
    y, x = y - 0.44 * shape[0], x - 0.42 * shape[1]
    r = np.hypot(y, x) / (0.27 * min(shape))
    wedge = np.sin(27 * np.arctan2(y, x) + 0.8) > 0
    return np.asarray(wedge & (r < 1) & (r > 0.12) & (np.abs(r - 0.55) > 0.03))


def _letters(shape: tuple[int, int]) -> Floats:
    """A large upright F at the lower right and a small rotated one at the upper right."""
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


GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))
MARGIN_PX = 4
"""Object pixels around the outermost views."""

Grid = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Truth:
    """A simulated far-field scan and everything it was made from.

    Attributes
    ----------
    object
        (ny, nx) complex64 transmission, in pixels of ``object_pixel_m``.
    probe
        (N, N) complex64; its power is the mean photons of a frame in free space.
    positions_m
        (n, 2) y, x of the illumination on the sample, whole multiples of ``object_pixel_m``.
    corners_px
        (n, 2) row, column of each view's first pixel in ``object``.
    frames
        (n, N, N) photon counts, beam centre at pixel N//2.
    energy_eV, distance_m, pixel_m, object_pixel_m
        Photon energy, sample-detector distance, detector pixel (y, x), object pixel (y, x).
    """

    object: Complex64s
    probe: Complex64s
    positions_m: Floats
    corners_px: Ints
    frames: NDArray[np.unsignedinteger[Any]]
    energy_eV: float
    distance_m: float
    pixel_m: tuple[float, float]
    object_pixel_m: tuple[float, float]


def simulate(  # noqa: PLR0913
    n: int = 128,
    shape: Grid = (12, 12),
    step_px: float = 10,
    pattern: str = "raster",
    *,
    photons: float = 1e6,
    seed: int = 0,
    dtype: DTypeLike = np.uint32,
    energy_eV: float = 8800.0,
    pixel_m: float = 75e-6,
    object_pixel_m: float = 10e-9,
) -> Truth:
    """Simulate a far-field scan: Poisson noise on |FFT(probe·view)|².

    Parameters
    ----------
    n
        Frames are n by n pixels.
    shape
        Rows and columns of the scan; the spirals have rows·columns points on the same area.
    step_px
        Mean step in pixels of the reconstruction. Positions are rounded to whole pixels and
        reported as rounded, so the truth is exact.
    pattern
        One of :data:`PATTERNS`.
    photons
        Mean photons of a frame.
    seed
        Seed of the sample, the jitter and the noise.
    dtype
        Type of the counts; larger counts are clipped.
    energy_eV, pixel_m, object_pixel_m
        The distance follows from them: z = object pixel·n·pixel/λ.
    """
    rng = np.random.default_rng(seed)
    points = np.rint(PATTERNS[pattern](shape, rng) * step_px).astype(np.int64)
    corners = points - points.min(axis=0) + MARGIN_PX
    rows, columns = (int(c) for c in corners.max(axis=0) + n + MARGIN_PX)
    truth, probe = sample((rows, columns), rng), zone_plate_beam(n)
    intensity = diffract(truth, probe, corners)
    power = photons / float(intensity.sum(axis=(1, 2)).mean())
    counts = rng.poisson(intensity * power).clip(0, np.iinfo(np.dtype(dtype)).max)
    return Truth(
        object=truth,
        probe=(probe * np.sqrt(power)).astype(np.complex64),
        positions_m=np.asarray(points * object_pixel_m, np.float64),
        corners_px=corners,
        frames=counts.astype(dtype),
        energy_eV=energy_eV,
        distance_m=object_pixel_m * n * pixel_m / wavelength_m(energy_eV),
        pixel_m=(pixel_m, pixel_m),
        object_pixel_m=(object_pixel_m, object_pixel_m),
    )


def diffract(transmission: Complex64s, probe: Complex64s, corners_px: Ints) -> Float32s:
    """Far-field intensities |fftshift(fft2(probe·view))|²/N², (n, N, N).

    With this (orthonormal) scale the intensity of a frame sums to the power of its exit wave.
    """
    n = probe.shape[0]
    windows = np.lib.stride_tricks.sliding_window_view(transmission, (n, n))
    out = np.empty((len(corners_px), n, n), np.float32)
    for start in range(0, len(out), 64):
        part = corners_px[start : start + 64]
        waves = windows[part[:, 0], part[:, 1]] * probe
        spectrum = scipy.fft.fft2(waves, norm="ortho", workers=2, overwrite_x=True)
        out[start : start + 64] = np.abs(scipy.fft.fftshift(spectrum, axes=(1, 2))) ** 2
    return out


def _raster(shape: Grid, rng: np.random.Generator) -> Floats:
    """Row after row, columns fast, all in the same direction."""
    points = np.indices(shape).reshape(2, -1).T
    return np.asarray(points - np.array(shape) // 2, np.float64)


def _snake(shape: Grid, rng: np.random.Generator) -> Floats:
    """A raster whose odd rows run backwards."""
    rows = _raster(shape, rng).reshape(*shape, 2)
    rows[1::2] = rows[1::2, ::-1].copy()
    return rows.reshape(-1, 2)


def _jitter(shape: Grid, rng: np.random.Generator) -> Floats:
    """A raster with each point moved by up to a third of a step."""
    points = _raster(shape, rng)
    return points + rng.uniform(-1 / 3, 1 / 3, points.shape)


def _spiral(shape: Grid, rng: np.random.Generator) -> Floats:
    """An Archimedean spiral, one step between turns and along the arm."""
    turns = np.sqrt(np.arange(shape[0] * shape[1]) / np.pi)
    return _polar(turns, 2 * np.pi * turns)


def _fermat(shape: Grid, rng: np.random.Generator) -> Floats:
    """A Fermat spiral, r = c·√k at the golden angle.

    Source: X. Huang et al., Opt. Express 22, 12634 (2014).
    """
    k = np.arange(shape[0] * shape[1])
    return _polar(np.sqrt(k / np.pi), GOLDEN_ANGLE * k)


def _polar(r: Floats, angle: Floats) -> Floats:
    return np.stack([r * np.sin(angle), r * np.cos(angle)], axis=-1)


PATTERNS: dict[str, Callable[[Grid, np.random.Generator], Floats]] = {
    "raster": _raster,
    "snake": _snake,
    "jitter": _jitter,
    "spiral": _spiral,
    "fermat": _fermat,
}
"""Scan patterns by name: (n, 2) points in units of a step, in the order they are visited."""
