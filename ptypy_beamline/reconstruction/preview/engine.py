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

from ...arrays import Bools, Complex64s, Float32s, Floats, Ints
from ...errors import ScanError
from ...planning.inpaint import inpaint
from .kernels import illuminate, replace_moduli, update
from .probe import probe_guess, to_corner


@dataclass(frozen=True)
class Pace:
    """How boldly a pass updates.

    Attributes
    ----------
    alpha
        Regularisation of the object's update: 1 is the cautious ePIE, which averages the noise of
        overlapping frames best; 0 divides by the local power. The probe's is that of ePIE.
    probe_step
        Share of the probe's update that is taken; a whole one beside the object's overshoots.
    """

    alpha: float = 0.5
    probe_step: float = 0.25


STEADY = Pace()

MARGIN_PX = 4
MOST_PX = 2e8
"""Object pixels that are still a scan; more are a mistake of units."""

WIDTHS = (0.0, 1.0, -1.0, 1.5, -1.5, 2.2, -2.2, 3.3, -3.3)
"""Defocused radii of the guessed probe that are tried, in mean distances of the positions."""

KEPT = (5, 3, 2, 1)
"""How many of the guesses go on after each pass."""

TOGETHER, TOGETHER_PX, OVERLAPPING = 4, 40_000, 0.75
"""Frames, and their pixels, whose waves are propagated at once, then to update object and probe
one by one, and those of them at most that see the same place, where all would go too far: a few are
as good as one, and small transforms take half the time."""

LEAST_PX, LIGHT, STEP_PX = 48, 0.95, 2.5
"""Of the cropped window: its least side, share of the counts in it, object pixels of a step."""

Window = tuple[Ints, Ints]


