"""``ptypy-beamline demo``: a complete run on simulated data."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from ..errors import INSTALL_PTYPY, FileError, SettingsError
from ..extras import has_ptypy
from ..output.files import complete_file, complete_folder, renamed_together, write_text
from ..output.names import is_ours, refuse_foreign
from ..output.temporary import exclusive_folder
from ..planning.plan import Plan
from ..scan import Scan
from ..settings import Settings
from .flags import folder_option
from .loading import plan_with

if TYPE_CHECKING:
    from ..reconstruction import Reconstruction
    from ..testing.demo import DemoScan

EXAMPLE = "ptypy-beamline demo --output demo"


def command(
    output: Annotated[Path, folder_option("-o", "--output", help="folder for the results")] = Path(
        "demo"
    ),
    engine: Annotated[
        str,
        typer.Option(metavar="auto|ptypy|preview", help="auto: PtyPy if it is installed"),
    ] = "auto",
) -> None:
    """Process a simulated raw scan from start to finish, and check the result.

    Quality control, loading, reconstruction, exports and a comparison with the true object.
    """
    with exclusive_folder(output):
        _demonstrate(output, engine)


def _demonstrate(output: Path, engine: str) -> None:
    from ..reconstruction.comparison.registration import correlation
    from ..testing.demo import write_demo_scan, write_examples

    raw = output / "raw_scan.h5"
    for name in FILES:  # JSON files have no signature: they are ours beside our scan
        if not (name.endswith(".json") and is_ours(raw)):
            refuse_foreign(output / name)
    examples = output / "files"
    if examples.exists() and not is_ours(raw):
        raise FileError(
            "exists and was not written by ptypy_beamline",
            "choose another folder with -o, or remove this one first",
            examples,
        )
    with complete_file(raw) as temporary:
        made = write_demo_scan(temporary)
    with complete_folder(examples) as temporary:
        write_examples(temporary)
    values: dict[str, Any] = {
        "file": str(raw),
        "shape": 128,
        "frames_per_position": made.frames_per_position,
        "saturation": "file",
        "hot_sigma": 6.0,
        "monitor": True,
    }
    values["reject"] = str(_find_spoiled(values, output / "qc", made))
    settings = Settings.of(values)
    scan, plan = plan_with(settings)
    _print_scan(scan, plan, made.frames_per_position)
    start = time.perf_counter()
    result = _engine(engine)(values, plan, output)
    seconds = time.perf_counter() - start
    agreement = correlation(result.object[0], made.truth.object)
    algorithm = result.algorithm.replace(" ", ": ", 1)  # as "PtyPy: DM 60 + ML 40"
    _print_row("engine", f"{algorithm} in {seconds:.1f} s, loading included")
    _write(output, result, made, plan, settings, agreement)
    _print_row("correlation", f"{agreement:.3f} with the true object (1 = the same)")
    _print_row("written", ", ".join(str(output / name) for name in FILES))


def _find_spoiled(values: dict[str, Any], folder: Path, made: DemoScan) -> Path:
    """Find the spoiled exposures; return the path of the file that lists them."""
    from ..options import Qc
    from ..quality.folder import Folder
    from ..quality.workflow import Output, evaluate_scan

    settings = Settings.of(values)
    scan, plan = plan_with(settings)
    found = evaluate_scan(scan, plan, settings, Qc())
    assert found is not None  # there is only one rank
    Output(Folder(folder)).write(found, plan, scan, settings)
    correct = int(np.isin(found.reject_indices, made.spoiled).sum())
    _print_row(
        "quality",
        f"{len(found.reject_indices)} of {len(found)} exposures rejected, including "
        f"{correct} of the {len(made.spoiled)} spoiled ones; {folder / 'qc_report.html'}",
    )
    return folder / "reject_indices.npy"


def _print_scan(scan: Scan, plan: Plan, exposures: int) -> None:
    ny, nx = scan.frame_shape
    y, x = (
        c + edge
        for c, edge in zip(plan.center_px, (plan.window.top, plan.window.left), strict=True)
    )
    _print_row(
        "raw scan",
        f"{scan.source}: {len(scan)} exposures of {ny}x{nx}, {exposures} per position, "
        f"{scan.format}",
    )
    _print_row(
        "plan",
        f"{len(plan)} positions, {plan.window.height}x{plan.window.width} pixels around "
        f"({y:.1f}, {x:.1f}), "
        f"{int(plan.calibration.bad.sum())} bad pixels",
    )


FILES = (
    "reconstruction.png",
    "reconstruction.h5",
    "reconstruction.cxi",
    "product.h5",
    "parameters.json",
    "summary.json",
)


def _engine(name: str) -> Callable[[dict[str, Any], Plan, Path], Reconstruction]:
    if name not in ("auto", "ptypy", "preview"):
        raise SettingsError(f"engine={name!r}", "use auto, ptypy or preview")
    present = has_ptypy()
    if name == "auto" and not present:
        _print_row("PtyPy", f"not installed ({INSTALL_PTYPY}): using the preview engine")
    return _with_ptypy if name == "ptypy" or (name == "auto" and present) else _with_preview


def _with_ptypy(values: dict[str, Any], _: Plan, output: Path) -> Reconstruction:
    from ..engines import reconstruct
    from ..engines.trees import saving

    return reconstruct(saving(_tree(values), output))


def _tree(values: dict[str, Any]) -> dict[str, Any]:
    from ..engines import Chain, parameter_tree

    return parameter_tree("demo", values, Chain())


def _with_preview(values: dict[str, Any], plan: Plan, _: Path) -> Reconstruction:
    from ..reconstruction.preview import preview

    origin = {"source": values["file"], "settings": values}
    return preview(plan, provenance=origin)


def _write(
    output: Path,
    result: Reconstruction,
    made: DemoScan,
    plan: Plan,
    settings: Settings,
    agreement: float,
) -> None:
    from ..reconstruction.comparison.registration import register
    from ..reconstruction.io.cxi import write_cxi
    from ..reconstruction.io.hdf5 import write_reconstruction
    from ..reconstruction.io.product import export_product
    from ..reconstruction.pictures import draw_beside_truth

    found, truth = register(result.object[0], made.truth.object)
    tree = _tree(settings.record())
    engine, _, algorithm = result.algorithm.partition(" ")
    summary = {
        "engine": engine,
        "algorithm": algorithm,
        "correlation": agreement,
        "positions": len(plan),
        "center_px": plan.center_px,
        "held_out_error": result.held_out_error,
    }
    title = f"{engine}: {algorithm}, correlation {agreement:.3f}"
    with renamed_together():
        write_reconstruction(result, output / "reconstruction.h5")
        write_cxi(result, output / "reconstruction.cxi")
        export_product(result, output / "product.h5")
        draw_beside_truth(
            output / "reconstruction.png",
            found,
            result.probe,
            result.errors,
            result.pixel_m,
            truth,
            title,
        )
        write_text(output / "parameters.json", json.dumps(tree, indent=1))
        write_text(output / "summary.json", json.dumps(summary, indent=1))


def _print_row(what: str, text: str) -> None:
    typer.echo(f"{what:12s} {text}")
