"""Writers of further layouts of beamlines' files: NanoMAX, HERMES stacks, others of SOLEIL."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from ptypy_beamline.output.hdf5 import nexus_group
from ptypy_beamline.testing.raw import Raw, put, put_frames
from ptypy_beamline.testing.writers import write_flyscan, write_hermes_dark


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


def write_hermes_stack(path: Path, raw: Raw, index: int = 1, energies: int = 3) -> Path:
    """HERMES stack: frames of each energy in a file of their own, all else in one.

    The scan is that of energy ``index``; the others differ in everything.
    """
    experiment = path.stem
    off = np.arange(energies) - index
    for number in range(energies):
        frames = raw.frames if number == index else raw.frames[::-1] // 2 + number
        name = f"{experiment}_nrj{number + 1:02d}_000001.nxs"
        write_flyscan(path.with_name(name), frames.astype(raw.frames.dtype), raw.compression)
    write_hermes_dark(path, raw)
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
