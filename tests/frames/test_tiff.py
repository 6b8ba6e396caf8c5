"""TIFF frames with a sidecar: files, pages, damage, positions, and through PtyPy."""

from __future__ import annotations

import json
import pickle
import shutil
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
import scans
import tifffile
from numpy.testing import assert_allclose, assert_array_equal
from processes import RECIPES, load, python, reconstruction, result
from ptypy_loading import collect

from ptypy_beamline import BeamlineError, BeamlineWarning, open_scan
from ptypy_beamline.errors import FileError, MissingDataError, ScanError, SettingsError
from ptypy_beamline.files.filelist import expand
from ptypy_beamline.formats import get
from ptypy_beamline.frames.tiff import TiffFrames
from ptypy_beamline.reconstruction.comparison.registration import correlation
from ptypy_beamline.scan import Window
from ptypy_beamline.testing.simulate import simulate
from ptypy_beamline.testing.writers import Raw, write_tiff

WINDOW = Window(5, 3, 20, 11)
CUT = (slice(5, 25), slice(3, 14))


def images(n, dtype=np.uint16, shape=(37, 29), seed=0):
    rng = np.random.default_rng(seed)
    high = np.iinfo(dtype).max if np.dtype(dtype).kind in "iu" else 1000
    return (rng.random((n, *shape)) * high).astype(dtype)


def save(folder, frames, stem="img_", **options):
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{stem}{number}.tif" for number in range(len(frames))]
    for path, frame in zip(paths, frames, strict=True):
        tifffile.imwrite(path, frame, photometric="minisblack", **options)
    return tuple(paths)


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


@pytest.mark.parametrize("ending", [".tif", ".TIFF"])
def test_a_folder_of_files_is_to_be_named_by_a_glob(tmp_path, ending):
    tifffile.imwrite(tmp_path / f"a_1{ending}", images(1)[0])
    with pytest.raises(FileError, match=rf"all its TIFF files by '.*/\*\{ending}'"):
        open_scan(tmp_path)


@pytest.mark.parametrize("how", ["overwritten", "replaced"])
def test_a_file_replaced_before_it_is_read_is_an_error(tmp_path, how):
    files = save(tmp_path / "a", images(3))
    frames = TiffFrames(files)
    other = save(tmp_path / "b", images(3, seed=1))[2]
    if how == "replaced":
        other.replace(files[2])
    else:
        files[2].write_bytes(other.read_bytes())
    assert len(frames.read([0, 1], WINDOW)) == 2
    with pytest.raises(FileError, match=r"img_2\.tif: the file has changed since it was opened"):
        frames.read([2], WINDOW)


class TestNames:
    def touch(self, folder, *names):
        for name in names:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text("")

    def names(self, *given):
        return [path.name for path in expand(given)]

    def test_a_glob_sorts_numbers_as_numbers(self, tmp_path):
        self.touch(tmp_path, "img_10.tif", "img_2.tif", "img_1.tif", "other.tif")
        assert self.names(tmp_path / "img_*.tif") == ["img_1.tif", "img_2.tif", "img_10.tif"]

    def test_several_globs_keep_their_order(self, tmp_path):
        self.touch(tmp_path, "b_2.tif", "b_10.tif", "a_1.tif")
        found = self.names(str(tmp_path / "b_*.tif"), str(tmp_path / "a_*.tif"))
        assert found == ["b_2.tif", "b_10.tif", "a_1.tif"]

    def test_a_list_has_paths_and_globs_relative_to_itself(self, tmp_path, monkeypatch):
        self.touch(tmp_path, "x/b_2.tif", "x/b_10.tif", "a.tif")
        (tmp_path / "files.txt").write_text("\ufeff# order\n\nx/b_*.tif\n  # more\na.tif\r\n")
        monkeypatch.chdir("/")
        assert self.names(tmp_path / "files.txt") == ["b_2.tif", "b_10.tif", "a.tif"]

    def test_brackets_in_a_name_that_exists(self, tmp_path):
        self.touch(tmp_path, "scan[1].tif")
        assert self.names(tmp_path / "scan[1].tif") == ["scan[1].tif"]

    @pytest.mark.parametrize(
        ("lines", "words"),
        [
            ("a.tif\nnowhere.tif\n", "nowhere.tif: no such file; correct line 2 of files.txt"),
            ("n*.tif\n", "files.txt: no file matches .*n.*; correct line 1 of files.txt"),
            ("# nothing\n\n", "files.txt: lists no files"),
            ("a.tif\n*.tif\n", r"a.tif: Expected each file once. Got it twice"),
        ],
    )
    def test_mistakes_in_a_list(self, tmp_path, lines, words):
        self.touch(tmp_path, "a.tif")
        (tmp_path / "files.txt").write_text(lines)
        with pytest.raises(BeamlineError, match=words):
            expand([tmp_path / "files.txt"])

    def test_no_match(self, tmp_path):
        with pytest.raises(FileError, match="no file matches; check the path, and quote a glob"):
            open_scan(tmp_path / "img_*.tif")

    def test_a_glob_of_something_else(self, tmp_path):
        self.touch(tmp_path, "a.h5", "b.h5")
        with pytest.raises(FileError, match=r"a.h5: neither TIFF nor another kind"):
            open_scan(tmp_path / "*.h5")


