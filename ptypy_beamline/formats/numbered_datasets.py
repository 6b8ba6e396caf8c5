"""Frames that are split into several consecutive datasets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from ..arrays import Ints
from ..errors import FileError, LostFileError, ScanError
from ..files.links import lookup
from ..frames.hdf5 import Hdf5Frames
from ..frames.joined import JoinedFrames, MissingFrames
from ..frames.wrappers import PickedFrames
from ..scan import Frames
from .acquisition_numbers import AcquisitionNumbers
from .hdf5_source import Hdf5Source, expand

NUMBERS = "give the number of each frame by --path frame_index=OTHER.h5::/PATH (paths.frame_index)"


@dataclass(frozen=True, eq=False)
class _Part:
    """One of the datasets.

    Attributes
    ----------
    frames
        Its frames, or the error from reading it.
    stated
        Image numbers that it states, from 1; None if it states none.
    """

    frames: Hdf5Frames | LostFileError
    stated: range | None = None


def joined(
    source: Hdf5Source, pattern: str, announced: int | None = None
) -> tuple[Frames | None, AcquisitionNumbers | None]:
    """The datasets whose path matches, as one stack, and the numbers of its frames.

    Frames are None if there are none, numbers if no dataset states its images. A dataset that
    cannot be read keeps its numbers, with a warning, if it is known how many frames it has. If
    some datasets state their images, frames whose images are unknown are left out, with a warning.

    Parameters
    ----------
    announced
        Number of frames of all datasets, if the file states it.

    Raises
    ------
    FileError
        None of them can be read; or one cannot, and it is unknown how many frames it has, or
        the scan is being followed.
    ScanError
        Their shapes or dtypes differ, or none states its images.
    """
    parts = list(_parts(source, pattern))
    if not parts:
        return None, None
    stacks, images = zip(*_with_absent(source, parts, announced), strict=True)
    frames = JoinedFrames(stacks)
    stated = any(part.stated is not None for part in parts)
    if not stated or "frame_index" in source.paths:
        return frames, None
    if source.settings.growing and any(numbers is None for numbers in images):
        return frames, None  # frames of the file that is being written will come
    return _numbered(source, parts, frames, images)


def _numbered(
    source: Hdf5Source, parts: list[_Part], frames: JoinedFrames, images: Sequence[Ints | None]
) -> tuple[Frames, AcquisitionNumbers]:
    """The frames of the parts whose images are known, and their numbers."""
    start, picked, known = 0, [], []
    for part, stack, numbers in zip(parts, frames.parts, images, strict=True):
        count, stated = stack.shape[0], part.stated
        if numbers is None:
            assert isinstance(stack, Hdf5Frames)
            why = ", which are not as many as the images before the next file"
            if stated:
                why = f" for images {stated.start} to {stated.stop - 1}"
            source.assume(
                f"{stack.path}: {count} frames{why}: it is unknown which images were lost, so its "
                f"{count} frames are left out; {NUMBERS}"
            )
        else:
            known.append(numbers)
            picked.append(np.arange(start, start + count))
        start += count
    if not known:
        remedy = f"{NUMBERS}, or count the frames in order by --path frame_index=0"
        raise ScanError("no data file has the image numbers of its frames", remedy)
    numbered = AcquisitionNumbers(np.concatenate(known), "image_nr", first=1)
    if len(known) == len(parts):
        return frames, numbered
    return PickedFrames(frames, np.concatenate(picked)), numbered


def _with_absent(
    source: Hdf5Source, parts: list[_Part], announced: int | None
) -> Iterator[tuple[Frames, Ints | None]]:
    """The frames of each part and their numbers; a part that cannot be read gets a placeholder.

    The placeholder has as many frames as the longest other part (the last excepted), but no more
    than there are numbers before the next part.
    """
    readable = [part.frames for part in parts if isinstance(part.frames, Hdf5Frames)]
    full = max(
        (frames.shape[0] for frames in readable if frames is not parts[-1].frames), default=0
    )
    first, image = 0, 0
    for index, part in enumerate(parts):
        if isinstance(part.frames, LostFileError):
            before, last = announced, part is parts[-1]
            if not last:
                stated = parts[index + 1].stated
                before = None if stated is None else stated.start - 1
            count = full if before is None else min(full or before - image, before - image)
            if not readable or count < 1 or (before is None and last):
                raise part.frames
            shape, dtype = (count, *readable[0].shape[1:]), readable[0].dtype
            absent = MissingFrames(first, shape, dtype, part.frames)
            file = "" if absent.why.file == source.path else f"{absent.why.file}: "
            source.assume(
                f"{file}{absent.why.problem}: {count} frames, {absent.range}, are missing"
            )
            stack: Frames = absent
            images: Ints | None = np.arange(image + 1, image + count + 1)
        else:
            stack, images = part.frames, _images(parts[index:], part.frames.shape[0], image)
        yield stack, images
        first += stack.shape[0]
        image = part.stated.stop - 1 if part.stated else image + stack.shape[0]


def _images(parts: list[_Part], count: int, before: int) -> Ints | None:
    """Numbers of the ``count`` images in the first of these parts; None = unknown.

    A part without numbers has the next numbers, if these lead up to those of a later part.
    """
    stated = parts[0].stated
    if stated is not None:  # of a part with gaps, it is unknown which images are missing
        return np.asarray(stated) if len(stated) == count else None
    image = before
    for part in parts:
        if part.stated is not None and part.stated.start != image + 1:
            return None
        if part.stated is not None or isinstance(part.frames, LostFileError):
            break
        image += part.frames.shape[0]
    return np.arange(before + 1, before + count + 1)


def _stated_images(dataset: h5py.Dataset) -> range | None:
    """Image numbers in the attributes of a data file (SIMPLON API)."""
    ends = [dataset.attrs.get(f"image_nr_{end}") for end in ("low", "high")]
    if any(end is None or np.size(end) != 1 for end in ends):
        return None
    low, high = (int(np.ravel(end)[0]) for end in ends)
    return range(low, high + 1)


def _parts(source: Hdf5Source, pattern: str) -> Iterator[_Part]:
    """Parts in the order of the numbers at the end of their paths, each in its own file."""
    numbered = {
        int(found[0]): path
        for path in expand(source.file, pattern)
        if (found := re.findall(r"\d+$", path))
    }
    expected = range(min(1, *numbered), max(numbered) + 1) if len(numbered) > 1 else numbered
    for number in expected:
        if number not in numbered:
            raise FileError(
                f"Expected {pattern} without gaps. Number {number} of {max(numbered)} is missing",
                "copy the file again",
            )
        try:
            dataset = lookup(source.file, numbered[number], source.settings.links)
            if isinstance(dataset, h5py.Dataset):
                frames = Hdf5Frames(Path(dataset.file.filename), dataset.name)
                yield _Part(frames, _stated_images(dataset))
        except LostFileError as error:
            if source.settings.growing:  # it may still come
                raise
            yield _Part(error)
