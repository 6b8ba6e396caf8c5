"""What is measured of each frame, beside plain NumPy."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from quality_scans import evaluated, scan_of, truth

from ptypy_beamline.options import Qc
from ptypy_beamline.planning import plan as plan_module
from ptypy_beamline.quality import Exposures, evaluate
from ptypy_beamline.statistics.measure import COLUMNS, Reference, measure_frames


def everything(plan, side=32, positions=None):
    """All that is measured: table, fraction without a count, coarse and binned images."""
    positions = np.arange(len(plan)) if positions is None else positions
    parts = list(measure_frames(plan, positions, Reference.of(plan), side))
    return tuple(
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("table", "without_count", "coarse", "binned")
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
    for name, pixels in (("row", rows), ("column", columns)):
        mean = (frame * pixels).sum() / total
        found[name] = mean
        found[f"{name}_variance"] = (frame * (pixels - mean) ** 2).sum() / total
    for ring in range(4):
        inside = (radius >= ring * edge / 4) & (radius < (ring + 1) * edge / 4)
        found[f"ring_{ring + 1}"] = frame[inside].sum()
    middle = frame[tuple(slice(max(0, int(c - edge / 2)), int(c + edge / 2) + 1) for c in center)]
    found["contrast"] = middle.std() / middle.mean()
    found["likeness"] = (np.sqrt(frame) * np.sqrt(usual)).sum() / np.sqrt(total * usual.sum())
    found["change"] = np.abs(frame - before).mean()
    return [found[name] for name in COLUMNS]


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
        table, without_count, coarse, binned = everything(plan, side)
        usual = np.median(frames, axis=0)
        pairs = zip(frames[[0, *range(11)]], frames, strict=True)
        wanted = np.array(
            [features_of(frame, before, usual, plan.geometry.center_px) for before, frame in pairs]
        )
        wanted[0, COLUMNS.index("change")] = np.nan
        assert_allclose(table, wanted, rtol=1e-4)
        side = min(side, *shape)
        assert_allclose(binned, [in_bins(frame, side) for frame in frames])
        assert_allclose(coarse, [in_coarse_bins(image) for image in binned], rtol=1e-5)
        assert not without_count.any()

    def test_a_blank_frame_has_no_centre_and_a_single_pixel_no_width(self):
        frames = truth().frames[:9].copy()
        frames[3] = 0
        frames[5] = 0
        frames[5, 40, 7] = 1000
        table = everything(scan_of(frames).plan())[0]
        found = dict(zip(COLUMNS, table[3], strict=True))
        assert found["total"] == found["maximum"] == found["ring_1"] == 0
        for name in ("row", "column", "row_variance", "column_variance", "contrast", "likeness"):
            assert np.isnan(found[name]), name
        assert found["change"] == pytest.approx(frames[2].mean(), rel=1e-5)
        assert COLUMNS[:6] == (
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
        _, without_count, _, binned = everything(scan_of(frames).plan(mask=mask, saturation=1e8))
        assert_allclose(without_count, [0, 4 / 56, 1 / 56, 0, 0, 0], atol=1e-12)
        assert np.isfinite(binned).all()

    def test_part_of_a_scan_gives_the_same_numbers(self):
        plan = scan_of().plan()
        whole, part = everything(plan), everything(plan, positions=np.arange(50, 91))
        for one, other in zip(whole, part, strict=True):
            assert_array_equal(one[50:91], other)
        assert list(measure_frames(plan, np.arange(0), Reference.of(plan), 32)) == []

    @pytest.mark.parametrize(("frames", "threads"), [(1, 1), (7, 2), (100, 3)])
    def test_numbers_do_not_depend_on_blocks_and_threads(self, monkeypatch, frames, threads):
        wanted = evaluated(scan_of(), threads=1)
        monkeypatch.setattr(plan_module, "BLOCK_BYTES", frames * truth().frames[0].nbytes)
        plan = scan_of().plan(threads=threads)
        assert plan.block_size == frames
        got = evaluate(Exposures.of(plan), Qc())
        for name in COLUMNS:
            assert_array_equal(got.features[name], wanted.features[name])
        assert_array_equal(got.score, wanted.score)
        assert_array_equal(got.images, wanted.images)

    def test_frames_are_measured_as_they_are_corrected(self):
        flat = np.full((64, 64), 0.5)
        found = evaluated(scan_of(), flat=flat, rebin=2, dark=np.ones((64, 64)), rotate=90)
        corrected = np.maximum(truth().frames.astype(float) - 1, 0) * 2
        assert_allclose(found.stxm, np.log1p(corrected.sum((1, 2))), rtol=1e-6)
        binned = corrected.reshape(-1, 32, 2, 32, 2).sum((2, 4))
        # Turned clockwise, what was further left is further up.
        columns = (binned.sum(1) * np.arange(32)).sum(1) / binned.sum((1, 2))
        assert_allclose(found.dpcy, columns - np.median(columns), atol=1e-4)
