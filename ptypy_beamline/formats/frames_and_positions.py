"""Frames and positions of a file that belong together: by acquisition number, else by count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..arrays import Floats, Ints
from ..errors import ScanError
from ..frames.hdf5 import Hdf5Frames
from ..frames.wrappers import PickedFrames
from ..scan import Frames, written
from .acquisition_numbers import (
    AcquisitionNumbers,
    average,
    count_written,
    frame_numbers,
    position_numbers,
    refuse_repeats,
)
from .exposure_groups import (
    are_groups,
    by_acquisition,
    by_exposure,
    for_frames,
    listed_by_exposure,
    of_exposures,
)
from .frame_axes import FrameLayout
from .hdf5_source import Hdf5Source
from .join_by_number import JoinedByNumber, from_the_first, join, scattered
from .positions import STOPPED, Placed, pair, without_padding, zero_padding

if TYPE_CHECKING:
    from .hdf5 import Hdf5Format

SPREAD = 100
"""Numbers whose range is so many times their count do not number exposures."""


@dataclass(frozen=True)
class PairedFrames:
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
    layout: FrameLayout
    each: bool | None = None
    numbers: Ints | None = None
    readings: Ints | None = None
    listed_s: float | None = None
    in_pixels: bool = False

    def for_frames(self, values: Floats, exposures: int) -> Floats | None:
        """(n,) of one value a frame, exposure, position or reading; None if it is none of these."""
        n, m = self.frames.shape[0], len(self.placed.positions_m)
        at = np.arange(n) if self.numbers is None else self.numbers
        each = bool(self.each)
        if self.readings is not None and len(values) == len(self.readings) != n:
            by_position = average(self.readings, values)
            return by_acquisition(by_position, at, 1 if each else exposures)
        return for_frames(values, at, m, exposures, each)


@dataclass(frozen=True)
class StoredPositions:
    """Positions as they are stored.

    Attributes
    ----------
    place
        How to arrange them for the axes of the frames.
    logged
        They are logged with each frame.
    listed_s, in_pixels
        As in :class:`PairedFrames`.
    """

    place: Callable[[FrameLayout], Placed]
    logged: bool
    listed_s: float | None
    in_pixels: bool


def fitted(
    source: Hdf5Source,
    table: Hdf5Format,
    frames: Frames,
    numbers: AcquisitionNumbers | None,
    at: FrameLayout,
    known: StoredPositions,
) -> PairedFrames:
    """Frames, so ``numbers`` if kept elsewhere, and positions, joined by number, else by count."""
    stored = _without_zeros(source, known.place(at))
    if table.bursts and source.settings.frames_per_position is None:
        stored = _with_bursts(source, stored, frames.shape[0])
    frames = _repeats_inside(source, frames, at, len(stored.positions_m))
    frames = _up_to_last_written(source, frames)
    n, m, k = frames.shape[0], len(stored.positions_m), source.exposures
    lacking = not source.settings.growing and n < m * k and n != m
    of_frames = frame_numbers(source, table, numbers, n, lacking)
    of_positions = position_numbers(source, table, m)
    if known.logged and of_positions is None:
        stack = _by_count(source, frames, stored, at, known)
        return stack if of_frames is None else _logged_by_number(source, stack, of_frames)
    if of_positions is None and (of_frames is None or of_frames.counted):
        return _by_count(source, frames, stored, at, known)
    if of_positions is None:
        stored = replace(stored, positions_m=without_padding(stored.positions_m))
        columns = stored.grid[1] if stored.grid else 0
        of_positions = AcquisitionNumbers.counting(len(stored.positions_m), columns=columns)
    of_frames = of_frames or AcquisitionNumbers.counting(n)
    stack = PairedFrames(frames, stored, at, listed_s=known.listed_s, in_pixels=known.in_pixels)
    return _by_number(source, stack, of_frames, of_positions)


def _without_zeros(source: Hdf5Source, stored: Placed) -> Placed:
    """The positions; those at the end of the list that were never written are unknown."""
    placed, padding = zero_padding(stored)
    if padding:
        source.assume(
            f"the last {padding} positions are (0, 0), away from the scan: they are "
            "taken as padding and not used"
        )
    return placed


def _by_count(
    source: Hdf5Source, frames: Frames, stored: Placed, at: FrameLayout, known: StoredPositions
) -> PairedFrames:
    """Frames and positions, as many of each as match."""
    n, k = frames.shape[0], source.exposures
    one_each = known.logged and n != k * len(stored.positions_m)
    each = one_each or listed_by_exposure(stored.positions_m, n, k, source.settings.growing)
    # While a scan is written, positions may be logged after their frames.
    lagging = known.logged or source.settings.growing
    placed, used, warning = pair(n, stored, 1 if each else k, lagging)
    if warning:
        source.assume(warning)
    if source.settings.growing and each:
        used = min(used, len(placed.positions_m))
    frames = _first(frames, used)
    warn_of_lost_positions(source, placed.positions_m)
    padded = len(placed.positions_m) < len(stored.positions_m)
    listed_s = None if padded or known.logged else known.listed_s
    return PairedFrames(frames, placed, at, each, listed_s=listed_s, in_pixels=known.in_pixels)


def _logged_by_number(
    source: Hdf5Source, stack: PairedFrames, numbers: AcquisitionNumbers
) -> PairedFrames:
    """Positions that are logged with each frame have its number."""
    n, k = stack.frames.shape[0], source.exposures
    numbers = replace(numbers, values=numbers.values[:n], literal=True)
    refuse_repeats(numbers)
    if not n:
        return stack
    lost = int(np.ptp(numbers.values)) + 1 - n
    whole_groups = k == 1 or numbers.values[0] in (0, numbers.first)
    if not lost and (np.diff(numbers.values) == 1).all() and whole_groups:
        return stack
    if lost:
        dropped = "1 frame was" if lost == 1 else f"{lost} frames were"
        source.notes.append(f"{numbers.name} has gaps: {dropped} dropped")
    readings = stack.placed.positions_m[:n]
    numbers = _from_first_exposure(source, numbers, readings, k)
    of_positions = AcquisitionNumbers(numbers.values[: len(readings)], numbers.name)
    found = join(numbers, of_positions, readings, k, growing=True)
    return _joined(stack, found)


def _from_first_exposure(
    source: Hdf5Source, numbers: AcquisitionNumbers, readings: Floats, k: int
) -> AcquisitionNumbers:
    """Numbers that begin where the exposures of each position have its ``readings`` (n, 2).

    What such a counter usually begins with stands if it fits, or if several others do.
    """
    low, n = int(numbers.values.min()), len(readings)
    spread = int(np.ptp(numbers.values)) > SPREAD * n
    if k == 1 or source.settings.growing or spread or not numbers.assumed:
        return numbers
    assert numbers.first is not None
    fitting = [
        first
        for first in range(low, low - k, -1)
        if are_groups(average(numbers.values[:n] - first, readings), k)
    ]
    if len(fitting) != 1 or (fitting[0] - numbers.first) % k == 0:
        return numbers
    source.assume(
        f"{numbers.name} is taken to count from {fitting[0]}: from {numbers.first}, the {k} "
        "exposures of a position would lie apart"
    )
    return replace(numbers, first=fitting[0], assumed=False)


def _by_number(
    source: Hdf5Source,
    stack: PairedFrames,
    of_frames: AcquisitionNumbers,
    of_positions: AcquisitionNumbers,
) -> PairedFrames:
    """Join by acquisition number; what has no counterpart is left out, with a warning."""
    k, growing = source.exposures, source.settings.growing
    readings = stack.placed.positions_m
    enough = growing or stack.frames.shape[0] <= len(readings)
    each = of_positions.counted and enough and by_exposure(readings, k)
    if growing and of_positions.counted and not of_positions.declared:
        of_positions, warnings = from_the_first(of_frames, of_positions, k, each or k == 1)
        for warning in warnings:
            source.assume(warning, lasting=True)
    found = join(of_frames, of_positions, readings, k, each or k == 1, growing)
    warn_of_lost_positions(source, readings)
    unknown = of_frames.counted and found.lost and not growing
    if found.left_out:
        source.assume(found.left_out + (f" ({STOPPED})" if unknown else ""))
    elif unknown:
        counts = f"{stack.frames.shape[0]} frames for {len(readings)} positions"
        source.assume(f"{counts}{'' if found.each else of_exposures(k)}: {STOPPED}")
    else:
        source.notes.extend(_gaps(of_frames))
    for assumption in (found.assumed, scattered(found, readings, of_positions.values)):
        if assumption:
            source.assume(assumption)
    if found.is_in_order and len(found.positions) == len(readings):
        return replace(stack, each=found.each)
    source.notes.append(found.note)
    return _joined(stack, found)


def _joined(stack: PairedFrames, found: JoinedByNumber) -> PairedFrames:
    return replace(
        stack,
        placed=Placed(found.positions),
        each=found.each,
        numbers=found.numbers,
        readings=found.readings,
    )


def _gaps(numbers: AcquisitionNumbers) -> list[str]:
    """Warn where a few numbers between the first and the last are missing."""
    known = len(np.unique(numbers.values))
    span = int(np.ptp(numbers.values)) + 1 if known else 0
    lost = span - known
    if numbers.counted or not 0 < lost < known:
        return []
    return [f"{numbers.name} have gaps: {lost} of {span} numbers have neither frame nor position"]


def warn_of_lost_positions(source: Hdf5Source, positions_m: Floats) -> None:
    """Warn how many of (m, 2) are not finite."""
    lost = int((~np.isfinite(positions_m).all(axis=1)).sum())
    if lost:
        source.assume(f"{lost} positions are not finite: their frames are not used")


def _repeats_inside(source: Hdf5Source, frames: Frames, at: FrameLayout, positions: int) -> Frames:
    """Frames (exposures, positions) in the order of positions, exposures of each together."""
    k = source.exposures
    if k == 1 or at.axes != (k, positions) or k == positions:
        return frames
    source.assume(
        f"frames {at.axes} for {positions} positions of {k} exposures: the first axis is taken for "
        "the exposures of each position"
    )
    return PickedFrames(frames, np.arange(k * positions).reshape(k, positions).T.ravel())


def _with_bursts(source: Hdf5Source, placed: Placed, frames: int) -> Placed:
    """Each position as often as there are frames at it."""
    each, left = divmod(frames, len(placed.positions_m))
    if each < 2 or left or source.settings.growing:
        return placed
    source.assume(
        f"{frames} frames for {len(placed.positions_m)} positions: bursts of {each}, "
        f"each frame is used with its position; frames_per_position={each} "
        f"(--frames-per-pos {each}) joins them"
    )
    return Placed(np.repeat(placed.positions_m, each, axis=0))


def _first(frames: Frames, count: int) -> Frames:
    """At most the first ``count`` frames."""
    if count >= frames.shape[0]:
        return frames
    if isinstance(frames, Hdf5Frames):
        return replace(frames, limit=count)
    return PickedFrames(frames, np.arange(count))


def _up_to_last_written(source: Hdf5Source, frames: Frames) -> Frames:
    """Frames without the unwritten ones at the end of the dataset."""
    is_written = written(frames)
    if is_written is None:
        return frames
    if not is_written.any() and not source.settings.growing:
        raise ScanError(
            f"none of the {len(is_written)} frames was ever written",
            "copy the file again, with the files it takes frames from",
        )
    missing = int(np.count_nonzero(~is_written))
    source.assume(f"{missing} of {len(is_written)} frames were never written: they are not used")
    return _first(frames, count_written(is_written))
