"""Frames that are computed when they are read: a phantom, a probe, positions and photons.

Waves are propagated through a thick object to the far field by multislice. Source of the method:
J. Cowley, A. Moodie, Acta Cryst. 10, 609 (1957); of the sign convention and the order of steps:
M. Du et al., Opt. Express 29, 10000 (2021) (Adorym).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from ..arrays import Complex64s, Complexes, Floats, Ints, Reals
from ..errors import FileError, ScanError
from ..geometry import wavelength_m
from ..scan import FrameStack, Indices, Window, checked
from .npy import StoredArray, open_npy


@dataclass(frozen=True)
class Phantom:
    """A ground truth on disk: δ and β of voxels (y, x, z).

    Attributes
    ----------
    delta, beta
        ``.npy`` files.
    pixel_m, slice_m
        Voxel across the beam, and thickness of a slice along it.
    energy_eV
        Of the photons.
    """

    delta: Path
    beta: Path
    pixel_m: float
    slice_m: float
    energy_eV: float

    @property
    def shape(self) -> tuple[int, int, int]:
        """(ny, nx, nz).

        Raises
        ------
        FileError, ScanError
            A file is missing or damaged, or the two differ in shape.
        """
        delta, beta = open_grid(self.delta), open_grid(self.beta)
        if delta.shape != beta.shape:
            raise ScanError(
                f"Expected delta and beta of one shape. Got {delta.shape} and {beta.shape}",
                "correct the phantom",
                self.beta,
            )
        ny, nx, nz = delta.shape
        return ny, nx, nz

    def slices(self) -> Complex64s:
        """(nz, ny, nx) transmission of each slice."""
        delta, beta = (np.moveaxis(_whole(path), 2, 0) for path in (self.delta, self.beta))
        return transmission(delta, beta, self.slice_m, self.energy_eV)

    def projection(self) -> Complex64s:
        """(ny, nx) transmission of all slices, without diffraction between them."""
        delta, beta = (_whole(path).sum(axis=2) for path in (self.delta, self.beta))
        return transmission(delta, beta, self.slice_m, self.energy_eV)


def open_grid(path: Path) -> StoredArray:
    """A grid (y, x, z) of real numbers, or one slice (y, x); only its header is read.

    Raises
    ------
    FileError
        It is missing or damaged, or not such a grid.
    """
    grid = open_npy(
        path, "give the directory with phantom/grid_delta.npy and phantom/grid_beta.npy"
    )
    if len(grid.shape) not in (2, 3) or grid.dtype.kind not in "iuf":
        raise FileError(
            f"Expected real numbers (y,x,z). Got {grid.dtype} {grid.shape}",
            "give the grid as (y,x,z)",
            path,
        )
    return replace(grid, shape=(*grid.shape, 1)) if len(grid.shape) == 2 else grid


def _whole(path: Path) -> NDArray[Any]:
    grid = open_grid(path).whole()
    check_finite(grid, path, "correct the phantom")
    return grid


def check_finite(values: NDArray[Any], path: Path, remedy: str) -> None:
    """Check that an object is finite everywhere.

    Raises
    ------
    ScanError
        Some are NaN or infinite.
    """
    wrong = values.size - int(np.count_nonzero(np.isfinite(values)))
    if wrong:
        raise ScanError(f"{wrong} of {values.size} numbers are NaN or infinite", remedy, path)


@dataclass(frozen=True, eq=False)
class SimulatedFrames(FrameStack):
    """Poisson counts of a phantom in vacuum, the same whether a frame is read alone or in a block.

    The noise of frame i has its own generator, seeded by ``[seed, i]``. A pickle carries only the
    phantom's file names.

    Attributes
    ----------
    phantom
        The ground truth.
    probe
        (ny, nx) complex; its power is the number of photons in a frame without a sample.
    corners_px
        (n, 2) row and column of the probe's first pixel on the phantom, negative outside.
    seed
        Of the noise; None = none.
    """

    phantom: Phantom
    probe: NDArray[np.complex128]
    corners_px: Ints
    seed: int | None = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, ny, nx)."""
        ny, nx = self.probe.shape
        return len(self.corners_px), ny, nx

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint32 counts; float32 expectations without noise."""
        return np.dtype(np.float32 if self.seed is None else np.uint32)

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_padded", "_step")}

    @cached_property
    def _border(self) -> Ints:
        """Vacuum needed around the phantom, in pixels, [[top, bottom], [left, right]]."""
        before = -self.corners_px.min(axis=0)
        behind = (self.corners_px + self.probe.shape).max(axis=0) - self.phantom.shape[:2]
        border: Ints = np.maximum(np.stack([before, behind], axis=1), 0)
        return border

    @cached_property
    def _padded(self) -> Complex64s:
        """Transmission (nz, y, x) with vacuum around it."""
        return np.pad(self.phantom.slices(), [(0, 0), *self._border.tolist()], constant_values=1)

    @cached_property
    def _step(self) -> Complex64s:
        ny, nx = self.probe.shape
        return fresnel((ny, nx), self.phantom.pixel_m, self.phantom.slice_m, self.phantom.energy_eV)

    def read(self, indices: Indices, window: Window) -> NDArray[Any]:
        """Counts in ``window`` (inside the frame), (len(indices), height, width)."""
        out = np.empty((len(indices), *window.shape), self.dtype)
        for row, number in enumerate(checked(indices, len(self.corners_px)).tolist()):
            out[row] = self._frame(number)[window.slices]
        return out

    def _frame(self, number: int) -> NDArray[Any]:
        """The whole frame: noise must not depend on the window."""
        row, column = self.corners_px[number] + self._border[:, 0]
        ny, nx = self.probe.shape
        view = self._padded[:, row : row + ny, column : column + nx]
        expected = far_field(self.probe, view, self._step)
        if self.seed is None:
            return expected
        return np.random.default_rng([self.seed, number]).poisson(expected)


def zone_plate_beam(n: int) -> Complex64s:
    """A zone plate's beam downstream of its focus, (n, n), of unit power, centred at pixel n//2.

    The pupil is a disc of radius 0.16·n detector pixels with a central stop of 0.35 of that radius;
    the defocus spreads the beam over about a third of the window. Coma and a tilted illumination
    break its symmetry.
    """
    radius = 0.16 * n
    v, u = (np.indices((n, n)) - n // 2) / radius
    r = np.hypot(v, u)
    edge = 0.5 - 0.5 * np.tanh((r - 1) * radius / 1.5)
    stop = 0.5 + 0.5 * np.tanh((r - 0.35) * radius / 1.5)
    amplitude = edge * stop * (1 + 0.10 * u - 0.06 * v)
    # A phase a·r² moves the pupil's rim by a·n/(π·radius) pixels of the sample.
    defocus = np.pi * radius / n * (n / 6)
    phase = defocus * r**2 + 1.2 * (r**2 - 0.6) * (0.8 * u + 0.5 * v) + 0.5 * u * v
    pupil = amplitude * np.exp(1j * phase * (r < 1.5))
    field = scipy.fft.fftshift(scipy.fft.ifft2(scipy.fft.ifftshift(pupil)))
    return np.asarray(field / np.linalg.norm(field), np.complex64)


def transmission(delta: Reals, beta: Reals, thickness_m: float, energy_eV: float) -> Complex64s:
    """T = exp(−kβ·t)·exp(−ikδ·t) with k = 2π/λ: a wave exp(+ikz) in n = 1 − δ + iβ."""
    k = 2 * np.pi / wavelength_m(energy_eV)
    exponent = -k * thickness_m * (np.asarray(beta) + 1j * np.asarray(delta))
    return np.asarray(np.exp(exponent), np.complex64)


def fresnel(
    shape: tuple[int, int], pixel_m: float, distance_m: float, energy_eV: float
) -> Complex64s:
    """Transfer function exp(−iπλz(u² + v²)) of a step of free space, zero frequency at (0, 0).

    Source: J. Goodman, Introduction to Fourier Optics, 3rd ed., eq. 4-21, without exp(ikz).
    """
    v, u = (scipy.fft.fftfreq(n, pixel_m) for n in shape)
    phase = -np.pi * wavelength_m(energy_eV) * distance_m * (v[:, None] ** 2 + u[None, :] ** 2)
    return np.asarray(np.exp(1j * phase), np.complex64)


def far_field(probe: Complexes, slices: Complexes, step: Complexes | None) -> Floats:
    """Intensity |fftshift(fft2(ψ))|²/N behind slices (z, ny, nx), zero frequency at N//2.

    ``step`` is :func:`fresnel` between two slices; there is none after the last. With this
    (orthonormal) scale the intensity sums to the power of the exit wave.
    """
    wave = probe * slices[0]
    for following in slices[1:]:
        wave = scipy.fft.ifft2(scipy.fft.fft2(wave) * step) * following
    spectrum = scipy.fft.fftshift(scipy.fft.fft2(wave, norm="ortho"))
    return np.asarray(spectrum.real**2 + spectrum.imag**2, np.float64)


def back_to_sample(wave: Complexes) -> Complex64s:
    """The wave at the sample from one at the detector, the reverse of :func:`far_field`."""
    field = scipy.fft.ifft2(scipy.fft.ifftshift(wave), norm="ortho")
    return np.asarray(field, np.complex64)
