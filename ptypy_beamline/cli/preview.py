"""``ptypy-beamline preview``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..settings import Settings
from ..summary import Finding, as_json
from .doubts import Propagation, doubts_of, near_field, said
from .loading import loading, plan_with, refuse_input
from .outputs import folder_option
from .progress import progress

WRONG = 0.9
"""Held-out error from which a reconstruction foretells next to nothing."""

EXAMPLE = "ptypy-beamline preview scan.h5 --roi 256 --iterations 20 -o preview"


@loading
def command(
    settings: Settings,
    output: Annotated[
        Path, folder_option("-o", "--output", help="folder for reconstruction.h5 and .png")
    ] = Path("preview"),
    iterations: Annotated[int, typer.Option(min=1, help="passes over all frames")] = 20,
    propagation: Propagation = "auto",
    to_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Reconstruct a raw scan quickly, without PtyPy.

    The embedded engine is rPIE (regularised ptychographic iterative engine).
    """
    previewed(settings, output, iterations, propagation, to_json)


def previewed(
    settings: Settings, output: Path, iterations: int, propagation: str, to_json: bool
) -> None:
    """Reconstruct, write the folder, and say what came of it."""
    from ..diagnosis.scan_sample import Look
    from ..output import together
    from ..reconstruction import from_preview
    from ..reconstruction.io.hdf5 import write_reconstruction
    from ..reconstruction.preview import preview
    from ..reconstruction.preview.picture import draw

    result, picture = output / "reconstruction.h5", output / "reconstruction.png"
    for file in (result, picture):
        refuse_input(file, settings)
    scan, plan = plan_with(settings)
    look = Look.at(scan, settings, plan)
    near = near_field(look, propagation)
    doubts = doubts_of(look, near)
    with progress("reconstructing", iterations) as advance:
        found = preview(plan, iterations, progress=lambda *_: advance(1), near_field=near)
    origin = {"source": scan.source, "settings": settings.record()}
    made = from_preview(found, plan, origin)
    unseen = "" if made.held_out_error is None else f", validation error {made.held_out_error:.3g}"
    title = f"{Path(settings.file_name).name}: {found.algorithm}{unseen}"
    with together():
        write_reconstruction(made, result)
        draw(picture, found.object, found.probe, found.errors, found.resolution_m, title=title)
    doubts += said(_verdict(made.held_out_error))
    if to_json:
        told = {
            "error": float(found.errors[-1]),
            "held_out_error": made.held_out_error,
            "iterations": iterations,
            "near_field": near,
            "findings": [as_json(finding) for finding in doubts],
            "reconstruction": str(result),
            "picture": str(picture),
        }
        typer.echo(json.dumps(told, indent=1))
    else:
        typer.echo(
            f"error {found.errors[-1]:.4g}{unseen} after {iterations} iterations; "
            f"{result}, {picture}"
        )


def _verdict(held_out_error: float | None) -> list[Finding]:
    """Whether the reconstruction foretells frames that it has not seen."""
    if held_out_error is None:
        return [Finding("note", "too few positions or iterations for a validation error")]
    if held_out_error < WRONG:
        return []
    return [
        Finding(
            "warning",
            "frames left out of the fit are predicted no better than by the mean "
            f"frame (validation error {held_out_error:.3g})",
            "run ptypy-beamline check for positions, orientation and geometry",
            "the reconstruction is wrong, or the sample is weak, or there are too few photons or "
            "iterations",
        )
    ]
