"""The plan of loading a scan, compiled once: which frames, which pixels, which arithmetic."""
