"""``.ptyd``: PtyPy's prepared data, as PtyPy 0.9 writes and reads it, written without PtyPy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..errors import FileError
from ..files.h5rw import dict_group, stamp, store, store_array
from ..files.hdf5 import open_hdf5
from ..files.regular import is_input
from ..geometry import PHOTON
from ..output.files import renamed_together
from ..output.hdf5 import complete_hdf5
from ..output.names import is_ours
from ..planning.plan import Plan
from ..planning.streaming import Block
from .stacks import write_frames


def write_ptyd(
    plan: Plan,
    path: str | Path,
    *,
    save: str = "append",
    block: int | None = None,
    info: Mapping[str, Any] | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Path:
    """Write every frame of ``plan``, a block at a time.

    Parameters
    ----------
    plan
        What to load.
    path
        The ``.ptyd``; it appears, with its parts, when all is complete.
    save
        ``'append'``: one file. ``'link'``: one linked file ``PATH.part000`` … per block.
    block
        Positions in a block; default: the plan's block size.
    info
        Stored under ``/info``, for the record only.
    progress
        Called after each block with its number of positions.

    Raises
    ------
    FileError
        The folder cannot be written, or ``path`` is the raw file.
    """
    path = Path(path)
    if save not in ("append", "link"):
        raise FileError(f"save={save!r}", "use append or link", path)
    with renamed_together() as batch, complete_hdf5(path) as file:
        stamp(file)
        store(file, "chunks", {})
        store(file, "info", dict(info or {}))
        store(file, "meta", _meta(plan))
        for number, part in enumerate(plan.blocks(block)):
            if save == "link":
                _write_linked(part, file, number, path)
            else:
                _write_chunk(dict_group(file, f"chunks/{number}"), part)
            progress(len(part.positions))
        if save == "link":
            batch.around.append(_without_stale_parts(path))
    return path


@contextmanager
def _without_stale_parts(path: Path) -> Iterator[None]:
    """Remove parts of the former file that the new one, which replaces it in the block, lacks."""
    before = _parts(path)
    yield
    for stale in before - _parts(path):
        if not is_input(stale):
            stale.unlink()


def _write_linked(block: Block, master: h5py.File, number: int, path: Path) -> None:
    """Write a part, which is renamed when all are complete, before the master."""
    final = path.with_name(f"{path.name}.part{number:03d}")
    with complete_hdf5(final) as part:
        stamp(part)
        _write_chunk(part, block)
    # Without a folder: the link is resolved from the master's own.
    master[f"chunks/{number}"] = h5py.ExternalLink(final.name, "/")


def _parts(master: Path) -> set[Path]:
    """The parts written by this package that a ``.ptyd`` written by this package links to."""
    if not is_ours(master):
        return set()
    with open_hdf5(master, noted=False) as file:
        chunks = file.get("chunks", {})
        links = [chunks.get(name, getlink=True) for name in chunks]
    names = [link.filename for link in links if isinstance(link, h5py.ExternalLink)]
    own = re.compile(re.escape(master.name) + r"\.part\d+")
    return {
        part for name in names if own.fullmatch(name) and is_ours(part := master.with_name(name))
    }


def _write_chunk(group: h5py.Group, block: Block) -> None:
    write_frames(group, "data", block.frames).attrs["type"] = "array"
    store_array(group, "indices", block.positions, kind="arraylist")
    store_array(group, "positions", block.positions_m)
    write_frames(group, "weights", block.good).attrs["type"] = "array"


def _meta(plan: Plan) -> dict[str, Any]:
    geometry = plan.geometry
    noted = {} if geometry.radiation == PHOTON else {"radiation": geometry.radiation}
    return {
        **noted,
        "version": 0.1,
        "num_frames": len(plan),
        "label": None,
        "shape": np.array(geometry.shape),
        "psize": np.array(geometry.pixel_m),
        "energy": geometry.ptypy_energy_keV,
        "center": np.array(geometry.center_px),
        "distance": geometry.distance_m,
    }
