"""``ptypy-beamline warm``."""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path

import typer

from ..errors import FileError
from .flags import Json
from .progress import progress

EXAMPLE = "ptypy-beamline warm"


def command(
    to_json: Json = False,
) -> None:
    """Compile the functions that loading needs, for a node's image.

    The compiled functions are kept in the folder that PTYPY_BEAMLINE_CACHE
    names, else in ptypy_beamline in NUMBA_CACHE_DIR if that is set, else beside
    the package if it is writable, else in the user's cache folder. They work on
    this kind of processor only: run the command once on each kind.
    """
    from .. import warming
    from ..compiled import KernelCache, processor
    from ..compiled_files import VARIABLE

    target, named = warming.target(), os.environ.get(VARIABLE)
    if target is None or (named and target.path != Path(named)):
        raise FileError(
            f"compiled functions cannot be written to {named}"
            if named
            else "no folder for compiled functions is writable",
            f"set {VARIABLE} to a folder that you, and not every user, can write to",
        )
    before, start = set(target.current.iterdir()), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        jobs = warming.jobs(target, Path(folder))
        with progress("compiling", len(jobs)) as advance:
            for job in jobs:
                job()
                advance(1)
    if KernelCache.lost:
        raise FileError(
            f"{KernelCache.lost} compiled functions could not be written",
            f"free disk space, or set {VARIABLE} to another folder, and run this again",
            target.current,
        )
    files = set(target.current.iterdir())
    summary = {
        "folder": str(target.current),
        "processor": processor(),
        "functions": len(files),
        "compiled": len(files - before),
        "bytes": sum(file.stat().st_size for file in files),
    }
    if to_json:
        typer.echo(json.dumps(summary, indent=1))
        return
    typer.echo(
        f"compiled {summary['compiled']} functions for {summary['processor']} in "
        f"{time.monotonic() - start:.0f} s; {summary['functions']} in {summary['folder']}"
    )
