"""Real ``mpirun``: identical frames on any number of ranks, and no rank left waiting."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
import scans
from folders import HELPERS
from processes import live_writer, load, mpirun, result

pytestmark = [pytest.mark.ptypy, pytest.mark.mpi]

SETTINGS = {
    "shape": 48,
    "rebin": 2,
    "rotate": 90,
    "saturation": 3000,
    "center": [31, 33],
    "hot_sigma": 6,
    "align": "com",
}


@pytest.mark.parametrize(
    "cases",
    [
        pytest.param([(3, 5, "data")], id="some"),
        pytest.param(
            [(2, 9, "all"), (3, 1000, "common"), (3, 4, None), (2, 1000, None)],
            marks=pytest.mark.long,
            id="others",
        ),
    ],
)
def test_any_number_of_ranks_gets_the_same(tmp_path, cases):
    file = scans.write(tmp_path, "cxi")
    wanted = result(load(1, file, SETTINGS))
    for ranks, frames, load_parallel in cases:
        done = load(ranks, file, SETTINGS | {"load_parallel": load_parallel}, frames)
        assert result(done) == wanted, (ranks, frames, load_parallel)


def test_more_ranks_than_frames_in_a_chunk(tmp_path):
    file = scans.write(tmp_path)
    wanted = result(load(1, file, {"num_frames": 4}))
    assert result(load(3, file, {"num_frames": 4}, 2)) == wanted


@pytest.mark.parametrize(
    ("fault", "load_parallel"),
    [
        ("open", "data"),
        ("load", "all"),
        pytest.param("open", "all", marks=pytest.mark.long),
        pytest.param("load", "data", marks=pytest.mark.long),
    ],
)
def test_an_error_on_one_rank_ends_all_with_its_message(tmp_path, fault, load_parallel):
    file = scans.write(tmp_path)
    start = time.monotonic()
    done = load(2, file, {"load_parallel": load_parallel}, 1000, fault)
    assert done.returncode != 0
    assert "the file server is gone" in done.stderr
    assert time.monotonic() - start < 40, "most of it starting Python twice"


@pytest.mark.parametrize("load_parallel", ["data", pytest.param(None, marks=pytest.mark.long)])
def test_a_live_scan_on_two_ranks(tmp_path, load_parallel):
    file = tmp_path / "live.h5"
    plain = {"shape": 32, "center": [16, 16]}
    live = plain | {"live": {"timeout_s": 8.0, "poll_s": 0.1}, "load_parallel": load_parallel}
    with live_writer(file, 23, 0.2, "swmr") as writer:
        followed = result(load(2, file, live, 5))
        assert writer.wait(20) == 0
    assert followed == result(load(1, file, plain))


def test_the_command_line_prints_an_error_once(tmp_path):
    pars = {
        "scans": {
            "s": {"name": "BlockFull", "data": {"name": "BeamlineScan", "file": "nowhere.h5"}}
        }
    }
    (tmp_path / "tree.json").write_text(json.dumps(pars))
    done = mpirun(2, "-m", "ptypy_beamline", "run", tmp_path / "tree.json", "-l", 2)
    assert done.returncode != 0
    assert done.stderr.count("error: nowhere.h5: no such file") == 1


def test_two_ranks_reconstruct_as_one(tmp_path):
    file = scans.write(tmp_path)
    np.save(tmp_path / "probe.npy", scans.truth().probe)
    program = (HELPERS / "mpi_reconstruct.py", file, tmp_path / "probe.npy")
    one, two = (result(mpirun(ranks, *program)) for ranks in (1, 2))
    assert two == pytest.approx(one, rel=1e-4)
