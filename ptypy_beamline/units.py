"""Units: their names in files, and lengths in messages."""

from __future__ import annotations

import math
import re

from .errors import SettingsError

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
