"""Which orientations and axes are the same to the data.

Only the relation of frames and positions can be seen: turned together they give the same object,
turned. And a far field is the same for a wave ψ(r) as for its twin ψ*(−r), so frames turned by 180
degrees fit the same positions, with probe and object conjugated: orientations come in pairs
(o, o XOR 3), and four pairs are left.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import numpy as np

from ..arrays import Floats
from ..options import Positions, turn_of
from ..planning.places import to_image_axes

AXES: tuple[str, ...] = get_args(Positions.model_fields["axes"].annotation)
PAIRS = (0, 1, 4, 5)
"""The lower orientation of each pair."""


def twin(code: int) -> int:
    """The orientation turned by 180 degrees."""
    return code ^ 3


def relation(code: int, axes: str) -> Floats:
    """(2, 2) signed permutation M⁻¹A that the data see, up to its sign.

    M is what ``code`` does to the frames, A what ``axes`` do to the positions. The opposite sign
    conjugates probe and object.
    """
    transpose, ud, lr = turn_of(code)
    plain = np.eye(2)[::-1] if transpose else np.eye(2)
    turn = np.diag([-1.0 if ud else 1.0, -1.0 if lr else 1.0]) @ plain
    return np.asarray(turn.T @ to_image_axes(np.eye(2), axes).T)


def equivalents(code: int, axes: str) -> Iterator[tuple[int, str]]:
    """Every (orientation, axes) that fits the same data, those with ``axes`` first."""
    seen = relation(code, axes)
    for other in (axes, *(a for a in AXES if a != axes)):
        for number in range(8):
            # The trace of a signed permutation is ±2 for ± the identity only.
            if abs(np.trace(relation(number, other) @ seen.T)) == 2:
                yield number, other


def same_axes(given: int, code: int, axes: str) -> str:
    """The axes with which orientation ``given`` is the same to the data as ``code`` with ``axes``.

    The same object too, not its twin: the phases keep their sign.
    """
    seen = relation(code, axes)
    return next(other for other in AXES if np.array_equal(relation(given, other), seen))
