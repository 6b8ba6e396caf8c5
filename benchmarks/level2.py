"""Seconds of ``Ptycho(level=2)``, all before the first iteration, and of loading alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import ptypy
from large_scan import PARAMETERS, load
from ptypy import utils as u
from ptypy.core import Ptycho

import ptypy_beamline.ptyscan  # noqa: F401  registers the loaders

ptypy.load_ptyscan_module("hdf5_loader")


def tree(name: str, path: Path) -> Any:
    """A parameter tree that names a loader, and no engine."""
    light = u.Param(aperture=u.Param(form="circ", size=3e-6), diversity=None)
    scan = u.Param(name="BlockFull", data=PARAMETERS[name](path), illumination=light)
    off = u.Param(active=False)
    io = u.Param(rfile=None, autosave=off, autoplot=off, interaction=off)
    return u.Param(verbose_level="ERROR", io=io, scans=u.Param(scan=scan), engines=u.Param())


def rows(path: Path, repeats: int) -> Iterator[dict[str, Any]]:
    """One for each loader; they take turns, and their first turn is not counted."""
    names = ("BeamlineScan", "Hdf5Loader")
    turns: dict[tuple[str, str], Callable[[], Any]] = {}
    for name in names:
        turns["whole", name] = lambda name=name: Ptycho(tree(name, path), level=2)
        turns["loading", name] = partial(load, name, path)
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in turns}
    for _ in range(repeats + 1):
        for key, turn in turns.items():
            start = time.perf_counter()
            turn()
            seconds[key].append(time.perf_counter() - start)
    for name in names:
        whole, own = (median(seconds[what, name][1:]) for what in ("whole", "loading"))
        yield {
            "loader": name,
            "Ptycho(level=2), s": f"{whole:.2f}",
            "loading, s": f"{own:.2f}",
            "the rest, s": f"{whole - own:.2f}",
        }
