"""PtyPy parameter trees of one scan, whose initial probe is estimated from the data."""

from __future__ import annotations

import os
import pprint
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..errors import SettingsError
from ..files.links import file_and_dataset
from ..output.files import write_text
from ..ptypy_probe import FAR, NEAR
from .gpu_memory import GPU_BLOCK

SCAN_MODEL = "BlockFull"
GPU = "cupy"
"""PtyPy's backend for its engines on a GPU."""

DIVERSITY = {"power": 0.1, "noise": [0.5, 1.0]}
"""How further probe modes differ from the first, and their share of its power."""

NOT_CONFINED = {"probe_support": None}
"""The probe is not confined to a part of its frame; in ML it never is."""

ITERATIONS = {"DM": 60, "RAAR": 60, "EPIE": 60, "SDR": 60, "ML": 40}


@dataclass(frozen=True)
class Chain:
    """PtyPy engines that run one after another, and the iterations of each."""

    engines: tuple[str, ...] = ("DM", "ML")
    iterations: tuple[int, ...] = (60, 40)

    @classmethod
    def of(cls, engines: str = "DM+ML", iterations: str = "") -> Chain:
        """From text such as ``DM+ML`` and ``60+40``; default: the usual number for each engine.

        Raises
        ------
        SettingsError
            An engine is unknown, a number is not one, or their numbers differ.
        """
        words = [word.strip() for word in engines.split("+")]
        names = tuple(word.upper() for word in words)
        unknown = next((word for word in words if word.upper() not in ITERATIONS), None)
        if unknown is not None:
            raise SettingsError(
                f"engine {unknown!r} is unknown",
                f"use preview, or one or several of {', '.join(ITERATIONS)} (--engine DM+ML)",
            )
        if not iterations:
            return cls(names, tuple(ITERATIONS[name] for name in names))
        counts = [word.strip() for word in iterations.split("+")]
        if len(counts) != len(names) or not all(word.isdecimal() and int(word) for word in counts):
            example = "+".join(str(ITERATIONS[name]) for name in names)
            raise SettingsError(
                f"iterations={iterations!r} with the engines {'+'.join(names)}",
                f"give one number for each engine (--iterations {example})",
            )
        return cls(names, tuple(map(int, counts)))

    def tree(self, gpu: bool) -> dict[str, Any]:
        """PtyPy's ``engines``."""
        end = f"_{GPU}" if gpu else ""
        return {
            f"engine{k:02d}": {
                "name": name + end,
                "numiter": count,
                **({} if name == "ML" else NOT_CONFINED),
            }
            for k, (name, count) in enumerate(zip(self.engines, self.iterations, strict=True))
        }


def parameter_tree(
    label: str,
    data: Mapping[str, Any],
    chain: Chain,
    *,
    modes: int = 1,
    near_field: bool = False,
    gpu: bool = False,
) -> dict[str, Any]:
    """PtyPy's parameters for one scan, whose initial probe is estimated from the data.

    With them, PtyPy writes no files.

    Parameters
    ----------
    label
        Name of the scan.
    data
        Parameters of the loader.
    chain
        The engines.
    modes
        Probe modes.
    near_field
        Whether the frames are near-field holograms.
    gpu
        Whether the engines are those of PtyPy's cupy backend, which must be loaded; they get
        smaller blocks.
    """
    scan: dict[str, Any] = {
        "name": SCAN_MODEL,
        "data": {"name": "BeamlineScan", **data},
        "illumination": {
            "model": NEAR if near_field else FAR,
            "aperture": None,
            "propagation": None,
            "diversity": dict(DIVERSITY) if modes > 1 else None,
        },
    }
    if modes > 1:
        scan["coherence"] = {"num_probe_modes": modes}
    if near_field:
        scan["propagation"] = "nearfield"
    return {
        "verbose_level": "ERROR",
        **({"frames_per_block": GPU_BLOCK} if gpu else {}),
        "io": {"rfile": None, "autosave": {"active": False}},
        "scans": {label: scan},
        "engines": chain.tree(gpu),
    }


