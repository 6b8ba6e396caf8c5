"""Where compiled functions are kept on disk; Numba is not imported to look for them."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import sys
import tempfile
import time
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from .errors import warn

VARIABLE = "PTYPY_BEAMLINE_CACHE"
"""Environment variable that names a cache folder, searched and written to before all others."""

MODULES = (
    "frames.chunks.lz",
    "frames.chunks.unshuffle",
    "planning.kernels",
    "reconstruction.preview.engine",
    "statistics.measure",
)
"""Modules with compiled functions."""

PACKAGE = Path(__file__).parent

MAX_AGE_S = 90 * 86400.0
"""In the package's own folders, the functions of another version are removed when none has been
added for this long."""

VERSION_NAME = re.compile("[0-9a-f]{16}")
FUNCTION_NAME = re.compile(r"\w+\.\w+-[0-9a-f]{32}(\.[0-9a-f]{16})?")
"""Names of the folder of a version, and of the files in it, also half-written ones."""


class CacheFolder(NamedTuple):
    """A folder with a subfolder of compiled functions for each version.

    Attributes
    ----------
    private
        The code in it is executed, so it must belong to the user or to root, and nobody else may
        write to it. A folder that the user names may have another owner.
    """

    path: Path
    private: bool

    def usable(self) -> bool:
        """Whether the folder exists and no untrusted user could have put a file into it."""
        try:
            status = os.lstat(self.path) if self.private else os.stat(self.path)
        except OSError:
            return False
        if not stat.S_ISDIR(status.st_mode) or status.st_mode & stat.S_IWOTH:
            return False
        trusted = status.st_uid in (os.geteuid(), 0) and not status.st_mode & stat.S_IWGRP
        return trusted or not self.private

    @property
    def current(self) -> Path:
        """The subfolder of this version."""
        return self.path / version()

    def make(self) -> bool:
        """Make the subfolder of this version if it is missing; whether it is writable."""
        with suppress(OSError):
            if not self.path.exists():
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.path.mkdir(0o700 if self.private else 0o777, exist_ok=True)
            if self.usable() and not self.current.exists():
                if self.private:  # what else is in a folder of the user's is not known
                    _remove_old(self.path)
                self.current.mkdir(exist_ok=True)
            return self.usable() and os.access(self.current, os.W_OK)
        return False


PACKAGE_FOLDER = CacheFolder(PACKAGE / "__pycache__" / "compiled", private=False)
"""Whoever can write there can change the package itself."""


def cache_folders() -> list[CacheFolder]:
    """The folders to search for compiled functions, in this order."""
    named, numbas = os.environ.get(VARIABLE), os.environ.get("NUMBA_CACHE_DIR")
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    found = [CacheFolder(Path(named), private=False)] if named else []
    if named and os.path.exists(named) and not found[0].usable():
        _warn_of_unusable(named)
    found += [CacheFolder(Path(numbas, "ptypy_beamline"), private=True)] if numbas else []
    found += [PACKAGE_FOLDER]
    if os.path.isabs(home):
        found += [CacheFolder(Path(home, "ptypy_beamline"), private=True)]
    with suppress(FileNotFoundError):  # no folder for temporary files is writable
        temporary = Path(tempfile.gettempdir(), f"ptypy_beamline-{os.geteuid()}")
        found += [CacheFolder(temporary, private=True)]
    return found


@cache
def _warn_of_unusable(named: str) -> None:
    warn(
        f"compiled functions are not kept in {named} ({VARIABLE}), as it is not a folder, or every "
        "user can write to it: take that right away, or name another folder"
    )


@cache
def version() -> str:
    """Name of this version's subfolder: a digest of what all its functions depend on."""
    digest = hashlib.sha256()
    for name in ("compiled", *MODULES):
        digest.update((PACKAGE / f"{name.replace('.', '/')}.py").read_bytes())
    parts = (
        metadata.version("numba"),
        metadata.version("llvmlite"),
        sys.implementation.cache_tag,
        sys.abiflags,
    )
    digest.update(repr(parts).encode())
    return digest.hexdigest()[:16]


@cache
def on_disk(function: str) -> bool:
    """Whether ``function``, as in ``unshuffle.cut_bits``, was compiled for some types of pixels.

    A process looks for it once: it is asked for at every read of frames.
    """
    return any(
        next(folder.current.glob(f"{function}-*"), None)
        for folder in cache_folders()
        if folder.usable()
    )


def _remove_old(folder: Path) -> None:
    """Remove the functions of versions that have not been added to for ``MAX_AGE_S``."""
    for other in folder.iterdir():
        with suppress(OSError):  # another process was faster
            old = time.time() - other.stat().st_mtime > MAX_AGE_S
            if not (old and VERSION_NAME.fullmatch(other.name)):
                continue
            for file in other.iterdir():
                if FUNCTION_NAME.fullmatch(file.name):
                    file.unlink()
            other.rmdir()  # unless there is something else in it
