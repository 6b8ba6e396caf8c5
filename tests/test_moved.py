"""Former names of modules give the present modules, with a warning."""

import sys
from importlib import import_module
from importlib.util import find_spec

import pytest

from ptypy_beamline import _MOVED, _present_name


@pytest.mark.parametrize("former", sorted(_MOVED))
def test_a_former_name_is_the_present_module(former):
    for name in [n for n in sys.modules if n.startswith(f"ptypy_beamline.{former}")]:
        del sys.modules[name]
    with pytest.warns(DeprecationWarning, match=f"ptypy_beamline.{former} is now"):
        module = import_module(f"ptypy_beamline.{former}")
    assert module is import_module(f"ptypy_beamline.{_MOVED[former]}")


@pytest.mark.filterwarnings("ignore:ptypy_beamline:DeprecationWarning")
def test_a_module_inside_a_former_package_is_not_loaded_twice():
    from ptypy_beamline.reconstruction import postprocess

    assert import_module("ptypy_beamline.results.postprocess") is postprocess


def test_other_names_are_left_alone():
    assert _present_name("elsewhere.results") is None
    assert _present_name("ptypy_beamline.settings") is None
    assert _present_name("ptypy_beamline.results_of_mine") is None
    assert find_spec("ptypy_beamline.nothing") is None
