"""Every file that a reconstruction is written to, read back, and the commands that write them."""

from __future__ import annotations

import json
import tracemalloc
import zipfile

import h5py
import numpy as np
import pytest
import reconstructions
import scans
import tifffile
from numpy.testing import assert_allclose, assert_array_equal
from reconstructions import assert_same, exact
from scans import all_frames

from ptypy_beamline import BeamlineWarning, open_scan
from ptypy_beamline.errors import BeamlineError, FileError, ScanError
from ptypy_beamline.reconstruction.area import pixels_of
from ptypy_beamline.reconstruction.io.amplitudes import of_npz, of_plan
from ptypy_beamline.reconstruction.io.cxi import write_cxi
from ptypy_beamline.reconstruction.io.hdf5 import read_reconstruction, write_reconstruction
from ptypy_beamline.reconstruction.io.npz import write_npz
from ptypy_beamline.reconstruction.io.product import ProductInfo, export_product, import_product
from ptypy_beamline.reconstruction.io.tiff import write_tiffs
from ptypy_beamline.testing.raw import Raw
from ptypy_beamline.testing.writers import WRITERS
from ptypy_beamline.writers.standard import write_standard

LAYERED = {"object": np.stack([scans.truth().object] * 3), "layer_spacing_m": (2e-6, 3e-6)}
FLAGS = ("--probe-energy-eV", "8800", "--detector-distance-m", "2", "--object-pixel-size-m", "1e-8")


@pytest.fixture
def plan(tmp_path):
    return open_scan(scans.write(tmp_path)).plan()


def whole(path):
    """All frames and masks of a scan file, and its plan."""
    plan = open_scan(path).plan()
    return *all_frames(plan), plan


class TestReconstructionFile:
    @pytest.mark.parametrize("more", [{}, LAYERED])
    def test_reading_back_is_exact(self, tmp_path, more):
        found = exact(**more)
        assert_same(read_reconstruction(write_reconstruction(found, tmp_path / "a.h5")), found)

    def test_positions_and_geometry_have_their_units(self, tmp_path):
        write_reconstruction(exact(), tmp_path / "a.h5")
        with h5py.File(tmp_path / "a.h5") as file:
            assert file["positions/refined"].attrs["columns"] == "y,x"
            assert_array_equal(file["positions/refined"], exact().positions_m)
            assert file["geometry/energy"].attrs["units"] == "eV"
            assert file["geometry/energy"][()] == 8800

    def test_an_older_file_is_named(self, tmp_path):
        with h5py.File(write_reconstruction(exact(), tmp_path / "a.h5"), "r+") as file:
            del file["positions"]
        with pytest.raises(FileError, match=r"a\.h5: not a reconstruction\.h5, or one of an older"):
            read_reconstruction(tmp_path / "a.h5")


