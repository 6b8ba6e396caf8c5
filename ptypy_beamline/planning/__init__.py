"""What is wanted of a scan, compiled once: which frames, which pixels, which arithmetic."""
