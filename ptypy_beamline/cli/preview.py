"""``ptypy-beamline preview``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..settings import Settings
from ..summary import Finding
from .flags import Json, folder_option
from .loading import loading, plan_with, refuse_input
from .prechecks import Propagation, check_data, is_near_field, show
from .progress import progress

if TYPE_CHECKING:
    from ..reconstruction import Reconstruction

USELESS = 0.9
"""Validation error from which a reconstruction predicts hardly anything."""

EXAMPLE = "ptypy-beamline preview scan.h5 --roi 256 --iterations 20 -o preview"


@loading
def command(
    settings: Settings,
    output: Annotated[
        Path,
        folder_option("-o", "--output", help="folder for reconstruction.h5 and reconstruction.png"),
    ] = Path("preview"),
    iterations: Annotated[int, typer.Option(min=1, help="passes over all frames")] = 20,
    propagation: Propagation = "auto",
    to_json: Json = False,
) -> None:
    """Reconstruct a raw scan quickly, without PtyPy.

    The embedded engine is rPIE (regularised ptychographic iterative engine).
    """
    run_preview(settings, output, iterations, propagation, to_json)


def run_preview(
    settings: Settings, output: Path, iterations: int, propagation: str, to_json: bool
) -> None:
    """Reconstruct, write the folder, and print the result."""
    from ..output.files import renamed_together
    from ..reconstruction.io.hdf5 import write_reconstruction
    from ..reconstruction.pictures import draw_beside_truth
    from ..reconstruction.preview.rpie import ALGORITHM

    result, picture = output / "reconstruction.h5", output / "reconstruction.png"
    for file in (result, picture):
        refuse_input(file, settings)
    found, near, findings = _reconstruct(settings, iterations, propagation)
    error = found.held_out_error
    validation = "" if error is None else f", validation error {error:.3g}"
    title = f"{Path(settings.file_name).name}: {ALGORITHM}{validation}"
    with renamed_together():
        write_reconstruction(found, result)
        draw_beside_truth(
            picture, found.object[0], found.probe, found.errors, found.pixel_m, title=title
        )
    findings += show(_verdict(error))
    if not to_json:
        typer.echo(
            f"error {found.errors[-1]:.4g}{validation} after {iterations} iterations; "
            f"{result}, {picture}"
        )
        return
    summary = {
        "error": float(found.errors[-1]),
        "held_out_error": error,
        "iterations": iterations,
        "near_field": near,
        "findings": [asdict(finding) for finding in findings],
        "reconstruction": str(result),
        "picture": str(picture),
    }
    typer.echo(json.dumps(summary, indent=1))


def _reconstruct(
    settings: Settings, iterations: int, propagation: str
) -> tuple[Reconstruction, bool, list[Finding]]:
    """The reconstruction, whether it is near field, and what the checks found."""
    from ..diagnosis.scan_sample import ScanSample
    from ..reconstruction.preview import preview

    scan, plan = plan_with(settings)
    sample = ScanSample.at(scan, settings, plan)
    near = is_near_field(sample, propagation)
    findings = check_data(sample, near)
    origin = {"source": scan.source, "settings": settings.record()}
    with progress("reconstructing", iterations) as advance:
        found = preview(plan, iterations, 0, lambda *_: advance(1), near, origin)
    return found, near, findings


def _verdict(held_out_error: float | None) -> list[Finding]:
    """Whether the reconstruction predicts frames that were left out of the fit."""
    if held_out_error is None:
        return [Finding("note", "too few positions or iterations for a validation error")]
    if held_out_error < USELESS:
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
