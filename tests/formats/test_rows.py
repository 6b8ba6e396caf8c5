"""Rows of positions: snakes with gaps, and what is none."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from ptypy_beamline.errors import BeamlineWarning, SettingsError
from ptypy_beamline.positions import row_starts, unsnake
from ptypy_beamline.scan import ArrayFrames, Scan
from ptypy_beamline.testing.simulate import PATTERNS

ROWS, COLUMNS = 6, 5
SNAKE = {"positions.snake": True, "center": (4, 4)}


def raster(rows=ROWS, columns=COLUMNS, slow=1.0):
    """(rows, columns, 2) positions, all rows forwards."""
    return np.stack(np.meshgrid(np.arange(rows) * slow, range(columns), indexing="ij"), -1)


def snake_of(grid):
    true = grid.copy()
    true[1::2] = true[1::2, ::-1].copy()
    return true.reshape(-1, 2)


def scan_of(positions_m, **more):
    frames = np.ones((len(positions_m), 8, 8), np.uint16)
    return Scan(ArrayFrames(frames), positions_m * 1e-6, 8000.0, 2.0, (75e-6, 75e-6), **more)


@pytest.mark.parametrize("known", [None, (ROWS, COLUMNS)])
@pytest.mark.parametrize("slow", [1.0, 0.1])
@pytest.mark.parametrize("lost", range(ROWS * COLUMNS))
def test_one_lost_position_spoils_no_other(lost, slow, known):
    listed, true = raster(slow=slow), snake_of(raster(slow=slow))
    listed.reshape(-1, 2)[lost] = np.nan
    expected = snake_of(listed)
    assert np.isfinite(expected).all(axis=1).sum() == len(true) - 1
    assert_array_equal(unsnake(listed.reshape(-1, 2), known), expected)
    plan = scan_of(listed.reshape(-1, 2), grid=known).plan(**SNAKE)
    frames = plan.selection.exposures[:, 0]
    assert len(frames) == len(true) - 1
    assert_allclose(plan.positions_m, true[frames] * 1e-6)


def test_a_dropped_frame_leaves_the_rows():
    """The detector's numbers show which; the positions are logged with the frames."""
    listed, lost = raster().reshape(-1, 2), 7
    numbers = np.delete(np.arange(len(listed)), lost)
    logged = listed.copy()
    logged[lost] = np.nan
    scan = replace(
        scan_of(logged, numbers=numbers, positions_each=True),
        frames=ArrayFrames(np.ones((len(numbers), 8, 8), np.uint16)),
    )
    plan = scan.plan(**SNAKE)
    shown = numbers[plan.selection.exposures[:, 0]]
    assert len(shown) >= len(numbers) - 1
    assert_allclose(plan.positions_m, snake_of(raster())[shown] * 1e-6)


def test_rows_of_a_region_that_is_no_rectangle():
    grid = raster(7, 9)
    rows = [row[abs(i - 3) // 2 : 9 - abs(i - 3) // 2] for i, row in enumerate(grid)]
    listed = np.concatenate(rows)
    expected = np.concatenate([row[::-1] if i % 2 else row for i, row in enumerate(rows)])
    assert_array_equal(unsnake(listed, None), expected)


@pytest.mark.parametrize("done", [1, 3])
def test_a_row_that_was_stopped_has_no_far_end(done):
    """Its first frame was taken at the far end, which is not in the list."""
    listed = raster().reshape(-1, 2)[: 3 * COLUMNS + done]
    with pytest.warns(BeamlineWarning, match=f"stopped after {done} positions"):
        plan = scan_of(listed).plan(**SNAKE)
    assert_allclose(plan.positions_m, snake_of(raster())[: 3 * COLUMNS] * 1e-6)


def test_a_row_forwards_may_be_stopped():
    listed = raster().reshape(-1, 2)[: 2 * COLUMNS + 3]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plan = scan_of(listed).plan(**SNAKE)
    assert_allclose(plan.positions_m, snake_of(raster())[: len(listed)] * 1e-6)


@pytest.mark.parametrize("pattern", ["spiral", "fermat", "snake"])
def test_positions_without_rows_in_one_direction_are_refused(pattern):
    points = PATTERNS[pattern]((9, 8), np.random.default_rng(0))
    with pytest.raises(SettingsError, match=r"rows that are all listed in one direction.*--snake"):
        scan_of(points).plan(**SNAKE)


@pytest.mark.parametrize("grid", [None, (12, 1), (1, 12)])
def test_rows_of_one_point_are_no_rows(grid):
    line = np.stack([np.arange(12.0), np.zeros(12)], axis=1)
    with pytest.raises(SettingsError, match="found none"):
        scan_of(line, grid=grid).plan(**SNAKE)


@pytest.mark.parametrize("columns", [2, 3])
def test_short_rows(columns):
    listed = raster(8, columns)
    assert_array_equal(unsnake(listed.reshape(-1, 2), None), snake_of(listed))


@pytest.mark.parametrize("seed", range(3))
def test_jittered_rows(seed):
    points = PATTERNS["jitter"]((9, 8), np.random.default_rng(seed))
    assert_array_equal(row_starts(points, None), np.arange(0, 72, 8))
    assert len(scan_of(points).plan(**SNAKE)) == 72
