"""Raw beamline files straight into PtyPy: the public names, and former names of modules."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from os import PathLike
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .errors import BeamlineError, BeamlineWarning

if TYPE_CHECKING:
    from .planning.plan import Plan
    from .planning.streaming import Block
    from .scan import Scan, Window
    from .settings import Settings

__version__ = "0.1.0"
__all__ = [
    "BeamlineError",
    "BeamlineWarning",
    "Block",
    "Plan",
    "Scan",
    "Settings",
    "Window",
    "__version__",
    "open_scan",
]

_HOMES = {
    "Block": ".planning.streaming",
    "Plan": ".planning.plan",
    "Scan": ".scan",
    "Settings": ".settings",
    "Window": ".scan",
}


def __getattr__(name: str) -> Any:
    """Classes are imported when asked for, and what they are made with: NumPy, h5py, Pydantic."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)


def open_scan(file: str | PathLike[str] | Sequence[str], **settings: Any) -> Scan:
    """Open a raw scan lazily: no frame is read.

    Parameters
    ----------
    file
        The raw file, of any known format; for TIFF a glob, several globs, or ``files.txt``.
    **settings
        Loader parameters; those that concern reading are ``format``, ``sidecar``, ``paths``,
        ``units``, ``outer_index``, ``mask_values``, ``links``, ``frames_per_position``. All hold
        for the plans of this scan, too.

    Raises
    ------
    BeamlineError
        One line with the file, what is needed and the remedy.
    """
    from . import formats
    from .settings import Settings

    named = [str(f) for f in file] if isinstance(file, list | tuple) else str(file)
    given = {"file": named, **settings}
    chosen = Settings.of(given)
    scan = formats.open_with(chosen)
    return replace(scan, given=given)


_MOVED = {
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


class _FormerModules(MetaPathFinder, Loader):
    """Finds a module under a former name, and returns the one that has replaced it."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(name, self) if _present_name(name) else None

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        present = _present_name(name) or name
        warnings.warn(f"{name} is now {present}", DeprecationWarning, stacklevel=2)
        sys.modules[name] = import_module(present)


def _present_name(name: str) -> str | None:
    """The full name of the module that a former full name stands for; ``None`` for others."""
    package, _, former = name.partition(".")
    if package != __name__:
        return None
    rest = ""
    while former and former not in _MOVED:
        former, _, last = former.rpartition(".")
        rest = f".{last}{rest}"
    return f"{package}.{_MOVED[former]}{rest}" if former else None


sys.meta_path.insert(0, _FormerModules())  # first, so that no module is loaded twice
