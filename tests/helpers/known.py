"""Reconstructions with a known truth, and the frames that they stand for."""

from __future__ import annotations

import numpy as np
import scans

from ptypy_beamline.frames.simulated import far_field, fresnel
from ptypy_beamline.reconstruction import Reconstruction
from ptypy_beamline.reconstruction.area import pixels_of
from ptypy_beamline.testing.simulate import sample

SPACING_M = 2e-6


def known(layers: int = 1, modes: int = 1, empty_columns: int = 0) -> Reconstruction:
    """The truth of ``scans.truth()`` with more layers or modes, or nothing at its left side."""
    truth = scans.truth()
    ny, nx = truth.object.shape
    rng = np.random.default_rng(7)
    planes = [truth.object, *(sample((ny, nx), rng) for _ in range(layers - 1))]
    obj = np.array(planes, np.complex64)
    obj[:, :, :empty_columns] = 1
    # Modes like those of a blurred source: the probe times ever higher powers.
    power = np.linspace(-1, 1, 64)[None, :] ** np.arange(modes)[:, None, None]
    middle = (np.array([ny, nx]) - 1) / 2
    center = truth.positions_m[0] + (middle - truth.corners_px[0] - 63 / 2) * truth.resolution_m
    return Reconstruction(
        object=obj,
        probe=np.asarray(truth.probe * power, np.complex64),
        pixel_m=truth.resolution_m,
        center_m=(float(center[0]), float(center[1])),
        positions_m=truth.positions_m,
        indices=np.arange(len(truth.positions_m)),
        energy_eV=truth.energy_eV,
        distance_m=truth.distance_m,
        errors=np.geomspace(0.4, 0.02, 60),
        algorithm="DM 40 + ML 20",
        layer_spacing_m=(SPACING_M,) * (layers - 1),
        scan="scan_0042",
        provenance={"source": "scan_0042.h5"},
    )


def frames(found: Reconstruction) -> np.ndarray:
    """Intensities (n, N, N) of every position, from object, probe, positions and centre alone."""
    n = found.probe.shape[-1]
    corners = np.rint(pixels_of(found, found.positions_m) - (n - 1) / 2).astype(int)
    step = fresnel((n, n), found.pixel_m[0], SPACING_M, found.energy_eV)
    views = [found.object[:, row : row + n, column : column + n] for row, column in corners]
    return np.array([sum(far_field(mode, view, step) for mode in found.probe) for view in views])
