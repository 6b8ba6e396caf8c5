"""Images of frames, each described by a few numbers and a residual, and classes of images."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from ..arrays import Float32s, Floats, Ints
from ..errors import BeamlineError
from ..statistics.measurements import BinnedFrames

AT_ONCE = 5000
"""Images embedded at a time; the autoencoder is trained on at most this many."""
PER_STEP = 100
"""Images per step of the incremental PCA: more take longer each."""
HIDDEN = 64
"""Width of the autoencoder's layers before and after the code."""
EPOCHS = 200

Batches = Callable[[], Iterable[Floats]]
"""Gives all images, batch by batch, each time it is called."""


@dataclass(frozen=True, eq=False)
class Embedding:
    """Coordinates of each image in the embedding.

    Attributes
    ----------
    level
        (n,) logarithm of its counts.
    code
        (n, k) coordinates that describe most of the remaining differences.
    residual
        (n,) norm of what they do not describe.
    scale
        How far a change of ``level`` by 1 moves an image.
    """

    level: Floats
    code: Floats
    residual: Floats
    scale: float

    @property
    def points(self) -> Floats:
        """(n, 1 + k): level and code on one scale."""
        return np.column_stack([self.level * self.scale, self.code])


@dataclass(frozen=True, eq=False)
class _LogImages:
    """The logarithms of binned frames, and their mean."""

    binned: BinnedFrames
    mean: Floats

    @classmethod
    def of(cls, binned: BinnedFrames) -> _LogImages:
        total = np.sum([_rows(images).sum(0) for images in binned.batches()], axis=0)
        return cls(binned, total / len(binned))

    @property
    def square(self) -> float:
        return max(float(self.mean @ self.mean), 1e-12)

    def __iter__(self) -> Iterator[tuple[Floats, Floats]]:
        """Levels (b,), and the images without their component along the mean (b, d), by batches."""
        for images in self.binned.batches():
            rows = _rows(images)
            share = rows @ self.mean / self.square
            level = np.log1p((images * _window(images.shape[1:])).sum((1, 2), dtype=np.float64))
            yield level, rows - share[:, None] * self.mean


def embed(binned: BinnedFrames, k: int = 12, method: str = "pca") -> Embedding:
    """Embed all frames in ``k`` numbers each.

    Parameters
    ----------
    method
        ``pca`` (scikit-learn's, incremental above 5,000 frames), or ``autoencoder``
        (PyTorch's where it is installed, else scikit-learn's perceptron).

    Raises
    ------
    BeamlineError
        scikit-learn is not installed.
    """
    images = _LogImages.of(binned)
    model = _fit(method, k, lambda: (rows for _, rows in images), len(binned))
    found = []
    for level, rows in images:
        code = np.asarray(model.transform(rows), np.float64)
        rest = rows - model.inverse_transform(code)
        found.append((level, code, np.sqrt((rest**2).sum(1))))
    level, code, residual = (np.concatenate(part) for part in zip(*found, strict=True))
    return Embedding(level, code, residual, float(np.sqrt(images.square)))


def _rows(images: Float32s) -> Floats:
    """Logarithm of the counts, windowed, one image per row."""
    return np.asarray(np.log1p(images) * _window(images.shape[1:]), np.float64).reshape(
        len(images), -1
    )


def _window(shape: tuple[int, ...]) -> Floats:
    """1 up to three quarters of the way to the edge, then falling to 0 before the corners."""
    axes = [(np.arange(n) + 0.5 - n / 2) / (n / 2) for n in shape]
    radius = np.hypot(axes[0][:, None], axes[1])
    return np.asarray(np.cos(np.clip((radius - 0.75) / 0.5, 0, 1) * np.pi / 2) ** 2)


def classes(embedding: Embedding, count: int) -> Ints:
    """(n,) class of similar frames, 0 the largest; −1 for all where ``count`` is 0.

    K-means on the embedded images (scikit-learn's).
    """
    points = embedding.points
    count = min(count, len(np.unique(points.round(9), axis=0)))
    if not count:
        return np.full(len(points), -1)
    scikit_learn()
    from sklearn.cluster import MiniBatchKMeans

    found = MiniBatchKMeans(count, random_state=0, n_init=10, batch_size=2048).fit_predict(points)
    sizes = np.bincount(found, minlength=count)
    number = np.empty(count, np.int64)
    number[np.argsort(-sizes, kind="stable")] = np.arange(count)
    return np.asarray(number[found], np.int64)


class Model(Protocol):
    """Encodes an image in a few numbers, and decodes it."""

    def transform(self, rows: Floats) -> Floats:
        """(n, d) → (n, k)."""

    def inverse_transform(self, code: Floats) -> Floats:
        """(n, k) → (n, d)."""


