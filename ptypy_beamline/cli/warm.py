"""``ptypy-beamline warm``."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from ..errors import FileError
from .progress import progress

EXAMPLE = "ptypy-beamline warm"


def command(
    to_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Compile ahead what loading needs, for the image of a node.

    The compiled functions are kept in the folder that PTYPY_BEAMLINE_CACHE names, else beside the
    package if it can be written, else in the user's cache folder. They serve this kind of processor
    only: run it once on each.
    """
    from .. import warming
    from ..kernel_cache import VARIABLE, processor

    place = warming.target()
    if place is None:
        raise FileError(
            "no folder for compiled functions can be written", f"set {VARIABLE} to one that can"
        )
    before, start = set(place.current.iterdir()), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        jobs = warming.jobs(place, Path(folder))
        with progress("compiling", len(jobs)) as advance:
            for job in jobs:
                job()
                advance(1)
    files = set(place.current.iterdir())
    told = {
        "folder": str(place.current),
        "processor": processor(),
        "functions": len(files),
        "compiled": len(files - before),
        "bytes": sum(file.stat().st_size for file in files),
    }
    if to_json:
        typer.echo(json.dumps(told, indent=1))
        return
    typer.echo(
        f"compiled {told['compiled']} functions for {told['processor']} in "
        f"{time.monotonic() - start:.0f} s; {told['functions']} in {told['folder']}"
    )
