"""Every loader parameter once: type, default, help, unit and flag.

PtyPy's parameter descriptions, the command line's flags and the documentation page are all
generated from :class:`Settings`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from .errors import SettingsError
from .formats.opening import Opening

ROTATIONS = {0: (False, False, False), 90: (True, False, True),
             180: (False, True, True), 270: (True, True, False)}  # fmt: skip
"""Clockwise rotation → PtyPy's (transpose, flipud, fliplr)."""


_NUMERIC = set("0123456789+-.eE, ")


def _numbers(value: Any) -> Any:
    """``"256,256"`` as typed on a command line → a list of numbers; anything else unchanged."""
    if not isinstance(value, str) or not value.strip() or set(value) - _NUMERIC:
        return value
    parts = [float(part) if set(part) & set(".eE") else int(part) for part in value.split(",")]
    return parts if len(parts) > 1 else parts[0]


def _pair(value: Any) -> Any:
    """A number counts for both axes."""
    value = _numbers(value)
    return (value, value) if isinstance(value, int | float) else value


def _list(value: Any) -> Any:
    """``"3"`` and ``"3,4"`` are lists, another text is a file."""
    value = _numbers(value)
    return [value] if isinstance(value, int | float) else value


def _monitor(value: Any) -> Any:
    return True if isinstance(value, str) and value == "file" else value


Pair = Annotated[tuple[float, float], BeforeValidator(_pair)]
IntPair = Annotated[tuple[int, int], BeforeValidator(_pair)]
Center = Annotated[tuple[int | float, int | float] | Literal["fftshift"], BeforeValidator(_numbers)]
Orientation = Annotated[
    Annotated[int, Field(ge=0, le=7)] | tuple[bool, bool, bool], BeforeValidator(_numbers)
]
Pad = Annotated[
    Annotated[int, Field(ge=0)] | tuple[int, int, int, int] | Literal["square"],
    BeforeValidator(_numbers),
]
Number = Annotated[float | Literal["file"], BeforeValidator(_numbers)]
Image = Annotated[Any, Field()]


def _field(default: Any, help: str, flag: str = "") -> Any:
    return Field(default=default, description=help, json_schema_extra={"flag": flag})


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Paths(_Group):
    """Dataset paths that override the format's; ``other.h5::/path`` reads another file."""

    frames: str | None = _field(None, "dataset of the frames")
    x: str | None = _field(None, "dataset of the x positions")
    y: str | None = _field(None, "dataset of the y positions")
    positions: str | None = _field(None, "dataset of all positions, columns x, y")
    energy: str | None = _field(None, "dataset of the photon energy")
    distance: str | None = _field(None, "dataset of the sample-detector distance")
    pixel: str | None = _field(None, "dataset of the detector pixel size")
    exposure: str | None = _field(None, "dataset of the exposure time")
    mask: str | None = _field(None, "dataset of the detector mask")
    dark: str | None = _field(None, "dataset of the dark image or stack")
    flat: str | None = _field(None, "dataset of the flat image or stack")
    monitor: str | None = _field(None, "dataset of the incident intensity; setting it applies it")
    center: str | None = _field(None, "dataset of the beam centre (row, column)")


class Units(_Group):
    """Units that override the file's."""

    positions: str | None = _field(None, "unit of the stored positions: m, mm, um, nm")
    energy: str | None = _field(None, "unit of the stored energy: eV, keV, J")
    distance: str | None = _field(None, "unit of the stored distance: m, mm")
    pixel: str | None = _field(None, "unit of the stored pixel size: m, mm, um")


class Select(_Group):
    """A region of positions in stage coordinates, metres, (y, x)."""

    shape: Literal["none", "circle", "rect"] = _field(
        "none", "keep only the positions in a region", "--select-shape"
    )
    center: Pair | None = _field(
        None, "centre (y, x) of the region in metres; default: of the scan", "--select-center-pos"
    )
    radius: float | None = _field(None, "radius of the circle in metres", "--select-radius")
    size: Pair | None = _field(None, "height and width of the rectangle in metres", "--select-size")


