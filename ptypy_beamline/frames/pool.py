"""Files that are kept open between reads: as many as the system can bear, however many there are.

An Eiger series may have five thousand data files, a ``.ptyd`` as many parts; systems allow some
thousand open files, and each costs HDF5 more than half a megabyte.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

MOST_OPEN = 64
"""Files kept open by a process, at most; a quarter of what the system allows, if that is less."""


def most_open() -> int:
    """How many files this process may keep open."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if resource else -1
    return MOST_OPEN if allowed < 0 else max(4, min(MOST_OPEN, allowed // 4))


class Pool:
    """Objects that each keep a file open, in the order of their last use.

    A thread that reads holds its file by itself: letting go of it here closes it only when that
    thread is done. Objects are known by weak references, so that a file is closed with its object.
    """

    def __init__(self) -> None:
        self._forget()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._owners: dict[int, weakref.ref[Any]] = {}

    def use(self, owner: Any, opened: Any) -> None:
        """Have ``owner`` keep what it has ``opened``, and others let go if there are too many."""
        owner.__dict__["_opened"] = opened
        with self._lock:
            self._owners.pop(id(owner), None)
            self._owners[id(owner)] = weakref.ref(owner)
            surplus = list(self._owners)[: max(0, len(self._owners) - most_open())]
            idle = [self._owners.pop(key)() for key in surplus]
        for one in idle:  # outside of the lock: HDF5 has one of its own
            if one is not None:
                one.__dict__.pop("_opened", None)

    def touch(self, owner: Any) -> None:
        """Note that ``owner`` uses its file again."""
        with self._lock:
            known = self._owners.pop(id(owner), None)
            if known is not None:
                self._owners[id(owner)] = known


OPEN_FILES = Pool()
"""Those of this process."""
