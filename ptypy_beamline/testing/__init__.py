"""Synthetic scans with a known truth, writers of every format, and tests that a format must pass.

For tests, also of a beamline's own formats:

- :mod:`.conformance`: inherit :class:`~.conformance.Conformance` to test a format.
- :mod:`.simulate`: a simulated scan with its true object and probe; :mod:`.bad_frames` spoils it.
- :mod:`.raw`: what a detector and its beamline record; :mod:`.writers` puts it into files.
- :mod:`.tomography`: scans of one sample at many angles.
- :mod:`.demo`: the raw scan and the small files of ``ptypy-beamline demo``.
"""
