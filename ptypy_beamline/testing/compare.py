"""How like the truth a reconstruction is, for tests."""

from ..reconstruction.comparison.registration import correlation, register

__all__ = ["correlation", "register"]
