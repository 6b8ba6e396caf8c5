"""A reconstruction beside the truth: registered, judged, drawn."""

from .likeness import Likeness, compare
from .registration import correlation, register

__all__ = ["Likeness", "compare", "correlation", "register"]
