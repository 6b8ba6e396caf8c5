"""Frames come out as NumPy slicing of the dataset would give them, or with one clear error."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest
from swmr_writer import growing

from ptypy_beamline.errors import FileError, ScanError
from ptypy_beamline.files.hdf5 import open_dataset
from ptypy_beamline.files.links import lookup
from ptypy_beamline.frames import Hdf5Frames, open_hdf5
from ptypy_beamline.frames.hdf5 import slabs
from ptypy_beamline.scan import Frames, Readiness, Window

FULL = Window(0, 0, 9, 11)


def counts(*axes: int, dtype: str = "uint16") -> np.ndarray:
    shape = (*axes, 9, 11)
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def write(path: Path, name: str = "/entry/data", **datasets) -> Path:
    """A file with one dataset; the keywords are those of create_dataset."""
    with h5py.File(path, "w") as file:
        file.create_dataset(name, **datasets)
    return path


# reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "storage",
    [
        {},
        {"chunks": (1, 9, 11)},
        {"chunks": (4, 5, 4), "compression": "gzip"},
        {"chunks": (1, 9, 11), **hdf5plugin.Bitshuffle(cname="lz4")},
    ],
    ids=["contiguous", "chunked", "gzip, 4 frames a chunk", "bitshuffle"],
)
@pytest.mark.parametrize("seed", range(5))
def test_random_windows_and_indices_are_those_of_numpy(tmp_path, storage, seed):
    data, random = counts(13), np.random.default_rng(seed)
    frames = Hdf5Frames(write(tmp_path / "a.h5", data=data, **storage), "/entry/data")
    for _ in range(10):
        top, left = random.integers(0, 8), random.integers(0, 10)
        window = Window(
            int(top),
            int(left),
            int(random.integers(1, 10 - top)),
            int(random.integers(1, 12 - left)),
        )
        wanted = random.integers(0, 13, random.integers(1, 20)).tolist()
        out = frames.read(wanted, window)
        np.testing.assert_array_equal(out, data[(wanted, *window.slices)])
        assert out.flags.c_contiguous
        assert out.dtype == np.uint16


@pytest.mark.parametrize("wanted", [[], [3], [0, 1, 2], [1, 4, 7, 10], [5, 5, 2, 0, 2], [12, 11]])
def test_any_order_of_indices(tmp_path, wanted):
    data = counts(13)
    frames = Hdf5Frames(write(tmp_path / "a.h5", data=data), "/entry/data")
    out = frames.read(wanted, FULL)
    assert out.shape == (len(wanted), 9, 11)
    np.testing.assert_array_equal(out, data[wanted])


@pytest.mark.parametrize("seed", range(5))
def test_a_raster_is_read_by_flat_index(tmp_path, seed):
    data = counts(3, 5)
    frames = Hdf5Frames(write(tmp_path / "a.h5", data=data), "/entry/data")
    assert frames.shape == (15, 9, 11)
    wanted = np.random.default_rng(seed).integers(0, 15, 12).tolist()
    window = Window(2, 3, 4, 5)
    flat = data.reshape(15, 9, 11)
    np.testing.assert_array_equal(frames.read(wanted, window), flat[(wanted, *window.slices)])
    np.testing.assert_array_equal(frames.read(range(15), FULL), flat)


def test_a_leading_axis_is_fixed(tmp_path):
    data = counts(2, 3, 4, dtype="float32")
    path = write(tmp_path / "a.h5", data=data)
    frames = Hdf5Frames(path, "/entry/data", leading=1)
    assert frames.shape == (12, 9, 11)
    np.testing.assert_array_equal(frames.read([11, 0], FULL), data[1].reshape(12, 9, 11)[[11, 0]])
    five = Hdf5Frames(write(tmp_path / "b.h5", data=data[0]), "/entry/data", leading=2)
    np.testing.assert_array_equal(five.read([1, 3], FULL), data[0, 2, [1, 3]])


def test_one_image_is_a_stack_of_one(tmp_path):
    data = counts()
    frames = Hdf5Frames(write(tmp_path / "a.h5", data=data), "/entry/data")
    assert frames.shape == (1, 9, 11)
    window = Window(1, 2, 3, 4)
    np.testing.assert_array_equal(frames.read([0], window), data[window.slices][None])


def test_big_endian_becomes_native(tmp_path):
    data = counts(4, dtype=">i4")
    frames = Hdf5Frames(write(tmp_path / "a.h5", data=data), "/entry/data")
    out = frames.read([2], FULL)
    assert frames.dtype == out.dtype == np.dtype("int32")
    assert out.dtype.isnative
    np.testing.assert_array_equal(out, data[[2]])


def test_chunks_of_several_frames_are_kept_until_the_next_frame(tmp_path):
    """The chunk cache holds every chunk that a frame crosses: 4 x 4 of 4 MiB, unlike HDF5's own."""
    path = write(
        tmp_path / "a.h5", shape=(16, 2048, 2048), dtype="u2", chunks=(8, 512, 512), compression=1
    )
    with h5py.File(path) as file:
        dataset = open_dataset(file, "/entry/data", path)
        _, size, _ = dataset.id.get_access_plist().get_chunk_cache()
        assert size >= 16 * 2**22


