"""NPZ files of PtychoPINN and of tike: frames, positions in pixels, and a probe.

Neither records energy, distance or pixel size, so the user gives them.
Sources: PtychoPINN's ``RawData`` (github.com/hoidn/PtychoPINN) and tike's ``tike.ptycho``
(github.com/AdvancedPhotonSource/tike).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import BeamlineError, MissingDataError, ScanError, SettingsError
from ..geometry import unit_factor
from ..reading.npz import Member, NpzFrames, members, stack_shape
from ..scan import Frames, Scan
from .masks import RULES
from .opening import AS_STORED, Opening
from .quantities import is_pixels
from .stack import leading_axis

Array = NDArray[np.float64]

READ = ("frames", "x", "y", "positions", "mask")
"""What can be named by ``paths``: arrays of the file."""


@dataclass(frozen=True)
class NpzFormat:
    """NPZ files whose arrays have known names; the first present one counts.

    Attributes
    ----------
    frames
        Of integers or floats; see ``amplitude``.
    x, y
        Two lists of positions in pixels of the reconstruction, or
    positions
        one array of them (N, 2) as (row, column).
    probe
        Complex.
    foreign
        Arrays that files of this format never have.
    amplitude
        Numbers that are not whole are amplitudes, not counts.
    corner
        Zero frequency is at pixel (0, 0), unless the user says otherwise.
    """

    name: str
    title: str
    frames: tuple[str, ...]
    probe: str
    x: str = ""
    y: str = ""
    positions: str = ""
    foreign: tuple[str, ...] = ()
    amplitude: bool = False
    corner: bool = False
    family: str = "NPZ"

    def understands(self, path: Path) -> bool:
        """Whether the file has this format's arrays."""
        try:
            known = set(members(path))
        except BeamlineError:
            return False
        needed = {self.x, self.y, self.positions} - {""}
        return (needed <= known and bool(known & set(self.frames))
                and not known & set(self.foreign))  # fmt: skip

    def open(self, path: Path, opening: Opening = AS_STORED) -> Scan:
        """The scan in the file; no frame is read.

        Raises
        ------
        FileError, MissingDataError, ScanError, SettingsError
            Each names the file and the remedy.
        """
        path = Path(path).absolute()
        try:
            return self._open(path, opening)
        except BeamlineError as error:
            if error.file is not None:
                raise
            raise type(error)(error.problem, error.remedy, path) from error

    def _open(self, path: Path, opening: Opening) -> Scan:
        _only_known(opening.paths)
        positions = self._positions(path, opening.paths)
        frames, name = self._frames(path, opening, len(positions))
        amplitude = self.amplitude and frames.dtype.kind in "fc"
        notes: tuple[str, ...] = ()
        if amplitude and opening.stored_as is None:
            notes = (f"{name} is taken to hold amplitudes, and squared",)
        unit = opening.units.get("positions", "px")
        pixels = is_pixels(unit)
        return Scan(
            frames=frames,
            positions_m=positions * (np.nan if pixels else unit_factor("positions", unit)),
            positions_px=positions if pixels else None,
            bad=_bad(path, opening, frames),
            probe=self._probe(path, frames),
            stored_as="magnitude" if amplitude else None,
            zero_frequency="corner" if self.corner else "center",
            format=self.name,
            source=path,
            notes=notes,
        )

    def _positions(self, path: Path, given: Mapping[str, str]) -> Array:
        """(m, 2) as (row, column), as stored."""
        both = given.get("positions", "" if {"x", "y"} & set(given) else self.positions)
        if both:
            values = _numbers(path, both)
            values = values.reshape(stack_shape(values.shape, 2))
        else:
            y, x = (_numbers(path, given.get(axis, getattr(self, axis))).ravel() for axis in "yx")
            values = np.stack([y, x], axis=1) if len(y) == len(x) else y
        if values.ndim != 2 or values.shape[1] != 2 or not np.isfinite(values).all():
            raise ScanError(
                "Expected finite positions (N,2) as (row, column), or as many x as y. Got others",
                "mend the file, or name others by paths.x, paths.y (--path x=ARRAY --path y=ARRAY)",
            )
        return values

    def _frames(self, path: Path, opening: Opening, count: int) -> tuple[Frames, str]:
        """The frames as stored, and the array's name."""
        known = members(path)
        name = opening.paths.get("frames") or next((n for n in self.frames if n in known), "")
        if not name:
            raise MissingDataError(f"Expected an array {' or '.join(self.frames)}. "
                                   f"Got {', '.join(known)}",
                                   "set paths.frames (--path frames=ARRAY)")  # fmt: skip
        frames = NpzFrames(Member(path, name))
        leading_axis(frames.shape, opening.outer_index)
        counts = (count * (opening.frames_per_position or 1), count)
        return NpzFrames(Member(path, name), frames_axis(frames.shape, counts, name)), name

    def _probe(self, path: Path, frames: Frames) -> NDArray[np.complex64] | None:
        """The first mode, if it is as large as the frames."""
        if self.probe not in members(path):
            return None
        probe = Member(path, self.probe).array
        if probe.ndim < 2 or probe.shape[-2:] != frames.shape[1:]:
            return None
        first = probe.reshape(-1, *probe.shape[-2:])[0]
        return np.asarray(first, np.complex64)


