"""PtyPy's loaders: import this module and name them in a parameter tree.

Only this module, :mod:`ptypy_beamline.models` and :mod:`ptypy_beamline.run` import PtyPy.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from ptypy import resources
from ptypy import utils as u
from ptypy.core.data import PtyScan
from ptypy.core.manager import ScanModel
from ptypy.experiment import register
from ptypy.utils import parallel
from ptypy.utils.verbose import log

from . import formats
from .arrays import Bools, Float32s, Floats, Ints
from .errors import BeamlineError, BeamlineWarning, SettingsError, warn
from .live import Follower
from .models.scan_models import register_models
from .options import Qc
from .parallel import ending_all, hook_all
from .parameter_values import as_listed, orientation_code
from .planning.exposures import recorded_i0
from .planning.plan import Plan
from .planning.scan_geometry import focus_to_sample_m
from .planning.streaming import Block, corrected
from .plans import plan_scan
from .ptypy_frames import (
    BlockSizes,
    FramesInOne,
    RawFrames,
    SharedWeight,
    check_frames,
    check_share,
    ptypy_center,
)
from .ptypy_parameters import PTYPY_OWN, checked, defaults_section
from .ptypy_probe import ProbesFromData
from .settings import Settings
from .summary import STEP, physics
from .user_warnings import USER_WARNINGS

if TYPE_CHECKING:
    from .quality.assessment import Assessment

Loader = TypeVar("Loader")

NO_BRAGG = "Bragg3dModel needs rocking angles, which these loaders do not read"
OTHER_MODEL = "use another scan model, BlockFull for one"

WHOLE_SCAN = 100_000
"""PtyPy's default of ``frames_per_block``."""

COMM = parallel.comm if parallel.MPIenabled else None
"""Communicator of all ranks; None for a single process."""

if COMM is not None:
    hook_all(COMM)

PROBES = ProbesFromData(parallel)
resources.probes.update(PROBES.named())
register_models()

# At a level that PtyPy's log shows by default; warnings it does not.
USER_WARNINGS.install(lambda text: log("CITATION", text), COMM)


class Common(u.Param):  # type: ignore[misc]
    """Metadata that all ranks share; a model that needs rocking angles gets an error."""

    def __getattr__(self, name: str) -> Any:
        if name in ("rocking_step", "n_rocking_positions", "theta_bragg"):
            raise SettingsError(NO_BRAGG, OTHER_MODEL)
        raise AttributeError(name)


def ending_all_ranks() -> AbstractContextManager[None]:
    """End every rank when this one fails; see :func:`~ptypy_beamline.parallel.ending_all`."""
    return ending_all(COMM)


def model_names() -> list[str]:
    """Scan models of PtyPy and of this package."""
    names = u.all_subclasses(ScanModel, names=True)
    return [name for name in names if not name.startswith("_")]


def _published(cls: type[Loader]) -> type[Loader]:
    """Document the parameters and register the loader under its own name."""
    cls.__doc__ = (cls.__doc__ or "") + defaults_section(cls.__name__)
    registered: type[Loader] = register()(cls)
    return registered


