"""Regular files and text files, checked first: a pipe would block, a huge file fill the memory."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from ..errors import FileError, in_short

CHECK = "check the path"
MOST_TEXT_BYTES = 2**28
"""A longer text is neither a log nor a list."""

KINDS = (
    (stat.S_ISDIR, "directory"),
    (stat.S_ISFIFO, "pipe"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISCHR, "device"),
    (stat.S_ISBLK, "device"),
)
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
"""Byte order marks."""


def check_file(path: Path, remedy: str = CHECK) -> None:
    """Check that ``path`` is a regular file that may be read.

    Raises
    ------
    FileError
        It is missing, or a broken link, a directory, a pipe, a socket or a device.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        lost = path.is_symlink()
        problem = f"links to {os.readlink(path)}, which does not exist" if lost else "no such file"
        raise FileError(problem, remedy, path) from error
    except (OSError, ValueError) as error:  # a loop of links, no permission, a name with a NUL
        raise FileError(f"cannot be opened ({in_short(error)})", remedy, path) from error
    for is_kind, kind in KINDS:
        if is_kind(mode):
            hint = _name_file_in(path) if kind == "directory" else remedy
            raise FileError(f"Expected a file. Got a {kind}", hint, path)
    if not os.access(path, os.R_OK):
        raise FileError("may not be read (permission denied)", "ask its owner for permission", path)


def _name_file_in(folder: Path) -> str:
    """How to name a file, or all TIFF files, in a folder."""
    with suppress(OSError):  # no permission
        for suffix in sorted({Path(name).suffix for name in os.listdir(folder)}):
            if suffix.lower() in (".tif", ".tiff"):
                return f"name the file in it, or all its TIFF files by '{folder}/*{suffix}'"
    return "name the file in it"


class FileState(NamedTuple):
    """Properties that change with a file's content, the same on all nodes of a cluster."""

    inode: int
    size: int
    changed_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileState:
        """From the result of ``stat``."""
        return cls(status.st_ino, status.st_size, status.st_mtime_ns)

    def check(self, file: int | Path, path: Path, may_grow: bool = False) -> None:
        """Check that a ``file``, given by its descriptor or name, has not changed.

        Raises
        ------
        FileError
            It was replaced, removed or written to; one that ``may_grow`` may be longer now.
        """
        try:
            now = FileState.of(os.stat(file))
        except OSError:
            now = FileState(0, 0, 0)
        if now != self and not (may_grow and now.inode == self.inode and now.size > self.size):
            raise FileError(
                "the file has changed since it was opened",
                "load it again once it is complete",
                path,
            )


@contextmanager
def open_bytes(path: Path, remedy: str = CHECK, was: FileState | None = None) -> Iterator[BinaryIO]:
    """A regular file, opened for reading; raises as :func:`check_file`.

    After the block it must still be in the state ``was``, see :meth:`FileState.check`.
    """
    check_file(path, remedy)
    with path.open("rb") as file:
        yield file
        if was is not None:
            was.check(file.fileno(), path)


def read_text(path: Path, remedy: str = CHECK, most_bytes: int = MOST_TEXT_BYTES) -> str:
    """A text in UTF-8, without byte order mark.

    Raises
    ------
    FileError
        As :func:`check_file`; or it is too long, in another encoding, or not a text.
    """
    with open_bytes(path, remedy) as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        most = f"{most_bytes >> 20} MiB"
        raise FileError(f"Expected a text of at most {most}. Got more", remedy, path)
    if content.startswith(UTF16_MARKS):
        raise FileError("Expected a text in UTF-8. Got UTF-16", "save it as UTF-8", path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileError(
            f"line {_line(content, error.start)}: Expected a text in UTF-8. Got byte "
            f"0x{content[error.start]:02x}",
            "save it as UTF-8, or check the path",
            path,
        ) from error
    if "\0" in text:
        line = _line(content, content.index(b"\0"))
        raise FileError(
            f"line {line}: Expected text. Got a NUL byte",
            "it may be damaged: copy it again, or check the path",
            path,
        )
    return text


def _line(content: bytes, position: int) -> int:
    return content.count(b"\n", 0, position) + 1


def read_json(path: Path, remedy: str, most_bytes: int = MOST_TEXT_BYTES) -> Any:
    """The content of a JSON file.

    Raises
    ------
    FileError
        As :func:`read_text`; or it is not JSON, nested too deeply, or repeats a name.
    """
    text = read_text(path, remedy, most_bytes)
    try:
        return json.loads(text, object_pairs_hook=_each_once)
    except RecursionError as error:
        raise FileError("not readable as JSON: nested too deeply", remedy, path) from error
    except ValueError as error:
        raise FileError(f"not readable as JSON: {in_short(error)}", remedy, path) from error


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError(f"{next(n for n in names if names.count(n) > 1)!r} appears twice")
    return dict(pairs)


_inputs: ContextVar[set[tuple[int, int]] | None] = ContextVar("inputs", default=None)


@contextmanager
def noting_inputs() -> Iterator[None]:
    """Remember which files are read in the block, through whatever links."""
    before = _inputs.set(set())
    try:
        yield
    finally:
        _inputs.reset(before)


def note_input(path: Path) -> None:
    """Remember that a file is read."""
    inputs = _inputs.get()
    if inputs is not None:
        inputs.add(_identity(path))


def is_input(path: Path) -> bool:
    """Whether a file has been read so far, under this name or another."""
    inputs = _inputs.get()
    return inputs is not None and path.exists() and _identity(path) in inputs


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino
