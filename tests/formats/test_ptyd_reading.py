"""Prepared data read back: the same frames, masks and positions, or one clear error."""

from __future__ import annotations

import os
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import scans
from numpy.testing import assert_allclose, assert_array_equal
from processes import python
from ptypy_loading import collect
from scans import loaded

from ptypy_beamline import BeamlineError, BeamlineWarning, open_scan
from ptypy_beamline.errors import FileError, MissingDataError, ScanError, SettingsError
from ptypy_beamline.files import handles
from ptypy_beamline.frames.joined import PtydFrames
from ptypy_beamline.scan import Frames, Window
from ptypy_beamline.testing.package_writers import write_ptyd
from ptypy_beamline.testing.writers import Raw
from ptypy_beamline.writers.ptyd import write_ptyd as export

BAD = np.zeros((64, 64), bool)
BAD[10:12, 20:25] = True
WHOLE = Window.full((64, 64))
SETTINGS = {
    "shape": 48,
    "rebin": 2,
    "rotate": 90,
    "center": (31, 33),
    "reject": [0, 5, 48],
    "positions.axes": "y-x",
    "select.shape": "circle",
    "select.radius": 1.5e-7,
}


def raw(**more) -> Raw:
    return replace(Raw.of(scans.truth()), bad=BAD, **more)


def weights(seed: int = 1) -> np.ndarray:
    """Weights with defects of the detector and of single frames."""
    own = np.random.default_rng(seed).random((49, 64, 64)) < 0.01
    return ~(own | BAD)


def assert_same(got, wanted):
    for a, b in zip(got, wanted, strict=True):
        assert_array_equal(a, b)


# the same data back ---------------------------------------------------------------------------


