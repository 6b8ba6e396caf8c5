"""Scans that are hard to judge: empty halves, particles, edges, any overlap, dose and probe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from quality_detection import Count, judged

from ptypy_beamline.geometry import wavelength_m
from ptypy_beamline.testing.bad_frames import KINDS, spoil
from ptypy_beamline.testing.simulate import PATTERNS, Truth, diffract
from ptypy_beamline.testing.simulate import sample as structured

Transmission = NDArray[np.complexfloating[Any, Any]]
Shape = tuple[int, int]

SIDE, SHAPE, FRACTION = 64, (20, 20), 0.02
RATIOS, PHOTONS, PROBES = (0.25, 0.4, 0.6, 0.9), (1e3, 1e4, 1e5, 1e6, 1e7), (0.15, 0.3)
"""Step over the width of the probe; photons a frame; width of the probe over the field of view."""

RESOLUTION_M, PIXEL_M, ENERGY_EV = 10e-9, 75e-6, 8800.0


def _edge(shape: Shape, rng: np.random.Generator) -> Transmission:
    """Nothing beside an absorber that transmits 16 %, with a sharp edge."""
    y, x = np.indices(shape)
    angle = rng.uniform(0, np.pi)
    side = np.cos(angle) * (x - shape[1] / 2) + np.sin(angle) * (y - shape[0] / 2)
    return np.where(side > 0, 0.4 * np.exp(1.5j), 1)


def _particles(shape: Shape, rng: np.random.Generator) -> Transmission:
    """Spheres far from each other."""
    y, x = np.indices(shape)
    thick = np.zeros(shape)
    for _ in range(max(3, shape[0] * shape[1] // 9000)):
        radius = rng.uniform(3, 10)
        away = np.hypot(y - rng.uniform(0, shape[0]), x - rng.uniform(0, shape[1]))
        thick = np.maximum(thick, np.sqrt(np.clip(radius**2 - away**2, 0, None)) / 8)
    return np.exp((-0.3 - 1.6j) * thick)


def _chip(shape: Shape, rng: np.random.Generator) -> Transmission:
    """Wires on one half."""
    thick = np.zeros(shape)
    for _ in range(int(np.sqrt(shape[0] * shape[1]) / 8)):
        width, length = rng.integers(3, 14), rng.integers(20, max(21, shape[0] // 2))
        row, column = rng.integers(0, shape[0]), rng.integers(0, shape[1] // 2 + 1)
        high, wide = (width, length) if rng.random() < 0.5 else (length, width)
        thick[row : row + high, column : column + wide] += 0.5
    return np.exp((-0.25 - 1.2j) * thick)


def _cells(shape: Shape, rng: np.random.Generator) -> Transmission:
    """Smooth and weak."""
    y, x = np.indices(shape)
    thick = np.zeros(shape)
    for _ in range(max(2, shape[0] * shape[1] // 15000)):
        radius = rng.uniform(15, 40)
        away = np.hypot(y - rng.uniform(0, shape[0]), 0.7 * (x - rng.uniform(0, shape[1])))
        thick = np.maximum(thick, np.exp(-((away / radius) ** 4)))
    return np.exp((-0.05 - 0.7j) * thick * (1 + 0.3 * np.angle(structured(shape, rng))))


def _wedge(shape: Shape, rng: np.random.Generator) -> Transmission:
    """Ever thicker, with a sharp end."""
    x = np.indices(shape)[1] / shape[1]
    return np.exp((-0.4 - 9j) * np.clip(x - 0.15, 0, None) * (x < 0.75))


def _half(shape: Shape, rng: np.random.Generator) -> Transmission:
    """Structured, and nothing beside it."""
    found = structured(shape, rng)
    found[:, shape[1] // 2 :] = 1
    return found


def _bar(shape: Shape, rng: np.random.Generator) -> Transmission:
    """Structured, and a bar across it that transmits 1 %."""
    found = structured(shape, rng)
    found[shape[0] // 3 : shape[0] // 3 + 20] *= 0.1 * np.exp(-2j)
    return found


SAMPLES: dict[str, Callable[[Shape, np.random.Generator], Transmission]] = {
    "an edge": _edge,
    "particles": _particles,
    "a chip": _chip,
    "cells": _cells,
    "a wedge": _wedge,
    "structured": structured,
    "structured, half": _half,
    "structured, a bar": _bar,
}


@dataclass(frozen=True)
class Hard:
    """One such scan."""

    sample: str
    pattern: str
    ratio: float
    photons: float
    probe: float
    seed: int

    @property
    def truth(self) -> Truth:
        """Simulated."""
        sample, probe, points, corners, light, rng = self._made
        frames = rng.poisson(light).astype(np.uint32)
        return Truth(
            sample,
            probe,
            points * RESOLUTION_M,
            corners,
            frames,
            ENERGY_EV,
            RESOLUTION_M * SIDE * PIXEL_M / wavelength_m(ENERGY_EV),
            (PIXEL_M, PIXEL_M),
            (RESOLUTION_M, RESOLUTION_M),
        )

    @property
    def light(self) -> NDArray[np.float64]:
        """(n, ny, nx) photons that are expected."""
        return self._made[4]

    @property
    def _made(self) -> tuple[Any, ...]:
        rng = np.random.default_rng([self.seed, 11])
        probe = _beam(self.probe * SIDE)
        step = max(self.ratio * self.probe * SIDE, 1.0)
        points = np.rint(PATTERNS[self.pattern](SHAPE, rng) * step).astype(np.int64)
        corners = points - points.min(0) + 4
        rows, columns = (int(c) + SIDE + 4 for c in corners.max(0))
        sample = np.asarray(SAMPLES[self.sample]((rows, columns), rng), np.complex64)
        light = diffract(sample, probe, corners)
        return (
            sample,
            probe,
            points,
            corners,
            light * (self.photons / light.sum((1, 2)).mean()),
            rng,
        )


def _beam(width_px: float) -> NDArray[np.complex64]:
    """A curved and slightly lopsided Gaussian of so many pixels FWHM of intensity."""
    y, x = np.indices((SIDE, SIDE)) - SIDE // 2
    across = width_px / 2.355 * 1.41
    square = (x**2 + (1.15 * y) ** 2) / across**2
    wave = np.exp(-square / 2 + 1j * (0.9 + 0.25 * x / width_px) * square)
    return np.asarray(wave / np.linalg.norm(wave), np.complex64)


def scans(count: int, seed: int) -> Iterator[Hard]:
    """Samples and overlaps in turn, all else at random."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        yield Hard(
            list(SAMPLES)[number % len(SAMPLES)],
            list(PATTERNS)[rng.integers(len(PATTERNS))],
            RATIOS[number // len(SAMPLES) % len(RATIOS)],
            PHOTONS[rng.integers(len(PHOTONS))],
            PROBES[rng.integers(len(PROBES))],
            1000 * seed + number,
        )


