"""A tomographic series with PtyPy: the phase at every angle, aligned, and the volume.

    python recipes/tomo_series.py demo/files/series.h5 -o series

Give one exchange file whose frames are (angle, position, row, column), with ``/exchange/theta`` in
degrees, or several files with a scan at one angle each. Started again after an interruption, it
continues with the first angle that is not finished. Under ``mpirun`` all ranks work on one angle.
It does what ``ptypy-beamline tomo`` does; change here whatever has no flag.
"""

import argparse
from pathlib import Path

from ptypy_beamline import Settings
from ptypy_beamline.script import add_flags, loading_of, one_line_errors
from ptypy_beamline.tomography import Alignment, Engine, Fbp, run_series

one_line_errors()
parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("files", nargs="+", help="a series, or a file for each angle")
add_flags(parser, "--roi")
parser.add_argument("--theta", help="table name,theta_deg, if the files have no angles")
parser.add_argument("--dm", type=int, default=60, help="iterations of DM")
parser.add_argument("--ml", type=int, default=40, help="iterations of ML")
parser.add_argument("--only", choices=["reconstruct", "align", "volume"], help="one stage")
parser.add_argument("-o", "--output", type=Path, default=Path("series"), help="folder to write")
args = parser.parse_args()

run_series(
    args.files,
    args.output,
    Settings.of(loading_of(args)),
    engine=Engine("ptypy", dm=args.dm, ml=args.ml),
    alignment=Alignment(axis="y", rounds=30),
    method=Fbp("ramp"),
    theta=args.theta,
    only=args.only,
    say=lambda what, text: print(f"{what:8s} {text}", flush=True),
)
