"""A phantom's ground truth, and what it is illuminated with: ``simulate.*``, else ``info.txt``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Ints
from ..errors import FileError, MissingDataError, SettingsError
from ..frames.images import frames_of
from ..frames.simulated import Phantom
from ..geometry import object_pixel_m, wavelength_m
from ..quantities import QUANTITIES, unit_factor
from ..scan import Window

NUMBER = r"([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)"
TIMES = r"(\d+) *[x×*,] *(\d+)"

PATTERNS: dict[str, tuple[str, ...]] = {
    "shape": (rf"probe\w*[^\d\n]*?{TIMES}", rf"{TIMES} *(?:px|pixels?)? *probe"),
    "scan": (
        rf"{TIMES} *(?:probe +)?(?:positions|spots|points|scan)",
        rf"(?:positions|spots|points|scan)\w*[^\d\n]*?{TIMES}",
    ),
    "step_px": (rf"step\w*[^\d\n]*?{NUMBER}", rf"{NUMBER} *(?:px|pixels?) *step"),
    "energy": (rf"energy_?(k?eV)[^\d\n]*?{NUMBER}", rf"{NUMBER} *(k?eV)\b"),
    "pixel_m": (
        rf"(?:psize|pixel|voxel)\w*?_(cm|mm|um|nm|m)\b[^\d\n]*?{NUMBER}",
        rf"(?:psize|pixel|voxel)[^\d\n]*?{NUMBER} *(cm|mm|µm|um|nm|m)\b",
    ),
    "slice_m": (
        rf"slice\w*?_(cm|mm|um|nm|m)\b[^\d\n]*?{NUMBER}",
        rf"slice[^\d\n]*?{NUMBER} *(cm|mm|µm|um|nm|m)\b",
    ),
    "photons": (
        r"\bn(\d+(?:\.\d+)?e\d+)\b",
        rf"{NUMBER} *photons",
        rf"photons?\w* *[:=] *{NUMBER}",
    ),
}
"""Quantity → its names in ``info.txt``, in upper or lower case; the first one found counts."""

POWER = re.compile(r"[x×*·] *10\^?(-?\d+)")
SUPERSCRIPTS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")

REMEDIES = {
    "shape": "simulate.shape (--sim-shape), (ny, nx) of the probe in pixels",
    "scan": "simulate.scan (--sim-scan), rows and columns, or simulate.positions",
    "step_px": "simulate.step_px (--sim-step-px), pixels between positions",
    "energy": QUANTITIES["energy"].value_remedy,
    "pixel_m": "simulate.pixel_m (--sim-pixel-m), the phantom's voxel across the beam",
    "photons": "simulate.photons (--sim-photons), of a frame without a sample",
}


@dataclass(frozen=True)
class Info:
    """Parameters by name, the user's before those of ``info.txt``."""

    directory: Path
    given: Mapping[str, Any]
    written: Mapping[str, Any]

    @classmethod
    def of(cls, directory: Path, given: Mapping[str, Any]) -> Info:
        """Read ``info.txt`` of ``directory``, if it is there."""
        file = directory / "info.txt"
        text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
        return cls(directory, given, parse(text))

    def get(self, name: str, default: Any = None) -> Any:
        """The value, or ``default``."""
        return self.given.get(name, self.written.get(name, default))

    def need(self, name: str) -> Any:
        """The value.

        Raises
        ------
        MissingDataError
            Neither has it.
        """
        value = self.get(name)
        if value is None:
            raise MissingDataError(
                f"no {name.removesuffix('_m').removesuffix('_px')} in info.txt",
                f"set {REMEDIES[name]}",
                self.directory,
            )
        return value

    @property
    def energy_eV(self) -> float:  # noqa: N802
        """Photon energy."""
        return float(self.need("energy")) * 1e3

    @property
    def pixel_m(self) -> float:
        """The phantom's voxel across the beam."""
        return float(self.need("pixel_m"))

    def phantom(self) -> Phantom:
        """The ground truth; voxels are cubes unless ``simulate.slice_m`` or ``info.txt`` differ.

        Raises
        ------
        FileError, MissingDataError
            It is not there, or neither the user nor ``info.txt`` has the voxel or the energy.
        """
        delta, beta = (self.directory / name for name in GRIDS)
        for grid in (delta, beta):
            if not grid.is_file():
                name = grid.relative_to(self.directory)
                raise FileError(
                    f"no {name} in it", "give a directory with a phantom", self.directory
                )
        slice_m = float(self.get("slice_m", self.pixel_m))
        return Phantom(delta, beta, self.pixel_m, slice_m, self.energy_eV)


