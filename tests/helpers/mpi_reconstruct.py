"""Run by mpirun: DM and ML on a scan, print the final error. ``mpi_reconstruct.py FILE PROBE``."""

import sys

import numpy as np
from ptypy.utils import parallel

from ptypy_beamline.run import run

file, probe = sys.argv[1:]
ptycho = run(
    {
        "verbose_level": "ERROR",
        "io": {"rfile": None, "autosave": {"active": False}},
        "scans": {
            "s": {
                "name": "BlockFull",
                "data": {"name": "BeamlineScan", "file": file},
                "illumination": {
                    "model": np.load(probe).astype(complex),
                    "aperture": None,
                    "diversity": None,
                    "propagation": None,
                },
            }
        },
        "engines": {
            "e0": {"name": "DM", "numiter": 15, "probe_support": None},
            "e1": {"name": "ML", "numiter": 10},
        },
    },
    level=4,
)
ptycho.run()
if parallel.master:
    sys.stdout.write(f"RESULT {ptycho.runtime.iter_info[-1]['error'][1]}\n")
