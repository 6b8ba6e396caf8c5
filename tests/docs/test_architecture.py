"""The lists of files on the architecture page are those that the code really touches."""

from __future__ import annotations

import ast
import re
import shutil
import textwrap
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
from folders import ROOT
from processes import python

from ptypy_beamline import open_scan

PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
PACKAGE = ROOT / "ptypy_beamline"
MOST_ON_THE_PATH = 9
MOST_FOR_SOMETHING_NEW = {"format": 2, "loader parameter": 3, "dataset quantity": 3}

TRACED = """
import sys, threading
from ptypy import utils as u
from ptypy_beamline.planning import pixels
from ptypy_beamline.ptyscan import BeamlineScan

pixels.FEW_PIXELS = 0  # compiled functions, as after the first pixels of a process
called = set()
def note(frame, event, _):
    called.add(frame.f_code.co_filename)
threading.setprofile(note)
sys.setprofile(note)
loader = BeamlineScan(u.Param(file=sys.argv[1], shape=32))
loader.initialize()
loader.auto(9)
sys.setprofile(None)
print(*called, sep="\\n")
"""


def section(title: str) -> str:
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def path_of_a_frame() -> list[str]:
    path = section("The path of a frame from file to engine")
    rows = re.findall(r"^\| \d \| `([^`]+)`", path, re.M)
    assert rows
    return rows


def files_of_something_new() -> dict[str, list[str]]:
    """What is new → files of the package, without those named as an alternative."""
    rows = re.findall(
        r"^\| ([\w ]+) \| (.*?) \|", section("Which files something new touches"), re.M
    )
    cells = {what: re.sub(r" or,.*?`[^`]+`", "", cell) for what, cell in rows}
    return {
        what: re.findall(r"`[\w/]+\.py`|the module that uses it", cell)
        for what, cell in cells.items()
    }


def test_files_that_the_pages_name_exist() -> None:
    for page in ("docs/architecture.md", "CONTRIBUTING.md"):
        text = (ROOT / page).read_text("utf-8")
        for name in re.findall(r"`((?:\w+/)*\w+\.(?:py|md|toml))`", text):
            if "NAME" not in name:
                assert (PACKAGE / name).is_file() or (ROOT / name).is_file(), f"{page} names {name}"


def test_lists_are_short() -> None:
    assert len(path_of_a_frame()) <= MOST_ON_THE_PATH
    for what, most in MOST_FOR_SOMETHING_NEW.items():
        assert 0 < len(files_of_something_new()[what]) <= most, what


def insert(path: Path, new: str, where: str) -> None:
    """Write ``new`` before the only ``where`` in a file."""
    before, found, after = path.read_text("utf-8").partition(where)
    assert found
    assert where not in after
    path.write_text(before + new + found + after, "utf-8")


def test_example_of_a_new_parameter_works(tmp_path: Path) -> None:
    ignore = shutil.ignore_patterns("__pycache__")
    package = shutil.copytree(PACKAGE, tmp_path / PACKAGE.name, ignore=ignore)
    field, use = (
        textwrap.indent(textwrap.dedent(block), 4 * " ")
        for block in re.findall(
            r"```{code-block} python\n(.*?) *```",
            section("Which files something new touches"),
            re.S,
        )
    )
    insert(package / "settings.py", field, "    saturation: ")
    insert(package / "cli" / "loading.py", " gain", " saturation hot_sigma")
    insert(package / "planning" / "calibration.py", use, "    dark[bad] = gain[bad] = 0\n")
    counts = write_scan(tmp_path / "scan.h5")
    words = ("-m", "ptypy_beamline", "standardize", "scan.h5", "-o", "photons.h5", "--gain", 2)
    python(*words, folder=tmp_path)
    photons = next(open_scan(tmp_path / "photons.h5").plan().blocks(9)).frames
    np.testing.assert_array_equal(photons, counts / 2)


def write_scan(path: Path) -> np.ndarray:
    """A standardized file; its counts, of nine frames."""
    with h5py.File(path, "w") as file:
        counts = np.random.default_rng(1).poisson(50, (9, 64, 64)).astype(np.uint16)
        file.create_dataset("entry/data", data=counts, chunks=(1, 64, 64), compression="gzip")
        file["entry/pos"] = np.stack(np.divmod(np.arange(9), 3), axis=1) * 1e-7
        file["entry/pos"].attrs["columns"] = "x,y"
        file["entry/energy_eV"], file["entry/det_dist_m"] = 8000.0, 1.0
        file["entry/pixel_m"] = 75e-6
    return counts


@pytest.mark.ptypy
def test_a_frame_goes_through_these_files(tmp_path: Path) -> None:
    write_scan(tmp_path / "scan.h5")
    called = set(python("-c", TRACED, tmp_path / "scan.h5").stdout.splitlines())
    for name in path_of_a_frame():
        assert str(PACKAGE / name) in called, f"{name} is not on the path of a frame"


def test_every_layer_is_drawn_with_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sphinx")
    monkeypatch.syspath_prepend(ROOT / "docs" / "_ext")
    import layers

    drawn = layers.picture(*layers.contracts())
    modules = {path.stem for path in PACKAGE.iterdir() if path.name[0] not in "_."}
    modules -= {path.stem for path in PACKAGE.glob("*.typed")}
    for module in modules:
        assert re.search(rf">{module}/?<", drawn), f"{module} is in no layer"


def test_a_class_name_means_one_class() -> None:
    defined = Counter(
        node.name
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, count in defined.items() if count > 1] == []
