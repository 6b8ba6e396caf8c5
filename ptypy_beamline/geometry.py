"""Units, wavelengths and pixel sizes: each formula once."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from .arrays import Complex64s
from .errors import GeometryError, SettingsError

HC_EV_M = 1.239841984e-6
"""h·c in eV·m (CODATA 2018, exact to the digits given)."""

EV_J = 1.602176634e-19
"""One electronvolt in joule (exact, SI 2019)."""

ELECTRON_EV = 510_998.95
"""Rest energy of an electron in eV (CODATA 2018)."""

PTYPY_KEV_M = 1.23984193e-9
"""Wavelength times photon energy in keV·m, as PtyPy 0.9 has it (``ptypy.core.geometry.Geo``)."""

PHOTON, ELECTRON = "photon", "electron"
"""Kinds of radiation."""

PREFIXES = {
    "": (1.0, "", ""),
    "c": (1e-2, "centi", ""),
    "m": (1e-3, "milli", ""),
    "µ": (1e-6, "micro", "uμ"),
    "n": (1e-9, "nano", ""),
    "p": (1e-12, "pico", ""),
}
"""Symbol of an SI prefix → its factor, its name, and other ways to write the symbol."""


def _units(symbol: str, *names: str, base: float = 1.0, prefixes: str = "") -> dict[str, float]:
    """A unit by its symbol and its names in the singular, with prefixes, in lower case."""
    out: dict[str, float] = {}
    for prefix in ("", *prefixes):
        factor, long, others = PREFIXES[prefix]
        out |= dict.fromkeys([f"{p}{symbol.lower()}" for p in (prefix, *others)], factor * base)
        words = [f"{long}{name}{plural}" for name in names for plural in ("", "s")]
        out |= dict.fromkeys(words, factor * base)
    return out


LENGTH_M = {
    **_units("m", "meter", "metre", prefixes="cmµnp"),
    **dict.fromkeys(("micron", "microns"), 1e-6),
    **_units("Å", "angstrom", "ångstrom", "ångström", base=1e-10),
    **dict.fromkeys(("a", "ang"), 1e-10),
}
"""Metres in a unit of length, by its lower-case name."""

ENERGY_EV = {
    "ev": 1.0,
    "kev": 1e3,
    "mev": 1e6,
    **dict.fromkeys(("electronvolt", "electronvolts"), 1.0),
    **dict.fromkeys(("kiloelectronvolt", "kiloelectronvolts"), 1e3),
    **_units("J", "joule", base=1 / EV_J),
}
"""Electronvolts in a unit of energy, by its lower-case name."""

TIME_S = {
    **_units("s", "sec", "second", prefixes="mµn"),
    **{"msec": 1e-3, "usec": 1e-6, "µsec": 1e-6, "nsec": 1e-9},
}
"""Seconds in a unit of time, by its lower-case name."""

UNITS = {
    "positions": LENGTH_M,
    "distance": LENGTH_M,
    "pixel": LENGTH_M,
    "focus": LENGTH_M,
    "energy": ENERGY_EV,
    "exposure": TIME_S,
}
"""Quantity → its units."""

KNOWN = {"energy": "eV, keV, MeV, J", "exposure": "s, ms, us, ns"}
"""What a message calls the units of a quantity that is no length."""

PIXELS = ("px", "pixel", "pixels")
"""Names of the unit of positions that are pixels of the reconstruction."""

ENERGY_RANGE_EV = (20.0, 120e3)
ELECTRON_RANGE_EV = (100.0, 5e6)
DISTANCE_RANGE_M = (1e-4, 1e3)
PIXEL_RANGE_M = (1e-10, 5e-3)


def known_factor(quantity: str, unit: str) -> float | None:
    """Factor from ``unit`` to metres, electronvolts or seconds; None if there is no such unit.

    Letters may be large or small, but for meV and MeV; words may be plural or apart, as in
    ``Electron volts``, and have brackets, as ``[um]``.
    """
    name = re.sub(r"[\s_-]", "", unit.strip().strip("[]()"))
    if name.lower() == "mev" and quantity == "energy":
        return {"meV": 1e-3, "MeV": 1e6}.get(name)
    return UNITS[quantity].get(name.lower())


def unit_factor(quantity: str, unit: str, given: bool = False) -> float:
    """As :func:`known_factor`, but the unit must be known.

    Parameters
    ----------
    quantity
        One of ``UNITS``.
    unit
        Its name.
    given
        By the user: it may be a number, metres (eV, s) for each unit stored, and negative.

    Raises
    ------
    SettingsError
        The unit is not one of this quantity's.
    """
    factor = known_factor(quantity, unit)
    if factor is None and given:
        factor = _number(unit)
    if factor is None:
        known = KNOWN.get(quantity, "m, cm, mm, um, nm, pm, angstrom")
        known += ", px" if quantity == "positions" else ""
        known += ", or a number" if given else ""
        raise SettingsError(
            f"Expected a unit of {quantity} ({known}). Got {unit!r}",
            f"set units.{quantity} (--unit {quantity}=UNIT)",
        )
    return factor


def _number(unit: str) -> float | None:
    """The factor that a unit is, where it is one: finite and not 0."""
    try:
        factor = float(unit)
    except ValueError:
        return None
    return factor if math.isfinite(factor) and factor else None


def unit_of_name(quantity: str, name: str) -> str | None:
    """The unit a dataset's name ends in, as ``um`` in ``sample_x_um``; None if it has none."""
    found = re.search(r"_([A-Za-zµμåÅ]+)$", name)
    if found is None or found[1] in ("a", "A"):  # as in posx_a, which is hardly an ångström
        return None
    return found[1] if known_factor(quantity, found[1]) else None


