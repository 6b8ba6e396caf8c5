"""``ptypy-beamline ptyd``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..settings import Settings
from .flags import file_option
from .loading import loading, plan_with, refuse_input
from .progress import progress

EXAMPLE = "ptypy-beamline ptyd scan.h5 -o scan.ptyd --roi 256 --save link --block 500"


@loading
def command(
    settings: Settings,
    output: Annotated[Path, file_option("-o", "--output", help="the .ptyd file to write")],
    save: Annotated[
        str,
        typer.Option(metavar="append|link", help="append: one file; link: one file per block"),
    ] = "append",
    block: Annotated[int | None, typer.Option(min=1, help="positions per block")] = None,
) -> None:
    """Write prepared data for PtyPy's PtydScan.

    Works without PtyPy.
    """
    from ..writers.ptyd import write_ptyd

    refuse_input(output, settings)
    _scan, plan = plan_with(settings)
    with progress("writing", len(plan)) as advance:
        write_ptyd(plan, output, save=save, block=block, info=settings.record(), progress=advance)
    typer.echo(f"{output}: {len(plan)} frames of {plan.geometry.shape[0]}x{plan.geometry.shape[1]}")
