"""Scans followed inside PtyPy while a process of its own writes them, on one rank and on more."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from folders import HELPERS
from live_settings import expected_positions
from numpy.testing import assert_allclose, assert_array_equal
from processes import live_writer, mpirun, python, result

pytestmark = [pytest.mark.ptypy, pytest.mark.mpi]

COUNT = 23


def write_sidecar(path, count=COUNT):
    """Positions that are known before the scan."""
    with h5py.File(path, "w") as file:
        file["entry/posy_m"], file["entry/posx_m"] = expected_positions(count).T
        file["entry/energy_eV"], file["entry/det_dist_m"] = 8800.0, 1.0
        file["entry/pixel_m"] = 75e-6


@pytest.fixture
def write(tmp_path):
    """Start a writer; gives the file's name for the loader. It is gone when the test is."""
    running = []

    def start(layout, mode, period=0.1):
        target = tmp_path / {"tiff": "f", "hdf5": "live.h5"}.get(layout, "live.ptyd")
        if layout == "tiff":
            write_sidecar(tmp_path / "sidecar.h5")
        running.append(live_writer(target, COUNT, period, mode, layout, tmp_path / "ready"))
        return running[-1], f"{target}_*.tif" if layout == "tiff" else str(target)

    yield start
    for process in running:
        process.kill()
        process.wait()


def reconstruct(ranks, loader, file, first=6, block=5, **settings):
    """What arrived in PtyPy, as a process of its own."""
    given = json.dumps({"file": file, "shape": 32, "center": [16, 16]} | settings)
    ready = Path(file).parent / "ready"
    words = (HELPERS / "live_reconstruct.py", loader, given, first, block, ready)
    return result(mpirun(ranks, *words, code=0) if ranks > 1 else python(*words))


LIVE = {"timeout_s": 5.0, "poll_s": 0.1}
"""A writer on a machine with much to do may stand still for seconds."""

CASES = [("tiff", "pause", 1, "data"), ("ptyd", "pause", 2, None)]
LONG = [
    ("tiff", "killed", 2, "data"),
    ("tiff", "steady", 3, "all"),
    ("ptyd", "killed", 1, "data"),
    ("hdf5", "reopen", 2, "data"),
    ("ptyd", "killed", 3, "data"),
    ("append", "steady", 2, "data"),
]
CASES += [pytest.param(*case, marks=pytest.mark.long) for case in LONG]
LOADERS = {"tiff": "BeamlineTiffScan", "hdf5": "BeamlineHdf5Scan"}
ALIVE = {"tiff": COUNT // 2 + 1, "ptyd": COUNT // 2 // 4 * 4 + 4}
"""Frames that a killed writer leaves."""


@pytest.mark.parametrize(("layout", "mode", "ranks", "load_parallel"), CASES)
def test_every_frame_arrives_once_with_its_position(write, layout, mode, ranks, load_parallel):
    writer, file = write(layout, mode)
    loader = LOADERS.get(layout, "BeamlinePtydScan")
    found = reconstruct(ranks, loader, file, live=LIVE, load_parallel=load_parallel)
    count = ALIVE[layout] if mode == "killed" else COUNT
    assert found["numbers"] == found["layers"] == found["indices"] == list(range(count))
    assert_allclose(found["positions"], expected_positions(count))
    whole = 5 * ranks
    blocks = [whole] * (count // whole) + [count % whole] * (count % whole > 0)
    if blocks[-1] < ranks:  # every rank gets one, from the block before
        blocks[-2:] = [blocks[-2] + blocks[-1] - ranks, ranks]
    assert found["blocks"] == blocks
    assert found["started"] >= 6
    assert found["started"] < count or mode != "pause", "it began before the scan was over"
    all_listed = layout == "tiff" and mode != "killed"
    assert found["by_timeout"] is not all_listed, "who knows the end does not wait for it"
    assert writer.wait(10) == (-9 if mode == "killed" else 0), "the reader did not disturb it"
    if "ptyd" in file:
        assert_array_equal(found["bad"], np.where(np.arange(count) % 4, 1, 2))


@pytest.mark.parametrize("ranks", [1, pytest.param(2, marks=pytest.mark.long)])
def test_ptypys_on_the_fly_template_gets_frames_as_they_come(tmp_path, ranks):
    """A model without blocks, ``min_frames`` and no ``frames_per_block``."""
    program = HELPERS / "ptypy_on_the_fly.py"
    command = [sys.executable, program, "write", tmp_path]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as writer:
        done = mpirun(ranks, program, "reconstruct", tmp_path, code=0)
        assert writer.wait(20) == 0
    numbers = result(done, ranks)
    assert numbers == sorted(numbers)
    assert 10 * ranks <= numbers[0] < numbers[-1] == 60
