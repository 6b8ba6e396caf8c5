"""Reconstruction of one angle, by PtyPy or the preview engine, on one rank or several."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from ..engines import ALONE, Chain, Ranks, parameter_tree, ranks_started, reconstruct
from ..errors import SettingsError
from ..extras import has_ptypy
from ..parallel import several_started
from ..plans import open_and_plan
from ..reconstruction.model import Reconstruction
from ..settings import Settings
from .angles import Angle

EngineName = Literal["auto", "ptypy", "preview"]


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

    name: EngineName = "auto"
    dm: int = 60
    ml: int = 40
    iterations: int = 60

    def __post_init__(self) -> None:
        if self.name not in ("auto", "ptypy", "preview"):
            raise SettingsError(f"engine={self.name!r}", "use auto, ptypy or preview (--engine)")
        if self.name == "auto":
            present = has_ptypy()
            object.__setattr__(self, "name", "ptypy" if present else "preview")

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
