"""Prepare a ``.ptyd`` through PtyPy, and load it back with PtyPy's own PtydScan.

    python recipes/make_ptyd.py demo/raw_scan.h5 scan.ptyd --save append

``append`` writes one file, ``link`` a file for each chunk and a master that links them. Without
PtyPy: ``ptypy-beamline ptyd demo/raw_scan.h5 -o scan.ptyd --roi 128 --frames-per-pos 3``.
"""

import argparse

import numpy as np
from ptypy import utils as u
from ptypy.core import Ptycho

import ptypy_beamline.ptyscan  # noqa: F401  registers the loaders
from ptypy_beamline.script import one_line_errors

one_line_errors()
parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("file", help="raw scan")
parser.add_argument("ptyd", help="file to write")
parser.add_argument("--save", default="append", choices=("append", "link"))
parser.add_argument("--block", type=int, default=100, help="frames in a chunk")
args = parser.parse_args()


def load(data: u.Param) -> Ptycho:
    """Load and stop before any engine."""
    p = u.Param()
    p.verbose_level = "ERROR"
    p.frames_per_block = args.block
    p.io = u.Param(autoplot=u.Param(active=False), interaction=u.Param(active=False))
    p.scans = u.Param(scan=u.Param(name="BlockFull", data=data))
    return Ptycho(p, level=2)


raw = u.Param()
raw.name = "BeamlineHdf5Scan"
raw.file = args.file
raw.shape = 128
raw.frames_per_position = 3
raw.saturation = 1023
raw.save = args.save  # PtyPy writes the frames as they come, corrected,
raw.dfile = args.ptyd  # to this file

prepared = u.Param()
prepared.name = "PtydScan"
prepared.dfile = args.ptyd


def frames(ptycho: Ptycho, name: str) -> dict[int, np.ndarray]:
    """Frames or masks by their number, gathered from all ranks on the first."""
    views = getattr(ptycho, name).V.values()
    return u.parallel.gather_dict({view.layer: view.data for view in views if view.active})


first, again = load(raw), load(prepared)
for name in ("diff", "mask"):
    before, after = frames(first, name), frames(again, name)
    same = before.keys() == after.keys() and all(np.array_equal(before[i], after[i]) for i in after)
    assert same, f"{name} differs"
if u.parallel.master:
    print(f"{args.ptyd}: {len(after)} frames with their masks, read back the same")
