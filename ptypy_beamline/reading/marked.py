"""Frames with a mask for each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ScanError
from ..scan import Frames, Indices, Readiness, Window

AT_ONCE = 64 * 2**20
"""Bytes of masks that are looked at in one go."""


@dataclass(frozen=True, eq=False)
class Marked:
    """Frames that are NaN where their own mask says bad: every later step takes that as bad.

    Attributes
    ----------
    frames
        As stored.
    masks
        As many, of the same shape.
    rule
        Bad pixels of what is stored as mask. A function of a module: it is pickled.

    Raises
    ------
    ScanError
        There are fewer masks than frames, or they are of another shape.
    """

    frames: Frames
    masks: Frames
    rule: Callable[[NDArray[Any]], NDArray[np.bool_]]

    def __post_init__(self) -> None:
        masks, frames = self.masks.shape, self.frames.shape
        if masks[0] < frames[0] or masks[1:] != frames[1:]:
            raise ScanError(f"Expected a mask for each of {frames[0]} frames {frames[1:]}. "
                            f"Got masks of shape {masks}",
                            "set paths.mask (--path mask=PATH)")  # fmt: skip

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, ny, nx)."""
        return self.frames.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The floating type that holds every stored count exactly."""
        return np.promote_types(self.frames.dtype, np.float32)

    def read(self, indices: Indices, window: Window) -> NDArray[Any]:
        """Pixels of ``window`` (inside the frame), NaN where bad."""
        frames = self.frames.read(indices, window).astype(self.dtype, copy=False)
        frames[self.rule(self.masks.read(indices, window))] = np.nan
        return frames

    def ready(self) -> Readiness:
        """Frames that have their mask."""
        frames, masks = self.frames.ready(), self.masks.ready()
        return Readiness(min(frames.frames, masks.frames), frames.complete)

    def always_bad(self) -> NDArray[np.bool_]:
        """(ny, nx) bad in every frame; masks are read until no such pixel is left."""
        n, ny, nx = self.shape
        bad, window = np.full((ny, nx), n > 0), Window.full((ny, nx))
        few = max(1, AT_ONCE // max(ny * nx * self.masks.dtype.itemsize, 1))
        for start in range(0, n, few):
            masks = self.masks.read(np.arange(start, min(start + few, n)), window)
            bad &= self.rule(masks).all(axis=0)
            if not bad.any():
                break
        return bad
