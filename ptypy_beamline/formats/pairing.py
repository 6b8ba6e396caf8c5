"""Frames and positions of a file that belong together: by acquisition number, else by count."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..arrays import Floats
from ..errors import ScanError
from ..frames.hdf5 import Hdf5Frames
from ..frames.wrappers import PickedFrames
from ..scan import Frames, written
from .groups import are_groups, by_exposure, listed_by_exposure, of_exposures
from .joining import join, scattered
from .layout import Kept, Layout, Places, Stack
from .matching import Sides, in_steps
from .numbering import Numbers, average, is_number, refuse_repeats, whole
from .positions import STOPPED, Placed, pair, without_padding, zero_padding
from .quantities import as_stored
from .source import Source

if TYPE_CHECKING:
    from .hdf5 import Hdf5Format

SPREAD = 100
"""Numbers that range over so many times more than there are do not count exposures."""


def fitted(source: Source, table: Hdf5Format, kept: Kept, at: Layout, known: Places) -> Stack:
    """Frames and positions joined by number, else by count."""
    stored, frames = _without_zeros(source, known.place(at)), kept.frames
    assert frames is not None
    if table.bursts and source.opening.frames_per_position is None:
        stored = _with_bursts(source, stored, frames.shape[0])
    frames = _repeats_inside(source, frames, at, len(stored.positions_m))
    frames = up_to_last_written(source, frames)
    ours = _frame_numbers(
        source, table, kept, frames.shape[0], _lacks_frames(source, frames, stored)
    )
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
    columns = stored.grid[1] if stored.grid else 0
    ours, theirs = ours or Numbers.counting(n), theirs or Numbers.counting(m, columns=columns)
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
    one_each = known.logged and n != k * len(stored.positions_m)
    each = one_each or listed_by_exposure(stored.positions_m, n, k, source.opening.growing)
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


def _logged_by_number(source: Source, stack: Stack, ours: Numbers) -> Stack:
    """Positions that are logged with each frame have its number."""
    n, k = stack.frames.shape[0], source.opening.frames_per_position or 1
    ours = replace(ours, values=ours.values[:n], literal=True)
    refuse_repeats(ours)
    if not n or len(ours.values) < n:
        return stack  # no numbers of this scan
    lost = int(np.ptp(ours.values)) + 1 - n
    whole_groups = k == 1 or ours.values[0] in (0, ours.first)
    if not lost and (np.diff(ours.values) == 1).all() and whole_groups:
        return stack
    if lost:
        dropped = "1 frame was" if lost == 1 else f"{lost} frames were"
        source.notes.append(f"{ours.name} has gaps: {dropped} dropped")
    readings = stack.placed.positions_m[:n]
    ours = _from_first_exposure(source, ours, readings, k)
    theirs = Numbers(ours.values[: len(readings)], ours.name)
    found = join(ours, theirs, readings, k, growing=True)
    return replace(
        stack,
        placed=Placed(found.positions),
        numbers=found.numbers,
        readings=found.readings,
        each=True,
    )


def _from_first_exposure(source: Source, ours: Numbers, readings: Floats, k: int) -> Numbers:
    """Numbers that begin where the exposures of each position have its ``readings`` (n, 2).

    What such a counter usually begins with stands if it fits, or if several others do.
    """
    low, n = int(ours.values.min()), len(readings)
    spread = int(np.ptp(ours.values)) > SPREAD * n
    if k == 1 or not ours.assumed or ours.first is None or source.opening.growing or spread:
        return ours
    fitting = [
        first
        for first in range(low, low - k, -1)
        if are_groups(average(ours.values[:n] - first, readings), k)
    ]
    if len(fitting) != 1 or (fitting[0] - ours.first) % k == 0:
        return ours
    source.assume(
        f"{ours.name} is taken to count from {fitting[0]}: from {ours.first}, the {k} exposures of "
        "a position would lie apart"
    )
    return replace(ours, first=fitting[0], assumed=False)


def _by_number(source: Source, stack: Stack, ours: Numbers, theirs: Numbers) -> Stack:
    """Join by acquisition number; what has no counterpart is left out, and said."""
    k, growing = source.opening.frames_per_position or 1, source.opening.growing
    readings = stack.placed.positions_m
    enough = growing or stack.frames.shape[0] <= len(readings)
    listed = theirs.counted and enough
    each = by_exposure(readings, k) if listed else False
    if growing and theirs.counted and not theirs.declared:
        theirs = _as_begun(source, ours, theirs, k, each or k == 1)
    found = join(ours, theirs, readings, k, each or k == 1, growing)
    _say_lost(source, readings)
    unknown = ours.counted and found.lost and not growing
    if found.left_out:
        source.assume(found.left_out + (f" ({STOPPED})" if unknown else ""))
    elif unknown:
        counts = f"{stack.frames.shape[0]} frames for {len(readings)} positions"
        source.assume(f"{counts}{'' if found.each else of_exposures(k)}: {STOPPED}")
    else:
        source.notes.extend(_gaps(ours))
    for said in (found.assumed, scattered(found, readings, theirs.values)):
        if said:
            source.assume(said)
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


def _gaps(ours: Numbers) -> list[str]:
    """Say so where a few numbers between the first and the last are nobody's."""
    known = len(np.unique(ours.values))
    numbers = int(np.ptp(ours.values)) + 1 if known else 0
    lost = numbers - known
    if ours.counted or not 0 < lost < known:
        return []
    return [f"{ours.name} have gaps: {lost} of {numbers} numbers have neither frame nor position"]


