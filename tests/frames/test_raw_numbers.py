"""Reject lists and the recorded origin of frames count the raw frames of the files."""

from __future__ import annotations

import warnings

import h5py
import numpy as np
import pytest
import scans
from numpy.testing import assert_allclose, assert_array_equal

from ptypy_beamline import BeamlineWarning, open_scan
from ptypy_beamline.errors import SettingsError
from ptypy_beamline.frames.wrappers import PickedFrames, whole_stack
from ptypy_beamline.scan import ArrayFrames

INDICES = {
    "gaps": np.delete(np.arange(49), [0, 3, 4, 30, 47]),
    "gaps at the ends": np.arange(5, 40),
    "another order": np.random.default_rng(2).permutation(49)[:40],
}


@pytest.fixture
def listed(tmp_path):
    """49 TIFF files whose sidecar has a position for those of ``index`` only, in its order."""

    def write(index):
        file = scans.write(tmp_path, "tiff")
        with h5py.File(file.parent / "sidecar.h5", "a") as sidecar:
            for name in ("posx_m", "posy_m"):
                kept = sidecar["entry"][name][()][index]
                del sidecar["entry"][name]
                sidecar["entry"][name] = kept
            sidecar["entry/frame_index"] = index
            sidecar["entry/frame_index"].attrs["counted"] = "order"
        return file

    return write


def opened(file):
    """The scan, whose frames without a position are warned of."""
    with pytest.warns(BeamlineWarning, match=r"left out by number \(frame_index\): \d+ frames"):
        return open_scan(file)


def everything(plan):
    """Frames, positions and raw frames of a plan, as they come in blocks."""
    blocks = list(plan.blocks(9))
    return [
        np.concatenate([getattr(block, name) for block in blocks])
        for name in ("frames", "positions_m", "exposures")
    ]


@pytest.mark.parametrize("index", INDICES.values(), ids=list(INDICES))
def test_raw_numbers_of_tiff_frames_with_a_position(listed, index):
    truth, out = scans.truth(), [6, 7, int(index[-1])]
    frames, positions_m, exposures = everything(opened(listed(index)).plan(reject=out))
    left = np.sort(index[~np.isin(index, out)])
    assert_array_equal(exposures[:, 0], left)
    assert_array_equal(frames, truth.frames[left])
    assert_allclose(positions_m, truth.positions_m[left])


def test_a_frame_without_a_position_may_be_rejected_and_one_beyond_the_files_not(listed):
    file = listed(INDICES["gaps"])
    scan = opened(file)
    assert len(scan.plan(reject=[0, 3, 48])) == 43
    with pytest.raises(SettingsError, match="reject names frame 49, the scan has frames 0 to 48"):
        scan.plan(reject=[49])


def test_groups_of_tiff_frames_go_by_number(listed):
    """A log that has one row for the three exposures of a position, and lost some rows."""
    index = np.delete(np.arange(0, 48, 3), [2, 7])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BeamlineWarning)
        plan = open_scan(listed(index)).plan(frames_per_position=3, reject=[4])
    wanted = index[:, None] + np.arange(3)
    wanted[1, 1] = -1
    assert_array_equal(plan.selection.exposures, wanted)
    assert_allclose(plan.positions_m, scans.truth().positions_m[index])
    raw = plan.load([1])[0]
    assert_array_equal(raw[[0, 2]], scans.truth().frames[wanted[1, [0, 2]]])
    assert not raw[1].any()


def test_a_monitor_has_a_value_for_each_raw_frame_or_for_each_used_one(listed):
    index = INDICES["another order"]
    file, monitor = listed(index), np.arange(1.0, 50.0)
    scan, used = opened(file), np.sort(index)
    plans = [scan.plan(monitor=given.tolist()) for given in (monitor, monitor[used])]
    wanted = monitor[used].mean() / monitor[used]
    for plan in plans:
        assert_allclose(plan.selection.scale[:, 0], wanted)


def test_raw_numbers_of_an_areadetector_file_with_dropped_frames(tmp_path):
    """The frames that were dropped are not in the file: they have no number there."""
    keep = np.delete(np.arange(49), [3, 4, 30])
    file = scans.write(
        tmp_path,
        "areadetector",
        frames=scans.truth().frames[keep],
        positions_m=scans.truth().positions_m[keep],
    )
    with h5py.File(file, "a") as opened:
        opened["entry/instrument/NDAttributes/NDArrayUniqueId"][:] = keep + 1
    frames, positions_m, exposures = everything(open_scan(file).plan(reject=[3, 45]))
    left = np.delete(np.arange(46), [3, 45])
    assert_array_equal(exposures[:, 0], left)
    assert_array_equal(frames, scans.truth().frames[keep[left]])
    assert_allclose(positions_m, scans.truth().positions_m[keep[left]])


def test_some_of_some_frames():
    whole = ArrayFrames(np.zeros((9, 2, 2)))
    some = PickedFrames(PickedFrames(whole, np.array([8, 6, 4, 2])), np.array([3, 0]))
    assert whole_stack(some)[0] is whole
    assert_array_equal(whole_stack(some)[1], [2, 8])
    assert whole_stack(whole)[0] is whole
    assert_array_equal(whole_stack(whole)[1], np.arange(len(whole.array)))


@pytest.mark.ptypy
def test_the_loader_keeps_the_raw_frame_numbers(listed, ptyscan):
    index = INDICES["gaps"]
    loader = ptyscan.BeamlineTiffScan(file=str(listed(index)), reject=[1, 2])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BeamlineWarning)
        loader.initialize()
    assert_array_equal(loader.frame_indices, index[2:])
