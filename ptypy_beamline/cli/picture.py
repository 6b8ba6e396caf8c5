"""One picture of what loading would do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ..arrays import Floats, Ints
from ..diagnosis.page import coarse, show_counts, show_positions, show_raw, steps_of
from ..output import put_figure
from ..planning.plan import Plan
from ..scan import Scan, sample_indices


def draw_plan(path: Path, scan: Scan, plan: Plan) -> None:
    """Draw the raw mean frame with the window, the frame that is handed over, the positions."""
    figure = Figure(figsize=(15, 4.8), layout="constrained")
    raw, handed, where = figure.subplots(1, 3)
    show_raw(raw, scan, plan, "raw mean frame and window")
    window, (y, x) = plan.window, plan.center_px
    raw.plot(x + window.left, y + window.top, "+", color="tab:red", markersize=12)
    picked, steps = sample_indices(len(plan)), steps_of(plan.geometry.shape)
    mean = _mean(plan, picked, steps)
    show_counts(handed, mean, f"as loaded, mean of {len(picked)}", steps)
    handed.plot(*plan.geometry.center_px[::-1], "+", color="tab:red", markersize=12)
    show_positions(where, plan.positions_m)
    put_figure(path, figure, 110)


def _mean(plan: Plan, picked: Ints, steps: tuple[int, int]) -> Floats:
    """The mean of some frames, in blocks of ``steps`` pixels; NaN where no pixel is good."""
    shape = [n // step for n, step in zip(plan.geometry.shape, steps, strict=True)]
    total, seen = np.zeros(shape), np.zeros(shape)
    for position in picked:
        frames, good = plan.correct(plan.load([position]), [position])
        total += coarse(frames[0], steps)
        seen += coarse(good[0], steps)
    return np.where(seen > 0, total / len(picked), np.nan)
