"""Files of reconstructions, one format a module."""
