"""Frames that are cut into several datasets, which follow each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import FileError
from ..reading.derived import Joined
from ..reading.hdf5 import Hdf5Frames
from ..reading.links import lookup
from .numbering import Numbers
from .source import Source, expand

Ints = NDArray[np.int64]


def joined(source: Source, pattern: str) -> tuple[Joined | None, Numbers | None]:
    """The datasets whose path matches as one stack, and the numbers of its frames.

    None if there are none, or if the datasets do not say which images they have.

    Raises
    ------
    FileError
        One of them is not there, or what it links to is not.
    ScanError
        They are not of one shape and dtype.
    """
    parts = tuple(_parts(source, pattern))
    if not parts:
        return None, None
    numbers = [images for _, images in parts]
    known = all(images is not None for images in numbers)
    values = np.concatenate([images for images in numbers if images is not None] or [[]])
    return (
        Joined(tuple(frames for frames, _ in parts)),
        Numbers(values.astype(np.int64), "image_nr", first=1) if known else None,
    )


def _images(dataset: h5py.Dataset) -> Ints | None:
    """Image numbers of a data file, from 1, where its attributes tell (SIMPLON API)."""
    ends = [dataset.attrs.get(f"image_nr_{end}") for end in ("low", "high")]
    if any(end is None or np.size(end) != 1 for end in ends):
        return None
    low, high = (int(np.ravel(end)[0]) for end in ends)
    # A file that lacks images inside does not say which.
    return np.arange(low, high + 1) if high - low + 1 == dataset.shape[0] else None


def _parts(source: Source, pattern: str) -> Iterator[tuple[Hdf5Frames, Ints | None]]:
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
            yield Hdf5Frames(Path(dataset.file.filename), dataset.name), _images(dataset)
