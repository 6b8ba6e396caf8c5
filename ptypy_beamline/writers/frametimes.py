"""When each frame was taken: from a file, or from the TIFF files themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..arrays import Floats
from ..errors import FileError, MissingDataError, ScanError, SettingsError
from ..files.csvlog import read_log, seconds
from ..frames.images import values_of
from ..frames.tiff import TiffFrames
from ..frames.tiffpages import offsets_of, opened, page
from ..parallel import reading_threads

DATE_TIME = 306
"""Tag of a page's date and time, ``YYYY:MM:DD HH:MM:SS`` (TIFF 6.0, section 8)."""

REMEDY = "give the frames' time stamps with --frame-times"


def frame_times_s(frames: TiffFrames, file: Path | None, column: str) -> Floats:
    """(n,) seconds, one a frame, of ``file``, else of the DateTime tags.

    Raises
    ------
    MissingDataError
        A page has no such tag.
    ScanError
        They are not as many as the frames, or do not tell them apart.
    """
    if file is None:
        return _of_tags(frames)
    times = _of_file(file, column)
    if len(times) != frames.shape[0]:
        raise ScanError(
            f"Expected a time stamp of each of {frames.shape[0]} frames. Got {len(times)}",
            "give one a frame",
            file,
        )
    return times


def _of_file(path: Path, column: str) -> Floats:
    """Of a ``.npy``, or of the CSV column of that name, or the only one."""
    if path.suffix == ".npy":
        return values_of(path, "--frame-times")
    log = read_log(path)
    if column not in log.header and len(log.header) > 1:
        raise SettingsError(
            f"Expected one column of times, or {column!r}. Got {', '.join(log.header)}",
            "call it as in the log",
            path,
        )
    return log.times_s(column if column in log.header else log.header[0], "--col-time")


def _of_tags(frames: TiffFrames) -> Floats:
    def read(path: Path) -> list[float]:
        with opened(path) as tif:
            pages = (page(tif, i, int(o)) for i, o in enumerate(offsets_of(path)))
            return [_seconds(found.tags.valueof(DATE_TIME), path) for found in pages]

    times = np.array([t for stamps in reading_threads().map(read, frames.files) for t in stamps])
    shared = len(times) - len(np.unique(times))
    if shared:
        raise ScanError(
            f"the DateTime tags have whole seconds, and {shared} of {len(times)} "
            "frames have the same as another",
            REMEDY,
            frames.files[0],
        )
    return times


def _seconds(tag: str | None, path: Path) -> float:
    if tag is None:
        raise MissingDataError("Expected a DateTime tag. Got none", REMEDY, path)
    try:
        return seconds(tag.strip())
    except ValueError as error:
        raise FileError(f"DateTime is {tag!r}, not YYYY:MM:DD HH:MM:SS", REMEDY, path) from error