class Positions(_Group):
    """How stage positions belong to the frames."""

    axes: Literal["yx", "-yx", "y-x", "-y-x", "xy", "-xy", "x-y", "-x-y"] = _field(
        "yx", "which stage axes are image (row, column), with sign", "--axes"
    )
    shift: int = _field(
        0, "frames lag positions by k: frame n was taken at position n-k", "--position-shift"
    )
    snake: bool = _field(False, "positions of every other row run backwards", "--snake")


class Live(_Group):
    """Following a file that is still being written."""

    timeout_s: Annotated[float, Field(gt=0)] | None = _field(
        None,
        "follow the file: after so many seconds without a new frame the scan counts as ended, and "
        "what is there is delivered",
        "--live",
    )
    poll_s: Annotated[float, Field(gt=0)] = _field(
        1.0, "seconds between two looks at a file that is followed"
    )


class Simulate(_Group):
    """What a phantom is illuminated with; None = as its info.txt says."""

    probe: Image = _field(
        None, "wave at the sample: array, .npy or file.h5::/path; None = a zone plate's beam",
        "--sim-probe",
    )  # fmt: skip
    shape: IntPair | None = _field(
        None, "pixels (ny, nx) of the probe that is built, and of the frames", "--sim-shape"
    )
    photons: Annotated[float, Field(gt=0)] | None = _field(
        None, "photons in a frame without a sample", "--sim-photons"
    )
    seed: Annotated[int, Field(ge=0)] | None = _field(
        None, "of the photon noise; None = 0", "--sim-seed"
    )
    scan: IntPair | None = _field(
        None, "rows and columns of a raster around the phantom's middle", "--sim-scan"
    )
    step_px: Pair | None = _field(
        None, "pixels (y, x) between the positions of the raster", "--sim-step-px"
    )
    positions: Image = _field(
        None, "instead of a raster: (n, 2) row, column of the probe's first pixel on the phantom, "
        "an array, .npy or file.h5::/path", "--sim-positions",
    )  # fmt: skip
    pixel_m: Annotated[float, Field(gt=0)] | None = _field(
        None, "the phantom's voxel across the beam in m", "--sim-pixel-m"
    )
    slice_m: Annotated[float, Field(gt=0)] | None = _field(
        None, "thickness of the phantom's slices in m; None = as its voxels are wide",
        "--sim-slice-m",
    )  # fmt: skip


