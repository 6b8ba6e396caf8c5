"""Post-processing: what is presentable must say the same about every frame."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from reconstructions import frames_of, true_reconstruction
from scipy.ndimage import gaussian_filter

from ptypy_beamline.errors import BeamlineError, ScanError, SettingsError
from ptypy_beamline.reconstruction.area import Rectangle, pixels_of, points_of, scanned
from ptypy_beamline.reconstruction.phase import ramp
from ptypy_beamline.reconstruction.postprocess import Postprocess, crop, finish, unwrapped
from ptypy_beamline.reconstruction.vacuum import find_vacuum
from ptypy_beamline.testing.simulate import sample

SLOPE = (0.021, -0.0347)
"""Cycles per pixel: half a turn over 24 and 14 pixels."""


def spoiled(found, slope=SLOPE, amplitude=1.7, phase=2.2):
    """The same frames with an unwanted ramp, amplitude and phase."""
    obj = found.object.copy()
    obj[0] *= ramp(obj.shape[1:], slope) * amplitude * np.exp(1j * phase)
    probe = found.probe * ramp(found.probe.shape[1:], slope).conj() / amplitude
    return replace(found, object=obj, probe=probe.astype(np.complex64))


STEPS = {
    "normalise": Postprocess(normalise=True),
    "auto": Postprocess(flatten="auto"),
    "whole": Postprocess(flatten="whole"),
    "rectangle": Postprocess(flatten=Rectangle((40, 32), (50, 20))),
    "both": Postprocess(flatten="auto", normalise=True),
}


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("asked", STEPS.values(), ids=STEPS)
def test_diffraction_of_every_position_stays(asked, layers):
    before = spoiled(true_reconstruction(layers, modes=2, empty_columns=54))
    after = finish(before, asked).reconstruction
    magnitude = np.sqrt(frames_of(before))
    change = np.abs(np.sqrt(frames_of(after)) - magnitude).max(axis=(1, 2))
    assert (change < 2e-5 * magnitude.max()).all()
    assert not np.array_equal(after.object, before.object)
    assert after.object.dtype == after.probe.dtype == np.complex64


def test_ramp_without_its_opposite_on_the_probe_would_change_the_frames():
    before = spoiled(true_reconstruction())
    after = finish(before, STEPS["whole"]).reconstruction
    torn = replace(after, probe=before.probe)
    change = np.abs(np.sqrt(frames_of(torn)) - np.sqrt(frames_of(before)))
    assert change.max() > 0.05 * np.sqrt(frames_of(before)).max()


@pytest.mark.parametrize("flatten", ["auto", Rectangle((40, 30), (60, 22))])
def test_vacuum_region_restores_the_truth(flatten):
    truth = true_reconstruction(empty_columns=54)
    asked = Postprocess(flatten=flatten, normalise=True)
    found = finish(spoiled(truth), asked).reconstruction
    assert_allclose(found.object, truth.object, atol=2e-4)
    assert_allclose(found.probe, truth.probe, atol=2e-4 * np.abs(truth.probe).max())


def test_steep_ramp_is_found_too():
    truth = true_reconstruction(empty_columns=54)
    steep = spoiled(truth, slope=(0.31, -0.42))
    found = finish(steep, Postprocess(flatten="auto", normalise=True)).reconstruction
    assert_allclose(found.object, truth.object, atol=5e-4)


def test_the_whole_area_levels_a_sample_without_vacuum():
    truth = true_reconstruction()
    rows, columns = scanned(truth)
    finished = finish(spoiled(truth), STEPS["whole"])
    true = np.angle(truth.object[0, rows, columns])
    phase = finished.phase_rad[0, rows, columns]
    assert phase.std() == pytest.approx(true.std(), rel=0.1)
    assert abs(phase.mean()) < 0.1


def test_nothing_asked_nothing_changed():
    before = true_reconstruction(2)
    after = finish(before, Postprocess())
    assert after.reconstruction is before
    assert_array_equal(after.phase_rad, np.angle(before.object))


@pytest.mark.tomo
def test_steps_are_recorded_one_after_another():
    asked = Postprocess(
        flatten=Rectangle((40, 30), (60, 22)), normalise=True, crop=True, unwrap=True
    )
    before = spoiled(true_reconstruction(empty_columns=54))
    first = finish(before, asked).reconstruction
    steps = first.provenance["postprocess"]
    assert [step["step"] for step in steps] == ["normalise", "flatten", "crop", "unwrap"]
    slope = np.array(steps[1]["ramp_rad_per_m"]) * before.pixel_m / (2 * np.pi)
    assert_allclose(slope, SLOPE, atol=1e-5)
    assert steps[0]["amplitude"] == pytest.approx([1.7], rel=1e-3)
    assert first.provenance["source"] == "scan_0042.h5"
    again = finish(first, STEPS["whole"]).reconstruction
    assert len(again.provenance["postprocess"]) == 5


def test_crop_keeps_every_point_in_its_place():
    before = true_reconstruction()
    after = crop(before)
    (rows, columns), points = scanned(before), before.positions_m
    assert_array_equal(after.object, before.object[:, rows, columns])
    offset = pixels_of(before, points) - pixels_of(after, points)
    assert_allclose(offset, np.tile([rows.start, columns.start], (len(points), 1)), atol=1e-9)
    inside = pixels_of(after, points)
    assert inside.min() > -1e-6
    assert (inside < np.array(after.object.shape[1:]) - 1 + 1e-6).all()


def test_crop_with_a_margin_stays_inside_the_object():
    before = true_reconstruction()
    wider = crop(before, 5 * before.pixel_m[0])
    assert_array_equal(np.array(wider.object.shape) - crop(before).object.shape, (0, 10, 10))
    assert_array_equal(crop(before, 1.0).object, before.object)


def test_line_scan_and_unknown_positions_are_not_cut_to_nothing():
    before = true_reconstruction()
    line = replace(before, positions_m=before.positions_m * (0, 1))
    assert crop(line).object.shape[1] == before.object.shape[1]
    assert crop(line).object.shape[2] < before.object.shape[2]
    unknown = replace(before, positions_m=np.empty((0, 2)))
    assert crop(unknown).object.shape == before.object.shape


def thick(factor=9.0):
    """A reconstruction whose object is a smooth thickness of several turns; left of it nothing."""
    found = true_reconstruction()
    shape = found.object.shape[1:]
    x = np.arange(shape[1]) / shape[1]
    thickness = np.tile(((x - 0.5) * 2).clip(0, None), (shape[0], 1))
    phase = -factor * gaussian_filter(thickness, 3)
    obj = np.exp(1j * phase)[None].astype(np.complex64)
    return replace(found, object=obj), phase


@pytest.mark.tomo
def test_unwrapping_gives_the_phase_of_a_thick_sample():
    found, phase = thick()
    assert np.ptp(phase) > 2.5 * np.pi
    finished = finish(
        spoiled(found), Postprocess(flatten=Rectangle((2, 2), (110, 40)), unwrap=True)
    )
    assert_allclose(finished.phase_rad[0], phase, atol=0.01)
    turned = finish(spoiled(found), Postprocess(flatten=Rectangle((2, 2), (110, 40)))).phase_rad
    assert np.ptp(turned) < 2 * np.pi + 1e-6


@pytest.mark.tomo
def test_unwrapped_phase_is_that_of_the_object_and_near_zero_where_asked():
    found, _ = thick()
    right = Rectangle((10, 90), (60, 20))
    phase = unwrapped(found, right)
    assert_allclose(np.exp(1j * phase), found.object, atol=1e-5)
    assert abs(np.median(phase[0][right.within(found)])) <= np.pi


def test_without_scikit_image_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.restoration", None)
    with pytest.raises(BeamlineError, match=r"pip install scikit-image"):
        finish(true_reconstruction(), Postprocess(unwrap=True))


# Empty regions


def rough(wave, sigma, seed=3):
    """With noise of ``sigma`` radians, and of the modulus, and a ramp."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(wave.shape) + 1j * rng.standard_normal(wave.shape)
    return wave * np.exp(sigma * noise) * ramp(wave.shape, SLOPE)


