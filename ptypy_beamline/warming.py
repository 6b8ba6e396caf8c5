"""Small loads that compile every function that loading may need."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import hdf5plugin
import numpy as np

from .compiled import KernelCache
from .compiled_files import CacheFolder, cache_folders
from .errors import silenced_warnings
from .frames.chunks import direct
from .output.files import naming_full_disk
from .output.hdf5 import create_hdf5
from .planning.plan import Plan
from .plans import open_and_plan
from .reconstruction.preview import preview
from .settings import Settings
from .statistics.measure import Reference, measure_frames

PIXELS = ("u1", "u2", "u4", "i2", "i4", "f4", "f8")
"""Pixel types of detectors, and of files derived from their data."""

COMPRESSED = ("u1", "u2", "u4", "f8")
"""One pixel type of each size: decoders treat all pixels as unsigned integers."""

FILTERS: tuple[dict[str, Any], ...] = (
    {"compression": "gzip", "shuffle": True},
    {"compression": "lzf"},
    dict(hdf5plugin.LZ4()),
    dict(hdf5plugin.Bitshuffle(cname="lz4")),
    dict(hdf5plugin.Bitshuffle(cname="zstd")),
    dict(hdf5plugin.Blosc(cname="lz4")),
)

SATURATION = 30
"""Some pixels of the scans count more."""

POSITIONS, SIDE = 6, 32


def target() -> CacheFolder | None:
    """The first folder that is writable, including that of the package."""
    return next((folder for folder in cache_folders() if folder.make()), None)


def jobs(cache: CacheFolder, folder: Path) -> list[Callable[[], None]]:
    """Small loads that compile, one after another, what is not in ``cache`` yet.

    Parameters
    ----------
    cache
        The only folder of compiled functions that is used from now on.
    folder
        A temporary folder for the scans.
    """
    KernelCache.only = cache
    direct.MANY_BYTES = 0  # however few frames there are
    load = partial(_load, folder)
    plain = [partial(load, pixels, {}, rebin=2, align="com") for pixels in PIXELS]
    grouped = [
        partial(load, pixels, {}, frames_per_position=2, grouping=grouping)
        for pixels in PIXELS
        for grouping in ("sum", "best")
    ]
    compressed = [
        partial(load, pixels, filters, center=[16, 16], shape=24)
        for pixels in COMPRESSED
        for filters in FILTERS
    ]
    return [*plain, *grouped, *compressed, partial(_preview, folder), partial(_measure, folder)]


def _load(folder: Path, pixels: str, filters: dict[str, Any], **settings: Any) -> None:
    path = _write(folder, pixels, filters, settings.get("frames_per_position", 1))
    for _ in _plan(path, saturation=SATURATION, **settings).blocks():
        pass


def _preview(folder: Path) -> None:
    with silenced_warnings():
        preview(_plan(_write(folder)), iterations=1)


def _measure(folder: Path) -> None:
    plan = _plan(_write(folder))
    for _ in measure_frames(plan, np.arange(len(plan)), Reference.of(plan), SIDE):
        pass


def _plan(path: Path, **settings: Any) -> Plan:
    with silenced_warnings():
        return open_and_plan(Settings.of({"file": str(path), **settings}))[1]


def _write(
    folder: Path, pixels: str = "u2", filters: dict[str, Any] | None = None, exposures: int = 1
) -> Path:
    """Write a standardized scan of a few small frames, each in its own chunk."""
    path = folder / f"{len(list(folder.iterdir()))}.h5"  # the one before may still be open
    random = np.random.default_rng(0)
    frames = random.poisson(20, (POSITIONS * exposures, SIDE, SIDE)).astype(pixels)
    with naming_full_disk(path), create_hdf5(path) as file:
        file.create_dataset("entry/data", data=frames, chunks=(1, SIDE, SIDE), **(filters or {}))
        file["entry/pos"] = np.stack(np.divmod(np.arange(POSITIONS), 3), axis=1) * 1e-7
        file["entry/pos"].attrs["columns"] = "x,y"
        file["entry/energy_eV"], file["entry/det_dist_m"] = 8000.0, 1.0
        file["entry/pixel_m"] = 75e-6
    return path
