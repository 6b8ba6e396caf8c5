"""Every way that a scan can take, compared with the plain reference."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from random_scans import Case
from reference_load import Expected, load
from reference_scan import RefusedError

from ptypy_beamline import BeamlineError, BeamlineWarning, open_scan
from ptypy_beamline.planning.plan import Plan
from ptypy_beamline.writers.ptyd import write_ptyd
from ptypy_beamline.writers.standard import write_standard

FOUND_WITHIN_PX = 1.0
"""How far a beam centre that is found in the data may lie from the true one."""


META = ("energy", "distance", "psize", "center", "shape", "num_frames")
"""What is compared of a ``.ptyd``."""


class DiffersError(Exception):
    """A way does not give what the reference does."""


@dataclass(frozen=True, eq=False)
class Got:
    """What came out at the end of a way; ``weights`` are those of each frame."""

    frames: np.ndarray
    good: np.ndarray
    positions_m: np.ndarray
    energy_eV: float
    distance_m: float
    pixel_m: Any
    center_px: Any
    exposures: np.ndarray | None = None


def compare(way: str, got: Got, wanted: Expected) -> None:
    """Masks, indices and numbers of frames exactly; counts to float32 rounding.

    Positions and the geometry may differ by a billionth, as units are multiplied.
    """

    def same(name: str, ok: Any, *values: Any) -> None:
        if not np.all(ok):
            raise DiffersError(f"{way}: {name}: {', '.join(str(v) for v in values)}")

    same("shape", got.frames.shape == wanted.frames.shape, got.frames.shape, wanted.frames.shape)
    same("dtype", got.frames.dtype == np.float32, got.frames.dtype)
    wrong = np.argwhere(got.good != wanted.good)
    same("good pixels", not len(wrong), f"{len(wrong)} differ", wrong[:3].tolist())
    same("bad pixels hold 0", (got.frames[~got.good] == 0).all())
    off = np.abs(got.frames - wanted.frames) > wanted.slack + 1e-30
    same(
        "counts",
        not off.any(),
        f"{off.sum()} differ",
        np.argwhere(off)[:3].tolist(),
        got.frames[off][:3],
        wanted.frames[off][:3],
    )
    extent = np.abs(wanted.positions_m).max() or 1
    near = np.abs(got.positions_m - wanted.positions_m) <= 1e-9 * extent
    same("positions", near, got.positions_m[:4].tolist(), wanted.positions_m[:4].tolist())
    if got.exposures is not None:
        same(
            "exposures",
            np.array_equal(got.exposures, wanted.exposures),
            got.exposures.tolist(),
            wanted.exposures.tolist(),
        )
    for name in ("energy_eV", "distance_m", "pixel_m", "center_px"):
        mine, other = np.array(getattr(got, name)), np.array(getattr(wanted, name))
        least = 1e-9 if name == "center_px" else 0
        same(name, np.allclose(mine, other, rtol=1e-9, atol=least), mine, other)


@dataclass(frozen=True)
class Attempt:
    """A case on its way: its files, its settings, the plan or the error that is its answer."""

    case: Case
    folder: Path
    file: Path
    settings: Mapping[str, Any]
    wanted: Expected | None
    plan: Plan | None
    error: BeamlineError | None


def by_plan(attempt: Attempt) -> None:
    """``Plan.blocks``, of some size."""
    if attempt.plan is not None and attempt.wanted is not None:
        compare("plan", of_plan(attempt.plan, attempt.case.chunk), attempt.wanted)


def of_plan(plan: Plan, size: int | None = None) -> Got:
    blocks = list(plan.blocks(size))
    geometry = plan.geometry
    return Got(
        np.concatenate([b.frames for b in blocks]),
        np.concatenate([b.good for b in blocks]),
        np.concatenate([b.positions_m for b in blocks]),
        geometry.energy_eV,
        geometry.distance_m,
        geometry.pixel_m,
        geometry.center_px,
        np.concatenate([b.exposures for b in blocks]),
    )


def by_ptypy(attempt: Attempt) -> None:
    """PtyPy's ``auto()`` to the end, some frames at a time."""
    from ptypy_beamline import ptyscan

    given = {**attempt.settings, **attempt.case.ptypy, "file": str(attempt.file)}
    try:
        scan = getattr(ptyscan, attempt.case.loader)(**given)
        scan.initialize()
    except BeamlineError as error:
        _refused_alike(attempt, error)
        return
    if attempt.wanted is None:
        raise DiffersError(f"PtyPy takes what the plan refuses: {attempt.error}")
    if _square(attempt.wanted) is False:
        raise DiffersError("PtyPy gets frames that are not square")
    items, indices = _all_items(scan, attempt.case.chunk)
    if indices != list(range(len(attempt.wanted.frames))):
        raise DiffersError(f"PtyPy: indices {indices}")
    frames, masks, positions = (
        np.array([item[name] for item in items]) for name in ("data", "mask", "position")
    )
    got = Got(
        frames,
        masks,
        positions,
        scan.meta.energy * 1e3,
        scan.meta.distance,
        scan.meta.psize,
        scan.info.center,
        scan.frame_indices.reshape(len(frames), -1),
    )
    compare(
        "PtyPy", got, replace(attempt.wanted, center_px=center_for_ptypy(attempt.wanted.center_px))
    )


