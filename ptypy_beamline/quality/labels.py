"""Classes of frames that look alike, found without being told of any."""

from __future__ import annotations

import numpy as np

from ..arrays import Ints
from .embedding import Embedding
from .models import scikit_learn


def classes(embedding: Embedding, count: int) -> Ints:
    """(n,) class of each frame, 0 the largest; −1 for all where ``count`` is 0.

    K-means on the embedded pictures (scikit-learn's).
    """
    place = embedding.place
    count = min(count, len(np.unique(place.round(9), axis=0)))
    if not count:
        return np.full(len(place), -1)
    scikit_learn()
    from sklearn.cluster import MiniBatchKMeans

    found = MiniBatchKMeans(count, random_state=0, n_init=10, batch_size=2048).fit_predict(place)
    sizes = np.bincount(found, minlength=count)
    number = np.empty(count, np.int64)
    number[np.argsort(-sizes, kind="stable")] = np.arange(count)
    return np.asarray(number[found], np.int64)
