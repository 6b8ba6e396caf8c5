"""Chunks decoded by this package give, to the bit, what HDF5 gives; broken ones a clear error."""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import h5py
import hdf5plugin
import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from swmr_writer import growing

from ptypy_beamline.errors import FileError
from ptypy_beamline.files.hdf5 import unlocked
from ptypy_beamline.frames import Hdf5Frames
from ptypy_beamline.frames.chunks import compression, direct, lz, stored, unshuffle
from ptypy_beamline.frames.chunks.direct import decoder
from ptypy_beamline.frames.chunks.layout import Storage
from ptypy_beamline.parallel import PADDING, reading_threads, spread
from ptypy_beamline.scan import Readiness, Window

BITSHUFFLE = {
    "bitshuffle-lz4": dict(hdf5plugin.Bitshuffle(cname="lz4")),
    "bitshuffle-lz4 of 64": dict(hdf5plugin.Bitshuffle(nelems=64, cname="lz4")),
    "bitshuffle-zstd": dict(hdf5plugin.Bitshuffle(cname="zstd")),
    "bitshuffle-zstd of 64": dict(hdf5plugin.Bitshuffle(nelems=64, cname="zstd")),
    "bitshuffle": dict(hdf5plugin.Bitshuffle(cname="none")),
}
FILTERS = {
    "none": {},
    "shuffle": {"shuffle": True},
    "gzip": {"compression": "gzip"},
    "gzip-shuffle": {"compression": "gzip", "shuffle": True},
    "lzf": {"compression": "lzf"},
    "lzf-shuffle": {"compression": "lzf", "shuffle": True},
    "lz4": dict(hdf5plugin.LZ4()),
    "lz4 of 128": dict(hdf5plugin.LZ4(nbytes=128)),
    "zstd": dict(hdf5plugin.Zstd()),
    "zstd-shuffle": {**hdf5plugin.Zstd(), "shuffle": True},
    "blosc copied": dict(hdf5plugin.Blosc(cname="lz4", clevel=0)),
    **BITSHUFFLE,
    **{
        f"blosc-{name}-{how}": dict(hdf5plugin.Blosc(cname=name, shuffle=how))
        for name in ("lz4", "zstd")
        for how in (0, 1, 2)
    },
    **{f"blosc2-{how}": dict(hdf5plugin.Blosc2(filters=how)) for how in (0, 1, 2)},
}
DTYPES = ["u1", "u2", "u4", "i2", "i8", "f4", "f8", "c8", ">u2", ">f4", "bool"]


def counts(*shape: int, dtype: str = "u2", seed: int = 0) -> np.ndarray:
    """Photons: mostly few, and a masked pixel."""
    random = np.random.default_rng(seed)
    data = random.poisson(random.exponential(2, shape))
    data[..., -1, 0] = 200
    return data.astype(dtype)


def write(path: Path, data: np.ndarray, chunks: tuple[int, ...] | None = None, **how) -> Path:
    with h5py.File(path, "w", **how.pop("file", {})) as file:
        file.create_dataset("d", data=data, chunks=chunks, **how)
    return path


