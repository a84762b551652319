"""What travels in metadata: plain keys to query, one kind for a key, and the one reserved key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nucleus_convert import (
    Annotation,
    Box,
    Header,
    Item,
    Label,
    LabelSet,
    Polygon,
    Record,
    Report,
    from_records,
)
from nucleus_convert.converters import nucleus
from nucleus_convert.converters.errors import SchemaError, Where
from nucleus_convert.converters.nucleus.metadata import KEY, Packer, as_strings, may_be_plain
from nucleus_convert.converters.nucleus.reserved import NOTHING, open_up
from nucleus_convert.converters.protocol import Target

BOX = (Box(1, 1, 2, 2),)
HEADER = Header(labels=(Label(name="car", id=3, parent="vehicle"), Label(name="bus", id="b")))


def write(
    labels: LabelSet, folder: Path, report: Report | None = None, **options: Any
) -> dict[str, list[Any]]:
    folder.mkdir(exist_ok=True)
    report = Report() if report is None else report
    nucleus.write(labels, Target(folder, folder), options=nucleus.WriteOptions(**options), report=report)
    return {
        stem: [
            json.loads(line)
            for path in sorted(folder.glob(f"{stem}*.jsonl"))
            for line in path.read_bytes().splitlines()
        ]
        for stem in ("items", "annotations", "predictions", "scenes")
    }


def annotated(*annotations: Annotation, **item: Any) -> LabelSet:
    return from_records(HEADER, [Record(Item(**{"id": "a.jpg", "path": "a.jpg", **item}), annotations)])


def metadata(annotation: Annotation, folder: Path) -> Any:
    """The metadata of an annotation's only payload, read back and found to be the same."""
    labels = annotated(annotation)
    (row,) = write(labels, folder)["annotations"]
    back = nucleus.read(folder, options=nucleus.ReadOptions(), report=Report())
    assert [text(record) for record in back] == [text(record) for record in labels]
    return row.get("metadata")


def text(value: Any) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def test_an_annotation_that_nucleus_can_say_has_no_metadata(tmp_path: Path) -> None:
    assert metadata(Annotation(label="x", shapes=BOX, id="1", track="t", embedding=(1, 2)), tmp_path) is None


def test_what_people_query_stands_plainly(tmp_path: Path) -> None:
    annotation = Annotation(
        label="car",
        shapes=BOX,
        id="1",
        crowd=True,
        difficult=False,
        occluded=2,
        truncated=0.5,
        z_order=-1,
        group="g",
        attributes={"color": "red", "n": 1, "speed": 1.5},
        extras={"coco": {"area": 4.25}},
    )
    assert metadata(annotation, tmp_path) == {
        "category_id": 3,
        "supercategory": "vehicle",
        "iscrowd": 1,
        "difficult": 0,
        "occluded": 2,
        "truncated": 0.5,
        "z_order": -1,
        "group": "g",
        "color": "red",
        "n": 1,
        "speed": 1.5,
        "area": 4.25,
        KEY: {"v": 1, "from": "coco"},
    }


def test_what_no_plain_key_can_hold_is_reserved(tmp_path: Path) -> None:
    annotation = Annotation(
        label="bus",
        shapes=(Box(0, 0, 9, 9), Polygon((((0, 0, 9, 0, 9, 9),),))),
        id=5,
        track=7,
        occluded=True,
        attributes={
            "sure": False,
            "list": [1],
            "none": None,
            "iscrowd": "an attribute",
            "category_id": 9,
            "lat": 999,
            "camera_params": "x",
        },
        extras={"coco": {"area": None, "row": 1}, "cvat": {"area": 3}},
    )
    assert metadata(annotation, tmp_path) == {
        "occluded": 1,
        "sure": 0,
        KEY: {
            "v": 1,
            "id": 5,
            "box": [0, 0, 9, 9],
            "bools": ["occluded", "sure"],
            "fields": {"track": 7},
            "attributes": {
                "list": [1],
                "none": None,
                "iscrowd": "an attribute",
                "category_id": 9,
                "lat": 999,
                "camera_params": "x",
            },
            "extras": {"coco": {"area": None, "row": 1}, "cvat": {"area": 3}},
        },
    }


def test_an_attribute_gives_way_to_the_sources_field_of_that_name(tmp_path: Path) -> None:
    annotation = Annotation(
        label="x", shapes=BOX, id="1", attributes={"area": "north"}, extras={"coco": {"area": 4}}
    )
    assert metadata(annotation, tmp_path) == {
        "area": 4,
        KEY: {"v": 1, "from": "coco", "attributes": {"area": "north"}},
    }


@pytest.mark.parametrize(
    ("name", "value", "plain"),
    [
        ("color", "red", True),
        ("color", [1], False),
        ("color", None, False),
        ("lat", 47.5, True),
        ("longitude", -180, True),
        ("lat", 91, False),
        ("lat", "47", False),
        ("group", 1, False),
        ("caption", "x", True),
        (KEY, "x", False),
    ],
)
def test_which_attributes_may_stand_plainly(name: str, value: Any, plain: bool) -> None:
    assert may_be_plain(name, value, item=False) is plain
    if name == "caption":
        assert not may_be_plain(name, value, item=True)


def test_items(tmp_path: Path) -> None:
    labels = annotated(
        id=9,
        width=4,
        height=3,
        subset="train",
        attributes={"weather": "rain", "width": "narrow", "wet": True},
        extras={"coco": {"license": 3, "flickr_url": "f", "other": [1]}},
    )
    (item,) = write(labels, tmp_path)["items"]
    assert item["metadata"] == {
        "width": 4,
        "height": 3,
        "subset": "train",
        "license": 3,
        "flickr_url": "f",
        "weather": "rain",
        "wet": 1,
        KEY: {
            "v": 1,
            "id": 9,
            "from": "coco",
            "extras": {"coco": {"other": [1]}},
            "attributes": {"width": "narrow"},
            "bools": ["wet"],
        },
    }


