"""``ptypy-beamline sidecar``: from a beamline's log to what opens with its TIFF frames."""

from __future__ import annotations

import shutil

import h5py
import numpy as np
import pytest
import tifffile
from numpy.testing import assert_allclose, assert_array_equal

from ptypy_beamline import BeamlineWarning, open_scan
from ptypy_beamline.cli import main
from ptypy_beamline.files.csvlog import read_log, seconds

N = 12
INDEX = np.arange(N)
X, Y = (INDEX % 4) * 1.1e-6, (INDEX // 4) * 0.9e-6
HEADER = "frame_index,posx_m,posy_m,energy_eV,det_dist_m,pixel_m,exposure_s"
ROWS = [f"{i},{X[i]:.17g},{Y[i]:.17g},7112.0,1.5,7.5e-05,0.01" for i in INDEX]


@pytest.fixture
def folder(tmp_path):
    frames = np.arange(N * 80, dtype=np.uint16).reshape(N, 10, 8)
    for number, frame in enumerate(frames):
        stamp = f"2024:05:31 12:00:{2 * number:02d}"
        tifffile.imwrite(
            tmp_path / f"f_{number}.tif", frame, datetime=stamp, photometric="minisblack"
        )
    return tmp_path


@pytest.fixture
def make(folder, capsys):
    """Run the command on a log; exit code, and warnings and errors."""

    def run(lines, *words):
        text = lines if isinstance(lines, str) else "\n".join(lines) + "\n"
        (folder / "log.csv").write_text(text, encoding="utf-8")
        code = main(
            [
                "sidecar",
                "--frames",
                str(folder / "f_*.tif"),
                "--csv",
                str(folder / "log.csv"),
                "-o",
                str(folder / "sidecar.h5"),
                *map(str, words),
            ]
        )
        return code, capsys.readouterr().err

    return run


def opened(folder):
    return open_scan(str(folder / "f_*.tif"))


def index_of(folder):
    with h5py.File(folder / "sidecar.h5") as file:
        return file["entry/frame_index"][()].tolist()


def test_the_default_names(folder, make):
    assert make([HEADER, *ROWS]) == (0, "")
    scan = opened(folder)
    assert_allclose(scan.positions_m, np.stack([Y, X], 1), atol=1e-18)
    assert (scan.energy_eV, scan.distance_m, scan.pixel_m) == (7112.0, 1.5, (7.5e-5, 7.5e-5))
    assert scan.exposure_s == 0.01
    assert scan.plan(center=(5, 4)).geometry.energy_eV == 7112.0


FORMATS = ("%.6f", "%.18e", "%.9g", "repr")


def log_of(path, form, ending="\n"):
    """A log as ``numpy.savetxt``, ``csv`` or pandas (the shortest that is exact) write it."""
    values = np.random.default_rng(3).uniform(-50, 50, (40, 2)) * (1e-7 if "e" in form else 1)
    written = [[repr(float(v)) if form == "repr" else form % v for v in row] for row in values]
    path.write_bytes(ending.join(["x,y", *map(",".join, written)]).encode())
    return path


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("form", FORMATS)
def test_a_log_without_a_final_line_end_is_no_news(tmp_path, form, ending):
    path = log_of(tmp_path / "a.csv", form, ending)
    assert len(read_log(path).rows) == 40


def test_a_list_of_round_numbers_is_not_odd(tmp_path):
    for last in ("0.5", "1", "1e-05", ""):
        rows = [*(f"{i},{i / 4}" for i in range(9)), f"1,{last}"]
        (tmp_path / "a.csv").write_text("\n".join(["x,y", *rows]))
        read_log(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("form", "cut"), [("%.6f", 1), ("%.6f", 4), ("%.18e", 1), ("%.18e", 6), ("repr", 9)]
)
def test_a_log_that_was_cut_in_its_last_number_is_warned_of(tmp_path, form, cut):
    path = log_of(tmp_path / "a.csv", form)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    with pytest.warns(BeamlineWarning, match=r"a\.csv: line 41: the file ends without a line end"):
        read_log(path)
    path.write_bytes(whole[:-cut] + b"\n")
    read_log(path)


def test_rows_in_any_order(folder, make):
    assert make([HEADER, *np.random.default_rng(1).permutation(ROWS)]) == (0, "")
    assert_allclose(opened(folder).positions_m, np.stack([Y, X], 1), atol=1e-18)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_byte_order_mark_blank_lines_and_spaces(folder, make, separator):
    lines = [HEADER.replace(",", f" {separator} "), "", *(r.replace(",", separator) for r in ROWS)]
    assert make("\ufeff\n" + "\r\n\r\n".join(lines)) == (0, "")
    assert_allclose(opened(folder).positions_m, np.stack([Y, X], 1), atol=1e-18)


def test_other_names_and_units(folder, make):
    lines = ["n,E,M1,M2_nm,D,p,t_ms"]
    lines += [f"{i + 1},7.112,{X[i] * 1e6},{Y[i] * 1e9},1500,75,10" for i in INDEX]
    words = """
        --col-index n --col-x M1 --col-y M2_nm --col-energy E --col-distance D --col-pixel p
        --col-exposure t_ms --unit positions=um --unit energy=keV --unit distance=mm
        --unit pixel=um --first-index 1
    """.split()
    code, message = make(lines, *words)
    assert code == 0
    assert message == ""
    scan = opened(folder)
    # A unit that is given counts before the one in a name.
    assert_allclose(scan.positions_m, np.stack([Y * 1e3, X], 1), atol=1e-16)
    assert_allclose([scan.energy_eV, scan.distance_m, scan.exposure_s], [7112, 1.5, 0.01])
    words = words[: words.index("positions=um") - 1] + words[words.index("positions=um") + 1 :]
    code, message = make(lines, *words)
    assert code == 1
    assert "Expected a unit of positions with column 'M1'. Got none; set --unit posi" in message


@pytest.mark.parametrize(
    ("head", "row"),
    [
        ("# frame_index,posx_m,posy_m,energy_keV", "{i},{x},{y},7.112"),
        (
            "# made at 12:00, by hand\n#frame_index; posx_m; posy_m; Energy (keV)",
            "{i}; {x}; {y}; 7.112",
        ),
        ("# a comment\nframe_index,PosX_um,PosY_um,energy_KEV\n# another", "{i},{xu},{yu},7.112"),
        ("# frame_index x_um y_um photon_energy_eV", "{i}   {xu} {yu}  7112"),
        (
            "frame_index\tX [micrometres]\tY [micrometres]\tenergy [electronvolts]",
            "{i}\t{xu}\t{yu}\t7112",
        ),
        ("frame_index,x_um,y_um,posx_m,posy_m,energy_eV", "{i},7,7,{x},{y},7112"),
    ],
)
def test_columns_by_their_names(folder, make, head, row):
    rows = [row.format(i=i, x=X[i], y=Y[i], xu=X[i] * 1e6, yu=Y[i] * 1e6) for i in INDEX]
    assert make([head, *rows, "# end of scan"]) == (0, "")
    scan = opened(folder)
    assert_allclose(scan.positions_m, np.stack([Y, X], 1), atol=1e-15)
    assert_allclose(scan.energy_eV, 7112)


def test_columns_that_may_be_meant(folder, make):
    lines = ["frame_index,x_um,X_nm,y_um"] + [f"{i},1,2,3" for i in INDEX]
    code, message = make(lines)
    assert code == 1
    assert "columns 'x_um' and 'X_nm' may both be x; name one with --col-x" in message
    lines = ["frame_index,x_um,y_um,energy"] + [f"{i},{i},3,8.8" for i in INDEX]
    code, message = make(lines)
    assert code == 0
    assert "column 'energy' has no unit of energy: not used, unless --unit energy=UNIT" in message
    assert opened(folder).energy_eV is None
    assert make(lines, "--unit", "energy=keV") == (0, "")
    assert_allclose(opened(folder).energy_eV, 8800)
    lines = ["frame_index,samplex_um,stagey_um"] + [f"{i},1,2" for i in INDEX]
    assert "Expected a column 'posx_m'. Got frame_index, samplex_um" in make(lines)[1]


def test_lines_are_counted_with_comments(folder, make):
    code, message = make(["# x", HEADER, "# y", ROWS[0], "1,zero,0,1,1,1,1"])
    assert code == 1
    assert "log.csv: line 5: Expected a number in column 'posx_m'. Got 'zero'" in message


def test_frames_without_a_row_are_left_out(folder, make):
    code, message = make([HEADER, *ROWS[:3], *ROWS[5:]])
    assert code == 0
    assert "warning:" in message
    assert "2 of 12 frames have no row: left out (3, 4)" in message
    kept = np.delete(INDEX, [3, 4])
    assert index_of(folder) == kept.tolist()
    with pytest.warns(BeamlineWarning, match=r"2 frames \(number 3, 4\) without a position"):
        plan = opened(folder).plan(center=(5, 4))
    assert_allclose(plan.positions_m, np.stack([Y, X], 1)[kept], atol=1e-18)
    assert_array_equal(plan.selection.exposures[:, 0], kept)


def test_repeated_rows_are_averaged(folder, make):
    code, message = make([HEADER, "2,2.3e-6,1e-7,7112,1.5,7.5e-5,0.01", *ROWS, ROWS[4]])
    assert code == 0
    assert "2 rows repeat the frame of another: they are averaged" in message
    mean = np.stack([Y, X], 1)
    mean[2] = 0.5e-7, 2.25e-6
    assert_allclose(opened(folder).positions_m, mean, atol=1e-18)


def test_rows_after_the_last_frame(folder, make):
    code, message = make([HEADER, *ROWS, "12,0,0,7112,1.5,7.5e-5,0.01"])
    assert code == 0
    assert "1 row has no frame: left out (frame 12)" in message
    assert len(opened(folder)) == N


@pytest.mark.parametrize("words", [(), ("--first-index", "1")])
def test_a_log_that_counts_from_1(folder, make, words):
    assert make(
        [HEADER, *(f"{i + 1},{row.partition(',')[2]}" for i, row in enumerate(ROWS))], *words
    ) == (0, "")
    assert_allclose(opened(folder).positions_m, np.stack([Y, X], 1), atol=1e-18)


def test_a_log_that_may_count_from_0_or_1_is_asked_for(folder, make):
    code, message = make([HEADER, *ROWS[3:9]])
    assert code == 1
    assert "say what the log calls the first frame by --first-index" in message
    assert make([HEADER, *ROWS[3:9]], "--first-index", "0")[0] == 0
    assert index_of(folder) == [3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("lost", [0, 5, 11])
def test_a_file_that_is_lost_shifts_nothing(folder, make, lost):
    """Before the sidecar is written, or after."""
    kept = np.delete(INDEX, lost)
    if lost:
        make([HEADER, *ROWS])
        (folder / f"f_{lost}.tif").rename(folder / "lost")
        with pytest.warns(BeamlineWarning, match=rf"1 position \(number {lost}\) without a frame"):
            plan = opened(folder).plan(center=(5, 4))
        assert_allclose(plan.positions_m, np.stack([Y, X], 1)[kept], atol=1e-18)
    else:
        (folder / f"f_{lost}.tif").rename(folder / "lost")
    code, message = make([HEADER, *ROWS])
    if lost:
        assert code == 0
        assert f"1 row has no frame: left out (frame {lost})" in message
        plan = opened(folder).plan(center=(5, 4))
        assert_allclose(plan.positions_m, np.stack([Y, X], 1)[kept], atol=1e-18)
        raw = plan.load(np.arange(11))[:, 0, 0, 0]
        assert_array_equal(raw, kept * 80)
    else:  # frames 1 to 11 of rows 0 to 11: the names may count from 1
        assert code == 1
        assert "fit in two ways" in message


@pytest.mark.parametrize("cell", ["nan", "NaN", ""])
def test_a_row_without_a_position_is_left_out(folder, make, cell):
    """Its energy is not missed, nor does one of two rows of a frame spoil the other."""
    rows = [*ROWS, f"7,{cell},{Y[7]},7112,1.5,7.5e-5,0.01"]
    rows[4] = f"4,{X[4]},{cell},{cell},1.5,7.5e-5,0.01"
    code, message = make([HEADER, *rows])
    assert code == 0
    assert "2 rows have no position: left out (line 6, 14)" in message
    assert "1 of 12 frames have no row: left out (4)" in message
    kept = np.delete(INDEX, 4)
    assert index_of(folder) == kept.tolist()
    with pytest.warns(BeamlineWarning, match=r"1 frame \(number 4\) without a position"):
        plan = opened(folder).plan(center=(5, 4))
    assert_allclose(plan.positions_m, np.stack([Y, X], 1)[kept], atol=1e-18)


def test_columns_that_are_not_used_are_named(folder, type_in):
    rows = [f"{i},{i},{i},20,8.8,1" for i in INDEX]
    head = "frame_index,x_um,y_um,temperature,energy_keV,shutter"
    (folder / "log.csv").write_text("\n".join([head, *rows]))
    words = ("--csv", folder / "log.csv", "-o", folder / "sidecar.h5")
    code, out, err = type_in("sidecar", "--frames", folder / "f_*.tif", *words)
    assert (code, err) == (0, "")
    assert "columns of log.csv that are not used: temperature, shutter" in out


def test_the_help_lists_units(capsys):
    assert main(["sidecar", "--help"]) == 0
    message = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "exposure (s, ms, us, ns)" in message


def test_two_files_of_one_number(folder, make):
    shutil.copy(folder / "f_3.tif", folder / "f_03.tif")
    code, message = make([HEADER, *ROWS])
    assert code == 1
    assert "Got 2 of number 3, and 1 such number; leave out the copies" in message


@pytest.mark.parametrize("first", [0, 1])
def test_files_by_row_and_column(folder, make, first):
    """A file that is lost shifts nothing, whether the log counts from 0 or from 1."""
    for number in INDEX:
        name = folder / f"f_{number}.tif"
        name.rename(folder / f"f_{number // 4 + 1}_{number % 4 + 1}.tif")
    (folder / "f_2_3.tif").unlink()
    rows = [f"{i + first},{ROWS[i].partition(',')[2]}" for i in INDEX]
    code, message = make([HEADER, *rows])
    assert code == 0
    assert "1 row has no frame: left out" in message
    plan = opened(folder).plan(center=(5, 4))
    kept = np.delete(INDEX, 6)
    assert_array_equal(plan.load(np.arange(11))[:, 0, 0, 0], kept * 80)
    assert_allclose(plan.positions_m, np.stack([Y, X], 1)[kept], atol=1e-18)


@pytest.mark.parametrize("lost", [(0,), (11,), (0, 11)])
def test_files_lost_at_the_ends_of_a_scan_whose_log_has_their_numbers(folder, make, lost):
    """Names and log count from 1."""
    for number in reversed(INDEX):
        (folder / f"f_{number}.tif").rename(folder / f"f_{number + 1}.tif")
    for number in lost:
        (folder / f"f_{number + 1}.tif").unlink()
    rows = [f"{i + 1},{ROWS[i].partition(',')[2]}" for i in INDEX]
    code, message = make([HEADER, *rows])
    assert code == 1
    assert "say what the log calls the first frame by --first-index" in message
    code, message = make([HEADER, *rows], "--first-index", "1")
    assert code == 0
    assert f"left out (frame {', '.join(str(number + 1) for number in lost)})" in message
    kept = np.delete(INDEX, lost)
    plan = opened(folder).plan(center=(5, 4))
    assert_array_equal(plan.load(np.arange(len(kept)))[:, 0, 0, 0], kept * 80)
    assert_allclose(plan.positions_m, np.stack([Y, X], 1)[kept], atol=1e-18)


def test_a_first_index_that_settles_nothing(folder, make):
    """Of names from 4 on it does not say what they call the first frame."""
    for number in INDEX[:4]:
        (folder / f"f_{number}.tif").unlink()
    code, message = make([HEADER, *ROWS], "--first-index", "0")
    assert code == 1
    assert "fit in two ways" in message
    assert "leave the rows of lost frames out of the log" in message
    assert make([HEADER, *ROWS[4:]])[0] == 0
    assert index_of(folder) == INDEX[4:].tolist()


def test_optional_columns_may_lack_or_have_empty_cells(folder, make):
    lines = ["frame_index,posx_m,posy_m,energy_eV,pixel_m"]
    lines += [f"{i},{X[i]},{Y[i]},{7112.0 if i == 0 else ''}," for i in INDEX]
    assert make(lines) == (0, "")
    scan = opened(folder)
    assert (scan.energy_eV, scan.distance_m, scan.pixel_m) == (7112.0, None, None)


@pytest.mark.parametrize(
    ("lines", "words", "message"),
    [
        (["a,b", "1,2"], (), "or one of file names. Got a, b; name it with --col-index"),
        ([HEADER, *ROWS], ("--col-x", "x"), "Expected a column 'x'. Got frame_index, posx_m"),
        ([HEADER, *ROWS], ("--col-energy", "E"), "Expected a column 'E'"),
        (
            [HEADER, "", "0,zero,0,1,1,1,1"],
            (),
            "log.csv: line 3: Expected a number in column 'posx_m'. Got 'zero'",
        ),
        ([HEADER, "0,inf,0,1,1,1,1"], (), "line 2: Expected a finite number in column 'posx_m'"),
        ([HEADER, "0,nan,0,1,1,1,1"], (), "no row has a position; check --col-x and --col-y"),
        ([HEADER, ",0,0,1,1,1,1"], (), "line 2: Expected a frame's number. Got nan"),
        ([HEADER, "1e30,0,0,1,1,1,1"], (), "below 2^62 in column 'frame_index'. Got 1e+30"),
        ([HEADER, "0.5,0,0,1,1,1,1"], (), "line 2: Expected a frame's number. Got 0.5"),
        ([HEADER, *ROWS], ("--first-index", "1"), "line 2: Expected a frame's number. Got 0"),
        ([HEADER, "90,0,0,1,1,1,1"], (), "have no number in common"),
        ([HEADER], (), "has no row below its header"),
        (ROWS, (), "Expected the column names in the first line. Got '0,"),
        ([""], (), "Expected the column names in the first line"),
        ([HEADER, '0,"0,0,1'], (), "line 2: not readable as CSV"),
        ([HEADER, *ROWS], ("--unit", "mask=um"), "Expected units of positions"),
        ([HEADER, *ROWS], ("--unit", "energy=mm"), "Expected a unit of energy"),
        ([HEADER, *ROWS], ("--unit", "energy"), "Expected --unit NAME=VALUE. Got 'energy'"),
        ([HEADER, *ROWS], ("--frame-times", "t.npy"), "name it with --col-time"),
        ([HEADER, *ROWS], ("--csv", "nowhere.csv"), "nowhere.csv: no such file"),
        ([HEADER, *ROWS], ("--frames", "nowhere_*.tif"), "nowhere_*.tif: no file matches"),
    ],
)
def test_mistakes_in_one_line(folder, make, lines, words, message):
    code, err = make(lines, *words)
    assert code == 1
    assert message in err
    assert [line[:7] for line in err.splitlines()] == ["error: "]
    assert not (folder / "sidecar.h5").exists()


def test_inputs_are_not_replaced(folder, make):
    for name in ("log.csv", "f_3.tif"):
        code, message = make([HEADER, *ROWS], "-o", folder / name)
        assert code == 1
        assert "is read by this command" in message


class TestTimes:
    """A log every 1.5 s, x = 2 nm/s·t and y = −1 nm/s·t, frames every 2 s."""

    LOGGED = np.arange(-3, 30, 1.5)

    def lines(self, stamp=str, times=LOGGED):
        rows = [f"{stamp(t)},{2e-9 * t:.17g},{-1e-9 * t:.17g},8000" for t in times]
        return ["time,posx_m,posy_m,energy_eV", *rows]

    def check(self, folder, at):
        at = np.asarray(at)
        scan = opened(folder)
        assert_allclose(scan.positions_m, np.stack([-1e-9 * at, 2e-9 * at], 1), atol=1e-15)
        assert scan.energy_eV == 8000

    def test_times_of_a_file(self, folder, make, tmp_path):
        at = 0.3 + 2 * INDEX
        np.save(tmp_path / "t.npy", at)
        words = ("--col-time", "time", "--frame-times")
        assert make(self.lines(), *words, tmp_path / "t.npy") == (0, "")
        self.check(folder, at)
        (tmp_path / "t.csv").write_text("stamp\n" + "\n".join(map(str, at)))
        assert make(self.lines(), *words, tmp_path / "t.csv") == (0, "")
        self.check(folder, at)
        (tmp_path / "t.csv").write_text("n,time\n" + "\n".join(f"1,{t}" for t in at))
        assert make(self.lines(), *words, tmp_path / "t.csv") == (0, "")
        self.check(folder, at)

    def test_times_of_the_tiff_tags(self, folder, make):
        start = np.datetime64("2024-05-31T12:00:00.000")

        def stamp(t):
            return str(start + np.timedelta64(int(t * 1000), "ms"))

        assert make(self.lines(stamp), "--col-time", "time") == (0, "")
        self.check(folder, 2 * INDEX)

    def test_any_order_and_repeated_stamps(self, folder, make, tmp_path):
        np.save(tmp_path / "t.npy", 2.0 * INDEX)
        head, *rows = self.lines()
        lines = [head, "3.0,5,5,8000", *np.random.default_rng(2).permutation(rows)]
        code, message = make(lines, "--col-time", "time", "--frame-times", tmp_path / "t.npy")
        assert code == 0
        assert "1 rows repeat the time of another: the last one counts" in message
        self.check(folder, 2 * INDEX)

    def test_half_a_step_beyond_the_log_and_no_more(self, folder, make, tmp_path):
        words = ("--col-time", "time", "--frame-times", tmp_path / "t.npy")
        at = np.linspace(-3.74, 29.2, N)
        np.save(tmp_path / "t.npy", at)
        assert make(self.lines(), *words) == (0, "")
        self.check(folder, at)
        np.save(tmp_path / "t.npy", at - 0.02)
        code, message = make(self.lines(), *words)
        assert code == 1
        assert "1 of 12 frames (0) lie up to 0.76 s outside the log, more than half its" in message

    def test_rows_without_a_position(self, folder, make, tmp_path):
        np.save(tmp_path / "t.npy", 2.0 * INDEX)
        lines = self.lines()
        lines[5] = "3.0,nan,1,8000"
        code, message = make(lines, "--col-time", "time", "--frame-times", tmp_path / "t.npy")
        assert code == 0
        assert "1 row has no position: left out (line 6)" in message
        self.check(folder, 2 * INDEX)

    def test_a_gap_in_the_log(self, folder, make, tmp_path):
        np.save(tmp_path / "t.npy", 2.0 * INDEX)
        times = self.LOGGED[(self.LOGGED < 4) | (self.LOGGED > 11)]
        code, message = make(
            self.lines(times=times), "--col-time", "time", "--frame-times", tmp_path / "t.npy"
        )
        assert code == 0
        assert "4 frames (2, 3, 4, 5) lie in gaps of more than 3 steps of 1.5 s" in message

    def test_mistakes(self, folder, make, tmp_path):
        np.save(tmp_path / "t.npy", np.arange(5.0))
        words = ("--col-time", "time", "--frame-times", tmp_path / "t.npy")
        assert "Expected a time stamp of each of 12 frames. Got 5" in make(self.lines(), *words)[1]
        np.save(tmp_path / "t.npy", np.arange(12.0))
        message = make(self.lines(lambda _: "noon"), *words)[1]
        assert "line 2: Expected seconds or a date and time" in message
        for path in folder.glob("f_*.tif"):
            tifffile.imwrite(path, np.zeros((4, 4), np.uint8), datetime="2024:05:31 12:00:00")
        message = make(self.lines(), "--col-time", "time")[1]
        assert "the DateTime tags have whole seconds, and 11 of 12 frames have the same" in message
        for path in folder.glob("f_*.tif"):
            tifffile.imwrite(path, np.zeros((4, 4), np.uint8), datetime=False)
        message = make(self.lines(), "--col-time", "time")[1]
        assert "f_0.tif: Expected a DateTime tag. Got none; give the frames' time stamps" in message


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("12.5", 12.5),
        ("1970-01-01 00:00:10.25", 10.25),
        ("1970-01-01T00:00:10Z", 10),
        ("1970-01-01T00:00:10.123456789Z", 10.123456),
        ("1970-01-01T01:00:10+01:00", 10),
        ("1970:01:01 00:00:10", 10),
    ],
)
def test_time_stamps(text, wanted):
    assert seconds(text) == wanted


def test_a_log_without_index_or_times_is_refused_with_the_remedy(make):
    code, message = make(["posx_m,posy_m", *(f"{x},{y}" for x, y in zip(X, Y, strict=True))])
    assert code == 1
    assert "add a column frame_index with the number of each row's frame" in message


def test_a_frame_that_is_named_otherwise_is_refused(folder, make):
    shutil.copy(folder / "f_3.tif", folder / "f_3 (1).tif")
    code, message = make([HEADER, *ROWS])
    assert code == 1
    assert "Expected 13 files numbered as f_0.tif. Got 1 named otherwise: f_3 (1).tif; " in message
    assert "frame_index=0" not in message, "this command has no --path"
