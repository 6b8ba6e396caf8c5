"""A detector that writes while others read. Run as a process of its own.

``live_writer.py FILE N PERIOD_S MODE`` with MODE one of: swmr, grow (no SWMR, flushes), pause
(stops a while in the middle), killed (dies half way without closing).
"""

import os
import signal
import sys
import time

import h5py
import numpy as np

file, count, period, mode = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]


def frame(number: int) -> np.ndarray:
    """A frame that tells its number: a beam, and the number in the first pixel."""
    rows, columns = np.indices((32, 32))
    image = 1000 * np.exp(-((rows - 16) ** 2 + (columns - 16) ** 2) / 20)
    image[0, 0] = number
    return image.astype(np.uint16)


with h5py.File(file, "w", libver="latest" if mode != "grow" else None) as out:
    data = out.create_dataset("/entry/data/data", (0, 32, 32), np.uint16, maxshape=(None, 32, 32),
                              chunks=(1, 32, 32))  # fmt: skip
    names = ("posx_m", "posy_m", "energy_eV", "det_dist_m", "pixel_m", "NDArrayUniqueId")
    place = "/entry/instrument/NDAttributes"
    logged = {
        name: out.create_dataset(
            f"{place}/{name}", (0,), np.float64, maxshape=(None,), chunks=(16,)
        )
        for name in names
    }
    if mode != "grow":
        out.swmr_mode = True
    for number in range(count):
        values = (number % 5 * 1e-7, number // 5 * 1e-7, 8800.0, 1.0, 75e-6, number + 1)
        data.resize(number + 1, axis=0)
        data[number] = frame(number)
        data.flush()
        for dataset, value in zip(logged.values(), values, strict=True):
            dataset.resize((number + 1,))
            dataset[number] = value
            dataset.flush()
        if mode == "grow":
            out.flush()
        with open(f"{file}.times", "a") as times:
            times.write(f"{time.monotonic()}\n")
        if mode == "killed" and number == count // 2:
            os.kill(os.getpid(), signal.SIGKILL)
        if mode == "pause" and number == count // 2:
            time.sleep(1.5)
        time.sleep(period)
