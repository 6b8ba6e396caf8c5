"""Run by mpirun: load a scan on every rank, print what all of them got as one digest.

``mpi_load.py FILE '{"shape": 48, …}' FRAMES_PER_CALL [FAULT]``
"""

import hashlib
import json
import sys

import numpy as np
from ptypy import utils as u
from ptypy.utils import parallel

from ptypy_beamline import ptyscan
from ptypy_beamline.frames.hdf5 import Hdf5Frames

u.verbose.set_level("ERROR")
file, settings, frames, *fault = sys.argv[1:]


def break_rank(rank: int, method: str) -> None:
    """From now on reading fails on one rank, as a lost mount would make it."""
    if parallel.rank == rank:

        def fail(*_: object, **__: object) -> None:
            raise OSError("the file server is gone")

        setattr(Hdf5Frames, method, fail)


scan = ptyscan.BeamlineScan(file=file, **json.loads(settings))
if fault == ["load"]:
    scan.initialize()
    break_rank(1, "read")
elif fault == ["open"]:
    break_rank(0, "__post_init__")
if not scan.is_initialized:
    scan.initialize()

mine, positions = {}, {}
while (package := scan.auto(int(frames))) != scan.EOS:
    if package == scan.WAIT:
        continue
    for item in package["iterable"]:
        positions[item["index"]] = item["position"]
        if item["data"] is not None:
            mine[item["index"]] = item["data"], item["mask"]
gathered = parallel.comm.gather(mine)
places = parallel.comm.gather([positions[number].tolist() for number in sorted(positions)])
if parallel.master:
    assert all(place == places[0] for place in places), "ranks disagree on the positions"
    everything = {number: pair for part in gathered for number, pair in part.items()}
    digest = hashlib.sha256()
    for number in sorted(everything):
        for array in (*everything[number], positions[number]):
            digest.update(np.ascontiguousarray(array).tobytes())
    assert sum(map(len, gathered)) == len(everything) == len(positions)
    sys.stdout.write(f'RESULT "{digest.hexdigest()}"\n')