# ---------------------------------------------------------------------- one kind for a key


def mixed() -> LabelSet:
    from nucleus_convert.converters import masks
    from nucleus_convert.converters.model import Mask, SceneRef

    dot = Mask(masks.encode_counts([0, 1, 3]), 2, 2)
    records = [
        Record(
            Item(id="a", path="a.jpg", width=2, height=2, attributes={"time": 12, "ok": 1}),
            (
                Annotation(label="car", shapes=BOX, id="1", attributes={"size": 1, "n": 1, "t": "x"}),
                Annotation(label="car", shapes=BOX, id="2", attributes={"size": 2.5, "sure": True}),
                Annotation(label="car", shapes=(dot,), attributes={"size": 1e-7}),
                Annotation(label="car", shapes=BOX, id=3, confidence=0.5, attributes={"size": 10**20}),
            ),
        ),
        Record(
            Item(id="b", path="b.jpg", attributes={"time": "noon", "ok": 2}),
            (Annotation(label="car", shapes=BOX, id="1", attributes={"size": "large", "sure": "no"}),),
        ),
        Record(
            Item(id="c", path="c.jpg", attributes={"time": 7}, scene=SceneRef(id="s", frame=0)),
            (Annotation(label="car", shapes=BOX, id="1", attributes={"n": 5}),),
        ),
    ]
    return from_records(HEADER, records)


def test_a_key_of_two_kinds_is_written_as_text_and_comes_back(tmp_path: Path) -> None:
    report = Report()
    rows = write(mixed(), tmp_path, report)
    report.ledger.check()
    kinds: dict[tuple[str, str], set[type]] = {}
    for stem, lines in rows.items():
        scope = "annotations" if stem == "predictions" else stem
        for line in lines:
            frames = line.get("frames") or []
            holders = [(scope, line), *((scope, part) for part in line.get("annotations", ()))]
            holders += [("items", frame) for frame in frames]
            for where, holder in holders:
                for key, value in (holder.get("metadata") or {}).items():
                    if key != KEY:
                        kinds.setdefault((where, key), set()).add(str if type(value) is str else float)
    assert all(len(found) == 1 for found in kinds.values()), kinds
    assert kinds["annotations", "size"] == {str}
    assert kinds["annotations", "n"] == {float}
    assert kinds["items", "time"] == {str}
    sizes = [row["metadata"]["size"] for row in rows["annotations"] if "size" in row.get("metadata", {})]
    assert sizes == ["1", "2.5", "large"]
    assert report.count("metadata-as-string") == 4 + 1 + 2
    assert report.count("metadata-as-string", "'size'") == 4
    back = nucleus.read(tmp_path, options=nucleus.ReadOptions(), report=Report())
    assert [text(record) for record in back] == [text(record) for record in mixed()]


def test_rewriting_keeps_to_the_part_size(tmp_path: Path) -> None:
    records = [
        Record(
            Item(id=f"{i}", path=f"{i}"),
            (
                Annotation(
                    label="x",
                    shapes=BOX,
                    id="1",
                    attributes={"k": "text" if i == 299 else i, "p": "y" * (i % 40)},
                ),
            ),
        )
        for i in range(300)
    ]
    labels = from_records(HEADER, records)
    write(labels, tmp_path, part_bytes=4000)
    files = sorted(tmp_path.glob("annotations*"))
    assert len(files) > 10
    assert [file.name for file in files] == [f"annotations-{i:05}.jsonl" for i in range(len(files))]
    assert all(file.stat().st_size <= 4000 for file in files)
    back = nucleus.read(tmp_path, options=nucleus.ReadOptions(), report=Report())
    assert [text(record) for record in back] == [text(record) for record in labels]


def test_as_strings() -> None:
    held = {"a": 1, "b": "x", "c": 2.5, KEY: {"v": 1, "id": 3}}
    assert as_strings(held, {"a", "b", "z"}) == ["a"]
    assert held == {"a": "1", "b": "x", "c": 2.5, KEY: {"v": 1, "id": 3, "numbers": ["a"]}}


def test_text_that_was_a_number_and_was_edited_stays_text() -> None:
    held: dict[str, Any] = {"a": "many", "b": "7", KEY: {"v": 1, "numbers": ["a", "b"]}}
    plain, reserved = open_up(held, lambda path: Where(path=path))
    assert plain == {"a": "many", "b": 7}
    assert reserved.numbers == ("a", "b")


def test_opening_nothing() -> None:
    assert open_up(None, lambda path: Where(path=path)) == ({}, NOTHING)
    assert open_up({"x": 1}, lambda path: Where(path=path)) == ({"x": 1}, NOTHING)


def test_a_newer_layout_is_refused() -> None:
    with pytest.raises(SchemaError, match="newer") as caught:
        open_up({KEY: {"v": 2, "unheard": "of"}}, lambda path: Where(path=path))
    assert "install" in str(caught.value.hint)


def test_metadata_that_many_have_is_made_once() -> None:
    """Records that come out of a store share no dictionaries; those that are empty say the same all the same."""
    packer = Packer({label.name: label for label in HEADER.labels})
    one, other = (Annotation(label="car", truncated=True, attributes={"pose": "Left"}) for _ in range(2))
    assert one.extras is not other.extras
    assert type(packer.nameless(one)) is msgspec.Raw
    assert packer.nameless(one) is packer.nameless(other)
    assert packer.nameless(Annotation(label="car", truncated=True, extras={"voc": {}})) is not packer.nameless(one)
