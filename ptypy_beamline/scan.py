"""A scan as its file describes it, in SI units, read lazily."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    NamedTuple,
    Protocol,
    TypeAlias,
    runtime_checkable,
)

import numpy as np
from numpy.typing import NDArray

from .arrays import Bools, Complexes, Floats, Ints
from .errors import ScanError

if TYPE_CHECKING:
    from .planning.plan import Plan


Indices: TypeAlias = Sequence[int] | NDArray[np.integer[Any]]
"""Which frames or positions."""

StoredAs: TypeAlias = Literal["intensity", "magnitude", "wave"]
ZeroFrequency: TypeAlias = Literal["corner", "center"]


@dataclass(frozen=True)
class Window:
    """A rectangle of detector pixels; it may reach past the detector's edge."""

    top: int
    left: int
    height: int
    width: int

    @classmethod
    def full(cls, shape: tuple[int, int]) -> Window:
        """The whole frame of ``shape`` (ny, nx)."""
        return cls(0, 0, int(shape[0]), int(shape[1]))

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.height * self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices, for a window that lies inside the frame."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    def inside(self, shape: tuple[int, int]) -> Window:
        """The part of this window that lies on a frame of ``shape``; it may be empty."""
        top, left = max(self.top, 0), max(self.left, 0)
        bottom = min(self.top + self.height, shape[0])
        right = min(self.left + self.width, shape[1])
        return Window(top, left, max(bottom - top, 0), max(right - left, 0))

    def union(self, other: Window) -> Window:
        """The smallest window that both lie in."""
        top, left = min(self.top, other.top), min(self.left, other.left)
        bottom = max(self.top + self.height, other.top + other.height)
        right = max(self.left + self.width, other.left + other.width)
        return Window(top, left, bottom - top, right - left)


@dataclass(frozen=True)
class Readiness:
    """How many frames can be read now, and whether more will come.

    Attributes
    ----------
    unconfirmed
        How many of the last frames may only be allocated space, not written yet, which looks like
        frames.
    changed_s
        When the file was last changed, if any are unconfirmed.
    """

    frames: int
    complete: bool = True
    unconfirmed: int = 0
    changed_s: float = 0.0


@runtime_checkable
class Frames(Protocol):
    """A lazily read stack of raw exposures."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, ny, nx)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Native dtype of a pixel."""

    def read(self, indices: Indices, window: Window) -> NDArray[Any]:
        """Pixels of ``window`` (inside the frame) as (len(indices), height, width)."""

    def ready(self) -> Readiness:
        """Frames readable now, and whether the stack is complete."""


class Gaps(NamedTuple):
    """Pixels (ny, nx) of a detector that were not written in any frame, and not in some frames."""

    always: Bools
    sometimes: Bools


def checked(indices: Indices, count: int, file: Path | None = None) -> NDArray[np.intp]:
    """``indices`` of a stack of ``count`` frames as an array.

    Raises
    ------
    ScanError
        An index lies outside the stack.
    """
    wanted = np.asarray(indices, np.intp)
    if wanted.size and not 0 <= wanted.min() <= wanted.max() < count:
        raise ScanError(
            f"Expected frames 0 to {count - 1}. Got {wanted.min()} to {wanted.max()}", file=file
        )
    return wanted


def increasing(
    indices: Indices, count: int, file: Path
) -> tuple[NDArray[np.intp], NDArray[np.intp] | None]:
    """:func:`checked` indices without repeats, increasing, and the position of each given one.

    The positions are None if the given indices are increasing.
    """
    wanted, inverse = np.unique(checked(indices, count, file), return_inverse=True)
    in_order = len(inverse) == len(wanted) and bool(np.all(np.diff(inverse) > 0))
    return wanted, None if in_order else inverse


class FrameStack:
    """What stacks may know in addition to :class:`Frames`; by default nothing."""

    def ready(self: Frames) -> Readiness:
        """All of them."""
        return Readiness(self.shape[0])

    def stored_in(self, indices: Ints) -> Ints:
        """A number for each frame, the same for frames that are compressed together."""
        return indices

    def written(self) -> Bools | None:
        """(n,) which frames were ever written; None = all, or unknown."""
        return None

    def gaps(self) -> Gaps | None:
        """Pixels that were not written in written frames, as stored; None = there are none."""
        return None

    def absent(self) -> Bools | None:
        """(n,) which frames are in files that cannot be read; None = no frame."""
        return None

    def continues(self, earlier: Any) -> bool:
        """Whether the frames of ``earlier`` are still the first ones, as far as is known."""
        return True


def stored_in(frames: Frames, indices: Ints) -> Ints:
    """:meth:`FrameStack.stored_in` of any frames."""
    return _stack(frames).stored_in(indices)


def written(frames: Frames) -> Bools | None:
    """:meth:`FrameStack.written` of any frames."""
    return _stack(frames).written()


def gaps(frames: Frames) -> Gaps | None:
    """:meth:`FrameStack.gaps` of any frames."""
    return _stack(frames).gaps()


def absent(frames: Frames) -> Bools | None:
    """:meth:`FrameStack.absent` of any frames."""
    return _stack(frames).absent()


def continues(frames: Frames, earlier: Frames) -> bool:
    """:meth:`FrameStack.continues` of any frames."""
    return _stack(frames).continues(earlier)


def _stack(frames: Frames) -> FrameStack:
    """The frames if they are of this package; formats of other packages need not know."""
    return frames if isinstance(frames, FrameStack) else FrameStack()


