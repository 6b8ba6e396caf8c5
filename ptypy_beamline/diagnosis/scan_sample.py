"""A sample of a scan's frames, and what is measured from it once for all checks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from ..arrays import Bools, Float32s, Floats, Ints
from ..planning.inpaint import inpaint
from ..planning.plan import Plan
from ..planning.scan_geometry import in_metres, quantities
from ..scan import Scan
from ..settings import Settings
from ..statistics.measure import relative_radius, spread_positions
from .centre import Centre, measure

BEAM_SHARE = 0.25
"""Frames with less than this fraction of the median counts show no beam."""


@dataclass(frozen=True, eq=False)
class ScanSample:
    """A scan, its plan and a sample of its frames: what the checks examine.

    Attributes
    ----------
    scan, settings, plan
        Scan, settings and plan to check; positions of ``scan`` are in metres.
    picked
        (m,) positions of the plan in the sample.
    raw
        (m, k, h, w) exposures of the sample as the file has them.
    in_pixels
        Whether the file has positions in pixels, consistent with any energy, distance and pixel.
    frames, good
        (m, ny, nx) the same corrected, float32, and which pixels of them are good.
    """

    scan: Scan
    settings: Settings
    plan: Plan
    picked: Ints
    raw: NDArray[Any]
    in_pixels: bool
    frames: Float32s
    good: Bools

    @classmethod
    def at(cls, scan: Scan, settings: Settings, plan: Plan) -> ScanSample:
        """From at most 64 positions spread over the plan, fewer where frames are big."""
        picked = spread_positions(plan)
        raw = plan.load(picked)
        in_pixels, corrected = scan.positions_px is not None, plan.correct(raw, picked)
        return cls(in_metres(scan, settings), settings, plan, picked, raw, in_pixels, *corrected)

    @cached_property
    def totals(self) -> Floats:
        """(m,) counts of each frame."""
        return np.asarray(self.frames.sum((1, 2), dtype=np.float64))

    @cached_property
    def illuminated(self) -> Bools:
        """(m,) frames that show the beam."""
        positive = self.totals[self.totals > 0]
        middle = float(np.median(positive)) if positive.size else np.inf
        return np.asarray(self.totals >= BEAM_SHARE * middle)

    @property
    def usual_counts(self) -> float:
        """Median counts of the frames that show the beam; 0 where none does."""
        return float(np.median(self.totals[self.illuminated])) if self.illuminated.any() else 0.0

    @cached_property
    def ever_good(self) -> Bools:
        """(ny, nx) pixels that are good in some frame."""
        return np.asarray(self.good.any(0))

    @cached_property
    def mean(self) -> Floats:
        """(ny, nx) mean counts of the frames that show the beam; 0 where never good."""
        total = self.frames[self.illuminated].sum(0, dtype=np.float64)
        return np.asarray(total / np.maximum(self.good[self.illuminated].sum(0), 1))

    @cached_property
    def filled_mean(self) -> Floats:
        """:attr:`mean` with bad pixels filled from their neighbours."""
        return inpaint(self.mean, self.ever_good)

    @cached_property
    def radius(self) -> Floats:
        """(ny, nx) distance from the beam centre over that of the nearest edge."""
        return relative_radius(self.plan.geometry.center_px, self.plan.geometry.shape)

    @cached_property
    def centre(self) -> Centre:
        """The beam centre in raw pixels, found by several methods from whole frames."""
        return measure(self.scan, self.settings, self.plan)

    @cached_property
    def moves(self) -> tuple[Floats, Floats] | None:
        """(n, 2) motion of the stage between pairs of frames, and of the images, in pixels.

        None where too few frames have neighbours.
        """
        first, second = _pairs(self)
        if len(first) < PAIRS:
            return None
        points = self.plan.positions_m / min(self.plan.geometry.pixel_m)
        return points[second] - points[first], _moved_px(self, first, second)

    @cached_property
    def probe_share(self) -> float | None:
        """The probe's diameter in fields of view, see :func:`probe_share`."""
        return probe_share(self.frames[self.illuminated], self.ever_good)

    @cached_property
    def field_m(self) -> float:
        """Field of view λz/p of a reconstruction, its smaller side; padding does not change it."""
        geometry = self.plan.geometry
        span = geometry.wavelength_m * geometry.distance_m
        return float(span / max(geometry.pixel_m))

    @cached_property
    def energy_distance_pixel(self) -> tuple[float, float, float]:
        """Photon energy in eV, distance in m and pixel in m, as stored or given."""
        energy_eV, distance_m, pixel_m = quantities(self.scan, self.settings)
        return energy_eV, distance_m, float(min(pixel_m))


EDGE = 1e-3
"""Share of its highest value to which the autocorrelation falls at the probe's diameter."""

SIGMAS, FEWEST = 5.0, 16
"""Excess over the noise up to that diameter, and the fewest frames to average."""

LEAST_LEFT = 0.1
"""Minimum fraction of pixel pairs at a distance that a mask is assumed to leave."""


