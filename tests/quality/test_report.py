"""The report of quality control, used in a browser as a user would."""

import importlib.util
import io
import json
import re
import shutil
import sys
import warnings
from html import unescape

import numpy as np
import pytest
from assessments import (
    REJECTED,
    SCANS,
    SIDE,
    STEP_M,
    assessed,
    colour_of,
    pictures_of,
    raster,
    spiral,
)
from PIL import Image

from ptypy_beamline import open_scan
from ptypy_beamline.errors import BeamlineWarning, FileError, MissingDataError
from ptypy_beamline.quality.map_areas import map_areas
from ptypy_beamline.quality.report import write_report
from ptypy_beamline.quality.thumbnails import indexed_png
from ptypy_beamline.testing.simulate import simulate
from ptypy_beamline.testing.writers import WRITERS, Raw

EVIL = 'scan <script>window.hacked = 1</script> & $title "x" \'.h5'
READY = "document.documentElement.dataset.ready === 'yes'"


needs_bokeh = pytest.mark.skipif(
    importlib.util.find_spec("bokeh") is None, reason="Bokeh is not installed"
)


@needs_bokeh
def test_report_is_one_file_without_links(tmp_path):
    page = write_report(
        tmp_path / "qc_report.html", assessed(), EVIL, {"file": EVIL}, {}
    ).read_text("utf-8")
    assert "window.hacked = 1</script>" not in page
    head = page[: page.index("<style>")]
    assert unescape(re.search("<title>(.*?)</title>", page)[1]) == EVIL
    assert "default-src 'none'" in head
    assert 'http-equiv="refresh"' not in head
    assert not re.findall(r"""<(?:script|link|img)[^>]*(?:src|href)=["']?https?:""", page)
    assert "score of 0.98 &amp; more" in page


@needs_bokeh
def test_report_replaces_a_report_only(tmp_path):
    path = tmp_path / "qc_report.html"
    write_report(path, assessed(), "first", {"file": "s.h5"}, {})
    write_report(path, assessed(), "second", {"file": "s.h5"}, {}, refresh_s=5)
    assert "<title>second" in path.read_text("utf-8")
    assert '<meta http-equiv="refresh" content="5">' in path.read_text("utf-8")
    path.write_text("<html>mine</html>")
    with pytest.raises(FileError, match="was not written by ptypy_beamline"):
        write_report(path, assessed(), "third", {"file": "s.h5"}, {})
    assert path.read_text() == "<html>mine</html>"
    assert [item.name for item in tmp_path.iterdir()] == ["qc_report.html"]


def test_report_names_a_missing_library(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "bokeh.embed", None)
    with pytest.raises(MissingDataError, match=r"pip install bokeh"):
        write_report(tmp_path / "qc_report.html", assessed(), "t", {"file": "s.h5"}, {})
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def chromium():
    """A browser without a window."""
    pytest.importorskip("bokeh", reason="Bokeh is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("Chromium is not installed")
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium, tmp_path):
    """Writes a report and opens it; no error and no request may come of it."""
    context = chromium.new_context(viewport={"width": 1400, "height": 1000})
    context.set_default_timeout(90_000)
    troubles = []

    def check(request):
        if not request.url.startswith(("file:", "data:", "blob:")):
            troubles.append(request.url)

    def listen(message):
        if message.type == "error":
            troubles.append(message.text)

    def start(found, pictures=None, **named):
        path = tmp_path / "qc_report.html"
        listed = {
            "file": named.pop("file", EVIL),
            "format": "cxi",
            "paths": {},
            "frames": found.total,
        }
        write_report(path, found, named.pop("title", "Title"), listed, pictures or {}, **named)
        page = context.new_page()
        page.on("console", listen)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", check)
        page.goto(path.as_uri())
        page.wait_for_function(READY)
        return page

    context.route(re.compile("^(https?|wss?):"), lambda route: route.abort())
    yield start
    context.close()
    assert not troubles