class TestProduct:
    @pytest.mark.parametrize("more", [{}, LAYERED, {"errors": np.empty(0)}])
    def test_round_trip_is_exact(self, tmp_path, more, plan):
        found = exact(**more)
        info = ProductInfo("a name", "some words", 0.1, 2.0, 30.0)
        path = export_product(found, tmp_path / "p.h5", info=info, frames=of_plan(plan))
        assert_same(import_product(path), found)
        with h5py.File(path) as file:
            assert {name: file.attrs[name] for name in vars(info) if name in file.attrs} == {
                "name": "a name",
                "comments": "some words",
                "exposure_time_s": 0.1,
                "mass_attenuation_m2_per_kg": 2.0,
                "tomography_angle_deg": 30.0,
            }

    def test_old_and_new_names_exist(self, tmp_path):
        found = exact()
        with h5py.File(export_product(found, tmp_path / "p.h5")) as file:
            for name in ("photon_energy_eV", "probe_energy_eV"):
                assert file.attrs[name] == 8800
            assert file.attrs["mass_attenuation_m2_kg"] == 0
            assert file.attrs["mass_attenuation_m2_per_kg"] == 0
            power = (np.abs(found.probe) ** 2).sum()
            assert file.attrs["probe_photon_count"] == pytest.approx(power)
            assert file["probe"].shape == (1, 2, 64, 64)
            assert file["object"].shape == found.object.shape[1:]
            assert file["object"].attrs["center_y_m"] == found.center_m[0]
            assert file["loss_epochs"][()].tolist() == [0, 2]
            assert file["loss_values"][()].tolist() == [0.5, 0.25]

    def test_our_loader_reads_its_frames(self, tmp_path, plan):
        path = export_product(exact(), tmp_path / "p.h5", frames=of_plan(plan))
        frames, _, back = whole(path)
        assert_allclose(frames, all_frames(plan)[0], rtol=1e-6)
        assert_array_equal(back.positions_m, exact().positions_m)
        assert back.geometry.energy_eV == plan.geometry.energy_eV
        assert back.geometry.object_pixel_m == pytest.approx(plan.geometry.object_pixel_m)

    def test_pixels_say_where_a_view_lies_in_the_object(self, tmp_path, plan):
        with h5py.File(export_product(exact(), tmp_path / "p.h5", frames=of_plan(plan))) as file:
            corners = np.column_stack([file["raw_data/ycoords"], file["raw_data/xcoords"]]) - 31.5
        assert_allclose(corners, scans.truth().corners_px, atol=1e-6)

    def test_one_mode_and_one_layer_are_images_and_linked(self, tmp_path, plan):
        """As PtychoPINN's importer takes them; its names in /raw_data lead to the same data."""
        found = exact(probe=exact().probe[1:])
        with h5py.File(export_product(found, tmp_path / "p.h5", frames=of_plan(plan))) as file:
            assert file["probe"].shape == (64, 64)
            assert file["object"].shape == found.object.shape[1:]
            assert file["raw_data/probeGuess"] == file["probe"]
            assert file["raw_data/objectGuess"] == file["object"]
            assert file.attrs["contains_raw_data"] == 1

    def test_other_frames_are_refused_and_nothing_is_left(self, tmp_path, plan):
        (tmp_path / "few").mkdir()
        few = open_scan(scans.write(tmp_path / "few")).plan(reject=[3])
        with pytest.raises(ScanError, match=r"a frame for each of 49 positions\. Got 48"):
            export_product(exact(), tmp_path / "p.h5", frames=of_plan(few))
        with pytest.raises(ScanError, match="Expected the 49 positions"):
            write_cxi(exact(), tmp_path / "p.cxi", plan=few)
        assert not list(tmp_path.glob("*p.*"))

    def test_a_file_of_another_kind_is_refused(self, tmp_path):
        with pytest.raises(FileError, match="not a Ptychodus product"):
            import_product(scans.write(tmp_path))


class TestCxi:
    def test_reading_it_back_gives_the_same_scan(self, tmp_path):
        bad = np.zeros((64, 64), bool)
        bad[10:12, 40:] = True
        shifted = Raw.of(scans.truth(), bad=bad, center_px=(30.25, 33.5), pixel_m=(7e-5, 8e-5))
        plan = open_scan(WRITERS["standard"](tmp_path / "raw.h5", shifted)).plan()
        frames, good, back = whole(write_cxi(exact(), tmp_path / "a.cxi", plan=plan))
        assert open_scan(tmp_path / "a.cxi").format == "cxi"
        assert_array_equal(frames, all_frames(plan)[0])
        assert_array_equal(good, np.broadcast_to(~bad, good.shape))
        assert_allclose(back.positions_m, exact().positions_m, atol=1e-20)
        assert back.geometry.center_px == pytest.approx(plan.geometry.center_px)
        assert back.geometry.pixel_m == pytest.approx(plan.geometry.pixel_m)
        assert back.geometry.energy_eV == pytest.approx(8800, rel=1e-12)
        assert back.geometry.distance_m == plan.geometry.distance_m

    def test_object_probe_and_energy(self, tmp_path):
        found = exact()
        with h5py.File(write_cxi(found, tmp_path / "a.cxi")) as file:
            assert file["cxi_version"][()] == 160
            assert file["entry_1/instrument_1/source_1/energy"][()] == pytest.approx(1.40991544e-15)
            image, wave = file["entry_1/image_1"], found.object[0]
            assert_array_equal(image["data"], wave)
            assert_array_equal(image["data_real"], wave.real)
            assert_array_equal(image["data_imag"], wave.imag)
            assert_array_equal(image["data_phase"], np.angle(wave))
            assert_array_equal(image["data_amplitude"], np.abs(wave))
            assert_array_equal(file["entry_1/instrument_1/source_1/illumination"], found.probe)
            assert image["process_1/algorithm"].asstr()[()] == "PtyPy DM 2 + ML 1"
            assert json.loads(image["process_1/note"].asstr()[()])["run"] == "x"

    def test_defects_of_single_frames_are_kept_with_a_warning(self, tmp_path):
        limit = float(np.percentile(scans.truth().frames, 99.9))
        plan = open_scan(scans.write(tmp_path)).plan(saturation=limit)
        good = all_frames(plan)[1]
        assert 0 < (~good).sum() < good.size / 50
        with pytest.warns(BeamlineWarning, match=f"{(~good).sum()} pixels are bad in single"):
            write_cxi(exact(), tmp_path / "a.cxi", plan=plan)
        assert_array_equal(whole(tmp_path / "a.cxi")[1], good)


