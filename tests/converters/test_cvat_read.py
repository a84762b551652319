"""CVAT XML to records: the fixtures by hand, number by number."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
from pycocotools import mask as coco_mask

from nucleus_convert.converters import cvat
from nucleus_convert.converters.errors import OptionError
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.model import (
    Annotation,
    Box,
    Cuboid2D,
    Ellipse,
    Keypoints,
    Line,
    Mask,
    Points,
    Polygon,
    Record,
    Tag,
    Taxonomy,
)
from nucleus_convert.converters.options import split
from nucleus_convert.converters.pipeline import convert
from nucleus_convert.converters.report import Report

from .cvat_support import said


def read(path: Path, report: Report | None = None, **options: Any) -> LabelSet:
    return cvat.read(path, options=cvat.ReadOptions.model_validate(options), report=report or Report())


def records(path: Path, report: Report | None = None, **options: Any) -> list[Record]:
    report = report or Report()
    return list(read(path, report, **options).records(report))


# ---------------------------------------------------------------------- images


def test_every_shape_of_an_images_file(fixtures: Path) -> None:
    report = Report()
    first, second = records(fixtures / "cvat/images", report)
    assert (first.item.id, first.item.path, first.item.width, first.item.height) == (0, "a/b.jpg", 40, 30)
    assert (second.item.id, second.annotations) == (4, ())
    box, turned, polygon, line, points, ellipse, mask, old_mask, cuboid, skeleton, tag = first.annotations
    assert box == Annotation(
        label="car",
        shapes=(Box(1.1, 2.0, 4.45, 4.25),),
        occluded=True,
        z_order=1,
        group=3,
        attributes={"parked": True, "wheels": 6, "paint": "blue"},
    )
    assert turned.shapes == (Box(10.0, 20.0, 20.0, 40.0, 30.0),)
    assert turned.extras == {"cvat": {"source": "auto"}}
    assert polygon.shapes == (Polygon((((1.0, 1.0, 5.0, 1.0, 5.0, 5.5),),)),)
    assert (line.shapes, line.z_order) == ((Line((0.0, 0.0, 3.25, 4.0)),), -2)
    assert points.shapes == (Points((1.0, 2.0, 3.0, 4.0)),)
    assert ellipse.shapes == (Ellipse(20.0, 15.0, 8.0, 4.0, 20.0),)
    # Pixels of rle "1, 2, 2, 2, 1, 4" in a box of 4 x 3 at 5, 7, counted by hand: 8 of them.
    (shape,) = mask.shapes
    assert isinstance(shape, Mask)
    decoded = coco_mask.decode({"size": [shape.height, shape.width], "counts": shape.counts})
    assert decoded.shape == (30, 40)
    assert decoded[7:10, 5:9].tolist() == [[0, 1, 1, 0], [0, 1, 1, 0], [1, 1, 1, 1]]
    assert decoded.sum() == 8
    # Written between 2022-11 and 2023-03: 12 pixels in a box said to be 3 x 2, which is 4 x 3.
    (shape,) = old_mask.shapes
    assert isinstance(shape, Mask)
    decoded = coco_mask.decode({"size": [shape.height, shape.width], "counts": shape.counts})
    assert decoded[1:4, 1:5].sum() == decoded.sum() == 12
    assert cuboid.shapes == (
        Cuboid2D((1.0, 2.0, 1.0, 8.0, 7.0, 2.5, 7.0, 8.5, 9.0, 1.5, 9.0, 7.5, 3.0, 1.0, 3.0, 7.0)),
    )
    # In the order of the drawing's circles; edges 2-1 and 1-3 of its node ids.
    assert skeleton.shapes == (
        Keypoints((4.0, 5.0, 2, 6.0, 7.0, 1, 8.0, 9.0, 0), ("head", "hip", "foot"), ((0, 1), (1, 2))),
    )
    assert skeleton.group == 3
    assert (tag.label, tag.shapes) == ("rain", (Tag("tags"),))
    assert [code for code, _ in said(report)] == ["value-normalised"]


def test_labels_and_their_attributes(fixtures: Path) -> None:
    header = read(fixtures / "cvat/images").header
    assert [label.name for label in header.labels] == ["car", "person", "rain"]
    car, person, _ = header.labels
    assert car.color == "#fa3253"
    assert car.attributes["wheels"] == {
        "type": "number",
        "mutable": False,
        "values": ["2", "8", "1"],
        "default": "4",
    }
    assert (person.keypoints, person.skeleton) == (("head", "hip", "foot"), ((0, 1), (1, 2)))
    assert header.taxonomies == (Taxonomy("tags", ("rain",)),)
    assert read(fixtures / "cvat/images", taxonomy="weather").header.taxonomies[0].name == "weather"


def test_a_project_has_subsets_and_names_that_repeat(fixtures: Path) -> None:
    one, two = records(fixtures / "cvat/project")
    assert (one.item.subset, two.item.subset) == ("train", "val")
    assert one.item.path == two.item.path == "1.jpg"
    assert one.item.extras == {"cvat": {"task_id": "5"}}


def test_a_zip_a_folder_and_a_file_are_the_same(fixtures: Path, tmp_path: Path) -> None:
    source = fixtures / "cvat/images/annotations.xml"
    with zipfile.ZipFile(tmp_path / "task.zip", "w") as archive:
        archive.write(source, "annotations.xml")
        archive.writestr("images/a/b.jpg", b"")
    outputs = []
    for place in (source, source.parent, tmp_path / "task.zip"):
        convert(place, tmp_path / "out", target="nucleus", overwrite=True)
        outputs.append((tmp_path / "out/annotations.jsonl").read_bytes())
    assert outputs[0] == outputs[1] == outputs[2] != b""


def test_a_task_of_several_files(fixtures: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        text = (fixtures / "cvat/images/annotations.xml").read_text()
        (tmp_path / f"{name}.xml").write_text(text.replace("a/b.jpg", f"{name}.jpg"))
    labels = read(tmp_path)
    assert [record.item.path for record in labels] == ["one.jpg", "c.jpg", "two.jpg", "c.jpg"]
    assert [record.item.path for record in labels.records(Report(), 1, 3)] == ["c.jpg", "two.jpg"]


def test_texts_of_attributes_that_are_not_of_their_type(tmp_path: Path) -> None:
    path = tmp_path / "annotations.xml"
    path.write_text(
        "<annotations><meta><task><labels><label><name>a</name><attributes><attribute><name>n</name>"
        "<input_type>number</input_type></attribute></attributes></label></labels></task></meta>"
        '<image name="1.jpg"><tag label="a"><attribute name="n">7</attribute></tag>'
        '<tag label="a"><attribute name="n">2.50</attribute></tag>'
        '<tag label="a"><attribute name="n">many</attribute><attribute name="x">5</attribute></tag>'
        '<tag label="a"><attribute name="n"></attribute></tag></image></annotations>'
    )
    report = Report()
    (record,) = records(path, report)
    values = [annotation.attributes for annotation in record.annotations]
    assert values == [{"n": 7}, {"n": 2.5}, {"n": "many", "x": "5"}, {}]
    assert record.annotations[3].extras == {"cvat": {"elements": [["attribute", "", {"name": "n"}]]}}
    assert ("unknown", "<attribute> 'n' without a usable value") in said(report)


# ---------------------------------------------------------------------- video


def boxes(found: list[Record], track: str) -> dict[int, Any]:
    """The shape of a track on each frame."""
    return {
        record.item.scene.frame if record.item.scene else -1: annotation.shapes[0]
        for record in found
        for annotation in record.annotations
        if annotation.track == track
    }


def test_tracks_of_a_video_become_shapes_on_frames(fixtures: Path) -> None:
    labels = read(fixtures / "cvat/video", frame_rate=12.5)
    found = list(labels)
    assert labels.size == len(found) == 11
    (scene,) = labels.header.scenes
    assert (scene.id, scene.kind, scene.frame_rate) == ("drive", "video", 12.5)
    assert [record.item.id for record in found] == list(range(10, 31, 2))
    assert [record.item.path for record in found][:2] == ["frame_000010.PNG", "frame_000012.PNG"]
    assert {(record.item.width, record.item.height, record.item.subset) for record in found} == {(640, 480, "train")}
    # The sheet's box: 10,20,30,40 to 18,20,46,60 in four steps; gone from 5 to 8, then there to the end.
    assert boxes(found, "drive/0") == {
        0: Box(10.0, 20.0, 20.0, 20.0),
        1: Box(12.0, 20.0, 22.0, 25.0),
        2: Box(14.0, 20.0, 24.0, 30.0),
        3: Box(16.0, 20.0, 26.0, 35.0),
        4: Box(18.0, 20.0, 28.0, 40.0),
        9: Box(50.0, 20.0, 10.0, 10.0),
        10: Box(50.0, 20.0, 10.0, 10.0),
    }
    turns = {frame: box.rotation for frame, box in boxes(found, "drive/1").items()}
    assert turns == {2: 350.0, 3: 355.0, 4: 0.0, 5: 5.0, 6: 10.0}
    square, between = boxes(found, "drive/2").values()
    assert square == Polygon((((0.0, 0.0, 10.0, 0.0, 10.0, 10.0, 0.0, 10.0),),))
    assert between == Polygon((((0.0, 0.0, 10.0, 0.0, 7.5, 10.0, 2.5, 10.0),),))
    joints = {frame: shape.points for frame, shape in boxes(found, "drive/3").items()}
    assert joints == {
        0: (0.0, 0.0, 2, 10.0, 10.0, 1),
        1: (2.0, 4.0, 2, 11.0, 10.0, 1),
        2: (4.0, 8.0, 2, 12.0, 10.0, 0),
    }
    assert boxes(found, "drive/4") == {10: Ellipse(100.0, 50.0, 20.0, 10.0)}


def test_what_does_not_move_is_that_of_the_keyframe_before(fixtures: Path) -> None:
    found = records(fixtures / "cvat/video")
    first = [a for record in found for a in record.annotations if a.track == "drive/0"]
    # Frame 18 does not say "turning": a mutable attribute is as it was.
    assert [a.attributes["turning"] for a in first] == [True] * 5 + [False] * 2
    assert [a.occluded for a in first] == [None] * 4 + [True] + [None] * 2
    second = next(a for record in found for a in record.annotations if a.track == "drive/1")
    assert (second.group, second.z_order, second.extras) == (2, 3, {"cvat": {"source": "auto"}})


@pytest.mark.parametrize(
    ("frames", "expected"), [("keyframes", [0, 2, 4, 6, 9, 10]), ("3", [0, 3, 6, 9]), ("all", list(range(11)))]
)
def test_frames_can_be_chosen(fixtures: Path, frames: str, expected: list[int]) -> None:
    every = {record.item.scene.frame: record for record in records(fixtures / "cvat/video") if record.item.scene}
    chosen = records(fixtures / "cvat/video", frames=frames)
    assert chosen == [every[frame] for frame in expected]


@pytest.mark.parametrize("frames", ["0", "-1", "some", "1.5"])
def test_frames_that_are_none_are_refused(frames: str) -> None:
    with pytest.raises(OptionError, match="frames"):
        split({"frames": frames}, cvat.ReadOptions, None)


def test_a_video_may_become_single_items(fixtures: Path) -> None:
    labels = read(fixtures / "cvat/video", video="items", frame_name="{task}/{index:03}.jpg")
    assert labels.header.scenes == ()
    found = list(labels)
    assert found[1].item.scene is None
    assert found[1].item.path == "drive/001.jpg"
    with pytest.raises(OptionError, match="one name"):
        split({"frame_name": "x.jpg"}, cvat.ReadOptions, None)
    with pytest.raises(OptionError, match="pattern"):
        split({"frame_name": "{number}.jpg"}, cvat.ReadOptions, None)


def dense(fixtures: Path, tmp_path: Path) -> Path:
    """The video with every frame listed, as CVAT itself writes it."""
    lines = []
    text = (fixtures / "cvat/video/annotations.xml").read_text()
    head, _, rest = text.partition('<box frame="12"')
    assert not rest
    for line in head.splitlines(keepends=True):
        if '<box frame="18"' in line:
            for frame, values in ((12, (12, 20, 34, 45)), (14, (14, 20, 38, 50)), (16, (16, 20, 42, 55))):
                named = zip(("xtl", "ytl", "xbr", "ybr"), values, strict=True)
                said = " ".join(f'{name}="{value}.00"' for name, value in named)
                lines.append(
                    f'<box frame="{frame}" keyframe="0" outside="0" occluded="0" {said} z_order="0">'
                    '<attribute name="turning">true</attribute></box>\n'
                )
        lines.append(line)
    path = tmp_path / "annotations.xml"
    path.write_text("".join(lines))
    return path


def test_a_dense_file_is_the_same_as_its_keyframes(fixtures: Path, tmp_path: Path) -> None:
    assert records(dense(fixtures, tmp_path)) == records(fixtures / "cvat/video")


def test_any_stretch_of_a_video_is_the_same(fixtures: Path) -> None:
    labels = read(fixtures / "cvat/video")
    whole = list(labels)
    for start in range(11):
        for stop in range(start, 12):
            assert list(labels.records(Report(), start, stop)) == whole[start:stop]


def test_without_meta_a_video_ends_with_its_last_shape(tmp_path: Path) -> None:
    path = tmp_path / "annotations.xml"
    shape = '<box frame="{}" outside="0" occluded="0" xtl="0" ytl="0" xbr="{}" ybr="5"/>'
    path.write_text(
        f'<annotations><track id="3" label="a">{shape.format(0, 4)}{shape.format(2, 8)}</track>'
        f'<track id="4" label="a">{shape.format(4, 4)}</track></annotations>'
    )
    report = Report()
    found = records(path, report)
    assert boxes(found, "annotations/3") == {0: Box(0, 0, 4, 5), 1: Box(0, 0, 6.0, 5.0), 2: Box(0, 0, 8, 5)}
    assert len(found) == 5
    assert [what for code, what in said(report) if code == "assumed"]
