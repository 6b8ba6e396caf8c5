"""Every quantity of a dataset: its name, its units, and the parameters that replace it.

``paths`` and ``units``, their flags and remedies, and the documentation's tables come from here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from .errors import SettingsError
from .units import ENERGY, LENGTH, TIME, UnitTable


def path_remedy(name: str) -> str:
    """What to set to name a dataset, of our quantities or of a format's own."""
    return f"paths.{name} (--path {name}=PATH)"


@dataclass(frozen=True)
class Quantity:
    """A quantity that a dataset may hold.

    Attributes
    ----------
    name
        As in ``paths`` and ``--path NAME=PATH``.
    title
        In a table or a message.
    scan_field
        Where it is in a :class:`~ptypy_beamline.Scan`.
    path_help
        Help of ``paths``; empty: it is read only where the format says.
    kind
        ``images`` are read a window at a time, ``values`` may be a part of an array, ``numbers``
        of acquisitions may be given in place of a path.
    units
        Units it may be stored in; None = it has none.
    unit_help
        Help of ``units``; empty: the file's unit cannot be overridden.
    parameter, parameter_unit, flag
        The parameter that gives the value itself, regardless of the file, and its flag.
    parts
        Parts that formats may store in separate datasets: name → which part.
    """

    name: str
    title: str
    scan_field: str
    path_help: str = ""
    kind: Literal["values", "images", "numbers"] = "values"
    units: UnitTable | None = None
    unit_help: str = ""
    parameter: str = ""
    parameter_unit: str = ""
    flag: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)

    @property
    def path_remedy(self) -> str:
        """What to set to name its dataset."""
        return path_remedy(self.name)

    @property
    def unit_remedy(self) -> str:
        """What to set for its unit."""
        return f"units.{self.name} (--unit {self.name}=UNIT)"

    @property
    def value_remedy(self) -> str:
        """What to set for its value."""
        return f"{self.parameter} in {self.parameter_unit} ({self.flag})"


_ROWS = (
    Quantity("frames", "frames", "frames", "dataset of the frames", "images"),
    Quantity("x", "positions, x", "positions_m", "dataset of the x positions"),
    Quantity("y", "positions, y", "positions_m", "dataset of the y positions"),
    Quantity(
        name="positions",
        title="positions, one array",
        scan_field="positions_m",
        path_help="dataset of all positions, columns x, y",
        units=LENGTH,
        unit_help="unit of the stored positions: m, mm, um, nm, px, or a number (-1e-6: in µm with "
        "reversed sign); two, for y and x, if they differ",
    ),
    Quantity(
        name="energy",
        title="photon energy",
        scan_field="energy_eV",
        path_help="dataset of the photon energy",
        units=ENERGY,
        unit_help="unit of the stored energy: eV, keV, J, or a number",
        parameter="energy",
        parameter_unit="keV",
        flag="--energy-kev",
    ),
    Quantity(
        name="distance",
        title="detector distance",
        scan_field="distance_m",
        path_help="dataset of the sample-detector distance",
        units=LENGTH,
        unit_help="unit of the stored distance: m, mm, or a number",
        parameter="distance",
        parameter_unit="m",
        flag="--distance-m",
    ),
    Quantity(
        name="pixel",
        title="detector pixel size",
        scan_field="pixel_m",
        path_help="dataset of the detector pixel size",
        units=LENGTH,
        unit_help="unit of the stored pixel size: m, mm, um, or a number",
        parameter="psize",
        parameter_unit="m",
        flag="--pixel-m",
        parts={"pixel_x": "x", "pixel_y": "y"},
    ),
    Quantity(
        name="focus",
        title="focus-sample distance",
        scan_field="focus_m",
        path_help="dataset of the focus-sample distance of a cone beam",
        units=LENGTH,
        unit_help="unit of the stored focus-sample distance: m, mm, um, or a number",
        parameter="focus_to_sample",
        parameter_unit="m",
        flag="--focus-to-sample-m",
    ),
    Quantity("exposure", "exposure time", "exposure_s", "dataset of the exposure time", units=TIME),
    Quantity("mask", "mask", "bad", "dataset of the detector mask", "images"),
    Quantity("dark", "dark", "dark", "dataset of the dark image or stack", "images"),
    Quantity("flat", "flat", "flat", "dataset of the flat image or stack", "images"),
    Quantity(
        name="monitor",
        title="monitor",
        scan_field="monitor",
        path_help="dataset of the incident intensity I0; if given, the monitor is applied",
    ),
    Quantity(
        name="center",
        title="beam centre",
        scan_field="center_px",
        path_help="dataset of the beam centre (row, column)",
        parts={"center_y": "row", "center_x": "column"},
    ),
    Quantity(
        name="frame_index",
        title="acquisition numbers of frames",
        scan_field="numbers",
        path_help="dataset of the acquisition numbers of the frames, by which they are matched "
        "with positions; 0: number the frames in order",
        kind="numbers",
    ),
    Quantity(
        name="position_index",
        title="acquisition numbers of positions",
        scan_field="positions_m",
        path_help="dataset of the acquisition numbers of the positions; or the number of the "
        "first, from which the others are counted",
        kind="numbers",
    ),
    Quantity("saturation", "count limit", "saturation"),
    Quantity("probe", "probe", "probe"),
)

QUANTITIES = {row.name: row for row in _ROWS}
"""Quantities by name."""

UNITS = {row.name: row.units for row in _ROWS if row.units}
"""Quantity → its units."""

OVERRIDES = {row.name: row.parameter for row in _ROWS if row.parameter}
"""Quantity of a file → the parameter that overrides it."""

TITLES = {
    name: f"{row.title}, {part}" if part else row.title
    for row in _ROWS
    for name, part in {row.name: "", **row.parts}.items()
}
"""Quantity, or part of one that has a dataset of its own → its title."""


def of_kind(kind: str) -> tuple[str, ...]:
    """Names of the quantities that ``paths`` takes, of one kind."""
    return tuple(row.name for row in _ROWS if row.path_help and row.kind == kind)


def known_factor(quantity: str, unit: str) -> float | None:
    """Factor from ``unit`` to metres, electronvolts or seconds; None if there is no such unit.

    Case does not matter, except for meV and MeV; words may be plural or separate, as in
    ``Electron volts``, or in brackets, as in ``[um]``.
    """
    name = re.sub(r"[\s_-]", "", unit.strip().strip("[]()"))
    if name.lower() == "mev" and quantity == "energy":
        return {"meV": 1e-3, "MeV": 1e6}.get(name)
    return UNITS[quantity].factors.get(name.lower())


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
        known = UNITS[quantity].examples
        known += ", px" if quantity == "positions" else ""
        known += ", or a number" if given else ""
        raise SettingsError(
            f"Expected a unit of {quantity} ({known}). Got {unit!r}",
            f"set {QUANTITIES[quantity].unit_remedy}",
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
