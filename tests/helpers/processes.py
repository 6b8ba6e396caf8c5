"""Recipes, commands and MPI programs run as processes of their own, as a user does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

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


def run(
    *words: object, folder: Path | None = None, code: int | None = 0, timeout_s: float = 200
) -> subprocess.CompletedProcess[str]:
    """Run a command line in ``folder``; its exit code must be ``code`` (None: any)."""
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert code in (done.returncode, None), done.stdout[-2000:] + done.stderr[-2000:]
    return done


def python(*words: object, **how: Any) -> subprocess.CompletedProcess[str]:
    """Run a Python program, see :func:`run`."""
    return run(sys.executable, *words, **how)


def mpirun(ranks: int, *words: object, **how: Any) -> subprocess.CompletedProcess[str]:
    """Run a Python program on so many ranks; with any exit code if none is given."""
    words = ("mpirun", "--oversubscribe", "-n", ranks, sys.executable, *words)
    return run(*words, **{"code": None} | how)


def live_writer(*words: object, exposures: int = 1) -> subprocess.Popen[bytes]:
    """Start ``live_writer.py``."""
    command = [sys.executable, str(HELPERS / "live_writer.py"), *map(str, words)]
    return subprocess.Popen(command, env=environment() | {"EXPOSURES": str(exposures)})


def reconstruction(folder: Path, name: str) -> np.ndarray:
    """The object in PtyPy's last .ptyr of a run."""
    path = max(folder.glob(f"recons/{name}/*.ptyr"), key=lambda path: path.stat().st_mtime)
    with h5py.File(path) as file:
        storage = next(iter(file["content/obj"].values()))
        return storage["data"][0]


def load(
    ranks: int, file: Path, settings: dict[str, Any], frames: int = 1000, *fault: str
) -> subprocess.CompletedProcess[str]:
    """Load a scan on so many ranks, see ``mpi_load.py``."""
    return mpirun(ranks, HELPERS / "mpi_load.py", file, json.dumps(settings), frames, *fault)


def result(done: subprocess.CompletedProcess[str], ranks: int = 1) -> Any:
    """What a program printed as its result, once or on each of ``ranks``."""
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    assert len(lines) == ranks, done.stderr
    return json.loads(lines[0].removeprefix("RESULT "))
