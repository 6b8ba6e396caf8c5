"""Reconstructions: read, made presentable, drawn; :mod:`ptypy_beamline.exports` writes them."""

from .files import read
from .live import from_ptycho
from .previewed import from_preview
from .ptyr import read_ptyr
from .reconstruction import Reconstruction

__all__ = ["Reconstruction", "from_preview", "from_ptycho", "read", "read_ptyr"]
