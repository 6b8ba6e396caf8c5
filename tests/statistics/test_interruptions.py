"""Frames without beam: of a beam that was lost, or behind an absorber."""

from __future__ import annotations

import numpy as np
import pytest

from ptypy_beamline.statistics.interruptions import beam_lost, no_beam
from ptypy_beamline.statistics.measure import COLUMNS
from ptypy_beamline.statistics.measurements import Measurements


def features(total):
    """What was measured of frames with these counts."""
    table = np.zeros((len(total), len(COLUMNS)))
    table[:, 0] = total
    slot = np.zeros(len(total), np.int64)
    return Measurements(table, np.zeros(len(total)), np.zeros((len(total), 64), np.float32), slot)


class TestBeamLost:
    """Dark frames: of a beam that was lost, or behind an absorber."""

    positions = np.stack(np.mgrid[:20, :20], -1).reshape(-1, 2).astype(float)

    def lost(self, dark):
        measured = features(np.where(dark, 1.0, 1000.0))
        assert (no_beam(measured) == dark).all()
        return beam_lost(measured, dark, self.positions) >= 1

    @pytest.mark.parametrize("rows", [[5], [5, 6, 7], [*range(107, 147)], [399]])
    def test_beam_that_was_lost(self, rows):
        dark = np.isin(np.arange(400), rows)
        assert self.lost(dark)[dark].mean() > 0.7
        assert not self.lost(dark)[~dark].any()

    @pytest.mark.parametrize("where", ["column", "block", "row"])
    def test_beam_behind_an_absorber(self, where):
        y, x = self.positions.T
        dark = {
            "column": (x > 4) & (x < 7),
            "block": (x > 4) & (x < 9) & (y > 8) & (y < 14),
            "row": y == 8,
        }[where]
        assert not self.lost(dark).any()
