"""Faults of the beam or the stage that affect many frames in succession."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..arrays import Floats

FLOATING = "let PtyPy's ML fit it (floating_intensities=True of the engine)"

DESCRIPTIONS = {
    "dump": "no beam",
    "step": "beam intensity {:.2f} of the usual",
    "drift": "beam drifted by {:.1f} px on the detector",
    "flicker": "beam intensity flickers by {:.1%} from frame to frame",
    "motor": "stage stood still, all frames are the same",
}


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