@pytest.mark.parametrize("save", ["append", "link"])
def test_an_exported_ptyd_reads_back(tmp_path, save):
    file = scans.write(tmp_path, bad=BAD)
    settings = {"shape": 48, "saturation": 300, "rebin": 2, "rotate": 90, "reject": [3]}
    plan = open_scan(file).plan(**settings)
    export(plan, tmp_path / "a.ptyd", save=save, block=20)
    assert_same(loaded(tmp_path / "a.ptyd"), loaded(file, **settings))
    geometry = open_scan(tmp_path / "a.ptyd").plan().geometry
    assert geometry.radiation == plan.geometry.radiation
    for name in ("energy_eV", "distance_m", "pixel_m", "shape", "center_px"):
        value = getattr(plan.geometry, name)
        assert_allclose(getattr(geometry, name), value, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("save", ["append", "link"])
def test_defects_of_single_frames_are_kept(tmp_path, save):
    file, good = tmp_path / "a.ptyd", weights()
    scan = open_scan(write_ptyd(file, raw(), save=save, good=good))
    assert_array_equal(scan.bad, BAD)
    frames, masks, _ = loaded(file)
    assert_array_equal(masks, good)
    assert_array_equal(frames, np.where(good, scans.truth().frames, 0))
    pixels = scan.frames.read(range(49), WHOLE)
    assert_array_equal(np.isnan(pixels), ~good & ~BAD)


@pytest.mark.parametrize(
    ("stored", "marked", "got"),
    [
        ("uint16", False, "uint16"),
        ("uint16", True, "float32"),
        ("uint32", True, "float64"),
        ("float32", True, "float32"),
        ("float64", False, "float64"),
    ],
)
def test_no_count_is_rounded(tmp_path, stored, marked, got):
    frames = scans.truth().frames.astype(stored)
    good = weights() if marked else None
    scan = open_scan(write_ptyd(tmp_path / "a.ptyd", raw(frames=frames), good=good))
    assert scan.frames.dtype == got
    read = scan.frames.read([48, 0], WHOLE)
    assert read.dtype == got
    keep = np.ones((49, 64, 64), bool) if good is None else good | BAD
    assert_array_equal(read[keep[[48, 0]]], frames[[48, 0]][keep[[48, 0]]])


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_a_pixel_counts_where_its_weight_is_positive(tmp_path, kind):
    good = weights()
    file = write_ptyd(tmp_path / "a.ptyd", raw(), good=good.astype(kind) * kind(3))
    assert_array_equal(loaded(file)[1], good)


def test_frames_lie_in_the_order_of_their_indices(tmp_path):
    file = write_ptyd(tmp_path / "a.ptyd", raw(), good=weights())
    wanted = loaded(file)
    numbers = np.random.default_rng(0).permutation(49)
    whole = {}
    with h5py.File(file, "a") as opened:
        for name in ("data", "weights", "positions"):
            whole[name] = np.concatenate([opened[f"chunks/{i}/{name}"] for i in range(7)])
        for i in range(7):
            part = numbers[7 * i : 7 * i + 7]
            for name, values in whole.items():
                opened[f"chunks/{i}/{name}"][...] = values[part]
            opened[f"chunks/{i}/indices"][...] = part + 3
    assert_same(loaded(file), wanted)


@pytest.mark.parametrize("seed", range(5))
def test_random_windows_and_indices_are_those_of_numpy(tmp_path, seed):
    random, good = np.random.default_rng(seed), weights()
    scan = open_scan(write_ptyd(tmp_path / "a.ptyd", raw(), save="link", good=good))
    data = np.where(good | BAD, scans.truth().frames, np.nan)
    assert isinstance(scan.frames, Frames)
    for frames in (scan.frames, pickle.loads(pickle.dumps(scan.frames))):
        top, left = random.integers(0, 50, 2).tolist()
        window = Window(top, left, int(random.integers(1, 14)), int(random.integers(1, 14)))
        wanted = random.integers(0, 49, random.integers(0, 60)).tolist()
        assert_array_equal(frames.read(wanted, window), data[(wanted, *window.slices)])
    with pytest.raises(ScanError, match=r"Expected frames 0 to 48\. Got 49 to 49"):
        scan.frames.read([49], WHOLE)


def test_a_thousand_parts_are_not_open_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(handles, "MOST_OPEN", 2)
    scan = open_scan(write_ptyd(tmp_path / "a.ptyd", raw(), save="link", good=weights()))
    before = len(os.listdir("/proc/self/fd"))
    scan.frames.read(range(49), WHOLE)
    assert len(os.listdir("/proc/self/fd")) <= before + 2


# everything a raw file can do ------------------------------------------------------------------


def test_selection_window_binning_and_turning_are_those_of_a_raw_file(tmp_path):
    file = write_ptyd(tmp_path / "a.ptyd", raw())
    assert_same(loaded(file, **SETTINGS), loaded(scans.write(tmp_path, bad=BAD), **SETTINGS))


def test_positions_from_elsewhere(tmp_path):
    file = write_ptyd(tmp_path / "a.ptyd", raw())
    refined = scans.truth().positions_m + 1e-9
    with h5py.File(tmp_path / "refined.h5", "w") as other:
        other["pos"] = refined[:, ::-1] * 1e6
        other["pos"].attrs["units"] = "um"
    scan = open_scan(file, paths={"positions": "refined.h5::/pos"})
    assert_allclose(scan.positions_m, refined)


def test_positions_of_the_whole_scan_where_chunks_have_none(tmp_path):
    file = write_ptyd(tmp_path / "a.ptyd", raw())
    with h5py.File(file, "a") as opened:
        for chunk in opened["chunks"].values():
            del chunk["positions"]
    with pytest.raises(MissingDataError, match=r"no positions; set paths.positions"):
        open_scan(file)
    with h5py.File(file, "a") as opened:
        opened["info/positions_scan"] = scans.truth().positions_m
    assert_array_equal(open_scan(file).positions_m, scans.truth().positions_m)


def test_frames_without_a_position_are_left_out_with_a_warning(tmp_path):
    file = write_ptyd(tmp_path / "a.ptyd", raw())
    with h5py.File(file, "a") as opened:
        opened["chunks/1/positions"][2, 0] = opened["chunks/6/positions"][6, 1] = np.nan
    with pytest.warns(BeamlineWarning, match="2 positions are not finite: their frames are not"):
        got, _, positions_m = loaded(file)
    kept = np.delete(np.arange(49), [9, 48])
    assert_array_equal(got, np.where(BAD, 0, scans.truth().frames[kept]))
    assert_array_equal(positions_m, scans.truth().positions_m[kept])


def test_a_stored_none_is_read_as_none(tmp_path):
    file = write_ptyd(tmp_path / "a.ptyd", raw(energy_eV=None, center_px=None))
    scan = open_scan(file)
    assert scan.energy_eV is scan.center_px is None
    with pytest.raises(MissingDataError, match="no photon energy in the file; set energy in keV"):
        scan.plan()


def test_without_weights_all_is_good_but_for_the_common_weight(tmp_path):
    file = write_ptyd(tmp_path / "a.ptyd", raw())
    with h5py.File(file, "a") as opened:
        for chunk in opened["chunks"].values():
            del chunk["weights"]
    assert open_scan(file).bad is None
    with h5py.File(file, "a") as opened:
        opened["meta/weight2d"] = ~BAD
    assert_array_equal(open_scan(file).bad, BAD)


# parts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["", "here/", "{}/", "/somewhere/else/"])
def test_parts_are_found_beside_the_master(tmp_path, folder):
    file = tmp_path / "a.ptyd"
    write_ptyd(file, raw(), save="link", folder=folder.format(tmp_path))
    assert_array_equal(loaded(file)[0], np.where(BAD, 0, scans.truth().frames))


def test_a_part_outside_needs_permission(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    file = write_ptyd(inside / "a.ptyd", raw(), save="link", folder="../out/")
    for part in inside.glob("*.part*"):
        shutil.move(part, outside)
    with pytest.raises(FileError, match=r"a.ptyd: .*part000, outside .*--links any"):
        open_scan(file)
    assert len(open_scan(file, links="any")) == 49


def _without_part(file: Path) -> None:
    file.with_name("a.ptyd.part003").unlink()


def _cut(name: str, size: float):
    def damage(file: Path) -> None:
        target = file.with_name(name)
        os.truncate(target, int(target.stat().st_size * size))

    return damage


def _change(path: str, value=None):
    def damage(file: Path) -> None:
        with h5py.File(file, "a") as opened:
            del opened[path]
            if value is not None:
                opened[path] = value

    return damage


@pytest.mark.parametrize(
    ("save", "damage", "message"),
    [
        ("link", _without_part, r"a.ptyd: /chunks/3 links to a.ptyd.part003, which does not"),
        ("link", _cut("a.ptyd.part002", 0.5), r"a.ptyd.part002: truncated HDF5 file"),
        ("append", _cut("a.ptyd", 0.7), r"a.ptyd: (truncated HDF5 file|not an HDF5)"),
        ("append", _change("meta/num_frames", 60), r"a.ptyd: Expected the 60 frames .* Got 49"),
        ("append", _change("chunks/6"), r"a.ptyd: Expected the 49 frames .* Got 42"),
        ("append", _change("chunks/2"), r"a.ptyd: chunk 2 of 7 is missing"),
        ("append", _change("chunks/6/data"), r"a.ptyd: /chunks/6 has no data"),
        (
            "append",
            _change("chunks/6/positions", np.zeros((3, 2))),
            r"a.ptyd: /chunks/6/positions has 3 entries for 7 frames",
        ),
        ("append", _change("chunks/6/weights", np.ones((7, 3, 3))), r"a.ptyd: /chunks/6/weights"),
        ("append", _change("chunks/6/data", np.zeros((7, 3, 3))), r"a.ptyd: chunk 6 has frames"),
        ("append", _change("chunks/6/indices", np.arange(7)), r"a.ptyd: frame 0 occurs more"),
    ],
)
def test_an_incomplete_ptyd_is_an_error_at_once(tmp_path, save, damage, message):
    file = write_ptyd(tmp_path / "a.ptyd", raw(), save=save)
    damage(file)
    with pytest.raises(BeamlineError, match=message) as caught:
        open_scan(file)
    assert "\n" not in str(caught.value)


def test_a_file_without_a_chunk(tmp_path):
    with h5py.File(tmp_path / "a.ptyd", "w") as file:
        file.create_group("chunks")
        file.create_group("meta")
    with pytest.raises(FileError, match=r"a.ptyd: the .ptyd has no frames"):
        open_scan(tmp_path / "a.ptyd")


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"paths": {"dark": "/dark"}}, "leave paths.dark"), ({"outer_index": 0}, "leave outer_index")],
)
def test_settings_that_a_ptyd_cannot_have_are_refused(tmp_path, settings, message):
    with pytest.raises(SettingsError, match=message):
        open_scan(write_ptyd(tmp_path / "a.ptyd", raw()), **settings)


