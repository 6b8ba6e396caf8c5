"""Stacks of frames that follow each other, some of which may be in files that cannot be read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bools
from ..errors import FileError, ScanError
from ..scan import Frames, FrameStack, Gaps, Indices, Readiness, Window, gaps, written


@dataclass(frozen=True)
class MissingFrames(FrameStack):
    """Frames of a file that cannot be read, which keep their numbers in the scan.

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
        """All: there will be no more."""
        return Readiness(self.shape[0])


@dataclass(frozen=True)
class JoinedFrames(FrameStack):
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
        """(n,) which frames were ever written; None = all, or unknown."""
        each = [(written(part), part.shape[0]) for part in self.parts]
        if all(there is None for there, _ in each):
            return None
        flags = [np.ones(n, np.bool_) if there is None else there for there, n in each]
        return np.concatenate(flags)

    def gaps(self) -> Gaps | None:
        """Pixels that were not written in frames that were; None = there are none."""
        there = [part for part in self.parts if not isinstance(part, MissingFrames)]
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
        if not any(isinstance(part, MissingFrames) for part in self.parts):
            return None
        lengths = [part.shape[0] for part in self.parts]
        return np.repeat([isinstance(part, MissingFrames) for part in self.parts], lengths)

    def ready(self) -> Readiness:
        """Frames up to the first part that is not complete."""
        count, ready = 0, Readiness(0)
        for part in self.parts:
            ready = part.ready()
            count += ready.frames
            if not ready.complete:
                break
        return replace(ready, frames=count)
