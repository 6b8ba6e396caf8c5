"""PtyPy's GPU engines on scans of our loaders, against the serial ones."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scans

from ptypy_beamline.reconstruction.comparison.registration import correlation
from ptypy_beamline.run import run

MARGIN_PX = 24
"""Object pixels at the edge of the scan that few frames see."""


def no_gpu() -> str:
    """Why no GPU engine can run here; empty where one can."""
    if importlib.util.find_spec("cupy") is None:
        return "cupy is not installed"
    import cupy

    try:
        return "" if cupy.cuda.runtime.getDeviceCount() else "no GPU"
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"no GPU ({error})"


NO_GPU = no_gpu()

pytestmark = [
    pytest.mark.ptypy,
    pytest.mark.skipif(bool(NO_GPU), reason=NO_GPU),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scans.write(tmp_path_factory.mktemp("gpu"))


def tree(
    file: Path, engines: dict[str, dict[str, Any]], modes: int = 1, model: str = "BlockFull"
) -> dict[str, Any]:
    """49 frames in blocks of 20, so that the last is smaller."""
    probe = np.repeat(scans.truth().probe[None].astype(complex), modes, axis=0)
    probe *= 0.1 ** np.arange(modes)[:, None, None]
    fixed = {"model": probe, "aperture": None, "diversity": None, "propagation": None}
    data = {"name": "BeamlineScan", "file": str(file)}
    scan = {"name": model, "data": data, "illumination": fixed}
    scan["coherence"] = {"num_probe_modes": modes}
    return {
        "verbose_level": "ERROR",
        "frames_per_block": 20,
        "io": {"rfile": None, "autosave": {"active": False}},
        "scans": {"scan": scan},
        "engines": engines,
    }


def reconstructed(
    file: Path, engines: str, arch: str, modes: int = 1, model: str = "BlockFull"
) -> tuple[Any, float]:
    """The object, and the photon error; ``engines`` reads like ``DM 40, ML 20``."""
    named = {}
    for name, numiter in (words.split() for words in engines.split(",")):
        support = {"probe_support": None} if name == "DM" else {}
        named[name] = {"name": f"{name}_{arch}", "numiter": int(numiter), **support}
    ptycho = run(tree(file, named, modes, model), backend=arch)
    found = next(iter(ptycho.obj.storages.values())).data[0]
    return found, float(ptycho.runtime.iter_info[-1]["error"][1])


def assert_same_object(ours: np.ndarray, reference: np.ndarray) -> None:
    """Inside the margin, to 1e-4 of its norm."""
    inner = (slice(MARGIN_PX, -MARGIN_PX),) * 2
    difference = np.linalg.norm((ours - reference)[inner])
    assert difference < 1e-4 * np.linalg.norm(reference[inner])


@pytest.mark.parametrize("modes", [1, 2])
def test_ml_is_the_serial_engine(file: Path, modes: int) -> None:
    ours, error = reconstructed(file, "ML 5", "cupy", modes)
    reference, expected = reconstructed(file, "ML 5", "serial", modes)

    assert_same_object(ours, reference)
    assert error == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("engine", ["DM", "ML"])
def test_our_model_on_a_gpu_is_ptypys(file: Path, engine: str) -> None:
    ours, error = reconstructed(file, f"{engine} 5", "cupy", model="BeamlineFull")
    reference, expected = reconstructed(file, f"{engine} 5", "cupy")

    assert_same_object(ours, reference)
    assert error == pytest.approx(expected, rel=1e-4)


def test_dm_then_ml_ends_where_the_serial_engines_do(file: Path) -> None:
    """DM makes rounding grow: its serial and plain engines, too, end 0.6% and 1.5% apart."""
    ours, error = reconstructed(file, "DM 40, ML 20", "cupy")
    reference, expected = reconstructed(file, "DM 40, ML 20", "serial")

    assert correlation(ours, reference, MARGIN_PX) > 0.98
    assert error == pytest.approx(expected, rel=0.05)
