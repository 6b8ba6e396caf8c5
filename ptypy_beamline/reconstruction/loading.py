"""The raw scan behind a reconstruction: found again from its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import formats
from ..arrays import Floats, Ints
from ..errors import MissingDataError, ScanError
from ..options import Qc
from ..planning.exposures import recorded_i0
from ..planning.make import make_plan
from ..planning.plan import Plan
from ..settings import Settings
from .model import Reconstruction

OURS = "Beamline"
"""What the names of this package's loaders begin with."""


def loader_settings(data: Mapping[str, Any]) -> dict[str, Any]:
    """The loader's own parameters among those of a PtyPy tree's ``scans.NAME.data``."""
    return {
        name: value
        for name, value in data.items()
        if name.partition(".")[0] in Settings.model_fields and value is not None
    }


def plan_of(values: Mapping[str, Any]) -> Plan:
    """The plan that these loader settings make, quality control included.

    Raises
    ------
    BeamlineError
        The raw file is missing, or does not fit the settings any more.
    """
    settings = Settings.of(values)
    qc = settings.qc
    scan = formats.open_with(settings)
    plan = make_plan(scan, settings)
    return plan if qc is None else _judged(plan, settings, qc, recorded_i0(scan, settings))


def _judged(plan: Plan, settings: Settings, qc: Qc, i0: Floats | None) -> Plan:
    from ..quality.inspect import judged_plan

    found = judged_plan(plan, settings, qc, i0, None)
    return plan if found is None else plan.without(found.reject_indices)


def plan_behind(found: Reconstruction, raw: str | Path | None = None) -> Plan:
    """The plan by which the frames of a reconstruction were loaded.

    Parameters
    ----------
    found
        With the loader's settings in its provenance.
    raw
        Where the raw file is now; default: where it was.

    Raises
    ------
    MissingDataError
        The provenance has no settings of a loader of this package.
    BeamlineError
        The raw file is missing, or has other positions than the reconstruction.
    """
    settings = found.provenance.get("settings", {})
    if not isinstance(settings, Mapping):
        raise ScanError(
            "the settings of the scan in the reconstruction's provenance are damaged",
            "leave the frames out (--frames), or write it again",
        )
    data = settings.get("scans", {}).get(found.scan, {}).get("data", settings)
    values = loader_settings(data)
    if raw is not None:
        values["file"] = str(raw)
    if "file" not in values:
        raise MissingDataError(
            "the reconstruction does not say how its frames were loaded",
            "leave out --frames, or give a .ptyr made with a loader of ptypy_beamline",
        )
    return check_count(plan_of(values), len(found.positions_m))


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


def raw_frames(plan: Plan) -> Ints:
    """(M,) raw frame of each position: the first of its exposures that is not left out."""
    exposures = plan.selection.exposures
    first = (exposures >= 0).argmax(axis=1)
    return np.asarray(exposures[np.arange(len(exposures)), first], np.int64)


def unused_frames(plan: Plan) -> list[int]:
    """Raw frames of no position: rejected, or outside the region."""
    used = plan.selection.exposures
    unused: list[int] = np.setdiff1d(np.arange(plan.frames.shape[0]), used).tolist()
    return unused


def described(found: Reconstruction, plan: Plan) -> Reconstruction:
    """``found`` with the raw frame of each position, and the list of the others."""
    more = {**found.provenance, "unused_frames": unused_frames(plan)}
    return replace(found, indices=raw_frames(plan), provenance=more)
