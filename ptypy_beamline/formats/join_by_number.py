"""Frames and positions that belong together by their acquisition numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import Bools, Floats, Ints
from ..errors import ScanError
from .acquisition_numbers import AcquisitionNumbers, average, refuse_repeats
from .matching import Match, Sides, choose, in_steps


@dataclass(frozen=True, eq=False)
class JoinedByNumber:
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
        (r,) index in ``positions`` of each reading.
    note
        How they were joined.
    left_out
        What has no counterpart, or empty.
    assumed
        How the numbers are taken, where that is not evident and nothing is left out, or empty.
    lost
        Positions have no frame, or miss some of their exposures.
    """

    positions: Floats
    numbers: Ints
    each: bool
    readings: Ints
    note: str
    left_out: str
    assumed: str
    lost: bool

    @property
    def is_in_order(self) -> bool:
        """Whether joining by count gives the same."""
        return all(
            np.array_equal(values, np.arange(len(values)))
            for values in (self.numbers, self.readings)
        )


def join(
    frames: AcquisitionNumbers,
    positions: AcquisitionNumbers,
    readings: Floats,
    exposures: int = 1,
    each: bool = False,
    growing: bool = False,
) -> JoinedByNumber:
    """Join frames and readings of positions by number.

    Parameters
    ----------
    frames, positions
        Numbers of the frames (n,) and of the readings (m,); not both ``counted``.
    readings
        (m, 2) positions; readings with the same number are averaged.
    exposures
        Of each position.
    each
        Positions that are counted are listed for each exposure.
    growing
        More frames will come, so that their first number decides.

    Raises
    ------
    ScanError
        Several frames have one number, or the numbers are ambiguous.
    """
    refuse_repeats(frames)
    sides = in_steps(Sides(frames, positions, exposures, each))
    match, rivals = choose(sides, growing)
    at, there = sides.groups(match)
    known = np.isin(at, there)
    first = sides.first(match)
    indices = positions.values - first
    if len(indices) and indices.max() > 1_000_000 + 100 * len(indices):
        raise ScanError(
            f"Expected acquisition numbers of {len(indices)} positions. Got a range of "
            f"{indices.max() + 1}",
            "name a dataset of acquisition numbers by paths.position_index",
        )
    left_out = _left_out(sides, match, rivals, known, ~np.isin(there, at))
    return JoinedByNumber(
        average(indices, readings),
        np.where(known, sides.frames.values + match.shift - first * match.per, -1),
        match.per == 1,
        indices,
        _note(sides),
        left_out,
        _shifted(sides, match) or ("" if left_out else _uncertain(sides, match, rivals)),
        bool(not np.isin(there, at).all() or sides.unmatched(match)[1]),
    )


def from_the_first(
    frames: AcquisitionNumbers, positions: AcquisitionNumbers, exposures: int, each: bool
) -> tuple[AcquisitionNumbers, list[str]]:
    """Numbers of counted ``positions`` of a scan that is being written, and warnings.

    They are settled by the first frames and do not change later: positions that still lack frames
    or exposures may get them, so only frames without a position count against a match.

    Raises
    ------
    ScanError
        Several matches are equally good.
    """
    sides = in_steps(Sides(frames, positions, exposures, each))
    placed = {match: int(np.isin(*sides.groups(match)).sum()) for match in sides.matches()}
    best = [match for match, count in placed.items() if count == max(placed.values())]
    usual = [match for match in best if match.shift == sides.preferred()] or best
    first = sides.only_start(usual)
    warnings = [
        f"{frames.name} is {_taken_from(first, other)} (paths.position_index)"
        for other in sorted({sides.number_of_first(match) for match in best} - {first})
    ]
    return AcquisitionNumbers.counting(len(positions.values), first), warnings


def frame_of(
    frames: AcquisitionNumbers, positions: AcquisitionNumbers, settled_by: str
) -> tuple[Ints, str]:
    """(m,) number of each reading's frame, which may not be there; ``JoinedByNumber.assumed``.

    Raises
    ------
    ScanError
        As :func:`join`, with the remedy ``settled_by`` if two matches are equally good.
    """
    refuse_repeats(frames, "")
    sides = Sides(frames, positions, 1, each=True)
    match, _ = choose(sides, settled_by=settled_by)
    return positions.values - match.shift, _shifted(sides, match)


APART = 3.0
"""Readings of one number farther apart than so many steps from number to number are not of one
position, not even if the stage moves meanwhile."""


def scattered(joined: JoinedByNumber, readings: Floats, number: Ints) -> str:
    """The warning where readings (r, 2) of one ``number`` (r,) are far apart, or empty."""
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


def _note(sides: Sides) -> str:
    note = f"frames and positions are joined by number ({_both(sides)})"
    values = sides.positions.values
    if (different := len(np.unique(values))) < len(values):
        note += f"; {len(values)} readings of {different} positions are averaged"
    return note


def _both(sides: Sides) -> str:
    names = [side.name for side in (sides.frames, sides.positions) if not side.counted]
    return " and ".join(dict.fromkeys(names))


def _left_out(
    sides: Sides, match: Match, rivals: list[int], known: Bools, without_frame: Bools
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
    if not parts:
        return ""
    return (
        f"left out by number ({_both(sides)}{_taken(sides, match, rivals)}): {' and '.join(parts)}"
    )


def _taken(sides: Sides, match: Match, rivals: list[int]) -> str:
    """How ambiguous numbers are taken, and what to set if that is wrong."""
    if not rivals:
        return ""
    uncertain = sides.frames.assumed or sides.frames.first is None
    if uncertain and sides.positions.counted and not sides.frames.declared:
        return f", {_taken_from(sides.number_of_first(match), rivals[0])}"
    declared = sides.frames.declared or sides.positions.declared
    return ", whose numbers are taken as they are" if declared else ""


def _taken_from(first: int, other: int) -> str:
    lost = " and the first frame was lost" if other < first else ""
    return (
        f"taken to count from {first}; if it counts from {other}{lost}, set --path "
        f"position_index={other}"
    )


def _uncertain(sides: Sides, match: Match, rivals: list[int]) -> str:
    """The assumed first number of the frames, where positions miss exposures in any case."""
    taken = _taken(sides, match, rivals) if sides.unmatched(match)[1] else ""
    return f"frames go by number ({_both(sides)}{taken})" if taken else ""


def _shifted(sides: Sides, match: Match) -> str:
    """Note that unequal numbers match, unless one side evidently counts from 0, one from 1."""
    frames, positions = sides.frames, sides.positions
    low, origin = sides.low, sides.origin
    evident = {low, origin} <= {0, 1, frames.per_step} or positions.first is not None
    if frames.counted or positions.counted or match.per > 1 or not match.shift or evident:
        return ""
    return (
        f"{positions.listed('positions')} are taken as those of {frames.listed('frames')}: number "
        f"{origin} for frame {origin - match.shift}"
    )


def _counted(numbers: Ints, what: str) -> str:
    some = ", ".join(map(str, numbers[:6].tolist())) + (", …" if len(numbers) > 6 else "")
    return f"{len(numbers)} {what}{'s' if len(numbers) > 1 else ''} (number {some})"
