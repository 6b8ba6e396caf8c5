"""Fourier ring correlation and the resolution it gives.

Source: M. van Heel, M. Schatz, J. Struct. Biol. 151, 250 (2005): the correlation is their
equation 2, the half-bit threshold their equation 17.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft

from ...arrays import Complexes, Floats

EDGE = 0.25
"""Share of each axis over which the images fade out, so that their edges do not correlate."""


@dataclass(frozen=True, eq=False)
class Rings:
    """The correlation of two images on rings of the Fourier plane.

    Attributes
    ----------
    frequency
        (k,) of each ring in cycles per pixel, up to 0.5.
    correlation
        (k,) between −1 and 1.
    threshold
        (k,) half a bit of information a pixel.
    """

    frequency: Floats
    correlation: Floats
    threshold: Floats

    @property
    def period_px(self) -> float:
        """Full period of the finest detail that is known, in pixels: never below 2."""
        below = np.flatnonzero(self.correlation < self.threshold)
        below = below[below > 0]  # the first ring holds what registration settles
        if not below.size:
            return 1 / float(self.frequency[-1])
        k = int(below[0])
        before, after = (self.correlation - self.threshold)[k - 1 : k + 1]
        share = before / (before - after) if before > 0 else 0.0
        low, high = self.frequency[k - 1 : k + 1]
        return 1 / float(low + share * (high - low))


def ring_correlation(a: Complexes, b: Complexes) -> Rings:
    """Correlate two registered images (ny, nx) ring by ring."""
    fades = np.outer(*(_fade(n) for n in a.shape))
    spectra = [scipy.fft.fft2((image - image.mean()) * fades) for image in (a, b)]
    v, u = (scipy.fft.fftfreq(n) for n in a.shape)
    rings = min(a.shape) // 2
    ring = np.rint(np.hypot(v[:, None], u[None, :]) * 2 * rings).astype(np.int64)

    def total(values: Floats) -> Floats:
        sums = np.bincount(ring.ravel(), values.ravel(), rings + 1)[1 : rings + 1]
        return np.asarray(sums, np.float64)

    cross = total((spectra[0] * spectra[1].conj()).real)
    norm = np.sqrt(total(np.abs(spectra[0]) ** 2) * total(np.abs(spectra[1]) ** 2))
    count = total(np.ones(a.shape))
    frequency = np.arange(1, rings + 1) / (2 * rings)
    return Rings(frequency, cross / np.maximum(norm, 1e-300), half_bit(count))


def half_bit(count: Floats) -> Floats:
    """T½ = (0.2071 + 1.9102/√n)/(1.2071 + 0.9102/√n) for rings of n independent pixels."""
    root = np.sqrt(np.maximum(count, 1))
    return np.asarray((0.2071 + 1.9102 / root) / (1.2071 + 0.9102 / root))


def _fade(n: int) -> Floats:
    """A window of ``n`` pixels: 1 inside, a cosine over ``EDGE`` at the ends (Tukey)."""
    away = np.minimum(np.arange(n), np.arange(n)[::-1]) + 0.5
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.minimum(away / (EDGE * n / 2), 1)))
