"""From what was measured to how far off each frame is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..arrays import Bools, Float32s, Floats, Ints, Reals
from .embedding import Embedding
from .features import Part
from .kernels import COLUMNS, COUNTED
from .scores import Around, local_z, neighbours

PICTURE = ("level", "residual", "apart", "step")
"""What is compared with the neighbours' of the embedded pictures."""

LEAST = {"row": 0.05, "column": 0.05, "without_count": 0.002}
LEAST_LOG = 0.005
"""Deviations of 1 are at least so much, however quiet the scan: pixels, a fraction of the pixels,
and half a percent of everything else."""

DARK, BRIGHT = 0.02, 0.9
"""A frame with less than this part of the counts of a bright frame, the quantile, has no beam."""

BLANK = 1e-4
"""The same of a frame that is lost wherever it is: it says nothing of the sample."""

BESIDE, FEWEST, MOSTLY, BRIGHTER, SHORT, CLOSE = 8, 3, 0.85, 10.0, 8, 3
"""Neighbours of a dark frame; how many of other times it takes, and the share of them that are
bright where the beam was lost; how much brighter than it; frames in a row that are no row; frames
between two dark ones that are of one run, and from its end to a turn of the stage."""

ENOUGH, EQUAL = 100, 1e-5
"""Counts of a frame that does not equal another by chance; relative error of sums of float32."""

ONE_SIDED = {
    "likeness": 1,
    "neighbours": 1,
    "without_count": 1,
    "change": -1,
    "residual": 1,
    "apart": 1,
    "step": -1,
}
"""Evidence that counts in one direction only: a frame cannot be too much like its neighbours, but
it can be too much like the one before."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured of all frames.

    Attributes
    ----------
    table
        (n, len(COLUMNS)), see :data:`kernels.COLUMNS`.
    without_count
        (n,) fraction of the good pixels that are saturated or not finite.
    small
        (n, 64) logarithm of the counts in 8×8 bins.
    slot
        (n,) which exposure of its position each is.
    monitor
        (n,) I0, where it is recorded.
    """

    table: Floats
    without_count: Floats
    small: Float32s
    slot: Ints
    monitor: Floats | None = None

    @classmethod
    def of(cls, parts: Sequence[Part], slot: Ints, monitor: Floats | None = None) -> Measured:
        """All parts, one after another."""
        return cls(
            np.concatenate([part.table for part in parts]),
            np.concatenate([part.spoiled for part in parts]),
            np.concatenate([part.small for part in parts]),
            slot,
            monitor,
        )

    def some(self, rows: Ints) -> Measured:
        """Of some frames, or of all in another order; without the monitor."""
        return Measured(
            self.table[rows], self.without_count[rows], self.small[rows], self.slot[rows]
        )

    def scaled(self, factor: Floats) -> Measured:
        """As if the light of each frame had been ``factor`` (n,) times as strong."""
        table = self.table.copy()
        table[:, [name in COUNTED for name in COLUMNS]] *= factor[:, None]
        small = np.log1p(np.expm1(self.small) * factor[:, None]).astype(np.float32)
        return replace(self, table=table, small=small)

    def column(self, name: str) -> Floats:
        """One of :data:`kernels.COLUMNS`."""
        values: Floats = self.table[:, COLUMNS.index(name)]
        return values


def features(measured: Measured, around: Ints) -> dict[str, Floats]:
    """What is compared: positions in pixels, everything else as the logarithm of a ratio."""
    total, usual = measured.column("total"), middle(measured.column("total"))
    highest = measured.column("maximum")
    found = {
        "total": _log(total / usual, 1e-3) if usual > 0 else total,
        "maximum": _log(highest / max(float(np.median(highest)), 1e-9), 1e-3),
        "row": measured.column("row"),
        "column": measured.column("column"),
        "row_variance": _log(measured.column("row_variance"), 1e-3),
        "column_variance": _log(measured.column("column_variance"), 1e-3),
        "contrast": _log(measured.column("contrast"), 1e-3),
        "likeness": _log(1 - measured.column("likeness"), 1e-4),
        "change": _log_step(measured.column("change")),
        "without_count": measured.without_count,
        "neighbours": _log(apart(measured.small, around, "mean"), 1e-3),
    }
    for ring in range(1, 5):
        part = np.divide(
            measured.column(f"ring_{ring}"), total, where=total > 0, out=np.full(len(total), np.nan)
        )
        found[f"ring_{ring}"] = _log(part, 1e-4)
    if measured.monitor is not None:
        level = middle(measured.monitor)
        if level > 0:
            found["monitor"] = _log(measured.monitor / level, 1e-3)
    return found


def deviations(measured: Measured, embedding: Embedding, around: Around) -> dict[str, Floats]:
    """(n,) robust z of everything that is compared, of :func:`features` and :func:`picture`.

    Positive is unusual where that has one direction.
    """
    found = features(measured, around.rows) | picture(embedding, around.rows)
    return {
        name: _one_sided(name, local_z(values, around, LEAST.get(name, LEAST_LOG)))
        for name, values in found.items()
    }


