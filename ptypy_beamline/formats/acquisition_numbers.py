"""Acquisition numbers of frames and of position readings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats, Ints
from ..errors import ScanError
from ..quantities import path_remedy
from .hdf5_source import Found, Hdf5Source
from .stored_values import as_stored

if TYPE_CHECKING:
    from .hdf5 import Hdf5Format

LIMIT = 2**62
"""Numbers from here on are no acquisition numbers, and their differences overflow."""

ORDER = ", or count frames in order by --path frame_index=0 (paths.frame_index)"


@dataclass(frozen=True, eq=False)
class AcquisitionNumbers:
    """Acquisition numbers of frames, or of position readings.

    Attributes
    ----------
    values
        (n,) whole numbers.
    name
        What a message calls them.
    first
        Number of the first acquisition, where that is known.
    assumed
        ``first`` is only what such a counter usually begins with.
    declared
        The user named them: taken literally where several readings of them are as good.
    literal
        Of frames: the positions are numbered by these very numbers.
    counted
        Nothing is stored: they are counted one after another.
    per_step
        Frames that a number of the source stands for: pages of a file whose name is numbered, or
        a row of files whose names number rows and columns.
    columns
        In such a row, as far as names have them; of positions, of their raster. 0 = there are none.
    """

    values: Ints
    name: str
    first: int | None = None
    assumed: bool = False
    declared: bool = False
    literal: bool = False
    counted: bool = False
    per_step: int = 1
    columns: int = 0

    @classmethod
    def counting(cls, count: int, first: int | None = None, columns: int = 0) -> AcquisitionNumbers:
        """Consecutive numbers; ``first`` is the user's number of the first one."""
        values, declared = np.arange(count) + (first or 0), first is not None
        return cls(values, "in order", first, declared=declared, counted=True, columns=columns)

    @property
    def range(self) -> str:
        """For messages, as ``1 to 24``."""
        return f"{self.values.min()} to {self.values.max()}" if len(self.values) else "none"

    def listed(self, what: str) -> str:
        """For messages, as ``frames numbered 1 to 24 (image_nr)``."""
        if self.counted and not self.declared:
            return f"{len(self.values)} {what} without numbers"
        return f"{what} numbered {self.range} ({self.name})"


def is_number(given: str) -> bool:
    """Whether a path of ``frame_index`` or ``position_index`` is the first number itself."""
    return given.strip().lstrip("-").isdigit()


def whole(values: NDArray[Any], name: str) -> Ints:
    """Stored numbers as whole ones.

    Raises
    ------
    ScanError
        One is not whole, or is too large.
    """
    real = np.asarray(values, np.float64)
    with np.errstate(invalid="ignore"):
        wrong = ~np.isfinite(real) | (np.rint(real) != real) | (np.abs(real) >= LIMIT)
    if wrong.any():
        entry = int(np.argmax(wrong))
        raise ScanError(
            f"Expected whole acquisition numbers below 2^62 in {name}. Got {values[entry]} at "
            f"entry {entry}",
            "correct it, or name another dataset",
        )
    return values.astype(np.int64)


def refuse_repeats(frames: AcquisitionNumbers, in_order: str = ORDER) -> None:
    """Refuse frames that share a number; ``in_order``: how to set that numbers are ignored."""
    values, counts = np.unique(frames.values, return_counts=True)
    repeated = int((counts > 1).sum())
    if repeated:
        raise ScanError(
            f"Expected one frame of each acquisition number in {frames.name}. Got "
            f"{counts.max()} of number {values[np.argmax(counts)]}, and {repeated} such "
            f"number{'s' if repeated > 1 else ''}",
            f"leave out the copies{in_order}",
        )


def average(at: Ints, readings: Floats) -> Floats:
    """Mean of the finite ``readings`` (r,) or (r, 2) at each index; NaN where there is none."""
    columns = readings.reshape(len(readings), -1)
    finite = np.isfinite(columns).all(1)
    length = int(at.max()) + 1 if len(at) else 0
    count = np.bincount(at[finite], minlength=length)
    total = [np.bincount(at[finite], column[finite], length) for column in columns.T]
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.stack([np.where(count, axis / count, np.nan) for axis in total], axis=-1)
    return np.asarray(means.reshape(length, *readings.shape[1:]), np.float64)


