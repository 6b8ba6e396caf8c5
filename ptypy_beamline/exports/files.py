"""Files that are either complete or not there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from ..errors import FileError, SettingsError
from ..reading.files import open_hdf5

SIGNATURE = "creator"
PICTURES = (".png", ".pdf", ".svg")
REMEDY = "choose another output (-o), or make room and check the folder's permissions"


def check_picture(path: Path) -> None:
    """Make sure that a picture can be written by the name.

    Raises
    ------
    SettingsError
        Its ending is none of :data:`PICTURES`.
    """
    if path.suffix not in PICTURES:
        raise SettingsError(
            f"{path} is not a picture file", f"end its name in {', '.join(PICTURES)}"
        )


@contextmanager
def complete(path: str | Path, ours: bool = False) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its name when the block ends well.

    Readers never see half a file: the temporary one, of the same suffix, is flushed to disk
    and renamed at the end, and removed on any failure, an interrupt included. What was at
    ``path`` before stays until then. Missing folders are made. A file that this package did not
    write is never replaced: it may be somebody's raw data, reached through a link.

    Parameters
    ----------
    path
        The file's name.
    ours
        The caller knows that what is there was written by this package.

    Yields
    ------
    Path
        Where to write; the file is there, and empty.

    Raises
    ------
    FileError
        The folder cannot be made or written to, or ``path`` is somebody else's file.
    """
    target = Path(path)
    if not ours:
        refuse_foreign(target)
    temporary = _beside(target)
    try:
        yield temporary
        sign(temporary)
        _flush(temporary)
        try:
            os.replace(temporary, target)
        except OSError as error:
            raise FileError(f"cannot be written ({error.strerror})", REMEDY, target) from error
    finally:
        temporary.unlink(missing_ok=True)


def sign(path: Path) -> None:
    """Mark an HDF5 file as written by this package."""
    if h5py.is_hdf5(path):
        with h5py.File(path, "a") as file:
            file.attrs[SIGNATURE] = "ptypy_beamline"


def refuse_foreign(path: Path) -> None:
    """Stop before a file is replaced that this package did not write.

    Raises
    ------
    FileError
        The file is there and neither a picture nor an HDF5 file that :func:`sign` has marked;
        or it is a device, as ``/dev/null``.
    """
    if not path.exists() or path.is_dir():
        return
    if path.is_file() and (path.suffix in PICTURES or not path.stat().st_size):
        return
    if path.is_file() and h5py.is_hdf5(path):
        with open_hdf5(path) as file:
            if SIGNATURE in file.attrs:
                return
    raise FileError("exists and was not written by ptypy_beamline",
                    "write to another file (-o), or remove it first", path)  # fmt: skip


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
