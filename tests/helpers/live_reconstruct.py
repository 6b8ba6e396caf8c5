"""Follow a scan inside PtyPy while DM runs; alone, or on the ranks of mpirun.

``live_reconstruct.py LOADER '{"file": …}' FIRST BLOCK SIGN``: DM starts with FIRST frames, and a
rank takes BLOCK at a time. Makes the file SIGN when it is ready; prints what arrived as JSON.
"""

import json
import sys
from pathlib import Path

import numpy as np
from ptypy import utils as u
from ptypy.core import Ptycho
from ptypy.utils import parallel

from ptypy_beamline import ptyscan
from ptypy_beamline.live import Follower
from ptypy_beamline.live.growth import Growth

loader, settings, first, block, sign = sys.argv[1:]
blocks: list[list[int]] = []
idle: list[bool] = []
started: list[int] = []
starts: list[int] = []
Loader = getattr(ptyscan, loader)
get_data_chunk = Loader.get_data_chunk


def noted(self, *given):
    """PtyPy's method, with a note of what came."""
    chunk = get_data_chunk(self, *given)
    if chunk not in (self.WAIT, self.EOS):
        blocks.append(list(chunk.indices))
    return chunk


Loader.get_data_chunk = noted
start = Follower._start


def noted_start(self):
    """The first reading of the file, with a note of it."""
    starts.append(1)
    return start(self)


Follower._start = noted_start
is_idle = Growth.is_idle


def waited(self):
    """Whether nothing has come for too long, with a note of it."""
    idle.append(is_idle(self))
    return idle[-1]


Growth.is_idle = waited

p = u.Param(verbose_level="ERROR", frames_per_block=int(block), min_frames_for_recon=int(first))
p.io = u.Param(rfile=None, autosave=u.Param(active=False))
p.io.autoplot, p.io.interaction = u.Param(active=False), u.Param(active=False)
probe = np.exp(-((np.indices((32, 32)) - 16) ** 2).sum(0) / 40)[None].astype(complex)
p.scans = u.Param(s=u.Param(name="BlockFull", data=u.Param(json.loads(settings))))
p.scans.s.data.name = loader
p.scans.s.illumination = u.Param(model=probe, aperture=None, propagation=None, diversity=None)
p.engines = u.Param(e=u.Param(name="DM", numiter=2, numiter_contiguous=1, probe_support=None))
Path(sign).touch()
ptycho = Ptycho(p, level=4)
engine = ptycho.engines["e"]
iterate = engine.engine_iterate


def counted(*given):
    """DM's iterations, with a note of the frames that it has."""
    started.append(len(ptycho.diff.V))
    return iterate(*given)


engine.engine_iterate = counted
ptycho.run()

# The first pixel of a frame holds its number; its index in PtyPy is that of the position.
mine = {
    layer: (int(storage.data[row, 0, 0]), int((~ptycho.mask.S[name].data[row]).sum()))
    for name, storage in ptycho.diff.S.items()
    for row, layer in enumerate(storage.layermap)
}
places = np.asarray(ptycho.model.scans["s"].positions).tolist()
gathered = parallel.comm.gather((mine, places, blocks)) if parallel.MPIenabled else None
readers = parallel.comm.gather(bool(starts)) if parallel.MPIenabled else [bool(starts)]
if parallel.master:
    every = gathered or [(mine, places, blocks)]
    assert all(other[1:] == every[0][1:] for other in every), "ranks disagree"
    frames = {layer: pair for part, _, _ in every for layer, pair in part.items()}
    assert sum(len(part) for part, _, _ in every) == len(frames), "a frame is on two ranks"
    assert sum(readers) == 1, "more than one rank reads the file"
    found = {
        "numbers": [frames[layer][0] for layer in sorted(frames)],
        "layers": sorted(frames),
        "bad": [frames[layer][1] for layer in sorted(frames)],
        "positions": places,
        "blocks": [len(numbers) for numbers in blocks],
        "indices": [number for numbers in blocks for number in numbers],
        "started": started[0],
        "by_timeout": any(idle),
    }
    sys.stdout.write(f"RESULT {json.dumps(found)}\n")
