"""Random loader parameters for a scan, and settings that may make no sense."""

from __future__ import annotations

from typing import Any

import numpy as np
from random_measurements import Measurement
from reference_scan import Measured


class Parameters:
    """Loader parameters, each now and then."""

    def __init__(self, rng: np.random.Generator, scan: Measurement, measured: Measured) -> None:
        self.rng, self.scan, self.measured = rng, scan, measured
        self.found: dict[str, Any] = {}
        self.stored: dict[str, str] = {}

    def draw(self) -> tuple[dict[str, Any], dict[str, str]]:
        for part in (
            self._exposures,
            self._window,
            self._turned,
            self._images,
            self._limits,
            self._monitor,
            self._chosen,
            self._positions,
            self._geometry,
            self._work,
        ):
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
        return image if self._now_and_then(0.5) else np.array([image] * self.scan.images())

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
            self.found["hot_sigma"] = self._one_of([8, 10])
            for window in ("shape", "rebin"):  # a window's edge may lie beside a hot pixel
                self.found.pop(window, None)

    def _monitor(self) -> None:
        n = self.scan.n
        if self.measured.monitor is not None and self._now_and_then(0.6):
            self.found["monitor"] = self._one_of([True, True, "file", False])
        elif self._now_and_then(0.15):
            i0 = self.rng.uniform(0.5, 2, self._one_of([n, self.scan.rows * self.scan.row]))
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
    lambda rng, m: {
        "select.shape": "rect",
        "select.center": (1.0, 1.0),
        "select.size": (1e-9, 1e-9),
    },
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
]
"""Settings that may make no sense; the reference decides whether they do."""

IMPOSSIBLE: list[dict[str, Any]] = [{"energy": 8800.0}, {"distance": 5000.0}, {"psize": 75.0}]
"""Quantities in the wrong unit."""
