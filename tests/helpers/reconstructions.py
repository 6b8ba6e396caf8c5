"""Reconstructions for many tests: the simulated truth, and a small one that PtyPy made."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from dataclasses import fields
from functools import cache
from pathlib import Path

import numpy as np
import scans

from ptypy_beamline import Plan, open_scan
from ptypy_beamline.frames.simulated import far_field, fresnel
from ptypy_beamline.reconstruction import Reconstruction
from ptypy_beamline.reconstruction.area import pixels_of
from ptypy_beamline.testing.simulate import sample

REJECT = [0, 5, 48]
MOVED = slice(None, None, 5)
"""Positions whose recorded values are wrong, for PtyPy to refine."""


def exact(**more) -> Reconstruction:
    """The simulated truth; ``more`` replaces fields."""
    truth = scans.truth()
    half = (np.array(truth.object.shape) - 1) / 2 - 31.5
    center = truth.positions_m[0] + (half - truth.corners_px[0]) * truth.object_pixel_m
    values = {
        "object": truth.object[None],
        "probe": np.stack([0.1 * truth.probe, truth.probe]),
        "pixel_m": truth.object_pixel_m,
        "center_m": (float(center[0]), float(center[1])),
        "positions_m": truth.positions_m,
        "indices": np.arange(len(truth.frames)),
        "energy_eV": truth.energy_eV,
        "distance_m": truth.distance_m,
        "errors": np.array([0.5, np.nan, 0.25]),
        "algorithm": "PtyPy DM 2 + ML 1",
        "scan": "s",
        "provenance": {"settings": {"shape": [64, 64]}, "versions": {"numpy": "2"}, "run": "x"},
    }
    return Reconstruction(**(values | more))


SPACING_M = 2e-6
"""Between layers."""


def true_reconstruction(layers: int = 1, modes: int = 1, empty_columns: int = 0) -> Reconstruction:
    """The simulated truth with more layers or modes, or nothing at its left side."""
    truth = scans.truth()
    rng = np.random.default_rng(7)
    planes = [truth.object, *(sample(truth.object.shape, rng) for _ in range(layers - 1))]
    obj = np.array(planes, np.complex64)
    obj[:, :, :empty_columns] = 1
    # Modes like those of a blurred source: the probe times ever higher powers.
    power = np.linspace(-1, 1, 64)[None, :] ** np.arange(modes)[:, None, None]
    return exact(
        object=obj,
        probe=np.asarray(truth.probe * power, np.complex64),
        errors=np.geomspace(0.4, 0.02, 60),
        algorithm="DM 40 + ML 20",
        layer_spacing_m=(SPACING_M,) * (layers - 1),
        scan="scan_0042",
        provenance={"source": "scan_0042.h5"},
    )


def frames_of(found: Reconstruction) -> np.ndarray:
    """Intensities (n, N, N) of every position, from object, probe, positions and centre alone."""
    n = found.probe.shape[-1]
    corners = np.rint(pixels_of(found, found.positions_m) - (n - 1) / 2).astype(int)
    step = fresnel((n, n), found.pixel_m[0], SPACING_M, found.energy_eV)
    views = [found.object[:, row : row + n, column : column + n] for row, column in corners]
    return np.array([sum(far_field(mode, view, step) for mode in found.probe) for view in views])


def assert_same(one: Reconstruction, other: Reconstruction, *but: str) -> None:
    """All fields equal to the last bit."""
    for field in fields(Reconstruction):
        if field.name in but:
            continue
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, np.ndarray):
            assert (a.dtype, a.shape) == (b.dtype, b.shape), field.name
            np.testing.assert_array_equal(a, b, err_msg=field.name)
        else:
            assert a == b, field.name


@cache
def folder() -> Path:
    made = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


@cache
def raw_file() -> Path:
    """A raw scan some of whose positions are 2 pixels wrong."""
    positions_m, rng = scans.truth().positions_m.copy(), np.random.default_rng(0)
    positions_m[MOVED] += rng.choice([-2e-8, 2e-8], positions_m[MOVED].shape)
    return scans.write(folder(), positions_m=positions_m)


def plan() -> Plan:
    return open_scan(raw_file()).plan(reject=REJECT)


def tree(file: Path, **model) -> dict:
    """A PtyPy parameter tree with the true probe."""
    illumination = {
        "model": scans.truth().probe.astype(complex),
        "aperture": None,
        "propagation": None,
        "diversity": None,
    }
    data = {"name": "BeamlineScan", "file": str(file), "reject": REJECT}
    return {
        "verbose_level": "ERROR",
        "run": "made",
        "frames_per_block": 20,
        "io": {"home": str(folder()), "autosave": {"active": False}},
        "scans": {"s": {"name": "BlockFull", "data": data, "illumination": illumination} | model},
        "engines": {},
    }


@cache
def ptycho():
    """DM with refined positions and ML, two probe modes; the ``.ptyr`` is saved."""
    from ptypy_beamline.run import run

    refinement = {
        "start": 2,
        "stop": 40,
        "interval": 1,
        "nshifts": 4,
        "amplitude": 3e-8,
        "max_shift": 5e-8,
        "record": True,
    }
    pars = tree(raw_file(), coherence={"num_probe_modes": 2})
    pars["scans"]["s"]["illumination"]["diversity"] = {"power": 0.1, "noise": (0.5, 0.2)}
    pars["engines"] = {
        "first": {
            "name": "DM",
            "numiter": 50,
            "probe_support": None,
            "position_refinement": refinement,
        },
        "second": {"name": "ML", "numiter": 10},
    }
    return run(pars, level=5)


def ptyr() -> Path:
    return Path(ptycho().paths.recon_file(ptycho().runtime))


def modelled(found: Reconstruction, shift_px=(0, 0)) -> np.ndarray:
    """(n, N, N) root counts that a reconstruction predicts, its views moved by whole pixels.

    By the definition: pixel (N - 1)/2 of the probe lies at the position.
    """
    n = found.probe.shape[-1]
    middle = (found.positions_m - found.center_m) / found.pixel_m
    corners = middle + (np.array(found.object.shape[-2:]) - n) / 2 + shift_px
    whole = np.rint(corners).astype(int)
    waves = np.stack([found.object[0, y : y + n, x : x + n] for y, x in whole])
    spectra = np.fft.fft2(waves[:, None] * found.probe, norm="ortho")
    intensity = (np.abs(np.fft.fftshift(spectra, axes=(-2, -1))) ** 2).sum(axis=1)
    return np.sqrt(intensity)


def misfit(found: Reconstruction, frames: np.ndarray, shift_px=(0, 0)) -> float:
    """Σ|√I − |Ψ|| / Σ√I."""
    return np.abs(modelled(found, shift_px) - np.sqrt(frames)).sum() / np.sqrt(frames).sum()
