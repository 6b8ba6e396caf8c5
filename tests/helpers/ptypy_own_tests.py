"""Run a test module of PtyPy's repository on this package's loaders.

    python ptypy_own_tests.py SOURCE MODULE

Prints a line of JSON: how many tests were run, and the names of those that failed.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
import unittest
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

LOADERS = {"hdf5_loader_test": "Hdf5Loader", "diamond_nexus_test": "DiamondNexus"}
"""Module → PtyPy's loader that it tests."""


def main(source: str, name: str) -> None:
    sys.path.insert(0, source)  # their package of tests is called test, as one of Python's own
    from hdf5loader_adapter import of_diamond_nexus, of_hdf5loader

    translate = {"Hdf5Loader": of_hdf5loader, "DiamondNexus": of_diamond_nexus}
    module = importlib.import_module(f"test.ptyscan_tests.{name}")
    setattr(module, LOADERS[name], adapted(translate[LOADERS[name]]))
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder  # theirs leave their files behind
        result = unittest.TestResult()
        unittest.defaultTestLoader.loadTestsFromModule(module).run(result)
    bad = {str(test): text for test, text in (*result.failures, *result.errors)}
    for text in bad.values():
        print(text, file=sys.stderr)
    print(json.dumps({"run": result.testsRun, "failed": sorted(bad)}))


def adapted(translate: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Callable[[Any], Any]:
    """What stands in for PtyPy's loader."""
    from ptypy import utils as u

    from ptypy_beamline.ptyscan import BeamlineHdf5Scan

    return lambda pars: BeamlineHdf5Scan(u.Param(translate(pars)))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main(*sys.argv[1:])
