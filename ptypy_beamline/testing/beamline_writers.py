"""Writers of beamlines' own files: Eiger masters, NanoMAX, HERMES."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from .recording import Raw, bits, group, put, put_frames

PART = 7
"""Frames of a data file; not a divisor of most scans, so that the last one is shorter."""


def write_eiger(path: Path, raw: Raw) -> Path:
    """Eiger master with data files ``…_data_000001.h5``, and positions in ``positions.h5``."""
    frames = raw.frames
    with h5py.File(path, "w") as file:
        entry = group(file, "entry", "NXentry", default="data")
        data = group(entry, "data", "NXdata")
        for number, start in enumerate(range(0, len(frames), PART), 1):
            part = path.with_name(f"{path.stem}_data_{number:06d}.h5")
            with h5py.File(part, "w") as other:
                place = other.create_group("entry/data")
                put_frames(place, "data", frames[start : start + PART], raw.compression)
                place["data"].attrs.update(image_nr_low=start + 1)
            data[f"data_{number:06d}"] = h5py.ExternalLink(part.name, "/entry/data/data")
        detector = group(group(entry, "instrument", "NXinstrument"), "detector", "NXdetector")
        put(detector, "detector_distance", raw.distance_m * 1e3, units="mm")
        put(detector, "y_pixel_size", raw.pixel_m[0], units="m")
        put(detector, "x_pixel_size", raw.pixel_m[1], units="m")
        put(detector, "count_time", raw.exposure_s, units="s")
        put(detector, "saturation_value", raw.saturation)
        if raw.center_px is not None:
            put(detector, "beam_center_y", raw.center_px[0], units="pixel")
            put(detector, "beam_center_x", raw.center_px[1], units="pixel")
        specific = group(detector, "detectorSpecific", "NXcollection")
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
        measurement = group(group(file, "entry"), "measurement")
        put_frames(group(measurement, "pilatus"), "frames", raw.frames, raw.compression)
        pseudo = group(measurement, "pseudo")
        put(pseudo, "y", raw.positions_m[:, 0] * 1e6)
        put(pseudo, "x", raw.positions_m[:, 1] * 1e6)
        put(group(file["entry"], "snapshot"), "energy", np.array([raw.energy_eV]))
    return path


def write_hermes(path: Path, raw: Raw) -> Path:
    """HERMES: three files; the first dark is one that must not be used."""
    experiment = path.stem
    frames = path.with_name(f"{experiment}_000001.nxs")
    _write_nxs(frames, raw.frames, raw.compression)
    if raw.dark is not None:
        dark = np.concatenate([np.full_like(raw.dark[:1], 999), raw.dark])
        _write_nxs(path.with_name(f"{experiment}_dark_000001.nxs"), dark, None)
    with h5py.File(path.with_name(f"{experiment}.hdf5"), "w") as file:
        camera = group(group(file, "entry1", "NXentry"), "camera", "NXdata")
        for axis, name in enumerate("yx"):
            set_um = np.unique(np.round(raw.positions_m[:, axis] * 1e6))
            put(camera, f"sample_{name}", set_um)
            put(camera, f"real_sample_{name}", raw.positions_m[:, axis] * 1e6)
        put(camera, "energy", np.array([raw.energy_eV]))
    return frames


def _write_nxs(path: Path, frames: np.ndarray, compression: str | None) -> None:
    """A flyscan's file: actuators and images side by side."""
    with h5py.File(path, "w") as file:
        data = group(group(file, path.stem, "NXentry"), "scan_data", "NXdata")
        put(data, "a_counter", np.arange(len(frames), dtype=float))
        put_frames(data, "camera_image", frames, compression)
