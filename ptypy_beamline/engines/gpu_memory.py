"""Estimates of the GPU and host memory that PtyPy's CuPy engines need, and advice on their FFT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import SettingsError

if TYPE_CHECKING:
    from ..planning.plan import Plan

GPU_BLOCK = 2000
"""``frames_per_block`` of a run on a GPU: PtyPy's default, 100,000, is for CPUs."""

SPARE = 200 * 2**20
"""Bytes of the GPU that PtyPy leaves free."""

FRAME_BYTES = 6000
"""Bytes of PtyPy's views and pods for each frame of the scan and probe mode, on every rank."""

FILTERED_FFT = tuple(2**k for k in range(4, 12))
"""Sizes of frames for which PtyPy has an FFT of its own (``choose_fft`` of its ``kernels.py``)."""


@dataclass(frozen=True)
class EngineBytes:
    """Bytes that an engine of PtyPy 0.9 allocates.

    They were read from ``ptypy/accelerate``: ``cuda_cupy/engines/projectional_cupy_stream.py``,
    ``ML_cupy.py``, ``stochastic.py``, ``cuda_cupy/kernels.py``, and ``base/engines`` for the host.

    Attributes
    ----------
    working
        Per pixel of the frames of one block: for each probe mode, and in addition.
    held
        The same for each block whose data are on the GPU: as many as fit.
    swapped
        The same that must fit beside ``working`` for the engine to start.
    host
        The same for all frames, on the host.
    host_block
        Per pixel of the frames of one block, on the host, temporarily.
    object_gpu, object_host
        Per pixel of the object.
    fixed_gpu, fixed_host
        CUDA, its libraries, and Python: measured on one H200 (``benchmarks/results/gpu.md``).
    """

    working: tuple[int, int]
    held: tuple[int, int]
    swapped: tuple[int, int]
    host: tuple[int, int]
    host_block: int
    object_gpu: int
    object_host: int
    fixed_gpu: int
    fixed_host: int


_HOST = (16, 13)
"""Exit waves of PtyPy, and a copy in pinned memory; counts, mask, and twice magnitudes and mask."""

_PROJECTIONAL = EngineBytes(
    working=(8, 8),  # aux; fdev, ferr of the FourierUpdateKernel
    held=(8, 8),  # exit waves; mask, magnitudes
    swapped=(16, 8),
    host=_HOST,
    host_block=8,
    object_gpu=20,  # the object, ob_buf, and ob_nrm, which is real
    object_host=20,
    fixed_gpu=1130 * 2**20,  # NCCL included
    fixed_host=1100 * 2**20,
)
_STOCHASTIC = EngineBytes(
    working=(0, 0),  # those of one frame
    held=(8, 8),
    swapped=(16, 8),
    host=_HOST,
    host_block=8,
    object_gpu=8,
    object_host=16,
    fixed_gpu=555 * 2**20,
    fixed_host=600 * 2**20,
)
_ML = EngineBytes(
    working=(24, 12),  # aux, a, b; LLden, LLerr, Imodel of the GradientDescentKernel
    held=(8, 0),  # weights, counts: PtyPy takes half of aux for each, which has all modes
    swapped=(8, 0),
    host=(8, 13),  # exit waves, which it does not use; counts, mask, pinned counts and weights
    host_block=4,
    object_gpu=32,  # object, gradient, new gradient, direction
    object_host=64,  # the same, and each in pinned memory
    fixed_gpu=555 * 2**20,
    fixed_host=600 * 2**20,
)
ENGINES = {
    "DM": _PROJECTIONAL,
    "RAAR": _PROJECTIONAL,
    "EPIE": _STOCHASTIC,
    "SDR": _STOCHASTIC,
    "ML": _ML,
}


@dataclass(frozen=True)
class Need:
    """Memory that one rank needs, with its own GPU.

    Attributes
    ----------
    gpu_bytes
        With the data of all its frames on the GPU; PtyPy moves in and out what does not fit.
    gpu_start_bytes
        What must be free, or PtyPy does not start.
    host_bytes
        At the peak.
    """

    gpu_bytes: int
    gpu_start_bytes: int
    host_bytes: int


