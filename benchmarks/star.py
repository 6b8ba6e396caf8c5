"""The measured Siemens star: frames, positions, and a geometry that fits them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
STAR = ROOT.parent / "shared" / "data" / "siemens-star-516.npz"
RESOLUTION_M = 10e-9
HC_EV_M = 1.239841984e-6


@dataclass(frozen=True, eq=False)
class Star:
    """The data, and a choice of what was not recorded.

    Attributes
    ----------
    frames
        (n, ny, nx) uint16 counts.
    positions_m
        (n, 2) row, column.
    probe
        (ny, nx) complex64.
    """

    frames: NDArray[np.uint16]
    positions_m: NDArray[np.float64]
    probe: NDArray[np.complex64]
    energy_eV: float = 8800.0
    pixel_m: float = 75e-6

    @classmethod
    def read(cls, path: str | Path) -> Star:
        with np.load(path) as data:
            return cls(data["frames"], data["positions_px"] * RESOLUTION_M, data["probe"])

    @property
    def distance_m(self) -> float:
        """Far enough that a reconstructed pixel has the size in which positions are given."""
        size = self.frames.shape[-1] * self.pixel_m
        return RESOLUTION_M * size * self.energy_eV / HC_EV_M
