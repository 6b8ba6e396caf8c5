"""A disk that is full at any stage: one line, nothing half written, what was there stays."""

from __future__ import annotations

import io
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import h5py
import numpy as np
import pytest
import reconstructions
import tifffile
from matplotlib.figure import Figure
from processes import python

from ptypy_beamline import open_scan
from ptypy_beamline.cli import main
from ptypy_beamline.errors import FileError
from ptypy_beamline.output.figures import save_figure
from ptypy_beamline.output.files import complete_file, renamed_together
from ptypy_beamline.output.hdf5 import complete_hdf5
from ptypy_beamline.output.names import PICTURES
from ptypy_beamline.output.temporary import exclusive_folder, folder_lock, temporary_name
from ptypy_beamline.reconstruction.io.hdf5 import write_reconstruction
from ptypy_beamline.testing.package_writers import write_simulation
from ptypy_beamline.testing.simulate import simulate
from ptypy_beamline.testing.writers import WRITERS, Raw
from ptypy_beamline.writers.ptyd import write_ptyd

SIZES = (700, 8_000)
"""Bytes after which the disk is full; less than each command below writes."""

COMMANDS = {
    "standardize": "standardize RAW -o OUT/a.h5",
    "bitshuffle": "standardize RAW -o OUT/a.h5 --compression bitshuffle",
    "uncompressed": "standardize RAW -o OUT/a.h5 --compression none",
    "ptyd": "ptyd RAW -o OUT/a.ptyd",
    "ptyd in parts": "ptyd RAW -o OUT/a.ptyd --save link",
    "HDF5": "export FOUND --to h5 -o OUT/a.h5",
    "CXI": "export FOUND --to cxi -o OUT/a.cxi",
    "product": "export FOUND --to product -o OUT/a.h5",
    "NPZ": "export FOUND --to npz -o OUT/a.npz",
    "TIFF": "export FOUND --to tiff -o OUT/a",
    "plot": "plot FOUND -o OUT/a.png",
    "info": "info RAW --plot OUT/a.png",
    "PDF": "plot FOUND -o OUT/a.pdf",
    "comparison": "compare OBJECT PHANTOM --plot OUT/a.svg",
    "sidecar": "sidecar --frames FRAMES --csv LOG -o OUT/a.h5",
    "check": "check RAW --plot OUT/a.png",
    "reconstruct": "reconstruct RAW --engine DM --iterations 1 --no-check -o OUT/a",
    "preview": "preview RAW --iterations 1 -o OUT/a",
    "qc": "qc RAW -o OUT/a",
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    truth = simulate(64, (6, 6), 5, photons=1e5)
    raw = WRITERS["standard"](folder / "raw.h5", Raw.of(truth))
    found = write_reconstruction(reconstructions.exact(), folder / "found.h5")
    write_simulation(folder / "phantom", 96)
    grids = [np.load(folder / f"phantom/phantom/grid_{name}.npy") for name in ("delta", "beta")]
    np.save(folder / "object.npy", np.stack(grids, axis=-1))
    for number in range(400):
        tifffile.imwrite(folder / f"f_{number:03d}.tif", np.ones((4, 4), np.uint16))
    rows = [f"{number},{number**2}e-6,0" for number in range(400)]
    (folder / "log.csv").write_text("\n".join(["frame_index,posx_m,posy_m", *rows]))
    return {
        "RAW": str(raw),
        "FOUND": str(found),
        "OBJECT": str(folder / "object.npy"),
        "PHANTOM": str(folder / "phantom"),
        "FRAMES": str(folder / "f_*.tif"),
        "LOG": str(folder / "log.csv"),
    }


def on_a_disk_of(size: int, call: Callable[[], int]) -> tuple[int, str]:
    """Exit status (a signal's is negative) and what went to standard error, of a forked process."""
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        output, code = io.StringIO(), 99
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            with redirect_stderr(output), redirect_stdout(io.StringIO()):
                code = call()
        finally:
            os.write(writes, output.getvalue().encode())
            os._exit(code)
    os.close(writes)
    with open(reads) as pipe:
        text = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text


def files_in(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


SLOW = ("reconstruct", "preview", "qc", "check", "info", "plot", "PDF", "comparison")


def marks_of(name: str) -> list[pytest.MarkDecorator]:
    marks = [pytest.mark.long] if name in SLOW else []
    return [*marks, pytest.mark.ptypy] if name == "reconstruct" else marks


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks_of(name)) for name in COMMANDS])
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, inputs, name):
    words = COMMANDS[name].replace("OUT", str(tmp_path)).split()
    words = [inputs.get(word, word) for word in words]
    for size in SIZES:
        code, output = on_a_disk_of(size, lambda: main(words))
        lines = [line for line in output.splitlines() if line.startswith("error")]
        assert (code, len(lines)) == (1, 1), (size, code, output)
        assert "cannot be written" in lines[0]
        assert "room" in lines[0]
        assert os.listdir(tmp_path) == [], size
    assert main(words) == 0
    before = {name: (tmp_path / name).read_bytes() for name in files_in(tmp_path)}
    assert before
    code, _ = on_a_disk_of(SIZES[-1], lambda: main(words))
    assert code == 1
    assert {name: (tmp_path / name).read_bytes() for name in files_in(tmp_path)} == before


