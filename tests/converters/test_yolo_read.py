"""What YOLO's lines and trees mean. Numbers worked out by hand from the formats' descriptions."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nucleus_convert.converters import registry
from nucleus_convert.converters.errors import ConvertError, OptionError, ReadError, SchemaError
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.model import Annotation, Box, Keypoints, Polygon, Record, Tag
from nucleus_convert.converters.options import validated
from nucleus_convert.converters.report import Report

YOLO = registry.get("yolo")


@pytest.fixture
def cases(fixtures: Path) -> Path:
    return fixtures / "yolo"


def opened(source: Path, report: Report | None = None, **options: Any) -> LabelSet:
    labels: LabelSet = YOLO.read(
        source, options=validated(YOLO.ReadOptions, options), report=report or Report()
    )
    return labels


def loaded(source: Path, report: Report | None = None, **options: Any) -> dict[str, Record]:
    report = report or Report()
    return {str(record.item.id): record for record in opened(source, report, **options).records(report)}


def tree(
    folder: Path, lines: str, yaml: str = "train: images\nnames: [a, b]\n", size: tuple[int, int] = (640, 480)
) -> Path:
    """A data set of one image."""
    for name in ("images", "labels"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "data.yaml").write_text(yaml)
    Image.new("1", size).save(folder / "images" / "x.png")
    (folder / "labels" / "x.txt").write_text(lines)
    return folder


def one(
    folder: Path, lines: str, yaml: str = "train: images\nnames: [a, b]\n", **options: Any
) -> tuple[Annotation, ...]:
    return loaded(tree(folder, lines, yaml), **options)["images/x.png"].annotations


def near(shape: Any, *numbers: float) -> None:
    fields = [getattr(shape, name) for name in ("x", "y", "width", "height", "rotation")]
    assert fields[: len(numbers)] == pytest.approx(numbers, abs=1e-6)


# ---------------------------------------------------------------------- lines


def test_a_box_is_its_centre_and_size_by_the_image(tmp_path: Path) -> None:
    (cat,) = one(tmp_path, "0 0.195312 0.333333 0.078125 0.166667")
    near(cat.shapes[0], 99.99968, 119.99976, 50, 80.00016, 0)


def test_a_polygon_is_its_corners_by_the_image(tmp_path: Path) -> None:
    (leaf,) = one(tmp_path, "0 0.156250 0.250000 0.234375 0.250000 0.234375 0.416667 0.156250 0.416667")
    assert leaf.shapes == (Polygon((((100.0, 120.0, 150.0, 120.0, 150.0, 200.00016, 100.0, 200.00016),),)),)


def test_a_pose_has_a_box_and_points_with_visibility(tmp_path: Path) -> None:
    line = "0 0.195312 0.333333 0.078125 0.166667 0.171875 0.270833 2 0.218750 0.395833 1"
    (hand,) = one(tmp_path, line, "train: images\nnames: [a]\nkpt_shape: [2, 3]")
    near(hand.shape(Box), 99.99968, 119.99976, 50, 80.00016)
    assert hand.shape(Keypoints).points == (110.0, 129.99984, 2, 140.0, 189.99984, 1)


def test_points_without_visibility_are_seen_unless_they_are_zero(tmp_path: Path) -> None:
    (hand,) = one(tmp_path, "0 0.5 0.5 0.5 0.5 0.25 0.5 0 0", "train: images\nnames: [a]\nkpt_shape: [2, 2]")
    assert hand.shape(Keypoints).points == (160.0, 240.0, 2, 0.0, 0.0, 0)


def test_third_values_with_fractions_are_confidences(tmp_path: Path) -> None:
    line = "0 0.5 0.5 0.5 0.5 0.25 0.5 0.9 0.5 0.5 0.2 0 0 0.1 0.75"
    (hand,) = one(tmp_path, line, "train: images\nnames: [a]\nkpt_shape: [3, 3]")
    assert hand.shape(Keypoints).points[2::3] == (2, 1, 0)
    assert hand.extras["yolo"]["keypoint_confidence"] == [0.9, 0.2, 0.1]
    assert hand.confidence == 0.75


def test_keypoints_that_nothing_announces_are_refused_or_worked_out(tmp_path: Path) -> None:
    points = " ".join("0.5 0.5 2" for _ in range(11))
    lines = f"0 0.5 0.5 0.5 0.5 {points}\n" * 2
    with pytest.raises(SchemaError, match="11 keypoints") as caught:
        one(tmp_path, lines)
    assert "--kpt-shape 11,3" in str(caught.value)
    for shape in ("11,3", "infer"):
        found = one(tmp_path, lines, kpt_shape=shape)
        assert len(found[0].shape(Keypoints).points) == 33


def test_a_turned_box_is_told_by_its_corners(tmp_path: Path) -> None:
    # CVAT's box (10, 20)-(30, 60) turned by 30 degrees on 100 x 80: corners as in its export.
    tree(
        tmp_path, "0 0.213397 0.220994 0.386603 0.345994 0.186603 0.779006 0.013397 0.654006", size=(100, 80)
    )
    box = loaded(tmp_path, task="obb")["images/x.png"].annotations[0].shapes[0]
    fields = (box.x, box.y, box.width, box.height, box.rotation)
    assert fields == pytest.approx((10, 20, 20, 40, 30), abs=1e-4)


@pytest.mark.parametrize("degrees", [0, 1, 45, 90, 135, 180, 200, 270, 359])
@pytest.mark.parametrize("size", [(20, 40), (40, 20), (30, 30), (50, 0.5)])
def test_corners_give_back_any_turn(tmp_path: Path, degrees: float, size: tuple[float, float]) -> None:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    w, h = size[0] / 2, size[1] / 2
    corners = [
        (320 + x * cos - y * sin, 240 + x * sin + y * cos) for x, y in ((-w, -h), (w, -h), (w, h), (-w, h))
    ]
    line = "0 " + " ".join(f"{x / 640!r} {y / 480!r}" for x, y in corners)
    (ship,) = one(tmp_path, line, task="obb")
    near(ship.shapes[0], 320 - w, 240 - h, *size, degrees)


def test_corners_that_are_no_rectangle_become_the_smallest_box_and_are_kept(tmp_path: Path) -> None:
    report = Report()
    tree(tmp_path, "0 0.5 0.5 0.9 0.5 0.95 0.9 0.5 0.7", size=(100, 80))
    ship = loaded(tmp_path, report, task="obb")["images/x.png"].annotations[0]
    assert ship.extras["yolo"]["corners"] == [50, 40, 90, 40, 95, 72, 50, 56]
    assert report.count("approximated") == 1
    box = ship.shapes[0]
    # The box holds all four corners: turned back, they lie inside.
    cx, cy = box.x + box.width / 2, box.y + box.height / 2
    cos, sin = math.cos(math.radians(-box.rotation)), math.sin(math.radians(-box.rotation))
    for x, y in ((50, 40), (90, 40), (95, 72), (50, 56)):
        u, v = (x - cx) * cos - (y - cy) * sin, (x - cx) * sin + (y - cy) * cos
        assert abs(u) <= box.width / 2 + 1e-6
        assert abs(v) <= box.height / 2 + 1e-6


# ---------------------------------------------------------------------- trailing columns


@pytest.mark.parametrize(
    ("lines", "trailing", "confidence", "track"),
    [
        ("0 0.5 0.5 0.2 0.2 0.87", "auto", 0.87, None),
        ("0 0.5 0.5 0.2 0.2 14", "auto", None, 14),
        ("0 0.5 0.5 0.2 0.2 0.87 14", "auto", 0.87, 14),
        ("0 0.5 0.5 0.2 0.2 14 0.87", "auto", 0.87, 14),
        ("0 0.5 0.5 0.2 0.2 1", "auto", 1, None),
        ("0 0.5 0.5 0.2 0.2 1", "track", None, 1),
        ("0 0.5 0.5 0.2 0.2 1 0.5", "track-confidence", 0.5, 1),
        ("0 0.1 0.1 0.5 0.1 0.5 0.5 0.87", "auto", 0.87, None),
        ("0 0.1 0.1 0.5 0.1 0.5 0.5 0.87 3", "auto", 0.87, 3),
        ("0 0.1 0.1 0.5 0.1 0.5 0.5 3", "auto", None, 3),
        ("0 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5 0.5 2", "confidence-track", 0.5, 2),
    ],
)
def test_columns_after_the_shape(
    tmp_path: Path, lines: str, trailing: str, confidence: float | None, track: int | None
) -> None:
    (found,) = one(tmp_path, lines, trailing=trailing)
    assert (found.confidence, found.track) == (confidence, track)


def test_seven_columns_are_a_triangle_unless_the_last_counts(tmp_path: Path) -> None:
    (found,) = one(tmp_path, "0 0.1 0.1 0.5 0.1 0.5 1")
    assert len(found.shapes[0].parts[0][0]) == 6


def test_the_data_set_decides_and_not_each_line(tmp_path: Path) -> None:
    first, second = one(tmp_path, "0 0.5 0.5 0.2 0.2 1\n0 0.5 0.5 0.2 0.2 12")
    assert (first.track, second.track) == (1, 12)


def test_doubt_is_reported(tmp_path: Path) -> None:
    report = Report()
    loaded(tree(tmp_path, "0 0.5 0.5 0.2 0.2 1\n"), report)
    assert report.count("ambiguous") == 1
    report = Report()
    loaded(tree(tmp_path, "0 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5\n"), report)
    assert report.count("ambiguous") == 1
    report = Report()
    loaded(tree(tmp_path, "0 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5\n0 0.1 0.1 0.5 0.1 0.5 0.5\n"), report)
    assert report.count("ambiguous") == 0


# ---------------------------------------------------------------------- lines that are wrong


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("0 0.5 0.5 x 0.25", "expected a number, found 'x'"),
        ("7 0.5 0.5 0.25 0.25", "class 7 has no name"),
        ("0.5 0.5 0.5 0.25 0.25", "class number"),
        ("-1 0.5 0.5 0.25 0.25", "class number"),
        ("nan 0.5 0.5 0.25 0.25", "class number"),
        ("0 120 80 50 60", "fraction of the image, found 120"),
        ("0 0.5 0.5 0.25", "4 columns"),
        ("0 0.5 0.5 -0.25 0.25", "negative size"),
        ("0 nan 0.5 0.25 0.25", "a number that is none"),
        ("0 inf 0.5 0.25 0.25", "a number that is none"),
        ("0 0.5 0.5 0.25 0.2_5", "'_'"),
        ("\x00\xff 0.5 0.5 0.25 0.25", "class number"),
    ],
)
def test_a_wrong_line_is_named_with_file_and_line(tmp_path: Path, line: str, says: str) -> None:
    good = "0 0.5 0.5 0.25 0.25\n"
    with pytest.raises(ConvertError) as caught:
        one(tmp_path, good + line + "\n" + "1 0.5 0.5 0.25 0.25\n")
    assert says in str(caught.value)
    assert "labels/x.txt:2" in str(caught.value)
    report = Report("skip")
    (record,) = loaded(tmp_path, report).values()
    assert len(record.annotations) == 2
    assert report.ledger.balance()["object"] == {
        "read": 3, "written": 0, "carried": 0, "dropped": 0, "skipped": 1,
    }  # fmt: skip


def test_the_fixture_of_wrong_lines(cases: Path) -> None:
    report = Report("quarantine")
    (record,) = loaded(cases / "bad", report).values()
    assert len(record.annotations) == 2
    assert [rejected.where.line for rejected in report.rejected] == [2, 3, 4, 5, 6, 7, 8]
    assert report.rejected[1].record == "7 0.5 0.5 0.25 0.25"


def test_class_numbers_without_names_can_be_named(tmp_path: Path) -> None:
    report = Report()
    labels = opened(tree(tmp_path, "3 0.5 0.5 0.25 0.25\n"), report, unknown_class="name")
    assert [label.name for label in labels.header.labels] == ["a", "b", "class_3"]
    assert [record.annotations[0].label for record in labels] == ["class_3"]
    assert report.count("label-undeclared") == 1


# ---------------------------------------------------------------------- trees


def test_an_ultralytics_tree(cases: Path) -> None:
    report = Report()
    labels = opened(cases / "detect", report)
    assert [(label.id, label.name) for label in labels.header.labels] == [(2, "no"), (0, "cat"), (1, "1e3")]
    found = {str(record.item.id): record for record in labels.records(report)}
    assert list(found) == [
        "images/train/a.png", "images/train/b.png", "images/train/c.png",
        "images/val/deep/d.png", "images/val/e.png",
    ]  # fmt: skip
    a = found["images/train/a.png"]
    assert (a.item.width, a.item.height, a.item.subset) == (64, 48, "train")
    assert [annotation.shapes[0] for annotation in a.annotations] == [Box(24, 12, 16, 24), Box(0, 6, 16, 12)]
    assert found["images/train/b.png"].item.extras == {}
    assert found["images/train/c.png"].item.extras == {"yolo": {"labels": "missing"}}
    assert [x.label for x in found["images/val/deep/d.png"].annotations] == ["1e3", "no"]
    assert len(found["images/val/e.png"].annotations) == 2
    assert report.count("duplicate-id") == 1
    assert labels.header.extras["yolo"]["download"].startswith("import os")


def test_boxes_and_polygons_in_one_file(cases: Path) -> None:
    found = loaded(cases / "segment")
    assert [type(x.shapes[0]) for x in found["images/two.png"].annotations] == [Box, Polygon]
    ring = found["images/one.png"].annotations[2]
    assert len(ring.shapes[0].parts[0][0]) == 10
    assert ring.extras == {"yolo": {"closed": True}}
    assert found["images/one.png"].annotations[1].shapes == (Polygon((((0, 0, 64, 0, 32, 48),),)),)


def test_names_of_keypoints(cases: Path) -> None:
    labels = opened(cases / "pose")
    (hand,) = labels.header.labels
    assert (hand.keypoints, hand.skeleton) == (("thumb", "palm"), ((0, 1),))
    assert labels.header.extras["yolo"]["flip_idx"] == [1, 0]
    (record,) = labels
    assert record.item.subset is None  # train and val are the same folder
    assert record.annotations[1].shape(Keypoints).points == (0, 0, 0, 320, 240, 2)


def test_a_word_in_the_name_speaks_for_turned_boxes(cases: Path) -> None:
    report = Report()
    found = loaded(cases / "obb", report)["images/o.png"]
    assert [x.shapes[0].rotation for x in found.annotations] == [pytest.approx(30, abs=1e-3), 0, 0]
    assert any("obb" in finding.what for finding in report.findings.values())


def test_folders_of_classes(cases: Path) -> None:
    labels = opened(cases / "classify")
    assert [(label.id, label.name) for label in labels.header.labels] == [(0, "big dog"), (1, "cat")]
    found = [(r.item.id, r.item.subset, r.annotations[0].label, r.annotations[0].shapes) for r in labels]
    assert found == [
        ("train/big dog/2.png", "train", "big dog", (Tag(),)),
        ("train/cat/1.png", "train", "cat", (Tag(),)),
        ("val/cat/3.png", "val", "cat", (Tag(),)),
    ]


def test_predictions_without_pictures_need_a_size(cases: Path) -> None:
    with pytest.raises(SchemaError, match="size is not known") as caught:
        loaded(cases / "predictions")
    assert "--image-size" in str(caught.value)
    found = loaded(cases / "predictions", image_size="640x480")
    assert [(x.label, x.confidence) for x in found["bus"].annotations] == [("bus", 0.87), ("person", 0.5)]
    assert found["bus"].annotations[0].is_prediction
    assert found["street"].annotations[0].shapes == (Box(256, 192, 128, 96),)


def test_predicted_classes(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "x.txt").write_text("0.93 tabby cat\n0.05 dog\n")
    (record,) = loaded(tmp_path, task="classify").values()
    assert [(a.label, a.confidence) for a in record.annotations] == [("tabby cat", 0.93), ("dog", 0.05)]


def test_cvats_tracks_and_a_manifest_of_sizes(cases: Path) -> None:
    found = loaded(cases / "tracks")
    assert list(found) == ["images/Train/f0.png", "images/Train/f1.png"]
    assert [x.track for x in found["images/Train/f1.png"].annotations] == [14, 2]
    assert found["images/Train/f0.png"].item.subset == "Train"
    assert found["images/Train/f0.png"].item.width == 640


@pytest.mark.parametrize("source", ["darknet", "darknet/obj.data"])
def test_darknet(cases: Path, source: str) -> None:
    report = Report()
    labels = opened(cases / source, report)
    assert [label.name for label in labels.header.labels] == ["red light", "green light"]
    found = {record.item.path: record for record in labels}
    assert found["obj_train_data/a.png"].item.subset == "train"
    assert found["obj_valid_data/b.png"].item.subset == "val"
    assert found["obj_train_data/a.png"].annotations[0].label == "green light"
    assert report.count("value-normalised") == 1


def test_roboflow(cases: Path) -> None:
    report = Report()
    found = loaded(cases / "roboflow", report)
    assert {name: record.item.subset for name, record in found.items()} == {
        "train/images/x_jpg.rf.0.png": "train",
        "valid/images/x_jpg.rf.0.png": "val",
    }
    assert all(record.annotations for record in found.values())
    assert report.count("ignored-file") == 1  # the test split is announced and absent


def test_labels_beside_images(cases: Path) -> None:
    found = loaded(cases / "beside")
    assert found["i.png"].annotations[0].label == "cat"
    assert found["j.png"].item.extras == {"yolo": {"labels": "missing"}}


def test_the_last_folder_called_images_becomes_labels(tmp_path: Path) -> None:
    folder = tmp_path / "images" / "set" / "images"
    labels = tmp_path / "images" / "set" / "labels"
    folder.mkdir(parents=True)
    labels.mkdir()
    Image.new("1", (8, 6)).save(folder / "a.b.png")
    (labels / "a.b.txt").write_text("0 0.5 0.5 1 1\n")
    (tmp_path / "data.yaml").write_text("train: images/set/images\nnames: [x]\n")
    (record,) = loaded(tmp_path).values()
    assert record.annotations[0].shapes == (Box(0, 0, 8, 6),)


def test_pictures_that_share_a_label_file_are_reported(tmp_path: Path) -> None:
    tree(tmp_path, "0 0.5 0.5 1 1\n")
    Image.new("RGB", (64, 48)).save(tmp_path / "images" / "x.jpg")
    report = Report()
    assert len(loaded(tmp_path, report)) == 2
    assert report.count("ambiguous") == 1


def test_labels_without_a_picture_are_reported(tmp_path: Path) -> None:
    tree(tmp_path, "0 0.5 0.5 1 1\n")
    (tmp_path / "labels" / "lost.txt").write_text("0 0.5 0.5 1 1\n")
    report = Report()
    loaded(tmp_path, report)
    assert report.count("ignored-file") == 1


def test_a_gap_in_the_names_keeps_the_numbers(tmp_path: Path) -> None:
    labels = opened(tree(tmp_path, "2 0.5 0.5 1 1\n", "train: images\nnames: {0: a, 2: c}"))
    assert [(label.id, label.name) for label in labels.header.labels] == [(0, "a"), (2, "c")]
    assert next(iter(labels)).annotations[0].label == "c"


def test_two_classes_of_one_name_are_told_apart(tmp_path: Path) -> None:
    report = Report()
    labels = opened(tree(tmp_path, "1 0.5 0.5 1 1\n", "train: images\nnames: [a, a]"), report)
    assert [label.name for label in labels.header.labels] == ["a", "a#1"]
    assert next(iter(labels)).annotations[0].label == "a#1"
    assert report.count("label-renamed") == 1


@pytest.mark.parametrize(("exif", "size"), [("apply", (40, 60)), ("ignore", (60, 40))])
def test_an_image_turned_by_exif(tmp_path: Path, exif: str, size: tuple[int, int]) -> None:
    tree(tmp_path, "0 0.5 0.5 1 1\n")
    (tmp_path / "images" / "x.png").unlink()
    tags = Image.Exif()
    tags[274] = 6
    Image.new("RGB", (60, 40)).save(tmp_path / "images" / "x.jpg", exif=tags)
    report = Report()
    (record,) = loaded(tmp_path, report, exif=exif).values()
    assert record.annotations[0].shapes == (Box(0, 0, *size),)
    assert report.count("assumed") == 1


# ---------------------------------------------------------------------- paths that lead elsewhere


@pytest.mark.parametrize("place", ["../secret", "/etc", "images/../../secret", "../../../../etc"])
def test_a_split_never_leaves_the_root(tmp_path: Path, place: str) -> None:
    (tmp_path / "secret").mkdir()
    Image.new("1", (8, 6)).save(tmp_path / "secret" / "s.png")
    inner = tmp_path / "set"
    inner.mkdir()
    tree(inner, "0 0.5 0.5 1 1\n", f"train: images\nval: {place}\nnames: [a]\n")
    report = Report()
    assert list(loaded(inner, report)) == ["images/x.png"]
    assert report.count("ignored-file") == 1


def test_a_path_that_leads_elsewhere_is_not_followed_unless_said(tmp_path: Path) -> None:
    inner = tmp_path / "set"
    inner.mkdir()
    tree(tmp_path, "0 0.5 0.5 1 1\n")
    shutil.move(tmp_path / "data.yaml", inner / "data.yaml")
    (inner / "data.yaml").write_text("path: ..\ntrain: images\nnames: [a]\n")
    with pytest.raises(ReadError, match="--root"):
        loaded(inner)
    assert list(loaded(inner, root=tmp_path)) == ["images/x.png"]


def test_a_name_too_long_for_the_system_is_a_file_that_is_not_there(tmp_path: Path) -> None:
    tree(tmp_path, "0 0.5 0.5 1 1\n")
    (tmp_path / "data.yaml").write_text(f"train: {'x' * 5000}\nnames: [a]\n")
    with pytest.raises(ReadError, match="neither images nor label files") as caught:
        loaded(tmp_path)
    assert len(str(caught.value)) < len(str(tmp_path)) + 500
    (tmp_path / "data.yaml").write_text("train: list.txt\nnames: [a]\n")
    (tmp_path / "list.txt").write_text(f"images/x.png\nimages/{'x' * 5000}.png\n")
    assert len(loaded(tmp_path, report=Report("skip"))) == 2


def test_a_list_never_leaves_the_root(tmp_path: Path) -> None:
    tree(tmp_path, "0 0.5 0.5 1 1\n", "train: train.txt\nnames: [a]\n")
    (tmp_path / "train.txt").write_text("images/x.png\n../../../etc/passwd.png\n/etc/shadow.png\n")
    found = loaded(tmp_path)
    assert all(not str(name).startswith(("/", "..")) for name in found)


# ---------------------------------------------------------------------- options and sniffing


@pytest.mark.parametrize(
    "options",
    [{"image_size": "640"}, {"image_size": "0x4"}, {"kpt_shape": "17"}, {"kpt_shape": "17,4"}, {"task": "x"}],
)
def test_options_that_are_wrong_are_said_so(options: dict[str, str]) -> None:
    with pytest.raises(OptionError):
        validated(YOLO.ReadOptions, options)


def test_every_fixture_is_sniffed_and_no_other_format_takes_it(cases: Path) -> None:
    for case in sorted(path for path in cases.iterdir() if path.is_dir()):
        assert registry.detect(case) == "yolo", case.name


def _others(fixtures: Path) -> Iterator[Path]:
    for folder in fixtures.iterdir():
        if folder.name not in ("yolo", "bad"):
            yield from (path for path in folder.iterdir() if path.is_dir() and path.name != "bad")


def test_other_formats_fixtures_are_not_yolo(fixtures: Path) -> None:
    for case in _others(fixtures):
        assert YOLO.sniff(case), case


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="neither images nor label files"):
        opened(tmp_path)
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text("names: [x]\n")
    with pytest.raises(ReadError, match="more than one"):
        opened(tmp_path)
