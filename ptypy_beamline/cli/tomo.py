"""``ptypy-beamline tomo``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from ..errors import SettingsError
from ..settings import Settings
from .flags import folder_option
from .loading import loading
from .progress import progress

EXAMPLE = "mpirun -n 4 ptypy-beamline tomo series.h5 -o tomo --roi 256"
PANEL = "Tomography"


_option = partial(typer.Option, rich_help_panel=PANEL)


@partial(loading, file="a series, a scan at one angle (HDF5, NPZ, .ptyr), or a folder of these")
def command(  # noqa: PLR0913
    settings: Settings,
    more: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILES", help="more files, if each has one angle"),
    ] = None,
    output: Annotated[
        Path, folder_option("-o", "--output", help="folder for the results", rich_help_panel=PANEL)
    ] = Path("tomo"),
    theta: Annotated[
        str | None,
        _option(
            "--theta",
            metavar="FILE|N,N",
            help="angles: a CSV table name,theta_deg, or degrees separated by commas; "
            "default: theta.csv beside the files, else from the files",
        ),
    ] = None,
    skip: Annotated[
        str | None, _option("--skip", help="angles to leave out, counted from 0", metavar="N,N-N")
    ] = None,
    axis: Annotated[
        Literal["y", "x"],
        _option("--axis", help="image axis that is parallel to the rotation axis"),
    ] = "y",
    engine: Annotated[
        Literal["auto", "ptypy", "preview"],
        _option("--engine", help="auto: PtyPy if it is installed"),
    ] = "auto",
    dm: Annotated[int, _option("--dm", help="iterations of PtyPy's DM", min=1)] = 60,
    ml: Annotated[int, _option("--ml", help="iterations of PtyPy's ML, after DM", min=1)] = 40,
    iterations: Annotated[
        int, _option("--iterations", help="iterations of the preview engine", min=1)
    ] = 60,
    air: Annotated[
        int | None,
        _option(
            "--air",
            help="pixels without sample on either side; default: found from the data",
            min=1,
        ),
    ] = None,
    sign: Annotated[
        Literal["negative", "positive", "conjugate"],
        _option(
            "--sign",
            help="sign of the sample's phase: negative (PtyPy), positive (the other "
            "convention), or the conjugate solution, rotated by 180 degrees",
        ),
    ] = "negative",
    rounds: Annotated[
        int,
        _option("--rounds", help="maximum number of rounds of alignment by reprojection", min=0),
    ] = 30,
    method: Annotated[
        Literal["fbp", "sart"],
        _option(
            "--method",
            help="filtered back-projection, or SART: slower and never negative, but "
            "better with few angles or a missing wedge",
        ),
    ] = "fbp",
    passes: Annotated[int, _option("--passes", help="passes of SART over all angles", min=1)] = 4,
    filter_name: Annotated[
        Literal["ramp", "shepp-logan", "cosine", "hamming", "hann"],
        _option("--filter", help="filter of the back-projection, from sharp to smooth"),
    ] = "ramp",
    voxel_m: Annotated[
        float | None,
        _option("--voxel-m", help="pixel size of phase.tif files that do not state it"),
    ] = None,
    only: Annotated[
        Literal["reconstruct", "align", "volume"] | None,
        _option("--only", help="run only one of the three stages, on the files in the folder"),
    ] = None,
) -> None:
    """Reconstruct a volume from scans at many angles.

    The phase at each angle is reconstructed, unwrapped and aligned, and gives the volume of the
    electron density. FILE is an exchange file with a scan at each angle, files or a folder of files
    with one angle each (raw, .ptyr or reconstruction.h5), or a folder with
    ptycho_tomo/angle_NNN/phase.tif.
    """
    from ..tomography import Alignment, Engine, Fbp, Sart, run_series

    aligning = Alignment(
        axis, air, sign, rounds, voxel_m, settings.energy and settings.energy * 1e3
    )
    run_series(
        [settings.file_name, *(more or [])],
        output,
        settings.model_copy(update={"file": None}),
        engine=Engine(engine, dm, ml, iterations),
        alignment=aligning,
        method=Sart(passes) if method == "sart" else Fbp(filter_name),
        theta=theta,
        skip=_numbers(skip),
        only=only,
        progress=progress,
        say=lambda what, text: typer.echo(f"{what:12s} {text}"),
    )


def _numbers(words: str | None) -> list[int]:
    """``"3,7-9"`` → ``[3, 7, 8, 9]``."""
    found: list[int] = []
    for word in (words or "").split(",") if words else []:
        first, _, last = word.partition("-")
        last = last or first
        numbers = first.isdigit() and last.isdigit()
        run = range(int(first), int(last) + 1) if numbers else range(0)
        if not run:
            raise SettingsError(f"Expected angle numbers. Got {words!r}", "write --skip 3,7-9")
        found += run
    return found