def saving(tree: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """``tree``, so that PtyPy saves ``reconstruction.ptyr`` in a folder."""
    name = str((folder / "reconstruction.ptyr").absolute())
    # In file names, PtyPy substitutes what follows a %.
    io = {**tree["io"], "home": str(folder), "rfile": name.replace("%", "%%")}
    return {**tree, "io": io}


NAMED_FILES = (
    "file",
    "sidecar",
    "dark",
    "flat",
    "mask",
    "background",
    "reject",
    "monitor",
    "frame_order",
)
"""Parameters that may name a file."""


def label(file: str) -> str:
    """A label for the scan in a file, in ASCII as PtyPy needs it."""
    return re.sub(r"\W+", "_", Path(file).stem, flags=re.ASCII).strip("_") or "scan"


def with_absolute_paths(data: Mapping[str, Any]) -> dict[str, Any]:
    """The loader's parameters with absolute file names."""
    named = {name: _absolute(data[name]) for name in NAMED_FILES if name in data}
    if isinstance(data["file"], str):  # also a glob
        named["file"] = os.path.abspath(data["file"])
    paths = {name: _absolute(value) for name, value in data.get("paths", {}).items()}
    return {**data, **named, **({"paths": paths} if paths else {})}


def _absolute(value: Any) -> Any:
    """A file's name before ``::`` made absolute, if there is such a file."""
    if isinstance(value, list):
        return [_absolute(name) for name in value]
    if not isinstance(value, str):
        return value
    file, dataset = file_and_dataset(value)
    if file:
        return f"{os.path.abspath(file)}::{dataset}" if Path(file).exists() else value
    return os.path.abspath(value) if Path(value).exists() else value


def save_tree(tree: Mapping[str, Any], path: Path, note: str) -> None:
    """Write a tree as YAML, or as a script of plain PtyPy where ``path`` ends in ``.py``.

    Parameters
    ----------
    tree
        Of plain values.
    path
        The file.
    note
        One line for the top of the file.

    Raises
    ------
    SettingsError
        The name has another suffix.
    """
    check_tree_name(path)
    gpu = any(engine["name"].endswith(f"_{GPU}") for engine in tree["engines"].values())
    if path.suffix == ".py":
        text = pprint.pformat(dict(tree), sort_dicts=False)
        text = SCRIPT.format(note=note, tree=text, gpu=LOADS_GPU if gpu else "")
    else:
        backend = f" -b {GPU}" if gpu else ""
        text = f"# {note}\n#\n#   ptypy-beamline run {path.name}{backend}\n\n"
        text += yaml.safe_dump(dict(tree), sort_keys=False, allow_unicode=True)
    write_text(path, text)


REPEATS = "Repeats a reconstruction of"
"""How the first line of a saved tree begins, after the comment sign."""


def is_saved_tree(path: Path) -> bool:
    """Whether a file was written by :func:`save_tree`."""
    if not path.is_file():
        return False
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline().lstrip('#" ').startswith(REPEATS)


def check_tree_name(path: Path) -> None:
    """Refuse a name whose suffix is not that of a saved tree."""
    if path.suffix not in (".py", ".yaml", ".yml"):
        raise SettingsError(
            f"{path}: a tree is saved as YAML or as a script", "end its name in .yaml or .py"
        )


LOADS_GPU = """
from ptypy_beamline.run import load_engines

load_engines("cupy")
"""

SCRIPT = '''"""{note}

    python THIS_SCRIPT.py
    mpirun -n 4 python THIS_SCRIPT.py
"""

from ptypy import utils as u
from ptypy.core import Ptycho

import ptypy_beamline.ptyscan  # noqa: F401  registers the loaders
{gpu}
TREE = {tree}

p = u.Param()
p.update(TREE, Convert=True)
Ptycho(p, level=5)
'''
