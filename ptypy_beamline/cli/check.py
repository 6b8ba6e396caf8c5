"""``ptypy-beamline check``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from ..output.figures import check_picture
from ..parallel import mpi_rank
from ..settings import Settings
from ..summary import describe_plan
from ..units import in_words
from .flags import Json, file_option
from .loading import loading, refuse_input
from .progress import working

if TYPE_CHECKING:
    from ..diagnosis.findings import Diagnosis

EXAMPLE = "ptypy-beamline check scan.h5 --roi 256 --plot check.png"


@loading
def command(
    settings: Settings,
    to_json: Json = False,
    plot: Annotated[
        Path | None,
        file_option("--plot", help="draw frame, centre, mask, positions and findings on one page"),
    ] = None,
) -> None:
    """Check a scan file and its physics for problems.

    Exit 1 if there is an error.
    """
    from ..diagnosis.findings import diagnose

    if mpi_rank() > 0:  # one process is enough
        return
    if plot:
        check_picture(plot)
        refuse_input(plot, settings)
    with working("checking the frames, and reconstructing a few"):
        diagnosis = diagnose(settings)
    found = diagnosis.findings
    summary = describe_plan(diagnosis.sample.plan) if diagnosis.sample else {}
    if to_json:
        typer.echo(json.dumps({"findings": [asdict(f) for f in found], "plan": summary}, indent=1))
    else:
        _print(diagnosis, summary)
    if plot and diagnosis.sample:
        from ..diagnosis.page import draw

        draw(plot, diagnosis)
        typer.echo(f"picture in {plot}", err=to_json)
    if any(finding.level == "error" for finding in found):
        raise typer.Exit(1)


def _print(diagnosis: Diagnosis, summary: dict[str, Any]) -> None:
    from ..diagnosis.findings import UNCHECKED

    found, ranking, sample = diagnosis.findings, diagnosis.ranking, diagnosis.sample
    for finding in found:
        typer.echo(str(finding))
    if summary:
        pixel = dict.fromkeys(in_words(side) for side in summary["resolution_m"])  # y, x
        typer.echo(
            f"{summary['positions']} positions, {summary['shape'][0]}x{summary['shape'][1]} "
            f"pixels, reconstructed pixel {' x '.join(pixel)}"
        )
    if all(finding.level == "note" for finding in found):
        caveats = []
        if ranking and not ranking.decided:
            caveats.append("the orientation is not known")
        if any(UNCHECKED in finding.what for finding in found):
            caveats.append("pairing and orientation were not checked")
        if sample and not sample.illuminated.all():
            dark = f"{np.count_nonzero(~sample.illuminated)} of {len(sample.illuminated)}"
            caveats.append(f"{dark} sampled frames show no beam (see ptypy-beamline qc)")
        typer.echo("no problem found" + (", but " if caveats else "") + " and ".join(caveats))
