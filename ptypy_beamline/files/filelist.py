"""The files of globs and lists, in natural order."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bools, Ints
from ..errors import FileError, ScanError
from .regular import check_file, read_text

LIST_SUFFIX = ".txt"
SPARSE = 20
"""If more than this many times as many numbers are missing as present, they do not count frames."""

MOST = 0.75
"""If at least this fraction of the files are named alike, the others are odd ones."""

LARGEST = 2**48
"""Larger numbers in names do not count frames."""

LIST_BYTES = 2**26
"""A longer text is not a list of files."""


def is_glob(name: str | Path) -> bool:
    """Whether ``name`` has wildcards and is not the name of a file."""
    return glob.has_magic(str(name)) and not os.path.exists(name)


def is_list(name: str | Path) -> bool:
    """Whether ``name`` is a list of files, as ``files.txt``."""
    return Path(name).suffix.lower() == LIST_SUFFIX and os.path.isfile(name)


def natural(name: str) -> tuple[list[str | int], str]:
    """A sorting key that puts ``img_2`` before ``img_10``."""
    parts = re.split(r"(\d+)", name)
    return [int(p) if i % 2 else p for i, p in enumerate(parts)], name


@dataclass(frozen=True, eq=False)
class NameNumbers:
    """Numbers of files, or of their pages, from the files' names.

    Attributes
    ----------
    values
        (n,) number in the name; if there are a row and a column, row × ``columns`` + column.
    columns
        Number of columns, from the first to the last in any name; 0 = names have one number.
    first_column
        Number that names give to column 0.
    pages
        Per file: if more than one, ``values`` are number × ``pages`` + page.
    """

    values: Ints
    columns: int = 0
    first_column: int = 0
    pages: int = 1


def odd_names(files: Sequence[Path]) -> tuple[Path, ...]:
    """Files whose names differ from most in words, or by far in their number.

    None unless the names of most files are alike and numbered.
    """
    words = np.array([re.sub(r"\d+", "0", str(file)) for file in files])
    usual = Counter(words.tolist()).most_common(1)[0][0]
    alike = words == usual
    named = [file for file, same in zip(files, alike, strict=True) if same]
    alike[alike] = _near(named)
    if not MOST * len(files) <= np.count_nonzero(alike) < len(files):
        return ()
    if numbers_in_names([file for file, same in zip(files, alike, strict=True) if same]) is None:
        return ()
    return tuple(file for file, same in zip(files, alike, strict=True) if not same)


def _near(files: Sequence[Path]) -> Bools:
    """(n,) whether the only number that differs between alike names is near the median one."""
    digits = np.array([[int(p) for p in re.findall(r"\d+", str(file))] for file in files], object)
    differing = [column for column in digits.T if len(set(column)) > 1]
    if len(differing) != 1:
        return np.ones(len(files), np.bool_)
    values = differing[0]
    return np.asarray(abs(values - np.sort(values)[len(values) // 2]) <= SPARSE * len(files), bool)


def numbers_in_names(files: Sequence[Path]) -> NameNumbers | None:
    """The number that differs between names that are otherwise alike, or two: row and column.

    None if names differ in more numbers, or in words, or if most numbers are missing, as in times
    of day.
    """
    parts = [re.split(r"(\d+)", str(file)) for file in files]
    if len({tuple(part[::2]) for part in parts}) != 1 or len(files) < 2:
        return None
    digits = np.array([[int(p) for p in part[1::2]] for part in parts], dtype=object)
    differing = [column for column in digits.T if len(set(column)) > 1]
    if not 1 <= len(differing) <= 2 or max(map(max, differing)) > LARGEST:
        return None
    found = _of_grid(*differing) if len(differing) == 2 else NameNumbers(_whole(differing[0]))
    if found is None:
        return None
    steps = np.diff(np.unique(found.values))
    lacking = np.ptp(found.values) // np.gcd.reduce(steps) > SPARSE * len(files)
    return None if lacking else found


def _of_grid(rows: NDArray[Any], columns: NDArray[Any]) -> NameNumbers | None:
    """Numbers by row and column; None if either of them distinguishes all files by itself."""
    if len(files := set(zip(rows, columns, strict=True))) in (len(set(rows)), len(set(columns))):
        return NameNumbers(_whole(rows)) if len({r - c for r, c in files}) == 1 else None
    first = min(columns)
    count = max(columns) - first + 1
    if max(rows) * count > LARGEST:
        return None
    return NameNumbers(_whole(rows * count + columns - first), int(count), int(first))


def _whole(values: NDArray[Any]) -> Ints:
    return values.astype(np.int64)


def expand(names: Sequence[str | Path]) -> tuple[Path, ...]:
    """The files of paths, globs, and lists of paths and globs.

    They are in the order of ``names`` and of the lines of a list; those of a glob in natural order.

    Raises
    ------
    FileError
        A name or a line matches no file, or a list is empty or unreadable.
    ScanError
        A file is named twice.
    """
    files = tuple(file for name in names for file in _files(name))
    twice = [file for file, count in Counter(files).items() if count > 1]
    if twice:
        raise ScanError(
            "Expected each file once. Got it twice",
            "globs and lines of the list must not overlap",
            twice[0],
        )
    return files


def first_file(name: str | Path) -> Path:
    """The first file of :func:`expand`; only the first line of a list is used."""
    return next(_files(name))


def _files(name: str | Path) -> Iterator[Path]:
    """The files of one path, glob or list."""
    path = Path(name).expanduser()
    if not is_list(path):
        yield from _matches(path, path, "check the path, and quote a glob")
        return
    empty = True
    for number, line in _lines(path):
        empty = False
        remedy = f"correct line {number} of {path.name}"
        yield from _matches(path.parent / Path(line).expanduser(), path, remedy)
    if empty:
        raise FileError("lists no files", "write one path or glob a line", path)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines of a list, except blank ones and comments."""
    text = read_text(path, "write one path or glob a line", LIST_BYTES)
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line.strip()


def _matches(pattern: Path, named_in: Path, remedy: str) -> list[Path]:
    """The files of one path or glob, absolute and in natural order."""
    if not is_glob(pattern):
        if os.path.isdir(pattern):
            raise FileError(
                "Expected files. Got a directory", f"name them by {pattern}/*.tif", pattern
            )
        check_file(pattern, remedy)
        return [pattern.absolute()]
    found = [Path(p) for p in glob.glob(str(pattern), recursive=True)]
    files = [path.absolute() for path in found if path.is_file()]
    if not files:
        what = "no file matches" if pattern == named_in else f"no file matches {pattern}"
        raise FileError(what, remedy, named_in)
    return sorted(files, key=lambda path: natural(str(path)))