class TestFrames:
    @pytest.mark.parametrize("order", ["<", ">"])
    @pytest.mark.parametrize("big", [False, True])
    @pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i2", "i4", "f4", "f8"])
    def test_types(self, tmp_path, dtype, big, order):
        frames = images(3, dtype)
        files = save(tmp_path, frames, byteorder=order, bigtiff=big)
        stack = TiffFrames(files)
        assert (stack.shape, stack.dtype) == (frames.shape, np.dtype(dtype))
        read = stack.read([2, 0, 0], WINDOW)
        assert read.dtype.isnative
        assert_array_equal(read, frames[[2, 0, 0]][(slice(None), *CUT)])
        assert get("tiff").understands(files[0], None)

    @pytest.mark.parametrize(
        "options",
        [
            {"compression": "zlib", "predictor": True, "rowsperstrip": 8},
            {"compression": "lzw", "rowsperstrip": 5},
            {"compression": "zstd"},
            {"compression": "packbits", "rowsperstrip": 10},
            {"compression": "jpegxl", "compressionargs": {"lossless": True}},
            {"tile": (16, 16)},
            {"tile": (16, 32), "compression": "deflate"},
            {"rowsperstrip": 4},
        ],
    )
    @pytest.mark.parametrize("window", [WINDOW, Window.full((37, 29)), Window(36, 28, 1, 1)])
    def test_layouts(self, tmp_path, options, window):
        frames = images(2)
        tifffile.imwrite(tmp_path / "a.tif", frames, photometric="minisblack", **options)
        read = TiffFrames((tmp_path / "a.tif",)).read([0, 1], window)
        assert_array_equal(read, frames[(slice(None), *window.slices)])

    def test_only_the_strips_of_the_window_are_read(self, tmp_path, monkeypatch):
        save(tmp_path, images(1), rowsperstrip=4, compression="zlib")
        decoded = []
        honest = tifffile.TiffPage.decode.func

        def counting(page):
            decode = honest(page)
            return lambda data, index, **more: (decoded.append(index), decode(data, index))[1]

        monkeypatch.setattr(tifffile.TiffPage, "decode", property(counting))
        TiffFrames((tmp_path / "img_0.tif",)).read([0], Window(9, 0, 6, 29))
        assert decoded == [2, 3]

    def test_files_of_any_number_of_pages(self, tmp_path):
        frames = images(70)
        edges = [0, 1, 41, 42, 45, 70]
        files = save(tmp_path, [frames[a:b] for a, b in pairwise(edges)])
        stack = pickle.loads(pickle.dumps(TiffFrames(files)))
        assert stack.shape == frames.shape
        order = np.random.default_rng(1).permutation(np.repeat(np.arange(70), 2))
        assert_array_equal(stack.read(order, WINDOW), frames[order][(slice(None), *CUT)])
        assert stack.read([], WINDOW).shape == (0, 20, 11)
        assert stack.ready().frames == 70

    def test_an_index_outside(self, tmp_path):
        with pytest.raises(ScanError, match=r"Expected frames 0 to 1. Got -1 to 2"):
            TiffFrames(save(tmp_path, images(2))).read([-1, 2], WINDOW)

    @pytest.mark.parametrize(
        ("other", "words"),
        [
            (images(1, shape=(37, 30))[0], "37x29 uint16 as in img_0.tif. Got 37x30 uint16"),
            (images(1, np.float32)[0], "37x29 uint16 as in img_0.tif. Got 37x29 float32"),
        ],
    )
    def test_pages_that_differ(self, tmp_path, other, words):
        files = save(tmp_path, [*images(2), other])
        with pytest.raises(ScanError, match=f"img_2.tif: .*{words} on page 0"):
            TiffFrames(files).read([0, 1, 2], WINDOW)

    @pytest.mark.parametrize("keep", [0, 3, 8, 20, 150, 900, -1])
    @pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"tile": (16, 16)}])
    def test_a_truncated_file_is_named_and_spares_the_others(self, tmp_path, keep, options):
        frames = images(3)
        files = save(tmp_path, frames, **options)
        cut(files[1], keep)
        stack = TiffFrames(files)
        whole = Window.full((37, 29))
        assert_array_equal(stack.read([0, 2], whole), frames[[0, 2]])
        with pytest.raises(FileError, match=r"img_1.tif: .*frame 1\b") as caught:
            stack.read([0, 1, 2], whole)
        assert "\n" not in str(caught.value)

    def test_a_truncated_page_is_named(self, tmp_path):
        frames = images(4)
        with tifffile.TiffWriter(tmp_path / "a.tif") as file:
            for frame in frames:
                file.write(frame, photometric="minisblack", contiguous=False)
        cut(tmp_path / "a.tif", -100)
        stack = TiffFrames((tmp_path / "a.tif",))
        with pytest.raises(FileError, match=r"a.tif: frame 3 \(page 3\): truncated TIFF file"):
            stack.read([2, 3], Window.full((37, 29)))
        assert_array_equal(stack.read([3], WINDOW)[0], frames[3][CUT])

    @pytest.mark.parametrize("compression", ["zlib", "lzw", "zstd", "jpeg"])
    def test_noise_in_the_data(self, tmp_path, compression):
        """Either an error that names the file, or pixels: never anything else."""
        save(tmp_path, images(1, np.uint8), compression=compression)
        good, rng = (tmp_path / "img_0.tif").read_bytes(), np.random.default_rng(5)
        failures = []
        for _ in range(40):
            spoiled = bytearray(good)
            for place in rng.integers(4, len(good), 12):
                spoiled[place] = rng.integers(0, 256)
            (tmp_path / "bad.tif").write_bytes(spoiled)
            try:
                TiffFrames((tmp_path / "bad.tif",)).read([0], Window(0, 0, 2, 2))
            except (FileError, ScanError) as error:
                failures.append(str(error))
        assert failures
        assert all("bad.tif" in failure for failure in failures)

    def test_a_file_that_vanishes(self, tmp_path):
        files = save(tmp_path, images(2))
        stack = TiffFrames(files)
        files[1].unlink()
        with pytest.raises(FileError, match=r"img_1.tif: no such file"):
            stack.read([1], WINDOW)

    def test_no_tiff_and_no_grey_image(self, tmp_path):
        (tmp_path / "a.tif").write_text("hello")
        with pytest.raises(FileError, match=r"a.tif: not a TIFF file"):
            TiffFrames((tmp_path / "a.tif",))
        tifffile.imwrite(tmp_path / "b.tif", np.zeros((9, 8, 3), np.uint8), photometric="rgb")
        with pytest.raises(
            ScanError, match=r"b.tif: Expected greyscale images. Got pages of 9x8x3"
        ):
            TiffFrames((tmp_path / "b.tif",))

    def test_a_stack_in_one_page_is_not_taken_for_one_frame(self, tmp_path):
        tifffile.imwrite(tmp_path / "a.tif", images(5), truncate=True, photometric="minisblack")
        with pytest.raises(FileError, match=r"a.tif: 5 images in one page"):
            TiffFrames((tmp_path / "a.tif",))