def _as_begun(source: Source, ours: Numbers, theirs: Numbers, k: int, each: bool) -> Numbers:
    """Positions without numbers, of a scan that is written, by the number of the first of them.

    It stays what it is: positions without frames and without some of their exposures may get them
    yet, so that only frames without a position tell against a way to read the numbers.

    Raises
    ------
    ScanError
        Several ways are as good still.
    """
    sides = in_steps(Sides(ours, theirs, k, each))
    placed = {match: int(np.isin(*sides.groups(match)).sum()) for match in sides.matches()}
    best = [match for match, frames in placed.items() if frames == max(placed.values())]
    usual = [match for match in best if match.shift == sides.preferred()] or best
    first, *others = sorted({sides.number_of_first(match) for match in usual})
    if others:
        raise ScanError(
            f"{sides.frames.listed('frames')} so far and {theirs.listed('positions')} fit in two "
            f"ways: the first position may belong to frame {first} or {others[-1]}",
            f"give the number of the first position by --path position_index={first} or --path "
            f"position_index={others[-1]} (paths.position_index)",
        )
    for other in sorted({sides.number_of_first(match) for match in best} - {first}):
        lost = " and the first frame was lost" if other < first else ""
        source.assume(
            f"{ours.name} is taken to count from {first}; if it counts from {other}{lost}, set "
            f"--path position_index={other} (paths.position_index)",
            lasting=True,
        )
    return Numbers.counting(len(theirs.values), first)


def _say_lost(source: Source, positions_m: Floats) -> None:
    lost = int((~np.isfinite(positions_m).all(axis=1)).sum())
    if lost:
        source.assume(f"{lost} positions are not finite: their frames are not used")


def _lacks_frames(source: Source, frames: Frames, stored: Placed) -> bool:
    """Whether there are neither as many frames as positions nor as all their exposures."""
    m, k = len(stored.positions_m), source.opening.frames_per_position or 1
    return not source.opening.growing and frames.shape[0] < m * k and frames.shape[0] != m


def _frame_numbers(
    source: Source, table: Hdf5Format, kept: Kept, count: int, lacking: bool
) -> Numbers | None:
    """Acquisition numbers of the frames: the user's, else the format's; None if there are none.

    ``lacking``: there are fewer of them than positions.
    """
    given = source.opening.paths.get("frame_index", "")
    if is_number(given):
        return Numbers.counting(count, int(given))
    found = source.find("frame_index", table.frame_index)
    if found is None:
        return kept.numbers
    name, values = found.name.rsplit("/", 1)[-1], as_stored(found).ravel()
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
    first = table.first_number
    values = whole(values[:count], name)
    numbers = Numbers(values, name, first, assumed=first is not None, declared=bool(given))
    return numbers if given else _unless_restarted(source, numbers, lacking)


def _unless_restarted(source: Source, numbers: Numbers, lacking: bool) -> Numbers | None:
    """A counter that starts again, as with each row, is no number of the scan's.

    One that has each number once does not: its frames were written in another order.

    Raises
    ------
    ScanError
        It starts again and has gaps, too; or a scan that is followed comes in another order.
    """
    steps = np.diff(numbers.values)
    back = np.flatnonzero(steps < 0)
    once = len(np.unique(numbers.values)) == len(numbers.values)
    if back.size and once and source.opening.growing:
        raise ScanError(
            f"{numbers.name} goes back from {numbers.values[back[0]]} to "
            f"{numbers.values[back[0] + 1]} at frame {back[0] + 1}, but a scan that is followed is "
            "loaded in the order of its numbers",
            "load it when it has ended, without live.timeout_s (--live)",
        )
    if not back.size or once:
        return numbers
    rows = np.split(numbers.values, back + 1)
    uneven = any(row[0] != rows[0][0] for row in rows) or len({len(row) for row in rows[:-1]}) > 1
    if (steps[steps >= 0] != 1).any() or (uneven and lacking):
        raise ScanError(
            f"{numbers.name} starts again at frame {back[0] + 1} and has gaps: it does not show "
            "which position a frame belongs to",
            "give the number of each frame by --path frame_index=OTHER.h5::/PATH "
            "(paths.frame_index), or count the frames in order by --path frame_index=0",
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
    if is_number(given):
        return Numbers.counting(count, int(given))
    found = source.find("position_index", table.position_index)
    if found is None:
        return None
    values = whole(as_stored(found).ravel(), found.name)
    if len(values) != count:
        raise ScanError(
            f"Expected an acquisition number of each of {count} positions in "
            f"{found.name}. Got {len(values)}",
            "set paths.position_index (--path position_index=PATH)",
            found.file,
        )
    return Numbers(values, found.name.rsplit("/", 1)[-1], declared=bool(given))


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
    source.assume(
        f"{frames} frames for {len(placed.positions_m)} positions: bursts of {each}, "
        f"each frame is used with its position; frames_per_position={each} "
        f"(--frames-per-pos {each}) joins them"
    )
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
