"""Small pictures of all frames in one image, as small as a page may be."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass

import numpy as np

from ..arrays import Bytes
from .thumbs import indexed_png

SIDES = (64, 48, 40, 32, 28, 24, 20, 16, 12, 8)
STEP = 16
"""Values that share a colour: 16 colours are half the bytes of 256, and enough for a glance."""
SAMPLE = 300


@dataclass(frozen=True)
class Sprite:
    """One PNG of square tiles in reading order, and how to find them.

    Attributes
    ----------
    url
        The image itself, as a data URL.
    side
        Of a tile, pixels.
    columns
        Tiles in a row.
    count
        Tiles.
    """

    url: str
    side: int
    columns: int
    count: int


def make_sprite(images: Bytes, budget: int) -> Sprite:
    """The largest tiles whose PNG fits ``budget`` bytes as a data URL.

    Where even the smallest are too many, the last ones are left out.

    Parameters
    ----------
    images
        (n, s, s), the most important first.
    budget
        Bytes.
    """
    sides = [side for side in SIDES if side < images.shape[1]]
    sides = [images.shape[1], *sides] if images.shape[1] <= SIDES[0] else sides
    sample = images[:: max(1, len(images) // SAMPLE)]
    cost = 0.0
    for side in sides:
        cost = len(_encode(shrink(sample, side))) / len(sample)
        if cost * len(images) > budget:
            continue
        found = _sprite(shrink(images, side))
        if len(found.url) <= budget:
            return found
    return _sprite(shrink(images[: max(1, int(0.9 * budget / cost))], sides[-1]))


def shrink(images: Bytes, side: int) -> Bytes:
    """(n, s, s) as (n, side, side): each value is the mean over the area it covers."""
    old = images.shape[1]
    if side == old:
        return images
    edges = np.arange(side + 1) * old / side
    low = np.maximum(edges[:-1, None], np.arange(old))
    high = np.minimum(edges[1:, None], np.arange(1, old + 1))
    weights = ((high - low).clip(0) * side / old).astype(np.float32)
    small = np.empty((len(images), side, side), np.uint8)
    for start in range(0, len(images), 2048):  # as floats all of them may not fit the memory
        part = images[start : start + 2048].astype(np.float32)
        small[start : start + 2048] = np.round(weights @ part @ weights.T)
    return small


def _sprite(tiles: Bytes) -> Sprite:
    columns = _columns(len(tiles))
    return Sprite(_encode(tiles), tiles.shape[1], columns, len(tiles))


def _columns(count: int) -> int:
    return max(1, int(np.ceil(np.sqrt(count))))


def _encode(tiles: Bytes) -> str:
    """The tiles in one image, as a data URL."""
    count, side = tiles.shape[:2]
    columns = _columns(count)
    rows = -(-count // columns)
    sheet = np.zeros((rows * columns, side, side), np.uint8)
    sheet[:count] = tiles
    image = sheet.reshape(rows, columns, side, side).swapaxes(1, 2)
    return data_url(indexed_png(image.reshape(rows * side, columns * side), STEP))


def data_url(png: bytes) -> str:
    """A PNG as text that a page can hold."""
    return "data:image/png;base64," + b64encode(png).decode()
