"""Raw numbers that stand for "no count", told from a few frames, alike for every format.

Detectors write a number that is no count where there is no pixel, where a pixel is masked, and
where one overflowed: Dectris Eiger the largest of its type (SIMPLON API 1.8, "pixel_mask"),
Pilatus −1 and −2. Files that were converted keep it, in types that are wider.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from ..arrays import Bools
from ..errors import BeamlineError
from ..scan import Frames, Scan, Window
from .sample import written_sample

LOWEST = -float(np.finfo(np.float64).max)
"""Below every number but −inf."""

FEW, FEW_BYTES = 8, 2**28
"""Frames that are looked at, at most; two at least, however large they are."""

PILATUS = (-1, -2)
"""A pixel without a count, and a bad one."""

ALWAYS_BITS = 32
"""No detector counts up to the largest number of so many bits."""

NARROWER = (2**16 - 1, 2**31 - 1, 2**32 - 1)
"""Largest numbers of detectors whose files were converted to wider types."""

BEYOND_COUNTS = 2**32 - 1
"""No detector counts so far."""

HEADROOM = 16
"""Frames that are not looked at are brighter than those that are, at most so many times."""

HALF = 0.5
"""Where all negative numbers are −1 and −2, which noise makes at other pixels each time."""

STATIC = 0.9
"""Share of the pixels with a negative number that have the same one in every frame."""

SIDE = 8
"""Pixels without a count, of a number that may be a count, fill at least such a square."""


@dataclass(frozen=True)
class Counting:
    """Raw numbers from ``lowest`` on and below ``no_count`` are counts.

    But for those of the pixels ``never`` (ny, nx), which are marked by −1 or −2 in frames whose
    negative numbers are counts; None = there are no such pixels.
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


def counting(scan: Scan, so_far: int | None = None) -> Counting:
    """Which raw numbers of a scan are counts.

    The largest number of a type of 32 bits or more never is, in a wider type neither, where the
    frames do not come near it. A smaller largest number, or one that was kept in a wider type, may
    be a saturated count: it is none where it fills rows, columns or squares, as between modules.
    Negative integers are no counts where a scan has none, or only −1 and −2, or only ones that fill
    rows and columns, at the same pixels in every frame. Beside others that come and go, −1 and −2
    are none at the pixels that always have them, where these fill rows, columns or squares.

    Parameters
    ----------
    so_far
        Frames that are there, of a scan that grows; None = all.
    """
    dtype, known = scan.frames.dtype, np.inf if scan.no_count is None else scan.no_count
    whole = dtype.kind in "iu"
    if whole and dtype.itemsize * 8 >= ALWAYS_BITS:
        known = min(known, float(np.iinfo(dtype).max))
    maybe = tuple(_maybe(dtype, known))
    if not maybe and dtype.kind not in "if":
        return Counting(no_count=known)
    seen = _Seen(dtype, maybe, known)
    for frame in _few(scan.frames, so_far):
        seen.add(frame)
    lowest = seen.lowest(whole)
    never = seen.marked() if lowest == LOWEST else None
    return Counting(lowest, min(known, seen.no_count()), never)


def _maybe(dtype: np.dtype[Any], known: float) -> Iterator[float]:
    """Numbers, as this type has them, that may stand for no count."""
    if dtype.kind == "f" and dtype.itemsize >= 4:
        yield from (float(dtype.type(number)) for number in NARROWER)
    if dtype.kind in "iu" and dtype.itemsize * 8 < ALWAYS_BITS:
        yield from (n for n in (float(np.iinfo(dtype).max),) if n < known)
    elif dtype.kind in "iu":
        yield from (float(n) for n in NARROWER if n < known)


def _few(frames: Frames, so_far: int | None) -> Iterator[NDArray[Any]]:
    """A few whole frames from all over the scan; those that cannot be read are left to loading."""
    _, ny, nx = frames.shape
    most = max(2, min(FEW, FEW_BYTES // max(1, ny * nx * frames.dtype.itemsize)))
    for index in written_sample(frames, most, so_far):
        try:
            yield frames.read([index], Window.full((ny, nx)))[0]
        except BeamlineError:
            continue


class _Seen:
    """What a few frames have in common.

    Parameters
    ----------
    dtype
        Of the frames.
    maybe
        Large numbers that may stand for no count.
    known
        Numbers from here on are none.
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
        """Look at one frame (ny, nx)."""
        self._top = max(self._top, self._highest(frame))
        for number, before in self._always.items():
            self._always[number] = (frame == number) & before
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
        """Of the numbers that may be counts."""
        if frame.dtype.kind == "f":
            return frame.max(initial=0, where=np.isfinite(frame))
        top = frame.max(initial=0)
        if self._known is None or top < self._known:
            return top
        return frame.max(initial=0, where=frame < self._known)

    def no_count(self) -> float:
        """The lowest number from which on there are no counts; inf where there is none."""
        for number, always in self._always.items():
            beyond = float(number) >= BEYOND_COUNTS
            if self._top == number and (beyond or fills(always)):
                return float(number)
            if beyond and self._top <= float(number) / HEADROOM:
                return float(number)
        return np.inf

    def lowest(self, whole: bool) -> float:
        """0 where negative numbers are no counts."""
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
        """Pixels that are −1 or −2 in every frame, where they fill what cannot be counts."""
        if self._ever is None or self._frames < 2:
            return None
        marks = self._same & np.isin(self._first, PILATUS)
        return marks if fills(marks) else None


def fills(at: Bools) -> bool:
    """Whether some pixels fill whole rows or columns, or a square, but not everything."""
    if not at.any() or at.all():
        return False
    if at.all(0).any() or at.all(1).any():
        return True
    labels, _ = scipy.ndimage.label(at)
    boxes = [
        box
        for box in scipy.ndimage.find_objects(labels)
        if min(part.stop - part.start for part in box) >= SIDE
    ]
    return any(at[box].all() for box in boxes)
