"""The embedded reconstruction and its picture: a first look without PtyPy."""

from .probe import probe_guess
from .rpie import Reconstruction, reconstruct

__all__ = ["Reconstruction", "probe_guess", "reconstruct"]
