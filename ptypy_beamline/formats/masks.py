"""From a stored detector mask to bad pixels: one rule for each convention."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ScanError
from ..scan import Frames, Window
from .source import Found, Source

CXI_HAS_SIGNAL = 0x1000
"""The one bit of a CXI mask that does not spoil a pixel (CXI 1.6, section "mask")."""

EIGER_BAD = 0x8000FFFF
"""Bits of an Eiger mask that spoil a pixel: the lower 16, and 31 for a virtual pixel (Dectris,
SIMPLON API 1.8, "pixel_mask": 0 gap, 1 dead, 2 under-, 3 overresponding, 4 noisy, 31 virtual)."""

SAMPLE = 8
"""Frames looked at to tell whether a mask is inverted."""

RULES = {
    "bad": lambda mask: mask != 0,
    "good": lambda mask: mask == 0,
    "cxi": lambda mask: (mask.astype(np.int64) & ~CXI_HAS_SIGNAL) != 0,
    "eiger": lambda mask: (mask.astype(np.int64) & EIGER_BAD) != 0,
}
"""Convention → bad pixels of a mask; named by what nonzero means."""


def bad_pixels(source: Source, found: Found, frames: Frames, rule: str) -> NDArray[np.bool_]:
    """(ny, nx) bool, True = ignore.

    Parameters
    ----------
    rule
        One of ``RULES``; ``opening.mask_values`` overrides it.

    Raises
    ------
    ScanError
        The mask is not of the frames' shape.
    """
    shape = found.dataset.shape
    if shape[-2:] != frames.shape[1:] or any(n != 1 for n in shape[:-2]):
        raise ScanError(f"Expected a mask {frames.shape[1:]} as the frames. "
                        f"Got {found.name} of shape {shape}",
                        "set paths.mask (--path mask=PATH)", found.file)  # fmt: skip
    mask: NDArray[Any] = found.dataset[()].reshape(shape[-2:])
    given = source.opening.mask_values
    bad: NDArray[np.bool_] = RULES[given or rule](mask)
    if rule == "cxi" and not given and bad.mean() > 0.5 and _holds_the_counts(frames, bad):
        source.assume(
            f"{found.name} would discard most of the detector and of the counts: taken "
            "as inverted (0 = bad); settle it with mask_values (--mask-values)"
        )
        return np.asarray(RULES["good"](mask))
    return bad


def _holds_the_counts(frames: Frames, bad: NDArray[np.bool_]) -> bool:
    """Whether most counts of a few frames lie on bad pixels."""
    n, ny, nx = frames.shape
    chosen = sorted({n * i // SAMPLE for i in range(SAMPLE)}) if n else []
    raw = frames.read(chosen, Window.full((ny, nx)))
    counts = np.where(np.isfinite(raw), np.abs(raw), 0).astype(np.float64)
    if raw.dtype.kind in "iu":  # detectors write the largest number where there is no pixel
        counts[raw == np.iinfo(raw.dtype).max] = 0
    total = counts.sum()
    return bool(total > 0 and counts[:, bad].sum() > total / 2)
