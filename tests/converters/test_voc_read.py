"""VOC to the model, by numbers of the fact sheet and what other tools publish as their rule."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nucleus_convert as nc
from nucleus_convert.converters import masks, png, registry, voc
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import ConvertError, MalformedFileError, SchemaError
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.model import Annotation, Box, Mask, Polygon, Record, Tag
from nucleus_convert.converters.report import Report

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "voc"
KIT, TOOL = FIXTURES / "kit", FIXTURES / "tool"


def read(path: Path, **options: Any) -> tuple[LabelSet, list[Record], Report]:
    report = Report()
    labels = nc.read(path, "voc", report=report, **options)
    return labels, list(labels.records(report)), report


def annotation(box: tuple[Any, ...], *, more: str = "", head: str = "") -> str:
    sides = "".join(f"<{n}>{v}</{n}>" for n, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"<annotation>{head}<object><name>cat</name><bndbox>{sides}</bndbox>{more}</object></annotation>"


def one(tmp_path: Path, text: str, **options: Any) -> Annotation:
    (tmp_path / "a.xml").write_text(text, encoding="utf-8")
    return read(tmp_path / "a.xml", **options)[1][0].annotations[0]


VOC_HEAD = "<source><database>The VOC2007 Database</database></source>"


# --- coordinates ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("coords", "box", "expected"),
    [
        ("voc", (48, 240, 195, 371), Box(47, 239, 148, 132)),
        ("edges", (48, 240, 195, 371), Box(48, 240, 147, 131)),
        ("voc", (1, 1, 500, 375), Box(0, 0, 500, 375)),
        ("voc", (10, 20, 10, 20), Box(9, 19, 1, 1)),
        ("edges", ("45.70000076293945", 1, 375, 470), Box(45.70000076293945, 1, 329.29999923706055, 469)),
        ("voc", (130, "45.70000076293945", 375, 470), Box(129, 44.70000076293945, 246, 425.29999923706055)),
    ],
)
def test_boxes_of_the_fact_sheet(tmp_path: Path, coords: str, box: tuple[Any, ...], expected: Box) -> None:
    found = one(tmp_path, annotation(box), coords=coords).shape(Box)
    assert found == expected
    assert [type(value) for value in (found.x, found.width)] == [
        type(v) for v in (expected.x, expected.width)
    ]


def test_the_rule_that_detectron2_and_supervision_publish(tmp_path: Path) -> None:
    """Their corners, from 0: xmin - 1, ymin - 1, xmax, ymax. The devkit's area has + 1 on each side."""
    rng = random.Random(4)
    for _ in range(50):
        xmin, ymin = rng.randint(1, 400), rng.randint(1, 400)
        xmax, ymax = xmin + rng.randint(0, 90), ymin + rng.randint(0, 90)
        box = one(tmp_path, annotation((xmin, ymin, xmax, ymax), head=VOC_HEAD)).shape(Box)
        assert (box.x, box.y, box.x + box.width, box.y + box.height) == (xmin - 1, ymin - 1, xmax, ymax)
        assert box.width * box.height == (xmax - xmin + 1) * (ymax - ymin + 1)


def test_the_devkits_overlap() -> None:
    from nucleus_convert.converters.voc.numbers import box

    def iou(a: Box, b: Box) -> float:
        across = max(0, min(a.x + a.width, b.x + b.width) - max(a.x, b.x))
        shared = across * min(a.height, b.height)
        return shared / (a.width * a.height + b.width * b.height - shared)

    a = box(1, 1, 10, 10, "voc")
    assert iou(a, box(6, 1, 15, 10, "voc")) == pytest.approx(50 / 150)
    assert iou(a, box(10, 1, 19, 10, "voc")) == pytest.approx(10 / 190)


@pytest.mark.parametrize(
    ("files", "coords"),
    [
        ([VOC_HEAD] * 3, "voc"),
        (["<folder>VOC2012</folder>"] * 3, "voc"),
        (["<folder>pictures</folder>"] * 3, "edges"),
        ([VOC_HEAD, "", ""], "edges"),
        ([], "edges"),
    ],
)
def test_auto_goes_by_the_database(tmp_path: Path, files: list[str], coords: str) -> None:
    for i, head in enumerate(files):
        (tmp_path / f"{i}.xml").write_text(annotation((1, 1, 5, 5), head=head))
    (tmp_path / "x.xml").write_text("<annotation/>")
    labels, _, report = read(tmp_path)
    assert labels.header.extras["voc"]["coords"] == coords
    assert report.count(Code.ASSUMED) >= 1


