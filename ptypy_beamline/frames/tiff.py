"""Frames in TIFF files of one or more pages each, read in parallel when they are used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise, repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Ints
from ..errors import FileError, ScanError
from ..files.filelist import MOST, NameNumbers, numbers_in_names
from ..files.hdf5 import locking
from ..files.regular import FileState
from ..parallel import available_threads, reading_threads, spread
from ..scan import FrameStack, Indices, Readiness, Window, increasing
from .tiffpages import (
    decode,
    directories,
    is_tiff,
    is_whole,
    mark,
    naming,
    offsets_of,
    opened,
    page,
    page_offsets,
)

PAGES = 16
"""Maximum number of pages of a file that one thread reads at once."""


@dataclass(frozen=True)
class TiffFrames(FrameStack):
    """Every page of some TIFF files, one after another.

    Opening reads the first page of the first file. Files of the same length are assumed to have
    the same number of pages, those of others are counted; reading checks them.

    Parameters
    ----------
    files
        In the order of the frames.

    Raises
    ------
    FileError
        There is no file, or the first one is unreadable.
    ScanError
        The first file has no greyscale images.
    """

    files: tuple[Path, ...]
    _ends: Ints = field(init=False, repr=False, compare=False)
    """(files,) index after the last frame of each file."""
    _frame_type: tuple[tuple[int, int], np.dtype[Any]] = field(
        init=False, repr=False, compare=False
    )
    _size: int = field(init=False, repr=False, compare=False)
    """Of the first file, in bytes."""
    _states: tuple[FileState, ...] = field(init=False, repr=False, compare=False)
    """Of each file when it was listed; empty for a scan that is followed, which may change."""
    _marks: list[tuple[int, ...]] = field(
        init=False, repr=False, compare=False, default_factory=list
    )
    """Of each file when :meth:`ready` was last called, see :func:`page_marks`."""

    def __post_init__(self) -> None:
        if not self.files:
            raise FileError("Expected TIFF files. Got none", "name them by a glob or a list")
        object.__setattr__(self, "files", tuple(Path(file).absolute() for file in self.files))
        first = self.files[0]
        pages, frame_type = _inspect(first)
        size = first.stat().st_size
        counts, states = zip(
            *reading_threads().map(_count, self.files, repeat(size), repeat(pages)), strict=True
        )
        object.__setattr__(self, "_ends", np.cumsum([pages, *counts[1:]]))
        object.__setattr__(self, "_states", states if locking() else ())
        object.__setattr__(self, "_frame_type", frame_type)
        object.__setattr__(self, "_size", size)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, ny, nx)."""
        return int(self._ends[-1]), *self._frame_type[0]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Pixel type in native byte order."""
        return self._frame_type[1]

    @property
    def odd_pages(self) -> tuple[Path, ...]:
        """Numbered files whose number of pages is unusual, but for a shorter last one."""
        pages = np.diff(self._ends, prepend=0)
        odd = pages != np.median(pages)
        odd[-1] = pages[-1] > np.median(pages)
        few = 0 < np.count_nonzero(odd) <= (1 - MOST) * len(pages)
        if not few or numbers_in_names(self.files) is None:
            return ()
        return tuple(self.files[row] for row in np.flatnonzero(odd))

    @property
    def numbers(self) -> NameNumbers | None:
        """Numbers in the names of the files; None if there are none, or they differ in pages."""
        pages = np.diff(self._ends, prepend=0)
        named = numbers_in_names(self.files)
        if named is None or len(np.unique(pages[:-1])) != 1 or pages[-1] > pages[0]:
            return None
        page = np.arange(self.shape[0]) - np.repeat(self._ends - pages, pages)
        values = np.repeat(named.values * pages[0], pages) + page
        return replace(named, values=values, pages=int(pages[0]))

    def ready(self) -> Readiness:
        """Frames before the first incomplete one: a file may still be copied."""
        marks = list(reading_threads().map(page_marks, self.files))
        object.__setattr__(self, "_marks", marks)
        whole = np.array([len(pages) for pages in marks], np.int64)
        lacking = np.flatnonzero(whole < np.diff(self._ends, prepend=0))
        if not lacking.size:
            return Readiness(self.shape[0])
        first = int(lacking[0])
        return Readiness(int(self._ends[first - 1] if first else 0) + int(whole[first]))

    def continues(self, earlier: TiffFrames) -> bool:
        """Whether these are the files of ``earlier``, not rewritten, and possibly more.

        The pages that were complete when :meth:`ready` was last called are compared.
        """
        then, now = earlier._marks, self._marks
        same = all(new[: len(old)] == old for old, new in zip(then, now, strict=False))
        return same and self.files[: len(earlier.files)] == earlier.files

    def read(self, indices: Indices, window: Window) -> NDArray[Any]:
        """Pixels of ``window`` (inside the frame), (len(indices), height, width), C-contiguous.

        Raises
        ------
        ScanError
            An index lies outside the stack, or a page has another shape or dtype than the first.
        FileError
            A file is missing, truncated or corrupt; the page is named.
        """
        wanted, inverse = increasing(indices, self.shape[0], self.files[0])
        out = np.empty((len(wanted), *window.shape), self.dtype)
        jobs = list(self._jobs(wanted))

        def run(job: tuple[int, slice, list[int]]) -> None:
            number, rows, pages = job
            self._read_file(number, pages, window, out[rows])

        spread(run, jobs, available_threads())
        return out if inverse is None else out[inverse]

    def _jobs(self, wanted: NDArray[np.intp]) -> Iterator[tuple[int, slice, list[int]]]:
        """Of each file: its number, rows of ``wanted``, and pages."""
        owners = np.searchsorted(self._ends, wanted, side="right")
        starts = np.concatenate([[0], self._ends[:-1]])
        edges = [0, *(np.flatnonzero(np.diff(owners)) + 1).tolist(), len(wanted)]
        for low, high in pairwise(edges):
            for start in range(low, high, PAGES):
                part = slice(start, min(start + PAGES, high))
                number = int(owners[start])
                yield number, part, (wanted[part] - starts[number]).tolist()

    def _read_file(self, number: int, pages: list[int], window: Window, out: NDArray[Any]) -> None:
        path, start = self.files[number], int(self._ends[number - 1]) if number else 0
        expected = int(self._ends[number]) - start
        with opened(path, f"frame {start + pages[0]}") as tif:
            offsets = page_offsets(tif.filehandle) if expected == 1 else offsets_of(path)
            # A file whose pages were counted may have grown since.
            grown = len(offsets) > expected and path.stat().st_size != self._size
            if len(offsets) != expected and not grown:
                raise ScanError(
                    f"Expected {expected} pages, as in files of its length. Got {len(offsets)}",
                    "open the scan again",
                    path,
                )
            for row, wanted in enumerate(pages):
                with naming(path, f"frame {start + wanted} (page {wanted})"):
                    found = page(tif, wanted, int(offsets[wanted]))
                    self._check(found, path, wanted)
                    decode(tif, found, window, out[row])
            if self._states:
                self._states[number].check(tif.filehandle.fileno(), path, may_grow=True)

    def _check(self, found: Any, path: Path, number: int) -> None:
        """Refuse a page that differs from the first one in shape or dtype."""
        shape, dtype = self._frame_type
        if (found.shape, found.dtype) != (shape, dtype):
            raise ScanError(
                f"Expected images of {_shown(shape, dtype)} as in {self.files[0].name}. Got "
                f"{_shown(found.shape, found.dtype)} on page {number}",
                "leave this file out of the list",
                path,
            )


def _inspect(path: Path) -> tuple[int, tuple[tuple[int, int], np.dtype[Any]]]:
    """Number of pages of a file, and shape and dtype of the first."""
    if not path.is_file():
        raise FileError("no such file", "check the path", path)
    if not is_tiff(path):
        raise FileError("not a TIFF file", "name TIFF files only", path)
    with opened(path) as tif:
        pages, first = len(offsets_of(path)), page(tif, 0, 0)
        sizes = [n for n in first.shape if isinstance(n, int) and n > 0]
        grey = len(sizes) == first.ndim == 2
        if not grey or first.dtype is None or first.dtype.kind not in "biuf":
            raise ScanError(
                f"Expected greyscale images. Got pages of {_shown(first.shape, first.dtype)}",
                file=path,
            )
        if pages == 1 and tif.series and tif.series[0].size != first.size:
            raise FileError(
                f"{tif.series[0].size // first.size} images in one page, as ImageJ keeps big "
                "stacks",
                "save it with a page for each image",
                path,
            )
        return pages, (first.shape, np.dtype(first.dtype))


def _count(path: Path, like: int, pages: int) -> tuple[int, FileState]:
    """Pages of a file: ``pages`` if its size is ``like``, or if it is damaged: reading tells."""
    try:
        state = FileState.of(path.stat())
        if state.size == like:
            return pages, state
        with path.open("rb") as file:
            return len(page_offsets(file)), state
    except FileNotFoundError as error:
        raise FileError("no such file", "copy that file, too", path) from error
    except FileError:
        return pages, state


def page_marks(path: Path) -> tuple[int, ...]:
    """Of each complete page of a file, from the first on, a checksum to detect a rewritten file.

    It is that of a few bytes at four offsets.
    """
    try:
        status = path.stat()
    except OSError:
        return ()
    return _page_marks(path, status.st_ino, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=2**17)
def _page_marks(path: Path, inode: int, size: int, changed_ns: int) -> tuple[int, ...]:
    marks: list[int] = []
    with suppress(FileError), opened(path) as tif:
        for offset in directories(tif.filehandle):
            found = page(tif, len(marks), offset)
            if not is_whole(found, size):
                break
            marks.append(mark(tif, found))
    return tuple(marks)


def _shown(shape: tuple[int, ...], dtype: Any) -> str:
    return f"{'x'.join(map(str, shape))} {dtype}"
