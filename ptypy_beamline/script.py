"""For plain PtyPy scripts: loading flags on their command line, and errors in one line."""

from __future__ import annotations

import argparse
import sys
from types import TracebackType
from typing import Any

from .errors import BeamlineError
from .parallel import print_and_end
from .settings import Settings, flag_names, other_names, parameters

FORMERLY = {
    "--roi": "--window",
    "--frames-per-pos": "--each",
    "--live": "--timeout",
    "--select-radius": "--radius",
}
"""Flag → its name in the recipes of earlier versions."""


def add_flags(parser: argparse.ArgumentParser, *flags: str) -> None:
    """Add flags of the command line to a parser, with their help.

    Parameters
    ----------
    parser
        The script's; :func:`loading_of` turns what it parses into loader parameters.
    flags
        As in ``ptypy-beamline info --help``: ``"--roi", "--roi-center"``.
    """
    known = {parameter.flag: parameter for parameter in parameters() if parameter.flag}
    for flag in flags:
        parameter = known[flag]
        how: dict[str, Any] = {"dest": parameter.name, "default": None}
        how |= (
            {"action": "store_true"} if parameter.kind == "bool" else {"metavar": parameter.metavar}
        )
        parser.add_argument(flag, help=parameter.help.replace("%", "%%"), **how)
        for other in (other_names(flag) | {FORMERLY.get(flag, flag)}) - {flag}:
            parser.add_argument(other, help=argparse.SUPPRESS, **how)


def loading_of(args: argparse.Namespace) -> dict[str, Any]:
    """The loader parameters that were given, for ``p.scans.NAME.data``.

    Raises
    ------
    SettingsError
        One line that names the parameter.
    """
    names = set(flag_names().values())
    given = {k: v for k, v in vars(args).items() if k in names and v is not None}
    return Settings.of(given).record()


def one_line_errors() -> None:
    """Let a :class:`BeamlineError` that ends the script be ``error: …``, without a traceback."""
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not isinstance(error, BeamlineError):
            before(kind, error, trace)
            return
        mpi = sys.modules.get("mpi4py.MPI")
        print_and_end(mpi.COMM_WORLD if mpi and mpi.COMM_WORLD.size > 1 else None, error)

    sys.excepthook = hook
