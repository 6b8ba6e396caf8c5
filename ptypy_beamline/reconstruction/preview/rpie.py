"""A quick reconstruction by rPIE, without PtyPy, of frames or of a plan.

Its validation error is that of frames left out of the fit. Any frame by itself can be fitted, even
with wrong positions, a wrong geometry or numbers that are not counts: what matters is whether the
object found from the others predicts it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import xlogy

from ...arrays import Bools, Complex64s, Float32s, Floats, Ints
from ...errors import SettingsError
from ...geometry import transfer as free_space_transfer
from ...planning.plan import Plan
from ..loading import described
from ..model import Reconstruction, center_of
from .engine import RpieEngine, State, StepSize, prepare
from .probe import best_probe

PASSES = 20
"""Default number of passes over all frames."""

ALGORITHM = "rPIE"

FAST, CAREFUL = StepSize(0.25, 0.5), StepSize(1.0, 0.5)
"""Of the first passes, which converge quickly, and of the last, which average the noise."""

CAREFUL_FROM, ALL_FROM = 0.6, 0.8
"""Shares of the passes after which they are careful, and include the frames held out."""


HELD_OUT_EVERY, MIN_FRAMES, MIN_HELD_OUT = 20, 20, 2
"""One frame in so many is held out, at least two; none of a scan with fewer frames, since those at
its edge are hardly determined by the others."""

NEARBY = 0.5
"""Frames closer than this, in mean distances of the positions, are held out together: a
frame taken twice would be predicted by its repeat, however wrong the positions."""

FLOOR = 0.01
"""Share of the mean pattern added to a predicted one, so that no count is impossible."""


def reconstruct(  # noqa: PLR0913
    frames: NDArray[Any],
    good: Bools,
    positions_m: Floats,
    object_pixel_m: tuple[float, float],
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
    object_pixel_m
        Object pixel (y, x), see :func:`ptypy_beamline.geometry.object_pixel_m`; in the near field
        the detector's (effective) one.
    center_px
        Beam centre on the frames; default N//2. The fraction of a pixel is left to the
        probe's phase ramp, which takes it exactly.
    iterations
        Passes over all frames.
    probe
        (N, N) initial probe; default: the best of a few guesses from the data.
    transfer
        (N, N) near field: what :func:`ptypy_beamline.geometry.transfer` has for the (effective)
        distance and pixel. ``center_px`` does not matter then.
    seed
        Seed of the order in which frames are visited.
    progress
        Called after each pass with the number of passes done and the error.

    Returns
    -------
    Reconstruction
        Positions are those the engine used, rounded to whole pixels; energy and distance are 0,
        unknown.

    Raises
    ------
    ScanError
        Frames and positions do not match.
    """
    engine = prepare(frames, good, positions_m, object_pixel_m, center_px, transfer)
    careful_from, all_from = int(CAREFUL_FROM * iterations), int(ALL_FROM * iterations)
    left_out = np.zeros(0, np.int64)
    if all_from:
        left_out = held_out(np.asarray(positions_m, np.float64), seed)
    current = engine.without(left_out)
    wave = best_probe(current, seed) if probe is None else engine.scaled(np.asarray(probe))
    state = State(engine.free_space(), wave)
    rng, errors = np.random.default_rng(seed), []
    validation_error: float | None = None
    for iteration in range(iterations):
        if iteration == all_from:
            validation_error, current = held_out_error(engine, state, left_out), engine
        steps = FAST if iteration < careful_from else CAREFUL
        errors.append(current.sweep(state, rng, update_probe=iteration > 0, steps=steps))
        if transfer is None and iteration % 5 == 4 and iteration < iterations - 1:
            state.recenter()
        if progress:
            progress(iteration + 1, errors[-1])
    return _result(state, engine, object_pixel_m, np.array(errors), validation_error)