class Map:
    """Where on the screen the positions of one of the maps are: found by pointing at it."""

    def __init__(self, page, corner):
        self.page = page
        page.evaluate("""() => {
            window.seen = [];
            const point = qc.point.bind(qc);
            qc.point = (place) => {
                if (place) window.seen.push([place.x, place.y]);
                point(place);
            };
        }""")
        box = page.locator("#maps").bounding_box()
        screen = np.array([[corner[0] + k, corner[1] + k] for k in (0.2, 0.35)])
        self.screen = screen * (box["width"], box["height"]) + (box["x"], box["y"])
        self.place = np.array([self._seen(*point) for point in self.screen])
        page.evaluate("() => { delete qc.point; }")

    def _seen(self, x, y):
        self.page.evaluate("() => { window.seen.length = 0; }")
        self.page.mouse.move(x, y)
        self.page.wait_for_function("window.seen.length > 0")
        return self.page.evaluate("window.seen.at(-1)")

    def pixel(self, position_m):
        """(x, y) on the screen of a (row, column) in metres."""
        place = np.array(position_m)[::-1] * 1e6
        scale = (self.screen[1] - self.screen[0]) / (self.place[1] - self.place[0])
        return self.screen[0] + (place - self.place[0]) * scale

    def click(self, row):
        self.page.mouse.click(*self.pixel(raster()[row]))


FIRST, LAST = (0, 0), (0.5, 0.5)
"""Corners of the first and the last map in their section."""


def selected(page, frames):
    """Wait until just these raw frames are selected."""
    page.wait_for_function(
        """(wanted) => {
            const found = Array.from(qc.frames.selected.indices, (k) => qc.table.frame[k]);
            return String(found.sort((a, b) => a - b)) === wanted;
        }""",
        arg=",".join(map(str, sorted(frames))),
    )


def picture(page, frame):
    """What is drawn in the middle of the picture, once it is that of the frame."""
    page.wait_for_function(f"document.getElementById('picture').dataset.frame === '{frame}'")
    return tuple(
        page.evaluate("""() => {
        const canvas = document.getElementById("picture");
        const middle = [canvas.width / 2, canvas.height / 2, 1, 1];
        return Array.from(canvas.getContext("2d").getImageData(...middle).data.slice(0, 3));
    }""")
    )


def downloaded(page, tmp_path):
    with page.expect_download() as waiting:
        page.click("#download")
    name = waiting.value.suggested_filename
    assert re.fullmatch(r"reject_[A-Za-z0-9_.-]+\.json", name)
    waiting.value.save_as(tmp_path / name)
    found = json.loads((tmp_path / name).read_text())
    page_says = json.loads(page.text_content("#qc-data"))["listed"]
    assert {key: found[key] for key in page_says} == page_says
    both = [*found["accepted_indices"], *found["rejected_indices"]]
    assert sorted(both) == list(range(10, 154))
    return found["rejected_indices"]


def counts(page):
    return page.inner_text("#rejected"), page.inner_text("#accepted")


@pytest.mark.browser
@pytest.mark.parametrize("corner", [pytest.param(FIRST, marks=pytest.mark.long), LAST])
def test_click_shows_the_frame(opened, corner):
    found = assessed()
    page = opened(found, pictures_of(found, [41], (50, 50)))
    place = Map(page, corner)
    place.click(30)
    selected(page, [40])
    assert picture(page, 40) == colour_of(found.images[30, 0, 0])
    place.click(41)
    selected(page, [51])
    png = indexed_png(np.full((1, 1), 255, np.uint8), 8)
    with Image.open(io.BytesIO(png)) as brightest:
        assert picture(page, 51) == brightest.convert("RGB").getpixel((0, 0))
    assert page.get_attribute("#picture", "data-kind") == "large"
    about = page.inner_text("#about")
    assert "total counts" in about
    assert "rejected" in about
    assert "2.50 µm" in about


