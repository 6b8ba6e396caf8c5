"""NPZ files of PtychoPINN and of tike: frames, positions in pixels, and a probe.

Neither records energy, distance or pixel size, so the user gives them.
Sources: PtychoPINN's ``RawData`` (github.com/hoidn/PtychoPINN) and tike's ``tike.ptycho``
(github.com/AdvancedPhotonSource/tike).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bools, Complex64s, Floats
from ..errors import BeamlineWarning, MissingDataError, ScanError, SettingsError, naming
from ..frames.masks import RULES, MaskFrames
from ..frames.npz import Member, NpzFrames, members, stack_shape
from ..geometry import object_pixel_m
from ..quantities import unit_factor
from ..scan import SQUARED, Frames, Scan
from ..settings import Settings
from .frame_axes import leading_axis
from .stored_values import is_pixels

MASK, CENTER = "mask", "center_px"
"""Arrays of this package's own files: bad pixels (1 = bad), one image or one a frame; the beam
centre (row, column)."""

OWN = {"energy_eV", "distance_m", "pixel_m", "object_center_m", "objectGuess"}
"""Arrays by which this package's own files are known; the pixel is the object's."""

ARRAYS = ("frames", "x", "y", "positions", "mask")
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
    amplitude
        Numbers that are not whole are amplitudes, not counts.
    corner
        Zero frequency is at pixel (0, 0), unless the user sets otherwise.
    """

    name: str
    title: str
    frames: tuple[str, ...]
    probe: str
    x: str = ""
    y: str = ""
    positions: str = ""
    amplitude: bool = False
    corner: bool = False
    family: str = "NPZ"
    refines: tuple[str, ...] = ()

    def understands(self, path: Path, _: Any) -> bool:
        """Whether the file has this format's arrays."""
        known = set(members(path))
        needed = {self.x, self.y, self.positions} - {""}
        return needed <= known and bool(known & set(self.frames))

    def open(self, path: Path, settings: Settings) -> Scan:
        """The scan in the file; no frame is read."""
        path = Path(path).absolute()
        with naming(path):
            return self._open(path, settings)

    def _open(self, path: Path, settings: Settings) -> Scan:
        _only_known(settings.paths.given)
        positions = self._positions(path, settings.paths.given)
        frames, name = self._frames(path, settings, len(positions))
        amplitude = self.amplitude and frames.dtype.kind in "fc"
        notes = []
        if amplitude and settings.stored_as is None:
            notes.append(f"{name} {SQUARED}")
        if both := settings.paths.given.get("positions"):
            what = f"{both} is taken as row, column: --axes xy (positions.axes) exchanges them"
            notes.append(what)
        unit = settings.units.given.get("positions", "px")
        pixels = is_pixels(unit)
        factor = np.nan if pixels else unit_factor("positions", unit, given=True)
        scan = Scan(
            frames=frames,
            positions_m=positions * factor,
            positions_px=positions if pixels else None,
            bad=_bad(path, settings, frames),
            probe=self._probe(path, frames),
            stored_as="magnitude" if amplitude else None,
            zero_frequency="corner" if self.corner else "center",
            format=self.name,
            source=path,
            notes=tuple(notes),
        )
        return _with_physics(path, settings, scan) if is_own(path) else scan

    def _positions(self, path: Path, given: Mapping[str, str]) -> Floats:
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
                "correct the file, or name others by paths.x, paths.y (--path x=ARRAY "
                "--path y=ARRAY)",
            )
        return values

    def _frames(self, path: Path, settings: Settings, count: int) -> tuple[Frames, str]:
        """The frames as stored, and the array's name."""
        known = members(path)
        name = settings.paths.given.get("frames") or next(
            (n for n in self.frames if n in known), ""
        )
        if not name:
            raise MissingDataError(
                f"Expected an array {' or '.join(self.frames)}. Got {', '.join(known)}",
                "set paths.frames (--path frames=ARRAY)",
            )
        frames = NpzFrames(Member(path, name))
        leading_axis(frames.shape, settings.outer_index)
        counts = (count * (settings.frames_per_position or 1), count)
        return NpzFrames(Member(path, name), frames_axis(frames.shape, counts, name)), name

    def _probe(self, path: Path, frames: Frames) -> Complex64s | None:
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
    if fitting == [2] and shape[1] == shape[2] != shape[0]:
        fitting = []  # frames are square, and some are missing
    if len(fitting) == 2 and len(set(shape)) == 1:
        warnings.warn(
            f"{name} of shape {shape} is taken as frames (N,H,W), but may be (H,W,N)",
            BeamlineWarning,
            stacklevel=2,
        )
    if fitting:
        return fitting[0]
    raise ScanError(
        f"Expected {counts[0]} frames (N,H,W) or (H,W,N). Got {name} of shape {shape}",
        "check paths.frames, or set frames_per_position (--frames-per-pos)",
    )


