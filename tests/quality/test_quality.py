"""What quality control measures, and how it decides: plain NumPy and small examples beside it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from judging import judged, scan_of, truth
from numpy.testing import assert_allclose, assert_array_equal

from ptypy_beamline import Settings
from ptypy_beamline.options import Qc
from ptypy_beamline.planning import plan as plan_module
from ptypy_beamline.quality import Exposures, evaluate, faults, kernels, reject
from ptypy_beamline.quality.evidence import Measured, apart, beam_lost, no_beam
from ptypy_beamline.quality.features import Yardstick, measured
from ptypy_beamline.quality.inspect import judged_scan
from ptypy_beamline.quality.scores import LIMIT, Around, combined, local_z, neighbours, rank


def everything(plan, side=32, positions=None):
    """All that is measured: table, fraction without a count, small and binned pictures."""
    positions = np.arange(len(plan)) if positions is None else positions
    parts = list(measured(plan, positions, Yardstick.of(plan), side))
    return tuple(
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("table", "spoiled", "small", "binned")
    )


def features_of(frame, before, usual, center):
    """Everything of one frame, as the documentation has it; ``usual``: the median frame."""
    frame, before = frame.astype(np.float64), before.astype(np.float64)
    rows, columns = np.indices(frame.shape)
    total = frame.sum()
    away = [min(c + 0.5, n - c - 0.5) for c, n in zip(center, frame.shape, strict=True)]
    edge = max(1.0, min(away))
    radius = np.hypot(rows - center[0], columns - center[1])
    found = {"total": total, "maximum": frame.max()}
    for name, places in (("row", rows), ("column", columns)):
        mean = (frame * places).sum() / total
        found[name] = mean
        found[f"{name}_variance"] = (frame * (places - mean) ** 2).sum() / total
    for ring in range(4):
        inside = (radius >= ring * edge / 4) & (radius < (ring + 1) * edge / 4)
        found[f"ring_{ring + 1}"] = frame[inside].sum()
    middle = frame[tuple(slice(max(0, int(c - edge / 2)), int(c + edge / 2) + 1) for c in center)]
    found["contrast"] = middle.std() / middle.mean()
    found["likeness"] = (np.sqrt(frame) * np.sqrt(usual)).sum() / np.sqrt(total * usual.sum())
    found["change"] = np.abs(frame - before).mean()
    return [found[name] for name in kernels.COLUMNS]


def in_bins(frame, side):
    """Counts in side x side bins; pixel y of h lies in bin y·side // h."""
    out = np.zeros((side, side))
    rows, columns = np.indices(frame.shape)
    np.add.at(out, (rows * side // frame.shape[0], columns * side // frame.shape[1]), frame)
    return out


def in_coarse_bins(image):
    """Logarithm of the counts in at most 8x8 bins, in which neighbours are compared."""
    count = min(8, len(image))
    edges = [k * len(image) // count for k in range(count + 1)]
    return np.log1p([image[a:b, c:d].sum() for a, b in pairwise(edges) for c, d in pairwise(edges)])


class TestFeatures:
    """The kernel against plain NumPy."""

    @pytest.mark.parametrize(
        ("shape", "center", "side"),
        [
            ((64, 64), (32, 32), 32),
            ((17, 31), (8, 15), 8),
            ((31, 18), (20.5, 3.2), 7),
            ((20, 24), (10, 12), 32),
            ((5, 9), (2, 4), 4),
            ((33, 33), (0, 0), 32),
        ],
    )
    def test_any_shape_centre_and_number_of_bins(self, shape, center, side):
        rng = np.random.default_rng(1)
        frames = rng.poisson(rng.exponential(30, (12, *shape))).astype(np.uint16)
        plan = scan_of(frames, center_px=center).plan()
        table, spoiled, small, binned = everything(plan, side)
        usual = np.median(frames, axis=0)
        pairs = zip(frames[[0, *range(11)]], frames, strict=True)
        wanted = np.array(
            [features_of(frame, before, usual, plan.geometry.center_px) for before, frame in pairs]
        )
        wanted[0, kernels.COLUMNS.index("change")] = np.nan
        assert_allclose(table, wanted, rtol=1e-4)
        side = min(side, *shape)
        assert_allclose(binned, [in_bins(frame, side) for frame in frames])
        assert_allclose(small, [in_coarse_bins(image) for image in binned], rtol=1e-5)
        assert not spoiled.any()

    def test_a_blank_frame_has_no_place_and_one_pixel_has_no_width(self):
        frames = truth().frames[:9].copy()
        frames[3] = 0
        frames[5] = 0
        frames[5, 40, 7] = 1000
        table = everything(scan_of(frames).plan())[0]
        found = dict(zip(kernels.COLUMNS, table[3], strict=True))
        assert found["total"] == found["maximum"] == found["ring_1"] == 0
        for name in ("row", "column", "row_variance", "column_variance", "contrast", "likeness"):
            assert np.isnan(found[name]), name
        assert found["change"] == pytest.approx(frames[2].mean(), rel=1e-5)
        assert kernels.COLUMNS[:6] == (
            "total",
            "maximum",
            "row",
            "column",
            "row_variance",
            "column_variance",
        )
        assert_allclose(table[5, :6], [1000, 1000, 40, 7, 0, 0], atol=1e-9)

    def test_frames_without_a_count_are_counted_by_good_pixels(self):
        frames = truth().frames[:6].astype(np.float32)
        mask = np.zeros((64, 64), bool)
        mask[:8] = True
        frames[1, 4:12] = np.nan  # half of them masked anyway
        frames[2, 60] = 1e9
        _, spoiled, _, binned = everything(scan_of(frames).plan(mask=mask, saturation=1e8))
        assert_allclose(spoiled, [0, 4 / 56, 1 / 56, 0, 0, 0], atol=1e-12)
        assert np.isfinite(binned).all()

    def test_a_part_of_a_scan_is_measured_as_in_the_whole(self):
        plan = scan_of().plan()
        whole, part = everything(plan), everything(plan, positions=np.arange(50, 91))
        for one, other in zip(whole, part, strict=True):
            assert_array_equal(one[50:91], other)
        assert list(measured(plan, np.arange(0), Yardstick.of(plan), 32)) == []

    @pytest.mark.parametrize(("frames", "threads"), [(1, 1), (7, 2), (100, 3)])
    def test_blocks_and_threads_change_nothing(self, monkeypatch, frames, threads):
        wanted = judged(scan_of(), threads=1)
        monkeypatch.setattr(plan_module, "BLOCK_BYTES", frames * truth().frames[0].nbytes)
        plan = scan_of().plan(threads=threads)
        assert plan.block_size == frames
        got = evaluate(Exposures.of(plan), Qc())
        for name in kernels.COLUMNS:
            assert_array_equal(got.features[name], wanted.features[name])
        assert_array_equal(got.score, wanted.score)
        assert_array_equal(got.images, wanted.images)

    def test_frames_are_measured_as_they_are_corrected(self):
        flat = np.full((64, 64), 0.5)
        found = judged(scan_of(), flat=flat, rebin=2, dark=np.ones((64, 64)), rotate=90)
        corrected = np.maximum(truth().frames.astype(float) - 1, 0) * 2
        assert_allclose(found.stxm, np.log1p(corrected.sum((1, 2))), rtol=1e-6)
        binned = corrected.reshape(-1, 32, 2, 32, 2).sum((2, 4))
        # Turned clockwise, what was further left is further up.
        columns = (binned.sum(1) * np.arange(32)).sum(1) / binned.sum((1, 2))
        assert_allclose(found.dpcy, columns - np.median(columns), atol=1e-4)


class TestScores:
    """How far off a frame is, by hand."""

    def test_nearest_neighbours_without_itself(self):
        line = np.column_stack([np.zeros(6), [0, 1, 2.1, 3.3, 4.6, 6]])
        around = neighbours(line, np.zeros(6, int), 2)
        assert [sorted(row) for row in around.tolist()] == [
            [1, 2],
            [0, 2],
            [1, 3],
            [2, 4],
            [3, 5],
            [3, 4],
        ]

    def test_neighbours_are_of_the_same_slot(self):
        places = np.repeat(np.column_stack([np.arange(9) // 3, np.arange(9) % 3]), 2, axis=0)
        around = neighbours(places.astype(float), np.tile([0, 1], 9), 4)
        assert (around % 2 == (np.arange(18) % 2)[:, None]).all()
        assert (around != np.arange(18)[:, None]).all()

    def test_frames_that_share_a_place_are_not_their_own_neighbours(self):
        around = neighbours(np.zeros((40, 2)), np.zeros(40, int), 16)
        assert (around != np.arange(40)[:, None]).all()

    def test_fewer_frames_than_neighbours(self):
        around = neighbours(np.arange(6.0).reshape(3, 2), np.zeros(3, int), 4)
        assert [set(row) for row in around.tolist()] == [{1, 2}, {0, 2}, {0, 1}]
        assert neighbours(np.zeros((1, 2)), np.zeros(1, int), 4).tolist() == [[0] * 4]

    def test_z_is_the_residual_over_the_largest_of_the_usual_ones(self):
        rng = np.random.default_rng(3)
        places = rng.random((60, 2))
        values = places @ [3.0, -2.0] + 0.01 * rng.standard_normal(60)
        around = Around.of(places, np.zeros(60, int))
        for row in range(60):  # a plane, fitted by least squares
            near = around.rows[row]
            offset = places[near] - places[row]
            away = np.linalg.norm(offset, axis=1)
            root = np.sqrt(np.exp(-0.5 * (away / np.median(away)) ** 2))
            plane = np.column_stack([np.ones(16), offset / np.median(away)]) * root[:, None]
            at_row = np.linalg.lstsq(plane, values[near] * root, rcond=None)[0][0]
            assert_allclose(around.weights[row] @ values[near], at_row, atol=1e-4)
        residual = values - (around.weights * values[around.rows]).sum(axis=1)
        size = np.abs(residual)
        for row in range(60):
            near = size[around.rows[row]]
            scale = max(
                np.quantile(near, 0.75) / 1.1503,
                np.sort(near[:6])[-2] / 1.2,
                np.quantile(size, 0.95) / 1.96,
            )
            assert_allclose(local_z(values, around, 1e-9)[row], residual[row] / scale)
        assert_allclose(local_z(values, around, 100), residual / 100)

    def test_an_edge_is_no_outlier_and_a_frame_that_departs_is(self):
        rng = np.random.default_rng(0)
        places = np.stack(np.mgrid[:20, :20], -1).reshape(-1, 2).astype(float)
        values = np.where(places[:, 1] < 9.5, 1.0, 30.0) + 0.1 * rng.standard_normal(400)
        values[[45, 333]] += (12, -12)
        z = np.abs(local_z(values, Around.of(places, np.zeros(400, int)), 0.005))
        assert set(np.argsort(z)[-2:].tolist()) == {45, 333}
        assert np.delete(z, [45, 333]).max() < 10

    def test_no_value_no_deviation_and_all_alike_neither(self):
        around = Around.of(np.random.default_rng(0).random((30, 2)), np.zeros(30, int))
        values = np.random.default_rng(1).random(30)
        values[7] = np.nan
        z = local_z(values, around, 0.005)
        assert z[7] == 0
        assert np.isfinite(z).all()
        assert_array_equal(local_z(np.full(30, np.nan), around, 0.005), np.zeros(30))
        assert_allclose(local_z(np.full(30, 4.0), around, 0.005), 0, atol=1e-9)
        one = np.full(30, 4.0)
        one[3] = 5
        assert local_z(one, around, 0.005).argmax() == 3
        assert local_z(np.where(np.arange(30) == 3, 1e300, values), around, 0.005)[3] == LIMIT

    def test_ranks(self):
        assert_allclose(rank(np.array([3.0, 1, 1, 2])), [1, 1 / 6, 1 / 6, 2 / 3])
        assert rank(np.array([5.0])).tolist() == [0]
        assert_allclose(rank(np.full(7, 2.0)), 0.5)

    def test_score_weighs_ranks(self):
        features, embedding = np.array([1.0, 5, 2, 3]), np.array([40.0, 10, 20, 30])
        assert_allclose(combined(features, embedding, 1), [0, 1, 1 / 3, 2 / 3])
        assert_allclose(combined(features, embedding, 0), [1, 0, 1 / 3, 2 / 3])
        assert_allclose(combined(features, embedding, 0.25), [0.75, 0.25, 1 / 3, 2 / 3])

    def test_distance_from_neighbours_is_the_median(self):
        points = np.array([[0.0, 0], [3, 4], [0, 1], [6, 8]])
        around = np.array([[1, 2, 3]] * 4)
        assert_allclose(apart(points, around, "root")[0], 5)
        assert_allclose(apart(points, around, "mean")[0], 3.5)


def z_of(rows=4, **off):
    """Deviations of ``rows`` rows: none but ``off`` in row 0, and 0.5 in all that are not given."""
    names = {*faults.ANY, *faults.SHAPE, "step", "level", "residual", "apart", "change", "ring_4"}
    return {name: np.array([off.get(name, 0.5)] + [0.5] * (rows - 1)) for name in names}


class TestFaults:
    """What is a fault, and what is the sample."""

    @pytest.mark.parametrize(
        ("off", "reason"),
        [
            ({"total": -4, "apart": 2}, "light"),
            ({"total": 4, "apart": 6, "contrast": 9}, "light"),
            ({"total": 4, "apart": 2, "contrast": 9}, None),
            ({"total": 4}, None),
            ({"row": 5, "column": -4, "likeness": 3}, "shifted"),
            ({"row": 5, "column": -4, "likeness": 3, "row_variance": 4}, None),
            ({"row_variance": 5, "column_variance": 6, "neighbours": 3}, "noise"),
            ({"row_variance": -5, "column_variance": 6, "neighbours": 3}, None),
            ({"step": 9}, "repeated frame"),
            ({"likeness": 6, "apart": 3}, "unlike the scan"),
            ({"neighbours": 6}, "unlike its neighbours"),
            ({"ring_3": -11, "apart": 5}, "ring_3"),
            ({"ring_3": -30}, None),
        ],
    )
    def test_what_is_one(self, off, reason):
        nothing = np.zeros(4)
        never = nothing.astype(bool)
        found = faults.Deviation.of(z_of(**off), never, nothing, never)
        assert (found.nearness[1:] < 0.5).all()
        assert (found.nearness[0] >= 1) == (reason is not None)
        assert reason is None or found.reason[0] == reason

    def test_dark_frames_are_faults_where_the_beam_was_lost(self):
        dark = np.array([True, True, False, False])
        lost, never = np.array([1.3, 0.4, 0, 0]), np.zeros(4, bool)
        found = faults.Deviation.of(z_of(total=-99, apart=99), dark, lost, never)
        assert found.nearness[:2].tolist() == [13, 0.4]
        assert found.reason[:2].tolist() == ["no beam", "dark"]


def seen(total):
    """What was measured of frames with these counts."""
    table = np.zeros((len(total), len(kernels.COLUMNS)))
    table[:, 0] = total
    slot = np.zeros(len(total), np.int64)
    return Measured(table, np.zeros(len(total)), np.zeros((len(total), 64), np.float32), slot)


class TestBeamLost:
    """Dark frames: of a beam that was lost, or behind an absorber."""

    places = np.stack(np.mgrid[:20, :20], -1).reshape(-1, 2).astype(float)

    def lost(self, dark):
        measured = seen(np.where(dark, 1.0, 1000.0))
        assert (no_beam(measured) == dark).all()
        return beam_lost(measured, dark, self.places) >= 1

    @pytest.mark.parametrize("rows", [[5], [5, 6, 7], [*range(107, 147)], [399]])
    def test_lost(self, rows):
        dark = np.isin(np.arange(400), rows)
        assert self.lost(dark)[dark].mean() > 0.7
        assert not self.lost(dark)[~dark].any()

    @pytest.mark.parametrize("where", ["column", "block", "row"])
    def test_an_absorber(self, where):
        y, x = self.places.T
        dark = {
            "column": (x > 4) & (x < 7),
            "block": (x > 4) & (x < 9) & (y > 8) & (y < 14),
            "row": y == 8,
        }[where]
        assert not self.lost(dark).any()


class TestRules:
    """Which frames go."""

    score = np.array([0.1, 0.9, 0.5, 0.8, 0.99, 0.2, 0.3, 0.4, 0.6, 0.7])

    def rows(self, masked=None, **rules):
        masked = np.ones(10, bool) if masked is None else masked
        z = np.zeros(10)
        return np.flatnonzero(reject.judge(self.score, z, masked, Qc(**rules))).tolist()

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
    def test_asked_for_alone_or_together(self, rules, rows):
        assert self.rows(**rules) == rows

    def test_numbers_are_of_the_region(self):
        masked = np.arange(10) > 4
        assert self.rows(masked, reject_topk=1) == [9]
        assert self.rows(masked, reject_topp=0.4) == [8, 9]

    def test_the_default_rejects_what_is_a_fault(self):
        nearness = np.array([0.0, 0.999, 1, 50])
        found = reject.judge(np.ones(4), nearness, np.ones(4, bool), Qc())
        assert found.tolist() == [False, False, True, True]

    def test_each_rule_is_said_in_words(self):
        said = reject.rule(Qc(reject_topk=3, reject_topp=0.02, reject_thresh=0.9))
        for words in ("3 frames", "0.02", "0.9", "and"):
            assert words in said
        assert "neighbours" in reject.rule(Qc())

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
            found = judged_scan(scan, plan, settings, Qc(**{name: region}, reject_topk=4))
            assert 20 < wanted.sum() < 150
            assert_allclose(found.positions_m, scan.positions_m)
            assert_array_equal(found.masked, wanted)
            assert found.rejected[~wanted].all()
            assert found.rejected[wanted].sum() == 4
