"""What PtyPy's base class takes, given as users give it: honoured, or refused in one line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import scans
from ptypy_loading import collect, tree

from ptypy_beamline import BeamlineError, BeamlineWarning, open_scan
from ptypy_beamline.run import run

pytestmark = pytest.mark.ptypy


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return scans.write(tmp_path_factory.mktemp("base"))


REFUSED = [
    ({"add_poisson_noise": True}, "measured frames have their own noise"),
    ({"auto_center": "yes"}, "auto_center='yes'; set it to True or False"),
    ({"auto_center": True, "center": "fftshift"}, "auto_center=True contradicts center"),
    ({"positions_theory": np.zeros((49, 3))}, r"positions_theory has shape \(49, 3\)"),
    ({"positions_theory": [[0.0, np.nan]] * 49}, "49 positions of positions_theory are not finite"),
    ({"positions_theory": "none"}, "positions_theory is not an array of numbers"),
    ({"positions_theory": [[0, 0], [0]]}, "positions_theory is not an array of numbers"),
    ({"energy": True}, "energy=True: expected a number"),
    ({"energy": "nine"}, "energy='nine'"),
    ({"energy": np.float64(-1)}, r"energy=-1\.0: "),
    ({"min_frames": np.float64(2.5)}, r"min_frames=2\.5;"),
    ({"auto_center": Path("yes")}, "auto_center='yes'; "),
    ({"grouping": Path("summ")}, "grouping='summ'"),
    ({"shape": True}, "shape=True: expected a number"),
    ({"positions.shift": True}, r"positions\.shift=True: expected a number"),
    ({"min_frames": 2.5}, r"min_frames=2\.5; set it to a whole number from 1 on"),
    ({"min_frames": "2"}, "min_frames='2'"),
    ({"min_frames": 0}, "min_frames=0"),
    ({"min_frames": True}, "min_frames=True"),
    ({"center": (0.5, 16)}, r"center=\(0\.5, 16\) mixes a fraction of the frame and a pixel"),
    ({"center": (31.5, 0.25)}, "mixes a fraction of the frame and a pixel"),
    ({"center": (63.5, 32.0)}, r"centre \(63\.5, 32\.0\) lies outside the window"),
    ({"center": (32, 0)}, r"the beam at \(32\.0, 0\.0\) is on the edge of the 64x64 frame"),
    ({"reject": {1.5}}, "reject"),
    ({"reject": ""}, r"reject='': expected a list of raw frames, or a file"),
    ({"center": (True, True)}, r"center=\[True, True\]: expected a number, not True"),
    ({"background": True}, "background=True: expected a number, not True"),
]


@pytest.mark.parametrize(("given", "message"), REFUSED)
def test_mistakes_are_one_line_errors(file, ptyscan, given, message):
    """By the loader, and in a tree by :func:`run`."""
    with pytest.raises(BeamlineError, match=message) as alone:
        collect(ptyscan.BeamlineScan({"file": str(file)} | given))
    with pytest.raises(BeamlineError, match=message) as in_a_tree:
        run(tree(file, **given), level=2)
    for caught in (alone, in_a_tree):
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ({"energy": np.array(9.1)}, {"energy": 9.1}),
        ({"energy": "9.1"}, {"energy": 9.1}),
        ({"distance": np.float32(1.5)}, {"distance": 1.5}),
        ({"reject": {3, 1}}, {"reject": [1, 3]}),
        ({"reject": frozenset({np.int64(3)})}, {"reject": [3]}),
        ({"min_frames": np.int64(2)}, {}),
        ({"min_frames": None}, {}),
        ({"num_frames": "5"}, {"num_frames": 5}),
        ({"add_poisson_noise": False}, {}),
        ({"dark": np.zeros((64, 64)).view(np.memmap)}, {}),
    ],
)
def test_ambiguous_values_with_one_possible_meaning_are_accepted(file, ptyscan, given, plain):
    plan = open_scan(file).plan(**plain)
    scan = ptyscan.BeamlineScan({"file": str(file)} | given)
    assert len(collect(scan)[0]) == len(plan)
    assert scan.meta.energy == pytest.approx(plan.geometry.energy_eV / 1e3)
    ptycho = run(tree(file, **given), level=2)
    assert len(ptycho.diff.views) == len(plan)


@pytest.mark.parametrize("make", [list, np.asfortranarray, lambda array: array.tolist()])
def test_positions_of_another_source_replace_those_of_the_file(file, ptyscan, make):
    wanted = scans.truth().positions_m * 1.01
    scan = ptyscan.BeamlineScan(file=str(file), positions_theory=make(wanted))
    np.testing.assert_array_equal(collect(scan)[2], wanted)


class TestAutoCenter:
    """PtyPy's ``auto_center``, where no centre is given."""

    def center(self, ptyscan, file, **given):
        scan = ptyscan.BeamlineScan(file=str(file), **given)
        scan.initialize()
        return scan.plan.geometry.center_px

    def test_auto_center_false_takes_the_middle_and_true_searches(self, tmp_path, ptyscan):
        off = np.roll(scans.truth().frames, (4, -3), (1, 2))
        file = scans.write(tmp_path, frames=off, center_px=None)
        assert self.center(ptyscan, file, auto_center=False) == (32, 32)
        found = self.center(ptyscan, file)
        assert found == self.center(ptyscan, file, auto_center=True)
        np.testing.assert_allclose(found, (36, 29), atol=1)

    def test_the_centre_of_the_file_is_used_unless_a_search_is_asked_for(self, tmp_path, ptyscan):
        file = scans.write(tmp_path, center_px=(20.0, 21.0))
        assert self.center(ptyscan, file) == self.center(ptyscan, file, auto_center=False)
        assert self.center(ptyscan, file) == (20, 21)
        np.testing.assert_allclose(self.center(ptyscan, file, auto_center=True), (32, 32), atol=1)


