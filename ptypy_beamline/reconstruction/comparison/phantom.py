"""How far a reconstruction is from a phantom: errors of δ and β, correlation, resolution.

The resolution is that of the Fourier ring correlation: M. van Heel, M. Schatz, J. Struct. Biol.
151, 250 (2005); the correlation is their equation 2, the half-bit threshold their equation 17.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy

from ...arrays import Complexes, Floats
from ...errors import FileError, ScanError
from ...files.links import open_confined
from ...formats.hdf5_source import expand
from ...frames.npy import load_npy
from ...frames.simulated import Phantom, check_finite, transmission
from ...geometry import wavelength_m
from .registration import agreement, register

EDGE = 0.25
"""Share of each axis over which the images fade out, so that their edges do not correlate."""


OBJECT_PATHS = {"/object/complex": "pixel_size", "/content/obj/*/data": "_psize"}
"""Path of the object in ``reconstruction.h5`` and PtyPy's ``.ptyr``, and its pixel beside it."""


@dataclass(frozen=True, eq=False)
class RingCorrelation:
    """The correlation of two images on rings of the Fourier plane.

    Attributes
    ----------
    frequency
        (k,) of each ring in cycles per pixel, up to 0.5.
    correlation
        (k,) between −1 and 1.
    threshold
        (k,) half a bit of information per pixel.
    """

    frequency: Floats
    correlation: Floats
    threshold: Floats

    @property
    def period_px(self) -> float:
        """Full period of the finest detail that is resolved, in pixels: never below 2."""
        below = np.flatnonzero(self.correlation < self.threshold)
        below = below[below > 0]  # registration adjusts the first ring
        if not below.size:
            return 1 / float(self.frequency[-1])
        k = int(below[0])
        before, after = (self.correlation - self.threshold)[k - 1 : k + 1]
        share = before / (before - after) if before > 0 else 0.0
        low, high = self.frequency[k - 1 : k + 1]
        return 1 / float(low + share * (high - low))


def ring_correlation(a: Complexes, b: Complexes) -> RingCorrelation:
    """Correlate two registered images (ny, nx) ring by ring."""
    window = np.outer(*(_tukey(n) for n in a.shape))
    spectra = [scipy.fft.fft2((image - image.mean()) * window) for image in (a, b)]
    v, u = (scipy.fft.fftfreq(n) for n in a.shape)
    rings = min(a.shape) // 2
    ring = np.rint(np.hypot(v[:, None], u[None, :]) * 2 * rings).astype(np.int64)

    def total(values: Floats) -> Floats:
        sums = np.bincount(ring.ravel(), values.ravel(), rings + 1)[1 : rings + 1]
        return np.asarray(sums, np.float64)

    cross = total((spectra[0] * spectra[1].conj()).real)
    norm = np.sqrt(total(np.abs(spectra[0]) ** 2) * total(np.abs(spectra[1]) ** 2))
    count = total(np.ones(a.shape))
    frequency = np.arange(1, rings + 1) / (2 * rings)
    return RingCorrelation(frequency, cross / np.maximum(norm, 1e-300), half_bit(count))


def half_bit(count: Floats) -> Floats:
    """T½ = (0.2071 + 1.9102/√n)/(1.2071 + 0.9102/√n) for rings of n independent pixels."""
    root = np.sqrt(np.maximum(count, 1))
    return np.asarray((0.2071 + 1.9102 / root) / (1.2071 + 0.9102 / root))


def _tukey(n: int) -> Floats:
    """The Tukey window of ``n`` pixels, at their centres; SciPy's is sampled at the outer edges."""
    from_edge = np.minimum(np.arange(n), np.arange(n)[::-1]) + 0.5
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.minimum(from_edge / (EDGE * n / 2), 1)))


@dataclass(frozen=True, eq=False)
class PhantomComparison:
    """A reconstruction and the truth, registered, and their differences.

    Attributes
    ----------
    obj, truth
        (ny, nx) registered transmissions without their margins.
    delta_error, beta_error
        (ny, nx) δ and β of the reconstruction less those of the truth, means along the beam. A
        constant and, for δ, a ramp are removed, as ptychography does not determine them.
    delta_contrast, beta_contrast
        Standard deviation of the truth.
    frc
        Fourier ring correlation.
    pixel_m
        Pixel size of both.
    """

    obj: Complexes
    truth: Complexes
    delta_error: Floats
    beta_error: Floats
    delta_contrast: float
    beta_contrast: float
    frc: RingCorrelation
    pixel_m: float

    @property
    def correlation(self) -> float:
        """1 = the same, about 0 = unrelated."""
        return agreement(self.obj, self.truth)

    @property
    def resolution_m(self) -> float:
        """Full period at which the Fourier ring correlation falls below half a bit."""
        return self.frc.period_px * self.pixel_m

    def record(self) -> dict[str, Any]:
        """The numbers, under names that include their units."""
        return {
            "correlation": self.correlation,
            "delta_rms_error": rms(self.delta_error),
            "delta_rms_contrast": self.delta_contrast,
            "beta_rms_error": rms(self.beta_error),
            "beta_rms_contrast": self.beta_contrast,
            "resolution_full_period_m": self.resolution_m,
            "resolution_half_period_m": self.resolution_m / 2,
            "resolution_reaches_pixel": bool(self.frc.period_px <= 2.0),
            "pixel_m": self.pixel_m,
            "compared_px": list(self.obj.shape),
        }


