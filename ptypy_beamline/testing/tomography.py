"""A tilt series with known truth: spheres of known electron density on a rotation axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy
from scipy.constants import physical_constants
from scipy.ndimage import fourier_shift

from ..arrays import Complex64s, Float32s, Floats, Reals
from ..extras import skimage
from ..frames.simulated import zone_plate_beam
from ..geometry import wavelength_m
from .raw import Raw, put
from .simulate import MARGIN_PX, PATTERNS, diffract
from .writers import write_exchange

ELECTRON_RADIUS_M = physical_constants["classical electron radius"][0]
ABSORPTION = 0.02
"""β/δ of the spheres."""


@dataclass(frozen=True)
class Sphere:
    """A sphere centred at (z, y, x), in voxels from the rotation axis and the middle row."""

    middle: tuple[float, float, float]
    radius: float
    density_e_A3: float


SPHERES = (
    Sphere((-10.0, -8.0, -9.0), 9.0, 0.66),  # SiO2
    Sphere((-6.0, 9.0, 8.0), 8.0, 1.18),  # Al2O3
    Sphere((9.0, -7.0, 9.0), 10.0, 0.70),  # Si
    Sphere((12.0, 8.0, -10.0), 6.0, 1.53),  # Fe2O3
    Sphere((16.0, -12.0, -8.0), 4.0, 1.24),  # TiO2
)
"""Five that fill a cylinder 54 voxels wide and 42 high."""


@dataclass(frozen=True)
class RotatingSample:
    """Spheres in the beam; the rotation axis is vertical, at column nx // 2 of the image.

    With the axes (z, y, x) of the volume, a projection at angle θ has its rows along z and its
    columns along x·cosθ − y·sinθ, as in :func:`skimage.transform.radon`.

    Attributes
    ----------
    voxel_m, energy_eV
        Edge of a voxel, also the pixel of the projections; photon energy.
    """

    spheres: Sequence[Sphere] = SPHERES
    voxel_m: float = 60e-9
    energy_eV: float = 6200.0

    def thickness(
        self, angle_deg: float, shape: tuple[int, int], shift_px: Sequence[float] = (0, 0)
    ) -> Floats:
        """∫ n_e dl in e/Å³ · voxels, (ny, nx): the chords 2·√(R² − ρ²), each pixel 4 x 4 samples.

        ``shift_px`` (y, x) moves the sample on the image.
        """
        fine = 4
        y, x = (
            (np.arange(n * fine) + 0.5) / fine - 0.5 - n // 2 - moved
            for n, moved in zip(shape, shift_px, strict=True)
        )
        turn, total = np.deg2rad(angle_deg), np.zeros((len(y), len(x)))
        for sphere in self.spheres:
            z0, y0, x0 = sphere.middle
            t0 = x0 * np.cos(turn) - y0 * np.sin(turn)
            chord = sphere.radius**2 - (y[:, None] - z0) ** 2 - (x - t0) ** 2
            total += 2 * sphere.density_e_A3 * np.sqrt(chord.clip(0))
        return np.asarray(total.reshape(shape[0], fine, shape[1], fine).mean(axis=(1, 3)))

    def phase(self, *projection: Any) -> Floats:
        """φ = −r_e·λ·∫ n_e dl in rad, of the same arguments as :meth:`thickness`."""
        electrons_m2 = self.thickness(*projection) * self.voxel_m * 1e30
        return np.asarray(-ELECTRON_RADIUS_M * wavelength_m(self.energy_eV) * electrons_m2)

    def transmission(self, *projection: Any) -> Complex64s:
        """exp((i + β/δ)·φ), of the same arguments as :meth:`thickness`."""
        return np.asarray(np.exp((1j + ABSORPTION) * self.phase(*projection)), np.complex64)

    def volume(self, shape: tuple[int, int, int]) -> Float32s:
        """Electron density in e/Å³, (nz, ny, nx), each voxel 3 x 3 x 3 samples."""
        fine = 3
        z, y, x = ((np.arange(n * fine) + 0.5) / fine - 0.5 - n // 2 for n in shape)
        density = np.zeros((len(z), len(y), len(x)), np.float32)
        for sphere in self.spheres:
            z0, y0, x0 = sphere.middle
            squared = (z[:, None, None] - z0) ** 2 + (y[:, None] - y0) ** 2 + (x - x0) ** 2
            density[squared < sphere.radius**2] = sphere.density_e_A3
        nz, ny, nx = shape
        return np.asarray(density.reshape(nz, fine, ny, fine, nx, fine).mean(axis=(1, 3, 5)))


@dataclass(frozen=True)
class AngleSeries:
    """A ptychography scan at each angle.

    Attributes
    ----------
    window
        Frames are ``window`` by ``window`` pixels.
    scan, step_px
        Rows and columns of the scan, and its step in pixels of the reconstruction.
    photons
        Mean photons of a frame without the sample.
    """

    sample: RotatingSample = RotatingSample()
    window: int = 64
    scan: tuple[int, int] = (12, 12)
    step_px: float = 7.0
    photons: float = 1e6
    seed: int = 0

    def raw(self, angle_deg: float, shift_px: Sequence[float] = (0, 0), seed: int = 0) -> Raw:
        """What the detector records at an angle, Poisson noise of ``seed`` included."""
        points = PATTERNS["jitter"](self.scan, np.random.default_rng(self.seed)) * self.step_px
        points = np.rint(points).astype(np.int64)
        corners = points - points.min(axis=0) + MARGIN_PX
        rows, columns = (int(c) for c in corners.max(axis=0) + self.window + MARGIN_PX)
        wave = self.sample.transmission(angle_deg, (rows, columns), shift_px)
        intensity = diffract(wave, zone_plate_beam(self.window), corners) * self.photons
        pixel_m, voxel_m = 75e-6, self.sample.voxel_m
        return Raw(
            np.random.default_rng([self.seed, seed]).poisson(intensity).astype(np.uint32),
            points * voxel_m,
            energy_eV=self.sample.energy_eV,
            distance_m=voxel_m * self.window * pixel_m / wavelength_m(self.sample.energy_eV),
            pixel_m=(pixel_m, pixel_m),
        )


def write_series(
    path: Path,
    series: AngleSeries,
    angles_deg: Sequence[float],
    shifts_px: Sequence[Sequence[float]],
) -> Path:
    """An exchange file with a scan at each angle: frames (angle, position, row, column).

    The frames are made and written angle by angle.
    """
    scans = (
        series.raw(angle, shift, seed)
        for seed, (angle, shift) in enumerate(zip(angles_deg, shifts_px, strict=True))
    )
    first = next(scans)
    write_exchange(path, first)
    with h5py.File(path, "a") as file:
        del file["exchange/data"]
        frames = file.create_dataset(
            "exchange/data",
            (len(angles_deg), *first.frames.shape),
            np.uint32,
            chunks=(1, 1, *first.frames.shape[1:]),
        )
        for index, raw in enumerate(chain([first], scans)):
            frames[index] = raw.frames
        put(file["exchange"], "theta", np.asarray(angles_deg, np.float64), units="deg")
    return path


def align_volume(volume: Reals, truth: Reals) -> Floats:
    """``volume`` shifted onto ``truth``, to a tenth of a voxel."""
    find = skimage("registration").phase_cross_correlation
    shift, _, _ = find(truth, volume, upsample_factor=10, normalization=None)
    moved = scipy.fft.ifftn(fourier_shift(scipy.fft.fftn(volume), shift)).real
    return np.asarray(moved)


def sphere_densities(volume: Reals) -> Floats:
    """Mean of ``volume`` inside each of :data:`SPHERES`, without its outermost voxel."""
    z, y, x = (np.arange(n) - n // 2 for n in volume.shape)
    means = []
    for sphere in SPHERES:
        z0, y0, x0 = sphere.middle
        squared = (z[:, None, None] - z0) ** 2 + (y[:, None] - y0) ** 2 + (x - x0) ** 2
        means.append(volume[squared < (sphere.radius - 1) ** 2].mean())
    return np.array(means)
