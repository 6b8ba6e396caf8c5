"""Frames compressed on all cores and written as chunks, one a frame.

HDF5 compresses in one thread; here chunks are made beforehand and handed over as they are. The
filters, HDF5's byte shuffle and h5py's LZF (github.com/h5py/h5py, ``lzf``), are read by every h5py
without a plugin.
"""

from __future__ import annotations

from typing import Any

import h5py
import imagecodecs
import numpy as np
from numpy.typing import NDArray

from ..planning.threads import available_threads, pool

NOT_COMPRESSED = 0b10
"""Filter mask of a chunk that was shuffled, the first filter, but not compressed, the second."""


def write_frames(group: h5py.Group, name: str, frames: NDArray[Any]) -> h5py.Dataset:
    """Write a stack (n, ny, nx); frames that share one image (stride 0) are compressed once."""
    shape = frames.shape
    dataset = group.create_dataset(
        name, shape, frames.dtype, chunks=(1, *shape[1:]), shuffle=True, compression="lzf"
    )
    shared = shape[0] > 0 and not frames.strides[0]
    made = pool(available_threads()).map(_encoded, frames[:1] if shared else frames)
    chunks = [next(made)] * shape[0] if shared else made
    for number, (mask, chunk) in enumerate(chunks):
        dataset.id.write_direct_chunk((number, *(0 for _ in shape[1:])), chunk, mask)
    return dataset


def _encoded(frame: NDArray[Any]) -> tuple[int, bytes]:
    """Filter mask and chunk."""
    flat = np.ascontiguousarray(frame)
    data = flat.view(np.uint8).reshape(-1, frame.dtype.itemsize).T.tobytes()
    try:
        return 0, bytes(imagecodecs.lzf_encode(data, out=len(data) - 1))
    except imagecodecs.LzfError:  # it would not be shorter
        return NOT_COMPRESSED, data
