"""Frames made of other frames as they are read: joined, squared, centred."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bools, Float32s
from ..errors import FileError, ScanError
from ..scan import Frames, Gaps, Indices, Readiness, Window, gaps, written


@dataclass(frozen=True)
class Absent:
    """Frames of a file that cannot be read, which keep their place in the scan.

    Attributes
    ----------
    first
        Number of the first one in the scan.
    shape
        (n, ny, nx).
    dtype
        Of a pixel.
    why
        What is wrong with the file.
    """

    first: int
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    why: FileError

    @property
    def range(self) -> str:
        """Their numbers, as ``reject`` takes them."""
        last = self.first + self.shape[0] - 1
        return f"{self.first}-{last}" if last > self.first else f"{last}"

    def read(self, indices: Indices, window: Window) -> NDArray[Any]:
        """Nothing.

        Raises
        ------
        FileError
            A frame is asked for.
        """
        if len(indices):
            raise FileError(
                f"{self.why.problem}, and frames {self.range} are in it",
                f"{self.why.remedy}, or leave these frames out by reject='{self.range}' "
                f"(--reject {self.range})",
                self.why.file,
            )
        return np.empty((0, *window.shape), self.dtype)

    def ready(self) -> Readiness:
        """All: no more will come."""
        return Readiness(self.shape[0])


@dataclass(frozen=True)
class Joined:
    """Stacks of one frame shape and dtype that follow each other.

    Parameters
    ----------
    parts
        At least one stack.

    Raises
    ------
    ScanError
        The stacks do not fit together.
    """

    parts: tuple[Frames, ...]

    def __post_init__(self) -> None:
        kinds = {(part.shape[1:], str(part.dtype)) for part in self.parts}
        if len(kinds) != 1:
            found = ", ".join(f"{shape} {dtype}" for shape, dtype in sorted(kinds)) or "none"
            raise ScanError(
                f"Expected parts of one frame shape and dtype. Got {found}",
                "name one part by paths.frames (--path frames=PATH)",
            )

    @cached_property
    def _ends(self) -> NDArray[np.intp]:
        """Where each part ends in the whole."""
        return np.cumsum([part.shape[0] for part in self.parts])

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, ny, nx) of the whole."""
        _, ny, nx = self.parts[0].shape
        return int(self._ends[-1]), ny, nx

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of a pixel."""
        return self.parts[0].dtype

    def read(self, indices: Indices, window: Window) -> NDArray[Any]:
        """Pixels of ``window``, each part asked once.

        Raises
        ------
        ScanError
            An index lies outside the whole.
        """
        wanted, total = np.asarray(indices, np.intp), self.shape[0]
        if wanted.size and not 0 <= wanted.min() <= wanted.max() < total:
            raise ScanError(
                f"Expected frames 0 to {total - 1}. Got {wanted.min()} to {wanted.max()}"
            )
        out = np.empty((len(wanted), *window.shape), self.dtype)
        owner = np.searchsorted(self._ends, wanted, side="right")
        for number in np.unique(owner):
            first = self._ends[number] - self.parts[number].shape[0]
            mine = owner == number
            out[mine] = self.parts[number].read(wanted[mine] - first, window)
        return out

    def written(self) -> Bools | None:
        """(n,) which frames were ever written; None = all, or nobody can tell."""
        each = [(written(part), part.shape[0]) for part in self.parts]
        if all(there is None for there, _ in each):
            return None
        flags = [np.ones(n, np.bool_) if there is None else there for there, n in each]
        return np.concatenate(flags)

    def gaps(self) -> Gaps | None:
        """Pixels that were not written in frames that were; None = there are none."""
        there = [part for part in self.parts if not isinstance(part, Absent)]
        found: Gaps | None = None
        for number, each in enumerate(map(gaps, there)):
            none = np.zeros(self.shape[1:], np.bool_)
            always, sometimes = each or (none, none)
            if found is not None:
                found = Gaps(found.always & always, found.sometimes | sometimes)
            elif each is not None:
                found = Gaps(none if number else always, sometimes)
        return found

    def absent(self) -> Bools | None:
        """(n,) which frames are in files that cannot be read; None = none of them."""
        if not any(isinstance(part, Absent) for part in self.parts):
            return None
        lengths = [part.shape[0] for part in self.parts]
        return np.repeat([isinstance(part, Absent) for part in self.parts], lengths)

    def ready(self) -> Readiness:
        """Frames up to the first part that is not complete."""
        count, ready = 0, Readiness(0)
        for part in self.parts:
            ready = part.ready()
            count += ready.frames
            if not ready.complete:
                break
        return replace(ready, frames=count)


@dataclass(frozen=True)
class Derived:
    """Frames made of ``frames`` one by one, as they are read."""

    frames: Frames

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, ny, nx)."""
        return self.frames.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of a pixel."""
        return self.frames.dtype

    def ready(self) -> Readiness:
        """As the frames they are made of."""
        return self.frames.ready()

    def continues(self, earlier: Derived) -> bool:
        """Whether those of ``earlier`` are the first ones still, where the stack can tell."""
        known = getattr(self.frames, "continues", None)
        return known is None or bool(known(earlier.frames))


@dataclass(frozen=True)
class Intensity(Derived):
    """Amplitudes or waves as intensity, |a|², in float32; or intensity kept as complex, a + 0j."""

    squared: bool = True

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32."""
        return np.dtype(np.float32)

    def read(self, indices: Indices, window: Window) -> Float32s:
        """Intensity in ``window``."""
        stored = self.frames.read(indices, window)
        wide = stored.astype(np.promote_types(stored.dtype, np.float32), copy=False)
        if not self.squared:
            return np.asarray(wide.real, np.float32)
        total = wide.real**2 + wide.imag**2 if wide.dtype.kind == "c" else wide**2
        return np.asarray(total, np.float32)


