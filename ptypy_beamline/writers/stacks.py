"""Stacks of frames, compressed on all cores and written as one chunk per frame, and bad pixels.

HDF5 compresses in one thread; here chunks are compressed first and then written directly. Every
h5py reads the filters without a plugin: HDF5's byte shuffle with zlib or with h5py's LZF
(github.com/h5py/h5py, ``lzf``).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import h5py
import hdf5plugin
import imagecodecs
import numpy as np
from numpy.typing import NDArray

from ..arrays import Bools
from ..errors import SettingsError
from ..output.hdf5 import stop_on_full_disk
from ..parallel import available_threads, pool

COMPRESSIONS: dict[str, dict[str, Any]] = {
    "gzip": {"shuffle": True, "compression": "gzip", "compression_opts": 1},
    "lzf": {"shuffle": True, "compression": "lzf"},
    "bitshuffle": dict(hdf5plugin.Bitshuffle()),
    "none": {},
}
"""Name → options of h5py; only bitshuffle needs a plugin to be read."""

NOT_COMPRESSED = 0b10
"""Filter mask of a chunk that is shuffled (the first filter) but not compressed."""


class StackWriter:
    """A dataset (n, ny, nx) that is written from its first frame on.

    Parameters
    ----------
    group, name
        Its group and name.
    shape, dtype
        Of the whole stack.
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
        """Write frames (k, ny, nx); if they share one image (stride 0) it is compressed once."""
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
    """Write a whole stack (n, ny, nx) with LZF, which PtyPy reads fastest."""
    stack = StackWriter(group, name, frames.shape, frames.dtype, "lzf")
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
    except imagecodecs.LzfError:  # it would not be smaller
        return NOT_COMPRESSED, data


ENCODERS = {"gzip": _gzip, "lzf": _lzf}
"""Compressions that are done here, on all cores."""


class BadPixels:
    """The bad pixels of frames, collected block by block and kept compressed.

    Parameters
    ----------
    shape
        (ny, nx) of a frame.

    Attributes
    ----------
    ever, always
        (ny, nx) bad in any frame, and in every frame.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self._shape = shape
        self.ever, self._never = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
        self._parts: list[tuple[int, bool, bytes]] = []

    def add(self, good: Bools) -> None:
        """Add the next frames by their good pixels (k, ny, nx); stride 0: one image for all."""
        if not len(good):
            return
        shared_image = len(good) == 1 or not good.strides[0]
        images = ~good[:1] if shared_image else ~good
        self.ever |= images.any(axis=0)
        self._never |= ~images.all(axis=0)
        packed = zlib.compress(np.packbits(images).tobytes(), 1)
        self._parts.append((len(good), shared_image, packed))

    @property
    def always(self) -> Bools:
        """(ny, nx) bad in every frame."""
        return ~self._never

    @property
    def shared(self) -> bool:
        """Whether all frames have the same bad pixels."""
        return bool((self.ever == self.always).all())

    @property
    def own(self) -> int:
        """Number of pixels that are bad in single frames only."""
        always = int(self.always.sum())
        return sum(
            int((n if shared_image else 1) * images.sum()) - n * always
            for n, shared_image, images in self._images()
        )

    def stacks(self) -> Iterator[Bools]:
        """The bad pixels of all frames in order, as (k, ny, nx)."""
        for n, shared_image, images in self._images():
            yield np.broadcast_to(images, (n, *self._shape)) if shared_image else images

    def _images(self) -> Iterator[tuple[int, bool, Bools]]:
        pixels = self._shape[0] * self._shape[1]
        for n, shared_image, packed in self._parts:
            count = 1 if shared_image else n
            bits = np.frombuffer(zlib.decompress(packed), np.uint8)
            images = np.unpackbits(bits, count=count * pixels).reshape(count, *self._shape)
            yield n, shared_image, images.astype(np.bool_)

    def write(self, group: h5py.Group, name: str) -> h5py.Dataset:
        """Write uint8, 1 = bad: (ny, nx) if all frames share them, else (n, ny, nx)."""
        if self.shared:
            dataset = group.create_dataset(name, data=self.always.astype(np.uint8))
        else:
            dataset = self.write_each(group, name)
        dataset.attrs["description"] = "1 = bad"
        return dataset

    def write_each(self, group: h5py.Group, name: str) -> h5py.Dataset:
        """Write (n, ny, nx) uint8, 1 = bad."""
        count = sum(n for n, _, _ in self._parts)
        stack = StackWriter(group, name, (count, *self._shape), np.uint8)
        for bad in self.stacks():
            stack.append(bad)
        return stack.dataset
