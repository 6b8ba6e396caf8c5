"""Output files, which are complete or absent, and never replace what others wrote."""
