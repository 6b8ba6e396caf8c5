"""Errors and warnings, each with the file, the problem and the remedy."""

from __future__ import annotations

import difflib
import signal
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class BeamlineError(Exception):
    """A problem that the user can fix.

    The message is one line: ``file: what is wrong; remedy``.

    Parameters
    ----------
    problem
        What was expected and what was found instead.
    remedy
        What to set or do.
    file
        The file concerned.

    Attributes
    ----------
    agreed
        True when every MPI rank raises this same error, so that none has to end the others.
    """

    agreed = False

    def __init__(self, problem: str, remedy: str = "", file: str | Path | None = None) -> None:
        self.problem, self.remedy, self.file = problem, remedy, file
        super().__init__(problem, remedy, file)

    def __str__(self) -> str:
        head = f"{self.file}: " if self.file is not None else ""
        tail = f"; {self.remedy}" if self.remedy else ""
        return f"{head}{self.problem}{tail}"

    def __reduce__(self) -> tuple[type, tuple[str, str, str | Path | None]]:
        return type(self), (self.problem, self.remedy, self.file)


INSTALL_PTYPY = "pip install git+https://github.com/ptycho/ptypy"


def in_short(error: BaseException, most: int = 200) -> str:
    """The message of an error of the system or of a library, as one line of limited length."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    quoted = text[:1] in ("'", '"') and text[:1] == text[-1:]  # as KeyError has it
    line = " ".join((text[1:-1] if quoted else text).split()) or type(error).__name__
    return line if len(line) <= most else f"{line[:most]} …"


def suggestion(name: str, known: Collection[str], cutoff: float = 0.6) -> str:
    """A remedy for an unknown name: the most similar known name, or all of them."""
    close = difflib.get_close_matches(name, known, 1, cutoff)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"


def shown(value: Any, most: int = 60) -> str:
    """A value as one would type it: NumPy's numbers and paths without their types."""
    if hasattr(value, "tolist"):  # of NumPy
        value = value.tolist()
    if isinstance(value, list | tuple):
        text = f"[{', '.join(map(shown, value))}]"
    else:
        text = repr(str(value) if isinstance(value, Path) else value)
    return text if len(text) <= most else f"{text[:most]} …"


def printable(text: str) -> str:
    """A text in one line, with control characters escaped."""
    line = " ".join(text.split())
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def in_picture(text: str) -> str:
    """A text for Matplotlib, which reads text between dollar signs as a formula."""
    return printable(text).replace("$", r"\$")


class FileError(BeamlineError):
    """A file is missing, truncated, of the wrong kind, or unreadable."""


class Stopped(BaseException):
    """SIGINT or SIGTERM was received: from a terminal, a batch system, or MPI ending its ranks.

    Attributes
    ----------
    number : int
        The signal; ``128 + number`` is the exit code.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__("terminated" if number == signal.SIGTERM else "interrupted")


class LostFileError(FileError):
    """A file is missing or damaged: its data are lost."""


class UnreadableError(FileError):
    """A file's data cannot be read: it is damaged, or still being written."""


class DamagedFileError(UnreadableError, LostFileError):
    """A file is damaged, or was never completely written."""


class UnfollowableError(FileError):
    """A file is being written in a way that nobody can follow."""


class UnknownFormatError(BeamlineError):
    """No format, or more than one, understands a file."""


class MissingDataError(BeamlineError):
    """A dataset or a physical quantity is neither in the file nor in the settings."""


class ScanError(BeamlineError):
    """Frames, positions and other arrays of a scan do not match."""


class SettingsError(BeamlineError, ValueError):
    """A parameter is unknown, has a wrong value, or contradicts another."""


class GeometryError(BeamlineError):
    """Energy, distance, pixel size or centre are impossible."""


class BeamlineWarning(UserWarning):
    """Something was assumed or left out; the message says what, and what to set."""


def warn(message: str, file: str | Path | None = None) -> None:
    """Warn of what was assumed or left out in ``file``."""
    head = f"{file}: " if file is not None else ""
    warnings.warn(f"{head}{message}", BeamlineWarning, stacklevel=3)


@contextmanager
def naming(file: str | Path | None) -> Iterator[None]:
    """Add ``file``, which is opened or read in the block, to errors that name no file.

    Errors that h5py raises for a damaged file, of a dozen types, become a :class:`FileError`.
    """
    try:
        yield
    except BeamlineError as error:
        if error.file is None and file and str(file) not in str(error):
            error.file = file
        raise
    except Exception as error:
        if not _is_of_h5py(error):
            raise
        raise UnreadableError(
            f"cannot be read ({in_short(error)})", "copy it again: it may be damaged", file
        ) from error


def _is_of_h5py(error: Exception) -> bool:
    """Whether it was raised in h5py, whose files are named in tracebacks, compiled or not."""
    raised = error.__traceback__
    while raised is not None and raised.tb_next is not None:
        raised = raised.tb_next
    return raised is not None and "h5py" in Path(raised.tb_frame.f_code.co_filename).parts


@contextmanager
def silenced_warnings() -> Iterator[None]:
    """No warnings of this package: in a trial, or where another call gives the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BeamlineWarning)
        yield
