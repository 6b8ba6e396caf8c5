"""A detector that writes while others read. Run as a process of its own.

``live_writer.py TARGET N PERIOD_S MODE [LAYOUT [SIGN]]`` with LAYOUT one of

- hdf5 (default): an areaDetector file. MODE swmr, grow (no SWMR, flushes) or reopen (closed after
  every frame).
- tiff: files TARGET_000.tif, …, each written in two halves.
- ptyd: TARGET is the master of parts of 4 frames, written as PtyPy's ``save='link'`` does.
- append: TARGET is one .ptyd, written as PtyPy's ``save='append'`` does.

and MODE further steady, pause (stops a while in the middle) or killed (dies half way without
closing). It begins when the file SIGN is there.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from collections.abc import Callable

import h5py
import numpy as np

target, period, mode = sys.argv[1], float(sys.argv[3]), sys.argv[4]
count = int(sys.argv[2])
layout = sys.argv[5] if len(sys.argv) > 5 else "hdf5"
sign = sys.argv[6] if len(sys.argv) > 6 else None

CHUNK = 4
"""Frames in a chunk of a ``.ptyd``."""
NAMES = ("posx_m", "posy_m", "energy_eV", "det_dist_m", "pixel_m", "NDArrayUniqueId")
PLACE = "/entry/instrument/NDAttributes"


def frame(number: int) -> np.ndarray:
    """A beam, with the number of the frame in the first pixel."""
    rows, columns = np.indices((32, 32))
    image = 1000 * np.exp(-((rows - 16) ** 2 + (columns - 16) ** 2) / 20)
    image[0, 0] = number
    return image.astype(np.uint16)


def values(number: int) -> tuple[float, ...]:
    """What ``NAMES`` hold of a frame; EXPOSURES of them have one position."""
    position = number // int(os.environ.get("EXPOSURES", "1"))
    return position % 5 * 1e-7, position // 5 * 1e-7, 8800.0, 1.0, 75e-6, number + 1


def dies(number: int) -> bool:
    """Whether the writer is killed when it has written frame ``number``."""
    return mode == "killed" and number == count // 2


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wait_for_sign() -> None:
    while sign is not None and not os.path.exists(sign):
        time.sleep(0.02)


def paced(write: Callable[[int], None]) -> None:
    """Write all frames one by one."""
    for number in range(count):
        write(number)
        with open(f"{target}.times", "a") as times:
            times.write(f"{time.monotonic()}\n")
        if dies(number) and layout == "hdf5":
            die()
        if mode == "pause" and number == count // 2:
            time.sleep(1.5)
        time.sleep(period)


def create(out: h5py.File) -> None:
    """An areaDetector file without frames."""
    out.create_dataset(
        "/entry/data/data", (0, 32, 32), np.uint16, maxshape=(None, 32, 32), chunks=(1, 32, 32)
    )
    for name in NAMES:
        out.create_dataset(f"{PLACE}/{name}", (0,), np.float64, maxshape=(None,), chunks=(16,))


def append(out: h5py.File, number: int) -> None:
    """Add a frame to it, and its number last."""
    data = out["/entry/data/data"]
    data.resize(number + 1, axis=0)
    data[number] = frame(number)
    data.flush()
    for name, value in zip(NAMES, values(number), strict=True):
        logged = out[f"{PLACE}/{name}"]
        logged.resize((number + 1,))
        logged[number] = value
        logged.flush()
    if mode == "grow":
        out.flush()


def write_hdf5() -> None:
    """One file that stays open."""
    with h5py.File(target, "w", libver="latest" if mode != "grow" else None) as out:
        create(out)
        if mode != "grow":
            out.swmr_mode = True
        paced(lambda number: append(out, number))


def reopen(number: int) -> None:
    """One file that is opened for each frame; a reader's lock would be the end of it."""
    with h5py.File(target, "a" if number else "w") as out:
        if not number:
            create(out)
        append(out, number)


def write_tiff(number: int) -> None:
    """One file; half of the next one is all that a killed writer leaves of it."""
    import tifffile

    stored = io.BytesIO()
    # Each of another length, as those of most detectors.
    tifffile.imwrite(stored, frame(number), compression="zlib" if number % 2 else None)
    content = stored.getvalue()
    with open(f"{target}_{number:03d}.tif", "wb") as out:
        out.write(content[: len(content) // 2])
        out.flush()
        time.sleep(period / 2)
        if number and dies(number - 1):
            die()
        out.write(content[len(content) // 2 :])


def chunk(first: int) -> dict[str, object]:
    """A chunk as PtyPy keeps it; one pixel of its first frame is bad."""
    numbers = list(range(first, min(first + CHUNK, count)))
    weights = np.ones((len(numbers), 32, 32), bool)
    weights[:, 3, 3] = False
    weights[0, 5, 5] = False
    positions = np.array([values(n)[1::-1] for n in numbers])
    frames = np.array([frame(n) for n in numbers], np.float32)
    return {"indices": numbers, "data": frames, "weights": weights, "positions": positions}


def write_ptyd() -> None:
    """As ``ptypy.core.data`` does: an empty file, the geometry, then chunk after chunk."""
    from ptypy import io as ptypy_io

    wait_for_sign()
    meta = {"label": "s", "num_frames": None, "shape": np.array([32, 32]), "energy": 8.8}
    meta |= {"psize": np.array([75e-6, 75e-6]), "center": np.array([16, 16]), "distance": 1.0}
    ptypy_io.h5write(target, {"chunks": {}, "meta": {}, "info": {}})
    time.sleep(period)
    ptypy_io.h5append(target, meta=meta)

    def write(number: int) -> None:
        if number % CHUNK == CHUNK - 1 or number == count - 1:
            write_chunk(ptypy_io, number // CHUNK)

    paced(write)


def write_chunk(ptypy_io: object, number: int) -> None:
    """Chunk ``number``; a killed writer dies in it."""
    content, name = chunk(number * CHUNK), f"chunks/{number}"
    dead = mode == "killed" and number > count // 2 // CHUNK
    if layout == "append":
        if dead:
            with h5py.File(target, "a") as out:
                out[f"{name}/data"] = content["data"]
                out.flush()
                die()
        ptypy_io.h5append(target, {name: content})
        return
    part = f"{target}.part{number:03d}"
    if dead:
        with h5py.File(part, "w") as out:
            out["data"] = content["data"]
            die()
    ptypy_io.h5write(part, content)
    with h5py.File(target, "a") as out:
        out[name] = h5py.ExternalLink(part, "/")


if layout in ("ptyd", "append"):
    write_ptyd()
    sys.exit()
wait_for_sign()
if layout == "tiff":
    paced(write_tiff)
elif mode == "reopen":
    paced(reopen)
else:
    write_hdf5()
