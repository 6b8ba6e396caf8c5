"""What was measured, for the plain reference, and its error for settings that make no sense."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


class RefusedError(Exception):
    """The settings make no sense for the scan; one of ``words`` must be in the error."""

    def __init__(self, *words: str) -> None:
        super().__init__(" or ".join(words))
        self.words = words


@dataclass(frozen=True, eq=False)
class Measured:
    """A scan as its file has it; None if it is not stored.

    Attributes
    ----------
    frames
        (n, ny, nx), or (projections, n, ny, nx), counts as they are stored.
    positions
        (m, 2) y, x in metres or, ``in_pixels``, in pixels of the reconstruction of the raw frame.
    each
        A position is listed for each exposure, not for each group of them.
    mask, dark, flat, monitor, exposure_s, center_px, saturation
        As stored.
    no_count
        Raw number that stands for no count.
    row
        Positions in a row of a raster; 0 if it is none.
    fast
        Axis of the positions that runs fast.
    bidirectional
        Rows are listed forwards and backwards in turns.
    beam_px
        Where the beam really is.
    hot
        Pixels that are really hot or dead, and that ``hot_sigma`` must find.
    corner
        Frames are stored with the beam at pixel (0, 0); so are images that are given.
    """

    frames: np.ndarray
    positions: np.ndarray
    in_pixels: bool = False
    each: bool = False
    energy_eV: float | None = None
    distance_m: float | None = None
    pixel_m: tuple[float, float] | None = None
    exposure_s: Any = None
    mask: np.ndarray | None = None
    dark: np.ndarray | None = None
    flat: np.ndarray | None = None
    monitor: np.ndarray | None = None
    center_px: tuple[float, float] | None = None
    saturation: float | None = None
    no_count: float | None = None
    row: int = 0
    fast: int = 1
    bidirectional: bool = False
    beam_px: tuple[float, float] = (0, 0)
    hot: np.ndarray | None = None
    corner: bool = False
