"""One pass of rPIE over the frames, and its arithmetic, compiled.

Source: A. Maiden, D. Johnson, P. Li, "Further improvements to the ptychographical iterative
engine", Optica 4, 736 (2017), equations for rPIE. The compiled functions write out real and
imaginary parts, and take rows as slices, since only then several pixels are computed at once: it
takes a third of the time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from ...arrays import Bools, Complex64s, Float32s, Floats, Ints
from ...compiled import compiled_fast
from ...errors import ScanError
from ...planning.inpaint import inpaint


@dataclass(frozen=True)
class StepSize:
    """How large the updates of a pass are.

    Attributes
    ----------
    alpha
        Regularisation of the object's update: 1 is the cautious ePIE, which averages the noise of
        overlapping frames best; 0 divides by the local power. The probe's is that of ePIE.
    probe_step
        Share of the probe's update that is applied; all of it, beside the object's, overshoots.
    """

    alpha: float = 0.5
    probe_step: float = 0.25


DEFAULT_STEPS = StepSize()

MIN_MODULUS = np.float32(1e-6)
"""Modulus below which the phase of a wave means nothing."""

MIN_POWER = np.float32(1e-30)
"""Smallest power to divide by."""

MARGIN_PX = 4
MAX_PX = 2e8
"""Maximum number of object pixels of a scan; more must be an error of units."""

BATCH, BATCH_PX, BATCH_OVERLAP = 4, 40_000, 0.75
"""Maximum frames and pixels that are propagated at once, before they update object and probe one by
one, and how much they may overlap, as updates of the same region would overshoot. A few are as good
as one, and small transforms take half the time."""


@dataclass
class State:
    """The estimates, changed in place."""

    object: Complex64s
    probe: Complex64s

    def recenter(self) -> None:
        """Move the probe's centre of mass back to N//2, and the object with it.

        Moving both changes no frame, so they drift.
        """
        power = np.abs(self.probe) ** 2
        for axis in (0, 1):
            line, n = power.sum(axis=1 - axis), power.shape[axis]
            drift = round(float(line @ np.arange(n)) / float(line.sum())) - n // 2
            self.probe = np.roll(self.probe, -drift, axis)
            self.object = np.roll(self.object, -drift, axis)


@dataclass(frozen=True, eq=False)
class RpieEngine:
    """The data and the passes over it; far-field frames in the order of FFTs."""

    moduli: Float32s  # (n, N, N) √counts, zero frequency at (0, 0)
    sums: Floats  # (n,) of these
    bad: Bools  # (n or 1, N, N)
    corners_px: Ints
    origin_px: Ints
    mean_frame: Floats  # (N, N), bad pixels filled, zero frequency at (0, 0)
    visited: Ints  # frames of a pass
    transfer: Complex64s | None = None  # (N, N) of free space to a near-field detector

    @property
    def step_px(self) -> float:
        """Mean distance between neighbouring positions."""
        extent = np.ptp(self.corners_px, axis=0).clip(1)
        return float(np.sqrt(extent.prod() / len(self.moduli)))

    @property
    def power(self) -> float:
        """Counts of a mean frame."""
        return float(self.mean_frame.sum())

    def without(self, frames: Ints) -> RpieEngine:
        """The same engine that skips some frames."""
        return replace(self, visited=np.setdiff1d(self.visited, frames))

    def free_space(self) -> Complex64s:
        """An object of ones that holds all views."""
        rows, columns = self.corners_px.max(axis=0) + self.moduli.shape[1:] + MARGIN_PX
        return np.ones((rows, columns), np.complex64)

    def scaled(self, probe: NDArray[Any]) -> Complex64s:
        """``probe`` with the power of a mean frame: the object's amplitude is then about 1."""
        factor = np.sqrt(self.power / float((np.abs(probe) ** 2).sum()))
        return np.asarray(probe * factor, np.complex64)

    def misfits(self, state: State, frames: Ints) -> Floats:
        """(m,) Σ|√I − |Ψ|| of each of some frames (m,)."""
        parts = [self.project(state, some)[1] for some in self.batches(frames)]
        return np.concatenate([np.zeros(0), *parts])

    def sweep(
        self,
        state: State,
        rng: np.random.Generator,
        update_probe: bool,
        steps: StepSize = DEFAULT_STEPS,
    ) -> float:
        """One pass over the visited frames in random order; returns the error."""
        misfit, alpha = 0.0, np.float32(steps.alpha)
        step = np.float32(steps.probe_step if update_probe else 0)
        for some in self.batches(rng.permutation(self.visited)):
            waves, distances = self.project(state, some)
            misfit += float(distances.sum())
            changes = self.back(waves)
            update(state.object, self.corners_px, some, state.probe, changes, alpha, step)
        # Only their product is determined: the probe gets the power of a mean frame.
        factor = np.float32(np.sqrt(self.power / float((np.abs(state.probe) ** 2).sum())))
        state.probe *= factor
        state.object /= factor
        return misfit / max(float(self.sums[self.visited].sum()), 1e-12)

    def batches(self, frames: Ints) -> list[Ints]:
        """``frames`` in batches that are propagated at once."""
        beam_px = len(self.mean_frame) / 2  # where its oversampling is 2
        overlap = beam_px**2 / float((np.ptp(self.corners_px, axis=0) + beam_px).prod())
        size = max(min(BATCH, BATCH_PX // self.mean_frame.size, int(BATCH_OVERLAP / overlap)), 1)
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
        """Waves on the detector propagated back to the sample."""
        if self.transfer is not None:
            waves = scipy.fft.fft2(waves, norm="ortho", overwrite_x=True)
            waves *= self.transfer.conj()
        exit_waves: Complex64s = scipy.fft.ifft2(waves, norm="ortho", overwrite_x=True)
        return exit_waves

    def project(self, state: State, frames: Ints) -> tuple[Complex64s, Floats]:
        """Changes of :meth:`waves` that give them the measured moduli, and their misfits."""
        waves, misfits = self.waves(state, frames), np.empty(len(frames))
        replace_moduli(waves, self.moduli, self.bad, frames, misfits)
        return waves, misfits


def low_frequencies(n: int, side: int) -> tuple[Ints, Ints]:
    """The ``side`` lowest frequencies of ``n``, in the order of FFTs, as an index of two axes."""
    line = np.r_[: side // 2, n - side // 2 : n]
    return line[:, None], line


def prepare(
    frames: NDArray[Any],
    good: Bools,
    positions_m: Floats,
    object_pixel_m: tuple[float, float],
    center_px: tuple[float, float] | None,
    transfer: Complex64s | None = None,
) -> RpieEngine:
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
    points = np.rint(np.asarray(positions_m) / np.asarray(object_pixel_m)).astype(np.int64)
    first = points.min(axis=0) - MARGIN_PX
    object_px = np.ptp(points.astype(np.float64), axis=0) + height
    if object_px.prod() > MAX_PX:
        raise ScanError(
            f"positions spread over {np.ptp(positions_m, axis=0).max():.3g} m, an object of "
            f"{object_px[0]:.3g}x{object_px[1]:.3g} pixels of {min(object_pixel_m):.3g} m",
            "check units.positions (--unit positions=UNIT) and the geometry (ptypy-beamline check)",
        )
    moduli = np.sqrt(counts)
    return RpieEngine(
        moduli=moduli,
        sums=moduli.sum(axis=(1, 2), dtype=np.float64),
        bad=bad,
        corners_px=points - first,
        origin_px=first - height // 2,
        mean_frame=inpaint(
            counts.sum(axis=0, dtype=np.float64) / seen, np.asarray(~bad.all(axis=0))
        ),
        visited=np.arange(n),
        transfer=transfer,
    )


def to_corner(stack: NDArray[Any], center_px: tuple[float, ...]) -> NDArray[Any]:
    """Roll the last two axes so that the beam centre is pixel (0, 0), as in FFTs."""
    return np.roll(stack, [-round(c) for c in center_px], axis=(-2, -1))


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
    """Replace ``waves`` (b, N, N) by the changes that give them the moduli, 0 where ``bad``.

    Σ|√I − |Ψ|| of each goes into ``misfits`` (b,).
    """
    _, height, width = waves.shape
    for b, frame in enumerate(frames):
        wave, wanted, is_bad = waves[b], moduli[frame], bad[frame if len(bad) > 1 else 0]
        misfits[b] = 0
        for i in range(height):
            line = np.float32(0)
            for j in range(width):
                value = wave[i, j]
                modulus = np.sqrt(value.real * value.real + value.imag * value.imag)
                excess = np.float32(0) if is_bad[i, j] else wanted[i, j] - modulus
                wave[i, j] = value * (excess / max(modulus, MIN_MODULUS))
                line += abs(excess)
            misfits[b] += line


@compiled_fast
def update(  # type: ignore[no-untyped-def]
    image, corners, frames, probe, changes, alpha, step
):  # pragma: no cover - compiled
    """Update object and probe by the ``changes`` (b, N, N) of the exit waves.

    ``alpha`` regularises the object's update, ``step`` is the share of the probe's that is applied;
    both float32.
    """
    height, width = probe.shape
    one = np.float32(1)
    for b, frame in enumerate(frames):
        row, column = corners[frame]
        max_probe, max_object = np.float32(0), np.float32(0)
        for i in range(height):
            view, line = image[row + i, column : column + width], probe[i]
            for j in range(width):
                v, p = view[j], line[j]
                max_probe = max(max_probe, p.real * p.real + p.imag * p.imag)
                max_object = max(max_object, v.real * v.real + v.imag * v.imag)
        max_probe = max(max_probe * alpha, MIN_POWER)
        share = step / max(max_object, MIN_POWER)
        for i in range(height):
            view, line, change = image[row + i, column : column + width], probe[i], changes[b, i]
            for j in range(width):
                v, p, c = view[j], line[j], change[j]
                local_power = (one - alpha) * (p.real * p.real + p.imag * p.imag) + max_probe
                weight = one / local_power
                view[j] = complex(
                    v.real + (p.real * c.real + p.imag * c.imag) * weight,
                    v.imag + (p.real * c.imag - p.imag * c.real) * weight,
                )
                line[j] = complex(
                    p.real + (v.real * c.real + v.imag * c.imag) * share,
                    p.imag + (v.real * c.imag - v.imag * c.real) * share,
                )
