#!/usr/bin/env bash
# Run a parameter tree on a Slurm cluster:
#
#   sbatch recipes/slurm.sh recipes/tree.yaml -o results
#
#SBATCH --job-name=ptycho
#SBATCH --output=%x-%j.log
#SBATCH --time=01:00:00
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=16
#SBATCH --cpus-per-task=2
#SBATCH --mem-per-cpu=4G
#
# On GPUs, one rank per GPU: as many tasks as GPUs, and every rank sees all GPUs of its node (PtyPy
# uses the one with the rank's number on that node, so --gpus-per-task does not work):
#
##SBATCH --ntasks-per-node=4
##SBATCH --gres=gpu:4
##SBATCH --gpu-bind=none
#
#   sbatch recipes/slurm.sh GPU_TREE.yaml -b cupy -o results
#
# where GPU_TREE.yaml is a copy of recipes/tree.yaml with the engines DM_cupy and ML_cupy.
#
set -euo pipefail

# The site's modules of Python, MPI and PtyPy:
# module load python openmpi ptypy
# and the environment in which ptypy-beamline is installed:
# source "$SLURM_SUBMIT_DIR/.venv/bin/activate"

# Each rank corrects and transforms frames on its own cores.
threads=${SLURM_CPUS_PER_TASK:-1}
export OMP_NUM_THREADS=$threads OPENBLAS_NUM_THREADS=$threads MKL_NUM_THREADS=$threads
# Since Slurm 22.05 srun does not take --cpus-per-task from the job.
export SRUN_CPUS_PER_TASK=$threads

# Some sites need `srun --mpi=pmix`, others mpirun instead of srun.
srun ptypy-beamline run "$@"
