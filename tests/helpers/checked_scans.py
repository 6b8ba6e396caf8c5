"""Scans written to files, opened as the checks open them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ptypy_beamline.diagnosis.proposed_settings import planned
from ptypy_beamline.diagnosis.scan_sample import ScanSample
from ptypy_beamline.settings import Settings
from ptypy_beamline.testing.writers import WRITERS, Raw


def settings_of(folder, format, truth, **more):
    file = WRITERS[format](folder / f"{format}.h5", replace(Raw.of(truth), **more))
    return Settings.of({"file": str(file)})


def sample_of(settings):
    scan, plan = planned(settings)
    return ScanSample.at(scan, settings, plan)


def width_4_sigma(probe):
    """D4σ (ISO 11146), the mean of both axes, in windows."""
    power, at = np.abs(probe) ** 2, np.arange(len(probe))
    lines = [power.sum(axis) / power.sum() for axis in (0, 1)]
    return np.mean([4 * np.sqrt(p @ at**2 - (p @ at) ** 2) for p in lines]) / len(probe)
