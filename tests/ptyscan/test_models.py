"""Models that make everything in bulk give what PtyPy's models give, bit for bit."""

from __future__ import annotations

import copy
import gc
import importlib
import pickle
import weakref

import h5py
import model_runs
import numpy as np
import pytest
from folders import HELPERS
from numpy.testing import assert_array_equal
from processes import mpirun, result
from structures import CONTAINERS, compared, differences, errors

from ptypy_beamline.errors import BeamlineWarning, ScanError
from ptypy_beamline.run import run

pytestmark = pytest.mark.ptypy

ENGINES = ("DM", "RAAR", "ML", "EPIE", "SDR")
ENGINES += tuple(f"{name}_serial" for name in ENGINES)
FOR_ONE_BUFFER = ("ML", "EPIE", "ML_serial", "EPIE_serial")
"""Engines that take PtyPy's models with one buffer for all exit waves."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("ptypy_beamline.ptyscan")
    model_runs.load_engines()
    folder = tmp_path_factory.mktemp("models")
    model_runs.write(folder)
    return folder


@pytest.fixture(autouse=True)
def one_seed(monkeypatch):
    plain = np.random.default_rng
    monkeypatch.setattr(np.random, "default_rng", lambda seed=0: plain(seed))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["shared mask", "own masks"])
def test_every_engine_gives_the_same(folder, kind, engine):
    assert compared(folder, kind, engine) == []


@pytest.mark.parametrize("engine", FOR_ONE_BUFFER)
def test_one_buffer_for_all_exit_waves(folder, engine):
    assert compared(folder, "own masks", engine, "BlockGradFull") == []


@pytest.mark.parametrize("kind", ["shared mask", "own masks"])
@pytest.mark.parametrize(
    ("model", "engine"),
    [("Full", "DM"), ("Full", "EPIE"), ("Full", "ML_serial"), ("GradFull", "ML")],
)
def test_models_without_blocks_give_the_same_as_one_block(folder, kind, model, engine):
    without = model_runs.reconstruct(folder, model, engine, kind)
    one = model_runs.reconstruct(folder, f"Beamline{model}", engine, kind, frames_per_block=100_000)
    assert errors(without) == errors(one)
    for name in CONTAINERS:
        (left,), (right,) = (getattr(ptycho, name).S.values() for ptycho in (without, one))
        assert left.data.tobytes() == right.data.tobytes(), name


@pytest.mark.parametrize("engine", ["DM", "DM_serial", "ML_serial", "EPIE"])
def test_a_growing_scan(folder, engine):
    assert compared(folder, "live", engine) == []


@pytest.mark.parametrize(
    "more",
    [
        {"coherence": {"num_probe_modes": 2}},
        {"coherence": {"num_probe_modes": 2, "num_object_modes": 2}},
        {"resample": 2},
        {"propagation": "nearfield"},
    ],
    ids=str,
)
@pytest.mark.parametrize("engine", ["DM", "ML", "DM_serial"])
def test_modes_and_resampling(folder, engine, more):
    if "resample" in more and "serial" in engine:
        pytest.skip("PtyPy's serial engines do not resample here")
    assert compared(folder, "own masks", engine, scan=more) == []


@pytest.mark.parametrize("engine", ["DM", "DM_serial", "ML"])
def test_positions_are_refined_alike(folder, engine):
    refine = {"position_refinement": {"start": 1, "stop": 3, "interval": 1, "nshifts": 4}}
    assert compared(folder, "shared mask", engine, engine_parameters=refine) == []


def test_exit_waves_are_computed_when_needed_from_the_earlier_probe_and_object(folder):
    """ML never asks for them; after it DM gets those of the first probe and object."""
    from ptypy import utils as u

    made = []
    for model in ("BlockFull", "BeamlineFull"):
        ptycho = model_runs.reconstruct(folder, model, "ML", "shared mask")
        exits = list(ptycho.exit.S.values())
        made.append(ptycho)
    assert [type(storage).__name__ for storage in exits] == ["PendingStorage"] * 4
    probe, obj = (next(iter(c.S.values())).data for c in (ptycho.probe, ptycho.obj))
    view = next(iter(ptycho.exit.V.values()))
    assert not np.array_equal(view.data, probe[0] * obj[view.pod.ob_view.slice])
    for ptycho in made:
        ptycho.init_engine(epars=u.Param(name="DM", numiter=2))
        ptycho.run()
    assert list(differences(*made)) == []


def test_a_saved_run_is_resumed_with_the_same_result(folder, tmp_path):
    from ptypy import utils as u
    from ptypy.core import Ptycho

    resumed = []
    for name, model in enumerate(("BlockFull", "BeamlineFull")):
        file = str(tmp_path / f"{name}.ptyr")
        model_runs.reconstruct(folder, model, "DM", "shared mask").save_run(file)
        ptycho = Ptycho.load_run(file)
        ptycho.init_engine(epars=u.Param(name="ML", numiter=2))
        ptycho.run()
        resumed.append(ptycho)
    assert list(differences(*resumed)) == []


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", [2, pytest.param(3, marks=pytest.mark.long)])
def test_on_several_ranks(folder, ranks):
    cases = ["shared mask,DM", "own masks,ML", "live,DM_serial", "shared mask,ML_serial,14"]
    done = mpirun(ranks, HELPERS / "structures.py", folder, *cases)
    assert result(done) == [[]] * len(cases), done.stderr


def test_another_loader(folder):
    """PtyPy's own loader of HDF5 files gives frames of another kind, in another dictionary."""
    import ptypy

    ptypy.load_ptyscan_module("hdf5_loader")
    file = str(folder / f"scan_{model_runs.COUNT}.h5")
    data = {
        "name": "Hdf5Loader",
        "intensities": {"file": file, "key": "/entry/data"},
        "positions": {"file": file, "slow_key": "/entry/posy_m", "fast_key": "/entry/posx_m"},
        "energy": 8.8,
        "distance": 1.0,
        "psize": 75e-6,
        "shape": model_runs.SIDE,
        "auto_center": False,
    }
    tree = {"io": {"rfile": None, "autosave": {"active": False}}, "frames_per_block": 6}
    made = [
        run(tree | {"scans": {"s": {"name": model, "data": data}}}, level=2)
        for model in ("BlockFull", "BeamlineFull")
    ]
    assert list(differences(*made)) == []


