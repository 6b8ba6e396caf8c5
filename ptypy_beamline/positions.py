"""Stage positions: step, rows, regions and image axes. Pure geometry."""

from __future__ import annotations

import numpy as np
import scipy

from .arrays import Bools, Floats, Ints
from .options import Select

MIN_BACKWARD = 0.1
"""Minimum share of the positions in rows of either direction, in a bidirectional scan."""

FEW_POSITIONS = 2000
"""Up to this many, all distances are computed faster than SciPy's trees are imported."""


def step_m(positions_m: Floats) -> float:
    """Median distance of a position from its nearest neighbour; 0 for fewer than two."""
    if len(positions_m) < 2:
        return 0.0
    return float(np.median(_nearest_m(positions_m)))


def _nearest_m(positions_m: Floats) -> Floats:
    """(n,) distance of each of two or more positions from the nearest other one."""
    if len(positions_m) > FEW_POSITIONS:
        found = scipy.spatial.cKDTree(positions_m).query(positions_m, k=2)[0][:, 1]
        return np.asarray(found, np.float64)
    y_m, x_m = np.ascontiguousarray(positions_m.T)
    squares = np.empty(len(positions_m))
    for number in range(len(squares)):
        away = (y_m - y_m[number]) ** 2 + (x_m - x_m[number]) ** 2
        away[number] = np.inf
        squares[number] = away.min()
    return np.sqrt(squares)


def in_region(positions_m: Floats, region: Select) -> Bools:
    """Which stage positions (y, x) lie in ``region``."""
    if region.shape == "none":
        return np.ones(len(positions_m), np.bool_)
    low, high = positions_m.min(0), positions_m.max(0)
    away = positions_m - (np.array(region.center) if region.center else (low + high) / 2)
    if region.shape == "circle":
        inside = np.hypot(away[:, 0], away[:, 1]) <= float(region.radius or 0)
    else:
        inside = (np.abs(away) <= np.array(region.size) / 2).all(1)
    return np.asarray(inside, np.bool_)


def to_image_axes(positions_m: Floats, axes: str) -> Floats:
    """Stage (y, x) → image (row, column), as ``axes`` says: ``-yx`` means row = −y, column = x."""
    names = axes.replace("-", "")
    signs = [-1.0 if axes[: axes.index(name)].endswith("-") else 1.0 for name in names]
    columns = ["yx".index(name) for name in names]
    return np.asarray(positions_m[:, columns] * signs, np.float64)


def to_stage_axes(positions_m: Floats, axes: str) -> Floats:
    """Image (row, column) → stage (y, x): :func:`to_image_axes` undone."""
    moved = to_image_axes(np.eye(2), axes)  # a signed permutation: its transpose undoes it
    return np.asarray(positions_m @ moved.T, np.float64)


def unsnake(positions_m: Floats, grid: tuple[int, int] | None) -> Floats:
    """Reverse the positions of every other row; unchanged where there are no rows.

    Unknown positions (NaN) keep their index. The far end of an unfinished last row is not listed:
    if that row runs backwards, all its positions become unknown.
    """
    starts = row_starts(positions_m, grid)
    rows = np.split(positions_m, starts[1:])
    ordered = [row[::-1] if i % 2 else row for i, row in enumerate(rows)]
    if len(rows) % 2 == 0 and unfinished(positions_m, starts):
        ordered[-1] = np.full_like(rows[-1], np.nan)
    return np.concatenate(ordered)


