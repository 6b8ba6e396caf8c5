"""``ptypy-beamline formats``."""

from __future__ import annotations

import json

import typer

from .flags import Json

EXAMPLE = "ptypy-beamline formats"


def command(
    as_json: Json = False,
) -> None:
    """List the known file formats."""
    from .. import formats

    known = {known.name: known.title for known in formats.known()}
    if as_json:
        typer.echo(json.dumps(known, indent=1))
        return
    for name, title in known.items():
        typer.echo(f"{name:14s}{title}")
