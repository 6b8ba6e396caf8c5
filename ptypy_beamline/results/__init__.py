"""Reconstructions: read, made presentable, drawn; :mod:`ptypy_beamline.exports` writes them."""

from .reconstruction import Reconstruction

__all__ = ["Reconstruction"]
