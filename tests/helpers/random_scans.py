"""Random small scans with random settings, each made again from its two numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from random_files import named_elsewhere, store, write_generic
from random_measurements import KINDS, Measurement
from random_parameters import IMPOSSIBLE, MISTAKES, Parameters
from reference_scan import Measured

from ptypy_beamline.testing.writers import WRITERS, Raw


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
        kept = [
            n
            for n in ("bad", "dark", "flat", "monitor", "center_px", "saturation")
            if getattr(self.raw, n) is not None
        ]
        settings = {
            k: f"array{np.shape(v)}" if isinstance(v, np.ndarray) else v
            for k, v in self.settings.items()
        }
        return (
            f"{self.name}: {self.format} {frames.dtype.str} {frames.shape}, "
            f"{len(self.raw.positions_m)} positions, with {', '.join(kept) or 'nothing else'}; "
            f"{settings}; elsewhere {list(self.elsewhere)}; "
            f"PtyPy {dict(self.ptypy)}, chunk {self.chunk}"
        )


def draw(seed: int, number: int) -> Case:
    """Combination ``number`` of ``seed``."""
    rng = np.random.default_rng([seed, number])
    kind = KINDS[format := str(rng.choice(list(KINDS)))]
    scan = Measurement(rng, format, kind)
    raw = scan.raw()
    measured = scan.measured(raw)
    settings, stored = Parameters(rng, scan, measured).draw()
    raw, measured = _said_otherwise(rng, scan, raw, measured, settings)
    elsewhere = _elsewhere(rng, scan) if rng.random() < 0.2 else {}
    if "mask_values" in settings:
        elsewhere.pop("mask", None)
    measured = replace(
        measured,
        **{
            {"center": "center_px", "exposure": "exposure_s"}.get(k, k): v
            for k, v in elsewhere.items()
        },
    )
    if rng.random() < 0.12:
        settings.update(MISTAKES[rng.integers(len(MISTAKES))](rng, measured))
    elif rng.random() < 0.05 and kind.geometry:
        settings.update(IMPOSSIBLE[rng.integers(len(IMPOSSIBLE))])
    settings = {**kind.given, **settings}
    needs = {"frames_per_position", "outer_index", "stored_as", "zero_frequency", *kind.given}
    family = kind.family if rng.random() < 0.5 else "BeamlineScan"
    return Case(
        f"{seed}:{number}",
        format,
        raw,
        measured,
        settings,
        stored,
        frozenset(needs & set(settings)),
        elsewhere,
        _ptypy(rng),
        int(rng.integers(1, 25)),
        family,
    )


def _said_otherwise(
    rng: np.random.Generator,
    scan: Measurement,
    raw: Raw,
    measured: Measured,
    settings: dict[str, Any],
) -> tuple[Raw, Measured]:
    """The file departs from its format's rule, and a parameter declares it."""
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
        measured = replace(measured, corner=True)
    if format == "tike":
        measured = replace(measured, corner=True)
    if format == "tiff" and rng.random() < 0.4:
        settings["sidecar"] = "beside"
    return raw, measured


def _elsewhere(rng: np.random.Generator, scan: Measurement) -> dict[str, Any]:
    """What another file has of the scan, instead of its own."""
    known = {
        "dark": scan.dark,
        "flat": scan.flat,
        "monitor": scan.monitor,
        "mask": lambda: rng.random(scan.shape) < 0.05,
        "center": lambda: scan.beam,
        "exposure": lambda: 0.25,
    }
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
