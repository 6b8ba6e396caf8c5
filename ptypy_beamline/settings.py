"""All loader parameters: type, default, help, unit and flag.

PtyPy's parameter descriptions, the flags of the command line and the page of the documentation are
generated from :class:`Settings`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from .errors import SettingsError
from .options import Group, Live, Paths, Positions, Qc, Select, Simulate, Units, field
from .parameter_values import (
    Center,
    Image,
    IntPair,
    Limit,
    Orientation,
    Pad,
    Pair,
    background_value,
    listed,
    monitor_value,
    numbers,
    orientation_flags,
    switched,
)
from .parameters import (
    Parameter,
    check_names,
    check_numbers,
    first_error,
    given_of,
    nested,
    parameters_of,
)
from .quantities import OVERRIDES, QUANTITIES

ROTATIONS = {
    0: (False, False, False),
    90: (True, False, True),
    180: (False, True, True),
    270: (True, True, False),
}
"""Clockwise rotation → PtyPy's (transpose, flipud, fliplr)."""

READING = (
    *("growing", "file_mask_values"),
    *("sidecar", "paths", "units", "outer_index", "frames_per_position", "links", "simulate"),
    *("stored_as", "zero_frequency", "radiation"),
    *("energy", "distance", "psize", "focus_to_sample"),
)
"""Settings that change how a file is read."""


