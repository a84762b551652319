"""Records to CVAT XML: what CVAT's importer asks for, and that everything comes back."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nucleus_convert.converters import masks
from nucleus_convert.converters.cvat.draw import number_text
from nucleus_convert.converters.decimals import number
from nucleus_convert.converters.labelset import LabelSet, from_records
from nucleus_convert.converters.model import (
    Annotation,
    Box,
    Caption,
    Header,
    Item,
    Keypoints,
    Label,
    Mask,
    Polygon,
    Record,
    Scene,
    SceneRef,
    Tag,
    Taxonomy,
)
from nucleus_convert.converters.pipeline import convert
from nucleus_convert.converters.report import Report

from .cvat_support import BOX, SHAPES, again, importable, labelset, said, written

# ---------------------------------------------------------------------- the way back


@pytest.mark.parametrize("name", ["images", "video", "project"])
@pytest.mark.parametrize("through", ["cvat", "nucleus", "coco", "voc", "yolo", "ir"])
def test_the_way_there_and_back(fixtures: Path, tmp_path: Path, name: str, through: str) -> None:
    source = again(fixtures / "cvat" / name)
    there = tmp_path / ("there.ndjson" if through == "ir" else "there")
    convert(fixtures / "cvat" / name, there, source="cvat", target=through, verify="all")
    convert(there, tmp_path / "back", source=through, target="cvat", verify="all")
    back = again(tmp_path / "back")
    found = list(back)
    header = back.header
    if through == "coco":  # which wants an id of every row, a flag and an area
        found = [_bare(record) for record in found]
        header = msgspec.structs.replace(header, extras={"cvat": header.extras["cvat"]})
    assert found == list(source)
    assert header == source.header
    importable(tmp_path / "back/annotations.xml")


def _bare(record: Record) -> Record:
    """The record without what COCO adds."""
    bare = []
    for one in record.annotations:
        extras = {name: values for name, values in one.extras.items() if name != "coco"}
        crowd = one.crowd or None
        bare.append(msgspec.structs.replace(one, id=None, crowd=crowd, extras=extras))
    return Record(record.item, tuple(bare))


def test_payloads_load_in_the_sdk(fixtures: Path, tmp_path: Path) -> None:
    import nucleus

    for name in ("images", "video"):
        report = convert(fixtures / "cvat" / name, tmp_path / name, target="nucleus")
        lines = (tmp_path / name / "annotations.jsonl").read_text().splitlines()
        payloads = [json.loads(line) for line in lines]
        for payload in payloads:
            nucleus.annotation.Annotation.from_json(payload)
        kinds: dict[str, set[type]] = {}
        for payload in payloads:
            for key, value in payload.get("metadata", {}).items():
                kinds.setdefault(key, set()).add(type(value))
        assert {key for key, types in kinds.items() if len(types) > 1} == set()
        assert payloads
        assert not [what for code, what in said(report) if code in ("dropped", "replaced")]
    (scene,) = (tmp_path / "video/scenes.jsonl").read_text().splitlines()
    nucleus.VideoScene.from_json(json.loads(scene))
    assert {payload["track_reference_id"] for payload in payloads} == {f"drive/{i}" for i in range(5)}


def test_what_nucleus_has_no_word_for_is_drawn_with_a_known_error(fixtures: Path, tmp_path: Path) -> None:
    report = convert(fixtures / "cvat/images", tmp_path / "out", target="nucleus")
    shown = {
        finding.what: (finding.measure, finding.worst) for finding in report.sorted() if finding.code == "approximated"
    }
    assert set(shown) == {
        "rotated box as polygon",
        "ellipse as polygon",
        "points as keypoints",
        "2-D cuboid as keypoints",
    }
    measure, worst = shown["ellipse as polygon"]
    assert measure == "pixels"
    assert worst is not None
    assert 0 < worst <= 0.5
    lines = (tmp_path / "out/annotations.jsonl").read_text().splitlines()
    by_type = [json.loads(line) for line in lines]
    turned = next(line for line in by_type if line["type"] == "polygon" and len(line["geometry"]["vertices"]) == 4)
    # Corners of (10, 20, 30, 60) turned by 30 degrees: the sheet's.
    corners = [(21.3397, 17.6795), (38.6603, 27.6795), (18.6603, 62.3205), (1.3397, 52.3205)]
    for vertex, (x, y) in zip(turned["geometry"]["vertices"], corners, strict=True):
        assert (vertex["x"], vertex["y"]) == pytest.approx((x, y), abs=1e-4)
    cuboid = next(line for line in by_type if len(line["geometry"].get("keypoints", ())) == 8)
    assert cuboid["geometry"]["names"] == ["tl1", "bl1", "tr1", "br1", "tl2", "bl2", "tr2", "br2"]
    assert len(cuboid["geometry"]["skeleton"]) == 12


# ---------------------------------------------------------------------- from other formats


def test_other_formats_words_become_cvats(tmp_path: Path) -> None:
    counts = masks.encode_counts(masks.from_row_major(
        masks.as_runs([1, 2, 2, 2, 1, 4]), 5, 7, 4, 3, image_height=12, image_width=10))  # fmt: skip
    assert counts == "U2192002N3"  # the sheet's
    item = Item(id=3, path="a.jpg", width=10, height=12, subset="train")
    header = Header(
        labels=(Label(name="person", keypoints=("nose", "tail"), skeleton=((0, 1),)), Label(name="sun")),
        taxonomies=(Taxonomy("tags", ("sun",)),),
    )
    labels = labelset(
        Annotation(label="person", shapes=(BOX, Keypoints((1, 2, 2, 3, 4, 1), ("nose", "tail"), ((0, 1),)))),
        Annotation(label="person", shapes=(Mask(counts, 12, 10),), crowd=True),
        Annotation(label="person", shapes=(BOX,), difficult=True, truncated=False, attributes={"pose": "left"}),
        Annotation(label="sun", shapes=(Tag("tags"),)),
        Annotation(shapes=(Caption("text"),)),
        item=item,
        header=header,
    )
    root = importable(written(labels, tmp_path))
    (image,) = root.iterfind("image")
    assert image.attrib == {"id": "3", "name": "a.jpg", "subset": "train", "width": "10", "height": "12"}
    box, skeleton, mask, flagged, tag, _ = list(image)
    assert [node.tag for node in (box, skeleton, mask, flagged, tag)] == ["box", "skeleton", "mask", "box", "tag"]
    assert [(joint.attrib["label"], joint.attrib["occluded"]) for joint in skeleton.iterfind("points")] == [
        ("nose", "0"),
        ("tail", "1"),
    ]
    assert {key: mask.attrib[key] for key in ("rle", "left", "top", "width", "height")} == {
        "rle": "1, 2, 2, 2, 1, 4", "left": "5", "top": "7", "width": "4", "height": "3",
    }  # fmt: skip
    assert {node.attrib["name"]: node.text for node in flagged.iterfind("attribute")} == {
        "pose": "left", "difficult": "true", "truncated": "false",
    }  # fmt: skip
    svg = next(label.findtext("svg") or "" for label in root.iter("label") if label.findtext("name") == "person")
    drawn = ET.fromstring(f"<svg>{svg}</svg>")
    assert [node.attrib["data-label-name"] for node in drawn.iterfind("circle")] == ["nose", "tail"]
    assert [(n.attrib["data-node-from"], n.attrib["data-node-to"]) for n in drawn.iterfind("line")] == [("1", "2")]
    types = {label.findtext("name"): label.findtext("type") for label in root.iter("label")}
    assert types == {"person": "skeleton", "nose": "points", "tail": "points", "sun": "tag"}
    assert list(again(tmp_path / "annotations.xml")) == list(labels)


def test_groups_with_names_get_numbers(tmp_path: Path) -> None:
    labels = labelset(*(Annotation(label="cat", shapes=(BOX,), group=group) for group in ("a", 1, "b", "a")),
        item=Item(id=1, path="1.jpg", width=10, height=8), header=Header(labels=(Label(name="cat"),)),
    )  # fmt: skip
    report = Report()
    root = importable(written(labels, tmp_path, report))
    assert [node.attrib["group_id"] for node in root.iter("box")] == ["2", "1", "3", "2"]
    assert said(report)["renumbered", "group"] == 3
    assert list(again(tmp_path / "annotations.xml")) == list(labels)


@given(st.one_of(st.integers(-(10**12), 10**12), st.floats(allow_nan=False, allow_infinity=False)))
def test_numbers_are_written_as_cvat_does_and_lose_nothing(value: float) -> None:
    text = number_text(value)
    assert repr(number(text)) == repr(value) or (value == 0 and number(text) == 0)


def test_numbers_have_two_decimals() -> None:
    assert [number_text(value) for value in (1.5, 2.0, 3, 1 / 3)] == ["1.50", "2.00", "3", repr(1 / 3)]


# ---------------------------------------------------------------------- video


def shapes_of(root: ET.Element) -> dict[str, list[tuple[int, bool]]]:
    """For each track its keyframes: frame, and whether it is outside."""
    return {
        track.attrib["id"]: [
            (int(node.attrib["frame"]), node.attrib.get("outside") == "1") for node in track if node.tag in SHAPES
        ]
        for track in root.iterfind("track")
    }


def test_tracks_are_written_by_their_keyframes(fixtures: Path, tmp_path: Path) -> None:
    source = again(fixtures / "cvat/video")
    root = importable(written(source, tmp_path))
    # Of eleven frames the ones that the source has, and an end for what is gone; 12, 14, 16 and so on follow.
    found = shapes_of(root)
    assert found["0"] == [(10, False), (18, False), (20, True), (28, False)]
    assert found["1"] == [(14, False), (22, False), (24, True)]
    assert found["4"] == [(30, False)]
    assert [track.attrib["id"] for track in root.iterfind("track")] == ["0", "2", "3", "1", "4"]
    assert list(again(tmp_path / "annotations.xml")) == list(source)


def following(count: int = 6) -> LabelSet:
    """A sequence as tracking benchmarks have them: numbered tracks, frames named otherwise."""
    records = []
    for frame in range(count):
        annotations = [
            Annotation(label="Car", shapes=(Box(1.0 + 2 * frame, 5.0, 10.0, 4.0),), track=7, truncated=0.5),
            Annotation(label="Van", shapes=(Box(50.123456, 5.0, 10.0 + frame, 4.0),), track=2),
            Annotation(label="Car", shapes=(BOX,)),
            Annotation(label="Car", shapes=(Tag("weather"),)),
        ]
        if frame == 3:
            del annotations[0]
        item = Item(
            id=f"0001/{frame:06}", path=f"0001/{frame:06}.png", width=100, height=50,
            scene=SceneRef(id="0001", frame=frame),
        )  # fmt: skip
        records.append(Record(item, tuple(annotations[frame % 2 :] + annotations[: frame % 2])))
    labels = (Label(name="Car"), Label(name="Van"))
    return from_records(Header(labels=labels, scenes=(Scene(id="0001", frame_rate=10),)), records)


def test_a_sequence_with_tracks_becomes_a_video(tmp_path: Path) -> None:
    labels = following()
    report = Report()
    root = importable(written(labels, tmp_path, report))
    assert not [what for code, what in said(report) if code in ("dropped", "replaced") or what == "scene"]
    found = list(shapes_of(root).values())
    assert [(0, False), (2, False), (3, True), (4, False), (5, False)] in found
    assert again(tmp_path / "annotations.xml").header == labels.header
    assert list(again(tmp_path / "annotations.xml")) == list(labels)


def test_two_sequences_are_a_project_of_two_tasks(tmp_path: Path) -> None:
    first = following()
    second = [
        msgspec.structs.replace(
            record,
            item=msgspec.structs.replace(
                record.item, scene=SceneRef(id="0002", frame=record.item.scene.frame + 2 if record.item.scene else 0)
            ),
        )
        for record in following(3)
    ]
    header = msgspec.structs.replace(first.header, scenes=(*first.header.scenes, Scene(id="0002")))
    labels = from_records(header, [*first, *second])
    root = importable(written(labels, tmp_path, kind="video"))
    assert [task.findtext("name") for task in root.iterfind("meta/project/tasks/task")] == ["0001", "0002"]
    assert {track.attrib["task_id"] for track in root.iterfind("track")} == {"0", "1"}
    back = again(tmp_path / "annotations.xml")
    assert back.header == labels.header
    assert list(back) == list(labels)


_NUMBERS = st.integers(0, 4000).map(lambda value: value / 100)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 9), _NUMBERS, _NUMBERS, st.booleans()),
        unique_by=lambda entry: entry[:2],
        max_size=20,
    )
)
def test_any_tracks_come_back(tmp_path_factory: pytest.TempPathFactory, entries: list[Any]) -> None:
    frames: list[list[Annotation]] = [[] for _ in range(10)]
    for track, frame, x, y, occluded in entries:
        shape = Box(x, y, 5.0, 5.25) if track != "c" else Polygon((((x, y, x + 5, y, x, y + 9.5),),))
        frames[frame].append(
            Annotation(label="cat", shapes=(shape,), track=f"s/{'abc'.index(track)}", occluded=occluded or None)
        )
    records = [
        Record(Item(id=i, path=f"{i}.png", width=99, height=99, scene=SceneRef(id="s", frame=i)), tuple(found))
        for i, found in enumerate(frames)
    ]
    labels = from_records(Header(labels=(Label(name="cat"),), scenes=(Scene(id="s"),)), records)
    path = written(labels, tmp_path_factory.mktemp("any"))
    importable(path)
    assert list(again(path)) == records
