"""The loaders inside the real PtyPy."""

from __future__ import annotations

import numpy as np
import pytest
import scans
from numpy.testing import assert_allclose, assert_array_equal
from ptypy_loading import collect, tree

from ptypy_beamline import BeamlineError, open_scan

pytestmark = pytest.mark.ptypy


SETTINGS = {
    "shape": 48,
    "rebin": 2,
    "rotate": 90,
    "saturation": 3000,
    "center": (31, 33),
    "reject": [0, 5, 48],
    "positions.axes": "y-x",
}


@pytest.mark.parametrize("chunk", [1, 7, 46, 1000])
@pytest.mark.parametrize("load_parallel", [None, "data", "common", "all"])
def test_ptypy_gets_what_the_plan_says(tmp_path, ptyscan, chunk, load_parallel):
    file = scans.write(tmp_path)
    scan = ptyscan.BeamlineScan(file=str(file), load_parallel=load_parallel, **SETTINGS)
    frames, masks, positions = collect(scan, chunk)
    wanted, good, positions_m = scans.loaded(file, **SETTINGS)
    assert frames.dtype == np.float32
    assert masks.dtype == np.bool_
    assert_array_equal(frames, wanted)
    assert_array_equal(masks, good)
    assert_array_equal(positions, positions_m)
    assert_array_equal(scan.frame_indices, np.delete(np.arange(49), [0, 5, 48]))


def test_from_file_to_ptycho(tmp_path, ptyscan):
    from ptypy_beamline.run import run

    file = scans.write(tmp_path)
    ptycho = run(tree(file, **SETTINGS), level=2)
    wanted, good, positions_m = scans.loaded(file, **SETTINGS)
    diff, mask = (next(iter(c.storages.values())) for c in (ptycho.diff, ptycho.mask))
    assert_array_equal(diff.data, wanted)
    assert_array_equal(mask.data, good)
    geometry = ptycho.model.scans["s"].geometries[0]
    assert_allclose(geometry.p.psize, 150e-6)
    assert_allclose(geometry.energy, 8.8)
    assert_allclose(geometry.distance, scans.truth().distance_m)
    view = [pod.ob_view.coord for pod in ptycho.pods.values()]
    assert_allclose(np.ptp(view, 0), np.ptp(positions_m, 0), rtol=1e-5)


def test_a_reconstruction_is_right_and_with_a_wrong_sign_it_is_not(tmp_path, ptyscan):
    from ptypy_beamline.run import run

    file = scans.write(tmp_path)
    errors = {}
    for axes in ("yx", "-yx"):
        pars = tree(
            file,
            {"e": {"name": "DM", "numiter": 20, "probe_support": None}},
            **{"positions.axes": axes},
        )
        pars["scans"]["s"]["illumination"] = {
            "model": scans.truth().probe.astype(complex),
            "aperture": None,
            "diversity": None,
            "propagation": None,
        }
        ptycho = run(pars, level=4)
        ptycho.run()
        errors[axes] = ptycho.runtime.iter_info[-1]["error"][1]
    assert errors["yx"] < 0.7 * errors["-yx"]


def test_meta_carries_the_final_geometry(tmp_path, ptyscan):
    scan = ptyscan.BeamlineScan(file=str(scans.write(tmp_path)), **SETTINGS)
    scan.initialize()
    meta = scan.auto(10)["common"]
    assert_array_equal(meta.shape, [24, 24])
    assert_allclose(meta.psize, [150e-6, 150e-6])
    assert meta.energy == pytest.approx(8.8)
    assert meta.num_frames == 46
    true = scan.plan.geometry.center_px
    assert_allclose(meta.center, true, atol=0.3)


@pytest.mark.parametrize(
    ("true", "given"), [((64.0, 31.5), (64.0, 31.5)), ((64.2, 63.75), (64.0, 63.75))]
)
def test_a_fraction_above_a_whole_pixel_is_not_rounded_up(ptyscan, true, given):
    assert ptyscan.ptypy_center(true) == given


def test_without_own_defects_frames_share_one_mask(tmp_path, ptyscan):
    bad = np.zeros((64, 64), bool)
    bad[3, 4] = True
    scan = ptyscan.BeamlineScan(file=str(scans.write(tmp_path, bad=bad)))
    scan.initialize()
    chunk = scan.get_data_chunk(20)
    assert all(chunk.weights[i] is scan.weight2d for i in range(20))
    assert_array_equal(np.argwhere(~scan.weight2d), [[3, 4]])


def test_a_rank_may_get_nothing(tmp_path, ptyscan):
    scan = ptyscan.BeamlineScan(file=str(scans.write(tmp_path)))
    scan.initialize()
    raw, positions, weights = scan.load(indices=[])
    assert (len(raw), positions, weights) == (0, {}, {})
    assert scan.correct(raw, weights, scan.common) == ({}, {})


def test_raw_frames_are_read_when_asked_for(tmp_path, ptyscan):
    scan = ptyscan.BeamlineScan(file=str(scans.write(tmp_path)))
    scan.initialize()
    raw, _, _ = scan.load(indices=[3, 8])
    assert list(raw) == [3, 8]
    assert_array_equal(raw[8][0], scans.truth().frames[8])
    with pytest.raises(KeyError):
        raw[4]


def test_several_exposures_and_their_raw_frames(tmp_path, ptyscan):
    file = scans.write(tmp_path, "areadetector", frames=scans.exposures(3))
    scan = ptyscan.BeamlineHdf5Scan(file=str(file), frames_per_position=3, reject=[4])
    frames, _, _ = collect(scan)
    assert len(frames) == 49
    assert_array_equal(scan.frame_indices[:2], [[0, 1, 2], [3, -1, 5]])


