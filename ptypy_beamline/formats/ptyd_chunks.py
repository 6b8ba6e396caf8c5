"""The chunks of a ``.ptyd``: where each one is, and whether it is complete."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..arrays import Bools, Floats, Ints
from ..errors import FileError
from ..files.hdf5 import open_hdf5
from ..files.links import first_target, lookup
from ..frames.hdf5 import Hdf5Frames
from .hdf5_source import Hdf5Source, text

AGAIN = "write the .ptyd again"
STOPPED = f"its writer was stopped: {AGAIN}"

BLOCK = 64
"""Weights evaluated at a time, where they are not stored in chunks."""


@dataclass(frozen=True, eq=False)
class PtydChunk:
    """One chunk, complete.

    Attributes
    ----------
    data, weights
        Frames (n, ny, nx) and their weights, 0 = bad; None = all are good.
    indices
        (n,) numbers of the frames in the scan; None = as they come.
    positions_m
        (n, 2) row, column; None where the chunk has none.
    """

    data: Hdf5Frames
    weights: Hdf5Frames | None
    indices: Ints | None
    positions_m: Floats | None


def read_chunks(source: Hdf5Source) -> tuple[PtydChunk, ...]:
    """Every chunk in the order of their numbers; no frame is read.

    Raises
    ------
    FileError
        There are none, or one of them is missing, truncated or incomplete. Of a scan that is being
        written, the chunks before that one are taken.
    """
    group = source.file.get("chunks")
    if not isinstance(group, h5py.Group):
        raise FileError("not a .ptyd: no group /chunks", "leave format out")
    numbers = sorted(int(name) for name in group if name.isdigit())
    if not numbers:
        raise FileError(
            "the .ptyd has no frames: its writer stopped before the first chunk", "write it again"
        )
    chunks: list[PtydChunk] = []
    try:
        for number in range(numbers[-1] + 1):
            if number not in numbers:
                raise FileError(f"chunk {number} of {numbers[-1] + 1} is missing", AGAIN)
            chunk = _chunk(source, number)
            _check_like(chunks[0] if chunks else chunk, chunk, number, source.settings.growing)
            chunks.append(chunk)
    except (FileError, OSError, KeyError, RuntimeError):
        if not (source.settings.growing and chunks):
            raise
    return tuple(chunks)


def _check_like(first: PtydChunk, chunk: PtydChunk, number: int, growing: bool) -> None:
    """Refuse a chunk that is not like the first one."""
    then, now = first.data, chunk.data
    if (now.shape[1:], now.dtype) != (then.shape[1:], then.dtype):
        raise FileError(
            f"chunk {number} has frames {now.shape[1:]} of {now.dtype}, the first "
            f"{then.shape[1:]} of {then.dtype}",
            AGAIN,
        )
    kept = ("weights", "indices", "positions_m")
    lacking = [k for k in kept if getattr(first, k) is not None and getattr(chunk, k) is None]
    if lacking and growing:
        raise FileError(f"chunk {number} is not complete yet", "wait for its writer")


def _chunk(source: Hdf5Source, number: int) -> PtydChunk:
    """Chunk ``number``, in this file or in the part it is linked to."""
    links, name = source.settings.links, f"/chunks/{number}"
    link = source.file.get(name, getlink=True)
    if not isinstance(link, h5py.ExternalLink):
        return _inspect(source.path, source.file, name, links)
    part, group = _find_part(source.path, link.filename, name, links), link.path.rstrip("/")
    if source.settings.growing:
        status = part.stat()
        return _known_part(part, group, links, (status.st_size, status.st_mtime_ns))
    with open_hdf5(part) as file:
        return _inspect(part, file, group, links)


@lru_cache(maxsize=4096)
def _known_part(part: Path, group: str, links: str, state: tuple[int, int]) -> PtydChunk:
    """The chunk in a part, kept while the file does not change, as it is asked for often."""
    with open_hdf5(part) as file:
        return _inspect(part, file, group, links)


def _find_part(master: Path, name: str, link: str, links: str) -> Path:
    """The file that a chunk is linked to.

    PtyPy writes the path of ``dfile`` as it was given, hence relative to the folder it ran in,
    where HDF5 takes it as relative to the master. Parts are written beside the master, so that
    is where they are looked for next.
    """
    folder = master.resolve().parent
    tries = [folder / name, folder / Path(name).name]  # an absolute name stays as it is
    if links == "any":
        return first_target(name, [*tries, Path(name).absolute()], master, None, link)
    tries.sort(key=lambda path: not path.resolve().is_relative_to(folder))
    return first_target(name, tries, master, folder, link)


def _inspect(path: Path, file: h5py.File, name: str, links: str) -> PtydChunk:
    """Read all but the frames of the chunk in group ``name``, and check that it is complete."""
    found = {
        key: lookup(file, f"{name}/{key}", links)
        for key in ("data", "weights", "indices", "positions")
    }
    there = {
        key: item for key, item in found.items() if is_stored(item) and (item.size or key == "data")
    }
    if "data" not in there:
        raise FileError(f"{name or 'the part'} has no data", STOPPED, path)
    data = Hdf5Frames(path, f"{name}/data")
    for key, item in there.items():
        if len(item) != data.shape[0] and not (key == "weights" and item.ndim == 2):
            raise FileError(
                f"{name}/{key} has {len(item)} entries for {data.shape[0]} frames", STOPPED, path
            )
    weights, indices, positions = (there.get(k) for k in ("weights", "indices", "positions"))
    return PtydChunk(
        data,
        Hdf5Frames(path, f"{name}/weights") if weights is not None else None,
        np.asarray(indices[()], np.int64) if indices is not None else None,
        np.asarray(positions[()], np.float64) if positions is not None else None,
    )


def is_stored(item: Any) -> bool:
    """Whether it is a dataset of numbers.

    ``ptypy.io.h5rw`` marks a None by the attribute ``type``; others write an empty array, or the
    word.
    """
    return (
        isinstance(item, h5py.Dataset)
        and item.ndim > 0
        and item.dtype.kind in "biuf"
        and text(item.attrs.get("type")) != "None"
    )


def bad_in_all(chunks: tuple[PtydChunk, ...], growing: bool) -> tuple[Bools, bool]:
    """(ny, nx) pixels that are bad in every frame, and whether some frame has more of them.

    Weights are read once, some at a time; PtyPy uses a pixel where its weight is above 0. Those of
    a ``growing`` scan are not read: weights of later frames are unknown.
    """
    shape = chunks[0].data.shape[1:]
    ever, always = np.zeros(shape, np.bool_), np.ones(shape, np.bool_)
    if growing:
        return ever, any(chunk.weights is not None for chunk in chunks)
    for chunk in chunks:
        if chunk.weights is None:
            ever[:] = True
            continue
        with open_hdf5(chunk.weights.path) as file:
            dataset = file[chunk.weights.dataset]
            if dataset.shape[-2:] != shape:
                raise FileError(
                    f"{dataset.name} is of shape {dataset.shape} for frames {shape}",
                    AGAIN,
                    chunk.weights.path,
                )
            for part in _different(dataset):
                good = dataset[part].reshape(-1, *shape) > 0
                ever |= good.any(0)
                always &= good.all(0)
    return ~ever, bool((ever != always).any())


def _different(weights: h5py.Dataset) -> list[slice]:
    """Parts of a stack, or of one image, without chunks that are byte for byte like others."""
    if weights.ndim == 2:
        return [slice(None)]
    if weights.chunks != (1, *weights.shape[1:]):
        together = weights.chunks[0] if weights.chunks else BLOCK
        return [slice(start, start + together) for start in range(0, len(weights), together)]
    first: dict[tuple[int, bytes], int] = {}
    for number in range(len(weights)):
        mask, stored = weights.id.read_direct_chunk((number, 0, 0))
        first.setdefault((mask, blake2b(stored).digest()), number)
    return [slice(number, number + 1) for number in first.values()]
