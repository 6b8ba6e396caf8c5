"""What the documents that this package grew from promise, typed as they write it.

Each class is one document, each test one of its commands, paths, units or code blocks, with this
package's names for the document's; ``docs/from_the_ingestion_kit.md`` has the same list in words.
Files are made as the documents describe them, by plain h5py, tifffile and NumPy.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import scans
import tifffile
from folders import ROOT
from numpy.testing import assert_allclose, assert_array_equal

from ptypy_beamline import open_scan
from ptypy_beamline.errors import BeamlineWarning
from ptypy_beamline.reconstruction.io.npz import Physics, read_npz
from ptypy_beamline.reconstruction.io.product import ProductInfo, export_product, import_product

ENERGY_EV, DISTANCE_M, PIXEL_M, EXPOSURE_S = 8800.0, 2.0, 75e-6, 0.05
SIDE = 1040
"""Of the large detector: a window of 1024 fits."""


@pytest.fixture
def shell(type_in, tmp_path, monkeypatch):
    """Type a command line in a folder of its own; it must end well."""
    monkeypatch.chdir(tmp_path)

    def run(line, code=0):
        import shlex

        got, out, err = type_in(*shlex.split(line.replace("\\\n", " ")))
        assert code in (got, None), err
        return out + err

    return run


def spots(n, side=SIDE, seed=1):
    """(n, side, side) uint16 frames: few counts, in the middle, and a gradient of its own."""
    rng, frames = np.random.default_rng(seed), np.zeros((n, side, side), np.uint16)
    half = min(40, side // 4)
    middle = slice(side // 2 - half, side // 2 + half)
    frames[:, middle, middle] = rng.poisson(50, (n, 2 * half, 2 * half))
    frames[:, side // 10, side * 7 // 8] = 7 + np.arange(n)
    return frames


def grid(n):
    """(n, 2) positions x, y in metres."""
    x, y = np.divmod(np.arange(n), 4)
    return np.column_stack([x, y]) * 1e-6


def standardized(path, frames, positions, **more):
    """The kit's schema, all that it has in /entry."""
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry")
        entry["data"], entry["pos"] = frames, positions
        entry["energy_eV"], entry["det_dist_m"], entry["pixel_m"] = ENERGY_EV, DISTANCE_M, PIXEL_M
        entry["exposure_s"] = EXPOSURE_S
        for name, value in more.items():
            entry[name] = value
    return path


