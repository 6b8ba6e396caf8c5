"""The raw scan behind a reconstruction: found again from its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from .. import formats
from ..errors import ScanError
from ..planning.exposures import recorded_i0
from ..planning.make_plan import make_plan
from ..planning.plan import Plan
from ..scan import Scan
from ..settings import Settings
from .model import Reconstruction

OURS = "Beamline"
"""Prefix of the names of this package's loaders."""


def loader_settings(data: Mapping[str, Any]) -> dict[str, Any]:
    """The loader's own parameters among those of a PtyPy tree's ``scans.NAME.data``."""
    return {
        name: value
        for name, value in data.items()
        if name.partition(".")[0] in Settings.model_fields and value is not None
    }


def positions_plan(values: Mapping[str, Any]) -> Plan:
    """The plan of these loader settings, for its positions and geometry: frames are not oriented.

    Raises
    ------
    BeamlineError
        The raw file is missing, or no longer matches the settings.
    """
    settings = Settings.of(values)
    if settings.orientation == "auto":
        settings = settings.model_copy(update={"orientation": 0})
    scan = formats.open_with(settings)
    return accepted(make_plan(scan, settings), scan, settings)


def accepted(plan: Plan, scan: Scan, settings: Settings) -> Plan:
    """The plan without the frames that quality control rejects, where ``settings.qc`` asks."""
    from ..quality.workflow import evaluate_plan

    if settings.qc is None:
        return plan
    found = evaluate_plan(plan, settings, settings.qc, recorded_i0(scan, settings), None)
    return plan if found is None else plan.without(found.reject_indices)


def check_count(plan: Plan, count: int) -> Plan:
    """The plan, if it loads ``count`` positions.

    Raises
    ------
    ScanError
        It does not.
    """
    if len(plan) != count:
        raise ScanError(
            f"Expected the {count} positions of the reconstruction. Got {len(plan)}",
            "give the raw file and the settings it was made from",
        )
    return plan


def described(found: Reconstruction, plan: Plan) -> Reconstruction:
    """``found`` with the raw frame of each position, and a list of those of no position.

    The raw frame is the first exposure that is not left out; those of no position are rejected or
    outside the region.
    """
    exposures = plan.selection.exposures
    first = exposures[np.arange(len(exposures)), (exposures >= 0).argmax(axis=1)]
    unused = np.setdiff1d(np.arange(plan.frames.shape[0]), exposures).tolist()
    return replace(
        found,
        indices=np.asarray(first, np.int64),
        provenance={**found.provenance, "unused_frames": unused},
    )
