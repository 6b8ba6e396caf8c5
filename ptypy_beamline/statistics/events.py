"""Faults of the beam or the stage that affect many frames in succession."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ..arrays import Bools, Floats, Ints
from .intensity_steps import steps
from .interruptions import beam_losses, no_beam, standstills
from .measurements import Measurements
from .neighbours import Neighbours
from .variations import decay_and_drift, flicker

FLOATING = "let PtyPy's ML fit it (floating_intensities=True of the engine)"

MIN_FRAMES = 100
"""Fewest frames of a scan that is searched for events."""

DIM, BRIGHT_QUANTILE = 0.25, 0.8
"""Frames with less than this fraction of the counts of a bright one (the quantile) are not used."""

DESCRIPTIONS = {
    "dump": "no beam",
    "step": "beam intensity {:.2f} of the usual",
    "drift": "beam drifted by {:.1f} px on the detector",
    "flicker": "beam intensity flickers by {:.1%} from frame to frame",
    "motor": "stage stood still, all frames are the same",
}

OF_INTENSITY = ("step", "decay", "flicker")
"""Kinds that an applied monitor can correct, or cause."""


@dataclass(frozen=True)
class Event:
    """A fault of raw frames ``first`` to ``last``.

    Attributes
    ----------
    kind
        ``dump``, ``step``, ``decay``, ``drift``, ``flicker`` or ``motor``.
    first, last
        Raw frames.
    amount
        Intensity over the normal one (dump, step), or at the end over that at the start (decay);
        pixels (drift), standard deviation over the mean (flicker), number of frames (motor).
    of_monitor
        Whether the applied I0 changed, and not the counts.
    """

    kind: str
    first: int
    last: int
    amount: float
    of_monitor: bool = False

    @property
    def what(self) -> str:
        """Description, with the frames."""
        if self.of_monitor:
            words = "the I0 that is applied changes, the counts do not"
        elif self.kind == "decay":
            way = "fell" if self.amount < 1 else "rose"
            words = f"beam intensity {way} slowly by {abs(1 - self.amount):.0%}"
        else:
            words = DESCRIPTIONS[self.kind].format(self.amount)
        return f"frames {self.first} to {self.last}: {words}"

    def remedy(self, scale: str, before_floating: str = "", listed: bool = False) -> str:
        """What to do about it, with the flags to type.

        Parameters
        ----------
        scale
            How counts can be scaled by the intensity of the beam.
        before_floating
            Text before the last resort against flicker, floating intensities.
        listed
            Whether a reject list is given already, which must then be repeated.
        """
        more = ", together with the given list" if listed else ""
        reject = f"leave them out (--reject {self.first}-{self.last}{more})"
        if self.of_monitor:
            return "leave the monitor off"
        if self.kind in ("dump", "motor"):
            return reject
        if self.kind == "drift":
            return "shift each frame to a common centre of mass (--align com)"
        if self.kind == "flicker":
            return before_floating + FLOATING
        return scale if self.kind == "decay" else f"{scale}, or {reject}"

    def record(self) -> dict[str, Any]:
        """As written to files."""
        return {**asdict(self), "what": self.what}


def intensity(found: Sequence[Event], total: int) -> Floats:
    """(total,) relative beam intensity at each raw frame, from the events; NaN without beam.

    Flicker is not included, nor are changes of the monitor alone.
    """
    beam = np.ones(total)
    for event in (one for one in found if not one.of_monitor):
        rows = slice(event.first, event.last + 1)
        if event.kind == "dump":
            beam[rows] = np.nan
        elif event.kind == "step":
            beam[rows] *= event.amount
        elif event.kind == "decay":
            beam[rows] *= event.amount ** np.linspace(0, 1, event.last - event.first + 1)
    return beam


def find_events(
    measured: Measurements,
    positions_m: Floats,
    frames: Ints,
    factor: Floats,
) -> list[Event]:
    """Events of a scan, in the order of the frames.

    Parameters
    ----------
    measured
        Of n frames.
    positions_m
        (n, 2) positions of the frames, from the file.
    frames
        (n,) their raw numbers.
    factor
        (n,) factor by which a monitor has scaled their counts.
    """
    order = np.argsort(frames, kind="stable")
    if len(order) < MIN_FRAMES or np.ptp(positions_m, axis=0).max() == 0:
        return []
    ordered = measured.subset(order)
    found = list(_in_order(ordered, positions_m[order]))
    if np.any(factor != factor[0]) and any(one.kind in OF_INTENSITY for one in found):
        counted = list(_in_order(ordered.scaled(1 / factor[order]), positions_m[order]))
        found = [replace(one, of_monitor=not _is_among(one, counted)) for one in found]
    raw = frames[order]
    named = [replace(one, first=int(raw[one.first]), last=int(raw[one.last])) for one in found]
    return sorted(named, key=lambda one: (one.first, one.last))


def _is_among(event: Event, others: Sequence[Event]) -> bool:
    """Whether it is an event of the beam: not of intensity, or found in the raw counts, too."""

    def common(other: Event) -> int:
        return min(event.last, other.last) - max(event.first, other.first) + 1

    return event.kind not in OF_INTENSITY or any(
        one.kind in OF_INTENSITY and 2 * common(one) > event.last - event.first + 1
        for one in others
    )


def _in_order(measured: Measurements, positions_m: Floats) -> Iterator[Event]:
    """Events of frames in the order of time, numbered by rows."""
    dark = no_beam(measured)
    if dark.all():
        return
    yield from (Event("dump", *loss) for loss in beam_losses(measured, dark, positions_m))
    usable = ~dark
    for first, last, number in standstills(measured, dark, positions_m):
        usable[first : last + 1] = False
        yield Event("motor", first, last, number)
    total = np.maximum(measured.equal_exposures, 1)
    log_counts = np.log(total)
    around = Neighbours.of(positions_m, np.where(dark, -1, measured.slot))
    for step in steps(around, log_counts, 1 / total, measured.shape, usable):
        log_counts[step.first : step.last + 1] -= step.log_ratio
        yield Event("step", step.first, step.last, float(np.exp(step.log_ratio)))
    usable &= _bright(log_counts, usable)
    last = len(usable) - 1
    log_ratio, drift_px = decay_and_drift(measured, positions_m, log_counts, usable)
    if log_ratio:
        yield Event("decay", 0, last, float(np.exp(log_ratio)))
    if drift_px:
        yield Event("drift", 0, last, drift_px)
    clear = usable & usable[around.rows].all(axis=1)
    if deviation := flicker(measured, positions_m, around, log_counts, clear):
        yield Event("flicker", 0, last, deviation)


def _bright(log_counts: Floats, usable: Bools) -> Bools:
    """(n,) frames that are not behind an absorber."""
    if not usable.any():
        return usable
    bright = np.quantile(log_counts[usable], BRIGHT_QUANTILE)
    return np.asarray(log_counts > np.log(DIM) + bright)
