"""``ptypy-beamline plot``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..output.figures import check_picture
from ..reconstruction.postprocess import Postprocess
from .flags import (
    DistanceM,
    RawFile,
    ReconstructionFile,
    ScanName,
    file_option,
    postprocessing,
)

EXAMPLE = "ptypy-beamline plot results/recons/scan/scan_ML_0060.ptyr -o figure.pdf --flatten auto"


@postprocessing(crop=True, flatten="whole")
def command(  # noqa: PLR0913
    recon: ReconstructionFile,
    asked: Postprocess,
    output: Annotated[
        Path | None,
        file_option("-o", "--output", help=".png, .pdf or .svg; default: RECON_plot.png"),
    ] = None,
    scan: ScanName = "",
    raw: RawFile = None,
    distance_m: DistanceM = None,
    positions: Annotated[bool, typer.Option("--positions", help="mark the scan positions")] = False,
    dpi: Annotated[
        int, typer.Option(min=30, help="dots per inch; in PDF and SVG, of the images")
    ] = 200,
    cmap: Annotated[
        str, typer.Option(metavar="NAME", help="Matplotlib colour map for the phase")
    ] = "magma",
) -> None:
    """Plot a reconstruction: phase, amplitude, probe, errors."""
    from ..reconstruction import read
    from ..reconstruction.plot import PlotStyle, draw
    from ..reconstruction.postprocess import finish

    path = output or recon.with_name(f"{recon.stem}_plot.png")
    check_picture(path)
    style = PlotStyle(positions, dpi, cmap)
    finished = finish(read(recon, scan=scan, raw=raw, distance_m=distance_m), asked)
    draw(path, finished, style)
    if asked.flatten == "auto":
        typer.echo(f"vacuum region {finished.zero}")
    typer.echo(f"picture in {path}")
