"""Random small scans with random settings, each made again from its two numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from reference_load import HC_EV_M, Measured
from scan_files import named_elsewhere, store, write_generic

from ptypy_beamline.testing.writers import WRITERS, Raw


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
    "eiger": Kind(IMAGES, dtypes="u",
                  given={"paths.x": "positions.h5::/x", "paths.y": "positions.h5::/y"}),
    "nanomax": Kind(IMAGES | REST | {"distance_m", "pixel_m"}),
    "hermes": Kind(REST | {"flat", "monitor", "distance_m", "pixel_m"}),
    "product": Kind(IMAGES | REST - {"exposure_s"}, geometry=False),
    "adorym": Kind(IMAGES | REST, geometry=False),
    "ptychopinn": Kind(IMAGES | REST | {"energy_eV", "distance_m", "pixel_m"}, pixels=True,
                       family="BeamlineScan"),
    "tike": Kind(IMAGES | REST | {"energy_eV", "distance_m", "pixel_m"}, pixels=True,
                 family="BeamlineScan"),
    "tiff": Kind(family="BeamlineTiffScan"),
    "ptyd": Kind(IMAGES | {"exposure_s", "saturation"}, each=True, family="BeamlinePtydScan"),
}  # fmt: skip
"""Format → what its files hold."""

SEVERAL = ("standard", "hdf5", "tiff")
"""Formats that keep projections and lists of exposure times."""

DTYPES = ("u1", "u2", "u2", "u4", "i2", "i4", "f4", "f8", ">u2", ">u4", ">i4", ">f4", ">f8")


@dataclass(frozen=True, eq=False)
class Case:
    """A scan and settings.

    Attributes
    ----------
    settings
        Loader parameters, flat; images and lists as arrays.
    stored
        Of those, what is given as a file, and of which kind: ``npy``, ``tif``, ``h5``, ``json``,
        ``csv``.
    needs
        Parameters that the file cannot do without, so that shrinking keeps them.
    elsewhere
        Datasets of another file that ``paths`` name.
    ptypy
        Parameters that PtyPy keeps for itself.
    chunk
        Frames that PtyPy asks for at a time.
    """

    name: str
    format: str
    raw: Raw
    measured: Measured
    settings: Mapping[str, Any]
    stored: Mapping[str, str]
    needs: frozenset[str]
    elsewhere: Mapping[str, Any]
    ptypy: Mapping[str, Any]
    chunk: int
    loader: str

    def write(self, folder: Path) -> tuple[Path, dict[str, Any]]:
        """The file, and the settings with files in the place of arrays."""
        settings = dict(self.settings)
        if self.format == "hdf5":
            file, places = write_generic(folder / "scan.h5", self.raw, int(self.name.split(":")[1]))
            settings = {**places, **settings, "format": "hdf5"}
        else:
            file = WRITERS[self.format](folder / "scan.h5", self.raw)
        if "sidecar" in settings:
            settings["sidecar"] = str(file.with_name("sidecar.h5"))
        if self.elsewhere:
            settings |= named_elsewhere(file.with_name("extra.h5"), self.elsewhere)
        for name, how in self.stored.items():
            if name in settings:
                settings[name] = store(
                    folder, name, settings[name], how, self.measured.frames.shape[-3]
                )
        return file, settings

    def __str__(self) -> str:
        frames = self.raw.frames
        kept = [n for n in ("bad", "dark", "flat", "monitor", "center_px", "saturation")
                if getattr(self.raw, n) is not None]  # fmt: skip
        settings = {k: f"array{np.shape(v)}" if isinstance(v, np.ndarray) else v
                    for k, v in self.settings.items()}  # fmt: skip
        return (f"{self.name}: {self.format} {frames.dtype.str} {frames.shape}, "
                f"{len(self.raw.positions_m)} positions, with {', '.join(kept) or 'nothing else'}; "
                f"{settings}; elsewhere {list(self.elsewhere)}; PtyPy {dict(self.ptypy)}, chunk {self.chunk}")  # fmt: skip


def draw(seed: int, number: int) -> Case:
    """Combination ``number`` of ``seed``."""
    rng = np.random.default_rng([seed, number])
    kind = KINDS[format := str(rng.choice(list(KINDS)))]
    scan = _Scan(rng, format, kind)
    raw = scan.raw()
    measured = scan.measured(raw)
    settings, stored = _Settings(rng, scan, measured).draw()
    raw, measured = _said_otherwise(rng, scan, raw, measured, settings)
    elsewhere = _elsewhere(rng, scan) if rng.random() < 0.2 else {}
    measured = replace(measured, **{{"center": "center_px", "exposure": "exposure_s"}.get(k, k): v
                                    for k, v in elsewhere.items()})  # fmt: skip
    if rng.random() < 0.12:
        settings.update(MISTAKES[rng.integers(len(MISTAKES))](rng, measured))
    elif rng.random() < 0.05 and kind.geometry:
        settings.update(IMPOSSIBLE[rng.integers(len(IMPOSSIBLE))])
    settings = {**kind.given, **settings}
    needs = {"frames_per_position", "outer_index", "stored_as", "zero_frequency", *kind.given}
    family = kind.family if rng.random() < 0.5 else "BeamlineScan"
    return Case(f"{seed}:{number}", format, raw, measured, settings, stored,
                frozenset(needs & set(settings)), elsewhere, _ptypy(rng), int(rng.integers(1, 25)),
                family)  # fmt: skip


def _said_otherwise(
    rng: np.random.Generator, scan: _Scan, raw: Raw, measured: Measured, settings: dict[str, Any]
) -> tuple[Raw, Measured]:
    """The file departs from its format's rule, and a parameter says so."""
    format = scan.format
    plain = "mask" not in settings and raw.bad is not None and measured.mask is not None
    if plain and format != "ptyd" and rng.random() < 0.2:
        settings["mask_values"] = "good"
        raw = replace(raw, bad=~raw.bad)
        measured = replace(measured, mask=raw.bad)
    if format in ("ptychopinn", "product") and raw.frames.dtype.kind == "f":
        settings["stored_as"] = "intensity"
    if format == "ptychopinn" and rng.random() < 0.4:
        settings["zero_frequency"] = "corner"
        raw = replace(raw, frames=np.fft.ifftshift(raw.frames, axes=(-2, -1)))
    if format == "tiff" and rng.random() < 0.4:
        settings["sidecar"] = "beside"
    return raw, measured


