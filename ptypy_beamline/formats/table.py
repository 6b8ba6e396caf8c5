"""The known formats: one table, whose modules are imported when needed, and installed packages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

import h5py

from ..errors import BeamlineError, UnknownFormatError, in_short, warn
from ..scan import Scan
from ..settings import Settings

GROUP = "ptypy_beamline.formats"
"""Entry points of this group are formats of other packages."""


class Format(Protocol):
    """A kind of file that holds a scan."""

    @property
    def name(self) -> str:
        """What ``--format`` calls it."""

    @property
    def family(self) -> str:
        """The kind of file, as ``HDF5``: what a loader of one kind reads."""

    @property
    def title(self) -> str:
        """One line for ``ptypy-beamline formats``."""

    @property
    def refines(self) -> tuple[str, ...]:
        """More general formats; if one of these also understands a file, this one is used."""

    def understands(self, path: Path, file: h5py.File | None) -> bool:
        """Whether the content is of this format; ``file``: the open file, if ``path`` is HDF5."""

    def open(self, path: Path, settings: Settings) -> Scan:
        """The scan in the file; no frame is read.

        Raises
        ------
        FileError, MissingDataError, ScanError, SettingsError
            Each names the file and the remedy.
        """


class Entry(NamedTuple):
    """Where a format is.

    Attributes
    ----------
    kinds
        What its files may be: ``HDF5``, ``NPZ``, ``folder`` or ``other``, see :func:`kind_of`.
    place
        ``module:attribute`` in this package.
    """

    kinds: str
    place: str


TABLE: dict[str, Entry] = {
    "standard": Entry("HDF5", "standard:STANDARD"),
    "cxi": Entry("HDF5", "cxi:CXI"),
    "nxcxi": Entry("HDF5", "nexus:NXCXI"),
    "diamond": Entry("HDF5", "nexus:DIAMOND"),
    "areadetector": Entry("HDF5", "areadetector:AREADETECTOR"),
    "exchange": Entry("HDF5", "exchange:EXCHANGE"),
    "eiger": Entry("HDF5", "eiger:EIGER"),
    "nanomax": Entry("HDF5", "nanomax:NANOMAX"),
    "hermes": Entry("HDF5", "hermes:HERMES"),
    "product": Entry("HDF5", "product:PRODUCT"),
    "adorym": Entry("HDF5", "adorym:ADORYM"),
    "ptychopinn": Entry("NPZ", "npz:PTYCHOPINN"),
    "tike": Entry("NPZ", "npz:TIKE"),
    "ptyd": Entry("HDF5", "ptyd:PTYD"),
    "tiff": Entry("other", "tiff:TIFF"),
    "phantom": Entry("folder HDF5", "phantom:PHANTOM"),
    "hdf5": Entry("HDF5", "hdf5:GENERIC"),
}
"""Format name → what its files are, and where it is."""


def names() -> tuple[str, ...]:
    """Names of the known formats; formats of installed packages come last."""
    return (*TABLE, *(name for name in _installed() if name not in TABLE))


def get(name: str) -> Format:
    """The format of that name.

    Raises
    ------
    UnknownFormatError
        There is none, or several packages have one, or its package fails.
    """
    if name in TABLE:
        module, attribute = TABLE[name].place.split(":")
        return cast(Format, getattr(import_module(f"{__package__}.{module}"), attribute))
    found = _installed().get(name, ())
    if not found:
        raise UnknownFormatError(
            f"Expected a format of {', '.join(names())}. Got {name!r}",
            "see ptypy-beamline formats",
        )
    if len(found) > 1:
        raise UnknownFormatError(
            f"{len(found)} packages have a format {name!r}: {' and '.join(map(_origin, found))}",
            "uninstall all but one of them",
        )
    return PackageFormat(found[0])


def known(kind: str = "") -> Iterator[Format]:
    """Every format whose files may be of ``kind``; without one, all.

    Those of packages are always among them. One that fails, or that has the name of another, is
    left out with a warning that names its package.
    """
    for name, entry in TABLE.items():
        if not kind or kind in entry.kinds.split():
            yield get(name)
    for name, found in _installed().items():
        if name in TABLE:
            for package in found:
                warn(f"{_origin(package)} is not used: ptypy_beamline has a format {name!r} itself")
            continue
        try:
            yield get(name)
        except UnknownFormatError as error:
            warn(f"{error}")


@cache
def _installed() -> dict[str, tuple[EntryPoint, ...]]:
    """Format name → the entry points that have it."""
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for entry in entry_points(group=GROUP):
        found[entry.name] = (*found.get(entry.name, ()), entry)
    return found


def _origin(entry: EntryPoint) -> str:
    """For messages: what is installed by which package."""
    package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown package"
    return f"format {entry.name!r} of {package} (entry point {entry.value})"


class PackageFormat:
    """A format of an installed package; whatever goes wrong in it, the error names the package.

    Raises
    ------
    UnknownFormatError
        It fails when it is imported or used, or is no format.
    """

    def __init__(self, entry: EntryPoint) -> None:
        self._origin = _origin(entry)
        with self._naming_package():
            self._format: Any = entry.load()
        wanted = ("name", "family", "title", "understands", "open")
        lacking = [name for name in wanted if not hasattr(self._format, name)]
        if lacking:
            raise self._wrong(f"has no {', '.join(lacking)}")
        if self._format.name != entry.name:
            raise self._wrong(f"calls itself {self._format.name!r}")
        self.name, self.family, self.title = entry.name, self._format.family, self._format.title
        self.refines = self._checked(getattr(self._format, "refines", ()))

    def understands(self, path: Path, file: h5py.File | None) -> bool:
        """As the package declares."""
        with self._naming_package():
            try:
                return bool(self._format.understands(path, file))
            except BeamlineError:
                return False

    def nearly(self, file: h5py.File) -> str:
        """What the file lacks to be of this format, if the package says so."""
        nearly = getattr(self._format, "nearly", None)
        with self._naming_package():
            return str(nearly(file)) if nearly else ""

    def open(self, path: Path, settings: Settings) -> Scan:
        """The package's scan; its own errors of this package's kind pass unchanged."""
        with self._naming_package(BeamlineError):
            scan = self._format.open(path, settings)
        if not isinstance(scan, Scan):
            raise self._wrong(f"gives {type(scan).__name__} instead of Scan")
        return scan

    def _checked(self, refines: Any) -> tuple[str, ...]:
        listed = isinstance(refines, list | tuple)
        if not listed or not all(isinstance(name, str) for name in refines):
            raise self._wrong(f"has {refines!r} as refines, not names of formats")
        return tuple(refines)

    @contextmanager
    def _naming_package(self, *passed: type[BeamlineError]) -> Iterator[None]:
        try:
            yield
        except passed:
            raise
        except (Exception, SystemExit) as error:
            what = f"fails with {type(error).__name__}: {in_short(error)}"
            raise self._wrong(what) from error

    def _wrong(self, what: str) -> UnknownFormatError:
        return UnknownFormatError(
            f"{self._origin} {what}", "correct or uninstall that package, or use another --format"
        )
