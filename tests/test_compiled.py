"""Compiled functions on disk: found again, by others, and never what must not be run."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import scans
from folders import ROOT

from ptypy_beamline import compiled_files
from ptypy_beamline.compiled_files import MODULES, CacheFolder

PACKAGE = ROOT / "ptypy_beamline"
SCRIPT = """
import sys
import numpy as np
from ptypy_beamline import compiled_files
from ptypy_beamline.planning import kernels

good, image = np.zeros((4, 5), bool), np.ones((4, 5))
bad = image == 0
bad[0, 0] = True
raw = np.arange(20, dtype=np.uint16).reshape(4, 5)
kernels.counted(raw, 1.0, image, image, (3.0, 18.0, 0.0), bad, (0, 0), good)
functions = [kernels.counted, kernels._value]
print(int(good.sum()), *(sum(f.stats.cache_hits.values()) for f in functions),
    *(sum(f.stats.cache_misses.values()) for f in functions), compiled_files.version())
"""
COMPILED, FOUND = "15 0 0 1 1", "15 1 0 0 0"
"""Good pixels, then which of two functions, one inside the other, came from disk or did not."""


class Node:
    """A machine whose user may write to nothing but what a test lets him."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.python_path = ROOT
        self.kept = self.temporary / f"ptypy_beamline-{os.geteuid()}"

    def start(self, **variables: object) -> subprocess.Popen[str]:
        unset = ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", compiled_files.VARIABLE)
        environment = {name: value for name, value in os.environ.items() if name not in unset}
        environment |= {"HOME": "/dev/null", "TMPDIR": str(self.temporary)}
        environment |= {"PYTHONPATH": str(self.python_path), "PYTHONDONTWRITEBYTECODE": "1"}
        environment |= {name: str(value) for name, value in variables.items()}
        return subprocess.Popen(
            [sys.executable, "-c", SCRIPT],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, **variables: object) -> str:
        """What the script prints, without the version."""
        return outcome(self.start(**variables)).rpartition(" ")[0]

    def files(self, folder: Path | None = None) -> list[Path]:
        return sorted(p for p in (folder or self.kept).rglob("*") if p.is_file())


def outcome(process: subprocess.Popen[str]) -> str:
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert errors == ""
    return out.strip()


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


@pytest.fixture
def installed(node: Node) -> Node:
    """With a package of its own, which cannot be written."""
    node.python_path = node.folder / "site"
    without = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, node.python_path / "ptypy_beamline", ignore=without)
    for path in node.python_path.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield node
    for path in node.python_path.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)


def test_without_a_home_and_with_a_package_that_cannot_be_written(installed: Node) -> None:
    before = installed.files(installed.python_path)
    assert installed.run() == COMPILED
    assert installed.run() == FOUND
    assert installed.files(installed.python_path) == before
    assert installed.kept.stat().st_mode & 0o777 == 0o700


@pytest.mark.long
def test_a_cache_beside_the_package_serves_everybody(installed: Node, tmp_path: Path) -> None:
    """As in the image of a node: made by its administrator, read by users who write nothing."""
    assert installed.run() == COMPILED
    beside = installed.python_path / "ptypy_beamline" / "__pycache__"
    beside.parent.chmod(0o755)
    beside.mkdir()
    installed.kept.rename(beside / "compiled")
    (beside / "compiled").chmod(0o755)
    assert installed.run(TMPDIR="/dev/null") == FOUND


@pytest.mark.long
def test_without_a_writable_folder_it_is_compiled_each_time(node: Node) -> None:
    node.temporary.chmod(0o700)
    node.kept.write_text("a file where the folder would be")
    assert node.run() == COMPILED
    assert node.run() == COMPILED


def test_the_folder_that_is_named_comes_first(node: Node, tmp_path: Path) -> None:
    shared = tmp_path / "shared" / "cache"
    assert node.run(PTYPY_BEAMLINE_CACHE=shared) == COMPILED
    assert len(node.files(shared)) == 2
    assert not node.kept.exists()
    assert node.run(PTYPY_BEAMLINE_CACHE=shared) == FOUND


def test_processes_that_start_at_once(node: Node) -> None:
    running = [node.start() for _ in range(4)]
    assert {outcome(process).split()[0] for process in running} == {"15"}
    assert len(node.files()) == 2, "temporary files are left"
    assert node.run() == FOUND


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[: len(data) // 2], id="truncated"),
        pytest.param(
            lambda data: data[:-1000] + b"?" + data[-999:], marks=pytest.mark.long, id="one byte"
        ),
    ],
)
def test_a_damaged_file_is_compiled_anew(node: Node, damage) -> None:
    node.run()
    for file in node.files():
        file.write_bytes(damage(file.read_bytes()))
    assert node.run() == COMPILED
    assert node.run() == FOUND


@pytest.mark.long
def test_another_processor_has_functions_of_its_own(node: Node) -> None:
    node.run()
    other = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    assert node.run(**other) == COMPILED
    assert len(node.files()) == 4
    assert node.run(**other) == FOUND
    assert node.run() == FOUND


@pytest.mark.long
def test_other_options_of_the_compiler_are_another_version(installed: Node) -> None:
    """Numba's own cache looks at the file of a function only, and kept those of other options."""
    installed.run()
    file = installed.python_path / "ptypy_beamline" / "compiled.py"
    file.chmod(0o644)
    file.write_text(file.read_text().replace("nogil=True", "nogil=True, boundscheck=True"))
    assert installed.run() == COMPILED


