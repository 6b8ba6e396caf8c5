"""What a user says about a file, and what a format must be able to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from .errors import SettingsError
from .scan import Scan

NAMES = (
    "frames",
    "x",
    "y",
    "positions",
    "energy",
    "distance",
    "pixel",
    "focus",
    "exposure",
    "mask",
    "dark",
    "flat",
    "monitor",
    "center",
    "frame_index",
    "position_index",
)
"""Things a dataset path can be given for."""

QUANTITIES = ("positions", "energy", "distance", "pixel", "focus")
"""Things a unit can be given for."""


@dataclass(frozen=True)
class Opening:
    """How to read a file where it departs from its format's rule.

    Attributes
    ----------
    paths
        Name (one of ``NAMES``) → dataset path, or ``other.h5::/path`` in another file.
    units
        Quantity (one of ``QUANTITIES``) → unit, overriding the file's.
    outer_index
        Which projection, energy or repeat of a stack with a leading axis.
    frames_per_position
        Exposures of each position, where there are several.
    mask_values
        What a nonzero pixel of the mask means.
    sidecar
        HDF5 file with the positions and metadata of frames that are TIFF files.
    also
        More paths or globs after the first, of a scan in several TIFF files.
    links
        HDF5 links and virtual sources: only inside the file's directory tree, or anywhere.
    stored_as
        What the stored frames are, where that is not what the format takes them for.
    zero_frequency
        Where the stored frames have the unscattered beam, likewise: pixel (0, 0) or the middle.
    radiation
        What the beam is made of, where the user says.
    growing
        The file is followed while it is written: that it is not whole yet is no error.
    given
        Quantities (energy, distance, pixel, focus) the user gives: those of the file are not read.
    simulate
        What a phantom is illuminated with, as ``Settings.simulate``, with energy in keV,
        distance and psize where the user gives them.

    Raises
    ------
    SettingsError
        An unknown name or value.
    """

    paths: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    outer_index: int | None = None
    frames_per_position: int | None = None
    mask_values: Literal["bad", "good"] | None = None
    links: Literal["inside", "any"] = "inside"
    sidecar: str | None = None
    also: tuple[str, ...] = ()
    given: frozenset[str] = frozenset()
    growing: bool = False
    stored_as: Literal["intensity", "magnitude", "wave"] | None = None
    zero_frequency: Literal["corner", "center"] | None = None
    radiation: Literal["photon", "electron"] | None = None
    simulate: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check("paths", "--path", self.paths, NAMES)
        _check("units", "--unit", self.units, QUANTITIES)
        _choice("mask_values", self.mask_values, ("bad", "good", None))
        _choice("links", self.links, ("inside", "any"))
        if self.frames_per_position is not None and self.frames_per_position < 1:
            raise SettingsError(
                f"Expected frames_per_position of 1 or more. Got {self.frames_per_position}"
            )


def _check(what: str, flag: str, given: Mapping[str, str], known: tuple[str, ...]) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise SettingsError(
            f"Expected {what} of {', '.join(known)}. Got {', '.join(unknown)}",
            f"use {flag} NAME=VALUE with one of these names",
        )


def _choice(name: str, value: object, known: tuple[object, ...]) -> None:
    if value not in known:
        raise SettingsError(f"Expected {name} of {', '.join(map(str, known))}. Got {value}")


AS_STORED = Opening()
"""Read the file by its format's rule."""


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

    def understands(self, path: Path) -> bool:
        """Whether the file's content is of this format; never raises on other files."""

    def open(self, path: Path, opening: Opening = AS_STORED) -> Scan:
        """The scan in the file; no frame is read."""
