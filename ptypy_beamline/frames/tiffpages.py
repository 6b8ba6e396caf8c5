"""Pages of a TIFF file: found without reading their tags, decoded only where the window is."""

from __future__ import annotations

import logging
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray

from ..arrays import Ints
from ..errors import FileError
from ..scan import Window

# This package raises what tifffile would log.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

BROKEN = (
    tifffile.TiffFileError,
    ValueError,
    RuntimeError,
    LookupError,
    TypeError,
    ArithmeticError,
    MemoryError,
    EOFError,
    struct.error,
)
"""Exceptions that tifffile and imagecodecs raise for damaged or mislabelled files."""

LAYOUTS = {42: ("I", 4, "H", 12), 43: ("Q", 8, "Q", 20)}
"""TIFF version → type of an offset, position of the first one, type of a directory's length, and
bytes of its entries. Sources: TIFF 6.0, section 2; BigTIFF design (libtiff)."""

MARK_BYTES = 2048
"""Bytes compared at each of four offsets of a page to detect that it was rewritten."""

HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes of TIFF and BigTIFF files."""


def is_tiff(path: Path) -> bool:
    """Whether a file begins like a TIFF."""
    try:
        with path.open("rb") as file:
            return file.read(4) in HEADS
    except OSError:
        return False


def page_offsets(file: BinaryIO) -> Ints:
    """The offset of each page's directory in an opened file; raises as :func:`directories`."""
    return np.fromiter(directories(file), np.int64)


def directories(file: BinaryIO) -> Iterator[int]:
    """The offset of each page's directory in an opened file, one after another.

    Raises
    ------
    FileError
        The chain of directories is broken.
    """
    order = {b"II": "<", b"MM": ">"}.get(_at(file, 0, 2), "<")
    version = struct.unpack(f"{order}H", _at(file, 2, 2))[0]
    if version not in LAYOUTS:
        raise FileError("not a TIFF file", "check the path")
    word, first, length, entry = LAYOUTS[version]
    seen: set[int] = set()
    link = first
    while offset := int(struct.unpack(order + word, _at(file, link, struct.calcsize(word)))[0]):
        if offset in seen:
            raise FileError("its pages follow each other in a circle", "copy the file again")
        seen.add(offset)
        yield offset
        entries = struct.unpack(order + length, _at(file, offset, struct.calcsize(length)))[0]
        link = offset + struct.calcsize(length) + entry * entries


def _at(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    data = file.read(size)
    if len(data) != size:
        raise _truncated()
    return data


def _truncated() -> FileError:
    return FileError(
        "truncated TIFF file", "copy it again, reject its frames, or wait until it is complete"
    )


@lru_cache(maxsize=256)
def _known_offsets(path: Path, size: int, changed_ns: int) -> Ints:
    with path.open("rb") as file:
        return page_offsets(file)


def offsets_of(path: Path) -> Ints:
    """As :func:`page_offsets`, cached for a file that does not change."""
    status = path.stat()
    return _known_offsets(path, status.st_size, status.st_mtime_ns)


@contextmanager
def opened(path: Path, part: str = "") -> Iterator[Any]:
    """The ``tifffile.TiffFile``; ``part``: what an error says cannot be read.

    Raises
    ------
    FileError
        It is missing, truncated or not a TIFF.
    """
    with naming(path, part), tifffile.TiffFile(path) as tif:
        yield tif


@contextmanager
def naming(path: Path, part: str = "") -> Iterator[None]:
    """Raise errors of a file as a :class:`FileError` that names it, and its ``part``."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileError("no such file", "copy that file, too", path) from error
    except FileError as error:
        if error.file is not None:
            raise
        where = f"{part}: " if part else ""
        raise FileError(where + error.problem, error.remedy, path) from error
    except (*BROKEN, OSError) as error:
        reason = " ".join(str(error).split())[:120]
        raise FileError(
            f"{part or 'this TIFF file'} cannot be read ({reason})",
            "reject this frame, or copy the file again",
            path,
        ) from error


def page(tif: Any, number: int, offset: int) -> Any:
    """Page ``number``, whose directory is at ``offset``, as a ``tifffile.TiffPage``."""
    if number == 0:
        return tif.pages.first
    tif.filehandle.seek(offset)
    return tifffile.TiffPage(tif, number)


def is_whole(page: Any, size: int) -> bool:
    """Whether every strip or tile of a page lies inside its file of ``size`` bytes."""
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    return bool(segments) and all(o > 0 and n > 0 and o + n <= size for o, n in segments)


def mark(tif: Any, page: Any) -> int:
    """A checksum of a few stored bytes of a complete page's pixels."""
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    checksum = 0
    for part in range(1, 5):
        offset, count = segments[len(segments) * part // 5]
        skipped = count * part // 5
        data = _at(tif.filehandle, offset + skipped, min(MARK_BYTES, count - skipped))
        checksum = zlib.crc32(data, checksum)
    return checksum


def decode(tif: Any, page: Any, window: Window, out: NDArray[Any]) -> None:
    """Fill ``out`` with the pixels of ``window``, from those strips or tiles that it touches.

    Raises
    ------
    FileError
        The page is truncated.
    """
    if page.is_contiguous and page.fillorder == 1:
        _cut_rows(tif, page, window, out)
        return
    options = {}
    if page.compression in (6, 7, 34892, 33007):  # JPEG, whose tables are stored separately
        options = {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader}
    for number, top, left, shape in _segments(page, window):
        size = page.databytecounts[number]
        if not size:
            raise _truncated()
        data = _at(tif.filehandle, page.dataoffsets[number], size)
        segment = page.decode(data, number, **options)[0][0, :, :, 0]
        upper, first = max(top, window.top), max(left, window.left)
        lower = min(top + shape[0], window.top + window.height)
        right = min(left + shape[1], window.left + window.width)
        out[upper - window.top : lower - window.top, first - window.left : right - window.left] = (
            segment[upper - top : lower - top, first - left : right - left]
        )


def _cut_rows(tif: Any, page: Any, window: Window, out: NDArray[Any]) -> None:
    dtype = np.dtype(page.dtype).newbyteorder(tif.byteorder)
    row = page.imagewidth * dtype.itemsize
    if sum(page.databytecounts) < page.imagelength * row:
        raise _truncated()
    data = _at(tif.filehandle, page.dataoffsets[0] + window.top * row, window.height * row)
    rows = np.frombuffer(data, dtype).reshape(window.height, page.imagewidth)
    out[...] = rows[:, window.slices[1]]


def _segments(page: Any, window: Window) -> Iterator[tuple[int, int, int, tuple[int, int]]]:
    """Number, first row, first column and shape of each strip or tile that ``window`` touches."""
    height, width = page.rowsperstrip, page.imagewidth
    if page.is_tiled:
        height, width = page.tilelength, page.tilewidth
    across = -(-page.imagewidth // width)
    for row in range(window.top // height, -(-(window.top + window.height) // height)):
        for column in range(window.left // width, -(-(window.left + window.width) // width)):
            yield row * across + column, row * height, column * width, (height, width)
