"""A first guess of the probe, from the data alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from ...arrays import Bools, Complex64s
from ...planning.inpaint import inpaint


def probe_guess(
    mean_frame: NDArray[Any],
    good: Bools | None = None,
    center_px: tuple[float, float] | None = None,
    width_px: float = 0.0,
) -> Complex64s:
    """Propagate the mean diffraction pattern back to the sample.

    The modulus in the far field is the root of the mean intensity; with a flat phase it is
    the sharpest focus this aperture can have. A real beam is rarely there, and so small a spot
    would leave the views without overlap: a defocus spreads it to ``width_px``.

    Parameters
    ----------
    mean_frame
        (N, N) mean counts.
    good
        (N, N) pixels to use; the others are filled from their neighbours.
    center_px
        Beam centre; default N//2. Only whole pixels matter: a fraction is a phase ramp on the
        probe, which the reconstruction finds.
    width_px
        Radius in object pixels (r.m.s.) the defocus adds; negative: the beam converges.

    Returns
    -------
    probe
        (N, N) complex64 centred at N//2, whose power is the sum of the filled mean frame, so
        that its orthonormal Fourier transform is in root counts.
    """
    filled = inpaint(np.asarray(mean_frame, np.float64), good)
    shape = filled.shape
    center = tuple(n // 2 for n in shape) if center_px is None else center_px
    # Distances wrap round, so that the centre may lie in the corner, as in the order of FFTs.
    v, u = (
        (np.arange(n) - round(c) + n // 2) % n - n // 2 for n, c in zip(shape, center, strict=True)
    )
    squared = (v[:, None] ** 2 + u[None, :] ** 2).astype(np.float64)
    spread = np.sqrt(max(float((filled * squared).sum() / max(filled.sum(), 1e-12)), 1e-12))
    # A phase c·q² moves the ray at q by c·q·N/π object pixels.
    curvature = np.pi * width_px / (np.sqrt(shape[0] * shape[1]) * spread)
    # Scatter far from the beam would alias; the beam itself lies within twice the spread.
    bounded = np.minimum(squared, (2 * spread) ** 2)
    wave = to_corner(np.sqrt(filled) * np.exp(1j * curvature * bounded), center)
    field = scipy.fft.fftshift(scipy.fft.ifft2(wave, norm="ortho"))
    return np.asarray(field, np.complex64)


def to_corner(stack: NDArray[Any], center_px: tuple[float, ...]) -> NDArray[Any]:
    """Roll the last two axes so that the beam centre comes to pixel (0, 0), as FFTs want it."""
    return np.roll(stack, [-round(c) for c in center_px], axis=(-2, -1))
