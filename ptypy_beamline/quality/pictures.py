"""Pictures of frames: small ones of all, large ones of a few."""

from __future__ import annotations

import math

import numpy as np

from ..arrays import Bytes, Float32s, Ints
from ..planning.plan import Plan
from .spool import Spool

PIXELS = 3_000_000
"""Of all small pictures together, so that a page with them stays small."""


def small_pictures(spool: Spool) -> Bytes:
    """(n, s, s) logarithm of the binned counts, 255 = the highest of the scan.

    ``s`` is what fits into :data:`PIXELS`, at most the bins of the spool.
    """
    highest = max(float(images.max()) for images in spool.batches()) or 1.0
    return np.concatenate(
        [_scaled(images, len(spool)) * (255 / math.log1p(highest)) for images in spool.batches()]
    ).astype(np.uint8)


def _scaled(images: Float32s, count: int) -> Float32s:
    """Logarithms, on as many pixels as ``count`` pictures may have."""
    side = images.shape[1]
    wanted = max(4, min(side, math.isqrt(PIXELS // count)))
    picked = (np.arange(wanted) * side) // wanted
    return np.log1p(images)[:, picked[:, None], picked]


def large_pictures(plan: Plan, rows: Ints) -> dict[int, Float32s]:
    """Corrected frames of some positions: raw frame → (ny, nx)."""
    found: dict[int, Float32s] = {}
    for block in plan.stream(np.sort(rows), say_empty=False):
        found.update(zip(block.exposures[:, 0].tolist(), block.frames.copy(), strict=True))
    return found
