"""Groups of loader parameters, and how their values are typed."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from .arrays import Ints

_NUMERIC = set("0123456789+-.eE, ")


def numbers(value: Any) -> Any:
    """As :func:`typed`; True is no number, though Python takes it for 1.

    Raises
    ------
    ValueError
        It is True or False, or a list with one of them.
    """
    for part in value if isinstance(value, list | tuple) else (value,):
        if isinstance(part, bool):
            raise ValueError(f"expected a number, not {part}")
    return typed(value)


def typed(value: Any) -> Any:
    """``"256,256"`` as typed on a command line → a list of numbers; anything else unchanged."""
    if not isinstance(value, str) or not value.strip() or set(value) - _NUMERIC:
        return value
    parts = [float(part) if set(part) & set(".eE") else int(part) for part in value.split(",")]
    return parts if len(parts) > 1 else parts[0]


def background_value(value: Any) -> Any:
    """A finite number, an image, or where one is.

    Raises
    ------
    ValueError
        It is True or False, NaN or infinite.
    """
    value = numbers(value)
    try:
        finite = not isinstance(value, str | float) or math.isfinite(float(value))
    except ValueError:  # a file
        return value
    if not finite:
        raise ValueError("expected a finite number, or an image")
    return value


def pair(value: Any) -> Any:
    """A number counts for both axes."""
    value = numbers(value)
    return (value, value) if isinstance(value, int | float) else value


def listed(value: Any) -> Any:
    """``"3"``, ``"3,4"`` and ``"3,6-11"`` are lists, another text is a file.

    Raises
    ------
    ValueError
        It is neither a list nor a file, or a range runs backwards.
    """
    known = isinstance(value, str | int | float | list | tuple | np.ndarray)
    if not known or isinstance(value, bool) or (isinstance(value, str) and not value.strip()):
        raise ValueError("expected a list of raw frames, or a file")
    if isinstance(value, str) and re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", value):
        runs = [[int(end) for end in run.split("-")] for run in value.split(",")]
        backwards = next((run for run in runs if run[0] > run[-1]), None)
        if backwards:
            low, high = sorted(backwards)
            raise ValueError(f"expected a range as {low}-{high}, not {high}-{low}")
        return [number for run in runs for number in range(run[0], run[-1] + 1)]
    value = typed(value)
    return [value] if isinstance(value, int | float) else value


NAMED = 12
"""Runs of frames that a message names."""


def as_listed(frames: Ints) -> str:
    """Raw frames as :func:`listed` takes them, the first ones of very many and ``…``; not −1."""
    known = np.unique(frames[frames >= 0])
    runs = np.split(known, np.flatnonzero(np.diff(known) > 1) + 1)
    named = [f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs[:NAMED]]
    return ",".join(named + ["…"] * (len(runs) > NAMED))


def switched(value: Any) -> Any:
    """``True`` is a group of defaults; ``False`` is none, and so is an empty group.

    PtyPy gives every loader an empty group where the user says nothing.
    """
    return {} if value is True else value or None


def monitor_value(value: Any) -> Any:
    """``"file"`` is the file's own."""
    return True if isinstance(value, str) and value == "file" else value


Pair = Annotated[tuple[float, float], BeforeValidator(pair)]
IntPair = Annotated[tuple[int, int], BeforeValidator(pair)]
Center = Annotated[
    tuple[int | float, int | float] | Literal["fftshift", "geometric"], BeforeValidator(numbers)
]
Orientation = Annotated[
    Annotated[int, Field(ge=0, le=7)] | tuple[bool, bool, bool] | Literal["auto"],
    BeforeValidator(typed),
]


def turn_of(code: int) -> tuple[bool, bool, bool]:
    """(transpose, flipud, fliplr) of PtyPy's orientation 0-7."""
    return code >= 4, bool(code & 2), bool(code & 1)


def code_of(turn: tuple[bool, bool, bool]) -> int:
    """PtyPy's orientation of (transpose, flipud, fliplr)."""
    return 4 * turn[0] + 2 * turn[1] + turn[2]


