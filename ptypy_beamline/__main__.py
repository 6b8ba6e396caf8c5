"""``python -m ptypy_beamline`` is ``ptypy-beamline``."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType


def run() -> int:
    """The command line; a signal that comes while it is still being loaded ends it at once."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _leave)
    from .cli import main

    return main()


def _leave(number: int, _: FrameType | None) -> None:
    """Nothing has been written yet that would have to be removed."""
    os.write(2, b"error: terminated\n" if number == signal.SIGTERM else b"error: interrupted\n")
    os._exit(128 + number)


if __name__ == "__main__":
    sys.exit(run())
