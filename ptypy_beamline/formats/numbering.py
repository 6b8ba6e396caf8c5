"""Frames and positions that belong together by their acquisition numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import ScanError

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Numbers:
    """Acquisition numbers of frames, or of position readings.

    Attributes
    ----------
    values
        (n,) whole numbers.
    name
        What a message calls them.
    first
        Number of the first acquisition, where that is known.
    declared
        The user named them: taken literally where several readings of them are as good.
    counted
        Nothing is stored: they are counted one after another.
    per_step
        Frames that a number of the source stands for: pages of a file whose name is numbered.
    """

    values: Ints
    name: str
    first: int | None = None
    declared: bool = False
    counted: bool = False
    per_step: int = 1

    @classmethod
    def counting(cls, count: int, first: int | None = None) -> Numbers:
        """One after another; ``first`` is what the user says the first one is."""
        values = np.arange(count) + (first or 0)
        return cls(values, "in order", first, first is not None, counted=True)

    @property
    def range(self) -> str:
        """For messages, as ``1 to 24``."""
        return f"{self.values.min()} to {self.values.max()}" if len(self.values) else "none"


def whole(values: Array, name: str) -> Ints:
    """Stored numbers as whole ones.

    Raises
    ------
    ScanError
        One is not.
    """
    wrong = np.flatnonzero(~np.isfinite(values) | (np.rint(values) != values))
    if wrong.size:
        raise ScanError(f"Expected whole acquisition numbers in {name}. Got {values[wrong[0]]:g} "
                        f"at entry {wrong[0]}", "correct it, or name another dataset")  # fmt: skip
    return values.astype(np.int64)


@dataclass(frozen=True, eq=False)
class Joined:
    """Frames and positions of a scan on one axis of acquisitions.

    Attributes
    ----------
    positions
        (m, 2) by acquisition, or by group of exposures; NaN where there is none.
    numbers
        (n,) acquisition of each frame, from 0; −1 = it has no position.
    each
        Positions are by acquisition, not by group.
    readings
        (r,) place in ``positions`` of each reading.
    note
        How they were joined.
    left_out
        What has no counterpart, or empty.
    lost
        Positions have no frame.
    """

    positions: Array
    numbers: Ints
    each: bool
    readings: Ints
    note: str
    left_out: str
    lost: bool

    @property
    def is_in_order(self) -> bool:
        """Whether joining by count gives the same."""
        return bool(np.array_equal(self.numbers, np.arange(len(self.numbers))))


@dataclass(frozen=True)
class _Match:
    """(Number of a frame + ``shift``) // ``per`` = number of its position."""

    shift: int
    per: int


@dataclass(frozen=True, eq=False)
class _Sides:
    """What is to be joined."""

    frames: Numbers
    positions: Numbers
    exposures: int
    each: bool

    def matches(self) -> Iterator[_Match]:
        """Ways to read the numbers."""
        if self.positions.counted:
            ways = {1 if self.each else self.exposures}
        else:
            ways = {1, self.exposures}
        for per in sorted(ways):
            for shift in self._shifts(per):
                yield _Match(shift, per)

    def _shifts(self, per: int) -> list[int]:
        """Either side may count from 0 or 1; a counter that was not reset, from anywhere."""
        frames, positions, step = self.frames, self.positions, self.frames.per_step
        low, origin = int(frames.values.min()), int(positions.values.min())
        if positions.counted and positions.declared:
            return [origin * per - origin]
        if positions.counted:
            after_last = (int(positions.values.max()) + 1) * per
            known = [0, step] if frames.first is None else [frames.first]
            return [*(-first for first in known), -low, after_last - 1 - int(frames.values.max())]
        if frames.counted:
            return [0] if frames.declared else [0, 1, origin]
        if positions.first is not None:
            return [positions.first - first for first in ((step, low) if low else (0,))]
        return [0, step, -step]

    def preferred(self, growing: bool) -> int | None:
        """The shift that decides between ways that are as good."""
        frames, positions = self.frames, self.positions
        low, origin = int(frames.values.min()), int(positions.values.min())
        if not (frames.counted or positions.counted):
            both_begin = low == origin and low in (0, frames.per_step)
            return 0 if frames.declared or positions.declared or both_begin else None
        if frames.counted and not positions.counted:
            return 0 if origin == 0 else None
        if frames.first is not None:
            return -frames.first
        return -low if growing and low in (0, frames.per_step) else None

    def first(self, match: _Match) -> int:
        """Number that becomes 0: of the first position, or of the first exposure of its group."""
        first = int(self.positions.values.min())
        if match.per > 1 or self.exposures == 1:
            return first
        lowest = int(self.frames.values.min()) + match.shift
        start = lowest if self.frames.first is None else self.frames.first + match.shift
        return start if first - len(self.positions.values) < start < first else first

    def groups(self, match: _Match) -> tuple[Ints, Ints]:
        """Position of each frame and of each reading, by number, from 0."""
        at, first = self.frames.values + match.shift, self.first(match)
        if match.per > 1:
            return at // match.per - first, self.positions.values - first
        return (at - first) // self.exposures, (self.positions.values - first) // self.exposures

    def unmatched(self, match: _Match) -> tuple[int, int]:
        """Positions without frames, or the reverse, and groups that lack exposures."""
        at, there = self.groups(match)
        _, exposures = np.unique(at, return_counts=True)
        return int(np.setxor1d(at, there).size), int((exposures != self.exposures).sum())


