"""Reconstructions: read, written, compared, post-processed and drawn."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .io import is_readable, read
    from .io.ptyr import from_ptycho, read_ptyr
    from .model import Reconstruction
    from .preview.rpie import from_preview

__all__ = ["Reconstruction", "from_preview", "from_ptycho", "is_readable", "read", "read_ptyr"]

_HOMES = {
    "Reconstruction": ".model",
    "from_preview": ".preview.rpie",
    "from_ptycho": ".io.ptyr",
    "is_readable": ".io",
    "read": ".io",
    "read_ptyr": ".io.ptyr",
}


def __getattr__(name: str) -> Any:
    """Import lazily: checks need the built-in engine, but no files of results."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)
