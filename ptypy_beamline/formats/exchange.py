"""APS Data Exchange (F. De Carlo et al., J. Synchrotron Rad. 21, 1224 (2014))."""

from __future__ import annotations

from ..geometry import check_plausible
from ..quantities import unit_of_name
from ..scan import Scan
from .hdf5 import Hdf5Format, Location
from .hdf5_source import Hdf5Source, has, in_groups, text

LONGEST_M = 100.0
"""No detector is farther away: a larger number without ``@units`` is not in metres."""

INSTRUMENTS = ("/instrument", "/measurement/instrument")


def _finish(source: Hdf5Source, scan: Scan) -> Scan:
    """Check a distance without a unit: the layout's is the metre, which many files ignore."""
    found = source.find("distance", EXCHANGE.distance)
    if found is None or scan.distance_m is None or "distance" in source.units:
        return scan
    if not text(found.dataset.attrs.get("units")) and not unit_of_name("distance", found.name):
        check_plausible("distance", scan.distance_m, most=LONGEST_M)
    return scan


EXCHANGE = Hdf5Format(
    name="exchange",
    title="APS Data Exchange: /exchange/data with positions_x, positions_y or motor_pos",
    recognise=lambda file: has(file, "/exchange/data"),
    frames=Location(("/exchange/data",)),
    x=Location(("/exchange/positions_x",), "um"),
    y=Location(("/exchange/positions_y",), "um"),
    positions=Location(("/exchange/motor_pos",), "mm"),
    energy=Location(in_groups(INSTRUMENTS, "source/energy", "monochromator/energy"), "keV"),
    distance=Location(in_groups(INSTRUMENTS, "detector/distance"), "m"),
    pixel=Location(in_groups(INSTRUMENTS, "detector/pixel_size"), "m"),
    pixel_x=Location(in_groups(INSTRUMENTS, "detector/pixel_size_x"), "m"),
    pixel_y=Location(in_groups(INSTRUMENTS, "detector/pixel_size_y"), "m"),
    exposure=Location(in_groups(INSTRUMENTS, "detector/exposure_time"), "s"),
    mask=Location((*in_groups(INSTRUMENTS, "detector/mask"), "/exchange/mask")),
    dark=Location(("/exchange/data_dark",)),
    flat=Location(("/exchange/data_white",)),
    monitor=Location(("/exchange/monitor",)),
    finish=_finish,
)
