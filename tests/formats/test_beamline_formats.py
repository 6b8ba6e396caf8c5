"""Eiger, NanoMAX and HERMES files, each beside what must come out of it."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from beamline_files import SOLEIL, write_hermes_stack, write_nanomax_now, write_soleil
from numpy.testing import assert_allclose, assert_array_equal

from ptypy_beamline import open_scan
from ptypy_beamline.errors import (
    BeamlineWarning,
    FileError,
    MissingDataError,
    ScanError,
    UnknownFormatError,
)
from ptypy_beamline.formats import recognise
from ptypy_beamline.scan import Window
from ptypy_beamline.testing.writers import WRITERS, Raw

FULL = Window(0, 0, 4, 5)
PLACES = {"paths": {"x": "positions.h5::/x", "y": "positions.h5::/y"}}


def raw(n: int = 16, **more) -> Raw:
    rng = np.random.default_rng(2)
    frames = rng.integers(0, 9, (n, 4, 5)).astype(np.uint32)
    return Raw(frames, rng.random((n, 2)) * 1e-5, **more)


def replaced(path: Path, **content) -> Path:
    """The file with some datasets replaced, added, or (None) removed; ``/`` as ``__``."""
    with h5py.File(path, "a") as file:
        for name, value in content.items():
            place = name.replace("__", "/")
            if place in file:
                del file[place]
            if value is not None:
                file[place] = value
    return path


# Eiger


@pytest.fixture
def master(tmp_path: Path) -> Path:
    return WRITERS["eiger"](tmp_path / "a_master.h5", raw())


def test_eiger_frames_run_on_from_file_to_file(master):
    wanted = raw()
    scan = open_scan(master, **PLACES)
    order = [15, 6, 7, 0, 7, 14, 13]
    assert scan.frames.shape == (16, 4, 5)
    assert_array_equal(scan.frames.read(order, Window(1, 2, 2, 3)), wanted.frames[order, 1:3, 2:])
    assert scan.frames.read([], FULL).shape == (0, 4, 5)
    assert scan.frames.ready().frames == 16
    with pytest.raises(ScanError, match="frames 0 to 15"):
        scan.frames.read([16], FULL)


def test_eiger_parts_follow_by_number_not_by_name(tmp_path):
    frames = raw(4).frames
    with h5py.File(tmp_path / "m.h5", "w") as file:
        for number, name in enumerate(["data_9", "data_10", "data_11"]):
            file[f"entry/data/{name}"] = frames[number : number + 1]
        for number in range(1, 9):
            file[f"entry/data/data_{number}"] = frames[3:]
        file["entry/instrument/detector/detectorSpecific/nimages"] = 11
    with h5py.File(tmp_path / "positions.h5", "w") as file:
        file["xy"] = np.zeros((11, 2))
    scan = open_scan(
        tmp_path / "m.h5", paths={"positions": "positions.h5::/xy"}, units={"positions": "m"}
    )
    assert_array_equal(scan.frames.read([8, 9, 10], FULL), frames[:3])


def test_eiger_missing_part_is_named(master):
    (master.parent / "a_master_data_000002.h5").unlink()
    words = r"data_000002 links to a_master_data_000002\.h5, which does not exist"
    with pytest.warns(BeamlineWarning, match=f"{words}: 7 frames, 7-13, are missing"):
        scan = open_scan(master, **PLACES)
    with pytest.raises(FileError, match=rf"{words}, and frames 7-13 are in it; .*--reject 7-13"):
        scan.plan(center="fftshift")


def test_eiger_truncated_part_is_named(master):
    part = master.parent / "a_master_data_000003.h5"
    part.write_bytes(part.read_bytes()[:900])
    with pytest.warns(BeamlineWarning, match=r"_000003\.h5: truncated .*: 2 frames, 14-15, are"):
        scan = open_scan(master, **PLACES)
    with pytest.raises(FileError, match=r"a_master_data_000003\.h5: truncated .* frames 14-15 are"):
        scan.plan(center="fftshift")


def test_eiger_without_any_part(master):
    for part in master.parent.glob("*_data_*.h5"):
        part.unlink()
    with pytest.raises(FileError, match=r"data_000001 links to a_master_data_000001\.h5"):
        open_scan(master, **PLACES)


def test_eiger_hole_in_the_numbers(master):
    replaced(master, entry__data__data_000002=None)
    with pytest.raises(FileError, match=r"a_master\.h5: .*Number 2 of 3 is missing"):
        open_scan(master, **PLACES)


def test_eiger_parts_of_different_shape(master):
    with h5py.File(master.parent / "a_master_data_000002.h5", "a") as file:
        del file["entry/data/data"]
        file["entry/data/data"] = np.zeros((7, 4, 6), np.uint32)
    with pytest.raises(ScanError, match="one frame shape and dtype"):
        open_scan(master, **PLACES)


def test_eiger_links_stay_inside_the_folder(tmp_path):
    inside = tmp_path / "in"
    inside.mkdir()
    master = WRITERS["eiger"](inside / "m.h5", raw())
    (inside / "m_data_000001.h5").rename(tmp_path / "out.h5")
    replaced(master, entry__data__data_000001=h5py.ExternalLink("../out.h5", "/entry/data/data"))
    with pytest.raises(FileError, match="--links any"):
        open_scan(master, **PLACES)
    scan = open_scan(master, **PLACES, links="any")
    assert_array_equal(scan.frames.read([0, 15], FULL), raw().frames[[0, 15]])


def test_eiger_without_positions_is_refused_with_the_remedy(master):
    with pytest.raises(MissingDataError, match=r"records no positions; name them by --path posi"):
        open_scan(master)


def test_eiger_has_no_leading_axis(master):
    with pytest.raises(ScanError, match="leave outer_index"):
        open_scan(master, **PLACES, outer_index=0)


def test_eiger_mask_bits(master):
    mask = np.zeros((4, 5), np.uint32)
    mask[0, :4] = 1, 16, 1 << 15, 1 << 31
    mask[1, :2] = 1 << 16, 1 << 30
    replaced(master, entry__instrument__detector__detectorSpecific__pixel_mask=mask)
    assert_array_equal(np.argwhere(open_scan(master, **PLACES).bad), [[0, i] for i in range(4)])


@pytest.mark.parametrize(("stored", "limit"), [(None, 2.0**32 - 1), (4e4, 4e4)])
def test_eiger_pixel_without_a_count_is_bad_by_itself(tmp_path, stored, limit):
    known = raw(saturation=stored)
    known.frames[3, 1, 1] = 2**32 - 1
    scan = open_scan(WRITERS["eiger"](tmp_path / "m.h5", known), **PLACES)
    assert scan.saturation == limit
    for limits in ({}, {"saturation": "file"}, {"saturation": 1e12}):
        plan = scan.plan(**limits)
        frames, good = plan.correct(plan.load([2, 3]), [2, 3])
        assert_array_equal(np.argwhere(~good), [[1, 1, 1]])
        assert frames[1, 1, 1] == 0


def test_an_unfinished_eiger_series_is_reported(master):
    replaced(master, entry__instrument__detector__detectorSpecific__ntrigger=2)
    with pytest.warns(BeamlineWarning, match="16 of 32 images"):
        open_scan(master, **PLACES)


@pytest.mark.parametrize("axes", [(16,), (4, 4)])
def test_eiger_virtual_dataset(master, axes):
    layout = h5py.VirtualLayout((*axes, 4, 5), np.uint32)
    for i in range(16):
        source = h5py.VirtualSource(
            f"a_master_data_{i // 7 + 1:06d}.h5", "entry/data/data", (min(7, 16 - i // 7 * 7), 4, 5)
        )
        layout[np.unravel_index(i, axes)] = source[i % 7]
    parts = {f"entry__data__data_{i:06d}": None for i in (1, 2, 3)}
    replaced(master, **parts)
    with h5py.File(master, "a") as file:
        file["entry/data"].create_virtual_dataset("data", layout)
    assert recognise(master).name == "eiger"
    scan = open_scan(master, **PLACES)
    assert_array_equal(scan.frames.read(range(16), FULL), raw().frames)


# NanoMAX


def test_nanomax_two_detectors_are_not_guessed(tmp_path):
    path = WRITERS["nanomax"](tmp_path / "a.h5", raw())
    replaced(path, entry__measurement__merlin__frames=raw().frames + 1)
    with pytest.raises(MissingDataError, match=r"merlin/frames, /entry/measurement/pilatus/fram"):
        open_scan(path)
    scan = open_scan(path, paths={"frames": "/entry/measurement/merlin/frames"})
    assert_array_equal(scan.frames.read([2], FULL), raw().frames[2:3] + 1)


def test_nanomax_frames_in_another_file(tmp_path):
    path = WRITERS["nanomax"](tmp_path / "a.h5", raw())
    with h5py.File(path, "a") as file, h5py.File(tmp_path / "frames.h5", "w") as other:
        file.move("entry/measurement/pilatus", "gone")
        other["m/frames"] = raw().frames
        file["entry/measurement/pilatus"] = h5py.ExternalLink("frames.h5", "m")
    assert_array_equal(open_scan(path).frames.read([5], FULL), raw().frames[5:6])
    (tmp_path / "frames.h5").unlink()
    assert recognise(path).name == "nanomax"
    with pytest.raises(FileError, match=r"links to frames\.h5"):
        open_scan(path)


@pytest.mark.parametrize(
    "place", ["eiger/data", "Eiger/data", "merlin/frames", "instrument", "lines"]
)
def test_nanomax_now(tmp_path, place):
    wanted = raw(12, grid=(3, 4))
    path = write_nanomax_now(tmp_path / "000123.h5", wanted, place)
    assert recognise(path).name == "nanomax"
    scan = open_scan(path)
    assert_array_equal(scan.frames.read([11, 0, 5], FULL), wanted.frames[[11, 0, 5]])
    assert_allclose(scan.positions_m, wanted.positions_m)
    assert scan.energy_eV == 8800


def test_a_drifting_nanomax_energy_is_reported(tmp_path):
    path = write_nanomax_now(tmp_path / "a.h5", raw())
    replaced(path, entry__snapshots__post_scan__energy=np.array([8850.0]))
    with pytest.warns(BeamlineWarning, match="8800 eV before the scan and 8850 eV after it"):
        assert open_scan(path).energy_eV == 8800
    replaced(path, entry__snapshots__pre_scan__energy=None)
    assert open_scan(path).energy_eV == 8850


def test_nanomax_bursts(tmp_path):
    wanted = raw(15)
    path = write_nanomax_now(tmp_path / "a.h5", replace(wanted, positions_m=wanted.positions_m[:5]))
    with pytest.warns(BeamlineWarning, match=r"bursts of 3.*frames_per_position=3"):
        scan = open_scan(path)
    assert_array_equal(scan.frames.read(range(15), FULL), wanted.frames)
    assert_allclose(scan.positions_m, np.repeat(wanted.positions_m[:5], 3, axis=0))
    given = {"distance": 2.0, "psize": 75e-6, "center": (2, 2)}
    plan = open_scan(path, frames_per_position=3).plan(**given)
    assert_allclose(plan.positions_m, wanted.positions_m[:5])
    summed = wanted.frames.reshape(5, 3, 4, 5).sum(1)
    assert_array_equal(next(plan.blocks(5)).frames, summed)
    path = write_nanomax_now(tmp_path / "b.h5", replace(wanted, positions_m=wanted.positions_m[:4]))
    with pytest.raises(ScanError, match="Got 15 frames for 4 positions"):
        open_scan(path)


def test_nanomax_stage_that_moves(tmp_path):
    path, moved = write_nanomax_now(tmp_path / "a.h5", raw()), np.arange(16.0)
    replaced(path, entry__measurement__basex=moved)
    shift = [0, 1e-6] * (moved[:, None] + 120)
    assert_allclose(open_scan(path).positions_m, raw().positions_m + shift, atol=1e-12)


# HERMES


@pytest.fixture
def hermes(tmp_path: Path) -> Path:
    dark = np.full((3, 4, 5), 2, np.uint32)
    return WRITERS["hermes"](tmp_path / "Sample_dark_red.h5", raw(dark=dark))


@pytest.mark.parametrize("name", ["_000001.nxs", "_dark_000001.nxs", ".hdf5"])
def test_hermes_is_found_from_any_file(hermes, name):
    path = hermes.with_name(f"Sample_dark_red{name}")
    assert recognise(path).name == "hermes"
    scan = open_scan(path)
    assert scan.source == hermes
    assert_allclose(scan.positions_m, raw().positions_m)
    assert_array_equal(scan.frames.read([3], FULL), raw().frames[3:4])
    assert_array_equal(scan.dark.read([0, 1, 2], FULL), np.full((3, 4, 5), 2))


@pytest.mark.parametrize("name", ["_000001.nxs", ".hdf5"])
def test_hermes_missing_partner_is_named(hermes, name):
    other = ".hdf5" if name == "_000001.nxs" else "_000001.nxs"
    hermes.with_name(f"Sample_dark_red{name}").unlink()
    error = FileError if name == "_000001.nxs" else UnknownFormatError
    with pytest.raises(error, match=rf"in Sample_dark_red{name}\. Got no such file in its folder"):
        open_scan(hermes.with_name(f"Sample_dark_red{other}"))


def test_hermes_does_without_dark(hermes):
    hermes.with_name("Sample_dark_red_dark_000001.nxs").unlink()
    with pytest.warns(BeamlineWarning, match=r"no Sample_dark_red_dark_000001\.nxs"):
        assert open_scan(hermes).dark is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_scan(
            hermes, paths={"dark": f"{hermes.name}::/Sample_dark_red_000001/scan_data/camera_image"}
        )


def test_hermes_axes_with_x_fast(tmp_path):
    path = WRITERS["hermes"](tmp_path / "E.h5", raw(6, dark=np.zeros((2, 4, 5), np.uint32)))
    replaced(
        tmp_path / "E.hdf5",
        entry1__camera__real_sample_x=None,
        entry1__camera__real_sample_y=None,
        entry1__camera__sample_x=np.arange(3.0),
        entry1__camera__sample_y=np.array([10.0, 20.0]),
    )
    scan = open_scan(path)
    assert scan.grid == (2, 3)
    wanted = [[10, 0], [10, 1], [10, 2], [20, 0], [20, 1], [20, 2]]
    assert_allclose(scan.positions_m * 1e6, wanted)


def stack(tmp_path: Path, **more) -> Path:
    dark = np.full((3, 4, 5), 2, np.uint32)
    return write_hermes_stack(tmp_path / "Stack_D_05.h5", raw(12, dark=dark, grid=(3, 4)), **more)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_hermes_stack_of_energies(tmp_path, index):
    file, wanted = stack(tmp_path, index=index), raw(12)
    for path, settings in (
        (file, {"outer_index": index}),
        (file.with_name("Stack_D_05_dark_000001.nxs"), {"outer_index": index}),
        (file.with_name(f"Stack_D_05_nrj{index + 1:02d}_000001.nxs"), {}),
        (file.with_name(f"Stack_D_05_nrj{index + 1:02d}_000001.nxs"), {"outer_index": index}),
    ):
        assert recognise(path).name == "hermes"
        scan = open_scan(path, **settings)
        assert_array_equal(scan.frames.read(range(12), FULL), wanted.frames)
        assert_allclose(scan.positions_m, wanted.positions_m)
        assert scan.grid == (3, 4)
        assert_allclose([scan.energy_eV, scan.distance_m], [8800, 2.0])
        assert_array_equal(scan.dark.read(range(3), FULL), np.full((3, 4, 5), 2))


def test_hermes_stack_mistakes(tmp_path):
    file = stack(tmp_path)
    with pytest.raises(ScanError, match="the stack holds 3 energies; choose one by outer_index"):
        open_scan(file)
    with pytest.raises(ScanError, match=r"Expected outer_index 0 to 2 for 3 energies\. Got 3"):
        open_scan(file, outer_index=3)
    with pytest.raises(ScanError, match="outer_index 0 is not the energy of this file"):
        open_scan(file.with_name("Stack_D_05_nrj02_000001.nxs"), outer_index=0)
    file.with_name("Stack_D_05_nrj03_000001.nxs").unlink()  # a stack that was stopped
    with pytest.raises(FileError, match=r"in Stack_D_05_nrj03_000001\.nxs. Got no such file"):
        open_scan(file, outer_index=2)
    assert open_scan(file, outer_index=1).energy_eV == 8800


def test_hermes_stack_of_one_energy(tmp_path):
    file = stack(tmp_path, energies=1, index=0)
    assert_allclose(open_scan(file).positions_m, raw(12).positions_m)


@pytest.mark.parametrize("beamline", SOLEIL)
@pytest.mark.parametrize("name", ["scan_000001.nxs", "flyscan_00017-0001.nxs"])
@pytest.mark.parametrize("beside", [False, True])
def test_other_beamlines_of_soleil_are_not_hermes(tmp_path, beamline, name, beside):
    path = write_soleil(tmp_path / name, raw(), beamline)
    if beside:  # a file of that name, of something else
        with h5py.File(tmp_path / "scan.hdf5", "w") as file:
            file["results"] = np.zeros(3)
    with pytest.raises(UnknownFormatError, match="scan_data of SOLEIL's beamlines") as caught:
        open_scan(path)
    assert "\n" not in str(caught.value)
    names = SOLEIL[beamline]
    at = {
        key: f"/{path.stem}/scan_data/{name}"
        for key, name in zip(("frames", "x", "y"), names, strict=True)
    }
    scan = open_scan(path, paths=at, units={"positions": "mm"})
    assert scan.format == "hdf5"
    assert_allclose(scan.positions_m, raw().positions_m)