def _result(
    state: State,
    engine: RpieEngine,
    object_pixel_m: tuple[float, float],
    errors: Floats,
    validation_error: float | None,
) -> Reconstruction:
    """The estimates on the axes of the positions: the engine puts a view's pixel N//2 on them."""
    pixel, n = np.array(object_pixel_m), state.probe.shape[-1]
    origin = engine.origin_px * pixel
    return Reconstruction(
        object=state.object[None],
        probe=state.probe[None],
        pixel_m=object_pixel_m,
        center_m=center_of(origin, state.object.shape, pixel, n),
        positions_m=origin + (engine.corners_px + n // 2) * pixel,
        indices=np.arange(len(engine.corners_px)),
        energy_eV=0.0,
        distance_m=0.0,
        errors=errors,
        algorithm=f"preview {ALGORITHM} {len(errors)}",
        held_out_error=validation_error,
    )


def held_out(positions_m: Floats, seed: int) -> Ints:
    """Frames at ``positions_m`` (n, 2) to hold out; none where there are few."""
    count = len(positions_m)
    if count < MIN_FRAMES:
        return np.zeros(0, np.int64)
    extent_m = np.ptp(positions_m, axis=0)
    spacing_m = max(np.sqrt(extent_m.prod() / count), extent_m.max() / count)
    beside = cKDTree(positions_m).query_ball_point(positions_m, NEARBY * spacing_m)
    chosen: dict[int, None] = {}
    for frame in np.random.default_rng([seed, count]).permutation(count):
        if len(chosen) >= max(count // HELD_OUT_EVERY, MIN_HELD_OUT):
            break
        if len(chosen) + len(beside[frame]) <= count // 4:
            chosen |= dict.fromkeys([frame, *beside[frame]])
    return np.array([*chosen], np.int64)


def held_out_error(engine: RpieEngine, state: State, left_out: Ints) -> float | None:
    """Share of the deviance of frames held out that the reconstruction leaves unexplained.

    The Poisson deviance D(I, M) = 2·Σ[I·ln(I/M) − (I − M)] of the counts I from the predicted
    pattern M, over that from the mean pattern of the other frames: 0 where the prediction is
    perfect, 1 where the mean pattern predicts as well, more where it predicts better. The unit of
    the counts does not matter. It is 1 − R² of the deviance: A. C. Cameron and F. A. G. Windmeijer,
    J. Econometrics 77, 329 (1997).

    None where no frame is held out.
    """
    fitted = np.setdiff1d(np.arange(len(engine.moduli)), left_out)
    sums = sum(engine.moduli[k].astype(np.float64) ** 2 for k in fitted)
    mean_counts = np.asarray(sums) / max(len(fitted), 1)
    unexplained, total = 0.0, 0.0
    for k in left_out:
        good = ~engine.bad[k if len(engine.bad) > 1 else 0]
        counts, mean = engine.moduli[k][good].astype(np.float64) ** 2, mean_counts[good]
        predicted = np.abs(engine.waves(state, np.array([k]))[0, good]).astype(np.float64) ** 2
        unexplained += _deviance(counts, (1 - FLOOR) * predicted + FLOOR * mean)
        total += _deviance(counts, mean)
    return unexplained / total if total > 0 else None


def _deviance(counts: Floats, expected: Floats) -> float:
    """Poisson deviance; a pattern that predicts no counts at all is kept above 0."""
    expected = np.maximum(expected, 1e-9)
    return 2 * float((xlogy(counts, counts / expected) - (counts - expected)).sum())


def preview(
    plan: Plan,
    iterations: int = PASSES,
    seed: int = 0,
    progress: Callable[[int, float], None] | None = None,
    near_field: bool = False,
    provenance: Mapping[str, Any] | None = None,
) -> Reconstruction:
    """Load every frame of ``plan`` and reconstruct.

    Parameters
    ----------
    plan
        What to load.
    iterations, seed, progress
        See :func:`reconstruct`.
    near_field
        The frames are holograms, at the plan's (effective) distance and pixel.
    provenance
        ``source`` (the raw file), ``settings``, and what else is known.

    Raises
    ------
    SettingsError
        The frames are not square.
    """
    more = {"iterations": iterations, "seed": seed, "progress": progress}
    found = _reconstructed(plan, np.arange(len(plan)), near_field, **more)
    return from_preview(found, plan, provenance)


def from_preview(
    found: Reconstruction, plan: Plan, provenance: Mapping[str, Any] | None = None
) -> Reconstruction:
    """Add energy, distance and raw frames of ``plan`` to a result of the preview engine.

    Parameters
    ----------
    found
        Result of :func:`reconstruct`.
    plan
        What was reconstructed.
    provenance
        ``source`` (the raw file), ``settings``, and what else is known.
    """
    complete = replace(
        found,
        energy_eV=plan.geometry.photon_energy_eV,
        distance_m=plan.geometry.distance_m,
        provenance=dict(provenance or {}),
    )
    return described(complete, plan)


def probe_of(
    plan: Plan, frames: int = 300, iterations: int = 3, near_field: bool = False
) -> Complex64s:
    """A probe (N, N) to start a reconstruction with, from the data alone.

    A few passes of the preview over at most ``frames`` consecutive positions in the middle of the
    scan; in root counts, as PtyPy's ``illumination.model`` takes it.

    Raises
    ------
    SettingsError
        The frames are not square.
    """
    start = max(0, (len(plan) - frames) // 2)
    middle = np.arange(start, min(start + frames, len(plan)))
    found = _reconstructed(plan, middle, near_field, iterations=iterations)
    probe: Complex64s = found.probe[0]
    return probe


def _reconstructed(plan: Plan, positions: Ints, near_field: bool, **more: Any) -> Reconstruction:
    geometry = plan.geometry
    ny, nx = geometry.shape
    if ny != nx:
        raise SettingsError(
            f"frames of {ny}x{nx} are not square",
            "set shape (--roi) to a square window, or pad='square' (--pad square)",
        )
    frames, good = load_all(plan, positions)
    free_space = free_space_transfer(
        geometry.shape, geometry.pixel_m, geometry.distance_m, geometry.wavelength_m
    )
    return reconstruct(
        frames,
        good,
        plan.positions_m[positions],
        geometry.pixel_m if near_field else geometry.object_pixel_m,
        center_px=geometry.center_px,
        transfer=free_space if near_field else None,
        **more,
    )


def load_all(plan: Plan, positions: Ints) -> tuple[Float32s, Bools]:
    """Frames (m, ny, nx) at ``positions``; good pixels, (ny, nx) where all frames share them."""
    frames = np.empty((len(positions), *plan.geometry.shape), np.float32)
    good, done = plan.good, 0
    for block in plan.stream(positions):
        part = slice(done, done + len(block.frames))
        frames[part] = block.frames
        if block.good.strides[0] and good.ndim == 2:  # the first with bad pixels of its own
            good = np.broadcast_to(good, frames.shape).copy()
        if good.ndim == 3:
            good[part] = block.good
        done = part.stop
    return frames, good
