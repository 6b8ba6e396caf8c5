"""The recipes for scans that grow, that have angles, and whose positions are uncertain."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from folders import HELPERS
from processes import RECIPES, environment, python, reconstruction

from ptypy_beamline.testing.demo import write_demo_scan
from ptypy_beamline.testing.simulate import Truth, simulate
from ptypy_beamline.testing.writers import WRITERS, Raw

pytestmark = pytest.mark.ptypy
COPY = HELPERS / "live_copy.py"
PLACE = "/entry/instrument/NDAttributes"


def truth() -> Truth:
    return simulate(64, (5, 5), 6, "jitter", photons=3e5, seed=4)


def positions_m(ptyr: Path) -> np.ndarray:
    """The (refined) positions in a .ptyr, metres."""
    with h5py.File(ptyr) as file:
        return np.concatenate([positions[:] for positions in file["content/positions"].values()])


def test_live(tmp_path: Path) -> None:
    write_demo_scan(tmp_path / "whole.h5", shape=(4, 4))
    resume = tmp_path / "resume"
    copy = [COPY, tmp_path / "whole.h5", tmp_path / "live.h5", "30", resume]
    options = """
        --roi=128 --roi-center=91,104 --frames-per-pos=3 --poll=0.2 --first=5 --block=5
    """.split()
    recipe = [RECIPES / "live.py", "live.h5", *options, "--dm=3", "--output=out"]
    with (
        subprocess.Popen([sys.executable, *map(str, copy)]) as writer,
        subprocess.Popen(
            [sys.executable, *map(str, recipe)],
            cwd=tmp_path,
            env=environment(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as reader,
    ):
        assert reader.stdout is not None
        lines = []
        for line in reader.stdout:
            lines.append(line)
            if "Iteration #" in line:  # it reconstructs while the scan stands still
                resume.touch()
        resume.touch()
    assert (writer.returncode, reader.returncode) == (0, 0), "".join(lines)
    assert np.isfinite(reconstruction(tmp_path / "out", "live")).all()
    (ptyr,) = tmp_path.glob("out/recons/live/*.ptyr")
    with h5py.File(ptyr) as file:
        iterations = len(file["content/runtime/iter_info"])
    assert iterations > 3, "DM counts its 3 once all frames are there"
    log = "".join(lines)
    loads = [re.findall(r"\((\d+) diffraction frames", part) for part in log.split("(reformatting")]
    assert sum(int(counted[-1]) for counted in loads if counted) == 16
    assert "Traceback" not in log


@pytest.mark.long
@pytest.mark.parametrize("kind", ["readback", "setpoint"])
def test_position_refinement(tmp_path: Path, kind: str) -> None:
    raw = Raw.of(truth())
    WRITERS["areadetector"](tmp_path / "scan.h5", raw)
    meant = raw.positions_m + np.random.default_rng(1).uniform(-3e-8, 3e-8, raw.positions_m.shape)
    with h5py.File(tmp_path / "scan.h5", "a") as file:
        file[f"{PLACE}/sety_m"], file[f"{PLACE}/setx_m"] = meant.T

    few = ("--dm", "12", "--start", "1", "-o", "out")
    script = RECIPES / "position_refinement.py"
    python(script, "scan.h5", "--positions", kind, *few, folder=tmp_path)

    (ptyr,) = tmp_path.glob("out/recons/position_refinement/*.ptyr")
    assert np.isfinite(reconstruction(tmp_path / "out", "position_refinement")).all()
    given = raw.positions_m if kind == "readback" else meant
    moved = np.abs(positions_m(ptyr) - given).max()
    assert moved < 1.5e-7
    assert kind == "readback" or moved > 1e-9, "what is right already need not move"


@pytest.mark.long
def test_epie_parameters_with_the_same_engine_on_the_cpu(tmp_path: Path) -> None:
    write_demo_scan(tmp_path / "raw_scan.h5", shape=(4, 4))
    words = ("raw_scan.h5", "--arch", "serial", "--epie", "3", "--block", "8", "-o", "out")
    python(RECIPES / "cupy_epie.py", *words, folder=tmp_path)

    assert np.isfinite(reconstruction(tmp_path / "out", "cupy_epie")).all()
