"""Output files, which are complete or absent."""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py

from .errors import FileError, SettingsError, in_short
from .files.hdf5 import open_hdf5
from .files.regular import KINDS, is_input
from .temporary import beside, missing, remove, remove_abandoned, remove_empty, taken

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIGNATURE = "creator"
CREATOR = "ptypy_beamline"
PICTURES = {
    ".png": ("Software", b"Software\0ptypy_beamline"),
    ".pdf": ("Creator", b"/Creator (ptypy_beamline)"),
    ".svg": ("Creator", b"<dc:title>ptypy_beamline</dc:title>"),
}
"""Suffix → Matplotlib's name for who made a picture, and what it writes of that."""

OTHER_FILE = "write to another file (-o)"
REMEDY = "choose another output (-o), or make room and check the folder's permissions"
NAMING_S = 5.0
"""At most so long files that belong together wait for others of their folder to be renamed."""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
NOT_ALL = re.compile(r"\d+ requested and \d+ written")
"""What only writing ends in; the second is NumPy's ``tofile``, which has no number for it."""


def check_name(name: str | Path, folder: bool = False) -> Path:
    """Make sure, before anything is computed, that an output can have a name.

    Parameters
    ----------
    name
        As the user gave it.
    folder
        Whether it is that of a folder.

    Raises
    ------
    FileError
        It is that of something else, or of a link to nothing, or too long, or in what is no folder
        or may not be written to.
    """
    path, wanted = Path(name), "folder" if folder else "file"
    try:
        kind = _kind(path)
        places = (path, *path.absolute().parents) if folder else path.absolute().parents
        above = next(place for place in places if place.exists())
    except OSError as error:
        raise FileError(f"cannot be written ({in_short(error)})", REMEDY, path) from error
    if kind is None and path.is_symlink():
        raise FileError(
            f"links to {os.readlink(path)}, which does not exist",
            f"{OTHER_FILE}, or remove the link first",
            path,
        )
    if not folder and str(name).endswith("/"):
        kind = "folder"
    if kind not in (None, wanted):
        remedy = "name a file in it" if kind == "folder" else f"write to another {wanted} (-o)"
        raise FileError(f"Expected a name for a {wanted}. Got a {kind}", remedy, path)
    if not above.is_dir():
        raise FileError(f"cannot be written ({above} is not a folder)", REMEDY, path)
    if not os.access(above, os.W_OK | os.X_OK):
        raise FileError(f"cannot be written ({above} may not be written to)", REMEDY, path)
    return path


def _kind(path: Path) -> str | None:
    """What is there: a file, a folder, a pipe, …, or nothing."""
    if not path.exists():
        return None
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        return "folder"
    return next((word for is_kind, word in KINDS if is_kind(mode)), "file")