@pytest.mark.long
@pytest.mark.browser
def test_pointing_shows_a_frame_while_the_mouse_is_there(opened):
    found = assessed()
    page = opened(found)
    place = Map(page, FIRST)
    place.click(30)
    picture(page, 40)
    page.mouse.move(*place.pixel(raster()[66]))
    assert picture(page, 76) == colour_of(found.images[66, 0, 0])
    page.mouse.move(2, 2)
    picture(page, 40)


@pytest.mark.browser
def test_the_downloaded_list_is_that_of_its_scan(opened, tmp_path):
    """It is what the command writes; given for another scan, it is warned of."""
    for name in ("scan one.h5", "other.h5"):
        raw = Raw.of(simulate(64, (7, 22), 5, photons=1e5, seed=1))
        WRITERS["standard"](tmp_path / name, raw)
    page = opened(assessed(), file=str(tmp_path / "scan one.h5"))
    out = downloaded(page, tmp_path)
    file = str(tmp_path / "reject_scan_one.json")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plan = open_scan(tmp_path / "scan one.h5").plan(reject=file)
    assert sorted({*range(154)} - {*plan.selection.exposures[:, 0].tolist()}) == out
    with pytest.warns(
        BeamlineWarning, match=r"was made from .*scan one\.h5, not from .*other\.h5: its 4"
    ):
        open_scan(tmp_path / "other.h5").plan(reject=file)


@pytest.mark.browser
def test_reject_accept_reset_and_download(opened, tmp_path):
    page = opened(assessed())
    before = [row + 10 for row in REJECTED]
    assert counts(page) == ("4", "140")
    assert downloaded(page, tmp_path) == before
    place = Map(page, FIRST)
    place.click(66)
    selected(page, [76])
    page.click("#reject")
    assert counts(page) == ("5", "139")
    assert downloaded(page, tmp_path) == sorted([*before, 76])
    place.click(17)
    selected(page, [27])
    page.keyboard.down("Shift")
    place.click(66)
    page.keyboard.up("Shift")
    selected(page, [27, 76])
    page.click("#accept")
    assert downloaded(page, tmp_path) == [50, 51, 109]
    page.click("#reset")
    assert downloaded(page, tmp_path) == before
    page.click("#all")
    page.click("#accept")
    assert counts(page) == ("0", "144")
    assert downloaded(page, tmp_path) == []


@pytest.mark.browser
@pytest.mark.parametrize("corner", [FIRST, pytest.param(LAST, marks=pytest.mark.long)])
def test_box_selects_in_all_maps_and_the_table(opened, corner):
    page = opened(assessed())
    place = Map(page, corner)
    low, high = (place.pixel(np.array(at) * STEP_M) for at in ((1.5, 2.5), (4.5, 4.5)))
    page.mouse.move(*low)
    page.mouse.down()
    page.mouse.move(*(low + high) / 2)
    page.mouse.move(*high)
    page.mouse.up()
    rows = [row * SIDE + column for row in (2, 3, 4) for column in (3, 4)]
    selected(page, [row + 10 for row in rows])
    page.wait_for_function("document.getElementById('selected').textContent === '6 selected'")
    bright = page.evaluate("""() => Object.keys(qc.maps.levels).map((name) => {
        const image = qc.images.data[name][0], found = new Set();
        qc.maps.rows.forEach((row, k) => {
            if (row >= 0 && image[k] <= qc.data.scales.shades) found.add(row);
        });
        return found.size;
    })""")
    assert bright == [6] * 4


