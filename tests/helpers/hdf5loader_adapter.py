"""PtyPy's ``Hdf5Loader`` and ``DiamondNexus`` parameters, translated into ours.

The functions make the settings of :class:`BeamlineScan` from a tree of theirs. PtyPy counts what
is left after bounding box, skipping and filter; ours names raw frames (``frame_order``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

PASSED_ON = (
    "dfile",
    "save",
    "min_frames",
    "load_parallel",
    "label",
    "experimentID",
    "rebin",
    "orientation",
    "num_frames",
)
"""Parameters of PtyPy's base class that mean the same."""

SILENT = {"energy": 7.2, "distance": 7.19, "psize": 172e-6}
"""PtyPy's silent defaults, which are none of ours."""


class Tree:
    """Dotted look-up in nested parameters; what is lacking is None."""

    def __init__(self, pars: Mapping[str, Any]) -> None:
        self.pars = pars

    def __call__(self, name: str, default: Any = None) -> Any:
        here: Any = self.pars
        for part in name.split("."):
            here = here.get(part) if isinstance(here, Mapping) else None
        return default if here is None else here


def place(file: str, key: str) -> str:
    return f"{file}::/{key.strip('/')}"


def stored(file: str, key: str) -> np.ndarray:
    with h5py.File(file, "r") as opened:
        return np.asarray(opened[key][()])


def of_hdf5loader(pars: Mapping[str, Any]) -> dict[str, Any]:
    """Our settings for a tree of PtyPy's ``Hdf5Loader``."""
    p = Tree(pars)
    outer = _outer_index(p)
    settings = {
        "format": "hdf5",
        "links": "any",
        "outer_index": outer,
        "file": p("intensities.file"),
        "paths.frames": p("intensities.key"),
    }
    settings |= _positions(p) | _selection(p, outer) | _corrections(p, outer)
    settings |= _geometry(p, outer) | _window(p)
    settings |= {name: p(name) for name in PASSED_ON if p(name) is not None}
    return {name: value for name, value in settings.items() if value is not None}


def of_diamond_nexus(pars: Mapping[str, Any]) -> dict[str, Any]:
    """Our settings for a tree of PtyPy's ``DiamondNexus``: paths of NXcxi_ptycho in one file."""
    file, detector = pars["file"], "entry_1/instrument_1/detector_1"
    keys = {
        "intensities.key": "entry_1/data/data",
        "positions.slow_key": "entry_1/data/y",
        "positions.fast_key": "entry_1/data/x",
        "darkfield.key": f"{detector}/darkfield",
        "flatfield.key": f"{detector}/flatfield",
        "recorded_distance.key": f"{detector}/distance",
        "recorded_psize.key": f"{detector}/x_pixel_size",
        "recorded_energy.key": "entry_1/instrument_1/beam_1/energy",
        "normalisation.key": "entry_1/instrument_1/monitor/data",
    }
    full: dict[str, Any] = {name: value for name, value in pars.items() if name != "file"}
    with h5py.File(file, "r") as opened:
        for name, key in keys.items():
            group, leaf = name.split(".")
            if opened.get(key, getlink=False) is not None:  # links may lead nowhere
                full[group] = {**full.get(group, {}), leaf: key, "file": file}
    if "recorded_energy_multiplier" in full:
        full["recorded_energy"]["multiplier"] = full.pop("recorded_energy_multiplier")
    return of_hdf5loader(full)


def _outer_index(p: Tree) -> int | None:
    """PtyPy takes several energies for a spectroscopic scan, whose first is the default."""
    if not p("recorded_energy.file"):
        return None
    energies = stored(p("recorded_energy.file"), p("recorded_energy.key"))
    return int(p("outer_index", 0)) if energies.ndim and len(energies) > 1 else None


def _positions(p: Tree) -> dict[str, Any]:
    settings = {}
    for axis, name in (("y", "slow"), ("x", "fast")):
        path = place(p("positions.file"), p(f"positions.{name}_key"))
        column = p(f"positions.{name}_index")
        settings[f"paths.{axis}"] = path if column is None else f"{path}[:,{column}]"
    units = [float(p(f"positions.{name}_multiplier", 1.0)) for name in ("slow", "fast")]
    return settings | {"units.positions": units}


