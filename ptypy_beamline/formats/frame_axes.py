"""The axes of a dataset of frames, and what else in the file is on its leading axis."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..arrays import Floats
from ..errors import ScanError
from .positions import Axes


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
    if outer_index is not None and len(shape) == 3:
        raise ScanError(
            f"Expected a leading axis for outer_index. Got frames {shape}",
            "leave outer_index (--outer-index) out",
        )
    if outer_index is None and (len(shape) == 3 or (len(shape) == 4 and (fits or not inner_fits))):
        return None
    what = "projections, energies or repeats"
    return chosen_scan(outer_index, shape[0], f"frames {shape} hold", what)


def chosen_scan(outer_index: int | None, count: int, holder: str, what: str) -> int:
    """Index of the scan that is chosen of ``count``, or of the only one.

    Raises
    ------
    ScanError
        There are several, or not so many; ``holder`` and ``what`` say of what, and where.
    """
    if outer_index is None and count > 1:
        raise ScanError(
            f"{holder} {count} {what}",
            f"choose one by outer_index (--outer-index) 0 to {count - 1}",
        )
    if not 0 <= (outer_index or 0) < count:
        raise ScanError(
            f"Expected outer_index 0 to {count - 1} for {count} {what}. Got {outer_index}",
            "set outer_index (--outer-index)",
        )
    return outer_index or 0


def follow(values: Floats, at: FrameLayout, k: int, columns: int = 0) -> Floats:
    """The part of ``values`` that belongs to the leading index, if they have that axis, too.

    They are then as many as the frames after it, or as the positions of ``k`` frames each.
    """
    if at.leading is None or values.ndim < 2 + columns or values.shape[0] != at.outer:
        return values
    inner = math.prod(values.shape[1 : values.ndim - columns])
    belongs = values.shape[1] == at.axes[0] or inner * k == at.frames
    return np.asarray(values[at.leading]) if belongs else values