def test_a_zero_anywhere_means_edges(tmp_path: Path) -> None:
    for i in range(9):
        (tmp_path / f"{i}.xml").write_text(annotation((1, 1, 5, 5), head=VOC_HEAD))
    (tmp_path / "9.xml").write_text(annotation((3, 0, 5, 5), head=VOC_HEAD))
    labels, records, report = read(tmp_path)
    assert labels.header.extras["voc"]["coords"] == "edges"
    assert records[0].annotations[0].shape(Box) == Box(1, 1, 4, 4)
    assert any("1 of 10 files have a coordinate of 0" in finding.what for finding in report.sorted())


def test_many_fractions_mean_edges(tmp_path: Path) -> None:
    for i in range(10):
        box = (1.5, 2, 5, 5) if i < 6 else (1, 2, 5, 5)
        (tmp_path / f"{i}.xml").write_text(annotation(box, head=VOC_HEAD))
    assert read(tmp_path)[0].header.extras["voc"]["coords"] == "edges"
    (tmp_path / "0.xml").write_text(annotation((1, 2, 5, 5), head=VOC_HEAD))
    assert read(tmp_path)[0].header.extras["voc"]["coords"] == "voc"


def test_boxes_that_look_wrong_are_kept_and_reported(tmp_path: Path) -> None:
    head = "<size><width>10</width><height>10</height></size>"
    for name, box in {"a": (2, 2, 2, 5), "b": (5, 5, 11, 8), "c": (5, 5, 40, 8)}.items():
        (tmp_path / f"{name}.xml").write_text(annotation(box, head=head))
    _, records, report = read(tmp_path)
    assert [record.annotations[0].shape(Box).width for record in records] == [0, 6, 35]
    assert report.count(Code.DOUBTFUL_BOX, "without extent") == 1
    assert report.count(Code.DOUBTFUL_BOX, "up to one pixel outside the image") == 1
    assert report.count(Code.DOUBTFUL_BOX, "reaching outside the image") == 1


# --- the development kit's own -------------------------------------------------------------------------


def test_a_kit() -> None:
    labels, records, report = read(KIT)
    assert [(r.item.id, r.item.path, r.item.subset, r.item.width) for r in records] == [
        ("2099_000001", "2099_000001.jpg", "train", 20),
        ("2099_000002", "2099_000002.jpg", "val", 500),
        ("2099_000003", "2099_000003.jpg", "val", None),
    ]
    assert {label.name: label.id for label in labels.header.labels}["tvmonitor"] == 20
    person, cat, tag = records[0].annotations
    assert (person.label, person.truncated, person.difficult, person.occluded) == (
        "person",
        True,
        False,
        None,
    )
    assert person.attributes == {"pose": "Left", "reading": True, "walking": False}
    assert [part["name"] for part in person.extras["voc"]["part"]] == ["head", "hand"]
    assert person.extras["voc"]["point"] == {"x": "7", "y": "5"}
    assert cat.shape(Box) == Box(12, 4, 4, 4)
    assert tag == Annotation(label="cat", shapes=(Tag(),))
    assert records[1].annotations[0].difficult is True
    assert report.ledger.balance()["object"]["read"] == 6
    assert labels.size == 3


def test_zero_and_absent_classes_of_images_are_no_tags() -> None:
    _, records, _ = read(KIT)
    assert not any(a.shape(Tag) for record in records[1:] for a in record.annotations)
    assert records[1].item.extras["voc"]["lists"]["Main/cat_val"] == ["0"]
    assert "lists" not in records[2].item.extras["voc"]