class Settings(Group):
    """Every parameter of the loaders.

    ``None`` means: from the file, else an error that says how to set it. No physical quantity is
    assumed silently.

    Raises
    ------
    SettingsError
        From :meth:`of`: an unknown parameter, a wrong value, or two that contradict each other.
    """

    file: str | tuple[str, ...] | None = field(
        None, "raw scan file; for TIFF a pattern, several patterns, or files.txt"
    )
    sidecar: str | None = field(
        None,
        "HDF5 file with positions and metadata of TIFF frames; default: sidecar.h5 beside them",
        "--sidecar",
    )
    format: str | None = field(
        None, "a name from `ptypy-beamline formats`; default: recognised by content", "--format"
    )
    paths: Paths = Field(default=Paths(), description=Paths.__doc__)
    units: Units = Field(default=Units(), description=Units.__doc__)
    stored_as: Literal["intensity", "magnitude", "wave"] | None = field(
        None,
        "what the stored frames are (magnitudes and waves are squared); default: that of the "
        "format, intensity except for adorym, phantom, ptychopinn and product",
        "--stored-as",
    )
    zero_frequency: Literal["corner", "center"] | None = field(
        None,
        "where the unscattered beam is in the stored frames: at pixel (0, 0), as after an FFT, or "
        "in the middle; default: that of the format, center except for tike",
        "--zero-frequency",
    )
    energy: Annotated[float, Field(gt=0)] | None = field(
        None, "photon (or electron) energy in keV, instead of the file's", QUANTITIES["energy"].flag
    )
    radiation: Literal["photon", "electron"] | None = field(
        None,
        "kind of beam; the energy of electrons is kinetic, and their wavelength relativistic; "
        "default: from the file, else photons",
        "--radiation",
    )
    distance: Annotated[float, Field(gt=0)] | None = field(
        None, "sample-detector distance in m, instead of the file's", QUANTITIES["distance"].flag
    )
    psize: Pair | None = field(
        None,
        "detector pixel in m, one number or (y, x), instead of the file's",
        QUANTITIES["pixel"].flag,
    )
    outer_index: Annotated[int, Field(ge=0)] | None = field(
        None,
        "projection, energy or repeat to load from a stack of scans, counted from 0",
        "--outer-index",
    )
    frames_per_position: Annotated[int, Field(ge=1)] | None = field(
        None, "number of exposures at each position", "--frames-per-pos"
    )
    grouping: Literal["sum", "mean", "first", "best", "none", "hdr"] = field(
        "sum",
        "how the exposures of a position become one frame: sum, mean, first, best (highest median "
        "after clipping at saturation), none (each exposure is a frame of its own), hdr (counts "
        "over exposure time, from unsaturated exposures)",
        "--grouping",
    )
    shape: IntPair | None = field(
        None,
        "window (ny, nx) in raw detector pixels, y before x, or one number; default: whole frame",
        "--roi",
    )
    center: Center | None = field(
        None,
        "beam centre (y, x), row before column, in raw pixels or as fractions of the frame in "
        "[0,1), 'fftshift' (N//2) or 'geometric' ((N-1)/2); default: from the file, else the data",
        "--roi-center",
    )
    auto_center: bool | None = field(
        None,
        "True: find the centre from the data, whatever the file says; False: never do so, and take "
        "the middle of the frame if the file has none",
    )
    rotate: Annotated[Literal[0, 90, 180, 270], BeforeValidator(numbers)] | None = field(
        None, "rotate the frames clockwise by 0, 90, 180 or 270 degrees", "--rotate"
    )
    flip: Literal["none", "h", "v", "hv"] | None = field(
        None, "flip the frames after rotation: h = left-right, v = up-down, hv = both", "--flip"
    )
    orientation: Orientation | None = field(
        None,
        "PtyPy's orientation, 0-7 or (transpose, flipud, fliplr), instead of rotate and flip; "
        "'auto': find it from the data",
        "--orientation",
    )
    rebin: Annotated[int, Field(ge=1)] = field(
        1, "sum n x n pixels; a bin with a bad pixel is bad", "--bin"
    )
    pad: Pad | None = field(
        None,
        "border to add around the frame, masked: pixels, (top, bottom, left, right) or 'square'",
        "--pad",
    )
    dark: Image = field(
        None, "dark image: array, .npy, .tif or file.h5::/path; a stack is averaged", "--dark"
    )
    flat: Image = field(
        None,
        "flat image to divide by: array, .npy, .tif or file.h5::/path; a stack is averaged",
        "--flat",
    )
    mask: Image = field(None, "bad pixels, nonzero: array, .npy, .tif or file.h5::/path", "--mask")
    mask_values: Literal["bad", "good"] | None = field(
        None,
        "what nonzero means in the mask, if the file departs from the rule of its format",
        "--mask-values",
    )
    background: Annotated[Any, BeforeValidator(background_value)] = field(
        None,
        "counts to subtract after the dark: a number, array, .npy, .tif or file.h5::/path",
        "--background",
    )
    threshold: Annotated[float, Field(allow_inf_nan=False)] | None = field(
        None, "set corrected counts below this to 0", "--threshold"
    )
    saturation: Limit | None = field(
        None,
        "pixels with raw counts at or above this are bad in that exposure; 'file': the "
        "detector's limit",
        "--sat",
    )
    hot_sigma: Annotated[float, Field(gt=0)] | None = field(
        None,
        "mask static hot and dead pixels that differ from their neighbours by this many sigma",
        "--hot-sigma",
    )
    monitor: Annotated[Any, BeforeValidator(monitor_value)] = field(
        None,
        "scale each exposure by mean(I0)/I0; I0 is True or 'file' (from the file), or an array, "
        ".npy or file.h5::/path",
        "--monitor",
    )
    align: Literal["none", "com"] = field(
        "none", "com: shift each frame by whole pixels to a common centre of mass", "--align"
    )
    select: Select = Field(default=Select(), description=Select.__doc__)
    reject: Annotated[Any, BeforeValidator(listed)] = field(
        None,
        "raw frames to leave out: reject_indices.npy, ptypy_indices.json, qc_summary.csv, or a "
        "list such as 3,6-11",
        "--reject",
    )
    frame_order: Annotated[Any, BeforeValidator(listed)] = field(
        None,
        "raw frames to load, in this order, each with its own position: a list, array, .npy or "
        "file.h5::/path",
        "--frame-order",
    )
    qc: Annotated[Qc | None, BeforeValidator(switched)] = field(
        None, "find bad frames while loading, and leave them out: True, or parameters qc.*"
    )
    positions: Positions = Field(default=Positions(), description=Positions.__doc__)
    focus_to_sample: Annotated[float, Field(ge=0)] | None = field(
        None,
        "focus-sample distance in m, for a cone beam: the effective distance and pixel are used; "
        "0: parallel beam, whatever the file says",
        QUANTITIES["focus"].flag,
    )
    threads: Annotated[int, Field(ge=1)] | None = field(
        None,
        "threads that decode and correct frames; default: cores of the node over its ranks",
        "--threads",
    )
    links: Literal["inside", "any"] = field(
        "inside",
        "follow HDF5 links only inside the directory tree of the file, or anywhere",
        "--links",
    )
    live: Live = Field(default=Live(), description=Live.__doc__)
    simulate: Simulate = Field(default=Simulate(), description=Simulate.__doc__)
    num_frames: Annotated[int, Field(ge=1)] | None = field(
        None, "load at most this many positions", "--num-frames"
    )
    step: Annotated[int, Field(ge=1)] = field(1, "load every n-th position", "--step")

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if self.orientation is not None and (self.rotate is not None or self.flip is not None):
            raise ValueError("give either orientation or rotate and flip, not both")
        if self.select.shape == "circle" and self.select.radius is None:
            raise ValueError("select.shape='circle' needs select.radius (--select-radius)")
        if self.select.shape == "rect" and self.select.size is None:
            raise ValueError("select.shape='rect' needs select.size (--select-size)")
        if self.growing:
            _check_live(self)
        if self.auto_center and self.center is not None:
            raise ValueError("auto_center=True contradicts center: leave one of them out")
        _check_center(self.center)
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
        tree, known = nested(values), all_parameters()
        check_names(tree, known)
        check_numbers(tree, known)
        try:
            return cls.model_validate(tree)
        except ValidationError as error:
            raise first_error(error, known) from error

    @property
    def orientation_flags(self) -> tuple[bool, bool, bool]:
        """The orientation applied, as PtyPy's (transpose, flipud, fliplr), in this order.

        Raises
        ------
        SettingsError
            ``orientation='auto'``, which :func:`ptypy_beamline.plans.plan_scan` replaces.
        """
        if self.orientation == "auto":
            raise SettingsError("orientation='auto' must be determined before a plan is made")
        if self.orientation is not None:
            code = self.orientation
            return code if isinstance(code, tuple) else orientation_flags(code)
        transpose, ud, lr = ROTATIONS[self.rotate or 0]
        flip = self.flip or "none"
        return transpose, ud ^ ("v" in flip), lr ^ ("h" in flip)

    @property
    def file_name(self) -> str:
        """The file, or the first of several, as a message names it."""
        return next(iter(self.files), "")

    @property
    def files(self) -> tuple[str, ...]:
        """The file, or all of several."""
        return (self.file,) if isinstance(self.file, str) else self.file or ()

    @property
    def growing(self) -> bool:
        """Whether the file is followed while it is written, so that missing frames are no error."""
        return self.live.timeout_s is not None

    @property
    def overridden(self) -> frozenset[str]:
        """Quantities set here, which are therefore not read from the file."""
        return frozenset(name for name, own in OVERRIDES.items() if getattr(self, own) is not None)

    @property
    def file_mask_values(self) -> Literal["bad", "good"] | None:
        """What nonzero means in the file's own mask; None = the rule of its format."""
        return None if self.mask is not None else self.mask_values

    def reads_like(self, other: Settings) -> bool:
        """Whether ``other`` opens the same scan; it may plan it differently."""
        return all(getattr(self, name) == getattr(other, name) for name in READING)

    def record(self) -> dict[str, Any]:
        """What was set, for provenance: plain values, and shapes of arrays."""
        values = given_of(self)
        if self.qc is not None:  # an empty group would read as not given
            values["qc"] = values["qc"] or True
        return values


