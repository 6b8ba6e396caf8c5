"""Files that are either complete or not there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import FileError

REMEDY = "choose another output (-o), or make room and check the folder's permissions"


@contextmanager
def complete(path: str | Path) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its name when the block ends well.

    Readers never see half a file: the temporary one, of the same suffix, is flushed to disk
    and renamed at the end, and removed on any failure, an interrupt included. What was at
    ``path`` before stays until then. Missing folders are made.

    Yields
    ------
    Path
        Where to write; the file is there, and empty.

    Raises
    ------
    FileError
        The folder cannot be made or written to.
    """
    target = Path(path)
    temporary = _beside(target)
    try:
        yield temporary
        _flush(temporary)
        try:
            os.replace(temporary, target)
        except OSError as error:
            raise FileError(f"cannot be written ({error.strerror})", REMEDY, target) from error
    finally:
        temporary.unlink(missing_ok=True)


def _beside(target: Path) -> Path:
    """An empty file in the folder of ``target``, with the permissions any new file gets."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(target.suffix, f".{target.stem}-", target.parent)
    except OSError as error:
        raise FileError(f"cannot be written ({error.strerror})", REMEDY, target) from error
    os.close(handle)
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(name, 0o666 & ~mask)
    return Path(name)


def _flush(path: Path) -> None:
    """Have the file's content on the disk before its name."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
