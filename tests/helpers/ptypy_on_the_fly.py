"""PtyPy's own on-the-fly templates, smaller and with this package's loader; two processes.

``ptypy_on_the_fly.py write FOLDER`` as ``on_the_fly_ptyd.py``, with ``reconstruct`` in place of
``write`` as ``on_the_fly_rec.py``; prints the number of frames at each iteration.
"""

import json
import sys
import time
from pathlib import Path

import ptypy
from ptypy import utils as u
from ptypy.core import Ptycho

task, folder = sys.argv[1:]
FILE = f"{folder}/sample.ptyd"
FRAMES = 60


def write() -> None:
    data = u.Param(dfile=FILE, shape=32, num_frames=FRAMES, min_frames=10, save="link")
    data.update(label=None, psize=172e-6, energy=6.2, center="fftshift", distance=7)
    data.update(auto_center=None, rebin=None, orientation=None)
    ptypy.defaults_tree["scandata.MoonFlowerScan"].validate(data)
    scan = ptypy.core.data.MoonFlowerScan(data)
    while not Path(folder, "ready").exists():
        time.sleep(0.05)
    scan.initialize()
    for number in range(FRAMES // 10):
        while number == 3 and not Path(folder, "iterates").exists():
            time.sleep(0.05)
        scan.auto(10)


def reconstruct() -> None:
    from ptypy.engines.projectional import DM

    from ptypy_beamline import ptyscan  # noqa: F401

    p = u.Param(verbose_level=1)
    p.io = u.Param(home=folder, rfile=None, autosave=u.Param(active=False))  # None fails in 0.9
    p.io.autoplot, p.io.interaction = u.Param(active=False), u.Param(active=False)
    p.scans = u.Param(MF=u.Param(name="Full"))
    p.scans.MF.data = u.Param(name="BeamlinePtydScan", file=FILE, min_frames=10)
    p.scans.MF.data.live = u.Param(timeout_s=20.0, poll_s=0.1)
    p.engines = u.Param(engine00=u.Param(name="DM", numiter=16, numiter_contiguous=2))
    p.engines.engine00.update(probe_support=None, probe_update_start=2, probe_inertia=0.01)
    p.engines.engine00.update(object_inertia=0.1, update_object_first=True)
    p.engines.engine00.update(overlap_converge_factor=0.5, overlap_max_iterations=100)
    p.engines.engine00.update(fourier_relax_factor=0.05)
    iterate, numbers = DM.engine_iterate, []

    def counted(self, *given):
        """An iteration that leaves the writer some time."""
        numbers.append(len(self.ptycho.diff.views))
        Path(folder, "iterates").touch()
        time.sleep(0.3)
        return iterate(self, *given)

    DM.engine_iterate = counted
    Path(folder, "ready").touch()
    Ptycho(p, level=5)
    sys.stdout.write(f"RESULT {json.dumps(numbers)}\n")


write() if task == "write" else reconstruct()