def test_nothing_is_run_from_a_folder_that_others_may_write_to(node: Node, tmp_path: Path) -> None:
    node.run()
    node.kept.chmod(0o777)
    assert node.run() == COMPILED
    for mode, usable in ((0o755, True), (0o770, False), (0o702, False)):
        node.kept.chmod(mode)
        assert CacheFolder(node.kept, private=True).usable() == usable
    assert not CacheFolder(node.kept, private=False).usable(), "not if it is named, either"


@pytest.mark.long
def test_nothing_is_run_through_a_link(node: Node, tmp_path: Path) -> None:
    node.run()
    node.kept.rename(tmp_path / "elsewhere")
    node.kept.symlink_to(tmp_path / "elsewhere")
    assert node.run() == COMPILED


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_nothing_is_run_from_the_folder_of_another_user(tmp_path: Path) -> None:
    assert CacheFolder(tmp_path, private=True).usable()
    os.chown(tmp_path, 12345, 12345)
    assert not CacheFolder(tmp_path, private=True).usable()
    assert CacheFolder(tmp_path, private=False).usable()


FUNCTION = f"kernels.single-{'0' * 32}"


def old(path: Path, days: int = 100) -> Path:
    path.mkdir(parents=True)
    (path / FUNCTION).touch()
    return aged(path, days)


def aged(path: Path, days: int = 100) -> Path:
    then = time.time() - days * 86400
    os.utime(path, (then, then))
    return path


def test_old_versions_are_removed(node: Node) -> None:
    node.kept.mkdir(0o700)
    removed, kept = old(node.kept / f"{1:016x}"), old(node.kept / f"{2:016x}", 10)
    node.run()
    assert not removed.exists()
    assert kept.exists()


def test_nothing_else_is_removed_from_the_folder_of_compiled_functions(node: Node) -> None:
    node.kept.mkdir(0o700)
    theirs, mixed = old(node.kept / "thesis"), old(node.kept / f"{1:016x}")
    (mixed / "thesis.tex").touch()
    aged(mixed)
    node.run()
    assert (theirs / FUNCTION).exists()
    assert (mixed / "thesis.tex").exists()


def test_nothing_is_removed_from_a_folder_that_the_user_names(node: Node, tmp_path: Path) -> None:
    named = tmp_path / "home"
    versions = [old(named / name) for name in ("thesis", f"{1:016x}")]
    node.run(PTYPY_BEAMLINE_CACHE=named)
    assert len(list(named.iterdir())) == 3, "one was added"
    assert all((version / FUNCTION).exists() for version in versions)


def test_a_named_folder_that_is_not_used_is_reported(node: Node, tmp_path: Path) -> None:
    named = tmp_path / "open"
    named.mkdir()
    named.chmod(0o777)
    process = node.start(PTYPY_BEAMLINE_CACHE=named)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0
    assert errors.count("compiled functions are not kept in") == 1
    assert str(named) in errors


def test_a_folder_that_cannot_be_looked_at_is_not_used(node: Node) -> None:
    assert node.run(PTYPY_BEAMLINE_CACHE="x" * 300) == COMPILED


def test_no_folder_for_temporary_files_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [])
    with pytest.raises(FileNotFoundError):
        tempfile.gettempdir()
    assert compiled_files.PACKAGE_FOLDER in compiled_files.cache_folders()


@pytest.mark.long
def test_after_warming_nothing_is_compiled_for_any_format(node: Node, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    environment = {**os.environ, compiled_files.VARIABLE: str(shared), "PYTHONPATH": str(ROOT)}

    def run(*words: object) -> str:
        command = [sys.executable, *map(str, words)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    report = json.loads(run("-m", "ptypy_beamline", "warm", "--json"))
    assert report["compiled"] == report["functions"] == len(node.files(shared))
    assert Path(report["folder"]).parent == shared
    assert f"compiled 0 functions for {report['processor']}" in run("-m", "ptypy_beamline", "warm")

    formats = ("areadetector", "cxi", "diamond", "exchange", "nxcxi", "standard", "tiff")
    files = [scans.write(tmp_path, name, compression="bitshuffle") for name in formats]
    before = node.files(shared)
    code = (
        "import sys; from ptypy_beamline import open_scan\n"
        "for file in sys.argv[1:]: print(sum(1 for _ in open_scan(file).plan(rebin=2).blocks()))"
    )
    assert len(run("-c", code, *files).split()) == len(files)
    assert node.files(shared) == before


def test_all_modules_with_compiled_functions_are_known() -> None:
    importing = re.compile(r"^from \.+compiled import compiled", re.MULTILINE)
    files = [file for file in PACKAGE.rglob("*.py") if importing.search(file.read_text())]
    names = [".".join(file.relative_to(PACKAGE).with_suffix("").parts) for file in files]
    assert sorted(names) == sorted(MODULES)


@pytest.mark.long
def test_warming_on_a_full_disk_says_that_functions_are_lost(tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, 120_000))

    done = subprocess.run(
        [sys.executable, "-m", "ptypy_beamline", "warm"],
        env={**os.environ, compiled_files.VARIABLE: str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit,
    )
    assert done.returncode == 1
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("error"))
    assert re.search(r"\d+ compiled functions could not be written; free disk space", line)
