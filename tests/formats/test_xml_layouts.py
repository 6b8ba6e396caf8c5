"""The areaDetector layouts: their grammar, and that what they would write loads."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import h5py
import numpy as np
import pytest
import scans
from folders import ROOT
from numpy.testing import assert_allclose, assert_array_equal

from ptypy_beamline import open_scan
from ptypy_beamline.testing.simulate import Truth

LAYOUTS = sorted((ROOT / "xml_layouts").glob("*/*.xml"))
TRUTH_VALUES = {"true", "false"}
WHEN = {"OnFileOpen", "OnFileClose", "OnFileWrite"}
TYPES = {"int": int, "float": float, "string": str}
NDATTRIBUTES = "/entry/instrument/NDAttributes"
NEEDED = {"posx_m", "posy_m", "energy_eV", "det_dist_m", "pixel_m", "exposure_s", "monitor"}

GRAMMAR = {
    # element: (children, attributes needed, attributes allowed besides)
    "hdf5_layout": ({"global", "group"}, set(), set()),
    "global": (set(), {"name", "ndattribute"}, set()),
    "group": ({"group", "dataset", "attribute", "hardlink"}, {"name"}, {"ndattr_default"}),
    "dataset": (
        {"attribute"},
        {"name", "source"},
        {"type", "value", "ndattribute", "det_default", "when"},
    ),
    "attribute": (set(), {"name", "source"}, {"value", "type", "ndattribute", "when"}),
    "hardlink": (set(), {"name", "target"}, set()),
}
VALUES = {
    "ndattr_default": TRUTH_VALUES,
    "det_default": TRUTH_VALUES,
    "when": WHEN,
    "type": set(TYPES),
}
OF_SOURCE = {"constant": {"value", "type"}, "ndattribute": {"ndattribute"}, "detector": set()}


def parse(file: Path) -> ET.Element:
    return ET.parse(file).getroot()


def walk(element: ET.Element, path: str = "") -> list[tuple[str, ET.Element]]:
    """Every element with the path of what it makes in the HDF5 file."""
    found = []
    for child in element:
        own = f"{path}/{child.get('name')}"
        found += [(own, child), *walk(child, own)]
    return found


def problems(root: ET.Element) -> list[str]:
    """What areaDetector would refuse, or pass over in silence."""
    found = [] if root.tag == "hdf5_layout" else [f"root is {root.tag}"]
    for element in root.iter():
        found += wrong_in(element)
    places = walk(root)
    paths = [path for path, element in places if element.tag in ("group", "dataset", "hardlink")]
    found += [f"{path} twice" for path in set(paths) if paths.count(path) > 1]
    detectors = [e for _, e in places if e.tag == "dataset" and e.get("source") == "detector"]
    if [e.get("det_default") for e in detectors].count("true") != 1:
        found.append("Expected one detector dataset with det_default")
    if [e.get("ndattr_default") for _, e in places].count("true") != 1:
        found.append("Expected one group with ndattr_default")
    datasets = {path for path, element in places if element.tag == "dataset"}
    found += [
        f"hardlink {path} to nothing: {element.get('target')}"
        for path, element in places
        if element.tag == "hardlink" and element.get("target") not in datasets
    ]
    return found


def wrong_in(element: ET.Element) -> list[str]:
    """What is wrong in one element by itself."""
    if element.tag not in GRAMMAR:
        return [f"no element {element.tag}"]
    children, needed, more = GRAMMAR[element.tag]
    given = set(element.attrib)
    label = f"{element.tag} {element.get('name')}"
    found = [f"{label}: no {child.tag} in it" for child in element if child.tag not in children]
    found += [f"{label}: needs {name}" for name in needed - given]
    found += [f"{label}: no attribute {name}" for name in given - needed - more]
    found += [
        f"{label}: {name}={element.get(name)!r}"
        for name, allowed in VALUES.items()
        if name in given and element.get(name) not in allowed
    ]
    if (element.text or "").strip() or (element.tail or "").strip():
        found.append(f"{label}: text")
    return found + wrong_source(element, label)


def wrong_source(element: ET.Element, label: str) -> list[str]:
    """Whether the value comes from ``source``."""
    source = element.get("source")
    if source is None:
        return []
    if source not in OF_SOURCE or (source == "detector" and element.tag == "attribute"):
        return [f"{label}: source={source!r}"]
    found = [f"{label}: needs {name}" for name in OF_SOURCE[source] - set(element.attrib)]
    if source == "constant" and element.get("type") in TYPES:
        try:
            TYPES[element.get("type")](element.get("value", ""))
        except ValueError:
            found.append(f"{label}: value={element.get('value')!r}")
    if source != "detector" and "det_default" in element.attrib:
        found.append(f"{label}: det_default of a dataset that is none of the detector")
    return found


def constant(element: ET.Element) -> int | float | str:
    return TYPES[element.get("type", "string")](element.get("value", ""))


def write_as_laid_out(
    layout: Path, file: Path, frames: np.ndarray, logged: dict[str, np.ndarray]
) -> Path:
    """The file that NDFileHDF5 writes with this layout, frame after frame."""
    places, left = walk(parse(layout)), dict(logged)
    with h5py.File(file, "w", libver="latest") as out:
        series = {}
        for path, element in places:
            source, name = element.get("source"), element.get("ndattribute")
            if element.tag == "group":
                out.create_group(path)
            elif element.tag == "dataset" and source == "detector":
                series[path] = frames
            elif element.tag == "dataset" and source == "constant":
                out[path] = constant(element)
            elif element.tag == "dataset" and name in logged:
                series[path] = left.pop(name)
        default = next(path for path, e in places if e.get("ndattr_default") == "true")
        series |= {f"{default}/{name}": values for name, values in left.items()}
        append(out, series)
        for path, element in places:
            parent, _, own = path.rpartition("/")
            if element.tag == "hardlink":
                out[path] = out[element.get("target")]
            elif element.tag == "attribute" and parent in out:
                out[parent].attrs[own] = constant(element)
    return file


def append(out: h5py.File, series: dict[str, np.ndarray]) -> None:
    """One frame and one value of each NDAttribute after another, as they come."""
    datasets = {}
    for path, values in series.items():
        shape = values.shape[1:]
        datasets[path] = out.create_dataset(
            path, (0, *shape), values.dtype, maxshape=(None, *shape), chunks=(1, *shape)
        )
    for n in range(max(map(len, series.values()))):
        for path, dataset in datasets.items():
            dataset.resize(n + 1, axis=0)
            dataset[n] = series[path][n]


def ndattributes(truth: Truth) -> dict[str, np.ndarray]:
    """What an IOC logs with each frame; more than the minimal layouts name."""
    n = len(truth.frames)
    stamp = 1.1e9 + 0.05 * np.arange(n)
    return {
        "NDArrayUniqueId": np.arange(1, n + 1, dtype=np.int32),
        "NDArrayTimeStamp": stamp,
        "NDArrayEpicsTSSec": stamp.astype(np.uint32),
        "NDArrayEpicsTSnSec": ((stamp % 1) * 1e9).astype(np.uint32),
        "posx_m": truth.positions_m[:, 1],
        "posy_m": truth.positions_m[:, 0],
        "setx_m": np.round(truth.positions_m[:, 1], 7),
        "sety_m": np.round(truth.positions_m[:, 0], 7),
        "energy_eV": np.full(n, truth.energy_eV),
        "det_dist_m": np.full(n, truth.distance_m),
        "pixel_m": np.full(n, truth.pixel_m[0]),
        "exposure_s": np.full(n, 0.05),
        "monitor": np.linspace(1, 2, n),
        "of_this_beamline": np.arange(n) * 1.5,
    }


@pytest.fixture(params=LAYOUTS, ids=lambda path: f"{path.parent.name} {path.stem}")
def layout(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_there_are_two_for_each_beamline() -> None:
    names = {(path.parent.name, path.stem) for path in LAYOUTS}
    assert names == {
        (beamline, f"beamline_{kind}_layout")
        for beamline in ("hermes", "xrnf")
        for kind in ("cxi", "minimal")
    }


def test_grammar(layout: Path) -> None:
    assert problems(parse(layout)) == []


@pytest.mark.parametrize(
    ("good", "spoiled", "words"),
    [
        (' det_default="true"', "", "one detector dataset"),
        (' ndattr_default="true"', "", "ndattr_default"),
        ('target="/entry/data/data"', 'target="/entry/data/frames"', "to nothing"),
        ('source="detector"', 'source="detector" dims="3"', "no attribute dims"),
        ('source="detector"', 'source="detector" compress="lz4"', "no attribute compress"),
        ('value="m" type="string"', 'value="m" type="float"', "value='m'"),
        ('value="m" type="string"', 'value="m" type="text"', "type='text'"),
        (' ndattribute="posx_m"', "", "needs ndattribute"),
        ('name="posy_m"', 'name="posx_m"', "posx_m twice"),
    ],
)
def test_the_grammar_refuses(good: str, spoiled: str, words: str) -> None:
    text = (ROOT / "xml_layouts/hermes/beamline_cxi_layout.xml").read_text()
    assert good in text
    assert any(words in problem for problem in problems(ET.fromstring(text.replace(good, spoiled))))


def test_the_comment_names_the_source_of_each_ndattribute(layout: Path) -> None:
    head = layout.read_text().partition("-->")[0]
    fed = set(re.findall(r"^    (\w+)  +\S+  +\S", head, re.MULTILINE))
    logged = {e.get("ndattribute") for e in parse(layout).iter("dataset")} - {None}
    assert fed == logged
    assert logged >= NEEDED


def test_units_are_those_of_the_names(layout: Path) -> None:
    for path, element in walk(parse(layout)):
        name, ending = path.split("/")[-2:]
        if ending == "units" and "_" in name:
            assert element.get("value") in (name.rpartition("_")[2], "degC")


def test_written_files_load(layout: Path, tmp_path: Path) -> None:
    truth = scans.truth()
    logged = ndattributes(truth)
    file = write_as_laid_out(layout, tmp_path / "scan.h5", truth.frames, logged)

    scan = open_scan(file)

    plan = scan.plan(center=(32, 32), monitor=False)
    assert scan.format == "areadetector"
    assert_array_equal(scans.all_frames(plan, 20)[0], truth.frames)
    assert_allclose(plan.positions_m, truth.positions_m, atol=1e-15)
    assert_allclose(scan.energy_eV, truth.energy_eV)
    assert_allclose(scan.distance_m, truth.distance_m)
    assert_allclose(scan.pixel_m, truth.pixel_m)
    assert_allclose(scan.exposure_s, 0.05)
    assert_allclose(scan.monitor, logged["monitor"])


def test_written_files_are_nexus(layout: Path, tmp_path: Path) -> None:
    truth = scans.truth()
    file = write_as_laid_out(layout, tmp_path / "scan.h5", truth.frames, ndattributes(truth))
    with h5py.File(file) as written:
        entry = written["entry"]
        assert entry.attrs["NX_class"] == "NXentry"
        data = entry[entry.attrs["default"]]
        assert data.attrs["NX_class"] == "NXdata"
        assert data[data.attrs["signal"]].shape == truth.frames.shape
        assert entry["instrument/detector/data"] == entry["data/data"]
        assert set(written[NDATTRIBUTES]) >= set(ndattributes(truth))
        assert written[f"{NDATTRIBUTES}/posx_m"].attrs["units"] == "m"
