"""Figures as picture files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import SettingsError
from .files import complete_file
from .names import CREATOR, PICTURES, refuse_foreign

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def check_picture(path: Path, ours: bool = False) -> None:
    """Check that a picture of this name can be written.

    Raises
    ------
    SettingsError
        Its suffix is not one of :data:`.names.PICTURES`.
    FileError
        As :func:`.files.complete_file`.
    """
    if path.suffix not in PICTURES:
        raise SettingsError(
            f"{path} is not a picture file", f"end its name in {', '.join(PICTURES)}"
        )
    if not ours:
        refuse_foreign(path)


def save_figure(path: Path, figure: Figure, dpi: float | None = None, ours: bool = False) -> Path:
    """Save a figure in the format of its suffix; it is drawn before anything is written.

    Raises
    ------
    SettingsError
        The name is not that of a picture, or the file is an input of this command.
    FileError
        As :func:`.files.complete_file`.
    """
    check_picture(path, ours)
    drawn = io.BytesIO()
    name, _ = PICTURES[path.suffix]
    figure.savefig(drawn, dpi=dpi or "figure", format=path.suffix[1:], metadata={name: CREATOR})
    with complete_file(path, ours) as temporary:
        temporary.write_bytes(drawn.getbuffer())
    return path
