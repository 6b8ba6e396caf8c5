"""Write an areaDetector file as if it were measured now. Run as a process of its own.

``live_copy.py SOURCE TARGET PERIOD_S``: frames and NDAttributes one by one, by SWMR.
"""

import sys
import time

import h5py
import hdf5plugin  # noqa: F401  the filter of the source

source, target, period = sys.argv[1], sys.argv[2], float(sys.argv[3])
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
        for name, dataset in series.items():
            dataset.resize(number + 1, axis=0)
            dataset[number] = old[name][number]
            dataset.flush()
        time.sleep(period)
