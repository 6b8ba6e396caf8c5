"""Quick tests with the oldest dependencies that are allowed, and on each version of Python.

    python .ci/versions.py minimum    # the lower bounds of pyproject.toml, on the oldest Python
    python .ci/versions.py pythons    # the newest dependencies, on the other versions

Each gets an environment of its own in ``.venvs``. Interpreters that are not installed are skipped,
and counted at the end.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest brings it along

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
EXTRAS = ("qc", "tomo")
TOOLS = ("pytest", "pytest-timeout", "pytest-xdist", "hypothesis")
TESTS = (
    "tests/test_settings.py",
    "tests/test_beamlines.py",
    "tests/formats/test_conformance.py",
    "tests/frames/test_tiff.py",
    "tests/planning/test_corrections.py",
    "tests/planning/test_exposures.py",
    "tests/planning/test_plan.py",
    "tests/planning/test_transform.py",
    "tests/reconstruction/test_exports.py",
    "tests/reconstruction/test_plot.py",
    "tests/cli/test_cli.py",
)
"""About a minute on two cores; every dependency is used in them."""


def main(what: str) -> int:
    """Exit status: 1 if any of the versions failed."""
    newest = [python for python in PYTHONS[1:] if python != "{}.{}".format(*sys.version_info)]
    versions = [PYTHONS[0]] if what == "minimum" else newest
    outcomes = {version: _outcome(what, version) for version in versions}
    for version, outcome in outcomes.items():
        print(f"Python {version}, {what}: {outcome}")
    counts = [list(outcomes.values()).count(word) for word in ("passed", "failed", "skipped")]
    print("{} versions passed, {} failed, {} skipped (not installed)".format(*counts))
    return int("failed" in outcomes.values())


def _outcome(what: str, version: str) -> str:
    python = _interpreter(version)
    if python is None:
        return "skipped"
    environment = ROOT / ".venvs" / f"{what}-{version}"
    own = environment / "bin" / "python"
    if not own.exists():
        subprocess.run([python, "-m", "venv", environment], check=True)
    install = [own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, *requirements(lowest=what == "minimum")], check=True)
    subprocess.run([*install, "--no-deps", "--editable", ROOT], check=True)
    tests = [own, "-m", "pytest", "-q", "-r", "fE", "-n", os.environ.get("JOBS", "2"), *TESTS]
    # Deprecation warnings among old versions, and of them in newer Pythons, are not ours to fix.
    tests += ["-m", "not long", "-o", "filterwarnings=default"]
    done = subprocess.run(tests, cwd=ROOT, check=False)
    return "failed" if done.returncode else "passed"


def requirements(lowest: bool) -> list[str]:
    """What the package and these tests need, at the lower bounds or as pip chooses."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    optional = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(line for extra in EXTRAS for line in optional[extra])]
    wanted += [line for line in optional["test"] if re.split("[<>=]", line)[0] in TOOLS]
    return [re.sub(r">=([^,]+).*", r"==\1", line) for line in wanted] if lowest else wanted


def _interpreter(version: str) -> str | None:
    """One that runs: on PATH, or one of pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [shutil.which(f"python{version}")]
    found += map(str, sorted(pyenv.glob(f"{version}.*/bin/python")))
    for python in filter(None, found):
        if subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0:
            return python
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