# in PtyPy --------------------------------------------------------------------------------------

SAVE = """
import sys
from ptypy import utils as u
from ptypy_beamline import ptyscan
u.verbose.set_level("ERROR")
scan = ptyscan.BeamlineScan(file=sys.argv[1], save=sys.argv[2], dfile=sys.argv[3], saturation=300)
scan.initialize()
while scan.auto(20) != scan.EOS:
    pass
"""


@pytest.mark.ptypy
@pytest.mark.parametrize("save", ["link", pytest.param("append", marks=pytest.mark.long)])
@pytest.mark.parametrize("absolute", [False, True], ids=["relative", "absolute"])
def test_a_ptyd_saved_by_ptypy_reads_back(tmp_path, ptyscan, save, absolute):
    file = scans.write(tmp_path, bad=BAD)
    (tmp_path / "sub").mkdir()
    dfile = "sub/a.ptyd" if not absolute else str(tmp_path / "sub" / "a.ptyd")
    python("-c", SAVE, file, save, dfile, folder=tmp_path)
    wanted = loaded(file, saturation=300)
    (tmp_path / "sub").rename(tmp_path / "moved")
    moved = tmp_path / "moved" / "a.ptyd"
    assert_same(loaded(moved), wanted)
    scan = ptyscan.BeamlinePtydScan(file=str(moved))
    assert_same(collect(scan, 13), wanted)
    assert scan.meta.energy == pytest.approx(8.8)


