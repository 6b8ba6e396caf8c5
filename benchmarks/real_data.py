"""The measured Siemens star through every format, against the same arrays fed directly.

    python benchmarks/real_data.py
    python benchmarks/real_data.py --dm 8 --ml 4 --cases standard cxi

Each reconstruction runs in a process of its own. Two have a wrong axis sign, and must be worse.
Some run on two MPI ranks: DM makes differences in the last digit grow, so that in single
precision even the arrays fed directly end a little differently; in double they agree.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from star import ROOT, STAR, Star
from table import write_table

from ptypy_beamline import open_scan
from ptypy_beamline.testing.writers import WRITERS, Raw
from ptypy_beamline.writers.ptyd import write_ptyd

DETECTOR, CORNER = (192, 200), (24, 46)
"""A detector larger than the frames, and where they lie on it."""
MPIRUN = ("mpirun", "--allow-run-as-root", "--oversubscribe")


@dataclass(frozen=True)
class Case:
    """One reconstruction.

    Attributes
    ----------
    format
        Format that is written; None = the arrays are fed directly.
    raw, data
        What is written otherwise (:class:`Raw`), and the loader's further parameters.
    given
        Of the loader's ``center``, ``distance``, ``energy`` and ``psize`` those that the format
        has no place for.
    prepared
        What is loaded is a linked ``.ptyd`` that this package makes of the file.
    detector
        The frames lie somewhere on a larger detector.
    against
        The case that the error is compared with.
    """

    format: str | None = None
    loader: str = "BeamlineScan"
    raw: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    given: tuple[str, ...] = ()
    prepared: bool = False
    detector: bool = False
    ranks: int = 1
    precision: str = "single"
    against: str = "direct"


HDF5 = "BeamlineHdf5Scan"
GZIP, BITSHUFFLE = {"compression": "gzip"}, {"compression": "bitshuffle"}
BESIDE = {"paths": {"x": "positions.h5::/x", "y": "positions.h5::/y"}}
"""An Eiger's master file has no positions."""
CENTER = ("center",)
SETUP = ("center", "distance", "psize")
LEFT_OUT = {"phantom": "a known object and frames made of it; no beamline records one"}
"""Format that has a writer but no case → why."""

CASES = {
    "direct": Case(),
    "standard": Case("standard"),
    "cxi": Case("cxi", HDF5, GZIP),
    "nxcxi": Case("nxcxi", raw=BITSHUFFLE),
    "diamond": Case("diamond", HDF5, BITSHUFFLE, given=CENTER),
    "areadetector": Case("areadetector", raw=BITSHUFFLE),
    "exchange": Case("exchange", HDF5, GZIP, given=CENTER),
    "eiger": Case("eiger", HDF5, BITSHUFFLE, BESIDE),
    "nanomax": Case("nanomax", HDF5, BITSHUFFLE, given=SETUP),
    "hermes": Case("hermes", HDF5, GZIP, given=SETUP),
    "product": Case("product", HDF5, GZIP, given=CENTER),
    "adorym": Case("adorym", raw=GZIP, given=CENTER),
    "ptychopinn": Case("ptychopinn", raw=GZIP, given=(*SETUP, "energy")),
    "tike": Case("tike", given=(*SETUP, "energy")),
    "tiff": Case("tiff", "BeamlineTiffScan", GZIP),
    "ptyd": Case("ptyd", "BeamlinePtydScan", GZIP),
    "ptyd, linked": Case("standard", "BeamlinePtydScan", prepared=True),
    "window of a detector": Case("standard", raw=BITSHUFFLE, data={"shape": 128}, detector=True),
    "centre not recorded": Case("standard", raw={"center_px": None}),
    "wrong sign of y": Case("standard", data={"positions": {"axes": "-yx"}}),
    "wrong sign of x": Case("cxi", HDF5, data={"positions": {"axes": "y-x"}}),
    "direct, 2 ranks": Case(ranks=2),
    "cxi, 2 ranks": Case("cxi", HDF5, GZIP, ranks=2, against="direct, 2 ranks"),
    "cxi, double": Case("cxi", HDF5, GZIP, precision="double"),
    "cxi, double, 2 ranks": Case(
        "cxi", HDF5, GZIP, ranks=2, precision="double", against="cxi, double"
    ),
}


