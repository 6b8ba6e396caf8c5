"""PtyPy's GPU engines on our loaders: the serial engines' results, and what a run needs.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --only agreement --iterations 5

Needs a GPU and cupy. Each reconstruction runs in a process of its own. Without a GPU,
``--arch serial`` goes through the motions, and writes nothing.

Agreement: the measured Siemens star, as in ``real_data.py``, in blocks of 200 frames, against
PtyPy's serial engine. How far PtyPy's plain engine is from the serial one, both on the CPU, says
what rounding alone does. Reconstructions that ``--folder`` has are not made again: those of the CPU
may come from another machine. Needs: speckle frames of ``large_scan.py``; reconstructions of them
mean nothing, but cost the same.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from large_scan import write_scan
from memory import MIB, resident
from star import ROOT, STAR, Star
from table import table

from ptypy_beamline.reconstruction.comparison.registration import correlation

REFINEMENT = {"start": 2, "stop": 1000, "interval": 2, "amplitude": 3e-8, "max_shift": 1e-7}

ENGINES: dict[str, dict[str, Any]] = {
    "DM": {"probe_support": None},
    "DM, two modes": {"name": "DM", "modes": 2, "probe_support": None},
    "DM, refines positions": {
        "name": "DM",
        "probe_support": None,
        "position_refinement": REFINEMENT,
    },
    "DM, engine without streams": {"name": "DM_nostream", "probe_support": None},
    "RAAR": {"probe_support": None},
    "ML": {},
    "ML, two modes": {"name": "ML", "modes": 2},
    "ML, model BlockGradFull": {"name": "ML", "model": "BlockGradFull"},
    "EPIE": {"probe_support": None},
    "SDR": {"probe_support": None},
}
"""Rows of the comparison: the engine, its parameters, and ours (``modes``, ``model``)."""

ROUNDING = ("DM", "RAAR", "ML", "EPIE")
"""Rows in which the plain engine runs, too."""

NEEDS = (
    (1000, 128, 1000, 1),
    (1000, 128, 250, 1),
    (4000, 256, 4000, 1),
    (4000, 256, 1000, 1),
    (4000, 256, 1000, 2),
)
"""Frames, their size, ``frames_per_block``, probe modes."""


def tree(scan: dict[str, Any], probe: Any, block: int, modes: int = 1) -> dict[str, Any]:
    """A parameter tree without engines."""
    probes = np.repeat(np.asarray(probe, complex)[None], modes, axis=0)
    probes *= 0.1 ** np.arange(modes)[:, None, None]
    fixed = {"model": probes, "aperture": None, "diversity": None, "propagation": None}
    coherence = {"num_probe_modes": modes}
    return {
        "verbose_level": "ERROR",
        "frames_per_block": block,
        "io": {"rfile": None, "autosave": {"active": False}},
        "scans": {
            "scan": {"name": "BlockFull", "illumination": fixed, "coherence": coherence} | scan
        },
    }


def engine_name(name: str, arch: str) -> str:
    """The name of an engine of ``ENGINES``: cupy, serial or plain."""
    name, _, variant = name.partition("_")
    words = [name, arch if arch != "plain" else "", variant if arch == "cupy" else ""]
    return "_".join(filter(None, words))


def reconstruct(case: str, arch: str, file: Path, iterations: int, out: Path) -> None:
    """The object after so many iterations of a row of ``ENGINES``, and the photon error."""
    from ptypy_beamline.run import run

    given = dict(ENGINES[case])
    name = engine_name(given.pop("name", case), arch)
    scan = {
        "name": given.pop("model", "BlockFull"),
        "data": {"name": "BeamlineScan", "file": str(file)},
    }
    pars = tree(scan, Star.read(STAR).probe, 200, given.pop("modes", 1))
    pars["engines"] = {"engine": {"name": name, "numiter": iterations, **given}}
    ptycho = run(pars, backend=None if arch == "plain" else arch)
    found = next(iter(ptycho.obj.storages.values())).data[0]
    np.savez(out, object=found, error=np.array(ptycho.runtime.iter_info[-1]["error"], float))


class Peak(threading.Thread):
    """The largest amount of the card's memory in use, looked at every 10 ms."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.bytes = 0

    def run(self) -> None:
        import cupy

        while True:
            free, total = cupy.cuda.runtime.memGetInfo()
            self.bytes = max(self.bytes, total - free)
            time.sleep(0.01)


def timed(cls: type, method: str, seconds: dict[str, list[float]]) -> None:
    """Record in ``seconds[method]`` how long each call took."""
    plain = getattr(cls, method)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return plain(*args, **kwargs)
        finally:
            seconds[method].append(time.perf_counter() - start)

    setattr(cls, method, wrapped)


def measure(case: tuple[int, int, int, int], engine: str, arch: str, file: Path) -> dict[str, Any]:
    """Seconds and memory of 20 iterations, from the file on."""
    from ptypy.engines.base import BaseEngine

    from ptypy_beamline import ptyscan
    from ptypy_beamline.run import load_engines, run

    load_engines(arch)
    gpu = Peak()
    if arch == "cupy":
        gpu.start()
    seconds: dict[str, list[float]] = defaultdict(list)
    timed(BaseEngine, "initialize", seconds)
    timed(BaseEngine, "prepare", seconds)
    timed(BaseEngine, "iterate", seconds)
    loader: dict[str, list[float]] = defaultdict(list)
    timed(ptyscan.BeamlineScan, "initialize", loader)
    timed(ptyscan.BeamlineScan, "auto", loader)
    _, size, block, modes = case
    y, x = np.indices((size, size)) - size / 2
    probe = 1e3 * np.exp(-(y**2 + x**2) / (size / 6) ** 2)
    data = {"name": "BeamlineScan", "file": str(file), "center": "fftshift"}
    pars = tree({"data": data}, probe, block, modes)
    support = {"probe_support": None} if engine == "DM" else {}
    pars["engines"] = {
        "e": {"name": f"{engine}_{arch}", "numiter": 20, "numiter_contiguous": 10, **support}
    }
    start = time.perf_counter()
    ptycho = run(pars, level=4)
    before = time.perf_counter() - start
    load = sum(sum(calls) for calls in loader.values())
    ptycho.run()
    return {
        "load": load,
        "structures": before - load,
        "prepare": sum(seconds["initialize"]) + sum(seconds["prepare"]),
        "first": seconds["iterate"][0] / 10,
        "iteration": min(seconds["iterate"]) / 10,
        "gpu": gpu.bytes,
        "host": resident("VmHWM"),
    }