def test_an_empty_window(tmp_path):
    frames = Hdf5Frames(write(tmp_path / "a.h5", data=counts(3)), "/entry/data")
    assert frames.read([0, 1], Window(0, 0, 0, 5)).shape == (2, 0, 5)


def test_a_limit_hides_later_frames(tmp_path):
    frames = Hdf5Frames(write(tmp_path / "a.h5", data=counts(5)), "/entry/data", limit=3)
    assert frames.shape[0] == frames.ready().frames == 3


def test_the_pickle_has_no_handle(tmp_path):
    data = counts(5)
    frames = Hdf5Frames(write(tmp_path / "a.h5", data=data), "/entry/data")
    frames.read([0], FULL)
    carried = pickle.dumps(frames)
    assert len(carried) < 1000
    again = pickle.loads(carried)
    assert again == frames
    assert again.shape == (5, 9, 11)
    np.testing.assert_array_equal(again.read([4], FULL), data[[4]])


def test_it_is_a_frames_object(tmp_path):
    assert isinstance(Hdf5Frames(write(tmp_path / "a.h5", data=counts(2)), "/entry/data"), Frames)


def test_an_opened_scan_that_is_not_read_does_not_hold_the_file(tmp_path):
    frames = Hdf5Frames(write(tmp_path / "a.h5", data=counts(2)), "/entry/data")
    write(tmp_path / "a.h5", data=counts(2) + 7)
    with pytest.raises(FileError, match=r"a\.h5: the file has changed since it was opened"):
        frames.read([1], FULL)


@pytest.mark.parametrize("how", ["overwritten", "replaced", "unlinked", "grown"])
def test_a_file_that_is_replaced_while_it_is_read(tmp_path, how):
    """What was opened is read to its end; what is opened anew, or written to, is an error."""
    path = write(tmp_path / "a.h5", data=counts(4), chunks=(1, 9, 11), maxshape=(None, 9, 11))
    frames = Hdf5Frames(path, "/entry/data")
    frames.read([0], FULL)
    other = write(tmp_path / "b.h5", data=counts(4) + 7, chunks=(1, 9, 11), maxshape=(None, 9, 11))
    if how == "replaced":
        other.replace(path)
    elif how == "unlinked":
        path.unlink()
    elif how == "grown":
        path.write_bytes(path.read_bytes() + bytes(100))
    else:
        path.write_bytes(other.read_bytes())
    if how != "overwritten":
        np.testing.assert_array_equal(frames.read([3], FULL), counts(4)[[3]])
        return
    with pytest.raises(FileError, match=r"a\.h5: the file has changed since it was opened"):
        frames.read([3], FULL)


