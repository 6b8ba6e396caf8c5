"""What quality control is worth: PtyPy's reconstruction of a spoiled scan, with it and without."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptypy_beamline import open_scan
from ptypy_beamline.reconstruction.comparison import register
from ptypy_beamline.reconstruction.preview import probe_of
from ptypy_beamline.run import run
from ptypy_beamline.testing.bad_frames import KINDS, spoil
from ptypy_beamline.testing.simulate import Truth, simulate
from ptypy_beamline.testing.writers import WRITERS, Raw

SHAPE, SIZE, STEP_PX, PHOTONS = (20, 20), 128, 10, 1e6
DM, ML = 60, 40
CASES = ("clean", "spoiled, qc=True", "spoiled, the spoiled frames known", "spoiled, without qc")


def mixed(frames: NDArray[Any], seed: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """One spoiled frame in fifty, kinds in turn; the frames and which they are."""
    share, all_spoiled = 0.02 / len(KINDS), []
    for kind in KINDS:
        frames, spoiled = spoil(frames, kind, share, seed)
        all_spoiled.append(spoiled)
    return frames, np.unique(np.concatenate(all_spoiled))


def error(ptycho: Any, truth: Truth) -> float:
    """RMS difference of the object from the truth over the truth's RMS contrast, registered."""
    found = next(iter(ptycho.obj.storages.values())).data[0]
    a, b = register(found, truth.object)
    return float(np.linalg.norm(a - b) / np.linalg.norm(b - b.mean()))


def reconstruct(data: Mapping[str, Any], probe: NDArray[Any]) -> Any:
    """DM and ML of PtyPy."""
    fixed = {"model": probe, "aperture": None, "diversity": None, "propagation": None}
    pars = {
        "verbose_level": "ERROR",
        "io": {"rfile": None, "autosave": {"active": False}},
        "scans": {
            "s": {
                "name": "BlockFull",
                "data": {"name": "BeamlineScan", **data},
                "illumination": fixed,
            }
        },
        "engines": {
            "dm": {"name": "DM", "numiter": DM, "probe_support": None},
            "ml": {"name": "ML", "numiter": ML},
        },
    }
    ptycho = run(pars, level=4)
    ptycho.run()
    return ptycho


def cases(truth: Truth, seed: int, folder: Path) -> Iterator[tuple[float, str]]:
    """Error, and frames that were used, of each of :data:`CASES`.

    All start from the probe that the clean scan gives.
    """
    frames, spoiled = mixed(truth.frames, seed)
    raw = Raw.of(truth)
    good = WRITERS["standard"](folder / "good.h5", raw)
    bad = WRITERS["standard"](folder / "bad.h5", replace(raw, frames=frames))
    probe = probe_of(open_scan(good).plan()).astype(np.complex128)
    for file, more in (
        (good, {}),
        (bad, {"qc": True}),
        (bad, {"reject": spoiled.tolist()}),
        (bad, {}),
    ):
        ptycho = reconstruct({"file": str(file), **more}, probe)
        used = ptycho.model.scans["s"].ptyscan.frame_indices
        among = np.isin(used, spoiled).sum() if file is bad else 0
        yield error(ptycho, truth), f"{len(used)} ({among})"


def rows(seeds: int) -> Iterator[dict[str, Any]]:
    """A row for each case."""
    found = []
    for seed in range(seeds):
        truth = simulate(SIZE, SHAPE, STEP_PX, "jitter", photons=PHOTONS, seed=seed)
        with tempfile.TemporaryDirectory() as folder:
            found.append(list(cases(truth, seed, Path(folder))))
    for number, case in enumerate(CASES):
        errors = np.array([one[number][0] for one in found])
        ratios = errors / [one[0][0] for one in found]
        yield {
            "scan": case,
            "frames used (spoiled ones)": ", ".join(one[number][1] for one in found),
            "error to the truth": ", ".join(f"{value:.4f}" for value in errors),
            "over the clean scan's": ", ".join(f"{ratio:.3f}" for ratio in ratios),
            "mean": f"{ratios.mean():.3f}",
        }
