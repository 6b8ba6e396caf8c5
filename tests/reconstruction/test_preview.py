"""The embedded reconstruction against scans whose truth is known."""

import os
from pathlib import Path

import numpy as np
import pytest
from folders import SHARED
from matplotlib.image import imread

from ptypy_beamline.errors import ScanError
from ptypy_beamline.plotting import hue_and_brightness
from ptypy_beamline.reconstruction.area import pixels_of
from ptypy_beamline.reconstruction.comparison.registration import correlation
from ptypy_beamline.reconstruction.phase import flatten_phase
from ptypy_beamline.reconstruction.pictures import draw_beside_truth
from ptypy_beamline.reconstruction.preview import probe_guess, reconstruct
from ptypy_beamline.reconstruction.preview.engine import prepare
from ptypy_beamline.reconstruction.preview.probe import best_probe, cropped, enlarged
from ptypy_beamline.testing.simulate import diffract, simulate

GOOD = np.ones((64, 64), bool)
MARGIN = 28


@pytest.fixture(scope="module")
def truth():
    return simulate(64, (16, 16), 5, "jitter", photons=1e6)


@pytest.fixture(scope="module")
def found(truth):
    return reconstruct(truth.frames, GOOD, truth.positions_m, truth.object_pixel_m, iterations=40)


def test_reconstruction_is_like_the_truth(truth, found):
    assert correlation(found.object[0], truth.object, MARGIN) > 0.95
    assert found.object.dtype == found.probe.dtype == np.complex64
    assert found.probe.shape == (1, 64, 64)
    assert found.errors.shape == (40,)
    assert found.errors[-1] < 0.8 * found.errors[0]


def with_signs(truth, signs):
    return reconstruct(
        truth.frames, GOOD, truth.positions_m * signs, truth.object_pixel_m, iterations=15
    )


@pytest.mark.parametrize("signs", [(-1, 1), (1, -1)])
def test_one_wrong_position_sign_is_worse(truth, found, signs):
    wrong = with_signs(truth, signs)
    assert wrong.errors[-1] > 1.3 * found.errors[14]
    assert correlation(wrong.object[0], truth.object, MARGIN) < 0.5


def test_both_position_signs_wrong_give_the_twin(truth):
    """Far-field moduli are the same for ψ(r) and ψ*(−r): only the object shows the mistake."""
    right, wrong = with_signs(truth, (1, 1)), with_signs(truth, (-1, -1))
    assert wrong.errors[-1] == pytest.approx(right.errors[-1], rel=0.05)
    assert correlation(wrong.object[0], truth.object, MARGIN) < 0.5
    assert correlation(wrong.object[0][::-1, ::-1].conj(), truth.object, MARGIN) > 0.9


def test_frames_held_out_are_predicted(found):
    assert found.held_out_error < 0.2


@pytest.mark.parametrize("garbage", ["shuffled", "gaps as counts", "one axis reversed"])
def test_garbage_cannot_flatter_the_held_out_error(truth, garbage):
    frames, positions = truth.frames.copy(), truth.positions_m
    if garbage == "shuffled":
        positions = np.random.default_rng(1).permutation(positions)
    elif garbage == "gaps as counts":
        frames[:, 40:43] = 2**32 - 1
    else:
        positions = positions * (-1, 1)
    found = reconstruct(frames, GOOD, positions, truth.object_pixel_m, iterations=10)
    assert found.held_out_error > 0.9


def test_repeats_at_nearly_the_same_place_do_not_flatter_it(truth):
    """Held out singly, a repeat is predicted by the others, whatever is wrong."""
    rng = np.random.default_rng(2)
    some = rng.permutation(len(truth.frames))[:40]
    light = diffract(truth.object, truth.probe, truth.corners_px[some])
    frames = rng.poisson(np.repeat(light, 3, axis=0))
    positions = np.repeat(truth.positions_m[rng.permutation(some)], 3, axis=0)
    positions += rng.normal(0, 0.2 * 10e-9, positions.shape)
    found = reconstruct(frames, GOOD, positions, truth.object_pixel_m, iterations=10)
    assert found.held_out_error > 0.9


