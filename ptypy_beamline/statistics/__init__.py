"""What is measured of corrected frames, and what neighbouring and consecutive frames tell."""
