"""Units: names in files, and lengths in messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

EV_J = 1.602176634e-19
"""One electronvolt in joule (exact, SI 2019)."""

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


@dataclass(frozen=True)
class UnitTable:
    """Units of one kind.

    Attributes
    ----------
    si
        The unit used inside this package.
    factors
        Name in lower case → factor to ``si``.
    examples
        Units to name in messages.
    """

    si: str
    factors: Mapping[str, float]
    examples: str


LENGTH = UnitTable("m", LENGTH_M, "m, cm, mm, um, nm, pm, angstrom")
ENERGY = UnitTable("eV", ENERGY_EV, "eV, keV, MeV, J")
TIME = UnitTable("s", TIME_S, "s, ms, us, ns")

PIXELS = ("px", "pixel", "pixels")
"""Names of the unit of positions that are pixels of the reconstruction."""


def in_words(length_m: float, digits: int = 4) -> str:
    """A length in a suitable unit, with ``digits`` significant digits: ``200 nm``, ``1 µm``."""
    for unit, factor in (("mm", 1e-3), ("µm", 1e-6)):
        if length_m >= factor * (1 - 1e-9):
            return f"{length_m / factor:.{digits}g} {unit}"
    return f"{length_m * 1e9:.{digits}g} nm"


def length_unit(extent_m: float) -> tuple[float, str]:
    """Factor from metres to a suitable unit for lengths up to ``extent_m``, and its name."""
    if 0 < extent_m < 1e-6:
        return 1e9, "nm"
    return (1e6, "µm") if extent_m < 5e-3 else (1e3, "mm")
