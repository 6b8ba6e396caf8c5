"""Every scan model of PtyPy with every engine that takes it, on masks and scans of all kinds."""

from __future__ import annotations

import model_runs
import numpy as np
import pytest
from folders import HELPERS
from model_runs import COUNT, GROWING_FAILS, KINDS, MODELS
from numpy.testing import assert_allclose, assert_array_equal
from processes import mpirun, result
from scans import all_frames

from ptypy_beamline import open_scan
from ptypy_beamline.run import run

pytestmark = [
    pytest.mark.ptypy,
    pytest.mark.filterwarnings("ignore:.*quality control leaves out 2 of 15 exposures"),
]

ON_RANKS = [
    "shared mask,Full,DM",
    "shared mask,GradFull,ML",
    "shared mask,Vanilla,RAAR",
    "shared mask,BlockFull,DM_serial",
    "own masks,BlockFull,ML",
    "own masks,Full,ML_serial",
    "own masks,BlockGradFull,ML_serial",
    "live,BlockFull,DM",
    "live,BlockVanilla,DM_serial",
    "live,BlockGradFull,ML_serial",
    "live,Full,RAAR",
    "qc,BlockFull,RAAR_serial",
    "qc,Full,DM",
]
"""Some on two ranks; PtyPy's ePIE and SDR run on one only, and its OPR engines fail on two."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("matrix")
    model_runs.write(folder)
    return folder


@pytest.fixture(scope="module")
def engines_of():
    """Engines of each model."""
    pytest.importorskip("ptypy_beamline.ptyscan")
    model_runs.load_engines()
    pairs = model_runs.supported()
    return {model: [engine for name, engine in pairs if name == model] for model in MODELS}


def expected(folder, kind):
    """Frames and masks that PtyPy should have."""
    given = {
        name: value
        for name, value in model_runs.settings(kind, folder / "x").items()
        if name in ("center", "saturation")
    }
    plan = open_scan(folder / f"scan_{COUNT}.h5").plan(**given)
    return all_frames(plan)


def stacks(ptycho):
    """Frames and masks that PtyPy has, in order."""
    views = [pod.di_view for pod in ptycho.pods.values()]
    order = np.argsort([view.layer for view in views], kind="stable")
    masks = [pod.ma_view for pod in ptycho.pods.values()]
    return [np.array([found[i].data for i in order]) for found in (views, masks)]


def check(folder, kind, model, engine):
    ptycho = model_runs.reconstruct(folder, model, engine, kind)
    frames, good = expected(folder, kind)
    got, masks = stacks(ptycho)
    if kind == "qc":
        assert len(got) == COUNT - 2
        assert all((frame == frames).all((1, 2)).any() for frame in got)
    else:
        assert_array_equal(got, frames)
        assert_array_equal(masks, good)
    found = model_runs.object_of(ptycho)
    assert np.isfinite(found).all()
    assert np.ptp(np.abs(found)) > 0, "it did something"


@pytest.mark.parametrize("model", MODELS)
def test_every_engine_takes_a_scan_whose_frames_share_a_mask(folder, engines_of, model):
    engines = engines_of[model]
    assert engines or model == "BlockOPRModel", "PtyPy has no engine for it"
    for engine in engines:
        check(folder, "shared mask", model, engine)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", KINDS[1:])
def test_every_model_takes_every_kind_of_scan(folder, engines_of, kind, model):
    refused = GROWING_FAILS.get(model, ()) if kind == "live" else ()
    for engine in [engine for engine in engines_of[model] if engine not in refused][:1]:
        check(folder, kind, model, engine)


@pytest.mark.long
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", KINDS[1:])
def test_every_engine_takes_every_kind_of_scan(folder, engines_of, kind, model):
    refused = GROWING_FAILS.get(model, ()) if kind == "live" else ()
    for engine in [engine for engine in engines_of[model] if engine not in refused][1:]:
        check(folder, kind, model, engine)


def test_a_model_without_engines_loads(folder, engines_of):
    """PtyPy has an OPR engine for the model without blocks only."""
    data = model_runs.settings("shared mask", folder / f"scan_{COUNT}.h5")
    tree = {
        "io": {"rfile": None, "autosave": {"active": False}},
        "scans": {"s": {"name": "BlockOPRModel", "data": data}},
        "frames_per_block": 4,
    }
    got, masks = stacks(run(tree, level=2))
    frames, good = expected(folder, "shared mask")
    assert_array_equal(got, frames)
    assert_array_equal(masks, good)


@pytest.mark.parametrize("engine", ["DM", "RAAR", "ML", "DM_serial", "ML_serial"])
def test_full_and_blockfull_give_the_same(folder, engines_of, engine):
    """In one block: PtyPy weighs by the power of the blocks so far."""
    more = {"frames_per_block": COUNT}
    if "serial" not in engine:
        more["data_type"] = "double"
    tolerance = 1e-4 if "serial" in engine else 1e-12
    objects = [
        model_runs.object_of(model_runs.reconstruct(folder, model, engine, "own masks", 5, **more))
        for model in ("Full", "BlockFull")
    ]
    assert_allclose(*objects, rtol=0, atol=tolerance * np.abs(objects[0]).max())


def on_ranks(ranks, folder, cases):
    done = mpirun(ranks, HELPERS / "model_runs.py", folder, *cases)
    return zip(cases, result(done), strict=True)


@pytest.mark.long
@pytest.mark.mpi
def test_several_ranks_reconstruct_with_every_kind_of_model(folder):
    for case, (frames, objects, _) in on_ranks(2, folder, ON_RANKS):
        assert min(frames) > 0, case
        assert sum(frames) == COUNT - 2 * case.startswith("qc"), case
        assert objects == 1, case


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("ranks", "counts"), [(2, [9]), pytest.param(3, [13, 14], marks=pytest.mark.long)]
)
def test_a_remainder_smaller_than_the_ranks_is_work_for_all(folder, ranks, counts):
    """Serial engines fail on a rank that has no frame of a block; blocks are of 4 a rank."""
    cases = [
        f"{kind},BlockFull,DM_serial,{count}" for kind in ("own masks", "live") for count in counts
    ]
    for case, (frames, objects, blocks) in on_ranks(ranks, folder, cases):
        assert sum(frames) == int(case.rpartition(",")[2]), case
        assert objects == 1, case
        for of_rank in blocks:
            assert min(of_rank) > 0, case
            assert max(of_rank) == of_rank[0], case