@pytest.mark.long
@pytest.mark.browser
def test_lasso_selects(opened):
    page = opened(assessed())
    place = Map(page, FIRST)
    page.evaluate("""() => {
        qc.tools.find((tool) => tool.tools[0].type === "LassoSelectTool").active = true;
    }""")
    corners = [(4.4, 4.6), (4.4, 7.4), (6.6, 7.4), (6.6, 6.6), (5.4, 6.6), (5.4, 4.6)]
    path = [place.pixel(np.array(corner) * STEP_M) for corner in corners]
    page.mouse.move(*path[0])
    page.mouse.down()
    for point in path[1:]:
        page.mouse.move(*point, steps=4)
    page.mouse.up()
    inside = [(5, 5), (5, 6), (5, 7), (6, 7)]
    selected(page, [row * SIDE + column + 10 for row, column in inside])


COLUMN = """(number) => {
    const found = [];
    const search = (root) => {
        for (const item of root.querySelectorAll("*")) {
            const cell = item.matches(".slick-row") && item.querySelector(`.slick-cell.l${number}`);
            if (cell) found.push([item.getBoundingClientRect().top, cell.innerText]);
            if (item.shadowRoot) search(item.shadowRoot);
        }
    };
    search(document);
    return found.sort((a, b) => a[0] - b[0]).map((pair) => pair[1]);
}"""


def column_of(page, number):
    """Texts of one column of the rows of the table that are drawn."""
    page.wait_for_selector(".slick-row")
    return page.evaluate(COLUMN, number)


@pytest.mark.long
@pytest.mark.browser
def test_table_is_sorted_and_escaped(opened):
    page = opened(assessed())
    scores = [float(text) for text in column_of(page, 1)]
    assert len(scores) > 5
    assert scores == sorted(scores, reverse=True)
    assert column_of(page, 0)[:5] == ["109", "51", "50", "27", "153"]
    assert column_of(page, 3)[3:5] == ["total counts", "<img src=x onerror=alert(1)>"]
    assert column_of(page, 6)[:5] == ["yes"] * 4 + [""]
    page.evaluate("() => { qc.frames.selected.indices = [4]; }")
    page.click("#reject")
    page.wait_for_function(f"({COLUMN})(6)[4] === 'yes'")
    page.click("#reset")
    page.wait_for_function(f"({COLUMN})(6)[4] === ''")
    page.click("#reject")
    assert counts(page) == ("5", "139")


@pytest.mark.long
@pytest.mark.browser
def test_table_row_shows_its_frame(opened):
    page = opened(assessed())
    page.locator(".slick-row .slick-cell.l0", has_text="27").first.click()
    selected(page, [27])
    picture(page, 27)


@pytest.mark.long
@pytest.mark.browser
def test_names_of_files_are_text(opened):
    page = opened(assessed(), title=EVIL)
    assert page.title() == EVIL
    assert page.inner_text("h1") == EVIL
    assert page.inner_text("header b >> nth=0") == EVIL
    assert page.evaluate("window.hacked") is None
    page.evaluate("() => { qc.frames.selected.indices = [6]; }")
    assert "<img src=x onerror=alert(1)>" in page.inner_text("#about")


@pytest.mark.long
@pytest.mark.browser
def test_classes_and_threshold_select(opened, tmp_path):
    labels = np.arange(SIDE**2) % 3
    page = opened(assessed(labels=labels))
    assert page.locator("#label option").all_inner_texts() == [
        "all classes",
        "class 0 (48)",
        "class 1 (48)",
        "class 2 (48)",
    ]
    page.select_option("#label", "1")
    page.click("#all")
    selected(page, np.flatnonzero(labels == 1) + 10)
    page.wait_for_function(f"({COLUMN})(4).every((label) => label === '1')")
    page.wait_for_function("new Set(qc.maps.rows.filter((row) => row >= 0)).size === 48")
    page.select_option("#label", "")
    page.fill("#threshold", "0.98")
    page.click("#above")
    selected(page, [row + 10 for row in REJECTED])
    page.click("#accept")
    assert downloaded(page, tmp_path) == []


@pytest.mark.long
@pytest.mark.browser
def test_page_without_classes_offers_none(opened):
    assert opened(assessed()).locator("#label").is_hidden()


