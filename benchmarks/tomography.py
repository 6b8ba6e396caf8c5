"""Balls of known density: simulated frames at 60 angles to a volume, judged against the truth.

    python benchmarks/tomography.py

The sample is moved by up to 5 pixels in both directions at every angle, and frames have Poisson
noise. All goes through the loader, as ``ptypy-beamline tomo`` does it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from table import write_table

from ptypy_beamline.testing.tomography import (
    SPHERES,
    AngleSeries,
    align_volume,
    sphere_densities,
    write_series,
)
from ptypy_beamline.tomography import Alignment, Engine, read_projections, run_series

RESULTS = Path(__file__).parent / "results"
MOVES_PX = 5.0


def misaligned_px(found: NDArray[Any], moves: NDArray[Any], angles_deg: NDArray[Any]) -> Any:
    """RMS errors (y, x) of the shifts.

    Left open are where the body is in the volume, and, by ptychography, where the probe is in its
    window: a constant, and across the axis a sine of the angle.
    """
    error, turn = found + moves, np.deg2rad(angles_deg)
    constant = np.ones((len(turn), 1))
    sine = np.stack([constant[:, 0], np.cos(turn), np.sin(turn)], axis=1)
    for axis, free in enumerate((constant, sine)):
        error[:, axis] -= free @ np.linalg.lstsq(free, error[:, axis], rcond=None)[0]
    return np.sqrt(np.mean(error**2, axis=0))


def rows(
    series: AngleSeries, count: int, engines: list[str], folder: Path
) -> Iterator[dict[str, Any]]:
    """A row for each engine, and one for the volume without the refinement by reprojection."""
    angles = np.arange(count) * 180 / count
    moves = np.random.default_rng(5).uniform(-MOVES_PX, MOVES_PX, (count, 2))
    raw = write_series(folder / "series.h5", series, angles, moves)
    for name in engines:
        engine, out = Engine(name), folder / name
        start = time.perf_counter()
        run_series([raw], out, engine=engine, only="reconstruct")
        seconds = time.perf_counter() - start
        for label, rounds in (("", 30), (", no reprojection", 0)):
            start = time.perf_counter()
            volume = run_series([out], out, alignment=Alignment(rounds=rounds))
            rest = time.perf_counter() - start
            y, x = misaligned_px(read_projections(out / "projections.h5").shifts_px, moves, angles)
            yield {
                "engine": f"{engine}{label}",
                "s an angle": f"{seconds / count:.1f}",
                "s to the volume": f"{rest:.1f}",
                "misaligned y, x (px)": f"{y:.2f}, {x:.2f}",
                **judged(volume, series),
            }


def judged(volume: Path, series: AngleSeries) -> dict[str, str]:
    """Correlation with the truth, and density of each sphere over the true one."""
    with h5py.File(volume) as file:
        found = file["volume"][()]
    truth = series.sample.volume(found.shape)
    found = align_volume(found, truth)
    ratio = sphere_densities(found) / [sphere.density_e_A3 for sphere in SPHERES]
    return {
        "correlation": f"{np.corrcoef(found.ravel(), truth.ravel())[0, 1]:.4f}",
        "density over the true one": ", ".join(f"{value:.3f}" for value in ratio),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--angles", type=int, default=60)
    parser.add_argument("--engines", nargs="+", default=["preview", "ptypy"])
    args = parser.parse_args()
    series = AngleSeries()
    with tempfile.TemporaryDirectory() as folder:
        found = list(rows(series, args.angles, args.engines, Path(folder)))
    frames = series.scan[0] * series.scan[1]
    title = (
        f"Tomography: {args.angles} angles, {frames} frames of {series.window}x"
        f"{series.window} each, {series.photons:g} photons a frame"
    )
    write_table(RESULTS / "tomography.md", title, found)


if __name__ == "__main__":
    main()
