"""Synthetic scans with known truth, and one writer a format."""
