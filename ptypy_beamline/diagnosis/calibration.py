"""Checks of mask, dark, saturation and hot pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.optimize import nnls

from ..arrays import Bools, Float32s, Floats
from ..errors import BeamlineError
from ..planning.defects import brightest, dead_pixels, hot_or_dead
from ..planning.no_good_pixels import without_good_pixels
from ..planning.sample import Sample
from ..statistics.measure import relative_radius
from ..summary import Finding
from .proposed_settings import changed, exactly, finding, planned
from .scan_sample import ScanSample

OUTER = 0.9
"""Radius at which a frame's far corners begin, in units of the distance from beam to nearest
edge."""

DIRECT_PX = 3.0
"""Near the centre the direct beam of a zone plate may illuminate a single pixel."""

FAINT, HOT_TIMES, ENOUGH = 0.05, 5.0, 100.0
"""Share of far pixels taken as the faintest; factor by which a hot pixel exceeds its neighbours;
counts on both sides of a dead one."""


@dataclass(frozen=True, eq=False)
class DetectorCounts:
    """The sample as the detector counted it, over the window's part on the detector.

    Attributes
    ----------
    mean, variance
        (h, w) of the raw counts of an exposure.
    good
        (h, w) pixels that no static defect excludes and that have a count in some exposure.
    radius
        (h, w) distance from the beam centre over that of the nearest edge.
    direct_beam
        (h, w) pixels so near the beam centre that one alone may be bright.
    frames
        Exposures in the sample.
    faint
        Counts in the faintest pixels far from the beam, each exposure by itself.
    """

    mean: Floats
    variance: Floats
    good: Bools
    radius: Floats
    direct_beam: Bools
    frames: int
    faint: float

    @classmethod
    def of(cls, sample: ScanSample) -> DetectorCounts:
        """From the raw exposures of frames that show the beam."""
        plan = sample.plan
        counts = plan.calibration.counting
        present = plan.selection.exposures[sample.picked] >= 0
        stack = (
            sample.raw[present & sample.illuminated[:, None]]
            if sample.illuminated.any()
            else sample.raw[present]
        )
        total, square, number = (np.zeros(plan.inside.shape) for _ in range(3))
        for frame in stack:
            counted = (frame >= counts.lowest_of(frame.dtype)) & (frame < counts.no_count)
            level = np.where(counted, frame, 0).astype(np.float64)
            total, square, number = total + level, square + level**2, number + counted
        mean = total / np.maximum(number, 1)
        variance = square / np.maximum(number, 1) - mean**2
        center = [
            c + w - i
            for c, w, i in zip(
                plan.center_px,
                (plan.window.top, plan.window.left),
                (plan.inside.top, plan.inside.left),
                strict=True,
            )
        ]
        radius = relative_radius(center, mean.shape)
        good = ~plan.calibration.bad & (number > 0)
        direct_beam = _direct_beam(sample, center, mean.shape)
        far = stack[:, good & (radius > OUTER)].astype(np.float64)
        faint = float(np.quantile(far, FAINT)) if far.size else 0.0
        return cls(mean, variance, good, radius, direct_beam, len(stack), faint)

    def defects(self, offset: Float32s) -> Bools:
        """(h, w) good pixels that are hot (isolated), or empty between counting pixels."""
        level = np.where(self.good, self.mean - offset, 0)
        bright = brightest(level).clip(0)
        # The subtracted offset has noise, too.
        noise = np.sqrt((bright + np.maximum(offset, 0) + 1) / max(self.frames, 1))
        hot = (level > HOT_TIMES * (bright + 2 * noise)) & ~self.direct_beam
        counting = (self.mean > 0) & self.good
        dead = dead_pixels(level * self.frames, counting, ENOUGH)
        return np.asarray((hot | dead) & self.good, np.bool_)


def _direct_beam(sample: ScanSample, center: Sequence[float], shape: tuple[int, ...]) -> Bools:
    """(h, w) pixels near the centre in use, or near that of Friedel symmetry."""
    rows, columns = np.indices(shape)
    centers, inside = [tuple(center)], sample.plan.inside
    with suppress(BeamlineError):  # no counts show a centre
        centers.append(tuple(np.subtract(sample.centre.friedel_px, (inside.top, inside.left))))
    away = [np.hypot(rows - y, columns - x) for y, x in centers]
    return np.asarray(np.min(away, axis=0) < DIRECT_PX)


PEDESTAL, FANO = 0.02, 2.0
"""A pedestal: its share of all counts, and how much the variance far from the beam may exceed the
mean: speckle varies more, and only its darkest pixels count."""

STEADY = 0.4

RINGS, RING_PIXELS, FEWEST_RINGS = tuple(np.linspace(0.5, 1.35, 9)), 16, 4
"""Rings in which counts are compared, in distances of the nearest edge; pixels of each, rings."""

POWERS = tuple(np.arange(2.0, 8.1, 0.5))
"""Powers of the radius with which counts may fall."""

FEW_PIXELS = 3
"""Fewest different pixels for saturation: one or two are hot."""

PILE, FEW, PILE_TIMES = 40, 8, 5
"""Counts above which a common maximum is not by chance, how many pixels must share it, and how many
times as many as at each count just below."""

FULL = tuple(2**bits - 1 for bits in (8, 12, 14, 16, 31, 32))
"""Largest values that detectors write."""

HOT_SIGMAS = (100.0, 50.0, 30.0, 20.0, 15.0, 10.0, 8.0, 6.0, 5.0)
"""Values of ``hot_sigma`` to try."""


def findings(sample: ScanSample) -> list[Finding]:
    """All checks of the counts; for frames without counts, only that."""
    detector = DetectorCounts.of(sample)
    inverted = [*mask(sample, detector)]
    if not sample.plan.good.any() and not any(found.level == "error" for found in inverted):
        counts = sample.plan.calibration.counting
        error = without_good_pixels(sample.plan, sample.scan, sample.settings, counts)
        return [finding("error", error.problem, remedy=error.remedy)]
    if inverted:
        return inverted
    if not sample.totals.any():
        what = f"no counts in {len(sample.picked)} sampled frames"
        cause = "dark frames, a closed shutter, or a dark that is too high"
        remedy = "check paths.frames (--path frames=PATH), --outer-index and --dark"
        return [finding("error", what, cause, remedy=remedy)]
    return [
        *uncounted(sample),
        *pedestal(sample, detector),
        *saturation(sample),
        *hot_pixels(sample, detector),
    ]


def mask(sample: ScanSample, detector: DetectorCounts) -> Iterator[Finding]:
    """A mask that excludes most pixels, with most of the counts, is inverted."""
    bad, total = ~detector.good, float(detector.mean.sum())
    area, counts = float(bad.mean()), float(detector.mean[bad].sum()) / max(total, 1e-12)
    if area < 0.5 or counts < 0.5:
        return
    what = f"the mask leaves out {area:.0%} of the pixels, with {counts:.0%} of the counts"
    for values in ("good", "bad"):
        try:
            corrected = planned(changed(sample.settings, {"mask_values": values}))[1]
        except BeamlineError:
            continue
        if corrected.good.mean() > 0.5:
            yield finding(
                "error", what, f"inverted: nonzero means {values}", {"mask_values": values}
            )
            return
    yield finding("warning", what, remedy="check the mask (--mask, --path mask=PATH)")


def pedestal(sample: ScanSample, detector: DetectorCounts) -> Iterator[Finding]:
    """Constant counts far from the beam are a dark or a background that is still in the frames."""
    offset, good, radius = sample.plan.calibration.offset, detector.good, detector.radius
    level = detector.mean - offset
    far = good & (radius > OUTER)
    floor = floor_of(level, good, radius)
    if not far.any() or floor is None:
        return
    height = float(np.median(level[far]))
    fano = float(np.median(detector.variance[far])) / max(abs(height), 1e-12)
    least = detector.faint - float(np.median(offset[far]))
    least += 1.64 * np.sqrt(max(least, 0))  # the twentieth faintest of Poisson numbers
    if height < -0.5 and -height > 0.05 * float(np.median(offset[far])):
        yield finding(
            "warning",
            f"far from the beam the frames hold {-height:.3g} counts less than the dark",
            "the dark is of another exposure time, or the frames are corrected already",
            remedy="give another dark (--dark)",
        )
        return
    # In speckle the darkest pixels show the pedestal.
    height = min(floor, height) if fano <= FANO else least if least > STEADY * height else 0.0
    share = height * int(good.sum()) / max(float(level[good].sum()), 1e-12)
    if height <= 0 or share < PEDESTAL:
        return
    yield finding(
        "warning",
        f"a constant {height:.3g} counts far from the beam, {share:.0%} of all counts",
        "dark or background not subtracted",
        {"background": float(f"{height:.4g}")},
        "or give the dark (--dark)",
    )


def floor_of(level: Floats, good: Bools, radius: Floats) -> float | None:
    """What is left of counts that fall with a power of the distance from the beam, at infinity.

    The medians of :data:`RINGS` are fitted by a·r⁻ⁿ + c, relative to themselves. Scattering falls
    with n = 3 to 4 (G. Porod, Kolloid-Z. 124, 83 (1951)), a smooth sample's faster.

    Returns
    -------
    float or None
        c, at least 0. None where too few rings are on the detector.
    """
    rings = [good & (radius >= a) & (radius < b) for a, b in pairwise(RINGS)]
    rings = [ring for ring in rings if np.count_nonzero(ring) >= RING_PIXELS]
    if len(rings) < FEWEST_RINGS:
        return None
    away = np.array([radius[ring].mean() for ring in rings])
    height = np.array([np.median(level[ring]) for ring in rings])
    weight = 1 / np.maximum(height, max(1e-3 * float(height.max()), 1e-12))
    fits = []
    for power in POWERS:
        columns = np.stack([away**-power, np.ones_like(away)], axis=1)
        found, misfit = nnls(columns * weight[:, None], height * weight)
        fits.append((misfit, float(found[1])))
    return min(fits)[1]


def saturation(sample: ScanSample) -> Iterator[Finding]:
    """Many pixels that share the highest count were clipped there."""
    # A limit of float64 is beyond float32.
    lowest, limit = map(np.float64, sample.plan.calibration.limits[:2])
    counts = sample.raw[..., ~sample.plan.calibration.bad].ravel()
    counts = counts[(counts >= lowest) & (counts < limit)]
    top = float(counts.max(initial=0))
    if top < PILE:
        return
    high = counts[counts >= 0.95 * top]
    full = int((high == top).sum())
    each = (len(high) - full) / max(0.05 * top, 1)  # pixels at each count just below
    if full < FEW or full < PILE_TIMES * each:
        return
    pixels = ((sample.raw == top) & ~sample.plan.calibration.bad).any(axis=(0, 1))
    if np.count_nonzero(pixels) < FEW_PIXELS:
        return
    stored = sample.scan.saturation
    value = "file" if stored is not None and stored <= top else top
    yield finding(
        "warning",
        f"{full} pixels of {len(sample.picked)} frames share the highest count, "
        f"{exactly(top)}; {len(high) - full} are within 5 % below",
        "saturated, or what the detector writes for no count" if top in FULL else "saturated",
        {"saturation": value},
    )


def uncounted(sample: ScanSample) -> Iterator[Finding]:
    """Values that are excluded because they are not counts."""
    counts = sample.plan.calibration.counting
    none = (sample.raw < counts.lowest_of(sample.raw.dtype)) | (sample.raw >= counts.no_count)
    share = float(none.mean())
    if not share:
        return
    what = f"pixels with raw values {counts} hold no counts and are left out: {share:.2g} of all"
    yield finding("note", what)


def hot_pixels(sample: ScanSample, detector: DetectorCounts) -> Iterator[Finding]:
    """Pixels far brighter than all but two of their neighbours, or empty between pixels that count.

    Speckles are wider than a pixel; the peaks of a beam are no defects.
    """
    if sample.settings.hot_sigma is not None:
        return
    defects = detector.defects(sample.plan.calibration.offset)
    number = int(defects.sum())
    if not number:
        return
    found = _sigma(sample, defects)
    yield finding(
        "warning",
        f"{number} pixel{'s' * (number > 1)} that the mask does not have: counts far above the "
        "neighbours', or none between pixels that count",
        "hot or dead pixels, a gap between modules, or a beam stop",
        {"hot_sigma": found} if found else {},
        "or give a mask (--mask)" if found else "give a mask (--mask)",
    )


def _sigma(sample: ScanSample, defects: Bools) -> float | None:
    """The largest ``hot_sigma`` that finds all of these pixels, so that it finds few others."""
    calibration = sample.plan.calibration
    raw = Sample.of(sample.scan, sample.settings, sample.plan.inside)
    offset = calibration.offset.astype(np.float64)
    for sigma in HOT_SIGMAS:
        found = hot_or_dead(raw, offset, sigma, calibration.counting)
        if found[defects].all():
            return sigma
    return None
