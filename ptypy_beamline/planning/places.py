"""Positions on the stage: rows, regions and image axes. Pure geometry."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..options import Select

Places = NDArray[np.float64]
"""(m, 2) y, x in metres."""


def in_region(positions_m: Places, region: Select) -> NDArray[np.bool_]:
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


def to_image_axes(positions_m: Places, axes: str) -> Places:
    """Stage (y, x) → image (row, column), as ``axes`` says: ``-yx`` means row = −y, column = x."""
    names = axes.replace("-", "")
    signs = [-1.0 if axes[: axes.index(name)].endswith("-") else 1.0 for name in names]
    columns = ["yx".index(name) for name in names]
    return np.asarray(positions_m[:, columns] * signs, np.float64)


def to_stage_axes(positions_m: Places, axes: str) -> Places:
    """Image (row, column) → stage (y, x): :func:`to_image_axes` undone."""
    moved = to_image_axes(np.eye(2), axes)  # a signed permutation: its transpose undoes it
    return np.asarray(positions_m @ moved.T, np.float64)


def unsnake(positions_m: Places, grid: tuple[int, int] | None) -> Places:
    """Turn the positions of every other row round; as they are where there are no rows."""
    rows = np.split(positions_m, row_starts(positions_m, grid)[1:])
    return np.concatenate([row[::-1] if i % 2 else row for i, row in enumerate(rows)])


def row_starts(positions_m: Places, grid: tuple[int, int] | None) -> NDArray[np.int64]:
    """Index of the first position of each row: known, or where the fast axis flies back.

    Flying back is a step of at least half the usual length in the other direction.
    """
    if grid:
        return np.arange(0, len(positions_m), grid[1])
    if len(positions_m) < 2:
        return np.zeros(1, np.int64)
    axis, usual_m = fast_axis(positions_m)
    along = np.diff(positions_m[:, axis])
    forward = np.sign(np.median(along))
    back = along * forward < -0.5 * usual_m
    return np.concatenate([[0], 1 + np.flatnonzero(back)])


def fast_axis(positions_m: Places) -> tuple[int, float]:
    """The axis along which most steps go, and their usual length; of two positions or more."""
    usual_m = np.median(np.abs(np.diff(positions_m, axis=0)), axis=0)
    return int(np.argmax(usual_m)), float(usual_m.max())


def directions(positions_m: Places) -> NDArray[np.int64]:
    """(m,) which way the fast axis runs at each position, 1 or −1; 0 where it stands.

    The last position of a row counts with its row: a step that also goes along the slow axis, by a
    quarter of the usual length or more, leads to the next one.
    """
    if len(positions_m) < 2:
        return np.zeros(len(positions_m), np.int64)
    axis, usual_m = fast_axis(positions_m)
    steps = np.diff(positions_m, axis=0)
    turns = np.append(np.abs(steps[:, 1 - axis]) > 0.25 * usual_m, True)
    before, after = np.concatenate([[0], steps[:, axis]]), np.append(steps[:, axis], 0)
    return np.sign(np.where(turns, before, after)).astype(np.int64)


def without_backlash(positions_m: Places, backlash_m: float) -> Places:
    """Positions at which the fast axis runs towards smaller values, moved by ``backlash_m``."""
    moved: Places = positions_m.copy()
    if len(moved) > 1:
        moved[directions(positions_m) < 0, fast_axis(positions_m)[0]] += backlash_m
    return moved


def one_each(positions_m: Places, exposures: int) -> bool:
    """Whether positions come in groups that hardly differ: one for each of several exposures.

    Steps inside the groups are then much shorter than those from one group to the next; along a
    line of single positions all are alike.
    """
    steps = np.linalg.norm(np.diff(positions_m, axis=0), axis=-1)
    onward = np.arange(1, len(positions_m)) % exposures == 0
    if not onward.any() or onward.all():
        return False
    return bool(np.median(steps[~onward]) < 0.25 * np.median(steps[onward]))
