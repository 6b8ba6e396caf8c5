"""Settings that change one quantity of a scan: other units, other powers of ten."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import BeamlineError
from ..formats import open_with
from ..planning.make import in_metres
from ..scan import Scan
from ..settings import Settings
from .remedy import changed

UNITS = {
    "positions": ("m", "mm", "um", "nm", "px"),
    "distance": ("m", "mm"),
    "pixel": ("m", "mm", "um"),
    "energy": ("eV", "keV", "J"),
}
"""Units that a number may really be in."""

GIVEN = {"energy": "energy", "distance": "distance", "pixel": "psize"}
"""The parameter that gives a quantity itself."""

FACTORS = (1e-3, 1e3, 1e-6, 1e6)


@dataclass(frozen=True)
class Mend:
    """A setting that changes one quantity by a factor."""

    quantity: str
    factor: float
    settings: dict[str, Any]

    @property
    def cause(self) -> str:
        """In words."""
        if self.settings.get("units.positions") == "px":
            return "positions in pixels"
        too = "small" if self.factor > 1 else "large"
        return f"{self.quantity} {max(self.factor, 1 / self.factor):.3g} times too {too}"


def mends(scan: Scan, settings: Settings) -> Iterator[Mend]:
    """Every other unit of the file's numbers, and other powers of ten of those that are given."""
    for quantity, units in UNITS.items():
        value = _value(scan, settings, quantity)
        given = GIVEN.get(quantity)
        if value is None:
            continue
        if given and getattr(settings, given) is not None:
            stored = getattr(settings, given)
            for factor in FACTORS:
                number = (
                    tuple(_round(v * factor) for v in stored)
                    if isinstance(stored, tuple)
                    else _round(stored * factor)
                )
                yield Mend(quantity, factor, {given: number})
            continue
        for unit in units:
            name = f"units.{quantity}"
            try:
                other = _value(open_with(changed(settings, {name: unit})), settings, quantity)
            except BeamlineError:
                continue
            if other and not np.isclose(other, value, rtol=0.01):
                yield Mend(quantity, other / value, {name: unit})


def _value(scan: Scan, settings: Settings, quantity: str) -> float | None:
    """In SI; of positions their largest extent. None where there is none."""
    if quantity == "positions":
        try:
            places_m = in_metres(scan, settings).positions_m
        except BeamlineError:  # pixels have no size in an impossible geometry
            return None
        finite = places_m[np.isfinite(places_m).all(1)]
        return (float(np.ptp(finite, axis=0).max()) or None) if len(finite) else None
    given = getattr(settings, GIVEN[quantity])
    if quantity == "energy":
        return float(given) * 1e3 if given is not None else scan.energy_eV
    if quantity == "distance":
        return float(given) if given is not None else scan.distance_m
    pixel = given if given is not None else scan.pixel_m
    return None if pixel is None else float(min(pixel))


def _round(value: float) -> float:
    return float(f"{value:.6g}")
