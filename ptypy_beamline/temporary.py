"""Temporary files and folders, which become outputs once complete, and locks of output folders.

Their names say who makes them: ``.STEM.ptypy_beamline-PLACE-PROCESS-RANDOM.SUFFIX``, where the
place is a host's, or a container's. One whose process is gone was left behind by a crash, and the
next that writes into the folder removes it.
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

from .errors import FileError

MARK = ".ptypy_beamline-"
NAME = re.compile(r"\..*\.ptypy_beamline-([0-9a-f]{8})-(\d+)-[0-9a-f]{8}(\.[^.]*)?", re.DOTALL)
LONGEST = 120
"""Bytes of an output's name that are repeated in that of its temporary file."""

POLL_S = 0.05


def beside(target: Path) -> Path:
    """A name in the folder of ``target``, with its suffix, that nobody else takes."""
    stem = os.fsencode(target.stem)[:LONGEST].decode(errors="ignore")
    suffix = target.suffix if len(target.suffix) <= LONGEST else ""
    name = f".{stem}{MARK}{_place()}-{os.getpid()}-{secrets.token_hex(4)}{suffix}"
    return target.with_name(name)


def remove(temporary: Path) -> None:
    """A file or folder that may be gone already."""
    if temporary.is_dir():
        shutil.rmtree(temporary, ignore_errors=True)
    else:
        with suppress(OSError):
            temporary.unlink()


def missing(folder: Path) -> list[Path]:
    """A folder and those above it that are not there, the lowest first."""
    return [place for place in (folder, *folder.parents) if not place.exists()]


def remove_empty(folders: Iterable[Path]) -> None:
    """Those folders, made for what failed, that hold nothing."""
    for folder in folders:
        with suppress(OSError):  # there is something in it
            folder.rmdir()


def remove_abandoned(folder: Path) -> None:
    """Remove what a process of this host left in a folder that has ended since."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = NAME.fullmatch(entry.name) if MARK in entry.name else None
            if found and found[1] == _place() and not _is_running(int(found[2])):
                remove(Path(entry.path))


@cache
def _place() -> str:
    """Where a process number means the same process: a host, or a container on it."""
    space = 0
    with suppress(OSError):
        space = os.stat("/proc/self/ns/pid").st_ino
    return f"{zlib.crc32(f'{socket.gethostname()} {space}'.encode()):08x}"


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # it is somebody else's
        return True
    return True


_held: set[tuple[int, int]] = set()
"""Folders that this process has, so that it does not wait for itself."""


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Have a folder of results to oneself, made where it is missing, for all of a long command.

    Raises
    ------
    FileError
        Another command has it, or it cannot be made.
    """
    made: list[Path] = []
    try:
        try:
            made = missing(folder)
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(
                f"cannot be written ({error.strerror})", "choose another folder (-o)", folder
            ) from error
        with taken(folder, 1.0) as free:
            if not free:
                made = []
                raise FileError(
                    "another command is writing into this folder",
                    "wait until it is done, or take another folder (-o)",
                    folder,
                )
            yield
    finally:
        remove_empty(made)


@contextmanager
def taken(folder: Path, wait_s: float) -> Iterator[bool]:
    """Lock a folder against others that lock it, without a file; whether nobody else has it.

    The lock ends with its process, however that ends. Some file systems of clusters have none.
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
