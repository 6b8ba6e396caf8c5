"""Correct scans have no problem; what is measured of them is true."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import h5py
import numpy as np
import pytest
from checked_scans import sample_of, settings_of, width_4_sigma
from matplotlib.figure import Figure
from matplotlib.quiver import Quiver

from ptypy_beamline.cli import main
from ptypy_beamline.diagnosis import page, stage
from ptypy_beamline.diagnosis.centre import friedel_centre
from ptypy_beamline.diagnosis.findings import diagnose
from ptypy_beamline.diagnosis.frame_features import measure_in_order
from ptypy_beamline.diagnosis.orientation_ambiguities import conjugate_twin, relation, same_axes
from ptypy_beamline.diagnosis.proposed_settings import as_typed, changed
from ptypy_beamline.diagnosis.sampling import Sampling, dose_to_water
from ptypy_beamline.diagnosis.scan_sample import probe_share
from ptypy_beamline.formats import open_with
from ptypy_beamline.positions import step_m
from ptypy_beamline.settings import Settings
from ptypy_beamline.testing.demo import write_demo_scan
from ptypy_beamline.testing.simulate import diffract, simulate
from ptypy_beamline.testing.writers import WRITERS, Raw
from ptypy_beamline.units import EV_J

SCANS = [
    ("standard", 64, "raster", 5, 1e6),
    ("exchange", 128, "snake", 8, 1e5),
    ("cxi", 64, "spiral", 6, 1e7),
    ("nxcxi", 96, "fermat", 9, 1e4),
    ("areadetector", 128, "jitter", 12, 1e8),
    ("tiff", 64, "fermat", 4, 1e5),
    ("ptyd", 64, "raster", 9, 1e6),
    ("diamond", 64, "snake", 7, 3e5),
]
"""Format, pixels, pattern, step in pixels, photons a frame."""


def problems(settings, with_reconstructions=False):
    return [str(f) for f in diagnose(settings, with_reconstructions).findings if f.level != "note"]


@pytest.mark.parametrize(("format", "n", "pattern", "step_px", "photons"), SCANS)
def test_a_correct_scan_has_no_problem(tmp_path, format, n, pattern, step_px, photons):
    truth = simulate(n, (7, 8), step_px, pattern, photons=photons, seed=n)
    assert problems(settings_of(tmp_path, format, truth)) == []


@pytest.mark.long
def test_automatic_orientation_does_not_hide_a_lag(tmp_path):
    """Two golden angles turn the pattern by a quarter: neither is found without the other."""
    truth = simulate(64, (11, 11), 6, "fermat", photons=1e6, seed=1)
    settings = settings_of(tmp_path, "standard", truth, frames=np.roll(truth.frames, 2, axis=0))
    found = diagnose(changed(settings, {"orientation": "auto"}))
    assert dict(found.findings[0].settings) == {"positions.shift": 2}
    assert "orientation 0 was found from the data" in found.findings[1].what


def test_a_dose_counts_every_exposure(tmp_path):
    """Whatever is made of them: the same for a sum, a mean and each on its own."""
    truth = simulate(64, (8, 8), 6, photons=1e6, seed=1)
    settings = settings_of(tmp_path, "standard", truth, frames=np.repeat(truth.frames, 2, axis=0))
    doses = set()
    for grouping in ("sum", "mean", "none"):
        asked = changed(settings, {"frames_per_position": 2, "grouping": grouping})
        notes = [one.what for one in diagnose(asked, with_reconstructions=False).findings]
        doses.add(next(note for note in notes if "Gy" in note).partition(",")[2].partition(")")[0])
    assert len(doses) == 1


def test_dose_to_water():
    """D = Φ·E·μen/ρ, at a tabulated energy and between two."""
    assert dose_to_water(1e15, 8000) == pytest.approx(1e15 * 8000 * EV_J * 0.9915)
    assert 0.4944 < dose_to_water(1 / EV_J / 9000, 9000) < 0.9915
    assert dose_to_water(1e15, 710) is None


@pytest.mark.parametrize(("energy_eV", "reported"), [(8800.0, True), (710.0, False)])
def test_the_dose_is_reported_if_known(tmp_path, energy_eV, reported):
    truth = simulate(64, (8, 8), 6, energy_eV=energy_eV, photons=1e6)
    found = diagnose(settings_of(tmp_path, "standard", truth), with_reconstructions=False).findings
    assert any("Gy to water" in one.what for one in found) == reported


def test_the_demo_scan_is_clean_with_the_proposed_settings(tmp_path):
    demo = write_demo_scan(tmp_path / "raw.h5", shape=(8, 8))
    whole = {"file": str(tmp_path / "raw.h5"), "frames_per_position": 3}
    plain, right = Settings.of(whole), Settings.of({**whole, "shape": 128, "saturation": 1023})
    assert problems(right) == []
    found = {
        name for f in diagnose(plain, with_reconstructions=False).findings for name in f.settings
    }
    assert {"saturation", "hot_sigma", "monitor"} <= found
    assert len(demo.hot_px) > 0


@pytest.mark.parametrize("photons", [1e4, 1e6, 1e8])
@pytest.mark.parametrize("pattern", ["raster", "fermat"])
def test_the_probe_size_is_measured_from_the_frames(photons, pattern):
    truth = simulate(128, (8, 8), 10, pattern, photons=photons, seed=1)
    share = probe_share(truth.frames, np.ones((128, 128), bool))
    assert share == pytest.approx(width_4_sigma(truth.probe), rel=0.35)


def test_noise_alone_gives_no_probe_size():
    frames = np.random.default_rng(0).poisson(3.0, (32, 64, 64))
    assert probe_share(frames, np.ones((64, 64), bool)) is None


@pytest.mark.parametrize("stop_px", [0, 7])
@pytest.mark.parametrize("moved_px", [(0, 0), (9, -5)])
def test_friedel_symmetry_finds_the_centre_behind_a_beam_stop(stop_px, moved_px):
    truth = simulate(96, (6, 6), 9, "jitter", photons=1e5, seed=2)
    mean = np.roll(truth.frames.mean(0), moved_px, (0, 1))
    y, x = np.indices(mean.shape)
    good = np.hypot(y - 50, x - 45) >= stop_px  # not quite in the middle
    center, symmetry = friedel_centre(np.where(good, mean, 0), good)
    assert center == pytest.approx(np.add(48, moved_px), abs=0.35)
    assert symmetry > 0.8


def test_sampling_is_that_of_the_simulation(tmp_path):
    truth = simulate(128, (9, 9), 10, photons=1e6)
    sampling = Sampling.of(sample_of(settings_of(tmp_path, "standard", truth)))
    probe_m = width_4_sigma(truth.probe) * 1.28e-6
    assert sampling.step_m == pytest.approx(1e-7)
    assert sampling.probe_m == pytest.approx(probe_m, rel=0.35)
    assert sampling.overlap == pytest.approx(1 - 1e-7 / probe_m, abs=0.1)
    assert sampling.photons == pytest.approx(1e6, rel=0.02)
    area = sampling.fluence_m2 / (81e6)
    assert (0.8e-6) ** 2 < 1 / area < (0.8e-6 + 1.2 * probe_m) ** 2
    assert 1e-8 <= sampling.resolution_m < 2e-8


def test_preview_warns_first_that_its_error_cannot_be_trusted(tmp_path, capsys):
    truth = simulate(64, (6, 6), 6, "fermat", photons=3e5)
    pedestal = {"frames": truth.frames + 100}
    file = settings_of(tmp_path, "standard", truth, **pedestal).file
    assert main(["preview", file, "-o", str(tmp_path / "p"), "--iterations", "5", "--json"]) == 0
    text, printed = capsys.readouterr()
    assert "--background" in printed
    assert "because of this, the errors below cannot be trusted" in printed
    own_warnings = json.loads(text)
    assert own_warnings["held_out_error"] > 0.9
    assert "not subtracted" in own_warnings["findings"][0]["cause"]
    assert main(["preview", file, "-o", str(tmp_path / "p"), "--background", "100"]) == 0
    text, printed = capsys.readouterr()
    assert printed == ""
    assert float(text.partition("validation error ")[2].split()[0]) < 0.6


def test_preview_refuses_positions_that_are_too_far_apart(tmp_path, capsys):
    truth = simulate(64, (6, 6), 6, "fermat", photons=3e5)
    far_apart = {"positions_m": truth.positions_m * 100}
    file = settings_of(tmp_path, "standard", truth, **far_apart).file
    assert main(["preview", file, "-o", str(tmp_path / "p")]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"error: {file}: ")
    assert "would be meaningless" in error
    assert "exceeds" in error
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("across", [0, 3])
def test_a_masked_gap_does_not_change_the_size_of_the_probe(across):
    """Neither do two that cross beside the beam."""
    truth = simulate(96, (8, 8), 7, "jitter", photons=1e6, seed=4)
    frames, good = truth.frames.astype(np.float32), np.ones((96, 96), np.bool_)
    whole = probe_share(frames, good)
    good[54:58] = False
    good[:, 36 : 36 + across] = False
    assert probe_share(np.where(good, frames, 0), good) == pytest.approx(whole, rel=0.1)


@pytest.mark.parametrize("code", range(8))
def test_axes_offered_for_an_orientation_keep_the_sign_of_the_phase(code):
    for given in range(8):
        axes = same_axes(given, code, "yx")
        assert np.array_equal(relation(given, axes), relation(code, "yx"))


def test_proposed_settings_are_written_as_parameter_and_flag():
    typed = as_typed({"units.positions": "um", "center": (3.5, 4.0), "positions.snake": True})
    assert typed == (
        "set units.positions='um' (--unit positions=um), center=(3.5, 4.0) "
        "(--roi-center 3.5,4.0), positions.snake=True (--snake)"
    )


def test_axes_in_different_units_are_not_taken_for_pixels(tmp_path):
    truth = simulate(64, (12, 12), 5, "jitter", photons=1e6)
    settings = settings_of(tmp_path, "standard", truth, positions_m=truth.positions_m * (1e6, 1e3))
    (problem,) = problems(settings)
    assert problem.startswith("error: the step of")
    assert "is one in another unit?" in problem
    assert "set " not in problem


def test_blank_frames_in_the_sample_are_mentioned_at_the_end(tmp_path, capsys):
    truth = simulate(64, (8, 8), 5, "jitter", photons=1e6)
    frames = truth.frames.copy()
    frames[30] = 0
    file = WRITERS["standard"](tmp_path / "a.h5", replace(Raw.of(truth), frames=frames))
    assert main(["check", str(file)]) == 0
    printed = capsys.readouterr().out.splitlines()[-1]
    assert "1 of 64 sampled frames show no beam (see ptypy-beamline qc)" in printed


@pytest.mark.long
def test_a_slip_of_the_stage_is_reported(tmp_path):
    """A stage that slips by more than the probe, half way through a raster."""
    truth = simulate(64, (16, 16), 6, "raster", photons=1e6, seed=3)
    corners = truth.corners_px.copy()
    corners[128:, 0] -= 30
    light = diffract(truth.object, truth.probe, corners)
    frames = np.random.default_rng(1).poisson(light).astype(np.uint32)
    slipped = settings_of(tmp_path, "standard", truth, frames=frames)
    (slip,) = stage.stage_slip(measure_in_order(open_with(slipped), slipped), slipped)
    assert slip.cause == "the stage slipped, or the sample moved"
    (frame,) = re.findall(r"up to about (\d+) fit their positions on their own", slip.what)
    assert abs(int(frame) - 128) <= 16
    assert f"--reject {frame}-255, --reject 0-{int(frame) - 1}" in slip.remedy
    sound = settings_of(tmp_path, "exchange", truth)
    assert list(stage.stage_slip(measure_in_order(open_with(sound), sound), sound)) == []


def test_changed_settings_keep_the_others():
    before = Settings.of(
        {"file": "a.h5", "units.energy": "keV", "mask": np.zeros((2, 5)), "shape": 64}
    )
    after = changed(before, {"units.positions": "um", "shape": 32})
    assert (after.units.energy, after.units.positions, after.shape) == ("keV", "um", (32, 32))
    assert after.mask is before.mask


def test_check_prints_json_and_draws_a_page(tmp_path, capsys):
    truth = simulate(64, (6, 6), 6, "jitter")
    settings = settings_of(tmp_path, "exchange", truth)
    page = tmp_path / "page.png"
    arguments = ["check", settings.file, "--unit", "positions=nm", "--json", "--plot", str(page)]
    assert main(arguments) == 1
    found = json.loads(capsys.readouterr().out)["findings"]
    assert found[0]["settings"] == {"units.positions": "um"}
    assert found[0]["cause"] == "likely positions 1e+03 times too small"
    assert "--unit positions=um" in found[0]["remedy"]
    assert page.read_bytes()[:4] == b"\x89PNG"


def test_arrows_of_a_few_bad_frames_do_not_hide_the_others(tmp_path):
    """They filled the picture, and all other arrows were dots of one colour."""
    truth = simulate(64, (12, 12), 5, "jitter", photons=1e6, seed=4)
    frames = truth.frames.copy()
    frames[[30, 100]] = 0
    frames[[30, 100], 2:6, 50:60] = 3000
    for bad, given in ((0, truth.frames), (2, frames)):
        settings = settings_of(tmp_path, "standard", truth, frames=given)
        axes = Figure().subplots()
        page.draw_deflection(axes, sample_of(settings))
        (arrows,) = axes.findobj(Quiver)
        length_nm = np.hypot(arrows.U, arrows.V)
        step_nm = 1e9 * step_m(truth.positions_m)
        assert length_nm.max() <= 2.001 * step_nm
        assert np.quantile(length_nm, 0.9) > 0.6 * step_nm
        assert arrows.norm.vmax < 1
        assert (arrows.get_array() > arrows.norm.vmax).sum() == bad
        assert ("2 larger shifts in red" in axes.get_title()) == (bad == 2)
        assert f"longest arrow {arrows.norm.vmax:.2g} px" in axes.get_title()


def test_arrows_are_drawn_where_several_frames_share_a_position(tmp_path):
    """Also before the number of frames per position is given: the step was 0, and so were they."""
    truth = simulate(64, (12, 12), 5, "jitter", photons=1e6, seed=4)
    pairs_m = np.repeat(truth.positions_m[::2], 2, axis=0)
    settings = settings_of(tmp_path, "standard", replace(truth, positions_m=pairs_m))
    axes = Figure().subplots()
    page.draw_deflection(axes, sample_of(settings))
    (arrows,) = axes.findobj(Quiver)
    assert np.hypot(arrows.U, arrows.V).max() > 0.6e9 * step_m(truth.positions_m)


def test_a_dark_that_leaves_no_good_pixel_is_reported(tmp_path, capsys):
    settings = settings_of(tmp_path, "exchange", simulate(64, (5, 5), 6, "jitter"))
    np.save(tmp_path / "dark.npy", np.full((64, 64), np.nan))
    assert main(["check", settings.file, "--dark", str(tmp_path / "dark.npy")]) == 1
    assert "error: no frame has a good pixel: dark='" in capsys.readouterr().out


def test_check_draws_even_where_a_mask_leaves_nothing(tmp_path):
    bad = np.ones((64, 64), bool)
    settings = settings_of(tmp_path, "exchange", simulate(64, (5, 5), 6, "jitter"), bad=bad)
    page = tmp_path / "page.png"
    assert main(["check", settings.file, "--plot", str(page)]) == 1
    assert page.exists()


def test_unchecked_pairing_is_not_reported_as_sound(tmp_path, capsys):
    """One position, which determines nothing, and pixels that are no numbers."""
    truth = simulate(128, (3, 3), 12, "jitter", photons=1e6, seed=1)
    file = WRITERS["standard"](tmp_path / "few.h5", Raw.of(truth))
    assert main(["check", str(file)]) == 0
    assert "pairing and orientation were not checked" in capsys.readouterr().out
    assert main(["check", str(file), "--num-frames", "1"]) == 0
    printed = capsys.readouterr().out
    assert "warning: 1 position does not determine object and probe" in printed
    assert "no problem found" not in printed
    with h5py.File(file, "a") as f:
        frames = f["entry/data"][()].astype(np.float32)
        frames[4, 20:40, 20:40] = np.nan
        frames[:, 0, 0] = np.nan  # of the detector, in all frames
        del f["entry/data"]
        f["entry/data"] = frames
    assert main(["check", str(file)]) == 0
    assert "1 of 9 sampled frames have pixels that are not numbers" in capsys.readouterr().out


def test_the_conjugate_twin_is_given_with_the_orientation(tmp_path):
    truth = simulate(64, (10, 10), 6, "jitter", photons=1e6, seed=1)
    settings = settings_of(tmp_path, "standard", truth)
    diagnosis = diagnose(settings)
    twin = conjugate_twin(0)
    assert twin != 0
    (note,) = [f.what for f in diagnosis.findings if "belong together" in f.what]
    assert f"its conjugate twin, orientation {twin}, fits as well" in note