def check_picture(path: Path, ours: bool = False) -> None:
    """Make sure that a picture can be written by the name.

    Raises
    ------
    SettingsError
        Its ending is none of :data:`PICTURES`.
    FileError
        As :func:`complete`.
    """
    if path.suffix not in PICTURES:
        raise SettingsError(
            f"{path} is not a picture file", f"end its name in {', '.join(PICTURES)}"
        )
    if not ours:
        refuse_foreign(path)


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
        As :func:`check_name`; or ``path`` is somebody else's file.
    SettingsError
        The file has been read, see :func:`.files.regular.noting_inputs`.
    """
    target = check_name(path)
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
    with (
        _in_place_of(check_name(path, folder=True).resolve(), Path.mkdir) as temporary,
        written(path),
    ):
        yield temporary


@dataclass(frozen=True)
class _Batch:
    """Files that take their names together, the folders that were made for them, and what is done
    around the renaming, while no other writer renames."""

    files: list[tuple[Path, Path]] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    around: list[AbstractContextManager[None]] = field(default_factory=list)

    def begin(self, temporary: Path, target: Path, make: Callable[[Path], None]) -> None:
        """Make the temporary file or folder, and the folder that it is in."""
        try:
            self.folders[:0] = missing(target.parent)
            target.parent.mkdir(parents=True, exist_ok=True)
            if all(other.parent != target.parent for _, other in self.files[-1:]):
                remove_abandoned(target.parent)
            make(temporary)
        except OSError as error:
            raise FileError(f"cannot be written ({error.strerror})", REMEDY, target) from error

    def end(self) -> None:
        """Rename all."""
        with ExitStack() as folders:  # so that two writers do not mix theirs
            if len(self.files) > 1:
                for folder in sorted({target.parent.resolve() for _, target in self.files}):
                    folders.enter_context(taken(folder, NAMING_S))
            for one in self.around:
                folders.enter_context(one)
            for temporary, target in self.files:
                _rename(temporary, target)

    def clean(self) -> None:
        """Remove what has not taken its name, and folders that are empty without it."""
        for temporary, _ in self.files:
            remove(temporary)
        remove_empty(self.folders)


_batch: ContextVar[_Batch | None] = ContextVar("batch", default=None)


@contextmanager
def _in_place_of(target: Path, make: Callable[[Path], None]) -> Iterator[Path]:
    """What takes the name of ``target`` at the end of the block, or of all that are together."""
    temporary = beside(target)
    with together() as batch:
        try:
            batch.begin(temporary, target, make)
            yield temporary
        except BaseException:
            remove(temporary)
            raise
        batch.files.append((temporary, target))


@contextmanager
def together() -> Iterator[_Batch]:
    """Files that are :func:`complete` in the block take their names at its end, or none does.

    Folders that were made for them, and hold nothing when it fails, are removed again.

    Raises
    ------
    FileError
        One cannot be renamed.
    """
    outer = _batch.get()
    if outer is not None:
        yield outer
        return
    batch = _Batch()
    before = _batch.set(batch)
    try:
        yield batch
        batch.end()
    finally:
        _batch.reset(before)
        batch.clean()


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


def put_figure(path: Path, figure: Figure, dpi: float | None = None, ours: bool = False) -> Path:
    """Write a figure as its name says; all of it is drawn before anything is written.

    Raises
    ------
    SettingsError
        The name is none of a picture, or the file has been read.
    FileError
        As :func:`complete`.
    """
    check_picture(path, ours)
    drawn = io.BytesIO()
    name, _ = PICTURES[path.suffix]
    figure.savefig(drawn, dpi=dpi or "figure", format=path.suffix[1:], metadata={name: CREATOR})
    with complete(path, ours) as temporary:
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

    libhdf5 crashes where it cannot write what it holds, and h5py forgets some of its failures. So
    a failure is kept until the end of the block, or :func:`stop_on_full_disk`, and the rest is
    dropped. ``flags``: :class:`h5py.File`.
    """
    with _Drive(path) as drive:
        file = h5py.File(drive, "w", **flags)
        try:
            yield file
            if signed:
                file.attrs[SIGNATURE] = CREATOR
            file.flush()
        except BaseException as error:
            drive.dropping = True
            with suppress(Exception):
                file.close()
            if drive.failed and isinstance(error, Exception):  # HDF5 reads what was dropped
                raise drive.failed from error
            raise
        file.close()
        if drive.failed:
            raise drive.failed


def stop_on_full_disk() -> None:
    """Raise what a file that is being written has failed with; for long work."""
    for drive in _writing:
        if drive.failed:
            raise drive.failed


_writing: list[_Drive] = []


class _Drive:
    """What HDF5 writes to: a file, or nothing once ``dropping``."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b", buffering=0)
        self.dropping = False
        self.failed: OSError | None = None
        _writing.append(self)

    def __enter__(self) -> _Drive:
        return self

    def __exit__(self, *_: object) -> None:
        _writing.remove(self)
        self._file.close()

    def write(self, data: Any) -> int:
        """All of it; a failure is kept, as nothing may be raised into HDF5."""
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view) and not self.dropping:
            try:
                done += self._file.write(view[done:])
            except OSError as error:
                self.dropping, self.failed = True, error
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
        """As of any file; it may need room, too."""
        if not self.dropping:
            try:
                return self._file.truncate(size)
            except OSError as error:
                self.dropping, self.failed = True, error
        return self.tell()

    def flush(self) -> None:
        """Nothing is kept back."""


def refuse_foreign(path: Path) -> None:
    """Stop before a file is replaced that this package did not write.

    Raises
    ------
    FileError
        The file is there, not empty, and neither a picture nor an HDF5 file of this package.
    """
    if not check_name(path).exists() or not path.stat().st_size or is_ours(path):
        return
    raise FileError(
        "exists and was not written by ptypy_beamline", f"{OTHER_FILE}, or remove it first", path
    )


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
    return SettingsError(f"{target} is read by this command", OTHER_FILE)


def is_ours(path: Path) -> bool:
    """Whether :func:`put_figure` has drawn it, or :func:`open_to_write` signed it."""
    if not path.is_file():
        return False
    if path.suffix in PICTURES:
        return PICTURES[path.suffix][1] in path.read_bytes()
    if not h5py.is_hdf5(path):
        return False
    with open_hdf5(path, noted=False) as file:
        return SIGNATURE in file.attrs


def _flush(path: Path) -> None:
    """Have the file's content on the disk before its name."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
