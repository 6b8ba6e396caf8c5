"""Corrections of counts against the plain NumPy reference."""

from __future__ import annotations

import numpy as np
import pytest
import reference_corrections as reference
from numpy.testing import assert_allclose, assert_array_equal
from scans import NX, NY, all_frames, as_nan, make_scan, raw_of

from ptypy_beamline import BeamlineError, BeamlineWarning, Scan
from ptypy_beamline.scan import ArrayFrames


def test_without_settings_frames_are_the_raw_counts():
    scan = make_scan()
    frames, good = all_frames(scan.plan())
    assert frames.dtype == np.float32
    assert_array_equal(frames, raw_of(scan))
    assert good.all()


def assert_type_is_read(dtype, most):
    """Frames whose counts, up to ``most``, are stored as ``dtype`` are loaded as they are."""
    scan = make_scan()
    scan = Scan(
        ArrayFrames(np.clip(raw_of(scan), 0, most).astype(dtype)),
        scan.positions_m,
        8000.0,
        2.0,
        (75e-6, 75e-6),
        center_px=(10, 12),
    )
    assert_array_equal(all_frames(scan.plan())[0], raw_of(scan).astype(np.float32))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint32, np.float32, ">u2", np.float64])
def test_any_pixel_type(dtype):
    assert_type_is_read(dtype, most=200)


@pytest.mark.parametrize("dtype", [np.float16, bool, np.uint64, np.int8])
def test_unusual_pixel_types(dtype):
    assert_type_is_read(dtype, most=100)


def test_complex_frames_are_refused():
    scan = make_scan(dtype=np.complex64)
    with pytest.raises(BeamlineError, match="frames are complex64, not counts"):
        scan.plan()


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


def test_a_flat_far_from_one_is_pointed_out():
    with pytest.warns(BeamlineWarning, match="median of 1000"):
        make_scan().plan(flat=np.full((NY, NX), 1000.0))
