"""Frames that are cut into several datasets, which follow each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import FileError, LostFileError
from ..reading.derived import Absent, Joined
from ..reading.hdf5 import Hdf5Frames
from ..reading.links import lookup
from ..scan import Frames
from .numbering import Numbers
from .source import Source, expand

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Part:
    """One of the datasets.

    Attributes
    ----------
    frames
        Its frames, or what is wrong with it.
    images
        Their numbers, from 1, where they are known.
    """

    frames: Hdf5Frames | LostFileError
    images: Ints | None = None


def joined(
    source: Source, pattern: str, announced: int | None = None
) -> tuple[Joined | None, Numbers | None]:
    """The datasets whose path matches as one stack, and the numbers of its frames.

    None if there are none, or if the datasets do not say which images they have. One that cannot
    be read keeps its place, with a warning, where it is known how many frames it has.

    Parameters
    ----------
    announced
        Frames of all of them, where the file says so.

    Raises
    ------
    FileError
        All of them cannot be read; or one cannot, and nobody can tell how many frames it has, or
        the scan is being followed.
    ScanError
        They are not of one shape and dtype.
    """
    parts = list(_parts(source, pattern))
    if not parts:
        return None, None
    stacks, images = zip(*_with_absent(source, parts, announced), strict=True)
    frames = Joined(stacks)
    known = [numbers for numbers in images if numbers is not None]
    if len(known) < len(parts):
        return frames, None
    return frames, Numbers(np.concatenate(known), "image_nr", first=1)


def _with_absent(
    source: Source, parts: list[_Part], announced: int | None
) -> Iterator[tuple[Frames, Ints | None]]:
    """The frames of each part and their numbers; one that cannot be read has a stand-in.

    It has as many frames as the fullest of the others but the last, and no more than there are
    numbers for before the next.
    """
    there = [part.frames for part in parts if isinstance(part.frames, Hdf5Frames)]
    full = max((frames.shape[0] for frames in there if frames is not parts[-1].frames), default=0)
    first, image = 0, 0
    for place, part in enumerate(parts):
        if isinstance(part.frames, LostFileError):
            before = _images_before(parts, place + 1, announced)
            count = full if before is None else min(full or before - image, before - image)
            if not there or count < 1 or (before is None and part is parts[-1]):
                raise part.frames
            shape, dtype = (count, *there[0].shape[1:]), there[0].dtype
            absent = Absent(first, shape, dtype, part.frames)
            file = "" if absent.why.file == source.path else f"{absent.why.file}: "
            source.assume(
                f"{file}{absent.why.problem}: {count} frames, {absent.range}, are lacking"
            )
            stack: Frames = absent
            images: Ints | None = np.arange(image + 1, image + count + 1)
        else:
            stack, images = part.frames, part.images
        yield stack, images
        first += stack.shape[0]
        image = image + stack.shape[0] if images is None else int(images[-1])


def _images_before(parts: list[_Part], place: int, announced: int | None) -> int | None:
    """Images before those of a part, or of all parts; None where that is not known."""
    if place == len(parts):
        return announced
    images = parts[place].images
    return None if images is None else int(images[0]) - 1


def _images(dataset: h5py.Dataset) -> Ints | None:
    """Image numbers of a data file, from 1, where its attributes tell (SIMPLON API)."""
    ends = [dataset.attrs.get(f"image_nr_{end}") for end in ("low", "high")]
    if any(end is None or np.size(end) != 1 for end in ends):
        return None
    low, high = (int(np.ravel(end)[0]) for end in ends)
    # A file that lacks images inside does not say which.
    return np.arange(low, high + 1) if high - low + 1 == dataset.shape[0] else None


def _parts(source: Source, pattern: str) -> Iterator[_Part]:
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
        try:
            dataset = lookup(source.file, numbered[number], source.opening.links)
            if isinstance(dataset, h5py.Dataset):
                frames = Hdf5Frames(Path(dataset.file.filename), dataset.name)
                yield _Part(frames, _images(dataset))
        except LostFileError as error:
            if source.opening.growing:  # it may come yet
                raise
            yield _Part(error)
