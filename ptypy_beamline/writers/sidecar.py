"""The sidecar of TIFF frames: a standardized HDF5 file without frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats, Ints
from ..errors import SettingsError, printable
from ..output import complete_hdf5

COLUMNS = {
    "x": ("posx_m", "positions", "m"),
    "y": ("posy_m", "positions", "m"),
    "energy": ("energy_eV", "energy", "eV"),
    "distance": ("det_dist_m", "distance", "m"),
    "pixel": ("pixel_m", "pixel", "m"),
    "exposure": ("exposure_s", "exposure", "s"),
}
"""Short name → its name in the file and, by default, in a log; quantity; SI unit."""

INDEX = "frame_index"
NEEDED = ("x", "y")


@dataclass(frozen=True, eq=False)
class Sidecar:
    """What goes into the file.

    Attributes
    ----------
    frame_index
        (m,) number of the frame of each position, increasing.
    quantities
        Short name of ``COLUMNS`` → (m,) in SI.
    counted
        How frames are numbered: by ``file names``, or from 0 in their ``order``.
    ignored
        Columns of the log that were not used.
    """

    frame_index: Ints
    quantities: Mapping[str, Floats]
    counted: str
    ignored: Sequence[str] = ()

    def with_constants(self, given: Mapping[str, float]) -> Sidecar:
        """With quantities that are the same for all frames, in SI.

        Raises
        ------
        SettingsError
            One is not positive, or the log has it.
        """
        for short, value in given.items():
            if not 0 < value < np.inf:
                raise SettingsError(f"{short}: {value:g} is not a positive number", "correct it")
            if short in self.quantities:
                raise SettingsError(
                    f"{short} is given, and the log has a column of it",
                    "leave out the one or the other",
                )
        same = {short: np.full(len(self.frame_index), value) for short, value in given.items()}
        return replace(self, quantities={**self.quantities, **same})


def write_sidecar(sidecar: Sidecar, path: str | Path, log: Path) -> Path:
    """Write the standardized layout without frames; a quantity that is constant as one number.

    Raises
    ------
    FileError
        The folder cannot be written.
    """
    with complete_hdf5(path) as file:
        file.attrs["default"] = "entry"
        entry = file.create_group("entry")
        entry.attrs.update({"NX_class": "NXentry", "log": printable(str(log))})
        entry[INDEX] = sidecar.frame_index
        entry[INDEX].attrs["description"] = "number of the frame of each position"
        entry[INDEX].attrs["counted"] = sidecar.counted
        x, y = sidecar.quantities["x"], sidecar.quantities["y"]
        entry["pos"] = np.column_stack([x, y])
        entry["pos"].attrs.update({"columns": "x,y", "units": "m"})
        for short, (name, _, unit) in COLUMNS.items():
            _put(entry, name, sidecar.quantities.get(short), unit, short in NEEDED)
    return Path(path)


def _put(entry: h5py.Group, name: str, values: NDArray[Any] | None, unit: str, each: bool) -> None:
    """One number where all are the same and not ``each`` is wanted; nothing if none is finite."""
    finite = np.empty(0) if values is None else values[np.isfinite(values)]
    if finite.size:
        entry[name] = values if each or np.ptp(finite) else finite[0]
        entry[name].attrs["units"] = unit
