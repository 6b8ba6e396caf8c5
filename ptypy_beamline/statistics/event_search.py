"""The search for events: interruptions, steps, and variations throughout a scan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ..arrays import Bools, Floats, Ints
from ..robust import SIGMA_PER_MAD, robust_sigma
from .events import Event
from .intensity_steps import ROBUST, steps
from .interruptions import beam_losses, no_beam, standstills
from .measurements import Measurements
from .neighbours import Neighbours

MIN_SEARCHED = 100
"""Fewest frames of a scan that is searched for events."""

DIM, BRIGHT_QUANTILE = 0.25, 0.8
"""Frames with less than this fraction of the counts of a bright one (the quantile) are not used."""

OF_INTENSITY = ("step", "decay", "flicker")
"""Kinds that an applied monitor can correct, or cause."""


def find_events(
    measured: Measurements,
    positions_m: Floats,
    frames: Ints,
    factor: Floats,
) -> list[Event]:
    """Events of a scan, in the order of the frames.

    Parameters
    ----------
    measured
        Of n frames.
    positions_m
        (n, 2) positions of the frames, from the file.
    frames
        (n,) their raw numbers.
    factor
        (n,) factor by which a monitor has scaled their counts.
    """
    order = np.argsort(frames, kind="stable")
    if len(order) < MIN_SEARCHED or np.ptp(positions_m, axis=0).max() == 0:
        return []
    ordered = measured.subset(order)
    found = list(_in_order(ordered, positions_m[order]))
    if np.any(factor != factor[0]) and any(one.kind in OF_INTENSITY for one in found):
        counted = list(_in_order(ordered.scaled(1 / factor[order]), positions_m[order]))
        found = [replace(one, of_monitor=not _is_among(one, counted)) for one in found]
    raw = frames[order]
    named = [replace(one, first=int(raw[one.first]), last=int(raw[one.last])) for one in found]
    return sorted(named, key=lambda one: (one.first, one.last))


def _is_among(event: Event, others: Sequence[Event]) -> bool:
    """Whether it is an event of the beam: not of intensity, or found in the raw counts, too."""

    def common(other: Event) -> int:
        return min(event.last, other.last) - max(event.first, other.first) + 1

    return event.kind not in OF_INTENSITY or any(
        one.kind in OF_INTENSITY and 2 * common(one) > event.last - event.first + 1
        for one in others
    )


def _in_order(measured: Measurements, positions_m: Floats) -> Iterator[Event]:
    """Events of frames in the order of time, numbered by rows."""
    dark = no_beam(measured)
    if dark.all():
        return
    yield from (Event("dump", *loss) for loss in beam_losses(measured, dark, positions_m))
    usable = ~dark
    for first, last, number in standstills(measured, dark, positions_m):
        usable[first : last + 1] = False
        yield Event("motor", first, last, number)
    total = np.maximum(measured.equal_exposures, 1)
    log_counts = np.log(total)
    around = Neighbours.of(positions_m, np.where(dark, -1, measured.slot))
    for step in steps(around, log_counts, 1 / total, measured.shape, usable):
        log_counts[step.first : step.last + 1] -= step.log_ratio
        yield Event("step", step.first, step.last, float(np.exp(step.log_ratio)))
    usable &= _bright(log_counts, usable)
    last = len(usable) - 1
    log_ratio, drift_px = decay_and_drift(measured, positions_m, log_counts, usable)
    if log_ratio:
        yield Event("decay", 0, last, float(np.exp(log_ratio)))
    if drift_px:
        yield Event("drift", 0, last, drift_px)
    clear = usable & usable[around.rows].all(axis=1)
    if deviation := flicker(measured, positions_m, around, log_counts, clear):
        yield Event("flicker", 0, last, deviation)


def _bright(log_counts: Floats, usable: Bools) -> Bools:
    """(n,) frames that are not behind an absorber."""
    if not usable.any():
        return usable
    bright = np.quantile(log_counts[usable], BRIGHT_QUANTILE)
    return np.asarray(log_counts > np.log(DIM) + bright)


MIN_FRAMES = 50
"""Fewest frames from which variations are inferred."""

STRIPS, BINS = 4, 8
"""Parts of the sample and of the time that must agree on a trend."""
AGREE, STEADY, STRAIGHT = 0.65, 0.5, 0.2
"""Minimum share of the trend that every strip must show, and that of the median change from bin to
bin; largest rms deviation from a straight line, relative to the trend."""
MIN_DECAY, MIN_DRIFT_PX = 0.3, 1.5
"""Minimum |log ratio|, and pixels, from the first frame to the last."""
ENDS = 6
"""The beam must have moved between the first and the last 1/6 of the frames."""

MIN_FLICKER, QUIET, TYPICAL = 0.035, 0.1, 0.3
"""Minimum standard deviation of the intensity from frame to frame in the quietest part of the
sample; that part, as a share of the scan; the quantile reported, as the minimum would be a matter
of chance."""
NEAR, FAR = 8, 24
"""Nearest neighbours, and the last of those beyond them."""
GROWS, REPEATS, SAME_SHAPE, BY_SHAPE = 1.3, 0.8, 0.18, 0.72
"""Residual of the counts against far neighbours over that against near ones, above which the sample
causes it, and below which the sample is periodic; change of the shape, as the relative standard
deviation of the ratio of two images, above which the counts tell nothing; share of the residual
that the shape does not predict, below which the sample causes it."""


def decay_and_drift(
    measured: Measurements, positions_m: Floats, log_counts: Floats, usable: Bools
) -> tuple[float, float]:
    """Log ratio of the counts, and drift in pixels, from the first frame to the last; else 0.

    Both change slowly, in all parts of the sample.
    """
    if usable.sum() < MIN_FRAMES:
        return 0.0, 0.0
    strips = _strips(positions_m)
    fall = trend(log_counts, strips, usable)
    centres = np.stack([np.nan_to_num(measured.column(name)) for name in ("row", "column")])
    moved = np.array([trend(centre, strips, usable) for centre in centres])
    drift_px = float(np.hypot(*moved))
    # Where part of the sample deflects the beam, it comes back.
    ends = len(usable) // ENDS
    apart = np.median(centres[:, -ends:], axis=1) - np.median(centres[:, :ends], axis=1)
    drifts = drift_px > MIN_DRIFT_PX and float(apart @ moved) > drift_px**2 / 2
    return (fall if abs(fall) > MIN_DECAY else 0.0), (drift_px if drifts else 0.0)


def _strips(positions_m: Floats) -> Ints:
    """(n,) part of the sample of each frame; each part is visited throughout the scan."""
    away = positions_m - positions_m.mean(0)
    time = np.linspace(-1, 1, len(away))
    slope, *_ = np.linalg.lstsq(away, time, rcond=None)
    straight = 1 - ((time - away @ slope) ** 2).sum() / (time**2).sum()
    across = away @ [slope[1], -slope[0]] if straight > 0.5 else np.arctan2(away[:, 0], away[:, 1])
    edges = np.quantile(across, np.linspace(0, 1, STRIPS + 1)[1:-1])
    return np.asarray(np.searchsorted(edges, across), np.int64)


def trend(values: Floats, strips: Ints, used: Bools) -> float:
    """Change from the first frame to the last on which all strips agree; 0 where they do not."""
    slopes, off, changes = [], [], []
    time = (np.arange(BINS) + 0.5) / BINS
    for medians in _medians(values, strips, used):
        known = np.isfinite(medians)
        if known.sum() < BINS // 2:
            continue
        fit = np.polyfit(time[known], medians[known], 1)
        slopes.append(float(fit[0]))
        off.append(float(np.sqrt(np.mean((medians[known] - np.polyval(fit, time[known])) ** 2))))
        changes += (np.diff(medians[known]) / np.diff(time[known])).tolist()
    if len(slopes) < STRIPS - 1:
        return 0.0
    whole = float(np.median(slopes))
    least = min(slopes, key=lambda slope: slope * np.sign(whole))
    share, steady = np.array([least, np.median(changes)]) / (whole or 1)
    good = share > AGREE and steady > STEADY and np.median(off) < STRAIGHT * abs(whole)
    return whole if good else 0.0


def _medians(values: Floats, strips: Ints, used: Bools) -> Floats:
    """(STRIPS, BINS) of the values in each strip and bin of the time; NaN of fewer than three."""
    n = len(values)
    bins = np.minimum(np.arange(n) * BINS // n, BINS - 1)
    found = np.full((STRIPS, BINS), np.nan)
    for strip, number in np.ndindex(found.shape):
        own = values[(strips == strip) & (bins == number) & used]
        if len(own) >= 3:
            found[strip, number] = np.median(own)
    return found


def flicker(
    measured: Measurements,
    positions_m: Floats,
    around: Neighbours,
    log_counts: Floats,
    usable: Bools,
) -> float:
    """Relative standard deviation of the intensity from frame to frame; 0 where there is none.

    It is the residual of the counts where the sample is quietest, in excess of photon noise. Not if
    the sample causes it: residuals then grow with the distance of the neighbours, and correlate
    with the shape.
    """
    if usable.sum() < MIN_FRAMES:
        return 0.0
    noise = 1 / np.maximum(measured.equal_exposures, 1)

    def excess(of: Neighbours) -> Floats:
        return _excess_variance(of, around, log_counts[:, None], noise)[usable]

    beyond = excess(around)
    if np.quantile(beyond, QUIET) < MIN_FLICKER**2:
        return 0.0
    slot = np.where(no_beam(measured), -1, measured.slot)
    near, far = (Neighbours.of(positions_m, slot, *ends) for ends in ((0, NEAR), (NEAR, FAR)))
    at_near, at_far = excess(near), excess(far)
    quiet = at_near + at_far <= np.quantile(at_near + at_far, TYPICAL)
    growth = np.sqrt(max(at_far[quiet].mean(), 0) / max(at_near[quiet].mean(), 1e-9))
    changed = np.sqrt(max(_change_of_shape(measured, near)[usable][quiet].mean(), 0))
    alone = _share_without_shape(measured, around, log_counts, usable)
    if REPEATS < growth < GROWS and changed < SAME_SHAPE and alone > BY_SHAPE:
        return float(np.sqrt(np.quantile(beyond, TYPICAL)))
    return 0.0


def _share_without_shape(
    measured: Measurements, around: Neighbours, log_counts: Floats, usable: Bools
) -> float:
    """Share of the residuals of the counts not explained linearly by those of the shape."""
    matrix = around.residual_matrix()[usable]
    centre = np.nan_to_num(np.stack([measured.column("row"), measured.column("column")], axis=1))
    shape = np.concatenate([measured.shape, centre], axis=1)
    left, cause = matrix @ log_counts, matrix @ shape
    trust = np.minimum(1, ROBUST * robust_sigma(left) / np.maximum(np.abs(left), 1e-12))
    root = np.sqrt(trust)[:, None]
    slope, *_ = np.linalg.lstsq(cause * root, left * root[:, 0], rcond=None)
    fewer = 1 - shape.shape[1] / len(left)  # corrects for the degrees of freedom of the fit
    rest = np.median(np.abs(left - cause @ slope)) / np.sqrt(fewer)
    return float(rest / np.median(np.abs(left)))


def _excess_variance(of: Neighbours, around: Neighbours, values: Floats, noise: Floats) -> Floats:
    """(n,) variance of log counts against the prediction by neighbours ``of``, less the photons'.

    It is that of the frames ``around`` each.
    """
    size, photons = _squared_residuals(of, values, noise)
    local = (SIGMA_PER_MAD * np.median(np.sqrt(size)[around.rows], axis=1)) ** 2
    beyond = local - np.median(photons[around.rows], axis=1)
    return np.asarray(np.mean(beyond[around.rows], axis=1))


def _squared_residuals(of: Neighbours, values: Floats, noise: Floats) -> tuple[Floats, Floats]:
    """(n,) squared residuals of ``values`` (n, k), and the variance that noise gives to them.

    ``noise``: (n,) variance of each value. Both are scaled to that of one frame.
    """
    matrix = of.residual_matrix()
    square = matrix.multiply(matrix)
    gain = np.maximum(np.asarray(square.sum(axis=1)).ravel(), 1e-12)
    return ((matrix @ values) ** 2).sum(axis=1) / gain, (square @ noise) / gain


def _change_of_shape(measured: Measurements, near: Neighbours) -> Floats:
    """(n,) variance of the ratio of an image to the predicted one, less the photons'.

    Roots of shares differ by half of the ratio's logarithm, weighted with the share.
    """
    counts = np.expm1(measured.coarse.astype(np.float64))
    total = np.maximum(counts.sum(axis=1), 1)
    free = max(int((counts > 0).any(axis=0).sum()) - 1, 0)
    size, photons = _squared_residuals(near, np.sqrt(counts / total[:, None]), 1 / total)
    return np.asarray(4 * size - free * photons)
