"""Inputs that are no files, no text or no tree: each ends in one line, at once."""

from __future__ import annotations

import io
import os
import socket
import struct
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from numpy.lib import format as npy

from ptypy_beamline import open_scan
from ptypy_beamline.cli import main
from ptypy_beamline.errors import BeamlineWarning, FileError
from ptypy_beamline.files.csvlog import read_log
from ptypy_beamline.files.trees import read_tree
from ptypy_beamline.formats import open_with
from ptypy_beamline.frames.images import frames_of, values_of
from ptypy_beamline.frames.npy import load_npy
from ptypy_beamline.output.hdf5 import complete_hdf5
from ptypy_beamline.scan import Window
from ptypy_beamline.settings import Settings
from ptypy_beamline.testing.package_writers import write_simulation
from ptypy_beamline.testing.simulate import simulate
from ptypy_beamline.testing.writers import WRITERS, Raw
from ptypy_beamline.tomography.angles import Angle, read_theta
from ptypy_beamline.tomography.folder import write_table

SECONDS = 10


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scan")
    return WRITERS["standard"](folder / "scan.h5", Raw.of(simulate(32, (4, 4), 3, photons=1e5)))


def error_of(capsys, *words: object) -> str:
    """The one line in which a command ends."""
    began = time.monotonic()
    assert main([str(word) for word in words]) == 1
    assert time.monotonic() - began < SECONDS
    lines = capsys.readouterr().err.splitlines()
    (line,) = [line for line in lines if not line.startswith("warning: ")]
    assert line.startswith("error: ")
    assert "--debug" not in line
    assert len(line) < 1000
    assert line.isprintable()
    return line


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
MERGES = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
TREES = {
    "aliases.yaml": (BOMB, "more than 100000 values"),
    "merges.yaml": (MERGES, "more than 100000 values"),
    "deep.yaml": ("a: " + "[" * 3000 + "]" * 3000, "nested more than 50 deep"),
    "deep.json": ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
    "itself.yaml": (
        "x: 1\nhot_sigma: &a [*a]\n",
        "line 2: an alias inside the value that it repeats",
    ),
    "twice.yaml": ("hot_sigma: 6\nhot_sigma: 7\n", "line 2: 'hot_sigma' appears twice"),
    "twice.json": ('{"rebin": 1, "rebin": 2}', "'rebin' appears twice"),
    "huge.yaml": ("hot_sigma: 6\n" + "# more\n" * 200_000, "at most 1 MiB"),
    "utf16.yaml": ("hot_sigma: 6\n".encode("utf-16"), "Expected a text in UTF-8. Got UTF-16"),
    "latin.yaml": ("a: 1\n# é\n".encode("latin-1"), "line 2: Expected a text in UTF-8. Got byte"),
    "nul.yaml": (b"a: 1\nb: \0\n", "line 2: Expected text. Got a NUL byte"),
    "binary.json": (bytes(range(256)), "Expected a text"),
    "list.yaml": ("- 1\n", "Expected a tree"),
    "wrapped.yaml": ("parameter_tree: 7\n", "Expected a tree"),
    "open.yaml": ("a: 1\nb: [1,\n", "line 3: while parsing a flow node expected the node content"),
    "mark.yaml": ("a: 1\nb: \x01\n", "line 2: special characters are not allowed: #x0001"),
    "tag.yaml": ("hot_sigma: !!int ''\n", "not readable as YAML"),
    "date.yaml": ("hot_sigma: !!timestamp x\n", "not readable as YAML"),
    "digits.yaml": ("hot_sigma: 1:" + "1:" * 5000 + "1\n", "more than 64 bits"),
}


@pytest.mark.parametrize("name", TREES)
def test_a_hostile_tree_is_one_line(tmp_path, capsys, scan, name):
    content, says = TREES[name]
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for words in (("info", scan, "--beamline", path), ("run", path)):
        line = error_of(capsys, *words)
        assert says in line
        assert str(path) in line