class Settings(_Group):
    """Every parameter of the loaders.

    ``None`` means: from the file, else an error that says how to set it. Nothing physical has a
    silent default.

    Raises
    ------
    SettingsError
        From :meth:`of`: an unknown parameter, a wrong value, or two that contradict each other.
    """

    file: str | tuple[str, ...] | None = _field(
        None, "raw scan file; for TIFF a glob, several globs, or files.txt"
    )
    sidecar: str | None = _field(
        None,
        "HDF5 with positions and metadata of TIFF frames; None = sidecar.h5 beside them, if there",
        "--sidecar",
    )
    format: str | None = _field(
        None, "a name from `ptypy-beamline formats`; None = recognise by content", "--format"
    )
    paths: Paths = Field(default=Paths(), description=Paths.__doc__)
    units: Units = Field(default=Units(), description=Units.__doc__)
    stored_as: Literal["intensity", "magnitude", "wave"] | None = _field(
        None,
        "what simulated or converted frames are (adorym, phantom, NPZ, product); None: complex or "
        "floating amplitudes are squared, as the format has it",
        "--stored-as",
    )
    zero_frequency: Literal["corner", "center"] | None = _field(
        None,
        "where the frames of an NPZ have the unscattered beam, at pixel (0, 0) or in the middle; "
        "None: as the format has it (tike: corner)",
        "--zero-frequency",
    )
    energy: Annotated[float, Field(gt=0)] | None = _field(
        None, "photon energy in keV, overrides the file", "--energy-kev"
    )
    distance: Annotated[float, Field(gt=0)] | None = _field(
        None, "sample-detector distance in m, overrides the file", "--distance-m"
    )
    psize: Pair | None = _field(
        None, "detector pixel in m, one number or (y, x), overrides the file", "--pixel-m"
    )
    outer_index: Annotated[int, Field(ge=0)] | None = _field(
        None, "which projection, energy or repeat of a stack with a leading axis", "--outer-index"
    )
    frames_per_position: Annotated[int, Field(ge=1)] | None = _field(
        None, "exposures at each position", "--frames-per-pos"
    )
    grouping: Literal["sum", "mean", "first", "best", "none", "hdr"] = _field(
        "sum",
        "how the exposures of a position become one frame: sum, mean, the first, the best (fewest "
        "bad pixels, then most counts), none (each is a frame of its own), hdr (counts over "
        "exposure time of the unsaturated exposures)",
        "--grouping",
    )
    shape: IntPair | None = _field(
        None, "window in raw detector pixels, one number or (ny, nx); None = whole frame", "--roi"
    )
    center: Center | None = _field(
        None,
        "beam centre (row, column) in raw pixels, or fractions in [0,1) of the frame, or "
        "'fftshift'; None = the file's, else found from the data",
        "--roi-center",
    )
    rotate: Annotated[Literal[0, 90, 180, 270], BeforeValidator(_numbers)] | None = _field(
        None, "turn the frames clockwise by 0, 90, 180 or 270 degrees", "--rotate"
    )
    flip: Literal["none", "h", "v", "hv"] | None = _field(
        None, "then flip them: h = left-right, v = up-down, hv = both", "--flip"
    )
    orientation: Orientation | None = _field(
        None, "PtyPy's 0-7 or (transpose, flipud, fliplr) instead of rotate and flip",
        "--orientation",
    )  # fmt: skip
    rebin: Annotated[int, Field(ge=1)] = _field(
        1, "sum bins of n x n pixels; a bin with a bad pixel is bad", "--bin"
    )
    pad: Pad | None = _field(
        None, "border around the frame: int, (top, bottom, left, right) or 'square'; never valid",
        "--pad",
    )  # fmt: skip
    dark: Image = _field(
        None, "dark image: array, .npy, .tif or file.h5::/path; a stack is averaged", "--dark"
    )
    flat: Image = _field(
        None, "flat image to divide by: array, .npy, .tif or file.h5::/path; a stack is averaged",
        "--flat",
    )  # fmt: skip
    mask: Image = _field(
        None, "bad pixels (bits other than 0): array, .npy, .tif or file.h5::/path", "--mask"
    )
    mask_values: Literal["bad", "good"] | None = _field(
        None, "what nonzero means in the mask, where a file departs from its format's rule",
        "--mask-values",
    )  # fmt: skip
    background: Annotated[Any, BeforeValidator(_numbers)] = _field(
        None, "counts to subtract after dark: a number, array, .npy, .tif or file.h5::/path",
        "--background",
    )  # fmt: skip
    threshold: float | None = _field(None, "corrected counts below it become 0", "--threshold")
    saturation: Number | None = _field(
        None, "raw counts at or above are bad in that exposure; 'file' = the detector's limit",
        "--sat",
    )  # fmt: skip
    hot_sigma: Annotated[float, Field(gt=0)] | None = _field(
        None, "find static hot and dead pixels beyond so many sigma of their neighbours",
        "--hot-sigma",
    )  # fmt: skip
    monitor: Annotated[Any, BeforeValidator(_monitor)] = _field(
        None,
        "scale each exposure by mean(I0)/I0: True or 'file' = the file's, or array, .npy, "
        "file.h5::/path",
        "--monitor",
    )
    align: Literal["none", "com"] = _field(
        "none", "com: shift each frame by whole pixels to a common centre of mass", "--align"
    )
    select: Select = Field(default=Select(), description=Select.__doc__)
    reject: Annotated[Any, BeforeValidator(_list)] = _field(
        None,
        "raw frames to leave out: reject_indices.npy, ptypy_indices.json, qc_summary.csv or a list",
        "--reject",
    )
    positions: Positions = Field(default=Positions(), description=Positions.__doc__)
    focus_to_sample: Annotated[float, Field(gt=0)] | None = _field(
        None, "focus-sample distance in m: cone beam, effective distance and pixel are used",
        "--focus-to-sample-m",
    )  # fmt: skip
    threads: Annotated[int, Field(ge=1)] | None = _field(
        None, "threads that correct frames; None = cores of the node over its ranks", "--threads"
    )
    links: Literal["inside", "any"] = _field(
        "inside", "follow HDF5 links inside the file's own directory tree, or anywhere", "--links"
    )
    live: Live = Field(default=Live(), description=Live.__doc__)
    simulate: Simulate = Field(default=Simulate(), description=Simulate.__doc__)
    num_frames: Annotated[int, Field(ge=1)] | None = _field(
        None, "at most so many positions", "--num-frames"
    )
    step: Annotated[int, Field(ge=1)] = _field(1, "take every n-th position", "--step")

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if self.orientation is not None and (self.rotate is not None or self.flip is not None):
            raise ValueError("give either orientation or rotate and flip, not both")
        if self.select.shape == "circle" and self.select.radius is None:
            raise ValueError("select.shape='circle' needs select.radius (--select-radius)")
        if self.select.shape == "rect" and self.select.size is None:
            raise ValueError("select.shape='rect' needs select.size (--select-size)")
        if self.live.timeout_s is not None:
            _causal(self)
        if self.shape is not None and min(self.shape) < 1:
            raise ValueError(f"shape must be positive. Got {self.shape}")
        return self

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Settings:
        """Settings from a mapping, nested or with dotted names; None counts as not given.

        Raises
        ------
        SettingsError
            One line that names the parameter.
        """
        tree = _tree(values)
        _refuse_unknown(tree)
        try:
            return cls.model_validate(tree)
        except ValidationError as error:
            raise _settings_error(error) from error

    @property
    def turn(self) -> tuple[bool, bool, bool]:
        """What is done to the frames as PtyPy's (transpose, flipud, fliplr), in this order."""
        if self.orientation is not None:
            code = self.orientation
            return code if isinstance(code, tuple) else (code >= 4, bool(code & 2), bool(code & 1))
        transpose, ud, lr = ROTATIONS[self.rotate or 0]
        flip = self.flip or "none"
        return transpose, ud ^ ("v" in flip), lr ^ ("h" in flip)

    @property
    def file_name(self) -> str:
        """The file, or the first of several, as a message names it."""
        return (self.file if isinstance(self.file, str) else next(iter(self.file or ()), "")) or ""

    @property
    def opening(self) -> Opening:
        """The part that concerns how a file is read."""
        overrides = {"energy": self.energy, "distance": self.distance, "pixel": self.psize}
        return Opening(
            paths=self.paths.model_dump(exclude_none=True),
            units=self.units.model_dump(exclude_none=True),
            outer_index=self.outer_index,
            frames_per_position=self.frames_per_position,
            mask_values=None if self.mask is not None else self.mask_values,
            links=self.links,
            sidecar=self.sidecar,
            growing=self.live.timeout_s is not None,
            stored_as=self.stored_as,
            zero_frequency=self.zero_frequency,
            given=frozenset(name for name, value in overrides.items() if value is not None),
            simulate=self._simulate,
        )

    @property
    def _simulate(self) -> dict[str, Any]:
        """What a phantom is illuminated with, as far as it is given."""
        own = {name: getattr(self.simulate, name) for name in type(self.simulate).model_fields}
        own |= {"energy": self.energy, "distance": self.distance, "psize": self.psize}
        return {name: value for name, value in own.items() if value is not None}

    def record(self) -> dict[str, Any]:
        """What was set, for provenance: plain values, arrays by their shape."""
        return _record(self)


