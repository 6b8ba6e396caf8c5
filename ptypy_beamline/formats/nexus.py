"""Ptychography NeXus files: NXcxi_ptycho, and Diamond's own."""

from __future__ import annotations

import h5py

from .cxi import NX_DEFINITIONS
from .hdf5 import Hdf5Format, Item
from .source import definitions, has

DETECTORS = ("/entry*/instrument_1/detector_1", "/entry*/instrument_1/detector")
SHIFTS = "/entry*/sample_1/transformations"


def _detector(*names: str) -> tuple[str, ...]:
    return tuple(f"{place}/{name}" for name in names for place in DETECTORS)


NXCXI = Hdf5Format(
    name="nxcxi",
    title="NeXus NXcxi_ptycho: entry_1/data_1/{data,x,y}",
    recognise=lambda file: bool(NX_DEFINITIONS & definitions(file)),
    frames=Item((*_detector("data"), "/entry*/data_1/data")),
    # As PtyPy reads them: the position of the beam, on the frames' axes.
    x=Item(("/entry*/data_1/x", f"{SHIFTS}/translation_x", f"{SHIFTS}/trans_x"), "m"),
    y=Item(("/entry*/data_1/y", f"{SHIFTS}/translation_y", f"{SHIFTS}/trans_y"), "m"),
    positions=Item((f"{SHIFTS}/translation",), "m"),
    # source_1/energy is that of the electrons in the ring.
    energy=Item(
        (
            "/entry*/instrument_1/beam_1/energy",
            "/entry*/instrument_1/beam_1/incident_energy",
            "/entry*/instrument_1/beam_1/incident_beam_energy",
        ),
        "J",
    ),
    distance=Item(_detector("distance"), "m"),
    pixel_x=Item(_detector("x_pixel_size"), "m"),
    pixel_y=Item(_detector("y_pixel_size"), "m"),
    exposure=Item(_detector("count_time")),
    center_x=Item(_detector("beam_center_x")),
    center_y=Item(_detector("beam_center_y")),
    mask=Item(_detector("mask", "pixel_mask")),
    dark=Item(_detector("darkfield", "dark")),
    flat=Item(_detector("flatfield", "flat")),
    monitor=Item(("/entry*/instrument_1/monitor/data", "/entry*/monitor_1/data")),
    saturation=Item(_detector("saturation_value")),
)

_DETECTOR = "/entry_1/instrument_1/detector_1"


def _is_diamond(file: h5py.File) -> bool:
    ours = has(file, "/entry_1/data/data", "/entry_1/data/x", "/entry_1/instrument_1")
    return ours and not has(file, "/cxi_version") and not NX_DEFINITIONS & definitions(file)


DIAMOND = Hdf5Format(
    name="diamond",
    title="Diamond NeXus: entry_1/data/{data,x,y}",
    recognise=_is_diamond,
    frames=Item(("/entry_1/data/data", f"{_DETECTOR}/data")),
    x=Item(("/entry_1/data/x",), "m"),
    y=Item(("/entry_1/data/y",), "m"),
    energy=Item(("/entry_1/instrument_1/beam_1/energy",), "J"),
    distance=Item((f"{_DETECTOR}/distance",), "m"),
    pixel_x=Item((f"{_DETECTOR}/x_pixel_size",), "m"),
    pixel_y=Item((f"{_DETECTOR}/y_pixel_size",), "m"),
    exposure=Item((f"{_DETECTOR}/count_time",)),
    center_x=Item((f"{_DETECTOR}/beam_center_x",)),
    center_y=Item((f"{_DETECTOR}/beam_center_y",)),
    mask=Item((f"{_DETECTOR}/mask", f"{_DETECTOR}/pixel_mask")),
    dark=Item((f"{_DETECTOR}/darkfield",)),
    flat=Item((f"{_DETECTOR}/flatfield",)),
    monitor=Item(("/entry_1/instrument_1/monitor/data",)),
    saturation=Item((f"{_DETECTOR}/saturation_value",)),
)
