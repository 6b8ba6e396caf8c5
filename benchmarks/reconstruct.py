"""One reconstruction, in a process (or in MPI ranks) of its own: DM, then ML, from a given probe.

    python benchmarks/reconstruct.py STAR.npz '{"name": "BeamlineScan", "file": ...}' OUT.json

The loader ``StarScan`` feeds the arrays of STAR.npz as they are.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from ptypy.core.data import PtyScan
from ptypy.experiment import register
from ptypy.utils import parallel
from star import Star

from ptypy_beamline.run import run


@register()
class StarScan(PtyScan):  # type: ignore[misc]
    """The arrays, without any file format between them and PtyPy.

    Defaults:

    [name]
    default = StarScan
    type = str
    help =

    [star]
    default = None
    type = str
    help = the measured data
    """

    def __init__(self, pars: Any = None, **kwargs: Any) -> None:
        super().__init__(pars, **kwargs)
        self.star = Star.read(self.info.star)
        n, size = self.star.frames.shape[:2]
        self.num_frames = n
        self.info.shape = self.meta.shape = (size, size)
        self.info.auto_center = False
        self.meta.energy = self.star.energy_eV / 1e3
        self.meta.distance = self.star.distance_m
        self.info.psize = self.meta.psize = self.star.pixel_m

    def load_positions(self) -> Any:
        return self.star.positions_m

    def load_weight(self) -> Any:
        return np.ones(self.star.frames.shape[1:], bool)

    def load(self, indices: Any) -> Any:
        return {i: self.star.frames[i].astype(np.float32) for i in indices}, {}, {}


def tree(
    data: dict[str, Any], probe: Any, dm: int, ml: int, precision: str = "single"
) -> dict[str, Any]:
    """PtyPy's parameter tree."""
    fixed = {"model": probe, "aperture": None, "diversity": None, "propagation": None}
    return {
        "verbose_level": "ERROR",
        "data_type": precision,
        "io": {"rfile": None, "autosave": {"active": False}},
        "scans": {"star": {"name": "BlockFull", "data": data, "illumination": fixed}},
        "engines": {
            "dm": {"name": "DM", "numiter": dm, "probe_support": None},
            "ml": {"name": "ML", "numiter": ml},
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("star", type=Path)
    parser.add_argument("data", type=json.loads, help="scans.NAME.data, as JSON")
    parser.add_argument("out", type=Path, help="where the error goes")
    parser.add_argument("--dm", type=int, default=40)
    parser.add_argument("--ml", type=int, default=20)
    parser.add_argument("--precision", choices=["single", "double"], default="single")
    args = parser.parse_args()
    start = time.perf_counter()
    pars = tree(args.data, Star.read(args.star).probe, args.dm, args.ml, args.precision)
    ptycho = run(pars, level=5)
    if parallel.master:
        errors = [float(info["error"][1]) for info in ptycho.runtime.iter_info]
        center = [float(c) for c in ptycho.model.scans["star"].ptyscan.meta.center]
        seconds = time.perf_counter() - start
        found = {"error": errors[-1], "center": center, "seconds": seconds}
        args.out.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
