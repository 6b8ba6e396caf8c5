"""The embedded reconstruction and its picture: a first look without PtyPy."""

from .planned import load_all, preview, probe_of
from .probe import probe_guess
from .rpie import Reconstruction, reconstruct

__all__ = ["Reconstruction", "load_all", "preview", "probe_guess", "probe_of", "reconstruct"]
