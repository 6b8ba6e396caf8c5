"""Reconstructions of PtyPy: a ``.ptyr``, read without PtyPy, or a ``Ptycho`` in memory.

A view of N pixels at coordinate c shows the storage's pixels from round((c - origin)/psize) - N//2
on (``ptypy.core.classes.Storage.update_views``): its pixel N//2 lies at c,
see :func:`.model.center_of`.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...arrays import Complex64s, Floats
from ...errors import FileError, MissingDataError, ScanError, SettingsError, naming, warn
from ...files.h5rw import read_tree
from ...planning.plan import Plan
from ..loading import OURS, check_count, described, loader_settings, positions_plan
from ..model import Reconstruction, center_of
from .ptypy_records import (
    Tree,
    algorithm_of,
    check_coherence,
    distance_of,
    energy_of,
    errors_of,
    layers_of,
    provenance_of,
    were_refined,
)


@dataclass(frozen=True, eq=False)
class SavedRun:
    """What PtyPy's ``save_run`` saves, in the same structure.

    Attributes
    ----------
    obj, probe
        ID of a storage → its attributes, of which ``data``, ``_origin``, ``_psize`` and
        ``_energy`` (keV) are used.
    pars
        The parameter tree.
    runtime
        With ``iter_info``, a record of each iteration.
    positions
        ID of the object's storage → (n, 2) coordinates of its views, where they are recorded.
    """

    obj: Tree
    probe: Tree
    pars: Tree
    runtime: Tree
    positions: Mapping[str, Floats] = field(default_factory=dict)


def read_ptyr(
    path: str | Path,
    *,
    scan: str = "",
    raw: str | Path | None = None,
    plan: Plan | None = None,
    distance_m: float | None = None,
) -> Reconstruction:
    """A reconstruction that PtyPy saved, of any kind but a restart file.

    PtyPy saves positions only when they were refined, and never the distance; where this package
    loaded the frames, both come from the raw file.

    Parameters
    ----------
    path
        The ``.ptyr``.
    scan
        Name of the scan, if there are several.
    raw
        Present path of the raw file; default: the recorded one.
    plan
        How the frames were loaded, instead of ``raw``.
    distance_m
        Sample-detector distance, if the raw file is gone.

    Raises
    ------
    FileError
        The file is missing, damaged, or no reconstruction of PtyPy.
    SettingsError
        There are several scans to choose from.
    ScanError, MissingDataError
        The reconstruction is incomplete, see :func:`assemble`.
    """
    path = Path(path)
    run = _saved_run(path)
    name = choose(run, scan)
    with naming(path):
        found = assemble(run, name, plan or _plan(run, name, raw), distance_m, path.parent)
    now = {} if raw is None else {"source": str(raw)}
    return replace(found, provenance={**found.provenance, **now, "ptyr": str(path)})


def _saved_run(path: Path) -> SavedRun:
    tree = read_tree(path).get("content")
    if not isinstance(tree, dict) or not {"obj", "probe", "pars", "runtime"} <= set(tree):
        raise FileError("not a reconstruction of PtyPy", "give a .ptyr (io.rfile)", path)
    return SavedRun(
        tree["obj"], tree["probe"], tree["pars"], tree["runtime"], tree.get("positions") or {}
    )


def _plan(run: SavedRun, scan: str, raw: str | Path | None) -> Plan | None:
    """How this package loaded the frames, if the raw file still exists or is given."""
    data: dict[str, Any] = run.pars["scans"][scan].get("data", {})
    values = loader_settings(data)
    if raw is not None:
        return positions_plan({**values, "file": str(raw)})
    named = values.get("file") or ()
    names = [named] if isinstance(named, str) else named  # paths or globs
    exists = names and all(Path(name).exists() or glob.glob(name) for name in names)
    ours = str(data.get("name", "")).startswith(OURS)
    return positions_plan(values) if ours and exists else None


def from_ptycho(ptycho: Any, *, scan: str = "", distance_m: float | None = None) -> Reconstruction:
    """The present state of a PtyPy run.

    Under MPI every rank may call it; refined positions are complete on the first one only.

    Parameters
    ----------
    ptycho
        A ``ptypy.core.Ptycho``, at level 4 or beyond.
    scan
        Name of the scan, if there are several.
    distance_m
        From the sample to the detector; default: of the scan's geometry.

    Raises
    ------
    SettingsError
        There are several scans to choose from.
    ScanError, MissingDataError
        The reconstruction is incomplete, see :func:`assemble`.
    """
    run = SavedRun(
        obj=_storages(ptycho.obj),
        probe=_storages(ptycho.probe),
        pars=_plain(ptycho.p),
        runtime=ptycho.runtime,
        positions={ID: _view_positions(storage) for ID, storage in ptycho.obj.storages.items()},
    )
    name = choose(run, scan)
    model = ptycho.model.scans[name]
    plan = getattr(model.ptyscan, "plan", None)
    given = distance_m or float(model.geometries[0].distance)
    return assemble(run, name, plan if isinstance(plan, Plan) else None, given)


def _storages(container: Any) -> dict[str, dict[str, Any]]:
    return {ID: storage._to_dict() for ID, storage in container.storages.items()}


def _view_positions(storage: Any) -> Floats:
    """(n, 2) coordinates of the views, one of the probe's modes each, as ``save_run`` does it."""
    return np.array(
        [view.coord for view in storage.views if view.pod.pr_view.layer == 0 and view.layer == 0]
    )


