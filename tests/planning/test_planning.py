"""Plans on scans in memory, against the plain NumPy reference."""

from __future__ import annotations

import os
import pickle
import signal
import warnings
from typing import ClassVar

import h5py
import numpy as np
import pytest
import reference_corrections as reference
from numpy.testing import assert_allclose, assert_array_equal
from scans import NX, NY, all_frames, as_nan, make_scan, raw_of

from ptypy_beamline import BeamlineError, BeamlineWarning, Scan, open_scan
from ptypy_beamline.errors import MissingDataError, SettingsError
from ptypy_beamline.planning.positions import directions, fast_axis, to_image_axes
from ptypy_beamline.scan import ArrayFrames, Window


def test_without_settings_frames_are_the_raw_counts():
    scan = make_scan()
    frames, good = all_frames(scan.plan())
    assert frames.dtype == np.float32
    assert_array_equal(frames, raw_of(scan))
    assert good.all()


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint32, np.float32, ">u2", np.float64])
def test_any_pixel_type(dtype):
    scan = make_scan()
    scan = Scan(
        ArrayFrames(np.clip(raw_of(scan), 0, 200).astype(dtype)),
        scan.positions_m,
        8000.0,
        2.0,
        (75e-6, 75e-6),
        center_px=(10, 12),
    )
    assert_array_equal(all_frames(scan.plan())[0], raw_of(scan).astype(np.float32))


def test_dark_flat_background_threshold_saturation_and_bad_pixels():
    rng = np.random.default_rng(1)
    dark = rng.uniform(5, 60, (NY, NX))
    flat = rng.uniform(0.8, 1.2, (NY, NX))
    flat[3, 4], flat[5, 6], flat[7, 8] = 0, np.nan, -1
    bad = rng.random((NY, NX)) < 0.05
    scan = make_scan(bad=bad)
    plan = scan.plan(dark=dark, flat=flat, background=3.5, threshold=9.0, saturation=460)
    wanted = [
        reference.correct(
            raw[None], bad=bad, dark=dark, background=3.5, flat=flat, saturation=460, threshold=9.0
        )[0]
        for raw in raw_of(scan)
    ]
    assert np.isnan(wanted).any(axis=(1, 2)).all()
    assert_allclose(as_nan(*all_frames(plan)), wanted, rtol=1e-6)


def test_stacks_of_dark_and_flat_are_averaged():
    rng = np.random.default_rng(2)
    dark, flat = rng.uniform(0, 9, (40, NY, NX)), rng.uniform(0.9, 1.1, (21, NY, NX))
    scan = make_scan()
    plan = scan.plan(dark=dark, flat=flat)
    wanted = [
        reference.correct(raw[None], dark=dark.mean(0), flat=flat.mean(0))[0]
        for raw in raw_of(scan)
    ]
    assert_allclose(all_frames(plan)[0], wanted, rtol=1e-5)


def test_dark_on_unsigned_counts_neither_wraps_nor_truncates():
    scan = make_scan()
    frames, _ = all_frames(scan.plan(dark=np.full((NY, NX), 39.25)))
    assert frames.max() < 1000
    assert_allclose(frames, np.clip(raw_of(scan) - 39.25, 0, None), rtol=1e-6)


def test_nan_pixels_are_bad_in_their_frame_only():
    scan = make_scan(dtype=np.float32)
    raw_of(scan)[2, 5, 6] = np.nan
    raw_of(scan)[3, 7, 8] = np.inf
    frames, good = all_frames(scan.plan())
    assert np.isfinite(frames).all()
    assert_array_equal(np.argwhere(~good), [[2, 5, 6], [3, 7, 8]])


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
        raw, said = raw_of(scan)[3 * p : 3 * p + 3], {"bad": bad, "dark": 1.5, "saturation": 700}
        counts, clipped = (reference.correct(raw, **said, clipped=c) for c in (False, True))
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


