"""The features of quality control in plain NumPy, one frame at a time.

``straightforward`` is a function of a frame, as one would write it first. ``tuned`` makes once what
is the same for all frames, takes moments from the rows' and columns' totals, and all rings by one
``bincount``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  the filter of the file
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

SIDE, SMALL, RINGS, SAMPLE, NEIGHBOURS = 32, 8, 4, 32, 16
LIMIT = np.iinfo(np.uint16).max

Image = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Usual:
    """What frames are measured against: (ny, nx) median counts of a sample, and the beam centre."""

    counts: Image
    center: tuple[float, float]

    @classmethod
    def of(cls, data: h5py.Dataset, center: tuple[float, float]) -> Usual:
        picked = np.linspace(0, len(data) - 1, SAMPLE).round().astype(int)
        return cls(np.median([data[i] for i in picked], axis=0), center)


def straightforward(usual: Usual) -> Callable[[Image, Image], list[float]]:
    """A function of a frame and the one before."""
    y0, x0 = usual.center

    def features(frame: Image, before: Image) -> list[float]:
        rows, columns = np.indices(frame.shape)
        radius = np.hypot(rows - y0, columns - x0)
        edge = min(y0 + 0.5, x0 + 0.5, frame.shape[0] - y0 - 0.5, frame.shape[1] - x0 - 0.5)
        total = frame.sum()
        row, column = (frame * rows).sum() / total, (frame * columns).sum() / total
        found = [
            total,
            frame.max(),
            row,
            column,
            (frame * (rows - row) ** 2).sum() / total,
            (frame * (columns - column) ** 2).sum() / total,
        ]
        for ring in range(RINGS):
            inside = (radius >= ring * edge / RINGS) & (radius < (ring + 1) * edge / RINGS)
            found.append(frame[inside].sum())
        middle = frame[
            int(y0 - edge / 2) : int(y0 + edge / 2) + 1, int(x0 - edge / 2) : int(x0 + edge / 2) + 1
        ]
        found += [
            middle.std() / middle.mean(),
            np.sqrt(frame * usual.counts).sum() / np.sqrt(total * usual.counts.sum()),
            np.abs(frame - before).mean(),
            np.mean(~np.isfinite(frame) | (frame >= LIMIT)),
        ]
        return found

    return features


def tuned(usual: Usual) -> Callable[[Image, Image], list[float]]:
    """The same, with all that can be made before."""
    shape, center = usual.counts.shape, usual.center
    rows, columns = np.indices(shape)
    edge = min(min(c + 0.5, n - c - 0.5) for c, n in zip(center, shape, strict=True))
    radius = np.hypot(rows - center[0], columns - center[1])
    ring = np.minimum(radius * RINGS / edge, RINGS).astype(np.int64).ravel()
    y, x = np.arange(shape[0]), np.arange(shape[1])
    central = tuple(slice(int(c - edge / 2), int(c + edge / 2) + 1) for c in center)
    root = np.sqrt(usual.counts / usual.counts.sum())

    def features(frame: Image, before: Image) -> list[float]:
        by_row, by_column = frame.sum(1), frame.sum(0)
        total = by_row.sum()
        row, column = by_row @ y / total, by_column @ x / total
        middle = frame[central]
        return [
            total,
            frame.max(),
            row,
            column,
            by_row @ (y - row) ** 2 / total,
            by_column @ (x - column) ** 2 / total,
            *np.bincount(ring, frame.ravel(), RINGS + 1)[:RINGS],
            middle.std() / middle.mean(),
            np.vdot(np.sqrt(frame), root) / np.sqrt(total),
            np.abs(frame - before).mean(),
            np.mean(~np.isfinite(frame) | (frame >= LIMIT)),
        ]

    return features


def pictures(frame: Image) -> tuple[Image, Image]:
    """Counts in 32×32 bins, and the logarithm of those in 8×8."""
    h, w = frame.shape
    binned = frame.reshape(SIDE, h // SIDE, SIDE, w // SIDE).sum((1, 3))
    part = SIDE // SMALL
    return binned, np.log1p(binned.reshape(SMALL, part, SMALL, part).sum((1, 3))).ravel()


def from_neighbours(small: Image, positions_m: Image) -> Image:
    """Median difference of each frame's picture from those of the frames around it."""
    _, around = cKDTree(positions_m).query(positions_m, NEIGHBOURS + 1)
    return np.array(
        [np.median(np.abs(small[i] - small[near[1:]]).mean(1)) for i, near in enumerate(around)]
    )


def measure(path: str, way: Callable[[Usual], Any]) -> tuple[Any, Any, Any]:
    """All frames of a standardized file, read one by one: features, pictures, small pictures."""
    with h5py.File(path) as file:
        data, entry = file["entry/data"], file["entry"]
        positions_m = np.stack([entry["posy_m"][()], entry["posx_m"][()]], axis=1)
        features = way(Usual.of(data, tuple(entry["center_px"][()])))
        found, before = [], data[0].astype(np.float64)
        for i in range(len(data)):
            frame = data[i].astype(np.float64)
            found.append((features(frame, before), *pictures(frame)))
            before = frame
    numbers, binned, small = (np.array(part) for part in zip(*found, strict=True))
    return np.column_stack([numbers, from_neighbours(small, positions_m)]), binned, small
