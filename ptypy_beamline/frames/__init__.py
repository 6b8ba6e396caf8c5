"""Bytes to pixels: lazily read stacks of frames."""

from ..files.hdf5 import open_hdf5
from .hdf5 import Hdf5Frames

__all__ = ["Hdf5Frames", "open_hdf5"]
