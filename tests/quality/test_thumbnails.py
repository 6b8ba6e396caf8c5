"""Pictures of single frames, and all frames in one contact sheet."""

import base64
import io
import re

import numpy as np
import pytest
from assessments import assessed, colour_of, pictures_of
from PIL import Image

from ptypy_beamline.errors import FileError
from ptypy_beamline.quality.thumbnails import contact_sheet, grey_levels, shrink, write_thumbnails


def test_thumbnails_are_in_order_of_score(tmp_path):
    found = assessed()
    write_thumbnails(tmp_path / "thumbs", found, pictures_of(found, [3, 17, 99]), 30, title="<b>")
    page = (tmp_path / "thumbs" / "index.html").read_text(encoding="utf-8")
    assert re.findall(r'src="(.*?)"', page) == [
        "frame_000109.png",
        "frame_000027.png",
        "frame_000013.png",
    ]
    names = {path.name for path in (tmp_path / "thumbs").iterdir()}
    assert names == {"index.html", *re.findall(r'src="(.*?)"', page)}
    assert re.findall(r">(rejected|accepted)<", page) == ["rejected", "rejected", "accepted"]
    assert "<img src=x" not in page
    assert "<b></" not in page
    assert "deviation 20." in page
    assert "x 1.5 µm, y 4 µm" in page.replace("\xa0", " ")
    assert "<script" not in page
    assert "http" not in page
    with Image.open(tmp_path / "thumbs" / "frame_000109.png") as picture:
        assert picture.size == (30, 20)


def test_thumbnails_show_counts_on_a_logarithmic_scale():
    counts = np.array([[0, 9], [99, np.nan]], np.float32)
    np.testing.assert_array_equal(grey_levels(counts, 99, 2), [[0, 128], [255, 0]])
    np.testing.assert_array_equal(grey_levels(counts, 99, 4)[::2, ::2], grey_levels(counts, 99, 2))
    assert grey_levels(np.full((8, 4), 9, np.float32), 99, 4).tolist() == [[128] * 2] * 4


def test_thumbnails_replace_their_own_folder_only(tmp_path):
    found, folder = assessed(), tmp_path / "thumbs"
    write_thumbnails(folder, found, pictures_of(found, [1, 2]))
    write_thumbnails(folder, found, pictures_of(found, [2]))
    assert {path.name for path in folder.iterdir()} == {"index.html", "frame_000012.png"}
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(FileError, match="was not written by ptypy_beamline"):
        write_thumbnails(folder, found, pictures_of(found, [1]))
    (folder / "notes.txt").unlink()
    (folder / "index.html").write_text("<html>mine</html>")
    with pytest.raises(FileError, match="was not written by ptypy_beamline"):
        write_thumbnails(folder, found, pictures_of(found, [1]))
    assert (folder / "frame_000012.png").is_file()


def test_thumbnails_are_complete_or_absent(tmp_path):
    found, folder = assessed(), tmp_path / "thumbs"
    write_thumbnails(folder, found, pictures_of(found, [1]))
    spoilt = {**pictures_of(found, [17, 99]), 13: "no picture"}
    with pytest.raises((AttributeError, TypeError)):
        write_thumbnails(folder, found, spoilt)
    assert {path.name for path in folder.iterdir()} == {"index.html", "frame_000011.png"}
    assert [path.name for path in tmp_path.iterdir()] == ["thumbs"]


def test_tiles_of_the_contact_sheet_are_means_and_fit_the_budget():
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (500, 32, 32), dtype=np.uint8)
    expected = images.reshape(500, 16, 2, 16, 2).mean((2, 4))
    np.testing.assert_allclose(shrink(images, 16), expected, atol=0.51)
    for budget, side in ((10**7, 32), (100_000, 16), (5_000, 8)):
        sheet = contact_sheet(images, budget)
        assert len(sheet.url) <= budget
        assert (sheet.side, sheet.count == 500) == (side, side > 8)


def test_the_contact_sheet_shows_each_picture():
    images = assessed().images
    sheet = contact_sheet(images, 10**6)
    with Image.open(io.BytesIO(base64.b64decode(sheet.url.split(",")[1]))) as image:
        pixels = np.asarray(image.convert("RGB"))
    for tile, image in enumerate(images):
        y, x = (sheet.side * k for k in divmod(tile, sheet.columns))
        assert tuple(pixels[y + 1, x + 1]) == colour_of(image[0, 0])
