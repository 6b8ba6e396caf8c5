"""What the ingestion kit promises, as :mod:`test_documents` has it of the other documents."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import scans
import tifffile
from described_files import (
    DISTANCE_M,
    ENERGY_EV,
    EXPOSURE_S,
    PIXEL_M,
    SIDE,
    grid,
    last_line,
    spots,
    standardized,
)
from folders import ROOT
from numpy.testing import assert_allclose, assert_array_equal

from ptypy_beamline import open_scan


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
        output = shell("""qc data.cxi \\
            --data-path /entry_1/data/data \\
            --pos-x-path /entry_1/instrument/positioners/x \\
            --pos-y-path /entry_1/instrument/positioners/y \\
            --roi 64 --bin 4 --embed-side 32 --pca-k 12 --w-feat 0.5 \\
            --reject-topp 0.02 --rect 0 0 50 50 \\
            --emit-ptypy-json qc_run/ptypy_indices.json \\
            --thumbs-topk 4 --thumbs-size 256 \\
            --out qc_run""")
        assert "no unit" in output
        assert "contains the whole scan" in output
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
        output = shell("standardize standard.h5 -o std.h5 --beamline hermes")
        assert "is left out: the detector is 64x64" in output
        assert open_scan("std.h5").frames.shape == (49, 64, 64)

    def test_no_files_match_the_glob(self, shell):
        output = shell("standardize 'absent_*.tif' -o std.h5", code=1)
        assert "absent_*.tif" in output

    @pytest.mark.ptypy
    def test_recipe_of_a_standardized_file(self, shell):
        """examples/ptypy_recipe_hdf5.py, word for word, with PtyPy's own Hdf5Loader."""
        truth = scans.truth()
        standardized("raw.h5", truth.frames, truth.positions_m[:, ::-1])
        shell("standardize raw.h5 -o std.h5 --roi-center 32,32")
        Path("recipe.py").write_text(RECIPE_HDF5)
        output = last_line("recipe.py", "--data", "std.h5", "--engine", "DM", "--iters", "2")
        assert output == "49 frames of 64x64, 8.8 keV, 2 iterations"

    @pytest.mark.ptypy
    def test_direct_tiff_streaming(self, shell):
        """examples/ptypy_recipe_tiff.py: BeamlineTiffScan for HERMES_TIFF, file for pattern."""
        truth = scans.truth()
        tiffs(49, frames=truth.frames.astype(np.uint32), positions=truth.positions_m[:, ::-1])
        shell("sidecar --frames 'scan001_*.tif' --csv epics_log.csv -o scan001_sidecar.h5")
        Path("recipe.py").write_text(RECIPE_TIFF)
        assert last_line("recipe.py") == "49 frames of 64x64, 8.8 keV, 2 iterations"


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
