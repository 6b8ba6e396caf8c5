"""What PtyPy records about a run: errors, engines, parameters, slices of a thick object."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...arrays import Complex64s, Floats
from ...errors import FileError, MissingDataError, ScanError, SettingsError
from ...files.h5rw import read_tree
from ...planning.plan import Plan

Tree = Mapping[str, Any]

MULTISLICE_ENGINE = "ThreePIE"
DEFAULT_FILE, DEFAULT_THICKNESS_M = "slices.h5", 1e-6
"""Defaults of ``ptypy.custom.threepie``; PtyPy saves only parameters that were given."""


def errors_of(records: list[Tree]) -> Floats:
    """PtyPy's second error, of the photons, at each iteration; NaN where it was not recorded."""
    count = int(records[-1]["iterations"]) if records else 0
    errors = np.full(count, np.nan)
    for record in records:
        errors[int(record["iterations"]) - 1] = np.asarray(record["error"], np.float64)[1]
    return errors


def algorithm_of(records: list[Tree]) -> str:
    """Engines that ran and their iterations, as ``PtyPy DM 60 + ML 40``.

    A restart file has the last iteration only: earlier ones are shown as ``…``.
    """
    last = [
        now
        for now, after in itertools.zip_longest(records, records[1:])
        if after is None or after["iteration"] <= now["iteration"]
    ]
    parts = [f"{record['engine']} {record['iteration']}" for record in last]
    if last and sum(int(record["iteration"]) for record in last) < int(last[-1]["iterations"]):
        parts.insert(0, "…")
    return f"PtyPy {' + '.join(parts)}".strip()


def were_refined(pars: Tree, records: list[Tree]) -> bool:
    """Whether an engine that ran refined the positions, recorded or not."""
    ran = {record["engine"] for record in records}
    return any(
        engine.get("name") in ran and _refines(engine.get("position_refinement"))
        for engine in (pars.get("engines") or {}).values()
    )


def _refines(parameter: Any) -> bool:
    """PtyPy refines for True, or if a first or a last iteration is given."""
    if isinstance(parameter, Mapping):
        return any(parameter.get(name) is not None for name in ("start", "stop"))
    return bool(parameter)


def provenance_of(pars: Tree, runtime: Tree, scan: str) -> dict[str, Any]:
    """The raw file, when PtyPy ran and under which name, and all its parameters."""
    stamps = {
        name: runtime[name]
        for name in ("allstart", "allstop", "run")
        if isinstance(runtime.get(name), str)
    }
    source = pars["scans"][scan].get("data", {}).get("file")
    origin = {"source": source} if isinstance(source, str | list) else {}
    return {**origin, **stamps, "settings": pars}


def layers_of(
    pars: Tree, planes: Complex64s, folder: Path | None = None
) -> tuple[Complex64s, tuple[float, ...]]:
    """The object's layers: the storage's one plane, or the slices where the last engine is 3PIE.

    Parameters
    ----------
    pars
        The parameter tree; paths in it are relative to the working directory.
    planes
        (planes, ny, nx) of the object's storage.
    folder
        Another folder to search for the file of slices: that of the ``.ptyr``.

    Returns
    -------
    object
        (layers, ny, nx).
    spacing_m
        (layers - 1,) distances between them.

    Raises
    ------
    ScanError
        The planes are modes of the object.
    MissingDataError
        The file of slices is missing.
    """
    if len(planes) > 1:
        raise ScanError(
            f"the object has {len(planes)} modes, and no export can hold more than one",
            "reconstruct with coherence.num_object_modes=1",
        )
    engines = list((pars.get("engines") or {}).values())
    if not engines or engines[-1].get("name") != MULTISLICE_ENGINE:
        return planes, ()
    return _slices(engines[-1], planes, folder)


def _slices(
    engine: Tree, planes: Complex64s, folder: Path | None
) -> tuple[Complex64s, tuple[float, ...]]:
    """Read the file in which PtyPy's multislice engine keeps the slices."""
    named = Path(engine.get("fslices") or DEFAULT_FILE)
    paths = [named] if folder is None else [named, folder / named.name]
    path = next((path for path in paths if os.path.isfile(path)), None)
    if path is None:
        raise MissingDataError(
            f"the slices of {MULTISLICE_ENGINE} are missing",
            "put the file (fslices) into the folder of the .ptyr",
            named,
        )
    content = read_tree(path).get("content", {})
    found = content.get("objects", {})
    ordered = sorted(found, key=lambda name: int(re.findall(r"\d+", name)[-1]))
    slices = [
        np.asarray(storage["data"], np.complex64)
        for name in ordered
        for storage in found[name].values()
    ]
    if any(s.shape != planes.shape for s in slices) or len(slices) < 2:
        shapes = ", ".join(str(s.shape) for s in slices)
        raise FileError(
            f"Expected slices of {planes.shape}. Got {shapes}",
            "give the file of this reconstruction (fslices)",
            path,
        )
    thickness = content.get("slice_thickness", DEFAULT_THICKNESS_M)
    spacing_m = np.broadcast_to(np.asarray(thickness, np.float64), len(slices) - 1)
    return np.concatenate(slices), tuple(spacing_m.tolist())


def energy_of(obj: Tree, pars: Tree, scan: str, plan: Plan | None) -> float:
    """The photon energy; PtyPy's simplest models do not record it with the storage."""
    recorded = obj.get("_energy") or (plan and plan.geometry.ptypy_energy_keV)
    energy_keV = recorded or pars["scans"][scan].get("data", {}).get("energy")
    if not energy_keV:
        raise MissingDataError(
            f"the photon energy of scan {scan!r} is not recorded",
            "give the raw file (--raw; plan=)",
        )
    return float(np.ravel(energy_keV)[0]) * 1e3


def distance_of(pars: Tree, scan: str, plan: Plan | None, given: float | None) -> float:
    """The sample-detector distance, the effective one for a cone beam."""
    loading = pars["scans"][scan].get("data", {})
    # For a cone beam, only the plan knows the effective distance.
    cone = loading.get("focus_to_sample") or (loading.get("paths") or {}).get("focus")
    stated = None if cone else loading.get("distance")
    distance_m = given or (plan.geometry.distance_m if plan else stated)
    if not distance_m:
        raise MissingDataError(
            "the distance from sample to detector is not recorded",
            "set --distance-m (distance_m=), or give the raw file (--raw; plan=)",
        )
    if not 0 < distance_m < np.inf:
        raise SettingsError(
            f"Expected a positive distance. Got {distance_m}", "set --distance-m (distance_m=)"
        )
    return float(distance_m)


def check_coherence(pars: Tree, scan: str, probes: int) -> None:
    """Refuse a scan of several energies, or with a probe for each position.

    Raises
    ------
    ScanError
        The scan is one of these.
    """
    coherence = pars["scans"][scan].get("coherence", {})
    energies = coherence.get("energies")
    if energies is not None and len(energies) > 1:
        raise ScanError(
            f"scan {scan!r} has {len(energies)} energies, and no export can hold more than one",
            "reconstruct it with one (coherence.energies)",
        )
    modes = coherence.get("num_probe_modes") or 1
    if probes != modes:
        raise ScanError(
            f"Expected {modes} probe modes of scan {scan!r}. Got {probes}: a probe for "
            "each position (OPR)",
            "no export can hold these: keep the .ptyr",
        )
