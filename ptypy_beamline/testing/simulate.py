"""Scans with a known truth: sample, probe, positions and the photons they give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import DTypeLike, NDArray

from ..arrays import Complex64s, Float32s, Floats, Ints
from ..frames.simulated import zone_plate_beam
from ..geometry import wavelength_m
from .sample import sample

GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))
MARGIN_PX = 4
"""Object pixels around the outermost views."""

Grid = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Truth:
    """A simulated far-field scan and all that made it.

    Attributes
    ----------
    object
        (ny, nx) complex64 transmission, in pixels of ``resolution_m``.
    probe
        (N, N) complex64; its power is the mean photons of a frame in free space.
    positions_m
        (n, 2) y, x of the illumination on the sample, whole multiples of ``resolution_m``.
    corners_px
        (n, 2) row, column of each view's first pixel in ``object``.
    frames
        (n, N, N) photon counts, beam centre at pixel N//2.
    energy_eV, distance_m, pixel_m, resolution_m
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
    resolution_m: tuple[float, float]


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
    resolution_m: float = 10e-9,
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
        Of the sample, the jitter and the noise.
    dtype
        Of the counts; larger ones are clipped.
    energy_eV, pixel_m, resolution_m
        The distance follows from them: z = resolution·n·pixel/λ.
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
        positions_m=np.asarray(points * resolution_m, np.float64),
        corners_px=corners,
        frames=counts.astype(dtype),
        energy_eV=energy_eV,
        distance_m=resolution_m * n * pixel_m / wavelength_m(energy_eV),
        pixel_m=(pixel_m, pixel_m),
        resolution_m=(resolution_m, resolution_m),
    )


def diffract(
    transmission: Complex64s,
    probe: Complex64s,
    corners_px: Ints,
    workers: int = 2,
) -> Float32s:
    """Far-field intensities |fftshift(fft2(probe·view))|²/N², (n, N, N).

    With this (orthonormal) scale the intensity of a frame sums to the power of its exit wave.
    """
    n = probe.shape[0]
    windows = np.lib.stride_tricks.sliding_window_view(transmission, (n, n))
    out = np.empty((len(corners_px), n, n), np.float32)
    for start in range(0, len(out), 64):
        part = corners_px[start : start + 64]
        waves = windows[part[:, 0], part[:, 1]] * probe
        spectrum = scipy.fft.fft2(waves, norm="ortho", workers=workers, overwrite_x=True)
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
