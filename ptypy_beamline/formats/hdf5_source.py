"""An opened HDF5 file, and finding things in it."""

from __future__ import annotations

import difflib
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..errors import BeamlineWarning, MissingDataError, ScanError, SettingsError, naming
from ..files.hdf5 import is_locked, open_hdf5
from ..files.links import file_and_dataset, lookup, present
from ..quantities import of_kind, path_remedy
from ..scan import PersistentNote, WarnedNote
from ..settings import Settings


@dataclass(frozen=True)
class Location:
    """Where a format keeps a quantity: paths, of which the first that exists is used, and a unit.

    A component of a path may have a ``*``; ``OTHER::/path`` is in a file beside this one.
    ``entry``: the index on the dataset's first axis, if it has one entry for each of several scans.
    """

    paths: tuple[str, ...] = ()
    unit: str = ""
    entry: int | None = None


NOWHERE = Location()
"""The format does not record it."""


@dataclass(frozen=True)
class Found:
    """A dataset that was found.

    Attributes
    ----------
    file, name
        The file it is read through and its path there.
    unit
        The format's unit, used where the dataset has none.
    part
        Index of the part of it that is meant, as in ``/positions[:,3]``.
    """

    dataset: h5py.Dataset
    file: Path
    name: str
    unit: str = ""
    part: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Hdf5Source:
    """An open HDF5 file and how the user wants it read; ``notes`` collects what was assumed."""

    path: Path
    file: h5py.File
    settings: Settings
    notes: list[str] = field(default_factory=list)
    others: ExitStack = field(default_factory=ExitStack)

    @cached_property
    def paths(self) -> dict[str, str]:
        """Name → dataset path, or ``other.h5::/path``, that the user gives."""
        return self.settings.paths.given

    @cached_property
    def units(self) -> dict[str, str]:
        """Quantity → unit, or a number, that the user gives."""
        return self.settings.units.given

    @property
    def exposures(self) -> int:
        """Of each position."""
        return self.settings.frames_per_position or 1

    @property
    def names_positions(self) -> bool:
        """Whether the user names datasets of all positions."""
        return "positions" in self.paths or {"x", "y"} <= set(self.paths)

    def find(self, name: str, item: Location = NOWHERE) -> Found | None:
        """The dataset of ``name`` at the user's path, else at the format's, else None.

        Raises
        ------
        MissingDataError
            The user's path is not there.
        """
        if name in self.paths:
            return self._given(name, self.paths[name], item)
        for pattern in item.paths:
            other, inner = file_and_dataset(pattern)
            place = self.path.parent / other if other else self.path
            if other and not os.path.isfile(place):
                continue
            file = self.others.enter_context(open_hdf5(place)) if other else self.file
            for path in expand(file, inner):
                dataset = lookup(file, path, self.settings.links)
                if isinstance(dataset, h5py.Dataset):
                    part = () if item.entry is None else (item.entry,)
                    return Found(dataset, place, path, item.unit, part)
        return None

    def at(self, *paths: str, unit: str = "") -> Found | None:
        """The first dataset of ``paths``, whatever the user names."""
        return self.find("", Location(paths, unit))

    def _given(self, name: str, value: str, item: Location) -> Found:
        """The dataset ``/path`` or ``other.h5::/path`` that the user named."""
        other, inner = file_and_dataset(value)
        path, file = self.path, self.file
        if other:
            path = self.path.parent / other
            path = path if os.path.exists(path) else Path(other).absolute()
            file = self.others.enter_context(open_hdf5(path))
        inner, part = "/" + inner.strip("/"), ()
        dataset = lookup(file, inner, self.settings.links)
        if not isinstance(dataset, h5py.Dataset):  # not named so by itself
            inner, part = part_of(inner, name)
            dataset = lookup(file, inner, self.settings.links)
        if not isinstance(dataset, h5py.Dataset):
            raise missing(name, (inner,), file, path)
        _check_part(dataset, part, name, path)
        # The format's unit holds for its own files only.
        return Found(dataset, path, inner, "" if other else item.unit, part)

    def assume(self, message: str, lasting: bool = False) -> None:
        """Warn, and note it in the scan; ``lasting``: further frames do not change it."""
        self.notes.append(PersistentNote(message) if lasting else WarnedNote(message))
        warnings.warn(f"{self.path}: {message}", BeamlineWarning, stacklevel=2)


@contextmanager
def open_source(
    path: Path, settings: Settings, file: h5py.File | None = None
) -> Iterator[Hdf5Source]:
    """Open a file while its scan is assembled; errors name it.

    ``file`` stands for one that is not HDF5 itself.
    """
    path = Path(path).absolute()
    with open_hdf5(path) if file is None else file as opened, ExitStack() as others:
        source = Hdf5Source(path, opened, settings, others=others)
        if is_locked(opened):
            source.assume("the file is open for writing: what it holds now is read")
        with naming(path):
            yield source


