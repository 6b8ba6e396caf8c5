"""Frames, weights and blocks as PtyPy expects them, and what it would refuse."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import Bools, Float32s
from .errors import ScanError, SettingsError
from .planning.plan import Plan
from .summary import FIT


class RawFrames(Mapping[int, NDArray[Any]]):
    """Raw exposures of some positions, read on access.

    PtyPy calls :meth:`BeamlineScan.load` for all frames of a rank at once; returning the raw
    stack would double the memory of the rank.
    """

    def __init__(self, plan: Plan, positions: Sequence[int]) -> None:
        self.plan, self.positions = plan, dict.fromkeys(positions)

    def __getitem__(self, position: int) -> NDArray[Any]:
        if position not in self.positions:
            raise KeyError(position)
        raw: NDArray[Any] = self.plan.load([position])[0]
        return raw

    def __iter__(self) -> Iterator[int]:
        return iter(self.positions)

    def __len__(self) -> int:
        return len(self.positions)


class FramesInOne(Mapping[int, Float32s]):
    """Frames by position, which are the rows of one array, in its order.

    Attributes
    ----------
    array
        (n, ny, nx).
    """

    def __init__(self, positions: Sequence[int], array: Float32s) -> None:
        self.array = array
        self._rows = dict(zip(positions, range(len(array)), strict=True))

    def __getitem__(self, position: int) -> Float32s:
        frame: Float32s = self.array[self._rows[position]]
        return frame

    def __iter__(self) -> Iterator[int]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as one array: PtyPy's ``save`` gathers the frames of a block on one rank."""
        return FramesInOne, (list(self), self.array)


class SharedWeight(np.ndarray[Any, np.dtype[np.bool_]]):
    """Good pixels (ny, nx) that all frames share; read-only.

    PtyPy computes ``weight > 0`` of every frame for its mask. Of booleans that is a mere copy,
    which would cost a quarter of the frames' memory and of the loading time.
    """

    @classmethod
    def of(cls, good: Bools) -> SharedWeight:
        """``good`` as a weight."""
        weight = good.view(cls)
        weight.flags.writeable = False
        return weight

    def __gt__(self, other: Any) -> Any:
        """Itself, compared with 0."""
        return self if isinstance(other, int) and other == 0 else super().__gt__(other)

    def __eq__(self, other: Any) -> Any:
        """Never equal to a text, with which PtyPy compares all that it reports."""
        return False if isinstance(other, str) else super().__eq__(other)

    __hash__ = None


def ptypy_center(center_px: tuple[float, float]) -> tuple[float, float]:
    """The beam centre as it is passed to PtyPy.

    PtyPy's scan models round a fractional centre up to a whole pixel (64.1 becomes 65), so one
    less than 0.3 pixel above a whole number is rounded down here.
    """
    y, x = (float(np.floor(c)) if c - np.floor(c) < 0.3 else float(c) for c in center_px)
    return y, x


def check_frames(plan: Plan, file: str) -> None:
    """Check that the frames are square and the beam is off their edge, as PtyPy requires."""
    ny, nx = plan.geometry.shape
    if ny != nx:
        raise SettingsError(
            f"frames of {ny}x{nx} are not square, PtyPy needs square ones",
            "set shape (--roi) to a square window, or pad='square'",
            file,
        )
    center = ptypy_center(plan.geometry.center_px)
    # PtyPy's models round it up, and its propagator wraps a centre at the edge around.
    if not all(c > 0 and np.ceil(c) < n for c, n in zip(center, (ny, nx), strict=True)):
        y, x = plan.geometry.center_px
        raise SettingsError(
            f"the beam at ({y:.1f}, {x:.1f}) is on the edge of the {ny}x{nx} frame",
            "set center (--roi-center), or shape for a window around it",
            file,
        )


def check_object(rows: int, columns: int, scan: str) -> None:
    """Check that PtyPy can make the object: one beyond the memory would end the whole node."""
    needed, available = 8 * rows * columns, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > available:
        raise ScanError(
            f"the object would have {rows}x{columns} pixels, {needed / 2**30:.3g} GiB of the "
            f"{available / 2**30:.3g} GiB of this machine",
            FIT,
            scan,
        )


def check_share(positions: int, ranks: int, file: str) -> None:
    """Check that every rank gets a frame: PtyPy's engines fail on one without."""
    if positions < ranks:
        raise SettingsError(
            f"{positions} positions are too few for {ranks} MPI ranks",
            f"start at most {positions} (mpirun -n {positions})",
            file,
        )


@dataclass(frozen=True)
class BlockSizes:
    """Blocks of frames for some MPI ranks.

    PtyPy distributes the frames of a block evenly. Its engines fail on a rank without frames, and
    its GPU engines size their buffers by the first block. So no block has fewer frames than
    ranks, and none is larger than the first.

    Attributes
    ----------
    ranks
        MPI ranks.
    least
        Smallest number of frames per rank in a block of a growing scan (PtyPy's ``min_frames``);
        1 = whole blocks only.
    """

    ranks: int
    least: int = 1

    def whole(self, wanted: int, first: int | None = None) -> int:
        """Frames of a whole block, ``wanted`` at most and no more than the ``first`` block had.

        With several ranks at least two each, so that a remainder can borrow from a block.
        """
        each = max(wanted // self.ranks, self.least, 2 if self.ranks > 1 else 1)
        return each * self.ranks if first is None else min(first, each * self.ranks)

    def next(self, left: int, wanted: int, first: int | None = None) -> int:
        """Frames of the next block, of ``left`` that remain."""
        block = self.whole(wanted, first)
        rest = left - block
        return left if rest <= 0 else block - max(0, self.ranks - rest)

    def next_of_growing(self, there: int, wanted: int, first: int | None) -> int:
        """Frames of the next block of a growing scan; 0: wait.

        Parameters
        ----------
        there
            Frames that can be loaded now.
        wanted
            Frames that PtyPy requests.
        first
            Frames of the first block, once there was one.
        """
        most = self.whole(wanted, first)
        step = self.least * self.ranks if self.least > 1 else most
        # One frame per rank is kept back for the last block, which may come at any time.
        kept = self.ranks if self.ranks > 1 else 0
        return min(max(0, there - kept) // step * step, most)
