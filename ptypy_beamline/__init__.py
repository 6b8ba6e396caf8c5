"""Raw beamline files straight into PtyPy."""

from __future__ import annotations

from os import PathLike
from typing import Any

from .errors import BeamlineError, BeamlineWarning
from .planning.plan import Block, Plan
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


def open_scan(file: str | PathLike[str], **settings: Any) -> Scan:
    """Open a raw scan lazily: no frame is read.

    Parameters
    ----------
    file
        The raw file, of any known format.
    **settings
        Loader parameters that concern reading: ``format``, ``paths``, ``units``, ``outer_index``,
        ``mask_values``, ``links``, ``frames_per_position``.

    Raises
    ------
    BeamlineError
        One line with the file, what is needed and the remedy.
    """
    from . import formats

    chosen = Settings.of({"file": str(file), **settings})
    return formats.open_file(str(file), chosen.format, chosen.opening)
