"""Warnings of this package, as the user of a PtyPy script sees them."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from folders import HELPERS
from processes import mpirun, python

from ptypy_beamline.errors import warn
from ptypy_beamline.run import asks_for_server
from ptypy_beamline.user_warnings import UserWarnings

pytestmark = pytest.mark.ptypy

WORDS = "7 frames for 12 positions"
TREE = """
verbose_level: {level}
io:
  rfile: null
  autosave: {{active: false}}
  autoplot: {{active: false}}
  interaction: {{active: false}}
scans:
  s:
    name: BlockFull
    data: {{name: BeamlineScan, file: '{file}', center: [8, 8]}}
"""


@pytest.fixture
def tree(tmp_path):
    """A parameter tree of a scan that stopped early."""

    def write(level="ERROR"):
        file = tmp_path / "a.h5"
        with h5py.File(file, "w") as out:
            out["entry/data"] = np.random.default_rng(1).poisson(5.0, (7, 16, 16))
            out["entry/posx_m"], out["entry/posy_m"] = np.indices((3, 4)).reshape(2, -1) * 1e-7
            out["entry/energy_eV"], out["entry/det_dist_m"] = 8800.0, 1.0
            out["entry/pixel_m"] = 75e-6
        (tmp_path / "tree.yaml").write_text(TREE.format(level=level, file=file))
        return tmp_path / "tree.yaml"

    return write


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_script_prints_each_warning_once_per_reconstruction(tmp_path, tree, ranks):
    """At PtyPy's default verbosity, what any rank was warned of."""
    done = mpirun(ranks, HELPERS / "warn_on_ranks.py", tree(), code=0)
    head, tail = done.stdout.split("and again")
    for shown in (head, tail):
        assert shown.count(f"warning: {tmp_path / 'a.h5'}: {WORDS}") == shown.count(WORDS) == 1
        assert shown.count("warning: of frame 0") == shown.count("warning: of frame 1") == 1
    assert "of another library" not in done.stdout + done.stderr, "PtyPy hides those of others"


@pytest.mark.parametrize("level", [pytest.param("ERROR", marks=pytest.mark.long), "INFO"])
def test_the_command_prints_a_warning_once(tmp_path, tree, level):
    done = python("-m", "ptypy_beamline", "run", tree(level), "-l", "2", "-o", tmp_path)
    shown = done.stdout + done.stderr
    assert "ZeroMQ" not in shown
    assert shown.count(f"warning: {tmp_path / 'a.h5'}: {WORDS}") == shown.count(WORDS) == 1


def test_a_command_prints_each_warning_once():
    """A plan of the command itself, then that of a loader, in PtyPy's log."""
    warnings_shown, shown = UserWarnings(), []
    with warnings_shown.command(shown.append):
        warn("the monitor is 0", "a.h5")
        warnings_shown.install(shown.append)
        warnings_shown.forget()
        warn("the monitor is 0", "a.h5")
        warn("the monitor is 0", "b.h5")
    assert shown == ["warning: a.h5: the monitor is 0", "warning: b.h5: the monitor is 0"]


@pytest.mark.parametrize(
    ("io", "asks"),
    [
        ({}, False),
        ({"interaction": False}, False),
        ({"interaction": {"active": False}}, False),
        ({"interaction": {}}, True),
        ({"interaction": True}, True),
        (None, False),
    ],
)
def test_zeromq_is_reported_missing_if_the_interaction_server_is_requested(io, asks):
    assert asks_for_server({"io": io}) == asks
