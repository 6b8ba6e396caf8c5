"""PtyPy's cupy engines set up without a GPU: NumPy stands in for cupy, and counts bytes.

As a program, ``cupy_setup.py FILE MODES BLOCK MODEL,ENGINE …`` prints for each, as JSON, the bytes
of arrays that are alive on the GPU and in pinned memory when the engine is prepared. No kernel is
compiled or called: what is shown is that the engines are registered and take our parameters and
models, and what they allocate.
"""

from __future__ import annotations

import gc
import json
import sys
import weakref
from collections import Counter
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

MEMORY = 2**34
"""Bytes of the GPU."""

ALIVE: Counter[str] = Counter()
"""Bytes of arrays, by where they are."""


def counted(array: np.ndarray, where: str) -> np.ndarray:
    """``array``, in the count as long as it lives."""
    ALIVE[where] += array.nbytes
    weakref.finalize(array, ALIVE.subtract, {where: array.nbytes})
    return array


class Array(np.ndarray):
    """An array on the GPU."""

    def get(self) -> np.ndarray:
        return np.array(self)


def on_gpu(array: Any) -> Array:
    """A copy of ``array``; itself if it is there already."""
    if isinstance(array, Array):
        return array
    return counted(np.array(array), "gpu").view(Array)


def empty_pinned(shape: Any, dtype: Any = float, order: str = "C") -> np.ndarray:
    return counted(np.empty(shape, dtype, order), "pinned")


class Stream:
    """A queue in which nothing is done."""

    ptr = 0

    def use(self) -> None: ...


class Kernel:
    """A kernel that must not be called; its source is read."""

    def __init__(self, *_: Any, code: str = "", **__: Any) -> None:
        self.code = code

    def get_function(self, name: str) -> Kernel:
        assert name in self.code
        return self


def install() -> None:
    """Let ``import cupy`` and ``import cupyx`` find what PtyPy's engines ask for."""
    pool = SimpleNamespace(
        total_bytes=lambda: 0, used_bytes=lambda: 0, get_limit=lambda: 0, n_free_blocks=lambda: 0
    )
    runtime = SimpleNamespace(
        getDeviceCount=lambda: 1, memGetInfo=lambda: (MEMORY - ALIVE["gpu"], MEMORY)
    )

    def module(name: str, **content: Any) -> ModuleType:
        made = sys.modules[name] = ModuleType(name)
        vars(made).update(content)
        return made

    class Device:
        id, attributes = 0, {"ComputeMode": 0}

        def __init__(self, _: int = 0) -> None: ...

        def use(self) -> None: ...

    cuda = module(
        "cupy.cuda",
        runtime=runtime,
        Device=Device,
        Stream=Stream,
        Event=object,
        nccl=module("cupy.cuda.nccl"),  # without NCCL, PtyPy sums through the host
        alloc=lambda nbytes: counted(np.empty(nbytes, np.uint8), "gpu"),
    )
    module(
        "cupy",
        cuda=cuda,
        ndarray=Array,
        asarray=on_gpu,
        zeros=lambda shape, dtype=float: on_gpu(np.zeros(shape, dtype)),
        empty=lambda shape, dtype=float: on_gpu(np.empty(shape, dtype)),
        empty_like=lambda a: on_gpu(np.empty(a.shape, a.dtype)),
        ones_like=lambda a: on_gpu(np.ones(a.shape, a.dtype)),
        sqrt=np.sqrt,
        float32=np.float32,
        float64=np.float64,
        RawModule=Kernel,
        ElementwiseKernel=Kernel,
        get_default_memory_pool=lambda: pool,
        get_default_pinned_memory_pool=lambda: pool,
    )
    fft = module("cupyx.scipy.fft", get_fft_plan=lambda *_, **__: object())
    module("cupyx", empty_pinned=empty_pinned, scipy=module("cupyx.scipy", fft=fft))


def tree(file: str, modes: int, block: int, model: str, engine: str) -> dict[str, Any]:
    """One iteration of an engine of a scan."""
    from model_runs import COUNT

    beam = np.exp(-(np.hypot(*np.indices((16, 16)) - 8) ** 2) / 9).astype(complex)
    probe = beam * 0.1 ** np.arange(modes)[:, None, None]
    fixed = {"model": probe, "aperture": None, "diversity": None, "propagation": None}
    data = {"name": "BeamlineScan", "file": file, "center": [8, 8], "num_frames": COUNT}
    scan = {
        "name": model,
        "data": data,
        "illumination": fixed,
        "coherence": {"num_probe_modes": modes},
    }
    return {
        "verbose_level": "ERROR",
        "frames_per_block": block,
        "io": {"rfile": None, "autosave": {"active": False}},
        "scans": {"scan": scan},
        "engines": {"e": {"name": f"{engine}_cupy", "numiter": 1}},
    }


def main() -> None:
    install()
    from ptypy_beamline.run import run

    file, modes, block, *cases = sys.argv[1:]
    for case in cases:
        model, engine = case.split(",")
        gc.collect()  # of the case before
        before = ALIVE.copy()
        ptycho = run(tree(file, int(modes), int(block), model, engine), level=4, backend="cupy")
        (made,) = ptycho.engines.values()
        ptycho.runtime.iter_info = []  # as Ptycho.run does
        made.initialize()
        made.prepare()
        (obj,) = ptycho.obj.storages.values()
        alive = {where: ALIVE[where] - before[where] for where in ("gpu", "pinned")}
        print(json.dumps({"case": case, "object": obj.data.shape, **alive}))
        del ptycho, made


if __name__ == "__main__":
    main()
