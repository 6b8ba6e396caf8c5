"""Frames, weights and blocks as PtyPy expects them, and what it would refuse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import Bools, Float32s
from .errors import SettingsError
from .planning.plan import Plan


class RawFrames(Mapping[int, NDArray[Any]]):
    """Raw exposures of some positions, read when asked for.

    PtyPy asks :meth:`BeamlineScan.load` for all frames of a rank at once; handing over the raw
    stack would double a rank's memory.
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


class FramesInOne(dict[int, Float32s]):
    """Frames by position, all of them rows of one array, in its order.

    Attributes
    ----------
    array
        (n, ny, nx).
    """

    def __init__(self, positions: Sequence[int], array: Float32s) -> None:
        super().__init__(zip(positions, array, strict=True))
        self.array = array


class SharedWeight(np.ndarray[Any, np.dtype[np.bool_]]):
    """Good pixels (ny, nx) that all frames share; read-only.

    PtyPy takes ``weight > 0`` of every frame for its mask. Of booleans that is a copy: a quarter
    of the frames' memory, and of the time to load them.
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
        """No text, which PtyPy asks of all that it reports."""
        return False if isinstance(other, str) else super().__eq__(other)

    __hash__ = None


def ptypy_center(center_px: tuple[float, float]) -> tuple[float, float]:
    """The centre PtyPy is told.

    Its scan models round a fractional centre up to a whole pixel, so one that lies less than 0.3
    pixel above a whole one is told as that: 64.1 would be taken for 65.
    """
    y, x = (float(np.floor(c)) if c - np.floor(c) < 0.3 else float(c) for c in center_px)
    return y, x


def check_frames(plan: Plan, file: str) -> None:
    """Whether the frames are square, and the beam is where PtyPy can have it."""
    ny, nx = plan.geometry.shape
    if ny != nx:
        raise SettingsError(
            f"frames of {ny}x{nx} are not square, PtyPy needs square ones",
            "set shape (--roi) to a square window, or pad='square'",
            file,
        )
    told = ptypy_center(plan.geometry.center_px)
    # PtyPy's models round it up, and its propagator wraps a centre at the edge around.
    if not all(c > 0 and np.ceil(c) < n for c, n in zip(told, (ny, nx), strict=True)):
        y, x = plan.geometry.center_px
        raise SettingsError(
            f"the beam at ({y:.1f}, {x:.1f}) is on the edge of the {ny}x{nx} frame",
            "set center (--roi-center), or shape for a window around it",
            file,
        )


def check_share(positions: int, ranks: int, file: str) -> None:
    """PtyPy's engines fail on a rank without a frame."""
    if positions < ranks:
        raise SettingsError(
            f"{positions} positions are too few for {ranks} MPI ranks",
            f"start at most {positions} (mpirun -n {positions})",
            file,
        )


@dataclass(frozen=True)
class BlockSizes:
    """Blocks of frames for some MPI ranks.

    PtyPy deals out the frames of a block evenly. Its engines fail on a rank that has none, and its
    GPU engines size their buffers by the first block. So no block has fewer frames than ranks, and
    none is larger than the first.

    Attributes
    ----------
    ranks
        MPI ranks.
    least
        Frames a rank that make a block of a growing scan worth while (PtyPy's ``min_frames``);
        1 = whole blocks only.
    """

    ranks: int
    least: int = 1

    def whole(self, wanted: int, first: int | None = None) -> int:
        """Frames of a whole block where ``wanted`` are asked for and ``first`` were the first.

        With several ranks at least two each, so that a remainder can borrow from a block.
        """
        each = max(wanted // self.ranks, self.least, 2 if self.ranks > 1 else 1)
        return each * self.ranks if first is None else min(first, each * self.ranks)

    def next(self, left: int, wanted: int, first: int | None = None) -> int:
        """Frames of the next block, where ``left`` are left in all."""
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
            Frames that are asked for.
        first
            Frames of the first block, once there was one.
        """
        most = self.whole(wanted, first)
        step = self.least * self.ranks if self.least > 1 else most
        # Enough is kept back for the last block, which may come at any time.
        kept = self.ranks if self.ranks > 1 else 0
        return min(max(0, there - kept) // step * step, most)
