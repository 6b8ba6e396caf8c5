"""A beamline's log: a CSV file with a header, and columns of numbers or of time stamps."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from ..arrays import Floats
from ..errors import FileError, MissingDataError, warn
from .regular import read_text

DELIMITERS = ",;\t"
"""Possible column delimiters; the most frequent one in the header counts, else spaces."""

COMMENT = "#"
"""Begins a line that is not a row; the last such line above the rows may be the header."""


FEW_ROWS = 5
"""With fewer rows, the last number may be the shortest by chance."""


@dataclass(frozen=True)
class CsvLog:
    """The text of a log.

    Attributes
    ----------
    header
        Names of the columns.
    rows
        Line number in the file and cells of each row; blank ones are left out.
    """

    path: Path
    header: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]

    def index_of(self, name: str, flag: str) -> int:
        """Index of the column ``name``.

        Raises
        ------
        MissingDataError
            No column, or more than one, has this name.
        """
        if name not in self.header:
            raise MissingDataError(
                f"Expected a column {name!r}. Got {', '.join(self.header)}",
                f"name the right one with {flag}",
                self.path,
            )
        if self.header.count(name) > 1:
            raise MissingDataError(
                f"Expected one column {name!r}. Got {self.header.count(name)}",
                f"name another with {flag}, or rename them",
                self.path,
            )
        return self.header.index(name)

    def numbers(self, name: str, flag: str) -> Floats:
        """A column of numbers; NaN where a cell is empty or ``nan``.

        Raises
        ------
        FileError
            A cell is not a finite number; its line is given.
        """
        return self._column(name, flag, _cell)

    def times_s(self, name: str, flag: str) -> Floats:
        """A column of time stamps, see :func:`seconds`."""
        return self._column(name, flag, seconds)

    def _column(self, name: str, flag: str, read: Callable[[str], float]) -> Floats:
        index = self.index_of(name, flag)
        out = np.full(len(self.rows), np.nan)
        for row, (line, cells) in enumerate(self.rows):
            text = cells[index].strip() if index < len(cells) else ""
            try:
                out[row] = read(text)
            except ValueError as error:
                raise FileError(
                    f"line {line}: Expected {error} in column {name!r}. Got {text!r}",
                    "correct or remove that line; numbers need a decimal point, no comma",
                    self.path,
                ) from error
        return out


def read_log(path: Path) -> CsvLog:
    """The log in a CSV file; a byte order mark, blank lines and comments are ignored.

    Lines that begin with ``#`` are comments; only the header may begin so, too.

    Raises
    ------
    FileError
        The file is missing, not a text file, or has no header or no row.
    """
    text = read_text(path)
    lines = _uncommented(text.splitlines())
    first = next((line for line in lines if line.strip()), "")
    rows = _cells(lines, _delimiter(first), path)
    header = tuple(name.strip() for name in rows[0][1]) if rows else ()
    if not header or any(_number(name) is not None for name in header):
        raise FileError(
            f"Expected the column names in the first line. Got {first[:60]!r}",
            "write the names above the columns",
            path,
        )
    if len(rows) < 2:
        raise FileError("has no row below its header", "give a log with rows", path)
    for line, cells in rows[1:]:
        if len(cells) < len(header) or any(cell.strip() for cell in cells[len(header) :]):
            raise FileError(
                f"line {line}: Expected {len(header)} cells, as in the header. Got {len(cells)}",
                "correct or remove that line, and write numbers with a decimal point",
                path,
            )
    log = CsvLog(path, header, tuple(rows[1:]))
    line, cells = rows[-1]
    if not text.endswith(("\n", "\r")) and line == len(lines) and len(cells) == len(header):
        _warn_if_truncated(log)
    return log


def _warn_if_truncated(log: CsvLog) -> None:
    """Warn if the last number of a log without a final line end is truncated.

    Many good logs have no final line end, so the number decides: it has fewer decimals than all
    others in its column, and at least two fewer if these differ.
    """
    *lengths, last = (_decimals(cells[len(log.header) - 1]) for _, cells in log.rows)
    if len(lengths) < FEW_ROWS or last >= min(lengths):
        return
    if last < min(lengths) - 1 or min(lengths) == max(lengths):
        line, cells = log.rows[-1]
        warn(
            f"line {line}: the file ends without a line end, and {cells[-1].strip()!r} is shorter "
            f"than all other numbers in column {log.header[-1]!r}: it may be truncated; copy it "
            "again, or add the line end if it is complete",
            log.path,
        )


def _decimals(text: str) -> int:
    return len(text.strip().partition(".")[2])


def _uncommented(lines: list[str]) -> list[str]:
    """The lines, comments blanked; the last comment before a row of numbers is the header."""
    row = next((n for n, line in enumerate(lines) if line.strip() and not _is_comment(line)), 0)
    above = next((n for n in reversed(range(row)) if _is_comment(lines[n])), None)
    header = None
    if above is not None and _number(_split(lines[row])[0]) is not None:
        names = lines[above].strip().lstrip(COMMENT).strip()
        header = names if len(_split(names)) == len(_split(lines[row])) else None
    blanked = ["" if _is_comment(line) else line for line in lines]
    if above is not None and header:
        blanked[above] = header
    return blanked


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith(COMMENT)


def _delimiter(line: str) -> str:
    """The delimiter of the columns in this line."""
    delimiter = max(DELIMITERS, key=line.count)
    return delimiter if delimiter in line else " "


def _split(line: str) -> list[str]:
    delimiter = _delimiter(line)
    return line.split() if delimiter == " " else line.split(delimiter)


def _cells(lines: list[str], delimiter: str, path: Path) -> list[tuple[int, tuple[str, ...]]]:
    """Line number and cells of each line that is not blank."""
    if delimiter == " ":
        lines = [" ".join(line.split()) for line in lines]
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        return [(reader.line_num, tuple(row)) for row in reader if any(c.strip() for c in row)]
    except csv.Error as error:
        raise FileError(
            f"line {reader.line_num}: not readable as CSV ({error})", "correct that line", path
        ) from error


def seconds(text: str) -> float:
    """A time stamp in seconds: a number unchanged, or a date and time since 1970 (default UTC).

    Dates are ISO 8601, or with colons as in TIFF's DateTime, ``2024:05:31 12:00:00``.

    Raises
    ------
    ValueError
        It is neither.
    """
    value = _number(text)
    if value is not None:
        if not np.isfinite(value):
            raise ValueError("a finite number")
        return value
    date, rest = text[:10].replace(":", "-"), text[10:].replace("Z", "+00:00")
    # Python 3.10 reads 3 or 6 digits of a second only.
    rest = re.sub(r"\.(\d{1,6})\d*", lambda found: "." + found[1].ljust(6, "0"), rest)
    try:
        stamp = datetime.fromisoformat(date + rest)
    except ValueError as error:
        raise ValueError("seconds or a date and time as 2024-05-31T12:00:00.5") from error
    if stamp.tzinfo is None:
        stamp = stamp.replace(tzinfo=timezone.utc)
    return stamp.timestamp()


def _cell(text: str) -> float:
    """A finite number; NaN for an empty cell or ``nan``."""
    value = _number(text or "nan")
    if value is None or np.isinf(value):
        raise ValueError("a number" if value is None else "a finite number")
    return value


def _number(text: str) -> float | None:
    """None if the text is not a number."""
    try:
        return None if "_" in text else float(text)  # Python also reads 1_000
    except ValueError:
        return None