def _elsewhere(rng: np.random.Generator, scan: _Scan) -> dict[str, Any]:
    """What another file has of the scan, instead of its own."""
    known = {"dark": scan._dark, "flat": scan._flat, "monitor": lambda: scan._monitor(scan.n),
             "mask": lambda: rng.random(scan.shape) < 0.05, "center": lambda: scan.beam,
             "exposure": lambda: 0.25}  # fmt: skip
    if scan.format not in (
        "standard",
        "cxi",
        "nxcxi",
        "diamond",
        "areadetector",
        "exchange",
        "tiff",
    ):
        return {}
    names = rng.choice(list(known), int(rng.integers(1, 4)), replace=False)
    return {str(name): known[str(name)]() for name in names}


def _ptypy(rng: np.random.Generator) -> dict[str, Any]:
    """Parameters that PtyPy keeps for itself."""
    chosen: dict[str, Any] = {}
    if rng.random() < 0.6:
        chosen["load_parallel"] = [None, "data", "common", "all"][rng.integers(4)]
    if rng.random() < 0.3:
        chosen["min_frames"] = int(rng.integers(1, 6))
    return chosen


class _Scan:
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
        """Some scans were stopped, at the end of a position."""
        planned = self.rows * self.row * self.k
        whole = ("ptyd", "tike", "ptychopinn", "product", "adorym", "areadetector")
        if self.k > 1 or self.projections or self.format in whole or self.rng.random() < 0.85:
            return planned
        return planned - int(self.rng.integers(1, self.row))

    def raw(self) -> Raw:
        rng, (ny, nx) = self.rng, self.shape
        n = self.n
        bad = rng.random(self.shape) < rng.choice([0.0, 0.03, 0.06])
        if rng.random() < 0.3:
            bad[rng.integers(ny)] = True
        known: dict[str, Any] = {
            "energy_eV": float(rng.choice([710.5, 6200.0, 8800.0])),
            "distance_m": float(rng.choice([0.31, 1.234, 5.0])),
            "pixel_m": (55e-6, 75e-6) if self.kind.anisotropic and rng.random() < 0.25
            else (75e-6, 75e-6),
            "exposure_s": self._exposure(n),
            "bad": bad if rng.random() < 0.6 else None,
            "dark": self._dark() if rng.random() < 0.4 else None,
            "flat": self._flat() if rng.random() < 0.4 else None,
            "monitor": self._monitor(n) if rng.random() < 0.6 else None,
            "center_px": self.beam if rng.random() < 0.75 else None,
            "saturation": float(np.round(0.8 * self.amplitude)) if rng.random() < 0.6 else None,
            "compression": rng.choice([None, "gzip", "lzf", "bitshuffle"]),
        }  # fmt: skip
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
        y, x = (int(round(b)) for b in self.beam)
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

    def _dark(self) -> np.ndarray:
        return self.rng.integers(0, 5, (self._images(), *self.shape)).astype(np.uint16)

    def _flat(self) -> np.ndarray:
        flat = self.rng.uniform(0.8, 1.2, (self._images(), *self.shape))
        if self.rng.random() < 0.4:
            flat[:, 3, 5], flat[:, 4, 4] = 0, -1
        return flat

    def _images(self) -> int:
        """Not as many as the scan has frames."""
        return int(self.rng.integers(1, 5))

    def _monitor(self, n: int) -> np.ndarray:
        i0 = self.rng.uniform(0.7, 1.3, n) * 1e4
        if self.rng.random() < 0.5:
            i0[self.rng.integers(n)] = self.rng.choice([np.nan, 0, -1.0, np.inf])
        return i0

    def measured(self, raw: Raw) -> Measured:
        """What the file tells of it."""
        told = {"energy_eV": raw.energy_eV, "distance_m": raw.distance_m, "pixel_m": raw.pixel_m,
                "exposure_s": raw.exposure_s, "mask": raw.bad, "dark": raw.dark, "flat": raw.flat,
                "monitor": raw.monitor, "center_px": raw.center_px,
                "saturation": raw.saturation}  # fmt: skip
        told |= {name: None for name in self.kind.lacks if name in told}
        if "bad" in self.kind.lacks:
            told["mask"] = None
        places = raw.positions_m
        if self.kind.pixels:
            span = HC_EV_M / raw.energy_eV * raw.distance_m
            places = places / (span / (np.array(self.shape) * np.array(raw.pixel_m)))
        largest = np.iinfo(self.dtype).max if self.format == "eiger" else None
        return Measured(
            raw.frames, places, self.kind.pixels, self.each, **told, no_count=largest,
            row=0 if self.pattern == "scatter" else self.row, fast=self.fast,
            bidirectional=self.bidirectional, beam_px=self.beam, hot=self.hot_px,
        )  # fmt: skip


