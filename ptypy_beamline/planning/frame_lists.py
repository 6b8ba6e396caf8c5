"""Raw frames that the user lists: those to reject, and the order of those to load."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import Floats, Ints
from ..errors import SettingsError, warn
from ..frames.images import whole_numbers_of
from ..frames.wrappers import whole_stack
from ..scan import Scan
from ..settings import Settings
from .rejects import RejectTarget, rejected_frames


def with_reject_list(scan: Scan, settings: Settings, growing: bool) -> Settings:
    """Replace the file of a reject list in the settings by the raw frames that it names.

    Raises
    ------
    SettingsError
        The list names a frame that does not exist; in a ``growing`` scan it still may.
    """
    if settings.reject is None:
        return settings
    return settings.model_copy(update={"reject": _rejected_raw(scan, settings, growing)})


def rejected(scan: Scan, settings: Settings, growing: bool) -> Ints:
    """The scan's frames that are in the reject list; raises as :func:`with_reject_list`."""
    if settings.reject is None:
        return np.zeros(0, np.int64)
    named = _rejected_raw(scan, settings, growing)
    return np.flatnonzero(np.isin(whole_stack(scan.frames)[1], named))


def _rejected_raw(scan: Scan, settings: Settings, growing: bool) -> Ints:
    """Raw frames that are in the reject list."""
    whole, picked = whole_stack(scan.frames)
    target = RejectTarget(
        whole.shape[0],
        scan.source,
        scan.grid if whole is scan.frames else None,
        settings.frames_per_position or 1,
        _raw_positions(scan, settings, whole.shape[0], picked),
        growing,
    )
    return rejected_frames(settings.reject, target)


def _raw_positions(scan: Scan, settings: Settings, total: int, picked: Ints) -> Floats | None:
    """(total, 2) listed position of each raw frame; None if they are not simply one per frame."""
    given = settings.positions
    listed = len(scan.positions_m) == len(scan) and scan.positions_px is None
    if given.shift or given.snake or given.backlash or not listed:
        return None
    each = np.full((total, 2), np.nan)
    each[picked] = scan.positions_m
    return each


def frame_order(scan: Scan, settings: Settings) -> Ints | None:
    """(m,) the scan's frames in the order asked for; None = as acquired.

    The list names raw frames of the files; −1 stands for one that the scan does not use.

    Raises
    ------
    SettingsError
        It is empty, or names a frame that does not exist.
    """
    if settings.frame_order is None:
        return None
    wanted = whole_numbers_of(settings.frame_order, "frame_order", settings.links)
    whole, picked = whole_stack(scan.frames)
    total = whole.shape[0]
    beyond = wanted[(wanted < 0) | (wanted >= total)]
    if len(beyond) or not len(wanted):
        problem = f"names frame {beyond[0]}" if len(beyond) else "is empty"
        raise SettingsError(
            f"frame_order {problem}, the scan has frames 0 to {total - 1}",
            "list the raw frames to load, in the order you want",
            scan.source,
        )
    number = np.full(total, -1)
    number[picked] = np.arange(len(picked))
    return np.asarray(number[wanted], np.int64)


def in_order(exposures: Ints, wanted: Ints, source: Any) -> tuple[Ints, Ints]:
    """Sort positions by the order of their frames.

    Frames of one position that are listed consecutively stay one position; listed apart, or
    repeated, they become positions of their own.

    Parameters
    ----------
    exposures
        (p, k) frames of each position, −1 = excluded.
    wanted
        (m,) frames, −1 = not used by the scan.
    source
        The file, for messages.

    Returns
    -------
    rows : (q,)
        The positions.
    columns : (q, k)
        Which of their exposures; −1−c = exposure c is excluded.

    Raises
    ------
    SettingsError
        None of the frames has a position.
    """
    k = exposures.shape[1]
    where = np.full(max(exposures.max(initial=-1), wanted.max(initial=-1)) + 1, -1)
    used = exposures.ravel() >= 0
    where[exposures.ravel()[used]] = np.flatnonzero(used)
    slots = np.where(wanted >= 0, where[wanted], -1)
    lost = int((slots < 0).sum())
    if lost == len(slots):
        raise SettingsError(
            "no frame of frame_order has a position", "list raw frames that have one", source
        )
    if lost:
        warn(
            f"{lost} of {len(slots)} frames in frame_order have no position and are left out",
            source,
        )
    slots = slots[slots >= 0]
    return (slots, np.zeros((len(slots), 1), np.int64)) if k == 1 else _grouped(slots, k)


def _grouped(slots: Ints, k: int) -> tuple[Ints, Ints]:
    """Positions and their exposures, from slots k·position + exposure."""
    rows: list[int] = []
    columns: list[list[int]] = []
    for row, column in zip(*np.divmod(slots, k), strict=True):
        if not rows or rows[-1] != row or column in columns[-1]:
            rows.append(int(row))
            columns.append([])
        columns[-1].append(int(column))
    padded = [inside + [~c for c in range(k) if c not in inside] for inside in columns]
    return np.array(rows), np.array(padded)
