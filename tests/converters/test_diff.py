"""Comparing data sets: nothing where nothing changed, and every change with its right measure."""

from __future__ import annotations

import json
import math
import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from nucleus_convert import convert
from nucleus_convert.converters import difftext, ir, masks, opening, registry
from nucleus_convert.converters.diff import Diff, ItemDiff, Side, Tolerance
from nucleus_convert.converters.labelset import LabelSet, from_records
from nucleus_convert.converters.model import (
    KINDS,
    Annotation,
    Box,
    Cuboid,
    Ellipse,
    Header,
    Item,
    Keypoints,
    Label,
    Mask,
    Polygon,
    Record,
    Shape,
    Tag,
)
from nucleus_convert.converters.protocol import Feature
from nucleus_convert.converters.report import Report

from ..support import BOX, ONE, annotation_with  # noqa: TID252
from .test_verify import altered

ROOT = Path(__file__).resolve().parents[2]
PARK = ROOT / "examples/park/annotations/instances.json"
STREET = ROOT / "examples/street"
REGION = (10, 10, 30, 10, 30, 30, 10, 30)


def compared(before: LabelSet, after: LabelSet, **tolerance: Any) -> tuple[Diff, list[ItemDiff]]:
    found = Diff(Side(before, ir.SPEC), Side(after, ir.SPEC), Tolerance(**tolerance))
    return found, list(found)


def files(first: Path, second: Path, **tolerance: Any) -> tuple[Diff, list[ItemDiff]]:
    with opening.opened(first) as a, opening.opened(second) as b:
        found = Diff(Side(a.labels, a.spec), Side(b.labels, b.spec), Tolerance(**tolerance))
        return found, list(found)


def target(folder: Path, name: str) -> Path:
    return folder / f"{name}{registry.get(name).SPEC.suffix if registry.get(name).SPEC.layout == 'file' else ''}"


# ---------------------------------------------------------------------- nothing where nothing changed


@pytest.mark.parametrize("name", [name for name in registry.FORMATS if name not in ("coco", "maskpng", "rle")])
def test_every_return_trip_of_the_example_is_empty(name: str, tmp_path: Path) -> None:
    there, back = target(tmp_path, name), tmp_path / "back.json"
    convert(PARK, there, source="coco", target=name)
    convert(there, back, source=name, target="coco")
    found, items = files(PARK, back)
    assert (found.header, items) == ([], [])
    assert found.summary.same
    assert (found.summary.items["same"], found.summary.objects["same"]) == (12, 34)
    # And so is what was written itself, as far as the two formats say the same things.
    _, items = files(PARK, there)
    assert items == []


def test_masks_for_polygons_are_all_that_changes_through_pictures(tmp_path: Path) -> None:
    convert(PARK, tmp_path / "masks", source="coco", target="maskpng")
    report = convert(tmp_path / "masks", tmp_path / "back.json", source="maskpng", target="coco")
    assert report.count("dropped") == 0
    found, items = files(PARK, tmp_path / "back.json")
    changes = [change for one in items for thing in one.objects for change in thing.changes]
    assert found.header == []
    assert {(change.field, type(change.after), change.measure.iou) for change in changes} == {("polygon", Mask, 1.0)}
    assert len(changes) == sum(
        isinstance(row.get("segmentation"), list) and bool(row["segmentation"])
        for row in json.loads(PARK.read_text())["annotations"]
    )
    assert files(PARK, tmp_path / "back.json", iou=0.999)[0].summary.same


def test_masks_for_polygons_and_what_no_line_says_are_all_that_changes_through_lines(tmp_path: Path) -> None:
    """A line is about a mask: of the data set and of labels without one it has nothing to say."""
    convert(PARK, tmp_path / "masks.jsonl", source="coco", target="rle")
    report = convert(tmp_path / "masks.jsonl", tmp_path / "back.json", source="rle", target="coco")
    assert report.count("dropped") == 0
    found, items = files(PARK, tmp_path / "back.json", ignore=frozenset({"header"}))
    changes = [change for one in items for thing in one.objects for change in thing.changes]
    assert {(change.field, type(change.after), change.measure.iou) for change in changes} == {("polygon", Mask, 1.0)}
    assert [change for one in items for change in one.changes] == []
    assert found.summary.objects == {"same": 8, "changed": 26, "added": 0, "removed": 0}
    assert files(PARK, tmp_path / "back.json", iou=0.999, ignore=frozenset({"header"}))[0].summary.same


