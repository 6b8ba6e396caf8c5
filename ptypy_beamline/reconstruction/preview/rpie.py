"""A quick reconstruction of a far-field scan by rPIE, without PtyPy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arrays import Bools, Complex64s, Floats, Ints
from .engine import Pace, State, prepare
from .heldout import held_out, held_out_error

PASSES = 20
"""Over the frames, by default."""

FAST, CAREFUL = Pace(0.25, 0.5), Pace(1.0, 0.5)
"""The first passes find their way, the last average the noise."""

CAREFUL_FROM, ALL_FROM = 0.6, 0.8
"""Shares of the passes after which they are careful, and the frames held out join in."""


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """What a reconstruction found.

    Attributes
    ----------
    object
        (ny, nx) complex64 transmission.
    probe
        (modes, N, N) complex64, in root counts.
    positions_px
        (n, 2) row, column in ``object`` of the first pixel of each view.
    object_origin_m
        (y, x) of object pixel (0, 0) on the axes of the positions.
    resolution_m
        Object pixel (y, x).
    errors
        (iterations,) Σ|√I − |Ψ|| / Σ√I over good pixels. It may be small for a wrong result.
    held_out_error
        Validation error, of frames left out of the fit, see
        :func:`.held_out_error`: a meaningless result has 1 or more.
        NaN for too few frames or passes.
    algorithm
        Its name.
    """

    object: Complex64s
    probe: Complex64s
    positions_px: Ints
    object_origin_m: tuple[float, float]
    resolution_m: tuple[float, float]
    errors: Floats
    held_out_error: float = float("nan")
    algorithm: str = "rPIE"


def reconstruct(  # noqa: PLR0913
    frames: NDArray[Any],
    good: Bools,
    positions_m: Floats,
    resolution_m: tuple[float, float],
    *,
    center_px: tuple[float, float] | None = None,
    iterations: int = PASSES,
    probe: NDArray[Any] | None = None,
    transfer: Complex64s | None = None,
    seed: int = 0,
    progress: Callable[[int, float], None] | None = None,
) -> Reconstruction:
    """Reconstruct object and single-mode probe from far-field or near-field frames.

    The algorithm is rPIE: A. Maiden, D. Johnson, P. Li, Optica 4, 736 (2017). One frame in twenty
    is left out of the first four fifths of the passes, and then measures how good they were.

    Parameters
    ----------
    frames
        (n, N, N) corrected counts.
    good
        (N, N) or (n, N, N); elsewhere the model keeps its own value.
    positions_m
        (n, 2) y, x of the illumination; rounded to whole object pixels.
    resolution_m
        Object pixel (y, x), see :func:`ptypy_beamline.geometry.resolution_m`; in the near field the
        detector's (effective) one.
    center_px
        Beam centre on the frames; default N//2. The fraction of a pixel is left to the
        probe's phase ramp, which takes it exactly.
    iterations
        Passes over all frames.
    probe
        (N, N) to begin with; default: the best of a few guesses from the data.
    transfer
        (N, N) near field: what :func:`ptypy_beamline.geometry.transfer` has for the (effective)
        distance and pixel. ``center_px`` does not matter then.
    seed
        Of the order in which frames are visited.
    progress
        Called after each pass with the number of passes done and the error.

    Raises
    ------
    ScanError
        Frames and positions do not belong together.
    """
    engine = prepare(frames, good, positions_m, resolution_m, center_px, transfer)
    careful_from, all_from = int(CAREFUL_FROM * iterations), int(ALL_FROM * iterations)
    unseen = np.zeros(0, np.int64)
    if all_from:
        unseen = held_out(np.asarray(positions_m, np.float64), seed)
    current = engine.without(unseen)
    wave = current.best_probe(seed) if probe is None else engine.scaled(np.asarray(probe))
    state = State(engine.free_space(), wave)
    rng, errors, unexplained = np.random.default_rng(seed), [], float("nan")
    for iteration in range(iterations):
        if iteration == all_from:
            unexplained, current = held_out_error(engine, state, unseen), engine
        pace = FAST if iteration < careful_from else CAREFUL
        errors.append(current.sweep(state, rng, update_probe=iteration > 0, pace=pace))
        if transfer is None and iteration % 5 == 4 and iteration < iterations - 1:
            state.recenter()
        if progress:
            progress(iteration + 1, errors[-1])
    origin = [float(p) for p in engine.origin_px * np.array(resolution_m)]
    return Reconstruction(
        object=state.object,
        probe=state.probe[None],
        positions_px=engine.corners_px,
        object_origin_m=(origin[0], origin[1]),
        resolution_m=resolution_m,
        errors=np.array(errors),
        held_out_error=unexplained,
    )
