"""``ptypy-beamline run``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .flags import folder_option

EXAMPLE = "mpirun -n 4 ptypy-beamline run recipes/tree.yaml -o results"


def command(
    params: Annotated[Path, typer.Argument(metavar="PARAMS", help="YAML or JSON parameter tree")],
    backend: Annotated[
        str | None,
        typer.Option(
            "-b", "--backend", metavar="cupy|pycuda|cuda|serial", help="GPU engines to register"
        ),
    ] = None,
    level: Annotated[
        int,
        typer.Option("-l", "--level", min=1, max=5, help="how far to go: 2 loads, 5 reconstructs"),
    ] = 5,
    output: Annotated[
        Path | None, folder_option("-o", "--output", help="folder for reconstructions")
    ] = None,
) -> None:
    """Run PtyPy on a parameter tree, with the beamline loaders."""
    from ..run import run

    run(params, level=level, backend=backend, output=output)
