"""Links that lead out of a file's folder, however they are hidden, wherever they are used."""

from __future__ import annotations

import os

import h5py
import numpy as np
import pytest
import reconstructions
from scans import all_frames

from ptypy_beamline import open_scan
from ptypy_beamline.cli import main
from ptypy_beamline.errors import BeamlineError, FileError
from ptypy_beamline.reconstruction.io.hdf5 import write_reconstruction
from ptypy_beamline.testing.simulate import simulate
from ptypy_beamline.testing.writers import WRITERS, Raw

SHAPE = {
    "frames": (9, 16, 16),
    "x": (9,),
    "dark": (16, 16),
    "flat": (16, 16),
    "mask": (16, 16),
    "monitor": (9,),
}
PATHS = {
    "frames": "/entry/data",
    "x": "/entry/posx_m",
    "dark": "/entry/dark",
    "flat": "/entry/flat",
    "mask": "/entry/mask",
    "monitor": "/entry/monitor",
}


def secret_of(folder, shape):
    path = folder.parent / "outside.h5"
    with h5py.File(path, "w") as file:
        file["secret"] = np.ones(shape, np.uint8)
        file["secret_0"] = np.ones(shape, np.uint8)
    (folder.parent / "outside.raw").write_bytes(bytes(int(np.prod(shape))))
    return path


def virtual(group, name, shape, file, source):
    layout = h5py.VirtualLayout(shape, np.uint8)
    layout[...] = h5py.VirtualSource(file, source, shape)
    group.create_virtual_dataset(name, layout)


def printf(group, name, shape, file, source):
    """A source whose name has a number; one block of it."""
    space = h5py.h5s.create_simple(shape, (h5py.h5s.UNLIMITED, *shape[1:]))
    selected = h5py.h5s.create_simple(shape, (h5py.h5s.UNLIMITED, *shape[1:]))
    selected.select_hyperslab(
        (0,) * len(shape),
        (h5py.h5s.UNLIMITED, *(1,) * (len(shape) - 1)),
        (1,) * len(shape),
        (1, *shape[1:]),
    )
    source_space = h5py.h5s.create_simple((1, *shape[1:]))
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_virtual(selected, file.encode(), source.encode(), source_space)
    h5py.h5d.create(group.id, name.encode(), h5py.h5t.NATIVE_UINT8, space, made)


def raw(group, name, shape, file):
    group.create_dataset(name, shape, np.uint8, external=[(str(file), 0, h5py.h5f.UNLIMITED)])


def decoy(path, shape):
    with h5py.File(path, "w") as file:
        file["secret"] = np.zeros(shape, np.uint8)


def direct(file, name, shape, folder, secret):
    file[name] = h5py.ExternalLink(str(secret), "/secret")


def relative(file, name, shape, folder, secret):
    file[name] = h5py.ExternalLink("../outside.h5", "/secret")


def through_a_symlink(file, name, shape, folder, secret):
    (folder / "inside.h5").symlink_to(secret)
    file[name] = h5py.ExternalLink("inside.h5", "/secret")


def through_a_folder(file, name, shape, folder, secret):
    (folder / "sub").symlink_to(secret.parent)
    file[name] = h5py.ExternalLink("sub/outside.h5", "/secret")


def chain(file, name, shape, folder, secret):
    with h5py.File(folder / "inside.h5", "w") as inside:
        inside["here"] = h5py.ExternalLink(str(secret), "/secret")
    file[name] = h5py.ExternalLink("inside.h5", "/here")


def soft(file, name, shape, folder, secret):
    file["there"] = h5py.ExternalLink(str(secret), "/secret")
    file[name] = h5py.SoftLink("/there")


def source(file, name, shape, folder, secret):
    virtual(file, name, shape, str(secret), "secret")


def own_source(file, name, shape, folder, secret):
    file["there"] = h5py.ExternalLink(str(secret), "/secret")
    virtual(file, name, shape, ".", "/there")


def own_raw_source(file, name, shape, folder, secret):
    raw(file, "there", shape, folder.parent / "outside.raw")
    virtual(file, name, shape, ".", "/there")


def source_inside(file, name, shape, folder, secret):
    with h5py.File(folder / "inside.h5", "w") as inside:
        inside["here"] = h5py.ExternalLink(str(secret), "/secret")
    virtual(file, name, shape, "inside.h5", "here")


def raw_storage(file, name, shape, folder, secret):
    raw(file, name, shape, folder.parent / "outside.raw")


