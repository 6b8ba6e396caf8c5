"""``ptypy-beamline info``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from ..arrays import Floats, Ints
from ..errors import BeamlineError, SettingsError
from ..formats import open_with
from ..output.figures import check_picture, save_figure
from ..planning.plan import Plan
from ..scan import Scan, sample_indices
from ..settings import Settings
from ..summary import (
    Finding,
    bad_pixels,
    describe_plan,
    describe_scan,
    loading_steps,
    physics,
    unwarned_notes,
)
from .flags import Json, file_option
from .loading import loading, plan_with

if TYPE_CHECKING:
    from ..engines.gpu_memory import GpuRun

EXAMPLE = "ptypy-beamline info scan.h5 --plan --roi 256"
_gpu_option = partial(typer.Option, rich_help_panel="Memory of a run on GPUs, with --plan")


@loading
def command(
    settings: Settings,
    show_plan: Annotated[bool, typer.Option("--plan", help="show each step of loading")] = False,
    to_json: Json = False,
    plot: Annotated[
        Path | None, file_option("--plot", help="draw the mean frame, the window and the positions")
    ] = None,
    engine: Annotated[
        str | None,
        _gpu_option("--engine", help="PtyPy engines; default: DM+ML", metavar="NAME[+NAME]"),
    ] = None,
    block: Annotated[
        int | None,
        _gpu_option("--frames-per-block", help="frames per rank in a block; default: 2000", min=1),
    ] = None,
    modes: Annotated[
        int | None, _gpu_option("--modes", help="probe modes; default: 1", min=1)
    ] = None,
    cores: Annotated[
        int | None, _gpu_option("--cores", help="MPI ranks, each with a GPU; default: 1", min=1)
    ] = None,
) -> None:
    """Show what a scan file contains, and how it would be loaded.

    Shapes, units, geometry, positions and problems; exit 1 if there is an error.
    """
    from ..plans import plan_scan

    gpu_flags = {"engine": engine, "frames-per-block": block, "modes": modes, "cores": cores}
    if not show_plan:
        _check_unused(gpu_flags)
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
    gpu = None
    if plan and show_plan:
        gpu = _gpu_run(plan, engine or "DM+ML", block, modes or 1, cores or 1)
    if to_json:
        planned = describe_plan(plan) if plan else {"problem": str(problem)}
        description = {"scan": describe_scan(scan), "plan": planned}
        typer.echo(json.dumps(description | ({"gpu": asdict(gpu)} if gpu else {}), indent=1))
    else:
        _print({**describe_scan(scan), "notes": unwarned_notes(scan)}.items())
        if plan:
            _print_plan(plan, found, show_plan)
        else:
            typer.echo(f"cannot be loaded yet: {problem}")
        if gpu:
            typer.echo("on a GPU, about")
            _print(_gpu_rows(gpu))
    if plot and plan:
        _draw_plan(plot, scan, plan)
        typer.echo(f"picture in {plot}")
    if problem or any(finding.level == "error" for finding in found):
        raise typer.Exit(1)


def _print_plan(plan: Plan, found: Iterable[Finding], with_steps: bool) -> None:
    typer.echo("loaded as")
    loaded = {**describe_plan(plan), "good_pixels": None, "bad_pixels": bad_pixels(plan)}
    _print((f"  {name}", value) for name, value in loaded.items())
    for finding in found:
        typer.echo(str(finding))
    if with_steps:
        typer.echo("plan")
        _print((f"  {station}", what) for station, what in loading_steps(plan))


def _check_unused(flags: dict[str, Any]) -> None:
    """Refuse flags that have no effect without ``--plan``."""
    given = [f"--{name}" for name, value in flags.items() if value is not None]
    if given:
        raise SettingsError(
            f"{', '.join(given)}: only --plan estimates the memory of a run on GPUs", "add --plan"
        )


def _gpu_run(plan: Plan, engine: str, block: int | None, modes: int, ranks: int) -> GpuRun:
    from ..engines import Chain
    from ..engines.gpu_memory import GPU_BLOCK, GpuRun

    if engine == "preview":
        raise SettingsError("the preview engine uses no GPU", "name engines of PtyPy (--engine DM)")
    engines = Chain.of(engine.replace("_cupy", "")).engines  # PtyPy's own names, too
    return GpuRun.of(plan, engines, block or GPU_BLOCK, modes, ranks)


def _gpu_rows(gpu: GpuRun) -> Iterable[tuple[str, str]]:
    """What a run needs on each rank, as text."""
    ranks, frames, block = gpu.ranks, gpu.frames_per_rank, gpu.frames_per_block
    each = "; memory of each" if ranks > 1 else ""
    yield "  ranks", f"{ranks}, with {frames} frames each, in blocks of {block}{each}"
    for name, need in gpu.needs.items():
        sizes = need.gpu_bytes, need.gpu_start_bytes, need.host_bytes
        on_gpu, start, host = (f"{n / 2**30:.3g} GiB" for n in sizes)
        text = f"{on_gpu} of the GPU if all frames stay on it, {start} free to start; {host}"
        yield f"  {name}", f"{text} of the host"
    yield "  fft", gpu.fft


def _draw_plan(path: Path, scan: Scan, plan: Plan) -> None:
    """Draw the raw mean frame with the window, the mean frame as loaded, and the positions."""
    from matplotlib.figure import Figure

    from ..diagnosis.page import block_size, show_counts, show_positions, show_raw

    figure = Figure(figsize=(15, 4.8), layout="constrained")
    raw, loaded, scanned = figure.subplots(1, 3)
    show_raw(raw, scan, plan, "raw mean frame and window")
    window, (y, x) = plan.window, plan.center_px
    raw.plot(x + window.left, y + window.top, "+", color="tab:red", markersize=12)
    sampled, steps = sample_indices(len(plan)), block_size(plan.geometry.shape)
    mean = _mean_loaded(plan, sampled, steps)
    show_counts(loaded, mean, f"as loaded, mean of {len(sampled)}", steps)
    loaded.plot(*plan.geometry.center_px[::-1], "+", color="tab:red", markersize=12)
    show_positions(scanned, plan.positions_m)
    save_figure(path, figure, 110)


def _mean_loaded(plan: Plan, sampled: Ints, steps: tuple[int, int]) -> Floats:
    """The mean of some frames, in blocks of ``steps`` pixels; NaN where no pixel is good."""
    from ..diagnosis.page import block_means

    shape = [n // step for n, step in zip(plan.geometry.shape, steps, strict=True)]
    total, good_count = np.zeros(shape), np.zeros(shape)
    for position in sampled:
        frames, good = plan.correct(plan.load([position]), [position])
        total += block_means(frames[0], steps)
        good_count += block_means(good[0], steps)
    return np.where(good_count > 0, total / len(sampled), np.nan)


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