@pytest.mark.parametrize("code", range(8))
@pytest.mark.parametrize("b", [1, 2, 4])
def test_orientation_binning_and_padding(code, b):
    bad = np.zeros((NY, NX), bool)
    bad[4, 5] = True
    scan = make_scan(bad=bad)
    plan = scan.plan(orientation=code, rebin=b, pad=(1, 2, 3, 4))
    wanted = []
    for raw in reference.correct(raw_of(scan), bad=bad):
        wanted.append(reference.pad(reference.orient(reference.rebin(raw, b), code), (1, 2, 3, 4)))
    assert_allclose(as_nan(*all_frames(plan)), wanted, rtol=1e-6)
    assert_array_equal(plan.good, np.isfinite(wanted[0]))


@pytest.mark.parametrize("code", range(8))
@pytest.mark.parametrize("b", [1, 2, 4])
def test_the_center_follows_its_pixel(code, b):
    """One bright block of pixels: where it ends up is where the plan says the centre is."""
    scan = make_scan(center_px=(9.5, 13.5))
    scan.frames.array[:] = 0
    scan.frames.array[:, 8:12, 12:16] = 1
    plan = scan.plan(orientation=code, rebin=b, pad=(2, 0, 1, 5))
    frame = all_frames(plan)[0][0]
    rows, columns = np.indices(frame.shape)
    mass = (frame * rows).sum() / frame.sum(), (frame * columns).sum() / frame.sum()
    assert_allclose(plan.geometry.center_px, mass, atol=1e-9)


@pytest.mark.parametrize(
    ("rotate", "flip", "operation"),
    [
        (0, None, lambda f: f),
        (90, None, lambda f: np.rot90(f, -1)),
        (180, None, lambda f: np.rot90(f, 2)),
        (270, "none", lambda f: np.rot90(f, 1)),
        (0, "h", np.fliplr),
        (90, "v", lambda f: np.flipud(np.rot90(f, -1))),
        (270, "hv", lambda f: np.flipud(np.fliplr(np.rot90(f, 1)))),
    ],
)
def test_rotate_clockwise_then_flip(rotate, flip, operation):
    scan = make_scan()
    frames, _ = all_frames(scan.plan(rotate=rotate, flip=flip))
    assert_array_equal(frames, [operation(f) for f in raw_of(scan)])


def test_turning_swaps_the_pixel_size():
    scan = make_scan(pixel_m=(50e-6, 75e-6))
    assert scan.plan(rotate=90, rebin=2).geometry.pixel_m == (150e-6, 100e-6)


@pytest.mark.parametrize("center", [(10, 12), (1, 22), (18.4, 2.6), (0, 0)])
@pytest.mark.filterwarnings("ignore:.*of the window")
def test_window_past_the_edge_is_bad_there(center):
    scan = make_scan()
    plan = scan.plan(shape=(10, 12), center=center)
    top, left = int(np.floor(center[0] + 0.5)) - 5, int(np.floor(center[1] + 0.5)) - 6
    wanted = [reference.cut(f.astype(float), top, left, 10, 12) for f in raw_of(scan)]
    assert_allclose(as_nan(*all_frames(plan)), wanted)
    assert_allclose(plan.geometry.center_px, np.array(center) - (top, left))


