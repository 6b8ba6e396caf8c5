"""The orientation of the detector, found from simulated scans whose truth is known."""

import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from ptypy_beamline import BeamlineError, open_scan
from ptypy_beamline.cli import main
from ptypy_beamline.diagnosis.frame_features import curl_share, measure_features, most_varied
from ptypy_beamline.diagnosis.orientation import OrientationPair, Ranking, rank
from ptypy_beamline.diagnosis.orientation_ambiguities import (
    PhasePrior,
    equivalents,
    is_quarter_turn,
    phase_absorption_correlation,
)
from ptypy_beamline.diagnosis.short_reconstruction import Patch, held_out_errors
from ptypy_beamline.errors import BeamlineWarning, SettingsError
from ptypy_beamline.options import Positions
from ptypy_beamline.parameter_values import orientation_code, orientation_flags
from ptypy_beamline.positions import to_image_axes, to_stage_axes
from ptypy_beamline.scan import ArrayFrames, Scan
from ptypy_beamline.settings import Settings
from ptypy_beamline.testing.simulate import diffract, simulate
from ptypy_beamline.testing.writers import WRITERS, Raw


@pytest.fixture(scope="module")
def truth():
    return simulate(64, (8, 8), 6, "jitter", photons=5e5, seed=3)


def reoriented(frames, code):
    """What the loader does to frames, in plain NumPy."""
    transpose, ud, lr = orientation_flags(code)
    frames = frames.swapaxes(1, 2) if transpose else frames
    return np.ascontiguousarray(frames[:, :: -1 if ud else 1, :: -1 if lr else 1])


def undone(code):
    """The orientation that undoes ``code``: transposed, the flips are swapped."""
    transpose, ud, lr = orientation_flags(code)
    return orientation_code((transpose, lr, ud)) if transpose else code


def scan_of(truth, mounted=0, positions_m=None):
    """The scan as a detector mounted in another way records it."""
    middle = truth.frames.shape[1] // 2
    frames = reoriented(truth.frames, undone(mounted))
    # A flipped window of 64 has its beam at pixel 31.
    _, ud, lr = orientation_flags(undone(mounted))
    return Scan(
        ArrayFrames(frames),
        truth.positions_m if positions_m is None else positions_m,
        truth.energy_eV,
        truth.distance_m,
        truth.pixel_m,
        center_px=(middle - ud, middle - lr),
    )


@pytest.mark.parametrize("mounted", range(8))
def test_the_inverse_orientation_gives_the_frames_back(mounted):
    frames = np.arange(12.0).reshape(1, 4, 3)
    assert_array_equal(reoriented(reoriented(frames, undone(mounted)), mounted), frames)


@pytest.mark.parametrize(
    "mounted", [0, 3, *(pytest.param(n, marks=pytest.mark.long) for n in (1, 2, 4, 5, 6, 7))]
)
def test_orientation_is_found_with_its_twin(truth, mounted):
    found = rank(scan_of(truth, mounted), Settings())
    assert found.decided
    assert found.orientation == mounted  # its phase is negative
    assert found.pairs[0].orientation == min(mounted, mounted ^ 3)
    assert found.equivalent[0] == (mounted ^ 3, "yx")
    errors = [pair.error for pair in found.pairs]
    assert errors == sorted(errors)
    assert errors[1] > 1.2 * errors[0]


@pytest.mark.parametrize("shape", [(1, 40), (40, 1)])
def test_a_single_row_does_not_determine_the_orientation(shape):
    """Mirrored about it frames fit as well, to the last digit, which was taken for proof."""
    found = rank(scan_of(simulate(64, shape, 6, "raster", photons=1e5, seed=11)), Settings())
    assert not found.decided
    assert found.pairs[0].error == found.pairs[1].error


def seen_through(truth, thickness, beta):
    """The same scan of another sample, which absorbs ``beta`` times what it delays."""
    obj = np.exp(-(1j + beta) * thickness).astype(np.complex64)
    frames = diffract(obj, truth.probe, truth.corners_px)
    return replace(truth, object=obj, frames=np.random.default_rng(0).poisson(frames))


