"""An HDF5 file as a table of paths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np

from ..arrays import Floats
from ..errors import ScanError
from ..frames.hdf5 import Hdf5Frames
from ..scan import Frames, Scan
from ..settings import Settings
from . import scan_data
from .acquisition_numbers import AcquisitionNumbers
from .frame_axes import FrameLayout, follow, leading_axis
from .frames_and_positions import PairedFrames, StoredPositions, fitted
from .hdf5_source import NOWHERE, Found, Hdf5Source, Location, has, missing, open_source, text
from .numbered_datasets import joined
from .positions import Placed, arrange, split
from .stored_values import stored_positions

__all__ = ["GENERIC", "Hdf5Format", "Location", "has"]

Item = Location  # its former name

Split = Callable[[Hdf5Source, Floats, tuple[int, ...]], tuple[Floats, Floats]]
"""(source, array as stored or in metres, possible numbers of positions) → y, x."""


@dataclass(frozen=True)
class Hdf5Format:
    """A format whose files keep each thing at a known path.

    Attributes
    ----------
    recognise
        Whether an open file is of this format; reads names and attributes only.
    frames … probe
        Where things are. ``pixel`` is one number or (y, x); ``center`` is (row, column).
    frame_index, position_index
        Acquisition numbers of the frames, and of the positions.
    first_number
        The first acquisition number of the frames that is usual for the format.
    series
        Instead of ``frames``: a regular expression for the paths of datasets that hold one part
        of the frames each, in the order of the numbers at the end of their names.
    announced
        The number of frames that a file says it has, or will have.
    mask_rule
        What a nonzero mask pixel means: ``bad``, ``good``, or its bits as in ``cxi``, ``eiger``.
    per_frame
        Positions and everything else are logged with each frame: their lists may be padded, or be
        shorter while the file grows.
    bursts
        If there are k times as many frames as positions, k consecutive frames are at each.
    count
        Use at most this many frames.
    split
        Extracts (y, x) from the ``positions`` array, if its columns are not simply x, y.
    adapt
        Completes the table for a file, if paths depend on its content.
    finish
        Adds to the scan what a table cannot express.
    master
        From any file of a set and the settings: the file that the paths refer to, and the settings
        to read it with.
    nearly
        What is missing in, or beside, an open file that is almost of this format; "" for others.
    family
        The kind of file.
    refines
        More general formats: if one of these also recognises a file, this format is used.
    """

    name: str
    title: str
    recognise: Callable[[h5py.File], bool]
    frames: Location = NOWHERE
    x: Location = NOWHERE
    y: Location = NOWHERE
    positions: Location = NOWHERE
    energy: Location = NOWHERE
    distance: Location = NOWHERE
    pixel: Location = NOWHERE
    pixel_x: Location = NOWHERE
    pixel_y: Location = NOWHERE
    focus: Location = NOWHERE
    exposure: Location = NOWHERE
    mask: Location = NOWHERE
    dark: Location = NOWHERE
    flat: Location = NOWHERE
    monitor: Location = NOWHERE
    center: Location = NOWHERE
    center_x: Location = NOWHERE
    center_y: Location = NOWHERE
    saturation: Location = NOWHERE
    frame_index: Location = NOWHERE
    position_index: Location = NOWHERE
    first_number: int | None = None
    probe: Location = NOWHERE
    series: str = ""
    announced: Callable[[Hdf5Source], int | None] | None = None
    mask_rule: str = "bad"
    per_frame: bool = False
    bursts: bool = False
    count: int | None = None
    split: Split | None = None
    adapt: Callable[[Hdf5Source, Hdf5Format], Hdf5Format] | None = None
    finish: Callable[[Hdf5Source, Scan], Scan] | None = None
    master: Callable[[Path, Settings], tuple[Path, Settings]] | None = None
    nearly: Callable[[h5py.File], str] | None = None
    family: str = "HDF5"
    refines: tuple[str, ...] = ()

    def understands(self, path: Path, file: h5py.File | None) -> bool:
        """Whether the file's content is of this format."""
        return file is not None and self.recognise(file)

    def open(self, path: Path, settings: Settings) -> Scan:
        """The scan in the file; no frame is read, but a few if the mask looks inverted."""
        if self.master:
            path, settings = self.master(path, settings)
        with open_source(path, settings) as source:
            return self.read(source)

    def read(
        self,
        source: Hdf5Source,
        frames: Frames | None = None,
        numbers: AcquisitionNumbers | None = None,
    ) -> Scan:
        """The scan in an opened file, or that of ``frames``, so numbered, kept elsewhere."""
        table = self.adapt(source, self) if self.adapt else self
        scan = _scan(source, table, _stack(source, table, frames, numbers))
        scan = table.finish(source, scan) if table.finish else scan
        return replace(scan, notes=(*scan.notes, *source.notes))