def linked_raw_storage(file, name, shape, folder, secret):
    with h5py.File(folder / "inside.h5", "w") as inside:
        raw(inside, "here", shape, folder.parent / "outside.raw")
    file[name] = h5py.ExternalLink("inside.h5", "/here")


def numbered_files(file, name, shape, folder, secret):
    (folder / "part_0.h5").symlink_to(secret)
    printf(file, name, shape, "part_%b.h5", "secret")


def numbered_datasets(file, name, shape, folder, secret):
    file["here_0"] = h5py.ExternalLink(str(secret), "/secret")
    printf(file, name, shape, ".", "/here_%b")


def percent(file, name, shape, folder, secret):
    """HDF5 reads ``%%`` as ``%``."""
    file["there%"] = h5py.ExternalLink(str(secret), "/secret")
    virtual(file, name, shape, ".", "/there%%")


def percent_file(file, name, shape, folder, secret):
    (folder / "part%.h5").symlink_to(secret)
    decoy(folder / "part%%.h5", shape)
    virtual(file, name, shape, "part%%.h5", "secret")


def numbered_groups(file, name, shape, folder, secret):
    file["here_0"] = h5py.ExternalLink(str(secret), "/")
    printf(file, name, shape, ".", "/here_%b/secret")


def numbered_folders(file, name, shape, folder, secret):
    (folder / "part_0").mkdir()
    (folder / "part_0/one.h5").symlink_to(secret)
    printf(file, name, shape, "part_%b/one.h5", "secret")


def brackets(file, name, shape, folder, secret):
    """Which are no pattern: ``p_0.h5`` is a decoy."""
    (folder / "[p]_0.h5").symlink_to(secret)
    decoy(folder / "p_0.h5", shape)
    printf(file, name, shape, "[p]_%b.h5", "secret")


HIDDEN = [
    direct,
    relative,
    through_a_symlink,
    through_a_folder,
    chain,
    soft,
    source,
    own_source,
    own_raw_source,
    source_inside,
    raw_storage,
    linked_raw_storage,
    numbered_files,
    numbered_datasets,
    percent,
    percent_file,
    numbered_groups,
    numbered_folders,
    brackets,
]


@pytest.mark.parametrize("hide", HIDDEN)
@pytest.mark.parametrize("place", PATHS)
def test_nothing_outside_is_read(tmp_path, place, hide):
    folder = tmp_path / "folder"
    folder.mkdir()
    secret, shape = secret_of(folder, SHAPE[place]), SHAPE[place]
    truth = simulate(16, (3, 3), 2, photons=1e4)
    path = WRITERS["standard"](folder / "scan.h5", Raw.of(truth))
    with h5py.File(path, "a") as file:
        if PATHS[place] in file:
            del file[PATHS[place]]
        if place == "x":
            del file["/entry/pos"]
        hide(file, PATHS[place], shape, folder, secret)
    with pytest.raises(FileError, match="outside") as caught:
        open_scan(path, monitor=place == "monitor" or None).plan()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("hide", HIDDEN)
def test_no_result_contains_data_from_outside(tmp_path, hide, capsys):
    folder = tmp_path / "folder"
    folder.mkdir()
    path = write_reconstruction(reconstructions.exact(), folder / "found.h5")
    with h5py.File(path, "a") as file:
        shape = file["object/phase"].shape
        for name in ("object/complex", "object/phase"):
            del file[name]
        hide(file, "/object/complex", shape, folder, secret_of(folder, shape))
    assert main(["export", str(path), "--to", "h5", "-o", str(folder / "copy.h5")]) == 1
    message = capsys.readouterr().err
    assert "outside" in message
    assert len(message.splitlines()) == 1
    assert not (folder / "copy.h5").exists()


def test_a_chain_of_virtual_datasets_has_an_end(tmp_path):
    truth = simulate(16, (3, 3), 2, photons=1e4)
    path, shape = WRITERS["standard"](tmp_path / "scan.h5", Raw.of(truth)), truth.frames.shape
    with h5py.File(path, "a") as file:
        file["v0"] = file["/entry/data"][()].astype(np.uint8)
        del file["/entry/data"]
        for number in range(1, 20):
            virtual(file, f"v{number}", shape, ".", f"/v{number - 1}")
        virtual(file, "/entry/data", shape, ".", "/v19")
    with pytest.raises(FileError, match="more than 16"):
        open_scan(path).plan()