def join(
    frames: Numbers,
    positions: Numbers,
    readings: Array,
    exposures: int = 1,
    each: bool = False,
    growing: bool = False,
) -> Joined:
    """Join frames and readings of positions by number.

    Parameters
    ----------
    frames, positions
        Numbers of the frames (n,) and of the readings (m,); not both ``counted``.
    readings
        (m, 2) positions; those of one number are averaged.
    exposures
        Of each position.
    each
        Positions that are counted are listed for each exposure.
    growing
        Frames are still to come, so that their first number decides.

    Raises
    ------
    ScanError
        Several frames have one number, or the numbers do not tell what belongs together.
    """
    _refuse_repeats(frames)
    sides = _Sides(frames, positions, exposures, each)
    match = _chosen(sides, growing)
    at, there = sides.groups(match)
    known = np.isin(at, there)
    if positions.counted and not growing:
        _refuse_contradiction(sides, known)
    first = sides.first(match)
    return Joined(
        average(_checked(positions.values - first), readings),
        np.where(known, frames.values + match.shift - first * match.per, -1),
        match.per == 1,
        positions.values - first,
        _note(frames, positions),
        _left_out(sides, known, ~np.isin(there, at)),
        bool(not np.isin(there, at).all()),
    )


def frame_of(frames: Numbers, positions: Numbers) -> Ints:
    """(m,) number of the frame that each reading belongs to, which may not be there.

    Raises
    ------
    ScanError
        As :func:`join`.
    """
    _refuse_repeats(frames)
    return positions.values - _chosen(_Sides(frames, positions, 1, each=True), growing=False).shift


def unmatched(frames: Numbers, positions: Numbers, exposures: int = 1) -> tuple[int, int]:
    """How badly the numbers fit, (positions or frames left over, incomplete groups)."""
    sides = _Sides(frames, positions, exposures, each=False)
    return min(sides.unmatched(match) for match in sides.matches())


def _refuse_repeats(frames: Numbers) -> None:
    values, counts = np.unique(frames.values, return_counts=True)
    repeated = values[counts > 1]
    if repeated.size:
        raise ScanError(
            f"Expected one frame of each acquisition number in {frames.name}. Got "
            f"{counts.max()} of number {repeated[0]}, and {repeated.size} such numbers",
            "leave out the copies, or count frames in order by --path frame_index=0 "
            "(paths.frame_index)",
        )


def _chosen(sides: _Sides, growing: bool) -> _Match:
    """The way to read the numbers that leaves the fewest without a counterpart.

    Raises
    ------
    ScanError
        Two ways are as good.
    """
    tried = {match: sides.unmatched(match) for match in sides.matches()}
    best = [match for match, unmatched in tried.items() if unmatched == min(tried.values())]
    preferred = sides.preferred(growing)
    chosen = [match for match in best if match.shift == preferred] or best
    if not any(np.isin(*sides.groups(match)).any() for match in best):
        raise ScanError(
            f"frames numbered {_listed(sides.frames)} and positions numbered "
            f"{_listed(sides.positions)} have no number in common",
            "check paths.frame_index and paths.position_index",
        )
    starts = sorted({sides.first(match) * match.per - match.shift for match in chosen})
    if len(starts) > 1:
        raise ScanError(
            f"frames numbered {_listed(sides.frames)} and positions numbered "
            f"{_listed(sides.positions)} fit in two ways: the first position may belong to frame "
            f"{starts[0]} or {starts[-1]}",
            _settled_by(sides),
        )
    return chosen[0]


