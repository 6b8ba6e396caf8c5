"""What PtyPy has made of a scan, compared with what it made of it by another model.

As a program, on the ranks of mpirun: ``structures.py FOLDER KIND,ENGINE[,FRAMES] …`` prints, as
JSON, for each case what differs on any rank between ``BlockFull`` and ``BeamlineFull``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import model_runs
import numpy as np

CONTAINERS = ("probe", "obj", "exit", "diff", "mask")
PAIRS = {"BlockFull": "BeamlineFull", "BlockGradFull": "BeamlineGradFull"}
"""PtyPy's model and the one that gives the same."""


def same(a: Any, b: Any) -> bool:
    """Equal in every bit, and of one kind."""
    if isinstance(a, np.ndarray):
        alike = (a.dtype, a.shape, a.strides) == (b.dtype, b.shape, b.strides)
        return alike and a.tobytes() == b.tobytes()
    return type(a) is type(b) and bool(a == b or a != a)  # noqa: PLR0124  NaN


def attributes(of: Any) -> dict[str, Any]:
    """Arrays, numbers and words of an object of PtyPy's."""
    kinds = (np.ndarray, np.generic, int, float, str, tuple)
    return {name: value for name, value in vars(of).items() if isinstance(value, kinds)}


def view_differences(a: Any, b: Any) -> Iterator[str]:
    """Of two views of one name."""
    left_over = () if a.active else ("dcoord", "dlow", "dhigh", "sp")
    for name in a._record.dtype.names:
        if name in left_over:  # of a view without data PtyPy keeps those of another view
            continue
        if not same(np.asarray(a._record[name]), np.asarray(b._record[name])):
            yield f"{name} {a._record[name]} {b._record[name]}"
    for name in ("ID", "numID", "_ndim", "storageID"):
        if getattr(a, name) != getattr(b, name):
            yield name
    if a.storage.ID != b.storage.ID or a.pod.ID != b.pod.ID or set(a.pods) != set(b.pods):
        yield "storage or pods"


def pod_differences(a: Any, b: Any) -> Iterator[str]:
    """Of two pods of one name."""
    if vars(a).keys() != vars(b).keys() or attributes(a) != attributes(b):
        yield "attributes"
    if [v.ID for v in a.V.values()] != [v.ID for v in b.V.values()] or list(a.V) != list(b.V):
        yield "views"
    others = ("ID", "numID", "active", "probe_weight", "object_weight")
    if any(getattr(a, name) != getattr(b, name) for name in others):
        yield "numbers"
    if a.geometry.ID != b.geometry.ID or a.model.label != b.model.label:
        yield "geometry or model"
    for name, view in (("pr", "probe"), ("ob", "obj"), ("ex", "exit"), ("di", "diff")):
        if getattr(b, f"{name}_view") is not b.V[view]:
            yield f"{name}_view"


def differences(a: Any, b: Any) -> Iterator[str]:
    """Of two ``Ptycho``: storages, views, pods and errors."""
    for name in CONTAINERS:
        left, right = getattr(a, name), getattr(b, name)
        if list(left.S) != list(right.S) or list(left.V) != list(right.V):
            yield f"{name}: names"
            continue
        for key, storage in left.S.items():
            _ = storage.data, right.S[key].data  # may be computed when asked for
            mine, theirs = attributes(storage), attributes(right.S[key])
            if vars(storage).keys() != vars(right.S[key]).keys():
                yield f"{name} {key}: attributes"
            yield from (f"{name} {key}: {at}" for at in mine if not same(mine[at], theirs[at]))
            if list(storage.layermap) != list(right.S[key].layermap):
                yield f"{name} {key}: layermap"
        for key, view in left.V.items():
            yield from (f"{name} {key}: {what}" for what in view_differences(view, right.V[key]))
    if list(a.pods) != list(b.pods):
        yield "pods: names"
    for key, pod in a.pods.items():
        yield from (f"{key}: {what}" for what in pod_differences(pod, b.pods[key]))
    if errors(a) != errors(b):
        yield "errors of the iterations"


def errors(ptycho: Any) -> str:
    """Of the iterations so far."""
    return str([info["error"] for info in ptycho.runtime.get("iter_info", [])])


def compared(
    folder: Path, kind: str, engine: str, model: str = "BlockFull", **more: Any
) -> list[str]:
    """What differs after some iterations."""
    from ptypy.utils import parallel

    made = []
    for name in (model, PAIRS[model]):
        parallel.loadmanager.reset()  # else the second run gives ranks other frames
        np.random.seed(3)  # noqa: NPY002  of probe modes
        made.append(model_runs.reconstruct(folder, name, engine, kind, **more))
    return list(differences(*made))


if __name__ == "__main__":
    from ptypy.utils import parallel

    from ptypy_beamline import ptyscan  # noqa: F401

    model_runs.load_engines()
    folder, *cases = sys.argv[1:]
    results = []
    for case in cases:
        kind, engine, *count = case.split(",")
        found = compared(Path(folder), kind, engine, count=int(*count or [model_runs.COUNT]))
        every = parallel.comm.gather(found)
        if parallel.master:
            results.append([what for found in every for what in found])
    if parallel.master:
        sys.stdout.write(f"RESULT {json.dumps(results)}\n")
