"""A table of mistakes: each is found, named, and fixed by the setting that is proposed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptypy_beamline.diagnosis.findings import diagnose
from ptypy_beamline.diagnosis.proposed_settings import changed, planned
from ptypy_beamline.errors import BeamlineError
from ptypy_beamline.reconstruction.comparison.registration import correlation
from ptypy_beamline.reconstruction.preview import preview
from ptypy_beamline.settings import Settings
from ptypy_beamline.testing.simulate import Truth, simulate
from ptypy_beamline.testing.writers import WRITERS, Raw

pytestmark = pytest.mark.long

RNG = np.random.default_rng(7)
N = 64
MARGIN_PX = 24


@cache
def truth(step_px: float = 6, pattern: str = "jitter") -> Truth:
    return simulate(N, (8, 8), step_px, pattern, photons=2e6, seed=4)


@dataclass(frozen=True)
class Mistake:
    """What is wrong in the raw scan or the settings, and what must be reported."""

    finding: str
    settings: dict[str, Any] = field(default_factory=dict)
    raw: dict[str, Any] = field(default_factory=dict)
    fix: dict[str, Any] | None = field(default_factory=dict)
    """What must be proposed; empty = nothing can be set."""
    level: str = "warning"
    step_px: float = 6
    like: float = 0.95
    """Correlation with the sample that a short reconstruction reaches with the fix."""
    pattern: str = "jitter"
    format: str = "exchange"
    with_reconstructions: bool = False

    @property
    def truth(self) -> Truth:
        return truth(self.step_px, self.pattern)


def pedestal() -> np.ndarray:
    return (truth().frames + RNG.poisson(60, truth().frames.shape)).astype(np.uint32)


def hot() -> np.ndarray:
    frames = truth().frames.copy()
    frames[:, RNG.integers(0, N, 20), RNG.integers(0, N, 20)] += 40_000
    return frames


def with_gap() -> np.ndarray:
    frames = truth().frames.copy()
    frames[:, 36:40] = 0
    return frames


def moved(rows: int, columns: int) -> np.ndarray:
    wide = np.zeros((64, 128, 128), np.uint32)
    wide[:, 32 + rows : 96 + rows, 32 + columns : 96 + columns] = truth().frames
    return wide


def late_trigger() -> np.ndarray:
    """Positions as if a trigger came a step late where rows run backwards."""
    rows = truth(6, "snake").positions_m.reshape(8, 8, 2).copy()
    rows[1::2, :, 1] -= 6e-8
    return rows.reshape(-1, 2)


INVERTED = np.ones((N, N), bool)
INVERTED[3, 4] = False
FLUX = 1 + 0.3 * np.sin(np.arange(64) / 5)
DRIFT = RNG.uniform(0.3, 3, 64)

MISTAKES = {
    "positions in um as m": Mistake(
        "positions 1e+06 times too large",
        {"units.positions": "m"},
        fix={"units.positions": "um"},
        level="error",
    ),
    "positions in um as mm": Mistake(
        "positions 1e+03 times too large",
        {"units.positions": "mm"},
        fix={"units.positions": "um"},
        level="error",
    ),
    "positions in um as nm": Mistake(
        "positions 1e+03 times too small",
        {"units.positions": "nm"},
        fix={"units.positions": "um"},
        level="error",
    ),
    "positions in whole nm as m": Mistake(
        "positions 1e+09 times too large",
        {"units.positions": "m"},
        {"positions_m": np.rint(truth().positions_m * 1e9) * 1e-6},
        fix={"units.positions": "nm"},
        level="error",
    ),
    "positions in pixels": Mistake(
        "in pixels",
        {"units.positions": "m"},
        {"positions_m": truth().positions_m / 1e-8 * 1e-6},
        fix={"units.positions": "px"},
        level="error",
    ),
    "distance in mm as m": Mistake(
        "distance 1e+03 times too large",
        {"units.distance": "m"},
        fix={"units.distance": "mm"},
        level="error",
    ),
    "distance given in mm": Mistake(
        "distance 1e+03 times too large", {"distance": 340.0}, fix={"distance": 0.34}, level="error"
    ),
    "distance in mm as um": Mistake(
        "distance 1e+03 times too small",
        {"units.distance": "um"},
        fix={"units.distance": "mm"},
        level="error",
    ),
    "pixel in um as mm": Mistake(
        "pixel 1e+03 times too large",
        {"units.pixel": "mm"},
        fix={"units.pixel": "um"},
        level="error",
    ),
    "pixel in um as nm": Mistake(
        "pixel 1e+03 times too small",
        {"units.pixel": "nm"},
        fix={"units.pixel": "um"},
        level="error",
    ),
    "pixel given in um": Mistake(
        "pixel 1e+06 times too large",
        {"psize": 75.0},
        fix={"psize": (7.5e-5, 7.5e-5)},
        level="error",
    ),
    "energy in keV as eV": Mistake(
        "energy 1e+03 times too small",
        {"units.energy": "eV"},
        fix={"units.energy": "keV"},
        level="error",
    ),
    "energy in keV as J": Mistake(
        "times too large", {"units.energy": "J"}, fix={"units.energy": "keV"}, level="error"
    ),
    "energy given in eV": Mistake(
        "energy 1e+03 times too large", {"energy": 8800}, fix={"energy": 8.8}, level="error"
    ),
    "centre off by 20 px": Mistake(
        "the centre is not that of the beam",
        {"center": (50, 78), "shape": 64},
        {"frames": moved(0, 0)},
        fix={"center": (64.0, 64.0)},
    ),
    "mask inverted": Mistake(
        "inverted", {}, {"bad": INVERTED}, fix={"mask_values": "good"}, level="error"
    ),
    "dark not subtracted": Mistake(
        "not subtracted", {}, {"frames": pedestal()}, fix={"background": 60.0}
    ),
    "dark of another exposure": Mistake(
        "the dark is of another exposure time",
        {},
        {"frames": pedestal(), "dark": np.full((2, N, N), 400)},
    ),
    "saturated": Mistake(
        "saturated", {}, {"frames": truth().frames.clip(0, 3000)}, fix={"saturation": 3000.0}
    ),
    "hot pixels": Mistake("hot", {}, {"frames": hot()}, fix={"hot_sigma": 100.0}),
    "gap between modules": Mistake(
        "a gap between modules", {}, {"frames": with_gap()}, fix={"hot_sigma": 100.0}, like=0.9
    ),
    "one axis scaled": Mistake(
        "scale of the stage's x axis is off",
        {},
        {"positions_m": truth().positions_m * (1, 1.3)},
        with_reconstructions=True,
    ),
    "useless monitor": Mistake(
        "does not follow the beam", {"monitor": True}, {"monitor": DRIFT}, fix={"monitor": False}
    ),
    "too large a step": Mistake("too large a step", step_px=26),
    "one frame repeated": Mistake(
        "are the same", {}, {"frames": np.repeat(truth().frames[:1], 64, 0)}, level="error"
    ),
    "no sample": Mistake(
        "out of the beam",
        {},
        {"frames": RNG.poisson(np.broadcast_to(truth().frames.mean(0), (64, N, N)))},
    ),
    "dark frames": Mistake(
        "no counts",
        {"center": (32, 32)},
        {"frames": np.zeros((64, N, N), np.uint32)},
        level="error",
    ),
    "pixel after binning": Mistake(
        "after binning by 2",
        {},
        {"pixel_m": (150e-6, 150e-6)},
        fix={"psize": 75e-6},
        level="error",
        with_reconstructions=True,
    ),
    "distance a quarter too long": Mistake(
        "distance, pixel, energy or the stage's scale is off",
        {"distance": 1.25 * truth().distance_m},
        fix={"distance": truth().distance_m},
        like=0.5,
        with_reconstructions=True,
    ),  # a few per cent off still, which scales the image
    "axes swapped": Mistake(
        "rotated or mirrored relative to",
        {"positions.axes": "xy"},
        fix={"orientation": 4},
        level="error",
        with_reconstructions=True,
    ),
    "positions shifted by one frame": Mistake(
        "frames are 1 behind their positions",
        {},
        {"positions_m": np.roll(truth().positions_m, -1, 0)},
        fix={"positions.shift": 1},
        level="error",
        with_reconstructions=True,
    ),
    "snake": Mistake(
        "every other row runs backwards",
        {},
        {"positions_m": truth(6, "raster").positions_m},
        fix={"positions.snake": True},
        level="error",
        pattern="snake",
        with_reconstructions=True,
    ),
    "every other row triggered late": Mistake(
        "from the others",
        {},
        {"positions_m": late_trigger()},
        fix={"positions.backlash": 6e-8},
        level="error",
        pattern="snake",
        with_reconstructions=True,
    ),
    "shutter closed for a while": Mistake(
        "shutter",
        {},
        {"frames": truth().frames * (np.arange(64) > 12)[:, None, None].astype(np.uint32)},
    ),
}


def write(folder: Path, mistake: Mistake) -> Settings:
    raw = replace(Raw.of(mistake.truth), center_px=None, **mistake.raw)
    file = WRITERS[mistake.format](folder / "scan.h5", raw)
    return Settings.of({"file": str(file), **mistake.settings})


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_reported_with_a_setting_that_fixes_it(tmp_path, name):
    mistake = MISTAKES[name]
    settings = write(tmp_path, mistake)
    findings = diagnose(settings, mistake.with_reconstructions).findings
    found = [f for f in findings if f.level != "note"]
    named = [f for f in found if mistake.finding in f.cause + f.what + f.remedy]
    assert named, [str(f) for f in found]
    first = named[0]
    assert first.level == mistake.level
    proposed = {name for name, value in first.settings.items() if value is not None}
    assert proposed == set(mistake.fix), first.settings
    for parameter, value in mistake.fix.items():
        got = first.settings[parameter]
        assert got == value or np.allclose(np.asarray(got, float), value, rtol=0.1), got
    if mistake.fix:
        fixed = changed(settings, first.settings)
        assert [
            str(f)
            for f in diagnose(fixed, with_reconstructions=False).findings
            if f.level != "note"
        ] == []
        before, after = (like_the_truth(one, mistake) for one in (settings, fixed))
        assert after > max(mistake.like, before + 0.05)


def test_positions_listed_backwards_are_reported(tmp_path):
    scan = simulate(64, (14, 14), 5, "snake", photons=1e6, seed=3)
    positions_m = scan.positions_m.copy()
    positions_m[70:112] = positions_m[70:112][::-1]
    file = WRITERS["exchange"](tmp_path / "scan.h5", replace(Raw.of(scan), positions_m=positions_m))
    settings = Settings.of({"file": str(file)})
    (found,) = [f for f in diagnose(settings).findings if f.level == "error"]
    assert "frames 70-111 are listed backwards" in found.what
    after = diagnose(changed(settings, {"reject": "70-111"})).findings
    assert [str(f) for f in after if f.level != "note"] == []


@pytest.mark.parametrize("pattern", ["fermat", "snake"])
def test_shuffled_positions_are_reported(tmp_path, pattern):
    scan = simulate(64, (14, 14), 5, pattern, photons=1e6, seed=3)
    for shuffled in (False, True):
        positions_m = RNG.permutation(scan.positions_m) if shuffled else scan.positions_m
        file = WRITERS["exchange"](
            tmp_path / "scan.h5", replace(Raw.of(scan), positions_m=positions_m)
        )
        found = [
            f for f in diagnose(Settings.of({"file": str(file)})).findings if f.level != "note"
        ]
        assert any("do not belong together" in f.cause for f in found) == shuffled, found


def like_the_truth(settings: Settings, mistake: Mistake) -> float:
    """Correlation of a short reconstruction with the sample; 0 where none can be made."""
    try:
        obj = preview(planned(settings)[1], iterations=30).object[0]
    except BeamlineError:
        return 0.0
    # Where frames are transposed instead of the axes, so is the object.
    obj = obj.T if "orientation" in mistake.fix and settings.orientation is not None else obj
    return correlation(obj, mistake.truth.object, MARGIN_PX)
