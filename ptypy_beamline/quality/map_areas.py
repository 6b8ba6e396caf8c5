"""Area that each frame covers on a map, for any scan pattern."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .. import units
from ..arrays import Floats


@dataclass(frozen=True, eq=False)
class MapAreas:
    """The rectangle that each frame fills on a map, metres, (row, column).

    Attributes
    ----------
    centers, sizes
        (n, 2). Exposures at one position divide its area among themselves.
    position_sizes
        (n, 2) of the whole area of the position.
    step
        (2,) typical distance between neighbours along rows and columns.
    """

    centers: Floats
    sizes: Floats
    position_sizes: Floats
    step: Floats

    def window(self) -> tuple[float, float, float, float]:
        """Bounds (left, right, bottom, top) with a margin, not thinner than one to three."""
        low = (self.centers - self.sizes / 2).min(0)
        high = (self.centers + self.sizes / 2).max(0)
        margin = np.maximum(self.step / 4, 0.02 * (high - low).max())
        low, high = low - margin, high + margin
        thin = (high - low).max() / 3 - (high - low)
        low, high = low - thin.clip(0) / 2, high + thin.clip(0) / 2
        return float(low[1]), float(high[1]), float(high[0]), float(low[0])


def map_areas(positions_m: Floats) -> MapAreas:
    """The areas of frames at positions (n, 2) (row, column)."""
    extent = np.ptp(positions_m, axis=0).max()
    if extent == 0:
        step = np.full(2, 1e-6)
        return _share(positions_m, np.zeros(len(positions_m), int), step[None], step)
    # Readings of one position differ slightly; that is not a step.
    same = 0.02 * extent / np.sqrt(len(positions_m))
    _, first, which = np.unique(
        np.round(positions_m / same), axis=0, return_index=True, return_inverse=True
    )
    distinct_m = positions_m[first]
    step = _typical_step(distinct_m, same)
    local = _local_step(distinct_m / step, same / step.max())
    return _share(positions_m, which.reshape(-1), local[:, None] * step, step)


def _typical_step(positions: Floats, same: float) -> Floats:
    """(2,) median distance between neighbours in rows and columns; equal unless clearly not."""
    count = min(len(positions), 25)
    _, near = cKDTree(positions).query(positions, k=count)
    offsets = np.abs(positions[near[:, 1:]] - positions[:, None])
    apart = offsets.max(-1) > same
    steps = np.full(2, np.nan)
    for axis in (0, 1):
        along = apart & (offsets[..., axis] >= offsets[..., 1 - axis])
        nearest = np.where(along, offsets[..., axis], np.inf).min(1)
        nearest = nearest[np.isfinite(nearest)]
        if len(nearest) > 0.2 * len(positions):
            steps[axis] = np.median(nearest)
    if np.isnan(steps).any() or steps.max() < 1.5 * steps.min():
        steps[:] = np.nanmin(steps)
    extent = np.ptp(positions, axis=0)
    # A single line is drawn wide enough to be seen.
    return np.where(extent < steps / 2, np.maximum(steps, extent.max() / 12), steps)


def _local_step(positions: Floats, same: float) -> Floats:
    """(m,) distance to the neighbours, its median over the neighbourhood; typically 1."""
    count = min(len(positions), 9)
    distance, near = cKDTree(positions).query(positions, k=count)
    nearest = np.sort(np.where(distance > same, distance, np.inf), axis=1)[:, :2]
    known = np.isfinite(nearest)
    own = np.where(known, nearest, 0).sum(1) / known.sum(1).clip(1)
    own[own == 0] = 1
    local: Floats = np.median(own[near], axis=1)
    return local


def _share(positions: Floats, which: NDArray[Any], sizes: Floats, step: Floats) -> MapAreas:
    """Divide the area of each position among its exposures, in reading order."""
    order = np.argsort(which, kind="stable")
    counts = np.bincount(which)
    rank = np.empty(len(which), int)
    rank[order] = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    columns = np.ceil(np.sqrt(counts))[which]
    rows = np.ceil(counts[which] / columns)
    divided = np.stack([rows, columns], axis=1)
    row, column = np.divmod(rank, columns)
    shift = (np.stack([row, column], axis=1) + 0.5) / divided - 0.5
    size = sizes[which]
    return MapAreas(positions + shift * size, size / divided, size, step)


def length_unit(extent_m: float, unit: str = "m") -> tuple[float, str]:
    """Factor from metres, and a convenient unit for ``extent_m``; 1 unless in metres."""
    return units.length_unit(extent_m) if unit == "m" else (1.0, unit or "as stored")
