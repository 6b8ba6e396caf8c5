"""A sample of a plan's frames and what is measured of it, once for all checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bools, Float32s, Floats, Ints
from ..planning.make import in_metres, quantities
from ..planning.mend import fill
from ..planning.plan import Plan
from ..scan import SAMPLE, Scan, sample_indices
from ..settings import Settings
from .centre import Centre, measure
from .probe import probe_share
from .shifts import moves

SAMPLE_BYTES, MINIMUM = 2**27, 9
"""Memory for the corrected sample, and how many frames it has at least."""

DIM = 0.25
"""Frames with less than this share of the median counts show no beam."""


@dataclass(frozen=True, eq=False)
class Look:
    """What the checks look at.

    Attributes
    ----------
    scan, settings, plan
        What is checked; positions of ``scan`` are in metres.
    picked
        (m,) positions of the plan in the sample.
    raw
        (m, k, h, w) exposures of the sample as the file has them.
    in_pixels
        Whether the file has positions in pixels, which fit any energy, distance and pixel.
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
    def at(cls, scan: Scan, settings: Settings, plan: Plan) -> Look:
        """From at most 64 positions spread over the plan, fewer where frames are big."""
        ny, nx = plan.geometry.shape
        most = max(MINIMUM, SAMPLE_BYTES // (4 * ny * nx))
        picked = sample_indices(len(plan), min(most, SAMPLE))
        raw = plan.load(picked)
        return cls(
            in_metres(scan, settings),
            settings,
            plan,
            picked,
            raw,
            scan.positions_px is not None,
            *plan.correct(raw, picked),
        )

    @cached_property
    def totals(self) -> Floats:
        """(m,) counts of each frame."""
        return np.asarray(self.frames.sum((1, 2), dtype=np.float64))

    @cached_property
    def lit(self) -> Bools:
        """(m,) frames that show the beam."""
        positive = self.totals[self.totals > 0]
        middle = float(np.median(positive)) if positive.size else np.inf
        return np.asarray(self.totals >= DIM * middle)

    @property
    def usual_counts(self) -> float:
        """Median counts of the frames that show the beam; 0 where none does."""
        return float(np.median(self.totals[self.lit])) if self.lit.any() else 0.0

    @cached_property
    def seen(self) -> Bools:
        """(ny, nx) pixels that are good in some frame."""
        return np.asarray(self.good.any(0))

    @cached_property
    def mean(self) -> Floats:
        """(ny, nx) mean counts of the frames that show the beam; 0 where never good."""
        number = self.good[self.lit].sum(0)
        return np.asarray(self.frames[self.lit].sum(0, dtype=np.float64) / np.maximum(number, 1))

    @cached_property
    def mended(self) -> Floats:
        """:attr:`mean` with bad pixels filled from their neighbours."""
        return fill(self.mean, self.seen)

    @cached_property
    def radius(self) -> Floats:
        """(ny, nx) distance from the beam centre over that of the nearest edge."""
        return from_beam(self.plan.geometry.center_px, self.plan.geometry.shape)

    @cached_property
    def centre(self) -> Centre:
        """The beam centre in raw pixels, found in several ways from whole frames."""
        return measure(self.scan, self.settings, self.plan)

    @cached_property
    def moves(self) -> tuple[Floats, Floats] | None:
        """How far the stage and pictures have moved between frames, see :func:`.shifts.moves`."""
        return moves(self)

    @cached_property
    def share(self) -> float | None:
        """The probe's diameter in fields of view, see :func:`probe_share`."""
        return probe_share(self.frames[self.lit], self.seen)

    @cached_property
    def field_m(self) -> float:
        """Field of view λz/p of a reconstruction, its smaller side; padding does not change it."""
        geometry = self.plan.geometry
        span = geometry.wavelength_m * geometry.distance_m
        return float(span / max(geometry.pixel_m))

    @cached_property
    def detector(self) -> tuple[float, float, float]:
        """Photon energy in eV, distance in m and pixel in m, as stored or given."""
        energy_eV, distance_m, pixel_m = quantities(self.scan, self.settings)
        return energy_eV, distance_m, float(min(pixel_m))


def from_beam(center_px: Sequence[float], shape: tuple[int, ...]) -> Floats:
    """(ny, nx) distance from the beam centre over that of the nearest edge, at least a pixel."""
    edge = max(1.0, min(min(c + 0.5, n - c - 0.5) for c, n in zip(center_px, shape, strict=True)))
    rows, columns = np.indices(shape)
    return np.asarray(np.hypot(rows - center_px[0], columns - center_px[1]) / edge)
