"""Files that are either complete or not there."""

from __future__ import annotations

import errno
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py

from ..errors import FileError, SettingsError
from ..reading.files import is_input, open_hdf5
from .temporary import beside, remove, remove_abandoned, taken

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIGNATURE = "creator"
PICTURES = (".png", ".pdf", ".svg")
REMEDY = "choose another output (-o), or make room and check the folder's permissions"
NAMING_S = 5.0
"""At most so long files that belong together wait for others of their folder to be renamed."""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
NOT_ALL = re.compile(r"\d+ requested and \d+ written")
"""What only writing ends in; the second is NumPy's ``tofile``, which has no number for it."""


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
    SettingsError
        The file has been read, see :func:`.reading.files.noting_inputs`.
    """
    target = Path(path)
    if is_input(target):
        raise _is_read(target)
    if not ours:
        refuse_foreign(target)
    with _in_place_of(target, Path.touch) as temporary, written(target):
        yield temporary
        _flush(temporary)


@contextmanager
def complete_folder(path: Path) -> Iterator[Path]:
    """The same of a folder; one of that name, known to be this package's, is replaced as a whole.

    Raises
    ------
    FileError
        The folder cannot be written.
    """
    with _in_place_of(path.resolve(), Path.mkdir) as temporary, written(path):
        yield temporary


@contextmanager
def _in_place_of(target: Path, make: Callable[[Path], None]) -> Iterator[Path]:
    """What takes the name of ``target`` at the end of the block, or of all that are together."""
    nameless, temporary = _nameless.get(), beside(target)
    try:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if not nameless or nameless[-1][1].parent != target.parent:
                remove_abandoned(target.parent)
            make(temporary)
        except OSError as error:
            above = next((p for p in target.parents if p.exists() and not p.is_dir()), None)
            why = f"{above} is not a folder" if above else error.strerror
            raise FileError(f"cannot be written ({why})", REMEDY, target) from error
        yield temporary
        if nameless is None:
            _rename(temporary, target)
        else:
            nameless.append((temporary, target))
    except BaseException:
        remove(temporary)
        raise


_nameless: ContextVar[list[tuple[Path, Path]] | None] = ContextVar("nameless", default=None)


@contextmanager
def together() -> Iterator[None]:
    """Files that are :func:`complete` in the block take their names at its end, or none does.

    Raises
    ------
    FileError
        One cannot be renamed.
    """
    if _nameless.get() is not None:
        yield
        return
    files: list[tuple[Path, Path]] = []
    before = _nameless.set(files)
    try:
        yield
        with ExitStack() as folders:  # so that two writers do not mix theirs
            for folder in sorted({target.parent.resolve() for _, target in files}):
                folders.enter_context(taken(folder, NAMING_S))
            for temporary, target in files:
                _rename(temporary, target)
    finally:
        _nameless.reset(before)
        for temporary, _ in files:
            remove(temporary)


def _rename(temporary: Path, target: Path) -> None:
    try:
        if temporary.is_dir() and target.exists():
            _replace_folder(temporary, target)
        else:
            os.replace(temporary, target)
    except OSError as error:
        raise FileError(f"cannot be written ({error.strerror})", REMEDY, target) from error


def _replace_folder(temporary: Path, target: Path) -> None:
    old = beside(target)
    try:
        os.replace(target, old)
        try:
            os.replace(temporary, target)
        except BaseException:
            os.replace(old, target)
            raise
    finally:
        remove(old)


def put_figure(path: Path, figure: Figure, dpi: float | None = None) -> Path:
    """Write a figure as its name says; all of it is drawn before anything is written.

    Raises
    ------
    SettingsError
        The name is none of a picture, or the file has been read.
    FileError
        As :func:`complete`.
    """
    check_picture(path)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=dpi or "figure", format=path.suffix[1:])
    with complete(path) as temporary:
        temporary.write_bytes(drawn.getbuffer())
    return path


def put_text(path: Path, text: str) -> None:
    """Write a text file, in place of one that this package is known to have written."""
    with complete(path, ours=True) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace")


@contextmanager
def written(target: Path, remedy: str = REMEDY) -> Iterator[None]:
    """Say of a full disk which file could not be written.

    Raises
    ------
    FileError
        There is no room for what is written in the block, or it may not be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            reason = os.strerror(error.errno).lower()
        elif NOT_ALL.fullmatch(str(error)):
            reason = str(error)
        else:
            raise
        raise FileError(f"cannot be written: {reason}", remedy, target) from error