Pad = Annotated[
    Annotated[int, Field(ge=0)] | tuple[int, int, int, int] | Literal["square"],
    BeforeValidator(numbers),
]
Limit = Annotated[Annotated[float, Field(gt=0)] | Literal["file"], BeforeValidator(numbers)]
Image = Annotated[Any, Field()]
Index = Annotated[
    str, BeforeValidator(lambda value: str(value) if isinstance(value, int) else value)
]
"""Dataset of acquisition numbers, or the first one."""


def field(default: Any, help: str, flag: str = "") -> Any:
    """A parameter with its default, its meaning and its flag."""
    return Field(default=default, description=help, json_schema_extra={"flag": flag})


class Group(BaseModel):
    """Parameters that belong together; frozen, and no others are taken."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


def unit_text(value: Any) -> Any:
    """A number, or two of them, as the text that it is on the command line."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value)
    if isinstance(value, list | tuple) and len(value) == 2:
        return ",".join(str(unit_text(part)) for part in value)
    return value


Unit = Annotated[str, BeforeValidator(unit_text)]


class Paths(Group):
    """Dataset paths, instead of the format's; ``other.h5::/path`` is in another file.

    Part of an array is selected by an index: ``/positions[:,3]``.
    """

    frames: str | None = field(None, "dataset of the frames")
    x: str | None = field(None, "dataset of the x positions")
    y: str | None = field(None, "dataset of the y positions")
    positions: str | None = field(None, "dataset of all positions, columns x, y")
    energy: str | None = field(None, "dataset of the photon energy")
    distance: str | None = field(None, "dataset of the sample-detector distance")
    pixel: str | None = field(None, "dataset of the detector pixel size")
    focus: str | None = field(None, "dataset of the focus-sample distance of a cone beam")
    exposure: str | None = field(None, "dataset of the exposure time")
    mask: str | None = field(None, "dataset of the detector mask")
    dark: str | None = field(None, "dataset of the dark image or stack")
    flat: str | None = field(None, "dataset of the flat image or stack")
    monitor: str | None = field(
        None, "dataset of the incident intensity I0; if given, the monitor is applied"
    )
    center: str | None = field(None, "dataset of the beam centre (row, column)")
    frame_index: Index | None = field(
        None,
        "dataset of the acquisition numbers of the frames, by which they are matched with "
        "positions; 0: number the frames in order",
    )
    position_index: Index | None = field(
        None,
        "dataset of the acquisition numbers of the positions; or the number of the first, from "
        "which the others are counted",
    )


class Units(Group):
    """Units, instead of the file's; or a number: metres (energy: eV) per stored unit."""

    positions: Unit | None = field(
        None,
        "unit of the stored positions: m, mm, um, nm, px, or a number (-1e-6: in µm with "
        "reversed sign); two, for y and x, if they differ",
    )
    energy: Unit | None = field(None, "unit of the stored energy: eV, keV, J, or a number")
    distance: Unit | None = field(None, "unit of the stored distance: m, mm, or a number")
    pixel: Unit | None = field(None, "unit of the stored pixel size: m, mm, um, or a number")
    focus: Unit | None = field(
        None, "unit of the stored focus-sample distance: m, mm, um, or a number"
    )


class Select(Group):
    """A region of the scan in stage coordinates, metres, (y, x)."""

    shape: Literal["none", "circle", "rect"] = field(
        "none", "load only the positions in a circle or rectangle", "--select-shape"
    )
    center: Pair | None = field(
        None,
        "centre (y, x) of the region in metres; default: centre of the scan",
        "--select-center-pos",
    )
    radius: float | None = field(None, "radius of the circle in metres", "--select-radius")
    size: Pair | None = field(None, "size (y, x) of the rectangle in metres", "--select-size")


