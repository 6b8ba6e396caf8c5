"""What PtyPy notes of a run: errors, engines, parameters."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...arrays import Floats

Tree = Mapping[str, Any]


def errors_of(records: list[Tree]) -> Floats:
    """PtyPy's second error, of the photons, at each iteration; NaN where it was not recorded."""
    count = int(records[-1]["iterations"]) if records else 0
    errors = np.full(count, np.nan)
    for record in records:
        errors[int(record["iterations"]) - 1] = np.asarray(record["error"], np.float64)[1]
    return errors


def algorithm_of(records: list[Tree]) -> str:
    """Engines that ran and their iterations, as ``PtyPy DM 60 + ML 40``.

    A restart file knows the last iteration only: what was before is ``…``.
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
    """Whether an engine that ran has refined the positions, recorded or not."""
    ran = {record["engine"] for record in records}
    return any(
        engine.get("name") in ran and _refines(engine.get("position_refinement"))
        for engine in (pars.get("engines") or {}).values()
    )


def _refines(asked: Any) -> bool:
    """PtyPy does for True, or where a first or a last iteration is given."""
    if isinstance(asked, Mapping):
        return any(asked.get(name) is not None for name in ("start", "stop"))
    return bool(asked)


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
