#!/usr/bin/env bash
# Run a parameter tree on several MPI ranks of this machine:
#
#   bash recipes/mpi.sh 2 recipes/tree.yaml -o results
#
# The first argument is the number of ranks; the others go to `ptypy-beamline run`.
set -euo pipefail
ranks=${1:?the number of ranks is missing}
shift
# One thread per rank for FFTs and linear algebra, as the ranks already share the cores.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
exec mpirun -n "$ranks" "${PYTHON:-python3}" -m ptypy_beamline run "$@"
