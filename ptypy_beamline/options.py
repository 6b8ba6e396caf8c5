"""Groups of loader parameters."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, create_model

from .parameter_values import Image, Index, IntPair, Pair, Unit
from .quantities import QUANTITIES


def field(default: Any, help: str, flag: str = "") -> Any:
    """A parameter with its default, its meaning and its flag."""
    return Field(default=default, description=help, json_schema_extra={"flag": flag})


class Group(BaseModel):
    """Parameters that belong together; frozen, refuses unknown ones."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    @property
    def given(self) -> dict[str, Any]:
        """Those that are set, by name."""
        return {name: value for name, value in self if value is not None}


def _model(fields: dict[str, tuple[Any, Any]]) -> type[Group]:
    """Parameters from rows of the table of quantities: name → type and default."""
    return create_model("Fields", __base__=Group, **cast("dict[str, Any]", fields))


_PATHS = {
    row.name: (Index | None if row.kind == "numbers" else str | None, field(None, row.path_help))
    for row in QUANTITIES.values()
    if row.path_help
}
_UNITS = {
    row.name: (Unit | None, field(None, row.unit_help))
    for row in QUANTITIES.values()
    if row.unit_help
}


class Paths(_model(_PATHS), Group):  # type: ignore[misc]
    """Dataset paths, instead of the format's; ``other.h5::/path`` is in another file.

    An index selects part of an array: ``/positions[:,3]``.
    """


class Units(_model(_UNITS), Group):  # type: ignore[misc]
    """Units, instead of the file's; or a number: metres (energy: eV) per stored unit."""


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
