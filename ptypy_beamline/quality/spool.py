"""Binned frames on disk, so that memory does not grow with the scan."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from copy import copy
from pathlib import Path

import numpy as np

from ..arrays import Float32s, Floats
from ..output import written

BATCH = 1000
"""Pictures that are in memory at once."""


class Spool:
    """Binned frames, written one block after another to a temporary file and read in batches."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="ptypy-beamline-qc-")  # noqa: SIM115
        self._shape: tuple[int, ...] = ()
        self._count = 0
        self._factor: Floats | None = None

    def scaled(self, factor: Floats) -> Spool:
        """The same pictures with ``factor`` (n,) times the counts, as they are read."""
        other = copy(self)
        other._factor = factor
        return other

    def __len__(self) -> int:
        """Number of pictures."""
        return self._count

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, images: Float32s) -> None:
        """Write (k, s, s) counts behind the others."""
        self._shape = images.shape[1:]
        with written(Path(tempfile.gettempdir()), "make room there, or set TMPDIR"):
            self._file.seek(0, 2)
            self._file.write(np.ascontiguousarray(images, np.float32).tobytes())
            self._file.flush()
        self._count += len(images)

    def batches(self, size: int = BATCH) -> Iterator[Float32s]:
        """All of them in order, ``size`` at a time."""
        one = math.prod(self._shape) * 4
        for start in range(0, self._count, size):
            self._file.seek(start * one)
            data = self._file.read(min(size, self._count - start) * one)
            images = np.frombuffer(data, np.float32).reshape(-1, *self._shape)
            if self._factor is not None:
                some = self._factor[start : start + len(images), None, None]
                images = np.asarray(images * some, np.float32)
            yield images