@pytest.mark.parametrize("mounted", [1, pytest.param(2, marks=pytest.mark.long)])
def test_vacuum_decides_between_twins_of_a_sample_that_does_not_absorb(mounted):
    wide = simulate(64, (12, 12), 6, "jitter", photons=5e5, seed=3)
    thickness = -np.angle(wide.object)
    thickness[: len(thickness) // 2] = 0
    found = rank(scan_of(seen_through(wide, thickness, 0), mounted), Settings())
    assert (found.orientation, found.prior.source) == (mounted, "vacuum")
    assert (found.prior.value > 0) == (mounted == min(mounted, mounted ^ 3))


@pytest.mark.parametrize("mounted", [pytest.param(1, marks=pytest.mark.long), 2])
def test_absorption_decides_between_twins_without_vacuum(truth, mounted):
    y, x = np.indices(truth.object.shape)
    thickness = 1 + np.sin(y / 3) * np.sin(x / 4 + y / 9)
    found = rank(scan_of(seen_through(truth, thickness, 0.2), mounted), Settings())
    assert (found.orientation, found.prior.source) == (mounted, "absorption")


def test_phase_and_absorption_correlate_in_material_and_anticorrelate_in_its_twin():
    rng = np.random.default_rng(0)
    thickness = rng.uniform(0, 2, (20, 20))
    wave = np.exp(-(0.1 + 1j) * thickness)
    assert phase_absorption_correlation(wave) == pytest.approx(1)
    assert phase_absorption_correlation(wave.conj()) == pytest.approx(-1)
    assert (
        abs(phase_absorption_correlation(np.exp(1j * thickness) * rng.uniform(1, 2, (20, 20))))
        < 0.1
    )


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2))
def test_a_lag_like_a_rotation_of_a_spiral_is_doubted_with_few_photons(seed):
    dim = simulate(64, (11, 11), 6, "fermat", photons=1e4, seed=seed)
    late = replace(dim, frames=np.roll(dim.frames, 2, axis=0))
    assert not rank(scan_of(late), Settings()).decided


@pytest.mark.parametrize("axes", [pytest.param("-yx", marks=pytest.mark.long), "x-y"])
def test_axes_are_kept_and_the_orientation_belongs_to_them(truth, axes):
    stage = scan_of(truth, 5, to_stage_axes(truth.positions_m, axes))
    settings = Settings(positions=Positions(axes=axes))
    found = rank(stage, settings)
    assert (found.axes, found.orientation, found.decided) == (axes, 5, True)


@pytest.mark.long
def test_no_orientation_is_given_for_shuffled_positions(truth):
    shuffled = np.random.default_rng(1).permutation(truth.positions_m)
    assert not rank(scan_of(truth, 0, shuffled), Settings()).decided


@pytest.mark.long
def test_a_lag_like_a_rotation_of_a_spiral_is_not_taken_for_an_orientation():
    """Two golden angles are 275 degrees."""
    spiral = simulate(64, (12, 12), 7, "fermat", photons=1e6, seed=1)
    positions_m = spiral.positions_m
    quarter = [is_quarter_turn(positions_m[:-k], positions_m[k:]) for k in (1, 2, 3)]
    assert quarter == [False, True, False]
    assert rank(scan_of(spiral), Settings()).decided
    late = replace(spiral, frames=np.roll(spiral.frames, 2, axis=0))
    found = rank(scan_of(late), Settings())
    assert (found.decided, found.lag) == (False, 2)
    assert found.doubt.startswith("the frames may instead be 2 behind their positions")
    assert rank(scan_of(spiral), Settings(step=2)).decided
    with pytest.raises(
        SettingsError, match=r"may instead be 2 behind their positions.*positions\.shift"
    ):
        scan_of(late).plan(orientation="auto")


def test_an_orientation_agrees_with_its_twin():
    found = Ranking(
        "yx", True, 1.0, (OrientationPair(5, 6, 0.1, 0.1),), lambda: PhasePrior("", 0.0)
    )
    assert [code for code in range(8) if found.agrees(orientation_flags(code))] == [5, 6]


def test_equivalents_have_the_same_error_and_others_have_not(truth):
    features = measure_features(scan_of(truth).plan())
    patch = Patch.of(features, most_varied(features, 60))
    same = set(equivalents(0, "yx"))
    assert len(same) == 16
    right = held_out_errors(patch).mean()
    for code, axes in ((3, "yx"), (7, "xy"), (1, "y-x"), (1, "yx"), (0, "xy")):
        moved = replace(patch, positions_m=to_image_axes(patch.positions_m, axes))
        error = held_out_errors(moved.oriented(orientation_flags(code))).mean()
        assert (error < 1.1 * right) == ((code, axes) in same)