Y, X = np.indices((200, 240))
EMPTY = {
    "edge": X < 60,
    "corner": (Y < 70) & (X > 150),
    "around": np.hypot(Y - 100, X - 120) > 70,
    "strip": Y > 165,
}


@pytest.mark.parametrize("sigma", [0.003, 0.03])
@pytest.mark.parametrize("empty", EMPTY.values(), ids=EMPTY)
def test_vacuum_is_found(empty, sigma):
    material = sample((200, 240), np.random.default_rng(1)) * np.exp(-0.15 - 0.6j)
    rows, columns = find_vacuum(rough(np.where(empty, 1, material), sigma))
    assert empty[rows, columns].mean() > 0.98
    assert (rows.stop - rows.start) * (columns.stop - columns.start) > 600


def test_a_smooth_piece_of_material_is_not_taken_as_vacuum():
    """A slab of the same smoothness, larger than the vacuum, that absorbs a tenth."""
    wave = np.where(X < 60, 1, 0.9 * np.exp(-0.8j))
    _, columns = find_vacuum(rough(wave, 0.02))
    assert columns.stop <= 60


FULL = {
    "grating": np.exp(-1j * ((X // 9) % 2)),
    "hills": np.exp(30j * gaussian_filter(np.random.default_rng(0).standard_normal(X.shape), 8)),
    "noise": np.ones(X.shape, complex),
}


@pytest.mark.parametrize("wave", FULL.values(), ids=FULL)
def test_an_object_without_vacuum_is_refused(wave):
    with pytest.raises(ScanError, match=r"no vacuum region was found.*--flatten"):
        find_vacuum(rough(wave, 0.03))


def test_no_ramp_is_continued_from_a_corner():
    """What is flat there may be a plane of anything elsewhere."""
    empty = (Y < 36) & (X > 200)
    material = sample((200, 240), np.random.default_rng(1)) * np.exp(-0.15 - 0.6j)
    wave = rough(np.where(empty, 1, material), 0.003)
    found = replace(
        true_reconstruction(), object=wave[None].astype(np.complex64), positions_m=np.zeros((0, 2))
    )
    with pytest.raises(ScanError, match=r"only 1.\d% of the scanned area.*--flatten whole"):
        finish(found, Postprocess(flatten="auto"))


@pytest.mark.parametrize("shape", [(3, 5), (8, 8), (9, 400)])
def test_small_areas_are_searched_or_refused(shape):
    with pytest.raises(ScanError, match="no vacuum region"):
        find_vacuum(rough(np.ones(shape, complex), 0.05))


# Rectangles


def test_rectangles_in_pixels_and_lengths_are_the_same():
    found = true_reconstruction()
    rows, columns = Rectangle.parse("20,30,40,25").within(found)
    assert (rows, columns) == (slice(20, 60), slice(30, 55))
    y, x = points_of(found, np.array([19.5, 29.5])) * 1e6
    for text in (
        f"{y},{x},0.4,0.25um",
        f"{y * 1e3}, {x * 1e3}, 400, 250 nm",
        f"{y * 1e-6:.6e},{x * 1e-6:.6e},4e-7,2.5e-7m",
    ):
        assert Rectangle.parse(text).within(found) == (rows, columns)
    assert Rectangle.of(found, (rows, columns)).within(found) == (rows, columns)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1,2,3",
        "1,2,0,5",
        "a,b,c,d",
        "1,2,3,4furlong",
        "1,2,inf,4",
        "nan,1,5,5",
        "1,2,-3,4",
        "1,2,3,4,5",
    ],
)
def test_unknown_options_are_refused(text):
    with pytest.raises(SettingsError, match=r"Expected a rectangle Y0,X0,H,W.*10,20,60,40"):
        Rectangle.parse(text)


def test_a_rectangle_outside_is_refused():
    found = true_reconstruction()
    for text in ("500,500,20,20", "0,0,3,50", "1,1,1,1m"):
        with pytest.raises(SettingsError, match="less than 4 pixels"):
            finish(found, Postprocess(flatten=Rectangle.parse(text)))


@pytest.mark.tomo
def test_a_zero_that_is_cut_off_is_refused():
    outside = Postprocess(flatten=Rectangle((0, 0), (20, 20)), crop=True, unwrap=True)
    with pytest.raises(SettingsError, match="inside the scanned area"):
        finish(true_reconstruction(), outside)


def test_an_object_that_is_not_finite_cannot_be_flattened():
    obj = true_reconstruction().object.copy()
    obj[0, 60, 60] = np.nan
    for asked in (Postprocess(flatten="whole"), Postprocess(normalise=True)):
        with pytest.raises(ScanError, match="1 pixels of the object are not finite"):
            finish(replace(true_reconstruction(), object=obj), asked)


def test_an_object_of_zeros_cannot_be_normalised():
    found = true_reconstruction()
    with pytest.raises(ScanError, match="is 0"):
        finish(replace(found, object=found.object * 0), Postprocess(normalise=True))
