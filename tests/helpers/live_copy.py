"""Write an areaDetector file as if it were measured now. Run as a process of its own.

``live_copy.py SOURCE TARGET HOLD_AT RESUME``: frames and NDAttributes one by one, by SWMR. The
scan stands still before frame HOLD_AT until there is a file RESUME.
"""

import sys
import time
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  the filter of the source

source, target, hold_at, resume = sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
PERIOD_S = 0.02
PLACE = "/entry/instrument/NDAttributes"

with h5py.File(source) as old, h5py.File(target, "w", libver="latest") as new:
    names = ["/entry/data/data", *(f"{PLACE}/{name}" for name in old[PLACE])]
    names.sort(key=lambda name: name.endswith("UniqueId"))  # the count comes last
    series = {}
    for name in names:
        _, *shape = old[name].shape
        series[name] = new.create_dataset(
            name, (0, *shape), old[name].dtype, maxshape=(None, *shape), chunks=(1, *shape)
        )
    new.swmr_mode = True
    for number in range(len(old[names[0]])):
        while number == hold_at and not resume.exists():
            time.sleep(PERIOD_S)
        for name, dataset in series.items():
            dataset.resize(number + 1, axis=0)
            dataset[number] = old[name][number]
            dataset.flush()
        time.sleep(PERIOD_S)