class TestNpz:
    def test_our_reader_opens_it(self, tmp_path, plan):
        path = write_npz(exact(), tmp_path / "a.npz", frames=of_plan(plan))
        scan = open_scan(path, energy=8.8, distance=plan.geometry.distance_m, psize=75e-6)
        assert scan.format == "ptychopinn"
        back = scan.plan()
        assert_allclose(all_frames(back)[0], all_frames(plan)[0], rtol=1e-6)
        offset = back.positions_m - exact().positions_m
        assert_allclose(offset - offset[0], 0, atol=1e-16)
        assert_array_equal(scan.probe, exact().probe[1])

    def test_all_other_fields_are_written(self, tmp_path):
        found = exact()
        with np.load(write_npz(found, tmp_path / "a.npz")) as file:
            assert_array_equal(file["objectGuess"], found.object[0])
            assert_array_equal(file["probe_modes"], found.probe)
            assert file["energy_eV"] == 8800
            assert_array_equal(file["errors"], found.errors)
            assert "diffraction" not in file

    def test_only_own_files_are_replaced(self, tmp_path):
        path = write_npz(exact(), tmp_path / "a.npz")
        write_npz(exact(), path)
        np.savez(path, x=3)
        with pytest.raises(FileError, match="was not written by ptypy_beamline"):
            write_npz(exact(), path)

    def test_layers_are_refused(self, tmp_path):
        with pytest.raises(ScanError, match="3 layers, PtychoPINN needs one"):
            write_npz(exact(**LAYERED), tmp_path / "a.npz")


class TestTiff:
    def test_values_and_pixel(self, tmp_path):
        found = exact(pixel_m=(1e-8, 2e-8))
        phase, amplitude = write_tiffs(found, tmp_path / "out")
        assert_array_equal(tifffile.imread(phase), np.angle(found.object[0]))
        assert_array_equal(tifffile.imread(amplitude), np.abs(found.object[0]))
        with tifffile.TiffFile(phase) as file:
            page = file.pages.first
            assert page.dtype == np.float32
            assert page.resolutionunit == tifffile.RESUNIT.CENTIMETER
            assert page.resolution == pytest.approx((1e-2 / 2e-8, 1e-2 / 1e-8))
            about = json.loads(page.description)
        assert about["unit"] == "rad"
        assert about["pixel_size_m"] == {"y": 1e-8, "x": 2e-8}

    def test_layers_are_pages(self, tmp_path):
        phase, _ = write_tiffs(exact(**LAYERED), tmp_path)
        assert tifffile.imread(phase).shape == LAYERED["object"].shape

    def test_all_or_nothing(self, tmp_path):
        write_tiffs(exact(), tmp_path)
        before = write_tiffs(exact(), tmp_path)[0].read_bytes()
        tifffile.imwrite(tmp_path / "amplitude.tif", np.zeros((3, 3)))
        with pytest.raises(FileError, match=r"amplitude\.tif: exists and was not written"):
            write_tiffs(exact(object=exact().object * 1j), tmp_path)
        assert (tmp_path / "phase.tif").read_bytes() == before
        assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("name", ["metrics/algorithm", "object/complex"])