def need(
    engine: str,
    frames: int,
    pixels: int,
    object_pixels: int,
    block: int,
    modes: int = 1,
    all_frames: int | None = None,
) -> Need:
    """Estimate of what an engine needs on a rank.

    With *n* frames of *P* pixels, *b* frames a block, *m* modes, *B* = ⌈*n*/*b*⌉·*b* and an object
    of *O* pixels, where a pair (*x*, *y*) of :class:`EngineBytes` stands for *x*·*m* + *y*:

    - GPU: fixed + working·*b*·*P* + held·*B*·*P* + object·*O*, + 136·*m*·*n* for the addresses;
    - GPU, to start: fixed + (working + swapped)·*b*·*P* + object·*O* + 200 MiB;
    - host: fixed + host·*n*·*P* + host_block·*b*·*P* + object·*O*, + 6000·*m* for each frame of all
      ranks.

    For DM and ML with one probe mode this is what was measured on an H200 (1000 frames of 128² and
    4000 of 256²) to 2% on the GPU and 7% on the host; the others were not measured. Sizes that are
    not powers of two need more, for the FFT's own arrays.

    Parameters
    ----------
    engine
        A name of :data:`ENGINES`.
    frames
        Of this rank.
    pixels, object_pixels
        Of a frame, and of the object.
    block
        PtyPy's ``frames_per_block``.
    modes
        Probe modes.
    all_frames
        Of all ranks; default: there is one rank.
    """
    e, block = ENGINES[engine], min(block, frames)

    def bytes_of(pair: tuple[int, int], number: int) -> int:
        return (pair[0] * modes + pair[1]) * number * pixels

    base = e.fixed_gpu + e.object_gpu * object_pixels + bytes_of(e.working, block)
    resident = -(-frames // block) * block
    return Need(
        gpu_bytes=base + bytes_of(e.held, resident) + 136 * modes * frames,
        gpu_start_bytes=base + bytes_of(e.swapped, block) + SPARE,
        host_bytes=e.fixed_host
        + e.object_host * object_pixels
        + bytes_of(e.host, frames)
        + e.host_block * block * pixels
        + FRAME_BYTES * modes * (all_frames or frames),
    )


@dataclass(frozen=True)
class GpuRun:
    """What a reconstruction of a plan on GPUs needs, one for each rank."""

    ranks: int
    frames_per_rank: int
    frames_per_block: int
    modes: int
    object_shape: tuple[int, int]
    fft: str
    needs: dict[str, Need]

    @classmethod
    def of(
        cls,
        plan: Plan,
        engines: Sequence[str] = ("DM", "ML"),
        block: int = GPU_BLOCK,
        modes: int = 1,
        ranks: int = 1,
    ) -> GpuRun:
        """Of the rank with the most frames.

        Raises
        ------
        SettingsError
            There are more ranks than frames, or than an engine can use.
        """
        alone = [name for name in engines if ENGINES[name] is _STOCHASTIC]
        if alone and ranks > 1:
            raise SettingsError(f"PtyPy's {alone[0]} runs on one rank only", "leave out --cores")
        if ranks > len(plan):
            raise SettingsError(f"{ranks} ranks for {len(plan)} frames", "start fewer (--cores)")
        height, width = plan.geometry.shape
        extent = plan.positions_m.max(0) - plan.positions_m.min(0)
        steps = extent / plan.geometry.object_pixel_m
        shape = int(steps[0]) + height + 1, int(steps[1]) + width + 1
        frames = -(-len(plan) // ranks)
        sizes = height * width, shape[0] * shape[1], block, modes, len(plan)
        needs = {name: need(name, frames, *sizes) for name in dict.fromkeys(engines)}
        return cls(
            ranks, frames, min(block, frames), modes, shape, fft_advice((height, width)), needs
        )


def fft_advice(shape: tuple[int, int]) -> str:
    """Which FFT PtyPy takes for frames of this shape, and which sizes would be faster."""
    rows, columns = shape
    if rows != columns:
        return "PtyPy takes square frames only"
    if rows in FILTERED_FFT:
        return f"{rows} is a power of two: PtyPy's own FFT (filtered_cufft), if it is installed"
    slower = "" if _smooth(rows) else ", slow with a prime factor above 7"
    near = [size for size in FILTERED_FFT if rows / 2 < size < rows * 2]
    near = near or [min(FILTERED_FFT, key=lambda size: abs(size - rows))]
    return (
        f"{rows} is not a power of two from 16 to 2048: CuPy's FFT{slower}; frames of "
        f"{' or '.join(map(str, near))} pixels, after --bin and --pad, get PtyPy's own, which is "
        "faster"
    )


def _smooth(size: int) -> bool:
    """Whether a size has no prime factor above 7."""
    for prime in (2, 3, 5, 7):
        while size % prime == 0:
            size //= prime
    return size == 1
