"""PtyPy's prepared data, ``.ptyd``: in one file, appended, or a master with linked parts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from ..arrays import Bools, Floats, Ints
from ..errors import FileError, MissingDataError, ScanError, SettingsError
from ..files.links import present
from ..frames.joined import PtydFrames
from ..geometry import ELECTRON, ENERGY_RANGES_EV, PHOTON, PTYPY_KEV_M, electron_energy_eV
from ..scan import Scan
from ..settings import Settings
from .frames_and_positions import warn_of_lost_positions
from .hdf5_source import Found, Hdf5Source, Location, open_source, text
from .positions import split
from .ptyd_chunks import AGAIN, PtydChunk, bad_in_all, is_stored, read_chunks
from .stored_values import constant, numbers, si, stored_positions

META = {
    "energy": Location(("/meta/energy",), "keV"),
    "distance": Location(("/meta/distance",), "m"),
    "pixel": Location(("/meta/psize",), "m"),
    "center": Location(("/meta/center",)),
    "num_frames": Location(("/meta/num_frames",)),
}
"""Where the geometry of the prepared frames is, and its unit: ``ptypy.core.data``, METAKEYS."""

POSITIONS = ("/info/positions_scan", "/common/positions_scan", "/info/positions_theory")
"""Positions (N, 2) of the whole scan, for chunks that have none."""

HARDEST_EV = 2e6
"""Energy of photons of the wavelength of electrons of 1.5 MeV."""

COMMON_WEIGHT = ("/meta/weight2d", "/common/weight2d")
"""The weight of all frames, for chunks that have none: older versions of PtyPy write it."""

OVERRIDABLE = frozenset({"energy", "distance", "pixel", "center", "positions"})


@dataclass(frozen=True)
class PtydFormat:
    """The format; frames, masks and geometry are those that PtyPy was given."""

    name: str = "ptyd"
    title: str = "PtyPy's prepared data (.ptyd): /chunks and /meta, in one file or linked parts"
    family: str = "PTYD"
    refines: tuple[str, ...] = ()

    def understands(self, path: Path, file: h5py.File | None) -> bool:
        """Whether the file has PtyPy's groups."""
        return file is not None and all(
            isinstance(present(file, name), h5py.Group) for name in ("chunks", "meta")
        )

    def open(self, path: Path, settings: Settings) -> Scan:
        """The scan in the file; weights are read, frames are not."""
        with open_source(path, settings) as source:
            _refuse(settings)
            chunks = read_chunks(source)
            order = _order(chunks)
            expected = _expected(source, len(order))
            bad, own = bad_in_all(chunks, settings.growing)
            if not any(chunk.weights for chunk in chunks):
                bad = _common_bad(source, bad)
            weights = tuple(chunk.weights for chunk in chunks) if own else ()
            frames = PtydFrames(tuple(chunk.data for chunk in chunks), weights, order, bad)
            positions, in_pixels = _positions(source, chunks, order)
            warn_of_lost_positions(source, positions)
            energy_eV, radiation = _energy(source)
            _warn_of_near_field(source)
            return Scan(
                frames=frames,
                positions_m=np.full(positions.shape, np.nan) if in_pixels else positions,
                positions_px=positions if in_pixels else None,
                energy_eV=energy_eV,
                radiation=radiation,
                distance_m=_one(source, "distance"),
                pixel_m=_pair(source, "pixel"),
                bad=bad if bad.any() else None,
                center_px=_pair(source, "center"),
                positions_each=True,
                expected=expected,
                format=self.name,
                source=source.path,
                notes=tuple(source.notes),
            )


def _refuse(settings: Settings) -> None:
    """Refuse settings that do not apply to prepared data, rather than ignore them."""
    unknown = sorted(set(settings.paths.given) - OVERRIDABLE)
    if unknown:
        raise SettingsError(
            f"a .ptyd keeps its {unknown[0]} in the chunks or has none",
            f"leave paths.{unknown[0]} (--path {unknown[0]}=) out",
        )
    if "positions" in settings.units.given and "positions" not in settings.paths.given:
        raise SettingsError(
            "the positions of a .ptyd are metres",
            "leave units.positions (--unit positions=) out, or name others by paths.positions",
        )
    if settings.outer_index is not None:
        raise SettingsError("a .ptyd holds one scan", "leave outer_index (--outer-index) out")


def _order(chunks: tuple[PtydChunk, ...]) -> Ints:
    """(n,) frame → its index in the concatenated chunks, from the chunks' indices."""
    numbers = _indices(chunks)
    values, counts = np.unique(numbers, return_counts=True)
    if len(values) < len(numbers):
        raise ScanError(f"frame {values[counts > 1][0]} occurs more than once", AGAIN)
    return np.argsort(numbers)


def _indices(chunks: tuple[PtydChunk, ...]) -> Ints:
    """Scan numbers of the frames as the chunks list them."""
    known = [chunk.indices for chunk in chunks if chunk.indices is not None]
    if len(known) == len(chunks):
        return np.concatenate(known)
    return np.arange(sum(chunk.data.shape[0] for chunk in chunks))


