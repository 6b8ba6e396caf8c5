"""What is a fault, what score it has, and which frames are rejected: small examples."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from quality_scans import scan_of, truth

from ptypy_beamline import Settings
from ptypy_beamline.options import Qc
from ptypy_beamline.quality import scores
from ptypy_beamline.quality.evaluate import decide, rule
from ptypy_beamline.quality.scores import combined
from ptypy_beamline.quality.workflow import evaluate_scan


def z_of(rows=4, **off):
    """Deviations of ``rows`` rows: none but ``off`` in row 0, and 0.5 in all that are not given."""
    names = {*scores.ANY, *scores.SHAPE, "step", "level", "residual", "apart", "change", "ring_4"}
    return {name: np.array([off.get(name, 0.5)] + [0.5] * (rows - 1)) for name in names}


class TestFaults:
    """What is a fault, and what is due to the sample."""

    @pytest.mark.parametrize(
        ("off", "reason"),
        [
            ({"total": -4, "apart": 2}, "intensity"),
            ({"total": 4, "apart": 6, "contrast": 9}, "intensity"),
            ({"total": 4, "apart": 2, "contrast": 9}, None),
            ({"total": 4}, None),
            ({"row": 5, "column": -4, "likeness": 3}, "shifted"),
            ({"row": 5, "column": -4, "likeness": 3, "row_variance": 4}, None),
            ({"row_variance": 5, "column_variance": 6, "neighbours": 3}, "noise"),
            ({"row_variance": -5, "column_variance": 6, "neighbours": 3}, None),
            ({"step": 9}, "repeated frame"),
            ({"likeness": 6, "apart": 3}, "unlike the rest of the scan"),
            ({"neighbours": 6}, "unlike its neighbours"),
            ({"ring_3": -11, "apart": 5}, "ring_3"),
            ({"ring_3": -30}, None),
        ],
    )
    def test_limits_of_each_fault(self, off, reason):
        nothing = np.zeros(4)
        never = nothing.astype(bool)
        found = scores.Deviation.of(z_of(**off), never, nothing, never)
        assert (found.size[1:] < 0.5).all()
        assert (found.size[0] >= 1) == (reason is not None)
        assert reason is None or found.reason[0] == reason

    def test_dark_frames_are_faults_where_the_beam_was_lost(self):
        dark = np.array([True, True, False, False])
        lost, never = np.array([1.3, 0.4, 0, 0]), np.zeros(4, bool)
        found = scores.Deviation.of(z_of(total=-99, apart=99), dark, lost, never)
        assert found.size[:2].tolist() == [13, 0.4]
        assert found.reason[:2].tolist() == ["no beam", "dark"]


def test_score_weighs_ranks():
    features, embedding = np.array([1.0, 5, 2, 3]), np.array([40.0, 10, 20, 30])
    assert_allclose(combined(features, embedding, 1), [0, 1, 1 / 3, 2 / 3])
    assert_allclose(combined(features, embedding, 0), [1, 0, 1 / 3, 2 / 3])
    assert_allclose(combined(features, embedding, 0.25), [0.75, 0.25, 1 / 3, 2 / 3])


class TestRules:
    """Which frames are rejected."""

    score = np.array([0.1, 0.9, 0.5, 0.8, 0.99, 0.2, 0.3, 0.4, 0.6, 0.7])

    def rows(self, masked=None, **rules):
        masked = np.ones(10, bool) if masked is None else masked
        z = np.zeros(10)
        return np.flatnonzero(decide(self.score, z, masked, Qc(**rules))).tolist()

    @pytest.mark.parametrize(
        ("rules", "rows"),
        [
            ({"reject_topk": 2}, [1, 4]),
            ({"reject_topk": 0}, []),
            ({"reject_topk": 99}, [*range(10)]),
            ({"reject_topp": 0.3}, [1, 3, 4]),
            ({"reject_topp": 0.0}, []),
            ({"reject_topp": 1.0}, [*range(10)]),
            ({"reject_thresh": 0.8}, [1, 3, 4]),
            ({"reject_topk": 1, "reject_topp": 0.2}, [1, 4]),
            ({"reject_topk": 1, "reject_thresh": 0.9}, [1, 4]),
            ({"reject_topk": 3, "reject_topp": 0.1, "reject_thresh": 1.0}, [1, 3, 4]),
        ],
    )
    def test_rules_alone_and_together(self, rules, rows):
        assert self.rows(**rules) == rows

    def test_counts_and_shares_are_of_the_region(self):
        masked = np.arange(10) > 4
        assert self.rows(masked, reject_topk=1) == [9]
        assert self.rows(masked, reject_topp=0.4) == [8, 9]

    def test_the_default_rule_rejects_faults(self):
        size = np.array([0.0, 0.999, 1, 50])
        found = decide(np.ones(4), size, np.ones(4, bool), Qc())
        assert found.tolist() == [False, False, True, True]

    def test_each_rule_has_a_description(self):
        text = rule(Qc(reject_topk=3, reject_topp=0.02, reject_thresh=0.9))
        for words in ("3 frames", "0.02", "0.9", "and"):
            assert words in text
        assert "neighbours" in rule(Qc())

    @pytest.mark.parametrize("axes", ["yx", "-xy", "x-y"])
    def test_regions_are_in_stage_coordinates(self, axes):
        settings = Settings.of({"positions.axes": axes})
        scan = scan_of(positions_m=truth().positions_m + np.array([3e-3, -2e-3]))
        y, x = scan.positions_m.T
        regions = {
            "rect": (
                (-2e-3, 3e-3 + 1e-7, 3e-7, 5e-7),
                (np.abs(x + 2e-3) <= 1.5e-7) & (np.abs(y - 3.0001e-3) <= 2.5e-7),
            ),
            "circ": ((-2e-3, 3e-3, 2e-7), np.hypot(x + 2e-3, y - 3e-3) <= 2e-7),
        }
        for name, (region, wanted) in regions.items():
            plan = scan.plan(**{"positions.axes": axes})
            found = evaluate_scan(scan, plan, settings, Qc(**{name: region}, reject_topk=4))
            assert 20 < wanted.sum() < 150
            assert_allclose(found.positions_m, scan.positions_m)
            assert_array_equal(found.masked, wanted)
            assert found.rejected[~wanted].all()
            assert found.rejected[wanted].sum() == 4
