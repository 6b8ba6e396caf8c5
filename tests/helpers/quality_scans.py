"""Scans in memory, and quality control of them."""

from __future__ import annotations

import scans

from ptypy_beamline import Scan
from ptypy_beamline.options import Qc
from ptypy_beamline.quality import Assessment, Exposures, evaluate
from ptypy_beamline.scan import ArrayFrames

SIDE = 14
COUNT = SIDE**2


def truth():
    """196 frames of 64x64 of a structured sample."""
    return scans.truth(64, SIDE)


def scan_of(frames=None, positions_m=None, **more) -> Scan:
    """A scan of some of the truth's positions; ``more`` are fields of ``Scan``."""
    made = truth()
    frames = made.frames if frames is None else frames
    positions_m = made.positions_m[: len(frames)] if positions_m is None else positions_m
    values = {"center_px": (frames.shape[1] // 2, frames.shape[2] // 2)} | more
    return Scan(
        ArrayFrames(frames), positions_m, made.energy_eV, made.distance_m, made.pixel_m, **values
    )


def evaluated(scan, qc=None, i0=None, **settings) -> Assessment:
    """The result of quality control of ``scan``, loaded with ``settings``."""
    return evaluate(Exposures.of(scan.plan(**settings)), qc or Qc(), monitor=i0)
