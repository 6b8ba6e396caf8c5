"""Scans that are loaded while they are still being written."""

from .follower import Follower, Progress

__all__ = ["Follower", "Progress"]