@dataclass
class State:
    """The estimates, changed in place."""

    object: Complex64s
    probe: Complex64s

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
    """The data and the passes over it; far-field frames in the order of FFTs."""

    moduli: Float32s  # (n, N, N) √counts, zero frequency at (0, 0)
    sums: Floats  # (n,) of these
    bad: Bools  # (n or 1, N, N)
    corners_px: Ints
    origin_px: Ints
    mean_frame: Floats  # (N, N), bad pixels filled, zero frequency at (0, 0)
    visited: Ints  # frames a pass goes over
    transfer: Complex64s | None = None  # (N, N) of free space to a near-field detector

    @property
    def power(self) -> float:
        """Counts of a mean frame."""
        return float(self.mean_frame.sum())

    def without(self, frames: Ints) -> Engine:
        """The same that does not go over some frames."""
        return replace(self, visited=np.setdiff1d(self.visited, frames))

    def free_space(self) -> Complex64s:
        """An object of ones that holds all views."""
        rows, columns = self.corners_px.max(axis=0) + self.moduli.shape[1:] + MARGIN_PX
        return np.ones((rows, columns), np.complex64)

    def scaled(self, probe: NDArray[Any]) -> Complex64s:
        """``probe`` with the power of a mean frame: the object's amplitude is then about 1."""
        factor = np.sqrt(self.power / float((np.abs(probe) ** 2).sum()))
        return np.asarray(probe * factor, np.complex64)

    def best_probe(self, seed: int) -> Complex64s:
        """The guess that after a few passes foretells best frames it has not seen.

        Tried are diverging and converging beams of several widths: the mean frame does not
        tell them apart. The frames that were fitted would not do as judges: a probe too small
        for any overlap fits each frame by itself. After each pass only the better ones go on,
        and all of it on the part of the detector that holds the light. A beam that is parallel, as
        that of a near field, is the mean frame propagated back.
        """
        if self.transfer is not None:
            return self.scaled(self.back(np.sqrt(self.mean_frame).astype(np.complex64)))
        small = self.cropped()
        order = np.random.default_rng(seed).permutation(small.visited)
        unseen, seen = np.split(order, [max(1, len(order) // 6)])
        trial = replace(small, visited=seen if len(seen) else unseen)
        tried = [
            (State(small.free_space(), small.scaled(guess)), np.random.default_rng(seed))
            for guess in small.guesses()
        ]
        for done, kept in enumerate(KEPT):
            for state, rng in tried:
                trial.sweep(state, rng, update_probe=done > 0)
            misfits = [small.misfits(state, unseen).sum() for state, _ in tried]
            tried = [tried[k] for k in np.argsort(misfits, kind="stable")[:kept]]
        return self.scaled(enlarged(tried[0][0].probe, self.moduli.shape[1]))

    def guesses(self) -> list[Complex64s]:
        """Guessed probes, without those that the window makes the same."""
        step = np.sqrt(np.ptp(self.corners_px, axis=0).clip(1).prod() / len(self.moduli))
        widest = self.moduli.shape[1] / 4
        widths = dict.fromkeys(np.clip(np.array(WIDTHS) * step, -widest, widest).tolist())
        return [probe_guess(self.mean_frame, None, (0, 0), width) for width in widths]

    def cropped(self) -> Engine:
        """With the smallest part of the detector that holds the light and resolves the steps.

        A smaller window has larger object pixels, λz/(N·p), to which positions are rounded.
        """
        n = side = self.moduli.shape[1]
        step = np.sqrt(np.ptp(self.corners_px, axis=0).clip(1).prod() / len(self.moduli))
        while side % 4 == 0 and side // 2 >= LEAST_PX and step * side / n >= 2 * STEP_PX:
            low = _low(n, side // 2)
            if self.mean_frame[low].sum() < LIGHT * self.power:
                break
            side //= 2
        if side == n:
            return self
        rows, columns = _low(n, side)
        moduli = np.ascontiguousarray(self.moduli[:, rows, columns])
        return replace(
            self,
            moduli=moduli,
            sums=_sums(moduli),
            bad=np.ascontiguousarray(self.bad[:, rows, columns]),
            mean_frame=self.mean_frame[rows, columns],
            corners_px=np.rint(self.corners_px * (side / n)).astype(np.int64),
        )

    def misfits(self, state: State, frames: Ints) -> Floats:
        """(m,) Σ|√I − |Ψ|| of each of some frames (m,)."""
        parts = [self.project(state, some)[1] for some in self.batches(frames)]
        return np.concatenate([np.zeros(0), *parts])

    def sweep(
        self, state: State, rng: np.random.Generator, update_probe: bool, pace: Pace = STEADY
    ) -> float:
        """One pass over the visited frames in random order; returns the error."""
        misfit, alpha = 0.0, np.float32(pace.alpha)
        step = np.float32(pace.probe_step if update_probe else 0)
        for some in self.batches(rng.permutation(self.visited)):
            waves, distances = self.project(state, some)
            misfit += float(distances.sum())
            changes = self.back(waves)
            update(state.object, self.corners_px, some, state.probe, changes, alpha, step)
        self._balance(state)
        return misfit / max(float(self.sums[self.visited].sum()), 1e-12)

    def batches(self, frames: Ints) -> list[Ints]:
        """``frames`` in parts that are propagated at once."""
        beam_px = len(self.mean_frame) / 2  # where its oversampling is 2
        overlap = beam_px**2 / float((np.ptp(self.corners_px, axis=0) + beam_px).prod())
        most = min(TOGETHER, TOGETHER_PX // self.mean_frame.size, int(OVERLAPPING / overlap))
        size = max(most, 1)
        return [frames[k : k + size] for k in range(0, len(frames), size)]

    def waves(self, state: State, frames: Ints) -> Complex64s:
        """(b, N, N) waves of some frames (b,) on the detector."""
        exit_waves = np.empty((len(frames), *state.probe.shape), np.complex64)
        illuminate(state.object, self.corners_px, frames, state.probe, exit_waves)
        waves: Complex64s = scipy.fft.fft2(exit_waves, norm="ortho", overwrite_x=True)
        if self.transfer is None:
            return waves
        waves *= self.transfer
        near: Complex64s = scipy.fft.ifft2(waves, norm="ortho", overwrite_x=True)
        return near

    def back(self, waves: Complex64s) -> Complex64s:
        """Waves on the detector taken back to the sample."""
        if self.transfer is not None:
            waves = scipy.fft.fft2(waves, norm="ortho", overwrite_x=True)
            waves *= self.transfer.conj()
        exit_waves: Complex64s = scipy.fft.ifft2(waves, norm="ortho", overwrite_x=True)
        return exit_waves

    def bad_of(self, k: int) -> Bools:
        """(N, N) bad pixels of frame ``k``."""
        bad: Bools = self.bad[k if len(self.bad) > 1 else 0]
        return bad

    def project(self, state: State, frames: Ints) -> tuple[Complex64s, Floats]:
        """Changes of :meth:`waves` that give them the measured moduli, and their misfits."""
        waves, misfits = self.waves(state, frames), np.empty(len(frames))
        replace_moduli(waves, self.moduli, self.bad, frames, misfits)
        return waves, misfits

    def _balance(self, state: State) -> None:
        """Give the probe the power of a mean frame; only its product with the object is fixed."""
        factor = np.float32(np.sqrt(self.power / float((np.abs(state.probe) ** 2).sum())))
        state.probe *= factor
        state.object /= factor


def enlarged(probe: Complex64s, side: int) -> Complex64s:
    """``probe`` on the finer pixels of a detector of ``side`` pixels, nothing scattered farther."""
    if len(probe) == side:
        return probe
    wave = np.zeros((side, side), np.complex64)
    wave[_low(side, len(probe))] = scipy.fft.fft2(scipy.fft.ifftshift(probe), norm="ortho")
    return np.asarray(scipy.fft.fftshift(scipy.fft.ifft2(wave, norm="ortho")), np.complex64)


def _sums(moduli: Float32s) -> Floats:
    return np.asarray(moduli.sum(axis=(1, 2), dtype=np.float64))


def _low(n: int, side: int) -> Window:
    """The ``side`` lowest frequencies of ``n``, in the order of FFTs, as an index of two axes."""
    line = np.r_[: side // 2, n - side // 2 : n]
    return line[:, None], line


def prepare(
    frames: NDArray[Any],
    good: Bools,
    positions_m: Floats,
    resolution_m: tuple[float, float],
    center_px: tuple[float, float] | None,
    transfer: Complex64s | None = None,
) -> Engine:
    """Check the data and put far-field frames in the order of FFTs."""
    n, height, width = frames.shape
    if len(positions_m) != n or height != width:
        raise ScanError(
            f"Expected square frames, one per position. "
            f"Got frames {frames.shape} and {len(positions_m)} positions",
            "choose a square window (shape, --roi) and check the positions' dataset",
        )
    center = (height // 2, width // 2) if center_px is None else center_px
    center = center if transfer is None else (0, 0)
    counts = to_corner(np.asarray(frames, np.float32).clip(0, None), center)
    bad = to_corner(~np.asarray(good).reshape(-1, height, width), center)
    counts[np.broadcast_to(bad, counts.shape)] = 0
    if not counts.any():
        raise ScanError(
            "Expected frames with photons. Got none in any good pixel",
            "check the window (shape, center) and the mask",
        )
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
    moduli = np.sqrt(counts)
    return Engine(
        moduli=moduli,
        sums=_sums(moduli),
        bad=bad,
        corners_px=points - first,
        origin_px=first - height // 2,
        mean_frame=inpaint(
            counts.sum(axis=0, dtype=np.float64) / seen, np.asarray(~bad.all(axis=0))
        ),
        visited=np.arange(n),
        transfer=transfer,
    )