def compare(
    obj: Complexes, phantom: Phantom, pixel_m: float | None = None, margin: int | None = None
) -> PhantomComparison:
    """Register a reconstruction with a phantom and measure the differences.

    Parameters
    ----------
    obj
        (ny, nx) transmission, with about the same middle as the phantom.
    pixel_m
        Pixel size of ``obj``; None = the phantom's.
    margin
        Pixels at each edge that are left out; default an eighth of the smaller side.

    Raises
    ------
    ScanError
        The pixels differ, or nothing is left inside the margin.
    """
    if pixel_m is not None and abs(pixel_m / phantom.pixel_m - 1) > 0.01:
        raise ScanError(
            f"the reconstruction's pixel is {pixel_m:.4g} m, the phantom's {phantom.pixel_m:.4g} m",
            "reconstruct whole frames, or set --sim-pixel-m to the phantom's voxel width",
            phantom.delta,
        )
    truth = phantom.projection()
    side = min(*obj.shape, *truth.shape)
    margin = side // 8 if margin is None else margin
    if side <= 2 * margin + 8:
        raise ScanError(
            f"nothing is left of {side} pixels within margins of {margin}",
            "set a smaller --margin",
            phantom.delta,
        )
    a, b = register(obj, truth, margin)
    # T = exp(−kβt)·exp(−ikδt), see frames.simulated.transmission
    depth = 2 * np.pi / wavelength_m(phantom.energy_eV) * phantom.slice_m * phantom.shape[2]
    ratio = a * b.conj()
    beta, beta_truth = (-np.log(np.maximum(np.abs(image), 1e-6)) / depth for image in (a, b))
    delta_truth = -np.angle(b * np.exp(-1j * np.angle(b.mean()))) / depth
    delta_error, beta_error = -np.angle(ratio) / depth, beta - beta_truth
    return PhantomComparison(
        a,
        b,
        delta_error - delta_error.mean(),
        beta_error - beta_error.mean(),
        float(delta_truth.std()),
        float(beta_truth.std()),
        ring_correlation(a, b),
        phantom.pixel_m,
    )


def rms(values: Floats) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


def read_object(path: Path, phantom: Phantom) -> tuple[Complexes, float | None]:
    """The transmission (ny, nx) in ``reconstruction.h5``, ``.ptyr`` or ``obj_checkpoint.npy``.

    Returns
    -------
    object
        Of Adorym's checkpoints (y, x, z, 2) = (δ, β), the projection along z; they are as thick
        as the phantom.
    pixel_m
        None if the file does not say.

    Raises
    ------
    FileError
        The file is missing, damaged, or of another kind.
    ScanError
        The object is not finite.
    """
    path = Path(path)
    found, pixel_m = _from_npy(path, phantom) if path.suffix == ".npy" else _from_hdf5(path)
    check_finite(found, path, "reconstruct it again: the engine diverged")
    return found, pixel_m


def _from_npy(path: Path, phantom: Phantom) -> tuple[Complexes, float | None]:
    array = load_npy(path)
    if array.ndim == 2 and array.dtype.kind == "c":
        return array, None
    if array.ndim != 4 or array.shape[3] != 2:
        raise FileError(
            f"Expected (y,x,z,2) = (delta, beta). Got {array.dtype} {array.shape}",
            "give Adorym's obj_checkpoint.npy",
            path,
        )
    delta, beta = np.moveaxis(array.mean(axis=2), -1, 0)
    depth_m = phantom.slice_m * phantom.shape[2]
    return transmission(delta, beta, depth_m, phantom.energy_eV), None


def _from_hdf5(path: Path) -> tuple[Complexes, float | None]:
    with open_confined(path) as file:
        for pattern, pixel in OBJECT_PATHS.items():
            for name in expand(file, pattern):
                found = file.get(name)
                if isinstance(found, h5py.Dataset):
                    pixel_m = float(np.ravel(found.parent[pixel][()])[0])
                    return found[()].reshape(-1, *found.shape[-2:])[0], pixel_m
    raise FileError(
        "not a reconstructed object: neither reconstruction.h5 nor .ptyr",
        "give one of them, or Adorym's obj_checkpoint.npy",
        path,
    )
