"""Bad frames of known kinds: what goes wrong with single frames of a scan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Ints

Frames = NDArray[np.unsignedinteger[Any]]
"""(n, ny, nx) counts."""


def spoil(frames: Frames, kind: str, fraction: float = 0.02, seed: int = 0) -> tuple[Frames, Ints]:
    """Spoil a random ``fraction`` of ``frames`` (never the first) with one of :data:`KINDS`.

    Returns
    -------
    frames
        A copy with the spoiled ones in it.
    spoiled
        Their indices, increasing.
    """
    rng = np.random.default_rng([seed, list(KINDS).index(kind)])
    count = max(1, round(fraction * len(frames)))
    spoiled = np.sort(rng.choice(np.arange(1, len(frames) - 1), count, replace=False))
    out = frames.copy()
    limit = np.iinfo(frames.dtype).max
    for index in spoiled:
        out[index] = np.clip(KINDS[kind](frames, int(index), rng), 0, limit)
    return out, spoiled


def _dropped(frames: Frames, i: int, rng: np.random.Generator) -> Any:
    """The beam is nearly lost: 2 % of the counts."""
    return rng.binomial(frames[i].astype(np.int64), 0.02)


def _half(frames: Frames, i: int, rng: np.random.Generator) -> Any:
    """Half of the counts."""
    return rng.binomial(frames[i].astype(np.int64), 0.5)


def _shifted(frames: Frames, i: int, rng: np.random.Generator) -> Any:
    """The beam points elsewhere, by 5 % of the frame."""
    angle, length = rng.uniform(0, 2 * np.pi), 0.05 * frames.shape[1]
    return np.roll(
        frames[i], np.rint([length * np.sin(angle), length * np.cos(angle)]).astype(int), (0, 1)
    )


def _saturated(frames: Frames, i: int, rng: np.random.Generator) -> Any:
    """Ten times the intensity, clipped at the highest count of the scan."""
    return np.minimum(frames[i].astype(np.int64) * 10, int(frames.max()))


def _blank(frames: Frames, i: int, rng: np.random.Generator) -> Any:
    """The shutter stayed closed: a few stray counts."""
    return rng.poisson(0.001, frames[i].shape)


def _doubled(frames: Frames, i: int, rng: np.random.Generator) -> Any:
    """The shutter stayed open over this position and the next."""
    return frames[i].astype(np.int64) + frames[i + 1]


def _stuck(frames: Frames, i: int, rng: np.random.Generator) -> Any:
    """The detector sent the previous frame again."""
    return frames[i - 1]


def _burst(frames: Frames, i: int, rng: np.random.Generator) -> Any:
    """Noise all over the frame, a third of the mean intensity."""
    level = 0.33 * float(frames[i].mean())
    return frames[i] + rng.poisson(level, frames[i].shape)


KINDS: dict[str, Callable[[Frames, int, np.random.Generator], Any]] = {
    "dropped beam": _dropped,
    "half intensity": _half,
    "shifted beam": _shifted,
    "saturated": _saturated,
    "blank": _blank,
    "doubled exposure": _doubled,
    "stuck detector": _stuck,
    "noise burst": _burst,
}
"""Name → function that spoils frame ``i`` of a stack."""
