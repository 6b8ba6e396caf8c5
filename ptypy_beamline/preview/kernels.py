"""The arithmetic of rPIE on some frames, compiled: each function goes once over their pixels."""

from __future__ import annotations

import numpy as np

from ..planning.kernels import compiled_fast

SMALLEST = np.float32(1e-6)
"""Modulus below which a wave has no phase to keep."""


@compiled_fast
def illuminate(  # type: ignore[no-untyped-def]
    image, corners, frames, probe, out
):  # pragma: no cover - compiled
    """The exit waves of ``frames`` (b,) behind their views of ``image``, into ``out`` (b, N, N)."""
    height, width = probe.shape
    for b, frame in enumerate(frames):
        row, column = corners[frame]
        for i in range(height):
            for j in range(width):
                out[b, i, j] = image[row + i, column + j] * probe[i, j]


@compiled_fast
def replace_moduli(  # type: ignore[no-untyped-def]
    waves, moduli, bad, frames, misfits
):  # pragma: no cover - compiled
    """Make of ``waves`` (b, N, N) their changes that give them the moduli, 0 where ``bad``.

    Σ|√I − |Ψ|| of each goes into ``misfits`` (b,).
    """
    _, height, width = waves.shape
    for b, frame in enumerate(frames):
        wave, wanted, out_of_use = waves[b], moduli[frame], bad[frame if len(bad) > 1 else 0]
        misfits[b] = 0
        for i in range(height):
            line = np.float32(0)
            for j in range(width):
                value = wave[i, j]
                modulus = np.sqrt(value.real * value.real + value.imag * value.imag)
                excess = np.float32(0) if out_of_use[i, j] else wanted[i, j] - modulus
                wave[i, j] = value * (excess / max(modulus, SMALLEST))
                line += abs(excess)
            misfits[b] += line


@compiled_fast
def update(  # type: ignore[no-untyped-def]
    image, corners, frames, probe, changes, alpha, step
):  # pragma: no cover - compiled
    """Add to object and probe what the ``changes`` (b, N, N) of the exit waves ask of them.

    ``alpha`` regularises the object's update, ``step`` is the share of the probe's that is taken;
    both float32.
    """
    height, width = probe.shape
    one = np.float32(1)
    for b, frame in enumerate(frames):
        row, column = corners[frame]
        brightest, clearest = np.float32(0), np.float32(0)
        for i in range(height):
            for j in range(width):
                p, v = probe[i, j], image[row + i, column + j]
                brightest = max(brightest, p.real * p.real + p.imag * p.imag)
                clearest = max(clearest, v.real * v.real + v.imag * v.imag)
        brightest *= alpha
        share = step / clearest
        for i in range(height):
            for j in range(width):
                p, v, c = probe[i, j], image[row + i, column + j], changes[b, i, j]
                lit = (one - alpha) * (p.real * p.real + p.imag * p.imag) + brightest
                image[row + i, column + j] = v + p.conjugate() * c * (one / lit)
                probe[i, j] = p + v.conjugate() * c * share
