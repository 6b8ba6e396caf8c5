"""Run by mpirun: an endless reconstruction, until a rank is interrupted.

``mpi_interrupt.py FILE run|script|exit``: prints the process of each rank as soon as it iterates.
"""

import os
import sys

from ptypy import utils as u
from ptypy.core import Ptycho
from ptypy.engines.projectional import DM
from ptypy.utils import parallel

from ptypy_beamline import ptyscan, run

file, how = sys.argv[1:]
iterate = DM.engine_iterate
tree = {
    "io": {
        "rfile": None,
        "autosave": {"active": False},
        "autoplot": {"active": False},
        "interaction": {"active": False},
    },
    "scans": {"s": {"name": "BlockFull", "data": {"name": "BeamlineScan", "file": file}}},
    "engines": {"e": {"name": "DM", "numiter": 1_000_000, "numiter_contiguous": 1}},
}


def announced(self, *given):
    """The first iteration; prints the rank and its process."""
    DM.engine_iterate = iterate
    sys.stdout.write(f"PROCESS {parallel.rank} {os.getpid()}\n")
    sys.stdout.flush()
    return iterate(self, *given)


def leave(*_):
    """As a script that ends early."""
    if parallel.rank == 1:
        sys.exit(3)
    return {}, {}


DM.engine_iterate = announced
if how == "exit":
    ptyscan.BeamlineScan.correct = leave
if how == "run":
    run.run(tree)
else:
    pars = u.Param()
    pars.update(tree, Convert=True)
    Ptycho(pars, level=5)
