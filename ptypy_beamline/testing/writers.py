"""One writer a format: the same scan in each format's own places, units and conventions.

They are written from the formats' descriptions and share no code with the readers.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from ..output import open_to_write
from .beamline_writers import write_eiger, write_hermes, write_nanomax
from .nexus_writers import write_cxi, write_diamond, write_nxcxi
from .package_writers import write_adorym, write_product, write_ptychopinn, write_tike
from .phantom_writer import write_phantom
from .ptyd_writer import write_ptyd
from .recording import Raw, bits, group, put, put_frames
from .tiff_writer import write_tiff

__all__ = ["WRITERS", "Raw"]


def write_standard(path: Path, raw: Raw) -> Path:
    """Standardized HDF5: SI units, positions (N, 2) x,y; mask 1 = bad."""
    with h5py.File(path, "w") as file:
        entry = group(file, "entry", "NXentry", default="data_view")
        put_frames(entry, "data", raw.frames, raw.compression)
        put(entry, "pos", raw.positions_m[:, ::-1], columns="x,y", units="m")
        put(entry, "posx_m", raw.positions_m[:, 1], units="m")
        put(entry, "posy_m", raw.positions_m[:, 0], units="m")
        put(entry, "energy_eV", raw.energy_eV, units="eV")
        put(entry, "det_dist_m", raw.distance_m, units="m")
        square = raw.pixel_m[0] == raw.pixel_m[1]
        put(entry, "pixel_m", raw.pixel_m[0] if square else raw.pixel_m, units="m")
        put(entry, "exposure_s", raw.exposure_s, units="s")
        put(entry, "mask", bits(raw.bad, np.uint8))
        put(entry, "dark", raw.dark)
        put(entry, "flat", raw.flat)
        put(entry, "monitor", raw.monitor)
        put(entry, "center_px", raw.center_px)
        put(entry, "saturation", raw.saturation)
    return path


def write_areadetector(path: Path, raw: Raw, signed: bool = False) -> Path:
    """NDFileHDF5: each NDAttribute a 1-D dataset, one value a frame.

    ``signed``: as a file of this package, which may be written again.
    """
    n = len(raw.frames)
    with open_to_write(path, signed, libver="latest") as file:
        entry = group(file, "entry", "NXentry", default="data")
        data = group(entry, "data", "NXdata", signal="data")
        instrument = group(entry, "instrument", "NXinstrument")
        detector = group(instrument, "detector", "NXdetector")
        put_frames(data, "data", raw.frames, raw.compression)
        detector["data"] = data["data"]
        put(detector, "pixel_mask", bits(raw.bad, np.uint32))
        put(detector, "dark", raw.dark)
        put(detector, "flat", raw.flat)
        put(detector, "saturation_value", raw.saturation)
        if raw.center_px is not None:
            put(detector, "beam_center_y", raw.center_px[0], units="pixel")
            put(detector, "beam_center_x", raw.center_px[1], units="pixel")
        attributes = group(instrument, "NDAttributes", "NXcollection")
        logged = {
            "NDArrayUniqueId": np.arange(1, n + 1, dtype=np.int32),
            "NDArrayTimeStamp": 1.1e9 + raw.exposure_s * np.arange(n),
            "posx_m": raw.positions_m[:, 1],
            "posy_m": raw.positions_m[:, 0],
            "energy_eV": np.full(n, raw.energy_eV),
            "det_dist_m": np.full(n, raw.distance_m),
            "pixel_m": np.full(n, raw.pixel_m[0]),
            "exposure_s": np.full(n, raw.exposure_s),
            "monitor": raw.monitor,
        }
        for name, value in logged.items():
            put(attributes, name, value, NDAttrName=name, NDAttrSourceType="NDAttrSourceEPICSPV")
    return path


def write_exchange(path: Path, raw: Raw) -> Path:
    """APS data exchange: positions in µm, distance in mm, pixel in µm, energy in keV."""
    with h5py.File(path, "w") as file:
        file["implements"] = "exchange:instrument"
        exchange = group(file, "exchange")
        put_frames(exchange, "data", raw.frames, raw.compression)
        put(exchange, "data_dark", raw.dark)
        put(exchange, "data_white", raw.flat)
        put(exchange, "positions_x", raw.positions_m[:, 1] * 1e6, units="um")
        put(exchange, "positions_y", raw.positions_m[:, 0] * 1e6, units="um")
        put(exchange, "mask", bits(raw.bad, np.uint8))
        put(exchange, "monitor", raw.monitor)
        detector = group(group(file, "instrument"), "detector")
        put(detector, "distance", raw.distance_m * 1e3, units="mm")
        square = raw.pixel_m[0] == raw.pixel_m[1]
        pixel = raw.pixel_m[0] if square else np.array(raw.pixel_m)
        put(detector, "pixel_size", pixel * 1e6, units="um")
        put(detector, "exposure_time", raw.exposure_s, units="s")
        put(group(file["instrument"], "source"), "energy", raw.energy_eV / 1e3, units="keV")
    return path


WRITERS: dict[str, Callable[[Path, Raw], Path]] = {
    "standard": write_standard,
    "cxi": write_cxi,
    "nxcxi": write_nxcxi,
    "diamond": write_diamond,
    "areadetector": write_areadetector,
    "exchange": write_exchange,
    "eiger": write_eiger,
    "nanomax": write_nanomax,
    "hermes": write_hermes,
    "product": write_product,
    "adorym": write_adorym,
    "ptychopinn": write_ptychopinn,
    "tike": write_tike,
    "tiff": write_tiff,
    "ptyd": write_ptyd,
    "phantom": write_phantom,
}
"""Format → its writer (path, raw) → path."""
