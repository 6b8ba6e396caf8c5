"""PtyPy parameter trees from YAML or JSON, with the loaders of this package registered."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from .errors import INSTALL_PTYPY, BeamlineError, SettingsError, naming, shown, suggestion
from .files.trees import read_tree
from .output.files import complete_file
from .output.hdf5 import create_hdf5
from .output.temporary import missing_folders, remove_empty_folders
from .ptypy_parameters import PTYPY_OWN, checked

BACKENDS = ("cupy", "pycuda", "cuda", "serial")
"""What PtyPy's ``load_gpu_engines`` knows; any other word it ignores."""

RECONSTRUCTS = 5
"""The level at which PtyPy runs its engines."""


def run(
    tree: Mapping[str, Any] | str | Path,
    *,
    level: int = 5,
    backend: str | None = None,
    output: str | Path | None = None,
) -> Any:
    """Run PtyPy on a parameter tree.

    Parameters
    ----------
    tree
        A nested mapping, or the path of a YAML or JSON file.
    level
        How far: 1 structures, 2 data loaded, 4 engines ready, 5 run (as PtyPy's ``Ptycho``).
    backend
        ``'cupy'``, ``'pycuda'`` or ``'cuda'`` (both) to register GPU engines, ``'serial'`` their
        CPU versions.
    output
        PtyPy's ``io.home``: where reconstructions go.

    Returns
    -------
    ptypy.core.Ptycho

    Raises
    ------
    BeamlineError
        PtyPy is missing, or the tree is wrong, in one line.
    """
    with running(tree, level=level, backend=backend, output=output) as ptycho:
        return ptycho


@contextmanager
def running(
    tree: Mapping[str, Any] | str | Path,
    *,
    level: int,
    backend: str | None = None,
    output: str | Path | None = None,
) -> Iterator[Any]:
    """As :func:`run`, a ``Ptycho``; what it saves in the block is complete or absent."""
    file = tree if isinstance(tree, str | Path) else None
    plain = read_tree(tree) if isinstance(tree, str | Path) else dict(tree)
    ptypy = import_ptypy(asks_for_server(plain))
    from . import ptyscan

    if backend:
        load_engines(backend)
    pars = ptypy.utils.Param()
    with naming(file):
        _check_scans(plain.get("scans"), ptyscan)
        _check_engines(plain.get("engines"), level)
        if level >= RECONSTRUCTS:
            _check_supported(plain["scans"], plain["engines"])
        pars.update(plain, Convert=True)
        _check_parameters(pars, ptypy.defaults_tree["ptycho"])
    _quiet(pars, ptypy.utils.Param, output)
    home = Path(str(pars.io.get("home") or "."))
    with ptyscan.ending_all_ranks(), _without_empty_folders(home), complete_saves(ptypy):
        yield _ptycho(ptypy, pars, level)


def _ptycho(ptypy: Any, pars: Any, level: int) -> Any:
    try:
        return ptypy.core.Ptycho(pars, level=level)
    except RuntimeError as error:
        if "Parameter validation failed" not in str(error):
            raise
        raise SettingsError(" ".join(str(error).split()), "correct the tree") from error


@contextmanager
def _without_empty_folders(home: Path) -> Iterator[None]:
    """Remove the empty folders that PtyPy made in a new ``home`` before it failed."""
    made = missing_folders(home)
    try:
        yield
    except BaseException:
        if made:
            below = [Path(place) for place, _, _ in os.walk(home, topdown=False)]
            remove_empty_folders([*below, *made])
        raise


@contextmanager
def complete_saves(ptypy: Any) -> Iterator[None]:
    """The ``.ptyr`` files that PtyPy saves in the block are complete or absent, too."""
    write = ptypy.io.h5write

    def write_complete(name: str, *content: Any, **parts: Any) -> None:
        if "header" not in parts:  # prepared data, which is appended to
            write(name, *content, **parts)
            return
        with complete_file(name, ours=True) as temporary:
            write(str(temporary), *content, **parts)

    ptypy.io.h5write, ptypy.io.h5rw.h5py = write_complete, _SafeH5py()
    try:
        yield
    finally:
        ptypy.io.h5write, ptypy.io.h5rw.h5py = write, h5py


