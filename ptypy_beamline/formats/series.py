"""Frames that are cut into several datasets, which follow each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import h5py

from ..errors import FileError
from ..reading.derived import Joined
from ..reading.hdf5 import Hdf5Frames
from ..reading.links import lookup
from .source import Source, expand


def joined(source: Source, pattern: str) -> Joined | None:
    """The datasets whose path matches as one stack; None if there are none.

    Raises
    ------
    FileError
        One of them is not there, or what it links to is not.
    ScanError
        They are not of one shape and dtype.
    """
    parts = tuple(_parts(source, pattern))
    return Joined(parts) if parts else None


def _parts(source: Source, pattern: str) -> Iterator[Hdf5Frames]:
    """In the order of the numbers their paths end in, each in the file that holds it."""
    numbered = {int(found[0]): path for path in expand(source.file, pattern)
                if (found := re.findall(r"\d+$", path))}  # fmt: skip
    expected = range(min(1, *numbered), max(numbered) + 1) if len(numbered) > 1 else numbered
    for number in expected:
        if number not in numbered:
            raise FileError(
                f"Expected {pattern} without holes. Got no number {number} of {max(numbered)}",
                "copy the file again",
            )
        dataset = lookup(source.file, numbered[number], source.opening.links)
        if isinstance(dataset, h5py.Dataset):
            yield Hdf5Frames(Path(dataset.file.filename), dataset.name)
