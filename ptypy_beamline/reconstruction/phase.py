"""Phase ramps, which ptychography does not determine."""

from __future__ import annotations

import numpy as np
import scipy

from ..arrays import Complexes, Reals

Frequency = tuple[float, float]


def flatten_phase(obj: Complexes, weight: Reals | None = None) -> Complexes:
    """The object without its linear phase ramp and its mean phase, for display.

    ``weight`` (ny, nx) says where the ramp is determined; default: everywhere.
    """
    weighted = obj if weight is None else obj * weight
    flat: Complexes = obj * linear_ramp(np.abs(weighted).astype(np.complex64), weighted)
    total = complex((flat if weight is None else flat * weight).sum())
    leveled: Complexes = flat * np.exp(-1j * np.angle(total))
    return leveled


def linear_ramp(target: Complexes, image: Complexes) -> Complexes:
    """The linear phase ramp that brings ``image`` closest to ``target``."""
    return ramp(image.shape, ramp_frequency(target * image.conj()))


def ramp(shape: tuple[int, ...], frequency: Frequency) -> Complexes:
    """The plane wave exp(2πi·f·r); ``frequency`` (y, x) in cycles per pixel."""
    y, x = np.indices(shape, sparse=True)
    wave: Complexes = np.exp(2j * np.pi * (frequency[0] * y + frequency[1] * x))
    return wave


def ramp_frequency(ratio: Complexes) -> Frequency:
    """Frequency (y, x) of the phase ramp in ``ratio``, in cycles per pixel.

    First the strongest frequency of its spectrum, then the remainder from the mean phase step
    between neighbours.
    """
    spectrum = np.abs(scipy.fft.fft2(ratio))
    peak = np.unravel_index(int(spectrum.argmax()), spectrum.shape)
    frequency = [float(scipy.fft.fftfreq(n)[k]) for n, k in zip(ratio.shape, peak, strict=True)]
    for _ in range(3):
        rest = ratio * ramp(ratio.shape, (frequency[0], frequency[1])).conj()
        # Steps over a quarter of the image: an eighth of the noise of neighbouring pixels.
        for axis in (0, 1):
            step = max(1, rest.shape[axis] // 4)
            ahead = np.take(rest, range(step, rest.shape[axis]), axis)
            behind = np.take(rest, range(rest.shape[axis] - step), axis)
            frequency[axis] += float(np.angle(np.vdot(behind, ahead))) / (2 * np.pi * step)
    return frequency[0], frequency[1]
