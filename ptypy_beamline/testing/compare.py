"""How like the truth a reconstruction is, for tests: see :mod:`ptypy_beamline.comparison`."""

from ..comparison.registration import correlation, register

__all__ = ["correlation", "register"]
