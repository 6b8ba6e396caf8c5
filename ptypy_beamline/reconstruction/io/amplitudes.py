"""Frames in PtychoPINN's form: amplitudes, and positions in pixels; a block at a time."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from ...arrays import Float32s, Floats, Ints, Numbers
from ...errors import MissingDataError, ScanError
from ...formats.npz import CENTER, frames_axis, own_mask
from ...frames.npy import read_header
from ...frames.npz import Member, NpzFrames, members
from ...planning.plan import BLOCK_BYTES, Plan
from ...planning.streaming import Block
from ...scan import Window
from ...writers.stacks import BadPixels

COUNTS, AMPLITUDES = "diff3d", "diffraction"
"""PtychoPINN's two names of frames; integers are counts under either."""
COORDINATES = ("ycoords", "xcoords", "scan_index")
"""PtychoPINN's names of the positions, in pixels, and of the scan that each belongs to."""


@dataclass(frozen=True, eq=False)
class Amplitudes:
    """A stack of frames that need not fit into memory.

    Attributes
    ----------
    shape
        (n, ny, nx).
    blocks
        Yields all frames in order, as (k, ny, nx) float32 square roots of counts; NaN where bad.
    center_px
        Beam centre (row, column) in a frame; None = unknown.
    coordinates_px
        (n, 2) row, column from the frames' own file; None = pixels of the object.
    scan_index
        (n,) likewise; None = the raw frame of each position.
    """

    shape: tuple[int, int, int]
    blocks: Callable[[], Iterator[Float32s]]
    center_px: tuple[float, float] | None = None
    coordinates_px: Floats | None = None
    scan_index: Ints | None = None

    def checked(self, count: int) -> Amplitudes:
        """These frames, if there are ``count``.

        Raises
        ------
        ScanError
            There are more or fewer.
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
    return Amplitudes(shape, lambda: map(_nan_where_bad, plan.blocks()), plan.geometry.center_px)


def _nan_where_bad(block: Block) -> Float32s:
    return np.where(block.good, np.sqrt(block.frames), np.float32(np.nan))


def without_nan(stack: Float32s, bad: BadPixels) -> Float32s:
    """A stack with 0 for NaN, for other programs; ``bad`` records these pixels."""
    good = ~np.isnan(stack)
    bad.add(np.broadcast_to(good[:1], good.shape) if (good == good[:1]).all() else good)
    return np.where(good, stack, np.float32(0))


def of_npz(path: Path, count: int) -> Amplitudes:
    """The ``count`` frames of a PtychoPINN NPZ, bad where its ``mask`` says so, if it has one.

    A compressed array in C order is decompressed as a stream; any other is memory-mapped.

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
        stacks = map(_as_amplitudes, _stream(path, name) if streamed else _read(frames))
        return stacks if mask is None else _masked(stacks, mask)

    center = Member(path, CENTER).array.ravel() if CENTER in known else None
    own = {key: Member(path, key).array.ravel() for key in COORDINATES if key in known}
    rows_columns = [own[key] for key in COORDINATES[:2] if key in own]
    return Amplitudes(
        frames.shape,
        blocks,
        None if center is None else tuple(center.tolist()),
        np.stack(rows_columns, axis=1).astype(np.float64) if len(rows_columns) == 2 else None,
        own[COORDINATES[2]].astype(np.int64) if COORDINATES[2] in own else None,
    )


def _masked(stacks: Iterator[Float32s], mask: NDArray[Any]) -> Iterator[Float32s]:
    """NaN where a mask of all frames, or one for each frame, says bad."""
    done = 0
    for stack in stacks:
        bad = mask if mask.ndim == 2 else mask[done : done + len(stack)]
        done += len(stack)
        yield np.where(bad != 0, np.float32(np.nan), stack)


def _as_amplitudes(stack: Numbers) -> Float32s:
    """Amplitudes unchanged; square roots of counts."""
    if stack.dtype.kind == "f":
        return stack.astype(np.float32)
    return np.asarray(np.sqrt(stack, dtype=np.float64), np.float32)


def _block_length(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> int:
    """Number of frames in a block."""
    return max(1, BLOCK_BYTES // (int(np.prod(shape[-2:])) * dtype.itemsize))


def _read(frames: NpzFrames) -> Iterator[Numbers]:
    n, height, width = frames.shape
    size = _block_length(frames.shape, frames.dtype)
    for start in range(0, n, size):
        yield frames.read(np.arange(start, min(start + size, n)), Window(0, 0, height, width))


def _streamable(path: Path, name: str) -> bool:
    """Whether an array is compressed and stored frame after frame."""
    with zipfile.ZipFile(path) as file, file.open(f"{name}.npy") as raw:
        fortran = read_header(cast(BinaryIO, raw)).fortran
        return not fortran and file.getinfo(f"{name}.npy").compress_type != zipfile.ZIP_STORED


def _stream(path: Path, name: str) -> Iterator[Numbers]:
    with zipfile.ZipFile(path) as file, file.open(f"{name}.npy") as raw:
        header = read_header(cast(BinaryIO, raw))
        shape, dtype = header.shape, header.dtype
        frame = int(np.prod(shape[-2:])) * dtype.itemsize
        while piece := raw.read(_block_length(shape, dtype) * frame):
            yield np.frombuffer(piece, dtype).reshape(-1, *shape[-2:])
