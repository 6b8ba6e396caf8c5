"""Bad pixels from stored detector masks: one rule for each convention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Bools
from ..scan import Indices, Window
from .wrappers import WrappedFrames

CXI_HAS_SIGNAL = 0x1000
"""The only bit of a CXI mask that does not make a pixel bad (CXI 1.6, section "mask")."""

EIGER_BAD = 0x8000FFFF
"""Bits of an Eiger mask that make a pixel bad: the lower 16, and 31 for a virtual pixel (Dectris,
SIMPLON API 1.8, "pixel_mask": 0 gap, 1 dead, 2 under-, 3 overresponding, 4 noisy, 31 virtual)."""

RULES = {
    "bad": lambda mask: mask != 0,
    "good": lambda mask: (mask == 0) | np.isnan(mask),
    "cxi": lambda mask: (mask.astype(np.int64) & ~CXI_HAS_SIGNAL) != 0,
    "eiger": lambda mask: (mask.astype(np.int64) & EIGER_BAD) != 0,
}
"""Convention → bad pixels of a mask; ``bad`` and ``good`` say what nonzero means."""


@dataclass(frozen=True, eq=False)
class MaskFrames(WrappedFrames):
    """A stack of masks as bool, True = bad.

    Attributes
    ----------
    values
        Convention of the stored masks, a name in :data:`RULES`.
    """

    values: str = "bad"

    @property
    def dtype(self) -> np.dtype[Any]:
        """bool."""
        return np.dtype(np.bool_)

    def read(self, indices: Indices, window: Window) -> Bools:
        """Bad pixels of ``window`` (inside the frame), (len(indices), height, width)."""
        return np.asarray(RULES[self.values](self.frames.read(indices, window)), np.bool_)

    def anywhere(self, window: Window) -> Bools:
        """(height, width) pixels of ``window`` that are bad in any mask."""
        bad = np.zeros(window.shape, np.bool_)
        for number in range(self.shape[0]):
            bad |= self.read([number], window)[0]
        return bad


def different_masks(masks: int, frames: int) -> str:
    """The warning for a stack of masks whose number is not that of the frames."""
    return (
        f"{masks} masks for {frames} frames: a pixel that is bad in any of them is taken as bad in "
        "every frame; give one mask, or one for each frame, by mask (--mask)"
    )
