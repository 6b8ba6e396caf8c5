"""``Ptycho(level=2)``, all before the first iteration: seconds of CPU and peak memory.

    python benchmarks/level2.py                                  # about half an hour
    python benchmarks/level2.py --sizes 1000x256 --repeats 3     # a look

``BlockFull`` and ``BeamlineFull`` take turns, with the same loader and each in a process of its
own that has loaded a small scan before, so that imports and compilation are not counted. Memory is
the kernel's count (VmHWM, Linux only) above what the process had before. ``BeamlineFull`` computes
exit waves, and a mask that all frames share, when an engine asks for them (DM does, ML does not for
exit waves): the columns "and waves" have them computed.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import ptypy
from large_scan import PARAMETERS, WINDOW, load, write_scan
from memory import resident
from ptypy import utils as u
from ptypy.core import Ptycho
from star import ROOT
from table import write_table

import ptypy_beamline.ptyscan  # noqa: F401  registers the loaders

ptypy.load_ptyscan_module("hdf5_loader")

OURS = ("BeamlineScan", "BeamlineFull")
SAME_LOADER = ("BeamlineScan", "BlockFull")
PTYPY = ("Hdf5Loader", "BlockFull")
SIZES = ("1000x256", "4000x128", "16000x64", "64000x32")


def tree(loader: str, model: str, path: Path, window: int = WINDOW) -> Any:
    """A parameter tree without an engine."""
    light = u.Param(aperture=u.Param(form="circ", size=3e-6), diversity=None)
    scan = u.Param(name=model, data=PARAMETERS[loader](path, window), illumination=light)
    off = u.Param(active=False)
    io = u.Param(rfile=None, autosave=off, autoplot=off, interaction=off)
    return u.Param(verbose_level="ERROR", io=io, scans=u.Param(scan=scan), engines=u.Param())


def prepared(pair: tuple[str, str], path: Path, window: int = WINDOW) -> Ptycho:
    """Level 2 with a loader and a model."""
    return Ptycho(tree(*pair, path, window), level=2)


def rows(path: Path, repeats: int) -> Iterator[dict[str, Any]]:
    """One for each loader and model; they take turns, and their first turn is not counted."""
    turns: dict[tuple[str, ...], Callable[[], Any]] = {}
    for pair in (OURS, SAME_LOADER, PTYPY):
        turns[pair] = partial(prepared, pair, path)
        turns[pair[:1]] = partial(load, pair[0], path)
    seconds: dict[tuple[str, ...], list[float]] = {key: [] for key in turns}
    for _ in range(repeats + 1):
        for key, turn in turns.items():
            start = time.perf_counter()
            turn()
            seconds[key].append(time.perf_counter() - start)
    for pair in (OURS, SAME_LOADER, PTYPY):
        whole, own = (median(seconds[key][1:]) for key in (pair, pair[:1]))
        yield {
            "loader": pair[0],
            "model": pair[1],
            "Ptycho(level=2), s": f"{whole:.2f}",
            "loading, s": f"{own:.2f}",
            "the rest, s": f"{max(whole - own, 0):.2f}",
        }


def worker(loader: str, model: str, path: str, small: str, window: str) -> None:
    """Print CPU seconds and bytes of level 2, and of level 2 with all that was put off."""
    prepared((loader, model), Path(small), int(window))
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
    before, start = resident("VmRSS"), time.process_time()
    ptycho = prepared((loader, model), Path(path), int(window))
    found = [time.process_time() - start, resident("VmHWM") - before]
    for container in (ptycho.mask, ptycho.exit):
        for storage in container.S.values():
            _ = storage.data
    found += [time.process_time() - start, resident("VmHWM") - before]
    print("FOUND", json.dumps(found))


def measured(pair: tuple[str, str], *arguments: Any) -> list[float]:
    """What :func:`worker` finds in a process of its own."""
    command = [sys.executable, __file__, "--worker", *pair, *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("FOUND"))
    found: list[float] = json.loads(line.removeprefix("FOUND"))
    return found


def of_size(frames: int, window: int, pairs: Sequence[tuple[str, str]], repeats: int) -> list[Any]:
    """Medians for each loader and model of ``pairs``, which take turns."""
    found: list[list[list[float]]] = [[] for _ in pairs]
    with tempfile.TemporaryDirectory() as name:
        path = write_scan(Path(name) / "scan.h5", frames, shape=(window, window))
        small = write_scan(Path(name) / "small.h5", 16, shape=(window, window))
        for _ in range(repeats):
            for pair, times in zip(pairs, found, strict=True):
                times.append(measured(pair, path, small, window))
    return [np.median(times, axis=0) for times in found]


def table_of(sizes: Sequence[str], repeats: Sequence[int]) -> Iterator[dict[str, Any]]:
    """A row for each size."""
    for size, times in zip(sizes, repeats, strict=True):
        frames, window = map(int, size.split("x"))
        pairs = [OURS, SAME_LOADER] + ([PTYPY] if frames * window <= 2**20 else [])
        ours, block, *theirs = of_size(frames, window, pairs, times)
        own = frames * window**2 * 4
        row = {
            "frames": f"{frames} × {window}²",
            "runs": times,
            "BlockFull, s": f"{block[0]:.2f}",
            "BeamlineFull, s": f"{ours[0]:.2f}",
            "times": f"{block[0] / ours[0]:.1f}",
            "and waves, s": f"{ours[2]:.2f}",
            "peak / frames, BlockFull": f"{block[1] / own:.1f}",
            "BeamlineFull": f"{ours[1] / own:.2f}",
            "and waves": f"{ours[3] / own:.2f}",
            "× Hdf5Loader, BlockFull": f"{theirs[0][0] / ours[0]:.1f}" if theirs else "",
        }
        print(json.dumps(row), flush=True)
        yield row


def exponent(repeats: int, counts: Sequence[int] = (4000, 16000, 64000), window: int = 32) -> float:
    """Of time with the number of frames, all of one size."""
    seconds = [of_size(count, window, [OURS], repeats)[0][0] for count in counts]
    return float(np.polyfit(np.log(counts), np.log(seconds), 1)[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=SIZES)
    parser.add_argument("--repeats", type=int, nargs="+", default=[5, 5, 5, 3])
    parser.add_argument("--worker", nargs=5, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        worker(*args.worker)
        return
    repeats = args.repeats * len(args.sizes) if len(args.repeats) == 1 else args.repeats
    found = list(table_of(args.sizes, repeats))
    if tuple(args.sizes) == SIZES:
        title = (
            "CPU seconds and memory of Ptycho(level=2); "
            f"exponent of BeamlineFull's from 4,000 to 64,000 frames of 32²: {exponent(3):.2f}"
        )
        write_table(ROOT / "benchmarks/results/level2.md", title, found)


if __name__ == "__main__":
    main()
