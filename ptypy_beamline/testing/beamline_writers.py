"""Writers of beamlines' own files: Eiger masters, NanoMAX, HERMES and others of SOLEIL."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from ..output.nexus import nexus_group
from .raw import Raw, bits, put, put_frames

PART = 7
"""Frames of a data file; not a divisor of most scans, so that the last one is shorter."""


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
        if raw.center_px is not None:
            put(detector, "beam_center_y", raw.center_px[0], units="pixel")
            put(detector, "beam_center_x", raw.center_px[1], units="pixel")
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


def write_nanomax_now(path: Path, raw: Raw, frames: str = "eiger/data") -> Path:
    """NanoMAX today: buffered piezo positions on a coarse stage, snapshots around the scan.

    ``frames``: ``eiger/data``, ``Eiger/data`` or ``merlin/frames`` in ``measurement``,
    ``instrument``, or ``lines``: a dataset for each row of ``raw.grid``, all in another file.
    """
    with h5py.File(path, "w") as file:
        measurement = nexus_group(nexus_group(file, "entry"), "measurement")
        spectra = np.arange(len(raw.frames) * 6).reshape(-1, 2, 3)
        put(nexus_group(measurement, "xspress3"), "frames", spectra)
        if frames == "instrument":
            eiger = nexus_group(nexus_group(file["entry"], "instrument"), "Eiger")
            put_frames(eiger, "data", raw.frames, raw.compression)
        elif frames == "lines":
            _write_lines(path, nexus_group(measurement, "pilatus1m"), raw)
        else:
            device, name = frames.split("/")
            put_frames(nexus_group(measurement, device), name, raw.frames, raw.compression)
        piezo = nexus_group(measurement, "npoint_buff")
        for axis, base, name in ((0, 350.0, "y"), (1, -120.0, "x")):
            readings = raw.positions_m[:, axis] * 1e6 - base
            put(piezo, name, readings.reshape(raw.grid or (-1,)))
        snapshots = nexus_group(file["entry"], "snapshots")
        for name in ("pre_scan", "post_scan"):
            snapshot = nexus_group(snapshots, name)
            put(snapshot, "energy", np.array([raw.energy_eV]))
            put(snapshot, "basey", np.array([350.0]))
            put(snapshot, "basex", np.array([-120.0]))
    return path


def _write_lines(path: Path, device: h5py.Group, raw: Raw) -> None:
    """The rows of the scan in another file, and a link to each."""
    other = path.with_name(f"{path.stem}_pilatus1m.h5")
    with h5py.File(other, "w") as file:
        for number, line in enumerate(raw.gridded):
            name = f"entry_{number:04d}/measurement/Pilatus"
            put_frames(file.create_group(name), "data", line, raw.compression)
            device[f"{number:06d}"] = h5py.ExternalLink(other.name, f"/{name}/data")


def write_hermes(path: Path, raw: Raw) -> Path:
    """HERMES: three files; the first dark is one that must not be used."""
    experiment = path.stem
    frames = path.with_name(f"{experiment}_000001.nxs")
    _write_nxs(frames, raw.frames, raw.compression)
    if raw.dark is not None:
        dark = np.concatenate([np.full_like(raw.dark[:1], 999), raw.dark])
        _write_nxs(path.with_name(f"{experiment}_dark_000001.nxs"), dark, None)
    with h5py.File(path.with_name(f"{experiment}.hdf5"), "w") as file:
        camera = nexus_group(nexus_group(file, "entry1", "NXentry"), "camera", "NXdata")
        for axis, name in enumerate("yx"):
            set_um = np.unique(np.round(raw.positions_m[:, axis] * 1e6))
            put(camera, f"sample_{name}", set_um)
            put(camera, f"real_sample_{name}", raw.positions_m[:, axis] * 1e6)
        put(camera, "energy", np.array([raw.energy_eV]))
    return frames


def write_hermes_stack(path: Path, raw: Raw, index: int = 1, energies: int = 3) -> Path:
    """HERMES stack: frames of each energy in a file of their own, all else in one.

    The scan is that of energy ``index``; the others differ in everything.
    """
    experiment = path.stem
    off = np.arange(energies) - index
    for number in range(energies):
        frames = raw.frames if number == index else raw.frames[::-1] // 2 + number
        name = f"{experiment}_nrj{number + 1:02d}_000001.nxs"
        _write_nxs(path.with_name(name), frames.astype(raw.frames.dtype), raw.compression)
    if raw.dark is not None:
        dark = np.concatenate([np.full_like(raw.dark[:1], 999), raw.dark])
        _write_nxs(path.with_name(f"{experiment}_dark_000001.nxs"), dark, None)
    master = path.with_suffix(".hdf5")
    with h5py.File(master, "w") as file:
        entry = nexus_group(file, "entry1", "NXentry")
        camera = nexus_group(entry, "camera", "NXdata")
        put(camera, "energy", raw.energy_eV + 0.5 * off)
        for axis, name in enumerate("yx"):
            measured = raw.positions_m[:, axis].reshape(raw.grid or (1, -1)) * 1e6
            put(camera, f"real_sample_{name}", measured + 7 * off[:, None, None])
            put(camera, f"sample_{name}", np.unique(np.round(measured)))
        put(nexus_group(entry, "scanArgs"), "SDDistance", raw.distance_m * 1e6 * (1 + off / 100))
    return master


SOLEIL = {
    "NANOSCOPIUM": ("Image_merlin_image", "sample_Piezo_Tx", "sample_Piezo_Tz"),
    "SWING": ("eiger_image", "tx4", "tz4"),
    "DIFFABS": ("data_11", "actuator_1_1", "actuator_2_1"),
}
"""Names of frames, x and y in ``scan_data`` of other beamlines, positions in mm."""


def write_soleil(path: Path, raw: Raw, beamline: str) -> Path:
    """A flyscan's file of another beamline of SOLEIL, which has the same ``scan_data``."""
    frames, x, y = SOLEIL[beamline]
    with h5py.File(path, "w") as file:
        entry = nexus_group(file, path.stem, "NXentry")
        nexus_group(entry, beamline, "NXinstrument")
        data = nexus_group(entry, "scan_data", "NXdata")
        put_frames(data, frames, raw.frames, raw.compression)
        put(data, x, raw.positions_m[:, 1] * 1e3)
        put(data, y, raw.positions_m[:, 0] * 1e3)
    return path


def _write_nxs(path: Path, frames: np.ndarray, compression: str | None) -> None:
    """A flyscan's file: actuators and images side by side."""
    with h5py.File(path, "w") as file:
        data = nexus_group(nexus_group(file, path.stem, "NXentry"), "scan_data", "NXdata")
        put(data, "a_counter", np.arange(len(frames), dtype=float))
        put_frames(data, "camera_image", frames, compression)
