"""``ptypy-beamline export``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import SettingsError
from ..output.names import refuse_inputs
from ..reconstruction.postprocess import Finished, Postprocess, finish
from .flags import (
    DistanceM,
    RawFile,
    ReconstructionFile,
    ScanName,
    output_name,
    postprocessing,
)
from .progress import progress

if TYPE_CHECKING:
    from ..planning.plan import Plan

EXAMPLE = "ptypy-beamline export recons/scan/scan_ML_0100.ptyr -o scan.cxi --to cxi --frames"
BY_SUFFIX = {".h5": "h5", ".hdf5": "h5", ".cxi": "cxi", ".npz": "npz", "": "tiff"}
WITH_FRAMES = ("product", "cxi", "npz")
KINDS = (*WITH_FRAMES, "h5", "tiff")


@postprocessing()
def command(
    recon: ReconstructionFile,
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
    scan: ScanName = "",
    frames: Annotated[
        bool, typer.Option("--frames", help="include the diffraction data (product, cxi and npz)")
    ] = False,
    raw: RawFile = None,
    distance_m: DistanceM = None,
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
        _write(kind, finished, output, plan, advance)
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
    if kind not in KINDS:
        raise SettingsError(
            f"--to {to}" if to else f"no format has the suffix {output.suffix}",
            f"set --to to one of {', '.join(KINDS)}",
        )
    return kind


def _write(
    kind: str, finished: Finished, output: Path, plan: Plan | None, advance: Callable[[int], None]
) -> None:
    """Write a reconstruction, with the frames of ``plan`` if there is one."""
    from ..reconstruction.io.amplitudes import of_plan
    from ..reconstruction.io.cxi import write_cxi
    from ..reconstruction.io.hdf5 import write_reconstruction
    from ..reconstruction.io.npz import write_npz
    from ..reconstruction.io.product import export_product
    from ..reconstruction.io.tiff import write_tiffs

    found = finished.reconstruction
    if kind == "cxi":
        write_cxi(found, output, plan=plan, progress=advance)
    elif kind == "h5":
        write_reconstruction(found, output)
    elif kind == "tiff":
        write_tiffs(found, output, finished.phase_rad)
    else:
        write = export_product if kind == "product" else write_npz
        write(found, output, frames=None if plan is None else of_plan(plan), progress=advance)
