"""Ptychography NeXus files: NXcxi_ptycho, and Diamond's own."""

from __future__ import annotations

import h5py

from .hdf5 import Hdf5Format, Location
from .hdf5_source import definitions, has, in_groups

NX_DEFINITIONS = {"NXcxi_ptycho", "NXptycho"}

DETECTORS = ("/entry*/instrument_1/detector_1", "/entry*/instrument_1/detector")
BEAM = ("/entry*/instrument_1/beam_1",)
SHIFTS = "/entry*/sample_1/transformations"


NXCXI = Hdf5Format(
    name="nxcxi",
    title="NeXus NXcxi_ptycho: entry_1/data_1/{data,x,y}",
    recognise=lambda file: bool(NX_DEFINITIONS & definitions(file)),
    frames=Location((*in_groups(DETECTORS, "data"), "/entry*/data_1/data")),
    # As PtyPy reads them: the position of the beam, on the frames' axes.
    x=Location(("/entry*/data_1/x", f"{SHIFTS}/translation_x", f"{SHIFTS}/trans_x"), "m"),
    y=Location(("/entry*/data_1/y", f"{SHIFTS}/translation_y", f"{SHIFTS}/trans_y"), "m"),
    positions=Location((f"{SHIFTS}/translation",), "m"),
    # source_1/energy is that of the electrons in the ring.
    energy=Location(in_groups(BEAM, "energy", "incident_energy", "incident_beam_energy"), "J"),
    distance=Location(in_groups(DETECTORS, "distance"), "m"),
    pixel_x=Location(in_groups(DETECTORS, "x_pixel_size"), "m"),
    pixel_y=Location(in_groups(DETECTORS, "y_pixel_size"), "m"),
    exposure=Location(in_groups(DETECTORS, "count_time")),
    center_x=Location(in_groups(DETECTORS, "beam_center_x")),
    center_y=Location(in_groups(DETECTORS, "beam_center_y")),
    mask=Location(in_groups(DETECTORS, "mask", "pixel_mask")),
    dark=Location(in_groups(DETECTORS, "darkfield", "dark")),
    flat=Location(in_groups(DETECTORS, "flatfield", "flat")),
    monitor=Location(("/entry*/instrument_1/monitor/data", "/entry*/monitor_1/data")),
    saturation=Location(in_groups(DETECTORS, "saturation_value")),
    refines=("cxi", "diamond", "areadetector", "eiger"),
)

_DETECTOR = "/entry_1/instrument_1/detector_1"


def _is_diamond(file: h5py.File) -> bool:
    present = has(file, "/entry_1/data/data", "/entry_1/data/x", "/entry_1/instrument_1")
    return present and not has(file, "/cxi_version")


DIAMOND = Hdf5Format(
    name="diamond",
    title="Diamond NeXus: entry_1/data/{data,x,y}",
    recognise=_is_diamond,
    frames=Location(("/entry_1/data/data", f"{_DETECTOR}/data")),
    x=Location(("/entry_1/data/x",), "m"),
    y=Location(("/entry_1/data/y",), "m"),
    energy=Location(("/entry_1/instrument_1/beam_1/energy",), "J"),
    distance=Location((f"{_DETECTOR}/distance",), "m"),
    pixel_x=Location((f"{_DETECTOR}/x_pixel_size",), "m"),
    pixel_y=Location((f"{_DETECTOR}/y_pixel_size",), "m"),
    exposure=Location((f"{_DETECTOR}/count_time",)),
    center_x=Location((f"{_DETECTOR}/beam_center_x",)),
    center_y=Location((f"{_DETECTOR}/beam_center_y",)),
    mask=Location((f"{_DETECTOR}/mask", f"{_DETECTOR}/pixel_mask")),
    dark=Location((f"{_DETECTOR}/darkfield",)),
    flat=Location((f"{_DETECTOR}/flatfield",)),
    monitor=Location(("/entry_1/instrument_1/monitor/data",)),
    saturation=Location((f"{_DETECTOR}/saturation_value",)),
    refines=("cxi",),
)
