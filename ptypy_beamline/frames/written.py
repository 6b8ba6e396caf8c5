"""Which frames and pixels of an HDF5 dataset were ever written: the rest reads as its fill value.

A detector writer that died leaves room for frames that never came, and a virtual dataset of several
modules has gaps between them. HDF5 reads zeros there, which look like counts; only the index of
chunks and the mapping of a virtual dataset show the difference.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from ..arrays import Bools, Ints
from ..files.hdf5 import open_hdf5
from ..scan import Gaps
from .chunks.stored import reports_offsets
from .virtual import source_file


class WrittenArea(NamedTuple):
    """``rows`` x ``columns`` of each of ``frames``; None = it is unknown which frames.

    Frames are numbered in C order of all frame axes.
    """

    frames: Ints | None
    rows: Ints
    columns: Ints

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return len(self.rows), len(self.columns)

    def is_like(self, other: WrittenArea) -> bool:
        """Whether both have the same number of rows, columns and known frames."""
        if self.frames is None or other.frames is None:
            return False
        return self.shape == other.shape and len(self.frames) == len(other.frames)


@dataclass(frozen=True)
class Written:
    """The written part of a stack (…, y, x).

    Attributes
    ----------
    areas
        None = everything, or unknown.
    shape
        Of the dataset.
    leading
        Index on an axis before those of the frames; None = the dataset has no such axis.
    """

    areas: tuple[WrittenArea, ...] | None
    shape: tuple[int, ...]
    leading: int | None = None

    @classmethod
    def of(cls, dataset: h5py.Dataset, leading: int | None = None) -> Written:
        """The written part of a dataset."""
        return cls(_areas(dataset), dataset.shape, leading)

    @property
    def frames(self) -> Bools | None:
        """(n,) which frames were written; None = all of them.

        A frame in several chunks, or from several sources, counts as written if no other frame has
        more written pixels.
        """
        if self.areas is None:
            return None
        pixels = np.zeros(math.prod(self.shape[:-2]), np.int64)
        for area in self.areas:
            if area.frames is None:
                return None
            pixels[area.frames] += math.prod(area.shape)
        flags = self._led(pixels) >= max(1, int(pixels.max(initial=0)))
        return None if flags.all() else flags

    @property
    def gaps(self) -> Gaps | None:
        """Pixels that were not written in frames that were; None = there are none."""
        detector = self.shape[-2:]
        if self.areas is None or all(area.shape == detector for area in self.areas):
            return None
        numbers, flags = np.arange(math.prod(self.shape[:-2])), self.frames
        used = np.zeros(numbers.shape, np.bool_)
        used[self._led(numbers)] = True if flags is None else flags
        count = np.zeros(detector, np.int32)
        for (rows, columns), times in _by_area(self.areas, used):
            count[np.ix_(rows, columns)] += times
        n = int(used.sum())
        return Gaps(count == 0, count < n) if n and count.min() < n else None

    def _led(self, values: Ints) -> Ints:
        """Of the ``values`` of all frame axes, those at the leading index."""
        stack = values.reshape(self.shape[:-2])
        return np.asarray(stack if self.leading is None else stack[self.leading]).ravel()


def _by_area(
    written: tuple[WrittenArea, ...], used: Bools
) -> Iterator[tuple[tuple[Ints, Ints], int]]:
    """Each (rows, columns) once, and the number of ``used`` frames that it was written in."""
    areas: dict[tuple[bytes, bytes], tuple[Ints, Ints]] = {}
    times: Counter[tuple[bytes, bytes]] = Counter()
    for frames, rows, columns in written:
        area = rows.tobytes(), columns.tobytes()
        areas[area] = rows, columns
        times[area] += int((used if frames is None else used[frames]).sum())
    for area, lines in areas.items():
        yield lines, times[area]


def allocated_early(dataset: h5py.Dataset) -> bool:
    """Whether all chunks of a dataset of fixed size were allocated before the first was written."""
    created = dataset.id.get_create_plist()
    early: bool = created.get_alloc_time() == h5py.h5d.ALLOC_TIME_EARLY
    return early and dataset.maxshape == dataset.shape


def _areas(dataset: h5py.Dataset) -> tuple[WrittenArea, ...] | None:
    """The written areas of a dataset; None = everything, or unknown."""
    layout = dataset.id.get_create_plist().get_layout()
    if layout == h5py.h5d.VIRTUAL:
        return _of_sources(dataset)
    if layout == h5py.h5d.CHUNKED:
        return _of_chunks(dataset)
    stored = dataset.external or dataset.id.get_storage_size()
    return () if layout == h5py.h5d.CONTIGUOUS and not stored and dataset.size else None


def _of_chunks(dataset: h5py.Dataset) -> tuple[WrittenArea, ...] | None:
    shape, chunk = dataset.shape, dataset.chunks
    grid = [-(-n // c) for n, c in zip(shape, chunk, strict=True)]
    if dataset.id.get_num_chunks() >= math.prod(grid):
        return None
    numbers = np.arange(math.prod(shape[:-2])).reshape(shape[:-2])
    at: dict[tuple[int, ...], list[Ints]] = {}
    for offset in _chunk_offsets(dataset):
        place = tuple(slice(o, o + c) for o, c in zip(offset[:-2], chunk[:-2], strict=True))
        at.setdefault(offset[-2:], []).append(np.ravel(numbers[place]))
    (height, width), (ny, nx) = chunk[-2:], shape[-2:]
    return tuple(
        WrittenArea(
            np.concatenate(frames),
            np.arange(row, min(row + height, ny)),
            np.arange(column, min(column + width, nx)),
        )
        for (row, column), frames in at.items()
    )


def _chunk_offsets(dataset: h5py.Dataset) -> list[tuple[int, ...]]:
    """Index of the first pixel of every chunk that is stored."""
    if not reports_offsets(dataset):
        axes = [range(0, n, c) for n, c in zip(dataset.shape, dataset.chunks, strict=True)]
        return [place for place in product(*axes) if _is_stored(dataset, place)]
    if not hasattr(dataset.id, "chunk_iter"):
        every = range(dataset.id.get_num_chunks())
        return [dataset.id.get_chunk_info(number).chunk_offset for number in every]
    found: list[tuple[int, ...]] = []
    dataset.id.chunk_iter(lambda chunk: found.append(chunk.chunk_offset))
    return found


def _is_stored(dataset: h5py.Dataset, place: tuple[int, ...]) -> bool:
    try:
        dataset.id.read_direct_chunk(place)
    except (OSError, RuntimeError):
        return False
    return True


def _of_sources(dataset: h5py.Dataset) -> tuple[WrittenArea, ...] | None:
    """The areas of a virtual dataset that were written in its sources."""
    # h5py visits all of its objects whenever a file is closed: none of the sources' may be left.
    sources = [
        (
            source.file_name,
            source.dset_name,
            StackSelection.of(source.vspace),
            StackSelection.of(source.src_space),
        )
        for source in dataset.virtual_sources()
    ]
    areas: list[WrittenArea] = []
    for file_name, name, into, taken in sources:
        target = into.area(dataset.shape)
        if target is None:
            return None
        areas += _in_source(dataset, (file_name, name), taken, target)
    return tuple(areas)


def _in_source(
    dataset: h5py.Dataset, source: tuple[str, str], selection: StackSelection, target: WrittenArea
) -> list[WrittenArea]:
    """The areas of ``target``, part of a virtual dataset, that its source (file, dataset) has."""
    file_name, name = source
    if target.frames is None or "%" in file_name + name:
        return [target._replace(frames=None)]
    with _opened(dataset, file_name) as file:
        found = None if file is None else file.get(name)
        if not isinstance(found, h5py.Dataset):
            return []
        taken, inner = selection.area(found.shape), _areas(found)
        if taken is None or not taken.is_like(target):
            # The source's axes are not those of frames.
            return [target] if inner is None or inner else []
        *axes, ny, nx = found.shape
        whole = WrittenArea(np.arange(math.prod(axes)), np.arange(ny), np.arange(nx))
        return [_mapped(area, taken, target) for area in ((whole,) if inner is None else inner)]


def _mapped(area: WrittenArea, taken: WrittenArea, target: WrittenArea) -> WrittenArea:
    """The position of an ``area`` of a source whose part ``taken`` becomes ``target``."""
    frames = None
    if not (area.frames is None or taken.frames is None or target.frames is None):
        frames = target.frames[np.isin(taken.frames, area.frames)]
    rows = target.rows[np.isin(taken.rows, area.rows)]
    return WrittenArea(frames, rows, target.columns[np.isin(taken.columns, area.columns)])


@contextmanager
def _opened(dataset: h5py.Dataset, name: str) -> Iterator[h5py.File | None]:
    """The file of a source; None if it is missing."""
    path = source_file(Path(dataset.file.filename), name)
    if path is None:
        yield None
        return
    with open_hdf5(path) as file:
        yield file


class StackSelection(NamedTuple):
    """A selection of a stack, without HDF5's object for it."""

    shape: tuple[int, ...]
    """Of the stack; empty if all of it is selected."""
    slabs: tuple[tuple[int, int, int, int], ...] | None
    """Start, stride, count and block on each axis; None if the selection is irregular."""

    @classmethod
    def of(cls, space: h5py.h5s.SpaceID) -> StackSelection:
        """The selection of a dataspace."""
        shape = space.get_simple_extent_dims() or ()
        if space.get_select_type() == h5py.h5s.SEL_ALL:
            return cls(shape, tuple((0, 1, n, 1) for n in shape))
        if space.get_select_type() == h5py.h5s.SEL_HYPERSLABS and space.is_regular_hyperslab():
            return cls(shape, tuple(zip(*space.get_regular_hyperslab(), strict=True)))
        return cls(shape, None)

    def area(self, whole: tuple[int, ...]) -> WrittenArea | None:
        """The selected area of a stack of shape ``whole``; None if it is irregular."""
        if self.slabs is None:
            return None
        shape = self.shape or whole
        lines = [_line(*slab) for slab in self.slabs] if self.shape else [*map(np.arange, whole)]
        *each, rows, columns = lines
        if rows is None or columns is None:
            return None
        known = [line for line in each if line is not None]
        if len(known) < len(each):
            return WrittenArea(None, rows, columns)
        grid = np.meshgrid(*known, indexing="ij")
        frames = np.ravel_multi_index(grid, shape[:-2]).ravel() if grid else np.zeros(1, np.int64)
        return WrittenArea(frames, rows, columns)


def _line(start: int, stride: int, count: int, block: int) -> Ints | None:
    """Selected indices on an axis; None if they are unlimited."""
    if count >= h5py.h5s.UNLIMITED or block >= h5py.h5s.UNLIMITED:
        return None
    return (start + stride * np.arange(count)[:, None] + np.arange(block)).ravel()