def record(star: Star, case: Case, path: Path) -> Path:
    """Write the star as a beamline would: integer frames, the format's units, axes and signs."""
    frames, center_px = star.frames, (64, 64)
    if case.detector:
        top, left = CORNER
        frames = np.zeros((len(frames), *DETECTOR), np.uint16)
        frames[:, top : top + 128, left : left + 128] = star.frames
        center_px = (top + 64, left + 64)
    raw = Raw(
        frames,
        star.positions_m,
        star.energy_eV,
        star.distance_m,
        (star.pixel_m, star.pixel_m),
        **{"center_px": center_px, **case.raw},
    )
    file = WRITERS[case.format](path, raw)
    if case.prepared:
        return write_ptyd(open_scan(file).plan(), path.with_suffix(".ptyd"), save="link", block=100)
    return file


def given(star: Star) -> dict[str, Any]:
    """The star's values of the loader parameters that ``Case.given`` can name."""
    return {
        "center": [64, 64],
        "distance": star.distance_m,
        "energy": star.energy_eV / 1e3,
        "psize": star.pixel_m,
    }


def reconstruct(name: str, star: Path, folder: Path, dm: int, ml: int) -> dict[str, Any]:
    """Error, centre and seconds of a case."""
    case, out = CASES[name], folder / f"{name}.json"
    if case.format is None:
        data = {"name": "StarScan", "star": str(star)}
    else:
        measured, own = Star.read(star), folder / name
        own.mkdir()
        file = record(measured, case, own / "scan.h5")
        data = {"name": case.loader, "file": str(file), **case.data}
        data |= {key: given(measured)[key] for key in case.given}
    command = [
        sys.executable,
        str(Path(__file__).with_name("reconstruct.py")),
        str(star),
        json.dumps(data),
        str(out),
        "--dm",
        str(dm),
        "--ml",
        str(ml),
        "--precision",
        case.precision,
    ]
    if case.ranks > 1:
        command = [*MPIRUN, "-n", str(case.ranks), *command]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def compare(
    names: Iterable[str], star: Path = STAR, dm: int = 40, ml: int = 20, jobs: int = 2
) -> dict[str, dict[str, Any]]:
    """Error, ratio, centre and seconds of the cases, and of those that they are compared with."""
    wanted = {*names}
    while more := {CASES[name].against for name in wanted} - wanted:
        wanted |= more
    ordered = [name for name in CASES if name in wanted]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        results = pool.map(lambda n: reconstruct(n, star, Path(folder), dm, ml), ordered)
        found = dict(zip(ordered, results, strict=True))
    for name, result in found.items():
        result["ratio"] = result["error"] / found[CASES[name].against]["error"]
    return found


def row(name: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """A case in the table."""
    case = CASES[name]
    return {
        "case": name,
        "loader": case.loader if case.format else "–",
        "given": ", ".join((*case.given, *case.data.get("paths", ()))) or "–",
        "compression": case.raw.get("compression", "–"),
        "ranks": case.ranks,
        "centre": "{:.2f}, {:.2f}".format(*result["center"]),
        "ML error": f"{result['error']:.6f}",
        "relative to": case.against,
        "ratio": f"{result['ratio']:.6f}",
        "seconds": f"{result['seconds']:.0f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=STAR, help="siemens-star-516.npz")
    parser.add_argument("--dm", type=int, default=40, help="iterations of DM")
    parser.add_argument("--ml", type=int, default=20, help="iterations of ML")
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--jobs", type=int, default=2, help="reconstructions at a time")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/real_data.md")
    args = parser.parse_args()
    if not args.data.is_file():
        parser.error(f"no measured data at {args.data}; name the file with --data")
    found = compare(args.cases, args.data, args.dm, args.ml, args.jobs)
    title = f"Siemens star, 516 frames of 128², DM {args.dm} + ML {args.ml}"
    write_table(args.out, title, [row(name, result) for name, result in found.items()])


if __name__ == "__main__":
    main()
