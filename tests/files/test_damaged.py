"""Damaged files: each ends in one line that names it, or in what is in it; never otherwise."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

import damage
import h5py
import numpy as np
import pytest
from scans import all_frames

from ptypy_beamline import open_scan
from ptypy_beamline.cli import main
from ptypy_beamline.errors import BeamlineError, LostFileError
from ptypy_beamline.files import crashcheck
from ptypy_beamline.files.crashcheck import check_for_crashes
from ptypy_beamline.live import Follower
from ptypy_beamline.settings import Settings
from ptypy_beamline.testing.simulate import simulate
from ptypy_beamline.testing.writers import WRITERS, Raw

FORMATS = (
    "standard",
    "cxi",
    "nxcxi",
    "diamond",
    "areadetector",
    "exchange",
    "nanomax",
    "hermes",
    "ptyd",
    "ptychopinn",
    "tike",
    "product",
    "adorym",
)
NPZ = ("ptychopinn", "tike")
GIVEN = {"energy": 8.8, "distance": 1.0, "psize": 75e-6}
"""What some of these do not record."""
COUNT = int(os.environ.get("DAMAGED_COUNT", "12"))
"""Mutations of each file; more by hand."""


def loaded(path) -> np.ndarray:
    return all_frames(open_scan(path, **GIVEN).plan())[0]


def compared(path, expected) -> str:
    try:
        frames = loaded(path)
    except (BeamlineError, MemoryError) as error:
        return "error" if "\n" not in str(error) else f"lines: {error}"
    return "same" if np.array_equal(frames, expected) else "other"


@pytest.mark.long
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_file_ends_in_one_line(tmp_path, name):
    suffix = ".npz" if name in NPZ else ".h5"
    path = WRITERS[name](tmp_path / f"scan{suffix}", Raw.of(simulate(16, (4, 4), 2, photons=1e5)))
    content, expected = path.read_bytes(), loaded(path)
    rng = np.random.default_rng([FORMATS.index(name), 5])
    found: dict[str, int] = {}
    for number in range(COUNT):
        path.write_bytes(damage.damaged(content, rng))
        outcome = damage.outcome(partial(compared, path, expected))
        assert outcome in ("same", "other", "error") or outcome.startswith("signal"), (
            f"{number}: {outcome}"
        )
        found[outcome] = found.get(outcome, 0) + 1
    assert found.get("same", 0) < COUNT


LAXER = "contiguous chunks latest growing bitshuffle blosc blosc-zstd blosc2".split()
"""Numbers in these are not compared with a checksum; damage elsewhere may not hinder reading."""


@pytest.mark.long
@pytest.mark.parametrize("name", damage.KINDS)
@pytest.mark.filterwarnings("ignore")
def test_no_reader_has_other_numbers_than_the_format_s_own_library(tmp_path, name):
    found = damage.tried(name, COUNT, 11, tmp_path)
    allowed = [*damage.WELL, "laxer"] if name in LAXER else damage.WELL
    assert set(found) <= set(allowed), found
    assert found["same"] < COUNT


# looked at first in a process of its own ----------------------------------------------------------


def hang(path: Path) -> Path:
    """Make a file with text one on which libhdf5 hangs: a heap object as long as its free space.

    Source: HDF5 File Format Specification 3.0, section III.E, Global Heap.
    """
    with h5py.File(path, "a") as file:
        file.attrs["words"] = ["some", "text", "in the heap"]
    data = bytearray(path.read_bytes())
    heap = data.rindex(b"GCOL")
    data[heap + 24 : heap + 32] = (1024).to_bytes(8, "little")  # so that it ends in zeros
    path.write_bytes(data)
    return path


CRASHES = [sys.executable, "-c", "import os; os.write(1, b'.'); os.abort()"]
FAILS = [sys.executable, "-c", "raise SystemExit(1)"]


def test_a_file_on_which_libhdf5_hangs_or_crashes_is_named(tmp_path):
    good, other = (
        WRITERS["standard"](tmp_path / name, Raw.of(simulate(16, (4, 4), 2)))
        for name in ("good.h5", "other.h5")
    )
    (tmp_path / "text.h5").write_text("no HDF5")
    passed_over = [tmp_path / "text.h5", tmp_path, tmp_path / "no.h5"]
    with pytest.raises(LostFileError, match=r"other.h5: libhdf5 crashes on it \(SIGABRT\); .*copy"):
        check_for_crashes([*passed_over, good, other], walk=CRASHES)
    check_for_crashes([good, other], walk=FAILS)  # links that cannot be followed are ignored
    check_for_crashes([good, other], walk=CRASHES)  # they have been looked at
    hang(other)
    with pytest.raises(LostFileError, match=r"other.h5: libhdf5 hangs on it \(for 3 s\)"):
        check_for_crashes([good, other], 3)


def test_subfolders_are_searched(tmp_path):
    (tmp_path / "scan").mkdir()
    with h5py.File(tmp_path / "scan/master.h5", "w") as file:
        file["part"] = h5py.ExternalLink("part.h5", "/")
    with h5py.File(tmp_path / "out.h5", "w") as file:
        file["x"] = 1
    hang(tmp_path / "out.h5").rename(tmp_path / "scan/part.h5")
    with pytest.raises(LostFileError, match="libhdf5 hangs"):
        check_for_crashes([tmp_path / "scan/master.h5"], 3)


def test_jobs_over_many_files_and_live_jobs_check_first(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(crashcheck, "LIMIT_S", 1.5)
    path = WRITERS["standard"](tmp_path / "a.h5", Raw.of(simulate(16, (4, 4), 2)))
    hang(path)
    assert main(["tomo", str(path), "--theta", "0", "-o", str(tmp_path / "out")]) == 1
    assert "a.h5: libhdf5 hangs on it" in capsys.readouterr().err
    with pytest.raises(LostFileError, match="libhdf5 hangs on it"):
        Follower(
            Settings.of({"file": str(path), "live": {"timeout_s": 0.1, "poll_s": 0.1}})
        ).wait_for_first_frames()
