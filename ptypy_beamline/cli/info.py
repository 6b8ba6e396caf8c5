"""``ptypy-beamline info``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import BeamlineError
from ..output import check_picture
from ..settings import Settings
from ..summary import describe_plan, describe_scan, physics, stations, unwarned_notes
from .loading import loading, open_with, plan_with
from .outputs import file_option

EXAMPLE = "ptypy-beamline info scan.h5 --plan --roi 256"


@loading
def command(
    settings: Settings,
    show_plan: Annotated[
        bool, typer.Option("--plan", help="what loading would do, station by station")
    ] = False,
    to_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    plot: Annotated[
        Path | None, file_option("--plot", help="draw the mean frame, window and positions")
    ] = None,
) -> None:
    """Show what a scan file contains, and how it would be loaded.

    Shapes, units, geometry, positions and problems; exit 1 if there is an error.
    """
    from ..plans import plan_scan

    if plot:
        check_picture(plot)
    followed = plan_with(settings) if settings.live.timeout_s else None
    scan = followed[0] if followed else open_with(settings)
    try:
        plan, problem = followed[1] if followed else plan_scan(scan, settings), None
    except BeamlineError as error:
        if show_plan or plot:
            raise
        plan, problem = None, error
    found = physics(plan) if plan else []
    if to_json:
        loaded = describe_plan(plan) if plan else {"problem": str(problem)}
        typer.echo(json.dumps({"scan": describe_scan(scan), "plan": loaded}, indent=1))
    else:
        _print({**describe_scan(scan), "notes": unwarned_notes(scan)}.items())
        if plan:
            typer.echo("loaded as")
            _print((f"  {name}", value) for name, value in describe_plan(plan).items())
            for finding in found:
                typer.echo(str(finding))
        else:
            typer.echo(f"cannot be loaded yet: {problem}")
        if plan and show_plan:
            typer.echo("plan")
            _print((f"  {station}", what) for station, what in stations(plan))
    if plot and plan:
        from .picture import draw_plan

        draw_plan(plot, scan, plan)
        typer.echo(f"picture in {plot}")
    if problem or any(finding.level == "error" for finding in found):
        raise typer.Exit(1)


def _print(rows: Iterable[tuple[str, Any]]) -> None:
    for name, value in rows:
        if value is None or value == []:
            continue
        typer.echo(f"{name:20s}{_text(value)}")


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(_text(v) for v in value)
    return str(value)
