"""Whether frames are stored as the format or the user says: zero frequency, amplitudes."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats, Ints
from ..errors import BeamlineError, warn
from ..scan import SQUARED, ArrayFrames, Frames, Scan, Window, sample_indices

FRAMES = 8
"""Frames looked at."""

BRIGHTER = 2.0
"""Times by which corners must exceed the middle and the edges; a diffraction pattern whose halves
are exchanged exceeds them by ten and more, and nothing else is bright in three corners alone."""

_told: WeakSet[Scan] = WeakSet()


def warn_of_stored_frames(scan: Scan) -> None:
    """Warn, once a scan, where its frames look otherwise than they are taken."""
    if scan not in _told:
        _told.add(scan)
        _warn_of_counts(scan)
        _warn_of_zero_frequency(scan)


def _warn_of_counts(scan: Scan) -> None:
    """Where what is taken for amplitudes, and squared, are counts.

    Amplitudes are roots of counts, and hardly ever whole numbers all over a frame.
    """
    if not any(note.endswith(SQUARED) for note in scan.notes):
        return
    roots = [np.sqrt(frame[np.isfinite(frame) & (frame > 0)]) for frame in _sample(scan.frames)]
    stored = np.concatenate(roots) if roots else np.zeros(0)
    if (stored > 1.5).any() and (np.abs(stored - np.rint(stored)) < 1e-4).all():
        warn(
            "frames are taken to hold amplitudes, and squared, but all their values are whole "
            "numbers, as counts are: set stored_as='intensity' (--stored-as intensity), or, if "
            "they are amplitudes, stored_as='magnitude'",
            scan.source,
        )


def _warn_of_zero_frequency(scan: Scan) -> None:
    """Where they are bright in their corners instead of their middle."""
    ratio = corners_over_middle(scan)
    if ratio is None:
        return
    seen, meant = ("center", "corner") if scan.zero_frequency == "center" else ("corner", "center")
    times = f"{ratio:.3g} times" if np.isfinite(ratio) else "many times"
    warn(
        f"with zero_frequency={seen!r} the corners of the frames are {times} as "
        f"bright as their middle: set zero_frequency={meant!r} (--zero-frequency {meant}), unless "
        "they really are",
        scan.source,
    )


def corners_over_middle(scan: Scan) -> float | None:
    """How many times brighter the corners are; None where they are not, or nothing is known.

    The frame is cut into 4×4 parts: the four of the middle are those of the corners where
    ``numpy.fft.fftshift`` was forgotten, or done once too often.
    """
    counts, pixels = _parts(scan)
    mean = counts / np.maximum(pixels, 1)
    corner, middle = mean[[0, 0, -1, -1], [0, -1, 0, -1]], mean[1:3, 1:3].mean()
    edge = np.concatenate([mean[0, 1:3], mean[-1, 1:3], mean[1:3, 0], mean[1:3, -1]]).mean()
    other = max(float(middle), float(edge))
    clear = counts[[0, 0, -1, -1], [0, -1, 0, -1]].sum() > 25  # five times its own noise
    if clear and corner.mean() > BRIGHTER * other and (corner > other).sum() >= 3:
        return float(corner.mean() / middle) if middle else np.inf
    return None


def _parts(scan: Scan) -> tuple[Floats, Ints]:
    """(4, 4) counts and good pixels of the parts of a few frames, read one at a time."""
    counts, pixels = np.zeros((4, 4)), np.zeros((4, 4), np.int64)
    rows, columns = (np.linspace(0, n, 5).round().astype(int) for n in scan.frame_shape)
    limit = np.inf if scan.no_count is None else scan.no_count
    for frame in _sample(scan.frames):
        for i in range(4):
            for j in range(4):
                part = (slice(rows[i], rows[i + 1]), slice(columns[j], columns[j + 1]))
                values = frame[part].astype(np.float64)
                good = np.isfinite(values) & (values < limit)
                good &= True if scan.bad is None else ~scan.bad[part]
                counts[i, j] += values[good].clip(0).sum()
                pixels[i, j] += good.sum()
    return counts, pixels


def _sample(frames: Frames) -> Iterator[NDArray[Any]]:
    """Frames from all over the scan, without those that cannot be read."""
    n, ny, nx = frames.shape
    frames = _apart(frames)
    for index in sample_indices(min(n, frames.ready().frames), FRAMES):
        with suppress(BeamlineError):
            yield frames.read([index], Window.full((ny, nx)))[0]


def _apart(frames: Frames) -> Frames:
    """The same stack with handles of its own, so that a plan leaves no file open."""
    inner: Any = frames
    while hasattr(inner, "frames"):
        inner = inner.frames
    if isinstance(inner, ArrayFrames):
        return frames
    same: Frames = pickle.loads(pickle.dumps(frames))
    return same
