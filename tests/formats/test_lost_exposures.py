"""Several exposures of a position, of which some were lost: none is summed with another's.

Scans are those of ``numbered_scans``.
"""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from folders import REAL_DATA, ROOT
from numbered_scans import (
    ALL,
    ANY,
    LOST,
    MOTORS,
    PLAN,
    N,
    areadetector,
    eiger,
    frames,
    generic,
    opened,
    opened_unless_ambiguous,
    positions,
    tiff,
    write_motors,
    write_sidecar,
    write_tiff,
)
from numpy.testing import assert_allclose, assert_array_equal
from processes import python

from ptypy_beamline import BeamlineError
from ptypy_beamline.diagnosis.findings import diagnose
from ptypy_beamline.settings import Settings


def assert_own_exposures(plan, k):
    """No exposure is of another position."""
    raw = plan.load(np.arange(len(plan)))[..., 0, 0].astype(int) - 100
    own = np.where(plan.selection.exposures >= 0, raw // k, -1)
    for exposures, place in zip(own, plan.positions_m, strict=True):
        for number in exposures[exposures >= 0]:
            assert_allclose(place, positions([number])[0], atol=1e-15)


EXPOSURES = {
    **LOST,
    "the first position": [0, 1],
    "the last position": [22, 23],
    "the last two positions": [20, 21, 22, 23],
    "a position and the end": [10, 11, 22, 23],
}


def grouped(folder, writer, kept, first, k):
    """Positions listed once for ``k`` exposures each; numbers of frames begin with ``first``."""
    of_groups = positions(np.arange(N // k))
    if writer == "tiff":
        file = tiff(folder, kept, first)
        write_sidecar(folder, of_groups)
        return file, {}
    file = (areadetector if writer == "areadetector" else eiger)(folder, kept, first)
    write_motors(folder, of_groups)
    return file, MOTORS


@pytest.mark.parametrize(
    "k", [2, pytest.param(3, marks=pytest.mark.long), pytest.param(4, marks=pytest.mark.long)]
)
@pytest.mark.parametrize("lost", EXPOSURES.values(), ids=list(EXPOSURES))
@pytest.mark.parametrize(
    ("writer", "first"), [("areadetector", 1), ("eiger", 1), ("tiff", 0), ("tiff", 1)]
)
def test_exposures_that_were_lost(tmp_path, writer, first, lost, k):
    """Several exposures a position: none is summed with another's."""
    file, given = grouped(tmp_path, writer, np.delete(ALL, lost), first, k)
    plan, message, ambiguity = opened_unless_ambiguous(file, **given, frames_per_position=k)
    assert not ambiguity or "fit in two ways" in ambiguity
    if ambiguity or f"set --path position_index={first}" in message:
        assert {0, 23} & {*lost}
        assert writer != "eiger", "its numbers begin with 1"
        paths = {**given.get("paths", {}), "position_index": first}
        plan, message = opened(file, paths=paths, frames_per_position=k)
    assert_own_exposures(plan, k)
    assert bool(message) == bool(lost)


def test_the_assumed_origin_of_an_exposure_counter_is_reported(tmp_path):
    """Frames 1 to 23: of a stopped scan, or of a counter from 0 that lost its first frame."""
    file, given = grouped(tmp_path, "areadetector", ALL[1:], 0, 2)
    _, message = opened(file, **given, frames_per_position=2)
    assert "taken to count from 1; if it counts from 0 and the first frame was lost" in message
    paths = {**given["paths"], "position_index": 0}
    assert_own_exposures(opened(file, paths=paths, frames_per_position=2)[0], 2)


@pytest.mark.parametrize(
    "k", [pytest.param(1, marks=pytest.mark.long), 2, pytest.param(3, marks=pytest.mark.long)]
)
@pytest.mark.parametrize(
    "first", [pytest.param(0, marks=pytest.mark.long), 1, pytest.param(100, marks=pytest.mark.long)]
)
@pytest.mark.parametrize("lost", EXPOSURES.values(), ids=list(EXPOSURES))
def test_rows_numbered_by_file_names_are_taken_literally(tmp_path, lost, first, k):
    """As ``ptypy-beamline sidecar`` writes them; files and rows may be lost, not the same."""
    file = tiff(tmp_path, np.delete(ALL, lost), first)
    rows = np.delete(ALL, [4, 23])
    write_sidecar(tmp_path, positions(rows // k), rows + first, counted="file names")
    plan, message = opened(file, frames_per_position=k)
    assert_own_exposures(plan, k)
    assert message or (k > 1 and not lost), "another exposure of the position has its row"


@pytest.mark.parametrize("k", [pytest.param(2, marks=pytest.mark.long), 3])
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("lost", EXPOSURES.values(), ids=list(EXPOSURES))
def test_rows_numbered_by_position(tmp_path, lost, first, k):
    """A sidecar that does not say what its numbers count."""
    file = tiff(tmp_path, np.delete(ALL, lost), first)
    write_sidecar(tmp_path, positions(np.arange(N // k)), np.arange(N // k) + first)
    plan, message, ambiguity = opened_unless_ambiguous(file, frames_per_position=k)
    if ambiguity:
        assert "fit in two ways" in ambiguity
        assert {0, 23} & {*lost}
        return
    assert_own_exposures(plan, k)
    assert bool(message) == bool(lost)


@pytest.mark.parametrize("lost", [[0, 5, 20], [0, 4, 22], [1, 5, 23]])
def test_equal_numbers_go_together_whatever_was_lost(tmp_path, lost):
    """Another way would leave more positions complete."""
    kept, places = np.delete(ALL, lost), positions(ALL // 3)
    file = generic(tmp_path, kept, kept + 1, ALL + 1, places)
    plan, _ = opened(file, **ANY, frames_per_position=3)
    assert_own_exposures(plan, 3)


def test_a_counter_that_begins_with_1_counts_from_1_whatever_was_lost(tmp_path):
    file, given = grouped(tmp_path, "areadetector", np.delete(ALL, [1, 5, 23]), 1, 3)
    assert_own_exposures(opened(file, **given, frames_per_position=3)[0], 3)


def test_rows_of_as_many_positions_as_exposures_are_no_groups(tmp_path):
    """15 positions in rows of three; 15 of 45 exposures came."""
    numbers = np.arange(15)
    places = np.column_stack([numbers // 3, numbers % 3]) * 1e-6
    with h5py.File(tmp_path / "any.h5", "w") as file:
        file["frames"], file["n"] = frames(numbers), numbers + 1
        file["y"], file["x"] = places.T
    paths = {"frames": "/frames", "x": "/x", "y": "/y", "frame_index": "/n"}
    plan, message = opened(tmp_path / "any.h5", paths=paths, frames_per_position=3)
    assert_allclose(plan.positions_m, places[:5])
    assert_array_equal(plan.selection.exposures, numbers.reshape(5, 3))
    assert "10 positions" in message


def test_a_list_for_frames_or_for_positions_is_asked_about(tmp_path):
    """16 values for 16 frames, half of those of 16 positions."""
    numbers = np.arange(16)
    with h5py.File(tmp_path / "any.h5", "w") as file:
        file["frames"], file["n"] = frames(numbers), numbers
        file["y"], file["x"] = positions(numbers).T
    settings = {
        "paths": {"frames": "/frames", "x": "/x", "y": "/y", "frame_index": "/n"},
        "frames_per_position": 2,
    }
    of_all = np.repeat(100.0 + numbers, 2)
    with pytest.raises(BeamlineError, match="16 values may be one for each frame, or one for each"):
        opened(tmp_path / "any.h5", **settings, monitor=of_all[::2])
    plan, _ = opened(tmp_path / "any.h5", **settings, monitor=of_all)
    used = plan.selection.scale[plan.selection.exposures >= 0]
    assert_allclose(used * of_all[:16], (used * of_all[:16])[0])


def test_pairing_of_unequal_numbers_is_reported(tmp_path):
    """Rows 1 to 23 and files 2 to 24: a lost file and a stopped log, or counts that differ."""
    kept = ALL[1:]
    file = tiff(tmp_path, kept, 1)
    write_sidecar(tmp_path, positions(kept), ALL[:-1] + 1)
    _, message = opened(file)
    assert (
        "positions numbered 1 to 23 (frame_index) are taken as those of frames numbered" in message
    )
    assert "number 1 for frame 2" in message


def test_as_many_frames_as_different_positions_of_several_exposures(tmp_path):
    file = eiger(tmp_path, ALL, numbered=False)
    with pytest.raises(BeamlineError, match="24 frames for 24 different positions, of 2 exposures"):
        opened(file, **MOTORS, frames_per_position=2)
    paths = {**MOTORS["paths"], "position_index": 0}
    plan, message = opened(file, paths=paths, frames_per_position=2)
    assert_array_equal(plan.selection.exposures, ALL.reshape(12, 2))
    assert_allclose(plan.positions_m, positions(np.arange(12)))
    assert "12 positions (number 12, 13, 14, 15, 16, 17, …) without a frame" in message


def test_repeats_on_the_slow_axis_are_reported(tmp_path):
    with h5py.File(tmp_path / "any.h5", "w") as file:
        file["frames"] = frames(ALL).reshape(2, 12, 8, 8)
        file["y"], file["x"] = positions(np.arange(12)).T
    paths = {"frames": "/frames", "x": "/x", "y": "/y"}
    plan, message = opened(tmp_path / "any.h5", paths=paths, frames_per_position=2)
    assert_array_equal(plan.selection.exposures, ALL.reshape(2, 12).T)
    assert_allclose(plan.positions_m, positions(np.arange(12)))
    assert "the first axis is taken for the exposures of each position" in message


def test_positions_of_the_projection_that_is_asked_for(tmp_path):
    with h5py.File(tmp_path / "any.h5", "w") as file:
        file["frames"] = np.tile(frames(ALL), (3, 1, 1, 1))
        file["positions"] = np.stack(
            [positions(np.arange(12))[:, ::-1] + i * 1e-3 for i in range(3)]
        )
    paths = {"frames": "/frames", "positions": "/positions"}
    plan, _ = opened(tmp_path / "any.h5", paths=paths, frames_per_position=2, outer_index=1)
    assert_allclose(plan.positions_m, positions(np.arange(12)) + 1e-3)


def test_exposure_times_of_a_position_on_areadetector(tmp_path):
    file = areadetector(tmp_path, ALL, inside=True)
    with h5py.File(file, "a") as out:
        attributes = out["entry/instrument/NDAttributes"]
        attributes["posy_m"][:], attributes["posx_m"][:] = positions(ALL // 3).T
        out["times"] = [0.01, 0.1, 1.0]
    plan, message = opened(
        file, paths={"exposure": "/times"}, frames_per_position=3, grouping="hdr"
    )
    assert not message
    assert_allclose(plan.selection.seconds, np.tile([0.01, 0.1, 1.0], (8, 1)))


@pytest.mark.parametrize("lost", [[5], [4], [0], [0, 9]])
@pytest.mark.parametrize("first", [1, 2, 3])
@pytest.mark.parametrize("inside", [False, True])
def test_positions_of_each_exposure_group_a_counter_that_was_not_reset(
    tmp_path, inside, first, lost
):
    """Listed for each exposure, elsewhere or with the frames; a list begins with a position."""
    kept = np.delete(ALL, lost)
    file = areadetector(tmp_path, kept, first, inside=inside)
    with h5py.File(tmp_path / "motors.h5", "a") as out:
        out["y"][:], out["x"][:] = positions(ALL // 2).T
    if inside:
        with h5py.File(file, "a") as out:
            attributes = out["entry/instrument/NDAttributes"]
            attributes["posy_m"][:], attributes["posx_m"][:] = positions(kept // 2).T
    given = {"frames_per_position": 2} | ({} if inside else MOTORS)
    plan, message, ambiguity = opened_unless_ambiguous(file, **given)
    if ambiguity:
        assert f"--path position_index={first} or" in ambiguity
        paths = {**MOTORS["paths"], "position_index": first}
        plan, message = opened(file, **given | {"paths": paths})
    assert_own_exposures(plan, 2)
    assert ("taken to count from 2" in message) == (inside and first == 2)


def test_an_exposure_that_was_lost_without_numbers_is_said(tmp_path):
    """Positions have numbers, frames have none: only the count shows it."""
    for frame, letter in zip(frames(np.delete(ALL, 5)), "abcdefghijklmnopqrstuvw", strict=True):
        write_tiff(tmp_path / f"s_{letter}.tif", frame)
    write_sidecar(tmp_path, positions(np.arange(12)), np.arange(12))
    doubt = "the scan was stopped, or frames were lost in the middle"
    files = str(tmp_path / "s_*.tif")
    _, message = opened(files, frames_per_position=2)
    assert f"23 frames for 12 positions x 2 exposures: {doubt}: see ptypy-beamline check" in message
    settings = Settings(file=files, units={"positions": "m"}, frames_per_position=2, **PLAN)
    found = [str(finding) for finding in diagnose(settings, with_reconstructions=False).findings]
    assert [finding.rpartition(": ")[2] for finding in found if doubt in finding] == [doubt]


@pytest.mark.long
@pytest.mark.real
@pytest.mark.ptypy
def test_measured_frames_of_which_30_were_lost_reconstruct_as_the_rest(tmp_path):
    """PtyPy's error is that of the frames that are left with their own positions beside them."""
    kept = np.delete(np.arange(516), np.arange(200, 230))
    with np.load(REAL_DATA) as star:
        measured, listed = star["frames"][kept], star["positions_px"] * 1e-8
    errors = []
    for name, ids, places in (("lost", kept, listed), ("rest", np.arange(486), listed[kept])):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["entry/data/data"] = measured
            file["entry/instrument/NDAttributes/NDArrayUniqueId"] = ids + 1
            file["motors/y_m"], file["motors/x_m"] = places.T
        errors.append(reconstruction_error(tmp_path / f"{name}.h5"))
    assert errors[0] == pytest.approx(errors[1], rel=0.02)


def reconstruction_error(file):
    """Of 20 iterations of DM and 10 of ML, by the benchmark's script in a process of its own."""
    pixel_m, energy_keV = 75e-6, 8.8
    distance_m = 1e-8 * 128 * pixel_m * energy_keV * 1e3 / 1.239841984e-6
    data = {
        "name": "BeamlineScan",
        "file": str(file),
        "paths": {"x": "/motors/x_m", "y": "/motors/y_m"},
        "units": {"positions": "m"},
        "center": [64, 64],
        "psize": pixel_m,
        "energy": energy_keV,
        "distance": distance_m,
    }
    script = ROOT / "benchmarks" / "reconstruct.py"
    out = file.with_suffix(".json")
    python(script, REAL_DATA, json.dumps(data), out, "--dm", 20, "--ml", 10)
    return json.loads(out.read_text())["error"]
