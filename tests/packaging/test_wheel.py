"""A wheel, installed into an empty environment, brings all that a user needs."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import h5py
import numpy as np
import pytest
from folders import ROOT

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        importlib.util.find_spec("hatchling") is None, reason="hatchling is not installed"
    ),
]


class Installed:
    """An environment with the wheel, and a folder to run commands in."""

    def __init__(self, prefix: Path, folder: Path) -> None:
        self.prefix = prefix
        self.folder = folder

    def run(self, name: str, *words: object) -> str:
        """Standard output of a program of the environment; nothing leads it to the checkout."""
        environment = {name: value for name, value in os.environ.items() if "PYTHON" not in name}
        done = subprocess.run(
            [self.prefix / "bin" / name, *map(str, words)],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel without its dependencies, which are those of this interpreter."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT]
    subprocess.run([*pip, *build], check=True)
    (wheel,) = folder.glob("*.whl")

    prefix = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", prefix], check=True)
    python = prefix / "bin" / "python"
    install = ["install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run([*pip, "--python", python, *install], check=True)

    # A folder in a .pth file is searched, but not for .pth files: an editable install stays out.
    [site] = prefix.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text("\n".join(_folders_of_dependencies()), "utf-8")
    (folder / "empty").mkdir()
    return Installed(prefix, folder / "empty")


def _folders_of_dependencies() -> list[str]:
    own = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    return [path for path in sys.path if path in own or Path(path).name == "site-packages"]


def test_the_package_is_that_of_the_wheel(installed: Installed) -> None:
    where = installed.run("python", "-c", "import ptypy_beamline; print(ptypy_beamline.__file__)")
    assert Path(where.strip()).is_relative_to(installed.prefix)


def test_versions_and_formats(installed: Installed) -> None:
    assert installed.run("ptypy-beamline", "--version").startswith("ptypy-beamline ")
    assert "areadetector" in installed.run("ptypy-beamline", "formats")


def test_beamline_defaults(installed: Installed) -> None:
    code = "from ptypy_beamline import beamlines; print(beamlines.names())"
    assert installed.run("python", "-c", code).strip() == "['hermes', 'xrnf']"


def test_recipes_and_layouts(installed: Installed) -> None:
    """All of them are where docs/install.md says."""
    share = installed.prefix / "share" / "ptypy_beamline"
    for name in ("recipes", "xml_layouts"):
        assert _files(share, name) == _files(ROOT, name)


def _files(folder: Path, name: str) -> list[Path]:
    """Of a folder in a folder, relative to the latter, without what Python compiles."""
    paths = (folder / name).rglob("*.*")
    return sorted(path.relative_to(folder) for path in paths if path.suffix != ".pyc")


@pytest.mark.ptypy
def test_a_recipe_starts_from_there(installed: Installed) -> None:
    recipe = installed.prefix / "share" / "ptypy_beamline" / "recipes" / "hdf5_dm_ml.py"
    assert "usage:" in installed.run("python", recipe, "--help")


def test_a_file_is_recognised(installed: Installed) -> None:
    with h5py.File(installed.folder / "scan.h5", "w") as file:
        file["entry/data"] = np.random.default_rng(1).poisson(50, (9, 32, 32)).astype(np.float32)
        file["entry/pos"] = np.stack(np.divmod(np.arange(9), 3), axis=1) * 1e-7
        file["entry/pos"].attrs["columns"] = "x,y"
        file["entry/energy_eV"], file["entry/det_dist_m"] = 8000.0, 1.0
        file["entry/pixel_m"] = 75e-6
    assert "standard" in installed.run("ptypy-beamline", "info", "scan.h5")
