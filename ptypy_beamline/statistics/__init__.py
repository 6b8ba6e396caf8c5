"""What is measured of corrected frames, and what neighbouring and consecutive frames tell.

Used by quality control and by the checks. Samples of raw frames, from which a plan is made, are in
:mod:`ptypy_beamline.planning.sample`.
"""