def of_groups(file: h5py.File) -> None:
    for number in range(200):
        group = file.create_group(f"group{number}")
        group["numbers"] = np.random.default_rng(number).random(50)
        group.attrs["text"] = "x" * 100


def of_chunks(file: h5py.File) -> None:
    """HDF5 keeps them until their dataset is closed, where h5py forgets what fails."""
    for number in range(12):
        values = np.random.default_rng(number).random((32, 32))
        file.create_dataset(f"x{number}", data=values, chunks=(8, 32), compression="gzip")


@pytest.mark.parametrize("fill", [of_groups, of_chunks])
def test_hdf5_may_be_closed_after_any_failed_write(tmp_path, fill):
    def write() -> int:
        try:
            with complete_hdf5(tmp_path / "a.h5") as file:
                fill(file)
        except OSError:
            return 2
        except Exception as error:
            return 0 if "cannot be written" in str(error) else 3
        return 4

    for size in range(0, 90_000, 3100):
        assert on_a_disk_of(size, write)[0] == 0, size
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("suffix", PICTURES)
def test_a_picture_on_a_full_disk(tmp_path, suffix):
    figure = Figure(figsize=(2, 2))
    figure.subplots().plot([1, 2])

    def write() -> int:
        try:
            save_figure(tmp_path / f"a{suffix}", figure)
        except FileError as error:
            return 0 if "cannot be written: file too large" in str(error) else 1
        return 2

    assert [on_a_disk_of(size, write)[0] for size in (0, 700, 1500)] == [0, 0, 0]
    assert files_in(tmp_path) == []


def test_files_take_their_names_together_or_not_at_all(tmp_path):
    def write(last: Callable[[], None]) -> None:
        with renamed_together():
            for name in ("a.h5", "b.h5"):
                with complete_hdf5(tmp_path / name) as file:
                    file["x"] = 1
                assert not (tmp_path / name).exists()
            last()

    def fail() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(fail)
    assert os.listdir(tmp_path) == []
    write(lambda: None)
    assert files_in(tmp_path) == ["a.h5", "b.h5"]
    with complete_file(tmp_path / "c.png"):
        pass
    assert (tmp_path / "c.png").exists()


def test_only_own_parts_are_removed(tmp_path, inputs):
    words = ["ptyd", inputs["RAW"], "-o", str(tmp_path / "a[1].ptyd"), "--save", "link"]
    assert main([*words, "--num-frames", "36", "--block", "6"]) == 0
    parts = [name for name in files_in(tmp_path) if ".part" in name]
    kept = ["a[1].ptyd.part1_backup.tar", "a[1].ptyd.part900", "a1.ptyd.part000"]
    for name in kept:
        (tmp_path / name).write_text("mine")
    with h5py.File(tmp_path / "a[1].ptyd.part901", "w") as file:
        file["x"] = 1
    assert main([*words, "--num-frames", "12", "--block", "6"]) == 0
    assert files_in(tmp_path) == sorted(["a[1].ptyd", *parts[:2], *kept, "a[1].ptyd.part901"])


