"""A large synthetic scan in the standardized format, that any HDF5 loader can read."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
from numpy.typing import NDArray

DETECTOR, WINDOW = 512, 256
ENERGY_KEV, DISTANCE_M, PIXEL_M = 8.8, 2.0, 75e-6
DISTINCT = 16
"""Different frames in a scan; the others repeat them."""

FILTERS: dict[str, dict[str, Any]] = {
    "none": {},
    "gzip-1": {"compression": "gzip", "compression_opts": 1},
    "bslz4": dict(hdf5plugin.Bitshuffle(cname="lz4")),
}


def diffraction(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.uint16]:
    """Speckle with a falling envelope, Poisson noise and a dark level of 8 counts."""
    y, x = np.indices(shape) - np.array(shape)[:, None, None] // 2
    envelope = 4e3 / (1 + (np.hypot(y, x) / 12) ** 3)
    speckle = rng.exponential(1.0, (DISTINCT, *shape))
    return (rng.poisson(envelope * speckle) + 8).astype(np.uint16)


def write_scan(
    path: Path, n: int, filters: str = "bslz4", shape: tuple[int, int] = (DETECTOR, DETECTOR)
) -> Path:
    """``n`` uint16 frames of ``shape``, one a chunk, with dark, flat and mask.

    The flat is 1 or 1/2, so that frames divided by it are whole numbers: PtyPy's loader keeps
    them in the detector's integer type.
    """
    rng = np.random.default_rng(1)
    frames = diffraction(rng, shape)
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


def write_many(path: Path, n: int, size: int = 16, step_m: float = 5e-7) -> Path:
    """``n`` uint16 frames of ``size``², 1024 a chunk, on a square grid, with a mask.

    Frames repeat ``DISTINCT`` ones; an exposure time belongs to each.
    """
    rng = np.random.default_rng(1)
    frames = diffraction(rng, (size, size))
    frames = np.tile(frames, (1024 // DISTINCT, 1, 1))
    y, x = np.divmod(np.arange(n), int(np.ceil(np.sqrt(n)))) * np.array([[step_m]])
    jitter = rng.uniform(-0.2 * step_m, 0.2 * step_m, (2, n))
    chunks = (min(n, 1024), size, size)
    with h5py.File(path, "w") as file:
        data = file.create_dataset(
            "entry/data", (n, size, size), np.uint16, chunks=chunks, **FILTERS["bslz4"]
        )
        for start in range(0, n, 1024):
            data[start : start + 1024] = frames[: n - start]
        entry = file["entry"]
        entry["posy_m"], entry["posx_m"] = y + jitter[0], x + jitter[1]
        entry["energy_eV"], entry["det_dist_m"] = ENERGY_KEV * 1e3, DISTANCE_M
        entry["pixel_m"] = PIXEL_M
        entry["exposure_s"] = np.full(n, 1e-3)
        entry["mask"] = (rng.random((size, size)) < 1e-2).astype(np.uint8)
    return path


def beamline_parameters(path: Path, window: int = WINDOW, find_center: bool = False) -> Any:
    """This package's loader, with or without a given beam centre."""
    from ptypy import utils as u

    center = {} if find_center else {"center": "fftshift"}
    return u.Param(name="BeamlineScan", file=str(path), shape=window, **center)


def hdf5_parameters(
    path: Path, window: int = WINDOW, find_center: bool = False, name: str = "Hdf5Loader"
) -> Any:
    """PtyPy's own loader; with a given centre it crops while reading, its fastest way.

    ``Hdf5LoaderFast`` cannot divide whole numbers by a flat, and gets none.
    """
    from ptypy import utils as u

    with h5py.File(path) as file:
        center = tuple(n // 2 for n in file["entry/data"].shape[1:])
    known = {} if find_center else {"auto_center": False, "center": center}

    def place(key: str, **more: Any) -> Any:
        return u.Param(file=str(path), key=f"entry/{key}", **more)

    return u.Param(
        name=name,
        intensities=place("data"),
        darkfield=place("dark"),
        flatfield=u.Param() if name == "Hdf5LoaderFast" else place("flat"),
        mask=place("mask", invert=True),
        positions=u.Param(file=str(path), slow_key="entry/posy_m", fast_key="entry/posx_m"),
        shape=(window, window),
        energy=ENERGY_KEV,
        distance=DISTANCE_M,
        psize=PIXEL_M,
        **known,
    )


PARAMETERS: dict[str, Callable[..., Any]] = {
    "BeamlineScan": beamline_parameters,
    "Hdf5Loader": hdf5_parameters,
    "Hdf5LoaderFast": partial(hdf5_parameters, name="Hdf5LoaderFast"),
    "BeamlineScan, finds the centre": partial(beamline_parameters, find_center=True),
    "Hdf5Loader, finds the centre": partial(hdf5_parameters, find_center=True),
}


def loader(name: str, path: Path, window: int = WINDOW) -> Any:
    """A loader by its name in ``PARAMETERS``."""
    from ptypy.experiment import hdf5_loader

    from ptypy_beamline.ptyscan import BeamlineScan

    parameters = PARAMETERS[name](path, window)
    ours = parameters.name == "BeamlineScan"
    return (BeamlineScan if ours else getattr(hdf5_loader, parameters.name))(parameters)


def load(name: str, path: Path, window: int = WINDOW) -> list[dict[str, Any]]:
    """All that PtyPy gets of a scan: initialize(), then auto(all)."""
    scan = loader(name, path, window)
    scan.initialize()
    frames: list[dict[str, Any]] = scan.auto(scan.num_frames)["iterable"]
    return frames
