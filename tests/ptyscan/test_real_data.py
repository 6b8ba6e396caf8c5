"""Measured frames through every format into PtyPy: a short run of benchmarks/real_data.py."""

from __future__ import annotations

import sys

import pytest
from folders import ROOT

pytestmark = [pytest.mark.long, pytest.mark.real, pytest.mark.ptypy, pytest.mark.timeout(900)]

BENCHMARKS = ROOT / "benchmarks"
CASES = [
    "standard",
    "cxi",
    "nxcxi",
    "diamond",
    "areadetector",
    "exchange",
    "eiger",
    "nanomax",
    "hermes",
    "product",
    "adorym",
    "ptychopinn",
    "tike",
    "tiff",
    "ptyd",
    "ptyd, linked",
]
SHORT = {"dm": 6, "ml": 2}


@pytest.fixture(scope="module")
def real_data():
    sys.path.append(str(BENCHMARKS))
    import real_data

    yield real_data
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def found(real_data):
    """Result of each case; all are reconstructed at once, two at a time."""
    return real_data.compare([*CASES, "wrong sign of y"], **SHORT)


def test_every_writer_is_tried(real_data):
    tried = {real_data.CASES[name].format for name in CASES}
    assert tried | set(real_data.LEFT_OUT) == set(real_data.WRITERS)


@pytest.mark.parametrize("case", CASES)
def test_format_is_as_good_as_the_arrays_themselves(found, case):
    assert found[case]["ratio"] == pytest.approx(1, abs=0.01)
    assert found[case]["center"] == [64, 64]


def test_wrong_sign_shows(found):
    assert found["wrong sign of y"]["ratio"] > 2


@pytest.mark.mpi
def test_two_ranks_agree_with_one(found, real_data, tmp_path):
    two = real_data.reconstruct("cxi, 2 ranks", real_data.STAR, tmp_path, **SHORT)
    assert two["error"] == pytest.approx(found["cxi"]["error"], rel=1e-4)
