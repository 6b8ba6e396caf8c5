"""NumPy corrects the first pixels of a process, compiled functions the others: the same bits."""

from __future__ import annotations

import numpy as np
import pytest

from ptypy_beamline.planning import kernels, pixels

TYPES = ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f4", "f8")
LIMITS = [(-np.inf, np.inf, 0.0), (0.0, 45.0, 0.0), (2.0, 45.0, 11.0), (0.0, 45.0, -1.0)]


@pytest.fixture(params=TYPES)
def raw(request):
    """Five frames with overflowing, negative, infinite and missing counts, where the type can."""
    random = np.random.default_rng(1)
    frames = random.poisson(30, (5, 41, 37)).astype(request.param)
    if frames.dtype.kind == "f":
        frames *= frames.dtype.type(1.37)
        frames[0, :3, 0] = np.nan, np.inf, -np.inf
    else:
        frames[0, :2, 0] = np.iinfo(frames.dtype).max, np.iinfo(frames.dtype).min
    return frames


@pytest.fixture
def images():
    random = np.random.default_rng(2)
    offset = random.normal(0, 8, (41, 37)).astype(np.float32)
    gain = random.uniform(0.5, 2, (41, 37)).astype(np.float32)
    gain[5, :4] = 0, 1e38, 3e38, 1e-44
    bad = random.random((41, 37)) < 0.1
    gain[bad] = 0
    return offset, gain, bad


@pytest.mark.parametrize("limits", LIMITS)
def test_frames(raw, images, limits):
    offset, gain, bad = images
    scale, corner = np.array([1.0, 0.3, 1.7, 1e30, 1.0]), (2, 3)
    found = []
    for module in (pixels, kernels):
        frames, tally = np.zeros((5, 50, 50), np.float32), np.zeros((5, 2), np.int64)
        module.single(raw, scale, offset, gain, limits, corner, frames, tally)
        good = np.zeros(frames.shape, np.bool_)
        for p in range(5):
            module.counted(raw[p], scale[p], offset, gain, limits, bad, corner, good[p])
        found.append((frames.view(np.int32), tally, good))
    for plain, compiled in zip(*found, strict=True):
        np.testing.assert_array_equal(plain, compiled)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_sums(raw, images, size):
    found = []
    for module in (pixels, kernels):
        total, number = np.zeros((2, -(-41 // size), -(-37 // size)))
        for frame in raw:
            module.add_counts(frame, *images, (1.0, 45.0), size, np.zeros((2, 37)), total, number)
        found.append((total, number))
    for plain, compiled in zip(*found, strict=True):
        np.testing.assert_array_equal(plain.view(np.int64), compiled.view(np.int64))
