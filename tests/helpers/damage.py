"""Mutations of files, and what two readers make of them: ours, and the format's own library.

python tests/helpers/damage.py                        # 1,000 of each kind
python tests/helpers/damage.py --count 50 --seed 3 gzip tiff-lzw
"""

from __future__ import annotations

import argparse
import gc
import os
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import tifffile
from numpy.typing import NDArray

from ptypy_beamline.errors import BeamlineError
from ptypy_beamline.frames.hdf5 import Hdf5Frames
from ptypy_beamline.frames.npz import Member, NpzFrames
from ptypy_beamline.frames.tiff import TiffFrames
from ptypy_beamline.scan import Window

SECONDS, MEMORY = 20, 8 << 30
SIGNS = rb"TREE|SNOD|HEAP|OHDR|FRHP|BTHD|BTLF|FAHD|FADB|EAHD|EAIB|PK|II\*\0|MM\0\*|NUMPY"
"""What begins a structure of HDF5, ZIP, TIFF or NPY."""
CORNER = Window(3, 5, 6, 9)
"""A window: decoders stop where it ends."""

Stack = NDArray[np.generic]


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Some bytes changed, most of them where a file has its structure; or its end cut off."""
    data = bytearray(content)
    kind = rng.integers(5)
    if kind == 0:
        return bytes(data[: rng.integers(len(data))])
    signs = [found.start() for found in re.finditer(SIGNS, content)]
    for _ in range(int(rng.integers(1, 6))):
        near = int(rng.choice(signs)) + int(rng.integers(160)) if signs and kind < 3 else None
        at = int(rng.integers(len(data))) if near is None else min(near, len(data) - 1)
        data[at] = int(rng.choice([0, 255, rng.integers(256), data[at] ^ (1 << rng.integers(8))]))
    return bytes(data)


@dataclass(frozen=True)
class Kind:
    """A way of storing frames, and its two readers: each has all frames and a window of them."""

    suffix: str
    write: Callable[[Path, Stack], None]
    ours: Callable[[Path], tuple[Stack, Stack]]
    reference: Callable[[Path], tuple[Stack, Stack]]


def _write_hdf5(path: Path, frames: Stack, libver: str = "earliest", **how: object) -> None:
    with h5py.File(path, "w", libver=libver) as file:
        file.create_dataset("entry/data", data=frames, **how)


def _write_virtual(path: Path, frames: Stack) -> None:
    with h5py.File(path, "w") as file:
        file["raw"] = frames
        layout = h5py.VirtualLayout(frames.shape, frames.dtype)
        half = len(frames) // 2
        for part in (np.s_[:half], np.s_[half:]):
            layout[part] = h5py.VirtualSource(file["raw"])[part]
        file.create_virtual_dataset("entry/data", layout)


def _both(frames: object) -> tuple[Stack, Stack]:
    every = np.arange(frames.shape[0])
    return frames.read(every, Window.full(frames.shape[1:])), frames.read(every, CORNER)


def _hdf5(path: Path) -> tuple[Stack, Stack]:
    return _both(Hdf5Frames(path, "entry/data"))


def _h5py(path: Path) -> tuple[Stack, Stack]:
    with h5py.File(path, "r") as file:
        frames = file["entry/data"]
        if frames.shape is None or frames.ndim == 2:
            frames = frames[()][None]
        return frames[:], frames[:, 3:9, 5:14]


def _tifffile(path: Path) -> tuple[Stack, Stack]:
    with tifffile.TiffFile(path) as file:
        frames = np.stack([page.asarray() for page in file.pages])
    return frames, frames[:, 3:9, 5:14]


def _numpy(path: Path) -> tuple[Stack, Stack]:
    frames = np.load(path)
    frames = frames if isinstance(frames, np.ndarray) else frames["data"]
    return frames, frames[:, 3:9, 5:14]


FRAME_CHUNKS, BLOCKS = {"chunks": (1, 20, 24)}, {"chunks": (4, 10, 12)}
HDF5 = {
    "contiguous": {},
    "chunks": FRAME_CHUNKS,
    "latest": {"libver": "latest", **FRAME_CHUNKS},
    "growing": {"libver": "latest", "maxshape": (None, 20, 24), **FRAME_CHUNKS},
    "gzip": {"compression": "gzip", **FRAME_CHUNKS},
    "gzip, shuffle, blocks": {"compression": "gzip", "shuffle": True, **BLOCKS},
    "lzf": {"compression": "lzf", **FRAME_CHUNKS},
    "fletcher32": {"fletcher32": True, **FRAME_CHUNKS},
    "bitshuffle-lz4": {**hdf5plugin.Bitshuffle(cname="lz4"), **FRAME_CHUNKS},
    "bitshuffle-zstd": {**hdf5plugin.Bitshuffle(cname="zstd"), **FRAME_CHUNKS},
    "bitshuffle": {**hdf5plugin.Bitshuffle(cname="none"), **BLOCKS},
    "lz4": {**hdf5plugin.LZ4(), **FRAME_CHUNKS},
    "zstd": {**hdf5plugin.Zstd(), **FRAME_CHUNKS},
    "blosc": {**hdf5plugin.Blosc(cname="lz4", shuffle=1), **FRAME_CHUNKS},
    "blosc-zstd": {**hdf5plugin.Blosc(cname="zstd", shuffle=2), **FRAME_CHUNKS},
    "blosc2": {**hdf5plugin.Blosc2(), **FRAME_CHUNKS},
}
TIFF = {
    "tiff": {},
    "tiff-big": {"bigtiff": True},
    "tiff-strips": {"rowsperstrip": 5},
    "tiff-deflate": {"compression": "zlib"},
    "tiff-lzw": {"compression": "lzw", "predictor": True},
    "tiff-packbits": {"compression": "packbits"},
    "tiff-tiles": {"tile": (16, 16), "compression": "zlib"},
    "tiff-MM": {"byteorder": ">"},
}


def _write_tiff(path: Path, frames: Stack, **how: object) -> None:
    tifffile.imwrite(path, frames, photometric="minisblack", metadata=None, **how)


def _write_npz(path: Path, frames: Stack, save: Callable[..., None]) -> None:
    save(path, data=frames)


def _npz(path: Path) -> tuple[Stack, Stack]:
    return _both(NpzFrames(Member(path, "data")))


KINDS = {
    **{name: Kind(".h5", partial(_write_hdf5, **how), _hdf5, _h5py) for name, how in HDF5.items()},
    "virtual": Kind(".h5", _write_virtual, _hdf5, _h5py),
    **{
        name: Kind(
            ".tif", partial(_write_tiff, **how), lambda p: _both(TiffFrames((p,))), _tifffile
        )
        for name, how in TIFF.items()
    },
    "npz": Kind(".npz", partial(_write_npz, save=np.savez), _npz, _numpy),
    "npz-deflate": Kind(".npz", partial(_write_npz, save=np.savez_compressed), _npz, _numpy),
}


WELL = ("same", "both refuse", "stricter", "intact", "the other crashes")
"""Outcomes in which our reader takes nothing wrong for frames."""

WHOLE = np.random.default_rng(4).poisson(3, (12, 20, 24)).astype(np.uint16)


def content(kind: Kind, folder: Path) -> bytes:
    """The file of some frames that compress."""
    path = folder / f"whole{kind.suffix}"
    kind.write(path, WHOLE)
    assert alike(kind.ours(path), kind.reference(path))
    gc.collect()  # numba's first compilation leaves cycles that keep the file open
    return path.read_bytes()


def alike(ours: tuple[Stack, Stack], other: tuple[Stack, Stack]) -> bool:
    """Whether two readers have the same frames and the same window of them."""
    return all(
        a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
        for a, b in zip(ours, other, strict=True)
    )


def compared(path: Path, kind: Kind) -> str:
    """What our reader makes of a file, against the other.

    ``same`` or ``both refuse``; ``stricter``: only ours refuses; ``intact``: the other refuses or
    differs, as where an index is out of order, and ours has what was written, or more of it;
    ``laxer``: it has something else where the other refuses; ``differs``: it has other numbers,
    without a word.
    """
    found, other = ours(path, kind), None
    with suppress(Exception):
        other = kind.reference(path)
    if isinstance(found, str):
        return found if "\n" in found else "both refuse" if other is None else "stricter"
    if other is not None and alike(found, other):
        return "same"
    wholes = WHOLE, WHOLE[:, 3:9, 5:14]
    others = other or (None, None)
    if all(map(right, found, wholes, others)):
        return "intact"
    return "laxer" if other is None else "differs"


def right(found: Stack, whole: Stack, other: Stack | None) -> bool:
    """Whether ours has what was written, or at least more of it than the other."""
    if found.shape != whole.shape or found.dtype != whole.dtype:
        return False
    wrong = np.count_nonzero(found != whole)
    if wrong == 0 or other is None or other.shape != whole.shape:
        return wrong == 0
    return bool(wrong < np.count_nonzero(other != whole))


def ours(path: Path, kind: Kind) -> tuple[Stack, Stack] | str:
    """What our reader has, or the one line in which it refuses."""
    try:
        return kind.ours(path)
    except (BeamlineError, MemoryError) as error:
        return str(error)


def outcome(look: Callable[[], object]) -> str:
    """Of a look at a file, in a process of its own: libhdf5 itself may crash or hang."""
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        result = "crash"
        try:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            signal.alarm(SECONDS)
            result = str(look())
        except BaseException:
            result = traceback.format_exc()
        finally:
            os.write(writes, result.encode()[-3000:])
            os._exit(0)
    os.close(writes)
    with open(reads) as pipe:
        result = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return result if status == 0 else f"signal {-status}"


def tried(name: str, count: int, seed: int, folder: Path) -> Counter[str]:
    """Outcomes of so many mutations; a file that is read wrongly stays in ``folder``."""
    kind, found = KINDS[name], Counter[str]()
    whole = content(kind, folder)
    rng = np.random.default_rng([list(KINDS).index(name), seed])
    for number in range(count):
        path = folder / f"{name.replace(' ', '')}-{seed}-{number}{kind.suffix}"
        path.write_bytes(damaged(whole, rng))
        result = outcome(partial(compared, path, kind))
        if "signal" in result and "signal" not in outcome(partial(ours, path, kind)):
            result = "the other crashes"
        found[result] += 1
        if result in WELL:
            path.unlink()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for files that are read wrongly")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as made:
        folder = args.keep or Path(made)
        for name in args.kinds:
            start = time.perf_counter()
            found = tried(name, args.count, args.seed, folder)
            took = time.perf_counter() - start
            print(
                f"{name:22s} {took:5.0f} s",
                *(f"{k}: {n};" for k, n in found.most_common()),
                flush=True,
            )


if __name__ == "__main__":
    sys.exit(main())
