"""Which frames are left out."""

from __future__ import annotations

import warnings

import numpy as np

from ..arrays import Bools, Floats
from ..errors import BeamlineWarning, SettingsError
from ..options import Qc


def judge(score: Floats, nearness: Floats, masked: Bools, qc: Qc) -> Bools:
    """Rows to reject: by the rules that are asked for, together, else by the default one.

    Parameters
    ----------
    score
        (n,) 0 … 1.
    nearness
        (n,) 1 and more: a fault.
    masked
        (n,) inside the region; only those count for the rules by number.
    """
    asked = (qc.reject_topk, qc.reject_topp, qc.reject_thresh)
    if all(rule is None for rule in asked):
        return nearness >= 1
    inside_rows = np.flatnonzero(masked)
    worst = inside_rows[np.argsort(-score[inside_rows], kind="stable")]
    count = max(qc.reject_topk or 0, round((qc.reject_topp or 0) * len(worst)))
    out = np.zeros(len(score), np.bool_)
    out[worst[:count]] = True
    if qc.reject_thresh is not None:
        out |= score >= qc.reject_thresh
    return out


def rule(qc: Qc) -> str:
    """How it is decided, in words."""
    said = []
    if qc.reject_topk is not None:
        plural = "s" if qc.reject_topk != 1 else ""
        said.append(f"the {qc.reject_topk} frame{plural} of the highest score{plural}")
    if qc.reject_topp is not None:
        said.append(f"{qc.reject_topp:.3g} of the frames, those of the highest scores")
    if qc.reject_thresh is not None:
        said.append(f"scores of {qc.reject_thresh:g} and above")
    return " and ".join(said) or "default rule: unlike their neighbours on the sample"


def inside(positions: Floats, qc: Qc) -> Bools:
    """Rows inside the region that is asked for; ``positions`` (n, 2) stage y, x."""
    y, x = positions.T
    keep = np.ones(len(positions), np.bool_)
    if qc.rect is not None:
        cx, cy, width, height = qc.rect
        keep &= (np.abs(x - cx) <= width / 2) & (np.abs(y - cy) <= height / 2)
    if qc.circ is not None:
        cx, cy, radius = qc.circ
        keep &= np.hypot(x - cx, y - cy) <= radius
    return keep


def region(positions: Floats, qc: Qc, unit: str) -> Bools:
    """As :func:`inside`; a region that holds the whole scan is warned of.

    Raises
    ------
    SettingsError
        It holds nothing of it.
    """
    keep = inside(positions, qc)
    if qc.rect is None and qc.circ is None:
        return keep
    (y0, x0), (y1, x1) = positions.min(0), positions.max(0)
    unit = unit or "(as stored)"
    where = f"positions are x {x0:.4g} to {x1:.4g}, y {y0:.4g} to {y1:.4g} {unit}"
    if not keep.any():
        raise SettingsError(
            f"no frame lies in the region: {where}",
            "give rect (--rect CX CY W H) or circ (--circ CX CY R) in that unit",
        )
    if keep.all():
        warnings.warn(
            f"the region contains the whole scan, so it excludes nothing: {where}; "
            "rect and circ (--rect, --circ) are in that unit",
            BeamlineWarning,
            stacklevel=3,
        )
    return keep
