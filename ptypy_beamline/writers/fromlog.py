"""From a beamline's CSV log to the sidecar of TIFF frames."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats, Ints
from ..errors import BeamlineWarning, FileError, MissingDataError, ScanError, SettingsError
from ..files.csvlog import CsvLog
from ..formats.acquisition_numbers import AcquisitionNumbers, average, refuse_repeats, whole
from ..formats.join_by_number import frame_of
from ..formats.tiff import BY_NAME, BY_ORDER
from ..units import UNITS, known_factor, unit_factor, unit_of_name
from .sidecar import COLUMNS, INDEX, NEEDED, Sidecar

CALLED = {
    "x": ("posx", "positionx", "xposition", "samplex", "stagex", "x"),
    "y": ("posy", "positiony", "yposition", "sampley", "stagey", "y"),
    "energy": ("energy", "photonenergy"),
    "distance": ("detdist", "detdistance", "detectordistance", "distance"),
    "pixel": ("pixel", "pixelsize"),
    "exposure": ("exposure", "exposuretime", "counttime", "acquiretime"),
}
"""Short name → what a log may call the column, in any letters, with any unit, the first first."""

FIRST_INDEX = "say what the log calls the first frame by --first-index"

NO_SPARE_ROWS = "leave the rows of lost frames out of the log"

LONG_GAP = 3
"""Steps without a row in a log with time stamps from which on a warning is given."""


@dataclass(frozen=True)
class Names:
    """How the log calls its columns, and in which units it has them.

    Attributes
    ----------
    columns
        Short name of ``COLUMNS``, or ``index``, or ``time`` → the log's name.
    units
        Quantity → unit, where the column's name does not end in it.
    first_index
        What the log calls the first frame; None = found from the numbers.

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
        """The log's columns in SI, by their short names; NaN where a cell is empty or NaN.

        Raises
        ------
        MissingDataError
            A column that is needed or named is not there, or its unit is not known.
        """
        out = {}
        for short, (_, quantity, _) in COLUMNS.items():
            name = self.column(log, short)
            if short in NEEDED or short in self.columns or name in log.header:
                factor = self._factor(quantity, name, log, short)
                if factor is not None:
                    out[short] = log.numbers(name, f"--col-{short}") * factor
        return out

    def column(self, log: CsvLog, short: str) -> str:
        """The log's name of a quantity; that which it has by default where the log has none."""
        return self.columns.get(short) or find_column(log, short) or COLUMNS[short][0]

    def ignored(self, log: CsvLog, key: str, used: Mapping[str, Floats]) -> list[str]:
        """Columns of the log that are neither the ``key`` of rows nor ``used`` quantities."""
        taken = {key, *(self.column(log, short) for short in used)}
        return [name for name in log.header if name not in taken]

    def _factor(self, quantity: str, name: str, log: CsvLog, short: str) -> float | None:
        """To SI; None, with a warning, of a column nobody asked for and that has no unit."""
        given = self.units.get(quantity)
        unit = given or split_name(quantity, name)[1]
        if unit:
            return unit_factor(quantity, unit, given is not None)
        if short in NEEDED or short in self.columns:
            log.place(name, f"--col-{short}")
            raise MissingDataError(
                f"Expected a unit of {quantity} with column {name!r}. Got none",
                f"set --unit {quantity}=UNIT",
                log.path,
            )
        _warn(
            log,
            f"column {name!r} has no unit of {quantity}: not used, unless --unit "
            f"{quantity}=UNIT says which",
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
    """The log's name of a column: that of ``COLUMNS``, else the one that is called alike.

    Raises
    ------
    MissingDataError
        Several are.
    """
    default, quantity, _ = COLUMNS[short]
    if default in log.header:
        return default
    bare = [split_name(quantity, name)[0] for name in log.header]
    together = NEEDED if short in NEEDED else (short,)  # never the x of one stage, y of another
    for names in zip(*(CALLED[name] for name in together), strict=True):
        if not set(names) <= set(bare):
            continue
        wanted = names[together.index(short)]
        found = [log.header[n] for n, name in enumerate(bare) if name == wanted]
        if len(found) > 1:
            raise MissingDataError(
                f"columns {' and '.join(map(repr, found))} may both be {short}",
                f"name one with --col-{short}",
                log.path,
            )
        return found[0]
    return None


def by_index(
    log: CsvLog, names: Names, frames: AcquisitionNumbers, files: Sequence[str] = ()
) -> Sidecar:
    """Positions of a log that has rows with the number, or the file, of a frame, in any order.

    Several rows of a frame are averaged; frames without a row, and rows without a frame, are left
    out, each with a warning.

    ``files``: names of the frames' files, where each holds one frame.

    Raises
    ------
    ScanError
        Rows and frames do not belong together.
    """
    name = names.columns.get("index") or _index_column(log, files)
    if _holds_names(log, name, files):
        log, number = _frames_by_name(log, name, frames, files)
    else:
        number = _frame_of_each_row(log, name, names.first_index, frames)
    quantities = names.quantities(log)
    placed = _rows_with_position(log, quantities)
    number, quantities = number[placed], {k: v[placed] for k, v in quantities.items()}
    _say_left_out(log, number, frames)
    used = np.isin(number, frames.values)
    if not used.any():
        raise ScanError(
            f"no row belongs to a frame ({frames.range}, {frames.name})",
            "check --frames and --first-index",
            log.path,
        )
    index, place, rows = np.unique(number[used], return_inverse=True, return_counts=True)
    if (rows > 1).any():
        _warn(log, f"{int((rows - 1).sum())} rows repeat the frame of another: they are averaged")
    averaged = {short: average(place, values[used]) for short, values in quantities.items()}
    return Sidecar(index, averaged, _counted(frames), names.ignored(log, name, quantities))


def _rows_with_position(log: CsvLog, quantities: Mapping[str, Floats]) -> NDArray[np.intp]:
    """Rows whose x and y are known; it is said how many others are left out.

    Raises
    ------
    ScanError
        There is none.
    """
    known = np.isfinite([quantities[short] for short in NEEDED]).all(axis=0)
    if not known.any():
        raise ScanError("no row has a position", "check --col-x and --col-y", log.path)
    lacking = np.array([line for line, _ in log.rows])[~known]
    if lacking.size:
        _warn(log, f"{_rows(lacking.size)} no position: left out (line {_some(lacking)})")
    return np.flatnonzero(known)


def _index_column(log: CsvLog, files: Sequence[str]) -> str:
    """The column that says which frame a row belongs to.

    Raises
    ------
    MissingDataError
        None does.
    """
    if INDEX in log.header:
        return INDEX
    found = next((name for name in log.header if _holds_names(log, name, files)), None)
    if found is None:
        raise MissingDataError(
            f"Expected a column {INDEX!r}, or one of file names. Got {', '.join(log.header)}",
            "name it with --col-index, or time stamps with --col-time; if there are neither, add "
            f"a column {INDEX} with the number of each row's frame",
            log.path,
        )
    return found


def _holds_names(log: CsvLog, name: str, files: Sequence[str]) -> bool:
    return any(cell in files for cell in _file_names(log, name))


def _file_names(log: CsvLog, name: str) -> list[str]:
    """The cells of a column without folders, be they of Windows."""
    place = log.place(name, "--col-index")
    return [re.split(r"[/\\]", cells[place].strip())[-1] for _, cells in log.rows]


def _frames_by_name(
    log: CsvLog, name: str, frames: AcquisitionNumbers, files: Sequence[str]
) -> tuple[CsvLog, Ints]:
    """The rows that name a frame's file, and the number of that frame."""
    number_of = dict(zip(files, frames.values.tolist(), strict=True))
    named = _file_names(log, name)
    others = [cell for cell in named if cell not in number_of]
    if others:
        shown = ", ".join(others[:3]) + (", …" if others[3:] else "")
        _warn(log, f"{_rows(len(others))} no frame: left out ({shown})")
    rows = tuple(row for row, cell in zip(log.rows, named, strict=True) if cell in number_of)
    numbers = [number_of[cell] for cell in named if cell in number_of]
    return replace(log, rows=rows), np.array(numbers, np.int64)


def _frame_of_each_row(
    log: CsvLog, name: str, first_index: int | None, frames: AcquisitionNumbers
) -> Ints:
    stored = log.numbers(name, "--col-index")
    wrong = np.flatnonzero(~(np.rint(stored) == stored) | (stored < (first_index or 0)))
    if wrong.size:
        raise FileError(
            f"line {log.rows[wrong[0]][0]}: Expected a frame's number. Got {stored[wrong[0]]:g}",
            "correct it, or set --first-index",
            log.path,
        )
    rows = AcquisitionNumbers(whole(stored, f"column {name!r}"), f"column {name!r}", first_index)
    first = (first_index or 0) if frames.counted else 0
    if frames.counted:
        frames = AcquisitionNumbers.counting(len(frames.values), first_index)
    settled_by = FIRST_INDEX if first_index is None else NO_SPARE_ROWS
    try:
        number, assumed = frame_of(frames, rows, settled_by)
    except ScanError as error:
        raise ScanError(error.problem, error.remedy, log.path) from error
    if assumed:
        _warn(log, assumed)
    return number - first


def _rows(count: int) -> str:
    return "1 row has" if count == 1 else f"{count} rows have"


def _say_left_out(log: CsvLog, number: Ints, frames: AcquisitionNumbers) -> None:
    beyond, lacking = np.setdiff1d(number, frames.values), np.setdiff1d(frames.values, number)
    if beyond.size:
        _warn(log, f"{_rows(beyond.size)} no frame: left out (frame {_some(beyond)})")
    if lacking.size:
        _warn(
            log,
            f"{lacking.size} of {len(frames.values)} frames have no row: left out "
            f"({_some(lacking)})",
        )


def _counted(frames: AcquisitionNumbers) -> str:
    return BY_ORDER if frames.counted else BY_NAME


def by_time(
    log: CsvLog, names: Names, frame_times_s: Floats, frames: AcquisitionNumbers
) -> Sidecar:
    """Positions of a log with time stamps, interpolated linearly to those of the frames.

    Raises
    ------
    ScanError
        A frame lies more than half a step (the median one) before or after the log.
    """
    refuse_repeats(frames, "")
    times, quantities = log.times_s(names.columns["time"], "--col-time"), names.quantities(log)
    placed = _rows_with_position(log, quantities)
    order = placed[_last_of_each(log, times[placed], "time")]
    times = times[order]
    if len(times) < 2:
        raise ScanError(
            "Expected two time stamps or more. Got one", "give a log with more rows", log.path
        )
    step = float(np.median(np.diff(times)))
    early, late = times[0] - frame_times_s, frame_times_s - times[-1]
    outside = np.flatnonzero(np.maximum(early, late) > step / 2)
    if outside.size:
        worst = float(np.maximum(early, late)[outside].max())
        raise ScanError(
            f"{outside.size} of {len(frame_times_s)} frames ({_some(outside)}) lie up to "
            f"{worst:.6g} s outside the log, more than half its step of {step:.4g} s",
            "give a log of the whole scan, by the same clock as the frames",
            log.path,
        )
    _warn_of_gaps(log, times, frame_times_s, step)
    at_frames = {k: _interpolate(frame_times_s, times, v[order]) for k, v in quantities.items()}
    return Sidecar(
        frames.values,
        at_frames,
        _counted(frames),
        names.ignored(log, names.columns["time"], quantities),
    )


def _interpolate(at: Floats, times: Floats, values: Floats) -> Floats:
    """Linear between the values that are there, and on by half a step beyond the ends."""
    there = np.isfinite(values)
    times, values = times[there], values[there]
    if len(values) < 2:
        return np.full(len(at), values[0] if len(values) else np.nan)
    left = np.clip(np.searchsorted(times, at, side="right") - 1, 0, len(times) - 2)
    slope = (values[left + 1] - values[left]) / (times[left + 1] - times[left])
    return np.asarray(values[left] + slope * (at - times[left]), np.float64)


def _warn_of_gaps(log: CsvLog, times: Floats, at: Floats, step: float) -> None:
    left = np.clip(np.searchsorted(times, at, side="right") - 1, 0, len(times) - 2)
    wide = np.diff(times)[left] > LONG_GAP * step
    inside = np.flatnonzero(wide & (at > times[left]) & (at < times[left + 1]))
    if inside.size:
        _warn(
            log,
            f"{inside.size} frames ({_some(inside)}) lie in gaps of more than {LONG_GAP} steps of "
            f"{step:.4g} s: their positions are interpolated across them",
        )


def _last_of_each(log: CsvLog, keys: NDArray[Any], what: str) -> NDArray[np.intp]:
    """Rows in the order of their keys; of several with one key the last."""
    unique, backwards = np.unique(keys[::-1], return_index=True)
    repeated = len(keys) - len(unique)
    if repeated:
        _warn(log, f"{repeated} rows repeat the {what} of another: the last one counts")
    return np.asarray(len(keys) - 1 - backwards, np.intp)


def _some(numbers: NDArray[np.integer[Any]]) -> str:
    text = ", ".join(str(n) for n in numbers[:6].tolist())
    return f"{text}, …" if len(numbers) > 6 else text


def _warn(log: CsvLog, message: str) -> None:
    warnings.warn(f"{log.path}: {message}", BeamlineWarning, stacklevel=3)