def _check_center(center: Any) -> None:
    """Refuse to mix a fraction with a pixel."""
    if center is None or isinstance(center, str):
        return
    fraction = [isinstance(c, float) and 0 < c < 1 for c in center]
    if any(fraction) and not all(isinstance(c, float) and c < 1 for c in center):
        raise ValueError(
            f"center={tuple(center)} mixes a fraction of the frame and a pixel: give "
            "both as fractions below 1, or both in pixels"
        )


def _check_live(settings: Settings) -> None:
    """Refuse what depends on frames that have not arrived yet."""
    if settings.select.shape != "none" and settings.select.center is None:
        raise ValueError(
            "a live scan with select.shape needs select.center: the middle of the scan is not "
            "known yet"
        )
    if settings.positions.snake or settings.positions.backlash:
        raise ValueError(
            "the rows of a live scan are not known until it ends (positions.snake, "
            "positions.backlash)"
        )
    if settings.frame_order is not None:
        raise ValueError("frames of a live scan are loaded as they arrive (frame_order)")
    if settings.orientation == "auto":
        raise ValueError(
            "the orientation of a live scan cannot be found before its frames arrive "
            "(orientation='auto'): give its number"
        )
    if settings.qc is not None:
        raise ValueError(
            "quality control needs frames that have not arrived yet (qc): run "
            "ptypy-beamline qc --live alongside"
        )


def parameters() -> Iterator[Parameter]:
    """Every parameter in order, nested ones with dotted names; ``qc`` as one."""
    return parameters_of(Settings)


@cache
def all_parameters() -> tuple[Parameter, ...]:
    """:func:`parameters` and those of ``qc``."""
    return *parameters(), *parameters_of(Qc, "qc")


@cache
def flag_names() -> dict[str, str]:
    """Flag → name of its parameter."""
    return {parameter.flag: parameter.name for parameter in all_parameters() if parameter.flag}


def other_names(flag: str) -> set[str]:
    """Other ways to write a flag: by its parameter's name, or with dashes in it."""
    name = flag_names().get(flag)
    return {f"--{name}", f"--{name}".replace("_", "-").replace(".", "-")} if name else set()