@pytest.mark.filterwarnings("ignore:.*of the window")
def test_center_as_fractions_and_fftshift():
    scan = make_scan()
    assert scan.plan(center=(0.5, 0.5)).center_px == (NY // 2, NX // 2)
    assert scan.plan(center="fftshift").center_px == (NY // 2, NX // 2)
    assert scan.plan(center=(0, 1), shape=4).window == Window(-2, -1, 4, 4)


def test_align_brings_each_frame_to_the_common_center():
    scan = make_scan(center_px=(10.0, 12.0))
    for i, frame in enumerate(scan.frames.array):
        frame[:] = np.roll(frame, (i - 3, 2 - i), (0, 1))
    plan = scan.plan(align="com", dark=np.full((NY, NX), 60.0))
    counts = reference.correct(raw_of(scan), dark=60.0)
    wanted = [reference.align(c, (10.0, 12.0)) for c in counts]
    assert_allclose(as_nan(*all_frames(plan)), wanted, rtol=1e-6)


def test_pad_square():
    scan = make_scan()
    plan = scan.plan(pad="square")
    assert plan.geometry.shape == (NX, NX)
    assert_array_equal(plan.good.sum(1) > 0, [False] * 2 + [True] * NY + [False] * 2)


@pytest.mark.filterwarnings("ignore:the monitor is 0")
@pytest.mark.parametrize("size", [1, 2, 4, 100])
@pytest.mark.parametrize("threads", [1, 3])
def test_results_do_not_depend_on_chunks_or_threads(size, threads):
    settings = {
        "saturation": 470,
        "align": "com",
        "rebin": 2,
        "rotate": 90,
        "monitor": True,
        "hot_sigma": 6,
        "shape": 16,
        "center": None,
    }
    scan = make_scan(7, monitor=np.arange(7.0), positions=np.eye(7, 2) * 1e-6, center_px=None)
    reference_frames, reference_good = all_frames(scan.plan(**settings))
    frames, good = all_frames(scan.plan(**settings, threads=threads), size)
    assert_array_equal(frames, reference_frames)
    assert_array_equal(good, reference_good)


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


def test_a_plan_survives_pickling():
    plan = make_scan().plan(dark=np.ones((NY, NX)), shape=16, rotate=90)
    again = pickle.loads(pickle.dumps(plan))
    assert_array_equal(all_frames(again)[0], all_frames(plan)[0])
    assert again.geometry == plan.geometry


def test_hot_and_dead_pixels_are_found():
    scan = make_scan(40, positions=np.zeros((40, 2)))
    scan.frames.array[:, 2, 3] = 5000
    scan.frames.array[:, 10, 11] = 0
    scan.frames.array[:, 15, 20] += 300
    assert_array_equal(np.argwhere(~scan.plan(hot_sigma=6).good), [[2, 3], [10, 11], [15, 20]])
    assert scan.plan().good.all()


def test_a_mask_of_good_pixels():
    good = np.zeros((NY, NX), np.uint8)
    good[2:9, 3:11] = 1
    plan = make_scan().plan(mask=good, mask_values="good")
    assert_array_equal(plan.good, good == 1)


def test_a_bit_mask_loses_no_bits():
    mask = np.zeros((NY, NX), np.int64)
    mask[1, 2], mask[3, 4] = 1 << 31, 256
    assert_array_equal(np.argwhere(~make_scan().plan(mask=mask).good), [[1, 2], [3, 4]])


def test_cone_beam_hands_over_the_effective_geometry():
    geometry = make_scan().plan(focus_to_sample=0.5).geometry
    assert geometry.distance_m == pytest.approx(2.0 / 5)
    assert geometry.pixel_m == pytest.approx((15e-6, 15e-6))


def beam(center, shape=(64, 80), n=100, seed=0):
    rng = np.random.default_rng(seed)
    rows, columns = np.indices(shape)
    disc = 200 * np.exp(-((rows - center[0]) ** 2 + (columns - center[1]) ** 2) / 50)
    return rng.poisson(disc + 2, (n, *shape)).astype(np.float32)


class TestCenter:
    """The beam is found from all over the scan, whatever spoils single frames and pixels."""

    true = (30.3, 47.8)

    def found(self, frames, **more):
        scan = Scan(
            ArrayFrames(frames), np.zeros((len(frames), 2)), 8e3, 2.0, (75e-6, 75e-6), **more
        )
        return scan.plan().center_px

    def test_clean(self):
        assert_allclose(self.found(beam(self.true)), self.true, atol=0.15)

    def test_hot_pixels(self):
        frames = beam(self.true)
        frames[:, 3, 5], frames[:, 60, 70] = 60000, 65535
        assert_allclose(self.found(frames), self.true, atol=0.15)

    def test_blank_and_nan_frames(self):
        frames = beam(self.true)
        frames[:10], frames[50:60], frames[20:23] = 0, np.nan, 1e6
        assert_allclose(self.found(frames), self.true, atol=0.15)

    def test_a_masked_gap(self):
        bad = np.zeros((64, 80), bool)
        bad[:, 70:74] = True
        frames = beam(self.true)
        frames[:, bad] = 65535
        assert_allclose(self.found(frames, bad=bad), self.true, atol=0.15)

    def test_nothing_to_see(self):
        with pytest.raises(BeamlineError, match=r"no counts .* set center"):
            self.found(np.zeros((10, 64, 80)))


def test_a_flat_far_from_one_is_pointed_out():
    with pytest.warns(BeamlineWarning, match="median of 1000"):
        make_scan().plan(flat=np.full((NY, NX), 1000.0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"enrgy": 8}, "unknown parameter 'enrgy'; did you mean 'energy'"),
        ({"select.radus": 8}, "unknown parameter 'select.radus'; did you mean 'select.radius'"),
        ({"energy": 8800}, r"energy of 8.8e\+06 eV is impossible.*given in eV where keV"),
        ({"energy": "much"}, "energy='much'.*valid number"),
        ({"distance": 2000}, r"distance of 2000 m.*stored in mm.*set distance in m"),
        ({"psize": 75}, r"pixel of 75 m is impossible.*stored in µm"),
        ({"center": (30, 3)}, r"center .*\(30.0, 3.0\) lies outside the 20x24"),
        ({"rotate": 90, "orientation": 3}, "not both"),
        ({"orientation": 8}, "orientation=8"),
        ({"rotate": 45}, "rotate=45"),
        ({"rebin": 3}, "not a multiple of rebin=3; set shape .* 18,24"),
        ({"select.shape": "circle"}, "needs select.radius"),
        (
            {"select.shape": "circle", "select.radius": 1e-9, "select.center": (1, 1)},
            "no position lies in the selected circle",
        ),
        ({"reject": range(6)}, "all 6 selected frames are rejected"),
        ({"reject": [77]}, "names frame 77"),
        ({"reject": [0.5]}, "Expected whole frame indices"),
        ({"dark": np.zeros((3, 4))}, r"dark has shape \(3, 4\), the frames have \(20, 24\)"),
        ({"mask": np.zeros((3, 4))}, r"mask has shape \(3, 4\)"),
        ({"dark": "nowhere.npy"}, "nowhere.npy: no such file; check dark"),
        ({"monitor": True}, "no monitor is recorded; set paths.monitor"),
        ({"monitor": [1.0, 2.0]}, "2 monitor values for 6 frames"),
        ({"saturation": "file"}, "no saturation value is recorded"),
        ({"grouping": "hdr"}, "needs exposure times"),
        ({"grouping": "median"}, "grouping='median'"),
        ({"pad": -3}, "pad"),
    ],
)
def test_a_mistake_is_named_with_its_remedy_in_one_line(settings, message):
    with pytest.raises(BeamlineError, match=message) as caught:
        make_scan().plan(**settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["energy_eV", "distance_m", "pixel_m"])