def as_counts(frames: Frames, stored_as: str) -> Frames:
    """Frames of counts, where a file keeps ``intensity``, ``magnitude`` or ``wave``."""
    if stored_as != "intensity" or frames.dtype.kind == "c":
        return Intensity(frames, stored_as != "intensity")
    return frames


@dataclass(frozen=True)
class Centred(Derived):
    """Frames stored with zero frequency at pixel (0, 0), presented with it at (ny//2, nx//2).

    As ``numpy.fft.fftshift``: output row i is stored row (i − ny//2) mod ny. A window therefore
    lies in at most four rectangles of the stored frame. A small one is read from those; for a large
    one the frame is decoded once, not four times.
    """

    def read(self, indices: Indices, window: Window) -> NDArray[Any]:
        """Pixels of ``window`` of the centred frames."""
        _, ny, nx = self.shape
        out = np.empty((len(indices), *window.shape), self.dtype)
        pieces = [
            (rows, columns, Window(top, left, rows.stop - rows.start, columns.stop - columns.start))
            for top, rows in _stored_runs(window.top, window.height, ny)
            for left, columns in _stored_runs(window.left, window.width, nx)
        ]
        if len(pieces) > 1 and window.height * window.width * LARGE > ny * nx:
            whole = self.frames.read(indices, Window.full((ny, nx)))
            for rows, columns, place in pieces:
                out[:, rows, columns] = whole[:, place.slices[0], place.slices[1]]
        else:
            for rows, columns, place in pieces:
                out[:, rows, columns] = self.frames.read(indices, place)
        return out


LARGE = 8
"""A window of more than this part of the frame is cut from whole frames."""


def _stored_runs(start: int, length: int, n: int) -> Sequence[tuple[int, slice]]:
    """Runs of an axis of ``n``: (first stored index, where the run goes in the window)."""
    first = (start - n // 2) % n
    until = min(length, n - first)
    runs = [(first, slice(0, until)), (0, slice(until, length))]
    return [run for run in runs if run[1].stop > run[1].start]
