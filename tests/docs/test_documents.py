"""What the documents that this package grew from promise, typed as they write it.

Each class is one document, each test one of its commands, paths, units or code blocks, with this
package's names for the document's; ``docs/from_the_ingestion_kit.md`` has the same list in words.
Files are made as the documents describe them, by plain h5py, tifffile and NumPy.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import scans
import tifffile
from described_files import grid, last_line, spots, standardized
from numpy.testing import assert_allclose, assert_array_equal

from ptypy_beamline import open_scan
from ptypy_beamline.errors import BeamlineWarning
from ptypy_beamline.reconstruction.io.npz import Physics, read_npz
from ptypy_beamline.reconstruction.io.product import ProductInfo, export_product, import_product


class TestPhantomDataset:
    """``phantom-dataset.txt``."""

    ROWS, COLUMNS = 4, 6

    @pytest.fixture
    def cell(self, tmp_path, monkeypatch):
        """X/X.h5, X/X_ref.h5, X/phantom/, X/n2e7/ and X/info.txt, of fewer positions."""
        monkeypatch.chdir(tmp_path)
        rng, n = np.random.default_rng(3), self.ROWS * self.COLUMNS
        for folder in ("cell/phantom", "cell/n2e7"):
            Path(folder).mkdir(parents=True)
        magnitude = np.sqrt(rng.poisson(20, (1, n, 72, 72))).astype(np.complex64)
        for name, stored in (("cell", magnitude), ("cell_ref", np.zeros_like(magnitude))):
            with h5py.File(f"cell/{name}.h5", "w") as file:
                file["exchange/data"] = stored
        delta, beta = rng.random((2, 325, 325, 1)) * 1e-5
        np.save("cell/phantom/grid_delta.npy", delta)
        np.save("cell/phantom/grid_beta.npy", beta)
        np.save("cell/n2e7/obj_checkpoint.npy", np.stack([delta, beta], axis=-1))
        np.save("cell/n2e7/opt_params_checkpoint.npy", np.zeros((2, 325, 325, 1, 2)))
        Path("cell/info.txt").write_text(
            f"Probe size: 72 x 72 pixels\nSample size: 325 x 325 pixels\n"
            f"Probe positions: {self.ROWS} x {self.COLUMNS}\nStep size: 5 pixels\n"
            "Energy: 5000 eV\nPixel size: 1e-07 cm\n"
        )
        return magnitude

    @pytest.mark.parametrize("file", ["cell", "cell/cell.h5"])
    def test_diffraction(self, cell, shell, file):
        scan = open_scan(file)
        plan = scan.plan(center=(36, 36))
        assert_allclose(scans.all_frames(plan, 10)[0], np.abs(cell[0]) ** 2, rtol=1e-6)
        assert scan.energy_eV == 5000
        assert plan.geometry.object_pixel_m == pytest.approx((1e-9, 1e-9))
        steps = np.ptp(scan.positions_m, axis=0)
        assert_allclose(steps, (5e-9 * (self.ROWS - 1), 5e-9 * (self.COLUMNS - 1)))
        assert f"{self.ROWS * self.COLUMNS}" in shell(f"info {file}")

    def test_the_result_against_the_phantom(self, cell, shell):
        found = json.loads(shell("compare cell/n2e7/obj_checkpoint.npy cell --json"))
        assert found["correlation"] == pytest.approx(1)

    def test_features_and_labels_of_unlabelled_frames(self, cell, shell):
        """The autoencoder that extracts features and assigns labels → qc."""
        shell("qc cell --embedding autoencoder --labels 3 --thumbs-topk 0 --out qc_run")
        with Path("qc_run/qc_summary.csv").open() as file:
            assert {row["label"] for row in csv.DictReader(file)} <= {"0", "1", "2"}


class TestPtychodusProduct:
    """``ptychodus-product.md``."""

    COMMAND = """product \\
      --input-npz datasets/Run1084_recon3_postPC_shrunk_3.npz \\
      --output-product outputs/ptychodus_products/run1084_product.h5 \\
    """
    PRODUCT = Path("outputs/ptychodus_products/run1084_product.h5")

    @pytest.fixture
    def npz(self, shell):
        """A reconstruction with its frames; coordinates in pixels of objectGuess."""
        rng, n = np.random.default_rng(4), 12
        probe, obj = (rng.random((k, k)) + 1j * rng.random((k, k)) for k in (32, 90))
        arrays = {
            "xcoords": rng.uniform(20, 70, n),
            "ycoords": rng.uniform(20, 70, n),
            "diff3d": rng.random((n, 32, 32)).astype(np.float32),
            "scan_index": np.zeros(n, int),
            "probeGuess": probe.astype(np.complex64),
            "objectGuess": obj.astype(np.complex64),
        }
        Path("datasets").mkdir()
        Path("outputs/ptychodus_products").mkdir(parents=True)
        np.savez("datasets/Run1084_recon3_postPC_shrunk_3.npz", **arrays)
        return arrays

    def test_the_command(self, npz, shell):
        shell(f"""{self.COMMAND} --name "Run1084" \\
          --comments "Run1084 reconstruction export" \\
          --detector-distance-m 0.0 \\
          --probe-energy-eV 8000.0 \\
          --exposure-time-s 0.1 \\
          --object-pixel-size-m 5e-8 \\
          --probe-pixel-size-m 1.25e-7 \\
          --object-center-x-m 0.0 \\
          --object-center-y-m 0.0 \\
          --include-diffraction""")
        with h5py.File(self.PRODUCT) as file:
            assert file.attrs["name"] == "Run1084"
            assert file.attrs["comments"] == "Run1084 reconstruction export"
            assert file.attrs["probe_energy_eV"] == 8000
            assert file.attrs["detector_object_distance_m"] == 0
            assert file.attrs["exposure_time_s"] == 0.1
            assert file["object"].attrs["center_x_m"] == file["object"].attrs["center_y_m"] == 0
        self.check(npz)

    def test_its_defaults(self, npz, shell):
        output = shell(self.COMMAND)
        assert "energy_eV = 0, distance_m = 0, pixel_m = 5e-08" in output
        with h5py.File(self.PRODUCT) as file:
            for name in ("detector_object_distance_m", "probe_energy_eV", "exposure_time_s"):
                assert file.attrs[name] == 0
        self.check(npz)

    def check(self, npz):
        """The structure, as the document has it."""
        with h5py.File(self.PRODUCT) as file:
            for name, array, pixel in (
                ("probe", "probeGuess", 1.25e-7),
                ("object", "objectGuess", 5e-8),
            ):
                assert_array_equal(file[name], npz[array])
                assert file[name].attrs["pixel_width_m"] == pixel
                assert file[name].attrs["pixel_height_m"] == pixel
                assert file[f"raw_data/{array}"] == file[name]
            for axis in "xy":
                assert_allclose(file[f"probe_position_{axis}_m"], npz[f"{axis}coords"] * 5e-8)
                assert_array_equal(file[f"raw_data/{axis}coords"], npz[f"{axis}coords"])
            assert_array_equal(file["probe_position_indexes"], np.arange(12))
            assert_array_equal(file["raw_data/scan_index"], npz["scan_index"])
            assert_array_equal(file["raw_data/diffraction"], npz["diff3d"])
            for name in ("loss_values", "loss_epochs", "object_layer_spacing_m"):
                assert file[name].shape == (0,)

    def test_without_the_frames(self, npz, shell):
        shell(f"{self.COMMAND} --no-include-diffraction")
        with h5py.File(self.PRODUCT) as file:
            assert "raw_data" not in file

    def test_programmatic_access(self, npz):
        """ExportMeta, export_product_from_rawdata, import_product_to_rawdata."""
        found = read_npz("datasets/Run1084_recon3_postPC_shrunk_3.npz", Physics(8e3, 1.0, 5e-8))
        info = ProductInfo(name="My Reconstruction", probe_pixel_m=1.25e-7)
        path = export_product(found, "outputs/my_product.h5", info=info)
        with pytest.warns(BeamlineWarning, match="the probe's pixel"):
            back = import_product(path)
        assert_array_equal(back.object[0], npz["objectGuess"])
        assert_array_equal(back.probe[0], npz["probeGuess"])

    def test_verification(self, npz, shell):
        shell(f"{self.COMMAND} --name Run1084")
        block = """