def _settled_by(sides: _Sides) -> str:
    """What says how numbers are to be read that may be read in two ways."""
    if sides.positions.counted:
        return (
            "give the number of the first position by --path position_index=N "
            "(paths.position_index)"
        )
    if sides.frames.counted:
        return "give the number of the first frame by --path frame_index=N (paths.frame_index)"
    return (
        "set paths.position_index (--path position_index=PATH), whose numbers are taken as they are"
    )


def _refuse_contradiction(sides: _Sides, known: NDArray[np.bool_]) -> None:
    """A list of positions without numbers tells nothing of frames beyond it."""
    if known.all():
        return
    n, m = len(known), len(sides.positions.values)
    times = f" x {sides.exposures} exposures" if sides.exposures > 1 and not sides.each else ""
    gaps = int(np.ptp(sides.frames.values)) + 1 - n
    if gaps:
        raise ScanError(
            f"{n} frames for {m} positions{times}, but {sides.frames.name}, {sides.frames.range}, "
            f"skip {gaps}",
            "set --path frame_index=0 (paths.frame_index) if the positions have the same gaps, "
            "so that frames are counted in order",
        )
    raise too_many(n, m, times)


def too_many(frames: int, positions: int, times: str = "") -> ScanError:
    """The error for more frames than positions."""
    remedy = "check paths.frames, paths.x and paths.y"
    several, rest = divmod(frames, max(positions, 1))
    if not rest:
        remedy = (
            f"if each position has {several} exposures, set frames_per_position={several} "
            f"(--frames-per-pos {several})"
        )
    return ScanError(
        f"Expected as many positions as frames. Got {frames} frames for {positions} "
        f"positions{times}", remedy,
    )  # fmt: skip


def _checked(at: Ints) -> Ints:
    """Places of readings; numbers that are not of acquisitions would spread them too far."""
    if len(at) and at.max() > 1_000_000 + 100 * len(at):
        raise ScanError(
            f"Expected acquisition numbers of {len(at)} positions. Got a range of {at.max() + 1}",
            "name a dataset of acquisition numbers by paths.position_index",
        )
    return at


def average(at: Ints, readings: Array) -> Array:
    """Mean of the finite ``readings`` (r,) or (r, 2) at each place; NaN where there is none."""
    columns = readings.reshape(len(readings), -1)
    finite = np.isfinite(columns).all(1)
    length = int(at.max()) + 1 if len(at) else 0
    count = np.bincount(at[finite], minlength=length)
    total = [np.bincount(at[finite], column[finite], length) for column in columns.T]
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.stack([np.where(count, one / count, np.nan) for one in total], axis=-1)
    return np.asarray(means.reshape(length, *readings.shape[1:]), np.float64)


def _note(frames: Numbers, positions: Numbers) -> str:
    note = f"frames and positions are joined by number ({_both(frames, positions)})"
    readings, different = len(positions.values), len(np.unique(positions.values))
    if different < readings:
        note += f"; {readings} readings of {different} positions are averaged"
    return note


def _both(frames: Numbers, positions: Numbers) -> str:
    names = [side.name for side in (frames, positions) if not side.counted]
    return " and ".join(dict.fromkeys(names))


def _listed(side: Numbers) -> str:
    return f"{side.range} ({side.name})"


def _left_out(sides: _Sides, known: NDArray[np.bool_], without_frame: NDArray[np.bool_]) -> str:
    """What has no counterpart, counted."""
    missing = [
        (sides.positions.values[without_frame], "position", "frame"),
        (sides.frames.values[~known], "frame", "position"),
    ]
    parts = [f"{_counted(np.unique(values), what)} without a {other}"
             for values, what, other in missing if values.size]  # fmt: skip
    by = _both(sides.frames, sides.positions)
    return f"left out by number ({by}): {' and '.join(parts)}" if parts else ""


def _counted(numbers: Ints, what: str) -> str:
    some = ", ".join(map(str, numbers[:6].tolist())) + (", …" if len(numbers) > 6 else "")
    return f"{len(numbers)} {what}{'s' if len(numbers) > 1 else ''} (number {some})"
