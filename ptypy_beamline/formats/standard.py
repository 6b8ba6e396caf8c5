"""The standardized HDF5 file that this package writes itself."""

from __future__ import annotations

from dataclasses import replace

import h5py

from ..files.links import present
from ..scan import Scan
from .hdf5 import Hdf5Format, Location
from .hdf5_source import Hdf5Source, has, text


def _recognise(file: h5py.File) -> bool:
    frames = has(file, "/entry/data") and not isinstance(present(file, "/entry/data"), h5py.Group)
    return frames and any(
        has(file, f"/entry/{name}") for name in ("pos", "posx_m", "energy_eV", "det_dist_m")
    )


def _finish(source: Hdf5Source, scan: Scan) -> Scan:
    """What the beam is made of."""
    found = source.at("/entry/energy_eV")
    radiation = text(found.dataset.attrs.get("radiation")) if found else ""
    return replace(scan, radiation=radiation or None)


STANDARD = Hdf5Format(
    name="standard",
    title="standardized HDF5: /entry/data with /entry/pos or /entry/posx_m, /entry/posy_m",
    recognise=_recognise,
    frames=Location(("/entry/data",)),
    x=Location(("/entry/posx_m",)),
    y=Location(("/entry/posy_m",)),
    positions=Location(("/entry/pos",), "m"),
    energy=Location(("/entry/energy_eV",)),
    distance=Location(("/entry/det_dist_m",)),
    pixel=Location(("/entry/pixel_m",)),
    exposure=Location(("/entry/exposure_s",)),
    mask=Location(("/entry/mask",)),
    dark=Location(("/entry/dark",)),
    flat=Location(("/entry/flat",)),
    center=Location(("/entry/center_px",)),
    monitor=Location(("/entry/monitor",)),
    saturation=Location(("/entry/saturation",)),
    finish=_finish,
)
