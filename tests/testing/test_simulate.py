"""The simulated scans, the comparison with the truth, and the writers' conventions."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from ptypy_beamline.geometry import object_pixel_m
from ptypy_beamline.reconstruction.comparison.registration import correlation, register
from ptypy_beamline.testing.demo import write_demo_scan
from ptypy_beamline.testing.simulate import PATTERNS, diffract, simulate
from ptypy_beamline.testing.writers import WRITERS, Raw
from ptypy_beamline.units import EV_J


@pytest.fixture(scope="module")
def truth():
    return simulate(64, (6, 7), 8, "jitter", photons=1e6)


def test_frames_are_poisson_counts_of_the_far_field(truth):
    k, n = 17, 64
    row, column = truth.corners_px[k]
    wave = truth.probe * truth.object[row : row + n, column : column + n]
    expected = np.abs(np.fft.fftshift(np.fft.fft2(wave))) ** 2 / n**2
    lit = expected > 20
    deviation = (truth.frames[k][lit] - expected[lit]) / np.sqrt(expected[lit])
    assert lit.sum() > 300
    assert abs(deviation.mean()) < 0.2
    assert deviation.std() == pytest.approx(1, abs=0.1)
    assert truth.frames.sum(axis=(1, 2)).mean() == pytest.approx(1e6, rel=1e-3)


def test_positions_are_the_corners_in_metres(truth):
    offset = truth.positions_m / truth.object_pixel_m - truth.corners_px
    np.testing.assert_allclose(offset, np.broadcast_to(offset[0], offset.shape), atol=1e-9)


def test_geometry_is_consistent(truth):
    found = object_pixel_m(truth.energy_eV, truth.distance_m, truth.pixel_m, (64, 64))
    assert found == pytest.approx(truth.object_pixel_m)


def test_sample_retards_no_phase_and_absorbs(truth):
    phase, amplitude = np.angle(truth.object), np.abs(truth.object)
    assert phase.min() >= -1.001
    assert phase.max() <= 0
    assert np.ptp(phase) > 0.7
    assert amplitude.min() >= 0.7
    assert amplitude.max() <= 1


def test_same_seed_same_scan():
    a, b, c = (simulate(32, (3, 3), 5, "jitter", seed=s) for s in (1, 1, 2))
    assert np.array_equal(a.frames, b.frames)
    assert a.object.shape != c.object.shape or not np.array_equal(a.object, c.object)


def test_counts_are_clipped_to_the_dtype():
    frames = simulate(32, (2, 2), 5, photons=1e9, dtype=np.uint16).frames
    assert frames.dtype == np.uint16
    assert frames.max() == 65535


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_have_distinct_points_about_a_step_apart(pattern):
    points = simulate(16, (8, 9), 12, pattern).positions_m / 10e-9
    distance = np.linalg.norm(points[:, None] - points, axis=-1)
    nearest = np.where(distance > 0, distance, np.inf).min(axis=1)
    assert len(np.unique(points, axis=0)) == 72
    assert 6 < np.median(nearest) < 18


def test_snake_runs_odd_rows_backwards():
    raster, snake = (
        simulate(16, (4, 5), 6, p).positions_m.reshape(4, 5, 2) for p in ("raster", "snake")
    )
    assert np.array_equal(snake[::2], raster[::2])
    assert np.array_equal(snake[1::2], raster[1::2, ::-1])


@pytest.fixture(scope="module")
def sample():
    return simulate(64, (16, 16), 12).object


def test_correlation_ignores_shift_ramp_phase_and_scale(sample):
    y, x = np.indices(sample.shape)
    ramp = 3 * np.exp(1j * (0.7 + 0.031 * y - 0.017 * x))
    moved = np.roll(sample, (5, -9), (0, 1))[:-4, 3:] * ramp[:-4, 3:]
    assert correlation(sample, sample, 40) == pytest.approx(1, abs=1e-4)
    assert correlation(moved, sample, 40) > 0.999


def test_correlation_finds_sub_pixel_shifts(sample):
    fy, fx = (np.fft.fftfreq(n) for n in sample.shape)
    phase = np.exp(-2j * np.pi * (fy[:, None] * 2.37 - fx * 1.6))
    assert correlation(np.fft.ifft2(np.fft.fft2(sample) * phase), sample, 40) > 0.99


@pytest.mark.parametrize(
    "wrong",
    [
        np.conj,
        np.flipud,
        np.fliplr,
        np.transpose,
        lambda a: a[::-1, ::-1],
        np.rot90,
        lambda a: np.conj(a[::-1, ::-1]),
        np.ones_like,
    ],
    ids=["conj", "flipud", "fliplr", "transpose", "rotated", "rot90", "conjugate", "blank"],
)
def test_correlation_tells_wrong_from_right(sample, wrong):
    assert correlation(wrong(sample), sample, 40) < 0.4


def test_register_brings_both_to_the_same_values(sample):
    a, b = register(2j * np.roll(sample, 3, 0), sample, 40)
    np.testing.assert_allclose(a, b, atol=0.02)


def raw_scan(**more):
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 99, (6, 5, 7)).astype(np.uint16)
    positions = np.array([(y, x) for y in (1e-6, 2e-6) for x in (-3e-6, 0, 4e-6)])
    bad = np.zeros((5, 7), bool)
    bad[1, 2] = True
    return Raw(
        frames,
        positions,
        energy_eV=8000.0,
        distance_m=1.5,
        pixel_m=(55e-6, 60e-6),
        bad=bad,
        dark=frames[:2],
        flat=frames[2:4],
        monitor=np.arange(6.0),
        center_px=(2.0, 3.0),
        **more,
    )


FRAMES = {
    "standard": "/entry/data",
    "cxi": "/entry_1/data_1/data",
    "nxcxi": "/entry_1/data_1/data",
    "diamond": "/entry_1/data/data",
    "areadetector": "/entry/data/data",
    "exchange": "/exchange/data",
}
"""Where they are, in the formats of a single HDF5 file that can hold all of :func:`raw_scan`."""


@pytest.mark.parametrize("compression", [None, "gzip", "lzf", "bitshuffle"])
@pytest.mark.parametrize("name", FRAMES)
def test_writers_keep_the_frames_one_a_chunk(tmp_path, name, compression):
    raw = raw_scan(compression=compression)
    with h5py.File(WRITERS[name](tmp_path / "a.h5", raw)) as file:
        assert np.array_equal(file[FRAMES[name]][()], raw.frames)
        assert file[FRAMES[name]].chunks == (1, 5, 7)


def test_cxi_stores_joule_and_the_samples_translation(tmp_path):
    raw = raw_scan()
    with h5py.File(WRITERS["cxi"](tmp_path / "a.cxi", raw)) as file:
        entry = file["entry_1"]
        detector = entry["instrument_1/detector_1"]
        translation = entry["sample_1/geometry_1/translation"][()]
        rows, columns = (b / np.linalg.norm(b) for b in detector["basis_vectors"][()])
        beam = -translation
        np.testing.assert_allclose(np.stack([beam @ rows, beam @ columns], 1), raw.positions_m)
        assert entry["instrument_1/source_1/energy"][()] == pytest.approx(8000 * EV_J)
        assert np.array_equal(detector["mask"][()] != 0, raw.bad)
        corner, basis = detector["corner_position"][()], detector["basis_vectors"][()]
        np.testing.assert_allclose(corner + raw.center_px @ basis, [0, 0, 1.5], atol=1e-12)


def test_exchange_stores_micrometres_and_kev(tmp_path):
    raw = raw_scan()
    with h5py.File(WRITERS["exchange"](tmp_path / "a.h5", raw)) as file:
        np.testing.assert_allclose(file["exchange/positions_x"], raw.positions_m[:, 1] * 1e6)
        assert file["instrument/source/energy"][()] == 8.0
        assert file["instrument/detector/distance"][()] == 1500.0


def test_diamond_keeps_a_grid(tmp_path):
    with h5py.File(WRITERS["diamond"](tmp_path / "a.nxs", raw_scan(grid=(2, 3)))) as file:
        assert file["entry_1/data/data"].shape == (2, 3, 5, 7)
        assert "definition" not in file["entry_1"]


def test_areadetector_logs_each_frame(tmp_path):
    with h5py.File(WRITERS["areadetector"](tmp_path / "a.h5", raw_scan())) as file:
        logged = file["entry/instrument/NDAttributes"]
        assert all(values.shape == (6,) for values in logged.values())
        assert logged["NDArrayUniqueId"][-1] == 6


def test_demo_scan_has_the_faults_that_it_lists(tmp_path: Path):
    demo = write_demo_scan(tmp_path / "raw.h5", shape=(6, 6))
    with h5py.File(tmp_path / "raw.h5") as file:
        frames = file["entry/data/data"][()]
        detector = file["entry/instrument/detector"]
        dark, known, flat = (detector[k][()] for k in ("dark", "pixel_mask", "flat"))
        monitor = file["entry/instrument/NDAttributes/monitor"][()]
    assert frames.shape == (108, 192, 200)
    assert frames.dtype == np.uint16
    assert frames.max() == demo.saturation
    mean = frames.mean(axis=0) - dark.mean(axis=0)
    assert (mean[tuple(demo.hot_px.T)] > 200).all()
    assert not frames[:, demo.dead_px[:, 0], demo.dead_px[:, 1]].any()
    assert (flat[0][tuple(demo.dead_px.T)] == 0).all()
    assert known[tuple(demo.dead_px.T)].all()
    assert not known[tuple(demo.hot_px.T)].all()
    assert np.flatnonzero(np.isnan(monitor)).tolist() == [demo.bad_monitor]
    expected = np.repeat(diffract(demo.truth.object, demo.truth.probe, demo.truth.corners_px), 3, 0)
    top, left = (c - 64 for c in demo.center_px)
    seen = frames[:, top : top + 128, left : left + 128]
    likeness = [
        np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(seen, expected, strict=True)
    ]
    assert np.flatnonzero(np.array(likeness) < 0.5).tolist() == demo.spoiled.tolist()