def test_nothing_physical_has_a_silent_default(name):
    with pytest.raises(BeamlineError, match=r"no .* in the file; set .*--path"):
        make_scan(**{name: None}).plan()


def test_more_frames_than_positions():
    with pytest.raises(BeamlineError, match=r"6 frames for 3 positions; if .*per_position=2"):
        make_scan(6, positions=np.zeros((3, 2))).plan()


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

    def test_too_few_times_are_said(self):
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

    def test_a_lag_does_not_change_whose_time_is_whose(self):
        """The times are those of the exposures of a position, not of the frames."""
        times = np.array([0.1, 0.5, 2.0])
        plan = self.scan(exposure_s=times).plan(
            **{"frames_per_position": 3, "grouping": "hdr", "positions.shift": 3}
        )
        assert_allclose(plan.selection.seconds, np.tile(times, (3, 1)))


class TestOddPositions:
    """Readings that were lost, which every loader and command warns of."""

    def said(self, positions, **settings):
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
        (told,) = self.said(positions)
        assert told.startswith(f"a.h5: positions of frames {frames} are all the same")
        assert f"(--reject {frames})" in told
        assert not self.said(positions, reject=frames)

    def test_all_exposures_of_each_are_named(self):
        positions = self.positions(20)
        positions[10:14] = 0
        (told,) = self.said(positions, frames_per_position=3)
        assert "(--reject 30-41)" in told

    @pytest.mark.parametrize("settings", [{"frame_order": [5, 5, 5, 5, *range(40)]}, {}])
    def test_of_a_scan_with_pairs_and_repeats_are_not_odd(self, settings):
        positions = self.positions()
        positions[7] = positions[6]
        assert not self.said(positions, **settings)

    @pytest.mark.parametrize("away_m", [2e-3, -1000.0, 1e-4])
    def test_far_outside_the_scan(self, away_m):
        positions = self.positions()
        positions[[7, 9], 1] = away_m
        (told,) = self.said(positions)
        assert told.startswith("a.h5: positions up to")
        assert "(--reject 7,9)" in told
        assert not self.said(positions, reject="7,9")

    def test_of_a_line_are_not_odd(self):
        assert not self.said(np.column_stack([np.zeros(40), np.arange(40) * 1e-6]))


