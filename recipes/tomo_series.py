"""Every angle of a tomographic series, one after another: DM, then ML.

    python recipes/tomo_series.py series.h5 -o series

The file is an exchange file whose frames are (angle, position, row, column), with
``/exchange/theta`` in degrees. It writes OUTPUT/angle_000.ptyr and so on, and OUTPUT/theta.csv;
started again after an interruption, it skips the angles that are done. It runs under mpirun, too.
"""

import argparse
from pathlib import Path

import h5py
from ptypy import utils as u
from ptypy.core import Ptycho

import ptypy_beamline.ptyscan  # noqa: F401  registers the loaders
from ptypy_beamline import open_scan
from ptypy_beamline.preview import probe_of

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("file", help="exchange file with a series")
parser.add_argument("--window", type=int, help="pixels around the beam")
parser.add_argument("--dm", type=int, default=60, help="iterations of DM")
parser.add_argument("--ml", type=int, default=40, help="iterations of ML")
parser.add_argument("-o", "--output", type=Path, default=Path("series"), help="folder to write")
args = parser.parse_args()


def reconstruct(angle: int, rfile: str) -> None:
    """One angle, saved as OUTPUT/``rfile``."""
    loading = {"shape": args.window}
    probe = None
    if u.parallel.master:
        scan = open_scan(args.file, outer_index=angle)
        probe = probe_of(scan.plan(**loading)).astype("complex128")
    probe = u.parallel.bcast(probe)

    p = u.Param()
    p.verbose_level = "ERROR"
    p.run = f"angle_{angle:03d}"
    p.io = u.Param()
    p.io.home = str(args.output)
    p.io.rfile = rfile
    p.io.autosave = u.Param(active=False)
    p.io.autoplot = u.Param(active=False)
    p.io.interaction = u.Param(active=False)
    p.scans = u.Param()
    p.scans.scan = u.Param()
    p.scans.scan.name = "BlockFull"
    p.scans.scan.data = u.Param(loading)
    p.scans.scan.data.name = "BeamlineHdf5Scan"
    p.scans.scan.data.file = args.file
    p.scans.scan.data.outer_index = angle
    p.scans.scan.illumination = u.Param(
        model=probe, aperture=None, propagation=None, diversity=None
    )
    p.engines = u.Param()
    p.engines.engine00 = u.Param(name="DM", numiter=args.dm, probe_support=None)
    p.engines.engine01 = u.Param(name="ML", numiter=args.ml)
    Ptycho(p, level=5)


with h5py.File(args.file) as file:
    theta = file["exchange/theta"][:]
if u.parallel.master:
    args.output.mkdir(parents=True, exist_ok=True)
    lines = [f"angle_{angle:03d}.ptyr,{degrees}" for angle, degrees in enumerate(theta)]
    (args.output / "theta.csv").write_text("\n".join(["file,theta_deg", *lines]) + "\n")

for angle, degrees in enumerate(theta):
    done = args.output / f"angle_{angle:03d}.ptyr"
    # The master decides: another rank may see the file later, or sooner.
    if u.parallel.bcast(done.is_file()):
        continue
    # Written under another name, so that a file of an interrupted run does not count as done.
    rfile = f"unfinished/{done.name}"
    reconstruct(angle, rfile)
    u.parallel.barrier()
    if u.parallel.master:
        (args.output / rfile).replace(done)
        print(f"{done}: {degrees:g} degrees, {angle + 1} of {len(theta)}", flush=True)