RESULTS = sorted(PARK.parent.glob("results_*.json"))


@pytest.mark.parametrize("source", RESULTS, ids=lambda path: path.stem)
@pytest.mark.parametrize("name", [name for name in registry.FORMATS if name != "coco"])
def test_every_return_trip_of_the_examples_predictions_is_empty(name: str, source: Path, tmp_path: Path) -> None:
    there, back = target(tmp_path, name), tmp_path / "back.json"
    convert(source, there, source="coco", target=name)
    convert(there, back, source=name, target="coco")
    # Run-length lines have no place for the order of labels, nor for what kind of COCO file it was.
    found, items = files(source, back, ignore=frozenset({"header"} if name == "rle" else ()))
    assert (found.header, items) == ([], [])
    assert found.summary.objects["same"] > 0


@pytest.mark.parametrize("name", [name for name in registry.FORMATS if name not in ("coco", "kitti")])
def test_every_return_trip_of_the_street_is_empty(name: str, tmp_path: Path) -> None:
    there, back = target(tmp_path, name), tmp_path / "back"
    convert(STREET, there, source="kitti", target=name)
    convert(there, back, source=name, target="kitti")
    # Scenes stand in the header, for which run-length lines have no place; the report says so.
    found, items = files(STREET, back, ignore=frozenset({"header"} if name == "rle" else ()))
    scenes = [change.field for one in items for change in one.changes]
    assert scenes == (["item scene"] * 2 if name == "rle" else [])
    assert (found.header, [thing for one in items for thing in one.objects]) == ([], [])
    assert found.summary.objects["same"] == 10


def test_numbers_that_coco_must_give_are_all_that_changes_through_it(tmp_path: Path) -> None:
    """Every object of COCO has an id, an area and a crowd flag; they stay when it goes back."""
    convert(STREET, tmp_path / "there.json", source="kitti", target="coco")
    convert(tmp_path / "there.json", tmp_path / "back", source="coco", target="kitti")
    _, items = files(STREET, tmp_path / "back")
    changes = [change for one in items for thing in one.objects for change in thing.changes]
    assert {change.field for change in changes} == {"id", "crowd", "extras.coco.area"}
    assert all(change.before is None for change in changes)
    assert {change.field for one in items for change in one.changes} == {"item extras.coco.id"}
    found, _ = files(STREET, tmp_path / "back", ignore=frozenset({"id", "crowd", "extras", "item", "header"}))
    assert found.summary.same


def test_the_order_of_items_and_objects_is_no_difference(fixtures: Path) -> None:
    with opening.opened(PARK) as park:
        records = list(park.labels)
        random.Random(1).shuffle(records)
        shuffled = [Record(record.item, record.annotations[::-1]) for record in records]
        found, items = compared(park.labels, from_records(park.labels.header, shuffled))
    assert items == []
    assert found.summary.objects["same"] == 34


# ---------------------------------------------------------------------- every change, with its measure


def people(*annotations: Annotation, **item: Any) -> LabelSet:
    header = Header(labels=(Label(name="car"), Label(name="bus")))
    return from_records(header, [Record(Item(id=1, path="a.jpg", width=100, height=80, **item), annotations)])


def box(x: float = 10, y: float = 10, width: float = 20, height: float = 20, **fields: Any) -> Annotation:
    return Annotation(label="car", shapes=(Box(x, y, width, height),), **fields)


def region(points: tuple[Any, ...]) -> Annotation:
    return Annotation(label="car", shapes=(Polygon(((points,),)),))


def spot(x: Any, y: Any) -> Annotation:
    return Annotation(label="car", shapes=(Keypoints((x, y, 2)),))


def rle(*squares: tuple[int, int, int, int]) -> Mask:
    pixels = np.zeros((80, 100), np.uint8)
    for x, y, width, height in squares:
        pixels[y : y + height, x : x + width] = 1
    return Mask(str(coco_mask.encode(np.asfortranarray(pixels))["counts"], "ascii"), 80, 100)


