"""Loader parameters as PtyPy expects them: its own, checked, and the description of ours.

PtyPy checks types only in a parameter tree, and fails on wrong ones without a message elsewhere.
Works without PtyPy.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import Floats
from .errors import SettingsError, shown
from .files.hdf5 import open_hdf5
from .settings import Settings, parameters

CHECKED = ("save", "load_parallel", "min_frames", "positions_theory", "add_poisson_noise")
"""Parameters that are checked here; PtyPy's own check accepts any type."""

PTYPY_OWN = (*CHECKED, "name", "dfile", "chunk_format", "label", "experimentID", "version")
"""Parameters of PtyPy's base class that keep PtyPy's meaning."""


def checked(given: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """All parameters as PtyPy's base class takes them.

    Raises
    ------
    SettingsError
        One line that names the parameter.
    """
    _check_output(given, settings)
    load_parallel = given.get("load_parallel")
    if load_parallel not in (None, "data", "common", "all"):
        raise SettingsError(
            f"load_parallel={shown(load_parallel)}",
            "set load_parallel to None, 'data', 'common' or 'all'",
        )
    _check_switches(given)
    own = {name: _plain(value) for name, value in given.items()}
    for name in ("energy", "distance", "psize", "num_frames"):  # "5" is 5, too
        if (value := getattr(settings, name)) is not None:
            own[name] = value
    if "min_frames" in given:
        own["min_frames"] = 1 if given["min_frames"] is None else _whole(given["min_frames"])
    if given.get("positions_theory") is not None:
        own["positions_theory"] = _positions(given["positions_theory"])
    return own


def _check_output(given: Mapping[str, Any], settings: Settings) -> None:
    save = given.get("save")
    if save not in (None, "append", "link"):
        raise SettingsError(f"save={shown(save)}", "set save to None, 'append' or 'link'")
    if not save:
        return
    dfile = given.get("dfile")
    if not dfile:
        raise SettingsError(f"save={save!r} needs a file", "set dfile to the .ptyd to write")
    path = Path(str(dfile))
    if not _may_be_replaced(path):
        # PtyPy renames whatever is there: it might be the raw file, or one it is linked to.
        raise SettingsError(
            f"dfile={str(dfile)!r} exists and is not a .ptyd", "write to another dfile"
        )
    if path.resolve() == Path(settings.file_name).resolve():
        raise SettingsError(
            f"dfile={str(dfile)!r} is the file that is read", "write to another dfile"
        )


def _may_be_replaced(path: Path) -> bool:
    """Whether PtyPy may write there: nothing, or a ``.ptyd``."""
    if not path.exists():
        return True
    with open_hdf5(path) as file:
        return "chunks" in file and "meta" in file


def _check_switches(given: Mapping[str, Any]) -> None:
    for name in ("auto_center", "add_poisson_noise"):
        value = given.get(name)
        if value is not None and not isinstance(value, bool | np.bool_):
            raise SettingsError(
                f"{name}={shown(value)}", "set it to True or False, or leave it out"
            )
    if given.get("add_poisson_noise"):
        raise SettingsError(
            "add_poisson_noise=True: measured frames have their own noise",
            "leave it out; a phantom's noise is simulate.photons",
        )


def _whole(value: Any) -> int:
    """``min_frames`` as an int."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise SettingsError(f"min_frames={shown(value)}", "set it to a whole number from 1 on")
    return int(value)


def _positions(value: Any) -> Floats:
    """``positions_theory`` as an array (N, 2)."""
    try:
        positions = np.array(value, np.float64)
    except (TypeError, ValueError) as error:
        raise SettingsError("positions_theory is not an array of numbers", _THEORY) from error
    if positions.ndim != 2 or positions.shape[1] != 2:
        raise SettingsError(f"positions_theory has shape {positions.shape}", _THEORY)
    if not np.isfinite(positions).all():
        bad = int(np.sum(~np.isfinite(positions).all(1)))
        raise SettingsError(f"{bad} positions of positions_theory are not finite", _THEORY)
    return positions


_THEORY = "give (N, 2) positions (y, x) in metres"


def _plain(value: Any) -> Any:
    """A value that PtyPy can print and store: not 0-d arrays, sets or subclasses of arrays."""
    if isinstance(value, np.ndarray):
        return value.item() if value.ndim == 0 else np.asarray(value).view(np.ndarray)
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value) if isinstance(value, Path) else value


_TYPES = (
    "str, int, float, bool, tuple, list, set, frozenset, range, array, memmap, PosixPath, str_, "
    "bool_, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float16, float32, float64"
)
_NO_LIMITS = "lowlim =\nuplim =\n"
"""With the limits of PtyPy's base class, text would be compared with numbers."""

_BASE_DEFAULTS = {"load_parallel": "'data'", "min_frames": "1", "add_poisson_noise": "False"}
# PtyPy's own type check gives neither the value nor a remedy, so it lets everything pass and
# Settings checks.


def _described(name: str, default: str, help: str) -> str:
    """One parameter in the grammar of PtyPy's docstrings."""
    types = f"{_TYPES}, Param" if name == "qc" else _TYPES
    return f"[{name}]\ndefault = {default}\ntype = {types}\nhelp = {help}\n{_NO_LIMITS}"


def defaults_section(name: str) -> str:
    """The ``Defaults:`` section of a loader's docstring, from :class:`Settings`."""
    blocks = [f"[name]\ndefault = {name}\ntype = str\nhelp =\n"]
    for own in CHECKED:
        blocks.append(_described(own, _BASE_DEFAULTS.get(own, "None"), "as PtyPy has it"))
    groups = set[str]()
    for parameter in parameters():
        group, _, inner = parameter.name.partition(".")
        if inner and group not in groups:
            groups.add(group)
            blocks.append(f"[{group}]\ndefault =\ntype = Param\nhelp = see {group}.*\n")
        default = parameter.default
        text = repr(default) if isinstance(default, str) else str(default)
        blocks.append(_described(parameter.name, text, parameter.help))
    text = "\n".join(blocks).replace("\n", "\n    ")
    return f"\n\n    Defaults:\n\n    {text}\n    "
