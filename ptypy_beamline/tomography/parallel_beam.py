"""Projections of a volume in a parallel beam: back-projection, reprojection, alignment by both.

The rotation axis is vertical, at column nx // 2, and column t of the projection at θ sums along
x·cosθ − y·sinθ = t, as in :func:`skimage.transform.radon`.

Alignment finds where the sample was at each angle. Vertically, the mass in each row is the same at
every angle (M. Guizar-Sicairos et al., Opt. Express 19, 21345 (2011)). Horizontally, the centre of
mass of a rotated body stays on the rotation axis if it is placed there (the first Helgason-Ludwig
condition; F. Natterer, The Mathematics of Computerized Tomography (1986), theorem II.4.2). Both are
then refined by reprojection: a volume is reconstructed, projected again, and each measured
projection moved onto its reprojection (D. Gürsoy et al., Sci. Rep. 7, 11818 (2017)).

scikit-image's ``iradon`` releases the GIL: two threads are 1.8 times as fast as one, two processes
1.7 times. ``iradon_sart`` does not; threads make no difference to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import shift as spline_shift

from ..arrays import Float32s, Floats
from ..extras import skimage
from ..parallel import available_threads, pool, shares
from .angles import angle_weights

COARSE_PX = 96
"""Projections are binned for the reprojection, to no fewer columns than this."""

UPSAMPLING = 20
"""Shifts are found to this fraction of a (binned) pixel."""

CONVERGED_PX = 0.1
"""Reprojection ends when no projection moves by more than this, in (binned) pixels."""


@dataclass(frozen=True)
class Fbp:
    """Filtered back-projection.

    Source: A. C. Kak, M. Slaney, Principles of Computerized Tomographic Imaging (1988), chapter 3.

    Attributes
    ----------
    filter_name
        ``ramp``, or one that suppresses noise: ``shepp-logan``, ``cosine``, ``hamming``, ``hann``.
    """

    filter_name: str = "ramp"

    def __str__(self) -> str:
        return f"filtered back-projection, {self.filter_name}"

    def slice(self, sinogram: Float32s, angles_deg: Floats) -> Float32s:
        """(nx, nx) density of a sinogram (nx, n), angles weighted by their share of 180 degrees."""
        weighted = sinogram * angle_weights(angles_deg).astype(np.float32)
        return np.asarray(
            skimage("transform").iradon(
                weighted, theta=angles_deg, filter_name=self.filter_name, circle=True
            ),
            np.float32,
        )


@dataclass(frozen=True)
class Sart:
    """Simultaneous algebraic reconstruction, with a non-negative density.

    Source: A. H. Andersen, A. C. Kak, Ultrasonic Imaging 6, 81 (1984).

    Attributes
    ----------
    passes
        Over all angles.
    """

    passes: int = 4

    def __str__(self) -> str:
        return f"SART, {self.passes} passes, not negative"

    def slice(self, sinogram: Float32s, angles_deg: Floats) -> Float32s:
        """(nx, nx) density of a sinogram (nx, n)."""
        one_pass, image = skimage("transform").iradon_sart, None
        for _ in range(self.passes):
            image = one_pass(sinogram, theta=angles_deg, image=image, clip=(0, np.inf))
        return np.asarray(image, np.float32)


Method = Fbp | Sart
RAMP = Fbp()

SMOOTH = Fbp("hann")
"""Suppresses the noise of single projections, which would reappear in their reprojections."""


def backproject(projections: Float32s, angles_deg: Floats, method: Method = RAMP) -> Float32s:
    """(ny, nx, nx) density from projections (n, ny, nx), see :func:`slices`."""
    ny, nx = projections.shape[1:]
    out = np.empty((ny, nx, nx), np.float32)
    for row, found in enumerate(slices(projections, angles_deg, method)):
        out[row] = found
    return out


def slices(projections: Float32s, angles_deg: Floats, method: Method = RAMP) -> Iterator[Float32s]:
    """Reconstruct row after row.

    Parameters
    ----------
    projections
        (n, ny, nx) float32 line integrals, in units of the density times pixels.
    angles_deg
        (n,), in any order.
    method
        How.

    Yields
    ------
    (nx, nx) float32 density with axes (y, x).
    """
    workers, ny = available_threads(), projections.shape[1]
    one = partial(method.slice, angles_deg=angles_deg)
    # A few rows at a time, so that slices do not pile up in memory.
    for part in shares(ny, -(-ny // (4 * workers))):
        rows = range(*part.indices(ny))
        yield from pool(workers).map(one, (projections[:, row].T.copy() for row in rows))


def reproject(volume: Float32s, angles_deg: Floats) -> Float32s:
    """(n, ny, nx) projections of a volume (ny, nx, nx) that is 0 outside the inscribed circle."""
    one = partial(skimage("transform").radon, theta=angles_deg, circle=True)
    out = np.empty((len(angles_deg), *volume.shape[:2]), np.float32)
    for row, sinogram in enumerate(pool(available_threads()).map(one, volume)):
        out[:, row] = sinogram.T
    return out


def align(
    mass: Float32s,
    angles_deg: Floats,
    rounds: int = 30,
    progress: Callable[[int], None] = lambda done: None,
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
        Called with 1 after each round.

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
    for _ in range(rounds):
        step = _onto_reprojections(moved(coarse, shifts / binning), angles_deg)
        step[:, 0] -= step[:, 0].mean()
        shifts += binning * step
        progress(1)
        if np.abs(step).max() < CONVERGED_PX:
            break
    return shifts


def vertical_shifts(mass: Float32s) -> Floats:
    """(n,) shifts that make the mass of each row the same at all angles; their mean is 0.

    Differences between rows are compared, as they do not depend on the background. The first
    reference is the projection of median mass: the mean of unaligned projections would resemble
    none.
    """
    steps = np.gradient(mass.sum(axis=2, dtype=np.float64), axis=1)
    steps = np.pad(steps * np.hanning(steps.shape[1] + 2)[1:-1], ((0, 0), (0, steps.shape[1])))
    reference = steps[np.argsort(mass.sum(axis=(1, 2)))[len(mass) // 2]]
    for _ in range(5):
        shifts = np.array([_shift_onto(reference, line)[0] for line in steps])
        shifts -= shifts.mean()
        reference = np.mean(list(map(spline_shift, steps, shifts)), 0)
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
