"""Whether the beam was on and steady and tracked by its monitor, with the sample in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..arrays import Floats
from ..planning.exposures import recorded_i0
from ..planning.rejects import INTENSITY
from ..robust import robust_sigma
from ..settings import Settings
from ..statistics.event_search import find_events
from ..statistics.events import Event, intensity
from ..statistics.measure import Reference, measure_frames
from ..statistics.measurements import Exposures, Measurements
from ..summary import Finding
from .proposed_settings import finding
from .scan_sample import ScanSample

SHUT, MANY_BLANK = 0.005, 0.02
"""Fraction of the median counts below which a shutter was closed, as samples may transmit only 1 %;
fraction of the frames that may be blank."""

FEW_FRAMES, FEW_COUNTS = 16, 3000
"""Frames, and counts per frame, below which a sample may not show."""

CHANGING, CERTAIN, SIGMAS = 1.3, 1.05, 4.0
"""Variance from frame to frame over that of photon noise which a sample exceeds; with many pixels
less suffices, by this many standard deviations."""

NOT_COUNTS = 0.5
"""The same ratio, below which the numbers are not counts, as Poisson noise is missing."""


def findings(sample: ScanSample) -> list[Finding]:
    """Monitor, sample and shutter, of frames that hold counts."""
    return [*monitor(sample), *variation(sample), *blank(sample), *not_numbers(sample)]


def _monitor_is_applied(settings: Settings) -> bool:
    return settings.monitor not in (None, False) or bool(settings.paths.monitor)


def monitor(sample: ScanSample) -> Iterator[Finding]:
    """Whether the monitor makes the frames' counts more equal."""
    stored = recorded_i0(sample.scan, sample.settings)
    illuminated = sample.illuminated & (sample.totals > 0)
    if stored is None or illuminated.sum() < 8:
        return
    exposures = sample.plan.selection.exposures[sample.picked][illuminated]
    values = np.nanmean(np.where(exposures >= 0, stored[exposures], np.nan), axis=1)
    if not (np.isfinite(values) & (values > 0)).all():
        return
    applied = _monitor_is_applied(sample.settings)
    counts = sample.totals[illuminated] / (
        sample.plan.selection.scale[sample.picked][illuminated].mean(1)
    )
    raw, scaled = _relative_scatter(counts), _relative_scatter(counts / values)
    what = f"total counts scatter by {raw:.1%}, by {scaled:.1%} when scaled by the monitor"
    if applied and scaled > max(1.5 * raw, 0.03):
        yield finding("warning", what, CAUSES["monitor"], {"monitor": False})
        return
    if not applied and raw > max(2 * scaled, 0.02):
        yield finding("note", what, "the beam's intensity varied", {"monitor": "file"})
        return
    return


def not_numbers(sample: ScanSample) -> Iterator[Finding]:
    """Whether single frames have pixels that are NaN or infinite."""
    if sample.raw.dtype.kind != "f":
        return
    absent = ~np.isfinite(sample.raw)
    some = absent & ~absent.all(axis=(0, 1))  # pixels bad in all frames belong to the detector
    count = int(some.any(axis=(1, 2, 3)).sum())
    if not count:
        return
    yield finding(
        "note",
        f"{count} of {len(some)} sampled frames have pixels that are not numbers (NaN): these are "
        "left out as bad pixels",
    )


def variation(sample: ScanSample) -> Iterator[Finding]:
    """Whether the frames change from one to the next by more than their noise."""
    frames = sample.frames[sample.illuminated]
    if len(frames) < 4:
        return
    if all(np.array_equal(frame, frames[0]) for frame in frames[1:]):
        yield finding(
            "error",
            f"all of {len(frames)} sampled frames are the same",
            "the detector sent one frame, or paths.frames names a mean",
            remedy="check the dataset (--path frames=PATH)",
        )
        return
    bright = sample.ever_good & (sample.mean > 5)
    if bright.sum() < 20:
        return
    share = sample.totals[sample.illuminated] / sample.totals[sample.illuminated].mean()
    expected = share[:, None] * sample.mean[bright]
    change = float((((frames[:, bright] - expected) ** 2).mean(0) / sample.mean[bright]).mean())
    # In dim frames a sample adds little variance; it shows where that exceeds chance.
    chance = np.sqrt(2 / (len(frames) * np.count_nonzero(bright)))
    if change > min(CHANGING, CERTAIN + SIGMAS * chance):
        return
    what = f"frames differ by {change:.2f} times their photon noise (variance)"
    if change < NOT_COUNTS:
        yield finding(
            "warning",
            what,
            "the numbers are no counts: amplitudes, or scaled",
            remedy="set stored_as='magnitude' (--stored-as magnitude) for amplitudes; "
            "take the raw frames where they were scaled",
        )
    elif len(frames) < FEW_FRAMES or sample.usual_counts < FEW_COUNTS:
        yield finding("note", f"{what}: too few to decide whether the sample is in the beam")
    else:
        yield finding(
            "warning",
            what,
            "the sample is out of the beam, or the stage did not move",
            remedy="check the dataset of frames and the position of the sample",
        )


