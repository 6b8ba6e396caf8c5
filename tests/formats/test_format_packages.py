"""Formats of other packages: the documented one, and those that fail or collide."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import h5py
import pytest
from folders import ROOT
from processes import python

from ptypy_beamline import open_scan
from ptypy_beamline.errors import BeamlineWarning, UnknownFormatError
from ptypy_beamline.formats import get, known, names, recognise, table
from ptypy_beamline.testing.conformance import Conformance

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

PAGE = ROOT / "docs" / "format_package.md"


def put_metadata(site: Path, name: str, version: str, entry_points: dict[str, str]) -> None:
    """What an installer writes about a package with formats."""
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [f"[{table.GROUP}]", *(f"{key} = {place}" for key, place in entry_points.items())]
    (folder / "entry_points.txt").write_text("\n".join(lines))


# the package in the documentation ------------------------------------------------------------


def install(source: Path, site: Path) -> None:
    """As pip does, or, without the build backend, by hand."""
    if find_spec("hatchling"):
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index"]
        options = ["--no-build-isolation", "--target", str(site), str(source)]
        subprocess.run([*command, *options], check=True, timeout=250)
        return
    settings = tomllib.loads((source / "pyproject.toml").read_text())
    for name in settings["tool"]["hatch"]["build"]["targets"]["wheel"]["include"]:
        site.mkdir(exist_ok=True)
        shutil.copy(source / name, site)
    project = settings["project"]
    put_metadata(site, project["name"], project["version"], project["entry-points"][table.GROUP])


@pytest.fixture(scope="module")
def documented(tmp_path_factory):
    """The package of the page, installed; what runs a module of Python with it."""
    folder = tmp_path_factory.mktemp("documented")
    blocks = re.findall(r"```\{code-block\} \w+\n:caption: (\S+)\n(.*?)```", PAGE.read_text(), re.S)
    for name, text in blocks:
        (folder / name).write_text(text)
    install(folder, folder / "site")
    paths = os.pathsep.join([str(ROOT), str(folder / "site")])

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": paths},
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run(
        "-c",
        "import pathlib, test_p99_format as t; s = t.TestP99();"
        " s.write(pathlib.Path('.'), s.raw())",
    )
    assert [name for name, _ in blocks] == ["pyproject.toml", "p99_format.py", "test_p99_format.py"]
    assert sum(text.count("\n") for _, text in blocks) < 60
    return run


def test_it_is_listed(documented):
    listed = documented("-m", "ptypy_beamline", "formats")
    assert re.search(r"^p99 +P99: /camera/frames", listed, re.M)
    assert re.search(r"^standard ", listed, re.M)


@pytest.mark.parametrize("chosen", [[], ["--format", "p99"]])
def test_it_is_recognised_and_can_be_named(documented, chosen):
    assert re.search(r"format +p99", documented("-m", "ptypy_beamline", "info", "scan.h5", *chosen))


@pytest.mark.ptypy
def test_loaders_read_it(documented):
    loaded = documented(
        "-c",
        "from ptypy import utils as u; from ptypy_beamline.ptyscan import BeamlineHdf5Scan as S;"
        " s = S(u.Param(file='scan.h5', format='p99', shape=16)); s.initialize();"
        " print('loaded', s.auto(4)['common']['shape'])",
    )
    assert "loaded" in loaded


def test_it_passes_the_tests_that_it_inherits(documented):
    done = documented("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_p99_format.py")
    assert re.search(r"\d\d passed", done)


# packages that fail or collide ---------------------------------------------------------------


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Installs a package with formats, where this process finds it."""

    def make(name: str, code: str, **entry_points: str) -> None:
        site = tmp_path / f"site-{name}"
        put_metadata(site, name, "2.1", entry_points)
        (site / f"{name}.py").write_text(code)
        monkeypatch.syspath_prepend(site)
        monkeypatch.delitem(sys.modules, name, raising=False)
        table._installed.cache_clear()

    yield make
    monkeypatch.undo()
    table._installed.cache_clear()


@pytest.fixture
def standard_file(tmp_path):
    class Standard(Conformance):
        format = "standard"

    return Standard().write(tmp_path, Standard().raw())


FORMAT = """
class Own:
    name, title, family = {name!r}, "mine", "HDF5"
    refines = {refines!r}
    def understands(self, path, file):
        {understands}
    def open(self, path, settings):
        {open}
OWN = Own()
"""


def code(name="own", refines=(), understands="return file is not None", open="return None"):
    return FORMAT.format(name=name, refines=refines, understands=understands, open=open)


