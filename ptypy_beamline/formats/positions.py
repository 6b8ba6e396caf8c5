"""From stored coordinates to (m, 2) positions: pure functions of arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ..arrays import Bools, Floats
from ..errors import ScanError
from .exposure_groups import of_exposures, too_many

Axes = tuple[int, ...]
"""Lengths of the frame axes: (n,), or (rows, columns) of a mapped raster."""


@dataclass(frozen=True)
class Placed:
    """Positions (m, 2) in (y, x), and (rows, columns) where they form a raster."""

    positions_m: Floats
    grid: tuple[int, int] | None = None


def split(array: Floats, columns: str = "", counts: tuple[int, ...] = ()) -> tuple[Floats, Floats]:
    """Take y and x out of one array.

    Parameters
    ----------
    array
        (N,2), (N,3) as x,y,z; (2,N) or (3,N); or maps (A,B,2), (A,B,3).
    columns
        Names of the columns, as ``"x,y"`` (the default) or ``"y,x"``.
    counts
        Possible numbers of positions; they decide where both axes have 2 or 3 entries. Where they
        do not, rows are positions if columns have names.

    Raises
    ------
    ScanError
        No axis has 2 or 3 entries, or it is not known which has the positions, or the columns'
        names are not x and y.
    """
    stored = array.shape
    if array.ndim == 2:
        across = array.shape[1] in (2, 3) and array.shape[0] in counts
        down = array.shape[0] in (2, 3) and array.shape[1] in counts
        if across and down and not columns:
            raise ScanError(
                f"positions {stored} may be {stored[0]} rows or {stored[1]} columns",
                "name the columns in its attribute columns='x,y', or give x and y by "
                "paths.x, paths.y (--path x=PATH)",
            )
        if array.shape[1] not in (2, 3) or (down and not across):
            array = array.T
    if array.ndim not in (2, 3) or array.shape[-1] not in (2, 3):
        raise ScanError(
            f"Expected positions (N,2), (N,3), (2,N) or (3,N). Got {stored}",
            "set paths.positions (--path positions=PATH)",
        )
    names = [c.strip().lower() for c in (columns or "x,y,z").split(",")]
    if "x" not in names or "y" not in names or max(map(names.index, "xy")) >= array.shape[-1]:
        raise ScanError(
            f"Expected columns 'x,y' or 'y,x' of positions. Got {columns!r}",
            "give x and y by paths.x, paths.y (--path x=PATH)",
        )
    return array[..., names.index("y")], array[..., names.index("x")]


def arrange(
    y: Floats, x: Floats, axes: Axes, per_position: int = 1, per_frame: bool = False
) -> Placed:
    """Positions from lists, from the two axes of a raster, or from maps.

    Parameters
    ----------
    y, x
        Two lists; two axes (the product of their lengths is the number of positions; x runs
        fast, unless the frames' shape says y does); or two maps (A,B).
    axes
        Lengths of the frame axes.
    per_position
        Exposures of each position.
    per_frame
        Both are logged with each frame, so that the shorter one gives their number.

    Raises
    ------
    ScanError
        The shapes do not belong together.
    """
    y, x = (np.atleast_1d(np.squeeze(a)) for a in (y, x))
    if y.ndim == x.ndim == 1:
        return _lists(y, x, axes, per_position, per_frame)
    if y.shape != x.shape or y.ndim != 2:
        raise ScanError(f"Expected y and x of one shape. Got y {y.shape} and x {x.shape}")
    if len(axes) == 2 and axes == y.shape[::-1] and axes != y.shape:
        raise ScanError(
            f"Expected maps of positions {axes}, like the frames. Got {y.shape}",
            "store the maps with the axes of the frames, or name lists by paths.x, paths.y",
        )
    return Placed(np.stack([y.ravel(), x.ravel()], axis=1), (y.shape[0], y.shape[1]))


def _lists(y: Floats, x: Floats, axes: Axes, per_position: int, per_frame: bool) -> Placed:
    if per_frame:
        common = min(len(y), len(x))
        return Placed(np.stack([y[:common], x[:common]], axis=1))
    if _raster_axes(y, x, math.prod(axes), per_position):
        return _raster(y, x, axes)
    if len(y) != len(x):
        raise ScanError(
            f"Expected y and x of equal length, or the axes of a raster of "
            f"{math.prod(axes)} frames. Got y {y.shape} and x {x.shape}",
            "give the right ones by paths.x, paths.y (--path x=PATH)",
        )
    grid = (axes[0], axes[1]) if len(axes) == 2 and math.prod(axes) == len(y) else None
    return Placed(np.stack([y, x], axis=1), grid)


def _raster_axes(y: Floats, x: Floats, frames: int, per_position: int) -> bool:
    """Whether these are the axes of a raster, possibly a stopped one."""
    rows, columns = len(y), len(x)
    points = rows * columns
    if rows == columns and rows * per_position == frames:  # a list, and all its exposures
        return False
    if frames > 1 and frames in (points, points * per_position):
        return True
    stopped = max(rows, columns) * per_position < frames < points * per_position
    if rows != columns:
        return stopped
    # Two such lists are a diagonal line, which is not a usual scan.
    if rows <= 2 or not all((d > 0).all() or (d < 0).all() for d in (np.diff(y), np.diff(x))):
        return False
    if 1 < frames < rows:
        raise ScanError(
            f"{frames} frames may be the first of {rows} positions or of a raster of "
            f"{rows} x {columns}: y and x have {rows} values each",
            "give a position for each frame by paths.positions (--path positions=PATH)",
        )
    return stopped


def _raster(y: Floats, x: Floats, axes: Axes) -> Placed:
    """All points of a raster in the order of the frames."""
    grid_y, grid_x = np.meshgrid(y, x, indexing="ij")
    if axes == (len(x), len(y)) and len(x) != len(y):  # by the frames' axes, x is slow
        grid_y, grid_x = grid_y.T, grid_x.T
    rows, columns = grid_y.shape
    return Placed(np.stack([grid_y.ravel(), grid_x.ravel()], axis=1), (rows, columns))


SEE_CHECK = ": see ptypy-beamline check"
STOPPED = "the scan was stopped, or frames were lost in the middle" + SEE_CHECK
"""What fewer frames than positions may mean, where neither has numbers."""


def pair(
    frames: int, placed: Placed, exposures: int = 1, lagging: bool = False
) -> tuple[Placed, int, str]:
    """Check the number of positions against that of frames.

    Parameters
    ----------
    exposures
        Of each of these positions.
    lagging
        Positions may be written after their frames.

    Returns
    -------
    placed : Placed
        Without trailing NaN padding; more positions than frames are kept.
    frames : int
        Frames that have a position.
    warning : str
        Empty, or what is missing in a scan that was stopped.

    Raises
    ------
    ScanError
        Positions are not finite, or fewer than the frames.
    """
    positions = without_padding(placed.positions_m)
    count = len(positions)
    padded = count < len(placed.positions_m)
    placed = Placed(positions, None if padded else placed.grid)
    if frames == exposures * count:
        return placed, frames, ""
    times = of_exposures(exposures)
    counts = f"{frames} frames for {count} positions{times}"
    if frames < exposures * count:
        return placed, frames, f"{counts}: {STOPPED}; the first ones are paired"
    if lagging or padded:
        warning = f"{counts}: a scan that was stopped; only frames with positions are used"
        return placed, exposures * count, warning
    raise too_many(frames, count, times)


def zero_padding(placed: Placed) -> tuple[Placed, int]:
    """Positions of exactly (0, 0) at the end, away from the scan, as NaN; and how many.

    Away is farther from all others than these mostly are from their next.
    """
    zero: Bools = np.asarray((placed.positions_m == 0).all(axis=1))
    others = placed.positions_m[~zero & np.isfinite(placed.positions_m).all(axis=1)]
    count = int(np.argmin(zero[::-1])) if len(others) else 0
    if not count or len(others) < 3:
        return placed, 0
    step = np.median(np.linalg.norm(np.diff(others, axis=0), axis=1))
    low, high = others.min(axis=0) - 1.5 * step, others.max(axis=0) + 1.5 * step
    if ((low <= 0) & (high >= 0)).all() or zero[:-count].any():
        return placed, 0
    positions = placed.positions_m.copy()
    positions[-count:] = np.nan
    return replace(placed, positions_m=positions), count


FARTHEST = 1e30
"""No stage reaches so far in any unit, nor its inverse; squares of such numbers are not finite."""


def without_padding(positions: Floats) -> Floats:
    """Without the trailing rows of NaN.

    Raises
    ------
    ScanError
        Nothing is left, or no position on a stage.
    """
    finite = np.isfinite(positions)
    used = np.flatnonzero(finite.any(axis=1))
    if not used.size:
        raise ScanError("Expected positions. Got no finite one", "set paths.x and paths.y")
    extent = float(np.nanmax(np.where(finite, abs(positions), np.nan)))
    if extent > FARTHEST or 0 < extent < 1 / FARTHEST:
        raise ScanError(
            f"Expected positions on a stage. Got some that reach {extent:.3g}",
            "set paths.x and paths.y to others, or correct the file",
        )
    return positions[: used[-1] + 1]
