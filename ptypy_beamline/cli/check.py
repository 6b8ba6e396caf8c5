"""``ptypy-beamline check``."""

from __future__ import annotations

import json
import warnings
from typing import Annotated, Any

import typer

from ..errors import BeamlineError, BeamlineWarning
from ..settings import Settings
from ..summary import Finding, as_json, describe_plan, empty_beam, physics
from .loading import loading, plan_with

EXAMPLE = "ptypy-beamline check scan.h5 --roi 256"


@loading
def command(
    settings: Settings,
    to_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Look for problems in a scan's file and physics; exit 1 if there is an error."""
    found, summary = findings(settings)
    if to_json:
        typer.echo(json.dumps({"findings": [as_json(f) for f in found], "plan": summary}, indent=1))
    else:
        for finding in found:
            typer.echo(str(finding))
        if summary:
            typer.echo(f"{summary['positions']} positions, {summary['shape'][0]}x"
                       f"{summary['shape'][1]} pixels, reconstructed pixel "
                       f"{summary['resolution_m'][0] * 1e9:.4g} nm")  # fmt: skip
        if not found:
            typer.echo("no problem found")
    if any(finding.level == "error" for finding in found):
        raise typer.Exit(1)


def findings(settings: Settings) -> tuple[list[Finding], dict[str, Any]]:
    """Everything found, and what loading would hand over (empty where it cannot)."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", BeamlineWarning)
        try:
            scan, plan = plan_with(settings)
            found = [Finding("note", note) for note in scan.notes] + physics(plan)
            found += empty_beam(scan, plan)
            summary = describe_plan(plan)
        except BeamlineError as error:
            found, summary = [Finding("error", str(error))], {}
    assumed = [Finding("warning", str(w.message)) for w in caught
               if issubclass(w.category, BeamlineWarning)]  # fmt: skip
    return assumed + found, summary
