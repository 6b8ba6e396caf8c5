"""Go through HDF5 files as readers do, in a process that may crash: see :mod:`.firstlook`.

``python -m ptypy_beamline.files.walk FILE…`` writes a dot when it is through with a file. What
is wrong with one in HDF5's own words is no matter here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import h5py

from .hdf5 import being_written

SMALL_BYTES = 2**23
"""Datasets up to here are read as a whole, of others the first and the last frame."""


def main() -> None:
    """Walk through each file of the command line."""
    for name in sys.argv[1:]:
        seen: set[Path] = set()
        _walk(Path(name).resolve(), Path(name).resolve().parent, seen)
        os.write(1, b".")


def _walk(path: Path, inside: Path, seen: set[Path]) -> None:
    """One file, and others below the same folder that it leads to."""
    if path in seen or not path.is_file() or not path.is_relative_to(inside):
        return
    seen.add(path)
    others: list[str] = []
    with (
        suppress(Exception),  # the reader says it better
        h5py.File(path, "r", swmr=being_written(path), locking=False) as file,
    ):
        _attributes(file)
        for name in _names(file):
            with suppress(Exception):
                others += _node(file, name)
    for other in others:
        _walk((path.parent / other).resolve(), inside, seen)


def _names(group: h5py.Group, above: str = "", depth: int = 0) -> Iterator[str]:
    for key in group:
        name = f"{above}/{key}"
        yield name
        link = group.get(key, getlink=True)
        if isinstance(link, h5py.HardLink) and depth < 20:
            inner = group.get(key)
            if isinstance(inner, h5py.Group):
                yield from _names(inner, name, depth + 1)


def _node(file: h5py.File, name: str) -> list[str]:
    """Read of one object what a reader may; the files that it leads to."""
    link = file.get(name, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        return [link.filename]
    node = file[name]
    _attributes(node)
    if isinstance(node, h5py.Dataset):
        if node.is_virtual:
            return [source.file_name for source in node.virtual_sources()]
        _numbers(node)
    return []


def _attributes(node: h5py.Group | h5py.Dataset) -> None:
    for name in node.attrs:
        with suppress(Exception):
            node.attrs[name]


def _numbers(dataset: h5py.Dataset) -> None:
    if dataset.external:
        return
    if dataset.chunks is not None:
        dataset.id.get_num_chunks()
    if dataset.shape is None or dataset.nbytes <= SMALL_BYTES:
        dataset[()]
    elif dataset.nbytes // dataset.shape[0] <= 8 * SMALL_BYTES:
        dataset[0], dataset[-1]


if __name__ == "__main__":
    main()
