"""Which number of a frame belongs to which position, where either may count from 0 or 1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..arrays import Bools, Ints
from ..errors import ScanError
from .acquisition_numbers import AcquisitionNumbers
from .exposure_groups import of_exposures, too_many


@dataclass(frozen=True)
class Match:
    """(Number of a frame + ``shift``) // ``per`` = number of its position."""

    shift: int
    per: int


@dataclass(frozen=True, eq=False)
class Sides:
    """The numbers that are to be matched.

    Attributes
    ----------
    frames, positions
        Numbers of the frames, and of the readings of positions.
    exposures
        Of each position.
    each
        Positions that are counted are listed for each exposure.
    """

    frames: AcquisitionNumbers
    positions: AcquisitionNumbers
    exposures: int
    each: bool

    @cached_property
    def low(self) -> int:
        """The lowest number of a frame."""
        return int(self.frames.values.min())

    @cached_property
    def origin(self) -> int:
        """The lowest number of a position."""
        return int(self.positions.values.min())

    def matches(self) -> Iterator[Match]:
        """All that are possible."""
        if self.positions.counted:
            frames_per_number = {1 if self.each else self.exposures}
        elif self.frames.literal:
            frames_per_number = {1}
        else:
            frames_per_number = {1, self.exposures}
        for per in sorted(frames_per_number):
            for shift in self._shifts(per):
                yield Match(shift, per)

    def _shifts(self, per: int) -> list[int]:
        """Either side may count from 0 or 1; a counter that was not reset, from anywhere."""
        frames, positions, step = self.frames, self.positions, self.frames.per_step
        low, origin = self.low, self.origin
        if positions.counted and positions.declared:
            return [origin * per - origin]
        if positions.counted:
            known = [0, step] if frames.first is None else [0, frames.first]
            known = known if low else [0]  # a counter from 1 has no 0
            last = (int(positions.values.max()) + 1) * per - 1 - int(frames.values.max())
            from_anywhere = [-low, last] if last < -known[-1] and low > known[-1] else []
            return [*(-first for first in known), *from_anywhere]
        if frames.literal:
            return [0]
        if frames.counted:
            return [0] if frames.declared else [0, 1, origin]
        if positions.first is not None:
            return [positions.first - first for first in ((step, low) if low else (0,))]
        from_0_or_1 = (origin * per - first for origin in (0, 1) for first in (0, step))
        return [*dict.fromkeys((0, step, -step, 1, 1 - step, *from_0_or_1))]

    def preferred(self) -> int | None:
        """The shift that is chosen among equally good ones."""
        frames, positions = self.frames, self.positions
        if not (frames.counted or positions.counted):
            literal = frames.declared or positions.declared or self.low == self.origin == 0
            return 0 if literal else None
        if frames.counted:
            return 0 if self.origin == 0 else None
        if frames.first is None or (frames.assumed and self.low > frames.first):
            return None
        return -frames.first

    def literal(self) -> tuple[Match | None, bool]:
        """The match that takes numbers of several exposures literally, and whether it is certain.

        Equal numbers go together; frames that begin with 0 or 1 begin with the first position.
        """
        frames, positions, low = self.frames, self.positions, self.low
        if self.exposures == 1 or frames.counted:
            return None, False
        if not positions.counted:
            return Match(0, 1), low == self.origin or frames.declared or positions.declared
        if positions.declared or low > (frames.first or frames.per_step):
            return None, False
        return Match(-low, 1 if self.each else self.exposures), low == frames.first

    @property
    def counts_from(self) -> int | None:
        """Number that the frames certainly begin with; None = it is assumed, or unknown."""
        return None if self.frames.assumed else self.frames.first

    @property
    def begins_late(self) -> bool:
        """Whether frames were lost before the first of a list, wherever it counts from."""
        if not self.positions.counted or self.positions.declared or self.counts_from is not None:
            return False
        return self.low > (self.frames.first or self.frames.per_step)

    def first(self, match: Match) -> int:
        """Number that becomes 0: of the first position, or of the first exposure of its group."""
        first = self.origin
        if match.per > 1 or self.exposures == 1 or self.positions.counted:
            return first  # a list begins with the first exposure of a position
        start = match.shift + (self.low if self.frames.first is None else self.frames.first)
        return start if first - len(self.positions.values) < start < first else first

    def groups(self, match: Match) -> tuple[Ints, Ints]:
        """Position of each frame and of each reading, by number, from 0."""
        at, first = self.frames.values + match.shift, self.first(match)
        if match.per > 1:
            return at // match.per - first, self.positions.values - first
        return (at - first) // self.exposures, (self.positions.values - first) // self.exposures

    def unmatched(self, match: Match) -> tuple[int, int]:
        """Frames without a position, and positions without some of their exposures.

        Where every frame has a position, complete positions show which exposure is which: in a
        scan that was stopped, or that lost a position, none is incomplete.
        """
        at, there = self.groups(match)
        group, exposures = np.unique(at, return_counts=True)
        listed = np.isin(group, there)
        beyond = np.where(listed, exposures - self.exposures, exposures).clip(0)
        return int(beyond.sum()), int((listed & (exposures < self.exposures)).sum())

    def least_unmatched(self) -> tuple[int, int]:
        """:meth:`unmatched` of the best match."""
        return min(self.unmatched(match) for match in self.matches())

    def number_of_first(self, match: Match) -> int:
        """What the frames' numbers call the first position."""
        return self.first(match) * match.per - match.shift

    @property
    def listed(self) -> str:
        """For messages."""
        return f"{self.frames.listed('frames')} and {self.positions.listed('positions')}"

    def only_start(self, matches: Sequence[Match], settled_by: str = "") -> int:
        """The number of the first position, on which all ``matches`` agree.

        Raises
        ------
        ScanError
            They do not; the remedy is ``settled_by``, else what usually settles it.
        """
        start, *others = sorted({self.number_of_first(match) for match in matches})
        if not others:
            return start
        remedy = (
            "set paths.position_index (--path position_index=PATH), whose numbers are taken as "
            "they are"
        )
        if self.positions.counted:
            remedy = (
                f"give the number of the first position by --path position_index={start} or "
                f"--path position_index={others[-1]} (paths.position_index)"
            )
        elif self.frames.counted:
            remedy = (
                "give the number of the first frame by --path frame_index=N (paths.frame_index)"
            )
        ways = "two" if len(others) == 1 else "several"
        possible = ", ".join(map(str, [start, *others[:-1]]))
        raise ScanError(
            f"{self.listed} fit in {ways} ways: the first position may belong to frame {possible} "
            f"or {others[-1]}",
            settled_by or remedy,
        )


