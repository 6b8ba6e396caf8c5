"""Frames as PtychoPINN wants them: amplitudes, and positions in pixels; a block at a time."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ...arrays import Float32s, Floats, Ints, Numbers
from ...errors import MissingDataError, ScanError
from ...formats.npz import CENTER, frames_axis, own_mask
from ...frames.npz import Member, NpzFrames, members
from ...planning.plan import BLOCK_BYTES, Block, Plan
from ...scan import Window
from ...writers.badpixels import BadPixels
from ..model import Reconstruction

COUNTS, AMPLITUDES = "diff3d", "diffraction"
"""PtychoPINN's two names of frames; whole numbers are counts under either."""
PLACES = ("ycoords", "xcoords", "scan_index")
"""PtychoPINN's names of where the frames were taken."""


@dataclass(frozen=True, eq=False)
class Amplitudes:
    """A stack of frames that need not fit into memory.

    Attributes
    ----------
    shape
        (n, ny, nx).
    blocks
        Gives all frames in order, as (k, ny, nx) float32 roots of counts; NaN where bad.
    center_px
        Beam centre (row, column) in a frame; None = not known.
    coordinates_px
        (n, 2) row, column as the frames' own file has them; None = pixels of the object.
    scan_index
        (n,) likewise; None = the raw frame of each position.
    """

    shape: tuple[int, int, int]
    blocks: Callable[[], Iterator[Float32s]]
    center_px: tuple[float, float] | None = None
    coordinates_px: Floats | None = None
    scan_index: Ints | None = None

    def checked(self, count: int) -> Amplitudes:
        """These, if there are ``count``.

        Raises
        ------
        ScanError
            There are not.
        """
        if self.shape[0] != count:
            raise ScanError(
                f"Expected a frame for each of {count} positions. Got {self.shape[0]}",
                "give the frames of this reconstruction",
            )
        return self


def of_plan(plan: Plan) -> Amplitudes:
    """The corrected frames of ``plan``."""
    shape = (len(plan), *plan.geometry.shape)
    return Amplitudes(shape, lambda: map(_marked, plan.blocks()), plan.geometry.center_px)


def _marked(block: Block) -> Float32s:
    return np.where(block.good, np.sqrt(block.frames), np.float32(np.nan))


def without_nan(stack: Float32s, bad: BadPixels) -> Float32s:
    """A stack with 0 for NaN, which ``bad`` notes: other programs read it as numbers."""
    good = ~np.isnan(stack)
    bad.add(np.broadcast_to(good[:1], good.shape) if (good == good[:1]).all() else good)
    return np.where(good, stack, np.float32(0))


def of_npz(path: Path, count: int) -> Amplitudes:
    """The ``count`` frames of a PtychoPINN NPZ, bad where its ``mask`` says so, if it has one.

    A compressed array in C order is decompressed as a stream; one that is not is mapped.

    Raises
    ------
    FileError
        The file is damaged.
    MissingDataError
        It has no frames.
    ScanError
        No axis of them has ``count`` entries.
    """
    known = members(path)
    name = next((name for name in (AMPLITUDES, COUNTS) if name in known), None)
    if name is None:
        raise MissingDataError(
            f"Expected an array {AMPLITUDES} or {COUNTS}. Got {', '.join(known)}",
            "add --no-include-diffraction",
            path,
        )
    member = Member(path, name)
    axis = frames_axis(NpzFrames(member).shape, (count, count), name)
    frames = NpzFrames(member, axis)
    streamed = axis == 0 and _streamable(path, name)
    mask = own_mask(path, frames.shape)

    def blocks() -> Iterator[Float32s]:
        stacks = map(_roots, _stream(path, name) if streamed else _read(frames))
        return stacks if mask is None else _masked(stacks, mask)

    center = Member(path, CENTER).array.ravel() if CENTER in known else None
    own = {key: Member(path, key).array.ravel() for key in PLACES if key in known}
    rows_columns = [own[key] for key in PLACES[:2] if key in own]
    return Amplitudes(
        frames.shape,
        blocks,
        None if center is None else tuple(center.tolist()),
        np.stack(rows_columns, axis=1).astype(np.float64) if len(rows_columns) == 2 else None,
        own[PLACES[2]].astype(np.int64) if PLACES[2] in own else None,
    )


def _masked(stacks: Iterator[Float32s], mask: NDArray[Any]) -> Iterator[Float32s]:
    """NaN where a mask of all frames, or one for each frame, says bad."""
    done = 0
    for stack in stacks:
        bad = mask if mask.ndim == 2 else mask[done : done + len(stack)]
        done += len(stack)
        yield np.where(bad != 0, np.float32(np.nan), stack)


def centres_px(found: Reconstruction) -> Floats:
    """(n, 2) row, column in the object of the probe's pixel (N - 1)/2, possibly fractional."""
    half = (np.array(found.object.shape[-2:]) - 1) / 2
    return np.asarray((found.positions_m - found.center_m) / np.array(found.pixel_m) + half)


def _roots(stack: Numbers) -> Float32s:
    """Amplitudes stay, counts become such."""
    if stack.dtype.kind == "f":
        return stack.astype(np.float32)
    return np.asarray(np.sqrt(stack, dtype=np.float64), np.float32)


def _size(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> int:
    """Frames in a block."""
    return max(1, BLOCK_BYTES // (int(np.prod(shape[-2:])) * dtype.itemsize))


def _read(frames: NpzFrames) -> Iterator[Numbers]:
    n, height, width = frames.shape
    size = _size(frames.shape, frames.dtype)
    for start in range(0, n, size):
        yield frames.read(np.arange(start, min(start + size, n)), Window(0, 0, height, width))


def _streamable(path: Path, name: str) -> bool:
    """Whether an array is compressed, and frame after frame."""
    with zipfile.ZipFile(path) as file, file.open(f"{name}.npy") as raw:
        _, fortran, _ = _header(cast(BinaryIO, raw))
        return not fortran and file.getinfo(f"{name}.npy").compress_type != zipfile.ZIP_STORED


def _stream(path: Path, name: str) -> Iterator[Numbers]:
    with zipfile.ZipFile(path) as file, file.open(f"{name}.npy") as raw:
        shape, _, dtype = _header(cast(BinaryIO, raw))
        frame = int(np.prod(shape[-2:])) * dtype.itemsize
        while piece := raw.read(_size(shape, dtype) * frame):
            yield np.frombuffer(piece, dtype).reshape(-1, *shape[-2:])


def _header(stream: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    read = (
        npy.read_array_header_1_0
        if npy.read_magic(stream) == (1, 0)
        else (npy.read_array_header_2_0)
    )
    shape, fortran, dtype = read(stream)
    return shape, fortran, dtype