def _causal(settings: Settings) -> None:
    """Refuse what depends on frames that are still to come."""
    if settings.select.shape != "none" and settings.select.center is None:
        raise ValueError("a live scan with select.shape needs select.center, the scan's own middle "
                         "is not known yet")  # fmt: skip
    if settings.positions.snake:
        raise ValueError("a live scan cannot turn its rows round (positions.snake)")


@dataclass(frozen=True)
class Leaf:
    """One parameter, as PtyPy, the command line and the documentation see it."""

    name: str
    default: Any
    help: str
    flag: str
    kind: str


def leaves() -> Iterator[Leaf]:
    """Every parameter in order, nested ones with dotted names."""
    for name, info in Settings.model_fields.items():
        if isinstance(info.default, _Group):
            for inner, leaf in type(info.default).model_fields.items():
                yield _leaf(f"{name}.{inner}", leaf)
        else:
            yield _leaf(name, info)


def _leaf(name: str, info: Any) -> Leaf:
    flag = (info.json_schema_extra or {}).get("flag", "")
    return Leaf(name, info.default, info.description or "", flag, _kind(info.annotation))


def _kind(annotation: Any) -> str:
    if annotation is bool:
        return "bool"
    text = str(annotation)
    return next((word for word in ("tuple", "int", "float") if word in text), "str")


