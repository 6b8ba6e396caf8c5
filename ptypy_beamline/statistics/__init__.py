"""Measurements of corrected frames, compared with neighbouring and consecutive frames.

Used by quality control and by the checks. Samples of raw frames, from which a plan is made, are in
:mod:`ptypy_beamline.planning.sample`.
"""