def probe_share(frames: NDArray[Any], good: Bools) -> float | None:
    """Diameter of the illuminated patch over the field of view λz/p of the reconstruction.

    The speckle size is inverse to the probe width: the power spectrum of the changes from frame to
    frame is, on average, the squared modulus of the autocorrelation of the probe's intensity,
    whatever the sample; photon noise adds a constant. It ends at one probe diameter. Positions do
    not enter, so a wrong unit does no harm. Within a third of the width of 4σ (ISO 11146) for
    round beams; a sample that is smooth over much of the probe makes it appear smaller.

    Source of the principle: J. W. Goodman, Speckle Phenomena in Optics (2007), section 4.4.

    Parameters
    ----------
    frames
        (m, ny, nx) counts.
    good
        (ny, nx) pixels to use.

    Returns
    -------
    float or None
        At most 0.5, which means half the field or more. None where there are fewer than 16
        frames, or only noise changes.
    """
    if len(frames) < FEWEST or not (frames > 0).any():
        return None
    radius, profile, noise = _autocorrelation(frames, good)
    top = float(profile.max())
    below = np.flatnonzero(profile < np.maximum(EDGE * top, SIGMAS * noise))
    outer = below[below > int(profile.argmax())]
    if top < 2 * SIGMAS * noise[1]:
        return None
    return float(radius[outer[0]]) if outer.size else 0.5


def _autocorrelation(frames: NDArray[Any], good: Bools) -> tuple[Floats, Floats, Floats]:
    """Radius in fields of view, the excess over photon noise there, and its own noise."""
    good = good & np.asarray(frames > 0).any(0)  # a gap missing from the mask has edges, too
    counts = np.where(good, frames, 0).astype(np.float32)
    totals = counts.sum((1, 2), dtype=np.float64)
    counts *= (totals.mean() / np.maximum(totals, 1e-12)).astype(np.float32)[:, None, None]
    counts -= counts.mean(0)
    power = sum(np.abs(scipy.fft.fft2(frame, norm="ortho")) ** 2 for frame in counts)
    spectrum = np.asarray(power, np.float64) / len(counts)
    if not good.all():
        spectrum = _without_gaps(spectrum, counts, good)
    ny, nx = spectrum.shape
    distance = np.hypot(scipy.fft.fftfreq(ny)[:, None], scipy.fft.fftfreq(nx)[None])
    floor = float(np.median(spectrum[distance > 0.55]))
    bins = max(8, min(ny, nx) // 2)
    ring = (distance * 2 * bins).astype(int).ravel()
    number = np.maximum(np.bincount(ring)[:bins], 1)
    mean = np.bincount(ring, spectrum.ravel())[:bins] / number
    if not good.all():  # a gap's edges spread over a few pixels of each ring
        mean = np.asarray(ndimage.median(spectrum.ravel(), ring, np.arange(bins)))
    # Half of the pixels are independent; speckle intensities have unit relative variance.
    noise = floor / np.sqrt(number * len(counts) / 2)
    return (np.arange(bins) + 0.5) / (2 * bins), mean - floor, noise


def _without_gaps(spectrum: Floats, changes: Float32s, good: Bools) -> Floats:
    """The power spectrum as if all pixels were good.

    The mask reduces the number of pixel pairs at each distance; the sum of their products is
    divided by the fraction left, each pixel weighted by how much it changes.
    """
    size = np.where(good, np.sqrt((changes**2).mean(0, dtype=np.float64)), 0)
    left, whole = (_products(part) for part in (size, inpaint(size, good)))
    share = np.maximum(left / np.maximum(whole, 1e-300), LEAST_LEFT)
    return np.asarray(scipy.fft.fft2(scipy.fft.ifft2(spectrum) / share).real)


def _products(size: Floats) -> Floats:
    """(ny, nx) sum of the products of any two pixels at each distance."""
    return np.asarray(scipy.fft.ifft2(np.abs(scipy.fft.fft2(size)) ** 2).real)


COMPARED, FARTHER = 12, 2.0
"""Positions compared with their nearest neighbour, and with one this many times as far away."""

PAIRS, MOST_NEAR = 8, 30
"""Minimum number of pairs of frames compared, and neighbours to choose from."""


def _pairs(sample: ScanSample) -> tuple[Ints, Ints]:
    """Positions of the plan, and others near them: the nearest, and one farther away."""
    points = sample.plan.positions_m
    illuminated = sample.picked[sample.illuminated]
    if len(illuminated) < 2:
        return illuminated[:0], illuminated[:0]
    here = illuminated[:: max(1, len(illuminated) // COMPARED)][:COMPARED]
    distances, near = cKDTree(points).query(points[here], k=min(MOST_NEAR, len(points)))
    pairs = []
    for position, away, others in zip(here, distances, near, strict=True):
        apart = away > 0
        if apart.any():
            nearest = int(np.argmax(apart))
            farther = int(np.argmin(np.abs(away - FARTHER * away[nearest])))
            pairs += [(position, others[k]) for k in {nearest, farther}]
    first, second = np.array(pairs, np.int64).reshape(-1, 2).T
    return first, second


def _moved_px(sample: ScanSample, first: Ints, second: Ints) -> Floats:
    """(n, 2) by how many pixels the image moved from the first frame to the second."""
    level = np.maximum(sample.filled_mean, 1.0)
    needed, numbers = np.unique(np.stack([first, second]), return_inverse=True)
    frames, good = sample.plan.correct(sample.plan.load(needed), needed)
    waves = [
        scipy.fft.rfft2(np.where(ok & sample.ever_good, (frame - level) / np.sqrt(level), 0))
        for frame, ok in zip(frames, good, strict=True)
    ]
    moved = []
    for one, other in numbers.reshape(2, -1).T:
        correlation = scipy.fft.irfft2(waves[other] * waves[one].conj(), frames.shape[1:])
        peak = np.unravel_index(int(correlation.argmax()), correlation.shape)
        moved.append(
            [(c + n // 2) % n - n // 2 for c, n in zip(peak, correlation.shape, strict=True)]
        )
    return np.array(moved, np.float64)
