"""Positions on the stage: rows, regions and image axes. Pure geometry."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..options import Select

Places = NDArray[np.float64]
"""(m, 2) y, x in metres."""

FEWEST_BACK = 0.1
"""Share of the positions that rows in either direction have in a scan to and fro."""


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
    row, usual_m = fast_axis(positions_m)
    along = np.diff(positions_m @ row)
    forward = np.sign(np.median(along))
    back = along * forward < -0.5 * usual_m
    return np.concatenate([[0], 1 + np.flatnonzero(back)])


def fast_axis(positions_m: Places) -> tuple[NDArray[np.float64], float]:
    """Unit vector (y, x) of the rows, and the usual step along them; of two positions or more.

    Rows run along the axis along which most steps go, or as aslant as these are, and forwards
    towards larger values.
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


def across_rows(row: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vector (y, x) across rows that run along ``row``."""
    return row[::-1] * (1.0, -1.0)


def directions(positions_m: Places) -> NDArray[np.int64]:
    """(m,) which way the fast axis runs at each position, 1 or −1; 0 where it stands.

    A position counts with the step to the next one if that is of its row: at least half as long as
    usual along it, and less than a quarter of that beside it; else with the step before.
    """
    if len(positions_m) < 2:
        return np.zeros(len(positions_m), np.int64)
    row, usual_m = fast_axis(positions_m)
    steps = np.diff(positions_m, axis=0)
    along, beside = steps @ row, steps @ across_rows(row)
    inside = (np.abs(along) > 0.5 * usual_m) & (np.abs(beside) < 0.25 * usual_m)
    before, after = np.append(0, along), np.append(along, 0)
    way = np.where(np.append(inside, False), after,
                   np.where(np.append(False, inside), before, before + after))  # fmt: skip
    return np.sign(way).astype(np.int64)


def to_and_fro(ways: NDArray[np.int64]) -> bool:
    """Whether rows run either way, by their :func:`directions`."""
    return bool(min(np.mean(ways > 0), np.mean(ways < 0)) >= FEWEST_BACK)


def without_backlash(positions_m: Places, backlash_m: float) -> Places:
    """Positions at which the fast axis runs towards smaller values, moved by ``backlash_m``."""
    moved: Places = positions_m.copy()
    if len(moved) > 1:
        moved[directions(positions_m) < 0] += backlash_m * fast_axis(positions_m)[0]
    return moved
