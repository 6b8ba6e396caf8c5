"""Temporary files and folders beside the outputs they become, and locks on output folders.

Their names say who made them: ``.STEM.ptypy_beamline-HOST-PROCESS-RANDOM.SUFFIX``, where the
host may be a container. One whose process has ended was left behind by a crash, and is removed by
the next command that writes into the folder.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import socket
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from ..errors import FileError

MARK = ".ptypy_beamline-"
NAME = re.compile(r"\..*\.ptypy_beamline-([0-9a-f]{8})-(\d+)-[0-9a-f]{8}(\.[^.]*)?", re.DOTALL)
LONGEST = 120
"""Most bytes of an output's name that are repeated in that of its temporary file."""

POLL_S = 0.05


def temporary_name(target: Path) -> Path:
    """A unique name in the folder of ``target``, with its suffix."""
    stem = os.fsencode(target.stem)[:LONGEST].decode(errors="ignore")
    suffix = target.suffix if len(target.suffix) <= LONGEST else ""
    name = f".{stem}{MARK}{_host()}-{os.getpid()}-{secrets.token_hex(4)}{suffix}"
    return target.with_name(name)


def remove(temporary: Path) -> None:
    """Remove a file or folder, which may be gone already."""
    if temporary.is_dir():
        shutil.rmtree(temporary, ignore_errors=True)
    else:
        with suppress(OSError):
            temporary.unlink()


def missing_folders(folder: Path) -> list[Path]:
    """A folder and its parents that do not exist, the deepest first."""
    return [place for place in (folder, *folder.parents) if not place.exists()]


def remove_empty_folders(folders: Iterable[Path]) -> None:
    """Remove those folders that are empty."""
    for folder in folders:
        with suppress(OSError):  # it is not empty
            folder.rmdir()


def remove_abandoned(folder: Path) -> None:
    """Remove temporary files that were left in a folder by processes of this host, now ended."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = NAME.fullmatch(entry.name) if MARK in entry.name else None
            if found and found[1] == _host() and not _is_running(int(found[2])):
                remove(Path(entry.path))


@cache
def _host() -> str:
    """Identifies the host, or the container on it, within which process numbers are unique."""
    namespace = 0
    with suppress(OSError):
        namespace = os.stat("/proc/self/ns/pid").st_ino
    return f"{zlib.crc32(f'{socket.gethostname()} {namespace}'.encode()):08x}"


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's
        return True
    return True


_held: set[tuple[int, int]] = set()
"""Folders that this process has locked, so that it does not wait for itself."""


@contextmanager
def removing_leftovers(folder: Path) -> Iterator[None]:
    """Remove what processes that the block ran, and that were killed, left of their work.

    These are temporary files in ``folder``, and the folder and its parents if they are new and
    empty.
    """
    made = missing_folders(folder)
    try:
        yield
    finally:
        remove_abandoned(folder)
        remove_empty_folders(made)


@contextmanager
def exclusive_folder(folder: Path) -> Iterator[None]:
    """Lock a folder of results for all of a long command; it is made where missing.

    Raises
    ------
    FileError
        Another command has locked it, or it cannot be made.
    """
    made: list[Path] = []
    try:
        try:
            made = missing_folders(folder)
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(
                f"cannot be written ({error.strerror})", "choose another folder with -o", folder
            ) from error
        with folder_lock(folder, 1.0) as free:
            if not free:
                made = []
                raise FileError(
                    "another command is writing into this folder",
                    "wait until it is done, or choose another folder with -o",
                    folder,
                )
            yield
    finally:
        remove_empty_folders(made)


@contextmanager
def folder_lock(folder: Path, wait_s: float) -> Iterator[bool]:
    """Lock a folder, without a lock file; yields whether the lock was obtained.

    The lock ends with the process, however that ends. Some cluster file systems have no locks;
    there it is always obtained.
    """
    handle = None
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
    if handle is None:
        yield True
        return
    status = os.fstat(handle)
    here = (status.st_dev, status.st_ino)
    ours = here not in _held
    try:
        free = _locked(handle, wait_s) if ours else True
        _held.add(here)
        yield free
    finally:
        if ours:
            _held.discard(here)
        os.close(handle)


def _locked(handle: int, wait_s: float) -> bool:
    until = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                return False
        except OSError:  # not on this file system
            return True
        else:
            return True
        time.sleep(POLL_S)