def blank(sample: ScanSample) -> Iterator[Finding]:
    """Frames without the beam."""
    middle = float(np.median(sample.totals[sample.totals > 0]))
    dark = int((sample.totals < SHUT * middle).sum())
    if dark <= MANY_BLANK * len(sample.totals):
        return
    yield finding(
        "warning",
        f"{dark} of {len(sample.totals)} sampled frames hold less than "
        f"{SHUT:.1%} of the median counts",
        "the shutter was closed or the beam lost",
        remedy="run ptypy-beamline qc and give its list as reject (--reject)",
    )


def _relative_scatter(values: Floats) -> float:
    """Relative standard deviation, robustly."""
    middle = float(np.median(values))
    return robust_sigma(values - middle) / middle


MOST, BINS = 12_000, 8
"""Frames examined, from the first of the scan; bins along each axis of their images."""

FOLLOWS = 0.5
"""Share of the change in the beam that dividing by the monitor must remove."""

CAUSES = {
    "dump": "the beam was lost or a shutter was closed",
    "step": "the intensity of the beam changed",
    "decay": "the intensity of the beam changed",
    "flicker": "the intensity of the beam changes from frame to frame",
    "drift": "the beam, or the detector, moved",
    "motor": "the stage did not follow the positions",
    "monitor": "the monitor does not follow the beam",
}


def event_findings(sample: ScanSample) -> Iterator[Finding]:
    """A warning for each event, with its remedy; one for all losses of the beam."""
    plan = sample.plan
    single = Exposures.of(plan) if plan.selection.exposures.shape[1] > 1 else None
    plan = single.plan if single else plan
    rows = np.arange(min(len(plan), MOST))
    blocks = measure_frames(plan, rows, Reference.of(plan), BINS)
    slot = single.slot[rows] if single else np.zeros(len(rows), np.int64)
    measured = Measurements.of([block.without_images() for block in blocks], slot)
    if not measured.column("total").any():
        return
    frames = plan.selection.exposures[rows, 0]
    found = find_events(measured, plan.positions_m[rows], frames, plan.selection.scale[rows, 0])
    dumps = [event for event in found if event.kind == "dump"]
    if len(dumps) > 1:
        found = [event for event in found if event.kind != "dump"]
        yield _dumps(dumps)
    for event in found:
        cause = CAUSES["monitor" if event.of_monitor else event.kind]
        yield finding("warning", event.what, cause, *_remedy(event, sample))


def from_neighbours(finding: Finding) -> bool:
    """Whether it was found by comparing neighbours on the sample, which needs correct positions."""
    return finding.cause in (CAUSES["step"], CAUSES["flicker"], CAUSES["drift"])


def _dumps(found: Sequence[Event]) -> Finding:
    """Several beam losses as one finding."""
    frames = ",".join(f"{event.first}-{event.last}" for event in found)
    number = sum(event.last - event.first + 1 for event in found)
    return finding(
        "warning",
        f"no beam {len(found)} times, in {number} frames",
        CAUSES["dump"],
        remedy=f"leave them out (--reject {frames})",
    )


def _remedy(event: Event, sample: ScanSample) -> tuple[Mapping[str, Any], str]:
    """Settings that correct it, or text where there are none."""
    if event.of_monitor:
        return {"monitor": False}, ""
    if event.kind == "drift":
        return {"align": "com"}, ""
    if event.kind not in ("dump", "motor") and _monitor_follows(event, sample):
        return {"monitor": "file"}, ""
    none = "no I0 that follows it is recorded"
    estimate = f"run ptypy-beamline qc, and scale by its estimate (--monitor qc/{INTENSITY})"
    given = sample.settings.reject is not None
    return {}, event.remedy(f"{none}: {estimate}", f"{none}: ", given)


def _monitor_follows(event: Event, sample: ScanSample) -> bool:
    """Whether a recorded monitor that is not applied changes with the beam."""
    stored = recorded_i0(sample.scan, sample.settings)
    if stored is None or _monitor_is_applied(sample.settings):
        return False
    with np.errstate(invalid="ignore", divide="ignore"):
        level = np.log(stored)
    known = np.isfinite(level)
    if event.kind == "flicker":
        changes = np.diff(level[known])
        return len(changes) > 1 and float(np.std(changes)) > FOLLOWS * event.amount
    beam = np.log(intensity([event], len(stored)))
    beam, level = beam[known] - beam[known].mean(), level[known] - level[known].mean()
    return float((beam * level).sum()) > FOLLOWS * float((beam**2).sum())
