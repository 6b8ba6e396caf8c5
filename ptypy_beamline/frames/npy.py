"""Arrays as NumPy stores them: ``.npy`` files, and members of NPZ files that are not compressed.

They are read, never mapped into memory: if a mapped file is truncated, the process is killed.
"""

from __future__ import annotations

import math
import os
import tokenize
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ..errors import FileError, ScanError, in_short
from ..files.regular import FileState, note_input, open_bytes
from ..scan import FrameStack, Indices, Window

BROKEN = (
    ValueError,
    EOFError,
    OSError,
    TypeError,
    OverflowError,
    RecursionError,
    MemoryError,
    tokenize.TokenError,
)
"""Exceptions that NumPy raises for a damaged header."""

READERS = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
    (3, 0): npy.read_array_header_2_0,
}
"""Version of the format → NumPy's reader; version 3 allows field names in UTF-8."""


class Header(NamedTuple):
    """The header of an ``.npy`` file; ``size``: its length in bytes."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    size: int

    @property
    def nbytes(self) -> int:
        """Size of the numbers that follow."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(stream: BinaryIO) -> Header:
    """The header of the ``.npy`` that begins at the current position of ``stream``.

    Raises
    ------
    ValueError
        There is no header, or its values are impossible.
    """
    begin = stream.tell()
    try:
        version = npy.read_magic(stream)
        if version not in READERS:
            raise ValueError(f"version {version[0]}.{version[1]} of .npy is not known")
        shape, fortran, dtype = READERS[version](stream)
    except BROKEN as error:
        raise ValueError(in_short(error, 120)) from error
    if not all(type(n) is int and 0 <= n < 2**63 for n in shape):
        raise ValueError(f"impossible shape {in_short(ValueError(shape), 80)}")
    return Header(shape, fortran, dtype, stream.tell() - begin)


@dataclass(frozen=True)
class StoredArray:
    """An uncompressed array in a file.

    Attributes
    ----------
    start
        Offset of its first byte.
    dtype
        As stored, in either byte order.
    state
        Of the file when this object was made; reading checks that it has not changed.
    """

    path: Path
    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool = False
    state: FileState | None = None

    def whole(self) -> NDArray[Any]:
        """The array, in native byte order."""
        out = np.empty(self.shape[::-1] if self.fortran else self.shape, self.dtype)
        with open_bytes(self.path, was=self.state) as file:
            self.fill(file, out, 0)
        native = out.astype(self.dtype.newbyteorder("="), copy=False)
        return native.T if self.fortran else native

    def fill(self, file: BinaryIO, out: NDArray[Any], first: int) -> None:
        """Fill a contiguous array with numbers from index ``first`` on.

        Raises
        ------
        FileError
            The file ends before.
        """
        view = out.reshape(-1).view(np.uint8).data
        offset = self.start + first * self.dtype.itemsize
        done = 0
        while done < len(view):
            count = os.preadv(file.fileno(), [view[done:]], offset + done)
            if not count:
                raise FileError(
                    "the file has become shorter since it was opened", "copy it again", self.path
                )
            done += count


def open_npy(path: Path, remedy: str = "check the path") -> StoredArray:
    """The array in an ``.npy`` file; only its header is read.

    Raises
    ------
    FileError
        The file is missing or damaged, or the array is not numeric.
    """
    with open_bytes(path, remedy) as file:
        note_input(path)
        try:
            found = read_header(file)
        except ValueError as error:
            raise FileError(
                f"not a readable .npy array ({error})", "save it again with numpy.save", path
            ) from error
        state = FileState.of(os.fstat(file.fileno()))
        size = state.size - found.size
    if found.dtype.kind not in "biufc":
        raise FileError(
            f"Expected numbers. Got an array of {in_short(TypeError(found.dtype), 80)}",
            "save it again as numbers",
            path,
        )
    if size < found.nbytes:
        raise FileError(
            f"truncated .npy array: {found.shape} {found.dtype} has {found.nbytes} "
            f"bytes. Got {size}",
            "copy it again",
            path,
        )
    header = found.size, found.shape, found.dtype, found.fortran
    return StoredArray(path.absolute(), *header, state)


def load_npy(path: Path) -> NDArray[Any]:
    """The array in an ``.npy`` file; raises as :func:`open_npy`."""
    return open_npy(path).whole()


def _runs(numbers: NDArray[np.intp]) -> list[tuple[int, int]]:
    """Runs of consecutive numbers, as index of the first and one past the last."""
    edges = [0, *(np.flatnonzero(np.diff(numbers) != 1) + 1).tolist(), len(numbers)]
    return list(pairwise(edges)) if len(numbers) else []


@dataclass(frozen=True)
class StoredFrames(FrameStack):
    """Frames that are consecutive in a file; read when they are used.

    Parameters
    ----------
    stored
        In C order: an image, a stack of them, or a map of them (rows, columns, ny, nx).

    Raises
    ------
    ScanError
        The array has another number of axes.
    """

    stored: StoredArray

    def __post_init__(self) -> None:
        if not 2 <= len(self.stored.shape) <= 4:
            raise ScanError(
                f"Expected an image or a stack of images. Got shape {self.stored.shape}",
                file=self.stored.path,
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, ny, nx)."""
        *outer, ny, nx = self.stored.shape
        return math.prod(outer), ny, nx

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of a pixel, in native byte order."""
        dtype: np.dtype[Any] = self.stored.dtype.newbyteorder("=")
        return dtype

    def read(self, indices: Indices, window: Window) -> NDArray[Any]:
        """Pixels of ``window``, a copy: runs of whole frames, or whole rows cut to the window."""
        n, ny, nx = self.shape
        chosen = np.arange(n)[np.asarray(indices, np.intp)]
        out = np.empty((len(chosen), *window.shape), self.dtype)
        with open_bytes(self.stored.path, was=self.stored.state) as file:
            if window.shape == (ny, nx) and self.dtype == self.stored.dtype:
                for first, last in _runs(chosen):
                    self.stored.fill(file, out[first:last], int(chosen[first]) * ny * nx)
                return out
            rows = np.empty((window.height, nx), self.stored.dtype)
            for k, index in enumerate(chosen.tolist()):
                self.stored.fill(file, rows, (index * ny + window.top) * nx)
                out[k] = rows[:, window.left : window.left + window.width]
        return out


def npy_frames(path: Path, remedy: str = "check the path") -> StoredFrames | None:
    """The frames in an ``.npy`` file, read lazily; None if they are not in C order."""
    stored = open_npy(path, remedy)
    return None if stored.fortran else StoredFrames(stored)