def one_change(before: Shape, after: Shape) -> Any:
    _, [item] = compared(
        people(Annotation(label="car", shapes=(before,))), people(Annotation(label="car", shapes=(after,)))
    )
    [thing] = item.objects
    [change] = thing.changes
    return change


def test_a_moved_box() -> None:
    change = one_change(Box(10, 10, 20, 20), Box(13, 14, 20, 20))
    assert change.field == "box"
    assert change.measure.pixels == 5.0  # the 3-4-5 triangle
    assert change.measure.iou == pytest.approx(17 * 16 / (2 * 400 - 17 * 16))


def test_a_turned_box() -> None:
    change = one_change(Box(10, 10, 20, 20), Box(10, 10, 20, 20, 45))
    octagon = 2 * (math.sqrt(2) - 1) * 400  # where a square and itself turned by an eighth overlap
    assert change.measure.degrees == 45
    assert change.measure.iou == pytest.approx(octagon / (800 - octagon), abs=0.01)
    assert change.measure.pixels == pytest.approx(2 * math.hypot(10, 10) * math.sin(math.radians(22.5)))


def test_a_moved_polygon_and_one_of_another_structure() -> None:
    before = Polygon(((REGION,),))
    moved = one_change(before, Polygon(((tuple(v + 2 * (i % 2 == 0) for i, v in enumerate(REGION)),),)))
    assert moved.measure.pixels == 2.0
    assert moved.measure.iou == pytest.approx(18 / 22, abs=0.01)
    holed = one_change(before, Polygon(((REGION, (15, 15, 25, 15, 25, 25, 15, 25)),)))
    assert holed.measure.pixels is None
    assert holed.measure.iou == pytest.approx(0.75, abs=0.01)


def test_mask_pixels() -> None:
    change = one_change(rle((10, 10, 20, 20)), rle((10, 10, 20, 20), (50, 50, 3, 1)))
    assert change.measure.differing == 3
    assert change.measure.iou == pytest.approx(400 / 403)


def test_a_polygon_that_became_its_mask() -> None:
    change = one_change(Polygon(((REGION,),)), rle((10, 10, 20, 20)))
    assert (type(change.before), type(change.after), change.measure.iou) == (Polygon, Mask, 1.0)


def test_keypoints_moved_and_hidden() -> None:
    before = Keypoints((10, 10, 2, 20, 20, 2, 0, 0, 0))
    assert one_change(before, Keypoints((13, 14, 2, 20, 20, 2, 0, 0, 0))).measure.pixels == 5.0
    hidden = one_change(before, Keypoints((10, 10, 2, 20, 20, 1, 0, 0, 0)))
    assert hidden.measure.pixels == 0.0
    # A tolerance of pixels does not hide what is no coordinate.
    labels = [people(Annotation(label="car", shapes=(shape,))) for shape in (hidden.before, hidden.after)]
    _, items = compared(*labels, pixels=3.0)
    assert len(items) == 1


def test_a_cuboid() -> None:
    change = one_change(Cuboid(1, 2, 3, 4, 2, 1.5, 3.1), Cuboid(1, 2, 3.5, 4, 2, 1.5, -3.1))
    assert change.measure.metres == 0.5
    assert change.measure.degrees == pytest.approx(math.degrees(2 * math.pi - 6.2))


def test_an_ellipse() -> None:
    change = one_change(Ellipse(50, 40, 20, 10), Ellipse(50, 40, 20, 5))
    assert change.measure.pixels == 5.0
    assert change.measure.iou == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("field", "fields", "after"),
    [
        ("label", {}, {"label": "bus"}),
        ("attributes.colour", {"attributes": {"colour": "red", "x": 1}}, {"attributes": {"colour": "blue", "x": 1}}),
        ("attributes.colour", {"attributes": {"colour": None}}, {"attributes": {}}),
        ("extras.coco.area", {"extras": {"coco": {"area": 5}}}, {"extras": {"coco": {"area": 6}}}),
        ("extras.coco.area", {"extras": {"coco": {"area": 5}}}, {"extras": {}}),
        ("confidence", {"confidence": 0.5}, {"confidence": 0.75}),
        ("predicted", {"predicted": True}, {"predicted": False}),
        ("track", {"track": 1}, {"track": 2}),
        ("group", {"group": 1}, {"group": 2}),
        ("occluded", {"occluded": 1}, {"occluded": True}),
        ("crowd", {"crowd": False}, {"crowd": True}),
        ("id", {"id": 4}, {"id": 5}),
        ("z_order", {"z_order": 0}, {"z_order": 1}),
    ],
)
def test_fields_of_objects(field: str, fields: dict[str, Any], after: dict[str, Any]) -> None:
    before = box(**fields)
    found, [item] = compared(people(before), people(msgspec.structs.replace(before, **after)))
    [thing] = item.objects
    assert [change.field for change in thing.changes] == [field]
    assert found.summary.fields == {field: 1}
    assert found.summary.objects == {"same": 0, "changed": 1, "added": 0, "removed": 0}


