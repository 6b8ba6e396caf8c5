"""``ptypy-beamline sidecar``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import SettingsError
from .flags import file_option

if TYPE_CHECKING:
    from ..files.csvlog import CsvLog
    from ..frames.tiff import TiffFrames
    from ..writers.sidecar import LogColumns, Sidecar

EXAMPLE = "ptypy-beamline sidecar --frames 'raw/img_*.tif' --csv log.csv -o sidecar.h5"

Constant = Annotated[float | None, typer.Option(help="one value for all frames")]
Column = Annotated[str | None, typer.Option(metavar="NAME", help="name of this column in the log")]


def command(  # noqa: PLR0913
    frames: Annotated[
        list[str], typer.Option(metavar="GLOB", help="TIFF frames: quoted globs, or files.txt")
    ],
    csv: Annotated[Path, typer.Option("--csv", help="the log, with a header line")],
    output: Annotated[Path, file_option("-o", "--output", help="the sidecar to write")],
    col_index: Column = None,
    col_x: Column = None,
    col_y: Column = None,
    col_energy: Column = None,
    col_distance: Column = None,
    col_pixel: Column = None,
    col_exposure: Column = None,
    col_time: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="name of the column with time stamps, instead of an index"
        ),
    ] = None,
    frame_times: Annotated[
        Path | None,
        typer.Option(help="time stamps of the frames, CSV or .npy; default: TIFF's DateTime tag"),
    ] = None,
    unit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=UNIT",
            help="unit of positions, distance or pixel (m, mm, um, nm), of energy (eV, keV) or of "
            "exposure (s, ms, us, ns)",
        ),
    ] = None,
    first_index: Annotated[
        int | None,
        typer.Option(help="number of the first frame in the log; default: found from the numbers"),
    ] = None,
    energy_kev: Constant = None,
    distance_m: Constant = None,
    pixel_m: Constant = None,
) -> None:
    """Write the sidecar of TIFF frames from a CSV log."""
    from ..files.csvlog import read_log
    from ..files.filelist import expand
    from ..frames.tiff import TiffFrames
    from ..output.names import refuse_inputs
    from ..writers.sidecar import LogColumns, write_sidecar
    from .loading import pairs

    if frame_times is not None and col_time is None:
        raise SettingsError(
            "--frame-times needs the log's column of time stamps", "name it with --col-time"
        )
    given = {
        "index": col_index,
        "x": col_x,
        "y": col_y,
        "energy": col_energy,
        "distance": col_distance,
        "pixel": col_pixel,
        "exposure": col_exposure,
        "time": col_time,
    }
    units = {name.partition(".")[2]: value for name, value in pairs("units", unit).items()}
    names = LogColumns({k: v for k, v in given.items() if v}, units, first_index)
    files = expand(frames)
    refuse_inputs(output, (*files, csv))
    stack, log = TiffFrames(files), read_log(csv)
    constants = {
        "energy": energy_kev and energy_kev * 1e3,
        "distance": distance_m,
        "pixel": pixel_m,
    }
    sidecar = _matched(stack, log, names, col_time, frame_times)
    sidecar = sidecar.with_constants({k: v for k, v in constants.items() if v is not None})
    write_sidecar(sidecar, output, csv)
    typer.echo(f"{output}: positions of {len(sidecar.frame_index)} of {stack.shape[0]} frames")
    if sidecar.ignored:
        typer.echo(f"columns of {csv.name} that are not used: {', '.join(sidecar.ignored)}")


def _matched(
    stack: TiffFrames,
    log: CsvLog,
    names: LogColumns,
    col_time: str | None,
    frame_times: Path | None,
) -> Sidecar:
    """The log's rows of the frames, by time stamps where it has them, else by number."""
    from ..formats.acquisition_numbers import AcquisitionNumbers
    from ..formats.tiff import numbers_by_name
    from ..writers.log_matching import by_index, by_time, frame_times_s

    count = stack.shape[0]
    numbers = numbers_by_name(stack, in_order="") or AcquisitionNumbers.counting(count)
    if col_time is not None:
        return by_time(log, names, frame_times_s(stack, frame_times, col_time), numbers)
    single = count == len(stack.files)
    return by_index(log, names, numbers, [file.name for file in stack.files] if single else ())
