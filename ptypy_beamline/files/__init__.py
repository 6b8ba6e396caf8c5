"""Files and what leads to them: HDF5 handles, links, lists, logs and trees of parameters."""