def test_a_tree_may_repeat_itself(tmp_path):
    path = tmp_path / "tree.yaml"
    path.write_text("\ufeffa: &a {x: 1e-3}\nb: *a\nc:\n  <<: *a\n  y: 2\n", encoding="utf-8")
    assert read_tree(path) == {"a": {"x": 1e-3}, "b": {"x": 1e-3}, "c": {"x": 1e-3, "y": 2}}


HEAD = "frame_index,posx_m,posy_m\n"
LOGS = {
    "short": (HEAD + "0,1e-6,1e-6\n1,2e-6\n", "line 3: Expected 3 cells, as in the header. Got 2"),
    "long": (HEAD + "0,1e-6,1e-6,7\n", "line 2: Expected 3 cells, as in the header. Got 4"),
    "decimal commas": (HEAD + "0,1e-6,1e-6\n1,1,5,2,5\n", "line 3: Expected 3 cells"),
    "mixed": (HEAD + "0,1e-6,1e-6\n1;2e-6;2e-6\n", "line 3: Expected 3 cells"),
    "word": (HEAD + "0,1e-6,far\n", "line 2: Expected a number in column 'posy_m'. Got 'far'"),
    "underscore": (HEAD + "0,1e-6,1_0\n", "line 2: Expected a number in column 'posy_m'"),
    "infinite": (HEAD + "0,1e-6,inf\n", "line 2: Expected a finite number"),
    "column twice": ("frame_index,posx_m,posx_m,posy_m\n0,1,2,3\n", "Expected one column 'posx_m'"),
    "empty": ("", "Expected the column names in the first line"),
    "header": (HEAD, "has no row below its header"),
    "utf16": ((HEAD + "0,1,1\n").encode("utf-16"), "Got UTF-16"),
    "latin": ("posz_µm\n1\n".encode("latin-1"), "line 1: Expected a text in UTF-8. Got byte 0xb5"),
    "nul": (HEAD.encode() + b"0,1e-6,\0\n", "line 2: Expected text. Got a NUL byte"),
}


@pytest.mark.parametrize("name", LOGS)
def test_a_hostile_log_is_one_line(tmp_path, capsys, name):
    content, says = LOGS[name]
    tifffile.imwrite(tmp_path / "i_0.tif", np.ones((8, 8), np.uint16))
    path = tmp_path / "log.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    line = error_of(
        capsys,
        "sidecar",
        "--frames",
        tmp_path / "*.tif",
        "--csv",
        path,
        "-o",
        tmp_path / "sidecar.h5",
    )
    assert says in line
    assert str(path) in line


def test_a_log_may_have_empty_cells_at_its_end(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(b"\xef\xbb\xbf" + b"x,y\n1,2,\n\n3,4,,\n")
    assert read_log(path).numbers("y", "").tolist() == [2, 4]


def test_a_line_of_angles_is_named(tmp_path):
    path = tmp_path / "theta.csv"
    path.write_text("name,theta_deg\na.h5,1\nb.h5,1,5\n")
    with pytest.raises(FileError, match=r"theta.csv: line 3: Expected name,theta_deg"):
        read_theta(path)


def npy_file(header: str, data: bytes = b"", version: int = 1) -> bytes:
    line = header.encode().ljust(53) + b"\n"
    return (
        b"\x93NUMPY"
        + bytes([version, 0])
        + struct.pack("<H" if version == 1 else "<I", len(line))
        + line
        + data
    )


def header(descr: str = "<f4", shape: object = (8, 8), fortran: object = False) -> str:
    return repr({"descr": descr, "fortran_order": fortran, "shape": shape})


DATA = bytes(256)
ARRAYS = {
    "empty": b"",
    "text": b"1 2 3\n",
    "magic": b"\x93NUMPY",
    "version": npy_file(header(), DATA, 9),
    "quotes": npy_file('"""'),
    "open": npy_file("{'descr': '<f4', 'shape': (8"),
    "deep": npy_file("(" * 9000 + ")" * 9000),
    "digits": npy_file("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 5000 + ",)}"),
    "negative": npy_file(header(shape=(-8, -8)), DATA),
    "absurd": npy_file(header(shape=(10**6, 10**6, 10**6)), DATA),
    "more than 64 bits": npy_file(header(shape=(10**30, 1)), DATA),
    "booleans": npy_file(header(shape=(True, True)), DATA),
    "order": npy_file(header(fortran="x"), DATA),
    "cut": npy_file(header(), DATA[:100]),
    "objects": npy_file(header("|O"), DATA),
    "words": npy_file(header("<U1"), DATA),
    "nothing": npy_file(header("|V0"), DATA),
    "dates": npy_file(header("<M8[s]", (4, 8)), DATA),
    "pickle": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
    "zip": b"PK\x03\x04" + DATA,
}


