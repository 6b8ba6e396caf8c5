"""Writers of CXI and of the two NeXus dialects."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from ..geometry import EV_J
from .recording import Raw, bits, group, put, put_frames


def write_cxi(path: Path, raw: Raw) -> Path:
    """CXI 1.6: SI, energy in joule, the *sample's* translation (N, 3) x,y,z; mask 0 = good.

    The illumination is at minus the translation. With the default basis vectors (row = −y,
    column = −x) the two signs cancel: (row, column) = (+t_y, +t_x).
    """
    with h5py.File(path, "w") as file:
        file["cxi_version"] = 160
        entry = group(file, "entry_1", "NXentry", default="data_1")
        instrument = group(entry, "instrument_1", "NXinstrument")
        put(group(instrument, "source_1", "NXsource"), "energy", raw.energy_eV * EV_J)
        detector = _detector(instrument, "detector_1", raw, units=False)
        basis = np.array([[0, -raw.pixel_m[0], 0], [-raw.pixel_m[1], 0, 0]])
        put(detector, "basis_vectors", basis)
        if raw.center_px is not None:
            corner = np.array([0, 0, raw.distance_m]) - np.asarray(raw.center_px) @ basis
            put(detector, "corner_position", corner)
        put(detector, "mask", bits(raw.bad, np.uint32))
        put(detector, "data_dark", raw.dark)
        put(detector, "data_white", raw.flat)
        put(group(instrument, "monitor", "NXmonitor"), "data", raw.monitor)
        put_frames(detector, "data", raw.frames, raw.compression)
        y, x = raw.positions_m.T
        geometry = group(group(entry, "sample_1", "NXsample"), "geometry_1", "NXgeometry")
        put(geometry, "translation", np.stack([x, y, np.zeros_like(x)], axis=1))
        data = group(entry, "data_1", "NXdata", signal="data")
        data["data"] = h5py.SoftLink(detector.name + "/data")
        data["translation"] = h5py.SoftLink(geometry.name + "/translation")
    return path


def write_nxcxi(path: Path, raw: Raw) -> Path:
    """NXcxi_ptycho: every number has its @units."""
    return _nexus(path, raw, definition="NXcxi_ptycho")


def write_diamond(path: Path, raw: Raw) -> Path:
    """Diamond NeXus: frames and positions in entry_1/data; dark and flat with the detector."""
    return _nexus(path, raw, definition=None)


def _nexus(path: Path, raw: Raw, definition: str | None) -> Path:
    """The two NeXus dialects, which differ in the definition and in the data group's name."""
    with h5py.File(path, "w") as file:
        entry = group(file, "entry_1", "NXentry", default="data_1" if definition else "data")
        if definition:
            entry["definition"] = definition
        instrument = group(entry, "instrument_1", "NXinstrument")
        put(group(instrument, "beam_1", "NXbeam"), "energy", raw.energy_eV, units="eV")
        detector = _detector(instrument, "detector_1", raw, units=True)
        put(detector, "darkfield", raw.dark)
        put(detector, "flatfield", raw.flat)
        put(detector, "pixel_mask", bits(raw.bad, np.uint32))
        put(group(instrument, "monitor", "NXmonitor"), "data", raw.monitor)
        if raw.center_px is not None:
            put(detector, "beam_center_y", raw.center_px[0], units="pixel")
            put(detector, "beam_center_x", raw.center_px[1], units="pixel")
        data = group(entry, "data_1" if definition else "data", "NXdata", signal="data")
        put_frames(data, "data", raw.gridded, raw.compression)
        if definition:
            detector["data"] = data["data"]
        for axis, name in enumerate("yx"):
            # In millimetres, so that a reader which ignores @units shows.
            put(data, name, raw.positions_m[:, axis] * 1e3, units="mm")
    return path


def _detector(instrument: h5py.Group, name: str, raw: Raw, units: bool) -> h5py.Group:
    """Distance, pixel and exposure in SI, with @units or as CXI without."""
    detector = group(instrument, name, "NXdetector")
    for key, value, unit in (
        ("distance", raw.distance_m, "m"),
        ("y_pixel_size", raw.pixel_m[0], "m"),
        ("x_pixel_size", raw.pixel_m[1], "m"),
        ("count_time", raw.exposure_s, "s"),
    ):
        put(detector, key, value, **({"units": unit} if units else {}))
    put(detector, "saturation_value", raw.saturation)
    return detector