@contextmanager
def complete_hdf5(path: str | Path) -> Iterator[h5py.File]:
    """The same of an HDF5 file, opened to be written and signed as this package's.

    Raises
    ------
    FileError
        As :func:`complete`, or the disk is full.
    """
    with complete(path) as temporary, open_to_write(temporary) as file:
        yield file


@contextmanager
def open_to_write(path: Path, signed: bool = True, **flags: Any) -> Iterator[h5py.File]:
    """A new HDF5 file, signed, flushed and closed when the block ends well.

    libhdf5 crashes where it cannot write what it holds when a file is closed. So all is written
    before that, and once a write has failed the rest is dropped. ``flags``: :class:`h5py.File`.
    """
    with _Drive(path) as drive:
        file = h5py.File(drive, "w", **flags)
        try:
            yield file
            if signed:
                file.attrs[SIGNATURE] = "ptypy_beamline"
            file.flush()
        except BaseException:
            drive.dropping = True
            with suppress(Exception):
                file.close()
            raise
        file.close()


class _Drive:
    """What HDF5 writes to: a file, or nothing once ``dropping``."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b", buffering=0)
        self.dropping = False

    def __enter__(self) -> _Drive:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: Any) -> int:
        """All of it."""
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view) and not self.dropping:
            try:
                done += self._file.write(view[done:])
            except OSError:
                self.dropping = True
                raise
        return len(view)

    def read(self, size: int = -1) -> bytes:
        """As of any file; HDF5 takes :meth:`readinto`."""
        return self._file.read(size) or b""

    def readinto(self, data: Any) -> int:
        """What is there; zeros where nothing is."""
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            some = self._file.readinto(view[done:])
            if not some:
                view[done:] = bytes(len(view) - done)
                break
            done += some
        return len(view)

    def seek(self, offset: int, whence: int = 0) -> int:
        """As of any file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As of any file."""
        return self._file.tell()

    def truncate(self, size: int | None = None) -> int:
        """As of any file."""
        return self.tell() if self.dropping else self._file.truncate(size)

    def flush(self) -> None:
        """Nothing is kept back."""


def refuse_foreign(path: Path) -> None:
    """Stop before a file is replaced that this package did not write.

    Raises
    ------
    FileError
        The file is there and neither a picture nor an HDF5 file that :func:`open_to_write` has
        signed; or it is a device, as ``/dev/null``.
    """
    if not path.exists():
        return
    if path.is_dir():
        raise FileError("Expected a name for a file. Got a folder", "name a file in it", path)
    if path.is_file() and (path.suffix in PICTURES or not path.stat().st_size):
        return
    if is_ours(path):
        return
    raise FileError("exists and was not written by ptypy_beamline",
                    "write to another file (-o), or remove it first", path)  # fmt: skip


def refuse_inputs(target: Path, inputs: Iterable[str | Path]) -> None:
    """Stop before one of ``inputs`` is replaced, which may have another name, too.

    Raises
    ------
    SettingsError
        ``target`` is one of them.
    """
    if target.exists() and any(os.path.exists(i) and target.samefile(i) for i in inputs):
        raise _is_read(target)


def _is_read(target: Path) -> SettingsError:
    return SettingsError(f"{target} is read by this command", "write to another file (-o)")


def is_ours(path: Path) -> bool:
    """Whether it is an HDF5 file that :func:`open_to_write` has signed."""
    if not path.is_file() or not h5py.is_hdf5(path):
        return False
    with open_hdf5(path, noted=False) as file:
        return SIGNATURE in file.attrs


def _flush(path: Path) -> None:
    """Have the file's content on the disk before its name."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
