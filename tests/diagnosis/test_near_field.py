"""Near-field frames: recognised, their focus and orientation found, and reconstructed as such."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import scipy.fft
import scipy.ndimage
from checked_scans import sample_of, settings_of, width_4_sigma

from ptypy_beamline.cli import main
from ptypy_beamline.diagnosis import near_field
from ptypy_beamline.diagnosis.findings import diagnose, doubts
from ptypy_beamline.diagnosis.proposed_settings import changed
from ptypy_beamline.geometry import wavelength_m
from ptypy_beamline.parameter_values import orientation_flags
from ptypy_beamline.reconstruction.io.hdf5 import read_reconstruction
from ptypy_beamline.settings import Settings
from ptypy_beamline.testing.simulate import diffract, simulate
from ptypy_beamline.testing.simulate import sample as simulated_sample
from ptypy_beamline.testing.writers import WRITERS, Raw


def light(n):
    """A round parallel beam with a soft edge."""
    y, x = (np.indices((n, n)) - n / 2) / (0.3 * n)
    return np.exp(-((y**2 + x**2) ** 2))


def hologram_scan(n=128, pixel_m=1e-6, distance_m=0.02, energy_eV=10e3, beam=None, reach_px=40):
    """A near-field scan: frames are the sample's Fresnel pictures, which move with the stage."""
    rng = np.random.default_rng(3)
    points = rng.integers(0, reach_px, (25, 2))
    thing = simulated_sample((n + reach_px, n + reach_px), rng)
    q = scipy.fft.fftfreq(n, pixel_m)
    squared = q[:, None] ** 2 + q**2
    pull = np.exp(-1j * np.pi * wavelength_m(energy_eV) * distance_m * squared)
    beam = light(n) if beam is None else beam
    waves = np.array([thing[r : r + n, c : c + n] * beam for r, c in points])
    counts = rng.poisson(1e3 * np.abs(scipy.fft.ifft2(scipy.fft.fft2(waves) * pull)) ** 2)
    return Raw(
        counts.astype(np.uint32),
        points * pixel_m,
        energy_eV,
        distance_m,
        (pixel_m, pixel_m),
        center_px=(n // 2, n // 2),
    )


def test_near_field_frames_are_reconstructed_as_such(tmp_path, capsys):
    file = WRITERS["standard"](tmp_path / "near.h5", hologram_scan())
    assert main(["preview", str(file), "-o", str(tmp_path / "p"), "--json"]) == 0
    text, messages = capsys.readouterr()
    assert messages.startswith("note: reconstructed as the near field of a parallel beam; ")
    own_warnings = json.loads(text)
    assert own_warnings["near_field"]
    assert own_warnings["held_out_error"] < 0.2
    found = read_reconstruction(tmp_path / "p" / "reconstruction.h5")
    assert found.pixel_m == pytest.approx((1e-6, 1e-6))
    assert found.held_out_error == own_warnings["held_out_error"]
    far = ["preview", str(file), "-o", str(tmp_path / "far"), "--propagation", "farfield"]
    assert main(far) == 1  # steps are larger than the field of view would be


def test_near_field_of_a_cone_beam_is_scaled(tmp_path, capsys):
    """Focus, distance and pixel twice as large in all make the same hologram."""
    raw = hologram_scan()
    cone = replace(raw, distance_m=0.04, pixel_m=(2e-6, 2e-6))
    file = WRITERS["standard"](tmp_path / "cone.h5", cone)
    words = ["preview", str(file), "-o", str(tmp_path / "p"), "--json"]
    assert main([*words, "--focus-to-sample-m", "0.04"]) == 0
    text, messages = capsys.readouterr()
    assert "effective distance 0.02 m with pixels of 1e-06 m" in messages
    assert json.loads(text)["held_out_error"] < 0.2


def test_near_field_frames_are_recognised(tmp_path):
    file = WRITERS["standard"](tmp_path / "near.h5", hologram_scan())
    settings = Settings.of({"file": str(file)})
    assert near_field.magnification(sample_of(settings)) == pytest.approx(1, abs=0.05)
    (found,) = [f for f in diagnose(settings).findings if f.level != "note"]
    assert "nearfield" in found.remedy
    expected = (width_4_sigma(light(128)) * 128e-6) ** 2 / (wavelength_m(10e3) * 0.02)
    number = float(found.what.split("Fresnel number ")[1].split()[0])
    assert number == pytest.approx(expected, rel=0.2)
    parallel = diagnose(changed(settings, {"focus_to_sample": 0})).findings
    assert {f.level for f in parallel} == {"note"}


def test_orient_refuses_near_field_frames(tmp_path, capsys):
    """Reconstructions decided by chance, or not at all; how the frames move does decide."""
    file = WRITERS["standard"](tmp_path / "near.h5", hologram_scan())
    assert main(["orient", str(file)]) == 1
    assert "ptypy-beamline check compares these moves" in capsys.readouterr().err


def test_a_cone_beam_reports_the_effective_geometry(tmp_path):
    raw = hologram_scan(pixel_m=10e-6, distance_m=1.98)
    file = WRITERS["standard"](tmp_path / "cone.h5", replace(raw, positions_m=raw.positions_m / 99))
    settings = Settings.of({"file": str(file), "focus_to_sample": 1.98 / 98})
    known = diagnose(settings, with_reconstructions=False).findings
    assert {f.level for f in known} == {"note"}
    notes = [f.what for f in known]
    assert any("effective distance 0.02 m and pixel 1.01e-07 m" in note for note in notes)


def cone_scan(magnification, diffuser_rad=0.0, n=128, pixel_m=2e-7, distance_m=2e-3, reach_px=40):
    """The hologram of a parallel beam, by Fresnel scaling that of a cone beam; and its focus.

    A diffuser makes the beam speckled, as near-field ptychography wants it.
    """
    rng = np.random.default_rng(5)
    phases = scipy.ndimage.gaussian_filter(rng.normal(size=(n, n)), 5)
    beam = light(n) * np.exp(1j * diffuser_rad * phases / phases.std())
    flat = hologram_scan(n, pixel_m, distance_m, beam=beam, reach_px=reach_px)
    distance_m, pixel_m = distance_m * magnification, pixel_m * magnification
    raw = replace(flat, distance_m=distance_m, pixel_m=(pixel_m, pixel_m))
    return raw, distance_m / (magnification - 1)


@pytest.mark.parametrize("diffuser_rad", [0.0, 2.0])
@pytest.mark.parametrize("magnification", [1.5, 20, 100])
def test_the_focus_of_a_cone_beam_is_found_from_the_frames(tmp_path, magnification, diffuser_rad):
    """Speckles of its frames say nothing of how wide the beam is; the given focus ends it."""
    raw, focus_m = cone_scan(magnification, diffuser_rad)
    settings = Settings.of({"file": str(WRITERS["standard"](tmp_path / "cone.h5", raw))})
    for given in ({}, {"focus_to_sample": 2 * focus_m}):
        (found,) = [f for f in diagnose(changed(settings, given)).findings if f.level != "note"]
        assert "near field" in found.what
        assert found.settings["focus_to_sample"] == pytest.approx(focus_m, rel=0.05)
    after = diagnose(changed(settings, found.settings)).findings
    assert {f.level for f in after} == {"note"}
    (own_warnings,) = [
        f.what for f in after if "move over the detector as the stage does" in f.what
    ]
    nearest_m, farthest_m = own_warnings.split("any focus from ")[1].split(" m")[0].split(" to ")
    assert float(nearest_m) < focus_m < float(farthest_m) < 1.6 * focus_m


@pytest.mark.parametrize(
    "wrong", [{"units.positions": "mm"}, {"units.positions": "nm"}, {"units.pixel": "mm"}]
)
def test_a_wrong_unit_of_a_near_field_scan_is_found_from_its_motion(tmp_path, wrong):
    """The far field's λz/p, shorter than this scan's steps, does not matter."""
    raw, focus_m = cone_scan(10, 1.0, reach_px=100)
    raw = replace(raw, center_px=None)
    file = WRITERS["exchange"](tmp_path / "cone.h5", raw)
    given = {"focus_to_sample": focus_m, "center": (64, 64)}
    settings = Settings.of({"file": str(file), **given, **wrong})
    (found,) = [f for f in diagnose(settings).findings if f.level != "note"]
    assert found.settings == dict.fromkeys(wrong, "um")
    after = diagnose(changed(settings, found.settings)).findings
    assert {f.level for f in after} == {"note"}


@pytest.mark.parametrize("unit", [1e-3, 1, 1e3])
@pytest.mark.parametrize("coarser", [1, 10])
@pytest.mark.parametrize(("width_px", "curvature"), [(20, 4), (30, 12), (45, 0), (45, 12)])
def test_a_diverging_probe_is_not_taken_for_near_field(
    tmp_path, width_px, curvature, coarser, unit
):
    """Its far-field frames are moving shadows too, but λz/p holds it; in a wrong unit as well."""
    rng = np.random.default_rng(7)
    truth = simulate(96, (6, 6), 6, "jitter", object_pixel_m=1e-8 * coarser)
    y, x = (np.indices((96, 96)) - 48) / width_px
    probe = np.exp(-8 * (y**2 + x**2) ** 2 + 1j * curvature * (y**2 + x**2))
    expected = diffract(truth.object, probe.astype(np.complex64), truth.corners_px)
    frames = rng.poisson(3e5 * expected / expected.sum((1, 2)).mean()).astype(np.uint32)
    wrong = {"frames": frames, "positions_m": truth.positions_m * unit}
    settings = settings_of(tmp_path, "standard", truth, **wrong)
    assert near_field.magnification(sample_of(settings)) is None


def test_a_beam_that_moves_with_the_stage_is_not_taken_for_near_field(tmp_path):
    truth = simulate(64, (8, 8), 6, "fermat", photons=3e5, object_pixel_m=2e-7)
    moved = np.rint(truth.positions_m / 4e-7).astype(int)
    pairs = zip(truth.frames, moved, strict=True)
    frames = np.array([np.roll(frame, by, (0, 1)) for frame, by in pairs])
    settings = settings_of(tmp_path, "standard", truth, frames=frames)
    assert near_field.magnification(sample_of(settings)) is None


@pytest.mark.parametrize("code", [1, 3, 4, 6])
def test_a_wrong_orientation_of_near_field_frames_is_reported(tmp_path, code):
    raw = hologram_scan()
    transpose, ud, lr = orientation_flags(code)
    ud, lr = (lr, ud) if transpose else (ud, lr)
    frames = raw.frames.swapaxes(1, 2) if transpose else raw.frames
    rotated = np.ascontiguousarray(frames[:, :: -1 if ud else 1, :: -1 if lr else 1])
    file = WRITERS["standard"](tmp_path / "near.h5", replace(raw, frames=rotated, center_px=None))
    settings = Settings.of({"file": str(file), "center": "fftshift"})
    found = [f for f in diagnose(settings).findings if f.level == "error"]
    assert [f.settings["orientation"] for f in found] == [code]
    assert found[0] in doubts(sample_of(settings), near=True)
    again = diagnose(changed(settings, found[0].settings)).findings
    assert [f for f in again if f.level == "error"] == []
