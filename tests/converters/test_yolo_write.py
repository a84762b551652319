"""What is written as YOLO: lines by the numbers, and nothing lost in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from nucleus_convert import (
    Annotation,
    Box,
    ConvertError,
    Header,
    Item,
    Keypoints,
    Label,
    LabelSet,
    Mask,
    Polygon,
    Record,
    Report,
    convert,
    from_records,
    read,
    write,
)
from nucleus_convert.converters import geometry, masks, raster
from nucleus_convert.converters.errors import OptionError, UnrepresentableError
from nucleus_convert.converters.model import Line, Tag
from nucleus_convert.converters.yolo.regions import likeness, one_ring

LABELS = (Label(name="cat"), Label(name="dog"))
ITEM = Item(id="x.jpg", path="x.jpg", width=640, height=480, subset="train")


def data(*annotations: Annotation, item: Item = ITEM, labels: tuple[Label, ...] = LABELS) -> LabelSet:
    return from_records(Header(labels=labels), [Record(item, annotations)])


def lines(folder: Path, name: str = "train/x") -> list[str]:
    return (folder / "labels" / f"{name}.txt").read_text().splitlines()


def yolo(labels: LabelSet, target: Path, **options: Any) -> Report:
    return write(labels, target, "yolo", **options)


def numbers(line: str) -> list[float]:
    return [float(column) for column in line.split()]


# ---------------------------------------------------------------------- lines of each task


def test_detect(tmp_path: Path) -> None:
    yolo(data(Annotation(label="dog", shapes=(Box(100, 120, 50, 80),))), tmp_path / "o", task="detect")
    assert numbers(lines(tmp_path / "o")[0]) == pytest.approx(
        [1, 0.1953125, 1 / 3, 0.078125, 1 / 6], abs=1e-12
    )


def test_segment(tmp_path: Path) -> None:
    ring = (100, 120, 150, 120, 150, 200, 100, 200)
    yolo(data(Annotation(label="cat", shapes=(Polygon(((ring,),)),))), tmp_path / "o")
    expected = [0, 0.15625, 0.25, 0.234375, 0.25, 0.234375, 5 / 12, 0.15625, 5 / 12]
    assert numbers(lines(tmp_path / "o")[0]) == pytest.approx(expected, abs=1e-12)


def test_pose(tmp_path: Path) -> None:
    points = Keypoints((110, 130, 2, 140, 190, 1))
    yolo(data(Annotation(label="cat", shapes=(Box(100, 120, 50, 80), points))), tmp_path / "o")
    columns = lines(tmp_path / "o")[0].split()
    assert len(columns) == 5 + 2 * 3
    assert (columns[7], columns[10]) == ("2", "1")
    assert numbers(lines(tmp_path / "o")[0])[5:7] == pytest.approx([0.171875, 130 / 480], abs=1e-12)
    assert yaml.safe_load((tmp_path / "o/data.yaml").read_text())["kpt_shape"] == [2, 3]


def test_obb(tmp_path: Path) -> None:
    item = Item(id="x.jpg", path="x.jpg", width=100, height=80, subset="train")
    box = Box(10, 20, 20, 40, 30)
    yolo(data(Annotation(label="cat", shapes=(box,)), item=item), tmp_path / "o")
    expected = [0, 0.213397, 0.220994, 0.386603, 0.345994, 0.186603, 0.779006, 0.013397, 0.654006]
    assert numbers(lines(tmp_path / "o")[0]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("images", ["copy", "none"])
def test_classify(tmp_path: Path, images: str) -> None:
    Image.new("1", (8, 6)).save(tmp_path / "x.png")
    item = Item(id=1, path="x.png", width=8, height=6, subset="train")
    labels = data(Annotation(label="cat", shapes=(Tag(),)), item=item)
    yolo(labels, tmp_path / "o", images=images, image_root=str(tmp_path))
    assert (tmp_path / "o/train/cat/x.png").exists() == (images == "copy")
    assert not (tmp_path / "o/labels").exists()
    (record,) = read(tmp_path / "o", "yolo")
    assert (record.item.id, record.annotations[0].label) == (1, "cat")


def test_a_confidence_is_a_column_and_a_track_on_request(tmp_path: Path) -> None:
    cat = Annotation(label="cat", shapes=(Box(1, 2, 3, 4),), confidence=0.25, track=7)
    yolo(data(cat), tmp_path / "a")
    assert lines(tmp_path / "a")[0].split()[5:] == ["0.25"]
    yolo(data(cat), tmp_path / "b", track_ids=True)
    assert lines(tmp_path / "b")[0].split()[5:] == ["0.25", "7"]
    yolo(data(cat), tmp_path / "c", confidence=False)
    assert lines(tmp_path / "c")[0].split()[5:] == []
    for name in "abc":
        (record,) = read(tmp_path / name, "yolo")
        assert (record.annotations[0].confidence, record.annotations[0].track) == (0.25, 7)


@pytest.mark.parametrize("shape", [Box(1, 2, 3, 4), Polygon((((1, 2, 30, 4, 5, 60),),))])
@pytest.mark.parametrize(
    ("confidence", "track"), [(None, None), (1, None), (0, None), (None, 0), (None, 1), (0.5, 1), (1, 100)]
)
def test_columns_are_read_as_they_were_meant_without_a_sidecar(
    tmp_path: Path, shape: Box | Polygon, confidence: float | None, track: int | None
) -> None:
    cat = Annotation(label="cat", shapes=(shape,), confidence=confidence, track=track)
    yolo(data(cat), tmp_path / "o", track_ids=True, sidecar=False)
    (record,) = read(tmp_path / "o", "yolo")
    assert (record.annotations[0].confidence, record.annotations[0].track) == (confidence, track)
    assert record.annotations[0].shapes == (shape,)


def test_enough_digits_and_fewer_on_request(tmp_path: Path) -> None:
    box = Box(1 / 3, 100.123456789, 17.1, 0.000001)
    yolo(data(Annotation(label="cat", shapes=(box,))), tmp_path / "a", sidecar=False)
    (record,) = read(tmp_path / "a", "yolo")
    back = record.annotations[0].shapes[0]
    for name in ("x", "y", "width", "height"):
        assert getattr(back, name) == pytest.approx(getattr(box, name), abs=1e-8)
    report = yolo(data(Annotation(label="cat", shapes=(box,))), tmp_path / "b", digits=6, sidecar=False)
    assert all(len(column.partition(".")[2]) == 6 for column in lines(tmp_path / "b")[0].split()[1:])
    assert report.count("rounded") == 1


def test_whole_pixels_come_back_whole(tmp_path: Path) -> None:
    item = Item(id="x.jpg", path="x.jpg", width=641, height=479, subset="train")
    boxes = tuple(Annotation(label="cat", shapes=(Box(x, x % 97, 3 + x % 7, 5),)) for x in range(0, 600, 7))
    yolo(data(*boxes, item=item), tmp_path / "o", sidecar=False)
    (record,) = read(tmp_path / "o", "yolo")
    assert [a.shapes for a in record.annotations] == [a.shapes for a in boxes]


# ---------------------------------------------------------------------- classes


def classes(folder: Path) -> Any:
    return yaml.safe_load((folder / "data.yaml").read_text())["names"]


def test_class_numbers_follow_the_order_or_are_kept(tmp_path: Path) -> None:
    cat = Annotation(label="cat", shapes=(Box(1, 2, 3, 4),))
    swapped = (Label(name="cat", id=1), Label(name="dog", id=0))
    yolo(data(cat, labels=swapped), tmp_path / "a")
    assert classes(tmp_path / "a") == {0: "dog", 1: "cat"}
    assert lines(tmp_path / "a")[0].startswith("1 ")
    yolo(data(cat, labels=swapped), tmp_path / "b", class_ids="order")
    assert classes(tmp_path / "b") == {0: "cat", 1: "dog"}
    sparse = (Label(name="cat", id=3), Label(name="dog", id=1))
    report = yolo(data(cat, labels=sparse), tmp_path / "c")
    assert classes(tmp_path / "c") == {0: "cat", 1: "dog"}
    assert report.count("renumbered") == 1  # the dog's number happens to be its place
    yolo(data(cat, labels=sparse), tmp_path / "d", class_ids="keep")
    assert classes(tmp_path / "d") == {0: "class_0", 1: "dog", 2: "class_2", 3: "cat"}
    assert lines(tmp_path / "d")[0].startswith("3 ")
    assert {label.name: label.id for label in read(tmp_path / "d", "yolo").header.labels} == {
        "dog": 1,
        "cat": 3,
    }
    with pytest.raises(UnrepresentableError, match="cannot be kept"):
        yolo(data(cat), tmp_path / "e", class_ids="keep")


@pytest.mark.parametrize("sidecar", [True, False])
def test_an_object_without_a_label_gets_a_class_of_its_own(tmp_path: Path, sidecar: bool) -> None:
    report = yolo(data(Annotation(shapes=(Box(1, 2, 3, 4),))), tmp_path / "o", sidecar=sidecar)
    assert classes(tmp_path / "o") == {0: "cat", 1: "dog", 2: "unlabelled"}
    assert report.count("completed") == 1
    labels = read(tmp_path / "o", "yolo")
    assert [label.name for label in labels.header.labels] == ["cat", "dog"]
    assert next(iter(labels)).annotations[0].label is None


def test_a_label_that_the_header_does_not_have_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnrepresentableError, match="'fox'"):
        yolo(data(Annotation(label="fox", shapes=(Box(1, 2, 3, 4),))), tmp_path / "o")


# ---------------------------------------------------------------------- regions of parts and holes

SQUARES = Polygon((((0, 0, 4, 0, 4, 4, 0, 4),), ((6, 0, 10, 0, 10, 4, 6, 4),)))
FRAME = Polygon((((0, 0, 10, 0, 10, 10, 0, 10), (2, 2, 2, 8, 8, 8, 8, 2)),))


def test_parts_with_bridges_cover_the_same_pixels(tmp_path: Path) -> None:
    for polygon, area in ((SQUARES, 32), (FRAME, 64)):
        ring = one_ring(polygon.parts)
        assert geometry.area(ring) == area
        assert likeness(polygon.parts, [ring]) == 1
        # pycocotools draws by even-odd
        assert masks.area(masks.read_counts(raster.from_polygons([ring], 16, 16), 16, 16)) == area
    report = yolo(data(Annotation(label="cat", shapes=(SQUARES,))), tmp_path / "o")
    assert len(lines(tmp_path / "o")) == 1
    (finding,) = [f for f in report.findings.values() if f.code == "approximated"]
    assert (finding.measure, finding.worst) == ("IoU", 1)
    (record,) = read(tmp_path / "o", "yolo")
    assert record.annotations[0].shapes == (SQUARES,)


def test_parts_as_a_line_each(tmp_path: Path) -> None:
    report = yolo(data(Annotation(label="cat", id=5, shapes=(SQUARES,))), tmp_path / "o", parts="split")
    assert len(lines(tmp_path / "o")) == 2
    assert report.count("replaced") == 1
    (record,) = read(tmp_path / "o", "yolo")
    assert [a.id for a in record.annotations] == [5, None]


def test_the_largest_part(tmp_path: Path) -> None:
    big = Polygon((SQUARES.parts[0], ((6, 0, 16, 0, 16, 10, 6, 10),)))
    report = yolo(
        data(Annotation(label="cat", shapes=(big,))), tmp_path / "o", parts="largest", sidecar=False
    )
    (record,) = read(tmp_path / "o", "yolo")
    assert record.annotations[0].shapes == (Polygon((((6, 0, 16, 0, 16, 10, 6, 10),),)),)
    (finding,) = [f for f in report.findings.values() if f.code == "replaced"]
    assert finding.worst == pytest.approx(100 / 116)


@pytest.mark.parametrize("parts", ["bridge", "split", "largest"])
@pytest.mark.parametrize("sidecar", [True, False])
def test_masks_become_polygons(tmp_path: Path, parts: str, sidecar: bool) -> None:
    runs = raster.from_polygons([(1, 1, 9, 1, 9, 9, 1, 9)], 480, 640)
    mask = Mask(counts=runs, height=480, width=640)
    yolo(
        data(Annotation(label="cat", shapes=(mask,))),
        tmp_path / "o",
        task="segment",
        parts=parts,
        sidecar=sidecar,
    )
    assert geometry.area(
        [v * (640, 480)[i % 2] for i, v in enumerate(numbers(lines(tmp_path / "o")[0])[1:])]
    ) == (pytest.approx(64))
    (record,) = read(tmp_path / "o", "yolo")
    assert (record.annotations[0].shape(Mask) == mask) == sidecar


def test_a_box_among_polygons_is_its_rectangle(tmp_path: Path) -> None:
    cat = Annotation(label="cat", shapes=(Box(64, 48, 64, 48),))
    yolo(data(cat), tmp_path / "o", task="segment")
    assert numbers(lines(tmp_path / "o")[0]) == pytest.approx([0, 0.1, 0.1, 0.2, 0.1, 0.2, 0.2, 0.1, 0.2])
    (record,) = read(tmp_path / "o", "yolo")
    assert record.annotations[0].shapes == cat.shapes


# ---------------------------------------------------------------------- what consumers refuse


def test_what_leaves_the_image_is_clipped_and_measured(tmp_path: Path) -> None:
    cat = Annotation(label="cat", shapes=(Box(-20, 0, 1000, 10),))
    report = yolo(data(cat), tmp_path / "o")
    assert numbers(lines(tmp_path / "o")[0])[1:] == pytest.approx([0.5, 5 / 480, 1, 10 / 480])
    assert next(f for f in report.findings.values() if "clipped" in f.what).worst == pytest.approx(0.64)
    assert next(iter(read(tmp_path / "o", "yolo"))).annotations[0].shapes == cat.shapes
    report = yolo(data(cat), tmp_path / "p", clip=False)
    assert report.count("out-of-range") == 1


def test_a_box_outside_has_no_line(tmp_path: Path) -> None:
    cat = Annotation(label="cat", shapes=(Box(-900, 0, 100, 10),))
    yolo(data(cat), tmp_path / "a")
    assert lines(tmp_path / "a") == []
    assert next(iter(read(tmp_path / "a", "yolo"))).annotations == (cat,)
    report = yolo(data(cat), tmp_path / "b", sidecar=False)
    assert report.count("dropped") >= 1
    assert report.ledger.balance()["object"]["dropped"] == 1


def test_an_edge_a_hair_outside_is_left_alone(tmp_path: Path) -> None:
    cat = Annotation(label="cat", shapes=(Box(600.005, 0, 40, 10),))
    report = yolo(data(cat), tmp_path / "o", sidecar=False)
    assert next(iter(read(tmp_path / "o", "yolo"))).annotations[0].shapes == cat.shapes
    assert not any("clipped" in f.what for f in report.findings.values())


def test_a_pose_without_all_its_parts_is_completed(tmp_path: Path) -> None:
    labels = (Label(name="cat", keypoints=("a", "b")), Label(name="dog"))
    only_box = Annotation(label="dog", shapes=(Box(1, 2, 3, 4),))
    only_points = Annotation(label="cat", shapes=(Keypoints((10, 20, 2, 30, 60, 1), names=("a", "b")),))
    report = yolo(data(only_box, only_points, labels=labels), tmp_path / "o", task="pose")
    assert all(len(line.split()) == 11 for line in lines(tmp_path / "o"))
    assert report.count("completed") == 2
    (record,) = read(tmp_path / "o", "yolo")
    assert [a.shapes for a in record.annotations] == [only_box.shapes, only_points.shapes]


def test_negatives_have_an_empty_file_and_what_nobody_looked_at_has_none(tmp_path: Path) -> None:
    looked = Record(Item(id="a.jpg", path="a.jpg", width=8, height=6))
    unseen = Record(Item(id="b.jpg", path="b.jpg", width=8, height=6, extras={"yolo": {"labels": "missing"}}))
    yolo(from_records(Header(labels=LABELS), [looked, unseen]), tmp_path / "o")
    assert (tmp_path / "o/labels/a.txt").read_bytes() == b""
    assert not (tmp_path / "o/labels/b.txt").exists()
    assert [r.item.extras for r in read(tmp_path / "o", "yolo")] == [{}, unseen.item.extras]


# ---------------------------------------------------------------------- files


def test_the_same_bytes_with_any_number_of_workers(tmp_path: Path, boxes: Any) -> None:
    for workers in (1, 2):
        yolo(boxes(600), tmp_path / str(workers), workers=workers, task="detect")
    files = sorted(p.relative_to(tmp_path / "1") for p in (tmp_path / "1").rglob("*") if p.is_file())
    assert len(files) > 600
    for name in files:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes(), name


def test_splits_in_any_order(tmp_path: Path) -> None:
    cat = Annotation(label="cat", shapes=(Box(1, 1, 2, 2),))
    subsets = ["val", "train", None, "train", "odd/name: #", "path", "val"]
    records = [
        Record(Item(id=i, path=f"{i}.jpg", width=8, height=6, subset=s), (cat,))
        for i, s in enumerate(subsets)
    ]  # fmt: skip
    for sidecar in (True, False):
        yolo(from_records(Header(labels=LABELS), records), tmp_path / str(sidecar), sidecar=sidecar)
        assert [r.item.subset for r in read(tmp_path / str(sidecar), "yolo")] == subsets


AWKWARD = [
    "a b.jpg", "ü/ñ.png", "x", "a.b.c", "../up.jpg", "/abs/x.jpg", "s3://bucket/k.jpg", "C:\\w\\x.jpg",
    "images/x.jpg", "train/x.jpg", "JPEGImages/y.jpg", "labels/z.jpg", "images/images/q.jpg", "'quoted\".jpg",
    "#hash.jpg", " x.jpg ", "new\nline.jpg", "x.JPG", "x.png",
]  # fmt: skip


@pytest.mark.parametrize("sidecar", [True, False])
@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_names_stay_inside_and_come_back(tmp_path: Path, name: str, sidecar: bool) -> None:
    item = Item(id=name, path=name, width=8, height=6, subset="train")
    yolo(data(Annotation(label="cat", shapes=(Box(1, 1, 2, 2),)), item=item), tmp_path / "o", sidecar=sidecar)
    (record,) = read(tmp_path / "o", "yolo")
    assert len(record.annotations) == 1
    if sidecar:
        assert (record.item.id, record.item.path) == (name, name)
    assert {p.name for p in tmp_path.iterdir()} == {"o"}


def test_all_awkward_names_together(tmp_path: Path) -> None:
    records = [
        Record(
            Item(id=i, path=name, width=8, height=6),
            (Annotation(label="cat", shapes=(Box(i / 8, 1, 2, 2),)),),
        )
        for i, name in enumerate(AWKWARD)
    ]
    yolo(from_records(Header(labels=LABELS), records), tmp_path / "o", task="detect")
    assert list(read(tmp_path / "o", "yolo")) == records
    with pytest.raises(ConvertError, match="share the label file"):
        yolo(from_records(Header(labels=LABELS), records), tmp_path / "p", sidecar=False)


@pytest.mark.parametrize("how", ["link", "copy"])
def test_images_are_placed(tmp_path: Path, how: str) -> None:
    source = tmp_path / "source"
    source.mkdir()
    Image.new("1", (640, 480)).save(source / "x.jpg")
    report = yolo(data(), tmp_path / "o", images=how, image_root=str(source))
    assert (tmp_path / "o/images/train/x.jpg").read_bytes() == (source / "x.jpg").read_bytes()
    assert "images/train/x.jpg" in [entry["file"] for entry in report.outputs["outputs"]]
    with pytest.raises(OptionError, match="not known"):
        yolo(data(), tmp_path / "p", images=how)


def test_ultralytics_own_rule_finds_the_labels(tmp_path: Path) -> None:
    yolo(data(Annotation(label="cat", shapes=(Box(1, 1, 2, 2),))), tmp_path / "o")
    (line,) = (tmp_path / "o/train.txt").read_text().splitlines()
    assert line.startswith("./")
    image = f"{tmp_path}/o/{line[2:]}"
    head, tail = image.rsplit("/images/", 1)
    assert Path(f"{head}/labels/{tail}".rsplit(".", 1)[0] + ".txt").is_file()
    assert yaml.safe_load((tmp_path / "o/data.yaml").read_text())["train"] == "train.txt"


def test_download_is_never_passed_on_where_a_tool_would_run_it(tmp_path: Path, fixtures: Path) -> None:
    convert(fixtures / "yolo/detect", tmp_path / "o", source="yolo", target="yolo")
    assert "download" not in (tmp_path / "o/data.yaml").read_text()
    assert "false" in read(tmp_path / "o", "yolo").header.extras["yolo"]["download"]
    report = convert(fixtures / "yolo/detect", tmp_path / "p", source="yolo", target="yolo", sidecar=False)
    assert report.count("dropped", "the key 'download', which could make tools run it,") == 1


# ---------------------------------------------------------------------- the sidecar


def test_labels_edited_since_count_as_they_are_now(tmp_path: Path) -> None:
    cat = Annotation(label="cat", id=1, shapes=(Box(1, 1, 2, 2),), attributes={"age": 3})
    dog = Annotation(label="dog", id=2, shapes=(Box(3, 3, 2, 2),), attributes={"age": 5})
    yolo(data(cat, dog), tmp_path / "o")
    path = tmp_path / "o/labels/train/x.txt"
    path.write_text(path.read_text().splitlines()[1] + "\n")
    report = Report()
    (record,) = read(tmp_path / "o", "yolo", report=report).records(report)
    assert [(a.label, a.id, dict(a.attributes)) for a in record.annotations] == [("dog", None, {})]
    assert report.count("stale") == 1


@pytest.mark.parametrize("text", ["{", "[]", '{"nucleus_convert": 99}', '{"nucleus_convert": 1}\n{"x": 1}'])
def test_a_sidecar_that_was_changed_is_an_error_with_its_line(tmp_path: Path, text: str) -> None:
    yolo(data(), tmp_path / "o")
    (tmp_path / "o/nucleus_convert.jsonl").write_text(text)
    with pytest.raises(ConvertError, match=r"nucleus_convert\.jsonl:[12]"):
        list(read(tmp_path / "o", "yolo"))


@pytest.mark.parametrize(
    ("line", "change"),
    [
        (1, {"annotations": 5}),
        (1, {"annotations": [5]}),
        (1, {"annotations": [{"line": [1]}]}),
        (1, {"annotations": [{"line": 0, "shapes": [None]}]}),
        (1, {"annotations": [{"line": 0, "shapes": [[0, 5]]}]}),
        (1, {"annotations": [{"line": 0, "derived": 5}]}),
        (1, {"annotations": [{"line": 0, "derived": [[]]}]}),
        (1, {"annotations": [{"line": 0, "extras": 5}]}),
        (1, {"annotations": [{"line": None}]}),
        (1, {"annotations": [{"line": None, "at": "x", "annotation": {}}]}),
        (1, {"annotations": [{"line": None, "annotation": 5}]}),
        (1, {"size": 5}),
        (1, {"size": None}),
        (1, {"extras": [1]}),
        (1, {"scene": 5}),
        (1, {"id": []}),
        (1, {"checksum": "9" * 5000}),
        (0, {"labels": 5}),
        (0, {"labels": {"cat": 5}}),
        (0, {"labels": {"cat": {"extras": 5}}}),
        (0, {"extras": 5}),
        (0, {"extras": {"yolo": 5}}),
        (0, {"scenes": {}}),
    ],
)
def test_a_sidecar_of_other_types_is_an_error(tmp_path: Path, line: int, change: dict[str, Any]) -> None:
    yolo(data(Annotation(label="cat", id="own", shapes=(Box(1, 1, 2, 2),))), tmp_path / "o")
    path = tmp_path / "o/nucleus_convert.jsonl"
    said = [json.loads(text) for text in path.read_text().splitlines()]
    said[line] |= change
    text = "".join(json.dumps(one) + "\n" for one in said)
    path.write_text(text.replace('"' + "9" * 5000 + '"', "9" * 5000))  # more digits than Python reads
    with pytest.raises(ConvertError, match=r"nucleus_convert\.jsonl"):
        list(read(tmp_path / "o", "yolo"))


def test_what_no_line_can_say_travels_beside(tmp_path: Path) -> None:
    line = Annotation(label="cat", id="l", shapes=(Line((1, 2, 3, 4)),), group=3, difficult=True)
    bare = Annotation(label="dog", attributes={"why": "bare"})
    cat = Annotation(label="cat", shapes=(Box(1, 1, 2, 2),), class_pdf={"cat": 0.75, "dog": 0.25})
    yolo(data(line, bare, cat), tmp_path / "o", task="obb")
    assert len(lines(tmp_path / "o")) == 2
    (record,) = read(tmp_path / "o", "yolo")
    assert record.annotations == (line, bare, cat)


def test_without_clipping_what_is_far_outside_has_no_line(tmp_path: Path) -> None:
    for task, box in (("detect", Box(-5000, 0, 100, 10)), ("obb", Box(5000, 0, 100, 10, 45))):
        cat = Annotation(label="cat", shapes=(box,))
        yolo(data(cat), tmp_path / task, task=task, clip=False)
        assert lines(tmp_path / task) == []
        assert next(iter(read(tmp_path / task, "yolo"))).annotations == (cat,)
