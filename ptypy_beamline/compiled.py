"""Functions compiled by Numba without the interpreter lock, and their cache on disk.

Numba's own cache must be able to write to its folder even to read from it; its index files are
overwritten by processes that start at the same time, and it does not notice a change in another
module. Here each compiled function is one file, named after everything that its machine code
depends on: the processor and its features, versions, the sources of all compiled functions, the
types of the arguments. Any number of processes may write it: under a temporary name, then renamed.
"""

from __future__ import annotations

import hashlib
import pickle
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import llvmlite.binding
import numba
from numba.core import config
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from .compiled_files import PACKAGE_FOLDER, CacheFolder, cache_folders

OPTIONS = ("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "BOUNDSCHECK", "DEBUGINFO_DEFAULT")
"""Settings of Numba (environment variables NUMBA_…) that change the machine code."""

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


def processor() -> str:
    """LLVM's name of the processor to compile for."""
    return str(config.CPU_NAME or llvmlite.binding.get_host_cpu_name())


class KernelCache(NullCache):  # type: ignore[misc]
    """Numba asks it for a function before compiling it, and hands over what was compiled."""

    only: ClassVar[CacheFolder | None] = None
    """Use this folder and no other."""

    lost: ClassVar[int] = 0
    """Functions that could not be written to any folder."""

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
        KernelCache.lost += 1

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
