"""Frames and positions of an HDF5 file, fitted to each other."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import ScanError
from ..planning.groups import by_exposure, contradiction
from ..reading.hdf5 import Hdf5Frames
from ..reading.picked import PickedFrames
from ..scan import Frames, written
from .numbering import Numbers, average, join, scattered, whole
from .positions import STOPPED, Axes, Placed, arrange, pair, split, without_padding, zero_padding
from .quantities import numbers as stored_numbers
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
class Kept:
    """Frames that are kept outside of the file, and their acquisition numbers, if known."""

    frames: Frames | None = None
    numbers: Numbers | None = None


@dataclass(frozen=True)
class Stack:
    """Frames and their positions, fitted to each other.

    Attributes
    ----------
    layout
        How the frames lie in the file.
    each
        Positions are by exposure; False = by group of exposures; None = not known.
    numbers
        As in :class:`Scan`.
    readings
        (m,) place in ``placed`` of each position that is stored; None = in order.
    listed_s
        When the file of the positions was last changed, if there is no room for more.
    in_pixels
        Positions are pixels of the reconstruction, not metres.
    """

    frames: Frames
    placed: Placed
    layout: Layout
    each: bool | None = None
    numbers: NDArray[np.int64] | None = None
    readings: NDArray[np.int64] | None = None
    listed_s: float | None = None
    in_pixels: bool = False

    def for_frames(self, values: Array, exposures: int) -> Array | None:
        """(n,) of one value a frame, or one a stored position; None if it is neither."""
        n, m = self.frames.shape[0], len(self.placed.positions_m)
        stored = m if self.readings is None else len(self.readings)
        if len(values) == n:
            return values
        if len(values) != stored:
            return None
        by_position = values if self.readings is None else average(self.readings, values)
        at = np.arange(n) if self.numbers is None else self.numbers
        place = at if self.each else at // exposures
        there = (place >= 0) & (place < len(by_position))
        return np.where(there, by_position[np.where(there, place, 0)], np.nan)


@dataclass(frozen=True)
class Places:
    """Positions as they are stored: how to place them for a layout, whether they are logged
    with each frame, and as in :class:`Stack`."""

    place: Callable[[Layout], Placed]
    logged: bool
    listed_s: float | None
    in_pixels: bool


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
        kept = Kept(*joined(source, table.series))
    k = source.opening.frames_per_position
    if kept.frames is not None:
        shape = kept.frames.shape
        listed = Layout.of(shape, leading_axis(shape, source.opening.outer_index))
        return _fitted(source, table, kept, listed, _positions(source, table))
    found = source.need("frames", table.frames)
    stored, shape = _positions(source, table), found.dataset.shape
    tries = (Layout.of(shape, None), Layout.of(shape, 0)) if len(shape) == 4 else ()
    fits = [_fit(stored.place, layout, k) for layout in tries]
    layout = Layout.of(shape, leading_axis(shape, source.opening.outer_index, *fits))
    frames = Hdf5Frames(found.file, found.name, layout.leading, table.count)
    return _fitted(source, table, Kept(frames), layout, stored)


def _fitted(source: Source, table: Hdf5Format, kept: Kept, at: Layout, known: Places) -> Stack:
    """Frames and positions joined by number, else by count."""
    stored, frames = _without_zeros(source, known.place(at)), kept.frames
    assert frames is not None
    if table.bursts and source.opening.frames_per_position is None:
        stored = _with_bursts(source, stored, frames.shape[0])
    frames = _repeats_inside(source, frames, at, len(stored.positions_m))
    frames = up_to_last_written(source, frames)
    ours = _frame_numbers(source, table, kept, frames.shape[0])
    theirs = _position_numbers(source, table, len(stored.positions_m))
    if known.logged and theirs is None:
        stack = _by_count(source, frames, stored, at, known)
        return stack if ours is None else _logged_by_number(source, stack, ours)
    counted = ours is None or ours.counted
    if theirs is None and counted:
        return _by_count(source, frames, stored, at, known)
    if theirs is None:
        stored = replace(stored, positions_m=without_padding(stored.positions_m))
    n, m = frames.shape[0], len(stored.positions_m)
    ours, theirs = ours or Numbers.counting(n), theirs or Numbers.counting(m)
    stack = Stack(frames, stored, at, listed_s=known.listed_s, in_pixels=known.in_pixels)
    return _by_number(source, stack, ours, theirs)


def _without_zeros(source: Source, stored: Placed) -> Placed:
    """The positions, those of a list's end that were never written not known."""
    placed, padding = zero_padding(stored)
    if padding:
        source.assume(
            f"the last {padding} positions are (0, 0), away from the scan: they are taken for "
            "padding and not used"
        )
    return placed


