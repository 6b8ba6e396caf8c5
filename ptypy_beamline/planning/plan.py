"""A plan: how a scan is loaded and corrected, checked and compiled once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bools, Float32s, Floats, Ints
from ..geometry import Geometry
from ..scan import Frames, Indices, Window
from .calibration import Calibration
from .pixels import arithmetic, contiguous
from .selection import Selection, without
from .streaming import Block, FrameFlags, corrected, streamed
from .transform import MODES, Transform

BLOCK_BYTES = 32 * 2**20
"""Raw data of a block: large enough to be fast, small compared with a rank's own frames."""


@dataclass(frozen=True, eq=False)
class Plan:
    """How a scan is loaded. Frozen, picklable, and without frames.

    Attributes
    ----------
    frames
        The raw exposures.
    selection
        Position → raw exposures.
    window
        Detector pixels of a frame; may reach past the detector's edge.
    center_px
        Beam centre in the window.
    calibration
        Dark, background, flat, bad pixels and limits of the window's part on the detector.
    transform
        Group → align → bin → orient → pad.
    geometry
        Geometry of the loaded frames.
    threads
        Threads that correct; None = the node's cores over its ranks.
    """

    frames: Frames
    selection: Selection
    window: Window
    center_px: tuple[float, float]
    calibration: Calibration
    transform: Transform
    geometry: Geometry
    threads: int | None = None

    def __len__(self) -> int:
        """Number of positions."""
        return len(self.selection)

    @property
    def positions_m(self) -> Floats:
        """(M, 2) illumination (row, column) in metres."""
        return self.selection.positions_m

    @property
    def inside(self) -> Window:
        """The part of the window that lies on the detector."""
        return self.window.inside(self.frames.shape[1:])

    def without(self, frames: Ints) -> Plan:
        """Exclude raw frames, and positions that have none left.

        Raises
        ------
        SettingsError
            Nothing is left.
        """
        return replace(self, selection=without(self.selection, frames, None))

    @property
    def _corner(self) -> tuple[int, int]:
        return self.inside.top - self.window.top, self.inside.left - self.window.left

    @cached_property
    def good(self) -> Bools:
        """(ny, nx) pixels that no static defect excludes, in the loaded frame."""
        if self.transform.is_identity:
            return self._window_good
        out = np.zeros((1, *self.transform.shape), np.float32)
        out_good = np.zeros(out.shape, np.bool_)
        good = self._window_good[None]
        unshifted = replace(self.transform, align=False)
        unshifted.apply(np.zeros(good.shape, np.float32), good, self.center_px, (out, out_good))
        return np.asarray(out_good[0])

    @cached_property
    def _window_good(self) -> Bools:
        """(height, width) good pixels before binning, orienting and padding."""
        good = np.zeros(self.window.shape, np.bool_)
        good[Window(*self._corner, *self.inside.shape).slices] = ~self.calibration.bad
        return good

    def load(self, positions: Indices) -> NDArray[Any]:
        """Read the raw exposures of ``positions``: (p, k, h, w) native; excluded ones hold 0."""
        exposures = self.selection.exposures[np.asarray(positions, np.intp)]
        present = exposures >= 0
        shape = (*exposures.shape, *self.inside.shape)
        if present.all():
            return self.frames.read(exposures.ravel(), self.inside).reshape(shape)
        raw = np.zeros(shape, self.frames.dtype)
        raw[present] = self.frames.read(exposures[present], self.inside)
        return raw

    def correct(self, raw: NDArray[Any], positions: Indices) -> tuple[Float32s, Bools]:
        """Turn raw exposures (p, k, h, w) of ``positions`` into frames.

        Returns
        -------
        frames : (p, ny, nx) float32
            Counts; 0 where bad.
        good : (p, ny, nx) bool
            True = use; a read-only view of one image (stride 0) if all frames share it.
        """
        block = corrected(self, raw, np.asarray(positions, np.int64))
        return block.frames, block.good

    def correct_part(
        self,
        raw: NDArray[Any],
        chosen: Selection,
        out: tuple[Float32s, Bools],
    ) -> FrameFlags:
        """Correct exposures of the ``chosen`` positions in the calling thread.

        ``raw`` (p, k, h, w) is as :meth:`load` gives it. ``out`` receives frames (p, ny, nx)
        float32 and, of those with bad pixels of their own, good pixels; zero on entry.
        """
        raw = contiguous(raw)
        if self.transform.is_identity:
            return self._combine(raw, chosen, *out)
        window = (len(raw), *self.window.shape)
        frames, good = np.zeros(window, np.float32), np.zeros(window, np.bool_)
        flags = self._combine(raw, chosen, frames, good)
        good[~flags.own] = self._window_good
        own = self.transform.apply(frames, good, self.center_px, out)
        return flags._replace(own=flags.own | own)

    def _combine(
        self,
        raw: NDArray[Any],
        chosen: Selection,
        frames: Float32s,
        good: Bools,
    ) -> FrameFlags:
        """Group corrected exposures; fill ``good`` of frames with bad pixels of their own."""
        cal, grouping = self.calibration, self.transform.grouping
        tally = np.zeros((len(raw), 2), np.int64)
        images = cal.offset, cal.gain
        if raw.shape[1] == 1 and grouping != "hdr":
            scale, first = chosen.scale[:, 0], raw[:, 0]
            numbers = arithmetic(raw.size)
            numbers.single(first, scale, *images, cal.limits, self._corner, frames, tally)
            for p in np.flatnonzero(tally[:, 0]):
                one = first[p], scale[p], *images, cal.limits, cal.bad, self._corner, good[p]
                numbers.counted(*one)
        else:
            from . import kernels

            keep = _reduce(grouping, chosen, raw, cal)
            arguments = raw, keep, chosen.scale, chosen.seconds, *images, cal.bad, cal.limits
            kernels.combine(*arguments, MODES[grouping], self._corner, frames, good, tally)
        without, positive = tally.T
        return FrameFlags(without > 0, positive == 0, without == cal.usable)

    def stream(
        self,
        positions: Indices,
        size: int | None = None,
        warn_empty: bool = True,
        out: Float32s | None = None,
    ) -> Iterator[Block]:
        """Load and correct ``positions``, ``size`` at a time; the next block is prepared meanwhile.

        Frames go into ``out``, (n, ny, nx) zeros, if it is given. At the end, ``warn_empty`` warns
        of frames without counts or good pixels.
        """
        return streamed(self, np.asarray(positions, np.int64), size, warn_empty, out)

    def blocks(self, size: int | None = None) -> Iterator[Block]:
        """Every position in order, ``size`` at a time."""
        return self.stream(np.arange(len(self)), size)

    @property
    def block_size(self) -> int:
        """Positions in a block."""
        return max(1, BLOCK_BYTES // max(self.raw_bytes, 1))

    @property
    def raw_bytes(self) -> int:
        """Bytes of a position's raw exposures in the window."""
        h, w = self.inside.shape
        return int(self.selection.exposures.shape[1]) * h * w * self.frames.dtype.itemsize


def _reduce(
    grouping: str,
    chosen: Selection,
    raw: NDArray[Any],
    cal: Calibration,
) -> Bools:
    """(p, k) exposures to use; one of each position if ``grouping`` chooses one."""
    keep: Bools = chosen.exposures >= 0
    if grouping not in ("first", "best") or keep.shape[1] == 1:
        return keep
    choice = keep.argmax(1)
    if grouping == "best":
        from . import kernels

        images = cal.offset, cal.gain, cal.bad
        kernels.best_exposure(raw, keep, chosen.scale, *images, cal.limits, choice)
    one = np.zeros_like(keep)
    one[np.arange(len(keep)), choice] = True
    return one & keep
