"""A rank that is stopped ends all: none spins for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import model_runs
import pytest
from folders import HELPERS
from processes import environment, load, mpirun

pytestmark = [pytest.mark.ptypy, pytest.mark.mpi]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return model_runs.write(tmp_path_factory.mktemp("ends"))


@pytest.mark.parametrize(
    ("how", "rank"), [pytest.param("run", 1, marks=pytest.mark.long), ("script", 0)]
)
def test_an_interrupt_of_one_rank_ends_all(file, how, rank):
    command = ["mpirun", "--oversubscribe", "-n", "2", sys.executable, HELPERS / "mpi_interrupt.py"]
    with subprocess.Popen(
        [*command, file, how],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as running:
        processes = {}
        for line in running.stdout:
            if line.startswith("PROCESS"):
                number, process = map(int, line.split()[1:])
                processes[number] = process
            if len(processes) == 2:
                break
        os.kill(processes[rank], signal.SIGINT)
        asked = time.monotonic()
        _, errors = running.communicate(timeout=60)
    assert running.returncode != 0
    assert "KeyboardInterrupt" in errors
    assert time.monotonic() - asked < 30
    for process in processes.values():
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


@pytest.mark.long
def test_a_rank_that_exits_in_the_loader_ends_all(file):
    done = mpirun(2, HELPERS / "mpi_interrupt.py", file, "exit", timeout_s=60)
    assert done.returncode != 0
    assert "error: rank 1: SystemExit: 3" in done.stderr


def test_fewer_frames_than_ranks_are_an_error(file):
    done = load(3, file, {"num_frames": 2, "center": [8, 8]})
    assert done.returncode != 0
    assert "2 positions are too few for 3 MPI ranks; start at most 2 (mpirun -n 2)" in done.stderr


def test_a_terminated_rank_prints_no_error_of_its_own(tmp_path):
    script = """
import os, signal, sys, time
from mpi4py import MPI
from ptypy_beamline.cli import stoppable
from ptypy_beamline.parallel import ending_all
with stoppable(), ending_all(MPI.COMM_WORLD):
    MPI.COMM_WORLD.Barrier()
    if MPI.COMM_WORLD.rank == 1:
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(30)
"""
    done = mpirun(2, "-c", script, timeout_s=25)
    assert done.returncode != 0
    assert "error: " not in done.stderr
    assert "Traceback" not in done.stderr