def test_malformed_reconstructions_are_named(tmp_path, name):
    path = write_reconstruction(exact(), tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        del file[name]
        file[name] = 3
    with pytest.raises(BeamlineError, match=r"not a reconstruction\.h5|Expected"):
        read_reconstruction(path)


@pytest.mark.parametrize("name", ["loss_epochs", "object", "probe_position_x_m"])
def test_malformed_products_are_named(tmp_path, name):
    path = export_product(exact(), tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        del file[name]
        file[name] = np.arange(7)
    with pytest.raises(FileError, match=r"a\.h5: not a Ptychodus product"):
        import_product(path)


class TestProductCommand:
    """NPZ → product."""

    def written(self, folder, **more):
        """As PtychoPINN has it: coordinates are pixels of objectGuess."""
        found = exact()
        rows, columns = pixels_of(found, found.positions_m).T
        arrays = {
            "xcoords": columns,
            "ycoords": rows,
            "probeGuess": found.probe[1],
            "objectGuess": found.object[0],
            "diffraction": np.sqrt(scans.truth().frames).astype(np.float32),
            "scan_index": np.zeros(49, int),
        } | more
        path = folder / "in.npz"
        np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
        return path

    @pytest.mark.parametrize("old_flags", [False, True])
    def test_all_flags(self, tmp_path, type_in, old_flags):
        source, target = self.written(tmp_path), tmp_path / "p.h5"
        files = (
            ("--input-npz", source, "--output-product", target)
            if old_flags
            else (source, "-o", target)
        )
        code, out, err = type_in(
            "product",
            *files,
            *FLAGS,
            *"""
                --name n --comments c --exposure-time-s 0.1 --probe-pixel-size-m 1e-8
                --include-diffraction
            """.split(),
        )
        assert code == 0, err
        assert "49 positions, with frames" in out
        made, wanted = import_product(target), exact(probe=exact().probe[1:])
        offset = np.array(wanted.center_m) - made.center_m
        assert_allclose(made.positions_m + offset, wanted.positions_m, atol=1e-20)
        assert_array_equal(made.object, wanted.object)
        assert_array_equal(made.probe, wanted.probe)
        assert (made.energy_eV, made.distance_m, made.pixel_m) == (8800, 2, (1e-8, 1e-8))
        with h5py.File(target) as file, np.load(source) as given:
            written = [file.attrs[name] for name in ("name", "comments", "exposure_time_s")]
            assert written == ["n", "c", 0.1]
            raw = file["raw_data"]
            assert_array_equal(raw["diffraction"], given["diffraction"])
            for name in ("xcoords", "ycoords", "scan_index"):
                assert_array_equal(raw[name], given[name])
            assert_array_equal(file["probe_position_indexes"], np.arange(49))
            for name in ("probeGuess", "objectGuess"):
                assert_array_equal(raw[name], given[name])

    def test_without_frames(self, tmp_path, type_in):
        source = self.written(tmp_path, diffraction=None)
        words = ("product", source, "-o", tmp_path / "p.h5", *FLAGS)
        code, _, err = type_in(*words)
        assert code == 1
        assert "--no-include-diffraction" in err
        assert type_in(*words, "--no-include-diffraction")[0] == 0
        with h5py.File(tmp_path / "p.h5") as file:
            assert "raw_data" not in file

    @pytest.mark.parametrize("stored", ["frames last", "counts", "compressed"])
    def test_however_the_frames_are_stored(self, tmp_path, type_in, stored):
        counts = scans.truth().frames.astype(np.uint16)
        amplitudes = np.sqrt(counts.astype(float)).astype(np.float32)
        more = {
            "frames last": {"diffraction": np.moveaxis(amplitudes, 0, -1)},
            "counts": {"diffraction": None, "diff3d": counts},
            "compressed": {},
        }[stored]
        source = self.written(tmp_path, **more)
        if stored == "compressed":
            with np.load(source) as file:
                np.savez_compressed(source, **dict(file))
        assert type_in("product", source, "-o", tmp_path / "p.h5", *FLAGS)[0] == 0
        with h5py.File(tmp_path / "p.h5") as file:
            assert_array_equal(file["raw_data/diffraction"], amplitudes)

    @pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
    def test_frames_stream(self, tmp_path, write):
        """256 MiB go through in a few blocks of 32 MiB."""
        write(tmp_path / "a.npz", diffraction=np.zeros((256, 512, 512), np.float32))
        tracemalloc.start()
        total = sum(len(block) for block in of_npz(tmp_path / "a.npz", 256).blocks())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert total == 256
        assert peak < 140 * 2**20

    def test_unknown_quantities_are_reported(self, tmp_path, type_in):
        """Each quantity by itself: PtychoPINN's default, with the flag that sets it."""
        source, target = self.written(tmp_path), tmp_path / "p.h5"
        taken = ("energy_eV = 0", "distance_m = 0", "pixel_m = 5e-08")
        for k, flag in enumerate(FLAGS[::2]):
            words = [w for n, w in enumerate(FLAGS) if n // 2 != k]
            code, _, err = type_in("product", source, "-o", target, *words)
            assert code == 0
            assert f"{taken[k]} is written" in err
            assert f"set {flag}" in err
        assert type_in("product", source, "-o", target, *FLAGS)[2] == ""

    def test_nothing_unphysical_is_taken(self, tmp_path, type_in):
        source, target = self.written(tmp_path), tmp_path / "p.h5"
        for flag in FLAGS[::2]:
            for value in ("-1", "nan") + (("0",) if "pixel" in flag else ()):
                code, _, err = type_in("product", source, "-o", target, *FLAGS, flag, value)
                assert code == 1
                assert "positive" in err
                assert flag in err
        assert not target.exists()

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            ({"xcoords": np.full(48, 80.0)}, "as many xcoords as ycoords. Got 48 and 49"),
            ({"xcoords": np.r_[np.nan, np.full(48, 80.0)]}, "1 of 49 positions are not finite"),
            ({"objectGuess": np.ones((2, 150, 150))}, r"one object of one layer"),
        ],
    )
    def test_the_error_names_what_does_not_fit(self, tmp_path, type_in, more, message):
        source = self.written(tmp_path, **more)
        code, _, err = type_in("product", source, "-o", tmp_path / "p.h5", *FLAGS)
        assert code == 1
        assert message in err

    def test_coordinates_from_the_objects_middle(self, tmp_path, type_in):
        """They are not pixels of objectGuess: a warning, and its middle is at 0."""
        rows, columns = pixels_of(exact(), exact().positions_m).T
        ny, nx = exact().object.shape[-2:]
        source = self.written(tmp_path, xcoords=columns - (nx - 1) / 2, ycoords=rows - (ny - 1) / 2)
        words = ("product", source, "-o", tmp_path / "p.h5", *FLAGS)
        code, _, err = type_in(*words)
        assert code == 0
        assert "its middle is assumed to be at 0" in err
        assert import_product(tmp_path / "p.h5").center_m == (0, 0)
        centre = ("--object-center-x-m", "0", "--object-center-y-m", "0")
        assert type_in(*words, *centre)[2] == ""

    def test_coordinates_outside_the_object(self, tmp_path, type_in):
        source = self.written(tmp_path, xcoords=np.linspace(-20, 20, 49))
        words = ("product", source, "-o", tmp_path / "p.h5", *FLAGS)
        code, _, err = type_in(*words)
        assert code == 0
        assert "views lie outside the object: set --object-center-y-m" in err
        centre = ("--object-center-x-m", "0")
        code, _, err = type_in(*words, *centre)
        assert (code, err) == (0, "")
        assert import_product(tmp_path / "p.h5").center_m[1] == 0
        code, _, err = type_in(*words, "--object-center-x-m", "1")
        assert code == 0
        assert "warning: " in err

    def test_our_own_npz_needs_no_flags(self, tmp_path, type_in, plan):
        source = write_npz(exact(), tmp_path / "a.npz", frames=of_plan(plan))
        assert type_in("product", source, "-o", tmp_path / "p.h5")[0] == 0
        made = import_product(tmp_path / "p.h5")
        assert_allclose(made.positions_m, exact().positions_m, atol=1e-20)
        assert_same(made, exact(), "positions_m", "provenance", "scan")

    def test_a_probe_with_another_pixel_size_is_warned_of(self, tmp_path, type_in):
        target = tmp_path / "p.h5"
        words = ("product", self.written(tmp_path), "-o", target, *FLAGS)
        assert type_in(*words, "--probe-pixel-size-m", "2e-8")[0] == 0
        with h5py.File(target) as file:
            assert dict(file["probe"].attrs) == {"pixel_height_m": 2e-8, "pixel_width_m": 2e-8}
        with pytest.warns(BeamlineWarning, match="the probe's pixel"):
            import_product(target)

    @pytest.mark.parametrize("words", [(), ("a.npz", "--input-npz", "b.npz"), ("a.npz",)])
    def test_files_are_needed(self, type_in, words):
        code, _, err = type_in("product", *words)
        assert code == 1
        assert "give FILE.npz" in err or "set -o" in err


@pytest.mark.ptypy
class TestExportCommand:
    @pytest.fixture
    def ptyr(self):
        return reconstructions.ptyr()

    def test_with_frames_the_scan_comes_back(self, tmp_path, type_in, ptyr):
        code, out, err = type_in("export", ptyr, "-o", tmp_path / "a.cxi", "--frames")
        assert code == 0, err
        assert "object 1x" in out
        assert out.endswith("46 positions, PtyPy DM 50 + ML 10\n")
        frames, _, back = whole(tmp_path / "a.cxi")
        assert_array_equal(frames, all_frames(reconstructions.plan())[0])
        refined = reconstructions.ptycho().obj.storages["SsG00"]
        coordinates = [v.coord for v in refined.views if v.pod.pr_view.layer == 0]
        assert_allclose(back.positions_m, coordinates, atol=1e-20)

    @pytest.mark.parametrize("kind", ["product", "h5", "npz", "cxi"])
    def test_every_file_from_a_ptyr(self, tmp_path, type_in, ptyr, kind):
        code, _, err = type_in("export", ptyr, "-o", tmp_path / "out", "--to", kind)
        assert code == 0, err
        if kind in ("product", "h5"):
            from ptypy_beamline.reconstruction import read, read_ptyr

            back = read(tmp_path / "out")
            assert_same(back, read_ptyr(ptyr), "provenance")
            known = back.provenance
            assert known["unused_frames"] == reconstructions.REJECT
            assert known["settings"]["engines"]["first"]["numiter"] == 50
            assert len(known["sha256"]) == 64
            assert "numpy" in known["versions"]

    def test_exports_of_exports(self, tmp_path, type_in, ptyr):
        """A reconstruction.h5 still knows how to load its frames."""
        assert type_in("export", ptyr, "-o", tmp_path / "a.h5")[0] == 0
        words = ("export", tmp_path / "a.h5", "-o", tmp_path / "b.h5", "--to", "product")
        assert type_in(*words, "--frames")[0] == 0
        assert_allclose(
            whole(tmp_path / "b.h5")[0], all_frames(reconstructions.plan())[0], rtol=1e-6
        )

    def test_tiff_into_a_folder(self, tmp_path, type_in, ptyr):
        assert type_in("export", ptyr, "-o", tmp_path / "t")[0] == 0
        assert {f.name for f in (tmp_path / "t").iterdir()} == {"phase.tif", "amplitude.tif"}

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("-o", "a.h5", "--frames"), "--to h5 cannot hold frames"),
            (("-o", "a.xyz"), "no format has the suffix .xyz; set --to"),
            (("-o", "a.h5", "--to", "mat"), "--to mat; set --to"),
            (("-o", "a.h5", "--scan", "b"), "no scan 'b'; choose by --scan (scan=): s"),
        ],
    )
    def test_impossible_exports_are_refused(
        self, tmp_path, type_in, ptyr, words, message, monkeypatch
    ):
        monkeypatch.chdir(tmp_path)
        code, _, err = type_in("export", ptyr, *words)
        assert code == 1
        assert message in err
        assert not list(tmp_path.iterdir())

    def test_inputs_are_not_written_to(self, tmp_path, type_in, ptyr):
        before = ptyr.read_bytes()
        code, _, err = type_in("export", ptyr, "-o", ptyr, "--to", "h5")
        assert code == 1
        assert "is read by this command" in err
        raw = reconstructions.raw_file()
        code, _, err = type_in("export", ptyr, "-o", raw, "--to", "h5")
        assert code == 1
        assert "is read by this command" in err
        assert ptyr.read_bytes() == before

    def test_a_raw_file_of_ours_is_not_replaced(self, tmp_path, type_in, plan):
        raw = write_standard(plan, tmp_path / "raw.h5")
        found = exact(provenance={"source": str(raw)})
        code, _, err = type_in("export", export_product(found, tmp_path / "p.h5"), "-o", raw)
        assert code == 1
        assert "raw.h5 is read by this command" in err


def test_npz_members_are_plain(tmp_path, plan):
    """No pickle, no compression: others map it into memory."""
    write_npz(exact(), tmp_path / "a.npz", frames=of_plan(plan))
    with zipfile.ZipFile(tmp_path / "a.npz") as file:
        assert {info.compress_type for info in file.infolist()} == {zipfile.ZIP_STORED}
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert str(file["creator"]) == "ptypy_beamline"
        assert all(file[name].dtype != object for name in file)
