"""Every recipe runs as it is, on a small simulated scan."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from processes import RECIPES, mpirun, python, reconstruction, run

from ptypy_beamline.reconstruction.comparison.registration import correlation
from ptypy_beamline.testing.demo import DemoScan, write_demo_scan
from ptypy_beamline.testing.package_writers import write_simulation

SCAN = ("demo/raw_scan.h5", "--reject", "demo/qc/reject_indices.npy")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where a smaller `ptypy-beamline demo` has left its raw scan."""
    folder = tmp_path_factory.mktemp("recipes")
    (folder / "demo").mkdir()
    return folder


@pytest.fixture(scope="module")
def made(folder: Path) -> DemoScan:
    made = write_demo_scan(folder / "demo/raw_scan.h5", shape=(9, 9))
    (folder / "demo/qc").mkdir()
    np.save(folder / "demo/qc/reject_indices.npy", made.spoiled)
    return made


@pytest.mark.long
@pytest.mark.ptypy
def test_tree_converges_from_yaml_alone(folder: Path, made: DemoScan) -> None:
    command = ("-m", "ptypy_beamline", "run", RECIPES / "tree.yaml", "-o", "results")
    python(*command, folder=folder)

    found = reconstruction(folder / "results", "demo")

    assert correlation(found, made.truth.object) > 0.9


@pytest.mark.long
@pytest.mark.ptypy
def test_hdf5_dm_ml(folder: Path, made: DemoScan) -> None:
    script = RECIPES / "hdf5_dm_ml.py"
    python(script, *SCAN, "--dm", "40", "--ml", "10", "-o", "plain", folder=folder)

    found = reconstruction(folder / "plain", "hdf5_dm_ml")

    assert correlation(found, made.truth.object) > 0.8


@pytest.mark.ptypy
@pytest.mark.parametrize("save", ["append", pytest.param("link", marks=pytest.mark.long)])
def test_make_ptyd(folder: Path, made: DemoScan, save: str) -> None:
    script = RECIPES / "make_ptyd.py"
    words = ("demo/raw_scan.h5", f"{save}.ptyd", "--save", save, "--block", "30")
    done = python(script, *words, folder=folder)

    assert "81 frames with their masks, read back the same" in done.stdout
    assert len(list(folder.glob(f"{save}.ptyd.part*"))) == (3 if save == "link" else 0)


@pytest.mark.ptypy
@pytest.mark.mpi
def test_make_ptyd_on_ranks_that_share_the_frames_otherwise(folder: Path, made: DemoScan) -> None:
    words = ("demo/raw_scan.h5", "ranks.ptyd", "--block", "7")
    done = mpirun(2, RECIPES / "make_ptyd.py", *words, folder=folder, code=0)

    assert done.stdout.count("81 frames with their masks, read back the same") == 1


@pytest.mark.long
@pytest.mark.ptypy
def test_ptyd_dm(folder: Path, made: DemoScan) -> None:
    words = ("demo/raw_scan.h5", "-o", "prepared.ptyd", "--frames-per-pos", "3", "--roi", "128")
    python("-m", "ptypy_beamline", "ptyd", *words, "--sat", "1023", folder=folder)
    words = ("--radius", "4e-7", "--window", "96", "--dm", "20", "-o", "again")
    python(RECIPES / "ptyd_dm.py", "prepared.ptyd", *words, folder=folder)

    assert np.isfinite(reconstruction(folder / "again", "ptyd_dm")).all()


@pytest.mark.long
@pytest.mark.ptypy
def test_phantom_dm(folder: Path) -> None:
    write_simulation(folder / "phantom", size=120, scan=(8, 8))
    words = ("phantom", "--photons", "1e6", "--seed", "3", "--dm", "30", "-o", "simulated")
    python(RECIPES / "phantom_dm.py", *words, folder=folder)
    found = max((folder / "simulated").glob("recons/phantom_dm/*.ptyr"))

    words = ("compare", found, "phantom", "--json")
    compared = python("-m", "ptypy_beamline", *words, folder=folder)

    assert json.loads(compared.stdout)["correlation"] > 0.8


@pytest.mark.long
@pytest.mark.ptypy
def test_cupy_parameters_with_the_same_engines_on_the_cpu(folder: Path, made: DemoScan) -> None:
    script = RECIPES / "cupy_dm_ml.py"
    few = ("--dm", "20", "--ml", "10", "--block", "30")
    python(script, *SCAN, "--arch", "serial", *few, "-o", "gpu", folder=folder)

    assert np.isfinite(reconstruction(folder / "gpu", "cupy_dm_ml")).all()


@pytest.mark.long
@pytest.mark.ptypy
@pytest.mark.mpi
def test_two_ranks(folder: Path, made: DemoScan) -> None:
    run("bash", RECIPES / "mpi.sh", 2, RECIPES / "tree.yaml", "-o", "ranks", folder=folder)

    found = reconstruction(folder / "ranks", "demo")

    assert correlation(found, made.truth.object) > 0.9


@pytest.mark.ptypy
@pytest.mark.mpi
@pytest.mark.parametrize(
    "script", ["hdf5_dm_ml.py", pytest.param("position_refinement.py", marks=pytest.mark.long)]
)
def test_a_missing_file_ends_all_ranks_with_one_line(folder: Path, script: str) -> None:
    """Also where one rank alone notices it: the others would wait for its probe."""
    done = mpirun(2, RECIPES / script, "missing.h5", folder=folder)
    assert done.returncode != 0
    assert len(re.findall("error: .*missing.h5: no such file", done.stderr)) == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("script", sorted(RECIPES.glob("*.sh")), ids=lambda path: path.name)
def test_shell_scripts_parse(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)


@pytest.mark.parametrize("script", sorted(RECIPES.glob("*.py")), ids=lambda path: path.name)
def test_python_scripts_compile(script: Path) -> None:
    compile(script.read_text(), str(script), "exec")