def test_a_window_larger_than_the_detector_is_warned_of(file, type_in, tmp_path):
    words = "98.4 % of the window 512x512 lies off the 64x64 detector and is padding"
    with pytest.warns(BeamlineWarning, match=words):
        open_scan(file).plan(shape=512)
    out = tmp_path / "a.h5"
    code, _, err = type_in("standardize", file, "-o", out, "--roi", 512, "--num-frames", 2)
    assert code == 0
    assert words in err


def test_a_window_mostly_off_the_detector_is_warned_of(file):
    with pytest.warns(BeamlineWarning, match="of the window 32x32 lies off the 64x64 detector"):
        open_scan(file).plan(shape=32, center=(1, 1))


DM = {"e": {"name": "DM", "numiter": 1}}


class TestTree:
    """Names in a parameter tree."""

    def refused(self, match, pars, level=5, **more):
        with pytest.raises(BeamlineError, match=match) as caught:
            run(pars, level=level, **more)
        assert "\n" not in str(caught.value)

    def test_a_mistyped_loader(self, file, ptyscan):
        pars = tree(file, DM)
        pars["scans"]["s"]["data"]["name"] = "BeamlineHdf5scan"
        self.refused("is not a known loader; did you mean 'BeamlineHdf5Scan'", pars)

    def test_a_mistyped_model(self, file, ptyscan):
        pars = tree(file, DM)
        pars["scans"]["s"]["name"] = "BlockFul"
        self.refused("is not a known scan model; did you mean 'BlockFull'", pars)

    @pytest.mark.parametrize("model", ["BlockGradFull", "BeamlineGradFull"])
    def test_a_model_that_an_engine_does_not_support(self, file, ptyscan, model):
        """Before anything is loaded."""
        pars = tree(str(file) + ".missing", DM)
        pars["scans"]["s"]["name"] = model
        what = f"DM does not support the scan model {model} .*take one of .*BlockFull"
        self.refused(what, pars)

    def test_a_mistyped_engine(self, file, ptyscan):
        self.refused(
            "is not a known engine; did you mean 'EPIE'", tree(file, {"e": {"name": "EPIEE"}})
        )
        self.refused(r"engines\.e has no name", tree(file, {"e": {"numiter": 3}}))

    @pytest.mark.parametrize(
        ("engine", "words"),
        [
            (
                {"numiter_contigous": 2},
                r"'engines\.e\.numiter_contigous'; did you mean 'numiter_co",
            ),
            (
                {"position_refinement": {"nshift": 3}},
                r"refinement\.nshift'; did you mean 'nshifts'",
            ),
            ({"numiter": "5"}, r"engines\.e\.numiter='5': expected int, not str; it is Total"),
            ({"numiter": 0}, r"engines\.e\.numiter=0: expected a number from 1 on"),
        ],
    )
    def test_parameters_of_engines(self, file, ptyscan, tmp_path, engine, words):
        """The file of the tree is named, too."""
        path = tmp_path / "tree.json"
        path.write_text(json.dumps(tree(file, {"e": DM["e"] | engine})))
        self.refused(f"^{re.escape(str(path))}: .*{words}", path)

    def test_parameters_of_scan_models_and_others(self, file, ptyscan):
        pars = tree(file, DM)
        pars["scans"]["s"]["coherence"] = {"num_prob_modes": 2}
        self.refused(r"'scans\.s\.coherence\.num_prob_modes'; did you mean 'num_probe_modes'", pars)
        self.refused(
            "'frames_per_blok'; did you mean 'frames_per_block'",
            tree(file, DM) | {"frames_per_blok": 5},
        )

    def test_an_engine_of_a_backend_that_is_not_loaded(self, file, ptyscan):
        pars = tree(file, {"e": {"name": "DM_cupy"}})
        self.refused(r"load the cupy engines \(-b cupy\)", pars)

    def test_no_engines(self, file, ptyscan):
        self.refused("no engines, so nothing is reconstructed", tree(file))
        assert len(run(tree(file, num_frames=3), level=2).diff.views) == 3

    def test_an_unknown_backend(self, file, ptyscan):
        self.refused("backend 'nonsense' is unknown", tree(file, DM), backend="nonsense")

    def test_bragg(self, file, ptyscan):
        pars = tree(file, DM)
        pars["scans"]["s"]["name"] = "Bragg3dModel"
        self.refused("Bragg3dModel needs rocking angles", pars)

    def test_bragg_in_a_script(self, file, ptyscan):
        from ptypy import utils as u
        from ptypy.core import Ptycho

        pars = u.Param()
        pars.update(tree(file), Convert=True)
        pars.scans.s.name = "Bragg3dModel"
        with pytest.raises(BeamlineError, match="Bragg3dModel needs rocking angles"):
            Ptycho(pars, level=2)


def test_a_run_is_saved_with_its_loaders_parameters(file, ptyscan, tmp_path):
    from ptypy.io import h5read

    ptycho = run(tree(file, {"e": {"name": "DM", "numiter": 1}}, num_frames=6), level=5)
    saved = ptycho.save_run(str(tmp_path / "a.ptyr"), kind="used_params")
    data = h5read(saved, "content")["content"]["pars"]["scans"]["s"]["data"]
    assert data["file"] == str(file)
    assert data["num_frames"] == 6