Rows = list[dict[str, Any]]


def count(number: int, seed: int) -> tuple[Rows, Rows]:
    """False rejections of clean scans by overlap and by sample; what is found of each kind."""
    clean: dict[str, list[float]] = {}
    found: dict[str, Count] = {}
    none = np.zeros(0, np.int64)
    for hard in scans(number, seed):
        truth = hard.truth
        one = Count()
        one.add(judged(truth, truth.frames), none)
        for group in ("all", f"step {hard.ratio:g} of the probe", hard.sample):
            clean.setdefault(group, []).append(one.false / one.good)
        for kind in KINDS:
            frames, bad = spoil(truth.frames, kind, FRACTION, hard.seed)
            group = kind if hard.ratio <= 0.6 else f"{kind}, step 0.9 of the probe"
            found.setdefault(group, Count()).add(judged(truth, frames), bad)
    return list(_clean(clean)), list(_found(found))


def _clean(clean: dict[str, list[float]]) -> Iterator[dict[str, Any]]:
    for group in sorted(clean, key=lambda name: (name != "all", "step" not in name, name)):
        shares = np.array(clean[group])
        yield {
            "clean scans": group,
            "number": len(shares),
            "false rejections, mean": f"{100 * shares.mean():.3f} %",
            "worst scan": f"{100 * shares.max():.2f} %",
        }


def _found(found: dict[str, Count]) -> Iterator[dict[str, Any]]:
    for kind in sorted(found, key=lambda name: "step" in name):
        one = found[kind]
        yield {
            "2 % spoiled": kind,
            "found": f"{1 - one.missed / one.spoiled:.3f}",
            "ROC AUC, mean": f"{np.mean(one.areas):.4f}",
            "lowest": f"{np.min(one.areas):.3f}",
            "good frames rejected": one.false_share,
        }
