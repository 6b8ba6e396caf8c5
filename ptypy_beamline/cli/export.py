"""``ptypy-beamline export``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import SettingsError
from ..output.names import refuse_inputs
from ..reconstruction.postprocess import Finished, Postprocess, finish
from .flags import output_name, postprocessing
from .progress import progress

if TYPE_CHECKING:
    from ..planning.plan import Plan
    from ..reconstruction.io.amplitudes import Amplitudes

EXAMPLE = "ptypy-beamline export recons/scan/scan_ML_0100.ptyr -o scan.cxi --to cxi --frames"
BY_SUFFIX = {".h5": "h5", ".hdf5": "h5", ".cxi": "cxi", ".npz": "npz", "": "tiff"}
Progress = Callable[[int], None]


@postprocessing()
def command(
    recon: Annotated[
        Path, typer.Argument(metavar="RECON", help=".ptyr, reconstruction.h5, or a product")
    ],
    name: Annotated[
        str,
        typer.Option("-o", "--output", help="file to write, or folder for TIFF", metavar="PATH"),
    ],
    asked: Postprocess,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="product|cxi|h5|tiff|npz", help="format; default: from the suffix of the output"
        ),
    ] = None,
    scan: Annotated[
        str, typer.Option(metavar="NAME", help="name of the scan, if there are several")
    ] = "",
    frames: Annotated[
        bool, typer.Option("--frames", help="include the diffraction data (product, cxi and npz)")
    ] = False,
    raw: Annotated[Path | None, typer.Option(help="the raw file, if it has been moved")] = None,
    distance_m: Annotated[
        float | None, typer.Option(help="sample-detector distance, if the raw file is gone")
    ] = None,
) -> None:
    """Write a reconstruction for other programs.

    Object, probe, positions, errors and provenance; with --frames the diffraction data, too.
    """
    from ..plans import plan_behind
    from ..reconstruction import read

    kind = _kind(to, Path(name))
    output = output_name("-o", name, folder=kind == "tiff")
    refuse_inputs(output, filter(None, (recon, raw)))
    _refuse_lossy(kind, frames, asked)
    found = read(recon, scan=scan, raw=raw, distance_m=distance_m)
    refuse_inputs(output, [str(found.provenance.get("source", recon))])
    finished = finish(found, asked)
    plan = plan_behind(found, raw) if frames else None
    with progress("writing", 0 if plan is None else len(plan)) as advance:
        WRITERS[kind](finished, output, plan, advance)
    done = finished.reconstruction
    obj, probe = ("x".join(map(str, wave.shape)) for wave in (done.object, done.probe))
    typer.echo(
        f"{output}: object {obj}, probe {probe}, {len(done.positions_m)} positions, "
        f"{done.algorithm}"
    )


def _refuse_lossy(kind: str, frames: bool, asked: Postprocess) -> None:
    """Refuse what the output format cannot hold."""
    if frames and kind not in WITH_FRAMES:
        raise SettingsError(
            f"--to {kind} cannot hold frames",
            f"leave out --frames, or export --to {', '.join(WITH_FRAMES)}",
        )
    if asked.unwrap and kind != "tiff":
        raise SettingsError(
            f"--to {kind} holds complex waves, whose phases end at ±π",
            "leave out --unwrap, or export --to tiff",
        )
    if asked.crop and frames:
        raise SettingsError(
            "some frames illuminate the object outside the cropped area",
            "leave out --crop or --frames",
        )


def _kind(to: str | None, output: Path) -> str:
    kind = BY_SUFFIX.get(output.suffix.lower()) if to is None else to
    if kind not in WRITERS:
        raise SettingsError(
            f"--to {to}" if to else f"no format has the suffix {output.suffix}",
            f"set --to to one of {', '.join(WRITERS)}",
        )
    return kind


def _amplitudes(plan: Plan | None) -> Amplitudes | None:
    from ..reconstruction.io.amplitudes import of_plan

    return None if plan is None else of_plan(plan)


def _product(finished: Finished, output: Path, plan: Plan | None, advance: Progress) -> None:
    from ..reconstruction.io.product import export_product

    export_product(finished.reconstruction, output, frames=_amplitudes(plan), progress=advance)


def _cxi(finished: Finished, output: Path, plan: Plan | None, advance: Progress) -> None:
    from ..reconstruction.io.cxi import write_cxi

    write_cxi(finished.reconstruction, output, plan=plan, progress=advance)


def _npz(finished: Finished, output: Path, plan: Plan | None, advance: Progress) -> None:
    from ..reconstruction.io.npz import write_npz

    write_npz(finished.reconstruction, output, frames=_amplitudes(plan), progress=advance)


def _h5(finished: Finished, output: Path, *_: object) -> None:
    from ..reconstruction.io.hdf5 import write_reconstruction

    write_reconstruction(finished.reconstruction, output)


def _tiff(finished: Finished, output: Path, *_: object) -> None:
    from ..reconstruction.io.tiff import write_tiffs

    write_tiffs(finished.reconstruction, output, finished.phase_rad)


WITH_FRAMES: dict[str, Callable[[Finished, Path, Plan | None, Progress], None]] = {
    "product": _product,
    "cxi": _cxi,
    "npz": _npz,
}
WRITERS = WITH_FRAMES | {"h5": _h5, "tiff": _tiff}
"""Format → its writer (reconstruction, output, plan of the frames, progress)."""