class _SafeH5py:
    """``h5py`` for PtyPy's writer: its new files survive a full disk."""

    def __getattr__(self, name: str) -> Any:
        return getattr(h5py, name)

    @staticmethod
    def File(name: str, mode: str = "r", **flags: Any) -> Any:  # noqa: N802
        """A new file is made by :func:`.output.hdf5.create_hdf5`."""
        if mode == "w":
            return create_hdf5(Path(name), signed=False, **flags)
        return h5py.File(name, mode, **flags)


def import_ptypy(server: bool = False) -> Any:
    """PtyPy, or an error that says how to get it.

    PtyPy reports missing ZeroMQ, which only its interaction ``server`` needs, on standard output.
    """
    log = logging.getLogger("ptypy")
    if not server:
        log.addFilter(_not_of_zeromq)
    try:
        import ptypy
        import ptypy.core
    except ImportError as error:
        raise BeamlineError(
            "PtyPy is not installed", f"{INSTALL_PTYPY}, or use ptypy-beamline preview"
        ) from error
    finally:
        log.removeFilter(_not_of_zeromq)
    return ptypy


def _not_of_zeromq(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("ZeroMQ not found")


def asks_for_server(tree: Mapping[str, Any]) -> bool:
    """Whether a tree switches PtyPy's interaction server on."""
    io = tree.get("io")
    asked = io.get("interaction", False) if isinstance(io, Mapping) else False
    return bool(asked.get("active", True) if isinstance(asked, Mapping) else asked)


def _check_scans(scans: Any, ptyscan: Any) -> None:
    """Check our loaders' parameters first: PtyPy's messages name no remedy."""
    from ptypy.experiment import PTYSCANS

    from .settings import Settings

    if not isinstance(scans, Mapping) or not scans:
        raise SettingsError("no scans", "give a tree with scans.NAME.data")
    for label, scan in scans.items():
        data = scan.get("data") if isinstance(scan, Mapping) else None
        if not isinstance(data, Mapping) or "name" not in data:
            raise SettingsError(
                f"scans.{label} has no data with a name", f"set scans.{label}.data.name to a loader"
            )
        _check_known(f"scans.{label}.data.name", data["name"], PTYSCANS, "loader")
        loader = getattr(ptyscan, str(data["name"]), None)
        model = scan.get("name", "Full")
        _check_known(f"scans.{label}.name", model, ptyscan.model_names(), "scan model")
        if loader is None:
            continue
        if model == "Bragg3dModel":
            raise SettingsError(f"scans.{label}.name: {ptyscan.NO_BRAGG}", ptyscan.OTHER_MODEL)
        own = {name: value for name, value in data.items() if name not in PTYPY_OWN}
        try:
            checked(data, Settings.of(own))
        except SettingsError as error:
            raise SettingsError(f"scans.{label}.data: {error.problem}", error.remedy) from error


def _check_known(where: str, name: Any, known: Collection[str], what: str) -> None:
    """Check that PtyPy knows this name, and suggest a similar one."""
    if name not in known:
        hint = suggestion(str(name), sorted(known), 0.7)
        raise SettingsError(f"{where}={shown(name)} is not a known {what}", hint)


def _check_engines(engines: Any, level: int) -> None:
    """Check that there are engines, and that PtyPy knows them."""
    from ptypy.engines import ENGINES

    if engines is not None and not isinstance(engines, Mapping):
        raise SettingsError("engines is not a tree", "give a tree with engines.NAME.name")
    if not engines and level >= RECONSTRUCTS:
        raise SettingsError(
            "no engines, so nothing is reconstructed",
            "give a tree with engines.NAME, or load only (-l 2)",
        )
    for label, engine in (engines or {}).items():
        if not isinstance(engine, Mapping) or "name" not in engine:
            raise SettingsError(
                f"engines.{label} has no name", f"set engines.{label}.name to an engine"
            )
        name = str(engine["name"])
        backend = next((word for word in BACKENDS if f"_{word}" in name), None)
        if backend is not None and name not in ENGINES:
            raise SettingsError(
                f"engines.{label}.name={name!r} is not loaded, or not an engine",
                f"load the {backend} engines (-b {backend})",
            )
        _check_known(f"engines.{label}.name", name, ENGINES, "engine")


def _check_supported(scans: Mapping[str, Any], engines: Mapping[str, Any]) -> None:
    """Check that engines support the scan models: PtyPy asks them after all has been loaded."""
    from ptypy.core import manager
    from ptypy.engines import ENGINES

    for label, scan in scans.items():
        name = scan.get("name", "Full")
        classes = getattr(manager, name).__mro__
        model = next(one for one in classes if one.__module__ == manager.__name__)
        for where, engine in engines.items():
            supported = ENGINES[engine["name"]].SUPPORTED_MODELS
            if model not in supported:
                raise SettingsError(
                    f"engines.{where}: {engine['name']} does not support the scan model {name} "
                    f"(scans.{label}.name)",
                    f"take one of {', '.join(one.__name__ for one in supported)}",
                )


def _check_parameters(pars: Any, known: Any) -> None:
    """Check names, types and limits as PtyPy does, whose messages have neither value nor remedy.

    Parameters
    ----------
    pars
        The tree.
    known
        PtyPy's descriptor of the tree.
    """
    from ptypy.utils.descriptor import CODES

    for where, codes in known.check(pars).items():
        for what, code in codes.items():
            if code in (CODES.INVALID, CODES.FAIL) and what != "symlink":
                raise _parameter_error(where, what, *_described(known, pars, where))


def _described(one: Any, value: Any, where: str) -> tuple[Any, Any]:
    """PtyPy's descriptor of the parameter at a dotted path, and its value."""
    for part in filter(None, where.split(".")):
        value, one = value[part], one.children.get(part) or one.children["*"]
        while one.is_symlink:
            links = {link.name: link for link in one.type}
            one = one.type[0] if len(links) == 1 else links[value["name"]]
    return one, value


def _parameter_error(where: str, what: str, one: Any, value: Any) -> SettingsError:
    """A value out of its limits (``lowlim``, ``uplim``), of a wrong ``type``, or an unknown name.

    Parameters
    ----------
    what
        The key in what PtyPy's ``EvalDescriptor.check`` returns: one of these, or the name.
    one, value
        Of :func:`_described`.
    """
    if isinstance(value, Mapping) and what in value and what not in one.children:
        name = f"{where}.{what}" if where else what
        return SettingsError(f"unknown parameter {name!r}", suggestion(what, one.children))
    if what == "type":
        wanted = f"{' or '.join(one.type)}, not {type(value).__name__}"
    else:
        wanted = f"a number {_between(*one.limits)}"
    meaning = f"it is {one.help}" if one.help else ""
    return SettingsError(f"{where}={shown(value)}: expected {wanted}", meaning)


def _between(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return f"up to {high}" if low is None else f"from {low} on"
    return f"from {low} to {high}"


def load_engines(backend: str) -> None:
    """Register PtyPy's engines of a ``backend``, as ``ptypy.load_gpu_engines`` does.

    PtyPy asks for its CUDA kernels in C++14, which cupy's headers for CUDA 13 refuse; C++17 does
    for these and for earlier ones.

    Raises
    ------
    BeamlineError
        No such backend, or what it needs is not installed.
    """
    if backend not in BACKENDS:
        raise SettingsError(f"backend {backend!r} is unknown", f"known: {', '.join(BACKENDS)}")
    ptypy = import_ptypy()
    try:
        ptypy.load_gpu_engines(backend)
    except ImportError as error:
        needed = "pycuda and cupy" if backend == "cuda" else backend
        raise BeamlineError(
            f"the {backend} engines cannot be loaded ({error})",
            f"install {needed} for this machine's CUDA",
        ) from error
    if backend in ("cupy", "cuda"):
        from ptypy.accelerate import cuda_cupy

        options = cuda_cupy.compile_options
        options[:] = [option.replace("-std=c++14", "-std=c++17") for option in options]


def _quiet(pars: Any, param: Any, output: str | Path | None) -> None:
    """No plot windows or servers in a batch run, unless the tree asks for them."""
    if "io" not in pars or pars.io is None:
        pars.io = param()
    for name in ("autoplot", "interaction"):
        if name not in pars.io:
            pars.io[name] = param(active=False)
    if output is not None:
        pars.io.home = str(Path(output))