@pytest.mark.parametrize("change", [{"width": 101}, {"path": "b.jpg"}, {"subset": "val"}, {"attributes": {"a": 1}}])
def test_fields_of_items(change: dict[str, Any]) -> None:
    [record] = people(box())
    altered = Record(msgspec.structs.replace(record.item, **change), record.annotations)
    found, [item] = compared(people(box()), from_records(people().header, [altered]))
    [name] = change
    assert [one.field for one in item.changes] == [f"item {name}" if name != "attributes" else "item attributes.a"]
    assert (item.objects, found.summary.items["changed"]) == ((), 1)


def test_labels_and_the_data_sets_own_fields() -> None:
    def header(*labels: Label) -> LabelSet:
        return from_records(Header(labels=labels), [])

    found, _ = compared(
        header(Label(name="a", id=1), Label(name="b"), Label(name="c")),
        header(Label(name="a", id=2, color="#ff0000"), Label(name="d"), Label(name="c")),
    )
    assert [(change.field, change.before, change.after) for change in found.header] == [
        ("label", "b", None),
        ("label", None, "d"),
        ("label 'a' id", 1, 2),
        ("label 'a' color", None, "#ff0000"),
    ]
    assert not found.summary.same
    assert compared(header(Label(name="a")), header(), ignore=frozenset({"header"}))[0].summary.same


