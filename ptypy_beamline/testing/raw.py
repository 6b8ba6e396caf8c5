"""What a beamline records, and helpers to write it to HDF5."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import h5py
import hdf5plugin
import numpy as np
from numpy.typing import NDArray

from ..arrays import Bools, Floats
from ..output.hdf5 import put_dataset
from .simulate import Truth


@dataclass(frozen=True, eq=False)
class Raw:
    """What a detector and its beamline record.

    Attributes
    ----------
    frames
        (n, ny, nx), any integer dtype.
    positions_m
        (n, 2) y, x of the illumination on the sample, on the axes of the frames.
    energy_eV, distance_m, pixel_m, exposure_s
        Photon energy, sample-detector distance, detector pixel (y, x), exposure time.
    bad
        (ny, nx) True = ignore; ``None`` writes no mask.
    dark, flat
        Stacks (k, ny, nx).
    monitor
        (n,) incident intensity.
    center_px
        Beam centre (row, column).
    saturation
        The detector's count limit.
    grid
        (rows, columns): formats that can store frames as (rows, columns, ny, nx) do.
    compression
        ``None``, ``gzip``, ``lzf`` or ``bitshuffle`` (with LZ4); one frame per chunk.
    """

    frames: NDArray[np.integer[Any]]
    positions_m: Floats
    energy_eV: float = 8800.0
    distance_m: float = 2.0
    pixel_m: tuple[float, float] = (75e-6, 75e-6)
    exposure_s: float = 0.05
    bad: Bools | None = None
    dark: NDArray[Any] | None = None
    flat: NDArray[Any] | None = None
    monitor: Floats | None = None
    center_px: tuple[float, float] | None = None
    saturation: float | None = None
    grid: tuple[int, int] | None = None
    compression: str | None = None

    @classmethod
    def of(cls, truth: Truth, **more: Any) -> Raw:
        """The raw scan of a simulated truth."""
        center = (truth.frames.shape[1] // 2, truth.frames.shape[2] // 2)
        known = {
            "energy_eV": truth.energy_eV,
            "distance_m": truth.distance_m,
            "pixel_m": truth.pixel_m,
            "center_px": center,
        }
        return cls(truth.frames, truth.positions_m, **{**known, **more})

    @property
    def gridded(self) -> NDArray[np.integer[Any]]:
        """Frames as (rows, columns, ny, nx) where there is a grid, else as they are."""
        if self.grid is None:
            return self.frames
        return self.frames.reshape(*self.grid, *self.frames.shape[1:])


def put(group: h5py.Group, name: str, value: Any, **attributes: str) -> None:
    """A dataset with attributes; nothing where the value is ``None``."""
    if value is not None:
        put_dataset(group, name, value, **attributes)


def put_frames(group: h5py.Group, name: str, frames: NDArray[Any], compression: str | None) -> None:
    """The frames, one per chunk."""
    options: dict[str, Any] = {"compression": compression} if compression else {}
    if compression == "bitshuffle":
        options = dict(hdf5plugin.Bitshuffle(cname="lz4"))
    chunk = (1,) * (frames.ndim - 2) + frames.shape[-2:]
    group.create_dataset(name, data=frames, chunks=chunk, **options)


def bits(bad: Bools | None, dtype: Any) -> NDArray[Any] | None:
    """A mask of ones (bit 0: invalid) where pixels are bad."""
    return None if bad is None else bad.astype(dtype)
