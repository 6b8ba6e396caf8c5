"""PtychoPINN, tike, Ptychodus and Adorym files, each beside what must come out of it."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from ptypy_beamline import BeamlineWarning, open_scan
from ptypy_beamline.errors import (
    FileError,
    GeometryError,
    MissingDataError,
    ScanError,
    SettingsError,
    UnknownFormatError,
)
from ptypy_beamline.formats import recognise
from ptypy_beamline.frames.npz import Member, NpzFrames
from ptypy_beamline.frames.wrappers import FftShiftedFrames, IntensityFrames
from ptypy_beamline.geometry import wavelength_m
from ptypy_beamline.scan import ArrayFrames, Window
from ptypy_beamline.testing.package_writers import (
    write_adorym,
    write_product,
    write_ptychopinn,
    write_tike,
)
from ptypy_beamline.testing.writers import Raw

FULL = Window(0, 0, 6, 6)
GEOMETRY = {"energy": 8.0, "distance": 1.5, "psize": 75e-6}


def raw(n: int = 10, ny: int = 6, nx: int = 6) -> Raw:
    rng = np.random.default_rng(3)
    frames = rng.integers(0, 900, (n, ny, nx)).astype(np.uint16)
    return Raw(frames, rng.random((n, 2)) * 1e-5, 8000.0, 1.5)


def save(path: Path, **arrays) -> Path:
    with path.open("wb") as file:
        np.savez(file, **arrays)
    return path


# Frames made of others


@pytest.mark.parametrize("shape", [(6, 6), (5, 7), (1, 4), (5, 8)])
def test_centred_is_fftshift_in_every_window(shape):
    stored = np.arange(3 * np.prod(shape)).reshape(3, *shape)
    wanted = np.fft.fftshift(stored, axes=(1, 2))
    frames = FftShiftedFrames(ArrayFrames(stored))
    ny, nx = shape
    for top in range(ny):
        for left in range(nx):
            window = Window(top, left, ny - top, max(nx - left - 1, 1))
            rows, columns = window.slices
            assert_array_equal(frames.read([2, 0], window), wanted[[2, 0], rows, columns])


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c8", "c16"])
def test_intensity_is_the_square_without_overflow(dtype):
    stored = np.array([[[3, 1000]]]).astype(dtype) * (1j if dtype[0] == "c" else 1)
    found = IntensityFrames(ArrayFrames(stored)).read([0], Window(0, 0, 1, 2))
    assert found.dtype == np.float32
    assert_array_equal(found, [[[9, 1e6]]])


# NPZ


@pytest.mark.parametrize("compression", [None, "gzip"])
@pytest.mark.parametrize("frames_last", [False, True])
@pytest.mark.parametrize("amplitude", [False, True])
def test_ptychopinn_variants_are_one_scan(tmp_path, compression, frames_last, amplitude):
    known = replace(raw(), compression=compression)
    path = write_ptychopinn(tmp_path / "a.npz", known, amplitude, frames_last)
    scan = open_scan(path)
    assert scan.frames.shape == (10, 6, 6)
    assert scan.probe.shape == (6, 6)
    window = Window(1, 2, 4, 3)
    found = scan.frames.read([9, 0, 3], window)
    assert_allclose(found, known.frames[[9, 0, 3], 1:5, 2:5], rtol=1e-6)
    assert ("squared" in " ".join(scan.notes)) == amplitude
    assert_allclose(scan.plan(**GEOMETRY, center=(3, 3)).positions_m, known.positions_m)


def test_stack_of_which_both_axes_fit_is_frames_first(tmp_path):
    known = raw(6)
    with pytest.warns(BeamlineWarning, match="may be \\(H,W,N\\)"):
        scan = open_scan(write_ptychopinn(tmp_path / "a.npz", known))
    assert_array_equal(scan.frames.read([1], FULL), known.frames[1:2])


def test_pixels_become_metres_with_the_size_of_the_raw_frame(tmp_path):
    known = raw(ny=6, nx=8)
    scan = open_scan(write_tike(tmp_path / "a.npz", known))
    assert np.isnan(scan.positions_m).all()
    for changes in ({}, {"shape": 4}, {"rebin": 2}, {"pad": "square"}, {"focus_to_sample": 0.1}):
        plan = scan.plan(**GEOMETRY, center=(3, 4), **changes)
        assert_allclose(plan.positions_m, known.positions_m, err_msg=str(changes))
    span = wavelength_m(8000) * 1.5 / 75e-6
    assert_allclose(scan.positions_px, known.positions_m / [span / 6, span / 8])


def test_positions_in_pixels_need_the_geometry(tmp_path):
    scan = open_scan(write_tike(tmp_path / "a.npz", raw()))
    with pytest.raises(
        MissingDataError, match=r"a\.npz: no photon energy, .* in the file; set energy"
    ):
        scan.plan()
    with pytest.raises(GeometryError, match="given in eV"):
        scan.plan(energy=8000, distance=1.5, psize=75e-6)


def test_positions_with_the_users_unit(tmp_path):
    path = write_tike(tmp_path / "a.npz", raw())
    scan = open_scan(path, units={"positions": "um"})
    assert scan.positions_px is None
    assert_allclose(scan.positions_m, open_scan(path).positions_px * 1e-6)


@pytest.mark.parametrize("write", [write_tike, write_ptychopinn])
def test_zero_frequency_as_the_user_says(tmp_path, write):
    known = raw()
    path = write(tmp_path / "a.npz", known)
    as_is, turned = known.frames, np.fft.fftshift(known.frames, axes=(1, 2))
    if write is write_tike:
        as_is = np.fft.ifftshift(known.frames, axes=(1, 2))
        turned = known.frames
    for where, expected in (("center", as_is), ("corner", turned)):
        scan = open_scan(path, zero_frequency=where)
        assert_array_equal(scan.frames.read(range(len(scan)), FULL), expected)


def test_an_uncompressed_npz_is_memory_mapped(tmp_path):
    stack = np.arange(24, dtype=">f8").reshape(2, 3, 4)
    path = save(tmp_path / "a.npz", other=np.arange(3), a=stack)
    frames = NpzFrames(Member(path, "a"))
    assert_array_equal(frames.read([1, 0, 1], Window(1, 2, 2, 2)), stack[[1, 0, 1], 1:, 2:])
    assert frames.read([-1], Window.full((3, 4))).dtype == np.dtype("f8")
    assert "array" not in vars(frames.member)
    assert len(pickle.dumps(frames)) < 1000


def test_a_bit_that_flipped_in_an_npz_is_found(tmp_path):
    path = save(tmp_path / "a.npz", a=np.arange(24.0).reshape(2, 3, 4))
    content = bytearray(path.read_bytes())
    content[content.index(np.float64(17).tobytes())] ^= 4
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"a\.npz: .*copy it again"):
        NpzFrames(Member(path, "a")).read([0], Window.full((3, 4)))


def test_an_npz_that_is_cut_while_it_is_read_is_an_error(tmp_path):
    path = save(tmp_path / "a.npz", a=np.zeros((90, 64, 64)))
    frames = NpzFrames(Member(path, "a"))
    frames.read([0], Window.full((64, 64)))
    os.truncate(path, 100_000)
    with pytest.raises(FileError, match="shorter since it was opened"):
        frames.read([80], Window.full((64, 64)))


@pytest.mark.parametrize("how", ["replaced", "overwritten", "unlinked"])
def test_an_npz_that_is_replaced_while_it_is_read_is_an_error(tmp_path, how):
    path = save(tmp_path / "a.npz", a=np.zeros((9, 8, 8)))
    frames = NpzFrames(Member(path, "a"))
    frames.read([0], Window.full((8, 8)))
    other = save(tmp_path / "b.npz", a=np.ones((9, 8, 8)))
    if how == "replaced":
        other.replace(path)
    elif how == "overwritten":
        path.write_bytes(other.read_bytes())
    else:
        path.unlink()
    with pytest.raises(FileError, match=r"a\.npz: (the file has changed|no such file)"):
        frames.read([8], Window.full((8, 8)))


def test_npz_of_other_memory_orders(tmp_path):
    stack = np.asfortranarray(np.arange(24).reshape(2, 3, 4)).astype(">i4", order="K")
    found = NpzFrames(Member(save(tmp_path / "a.npz", a=stack), "a"))
    assert found.dtype == np.dtype("i4")
    assert_array_equal(found.read([1], Window(0, 1, 2, 2)), stack[1:, :2, 1:3])


def test_npz_with_objects_is_refused(tmp_path):
    path = save(
        tmp_path / "a.npz", xcoords=np.zeros(2), ycoords=np.zeros(2), diffraction=np.array([{}, {}])
    )
    with pytest.raises(FileError, match=r"a\.npz: array diffraction holds Python objects"):
        open_scan(path)


def test_damaged_npz_is_named(tmp_path):
    path = write_ptychopinn(tmp_path / "a.npz", replace(raw(900), compression="gzip"))
    content = bytearray(path.read_bytes())
    start = content.index(b"diff3d.npy")
    content[start + 9000 : start + 9060] = bytes(60)
    path.write_bytes(content)
    scan = open_scan(path)
    with pytest.raises(FileError, match=r"a\.npz: array diff3d cannot be read"):
        scan.frames.read([0], FULL)
    path.write_bytes(content[:-200])
    with pytest.raises(FileError, match=r"a\.npz: truncated NPZ file"):
        open_scan(path)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"paths": {"energy": "e"}}, "give energy, distance, psize"),
        ({"paths": {"x": "other.h5::/x"}}, "each an array of the file"),
        ({"outer_index": 1}, "leading axis"),
    ],
)
def test_npz_refuses_impossible_settings(tmp_path, settings, words):
    with pytest.raises((SettingsError, ScanError), match=words):
        open_scan(write_tike(tmp_path / "a.npz", raw()), **settings)


def test_npz_arrays_by_name(tmp_path):
    known = raw()
    path = save(
        tmp_path / "a.npz",
        i=known.frames,
        x=np.arange(10),
        y=np.arange(10) * 2,
        bad=np.eye(6),
        xcoords=np.zeros(3),
        ycoords=np.zeros(3),
        diffraction=0,
    )
    scan = open_scan(path, paths={"frames": "i", "x": "x", "y": "y", "mask": "bad"})
    assert_array_equal(scan.positions_px, np.stack([np.arange(10) * 2, np.arange(10)], 1))
    assert_array_equal(scan.bad, np.eye(6) == 1)
    assert_array_equal(scan.frames.read([4], FULL), known.frames[4:5])
    with pytest.raises(MissingDataError, match=r"Expected an array no\. Got i, x, y"):
        open_scan(path, paths={"frames": "no"})


@pytest.mark.parametrize("k", [1, 2])
def test_a_cube_that_lost_a_frame_is_not_read_along_another_axis(tmp_path, k):
    """Frames of 6x6: the 6 positions, or 6 exposures, are no columns of pixels."""
    y, x = np.indices((2, 3)).reshape(2, -1)[:, : 6 // k]
    path = save(tmp_path / "a.npz", diff3d=raw(5).frames, xcoords=x, ycoords=y)
    settings = {"frames_per_position": k} if k > 1 else {}
    with pytest.raises(ScanError, match=r"Expected 6 frames .* diff3d of shape \(5, 6, 6\)"):
        open_scan(path, **settings)


def test_npz_numbers_that_do_not_fit(tmp_path):
    path = save(tmp_path / "a.npz", data=raw().frames, scan=np.zeros((7, 2)), probe=np.ones(1))
    with pytest.raises(ScanError, match=r"Expected 7 frames .* data of shape \(10, 6, 6\)"):
        open_scan(path)


# Ptychodus


def test_product_with_amplitudes(tmp_path):
    known = raw(ny=6, nx=8)
    scan = open_scan(write_product(tmp_path / "a.h5", known, amplitude=True))
    assert_allclose(scan.frames.read([2, 1], Window(0, 0, 6, 8)), known.frames[[2, 1]], rtol=1e-6)
    assert scan.pixel_m == pytest.approx((75e-6, 75e-6))
    assert scan.probe.shape == (6, 8)


def test_product_pixel_is_the_detectors_own_when_another_distance_is_given(tmp_path):
    scan = open_scan(write_product(tmp_path / "a.h5", raw()), distance=3.0)
    assert scan.distance_m is None
    assert scan.pixel_m == pytest.approx((75e-6, 75e-6))


def test_product_without_raw_data(tmp_path):
    path = write_product(tmp_path / "a.h5", raw())
    with h5py.File(path, "a") as file:
        file.move("raw_data", "elsewhere")
    assert recognise(path).name == "product"
    with pytest.raises(MissingDataError, match=r"a\.h5: a product without /raw_data/diffraction"):
        open_scan(path)
    scan = open_scan(path, paths={"frames": "/elsewhere/diffraction"})
    assert_array_equal(scan.frames.read([3], FULL), raw().frames[3:4])


def test_product_positions_in_another_order_are_those_of_the_frames(tmp_path):
    path = write_product(tmp_path / "a.h5", raw())
    order = np.random.default_rng(0).permutation(10)
    with h5py.File(path, "a") as file:
        file["probe_position_indexes"][...] = order
        for axis, name in enumerate(["probe_position_y_m", "probe_position_x_m"]):
            file[name][...] = raw().positions_m[order, axis]
    assert_allclose(open_scan(path).positions_m, raw().positions_m)


@pytest.mark.parametrize("numbers", [np.zeros(10, int), np.arange(10) + 5])
def test_product_scan_index(tmp_path, numbers):
    """All alike it names a scan; numbers of other frames are an error."""
    path = write_product(tmp_path / "a.h5", raw())
    with h5py.File(path, "a") as file:
        file["raw_data/scan_index"][...] = numbers
    if not numbers.any():
        assert_allclose(open_scan(path).positions_m, raw().positions_m)
    else:
        with pytest.raises(ScanError, match="of the same frames"):
            open_scan(path)


def test_product_with_positions_in_pixels_only(tmp_path):
    path = write_product(tmp_path / "a.h5", raw())
    with h5py.File(path, "a") as file:
        del file["probe_position_x_m"]
        del file["probe_position_y_m"]
    scan = open_scan(path)
    assert scan.positions_px is not None
    assert_allclose(scan.plan(center=(3, 3)).positions_m, raw().positions_m)


# Adorym


def test_adorym_waves_become_intensity(tmp_path):
    scan = open_scan(write_adorym(tmp_path / "a.h5", raw(), wave=True))
    assert recognise(tmp_path / "a.h5").name == "adorym"
    assert scan.frames.dtype == np.float32
    assert_allclose(scan.frames.read([7], FULL), raw().frames[7:8], rtol=1e-6)
    plan = scan.plan(center=(3, 3))
    pixel = wavelength_m(8000) * 1.5 / 75e-6 / 6
    assert plan.geometry.object_pixel_m == pytest.approx((pixel, pixel))


def test_adorym_distance_alone_is_not_enough(tmp_path):
    path = write_adorym(tmp_path / "a.h5", raw())
    with pytest.raises(MissingDataError, match="no detector pixel size"):
        open_scan(path, distance=2.0).plan(distance=2.0)
    assert open_scan(path, distance=2.0, psize=1e-4).plan(distance=2.0, psize=1e-4, center=(3, 3))


def test_adorym_angles(tmp_path):
    path = write_adorym(tmp_path / "a.h5", raw())
    with h5py.File(path, "a") as file:
        stack = file["exchange/data"][0]
        del file["exchange/data"]
        file["exchange/data"] = np.stack([stack, stack + 1])
    with pytest.raises(ScanError, match="outer_index"):
        open_scan(path)
    assert_array_equal(open_scan(path, outer_index=1).frames.read([2], FULL), stack[2:3] + 1)


def test_adorym_near_field(tmp_path):
    path = write_adorym(tmp_path / "a.h5", raw())
    with h5py.File(path, "a") as file:
        file["metadata/free_prop_cm"][...] = 10.0
        file["metadata/psize_cm"][...] = 1e-5
    scan = open_scan(path)
    assert_allclose((scan.distance_m, *scan.pixel_m), (0.1, 1e-7, 1e-7))
    assert "near field" in " ".join(scan.notes)


def test_adorym_without_a_pixel(tmp_path):
    path = write_adorym(tmp_path / "a.h5", raw())
    with h5py.File(path, "a") as file:
        del file["metadata/psize_cm"]
    with pytest.raises(MissingDataError, match="psize_cm"):
        open_scan(path)


def test_an_npz_of_something_else_is_not_understood(tmp_path):
    with pytest.raises(
        UnknownFormatError,
        match=r"that no format recognises, with the arrays a; .*--format ptychopinn --path frames=",
    ):
        open_scan(save(tmp_path / "a.npz", a=np.zeros(3)))