@pytest.mark.parametrize("name", ARRAYS)
def test_a_damaged_npy_is_one_line(tmp_path, capsys, scan, name):
    path = tmp_path / "a.npy"
    path.write_bytes(ARRAYS[name])
    assert str(path) in error_of(
        capsys, "standardize", scan, "-o", tmp_path / "o.h5", "--dark", path
    )
    for read in (load_npy, lambda path: frames_of(path, "dark"), lambda p: values_of(p, "monitor")):
        with pytest.raises(FileError, match=r"a\.npy"):
            read(path)


@pytest.mark.parametrize("name", ["quotes", "deep", "digits", "booleans", "absurd", "cut"])
def test_a_damaged_member_is_one_line(tmp_path, name):
    path = tmp_path / "a.npz"
    np.savez(path, xcoords=np.arange(4.0), ycoords=np.arange(4.0))
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("diffraction.npy", ARRAYS[name])
    with pytest.raises(FileError, match=r"a\.npz") as caught:
        open_scan(path)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("kind", ["<u2", ">u2", "fortran", "v2", "v3", "image", "map"])
def test_npy_frames_are_read_as_numpy_reads_them(tmp_path, kind):
    path = tmp_path / "a.npy"
    shape = {"image": (6, 8), "map": (2, 2, 6, 8)}.get(kind, (4, 6, 8))
    stack = np.arange(np.prod(shape)).reshape(shape).astype(kind if kind[1:] == "u2" else "<f8")
    stack = np.asfortranarray(stack) if kind == "fortran" else stack
    version = (int(kind[1]), 0) if kind in ("v2", "v3") else None
    with path.open("wb") as file:
        npy.write_array(file, stack, version)
    frames, wanted = frames_of(path, "dark"), np.load(path).reshape(-1, 6, 8)
    assert frames.shape == wanted.shape
    which = [0] if kind == "image" else [1, 2, -1, 0]
    for window in (Window.full((6, 8)), Window(1, 2, 3, 4), Window(2, 0, 4, 8)):
        read = frames.read(which, window)
        assert read.dtype.isnative
        np.testing.assert_array_equal(read, wanted[which][:, window.slices[0], window.slices[1]])
    np.testing.assert_array_equal(load_npy(path), np.load(path))


def test_an_npy_that_is_cut_while_it_is_used_is_an_error(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.ones((4, 256, 256)))
    frames = frames_of(path, "dark")
    os.truncate(path, 300_000)
    with pytest.raises(FileError, match="has become shorter"):
        frames.read([3], Window.full((256, 256)))


KINDS = ("pipe", "socket", "device", "folder", "dangling", "loop", "long", "under a file")


def made(folder, kind: str) -> str:
    """A name that leads to no ordinary file."""
    path = folder / "a.h5"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        short = os.path.relpath(path)  # the system takes a hundred characters
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(short if len(short) < 100 else pytest.skip("the folder's name is too long"))
    elif kind == "folder":
        path.mkdir()
    elif kind in ("dangling", "loop"):
        path.symlink_to("nowhere" if kind == "dangling" else path.name)
    others = {"device": "/dev/zero", "long": "x" * 300, "under a file": f"{__file__}/a.h5"}
    return others.get(kind, str(path))


