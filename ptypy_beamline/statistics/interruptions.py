"""Frames without beam, repeated frames, and frames of a stage that stood still."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.spatial import cKDTree

from ..arrays import Bools, Floats
from ..planning.implausible import stuck
from ..positions import step_m
from .measurements import Measurements
from .neighbours import nearest_rows

DARK, BRIGHT_QUANTILE = 0.02, 0.9
"""A frame with less than this fraction of the counts of a bright frame (the quantile) is dark."""
BLANK = 1e-4
"""The same for a frame without beam, wherever it is on the sample."""

DARK_NEIGHBOURS, MIN_OTHERS, BRIGHT_SHARE, BRIGHTER = 8, 3, 0.85, 10.0
"""Neighbours of a dark frame; how many taken at other times are needed, and the share of these that
is bright where the beam was lost; how much brighter they must be."""
SHORT_RUN, CLOSE = 8, 3
"""Dark frames in succession that are too few for a row of the scan; largest distance in frames
between dark ones of the same run, and from its end to a turning point of the stage."""

ENOUGH_COUNTS, EQUAL = 100, 1e-5
"""Counts of a frame above which it does not equal another by chance; relative error of float32
sums."""

MIN_LOSS, GAP, DARK_SHARE, AROUND, BESIDE = 3, 2, 0.8, 0.93, 6
"""Fewest dark frames in succession for a beam loss; bright ones allowed between them, and the
minimum share that is dark; counts of surrounding frames over those farther away (less around an
absorber); number of surrounding frames for each."""

MIN_STILL, CHANCE, SAME = 40, 5.0, 1.2
"""Fewest frames in succession that are the same; sigmas of chi square up to which two are, and chi
square up to which all equal their mean (1 for photon noise)."""
DIFFERENT, STEPS_AWAY, DIFFERENT_SHARE = 2.0, 2.5, 0.6
"""Chi square, over that of two equal frames, above which two differ; steps within which frames are
neighbours; the share of a run that must differ from its neighbours."""
MIN_COMPARED = 50
"""Fewest frames with which a run of frames is compared."""


def no_beam(measured: Measurements, share: float = DARK) -> Bools:
    """(n,) frames with less than a ``share`` of a bright frame of their slot."""
    total, dark = measured.column("total"), np.zeros(len(measured), np.bool_)
    for one in np.unique(measured.slot):
        rows = measured.slot == one
        dark[rows] = total[rows] < share * np.quantile(total[rows], BRIGHT_QUANTILE)
    return dark


def beam_lost(measured: Measurements, dark: Bools, positions_m: Floats) -> Floats:
    """(n,) for each dark frame, 1 or more where the beam was lost rather than absorbed.

    Neighbours taken at other times are then mostly bright. Frames from one turning point of the
    stage to another may be rows behind an absorber.
    """
    lost = np.zeros(len(dark))
    if not dark.any() or dark.all():
        return lost
    total = measured.column("total")
    begins = [first for first, _ in runs(dark, CLOSE - 1)]
    run = np.searchsorted(begins, np.arange(len(dark)), side="right")
    near = nearest_rows(positions_m, measured.slot, DARK_NEIGHBOURS)
    turns = _near_turns(positions_m)
    for one in np.unique(run[dark]).tolist():
        rows = np.flatnonzero(dark & (run == one))
        other = (run[near[rows]] != one) | ~dark[near[rows]]
        bright = ~dark[near[rows]] & (total[near[rows]] > BRIGHTER * total[rows, None])
        share = bright.sum(axis=1) / np.maximum(other.sum(axis=1), MIN_OTHERS)
        lost[rows] = share / BRIGHT_SHARE
        if len(rows) > SHORT_RUN and turns[rows[0]] and turns[rows[-1]]:
            lost[rows] = np.minimum(lost[rows], 0.99)
    return np.where(no_beam(measured, BLANK), 1.0, lost)


def _near_turns(positions_m: Floats) -> Bools:
    """(n,) near a turn of the stage by more than 60 degrees, or near an end; none without rows."""
    steps = np.diff(positions_m, axis=0)
    size = np.maximum(np.linalg.norm(steps, axis=1), np.finfo(float).tiny)
    turning = (steps[1:] * steps[:-1]).sum(axis=1) < 0.5 * size[1:] * size[:-1]
    turns = np.ones(len(positions_m), np.bool_)
    turns[1:-1] = turning
    near = np.convolve(turns, np.ones(2 * CLOSE - 1), "same") > 0
    return near if turning.mean() < 0.5 else np.zeros(len(turns), np.bool_)


def repeated(measured: Measurements, factor: Floats) -> Bools:
    """(n,) frames identical to the one before; none where all frames are equal.

    ``factor`` (n,): what a monitor has multiplied them by since; where it differs, bins, centre
    of mass and contrast are compared.
    """
    bins = np.expm1(measured.coarse.astype(np.float64)) / factor[:, None]
    shape = [measured.column(name) for name in ("row", "column", "contrast")]
    numbers = np.concatenate([bins, np.stack(shape, axis=1)], axis=1)
    equal = np.isclose(numbers[1:], numbers[:-1], rtol=EQUAL, atol=1e-9).all(axis=1)
    same = np.zeros(len(factor), np.bool_)
    same[1:] = np.where(factor[1:] == factor[:-1], measured.column("change")[1:] == 0, equal)
    enough = measured.column("total") / factor >= ENOUGH_COUNTS
    return np.asarray(same & enough & (not same[1:].all()))


def runs(flags: Bools, gap: int = 0) -> list[tuple[int, int]]:
    """First and last of each run of flags that are set, across gaps of up to ``gap`` others."""
    rows = np.flatnonzero(flags)
    if not len(rows):
        return []
    breaks = np.flatnonzero(np.diff(rows) > gap + 1)
    begins, ends = rows[np.r_[0, breaks + 1]], rows[np.r_[breaks, len(rows) - 1]]
    return list(zip(begins.tolist(), ends.tolist(), strict=True))


def beam_losses(
    measured: Measurements, dark: Bools, positions_m: Floats
) -> Iterator[tuple[int, int, float]]:
    """First and last of dark frames whose surroundings are as bright as elsewhere, and their share.

    The share is their median counts over those of the surrounding frames.
    """
    total = measured.column("total")
    for first, last in runs(dark, GAP):
        inside = np.arange(first, last + 1)
        outside = np.flatnonzero(~dark)
        dense = last - first + 1 >= MIN_LOSS and dark[inside].mean() >= DARK_SHARE
        if not dense or len(outside) < 3 * BESIDE:
            continue
        _, beside = cKDTree(positions_m[outside]).query(positions_m[inside], BESIDE)
        rim = outside[np.unique(beside)]
        others = np.setdiff1d(outside, rim)
        if len(others) < BESIDE:
            continue
        _, beyond = cKDTree(positions_m[others]).query(positions_m[rim], BESIDE)
        ratio = total[rim] / np.median(total[others[beyond]], axis=1)
        if np.median(ratio) > AROUND:
            usual = float(np.median(total[rim]))
            yield first, last, float(np.median(total[inside])) / usual


def standstills(
    measured: Measurements, dark: Bools, positions_m: Floats
) -> Iterator[tuple[int, int, float]]:
    """First, last and number of equal frames in succession that differ from neighbouring frames.

    Where the positions stand still, too, loading warns of it.
    """
    counts = np.expm1(measured.coarse.astype(np.float64))
    bins = max(int((counts.mean(0) > 0.5).sum()), 1)
    near = 1 + CHANCE * np.sqrt(2 / bins)
    equal = np.concatenate([[False], _chi_square(counts[1:], counts[:-1]) < near])
    known = {row for start, stop in stuck(positions_m) for row in range(start, stop)}
    reach_m = STEPS_AWAY * step_m(positions_m)
    for start, last in runs(equal & ~dark):
        first = start - 1
        run = np.array([row for row in range(first, last + 1) if row not in known])
        if len(run) < MIN_STILL:
            continue
        others = np.setdiff1d(np.flatnonzero(~dark), np.arange(first - 2, last + 3))
        if len(others) < MIN_COMPARED:
            continue
        mean = counts[run].mean(0)
        if np.mean(_chi_square(counts[run], mean[None], len(run))) > SAME:
            continue
        away_m, which = cKDTree(positions_m[others]).query(positions_m[run])
        beside = counts[others[which]]
        scale = beside.sum(1, keepdims=True) / max(mean.sum(), 1)
        different = _chi_square(beside, mean[None] * scale, len(run)) > DIFFERENT * near
        different &= away_m < reach_m
        if different.mean() > DIFFERENT_SHARE:
            rows = run[different]
            yield max(int(rows[0]) - 1, first), int(rows[-1]), float(len(run))


def _chi_square(one: Floats, other: Floats, number: int = 1) -> Floats:
    """(n,) chi square per bin of counts against the mean of ``number`` others; 1 for pure noise."""
    variance = (one + number * other) / number  # of the difference, if both have one mean
    counted = variance > 0
    square = np.divide((one - other) ** 2, variance, where=counted, out=np.zeros(counted.shape))
    return np.asarray(square.sum(1) / np.maximum(counted.sum(1), 1))
