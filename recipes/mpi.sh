#!/usr/bin/env bash
# Reconstruct a parameter tree on several MPI ranks of this machine:
#
#   bash recipes/mpi.sh 2 recipes/tree.yaml -o results
#
# The first word is the number of ranks; the rest goes to `ptypy-beamline run`.
set -euo pipefail
ranks=$1
shift
# One thread a rank for FFTs and linear algebra: the ranks share the cores already.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
exec mpirun -n "$ranks" "${PYTHON:-python3}" -m ptypy_beamline run "$@"
