"""Blocks of a plan, loaded and corrected by several threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bools, Float32s, Floats, Ints
from ..errors import warn
from ..parallel import available_threads, pool, shares
from ..scan import stored_in

if TYPE_CHECKING:
    from .plan import Plan

PART_BYTES = 4 * 2**20
"""Raw data that a thread reads and corrects at a time: it stays in the processor's cache."""


class FrameFlags(NamedTuple):
    """Properties of corrected frames, (p,) bool each."""

    own: Bools
    """Has bad pixels that are not bad in every frame."""
    no_counts: Bools
    """No pixel has counts."""
    no_good: Bools
    """No pixel is good."""


@dataclass(frozen=True, eq=False)
class Block:
    """Some positions of a plan, corrected.

    Attributes
    ----------
    positions
        (n,) positions 0…M−1 of the plan.
    frames
        (n, ny, nx) float32 counts; bad pixels hold 0.
    good
        (n, ny, nx) bool, True = use; a read-only view when all frames share it.
    positions_m
        (n, 2) (row, column) in metres.
    exposures
        (n, k) raw frames of each position, −1 = excluded.
    """

    positions: Ints
    frames: Float32s
    good: Bools
    positions_m: Floats
    exposures: Ints


class _PendingBlock:
    """A block that threads are filling.

    ``raw`` returns the raw exposures of one of the ``parts`` of ``positions``, which a thread does
    at a time; ``out``, (n, ny, nx) of zeros, receives the frames.
    """

    def __init__(
        self,
        plan: Plan,
        positions: Ints,
        raw: Callable[[slice], NDArray[Any]],
        parts: list[slice],
        out: Float32s | None = None,
    ) -> None:
        self._plan, self._positions, self._raw = plan, positions, raw
        self._chosen = plan.selection[positions]
        shape = (len(positions), *plan.transform.shape)
        self._frames = np.zeros(shape, np.float32) if out is None else out
        # Zeros take no memory until they are written to.
        self._good = np.zeros(self._frames.shape, np.bool_)
        self.flags = FrameFlags(*(np.zeros(len(positions), np.bool_) for _ in range(3)))
        threads = pool(plan.threads or available_threads())
        self._parts: list[Future[None]] = [threads.submit(self._fill, part) for part in parts]

    def _fill(self, part: slice) -> None:
        out = self._frames[part], self._good[part]
        flags = self._plan.correct_part(self._raw(part), self._chosen[part], out)
        for whole, found in zip(self.flags, flags, strict=True):
            whole[part] = found

    def block(self) -> Block:
        """Wait for the block; raise the first error, if any."""
        for part in self._parts:
            part.result()
        frames, good, own = self._frames, self._good, self.flags.own
        if own.any():
            good[~own] = self._plan.good
        else:
            good = np.broadcast_to(self._plan.good, frames.shape)
        chosen = self._chosen
        return Block(self._positions, frames, good, chosen.positions_m, chosen.exposures)

    def stop(self) -> None:
        """Cancel what has not begun, and wait for the rest."""
        wait([part for part in self._parts if not part.cancel()])


def corrected(plan: Plan, raw: NDArray[Any], positions: Ints) -> Block:
    """The block of ``positions`` from raw exposures (p, k, h, w) that are already read."""
    count = plan.threads or available_threads()
    pending = _PendingBlock(plan, positions, raw.__getitem__, shares(len(positions), count))
    try:
        return pending.block()
    finally:
        pending.stop()


def streamed(
    plan: Plan,
    positions: Ints,
    size: int | None,
    warn_empty: bool = True,
    out: Float32s | None = None,
) -> Iterator[Block]:
    """Load and correct ``positions``, ``size`` at a time; the next block is prepared meanwhile.

    Each thread reads a few frames and corrects them while they are in its cache.
    """
    stored = stored_in(plan.frames, plan.selection.exposures[positions, 0])
    if size is None:
        size = plan.block_size
        blocks = cut(stored, size, 2 * size)
    else:
        blocks = [slice(start, start + size) for start in range(0, len(positions), size)]
    few = max(1, PART_BYTES // max(plan.raw_bytes, 1))

    def begin(block: slice) -> _PendingBlock:
        some = positions[block]
        parts = cut(stored[block], few, len(some))
        into = None if out is None else out[block]
        return _PendingBlock(plan, some, lambda part: plan.load(some[part]), parts, into)

    ahead, no_counts, no_good = [begin(block) for block in blocks[:1]], 0, 0
    try:
        for number in range(len(blocks)):
            ahead += [begin(block) for block in blocks[number + 1 : number + 2]]
            block = ahead[0].block()
            no_counts += int((ahead[0].flags.no_counts & ~ahead[0].flags.no_good).sum())
            no_good += int(ahead[0].flags.no_good.sum())
            yield block
            del block, ahead[0]
        if warn_empty:
            _warn_empty(no_counts, no_good, len(positions))
    finally:
        for pending in ahead:
            pending.stop()


def _warn_empty(no_counts: int, no_good: int, number: int) -> None:
    """Warn of frames without counts or good pixels, and count them."""
    corrections = "dark, background, saturation, threshold, monitor, and that the file is whole"
    for count, what, where in (
        (no_counts, "hold no count", corrections),
        (no_good, "have no good pixel", "mask, saturation and flat"),
    ):
        if count:
            warn(f"{count} of {number} frames {what}: check {where}, or leave them out (--reject)")


def cut(stored: Ints, size: int, most: int) -> list[slice]:
    """Cut a run of frames into parts of ``size``, or up to ``most`` so as not to split chunks.

    ``stored`` has the same number for frames that are compressed together.
    """
    between = np.flatnonzero(np.diff(stored)) + 1
    edges = [0]
    while edges[-1] + size < len(stored):
        start = edges[-1]
        following = np.searchsorted(between, start + size)
        edge = int(between[following]) if following < len(between) else len(stored)
        edges.append(edge if edge <= start + most else start + size)
    edges.append(len(stored))
    return [slice(a, b) for a, b in pairwise(edges) if a < b]
