"""Waves through a thick object to the far field.

Source of the method: J. Cowley, A. Moodie, Acta Cryst. 10, 609 (1957); of the sign convention and
the order of steps: M. Du et al., Opt. Express 29, 10000 (2021) (Adorym).
"""

from __future__ import annotations

import numpy as np
import scipy.fft

from ..arrays import Complex64s, Complexes, Floats, Reals
from ..geometry import wavelength_m


def transmission(delta: Reals, beta: Reals, thickness_m: float, energy_eV: float) -> Complex64s:
    """T = exp(−kβ·t)·exp(−ikδ·t) with k = 2π/λ: a wave exp(+ikz) in n = 1 − δ + iβ."""
    k = 2 * np.pi / wavelength_m(energy_eV)
    exponent = -k * thickness_m * (np.asarray(beta) + 1j * np.asarray(delta))
    return np.asarray(np.exp(exponent), np.complex64)


def fresnel(
    shape: tuple[int, int], pixel_m: float, distance_m: float, energy_eV: float
) -> Complex64s:
    """Transfer function exp(−iπλz(u² + v²)) of a step of free space, zero frequency at (0, 0).

    Source: J. Goodman, Introduction to Fourier Optics, 3rd ed., eq. 4-21, without exp(ikz).
    """
    v, u = (scipy.fft.fftfreq(n, pixel_m) for n in shape)
    phase = -np.pi * wavelength_m(energy_eV) * distance_m * (v[:, None] ** 2 + u[None, :] ** 2)
    return np.asarray(np.exp(1j * phase), np.complex64)


def far_field(probe: Complexes, slices: Complexes, step: Complexes | None) -> Floats:
    """Intensity |fftshift(fft2(ψ))|²/N behind slices (z, ny, nx), zero frequency at N//2.

    ``step`` is :func:`fresnel` between two slices; there is none after the last. With this
    (orthonormal) scale the intensity sums to the power of the exit wave.
    """
    wave = probe * slices[0]
    for following in slices[1:]:
        wave = scipy.fft.ifft2(scipy.fft.fft2(wave) * step) * following
    spectrum = scipy.fft.fftshift(scipy.fft.fft2(wave, norm="ortho"))
    return np.asarray(spectrum.real**2 + spectrum.imag**2, np.float64)


def back_to_sample(wave: Complexes) -> Complex64s:
    """The wave at the sample from one at the detector, the reverse of :func:`far_field`."""
    field = scipy.fft.ifft2(scipy.fft.ifftshift(wave), norm="ortho")
    return np.asarray(field, np.complex64)