def _axis(p: Tree, name: str, outer: int | None) -> np.ndarray:
    values = stored(p("positions.file"), p(f"positions.{name}_key"))
    values = values if outer is None else values[outer]
    column = p(f"positions.{name}_index")
    values = values if column is None else values[:, column]
    return np.squeeze(values) if values.ndim > 2 else values


def _selection(p: Tree, outer: int | None) -> dict[str, Any]:
    """Bounding box, skipping, filter and order as the raw frames that are left."""
    with h5py.File(p("intensities.file"), "r") as opened:
        frames = opened[p("intensities.key")].shape[outer is not None : -2]
    slow, fast = _axis(p, "slow", outer), _axis(p, "fast", outer)
    listed = len(frames) == 1 and frames == slow.shape == fast.shape
    shape = frames if listed else (slow.shape[0], fast.shape[-1])
    wanted = np.arange(np.prod(shape)).reshape(shape)
    names = ("fast",) if listed else ("slow", "fast")
    wanted = wanted[tuple(_bounds(p(f"positions.bounding_box.{n}_axis_bounds")) for n in names)]
    skip = slice(None, None, p("positions.skip", 1))
    wanted = wanted[(skip,) * len(names)].ravel()
    if p("framefilter.file"):
        keep = stored(p("framefilter.file"), p("framefilter.key")).squeeze() > 0
        keep = keep if outer is None else keep[outer]
        wanted = wanted[keep.ravel()[wanted]]
    if p("frameorder.indices") is not None:
        wanted = wanted[np.asarray(p("frameorder.indices"), int)]
    everything = np.array_equal(wanted, np.arange(np.prod(frames)))
    return {} if everything else {"frame_order": wanted}


def _bounds(given: Any) -> slice:
    if given is None:
        return slice(None)
    return slice(given, None) if isinstance(given, int) else slice(*given)


def _corrections(p: Tree, outer: int | None) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for ours, theirs in (("dark", "darkfield"), ("flat", "flatfield"), ("mask", "mask")):
        if p(f"{theirs}.file"):
            settings[ours] = place(p(f"{theirs}.file"), p(f"{theirs}.key"))
    if "mask" in settings:  # theirs are weights
        settings["mask_values"] = "bad" if p("mask.invert") else "good"
    if p("normalisation.file"):
        settings["monitor"] = _normalisation(p)
    return settings


def _normalisation(p: Tree) -> np.ndarray:
    """What PtyPy takes for an outlier is not normalised."""
    values = stored(p("normalisation.file"), p("normalisation.key")).ravel().astype(float)
    usual = np.abs(values - values.mean()) < p("normalisation.sigma", 3) * values.std()
    return np.where(usual, values, values.mean())


def _geometry(p: Tree, outer: int | None) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    scale = {"energy": 1e3}  # theirs is in keV
    for name, path in (("energy", "energy"), ("distance", "distance"), ("psize", "pixel")):
        recorded = f"recorded_{name}"
        if not p(f"{recorded}.file"):
            settings[name] = p(name, SILENT[name])
            continue
        factor, offset = p(f"{recorded}.multiplier", 1.0), p(f"{recorded}.offset", 0.0)
        if offset:
            value = stored(p(f"{recorded}.file"), p(f"{recorded}.key"))
            settings[name] = float(value if outer is None else value[outer]) * factor + offset
            continue
        settings[f"paths.{path}"] = place(p(f"{recorded}.file"), p(f"{recorded}.key"))
        settings[f"units.{path}"] = factor * scale.get(name, 1.0)
    return settings | {"radiation": "electron" if p("electron_data") else None}


def _window(p: Tree) -> dict[str, Any]:
    """PtyPy takes the middle if it gets neither a centre nor ``auto_center``."""
    center = p("center", None if p("auto_center") else "fftshift")
    if not isinstance(center, str) and center is not None:
        center = tuple(int(c) for c in np.broadcast_to(center, 2))
    pad = p("padding")
    return {
        "shape": p("shape"),
        "center": center,
        "auto_center": p("auto_center") or None,
        "pad": None if pad is None else tuple(pad),
    }