@pytest.mark.parametrize("how", ["overwritten", "replaced", "unlinked", "cut", "grown"])
@pytest.mark.parametrize("read_before", [False, True])
def test_a_source_of_a_virtual_dataset_that_changes(tmp_path, how, read_before):
    """HDF5 gives zeros for one that is gone."""
    parts = [write(tmp_path / f"{n}.h5", data=counts(4) + n) for n in range(3)]
    layout = h5py.VirtualLayout((12, 9, 11), counts(4).dtype)
    for n, part in enumerate(parts):
        layout[4 * n : 4 * n + 4] = h5py.VirtualSource(part.name, "entry/data", (4, 9, 11))
    with h5py.File(tmp_path / "all.h5", "w") as file:
        file.create_virtual_dataset("v", layout)
    frames = Hdf5Frames(tmp_path / "all.h5", "/v")
    if read_before:
        frames.read([5], FULL)
    other = write(tmp_path / "b.h5", data=counts(4) + 7)
    if how == "overwritten":
        parts[1].write_bytes(other.read_bytes())
    elif how == "replaced":
        other.replace(parts[1])
    elif how == "unlinked":
        parts[1].unlink()
    elif how == "cut":
        os.truncate(parts[1], 3000)
    else:
        parts[1].write_bytes(parts[1].read_bytes() + bytes(100))
    np.testing.assert_array_equal(frames.read([3, 8], FULL), [counts(4)[3], counts(4)[0] + 2])
    if how == "grown":
        np.testing.assert_array_equal(frames.read([5], FULL), [counts(4)[1] + 1])
        return
    with pytest.raises(FileError, match=r"1\.h5: the file has changed since it was opened"):
        frames.read([3, 5], FULL)


def test_the_file_behind_an_external_link_that_changes(tmp_path):
    part = write(tmp_path / "part.h5", data=counts(4))
    with h5py.File(tmp_path / "master.h5", "w") as file:
        file["frames"] = h5py.ExternalLink("part.h5", "/entry/data")
    frames = Hdf5Frames(tmp_path / "master.h5", "/frames")
    frames.read([0], FULL)
    part.write_bytes(write(tmp_path / "b.h5", data=counts(4) + 7).read_bytes())
    with pytest.raises(FileError, match="the file has changed since it was opened"):
        frames.read([3], FULL)


def test_a_relative_path_survives_a_change_of_folder(tmp_path, monkeypatch):
    write(tmp_path / "a.h5", data=counts(2))
    monkeypatch.chdir(tmp_path)
    frames = Hdf5Frames(Path("a.h5"), "/entry/data")
    monkeypatch.chdir("/")
    assert frames.read([0], FULL).shape == (1, 9, 11)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_opens_the_file_itself(tmp_path):
    data = counts(4)
    frames = Hdf5Frames(write(tmp_path / "a.h5", data=data), "/entry/data")
    frames.read([0], FULL)
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(frames.read([3], FULL), data[[3]]) else 1)
    assert os.waitpid(child, 0)[1] == 0
    np.testing.assert_array_equal(frames.read([3], FULL), data[[3]])


@pytest.mark.parametrize(
    ("indices", "row", "expected"),
    [
        ([0, 1, 2, 5], 99, [(0, 3, 0, 1), (3, 4, 5, 1)]),
        ([1, 3, 5], 99, [(0, 3, 1, 2)]),
        ([3, 4, 5, 6], 5, [(0, 2, 3, 1), (2, 4, 5, 1)]),
        ([], 5, []),
    ],
)
def test_slabs(indices, row, expected):
    found = [
        (s.start, s.stop, first, step if s.stop - s.start > 1 else 1)
        for s, first, step in slabs(np.array(indices, int), row)
    ]
    assert found == expected


def test_swmr_file_is_read_while_it_is_written(tmp_path):
    path = tmp_path / "live.h5"
    with growing(path, chunks=(1, 9, 11)) as write_frames:
        write_frames(2)
        frames = Hdf5Frames(path, "/d")
        assert frames.ready() == Readiness(2, complete=False)
        np.testing.assert_array_equal(frames.read([1], FULL), counts(2)[[1]])
        write_frames(5)
        assert frames.ready() == Readiness(5, complete=False)
        np.testing.assert_array_equal(frames.read([4], FULL), counts(5)[[4]])
    assert frames.ready() == Readiness(5, complete=True)


# errors --------------------------------------------------------------------------------------


def test_an_index_past_the_end(tmp_path):
    frames = Hdf5Frames(write(tmp_path / "a.h5", data=counts(3)), "/entry/data")
    with pytest.raises(ScanError, match=r"Expected frames 0 to 2. Got 1 to 3"):
        frames.read([3, 1], FULL)
    with pytest.raises(ScanError, match="Got -1"):
        frames.read([-1], FULL)