def _expected(source: Hdf5Source, count: int) -> int | None:
    """Frames that the file announces, if it does; PtyPy waits forever for missing ones."""
    found = _meta(source, "num_frames")
    if found is None:
        return None
    expected = int(numbers(found).ravel()[0])
    if expected > count and not source.settings.growing:
        raise FileError(
            f"Expected the {expected} frames that meta/num_frames announces. Got {count}: the "
            "writer was stopped, or parts are missing",
            f"{AGAIN}, or copy all of it",
        )
    return expected


def _common_bad(source: Hdf5Source, bad: Bools) -> Bools:
    """Bad pixels of the one weight for all frames, if there is one."""
    for path in COMMON_WEIGHT:
        found = source.at(path)
        if found is not None and is_stored(found.dataset) and found.dataset.shape == bad.shape:
            return np.asarray(found.dataset[()] <= 0)
    return bad


def _positions(
    source: Hdf5Source, chunks: tuple[PtydChunk, ...], order: Ints
) -> tuple[Floats, bool]:
    """(n, 2) of each frame: the user's, else the chunks', else those of the whole scan.

    And whether they are pixels of the reconstruction.
    """
    given = source.find("positions") if "positions" in source.paths else None
    if given is not None:
        columns = text(given.dataset.attrs.get("columns"))
        (stored,), in_pixels = stored_positions(source, given)
        y, x = split(stored, columns, (len(order),))
        return np.stack([y.ravel(), x.ravel()], axis=1), in_pixels
    known = [chunk.positions_m for chunk in chunks if chunk.positions_m is not None]
    if len(known) == len(chunks):
        return np.asarray(np.concatenate(known)[order]), False
    frames = _indices(chunks)[order]
    for path in POSITIONS:
        found = source.at(path)
        if found is not None and found.dataset.ndim == 2 and len(found.dataset) > frames[-1]:
            source.notes.append(f"positions are those of {path}")
            return numbers(found)[frames], False
    raise MissingDataError(
        "the chunks have no positions", "set paths.positions (--path positions=other.h5::/path)"
    )


def _meta(source: Hdf5Source, name: str) -> Found | None:
    """A number or pair of ``/meta``.

    ``ptypy.io.h5rw`` marks a None by its ``type``; the word, or nothing, means the same.
    """
    found = source.find(name, META[name])
    if found is None or found.dataset.dtype.kind not in "iuf" or not found.dataset.size:
        return None
    return None if text(found.dataset.attrs.get("type")) == "None" else found


def _warn_of_near_field(source: Hdf5Source) -> None:
    """PtyPy takes the propagation of the scan's own parameters, not of the file."""
    found = source.at("/meta/propagation")
    word = "" if found is None else text(found.dataset[()])
    if word.startswith("near"):
        source.assume(
            "meta/propagation is nearfield: set propagation='nearfield' of the scan, PtyPy does "
            "not take it from the file",
            lasting=True,
        )


def _one(source: Hdf5Source, quantity: str) -> float | None:
    """Energy in eV or distance in m; None if not recorded or the user gives it."""
    found = None if quantity in source.settings.overridden else _meta(source, quantity)
    if found is None:
        return None
    return constant(si(source, found, quantity).ravel(), quantity, found.name, (None, 0))


def _energy(source: Hdf5Source) -> tuple[float | None, str | None]:
    """Energy in eV, and the radiation.

    PtyPy knows photons only: of electrons it keeps the energy of photons of their wavelength.
    """
    found = None if "energy" in source.settings.overridden else _meta(source, "energy")
    noted = source.at("/meta/radiation", "/info/radiation")  # by this package's own writer
    radiation = source.settings.radiation or (text(noted.dataset[()]) if noted else None)
    radiation = radiation if radiation in ENERGY_RANGES_EV else None
    if found is None or radiation == PHOTON or "energy" in source.units:
        return _one(source, "energy"), radiation
    stored_eV = float(numbers(found).ravel()[0]) * 1e3
    kinetic_eV = electron_energy_eV(PTYPY_KEV_M * 1e3 / stored_eV)
    if radiation == ELECTRON:
        return kinetic_eV, radiation
    if ENERGY_RANGES_EV[PHOTON][1] < stored_eV < HARDEST_EV:
        raise SettingsError(
            f"{found.name} = {stored_eV / 1e3:.6g} keV is not a photon energy: it is of electrons "
            f"of {kinetic_eV / 1e3:.4g} keV, or in eV",
            "set radiation='electron' (--radiation electron), or units.energy='eV' "
            "(--unit energy=eV)",
        )
    return _one(source, "energy"), radiation


def _pair(source: Hdf5Source, name: str) -> tuple[float, float] | None:
    """Pixel (y, x) in m or centre (row, column); one number counts for both axes."""
    found = None if name in source.settings.overridden else _meta(source, name)
    if found is None:
        return None
    values = (si(source, found, name) if name == "pixel" else numbers(found)).ravel()
    return float(values[0]), float(values[-1])


PTYD = PtydFormat()