def count_written(values: NDArray[Any]) -> int:
    """How many of the stored numbers were written; zeros at the end are the padding of a chunk."""
    written = np.flatnonzero(np.isfinite(values) & (values != 0))
    return int(written.max(initial=-1)) + 1


def frame_numbers(
    source: Hdf5Source,
    table: Hdf5Format,
    external: AcquisitionNumbers | None,
    count: int,
    lacking: bool,
) -> AcquisitionNumbers | None:
    """Acquisition numbers of the frames: the user's, else the format's; None if there are none.

    ``external``: of frames that are not in this file. ``lacking``: there are fewer frames than
    positions.
    """
    given = source.paths.get("frame_index", "")
    if is_number(given):
        return AcquisitionNumbers.counting(count, int(given))
    found = source.find("frame_index", table.frame_index)
    if found is None:
        return external
    name, values = found.name.rsplit("/", 1)[-1], as_stored(found).ravel()
    if given:
        _check_count(values, count, "frame", found)
    elif count_written(values) < count:
        return None
    first = table.first_number
    values = whole(values[:count], name)
    numbers = AcquisitionNumbers(
        values, name, first, assumed=first is not None, declared=bool(given)
    )
    return numbers if given else _unless_restarted(source, numbers, lacking)


def _unless_restarted(
    source: Hdf5Source, numbers: AcquisitionNumbers, lacking: bool
) -> AcquisitionNumbers | None:
    """A counter that starts again, as with each row, is no number of the scan's.

    One that has each number once does not: its frames were written in another order, which is
    refused while a scan is followed, as are gaps in a counter that starts again.
    """
    steps = np.diff(numbers.values)
    back = np.flatnonzero(steps < 0)
    once = len(np.unique(numbers.values)) == len(numbers.values)
    if back.size and once and source.settings.growing:
        raise ScanError(
            f"{numbers.name} goes back from {numbers.values[back[0]]} to "
            f"{numbers.values[back[0] + 1]} at frame {back[0] + 1}, but a scan that is followed is "
            "loaded in the order of its numbers",
            "load it when it has ended, without live.timeout_s (--live)",
        )
    if not back.size or once:
        return numbers
    rows = np.split(numbers.values, back + 1)
    uneven = any(row[0] != rows[0][0] for row in rows) or len({len(row) for row in rows[:-1]}) > 1
    if (steps[steps >= 0] != 1).any() or (uneven and lacking):
        raise ScanError(
            f"{numbers.name} starts again at frame {back[0] + 1} and has gaps: it does not show "
            "which position a frame belongs to",
            "give the number of each frame by --path frame_index=OTHER.h5::/PATH "
            "(paths.frame_index), or count the frames in order by --path frame_index=0",
        )
    source.notes.append(f"{numbers.name} starts again at frame {back[0] + 1}: it is not used")
    return None


def position_numbers(
    source: Hdf5Source, table: Hdf5Format, count: int
) -> AcquisitionNumbers | None:
    """Acquisition numbers of ``count`` readings of positions; None if there are none."""
    given = source.paths.get("position_index", "")
    if is_number(given):
        return AcquisitionNumbers.counting(count, int(given))
    found = source.find("position_index", table.position_index)
    if found is None:
        return None
    values = whole(as_stored(found).ravel(), found.name)
    _check_count(values, count, "position", found)
    return AcquisitionNumbers(values, found.name.rsplit("/", 1)[-1], declared=bool(given))


def _check_count(values: NDArray[Any], count: int, what: str, found: Found) -> None:
    if len(values) != count:
        raise ScanError(
            f"Expected an acquisition number of each of {count} {what}s in {found.name}. "
            f"Got {len(values)}",
            f"set {path_remedy(f'{what}_index')}",
            found.file,
        )
