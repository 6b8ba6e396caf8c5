"""``phase.tif`` and ``amplitude.tif`` of an angle, whoever wrote them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from ..arrays import Complex64s
from ..errors import FileError, MissingDataError

REMEDY = "reconstruct the angle again, or leave it out (--skip)"


@dataclass(frozen=True)
class Phase:
    """Where an angle's phase is, and what is known of it.

    Attributes
    ----------
    path
        Of ``phase.tif``, in rad; ``amplitude.tif`` may lie beside it.
    shape
        (ny, nx).
    pixel_m
        (y, x).
    energy_eV
        Of the photons.
    """

    path: Path
    shape: tuple[int, int]
    pixel_m: tuple[float, float]
    energy_eV: float

    @classmethod
    def of(
        cls, folder: Path, pixel_m: float | None = None, energy_eV: float | None = None
    ) -> Phase:
        """Look at the file in ``angle_NNN``; no image is read.

        Parameters
        ----------
        folder
            ``angle_NNN``.
        pixel_m, energy_eV
            Where other programs wrote the files, which then do not say.

        Raises
        ------
        FileError, MissingDataError
            It is unreadable, or pixel or energy are not known.
        """
        path = folder / "phase.tif"
        try:
            with tifffile.TiffFile(path) as file:
                shape, text = file.series[0].shape, str(file.pages.first.description)
        except (OSError, ValueError, IndexError, tifffile.TiffFileError) as error:
            raise FileError(f"not readable ({error})", REMEDY, path) from error
        if len(shape) != 2:
            raise FileError(f"Expected an image (ny, nx). Got {shape}", REMEDY, path)
        about = json.loads(text) if text.startswith("{") else {}
        pixel, energy = about.get("pixel_size_m", {}), energy_eV or about.get("energy_eV")
        y, x = pixel_m or pixel.get("y"), pixel_m or pixel.get("x")
        if not (y and x and energy):
            what = "energy" if y and x else "pixel"
            raise MissingDataError(
                f"the {what} is not written in it", "give --voxel-m and --energy-kev", path
            )
        return cls(path, (shape[0], shape[1]), (float(y), float(x)), float(energy))

    def read(self) -> Complex64s:
        """(ny, nx) transmission; its modulus is 1 without ``amplitude.tif``.

        Raises
        ------
        FileError
            The images are damaged, or differ in shape.
        """
        beside = self.path.with_name("amplitude.tif")
        try:
            phase = tifffile.imread(self.path)
            amplitude = tifffile.imread(beside) if beside.is_file() else np.ones(self.shape)
        except (OSError, ValueError, tifffile.TiffFileError) as error:
            raise FileError(
                f"it or amplitude.tif in its folder is not readable ({error})", REMEDY, self.path
            ) from error
        if amplitude.shape != self.shape:
            raise FileError(
                f"Expected an image {self.shape}, as the phase. Got {amplitude.shape}",
                REMEDY,
                beside,
            )
        wave = np.asarray(amplitude * np.exp(1j * phase), np.complex64)
        if not (np.isfinite(wave).all() and wave.any()):
            raise FileError("phase or amplitude is not finite, or all is 0", REMEDY, self.path)
        return wave