def frames_axis(shape: tuple[int, int, int], counts: tuple[int, int], name: str) -> int:
    """Which axis counts the frames: 0 if it has as many as ``counts`` allow, else 2.

    Raises
    ------
    ScanError
        None is.
    """
    fitting = [axis for axis in (0, 2) if shape[axis] in counts]
    if fitting:
        return fitting[0]
    raise ScanError(
        f"Expected {counts[0]} frames (N,H,W) or (H,W,N). Got {name} of shape {shape}",
        "check paths.frames, or set frames_per_position (--frames-per-pos)",
    )


def _only_known(given: Mapping[str, str]) -> None:
    """Refuse what these files cannot be asked for, rather than ignore it."""
    unknown = sorted(set(given) - set(READ)) + [n for n in READ if "::" in given.get(n, "")]
    if unknown:
        raise SettingsError(
            f"Expected paths of {', '.join(READ)}, each an array of the file. "
            f"Got {', '.join(f'{n}={given[n]}' for n in unknown)}",
            "give energy, distance, psize, dark, flat and mask as parameters",
        )


def _numbers(path: Path, name: str) -> Array:
    member = Member(path, name)
    if member.dtype.kind not in "iuf":
        raise ScanError(f"Expected numbers in {name}. Got {member.dtype}",
                        "name another array by --path")  # fmt: skip
    return np.asarray(member.array, np.float64)


def _bad(path: Path, opening: Opening, frames: Frames) -> NDArray[np.bool_] | None:
    """Bad pixels of a mask the user names."""
    if "mask" not in opening.paths:
        return None
    mask = Member(path, opening.paths["mask"]).array
    if mask.shape != frames.shape[1:]:
        raise ScanError(f"Expected a mask {frames.shape[1:]} as the frames. Got {mask.shape}",
                        "set paths.mask (--path mask=ARRAY)")  # fmt: skip
    return np.asarray(RULES[opening.mask_values or "bad"](mask), np.bool_)


PTYCHOPINN = NpzFormat(
    name="ptychopinn",
    title="PtychoPINN NPZ: xcoords, ycoords (pixels) and diffraction or diff3d",
    frames=("diffraction", "diff3d"),
    x="xcoords",
    y="ycoords",
    probe="probeGuess",
    amplitude=True,
)

TIKE = NpzFormat(
    name="tike",
    title="tike NPZ: data with zero frequency in the corner, scan (row, column in pixels)",
    frames=("data",),
    positions="scan",
    foreign=("xcoords", "ycoords"),
    probe="probe",
    corner=True,
)
