"""Files for other programs, one function a file."""
