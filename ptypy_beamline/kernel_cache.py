"""Compiled functions on disk: where they are kept, and which of them may be used.

Numba's own cache needs a folder that can be written, even to read from it; it numbers files in an
index that processes which start at once overwrite for each other, and does not see a change in
another module. Here each compiled function is one file, named after all that its machine code
depends on: the processor and its features, versions, the sources of all compiled functions, the
types of the arguments. It is written under another name and renamed, by any number of processes.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import secrets
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import llvmlite.binding
import numba
from numba.core import config
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

VARIABLE = "PTYPY_BEAMLINE_CACHE"
"""Environment variable with a folder that is searched, and written to, before all others."""

MODULES = (
    "frames.chunks.lz",
    "frames.chunks.unshuffle",
    "planning.kernels",
    "reconstruction.preview.engine",
    "statistics.measure",
)
"""Those with compiled functions."""

OPTIONS = ("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "BOUNDSCHECK", "DEBUGINFO_DEFAULT")
"""Settings of Numba (environment variables NUMBA_…) that change what is compiled."""

PACKAGE = Path(__file__).parent

OLD_S = 90 * 86400.0
"""Functions of another version that nobody has added to for so long are removed."""

DIGEST_BYTES = 32


class Place(NamedTuple):
    """A folder for compiled functions.

    Attributes
    ----------
    folder
        Has a folder for each version.
    private
        It must be the user's own or the system's, and nobody else may write to it: what is read
        from it is run. A folder that the user names may have another owner.
    """

    folder: Path
    private: bool

    def usable(self) -> bool:
        """Whether the folder is there, and nobody could have put anything into it who must not."""
        try:
            found = os.lstat(self.folder) if self.private else os.stat(self.folder)
        except OSError:
            return False
        if not stat.S_ISDIR(found.st_mode) or found.st_mode & stat.S_IWOTH:
            return False
        mine = found.st_uid in (os.geteuid(), 0) and not found.st_mode & stat.S_IWGRP
        return mine or not self.private

    @property
    def current(self) -> Path:
        """The folder of this version."""
        return self.folder / version()

    def make(self) -> bool:
        """Make the folder of this version if it is missing; whether it can be written."""
        with suppress(OSError):
            if not self.folder.exists():
                self.folder.parent.mkdir(parents=True, exist_ok=True)
                self.folder.mkdir(0o700 if self.private else 0o777, exist_ok=True)
            if self.usable() and not self.current.exists():
                _remove_old(self.folder)
                self.current.mkdir(exist_ok=True)
            return self.usable() and os.access(self.current, os.W_OK)
        return False


PACKAGE_PLACE = Place(PACKAGE / "__pycache__" / "compiled", private=False)
"""Whoever can write there can change the package itself."""


def places() -> list[Place]:
    """Where compiled functions are looked for, in this order."""
    named, numbas = os.environ.get(VARIABLE), os.environ.get("NUMBA_CACHE_DIR")
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    found = [Place(Path(named), private=False)] if named else []
    found += [Place(Path(numbas, "ptypy_beamline"), private=True)] if numbas else []
    found += [PACKAGE_PLACE]
    found += [Place(Path(home, "ptypy_beamline"), private=True)] if os.path.isabs(home) else []
    temporary = Path(tempfile.gettempdir(), f"ptypy_beamline-{os.geteuid()}")
    return [*found, Place(temporary, private=True)]


@cache
def version() -> str:
    """Name of the folder of this version: a digest of all that is the same for its functions."""
    found = hashlib.sha256()
    for name in ("compiled", "kernel_cache", *MODULES):
        found.update((PACKAGE / f"{name.replace('.', '/')}.py").read_bytes())
    parts = numba.__version__, llvmlite.__version__, sys.implementation.cache_tag, sys.abiflags
    found.update(repr(parts).encode())
    return found.hexdigest()[:16]


def processor() -> str:
    """The processor that is compiled for, as LLVM calls it."""
    return str(config.CPU_NAME or llvmlite.binding.get_host_cpu_name())


class KernelCache(NullCache):  # type: ignore[misc]
    """What Numba asks for a function before it compiles it, and tells once it has.

    Parameters
    ----------
    function
        As written in Python.
    """

    only: ClassVar[Place | None] = None
    """Look for functions, and keep them, nowhere else."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """The function for these types; None where it must be compiled."""
        target_context.refresh()
        name = self._file(signature, target_context.codegen())
        for place in [self.only] if self.only else places():
            data = _read(place.current / name) if place.usable() else None
            if data is not None:
                with suppress(Exception):  # of whatever kind: it is compiled then
                    return CompileResult._rebuild(target_context, *pickle.loads(data))
        return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Keep it in the first place that can be written, if there is any."""
        if compiled.library.has_dynamic_globals:
            return
        name, data = self._file(signature, compiled.codegen), dumps(compiled._reduce())
        for place in [self.only] if self.only else places():
            if place == PACKAGE_PLACE != self.only:  # ``ptypy-beamline warm`` alone writes there
                continue
            if place.make() and _write(place.current / name, data):
                return

    def _file(self, signature: Any, codegen: Any) -> str:
        """Name of the file: for these types, this processor, and these settings of Numba."""
        options = [getattr(config, option, None) for option in OPTIONS]
        key = repr((str(signature), codegen.magic_tuple(), options))
        return f"{self._name}-{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def _read(path: Path) -> bytes | None:
    """What was written; None if it is not there, or not whole."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    digest, data = data[:DIGEST_BYTES], data[DIGEST_BYTES:]
    return data if hashlib.sha256(data).digest() == digest else None


def _write(path: Path, data: bytes) -> bool:
    """Whether it is written: the disk may be full."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        temporary.write_bytes(hashlib.sha256(data).digest() + data)
        temporary.replace(path)
    except OSError:
        return False
    finally:
        with suppress(OSError):
            temporary.unlink()
    return True


def _remove_old(folder: Path) -> None:
    """Other versions, if nobody has used them lately; of a package that is updated, few remain."""
    for other in folder.iterdir():
        with suppress(OSError):  # another process was faster
            if time.time() - other.stat().st_mtime > OLD_S:
                shutil.rmtree(other, ignore_errors=True)