def parse(text: str) -> dict[str, Any]:
    """The content of an ``info.txt``: ``shape``, ``scan``, ``step_px``, ``energy`` (keV), …"""
    found: dict[str, Any] = {}
    text = POWER.sub(r"e\1", text.translate(SUPERSCRIPTS))
    for name, patterns in PATTERNS.items():
        for pattern in patterns:
            match = re.search(pattern, text, re.IGNORECASE)
            if match:
                found[name] = READ.get(name, float)(*match.groups())
                break
    return found


def _with_unit(quantity: str, factor: float) -> Callable[[str, str], float]:
    """Number and unit, in either order."""

    def read(*parts: str) -> float:
        number, unit = sorted(parts, key=lambda part: not part.lstrip("+-")[0].isdigit())
        return float(number) * unit_factor(quantity, unit) * factor

    return read


READ: dict[str, Callable[..., Any]] = {
    "shape": lambda *numbers: tuple(map(int, numbers)),
    "scan": lambda *numbers: tuple(map(int, numbers)),
    "energy": _with_unit("energy", 1e-3),
    "pixel_m": _with_unit("pixel", 1.0),
    "slice_m": _with_unit("pixel", 1.0),
}


def corners(info: Info, size: tuple[int, int], shape: tuple[int, int]) -> Ints:
    """(n, 2) row, column of the window of ``shape`` on a phantom of ``size``, whole pixels.

    The user's positions, or a raster around the phantom's middle, columns fast.
    """
    given = info.get("positions")
    if given is not None:
        stack = frames_of(given, "simulate.positions")
        given_px = stack.read([0], Window.full(stack.shape[1:]))[0]
        if given_px.ndim != 2 or given_px.shape[1] != 2 or not np.isfinite(given_px).all():
            raise SettingsError(
                f"Expected simulate.positions (n, 2). Got {given_px.shape}",
                "give (row, column) of the window's corner in pixels",
            )
        return np.asarray(np.rint(given_px), np.int64)
    rows, columns = info.need("scan")
    step = np.broadcast_to(np.asarray(info.need("step_px"), np.float64), 2)
    grid = np.stack(np.meshgrid(range(rows), range(columns), indexing="ij"), -1).reshape(-1, 2)
    away = (grid - (np.array([rows, columns]) - 1) / 2) * step
    first = np.floor((np.array(size) - np.array(shape)) / 2 + away + 0.5)
    return np.asarray(first, np.int64)


GRIDS = ("phantom/grid_delta.npy", "phantom/grid_beta.npy")
PIXEL_M = 75e-6
"""Detector pixel where none is given: in the far field only λz/p matters, and z follows."""

FAR_FIELD = "far field: distance and detector pixel stand for any pair that gives the same λz/p"


def is_phantom(path: Path) -> bool:
    """Whether ``path`` is a directory with a phantom's ground truth."""
    return path.is_dir() and all((path / name).is_file() for name in GRIDS)


def measured_file(directory: Path) -> Path | None:
    """``NAME.h5`` of a directory NAME, or the only HDF5 file other than ``_ref``."""
    named = directory / f"{directory.name}.h5"
    others = [path for path in sorted(directory.glob("*.h5")) if not path.stem.endswith("_ref")]
    if named in others:
        return named
    return others[0] if len(others) == 1 else None


def far_field_geometry(info: Info, shape: tuple[int, int]) -> tuple[float, tuple[float, float]]:
    """Distance and detector pixel that give the phantom's voxel: λz/(N·p), whichever are free.

    Raises
    ------
    SettingsError
        The user gives both, and they give another pixel.
    """
    voxel = info.pixel_m
    distance, pixel = info.given.get("distance"), info.given.get("psize")
    if distance is None:
        return any_far_field(voxel, info.energy_eV, shape, pixel)
    span = wavelength_m(info.energy_eV) * distance / voxel
    fitting = (span / shape[0], span / shape[1])
    if pixel is not None and not np.allclose(pixel, fitting, rtol=0.01):
        found = object_pixel_m(info.energy_eV, distance, pixel, shape)[0]
        raise SettingsError(
            f"distance and psize give a pixel of {found:.4g} m, the phantom has {voxel:.4g} m",
            "give only one of them",
        )
    return float(distance), fitting


def any_far_field(
    voxel_m: float,
    energy_eV: float,
    shape: tuple[int, int],
    pixel_m: tuple[float, float] | None = None,
) -> tuple[float, tuple[float, float]]:
    """Distance and detector pixel, the usual one if none is given, of square object pixels."""
    row, column = pixel_m or (PIXEL_M, PIXEL_M * shape[0] / shape[1])
    return voxel_m * shape[0] * row / wavelength_m(energy_eV), (float(row), float(column))