def test_opening_parses_one_file_only(tmp_path, monkeypatch):
    files = save(tmp_path, images(50))
    looked = []
    honest = tifffile.TiffFile.__init__

    def counting(self, *a, **k):
        looked.append(a)
        honest(self, *a, **k)

    monkeypatch.setattr(tifffile.TiffFile, "__init__", counting)
    assert TiffFrames(files).shape[0] == 50
    assert len(looked) == 1


class TestScan:
    def test_ways_to_name_it(self, tmp_path):
        listed = scans.write(tmp_path, "tiff")
        wanted = scans.truth().frames
        given = [
            listed,
            str(listed.parent / "*.tif"),
            [str(listed.parent / "img_*.tif"), str(listed.parent / "pair_*.tif")],
        ]
        for file in given:
            scan = open_scan(file, sidecar=str(listed.parent / "sidecar.h5"))
            assert scan.format == "tiff"
            assert scan.notes == ()
            assert_array_equal(scan.frames.read([48, 3], Window.full((64, 64))), wanted[[48, 3]])
            assert_allclose(scan.positions_m, scans.truth().positions_m)

    def test_the_default_sidecar_is_noted(self, tmp_path):
        scan = open_scan(scans.write(tmp_path, "tiff"))
        assert "sidecar.h5" in scan.notes[0]

    def test_without_a_sidecar(self, tmp_path):
        listed = scans.write(tmp_path, "tiff")
        shutil.move(listed.parent / "sidecar.h5", listed.parent / "other.h5")
        with pytest.raises(MissingDataError, match=r"49 TIFF frames. Got no sidecar.*--sidecar"):
            open_scan(listed)
        with pytest.raises(SettingsError, match="x=/entry/posx_m names a dataset, but there is no"):
            open_scan(listed, paths={"x": "/entry/posx_m", "y": "/entry/posy_m"})
        scan = open_scan(
            listed, paths={"x": "other.h5::/entry/posx_m", "y": "other.h5::/entry/posy_m"}
        )
        assert_allclose(scan.positions_m, scans.truth().positions_m)
        assert scan.energy_eV is None
        with h5py.File(listed.parent / "p.h5", "w") as file:
            file["p"] = scans.truth().positions_m[:, ::-1] * 1e6
        scan = open_scan(
            listed, paths={"positions": f"{listed.parent}/p.h5::/p"}, units={"positions": "um"}
        )
        assert_allclose(scan.positions_m, scans.truth().positions_m)

    def test_a_missing_sidecar(self, tmp_path):
        with pytest.raises(FileError, match=r"nowhere.h5: no such file"):
            open_scan(scans.write(tmp_path, "tiff"), sidecar="nowhere.h5")

    def test_a_sidecar_of_another_length(self, tmp_path):
        listed = scans.write(tmp_path, "tiff")
        (listed.parent / "img_3.tif").unlink()
        with pytest.warns(BeamlineWarning, match="48 frames for 49 positions"):
            open_scan(listed)
        with h5py.File(listed.parent / "sidecar.h5", "a") as file:
            for name in ("posx_m", "posy_m"):
                kept = file["entry"][name][:20]
                del file["entry"][name]
                file["entry"][name] = kept
        with pytest.raises(ScanError, match="48 frames for 20 positions"):
            open_scan(listed)

    def test_frame_index(self, tmp_path):
        listed = scans.write(tmp_path, "tiff")
        index = np.random.default_rng(2).permutation(49)[:40]
        with h5py.File(listed.parent / "sidecar.h5", "a") as file:
            for name in ("posx_m", "posy_m"):
                kept = file["entry"][name][()][index]
                del file["entry"][name]
                file["entry"][name] = kept
            file["entry/frame_index"] = index
        with pytest.warns(BeamlineWarning, match="9 frames .* without a position"):
            plan = open_scan(listed).plan(center=(32, 32))
        used = np.sort(index)
        assert_array_equal(plan.selection.exposures[:, 0], used)
        assert_array_equal(plan.load(range(40))[:, 0], scans.truth().frames[used])
        assert_allclose(plan.positions_m, scans.truth().positions_m[used])

    @pytest.mark.parametrize(
        ("index", "words"),
        [
            (
                np.arange(49) + 1.5,
                "Expected whole acquisition numbers below 2.62 in /entry/frame_index",
            ),
            (np.arange(40), "number of each of 49 positions in /entry/frame_index. Got 40"),
        ],
    )
    def test_a_wrong_frame_index(self, tmp_path, index, words):
        listed = scans.write(tmp_path, "tiff")
        with h5py.File(listed.parent / "sidecar.h5", "a") as file:
            file["entry/frame_index"] = index
        with pytest.raises(ScanError, match=words):
            open_scan(listed)

    def test_only_tiff_frames_come_in_several_files_or_with_a_sidecar(self, tmp_path):
        file = scans.write(tmp_path)
        with pytest.raises(SettingsError, match="sidecar given with a scan of format standard"):
            open_scan(file, sidecar="s.h5")
        with pytest.raises(SettingsError, match="several files given with a scan of format"):
            open_scan([str(file), str(file)])
        with pytest.raises(SettingsError, match=r"paths.frames is given with TIFF frames"):
            open_scan(scans.write(tmp_path, "tiff"), paths={"frames": "/entry/data"})


