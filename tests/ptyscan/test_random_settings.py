"""Random scans with random settings: every way gives what plain NumPy gives.

``python benchmarks/random_settings.py --count 5000 --seed 1`` tries more of them, and reduces what
fails to the settings that it takes.
"""

from __future__ import annotations

import importlib.util

import pytest
from random_loads import disagreement, shrunk
from random_scans import draw

SEED, COUNT, TOGETHER = 13, 570, 57
"""The first ``TOGETHER`` of ``COUNT`` are tried by every run, the others by the long one."""
ALSO = (["ptypy"], ["ptypy", "ptyd"], ["standard"])
"""Beside the plan: each is taken by more than 150 that nothing refuses, PtyPy by 190 squares."""


def ways_of(number: int) -> list[str]:
    there = importlib.util.find_spec("ptypy") is not None
    return ["plan", *(r for r in ALSO[number % len(ALSO)] if there or r != "ptypy")]


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(first, marks=() if first < TOGETHER else pytest.mark.long)
        for first in range(0, COUNT, TOGETHER)
    ],
)
def test_random_settings_give_what_the_reference_gives(first):
    for number in range(first, first + TOGETHER):
        case, ways = draw(SEED, number), ways_of(number)
        problem = disagreement(case, ways)
        if problem:
            smallest = shrunk(case, lambda tried, ways=ways: disagreement(tried, ways))
            pytest.fail(f"{problem}\n{case}\nfails still as\n{smallest}")
