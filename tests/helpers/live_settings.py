"""Settings and positions of the small scans that tests follow."""

import numpy as np


def settings(file, timeout_s=4.0, poll_s=0.1, **more):
    return {
        "file": str(file),
        "shape": 32,
        "center": (16, 16),
        "live.timeout_s": timeout_s,
        "live.poll_s": poll_s,
    } | more


def expected_positions(count):
    numbers = np.arange(count)
    return np.column_stack([numbers // 5, numbers % 5]) * 1e-7
