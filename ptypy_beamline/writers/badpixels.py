"""Bad pixels of frames that are being written: one image while all frames share it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import h5py
import numpy as np

from ..arrays import Bools
from .chunks import Stack


class BadPixels:
    """Collects the bad pixels of frames, block by block; they are kept compressed.

    Parameters
    ----------
    shape
        (ny, nx) of a frame.

    Attributes
    ----------
    ever, always
        (ny, nx) bad in some frame, and in every one.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self._shape = shape
        self.ever, self._never = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
        self._parts: list[tuple[int, bool, bytes]] = []

    def add(self, good: Bools) -> None:
        """Note the next frames, by their good pixels (k, ny, nx); stride 0: one image for all."""
        if not len(good):
            return
        alike = len(good) == 1 or not good.strides[0]
        images = ~good[:1] if alike else ~good
        self.ever |= images.any(axis=0)
        self._never |= ~images.all(axis=0)
        packed = zlib.compress(np.packbits(images).tobytes(), 1)
        self._parts.append((len(good), alike, packed))

    @property
    def always(self) -> Bools:
        """(ny, nx) bad in every frame."""
        return ~self._never

    @property
    def shared(self) -> bool:
        """Whether all frames have the same ones."""
        return bool((self.ever == self.always).all())

    @property
    def own(self) -> int:
        """Pixels that are bad in their frame and not in every frame."""
        always = int(self.always.sum())
        return sum(
            int((n if alike else 1) * images.sum()) - n * always
            for n, alike, images in self._images()
        )

    def stacks(self) -> Iterator[Bools]:
        """Those of all frames in order, as (k, ny, nx)."""
        for n, alike, images in self._images():
            yield np.broadcast_to(images, (n, *self._shape)) if alike else images

    def _images(self) -> Iterator[tuple[int, bool, Bools]]:
        pixels = self._shape[0] * self._shape[1]
        for n, alike, packed in self._parts:
            count = 1 if alike else n
            bits = np.frombuffer(zlib.decompress(packed), np.uint8)
            images = np.unpackbits(bits, count=count * pixels).reshape(count, *self._shape)
            yield n, alike, images.astype(np.bool_)

    def write(self, group: h5py.Group, name: str) -> h5py.Dataset:
        """Write uint8, 1 = bad: (ny, nx) where all frames share them, else (n, ny, nx)."""
        if self.shared:
            dataset = group.create_dataset(name, data=self.always.astype(np.uint8))
        else:
            dataset = self.write_each(group, name)
        dataset.attrs["description"] = "1 = bad"
        return dataset

    def write_each(self, group: h5py.Group, name: str) -> h5py.Dataset:
        """Write (n, ny, nx) uint8, 1 = bad."""
        count = sum(n for n, _, _ in self._parts)
        stack = Stack(group, name, (count, *self._shape), np.uint8)
        for bad in self.stacks():
            stack.append(bad)
        return stack.dataset
