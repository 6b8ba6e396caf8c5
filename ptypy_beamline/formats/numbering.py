"""Frames and positions that belong together by their acquisition numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

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
        raise ScanError(
            f"Expected whole acquisition numbers in {name}. Got {values[wrong[0]]:g} "
            f"at entry {wrong[0]}",
            "correct it, or name another dataset",
        )
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
        return all(
            np.array_equal(one, np.arange(len(one))) for one in (self.numbers, self.readings)
        )


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
            known = [0, step] if frames.first is None else [0, frames.first]
            known = known if low else [0]  # who counts from 1 has no 0
            last = (int(positions.values.max()) + 1) * per - 1 - int(frames.values.max())
            from_anywhere = [-low, last] if last < -known[-1] and low > known[-1] else []
            return [*(-first for first in known), *from_anywhere]
        if frames.counted:
            return [0] if frames.declared else [0, 1, origin]
        if positions.first is not None:
            return [positions.first - first for first in ((step, low) if low else (0,))]
        return [0, step, -step]

    def preferred(self) -> int | None:
        """The shift that decides between ways that are as good."""
        frames, positions = self.frames, self.positions
        low, origin = int(frames.values.min()), int(positions.values.min())
        if not (frames.counted or positions.counted):
            literal = frames.declared or positions.declared or low == origin == 0
            return 0 if literal else None
        if frames.counted and not positions.counted:
            return 0 if origin == 0 else None
        return None if frames.first is None else -frames.first

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
    frames = _in_steps(frames, _Sides(frames, positions, exposures, each))
    sides = _Sides(frames, positions, exposures, each)
    match = _chosen(sides, growing)
    at, there = sides.groups(match)
    known = np.isin(at, there)
    first = sides.first(match)
    return Joined(
        average(_checked(positions.values - first), readings),
        np.where(known, frames.values + match.shift - first * match.per, -1),
        match.per == 1,
        positions.values - first,
        _note(frames, positions),
        _left_out(sides, match, known, ~np.isin(there, at)),
        bool(not np.isin(there, at).all()),
    )


def _in_steps(frames: Numbers, sides: _Sides) -> Numbers:
    """Numbers that go up in steps, as 0, 10, 20, counted in these where that fits a list better.

    Raises
    ------
    ScanError
        Both ways fit as well: every other frame was lost, or they are numbered so.
    """
    steps = np.diff(np.unique(frames.values))
    step = int(np.gcd.reduce(steps)) // frames.per_step if len(steps) > 1 else 1
    if step <= 1 or not sides.positions.counted or frames.counted or frames.first is not None:
        return frames
    by_step = replace(frames, values=frames.values // (step * frames.per_step) * frames.per_step)
    both = [replace(sides, frames=one) for one in (frames, by_step)]
    as_they_are, in_steps = (min(s.unmatched(m) for m in s.matches()) for s in both)
    if as_they_are == in_steps:
        raise ScanError(
            f"frames numbered {_listed(frames)} in steps of {step} and "
            f"{len(sides.positions.values)} positions fit in two ways",
            "give the number of the first position by --path position_index=N "
            "(paths.position_index), or count the frames in order by --path frame_index=0",
        )
    return by_step if in_steps < as_they_are else frames


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
        Two ways are as good, or none is any.
    """
    tried = {match: sides.unmatched(match) for match in sides.matches()}
    best = [match for match, unmatched in tried.items() if unmatched == min(tried.values())]
    preferred = sides.preferred()
    chosen = [match for match in best if match.shift == preferred] or best
    if not any(np.isin(*sides.groups(match)).any() for match in best):
        raise ScanError(
            f"frames numbered {_listed(sides.frames)} and positions numbered "
            f"{_listed(sides.positions)} have no number in common",
            "check paths.frame_index and paths.position_index",
        )
    if sides.positions.counted and not growing:
        known = [np.isin(*sides.groups(match)) for match in chosen]
        _refuse_contradiction(sides, max(known, key=np.sum))
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
    several = -(-frames // max(positions, 1))
    if positions and several > 1 and frames > (several - 0.5) * positions:
        stopped = "" if frames == several * positions else " and the last ones are lacking"
        remedy = (
            f"if each position has {several} exposures{stopped}, set "
            f"frames_per_position={several} (--frames-per-pos {several})"
        )
    return ScanError(
        f"Expected as many positions as frames. Got {frames} frames for {positions} "
        f"positions{times}",
        remedy,
    )


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


APART = 3.0
"""Readings of one number that differ by more than so many steps from number to number are no
readings of one position, not even of a stage that moves meanwhile."""


def scattered(joined: Joined, readings: Array, number: Ints) -> str:
    """What to say where readings (r, 2) of one ``number`` (r,) lie far apart, or empty."""
    away = np.linalg.norm(readings - joined.positions[joined.readings], axis=1)
    known = joined.positions[np.isfinite(joined.positions).all(1)]
    steps = np.linalg.norm(np.diff(known, axis=0), axis=1)
    if not steps.size or not (np.nan_to_num(away) > APART * np.median(steps)).any():
        return ""
    worst = int(np.nanargmax(away))
    return (
        f"readings of number {number[worst]} lie up to {away[worst]:.3g} m from their mean: "
        "they may be of several positions"
    )


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


def _left_out(
    sides: _Sides, match: _Match, known: NDArray[np.bool_], without_frame: NDArray[np.bool_]
) -> str:
    """What has no counterpart, counted."""
    lost = sides.positions.values[without_frame]
    if sides.positions.counted and not sides.frames.counted:  # as the frames' numbers call them
        lost = lost * match.per - match.shift
    missing = [(lost, "position", "frame"), (sides.frames.values[~known], "frame", "position")]
    parts = [
        f"{_counted(np.unique(values), what)} without a {other}"
        for values, what, other in missing
        if values.size
    ]
    by = _both(sides.frames, sides.positions)
    if parts and sides.positions.counted and sides.frames.first is not None:
        by += f", which counts from {-match.shift}: if not, set --path position_index=N"
    return f"left out by number ({by}): {' and '.join(parts)}" if parts else ""


def _counted(numbers: Ints, what: str) -> str:
    some = ", ".join(map(str, numbers[:6].tolist())) + (", …" if len(numbers) > 6 else "")
    return f"{len(numbers)} {what}{'s' if len(numbers) > 1 else ''} (number {some})"
