"""Phase and amplitude as 32-bit TIFF, which ImageJ and most other programs open."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import tifffile

from ...arrays import Floats, Reals
from ...output.files import complete_file, renamed_together
from ..model import Reconstruction

SOFTWARE = "ptypy_beamline"


def write_tiffs(
    found: Reconstruction, folder: str | Path, phase_rad: Floats | None = None
) -> tuple[Path, Path]:
    """Write ``phase.tif`` (rad) and ``amplitude.tif``; an object of several layers as pages.

    The resolution tags have the pixel in pixels per centimetre; the description has it in metres,
    as JSON, with energy, algorithm and unit.

    Parameters
    ----------
    found
        What to write.
    folder
        Created if it is missing.
    phase_rad
        (layers, ny, nx), unwrapped; default: the object's own, from −π to π.

    Returns
    -------
    phase, amplitude
        The files.

    Raises
    ------
    FileError
        The folder cannot be written, or has files of these names from another program.
    """
    phase, amplitude = (Path(folder) / name for name in ("phase.tif", "amplitude.tif"))
    angle = np.angle(found.object) if phase_rad is None else phase_rad
    with renamed_together():
        for path, image, unit in ((phase, angle, "rad"), (amplitude, np.abs(found.object), "1")):
            with complete_file(path, _ours(path)) as temporary:
                _write(temporary, image, unit, found)
    return phase, amplitude


def _write(path: Path, image: Reals, unit: str, found: Reconstruction) -> None:
    y, x = found.pixel_m
    about = {
        "unit": unit,
        "pixel_size_m": {"y": y, "x": x},
        "energy_eV": found.energy_eV,
        "algorithm": found.algorithm,
        "iterations": found.iterations,
        "source": str(found.provenance.get("source", "")),
    }
    tifffile.imwrite(
        path,
        image.astype(np.float32),
        photometric="minisblack",
        software=SOFTWARE,
        resolution=(1e-2 / x, 1e-2 / y),
        resolutionunit="CENTIMETER",
        description=json.dumps(about),
        metadata=None,
    )


def _ours(path: Path) -> bool:
    """Whether the existing file was written by this package."""
    if not path.is_file() or not path.stat().st_size:
        return False
    try:
        with tifffile.TiffFile(path) as file:
            return bool(file.pages.first.software == SOFTWARE)
    except tifffile.TiffFileError:
        return False
