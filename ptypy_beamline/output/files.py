"""Files and folders that are either complete or not there."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import FileError
from ..files.regular import is_input
from .names import REMEDY, check_output_name, is_input_error, refuse_foreign
from .temporary import (
    folder_lock,
    missing_folders,
    remove,
    remove_abandoned,
    remove_empty_folders,
    temporary_name,
)

RENAMING_S = 5.0
"""Longest wait for another process to finish renaming its files in the same folder."""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
NOT_ALL = re.compile(r"\d+ requested and \d+ written")
"""How a full disk shows: error numbers, and the message of NumPy's ``tofile``, which has none."""


@contextmanager
def complete_file(path: str | Path, ours: bool = False) -> Iterator[Path]:
    """A temporary file beside ``path`` that is renamed to it when the block succeeds.

    Readers never see half a file: the temporary one, of the same suffix, is flushed to disk
    and renamed at the end, and removed on any failure, including an interrupt. What was at
    ``path`` before stays until then. Missing folders are made. A file that this package did not
    write is never replaced: it may be somebody's raw data, reached through a link.

    Parameters
    ----------
    path
        The file's name.
    ours
        Whether the caller knows that an existing file was written by this package.

    Yields
    ------
    Path
        The temporary file, which exists and is empty.

    Raises
    ------
    FileError
        As :func:`.names.check_output_name`; or ``path`` is somebody else's file.
    SettingsError
        The file is an input of this command, see :func:`.regular.noting_inputs`.
    """
    target = check_output_name(path)
    if is_input(target):
        raise is_input_error(target)
    if not ours:
        refuse_foreign(target)
    with _replacing(target, Path.touch) as temporary, naming_full_disk(target):
        yield temporary
        _flush(temporary)


@contextmanager
def complete_folder(path: Path) -> Iterator[Path]:
    """As :func:`complete_file`, a folder; an existing one must be this package's, and is replaced.

    Raises
    ------
    FileError
        The folder cannot be written.
    """
    with (
        _replacing(check_output_name(path, folder=True).resolve(), Path.mkdir) as temporary,
        naming_full_disk(path),
    ):
        yield temporary


@dataclass(frozen=True)
class _Batch:
    """Files that are renamed together.

    Attributes
    ----------
    files
        Temporary and final name of each.
    folders
        Folders that were made for them, the deepest first.
    around
        Entered before they are renamed and left afterwards, while no other writer renames.
    """

    files: list[tuple[Path, Path]] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    around: list[AbstractContextManager[None]] = field(default_factory=list)

    def create(self, temporary: Path, target: Path, make: Callable[[Path], None]) -> None:
        """Make the temporary file or folder, and its parent folders."""
        try:
            self.folders[:0] = missing_folders(target.parent)
            target.parent.mkdir(parents=True, exist_ok=True)
            if all(other.parent != target.parent for _, other in self.files[-1:]):
                remove_abandoned(target.parent)
            make(temporary)
        except OSError as error:
            raise FileError(f"cannot be written ({error.strerror})", REMEDY, target) from error

    def rename(self) -> None:
        """Rename all, with their folders locked, so that the files of two writers do not mix."""
        with ExitStack() as stack:
            if len(self.files) > 1:
                for folder in sorted({target.parent.resolve() for _, target in self.files}):
                    stack.enter_context(folder_lock(folder, RENAMING_S))
            for context in self.around:
                stack.enter_context(context)
            for temporary, target in self.files:
                _rename(temporary, target)

    def clean(self) -> None:
        """Remove what was not renamed, and folders that are empty without it."""
        for temporary, _ in self.files:
            remove(temporary)
        remove_empty_folders(self.folders)


_batch: ContextVar[_Batch | None] = ContextVar("batch", default=None)


@contextmanager
def _replacing(target: Path, make: Callable[[Path], None]) -> Iterator[Path]:
    """A temporary path that replaces ``target`` at the end of the block, or with its batch."""
    temporary = temporary_name(target)
    with renamed_together() as batch:
        try:
            batch.create(temporary, target, make)
            yield temporary
        except BaseException:
            remove(temporary)
            raise
        batch.files.append((temporary, target))


@contextmanager
def renamed_together() -> Iterator[_Batch]:
    """All files of :func:`complete_file` in the block are renamed at its end, or none is.

    Folders that were made for them and are empty after a failure are removed again.

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
        batch.rename()
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
    old = temporary_name(target)
    try:
        os.replace(target, old)
        try:
            os.replace(temporary, target)
        except BaseException:
            os.replace(old, target)
            raise
    finally:
        remove(old)


def write_text(path: Path, text: str) -> None:
    """Write a text file; an existing one must be this package's, and is replaced."""
    with complete_file(path, ours=True) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace")


@contextmanager
def naming_full_disk(target: Path, remedy: str = REMEDY) -> Iterator[None]:
    """Turn the errors of a full disk into one that names the file.

    Raises
    ------
    FileError
        The disk is full, a quota is exceeded, or the file system is read-only.
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


def _flush(path: Path) -> None:
    """Have the content on the disk before the file is renamed."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
