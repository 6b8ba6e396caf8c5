"""Reconstruction by PtyPy from the settings of a scan, and the parameter tree that repeats it."""

from .ptypy_engine import ALONE, Ranks, ranks_started, reconstruct
from .trees import Chain, parameter_tree

__all__ = [
    "ALONE",
    "Chain",
    "Ranks",
    "parameter_tree",
    "ranks_started",
    "reconstruct",
]
