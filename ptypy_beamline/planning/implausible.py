"""Warnings of implausible dark, flat, monitor and positions, and of how frames are stored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bools, Float32s, Floats, Ints
from ..errors import warn
from ..parameter_values import as_listed
from ..scan import SQUARED, Scan
from .counting import Counting
from .sample import Sample

FACTOR = 1e3
"""Largest plausible factor between a monitor or flat and its median."""


def warn_about_flat(flat: Floats | float, bad: Bools, file: Path | None) -> None:
    """Warn of a flat whose median is not 1, or that is far off its median at good pixels."""
    good = np.broadcast_to(flat, bad.shape)[~bad] if np.ndim(flat) else np.ones(1)
    middle = float(np.median(good[:: max(1, good.size // 10_000)])) if good.size else 1.0
    if not 0.5 <= middle <= 2.0:
        warn(
            f"the flat has a median of {middle:.4g}, so dividing by it changes the counts by that "
            "factor; give a flat normalised to 1 (--flat) to keep photon counts",
            file,
        )
    far = far_off(good, middle)
    if far:
        warn(
            f"the flat is more than {FACTOR:.0f} times off its median of {middle:.4g} at {far} "
            "pixels, whose counts grow or vanish with it; give another flat (--flat) or mask these "
            "pixels (--mask)",
            file,
        )


def warn_about_dark(
    sample: Sample,
    offset: Floats | float,
    bad: Bools,
    counts: Counting,
    file: Path | None,
) -> None:
    """Warn of a dark and background that leave no counts in sampled frames, or add counts."""
    if bad.all():
        return

    def counted(frame: NDArray[Any]) -> Bools:
        return (frame >= counts.lowest_of(frame.dtype)) & (frame < counts.no_count) & ~bad

    first = replace(sample, size=1)  # enough for nearly every scan
    if not any(((raw > offset) & counted(raw)).any() for part in (first, sample) for raw in part):
        warn(
            f"dark and background exceed every count of {len(sample)} sampled frames, which end "
            "up empty; give the dark of this exposure time (--dark), and check background "
            "(--background)",
            file,
        )
    if not ((offset < -FACTOR) & ~bad).any():
        return
    highest = max((float(raw.max(initial=1, where=counted(raw))) for raw in sample), default=1.0)
    below = int(np.count_nonzero((offset < -FACTOR * highest) & ~bad))
    if below:
        warn(
            f"dark and background lie below 0 at {below} pixels by more than {FACTOR:.0f} times "
            f"the highest count of {len(sample)} sampled frames, and add that much to each frame; "
            "give another dark (--dark) or mask these pixels (--mask)",
            file,
        )


def warn_about_unusable(offset: Float32s, bad: Bools, file: Path | None) -> None:
    """Warn of a dark or background that is not finite at pixels not known to be bad."""
    lost = int(np.count_nonzero(~np.isfinite(offset) & ~bad))
    if lost:
        warn(
            f"dark and background are NaN, infinite or beyond a float32 at {lost} pixels, which "
            "become bad; give another dark (--dark), or mask these pixels (--mask)",
            file,
        )


def warn_about_monitor(i0: Floats, file: Path | None) -> None:
    """Warn of exposures that a monitor rejects (NaN in ``i0``, (n,)) or scales implausibly."""
    usable = i0[np.isfinite(i0)]
    dropped, middle = len(i0) - len(usable), float(np.median(usable))
    if dropped:
        warn(
            f"the monitor is 0, negative or not a number at {dropped} of {len(i0)} frames, which "
            "are left out; check paths.monitor (--path monitor=PATH), or leave monitor off",
            file,
        )
    far = far_off(usable, middle)
    if far:
        warn(
            f"the monitor is more than {FACTOR:.0f} times off its median of {middle:.4g} at {far} "
            f"of {len(i0)} frames, which are scaled accordingly; leave these frames out (--reject) "
            "or check paths.monitor (--path monitor=PATH)",
            file,
        )


def far_off(values: Floats, middle: float) -> int:
    """How many are more than ``FACTOR`` times larger or smaller than ``middle``."""
    off = (values > FACTOR * middle) | (values < middle / FACTOR)
    return int(np.count_nonzero(off))


STUCK = 3
"""Consecutive, exactly equal positions that are suspicious if most others differ."""

MIDDLE, FAR, FEWEST = 0.9, 10.0, 8
"""Share of the positions that define the usual extent of a scan; largest plausible distance from
them, in extents; and the fewest positions from which to judge."""


def warn_about_positions(exposures: Ints, positions_m: Floats, file: Path | None) -> None:
    """Warn of positions that do not change for a while, or lie far outside the scan.

    Parameters
    ----------
    exposures
        (m, k) raw frames; −1 = excluded.
    positions_m
        (m, 2) their positions, finite.
    """
    first = np.where(exposures < 0, np.iinfo(np.int64).max, exposures).min(axis=1)
    # Frames may be listed in another order, or twice.
    rows = np.unique(first, return_index=True)[1]
    exposures, positions_m = exposures[rows], positions_m[rows]
    for start, stop in stuck(positions_m):
        y, x = positions_m[start]
        frames = as_listed(exposures[start:stop])
        warn(
            f"positions of frames {frames} are all the same, (y, x) = ({y:.6g}, {x:.6g}) m: the "
            f"stage stood still, or its readings were lost; leave these frames out (--reject "
            f"{frames}) unless they were taken there",
            file,
        )
    away_m, extent_m = outside(positions_m)
    far = away_m > FAR * extent_m
    if far.any():
        frames = as_listed(exposures[far])
        warn(
            f"positions up to {away_m.max():.3g} m outside the scan, most of which is "
            f"{extent_m:.3g} m wide: their readings are probably wrong (frames {frames}); leave "
            f"these frames out (--reject {frames}), or check paths.x and paths.y (--path x=PATH "
            "--path y=PATH)",
            file,
        )


def stuck(positions_m: Floats) -> list[tuple[int, int]]:
    """Runs [start, stop) of exactly the same position, where most positions are distinct."""
    moves = np.flatnonzero((np.diff(positions_m, axis=0) != 0).any(axis=1)) + 1
    edges = np.concatenate([[0], moves, [len(positions_m)]])
    long = np.diff(edges) >= STUCK
    if not long.any() or 2 * len(np.unique(positions_m, axis=0)) <= len(positions_m):
        return []
    return list(zip(edges[:-1][long].tolist(), edges[1:][long].tolist(), strict=True))


def outside(positions_m: Floats) -> tuple[Floats, float]:
    """(m,) distance of each position from the box around most of them, and its longer side.

    Nothing is outside if there are few positions, or most are the same.
    """
    none = np.zeros(len(positions_m)), np.inf
    if len(positions_m) < FEWEST:
        return none
    tail = (1 - MIDDLE) / 2
    low = np.quantile(positions_m, tail, axis=0, method="higher")
    high = np.quantile(positions_m, 1 - tail, axis=0, method="lower")
    extent_m = float((high - low).max())
    if not extent_m > 0:
        return none
    beyond = np.maximum(0, np.maximum(low - positions_m, positions_m - high))
    return np.asarray(np.hypot(*beyond.T), np.float64), extent_m


MOST_PIXELS = 2**18
"""Pixels of a frame examined for its zero frequency."""

BRIGHTER = 2.0
"""Factor by which corners must exceed the middle and the edges. In patterns with swapped
quadrants it is ten or more, and nothing else is bright in three corners alone."""

_checked: WeakSet[Scan] = WeakSet()


def warn_of_stored_frames(scan: Scan, few: Sequence[NDArray[Any]]) -> None:
    """Warn, once per scan, if a few of its frames do not look as
    they are assumed to be stored."""
    if scan not in _checked:
        _checked.add(scan)
        _warn_of_counts(scan, few)
        _warn_of_zero_frequency(scan, few)


def _warn_of_counts(scan: Scan, few: Sequence[NDArray[Any]]) -> None:
    """Warn if what is taken for amplitudes, and squared, looks like counts.

    Amplitudes are square roots of counts, and hardly ever whole numbers all over a frame.
    """
    if not any(note.endswith(SQUARED) for note in scan.notes):
        return
    roots = [np.sqrt(frame[np.isfinite(frame) & (frame > 0)]) for frame in few]
    stored = np.concatenate(roots) if roots else np.zeros(0)
    if (stored > 1.5).any() and (np.abs(stored - np.rint(stored)) < 1e-4).all():
        warn(
            "frames are taken to hold amplitudes, and squared, but all their values are whole "
            "numbers, as counts are: set stored_as='intensity' (--stored-as intensity), or, if "
            "they are amplitudes, stored_as='magnitude'",
            scan.source,
        )


def _warn_of_zero_frequency(scan: Scan, few: Sequence[NDArray[Any]]) -> None:
    """Warn if frames are bright in the corners instead of the middle."""
    ratio = corners_over_middle(scan, few)
    if ratio is None:
        return
    current = scan.zero_frequency
    other = "corner" if current == "center" else "center"
    times = f"{ratio:.3g} times" if np.isfinite(ratio) else "many times"
    warn(
        f"with zero_frequency={current!r} the corners of the frames are {times} as "
        f"bright as their middle: set zero_frequency={other!r} (--zero-frequency {other}), unless "
        "they really are",
        scan.source,
    )


def corners_over_middle(scan: Scan, few: Sequence[NDArray[Any]]) -> float | None:
    """Ratio of corners to middle; None if the corners are not clearly brighter.

    Of 4×4 parts of the frame, the middle four move to the corners if ``numpy.fft.fftshift`` was
    forgotten, or applied once too often.
    """
    counts, pixels = _parts(scan, few)
    mean = counts / np.maximum(pixels, 1)
    outer = np.array([True, False, False, True])
    corners = outer[:, None] & outer
    corner, middle = mean[corners], mean[1:3, 1:3].mean()
    other = max(float(middle), float(mean[outer[:, None] ^ outer].mean()))
    clear = counts[corners].sum() > 25  # counts of five sigma
    if clear and corner.mean() > BRIGHTER * other and (corner > other).sum() >= 3:
        return float(corner.mean() / middle) if middle else np.inf
    return None


def _parts(scan: Scan, few: Sequence[NDArray[Any]]) -> tuple[Floats, Ints]:
    """(4, 4) counts and good pixels of each part, summed over a few frames; of large
    frames, over some rows."""
    counts, pixels = np.zeros((4, 4)), np.zeros((4, 4), np.int64)
    rows, columns = (np.linspace(0, n, 5).round().astype(int) for n in scan.frame_shape)
    step = max(1, math.prod(scan.frame_shape) // MOST_PIXELS)
    limit = np.inf if scan.no_count is None else scan.no_count
    for frame, i, j in product(few, range(4), range(4)):
        part = (slice(rows[i], rows[i + 1], step), slice(columns[j], columns[j + 1]))
        values = frame[part].astype(np.float64)
        good = np.isfinite(values) & (values < limit)
        good &= True if scan.bad is None else ~scan.bad[part]
        counts[i, j] += values[good].clip(0).sum()
        pixels[i, j] += good.sum()
    return counts, pixels
