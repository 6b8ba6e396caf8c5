"""The standardized HDF5 file that this package writes itself."""

from __future__ import annotations

from dataclasses import replace

import h5py

from ..files.links import present
from ..scan import Scan
from .hdf5 import Hdf5Format, Item
from .source import Source, has, text


def _recognise(file: h5py.File) -> bool:
    frames = has(file, "/entry/data") and not isinstance(present(file, "/entry/data"), h5py.Group)
    return frames and any(
        has(file, f"/entry/{name}") for name in ("pos", "posx_m", "energy_eV", "det_dist_m")
    )


def _finish(source: Source, scan: Scan) -> Scan:
    """What the beam is made of."""
    found = source.find("", Item(("/entry/energy_eV",)))
    radiation = text(found.dataset.attrs.get("radiation")) if found else ""
    return replace(scan, radiation=radiation or None)


STANDARD = Hdf5Format(
    name="standard",
    title="standardized HDF5: /entry/data with /entry/pos or /entry/posx_m, /entry/posy_m",
    recognise=_recognise,
    frames=Item(("/entry/data",)),
    x=Item(("/entry/posx_m",)),
    y=Item(("/entry/posy_m",)),
    positions=Item(("/entry/pos",), "m"),
    energy=Item(("/entry/energy_eV",)),
    distance=Item(("/entry/det_dist_m",)),
    pixel=Item(("/entry/pixel_m",)),
    exposure=Item(("/entry/exposure_s",)),
    mask=Item(("/entry/mask",)),
    dark=Item(("/entry/dark",)),
    flat=Item(("/entry/flat",)),
    center=Item(("/entry/center_px",)),
    monitor=Item(("/entry/monitor",)),
    saturation=Item(("/entry/saturation",)),
    finish=_finish,
)