@contextmanager
def decoding(compiled: bool) -> Iterator[None]:
    """By compiled functions from the first frame on, or by others for ever."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(direct, "MANY_BYTES", 0 if compiled else 2**62)
        patch.setattr(direct, "FEW_BYTES", 2**62)
        yield


@pytest.fixture(autouse=True)
def compiled(request):
    with decoding(getattr(request, "param", True)):
        yield


both = pytest.mark.parametrize("compiled", [True, False], indirect=True)


def read_chunks(frames: Hdf5Frames, wanted: list[int], window: Window) -> np.ndarray:
    """What the decoders of this package make; nothing may be left to HDF5."""
    dataset, chunks = frames._open()
    out = np.empty((len(wanted), *window.shape), dataset.dtype)
    left = chunks.read(np.array(wanted, np.intp), window, out)
    assert not len(left)
    return out


def left_to_hdf5(frames: Hdf5Frames) -> bool:
    """Whether HDF5 reads all frames."""
    dataset, chunks = frames._open()
    n, ny, nx = frames.shape
    out = np.empty((n, ny, nx), dataset.dtype)
    return chunks is None or len(chunks.read(np.arange(n), Window(0, 0, ny, nx), out)) == n


def windows(shape: tuple[int, int], seed: int, count: int = 4) -> list[Window]:
    """The whole frame, its last pixel, and random ones."""
    ny, nx = shape
    random, found = (
        np.random.default_rng(seed),
        [Window(0, 0, ny, nx), Window(ny - 1, nx - 1, 1, 1)],
    )
    for _ in range(count):
        top, left = int(random.integers(ny)), int(random.integers(nx))
        height, width = random.integers(1, ny - top + 1), random.integers(1, nx - left + 1)
        found.append(Window(top, left, int(height), int(width)))
    return found


def check(frames: Hdf5Frames, data: np.ndarray, seed: int = 0, ours: bool = True) -> None:
    """Random windows of random frames are those of NumPy, with nothing left to HDF5 (``ours``)."""
    random = np.random.default_rng(seed)
    for window in windows(data.shape[1:], seed):
        wanted = np.unique(random.integers(len(data), size=int(random.integers(1, 9)))).tolist()
        expected = data[(wanted, *window.slices)]
        if ours:
            np.testing.assert_array_equal(read_chunks(frames, wanted, window), expected)
            with decoding(compiled=False):
                np.testing.assert_array_equal(read_chunks(frames, wanted, window), expected)
        np.testing.assert_array_equal(frames.read(wanted[::-1], window), expected[::-1])


# every filter --------------------------------------------------------------------------------


LAYOUTS = [
    ((5, 37, 29), (1, 37, 29)),
    ((5, 37, 29), (5, 37, 29)),
    ((4, 36, 28), (2, 12, 7)),
    ((5, 37, 29), (2, 16, 12)),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FILTERS)
def test_filters_and_types(tmp_path, name, dtype):
    for number, (shape, chunks) in enumerate(LAYOUTS):
        data = counts(*shape, dtype=dtype)
        path = write(tmp_path / f"{number}.h5", data, chunks, **FILTERS[name])
        # A chunk that reaches past the edge and is by chance as long as bare is left to HDF5.
        check(Hdf5Frames(path, "d"), data, number, ours=number < 3)


@pytest.mark.parametrize("name", ["none", "gzip", "bitshuffle-lz4", "blosc-lz4-1"])
def test_frames_larger_than_a_block(tmp_path, name):
    data = counts(3, 150, 203)
    path = write(tmp_path / "a.h5", data, (1, 150, 203), **FILTERS[name])
    check(Hdf5Frames(path, "d"), data)


@st.composite
def layouts(draw):
    """Shape, chunk, and the index on a leading axis, if there is one."""
    axes, leading = draw(st.integers(0, 2)), draw(st.booleans())
    shape = [draw(st.integers(1, 5)) for _ in range(axes + leading)]
    shape += [draw(st.integers(1, 20)) for _ in range(2)]
    chunks = tuple(draw(st.integers(1, n)) for n in shape)
    return tuple(shape), chunks, draw(st.integers(0, shape[0] - 1)) if leading else None


@settings(max_examples=60, deadline=None)
@given(layouts(), st.sampled_from(sorted(FILTERS)), st.sampled_from(DTYPES), st.integers(0, 99))
def test_any_shape_and_chunk(tmp_path_factory, layout, name, dtype, seed):
    shape, chunks, leading = layout
    data = counts(*shape, dtype=dtype)
    path = write(tmp_path_factory.mktemp("any") / "a.h5", data, chunks, **FILTERS[name])
    stack = (data if leading is None else data[leading]).reshape(-1, *shape[-2:])
    check(Hdf5Frames(path, "d", leading), stack, seed, ours=False)


def test_one_stack_in_one_go(tmp_path):
    data = counts(3, 4, 20, 30, dtype=">u2")
    frames = Hdf5Frames(write(tmp_path / "a.h5", data), "d")
    check(frames, data.reshape(12, 20, 30))
    image = Hdf5Frames(write(tmp_path / "b.h5", data[0, 0]), "d")
    check(image, data[0, 0][None])


# what a file may hold ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["none", "gzip", "bitshuffle-lz4"])
def test_chunks_that_were_never_written_hold_the_fill_value(tmp_path, name):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset(
            "d", (6, 9, 11), ">u2", chunks=(2, 5, 11), fillvalue=7, **FILTERS[name]
        )
        made[3, 2:4] = 1
    with h5py.File(tmp_path / "a.h5") as file:
        expected = file["d"][...]
    assert set(np.unique(expected)) == {1, 7}
    listed = hasattr(h5py.h5d.DatasetID, "chunk_iter")  # which chunks there are
    check(Hdf5Frames(tmp_path / "a.h5", "d"), expected, ours=listed)


@both
@pytest.mark.parametrize("name", ["gzip-shuffle", "bitshuffle-lz4", "lz4", "blosc-lz4-1"])
def test_the_filter_mask_of_a_chunk(tmp_path, name):
    """Chunks 1 and 3 are stored without any filter, as a writer may decide."""
    data = counts(5, 37, 29)
    path = write(tmp_path / "a.h5", data, (1, 37, 29), **FILTERS[name])
    with h5py.File(path, "r+") as file:
        for number in (1, 3):
            file["d"].id.write_direct_chunk((number, 0, 0), data[number].tobytes(), 0b11)
    check(Hdf5Frames(path, "d"), data)


def test_part_of_the_filters_may_be_left_out(tmp_path):
    data = counts(2, 37, 29)
    path = write(tmp_path / "a.h5", data, (1, 37, 29), **FILTERS["gzip-shuffle"])
    shuffled = data[1].reshape(-1, 1).view("u1").T.tobytes()
    with h5py.File(path, "r+") as file:
        file["d"].id.write_direct_chunk((1, 0, 0), shuffled, 0b10)
    check(Hdf5Frames(path, "d"), data)


@both
@pytest.mark.parametrize("block", [0, 64])
@pytest.mark.parametrize("header", [0, 2 * 64])
def test_bitshuffle_headers_that_other_writers_make(tmp_path, header, block):
    """A detector writes chunks itself; 0 stands for the default block."""
    data = counts(1, 64, 90)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset(
            "d",
            data.shape,
            "u2",
            chunks=data.shape,
            **hdf5plugin.Bitshuffle(nelems=block, cname="lz4"),
        )
        elements = header // 2 or block or 4096
        packed = data.size.to_bytes(8, "big")
        packed = (2 * data.size).to_bytes(8, "big") + header.to_bytes(4, "big")
        for start in range(0, data.size, elements):
            part = data.ravel()[start : start + elements]
            planes = imagecodecs.bitshuffle_encode(part, itemsize=2, blocksize=len(part))
            block_bytes = imagecodecs.lz4_encode(planes.tobytes())
            packed += len(block_bytes).to_bytes(4, "big") + block_bytes
        made.id.write_direct_chunk((0, 0, 0), packed)
    check(Hdf5Frames(tmp_path / "a.h5", "d"), data)


@pytest.mark.parametrize("name", ["none", "gzip", "bitshuffle-lz4"])
def test_chunks_whose_location_is_unknown(tmp_path, name, monkeypatch):
    data = counts(5, 37, 29)
    shifted = {"userblock_size": 512}
    path = write(tmp_path / "a.h5", data, (2, 16, 29), file=shifted, **FILTERS[name])
    check(Hdf5Frames(path, "d"), data)
    path = write(tmp_path / "b.h5", data, (2, 16, 29), **FILTERS[name])
    monkeypatch.setattr(stored, "MOST_CHUNKS", 1)
    frames = Hdf5Frames(path, "d")
    check(frames, data)
    assert isinstance(frames._open()[1]._source, stored.FromHdf5)


def other(kind: str, path: Path, data: np.ndarray) -> None:
    """A dataset that only HDF5 can read."""
    with h5py.File(path, "w") as file:
        if kind == "virtual":
            file["source"] = data
            layout = h5py.VirtualLayout(data.shape, data.dtype)
            layout[:] = h5py.VirtualSource(file["source"])
            file.create_virtual_dataset("d", layout)
        elif kind == "external":
            raw = path.with_suffix(".raw")
            raw.write_bytes(data.tobytes())
            file.create_dataset("d", data.shape, data.dtype, external=[(str(raw), 0, data.nbytes)])
        elif kind == "compact":
            created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            created.set_layout(h5py.h5d.COMPACT)
            space = h5py.h5s.create_simple(data.shape)
            made = h5py.h5d.create(file.id, b"d", h5py.h5t.NATIVE_UINT16, space, created)
            made.write(h5py.h5s.ALL, h5py.h5s.ALL, data)
        elif kind == "12 bits":
            twelve = h5py.h5t.NATIVE_UINT16.copy()
            twelve.set_precision(12)
            space = h5py.h5s.create_simple(data.shape)
            made = h5py.h5d.create(file.id, b"d", twelve, space)
            made.write(h5py.h5s.ALL, h5py.h5s.ALL, data)
        else:
            how = {"checked": {"fletcher32": True}, "scaled": {"scaleoffset": 0}}[kind]
            file.create_dataset("d", data=data, chunks=(1, *data.shape[1:]), **how)


@pytest.mark.parametrize("kind", ["virtual", "external", "compact", "12 bits", "checked", "scaled"])
def test_other_datasets_are_left_to_hdf5(tmp_path, kind):
    data = counts(4, 9, 11)
    other(kind, tmp_path / "a.h5", data)
    frames = Hdf5Frames(tmp_path / "a.h5", "d")
    assert left_to_hdf5(frames)
    np.testing.assert_array_equal(frames.read([3, 1], Window(1, 2, 5, 6)), data[[3, 1], 1:6, 2:8])


def test_some_frames_may_be_left_to_hdf5(tmp_path, monkeypatch):
    data = counts(6, 9, 11, dtype=">u2")
    path = write(tmp_path / "a.h5", data, (2, 5, 11), **FILTERS["gzip"])
    monkeypatch.setattr(
        direct.Direct, "_may_be_unfiltered", lambda _, pieces, stored: pieces.numbers % 4 == 1
    )
    frames = Hdf5Frames(path, "d")
    wanted = [5, 0, 2, 3]
    np.testing.assert_array_equal(frames.read(wanted, Window(2, 1, 7, 5)), data[wanted, 2:, 1:6])


def test_bare_chunks_at_the_edge_are_left_to_hdf5():
    """HDF5 can leave them unfiltered; only their size shows it."""
    storage = Storage((3, 9, 11), (1, 9, 8), np.dtype("u2"), (compression_filter("gzip"),))
    pieces = storage.pieces(np.arange(3), Window(0, 0, 9, 11))
    table = np.array([(0, 144 if number % 3 else 99, 0) for number in range(6)])
    bare = direct.Direct(None, storage, True)._may_be_unfiltered(pieces, stored.Stored(table, None))
    assert bare.tolist() == [False, True, False, False, False, True]


def compression_filter(name: str):
    from ptypy_beamline.frames.chunks.layout import Filter

    return Filter({"gzip": 1}[name], ())


def test_unknown_filters_and_parameters_have_no_decoder():
    from ptypy_beamline.frames.chunks.layout import Filter

    storage = Storage((3, 9, 11), (1, 9, 11), np.dtype("u2"))
    for filters in (
        [Filter(32099)],
        [Filter(1), Filter(1)],
        [Filter(1), Filter(3)],
        [Filter(2, (4,))],
        [Filter(32008, (0, 4, 4, 0, 2))],
        [Filter(32008, (0, 4, 2, 0, 9))],
        [Filter(4)],
    ):
        assert decoder(filters, storage, True) is None, filters
        assert decoder(filters, storage, False) is None, filters
    wide = Storage((3, 9, 11), (1, 9, 11), np.dtype("c16"))
    assert decoder([Filter(32008, (0, 4, 16, 0, 2))], wide, True) is None
    assert decoder([Filter(2, (16,))], wide, True) is None


# how often, how many at once -----------------------------------------------------------------


@pytest.mark.parametrize("chunks", [(4, 9, 11), (4, 5, 4)])
def test_a_chunk_is_decoded_once_for_reads_that_share_it(tmp_path, monkeypatch, chunks):
    data = counts(12, 9, 11)
    path = write(tmp_path / "a.h5", data, chunks, **FILTERS["gzip"])
    calls, inflate = [], compression.UNPACK[1][1]
    counted = lambda *args: (calls.append(1), inflate(*args))  # noqa: E731
    monkeypatch.setitem(compression.UNPACK, 1, ("DEFLATE", counted))
    frames = Hdf5Frames(path, "d")
    for start in range(0, 12, 3):
        wanted = list(range(start, start + 3))
        np.testing.assert_array_equal(frames.read(wanted, Window(0, 0, 9, 11)), data[wanted])
    tiles = -(-9 // chunks[1]) * -(-11 // chunks[2])
    assert len(calls) == 3 * tiles


def test_big_chunks_are_not_decoded_all_at_once(tmp_path, monkeypatch):
    data = counts(12, 37, 29)
    path = write(tmp_path / "a.h5", data, (3, 37, 29), **FILTERS["gzip"])
    monkeypatch.setattr(direct, "CACHE_LIMIT", 1)
    check(Hdf5Frames(path, "d"), data)


@pytest.mark.parametrize("name", ["none", "gzip", "bitshuffle-lz4", "blosc-zstd-1"])
def test_several_threads_share_one_stack(tmp_path, name):
    data = counts(40, 37, 29)
    frames = Hdf5Frames(write(tmp_path / "a.h5", data, (3, 20, 29), **FILTERS[name]), "d")

    def read(seed: int) -> None:
        random = np.random.default_rng(seed)
        for window in windows((37, 29), seed, 10):
            wanted = random.integers(40, size=9).tolist()
            np.testing.assert_array_equal(
                frames.read(wanted, window), data[(wanted, *window.slices)]
            )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read, range(16)))


def test_late_helper_threads_keep_no_reference():
    """Busy threads hand nothing out; what they were asked to do is gone with the caller."""

    class Something:
        def __call__(self, job: int) -> int:
            return job**2

    start, pool = threading.Event(), reading_threads()
    busy = [pool.submit(start.wait, 30) for _ in range(pool._max_workers)]
    run = Something()
    gone = weakref.ref(run)
    assert spread(run, range(9), 3) == [n**2 for n in range(9)]
    del run
    assert gone() is None
    start.set()
    assert all(task.result() for task in busy)


def test_the_first_error_counts():
    def run(job: int) -> None:
        if job in (3, 7):
            raise OSError(str(job))

    with pytest.raises(OSError, match="3"):
        spread(run, range(9), 4)


def test_a_rank_with_one_core_reads_in_its_own_thread(tmp_path, monkeypatch):
    data = counts(12, 37, 29)
    path = write(tmp_path / "a.h5", data, (1, 37, 29), **FILTERS["bitshuffle-lz4"])
    monkeypatch.setattr(direct, "available_threads", lambda: 1)
    monkeypatch.setattr("ptypy_beamline.parallel.reading_threads", None)
    check(Hdf5Frames(path, "d"), data)


def test_a_file_that_others_may_write_is_opened_anew(tmp_path):
    """So is one of a live scan. Where its chunks are is asked of HDF5 each time."""
    data = counts(4, 9, 11)
    path = write(tmp_path / "a.h5", data, (1, 9, 11), **FILTERS["gzip"])
    with unlocked():
        frames = Hdf5Frames(path, "d")
    check(frames, data)
    assert isinstance(frames._open()[1]._source, stored.FromHdf5)
    write(path, data + 1, (1, 9, 11), **FILTERS["bitshuffle-lz4"])
    check(frames, data + 1)


def test_a_file_that_could_not_be_locked(tmp_path):
    data = counts(4, 9, 11)
    path = write(tmp_path / "a.h5", data, (1, 9, 11), **FILTERS["gzip"])
    with h5py.File(path, locking=False) as file:
        chunks = direct.direct(file["d"], None)
        assert isinstance(chunks._source, stored.FromHdf5)


def test_a_growing_file(tmp_path):
    path = tmp_path / "live.h5"
    filters = hdf5plugin.Bitshuffle(cname="lz4")
    with growing(path, chunks=(2, 5, 11), **filters) as write_frames:
        frames = None
        for count in (3, 4, 9):
            write_frames(count)
            frames = frames or Hdf5Frames(path, "d")
            assert frames.ready() == Readiness(count, complete=False)
            data = np.arange(count * 99).reshape(count, 9, 11).astype("u2")
            np.testing.assert_array_equal(frames.read(range(count), Window(0, 0, 9, 11)), data)
            assert isinstance(frames._open()[1]._source, stored.FromHdf5)
    check(frames, data)


# broken files --------------------------------------------------------------------------------


def damage(path: Path, number: int, how: str) -> bool:
    """Shorten a chunk or overwrite its beginning; whether that can be seen."""
    with h5py.File(path, "r+") as file:
        dataset = file["d"]
        mask, data = dataset.id.read_direct_chunk((number, 0, 0))
        cut = {"short": len(data) // 2, "empty": 1}.get(how, len(data))
        dataset.id.write_direct_chunk((number, 0, 0), data[:cut], mask)
        place = dataset.id.get_chunk_info_by_coord((number, 0, 0)).byte_offset
        filtered = mask == 0 and not set(dataset._filters) <= {"shuffle"}
    if how == "begin":
        with path.open("r+b") as file:
            file.seek(place)
            file.write(b"\xff" * 20)
    return filtered or how != "begin"


@both
@pytest.mark.parametrize("how", ["begin", "short", "empty"])
@pytest.mark.parametrize("name", [name for name in FILTERS if name != "none"])
def test_a_damaged_chunk_names_file_dataset_and_frame(tmp_path, name, how):
    data = np.random.default_rng(0).integers(0, 60, (6, 37, 29)).astype("u2")
    path = write(tmp_path / "a.h5", data, (1, 37, 29), **FILTERS[name])
    visible = damage(path, 3, how)
    frames = Hdf5Frames(path, "d")
    np.testing.assert_array_equal(frames.read([2, 4], Window(0, 0, 37, 29)), data[[2, 4]])
    if not visible or (name == "bitshuffle" and how == "begin"):
        return
    with pytest.raises(
        FileError, match=r"a\.h5: frame 3 of d cannot be read \(.+\); rej"
    ) as caught:
        frames.read(range(6), Window(0, 0, 37, 29))
    assert isinstance(caught.value.__cause__, OSError)


def test_an_uncompressed_chunk_of_a_wrong_size(tmp_path):
    path = write(tmp_path / "a.h5", counts(6, 37, 29), (1, 37, 29), compression="gzip")
    with h5py.File(path, "r+") as file:
        file["d"].id.write_direct_chunk((3, 0, 0), b"12345", 1)
    with pytest.raises(FileError, match=r"frame 3 of d .+ \(it has 5 bytes, not 2146\)"):
        Hdf5Frames(path, "d").read(range(6), Window(0, 0, 37, 29))


@pytest.mark.parametrize("maxshape", [(6, 8, None), (6, None, 8), (None, 8, 8), (None, 8, None)])
@pytest.mark.parametrize("whole", [True, False])
def test_a_dataset_that_may_grow_along_any_axis(tmp_path, maxshape, whole):
    """HDF5 2.0 gives other addresses of chunks if that is not the first."""
    data = counts(6, 8, 8)
    with h5py.File(tmp_path / "a.h5", "w", libver="latest") as file:
        made = file.create_dataset("d", data.shape, data.dtype, chunks=(1, 4, 4), maxshape=maxshape)
        made[: 6 if whole else 4] = data[: 6 if whole else 4]
        expected = made[:]
    frames = Hdf5Frames(tmp_path / "a.h5", "d")
    np.testing.assert_array_equal(frames.read(range(6), Window(0, 0, 8, 8)), expected)
    written = frames.written()
    assert written is None if whole else written.tolist() == [True] * 4 + [False] * 2


def test_a_chunk_that_the_index_has_without_bytes_is_damage(tmp_path):
    """It is not one that was never written."""
    path = write(tmp_path / "a.h5", counts(6, 37, 29), (1, 37, 29), **FILTERS["bitshuffle-lz4"])
    size = where_chunk_is(path, 2)[1]
    content = path.read_bytes()
    key = size.to_bytes(4, "little") + bytes(4) + (2).to_bytes(8, "little")
    assert content.count(key) == 1
    path.write_bytes(content.replace(key, bytes(8) + (2).to_bytes(8, "little")))
    with pytest.raises(FileError, match=r"a\.h5: frame 2 of d cannot be read"):
        Hdf5Frames(path, "d").read(range(6), Window(0, 0, 37, 29))


@pytest.mark.parametrize("name", ["none", "bitshuffle-lz4"])
def test_a_file_that_shrinks_while_it_is_open(tmp_path, name):
    path = write(tmp_path / "a.h5", counts(6, 37, 29), (1, 37, 29), **FILTERS[name])
    frames = Hdf5Frames(path, "d")
    frames.read([0], Window(0, 0, 37, 29))
    if not isinstance(frames._open()[1]._source, stored.Stored):
        pytest.skip("this HDF5 does not tell where all chunks are")
    os.truncate(path, where_chunk_is(path, 4)[0] + 5)
    for some in ([3], range(6)):
        with pytest.raises(FileError, match=r"a\.h5: the file has changed since it was opened"):
            frames.read(some, Window(0, 0, 37, 29))


@both
@pytest.mark.parametrize("name", FILTERS)
def test_random_damage_never_crashes(tmp_path, name):
    """Any bytes give pixels or an error, also where HDF5's own filters would read astray."""
    data = counts(1, 64, 90)
    path = write(tmp_path / "a.h5", data, (1, 64, 90), **FILTERS[name])
    random = np.random.default_rng(0)
    good, (place, size) = path.read_bytes(), where_chunk_is(path, 0)
    for _ in range(40):
        bad = bytearray(good)
        for at in random.integers(0, min(size, 60 if random.random() < 0.7 else size), 3):
            bad[place + at] = random.integers(256)
        path.write_bytes(bad)
        try:
            out = read_or_left(Hdf5Frames(path, "d"), Window(3, 5, 50, 70))
        except OSError:
            continue
        assert out is None or out.shape == (1, 50, 70)


