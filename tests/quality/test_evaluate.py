"""Whole scans, evaluated: spoiled ones and clean ones, tiny ones, several exposures, embeddings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from folders import REAL_DATA
from numpy.testing import assert_allclose, assert_array_equal
from quality_scans import COUNT, SIDE, evaluated, scan_of, truth
from sklearn.metrics import roc_auc_score

from ptypy_beamline import BeamlineError, BeamlineWarning, Scan, Settings
from ptypy_beamline.options import Qc
from ptypy_beamline.quality import Exposures, assessment, embedding, evaluate
from ptypy_beamline.quality.evaluate import Inspection
from ptypy_beamline.quality.workflow import evaluate_scan
from ptypy_beamline.scan import ArrayFrames
from ptypy_beamline.statistics.measure import Reference
from ptypy_beamline.statistics.measurements import BinnedFrames
from ptypy_beamline.testing.bad_frames import KINDS, spoil
from ptypy_beamline.testing.simulate import PATTERNS, diffract, simulate


class TestDecisions:
    """Whole scans."""

    def test_a_clean_scan_has_no_rejected_frame(self):
        found = evaluated(scan_of())
        assert found.reject_indices.tolist() == []
        assert_array_equal(found.accept_indices, np.arange(COUNT))
        assert found.score.min() >= 0
        assert found.score.max() <= 1

    @pytest.mark.parametrize("pattern", PATTERNS)
    def test_an_edge_of_the_sample_is_no_outlier(self, pattern):
        made = simulate(64, (SIDE, SIDE), 6, pattern, photons=3e5, seed=5)
        edged = made.object.copy()
        edged[:, edged.shape[1] // 2 :] *= 0.35 * np.exp(1.5j)
        edged[60:70] *= 0.1 * np.exp(-2j)
        light = diffract(edged, made.probe, made.corners_px)
        frames = np.random.default_rng(5).poisson(light).astype(np.uint16)
        assert evaluated(scan_of(frames, made.positions_m)).reject_indices.tolist() == []

    @pytest.mark.parametrize("kind", KINDS)
    def test_every_kind_of_spoiled_frame_is_found(self, kind):
        frames, spoiled = spoil(truth().frames, kind, seed=1)
        found = evaluated(scan_of(frames))
        assert_array_equal(found.reject_indices, spoiled)
        assert roc_auc_score(np.isin(np.arange(COUNT), spoiled), found.score) > 0.99

    def test_rejected_frames_have_the_highest_scores(self):
        """Also where the end of the sample makes other pictures more unusual than a shifted one."""
        made = simulate(64, (SIDE, SIDE), 6, "raster", photons=1e7, seed=5)
        half = made.object.copy()
        half[:, half.shape[1] // 2 :] = 1
        light = diffract(half, made.probe, made.corners_px)
        frames = np.random.default_rng(5).poisson(light).astype(np.uint32)
        found = evaluated(scan_of(spoil(frames, "shifted beam", seed=1)[0], made.positions_m))
        assert np.count_nonzero(found.rejected) == 4
        assert found.score[found.rejected].min() > found.score[~found.rejected].max()

    @pytest.mark.parametrize("every", [2, 10])
    @pytest.mark.parametrize("monitor", [None, True])
    def test_repeated_frames_are_found(self, every, monitor):
        frames = truth().frames.copy()
        twice = np.arange(every, COUNT, every)
        frames[twice] = frames[twice - 1]
        i0 = 1e4 * (1 + 0.01 * np.random.default_rng(8).standard_normal(COUNT))
        found = evaluated(scan_of(frames, monitor=i0), monitor=monitor)
        assert set(twice) <= set(found.reject_indices)
        assert set(found.reason[twice]) == {"repeated frame"}
        assert len(found.reject_indices) <= len(twice) + 1

    def test_equal_frames_of_few_counts_are_accepted(self):
        frames = np.zeros((COUNT, 64, 64), np.uint16)
        frames[:, 32, 32] = np.random.default_rng(9).poisson(20, COUNT)
        assert evaluated(scan_of(frames)).reject_indices.tolist() == []

    def test_repeated_exposures_of_a_position_are_found(self):
        light = diffract(truth().object, truth().probe, truth().corners_px)
        rng = np.random.default_rng(3)
        frames = rng.poisson(np.repeat(light, 2, axis=0)).astype(np.uint16)
        twice = np.arange(5, 2 * COUNT, 5)  # odd ones are at the position of the frame before
        frames[twice] = frames[twice - 1]
        found = evaluated(scan_of(frames, truth().positions_m), frames_per_position=2)
        assert found.reject_indices.tolist() == twice.tolist()

    def test_exposures_are_compared_with_those_of_equal_time(self):
        """Short, middle and long exposures: each alone, and a bad one does not take the others."""
        rng = np.random.default_rng(2)
        light = diffract(truth().object, truth().probe, truth().corners_px)
        frames = rng.poisson(
            np.repeat(light, 3, axis=0) * np.tile([0.1, 1, 5], COUNT)[:, None, None]
        )
        settings = {"frames_per_position": 3, "grouping": "hdr", "saturation": 1e6}
        more = {"exposure_s": np.tile([0.1, 1.0, 5.0], COUNT)}
        found = evaluated(scan_of(frames, truth().positions_m, **more), **settings)
        assert len(found) == found.total == 3 * COUNT
        assert found.reject_indices.tolist() == []
        frames[[100, 301]] //= 2
        frames[400] = frames[399]
        found = evaluated(scan_of(frames, truth().positions_m, **more), **settings)
        assert found.reject_indices.tolist() == [100, 301, 400]

    def test_frames_of_a_given_list_stay_rejected_and_get_a_score(self):
        frames, spoiled = spoil(truth().frames, "blank", seed=1)
        scan = scan_of(frames)
        found = evaluate_scan(scan, scan.plan(), Settings.of({"reject": [5, 150]}), Qc())
        assert found.reject_indices.tolist() == sorted({5, 150, *spoiled.tolist()})
        assert len(found) == COUNT

    def test_raw_frames_that_are_not_evaluated(self):
        found = evaluated(scan_of(), step=3, num_frames=40)
        assert found.frames.tolist() == [*range(0, 120, 3)]
        whole = found.per_frame(found.score)
        assert whole.shape == (COUNT,)
        assert_array_equal(np.flatnonzero(np.isfinite(whole)), found.frames)
        assert {*found.accept_indices, *found.reject_indices} == set(found.frames)

    def test_maps_are_totals_and_centres_of_mass(self):
        found = evaluated(scan_of())
        frames = truth().frames.astype(float)
        assert_allclose(found.stxm, np.log1p(frames.sum((1, 2))), rtol=1e-7)
        for values, axis in ((found.dpcy, 2), (found.dpcx, 1)):
            middle = (frames.sum(axis) * np.arange(64)).sum(1) / frames.sum((1, 2))
            assert_allclose(values, middle - np.median(middle), atol=1e-4)
        assert found.images.shape == (COUNT, 32, 32)
        assert found.images.max() in (254, 255)

    def test_an_unusable_monitor_value_is_ignored(self):
        i0 = 1 + 0.01 * np.random.default_rng(0).standard_normal(COUNT)
        i0[[3, 4, 5]] = np.nan, 0, np.inf
        i0[60] = 0.2
        found = evaluated(scan_of(), i0=i0)
        assert found.reject_indices.tolist() == [], "its picture is as good as any"
        assert found.reason[60] == "monitor"
        without = evaluated(scan_of(), i0=np.full(COUNT, np.nan))
        assert_array_equal(without.score, evaluated(scan_of()).score)

    def test_an_applied_monitor_excludes_its_bad_frames(self):
        i0 = np.ones(COUNT)
        i0[7] = np.nan
        with pytest.warns(BeamlineWarning, match="not a number at 1 of 196 frames"):
            found = evaluated(scan_of(monitor=i0), i0=i0, monitor=True)
        assert 7 not in found.frames
        assert np.isnan(found.per_frame(found.score)[7])

    def test_a_blank_scan_is_an_error(self):
        with pytest.raises(BeamlineError, match=r"hold no counts; check paths\.frames"):
            evaluated(scan_of(truth().frames * 0))

    def test_a_scan_without_beam_half_of_the_time(self):
        frames = truth().frames.copy()
        frames[:80] = 0
        found = evaluated(scan_of(frames))
        assert found.rejected[:80].all()
        assert found.rejected[80:].sum() <= 3, "of those beside the dark part"

    @pytest.mark.parametrize("embedding", ["pca", "autoencoder"])
    @pytest.mark.parametrize("count", [1, 2, 5])
    def test_tiny_scans(self, count, embedding):
        qc = Qc(embedding=embedding, labels=3, pca_k=12)
        found = evaluated(scan_of(truth().frames[:count]), qc)
        assert found.reject_indices.tolist() == []
        assert np.isfinite(found.score).all()
        assert set(found.labels.tolist()) <= {0, 1, 2}

    def test_tiny_frames(self):
        assert np.isfinite(evaluated(scan_of(truth().frames[:, 32:33, 32:33])).score).all()

    def test_frames_that_are_all_equal(self):
        equal = np.repeat(truth().frames[:1], 64, axis=0)
        assert evaluated(scan_of(equal), Qc(labels=4)).reject_indices.tolist() == []


class TestEmbedding:
    """Pictures, components, networks and classes."""

    @pytest.fixture(scope="class")
    @staticmethod
    def bursts():
        return spoil(truth().frames, "noise burst", seed=2)

    def batches_of(self, monkeypatch, size):
        monkeypatch.setattr(BinnedFrames.batches, "__defaults__", (size,))

    def test_more_components_than_frames_or_pixels(self, bursts):
        frames, spoiled = bursts
        few = evaluated(scan_of(truth().frames[:6]), Qc(pca_k=500))
        assert np.isfinite(few.score).all()
        many = evaluated(scan_of(frames), Qc(pca_k=500, embed_side=8))
        assert set(spoiled) <= set(many.reject_indices)

    def test_incremental_components_find_the_same_frames(self, bursts, monkeypatch):
        frames, spoiled = bursts
        whole = evaluated(scan_of(frames))
        monkeypatch.setattr(embedding, "AT_ONCE", 50)
        self.batches_of(monkeypatch, 37)
        found = evaluated(scan_of(frames))
        assert_array_equal(found.reject_indices, spoiled)
        assert np.corrcoef(found.score, whole.score)[0, 1] > 0.8
        assert_array_equal(found.images, whole.images)

    @pytest.mark.parametrize(("k", "side"), [(50, 4), (60, 32), (500, 32)])
    def test_incremental_components_take_any_number(self, monkeypatch, k, side):
        monkeypatch.setattr(embedding, "AT_ONCE", 50)
        self.batches_of(monkeypatch, 55)
        found = evaluated(scan_of(), Qc(pca_k=k, embed_side=side))
        assert np.isfinite(found.score).all()

    @pytest.mark.parametrize("whole", [5000, 50])
    def test_an_autoencoder_finds_the_same_frames(self, bursts, monkeypatch, whole):
        monkeypatch.setattr(embedding, "AT_ONCE", whole)
        frames, spoiled = bursts
        found = evaluated(scan_of(frames), Qc(embedding="autoencoder", pca_k=4, embed_side=16))
        again = evaluated(scan_of(frames), Qc(embedding="autoencoder", pca_k=4, embed_side=16))
        assert set(spoiled) <= set(found.reject_indices)
        assert_array_equal(found.score, again.score)

    def test_score_is_the_weighted_mean_of_both_ranks(self, bursts):
        scores = [evaluated(scan_of(bursts[0]), Qc(w_feat=w)).score for w in (0, 1, 0.25)]
        assert_allclose(scores[2], 0.75 * scores[0] + 0.25 * scores[1])
        assert not np.array_equal(scores[0], scores[1])

    def test_classes_separate_two_kinds_of_frames(self):
        """A third of the scan behind an absorber that scatters."""
        rng = np.random.default_rng(1)
        frames = truth().frames.copy()
        thick = np.arange(COUNT) % 3 == 0
        frames[thick] = frames[thick] // 4 + rng.poisson(30, (thick.sum(), 64, 64))
        found = evaluated(scan_of(frames), Qc(labels=2))
        assert_array_equal(found.labels, thick.astype(int), "the larger class is class 0")
        assert_array_equal(evaluated(scan_of(frames)).labels, -1)

    def test_binned_frames_are_read_as_they_were_written(self):
        images = np.random.default_rng(0).random((23, 5, 5)).astype(np.float32)
        with BinnedFrames() as binned:
            assert list(binned.batches()) == []
            for start in range(0, 23, 4):
                binned.append(images[start : start + 4])
            assert len(binned) == 23
            first = list(binned.batches(10))
            assert [len(part) for part in first] == [10, 10, 3]
            assert_array_equal(np.concatenate(first), images)
            binned.append(images[:2])
            assert_array_equal(np.concatenate(list(binned.batches())), [*images, *images[:2]])

    def test_small_images_shrink_with_their_number(self, monkeypatch):
        monkeypatch.setattr(assessment, "ALL_PIXELS", COUNT * 100)
        assert evaluated(scan_of()).images.shape == (COUNT, 10, 10)


def test_a_live_scan_is_measured_once_and_scored_again():
    """A live scan: what was measured before is not measured again, and the result is the same."""
    plan = scan_of().plan()
    with BinnedFrames() as binned:
        inspection = Inspection(Qc(), binned, reference=Reference.of(plan))
        for count in (40, 41, 150, COUNT):
            part = Exposures.of(replace(plan, selection=plan.selection[:count]))
            inspection.measure(part)
            assert inspection.done == len(binned) == count
            found = inspection.assess(part)
    assert_array_equal(found.score, evaluate(Exposures.of(plan), Qc()).score)


def test_no_warning_reaches_the_user():
    """Frames of all sorts: blank, NaN, one pixel."""
    frames = truth().frames.astype(np.float32)
    frames[3], frames[4], frames[5] = 0, np.nan, 0
    frames[5, 3, 3] = 1
    found = evaluated(scan_of(frames), Qc(labels=4))
    assert set(found.reject_indices.tolist()) == {3, 4, 5}


@pytest.mark.real
@pytest.mark.parametrize("kind", [None, *KINDS])
def test_a_measured_scan(kind):
    """A Siemens star: none of its good frames is rejected, nearly all spoiled ones are."""
    with np.load(REAL_DATA) as data:
        frames, positions_m = data["frames"].astype(np.uint32), data["positions_px"] * 10e-9
    spoiled = np.zeros(0, np.int64)
    if kind:
        frames, spoiled = spoil(frames, kind, 0.02, 1)
    scan = Scan(ArrayFrames(frames), positions_m, 8800.0, 0.681, (75e-6, 75e-6), center_px=(64, 64))
    found = evaluated(scan)
    assert np.isin(found.reject_indices, spoiled).all()
    assert len(found.reject_indices) >= 0.9 * len(spoiled)
