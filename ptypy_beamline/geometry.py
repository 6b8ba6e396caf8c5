"""Wavelengths, pixel sizes and propagation."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np

from .arrays import Complex64s
from .errors import GeometryError
from .quantities import QUANTITIES
from .units import EV_J

HC_EV_M = 1.239841984e-6
"""h·c in eV·m (CODATA 2018, exact to the digits given)."""

ELECTRON_EV = 510_998.95
"""Rest energy of an electron in eV (CODATA 2018)."""

PTYPY_KEV_M = 1.23984193e-9
"""Wavelength times photon energy in keV·m, as PtyPy 0.9 has it (``ptypy.core.geometry.Geo``)."""

PHOTON, ELECTRON = "photon", "electron"
"""Kinds of radiation."""

ENERGY_RANGE_EV = (20.0, 120e3)
ELECTRON_RANGE_EV = (100.0, 5e6)
DISTANCE_RANGE_M = (1e-4, 1e3)
PIXEL_RANGE_M = (1e-10, 5e-3)


def wavelength_m(energy_eV: float, radiation: str = PHOTON) -> float:
    """λ in metres: hc/E of photons, hc/√(E(E + 2mc²)) of electrons of kinetic energy E.

    Source of the latter: E. J. Kirkland, Advanced Computing in Electron Microscopy (2010), eq. 2.5.
    """
    if radiation == ELECTRON:
        return HC_EV_M / math.sqrt(energy_eV * (energy_eV + 2 * ELECTRON_EV))
    return HC_EV_M / energy_eV


def electron_energy_eV(wavelength_m: float) -> float:  # noqa: N802
    """Kinetic energy of electrons of this wavelength, the inverse of :func:`wavelength_m`."""
    momentum = HC_EV_M / wavelength_m
    return math.hypot(momentum, ELECTRON_EV) - ELECTRON_EV


def object_pixel_m(
    energy_eV: float,
    distance_m: float,
    pixel_m: tuple[float, float],
    shape: tuple[int, int],
    radiation: str = PHOTON,
) -> tuple[float, float]:
    """Pixel (y, x) of the object in a far-field reconstruction, λz/(N·p), in metres.

    Source: P. Thibault et al., Ultramicroscopy 109, 338 (2009), section 2.
    """
    span = wavelength_m(energy_eV, radiation) * distance_m
    return span / (shape[0] * pixel_m[0]), span / (shape[1] * pixel_m[1])


@dataclass(frozen=True)
class Geometry:
    """The geometry of the loaded frames, after binning and orienting.

    Attributes
    ----------
    energy_eV, distance_m
        Energy of a photon, or kinetic energy of an electron, and (effective) sample-detector
        distance.
    pixel_m
        (Effective) detector pixel (y, x), binning included.
    shape
        Frame (ny, nx).
    center_px
        Where the beam falls on the frame (row, column), possibly fractional.
    radiation
        ``photon`` or ``electron``.
    """

    energy_eV: float
    distance_m: float
    pixel_m: tuple[float, float]
    shape: tuple[int, int]
    center_px: tuple[float, float]
    radiation: str = PHOTON

    def __post_init__(self) -> None:
        if not all(0 <= c <= n - 1 for c, n in zip(self.center_px, self.shape, strict=True)):
            y, x = self.center_px
            raise GeometryError(
                f"centre ({y:.1f}, {x:.1f}) lies outside the window of {self.shape}",
                "set center (--roi-center) to the beam's raw detector pixel",
            )

    @property
    def wavelength_m(self) -> float:
        """Of photons or electrons."""
        return wavelength_m(self.energy_eV, self.radiation)

    @property
    def photon_energy_eV(self) -> float:  # noqa: N802
        """Energy of photons of this wavelength, for files that know only photons."""
        return self.energy_eV if self.radiation == PHOTON else HC_EV_M / self.wavelength_m

    @property
    def ptypy_energy_keV(self) -> float:  # noqa: N802
        """Energy for PtyPy, which knows only photons: for electrons, what gives their wavelength.

        Its own ``Hdf5Loader`` does the same (``electron_data``), with rounded constants.
        """
        if self.radiation == PHOTON:
            return self.energy_eV / 1e3
        return PTYPY_KEV_M / self.wavelength_m

    @property
    def object_pixel_m(self) -> tuple[float, float]:
        """Pixel (y, x) of the reconstruction, in the sample plane."""
        known = self.energy_eV, self.distance_m, self.pixel_m, self.shape
        return object_pixel_m(*known, self.radiation)

    @property
    def resolution_m(self) -> tuple[float, float]:
        """Former name of ``object_pixel_m``."""
        warnings.warn("resolution_m is now object_pixel_m", DeprecationWarning, stacklevel=2)
        return self.object_pixel_m


def check_plausible(
    name: str,
    value: float,
    radiation: str = PHOTON,
    *,
    most: float = math.inf,
    given: bool = False,
) -> None:
    """Refuse an impossible value, naming the likely unit mistake.

    Parameters
    ----------
    name
        ``energy`` (eV), ``distance`` (m) or ``pixel`` (m, of the detector itself).
    value
        Value to check.
    radiation
        Electrons may have other energies than photons.
    most
        A stricter upper limit, for a value whose unit is uncertain.
    given
        By the user, with the quantity's parameter; else it is the file's.

    Raises
    ------
    GeometryError
        ``value`` is impossible.
    """
    low, high = ENERGY_RANGES_EV[radiation] if name == "energy" else _RANGES_M[name]
    high = min(high, most)
    if low <= value <= high:
        return
    mistakes = (_GIVEN if given else _STORED)[name]
    fits = [known for known in mistakes if low <= value * known[0] <= high]
    fits.sort(key=lambda known: abs(math.log(value * known[0] / _USUAL[name])))
    factor, guess, meant = fits[0] if fits else (1.0, "", "")
    guess = f" ({guess})" if guess else ""
    if name == "energy" and radiation == PHOTON and high < value <= ELECTRON_RANGE_EV[1]:
        guess += "; of electrons, set radiation='electron' (--radiation electron)"
    row, unit = QUANTITIES[name], "eV" if name == "energy" else "m"
    if given:
        example = _typed(value * factor / (1e3 if name == "energy" else 1)) if fits else ""
        remedy = f"set {row.parameter} in {row.parameter_unit} ({row.flag} {example}".strip() + ")"
    else:
        remedy = (
            f"set {row.value_remedy}, or units.{name} (--unit {name}={meant or 'UNIT'}) for the "
            "file's value"
        )
    raise GeometryError(
        f"{name} of {value:.6g} {unit} is impossible, expected {low:g} to {high:g} {unit}{guess}",
        remedy,
    )


def _typed(number: float) -> str:
    """A number as one would type it: small ones in millionths."""
    return f"{number:.6g}" if number >= 1e-3 else f"{number * 1e6:.6g}e-6"


ENERGY_RANGES_EV = {PHOTON: ENERGY_RANGE_EV, ELECTRON: ELECTRON_RANGE_EV}
"""Radiation → plausible energies."""

_RANGES_M = {"distance": DISTANCE_RANGE_M, "pixel": PIXEL_RANGE_M}
_USUAL = {"energy": 8e3, "distance": 1.0, "pixel": 75e-6}
_STORED = {
    "energy": (
        (1e-3, "given in eV where keV is expected?", ""),
        (1e3, "stored in keV?", "keV"),
        (1 / EV_J, "stored in joule?", "J"),
        (EV_J, "read as joule twice?", ""),
    ),
    "distance": ((1e-3, "stored in mm?", "mm"), (1e3, "divided by 1000 twice?", "")),
    "pixel": ((1e-6, "stored in µm?", "um"), (1e-3, "stored in mm?", "mm")),
}
_GIVEN = {
    "energy": (
        (1e-3, "given in eV where keV is expected?", ""),
        (1e3, "given in MeV where keV is expected?", ""),
        (1e-3 / EV_J, "given in joule where keV is expected?", ""),
    ),
    "distance": ((1e-3, "given in mm?", ""),),
    "pixel": ((1e-6, "given in µm?", ""), (1e-3, "given in mm?", "")),
}
"""Factor that makes a file's or a user's value plausible, the likely mistake, and its unit."""


def cone_beam(
    distance_m: float, pixel_m: tuple[float, float], focus_to_sample_m: float
) -> tuple[float, tuple[float, float]]:
    """Effective distance and pixel of a cone beam (Fresnel scaling theorem).

    With focus-sample distance s and sample-detector distance z the magnification is
    M = (z + s)/s; the parallel-beam equivalent has distance z/M and pixel p/M.
    Source: D. Paganin, Coherent X-Ray Optics (2006), eq. 4.87.
    """
    magnification = (distance_m + focus_to_sample_m) / focus_to_sample_m
    y, x = pixel_m
    return distance_m / magnification, (y / magnification, x / magnification)


def transfer(
    shape: tuple[int, int], pixel_m: tuple[float, float], distance_m: float, wavelength_m: float
) -> Complex64s:
    """Transfer function of free space, exp(2πi·z/λ·(√(1 − λ²q²) − 1)), in FFT order.

    Source: J. W. Goodman, Introduction to Fourier Optics (1996), eq. 3-69; PtyPy's near-field
    propagator has the same. Evanescent waves are 0.
    """
    y, x = (np.fft.fftfreq(n, pixel) for n, pixel in zip(shape, pixel_m, strict=True))
    squared = 1 - wavelength_m**2 * (y[:, None] ** 2 + x**2)
    phase = 2 * np.pi * distance_m / wavelength_m * (np.sqrt(squared.clip(0)) - 1)
    return np.asarray(np.where(squared > 0, np.exp(1j * phase), 0), np.complex64)
