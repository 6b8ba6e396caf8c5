"""A writer for each format: the same scan in that format's own layout, units and conventions.

The writers follow the descriptions of the formats and share no code with the readers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import tifffile

from ..output.hdf5 import create_hdf5, nexus_group
from ..units import EV_J
from .package_writers import (
    write_adorym,
    write_phantom,
    write_product,
    write_ptychopinn,
    write_ptyd,
    write_tike,
)
from .raw import Raw, bits, put, put_frames

__all__ = ["WRITERS", "Raw"]


def write_cxi(path: Path, raw: Raw) -> Path:
    """CXI 1.6: SI, energy in joule, the *sample's* translation (N, 3) x,y,z; mask 0 = good.

    The illumination is at minus the translation. With the default basis vectors (row = −y,
    column = −x) the two signs cancel: (row, column) = (+t_y, +t_x).
    """
    with h5py.File(path, "w") as file:
        file["cxi_version"] = 160
        entry = nexus_group(file, "entry_1", "NXentry", default="data_1")
        instrument = nexus_group(entry, "instrument_1", "NXinstrument")
        put(nexus_group(instrument, "source_1", "NXsource"), "energy", raw.energy_eV * EV_J)
        detector = _detector(instrument, "detector_1", raw, units=False)
        basis = np.array([[0, -raw.pixel_m[0], 0], [-raw.pixel_m[1], 0, 0]])
        put(detector, "basis_vectors", basis)
        if raw.center_px is not None:
            corner = np.array([0, 0, raw.distance_m]) - np.asarray(raw.center_px) @ basis
            put(detector, "corner_position", corner)
        put(detector, "mask", bits(raw.bad, np.uint32))
        put(detector, "data_dark", raw.dark)
        put(detector, "data_white", raw.flat)
        put(nexus_group(instrument, "monitor", "NXmonitor"), "data", raw.monitor)
        put_frames(detector, "data", raw.frames, raw.compression)
        y, x = raw.positions_m.T
        sample = nexus_group(entry, "sample_1", "NXsample")
        geometry = nexus_group(sample, "geometry_1", "NXgeometry")
        put(geometry, "translation", np.stack([x, y, np.zeros_like(x)], axis=1))
        data = nexus_group(entry, "data_1", "NXdata", signal="data")
        data["data"] = h5py.SoftLink(detector.name + "/data")
        data["translation"] = h5py.SoftLink(geometry.name + "/translation")
    return path


def _nexus(path: Path, raw: Raw, definition: str | None) -> Path:
    """NXcxi_ptycho, or Diamond NeXus where there is no ``definition``; with @units throughout."""
    with h5py.File(path, "w") as file:
        entry = nexus_group(file, "entry_1", "NXentry", default="data_1" if definition else "data")
        if definition:
            entry["definition"] = definition
        instrument = nexus_group(entry, "instrument_1", "NXinstrument")
        put(nexus_group(instrument, "beam_1", "NXbeam"), "energy", raw.energy_eV, units="eV")
        detector = _detector(instrument, "detector_1", raw, units=True)
        put(detector, "darkfield", raw.dark)
        put(detector, "flatfield", raw.flat)
        put(detector, "pixel_mask", bits(raw.bad, np.uint32))
        put(nexus_group(instrument, "monitor", "NXmonitor"), "data", raw.monitor)
        _put_center(detector, raw)
        data = nexus_group(entry, "data_1" if definition else "data", "NXdata", signal="data")
        put_frames(data, "data", raw.gridded, raw.compression)
        if definition:
            detector["data"] = data["data"]
        for axis, name in enumerate("yx"):
            # In millimetres, to reveal a reader that ignores @units.
            put(data, name, raw.positions_m[:, axis] * 1e3, units="mm")
    return path


def _put_center(detector: h5py.Group, raw: Raw) -> None:
    if raw.center_px is not None:
        put(detector, "beam_center_y", raw.center_px[0], units="pixel")
        put(detector, "beam_center_x", raw.center_px[1], units="pixel")


def _detector(instrument: h5py.Group, name: str, raw: Raw, units: bool) -> h5py.Group:
    """Distance, pixel and exposure in SI, with @units or as CXI without."""
    detector = nexus_group(instrument, name, "NXdetector")
    for key, value, unit in (
        ("distance", raw.distance_m, "m"),
        ("y_pixel_size", raw.pixel_m[0], "m"),
        ("x_pixel_size", raw.pixel_m[1], "m"),
        ("count_time", raw.exposure_s, "s"),
    ):
        put(detector, key, value, **({"units": unit} if units else {}))
    put(detector, "saturation_value", raw.saturation)
    return detector


CODECS = {"gzip": "zlib", "lzf": "lzw", "bitshuffle": "zstd"}
"""HDF5 compression → TIFF compression."""


def write_tiff(path: Path, raw: Raw) -> Path:
    """A folder of TIFF files, half of them with one page and half with two; returns its list."""
    folder = path.with_suffix("")
    folder.mkdir()
    options = {"compression": CODECS.get(raw.compression or ""), "photometric": "minisblack"}
    single = len(raw.frames) // 2
    for number, frame in enumerate(raw.frames[:single]):
        tifffile.imwrite(folder / f"img_{number}.tif", frame, rowsperstrip=7, **options)
    for number in range(single, len(raw.frames), 2):
        tifffile.imwrite(folder / f"pair_{number}.tif", raw.frames[number : number + 2], **options)
    write_sidecar(folder / "sidecar.h5", raw)
    listed = folder / "files.txt"
    listed.write_text("# frames in the order of the scan\nimg_*.tif\n\npair_*.tif\n")
    return listed


def write_sidecar(path: Path, raw: Raw) -> Path:
    """The standardized layout without the frames and without @units."""
    with h5py.File(path, "w") as file:
        _standard(file.create_group("entry"), raw, units=False)
    return path


def write_standard(path: Path, raw: Raw) -> Path:
    """Standardized HDF5, with positions (N, 2) x,y, too."""
    with h5py.File(path, "w") as file:
        entry = nexus_group(file, "entry", "NXentry", default="data_view")
        put_frames(entry, "data", raw.frames, raw.compression)
        put(entry, "pos", raw.positions_m[:, ::-1], columns="x,y", units="m")
        _standard(entry, raw, units=True)
    return path


def _standard(entry: h5py.Group, raw: Raw, units: bool) -> None:
    """What goes with the frames: lengths in m, energy in eV; mask 1 = bad."""
    square = raw.pixel_m[0] == raw.pixel_m[1]
    for name, value, unit in (
        ("posx_m", raw.positions_m[:, 1], "m"),
        ("posy_m", raw.positions_m[:, 0], "m"),
        ("energy_eV", raw.energy_eV, "eV"),
        ("det_dist_m", raw.distance_m, "m"),
        ("pixel_m", raw.pixel_m[0] if square else raw.pixel_m, "m"),
        ("exposure_s", raw.exposure_s, "s"),
    ):
        put(entry, name, value, **({"units": unit} if units else {}))
    put(entry, "mask", bits(raw.bad, np.uint8))
    for name in ("dark", "flat", "monitor", "center_px", "saturation"):
        put(entry, name, getattr(raw, name))


def write_areadetector(path: Path, raw: Raw, signed: bool = False) -> Path:
    """NDFileHDF5: each NDAttribute a 1-D dataset with one value per frame.

    ``signed``: marked as a file of this package, which may be overwritten.
    """
    n = len(raw.frames)
    with create_hdf5(path, signed, libver="latest") as file:
        entry = nexus_group(file, "entry", "NXentry", default="data")
        data = nexus_group(entry, "data", "NXdata", signal="data")
        instrument = nexus_group(entry, "instrument", "NXinstrument")
        detector = nexus_group(instrument, "detector", "NXdetector")
        put_frames(data, "data", raw.frames, raw.compression)
        detector["data"] = data["data"]
        put(detector, "pixel_mask", bits(raw.bad, np.uint32))
        put(detector, "dark", raw.dark)
        put(detector, "flat", raw.flat)
        put(detector, "saturation_value", raw.saturation)
        _put_center(detector, raw)
        attributes = nexus_group(instrument, "NDAttributes", "NXcollection")
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
        exchange = nexus_group(file, "exchange")
        put_frames(exchange, "data", raw.frames, raw.compression)
        put(exchange, "data_dark", raw.dark)
        put(exchange, "data_white", raw.flat)
        put(exchange, "positions_x", raw.positions_m[:, 1] * 1e6, units="um")
        put(exchange, "positions_y", raw.positions_m[:, 0] * 1e6, units="um")
        put(exchange, "mask", bits(raw.bad, np.uint8))
        put(exchange, "monitor", raw.monitor)
        detector = nexus_group(nexus_group(file, "instrument"), "detector")
        put(detector, "distance", raw.distance_m * 1e3, units="mm")
        square = raw.pixel_m[0] == raw.pixel_m[1]
        pixel = raw.pixel_m[0] if square else np.array(raw.pixel_m)
        put(detector, "pixel_size", pixel * 1e6, units="um")
        put(detector, "exposure_time", raw.exposure_s, units="s")
        put(nexus_group(file["instrument"], "source"), "energy", raw.energy_eV / 1e3, units="keV")
    return path


PART = 7
"""Frames of a data file of an Eiger; not a divisor of most scans, so that the last is shorter."""


def write_eiger(path: Path, raw: Raw) -> Path:
    """Eiger master with data files ``…_data_000001.h5``, and positions in ``positions.h5``."""
    frames = raw.frames
    with h5py.File(path, "w") as file:
        entry = nexus_group(file, "entry", "NXentry", default="data")
        data = nexus_group(entry, "data", "NXdata")
        for number, start in enumerate(range(0, len(frames), PART), 1):
            part = path.with_name(f"{path.stem}_data_{number:06d}.h5")
            with h5py.File(part, "w") as other:
                group = other.create_group("entry/data")
                put_frames(group, "data", frames[start : start + PART], raw.compression)
                group["data"].attrs.update(image_nr_low=start + 1)
            data[f"data_{number:06d}"] = h5py.ExternalLink(part.name, "/entry/data/data")
        instrument = nexus_group(entry, "instrument", "NXinstrument")
        detector = nexus_group(instrument, "detector", "NXdetector")
        put(detector, "detector_distance", raw.distance_m * 1e3, units="mm")
        put(detector, "y_pixel_size", raw.pixel_m[0], units="m")
        put(detector, "x_pixel_size", raw.pixel_m[1], units="m")
        put(detector, "count_time", raw.exposure_s, units="s")
        put(detector, "saturation_value", raw.saturation)
        _put_center(detector, raw)
        specific = nexus_group(detector, "detectorSpecific", "NXcollection")
        put(specific, "photon_energy", raw.energy_eV, units="eV")
        put(specific, "nimages", len(frames))
        put(specific, "ntrigger", 1)
        put(specific, "pixel_mask", bits(raw.bad, np.uint32))
    with h5py.File(path.with_name("positions.h5"), "w") as file:
        put(file, "y", raw.positions_m[:, 0] * 1e6, units="um")
        put(file, "x", raw.positions_m[:, 1] * 1e6, units="um")
    return path


def write_nanomax(path: Path, raw: Raw) -> Path:
    """NanoMAX: positions in µm without @units, the energy in a snapshot of the beamline."""
    with h5py.File(path, "w") as file:
        measurement = nexus_group(nexus_group(file, "entry"), "measurement")
        put_frames(nexus_group(measurement, "pilatus"), "frames", raw.frames, raw.compression)
        pseudo = nexus_group(measurement, "pseudo")
        put(pseudo, "y", raw.positions_m[:, 0] * 1e6)
        put(pseudo, "x", raw.positions_m[:, 1] * 1e6)
        put(nexus_group(file["entry"], "snapshot"), "energy", np.array([raw.energy_eV]))
    return path


def write_hermes(path: Path, raw: Raw) -> Path:
    """HERMES: three files: frames, dark frames, and positions with the energy."""
    experiment = path.stem
    frames = path.with_name(f"{experiment}_000001.nxs")
    write_flyscan(frames, raw.frames, raw.compression)
    write_hermes_dark(path, raw)
    with h5py.File(path.with_name(f"{experiment}.hdf5"), "w") as file:
        camera = nexus_group(nexus_group(file, "entry1", "NXentry"), "camera", "NXdata")
        for axis, name in enumerate("yx"):
            set_um = np.unique(np.round(raw.positions_m[:, axis] * 1e6))
            put(camera, f"sample_{name}", set_um)
            put(camera, f"real_sample_{name}", raw.positions_m[:, axis] * 1e6)
        put(camera, "energy", np.array([raw.energy_eV]))
    return frames


def write_hermes_dark(path: Path, raw: Raw) -> None:
    """The file of a HERMES scan's dark frames, the first of which must not be used."""
    if raw.dark is not None:
        dark = np.concatenate([np.full_like(raw.dark[:1], 999), raw.dark])
        write_flyscan(path.with_name(f"{path.stem}_dark_000001.nxs"), dark, None)


def write_flyscan(path: Path, frames: np.ndarray, compression: str | None) -> None:
    """A flyscan's file: actuators and images side by side."""
    with h5py.File(path, "w") as file:
        data = nexus_group(nexus_group(file, path.stem, "NXentry"), "scan_data", "NXdata")
        put(data, "a_counter", np.arange(len(frames), dtype=float))
        put_frames(data, "camera_image", frames, compression)


WRITERS: dict[str, Callable[[Path, Raw], Path]] = {
    "standard": write_standard,
    "cxi": write_cxi,
    "nxcxi": partial(_nexus, definition="NXcxi_ptycho"),
    "diamond": partial(_nexus, definition=None),
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
