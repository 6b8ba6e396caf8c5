"""Random small scans: frames with a beam and with all that spoils pixels, positions, and what goes
with them; and what files of each format can hold of that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from reference_scan import Measured
from reference_selection import HC_EV_M

from ptypy_beamline.testing.writers import Raw


@dataclass(frozen=True)
class Kind:
    """What files of a format can hold.

    Attributes
    ----------
    lacks
        Fields of :class:`Raw` that they cannot.
    each
        Positions are logged with each frame: always, or as the scan likes (None).
    given
        Loader parameters that they need.
    geometry
        Energy, distance and pixel may be overridden one by one.
    pixels
        Positions are in pixels of the reconstruction.
    dtypes
        Kinds of numbers that are counts.
    """

    lacks: frozenset[str] = frozenset()
    each: bool | None = None
    given: dict[str, Any] = field(default_factory=dict)
    geometry: bool = True
    pixels: bool = False
    dtypes: str = "uif"
    family: str = "BeamlineHdf5Scan"
    anisotropic: bool = True


IMAGES = frozenset({"dark", "flat", "monitor"})
REST = frozenset({"bad", "exposure_s", "center_px", "saturation"})
KINDS = {
    "standard": Kind(),
    "hdf5": Kind(frozenset({"saturation"})),
    "cxi": Kind(),
    "nxcxi": Kind(),
    "diamond": Kind(),
    "areadetector": Kind(each=True, anisotropic=False),
    "exchange": Kind(frozenset({"center_px", "saturation"})),
    "eiger": Kind(
        IMAGES, dtypes="u", given={"paths.x": "positions.h5::/x", "paths.y": "positions.h5::/y"}
    ),
    "nanomax": Kind(IMAGES | REST | {"distance_m", "pixel_m"}),
    "hermes": Kind(REST | {"flat", "monitor", "distance_m", "pixel_m"}),
    "product": Kind(IMAGES | REST - {"exposure_s"}, geometry=False),
    "adorym": Kind(IMAGES | REST, geometry=False),
    "ptychopinn": Kind(
        IMAGES | REST | {"energy_eV", "distance_m", "pixel_m"}, pixels=True, family="BeamlineScan"
    ),
    "tike": Kind(
        IMAGES | REST | {"energy_eV", "distance_m", "pixel_m"}, pixels=True, family="BeamlineScan"
    ),
    "tiff": Kind(family="BeamlineTiffScan"),
    "ptyd": Kind(IMAGES | {"exposure_s", "saturation"}, each=True, family="BeamlinePtydScan"),
}
"""Format → what its files hold."""

SEVERAL = ("standard", "hdf5", "tiff")
"""Formats that keep projections and lists of exposure times."""

DTYPES = ("u1", "u2", "u2", "u4", "i2", "i4", "f4", "f8", ">u2", ">u4", ">i4", ">f4", ">f8")


class Measurement:
    """What is measured: frames with a beam and with all that spoils pixels, and positions."""

    def __init__(self, rng: np.random.Generator, format: str, kind: Kind) -> None:
        self.rng, self.format, self.kind = rng, format, kind
        self.k = int(rng.choice([1, 1, 1, 2, 3]))
        self.rows, self.row = int(rng.integers(2, 5)), int(rng.integers(3, 6))
        side = int(rng.integers(6, 13)) * 2
        self.shape = (side, side) if rng.random() < 0.55 else (side, int(rng.integers(12, 25)))
        self.beam = tuple(n / 2 + float(rng.choice([-2, -1, 0, 0.25, 1, 1.75])) for n in self.shape)
        each = self.kind.each
        self.each = self.k > 1 and bool(rng.random() < 0.5 if each is None else each)
        self.pattern = str(rng.choice(["raster", "raster", "jitter", "scatter"]))
        self.fast = int(rng.random() < 0.7)
        self.bidirectional = self.pattern == "raster" and bool(rng.random() < 0.4)
        self.dtype = np.dtype(
            str(rng.choice([d for d in DTYPES if d.strip("<>")[0] in kind.dtypes]))
        )
        several = format in ("standard", "hdf5") and self.k == 1
        self.projections = int(rng.integers(2, 4)) if several and rng.random() < 0.2 else 0
        self.hot = rng.random() < 0.12
        self.aligned = rng.random() < 0.12
        self.positions_m, self.n = self._positions(), self._frames_taken()

    def _positions(self) -> np.ndarray:
        rng, rows, row = self.rng, self.rows, self.row
        step = float(rng.choice([0.05e-6, 1e-6, 3e-6]))
        points = np.indices((rows, row)).reshape(2, -1).T.astype(float)
        if self.bidirectional:
            lines = points.reshape(rows, row, 2)
            lines[1::2] = lines[1::2, ::-1].copy()
            points = lines.reshape(-1, 2)
        if self.pattern == "jitter":
            points += rng.uniform(-0.12, 0.12, points.shape)
        if self.pattern == "scatter":
            points = rng.uniform(0, rows, points.shape)
        points = points if self.fast else points[:, ::-1]
        places = (points + rng.normal(0, 5, 2)) * step
        if self.each:
            places = np.repeat(places, self.k, axis=0)
            places += rng.normal(0, 0.01 * step, places.shape)
        return places

    def _frames_taken(self) -> int:
        """Some scans were stopped, but not so that frames and positions are as many."""
        planned = self.rows * self.row * self.k
        whole = ("ptyd", "tike", "ptychopinn", "product", "adorym", "areadetector")
        if self.each or self.projections or self.format in whole or self.rng.random() < 0.85:
            return planned
        taken = planned - int(self.rng.integers(1, self.row * self.k))
        return taken + (self.k > 1 and taken == self.rows * self.row)

    def raw(self) -> Raw:
        rng, (ny, nx) = self.rng, self.shape
        n = self.n
        bad = rng.random(self.shape) < rng.choice([0.0, 0.03, 0.06])
        if rng.random() < 0.3:
            bad[rng.integers(ny)] = True
        known: dict[str, Any] = {
            "energy_eV": float(rng.choice([710.5, 6200.0, 8800.0])),
            "distance_m": float(rng.choice([0.31, 1.234, 5.0])),
            "pixel_m": (55e-6, 75e-6)
            if self.kind.anisotropic and rng.random() < 0.25
            else (75e-6, 75e-6),
            "exposure_s": self._exposure(n),
            "bad": bad if rng.random() < 0.6 else None,
            "dark": self.dark() if rng.random() < 0.4 else None,
            "flat": self.flat() if rng.random() < 0.4 else None,
            "monitor": self.monitor() if rng.random() < 0.6 else None,
            "center_px": self.beam if rng.random() < 0.75 else None,
            "saturation": float(np.round(0.8 * self.amplitude)) if rng.random() < 0.6 else None,
            "compression": rng.choice([None, "gzip", "lzf", "bitshuffle"]),
        }
        if self.format == "adorym":  # one pixel on the sample is all that it knows
            known["pixel_m"] = (75e-6, 75e-6 * ny / nx)
        stacks = [self._frames(n, known["bad"]) for _ in range(max(self.projections, 1))]
        frames = np.array(stacks) if self.projections else stacks[0]
        gridded = self.format in ("nxcxi", "diamond") and n == self.rows * self.row
        known["grid"] = (self.rows, self.row) if gridded and rng.random() < 0.5 else None
        held = {k: v for k, v in known.items() if k not in self.kind.lacks or k in RAW_ALWAYS}
        return Raw(frames, self._lost_some(), **held)

    def _lost_some(self) -> np.ndarray:
        """Positions, of which one may not have been recorded."""
        places = self.positions_m.copy()
        lists = self.format in ("standard", "hdf5", "diamond", "areadetector", "tiff", "exchange")
        if lists and self.k == 1 and self.pattern == "scatter" and self.rng.random() < 0.2:
            places[self.rng.integers(1, len(places) - 3)] = np.nan
        return places

    @property
    def amplitude(self) -> float:
        most = {1: 150.0, 2: 3000.0}.get(self.dtype.itemsize, 20000.0)
        return min(most, 3000.0) if self.hot else most

    def _frames(self, n: int, bad: np.ndarray | None) -> np.ndarray:
        rng = self.rng
        y, x = np.indices(self.shape)
        wander = rng.uniform(-1.4, 1.4, (n, 2)) if self.aligned else np.zeros((n, 2))
        width = min(self.shape) / (3 if self.hot else 6)
        away = [(y - self.beam[0] - a) ** 2 + (x - self.beam[1] - b) ** 2 for a, b in wander]
        mean = 0.6 * self.amplitude * np.exp(-np.array(away) / (2 * width**2)) + 2
        counts = rng.poisson(mean * rng.uniform(0.7, 1.1, (n, 1, 1))).astype(float)
        counts = (
            np.minimum(counts, 0.9 * np.iinfo(np.uint8).max) if self.dtype.itemsize == 1 else counts
        )
        if self.dtype.kind == "f":
            counts += rng.random(counts.shape)
        if not self.hot:
            spoiled = rng.random(counts.shape) < 0.01
            counts[spoiled] = rng.choice([0.85, 0.95, 1.1], spoiled.sum()) * self.amplitude
            if self.dtype.kind == "f" and rng.random() < 0.5:
                lost = rng.random(counts.shape) < 0.01
                counts[lost] = rng.choice([np.nan, np.inf, -np.inf], lost.sum())
            if self.dtype.kind in "if" and rng.random() < 0.5:
                counts[rng.random(counts.shape) < 0.01] = -7
            if self.format == "eiger":
                counts[rng.random(counts.shape) < 0.01] = np.iinfo(self.dtype).max
            if bad is not None:
                counts[:, bad] = np.round(self.amplitude * 1.2)
        self._spoil(counts)
        return counts.astype(self.dtype)

    def _spoil(self, counts: np.ndarray) -> None:
        """Hot and dead pixels, none beside another or at an edge."""
        self.hot_px = np.zeros(self.shape, bool)
        if not self.hot:
            return
        y, x = (round(b) for b in self.beam)
        counts[:, y, x + 2] = 0
        self.hot_px[y, x + 2] = True
        for at in ((2, 2), (self.shape[0] - 3, 4)):
            counts[:, at[0], at[1]] = 240 if self.dtype.itemsize == 1 else 2400
            self.hot_px[at] = True

    def _exposure(self, n: int) -> Any:
        if self.format in SEVERAL and self.k > 1 and self.rng.random() < 0.7:
            each = np.array([0.1, 0.5, 2.0])[: self.k]
            return each if self.rng.random() < 0.5 else np.resize(each, n)
        return 0.05

    def dark(self) -> np.ndarray:
        return self.rng.integers(0, 5, (self.images(), *self.shape)).astype(np.uint16)

    def flat(self) -> np.ndarray:
        flat = self.rng.uniform(0.8, 1.2, (self.images(), *self.shape))
        if self.rng.random() < 0.4:
            flat[:, 3, 5], flat[:, 4, 4] = 0, -1
        return flat

    def images(self) -> int:
        """Not as many as the scan has frames."""
        number = int(self.rng.integers(1, 5))
        return number if number != self.n else 1

    def monitor(self) -> np.ndarray:
        i0 = self.rng.uniform(0.7, 1.3, self.n) * 1e4
        if self.rng.random() < 0.5:
            i0[self.rng.integers(self.n)] = self.rng.choice([np.nan, 0, -1.0, np.inf])
        return i0

    def measured(self, raw: Raw) -> Measured:
        """What the file holds of it."""
        known = {
            "energy_eV": raw.energy_eV,
            "distance_m": raw.distance_m,
            "pixel_m": raw.pixel_m,
            "exposure_s": raw.exposure_s,
            "mask": raw.bad,
            "dark": raw.dark,
            "flat": raw.flat,
            "monitor": raw.monitor,
            "center_px": raw.center_px,
            "saturation": raw.saturation,
        }
        known |= {name: None for name in self.kind.lacks if name in known}
        if "bad" in self.kind.lacks:
            known["mask"] = None
        places = raw.positions_m
        if self.kind.pixels:
            span = HC_EV_M / raw.energy_eV * raw.distance_m
            places = places / (span / (np.array(self.shape) * np.array(raw.pixel_m)))
        largest = np.iinfo(self.dtype).max if self.format == "eiger" else None
        return Measured(
            raw.frames,
            places,
            self.kind.pixels,
            self.each,
            **known,
            no_count=largest,
            row=0 if self.pattern == "scatter" else self.row,
            fast=self.fast,
            bidirectional=self.bidirectional,
            beam_px=self.beam,
            hot=self.hot_px,
        )


RAW_ALWAYS = frozenset({"energy_eV", "distance_m", "pixel_m", "exposure_s"})
"""Fields that writers of a format need, even if its files do not hold them."""