def _plain(tree: Any) -> Any:
    """PtyPy's ``Param`` as dicts."""
    return {k: _plain(v) for k, v in tree.items()} if isinstance(tree, dict) else tree


def choose(run: SavedRun, scan: str) -> str:
    """The name of the scan to read: ``scan``, or the only one.

    Raises
    ------
    SettingsError
        There is no such scan, or there are several to choose from.
    """
    names = [str(name) for name in run.pars.get("scans", {}) if _ids(run.obj, str(name))]
    if scan in names or (not scan and len(names) == 1):
        return scan or names[0]
    problem = f"Expected one scan. Got {len(names)}" if not scan else f"no scan {scan!r}"
    raise SettingsError(problem, f"choose by --scan (scan=): {', '.join(names) or 'there is none'}")


def assemble(
    run: SavedRun,
    scan: str,
    plan: Plan | None = None,
    distance_m: float | None = None,
    folder: Path | None = None,
) -> Reconstruction:
    """The reconstruction of one scan.

    Parameters
    ----------
    run
        What PtyPy holds or saved.
    scan
        Its name in the parameter tree, see :func:`choose`.
    plan
        How the frames were loaded: gives the distance, raw frames, and positions where
        they are not recorded.
    distance_m
        From the sample to the detector, where it is not recorded.
    folder
        Where the file of a multislice object may be, see :func:`.layers_of`.

    Raises
    ------
    ScanError
        No export can hold it: modes or energies of the object, orthogonal probes,
        three-dimensional storages.
    MissingDataError
        Positions or the distance are unknown.
    SettingsError
        The distance is not positive.
    """
    key, obj = _storage(run.obj, scan, "object")
    _, probe = _storage(run.probe, scan, "probe")
    waves = _planes(probe["data"], "probe")
    check_coherence(run.pars, scan, len(waves))
    layers, spacing_m = layers_of(run.pars, _planes(obj["data"], "object"), folder)
    positions = _positions(run, key, plan)
    pixel = np.asarray(obj["_psize"], np.float64)
    records = run.runtime.get("iter_info", [])
    found = Reconstruction(
        object=layers,
        probe=waves,
        pixel_m=(float(pixel[0]), float(pixel[1])),
        center_m=center_of(np.asarray(obj["_origin"]), layers.shape[-2:], pixel, waves.shape[-1]),
        positions_m=positions,
        indices=np.arange(len(positions)),
        energy_eV=energy_of(obj, run.pars, scan, plan),
        distance_m=distance_of(run.pars, scan, plan, distance_m),
        errors=errors_of(records),
        algorithm=algorithm_of(records),
        layer_spacing_m=spacing_m,
        scan=scan,
        provenance=provenance_of(run.pars, run.runtime, scan),
    )
    return found if plan is None else described(found, check_count(plan, len(positions)))


def _ids(storages: Tree, scan: str) -> list[str]:
    """Storages of a scan: ``S<scan>`` of the simple models, ``S<scan>G00`` … of the full ones."""
    return sorted(ID for ID in storages if re.fullmatch(rf"S{re.escape(scan)}(G\d\d)?", ID))


def _storage(storages: Tree, scan: str, what: str) -> tuple[str, Tree]:
    ids = _ids(storages, scan)
    if len(ids) != 1:
        raise ScanError(
            f"Expected one {what} of scan {scan!r}. Got {', '.join(ids) or 'none'}",
            "reconstruct it with one",
        )
    return ids[0], storages[ids[0]]


def _planes(data: Any, what: str) -> Complex64s:
    planes = np.asarray(data)
    if planes.ndim != 3:
        raise ScanError(
            f"Expected a {what} (layers, rows, columns). Got {planes.shape}",
            "three-dimensional (Bragg) storages have no export",
        )
    return planes.astype(np.complex64)


def _positions(run: SavedRun, key: str, plan: Plan | None) -> Floats:
    recorded = run.positions.get(key)
    if recorded is not None:
        return np.asarray(recorded, np.float64)
    if plan is not None:
        if were_refined(run.pars, run.runtime.get("iter_info", [])):
            warn(
                "positions were refined, but not recorded: using the raw file's; "
                "set position_refinement.record, or export the live Ptycho (PtyPy's "
                "engine ML never records)"
            )
        return plan.positions_m
    raise MissingDataError(
        "a .ptyr holds positions only where they were refined, and its raw file is not given or "
        "was not found",
        "give the raw file (--raw), or in Python its plan (plan=)",
    )
