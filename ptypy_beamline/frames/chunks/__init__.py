"""Compressed chunks of HDF5 files, decoded in place."""
