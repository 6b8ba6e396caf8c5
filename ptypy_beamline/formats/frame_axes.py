"""How frames lie in a file, and frames with their positions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..arrays import Floats, Ints
from ..errors import ScanError
from ..frames.hdf5 import Hdf5Frames
from ..scan import Frames
from .acquisition_numbers import AcquisitionNumbers, average
from .exposure_groups import by_acquisition, for_frames
from .hdf5_source import Found, Hdf5Source
from .positions import Axes, Placed

Split = Callable[[Hdf5Source, Floats, tuple[int, ...]], tuple[Floats, Floats]]
"""(source, array as stored or in metres, possible numbers of positions) → y, x."""


@dataclass(frozen=True)
class FrameLayout:
    """The frames' axes, and the index on the axis before them, of length ``outer``, if any."""

    axes: Axes
    leading: int | None = None
    outer: int = 0

    @classmethod
    def of(cls, shape: Axes, leading: int | None) -> FrameLayout:
        """Of a frames' dataset of ``shape``."""
        axes = tuple(shape[:-2])
        return cls(axes) if leading is None else cls(axes[1:], leading, axes[0])

    @property
    def frames(self) -> int:
        """Number of frames."""
        return math.prod(self.axes)


@dataclass(frozen=True)
class ExternalFrames:
    """Frames that are kept outside of the file, and their acquisition numbers, if known."""

    frames: Frames | None = None
    numbers: AcquisitionNumbers | None = None


@dataclass(frozen=True)
class PairedFrames:
    """Frames and their positions, fitted to each other.

    Attributes
    ----------
    layout
        How the frames lie in the file.
    each
        Positions are by exposure; False = by group of exposures; None = not known.
    numbers
        As in :class:`Scan`.
    readings
        (m,) place in ``placed`` of each position that is stored; None = in order.
    listed_s
        When the file of the positions was last changed, if there is no room for more.
    in_pixels
        Positions are pixels of the reconstruction, not metres.
    """

    frames: Frames
    placed: Placed
    layout: FrameLayout
    each: bool | None = None
    numbers: Ints | None = None
    readings: Ints | None = None
    listed_s: float | None = None
    in_pixels: bool = False

    def for_frames(self, values: Floats, exposures: int) -> Floats | None:
        """(n,) of one value a frame, exposure, position or reading; None if it is none of these."""
        n, m = self.frames.shape[0], len(self.placed.positions_m)
        at = np.arange(n) if self.numbers is None else self.numbers
        each = bool(self.each)
        if self.readings is not None and len(values) == len(self.readings) != n:
            by_position = average(self.readings, values)
            return by_acquisition(by_position, at, 1 if each else exposures)
        return for_frames(values, at, m, exposures, each)


@dataclass(frozen=True)
class StoredPositions:
    """Positions as they are stored: how to place them for a layout, whether they are logged
    with each frame, and as in :class:`Stack`."""

    place: Callable[[FrameLayout], Placed]
    logged: bool
    listed_s: float | None
    in_pixels: bool


def leading_axis(
    shape: Axes, outer_index: int | None, fits: bool = True, inner_fits: bool = False
) -> int | None:
    """Index on the axis before those of the frames, or None if there is no such axis.

    Parameters
    ----------
    shape
        Of the frames' dataset: (N,y,x), (A,B,y,x), (P,N,y,x) or (P,A,B,y,x).
    fits, inner_fits
        Of four axes: whether the positions are as many as all frames, and as those after the
        first axis.

    Raises
    ------
    ScanError
        ``outer_index`` is needed, out of range, or there is nothing it could mean.
    """
    if not 3 <= len(shape) <= 5:
        raise ScanError(
            f"Expected a stack of frames (N,y,x). Got shape {shape}",
            "set paths.frames (--path frames=PATH)",
        )
    entries = shape[0]
    if outer_index is not None:
        if len(shape) == 3:
            raise ScanError(
                f"Expected a leading axis for outer_index. Got frames {shape}",
                "leave outer_index (--outer-index) out",
            )
        if not 0 <= outer_index < entries:
            raise ScanError(
                f"Expected outer_index 0 to {entries - 1} for frames {shape}. Got {outer_index}",
                "set outer_index (--outer-index)",
            )
        return outer_index
    if len(shape) == 3 or (len(shape) == 4 and (fits or not inner_fits)):
        return None
    if entries > 1:
        raise ScanError(
            f"frames {shape} hold {entries} projections, energies or repeats",
            f"choose one by outer_index (--outer-index) 0 to {entries - 1}",
        )
    return 0


def follow(values: Floats, at: FrameLayout, k: int, columns: int = 0) -> Floats:
    """The part of ``values`` that belongs to the leading index, if they have that axis, too.

    They are then as many as the frames after it, or as the positions of ``k`` frames each.
    """
    if at.leading is None or values.ndim < 2 + columns or values.shape[0] != at.outer:
        return values
    inner = math.prod(values.shape[1 : values.ndim - columns])
    belongs = values.shape[1] == at.axes[0] or inner * k == at.frames
    return np.asarray(values[at.leading]) if belongs else values


def stack_like_the_frames(found: Found, at: FrameLayout) -> Hdf5Frames:
    """Images of a dataset; of one that is laid out like the frames those of the leading index."""
    alike = at.leading is not None and found.dataset.shape[:-2] == (at.outer, *at.axes)
    return Hdf5Frames(found.file, found.name, at.leading if alike else None)
