"""Frames and positions of an HDF5 file, fitted to each other."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import ScanError
from ..planning.places import one_each
from ..reading.hdf5 import Hdf5Frames
from ..reading.picked import PickedFrames
from ..scan import Frames, written
from .positions import Axes, Placed, arrange, pair, split
from .quantities import places
from .series import joined
from .source import Found, Source, missing, text

if TYPE_CHECKING:
    from .hdf5 import Hdf5Format

Array = NDArray[np.float64]
Split = Callable[[Source, Array, tuple[int, ...]], tuple[Array, Array]]
"""(source, array as stored or in metres, possible numbers of positions) → y, x."""


@dataclass(frozen=True)
class Layout:
    """The frames' axes, and the index on the axis before them, of length ``outer``, if any."""

    axes: Axes
    leading: int | None = None
    outer: int = 0

    @classmethod
    def of(cls, shape: Axes, leading: int | None) -> Layout:
        """Of a frames' dataset of ``shape``."""
        axes = tuple(shape[:-2])
        return cls(axes) if leading is None else cls(axes[1:], leading, axes[0])

    @property
    def frames(self) -> int:
        """Number of frames."""
        return math.prod(self.axes)


@dataclass(frozen=True)
class Stack:
    """Frames and their positions, fitted to each other.

    Attributes
    ----------
    layout
        How the frames lie in the file.
    each
        There is a position with each raw frame.
    listed_s
        When the file of the positions was last changed, if there is no room for more.
    in_pixels
        Positions are pixels of the reconstruction, not metres.
    """

    frames: Frames
    placed: Placed
    layout: Layout
    each: bool = False
    listed_s: float | None = None
    in_pixels: bool = False


@dataclass(frozen=True)
class Places:
    """Positions as they are stored: how to place them for a layout, and as in :class:`Stack`."""

    place: Callable[[Layout], Placed]
    each: bool
    listed_s: float | None
    in_pixels: bool


def read_stack(source: Source, table: Hdf5Format, elsewhere: Frames | None = None) -> Stack:
    """Find frames and positions and settle which axes of the dataset are frames.

    Frames that are kept ``elsewhere`` are a list.

    Raises
    ------
    MissingDataError
        There are no frames or no positions.
    ScanError
        They do not fit.
    """
    if table.series and "frames" not in source.opening.paths:
        elsewhere = joined(source, table.series)
    if elsewhere is not None:
        listed = Layout.of(
            elsewhere.shape, leading_axis(elsewhere.shape, source.opening.outer_index)
        )
        return _fitted(source, elsewhere, listed, _positions(source, table))
    found = source.need("frames", table.frames)
    stored = _positions(source, table)
    shape, per_position = found.dataset.shape, source.opening.frames_per_position
    tries = (Layout.of(shape, None), Layout.of(shape, 0)) if len(shape) == 4 else ()
    fits = [_fit(stored.place, layout, per_position) for layout in tries]
    layout = Layout.of(shape, leading_axis(shape, source.opening.outer_index, *fits))
    frames = Hdf5Frames(found.file, found.name, layout.leading, table.count)
    return _fitted(source, frames, layout, stored)


def _fitted(source: Source, frames: Frames, layout: Layout, known: Places) -> Stack:
    """Frames and positions, as many of each as belong together."""
    frames = up_to_last_written(source, frames)
    per_position, n = source.opening.frames_per_position, frames.shape[0]
    stored = known.place(layout)
    # While a scan is written, its positions may come after its frames.
    lagging = known.each or source.opening.growing
    placed, used, warning = pair(n, stored, per_position, lagging)
    if warning:
        source.assume(warning)
    count, k = len(placed.positions_m), per_position or 1
    if source.opening.growing and (known.each or one_each(placed.positions_m, k)):
        used = min(used, count)
    frames = first(frames, used)
    lost = int((~np.isfinite(placed.positions_m).all(axis=1)).sum())
    if lost:
        source.assume(f"{lost} positions are not finite: their frames are not used")
    padded = len(placed.positions_m) < len(stored.positions_m)
    listed_s = None if padded else known.listed_s
    return Stack(frames, placed, layout, known.each, listed_s, known.in_pixels)


def first(frames: Frames, count: int) -> Frames:
    """At most so many of the frames."""
    if count >= frames.shape[0]:
        return frames
    if isinstance(frames, Hdf5Frames):
        return replace(frames, limit=count)
    return PickedFrames(frames, np.arange(count))


def up_to_last_written(source: Source, frames: Frames) -> Frames:
    """Frames without those at the end that were never written, for which there is only room.

    Raises
    ------
    ScanError
        None was written, and nobody is following the scan.
    """
    there = written(frames)
    if there is None:
        return frames
    if not there.any() and not source.opening.growing:
        raise ScanError(
            f"none of the {len(there)} frames was ever written",
            "copy the file again, with the files it takes frames from",
        )
    lacking = int(np.count_nonzero(~there))
    source.assume(f"{lacking} of {len(there)} frames were never written: they are not used")
    return first(frames, int(np.flatnonzero(there).max(initial=-1)) + 1)


