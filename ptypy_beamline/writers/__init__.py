"""Writers of raw scans: ``.ptyd``, standardized HDF5, and the sidecar of TIFF frames."""
