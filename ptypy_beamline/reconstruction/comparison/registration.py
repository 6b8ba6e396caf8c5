"""Registration with the truth, up to what ptychography cannot determine, and the correlation."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

from ...arrays import Complex64s, Complexes
from ..area import middle_part
from ..phase import linear_ramp


def correlation(obj: Complexes, truth: Complexes, margin: int = 48) -> float:
    """Correlation of a reconstructed object with the truth: 1 the same, about 0 unrelated.

    After :func:`register`, the correlation of the two images' deviations from their means,
    Re⟨a−ā, b−b̄⟩/(‖a−ā‖·‖b−b̄‖), cut off at 0.

    What far-field ptychography cannot determine is *removed* first: a translation, a global phase
    and amplitude, and a linear phase ramp. *Not removed*, and so lowering the correlation, are
    mirroring, rotation, complex conjugation, scale, and wrong values.

    Parameters
    ----------
    obj, truth
        2-D transmissions of the same pixel size, with about the same centre.
    margin
        Pixels at each edge of the truth that are left out: those without full illumination.
    """
    return agreement(*register(obj, truth, margin))


def agreement(a: Complexes, b: Complexes) -> float:
    """The correlation of two images' deviations from their means, at least 0."""
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return max(0.0, float(np.vdot(a, b).real) / norm) if norm else 0.0


def register(obj: Complexes, truth: Complexes, margin: int = 48) -> tuple[Complex64s, Complex64s]:
    """Register object and truth, to be shown side by side.

    The truth is moved onto the object by a sub-pixel shift (at most ``margin``); the object
    gets the truth's mean phase, phase ramp and amplitude.

    Returns
    -------
    obj, truth
        Both of the truth's shape (or the object's, if smaller) less ``margin`` at every edge.
    """
    shape = tuple(np.minimum(obj.shape, truth.shape))
    a, b = middle_part(obj, shape), middle_part(truth, shape)
    inner = tuple(slice(margin, n - margin) for n in shape)
    if any(n <= 2 * margin for n in shape):
        raise ValueError(f"Expected images larger than twice the margin {margin}. Got {shape}")
    b = _shift_image(b, _shift(a[inner], b[inner]))
    a, b = a[inner], b[inner]
    a = a * linear_ramp(b, a)
    a *= np.vdot(a, b) / (np.vdot(a, a).real or 1.0)
    return a.astype(np.complex64), b.astype(np.complex64)


def _gradients(image: Complexes) -> NDArray[np.complex128]:
    """Deviations of the products of neighbours from their mean, (2, ny, nx).

    A ramp and a global phase only multiply a product of neighbours by a constant phase, so
    the deviations move with the image and do not depend on either.
    """
    taper = np.outer(*(np.hanning(n) for n in image.shape))
    products = []
    for axis in (0, 1):
        product = np.roll(image, -1, axis).astype(np.complex128) * image.conj()
        product *= np.exp(-1j * np.angle(product.mean()))
        products.append(taper * (product - product.mean()))
    return np.array(products)


def _shift(a: Complexes, b: Complexes) -> tuple[float, float]:
    """Shift (rows, columns) that brings ``b`` onto ``a``, to a fraction of a pixel.

    The peak of the cross correlation of the gradients, refined by a parabola through its
    neighbours.
    """
    spectra = scipy.fft.fft2(_gradients(a)) * scipy.fft.fft2(_gradients(b)).conj()
    peak = scipy.fft.ifft2(spectra.sum(axis=0)).real
    row, column = np.unravel_index(int(peak.argmax()), peak.shape)
    shift = []
    for line, at in ((peak[:, column], int(row)), (peak[row, :], int(column))):
        before, top, after = line[at - 1], line[at], line[(at + 1) % len(line)]
        curvature = before - 2 * top + after
        fraction = 0.5 * (before - after) / curvature if curvature else 0.0
        shift.append(float((at + len(line) // 2) % len(line) - len(line) // 2 + fraction))
    return shift[0], shift[1]


def _shift_image(image: Complexes, shift: tuple[float, float]) -> Complexes:
    """The image shifted by fractions of a pixel (Fourier shift theorem), wrapping round."""
    fy, fx = (scipy.fft.fftfreq(n) for n in image.shape)
    phase = np.exp(-2j * np.pi * (fy[:, None] * shift[0] + fx * shift[1]))
    shifted: Complexes = scipy.fft.ifft2(scipy.fft.fft2(image) * phase)
    return shifted