def center_for_ptypy(center_px: tuple[float, float]) -> tuple[float, ...]:
    """A centre less than 0.3 pixel above a whole pixel is rounded down for PtyPy."""
    return tuple(float(c // 1) if c % 1 < 0.3 else c for c in center_px)


def _all_items(scan: Any, chunk: int) -> tuple[list[Any], list[int]]:
    items: list[Any] = []
    while (package := scan.auto(chunk)) != scan.EOS:
        items += package["iterable"]
    return items, [int(item["index"]) for item in items]


def _square(wanted: Expected) -> bool:
    return wanted.frames.shape[1] == wanted.frames.shape[2]


def _refused_alike(attempt: Attempt, error: BeamlineError) -> None:
    """As the plan was, or because PtyPy cannot take such frames."""
    if attempt.error is not None:
        if type(error) is not type(attempt.error) or str(error) != str(attempt.error):
            raise DiffersError(f"PtyPy says {error!r}, the plan {attempt.error!r}")
        return
    assert attempt.wanted is not None
    shape = attempt.wanted.frames.shape[1:]
    edge = min(min(c, n - 1 - c) for c, n in zip(attempt.wanted.center_px, shape, strict=True))
    if _square(attempt.wanted) and edge > 2:
        raise DiffersError(f"PtyPy refuses what the plan takes: {error}")


def by_ptyd(attempt: Attempt) -> None:
    """The ``.ptyd`` that is written, read with h5py alone."""
    if attempt.plan is None or attempt.wanted is None:
        return
    save = "link" if attempt.case.chunk % 3 == 0 else "append"
    file = write_ptyd(
        attempt.plan, attempt.folder / "out.ptyd", save=save, block=attempt.case.chunk
    )
    with h5py.File(file) as opened:
        chunks = [opened[f"chunks/{i}"] for i in range(len(opened["chunks"]))]
        frames, weights, positions, indices = (
            np.concatenate([chunk[name][()] for chunk in chunks])
            for name in ("data", "weights", "positions", "indices")
        )
        meta = {name: opened[f"meta/{name}"][()] for name in META}
    if indices.tolist() != list(range(len(frames))) or meta["num_frames"] != len(frames):
        raise DiffersError(f".ptyd: indices {indices}, num_frames {meta['num_frames']}")
    if tuple(meta["shape"]) != frames.shape[1:]:
        raise DiffersError(f".ptyd: shape {meta['shape']}")
    got = Got(
        frames,
        weights > 0,
        positions,
        float(meta["energy"]) * 1e3,
        float(meta["distance"]),
        meta["psize"],
        meta["center"],
    )
    compare(".ptyd", got, attempt.wanted)
    if attempt.case.chunk % 2:
        _again(".ptyd read back", file, attempt.wanted)


def by_standard(attempt: Attempt) -> None:
    """The standardized file that is written, read back."""
    if attempt.plan is None or attempt.wanted is None:
        return
    file = write_standard(attempt.plan, attempt.folder / "out.h5")
    _again("standardized file", file, attempt.wanted)
    with h5py.File(file) as opened:
        if not np.array_equal(opened["/entry/frame_indices"], attempt.wanted.exposures):
            raise DiffersError("standardized file: frame_indices")


def _again(way: str, file: Path, wanted: Expected) -> None:
    got = of_plan(open_scan(file).plan())
    compare(way, replace(got, exposures=None), wanted)


WAYS: dict[str, Callable[[Attempt], None]] = {
    "plan": by_plan,
    "ptypy": by_ptypy,
    "ptyd": by_ptyd,
    "standard": by_standard,
}


def disagreement(case: Case, ways: Any = tuple(WAYS)) -> str:
    """What differs, "" if nothing does."""
    with _folder() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", BeamlineWarning)
        try:
            attempt = begun(case, folder)
            for way in ways:
                WAYS[way](attempt)
        except DiffersError as problem:
            return str(problem)
        except BeamlineError as problem:
            return f"{type(problem).__name__}: {problem}"
        except Exception as problem:
            return f"{type(problem).__name__} (no error of the package's): {problem}"
    return ""


def refused(case: Case) -> bool:
    """Whether the reference finds fault with the settings."""
    try:
        load(case.measured, case.settings)
    except RefusedError:
        return True
    return False


def begun(case: Case, folder: Path) -> Attempt:
    """The case written and planned, and what the reference expects."""
    file, settings = case.write(folder)
    plan, error = None, None
    try:
        plan = open_scan(file, **settings).plan()
    except BeamlineError as problem:
        error = problem
    wanted, refusal = None, None
    try:
        wanted = load(case.measured, {**settings, **case.settings}, _found(case, plan))
    except RefusedError as problem:
        refusal = problem
    if refusal is None and error is not None:
        raise DiffersError(f"refused wrongly: {type(error).__name__}: {error}")
    if refusal is not None and error is None:
        raise DiffersError(f"not refused, but wrong: {refusal}")
    if refusal is not None and not any(word in str(error) for word in refusal.words):
        raise DiffersError(f"wrong because of {refusal}, refused because of: {error}")
    return Attempt(case, folder, file, settings, wanted, plan, error)


def _found(case: Case, plan: Plan | None) -> tuple[float, float] | None:
    """The centre that was found in the data, which must be near the true one."""
    told_anyway = "center" in case.settings or case.measured.center_px is not None
    if plan is None or told_anyway:
        return None
    y, x = plan.center_px[0] + plan.window.top, plan.center_px[1] + plan.window.left
    true = case.measured.beam_px
    if max(abs(y - true[0]), abs(x - true[1])) > FOUND_WITHIN_PX:
        raise DiffersError(f"the centre is found at {(y, x)}, it is at {true}")
    return y, x


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="random-settings-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def shrunk(case: Case, fails: Callable[[Case], str] = disagreement) -> Case:
    """The case without all that it can do without and still fail as it does."""
    kind = fails(case).split(":")[0]
    again = True
    while again:
        again = False
        for smaller in _smaller(case):
            if fails(smaller).split(":")[0] == kind:
                case, again = smaller, True
                break
    return case


def _smaller(case: Case) -> Iterator[Case]:
    """The case with one thing less."""
    for name in case.settings:
        if name not in case.needs:
            left = {k: v for k, v in case.settings.items() if k != name}
            yield replace(case, settings=left)
    for name in case.ptypy:
        yield replace(case, ptypy={k: v for k, v in case.ptypy.items() if k != name})
    for name in ("bad", "dark", "flat", "monitor", "saturation", "compression"):
        if getattr(case.raw, name) is not None:
            measured = case.measured
            if name != "compression":
                measured = replace(measured, **{"mask" if name == "bad" else name: None})
            yield replace(case, raw=replace(case.raw, **{name: None}), measured=measured)
