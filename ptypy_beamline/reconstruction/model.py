"""What a reconstruction found, whoever made it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..arrays import Complex64s, Floats, Ints
from ..errors import ScanError


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """One object and one probe, and the positions that join them; SI units, axes (y, x).

    Attributes
    ----------
    object
        (layers, ny, nx) complex64 transmission; layers lie along the beam.
    probe
        (modes, N, N) complex64, in root counts.
    pixel_m
        Object pixel (y, x), which is the probe's, too.
    center_m
        (y, x) of the middle of the object, pixel ((ny - 1) / 2, (nx - 1) / 2), on the axes
        of the positions.
    positions_m
        (n, 2) y, x of the middle of the probe, as the engine refined them; pixel
        (N - 1) / 2 of the probe lies here.
    indices
        (n,) raw frame of each position, or its number where the raw frame is not known.
    energy_eV, distance_m
        Of the photons; from the sample to the detector.
    errors
        (iterations,) error of each iteration.
    algorithm
        Its name, with the numbers of iterations where several follow each other.
    layer_spacing_m
        (layers - 1,) distances between layers.
    scan
        Name of the scan.
    provenance
        How it came about: ``source`` (the raw file), ``settings`` and whatever else is known.
    held_out_error
        Of frames that were left out to tell, where some were: 0 perfect, 1 or more garbage.

    Raises
    ------
    ScanError
        Object or probe has not three axes.
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
        """Their number."""
        return len(self.errors)

    @property
    def strongest_mode(self) -> int:
        """Index of the probe mode with the most power."""
        return int((np.abs(self.probe) ** 2).sum(axis=(1, 2)).argmax())
