"""Pictures of reconstructions: what is in them, and that nothing hides anything."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from functools import cache
from itertools import combinations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imread
from matplotlib.transforms import Bbox
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar
from numpy.testing import assert_allclose, assert_array_equal
from reconstructions import true_reconstruction

from ptypy_beamline.cli import main
from ptypy_beamline.cli.flags import postprocess
from ptypy_beamline.errors import SettingsError
from ptypy_beamline.plotting import hue_and_brightness, in_words, round_length_m
from ptypy_beamline.reconstruction.area import Rectangle, scanned
from ptypy_beamline.reconstruction.io.hdf5 import write_reconstruction
from ptypy_beamline.reconstruction.io.product import export_product
from ptypy_beamline.reconstruction.plot import PlotStyle, compose, draw
from ptypy_beamline.reconstruction.postprocess import Postprocess, finish
from ptypy_beamline.testing.simulate import sample

SHAPES = {
    "square": (120, 120),
    "tall": (400, 90),
    "wide": (90, 400),
    "ribbon": (24, 600),
    "needle": (600, 24),
}


def shaped(shape=(120, 120), layers=1, modes=1):
    """A reconstruction of another shape of object, with positions all over it."""
    found, rng = true_reconstruction(layers, modes), np.random.default_rng(3)
    points = (rng.random((150, 2)) - 0.5) * (np.array(shape) - 20)
    return replace(
        found,
        object=np.array([sample(shape, rng) for _ in range(layers)]),
        positions_m=points * found.pixel_m + found.center_m,
        indices=np.arange(150),
    )


def drawn(found, **style):
    """The figure, laid out, of all of an object."""
    figure = compose(finish(found, Postprocess()), PlotStyle(dpi=100, **style))
    FigureCanvasAgg(figure).draw()
    return figure


@cache
def plain():
    """The figure of ``true_reconstruction()``."""
    return drawn(true_reconstruction())


def titled(figure, start: str) -> Axes:
    """The axes whose title begins so."""
    (found,) = [axes for axes in figure.axes if axes.get_title("left").startswith(start)]
    return found


def words(figure) -> str:
    """All that is written."""
    return " | ".join(text.get_text() for text in figure.findobj(lambda a: hasattr(a, "get_text")))


def outline(axes: Axes) -> Bbox:
    """What an axes takes up: image, title, colour bar, scale bar."""
    return axes.get_tightbbox()


@pytest.mark.parametrize(
    ("shape", "layers", "modes"),
    [
        ("square", 1, 1),
        ("square", 3, 2),
        ("tall", 1, 6),
        ("tall", 3, 1),
        ("wide", 1, 3),
        ("wide", 3, 6),
        ("ribbon", 1, 2),
        ("needle", 1, 1),
    ],
)
def test_nothing_overlaps_nothing_is_cut_off_and_it_fits_a_page(shape, layers, modes):
    figure = drawn(shaped(SHAPES[shape], layers, modes))
    colour_bars = {bar for axes in figure.axes for bar in axes.child_axes}
    panels = [axes for axes in figure.axes if axes not in colour_bars and axes.get_visible()]
    assert len(panels) == 2 * layers + modes + 3  # and wheel, its words, error curve
    boxes = [outline(axes) for axes in panels]
    for box in boxes:
        assert min(box.x0, box.y0) >= -1
        assert box.x1 <= figure.bbox.x1 + 1
        assert box.y1 <= figure.bbox.y1 + 1
    for one, other in combinations(boxes, 2):
        shared = Bbox.intersection(one, other)
        assert shared is None or min(shared.width, shared.height) < 2
    width, height = figure.get_size_inches()
    assert 6 < width < 15
    assert 5 < height < 12
    assert max(boxes[0].width, boxes[0].height) > 260  # of 100 an inch


def test_phase_and_amplitude_are_the_objects():
    found = shaped(layers=2)
    figure = drawn(found)
    for layer, depth in ((0, "0"), (1, "2 µm")):
        for name, image in (("phase", np.angle(found.object)), ("amplitude", abs(found.object))):
            axes = titled(figure, f"Layer {layer + 1}, z = {depth}: {name}")
            assert_array_equal(axes.images[0].get_array(), image[layer])


def test_colours_are_those_of_the_scanned_area():
    found = true_reconstruction()
    obj = found.object.copy()
    obj[:, :20] *= 9
    image = titled(drawn(replace(found, object=obj)), "Amplitude").images[0]
    rows, columns = scanned(found)
    assert image.norm.vmax <= abs(obj[0, rows, columns]).max()


@pytest.mark.parametrize("whole", [False, True])
def test_values_that_are_not_finite_do_not_hide_the_rest(whole):
    obj = true_reconstruction().object.copy()
    obj[:, 60:62] = np.nan
    figure = drawn(
        replace(true_reconstruction(), object=np.full_like(obj, np.nan) if whole else obj)
    )
    norm = titled(figure, "Phase").images[0].norm
    assert np.isfinite([norm.vmin, norm.vmax]).all()


def test_a_flat_image_does_not_show_its_rounding():
    obj = np.exp(1j * np.angle(true_reconstruction().object)).astype(np.complex64)
    figure = drawn(replace(true_reconstruction(), object=obj))
    image = titled(figure, "Amplitude").images[0]
    assert image.norm.vmin < 1 < image.norm.vmax
    assert image.norm.vmax - image.norm.vmin > 0.9e-3
    assert "+1" not in words(figure)


@pytest.mark.parametrize("shape", [SHAPES["square"], SHAPES["needle"]])
def test_scale_bar_is_as_long_as_it_says(shape):
    figure = drawn(shaped(shape))
    axes = titled(figure, "Phase")
    (bar,) = axes.findobj(AnchoredSizeBar)
    number, unit = bar.txt_label.get_text().split()
    length_m = float(number) * {"nm": 1e-9, "µm": 1e-6}[unit]
    (line,) = bar.size_bar.get_children()
    start, stop = line.get_window_extent(figure.canvas.get_renderer()).get_points()[:, 0]
    pixels = (stop - start) / axes.get_window_extent().width * shape[1]
    assert pixels * 10e-9 == pytest.approx(length_m, rel=0.12)  # and the line's own width


def test_pixels_that_are_not_square_are_drawn_in_proportion():
    found = shaped()
    figure = drawn(replace(found, pixel_m=(20e-9, 10e-9)))
    box = titled(figure, "Phase").get_window_extent()
    assert box.height / box.width == pytest.approx(2, rel=0.02)
    assert "object pixel 20 nm × 10 nm" in words(figure)


@pytest.mark.parametrize(
    ("most_m", "length_m", "text"),
    [
        (333e-9, 200e-9, "200 nm"),
        (1e-6, 1e-6, "1 µm"),
        (0.99e-6, 500e-9, "500 nm"),
        (5.2e-6, 5e-6, "5 µm"),
        (2.5e-9, 2e-9, "2 nm"),
        (0.7e-9, 0.5e-9, "0.5 nm"),
        (3e-3, 2e-3, "2 mm"),
    ],
)
def test_round_lengths(most_m, length_m, text):
    assert round_length_m(most_m) == pytest.approx(length_m)
    assert in_words(length_m) == text


def test_modes_are_sorted_and_have_their_share_of_the_power():
    found = true_reconstruction(modes=8)
    power = np.array([4, 80, 1, 10, 2, 0.00001, 2.9, 0.1])
    probe = np.array([found.probe[0] * np.sqrt(p / 100) for p in power], np.complex64)
    shown = words(drawn(replace(found, probe=probe)))
    places = [shown.index(f"{share}%") for share in ("80.0", "10.0", "4.0", "2.9", "2.0", "1.0")]
    assert places == sorted(places)
    assert "Probe, 6 of 8 modes" in shown
    assert "0.1%" not in shown


def test_probe_is_cropped_to_the_beam():
    found = true_reconstruction()
    wide = np.zeros((1, 256, 256), np.complex64)
    wide[0, 96:160, 96:160] = found.probe[0]
    figure = drawn(replace(found, probe=wide))
    (panel,) = [
        axes
        for axes in figure.axes
        if axes.images
        and axes.images[0].get_array().ndim == 3
        and axes.images[0].get_array().shape[2] == 3
    ]
    n = panel.images[0].get_array().shape[0]
    middle = slice(128 - n // 2, 128 - n // 2 + n)
    power = np.abs(wide[0]) ** 2
    assert n <= 70
    assert power[middle, middle].sum() > 0.99 * power.sum()


@pytest.mark.parametrize("shape", [(64, 160), (161, 64)])
def test_probe_that_is_not_square_is_cut_in_its_middle(shape):
    y, x = (np.arange(n) - (n - 1) / 2 for n in shape)
    beam = np.exp(-(y[:, None] ** 2 + x**2) / 200)
    found = replace(true_reconstruction(), probe=beam[None].astype(np.complex64))
    (panel,) = [
        axes
        for axes in drawn(found).axes
        if axes.images and axes.images[0].get_array().shape[2:] == (3,)
    ]
    image = np.asarray(panel.images[0].get_array())
    assert image.shape[0] == image.shape[1] + (shape[0] % 2)
    assert_allclose(image, image[::-1, ::-1], atol=0.02)


def test_wheel_has_the_colours_of_the_probe():
    angles = np.linspace(-np.pi, np.pi, 25)
    colours = hue_and_brightness(np.exp(1j * angles))
    assert_allclose(colours[0], colours[-1], atol=0.02)
    luminance = colours @ (0.2126, 0.7152, 0.0722)
    assert np.ptp(luminance) < 0.15  # brightness does not depend on the phase
    steps = np.abs(np.diff(colours, axis=0)).max(axis=1)
    assert steps.min() > 0.02  # and no two phases look the same


def test_positions_are_where_the_probe_was():
    found = true_reconstruction()
    (dots,) = titled(drawn(found, positions=True), "Phase").lines
    # true_reconstruction() begins each view (N - 1)/2 pixels before its position.
    rows, columns = dots.get_ydata() - 31.5, dots.get_xdata() - 31.5
    assert_allclose(np.diff(rows), np.diff(found.positions_m[:, 0]) / 10e-9, atol=1e-6)
    assert_allclose(rows.min(), 4, atol=1e-6)
    assert_allclose(columns.min(), 4, atol=1e-6)
    assert not titled(plain(), "Phase").lines


def test_the_title_names_the_result():
    shown = words(plain())
    for text in ("scan_0042", "8.8 keV", "DM 40 + ML 20", "object pixel 10 nm", "last 0.02"):
        assert text in shown
    assert "8.8 keV, object pixel" in words(drawn(replace(true_reconstruction(), algorithm="")))
    long = words(drawn(replace(true_reconstruction(), scan="x" * 500, algorithm="DM 1 + " * 99)))
    assert "x" * 30 in long
    assert "x" * 200 not in long


@pytest.mark.parametrize("errors", [[], [0.0, np.nan], [0.5]])
def test_strange_errors_are_drawn(errors):
    curve = titled(
        drawn(replace(true_reconstruction(), errors=np.array(errors))), "Error per iteration"
    )
    assert len(curve.lines[0].get_xdata()) == len(errors)


# Files and the command


@pytest.mark.parametrize(
    ("suffix", "start"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")]
)
def test_kind_of_picture_goes_by_the_suffix(tmp_path, suffix, start):
    finished = finish(true_reconstruction(), Postprocess(crop=True))
    path = draw(tmp_path / f"picture{suffix}", finished, PlotStyle(dpi=50))
    assert path.read_bytes().startswith(start)
    assert list(tmp_path.iterdir()) == [path]


def test_other_suffixes_and_colour_maps_are_refused(tmp_path):
    with pytest.raises(SettingsError, match=r"not a picture file.*\.png, \.pdf, \.svg"):
        draw(tmp_path / "picture.docx", finish(true_reconstruction(), Postprocess()))
    with pytest.raises(SettingsError, match=r"colour map 'rainbows'.*viridis"):
        PlotStyle(colours="rainbows")


@pytest.fixture
def stored(tmp_path):
    """A reconstruction.h5 and what is in it."""
    found = true_reconstruction(empty_columns=54)
    return write_reconstruction(found, tmp_path / "reconstruction.h5"), found


def test_plot_puts_a_picture_beside_the_file(stored, capsys):
    path, _ = stored
    before = path.read_bytes()
    assert main(["plot", str(path), "--dpi", "50"]) == 0
    picture = path.with_name("reconstruction_plot.png")
    small = imread(picture)
    assert f"picture in {picture}" in capsys.readouterr().out
    assert main(["plot", str(path), "--dpi", "100", "--cmap", "viridis", "--positions"]) == 0
    assert imread(picture).shape[0] == pytest.approx(2 * small.shape[0], abs=2)
    assert path.read_bytes() == before


def test_plot_prints_the_vacuum_region(stored, capsys, tmp_path):
    path, found = stored
    picture = tmp_path / "new" / "figure.pdf"
    assert main(["plot", str(path), "-o", str(picture), "--flatten", "auto", "--dpi", "50"]) == 0
    (line,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("vacuum region")]
    _, columns = Rectangle.parse(line.removeprefix("vacuum region ")).within(found)
    assert columns.stop <= 54
    assert picture.is_file()


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (["-o", "x.docx"], "not a picture file"),
        (["--cmap", "rainbows"], "unknown colour map"),
        (["--flatten", "here"], "Expected a rectangle"),
        (["--flatten", "900,900,9,9"], "4 pixels"),
    ],
)
def test_what_cannot_be_plotted_is_a_one_line_error(stored, capsys, more, problem):
    assert main(["plot", str(stored[0]), *more]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert problem in error


def test_product_is_plotted(tmp_path):
    export_product(true_reconstruction(layers=2, modes=2), tmp_path / "product.h5")
    assert main(["plot", str(tmp_path / "product.h5"), "--dpi", "50"]) == 0
    assert imread(tmp_path / "product_plot.png").std() > 0.1


@pytest.mark.ptypy
def test_ptyr_is_plotted(tmp_path):
    from reconstructions import ptyr

    words = ["plot", str(ptyr()), "-o", str(tmp_path / "ptyr.png"), "--dpi", "50", "--positions"]
    if importlib.util.find_spec("skimage"):
        words.append("--unwrap")
    assert main(words) == 0
    assert imread(tmp_path / "ptyr.png").std() > 0.1


def test_flags_name_the_steps():
    given = {"crop": True, "margin_m": 1e-6, "normalise": True, "unwrap": False}
    assert postprocess("none", **given) == Postprocess(**given)
    assert postprocess("auto", **given) == Postprocess(flatten="auto", **given)
    asked = postprocess("1.5,-2,0.5,0.25um", **given)
    assert asked.flatten == Rectangle((1.5, -2), (0.5, 0.25), 1e-6)
