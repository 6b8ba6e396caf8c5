"""Robust statistics beside those of SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import median_abs_deviation

from ptypy_beamline.robust import finite_median, rank, robust_sigma


def test_robust_sigma_is_the_scaled_median_absolute_deviation():
    values = np.random.default_rng(0).normal(size=999)
    values[:100] = 1e6
    expected = median_abs_deviation(values, scale="normal")
    assert robust_sigma(values - np.median(values)) == pytest.approx(expected, rel=1e-5)


def test_the_median_leaves_missing_values_out():
    assert finite_median(np.array([np.nan, 1, 2, np.inf, 6])) == 2
    assert finite_median(np.full(3, np.nan)) == 0


def test_ranks():
    assert_allclose(rank(np.array([3.0, 1, 1, 2])), [1, 1 / 6, 1 / 6, 2 / 3])
    assert rank(np.array([5.0])).tolist() == [0]
    assert_allclose(rank(np.full(7, 2.0)), 0.5)