def level_2(model, data, **more):
    """A ``Ptycho`` of one scan, or of several, before its engines."""
    tree = {"io": {"rfile": None, "autosave": {"active": False}}, "frames_per_block": 6} | more
    return run(tree | {"scans": {k: {"name": model, "data": v} for k, v in data.items()}}, level=2)


@pytest.mark.parametrize("shared", [("probe",), ("obj",), ("probe", "obj")], ids=str)
@pytest.mark.parametrize("engine", ["DM", "ML", "EPIE", "DM_serial"])
def test_scans_share_a_probe_or_an_object_as_scripts_do(folder, engine, shared):
    """They move the views of one storage to another, as PtyPy's example of sharing does."""
    file, made = folder / f"scan_{model_runs.COUNT}.h5", []
    data = {name: model_runs.settings("own masks", file, n) for name, n in (("a", 15), ("b", 11))}
    for model in ("BlockFull", "BeamlineFull"):
        engines = {"engines": {"e": {"name": engine, "numiter": 3}}}
        ptycho = level_2(model, data, **engines)
        for container in (getattr(ptycho, name) for name in shared):
            kept, other = container.storages.values()
            for view in other.views:
                view.storage, view.storageID = kept, kept.ID
            container.reformat()
            container.storages.pop(other.ID)
        ptycho.init_engine()
        ptycho.run()
        made.append(ptycho)
    assert list(differences(*made)) == []


@pytest.mark.filterwarnings("ignore:invalid value encountered in divide:RuntimeWarning")
def test_an_engine_that_is_imported_later_takes_the_models(folder):
    from ptypy import utils as u

    data = {"s": model_runs.settings("shared mask", folder / f"scan_{model_runs.COUNT}.h5")}
    ptycho = level_2("BeamlineFull", data)
    importlib.import_module("ptypy.custom.WASP")
    ptycho.init_engine(epars=u.Param(name="WASP", numiter=1))
    ptycho.run()
    assert ptycho.runtime.iter_info


def test_statistics_of_numbers_only():
    from ptypy_beamline.models.statistics import Statistics

    statistics = Statistics((1, 2))
    frames = np.array([[[3, np.nan]], [[np.nan, -2]], [[1, 5]]])
    statistics.add(frames, np.ones(frames.shape, bool))
    assert_array_equal(statistics.max, [[3, 5]])
    assert_array_equal(statistics.min, [[0, -2]])


