"""APS Data Exchange (F. De Carlo et al., J. Synchrotron Rad. 21, 1224 (2014))."""

from __future__ import annotations

from typing import Any

import h5py

from ..files.links import present
from ..geometry import check_plausible, unit_of_name
from ..scan import Scan
from .adorym import in_phantom
from .hdf5 import Hdf5Format, Item
from .source import Source, has, text

LONGEST_M = 100.0
"""No detector is farther away: a larger number without ``@units`` is not in metres."""

INSTRUMENTS = ("/instrument", "/measurement/instrument")


def _recognise(file: h5py.File) -> bool:
    data: Any = present(file, "/exchange/data")
    # Simulated data sets use the same path for waves and amplitudes.
    simulated = (
        has(file, "/metadata/probe_pos_px")
        or (isinstance(data, h5py.Dataset) and data.dtype.kind == "c")
        or in_phantom(file)
    )
    return has(file, "/exchange/data") and not simulated


def _instrument(*names: str) -> tuple[str, ...]:
    return tuple(f"{place}/{name}" for name in names for place in INSTRUMENTS)


def _finish(source: Source, scan: Scan) -> Scan:
    """A distance in the layout's own metres, which many files do not keep to, is looked at."""
    found = source.find("distance", EXCHANGE.distance)
    if found is None or scan.distance_m is None or "distance" in source.opening.units:
        return scan
    if not text(found.dataset.attrs.get("units")) and not unit_of_name("distance", found.name):
        check_plausible("distance", scan.distance_m, most=LONGEST_M)
    return scan


EXCHANGE = Hdf5Format(
    name="exchange",
    title="APS Data Exchange: /exchange/data with positions_x, positions_y or motor_pos",
    recognise=_recognise,
    frames=Item(("/exchange/data",)),
    x=Item(("/exchange/positions_x",), "um"),
    y=Item(("/exchange/positions_y",), "um"),
    positions=Item(("/exchange/motor_pos",), "mm"),
    energy=Item(_instrument("source/energy", "monochromator/energy"), "keV"),
    distance=Item(_instrument("detector/distance"), "m"),
    pixel=Item(_instrument("detector/pixel_size"), "m"),
    pixel_x=Item(_instrument("detector/pixel_size_x"), "m"),
    pixel_y=Item(_instrument("detector/pixel_size_y"), "m"),
    exposure=Item(_instrument("detector/exposure_time"), "s"),
    mask=Item((*_instrument("detector/mask"), "/exchange/mask")),
    dark=Item(("/exchange/data_dark",)),
    flat=Item(("/exchange/data_white",)),
    monitor=Item(("/exchange/monitor",)),
    finish=_finish,
)
