"""Matching the rows of a beamline's CSV log with TIFF frames: by number, file name, or time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats, Ints
from ..errors import FileError, MissingDataError, ScanError, SettingsError, naming, warn
from ..files.csvlog import CsvLog, read_log, seconds
from ..formats.acquisition_numbers import AcquisitionNumbers, average, refuse_repeats, whole
from ..formats.join_by_number import frame_of
from ..formats.tiff import BY_NAME, BY_ORDER
from ..frames.images import values_of
from ..frames.tiff import TiffFrames
from ..frames.tiffpages import offsets_of, opened, page
from ..parallel import reading_threads
from .sidecar import INDEX, REQUIRED, LogColumns, Sidecar

LONG_GAP = 3
"""Longer gaps in a log with time stamps, in steps, give a warning."""


def by_index(
    log: CsvLog, names: LogColumns, frames: AcquisitionNumbers, files: Sequence[str] = ()
) -> Sidecar:
    """Positions from a log whose rows have the number, or the file name, of a frame, in any order.

    Several rows of a frame are averaged; frames without a row, and rows without a frame, are left
    out, each with a warning.

    ``files``: names of the frames' files, if each holds one frame.

    Raises
    ------
    ScanError
        Rows and frames do not match.
    """
    name = names.columns.get("index") or _index_column(log, files)
    if _holds_names(log, name, files):
        log, number = _frames_by_name(log, name, frames, files)
    else:
        number = _frame_of_each_row(log, name, names.first_index, frames)
    quantities = names.quantities(log)
    known = _rows_with_position(log, quantities)
    number, quantities = number[known], {k: v[known] for k, v in quantities.items()}
    _warn_of_left_out(log, number, frames)
    used = np.isin(number, frames.values)
    if not used.any():
        raise ScanError(
            f"no row belongs to a frame ({frames.range}, {frames.name})",
            "check --frames and --first-index",
            log.path,
        )
    index, place, rows = np.unique(number[used], return_inverse=True, return_counts=True)
    if (rows > 1).any():
        repeated = int((rows - 1).sum())
        warn(f"{repeated} rows repeat the frame of another: they are averaged", log.path)
    averaged = {short: average(place, values[used]) for short, values in quantities.items()}
    return Sidecar(index, averaged, _counted(frames), names.ignored(log, name, quantities))


def _rows_with_position(log: CsvLog, quantities: Mapping[str, Floats]) -> NDArray[np.intp]:
    """Rows with x and y; a warning says how many others are left out.

    Raises
    ------
    ScanError
        No row has both.
    """
    known = np.isfinite([quantities[short] for short in REQUIRED]).all(axis=0)
    if not known.any():
        raise ScanError("no row has a position", "check --col-x and --col-y", log.path)
    lacking = np.array([line for line, _ in log.rows])[~known]
    if lacking.size:
        warn(f"{_rows(lacking.size)} no position: left out (line {_some(lacking)})", log.path)
    return np.flatnonzero(known)


def _index_column(log: CsvLog, files: Sequence[str]) -> str:
    """The column with the frame of each row.

    Raises
    ------
    MissingDataError
        There is none.
    """
    if INDEX in log.header:
        return INDEX
    found = next((name for name in log.header if _holds_names(log, name, files)), None)
    if found is None:
        raise MissingDataError(
            f"Expected a column {INDEX!r}, or one of file names. Got {', '.join(log.header)}",
            "name it with --col-index, or time stamps with --col-time; if there are neither, add "
            f"a column {INDEX} with the number of each row's frame",
            log.path,
        )
    return found


def _holds_names(log: CsvLog, name: str, files: Sequence[str]) -> bool:
    return any(cell in files for cell in _file_names(log, name))


def _file_names(log: CsvLog, name: str) -> list[str]:
    """The file names in a column, without folders, also those of Windows."""
    column = log.index_of(name, "--col-index")
    return [re.split(r"[/\\]", cells[column].strip())[-1] for _, cells in log.rows]


def _frames_by_name(
    log: CsvLog, name: str, frames: AcquisitionNumbers, files: Sequence[str]
) -> tuple[CsvLog, Ints]:
    """The rows that name a frame's file, and the number of that frame."""
    number_of = dict(zip(files, frames.values.tolist(), strict=True))
    named = _file_names(log, name)
    others = [cell for cell in named if cell not in number_of]
    if others:
        shown = ", ".join(others[:3]) + (", …" if others[3:] else "")
        warn(f"{_rows(len(others))} no frame: left out ({shown})", log.path)
    rows = tuple(row for row, cell in zip(log.rows, named, strict=True) if cell in number_of)
    numbers = [number_of[cell] for cell in named if cell in number_of]
    return replace(log, rows=rows), np.array(numbers, np.int64)


def _frame_of_each_row(
    log: CsvLog, name: str, first_index: int | None, frames: AcquisitionNumbers
) -> Ints:
    stored = log.numbers(name, "--col-index")
    wrong = np.flatnonzero(~(np.rint(stored) == stored) | (stored < (first_index or 0)))
    if wrong.size:
        raise FileError(
            f"line {log.rows[wrong[0]][0]}: Expected a frame's number. Got {stored[wrong[0]]:g}",
            "correct it, or set --first-index",
            log.path,
        )
    column, given = f"column {name!r}", first_index is not None
    rows = AcquisitionNumbers(whole(stored, column), column, first_index, declared=given)
    first = (first_index or 0) if frames.counted else 0
    if frames.counted:
        frames = AcquisitionNumbers.counting(len(frames.values), first_index)
    remedy = "leave the rows of lost frames out of the log"
    if first_index is None:
        remedy = "say what the log calls the first frame by --first-index"
    with naming(log.path):
        number, assumed = frame_of(frames, rows, remedy)
    if assumed:
        warn(assumed, log.path)
    return number - first


