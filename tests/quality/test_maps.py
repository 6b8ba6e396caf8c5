"""Maps of any scan pattern, and the area of each frame on them."""

import numpy as np
import pytest
from assessments import REJECTED, SCANS, SIDE, STEP_M, assessed, raster, spiral
from PIL import Image

from ptypy_beamline.quality.map_areas import length_unit, map_areas
from ptypy_beamline.quality.maps import PANELS, draw_maps, nearest_frames


@pytest.mark.parametrize("scan", SCANS)
def test_maps_are_drawn_of_any_scan(scan, tmp_path):
    positions_m = SCANS[scan]
    inside = np.arange(len(positions_m)) % 5 > 0
    draw_maps(tmp_path / "qc_maps.png", assessed(positions_m, [0], masked=inside), "title")
    with Image.open(tmp_path / "qc_maps.png") as picture:
        assert min(picture.size) > 400
        assert np.asarray(picture).std() > 10
    assert [path.name for path in tmp_path.iterdir()] == ["qc_maps.png"]


@pytest.mark.parametrize("scan", SCANS)
def test_each_frame_is_drawn_at_its_position(scan):
    areas = map_areas(SCANS[scan])
    image = nearest_frames(areas)
    left, right, bottom, top = areas.window()
    y, x = areas.centers.T
    row = ((y - top) / (bottom - top) * image.shape[0]).astype(int)
    column = ((x - left) / (right - left) * image.shape[1]).astype(int)
    np.testing.assert_array_equal(image[row, column], np.arange(len(y)))
    share = np.sqrt(areas.position_sizes.max() ** 2 / 2)
    assert np.abs(areas.centers - SCANS[scan]).max() <= share


def test_areas_of_a_raster_are_its_steps():
    areas = map_areas(raster() * (1, 4))
    np.testing.assert_allclose(areas.sizes, np.tile([STEP_M, 4 * STEP_M], (SIDE**2, 1)))
    np.testing.assert_allclose(areas.centers, raster() * (1, 4))


def test_exposures_of_a_position_share_its_area():
    areas = map_areas(np.repeat(raster(), 4, axis=0))
    np.testing.assert_allclose(areas.sizes, STEP_M / 2)
    offsets = (areas.centers - np.repeat(raster(), 4, axis=0))[:4] / STEP_M
    expected = [(y, x) for y in (-0.25, 0.25) for x in (-0.25, 0.25)]
    np.testing.assert_allclose(offsets, expected, atol=1e-9)


@pytest.mark.parametrize(
    ("extent_m", "unit"), [(3e-7, "nm"), (2e-5, "µm"), (0, "µm"), (0.02, "mm")]
)
def test_length_unit_fits_the_extent(extent_m, unit):
    assert length_unit(extent_m)[1] == unit


def test_rejected_frames_do_not_stretch_the_colours():
    stxm = np.linspace(1, 2, SIDE**2)
    stxm[list(REJECTED)] = 1e9
    dpcx = np.linspace(-1, 2, SIDE**2)
    dpcx[3] = np.nan
    found = assessed(stxm=stxm, dpcx=dpcx)
    limits = {panel.name: panel.limits(found) for panel in PANELS}
    assert limits["stxm"] == pytest.approx((1, 2), abs=0.02)
    assert limits["dpcx"][0] == -limits["dpcx"][1] == pytest.approx(-2, abs=0.1)
    assert limits["dpcx"] == limits["dpcy"]
    assert limits["deviation"][0] == 0
    assert limits["deviation"][1] == 1


def test_large_maps_are_quick(tmp_path):
    draw_maps(tmp_path / "qc_maps.png", assessed(spiral(20_000)))
    assert (tmp_path / "qc_maps.png").stat().st_size < 4e6
