"""The built-in engine, rPIE: a quick reconstruction without PtyPy."""

from ..model import Reconstruction
from .probe import probe_guess
from .rpie import from_preview, load_all, preview, probe_of, reconstruct

__all__ = [
    "Reconstruction",
    "from_preview",
    "load_all",
    "preview",
    "probe_guess",
    "probe_of",
    "reconstruct",
]