def _by_count(source: Source, frames: Frames, stored: Placed, at: Layout, known: Places) -> Stack:
    """Frames and positions, as many of each as belong together."""
    n, k = frames.shape[0], source.opening.frames_per_position or 1
    each = known.logged or _listed_by_exposure(source, stored.positions_m, n)
    # While a scan is written, its positions may come after its frames.
    lagging = known.logged or source.opening.growing
    placed, used, warning = pair(n, stored, 1 if each else k, lagging)
    if warning:
        source.assume(warning)
    if source.opening.growing and each:
        used = min(used, len(placed.positions_m))
    frames = first(frames, used)
    _say_lost(source, placed.positions_m)
    padded = len(placed.positions_m) < len(stored.positions_m)
    listed_s = None if padded or known.logged else known.listed_s
    return Stack(frames, placed, at, each, listed_s=listed_s, in_pixels=known.in_pixels)


def _listed_by_exposure(source: Source, positions_m: Array, frames: int) -> bool:
    """Whether several exposures of a position are listed one by one.

    Raises
    ------
    ScanError
        As many different positions as frames, which are to be several a position.
    """
    k, m, growing = (
        source.opening.frames_per_position or 1,
        len(positions_m),
        source.opening.growing,
    )
    # Rows of k positions look like groups of k exposures, but then the frames are more.
    if k == 1 or ((growing or frames <= m) and by_exposure(positions_m, k)):
        return True
    if growing:
        return False
    if m == frames and m > 1:
        raise contradiction(m, k)
    return False


def _logged_by_number(source: Source, stack: Stack, ours: Numbers) -> Stack:
    """Positions that are logged with each frame have its number."""
    n, k = stack.frames.shape[0], source.opening.frames_per_position or 1
    steps = np.diff(ours.values[:n])
    if len(ours.values) < n or (steps <= 0).any() or (steps == 1).all():
        return stack  # no numbers of this scan, or nothing was lost
    lost = int((steps - 1).sum())
    source.notes.append(f"{ours.name} has gaps: {lost} frames were dropped")
    ours = replace(ours, values=ours.values[:n])
    readings = stack.placed.positions_m[:n]
    theirs = Numbers(ours.values[: len(readings)], ours.name)
    found = join(ours, theirs, readings, k, growing=True)
    return replace(
        stack,
        placed=Placed(found.positions),
        numbers=found.numbers,
        readings=found.readings,
        each=True,
    )


def _by_number(source: Source, stack: Stack, ours: Numbers, theirs: Numbers) -> Stack:
    """Join by acquisition number; what has no counterpart is left out, and said."""
    k, growing = source.opening.frames_per_position or 1, source.opening.growing
    readings = stack.placed.positions_m
    enough = growing or stack.frames.shape[0] <= len(readings)
    listed = theirs.counted and not theirs.declared and enough
    each = by_exposure(readings, k) if listed else False
    found = join(ours, theirs, readings, k, each or k == 1, growing)
    _say_lost(source, readings)
    if found.left_out:
        cause = f" ({STOPPED})" if ours.counted and found.lost else ""
        source.assume(found.left_out + cause)
    if apart := scattered(found, readings, theirs.values):
        source.assume(apart)
    if found.is_in_order and len(found.positions) == len(readings):
        return replace(stack, each=found.each)
    source.notes.append(found.note)
    return replace(
        stack,
        placed=Placed(found.positions),
        each=found.each,
        numbers=found.numbers,
        readings=found.readings,
    )


def _say_lost(source: Source, positions_m: Array) -> None:
    lost = int((~np.isfinite(positions_m).all(axis=1)).sum())
    if lost:
        source.assume(f"{lost} positions are not finite: their frames are not used")


def _frame_numbers(source: Source, table: Hdf5Format, kept: Kept, count: int) -> Numbers | None:
    """Acquisition numbers of the frames: the user's, else the format's; None if there are none."""
    given = source.opening.paths.get("frame_index", "")
    if _is_whole(given):
        return Numbers.counting(count, int(given))
    found = source.find("frame_index", table.frame_index)
    if found is None:
        return kept.numbers
    name, values = found.name.rsplit("/", 1)[-1], stored_numbers(found).ravel()
    if not given:  # zeros at the end are the padding of a chunk
        written = np.flatnonzero(np.isfinite(values) & (values != 0))
        values = values[: written[-1] + 1] if written.size else values[:0]
        if len(values) < count:
            return None
    if len(values) != count and given:
        raise ScanError(
            f"Expected an acquisition number of each of {count} frames in "
            f"{found.name}. Got {len(values)}",
            "set paths.frame_index (--path frame_index=PATH)",
            found.file,
        )
    numbers = Numbers(whole(values[:count], name), name, table.first_number, bool(given))
    return numbers if given else _unless_restarted(source, numbers)


