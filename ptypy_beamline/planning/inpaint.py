"""Bad pixels interpolated from their neighbours, for pictures and estimates; never for loading."""

from __future__ import annotations

import numpy as np
import scipy

from ..arrays import Bools, Floats


def inpaint(image: Floats, good: Bools | None) -> Floats:
    """Replace bad pixels by a weighted mean of the nearest good ones.

    Edges wrap around, so the image may be in FFT order.
    """
    image = image.clip(0, None)
    if good is None or good.all():
        return image
    filled, todo = np.where(good, image, 0), ~good
    for sigma in (1.0, 2.0, 4.0, 8.0, 16.0):
        weight = scipy.ndimage.gaussian_filter(good.astype(np.float64), sigma, mode="wrap")
        value = scipy.ndimage.gaussian_filter(np.where(good, image, 0), sigma, mode="wrap")
        near = todo & (weight > 0.05)
        filled[near] = value[near] / weight[near]
        todo &= ~near
        if not todo.any():
            break
    return filled