RAW_ALWAYS = frozenset({"energy_eV", "distance_m", "pixel_m", "exposure_s"})
"""Fields that writers of a format want, even if its files do not tell them."""


class _Settings:
    """Loader parameters, each now and then."""

    def __init__(self, rng: np.random.Generator, scan: _Scan, measured: Measured) -> None:
        self.rng, self.scan, self.measured = rng, scan, measured
        self.found: dict[str, Any] = {}
        self.stored: dict[str, str] = {}

    def draw(self) -> tuple[dict[str, Any], dict[str, str]]:
        for part in (self._exposures, self._window, self._turned, self._images, self._limits,
                     self._monitor, self._chosen, self._positions, self._geometry, self._work):  # fmt: skip
            part()
        return self.found, self.stored

    def _now_and_then(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def _one_of(self, values: Any) -> Any:
        return values[int(self.rng.integers(len(values)))]

    def _exposures(self) -> None:
        if self.scan.projections:
            self.found["outer_index"] = int(self.rng.integers(self.scan.projections))
        known = ["sum", "mean", "first", "best", "none"]
        if self.measured.exposure_s is not None:
            known.append("hdr")
        if self.scan.k > 1:
            self.found["frames_per_position"] = self.scan.k
            self.found["grouping"] = self._one_of(known)
        elif self._now_and_then(0.1):
            self.found["grouping"] = self._one_of(known)

    def _window(self) -> None:
        binned = self._one_of([1, 1, 1, 2, 2, 3])
        if binned > 1:
            self.found["rebin"] = binned
        divides = all(n % binned == 0 for n in self.scan.shape)
        if self._now_and_then(0.5) or not divides:
            sides = [n for n in range(8, 29) if n % binned == 0]
            side = self._one_of(sides)
            self.found["shape"] = side if self._now_and_then(0.6) else (side, self._one_of(sides))
        if self._now_and_then(0.4):
            y, x = self.scan.beam
            near = (y + self._one_of([-1, 0, 1]), x + self._one_of([-1, 0, 1]))
            whole = (int(near[0]), int(near[1]))
            self.found["center"] = self._one_of([near, whole, (0.5, 0.5), (0.45, 0.6), "fftshift"])
        if self.scan.aligned:
            self.found["align"] = "com"
        elif self._now_and_then(0.05):
            self.found["align"] = self._one_of(["none", "com"])

    def _turned(self) -> None:
        if self._now_and_then(0.4):
            self.found["rotate"] = self._one_of([0, 90, 180, 270])
        if self._now_and_then(0.3):
            self.found["flip"] = self._one_of(["none", "h", "v", "hv"])
        if not {"rotate", "flip"} & set(self.found) and self._now_and_then(0.4):
            turn = tuple(bool(b) for b in self.rng.integers(0, 2, 3))
            self.found["orientation"] = self._one_of([int(self.rng.integers(8)), turn])
        if self._now_and_then(0.45):
            border = tuple(int(b) for b in self.rng.integers(0, 4, 4))
            self.found["pad"] = self._one_of(["square", "square", 2, border])

    def _image(self, name: str, image: np.ndarray) -> None:
        self.found[name] = image
        how = self._one_of([None, "npy", "tif", "h5"])
        if how:
            self.stored[name] = how

    def _stack(self, image: np.ndarray) -> np.ndarray:
        """An image, or as many as the scan has not frames."""
        return (
            image if self._now_and_then(0.5) else np.array([image] * int(self.rng.integers(1, 5)))
        )

    def _images(self) -> None:
        rng, shape = self.rng, self.scan.shape
        if self._now_and_then(0.25):
            dark = self._stack(rng.uniform(0, 4, shape))
            dark = dark + rng.random(dark.shape)
            if self._now_and_then(0.3):
                dark[..., 2, 6] = self._one_of([np.nan, np.inf])
            self._image("dark", dark)
        if self._now_and_then(0.25):
            flat = self._stack(rng.uniform(0.7, 1.4, shape))
            flat = flat + 0.01 * rng.random(flat.shape)
            if self._now_and_then(0.4):
                flat[..., 6, 2], flat[..., 7, 3] = self._one_of([0, np.nan, np.inf, -1]), 0
            self._image("flat", flat)
        if self._now_and_then(0.2):
            if self._now_and_then(0.5):
                self.found["background"] = self._one_of([1, 2.75, 0.1])
            else:
                self._image("background", rng.uniform(0, 3, shape))
        if self._now_and_then(0.25):
            stack = self._stack(np.zeros(shape))
            mask = (rng.random(stack.shape) < 0.04).astype(np.uint16) * 8
            if self._now_and_then(0.4):
                mask = (mask == 0).astype(np.uint8)
                self.found["mask_values"] = "good"
            self._image("mask", mask)

    def _limits(self) -> None:
        amplitude = self.scan.amplitude
        if self._now_and_then(0.2):
            self.found["threshold"] = self._one_of([1.37, 7.31, 0.0])
        if self._now_and_then(0.3):
            limits: list[Any] = [0.83 * amplitude, round(0.9 * amplitude)]
            if self.measured.saturation is not None:
                limits.append("file")
            self.found["saturation"] = self._one_of(limits)
        if self.scan.hot:
            self.found["hot_sigma"] = self._one_of([8, 12.5])

    def _monitor(self) -> None:
        n = self.scan.n
        if self.measured.monitor is not None and self._now_and_then(0.6):
            self.found["monitor"] = self._one_of([True, True, "file", False])
        elif self._now_and_then(0.15):
            i0 = self.rng.uniform(0.5, 2, self._one_of([n, n // self.scan.k]))
            i0[int(self.rng.integers(len(i0)))] = self._one_of([np.nan, 0.0, -3.0, 1.0])
            self.found["monitor"] = i0
            how = self._one_of([None, "npy", "h5"])
            if how:
                self.stored["monitor"] = how

    def _chosen(self) -> None:
        rng, n = self.rng, self.scan.n
        if self._now_and_then(0.3):
            self.found["reject"] = sorted(
                rng.choice(n, int(rng.integers(1, max(2, n // 3))), False).tolist()
            )
            how = self._one_of([None, "npy", "json", "csv"])
            if how:
                self.stored["reject"] = how
        if self._now_and_then(0.2):
            self.found["step"] = int(rng.integers(2, 4))
        if self._now_and_then(0.15):
            self.found["num_frames"] = int(rng.integers(1, n))
        if self._now_and_then(0.2) and not self.measured.in_pixels:
            self._region()

    def _region(self) -> None:
        places = self.scan.positions_m
        middle, size = places.mean(0), np.ptp(places, axis=0)
        self.found["select.shape"] = self._one_of(["circle", "rect"])
        if self._now_and_then(0.6):
            self.found["select.center"] = tuple((middle + 0.1 * size).tolist())
        if self.found["select.shape"] == "circle":
            self.found["select.radius"] = 0.4321 * float(size.max())
        else:
            self.found["select.size"] = tuple((0.7654 * size).tolist())

    def _positions(self) -> None:
        scan = self.scan
        if self._now_and_then(0.4):
            axes = ["yx", "-yx", "y-x", "-y-x", "xy", "-xy", "x-y", "-x-y"]
            self.found["positions.axes"] = self._one_of(axes)
        if self._now_and_then(0.15):
            self.found["positions.shift"] = self._one_of([-2, -1, 1, 2])
        regular = scan.pattern != "scatter"
        if regular and not scan.bidirectional and self._now_and_then(0.25):
            self.found["positions.snake"] = True
        back = scan.bidirectional or "positions.snake" in self.found
        exact = scan.pattern == "raster" and not scan.each and not self.measured.in_pixels
        if back and exact and self._now_and_then(0.5):
            self.found["positions.backlash"] = self._one_of([2.5e-8, -1.3e-8])

    def _geometry(self) -> None:
        lacks, free = self.scan.kind.lacks, self.scan.kind.geometry
        if "energy_eV" in lacks or (free and self._now_and_then(0.15)):
            self.found["energy"] = self._one_of([0.71, 8.8, 12.4])
        if "distance_m" in lacks or (free and self._now_and_then(0.15)):
            self.found["distance"] = self._one_of([0.5, 2.0])
        if "pixel_m" in lacks or (free and self._now_and_then(0.15)):
            self.found["psize"] = self._one_of([75e-6, (55e-6, 60e-6)])
        if self._now_and_then(0.15):
            self.found["focus_to_sample"] = self._one_of([0.02, 0.5, 0])

    def _work(self) -> None:
        if self._now_and_then(0.5):
            self.found["threads"] = self._one_of([1, 2])
        if self._now_and_then(0.1):
            self.found["links"] = "any"
        if self._now_and_then(0.6):
            self.found["format"] = self.scan.format


def _wrong_image(rng: np.random.Generator, measured: Measured) -> dict[str, Any]:
    name = str(rng.choice(["dark", "flat", "mask", "background"]))
    return {name: np.ones((measured.frames.shape[-2] + 1, measured.frames.shape[-1]))}


def _runs_one_way(measured: Measured) -> bool:
    """Whether all rows are listed in one direction, to the last digit."""
    along = measured.positions[:, measured.fast]
    exact = bool(measured.row) and len(np.unique(along.round(12))) == measured.row
    return exact and not measured.bidirectional


MISTAKES = [
    lambda rng, m: {"orientation": 3, "rotate": 90},
    lambda rng, m: {"select.shape": "circle", "select.center": (0.0, 0.0)},
    lambda rng, m: {"select.shape": "rect", "select.center": (1.0, 1.0), "select.size": (1e-9, 1e-9)},
    lambda rng, m: {"pad": (1, 2, -1, 0)},
    lambda rng, m: {"rebin": 5, "shape": 12},
    lambda rng, m: {"reject": [m.frames.shape[-3]]},
    lambda rng, m: {"reject": list(range(m.frames.shape[-3]))},
    _wrong_image,
    lambda rng, m: {"monitor": np.ones(2)},
    lambda rng, m: {"monitor": np.zeros(m.frames.shape[-3])},
    lambda rng, m: {"monitor": True},
    lambda rng, m: {"saturation": "file"},
    lambda rng, m: {"grouping": "hdr"},
    lambda rng, m: {"center": (100, 5)},
    lambda rng, m: {"outer_index": 7},
    lambda rng, m: {"positions.shift": 1000},
    lambda rng, m: {"positions.backlash": 1e-7} if _runs_one_way(m) else {},
]  # fmt: skip
"""Settings that may make no sense; the reference says whether they do."""

IMPOSSIBLE: list[dict[str, Any]] = [{"energy": 8800.0}, {"distance": 5000.0}, {"psize": 75.0}]
"""Quantities in the wrong unit."""
