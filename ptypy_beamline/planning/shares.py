"""How many frames PtyPy gets at a time, so that every rank has work."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shares:
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
