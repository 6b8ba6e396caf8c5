"""What neighbours predict, and how far off a frame is: small examples beside plain NumPy."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from ptypy_beamline.statistics.neighbours import (
    MAX_Z,
    Neighbours,
    local_z,
    median_distance,
    nearest_rows,
)


def test_nearest_neighbours_without_itself():
    line = np.column_stack([np.zeros(6), [0, 1, 2.1, 3.3, 4.6, 6]])
    around = nearest_rows(line, np.zeros(6, int), 2)
    assert [sorted(row) for row in around.tolist()] == [
        [1, 2],
        [0, 2],
        [1, 3],
        [2, 4],
        [3, 5],
        [3, 4],
    ]


def test_neighbours_are_of_the_same_slot():
    positions = np.repeat(np.column_stack([np.arange(9) // 3, np.arange(9) % 3]), 2, axis=0)
    around = nearest_rows(positions.astype(float), np.tile([0, 1], 9), 4)
    assert (around % 2 == (np.arange(18) % 2)[:, None]).all()
    assert (around != np.arange(18)[:, None]).all()


def test_frames_at_one_position_are_not_their_own_neighbours():
    around = nearest_rows(np.zeros((40, 2)), np.zeros(40, int), 16)
    assert (around != np.arange(40)[:, None]).all()


def test_fewer_frames_than_neighbours():
    around = nearest_rows(np.arange(6.0).reshape(3, 2), np.zeros(3, int), 4)
    assert [set(row) for row in around.tolist()] == [{1, 2}, {0, 2}, {0, 1}]
    assert nearest_rows(np.zeros((1, 2)), np.zeros(1, int), 4).tolist() == [[0] * 4]


def test_z_is_the_residual_over_the_largest_sigma():
    rng = np.random.default_rng(3)
    positions = rng.random((60, 2))
    values = positions @ [3.0, -2.0] + 0.01 * rng.standard_normal(60)
    around = Neighbours.of(positions, np.zeros(60, int))
    for row in range(60):  # a plane, fitted by least squares
        near = around.rows[row]
        offset = positions[near] - positions[row]
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


def test_an_edge_is_no_outlier_but_a_single_frame_is():
    rng = np.random.default_rng(0)
    positions = np.stack(np.mgrid[:20, :20], -1).reshape(-1, 2).astype(float)
    values = np.where(positions[:, 1] < 9.5, 1.0, 30.0) + 0.1 * rng.standard_normal(400)
    values[[45, 333]] += (12, -12)
    z = np.abs(local_z(values, Neighbours.of(positions, np.zeros(400, int)), 0.005))
    assert set(np.argsort(z)[-2:].tolist()) == {45, 333}
    assert np.delete(z, [45, 333]).max() < 10


def test_missing_and_constant_values_have_no_deviation():
    around = Neighbours.of(np.random.default_rng(0).random((30, 2)), np.zeros(30, int))
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
    assert local_z(np.where(np.arange(30) == 3, 1e300, values), around, 0.005)[3] == MAX_Z


def test_distance_from_neighbours_is_the_median():
    points = np.array([[0.0, 0], [3, 4], [0, 1], [6, 8]])
    around = np.array([[1, 2, 3]] * 4)
    assert_allclose(median_distance(points, around, "euclidean")[0], 5)
    assert_allclose(median_distance(points, around, "mean")[0], 3.5)
