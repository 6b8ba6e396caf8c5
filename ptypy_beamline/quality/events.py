"""Faults of many frames in a row: what happened to the beam or the stage, from when to when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from ..arrays import Bools, Floats, Ints
from ..planning.implausible import stuck
from ..planning.rejects import INTENSITY
from .evidence import Measured, no_beam
from .scores import SIGMA, Around
from .steps import ROBUST, steps, unforetold

FLOATING = "let PtyPy's ML fit it (floating_intensities=True of the engine)"

FEWEST = 100
"""Frames of a scan in which events are looked for."""

DUMP, GAP, DARK, LEAK, BESIDE = 3, 2, 0.8, 0.93, 6
"""Dark frames in a row that are a dump; bright ones between them, and share that is dark at least;
counts of the frames around a dump over those farther away, of an absorber less; how many frames are
around each."""

DIM, WELL_LIT = 0.25, 0.8
"""Frames with less than this part of the counts of a well lit one, the quantile, say little."""

STRIPS, BINS = 4, 8
"""Parts of the sample and of the time that must agree on a trend."""
AGREE, STEADY, STRAIGHT = 0.65, 0.5, 0.2
"""Share of the trend that the least strip has, and the median change from bin to bin; largest root
mean square from a straight line, over the trend."""
DECAY, DRIFT_PX = 0.3, 1.5
"""The least |log ratio|, and pixels, from the first frame to the last."""

ENDS = 6
"""The beam must be elsewhere in the last frames, one of so many, than in the first ones."""

FLICKER, QUIET, TYPICAL = 0.035, 0.1, 0.3
"""The least standard deviation of the intensity from frame to frame in the quietest part of the
sample, this share of the scan; in which part it is measured, where the least would be by chance."""
NEAR, FAR = 8, 24
"""Nearest neighbours, and those beyond them up to so many."""
GROWS, REPEATS, UNLIKE, FOLLOWS = 1.3, 0.8, 0.18, 0.72
"""What is left of the counts by far neighbours over that by near ones, from which it is the sample,
and below which that repeats itself; change of the shape, as the relative standard deviation of the
ratio of two pictures, beyond which nothing is known of the counts; share of what is left of the
counts that the shape does not foretell, below which they follow it."""

STILL, CHANCE, SAME = 40, 5.0, 1.2
"""Frames in a row that are alike; sigma of chi square up to which two are, and chi square up to
which all are like their mean (1 by photon noise)."""
OTHER, STEPS_AWAY, MOST = 2.0, 2.5, 0.6
"""Chi square over that of two alike from which two are not; how many steps away a frame is beside
another; the share of a run that is unlike those beside it."""


WORDS = {
    "dump": "no beam",
    "step": "beam intensity {:.2f} of the usual",
    "drift": "beam drifted by {:.1f} px on the detector",
    "flicker": "beam intensity flickers by {:.1%} from frame to frame",
    "motor": "stage stood still, all frames are alike",
}

OF_INTENSITY = ("step", "decay", "flicker")
"""Kinds that a monitor may make up for, or bring about."""


@dataclass(frozen=True)
class Event:
    """Something that happened to raw frames ``first`` to ``last``.

    Attributes
    ----------
    kind
        ``dump``, ``step``, ``decay``, ``drift``, ``flicker`` or ``motor``.
    first, last
        Raw frames.
    amount
        Intensity over the usual one (dump, step), at the end over that at the start (decay), pixels
        (drift), standard deviation over the mean (flicker), frames (motor).
    of_monitor
        Whether it is the applied I0 that changed so, and not the counts.
    """

    kind: str
    first: int
    last: int
    amount: float
    of_monitor: bool = False

    @property
    def what(self) -> str:
        """In words, with the frames."""
        if self.of_monitor:
            words = "the I0 that is applied changes, the counts do not"
        elif self.kind == "decay":
            way = "fell" if self.amount < 1 else "rose"
            words = f"beam intensity {way} slowly by {abs(1 - self.amount):.0%}"
        else:
            words = WORDS[self.kind].format(self.amount)
        return f"frames {self.first} to {self.last}: {words}"

    def remedy_of(self, folder: str | Path, recorded: bool) -> str:
        """What there is to do, as one types it.

        ``folder``: where quality control has written; ``recorded``: whether the file has an I0.
        """
        if self.of_monitor:
            return "leave the monitor off"
        reject = f"leave them out (--reject {self.first}-{self.last})"
        estimate = Path(folder) / INTENSITY
        file = "the recorded I0 (--monitor file), or by " if recorded else ""
        scale = f"scale by {file}this estimate (--monitor {estimate})"
        if self.kind in ("dump", "motor"):
            return reject
        if self.kind == "drift":
            return "shift each frame to a common centre of mass (--align com)"
        if self.kind == "flicker":
            if not recorded:
                return FLOATING
            return f"scale by the recorded I0 (--monitor file); if that does not help, {FLOATING}"
        return scale if self.kind == "decay" else f"{scale}, or {reject}"

    def record(self) -> dict[str, Any]:
        """For a file."""
        return {**asdict(self), "what": self.what}


def intensity(found: Sequence[Event], total: int) -> Floats:
    """(total,) intensity of the beam at each raw frame, as the events have it: 1 is the usual.

    NaN while there was no beam. Flicker is not in it, nor what only the monitor did.
    """
    beam = np.ones(total)
    for event in (one for one in found if not one.of_monitor):
        rows = slice(event.first, event.last + 1)
        if event.kind == "dump":
            beam[rows] = np.nan
        elif event.kind == "step":
            beam[rows] *= event.amount
        elif event.kind == "decay":
            beam[rows] *= event.amount ** np.linspace(0, 1, event.last - event.first + 1)
    return beam


def events(
    measured: Measured,
    positions_m: Floats,
    frames: Ints,
    factor: Floats,
) -> list[Event]:
    """What happened during a scan, in the order of the frames.

    Parameters
    ----------
    measured
        (n) frames that were looked at.
    positions_m
        (n, 2) where they were taken, as the file says.
    frames
        (n,) their raw numbers.
    factor
        (n,) by what a monitor has multiplied their counts.
    """
    order = np.argsort(frames, kind="stable")
    if len(order) < FEWEST or np.ptp(positions_m, axis=0).max() == 0:
        return []
    view = measured.some(order)
    found = _found(view, positions_m[order])
    if np.any(factor != factor[0]) and any(one.kind in OF_INTENSITY for one in found):
        counted = _found(view.scaled(1 / factor[order]), positions_m[order])
        found = [replace(one, of_monitor=not _is_among(one, counted)) for one in found]
    raw = frames[order]
    named = [replace(one, first=int(raw[one.first]), last=int(raw[one.last])) for one in found]
    return sorted(named, key=lambda one: (one.first, one.last))


def _is_among(event: Event, others: Sequence[Event]) -> bool:
    """Whether it is of the beam: no change of intensity, or counted as such, too."""

    def both(other: Event) -> int:
        return min(event.last, other.last) - max(event.first, other.first) + 1

    return event.kind not in OF_INTENSITY or any(
        one.kind in OF_INTENSITY and 2 * both(one) > event.last - event.first + 1 for one in others
    )


def _found(seen: Measured, positions_m: Floats) -> list[Event]:
    """By rows, in the order of time."""
    total = _of_slots(seen)
    dark = no_beam(seen)
    if dark.all():
        return []
    dumps = list(_dumps(seen, dark, positions_m))
    still = list(_still(seen, dark, positions_m))
    usable = ~dark
    for event in still:
        usable[event.first : event.last + 1] = False
    around = Around.of(positions_m, np.where(dark, -1, seen.slot))
    log_counts = np.log(np.maximum(total, 1))
    jumps = steps(around, log_counts, 1 / np.maximum(total, 1), _shape(seen), usable)
    for jump in jumps:
        log_counts[jump.first : jump.last + 1] -= jump.log_ratio
    usable &= _well_lit(log_counts, usable)
    clear = usable & usable[around.rows].all(axis=1)
    return [
        *dumps,
        *still,
        *(Event("step", one.first, one.last, float(np.exp(one.log_ratio))) for one in jumps),
        *_trends(seen, positions_m, log_counts, usable),
        *_flicker(seen, positions_m, around, log_counts, clear),
    ]


def _of_slots(seen: Measured) -> Floats:
    """(n,) counts of each; those of exposures of other times as if they were as long."""
    total: Floats = seen.column("total").copy()
    for one in np.unique(seen.slot)[1:]:
        rows, first = seen.slot == one, seen.slot == seen.slot.min()
        usual = float(np.median(total[rows]))
        total[rows] *= float(np.median(total[first])) / usual if usual > 0 else 1
    return total


def _well_lit(log_counts: Floats, usable: Bools) -> Bools:
    """(n,) frames that are not behind an absorber."""
    if not usable.any():
        return usable
    return np.asarray(log_counts > np.log(DIM) + np.quantile(log_counts[usable], WELL_LIT))


def _shape(seen: Measured) -> Floats:
    """(n, k) numbers that the strength of the light does not change."""
    total = np.maximum(seen.column("total"), 1)
    rings = [np.sqrt(np.maximum(seen.column(f"ring_{k}"), 0) / total) for k in range(1, 5)]
    wide = [
        np.log(np.maximum(seen.column(name), 0) + 1e-3)
        for name in ("row_variance", "column_variance")
    ]
    return np.asarray(np.nan_to_num(np.stack([*rings, *wide], axis=1)))


def _dumps(seen: Measured, dark: Bools, positions_m: Floats) -> Iterator[Event]:
    """Dark frames in a row around which it is as bright as elsewhere."""
    total = seen.column("total")
    for first, last in _runs(dark, GAP):
        inside = np.arange(first, last + 1)
        outside = np.flatnonzero(~dark)
        dense = last - first + 1 >= DUMP and dark[inside].mean() >= DARK
        if not dense or len(outside) < 3 * BESIDE:
            continue
        _, beside = cKDTree(positions_m[outside]).query(positions_m[inside], BESIDE)
        rim = outside[np.unique(beside)]
        others = np.setdiff1d(outside, rim)
        if len(others) < BESIDE:
            continue
        _, beyond = cKDTree(positions_m[others]).query(positions_m[rim], BESIDE)
        ratio = total[rim] / np.median(total[others[beyond]], axis=1)
        if np.median(ratio) > LEAK:
            usual = float(np.median(total[rim]))
            yield Event("dump", first, last, float(np.median(total[inside])) / usual)


def _runs(flags: Bools, gap: int = 0) -> list[tuple[int, int]]:
    """First and last of each run; up to ``gap`` others between are of it."""
    rows = np.flatnonzero(flags)
    if not len(rows):
        return []
    breaks = np.flatnonzero(np.diff(rows) > gap + 1)
    begins, ends = rows[np.r_[0, breaks + 1]], rows[np.r_[breaks, len(rows) - 1]]
    return list(zip(begins.tolist(), ends.tolist(), strict=True))


def _still(seen: Measured, dark: Bools, positions_m: Floats) -> Iterator[Event]:
    """Frames in a row that are alike, and unlike others that were taken beside them.

    Where positions stand still, too, loading warns of it.
    """
    counts = np.expm1(seen.small.astype(np.float64))
    bins = max(int((counts.mean(0) > 0.5).sum()), 1)
    near = 1 + CHANCE * np.sqrt(2 / bins)
    alike = np.concatenate([[False], _chi(counts[1:], counts[:-1]) < near])
    there = {row for start, stop in stuck(positions_m) for row in range(start, stop)}
    reach = STEPS_AWAY * float(np.median(cKDTree(positions_m).query(positions_m, 2)[0][:, 1]))
    for start, last in _runs(alike & ~dark):
        first = start - 1
        run = np.array([row for row in range(first, last + 1) if row not in there])
        if len(run) < STILL:
            continue
        others = np.setdiff1d(np.flatnonzero(~dark), np.arange(first - 2, last + 3))
        if len(others) < FEWEST // 2:
            continue
        mean = counts[run].mean(0)
        if np.mean(_chi(counts[run], mean[None], len(run))) > SAME:
            continue
        away, which = cKDTree(positions_m[others]).query(positions_m[run])
        beside = counts[others[which]]
        light = beside.sum(1, keepdims=True) / max(mean.sum(), 1)
        unlike = (_chi(beside, mean[None] * light, len(run)) > OTHER * near) & (away < reach)
        if unlike.mean() > MOST:
            rows = run[np.flatnonzero(unlike)]
            yield Event("motor", max(int(rows[0]) - 1, first), int(rows[-1]), float(len(run)))


def _chi(one: Floats, other: Floats, number: int = 1) -> Floats:
    """(n,) chi square a bin of counts against the mean of ``number`` others; 1 of alike ones."""
    variance = (one + number * other) / number  # of the difference, if both have one mean
    lit = variance > 0
    square = np.divide((one - other) ** 2, variance, where=lit, out=np.zeros(lit.shape))
    return np.asarray(square.sum(1) / np.maximum(lit.sum(1), 1))


def _trends(
    seen: Measured, positions_m: Floats, log_counts: Floats, usable: Bools
) -> Iterator[Event]:
    """What changes slowly all through the scan, wherever the beam is on the sample."""
    if usable.sum() < FEWEST // 2:
        return
    strips = _strips(positions_m)
    fall, last = trend(log_counts, strips, usable), len(usable) - 1
    if abs(fall) > DECAY:
        yield Event("decay", 0, last, float(np.exp(fall)))
    centres = np.stack([np.nan_to_num(seen.column(name)) for name in ("row", "column")])
    moved = np.array([trend(centre, strips, usable) for centre in centres])
    way = float(np.hypot(*moved))
    # A part of the sample that bends the beam moves it and lets it come back.
    ends = len(usable) // ENDS
    apart = np.median(centres[:, -ends:], axis=1) - np.median(centres[:, :ends], axis=1)
    if way > DRIFT_PX and float(apart @ moved) > way**2 / 2:
        yield Event("drift", 0, last, way)


def _strips(positions_m: Floats) -> Ints:
    """(n,) part of the sample each is in, such that each part is visited all through the scan."""
    away = positions_m - positions_m.mean(0)
    time = np.linspace(-1, 1, len(away))
    slope, *_ = np.linalg.lstsq(away, time, rcond=None)
    straight = 1 - ((time - away @ slope) ** 2).sum() / (time**2).sum()
    across = away @ [slope[1], -slope[0]] if straight > 0.5 else np.arctan2(away[:, 0], away[:, 1])
    edges = np.quantile(across, np.linspace(0, 1, STRIPS + 1)[1:-1])
    return np.asarray(np.searchsorted(edges, across), np.int64)


def trend(values: Floats, strips: Ints, used: Bools) -> float:
    """Change from the first frame to the last on which all strips agree; 0 where they do not."""
    n = len(values)
    bins = np.minimum(np.arange(n) * BINS // n, BINS - 1)
    middle = np.full((STRIPS, BINS), np.nan)
    for strip in range(STRIPS):
        for number in range(BINS):
            own = values[(strips == strip) & (bins == number) & used]
            if len(own) >= 3:
                middle[strip, number] = np.median(own)
    time = (np.arange(BINS) + 0.5) / BINS
    slopes, off, changes = [], [], []
    for line in middle:
        known = np.isfinite(line)
        if known.sum() < BINS // 2:
            continue
        fit = np.polyfit(time[known], line[known], 1)
        slopes.append(float(fit[0]))
        off.append(float(np.sqrt(np.mean((line[known] - np.polyval(fit, time[known])) ** 2))))
        changes += (np.diff(line[known]) / np.diff(time[known])).tolist()
    if len(slopes) < STRIPS - 1:
        return 0.0
    whole = float(np.median(slopes))
    share = np.array([min(slopes, key=lambda one: one * np.sign(whole)), np.median(changes)]) / (
        whole or 1
    )
    good = share[0] > AGREE and share[1] > STEADY and np.median(off) < STRAIGHT * abs(whole)
    return whole if good else 0.0


def _flicker(
    seen: Measured, positions_m: Floats, around: Around, log_counts: Floats, usable: Bools
) -> Iterator[Event]:
    """What is left of the counts where the sample is quietest, beyond photon noise.

    Not where that is the sample: its counts differ the more, the farther a neighbour is, and they
    go with its shape.
    """
    if usable.sum() < FEWEST // 2:
        return
    noise = 1 / np.maximum(_of_slots(seen), 1)

    def left(of: Around) -> Floats:
        return _unforeseen(of, around, log_counts[:, None], noise)[usable]

    beyond = left(around)
    if np.quantile(beyond, QUIET) < FLICKER**2:
        return
    slot = np.where(no_beam(seen), -1, seen.slot)
    near, far = (Around.of(positions_m, slot, *ends) for ends in ((0, NEAR), (NEAR, FAR)))
    at_near, at_far = left(near), left(far)
    quiet = at_near + at_far <= np.quantile(at_near + at_far, TYPICAL)
    growth = np.sqrt(max(at_far[quiet].mean(), 0) / max(at_near[quiet].mean(), 1e-9))
    changed = np.sqrt(max(_change_of_shape(seen, near)[usable][quiet].mean(), 0))
    alone = _not_of_shape(seen, around, log_counts, usable)
    if REPEATS < growth < GROWS and changed < UNLIKE and alone > FOLLOWS:
        typical = float(np.sqrt(np.quantile(beyond, TYPICAL)))
        yield Event("flicker", 0, len(seen.table) - 1, typical)


def _not_of_shape(seen: Measured, around: Around, log_counts: Floats, usable: Bools) -> float:
    """Share of what is left of the counts that is no linear function of what is of the shape."""
    matrix = unforetold(around)[usable]
    centre = np.nan_to_num(np.stack([seen.column("row"), seen.column("column")], axis=1))
    shape = np.concatenate([_shape(seen), centre], axis=1)
    left, cause = matrix @ log_counts, matrix @ shape
    usual = SIGMA * np.median(np.abs(left))
    trust = np.minimum(1, ROBUST * usual / np.maximum(np.abs(left), 1e-12))
    root = np.sqrt(trust)[:, None]
    way, *_ = np.linalg.lstsq(cause * root, left * root[:, 0], rcond=None)
    fewer = 1 - shape.shape[1] / len(left)  # as many numbers fit as much of any noise
    rest = np.median(np.abs(left - cause @ way)) / np.sqrt(fewer)
    return float(rest / np.median(np.abs(left)))


def _unforeseen(of: Around, around: Around, values: Floats, noise: Floats) -> Floats:
    """(n,) variance of log counts that neighbours ``of`` each do not foretell, less the photons'.

    It is that of the frames ``around`` each.
    """
    size, photons = _left(of, values, noise)
    local = (SIGMA * np.median(np.sqrt(size)[around.rows], axis=1)) ** 2
    beyond = local - np.median(photons[around.rows], axis=1)
    return np.asarray(np.mean(beyond[around.rows], axis=1))


def _left(of: Around, values: Floats, noise: Floats) -> tuple[Floats, Floats]:
    """(n,) square of what neighbours do not foretell of ``values`` (n, k), and of their noise.

    ``noise``: (n,) variance of each value. Both are as of one frame.
    """
    matrix = unforetold(of)
    square = matrix.multiply(matrix)
    gain = np.maximum(np.asarray(square.sum(axis=1)).ravel(), 1e-12)
    return ((matrix @ values) ** 2).sum(axis=1) / gain, (square @ noise) / gain


def _change_of_shape(seen: Measured, near: Around) -> Floats:
    """(n,) variance of the ratio of a picture to that foretold, less the photons'.

    Roots of shares differ by half of the ratio's logarithm, weighted with the share.
    """
    counts = np.expm1(seen.small.astype(np.float64))
    light = np.maximum(counts.sum(axis=1), 1)
    free = max(int((counts > 0).any(axis=0).sum()) - 1, 0)
    size, photons = _left(near, np.sqrt(counts / light[:, None]), 1 / light)
    return np.asarray(4 * size - free * photons)
