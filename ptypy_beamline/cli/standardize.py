"""``ptypy-beamline standardize``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from ..scan import Scan
from ..settings import Settings
from .flags import file_option
from .loading import loading, plan_with, refuse_input
from .progress import progress

EXAMPLE = "ptypy-beamline standardize raw.h5 -o scan.h5 --roi 256 --dark dark.npy"


@loading
def command(
    settings: Settings,
    output: Annotated[Path, file_option("-o", "--output", help="the HDF5 file to write")],
    compression: Annotated[
        str,
        typer.Option(
            metavar="gzip|bitshuffle|none",
            help="gzip can be read by PtyPy's Hdf5Loader and any h5py; bitshuffle needs a plugin",
        ),
    ] = "gzip",
) -> None:
    """Write the corrected scan as a standardized HDF5 file."""
    from ..extras import versions
    from ..writers.standard import write_standard

    refuse_input(output, settings)
    scan, plan = plan_with(settings)
    origin = {
        "source": scan.source,
        "format": scan.format,
        "settings": settings.record(),
        "versions": versions(),
    }
    with progress("writing", len(plan)) as advance:
        write_standard(
            plan,
            output,
            exposure_s=_exposure(scan, settings),
            provenance=origin,
            compression=compression,
            progress=advance,
        )
    typer.echo(f"{output}: {len(plan)} frames of {plan.geometry.shape[0]}x{plan.geometry.shape[1]}")


def _exposure(scan: Scan, settings: Settings) -> float | None:
    """The exposure time of a position, if it is the same for all frames."""
    if scan.exposure_s is None or settings.grouping in ("best", "hdr"):
        return None
    times = np.unique(scan.exposure_s)
    exposures = (settings.frames_per_position or 1) if settings.grouping == "sum" else 1
    return float(times[0]) * exposures if len(times) == 1 else None
