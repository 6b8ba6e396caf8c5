"""Frames through PtyPy's own machinery."""

from __future__ import annotations

import numpy as np


def collect(scan, frames=1000):
    """Every frame, mask and position that PtyPy gets from a loader."""
    if not scan.is_initialized:
        scan.initialize()
    data, masks, positions = [], [], []
    while (package := scan.auto(frames)) != scan.EOS:
        for item in package["iterable"]:
            data.append(item["data"])
            masks.append(item["mask"])
            positions.append(item["position"])
    return np.array(data), np.array(masks), np.array(positions)


NAMED = {"name": "BeamlineScan"}


def tree(file, engines=None, **data):
    return {
        "verbose_level": "ERROR",
        "io": {"rfile": None, "autosave": {"active": False}},
        "scans": {"s": {"name": "BlockFull", "data": NAMED | {"file": str(file)} | data}},
        "engines": engines or {},
    }