def wavelength_m(energy_eV: float, radiation: str = PHOTON) -> float:
    """λ in metres: hc/E of photons, hc/√(E(E + 2mc²)) of electrons of kinetic energy E.

    Source of the latter: E. J. Kirkland, Advanced Computing in Electron Microscopy (2010), eq. 2.5.
    """
    if radiation == ELECTRON:
        return HC_EV_M / math.sqrt(energy_eV * (energy_eV + 2 * ELECTRON_EV))
    return HC_EV_M / energy_eV


def electron_energy_eV(wavelength_m: float) -> float:  # noqa: N802
    """Kinetic energy of electrons of this wavelength: :func:`wavelength_m` undone."""
    momentum = HC_EV_M / wavelength_m
    return math.hypot(momentum, ELECTRON_EV) - ELECTRON_EV


def resolution_m(
    energy_eV: float,
    distance_m: float,
    pixel_m: tuple[float, float],
    shape: tuple[int, int],
    radiation: str = PHOTON,
) -> tuple[float, float]:
    """Pixel (y, x) of a far-field reconstruction, λz/(N·p), in metres.

    Source: P. Thibault et al., Ultramicroscopy 109, 338 (2009), section 2.
    """
    span = wavelength_m(energy_eV, radiation) * distance_m
    return span / (shape[0] * pixel_m[0]), span / (shape[1] * pixel_m[1])


