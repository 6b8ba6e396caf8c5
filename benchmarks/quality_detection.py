"""How many spoiled frames quality control finds, and how many good ones it takes for bad."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from ptypy_beamline import Scan
from ptypy_beamline.options import Qc
from ptypy_beamline.quality import Assessment, Exposures, evaluate
from ptypy_beamline.scan import ArrayFrames
from ptypy_beamline.testing.bad_frames import KINDS, spoil
from ptypy_beamline.testing.simulate import PATTERNS, Truth, diffract, simulate

SHAPE, SIZE, STEP_PX, PHOTONS = (20, 20), 128, 10, 1e6
FRACTION = 0.02
HALF, BAR = 0.35 * np.exp(1.5j), 0.1 * np.exp(-2j)
SAMPLES = (
    "structured",
    "structured, half of it behind an absorber",
    "structured, a bar across it",
    "structured, both",
)
"""The absorber transmits 12 % of the light, the bar 1 %; their edges are sharp."""

Frames = NDArray[np.unsignedinteger[Any]]


def scan_of(truth: Truth, frames: Frames) -> Scan:
    """The scan as if it had been read from a file."""
    center = (frames.shape[1] // 2, frames.shape[2] // 2)
    return Scan(
        ArrayFrames(frames),
        truth.positions_m,
        truth.energy_eV,
        truth.distance_m,
        truth.pixel_m,
        center_px=center,
    )


def frames_of(truth: Truth, sample: str, seed: int) -> Frames:
    """Photon counts behind one of :data:`SAMPLES`."""
    if sample == SAMPLES[0]:
        return truth.frames
    transmission = truth.object.copy()
    rows, columns = transmission.shape
    if sample in (SAMPLES[1], SAMPLES[3]):
        transmission[:, columns // 2 :] *= HALF
    if sample in (SAMPLES[2], SAMPLES[3]):
        transmission[rows // 3 : rows // 3 + 20] *= BAR
    light = diffract(transmission, truth.probe, truth.corners_px)
    return np.random.default_rng([seed, 7]).poisson(light).astype(truth.frames.dtype)


def judged(truth: Truth, frames: Frames) -> Assessment:
    """With the defaults."""
    found = evaluate(Exposures.of(scan_of(truth, frames).plan()), Qc())
    assert found is not None
    return found


@dataclass
class Count:
    """What came out for some scans with spoiled frames of one kind."""

    areas: list[float] = field(default_factory=list)
    spoiled: int = 0
    missed: int = 0
    good: int = 0
    false: int = 0

    def add(self, found: Assessment, spoiled: NDArray[np.int64]) -> None:
        """Count one more scan."""
        bad = np.isin(found.frames, spoiled)
        if bad.any():
            self.areas.append(float(roc_auc_score(bad, found.score)))
        self.spoiled += int(bad.sum())
        self.good += int((~bad).sum())
        self.missed += int((bad & ~found.rejected).sum())
        self.false += int((~bad & found.rejected).sum())

    @property
    def false_share(self) -> str:
        """False rejections of the good frames, in words."""
        return f"{self.false} of {self.good} ({100 * self.false / self.good:.3f} %)"


Counts = dict[tuple[str, str], Count]
"""(sample, kind) → what came out; kind ``clean`` has no spoiled frames."""


def count(seeds: int) -> Counts:
    """Judge every sample, scan pattern, seed and kind."""
    counts: Counts = {}
    none = np.zeros(0, np.int64)
    for pattern in PATTERNS:
        for seed in range(seeds):
            truth = simulate(SIZE, SHAPE, STEP_PX, pattern, photons=PHOTONS, seed=seed)
            for sample in SAMPLES:
                frames = frames_of(truth, sample, seed)
                counts.setdefault((sample, "clean"), Count()).add(judged(truth, frames), none)
                for kind in KINDS:
                    bad, spoiled = spoil(frames, kind, FRACTION, seed)
                    counts.setdefault((sample, kind), Count()).add(judged(truth, bad), spoiled)
    return counts


def kinds(counts: Counts, sample: str) -> Iterator[dict[str, Any]]:
    """A row for each kind of spoiled frame."""
    for kind in KINDS:
        found = counts[sample, kind]
        yield {
            "kind": kind,
            "ROC AUC, mean": f"{np.mean(found.areas):.5f}",
            "lowest": f"{np.min(found.areas):.5f}",
            "missed": f"{found.missed} of {found.spoiled}",
            "false alarms": found.false_share,
        }


def clean(counts: Counts) -> Iterator[dict[str, Any]]:
    """A row for each sample."""
    for sample in SAMPLES:
        yield {"sample": sample, "false rejections": counts[sample, "clean"].false_share}
