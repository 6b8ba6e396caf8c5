"""What quality control needs of a scan: frames and positions, and nothing of its physics."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from ..arrays import Floats
from ..errors import BeamlineError, MissingDataError, silenced_warnings, warn
from ..formats import open_with
from ..geometry import resolution_m
from ..planning.scan_geometry import quantities
from ..scan import Scan
from ..settings import Settings

NOMINAL = {"energy": 10.0, "distance": 1.0, "psize": (1e-4, 1e-4), "focus_to_sample": 0.0}
"""Stands for what a file does not say; frames are compared with each other, so it changes nothing.
"""
METRES, PIXELS, AS_STORED = "m", "px", ""
"""Units of stage positions; the last is not known."""


@dataclass(frozen=True)
class Needs:
    """How a scan can be loaded to be judged.

    Attributes
    ----------
    settings
        The user's, with nominal physics where neither they nor the file have any.
    unit
        Of the stage positions: ``m``, ``px``, or empty where nobody knows.
    size
        (y, x) what to divide the plan's positions by to have them in ``unit``.
    """

    settings: Settings
    unit: str = METRES
    size: tuple[float, float] = (1.0, 1.0)

    @classmethod
    def of(cls, settings: Settings) -> Needs:
        """Of the file that ``settings`` name; waits for one that is followed.

        Raises
        ------
        BeamlineError
            There are no frames or no positions, or anything else is wrong with the file.
        """
        end = time.monotonic() + (settings.live.timeout_s or 0)
        while True:
            try:
                with silenced_warnings():  # whoever loads it warns
                    needs = _needs(settings)
            except BeamlineError:
                if time.monotonic() >= end:
                    raise
                time.sleep(settings.live.poll_s)
            else:
                needs.warn()
                return needs

    def warn(self) -> None:
        """Say what is taken as it is stored."""
        if self.unit == AS_STORED:
            warn(
                "the positions have no unit: they are taken as they are stored, and so "
                "is a region; set units.positions (--unit positions=UNIT)",
                self.settings.file_name,
            )

    def stage(self, positions_m: Floats) -> Floats:
        """Positions (n, 2) of a plan in ``unit``."""
        return np.asarray(positions_m / np.array(self.size), np.float64)


def _needs(settings: Settings) -> Needs:
    """As it is, else with nominal physics, else also without a unit of positions."""
    try:
        quantities(open_with(settings), settings)
        return Needs(settings)
    except BeamlineError:
        lacking = {key: value for key, value in NOMINAL.items() if getattr(settings, key) is None}
        nominal = settings.model_copy(update=lacking)
    try:
        return _placed(nominal, open_with(nominal))
    except MissingDataError:
        if nominal.units.positions is not None:
            raise
        units = nominal.units.model_copy(update={"positions": METRES})
        bare = nominal.model_copy(update={"units": units})
        try:
            open_with(bare)
        except BeamlineError:
            pass
        else:
            return Needs(bare, AS_STORED)
        raise


def _placed(nominal: Settings, scan: Scan) -> Needs:
    """Positions in pixels stay such: a nominal pixel says nothing."""
    if scan.positions_px is None:
        return Needs(nominal)
    size = resolution_m(*quantities(scan, nominal), scan.frame_shape)
    return Needs(nominal, PIXELS, size)
