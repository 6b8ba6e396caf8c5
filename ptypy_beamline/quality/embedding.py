"""Pictures of frames, embedded in a few numbers: what they have in common, and what is left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..arrays import Float32s, Floats
from . import models
from .spool import Spool


@dataclass(frozen=True, eq=False)
class Embedding:
    """Where each picture lies among all.

    Attributes
    ----------
    level
        (n,) logarithm of its counts.
    code
        (n, k) the k numbers that say most of what else differs.
    residual
        (n,) root of the summed squares of what they do not say.
    scale
        How far a change of ``level`` by 1 moves a picture.
    """

    level: Floats
    code: Floats
    residual: Floats
    scale: float

    @property
    def place(self) -> Floats:
        """(n, 1 + k): level and code on one scale."""
        return np.column_stack([self.level * self.scale, self.code])


@dataclass(frozen=True, eq=False)
class _Pictures:
    """The logarithmic pictures of a spool, and the mean one."""

    spool: Spool
    mean: Floats

    @classmethod
    def of(cls, spool: Spool) -> _Pictures:
        total = np.sum([_rows(images).sum(0) for images in spool.batches()], axis=0)
        return cls(spool, total / len(spool))

    @property
    def square(self) -> float:
        return max(float(self.mean @ self.mean), 1e-12)

    def __iter__(self) -> Iterator[tuple[Floats, Floats]]:
        """Levels (b,), and the pictures without what the mean one explains (b, d), by batches."""
        for images in self.spool.batches():
            rows = _rows(images)
            share = rows @ self.mean / self.square
            level = np.log1p((images * _fade(images.shape[1:])).sum((1, 2), dtype=np.float64))
            yield level, rows - share[:, None] * self.mean


def embed(spool: Spool, k: int = 12, method: str = "pca") -> Embedding:
    """Embed all pictures of a spool in ``k`` numbers each.

    Parameters
    ----------
    method
        ``pca`` (scikit-learn's, incremental above 5,000 pictures), or ``autoencoder``
        (PyTorch's where it is installed, else scikit-learn's perceptron).

    Raises
    ------
    BeamlineError
        scikit-learn is not installed.
    """
    pictures = _Pictures.of(spool)
    model = models.fit(method, k, lambda: (rows for _, rows in pictures), len(spool))
    found = []
    for level, rows in pictures:
        code = np.asarray(model.transform(rows), np.float64)
        rest = rows - model.inverse_transform(code)
        found.append((level, code, np.sqrt((rest**2).sum(1))))
    level, code, residual = (np.concatenate(part) for part in zip(*found, strict=True))
    return Embedding(level, code, residual, float(np.sqrt(pictures.square)))


def _rows(images: Float32s) -> Floats:
    """Logarithm of the counts, fading towards the frame's edge, a picture a row."""
    return np.asarray(np.log1p(images) * _fade(images.shape[1:]), np.float64).reshape(
        len(images), -1
    )


def _fade(shape: tuple[int, ...]) -> Floats:
    """1 up to three quarters of the way to the edge, then to 0 at the corners' circle."""
    axes = [(np.arange(n) + 0.5 - n / 2) / (n / 2) for n in shape]
    radius = np.hypot(axes[0][:, None], axes[1])
    return np.asarray(np.cos(np.clip((radius - 0.75) / 0.5, 0, 1) * np.pi / 2) ** 2)