def where_chunk_is(path: Path, number: int) -> tuple[int, int]:
    with h5py.File(path) as file:
        found = file["d"].id.get_chunk_info_by_coord((number, 0, 0))
    return found.byte_offset, found.size


def read_or_left(frames: Hdf5Frames, window: Window) -> np.ndarray | None:
    """The first frame by our decoders; None where they leave it to HDF5."""
    dataset, chunks = frames._open()
    out = np.empty((1, *window.shape), dataset.dtype)
    return None if len(chunks.read(np.array([0]), window, out)) else out


# the compiled decoders -----------------------------------------------------------------------


def padded(data: bytes) -> np.ndarray:
    return np.frombuffer(data + bytes(PADDING), np.uint8).copy()


def guarded(room: int) -> tuple[np.ndarray, np.ndarray]:
    """A buffer, and what lies behind its padding."""
    whole = np.full(room + PADDING + 256, 0xA5, np.uint8)
    return whole[: room + PADDING], whole[room + PADDING :]


def lz4(data: bytes, room: int, enough: int) -> tuple[int, np.ndarray]:
    out, guard = guarded(room)
    done = lz.lz4(padded(data), 0, len(data), out, room, enough)
    assert (guard == 0xA5).all()
    return done, out[:room]


def lzf(data: bytes, room: int, enough: int) -> tuple[int, np.ndarray]:
    out, guard = guarded(room)
    done = lz.lzf(padded(data), len(data), out, room, enough)
    assert (guard == 0xA5).all()
    return done, out[:room]


