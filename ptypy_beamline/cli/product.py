"""``ptypy-beamline product``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import SettingsError
from .flags import file_option
from .progress import progress

EXAMPLE = (
    "ptypy-beamline product scan.npz -o product.h5 --probe-energy-eV 8800 "
    "--detector-distance-m 2 --object-pixel-size-m 1e-8"
)


def command(  # noqa: PLR0913
    npz: Annotated[
        Path | None, typer.Argument(metavar="FILE.npz", help="PtychoPINN NPZ file with objectGuess")
    ] = None,
    input_npz: Annotated[Path | None, typer.Option(help="the NPZ file, as a flag")] = None,
    output: Annotated[
        Path | None, file_option("-o", "--output-product", "--output", help="file to write")
    ] = None,
    name: Annotated[
        str, typer.Option(metavar="NAME", help="name of the product; default: name of the file")
    ] = "",
    comments: Annotated[str, typer.Option(help="comments in the product")] = "",
    distance_m: Annotated[
        float | None,
        typer.Option(
            "--detector-distance-m", help="sample-detector distance; default: from the file, or 0"
        ),
    ] = None,
    energy_eV: Annotated[
        float | None,
        typer.Option("--probe-energy-eV", help="photon energy; default: from the file, or 0"),
    ] = None,
    exposure_time_s: Annotated[
        float, typer.Option(help="exposure time of a frame; 0 = unknown")
    ] = 0.0,
    pixel_m: Annotated[
        float | None,
        typer.Option(
            "--object-pixel-size-m",
            help="pixel size of the object and of the coordinates; default: from the file, or 5e-8",
        ),
    ] = None,
    probe_pixel_m: Annotated[
        float | None,
        typer.Option(
            "--probe-pixel-size-m",
            help="pixel size of the probe; default: that of the object, or 1.25e-7 if unknown",
        ),
    ] = None,
    center_x_m: Annotated[
        float | None,
        typer.Option(
            "--object-center-x-m",
            help="centre of the object in the coordinate system of the positions; default: "
            "coordinates are pixels of objectGuess, or 0 if they would lie outside",
        ),
    ] = None,
    center_y_m: Annotated[
        float | None, typer.Option("--object-center-y-m", help="the same along y")
    ] = None,
    include_diffraction: Annotated[
        bool, typer.Option(help="also write the diffraction data, to /raw_data")
    ] = True,
) -> None:
    """Convert a PtychoPINN NPZ file to a Ptychodus product."""
    from ..output.names import refuse_inputs
    from ..reconstruction.io.amplitudes import of_npz
    from ..reconstruction.io.npz import PROBE_PIXEL_M, Physics, read_npz, unknown
    from ..reconstruction.io.product import ProductInfo, export_product

    source = npz or input_npz
    if source is None or (npz and input_npz):
        raise SettingsError("Expected one NPZ file", "give FILE.npz, or --input-npz FILE.npz")
    if output is None:
        raise SettingsError("no output", "set -o OUT.h5 (--output-product)")
    physics = Physics(energy_eV, distance_m, pixel_m, (center_y_m, center_x_m))
    found = read_npz(source, physics)
    if probe_pixel_m is None and "pixel_m" in unknown(source, physics):
        probe_pixel_m = PROBE_PIXEL_M
    refuse_inputs(output, [source])
    info = ProductInfo(name or source.stem, comments, exposure_time_s, probe_pixel_m=probe_pixel_m)
    frames = of_npz(source, len(found.positions_m)) if include_diffraction else None
    with progress("writing", len(found.positions_m)) as advance:
        export_product(found, output, info=info, frames=frames, progress=advance)
    typer.echo(
        f"{output}: {len(found.positions_m)} positions, {'with' if frames else 'without'} frames"
    )
