"""Stored numbers in SI: where their unit comes from, and whether it can be right."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats
from ..errors import MissingDataError, ScanError, SettingsError
from ..geometry import ENERGY_RANGES_EV, PHOTON
from ..quantities import QUANTITIES, UNITS, unit_factor, unit_of_name
from ..units import PIXELS
from .hdf5_source import Found, Hdf5Source, text


def numbers(found: Found) -> Floats:
    """The dataset as float64; else as :func:`as_stored`."""
    return np.asarray(as_stored(found), dtype=np.float64)


def as_stored(found: Found) -> NDArray[Any]:
    """The dataset, in its own type.

    Raises
    ------
    ScanError
        It holds no real numbers.
    """
    if found.dataset.dtype.kind not in "biuf":
        raise ScanError(
            f"Expected numbers in {found.name}. Got {found.dataset.dtype}",
            "name another dataset with --path NAME=PATH",
            found.file,
        )
    return np.asarray(found.dataset[()][found.part])


def unit_of(source: Hdf5Source, found: Found, quantity: str) -> str:
    """The unit: the user's, else ``@units``, else the name's ending, else the format's.

    Raises
    ------
    MissingDataError
        There is none.
    """
    given = source.units.get(quantity)
    stored = text(found.dataset.attrs.get("units"))
    unit = given or stored or unit_of_name(quantity, found.name) or found.unit
    if not unit and quantity == "exposure":  # it affects nothing, and cannot be set elsewhere
        return "s"
    if not unit:
        raise MissingDataError(
            f"Expected a unit of {quantity} with {found.name}. Got none",
            _remedy(quantity),
            found.file,
        )
    return unit


def is_pixels(unit: str) -> bool:
    """Whether positions of this unit are in pixels of the reconstruction."""
    return unit.strip().lower() in PIXELS


def stored_positions(source: Hdf5Source, *found: Found) -> tuple[list[Floats], bool]:
    """Datasets of positions in metres, or in pixels of the reconstruction, and whether they are.

    Raises
    ------
    MissingDataError, SettingsError
        The unit is missing or unknown.
    ScanError
        Some are in pixels and some are lengths.
    """
    units = _units_of_positions(source, *found)
    pixels = {is_pixels(unit) for unit in units}
    if len(pixels) > 1:
        raise ScanError(
            f"{' and '.join(dataset.name for dataset in found)} are partly in pixels",
            _remedy("positions"),
            found[0].file,
        )
    if True in pixels:
        return [numbers(dataset) for dataset in found], True
    pairs = zip(found, units, strict=True)
    return [_in_si(source, dataset, "positions", unit) for dataset, unit in pairs], False


def _units_of_positions(source: Hdf5Source, *found: Found) -> list[str]:
    """Of each dataset; the user may give one of y and one of x, separated by a comma."""
    given = source.units.get("positions", "").split(",")
    if len(given) == 1:
        return [unit_of(source, dataset, "positions") for dataset in found]
    if len(given) != len(found):
        raise SettingsError(
            f"Expected a unit of {found[0].name}. Got {','.join(given)!r}",
            "give one, or y and x by paths.y, paths.x",
            found[0].file,
        )
    return given


def si(source: Hdf5Source, found: Found, quantity: str) -> Floats:
    """The dataset in metres, electronvolts or seconds, in its stored shape.

    Raises
    ------
    MissingDataError, SettingsError
        The unit is missing or unknown.
    """
    return _in_si(source, found, quantity, unit_of(source, found, quantity))


def _in_si(source: Hdf5Source, found: Found, quantity: str, unit: str) -> Floats:
    raw, given = numbers(found), quantity in source.units
    try:
        values = raw * unit_factor(quantity, unit, given)
    except SettingsError as error:
        raise SettingsError(
            f"{found.name}: {error.problem}", _remedy(quantity), found.file
        ) from error
    if quantity == "energy" and "energy" not in source.units:
        return _plausible_energy(source, found, raw, values, unit)
    return values


def _plausible_energy(
    source: Hdf5Source, found: Found, raw: Floats, values: Floats, unit: str
) -> Floats:
    """Correct an energy whose unit cannot be right, if exactly one unit makes sense of it.

    Some CXI and NXcxi_ptycho files hold eV or keV where they declare joule, and the reverse.
    """
    limits = ENERGY_RANGES_EV[source.settings.radiation or PHOTON]
    if not np.isfinite(raw).any() or _possible(values, limits):
        return values
    with np.errstate(over="ignore"):
        fits = [u for u in ("eV", "keV", "J") if _possible(raw * unit_factor("energy", u), limits)]
    if not fits:
        return values
    stored = float(np.nanmedian(raw))
    if source.settings.radiation is None and _possible(values, TRANSMISSION_EV):
        raise SettingsError(
            f"{found.name} = {stored:g} {unit} is not a photon energy: it is of electrons, or in "
            f"{' or '.join(fits)}",
            "set radiation='electron' (--radiation electron), or "
            f"{QUANTITIES['energy'].unit_remedy}",
            found.file,
        )
    if len(fits) > 1:
        raise SettingsError(
            f"{found.name} = {stored:g} cannot be {unit}; it may be {' or '.join(fits)}",
            _remedy("energy"),
            found.file,
        )
    source.assume(
        f"{found.name} = {stored:g} cannot be {unit}: taken as {fits[0]}; settle it with "
        f"units.energy='{fits[0]}' (--unit energy={fits[0]})",
        lasting=True,
    )
    return raw * unit_factor("energy", fits[0])


TRANSMISSION_EV = (ENERGY_RANGES_EV[PHOTON][1], 1.5e6)
"""Energies of electrons that no photons in ptychography have."""


def _possible(energies_eV: Floats, limits: tuple[float, float]) -> bool:
    low, high = limits
    finite = energies_eV[np.isfinite(energies_eV)]
    return bool(finite.size) and low <= float(np.median(finite)) <= high


def constant(
    values: Floats, quantity: str, name: str, outer: tuple[int | None, int]
) -> float | None:
    """One number of a scalar or of a per-frame array; None if nothing finite is stored.

    Parameters
    ----------
    values
        In SI.
    outer
        ``outer_index`` and the length of the leading axis (0 without one): an array of that
        length has one value for each entry.

    Raises
    ------
    ScanError
        The values differ by more than a thousandth.
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        return None
    middle = float(np.median(finite))
    if np.ptp(finite) <= 1e-3 * abs(middle):
        return middle
    index, entries = outer
    if index is not None and values.shape == (entries,):
        return float(values[index])
    row, unit = QUANTITIES[quantity], UNITS[quantity].si
    raise ScanError(
        f"Expected one {quantity} in {name}. Got {finite.min():.6g} to {finite.max():.6g} {unit}",
        f"give {row.parameter}= ({row.flag}), or outer_index (--outer-index) for one of several "
        "scans",
    )


def _remedy(quantity: str) -> str:
    if quantity == "exposure":
        return f"correct its @units ({UNITS[quantity].examples})"
    return f"set {QUANTITIES[quantity].unit_remedy}"
