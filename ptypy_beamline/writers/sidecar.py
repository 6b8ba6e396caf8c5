"""The sidecar of TIFF frames, a standardized HDF5 file without frames, and the log's columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats, Ints
from ..errors import MissingDataError, SettingsError, printable, warn
from ..files.csvlog import CsvLog
from ..output.hdf5 import complete_hdf5, nexus_group, put_dataset
from ..quantities import UNITS, known_factor, unit_factor, unit_of_name

COLUMNS = {
    "x": ("posx_m", "positions", "m"),
    "y": ("posy_m", "positions", "m"),
    "energy": ("energy_eV", "energy", "eV"),
    "distance": ("det_dist_m", "distance", "m"),
    "pixel": ("pixel_m", "pixel", "m"),
    "exposure": ("exposure_s", "exposure", "s"),
}
"""Short name → name in the file and, by default, in a log; quantity; SI unit."""

LOG_NAMES = {
    "x": ("posx", "positionx", "xposition", "samplex", "stagex", "x"),
    "y": ("posy", "positiony", "yposition", "sampley", "stagey", "y"),
    "energy": ("energy", "photonenergy"),
    "distance": ("detdist", "detdistance", "detectordistance", "distance"),
    "pixel": ("pixel", "pixelsize"),
    "exposure": ("exposure", "exposuretime", "counttime", "acquiretime"),
}
"""Short name → names of the column in logs, in any case, with any unit; preferred ones first."""

INDEX = "frame_index"
REQUIRED = ("x", "y")


@dataclass(frozen=True, eq=False)
class Sidecar:
    """The content of the file.

    Attributes
    ----------
    frame_index
        (m,) number of the frame of each position, increasing.
    quantities
        Short name of ``COLUMNS`` → (m,) in SI.
    counted
        How frames are numbered: by ``file names``, or from 0 in ``order``.
    ignored
        Columns of the log that were not used.
    """

    frame_index: Ints
    quantities: Mapping[str, Floats]
    counted: str
    ignored: Sequence[str] = ()

    def with_constants(self, given: Mapping[str, float]) -> Sidecar:
        """The same, with quantities that are constant over all frames, in SI.

        Raises
        ------
        SettingsError
            One is not positive, or the log has a column of it.
        """
        for short, value in given.items():
            if not 0 < value < np.inf:
                raise SettingsError(f"{short}: {value:g} is not a positive number", "correct it")
            if short in self.quantities:
                raise SettingsError(
                    f"{short} is given, and the log has a column of it", "leave out one of the two"
                )
        same = {short: np.full(len(self.frame_index), value) for short, value in given.items()}
        return replace(self, quantities={**self.quantities, **same})


def write_sidecar(sidecar: Sidecar, path: str | Path, log: Path) -> Path:
    """Write the standardized layout without frames; a constant quantity as one number.

    Raises
    ------
    FileError
        The folder cannot be written.
    """
    with complete_hdf5(path) as file:
        file.attrs["default"] = "entry"
        entry = nexus_group(file, "entry", "NXentry", log=printable(str(log)))
        numbering = {
            "description": "number of the frame of each position",
            "counted": sidecar.counted,
        }
        put_dataset(entry, INDEX, sidecar.frame_index, **numbering)
        x, y = sidecar.quantities["x"], sidecar.quantities["y"]
        put_dataset(entry, "pos", np.column_stack([x, y]), columns="x,y", units="m")
        for short, (name, _, unit) in COLUMNS.items():
            _put_quantity(entry, name, sidecar.quantities.get(short), unit, short in REQUIRED)
    return Path(path)


def _put_quantity(
    entry: h5py.Group, name: str, values: NDArray[Any] | None, unit: str, each: bool
) -> None:
    """Write one number if all are equal, unless ``each`` is wanted; nothing if none is finite."""
    finite = np.empty(0) if values is None else values[np.isfinite(values)]
    if finite.size:
        put_dataset(entry, name, values if each or np.ptp(finite) else finite[0], units=unit)


@dataclass(frozen=True)
class LogColumns:
    """The names and units of a log's columns.

    Attributes
    ----------
    columns
        Short name of ``COLUMNS``, or ``index``, or ``time`` → the log's name.
    units
        Quantity → unit, if the column's name does not end in it.
    first_index
        Number that the log gives to the first frame; None = found from the numbers.

    Raises
    ------
    SettingsError
        A unit is given for an unknown quantity.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    first_index: int | None = None

    def __post_init__(self) -> None:
        unknown = sorted(set(self.units) - set(UNITS))
        if unknown:
            raise SettingsError(
                f"Expected units of {', '.join(UNITS)}. Got {', '.join(unknown)}",
                "use --unit NAME=UNIT with one of these names",
            )

    def quantities(self, log: CsvLog) -> dict[str, Floats]:
        """The log's columns in SI, by their short names; NaN for an empty cell.

        Raises
        ------
        MissingDataError
            A column that is required or named is missing, or its unit is unknown.
        """
        out = {}
        for short, (_, quantity, _) in COLUMNS.items():
            name = self.column(log, short)
            if short in REQUIRED or short in self.columns or name in log.header:
                factor = self._factor(quantity, name, log, short)
                if factor is not None:
                    out[short] = log.numbers(name, f"--col-{short}") * factor
        return out

    def column(self, log: CsvLog, short: str) -> str:
        """The log's name of a quantity; the default name if the log has no such column."""
        return self.columns.get(short) or find_column(log, short) or COLUMNS[short][0]

    def ignored(self, log: CsvLog, key: str, used: Mapping[str, Floats]) -> list[str]:
        """Columns of the log that are neither the ``key`` of rows nor ``used`` quantities."""
        taken = {key, *(self.column(log, short) for short in used)}
        return [name for name in log.header if name not in taken]

    def _factor(self, quantity: str, name: str, log: CsvLog, short: str) -> float | None:
        """Factor to SI; None, with a warning, for an unrequested column without a unit."""
        given = self.units.get(quantity)
        unit = given or split_name(quantity, name)[1]
        if unit:
            return unit_factor(quantity, unit, given is not None)
        if short in REQUIRED or short in self.columns:
            log.index_of(name, f"--col-{short}")
            raise MissingDataError(
                f"Expected a unit of {quantity} with column {name!r}. Got none",
                f"set --unit {quantity}=UNIT",
                log.path,
            )
        warn(
            f"column {name!r} has no unit of {quantity}: not used, unless --unit "
            f"{quantity}=UNIT says which",
            log.path,
        )
        return None


