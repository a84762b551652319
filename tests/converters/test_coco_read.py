"""Reading COCO: what the fact sheet says occurs, and what hostile files hold."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from nucleus_convert.converters import coco
from nucleus_convert.converters.errors import (
    ConvertError,
    DanglingReferenceError,
    MalformedFileError,
    OptionError,
    ReadError,
    SchemaError,
    UnknownFormatError,
)
from nucleus_convert.converters.model import Box, Caption, Keypoints, Label, Mask, Polygon, Tag
from nucleus_convert.converters.report import Report

from .coco_support import (
    CATEGORY,
    IMAGE,
    annotation,
    document,
    findings,
    opened,
    records,
    returned,
    row,
    save,
)

SQUARE = [1, 1, 4, 1, 4, 4, 1, 4]
OTHER = [5, 5, 8, 5, 8, 7]

# ---------------------------------------------------------------------- segmentation (fact sheet, 4.4)


@pytest.mark.parametrize(
    ("value", "shape", "finding"),
    [
        (..., None, None),
        (None, None, None),
        ([], None, None),
        ([[]], None, None),
        ({}, None, None),
        ([SQUARE], Polygon(((tuple(SQUARE),),)), None),
        ([SQUARE, OTHER], Polygon(((tuple(SQUARE),), (tuple(OTHER),))), None),
        ([[*SQUARE, 1, 1]], Polygon(((tuple(SQUARE),),)), None),
        (SQUARE, Polygon(((tuple(SQUARE),),)), "value-normalised"),
        ([[1, 1], [4, 1], [4, 4]], Polygon(((1, 1, 4, 1, 4, 4),)), "value-normalised"),
        ([[[1, 1], [4, 1], [4, 4]]], Polygon(((1, 1, 4, 1, 4, 4),)), "value-normalised"),
        ([[1, 1, 4, 4]], None, "unreadable-shape"),
        ([[1, 1, 4, 1, 4]], None, "unreadable-shape"),
        ([[1, 1, 4, 1, 4, 4, 1]], None, "unreadable-shape"),
        ([SQUARE, [1, 2, 3, 4]], Polygon(((tuple(SQUARE),),)), "unreadable-shape"),
        ([[], SQUARE], Polygon(((tuple(SQUARE),),)), "unreadable-shape"),
        ([[1, 1], [4, 4]], None, "unreadable-shape"),
        ({"size": [8, 10], "counts": [80]}, Mask("`2", 8, 10), None),
        ({"size": [8, 10], "counts": "`2"}, Mask("`2", 8, 10), None),
        ({"size": [8.0, 10.0], "counts": "`2"}, Mask("`2", 8, 10), None),
        ({"size": [8, 10], "counts": "`2", "more": 1}, Mask("`2", 8, 10), None),
    ],
)
@pytest.mark.parametrize("crowd", [0, 1, ...])
def test_segmentation_is_understood_and_comes_back(
    tmp_path: Path, value: Any, shape: Any, finding: str | None, crowd: Any
) -> None:
    if isinstance(shape, Polygon):  # a part is a tuple of rings
        shape = Polygon(tuple(part if isinstance(part[0], tuple) else (part,) for part in shape.parts))
    report = Report()
    given = row(segmentation=value, iscrowd=crowd)
    read = annotation(given, tmp_path, report)
    assert read.shape(Box) == Box(1, 2, 3, 4)
    assert read.shape(type(shape)) == shape if shape is not None else len(read.shapes) == 1
    assert read.crowd == {0: False, 1: True, ...: None}[crowd]
    assert {code for code, _ in findings(report)} == ({finding} if finding else set())
    [back] = returned(document(given), tmp_path)["annotations"]
    assert {**back, "iscrowd": 0} == {**given, "iscrowd": 0}


@pytest.mark.parametrize(
    ("value", "path", "said"),
    [
        ("text", ".segmentation", "expected polygons or an RLE object, found a string"),
        (5, ".segmentation", "found a number"),
        (True, ".segmentation", "found a bool"),
        ([[1, 1, "4", 1, 4, 4]], ".segmentation[0][2]", "expected a number, found a string '4'"),
        ([[1, 1, None, 1, 4, 4]], ".segmentation[0][2]", "expected a number, found null"),
        ([SQUARE, {"a": 1}], ".segmentation[1]", "expected a number, found an object"),
        ([[[[1]]]], ".segmentation[0][0][0]", "expected a number, found a list"),
        ({"size": [8], "counts": "`2"}, ".segmentation", "[height, width]"),
        ({"size": "8x10", "counts": "`2"}, ".segmentation", "[height, width]"),
        ({"size": [8.5, 10], "counts": "`2"}, ".segmentation", "[height, width]"),
        ({"counts": "`2"}, ".segmentation", "[height, width]"),
        ({"size": [8, 10]}, ".segmentation.counts", "found null"),
        ({"size": [8, 10], "counts": {}}, ".segmentation.counts", "found an object"),
        ({"size": [8, 10], "counts": [79]}, ".segmentation", "cover 79 pixels"),
        ({"size": [8, 10], "counts": [81]}, ".segmentation", "cover 81 pixels"),
        ({"size": [8, 10], "counts": [-1, 81]}, ".segmentation", "below 0"),
        ({"size": [8, 10], "counts": [1.5, 78.5]}, ".segmentation", "whole numbers"),
        ({"size": [8, 10], "counts": ["80"]}, ".segmentation", "whole numbers"),
        ({"size": [8, 10], "counts": "`2 "}, ".segmentation", "character ' '"),
        ({"size": [8, 10], "counts": "d0d0:F\\0"}, ".segmentation", "cover"),
        ({"size": [10, 8], "counts": "`2"}, ".segmentation", "look swapped"),
        ({"size": [4, 20], "counts": "`2"}, ".segmentation", "another image size"),
        ({"size": [0, 0], "counts": []}, ".segmentation", "is empty"),
        ({"size": [-8, -10], "counts": [80]}, ".segmentation", "is empty"),
        ({"size": [10**9, 10**9], "counts": [10**18]}, ".segmentation", "run above"),
        ({"size": [10**5, 10**5], "counts": [10**9]}, ".segmentation", "more than 2147483647 pixels"),
    ],
)
def test_a_wrong_segmentation_is_named(tmp_path: Path, value: Any, path: str, said: str) -> None:
    with pytest.raises(SchemaError) as caught:
        annotation(row(segmentation=value), tmp_path)
    assert caught.value.where is not None
    assert caught.value.where.path == f"$.annotations[0]{path}"
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("size", "counts", "text"),
    [
        ([3, 4], [3, 2, 1, 2, 4], "32103"),
        ([3, 4], [0, 2, 2, 1, 6, 1], "022O40"),
        ([3, 4], [12], "<"),
        ([3, 4], [0, 12], "0<"),
        ([10, 10], [32, 3, 7, 3, 7, 3, 7, 3, 35], "P13700000l0"),
        (
            [12, 12],
            [29, 1, 9, 5, 6, 7, 5, 7, 4, 9, 4, 7, 5, 7, 6, 5, 9, 1, 18],
            "m0194M2O0O20N101N3L9",
        ),
        ([100, 100], [0, 90, 10, 90, 10, 90, 60, 2, 9648], "0j2:000b1XMd[9"),
        ([19, 57], [1000, 16, 15, 47, 5], "Xo0`0?o0F"),
        ([5, 10], [44, 6], "\\16"),
        ([2, 2], [1, 0, 0, 3], "1003"),
    ],
)
def test_runs_are_read_both_ways(tmp_path: Path, size: list[int], counts: list[int], text: str) -> None:
    """Fact sheet, 6.3."""
    image = {**IMAGE, "height": size[0], "width": size[1]}
    for given in (counts, text):
        fields = row(segmentation={"size": size, "counts": given})
        mask = annotation(fields, tmp_path, images=[image]).shape(Mask)
        assert (mask.counts, mask.height, mask.width) == (text, *size)
        [back] = returned(document(fields, images=[image]), tmp_path)["annotations"]
        assert back == fields


# ---------------------------------------------------------------------- ids


@pytest.mark.parametrize("image", [0, 1, 7, -3, 2**31, 2**53 + 1, 2**63, 10**25, "a", "0001", "", "x y/ü"])
@pytest.mark.parametrize("number", [0, 5, 2**40, 2**70, "id-1", "007", ""])
def test_ids_of_all_kinds_come_back(tmp_path: Path, image: Any, number: Any) -> None:
    value = document(row(id=number, image_id=image), images=[{**IMAGE, "id": image}])
    report = Report()
    assert returned(value, tmp_path, report) == value
    assert findings(report) == {}
    [record] = records(value, tmp_path)
    assert (record.item.id, record.annotations[0].id) == (image, number)


@pytest.mark.parametrize(("image", "named"), [(1, "1"), ("1", 1), (1, 1.0), (1.0, 1), ("7", 7.0)])
def test_ids_are_joined_whatever_their_type(tmp_path: Path, image: Any, named: Any) -> None:
    report = Report()
    [record] = records(document(row(image_id=named), images=[{**IMAGE, "id": image}]), tmp_path, report)
    assert record.item.id == image
    assert len(record.annotations) == 1
    told = [what for code, what in findings(report) if code == "value-normalised"]
    assert bool(told) == (isinstance(image, str) != isinstance(named, str))


@pytest.mark.parametrize("category", [0, 1, 90, 2**40, "1", "cat-1"])
def test_category_ids_of_all_kinds_come_back(tmp_path: Path, category: Any) -> None:
    value = document(row(category_id=category), categories=[{**CATEGORY, "id": category}])
    report = Report()
    assert returned(value, tmp_path, report) == value
    assert findings(report) == {}


@pytest.mark.parametrize(("category", "named"), [("1", 1), (1, "1")])
def test_categories_are_joined_whatever_their_type(tmp_path: Path, category: Any, named: Any) -> None:
    report = Report()
    read = annotation(row(category_id=named), tmp_path, report, categories=[{**CATEGORY, "id": category}])
    assert read.label == "cat"
    assert [code for code, _ in findings(report)] == ["value-normalised"]


@pytest.mark.parametrize("value", [None, 1.5, True, [1], {}])
def test_an_image_without_a_usable_id_is_rejected(tmp_path: Path, value: Any) -> None:
    image = {**IMAGE, "id": value}
    with pytest.raises(SchemaError, match="image object with an id") as caught:
        records(document(images=[IMAGE, image]), tmp_path)
    assert caught.value.where is not None
    assert caught.value.where.path == "$.images[1]"
    report = Report("quarantine")
    assert len(records(document(images=[IMAGE, image]), tmp_path, report)) == 1
    assert report.rejected[0].record == image
    assert report.ledger.balance()["item"] == {
        "read": 2,
        "written": 0,
        "carried": 0,
        "dropped": 0,
        "skipped": 1,
    }


def test_two_images_of_one_id_are_refused(tmp_path: Path) -> None:
    value = document(row(), images=[IMAGE, {**IMAGE, "file_name": "b.jpg"}])
    with pytest.raises(SchemaError, match="image id 1 stands twice") as caught:
        records(value, tmp_path)
    assert caught.value.where is not None
    assert caught.value.where.path == "$.images[1].id"
    report = Report("skip")
    [record] = records(value, tmp_path, report)
    assert record.item.path == "a.jpg"
    assert len(record.annotations) == 1


@pytest.mark.parametrize("identity", [3, "x", 2**70])
def test_annotation_ids_that_stand_twice_are_kept_and_told(tmp_path: Path, identity: Any) -> None:
    value = document(*[row(id=identity)] * 8, row(id=1), row(id="1"))
    report = Report()
    assert returned(value, tmp_path, report) == value
    finding = next(f for f in report.sorted() if f.code == "duplicate-id")
    assert finding.count == 8
    assert finding.examples[0].path == "$.annotations[1].id"


@pytest.mark.parametrize("missing", [..., None])
def test_annotations_without_ids_get_some(tmp_path: Path, missing: Any) -> None:
    report = Report()
    back = returned(document(row(id=7), row(id=missing), row(id=missing)), tmp_path, report)
    assert [entry["id"] for entry in back["annotations"]] == [7, 8, 9]
    assert findings(report)["missing-id", "annotation"] == 2


@pytest.mark.parametrize("identity", [1.5, True, [1], {}])
def test_a_strange_annotation_id_is_named(tmp_path: Path, identity: Any) -> None:
    with pytest.raises(SchemaError) as caught:
        annotation(row(id=identity), tmp_path)
    assert caught.value.where is not None
    assert str(caught.value.where.path).startswith("$.annotations[0]")


# ---------------------------------------------------------------------- boxes


@pytest.mark.parametrize("value", [..., None, []])
def test_a_missing_box_is_no_box(tmp_path: Path, value: Any) -> None:
    fields = row(bbox=value, segmentation=[SQUARE])
    read = annotation(fields, tmp_path)
    assert read.shapes == (Polygon(((tuple(SQUARE),),)),)
    report = Report()
    [back] = returned(document(fields), tmp_path, report)["annotations"]
    if value is ...:
        assert back["bbox"] == [1, 1, 3, 3]
        assert findings(report) == {("completed", "bbox"): 1}
        assert annotation(back, tmp_path).shapes == read.shapes
    else:
        assert back == fields


@pytest.mark.parametrize(
    "box", [[0.1, 0.2, 3.3, 1e-9], [-5, -5, 20, 20], [1, 1, 0, 0], [3, 3, -1, -1], [1, 2, 3, 4.0]]
)
def test_numbers_of_boxes_are_untouched(tmp_path: Path, box: list[float]) -> None:
    fields = row(bbox=box)
    assert annotation(fields, tmp_path).shapes == (Box(*box),)
    text = json.dumps(returned(document(fields), tmp_path)["annotations"][0]["bbox"])
    assert text == json.dumps(box)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ([1, 2, 3], ".bbox"),
        ([1, 2, 3, 4, 5, 6], ".bbox"),
        ([1, 2, "3", 4], ".bbox[2]"),
        ([1, 2, None, 4], ".bbox[2]"),
        ([1, 2, True, 4], ".bbox[2]"),
        ({"x": 1}, ".bbox"),
        ("1,2,3,4", ".bbox"),
    ],
)
def test_a_wrong_box_is_named(tmp_path: Path, value: Any, path: str) -> None:
    with pytest.raises(SchemaError) as caught:
        annotation(row(bbox=value), tmp_path)
    assert caught.value.where is not None
    assert caught.value.where.path == f"$.annotations[0]{path}"


@pytest.mark.parametrize("angle", [30, 0, -45.5])
def test_boxes_of_five_numbers_are_turned_and_come_back(tmp_path: Path, angle: float) -> None:
    fields = row(bbox=[5, 4, 4, 2, angle])
    report = Report()
    assert annotation(fields, tmp_path, report).shapes == (Box(3, 3, 4, 2, -angle),)
    assert "assumed" in {code for code, _ in findings(report)}
    back = returned(document(fields), tmp_path)
    assert back["annotations"][0]["bbox"] == fields["bbox"]
    again = annotation(back["annotations"][0], tmp_path)
    assert [type(shape) for shape in again.shapes] == [Box]
    assert again.shapes == annotation(fields, tmp_path).shapes


def corners(count: int, **image: Any) -> dict[str, Any]:
    boxes = [[40 + i, 30 + i, 90 + i, 75 + i] for i in range(count)]
    return document(
        *[row(id=i, bbox=box) for i, box in enumerate(boxes)],
        images=[{**IMAGE, "width": 100, "height": 80, **image}],
    )


def test_boxes_that_look_like_corners_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="look like") as caught:
        records(corners(5), tmp_path)
    assert "--bbox xywh" in (caught.value.hint or "")
    assert len(records(corners(5), tmp_path, bbox="xywh")[0].annotations) == 5
    assert len(records(corners(2), tmp_path)[0].annotations) == 2  # too few to tell
    assert len(records(corners(5, width=None), tmp_path)[0].annotations) == 5
    one_right = corners(5)
    one_right["annotations"][2]["bbox"] = [50, 40, 10, 20]
    assert len(records(one_right, tmp_path)[0].annotations) == 5


def test_boxes_that_look_like_fractions_are_refused(tmp_path: Path) -> None:
    value = document(*[row(id=i, bbox=[0.1, 0.2, 0.5, 0.5]) for i in range(3)])
    with pytest.raises(SchemaError, match="fractions"):
        records(value, tmp_path)
    assert len(records(value, tmp_path, bbox="xywh")[0].annotations) == 3
    value["annotations"][0]["bbox"] = [1, 1, 5, 5]
    assert len(records(value, tmp_path)[0].annotations) == 3


# ---------------------------------------------------------------------- keypoints

PERSON = {
    "id": 1,
    "name": "person",
    "keypoints": ["nose", "left eye", "right eye"],
    "skeleton": [[1, 2], [1, 3], [2, 3]],
}


def test_keypoints_and_their_skeleton(tmp_path: Path) -> None:
    fields = row(keypoints=[1, 2, 2, 3.5, 4, 1, 0, 0, 0], num_keypoints=2)
    read = annotation(fields, tmp_path, categories=[PERSON])
    names = ("nose", "left eye", "right eye")
    edges = ((0, 1), (0, 2), (1, 2))
    assert read.shape(Keypoints) == Keypoints((1, 2, 2, 3.5, 4, 1, 0, 0, 0), names, edges)
    value = document(fields, categories=[PERSON])
    report = Report()
    assert returned(value, tmp_path, report) == value
    assert findings(report) == {}


@pytest.mark.parametrize(
    ("edges", "read", "told"),
    [
        ([[1, 2], [2, 3]], ((0, 1), (1, 2)), False),
        ([[0, 1], [1, 2]], ((0, 1), (1, 2)), True),
        ([[1, 2]], ((0, 1),), False),
        ([], (), False),
        ([[1, 4]], (), True),
        ([[0, 3]], (), True),
        ([[1, 2, 3]], (), True),
        ([["nose", "left eye"]], (), True),
        ({"a": 1}, (), True),
        ([[-1, 1]], (), True),
    ],
)
def test_skeletons_of_either_base_come_back(tmp_path: Path, edges: Any, read: Any, told: bool) -> None:
    category = {**PERSON, "skeleton": edges}
    value = document(row(keypoints=[1, 2, 2] * 3, num_keypoints=3), categories=[category])
    report = Report()
    assert returned(value, tmp_path, report) == value
    assert opened(tmp_path / "in.json").header.labels[0].skeleton == read
    assert [code for code, _ in findings(report)] == (["value-normalised"] if told else [])


@pytest.mark.parametrize("given", [..., 0, 3, 99, None])
def test_the_count_of_keypoints_comes_back_as_it_was(tmp_path: Path, given: Any) -> None:
    fields = row(keypoints=[1, 2, 2, 3, 4, 1, 0, 0, 0], num_keypoints=given)
    report = Report()
    [back] = returned(document(fields, categories=[PERSON]), tmp_path, report)["annotations"]
    assert back == {**fields, "num_keypoints": 2 if given is ... else given}
    expected = ("completed", "num_keypoints") if given is ... else ("value-normalised",)
    assert next(iter(findings(report)))[: len(expected)] == expected


@pytest.mark.parametrize("value", [None, [], [1, 2], [[1, 2, 2], [3, 4, 2]]])
def test_keypoints_that_are_none_come_back(tmp_path: Path, value: Any) -> None:
    fields = row(keypoints=value)
    report = Report()
    assert annotation(fields, tmp_path, report).shapes == (Box(1, 2, 3, 4),)
    assert ("unreadable-shape" in {code for code, _ in findings(report)}) == bool(value)
    assert returned(document(fields), tmp_path)["annotations"] == [fields]


@pytest.mark.parametrize(("value", "path"), [("a", ""), (5, ""), ([1, "2", 2], "[1]"), ([1, 2, None], "[2]")])
def test_wrong_keypoints_are_named(tmp_path: Path, value: Any, path: str) -> None:
    with pytest.raises(SchemaError) as caught:
        annotation(row(keypoints=value), tmp_path)
    assert caught.value.where is not None
    assert caught.value.where.path == f"$.annotations[0].keypoints{path}"


def test_keypoints_of_a_category_without_names(tmp_path: Path) -> None:
    fields = row(keypoints=[1, 2, 2], num_keypoints=1)
    assert annotation(fields, tmp_path).shape(Keypoints) == Keypoints((1, 2, 2))
    assert annotation(fields, tmp_path, categories=[PERSON]).shape(Keypoints) == Keypoints((1, 2, 2))
    value = document(fields, categories=[PERSON])
    assert returned(value, tmp_path) == value


@pytest.mark.parametrize("seen", [[0.9, 0.0, 0.5], [1, 1, 1], [3, 0, 2]])
def test_scores_in_place_of_visibility_come_back(tmp_path: Path, seen: list[float]) -> None:
    points = [number for i, entry in enumerate(seen) for number in (i, i, entry)]
    value = [{"image_id": 1, "category_id": 1, "keypoints": points, "score": 0.5}]
    [record] = records(value, tmp_path)
    shape = record.annotations[0].shape(Keypoints)
    assert shape.points[2::3] == tuple(2 if entry > 0 else 0 for entry in seen)
    assert returned(value, tmp_path) == value


# ---------------------------------------------------------------------- other fields


@pytest.mark.parametrize("value", [0, 1, True, False, 1.0, None])
def test_crowd_in_any_writing_comes_back(tmp_path: Path, value: Any) -> None:
    fields = row(iscrowd=value)
    assert annotation(fields, tmp_path).crowd == (None if value is None else bool(value))
    [back] = returned(document(fields), tmp_path)["annotations"]
    assert back == fields
    assert type(back["iscrowd"]) is type(value)


@pytest.mark.parametrize("value", [2, -1, "0", [], {}])
def test_a_wrong_crowd_is_named(tmp_path: Path, value: Any) -> None:
    with pytest.raises(SchemaError) as caught:
        annotation(row(iscrowd=value), tmp_path)
    assert caught.value.where is not None
    assert caught.value.where.path == "$.annotations[0].iscrowd"


@pytest.mark.parametrize("value", ["high", [1], True])
def test_a_wrong_score_is_named(tmp_path: Path, value: Any) -> None:
    with pytest.raises(SchemaError) as caught:
        annotation(row(score=value), tmp_path)
    assert caught.value.where is not None
    assert caught.value.where.path == "$.annotations[0].score"


def test_unknown_keys_stand_in_the_files_order(tmp_path: Path) -> None:
    keys = [f"key{number * 7 % 20}" for number in range(20)]
    found = annotation(row(**dict.fromkeys(keys, 1)), tmp_path).extras["coco"]
    assert [key for key in found if key.startswith("key")] == keys


def test_unknown_keys_come_back_at_every_level(tmp_path: Path) -> None:
    odd = {"x": [1, {"y": None}], "": True, "ü": "ö", "big": 2**70, "f": 1e-300}
    # Names that the reader uses for notes of its own.
    ours = {
        "row": 99,
        "closed": True,
        "counts": "n",
        "rle": 1,
        "visibility": [3],
        "keys": {},
        "path_from_url": 1,
    }
    value = document(
        row(**odd, **ours, segmentation=[[*SQUARE, 1, 1]]),
        row(id=2, **ours),
        images=[{**IMAGE, **odd, **{k: v for k, v in ours.items() if k != "path_from_url"}}],
        categories=[{**CATEGORY, **odd, **ours}],
        info={"year": ""},
        licenses=[],
        **odd,
    )
    report = Report()
    assert returned(value, tmp_path, report) == value
    assert findings(report) == {}


def test_attributes_tracks_and_scores(tmp_path: Path) -> None:
    fields = row(attributes={"occluded": False, "rotation": 30.5, "n": None}, track_id=7, score=0.25)
    read = annotation(fields, tmp_path)
    assert (read.attributes, read.track, read.confidence, read.is_prediction) == (
        fields["attributes"],
        7,
        0.25,
        True,
    )
    value = document(
        fields,
        row(id=2, attributes={}),
        row(id=3, attributes=None),
        row(id=4, track_id=None),
        row(id=5, track_id=[1]),
    )
    back = returned(value, tmp_path)
    del value["annotations"][1]["attributes"]  # an empty object says nothing
    assert back == value


def test_a_row_that_stands_for_the_whole_image(tmp_path: Path) -> None:
    save(document({"id": 1, "image_id": 1, "category_id": 1}), tmp_path / "labels_train.json")
    [record] = opened(tmp_path / "labels_train.json")
    assert record.annotations[0].shapes == (Tag(),)
    report = Report()
    assert annotation({"id": 1, "image_id": 1, "category_id": 1}, tmp_path, report).shapes == ()
    assert ("no-shape", "no bbox, segmentation or keypoints") in findings(report)


def test_captions(tmp_path: Path) -> None:
    value = document(
        {"id": 1, "image_id": 1, "caption": 'A "cat"\n'}, {"id": 2, "image_id": 1, "caption": ""}
    )
    del value["categories"]
    report = Report()
    [record] = records(value, tmp_path)
    assert [one.shapes for one in record.annotations] == [(Caption('A "cat"\n'),), (Caption(""),)]
    assert returned(value, tmp_path, report) == value
    assert findings(report) == {}
    datumaro = document({"id": 1, "image_id": 1, "caption": "x", "category_id": 0})
    assert records(datumaro, tmp_path)[0].annotations[0].label is None
    assert returned(datumaro, tmp_path)["annotations"] == datumaro["annotations"]
    with pytest.raises(SchemaError, match="expected a string"):
        annotation({"id": 1, "image_id": 1, "caption": 5}, tmp_path)


def test_lvis_reads_the_name_off_the_address(tmp_path: Path) -> None:
    image = {
        "id": 1, "width": 10, "height": 8, "coco_url": "http://images.cocodataset.org/train2017/000000391895.jpg",
        "neg_category_ids": [3], "not_exhaustive_category_ids": [],
    }  # fmt: skip
    category = {
        "id": 1,
        "name": "cat",
        "synset": "cat.n.01",
        "synonyms": ["cat"],
        "def": "d",
        "frequency": "f",
    }
    value = document(row(segmentation=[SQUARE], iscrowd=...), images=[image], categories=[category])
    report = Report()
    [record] = records(value, tmp_path)
    assert record.item.path == "train2017/000000391895.jpg"
    back = returned(value, tmp_path, report)
    assert back["annotations"][0].pop("iscrowd") == 0
    assert back == value
    assert findings(report) == {("completed", "iscrowd"): 1}


def test_image_info_has_no_annotations(tmp_path: Path) -> None:
    value = {"info": {}, "licenses": [], "images": [IMAGE], "categories": [CATEGORY]}
    [record] = records(value, tmp_path)
    assert record.annotations == ()
    assert returned(value, tmp_path) == value


@pytest.mark.parametrize(
    "value", [{"images": []}, {"images": [], "annotations": []}, {"categories": [], "images": []}]
)
def test_what_is_empty_comes_back_empty(tmp_path: Path, value: Any) -> None:
    assert records(value, tmp_path) == []
    assert returned(value, tmp_path) == value


@pytest.mark.parametrize(
    "order", [("annotations", "images", "categories"), ("categories", "images", "annotations")]
)
def test_the_order_of_keys_does_not_matter(tmp_path: Path, order: tuple[str, ...]) -> None:
    whole = document(row(), row(id=2))
    value = {key: whole[key] for key in order}
    assert len(records(value, tmp_path)[0].annotations) == 2
    assert list(returned(value, tmp_path)) == list(order)


@pytest.mark.parametrize(
    ("size", "read"),
    [(640.0, 640), (640, 640), (0, None), (0.0, None), (None, None), (..., None), (640.0000001, 640)],
)
def test_sizes(tmp_path: Path, size: Any, read: int | None) -> None:
    image = {key: value for key, value in {**IMAGE, "width": size}.items() if value is not ...}
    report = Report()
    [record] = records(document(row(), images=[image]), tmp_path, report)
    assert record.item.width == read
    assert (("size-missing", "missing or zero") in findings(report)) == (read is None)
    [back] = returned(document(row(), images=[image]), tmp_path)["images"]
    assert back == image
    rounded = ("value-normalised", "image size read as the whole number it is nearly")
    assert (rounded in findings(report)) == (size == 640.0000001)


@pytest.mark.parametrize("size", [640.5, -1, "640", [640], True])
def test_a_wrong_size_rejects_the_image_and_its_annotations(tmp_path: Path, size: Any) -> None:
    value = document(row(), images=[{**IMAGE, "width": size}])
    with pytest.raises(SchemaError) as caught:
        records(value, tmp_path)
    assert caught.value.where is not None
    assert (caught.value.where.file, caught.value.where.path) == ("in.json", "$.images[0].width")
    report = Report("quarantine")
    assert records(value, tmp_path, report) == []
    assert [rejected.where.path for rejected in report.rejected] == ["$.images[0].width", "$.annotations[0]"]
    balance = report.ledger.balance()
    assert (balance["item"]["skipped"], balance["object"]["skipped"]) == (1, 1)


@pytest.mark.parametrize("name", [5, ["a"], {}])
def test_a_wrong_file_name_is_named(tmp_path: Path, name: Any) -> None:
    with pytest.raises(SchemaError) as caught:
        records(document(images=[{**IMAGE, "file_name": name}]), tmp_path)
    assert caught.value.where is not None
    assert caught.value.where.path == "$.images[0].file_name"


@pytest.mark.parametrize(
    "name", ["", "a/b/c.jpg", "..\\w.jpg", "/abs.jpg", "http://x/y.jpg?z=1", "ü \n.jpg", None, ...]
)
def test_file_names_come_back(tmp_path: Path, name: Any) -> None:
    image = {key: value for key, value in {**IMAGE, "file_name": name}.items() if value is not ...}
    back = returned(document(images=[image]), tmp_path)
    if name is ...:
        assert records(back, tmp_path)[0].item.path is None
        assert back["images"][0].pop("file_name") == "1"  # pycocotools and others need one
        back["images"][0].pop("_nucleus_convert")
    assert back["images"] == [image]


# ---------------------------------------------------------------------- categories


def test_labels_of_one_name_are_told_apart_and_come_back(tmp_path: Path) -> None:
    categories = [
        {"id": 1, "name": "bat", "supercategory": "animal"},
        {"id": 2, "name": "bat", "supercategory": "sports"},
        {"id": 3, "name": "bat"},
        {"id": 4, "name": "bat", "supercategory": "animal"},
        {"id": 5, "name": "animal/bat"},
        {"id": 6, "name": "bat#3"},
        {"id": 7, "name": "dog"},
    ]
    value = document(*[row(id=i, category_id=i) for i in range(1, 8)], categories=categories)
    report = Report()
    labels = opened(save(value, tmp_path / "in.json"), report)
    names = [label.name for label in labels.header.labels]
    assert names == ["bat#1", "sports/bat", "bat##3", "bat#4", "animal/bat", "bat#3", "dog"]
    assert [one.label for one in labels.annotations()] == names
    assert report.count("label-renamed") == 4
    assert returned(value, tmp_path) == value


@pytest.mark.parametrize(
    "fields",
    [
        {"name": None},
        {"name": 5},
        {"name": ...},
        {"supercategory": None},
        {"supercategory": ["a"]},
        {"supercategory": ""},
        {"supercategory": "cat"},
        {"keypoints": []},
        {"keypoints": None},
        {"keypoints": ["a", 1]},
        {"keypoints": ["a"], "skeleton": None},
        {"isthing": 1, "color": [1, 2, 3]},
    ],
)
def test_odd_categories_come_back(tmp_path: Path, fields: dict[str, Any]) -> None:
    category = {key: value for key, value in {**CATEGORY, **fields}.items() if value is not ...}
    value = document(row(), categories=[category])
    back = returned(value, tmp_path)
    if fields == {"name": ...}:
        category["name"] = "1"
    assert back == document(row(), categories=[category])


@pytest.mark.parametrize(
    ("categories", "path"),
    [
        ({}, "$.categories"),
        (None, "$.categories"),
        ("a", "$.categories"),
        ([CATEGORY, 5], "$.categories[1]"),
        ([{"name": "a"}], "$.categories[0]"),
        ([{"id": 1.5, "name": "a"}], "$.categories[0]"),
        ([CATEGORY, {"id": "1", "name": "b"}], "$.categories[1].id"),
    ],
)
def test_wrong_categories_are_named(tmp_path: Path, categories: Any, path: str) -> None:
    with pytest.raises(SchemaError) as caught:
        records(document(categories=categories), tmp_path)
    assert caught.value.where is not None
    assert caught.value.where.path == path


def test_categories_that_nobody_declared(tmp_path: Path) -> None:
    value = document(row(category_id=7), row(id=2, category_id=0))
    del value["categories"]
    report = Report()
    labels = opened(save(value, tmp_path / "in.json"), report)
    assert labels.header.labels == (Label(name="7", id=7), Label(name="0", id=0))
    assert findings(report) == {("label-undeclared", "7"): 1, ("label-undeclared", "0"): 1}


# ---------------------------------------------------------------------- dangling, wrong, damaged


def test_a_dangling_image_is_named_and_can_be_left_out(tmp_path: Path) -> None:
    value = document(row(), row(id=2, image_id=99), row(id=3, image_id="none"))
    with pytest.raises(DanglingReferenceError, match="image id 99") as caught:
        records(value, tmp_path)
    assert caught.value.where is not None
    assert caught.value.where.path == "$.annotations[1].image_id"
    report = Report("quarantine")
    [record] = records(value, tmp_path, report)
    assert len(record.annotations) == 1
    assert [rejected.record for rejected in report.rejected] == value["annotations"][1:]


def test_a_dangling_category_is_named_and_can_be_left_out(tmp_path: Path) -> None:
    value = document(row(category_id=5), row(id=2))
    with pytest.raises(DanglingReferenceError, match="category id 5") as caught:
        records(value, tmp_path)
    assert caught.value.where is not None
    assert (caught.value.where.path, caught.value.where.item) == ("$.annotations[0].category_id", "a.jpg")
    report = Report("skip")
    assert [one.id for one in records(value, tmp_path, report)[0].annotations] == [2]


@pytest.mark.parametrize(
    ("bad", "path"),
    [
        (None, ""),
        (5, ""),
        ([], ""),
        ("x", ""),
        ({}, ".image_id"),
        ({"image_id": None}, ".image_id"),
        ({"image_id": 1.5}, ".image_id"),
        ({"image_id": [1]}, ""),
        ({"image_id": 1, "category_id": [1]}, ""),
        (row(category_id={}), ""),
        (row(category_id=True), ""),
        (row(segments_info=[]), ".segments_info"),
    ],
)
def test_rows_that_are_no_annotations_are_named_and_kept(tmp_path: Path, bad: Any, path: str) -> None:
    value = document(row(), bad, row(id=3))
    with pytest.raises(ReadError) as caught:
        records(value, tmp_path)
    assert caught.value.where is not None
    assert caught.value.where.path == f"$.annotations[1]{path}"
    assert "--on-error" in (caught.value.hint or "")
    report = Report("quarantine")
    [record] = records(value, tmp_path, report)
    assert [one.id for one in record.annotations] == [1, 3]
    assert [rejected.record for rejected in report.rejected] == [bad]
    assert report.ledger.balance()["object"]["skipped"] == 1


@pytest.mark.parametrize(
    "text",
    [
        b'{"id":2,"image_id":1,"category_id":1,"bbox":[1,2,3,1e400]}',
        b'{"id":2,"image_id":1,"category_id":1,"x":1e400}',
    ],
)
def test_values_that_cannot_be_held_reject_their_row(tmp_path: Path, text: bytes) -> None:
    whole = json.dumps(document(row(), {"here": 1}, row(id=3))).encode().replace(b'{"here": 1}', text)
    with pytest.raises(SchemaError) as caught:
        records(whole, tmp_path)
    assert caught.value.where is not None
    assert str(caught.value.where.path).startswith("$.annotations[1]")
    report = Report("quarantine")
    [record] = records(whole, tmp_path, report)
    assert [one.id for one in record.annotations] == [1, 3]
    assert len(report.rejected) == 1


@pytest.mark.parametrize("key", [b"x", b"attributes", b"segmentation"])
def test_nesting_without_end_is_one_bad_row(tmp_path: Path, key: bytes) -> None:
    deep = b'{"id":2,"image_id":1,"category_id":1,"%b":%b}' % (key, b"[" * 3000 + b"]" * 3000)
    whole = json.dumps(document(row(), {"here": 1})).encode().replace(b'{"here": 1}', deep)
    with pytest.raises(SchemaError, match="nested too deeply") as caught:
        records(whole, tmp_path)
    assert caught.value.where is not None
    assert caught.value.where.path == "$.annotations[1]"
    report = Report("quarantine")
    [record] = records(whole, tmp_path, report)
    assert [one.id for one in record.annotations] == [1]
    assert [rejected.record for rejected in report.rejected] == [deep.decode()]


NO_JSON = [
    ('"bbox": [1, 2, 3, 4]', '"bbox": [1, 2, NaN, 4]', ".bbox[2]", "NaN is not JSON"),
    ('"area": 12', '"area": -Infinity', ".area", "-Infinity is not JSON"),
    ('"area": 12', '"score": Infinity', ".score", "Infinity is not JSON"),
    ('"area": 12', '"attributes": {"speed": NaN}', ".attributes.speed", "NaN is not JSON"),
    ('"area": 12', '"segmentation": [[1, 2, 3, 4, 5, NaN]]', ".segmentation[0][5]", "NaN is not JSON"),
    ('"image_id": 1', '"image_id": NaN', ".image_id", "NaN is not JSON"),
    ('"area": 12', '"note": "\\udce9.jpg"', ".note", "not valid JSON: half of a surrogate pair"),
    ('"area": 12', '"area": 12,', "", "not valid JSON: "),
]
"""What a row says, what it says instead, and what is wrong with that."""


@pytest.mark.parametrize(("find", "put", "path", "said"), NO_JSON)
@pytest.mark.parametrize("results", [False, True])
@pytest.mark.parametrize("plain", [True, False])
def test_a_row_that_is_no_json_is_one_bad_row(
    tmp_path: Path, find: str, put: str, path: str, said: str, results: bool, plain: bool
) -> None:
    """Also among rows that are read together, without a decoder."""
    more = {"segmentation": [SQUARE]} if plain else {}
    rows = [row(id=i, **more) for i in range(1, 41)]
    text = json.dumps(rows if results else document(*rows))
    good = json.dumps(rows[17])
    bad = good.replace(find, put, 1)
    assert bad != good
    whole = text.replace(good, bad).encode()
    place = f"$[17]{path}" if results else f"$.annotations[17]{path}"
    with pytest.raises(MalformedFileError) as caught:
        records(whole, tmp_path)
    message = str(caught.value)
    assert message.startswith(f"in.json {place}{': ' if path else ''}")
    assert said in message
    assert "--on-error skip (or quarantine)" in message
    report = Report("quarantine")
    [record] = records(whole, tmp_path, report)
    assert [one.id for one in record.annotations] == [i for i in range(1, 41) if i != 18]
    [rejected] = report.rejected
    assert rejected.record == bad
    assert rejected.where.path is not None
    assert rejected.where.path.startswith(place)
    assert report.ledger.balance()["object"]["skipped"] == 1


def test_an_image_that_is_no_json_takes_its_annotations_along(tmp_path: Path) -> None:
    bad = json.dumps({**IMAGE, "id": 2, "gsd": float("nan")})
    value = document(row(), row(id=2, image_id=2), row(id=3), images=[IMAGE, {"here": 1}])
    whole = json.dumps(value).replace('{"here": 1}', bad).encode()
    with pytest.raises(MalformedFileError) as caught:
        records(whole, tmp_path)
    assert "in.json $.images[1].gsd: NaN is not JSON" in str(caught.value)
    report = Report("quarantine")
    [record] = records(whole, tmp_path, report)
    assert [one.id for one in record.annotations] == [1, 3]
    assert [(one.where.path, one.reason, one.record) for one in report.rejected] == [
        ("$.images[1].gsd", "NaN is not JSON", bad),
        ("$.annotations[1]", "the annotation's image could not be read", value["annotations"][1]),
    ]
    balance = report.ledger.balance()
    assert (balance["item"]["skipped"], balance["object"]["skipped"]) == (1, 1)


@pytest.mark.parametrize("results", [False, True])
def test_the_format_is_known_although_the_first_row_is_no_json(tmp_path: Path, results: bool) -> None:
    rows = [row(score=float("nan")), row(id=2)]
    value: Any = rows if results else document(*rows, images=[{**IMAGE, "x": float("nan")}, {**IMAGE, "id": 2}])
    assert coco.sniff(save(value, tmp_path / "a.json")) is None


def test_every_row_may_be_no_json(tmp_path: Path) -> None:
    whole = json.dumps(document(*[row(id=i, area=float("nan")) for i in range(500)])).encode()
    report = Report("skip")
    [record] = records(whole, tmp_path, report)
    assert record.annotations == ()
    assert findings(report) == {("rejected", "NaN is not JSON"): 500}


@pytest.mark.parametrize("key", ["info", "categories"])
def test_what_is_said_once_must_be_json(tmp_path: Path, key: str) -> None:
    value = json.dumps(document(**{key: [{"id": 1, "name": "cat", "x": float("nan")}]})).encode()
    with pytest.raises(MalformedFileError) as caught:
        records(value, tmp_path, Report("skip"))
    assert f"in.json:1 $.{key}[0].x: NaN is not JSON" in str(caught.value)


@pytest.mark.parametrize("key", ["info", "categories"])
def test_values_that_cannot_be_held_elsewhere_are_named(tmp_path: Path, key: str) -> None:
    text = json.dumps(document()).encode()[:-1] + b',"%b":{"a":1e400}}' % key.encode()
    if key == "categories":
        text = b'{"images":[],"categories":[{"id":1,"name":"a","x":1e400}]}'
    with pytest.raises(SchemaError, match="out of range") as caught:
        records(text, tmp_path)
    assert caught.value.where is not None
    assert caught.value.where.path == f"$.{key}"


def test_an_image_row_that_cannot_be_held_is_rejected(tmp_path: Path) -> None:
    text = b'{"images":[{"id":1,"x":1e400},{"id":2}]}'
    with pytest.raises(SchemaError) as caught:
        records(text, tmp_path)
    assert caught.value.where is not None
    assert caught.value.where.path == "$.images[0]"
    assert len(records(text, tmp_path, Report("quarantine"))) == 1


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        (b"", MalformedFileError, "empty"),
        (b"{", MalformedFileError, "truncated"),
        (b'{"images":[{"id":NaN}]}', MalformedFileError, "NaN"),
        (b"5", SchemaError, "expected a JSON object"),
        (b"{}", UnknownFormatError, "has no 'images'"),
        (b'{"annotations":[],"a":1}', UnknownFormatError, "its keys are annotations, a"),
        (b'{"images":{}}', SchemaError, "expected a list of images"),
        (b'{"images":[],"annotations":null}', SchemaError, "expected a list of annotations"),
        (b'{"images":[],"images":[]}', SchemaError, "stands twice"),
        (b"\xff\xfe{\x00", MalformedFileError, "UTF-16"),
    ],
)
def test_files_that_are_no_coco_are_named(
    tmp_path: Path, text: bytes, error: type[ConvertError], said: str
) -> None:
    with pytest.raises(error) as caught:
        records(text, tmp_path)
    assert said in str(caught.value)
    assert caught.value.where is not None
    assert str(caught.value.where.file).endswith("in.json")


def test_panoptic_rows_in_an_array_are_refused(tmp_path: Path) -> None:
    rows = [{"image_id": 1, "file_name": "a.png", "segments_info": [{"id": 1, "category_id": 1}]}]
    with pytest.raises(ReadError, match="rows of panoptic segments") as caught:
        records(rows, tmp_path, Report("skip"))
    assert caught.value.where is not None
    assert caught.value.where.path == "$[0].segments_info"


# ---------------------------------------------------------------------- results

DETECTION = {"image_id": 42, "category_id": 18, "bbox": [1, 2, 3, 4], "score": 0.236}
TRUTH = document(
    images=[{**IMAGE, "id": 42}, {**IMAGE, "id": 43, "file_name": "b.jpg"}],
    categories=[{"id": 18, "name": "dog"}],
)


@pytest.mark.parametrize(
    "result",
    [
        DETECTION,
        {"image_id": 42, "category_id": 18, "segmentation": {"size": [8, 10], "counts": "`2"}, "score": 0.5},
        {"image_id": 42, "category_id": 18, "keypoints": [1, 2, 0.75, 3, 4, 1], "score": 1},
        {"image_id": 42, "caption": "a dog"},
        {
            "image_id": 42,
            "category_id": 18,
            "bbox": [1, 2, 3, 4],
            "score": 0.1,
            "id": 9,
            "area": 12,
            "iscrowd": 0,
            "x": 1,
        },
        {"image_id": 42, "category_id": 18, "bbox": [1, 2, 3, 4]},
        {"image_id": "im", "category_id": 18, "bbox": [1, 2, 3, 4], "score": 0},
        {"image_id": 42},
    ],
)
@pytest.mark.parametrize("truth", [False, True])
def test_results_are_predictions_and_come_back(tmp_path: Path, result: dict[str, Any], truth: bool) -> None:
    options = {}
    if truth:
        if result["image_id"] != 42:
            pytest.skip("an image that the ground truth has not")
        options["ground_truth"] = save(TRUTH, tmp_path / "truth.json")
    value = [result, {**result, "image_id": 43}, result]
    report = Report()
    read = records(value, tmp_path, report, **options)
    assert [record.item.id for record in read] == [result["image_id"], 43]
    assert [len(record.annotations) for record in read] == [2, 1]
    assert all(one.is_prediction for record in read for one in record.annotations)
    assert read[0].item.path == ("a.jpg" if truth else None)
    assert read[0].annotations[0].label == (None if "category_id" not in result else "dog" if truth else "18")
    assert ("assumed" in {code for code, _ in findings(report)}) == (not truth)
    back = returned(value, tmp_path, **options)
    if truth:  # the images and categories are in the data set, the results beside it
        assert back["images"] == TRUTH["images"]
        assert [row["name"] for row in back["categories"]][:1] == ["dog"]
        back = json.loads((tmp_path / "out_results.json").read_text())
        for entry in back:
            if "category_id" not in result:
                entry.pop("category_id", None)
                entry.pop("_nucleus_convert", None)
    assert back == value


BEYOND = ("out-of-range", "scores that are not within 0 to 1, as confidences are")


@pytest.mark.parametrize("score", [1.0001, 85, -0.25, 10**30])
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"id": 5, "segmentation": [SQUARE]},
        {"keypoints": [1, 2, 0.75], "bbox": ...},
        {"attributes": {"a": 1}, "note": 1},
    ],
)
@pytest.mark.parametrize("results", [False, True])
def test_scores_beyond_0_to_1_are_kept_and_told(
    tmp_path: Path, score: Any, more: dict[str, Any], results: bool
) -> None:
    rows = [row(id=i, image_id=1, score=within) for i, within in enumerate([0, 1, 0.5, 1.0, None])]
    bad = {key: value for key, value in {**row(id=7, score=score), **more}.items() if value is not ...}
    value = [*rows, bad, bad] if results else document(*rows, bad, bad)
    report = Report()
    [record] = records(value, tmp_path, report)
    assert [one.confidence for one in record.annotations] == [0, 1, 0.5, 1, None, score, score]
    told = findings(report)
    assert told[BEYOND] == 2
    [finding] = [one for one in report.sorted() if one.code == BEYOND[0]]
    place = "$[{}].score" if results else "$.annotations[{}].score"
    assert [(where.file, where.path) for where in finding.examples] == [("in.json", place.format(i)) for i in (5, 6)]
    report = Report()
    records(value[:5] if results else document(*rows), tmp_path, report)
    assert BEYOND not in findings(report)


def test_of_many_scores_beyond_five_are_named(tmp_path: Path) -> None:
    report = Report()
    records([{**DETECTION, "score": 85} for _ in range(1000)], tmp_path, report)
    [finding] = [one for one in report.sorted() if one.code == BEYOND[0]]
    assert (finding.count, len(finding.examples)) == (1000, 5)


def test_results_that_name_what_the_truth_has_not(tmp_path: Path) -> None:
    truth = save(TRUTH, tmp_path / "truth.json")
    for field, said in (
        ("image_id", "image id 7 is not among the images of the ground truth"),
        ("category_id", "category id 7"),
    ):
        with pytest.raises(DanglingReferenceError, match=said) as caught:
            records([DETECTION, {**DETECTION, field: 7}], tmp_path, ground_truth=truth)
        assert caught.value.where is not None
        assert (caught.value.where.file, caught.value.where.path) == ("in.json", f"$[1].{field}")


def test_a_ground_truth_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="not the ground truth"):
        records([DETECTION], tmp_path, ground_truth=save([DETECTION], tmp_path / "truth.json"))
    with pytest.raises(ReadError, match="cannot be read"):
        records([DETECTION], tmp_path, ground_truth=tmp_path / "none.json")


def test_a_ground_truth_for_a_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="this is a data set"):
        records(document(row()), tmp_path, ground_truth=save(TRUTH, tmp_path / "truth.json"))


def test_empty_results(tmp_path: Path) -> None:
    assert records([], tmp_path) == []
    assert returned([], tmp_path) == []


def test_everything_can_be_read_as_predictions(tmp_path: Path) -> None:
    [record] = records(document(row(), row(id=2, score=0.5)), tmp_path, predictions=True)
    assert [one.is_prediction for one in record.annotations] == [True, True]
    assert returned(document(row()), tmp_path, predictions=True)["annotations"][0]["_nucleus_convert"] == {
        "v": 1,
        "predicted": True,
    }


# ---------------------------------------------------------------------- folders


def split(identity: int, *annotations: dict[str, Any], **root: Any) -> dict[str, Any]:
    return document(*annotations, images=[{**IMAGE, "id": identity, "file_name": f"{identity}.jpg"}], **root)


def test_splits_become_subsets(tmp_path: Path) -> None:
    save(split(1, row()), tmp_path / "set/annotations/instances_train2017.json")
    save(split(1, row(id=5)), tmp_path / "set/annotations/instances_val2017.json")
    report = Report()
    labels = opened(tmp_path / "set", report)
    read = list(labels.records(report))
    assert [(record.item.subset, record.annotations[0].id) for record in read] == [
        ("train2017", 1),
        ("val2017", 5),
    ]
    assert findings(report) == {}


def test_files_of_other_names_are_splits_of_their_own(tmp_path: Path) -> None:
    """Image 1 of train.json is not image 1 of val.json."""
    save(split(1, row()), tmp_path / "set/train.json")
    save(document(row(id=5)), tmp_path / "set/val.json")
    read = list(opened(tmp_path / "set"))
    assert [(record.item.subset, record.item.path, record.annotations[0].id) for record in read] == [
        ("train", "1.jpg", 1),
        ("val", "a.jpg", 5),
    ]


def test_roboflow_has_a_folder_for_each_split(tmp_path: Path) -> None:
    for name in ("train", "valid"):
        save(
            document(row(), images=[{**IMAGE, "file_name": f"{name}.jpg"}]),
            tmp_path / f"set/{name}/_annotations.coco.json",
        )
    assert coco.sniff(tmp_path / "set") is None
    read = list(opened(tmp_path / "set"))
    assert [(record.item.subset, record.item.path) for record in read] == [
        ("train", "train.jpg"),
        ("valid", "valid.jpg"),
    ]


def test_a_folder_with_one_file(tmp_path: Path) -> None:
    save(split(1, row()), tmp_path / "a/annotations/instances_val2017.json")
    assert [record.item.subset for record in opened(tmp_path / "a")] == ["val2017"]
    save(split(1, row()), tmp_path / "b/labels.json")
    assert [record.item.subset for record in opened(tmp_path / "b")] == [None]
    assert [record.item.subset for record in opened(tmp_path / "a/annotations/instances_val2017.json")] == [
        None
    ]


def test_tasks_of_one_split_are_joined(tmp_path: Path) -> None:
    folder = tmp_path / "set/annotations"
    person = row(id=1, keypoints=[1, 2, 2] * 3, num_keypoints=3)
    plain = {"id": 1, "name": "person"}
    dog = {"id": 2, "name": "dog"}
    save(split(1, person, categories=[PERSON]), folder / "person_keypoints_val.json")
    save(
        split(1, row(id=1), row(id=2, category_id=2), categories=[plain, dog]), folder / "instances_val.json"
    )
    captions = split(1, {"id": 1, "image_id": 1, "caption": "both"})
    del captions["categories"]
    captions["images"].append({**IMAGE, "id": 9, "file_name": "only.jpg"})
    save(captions, folder / "captions_val.json")
    report = Report()
    labels = opened(tmp_path / "set", report)
    first, second = labels.records(report)
    assert [(one.id, one.label, [type(shape) for shape in one.shapes]) for one in first.annotations] == [
        (1, "person", [Box, Keypoints]),
        (2, "dog", [Box]),
        (1, None, [Caption]),
    ]
    assert (second.item.path, second.item.subset, second.annotations) == ("only.jpg", "val", ())
    assert [label.name for label in labels.header.labels] == ["person", "dog"]
    assert labels.header.labels[0].keypoints
    assert findings(report) == {
        (
            "superseded",
            "objects of annotations/instances_val.json that are also in"
            " annotations/person_keypoints_val.json are read from there",
        ): 1
    }


def test_objects_of_one_id_that_differ_are_both_kept(tmp_path: Path) -> None:
    folder = tmp_path / "set/annotations"
    save(
        split(1, row(id=1, keypoints=[1, 2, 2] * 3), categories=[PERSON]),
        folder / "person_keypoints_val.json",
    )
    save(split(1, row(id=1, bbox=[5, 5, 2, 2]), categories=[PERSON]), folder / "instances_val.json")
    report = Report()
    [record] = opened(tmp_path / "set", report).records(report)
    assert [one.shape(Box) for one in record.annotations] == [Box(1, 2, 3, 4), Box(5, 5, 2, 2)]
    assert findings(report)["duplicate-id", "annotation id"] == 1
    assert report.count("superseded") == 0


def test_one_id_for_different_images_of_a_split_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "set/annotations"
    save(document(row()), folder / "instances_val.json")
    save(document(images=[{**IMAGE, "file_name": "other.jpg"}]), folder / "captions_val.json")
    with pytest.raises(SchemaError, match=r"image id 1 is 'other\.jpg' here and 'a\.jpg' in") as caught:
        opened(tmp_path / "set")
    assert caught.value.where is not None
    assert (caught.value.where.file, caught.value.where.path) == (
        "annotations/captions_val.json",
        "$.images[0]",
    )


def test_labels_that_differ_between_files_are_told(tmp_path: Path) -> None:
    save(split(1, row()), tmp_path / "set/train.json")
    save(
        split(2, row(image_id=2, category_id=3), categories=[{**CATEGORY, "id": 3}]),
        tmp_path / "set/val.json",
    )
    report = Report()
    labels = opened(tmp_path / "set", report)
    assert [one.label for one in labels.annotations()] == ["cat", "cat"]
    assert findings(report) == {("label-conflict", "cat"): 1}


def test_what_is_not_read_of_a_folder_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "set/annotations"
    save(document(row()), folder / "instances_val.json")
    save([DETECTION], folder / "results.json")
    save(document(), folder / "panoptic_val.json")
    save({"a": 1}, folder / "report.json")
    save({"a": 1}, folder / "instances_val.report.json")
    report = Report()
    assert len(list(opened(tmp_path / "set", report))) == 1
    assert findings(report) == {("ignored-file", "results.json"): 1, ("ignored-file", "panoptic_val.json"): 1}


def test_folders_without_a_data_set(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no COCO data set"):
        opened(tmp_path)
    save([DETECTION], tmp_path / "results.json")
    with pytest.raises(ReadError, match="no COCO data set") as caught:
        opened(tmp_path)
    assert "--ground-truth" in (caught.value.hint or "")
    with pytest.raises(ReadError, match="no such file"):
        opened(tmp_path / "none")


# ---------------------------------------------------------------------- the reserved key


@pytest.mark.parametrize("where", ["annotation", "image", "category", "root"])
@pytest.mark.parametrize(
    ("kept", "said"),
    [
        ({"v": 2}, "newer nucleus-convert"),
        (5, "not what it writes"),
        ({}, "not what it writes"),
        ({"v": "1"}, "not what it writes"),
        ({"v": True}, "not what it writes"),
        ({"v": 1, "what": 1}, "was changed"),
        ({"v": 1, "extras": 5}, "was changed"),
        ({"v": 1, "id": [1], "taxonomies": 5}, "was changed"),
    ],
)
def test_a_reserved_key_that_is_not_ours_is_an_error(
    tmp_path: Path, where: str, kept: Any, said: str
) -> None:
    key = {"_nucleus_convert": kept}
    value = document(
        row(**(key if where == "annotation" else {})),
        images=[{**IMAGE, **(key if where == "image" else {})}],
        categories=[{**CATEGORY, **(key if where == "category" else {})}],
        **(key if where == "root" else {}),
    )
    with pytest.raises(SchemaError) as caught:
        records(value, tmp_path)
    assert said in str(caught.value)
    assert caught.value.where is not None
    assert str(caught.value.where.path).startswith("$")


@pytest.mark.parametrize(
    "kept",
    [
        {"shapes": [{"type": "blob"}]},
        {"shapes": [{"type": "box", "x": "1", "y": 2, "width": 3, "height": 4}]},
        {"derived": 5},
        {"embedding": ["a"]},
        {"class_pdf": {"a": "b"}},
        {"z_order": 1.5},
    ],
)
def test_reserved_fields_are_checked_to_the_bottom(tmp_path: Path, kept: dict[str, Any]) -> None:
    with pytest.raises(SchemaError, match="was changed"):
        annotation(row(_nucleus_convert={"v": 1, **kept}), tmp_path)


# ---------------------------------------------------------------------- the label set


def test_any_stretch_can_be_read_and_the_recipe_is_picklable(tmp_path: Path) -> None:
    count = 150
    images = [{**IMAGE, "id": i, "file_name": f"{i}.jpg"} for i in range(count)]
    rows = [row(id=i, image_id=(i * 7) % count) for i in range(2 * count)]
    labels = opened(save(document(*rows, images=images), tmp_path / "in.json"))
    whole = list(labels)
    assert labels.size == count
    assert [record.item.id for record in whole] == list(range(count))
    again = pickle.loads(pickle.dumps(labels))
    for start, stop in ((0, 10), (60, 70), (140, 200), (149, None), (150, None), (5, 5)):
        assert list(again.records(Report(), start, stop)) == whole[start:stop]


def test_what_is_indexed_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """The index holds numbers: of a file with long rows as much as of one with short ones."""
    sizes = []
    for length in (4, 4000):
        ring = [0.123456789] * 2 * length
        rows = [row(id=i, segmentation=[ring]) for i in range(50)]
        labels = opened(save(document(*rows), tmp_path / "in.json"))
        sizes.append(len(pickle.dumps(labels)))
    assert abs(sizes[1] - sizes[0]) < 100


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", b'{"images": []}', None),
        ("a.JSON", b'{"info": {}, "licenses": [], "categories": [], "images": []}', None),
        ("a.json", b'[{"image_id": 1, "score": 1}]', None),
        ("a.json", b'[{"a": 1}]', "first element has no 'image_id'"),
        ("a.json", b"[]", "empty array"),
        ("a.json", b'{"shapes": []}', "no 'images'"),
        ("a.json", b'{"images": 5}', "no 'images'"),
        ("a.json", b"{", "not readable as JSON"),
        ("a.json", b'"a"', "not readable as JSON"),
        ("a.txt", b'{"images": []}', "does not end in .json"),
    ],
)
def test_sniff(tmp_path: Path, name: str, text: bytes, said: str | None) -> None:
    reason = coco.sniff(save(text, tmp_path / name))
    assert reason is None if said is None else said in str(reason)


def test_sniff_folders(tmp_path: Path) -> None:
    assert coco.sniff(tmp_path) == "no .json file in it or its annotations folder"
    save({"a": 1}, tmp_path / "x.json")
    assert "no 'images'" in str(coco.sniff(tmp_path))
    save(document(), tmp_path / "y.json")
    assert coco.sniff(tmp_path) is None