@dataclass(frozen=True)
class ArrayFrames(FrameStack):
    """Frames in memory, as an array (n, ny, nx) or one frame (ny, nx)."""

    array: NDArray[Any]

    def __post_init__(self) -> None:
        if self.array.ndim == 2:
            object.__setattr__(self, "array", self.array[None])
        if self.array.ndim != 3:
            raise ScanError(f"Expected an image or a stack of images. Got shape {self.array.shape}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, ny, nx)."""
        n, ny, nx = self.array.shape
        return n, ny, nx

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of a pixel."""
        return self.array.dtype

    def read(self, indices: Indices, window: Window) -> NDArray[Any]:
        """Pixels of ``window``, a copy."""
        rows, columns = window.slices
        return self.array[:, rows, columns][np.asarray(indices, dtype=np.intp)]


class WarnedNote(str):
    """A note that was given as a warning when the file was opened."""

    __slots__ = ()


class PersistentNote(WarnedNote):
    """A warned note that stays true of a growing scan, whatever frames arrive."""

    __slots__ = ()


@dataclass(frozen=True, eq=False)
class Scan:
    """A ptychography scan as its file describes it, in SI units.

    No frame is read when a scan is opened.

    Attributes
    ----------
    frames
        Raw exposures, shape (n, ny, nx).
    positions_m
        (m, 2) float64: where the beam hit the sample, (y, x) in metres, on the axes of the
        frames' rows and columns. ``m`` is the number of frames or of positions.
    positions_px
        (m, 2) instead, if the file has no metres: in pixels of the reconstruction from the whole
        raw frame. ``positions_m`` is then NaN, until planning converts them to metres.
    energy_eV, distance_m, pixel_m
        Photon energy or electrons' kinetic energy, sample-detector distance, detector pixel (y, x);
        ``None`` if not recorded.
    radiation
        ``photon`` or ``electron``; ``None`` if not recorded.
    focus_m
        Distance from the focus to the sample, if the file says that the beam is a cone.
    bad
        (ny, nx) bool, True = ignore this pixel.
    bad_each
        Stack (n, ny, nx) of bool, if each raw frame has a mask of its own.
    dark, flat
        Stacks (k, ny, nx) of dark and flat images: one for each raw frame of the files, or to be
        averaged.
    monitor
        (n,) incident intensity of each exposure, in any unit.
    exposure_s
        Exposure time: () or one value per exposure, or per exposure of a position.
    center_px
        Beam centre (row, column) on the detector, pixel centres at whole numbers.
    saturation
        The detector's own count limit.
    no_count
        Raw numbers at or above it mark pixels without a count.
    grid
        (rows, columns) if the positions form a raster.
    numbers
        (n,) acquisition of each frame, counted from the first exposure of the first position;
        −1 = the frame has no position. None = one after another.
    expected
        Number of frames that the file announces, if it does.
    positions_each
        Whether positions are listed per exposure, also if a position has several, or per group of
        exposures; None = the file does not say.
    listed_s
        When the list of positions was last changed, in Unix time; None if it has room for more.
    probe
        Initial probe (ny, nx), complex, if the file has one.
    stored_as
        What the stored frames are: intensity, magnitude or wave; frames of an opened scan are
        intensity. None = counts, or complex numbers of unknown meaning.
    zero_frequency
        Where the stored frames have it, pixel (0, 0) or the middle; frames of an opened scan have
        it in the middle. Images given for the detector must be laid out like the stored frames.
    format, source
        Format name and the file it came from.
    notes
        Assumptions made while reading, one sentence each; :class:`WarnedNote` if a warning
        was given.
    given
        Loader parameters with which it was opened.
    """

    frames: Frames
    positions_m: Floats
    energy_eV: float | None = None
    distance_m: float | None = None
    pixel_m: tuple[float, float] | None = None
    focus_m: float | None = None
    radiation: str | None = None
    bad: Bools | None = None
    bad_each: Frames | None = None
    dark: Frames | None = None
    flat: Frames | None = None
    monitor: Floats | None = None
    exposure_s: Floats | None = None
    center_px: tuple[float, float] | None = None
    saturation: float | None = None
    no_count: float | None = None
    grid: tuple[int, int] | None = None
    numbers: Ints | None = None
    expected: int | None = None
    positions_each: bool | None = None
    listed_s: float | None = None
    probe: Complexes | None = None
    positions_px: Floats | None = None
    stored_as: StoredAs | None = None
    zero_frequency: ZeroFrequency = "center"
    format: str = ""
    source: Path | None = None
    notes: tuple[str, ...] = ()
    given: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of raw exposures."""
        return self.frames.shape[0]

    @property
    def frame_shape(self) -> tuple[int, int]:
        """(ny, nx) of a raw frame."""
        return self.frames.shape[1:]

    def plan(self, **settings: Any) -> Plan:
        """Plan how this scan is loaded; the parameters are those of :class:`Settings`.

        Those given on opening still apply. One that changes reading opens the file again.
        """
        from .plans import plan_opened  # a layer above: the one exception in the contracts

        return plan_opened(self, settings)


SQUARED = "is taken to hold amplitudes, and squared"
"""Last words of a format's note if its file does not say what its frames are."""

SAMPLE = 64
"""Frames in a sample, evenly spread over the whole scan, whatever is selected."""


def sample_indices(n: int, size: int = SAMPLE) -> Ints:
    """At most ``size`` of ``n`` frames, evenly spread."""
    return np.unique(np.linspace(0, n - 1, min(n, size)).round().astype(np.int64))
