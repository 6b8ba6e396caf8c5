"""HDF5 files that this process has open: reused instead of reopened, and limited in number.

Opening a file on a server takes milliseconds, and a scan's frames, masks and positions are mostly
in the same file. An Eiger series may have five thousand data files, a ``.ptyd`` as many parts;
systems allow some thousand open files, and each takes HDF5 more than half a megabyte.
"""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

MOST_OPEN = 64
"""Maximum number of files kept open; at most a quarter of what the system allows."""


CLOSED = (OSError, ValueError, RuntimeError)
"""Exceptions of h5py if another thread has just closed the file."""


def most_open() -> int:
    """Maximum number of files that this process keeps open."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if resource else -1
    return MOST_OPEN if allowed < 0 else max(4, min(MOST_OPEN, allowed // 4))


class OpenFiles:
    """Handles of files, by their paths, and the objects that keep one between two reads.

    All references are weak, so that a file is closed with the last object that uses it. A reading
    thread holds its own reference: a file that is released here is closed when that thread is done.
    """

    def __init__(self) -> None:
        self._forget()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._owners: dict[int, weakref.ref[Any]] = {}
        self._handles: dict[Path, list[weakref.ref[h5py.File]]] = {}

    def add(self, path: Path, file: h5py.File) -> None:
        """Register a file under its absolute path, for :meth:`reopen`."""
        with self._lock:
            if len(self._handles) > 2 * MOST_OPEN:
                alive = {key: _alive(handles) for key, handles in self._handles.items()}
                self._handles = {key: handles for key, handles in alive.items() if handles}
            handles = self._handles.get(path, [])
            self._handles[path] = [*_alive(handles), weakref.ref(file)]

    def reopen(self, path: Path) -> h5py.File | None:
        """Another handle of an open file, to be closed separately; None = the file is not open.

        Opening the file again would show the same: all handles of a process share the state that
        HDF5 saw when the first was opened.
        """
        for file in self._files(path):
            if _is_at(file, path):
                with suppress(*CLOSED):
                    again = h5py.File(file.id.reopen())
                    self.add(path, again)
                    return again
        return None

    def _files(self, path: Path) -> list[h5py.File]:
        with self._lock:
            files = [handle() for handle in self._handles.get(path, ())]
        return [file for file in files if file]

    def is_open(self, path: Path) -> bool:
        """Whether this process has the file open that is now at this absolute path."""
        return any(_is_at(file, path) for file in self._files(path))

    def keep(self, owner: Any, opened: Any) -> None:
        """Let ``owner`` keep what it ``opened``; let others close theirs if there are too many."""
        owner.__dict__["_opened"] = opened
        with self._lock:
            self._owners.pop(id(owner), None)
            self._owners[id(owner)] = weakref.ref(owner)
            surplus = list(self._owners)[: max(0, len(self._owners) - most_open())]
            idle = [self._owners.pop(key)() for key in surplus]
        for other in idle:  # outside the lock: HDF5 has its own
            if other is not None:
                other.__dict__.pop("_opened", None)

    def touch(self, owner: Any) -> None:
        """Note that ``owner`` is using its file again."""
        with self._lock:
            known = self._owners.pop(id(owner), None)
            if known is not None:
                self._owners[id(owner)] = known


def _alive(handles: list[weakref.ref[h5py.File]]) -> list[weakref.ref[h5py.File]]:
    return [handle for handle in handles if handle() is not None]


def _is_at(file: h5py.File, path: Path) -> bool:
    """Whether an open file is the one that is now at ``path``."""
    try:
        return os.path.samestat(os.fstat(file.id.get_vfd_handle()), path.stat())
    except CLOSED:  # or the file was removed
        return False


OPEN_FILES = OpenFiles()
"""The open files of this process."""
