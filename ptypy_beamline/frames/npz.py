"""Arrays in an NPZ file: shape and dtype are read at once, the numbers when they are used."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ..errors import FileError, MissingDataError, ScanError, in_short
from ..files.regular import FileState, note_input, open_bytes
from ..scan import FrameStack, Indices, Window
from .npy import Header, StoredArray, StoredFrames, read_header

LOCAL_HEADER = b"PK\x03\x04"
"""First bytes of a ZIP file (PKWARE APPNOTE 6.3.3, section 4.3.7)."""

DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    ValueError,
    OSError,
    struct.error,
    RuntimeError,
    LookupError,
    OverflowError,
)
"""Exceptions that reading a damaged NPZ file raises."""


def members(path: Path) -> tuple[str, ...]:
    """Names of the arrays in an NPZ file; empty for any other file.

    Raises
    ------
    FileError
        The NPZ file is truncated.
    """
    if not path.is_file():
        return ()
    if not zipfile.is_zipfile(path):
        with open_bytes(path) as start:
            if start.read(4) == LOCAL_HEADER:
                raise FileError("truncated NPZ file", "copy it again", path)
        return ()
    with _reading(path), zipfile.ZipFile(path) as file:
        return tuple(n[:-4] for n in file.namelist() if n.endswith(".npy"))


BLOCK = 2**24
"""Number of bytes read at a time to verify a checksum."""


@dataclass(frozen=True)
class Member:
    """One array of an NPZ file.

    If it is not compressed, frames are read when they are used; else it is loaded as a whole when
    first used, once per process. Pickled objects are never loaded.

    Raises
    ------
    FileError
        The file is missing or damaged, or the array holds Python objects.
    MissingDataError
        There is no such array.
    """

    path: Path
    name: str
    _state: FileState = field(init=False, repr=False, compare=False)
    _header: Header = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path).absolute())
        known = members(self.path)
        note_input(self.path)
        if not known:
            raise FileError("Expected an NPZ file", "check the path", self.path)
        if self.name not in known:
            raise MissingDataError(
                f"Expected an array {self.name}. Got {', '.join(known)}",
                "name another by --path NAME=ARRAY",
                self.path,
            )
        object.__setattr__(self, "_state", FileState.of(self.path.stat()))
        object.__setattr__(self, "_header", self._read_header())

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "array"}

    def _read_header(self) -> Header:
        with _reading(self.path), zipfile.ZipFile(self.path) as file, file.open(self._file) as raw:
            header = read_header(cast(BinaryIO, raw))
            size = file.getinfo(self._file).file_size
        if header.dtype.hasobject:
            raise FileError(
                f"array {self.name} holds Python objects, which are never loaded",
                "save it again as numbers",
                self.path,
            )
        if size != header.size + header.nbytes:
            raise FileError(
                f"array {self.name} is damaged: {header.shape} {header.dtype} has "
                f"{header.nbytes} bytes. Got {size - header.size}",
                "copy it again",
                self.path,
            )
        return header

    @property
    def _file(self) -> str:
        return f"{self.name}.npy"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        return self._header.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """In native byte order."""
        dtype: np.dtype[Any] = self._header.dtype.newbyteorder("=")
        return dtype

    @cached_property
    def array(self) -> NDArray[Any]:
        """The array itself; not to be written to."""
        with self._opened() as (_, file), file.open(self._file) as stream:
            return npy.read_array(stream, allow_pickle=False)

    @cached_property
    def stored(self) -> StoredArray | None:
        """The numbers in the file; None if they are compressed or in Fortran order.

        All of them are read once, to detect damage. They are not mapped into memory: if a mapped
        file is truncated, the process is killed.

        Source: PKWARE APPNOTE 6.3.3, section 4.3.7: a local file header has 30 bytes and ends in
        a name and an extra field, the lengths of which are at bytes 26 and 28.
        """
        with self._opened() as (raw, file):
            info = file.getinfo(self._file)
            if self._header.fortran or info.compress_type != zipfile.ZIP_STORED:
                return None
            with file.open(info) as stream:
                while stream.read(BLOCK):  # the checksum is verified at the end
                    pass
            raw.seek(info.header_offset + 26)
            lengths = struct.unpack("<HH", raw.read(4))
        start = info.header_offset + 30 + sum(lengths) + self._header.size
        return StoredArray(self.path, start, self.shape, self._header.dtype, state=self._state)

    @contextmanager
    def _opened(self) -> Iterator[tuple[BinaryIO, zipfile.ZipFile]]:
        """The opened file, and its content."""
        with (
            open_bytes(self.path, was=self._state) as raw,
            _reading(self.path, self.name),
            zipfile.ZipFile(raw) as file,
        ):
            yield raw, file


@contextmanager
def _reading(path: Path, member: str = "") -> Iterator[None]:
    """Turn errors of a damaged file into a one-line :class:`FileError`."""
    try:
        yield
    except DAMAGED as error:
        what = f"array {member} cannot be read" if member else "damaged NPZ file"
        raise FileError(f"{what} ({in_short(error)})", "copy it again", path) from error


@dataclass(frozen=True)
class NpzFrames(FrameStack):
    """A three-dimensional array of an NPZ file as a stack of frames.

    Parameters
    ----------
    member
        The array; leading axes of length 1 do not count.
    axis
        Which of the three axes counts the frames: 0 for (N,H,W), 2 for (H,W,N).

    Raises
    ------
    ScanError
        The array is no stack of images.
    """

    member: Member
    axis: int = 0

    def __post_init__(self) -> None:
        shape, name = self.member.shape, self.member.name
        if len(stack_shape(shape)) != 3 or self.member.dtype.kind not in "biufc":
            raise ScanError(
                f"Expected a stack of images. Got {name} of shape {shape}, {self.member.dtype}",
                "name it by paths.frames (--path frames=ARRAY)",
                self.member.path,
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, ny, nx)."""
        axes = list(stack_shape(self.member.shape))
        n = axes.pop(self.axis)
        return n, axes[0], axes[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of a pixel."""
        return self.member.dtype

    def read(self, indices: Indices, window: Window) -> NDArray[Any]:
        """Pixels of ``window``, a copy."""
        if self.axis == 0 and self.member.stored is not None:
            return StoredFrames(replace(self.member.stored, shape=self.shape)).read(indices, window)
        stack = self.member.array.reshape(stack_shape(self.member.shape))
        rows, columns = window.slices
        cut = np.moveaxis(stack, self.axis, 0)[:, rows, columns]
        chosen = cut[np.asarray(indices, np.intp)]
        return np.ascontiguousarray(chosen, self.dtype)


def stack_shape(shape: tuple[int, ...], axes: int = 3) -> tuple[int, ...]:
    """The last ``axes`` lengths if all others are 1, else the whole shape."""
    return shape[-axes:] if all(n == 1 for n in shape[:-axes]) else shape