def _one_sided(name: str, z: Floats) -> Floats:
    sign = ONE_SIDED.get(name, 0)
    return np.maximum(z * sign, 0) if sign else z


def picture(embedding: Embedding, around: Ints) -> dict[str, Floats]:
    """What is compared of the embedded pictures."""
    place = embedding.place
    step = np.full(len(place), np.nan)
    step[1:] = np.linalg.norm(np.diff(place, axis=0), axis=1)
    return {
        "level": embedding.level,
        "residual": _log(embedding.residual, 1e-9),
        "apart": _log(apart(place, around, "root"), 1e-9),
        "step": _log_step(step),
    }


def no_beam(measured: Measured, share: float = DARK) -> Bools:
    """(n,) frames with less than a ``share`` of a bright frame of their slot."""
    total, dark = measured.column("total"), np.zeros(len(measured.table), np.bool_)
    for one in np.unique(measured.slot):
        rows = measured.slot == one
        dark[rows] = total[rows] < share * np.quantile(total[rows], BRIGHT)
    return dark


def beam_lost(measured: Measured, dark: Bools, positions_m: Floats) -> Floats:
    """(n,) how near each dark frame is to one without a beam: 1 and more, no absorber is there.

    Neighbours of other times are mostly bright then. Frames from one turn of the stage to another
    may be rows behind an absorber.
    """
    lost = np.zeros(len(dark))
    if not dark.any() or dark.all():
        return lost
    total = measured.column("total")
    run = _runs(dark)
    near = neighbours(positions_m, measured.slot, BESIDE)
    turns = _turns(positions_m)
    for one in np.unique(run[dark]).tolist():
        rows = np.flatnonzero(dark & (run == one))
        other = (run[near[rows]] != one) | ~dark[near[rows]]
        bright = ~dark[near[rows]] & (total[near[rows]] > BRIGHTER * total[rows, None])
        lost[rows] = bright.sum(axis=1) / np.maximum(other.sum(axis=1), FEWEST) / MOSTLY
        if len(rows) > SHORT and turns[rows[0]] and turns[rows[-1]]:
            lost[rows] = np.minimum(lost[rows], 0.99)
    return np.where(no_beam(measured, BLANK), 1.0, lost)


def repeated(measured: Measured, factor: Floats) -> Bools:
    """(n,) frames that are the frame before once more, bit by bit; none where all are one.

    ``factor`` (n,): what a monitor has multiplied them by since; where it differs, equal bins,
    centre of mass and contrast tell.
    """
    bins = np.expm1(measured.small.astype(np.float64)) / factor[:, None]
    shape = [measured.column(name) for name in ("row", "column", "contrast")]
    numbers = np.concatenate([bins, np.stack(shape, axis=1)], axis=1)
    equal = np.isclose(numbers[1:], numbers[:-1], rtol=EQUAL, atol=1e-9).all(axis=1)
    same = np.zeros(len(factor), np.bool_)
    same[1:] = np.where(factor[1:] == factor[:-1], measured.column("change")[1:] == 0, equal)
    enough = measured.column("total") / factor >= ENOUGH
    return np.asarray(same & enough & (not same[1:].all()))


def _runs(dark: Bools) -> Ints:
    """(n,) number of the run of dark frames that each is in or follows."""
    rows = np.flatnonzero(dark)
    begins = rows[np.concatenate([[True], np.diff(rows) > CLOSE])]
    return np.asarray(np.searchsorted(begins, np.arange(len(dark)), side="right"))


def _turns(positions_m: Floats) -> Bools:
    """(n,) near a turn of the stage by more than 60 degrees, or an end; none without rows."""
    steps = np.diff(positions_m, axis=0)
    size = np.maximum(np.linalg.norm(steps, axis=1), np.finfo(float).tiny)
    turning = (steps[1:] * steps[:-1]).sum(axis=1) < 0.5 * size[1:] * size[:-1]
    turns = np.ones(len(positions_m), np.bool_)
    turns[1:-1] = turning
    near = np.convolve(turns, np.ones(2 * CLOSE - 1), "same") > 0
    return near if turning.mean() < 0.5 else np.zeros(len(turns), np.bool_)


def apart(points: Reals, around: Ints, norm: str) -> Floats:
    """(n,) median distance of each point from its neighbours: mean |difference| or Euclid's."""
    out = np.empty(len(points))
    for start in range(0, len(points), 2000):
        part = slice(start, start + 2000)
        away = points[part, None] - points[around[part]]
        size = np.abs(away).mean(-1) if norm == "mean" else np.linalg.norm(away, axis=-1)
        out[part] = np.median(size, axis=1)
    return out


def middle(values: Floats) -> float:
    """Median of the finite values; 0 where there are none."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else 0.0


def _log(values: Floats, smallest: float) -> Floats:
    return np.asarray(np.log(np.maximum(values, 0) + smallest), np.float64)


def _log_step(values: Floats) -> Floats:
    """Logarithm of changes; none at all is a millionth of the usual one."""
    usual = middle(values)
    return _log(values / usual, 1e-6) if usual > 0 else np.full(len(values), np.nan)
