"""Former names of modules, so that scripts which import them keep working."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "comparison": "reconstruction.comparison",
    "doctor": "diagnosis",
    "exports": "writers",
    "exports.amplitudes": "reconstruction.io.amplitudes",
    "exports.cxi": "reconstruction.io.cxi",
    "exports.npz": "reconstruction.io.npz",
    "exports.product": "reconstruction.io.product",
    "exports.reconstruction": "reconstruction.io.hdf5",
    "exports.tiff": "reconstruction.io.tiff",
    "preview": "reconstruction.preview",
    "reading": "frames",
    "reading.stored": "frames.chunks.stored",
    "results": "reconstruction",
    "results.loading": "plans",
    "results.picture": "reconstruction.plot",
}
"""Former name → present name, below the package; modules inside keep theirs."""


class _Former(MetaPathFinder, Loader):
    """Finds a module under a former name, and returns the one that has replaced it."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(name, self) if present_name(name) else None

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        present = present_name(name) or name
        warnings.warn(f"{name} is now {present}", DeprecationWarning, stacklevel=2)
        sys.modules[name] = import_module(present)


def present_name(name: str) -> str | None:
    """The full name of the module that a former full name stands for; ``None`` for others."""
    package, _, former = name.partition(".")
    if package != __package__:
        return None
    rest = ""
    while former and former not in MOVED:
        former, _, last = former.rpartition(".")
        rest = f".{last}{rest}"
    return f"{package}.{MOVED[former]}{rest}" if former else None


def install() -> None:
    """Let the import system know the former names; first, so that no module is loaded twice."""
    if not any(isinstance(finder, _Former) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Former())
