"""Default loader parameters of beamlines, from YAML files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BeamlineError, FileError, SettingsError, naming, silenced_warnings, warn
from ..files.trees import read_tree
from ..formats import open_with
from ..formats.exposure_groups import by_exposure
from ..scan import Scan
from ..settings import Settings

FOLDER = Path(__file__).parent
SUFFIXES = (".yaml", ".yml", ".json")
ALTERNATIVES = ({"orientation"}, {"rotate", "flip"})
"""Giving one of these drops the default of the other."""
EXPOSURES = "frames_per_position"


def names() -> list[str]:
    """The beamlines that are known."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def defaults(beamline: str | Path, file: str | Path | None = None) -> dict[str, Any]:
    """Loader parameters of a beamline, nested as in a PtyPy tree.

    Parameters
    ----------
    beamline
        ``hermes`` or ``xrnf``, or your own YAML (or JSON) file.
    file
        The scan. Defaults that contradict it are left out, with a warning: a window larger than
        its detector, and several exposures per position if each frame has its own position.

    Raises
    ------
    SettingsError
        The beamline is unknown, or the file is unreadable or has unknown parameters.
    """
    path = _file(beamline)
    try:
        tree = read_tree(path)
    except FileError as error:
        remedy = "give loader parameters, such as hot_sigma: 6"
        raise SettingsError(error.problem, remedy, path) from error
    if "file" in tree:
        raise SettingsError("a beamline has no file", "take it out", path)
    with naming(path):
        Settings.of(tree)
    if file is None:
        return tree
    suitable = with_defaults(path, {"file": str(file)})
    del suitable["file"]
    return suitable


def with_defaults(beamline: str | Path | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """The given parameters (dotted names allowed), and the beamline's defaults for the rest.

    With a ``file``, defaults that contradict its scan are left out, as in :func:`defaults`.
    """
    tree = defaults(beamline) if beamline is not None else {}
    for one, other in (ALTERNATIVES, ALTERNATIVES[::-1]):
        if one & set(given):
            tree = {name: value for name, value in tree.items() if name not in other}
    both = {**tree, **given}
    left = _unsuitable(both, set(tree) - set(given)) if "file" in given else set()
    return {name: value for name, value in both.items() if name not in left}


def _unsuitable(values: Mapping[str, Any], by_default: set[str]) -> set[str]:
    """The defaults that do not suit the scan; none if it cannot be opened."""
    if not by_default & {"shape", EXPOSURES}:
        return set()
    single = _opened({name: value for name, value in values.items() if name != EXPOSURES})
    scan = single or _opened(values)
    left: set[str] = set()
    if scan is not None and "shape" in by_default:
        height, width = np.broadcast_to(np.asarray(values["shape"], np.int64), 2).tolist()
        rows, columns = scan.frame_shape
        if height > rows or width > columns:
            window = f"shape {height}x{width} (--roi)"
            _warn_left_out(values, window, f"the detector is {rows}x{columns}")
            left |= {"shape", "center"} & by_default
    if EXPOSURES in by_default:
        count = int(values[EXPOSURES])
        why = _not_grouped(single, count, {"live", "live.timeout_s"} & set(values) != set())
        if why:
            _warn_left_out(values, f"{EXPOSURES}={count}", why)
            left.add(EXPOSURES)
    return left


def _not_grouped(single: Scan | None, count: int, followed: bool) -> str:
    """Why ``count`` exposures per position do not suit a scan; empty if they do."""
    if followed:
        return "not known yet in a scan that is followed; set it by --frames-per-pos"
    if single is None:  # it has fewer positions than frames, or cannot be opened at all
        return ""
    positions = single.positions_m if single.positions_px is None else single.positions_px
    return "" if by_exposure(positions, count) else "each frame has its own position"


def _warn_left_out(values: Mapping[str, Any], what: str, why: str) -> None:
    warn(f"the beamline's {what} is left out: {why}", Settings.of(values).file_name)


def _opened(values: Mapping[str, Any]) -> Scan | None:
    """The scan, or None if it cannot be opened; errors and warnings are given when it is loaded."""
    try:
        with silenced_warnings():
            return open_with(Settings.of(values))
    except BeamlineError:
        return None


def _file(beamline: str | Path) -> Path:
    if str(beamline) in names():
        return FOLDER / f"{beamline}.yaml"
    path = Path(beamline)
    if path.suffix in SUFFIXES:
        return path
    known = ", ".join(names())
    raise SettingsError(
        f"Expected a beamline ({known}) or a YAML file. Got {str(beamline)!r}",
        "name one of them with --beamline",
    )