@_published
class BeamlineScan(PtyScan):  # type: ignore[misc]
    """A raw scan of any known format, recognised by content."""

    FAMILY: str | None = None
    """Family of formats this loader reads; None = all."""

    common: Any
    min_frames: int
    chunks_only = False
    """The scan model takes chunks as they are, and needs no list of their frames."""
    weight2d: Any
    """PtyPy's copy of what :meth:`load_weight` returns."""

    def __init__(self, pars: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        USER_WARNINGS.forget()
        given = {**(pars or {}), **kwargs}
        self.settings = Settings.of({k: v for k, v in given.items() if k not in PTYPY_OWN})
        super().__init__(u.Param(checked(given, self.settings)))
        self.p = self.info.copy()
        self._block_sizes = BlockSizes(parallel.size, self.info.min_frames)
        self.min_frames = 1  # else PtyPy waits for ever where a block is smaller
        self._first: int | None = None
        self._plan: Plan | None = None
        self._i0: Floats | None = None
        self.assessment: Assessment | None = None
        self._follower = Follower(self.settings) if self.settings.growing else None

    @property
    def plan(self) -> Plan:
        """The compiled plan; known to every rank once initialized."""
        if self._plan is None:
            raise RuntimeError("call initialize() first")
        return self._plan

    @property
    def frame_indices(self) -> Ints:
        """Raw frame of each position, (M,), or (M, k) with −1 for exposures that are left out."""
        exposures = self.plan.selection.exposures
        return exposures[:, 0] if exposures.shape[1] == 1 else exposures

    def initialize(self) -> None:
        """Make the plan, on the master or on every rank, then let PtyPy distribute it.

        Raises
        ------
        BeamlineError
            On every rank alike, so that none waits for another.
        """
        with ending_all_ranks():
            self._plan = self._plan_on_ranks()
            if self.settings.qc is not None:
                self._plan = self._without_bad_frames(self.settings.qc)
            super().initialize()
            USER_WARNINGS.gather()

    def post_initialize(self) -> None:
        """Tell PtyPy the geometry of the frames it will get, so that it does not change them."""
        self.common = Common(self.common)
        self._plan = self.common["plan"]
        geometry = self.plan.geometry
        self.info.shape = geometry.shape
        self.info.center = ptypy_center(geometry.center_px)
        self.info.auto_center = False
        self.info.psize = self.meta.psize = geometry.pixel_m
        self.info.energy = self.meta.energy = geometry.ptypy_energy_keV
        self.info.distance = self.meta.distance = geometry.distance_m
        self.orientation, self.rebin = None, 1
        self.weight2d = SharedWeight.of(self.weight2d)

    def load_positions(self) -> Floats | None:
        """(M, 2) positions (y, x) in metres, numbered 0…M−1 without holes; None: with the frames.

        Those of a live scan are not all known yet: :meth:`load` gives each with its frame.
        """
        if self._follower is not None:
            return None
        # PtyPy broadcasts memory, not arrays: in column order other ranks would get them mixed up.
        return np.ascontiguousarray(self.plan.positions_m)

    def load_weight(self) -> Bools:
        """(ny, nx) good pixels, apart from defects of single frames."""
        return np.ascontiguousarray(self.plan.good)

    def load_common(self) -> dict[str, Any]:
        """The plan: PtyPy hands it to every rank."""
        return {"plan": self.plan}

    def auto(self, frames: int) -> Any:
        """As PtyPy's; an error on one rank ends all."""
        with ending_all_ranks():
            answer = super().auto(frames)
        PROBES.plan = self.plan
        return answer

    def _make_data_package(self, chunk: Any) -> dict[str, Any]:
        """PtyPy's package of a chunk."""
        if self.chunks_only:
            return {"common": self.meta, "chunk": chunk}
        package: dict[str, Any] = super()._make_data_package(chunk)
        return package

    def check(self, frames: int | None = None, start: int | None = None) -> tuple[int, int]:
        """How many positions from ``start`` on can be loaded, and whether that is the end."""
        start = self.framestart if start is None else start
        if self._follower is not None:
            return self._check_live(self._follower, frames or 0, start)
        left = max(0, len(self.plan) - start)
        count = self._block_sizes.next(left, frames or 0)
        return count, int(count == left)

    def _check_live(self, follower: Follower, wanted: int, start: int) -> tuple[int, int]:
        """Whole blocks, or multiples of ``min_frames`` if that is set; the rest at the end."""
        if wanted >= WHOLE_SCAN * parallel.size and self._block_sizes.least == 1:
            warnings.warn(
                f"{self.settings.file_name}: frames of this live scan come in blocks of "
                f"{WHOLE_SCAN}, or all at its end; set min_frames of the scan's data, or "
                "frames_per_block",
                BeamlineWarning,
                stacklevel=2,
            )
        progress = follower.poll()
        left = len(progress.plan) - start
        if not progress.complete:
            count = self._block_sizes.next_of_growing(left, wanted, self._first)
            if count:
                self._plan = progress.plan
            return count, 0
        self._plan = progress.plan
        check_share(len(progress.plan), parallel.size, self.settings.file_name)
        count = self._block_sizes.next(left, wanted, self._first)
        return count, int(count == left)

    def _mpi_check(self, chunksize: int, start: int | None = None) -> Any:
        """As PtyPy's; afterwards every rank knows the positions that have come."""
        answer = super()._mpi_check(chunksize, start)
        if answer in (self.WAIT, self.EOS):
            return answer
        self._first = self._first or answer[1]
        if self._follower is not None:
            grown = parallel.bcast((self.plan.frames, self.plan.selection))
            self._plan = replace(self.plan, frames=grown[0], selection=grown[1])
        return answer

    def get_data_chunk(self, chunksize: int, start: int | None = None) -> Any:
        """As PtyPy's; afterwards the master has shown the warnings of all ranks."""
        chunk = super().get_data_chunk(chunksize, start)
        USER_WARNINGS.gather()
        return chunk

    def load(
        self, indices: Sequence[int]
    ) -> tuple[Mapping[int, NDArray[Any]], dict[int, Any], dict[int, Any]]:
        """Raw exposures {position: (k, h, w) native} of ``indices``, which may be empty.

        And, of a live scan, the positions {position: (y, x)}.
        """
        positions_m = {i: self.plan.positions_m[i] for i in indices} if self._follower else {}
        if self.load_in_parallel:
            return RawFrames(self.plan, indices), positions_m, {}
        raw = self.plan.load(indices)
        return dict(zip(indices, raw, strict=True)), positions_m, {}

    def correct(
        self, raw: Mapping[int, NDArray[Any]], weights: Mapping[int, Any], common: Any
    ) -> tuple[Mapping[int, Float32s], dict[int, Bools]]:
        """Frames {position: float32} and weights {position: bool}.

        Weights are empty when every frame shares :meth:`load_weight`'s; a frame without defects of
        its own shares it in any case.
        """
        positions = list(raw)
        array = np.zeros((len(positions), *self.plan.geometry.shape), np.float32)
        good: dict[int, Bools] = {}
        shared = self.weight2d
        for block in self._corrected(raw, positions, array):
            numbers = block.positions.tolist()
            if block.good.strides[0]:  # else all frames share one image
                for number, own in zip(numbers, block.good, strict=True):
                    good[number] = shared if np.array_equal(own, shared) else own.copy()
        return FramesInOne(positions, array), good

    def _corrected(
        self, raw: Mapping[int, NDArray[Any]], positions: Sequence[int], out: Float32s
    ) -> Iterator[Block]:
        """Blocks of ``positions``, whose frames are written to ``out``, (n, ny, nx) of zeros."""
        if isinstance(raw, RawFrames):
            yield from self.plan.stream(positions, out=out)
            return
        for start in range(0, len(positions), self.plan.block_size):
            here = slice(start, start + self.plan.block_size)
            part = np.asarray(positions[here])
            block = corrected(self.plan, np.stack([raw[i] for i in part.tolist()]), part)
            out[here] = block.frames
            yield block

    def _make_plan(self) -> Plan:
        if self.settings.file is None:
            raise SettingsError("no file is given", "set file to the raw scan")
        if self._follower is not None:
            plan = self._follower.wait_for_first_frames()
            self._check_family(self._follower.format)
            check_frames(plan, self.settings.file_name)
            return plan
        scan = formats.open_with(self.settings)
        self._check_family(scan.format)
        plan = plan_scan(scan, self.settings)
        if self.settings.orientation == "auto":
            code = orientation_code(plan.transform.orientation)
            log(2, f"Orientation {code} was found from the data")
        check_frames(plan, self.settings.file_name)
        near_field = focus_to_sample_m(scan, self.settings) is not None
        for implausible in physics(plan):
            if near_field and implausible.what.startswith(STEP):
                continue  # holds for far-field pixels only
            text = str(implausible).removeprefix(f"{implausible.level}: ")
            warnings.warn(text, BeamlineWarning, stacklevel=2)
        if self.settings.qc is None:
            self._check_count(plan)
        self._i0 = recorded_i0(scan, self.settings)
        return plan

    def _without_bad_frames(self, qc: Qc) -> Plan:
        """The plan without the exposures that quality control rejects.

        Every rank evaluates a share. A position keeps its other exposures.
        """
        from .quality.workflow import evaluate_plan

        plan: Plan = parallel.bcast(self._plan)
        self.assessment = evaluate_plan(plan, self.settings, qc, self._i0, COMM)
        rejected = self.assessment.reject_indices if self.assessment is not None else None
        rejected = parallel.bcast(rejected)
        if parallel.master:
            self._warn_of_rejected(rejected, int(np.sum(plan.selection.exposures >= 0)))
        plan = plan.without(rejected)
        if parallel.master:
            self._check_count(plan)
        return plan

    def _warn_of_rejected(self, rejected: Ints, total: int) -> None:
        every = ", ".join(map(str, rejected))
        log(3, f"Quality control: {len(rejected)} of {total} exposures rejected: {every}")
        if len(rejected):
            warn(
                f"quality control leaves out {len(rejected)} of {total} exposures, frames "
                f"{as_listed(rejected)}; look at them with ptypy-beamline qc, or leave qc off",
                self.settings.file_name,
            )

    def _check_count(self, plan: Plan) -> None:
        """Check the number of positions against that of ranks and of ``positions_theory``."""
        file, theory = self.settings.file_name, self.info.positions_theory
        check_share(len(plan), parallel.size, file)
        if theory is not None and len(theory) != len(plan):
            raise SettingsError(
                f"positions_theory has {len(theory)} positions, {len(plan)} are loaded",
                "give one for each position that is loaded",
                file,
            )

    def _check_family(self, name: str | None) -> None:
        if name is not None and self.FAMILY not in (None, formats.get(name).family):
            raise SettingsError(
                f"{type(self).__name__} reads {self.FAMILY} files, this is {name}",
                "use BeamlineScan",
                self.settings.file_name,
            )

    def _plan_on_ranks(self) -> Plan | None:
        """The plan, made by the master or by every rank; an error on one rank is raised on all."""
        plan, problem = None, None
        # Ranks that each read a growing scan would see different first frames; an orientation is
        # found once.
        master_only = self._follower is not None or self.settings.orientation == "auto"
        each = self.load_common_in_parallel and not master_only
        if parallel.master or each:
            try:
                plan = self._make_plan()
            except BeamlineError as error:
                problem = error
            except Exception as error:
                if COMM is None:
                    raise
                problem = BeamlineError(f"{type(error).__name__}: {error}")
        if COMM is not None:
            problems = COMM.allgather(problem)
            problem = next((p for p in problems if p is not None), None)
        if problem is not None:
            problem.agreed = True
            raise problem
        if self.load_common_in_parallel and not each:
            plan = parallel.bcast(plan)
        return plan


@_published
class BeamlineHdf5Scan(BeamlineScan):
    """A raw scan in a file of the HDF5 family."""

    FAMILY = "HDF5"


@_published
class BeamlineTiffScan(BeamlineScan):
    """Frames in TIFF files, with a sidecar HDF5 for positions and metadata."""

    FAMILY = "TIFF"


@_published
class BeamlinePtydScan(BeamlineScan):
    """Prepared data in a ``.ptyd`` of PtyPy's own or of this package."""

    FAMILY = "PTYD"


@_published
class BeamlinePhantomScan(BeamlineScan):
    """A phantom directory: its frames are measured, or simulated as they are read."""

    FAMILY = "phantom"
