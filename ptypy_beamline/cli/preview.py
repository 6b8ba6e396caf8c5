"""``ptypy-beamline preview``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..settings import Settings
from .loading import loading, plan_with, refuse_input
from .progress import progress

EXAMPLE = "ptypy-beamline preview scan.h5 --roi 256 --iterations 60 -o preview"


@loading
def command(
    settings: Settings,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="folder for reconstruction.h5 and .png")
    ] = Path("preview"),
    iterations: Annotated[int, typer.Option(min=1, help="passes over all frames")] = 60,
) -> None:
    """Reconstruct quickly, without PtyPy, with the embedded rPIE engine."""
    from ..exports.reconstruction import write_reconstruction
    from ..preview import preview
    from ..preview.picture import draw
    from ..results import from_preview

    result, picture = output / "reconstruction.h5", output / "reconstruction.png"
    refuse_input(result, settings)
    scan, plan = plan_with(settings)
    with progress("reconstructing", iterations) as advance:
        found = preview(plan, iterations, progress=lambda *_: advance(1))
    origin = {"source": scan.source, "settings": settings.record()}
    write_reconstruction(from_preview(found, plan, origin), result)
    draw(picture, found.object, found.probe, found.errors, found.resolution_m,
         title=f"{Path(settings.file_name).name}: {found.algorithm}")  # fmt: skip
    typer.echo(f"error {found.errors[-1]:.4g} after {iterations} iterations; {result}, {picture}")
