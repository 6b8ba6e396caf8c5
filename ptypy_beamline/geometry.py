"""Units, wavelengths and pixel sizes: each formula once."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

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

LENGTH_M = {
    "m": 1.0, "meter": 1.0, "meters": 1.0, "metre": 1.0, "metres": 1.0,
    "cm": 1e-2, "mm": 1e-3, "millimeter": 1e-3, "millimeters": 1e-3, "millimetre": 1e-3,
    "um": 1e-6, "µm": 1e-6, "μm": 1e-6, "micron": 1e-6, "microns": 1e-6, "micrometer": 1e-6,
    "micrometers": 1e-6, "micrometre": 1e-6, "nm": 1e-9, "nanometer": 1e-9, "nanometers": 1e-9,
    "nanometre": 1e-9, "pm": 1e-12, "a": 1e-10, "å": 1e-10, "angstrom": 1e-10,
}  # fmt: skip
"""Metres in a unit of length, by its lower-case name."""

ENERGY_EV = {
    "ev": 1.0, "electronvolt": 1.0, "kev": 1e3, "mev": 1e6, "j": 1 / EV_J, "joule": 1 / EV_J,
    "joules": 1 / EV_J,
}  # fmt: skip
"""Electronvolts in a unit of energy, by its lower-case name."""

TIME_S = {
    "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6,
    "ns": 1e-9,
}  # fmt: skip
"""Seconds in a unit of time, by its lower-case name."""

UNITS = {
    "positions": LENGTH_M, "distance": LENGTH_M, "pixel": LENGTH_M, "focus": LENGTH_M,
    "energy": ENERGY_EV, "exposure": TIME_S,
}  # fmt: skip
"""Quantity → its units."""

PIXELS = ("px", "pixel", "pixels")
"""Names of the unit of positions that are pixels of the reconstruction."""

ENERGY_RANGE_EV = (20.0, 120e3)
ELECTRON_RANGE_EV = (100.0, 5e6)
DISTANCE_RANGE_M = (1e-4, 1e3)
PIXEL_RANGE_M = (1e-10, 5e-3)


def unit_factor(quantity: str, unit: str, given: bool = False) -> float:
    """Factor from ``unit`` to metres, electronvolts or seconds.

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
    table = UNITS[quantity]
    factor = table.get(unit.strip().lower())
    if factor is None and given:
        factor = _number(unit)
    if factor is None:
        known = "m, cm, mm, um, nm" if table is LENGTH_M else ", ".join(table)
        known += ", px" if quantity == "positions" else ""
        known += ", or a number" if given else ""
        raise SettingsError(f"Expected a unit of {quantity} ({known}). Got {unit!r}",
                            f"set units.{quantity} (--unit {quantity}=UNIT)")  # fmt: skip
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
    found = re.search(r"_([A-Za-zµμ]+)$", name)
    if found is None or found[1] in ("a", "A"):  # as in posx_a, which is hardly an ångström
        return None
    return found[1] if found[1].lower() in UNITS[quantity] else None


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


def check_plausible(name: str, value: float, radiation: str = PHOTON) -> None:
    """Stop on a value that no experiment has, naming the likely unit mistake.

    Parameters
    ----------
    name
        ``energy`` (eV), ``distance`` (m) or ``pixel`` (m, of the detector itself).
    value
        To be judged.
    radiation
        Electrons may have other energies than photons.

    Raises
    ------
    GeometryError
        ``value`` is impossible.
    """
    (low, high), unit = _PLAUSIBLE[name]
    if name == "energy":
        low, high = ENERGY_RANGES_EV[radiation]
    if low <= value <= high:
        return
    guess = ""
    for factor, mistake in _MISTAKES[name]:
        if low <= value * factor <= high:
            guess = f" ({mistake})"
            break
    if name == "energy" and radiation == PHOTON and high < value <= ELECTRON_RANGE_EV[1]:
        guess += "; of electrons, set radiation='electron' (--radiation electron)"
    raise GeometryError(
        f"{name} of {value:.6g} {unit} is impossible, expected {low:g} to {high:g} {unit}{guess}",
        f"set {_PARAMETERS[name]}, or units.{name} (--unit {name}=UNIT) for the file's value",
    )


ENERGY_RANGES_EV = {PHOTON: ENERGY_RANGE_EV, ELECTRON: ELECTRON_RANGE_EV}
"""Radiation → energies that experiments have."""

_PLAUSIBLE = {"energy": (ENERGY_RANGE_EV, "eV"), "distance": (DISTANCE_RANGE_M, "m"),
              "pixel": (PIXEL_RANGE_M, "m")}  # fmt: skip
_PARAMETERS = {"energy": "energy in keV (--energy-kev)", "distance": "distance in m (--distance-m)",
               "pixel": "psize in m (--pixel-m)"}  # fmt: skip
_MISTAKES = {
    "energy": ((1e-3, "given in eV where keV is expected?"), (1e3, "stored in keV?"),
               (1 / EV_J, "stored in joule?"), (EV_J, "read as joule twice?")),
    "distance": ((1e-3, "stored in mm?"), (1e3, "divided by 1000 twice?")),
    "pixel": ((1e-6, "stored in µm?"), (1e-3, "stored in mm?")),
}  # fmt: skip


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
