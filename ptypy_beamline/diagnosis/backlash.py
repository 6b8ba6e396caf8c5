"""Rows that run backwards and lie beside those that run forwards: the stage's backlash.

The frames' likeness tells how far, and short reconstructions whether.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..arrays import Float32s, Floats, Ints
from ..errors import BeamlineError
from ..planning.places import across_rows, directions, fast_axis, to_and_fro
from ..scan import Scan
from .candidates import PATCH_FRAMES, Outcome, Patch, held_out_errors
from .centre import vertex
from .evidence import Survey, liveliest
from .neighbours import Pairing
from .remedy import changed

REACH, MOST = 6.0, 3.5
"""Steps along a row up to which frames are compared, and up to which rows may lie beside."""

WIDTHS = (0.7, 1.0, 1.5, 2.2)
"""Steps over which likeness may fade."""

FINE, NOTHING = 0.25, 0.1
"""Steps of the scan between the places that are tried, and below which there is no backlash."""


def hanging_behind(
    given: Pairing, scan: Scan, seen: Survey, exposures: Ints
) -> Iterator[tuple[Pairing, Outcome]]:
    """The backlash that foretells unseen frames best, if it convinces.

    A lag of k frames moves rows to and fro by 2k steps, but for their ends: even numbers of steps
    are no backlash.
    """

    def at(**positions: Any) -> Pairing:
        change = {f"positions.{name}": value for name, value in positions.items()}
        return Pairing.of(scan, changed(given.settings, change), exposures)

    found = offset(at(axes="yx").places_m, seen.looks)
    if found is None or _is_even(found[0]):
        return
    steps, step_m = found
    hanging_m = given.settings.positions.backlash + steps * step_m
    places_m = hanging_m + np.arange(-2, 3) * FINE * step_m
    try:
        tried = [at(backlash=float(place_m)) for place_m in places_m]
    except BeamlineError:  # what was looked at has rows to and fro, but hardly the rest
        return
    usable = [np.isfinite(pairing.places_m).all(axis=1) for pairing in (given, *tried)]
    picked = liveliest(seen, PATCH_FRAMES)
    picked = picked[np.all(usable, axis=0)[np.searchsorted(seen.positions, picked)]]
    patch = Patch.of(seen, picked).turned(given.settings.turn)
    numbers = np.searchsorted(seen.positions, picked)
    before, *after = (
        held_out_errors(patch.at(pairing.places_m[numbers])) for pairing in (given, *tried)
    )
    means = np.array([errors.mean() for errors in after])
    best = int(means.argmin())
    outcome = Outcome.of(before, after[best])
    if outcome.convinces():
        beside = vertex(-means[best - 1 : best + 2]) if 0 < best < len(means) - 1 else 0.0
        found_m = float(places_m[best] + beside * FINE * step_m)
        if abs(found_m) < NOTHING * step_m:
            found_m = 0.0
        if not _is_even((found_m - given.settings.positions.backlash) / step_m):
            yield at(backlash=float(f"{found_m:.3g}")), outcome


def _is_even(steps: float) -> bool:
    return abs(steps - 2 * round(steps / 2)) < FINE


def offset(places_m: Floats, looks: Float32s) -> tuple[float, float] | None:
    """What has to be added to places where the fast axis runs towards smaller values.

    Frames of neighbouring rows look most alike where the sample is the same; against the distance
    along the rows, their unlikeness is symmetric about that place. Found is the place of a cusp
    1 − b·exp(−|x − c|/w) that fits best; rows above and below cancel what is slanted in the sample.

    Parameters
    ----------
    places_m
        (n, 2) stage positions in the order of the scan; NaN where unknown.
    looks
        (n, d) as in :class:`.evidence.Survey`.

    Returns
    -------
    steps, step_m : float, or None
        Along the fast axis, in steps of the scan, and such a step. None where rows do not run to
        and fro, or frames do not fade along them.
    """
    known = np.isfinite(places_m).all(axis=1)
    places, alike = places_m[known], looks[known]
    # Several exposures are at one place.
    first = np.append(True, np.any(places[1:] != places[:-1], axis=1))[: len(places)]
    stops = places[first]
    if len(stops) < 2:
        return None
    ways = directions(stops)[np.cumsum(first) - 1]
    back, forth = np.flatnonzero(ways < 0), np.flatnonzero(ways > 0)
    if not to_and_fro(ways) or min(len(back), len(forth)) < 2:
        return None
    row, step_m = fast_axis(stops)
    apart = places[back][:, None] - places[forth]
    along, across = apart @ row / step_m, np.abs(apart @ across_rows(row))
    near = (across <= 1.5 * np.median(across.min(axis=1)) + 1e-3 * step_m) & (np.abs(along) < REACH)
    if not near.any():
        return None
    center = _cusp(along[near], 1 - (alike[back] @ alike[forth].T)[near])
    return None if center is None or abs(center) >= MOST else (-center, step_m)


def _cusp(x: Floats, unlike: Float32s) -> float | None:
    """The place about which ``unlike`` (n,) at ``x`` (n,) grows to both sides."""
    rise = unlike - unlike.mean()
    best, place = 0.0, None
    for center in np.linspace(-MOST, MOST, 141):
        for width in WIDTHS:
            cusp = np.exp(-np.abs(x - center) / width)
            cusp -= cusp.mean()
            fits = float(cusp @ rise) / max(float(np.linalg.norm(cusp)), 1e-12)
            if fits < best:
                best, place = fits, float(center)
    return place
