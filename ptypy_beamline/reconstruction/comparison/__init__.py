"""Comparison of a reconstruction with the truth."""

from .phantom import PhantomComparison, compare
from .registration import correlation, register

__all__ = ["Likeness", "PhantomComparison", "compare", "correlation", "register"]

Likeness = PhantomComparison  # former name