MUTATIONS: dict[str, tuple[Callable[[list[Annotation]], list[Annotation]], dict[str, int]]] = {
    "removed": (lambda a: a[1:], {"removed": 1}),
    "added": (lambda a: [*a, box(70, 50, 9, 9)], {"added": 1}),
    "far away": (lambda a: [msgspec.structs.replace(a[0], shapes=(Box(70, 50, 9, 9),)), *a[1:]], {"changed": 1}),
    "swapped ids": (
        lambda a: [
            msgspec.structs.replace(a[0], id=a[1].id),
            msgspec.structs.replace(a[1], id=a[0].id),
            *a[2:],
        ],
        {"changed": 2},
    ),
    "another order": (lambda a: a[::-1], {}),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_mutations_of_a_list(name: str) -> None:
    mutate, expected = MUTATIONS[name]
    before = [box(10 + 15 * k, 10 + 3 * k, 14, 20, id=k) for k in range(4)]
    found, items = compared(people(*before), people(*mutate(before)))
    counts = {kind: count for kind, count in found.summary.objects.items() if count and kind != "same"}
    assert counts == expected
    if name == "swapped ids":  # known by where they are
        assert [change.field for thing in items[0].objects for change in thing.changes] == ["id", "id"]


@pytest.mark.parametrize("seed", range(6))
def test_seeded_mutations_of_the_example_are_found_and_nothing_else(seed: int) -> None:
    chance = random.Random(seed)
    with opening.opened(PARK) as park:
        records = list(park.labels)
        header = park.labels.header
        at = chance.choice([i for i, record in enumerate(records) if len(record.annotations) > 1])
        number = chance.randrange(len(records[at].annotations))
        old = records[at].annotations[number]
        shift = chance.randint(1, 5)
        moved = msgspec.structs.replace(old.shape(Box), x=old.shape(Box).x + shift)
        shapes = tuple(moved if isinstance(shape, Box) else shape for shape in old.shapes)
        new = msgspec.structs.replace(old, shapes=shapes, label="kite")
        annotations = list(records[at].annotations)
        annotations[number] = new
        records[at] = Record(records[at].item, tuple(annotations))
        found, [item] = compared(park.labels, from_records(header, records))
    [thing] = item.objects
    assert (thing.before, thing.after) == (old, new)
    label, geometry = thing.changes
    assert (label.before, label.after) == (old.label, "kite")
    assert geometry.measure.pixels == pytest.approx(shift)
    width = old.shape(Box).width
    assert geometry.measure.iou == pytest.approx((width - shift) / (width + shift))
    assert found.summary.objects == {"same": 33, "changed": 1, "added": 0, "removed": 0}


# ---------------------------------------------------------------------- tolerances


def test_tolerances() -> None:
    before, after = people(box(confidence=0.5)), people(box(10.25, confidence=0.5625))
    assert len(compared(before, after)[1]) == 1
    assert compared(before, after, pixels=0.25, number=0.0625)[1] == []
    assert len(compared(before, after, pixels=0.2, number=0.0625)[1]) == 1
    assert len(compared(before, after, pixels=0.25, number=0.06)[1]) == 1
    assert compared(before, after, iou=0.97, number=0.1)[1] == []
    assert compared(before, after, ignore=frozenset({"box", "confidence"}))[1] == []


def test_fields_that_one_format_has_no_word_for_are_counted_not_compared() -> None:
    plain = registry.get("maskpng").SPEC
    before = people(Annotation(label="car", shapes=(Polygon(((REGION,),)), Box(10, 10, 20, 20))))
    found = Diff(Side(before, ir.SPEC), Side(people(box()), plain))
    assert list(found) == []
    assert found.summary.not_compared == {"polygon": 1}
    found = Diff(Side(people(box(), subset="train"), ir.SPEC), Side(people(box()), registry.get("coco").SPEC))
    assert list(found) == []
    assert found.summary.not_compared == {"item subset": 1}


# ---------------------------------------------------------------------- what belongs together


def named(*items: Item) -> LabelSet:
    return from_records(Header(), [Record(item, (box(10 + 3 * i),)) for i, item in enumerate(items)])


def test_items_go_by_file_name_where_ids_were_given_anew() -> None:
    names = [f"{letter}.jpg" for letter in "abcdef"]
    before = named(*(Item(id=i, path=name) for i, name in enumerate(names)))
    after = named(*(Item(id=i + 1, path=f"images/{name}") for i, name in enumerate(names)))
    found, items = compared(before, after)
    assert [[change.field for change in item.changes] for item in items] == [["item id", "item path"]] * 6
    assert found.summary.items["by file name"] == 6
    assert all(item.objects == () for item in items)
    # In another order, where places say nothing.
    backwards = list(after)[::-1]
    found, items = compared(before, from_records(Header(), backwards))
    assert found.summary.items["by file name"] == 6
    assert all(item.objects == () for item in items)


def test_one_name_in_two_folders_is_two_items() -> None:
    before = named(Item(id="1", path="train/1.jpg"), Item(id="2", path="val/1.jpg"))
    after = named(Item(id="a", path="x/val/1.jpg"), Item(id="b", path="x/train/1.jpg"))
    found = Diff(Side(before, ir.SPEC), Side(after, ir.SPEC))
    assert {(one.before.item.path, one.after.item.path) for one in found if one.before and one.after} == {
        ("train/1.jpg", "x/train/1.jpg"),
        ("val/1.jpg", "x/val/1.jpg"),
    }


def test_items_added_and_removed() -> None:
    found, items = compared(named(Item(id=1), Item(id=2), Item(id=3)), named(Item(id=1), Item(id=4), Item(id=3)))
    assert [(item.kind, item.item.id) for item in items] == [("removed", 2), ("added", 4)]
    assert found.summary.items == {"same": 2, "changed": 0, "added": 1, "removed": 1, "by file name": 0}
    assert found.summary.objects["removed"] == 1


def test_many_items_in_another_order_wait_on_disk() -> None:
    count = 1500  # more than are held
    items = [Item(id=i, path=f"{i}.jpg", attributes={"n": [i, {"deep": 2**70}]}) for i in range(count)]
    before = named(*items)
    after = from_records(Header(), list(before)[::-1])
    found, different = compared(before, after)
    assert different == []
    assert found.summary.items["same"] == count


def test_a_crowd_is_paired_by_overlap() -> None:
    chance = random.Random(3)
    before = [box(12 * (k % 50), 12 * (k // 50), 10, 10) for k in range(2500)]
    after = [
        msgspec.structs.replace(one, shapes=(Box(one.shapes[0].x + 1, one.shapes[0].y, 10, 10),)) for one in before
    ]
    expected = dict(zip((one.shapes for one in before), (one.shapes for one in after), strict=True))
    chance.shuffle(after)
    found, [item] = compared(people(*before), people(*after))
    assert found.summary.objects == {"same": 0, "changed": 2500, "added": 0, "removed": 0}
    for thing in item.objects:
        assert thing.before is not None
        assert thing.after is not None
        assert thing.after.shapes == expected[thing.before.shapes]
        assert thing.changes[0].measure.pixels == 1.0


def test_tags_are_paired_by_taxonomy() -> None:
    def tagged(weather: str, place: str) -> LabelSet:
        return people(
            Annotation(label=weather, shapes=(Tag("weather"),)), Annotation(label=place, shapes=(Tag("place"),))
        )

    _, [item] = compared(tagged("sun", "park"), tagged("rain", "park"))
    [thing] = item.objects
    assert [(change.before, change.after) for change in thing.changes] == [("sun", "rain")]


# ---------------------------------------------------------------------- hostile input


@pytest.mark.parametrize("counts", ["", "garbage\x00", "9" * 40, masks.encode_counts([5])])
def test_masks_that_are_none_are_no_crash(counts: str) -> None:
    bad = Mask(counts, 80, 100)
    sides = [people(Annotation(id=1, shapes=(mask,))) for mask in (bad, rle((10, 10, 20, 20)))]
    found, [item] = compared(*sides)
    assert item.objects[0].changes[0].measure.iou is None
    assert list(difftext.lines(found, 0))


def test_numbers_that_are_none_are_no_crash() -> None:
    for value in (math.nan, math.inf, 1e308, -1e308, 10**400):
        for other in (box(value, value), region((value, 1, 2, 3, 4, value)), spot(value, value)):
            for before, after in ((people(box(), box(40)), people(other, box(41))), (people(other), people(box()))):
                found, items = compared(before, after, overlap=0.0)
                assert items
                assert list(difftext.lines(found, 0))
                assert json.loads("".join(difftext.as_json(found, "a", "b")))


def test_what_is_nested_deeply_is_compared() -> None:
    deep: Any = 1
    for _ in range(900):
        deep = [deep]
    one, other = (people(box(attributes={"a": deep, "b": n})) for n in (1, 2))
    assert compared(one, one)[1] == []
    [item] = compared(one, other)[1]
    assert [change.field for change in item.objects[0].changes] == ["attributes.b"]


def test_control_characters_are_written_out() -> None:
    evil = msgspec.structs.replace(box(), label="\x1b[31mred\u202e")
    found = Diff(Side(people(evil), ir.SPEC), Side(people(), ir.SPEC))
    text = "\n".join(line for line, _ in difftext.lines(found, 0))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\x1b[31mred\\u202e" in text


def test_json_says_what_the_lines_say() -> None:
    found = Diff(Side(people(box(id=1)), ir.SPEC), Side(people(box(13, 14, id=1), box(60)), ir.SPEC))
    made = json.loads("".join(difftext.as_json(found, "a", "b")))
    assert made["before"] == {"name": "a", "format": "ir"}
    [item] = made["items"]
    assert item["matched_by"] == "id"
    changed, added = item["objects"]
    assert changed["changes"][0]["measure"]["pixels"] == 5.0
    assert added["shapes"] == [{"type": "box", "x": 60, "y": 10, "width": 20, "height": 20}]
    assert made["summary"]["objects"] == {"same": 0, "changed": 1, "added": 1, "removed": 0}
    assert made["summary"]["same"] is False


def test_what_did_not_move_is_said_by_what_did_change() -> None:
    """Points in the same places under other names: a distance of nothing would tell nobody anything."""

    def pose(*names: str, skeleton: Any = ()) -> LabelSet:
        return people(Annotation(label="car", shapes=(Keypoints((1, 2, 2, 3, 4, 2), names, skeleton),), id=1))

    found, _ = compared(pose("head", "foot"), pose("foot", "head"))
    lines = [line for line, _ in difftext.lines(found, 0)]
    assert "  ~ car 1: keypoints names ('head', 'foot') -> ('foot', 'head')" in lines
    assert "changes  keypoints 1" in lines
    found, _ = compared(pose("head", "foot"), pose("head", "foot", skeleton=((0, 1),)))
    assert "  ~ car 1: keypoints skeleton () -> ((0, 1),)" in [line for line, _ in difftext.lines(found, 0)]


def test_the_engine_reads_again_and_again() -> None:
    found = Diff(Side(people(box()), ir.SPEC), Side(people(box(11)), ir.SPEC))
    assert [len(list(found)), len(list(found))] == [1, 1]
    assert found.summary.objects["changed"] == 1


def test_records_are_read_with_a_report_of_their_own(fixtures: Path) -> None:
    labels = ir.read(fixtures / "ir/everything/labels.ndjson", options=ir.ReadOptions(), report=Report())
    found, items = compared(labels, labels)
    assert items == []
    assert found.summary.items["same"] == 3


def test_any_change_of_any_field_is_found_and_named(fixtures: Path) -> None:
    everything = ir.read(fixtures / "ir/everything/labels.ndjson", options=ir.ReadOptions(), report=Report())
    records = list(everything)
    changes = 0
    for number, record in enumerate(records):
        for altered_record, name in altered_records(record):
            others = [*records[:number], altered_record, *records[number + 1 :]]
            found, items = compared(everything, from_records(everything.header, others))
            fields = [change.field for item in items for change in item.changes]
            fields += [change.field for item in items for thing in item.objects for change in thing.changes]
            kinds = {item.kind for item in items} | {thing.kind for item in items for thing in item.objects}
            # Whatever else is not the same object any more: gone, and another come.
            assert any(name in field for field in fields) or {"added", "removed"} <= kinds, (name, fields, kinds)
            assert not found.summary.same
            changes += 1
    for name, header in altered(everything.header):
        assert compared(everything, from_records(header, records))[0].header, name
        changes += 1
    assert changes > 75


def altered_records(record: Record) -> Iterator[tuple[Record, str]]:
    """The record with one thing changed, for everything that it says, and what that is."""
    for name, item in altered(record.item):
        yield Record(item, record.annotations), name
    for index, annotation in enumerate(record.annotations):
        others: list[tuple[str, Annotation]] = list(altered(annotation))
        for place, shape in enumerate(annotation.shapes):
            for _, drawn in altered(shape):
                shapes = (*annotation.shapes[:place], drawn, *annotation.shapes[place + 1 :])
                others.append((KINDS[type(shape)], msgspec.structs.replace(annotation, shapes=shapes)))
        for name, other in others:
            if name == "shapes" or (name == "predicted" and other.is_prediction == annotation.is_prediction):
                continue
            yield Record(record.item, (*record.annotations[:index], other, *record.annotations[index + 1 :])), name


@pytest.mark.parametrize("feature", ONE)
def test_both_directions_tell_the_same(feature: Feature) -> None:
    base = annotation_with(BOX)
    there, back = compared(base, ONE[feature])[0], compared(ONE[feature], base)[0]
    assert compared(ONE[feature], ONE[feature])[0].summary.same
    assert not compared(ONE[feature], ONE[feature])[1]
    list(there)
    list(back)
    first, second = there.summary, back.summary
    for counts, others in ((first.items, second.items), (first.objects, second.objects)):
        assert (counts["added"], counts["removed"]) == (others["removed"], others["added"])
        assert (counts["changed"], counts["same"]) == (others["changed"], others["same"])
    assert first.fields == second.fields
    assert first.same == second.same == (feature in (Feature.BOX,))


def test_a_zip_and_a_folder_are_compared(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "park.zip", "w") as archive:
        archive.write(PARK, "annotations/instances.json")
    found, items = files(tmp_path / "park.zip", PARK)
    assert items == []
    assert found.summary.same
