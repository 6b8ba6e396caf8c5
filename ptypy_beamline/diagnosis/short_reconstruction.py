"""Short reconstructions that decide which of several interpretations of a scan is right.

With a wrong orientation or order of the positions each single frame is fitted nearly as well as
with the right one, so they are compared by frames held out of the reconstruction.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..arrays import Bools, Complex64s, Float32s, Floats, Ints
from ..planning.transform import Transform
from ..positions import step_m
from ..reconstruction.preview.engine import RpieEngine, State, prepare
from ..reconstruction.preview.probe import best_probe
from .frame_features import FrameFeatures

PATCH_FRAMES, HELD_OUT = 120, 6
"""Neighbouring positions that are reconstructed; one in this many is held out."""

SIDES_PX = (64, 96, 128)
"""Windows for it; the smallest that suffices is used."""

STEP_PX = 2.5
"""Object pixels that a step of the scan should have: positions are rounded to whole ones."""

PASSES = 6
"""Over the frames, after the search for the probe."""

RATIO, STUDENT_T = 1.05, 3.5
"""Margin by which the held-out frames must be predicted better."""


@dataclass(frozen=True, eq=False)
class Patch:
    """Some frames, small enough for many short reconstructions.

    Attributes
    ----------
    frames
        (n, s, s) counts.
    good
        (s, s) or (n, s, s), True = use.
    positions_m
        (n, 2) row, column.
    pixel_m
        Object pixel (y, x).
    center_px
        Beam (row, column) on the frames.
    """

    frames: Float32s
    good: Bools
    positions_m: Floats
    pixel_m: tuple[float, float]
    center_px: tuple[float, float]

    @classmethod
    def of(cls, features: FrameFeatures, picked: Ints) -> Patch:
        """Frames in the rows ``picked`` of ``features``, cut to :func:`window_px`."""
        plan, side_px = features.plan, window_px(features)
        geometry, positions = plan.geometry, features.positions[picked]
        corner = [
            min(max(0, round(c) - side_px // 2), n - side_px)
            for c, n in zip(geometry.center_px, geometry.shape, strict=True)
        ]
        rows, columns = (slice(first, first + side_px) for first in corner)
        blocks = list(plan.stream(positions, warn_empty=False))
        frames = np.concatenate([block.frames[:, rows, columns] for block in blocks])
        good = plan.good[rows, columns]
        if any(block.good.strides[0] for block in blocks):
            good = np.concatenate([block.good[:, rows, columns] for block in blocks])
        # λz/(N·p): a smaller window has coarser object pixels.
        pixel = [
            r * n / side_px for r, n in zip(geometry.object_pixel_m, geometry.shape, strict=True)
        ]
        center = [c - first for c, first in zip(geometry.center_px, corner, strict=True)]
        return cls(
            frames, good, plan.positions_m[positions], (pixel[0], pixel[1]), (center[0], center[1])
        )

    @cached_property
    def engine(self) -> RpieEngine:
        """The preview's engine of these frames."""
        return prepare(self.frames, self.good, self.positions_m, self.pixel_m, self.center_px)

    @cached_property
    def probe(self) -> Complex64s:
        """The best of the preview's initial probes."""
        return best_probe(self.engine, seed=0)

    def at(self, positions_m: Floats) -> Patch:
        """The same frames at other positions."""
        return replace(self, positions_m=positions_m)

    def subset(self, which: Bools) -> Patch:
        """Only some of the frames, ``which`` (n,)."""
        good = self.good if self.good.ndim == 2 else self.good[which]
        return replace(
            self, frames=self.frames[which], good=good, positions_m=self.positions_m[which]
        )

    def oriented(self, flags: tuple[bool, bool, bool]) -> Patch:
        """The frames oriented as the loader does it; the positions stay."""
        transform = Transform("sum", False, 1, flags, (0, 0, 0, 0), self.frames.shape[1:])
        out = np.zeros(self.frames.shape, np.float32), np.zeros(self.frames.shape, np.bool_)
        good = np.broadcast_to(self.good, self.frames.shape)
        transform.apply(self.frames, np.ascontiguousarray(good), self.center_px, out)
        shared = out[1][0] if self.good.ndim == 2 else out[1]
        return replace(
            self,
            frames=out[0],
            good=shared,
            center_px=transform.center(self.center_px),
            pixel_m=transform.pixel(self.pixel_m),
        )


