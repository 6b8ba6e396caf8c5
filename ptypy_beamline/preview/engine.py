"""One pass of rPIE over the frames, and what it needs.

Source: A. Maiden, D. Johnson, P. Li, "Further improvements to the ptychographical iterative
engine", Optica 4, 736 (2017), equations for rPIE.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from ..errors import ScanError
from ..planning.mend import fill
from .probe import probe_guess, to_corner

OBJECT_ALPHA, PROBE_BETA = 0.5, 1.0
"""Regularisation of the two updates: 1 is the cautious ePIE, 0 divides by the local power."""

PROBE_STEP = 0.25
"""Share of the probe's update that is taken; a whole one beside the object's overshoots."""

MARGIN_PX = 4
MOST_PX = 2e8
"""Object pixels that are still a scan; more are a mistake of units."""

WIDTHS = (0.0, 1.0, -1.0, 1.5, -1.5, 2.2, -2.2, 3.3, -3.3)
"""Defocused radii of the guessed probe that are tried, in mean distances of the positions."""

Complex = NDArray[np.complex64]


@dataclass
class State:
    """The estimates, changed in place."""

    object: Complex
    probe: Complex

    def recenter(self) -> None:
        """Bring the probe's centre of mass back to N//2 and the object with it.

        Both may be moved together without any change to the frames, so they wander.
        """
        power = np.abs(self.probe) ** 2
        for axis in (0, 1):
            line, n = power.sum(axis=1 - axis), power.shape[axis]
            drift = round(float(line @ np.arange(n)) / float(line.sum())) - n // 2
            self.probe = np.roll(self.probe, -drift, axis)
            self.object = np.roll(self.object, -drift, axis)


@dataclass(frozen=True, eq=False)
class Engine:
    """The data in the order of FFTs, and the passes over it."""

    moduli: NDArray[np.float32]  # (n, N, N) √counts, zero frequency at (0, 0)
    bad: NDArray[np.bool_] | None  # (n or 1, N, N)
    corners_px: NDArray[np.int64]
    origin_px: NDArray[np.int64]
    mean_frame: NDArray[np.float64]  # (N, N), bad pixels filled, zero frequency at (0, 0)
    visited: NDArray[np.int64]  # frames a pass goes over

    @property
    def power(self) -> float:
        """Counts of a mean frame."""
        return float(self.mean_frame.sum())

    def free_space(self) -> Complex:
        """An object of ones that holds all views."""
        rows, columns = self.corners_px.max(axis=0) + self.moduli.shape[1:] + MARGIN_PX
        return np.ones((rows, columns), np.complex64)

    def scaled(self, probe: NDArray[Any]) -> Complex:
        """``probe`` with the power of a mean frame: the object's amplitude is then about 1."""
        factor = np.sqrt(self.power / float((np.abs(probe) ** 2).sum()))
        return np.asarray(probe * factor, np.complex64)

    def best_probe(self, seed: int, passes: int = 4) -> Complex:
        """The guess that after a few passes foretells best frames it has not seen.

        Tried are diverging and converging beams of several widths: the mean frame does not
        tell them apart. The frames that were fitted would not do as judges: a probe too small
        for any overlap fits each frame by itself.
        """
        order = np.random.default_rng(seed).permutation(len(self.moduli))
        unseen, seen = np.split(order, [max(1, len(order) // 6)])
        trial = replace(self, visited=seen if len(seen) else unseen)
        step = np.sqrt(np.ptp(self.corners_px, axis=0).clip(1).prod() / len(self.moduli))
        widest = self.moduli.shape[1] / 4
        results: list[tuple[float, int, Complex]] = []
        for width in np.clip(np.array(WIDTHS) * step, -widest, widest):
            guess = probe_guess(self.mean_frame, None, (0, 0), float(width))
            state, rng = State(self.free_space(), self.scaled(guess)), np.random.default_rng(seed)
            for k in range(passes):
                trial.sweep(state, rng, update_probe=k > 0)
            results.append((self.misfit(state, unseen), len(results), state.probe))
        return min(results)[2]

    def misfit(self, state: State, frames: NDArray[np.int64]) -> float:
        """Σ|√I − |Ψ|| of some frames."""
        return sum(self.project(int(k), self.view(state, k) * state.probe)[1] for k in frames)

    def view(self, state: State, k: int) -> Complex:
        """The part of the object that frame ``k`` shows."""
        (row, column), n = self.corners_px[k], self.moduli.shape[1]
        return state.object[row : row + n, column : column + n]

    def sweep(self, state: State, rng: np.random.Generator, update_probe: bool) -> float:
        """One pass over all frames in random order; returns the error."""
        misfit = 0.0
        for k in rng.permutation(self.visited):
            view = self.view(state, k)
            exit_wave = view * state.probe
            change, distance = self.project(int(k), exit_wave)
            misfit += distance
            power = np.abs(state.probe) ** 2
            step = state.probe.conj() / ((1 - OBJECT_ALPHA) * power + OBJECT_ALPHA * power.max())
            if update_probe:
                power = np.abs(view) ** 2
                back = view.conj() / ((1 - PROBE_BETA) * power + PROBE_BETA * power.max())
                state.probe += PROBE_STEP * back * change
            view += step * change
        self._balance(state)
        return misfit / max(float(self.moduli[self.visited].sum(dtype=np.float64)), 1e-12)

    def project(self, k: int, exit_wave: Complex) -> tuple[Complex, float]:
        """Change of the exit wave that gives it the measured modulus, and the misfit."""
        wave = scipy.fft.fft2(exit_wave, norm="ortho")
        modulus = np.abs(wave)
        excess = self.moduli[k] - modulus
        if self.bad is not None:
            excess[self.bad[k if len(self.bad) > 1 else 0]] = 0
        wave *= excess / np.maximum(modulus, 1e-6)
        return scipy.fft.ifft2(wave, norm="ortho", overwrite_x=True), float(np.abs(excess).sum())

    def _balance(self, state: State) -> None:
        """Give the probe the power of a mean frame; only its product with the object is fixed."""
        factor = np.float32(np.sqrt(self.power / float((np.abs(state.probe) ** 2).sum())))
        state.probe *= factor
        state.object /= factor


def prepare(
    frames: NDArray[Any],
    good: NDArray[np.bool_],
    positions_m: NDArray[np.float64],
    resolution_m: tuple[float, float],
    center_px: tuple[float, float] | None,
) -> Engine:
    """Check the data and put it in the order of FFTs."""
    n, height, width = frames.shape
    if len(positions_m) != n or height != width:
        raise ScanError(
            f"Expected square frames, one per position. "
            f"Got frames {frames.shape} and {len(positions_m)} positions",
            "choose a square window (shape, --roi) and check the positions' dataset",
        )
    center = (height // 2, width // 2) if center_px is None else center_px
    counts = to_corner(np.asarray(frames, np.float32).clip(0, None), center)
    bad = to_corner(~np.asarray(good).reshape(-1, height, width), center)
    counts[np.broadcast_to(bad, counts.shape)] = 0
    if not counts.any():
        raise ScanError("Expected frames with photons. Got none in any good pixel",
                        "check the window (shape, center) and the mask")  # fmt: skip
    seen = np.maximum((~bad).sum(axis=0) * (n // len(bad)), 1)
    points = np.rint(np.asarray(positions_m) / np.asarray(resolution_m)).astype(np.int64)
    first = points.min(axis=0) - MARGIN_PX
    object_px = np.ptp(points.astype(np.float64), axis=0) + height
    if object_px.prod() > MOST_PX:
        raise ScanError(
            f"positions spread over {np.ptp(positions_m, axis=0).max():.3g} m, an object of "
            f"{object_px[0]:.3g}x{object_px[1]:.3g} pixels of {min(resolution_m):.3g} m",
            "check units.positions (--unit positions=UNIT) and the geometry (ptypy-beamline check)",
        )
    return Engine(
        moduli=np.sqrt(counts),
        bad=bad if bad.any() else None,
        corners_px=points - first,
        origin_px=first - height // 2,
        mean_frame=fill(counts.sum(axis=0, dtype=np.float64) / seen, np.asarray(~bad.all(axis=0))),
        visited=np.arange(n),
    )
