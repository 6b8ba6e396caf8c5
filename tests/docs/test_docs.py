"""The documentation builds without warnings and agrees with the package."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from folders import ROOT

from ptypy_beamline import formats
from ptypy_beamline.cli import COMMANDS, load
from ptypy_beamline.settings import other_names, parameters

MISSING = [name for name in ("sphinx", "myst_parser") if importlib.util.find_spec(name) is None]

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"{' and '.join(MISSING)} not installed")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as HTML, built with warnings as errors."""
    out = tmp_path_factory.mktemp("docs")
    command = [*"-m sphinx -q -W --keep-going -b html -d".split(), str(out / "doctrees")]
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


@pytest.mark.long
def test_every_parameter_with_its_flag(pages: Path) -> None:
    page = (pages / "parameters.html").read_text()
    text = text_of(pages / "parameters.html")
    for parameter in parameters():
        code = f'<span class="pre">{parameter.name}</span>'
        assert page.count(code) == 1, f"{parameter.name} is to be on the parameters page, once"
        assert parameter.flag in text


@pytest.mark.long
def test_every_format(pages: Path) -> None:
    page = (pages / "formats.html").read_text()
    for name in formats.names():
        assert f'id="{name}"' in page


@pytest.mark.long
def test_every_command(pages: Path) -> None:
    page = (pages / "command_line.html").read_text()
    for command in COMMANDS:
        assert f'id="{command}"' in page


@pytest.mark.long
def test_the_loaders_are_documented_without_ptypy(pages: Path) -> None:
    text = text_of(pages / "python_api.html")
    assert "ptypy_beamline.ptyscan.BeamlineHdf5Scan" in text
    assert "Bases: BeamlineScan" in text
    assert "default =" not in text


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
OF_OTHERS = {
    "from_the_ingestion_kit.md": {"--input", "--pattern"},
    "install.md": {"--files", "--system-site-packages"},
    "architecture.md": {"--gain"},
}
"""Page → flags of other programs on it, and of its example."""

OF_THE_KIT = {"tests/synth_make_small_dataset.py", "tests/orientation_roi_smoketest.py"}
"""Files that the ingestion kit has."""


def test_pages_name_files_of_the_project() -> None:
    for page in PAGES:
        named = re.findall(r"(?:recipes|tests|benchmarks)/[\w./]+\w", page.read_text())
        for name in set(named) - OF_THE_KIT:
            assert (ROOT / name).exists(), f"{page.name} names {name}"


def test_pages_name_flags_that_there_are() -> None:
    options = [option for command in COMMANDS for option in load(command).params]
    known = {word for option in options for word in (*option.opts, *option.secondary_opts)}
    known |= {name for flag in known for name in other_names(flag)}
    known |= {"--debug", "--help", "--out", "--output", "--paths", "--version"}
    recipes = "".join(recipe.read_text() for recipe in (ROOT / "recipes").glob("*.py"))
    known |= set(re.findall(r"--[a-z-]+", recipes))
    for page in PAGES:
        flags = set(re.findall(r"(?<![\w-])--[a-zA-Z][\w.-]*\w(?![\w-])", page.read_text()))
        wrong = flags - known - OF_OTHERS.get(page.name, set())
        assert not wrong, f"{page.name} names {wrong}"
