"""``ptypy-beamline reconstruct``."""

from __future__ import annotations

import json
import shlex
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import INSTALL_PTYPY, SettingsError
from ..extras import has_ptypy
from ..settings import Settings
from ..summary import Finding
from .flags import file_option, folder_option
from .loading import loading, plan_with, refuse_input
from .prechecks import Propagation, check_data, is_near_field, low_counts, refuse_errors, show
from .preview import run_preview
from .progress import progress_of_engines, working

if TYPE_CHECKING:
    from ..engines import Chain
    from ..reconstruction import Reconstruction

EXAMPLE = "ptypy-beamline reconstruct scan.h5 --roi 256 -o reconstruction"
PANEL = "Reconstruction"
PREVIEW, PREVIEW_ITERATIONS = "preview", 60
SIGNED = ("reconstruction.h5", "reconstruction.png")
MAX_ERROR = 10.0
POOR_FIT = Finding(
    "warning",
    f"the error of the photon counts is above {MAX_ERROR:.0f}; with noise alone it would be 1",
    "run ptypy-beamline check for positions, orientation and geometry, or more iterations",
    "frames and positions do not match, or the reconstruction has not converged",
)
FILES = ("reconstruction.ptyr", *SIGNED, "summary.json", "tree.yaml")


_option = partial(typer.Option, rich_help_panel=PANEL)


@dataclass(frozen=True)
class Request:
    """How a scan is to be reconstructed, and where the results go."""

    chain: Chain
    modes: int
    gpu: bool
    propagation: str
    output: Path
    save_tree: Path | None
    unchecked: bool


@loading
def command(  # noqa: PLR0913
    settings: Settings,
    output: Annotated[
        Path,
        folder_option("-o", "--output", help="folder for the results", rich_help_panel=PANEL),
    ] = Path("reconstruction"),
    engine: Annotated[
        str | None,
        _option(
            "--engine",
            help="PtyPy engines to run in turn (DM, RAAR, EPIE, SDR, ML), or preview; "
            "default: DM+ML, or preview where PtyPy is not installed",
            metavar="NAME[+NAME]",
        ),
    ] = None,
    iterations: Annotated[
        str,
        _option("--iterations", help="iterations of each engine; default: 60+40", metavar="N[+N]"),
    ] = "",
    qc: Annotated[bool, _option("--qc", help="find bad frames first, and leave them out")] = False,
    modes: Annotated[int, _option("--modes", help="probe modes", min=1)] = 1,
    propagation: Propagation = "auto",
    gpu: Annotated[bool, _option("--gpu", help="use PtyPy's CuPy engines")] = False,
    cores: Annotated[
        int | None,
        _option("--cores", help="MPI ranks to start; the same as mpirun -n N", min=1),
    ] = None,
    save_tree: Annotated[
        Path | None,
        file_option(
            "--save-tree",
            rich_help_panel=PANEL,
            help="also write the parameter tree here, as .yaml or as a PtyPy script (.py); "
            "the folder always gets tree.yaml",
        ),
    ] = None,
    unchecked: Annotated[
        bool, _option("--no-check", help="skip the checks that reconstruct a few frames")
    ] = False,
    to_json: Annotated[bool, _option("--json", help="print JSON")] = False,
) -> None:
    """Reconstruct a raw scan with PtyPy.

    The initial probe is estimated from the data. The folder gets reconstruction.ptyr,
    reconstruction.h5, a picture, summary.json and tree.yaml.
    """
    from ..diagnosis.proposed_settings import changed
    from ..engines import Chain
    from ..output.temporary import removing_leftovers
    from ..parallel import run_under_mpirun, several_started

    if qc:
        settings = changed(settings, {"qc": True})
    if cores is not None:
        if several_started():
            raise SettingsError("--cores starts the ranks itself", "leave it out under mpirun")
        with removing_leftovers(output):
            status = run_under_mpirun(cores)
        raise typer.Exit(status)
    name = engine or _default_engine()
    if name == PREVIEW:
        _refuse_for_preview(gpu, modes, save_tree, several_started())
        run_preview(settings, output, _preview_iterations(iterations), propagation, to_json)
        return
    chain = Chain.of(name, iterations)
    summary = _reconstruct(
        settings, Request(chain, modes, gpu, propagation, output, save_tree, unchecked)
    )
    if summary is None:
        return
    if to_json:
        typer.echo(json.dumps(summary, indent=1))
    else:
        typer.echo(
            f"{summary['engine']} {summary['algorithm']} in {summary['seconds']:.0f} s: error "
            f"{summary['error']:.4g}; {', '.join(summary['files'])}"
        )


def _default_engine() -> str:
    if has_ptypy():
        return "DM+ML"
    typer.echo(f"PtyPy is not installed ({INSTALL_PTYPY}): using the preview engine", err=True)
    return PREVIEW


def _preview_iterations(iterations: str) -> int:
    if iterations and not (iterations.isdecimal() and int(iterations)):
        raise SettingsError(
            f"iterations={iterations!r} with the preview engine",
            "give one number (--iterations 60)",
        )
    return int(iterations or PREVIEW_ITERATIONS)


