"""The one way from settings to a plan: open the file, find the orientation if asked to, compile."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import formats
from .errors import MissingDataError, ScanError, SettingsError, naming
from .planning.make_plan import make_plan
from .planning.plan import Plan
from .reconstruction.loading import accepted, check_count, loader_settings
from .reconstruction.model import Reconstruction
from .scan import Scan
from .settings import Settings


def open_and_plan(settings: Settings) -> tuple[Scan, Plan]:
    """The scan that ``settings`` name, and its plan.

    Raises
    ------
    BeamlineError
        One line that names the file, what is wrong and the remedy.
    """
    scan = formats.open_with(settings)
    return scan, plan_scan(scan, settings)


def plan_scan(scan: Scan, settings: Settings) -> Plan:
    """The plan of a scan that is open; raises as :func:`open_and_plan`.

    With ``orientation='auto'`` up to two thousand frames are read to find it, and a warning says
    which it is.
    """
    if settings.orientation == "auto":
        from .diagnosis.orientation import with_orientation  # brings much of SciPy

        with naming(scan.source):
            settings = with_orientation(scan, settings)
    return make_plan(scan, settings)


def plan_opened(scan: Scan, changes: Mapping[str, Any]) -> Plan:
    """What :meth:`.scan.Scan.plan` does: ``changes`` are added to what the scan was opened with.

    Raises
    ------
    SettingsError
        They name another file or format.
    BeamlineError
        As :func:`open_and_plan`.
    """
    opened, wanted = Settings.of(scan.given), Settings.of({**scan.given, **changes})
    if wanted.file != opened.file or wanted.format != opened.format:
        raise SettingsError(
            "file and format cannot change with the plan", "open the other file", scan.source
        )
    if opened.file is not None and not wanted.reads_like(opened):
        scan = formats.open_with(wanted)
    return plan_scan(scan, wanted)


def plan_behind(found: Reconstruction, raw: str | Path | None = None) -> Plan:
    """The plan with which the frames of a reconstruction were loaded, including quality control.

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
    recorded = found.provenance.get("settings", {})
    if not isinstance(recorded, Mapping):
        raise ScanError(
            "the settings of the scan in the reconstruction's provenance are damaged",
            "leave the frames out (--frames), or write it again",
        )
    data = recorded.get("scans", {}).get(found.scan, {}).get("data", recorded)
    values = loader_settings(data)
    if raw is not None:
        values["file"] = str(raw)
    if "file" not in values:
        raise MissingDataError(
            "the reconstruction does not say how its frames were loaded",
            "leave out --frames, or give a .ptyr made with a loader of ptypy_beamline",
        )
    settings = Settings.of(values)
    scan, plan = open_and_plan(settings)
    return check_count(accepted(plan, scan, settings), len(found.positions_m))