@pytest.mark.browser
@pytest.mark.parametrize("refresh_s", [None, pytest.param(3600, marks=pytest.mark.long)])
def test_page_keeps_edits(opened, refresh_s):
    page = opened(assessed(), refresh_s=refresh_s)
    page.evaluate("() => { qc.frames.selected.indices = [7, 8]; }")
    page.click("#reject")
    assert counts(page) == ("6", "138")
    page.reload()
    page.wait_for_function(READY)
    assert counts(page) == ("6", "138")
    page.click("#reset")
    page.reload()
    page.wait_for_function(READY)
    assert counts(page) == ("4", "140")


@pytest.mark.long
@pytest.mark.browser
def test_page_asks_before_leaving_with_unsaved_edits(opened):
    page = opened(assessed())
    page.evaluate("() => { qc.key = () => { throw new Error('no storage'); }; }")
    page.evaluate("() => { qc.frames.selected.indices = [7, 8]; }")
    page.click("#reject")
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.reload()
    assert asked == ["beforeunload"]


@pytest.mark.long
@pytest.mark.browser
def test_rings_fit_their_frames_and_can_be_hidden(opened):
    page = opened(assessed())
    page.wait_for_function("qc.rings.data.size.length === 4")
    cell = page.evaluate(
        "qc.table.w[0] / Math.abs(qc.maps.origin.px) * qc.figures[0].frame_width / qc.maps.width"
    )
    assert page.evaluate("Math.max(...qc.rings.data.size)") <= max(6, 1.3 * cell)
    page.click("#rings")
    assert page.evaluate("qc.rings.data.x.length") == 0


@pytest.mark.long
@pytest.mark.browser
def test_colours_of_a_picture_have_a_scale(opened):
    image = np.full((64, 64), 1500, np.float32)
    page = opened(assessed(), {REJECTED[0] + 10: image})
    page.evaluate(
        f"() => {{ const row = qc.table.frame.indexOf({REJECTED[0] + 10});"
        " qc.frames.selected.indices = [row]; }"
    )
    page.wait_for_function("document.getElementById('picture').dataset.kind === 'large'")
    assert "".join(page.inner_text("#counts").split()) == "01,500counts,log"


@pytest.mark.long
@pytest.mark.browser
@pytest.mark.parametrize("scan", ["spiral", "three exposures", "line", "one position", "one frame"])
def test_click_finds_the_frame_in_any_scan(opened, scan):
    positions_m = SCANS[scan]
    page = opened(assessed(positions_m, [0]))
    place, target = Map(page, FIRST), len(positions_m) // 2
    page.mouse.click(*place.pixel(map_areas(positions_m).centers[target]))
    selected(page, [target + 10])


@pytest.mark.long
@pytest.mark.browser
def test_large_report_is_small_and_opens(opened, tmp_path, record_property):
    n = 20_000
    found = assessed(
        spiral(n),
        range(0, n, 50),
        labels=np.arange(n) % 5,
        images=np.random.default_rng(4).integers(0, 256, (n, 32, 32), dtype=np.uint8),
    )
    noise = np.random.default_rng(5).poisson(100, (40, 256, 256)).astype(np.float32)
    pictures = {int(found.frames[50 * k]): image for k, image in enumerate(noise)}
    page = opened(found, pictures)
    size = (tmp_path / "qc_report.html").stat().st_size
    ready_s = page.evaluate("performance.getEntriesByName('ready')[0].startTime") / 1000
    record_property("megabytes", size / 1e6)
    record_property("ready_s", ready_s)
    assert size < 10e6
    assert ready_s < 5 * 4  # of a machine that has other things to do
    place = Map(page, LAST)
    page.mouse.click(*place.pixel(spiral(n)[12_345]))
    selected(page, [12_355])
    assert page.get_attribute("#picture", "data-kind") == "tile"
