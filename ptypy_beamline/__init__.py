"""Raw beamline files straight into PtyPy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from os import PathLike
from typing import TYPE_CHECKING, Any

from . import moved
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

moved.install()

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