def samples() -> list[bytes]:
    """Runs of every period, and noise between them."""
    random = np.random.default_rng(0)
    found = [bytes(1000), b"", b"a", random.bytes(3000), counts(3, 30, 30).tobytes()]
    for period, length in itertools.product((*range(1, 40), 300), (20, 700)):
        pattern = random.bytes(period)
        found.append(random.bytes(7) + (pattern * (length // period + 1))[:length] + b"end, end")
    return found


@pytest.mark.parametrize(("ours", "encode"), [(lz4, "lz4_encode"), (lzf, "lzf_encode")])
def test_lz4_and_lzf(ours, encode):
    for plain in filter(None, samples()):
        try:
            packed = getattr(imagecodecs, encode)(plain)
        except RuntimeError:  # LZF gives up where nothing is gained
            continue
        done, out = ours(packed, len(plain), len(plain))
        assert done == len(plain)
        assert out.tobytes() == plain
        enough = len(plain) // 2
        done, out = ours(packed, len(plain), enough)
        assert done >= enough
        assert out[:enough].tobytes() == plain[:enough]
        assert ours(packed[:-1], len(plain), len(plain))[0] < len(plain)
        assert ours(packed, len(plain) - 1, len(plain))[0] < len(plain)


@pytest.mark.parametrize("ours", [lz4, lzf])
@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=200), room=st.integers(0, 300))
def test_lz4_and_lzf_stay_inside_whatever_they_get(ours, data, room):
    done, _ = ours(data, room, room)
    assert -1 <= done <= room


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_bitshuffle_stays_inside_whatever_it_gets(data):
    size = data.draw(st.integers(1, 12)) * data.draw(st.integers(1, 30))
    header = (2 * size).to_bytes(8, "big") + data.draw(
        st.sampled_from(
            [bytes(4), (16).to_bytes(4, "big"), (4096).to_bytes(4, "big"), b"\xff" * 3 + b"\xf0"]
        )
    )
    packed = header + data.draw(st.binary(max_size=120))
    whole = np.full(2 * size + 128, 0xA5, np.uint8)
    target, guard = whole[: 2 * size].view("u2"), whole[2 * size :]
    zero = np.zeros(1, np.intp)
    broken = unshuffle.cut_lz4_bits(
        padded(packed),
        np.array([0, len(packed)]),
        4096,
        np.empty(2 * size + PADDING, np.uint8),
        (size, size, size),
        np.array([[0, 1, 0]]),
        zero,
        zero,
        np.array([[0, 0, 1, size, 0, 0]]),
        np.empty(32, "u2"),
        target,
        (1, size),
    )
    assert broken in (-1, 0)
    assert (guard == 0xA5).all()
