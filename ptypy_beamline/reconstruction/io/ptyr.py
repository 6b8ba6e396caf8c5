"""PtyPy's ``.ptyr``, read without PtyPy."""

from __future__ import annotations

import glob
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import BeamlineError, FileError
from ...planning.plan import Plan
from ..loading import OURS, loader_settings, positions_plan
from ..model import Reconstruction
from .h5rw import read_tree
from .storages import Content, assemble, choose


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
        Name of the scan, where there are several.
    raw
        Where the raw file is now; default: where it was.
    plan
        How the frames were loaded, instead.
    distance_m
        From the sample to the detector, where the raw file is gone.

    Raises
    ------
    FileError
        The file is missing, damaged, or no reconstruction of PtyPy.
    SettingsError
        There are several scans to choose from.
    ScanError, MissingDataError
        See :func:`ptypy_beamline.reconstruction.io.storages.assemble`.
    """
    path = Path(path)
    content = _content(path)
    name = choose(content, scan)
    try:
        found = assemble(content, name, plan or _plan(content, name, raw), distance_m, path.parent)
    except BeamlineError as error:
        if error.file is not None:
            raise
        raise type(error)(error.problem, error.remedy, path) from error
    now = {} if raw is None else {"source": str(raw)}
    return replace(found, provenance={**found.provenance, **now, "ptyr": str(path)})


def _content(path: Path) -> Content:
    tree = read_tree(path).get("content")
    if not isinstance(tree, dict) or not {"obj", "probe", "pars", "runtime"} <= set(tree):
        raise FileError("not a reconstruction of PtyPy", "give a .ptyr (io.rfile)", path)
    return Content(
        tree["obj"], tree["probe"], tree["pars"], tree["runtime"], tree.get("positions") or {}
    )


def _plan(content: Content, scan: str, raw: str | Path | None) -> Plan | None:
    """How the frames were loaded: by this package, if the raw file is still there, or named."""
    data: dict[str, Any] = content.pars["scans"][scan].get("data", {})
    values = loader_settings(data)
    if raw is not None:
        return positions_plan({**values, "file": str(raw)})
    ours = str(data.get("name", "")).startswith(OURS)
    return positions_plan(values) if ours and _there(values.get("file")) else None


def _there(named: str | list[str] | None) -> bool:
    """Whether a path, or the paths and globs of a list, name anything."""
    names = [named] if isinstance(named, str) else named or ()
    return bool(names) and all(Path(name).exists() or glob.glob(name) for name in names)
