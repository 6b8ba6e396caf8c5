"""What is not needed is not imported: a budget of modules, as seconds depend on the machine."""

from __future__ import annotations

import json

import h5py
import hdf5plugin
import numpy as np
import pytest
import scans
from processes import python

HEAVY = (
    "numba",
    "scipy.spatial",
    "scipy.ndimage",
    "scipy.stats",
    "scipy.fft",
    "matplotlib",
    "ptypy",
)


def imported(code: str) -> list[str]:
    """Modules of a process that has run ``code``, beyond those of an empty one."""
    program = f"import sys; before = set(sys.modules)\n{code}\n"
    program += "import json; sys.stderr.write(json.dumps(sorted(set(sys.modules) - before)))"
    return json.loads(python("-c", program).stderr)


def command(*words: str) -> str:
    return f"from ptypy_beamline.cli import main\nassert main({list(words)!r}) == 0"


def foreign(modules: list[str], *names: str) -> set[str]:
    return {m for m in modules for name in names if m == name or m.startswith(f"{name}.")}


def test_the_package_imports_nothing_of_others():
    modules = imported("import ptypy_beamline")
    assert not foreign(modules, "numpy", "h5py", "pydantic", *HEAVY)
    assert len(modules) < 150


def test_help_imports_what_prints_it():
    modules = imported(command("--help"))
    assert not foreign(modules, "numpy", "h5py", "pydantic", "scipy", *HEAVY)
    assert len(modules) < 450


@pytest.mark.parametrize("more", [(), ("--plan",)])
def test_info_imports_neither_a_compiler_nor_scipys_parts(tmp_path, more):
    """The beam centre is found in the frames, too."""
    modules = imported(command("info", str(scans.write(tmp_path)), *more))
    assert not foreign(modules, *HEAVY)
    assert len(modules) < 750


def test_a_few_frames_are_loaded_without_a_compiler(tmp_path):
    file = str(scans.write(tmp_path))
    code = f"from ptypy_beamline import open_scan\nlist(open_scan({file!r}).plan().blocks())"
    modules = imported(code)
    assert not foreign(modules, *HEAVY)
    assert len(modules) < 650


FILTERS = {
    "shuffled gzip": {"compression": "gzip", "shuffle": True},
    "lzf": {"compression": "lzf"},
    "lz4": dict(hdf5plugin.LZ4()),
    "bitshuffle-lz4": dict(hdf5plugin.Bitshuffle(cname="lz4")),
    "bitshuffle-zstd": dict(hdf5plugin.Bitshuffle(cname="zstd")),
    "blosc": dict(hdf5plugin.Blosc(cname="lz4")),
}


@pytest.mark.parametrize("name", FILTERS)
def test_compressed_frames_are_not_decoded_by_compiled_functions(tmp_path, name):
    """Many are: compiling them takes seconds, which few frames do not repay."""
    path = tmp_path / "frames.h5"
    data = np.random.default_rng(0).poisson(3.0, (20, 128, 128)).astype("u2")
    with h5py.File(path, "w") as file:
        file.create_dataset("d", data=data, chunks=(1, 128, 128), **FILTERS[name])
    code = (
        "from ptypy_beamline.frames import Hdf5Frames\n"
        "from ptypy_beamline.scan import Window\n"
        f"from pathlib import Path; frames = Hdf5Frames(Path({str(path)!r}), 'd')\n"
        "for _ in range({}): frames.read(range(20), Window(10, 20, 64, 64))\n"
    )
    assert not foreign(imported(code.format(3)), "numba")
    always = "from ptypy_beamline.frames.chunks import direct; direct.MANY_BYTES = 2**20\n"
    assert foreign(imported(always + code.format(3)), "numba")


@pytest.mark.ptypy
def test_a_few_frames_are_loaded_by_ptypy_without_a_compiler(tmp_path):
    """Which imports some of SciPy itself."""
    code = (
        "from ptypy_beamline.ptyscan import BeamlineHdf5Scan\n"
        f"scan = BeamlineHdf5Scan(file={str(scans.write(tmp_path))!r})\n"
        "scan.initialize()\nscan.auto(100)"
    )
    assert not foreign(imported(code), "numba", "scipy.spatial")
