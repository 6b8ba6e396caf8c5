"""Pictures of frames: small ones of all, large ones of a few."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..planning.plan import Plan
from .spool import Spool

PIXELS = 3_000_000
"""Of all small pictures together, so that a page with them stays small."""


def small_pictures(spool: Spool) -> NDArray[np.uint8]:
    """(n, s, s) logarithm of the binned counts, 255 = the highest of the scan.

    ``s`` is what fits into :data:`PIXELS`, at most the bins of the spool.
    """
    highest = max(float(images.max()) for images in spool.batches()) or 1.0
    return np.concatenate(
        [_scaled(images, len(spool)) * (255 / math.log1p(highest)) for images in spool.batches()]
    ).astype(np.uint8)


def _scaled(images: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Logarithms, on as many pixels as ``count`` pictures may have."""
    side = images.shape[1]
    wanted = max(4, min(side, math.isqrt(PIXELS // count)))
    picked = (np.arange(wanted) * side) // wanted
    return np.log1p(images)[:, picked[:, None], picked]


def large_pictures(plan: Plan, rows: NDArray[np.int64]) -> dict[int, NDArray[np.float32]]:
    """Corrected frames of some positions: raw frame → (ny, nx)."""
    found: dict[int, NDArray[np.float32]] = {}
    for block in plan.stream(np.sort(rows), say_empty=False):
        found.update(zip(block.exposures[:, 0].tolist(), block.frames.copy(), strict=True))
    return found
