"""Writers of phantom directories: with measured frames, or to be simulated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Complex64s
from ..geometry import wavelength_m
from .package_writers import write_adorym
from .recording import Raw
from .sample import sample


def write_phantom(path: Path, raw: Raw) -> Path:
    """A directory NAME with a ground truth and the measured frames in NAME/NAME.h5."""
    folder = path.with_suffix("")
    write_grids(folder, np.zeros((8, 8, 1)), np.zeros((8, 8, 1)))
    write_adorym(folder / f"{folder.name}.h5", raw)
    return folder


def write_grids(folder: Path, delta: NDArray[Any], beta: NDArray[Any]) -> None:
    """δ and β (y, x, z)."""
    (folder / "phantom").mkdir(parents=True, exist_ok=True)
    np.save(folder / "phantom/grid_delta.npy", delta)
    np.save(folder / "phantom/grid_beta.npy", beta)


def write_simulation(  # noqa: PLR0913  a phantom and its light
    folder: Path,
    size: int = 168,
    *,
    slices: int = 1,
    n: int = 64,
    scan: tuple[int, int] = (16, 16),
    step_px: int = 8,
    photons: str = "1e6",
    energy_eV: float = 5000.0,
    voxel_m: float = 10e-9,
    seed: int = 0,
) -> Complex64s:
    """A phantom whose projection has the test sample's phase and amplitude, and its info.txt.

    Returns
    -------
    truth
        (size, size) transmission of the projection.
    """
    truth = sample((size, size), np.random.default_rng(seed))
    k = 2 * np.pi / wavelength_m(energy_eV)
    depth = k * voxel_m * slices
    share = np.ones((1, 1, slices))
    write_grids(
        folder,
        -np.angle(truth)[:, :, None] / depth * share,
        -np.log(np.abs(truth))[:, :, None] / depth * share,
    )
    (folder / "info.txt").write_text(
        f"probe {n}×{n}\n{scan[0]}×{scan[1]} positions, step {step_px} px\n"
        f"energy {energy_eV:g} eV\npixel {voxel_m * 1e2:g} cm\nn{photons}\n",
        encoding="utf-8",
    )
    return truth