def _scan(source: Hdf5Source, table: Hdf5Format, stack: PairedFrames) -> Scan:
    """Read everything but the frames."""
    mask = source.find("mask", table.mask)
    pixel_m = scan_data.pixel(source, table, stack)
    positions = stack.placed.positions_m
    bad, bad_each = scan_data.bad_pixels(source, mask, stack, table.mask_rule)
    bad = scan_data.with_gaps(source, stack.frames, bad)
    return Scan(
        frames=stack.frames,
        positions_m=np.full(positions.shape, np.nan) if stack.in_pixels else positions,
        positions_px=positions if stack.in_pixels else None,
        grid=stack.placed.grid,
        energy_eV=scan_data.one(source, table, stack, "energy"),
        distance_m=scan_data.one(source, table, stack, "distance"),
        pixel_m=pixel_m,
        focus_m=scan_data.one(source, table, stack, "focus"),
        bad=bad,
        bad_each=bad_each,
        dark=scan_data.images(source, table, stack, "dark"),
        flat=scan_data.images(source, table, stack, "flat"),
        monitor=scan_data.monitor(source, table, stack),
        exposure_s=scan_data.exposure(source, table, stack),
        center_px=scan_data.center(source, table, pixel_m),
        saturation=scan_data.number(source, *table.saturation.paths),
        numbers=stack.numbers,
        probe=scan_data.probe(source, table, stack.frames.shape[1:]),
        positions_each=stack.each,
        listed_s=stack.listed_s,
        format=table.name,
        source=source.path,
    )


def _stack(
    source: Hdf5Source,
    table: Hdf5Format,
    frames: Frames | None,
    numbers: AcquisitionNumbers | None,
) -> PairedFrames:
    """Find frames and positions and settle which axes of the dataset are frames."""
    if table.series and "frames" not in source.paths:
        announced = table.announced(source) if table.announced else None
        frames, numbers = joined(source, table.series, announced)
    if frames is not None:
        shape = frames.shape
        listed = FrameLayout.of(shape, leading_axis(shape, source.settings.outer_index))
        return fitted(source, table, frames, numbers, listed, _positions(source, table))
    found = source.find("frames", table.frames)
    if found is None:
        raise missing("frames", table.frames.paths, source.file, source.path)
    stored, shape = _positions(source, table), found.dataset.shape
    tries = (FrameLayout.of(shape, None), FrameLayout.of(shape, 0)) if len(shape) == 4 else ()
    fits = [_fit(stored.place, layout, source.exposures) for layout in tries]
    layout = FrameLayout.of(shape, leading_axis(shape, source.settings.outer_index, *fits))
    count = table.count
    frames = Hdf5Frames(found.file, found.name, layout.leading, count, count is not None)
    if frames.shape[0] < layout.frames and not source.settings.growing:
        counted = frames.shape[0]
        source.assume(
            f"{layout.frames} frames are stored, but only {counted} numbers: frames from {counted} "
            "on are left out; --path frame_index=0 (paths.frame_index) uses all, in order"
        )
    return fitted(source, table, frames, None, layout, stored)


def _positions(source: Hdf5Source, table: Hdf5Format) -> StoredPositions:
    """The positions that are stored.

    The user's paths count before the format's, x and y before one array of both.
    """
    given = source.paths
    y = x = None
    if "positions" not in given:
        y, x = source.find("y", table.y), source.find("x", table.x)
    if y and x:
        per_frame = table.per_frame and not {"x", "y"} & set(given)
        (rows, columns), in_pixels = stored_positions(source, y, x)
        k = source.exposures
        return StoredPositions(
            lambda at: arrange(follow(rows, at, k), follow(columns, at, k), at.axes, k, per_frame),
            per_frame,
            _listed_s(y, x),
            in_pixels,
        )
    if "x" in given or "y" in given:
        raise missing("y" if x else "x", (), source.file, source.path)
    both = source.find("positions", table.positions)
    if both is None:
        wanted = (*table.x.paths[:1], *table.y.paths[:1], *table.positions.paths)
        raise missing("positions", wanted, source.file, source.path)
    per_frame = table.per_frame and "positions" not in given
    (values,), in_pixels = stored_positions(source, both)
    place = _from_one(source, both, values, table.split)
    return StoredPositions(place, per_frame, _listed_s(both), in_pixels)


def _listed_s(*lists: Found) -> float | None:
    """When their files were last changed, if none of them has room for more than is in it."""
    if any(found.dataset.maxshape != found.dataset.shape for found in lists):
        return None
    return max(found.file.stat().st_mtime for found in lists)


def _from_one(
    source: Hdf5Source, both: Found, values: Floats, own_split: Split | None
) -> Callable[[FrameLayout], Placed]:
    # Formats keep one position per row; an ambiguous array of the user's is refused by split.
    # Names of all columns do not apply to a part of them.
    own = "positions" not in source.paths
    named = "" if both.part else text(both.dataset.attrs.get("columns"))
    columns = named or ("x,y,z" if own else "")
    if not own and not named:
        source.notes.append(
            f"{both.name} is taken as x, y: --axes xy (positions.axes) exchanges them"
        )
    k = source.exposures

    def place(at: FrameLayout) -> Placed:
        here = follow(values, at, k, columns=1)
        counts = (at.frames // k, at.frames)
        y, x = (
            own_split(source, here, counts) if own and own_split else split(here, columns, counts)
        )
        if y.ndim == 1:  # pairs are pairs, never the axes of a raster
            grid = at.axes if len(at.axes) == 2 and at.frames == len(y) else None
            return Placed(np.stack([y, x], axis=1), grid)
        return arrange(y, x, at.axes, k)

    return place


def _fit(place: Callable[[FrameLayout], Placed], layout: FrameLayout, exposures: int) -> bool:
    """Whether there are as many positions as this layout has frames."""
    try:
        count = len(place(layout).positions_m)
    except ScanError:
        return False
    return layout.frames in (count, count * exposures)


GENERIC = Hdf5Format(
    name="hdf5",
    title="any HDF5 file, every dataset named by paths.NAME (--path NAME=PATH)",
    recognise=lambda _: False,
)
