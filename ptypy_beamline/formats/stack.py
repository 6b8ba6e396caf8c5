"""Frames and positions of an HDF5 file, fitted to each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ..arrays import Floats
from ..errors import ScanError
from ..frames.hdf5 import Hdf5Frames
from .layout import Kept, Layout, Places, Split, Stack, follow, leading_axis
from .pairing import fitted
from .positions import Placed, arrange, split
from .quantities import places
from .series import joined
from .source import Found, Source, missing, text

if TYPE_CHECKING:
    from .hdf5 import Hdf5Format


def read_stack(source: Source, table: Hdf5Format, kept: Kept) -> Stack:
    """Find frames and positions and settle which axes of the dataset are frames.

    Frames that are ``kept`` elsewhere are a list.

    Raises
    ------
    MissingDataError
        There are no frames or no positions.
    ScanError
        They do not fit.
    """
    if table.series and "frames" not in source.opening.paths:
        announced = table.announced(source) if table.announced else None
        kept = Kept(*joined(source, table.series, announced))
    k = source.opening.frames_per_position
    if kept.frames is not None:
        shape = kept.frames.shape
        listed = Layout.of(shape, leading_axis(shape, source.opening.outer_index))
        return fitted(source, table, kept, listed, _positions(source, table))
    found = source.need("frames", table.frames)
    stored, shape = _positions(source, table), found.dataset.shape
    tries = (Layout.of(shape, None), Layout.of(shape, 0)) if len(shape) == 4 else ()
    fits = [_fit(stored.place, layout, k) for layout in tries]
    layout = Layout.of(shape, leading_axis(shape, source.opening.outer_index, *fits))
    count = table.count
    frames = Hdf5Frames(found.file, found.name, layout.leading, count, count is not None)
    _say_uncounted(source, layout.frames, frames.shape[0])
    return fitted(source, table, Kept(frames), layout, stored)


def _say_uncounted(source: Source, stored: int, counted: int) -> None:
    """Frames behind those that the file counts; of a growing scan they will be counted yet."""
    if counted < stored and not source.opening.growing:
        source.assume(
            f"{stored} frames are stored, but only {counted} numbers: frames from {counted} on "
            "are left out; --path frame_index=0 (paths.frame_index) takes all, in order"
        )


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
    y: Floats, x: Floats, per_position: int | None, per_frame: bool
) -> Callable[[Layout], Placed]:
    def place(at: Layout) -> Placed:
        y_here, x_here = follow(y, at, k=per_position), follow(x, at, k=per_position)
        return arrange(y_here, x_here, at.axes, per_position, per_frame)

    return place


def _from_one(
    source: Source, both: Found, values: Floats, own_split: Split | None
) -> Callable[[Layout], Placed]:
    # Formats keep a position a row; where the user's array may be read in two ways, split asks.
    # Names of all columns say nothing of a part of them.
    own = "positions" not in source.opening.paths
    named = "" if both.part else text(both.dataset.attrs.get("columns"))
    columns = named or ("x,y,z" if own else "")
    if not own and not named:
        source.notes.append(
            f"{both.name} is taken as x, y: --axes xy (positions.axes) exchanges them"
        )
    k = source.opening.frames_per_position or 1

    def place(at: Layout) -> Placed:
        here = follow(values, at, columns=1, k=k)
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