SETTINGS = {"shape": 48, "rebin": 2, "rotate": 90, "saturation": 3000, "center": (31, 33)}


@pytest.mark.ptypy
class TestPtyPy:
    @pytest.mark.parametrize("load_parallel", [None, "data"])
    def test_as_the_same_scan_in_hdf5(self, tmp_path, load_parallel):
        from ptypy_beamline import ptyscan

        files = scans.write(tmp_path, "tiff"), scans.write(tmp_path)
        loaders = ptyscan.BeamlineTiffScan, ptyscan.BeamlineHdf5Scan
        both = [
            collect(loader(file=str(file), load_parallel=load_parallel, **SETTINGS), 20)
            for loader, file in zip(loaders, files, strict=True)
        ]
        for tiff, hdf5 in zip(*both, strict=True):
            assert_array_equal(tiff, hdf5)

    def test_in_a_tree_as_a_list_of_globs(self, tmp_path):
        from ptypy_beamline.run import run

        folder = scans.write(tmp_path, "tiff").parent
        globs = [str(folder / "img_*.tif"), str(folder / "pair_*.tif")]
        for name in ("BeamlineTiffScan", "BeamlineScan"):
            data = {"name": name, "file": globs, "sidecar": str(folder / "sidecar.h5")}
            ptycho = run(
                {
                    "verbose_level": "ERROR",
                    "io": {"rfile": None, "autosave": {"active": False}},
                    "engines": {},
                    "scans": {"s": {"name": "BlockFull", "data": data}},
                },
                level=2,
            )
            diff = next(iter(ptycho.diff.storages.values()))
            assert_array_equal(diff.data, scans.truth().frames)

    def test_another_family_is_refused(self, tmp_path):
        from ptypy_beamline import ptyscan

        with pytest.raises(SettingsError, match="reads TIFF files, this is standard; use Beam"):
            ptyscan.BeamlineTiffScan(file=str(scans.write(tmp_path))).initialize()

    @pytest.mark.long
    def test_the_recipe(self, tmp_path):
        scans.write(tmp_path, "tiff")
        words = ("tiff/img_*.tif", "tiff/pair_*.tif", "--dm", "30", "--ml", "10", "-o", "out")
        python(RECIPES / "tiff_dm_ml.py", *words, folder=tmp_path)
        found = reconstruction(tmp_path / "out", "tiff_dm_ml")
        assert correlation(found, scans.truth().object, 28) > 0.8

    @pytest.mark.long
    @pytest.mark.mpi
    def test_two_ranks_get_the_same(self, tmp_path):
        file, settings = scans.write(tmp_path, "tiff"), {"shape": 48, "rebin": 2}
        assert result(load(2, file, settings, 9)) == result(load(1, file, settings))


