"""The arithmetic of rPIE on one frame, compiled: each function goes once over its pixels."""

from __future__ import annotations

import numpy as np

from ..planning.kernels import compiled_fast

SMALLEST = np.float32(1e-6)
"""Modulus below which a wave has no phase to keep."""


@compiled_fast
def illuminate(image, corner, probe, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    """The exit wave behind the view of ``image`` at ``corner``, into ``out`` (N, N)."""
    row, column = corner
    height, width = probe.shape
    for i in range(height):
        for j in range(width):
            out[i, j] = image[row + i, column + j] * probe[i, j]


@compiled_fast
def replace_moduli(wave, moduli, bad):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Make of ``wave`` its change that gives it the moduli, 0 where ``bad``; Σ|√I − |Ψ||."""
    height, width = wave.shape
    misfit = 0.0
    for i in range(height):
        line = np.float32(0)
        for j in range(width):
            value = wave[i, j]
            modulus = np.sqrt(value.real * value.real + value.imag * value.imag)
            excess = np.float32(0) if bad[i, j] else moduli[i, j] - modulus
            wave[i, j] = value * (excess / max(modulus, SMALLEST))
            line += abs(excess)
        misfit += line
    return misfit


@compiled_fast
def update(  # type: ignore[no-untyped-def]
    image, corner, probe, change, alpha, step
):  # pragma: no cover - compiled
    """Add to object and probe what the ``change`` of the exit wave asks of them.

    ``alpha`` regularises the object's update, ``step`` is the share of the probe's that is taken;
    both float32.
    """
    row, column = corner
    height, width = probe.shape
    brightest, clearest = np.float32(0), np.float32(0)
    for i in range(height):
        for j in range(width):
            p, v = probe[i, j], image[row + i, column + j]
            brightest = max(brightest, p.real * p.real + p.imag * p.imag)
            clearest = max(clearest, v.real * v.real + v.imag * v.imag)
    one = np.float32(1)
    brightest *= alpha
    share = step / clearest
    for i in range(height):
        for j in range(width):
            p, v, c = probe[i, j], image[row + i, column + j], change[i, j]
            lit = (one - alpha) * (p.real * p.real + p.imag * p.imag) + brightest
            image[row + i, column + j] = v + p.conjugate() * c * (one / lit)
            probe[i, j] = p + v.conjugate() * c * share