class Positions(Group):
    """How stage positions belong to the frames."""

    axes: Literal["yx", "-yx", "y-x", "-y-x", "xy", "-xy", "x-y", "-x-y"] = field(
        "yx", "stage axes, with sign, that are the image's (row, column)", "--axes"
    )
    shift: int = field(
        0, "frames lag positions by k: frame n was taken at position n-k", "--position-shift"
    )
    snake: bool = field(False, "reverse the positions of every other row", "--snake")
    backlash: float = field(
        0.0,
        "backlash in m: rows in which the fast axis runs backwards lag by this much, and are "
        "moved forwards by it",
        "--backlash-m",
    )


class Live(Group):
    """Following a file that is still being written."""

    timeout_s: Annotated[float, Field(gt=0)] | None = field(
        None,
        "follow a file that is still being written, until no new frame has come for this many "
        "seconds",
        "--live",
    )
    poll_s: Annotated[float, Field(gt=0)] = field(
        1.0, "seconds between two checks of a file that is being followed"
    )


class Qc(Group):
    """Quality control: which frames are bad, found from the frames themselves."""

    embed_side: Annotated[int, Field(ge=4, le=64)] = field(
        32, "frames are binned to this many pixels a side for the embedding", "--embed-side"
    )
    pca_k: Annotated[int, Field(ge=1)] = field(12, "dimensions of the embedding", "--pca-k")
    embedding: Literal["pca", "autoencoder"] = field(
        "pca", "principal components, or a trained autoencoder", "--embedding"
    )
    w_feat: Annotated[float, Field(ge=0, le=1)] = field(
        0.5, "weight of the features in the score; the rest is that of the embedding", "--w-feat"
    )
    reject_topk: Annotated[int, Field(ge=0)] | None = field(
        None, "reject the K frames with the highest scores", "--reject-topk"
    )
    reject_topp: Annotated[float, Field(ge=0, le=1)] | None = field(
        None,
        "reject this fraction of the frames (0.02 = 2 %), those with the highest scores",
        "--reject-topp",
    )
    reject_thresh: Annotated[float, Field(ge=0, le=1)] | None = field(
        None, "reject frames whose score is at or above this", "--reject-thresh"
    )
    rect: tuple[float, float, float, float] | None = field(
        None,
        "keep only a rectangle, x,y: CX CY W H (centre, width and height), in the unit of the "
        "stage positions",
        "--rect",
    )
    circ: tuple[float, float, float] | None = field(
        None,
        "keep only a circle, x,y: CX CY R (centre and radius), in the unit of the stage positions",
        "--circ",
    )
    labels: Annotated[int, Field(ge=0)] = field(
        0, "number of classes to sort the frames into; 0 = none", "--labels"
    )


class Simulate(Group):
    """Illumination of a phantom; default: as in its info.txt."""

    probe: Image = field(
        None,
        "probe at the sample: array, .npy or file.h5::/path; default: a zone plate's beam",
        "--sim-probe",
    )
    shape: IntPair | None = field(
        None, "size (ny, nx) of the frames and of the simulated probe, in pixels", "--sim-shape"
    )
    photons: Annotated[float, Field(gt=0)] | None = field(
        None, "photons per frame without a sample", "--sim-photons"
    )
    seed: Annotated[int, Field(ge=0)] | None = field(
        None, "seed of the photon noise; default: 0", "--sim-seed"
    )
    scan: IntPair | None = field(
        None, "rows and columns of a raster around the centre of the phantom", "--sim-scan"
    )
    step_px: Pair | None = field(None, "step (y, x) of the raster in pixels", "--sim-step-px")
    positions: Image = field(
        None,
        "positions instead of a raster: (n, 2) row, column of the first pixel of the probe on "
        "the phantom, an array, .npy or file.h5::/path",
        "--sim-positions",
    )
    pixel_m: Annotated[float, Field(gt=0)] | None = field(
        None, "voxel width of the phantom in m", "--sim-pixel-m"
    )
    slice_m: Annotated[float, Field(gt=0)] | None = field(
        None,
        "slice thickness of the phantom in m; default: the voxel width",
        "--sim-slice-m",
    )
