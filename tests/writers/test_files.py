"""Complete-or-absent files and reconstruction.h5."""

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from matplotlib.figure import Figure

from ptypy_beamline.errors import FileError
from ptypy_beamline.output.figures import save_figure
from ptypy_beamline.output.files import complete_file, complete_folder, renamed_together
from ptypy_beamline.output.hdf5 import complete_hdf5
from ptypy_beamline.output.names import PICTURES
from ptypy_beamline.output.temporary import exclusive_folder
from ptypy_beamline.reconstruction import Reconstruction
from ptypy_beamline.reconstruction.io.hdf5 import checksum, versions, write_reconstruction


def test_complete_appears_at_the_end(tmp_path: Path):
    target = tmp_path / "new" / "folder" / "a.h5"
    with complete_file(target) as temporary:
        temporary.write_text("done")
        assert temporary.parent == target.parent
        assert temporary.suffix == ".h5"
        assert not target.exists()
    assert target.read_text() == "done"
    assert os.listdir(target.parent) == ["a.h5"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_failure_keeps_what_was_there(tmp_path: Path, error):
    target = tmp_path / "a.png"
    target.write_text("old")

    def fail():
        with complete_file(target, ours=True) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.png"]


def test_files_of_other_programs_are_not_replaced(tmp_path: Path):
    foreign, own = tmp_path / "raw.h5", tmp_path / "own.h5"
    with h5py.File(foreign, "w") as file:
        file["x"] = 1
    with complete_hdf5(own) as file:
        file["x"] = 1
    link = tmp_path / "link.h5"
    link.symlink_to(foreign)
    for target in (foreign, link):
        with (
            pytest.raises(FileError, match="was not written by ptypy_beamline"),
            complete_file(target),
        ):
            pass
    with complete_hdf5(own) as file:
        file["x"] = 2
    with h5py.File(own) as file:
        assert file["x"][()] == 2
        assert file.attrs["creator"] == "ptypy_beamline"


@pytest.mark.parametrize("suffix", PICTURES)
def test_a_picture_of_somebody_else_is_not_replaced(tmp_path: Path, suffix):
    figure, path = Figure(figsize=(1, 1)), tmp_path / f"a{suffix}"
    for _ in range(2):
        save_figure(path, figure)
    figure.savefig(path)
    before = path.read_bytes()
    with pytest.raises(FileError, match="was not written by ptypy_beamline"):
        save_figure(path, figure)
    assert path.read_bytes() == before


def a_link_to_nothing(path: Path) -> None:
    path.symlink_to("nothing")


@pytest.mark.parametrize("ours", [False, True])
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (os.mkfifo, "Got a pipe"),
        (os.mkdir, "Got a folder; name a file in it"),
        (a_link_to_nothing, "links to nothing, which does not exist"),
    ],
)
def test_only_files_are_replaced(tmp_path: Path, make, words, ours):
    path = tmp_path / "a.h5"
    make(path)
    with pytest.raises(FileError, match=words), complete_file(path, ours):
        pass
    assert os.listdir(tmp_path) == ["a.h5"]
    assert not path.is_file()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("/dev/null", "Got a device"),
        ("/proc/no/a.h5", "cannot be written"),
        ("n" * 300, "cannot be written .File name too long"),
    ],
)
def test_impossible_names_are_named(name, words):
    with pytest.raises(FileError, match=words), complete_file(name):
        pass


def test_folders_made_for_a_failed_output_are_removed(tmp_path: Path):
    def write(fail_early: bool) -> None:
        with renamed_together():
            with complete_hdf5(tmp_path / "new/a/a.h5"):
                pass
            with complete_folder(tmp_path / "new/b/folder"):
                pass
            with complete_file(tmp_path / "there/a.h5"):
                assert not fail_early
            raise AssertionError

    (tmp_path / "there").mkdir()
    for fail_early in (False, True):
        with pytest.raises(AssertionError):
            write(fail_early)
        assert os.listdir(tmp_path) == ["there"]
    with pytest.raises(AssertionError), exclusive_folder(tmp_path / "c/d"):
        raise AssertionError
    assert os.listdir(tmp_path) == ["there"]


def test_complete_gives_usual_permissions(tmp_path: Path):
    (tmp_path / "usual").write_text("")
    with complete_file(tmp_path / "a.txt"):
        pass
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_unwritable_place_is_named_with_a_remedy(tmp_path: Path):
    (tmp_path / "file").write_text("not a folder")
    with (
        pytest.raises(FileError, match=r"file/a\.h5: cannot be written .*-o"),
        complete_file(tmp_path / "file" / "a.h5"),
    ):
        pass


