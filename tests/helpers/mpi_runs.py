"""Runs of ``mpirun``, and what they print."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from folders import HELPERS as HERE
from folders import ROOT

ENVIRONMENT = os.environ | {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
}


def mpirun(ranks, script, *arguments, timeout=150):
    command = ["mpirun", "--oversubscribe", "-n", str(ranks), sys.executable, *script, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, env=ENVIRONMENT, check=False
    )


def load(ranks, file, settings, frames=1000, *fault):
    return mpirun(
        ranks, [str(HERE / "mpi_load.py")], str(file), json.dumps(settings), str(frames), *fault
    )


def result(done):
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("RESULT")]
    assert len(lines) == 1, done.stderr
    return lines[0][1]