def test_an_object_beyond_the_memory_is_refused(folder, tmp_path):
    """As that of positions in a wrong unit: PtyPy would end the node."""
    with h5py.File(model_runs.write(tmp_path), "r+") as file:
        for name in ("posy_m", "posx_m"):
            file[f"entry/{name}"][...] *= 1e6
    refused = pytest.raises(ScanError, match=r"scan s: the object .* GiB .*--unit positions")
    with refused, pytest.warns(BeamlineWarning, match="no two views can overlap"):
        model_runs.reconstruct(tmp_path, "BeamlineFull", "DM", "shared mask")


def test_statistics_have_no_negative_zeros():
    """Which masked pixels of −1 would give."""
    from ptypy_beamline.models.statistics import Statistics

    statistics = Statistics((1, 2))
    statistics.add(np.array([[[-1.0, -0.0]], [[-1.0, 0.0]]]), np.array([[[False, True]]] * 2))
    for image in (statistics.max, statistics.min, statistics.sum):
        assert not np.signbit(image).any()


@pytest.mark.parametrize("name", ["exit", "diff", "mask"])
@pytest.mark.parametrize("change", ["cleared", "cropped", "padded"])
def test_storages_that_a_script_changes_are_reformatted_as_ptypys(folder, name, change):
    made = []
    for model in ("BlockFull", "BeamlineFull"):
        ptycho = model_runs.reconstruct(folder, model, "DM", "own masks")
        container = getattr(ptycho, name)
        if change == "cleared":
            container.clear()
        for storage in container.S.values():
            if change == "cropped":
                storage.data = storage.data[:, 1:-1, 1:-1].copy()
                storage.shape = storage.data.shape
            storage.padding = 2 * (change == "padded")
        container.reformat()
        made.append(container)
    left, right = ([storage.data for storage in one.S.values()] for one in made)
    for theirs, own in zip(left, right, strict=True):
        assert own.shape == theirs.shape
        assert change == "cleared" or np.array_equal(own, theirs)


@pytest.mark.parametrize("kind", ["shared mask", "own masks"])
@pytest.mark.parametrize(
    ("engine", "scan", "reason"),
    [
        ("DM", {"coherence": {"energies": [1.0, 1.01]}}, "several energies"),
        ("DM", {"tags": ["empty"]}, "the tag 'empty'"),
        ("DM_serial", {"tags": ["empty"]}, "the tag 'empty'"),
        ("ML_serial", {"tags": ["empty"]}, "the tag 'empty'"),
    ],
)
def test_unsupported_scans_fall_back_on_ptypy_with_a_message(
    folder, caplog, kind, engine, scan, reason
):
    assert compared(folder, kind, engine, scan=scan, verbose_level="ERROR") == []
    assert f"made ready by PtyPy: it has {reason}" in caplog.text


@pytest.mark.parametrize("duplicate", [copy.copy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_of_storages_are_ordinary_ones(folder, duplicate):
    from ptypy.core.classes import Storage

    ptycho = model_runs.reconstruct(folder, "BeamlineFull", "ML", "shared mask")
    like = model_runs.reconstruct(folder, "BlockFull", "ML", "shared mask")
    for name in CONTAINERS:
        ours, theirs = (list(getattr(one, name).S.values()) for one in (ptycho, like))
        for own, other in zip(ours, theirs, strict=True):
            if duplicate is not copy.copy:  # its owner holds the whole reconstruction
                own.owner = None
            made = duplicate(own)
            assert type(made) is Storage
            assert made.ID == other.ID
            assert np.array_equal(made.data, other.data), name


def test_another_version_of_ptypy_is_noticed(folder, monkeypatch, caplog):
    from ptypy.core.classes import Storage

    from ptypy_beamline.models import relied_on

    monkeypatch.setitem(relied_on.RELIED_ON, Storage.copy, "of another version")
    assert relied_on.differences() == ["Storage.copy"]
    assert compared(folder, "shared mask", "DM", verbose_level="ERROR") == []
    assert "BeamlineFull: scan s is made ready by PtyPy" in caplog.text


def test_a_finished_reconstruction_is_freed(folder):
    ptycho = model_runs.reconstruct(folder, "BeamlineFull", "DM", "shared mask")
    exits = weakref.ref(next(iter(ptycho.exit.S.values())))
    del ptycho
    gc.collect()
    assert exits() is None


def test_the_comparison_finds_a_difference(folder):
    """So that the tests above can fail."""
    made = [model_runs.reconstruct(folder, "BlockFull", "DM", "own masks") for _ in range(2)]
    next(iter(made[1].obj.S.values())).data[0, 3, 3] += 1
    next(iter(made[1].exit.V.values()))._record["layer"] += 1
    found = list(differences(*made))
    assert any(what.startswith("obj") for what in found)
    assert any(what.startswith("exit") for what in found)
