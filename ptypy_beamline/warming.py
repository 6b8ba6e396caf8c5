"""Small loads that compile every function that loading may need."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np

from .errors import silenced_warnings
from .kernel_cache import KernelCache, Place, places
from .planning.plan import Plan
from .plans import open_and_plan
from .reconstruction.preview import preview
from .settings import Settings
from .statistics.measure import Reference, measure_frames

PIXELS = ("u1", "u2", "u4", "i2", "i4", "f4", "f8")
"""Pixel types of detectors, and of files derived from their data."""

COMPRESSED = ("u1", "u2", "u4", "f8")
"""One of each size: decoders take all pixels for unsigned numbers."""

FILTERS: tuple[dict[str, Any], ...] = (
    {"compression": "gzip", "shuffle": True},
    {"compression": "lzf"},
    dict(hdf5plugin.LZ4()),
    dict(hdf5plugin.Bitshuffle(cname="lz4")),
    dict(hdf5plugin.Bitshuffle(cname="zstd")),
    dict(hdf5plugin.Blosc(cname="lz4")),
)

PLAIN: tuple[dict[str, Any], ...] = ({"rebin": 2, "align": "com"},)
WINDOW: tuple[dict[str, Any], ...] = ({"center": [16, 16], "shape": 24},)
GROUPED: tuple[dict[str, Any], ...] = tuple(
    {"frames_per_position": 2, "grouping": grouping} for grouping in ("sum", "best")
)
SATURATION = 30
"""Some pixels of the scans count more."""

POSITIONS, SIDE = 6, 32


def target() -> Place | None:
    """The first folder that can be written, that of the package included."""
    return next((place for place in places() if place.make()), None)


def jobs(place: Place, folder: Path) -> list[Callable[[], None]]:
    """Small loads that compile, one after another, what is not in ``place`` yet.

    Parameters
    ----------
    place
        Where compiled functions are looked for and kept from now on.
    folder
        A temporary folder for the scans.
    """
    KernelCache.only = place
    plain = [partial(_load, folder, pixels, {}, PLAIN) for pixels in PIXELS]
    grouped = [partial(_load, folder, pixels, {}, GROUPED) for pixels in PIXELS]
    compressed = [
        partial(_load, folder, pixels, filters, WINDOW)
        for pixels in COMPRESSED
        for filters in FILTERS
    ]
    return [*plain, *grouped, *compressed, partial(_preview, folder), partial(_measure, folder)]


def _load(
    folder: Path, pixels: str, filters: dict[str, Any], settings: tuple[dict[str, Any], ...]
) -> None:
    """Write a scan, and load it with each of the ``settings``."""
    for some in settings:
        exposures = some.get("frames_per_position", 1)
        path = _write(folder, pixels, filters, exposures)
        for _ in _plan(path, saturation=SATURATION, **some).blocks():
            pass


def _preview(folder: Path) -> None:
    with silenced_warnings():
        preview(_plan(_write(folder, "u2", {}, 1)), iterations=1)


def _measure(folder: Path) -> None:
    plan = _plan(_write(folder, "u2", {}, 1))
    for _ in measure_frames(plan, np.arange(len(plan)), Reference.of(plan), SIDE):
        pass


def _plan(path: Path, **settings: Any) -> Plan:
    with silenced_warnings():
        return open_and_plan(Settings.of({"file": str(path), **settings}))[1]


def _write(folder: Path, pixels: str, filters: dict[str, Any], exposures: int) -> Path:
    """A standardized scan of a few small frames, each in a chunk of its own."""
    path = folder / f"{len(list(folder.iterdir()))}.h5"  # the one before may still be open
    random = np.random.default_rng(0)
    frames = random.poisson(20, (POSITIONS * exposures, SIDE, SIDE)).astype(pixels)
    with h5py.File(path, "w") as file:
        file.create_dataset("entry/data", data=frames, chunks=(1, SIDE, SIDE), **filters)
        place = np.stack(np.divmod(np.arange(POSITIONS), 3), axis=1) * 1e-7
        file["entry/pos"] = place
        file["entry/pos"].attrs["columns"] = "x,y"
        file["entry/energy_eV"], file["entry/det_dist_m"] = 8000.0, 1.0
        file["entry/pixel_m"] = 75e-6
    return path