@pytest.mark.ptypy
def test_it_reads_the_same_as_ptypys_own_loader(tmp_path, ptyscan):
    from ptypy.core.data import PtydScan

    file = write_ptyd(tmp_path / "a.ptyd", raw(), save="link", good=weights())
    frames, masks, positions = collect(PtydScan({"dfile": str(file)}))
    assert_same(
        collect(ptyscan.BeamlinePtydScan(file=str(file))),
        (np.where(masks, frames, 0), masks, positions),
    )


@pytest.mark.ptypy
def test_overrides_apply(tmp_path, ptyscan):
    file = write_ptyd(tmp_path / "a.ptyd", raw())
    scan = ptyscan.BeamlineScan(file=str(file), energy=9.5, psize=100e-6, distance=3.0, rebin=2)
    scan.initialize()
    meta = scan.auto(10)["common"]
    assert meta.energy == 9.5
    assert_allclose(meta.psize, 200e-6)
    assert meta.distance == 3.0


@pytest.mark.ptypy
def test_a_file_of_another_family_is_refused(tmp_path, ptyscan):
    with pytest.raises(BeamlineError, match="reads PTYD files, this is standard; use BeamlineScan"):
        ptyscan.BeamlinePtydScan(file=str(scans.write(tmp_path))).initialize()


@pytest.mark.ptypy
def test_the_file_is_not_written_over(tmp_path, ptyscan):
    file = str(write_ptyd(tmp_path / "a.ptyd", raw()))
    with pytest.raises(SettingsError, match="is the file that is read; write to another dfile"):
        ptyscan.BeamlinePtydScan(file=file, dfile=file, save="append")


def test_frames_of_a_ptyd_are_ptydframes(tmp_path):
    assert isinstance(open_scan(write_ptyd(tmp_path / "a.ptyd", raw())).frames, PtydFrames)