def _refuse_for_preview(gpu: bool, modes: int, save_tree: Path | None, several: bool) -> None:
    given = {
        "--gpu": gpu,
        "--modes": modes > 1,
        "--save-tree": save_tree is not None,
        "mpirun": several,
    }
    flag = next((name for name, used in given.items() if used), None)
    if flag:
        raise SettingsError(
            f"{flag} needs PtyPy; the preview engine does not support it",
            f"leave {flag} out, or install PtyPy ({INSTALL_PTYPY})",
        )


def _reconstruct(settings: Settings, request: Request) -> dict[str, Any] | None:
    """Reconstruct, write and return the summary; None on all ranks but the first."""
    from ..engines import ranks_started, reconstruct
    from ..engines.trees import saving
    from ..output.files import renamed_together
    from ..output.temporary import exclusive_folder
    from ..run import load_engines

    if request.gpu:
        load_engines("cupy")
    with ranks_started() as ranks:
        lock = exclusive_folder(request.output) if ranks.first else nullcontext()
        with lock, renamed_together():
            near, findings = _check_scan(settings, request) if ranks.first else (False, [])
            near = ranks.shared(near)
            start = time.perf_counter()
            chain = request.chain
            bars = progress_of_engines(chain.engines, chain.iterations)
            with bars if ranks.first else nullcontext() as progress:
                tree = saving(_tree(settings, request, near), request.output)
                found = reconstruct(tree, progress)
            if not ranks.first:
                return None
            seconds = time.perf_counter() - start
            return _write_results(settings, request, found, near, findings, seconds)


def _check_scan(settings: Settings, request: Request) -> tuple[bool, list[Finding]]:
    """Check the scan and the output names; return whether it is near field, and the findings."""
    from ..diagnosis.findings import of_reconstructions
    from ..diagnosis.scan_sample import ScanSample
    from ..engines.trees import check_tree_name, is_saved_tree
    from ..output.names import is_ours

    ours = is_ours(request.output / SIGNED[0])
    for name in FILES:  # the other files are ours beside a reconstruction of ours
        refuse_input(request.output / name, settings, ours=ours and name not in SIGNED)
    if request.save_tree is not None:
        check_tree_name(request.save_tree)
        refuse_input(request.save_tree, settings, ours=is_saved_tree(request.save_tree))
    with working("checking the frames"):
        scan, plan = plan_with(settings)
        sample = ScanSample.at(scan, settings, plan)
        near = is_near_field(sample, request.propagation)
    findings = check_data(sample, near)
    if not (near or request.unchecked):
        with working("reconstructing a few frames"):
            more = of_reconstructions(sample, [f for f in findings if f.level == "warning"])
        refuse_errors(more, sample, "(--no-check reconstructs anyway)")
        findings += show(more)
    return near, [*findings, *show(low_counts(sample))]


def _tree(settings: Settings, request: Request, near: bool) -> dict[str, Any]:
    from ..engines.trees import label, parameter_tree, with_absolute_paths

    data = settings.record()
    data.pop("live", None)  # the scan is complete by now
    return parameter_tree(
        label(settings.file_name),
        with_absolute_paths(data),
        request.chain,
        modes=request.modes,
        near_field=near,
        gpu=request.gpu,
    )


def _write_results(
    settings: Settings,
    request: Request,
    found: Reconstruction,
    near: bool,
    findings: list[Finding],
    seconds: float,
) -> dict[str, Any]:
    from ..engines.trees import REPEATS, save_tree

    tree = _tree(settings, request, near) | {"verbose_level": "INFO"}
    tree["io"].pop("rfile")
    tree = {"run": next(iter(tree["scans"])), **tree}
    note = f"{REPEATS} {Path(settings.file_name).name}: {shlex.join(sys.argv)}"
    note = note.replace("\n", " ").replace('"""', "'''")
    extra = [] if request.save_tree is None else [request.save_tree]
    for path in [request.output / "tree.yaml", *extra]:
        save_tree(tree, path, note)
    engine, _, algorithm = found.algorithm.partition(" ")
    error = float(found.errors[-1])
    if not error < MAX_ERROR:
        findings += show([POOR_FIT])
    summary = {
        "engine": engine,
        "algorithm": algorithm,
        "error": error,
        "near_field": near,
        "seconds": seconds,
        "findings": [asdict(finding) for finding in findings],
        "files": [str(request.output / name) for name in FILES] + [str(p) for p in extra],
    }
    _write_files(found, request.output, summary)
    return summary


def _write_files(found: Reconstruction, output: Path, summary: dict[str, Any]) -> None:
    from ..output.files import write_text
    from ..reconstruction.io.hdf5 import write_reconstruction
    from ..reconstruction.plot import draw
    from ..reconstruction.postprocess import Postprocess, finish

    # Holograms show the sample far beyond the scanned area.
    asked = Postprocess() if summary["near_field"] else Postprocess(flatten="whole", crop=True)
    write_reconstruction(found, output / "reconstruction.h5")
    draw(output / "reconstruction.png", finish(found, asked))
    write_text(output / "summary.json", json.dumps(summary, indent=1))