import h5py
import json

with h5py.File("outputs/ptychodus_products/run1084_product.h5", "r") as f:
    print(f"Name: {f.attrs['name']}")
    print(f"Scan positions: {len(f['probe_position_indexes'])}")
    print(f"Probe shape: {f['probe'].shape}")
    print(f"Object shape: {f['object'].shape}")
    if 'raw_data' in f:
        print(f"Diffraction shape: {f['raw_data/diffraction'].shape}")
"""
        Path("verify.py").write_text(block)
        assert last_line("verify.py") == "Diffraction shape: (12, 32, 32)"


class TestPtychographyFormats:
    """``ptychography-formats.md``."""

    @pytest.fixture
    def cxi(self, shell):
        """Its CXI tree: energy in eV, mask 1 = valid, an initial probe."""
        frames, translation = spots(8, 64), np.column_stack([grid(8), np.zeros(8)])
        valid = np.ones((64, 64), np.uint8)
        valid[5, 6:9] = 0
        probe = np.exp(-((np.indices((64, 64)) - 32) ** 2).sum(0) / 200).astype(np.complex64)
        with h5py.File("scan_ptycho.cxi", "w") as file:
            entry = file.create_group("entry_1")
            entry["data_1/data"] = frames
            entry["sample_1/geometry_1/translation"] = translation
            detector = entry.create_group("instrument_1/detector_1")
            detector["distance"], detector["mask"] = 2.0, valid
            detector["x_pixel_size"] = detector["y_pixel_size"] = 75e-6
            detector["corner_position"] = np.zeros(3)
            entry["instrument_1/source_1/energy"] = 8000.0
            entry["instrument_1/source_1/wavelength"] = 12398.4 / 8000 * 1e-10
            entry["instrument_1/illumination_1/probe"] = probe
        return frames, translation, valid, probe

    def test_cxi(self, cxi):
        frames, translation, valid, probe = cxi
        with pytest.warns(BeamlineWarning) as caught:
            scan = open_scan("scan_ptycho.cxi")
        words = " ".join(str(one.message) for one in caught)
        assert "taken as eV" in words
        assert "mask" in words
        assert scan.energy_eV == 8000
        assert (scan.distance_m, scan.pixel_m) == (2.0, (75e-6, 75e-6))
        assert_allclose(scan.positions_m, translation[:, 1::-1])
        plan = scan.plan(center=(32, 32))
        got = next(plan.blocks(8))
        assert_array_equal(got.good[0], valid == 1)
        assert_array_equal(got.frames, np.where(valid, frames, 0))
        assert_array_equal(scan.probe, probe)

    def test_derived_parameters(self, cxi, shell):
        """dx_recon = wavelength × distance / (N × pixel)."""
        with pytest.warns(BeamlineWarning):
            plan = open_scan("scan_ptycho.cxi").plan(center=(32, 32))
        wavelength = 12398.4 / 8000 * 1e-10
        assert plan.geometry.object_pixel_m[1] == pytest.approx(wavelength * 2 / (64 * 75e-6), 1e-4)

    def test_aps_hdf5(self, shell):
        """/exchange and /instrument without @units: µm, metres, metres, keV."""
        frames = spots(8, 64)
        with h5py.File("scan.h5", "w") as file:
            file["exchange/data"] = frames
            for axis, values in zip("xy", grid(8).T * 1e6, strict=True):
                file[f"exchange/positions_{axis}"] = values
            file["exchange/theta"] = np.zeros(1)
            file["instrument/detector/distance"], file["instrument/source/energy"] = 2.0, 8.8
            file["instrument/detector/pixel_size"] = 75e-6
        scan = open_scan("scan.h5")
        assert scan.format == "exchange"
        assert scan.energy_eV == pytest.approx(8800)
        assert (scan.distance_m, scan.pixel_m) == (2.0, (75e-6, 75e-6))
        assert_allclose(scan.positions_m, grid(8)[:, ::-1], atol=1e-18)
        shell("check scan.h5 --roi-center 32,32 --json", code=None)

    @pytest.fixture
    def product(self, shell):
        from reconstructions import exact

        return export_product(exact(), "product.h5"), exact()

    def test_reconstruction_h5(self, product, shell):
        shell("export product.h5 -o reconstruction.h5")
        with h5py.File("reconstruction.h5") as file:
            obj = product[1].object[0]
            assert_array_equal(file["object/complex"], obj)
            assert_array_equal(file["object/phase"], np.angle(obj))
            assert_array_equal(file["object/amplitude"], np.abs(obj))
            assert_allclose(file["object/pixel_size"], product[1].pixel_m)
            assert file["probe/complex"].shape == (64, 64)
            assert_array_equal(file["probe/modes"], product[1].probe)
            assert file["metrics/error_per_iteration"].shape == product[1].errors.shape
            assert file["metrics/algorithm"].asstr()[()] == product[1].algorithm
            assert file["metrics/n_iterations"][()] == product[1].iterations

    def test_reconstructed_cxi(self, product, shell):
        """Its second block, word for word."""
        shell("export product.h5 -o reconstruction.cxi")
        with h5py.File("reconstruction.cxi", "r") as f:
            phase = f["/entry_1/image_1/data_phase"][:]
            amplitude = f["/entry_1/image_1/data_amplitude"][:]

            # Complex object
            obj = amplitude * np.exp(1j * phase)
            assert_allclose(obj, product[1].object[0], atol=1e-6)
            assert_array_equal(f["/entry_1/image_1/data_real"], product[1].object[0].real)
            assert_array_equal(f["/entry_1/image_1/data_imag"], product[1].object[0].imag)

    def test_ptycho_tomo(self, product, shell):
        """angle_000/phase.tif and amplitude.tif; the volume is tomo's (test_tomo_runs)."""
        shell("export product.h5 -o ptycho_tomo/angle_000 --to tiff")
        obj = product[1].object[0]
        for name, wanted in (("phase", np.angle(obj)), ("amplitude", np.abs(obj))):
            image = tifffile.imread(f"ptycho_tomo/angle_000/{name}.tif")
            assert image.dtype == np.float32
            assert_allclose(image, wanted, rtol=1e-6)

    def test_preprocessing(self, shell):
        """Dark, hot pixels, background, saturation; centre of mass is in test_center."""
        frames = spots(8, 64)
        frames[:, 10, 12], frames[3, 32, 32] = 4000, 900
        standardized("scan.h5", frames, grid(8))
        np.save("dark.npy", np.full((64, 64), 3.0))
        shell("""standardize scan.h5 -o std.h5 --roi-center 32,32 --dark dark.npy \\
            --background 2 --hot-sigma 6 --sat 900""")
        with h5py.File("std.h5") as file:
            got = file["entry/data"][()]
            assert file["entry/mask"][10, 12] == 1
            assert np.isnan(got[3, 32, 32]) or file["entry/mask"][32, 32]
            assert_array_equal(
                got[4, 30:34, 28:31], np.clip(frames[4, 30:34, 28:31] - 5.0, 0, None)
            )