def _positions(source: Source, table: Hdf5Format) -> Places:
    """The positions that are stored.

    The user's paths count before the format's, x and y before one array of both.
    """
    given, k = source.opening.paths, source.opening.frames_per_position
    y = x = None
    if "positions" not in given:
        y, x = source.find("y", table.y), source.find("x", table.x)
    if y and x:
        per_frame = table.per_frame and not {"x", "y"} & set(given)
        (rows, columns), in_pixels = places(source, y, x)
        place = _from_two(rows, columns, k, per_frame)
        return Places(place, per_frame, _listed_s(y, x), in_pixels)
    if "x" in given or "y" in given:
        raise missing("y" if x else "x", (), source.file, source.path)
    both = source.find("positions", table.positions)
    if both is None:
        wanted = (*table.x.paths[:1], *table.y.paths[:1], *table.positions.paths)
        raise missing("positions", wanted, source.file, source.path)
    own_split = None if "positions" in given else table.split
    per_frame = table.per_frame and "positions" not in given
    (values,), in_pixels = places(source, both)
    place = _from_one(source, both, values, own_split)
    return Places(place, per_frame, _listed_s(both), in_pixels)


def _listed_s(*lists: Found) -> float | None:
    """When their files were last changed, if none of them has room for more than is in it."""
    if any(found.dataset.maxshape != found.dataset.shape for found in lists):
        return None
    return max(found.file.stat().st_mtime for found in lists)


def _from_two(
    y: Array, x: Array, per_position: int | None, per_frame: bool
) -> Callable[[Layout], Placed]:
    def place(at: Layout) -> Placed:
        y_here, x_here = follow(y, at), follow(x, at)
        return arrange(y_here, x_here, at.axes, per_position, per_frame)

    return place


def _from_one(
    source: Source, both: Found, values: Array, own_split: Split | None
) -> Callable[[Layout], Placed]:
    columns = text(both.dataset.attrs.get("columns"))
    k = source.opening.frames_per_position or 1

    def place(at: Layout) -> Placed:
        here = follow(values, at, columns=1)
        counts = (at.frames // k, at.frames)
        y, x = own_split(source, here, counts) if own_split else split(here, columns, counts)
        if y.ndim == 1:  # pairs are pairs, never the axes of a raster
            grid = at.axes if len(at.axes) == 2 and at.frames == len(y) else None
            return Placed(np.stack([y, x], axis=1), grid)
        return arrange(y, x, at.axes, k)

    return place


def _fit(place: Callable[[Layout], Placed], layout: Layout, per_position: int | None) -> bool:
    """Whether there are as many positions as this layout has frames."""
    try:
        count = len(place(layout).positions_m)
    except ScanError:
        return False
    return layout.frames in (count, count * (per_position or 1))


def leading_axis(
    shape: Axes, outer_index: int | None, fits: bool = True, inner_fits: bool = False
) -> int | None:
    """Index on the axis before those of the frames, or None if there is no such axis.

    Parameters
    ----------
    shape
        Of the frames' dataset: (N,y,x), (A,B,y,x), (P,N,y,x) or (P,A,B,y,x).
    fits, inner_fits
        Of four axes: whether the positions are as many as all frames, and as those after the
        first axis.

    Raises
    ------
    ScanError
        ``outer_index`` is needed, out of range, or there is nothing it could mean.
    """
    if not 3 <= len(shape) <= 5:
        raise ScanError(f"Expected a stack of frames (N,y,x). Got shape {shape}",
                        "set paths.frames (--path frames=PATH)")  # fmt: skip
    entries = shape[0]
    if outer_index is not None:
        if len(shape) == 3:
            raise ScanError(f"Expected a leading axis for outer_index. Got frames {shape}",
                            "leave outer_index (--outer-index) out")  # fmt: skip
        if not 0 <= outer_index < entries:
            raise ScanError(f"Expected outer_index 0 to {entries - 1} for frames {shape}. "
                            f"Got {outer_index}", "set outer_index (--outer-index)")  # fmt: skip
        return outer_index
    if len(shape) == 3 or (len(shape) == 4 and (fits or not inner_fits)):
        return None
    if entries > 1:
        raise ScanError(
            f"frames {shape} hold {entries} projections, energies or repeats",
            f"choose one by outer_index (--outer-index) 0 to {entries - 1}",
        )
    return 0


def follow(values: Array, at: Layout, columns: int = 0) -> Array:
    """The part of ``values`` that belongs to the leading index, if they have that axis, too."""
    has_axis = values.ndim > len(at.axes) + columns and values.shape[:2] == (at.outer, at.axes[0])
    return np.asarray(values[at.leading]) if at.leading is not None and has_axis else values