IMAGES = of_kind("images")
"""What is read a window at a time, so that no part of its dataset can be named."""


def part_of(path: str, name: str) -> tuple[str, tuple[Any, ...]]:
    """Dataset and index of ``/positions[:,3]``: whole numbers, ``a:b``, ``:`` and ``...``.

    Raises
    ------
    SettingsError
        Something else is in the brackets.
    """
    found = re.fullmatch(r"(.+)\[([^\[\]]*)\]", path)
    if found is None:
        return path, ()
    words = [word.strip() for word in found[2].split(",")]
    if name in IMAGES or not all(re.fullmatch(r"-?\d+|(-?\d+)?:(-?\d+)?|\.\.\.", w) for w in words):
        raise SettingsError(
            f"paths.{name}={path!r} cannot be read in part",
            f"name a column as paths.{name}='/positions[:,3]', of numbers only",
        )
    return found[1], tuple(_index(word) for word in words)


def _index(word: str) -> Any:
    if word == "...":
        return Ellipsis
    if ":" not in word:
        return int(word)
    return slice(*(int(end) if end else None for end in word.split(":")))


def _check_part(dataset: h5py.Dataset, part: tuple[Any, ...], name: str, path: Path) -> None:
    """Refuse an index that the dataset has not."""
    try:
        np.broadcast_to(True, dataset.shape)[part]
    except IndexError as error:
        raise ScanError(
            f"{dataset.name} has shape {dataset.shape} ({error})",
            f"set {path_remedy(name)}",
            path,
        ) from error


def expand(file: h5py.File, pattern: str) -> list[str]:
    """The paths in ``file`` that match; ``*`` stands for part of one component's name."""
    if "*" not in pattern:
        return [pattern]
    done = [""]
    for part in pattern.strip("/").split("/"):
        if "*" not in part:
            done = [f"{path}/{part}" for path in done]
            continue
        groups = [(path, present(file, path)) for path in done]
        done = [
            f"{path}/{name}"
            for path, group in groups
            if isinstance(group, h5py.Group)
            for name in sorted(name for name in group if isinstance(name, str))  # UTF-8
            if fnmatchcase(name, part)
        ]
    return done


def in_groups(groups: Sequence[str], *names: str) -> tuple[str, ...]:
    """Paths of the first name in each of the groups, then of the others."""
    return tuple(f"{group}/{name}" for name in names for group in groups)


def has(file: h5py.File, *paths: str) -> bool:
    """Whether all of ``paths`` (with ``*``) exist, if only as links to other files."""
    return all(any(_has(file, path) for path in expand(file, pattern)) for pattern in paths)


def _has(file: h5py.File, path: str) -> bool:
    where, _, name = path.rstrip("/").rpartition("/")
    if not name:
        return True
    group = present(file, where or "/")
    link = group.get(name, getlink=True) if isinstance(group, h5py.Group) else None
    return isinstance(link, h5py.ExternalLink) or (
        link is not None and present(file, path) is not None
    )


def text(value: Any) -> str:
    """A stored string, or several joined by commas, stripped; empty if there is none."""
    if isinstance(value, h5py.Empty) or value is None:
        return ""
    parts = [
        v.decode(errors="replace") if isinstance(v, bytes) else str(v)
        for v in np.atleast_1d(np.asarray(value, dtype=object))
    ]
    return ",".join(parts).strip().strip("\0")


def definitions(file: h5py.File) -> set[str]:
    """The NeXus application definitions that the file's entries name."""
    found = (present(file, path) for path in expand(file, "/entry*/definition"))
    return {text(item[()]) for item in found if isinstance(item, h5py.Dataset)}


def missing(name: str, paths: Sequence[str], file: h5py.File, path: Path) -> MissingDataError:
    """The error for a missing dataset, with up to six of similar names."""
    where = " or ".join(paths)
    known: list[str] = []
    file.visititems(lambda n, o: known.append(f"/{n}") if isinstance(o, h5py.Dataset) else None)
    wanted = paths[0] if paths else f"/{name}"
    similar = difflib.get_close_matches(wanted, known, 6, 0.4) or known[:6]
    there = f" (there are {', '.join(similar)})" if similar else ""
    expected = f"Expected {name} at {where}." if where else f"Expected {name}."
    remedy = f"set {path_remedy(name)}"
    if name == "positions":
        remedy += ", or paths.x and paths.y (--path x=PATH --path y=PATH)"
    return MissingDataError(f"{expected} Got no such dataset{there}", remedy, path)