def test_a_frame_without_position_is_not_used():
    positions = np.column_stack([np.arange(6), np.arange(6)]) * 1e-6
    positions[2] = np.nan
    plan = make_scan(6, positions=positions).plan()
    assert_array_equal(plan.selection.exposures[:, 0], [0, 1, 3, 4, 5])


@pytest.mark.parametrize("dtype", [np.float16, bool, np.uint64, np.int8])
def test_unusual_pixel_types(dtype):
    scan = make_scan()
    scan = Scan(
        ArrayFrames(np.clip(raw_of(scan), 0, 100).astype(dtype)),
        scan.positions_m,
        8000.0,
        2.0,
        (75e-6, 75e-6),
        center_px=(10, 12),
    )
    assert_array_equal(all_frames(scan.plan())[0], raw_of(scan).astype(np.float32))


def test_complex_frames_are_refused():
    scan = make_scan(dtype=np.complex64)
    with pytest.raises(BeamlineError, match="frames are complex64, not counts"):
        scan.plan()


class TestCenterAndDefects(TestCenter):
    """The centre is that of the corrected counts."""

    def test_a_wide_gap_of_the_highest_count(self):
        frames = beam(self.true)
        frames[:, 50:64] = 2.0**32 - 1
        bad = np.zeros((64, 80), bool)
        bad[50:64] = True
        assert_allclose(self.found(frames, bad=bad), self.true, atol=0.3)

    def test_a_gap_that_only_the_user_knows(self):
        frames = beam(self.true)
        frames[:, 50:64] = 65535
        mask = np.zeros((64, 80))
        mask[50:64] = 1
        scan = Scan(ArrayFrames(frames), np.zeros((100, 2)), 8e3, 2.0, (75e-6, 75e-6))
        assert_allclose(scan.plan(mask=mask).center_px, self.true, atol=0.3)
        assert_allclose(scan.plan(saturation=60000).center_px, self.true, atol=0.3)

    def test_an_uneven_dark(self):
        dark = np.zeros((64, 80))
        dark[:32] = 500
        scan = Scan(
            ArrayFrames(beam(self.true) + dark), np.zeros((100, 2)), 8e3, 2.0, (75e-6, 75e-6)
        )
        assert_allclose(scan.plan(dark=dark).center_px, self.true, atol=0.15)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_makes_blocks_with_threads_of_its_own():
    plan = make_scan().plan(threads=2)
    frames, _ = all_frames(plan)
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # rather than wait for threads that are not there
        try:
            os._exit(0 if np.array_equal(all_frames(plan)[0], frames) else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0


class TestNothingLeft:
    """Whatever takes all counts away is named, with its file."""

    BRIGHT: ClassVar = {"center_px": None, "source": "a.h5"}

    @pytest.mark.parametrize(
        ("settings", "stored", "words"),
        [
            ({"dark": np.full((NY, NX), np.nan)}, {}, "dark"),
            ({"dark": np.full((NY, NX), 1e5)}, {}, "the dark that is given exceeds the counts"),
            ({}, {"dark": 1e5}, "the file's dark"),
            ({"flat": np.zeros((NY, NX))}, {}, "the flat that is given is 0, negative"),
            ({"flat": np.full((NY, NX), -1.0)}, {}, r"flat .* give another flat \(--flat\)"),
            ({"mask": np.ones((NY, NX))}, {}, "the mask that is given leaves no pixel"),
            ({}, {"bad": np.ones((NY, NX), bool)}, "the file's mask .*--mask-values"),
            ({"saturation": 1}, {}, r"saturation=1.* set saturation \(--sat\)"),
            ({"background": 1e5}, {}, "background=100000.0 .*--background"),
        ],
    )
    @pytest.mark.parametrize("center", [None, (10, 12)])
    @pytest.mark.filterwarnings("ignore::ptypy_beamline.BeamlineWarning")
    def test_what_takes_all_counts_is_named(self, settings, stored, words, center):
        if "dark" in stored:
            stored = {"dark": ArrayFrames(np.full((1, NY, NX), stored["dark"]))}
        scan = make_scan(**(self.BRIGHT | stored))
        only_counts = any(np.all(v == 1e5) for v in settings.values()) or "dark" in stored
        if center and only_counts:  # pixels are good, and hold 0
            assert not all_frames(scan.plan(center=center, **settings))[0].any()
            return
        start = "no frame has a good pixel" if center else "no counts in a sample"
        with pytest.raises(BeamlineError, match=f"^a.h5: {start}.*: .*{words}"):
            scan.plan(center=center, **settings)

    @pytest.mark.parametrize("first", [0, 5])
    def test_one_frame_with_a_good_pixel_is_enough(self, first):
        scan = make_scan(dtype=np.float32)
        raw_of(scan)[:first] = np.nan
        assert len(scan.plan()) == 6

    def test_frames_of_nan_are_refused(self):
        scan = make_scan(dtype=np.float32)
        raw_of(scan)[:] = np.nan
        with pytest.raises(BeamlineError, match="no frame has a good pixel: the frames are NaN"):
            scan.plan()

    def test_bins_that_all_have_a_bad_pixel(self):
        with pytest.raises(BeamlineError, match=r"no frame has a good pixel; .*rebin \(--bin\)"):
            make_scan().plan(rebin=2, mask=np.indices((NY, NX)).sum(0) % 2)


def test_all_that_a_file_does_not_say_is_named_at_once(tmp_path):
    path = tmp_path / "bare.h5"
    with h5py.File(path, "w") as file:
        file["frames"] = np.ones((4, 8, 8))
        file["places"] = np.arange(8.0).reshape(4, 2)
        file["places"].attrs["units"] = "um"
    scan = open_scan(path, paths={"frames": "/frames", "positions": "/places"})
    wanted = r"no photon energy, detector distance and detector pixel size .*--pixel-m.*pixel=PATH"
    with pytest.raises(MissingDataError, match=wanted):
        scan.plan()
    with pytest.raises(MissingDataError, match="no detector distance in the file; set dist"):
        scan.plan(energy=8.8, psize=75e-6)