def test_masks_belong_to_objects_by_class_and_box() -> None:
    _, records, report = read(KIT)
    classes = np.asarray(png.decode((KIT / "SegmentationClass/2099_000001.png").read_bytes()))
    for annotation, index in zip(records[0].annotations, (15, 8), strict=False):
        mask = annotation.shape(Mask)
        pixels = masks.to_array(masks.decode_counts(mask.counts), mask.height, mask.width)
        assert (pixels == (classes == index)).all()
    assert report.count(Code.FILTERED) == 1
    void = read(KIT, void="label")[1][0].annotations[-1]
    assert void.label == "void"
    assert masks.area(masks.decode_counts(void.shape(Mask).counts)) == 10


def test_results_are_predictions_whose_pixels_count_from_1() -> None:
    found = read(KIT, coords="edges")[1][2].annotations[0]
    assert (found.label, found.confidence, found.shape(Box)) == (
        "cat",
        0.949297,
        Box(171.0, 232.0, 20.0, 16.0),
    )
    assert found.is_prediction
    _, records, _ = read(KIT / "results/VOC2012/Main/comp4_det_val_cat.txt")
    assert sorted(record.item.id for record in records) == ["2099_000002", "2099_000003"]


def test_parts_as_boxes() -> None:
    person, head, hand, *_ = read(KIT, parts="boxes")[1][0].annotations
    assert (head.label, head.shape(Box), head.group) == ("head", Box(1, 0, 4, 3), person.group)
    assert (hand.label, hand.shape(Box), hand.attributes["part"]) == ("hand", Box(7, 5, 2, 1), True)
    assert "part" not in person.extras["voc"]
    assert {"head", "hand"} <= {label.name for label in read(KIT, parts="boxes")[0].header.labels}


def test_several_years(tmp_path: Path) -> None:
    for year in ("VOC2007", "VOC2012"):
        shutil.copytree(KIT, tmp_path / "VOCdevkit" / year)
    _, records, _ = read(tmp_path)
    years = ["VOCdevkit/VOC2007", "VOCdevkit/VOC2012"]
    assert [record.item.id for record in records][::3] == [f"{year}/2099_000001" for year in years]
    shutil.rmtree(tmp_path / "VOCdevkit" / "VOC2007")
    assert read(tmp_path)[1][0].item.id == "2099_000001"


# --- other tools' --------------------------------------------------------------------------------------


def test_what_other_tools_write() -> None:
    _, records, report = read(TOOL)
    tom, kite, ship = records[0].annotations
    assert tom.label == "tom & jerry"
    assert tom.shape(Box) == Box(0.1, 10.25, 0.20000000000000004, 20.5, 30.5)
    assert (tom.truncated, tom.occluded, tom.difficult, tom.track) == (0.25, False, None, 7)
    assert tom.attributes == {"keyframe": True, "age": 4, "weight": "1.50"}
    assert kite.shape(Box) == Box(10, 20, 20, 20)
    assert kite.shape(Polygon) == Polygon((((10, 20, 30, 20, 30, 40, 10.5, 40),),))
    assert (kite.confidence, kite.extras["voc"]["note"]) == (0.875, "torn")
    assert ship.shape(Box) == Box(40, 35, 20, 10, 90)
    assert records[1].item.path == "sub.jpg"
    assert report.count(Code.SIZE_MISSING) == 1
    for what in ("corners of a box in reverse order are swapped", "<occluded> 'no' read as 0"):
        assert report.count(Code.VALUE_NORMALISED, what) == 1


def test_polygons_shift_with_the_boxes(tmp_path: Path) -> None:
    more = "<polygon><x1>1</x1><y1>2</y1><x2>5</x2><y2>2</y2><x3>5</x3><y3>6</y3></polygon>"
    ring = one(tmp_path, annotation((1, 2, 5, 6), more=more), coords="voc").shape(Polygon).parts[0][0]
    assert ring == (0, 1, 4, 1, 4, 5)


def test_odd_polygons_are_kept(tmp_path: Path) -> None:
    more = "<polygon><pt><x>1</x><y>2</y></pt></polygon>"
    found = one(tmp_path, annotation((1, 2, 5, 6), more=more))
    assert found.extras["voc"]["polygon"] == {"pt": {"x": "1", "y": "2"}}


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("exif", ["apply", "ignore"])
def test_size_from_the_image(tmp_path: Path, orientation: int, exif: str) -> None:
    from PIL import Image

    (tmp_path / "a.xml").write_text(annotation((1, 1, 2, 2)))
    data = Image.Exif()
    data[0x0112] = orientation
    Image.new("RGB", (30, 20)).save(tmp_path / "a.jpg", exif=data)
    item = read(tmp_path, exif=exif)[1][0].item
    assert (item.width, item.height) == ((20, 30) if orientation == 6 and exif == "apply" else (30, 20))


