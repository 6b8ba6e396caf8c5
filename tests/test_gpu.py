"""PtyPy's GPU engines on scans of our loaders, against the serial ones."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scans

from ptypy_beamline.run import load_engines, run
from ptypy_beamline.testing.compare import correlation

MARGIN_PX = 12
"""Object pixels around the scan that few frames see."""


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


def tree(file: Path, engines: dict[str, dict[str, Any]], modes: int = 1) -> dict[str, Any]:
    """49 frames in blocks of 20, so that the last is smaller."""
    probe = np.repeat(scans.truth().probe[None].astype(complex), modes, axis=0)
    probe *= 0.1 ** np.arange(modes)[:, None, None]
    fixed = {"model": probe, "aperture": None, "diversity": None, "propagation": None}
    data = {"name": "BeamlineScan", "file": str(file)}
    scan = {"name": "BlockFull", "data": data, "illumination": fixed}
    scan["coherence"] = {"num_probe_modes": modes}
    return {
        "verbose_level": "ERROR",
        "frames_per_block": 20,
        "io": {"rfile": None, "autosave": {"active": False}},
        "scans": {"scan": scan},
        "engines": engines,
    }


def reconstructed(file: Path, arch: str, dm: int, ml: int, modes: int = 1) -> tuple[Any, Any]:
    """Object inside the scan, and the error after each engine."""
    engines = {
        "dm": {"name": f"DM_{arch}", "numiter": dm, "probe_support": None},
        "ml": {"name": f"ML_{arch}", "numiter": ml},
    }
    if not ml:
        del engines["ml"]
    ptycho = run(tree(file, engines, modes), backend=arch)
    found = next(iter(ptycho.obj.storages.values())).data[0]
    inner = found[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]
    return inner, np.array(ptycho.runtime.iter_info[-1]["error"], float)


@pytest.mark.parametrize("modes", [1, 2])
def test_the_first_iterations_are_those_of_the_serial_engine(file: Path, modes: int) -> None:
    """Later DM makes differences of the last digit grow."""
    ours, error = reconstructed(file, "cupy", 3, 0, modes)
    reference, expected = reconstructed(file, "serial", 3, 0, modes)

    assert np.linalg.norm(ours - reference) < 1e-3 * np.linalg.norm(reference)
    np.testing.assert_allclose(error, expected, rtol=1e-3)


def test_dm_then_ml_ends_where_the_serial_engines_do(file: Path) -> None:
    ours, error = reconstructed(file, "cupy", 40, 20)
    reference, expected = reconstructed(file, "serial", 40, 20)

    assert correlation(ours, reference) > 0.99
    assert error[1] == pytest.approx(expected[1], rel=0.02)
