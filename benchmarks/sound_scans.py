"""Correct scans of many kinds, of which `check` and `orient` must say nothing alarming."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from quality_hard import SAMPLES, Hard
from scipy.ndimage import gaussian_filter

from ptypy_beamline.geometry import wavelength_m
from ptypy_beamline.testing.simulate import Truth, diffract, sample, simulate
from ptypy_beamline.testing.writers import Raw

Sound = Callable[[], tuple[Raw, Mapping[str, Any]]]
"""What is in the file, and the settings with which all is right."""

NEAR_PX, NEAR_PIXEL_M, NEAR_ENERGY_EV = 128, 2e-7, 10e3
"""Frames of near-field scans, and their pixel on the sample."""


def near_field(
    magnification: float,
    counts: float,
    diffuser_rad: float = 0.0,
    *,
    overfills: bool = False,
    distance_m: float = 2e-3,
    steps_px: float = 8,
    seed: int = 0,
) -> tuple[Raw, Mapping[str, Any]]:
    """A cone beam's near-field scan, by the Fresnel scaling theorem from that of a parallel beam.

    Parameters
    ----------
    magnification
        Of the sample on the detector; 1 for a parallel beam.
    counts
        Mean counts of a pixel in the beam.
    diffuser_rad
        Standard deviation of the beam's phase, with structures of 5 pixels.
    overfills
        Whether the beam is wider than the detector.
    distance_m
        Effective distance.
    steps_px
        Mean step in pixels on the sample.
    """
    rng = np.random.default_rng([seed, 5])
    n = 2 * NEAR_PX if overfills else NEAR_PX
    grid = np.indices((6, 6)).reshape(2, -1).T * steps_px
    points = np.rint(grid + rng.uniform(-0.3, 0.3, grid.shape) * steps_px).astype(np.int64)
    points -= points.min(0)
    y, x = (np.indices((n, n)) - n / 2) / (0.3 * n)
    phases = gaussian_filter(rng.normal(size=(n, n)), 5)
    beam = np.exp(-((y**2 + x**2) ** 2) + 1j * diffuser_rad * phases / phases.std())
    thing = sample((n + int(points[:, 0].max()), n + int(points[:, 1].max())), rng)
    squared = np.add.outer(*[scipy.fft.fftfreq(n, NEAR_PIXEL_M) ** 2] * 2)
    pull = np.exp(-1j * np.pi * wavelength_m(NEAR_ENERGY_EV) * distance_m * squared)
    waves = np.array([thing[r : r + n, c : c + n] * beam for r, c in points])
    light = np.abs(scipy.fft.ifft2(scipy.fft.fft2(waves) * pull)) ** 2
    inside = slice((n - NEAR_PX) // 2, (n + NEAR_PX) // 2)
    raw = Raw(
        rng.poisson(counts * light[:, inside, inside]).astype(np.uint32),
        points * NEAR_PIXEL_M,
        NEAR_ENERGY_EV,
        distance_m * magnification,
        (NEAR_PIXEL_M * magnification,) * 2,
        center_px=(NEAR_PX // 2,) * 2,
    )
    return raw, {"focus_to_sample": focus_m(raw)}


def focus_m(raw: Raw) -> float:
    """Distance of the focus from the sample of a near-field scan; 0 of a parallel beam."""
    magnification = raw.pixel_m[0] / NEAR_PIXEL_M
    return raw.distance_m / (magnification - 1) if magnification > 1 else 0.0


def hard(sample_of: str, pattern: str, ratio: float, photons: float, seed: int) -> Raw:
    """A far-field scan of one of the samples that are hard to judge."""
    return Raw.of(Hard(sample_of, pattern, ratio, photons, 0.2, seed).truth)


def plain(shape: tuple[int, int] = (12, 12), pattern: str = "jitter", **more: Any) -> Truth:
    """A far-field scan with 64 x 64 pixels of 10⁵ photons a frame."""
    return simulate(64, shape, more.pop("step_px", 6), pattern, **{"photons": 1e5, **more})


def absorbing(seed: int) -> Raw:
    """Sharp structures that let 1 % through, and nothing between them."""
    truth, rng = plain(seed=seed), np.random.default_rng(seed)
    thick = 1 - np.abs(SAMPLES["a chip"](truth.object.shape, rng))
    opaque = np.exp((-2.3 - 1.5j) * thick / thick.max())
    return exposed(truth, opaque.astype(np.complex64), rng)


def exposed(truth: Truth, thing: NDArray[np.complex64], rng: np.random.Generator) -> Raw:
    """The scan over another sample."""
    return Raw.of(
        replace(
            truth,
            frames=rng.poisson(diffract(thing, truth.probe, truth.corners_px)).astype(np.uint32),
        )
    )


def flying(seed: int) -> Raw:
    """A raster whose stage moves on by half a step while the shutter is open, and trembles."""
    truth, rng = plain((12, 14), "raster", seed=seed), np.random.default_rng(seed)
    corners, light = truth.corners_px, np.zeros(truth.frames.shape)
    tremble = rng.integers(-1, 2, corners.shape)
    for along in (-1, 0, 1):
        light += diffract(truth.object, truth.probe, corners + tremble + (0, along)) / 3
    places_m = truth.positions_m + tremble * truth.object_pixel_m
    return Raw.of(replace(truth, frames=rng.poisson(light).astype(np.uint32), positions_m=places_m))


def on_detector(raw: Raw, shape: tuple[int, int], center: tuple[int, int], gap: bool) -> Raw:
    """The part of the frames that falls on another detector, with gaps and a mask of them."""
    n = raw.frames.shape[1]
    frames = np.zeros((len(raw.frames), *shape), raw.frames.dtype)
    there, here = zip(
        *[
            (
                slice(max(0, c - n // 2), min(size, c + n // 2)),
                slice(max(0, n // 2 - c), min(n, size - c + n // 2)),
            )
            for c, size in zip(center, shape, strict=True)
        ],
        strict=True,
    )
    frames[(slice(None), *there)] = raw.frames[(slice(None), *here)]
    bad = np.zeros(shape, np.bool_)
    if gap:
        bad[center[0] + 6 : center[0] + 10] = True
        bad[:, center[1] - 12 : center[1] - 9] = True
    return replace(raw, frames=frames * ~bad, bad=bad if gap else None, center_px=center)


def wide(seed: int, probe: float = 0.3) -> Raw:
    """Frames of 128 x 128 pixels, and a probe of which the field of view is a share wide."""
    truth, rng = simulate(128, (12, 12), 6, "jitter", seed=seed), np.random.default_rng(seed)
    y, x = (np.indices((128, 128)) - 64) / (probe * 128)
    beam = 20 * np.exp(-8 * (y**2 + 1.1 * x**2) ** 2 + 5j * (y**2 + x**2))
    return exposed(replace(truth, probe=beam.astype(np.complex64)), truth.object, rng)


def dark_and_monitor(seed: int) -> Raw:
    """A beam that varies by 15 %, and an offset of about 20 counts with noise."""
    truth, rng = plain(seed=seed), np.random.default_rng(seed)
    monitor = 1 + 0.15 * np.sin(np.arange(len(truth.frames)) / 9) + rng.normal(0, 0.03, 144)
    light = diffract(truth.object, truth.probe, truth.corners_px) * monitor[:, None, None]
    offset = 20 + 4 * rng.random((64, 64))
    frames, dark = (
        rng.poisson(level).astype(np.uint16)
        for level in (light + offset, np.broadcast_to(offset, (50, 64, 64)))
    )
    return replace(Raw.of(truth), frames=frames, dark=dark, monitor=monitor * 1e5)


def saturated(seed: int) -> Raw:
    """The detector counts to 200 only, as the file has it."""
    truth = plain(seed=seed, photons=3e5)
    return replace(
        Raw.of(truth), frames=truth.frames.clip(0, 200).astype(np.uint16), saturation=200
    )


def oblong_pixels(seed: int) -> Raw:
    """Pixels 50 µm high and 75 µm wide."""
    raw = Raw.of(plain(seed=seed, pixel_m=75e-6))
    return replace(raw, pixel_m=(50e-6, 75e-6), positions_m=raw.positions_m * (1.5, 1))


def turned(seed: int) -> Raw:
    """A detector that is mounted mirrored."""
    raw = Raw.of(plain((13, 13), "fermat", seed=seed, photons=3e5))
    frames = np.ascontiguousarray(raw.frames[:, :, ::-1])
    return replace(raw, frames=frames, center_px=(32, 31))


def repeated(seed: int) -> Raw:
    """Three exposures a position."""
    truth, rng = plain(seed=seed), np.random.default_rng(seed)
    light = diffract(truth.object, truth.probe, truth.corners_px).repeat(3, 0)
    return replace(
        Raw.of(truth),
        frames=rng.poisson(light / 3).astype(np.uint16),
        positions_m=truth.positions_m.repeat(3, 0),
    )


NEAR: dict[str, Sound] = {
    "near, 1.5 times, 1,000 a pixel": partial(near_field, 1.5, 1000, seed=1),
    "near, 20 times, diffuser": partial(near_field, 20, 1000, 2.0, seed=2),
    "near, 100 times, 50 a pixel": partial(near_field, 100, 50, 2.0, seed=3),
    "near, 5 times, 10 a pixel": partial(near_field, 5, 10, 1.0, seed=4),
    "near, 10 times, beam overfills": partial(near_field, 10, 1000, 2.0, overfills=True, seed=5),
    "near, 40 times, 10 mm": partial(near_field, 40, 300, 1.0, distance_m=1e-2, seed=6),
    "near, 3 times, overfills, 30 a pixel": partial(
        near_field, 3, 30, 1.0, overfills=True, steps_px=14, seed=7
    ),
    "near, parallel, said": partial(near_field, 1, 300, seed=8),
}

FAR: dict[str, Sound] = {
    "one row": lambda: (Raw.of(plain((1, 80), "raster", seed=11)), {}),
    "one column, jitter": lambda: (Raw.of(plain((60, 1), "jitter", seed=12, photons=1e6)), {}),
    "one row of 20": lambda: (Raw.of(plain((1, 20), "raster", seed=13)), {}),
    "particles, raster 1e5": lambda: (hard("particles", "raster", 0.4, 1e5, 14), {}),
    "particles, fermat 1e7": lambda: (hard("particles", "fermat", 0.5, 1e7, 15), {}),
    "particles, snake 1e4": lambda: (hard("particles", "snake", 0.4, 1e4, 16), {}),
    "1 % transmitted, jitter": lambda: (absorbing(17), {}),
    "an absorber's edge": lambda: (hard("an edge", "jitter", 0.4, 1e6, 18), {}),
    "an opaque bar": lambda: (hard("structured, a bar", "snake", 0.4, 1e5, 19), {}),
    "a wedge": lambda: (hard("a wedge", "spiral", 0.5, 1e6, 20), {}),
    "fly scan": lambda: (flying(21), {}),
    "step 0.25": lambda: (hard("structured", "raster", 0.25, 1e5, 22), {}),
    "step 0.6": lambda: (hard("structured", "fermat", 0.6, 1e6, 23), {}),
    "step 0.8": lambda: (hard("structured", "jitter", 0.8, 1e6, 24), {}),
    "odd detector, gap and mask": lambda: (
        on_detector(Raw.of(plain(seed=25, photons=1e6)), (113, 89), (51, 40), gap=True),
        {"shape": 64},
    ),
    "odd detector, padded": lambda: (
        on_detector(wide(26), (97, 75), (45, 37), gap=True),
        {"pad": "square"},
    ),
    "window off the middle": lambda: (
        on_detector(Raw.of(plain(seed=27)), (200, 150), (140, 45), gap=False),
        {"shape": 64},
    ),
    "window off the middle, found": lambda: (
        replace(
            on_detector(Raw.of(plain(seed=28)), (160, 220), (60, 171), gap=False), center_px=None
        ),
        {"shape": 64},
    ),
    "dark and monitor": lambda: (dark_and_monitor(29), {"monitor": "file"}),
    "saturated, said": lambda: (saturated(30), {"saturation": "file"}),
    "1e9 photons": lambda: (Raw.of(plain(seed=31, photons=1e9)), {}),
    "1e8 photons, particles": lambda: (hard("particles", "jitter", 0.4, 1e8, 32), {}),
    "oblong pixels": lambda: (oblong_pixels(33), {}),
    "mirrored, said": lambda: (turned(34), {"flip": "h"}),
    "three exposures": lambda: (repeated(35), {"frames_per_position": 3}),
    "binned": lambda: (wide(36, 0.15), {"rebin": 2}),
}

KINDS = NEAR | FAR
