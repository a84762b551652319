"""CVAT beside others: its masks against pycocotools and pictures, its skeletons against COCO's keypoints."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask

import nucleus_convert as nc

STABLE = settings(
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
WIDTH, HEIGHT = 10, 12
LABELS = "<labels><label><name>car</name><type>any</type><attributes></attributes></label></labels>"


def document(inside: str, labels: str = LABELS, count: int = 1) -> str:
    meta = f"<meta><task><name>t</name><size>{count}</size><mode>annotation</mode>{labels}</task></meta>"
    image = f'<image id="0" name="a.jpg" width="{WIDTH}" height="{HEIGHT}">{inside}</image>'
    return f"<annotations><version>1.1</version>{meta}{image}</annotations>"


def runs(pixels: NDArray[np.bool_]) -> list[int]:
    """Run lengths row by row, the first of zeros: as the fact sheet says, the slow way."""
    found, value = [0], False
    for pixel in pixels.ravel():
        if bool(pixel) != value:
            found.append(0)
            value = not value
        found[-1] += 1
    return found


def mask_element(pixels: NDArray[np.bool_], left: int, top: int) -> str:
    height, width = pixels.shape
    rle = ", ".join(map(str, runs(pixels)))
    return (
        f'<mask label="car" source="manual" occluded="0" rle="{rle}" left="{left}" top="{top}" width="{width}"'
        f' height="{height}" z_order="0"></mask>'
    )


def element_pixels(element: ET.Element) -> NDArray[np.bool_]:
    """The picture of a mask element, on the whole image."""
    left, top, width, height = (int(element.attrib[name]) for name in ("left", "top", "width", "height"))
    flat: list[bool] = []
    for number, run in enumerate(map(int, element.attrib["rle"].split(","))):
        flat += [number % 2 == 1] * run
    whole = np.zeros((HEIGHT, WIDTH), bool)
    whole[top : top + height, left : left + width] = np.array(flat).reshape(height, width)
    return whole


def in_cvat(folder: Path) -> Path:
    """The XML that was written."""
    return folder if folder.is_file() else next(folder.rglob("*.xml"))


@st.composite
def placed(draw: st.DrawFn) -> tuple[NDArray[np.bool_], int, int]:
    """Pixels in a rectangle that touches its four sides, and its left and top."""
    width, height = draw(st.integers(1, WIDTH)), draw(st.integers(1, HEIGHT))
    flat = draw(st.lists(st.booleans(), min_size=width * height, max_size=width * height))
    pixels = np.array(flat, bool).reshape(height, width)
    for side in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        if not side.any():
            side[draw(st.integers(0, len(side) - 1))] = True
    return pixels, draw(st.integers(0, WIDTH - width)), draw(st.integers(0, HEIGHT - height))


@STABLE
@given(placed())
def test_masks_are_the_same_in_cvat_coco_and_png(
    tmp_path: Path, case: tuple[NDArray[np.bool_], int, int]
) -> None:
    pixels, left, top = case
    whole = np.zeros((HEIGHT, WIDTH), bool)
    whole[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    source = tmp_path / "annotations.xml"
    source.write_text(document(mask_element(pixels, left, top)))

    nc.convert(source, tmp_path / "coco.json", source="cvat", target="coco", overwrite=True)
    (row,) = json.loads((tmp_path / "coco.json").read_text())["annotations"]
    segmentation = row["segmentation"]
    if isinstance(segmentation["counts"], list):
        segmentation = coco_mask.frPyObjects(segmentation, HEIGHT, WIDTH)
    assert (coco_mask.decode(segmentation).astype(bool) == whole).all()
    assert coco_mask.area(segmentation) == whole.sum()
    expected = coco_mask.encode(np.asfortranarray(whole.astype(np.uint8)))["counts"].decode()
    counts = segmentation["counts"]
    assert (counts if isinstance(counts, str) else counts.decode()) == expected

    nc.convert(source, tmp_path / "nucleus", source="cvat", overwrite=True)
    (picture,) = (tmp_path / "nucleus" / "masks").iterdir()
    assert ((np.array(Image.open(picture)) > 0) == whole).all()

    for middle, format in ((tmp_path / "coco.json", "coco"), (tmp_path / "nucleus", "nucleus")):
        nc.convert(middle, tmp_path / "back", source=format, target="cvat", overwrite=True)
        (element,) = ET.parse(in_cvat(tmp_path / "back")).iter("mask")
        assert (element_pixels(element) == whole).all()
        rectangle = [int(element.attrib[name]) for name in ("left", "top", "width", "height")]
        assert rectangle == [left, top, pixels.shape[1], pixels.shape[0]]
        assert [int(run) for run in element.attrib["rle"].split(",")] == runs(pixels)


@pytest.mark.parametrize(
    ("rows", "rle"),
    [([[0, 1, 1], [1, 1, 0]], "1, 4, 1"), ([[1, 1, 0], [0, 1, 1]], "0, 2, 2, 2")],
)
def test_the_sheets_examples_of_run_lengths(rows: list[list[int]], rle: str) -> None:
    assert ", ".join(map(str, runs(np.array(rows, bool)))) == rle


def test_the_sheets_mask_is_this_coco_rle(tmp_path: Path) -> None:
    element = mask_element(np.array([[0, 1, 1, 0], [0, 1, 1, 0], [1, 1, 1, 1]], bool), 5, 7)
    assert 'rle="1, 2, 2, 2, 1, 4" left="5" top="7" width="4" height="3"' in element
    (tmp_path / "a.xml").write_text(document(element))
    nc.convert(tmp_path / "a.xml", tmp_path / "c.json", source="cvat", target="coco")
    (row,) = json.loads((tmp_path / "c.json").read_text())["annotations"]
    assert row["segmentation"] == {"counts": "U2192002N3", "size": [12, 10]}
    assert row["area"] == 8
    assert row["bbox"] == [5, 7, 4, 3]


@pytest.mark.parametrize(("width", "height"), [(3, 2), (4, 3)])
def test_masks_of_old_exports_are_one_pixel_larger_than_they_say(tmp_path: Path, width: int, height: int) -> None:
    element = (
        f'<mask label="car" occluded="0" rle="1, 2, 2, 2, 1, 4" left="5" top="7" width="{width}" height="{height}"'
        ' z_order="0"/>'
    )
    (tmp_path / "a.xml").write_text(document(element))
    nc.convert(tmp_path / "a.xml", tmp_path / "c.json", source="cvat", target="coco")
    (row,) = json.loads((tmp_path / "c.json").read_text())["annotations"]
    assert row["bbox"] == [5, 7, 4, 3]
    assert row["area"] == 8


def test_a_mask_that_sticks_out_of_the_image_is_cropped_and_that_is_said(tmp_path: Path) -> None:
    element = '<mask label="car" occluded="0" rle="0, 4" left="9" top="11" width="2" height="2" z_order="0"/>'
    (tmp_path / "a.xml").write_text(document(element))
    report = nc.convert(tmp_path / "a.xml", tmp_path / "c.json", source="cvat", target="coco")
    (row,) = json.loads((tmp_path / "c.json").read_text())["annotations"]
    assert row["area"] == 1
    assert row["bbox"] == [9, 11, 1, 1]
    assert any("mask" in finding.what for finding in report.sorted())


# --- skeletons -----------------------------------------------------------------------------------------

NODES = (("nose", 2), ("hip", 1), ("knee", 3))  # circles in this order, with these node ids
EDGES = ((2, 1), (1, 3))  # nose-hip, hip-knee
SVG = "".join(
    [
        f'<line data-type="edge" x1="1" y1="1" x2="2" y2="2" data-node-from="{a}" data-node-to="{b}"></line>'
        for a, b in EDGES
    ]
    + [
        f'<circle cx="{10 * node}" cy="20" r="1" data-type="element node" data-element-id="{node}"'
        f' data-node-id="{node}" data-label-name="{name}"></circle>'
        for name, node in NODES
    ]
)  # fmt: skip
SKELETON_LABELS = (
    "<labels><label><name>body</name><type>skeleton</type><attributes></attributes><svg>"
    + SVG.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    + "</svg></label>"
    + "".join(
        f"<label><name>{name}</name><type>points</type><attributes></attributes><parent>body</parent></label>"
        for name, _ in NODES
    )
    + "</labels>"
)


def skeleton(joints: dict[str, tuple[float, float, int]]) -> str:
    """A skeleton element; visibility as in COCO."""
    inside = "".join(
        f'<points label="{name}" source="manual" outside="{int(seen == 0)}" occluded="{int(seen == 1)}"'
        f' points="{x:.2f},{y:.2f}"></points>'
        for name, (x, y, seen) in joints.items()
    )
    return f'<skeleton label="body" source="manual" z_order="0">{inside}</skeleton>'


def test_skeletons_are_cocos_keypoints(tmp_path: Path) -> None:
    # The joints stand in another order than the circles do.
    joints = {"knee": (5.5, 6.25, 1), "nose": (1.0, 2.0, 2), "hip": (3.0, 4.0, 0)}
    (tmp_path / "a.xml").write_text(document(skeleton(joints), SKELETON_LABELS))
    nc.convert(tmp_path / "a.xml", tmp_path / "c.json", source="cvat", target="coco")
    data = json.loads((tmp_path / "c.json").read_text())
    (category,) = [category for category in data["categories"] if category["name"] == "body"]
    assert category["keypoints"] == ["nose", "hip", "knee"]
    edges = {frozenset(edge) for edge in category["skeleton"]}
    assert edges == {frozenset((1, 2)), frozenset((2, 3))}  # 1-based, by place and not by node id
    (row,) = data["annotations"]
    assert row["keypoints"][:3] == [1, 2, 2]
    assert row["keypoints"][5] == 0
    assert row["keypoints"][6:] == [5.5, 6.25, 1]
    assert row["num_keypoints"] == 2


def test_cocos_keypoints_are_skeletons_and_come_back(tmp_path: Path) -> None:
    data = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT}],
        "categories": [
            {"id": 1, "name": "body", "keypoints": ["nose", "hip", "knee"], "skeleton": [[1, 2], [2, 3]]}
        ],
        "annotations": [
            {
                "id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 4.5, 4.25], "area": 19.125, "iscrowd": 0,
                "keypoints": [1, 2, 2, 0, 0, 0, 5.5, 6.25, 1], "num_keypoints": 2, "segmentation": [],
            }
        ],
    }  # fmt: skip
    (tmp_path / "c.json").write_text(json.dumps(data))
    nc.convert(tmp_path / "c.json", tmp_path / "cvat", source="coco", target="cvat")
    root = ET.parse(in_cvat(tmp_path / "cvat")).getroot()
    (element,) = root.iter("skeleton")
    found = {
        point.attrib["label"]: (point.attrib["outside"], point.attrib["occluded"], point.attrib["points"])
        for point in element
    }
    assert found["nose"][:2] == ("0", "0")
    assert found["hip"][0] == "1"
    assert found["knee"][:2] == ("0", "1")
    assert [float(v) for v in re.split("[,;]", found["knee"][2])] == [5.5, 6.25]
    labels = {label.findtext("name"): label for label in root.iter("label")}
    assert labels["body"].findtext("type") == "skeleton"
    assert [name for name, label in labels.items() if label.findtext("parent") == "body"] == ["nose", "hip", "knee"]
    drawing = ET.fromstring(f"<svg>{labels['body'].findtext('svg')}</svg>")
    circles = {circle.attrib["data-node-id"]: circle.attrib["data-label-name"] for circle in drawing.iter("circle")}
    assert list(circles.values()) == ["nose", "hip", "knee"]
    lines = {
        frozenset((circles[line.attrib["data-node-from"]], circles[line.attrib["data-node-to"]]))
        for line in drawing.iter("line")
    }
    assert lines == {frozenset(("nose", "hip")), frozenset(("hip", "knee"))}

    nc.convert(tmp_path / "cvat", tmp_path / "back.json", source="cvat", target="coco")
    back = json.loads((tmp_path / "back.json").read_text())
    (category,) = [category for category in back["categories"] if category["name"] == "body"]
    assert category["keypoints"] == ["nose", "hip", "knee"]
    assert sorted(map(sorted, category["skeleton"])) == [[1, 2], [2, 3]]
    rows = [row for row in back["annotations"] if row.get("num_keypoints")]
    assert [row["keypoints"] for row in rows] == [[1, 2, 2, 0, 0, 0, 5.5, 6.25, 1]]


def test_a_tag_among_shapes_keeps_its_place_in_coco(tmp_path: Path) -> None:
    box = '<box label="car" occluded="0" xtl="1" ytl="2" xbr="{}" ybr="6" z_order="0"/>'
    (tmp_path / "a.xml").write_text(document(f'<tag label="car"/>{box.format(3)}<tag label="car"/>{box.format(5)}'))
    nc.convert(tmp_path / "a.xml", tmp_path / "c.json", source="cvat", target="coco", verify="all")
    (record,) = nc.read(tmp_path / "c.json", "coco")
    assert [type(annotation.shapes[0]).__name__ for annotation in record.annotations] == ["Tag", "Box", "Tag", "Box"]
