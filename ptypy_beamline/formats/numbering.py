"""Acquisition numbers of frames and of position readings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats, Ints
from ..errors import ScanError

LIMIT = 2**62
"""Numbers from here on are no acquisition numbers, and their differences overflow."""

ORDER = ", or count frames in order by --path frame_index=0 (paths.frame_index)"


@dataclass(frozen=True, eq=False)
class Numbers:
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
    def counting(cls, count: int, first: int | None = None, columns: int = 0) -> Numbers:
        """One after another; ``first`` is what the user says the first one is."""
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
        One is not, or is too large.
    """
    real = np.asarray(values, np.float64)
    with np.errstate(invalid="ignore"):
        wrong = ~np.isfinite(real) | (np.rint(real) != real) | (np.abs(real) >= LIMIT)
    if wrong.any():
        entry = int(np.argmax(wrong))
        kind = "below 2^62 " if np.isfinite(real[entry]) and abs(real[entry]) >= LIMIT else ""
        raise ScanError(
            f"Expected whole acquisition numbers {kind}in {name}. Got {values[entry]} "
            f"at entry {entry}",
            "correct it, or name another dataset",
        )
    return values.astype(np.int64)


def refuse_repeats(frames: Numbers, in_order: str = ORDER) -> None:
    """Make sure that no two frames have one number.

    Raises
    ------
    ScanError
        Some have; ``in_order``: how to say that numbers do not count.
    """
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
    """Mean of the finite ``readings`` (r,) or (r, 2) at each place; NaN where there is none."""
    columns = readings.reshape(len(readings), -1)
    finite = np.isfinite(columns).all(1)
    length = int(at.max()) + 1 if len(at) else 0
    count = np.bincount(at[finite], minlength=length)
    total = [np.bincount(at[finite], column[finite], length) for column in columns.T]
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.stack([np.where(count, one / count, np.nan) for one in total], axis=-1)
    return np.asarray(means.reshape(length, *readings.shape[1:]), np.float64)
