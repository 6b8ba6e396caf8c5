"""Recipes, commands and MPI programs run as processes of their own, as a user does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
from folders import HELPERS, ROOT

RECIPES = ROOT / "recipes"


def environment() -> dict[str, str]:
    """For one thread, as any user (MPI asks root to insist), with the tests' helpers."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(HELPERS), os.environ.get("PYTHONPATH", "")]),
        "PYTHON": sys.executable,
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
    }


def run(folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command line in ``folder``."""
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done


def reconstruction(folder: Path, name: str) -> np.ndarray:
    """The object in PtyPy's last .ptyr of a run."""
    path = max(folder.glob(f"recons/{name}/*.ptyr"), key=lambda path: path.stat().st_mtime)
    with h5py.File(path) as file:
        storage = next(iter(file["content/obj"].values()))
        return storage["data"][0]


def mpirun(ranks, script, *arguments, timeout=150):
    """Run a Python program on so many ranks."""
    command = ["mpirun", "--oversubscribe", "-n", str(ranks), sys.executable, *script, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, env=environment(), check=False
    )


def load(ranks, file, settings, frames=1000, *fault):
    """Load a scan on so many ranks, see ``mpi_load.py``."""
    program = str(HELPERS / "mpi_load.py")
    return mpirun(ranks, [program], str(file), json.dumps(settings), str(frames), *fault)


def result(done):
    """What a program printed as its result."""
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("RESULT")]
    assert len(lines) == 1, done.stderr
    return lines[0][1]
