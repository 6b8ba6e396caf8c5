"""An HDF5 file as a table of paths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np

from ..errors import FileError
from ..files.hdf5 import is_hdf5, open_hdf5
from ..opening import AS_STORED, Opening
from ..scan import Frames, Scan
from . import contents
from .layout import Kept, Split
from .masks import bad_pixels, with_gaps
from .numbering import Numbers
from .source import NOWHERE, Item, Source, open_source
from .stack import read_stack

__all__ = ["GENERIC", "Hdf5Format", "Item"]


@dataclass(frozen=True)
class Hdf5Format:
    """A format whose files keep each thing at a known path.

    Attributes
    ----------
    recognise
        Whether an open file is of this format; looks at names and attributes only.
    frames … probe
        Where things are. ``pixel`` is one number or (y, x); ``center`` is (row, column).
    frame_index, position_index
        Acquisition numbers of the frames, and of the readings of positions.
    first_number
        What the format's numbers of frames usually begin with.
    series
        Instead of ``frames``, datasets that follow each other in the order of the numbers that
        their paths, which this one matches, end in.
    announced
        How many frames a file says that there are, or will be.
    mask_rule
        What a nonzero mask pixel means: ``bad``, ``good``, or its bits as in ``cxi``, ``eiger``.
    per_frame
        Positions and all else are logged with each frame: they may be padded or lag behind.
    bursts
        Where there are k times as many frames as positions, k follow each other at each.
    count
        Use at most so many frames.
    split
        Takes (y, x) out of the ``positions`` array, where columns x,y are not what they are.
    adapt
        Fills in the table for a file, where paths depend on what is in it.
    finish
        Adds to the scan what a table cannot say.
    master
        The file that the paths are in, from any of the files that belong together, and how it is
        to be read, from what the user says of them all.
    nearly
        What lacks in, or beside, an open file that is nearly of this format; "" if it is not.
    family
        The kind of file.
    """

    name: str
    title: str
    recognise: Callable[[h5py.File], bool]
    frames: Item = NOWHERE
    x: Item = NOWHERE
    y: Item = NOWHERE
    positions: Item = NOWHERE
    energy: Item = NOWHERE
    distance: Item = NOWHERE
    pixel: Item = NOWHERE
    pixel_x: Item = NOWHERE
    pixel_y: Item = NOWHERE
    focus: Item = NOWHERE
    exposure: Item = NOWHERE
    mask: Item = NOWHERE
    dark: Item = NOWHERE
    flat: Item = NOWHERE
    monitor: Item = NOWHERE
    center: Item = NOWHERE
    center_x: Item = NOWHERE
    center_y: Item = NOWHERE
    saturation: Item = NOWHERE
    frame_index: Item = NOWHERE
    position_index: Item = NOWHERE
    first_number: int | None = None
    probe: Item = NOWHERE
    series: str = ""
    announced: Callable[[Source], int | None] | None = None
    mask_rule: str = "bad"
    per_frame: bool = False
    bursts: bool = False
    count: int | None = None
    split: Split | None = None
    adapt: Callable[[Source, Hdf5Format], Hdf5Format] | None = None
    finish: Callable[[Source, Scan], Scan] | None = None
    master: Callable[[Path, Opening], tuple[Path, Opening]] | None = None
    nearly: Callable[[h5py.File], str] | None = None
    family: str = "HDF5"

    def understands(self, path: Path) -> bool:
        """Whether the file's content is of this format."""
        if not is_hdf5(path):
            return False
        try:
            with open_hdf5(path) as file:
                return self.recognise(file)
        except FileError:
            return False

    def open(self, path: Path, opening: Opening = AS_STORED) -> Scan:
        """The scan in the file; no frame is read, but a few if the mask looks inverted.

        Raises
        ------
        FileError, MissingDataError, ScanError, SettingsError
            Each names the file and the remedy.
        """
        if self.master:
            path, opening = self.master(path, opening)
        with open_source(path, opening) as source:
            return self.read(source)

    def lacks(self, path: Path) -> str:
        """What a file lacks that is nearly of this format; "" if it is not."""
        if self.nearly is None or not is_hdf5(path):
            return ""
        with open_hdf5(path) as file:
            return self.nearly(file)

    def read(
        self, source: Source, frames: Frames | None = None, numbers: Numbers | None = None
    ) -> Scan:
        """The scan in an opened file, or that of ``frames``, so numbered, kept elsewhere."""
        table = self.adapt(source, self) if self.adapt else self
        scan = _scan(source, table, Kept(frames, numbers))
        scan = table.finish(source, scan) if table.finish else scan
        return replace(scan, notes=(*scan.notes, *source.notes))


def _scan(source: Source, table: Hdf5Format, kept: Kept) -> Scan:
    """Read everything but the frames."""
    stack = read_stack(source, table, kept)
    mask = source.find("mask", table.mask)
    pixel_m = contents.pixel(source, table, stack)
    places = stack.placed.positions_m
    bad, bad_each = bad_pixels(source, mask, stack, table.mask_rule)
    bad = with_gaps(source, stack.frames, bad)
    return Scan(
        frames=stack.frames,
        positions_m=np.full(places.shape, np.nan) if stack.in_pixels else places,
        positions_px=places if stack.in_pixels else None,
        grid=stack.placed.grid,
        energy_eV=contents.one(source, table, stack, "energy"),
        distance_m=contents.one(source, table, stack, "distance"),
        pixel_m=pixel_m,
        focus_m=contents.one(source, table, stack, "focus"),
        bad=bad,
        bad_each=bad_each,
        dark=contents.images(source, table, stack, "dark"),
        flat=contents.images(source, table, stack, "flat"),
        monitor=contents.monitor(source, table, stack),
        exposure_s=contents.exposure(source, table, stack),
        center_px=contents.center(source, table, pixel_m),
        saturation=contents.saturation(source, table),
        numbers=stack.numbers,
        probe=contents.probe(source, table, stack.frames.shape[1:]),
        positions_each=stack.each,
        listed_s=stack.listed_s,
        format=table.name,
        source=source.path,
    )


GENERIC = Hdf5Format(
    name="hdf5",
    title="any HDF5 file, every dataset named by paths.NAME (--path NAME=PATH)",
    recognise=lambda _: False,
)