@pytest.mark.parametrize("kind", KINDS)
def test_folders_and_pipes_are_a_one_line_error(tmp_path, capsys, scan, kind):
    name, out = made(tmp_path, kind), ("-o", tmp_path / "o.h5")
    for words in (
        ("info", name),
        ("info", name, "--format", "tiff"),
        ("plot", name),
        ("export", name, *out),
        ("product", name, *out),
        ("run", name),
        ("standardize", scan, *out, "--dark", f"{name}::/x"),
        ("standardize", scan, *out, "--reject", name),
        ("info", scan, "--path", f"x={name}::/x"),
        ("sidecar", "--frames", scan, "--csv", name, *out),
    ):
        error_of(capsys, *words)


def test_folders_and_pipes_are_no_frames_of_a_list(tmp_path, capsys):
    for line in (b"i_\0.tif", b"/dev/zero", b"x" * 300, b"i_\xe9.tif"):
        (tmp_path / "files.txt").write_bytes(line + b"\n")
        error_of(capsys, "info", tmp_path / "files.txt")


def test_unknown_compression_and_encryption_are_one_line(tmp_path):
    buffer = io.BytesIO()
    np.savez(buffer, diffraction=np.ones((4, 8, 8)), xcoords=np.arange(4.0), ycoords=np.arange(4.0))
    for place, value in ((8, 99), (6, 1), (8, 12)):
        data = bytearray(buffer.getvalue())
        for sign, more in ((b"PK\x03\x04", 0), (b"PK\x01\x02", 2)):
            at = -1
            while (at := data.find(sign, at + 1)) >= 0:
                data[at + place + more] = value
        (tmp_path / "a.npz").write_bytes(data)
        with pytest.raises(FileError, match=r"a\.npz"):
            open_scan(tmp_path / "a.npz")


@pytest.mark.parametrize("factor", [1e300, 1e-320])
def test_positions_beyond_any_stage_are_one_line(tmp_path, capsys, scan, factor):
    path = tmp_path / "far.h5"
    path.write_bytes(scan.read_bytes())
    with h5py.File(path, "r+") as file:
        for name in ("pos", "posx_m", "posy_m"):
            file["entry"][name][...] = (
                np.arange(16.0).reshape(-1, 1)[:, 0:1] * factor
                if (name == "pos")
                else np.arange(16.0) * factor
            )
    for command in ("info", "qc"):
        more = ("--out", tmp_path / "qc") if command == "qc" else ()
        assert "positions on a stage" in error_of(capsys, command, path, *more)


QUANTITIES = ("energy_eV", "det_dist_m", "pixel_m")


@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("value", [np.inf, np.nan, 0.0, -1.0, 1e300, 1e-300])
def test_a_quantity_that_cannot_be(tmp_path, capsys, scan, quantity, value):
    path = tmp_path / "odd.h5"
    path.write_bytes(scan.read_bytes())
    with h5py.File(path, "r+") as file:
        file["entry"][quantity][...] = value
    message = error_of(capsys, "standardize", path, "-o", tmp_path / "out.h5")
    known = f"/entry/{quantity} holds no finite " if not np.isfinite(value) else "is impossible"
    assert str(path) in message
    assert known in message
    assert "--unit" in message or "--path" in message


