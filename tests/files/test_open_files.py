"""Files that are open are used again: each file of a scan is opened once, and never a wrong one."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from ptypy_beamline import open_scan
from ptypy_beamline.files.hdf5 import files_kept_open, open_hdf5
from ptypy_beamline.frames import Hdf5Frames
from ptypy_beamline.scan import Window
from ptypy_beamline.testing.conformance import Conformance
from ptypy_beamline.testing.writers import WRITERS


@pytest.fixture
def opens(monkeypatch):
    """How often h5py has opened each file to read it."""
    counts, original = Counter(), h5py.File.__init__

    def counted(self, name, *args, **options):
        if isinstance(name, str | Path):
            counts[Path(name).name] += 1
        original(self, name, *args, **options)

    monkeypatch.setattr(h5py.File, "__init__", counted)
    return counts


def stack(path, value, n=3):
    with h5py.File(path, "w") as file:
        file["d"] = np.full((n, 4, 5), value, np.uint16)
    return path


def first_pixel(file):
    return file["d"][0, 0, 0]


@pytest.mark.parametrize("name", ["standard", "cxi", "nxcxi", "diamond", "areadetector", "eiger"])
def test_a_load_opens_each_file_once(tmp_path, opens, name):
    raw = Conformance().raw(pixel_m=(75e-6, 75e-6))
    file = WRITERS[name](tmp_path / "scan.h5", raw)
    paths = {"x": "positions.h5::/x", "y": "positions.h5::/y"} if name == "eiger" else {}
    opens.clear()
    for _ in open_scan(file, paths=paths).plan(pad="square").blocks():
        pass
    assert len(opens) == (5 if name == "eiger" else 1)
    assert set(opens.values()) == {1}


def test_a_file_that_has_taken_the_name_of_an_open_one_is_opened(tmp_path):
    path = stack(tmp_path / "scan.h5", 1)
    with open_hdf5(path) as first:
        os.replace(stack(tmp_path / "other.h5", 2), path)
        with open_hdf5(path) as second:
            assert (first_pixel(first), first_pixel(second)) == (1, 2)


def test_closing_one_handle_leaves_the_others_open(tmp_path, opens):
    path = stack(tmp_path / "scan.h5", 1)
    opens.clear()
    first = open_hdf5(path)
    second = open_hdf5(path)
    first.close()
    assert first_pixel(second) == 1
    with open_hdf5(path) as third:
        assert first_pixel(third) == 1
    assert opens["scan.h5"] == 1
    assert first_pixel(second) == 1


def test_a_file_is_closed_with_the_last_that_reads_it(tmp_path):
    path = stack(tmp_path / "scan.h5", 1)
    with files_kept_open():
        frames = Hdf5Frames(path, "d")
        assert_array_equal(frames.read([0], Window(0, 0, 1, 1)), [[[1]]])
    del frames
    with h5py.File(path, "a") as file:  # HDF5 refuses this while the file is open to be read
        file["more"] = 1


def test_files_are_kept_open_in_the_block_only(tmp_path, opens):
    path = stack(tmp_path / "scan.h5", 1)
    opens.clear()
    with files_kept_open():
        for _ in range(3):
            open_hdf5(path).close()
    assert opens["scan.h5"] == 1
    open_hdf5(path).close()
    assert opens["scan.h5"] == 2