def is_own(path: Path) -> bool:
    """Whether this package wrote the file, which then has metres and a mask, too."""
    return set(members(path)) >= OWN


def own_mask(path: Path, shape: tuple[int, int, int]) -> NDArray[Any] | None:
    """(ny, nx) or (n, ny, nx), 1 = bad, of a file that this package wrote; None without one.

    Raises
    ------
    ScanError
        It is not of the frames' ``shape``.
    """
    if not is_own(path) or MASK not in members(path):
        return None
    mask = Member(path, MASK).array
    if mask.shape not in (shape, shape[1:]):
        raise ScanError(
            f"Expected a mask of the frames {shape}. Got {mask.shape}", "write the file again", path
        )
    return mask


def _with_physics(path: Path, settings: Settings, scan: Scan) -> Scan:
    """What only this package's own files have: metres, a mask, and the beam centre."""
    values = {
        name: np.asarray(Member(path, name).array, np.float64).ravel()
        for name in (*OWN - {"objectGuess"}, CENTER)
        if name in members(path)
    }
    pixel = np.broadcast_to(values["pixel_m"], 2)
    energy, distance = float(values["energy_eV"][0]), float(values["distance_m"][0])
    height, width = object_pixel_m(energy, distance, (pixel[0], pixel[1]), scan.frame_shape)
    given: dict[str, Any] = {}
    if scan.positions_px is not None and not {"x", "y", "positions"} & set(settings.paths.given):
        half = (np.array(Member(path, "objectGuess").shape[-2:]) - 1) / 2
        positions_m = values["object_center_m"] + (scan.positions_px - half) * pixel
        given = {"positions_m": positions_m, "positions_px": None}
    known = {
        "energy": ("energy_eV", energy),
        "distance": ("distance_m", distance),
        "pixel": ("pixel_m", (height, width)),
    }
    given |= {n: value for what, (n, value) in known.items() if what not in settings.overridden}
    paths = settings.paths.given
    mask = None if {"frames", "mask"} & set(paths) else own_mask(path, scan.frames.shape)
    if mask is not None and mask.ndim == 3:
        given["bad_each"] = MaskFrames(NpzFrames(Member(path, MASK)))
    elif mask is not None:
        given["bad"] = RULES["bad"](mask)
    if CENTER in values and "frames" not in paths:
        given["center_px"] = (float(values[CENTER][0]), float(values[CENTER][1]))
    note = "the detector's pixel follows from the object's"
    return replace(scan, **given, notes=(*scan.notes, note))


def _only_known(given: Mapping[str, str]) -> None:
    """Refuse paths that do not apply to these files, rather than ignore them."""
    unknown = sorted(set(given) - set(ARRAYS)) + [n for n in ARRAYS if "::" in given.get(n, "")]
    if unknown:
        raise SettingsError(
            f"Expected paths of {', '.join(ARRAYS)}, each an array of the file. "
            f"Got {', '.join(f'{n}={given[n]}' for n in unknown)}",
            "give energy, distance, psize, dark and flat as parameters (--energy-kev, "
            "--distance-m, --pixel-m, --dark, --flat)",
        )


def _numbers(path: Path, name: str) -> Floats:
    member = Member(path, name)
    if member.dtype.kind not in "iuf":
        raise ScanError(
            f"Expected numbers in {name}. Got {member.dtype}", "name another array by --path"
        )
    return np.asarray(member.array, np.float64)


def _bad(path: Path, settings: Settings, frames: Frames) -> Bools | None:
    """Bad pixels of a mask the user names."""
    if "mask" not in settings.paths.given:
        return None
    mask = Member(path, settings.paths.given["mask"]).array
    if mask.shape != frames.shape[1:]:
        raise ScanError(
            f"Expected a mask {frames.shape[1:]}, like the frames. Got {mask.shape}",
            "set paths.mask (--path mask=ARRAY)",
        )
    return np.asarray(RULES[settings.file_mask_values or "bad"](mask), np.bool_)


PTYCHOPINN = NpzFormat(
    name="ptychopinn",
    title="PtychoPINN NPZ: xcoords, ycoords (pixels) and diffraction or diff3d",
    frames=("diffraction", "diff3d"),
    x="xcoords",
    y="ycoords",
    probe="probeGuess",
    amplitude=True,
    refines=("tike",),
)

TIKE = NpzFormat(
    name="tike",
    title="tike NPZ: data with zero frequency in the corner, scan (row, column in pixels)",
    frames=("data",),
    positions="scan",
    probe="probe",
    corner=True,
)