def in_steps(sides: Sides) -> Sides:
    """Numbers that go up in steps, as 0, 10, 20, divided by the step if that fits a list better.

    Raises
    ------
    ScanError
        Both fit equally well: frames between were lost, or they are numbered in steps.
    """
    frames = sides.frames
    steps = np.diff(np.unique(frames.values))
    step = int(np.gcd.reduce(steps)) // frames.per_step if len(steps) > 1 else 1
    if step <= 1 or not sides.positions.counted or frames.counted or frames.first is not None:
        return sides
    values = frames.values // (step * frames.per_step) * frames.per_step
    both = [sides, replace(sides, frames=replace(frames, values=values))]
    as_they_are, by_step = (numbers.least_unmatched() for numbers in both)
    if as_they_are == by_step:
        raise ScanError(
            f"{frames.listed('frames')} in steps of {step} and "
            f"{len(sides.positions.values)} positions fit in two ways",
            "give the number of the first position by --path position_index=N "
            "(paths.position_index), or count the frames in order by --path frame_index=0",
        )
    return both[by_step < as_they_are]


def choose(sides: Sides, growing: bool = False, settled_by: str = "") -> tuple[Match, list[int]]:
    """The match that leaves the fewest frames without a position, and its rivals.

    Among several, it is the one that leaves most positions complete, unless the frames' first
    number is known, or so late that the first frames were lost wherever they count from, or the
    numbers can be taken literally. Rivals are the numbers of the first position by other matches
    that leave as few.

    Raises
    ------
    ScanError
        Two match equally well (``settled_by``: what the message gives as remedy), or none does.
    """
    _refuse_columns(sides)
    tried = {match: sides.unmatched(match) for match in sides.matches()}
    least = min(tried.values())
    acceptable = [match for match, (beyond, _) in tried.items() if beyond == least[0]]
    best = [match for match, unmatched in tried.items() if unmatched == least]
    eligible = best if sides.counts_from is None and not sides.begins_late else acceptable
    preferred = [match for match in eligible if match.shift == sides.preferred()]
    chosen = preferred or (acceptable if sides.begins_late else best)
    literal, certain = sides.literal()
    if literal in acceptable:
        chosen = [literal] if certain else list(dict.fromkeys([*chosen, literal]))
    if not any(np.isin(*sides.groups(match)).any() for match in best):
        raise ScanError(
            f"{sides.listed} have no number in common",
            settled_by or "check paths.frame_index and paths.position_index",
        )
    if sides.positions.counted and not growing:
        known = [np.isin(*sides.groups(match)) for match in chosen]
        _refuse_contradiction(sides, max(known, key=np.sum))
    start = sides.only_start(chosen, settled_by)
    others = {sides.number_of_first(match) for match in acceptable} - {start}
    return chosen[0], sorted(others)


def _refuse_columns(sides: Sides) -> None:
    """Refuse names by row and column, which show lost frames only if every column has some.

    They are refused for a raster of other columns, and for a list that one more column fits, too.
    """
    frames, k, listed = sides.frames, sides.exposures, len(np.unique(sides.positions.values))
    if not frames.columns:
        return
    rows, raster = int(np.ptp(frames.values // frames.per_step)) + 1, sides.positions.columns
    with_another = rows * (frames.per_step + frames.per_step // frames.columns)
    known = frames.per_step in (raster, raster * k, k) if raster else with_another != listed * k
    if known and (raster or with_another != listed):
        return
    there = f"{listed // raster} x {raster}" if raster else f"{listed}"
    raise ScanError(
        f"{rows} rows x {frames.columns} columns by the file names, for {there} positions: which "
        "column each frame belongs to is not known",
        "number the files one by one, or give the frames' numbers by --path "
        "frame_index=OTHER.h5::/PATH (paths.frame_index)",
    )


def _refuse_contradiction(sides: Sides, known: Bools) -> None:
    """Refuse frames beyond the end of a list of positions without numbers."""
    if known.all():
        return
    n, m = len(known), len(sides.positions.values)
    times = "" if sides.each else of_exposures(sides.exposures)
    gaps = int(np.ptp(sides.frames.values)) + 1 - n
    if gaps:
        raise ScanError(
            f"{n} frames for {m} positions{times}, but {sides.frames.name}, {sides.frames.range}, "
            f"skip {gaps}",
            "set --path frame_index=0 (paths.frame_index) if the positions have the same gaps, "
            "so that frames are counted in order",
        )
    raise too_many(n, m, times)
