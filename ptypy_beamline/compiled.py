"""Functions compiled by Numba without the interpreter lock, and their cache on disk.

Numba's own cache must be able to write to its folder even to read from it; its index files are
overwritten by processes that start at the same time, and it does not notice a change in another
module. Here each compiled function is one file, named after everything that its machine code
depends on: the processor and its features, versions, the sources of all compiled functions, the
types of the arguments. Any number of processes may write it: under a temporary name, then renamed.
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
"""Environment variable that names a cache folder, searched and written to before all others."""

MODULES = (
    "frames.chunks.lz",
    "frames.chunks.unshuffle",
    "planning.kernels",
    "reconstruction.preview.engine",
    "statistics.measure",
)
"""Modules with compiled functions."""

OPTIONS = ("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "BOUNDSCHECK", "DEBUGINFO_DEFAULT")
"""Settings of Numba (environment variables NUMBA_…) that change the machine code."""

PACKAGE = Path(__file__).parent

MAX_AGE_S = 90 * 86400.0
"""The functions of another version are removed when none has been added for this long."""

DIGEST_BYTES = 32


def compiled(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Compile without the interpreter lock; keep the result on disk if a folder is writable."""
    kernel: Any = numba.njit(nogil=True, **options)(function)
    if hasattr(kernel, "_cache"):  # else NUMBA_DISABLE_JIT, to debug
        kernel._cache = KernelCache(function)
    return kernel  # type: ignore[no-any-return]


def compiled_fast(function: Callable[..., Any]) -> Callable[..., Any]:
    """:func:`compiled`, with sums in whatever order the machine adds fastest; not for NaN.

    Division by 0 gives infinity: a loop that could stop there computes one pixel at a time.
    """
    fastmath = {"reassoc", "contract", "nsz", "arcp", "nnan"}
    return compiled(function, fastmath=fastmath, error_model="numpy")


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
    found += [CacheFolder(Path(numbas, "ptypy_beamline"), private=True)] if numbas else []
    found += [PACKAGE_FOLDER]
    if os.path.isabs(home):
        found += [CacheFolder(Path(home, "ptypy_beamline"), private=True)]
    temporary = Path(tempfile.gettempdir(), f"ptypy_beamline-{os.geteuid()}")
    return [*found, CacheFolder(temporary, private=True)]


@cache
def version() -> str:
    """Name of this version's subfolder: a digest of what all its functions depend on."""
    digest = hashlib.sha256()
    for name in ("compiled", *MODULES):
        digest.update((PACKAGE / f"{name.replace('.', '/')}.py").read_bytes())
    parts = numba.__version__, llvmlite.__version__, sys.implementation.cache_tag, sys.abiflags
    digest.update(repr(parts).encode())
    return digest.hexdigest()[:16]


def processor() -> str:
    """LLVM's name of the processor to compile for."""
    return str(config.CPU_NAME or llvmlite.binding.get_host_cpu_name())


class KernelCache(NullCache):  # type: ignore[misc]
    """Numba asks it for a function before compiling it, and hands over what was compiled."""

    only: ClassVar[CacheFolder | None] = None
    """Use this folder and no other."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """The function compiled for these types; None if it must be compiled."""
        target_context.refresh()
        name = self._file(signature, target_context.codegen())
        for folder in [self.only] if self.only else cache_folders():
            data = _read(folder.current / name) if folder.usable() else None
            if data is not None:
                with suppress(Exception):  # whatever is wrong with it: compile instead
                    return CompileResult._rebuild(target_context, *pickle.loads(data))
        return None

    def save_overload(self, signature: Any, result: Any) -> None:
        """Write it to the first folder that is writable, if any is."""
        if result.library.has_dynamic_globals:
            return
        name, data = self._file(signature, result.codegen), dumps(result._reduce())
        for folder in [self.only] if self.only else cache_folders():
            if folder == PACKAGE_FOLDER != self.only:  # only ``ptypy-beamline warm`` writes there
                continue
            if folder.make() and _write(folder.current / name, data):
                return

    def _file(self, signature: Any, codegen: Any) -> str:
        """File name for these types, this processor, and these settings of Numba."""
        options = [getattr(config, option, None) for option in OPTIONS]
        key = repr((str(signature), codegen.magic_tuple(), options))
        return f"{self._name}-{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def _read(path: Path) -> bytes | None:
    """The content of a file; None if it is missing or damaged."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    digest, data = data[:DIGEST_BYTES], data[DIGEST_BYTES:]
    return data if hashlib.sha256(data).digest() == digest else None


def _write(path: Path, data: bytes) -> bool:
    """Write the file; False if that fails: the disk may be full."""
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
    """Remove versions that have not been added to for ``MAX_AGE_S``."""
    for other in folder.iterdir():
        with suppress(OSError):  # another process was faster
            if time.time() - other.stat().st_mtime > MAX_AGE_S:
                shutil.rmtree(other, ignore_errors=True)
