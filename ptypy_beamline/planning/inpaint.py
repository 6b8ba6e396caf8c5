"""Bad pixels interpolated from their neighbours, for pictures and estimates; never for loading."""

from __future__ import annotations

import numpy as np

from ..arrays import Bools, Complexes, Floats


def inpaint(image: Floats, good: Bools | None) -> Floats:
    """Replace bad pixels by a weighted mean of the nearest good ones.

    Edges wrap around, so the image may be in FFT order.
    """
    image = image.clip(0, None)
    if good is None or good.all():
        return image
    filled, todo = np.where(good, image, 0), ~good
    weights, values = np.fft.rfft2(good), np.fft.rfft2(filled)
    for sigma in (1.0, 2.0, 4.0, 8.0, 16.0):
        weight, value = (_blurred(each, sigma, image.shape) for each in (weights, values))
        near = todo & (weight > 0.05)
        filled[near] = value[near].clip(0) / weight[near]
        todo &= ~near
        if not todo.any():
            break
    return filled


def _blurred(spectrum: Complexes, sigma: float, shape: tuple[int, ...]) -> Floats:
    """The image of this spectrum, convolved with a Gaussian; importing SciPy's takes 0.2 s."""
    y, x = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])
    gaussian = np.exp(-2 * (np.pi * sigma) ** 2 * (y**2 + x**2))
    return np.fft.irfft2(spectrum * gaussian, shape)
