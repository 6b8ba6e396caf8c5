"""Frames stored as amplitudes, or with zero frequency at pixel (0, 0): every format alike."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import scans
import test_conformance as suites
from numpy.testing import assert_allclose, assert_array_equal

from ptypy_beamline import open_scan
from ptypy_beamline.errors import BeamlineWarning, SettingsError
from ptypy_beamline.frames.wrappers import FftShiftedFrames
from ptypy_beamline.planning.implausible import corners_over_middle
from ptypy_beamline.scan import ArrayFrames, Window
from ptypy_beamline.testing.package_writers import write_simulation

SUITES = {
    name: suite
    for suite in vars(suites).values()
    if isinstance(suite, type) and (name := getattr(suite, "format", ""))
}


def shifted(raw):
    """The scan as ``numpy.fft.ifftshift`` stores it: frames and all images that lie like them."""

    def turn(images):
        return None if images is None else np.fft.ifftshift(images, axes=(-2, -1))

    center, shape = raw.center_px, np.array(raw.frames.shape[1:])
    if center is not None:
        center = tuple(np.mod(center - shape // 2, shape).tolist())
    return replace(
        raw,
        frames=turn(raw.frames),
        bad=turn(raw.bad),
        dark=turn(raw.dark),
        flat=turn(raw.flat),
        center_px=center,
    )


def loaded(file, suite, raw, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plan = open_scan(file, **suite.settings).plan(**suite.given(raw), **settings)
        blocks = list(plan.blocks(6))
        frames, good = (np.concatenate([getattr(b, k) for b in blocks]) for k in ("frames", "good"))
        return frames, good, plan.geometry


@pytest.mark.parametrize("format", SUITES)
def test_zero_frequency_at_the_corner(tmp_path, format):
    """Window, mask, dark, flat, centre of the file and of the user."""
    suite = SUITES[format]()
    raw = suite.raw()
    if raw.center_px is not None:
        raw = replace(raw, center_px=(12.25, 10.5))
    plain, turned = tmp_path / "plain", tmp_path / "turned"
    plain.mkdir()
    turned.mkdir()
    file = suite.write(plain, raw)
    # A tike file has it there by itself.
    other = suite.write(turned, raw if format == "tike" else shifted(raw))
    mask = np.zeros(raw.frames.shape[1:], np.uint8)
    mask[3:5, 7] = 1
    stored = np.fft.ifftshift(mask)
    background = np.arange(mask.size, dtype=float).reshape(mask.shape) / 50
    own = {"shape": (10, 12), "rebin": 2, "rotate": 90}
    if raw.center_px is None:
        own["center"] = (11, 9)
    where = {} if format == "tike" else {"zero_frequency": "corner"}
    there = {"zero_frequency": "center"} if format == "tike" else {}
    if format == "tike":  # the plain one: its frames as they are stored, in the middle
        file = suite.write(plain, replace(raw, frames=np.fft.fftshift(raw.frames, axes=(1, 2))))
    frames, good, geometry = loaded(
        file, suite, raw, **there, **own, mask=mask, background=background
    )
    again = loaded(
        other, suite, raw, **where, **own, mask=stored, background=np.fft.ifftshift(background)
    )
    assert_allclose(again[0], frames, rtol=1e-6)
    assert_array_equal(again[1], good)
    assert_allclose(again[2].center_px, geometry.center_px)


@pytest.mark.parametrize("format", sorted(set(SUITES) - {"adorym", "phantom"}))
def test_magnitudes_are_squared(tmp_path, format):
    suite = SUITES[format]()
    raw = suite.raw(saturation=None)
    if raw.dark is not None:
        raw = replace(raw, dark=raw.dark * 0)
    magnitudes = raw.frames // 300
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    counts = suite.write(tmp_path / "a", replace(raw, frames=magnitudes.astype(np.uint32) ** 2))
    stored = suite.write(tmp_path / "b", replace(raw, frames=magnitudes))
    center = {"center": (11, 9)}
    wanted, got = (
        loaded(file, suite, raw, **how, **center)
        for file, how in ((counts, {}), (stored, {"stored_as": "magnitude"}))
    )
    assert_allclose(got[0], wanted[0], rtol=1e-6)
    assert_array_equal(got[1], wanted[1])


def test_a_pixel_without_a_count_has_none_squared(tmp_path):
    suite = suites.TestEiger()
    raw = suite.raw(dark=None, bad=None, saturation=None)
    frames = np.fft.fftshift(raw.frames, axes=(1, 2))
    frames[2, 5, 6] = 65535
    file = suite.write(tmp_path, replace(raw, frames=frames))
    _, good, _ = loaded(file, suite, raw, stored_as="magnitude", zero_frequency="corner")
    assert np.argwhere(~good[2]).tolist() == [[(5 + 12) % 24, (6 + 10) % 20]]


@pytest.mark.parametrize("shape", [(7, 8), (8, 7), (1, 5)])
def test_any_window_of_a_centred_frame(shape):
    stack = np.arange(3 * np.prod(shape)).reshape(3, *shape)
    wanted, centred = np.fft.fftshift(stack, axes=(1, 2)), FftShiftedFrames(ArrayFrames(stack))
    for top in range(shape[0]):
        for left in range(shape[1]):
            for height in {1, shape[0] - top}:
                for width in {1, shape[1] - left}:
                    window = Window(top, left, height, width)
                    rows, columns = window.slices
                    assert_array_equal(centred.read([2, 0], window), wanted[[2, 0], rows, columns])


def test_a_simulation_has_counts_in_the_middle(tmp_path):
    write_simulation(tmp_path / "cone", size=48, n=32, scan=(4, 5), step_px=9, photons="1e5")
    for wrong in ({"stored_as": "magnitude"}, {"zero_frequency": "corner"}):
        with pytest.raises(SettingsError, match="leave stored_as and zero_frequency out"):
            open_scan(tmp_path / "cone", **wrong)


# a wrong one is reported ----------------------------------------------------------------------


@pytest.mark.parametrize("format", ["standard", "cxi", "tiff", "areadetector"])
def test_bright_corners_are_reported(tmp_path, format):
    turned = np.fft.ifftshift(scans.truth().frames, axes=(1, 2))
    file = scans.write(tmp_path, format, frames=turned)
    scan = open_scan(file)
    with pytest.warns(BeamlineWarning, match=r"set zero_frequency='corner' \(--zero-frequency cor"):
        scan.plan()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scan.plan()  # once is enough
        open_scan(file, zero_frequency="corner").plan()


def test_a_bright_centre_that_should_be_dark_is_reported(tmp_path):
    file = scans.write(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_scan(file).plan()
    with pytest.warns(BeamlineWarning, match="set zero_frequency='center'"):
        open_scan(file, zero_frequency="corner").plan()


def test_commands_report_it_too(tmp_path, type_in):
    file = scans.write(tmp_path, frames=np.fft.fftshift(scans.truth().frames, axes=(1, 2)))
    assert "--zero-frequency corner" in type_in("info", file)[2]
    assert "zero" not in type_in("info", file, "--zero-frequency", "corner")[2]


def beam(where, offset=0.0, side=64):
    """A spot of light at ``where`` on a noisy detector."""
    rng, (y, x) = np.random.default_rng(0), np.indices((side, side))
    spot = 300 * np.exp(-((y - where[0]) ** 2 + (x - where[1]) ** 2) / 2 / 4**2)
    return rng.poisson(spot + offset + 0.2, (5, side, side)).astype(float)


def stop(frames, radius=14):
    y, x = np.indices(frames.shape[1:]) - 32
    return frames * (np.hypot(y, x) > radius)


@pytest.mark.parametrize(
    "frames",
    [
        beam((32, 32)),
        beam((5, 6)),  # the beam near one corner
        beam((0, 32)),  # on an edge
        stop(beam((32, 32)) + beam((32, 32), side=64) * 3),  # behind a beam stop
        stop(beam((32, 32), 20), 22),  # a wide one
        np.random.default_rng(1).poisson(3.0, (5, 64, 64)).astype(float),
        np.zeros((5, 64, 64)),
        np.full((5, 64, 64), np.nan),
        np.ones((5, 3, 2)),
    ],
    ids=["middle", "one corner", "edge", "stop", "wide stop", "flat", "dark", "nan", "tiny"],
)
def test_frames_without_exchanged_quadrants(frames):
    scan = replace(scan_of(frames), frames=ArrayFrames(frames))
    assert corners_over_middle(scan, frames) is None


def scan_of(frames):
    from ptypy_beamline.scan import Scan

    return Scan(ArrayFrames(frames), np.zeros((len(frames), 2)))


@pytest.mark.parametrize("offset", [0.0, 2.0])
def test_frames_with_exchanged_quadrants(offset):
    frames = np.fft.fftshift(beam((33, 30), offset), axes=(1, 2))
    assert corners_over_middle(scan_of(frames), frames) > 2
    frames[:, 30:34, 30:34] = 1e9  # a hot spot that the mask has
    bad = np.zeros((64, 64), bool)
    bad[30:34, 30:34] = True
    assert corners_over_middle(replace(scan_of(frames), bad=bad), frames) > 2


@pytest.mark.parametrize("counts", [True, False])
def test_counts_that_are_taken_for_amplitudes_are_warned_of(tmp_path, counts):
    frames = np.random.default_rng(0).poisson(9.0, (12, 16, 16)).astype(np.float32)
    file = tmp_path / "mine.npz"
    stored = frames if counts else np.sqrt(frames)
    np.savez(file, images=stored, x=np.arange(12) * 3.0, y=np.arange(12) % 4 * 3.0)
    scan = open_scan(file, format="ptychopinn", paths={"frames": "images", "x": "x", "y": "y"})
    known = {"energy": 8.0, "distance": 1.0, "psize": 75e-6, "center": (8, 8)}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scan.plan(**known)
    assert any("whole numbers" in str(one.message) for one in caught) == counts
