"""Parts of the object plane: the scanned area, and rectangles that a user gives."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats, Ints
from ..errors import SettingsError
from ..units import LENGTH_M
from .model import Reconstruction

Slices = tuple[slice, slice]

MIN_SIDE_PX = 4
"""Minimum side of a rectangle, for a meaningful mean and phase ramp."""


def pixels_of(reconstruction: Reconstruction, points_m: Floats) -> Floats:
    """Rows and columns (n, 2), fractional, of points (n, 2) y, x on the axes of the positions."""
    offset = np.asarray(points_m) - reconstruction.center_m
    pixels: Floats = offset / np.asarray(reconstruction.pixel_m) + _middle(reconstruction)
    return pixels


def points_of(reconstruction: Reconstruction, pixels: Floats) -> Floats:
    """Points (n, 2) y, x on the axes of the positions, in metres, of rows and columns (n, 2)."""
    offset = np.asarray(pixels) - _middle(reconstruction)
    points: Floats = offset * np.asarray(reconstruction.pixel_m) + reconstruction.center_m
    return points


def _middle(reconstruction: Reconstruction) -> Floats:
    return (np.array(reconstruction.object.shape[1:]) - 1) / 2


def scanned(reconstruction: Reconstruction, margin_m: float = 0.0) -> Slices:
    """The positions' bounding box, and ``margin_m`` around it, in pixels of the object.

    Along an axis on which the probe hardly moves (a line scan), and where no positions are known,
    it is the whole object.
    """
    shape = reconstruction.object.shape[1:]
    points = pixels_of(reconstruction, reconstruction.positions_m.reshape(-1, 2))
    if not len(points):
        return slice(0, shape[0]), slice(0, shape[1])
    margin = margin_m / np.asarray(reconstruction.pixel_m)
    first = np.floor(points.min(axis=0) - margin).astype(int).clip(0, shape)
    last = (np.ceil(points.max(axis=0) + margin).astype(int) + 1).clip(0, shape)
    rows, columns = (
        slice(int(a), int(b)) if b - a >= MIN_SIDE_PX else slice(0, n)
        for a, b, n in zip(first, last, shape, strict=True)
    )
    return rows, columns


def middle_part(image: NDArray[Any], shape: tuple[int, ...] | Ints) -> NDArray[Any]:
    """The middle of an image (ny, nx), of a shape that fits into it."""
    rows, columns = (
        slice((n - m) // 2, (n - m) // 2 + m) for n, m in zip(image.shape, shape, strict=True)
    )
    return image[rows, columns]


def views_outside(
    from_center_m: Floats,
    pixel_m: NDArray[Any],
    obj: tuple[int, ...],
    probe: tuple[int, ...],
) -> int:
    """Views that reach more than a pixel beyond the object."""
    reach = (np.array(obj[-2:]) - np.array(probe[-2:])) / 2 + 1
    return int((np.abs(from_center_m) > reach * pixel_m).any(axis=1).sum())


@dataclass(frozen=True)
class Rectangle:
    """A rectangle of the object plane.

    Attributes
    ----------
    corner
        (y, x) of its first corner.
    size
        Height and width.
    unit_m
        Metres per unit of both, on the axes of the positions; None for pixels of the object.
    """

    corner: tuple[float, float]
    size: tuple[float, float]
    unit_m: float | None = None

    @classmethod
    def parse(cls, text: str) -> Rectangle:
        """``Y0,X0,H,W`` in pixels, or with a unit at the end, as in ``1.5,-2,0.5,0.5um``.

        Raises
        ------
        SettingsError
            It is not four numbers and a unit of length, or the size is not positive.
        """
        numbers = text.strip().rstrip("abcdefghijklmnopqrstuvwxyzµμ ")
        unit = text.strip()[len(numbers) :].strip()
        try:
            top, left, height, width = (float(word) for word in numbers.split(","))
            factor = LENGTH_M[unit] if unit else None
            if not (np.isfinite([top, left]).all() and 0 < height < inf and 0 < width < inf):
                raise ValueError("its position or size is not finite")
        except (ValueError, KeyError) as error:
            raise SettingsError(
                f"Expected a rectangle Y0,X0,H,W. Got {text!r}",
                "write pixels of the object as 10,20,60,40 or lengths as 1.5,-2,0.5,0.5um",
            ) from error
        return cls((top, left), (height, width), factor)

    @classmethod
    def of(cls, reconstruction: Reconstruction, slices: Slices) -> Rectangle:
        """A rectangle in metres, which stays valid when the object is cropped."""
        corner = np.array([part.start - 0.5 for part in slices])
        pixels = np.array([part.stop - part.start for part in slices])
        (y, x), size = points_of(reconstruction, corner), pixels * reconstruction.pixel_m
        return cls((float(y), float(x)), (float(size[0]), float(size[1])), 1.0)

    def within(self, reconstruction: Reconstruction) -> Slices:
        """The part of it that lies in the object.

        Raises
        ------
        SettingsError
            That part is smaller than :data:`MIN_SIDE_PX`.
        """
        first, size = np.array(self.corner), np.array(self.size)
        if self.unit_m is not None:
            size = size * self.unit_m / reconstruction.pixel_m
            first = pixels_of(reconstruction, first[None] * self.unit_m)[0] + 0.5
        edges: Ints = np.rint([first, first + size]).astype(np.int64)
        (top, left), (bottom, right) = edges.clip(0, reconstruction.object.shape[1:])
        if min(bottom - top, right - left) < MIN_SIDE_PX:
            ny, nx = reconstruction.object.shape[1:]
            raise SettingsError(
                f"the rectangle {self} has less than {MIN_SIDE_PX} pixels along an axis of the "
                f"object of {ny}x{nx}",
                "choose one inside the object, and inside the scanned area if it is cropped",
            )
        return slice(int(top), int(bottom)), slice(int(left), int(right))

    def __str__(self) -> str:
        unit = "px" if self.unit_m is None else "m"
        return ",".join(f"{v * (self.unit_m or 1):.6g}" for v in (*self.corner, *self.size)) + unit
