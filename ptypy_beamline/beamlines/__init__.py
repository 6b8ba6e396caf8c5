"""Loader parameters that a beamline has by default, in YAML: see the page on beamlines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import FileError, SettingsError
from ..run import read_tree
from ..settings import Settings

FOLDER = Path(__file__).parent
SUFFIXES = (".yaml", ".yml", ".json")
EITHER = ({"orientation"}, {"rotate", "flip"})
"""Who gives one of these does without the other."""


def names() -> list[str]:
    """The beamlines that are known."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def defaults(beamline: str | Path) -> dict[str, Any]:
    """Loader parameters of a beamline, nested as in a PtyPy tree.

    Parameters
    ----------
    beamline
        ``hermes`` or ``xrnf``, or a YAML (or JSON) file of one's own.

    Raises
    ------
    SettingsError
        No such beamline; or the file is unreadable, or holds what is no loader parameter.
    """
    path = _file(beamline)
    try:
        tree = read_tree(path)
    except FileError as error:
        raise SettingsError(
            error.problem, "give loader parameters, as hot_sigma: 6", path
        ) from error
    if "file" in tree:
        raise SettingsError("a beamline has no file", "take it out", path)
    try:
        Settings.of(tree)
    except SettingsError as error:
        raise SettingsError(error.problem, error.remedy, path) from error
    return tree


def over(beamline: str | Path | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """What is given, dotted names allowed, and the beamline's defaults for the rest."""
    tree = defaults(beamline) if beamline is not None else {}
    for one, other in (EITHER, EITHER[::-1]):
        if one & set(given):
            tree = {name: value for name, value in tree.items() if name not in other}
    return {**tree, **given}


def _file(beamline: str | Path) -> Path:
    if str(beamline) in names():
        return FOLDER / f"{beamline}.yaml"
    path = Path(beamline)
    if path.suffix in SUFFIXES:
        return path
    known = ", ".join(names())
    raise SettingsError(f"Expected a beamline ({known}) or a YAML file. Got {str(beamline)!r}",
                        "name one of them by --beamline")  # fmt: skip
