"""The reconstruction of a scan, by any engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..arrays import Complex64s, Floats, Ints
from ..errors import ScanError


def center_of(
    origin_m: Floats, shape: tuple[int, ...], pixel_m: Floats, side: int
) -> tuple[float, float]:
    """(y, x) of the middle of an object whose first pixel is at ``origin_m``.

    ``side`` is that of the probe, N. Engines have a position at its pixel N // 2, a
    :class:`Reconstruction` at its middle, (N - 1)/2: the object is moved by the difference.
    """
    half = (np.array(shape) - 1) / 2
    y, x = origin_m + (half + side // 2 - (side - 1) / 2) * pixel_m
    return float(y), float(x)


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """Object, probe and the positions of the probe on the object; SI units, axes (y, x).

    Attributes
    ----------
    object
        (layers, ny, nx) complex64 transmission; layers lie along the beam.
    probe
        (modes, N, N) complex64, in square roots of counts.
    pixel_m
        Reconstructed pixel (y, x), of object and probe.
    center_m
        (y, x) of the middle of the object, pixel ((ny - 1) / 2, (nx - 1) / 2), in the coordinate
        system of the positions.
    positions_m
        (n, 2) y, x of the middle of the probe, as the engine refined them; pixel
        (N - 1) / 2 of the probe lies here.
    indices
        (n,) raw frame of each position, or the position's number if the frame is unknown.
    energy_eV, distance_m
        Photon energy; sample-detector distance. 0 = unknown.
    errors
        (iterations,) error of each iteration.
    algorithm
        Engine and algorithms, with their numbers of iterations.
    layer_spacing_m
        (layers - 1,) distances between layers.
    scan
        Name of the scan.
    provenance
        Origin: ``source`` (the raw file), ``settings`` and what else is known.
    held_out_error
        Validation error of frames left out of the fit: 0 is perfect, 1 or more meaningless;
        None = none were left out.

    Raises
    ------
    ScanError
        Object or probe does not have three axes.
    """

    object: Complex64s
    probe: Complex64s
    pixel_m: tuple[float, float]
    center_m: tuple[float, float]
    positions_m: Floats
    indices: Ints
    energy_eV: float
    distance_m: float
    errors: Floats
    algorithm: str
    layer_spacing_m: tuple[float, ...] = ()
    scan: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    held_out_error: float | None = None

    def __post_init__(self) -> None:
        shapes = self.object.shape, self.probe.shape
        if any(len(shape) != 3 for shape in shapes):
            raise ScanError(
                f"Expected three axes of object and probe. Got {shapes}",
                "give a complete reconstruction",
            )

    @property
    def iterations(self) -> int:
        """Number of iterations."""
        return len(self.errors)

    @property
    def strongest_mode(self) -> int:
        """Index of the probe mode with the most power."""
        return int((np.abs(self.probe) ** 2).sum(axis=(1, 2)).argmax())
