"""Frames that are made from those of another stack as they are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bools, Float32s, Floats, Ints
from ..scan import (
    Frames,
    FrameStack,
    Gaps,
    Indices,
    Readiness,
    Window,
    absent,
    continues,
    gaps,
    stored_in,
    written,
)


@dataclass(frozen=True, eq=False)
class WrappedFrames(FrameStack):
    """The frames of another stack; subclasses override what they change.

    Attributes
    ----------
    frames
        The other stack.
    """

    frames: Frames

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, ny, nx)."""
        return self.frames.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of a pixel."""
        return self.frames.dtype

    def read(self, indices: Indices, window: Window) -> NDArray[Any]:
        """Pixels of ``window`` (inside the frame), (len(indices), height, width)."""
        return self.frames.read(indices, window)

    def ready(self) -> Readiness:
        """That of the other stack."""
        return self.frames.ready()

    def stored_in(self, indices: Ints) -> Ints:
        """A number for each frame, the same for frames that are compressed together."""
        return stored_in(self.frames, indices)

    def written(self) -> Bools | None:
        """(n,) which frames were ever written; None = all, or unknown."""
        return written(self.frames)

    def gaps(self) -> Gaps | None:
        """Pixels that were not written in frames that were; None = there are none."""
        return gaps(self.frames)

    def absent(self) -> Bools | None:
        """(n,) which frames are in files that cannot be read; None = none of them."""
        return absent(self.frames)

    def continues(self, earlier: Any) -> bool:
        """Whether the frames of ``earlier``, wrapped alike, are still the first ones here."""
        return continues(self.frames, earlier.frames)


@dataclass(frozen=True, eq=False)
class PickedFrames(WrappedFrames):
    """The frames ``picked`` of another stack, in this order."""

    picked: Ints

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, ny, nx)."""
        return len(self.picked), *self.frames.shape[1:]

    def read(self, indices: Indices, window: Window) -> NDArray[Any]:
        """Pixels of ``window`` (inside the frame), (len(indices), height, width)."""
        return self.frames.read(self.picked[np.asarray(indices, np.intp)], window)

    def stored_in(self, indices: Ints) -> Ints:
        """A number for each frame, the same for frames that are compressed together."""
        return stored_in(self.frames, self.picked[indices])

    def written(self) -> Bools | None:
        """(n,) which frames were ever written; None = all, or unknown."""
        flags = written(self.frames)
        return None if flags is None else flags[self.picked]

    def absent(self) -> Bools | None:
        """(n,) which frames are in files that cannot be read; None = none of them."""
        flags = absent(self.frames)
        return None if flags is None else flags[self.picked]

    def continues(self, earlier: Any) -> bool:
        """True: it cannot be checked."""
        return True

    def ready(self) -> Readiness:
        """The picked frames, from the first on, that can be read now."""
        ready = self.frames.ready()
        limits = [ready.frames - ready.unconfirmed, ready.frames]
        highest = np.maximum.accumulate(self.picked)  # of the picked frames so far
        confirmed, count = np.searchsorted(highest, limits).tolist()
        return replace(ready, frames=count, unconfirmed=count - confirmed)


def whole_stack(frames: Frames) -> tuple[Frames, Ints]:
    """All raw frames of the files, and the indices in them of those in ``frames``."""
    picked = np.arange(frames.shape[0])
    while isinstance(frames, PickedFrames):
        picked, frames = frames.picked[picked], frames.frames
    return frames, picked


@dataclass(frozen=True)
class IntensityFrames(WrappedFrames):
    """Amplitudes or waves as intensity |a|² in float32; or intensity stored as complex a + 0j."""

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
    """Frames of counts from stored ``intensity``, ``magnitude`` or ``wave``."""
    if stored_as != "intensity" or frames.dtype.kind == "c":
        return IntensityFrames(frames, stored_as != "intensity")
    return frames


@dataclass(frozen=True)
class FftShiftedFrames(WrappedFrames):
    """Frames stored with zero frequency at pixel (0, 0), returned with it at (ny//2, nx//2).

    As ``numpy.fft.fftshift``: output row i is stored row (i − ny//2) mod ny, so that a window lies
    in at most four rectangles of the stored frame. A small window is read from those; for a large
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
            for rows, columns, stored in pieces:
                out[:, rows, columns] = whole[:, stored.slices[0], stored.slices[1]]
        else:
            for rows, columns, stored in pieces:
                out[:, rows, columns] = self.frames.read(indices, stored)
        return out


LARGE = 8
"""A window of more than 1/8 of the frame is cut from whole frames."""


def _stored_runs(start: int, length: int, n: int) -> Sequence[tuple[int, slice]]:
    """Runs of an axis of length ``n``: (first stored index, slice of the window)."""
    first = (start - n // 2) % n
    until = min(length, n - first)
    runs = [(first, slice(0, until)), (0, slice(until, length))]
    return [run for run in runs if run[1].stop > run[1].start]


@dataclass(frozen=True, eq=False)
class CorrectedFrames(WrappedFrames):
    """Exposures corrected, as they are read, with an image for each; a bad pixel is NaN.

    Attributes
    ----------
    frames
        Raw exposures (n, ny, nx).
    dark, flat
        One image for each exposure: counts = (raw − dark − ``offset``)/flat.
    bad
        Stacks of bool, one image for each exposure, True = bad in it.
    offset
        (ny, nx) subtracted before a flat divides.
    lowest, saturation
        Raw numbers below ``lowest``, and at or above ``saturation``, are bad.
    """

    dark: Frames | None = None
    flat: Frames | None = None
    bad: tuple[Frames, ...] = ()
    offset: Floats | None = field(default=None, repr=False)
    lowest: float = -np.inf
    saturation: float = np.inf

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of a corrected pixel: raw counts minus a dark need double precision."""
        return np.dtype(np.float64)

    def read(self, indices: Indices, window: Window) -> Floats:
        """Corrected counts of ``window`` (inside the frame), (len(indices), height, width)."""
        raw = self.frames.read(indices, window)
        counts = raw.astype(np.float64)
        counted = np.isfinite(counts) & (counts >= self.lowest) & (counts < self.saturation)
        counts[~counted] = np.nan
        if self.dark is not None:
            counts -= self.dark.read(indices, window)
        if self.offset is not None:
            counts -= self.offset[window.slices]
        if self.flat is not None:
            flat = self.flat.read(indices, window).astype(np.float64)
            counts /= np.where(np.isfinite(flat) & (flat > 0), flat, np.nan)
        for bad in self.bad:
            counts[bad.read(indices, window)] = np.nan
        counts[~np.isfinite(counts)] = np.nan
        return counts

    @property
    def images(self) -> str:
        """The images that differ from frame to frame, in words."""
        given = {"dark": self.dark, "flat": self.flat, "mask": self.bad}
        return ", ".join(name for name, images in given.items() if images) + " of each frame"
