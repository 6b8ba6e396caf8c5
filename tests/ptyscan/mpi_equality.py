"""Rows of the table of ``test_hdf5loader_equality`` on several ranks; the master compares.

mpirun -n 2 python mpi_equality.py FILE FOLDER NAME...
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import test_hdf5loader_equality as equality
from ptypy.utils import parallel


def main(file: str, folder: str, *names: str) -> None:
    rows = {row.name: row for row in equality.TABLE}
    for number, name in enumerate(names):
        place = Path(folder) / str(number)
        if parallel.master:
            place.mkdir()
        parallel.barrier()
        theirs, ours = equality.both(rows[name], Path(file), place)
        if parallel.master:
            rows[name].rule(theirs, ours)
            print("DONE", parallel.size, name)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(*sys.argv[1:])