def _rows(count: int) -> str:
    return "1 row has" if count == 1 else f"{count} rows have"


def _warn_of_left_out(log: CsvLog, number: Ints, frames: AcquisitionNumbers) -> None:
    beyond, lacking = np.setdiff1d(number, frames.values), np.setdiff1d(frames.values, number)
    if beyond.size:
        warn(f"{_rows(beyond.size)} no frame: left out (frame {_some(beyond)})", log.path)
    if lacking.size:
        left_out = f"{lacking.size} of {len(frames.values)} frames"
        warn(f"{left_out} have no row: left out ({_some(lacking)})", log.path)


def _counted(frames: AcquisitionNumbers) -> str:
    return BY_ORDER if frames.counted else BY_NAME


def by_time(
    log: CsvLog, names: LogColumns, frame_times_s: Floats, frames: AcquisitionNumbers
) -> Sidecar:
    """Positions from a log with time stamps, interpolated linearly to those of the frames.

    Raises
    ------
    ScanError
        A frame lies more than half a step (the median one) before or after the log.
    """
    refuse_repeats(frames, "")
    times, quantities = log.times_s(names.columns["time"], "--col-time"), names.quantities(log)
    known = _rows_with_position(log, quantities)
    order = known[_in_order(log, times[known])]
    times = times[order]
    if len(times) < 2:
        raise ScanError(
            "Expected two time stamps or more. Got one", "give a log with more rows", log.path
        )
    step = float(np.median(np.diff(times)))
    early, late = times[0] - frame_times_s, frame_times_s - times[-1]
    outside = np.flatnonzero(np.maximum(early, late) > step / 2)
    if outside.size:
        worst = float(np.maximum(early, late)[outside].max())
        raise ScanError(
            f"{outside.size} of {len(frame_times_s)} frames ({_some(outside)}) lie up to "
            f"{worst:.6g} s outside the log, more than half its step of {step:.4g} s",
            "give a log of the whole scan, by the same clock as the frames",
            log.path,
        )
    _warn_of_gaps(log, times, frame_times_s, step)
    at_frames = {k: _interpolate(frame_times_s, times, v[order]) for k, v in quantities.items()}
    return Sidecar(
        frames.values,
        at_frames,
        _counted(frames),
        names.ignored(log, names.columns["time"], quantities),
    )


def _interpolate(at: Floats, times: Floats, values: Floats) -> Floats:
    """Linear interpolation between the known values, and extrapolation beyond the ends."""
    there = np.isfinite(values)
    times, values = times[there], values[there]
    if len(values) < 2:
        return np.full(len(at), values[0] if len(values) else np.nan)
    left = np.clip(np.searchsorted(times, at, side="right") - 1, 0, len(times) - 2)
    slope = (values[left + 1] - values[left]) / (times[left + 1] - times[left])
    return np.asarray(values[left] + slope * (at - times[left]), np.float64)


def _warn_of_gaps(log: CsvLog, times: Floats, at: Floats, step: float) -> None:
    left = np.clip(np.searchsorted(times, at, side="right") - 1, 0, len(times) - 2)
    wide = np.diff(times)[left] > LONG_GAP * step
    inside = np.flatnonzero(wide & (at > times[left]) & (at < times[left + 1]))
    if inside.size:
        warn(
            f"{inside.size} frames ({_some(inside)}) lie in gaps of more than {LONG_GAP} steps of "
            f"{step:.4g} s: their positions are interpolated across them",
            log.path,
        )


def _in_order(log: CsvLog, times: Floats) -> NDArray[np.intp]:
    """Rows in the order of their times; the last one of those with equal times."""
    unique, backwards = np.unique(times[::-1], return_index=True)
    repeated = len(times) - len(unique)
    if repeated:
        warn(f"{repeated} rows repeat the time of another: the last one counts", log.path)
    return np.asarray(len(times) - 1 - backwards, np.intp)


def _some(numbers: NDArray[np.integer[Any]]) -> str:
    text = ", ".join(str(n) for n in numbers[:6].tolist())
    return f"{text}, …" if len(numbers) > 6 else text


DATE_TIME = 306
"""Tag of a page's date and time, ``YYYY:MM:DD HH:MM:SS`` (TIFF 6.0, section 8)."""

REMEDY = "give the frames' time stamps with --frame-times"


def frame_times_s(frames: TiffFrames, file: Path | None, column: str) -> Floats:
    """(n,) time of each frame in seconds, from ``file`` or from the DateTime tags.

    Raises
    ------
    MissingDataError
        A page has no such tag.
    ScanError
        The number of times is not that of the frames, or frames have the same time.
    """
    if file is None:
        return _of_tags(frames)
    times = _of_file(file, column)
    if len(times) != frames.shape[0]:
        raise ScanError(
            f"Expected a time stamp of each of {frames.shape[0]} frames. Got {len(times)}",
            "give one for each frame",
            file,
        )
    return times


def _of_file(path: Path, column: str) -> Floats:
    """Times in a ``.npy``, or in the CSV column of this name, or in the only column."""
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
