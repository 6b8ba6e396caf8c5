"""A :class:`Reconstruction` from a ``Ptycho`` that is in memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...arrays import Floats
from ...planning.plan import Plan
from ..model import Reconstruction
from .storages import Content, assemble, choose


def from_ptycho(ptycho: Any, *, scan: str = "", distance_m: float | None = None) -> Reconstruction:
    """What a PtyPy run has found so far.

    Under MPI every rank may call it; refined positions are complete on the first one only.

    Parameters
    ----------
    ptycho
        A ``ptypy.core.Ptycho``, at level 4 or beyond.
    scan
        Name of the scan, where there are several.
    distance_m
        From the sample to the detector; default: of the scan's geometry.

    Raises
    ------
    SettingsError
        There are several scans to choose from.
    ScanError, MissingDataError
        See :func:`ptypy_beamline.reconstruction.io.storages.assemble`.
    """
    content = Content(
        obj=_storages(ptycho.obj),
        probe=_storages(ptycho.probe),
        pars=_plain(ptycho.p),
        runtime=ptycho.runtime,
        positions={ID: _positions(storage) for ID, storage in ptycho.obj.storages.items()},
    )
    name = choose(content, scan)
    model = ptycho.model.scans[name]
    plan = getattr(model.ptyscan, "plan", None)
    given = distance_m or float(model.geometries[0].distance)
    return assemble(content, name, plan if isinstance(plan, Plan) else None, given)


def _storages(container: Any) -> dict[str, dict[str, Any]]:
    return {ID: storage._to_dict() for ID, storage in container.storages.items()}


def _positions(storage: Any) -> Floats:
    """(n, 2) coordinates of the views, one of the probe's modes each, as ``save_run`` does it."""
    return np.array(
        [view.coord for view in storage.views if view.pod.pr_view.layer == 0 and view.layer == 0]
    )


def _plain(tree: Any) -> Any:
    """PtyPy's ``Param`` as dicts."""
    return {k: _plain(v) for k, v in tree.items()} if isinstance(tree, dict) else tree
