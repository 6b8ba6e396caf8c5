"""The demo: a raw scan with common beamline problems, and small example files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tifffile
from numpy.typing import NDArray

from ..arrays import Bools, Float32s, Floats, Ints
from .package_writers import write_simulation
from .simulate import Truth, diffract, simulate
from .tomography import AngleSeries, RotatingSample, write_series
from .writers import Raw, write_areadetector

DETECTOR = (192, 200)
CENTER_PX = (91, 104)
EXPOSURES = 3
SATURATION = 1023


@dataclass(frozen=True, eq=False)
class DemoScan:
    """Contents of a demo scan, for checking the results.

    Attributes
    ----------
    truth
        Sample, probe and positions (one per position, not per exposure).
    center_px
        Beam centre on the raw detector (row, column).
    frames_per_position
        Exposures of each position, one after another.
    spoiled
        Raw indices of exposures without beam, or with a splash of scatter.
    bad_monitor
        Raw index of the exposure with missing I0 (NaN).
    hot_px, dead_px
        (k, 2) row, column. All dead pixels are in the file's mask, but only half of the hot.
    saturation
        The detector's count limit.
    """

    truth: Truth
    center_px: tuple[float, float]
    frames_per_position: int
    spoiled: Ints
    bad_monitor: int
    hot_px: Ints
    dead_px: Ints
    saturation: int


def write_demo_scan(path: str | Path, shape: tuple[int, int] = (15, 15)) -> DemoScan:
    """Write a raw areaDetector file, bitshuffle-LZ4 uint16, as a beamline would.

    192×200 pixels with the beam off the middle; three exposures per position; jittered
    positions; a fluctuating I0; dark images with a pattern; a gain map; hot, dead and saturated
    pixels; spoiled exposures; one I0 missing.

    Parameters
    ----------
    path
        File to write.
    shape
        Rows and columns of the scan.
    """
    rng = np.random.default_rng([0, 1])
    truth = simulate(128, shape, 10, "jitter", photons=1.5e6)
    sensor = _Sensor.make(rng)
    n = len(truth.frames) * EXPOSURES
    monitor = 1e5 * (1 + 0.08 * np.sin(np.arange(n) / 40) + 0.03 * rng.standard_normal(n))
    picked = rng.choice(n, 7, replace=False)
    spoiled, unread = np.sort(picked[:6]), int(picked[6])
    frames = sensor.record(_photons(truth, monitor / monitor.mean(), spoiled, rng), rng)
    monitor[unread] = np.nan
    raw = Raw(
        frames=frames,
        positions_m=np.repeat(truth.positions_m, EXPOSURES, axis=0),
        energy_eV=truth.energy_eV,
        distance_m=truth.distance_m,
        pixel_m=truth.pixel_m,
        bad=_marked(np.concatenate([sensor.dead_px, sensor.hot_px[::2]])),
        dark=sensor.record(np.zeros((20, *DETECTOR)), rng, beam=False),
        flat=sensor.gain.astype(np.float32)[None],
        monitor=monitor,
        saturation=SATURATION,
        compression="bitshuffle",
    )
    write_areadetector(Path(path), raw, signed=True)
    return DemoScan(
        truth, CENTER_PX, EXPOSURES, spoiled, unread, sensor.hot_px, sensor.dead_px, SATURATION
    )


@dataclass(frozen=True, eq=False)
class _Sensor:
    """What the detector adds to the photons."""

    offset: Floats
    gain: Floats
    hot_px: Ints
    dead_px: Ints

    @classmethod
    def make(cls, rng: np.random.Generator) -> _Sensor:
        """An offset of about 10 counts with stripes, a gain of 1 ± 5 %, hot and dead pixels."""
        columns = np.indices(DETECTOR)[1]
        offset = 10 + 2 * np.sin(columns / 12) + rng.normal(0, 0.7, DETECTOR)
        gain = (1 + 0.05 * rng.standard_normal(DETECTOR)).clip(0.8, 1.2)
        picked = rng.choice(offset.size, 22, replace=False)
        pixels = np.stack(np.unravel_index(picked, DETECTOR), axis=1)
        hot, dead = pixels[:12], pixels[12:]
        gain[dead[:, 0], dead[:, 1]] = 0
        return cls(offset, gain, hot, dead)

    def record(
        self, photons: NDArray[Any], rng: np.random.Generator, beam: bool = True
    ) -> NDArray[np.uint16]:
        """Counts as they are read out: gain, offset, noise, defects, and the limit.

        Hot pixels are hot only while the beam is on, so that no dark image removes them.
        """
        counts = photons * self.gain.astype(np.float32) + self.offset.astype(np.float32)
        counts += rng.normal(0, 0.5, counts.shape)
        if beam:
            rows, columns = self.hot_px.T
            counts[:, rows, columns] += rng.uniform(200, 900, (len(counts), len(rows)))
        counts[:, self.dead_px[:, 0], self.dead_px[:, 1]] = 0
        return np.asarray(np.rint(counts).clip(0, SATURATION), np.uint16)


def _photons(truth: Truth, flux: Floats, spoiled: Ints, rng: np.random.Generator) -> Float32s:
    """Photons of each exposure on the whole detector; the spoiled ones have no pattern."""
    intensity = diffract(truth.object, truth.probe, truth.corners_px) / EXPOSURES
    n = intensity.shape[1]
    top, left = CENTER_PX[0] - n // 2, CENTER_PX[1] - n // 2
    photons = np.zeros((len(flux), *DETECTOR), np.float32)
    expected = np.repeat(intensity, EXPOSURES, axis=0) * flux[:, None, None]
    photons[:, top : top + n, left : left + n] = rng.poisson(expected)
    y, x = np.indices(DETECTOR)
    splash = 20 * np.exp(-((y - 60) ** 2 + (x - 130) ** 2) / 2 / 45**2)
    for k, index in enumerate(spoiled):
        photons[index] = 0 if k % 2 else rng.poisson(splash)
    return photons


def _marked(pixels: Ints) -> Bools:
    """A mask that is True at ``pixels``."""
    mask = np.zeros(DETECTOR, bool)
    mask[pixels[:, 0], pixels[:, 1]] = True
    return mask


ANGLES_DEG = (0.0, 30.0, 60.0, 90.0, 120.0, 150.0)


def write_examples(folder: Path) -> None:
    """One scan as three files of no known format, a phantom, and a series of angles.

    The scan is in ``mine.h5``, in ``tiffs`` with ``log.csv``, and in ``mine.npz``; positions are in
    µm, and there is nothing but them and the frames.
    """
    scan = simulate(64, (12, 12), 6, "jitter", photons=1e5, seed=5)
    frames, (y_um, x_um) = scan.frames.astype(np.uint16), scan.positions_m.T * 1e6
    with h5py.File(folder / "mine.h5", "w") as file:
        file["run/camera/images"] = frames
        file["run/motors/samx"], file["run/motors/samy"] = x_um, y_um
    (folder / "tiffs").mkdir()
    log = ["image,x_um,y_um\n"]
    for number, (frame, y, x) in enumerate(zip(frames, y_um, x_um, strict=True)):
        name = f"img_{number:04d}.tif"
        tifffile.imwrite(folder / "tiffs" / name, frame)
        log.append(f"{name},{x:.4f},{y:.4f}\n")
    (folder / "log.csv").write_text("".join(log), encoding="utf-8")
    np.savez(folder / "mine.npz", patterns=frames.astype(np.float32), px=x_um, py=y_um)
    np.save(folder / "truth.npy", scan.object)
    write_simulation(folder / "phantom", scan=(12, 12))
    series = AngleSeries(RotatingSample(voxel_m=80e-9), window=48, scan=(8, 8), step_px=9.0)
    write_series(folder / "series.h5", series, ANGLES_DEG, [(0.0, 0.0)] * len(ANGLES_DEG))