def row_starts(positions_m: Floats, grid: tuple[int, int] | None) -> Ints:
    """Index of the first position of each row: where the fast axis flies back.

    A fly-back is a step backwards of at least half the usual length. Unknown positions (NaN)
    between two rows belong to the row that they complete. The rows of ``grid`` are used if no
    fly-back contradicts them.
    """
    known = np.flatnonzero(np.isfinite(positions_m).all(axis=1))
    if len(known) < 2:
        return np.zeros(1, np.int64)
    along, _, usual_m = _along_rows(positions_m[known])
    back = np.diff(along) < -0.5 * usual_m
    last, first = known[:-1][back], known[1:][back]
    if grid:
        starts = np.arange(0, len(positions_m), grid[1])
        if np.isin(last // grid[1] + 1, first // grid[1]).all():
            return starts
    at_start = along[1:][back]
    late = np.rint((at_start - np.median(np.append(at_start, along[0]))) / usual_m)
    return np.append(0, first - np.clip(late, 0, first - last - 1)).astype(np.int64)


def in_rows(positions_m: Floats, starts: Ints) -> bool:
    """Whether there are rows of two positions or more that all run in the same direction.

    In a spiral or a bidirectional scan, every step backwards would start a row.
    """
    lengths = np.diff(np.append(starts, len(positions_m)))
    known = np.isfinite(positions_m).all(axis=1)
    if len(starts) < 2 or np.median(lengths) < 2 or np.count_nonzero(known) < 2:
        return False
    along, across, usual_m = _along_rows(positions_m[known])
    forward = np.diff(along) > 0.5 * usual_m
    slanted = np.median(np.abs(np.diff(across)[forward])) if forward.any() else np.inf
    return bool(slanted < 0.5 * usual_m)


def unfinished(positions_m: Floats, starts: Ints) -> bool:
    """Whether the last row begins where the others do, but has fewer positions."""
    known = np.isfinite(positions_m).all(axis=1)
    lengths = np.diff(np.append(starts, len(positions_m)))
    if len(starts) < 2 or not known.any() or lengths[-1] >= np.median(lengths[:-1]):
        return False
    along, _, usual_m = _along_rows(positions_m[known])
    whole = np.full(len(positions_m), np.nan)
    whole[known] = along
    begin = whole[starts]
    usual = begin[:-1][np.isfinite(begin[:-1])]
    return not (usual.size and abs(begin[-1] - np.median(usual)) > 0.75 * usual_m)


def _along_rows(positions_m: Floats) -> tuple[Floats, Floats, float]:
    """(n,) coordinates along the rows, in the direction of most steps, and across; the step."""
    row, usual_m = fast_axis(positions_m)
    along, across = positions_m @ row, positions_m @ across_rows(row)
    steps = np.diff(along)
    inside = np.abs(steps) > 0.5 * usual_m
    inside &= np.abs(steps) < 1.5 * usual_m
    signs = np.sign(steps[inside & (np.abs(np.diff(across)) < 0.25 * usual_m)])
    forward = np.sign(signs.sum()) or np.sign(steps[inside].sum()) or 1.0
    return along * forward, across, usual_m


def fast_axis(positions_m: Floats) -> tuple[Floats, float]:
    """Unit vector (y, x) along the rows, and the usual step; of two positions or more.

    Rows run along the stage axis of the larger median step, or at the small angle to it at which
    those steps run. Forwards is towards larger values.
    """
    steps = np.diff(positions_m, axis=0)
    sizes = np.median(np.abs(steps), axis=0)
    axis, usual_m = int(np.argmax(sizes)), float(sizes.max())
    within = steps[np.abs(steps[:, axis]) > 0.5 * usual_m]
    if not len(within):
        return np.eye(2)[axis], usual_m
    slant = np.median(within / within[:, [axis]], axis=0)
    length = float(np.linalg.norm(slant))
    return slant / length, usual_m * length


def across_rows(row: Floats) -> Floats:
    """Unit vector (y, x) across rows that run along ``row``."""
    return row[::-1] * (1.0, -1.0)


def directions(positions_m: Floats) -> Ints:
    """(m,) direction of the fast axis at each position, 1 or −1; 0 where it does not move.

    It is that of the step to the next position if both are in one row: a step of at least half the
    usual length along it, and less than a quarter of that across; else that of the step before.
    """
    if len(positions_m) < 2:
        return np.zeros(len(positions_m), np.int64)
    row, usual_m = fast_axis(positions_m)
    steps = np.diff(positions_m, axis=0)
    along, across = steps @ row, steps @ across_rows(row)
    inside = (np.abs(along) > 0.5 * usual_m) & (np.abs(across) < 0.25 * usual_m)
    before, after = np.append(0, along), np.append(along, 0)
    taken = np.where(
        np.append(inside, False), after, np.where(np.append(False, inside), before, before + after)
    )
    return np.sign(taken).astype(np.int64)


def is_bidirectional(direction: Ints) -> bool:
    """Whether rows run in both directions, from :func:`directions`."""
    return bool(min(np.mean(direction > 0), np.mean(direction < 0)) >= MIN_BACKWARD)


def without_backlash(positions_m: Floats, backlash_m: float) -> Floats:
    """Positions, with those at which the fast axis runs backwards moved by ``backlash_m``."""
    moved: Floats = positions_m.copy()
    if len(moved) > 1:
        moved[directions(positions_m) < 0] += backlash_m * fast_axis(positions_m)[0]
    return moved