def _tree(values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested plain dictionaries without the Nones, numpy scalars made Python's."""
    tree: dict[str, Any] = {}
    for name, value in values.items():
        head, _, tail = str(name).partition(".")
        inner = {tail: value} if tail else value
        if isinstance(inner, Mapping):
            tree.setdefault(head, {}).update(_tree(inner))
        elif inner is not None:
            tree[head] = _plain_input(inner)
    return tree


def _plain_input(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, np.ndarray) and value.size <= 4 and value.ndim == 1:
        return value.tolist()
    if isinstance(value, list | tuple | range):
        return [_plain_input(v) for v in value]
    return value


def _record(group: BaseModel) -> dict[str, Any]:
    values = {name: getattr(group, name) for name in type(group).model_fields}
    return {
        name: _plain(value)
        for name, value in values.items()
        if name in group.model_fields_set and value is not None
    }


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return _record(value)
    if isinstance(value, np.ndarray):
        return f"array{value.shape}"
    return list(value) if isinstance(value, tuple) else value


def _refuse_unknown(tree: Mapping[str, Any]) -> None:
    known = [leaf.name for leaf in leaves()]
    given = [f"{a}.{b}" for a, v in tree.items() if isinstance(v, dict) for b in v]
    given += [a for a, v in tree.items() if not isinstance(v, dict)]
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
            raise SettingsError(f"unknown parameter {name!r}", hint)


def _settings_error(error: ValidationError) -> SettingsError:
    """The first thing that is wrong, in one line."""
    first = error.errors()[0]
    name = ".".join(str(p) for p in first["loc"] if isinstance(p, str) and p.islower())
    name = ".".join(part for part in name.split(".") if part in _NAMES)
    message = first["msg"].removeprefix("Value error, ")
    if not name:
        return SettingsError(message)
    leaf = next((leaf for leaf in leaves() if leaf.name == name), None)
    meaning = f"{name}: {leaf.help}" if leaf else name
    got = repr(first["input"])
    return SettingsError(f"{name}={got[:60]}: {message[0].lower()}{message[1:]}", meaning)


_NAMES = {part for leaf in leaves() for part in leaf.name.split(".")}
