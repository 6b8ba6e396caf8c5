"""From a ptychography scan at each angle to a volume of electron density.

There are three stages: reconstruct each angle, align, compute the volume. Each writes files that
can be inspected and from which the next stage starts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ..engines import ALONE, Chain, Ranks, parameter_tree, ranks_started, reconstruct
from ..errors import BeamlineError, SettingsError
from ..extras import has_ptypy
from ..output.names import refuse_foreign
from ..output.temporary import exclusive_folder
from ..parallel import several_started
from ..plans import open_and_plan
from ..reconstruction import Reconstruction, is_readable, read
from ..settings import Settings
from . import folder as tomo_folder
from .angles import Angle, find_angles, without_skipped
from .parallel_beam import RAMP, Fbp, Method, Sart
from .picture import draw_volume
from .projections import ALIGNMENT, PROJECTIONS, Alignment, Progress, align_series, silent
from .volume import Projections, read_projections, write_volume

__all__ = ["Alignment", "Engine", "Fbp", "Projections", "Sart", "read_projections", "run_series"]

VOLUME = "reconstructed_3d.h5"
WRITTEN = (PROJECTIONS, ALIGNMENT, VOLUME, "reconstructed_3d.png")
"""Files of the last two stages."""

Stage = Literal["reconstruct", "align", "volume"]
Report = Callable[[str, str], None]


@dataclass(frozen=True)
class Engine:
    """How each angle is reconstructed.

    Attributes
    ----------
    name
        ``ptypy``, ``preview``, or ``auto``: PtyPy where it is installed.
    dm, ml
        Iterations of PtyPy's DM and then ML.
    iterations
        Of the preview's rPIE.
    """

    name: Literal["auto", "ptypy", "preview"] = "auto"
    dm: int = 60
    ml: int = 40
    iterations: int = 60

    def __post_init__(self) -> None:
        if self.name not in ("auto", "ptypy", "preview"):
            raise SettingsError(f"engine={self.name!r}", "use auto, ptypy or preview (--engine)")
        if self.name == "auto":
            object.__setattr__(self, "name", "ptypy" if has_ptypy() else "preview")

    def __str__(self) -> str:
        if self.name == "ptypy":
            return f"PtyPy, DM {self.dm} + ML {self.ml}"
        return f"preview, rPIE {self.iterations}"

    def reconstruct(self, angle: Angle, settings: Settings) -> Reconstruction:
        """Load and reconstruct one angle; every rank calls it.

        Parameters
        ----------
        settings
            Of the loader, for the whole series.

        Raises
        ------
        BeamlineError
            The scan cannot be loaded.
        """
        own = {"file": str(angle.file), "outer_index": angle.outer_index}
        one = Settings.of(_values(settings) | own)
        if self.name == "ptypy":
            chain = Chain(iterations=(self.dm, self.ml))
            return reconstruct(parameter_tree("angle", _values(one), chain))
        from ..reconstruction.preview import preview  # brings Numba

        origin = {"source": one.file, "settings": one.record()}
        return preview(open_and_plan(one)[1], self.iterations, provenance=origin)


@contextmanager
def ranks_of(engine: Engine | None) -> Iterator[Ranks]:
    """The MPI ranks that were started; one that fails ends them all.

    Without an ``engine``, nothing is reconstructed, and PtyPy is needed only under mpirun.

    Raises
    ------
    SettingsError
        There are several ranks, and the engine is the preview.
    """
    several = several_started()
    if several and engine is not None and engine.name == "preview":
        raise SettingsError(
            "the preview engine runs on one rank", "start it without mpirun, or use --engine ptypy"
        )
    if not several and (engine is None or engine.name == "preview"):
        yield ALONE
        return
    with ranks_started() as ranks:
        yield ranks


def _values(settings: Settings) -> dict[str, Any]:
    """The settings that were given, with full arrays."""
    return settings.model_dump(exclude_unset=True, exclude_none=True)


def run_series(  # noqa: PLR0913
    names: Sequence[str | Path],
    out: str | Path,
    settings: Settings | None = None,
    *,
    engine: Engine | None = None,
    alignment: Alignment | None = None,
    method: Method = RAMP,
    theta: str | None = None,
    skip: Sequence[int] = (),
    only: Stage | None = None,
    progress: Progress = silent,
    say: Report = lambda what, text: None,
) -> Path:
    """Reconstruct a series: phases at each angle, aligned projections, the volume.

    When started again, it continues where it stopped. Under MPI all ranks call it; they work
    together on each angle, and the first one does the rest.

    Parameters
    ----------
    names
        A stack of scans; files with one scan or finished reconstruction each, or a folder of
        these; or a folder with ``ptycho_tomo/angle_NNN/phase.tif``.
    out
        Folder of the results.
    settings
        Loader parameters, for all angles.
    engine, alignment, method
        For the three stages; see :class:`Engine`, :class:`Alignment`, :class:`Fbp`, :class:`Sart`.
    theta, skip
        See :func:`ptypy_beamline.tomography.angles.find_angles`.
    only
        Only this stage, from the files of the earlier ones.
    progress, say
        Called to show the progress and to report results.

    Returns
    -------
    Path
        ``reconstructed_3d.h5`` (or where it will be).

    Raises
    ------
    BeamlineError
        Something is missing or wrong, or another run is working in ``out``.
    """
    out = Path(out)
    given = tomo_folder.phases_in(Path(names[0])) if len(names) == 1 else None
    raw = given is None and only in (None, "reconstruct")
    if only == "reconstruct" and given is not None:
        raise SettingsError(
            f"phases of {given} are reconstructed already",
            "name the scans, or leave --only reconstruct out",
        )
    if raw and os.path.realpath(out) == os.path.realpath(names[0]):
        raise SettingsError(
            f"results would lie among the scans in {out}", "choose another folder with -o"
        )
    chosen, folder = engine or Engine(), given or out / tomo_folder.NAME
    with ranks_of(chosen if raw else None) as ranks, ExitStack() as stack:
        if raw:
            angles = find_angles(names, theta)
        stack.enter_context(exclusive_folder(out) if ranks.first else nullcontext())
        for name in WRITTEN if ranks.first else ():
            refuse_foreign(out / name)
        if raw:
            _reconstruct_angles(
                angles, skip, settings or Settings(), chosen, folder, ranks, progress, say
            )
        if ranks.first and only in (None, "align"):
            counted = without_skipped(angles if raw else tomo_folder.angles_in(folder, theta), skip)
            tomo_folder.check_all_reconstructed(folder, counted)
            found = align_series(folder, counted, out, alignment, progress)
            say("aligned", _described(found))
        if ranks.first and only in (None, "volume"):
            say("volume", str(_compute_volume(out, method, progress)))
    return out / VOLUME


def _described(found: Projections) -> str:
    """The result of the alignment, in words."""
    y, x = abs(found.shifts_px).max(axis=0)
    n, ny, nx = found.phase.shape
    return (
        f"{n} projections of {ny}x{nx}, moved by up to {y:.1f} pixels along the axis and "
        f"{x:.1f} across; the axis was at {found.axis_px:.1f} of {nx}, air took "
        f"{found.provenance['air_px']} at both sides"
    )


def _reconstruct_angles(
    angles: Sequence[Angle],
    skip: Sequence[int],
    settings: Settings,
    engine: Engine,
    folder: Path,
    ranks: Ranks,
    progress: Progress,
    say: Report,
) -> None:
    """Reconstruct every angle that is neither finished nor skipped; all ranks call it.

    Files that hold a finished reconstruction are only read.

    Raises
    ------
    BeamlineError
        A scan cannot be loaded, or an angle was reconstructed before with other settings.
    """
    made = {
        angle: {
            "engine": str(engine),
            "settings": settings.record(),
            "file": angle.file.name,
            "projection": angle.outer_index,
        }
        for angle in without_skipped(angles, skip)
    }
    tomo_folder.checksum.cache_clear()  # files may have been rewritten
    # The first rank decides: ranks may not see the same files at the same time.
    todo: list[Angle] = ranks.shared(
        [angle for angle in made if not tomo_folder.finished(folder, angle, made[angle])]
        if ranks.first
        else None
    )
    if ranks.first:
        tomo_folder.write_table(folder, angles)
        say("engine", str(engine))
        say("angles", f"{len(made)}, {len(made) - len(todo)} of them finished before")
    with (progress if ranks.first else silent)("angles", len(todo)) as advance:
        for angle in todo:
            found = _reconstruct_angle(angle, settings, engine)
            if ranks.first:
                tomo_folder.write_angle(folder, angle, _with_checksum(found), made[angle])
            advance(1)


def _reconstruct_angle(angle: Angle, settings: Settings, engine: Engine) -> Reconstruction:
    try:
        if is_readable(angle.file):
            return read(angle.file)
        return engine.reconstruct(angle, settings)
    except BeamlineError as error:
        raise type(error)(f"{angle.name}: {error.problem}", error.remedy, error.file) from error


def _with_checksum(found: Reconstruction) -> Reconstruction:
    """``found`` with the SHA-256 of its raw file."""
    source = Path(str(found.provenance.get("source", "")))
    if "sha256" in found.provenance or not source.is_file():
        return found
    return replace(found, provenance={**found.provenance, "sha256": tomo_folder.checksum(source)})


def _compute_volume(out: Path, method: Method, progress: Progress) -> Path:
    """``reconstructed_3d.h5`` and its picture, from ``projections.h5`` beside it."""
    found = read_projections(out / PROJECTIONS)
    with progress("slices", found.phase.shape[1]) as advance:
        volume = write_volume(out / VOLUME, found, method, advance)
    draw_volume(volume, volume.with_suffix(".png"))
    return volume
