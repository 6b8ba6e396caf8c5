"""The size of the illumination, from the frames alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy import ndimage

from ..arrays import Bools, Float32s, Floats
from ..planning.mend import fill

EDGE = 1e-3
"""Share of its highest value to which the autocorrelation falls at the probe's diameter."""

SIGMAS, FEWEST = 5.0, 16
"""By how much it exceeds the noise up to there, and of how many frames it is made."""

LEAST_LEFT = 0.1
"""Pairs of pixels at one distance are made up for as if a mask left so large a share at least."""


def probe_share(frames: NDArray[Any], good: Bools) -> float | None:
    """Diameter of the illuminated patch over the field of view λz/p of the reconstruction.

    Speckles are as fine as the probe is wide: the Fourier transform of what changes from frame to
    frame has, on average, the square modulus of the autocorrelation of the probe's intensity,
    whatever the sample; photon noise adds a constant. It ends at one diameter. No position enters,
    so that a wrong unit does not either. Within a third of the width of 4σ (ISO 11146) for
    round beams; a sample that is smooth over much of the probe makes it look smaller.

    Source of the principle: J. W. Goodman, Speckle Phenomena in Optics (2007), section 4.4.

    Parameters
    ----------
    frames
        (m, ny, nx) counts.
    good
        (ny, nx) pixels to use.

    Returns
    -------
    float or None
        At most 0.5, which means half the field or more. None where there are fewer than 16
        frames, or nothing but noise changes.
    """
    if len(frames) < FEWEST or not (frames > 0).any():
        return None
    radius, profile, noise = _autocorrelation(frames, good)
    top = float(profile.max())
    below = np.flatnonzero(profile < np.maximum(EDGE * top, SIGMAS * noise))
    outer = below[below > int(profile.argmax())]
    if top < 2 * SIGMAS * noise[1]:
        return None
    return float(radius[outer[0]]) if outer.size else 0.5


def _autocorrelation(frames: NDArray[Any], good: Bools) -> tuple[Floats, Floats, Floats]:
    """Radius in fields of view, what exceeds the photon noise there, and that noise's own."""
    good = good & np.asarray(frames > 0).any(0)  # a gap that is not in the mask has edges too
    counts = np.where(good, frames, 0).astype(np.float32)
    totals = counts.sum((1, 2), dtype=np.float64)
    counts *= (totals.mean() / np.maximum(totals, 1e-12)).astype(np.float32)[:, None, None]
    counts -= counts.mean(0)
    power = sum(np.abs(scipy.fft.fft2(frame, norm="ortho")) ** 2 for frame in counts)
    spectrum = np.asarray(power, np.float64) / len(counts)
    if not good.all():
        spectrum = _without_gaps(spectrum, counts, good)
    ny, nx = spectrum.shape
    distance = np.hypot(scipy.fft.fftfreq(ny)[:, None], scipy.fft.fftfreq(nx)[None])
    floor = float(np.median(spectrum[distance > 0.55]))
    bins = max(8, min(ny, nx) // 2)
    ring = (distance * 2 * bins).astype(int).ravel()
    number = np.maximum(np.bincount(ring)[:bins], 1)
    mean = np.bincount(ring, spectrum.ravel())[:bins] / number
    if not good.all():  # a gap's edges spread over a few pixels of each ring
        mean = np.asarray(ndimage.median(spectrum.ravel(), ring, np.arange(bins)))
    # Half of the pixels repeat the others, and intensities scatter by as much as they are.
    noise = floor / np.sqrt(number * len(counts) / 2)
    return (np.arange(bins) + 0.5) / (2 * bins), mean - floor, noise


def _without_gaps(spectrum: Floats, changes: Float32s, good: Bools) -> Floats:
    """The power spectrum as if all pixels were good.

    At each distance the products of two pixels are as many times fewer as the mask makes them, each
    pixel counted by how much it changes: their sum is divided by the share that is left.
    """
    size = np.where(good, np.sqrt((changes**2).mean(0, dtype=np.float64)), 0)
    left, whole = (_products(part) for part in (size, fill(size, good)))
    share = np.maximum(left / np.maximum(whole, 1e-300), LEAST_LEFT)
    return np.asarray(scipy.fft.fft2(scipy.fft.ifft2(spectrum) / share).real)


def _products(size: Floats) -> Floats:
    """(ny, nx) sum of the products of any two pixels at each distance."""
    return np.asarray(scipy.fft.ifft2(np.abs(scipy.fft.fft2(size)) ** 2).real)