def block_of(frame, center=None, size=1024):
    """What --roi and --roi-center cut out; what lies beyond the detector is 0."""
    cy, cx = center or (frame.shape[-2] // 2, frame.shape[-1] // 2)
    padded = np.pad(frame, [(0, 0)] * (frame.ndim - 2) + [(size, size)] * 2)
    rows = slice(cy - size // 2 + size, cy + size // 2 + size)
    columns = slice(cx - size // 2 + size, cx + size // 2 + size)
    return padded[..., rows, columns]


class TestIngestionKit:
    """``ingestion-kit.md``."""

    def test_standardized_schema(self, shell):
        frames, positions = spots(4, 64), grid(4)
        bad = np.zeros((64, 64), np.uint8)
        bad[3, 4] = 1
        dark, flat = np.full((64, 64), 2, np.float32), np.full((64, 64), 0.5, np.float32)
        standardized("scan.h5", frames, positions, mask=bad, dark=dark, flat=flat)
        scan = open_scan("scan.h5")
        plan = scan.plan(center=(32, 32))
        assert (scan.energy_eV, scan.distance_m) == (ENERGY_EV, DISTANCE_M)
        assert scan.pixel_m == (PIXEL_M, PIXEL_M)
        assert_array_equal(scan.positions_m, positions[:, ::-1])
        got = next(plan.blocks(4))
        wanted = np.clip(frames.astype(float) - 2, 0, None) / 0.5
        assert_array_equal(got.frames, np.where(bad, 0, wanted))
        assert_array_equal(got.good[0], bad == 0)

    def test_a2_hdf5_to_standardized(self, shell):
        """ingest_hdf5 → standardize."""
        frames = spots(6)
        frames[1, 520, 520] = 65000
        standardized("scan001.h5", frames, np.repeat(grid(2), 3, axis=0))
        shell("""standardize scan001.h5 --output scan001_std.h5 --frames-per-pos 3 \\
            --grouping sum --roi 1024,1024 --roi-center 0.5,0.5 --rotate 90 --flip h --sat 65000""")
        with h5py.File("scan001_std.h5") as file:
            entry = file["entry"]
            assert (entry["data"].shape, entry["data"].dtype) == ((2, 1024, 1024), np.float32)
            assert (entry["pos"].shape, entry["pos"].dtype) == ((2, 2), np.float64)
            assert_allclose(entry["pos"], grid(2))
            assert entry["energy_eV"][()] == ENERGY_EV
            assert entry["det_dist_m"][()] == DISTANCE_M
            assert_allclose(entry["pixel_m"], PIXEL_M)
            assert entry["exposure_s"][()] == pytest.approx(3 * EXPOSURE_S)
            assert entry["mask"].shape == (1024, 1024)
            # The saturated exposure of that pixel is left out, and filled from the two others.
            three = frames.reshape(2, 3, SIDE, SIDE).astype(float)
            three[0, 1, 520, 520] = three[0, (0, 2), 520, 520].mean()
            wanted = np.flip(np.rot90(block_of(three.sum(1)), -1, (1, 2)), 2)
            assert_allclose(entry["data"], wanted, rtol=1e-6)

    def test_b1_sidecar_from_an_epics_log(self, shell):
        """make_sidecar_from_epics_csv.py → sidecar."""
        tiffs(4, 64)
        shell("""sidecar --frames 'scan001_*.tif' --csv epics_log.csv \\
            --output scan001_sidecar.h5""")
        with h5py.File("scan001_sidecar.h5") as file:
            assert_allclose(file["entry/posx_m"], grid(4)[:, 0])
            assert_allclose(file["entry/posy_m"], grid(4)[:, 1])

    def test_b2_tiff_and_sidecar_to_standardized(self, shell):
        """ingest_tiff → standardize, its --pattern the file; the window reaches past the edge."""
        frames = tiffs(4, positions=np.repeat(grid(2), 2, axis=0))
        shell("sidecar --frames 'scan001_*.tif' --csv epics_log.csv --output scan001_sidecar.h5")
        shell("""standardize 'scan001_*.tif' --sidecar scan001_sidecar.h5 \\
            --output scan001_std.h5 --frames-per-pos 2 --grouping mean \\
            --roi 1024,1024 --roi-center 256,300 --rotate 270 --flip v""")
        with h5py.File("scan001_std.h5") as file:
            mean = frames.reshape(2, 2, SIDE, SIDE).mean(1)
            wanted = np.flip(np.rot90(block_of(mean, (256, 300)), -3, (1, 2)), 1)
            assert_allclose(file["entry/data"], wanted)
            inside = block_of(np.ones((SIDE, SIDE)), (256, 300))
            beyond = np.flip(np.rot90(inside, -3), 0) == 0
            assert_array_equal(file["entry/mask"], beyond)
            assert_allclose(file["entry/pos"], grid(2))

    @pytest.mark.parametrize(
        ("grouping", "of_three"),
        [
            ("sum", lambda k: k.sum(0)),
            ("mean", lambda k: k.mean(0)),
            ("first", lambda k: k[0]),
            ("best", lambda k: k[2]),
            ("none", lambda k: k),
        ],
    )
    def test_grouping(self, shell, grouping, of_three):
        """best: the highest median after clipping at saturation."""
        frames = np.full((3, 16, 16), 9, np.uint16) * np.array([1, 5, 7], np.uint16)[:, None, None]
        frames[1, :4] = 900  # many counts in a few pixels do not make a high median
        standardized("scan.h5", frames, np.zeros((3, 2)))
        shell(f"standardize scan.h5 -o std.h5 --frames-per-pos 3 --grouping {grouping} --sat 1000")
        with h5py.File("std.h5") as file:
            assert_allclose(file["entry/data"], np.atleast_3d(of_three(frames)).reshape(-1, 16, 16))

    @pytest.mark.parametrize("rotate", [0, 90, 180, 270])
    @pytest.mark.parametrize("flip", ["none", "h", "v", "hv"])
    def test_orientation_smoke_test(self, shell, rotate, flip):
        """Clockwise, then flip, of data and mask; orientation_roi_smoketest.py."""
        frames, bad = spots(2, 32), np.zeros((32, 32), np.uint8)
        frames[:, 3, 5], bad[7, 2] = 77, 1
        standardized("scan.h5", frames, grid(2), mask=bad)
        shell(f"standardize scan.h5 -o std.h5 --rotate {rotate} --flip {flip} --roi-center 16,16")

        def turned(image):
            image = np.rot90(image, -rotate // 90, (-2, -1))
            image = image[..., ::-1] if "h" in flip else image
            return image[..., ::-1, :] if "v" in flip else image

        with h5py.File("std.h5") as file:
            assert_array_equal(file["entry/data"], turned(np.where(bad, 0, frames)))
            assert_array_equal(file["entry/mask"], turned(bad))

    @pytest.mark.parametrize("center", ["0.5,0.5", "32,32"])
    def test_roi_centre_in_pixels_or_fractions(self, shell, center):
        frames = spots(2, 64)
        standardized("scan.h5", frames, grid(2))
        shell(f"standardize scan.h5 -o std.h5 --roi 32,32 --roi-center {center}")
        with h5py.File("std.h5") as file:
            assert_array_equal(file["entry/data"], frames[:, 16:48, 16:48])

    def test_smoke_test(self, shell):
        """synth_make_small_dataset.py is the demo's; then standardize."""
        standardized("synth.h5", spots(4, 520), grid(4))
        shell("""standardize synth.h5 --output synth_std.h5 --roi 512,512 --roi-center 0.5,0.5 \\
            --rotate 90 --flip v""")
        assert open_scan("synth_std.h5").frames.shape == (4, 512, 512)

    def test_evaluate(self, shell):
        """evaluate.py → qc, with its flags: no energy, distance, pixel, nor unit of positions."""
        truth = scans.truth()
        with h5py.File("data.cxi", "w") as file:
            file["/entry_1/data/data"] = truth.frames
            for axis, values in zip("yx", truth.positions_m.T * 1e6, strict=True):
                file[f"/entry_1/instrument/positioners/{axis}"] = values
        said = shell("""qc data.cxi \\
            --data-path /entry_1/data/data \\
            --pos-x-path /entry_1/instrument/positioners/x \\
            --pos-y-path /entry_1/instrument/positioners/y \\
            --roi 64 --bin 4 --embed-side 32 --pca-k 12 --w-feat 0.5 \\
            --reject-topp 0.02 --rect 0 0 50 50 \\
            --emit-ptypy-json qc_run/ptypy_indices.json \\
            --thumbs-topk 4 --thumbs-size 256 \\
            --out qc_run""")
        assert "no unit" in said
        assert "contains the whole scan" in said
        names = {path.name for path in Path("qc_run").iterdir()}
        assert names >= {
            "qc_maps.png",
            "outlier_score.npy",
            "stxm.npy",
            "dpcx.npy",
            "dpcy.npy",
            "accept_indices.npy",
            "reject_indices.npy",
            "mask_indices.npy",
            "qc_summary.csv",
            "qc_meta.json",
            "ptypy_indices.json",
            "features.npy",
        }
        assert Path("qc_run/thumbs/index.html").is_file()
        assert len(np.load("qc_run/reject_indices.npy")) == 1
        stxm = np.load("qc_run/stxm.npy")
        assert_allclose(stxm, np.log(truth.frames.sum((1, 2), dtype=float)), rtol=1e-3)
        listed = json.loads(Path("qc_run/ptypy_indices.json").read_text())
        assert listed["paths"]["frames"] == "/entry_1/data/data"
        shell("""info data.cxi --reject qc_run/ptypy_indices.json \\
            --path frames=/entry_1/data/data --path x=/entry_1/instrument/positioners/x \\
            --path y=/entry_1/instrument/positioners/y --unit positions=um \\
            --energy-kev 8.8 --distance-m 2 --pixel-m 75e-6 --plan""")

    def test_evaluate_other_modes(self, shell, tmp_path):
        """The three reject modes may be combined; --circ CX CY R instead of --rect."""
        scans.write(tmp_path)
        shell("""qc standard.h5 --reject-topk 3 --reject-thresh 0.95 --circ 0 0 2e-7 \\
            --thumbs-topk 0 --out qc_run""")
        inside = np.hypot(*scans.truth().positions_m.T) <= 2e-7
        assert_array_equal(np.load("qc_run/mask_indices.npy"), np.flatnonzero(inside))
        out = set(np.load("qc_run/reject_indices.npy").tolist())
        assert len(out & set(np.flatnonzero(inside).tolist())) >= 3

    def test_areadetector_layout(self):
        for beamline in ("hermes", "xrnf"):
            for name in ("beamline_cxi_layout.xml", "beamline_minimal_layout.xml"):
                text = (ROOT / "xml_layouts" / beamline / name).read_text()
                for logged in ("posx_m", "posy_m", "energy_eV", "det_dist_m", "pixel_m"):
                    assert f'ndattribute="{logged}"' in text

    def test_hermes_wrapper(self, shell):
        """hermes_ingest.sh → --beamline hermes."""
        standardized("scan.h5", spots(6), np.repeat(grid(2), 3, axis=0))
        shell("standardize scan.h5 -o one.h5 --beamline hermes")
        shell("""standardize scan.h5 -o two.h5 --roi 1024,1024 --roi-center 0.5,0.5 \\
            --grouping sum --frames-per-pos 3 --hot-sigma 6""")
        same_frames("one.h5", "two.h5", (2, 1024, 1024))

    def test_xrnf_wrapper(self, shell):
        """xrnf_ingest.sh → --beamline xrnf."""
        tiffs(4)
        shell("sidecar --frames 'scan001_*.tif' --csv epics_log.csv -o sidecar.h5")
        shell("standardize 'scan001_*.tif' --sidecar sidecar.h5 -o one.h5 --beamline xrnf")
        shell("""standardize 'scan001_*.tif' --sidecar sidecar.h5 -o two.h5 --rotate 180 \\
            --flip none --roi 1024,1024 --grouping mean --hot-sigma 6""")
        same_frames("one.h5", "two.h5", (4, 1024, 1024))

    def test_a_wrapper_on_a_small_detector(self, shell, tmp_path):
        scans.write(tmp_path)
        said = shell("standardize standard.h5 -o std.h5 --beamline hermes")
        assert "is left out: the detector is 64x64" in said
        assert open_scan("std.h5").frames.shape == (49, 64, 64)

    def test_no_files_match_the_glob(self, shell):
        said = shell("standardize 'absent_*.tif' -o std.h5", code=1)
        assert "absent_*.tif" in said

    @pytest.mark.ptypy
    def test_recipe_of_a_standardized_file(self, shell):
        """examples/ptypy_recipe_hdf5.py, word for word, with PtyPy's own Hdf5Loader."""
        truth = scans.truth()
        standardized("raw.h5", truth.frames, truth.positions_m[:, ::-1])
        shell("standardize raw.h5 -o std.h5 --roi-center 32,32")
        Path("recipe.py").write_text(RECIPE_HDF5)
        said = python("recipe.py", "--data", "std.h5", "--engine", "DM", "--iters", "2")
        assert said == "49 frames of 64x64, 8.8 keV, 2 iterations"

    @pytest.mark.ptypy
    def test_direct_tiff_streaming(self, shell):
        """examples/ptypy_recipe_tiff.py: BeamlineTiffScan for HERMES_TIFF, file for pattern."""
        truth = scans.truth()
        tiffs(49, frames=truth.frames.astype(np.uint32), positions=truth.positions_m[:, ::-1])
        shell("sidecar --frames 'scan001_*.tif' --csv epics_log.csv -o scan001_sidecar.h5")
        Path("recipe.py").write_text(RECIPE_TIFF)
        assert python("recipe.py") == "49 frames of 64x64, 8.8 keV, 2 iterations"


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
        got = np.concatenate([block.frames for block in plan.blocks(10)])
        assert_allclose(got, np.abs(cell[0]) ** 2, rtol=1e-6)
        assert scan.energy_eV == 5000
        assert plan.geometry.resolution_m == pytest.approx((1e-9, 1e-9))
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
        said = shell(self.COMMAND)
        assert "energy_eV = 0, distance_m = 0, pixel_m = 5e-08" in said
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
        assert python("verify.py") == "Diffraction shape: (12, 32, 32)"


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
        with pytest.warns(BeamlineWarning) as said:
            scan = open_scan("scan_ptycho.cxi")
        words = " ".join(str(one.message) for one in said)
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
        assert plan.geometry.resolution_m[1] == pytest.approx(wavelength * 2 / (64 * 75e-6), 1e-4)

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
        """Dark, hot pixels, background, saturation; centre of mass is in test_planning."""
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
        got = list(plan.blocks(10))
        assert_array_equal(np.concatenate([block.frames for block in got]), frames)
        assert all(block.good.all() for block in got)
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
        ("said", "shape"),
        [
            ({"shape": 32, "center": (32, 32)}, (32, 32)),
            ({"orientation": 3, "rebin": 2}, (32, 32)),
            ({"auto_center": True, "num_frames": 10, "min_frames": 5}, (64, 64)),
            ({"energy": 6.2, "distance": 7.0, "psize": 0.000172}, (64, 64)),
            ({"load_parallel": "data", "save": "append", "dfile": "saved.ptyd"}, (64, 64)),
        ],
    )
    def test_parameters_of_scan_data(self, shell, tmp_path, said, shape):
        """Preprocessing, packaging and storage, by PtyPy's names of them."""
        from ptypy import utils as u
        from ptypy.core import Ptycho

        import ptypy_beamline.ptyscan  # noqa: F401  registers the loaders

        scans.write(tmp_path)
        data = u.Param(name="BeamlineScan", file="standard.h5", **said)
        p = u.Param(verbose_level="ERROR", io=u.Param(interaction=u.Param(active=False)))
        p.io.autosave, p.io.autoplot = u.Param(active=False), u.Param(active=False)
        p.scans = u.Param(s=u.Param(name="BlockFull", data=data))
        blocks = list(Ptycho(p, level=2).diff.S.values())
        assert blocks[0].data.shape[-2:] == shape
        assert sum(len(block.data) for block in blocks) == said.get("num_frames", 49)
        if "dfile" in said:
            assert len(open_scan("saved.ptyd").frames.shape) == 3


def tiffs(n, side=SIDE, frames=None, positions=None):
    """scan001_000.tif … and epics_log.csv, a row a frame with the kit's columns."""
    frames = spots(n, side) if frames is None else frames
    places = grid(n) if positions is None else positions
    for k, frame in enumerate(frames):
        tifffile.imwrite(f"scan001_{k:03d}.tif", frame)
    with Path("epics_log.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow("frame_index posx_m posy_m energy_eV det_dist_m pixel_m exposure_s".split())
        for k, (x, y) in enumerate(places.tolist()):
            writer.writerow([k, x, y, ENERGY_EV, DISTANCE_M, PIXEL_M, EXPOSURE_S])
    return frames


def same_frames(one, two, shape):
    with h5py.File(one) as first, h5py.File(two) as second:
        assert first["entry/data"].shape == shape
        assert_array_equal(first["entry/data"], second["entry/data"])


def python(*words):
    """The last line that a script says."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    }
    done = subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        timeout=200,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip().splitlines()[-1]


SAY = """
storage = next(iter(P.diff.S.values()))
n = sum(len(s.data) for s in P.diff.S.values())
print(f"{n} frames of {storage.shape[-2]}x{storage.shape[-1]}, "
      f"{P.model.scans['s1'].geometries[0].energy:.3g} keV, {P.runtime.iter_info[-1]['iteration']} iterations")
"""  # noqa: E501

RECIPE_HDF5 = """
import argparse, ptypy, ptypy.utils as u, h5py, numpy as np
ap = argparse.ArgumentParser(); ap.add_argument('--data', required=True); ap.add_argument('--engine', default='DM'); ap.add_argument('--iters', type=int, default=200); args = ap.parse_args()

ptypy.load_ptyscan_module("hdf5_loader")  # provides 'Hdf5Loader'

p = u.Param(); p.verbose_level = "interactive"
p.io = u.Param(); p.io.autosave = u.Param(active=False); p.io.interaction = u.Param(active=False)
p.io.autoplot = u.Param(active=False)

p.scans = u.Param(); p.scans.s1 = u.Param(); p.scans.s1.name='Full'
p.scans.s1.data = u.Param(); p.scans.s1.data.name='Hdf5Loader'
p.scans.s1.data.intensities = u.Param(file=args.data, key="/entry/data")

# Positions: create split keys if only /entry/pos exists (N,2)
with h5py.File(args.data,"a") as h5:
    e = h5["/entry"]
    if "pos" in e and ("posx_m" not in e or "posy_m" not in e):
        pos = e["pos"][()]
        if "posx_m" not in e: e.create_dataset("posx_m", data=pos[:,0])
        if "posy_m" not in e: e.create_dataset("posy_m", data=pos[:,1])

p.scans.s1.data.positions = u.Param(file=args.data, slow_key="/entry/posy_m", fast_key="/entry/posx_m")

p.scans.s1.data.recorded_energy   = u.Param(file=args.data, key="/entry/energy_eV", multiplier=1e-3)  # eV->keV
p.scans.s1.data.recorded_distance = u.Param(file=args.data, key="/entry/det_dist_m")
p.scans.s1.data.recorded_psize    = u.Param(file=args.data, key="/entry/pixel_m")

p.engines = u.Param(); p.engines.e = u.Param(name=args.engine, numiter=args.iters)

P = ptypy.core.Ptycho(p, level=5)
"""  # noqa: E501

RECIPE_TIFF = """
import ptypy, ptypy.utils as u
import ptypy_beamline.ptyscan  # registers BeamlineTiffScan
p = u.Param(); p.verbose_level = 3
p.io = u.Param(autosave=u.Param(active=False), interaction=u.Param(active=False), autoplot=u.Param(active=False))
p.scans = u.Param(); p.scans.s1 = u.Param(); p.scans.s1.name='Full'
p.scans.s1.data = u.Param(); p.scans.s1.data.name='BeamlineTiffScan'
p.scans.s1.data.file='scan001_*.tif'
p.scans.s1.data.sidecar='scan001_sidecar.h5'
p.engines=u.Param(); p.engines.e1=u.Param(); p.engines.e1.name='DM'; p.engines.e1.numiter=2
P = ptypy.core.Ptycho(p, level=5)
"""  # noqa: E501
RECIPE_HDF5 += SAY
RECIPE_TIFF += SAY