@pytest.mark.parametrize("name", ["delta", "beta"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_phantom_without_numbers(tmp_path, capsys, name, value):
    write_simulation(tmp_path, 96)
    path = tmp_path / f"phantom/grid_{name}.npy"
    grid = np.load(path)
    grid.flat[5] = value
    np.save(path, grid)
    wanted = f"grid_{name}.npy: 1 of {grid.size} numbers are NaN or infinite"
    np.save(tmp_path / "flat.npy", np.ones((96, 96), complex))
    for words in (
        ("standardize", tmp_path, "-o", tmp_path / "a.h5"),
        ("compare", tmp_path / "flat.npy", tmp_path),
    ):
        assert wanted in error_of(capsys, *words)


def test_a_reconstruction_that_diverged_is_not_compared(tmp_path, capsys):
    write_simulation(tmp_path, 96)
    np.save(tmp_path / "a.npy", np.full((96, 96), np.nan + 0j))
    message = error_of(capsys, "compare", tmp_path / "a.npy", tmp_path)
    assert "a.npy: 9216 of 9216 numbers are NaN or infinite" in message


@pytest.mark.parametrize(
    "words",
    [("missing.h5",), ("text.h5",), ("SCAN", "--dark", "missing.npy"), ("text.h5", "--json")],
)
def test_check_prints_read_errors_on_standard_error(tmp_path, monkeypatch, capsys, scan, words):
    monkeypatch.chdir(tmp_path)
    Path("text.h5").write_text("no HDF5")
    words = [str(scan) if word == "SCAN" else word for word in words]
    assert main(["check", *words]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1


OUTPUTS = [
    "standardize SCAN -o OUT.h5",
    "ptyd SCAN -o OUT.ptyd",
    "info SCAN --plot OUT.png",
    "check SCAN --plot OUT.png",
    "preview SCAN -o OUT",
    "qc SCAN --out OUT",
    "qc SCAN --emit-ptypy-json OUT.json",
    "export SCAN --to cxi -o OUT.cxi",
    "export SCAN --to tiff -o OUT",
    "product SCAN -o OUT.h5",
    "plot SCAN -o OUT.png",
    "compare SCAN . --plot OUT.png",
    "sidecar --frames f.tif --csv f.csv -o OUT.h5",
    "demo -o OUT",
    "tomo SCAN -o OUT",
    "run t.yaml -o OUT",
]
"""Every flag that names what is written; what is read is not looked at before."""


@pytest.mark.parametrize("command", OUTPUTS)
def test_an_output_that_cannot_be_is_refused_before_all_else(
    tmp_path, monkeypatch, capsys, scan, command
):
    """At once, in one line, and nothing is left behind."""
    monkeypatch.chdir(tmp_path)
    flag, name = command.split()[-2:]
    os.mkfifo("pipe")
    Path("link").symlink_to("nothing")
    Path("folder").mkdir()
    Path("file").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    is_folder = "." not in name
    others = {"file": "Got a file"} if is_folder else {"folder": "Got a folder", "new/": "Got a f"}
    cases = {
        "": f"{flag} is empty",
        "pipe": "Got a pipe",
        "link": "links to nothing",
        "/dev/null": "Got a device",
        "n" * 300: "File name too long",
        "file/x": "not a folder",
    }
    for given, words in {**cases, **others}.items():
        start = time.monotonic()
        message = error_of(capsys, *command.replace("SCAN", str(scan)).split()[:-1], given)
        assert words in message
        assert time.monotonic() - start < SECONDS
        assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("demo", "parameters.json"),
        ("demo", "summary.json"),
        ("demo", "reconstruction.png"),
        ("tomo SCAN --theta 0", "alignment.png"),
        ("tomo SCAN --theta 0", "reconstructed_3d.h5"),
        ("preview SCAN", "reconstruction.png"),
        ("plot SCAN", "a.png"),
        ("info SCAN", "a.png"),
        ("check SCAN", "a.png"),
    ],
)
def test_files_of_other_programs_are_refused_at_once(tmp_path, capsys, scan, command, name):
    (tmp_path / name).write_text("mine")
    words = command.replace("SCAN", str(scan)).split()
    flag = "--plot" if words[0] in ("info", "check") else "-o"
    message = error_of(capsys, *words, flag, tmp_path / name if name == "a.png" else tmp_path)
    assert f"{tmp_path / name}: exists and was not written by ptypy_beamline" in message
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_a_table_of_angles_of_somebody_else_is_not_replaced(tmp_path):
    table, angle = tmp_path / "theta.csv", Angle(0, 1.5, tmp_path / "a.h5")
    for _ in range(2):
        write_table(tmp_path, [angle])
    assert table.read_text() == "name,theta_deg\nangle_000,1.5\n"
    with pytest.raises(FileError, match="was not written by"):
        write_table(tmp_path, [replace(angle, theta_deg=2.5)])
    finished = tmp_path / "angle_000" / "reconstruction.h5"
    with complete_hdf5(finished):
        pass
    write_table(tmp_path, [replace(angle, theta_deg=2.5)])
    assert table.read_text() == "name,theta_deg\nangle_000,2.5\n"


NAMES = (b"-a$_^{b\\q z#%?.h5", "µ-日本.h5".encode(), b"r\xff\xe9 \x1b[31m\nq\"<i>&'.h5")


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:Glyph")  # Matplotlib draws a box in its place
@pytest.mark.parametrize("raw", NAMES)
def test_any_name_is_a_name(tmp_path, monkeypatch, capsys, scan, raw):
    monkeypatch.chdir(tmp_path)
    name = os.fsdecode(raw)
    with open(name, "wb") as file:
        file.write(scan.read_bytes())
    for words in (
        ("qc", "--out", f"q{name}"),
        ("standardize", "-o", f"s{name}"),
        ("standardize", "-o", f"t{name}", "--reject", f"q{name}/qc_summary.csv"),
        ("ptyd", "-o", f"p{name}.ptyd"),
        ("info", "--plot", "plot.png"),
        ("preview", "-o", f"v{name}", "--iterations", "2"),
    ):
        assert main([*words, "--", name]) == 0, capsys.readouterr().err
    made = f"v{name}/reconstruction.h5"
    for words in (
        ("info", f"s{name}"),
        ("info", f"p{name}.ptyd"),
        ("plot", made, "-o", "r.png"),
        ("export", made, "-o", "x.h5", "--to", "product"),
        ("export", made, "-o", "c.h5", "--to", "cxi"),
    ):
        assert main(list(words)) == 0, capsys.readouterr().err


WRITE = """
import sys, h5py
file = h5py.File(sys.argv[1], "r+", libver="latest" if sys.argv[2] == "swmr" else None)
file.swmr_mode = sys.argv[2] == "swmr"
print("open", flush=True)
sys.stdin.readline()
file.close()
"""
READ = """
import sys, warnings
from ptypy_beamline import open_scan
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    scan = open_scan(sys.argv[1])
print(scan.frames.ready().complete, any("open for writing" in str(one.message) for one in caught))
"""


def for_swmr(scan: Path, path: Path) -> Path:
    """A copy such as SWMR asks for: in chunks, of the newest kind."""
    with h5py.File(scan) as source, h5py.File(path, "w", libver="latest") as file:
        for name in source:
            source.copy(name, file)
        frames = source["entry/data"][()]
        del file["entry/data"]
        file["entry"].create_dataset(
            "data", data=frames, maxshape=(None, *frames.shape[1:]), chunks=(1, *frames.shape[1:])
        )
    return path


@pytest.mark.long
@pytest.mark.parametrize("locking", [None, "FALSE", "BEST_EFFORT"])
def test_open_writers_are_detected_where_possible(tmp_path, scan, locking):
    path = for_swmr(scan, tmp_path / "scan.h5")
    environment = {k: v for k, v in os.environ.items() if k != "HDF5_USE_FILE_LOCKING"}
    environment |= {"HDF5_USE_FILE_LOCKING": locking} if locking else {}

    def state() -> str:
        return subprocess.run(
            [sys.executable, "-c", READ, path],
            env=environment,
            text=True,
            capture_output=True,
            check=True,
        ).stdout.strip()

    assert state() == "True False"
    with subprocess.Popen(
        [sys.executable, "-c", WRITE, path, "swmr"],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "open\n"
        assert state() == "False False"
        writer.communicate("\n")
    assert state() == "True False"


def test_a_file_that_is_being_written_is_warned_of(tmp_path, scan):
    path = for_swmr(scan, tmp_path / "scan.h5")
    killed = "import sys, os, h5py; f = h5py.File(sys.argv[1], 'r+', libver='latest'); "
    killed += "f.swmr_mode = True; os._exit(0)"
    subprocess.run([sys.executable, "-c", killed, path], check=True)
    with pytest.warns(BeamlineWarning, match="is being written, or its writer died: only what is"):
        open_with(Settings.of({"file": str(path)}))
