"""Several exposures at each position, and the monitor, against the plain NumPy reference."""

from __future__ import annotations

import numpy as np
import pytest
import reference_corrections as reference
from numpy.testing import assert_allclose, assert_array_equal
from scans import NX, NY, all_frames, as_nan, make_scan, raw_of

from ptypy_beamline import BeamlineError, BeamlineWarning


@pytest.mark.parametrize("how", ["sum", "mean", "first", "best", "hdr"])
def test_grouping_of_exposures(how):
    rng = np.random.default_rng(3)
    scan = make_scan(12, exposure_s=np.array([0.1, 0.5, 2.0]), positions=np.eye(4, 2) * 1e-6)
    scan.frames.array[:] = scan.frames.array * np.resize([0.1, 0.5, 2.0], 12)[:, None, None]
    scan.frames.array[0, :4] = 9999
    bad = rng.random((NY, NX)) < 0.05
    plan = scan.plan(
        frames_per_position=3, grouping=how, saturation=700, mask=bad, dark=np.full((NY, NX), 1.5)
    )
    wanted = []
    for p in range(4):
        raw, settings = (
            raw_of(scan)[3 * p : 3 * p + 3],
            {"bad": bad, "dark": 1.5, "saturation": 700},
        )
        counts, clipped = (reference.correct(raw, **settings, clipped=c) for c in (False, True))
        wanted.append(reference.group(counts, how, [0.1, 0.5, 2.0], clipped))
    assert_allclose(as_nan(*all_frames(plan)), wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("exposures", "saturation", "wanted"),
    [
        ([[5, 5, 5, 5], [7, 7, 7, 0], [6, 6, 6, 99]], None, 1),  # highest median, not most counts
        ([[5, 5, 5, 5], [9, 9, 9, 9], [7, 7, 7, 7]], 8, 1),  # saturated: counts as 8, above 7
        ([[5, 5, 5, 5], [9, 9, 9, 9], [8, 8, 8, 8]], 6, 1),  # both clipped alike: the first
        ([[5, 9, 0, 9], [5, 5, 5, 5]], 8, 0),  # the median of 5, 8, 0, 8 is 6.5
        ([[0, 0, 0, 1], [0, 0, 0, 3], [0, 0, 0, 2]], None, 1),  # medians of 0: most counts
        ([[0, 0, 0, 9], [0, 0, 0, 3]], 8, 1),  # of equal medians, the fewest bad pixels
    ],
)
@pytest.mark.filterwarnings("ignore:.*have no good pixel")
def test_the_best_exposure_has_the_highest_median_after_clipping(exposures, saturation, wanted):
    scan = make_scan(len(exposures), positions=[[0, 0]])
    scan.frames.array[:] = np.tile(exposures, NY * NX // 4).reshape(len(exposures), NY, NX)
    plan = scan.plan(frames_per_position=len(exposures), grouping="best", saturation=saturation)
    frames, good = all_frames(plan)
    raw = raw_of(scan)[wanted].astype(float)
    assert_array_equal(good[0], raw < (saturation or np.inf))
    assert_array_equal(frames[0], np.where(good[0], raw, 0))


def test_grouping_none_makes_each_exposure_a_position():
    scan = make_scan(6, positions=[[0, 0], [0, 1e-6], [0, 2e-6]])
    plan = scan.plan(frames_per_position=2, grouping="none")
    assert_array_equal(plan.selection.exposures[:, 0], range(6))
    assert_array_equal(plan.positions_m[:, 1], np.repeat([0, 1e-6, 2e-6], 2))
    assert_array_equal(all_frames(plan)[0], raw_of(scan))


def test_positions_listed_for_each_exposure_are_averaged():
    each = np.repeat(np.arange(4) * 1e-6, 3) + np.tile([-1e-9, 0, 1e-9], 4)
    scan = make_scan(12, positions=np.column_stack([each, -each]))
    plan = scan.plan(frames_per_position=3)
    assert_allclose(plan.positions_m[:, 0], np.arange(4) * 1e-6, atol=1e-15)


def test_aborted_scan_keeps_listing_positions_of_groups():
    planned = np.column_stack([np.zeros(12), np.arange(12)]) * 1e-6
    with pytest.warns(BeamlineWarning, match="the last position has 1 of 3 exposures and is left"):
        plan = make_scan(10, positions=planned).plan(frames_per_position=3)
    assert_array_equal(plan.selection.exposures, [[0, 1, 2], [3, 4, 5], [6, 7, 8]])
    assert_allclose(plan.positions_m[:, 1], np.arange(3) * 1e-6)


def test_rejected_exposure_leaves_the_position_with_the_others():
    scan = make_scan(6, positions=[[0, 0], [0, 1e-6]])
    plan = scan.plan(frames_per_position=3, reject=[1, 3, 4, 5])
    assert_array_equal(plan.selection.exposures, [[0, -1, 2]])
    raw = raw_of(scan).astype(float)
    assert_allclose(all_frames(plan)[0], [(raw[0] + raw[2]) * 3 / 2], rtol=1e-6)


@pytest.mark.parametrize("broken", [0, np.nan, -3, np.inf])
def test_monitor_scales_and_a_bad_value_rejects_that_exposure_only(broken):
    i0 = np.array([1.0, 2.0, broken, 4.0, 1.0, 2.0])
    scan = make_scan(monitor=i0)
    with pytest.warns(BeamlineWarning, match="not a number at 1 of 6 frames, which are left out"):
        plan = scan.plan(monitor=True)
    assert_array_equal(plan.selection.exposures[:, 0], [0, 1, 3, 4, 5])
    mean = np.mean([1.0, 2, 4, 1, 2])
    kept = [0, 1, 3, 4, 5]
    wanted = raw_of(scan)[kept] * (mean / i0[kept])[:, None, None]
    assert_allclose(all_frames(plan)[0], wanted, rtol=1e-6)
    assert_array_equal(all_frames(scan.plan())[0], raw_of(scan))


class TestExposures:
    """What goes with each of several exposures of a position."""

    def scan(self, n=12, **more):
        return make_scan(n, **({"positions": np.eye(n, 2) * 0} | more))

    def test_exposures_at_different_positions_are_refused(self):
        along = np.column_stack([np.zeros(12), np.arange(12) * 1e-6])
        with pytest.raises(BeamlineError, match="12 frames for 12 different positions, of 3 expos"):
            make_scan(12, positions=along).plan(frames_per_position=3)
        repeated = np.repeat(along[:5], 3, axis=0)
        shifted = np.delete(repeated, 7, axis=0)[:12]  # an exposure was lost
        with pytest.raises(BeamlineError, match="exposures 6 to 8 would make position 2, but were"):
            make_scan(12, positions=shifted).plan(frames_per_position=3)

    @pytest.mark.parametrize("noise_m", [0, 2e-8])
    @pytest.mark.parametrize("k", [2, 3, 5, 8])
    @pytest.mark.parametrize("lost", [0, 1, 8, 20])
    def test_an_exposure_lost_with_its_position_is_refused(self, k, lost, noise_m):
        """Early losses, too, after which most groups would mix two positions."""
        snake = [(y, x if y % 2 == 0 else 5 - x) for y in range(6) for x in range(6)]
        each = np.repeat(np.array(snake) * 1e-6, k, axis=0)
        each += np.random.default_rng(1).normal(0, 1, each.shape) * noise_m
        left = np.delete(each, lost * k, axis=0)
        with pytest.raises(BeamlineError, match=r"would make position|different positions"):
            make_scan(len(left), positions=left).plan(frames_per_position=k)

    @pytest.mark.parametrize(("columns", "k"), [(4, 2), (6, 3), (10, 5), (9, 3)])
    def test_rows_of_positions_are_no_exposures_of_one(self, columns, k):
        raster = np.array(np.divmod(np.arange(2 * columns + k), columns)).T * 1e-6
        with pytest.raises(BeamlineError, match="different positions, of"):
            make_scan(len(raster), positions=raster).plan(frames_per_position=k)

    def test_noisy_encoders_are_averaged(self):
        rng = np.random.default_rng(0)
        true = np.repeat(np.arange(30) * 1e-7, 3)
        noisy = np.column_stack([true, true]) + rng.normal(0, 3e-8, (90, 2))
        plan = make_scan(90, positions=noisy).plan(frames_per_position=3)
        assert_allclose(plan.positions_m, noisy.reshape(30, 3, 2).mean(1))

    def test_a_bad_monitor_leaves_out_that_exposure(self):
        i0 = np.linspace(1, 2, 12)
        i0[4] = np.nan
        with pytest.warns(BeamlineWarning, match="at 1 of 12 frames"):
            plan = self.scan(monitor=i0).plan(frames_per_position=3, monitor=True)
        assert_array_equal(plan.selection.exposures[1], [3, -1, 5])
        assert_allclose(plan.selection.scale[2], np.nanmean(i0) / i0[6:9])

    def test_a_monitor_given_for_each_position(self):
        plan = self.scan().plan(frames_per_position=3, monitor=[1.0, 2.0, 1.0, 2.0])
        assert_allclose(plan.selection.scale[1], 0.75)

    @pytest.mark.parametrize("how", ["sum", "mean"])
    @pytest.mark.parametrize("listed", ["place", "frame", "frame, one lost"])
    def test_unequal_exposures_are_filled_by_their_times(self, how, listed):
        """Each exposure as bright as it is long: a saturated pixel leaves no trace."""
        times, rate = np.array([0.05, 0.2, 1.0]), np.full((NY, NX), 1000.0)
        scan = self.scan(exposure_s=times if listed == "place" else np.resize(times, 12))
        raw_of(scan)[:] = np.resize(times, 12)[:, None, None] * rate
        raw_of(scan)[[2, 4, 5], 3, 7] = 60_000
        reject = [7] if listed == "frame, one lost" else None
        plan = scan.plan(frames_per_position=3, grouping=how, saturation=60_000, reject=reject)
        frames, good = all_frames(plan)
        assert good.all()
        assert_allclose(frames, times.sum() * 1000 / (3 if how == "mean" else 1), rtol=1e-6)

    def test_a_monitor_that_makes_up_for_the_times(self):
        """Counts are all of one exposure then."""
        times = np.resize([0.05, 0.2, 1.0], 12)
        scan = self.scan(exposure_s=times, monitor=times * 1e6)
        raw_of(scan)[:] = 1000 * times[:, None, None]
        raw_of(scan)[2, 3, 7] = 60_000
        plan = scan.plan(frames_per_position=3, monitor="file", saturation=60_000)
        assert_allclose(all_frames(plan)[0], 3 * 1000 * times.mean(), rtol=1e-6)

    def test_too_few_exposure_times_are_reported(self):
        with pytest.warns(BeamlineWarning, match="5 exposure times for 12 frames .* equally long"):
            self.scan(exposure_s=np.ones(5)).plan(frames_per_position=3)

    @pytest.mark.parametrize("broken", [np.nan, 0.0])
    def test_an_exposure_without_its_time_is_left_out(self, broken):
        times = np.resize([0.1, 0.5, 2.0], 12)
        times[7] = broken
        plan = self.scan(exposure_s=times).plan(frames_per_position=3, grouping="hdr")
        assert_array_equal(plan.selection.exposures[2], [6, -1, 8])
        assert all(np.isfinite(block.frames).all() for block in plan.blocks())

    def test_snake_turns_positions_not_exposures(self):
        grid = np.stack(np.meshgrid(range(4), range(4), indexing="ij"), -1).astype(float)
        each = np.repeat(grid.reshape(-1, 2), 2, axis=0)
        plan = make_scan(32, positions=each).plan(
            **{"frames_per_position": 2, "positions.snake": True}
        )
        grid[1::2] = grid[1::2, ::-1]
        assert_array_equal(plan.positions_m, grid.reshape(-1, 2))

    def test_positions_of_exposures_that_were_not_taken(self):
        each = np.repeat(np.arange(8) * 1e-6, 3)
        plan = make_scan(12, positions=np.column_stack([each, each])).plan(frames_per_position=3)
        assert_allclose(plan.positions_m[:, 0], np.arange(4) * 1e-6)

    def test_a_lag_keeps_exposure_times_with_their_frames(self):
        """The times are those of the exposures of a position, not of the frames."""
        times = np.array([0.1, 0.5, 2.0])
        plan = self.scan(exposure_s=times).plan(
            **{"frames_per_position": 3, "grouping": "hdr", "positions.shift": 3}
        )
        assert_allclose(plan.selection.seconds, np.tile(times, (3, 1)))
