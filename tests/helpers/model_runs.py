"""Scan models of PtyPy, engines and kinds of masks: one small reconstruction of each.

As a program, on the ranks of mpirun, ``model_runs.py FOLDER KIND,MODEL,ENGINE[,FRAMES] …`` prints
for each, as JSON: frames of each rank, how many different objects the ranks have, and frames of
each rank in each block.
"""

from __future__ import annotations

import json
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np

MODELS = (
    "Full",
    "Vanilla",
    "GradFull",
    "OPRModel",
    "BlockFull",
    "BlockVanilla",
    "BlockGradFull",
    "BlockOPRModel",
)
ENGINES = (
    "DM",
    "RAAR",
    "ML",
    "EPIE",
    "SDR",
    "DM_serial",
    "RAAR_serial",
    "ML_serial",
    "EPIE_serial",
    "SDR_serial",
    "DMOPR",
    "MLOPR",
)
KINDS = ("shared mask", "own masks", "live", "qc")
COUNT, SIDE = 15, 16

GROWING_FAILS = {
    **dict.fromkeys(
        ("Full", "Vanilla", "GradFull"), ("ML", "DM_serial", "RAAR_serial", "ML_serial")
    ),
    **dict.fromkeys(("BlockFull", "BlockVanilla", "BlockGradFull"), ("ML",)),
    "OPRModel": ("DMOPR", "MLOPR"),
}
"""Engines of PtyPy 0.9 that fail where frames come while they run, with PtyPy's own loaders too."""


def write(folder: Path, count: int = COUNT) -> Path:
    """The first ``count`` frames of a small scan; one pixel of frame 5 is above 1000."""
    rng = np.random.default_rng(1)
    rows, columns = np.indices((SIDE, SIDE)) - SIDE / 2
    beam = 300 * np.exp(-(rows**2 + columns**2) / 9)
    frames = rng.poisson(beam * rng.uniform(0.7, 1.3, (COUNT, SIDE, SIDE))).astype(np.uint16)
    frames[5, 3, 4] = 2000
    file = folder / f"scan_{count}.h5"
    with h5py.File(file, "w") as out:
        out.create_dataset(
            "entry/data", data=frames[:count], maxshape=(None, SIDE, SIDE), chunks=(1, SIDE, SIDE)
        )
        places = np.column_stack([np.arange(COUNT) // 5, np.arange(COUNT) % 5]) * 4e-7
        places += rng.uniform(-6e-8, 6e-8, places.shape)
        out["entry/posy_m"], out["entry/posx_m"] = places.T
        out["entry/energy_eV"], out["entry/det_dist_m"] = 8800.0, 1.0
        out["entry/pixel_m"] = 75e-6
        out["entry/mask"] = (rows == 5).astype(np.uint8)
    return file


def grow(file: Path, more: Path) -> None:
    """Append to ``file`` the frames that only ``more`` has."""
    with h5py.File(file, "a") as out, h5py.File(more) as whole:
        data, there = out["entry/data"], len(out["entry/data"])
        data.resize(COUNT, axis=0)
        data[there:] = whole["entry/data"][there:]


def settings(kind: str, file: Path, count: int = COUNT) -> dict[str, Any]:
    """Of the loader."""
    more: dict[str, Any] = {
        "shared mask": {},
        "own masks": {"saturation": 1000},
        "live": {"live": {"timeout_s": 20.0, "poll_s": 0.01}, "min_frames": 2},
        "qc": {"qc": {"reject_topk": 2}},
    }[kind]
    given = {"name": "BeamlineScan", "file": str(file), "center": [8, 8], "num_frames": count}
    return given | more


def supported() -> list[tuple[str, str]]:
    """(model, engine) pairs that PtyPy supports."""
    from ptypy import engines

    classes = engines.ENGINES
    return [
        (model, engine)
        for model in MODELS
        for engine in ENGINES
        if model in [known.__name__ for known in classes[engine].SUPPORTED_MODELS]
    ]


def load_engines() -> None:
    """Register those that PtyPy does not by itself."""
    import ptypy
    from ptypy.custom import DMOPR, MLOPR  # noqa: F401

    ptypy.load_gpu_engines("serial")


def reconstruct(
    folder: Path,
    model: str,
    engine: str,
    kind: str,
    iterations: int = 3,
    count: int = COUNT,
    scan: dict[str, Any] | None = None,
    engine_parameters: dict[str, Any] | None = None,
    **more: Any,
) -> Any:
    """The ``Ptycho`` after some iterations; more parameters of the scan, the engine and the run."""
    from ptypy import utils as u
    from ptypy.core import Ptycho
    from ptypy.utils import parallel

    file = folder / f"scan_{COUNT}.h5"
    if kind == "live":
        whole, file = file, folder / f"live_{time.monotonic_ns()}.h5"
        if parallel.MPIenabled:
            file = parallel.comm.bcast(file)
        if parallel.master:
            write(folder, 9).rename(file)
        parallel.barrier()
    probe = np.exp(-((np.indices((SIDE, SIDE)) - SIDE / 2) ** 2).sum(0) / 12)[None].astype(complex)
    p = u.Param({"verbose_level": "CRITICAL", "frames_per_block": 4} | more)
    if not model.startswith(("Block", "Beamline")):
        del p["frames_per_block"]
    p.io = u.Param(rfile=None, autosave=u.Param(active=False))
    p.io.autoplot, p.io.interaction = u.Param(active=False), u.Param(active=False)
    p.scans = u.Param(s=u.Param(name=model))
    p.scans.s.data = u.Param()
    p.scans.s.data.update(settings(kind, file, count), Convert=True)
    beam = {"model": probe, "aperture": None, "propagation": None, "diversity": None}
    start = {"illumination": {"size": 1e-5} if "Vanilla" in model else beam}
    p.scans.s.update(start | (scan or {}), Convert=True)
    p.engines = u.Param(e=u.Param(name=engine, numiter=iterations, numiter_contiguous=1))
    p.engines.e.update(engine_parameters or {}, Convert=True)
    if "OPR" in engine:
        p.engines.e.subspace_dim = 2
    ptycho = Ptycho(p, level=4)
    if kind == "live":
        if parallel.master:
            grow(file, whole)
        parallel.barrier()
    ptycho.run()
    return ptycho


def object_of(ptycho: Any) -> np.ndarray:
    """The object (ny, nx)."""
    return next(iter(ptycho.obj.storages.values())).data[0]


if __name__ == "__main__":
    from ptypy.utils import parallel

    from ptypy_beamline import ptyscan  # noqa: F401

    load_engines()
    folder, *cases = sys.argv[1:]
    results = []
    for case in cases:
        kind, model, engine, *count = case.split(",")
        ptycho = reconstruct(Path(folder), model, engine, kind, count=int(*count or [COUNT]))
        active = int(sum(pod.active for pod in ptycho.pods.values()))
        blocks = [len(storage.data) for storage in ptycho.diff.storages.values()]
        every = parallel.comm.gather((active, zlib.crc32(object_of(ptycho).tobytes()), blocks))
        if parallel.master:
            frames, digests, blocks = zip(*every, strict=True)
            results.append([frames, len(set(digests)), blocks])
    if parallel.master:
        sys.stdout.write(f"RESULT {json.dumps(results)}\n")