def test_a_gradient_field_has_no_curl():
    rng = np.random.default_rng(0)
    positions = rng.uniform(-1, 1, (400, 2))
    saddle = np.stack(
        [positions[:, 0] + 2 * positions[:, 1], 2 * positions[:, 0] - 3 * positions[:, 1]], 1
    )
    assert curl_share(saddle, positions, orientation_flags(0)) < 1e-20
    assert curl_share(saddle, positions, orientation_flags(3)) < 1e-20
    assert curl_share(saddle, positions, orientation_flags(1)) > 1e-3
    assert np.isnan(curl_share(saddle[:5], np.arange(10.0).reshape(5, 2), orientation_flags(0)))


def test_too_few_positions_are_refused(truth):
    with pytest.raises(BeamlineError, match="9 positions are too few to find an orientation"):
        rank(scan_of(truth), Settings(num_frames=9))


def test_positions_in_a_wrong_unit_are_refused(truth):
    far = scan_of(truth, 0, truth.positions_m * 1e3)
    with pytest.raises(BeamlineError, match=r"spread over .* m, .*--unit positions=UNIT"):
        rank(far, Settings())


def test_positions_on_a_line_have_no_curl(truth):
    line = truth.positions_m * (1, 0)
    assert not rank(scan_of(truth, 0, line), Settings()).decided


@pytest.fixture(scope="module")
def file(truth, tmp_path_factory):
    raw = replace(Raw.of(truth), frames=reoriented(truth.frames, undone(6)), center_px=(31, 32))
    return WRITERS["standard"](tmp_path_factory.mktemp("orient") / "scan.h5", raw)


def test_auto_makes_the_same_plan_as_the_number(file, truth):
    scan = open_scan(file)
    with pytest.warns(BeamlineWarning, match="orientation 6 was found from the data"):
        plan = scan.plan(orientation="auto", shape=60)
    named = scan.plan(orientation=6, shape=60)
    assert plan.transform == named.transform
    assert plan.geometry == named.geometry


@pytest.mark.long
def test_auto_fails_where_the_data_do_not_determine_it(truth):
    scan = scan_of(truth, 0, np.random.default_rng(1).permutation(truth.positions_m))
    with pytest.raises(
        SettingsError, match=r"do not determine the orientation;.*--orientation.*--flip"
    ):
        scan.plan(orientation="auto")


def test_a_live_scan_needs_a_number(file):
    with pytest.raises(SettingsError, match="orientation of a live scan"):
        Settings.of({"file": str(file), "orientation": "auto", "live.timeout_s": 5})


def test_command_prints_json(file, capsys):
    assert main(["orient", str(file), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["orientation"], result["axes"], result["decided"]) == (6, "yx", True)
    assert result["confidence"] > 0.95
    assert result["equivalent"] == [result["orientation"] ^ 3]
    assert {"orientation": 5, "axes": "yx"} in result["equivalent_with_axes"]
    assert [sorted(row) for row in result["ranking"]] == [
        ["curl", "error", "orientation", "twin"]
    ] * 4


@pytest.mark.parametrize("command", ["orient", "check"])
def test_only_one_of_several_processes_checks(file, capsys, monkeypatch, command):
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "1")
    assert main([command, str(file)]) == 0
    assert capsys.readouterr().out == ""


def test_command_prints_a_table_and_fails_if_undecided(file, truth, tmp_path, capsys):
    assert main(["orient", str(file)]) == 0
    assert "orientation 6 with axes yx, confidence" in capsys.readouterr().out
    shuffled = np.random.default_rng(1).permutation(truth.positions_m)
    lost = WRITERS["standard"](tmp_path / "lost.h5", replace(Raw.of(truth), positions_m=shuffled))
    assert main(["orient", str(lost)]) == 1
    assert capsys.readouterr().err.startswith(
        "error: the data do not determine the orientation; set"
    )


@pytest.mark.ptypy
def test_ptypy_gets_the_oriented_frames(file, truth, ptyscan):
    loader = ptyscan.BeamlineScan({"file": str(file), "orientation": "auto"})
    with pytest.warns(BeamlineWarning, match="orientation 6"):
        loader.initialize()
    frames, _ = loader.plan.correct(loader.plan.load([7]), [7])
    assert_array_equal(frames[0], truth.frames[7])
