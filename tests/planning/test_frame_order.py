"""The order in which frames are handed over."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest
import reference_corrections as reference
import scans
from numpy.testing import assert_allclose, assert_array_equal
from scans import all_frames, make_scan, raw_of
from typer.testing import CliRunner

from ptypy_beamline import BeamlineWarning, open_scan
from ptypy_beamline.cli import app
from ptypy_beamline.errors import SettingsError
from ptypy_beamline.frames.wrappers import PickedFrames
from ptypy_beamline.settings import Settings

ORDER = [5, 0, 3, 3, 1]


def check(plan, scan, order):
    """Each frame keeps its own position."""
    assert_array_equal(plan.selection.exposures[:, 0], order)
    assert_array_equal(plan.positions_m, scan.positions_m[order])
    assert_array_equal(all_frames(plan, 2)[0], raw_of(scan)[order])


@pytest.mark.parametrize("kind", ["list", "array", "npy", "hdf5", "text"])
def test_a_permutation_or_a_choice_of_raw_frames(tmp_path, kind):
    scan = make_scan(6)
    given = ORDER
    if kind == "array":
        given = np.array([ORDER])
    if kind == "npy":
        given = tmp_path / "order.npy"
        np.save(given, ORDER)
    if kind == "hdf5":
        with h5py.File(tmp_path / "order.h5", "w") as file:
            file["a/order"] = ORDER
        given = f"{tmp_path}/order.h5::/a/order"
    if kind == "text":
        given = "5,0,3,3,1"
    check(scan.plan(frame_order=given), scan, ORDER)


def test_other_lists_still_count_raw_frames():
    scan = make_scan(6, monitor=np.array([1.0, 2, 3, 4, 5, 6]))
    plan = scan.plan(frame_order=ORDER[::-1], reject=[0], monitor=True, num_frames=4)
    assert_array_equal(plan.selection.exposures[:, 0], [1, 3, 3, 5])
    assert_allclose(plan.selection.scale[:, 0], 3.5 / np.array([2, 4, 4, 6]))
    assert_array_equal(scan.plan(frame_order=ORDER, step=2).selection.exposures[:, 0], [5, 3, 1])


def test_frames_that_the_scan_has_not_are_named():
    scan = make_scan(6)
    for wrong, message in [
        ([0, 6], "names frame 6, the scan has frames 0 to 5"),
        ([-1, 0], "names frame -1"),
        ([], "is empty"),
        ([0.5, 1.0], "whole numbers in frame_order. Got 0.5"),
    ]:
        with pytest.raises(SettingsError, match=message):
            scan.plan(frame_order=wrong)


def test_frames_without_a_position_are_left_out_and_counted():
    scan = make_scan(6)
    positions = scan.positions_m.copy()
    positions[3] = np.nan
    scan = replace(scan, positions_m=positions)
    with pytest.warns(BeamlineWarning, match="2 of 5 frames in frame_order have no position"):
        plan = scan.plan(frame_order=ORDER)
    assert_array_equal(plan.selection.exposures[:, 0], [5, 0, 1])
    some = np.array([4, 0, 2])
    part = replace(
        scan, frames=PickedFrames(scan.frames, some), positions_m=make_scan(6).positions_m[some]
    )
    with pytest.warns(BeamlineWarning, match="1 of 3 frames"):
        plan = part.plan(frame_order=[2, 3, 4])
    assert_array_equal(plan.selection.exposures[:, 0], [2, 4])
    assert_array_equal(plan.positions_m, make_scan(6).positions_m[[2, 4]])
    with pytest.raises(SettingsError, match="no frame of frame_order has a position"):
        part.plan(frame_order=[3])


def test_exposures_of_a_position_stay_together_where_they_are_listed_together():
    scan = make_scan(6, positions=[(0, 0), (0, 1e-6), (1e-6, 0)])
    plan = scan.plan(frame_order=[5, 4, 0, 2, 3, 1, 1], frames_per_position=2)
    assert_array_equal(plan.selection.exposures, [[5, 4], [0, -1], [2, 3], [1, -1], [1, -1]])
    assert_array_equal(plan.positions_m, scan.positions_m[[2, 0, 1, 0, 0]])
    raw = raw_of(scan)
    filled = np.stack([raw[[5, 4]], raw[[0, 0]], raw[[2, 3]], raw[[1, 1]], raw[[1, 1]]])
    expected = [reference.group(pair.astype(float), "sum") for pair in filled]
    assert_allclose(all_frames(plan)[0], expected)
    alone = scan.plan(frame_order=[5, 4, 2], frames_per_position=2, grouping="none")
    assert_array_equal(alone.selection.exposures[:, 0], [5, 4, 2])


def test_an_exposure_that_is_not_listed_is_made_up_for_by_its_time():
    times = np.array([0.1, 0.4, 1.0])
    scan = make_scan(6, positions=[(0, 0), (0, 1e-6)], exposure_s=times)
    raw_of(scan)[:] = 1000 * np.resize(times, 6)[:, None, None]
    plan = scan.plan(frame_order=[4, 3, 2], frames_per_position=3)
    assert_array_equal(plan.selection.exposures, [[4, 3, -1], [2, -1, -1]])
    assert_allclose(all_frames(plan)[0], 1000 * times.sum())


def test_a_live_scan_keeps_its_own_order():
    with pytest.raises(SettingsError, match="loaded as they arrive"):
        Settings.of({"frame_order": [1, 0], "live.timeout_s": 1.0})


def test_numbers_as_units_on_the_command_line_and_in_written_files(tmp_path):
    file, order = scans.write(tmp_path), list(range(48, 9, -1))
    np.save(tmp_path / "order.npy", order)
    out = tmp_path / "out.h5"
    done = CliRunner().invoke(
        app,
        ["standardize", str(file), "-o", str(out), "--frame-order", str(tmp_path / "order.npy")],
    )
    assert done.exit_code == 0, done.output
    frames, _ = all_frames(open_scan(out).plan())
    assert_array_equal(frames, scans.truth().frames[order])
    refused = CliRunner().invoke(
        app,
        [
            "standardize",
            str(file),
            "-o",
            str(tmp_path / "order.npy"),
            "--frame-order",
            str(tmp_path / "order.npy"),
        ],
    )
    assert refused.exit_code == 1
    assert "is read by this command" in str(refused.exception or refused.output)


def test_quality_control_judges_raw_frames_in_any_order(tmp_path):
    pytest.importorskip("sklearn")
    from ptypy_beamline.options import Qc
    from ptypy_beamline.quality.workflow import evaluate_plan

    file, order = scans.write(tmp_path), [*range(48, -1, -1), 7, 8]
    with h5py.File(file, "a") as opened:
        for number in (11, 20, 33):
            opened["entry/data"][number] = opened["entry/data"][number] // 3
    qc = Qc(reject_topk=3)
    found = [
        evaluate_plan(
            open_scan(file).plan(**given), Settings.of({"file": str(file), **given}), qc, None, None
        )
        for given in ({}, {"frame_order": order[:49]}, {"frame_order": order})
    ]
    assert [set(one.reject_indices) for one in found] == [{11, 20, 33}] * 3
