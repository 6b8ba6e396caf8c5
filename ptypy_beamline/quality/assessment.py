"""What quality control found: one row per raw frame."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bools, Bytes, Float32s, Floats, Ints
from ..planning.rejects import INTENSITY
from ..statistics.measurements import BinnedFrames

if TYPE_CHECKING:
    from ..statistics.events import Event


@dataclass(frozen=True, eq=False)
class Assessment:
    """What quality control found of a scan. Row i is raw frame ``frames[i]``.

    Attributes
    ----------
    frames
        (n,) int64, increasing: raw frames that were evaluated, those that have a position.
    total
        Raw frames of the scan.
    positions_m
        (n, 2) float64: y, x of the stage, metres, or as ``unit`` says.
    features
        Name → (n,) float64, as measured; NaN where a frame has no such number.
    deviation
        (n,) float64: 1 or more: the frame has a fault, and the default rule rejects it.
    reason
        (n,) str: the closest fault, or the feature that deviates most.
    score
        (n,) float64, 0 (most ordinary) to 1 (most unusual).
    stxm
        (n,) transmitted intensity: log(1 + total counts of the corrected frame).
    dpcx, dpcy
        (n,) centre of mass of the frame minus the scan's median, in detector pixels, along
        columns and rows.
    labels
        (n,) int64 class of the frame, 0…K−1; −1 = not requested.
    masked
        (n,) bool: inside the requested region; all True without one.
    rejected
        (n,) bool: excluded.
    images
        (n, s, s) uint8: a small image of each frame, logarithmic, 255 = the scan's maximum.
    settings
        Parameters of the evaluation, as plain values.
    beam
        (total,) relative beam intensity at each raw frame, from events and applied I0.
    unit
        Of the positions: ``m``, ``px``, or empty where it is not known.
    events
        Faults over many frames. They do not reject frames.
    i0_recorded
        Whether the file has an I0.
    """

    frames: Ints
    total: int
    positions_m: Floats
    features: Mapping[str, Floats]
    deviation: Floats
    reason: NDArray[np.str_]
    score: Floats
    stxm: Floats
    dpcx: Floats
    dpcy: Floats
    labels: Ints
    masked: Bools
    rejected: Bools
    images: Bytes
    settings: Mapping[str, Any]
    beam: Floats
    unit: str = "m"
    events: tuple[Event, ...] = ()
    i0_recorded: bool = False

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.frames)

    @property
    def accept_indices(self) -> Ints:
        """Raw frames to use, increasing."""
        return self.frames[~self.rejected]

    @property
    def reject_indices(self) -> Ints:
        """Rejected raw frames, increasing."""
        return self.frames[self.rejected]

    def remedies(self, folder: str | Path) -> list[str]:
        """Each event with its remedy; ``folder``: where the results are written."""
        file = "the recorded I0 (--monitor file), or by " if self.i0_recorded else ""
        scale = f"scale by {file}this estimate (--monitor {Path(folder) / INTENSITY})"
        first = "scale by the recorded I0 (--monitor file); if that does not help, "
        first = first if self.i0_recorded else ""
        return [f"{event.what}; {event.remedy(scale, first)}" for event in self.events]

    def per_frame(self, values: Floats) -> Floats:
        """``values`` of the rows as (total,) of the raw frames, NaN where there is none."""
        whole = np.full(self.total, np.nan)
        whole[self.frames] = values
        return whole


ALL_PIXELS = 3_000_000
"""Of all small images together, so that a page with them stays small."""


def small_images(binned: BinnedFrames) -> Bytes:
    """(n, s, s) logarithm of the binned counts, 255 = the highest of the scan.

    ``s`` is the largest that fits into :data:`ALL_PIXELS`, at most the number of bins.
    """
    highest = max(float(images.max()) for images in binned.batches()) or 1.0
    scale = 255 / math.log1p(highest)
    return np.concatenate(
        [_log_subsampled(images, len(binned)) * scale for images in binned.batches()]
    ).astype(np.uint8)


def _log_subsampled(images: Float32s, count: int) -> Float32s:
    """Logarithms, on as many pixels as each of ``count`` images is allowed."""
    side = images.shape[1]
    wanted = max(4, min(side, math.isqrt(ALL_PIXELS // count)))
    picked = (np.arange(wanted) * side) // wanted
    return np.log1p(images)[:, picked[:, None], picked]
