"""Frames compressed on all cores and written as chunks, one a frame.

HDF5 compresses in one thread; here chunks are made beforehand and handed over as they are. The
filters, HDF5's byte shuffle with zlib or with h5py's LZF (github.com/h5py/h5py, ``lzf``), are read
by every h5py without a plugin.
"""

from __future__ import annotations

from typing import Any

import h5py
import hdf5plugin
import imagecodecs
import numpy as np
from numpy.typing import NDArray

from ..errors import SettingsError
from ..output import stop_on_full_disk
from ..parallel import available_threads, pool

COMPRESSIONS: dict[str, dict[str, Any]] = {
    "gzip": {"shuffle": True, "compression": "gzip", "compression_opts": 1},
    "lzf": {"shuffle": True, "compression": "lzf"},
    "bitshuffle": dict(hdf5plugin.Bitshuffle()),
    "none": {},
}
"""Name → what h5py is told; all but bitshuffle are read without a plugin."""

NOT_COMPRESSED = 0b10
"""Filter mask of a chunk that was shuffled, the first filter, but not compressed, the second."""


class Stack:
    """A dataset (n, ny, nx) that is filled from its first frame on.

    Parameters
    ----------
    group, name
        Where it is.
    shape, dtype
        Of all frames.
    compression
        One of ``COMPRESSIONS``.

    Raises
    ------
    SettingsError
        An unknown compression.
    """

    def __init__(
        self,
        group: h5py.Group,
        name: str,
        shape: tuple[int, ...],
        dtype: np.dtype[Any] | type,
        compression: str = "gzip",
    ) -> None:
        if compression not in COMPRESSIONS:
            raise SettingsError(f"compression {compression!r}", "use gzip, bitshuffle or none")
        self._compression, self._done = compression, 0
        chunks = None if compression == "none" else (1, *shape[1:])
        self.dataset = group.create_dataset(
            name, shape, dtype, chunks=chunks, **COMPRESSIONS[compression]
        )

    def append(self, frames: NDArray[Any]) -> None:
        """Write frames (k, ny, nx); those that share one image (stride 0) are compressed once."""
        stop_on_full_disk()
        start, self._done = self._done, self._done + len(frames)
        if not frames.size:
            return
        if self._compression not in ENCODERS:
            self.dataset[start : self._done] = frames
            return
        shared = not frames.strides[0]
        images = np.asarray(frames[:1] if shared else frames, self.dataset.dtype)
        made = pool(available_threads()).map(ENCODERS[self._compression], images)
        chunks = [next(made)] * len(frames) if shared else made
        corner = (0,) * (frames.ndim - 1)
        for number, (mask, chunk) in enumerate(chunks, start):
            self.dataset.id.write_direct_chunk((number, *corner), chunk, mask)


def write_frames(group: h5py.Group, name: str, frames: NDArray[Any]) -> h5py.Dataset:
    """Write a whole stack (n, ny, nx), with LZF: PtyPy reads it fastest."""
    stack = Stack(group, name, frames.shape, frames.dtype, "lzf")
    stack.append(frames)
    return stack.dataset


def _shuffled(frame: NDArray[Any]) -> bytes:
    flat = np.ascontiguousarray(frame)
    planes: bytes = flat.view(np.uint8).reshape(-1, frame.dtype.itemsize).T.tobytes()
    return planes


def _gzip(frame: NDArray[Any]) -> tuple[int, bytes]:
    """Filter mask and chunk."""
    return 0, bytes(imagecodecs.deflate_encode(_shuffled(frame), level=1))


def _lzf(frame: NDArray[Any]) -> tuple[int, bytes]:
    """Filter mask and chunk."""
    data = _shuffled(frame)
    try:
        return 0, bytes(imagecodecs.lzf_encode(data, out=len(data) - 1))
    except imagecodecs.LzfError:  # it would not be shorter
        return NOT_COMPRESSED, data


ENCODERS = {"gzip": _gzip, "lzf": _lzf}
"""Compressions that are made here, on all cores."""