def test_parts_that_another_writer_leaves_meanwhile_are_removed(tmp_path, inputs):
    path, others = tmp_path / "a.ptyd", []

    def meanwhile(_: int) -> None:
        words = ["ptyd", inputs["RAW"], "-o", str(path), "--save", "link", "--block", "4"]
        if not others:
            python("-m", "ptypy_beamline", *words)
            others.extend(files_in(tmp_path))

    plan = open_scan(inputs["RAW"]).plan()
    write_ptyd(plan, path, save="link", block=9, progress=meanwhile)
    assert len([name for name in others if name.startswith("a.ptyd.part")]) == 9
    assert files_in(tmp_path) == ["a.ptyd", *(f"a.ptyd.part{n:03d}" for n in range(4))]


def test_what_is_read_is_never_replaced(tmp_path, inputs, capsys):
    raw, other = inputs["RAW"], tmp_path / "in.ptyd"
    assert (
        main(["ptyd", raw, "-o", str(tmp_path / "b.ptyd"), "--save", "link", "--block", "9"]) == 0
    )
    (tmp_path / "b.ptyd").rename(other)
    assert main(["standardize", raw, "-o", str(tmp_path / "own.h5")]) == 0
    os.link(tmp_path / "own.h5", tmp_path / "twin.h5")
    before = {name: (tmp_path / name).read_bytes() for name in files_in(tmp_path)}
    for words in (
        f"ptyd {other} -o {tmp_path}/b.ptyd --save link",
        f"standardize {other} -o {tmp_path}/b.ptyd.part000",
        f"standardize {tmp_path}/own.h5 -o {tmp_path}/twin.h5",
        f"export {inputs['FOUND']} -o {inputs['FOUND']}",
    ):
        assert main(words.split()) == 1
        assert "is read by this command" in capsys.readouterr().err
    assert {name: (tmp_path / name).read_bytes() for name in files_in(tmp_path)} == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_leaves_nothing(tmp_path, inputs, number, code):
    words = ["ptyd", inputs["RAW"], "-o", str(tmp_path / "a.ptyd"), "--save", "link"]
    slow = (  # what a shell runs in the background ignores interrupts
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import sys, time; from ptypy_beamline.writers import ptyd\n"
        "write = ptyd._write_chunk\n"
        "def wait(*a):\n    write(*a); print('begun', flush=True); time.sleep(60)\n"
        "ptyd._write_chunk = wait\n"
        "from ptypy_beamline.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", slow, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    process.send_signal(number)
    _, output = process.communicate(timeout=60)
    assert process.returncode == code
    assert output.decode().splitlines()[-1].startswith("error: ")
    assert os.listdir(tmp_path) == []


def test_a_signal_while_the_package_is_loaded_is_one_line(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "ptypy_beamline", "formats"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    time.sleep(0.4)
    process.send_signal(signal.SIGTERM)
    _, output = process.communicate(timeout=60)
    assert "Traceback" not in output.decode()
    assert process.returncode in (143, -signal.SIGTERM)
    assert output in (b"", b"error: terminated\n")


@pytest.mark.ptypy
@pytest.mark.long
def test_files_saved_by_ptypy_are_complete_or_absent(tmp_path, inputs):
    data = {"name": "BeamlineScan", "file": inputs["RAW"], "num_frames": 9}
    tree = {
        "verbose_level": "ERROR",
        "io": {"autosave": {"interval": 1}},
        "scans": {"s": {"name": "BlockFull", "data": data}},
        "engines": {"e": {"name": "DM", "numiter": 2}},
    }
    (tmp_path / "tree.json").write_text(json.dumps(tree))
    words = ["run", str(tmp_path / "tree.json"), "-o", str(tmp_path / "out")]
    for size in (0, 5000):
        code, output = on_a_disk_of(size, lambda: main(words))
        assert code == 1, output
        assert output.count("\n") == 1
        assert ".ptyr: cannot be written: file too large" in output
        assert not (tmp_path / "out").exists()
    assert main(words) == 0
    saved = [name for name in files_in(tmp_path / "out") if name.endswith(".ptyr")]
    assert len(saved) >= 2
    assert (
        main(
            [
                "export",
                str(tmp_path / "out" / saved[-1]),
                "-o",
                str(tmp_path / "a.cxi"),
                "--to",
                "cxi",
            ]
        )
        == 0
    )


def ended() -> int:
    """The number of a process that is no more."""
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    return child


def test_leftovers_of_a_killed_writer_are_removed_by_the_next(tmp_path, inputs):
    own = [temporary_name(tmp_path / name) for name in ("gone.h5", "gone.png", "thumbs")]
    dead = [path.with_name(path.name.replace(f"-{os.getpid()}-", f"-{ended()}-")) for path in own]
    elsewhere = re.sub("-[0-9a-f]{8}-", "-00000000-", dead[0].name, count=1)
    kept = [own[0], tmp_path / elsewhere, tmp_path / ".gone.ptypy_beamline-x.h5"]
    for path in (*dead[:2], *kept):
        path.write_text("half")
    dead[2].mkdir()
    (dead[2] / "index.html").write_text("half")
    assert main(["standardize", inputs["RAW"], "-o", str(tmp_path / "a.h5")]) == 0
    assert sorted(tmp_path.iterdir()) == sorted([*kept, tmp_path / "a.h5"])


def test_a_killed_writer_leaves_what_was_there_and_a_name_that_tells(tmp_path):
    write = (
        "import os, sys\n"
        "from ptypy_beamline.output.files import renamed_together\n"
        "from ptypy_beamline.output.hdf5 import complete_hdf5\n"
        "with renamed_together(), complete_hdf5(sys.argv[1]) as file:\n"
        "    file['x'] = 2; file.flush(); os.kill(os.getpid(), 9)"
    )
    path = tmp_path / "a.h5"
    with complete_hdf5(path) as file:
        file["x"] = 1
    subprocess.run([sys.executable, "-c", write, path], check=False)
    (left,) = (name for name in files_in(tmp_path) if name != "a.h5")
    assert left.startswith(".a.ptypy_beamline-")
    with h5py.File(path) as file:
        assert file["x"][()] == 1
    with complete_file(tmp_path / "b.png"):
        pass
    assert files_in(tmp_path) == ["a.h5", "b.png"]


def test_two_writers_do_not_mix_their_files(tmp_path):
    """Each renames its files a moment apart; those of one writer end up together."""
    write = (
        "import os, sys, time; from ptypy_beamline.output import files\n"
        "rename = files._rename\n"
        "def slowly(*a):\n    rename(*a); time.sleep(0.02)\n"
        "files._rename = slowly\n"
        "for _ in range(4):\n"
        "    with files.renamed_together():\n"
        "        for k in range(5):\n"
        "            files.write_text(files.Path(sys.argv[1], f'{k}.txt'), sys.argv[2])\n"
        "        with files.complete_folder(files.Path(sys.argv[1], 'folder')) as folder:\n"
        "            (folder / 'x.txt').write_text(sys.argv[2])\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", write, tmp_path, who]) for who in "ab"]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert files_in(tmp_path) == [*(f"{k}.txt" for k in range(5)), "folder/x.txt"]
    assert len({(tmp_path / name).read_text() for name in files_in(tmp_path)}) == 1


def test_one_command_at_a_time_has_a_folder_of_results(tmp_path):
    folder = tmp_path / "out"
    hold = (
        "import sys; from pathlib import Path\n"
        "from ptypy_beamline.output.temporary import exclusive_folder\n"
        "with exclusive_folder(Path(sys.argv[1])):\n"
        "    print('has it', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"has it\n"
        with pytest.raises(FileError, match="out: another command is writing into this folder"):
            exclusive_folder(folder).__enter__()
        other.kill()
        other.wait()
    with exclusive_folder(folder), exclusive_folder(folder), folder_lock(folder, 0) as free:
        assert free
    with folder_lock(folder, 0) as free:
        assert free
    folder.rmdir()
    with exclusive_folder(folder):
        assert folder.is_dir()
    assert not folder.exists()
