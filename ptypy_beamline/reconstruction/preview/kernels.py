"""The arithmetic of rPIE on some frames, compiled: each function goes once over their pixels.

Real and imaginary parts are written out, and rows taken as slices, since only then are several
pixels computed at once: it takes a third of the time.
"""

from __future__ import annotations

import numpy as np

from ...compiled import compiled_fast

SMALLEST = np.float32(1e-6)
"""Modulus below which a wave has no phase to keep."""

FAINTEST = np.float32(1e-30)
"""Of a power that is divided by."""


@compiled_fast
def illuminate(  # type: ignore[no-untyped-def]
    image, corners, frames, probe, out
):  # pragma: no cover - compiled
    """The exit waves of ``frames`` (b,) behind their views of ``image``, into ``out`` (b, N, N)."""
    height, width = probe.shape
    for b, frame in enumerate(frames):
        row, column = corners[frame]
        for i in range(height):
            view, line, exit_line = image[row + i, column : column + width], probe[i], out[b, i]
            for j in range(width):
                v, p = view[j], line[j]
                exit_line[j] = complex(
                    v.real * p.real - v.imag * p.imag, v.real * p.imag + v.imag * p.real
                )


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
            view, line = image[row + i, column : column + width], probe[i]
            for j in range(width):
                v, p = view[j], line[j]
                brightest = max(brightest, p.real * p.real + p.imag * p.imag)
                clearest = max(clearest, v.real * v.real + v.imag * v.imag)
        brightest = max(brightest * alpha, FAINTEST)
        share = step / max(clearest, FAINTEST)
        for i in range(height):
            view, line, change = image[row + i, column : column + width], probe[i], changes[b, i]
            for j in range(width):
                v, p, c = view[j], line[j], change[j]
                lit = (one - alpha) * (p.real * p.real + p.imag * p.imag) + brightest
                taken = one / lit
                view[j] = complex(
                    v.real + (p.real * c.real + p.imag * c.imag) * taken,
                    v.imag + (p.real * c.imag - p.imag * c.real) * taken,
                )
                line[j] = complex(
                    p.real + (v.real * c.real + v.imag * c.imag) * share,
                    p.imag + (v.real * c.imag - v.imag * c.real) * share,
                )
