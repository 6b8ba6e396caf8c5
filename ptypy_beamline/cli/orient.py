"""``ptypy-beamline orient``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from ..formats import open_with
from ..parallel import mpi_rank
from ..settings import Settings
from .flags import Json
from .loading import loading
from .progress import working

if TYPE_CHECKING:
    from ..diagnosis.orientation import Ranking

EXAMPLE = "ptypy-beamline orient scan.h5 --roi 256"


@loading
def command(
    settings: Settings,
    to_json: Json = False,
) -> None:
    """Find the detector orientation from the data.

    Ranks all 8 orientations, with the position axes as --axes says; --rotate, --flip and
    --orientation are ignored. Exit 1 if the data do not determine the orientation.
    """
    from ..diagnosis.orientation import rank

    if mpi_rank() > 0:  # one process is enough
        return
    with working("reconstructing a few frames in each orientation"):
        found = rank(open_with(settings), settings)
    typer.echo(json.dumps(_record(found), indent=1) if to_json else _text(found))
    if not found.decided:
        typer.echo(f"error: the data do not determine the orientation; {found.remedy}", err=True)
        raise typer.Exit(1)


WHY = {
    "absorption": "the material absorbs and has a negative phase (correlation {:.2f})",
    "vacuum": "the material has a negative phase relative to vacuum ({:.2f} of 1)",
    "": "nothing distinguishes them, the lower number is given",
}


def _record(found: Ranking) -> dict[str, object]:
    """As JSON."""
    return {
        "orientation": found.orientation,
        "equivalent": [code for code, axes in found.equivalent if axes == found.axes],
        "axes": found.axes,
        "equivalent_with_axes": [
            {"orientation": code, "axes": axes} for code, axes in found.equivalent
        ],
        "decided": found.decided,
        "lag": found.lag,
        "confidence": found.confidence,
        "ranking": [
            {
                "orientation": pair.orientation,
                "twin": pair.conjugate_twin,
                "error": pair.error,
                "curl": pair.curl if pair.curl == pair.curl else None,
            }
            for pair in found.pairs
        ],
    }


def _text(found: Ranking) -> str:
    """As text."""
    code, twin = found.orientation, found.orientation ^ 3
    why = WHY[found.prior.source].format(abs(found.prior.value))
    with_other_axes = [(o, axes) for o, axes in found.equivalent if axes != found.axes]
    return "\n".join(
        [
            f"{'orientations':14s}{'validation error':>18s}{'DPC curl':>10s}",
            *(
                f"{f'{p.orientation} or {p.conjugate_twin}':14s}{p.error:18.4f}{p.curl:10.3f}"
                for p in found.pairs
            ),
            f"orientation {code} with axes {found.axes}, confidence {found.confidence:.3f}"
            f"{'' if found.decided else ': not decided'}",
            f"{code} and {twin} (rotated by 180 degrees: object and probe conjugated) fit equally "
            f"well; of the two, with {code} {why}",
            "equivalent, with the object rotated or mirrored: "
            + ", ".join(f"{o} {axes}" for o, axes in with_other_axes),
        ]
    )
