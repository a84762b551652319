"""Writing COCO: what other tools need, what another format's data set becomes, and the way back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nucleus_convert.converters import coco, parallel
from nucleus_convert.converters.coco.write import Spool
from nucleus_convert.converters.errors import UnrepresentableError
from nucleus_convert.converters.labelset import LabelSet, from_records
from nucleus_convert.converters.model import (
    Annotation,
    Box,
    Caption,
    Cuboid,
    Ellipse,
    Header,
    Item,
    Keypoints,
    Label,
    Line,
    Mask,
    Points,
    Polygon,
    Record,
    Tag,
)
from nucleus_convert.converters.report import Report

from .coco_support import CATEGORY, IMAGE, document, findings, opened, returned, row, save, written

SQUARE = (1, 1, 4, 1, 4, 4, 1, 4)
HOLE = (2, 2, 3, 2, 3, 3, 2, 3)


def one(*shapes: Any, **fields: Any) -> LabelSet:
    """A data set that never was COCO: one image, one object."""
    annotation = Annotation(label="cat", shapes=shapes, **fields)
    record = Record(Item(id="a.jpg", path="a.jpg", width=10, height=8), (annotation,))
    return from_records(Header(labels=(Label(name="cat"),)), [record])


def dumped(labels: LabelSet, folder: Path, report: Report | None = None, **options: Any) -> Any:
    written(labels, folder / "out.json", report, **options)
    return json.loads((folder / "out.json").read_text())


def again(folder: Path) -> Annotation:
    [annotation] = opened(folder / "out.json").annotations()
    return annotation


# ---------------------------------------------------------------------- what other tools need


@pytest.mark.parametrize(
    ("shapes", "row", "completed"),
    [
        ((Box(1, 2, 3, 4),), {"bbox": [1, 2, 3, 4], "area": 12}, {"area", "iscrowd"}),
        (
            (Polygon(((SQUARE,),)),),
            {"segmentation": [list(SQUARE)], "bbox": [1, 1, 3, 3], "area": 9},
            {"area", "iscrowd", "bbox"},
        ),
        (
            (Polygon(((SQUARE,), ((5, 5, 8, 5, 8, 7.5, 5, 7.5),))),),
            {
                "segmentation": [list(SQUARE), [5, 5, 8, 5, 8, 7.5, 5, 7.5]],
                "bbox": [1, 1, 7, 6.5],
                "area": 18,
            },  # 9, and 3 x 3 pixels whose centres are within
            {"area", "iscrowd", "bbox"},
        ),
        (
            (Mask("a01o100", 8, 10),),
            {"segmentation": {"size": [8, 10], "counts": "a01o100"}},
            {"area", "iscrowd", "bbox"},
        ),
        (
            (Keypoints((1, 2, 2, 7, 6, 1, 0, 0, 0)),),
            {"keypoints": [1, 2, 2, 7, 6, 1, 0, 0, 0], "num_keypoints": 2, "bbox": [1, 2, 6, 4], "area": 24},
            {"area", "iscrowd", "bbox", "num_keypoints"},
        ),
        (
            (Keypoints((0, 0, 0)),),
            {"keypoints": [0, 0, 0], "num_keypoints": 0, "area": 0},
            {"area", "iscrowd", "num_keypoints"},
        ),
        ((Box(5, 5, 1, 1), Polygon(((SQUARE,),))), {"bbox": [5, 5, 1, 1], "area": 9}, {"area", "iscrowd"}),
    ],
    ids=["box", "polygon", "parts", "mask", "keypoints", "no point", "box and polygon"],
)
def test_rows_are_complete(tmp_path: Path, shapes: Any, row: dict[str, Any], completed: set[str]) -> None:
    if isinstance(shapes[0], Mask):
        from nucleus_convert.converters import masks

        shapes = (Mask(masks.encode_counts([9, 3, 5, 3, 60]), 8, 10),)
        row = {"segmentation": {"size": [8, 10], "counts": shapes[0].counts}, "bbox": [1, 1, 2, 3], "area": 6}
    report = Report()
    whole = dumped(one(*shapes), tmp_path, report)
    [entry] = whole["annotations"]
    assert {key: entry[key] for key in row} == row
    assert (entry["id"], entry["image_id"], entry["category_id"], entry["iscrowd"]) == (1, 1, 1, 0)
    assert {what for code, what in findings(report) if code == "completed"} == completed
    assert whole["images"] == [
        {"id": 1, "file_name": "a.jpg", "width": 10, "height": 8, "_nucleus_convert": {"v": 1, "id": "a.jpg"}}
    ]
    assert whole["categories"][0]["id"] == 1
    assert again(tmp_path).shapes == shapes


def test_numbers_of_images_and_annotations(tmp_path: Path) -> None:
    box = (Box(1, 2, 3, 4),)
    records = [
        Record(Item(id="x", path="x.jpg"), (Annotation(label="cat", shapes=box, id="a"),)),
        Record(
            Item(id=1, path="one.jpg"),
            (Annotation(label="cat", shapes=box, id=5), Annotation(label="dog", shapes=box)),
        ),
        Record(Item(id="y", path="y.jpg")),
    ]
    labels = from_records(
        Header(labels=(Label(name="dog", id=2), Label(name="cat"), Label(name="fox", id=2))), records
    )
    report = Report()
    whole = dumped(labels, tmp_path, report)
    assert [image["id"] for image in whole["images"]] == [1, 2, 3]
    assert [(entry["image_id"], entry["id"]) for entry in whole["annotations"]] == [(1, 6), (2, 5), (2, 7)]
    assert [(entry["name"], entry["id"]) for entry in whole["categories"]] == [
        ("dog", 2),
        ("cat", 1),
        ("fox", 3),
    ]
    assert findings(report)["renumbered", "image id"] == 2
    assert findings(report)["renumbered", "annotation id"] == 1
    assert findings(report)["renumbered", "category id that stood twice"] == 1
    read = opened(tmp_path / "out.json")
    assert [record.item.id for record in read] == ["x", 1, "y"]
    assert [entry.id for entry in read.annotations()] == ["a", 5, 7]
    assert [(label.name, label.id) for label in read.header.labels] == [("dog", 2), ("cat", None), ("fox", 2)]


def test_a_label_that_the_header_does_not_have(tmp_path: Path) -> None:
    labels = from_records(Header(), one(Box(1, 2, 3, 4)))
    with pytest.raises(UnrepresentableError, match="label 'cat' is not among the header's labels"):
        dumped(labels, tmp_path)


@pytest.mark.parametrize("others", [(), (Label(name="cat", id=4),), (Label(name="unlabelled", id=4),)])
@pytest.mark.parametrize("shape", [Box(1, 2, 3, 4), Caption("hello")])
def test_objects_without_a_label_get_a_category(
    tmp_path: Path, others: tuple[Label, ...], shape: Any
) -> None:
    record = Record(Item(id=1, path="a.jpg"), (Annotation(shapes=(shape,)),))
    report = Report()
    whole = dumped(from_records(Header(labels=others), [record]), tmp_path, report)
    ids = {entry["name"]: entry["id"] for entry in whole["categories"]}
    assert len(ids) == len(whole["categories"])
    assert whole["annotations"][0]["category_id"] == ids["unlabelled"]
    assert report.count("completed", "category 'unlabelled'") == 1
    assert again(tmp_path).label is None
    assert opened(tmp_path / "out.json").header.labels == others


# ---------------------------------------------------------------------- what COCO has no word for


@pytest.mark.parametrize(
    ("shape", "segmentation"),
    [
        (Polygon(((SQUARE, HOLE),)), dict),
        (Ellipse(5, 4, 3, 2, 30), list),
        (Box(1, 2, 3, 4, 45), list),
        (Line((1, 2, 3, 4)), None),
        (Points((1, 2)), None),
    ],
    ids=["holes", "ellipse", "turned box", "line", "points"],
)
def test_a_shape_that_can_be_shown_is_shown_and_comes_back(
    tmp_path: Path, shape: Any, segmentation: type | None
) -> None:
    report = Report()
    [entry] = dumped(one(shape), tmp_path, report)["annotations"]
    assert isinstance(entry.get("segmentation"), segmentation or type(None))
    assert entry["bbox"]
    assert report.count("approximated") == 1
    assert report.count("dropped") == report.count("replaced") == 0
    assert again(tmp_path).shapes == (shape,)


def test_a_region_is_shown_even_beside_a_box(tmp_path: Path) -> None:
    shapes = (Box(1, 1, 3, 3), Polygon(((SQUARE, HOLE),)))
    [entry] = dumped(one(*shapes), tmp_path)["annotations"]
    assert isinstance(entry["segmentation"], dict)
    assert set(again(tmp_path).shapes) == set(shapes)


def test_a_hole_is_no_area(tmp_path: Path) -> None:
    [entry] = dumped(one(Polygon(((SQUARE, HOLE),))), tmp_path)["annotations"]
    assert entry["area"] == 9 - 1


@pytest.mark.parametrize(
    "shapes",
    [(Tag("weather"),), (Cuboid(1, 2, 3, 4, 5, 6, 0.5),), ()],
    ids=["tag", "cuboid", "nothing"],
)
def test_a_shape_that_cannot_be_shown_travels(tmp_path: Path, shapes: Any) -> None:
    labels = one(*shapes, id="x", occluded=0.5, extras={"kitti": {"alpha": 1.5}})
    report = Report()
    dumped(labels, tmp_path, report)
    assert report.count("dropped") == 0
    [record] = opened(tmp_path / "out.json")
    assert record.annotations == next(iter(labels)).annotations


def test_fields_that_coco_has_not_travel(tmp_path: Path) -> None:
    fields: dict[str, Any] = {
        "id": "uuid",
        "confidence": 0.5,
        "class_pdf": {"cat": 0.5, "dog": 0.5},
        "track": "t",
        "group": 3,
        "occluded": True,
        "truncated": 0.25,
        "difficult": False,
        "crowd": True,
        "z_order": -1,
        "embedding": (0.5, 1),
        "attributes": {"colour": "red"},
        "extras": {"voc": {"pose": "Left"}, "kitti": {"a": 1}},
    }
    for inline in ("inline", "separate"):
        dumped(one(Box(1, 2, 3, 4), **fields), tmp_path, results=inline)
        read = again(tmp_path)
        expected = {**fields, "extras": {**fields["extras"], "coco": read.extras["coco"]}}
        assert {name: getattr(read, name) for name in fields} == expected


def test_keypoints_that_are_not_their_labels(tmp_path: Path) -> None:
    points = Keypoints((1, 2, 2, 3, 4, 0), ("a", "b"), ((0, 1),))
    dumped(one(points), tmp_path)
    assert again(tmp_path).shapes == (points,)
    assert opened(tmp_path / "out.json").header.labels[0].keypoints == ()


def test_scenes_taxonomies_colours_and_other_formats_fields(tmp_path: Path, fixtures: Path) -> None:
    from nucleus_convert.converters import ir

    everything = ir.read(fixtures / "ir/everything/labels.ndjson", options=ir.ReadOptions(), report=Report())
    target = tmp_path / "out"
    written(everything, target)
    read = opened(target)
    header, expected = read.header, everything.header
    assert (header.taxonomies, header.scenes) == (expected.taxonomies, expected.scenes)
    for before, after in zip(expected.labels, header.labels, strict=True):
        assert msgspec.structs.replace(after, extras={}) == msgspec.structs.replace(before, extras={})
    items = {record.item.id: record.item for record in read}
    for record in everything:
        item = items[record.item.id]
        for name in record.item.__struct_fields__:
            if name != "extras":
                assert getattr(item, name) == getattr(record.item, name), name


# ---------------------------------------------------------------------- predictions


def mixed() -> LabelSet:
    records = [
        Record(
            Item(id=i, path=f"{i}.jpg", width=10, height=8),
            (
                Annotation(label="cat", id=10 + i, shapes=(Box(1, 2, 3, 4),)),
                Annotation(label="cat", id=i, shapes=(Box(2, 2, 3, 4),), confidence=0.5),
                Annotation(label="cat", shapes=(Box(3, 2, 3, 4),), predicted=True),
            ),
        )
        for i in (1, 2)
    ]
    return from_records(Header(labels=(Label(name="cat", id=3),)), records)


def test_predictions_go_to_a_file_beside_and_are_read_from_there(tmp_path: Path) -> None:
    whole = dumped(mixed(), tmp_path)
    beside = json.loads((tmp_path / "out_results.json").read_text())
    assert [entry["id"] for entry in whole["annotations"]] == [11, 12]
    assert whole["_nucleus_convert"] == {"v": 1, "results": "out_results.json"}
    assert beside[0] == {"image_id": 1, "id": 1, "category_id": 3, "bbox": [2, 2, 3, 4], "score": 0.5}
    read = [
        msgspec.structs.replace(entry, extras={}, crowd=None)
        for entry in opened(tmp_path / "out.json").annotations()
    ]
    expected = [
        msgspec.structs.replace(entry, predicted=entry.is_prediction) for entry in mixed().annotations()
    ]
    assert [(entry.id, entry.shapes, entry.confidence, entry.predicted) for entry in read] == [
        (entry.id, entry.shapes, entry.confidence, entry.predicted) for entry in expected
    ]
    report = Report()
    back = returned((tmp_path / "out.json").read_bytes(), tmp_path / "b", report)
    assert ("ignored-file", "out_results.json, named in in.json, is not there") in findings(report)
    assert back["annotations"] == whole["annotations"]


def test_a_results_file_named_in_a_data_set_stays_in_its_folder(tmp_path: Path) -> None:
    save([{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}], tmp_path / "secret.json")
    for name in ("../secret.json", str(tmp_path / "secret.json"), "..", ""):
        value = document(row(), _nucleus_convert={"v": 1, "results": name})
        report = Report()
        assert len(list(opened(save(value, tmp_path / "in/in.json"), report).annotations())) == 1
        assert report.count("ignored-file") == 1


def test_predictions_inline(tmp_path: Path) -> None:
    whole = dumped(mixed(), tmp_path, results="inline")
    assert [entry.get("score") for entry in whole["annotations"]] == [None, 0.5, None] * 2
    assert not (tmp_path / "out_results.json").exists()
    assert [entry.is_prediction for entry in opened(tmp_path / "out.json").annotations()] == [
        False,
        True,
        True,
    ] * 2


def test_predictions_of_a_folder(tmp_path: Path) -> None:
    written(mixed(), tmp_path / "set")
    assert {path.name for path in (tmp_path / "set/annotations").iterdir()} == {
        "instances.json",
        "results.json",
    }
    report = Report()
    read = list(opened(tmp_path / "set", report).annotations())
    assert [entry.is_prediction for entry in read] == [False, False, True, True, False, False, True, True][
        : len(read)
    ] or len(read) == 6
    assert report.count("ignored-file") == 0
    report = Report()
    written(opened(tmp_path / "set", report), tmp_path / "again", report)
    for name in ("instances.json", "results.json"):
        assert (tmp_path / "again/annotations" / name).read_bytes() == (
            tmp_path / "set/annotations" / name
        ).read_bytes()


def test_results_with_more_to_say_of_images_get_a_data_set_beside(tmp_path: Path) -> None:
    truth = document(images=[IMAGE, {**IMAGE, "id": 2, "file_name": "b.jpg"}], info={"year": 2024})
    results = [{"image_id": 2, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]
    whole = returned(results, tmp_path, ground_truth=save(truth, tmp_path / "truth.json"))
    assert whole.pop("_nucleus_convert")
    assert whole == truth
    assert json.loads((tmp_path / "out_results.json").read_text()) == results


def test_results_whose_labels_were_renamed_get_a_data_set_beside(tmp_path: Path) -> None:
    labels = opened(save([{"image_id": 2, "category_id": 1, "bbox": [1, 2, 3, 4]}], tmp_path / "in.json"))
    header = msgspec.structs.replace(labels.header, labels=(Label(name="cat", id=1),))
    labels = labels.map(rename, header)
    written(labels, tmp_path / "out.json")
    assert again(tmp_path).label == "cat"


def rename(record: Record) -> Record:
    annotations = tuple(msgspec.structs.replace(entry, label="cat") for entry in record.annotations)
    return Record(record.item, annotations)


# ---------------------------------------------------------------------- a COCO source that was changed on the
# way


def changed(value: Any, folder: Path, **fields: Any) -> Any:
    """A document whose annotations get other fields on the way."""
    labels = opened(save(value, folder / "in.json"))

    def change(record: Record) -> Record:
        return Record(
            record.item, tuple(msgspec.structs.replace(entry, **fields) for entry in record.annotations)
        )

    return dumped(labels.map(change), folder)["annotations"][0]


def test_what_a_step_changed_is_written_not_what_the_source_said(tmp_path: Path) -> None:
    closed = [*SQUARE, 1, 1]
    odd = document(row(segmentation=list(SQUARE), iscrowd=True, bbox=[5, 4, 4, 2, 30]))
    moved = (Box(0, 0, 5, 5), Polygon(((tuple(n + 1 for n in SQUARE),),)))
    entry = changed(odd, tmp_path, shapes=moved, crowd=False)
    assert entry["bbox"] == [0, 0, 5, 5]
    assert entry["segmentation"] == [[n + 1 for n in SQUARE]]
    assert entry["iscrowd"] == 0
    entry = changed(document(row(segmentation=[closed])), tmp_path, shapes=moved)
    assert entry["segmentation"][0][:8] == [n + 1 for n in SQUARE]
    points = document(row(keypoints=[1, 2, 0.5], num_keypoints=1))
    entry = changed(points, tmp_path, shapes=(Keypoints((1, 2, 0)),))
    assert entry["keypoints"] == [1, 2, 0]


def test_a_label_renamed_on_the_way_has_its_new_name(tmp_path: Path) -> None:
    categories = [{**CATEGORY, "id": i, "name": "bat"} for i in (1, 2)] + [{"id": 3, "name": None}]
    labels = opened(save(document(categories=categories), tmp_path / "in.json"))
    made = [label.name for label in labels.header.labels]
    header = msgspec.structs.replace(
        labels.header,
        labels=tuple(
            msgspec.structs.replace(label, name=f"new {i}") for i, label in enumerate(labels.header.labels)
        ),
    )
    whole = dumped(LabelSet(header, labels.source, size=labels.size), tmp_path)
    assert made == ["animal/bat", "bat#2", "3"]
    assert [entry["name"] for entry in whole["categories"]] == ["new 0", "new 1", "new 2"]


def test_sizes_and_names_found_on_the_way_are_written(tmp_path: Path) -> None:
    labels = opened(
        save(
            document(images=[{"id": 1, "file_name": None, "width": 0, "height": None}]), tmp_path / "in.json"
        )
    )

    def found(record: Record) -> Record:
        return Record(
            msgspec.structs.replace(record.item, path="a.jpg", width=4, height=5), record.annotations
        )

    assert dumped(labels.map(found), tmp_path)["images"] == [
        {"id": 1, "file_name": "a.jpg", "width": 4, "height": 5}
    ]


# ---------------------------------------------------------------------- files


def subsets(*names: str | None) -> LabelSet:
    records = [
        Record(
            Item(id=i, path=f"{i}.jpg", subset=name),
            (Annotation(label="cat", id=i, shapes=(Box(1, 2, 3, 4),)),),
        )
        for i, name in enumerate(names, 1)
    ]
    return from_records(Header(labels=(Label(name="cat", id=1),)), records)


@pytest.mark.parametrize(
    "names",
    [
        (None,),
        ("train",),
        ("train", "val"),
        ("train", None),
        ("train", "val", "train"),
        ("a b",),
        ("a/b", "a-b", "a?b"),
        ("../../up", "ü"),
        ("", "x"),
        ("report",),
        ("x" * 300, "x" * 301),
    ],
)
def test_subsets_come_back_whatever_their_names(tmp_path: Path, names: tuple[str | None, ...]) -> None:
    labels = subsets(*names)
    written(labels, tmp_path / "set")
    outside = [
        path for path in tmp_path.rglob("*") if path.is_file() and path.parent != tmp_path / "set/annotations"
    ]
    assert outside == []
    read = {record.item.id: record.item.subset for record in opened(tmp_path / "set")}
    assert read == dict(enumerate(names, 1))
    written(opened(tmp_path / "set"), tmp_path / "again")
    for path in (tmp_path / "set/annotations").iterdir():
        assert (tmp_path / "again/annotations" / path.name).read_bytes() == path.read_bytes()


def test_one_file_holds_one_subset(tmp_path: Path) -> None:
    written(subsets("train", "train"), tmp_path / "out.json")
    assert [record.item.subset for record in opened(tmp_path / "out.json")] == ["train", "train"]
    with pytest.raises(UnrepresentableError, match="several subsets"):
        written(subsets("train", "val"), tmp_path / "two.json")


@pytest.mark.parametrize(
    "name",
    ["../up.json", "/abs.json", "a/b.json", "report.json", "x.report.json", "", ".hidden.json", 5, "no"],
)
def test_names_of_files_that_travelled_are_not_trusted(tmp_path: Path, name: Any) -> None:
    header = Header(
        labels=(Label(name="cat"),), extras={"coco": {"files": [{"name": name, "kind": "dataset"}]}}
    )
    written(LabelSet(header, subsets(None).source, size=1), tmp_path / "set")
    [path] = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert path.parent == tmp_path / "set/annotations"
    assert len(list(opened(tmp_path / "set"))) == 1


def test_a_folder_of_splits_comes_back_as_it_was(tmp_path: Path) -> None:
    files = {
        "instances_train2017.json": document(row(), info={"a": 1}),
        "instances_val2017.json": document(row(id=9), images=[{**IMAGE, "file_name": "v.jpg"}], licenses=[]),
        "test.json": {"images": [IMAGE], "info": {}},
    }
    for name, value in files.items():
        save(value, tmp_path / "set/annotations" / name)
    report = Report()
    written(opened(tmp_path / "set", report), tmp_path / "again", report)
    back = {path.name: json.loads(path.read_text()) for path in (tmp_path / "again/annotations").iterdir()}
    assert back.pop("test.json") == {**files["test.json"], "categories": [CATEGORY]}
    assert back == {name: value for name, value in files.items() if name != "test.json"}


def test_splits_in_folders_of_their_own_come_back_by_their_names(tmp_path: Path) -> None:
    """Roboflow: each file has the same name, and they stand in another order under other names."""
    values = {name: document(row(), info={"split": name}) for name in ("test", "train", "valid")}
    for name, value in values.items():
        save(value, tmp_path / "set" / name / "_annotations.coco.json")
    labels = opened(tmp_path / "set")
    written(labels, tmp_path / "again")
    folder = tmp_path / "again/annotations"
    assert {path.name: json.loads(path.read_text()) for path in folder.iterdir()} == {
        f"instances_{name}.json": value for name, value in values.items()
    }
    unnamed = [{**entry, "name": ""} for entry in labels.header.extras["coco"]["files"]]
    assert [
        {**entry, "name": ""} for entry in opened(tmp_path / "again").header.extras["coco"]["files"]
    ] == unnamed


def test_what_is_noted_of_files_does_not_depend_on_their_names(tmp_path: Path) -> None:
    for name in ("captions_val", "instances_train", "instances_val"):
        save({"images": [IMAGE], "info": name}, tmp_path / f"set/annotations/{name}.json")
    labels = opened(tmp_path / "set")
    written(labels, tmp_path / "again")
    assert opened(tmp_path / "again").header == labels.header


def test_tasks_of_one_split_are_joined_in_one_file(tmp_path: Path) -> None:
    save(document(row()), tmp_path / "set/annotations/instances_val.json")
    captions = document({"id": 1, "image_id": 1, "caption": "x"}, info={"b": 2})
    del captions["categories"]
    save(captions, tmp_path / "set/annotations/captions_val.json")
    report = Report()
    labels = opened(tmp_path / "set", report)
    written(labels, tmp_path / "again", report)
    [path] = (tmp_path / "again/annotations").iterdir()
    assert path.name == "instances_val.json"
    assert ("assumed", "2 files of a split are joined in instances_val.json") in findings(report)
    joined = opened(tmp_path / "again")
    assert joined.header == labels.header
    kinds = [[type(shape) for shape in entry.shapes] for entry in joined.annotations()]
    assert kinds == [[Box], [Caption]]


@pytest.mark.parametrize("target", ["out.json", "set"])
def test_a_data_set_without_items(tmp_path: Path, target: str) -> None:
    written(from_records(Header(labels=(Label(name="cat", id=1),)), []), tmp_path / target)
    read = opened(tmp_path / target)
    assert (list(read), [label.name for label in read.header.labels]) == ([], ["cat"])


def test_one_row_a_line(tmp_path: Path) -> None:
    value = document(row(), row(id=2))
    labels = opened(save(value, tmp_path / "in.json"))
    written(labels, tmp_path / "out.json", indent=True)
    text = (tmp_path / "out.json").read_text()
    assert json.loads(text) == value
    assert text.splitlines()[-1] == "}"
    assert sum('"image_id"' in line for line in text.splitlines()) == 2


def test_the_order_of_rows_comes_back(tmp_path: Path) -> None:
    images = [{**IMAGE, "id": i, "file_name": f"{i}.jpg"} for i in range(20)]
    rows = [row(id=100 - i, image_id=(7 * i) % 20, bbox=[i, 1, 2, 3]) for i in range(60)]
    value = document(*rows, images=images)
    report = Report()
    assert returned(value, tmp_path, report) == value
    assert findings(report) == {}


def test_rows_on_disk_are_given_back_in_order() -> None:
    spool = Spool()
    rows = [b'{"image_id":%d}' % i for i in range(50)]
    orders = [(i * 17) % 50 for i in range(50)]
    for row_, order in zip(rows, orders, strict=True):
        spool.add(row_, order, None if order % 5 == 0 else order)
    back = list(spool.rows())
    assert [json.loads(text)["image_id"] for text in back] == sorted(range(50), key=orders.__getitem__)
    assert [json.loads(text).get("id") for text in back][:6:5] == [50, 51]
    spool.close()


def test_workers_and_chunks_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 2 * parallel.CHUNK + 30
    images = [{**IMAGE, "id": i, "file_name": f"{i}.jpg"} for i in range(count)]
    rows = [
        row(id=i, image_id=(7 * i) % count, segmentation=[list(SQUARE)], area=...) for i in range(count + 50)
    ]
    rows[5]["x"] = 1
    path = save(document(*rows, images=images), tmp_path / "in.json")
    outputs = []
    for workers in (1, 2):
        report = Report()
        written(opened(path, report), tmp_path / f"{workers}.json", report, workers=workers)
        outputs.append(((tmp_path / f"{workers}.json").read_bytes(), report.to_json()))
    assert outputs[0] == outputs[1]
    back = json.loads(outputs[0][0])
    assert [entry.pop("area") for entry in back["annotations"]] == [9] * (count + 50)
    assert back["annotations"] == rows


def test_options_refuse_what_they_do_not_know() -> None:
    for model in (coco.ReadOptions, coco.WriteOptions):
        with pytest.raises(ValueError, match="Extra inputs"):
            model(what=1)