@pytest.mark.parametrize("save", ["append", "link"])
def test_ptyd_through_ptypy_and_back(tmp_path, monkeypatch, ptyscan, save):
    from ptypy.core.data import PtydScan

    monkeypatch.chdir(tmp_path)
    file = scans.write(tmp_path)
    scan = ptyscan.BeamlineScan(
        file=str(file), save=save, dfile=str(tmp_path / "out.ptyd"), **SETTINGS
    )
    frames, masks, positions = collect(scan, 20)
    again = collect(PtydScan({"dfile": str(tmp_path / "out.ptyd")}))
    for got, wanted in zip(again, (frames, masks, positions), strict=True):
        assert_array_equal(got, wanted)


@pytest.mark.parametrize("save", ["append", "link"])
def test_own_ptyd_is_read_by_ptypy(tmp_path, ptyscan, save):
    from ptypy.core.data import PtydScan

    from ptypy_beamline.writers.ptyd import write_ptyd

    file = scans.write(tmp_path)
    plan = open_scan(file).plan(**SETTINGS)
    write_ptyd(
        plan, tmp_path / "own.ptyd", save=save, block=20, info={"file": str(file), "x": (1, 2)}
    )
    scan = PtydScan({"dfile": str(tmp_path / "own.ptyd")})
    for got, wanted in zip(collect(scan), scans.loaded(file, **SETTINGS), strict=True):
        assert_array_equal(got, wanted)
    assert scan.meta.energy == pytest.approx(8.8)
    assert_allclose(scan.meta.center, plan.geometry.center_px)
    parts = sorted(p.name for p in tmp_path.glob("own.ptyd.part*"))
    assert parts == (
        ["own.ptyd.part000", "own.ptyd.part001", "own.ptyd.part002"] if save == "link" else []
    )


def test_numpy_scalars_and_paths_pass_ptypys_validation(tmp_path, ptyscan):
    from ptypy_beamline.run import run

    file = scans.write(tmp_path)
    pars = tree(file, shape=np.int64(32), energy=np.float64(9.0), step=np.int32(2))
    pars["scans"]["s"]["data"]["file"] = file
    ptycho = run(pars, level=2)
    assert len(ptycho.diff.views) == 25


def test_every_parameter_is_known_to_ptypy(ptyscan):
    from ptypy_beamline.settings import parameters

    for loader in (ptyscan.BeamlineScan, ptyscan.BeamlineHdf5Scan):
        for parameter in parameters():
            default = loader.DEFAULT[parameter.name]
            # PtyPy makes an empty group of a parameter that may be one.
            assert (
                (default or None) == parameter.default
                if parameter.name == "qc"
                else (default == parameter.default)
            ), parameter.name
        assert loader.DEFAULT.name == loader.__name__
        assert loader.DEFAULT.energy is loader.DEFAULT.psize is loader.DEFAULT.center is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"file": "nowhere.h5"}, "nowhere.h5: no such file"),
        ({"file": None}, "no file is given; set file"),
        ({"enrgy": 8}, "unknown parameter 'enrgy'; did you mean 'energy'"),
        ({"shape": (48, 32)}, "frames of 48x32 are not square.*pad='square'"),
        ({"load_parallel": "some"}, "load_parallel='some'; set load_parallel"),
        ({"save": "merge"}, "save='merge'; set save"),
        ({"save": "append"}, "needs a file; set dfile"),
        ({"center": (3, 4), "auto_center": True}, "auto_center=True contradicts"),
        ({"positions_theory": np.zeros((3, 2))}, "positions_theory has 3 positions, 49 are loaded"),
        ({"energy": 8800}, "energy of 8.8e.06 eV is impossible"),
        ({"reject": list(range(49))}, "all 49 selected frames are rejected"),
    ],
)
def test_mistakes_end_in_one_line(tmp_path, ptyscan, settings, message):
    file = scans.write(tmp_path)
    with pytest.raises(BeamlineError, match=message) as caught:
        collect(ptyscan.BeamlineScan({"file": str(file)} | settings))
    assert "\n" not in str(caught.value)


def test_pad_square_makes_a_window_fit_for_ptypy(tmp_path, ptyscan):
    file = scans.write(tmp_path)
    scan = ptyscan.BeamlineScan(file=str(file), shape=(48, 32), pad="square")
    frames, masks, _ = collect(scan)
    assert frames.shape[1:] == (48, 48)
    assert not masks[:, :, :8].any()


def test_a_format_of_another_family_is_refused(tmp_path, ptyscan, monkeypatch):
    monkeypatch.setattr(ptyscan.BeamlineHdf5Scan, "FAMILY", "TIFF")
    with pytest.raises(BeamlineError, match="reads TIFF files, this is standard; use"):
        ptyscan.BeamlineHdf5Scan(file=str(scans.write(tmp_path))).initialize()


@pytest.mark.parametrize("scan_tree", [{}, {"s": None}, {"s": {}}, {"s": {"data": "x"}}])
def test_a_tree_without_scans_never_hangs(scan_tree):
    from ptypy_beamline.run import run

    with pytest.raises(BeamlineError, match=r"no scans|has no data with a name"):
        run({"scans": scan_tree})


def test_ptypy_may_not_move_away_a_raw_file(tmp_path, ptyscan):
    file, other = scans.write(tmp_path), scans.write(tmp_path, "cxi")
    for dfile in (file, other):
        before = dfile.read_bytes()
        with pytest.raises(BeamlineError, match=r"exists and is not a \.ptyd; write to another"):
            ptyscan.BeamlineScan(file=str(file), save="append", dfile=str(dfile))
        assert dfile.read_bytes() == before
