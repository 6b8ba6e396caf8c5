"""From exposures to the loaded frame: group → align → bin → orient → pad."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..arrays import Bools, Float32s
from ..errors import SettingsError
from ..settings import Settings
from .pixels import MEAN, RATE, SUM

MODES = {"sum": SUM, "hdr": RATE, **dict.fromkeys(("mean", "first", "best", "none"), MEAN)}
"""Grouping → how exposures are combined."""


@dataclass(frozen=True)
class Transform:
    """Operations on a window of corrected pixels.

    Attributes
    ----------
    grouping
        How the exposures of a position become one frame.
    align
        Shift each frame to a common centre of mass.
    rebin
        Bins of rebin × rebin pixels are summed.
    orientation
        (transpose, flipud, fliplr), in this order.
    pad
        Pixels added (top, bottom, left, right).
    window_shape
        (height, width) of the window.
    """

    grouping: str
    align: bool
    rebin: int
    orientation: tuple[bool, bool, bool]
    pad: tuple[int, int, int, int]
    window_shape: tuple[int, int]

    @property
    def inner_shape(self) -> tuple[int, int]:
        """Frame after binning and orienting."""
        h, w = (n // self.rebin for n in self.window_shape)
        return (w, h) if self.orientation[0] else (h, w)

    @property
    def shape(self) -> tuple[int, int]:
        """Loaded frame (ny, nx)."""
        (h, w), (top, bottom, left, right) = self.inner_shape, self.pad
        return h + top + bottom, w + left + right

    @property
    def is_identity(self) -> bool:
        """True if there is nothing to do but grouping."""
        return self.rebin == 1 and not (self.align or any(self.orientation) or any(self.pad))

    def center(self, center_px: tuple[float, float]) -> tuple[float, float]:
        """Position in the loaded frame of a point of the window.

        A bin's centre lies between its pixels: c → (c + ½)/b − ½. Flipping an even frame moves its
        middle pixel N/2 to N/2 − 1.
        """
        y, x = ((c + 0.5) / self.rebin - 0.5 for c in center_px)
        transpose, ud, lr = self.orientation
        if transpose:
            y, x = x, y
        h, w = self.inner_shape
        y, x = (h - 1 - y if ud else y), (w - 1 - x if lr else x)
        return y + self.pad[0], x + self.pad[2]

    def pixel(self, pixel_m: tuple[float, float]) -> tuple[float, float]:
        """Pixel size (y, x) of the loaded frame, from that of the detector."""
        y, x = (p * self.rebin for p in pixel_m)
        return (x, y) if self.orientation[0] else (y, x)

    def apply(
        self,
        frames: Float32s,
        good: Bools,
        center_px: tuple[float, float],
        out: tuple[Float32s, Bools],
    ) -> Bools:
        """Align, bin, orient and pad frames (p, H, W) into ``out`` (frames, good), zero on entry.

        ``center_px`` is the beam centre in the window. Returns which frames (p,) have bad pixels of
        their own: those that were shifted, and those with bins that overflow.
        """
        from . import kernels

        own = np.full(len(frames), self.align)
        shift = np.zeros((len(frames), 2), np.int64)
        if self.align:
            kernels.shift_to_center(frames, center_px, shift)
        corner = (self.pad[0], self.pad[2])
        how = self.rebin, self.orientation, corner, self.inner_shape
        kernels.shift_bin_orient_pad(frames, good, shift, *how, *out, own)
        return own


def make_transform(settings: Settings, window_shape: tuple[int, int]) -> Transform:
    """Check and compile the frame transform.

    Raises
    ------
    SettingsError
        The window is not a multiple of the bin.
    """
    b = settings.rebin
    if any(n % b for n in window_shape):
        fit = ",".join(str(max(n // b, 1) * b) for n in window_shape)
        raise SettingsError(
            f"a window of {window_shape[0]}x{window_shape[1]} is not a multiple of rebin={b}",
            f"set shape (--roi) to a multiple, for example {fit}",
        )
    how = settings.grouping, settings.align == "com", b, settings.orientation_flags
    unpadded = Transform(*how, (0, 0, 0, 0), window_shape)
    return replace(unpadded, pad=_border(settings.pad, unpadded.shape))


def _border(pad: Any, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) of ``pad`` for a frame of ``shape``."""
    if pad == "square":
        side = max(shape)
        (top, left) = ((side - n) // 2 for n in shape)
        return top, side - shape[0] - top, left, side - shape[1] - left
    if isinstance(pad, int):
        return pad, pad, pad, pad
    border = pad or (0, 0, 0, 0)
    if min(border) < 0:
        raise SettingsError(f"pad must not be negative. Got {border}", "cut with shape instead")
    return border
