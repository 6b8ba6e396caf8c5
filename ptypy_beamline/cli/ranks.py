"""Which of several processes this one is."""

from __future__ import annotations

import os


def mpi_rank() -> int:
    """This process's MPI rank, without starting MPI; 0 where it is alone."""
    names = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID")
    return next((int(os.environ[name]) for name in names if name in os.environ), 0)