@pytest.mark.parametrize("way", ["./raw", "/entry/./raw/.", "50%"])
def test_other_ways_of_writing_a_path_are_followed(tmp_path, way):
    truth = simulate(16, (3, 3), 2, photons=200)
    path = WRITERS["standard"](tmp_path / "scan.h5", Raw.of(truth))
    with h5py.File(path, "a") as file:
        frames = file["/entry/data"][()].astype(np.uint8)
        del file["/entry/data"]
        if way == "50%":
            with h5py.File(tmp_path / "50%.h5", "w") as other:
                other["raw"] = frames
            virtual(file, "/entry/data", frames.shape, "50%%.h5", "raw")
        else:
            file["/entry/raw"] = frames
            file["/entry/data"] = h5py.SoftLink(way)
    plan = open_scan(path).plan()
    assert sum(block.frames.sum() for block in plan.blocks()) == truth.frames.sum()


def test_links_inside_the_folder_are_followed(tmp_path):
    truth = simulate(16, (3, 3), 2, photons=1e4)
    path = WRITERS["standard"](tmp_path / "scan.h5", Raw.of(truth))
    with h5py.File(path, "a") as file, h5py.File(tmp_path / "frames.h5", "w") as other:
        other["numbers"] = file["/entry/data"][()]
        file["mine"] = h5py.ExternalLink("frames.h5", "/numbers")
        del file["/entry/data"]
        layout = h5py.VirtualLayout(truth.frames.shape, other["numbers"].dtype)
        layout[...] = h5py.VirtualSource(".", "/mine", truth.frames.shape)
        file.create_virtual_dataset("/entry/data", layout)
    plan = open_scan(path).plan()
    np.testing.assert_array_equal(all_frames(plan)[0], truth.frames)
    assert issubclass(FileError, BeamlineError)


# places that HDF5 looks at, and what is no file ------------------------------------------------


def scan_of(folder):
    return WRITERS["standard"](folder / "a.h5", Raw.of(simulate(16, (3, 3), 2)))


def test_the_current_folder_is_not_searched_for_links(tmp_path, monkeypatch):
    """HDF5 looks there before it looks beside the file that a symbolic link leads to."""
    for name in ("scan", "links", "here"):
        (tmp_path / name).mkdir()
    path = scan_of(tmp_path / "scan")
    with h5py.File(path, "a") as file:
        del file["entry/data"]
        virtual(file["entry"], "data", SHAPE["frames"], "source.h5", "secret")
    decoy(tmp_path / "scan/source.h5", SHAPE["frames"])
    with h5py.File(tmp_path / "here/source.h5", "w") as file:
        file["secret"] = np.full(SHAPE["frames"], 7, np.uint8)
    (tmp_path / "links/a.h5").symlink_to(path)
    monkeypatch.chdir(tmp_path / "here")
    open_scan(path)
    with pytest.raises(FileError, match=r"links to source\.h5, outside"):
        open_scan(tmp_path / "links/a.h5")


def test_storage_in_a_device_is_refused_beside_a_file_of_its_name(tmp_path):
    path = scan_of(tmp_path)
    (tmp_path / "zero").write_bytes(bytes(int(np.prod(SHAPE["frames"]))))
    with h5py.File(path, "a") as file:
        del file["entry/data"]
        raw(file["entry"], "data", SHAPE["frames"], "/dev/zero")
    with pytest.raises(FileError, match="links to /dev/zero, outside"):
        open_scan(path)
    with pytest.raises(FileError, match="links to /dev/zero, which is no regular file"):
        open_scan(path, links="any")


def test_storage_that_was_cut_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path, size = scan_of(tmp_path), int(np.prod(SHAPE["frames"]))
    (tmp_path / "frames.raw").write_bytes(bytes(size // 2))
    with h5py.File(path, "a") as file:
        del file["entry/data"]
        file["entry"].create_dataset(
            "data", SHAPE["frames"], np.uint8, external=[("frames.raw", 0, size)]
        )
    with pytest.raises(FileError, match=f"has {size // 2} bytes in frames.raw, of {size}"):
        open_scan(path)


@pytest.mark.timeout(60)
def test_a_link_to_a_pipe_is_not_waited_for(tmp_path):
    path = scan_of(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with h5py.File(path, "a") as file:
        file["exchange"] = h5py.ExternalLink("pipe", "/d")
    assert open_scan(path).format == "standard"
    with h5py.File(path, "a") as file:
        del file["entry/data"]
        file["entry/data"] = h5py.ExternalLink("pipe", "/d")
    with pytest.raises(BeamlineError):
        open_scan(path)