def window_px(features: FrameFeatures) -> int:
    """Side of the window for a patch: holds most counts, and resolves the steps of the scan."""
    geometry = features.plan.geometry
    field_m = max(n * r for n, r in zip(geometry.shape, geometry.object_pixel_m, strict=True))
    needed = max(
        2 * features.spread_px, STEP_PX * field_m / max(step_m(features.positions_m), 1e-15)
    )
    side = next((side for side in SIDES_PX if side >= needed), SIDES_PX[-1])
    return min(side, *geometry.shape)


def folds(n: int, count: int) -> list[Ints]:
    """``count`` disjoint random groups, each a sixth of ``n`` frames."""
    order, size = np.random.default_rng(0).permutation(n), max(2, n // HELD_OUT)
    return [order[k * size : (k + 1) * size] for k in range(count)]


def held_out_errors(
    patch: Patch,
    held_out: Ints | None = None,
    passes: int = PASSES,
    probe: Complex64s | None = None,
) -> Floats:
    """(m,) Σ|√I − |Ψ|| / Σ√I of frames held out of the reconstruction.

    Parameters
    ----------
    patch
        The frames.
    held_out
        (m,) those that are held out; default: every sixth, at random.
    passes
        Over the others.
    probe
        What to start from; default: the best of the preview's initial probes.
    """
    engine, state, held_out = reconstruct_without(patch, passes, held_out, probe)
    errors: Floats = engine.misfits(state, held_out) / engine.sums[held_out].clip(1e-12)
    return errors


def reconstruct_without(
    patch: Patch,
    passes: int,
    held_out: Ints | None = None,
    probe: Complex64s | None = None,
) -> tuple[RpieEngine, State, Ints]:
    """A reconstruction of ``patch`` without the frames ``held_out``, and which these are.

    It starts from ``probe``, or the best of the preview's initial probes.
    """
    rng = np.random.default_rng(0)
    engine = patch.engine
    if held_out is None:
        held_out = folds(len(patch.frames), 1)[0]
    fitted = engine.without(held_out)
    start = patch.probe if probe is None else probe
    state = State(engine.free_space(), start.copy())
    for k in range(passes):
        fitted.sweep(state, rng, update_probe=k > 0)
    return engine, state, held_out


@dataclass(frozen=True)
class Margin:
    """By how much the best of several interpretations is better than another.

    Attributes
    ----------
    ratio
        The other's mean error over the best's, ≥ 1.
    t
        Student's t of the differences, frame by frame.
    """

    ratio: float
    t: float

    @classmethod
    def of(cls, best: Floats, other: Floats) -> Margin:
        """Of the errors (m,) of the same frames."""
        difference = other - best
        spread = float(difference.std(ddof=1)) / np.sqrt(len(difference))
        return cls(
            float(other.mean() / max(float(best.mean()), 1e-12)),
            float(difference.mean()) / max(spread, 1e-12),
        )

    def exceeds(self, ratio: float, t: float) -> bool:
        """Whether it is at least this large."""
        return self.ratio >= ratio and self.t >= t


@dataclass(frozen=True)
class Improvement:
    """Mean errors of held-out frames in two interpretations of a scan, and the margin."""

    given: float
    other: float
    margin: Margin

    @classmethod
    def of(cls, given: Floats, other: Floats) -> Improvement:
        """Of the errors (m,) of the same frames."""
        return cls(float(given.mean()), float(other.mean()), Margin.of(other, given))

    def is_convincing(self, ratio: float = RATIO) -> bool:
        """Whether the other interpretation is clearly better, at least by ``ratio``."""
        return self.margin.exceeds(ratio, STUDENT_T)
