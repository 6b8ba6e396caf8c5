"""Raw exposures whose dark, flat or mask differs from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..arrays import Floats
from ..scan import Frames, Indices, Readiness, Window


@dataclass(frozen=True, eq=False)
class CorrectedFrames:
    """Exposures with images of their own applied as they are read; a bad pixel is NaN.

    Attributes
    ----------
    frames
        Raw exposures (n, ny, nx).
    dark, flat
        One image for each exposure: counts = (raw − dark − ``offset``)/flat.
    bad
        Stacks of bool, one image for each exposure, True = bad in it.
    offset
        (ny, nx) subtracted before a flat divides.
    lowest, saturation
        Raw numbers below ``lowest``, and at or above ``saturation``, are bad.
    """

    frames: Frames
    dark: Frames | None = None
    flat: Frames | None = None
    bad: tuple[Frames, ...] = ()
    offset: Floats | None = field(default=None, repr=False)
    lowest: float = -np.inf
    saturation: float = np.inf

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, ny, nx)."""
        return self.frames.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of a corrected pixel: raw counts minus a dark need all digits."""
        return np.dtype(np.float64)

    def read(self, indices: Indices, window: Window) -> Floats:
        """Corrected counts of ``window`` (inside the frame), (len(indices), height, width)."""
        raw = self.frames.read(indices, window)
        counts = raw.astype(np.float64)
        counted = np.isfinite(counts) & (counts >= self.lowest) & (counts < self.saturation)
        counts[~counted] = np.nan
        if self.dark is not None:
            counts -= self.dark.read(indices, window)
        if self.offset is not None:
            counts -= self.offset[window.slices]
        if self.flat is not None:
            flat = self.flat.read(indices, window).astype(np.float64)
            counts /= np.where(np.isfinite(flat) & (flat > 0), flat, np.nan)
        for bad in self.bad:
            counts[bad.read(indices, window)] = np.nan
        counts[~np.isfinite(counts)] = np.nan
        return counts

    @property
    def images(self) -> str:
        """What differs from frame to frame, in words."""
        there = {"dark": self.dark, "flat": self.flat, "mask": self.bad}
        return ", ".join(name for name, images in there.items() if images) + " of each frame"

    def ready(self) -> Readiness:
        """Those of the raw exposures."""
        return self.frames.ready()
