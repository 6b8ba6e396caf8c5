"""Steps of the beam's intensity: frames compared with their neighbours on the sample.

The logarithm of the counts is a smooth function of the position plus the logarithm of the intensity
at the time. Its residual against the neighbours on the sample (a matrix A, see
:meth:`.neighbours.Neighbours.residual_matrix`) is hence A·s for a step s in time, and the size of
the step is a weighted least-squares fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import sparse

from ..arrays import Bools, Floats
from ..robust import robust_sigma
from .neighbours import Neighbours

WINDOW = 800
"""Length of the window searched for pairs of steps, in frames; single steps are searched
everywhere."""
MIN_ERRORS, MIN_LOG_RATIO = 12.0, 0.1
"""Minimum significance of a step, in standard errors, and |log ratio|. There are half a million
pairs of steps in a window, of which the most significant has 5 by chance."""
MIN_LENGTH, TRIES = 10, 8
"""Minimum length of a stretch in frames, and how many are tried."""
SHARP, VERY_SHARP, SAME_SHAPE, AFFECTED = 0.15, 0.025, 4.0, 0.15
"""A step must explain the residuals around it. There, the residual over the step is at most the
first value, and each number of the shape deviates at most this many times as much as elsewhere; or
the residual is at most the second, as at no edge of a sample. Share of a step above which a frame
near it is affected."""
MIN_VISIBLE, MIN_USED = 0.8, 0.7
"""Share of the effect of a step's end that must be in usable frames; share of its frames that must
be usable."""
ROBUST = 2.5
"""Sigmas above which residuals are down-weighted."""


@dataclass(frozen=True)
class Step:
    """Frames ``first`` to ``last``, with ``log_ratio`` added to the logarithm of the intensity."""

    first: int
    last: int
    log_ratio: float


def steps(
    around: Neighbours, log_counts: Floats, noise: Floats, shape: Floats, usable: Bools
) -> list[Step]:
    """Stretches of different intensity, whose ends are sharp and do not change the shape.

    Parameters
    ----------
    around
        Of n frames in the order of time.
    log_counts
        (n,) of the frames.
    noise
        (n,) their variance by photon noise.
    shape
        (n, k) numbers that do not depend on the intensity.
    usable
        (n,) frames that may be used.
    """
    search = _Search(around.residual_matrix(), log_counts, noise, shape, usable)
    found: list[Step] = []
    for _ in range(TRIES):
        step = search.best()
        if step is None:
            break
        if search.is_sharp(step):
            search.subtract(step)
            found.append(step)
        else:
            search.exclude(step)
    return _levels(found, len(log_counts))


def _levels(found: list[Step], n: int) -> list[Step]:
    """Stretches between consecutive ends, each with the sum of the steps that cover it."""
    level = np.zeros(n)
    for step in found:
        level[step.first : step.last + 1] += step.log_ratio
    edges = [0, *(np.flatnonzero(np.diff(level)) + 1).tolist(), n]
    return [
        Step(first, end - 1, float(level[first]))
        for first, end in pairwise(edges)
        if abs(level[first]) > MIN_LOG_RATIO
    ]


class _Search:
    """Residuals of the counts, without the steps that have been found."""

    def __init__(
        self,
        matrix: sparse.csr_matrix,
        log_counts: Floats,
        noise: Floats,
        shape: Floats,
        usable: Bools,
    ) -> None:
        self.matrix, self.log_counts = matrix, log_counts.copy()
        self.square = matrix.multiply(matrix).tocsr()
        self.sizes = _sizes((matrix.T @ matrix).tocsr())
        self.noise = self.square @ noise
        self.shape = np.abs(matrix @ shape)
        affected = np.asarray(abs(matrix) @ (~usable).astype(float)) > 0
        self.used = ~affected
        self.weights = self._weigh(self.log_counts)

    def _weigh(self, log_counts: Floats) -> Floats:
        """Inverse variances of the frames used, from the residuals."""
        left = np.abs(self.matrix @ log_counts)
        usual = robust_sigma(left[self.used]) if self.used.any() else 1.0
        sigma = np.sqrt(np.maximum(usual**2, self.noise) + 1e-8)
        trust = np.minimum(1, ROBUST * sigma / np.maximum(left, 1e-12))
        return np.asarray(np.where(self.used, trust / sigma**2, 0))

    def best(self) -> Step | None:
        """The most significant step; None where none is significant."""
        if not self.used.any():
            return None
        step = self._most_significant(self.weights)
        if step is None:
            return None
        for _ in range(2):  # with the weights of the residuals without it
            self.weights = self._weigh(self._without(step))
            step = self._most_significant(self.weights) or step
        errors = self._standard_errors(step)
        significant = errors > MIN_ERRORS and abs(step.log_ratio) > MIN_LOG_RATIO
        return step if significant else None

    def _most_significant(self, weights: Floats) -> Step | None:
        normal = (self.matrix.T @ sparse.diags(weights) @ self.matrix).tocsr()
        rhs = self.matrix.T @ (weights * (self.matrix @ self.log_counts))
        n, ends = len(rhs), self._visible_ends()
        gain, ratio = _singles(normal, rhs, ends)
        alone = int(gain.argmax())
        best = float(gain[alone]), Step(alone, n - 1, float(ratio[alone]))
        for start in range(0, max(n - WINDOW // 2, 1), WINDOW // 2):
            part = slice(start, min(start + WINDOW, n))
            if gain[part].max() < (MIN_ERRORS / 2) ** 2:  # an end of a stretch would show by itself
                continue
            size, step = _stretch(
                normal[part, part].toarray(), rhs[part], ends[start : part.stop + 1], start, n
            )
            if size > best[0]:
                best = size, step
        if best[0] == 0:
            return None
        step = best[1]
        if step.first == 0 and step.last < n - 1:  # the first level is the reference
            return Step(step.last + 1, n - 1, -step.log_ratio)
        return step

    def _profile(self, step: Step) -> Floats:
        """(n,) residual of each frame that a step of 1 causes."""
        inside = np.zeros(len(self.log_counts))
        inside[step.first : step.last + 1] = 1
        return np.asarray(self.matrix @ inside)

    def _without(self, step: Step) -> Floats:
        less: Floats = self.log_counts.copy()
        less[step.first : step.last + 1] -= step.log_ratio
        return less

    def _standard_errors(self, step: Step) -> float:
        """Size of a step over its standard error."""
        profile = self._profile(step)
        return float(abs(step.log_ratio) * np.sqrt((profile**2 * self.weights).sum()))

    def is_sharp(self, step: Step) -> bool:
        """Whether it explains the residuals around it, with the shape unchanged."""
        if self.used[step.first : step.last + 1].mean() < MIN_USED:
            return False
        near = (np.abs(self._profile(step)) > AFFECTED) & self.used
        far = ~near & self.used
        if near.sum() < MIN_LENGTH or far.sum() < MIN_LENGTH:
            return False
        left = (self.matrix @ self._without(step))[near]
        rest = robust_sigma(left) / abs(step.log_ratio)
        both = np.median(self.shape[near], axis=0), np.median(self.shape[far], axis=0)
        same_shape = (both[0] < SAME_SHAPE * np.maximum(both[1], 1e-3)).all()
        return rest < VERY_SHARP or bool(rest < SHARP and same_shape)

    def _visible_ends(self) -> Bools:
        """(n + 1,) whether a step that begins or ends there shows in frames that are used."""
        used = _sizes((self.matrix.T @ sparse.diags(self.used.astype(float)) @ self.matrix).tocsr())
        ends = np.append(used > MIN_VISIBLE * self.sizes, True)
        ends[0] = True
        return np.asarray(ends)

    def subtract(self, step: Step) -> None:
        """Continue the search without it."""
        self.log_counts = self._without(step)
        self.weights = self._weigh(self.log_counts)

    def exclude(self, step: Step) -> None:
        """Exclude the frames around it: the sample, not the beam, causes it."""
        self.used &= np.abs(self._profile(step)) <= AFFECTED
        self.weights = self._weigh(self.log_counts)


def _sizes(normal: sparse.csr_matrix) -> Floats:
    """(n,) sum of the squared residuals caused by a unit step from each frame to the end."""
    upper = np.asarray(sparse.triu(normal, 1).sum(axis=1)).ravel()
    return np.asarray(np.cumsum((normal.diagonal() + 2 * upper)[::-1])[::-1])


def _singles(normal: sparse.csr_matrix, rhs: Floats, ends: Bools) -> tuple[Floats, Floats]:
    """(n,) squared standard errors and log ratio of steps from each frame to the end."""
    n, size = len(rhs), np.maximum(_sizes(normal), 1e-300)
    summed = np.cumsum(rhs[::-1])[::-1]
    gain = np.where(size > 1e-9 * size.max(), summed**2 / size, 0)
    gain[:MIN_LENGTH] = gain[n - MIN_LENGTH + 1 :] = 0
    gain[~ends[:-1]] = 0
    return gain, summed / size


def _stretch(normal: Floats, rhs: Floats, ends: Bools, start: int, n: int) -> tuple[float, Step]:
    """The most significant stretch of frames from ``start`` on, and its squared standard errors."""
    count = len(rhs)
    summed = np.concatenate([[0], np.cumsum(rhs)])
    both = np.zeros((count + 1, count + 1))
    both[1:, 1:] = normal.cumsum(0).cumsum(1)
    own = both.diagonal()
    size = np.maximum(own[None] + own[:, None] - both - both.T, 1e-300)
    gain = (summed[None] - summed[:, None]) ** 2 / size
    length = np.arange(count + 1)[None] - np.arange(count + 1)[:, None]
    gain[(length < MIN_LENGTH) | (length > n - MIN_LENGTH) | (size < 1e-9 * own[-1])] = 0
    gain[~ends], gain[:, ~ends] = 0, 0
    first, end = (int(k) for k in np.unravel_index(int(gain.argmax()), gain.shape))
    ratio = float((summed[end] - summed[first]) / size[first, end])
    return float(gain[first, end]), Step(start + first, start + end - 1, ratio)
