"""The documentation builds without warnings and says what the package says."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from folders import ROOT

from ptypy_beamline import formats
from ptypy_beamline.cli import COMMANDS
from ptypy_beamline.settings import parameters

MISSING = [name for name in ("sphinx", "myst_parser") if importlib.util.find_spec(name) is None]

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"{' and '.join(MISSING)} not installed")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as HTML, built with warnings as errors."""
    out = tmp_path_factory.mktemp("docs")
    command = [
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        "-b",
        "html",
        "-d",
        str(out / "doctrees"),
    ]
    done = subprocess.run(
        [sys.executable, *command, str(ROOT / "docs"), str(out / "html")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out / "html"


def text_of(page: Path) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page.read_text()))


def test_every_parameter_with_its_flag(pages: Path) -> None:
    page = (pages / "parameters.html").read_text()
    text = text_of(pages / "parameters.html")
    for parameter in parameters():
        code = f'<span class="pre">{parameter.name}</span>'
        assert page.count(code) == 1, f"{parameter.name} is to be on the parameters page, once"
        assert parameter.flag in text


def test_every_format(pages: Path) -> None:
    page = (pages / "formats.html").read_text()
    for name in formats.names():
        assert f'id="{name}"' in page


def test_every_command(pages: Path) -> None:
    page = (pages / "command_line.html").read_text()
    for command in COMMANDS:
        assert f'id="{command}"' in page


def test_the_loaders_are_documented_without_ptypy(pages: Path) -> None:
    text = text_of(pages / "python_api.html")
    assert "ptypy_beamline.ptyscan.BeamlineHdf5Scan" in text
    assert "Bases: BeamlineScan" in text
    assert "default =" not in text


def test_commands_in_the_text_name_files_of_the_project() -> None:
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for name in re.findall(r"recipes/[\w.]+\w", page.read_text()):
            assert (ROOT / name).is_file(), f"{page.name} names {name}"
