"""Input files: HDF5 handles, links, lists of files, logs and parameter trees."""
