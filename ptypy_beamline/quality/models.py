"""What embeds pictures: principal components, or an autoencoder."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from ..arrays import Floats
from ..errors import BeamlineError

Batches = Callable[[], Iterable[Floats]]
"""Gives all pictures, batch by batch, each time it is called."""

WHOLE = 5000
"""Pictures that are embedded in one go; of more, the autoencoder learns from so many."""
PIECE = 100
"""Pictures that incremental components take at a time: more cost more each."""
HIDDEN = 64
"""Width of the autoencoder's layers before and after the code."""
EPOCHS = 200


class Model(Protocol):
    """Makes a few numbers of a picture, and a picture of them."""

    def transform(self, rows: Floats) -> Floats:
        """(n, d) → (n, k)."""

    def inverse_transform(self, code: Floats) -> Floats:
        """(n, k) → (n, d)."""


def fit(method: str, k: int, batches: Batches, count: int) -> Model:
    """A model of ``count`` pictures."""
    if method == "pca":
        return _components(k, batches, count)
    rows = np.concatenate(list(_thinned(batches(), -(-count // WHOLE))))
    scale = float(rows.std()) or 1.0
    torch = importlib.util.find_spec("torch") is not None
    network = _torch_network if torch else _perceptron
    return Autoencoder(*network(rows / scale, min(k, rows.shape[1])), scale)


def scikit_learn() -> ModuleType:
    """scikit-learn, or what to do without.

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
    """Principal components, at most as many as there are pictures and pixels."""
    scikit_learn()
    from sklearn.decomposition import PCA, IncrementalPCA
    from threadpoolctl import threadpool_limits

    if count <= WHOLE:
        rows = np.concatenate(list(batches()))
        if not np.ptp(rows, axis=0).any():
            return _Alike(rows[0])
        return PCA(min(k, *rows.shape), random_state=0).fit(rows)  # type: ignore[no-any-return]
    k = min(k, count, next(iter(batches())).shape[1])
    model: Any = IncrementalPCA(k)
    with threadpool_limits(1):  # the matrices are small: threads would wait for each other
        for rows in _pieces(max(k, PIECE), batches()):
            model.partial_fit(rows)
    return model  # type: ignore[no-any-return]


class _Alike:
    """Of pictures that do not differ: there is nothing to tell them apart by."""

    def __init__(self, picture: Floats) -> None:
        self.picture = picture

    def transform(self, rows: Floats) -> Floats:
        return np.zeros((len(rows), 1))

    def inverse_transform(self, code: Floats) -> Floats:
        return np.broadcast_to(self.picture, (len(code), len(self.picture)))


def _pieces(count: int, batches: Iterable[Floats]) -> Iterator[Floats]:
    """``count`` pictures at a time; a smaller rest is left out, unless it is all there is."""
    waiting, done = np.zeros((0, 0)), False
    for rows in batches:
        waiting = np.concatenate([waiting, rows]) if len(waiting) else rows
        while len(waiting) >= count:
            yield waiting[:count]
            waiting, done = waiting[count:], True
    if not done:
        yield waiting


class Autoencoder:
    """Four layers, tanh after each but the last; the code is what the second gives.

    Parameters
    ----------
    weights, offsets
        Of the layers.
    scale
        Pictures are divided by it.
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
    """Train scikit-learn's perceptron to give back what it gets."""
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


def _thinned(batches: Iterable[Floats], step: int) -> Iterable[Floats]:
    """Every ``step``-th picture."""
    return (rows[::step] for rows in batches)