def split_name(quantity: str, name: str) -> tuple[str, str]:
    """A column's name in lower case without its unit, and the unit or "".

    The unit is at the end, as in ``energy_keV``, ``Energy (keV)`` or ``energy [keV]``.
    """
    unit = unit_of_name(quantity, name)
    bare = name[: -len(unit) - 1] if unit else name
    found = re.fullmatch(r"(.*?)[\s_]*[(\[]([^)\]]+)[)\]]", name)
    if found and known_factor(quantity, found[2]):
        bare, unit = found[1], found[2]
    return re.sub(r"[\s_-]", "", bare).lower(), unit or ""


def find_column(log: CsvLog, short: str) -> str | None:
    """The log's name of a column: that of ``COLUMNS``, else a similar one.

    Raises
    ------
    MissingDataError
        There are several similar ones.
    """
    default, quantity, _ = COLUMNS[short]
    if default in log.header:
        return default
    bare = [split_name(quantity, name)[0] for name in log.header]
    # Never the x of one stage and the y of another.
    same_stage = REQUIRED if short in REQUIRED else (short,)
    for names in zip(*(LOG_NAMES[name] for name in same_stage), strict=True):
        if not set(names) <= set(bare):
            continue
        wanted = names[same_stage.index(short)]
        found = [log.header[n] for n, name in enumerate(bare) if name == wanted]
        if len(found) > 1:
            raise MissingDataError(
                f"columns {' and '.join(map(repr, found))} may both be {short}",
                f"name one with --col-{short}",
                log.path,
            )
        return found[0]
    return None