class TestCommands:
    def test_info_and_standardize(self, tmp_path, type_in):
        listed = scans.write(tmp_path, "tiff")
        sidecar = shutil.move(listed.parent / "sidecar.h5", tmp_path / "s.h5")
        glob = listed.parent / "*.tif"
        code, out, _ = type_in("info", glob, "--sidecar", sidecar, "--json")
        assert code == 0
        assert json.loads(out)["scan"]["frames"] == [49, 64, 64]
        words = ("standardize", glob, "--sidecar", sidecar, "-o")
        assert type_in(*words, tmp_path / "o.h5")[0] == 0
        assert_allclose(
            open_scan(tmp_path / "o.h5").frames.read([7], Window.full((64, 64)))[0],
            scans.truth().frames[7],
        )

    @pytest.mark.parametrize("name", ["sidecar.h5", "img_3.tif", "files.txt"])
    def test_inputs_are_not_replaced(self, tmp_path, type_in, name):
        listed = scans.write(tmp_path, "tiff")
        target = listed.parent / name
        before = target.read_bytes()
        code, _, err = type_in("standardize", listed, "-o", target)
        assert code == 1
        assert "is read by this command" in err
        assert target.read_bytes() == before

    @pytest.mark.parametrize("keep", [0, 3, 100, 1000])
    def test_a_truncated_first_file_is_one_line(self, tmp_path, type_in, keep):
        listed = scans.write(tmp_path, "tiff")
        cut(listed.parent / "img_0.tif", keep)
        code, _, err = type_in("standardize", listed, "-o", tmp_path / "o.h5")
        assert code == 1
        errors = [line for line in err.splitlines() if not line.startswith("warning")]
        assert len(errors) == 1
        assert "img_0.tif" in errors[0]


def test_a_damaged_file_does_no_harm_once_its_frame_is_rejected(tmp_path):
    """Not even where whole frames are sampled for the beam centre and for hot pixels."""
    truth = simulate(32, (5, 5), 3, photons=1e5)
    listed = write_tiff(tmp_path / "scan.h5", Raw.of(truth, center_px=None))
    damaged = listed.parent / "img_3.tif"
    damaged.write_bytes(damaged.read_bytes()[:-600])
    scan = open_scan(listed, hot_sigma=6)
    with pytest.raises(FileError, match=r"img_3\.tif: frame 3 .*reject"):
        scan.plan(hot_sigma=6)
    plan = scan.plan(hot_sigma=6, reject="3")
    (block,) = plan.blocks()
    assert_array_equal(plan.selection.exposures[:, 0], np.delete(np.arange(25), 3))
    assert len(block.frames) == 24
