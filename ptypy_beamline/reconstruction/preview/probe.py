"""The initial probe, estimated from the data alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from ...arrays import Bools, Complex64s
from ...planning.inpaint import inpaint
from .engine import RpieEngine, State, low_frequencies, to_corner

WIDTHS = (0.0, 1.0, -1.0, 1.5, -1.5, 2.2, -2.2, 3.3, -3.3)
"""Defocus radii of the guessed probes, in mean distances of the positions."""

GUESSES_KEPT = (5, 3, 2, 1)
"""How many of the guesses continue after each pass."""

MIN_SIDE_PX, MIN_LIGHT, MIN_STEP_PX = 48, 0.95, 2.5
"""Minima of the cropped window: side, share of the counts, step in object pixels."""


def probe_guess(
    mean_frame: NDArray[Any],
    good: Bools | None = None,
    center_px: tuple[float, float] | None = None,
    width_px: float = 0.0,
) -> Complex64s:
    """Propagate the mean diffraction pattern back to the sample.

    The modulus in the far field is the root of the mean intensity; with a flat phase this is
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


def best_probe(engine: RpieEngine, seed: int) -> Complex64s:
    """The guess that after a few passes best predicts frames left out of the fit.

    Diverging and converging beams of several widths are tried: the mean frame does not tell them
    apart. The error of the fitted frames would mislead: a probe too small for any overlap fits each
    frame by itself. After each pass only the better guesses continue, all on the part of the
    detector that holds the light. For the parallel beam of a near field, it is the mean frame
    propagated back.
    """
    if engine.transfer is not None:
        return engine.scaled(engine.back(np.sqrt(engine.mean_frame).astype(np.complex64)))
    small = cropped(engine)
    order = np.random.default_rng(seed).permutation(small.visited)
    left_out, fitted = np.split(order, [max(1, len(order) // 6)])
    trial = replace(small, visited=fitted if len(fitted) else left_out)
    tried = [
        (State(small.free_space(), small.scaled(guess)), np.random.default_rng(seed))
        for guess in _guesses(small)
    ]
    for done, kept in enumerate(GUESSES_KEPT):
        for state, rng in tried:
            trial.sweep(state, rng, update_probe=done > 0)
        misfits = [small.misfits(state, left_out).sum() for state, _ in tried]
        tried = [tried[k] for k in np.argsort(misfits, kind="stable")[:kept]]
    return engine.scaled(enlarged(tried[0][0].probe, engine.moduli.shape[1]))


def _guesses(engine: RpieEngine) -> list[Complex64s]:
    """Guessed probes, without duplicates that the window causes."""
    widest = engine.moduli.shape[1] / 4
    widths = dict.fromkeys(np.clip(np.array(WIDTHS) * engine.step_px, -widest, widest).tolist())
    return [probe_guess(engine.mean_frame, None, (0, 0), width) for width in widths]


def cropped(engine: RpieEngine) -> RpieEngine:
    """The engine on the smallest part of the detector that holds the light and resolves the steps.

    A smaller window has larger object pixels, λz/(N·p), to which positions are rounded.
    """
    n = side = engine.moduli.shape[1]
    finest = 2 * MIN_STEP_PX
    while side % 4 == 0 and side // 2 >= MIN_SIDE_PX and engine.step_px * side / n >= finest:
        low = low_frequencies(n, side // 2)
        if engine.mean_frame[low].sum() < MIN_LIGHT * engine.power:
            break
        side //= 2
    if side == n:
        return engine
    rows, columns = low_frequencies(n, side)
    moduli = np.ascontiguousarray(engine.moduli[:, rows, columns])
    return replace(
        engine,
        moduli=moduli,
        sums=moduli.sum(axis=(1, 2), dtype=np.float64),
        bad=np.ascontiguousarray(engine.bad[:, rows, columns]),
        mean_frame=engine.mean_frame[rows, columns],
        corners_px=np.rint(engine.corners_px * (side / n)).astype(np.int64),
    )


def enlarged(probe: Complex64s, side: int) -> Complex64s:
    """``probe`` on the finer pixels of a detector of ``side`` pixels, 0 at the added angles."""
    if len(probe) == side:
        return probe
    wave = np.zeros((side, side), np.complex64)
    wave[low_frequencies(side, len(probe))] = scipy.fft.fft2(
        scipy.fft.ifftshift(probe), norm="ortho"
    )
    return np.asarray(scipy.fft.fftshift(scipy.fft.ifft2(wave, norm="ortho")), np.complex64)
