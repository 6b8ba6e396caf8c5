"""From the settings of a scan to a reconstruction by PtyPy, and to the tree that repeats it."""

from .ptypy_engine import reconstruct
from .ranks import ALONE, Ranks, ranks_started
from .trees import Chain, parameter_tree

__all__ = [
    "ALONE",
    "Chain",
    "Ranks",
    "parameter_tree",
    "ranks_started",
    "reconstruct",
]