def _fit(method: str, k: int, batches: Batches, count: int) -> Model:
    """A model of ``count`` images."""
    if method == "pca":
        return _components(k, batches, count)
    every = -(-count // AT_ONCE)
    rows = np.concatenate([images[::every] for images in batches()])
    scale = float(rows.std()) or 1.0
    torch = importlib.util.find_spec("torch") is not None
    train = _torch_network if torch else _perceptron
    return _Autoencoder(*train(rows / scale, min(k, rows.shape[1])), scale)


def scikit_learn() -> ModuleType:
    """scikit-learn, or an error that says how to install it.

    Raises
    ------
    BeamlineError
        It is not installed.
    """
    try:
        import sklearn
    except ImportError as error:
        raise BeamlineError(
            "quality control needs scikit-learn", "pip install scikit-learn"
        ) from error
    module: ModuleType = sklearn
    return module


def _components(k: int, batches: Batches, count: int) -> Model:
    """Principal components, at most as many as there are images and pixels."""
    scikit_learn()
    from sklearn.decomposition import PCA, IncrementalPCA
    from threadpoolctl import threadpool_limits

    if count <= AT_ONCE:
        rows = np.concatenate(list(batches()))
        if not np.ptp(rows, axis=0).any():
            return _Constant(rows[0])
        return PCA(min(k, *rows.shape), random_state=0).fit(rows)  # type: ignore[no-any-return]
    k = min(k, count, next(iter(batches())).shape[1])
    model: Any = IncrementalPCA(k)
    with threadpool_limits(1):  # the matrices are too small for several threads
        for rows in _in_steps(max(k, PER_STEP), batches()):
            model.partial_fit(rows)
    return model  # type: ignore[no-any-return]


class _Constant:
    """The model of images that are all equal."""

    def __init__(self, image: Floats) -> None:
        self.image = image

    def transform(self, rows: Floats) -> Floats:
        return np.zeros((len(rows), 1))

    def inverse_transform(self, code: Floats) -> Floats:
        return np.broadcast_to(self.image, (len(code), len(self.image)))


def _in_steps(count: int, batches: Iterable[Floats]) -> Iterator[Floats]:
    """``count`` images at a time; a smaller remainder is dropped, unless it is all there is."""
    waiting, done = np.zeros((0, 0)), False
    for rows in batches:
        waiting = np.concatenate([waiting, rows]) if len(waiting) else rows
        while len(waiting) >= count:
            yield waiting[:count]
            waiting, done = waiting[count:], True
    if not done:
        yield waiting


class _Autoencoder:
    """Four layers, tanh after each but the last; the code is the output of the second.

    Parameters
    ----------
    weights, offsets
        Of the layers.
    scale
        Images are divided by it.
    """

    def __init__(self, weights: list[Floats], offsets: list[Floats], scale: float) -> None:
        self.layers, self.scale = list(zip(weights, offsets, strict=True)), scale

    def transform(self, rows: Floats) -> Floats:
        """(n, d) → (n, k)."""
        values = rows / self.scale
        for weight, offset in self.layers[:2]:
            values = np.tanh(values @ weight + offset)
        return values

    def inverse_transform(self, code: Floats) -> Floats:
        """(n, k) → (n, d)."""
        (weight, offset), (last, shift) = self.layers[2:]
        return np.asarray((np.tanh(code @ weight + offset) @ last + shift) * self.scale, np.float64)


Layers = tuple[list[Floats], list[Floats]]


def _perceptron(rows: Floats, k: int) -> Layers:
    """Train scikit-learn's perceptron to reproduce its input."""
    scikit_learn()
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    network = MLPRegressor(
        hidden_layer_sizes=(HIDDEN, k, HIDDEN), activation="tanh", max_iter=EPOCHS, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(rows, rows)
    return network.coefs_, network.intercepts_


def _torch_network(rows: Floats, k: int) -> Layers:
    """The same with PyTorch, on its GPU where it has one."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    sizes = (rows.shape[1], HIDDEN, k, HIDDEN, rows.shape[1])
    layers = [nn.Linear(a, b) for a, b in pairwise(sizes)]
    network = nn.Sequential(
        layers[0], nn.Tanh(), layers[1], nn.Tanh(), layers[2], nn.Tanh(), layers[3]
    ).to(device)
    data = torch.as_tensor(rows, dtype=torch.float32, device=device)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    for _ in range(EPOCHS):
        for part in torch.randperm(len(data), device=device).split(200):
            optimizer.zero_grad()
            nn.functional.mse_loss(network(data[part]), data[part]).backward()
            optimizer.step()
    state = [
        (layer.weight.detach().cpu().double().numpy().T, layer.bias.detach().cpu().double().numpy())
        for layer in layers
    ]
    return [weight for weight, _ in state], [offset for _, offset in state]
