"""Which positions are loaded: region, axes, lag, rows, backlash and implausible readings."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scans import all_frames, make_scan, raw_of

from ptypy_beamline import BeamlineError
from ptypy_beamline.errors import SettingsError
from ptypy_beamline.positions import directions, fast_axis, to_image_axes


def test_select_step_reject_and_num_frames_number_positions_without_holes():
    grid = np.stack(np.meshgrid(range(6), range(7), indexing="ij"), -1).reshape(-1, 2) * 1e-6
    scan = make_scan(42, positions=grid)
    circle = scan.plan(
        **{"select.shape": "circle", "select.radius": 1.1e-6, "select.center": (2e-6, 3e-6)}
    )
    assert_array_equal(circle.selection.exposures[:, 0], [10, 16, 17, 18, 24])
    box = scan.plan(**{"select.shape": "rect", "select.size": (1.1e-6, 3e-6)})
    assert_array_equal(box.selection.exposures[:, 0], [16, 17, 18, 23, 24, 25])
    plan = scan.plan(step=3, reject=[0, 6], num_frames=4)
    assert_array_equal(plan.selection.exposures[:, 0], [3, 9, 12, 15])
    assert_array_equal(all_frames(plan)[0], raw_of(scan)[[3, 9, 12, 15]])
    assert_array_equal(plan.positions_m, grid[[3, 9, 12, 15]])


@pytest.mark.parametrize(
    ("axes", "wanted"),
    [
        ("yx", (1, 2)),
        ("-yx", (-1, 2)),
        ("y-x", (1, -2)),
        ("-y-x", (-1, -2)),
        ("xy", (2, 1)),
        ("-xy", (-2, 1)),
        ("x-y", (2, -1)),
        ("-x-y", (-2, -1)),
    ],
)
def test_stage_axes_to_image_axes(axes, wanted):
    plan = make_scan(2, positions=[[1, 2], [0, 0]]).plan(**{"positions.axes": axes})
    assert_array_equal(plan.positions_m[0], wanted)


@pytest.mark.parametrize(("shift", "frames"), [(2, [2, 3, 4, 5]), (-1, [0, 1, 2, 3, 4])])
def test_frames_that_lag_their_positions(shift, frames):
    scan = make_scan()
    plan = scan.plan(**{"positions.shift": shift})
    assert_array_equal(plan.selection.exposures[:, 0], frames)
    assert_array_equal(plan.positions_m, scan.positions_m[np.array(frames) - shift])


def test_snake_turns_every_other_row():
    grid = np.stack(np.meshgrid(range(4), range(5), indexing="ij"), -1).astype(float)
    snake = grid.copy()
    snake[1::2] = snake[1::2, ::-1]
    for known in (None, (4, 5)):
        scan = make_scan(20, positions=grid.reshape(-1, 2), grid=known)
        plan = scan.plan(**{"positions.snake": True})
        assert_array_equal(plan.positions_m, snake.reshape(-1, 2))


@pytest.mark.parametrize("axes", ["yx", "x-y"])
def test_backlash_moves_the_rows_that_run_backwards(axes):
    grid = np.stack(np.meshgrid(range(4), range(5), indexing="ij"), -1).astype(float)
    grid[1::2] = grid[1::2, ::-1].copy()
    true = grid.copy()
    true[1::2, :, 1] += 0.4
    stage = grid.reshape(-1, 2)
    stage[7] = np.nan  # one lost
    kept = np.delete(true.reshape(-1, 2), 7, axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plan = make_scan(20, positions=stage).plan(
            **{"positions.backlash": 0.4, "positions.axes": axes}
        )
    assert_allclose(plan.positions_m, to_image_axes(kept, axes))


@pytest.mark.parametrize(
    ("rows_m", "degrees", "jitter"),
    [(1, 0, 0), (1, 20, 0), (0.2, 0, 0), (3, 10, 0), (1, 0, 0.1), (0.3, -20, 0)],
)
def test_directions_of_a_snake(rows_m, degrees, jitter):
    snake = np.stack(np.meshgrid(np.arange(20.0) * rows_m, range(20), indexing="ij"), -1)
    snake[1::2] = snake[1::2, ::-1].copy()
    turn = np.radians(degrees)
    turn = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    places = snake.reshape(-1, 2) @ turn
    places += np.random.default_rng(0).normal(0, jitter, places.shape)
    expected = np.repeat([1, -1] * 10, 20)
    assert np.mean(directions(places) != expected) <= (0.02 if jitter else 0)
    row, step = fast_axis(places)
    assert abs(row @ (turn.T @ [0, 1])) == pytest.approx(1, abs=0.01)
    assert step == pytest.approx(1, rel=0.1)


def test_backlash_needs_a_bidirectional_scan():
    raster = np.stack(np.meshgrid(range(4), range(5), indexing="ij"), -1).reshape(-1, 2)
    scan = make_scan(20, positions=raster.astype(float))
    with pytest.raises(SettingsError, match=r"bidirectional.*--backlash-m"):
        scan.plan(**{"positions.backlash": 1e-7})
    snaked = scan.plan(**{"positions.backlash": 0.5, "positions.snake": True})
    assert_allclose(snaked.positions_m[5:10, 1], [4.5, 3.5, 2.5, 1.5, 0.5])


def test_a_frame_without_position_is_not_used():
    positions = np.column_stack([np.arange(6), np.arange(6)]) * 1e-6
    positions[2] = np.nan
    plan = make_scan(6, positions=positions).plan()
    assert_array_equal(plan.selection.exposures[:, 0], [0, 1, 3, 4, 5])


def test_more_frames_than_positions():
    with pytest.raises(BeamlineError, match=r"6 frames for 3 positions; if .*per_position=2"):
        make_scan(6, positions=np.zeros((3, 2))).plan()


class TestOddPositions:
    """Readings that were lost, which every loader and command warns of."""

    def warnings_of(self, positions, **settings):
        k = settings.get("frames_per_position", 1)
        scan = make_scan(len(positions) * k, positions=positions, source="a.h5")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            scan.plan(**settings)
        return [str(w.message) for w in caught]

    def positions(self, n=48):
        return np.random.default_rng(0).uniform(-3e-6, 3e-6, (n, 2))

    @pytest.mark.parametrize("value", ["zero", "frozen"])
    @pytest.mark.parametrize("part", [slice(40, 48), slice(20, 28), slice(0, 3)])
    def test_that_stand_still_inside_the_scan(self, part, value):
        positions = self.positions()
        positions[part] = 0 if value == "zero" else positions[part.start]
        frames = f"{part.start}-{part.stop - 1}"
        (warning,) = self.warnings_of(positions)
        assert warning.startswith(f"a.h5: positions of frames {frames} are all the same")
        assert f"(--reject {frames})" in warning
        assert not self.warnings_of(positions, reject=frames)

    def test_all_exposures_of_each_are_named(self):
        positions = self.positions(20)
        positions[10:14] = 0
        (warning,) = self.warnings_of(positions, frames_per_position=3)
        assert "(--reject 30-41)" in warning

    @pytest.mark.parametrize("settings", [{"frame_order": [5, 5, 5, 5, *range(40)]}, {}])
    def test_positions_with_pairs_and_repeats_are_not_odd(self, settings):
        positions = self.positions()
        positions[7] = positions[6]
        assert not self.warnings_of(positions, **settings)

    @pytest.mark.parametrize("away_m", [2e-3, -1000.0, 1e-4])
    def test_far_outside_the_scan(self, away_m):
        positions = self.positions()
        positions[[7, 9], 1] = away_m
        (warning,) = self.warnings_of(positions)
        assert warning.startswith("a.h5: positions up to")
        assert "(--reject 7,9)" in warning
        assert not self.warnings_of(positions, reject="7,9")

    def test_positions_of_a_line_are_not_odd(self):
        assert not self.warnings_of(np.column_stack([np.zeros(40), np.arange(40) * 1e-6]))