def test_target_that_is_a_folder_is_refused(tmp_path: Path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(FileError, match="taken"), complete_file(tmp_path / "taken"):
        pass
    assert os.listdir(tmp_path) == ["taken"]


def written(path: Path, **more):
    rng = np.random.default_rng(0)
    wave = np.exp(1j * rng.random((1, 6, 8))).astype(np.complex64)
    probe = rng.random((3, 4, 4)) * np.array([1, 5, 2])[:, None, None] * (1 + 1j)
    settings = {
        "file": path,
        "shape": (4, 4),
        "list": np.arange(2),
        "mask": np.eye(2),
        "probe": np.ones((128, 128), complex),
        "step": np.int64(3),
    }
    found = Reconstruction(
        object=wave,
        probe=probe.astype(np.complex64),
        pixel_m=(1e-8, 2e-8),
        center_m=(0.0, 0.0),
        positions_m=np.zeros((2, 2)),
        indices=np.arange(2),
        energy_eV=8800.0,
        distance_m=2.0,
        errors=np.array([3.0, 2, 1]),
        algorithm="rPIE",
        provenance={"settings": settings, "engine": "preview"},
    )
    return write_reconstruction(replace(found, **more), path), wave[0], found.probe


def test_reconstruction_has_its_layout(tmp_path: Path):
    path, wave, probe = written(tmp_path / "reconstruction.h5")
    with h5py.File(path) as file:
        assert np.array_equal(file["object/complex"], wave)
        np.testing.assert_allclose(file["object/phase"], np.angle(wave))
        np.testing.assert_allclose(file["object/amplitude"], np.abs(wave))
        assert file["object/pixel_size"][()].tolist() == [1e-8, 2e-8]
        assert np.array_equal(file["probe/modes"], probe)
        assert np.array_equal(file["probe/complex"], probe[1])
        assert file["metrics/error_per_iteration"][()].tolist() == [3, 2, 1]
        assert file["metrics/algorithm"].asstr()[()] == "rPIE"
        assert file["metrics/n_iterations"][()] == 3
        assert file["provenance/engine"].asstr()[()] == "preview"
        settings = json.loads(file["provenance/settings"].asstr()[()])
    assert settings["shape"] == [4, 4]
    assert settings["list"] == [0, 1]
    assert settings["mask"] == [[1, 0], [0, 1]]
    assert settings["probe"] == "complex128 array (128, 128)"
    assert settings["step"] == 3


def test_default_plot_is_the_phase(tmp_path: Path):
    path, wave, _ = written(tmp_path / "a.h5")
    with h5py.File(path) as file:
        group = file
        while "default" in group.attrs:
            group = group[group.attrs["default"]]
        assert group.attrs["NX_class"] == "NXdata"
        np.testing.assert_allclose(group[group.attrs["signal"]], np.angle(wave))
        assert [len(group[axis]) for axis in group.attrs["axes"]] == [6, 8]


def test_source_gets_its_checksum(tmp_path: Path):
    source = tmp_path / "raw.h5"
    source.write_bytes(b"abc" * 3_000_000)
    expected = hashlib.sha256(source.read_bytes()).hexdigest()
    path, *_ = written(tmp_path / "a.h5", provenance={"settings": {}, "source": source})
    assert checksum(source) == expected
    with h5py.File(path) as file:
        assert file["provenance/sha256"].asstr()[()] == expected
        assert file["provenance/source"].asstr()[()] == str(source)
        assert json.loads(file["provenance/versions"].asstr()[()])["numpy"] == np.__version__


def test_several_sources_get_one_checksum(tmp_path: Path):
    for name in ("b2", "b10", "a"):
        (tmp_path / name).write_text(name)
    expected = hashlib.sha256(b"ab2b10").hexdigest()
    glob, one = str(tmp_path / "b*"), str(tmp_path / "a")
    path, *_ = written(tmp_path / "c.h5", provenance={"source": [one, glob]})
    with h5py.File(path) as file:
        assert file["provenance/sha256"].asstr()[()] == expected
        assert json.loads(file["provenance/source"].asstr()[()]) == [one, glob]


def test_versions_name_python_and_the_packages():
    assert {"python", "numpy", "h5py"} <= set(versions())