def test_few_photons_are_no_garbage():
    dim = simulate(64, (12, 12), 5, "jitter", photons=3e4)
    found = reconstruct(dim.frames, GOOD, dim.positions_m, dim.object_pixel_m, iterations=10)
    assert found.held_out_error < 0.7


def test_too_few_frames_have_no_held_out_error(truth):
    few = slice(0, 19)
    found = reconstruct(
        truth.frames[few], GOOD, truth.positions_m[few], truth.object_pixel_m, iterations=5
    )
    assert found.held_out_error is None


def test_object_amplitude_is_that_of_the_sample(truth, found):
    middle = tuple(slice(n // 3, -n // 3) for n in found.object[0].shape)
    assert np.abs(found.object[0][middle]).mean() == pytest.approx(1, abs=0.15)


def test_positions_are_rounded_to_whole_pixels_of_the_object(truth, found):
    half_px = 0.5 * np.array(found.pixel_m)
    assert (np.abs(found.positions_m - truth.positions_m) <= half_px * (1 + 1e-9)).all()
    corners = pixels_of(found, found.positions_m) - (64 - 1) / 2
    np.testing.assert_allclose(corners, np.rint(corners), atol=1e-6)


@pytest.mark.long
def test_bad_pixels_and_an_off_centre_beam_change_nothing(truth):
    good = GOOD.copy()
    good[20:24, 30:50] = False
    good[::9, ::7] = False
    frames = np.where(good, truth.frames, 60000)
    rolled, good = np.roll(frames, (-3, 5), (1, 2)), np.roll(good, (-3, 5), (0, 1))
    result = reconstruct(
        rolled, good, truth.positions_m, truth.object_pixel_m, center_px=(29.3, 37.2), iterations=40
    )
    assert correlation(result.object[0], truth.object, MARGIN) > 0.9


def test_same_seed_same_result(truth):
    few = slice(0, 40)
    a, b = (
        reconstruct(
            truth.frames[few],
            np.broadcast_to(GOOD, (40, 64, 64)),
            truth.positions_m[few],
            truth.object_pixel_m,
            iterations=2,
            seed=3,
        )
        for _ in range(2)
    )
    assert np.array_equal(a.object, b.object)


def test_progress_counts_up(truth):
    calls = []
    reconstruct(
        truth.frames[:9],
        GOOD,
        truth.positions_m[:9],
        truth.object_pixel_m,
        iterations=3,
        probe=truth.probe,
        progress=lambda k, error: calls.append((k, error)),
    )
    assert [k for k, _ in calls] == [1, 2, 3]


def test_inputs_that_do_not_match_are_refused(truth):
    with pytest.raises(ScanError, match="one per position"):
        reconstruct(truth.frames, GOOD, truth.positions_m[1:], truth.object_pixel_m)
    with pytest.raises(ScanError, match="photons"):
        reconstruct(truth.frames * 0, GOOD, truth.positions_m, truth.object_pixel_m)


def test_probe_guess_has_the_mean_frames_power_and_modulus(truth):
    mean = truth.frames.mean(axis=0)
    for width in (0.0, 8.0, -8.0):
        guess = probe_guess(mean, width_px=width)
        assert (np.abs(guess) ** 2).sum() == pytest.approx(mean.sum(), rel=1e-4)
        modulus = np.abs(np.fft.fftshift(np.fft.fft2(guess, norm="ortho")))
        np.testing.assert_allclose(modulus, np.sqrt(mean), atol=1e-3 * np.sqrt(mean.max()))


def likeness(a, b):
    return abs(np.vdot(a, b)) / np.linalg.norm(a) / np.linalg.norm(b)


def test_the_probe_is_searched_on_the_part_of_the_detector_that_holds_the_light():
    scan = simulate(96, (9, 9), 8, "spiral", photons=1e5)
    engine = prepare(
        scan.frames, np.ones((96, 96), bool), scan.positions_m, scan.object_pixel_m, None
    )
    assert cropped(engine).moduli.shape == (81, 48, 48)
    found = best_probe(engine, seed=0)
    assert found.shape == (96, 96)
    assert likeness(found, scan.probe) > 0.8


def test_steps_of_few_pixels_are_not_cropped_away():
    scan = simulate(96, (9, 9), 3, "spiral", photons=1e5)
    engine = prepare(
        scan.frames, np.ones((96, 96), bool), scan.positions_m, scan.object_pixel_m, None
    )
    assert cropped(engine) is engine


def test_an_enlarged_probe_is_the_same_wave_on_finer_pixels():
    scan = simulate(96, (2, 2), 8)
    fine = enlarged(enlarged(scan.probe, 96), 192)
    assert np.linalg.norm(fine) == pytest.approx(np.linalg.norm(scan.probe), rel=1e-5)
    assert likeness(fine[::2, ::2], scan.probe) > 0.9999


def test_probe_guess_is_as_wide_as_asked(truth):
    def radius(wave):
        power = np.abs(wave) ** 2 / (np.abs(wave) ** 2).sum()
        return np.sqrt((power * ((np.indices(power.shape) - 32) ** 2).sum(axis=0)).sum())

    mean = truth.frames.mean(axis=0)
    focus, wide = (radius(probe_guess(mean, width_px=w)) for w in (0, 9))
    assert np.hypot(focus, 9) == pytest.approx(wide, rel=0.25)


def test_probe_guess_fills_bad_pixels(truth):
    mean, good = truth.frames.mean(axis=0), GOOD.copy()
    good[::5, ::5] = False
    spoiled = np.where(good, mean, 1e9)
    a, b = probe_guess(mean), probe_guess(spoiled, good)
    assert abs(np.vdot(a, b)) / np.linalg.norm(a) / np.linalg.norm(b) > 0.99


def test_flatten_phase_removes_ramp_and_mean(truth):
    y, x = np.indices(truth.object.shape)
    ramped = truth.object * np.exp(1j * (2 + 0.05 * y - 0.08 * x))
    flat = np.angle(flatten_phase(ramped))
    assert flat.std() == pytest.approx(np.angle(truth.object).std(), rel=0.1)
    assert abs(flat.mean()) < 0.1


def test_hue_is_phase_and_brightness_modulus():
    wave = np.array([[1.0, 1.0j], [-1.0, 0.0]])
    rgb = hue_and_brightness(wave)
    assert rgb[0, 0].argmax() == 0
    assert rgb[1, 0].argmin() == 0
    assert not rgb[1, 1].any()


def test_picture_is_drawn(tmp_path: Path, truth, found):
    inner = truth.object[20:-20, 20:-20]
    alone = draw_beside_truth(tmp_path / "a.png", inner, found.probe, found.errors, found.pixel_m)
    pair = draw_beside_truth(
        tmp_path / "new" / "b.png",
        inner,
        found.probe,
        found.errors,
        found.pixel_m,
        truth=inner,
        title="A scan",
    )
    small, large = imread(alone), imread(pair)
    assert small.shape[1] == large.shape[1] > 1000
    assert large.shape[0] > small.shape[0]
    assert large.std() > 0.1


@pytest.mark.long
@pytest.mark.real
def test_a_measured_scan_determines_the_sign_of_its_rows():
    folder = os.environ.get("PTYPY_BEAMLINE_DATA")
    beside = Path(folder) if folder else SHARED / "data"
    path = beside / "siemens-star-516.npz"
    if not path.exists():
        pytest.skip("the measured Siemens star is not here")
    with np.load(path) as data:
        frames, positions_m = data["frames"], data["positions_px"] * 10e-9
    good, resolution = np.ones((128, 128), bool), (10e-9, 10e-9)
    right = reconstruct(frames, good, positions_m, resolution, iterations=8)
    wrong = reconstruct(frames, good, positions_m * (-1, 1), resolution, iterations=8)
    assert right.errors[-1] < 0.185
    assert wrong.errors[-1] > 0.2