def test_a_package_that_cannot_be_imported(package, standard_file):
    package("halved", "import nothing_of_the_kind", own="halved:OWN")
    message = (
        r"format 'own' of halved 2.1 \(entry point halved:OWN\) fails with ModuleNotFoundError"
    )
    with pytest.warns(BeamlineWarning, match=message):
        assert [one.name for one in known()] == list(table.TABLE)
    with pytest.warns(BeamlineWarning, match=message):
        assert recognise(standard_file).name == "standard"
    with pytest.raises(UnknownFormatError, match=message) as caught:
        get("own")
    assert "\n" not in str(caught.value)
    assert "own" in names()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("OWN = 3", "has no name, family, title, understands, open"),
        (code("other"), "calls itself 'other'"),
        (code(refines="standard"), "has 'standard' as refines, not names of formats"),
        (code(refines=None), "has None as refines, not names of formats"),
        ("import sys; sys.exit(3)", "fails with SystemExit"),
    ],
)
def test_entry_points_that_are_no_format_are_refused(package, text, message):
    package("odd", text, own="odd:OWN")
    with pytest.raises(UnknownFormatError, match=rf"of odd 2.1 \(entry point odd:OWN\) {message}"):
        get("own")


def test_a_format_that_fails_while_it_recognises_a_file(package, standard_file):
    package("fails", code(understands="return 1 / 0"), own="fails:OWN")
    with pytest.warns(BeamlineWarning, match=r"of fails 2.1 .* ZeroDivisionError"):
        assert open_scan(standard_file).format == "standard"


@pytest.mark.parametrize(
    ("what", "message"),
    [("return file.name", "fails with NameError"), ("return 3", "gives int instead of Scan")],
)
def test_a_format_that_fails_while_it_opens_a_file(package, standard_file, what, message):
    package("breaks", code(open=what), own="breaks:OWN")
    with pytest.raises(UnknownFormatError, match=rf"scan.h5: .* of breaks 2.1 .* {message}"):
        open_scan(standard_file, format="own")


def test_the_error_names_what_a_file_lacks_for_a_packages_format(package, tmp_path):
    lacking = "    def nearly(self, file): return 'without its log file'\nOWN = Own()\n"
    package(
        "asks", code(understands="return False").replace("OWN = Own()\n", lacking), own="asks:OWN"
    )
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(UnknownFormatError, match="without its log file"):
        recognise(tmp_path / "a.h5")


def test_a_name_that_this_package_has(package, standard_file):
    package("takes", code("standard"), standard="takes:OWN")
    message = r"'standard' of takes 2.1 \(entry point takes:OWN\) is not used: ptypy_beamline has"
    with pytest.warns(BeamlineWarning, match=message):
        assert open_scan(standard_file).format == "standard"
    assert names().count("standard") == 1


def test_a_name_that_two_packages_have(package, standard_file):
    package("first", code(), own="first:OWN")
    package("second", code(), own="second:OWN")
    message = "2 packages have a format 'own': .* of (first|second) 2.1 .* and .* 2.1 .*uninstall"
    with pytest.raises(UnknownFormatError, match=message):
        get("own")
    with pytest.warns(BeamlineWarning, match=message):
        assert recognise(standard_file).name == "standard"


def test_a_more_specific_format_wins_only_if_it_declares_so(package, standard_file):
    package("general", code(), own="general:OWN")
    with pytest.raises(UnknownFormatError, match=r"understood by \['standard', 'own'\]; name one"):
        recognise(standard_file)
    package("specific", code("fine", refines=("standard", "own")), fine="specific:OWN")
    assert recognise(standard_file).name == "fine"


def test_unknown_file_types_are_left_to_packages(package, tmp_path):
    package("tape", code("tape", understands="return path.suffix == '.tape'"), tape="tape:OWN")
    (tmp_path / "scan.tape").write_bytes(b"TAPE")
    assert recognise(tmp_path / "scan.tape").name == "tape"


def test_a_file_is_opened_once_and_by_its_kind_only(tmp_path, standard_file):
    """In a process of its own: which modules are imported, and how often HDF5 opens the file."""
    script = """
import sys, h5py
opened = []
real = h5py.File.__init__
def init(self, name, *args, **kwargs):
    opened.extend([name] if hasattr(name, "__fspath__") or isinstance(name, (str, bytes)) else [])
    real(self, name, *args, **kwargs)
h5py.File.__init__ = init
from ptypy_beamline import open_scan
open_scan(sys.argv[1])
kinds = ("npz", "tiff")
print(len(opened), [kind for kind in kinds if f"ptypy_beamline.formats.{kind}" in sys.modules])
"""
    done = python("-c", script, standard_file)
    assert done.stdout.split("\n")[0] == "1 []"
    with h5py.File(standard_file) as file:
        assert "entry" in file
