"""Raw numbers that mark pixels without a count, recognised in a few frames of any format.

Detectors write such a number in gaps between modules, for masked pixels and for overflows: Dectris
Eiger the largest of the data type (SIMPLON API 1.8, "pixel_mask"), Pilatus −1 and −2. Converted
files keep it, in wider types.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from ..arrays import Bools
from ..errors import BeamlineError, MissingDataError
from ..parallel import available_threads, pool
from ..scan import Frames, Scan, Window
from ..settings import Settings
from .sample import written_sample

LOWEST = -float(np.finfo(np.float64).max)
"""Below every number but −inf."""

FEW, FEWEST, FEW_BYTES = 8, 4, 2**25
"""Most and fewest frames examined, and bytes beyond which only the fewest are."""

PILATUS = (-1, -2)
"""Marks of a gap, and of a bad pixel."""

ALWAYS_BITS = 32
"""No detector counts up to the largest number of this many bits."""

NARROWER = (2**16 - 1, 2**31 - 1, 2**32 - 1)
"""Largest numbers of detectors whose files were converted to wider types."""

BEYOND_COUNTS = 2**32 - 1
"""No detector counts this far."""

HEADROOM = 16
"""Frames that are not examined are at most this many times brighter than those that are."""

STATIC = 0.9
"""Least share of the pixels with negative numbers that have the same one in every frame."""

HALF = 0.5
"""The same if all negative numbers are −1 and −2; noise produces these at changing pixels."""

SIDE = 8
"""Side of the smallest square that marked pixels fill, if their number might be a count."""


@dataclass(frozen=True)
class Counting:
    """Raw numbers from ``lowest`` up to, but not including, ``no_count`` are counts.

    ``never`` (ny, nx) are pixels that are marked by −1 or −2 in frames where other negative numbers
    are counts; None = there are none.
    """

    lowest: float = LOWEST
    no_count: float = np.inf
    never: Bools | None = field(default=None, repr=False, compare=False)

    def lowest_of(self, dtype: np.dtype[Any]) -> float:
        """``lowest`` as frames of this type hold it."""
        return max(self.lowest, float(np.finfo(dtype).min)) if dtype.kind == "f" else self.lowest

    def __str__(self) -> str:
        """``4294967295 and above``, ``below 0``; empty where every number is a count."""
        words = [f"below {self.lowest:.0f}"] if self.lowest > LOWEST else []
        words += [f"{self.no_count:.0f} and above"] if np.isfinite(self.no_count) else []
        words += [] if self.never is None else [f"-1 and -2 of {self.never.sum()} pixels"]
        return ", ".join(words)


ALL = Counting()
"""Every number is a count."""


def counting(scan: Scan, few: Sequence[NDArray[Any]] | None = None) -> Counting:
    """Which raw numbers of a scan are counts.

    The largest number of a type of 32 bits or more is never a count, nor is it in a wider type if
    the frames do not come near it. The largest number of a narrower type, also if kept in a wider
    one, may be a saturated count: it marks pixels without a count where these fill rows, columns or
    squares, as between modules.
    Negative integers are not counts if a scan has none, or only −1 and −2, or only ones that fill
    rows and columns, at the same pixels in every frame. If other negative numbers come and go, −1
    and −2 mark the pixels that always have them, where these fill rows, columns or squares.

    Parameters
    ----------
    few
        Frames to examine; None = :func:`few_frames`.
    """
    dtype, known = scan.frames.dtype, np.inf if scan.no_count is None else scan.no_count
    whole = dtype.kind in "iu"
    if whole and dtype.itemsize * 8 >= ALWAYS_BITS:
        known = min(known, float(np.iinfo(dtype).max))
    maybe = tuple(_maybe(dtype, known))
    if not maybe and dtype.kind not in "if":
        return Counting(no_count=known)
    summary = _Summary(dtype, maybe, known)
    for frame in few_frames(scan.frames) if few is None else few:
        summary.add(frame)
    lowest = summary.lowest(whole)
    never = summary.marked() if lowest == LOWEST else None
    return Counting(lowest, min(known, summary.no_count()), never)


def _maybe(dtype: np.dtype[Any], known: float) -> Iterator[float]:
    """Numbers, in this type, that may mark pixels without a count."""
    if dtype.kind == "f" and dtype.itemsize >= 4:
        yield from (float(dtype.type(number)) for number in NARROWER)
    elif dtype.kind in "iu":
        own = dtype.itemsize * 8 < ALWAYS_BITS
        candidates = (np.iinfo(dtype).max,) if own else NARROWER
        yield from (float(number) for number in candidates if number < known)


def few_frames(frames: Frames, so_far: int | None = None) -> list[NDArray[Any]]:
    """A few whole frames spread over the scan; loading, not this, reports unreadable ones.

    Parameters
    ----------
    so_far
        Frames available, of a growing scan; None = all.
    """
    whole = Window.full(frames.shape[1:])
    most = max(FEWEST, min(FEW, FEW_BYTES // max(1, whole.pixels * frames.dtype.itemsize)))

    def read(index: int) -> NDArray[Any] | None:
        try:
            stack = frames.read([index], whole)
        except BeamlineError:
            return None
        return np.asarray(stack[0])

    found = pool(available_threads()).map(read, written_sample(frames, most, so_far).tolist())
    return [frame for frame in found if frame is not None]


class _Summary:
    """Candidate marks in a few frames.

    Parameters
    ----------
    dtype
        Of the frames.
    maybe
        Large numbers that may mark pixels without a count.
    known
        Numbers from here on are known not to be counts.
    """

    def __init__(self, dtype: np.dtype[Any], maybe: tuple[float, ...], known: float) -> None:
        self._signed = dtype.kind != "u"
        self._known: int | None = None
        if dtype.kind in "iu" and known <= float(np.iinfo(dtype).max):
            self._known = min(int(known), np.iinfo(dtype).max)
        self._top: Any = -np.inf
        self._always: dict[Any, Any] = {dtype.type(number): True for number in maybe}
        self._ever: Bools | None = None
        self._same: Bools
        self._first: NDArray[Any]
        self._frames = 0
        self._marks = True  # all negative numbers are those of Pilatus

    def add(self, frame: NDArray[Any]) -> None:
        """Include a frame (ny, nx)."""
        highest = self._highest(frame)
        self._top = max(self._top, highest)
        for number, before in self._always.items():
            self._always[number] = (frame == number) & before if number <= highest else np.False_
        self._frames += 1
        if not self._signed:
            return
        negative = frame < 0
        self._marks &= bool(np.isin(frame[negative], PILATUS).all())
        if self._ever is None:
            self._ever, self._same, self._first = negative, negative, frame
        else:
            self._ever = self._ever | negative
            self._same = self._same & (frame == self._first)

    def _highest(self, frame: NDArray[Any]) -> Any:
        """The largest number that may be a count."""
        if frame.dtype.kind == "f":
            return frame.max(initial=0, where=np.isfinite(frame))
        top = frame.max(initial=0)
        if self._known is None or top < self._known:
            return top
        return frame.max(initial=0, where=frame < self._known)

    def no_count(self) -> float:
        """The lowest number from which on there are no counts; inf = none."""
        for number, always in self._always.items():
            beyond = float(number) >= BEYOND_COUNTS
            if self._top == number and (beyond or fills(always)):
                return float(number)
            if beyond and self._top <= float(number) / HEADROOM:
                return float(number)
        return np.inf

    def lowest(self, whole: bool) -> float:
        """The lowest count: 0 if negative numbers are not counts."""
        if self._ever is None:
            return LOWEST
        ever = int(self._ever.sum())
        if not ever:
            return 0.0 if whole else LOWEST
        static = int(self._same.sum())
        if self._marks and static >= HALF * ever and self._frames > 1:
            return 0.0
        if static < STATIC * ever:
            return LOWEST
        of_pilatus = bool(np.isin(self._first[self._same], PILATUS).all())
        return 0.0 if (whole or of_pilatus) and fills(self._same) else LOWEST

    def marked(self) -> Bools | None:
        """Pixels that are −1 or −2 in every frame, if they fill rows, columns or squares."""
        if self._ever is None or self._frames < 2:
            return None
        marks = self._same & np.isin(self._first, PILATUS)
        return marks if fills(marks) else None


def fills(at: Bools) -> bool:
    """Whether pixels fill whole rows or columns, or a square, but not the whole frame."""
    if not at.any() or at.all():
        return False
    if at.all(0).any() or at.all(1).any():
        return True
    labels, _ = scipy.ndimage.label(at)
    parts = (at[box] for box in scipy.ndimage.find_objects(labels))
    return any(min(part.shape) >= SIDE and part.all() for part in parts)


def count_limit(scan: Scan, settings: Settings, counts: Counting) -> float:
    """Raw counts at or above this are bad in that exposure; inf = no limit.

    Raises
    ------
    MissingDataError
        ``saturation='file'`` and the file has none.
    """
    given = settings.saturation
    if given == "file":
        if scan.saturation is None:
            raise MissingDataError(
                "no saturation value is recorded",
                "set saturation (--sat) to the detector's count limit",
                scan.source,
            )
        given = scan.saturation
    return counts.no_count if given is None else min(float(given), counts.no_count)
