"""A large synthetic scan in the standardized format, that any HDF5 loader can read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
from numpy.typing import NDArray

DETECTOR, WINDOW = 512, 256
CENTER = (DETECTOR // 2, DETECTOR // 2)
ENERGY_KEV, DISTANCE_M, PIXEL_M = 8.8, 2.0, 75e-6
DISTINCT = 16
"""Different frames in a scan; the others repeat them."""

FILTERS: dict[str, dict[str, Any]] = {
    "none": {},
    "gzip-1": {"compression": "gzip", "compression_opts": 1},
    "bslz4": dict(hdf5plugin.Bitshuffle(cname="lz4")),
}


def diffraction(rng: np.random.Generator) -> NDArray[np.uint16]:
    """Speckle with a falling envelope, Poisson noise and a dark level of 8 counts."""
    y, x = np.indices((DETECTOR, DETECTOR)) - DETECTOR // 2
    envelope = 4e3 / (1 + (np.hypot(y, x) / 12) ** 3)
    speckle = rng.exponential(1.0, (DISTINCT, DETECTOR, DETECTOR))
    return (rng.poisson(envelope * speckle) + 8).astype(np.uint16)


def write_scan(path: Path, n: int, filters: str = "bslz4") -> Path:
    """``n`` uint16 frames, one a chunk, with dark, flat and mask.

    The flat is 1 or 1/2, so that frames divided by it are whole numbers: PtyPy's loader keeps
    them in the detector's integer type.
    """
    rng = np.random.default_rng(1)
    frames = diffraction(rng)
    shape = frames.shape[1:]
    y, x = np.divmod(np.arange(n), int(np.ceil(np.sqrt(n)))) * np.array([[1e-6]])
    with h5py.File(path, "w") as file:
        data = file.create_dataset(
            "entry/data", (n, *shape), np.uint16, chunks=(1, *shape), **FILTERS[filters]
        )
        data[: min(n, DISTINCT)] = frames[:n]
        for k in range(DISTINCT, n):
            mask, chunk = data.id.read_direct_chunk((k % DISTINCT, 0, 0))
            data.id.write_direct_chunk((k, 0, 0), chunk, mask)
        entry = file["entry"]
        entry["posy_m"], entry["posx_m"] = y, x
        entry["energy_eV"], entry["det_dist_m"] = ENERGY_KEV * 1e3, DISTANCE_M
        entry["pixel_m"] = PIXEL_M
        entry["dark"] = np.full(shape, 8, np.uint16)
        entry["flat"] = np.where(rng.random(shape) < 0.5, 0.5, 1.0).astype(np.float32)
        entry["mask"] = (rng.random(shape) < 1e-3).astype(np.uint8)
    return path


def beamline_loader(path: Path) -> Any:
    """This package's loader."""
    from ptypy_beamline.ptyscan import BeamlineScan

    return BeamlineScan(file=str(path), shape=WINDOW, center=CENTER)


def centre_finder(path: Path) -> Any:
    """This package's loader, when nobody tells the beam centre."""
    from ptypy_beamline.ptyscan import BeamlineScan

    return BeamlineScan(file=str(path), shape=WINDOW)


def hdf5_loader(path: Path) -> Any:
    """PtyPy's own loader, told to cut the window while reading (its fastest way)."""
    from ptypy import utils as u
    from ptypy.experiment.hdf5_loader import Hdf5Loader

    def place(key: str, **more: Any) -> Any:
        return u.Param(file=str(path), key=f"entry/{key}", **more)

    return Hdf5Loader(u.Param(
        intensities=place("data"), darkfield=place("dark"), flatfield=place("flat"),
        mask=place("mask", invert=True),
        positions=u.Param(file=str(path), slow_key="entry/posy_m", fast_key="entry/posx_m"),
        shape=WINDOW, auto_center=False, center=CENTER,
        energy=ENERGY_KEV, distance=DISTANCE_M, psize=PIXEL_M,
    ))  # fmt: skip


LOADERS = {
    "BeamlineScan": beamline_loader,
    "Hdf5Loader": hdf5_loader,
    "BeamlineScan, finds the centre": centre_finder,
}


def load(name: str, path: Path) -> list[dict[str, Any]]:
    """All that PtyPy gets of a scan: initialize(), then auto(all)."""
    scan = LOADERS[name](path)
    scan.initialize()
    frames: list[dict[str, Any]] = scan.auto(scan.num_frames)["iterable"]
    return frames
