"""``ptypy-beamline qc``."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import SettingsError
from ..formats import open_with
from ..options import Qc
from ..parallel import communicator, ending_all
from ..planning.plan import Plan
from ..settings import Settings
from .flags import file_option, folder_option
from .loading import loading, refuse_input
from .progress import progress

if TYPE_CHECKING:
    from ..quality.assessment import Assessment
    from ..quality.workflow import NominalSettings, Output

EXAMPLE = "ptypy-beamline qc scan.h5 --roi 256 --reject-topp 0.02 --out qc"
PANEL = "Quality"
REFRESH_S = 10.0


_option = partial(typer.Option, rich_help_panel=PANEL)


def _qc_option(name: str, metavar: str | None = None) -> Any:
    """The flag of a parameter of :class:`Qc`."""
    info = Qc.model_fields[name]
    extra: Any = info.json_schema_extra
    return _option(extra["flag"], help=info.description or "", metavar=metavar)


@loading
def command(  # noqa: PLR0913
    settings: Settings,
    out: Annotated[
        Path, folder_option("--out", "-o", help="folder for the results", rich_help_panel=PANEL)
    ] = Path("qc"),
    embed_side: Annotated[int, _qc_option("embed_side")] = 32,
    pca_k: Annotated[int, _qc_option("pca_k")] = 12,
    embedding: Annotated[str, _qc_option("embedding", "pca|autoencoder")] = "pca",
    w_feat: Annotated[float, _qc_option("w_feat")] = 0.5,
    reject_topk: Annotated[int | None, _qc_option("reject_topk")] = None,
    reject_topp: Annotated[float | None, _qc_option("reject_topp")] = None,
    reject_thresh: Annotated[float | None, _qc_option("reject_thresh")] = None,
    rect: Annotated[
        tuple[float, float, float, float] | None, _qc_option("rect", "CX CY W H")
    ] = None,
    circ: Annotated[tuple[float, float, float] | None, _qc_option("circ", "CX CY R")] = None,
    labels: Annotated[int, _qc_option("labels")] = 0,
    emit_ptypy_json: Annotated[
        Path | None,
        file_option(
            "--emit-ptypy-json",
            help="also write accepted and rejected indices to this file",
            rich_help_panel=PANEL,
        ),
    ] = None,
    thumbs_topk: Annotated[
        int, _option("--thumbs-topk", help="number of frames shown enlarged", min=0)
    ] = 24,
    thumbs_size: Annotated[
        int, _option("--thumbs-size", help="longest side of these images in pixels", min=16)
    ] = 256,
    data_path: Annotated[
        str | None,
        _option("--data-path", metavar="PATH", help="dataset of the frames, as --path frames=PATH"),
    ] = None,
    pos_x_path: Annotated[
        str | None,
        _option(
            "--pos-x-path", metavar="PATH", help="dataset of the x positions, as --path x=PATH"
        ),
    ] = None,
    pos_y_path: Annotated[
        str | None,
        _option(
            "--pos-y-path", metavar="PATH", help="dataset of the y positions, as --path y=PATH"
        ),
    ] = None,
) -> None:
    """Find bad frames, and list them for --reject.

    Also writes scores, maps, and a web page for viewing the frames.
    """
    from ..planning.rejects import META
    from ..quality.folder import Folder, check_indices
    from ..quality.workflow import Output

    given = {"frames": data_path, "x": pos_x_path, "y": pos_y_path}
    paths = settings.paths.model_copy(update={k: v for k, v in given.items() if v})
    settings = settings.model_copy(update={"paths": paths})
    asked = (
        Settings.of(
            {
                "qc": {
                    "embed_side": embed_side,
                    "pca_k": pca_k,
                    "embedding": embedding,
                    "w_feat": w_feat,
                    "reject_topk": reject_topk,
                    "reject_topp": reject_topp,
                    "reject_thresh": reject_thresh,
                    "rect": rect,
                    "circ": circ,
                    "labels": labels,
                }
            }
        ).qc
        or Qc()
    )
    for file in (out / META, *([emit_ptypy_json] if emit_ptypy_json else [])):
        refuse_input(file, settings, ours=True)
    if emit_ptypy_json:
        check_indices(emit_ptypy_json)
    output = Output(Folder(out), thumbs_topk, thumbs_size, emit_ptypy_json)
    comm = communicator()
    with ending_all(comm):
        _evaluate(settings, asked, output, comm)


def _evaluate(settings: Settings, qc: Qc, output: Output, comm: Any) -> None:
    """Evaluate on one rank or on all of them, and write the results."""
    from ..plans import plan_scan
    from ..quality.workflow import NominalSettings, evaluate_scan, settings_to_evaluate

    live = settings.live.timeout_s
    if live and comm is not None:
        raise SettingsError("--live works with one process only", "run it without mpirun")
    nominal = NominalSettings.of(settings.model_copy(update={"reject": None}))
    plan = _follow(nominal, settings, qc, output) if live else None
    scan = open_with(nominal.settings)
    if plan is None:
        plan = plan_scan(scan, settings_to_evaluate(scan, settings, nominal))
    with progress("evaluating", int((plan.selection.exposures >= 0).sum())) as advance:
        found = evaluate_scan(scan, plan, settings, qc, comm, advance, nominal)
    if found is not None:
        output.write(found, plan, scan, settings)
        for line in found.remedies(output.folder.path):
            typer.echo(line)
        typer.echo(_describe(found) + f"; {output.folder.path / 'qc_report.html'}")


def _describe(found: Assessment) -> str:
    """The result in one line."""
    outside = int((~found.masked).sum())
    region = f", and {outside} outside the region left out" if outside else ""
    rejected = len(found.reject_indices) - outside
    return f"{rejected} of {len(found)} frames rejected ({found.settings['rule']}){region}"


def _follow(nominal: NominalSettings, settings: Settings, qc: Qc, output: Output) -> Plan:
    """Evaluate a growing scan repeatedly; the plan of the complete scan."""
    from ..live import Follower
    from ..quality.workflow import follow_scan

    follower = Follower(nominal.settings)
    follower.wait_for_first_frames()

    def plans() -> Iterator[Plan]:
        while not (now := follower.poll()).complete:
            yield now.plan

    scan = open_with(nominal.settings)
    follow_scan(plans(), scan, settings, qc, output, REFRESH_S, nominal)
    return follower.poll().plan