def _unless_restarted(source: Source, numbers: Numbers) -> Numbers | None:
    """A counter that starts again, as with each row, is no number of the scan's.

    Raises
    ------
    ScanError
        It starts again and has gaps, too.
    """
    steps = np.diff(numbers.values)
    back = np.flatnonzero(steps < 0)
    if not back.size:
        return numbers
    if (steps[steps >= 0] != 1).any():
        raise ScanError(
            f"{numbers.name} starts again at frame {back[0] + 1} and has gaps: it does not tell "
            "which position a frame belongs to",
            "count the frames in order by --path frame_index=0 (paths.frame_index)",
        )
    source.notes.append(f"{numbers.name} starts again at frame {back[0] + 1}: it is not used")
    return None


def _position_numbers(source: Source, table: Hdf5Format, count: int) -> Numbers | None:
    """Acquisition numbers of the readings of positions; None if there are none.

    Raises
    ------
    ScanError
        They are not as many as the readings.
    """
    given = source.opening.paths.get("position_index", "")
    if _is_whole(given):
        return Numbers.counting(count, int(given))
    found = source.find("position_index", table.position_index)
    if found is None:
        return None
    values = whole(stored_numbers(found).ravel(), found.name)
    if len(values) != count:
        raise ScanError(
            f"Expected an acquisition number of each of {count} positions in "
            f"{found.name}. Got {len(values)}",
            "set paths.position_index (--path position_index=PATH)",
            found.file,
        )
    return Numbers(values, found.name.rsplit("/", 1)[-1], declared=bool(given))


def _is_whole(given: str) -> bool:
    return given.strip().lstrip("-").isdigit()


def _repeats_inside(source: Source, frames: Frames, at: Layout, positions: int) -> Frames:
    """Frames (exposures, positions) in the order of positions, exposures of each together."""
    k = source.opening.frames_per_position or 1
    if k == 1 or at.axes != (k, positions) or k == positions:
        return frames
    source.assume(
        f"frames {at.axes} for {positions} positions of {k} exposures: the first axis is taken for "
        "the exposures of each position"
    )
    return PickedFrames(frames, np.arange(k * positions).reshape(k, positions).T.ravel())


def _with_bursts(source: Source, placed: Placed, frames: int) -> Placed:
    """Each position as often as there are frames at it."""
    each, left = divmod(frames, len(placed.positions_m))
    if each < 2 or left or source.opening.growing:
        return placed
    source.assume(f"{frames} frames for {len(placed.positions_m)} positions: bursts of {each}, "
                  f"each frame is used with its position; frames_per_position={each} "
                  f"(--frames-per-pos {each}) joins them")  # fmt: skip
    return Placed(np.repeat(placed.positions_m, each, axis=0))


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
        y_here, x_here = follow(y, at, k=per_position), follow(x, at, k=per_position)
        return arrange(y_here, x_here, at.axes, per_position, per_frame)

    return place


def _from_one(
    source: Source, both: Found, values: Array, own_split: Split | None
) -> Callable[[Layout], Placed]:
    # Formats keep a position a row; where the user's array may be read in two ways, split asks.
    # Names of all columns say nothing of a part of them.
    own = "positions" not in source.opening.paths
    named = "" if both.part else text(both.dataset.attrs.get("columns"))
    columns = named or ("x,y,z" if own else "")
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


def follow(values: Array, at: Layout, columns: int = 0, k: int | None = None) -> Array:
    """The part of ``values`` that belongs to the leading index, if they have that axis, too.

    They are then as many as the frames after it, or as the positions of ``k`` frames each.
    """
    if at.leading is None or values.ndim < 2 + columns or values.shape[0] != at.outer:
        return values
    inner = math.prod(values.shape[1 : values.ndim - columns])
    belongs = values.shape[1] == at.axes[0] or inner * (k or 1) == at.frames
    return np.asarray(values[at.leading]) if belongs else values


def stack_like_the_frames(found: Found, at: Layout) -> Hdf5Frames:
    """Images of a dataset; of one that is laid out like the frames those of the leading index."""
    alike = at.leading is not None and found.dataset.shape[:-2] == (at.outer, *at.axes)
    return Hdf5Frames(found.file, found.name, at.leading if alike else None)