def test_images_are_found_by_stem_then_filename_then_path(tmp_path: Path) -> None:
    head = "<filename>f.jpg</filename><path>C:\\x\\p.jpg</path>"
    (tmp_path / "a.xml").write_text(annotation((1, 1, 2, 2), head=head))
    found = [read(tmp_path)[1][0].item.path]
    for name in ("p.jpg", "f.jpg", "a.png"):
        (tmp_path / name).write_bytes(b"")
        found.append(read(tmp_path)[1][0].item.path)
    assert found == ["a.jpg", "p.jpg", "f.jpg", "a.png"]


def test_roboflows_folders_are_subsets(tmp_path: Path) -> None:
    for name in ("train/a", "valid/b"):
        path = tmp_path / f"{name}.xml"
        path.parent.mkdir()
        path.write_text(annotation((1, 1, 2, 2)))
    assert [(r.item.id, r.item.subset) for r in read(tmp_path)[1]] == [
        ("train/a", "train"),
        ("valid/b", "valid"),
    ]


def test_colours_are_looked_up_in_the_label_map(tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "SegmentationClass").mkdir()
    (tmp_path / "labelmap.txt").write_text("background:0,0,0::\nroad:10,20,30::\nsky:40,50,60::\n")
    picture = np.zeros((4, 5, 3), np.uint8)
    picture[1:3, 1:4] = (40, 50, 60)
    Image.fromarray(picture).save(tmp_path / "SegmentationClass/a.png")
    labels, records, _ = read(tmp_path)
    assert [label.name for label in labels.header.labels] == ["road", "sky"]
    assert [
        (a.label, masks.area(masks.decode_counts(a.shape(Mask).counts))) for a in records[0].annotations
    ] == [("sky", 6)]
    assert (records[0].item.width, records[0].item.height) == (5, 4)
    picture[0, 0] = (1, 2, 3)
    Image.fromarray(picture).save(tmp_path / "SegmentationClass/a.png")
    with pytest.raises(SchemaError, match=r"\(1, 2, 3\)"):
        read(tmp_path)


# --- errors --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind", "place"),
    [
        ("entity.xml", MalformedFileError, "entity.xml:1"),
        ("number.xml", SchemaError, "number.xml:6"),
        ("cut.xml", MalformedFileError, "cut.xml:6"),
        ("root.xml", SchemaError, "root.xml:1"),
    ],
)
def test_bad_files_are_named_with_their_line(name: str, kind: type[ConvertError], place: str) -> None:
    with pytest.raises(kind) as caught:
        read(FIXTURES / "bad" / name)
    assert str(caught.value.where) == place
    assert caught.value.hint


def test_bad_files_can_be_left_out() -> None:
    report = Report("quarantine")
    labels = nc.read(FIXTURES / "bad", "voc", report=report)
    records = list(labels.records(report))
    assert [record.item.id for record in records] == ["number"]
    assert len(report.rejected) == 4
    assert report.rejected[0].record.startswith("<annotation>")


def test_bad_lines_of_results_are_named(tmp_path: Path) -> None:
    (tmp_path / "comp4_det_val_cat.txt").write_text("a 0.5 1 2 3 4\n\nb 0.5 1 x 3 4\n")
    with pytest.raises(SchemaError) as caught:
        read(tmp_path)
    assert str(caught.value.where) == "comp4_det_val_cat.txt:3"


def test_sniffing(tmp_path: Path) -> None:
    assert voc.sniff(KIT) is None
    assert voc.sniff(TOOL / "b.xml") is None
    assert "<annotations>" in str(voc.sniff(FIXTURES / "bad" / "root.xml"))
    assert voc.sniff(tmp_path) is not None
    assert registry.detect(KIT) == "voc"
    assert registry.detect(TOOL) == "voc"
