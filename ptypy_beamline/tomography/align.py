"""Alignment of projections: where the sample was at each angle.

In parallel-beam tomography the rotation axis here runs along the image's rows. Vertically, the
mass in each row is the same at every angle (M. Guizar-Sicairos et al., Opt. Express 19, 21345
(2011)). Horizontally, the centre of mass of a rotated body stays on the rotation axis if it is
placed there (the first Helgason-Ludwig condition; F. Natterer, The Mathematics of Computerized
Tomography (1986), theorem II.4.2). Both are then refined by reprojection: a volume is
reconstructed, projected again, and each measured projection moved onto its reprojection
(D. Gürsoy et al., Sci. Rep. 7, 11818 (2017)).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import shift as spline_shift

from ..arrays import Float32s, Floats
from ..extras import skimage
from .backprojection import Fbp, backproject, reproject

COARSE_PX = 96
"""Projections are binned for the reprojection, to no fewer columns than this."""

SMOOTH = Fbp("hann")
"""Suppresses the noise of single projections, which would reappear in their reprojections."""

UPSAMPLING = 20
"""Shifts are found to this fraction of a (binned) pixel."""

CONVERGED_PX = 0.1
"""Reprojection ends when no projection moves by more than this, in (binned) pixels."""


def align(
    mass: Float32s,
    angles_deg: Floats,
    rounds: int = 30,
    progress: Callable[[int, float], None] | None = None,
) -> Floats:
    """Find how far each projection has to be moved.

    Parameters
    ----------
    mass
        (n, ny, nx) projections that are positive in the sample and 0 in air: −φ in rad.
    angles_deg
        (n,) of the projections.
    rounds
        Most rounds of reprojection; 0 keeps the shifts found from the mass.
    progress
        Called after each round with its number and the largest move in pixels.

    Returns
    -------
    shifts_px
        (n, 2) y, x: moved by these (:func:`moved`), every projection has the rotation axis on
        column nx // 2, and each part of the sample in the same row. The mean of the vertical
        shifts is 0.
    """
    shifts = np.zeros((len(mass), 2))
    shifts[:, 0] = vertical_shifts(mass)
    shifts[:, 1] = horizontal_shifts(mass)
    binning = max(1, (mass.shape[2] // COARSE_PX - 1) // 2 * 2 + 1)  # odd
    coarse = binned(mass, binning)
    for number in range(rounds):
        step = _onto_reprojections(moved(coarse, shifts / binning), angles_deg)
        step[:, 0] -= step[:, 0].mean()
        shifts += binning * step
        largest = float(np.abs(step).max())
        if progress:
            progress(number + 1, binning * largest)
        if largest < CONVERGED_PX:
            break
    return shifts


def vertical_shifts(mass: Float32s, passes: int = 5) -> Floats:
    """(n,) shifts that make the mass of each row the same at all angles; their mean is 0.

    Differences between rows are compared, as they do not depend on the background. The first
    reference is the projection of median mass: the mean of unaligned projections would resemble
    none.
    """
    steps = np.gradient(mass.sum(axis=2, dtype=np.float64), axis=1)
    steps = np.pad(steps * np.hanning(steps.shape[1] + 2)[1:-1], ((0, 0), (0, steps.shape[1])))
    reference = steps[np.argsort(mass.sum(axis=(1, 2)))[len(mass) // 2]]
    for _ in range(passes):
        shifts = np.array([_shift_onto(reference, line)[0] for line in steps])
        shifts -= shifts.mean()
        moved_steps = [spline_shift(line, s) for line, s in zip(steps, shifts, strict=True)]
        reference = np.mean(moved_steps, 0)
    return shifts


def horizontal_shifts(mass: Float32s) -> Floats:
    """(n,) shifts that bring the centre of mass of each projection to column nx // 2."""
    columns = mass.sum(axis=1, dtype=np.float64)
    moment, total, nx = columns @ np.arange(columns.shape[1]), columns.sum(axis=1), mass.shape[2]
    center = np.divide(moment, total, out=np.full(len(mass), nx / 2), where=total != 0)
    return np.asarray(nx // 2 - center.clip(0, nx - 1))


def moved(stack: Float32s, shifts_px: Floats) -> Float32s:
    """Each image moved by its (y, x) with cubic splines; edge values are repeated."""
    out = np.empty_like(stack)
    for index, shift in enumerate(shifts_px):
        out[index] = spline_shift(stack[index], shift, order=3, mode="nearest")
    return out


def binned(stack: Float32s, binning: int) -> Float32s:
    """Means of ``binning`` x ``binning`` pixels, an odd number, around column nx // 2.

    The rotation axis stays on the middle column, n // 2.
    """
    ny, middle = stack.shape[1] // binning, stack.shape[2] // 2
    left = (middle - binning // 2) // binning
    right = (stack.shape[2] - middle + binning // 2) // binning
    # With column n // 2 in the middle, there are as many columns on its left, or one more.
    left = min(left, right)
    nx = min(left + right, 2 * left + 1)
    first = middle - binning // 2 - left * binning
    part = stack[:, : ny * binning, first : first + nx * binning]
    return np.asarray(part.reshape(len(stack), ny, binning, nx, binning).mean(axis=(2, 4)))


def _onto_reprojections(mass: Float32s, angles_deg: Floats) -> Floats:
    """(n, 2) shifts of projections onto the reprojections of the volume that they give."""
    reprojections = reproject(backproject(mass, angles_deg, SMOOTH).clip(0), angles_deg)
    return np.array([_shift_onto(a, b) for a, b in zip(reprojections, mass, strict=True)])


def _shift_onto(target: NDArray[Any], image: NDArray[Any]) -> Floats:
    """The shift that brings ``image`` onto ``target``, both fading to 0 at their edges.

    Source: M. Guizar-Sicairos et al., Opt. Lett. 33, 156 (2008).
    """
    found = skimage("registration").phase_cross_correlation(
        target, image, upsample_factor=UPSAMPLING, normalization=None
    )
    return np.asarray(found[0], np.float64)