def test_a_corrupt_chunk_names_file_dataset_and_frame(tmp_path):
    path = write(tmp_path / "a.h5", data=counts(6), chunks=(1, 9, 11), compression="gzip")
    with h5py.File(path) as file:
        where = file["/entry/data"].id.get_chunk_info(3).byte_offset
    with path.open("r+b") as file:
        file.seek(where)
        file.write(b"\xff" * 20)
    frames = Hdf5Frames(path, "/entry/data")
    np.testing.assert_array_equal(frames.read([2, 4], FULL), counts(6)[[2, 4]])
    with pytest.raises(FileError, match=r"a\.h5: frame 3 of /entry/data cannot be read") as caught:
        frames.read(range(6), FULL)
    assert isinstance(caught.value.__cause__, OSError)


def unknown_filter(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        created.set_chunk((1, 4, 4))
        created.set_filter(32099, h5py.h5z.FLAG_OPTIONAL)
        space = h5py.h5s.create_simple((2, 4, 4))
        h5py.h5d.create(file.id, b"d", h5py.h5t.NATIVE_INT32, space, created)
    return path


def test_a_missing_filter_plugin_is_named(tmp_path):
    path = unknown_filter(tmp_path / "a.h5")
    with pytest.raises(
        FileError, match=r"a\.h5: /d is compressed with HDF5 filter 32099.*HDF5_PLUGIN_PATH"
    ):
        Hdf5Frames(path, "/d")


def test_no_dataset_of_that_name(tmp_path):
    path = write(tmp_path / "a.h5", data=counts(3))
    with pytest.raises(FileError, match=r"a\.h5: no dataset /nothing"):
        Hdf5Frames(path, "/nothing")
    with pytest.raises(FileError, match="/entry is a group"):
        Hdf5Frames(path, "/entry")


@pytest.mark.parametrize("data", [np.arange(3), counts(1, 1, 1), np.array([[b"a"]])])
def test_no_stack_of_images(tmp_path, data):
    path = write(tmp_path / "a.h5", data=data)
    with pytest.raises(ScanError, match=r"Expected a stack of images\. Got /entry/data of shape"):
        Hdf5Frames(path, "/entry/data")


def test_files_that_cannot_be_opened(tmp_path):
    with pytest.raises(FileError, match=r"none\.h5: no such file; check the path"):
        open_hdf5(tmp_path / "none.h5")
    with pytest.raises(FileError, match=r"Expected a file\. Got a directory"):
        open_hdf5(tmp_path)
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(FileError, match=r"text\.h5: not an HDF5 file") as caught:
        open_hdf5(tmp_path / "text.h5")
    assert isinstance(caught.value.__cause__, OSError)


def test_a_truncated_file(tmp_path):
    path = write(tmp_path / "a.h5", data=counts(100))
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(FileError, match=r"a\.h5: truncated HDF5 file; copy it again") as caught:
        open_hdf5(path)
    assert "\n" not in str(caught.value)


# links ---------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path):
    """``inside/raw/data.h5`` and ``outside.h5``, each with a dataset ``/d``."""
    (tmp_path / "inside" / "raw").mkdir(parents=True)
    write(tmp_path / "inside" / "raw" / "data.h5", "/d", data=counts(3))
    write(tmp_path / "outside.h5", "/d", data=counts(3))
    return tmp_path


def master(tree: Path, **links) -> h5py.File:
    path = tree / "inside" / "master.h5"
    with h5py.File(path, "w") as file:
        for name, link in links.items():
            file[name] = link
    return h5py.File(path)


def virtual(tree: Path, source: str, dataset: str = "d") -> h5py.File:
    path = tree / "inside" / "master.h5"
    layout = h5py.VirtualLayout((3, 9, 11), "u2")
    layout[:] = h5py.VirtualSource(source, dataset, (3, 9, 11))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("v", layout)
    return h5py.File(path)


def test_links_inside_the_folder_are_followed(tree):
    with master(
        tree,
        e=h5py.ExternalLink("raw/data.h5", "/d"),
        group=h5py.ExternalLink("raw/data.h5", "/"),
        soft=h5py.SoftLink("/group/d"),
        relative=h5py.SoftLink("e"),
    ) as file:
        for path in ("/e", "/group/d", "/soft", "/relative"):
            np.testing.assert_array_equal(lookup(file, path)[...], counts(3))
    frames = Hdf5Frames(tree / "inside" / "master.h5", "/soft")
    np.testing.assert_array_equal(frames.read([2], FULL), counts(3)[[2]])


@pytest.mark.parametrize("target", ["../outside.h5", "{tree}/outside.h5"])
def test_links_outside_are_refused_unless_allowed(tree, target):
    target = target.format(tree=tree)
    with master(tree, e=h5py.ExternalLink(target, "/d")) as file:
        with pytest.raises(FileError, match=r"/e links to .*outside\.h5, outside .*--links any"):
            lookup(file, "/e")
        np.testing.assert_array_equal(lookup(file, "/e", "any")[...], counts(3))


def test_a_symlink_does_not_lead_out(tree):
    (tree / "inside" / "innocent.h5").symlink_to(tree / "outside.h5")
    with (
        master(tree, e=h5py.ExternalLink("innocent.h5", "/d")) as file,
        pytest.raises(FileError, match="--links any"),
    ):
        lookup(file, "/e")


def test_a_chain_of_links_does_not_lead_out(tree):
    with h5py.File(tree / "inside" / "raw" / "hop.h5", "w") as hop:
        hop["d"] = h5py.ExternalLink("../../outside.h5", "/d")
    with (
        master(tree, e=h5py.ExternalLink("raw/hop.h5", "/d")) as file,
        pytest.raises(FileError, match=r"hop\.h5: /d links to .*outside\.h5"),
    ):
        lookup(file, "/e")


def test_an_absolute_link_of_moved_files_is_found_beside_the_master(tree):
    with master(tree / "inside" / "..", e=h5py.ExternalLink("/gone/data.h5", "/d")) as file:
        with pytest.raises(FileError, match="which does not exist"):
            lookup(file, "/e")
        write(tree / "inside" / "data.h5", "/d", data=counts(3))
        assert lookup(file, "/e").shape == (3, 9, 11)


def test_missing_targets_are_named(tree):
    with (
        master(tree, e=h5py.ExternalLink("raw/gone.h5", "/d")) as file,
        pytest.raises(
            FileError, match=r"master\.h5: /e links to raw/gone\.h5, which does not exist"
        ),
    ):
        lookup(file, "/e")


def test_a_missing_optional_dataset_is_none(tree):
    with master(
        tree,
        s=h5py.SoftLink("/gone"),
        e=h5py.ExternalLink("raw/data.h5", "/no"),
        loop=h5py.SoftLink("/loop"),
    ) as file:
        for path in ("/s", "/e", "/loop", "/no/thing", "/e/deeper"):
            assert lookup(file, path) is None


def test_virtual_sources(tree):
    with virtual(tree, "raw/data.h5") as file:
        np.testing.assert_array_equal(lookup(file, "/v")[...], counts(3))
    with virtual(tree, "../outside.h5") as file:
        with pytest.raises(FileError, match=r"/v \(virtual dataset\) links to \.\./outside\.h5"):
            lookup(file, "/v")
        assert lookup(file, "/v", "any").shape == (3, 9, 11)
    with (
        virtual(tree, "raw/gone.h5") as file,
        pytest.raises(FileError, match=r"raw/gone\.h5, which does not exist"),
    ):
        lookup(file, "/v")


def test_a_virtual_source_that_leads_out_by_its_own_link(tree):
    with h5py.File(tree / "inside" / "raw" / "hop.h5", "w") as hop:
        hop["d"] = h5py.ExternalLink("../../outside.h5", "/d")
    with virtual(tree, "raw/hop.h5") as file, pytest.raises(FileError, match="--links any"):
        lookup(file, "/v")


def test_the_filters_of_virtual_sources_are_checked(tree):
    unknown_filter(tree / "inside" / "raw" / "odd.h5")
    with virtual(tree, "raw/odd.h5") as file, pytest.raises(FileError, match="filter 32099"):
        lookup(file, "/v")


def test_external_storage_is_a_link_too(tree):
    secret = tree / "secret.bin"
    secret.write_bytes(bytes(99 * 2))
    path = write(
        tree / "inside" / "master.h5",
        "d",
        shape=(1, 9, 11),
        dtype="u2",
        external=[(str(secret), 0, 198)],
    )
    with h5py.File(path) as file:
        with pytest.raises(FileError, match=r"external storage\) links to .*secret\.bin"):
            lookup(file, "/d")
        assert lookup(file, "/d", "any").shape == (1, 9, 11)