def worker(*words: object) -> None:
    """Run this file with ``words``, in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--worker", *map(str, words)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(f"{' '.join(map(str, words))}: {done.stderr[-1500:]}\n")


def agreement(
    folder: Path, arch: str, iterations: int, kept: Path | None
) -> Iterator[dict[str, Any]]:
    """A row for each engine."""
    from ptypy_beamline.testing.writers import WRITERS, Raw

    star = Star.read(STAR)
    raw = Raw(
        star.frames,
        star.positions_m,
        star.energy_eV,
        star.distance_m,
        (star.pixel_m, star.pixel_m),
        center_px=(64, 64),
    )
    file = WRITERS["standard"](folder / "star.h5", raw)
    results = kept or folder
    results.mkdir(exist_ok=True)

    def name(case: str, engines: str) -> Path:
        return results / f"{list(ENGINES).index(case)}_{engines}_{iterations}.npz"

    with ThreadPoolExecutor(max(1, (os.cpu_count() or 1) - 2)) as pool:
        for case in ENGINES:
            for engines in dict.fromkeys([arch, "serial", *["plain"] * (case in ROUNDING)]):
                out = name(case, engines)
                if not out.exists():
                    pool.submit(worker, "reconstruct", case, engines, file, iterations, out)
    for case in ENGINES:
        row = {"engine": case, "iterations": iterations}
        found = {
            engines: np.load(name(case, engines))
            for engines in (arch, "serial", "plain")
            if name(case, engines).exists()
        }
        if arch not in found or "serial" not in found:
            yield {
                **row,
                "difference": "failed",
                "of rounding": "",
                "photon error": "",
                "serial": "",
                "plain": "",
            }
            continue
        yield {
            **row,
            "difference": difference(found[arch], found["serial"]),
            "of rounding": difference(found["plain"], found["serial"]) if "plain" in found else "",
            "photon error": f"{found[arch]['error'][1]:.4f}",
            **{
                other: f"{found[other]['error'][1]:.4f}" if other in found else ""
                for other in ("serial", "plain")
            },
        }


def difference(a: Any, b: Any) -> str:
    """Part of the object's contrast that two reconstructions do not share."""
    return f"{max(0.0, 1 - correlation(a['object'], b['object'])):.1e}"


def needs(folder: Path, arch: str) -> Iterator[dict[str, Any]]:
    """A row for each size and engine."""
    made: dict[tuple[int, int], Path] = {}
    small = write_scan(folder / "small.h5", 60, "bslz4", (128, 128))
    for engine in ("DM", "ML"):  # compiles the kernels, which are kept on the disk
        worker("measure", "[60, 128, 60, 1]", engine, arch, small, folder / "warm.json")
    for case in NEEDS:
        n, size, block, modes = case
        if (n, size) not in made:
            made[n, size] = write_scan(folder / f"{n}_{size}.h5", n, "bslz4", (size, size))
        for engine in ("DM", "ML"):
            out = folder / "out.json"
            out.unlink(missing_ok=True)
            worker("measure", json.dumps(case), engine, arch, made[n, size], out)
            if not out.exists():
                continue
            got = json.loads(out.read_text())
            sys.stderr.write(f"{case} {engine} {got}\n")
            yield {
                "frames": n,
                "size": f"{size}²",
                "block": block,
                "modes": modes,
                "engine": engine,
                "load, s": f"{got['load']:.1f}",
                "structures, s": f"{got['structures']:.1f}",
                "prepare, s": f"{got['prepare']:.1f}",
                "first, ms": f"{got['first'] * 1e3:.0f}",
                "iteration, ms": f"{got['iteration'] * 1e3:.0f}",
                "GPU, MiB": got["gpu"] // MIB,
                "host, MiB": got["host"] // MIB,
            }


def card() -> str:
    """The GPU's name."""
    import cupy

    name: str = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    return name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", choices=["cupy", "serial"], default="cupy")
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--folder", type=Path, help="keeps reconstructions")
    parser.add_argument("--only", choices=["agreement", "needs"])
    parser.add_argument("--worker", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        what, *words = args.worker
        if what == "reconstruct":
            case, arch, file, n, out = words
            reconstruct(case, arch, Path(file), int(n), Path(out))
        else:
            case, engine, arch, file, out = words
            Path(out).write_text(json.dumps(measure(json.loads(case), engine, arch, Path(file))))
        return
    parts = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if args.only != "agreement":
            parts += ["## What a run needs\n", table(list(needs(folder, args.arch)))]
        if args.only != "needs":
            rows = agreement(folder, args.arch, args.iterations, args.folder)
            parts += ["## Agreement with the serial engines\n", table(list(rows))]
    title = f"# PtyPy's GPU engines on one {card()}\n" if args.arch == "cupy" else ""
    text = "\n".join([title, *parts])
    sys.stdout.write(text)
    if args.arch == "cupy" and not args.only:
        (ROOT / "benchmarks/results/gpu.md").write_text(text)


if __name__ == "__main__":
    main()