class TestPtypyDataManagement:
    """``ptypy-data-management.rst``."""

    @pytest.fixture
    def sample(self, shell):
        """The printed sample.ptyd: chunks of ten, weights empty, absent values 'None'."""
        rng, positions = np.random.default_rng(5), grid(30)[:, ::-1]
        frames = rng.poisson(9, (30, 128, 128)).astype(np.int32)
        with h5py.File("sample.ptyd", "w") as file:
            meta = {
                "center": [64.0, 64.0],
                "distance": 7.0,
                "energy": 6.2,
                "label": "None",
                "experimentID": "None",
                "psize": [0.000172, 0.000172],
                "shape": [128, 128],
                "version": "0.1",
                "weight2d": np.ones((128, 128)),
            }
            info = {
                "auto_center": "None",
                "chunk_format": ".chunk%02d",
                "dfile": "sample.ptyd",
                "min_frames": 1,
                "num_frames": 30,
                "origin": "fftshift",
                "rebin": 1,
                "positions_scan": positions,
                "propagation": "farfield",
                "save": "append",
            }
            for name, values in (("meta", meta), ("info", info)):
                for key, value in values.items():
                    file[f"{name}/{key}"] = value
            file["common/positions_scan"], file["common/weight2d"] = positions, np.ones((128, 128))
            for k in range(3):
                part, chunk = slice(10 * k, 10 * k + 10), file.create_group(f"chunks/{k}")
                chunk["data"], chunk["positions"] = frames[part], positions[part]
                chunk["indices"] = np.arange(10.0 * k, 10 * k + 10)
                chunk["weights"] = np.empty(0)
        return frames, positions

    def test_sample_ptyd(self, sample, shell):
        frames, positions = sample
        scan = open_scan("sample.ptyd")
        plan = scan.plan()
        got, good = scans.all_frames(plan, 10)
        assert_array_equal(got, frames)
        assert good.all()
        assert_array_equal(scan.positions_m, positions)
        assert (scan.energy_eV, scan.distance_m) == (6200, 7.0)
        assert scan.pixel_m == (0.000172, 0.000172)
        assert scan.center_px == (64, 64)
        assert "30" in shell("info sample.ptyd")

    @pytest.mark.parametrize("save", ["append", "link"])
    def test_the_file_that_is_written(self, shell, tmp_path, save):
        scans.write(tmp_path)
        shell(f"ptyd standard.h5 -o scan.ptyd --save {save} --block 20")
        with h5py.File("scan.ptyd") as file:
            assert file["meta/num_frames"][()] == 49
            assert file["meta/energy"][()] == pytest.approx(8.8)
            assert file["meta/distance"][()] == pytest.approx(scans.truth().distance_m)
            assert_allclose(file["meta/psize"], 75e-6)
            assert {len(file[f"chunks/{k}/data"]) for k in range(3)} == {20, 9}
            assert file["chunks/0/positions"].shape == (20, 2)
            assert_array_equal(file["chunks/2/indices"], np.arange(40, 49))

    @pytest.mark.ptypy
    @pytest.mark.parametrize(
        ("parameters", "shape"),
        [
            ({"shape": 32, "center": (32, 32)}, (32, 32)),
            ({"orientation": 3, "rebin": 2}, (32, 32)),
            ({"auto_center": True, "num_frames": 10, "min_frames": 5}, (64, 64)),
            ({"energy": 6.2, "distance": 7.0, "psize": 0.000172}, (64, 64)),
            ({"load_parallel": "data", "save": "append", "dfile": "saved.ptyd"}, (64, 64)),
        ],
    )
    def test_parameters_of_scan_data(self, shell, tmp_path, parameters, shape):
        """Preprocessing, packaging and storage, by PtyPy's names of them."""
        from ptypy import utils as u
        from ptypy.core import Ptycho

        import ptypy_beamline.ptyscan  # noqa: F401  registers the loaders

        scans.write(tmp_path)
        data = u.Param(name="BeamlineScan", file="standard.h5", **parameters)
        p = u.Param(verbose_level="ERROR", io=u.Param(interaction=u.Param(active=False)))
        p.io.autosave, p.io.autoplot = u.Param(active=False), u.Param(active=False)
        p.scans = u.Param(s=u.Param(name="BlockFull", data=data))
        blocks = list(Ptycho(p, level=2).diff.S.values())
        assert blocks[0].data.shape[-2:] == shape
        assert sum(len(block.data) for block in blocks) == parameters.get("num_frames", 49)
        if "dfile" in parameters:
            assert len(open_scan("saved.ptyd").frames.shape) == 3
