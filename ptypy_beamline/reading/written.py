"""Which frames of an HDF5 dataset were ever written: the rest reads as its fill value.

A detector writer that died leaves room for frames that never came. HDF5 gives zeros there, which
look like counts; only the index of chunks and the map of a virtual dataset know better.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from .files import open_hdf5

Flags = NDArray[np.bool_]
"""(n,) one for each frame."""


def written_frames(dataset: h5py.Dataset, leading: int | None = None) -> Flags | None:
    """(n,) which frames (y, x) of a stack (…, y, x) were written; None = all of them.

    A frame in several chunks, or from several sources, was written when it has as many pixels as
    the fullest one.

    Parameters
    ----------
    leading
        Index on an axis before those of the frames; None = the dataset has no such axis.
    """
    axes = dataset.shape[:-2]
    pixels = _pixels(dataset)
    if pixels is None:
        return None
    frames = pixels.reshape(axes)[() if leading is None else leading].ravel()
    there = frames >= max(1, int(pixels.max(initial=0)))
    return None if there.all() else there


def _pixels(dataset: h5py.Dataset) -> NDArray[np.int64] | None:
    """Pixels of each frame that were written, in C order of all frame axes; None = all."""
    layout = dataset.id.get_create_plist().get_layout()
    if layout == h5py.h5d.VIRTUAL:
        return _of_sources(dataset)
    if layout == h5py.h5d.CHUNKED:
        return _of_chunks(dataset)
    none = layout == h5py.h5d.CONTIGUOUS and not (dataset.external or dataset.id.get_storage_size())
    return np.zeros(math.prod(dataset.shape[:-2]), np.int64) if none and dataset.size else None


def _of_chunks(dataset: h5py.Dataset) -> NDArray[np.int64] | None:
    shape, chunk = dataset.shape, dataset.chunks
    grid = [-(-n // c) for n, c in zip(shape, chunk, strict=True)]
    if dataset.id.get_num_chunks() >= math.prod(grid):
        return None
    pixels = np.zeros(shape[:-2], np.int64)
    for offset in _chunk_offsets(dataset):
        inside = [min(c, n - o) for o, c, n in zip(offset, chunk, shape, strict=True)]
        place = (slice(o, o + n) for o, n in zip(offset[:-2], inside[:-2], strict=True))
        pixels[tuple(place)] += inside[-2] * inside[-1]
    return pixels.ravel()


def _chunk_offsets(dataset: h5py.Dataset) -> list[tuple[int, ...]]:
    """First pixel of every chunk that is stored."""
    if not hasattr(dataset.id, "chunk_iter"):
        every = range(dataset.id.get_num_chunks())
        return [dataset.id.get_chunk_info(number).chunk_offset for number in every]
    found: list[tuple[int, ...]] = []
    dataset.id.chunk_iter(lambda chunk: found.append(chunk.chunk_offset))
    return found


def _of_sources(dataset: h5py.Dataset) -> NDArray[np.int64] | None:
    """Of a virtual dataset: what its sources have, as far as these were written themselves."""
    pixels = np.zeros(math.prod(dataset.shape[:-2]), np.int64)
    for source in dataset.virtual_sources():
        target = _frames(source.vspace)
        if target is None or "%" in source.file_name + source.dset_name:
            return None  # unlimited or irregular: nobody can tell
        there = _in_source(dataset, source, len(target))
        area = source.vspace.get_select_npoints() // max(1, len(target))
        pixels[target[there]] += area
    return pixels


def _in_source(dataset: h5py.Dataset, source: Any, count: int) -> Flags:
    """(count,) which of the frames that a virtual dataset takes from a source are there."""
    missing, every = np.zeros(count, np.bool_), np.ones(count, np.bool_)
    with _opened(dataset, source.file_name) as file:
        found = None if file is None else file.get(source.dset_name)
        if not isinstance(found, h5py.Dataset):
            return missing
        taken = _frames(source.src_space)
        written = written_frames(found)
        if taken is None or len(taken) != count:  # other axes than those of frames
            return every if written is None or written.any() else missing
        length = math.prod(found.shape[:-2])
        here: Flags = taken < length
        if written is not None:
            here &= written[np.minimum(taken, length - 1)]
        return here


@contextmanager
def _opened(dataset: h5py.Dataset, name: str) -> Iterator[h5py.File | None]:
    """The file of a source; None where it is not there."""
    owner = Path(dataset.file.filename)
    folders = (owner.parent, owner.resolve().parent)
    places = (folder / part for folder in folders for part in (name, Path(name).name))
    path = owner if name == "." else next((place for place in places if place.is_file()), None)
    if path is None:
        yield None
        return
    with open_hdf5(path) as file:
        yield file


def _frames(space: h5py.h5s.SpaceID) -> NDArray[np.int64] | None:
    """Frames that a selection of a stack touches, in C order; None where it is irregular."""
    shape = space.get_simple_extent_dims()
    if space.get_select_type() == h5py.h5s.SEL_ALL:
        return np.arange(math.prod(shape[:-2]))
    if space.get_select_type() != h5py.h5s.SEL_HYPERSLABS or not space.is_regular_hyperslab():
        return None
    each = [line for line in list(_lines(space))[:-2] if line is not None]
    if len(each) < len(shape) - 2:
        return None
    grid = np.meshgrid(*each, indexing="ij")
    return np.ravel_multi_index(grid, shape[:-2]).ravel() if grid else np.zeros(1, np.int64)


def _lines(space: h5py.h5s.SpaceID) -> Iterator[NDArray[np.int64] | None]:
    """Selected indices on each axis; None where it has no end."""
    for start, stride, count, block in zip(*space.get_regular_hyperslab(), strict=True):
        if count >= h5py.h5s.UNLIMITED or block >= h5py.h5s.UNLIMITED:
            yield None
        else:
            yield (start + stride * np.arange(count)[:, None] + np.arange(block)).ravel()