@dataclass(frozen=True)
class Geometry:
    """The geometry of the frames that are handed over, after binning and turning.

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
        """Energy of photons of this wavelength, for files that know nothing but photons."""
        return self.energy_eV if self.radiation == PHOTON else HC_EV_M / self.wavelength_m

    @property
    def ptypy_energy_keV(self) -> float:  # noqa: N802
        """What PtyPy, which knows photons only, is told: of electrons what gives their wavelength.

        Its own ``Hdf5Loader`` does the same (``electron_data``), with rounded constants.
        """
        if self.radiation == PHOTON:
            return self.energy_eV / 1e3
        return PTYPY_KEV_M / self.wavelength_m

    @property
    def resolution_m(self) -> tuple[float, float]:
        """Pixel (y, x) of the reconstruction."""
        known = self.energy_eV, self.distance_m, self.pixel_m, self.shape
        return resolution_m(*known, self.radiation)


def check_plausible(
    name: str, value: float, radiation: str = PHOTON, most: float = math.inf
) -> None:
    """Stop on a value that no experiment has, naming the likely unit mistake.

    Parameters
    ----------
    name
        ``energy`` (eV), ``distance`` (m) or ``pixel`` (m, of the detector itself).
    value
        To be judged.
    radiation
        Electrons may have other energies than photons.
    most
        A lower limit than that of all experiments, where the unit is not certain.

    Raises
    ------
    GeometryError
        ``value`` is impossible.
    """
    (low, high), unit = _PLAUSIBLE[name]
    if name == "energy":
        low, high = ENERGY_RANGES_EV[radiation]
    high = min(high, most)
    if low <= value <= high:
        return
    fits = [known for known in _MISTAKES[name] if low <= value * known[0] <= high]
    fits.sort(key=lambda known: abs(math.log(value * known[0] / _USUAL[name])))
    guess = f" ({fits[0][1]})" if fits else ""
    meant = fits[0][2] if fits else ""
    if name == "energy" and radiation == PHOTON and high < value <= ELECTRON_RANGE_EV[1]:
        guess += "; of electrons, set radiation='electron' (--radiation electron)"
    raise GeometryError(
        f"{name} of {value:.6g} {unit} is impossible, expected {low:g} to {high:g} {unit}{guess}",
        f"set {_PARAMETERS[name]}, or units.{name} (--unit {name}={meant or 'UNIT'}) for the "
        "file's value",
    )


ENERGY_RANGES_EV = {PHOTON: ENERGY_RANGE_EV, ELECTRON: ELECTRON_RANGE_EV}
"""Radiation → energies that experiments have."""

_PLAUSIBLE = {
    "energy": (ENERGY_RANGE_EV, "eV"),
    "distance": (DISTANCE_RANGE_M, "m"),
    "pixel": (PIXEL_RANGE_M, "m"),
}
_USUAL = {"energy": 8e3, "distance": 1.0, "pixel": 75e-6}
_PARAMETERS = {
    "energy": "energy in keV (--energy-kev)",
    "distance": "distance in m (--distance-m)",
    "pixel": "psize in m (--pixel-m)",
}
_MISTAKES = {
    "energy": (
        (1e-3, "given in eV where keV is expected?", ""),
        (1e3, "stored in keV?", "keV"),
        (1 / EV_J, "stored in joule?", "J"),
        (EV_J, "read as joule twice?", ""),
    ),
    "distance": ((1e-3, "stored in mm?", "mm"), (1e3, "divided by 1000 twice?", "")),
    "pixel": ((1e-6, "stored in µm?", "um"), (1e-3, "stored in mm?", "mm")),
}
"""Factor that makes it possible, what is then amiss, and the unit of the number that is stored."""


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
    """Transfer function of free space, exp(2πi·z/λ·(√(1 − λ²q²) − 1)), in the order of FFTs.

    Source: J. W. Goodman, Introduction to Fourier Optics (1996), eq. 3-69; PtyPy's near-field
    propagator has the same. Waves that would be evanescent do not arrive.
    """
    y, x = (np.fft.fftfreq(n, pixel) for n, pixel in zip(shape, pixel_m, strict=True))
    squared = 1 - wavelength_m**2 * (y[:, None] ** 2 + x**2)
    phase = 2 * np.pi * distance_m / wavelength_m * (np.sqrt(squared.clip(0)) - 1)
    return np.asarray(np.where(squared > 0, np.exp(1j * phase), 0), np.complex64)


def in_words(length_m: float, digits: int = 4) -> str:
    """A length in the unit that suits it: ``200 nm``, ``1 µm``; ``digits`` that count."""
    for unit, factor in (("mm", 1e-3), ("µm", 1e-6)):
        if length_m >= factor * (1 - 1e-9):
            return f"{length_m / factor:.{digits}g} {unit}"
    return f"{length_m * 1e9:.{digits}g} nm"


def length_unit(extent_m: float) -> tuple[float, str]:
    """Factor from metres, and the unit, in which lengths up to ``extent_m`` read well."""
    if 0 < extent_m < 1e-6:
        return 1e9, "nm"
    return (1e6, "µm") if extent_m < 5e-3 else (1e3, "mm")
