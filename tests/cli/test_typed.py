"""Every command of the README, the documentation and the recipes, as it is typed.

Blocks of ``bash`` and ``python`` run in a folder where ``ptypy-beamline demo`` has been, page by
page; blocks of ``sh`` and ``py`` need what only a beamline or a cluster has, and are not run. What
is quoted below a block, as ``text``, must be in its output; ``...`` stands for what is left out.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import textwrap
from functools import reduce
from pathlib import Path

import pytest
from folders import ROOT
from processes import environment

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RECIPES = sorted((ROOT / "recipes").glob("*.py"))
BLOCK = re.compile(r"^( *)```(bash|text|python)\n(.*?)^\1```", re.S | re.M)

FIRST = "ptypy-beamline demo"

RUN = ("ptypy-beamline ", "python recipes/", "bash recipes/", "mpirun ")
"""What commands begin with; others set up the environment that the tests run in."""

NOT_RUN: dict[str, int] = {}
"""Pages with blocks of ``py``, and how many."""

FAILS = {
    "ptypy-beamline info demo/raw_scan.h5",
    "ptypy-beamline info demo/files/mine.h5",
    "ptypy-beamline preview demo/raw_scan.h5 --frames-per-pos 3 --roi 128 --unit positions=mm",
}
"""Commands whose error is what the page shows."""

pytestmark = [pytest.mark.long, pytest.mark.ptypy, pytest.mark.mpi, pytest.mark.timeout(2400)]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a user has it who has typed the first command."""
    folder = tmp_path_factory.mktemp("typed")
    (folder / "recipes").symlink_to(ROOT / "recipes")
    typed(FIRST, folder)
    return folder


def typed(command: str, folder: Path) -> str:
    """What a command prints, in a shell that has this interpreter first."""
    tools = folder / "bin"
    if not tools.exists():
        tools.mkdir()
        for name in ("python", "python3"):
            put(tools / name, f'exec {sys.executable} "$@"')
        put(tools / "ptypy-beamline", f'exec {sys.executable} -m ptypy_beamline "$@"')
    here = {**environment(), "PATH": f"{tools}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=here,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=900,
        check=False,
    )
    assert done.returncode == (1 if command in FAILS else 0), f"{command}\n{done.stdout[-2000:]}"
    return done.stdout


def put(path: Path, command: str) -> None:
    path.write_text(f"#!/bin/sh\n{command}\n")
    path.chmod(0o755)


def commands_of(block: str) -> list[str]:
    """Those of a block of ``bash`` that are run, without comments."""
    lines = re.sub(r"\\\n\s*", "", block).splitlines()
    return [line.split("  #")[0].strip() for line in lines if line.strip().startswith(RUN)]


def rows_of(page: str) -> list[str]:
    """Commands in the rows of a table."""
    return re.findall(r"^\| `(ptypy-beamline [^`]+)` \|", page, re.M)


def plain(text: str) -> str:
    """Without line ends, and with two digits of numbers: another processor rounds otherwise."""
    rounded = re.sub(r"\d+\.\d+", lambda number: f"{float(number[0]):.2g}", text)
    return re.sub(r"\s+", " ", rounded)


def quoted(text: str, out: str) -> list[str]:
    """Lines of a quotation that are not in an output."""
    parts = [part for line in text.splitlines() for part in re.split(r"\.\.\.|…", line)]
    return [part for part in parts if plain(part).strip() not in plain(out)]


def test_the_table_of_commands(demo, tmp_path):
    folder = tmp_path / "table"
    shutil.copytree(demo, folder, symlinks=True)
    commands = rows_of(PAGES[0].read_text())
    assert len(commands) > 15
    for command in commands:
        if command != FIRST:
            typed(command, folder)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page(page, demo, tmp_path):
    text = page.read_text()
    blocks = list(BLOCK.finditer(text))
    if not any(runs(*block.groups()[1:]) for block in blocks):
        pytest.skip("no commands")
    folder = tmp_path / "page"
    shutil.copytree(demo, folder, symlinks=True)
    out, end = "", 0
    for block in blocks:
        _, kind, content = block.groups()
        if kind == "text" and out and not text[end : block.start()].strip():
            assert not quoted(content, out), f"{page.name} quotes otherwise:\n{out}"
        elif runs(kind, content):
            out, end = output_of(kind, content, folder), block.end()


def output_of(kind: str, block: str, folder: Path) -> str:
    if kind == "python":
        (folder / "block.py").write_text(textwrap.dedent(block))
        return typed("python block.py", folder)
    return "".join(typed(one, folder) for one in commands_of(block) if one != FIRST)


def runs(kind: str, block: str) -> bool:
    """Whether something of a block is run."""
    return kind == "python" or (kind == "bash" and bool(commands_of(block)))


def test_which_python_blocks_are_not_run():
    counts = {page.name: len(re.findall(r"^ *```py\n", page.read_text(), re.M)) for page in PAGES}
    assert {name: count for name, count in counts.items() if count} == NOT_RUN


WITHOUT_GPU = {
    "mpirun -n 4 python": f"mpirun -n 2 {sys.executable}",
    "cupy_dm_ml.py": "cupy_dm_ml.py --arch serial --dm 2 --ml 1",
    "cupy_epie.py": "cupy_epie.py --arch serial --epie 10",
}
"""What stands for a machine with GPUs: PtyPy's serial engines, for a few iterations.

A ``mpirun`` may look for ``python`` elsewhere first, as the documentation says.
"""


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_the_commands_at_the_head_of_a_recipe(recipe, demo, tmp_path):
    head = ast.get_docstring(ast.parse(recipe.read_text())) or ""
    commands = commands_of("\n".join(line for line in head.splitlines() if line.startswith("    ")))
    assert commands, f"{recipe.name} says no command"
    folder = tmp_path / "recipe"
    shutil.copytree(demo, folder, symlinks=True)
    for command in commands:
        here = reduce(lambda line, gpu: line.replace(*gpu), WITHOUT_GPU.items(), command)
        if here != FIRST:
            typed(here, folder)
