"""``ptypy-beamline compare``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ..units import in_words
from .flags import Json, file_option

EXAMPLE = "ptypy-beamline compare preview/reconstruction.h5 phantom_directory --plot compare.png"


def command(
    recon: Annotated[
        Path,
        typer.Argument(
            metavar="RECON", help="reconstruction.h5, a .ptyr, or Adorym's obj_checkpoint.npy"
        ),
    ],
    phantom: Annotated[
        Path,
        typer.Argument(metavar="PHANTOM", help="phantom directory, with phantom/grid_delta.npy"),
    ],
    energy_kev: Annotated[
        float | None, typer.Option(help="photon energy in keV; default: from info.txt")
    ] = None,
    pixel_m: Annotated[
        float | None,
        typer.Option(
            "--sim-pixel-m", help="voxel width of the phantom in m; default: from info.txt"
        ),
    ] = None,
    slice_m: Annotated[
        float | None,
        typer.Option("--sim-slice-m", help="slice thickness in m; default: the voxel width"),
    ] = None,
    margin: Annotated[
        int | None,
        typer.Option(
            min=0, help="pixels to leave out at each edge; default: an eighth of the shorter side"
        ),
    ] = None,
    plot: Annotated[
        Path | None, file_option("--plot", help="draw object, truth and errors")
    ] = None,
    to_json: Json = False,
) -> None:
    """Compare a reconstruction with a phantom.

    Gives errors of δ and β, correlation, and resolution.
    """
    from ..formats.phantom_info import Info
    from ..output.figures import check_picture
    from ..reconstruction.comparison.phantom import compare, read_object

    if plot:
        check_picture(plot)
    given = {"energy": energy_kev, "pixel_m": pixel_m, "slice_m": slice_m}
    known = {name: value for name, value in given.items() if value is not None}
    truth = Info.of(phantom, known).phantom()
    obj, pixel = read_object(recon, truth)
    comparison = compare(obj, truth, pixel, margin)
    record = comparison.record()
    if to_json:
        typer.echo(json.dumps(record, indent=1))
    else:
        _print(record)
    if plot:
        from ..reconstruction.pictures import draw_comparison

        draw_comparison(plot, comparison, f"{recon.name} and {phantom.name}")
        if not to_json:
            typer.echo(f"picture in {plot}")


SAME_SAMPLE = 0.3
"""Correlation below which two objects cannot be the same sample."""


def _print(record: dict[str, Any]) -> None:
    size = "x".join(str(n) for n in record["compared_px"])
    typer.echo(f"correlation  {record['correlation']:.4f} over {size} pixels")
    if record["correlation"] < SAME_SAMPLE:
        typer.echo(
            "the two do not match: different samples, or one is mirrored or conjugated; errors and "
            "resolution would be meaningless"
        )
        return
    for name in ("delta", "beta"):
        error, contrast = record[f"{name}_rms_error"], record[f"{name}_rms_contrast"]
        share = f", {error / contrast:.1%} of its contrast" if contrast else ""
        typer.echo(f"{name:11s}  rms error {error:.3g}{share}")
    bound = "at most " if record["resolution_reaches_pixel"] else ""
    full, half = (in_words(record[f"resolution_{n}_period_m"], 3) for n in ("full", "half"))
    typer.echo(
        f"resolution   {bound}{full} full period, {half} half period "
        "(Fourier ring correlation, half bit)"
    )
