"""A plan: everything that is wanted of a scan, checked and compiled once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import MissingDataError, SettingsError
from ..geometry import Geometry, cone_beam
from ..scan import Frames, Indices, Scan, Window
from ..settings import Settings
from . import kernels
from .calibration import Calibration, calibrate
from .sample import find_center, sample_frames
from .selection import Selection, select
from .transform import MODES, Transform, make_transform

BLOCK_BYTES = 32 * 2**20
"""Raw data read in one go: big enough to be fast, small beside a rank's own frames."""


@dataclass(frozen=True, eq=False)
class Block:
    """Some positions of a plan, corrected.

    Attributes
    ----------
    positions
        (n,) positions 0…M−1 of the plan.
    frames
        (n, ny, nx) float32 counts; bad pixels hold 0.
    good
        (n, ny, nx) bool, True = use; a read-only view when all frames share it.
    positions_m
        (n, 2) (row, column) in metres.
    exposures
        (n, k) raw frames of each position, −1 = left out.
    """

    positions: NDArray[np.int64]
    frames: NDArray[np.float32]
    good: NDArray[np.bool_]
    positions_m: NDArray[np.float64]
    exposures: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Plan:
    """What loading does. Frozen, picklable, without frames.

    Attributes
    ----------
    frames
        The raw exposures.
    selection
        Position → raw exposures.
    window
        Detector pixels of a frame; may reach past the detector's edge.
    center_px
        Beam centre in the window.
    calibration
        Dark, background, flat, bad pixels and limits of the window's part on the detector.
    transform
        Group → align → bin → turn → pad.
    geometry
        The geometry of the frames that come out.
    threads
        Threads that correct; None = the node's cores over its ranks.
    """

    frames: Frames
    selection: Selection
    window: Window
    center_px: tuple[float, float]
    calibration: Calibration
    transform: Transform
    geometry: Geometry
    threads: int | None = None

    def __len__(self) -> int:
        """Number of positions."""
        return len(self.selection)

    @property
    def positions_m(self) -> NDArray[np.float64]:
        """(M, 2) illumination (row, column) in metres."""
        return self.selection.positions_m

    @property
    def inside(self) -> Window:
        """The part of the window that lies on the detector."""
        return self.window.inside(self.frames.shape[1:])

    @property
    def _corner(self) -> tuple[int, int]:
        return self.inside.top - self.window.top, self.inside.left - self.window.left

    @property
    def shared_mask(self) -> bool:
        """True when the same pixels are good in every frame."""
        whole_numbers = not np.issubdtype(self.frames.dtype, np.floating)
        return whole_numbers and np.isinf(self.calibration.saturation) and not self.transform.align

    @cached_property
    def good(self) -> NDArray[np.bool_]:
        """(ny, nx) pixels that no static defect excludes, as they are handed over."""
        good = np.zeros((1, *self.window.shape), np.bool_)
        rows, columns = Window(*self._corner, *self.inside.shape).slices
        good[0, rows, columns] = ~self.calibration.bad
        if self.transform.is_identity:
            return np.asarray(good[0])
        out = np.zeros((1, *self.transform.shape), np.float32)
        out_good = np.zeros(out.shape, np.bool_)
        flat = np.zeros(good.shape, np.float32)
        replace(self.transform, align=False).deliver(flat, good, self.center_px, (out, out_good))
        return np.asarray(out_good[0])

    def load(self, positions: Indices) -> NDArray[Any]:
        """Read the raw exposures of ``positions``: (p, k, h, w) native; left-out ones hold 0."""
        exposures = self.selection.exposures[np.asarray(positions, np.intp)]
        present = exposures >= 0
        shape = (*exposures.shape, *self.inside.shape)
        if present.all():
            return self.frames.read(exposures.ravel(), self.inside).reshape(shape)
        raw = np.zeros(shape, self.frames.dtype)
        raw[present] = self.frames.read(exposures[present], self.inside)
        return raw

    def correct(
        self, raw: NDArray[Any], positions: Indices
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Turn raw exposures (p, k, h, w) of ``positions`` into frames.

        Returns
        -------
        frames : (p, ny, nx) float32
            Counts; 0 where bad.
        good : (p, ny, nx) bool
            True = use; a read-only view of one image when all frames share it.
        """
        raw = kernels.contiguous(raw)
        chosen = self.selection[np.asarray(positions, np.intp)]
        frames = np.zeros((len(raw), *self.transform.shape), np.float32)
        good = np.zeros(frames.shape, np.bool_)

        def run(part: slice) -> None:
            self._correct_part(raw[part], chosen[part], (frames[part], good[part]))

        count = self.threads or available_threads()
        parts = _shares(len(raw), count)
        if len(parts) <= 1:
            for part in parts:
                run(part)
        else:
            list(_pool(count).map(run, parts))
        if self.shared_mask:
            good = np.broadcast_to(self.good, frames.shape)
        return frames, good

    def _correct_part(
        self,
        raw: NDArray[Any],
        chosen: Selection,
        out: tuple[NDArray[np.float32], NDArray[np.bool_]],
    ) -> None:
        """Correct some positions into ``out`` (frames, good), which are zero on entry."""
        cal, transform = self.calibration, self.transform
        limits = (cal.saturation, cal.threshold)
        keep = _reduce(transform.grouping, chosen, raw, cal, limits)
        grouped = out
        if not transform.is_identity:
            window = (len(raw), *self.window.shape)
            grouped = np.zeros(window, np.float32), np.zeros(window, np.bool_)
        kernels.combine(
            raw, keep, chosen.scale, chosen.seconds, cal.offset, cal.gain, cal.bad, limits,
            MODES[transform.grouping], self._corner, *grouped,
        )  # fmt: skip
        if not transform.is_identity:
            transform.deliver(*grouped, self.center_px, out)

    def stream(self, positions: Indices, size: int | None = None) -> Iterator[Block]:
        """Load and correct ``positions``, ``size`` at a time; the next block is read meanwhile."""
        wanted = np.asarray(positions, np.int64)
        size = size or self.block_size
        parts = [wanted[start : start + size] for start in range(0, len(wanted), size)]
        with ThreadPoolExecutor(1, "read") as reader:
            ahead = [reader.submit(self.load, part) for part in parts[:1]]
            for number, part in enumerate(parts):
                raw = ahead.pop().result()
                ahead += [reader.submit(self.load, p) for p in parts[number + 1 : number + 2]]
                frames, good = self.correct(raw, part)
                del raw  # a third block would be in memory while the next one is read
                chosen = self.selection[part]
                yield Block(part, frames, good, chosen.positions_m, chosen.exposures)

    def blocks(self, size: int | None = None) -> Iterator[Block]:
        """Every position in order, ``size`` at a time."""
        return self.stream(np.arange(len(self)), size)

    @property
    def block_size(self) -> int:
        """Positions in a block."""
        h, w = self.inside.shape
        one = int(self.selection.exposures.shape[1]) * h * w * self.frames.dtype.itemsize
        return max(1, BLOCK_BYTES // max(one, 1))


def make_plan(scan: Scan, settings: Settings) -> Plan:
    """Compile ``settings`` for ``scan``; only a small sample of frames is read, if any.

    Raises
    ------
    BeamlineError
        One line that names what is wrong and the remedy.
    """
    selection = select(scan, settings)
    center = beam_center(scan, settings)
    window = make_window(settings.shape, center, scan.frame_shape)
    inside = window.inside(scan.frame_shape)
    if 0 in inside.shape:
        raise SettingsError(
            f"the window {window.height}x{window.width} around {_pixel(center)} lies outside the "
            f"{scan.frame_shape[0]}x{scan.frame_shape[1]} frame", "set center (--roi-center) to a "
            "raw detector pixel", scan.source,
        )  # fmt: skip
    transform = make_transform(settings, window.shape)
    in_window = (center[0] - window.top, center[1] - window.left)
    return Plan(
        scan.frames, selection, window, in_window, calibrate(scan, settings, inside), transform,
        make_geometry(scan, settings, transform, in_window), settings.threads,
    )  # fmt: skip


def beam_center(scan: Scan, settings: Settings) -> tuple[float, float]:
    """Beam centre (row, column) on the raw detector: given, else the file's, else found."""
    shape = scan.frame_shape
    given = settings.center
    if given == "fftshift":
        return shape[0] // 2, shape[1] // 2
    if given is not None:
        fractions = all(isinstance(c, float) and 0 <= c < 1 for c in given)
        center = tuple(c * n // 1 if fractions else c for c, n in zip(given, shape, strict=True))
        whose = "center (--roi-center)"
    elif scan.center_px is not None:
        center, whose = scan.center_px, "the file's beam centre"
    else:
        return find_center(sample_frames(scan.frames, Window.full(shape)), scan.bad)
    if not all(0 <= c < n for c, n in zip(center, shape, strict=True)):
        raise SettingsError(
            f"{whose} {_pixel(center)} lies outside the {shape[0]}x{shape[1]} detector",
            "set center (--roi-center) to a raw pixel (row, column)", scan.source,
        )  # fmt: skip
    return float(center[0]), float(center[1])


def make_window(
    shape: tuple[int, int] | None, center: tuple[float, float], frame_shape: tuple[int, int]
) -> Window:
    """The window of ``shape`` whose pixel N//2 is the one nearest to ``center``."""
    if shape is None:
        return Window.full(frame_shape)
    top, left = (int(np.floor(c + 0.5)) - n // 2 for c, n in zip(center, shape, strict=True))
    return Window(top, left, *shape)


def make_geometry(
    scan: Scan, settings: Settings, transform: Transform, center_px: tuple[float, float]
) -> Geometry:
    """The geometry of the frames that come out.

    Raises
    ------
    MissingDataError
        A quantity is neither in the file nor in the settings.
    GeometryError
        A quantity is impossible.
    """
    energy_eV = settings.energy * 1e3 if settings.energy is not None else scan.energy_eV
    distance_m = settings.distance if settings.distance is not None else scan.distance_m
    pixel_m = settings.psize if settings.psize is not None else scan.pixel_m
    if energy_eV is None:
        raise _missing("photon energy", "energy in keV (--energy-kev)", "energy", scan)
    if distance_m is None:
        raise _missing("detector distance", "distance in m (--distance-m)", "distance", scan)
    if pixel_m is None:
        raise _missing("detector pixel size", "psize in m (--pixel-m)", "pixel", scan)
    focus_m = settings.focus_to_sample
    if focus_m is not None:
        distance_m, pixel_m = cone_beam(distance_m, pixel_m, focus_m)
    return Geometry(float(energy_eV), float(distance_m), transform.pixel(pixel_m),
                    transform.shape, transform.center(center_px))  # fmt: skip


def _missing(what: str, parameter: str, path: str, scan: Scan) -> MissingDataError:
    return MissingDataError(
        f"no {what} in the file", f"set {parameter} or paths.{path} (--path {path}=PATH)",
        scan.source,
    )  # fmt: skip


def _pixel(center: Sequence[float]) -> str:
    return f"({center[0]:.1f}, {center[1]:.1f})"


def _reduce(
    grouping: str,
    chosen: Selection,
    raw: NDArray[Any],
    cal: Calibration,
    limits: tuple[float, float],
) -> NDArray[np.bool_]:
    """The exposures (p, k) that count; only one of each position where one is to be chosen."""
    keep: NDArray[np.bool_] = chosen.exposures >= 0
    if grouping not in ("first", "best") or keep.shape[1] == 1:
        return keep
    choice = keep.argmax(1)
    if grouping == "best":
        kernels.best_exposure(
            raw, keep, chosen.scale, cal.offset, cal.gain, cal.bad, limits, choice
        )
    one = np.zeros_like(keep)
    one[np.arange(len(keep)), choice] = True
    return one & keep


def available_threads() -> int:
    """Cores of this node over its MPI ranks, at least one."""
    ranks = next((int(os.environ[name]) for name in _LOCAL_RANKS if name in os.environ), 1)
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    return max(1, min(allowed, (os.cpu_count() or 1) // ranks))


_LOCAL_RANKS = ("OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "MV2_COMM_WORLD_LOCAL_SIZE")
_POOLS: dict[int, ThreadPoolExecutor] = {}


def _pool(threads: int) -> ThreadPoolExecutor:
    """One pool per size for the life of the process: starting threads for each block is slow."""
    if threads not in _POOLS:
        _POOLS[threads] = ThreadPoolExecutor(threads, "correct")
    return _POOLS[threads]


def _shares(n: int, count: int) -> list[slice]:
    """``n`` positions in at most ``count`` contiguous, nearly equal parts."""
    edges = np.linspace(0, n, min(count, n) + 1).round().astype(int) if n else np.zeros(1, int)
    return [slice(a, b) for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)]
