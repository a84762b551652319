"""KITTI: what rows mean, and that what is read is written again to the last character."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from nucleus_convert import Report, convert, read, write
from nucleus_convert.converters import masks, png
from nucleus_convert.converters.errors import ConvertError
from nucleus_convert.converters.labelset import LabelSet, from_records
from nucleus_convert.converters.model import (
    Annotation,
    Box,
    Camera,
    Cuboid,
    Header,
    Item,
    Label,
    Mask,
    Record,
    Scene,
    SceneRef,
)

SIDE = "nucleus_convert.kitti.jsonl"


def texts(folder: Path) -> dict[str, str]:
    """The text files of a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes().decode()
        for path in sorted(folder.rglob("*"))
        if (path.suffix in (".txt", ".xml") or "seqmap" in path.name) and path.is_file()
    }


def images(labels: LabelSet) -> dict[str, Record]:
    return {str(record.item.id): record for record in labels if record.item.kind == "image"}


def findings(report: Report, code: str) -> list[str]:
    return [finding.what for finding in report.sorted() if finding.code == code]


def change_jsonl(path: Path, change: Any) -> None:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows if change(row) is not False))


# ---------------------------------------------------------------------- the object benchmark


def test_a_row_is_a_box_and_a_cuboid_of_one_object(fixtures: Path) -> None:
    labels = read(fixtures / "kitti/object", "kitti")
    record = images(labels)["training/image_2/000000.png"]
    car = record.annotations[0]
    assert car.label == "Car"
    assert car.shape(Box) == Box(672.88, 175.34, 372.9, 140.39)
    cuboid = car.shape(Cuboid)
    # The fact sheet's example B.
    assert cuboid.x == pytest.approx(8.622901508362, abs=1e-9)
    assert cuboid.y == pytest.approx(-2.989635377326, abs=1e-9)
    assert cuboid.z == pytest.approx(-0.837006170733, abs=1e-9)
    assert cuboid.yaw == pytest.approx(-1.580796326795, abs=1e-9)
    assert (cuboid.length, cuboid.width, cuboid.height, cuboid.frame) == (3.88, 1.63, 1.52, "lidar")
    camera = record.item.camera
    assert camera is not None
    assert camera.position == pytest.approx((0.269306999788, 0.048273254288, -0.078732490361), abs=1e-9)
    assert camera.heading == pytest.approx((0.490717228391, -0.501744386496, 0.503226942391, -0.504194225305), abs=1e-9)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (700, 700, 600, 180)
    assert (record.item.width, record.item.height, record.item.subset) == (1242, 375, "train")
    # Example A: -pi becomes pi.
    person = images(labels)["training/image_2/000001.png"].annotations[0]
    assert person.label == "Person sitting"
    cuboid = person.shape(Cuboid)
    assert (cuboid.x, cuboid.y, cuboid.z) == pytest.approx((20.27, -2.0, -0.98), abs=1e-9)
    assert cuboid.yaw == pytest.approx(0, abs=1e-9)


def test_what_rows_do_not_say_is_not_made_up(fixtures: Path) -> None:
    labels = read(fixtures / "kitti/object", "kitti")
    records = images(labels)
    _, pedestrian, region = records["training/image_2/000000.png"].annotations
    assert (pedestrian.truncated, pedestrian.occluded) == (0.35, 3)
    assert (region.label, region.truncated, region.occluded, len(region.shapes)) == ("DontCare", None, None, 1)
    _, car, van = records["training/image_2/000001.png"].annotations
    assert [len(car.shapes), len(van.shapes)] == [1, 1]  # no zero boxes in 3-D
    assert not [one for one in labels.annotations() if one.confidence is not None or one.is_prediction]
    assert records["training/image_2/000002.png"].annotations == ()


def test_the_point_cloud_is_an_item_of_the_same_frame(fixtures: Path) -> None:
    records = list(read(fixtures / "kitti/object", "kitti"))
    cloud, image = records[:2]
    assert (cloud.item.kind, cloud.item.path) == ("pointcloud", "training/velodyne/000000.bin")
    assert cloud.item.scene == SceneRef(id="000000", frame=0, sensor="lidar")
    assert image.item.scene == SceneRef(
        id="000000", frame=0, sensor="camera_2", cloud="training/velodyne/000000.bin"
    )
    assert [record.item.kind for record in records] == ["pointcloud", "image"] * 2 + ["image"]  # 2 has no .bin


def test_without_a_velodyne_folder_clouds_are_named_by_convention(fixtures: Path) -> None:
    tracking = fixtures / "kitti/tracking"
    kinds = [record.item.kind for record in read(tracking, "kitti")]
    assert kinds == ["pointcloud", "image"] * 4 + ["image"] * 3
    for clouds in ("found", "none"):
        assert [record.item.kind for record in read(tracking, "kitti", clouds=clouds)] == ["image"] * 7


def test_results_are_predictions_with_their_scores(fixtures: Path) -> None:
    report = Report()
    labels = read(fixtures / "kitti/results", "kitti", report=report)
    found = [annotation for record in labels.records(report) for annotation in record.annotations]
    assert [one.confidence for one in found] == [0.987654321, -3.5]
    assert [len(one.shapes) for one in found] == [2, 1]
    assert any("no calibration" in what for what in findings(report, "assumed"))
    cuboid = found[0].shape(Cuboid)
    assert (cuboid.x, cuboid.y, cuboid.z) == pytest.approx((8.41, -2.84, -1.47 + 0.76))


def test_a_filler_in_the_16th_column_is_no_score(fixtures: Path) -> None:
    report = Report()
    labels = read(fixtures / "kitti/datumaro", "kitti", report=report)
    assert [one.confidence for one in labels.annotations()] == [None, None]
    assert any("1 in every row is a filler" in what for what in findings(report, "assumed"))
    kept = read(fixtures / "kitti/datumaro", "kitti", scores="keep")
    assert [one.confidence for one in kept.annotations()] == [1.0, 1.0]


def test_dontcare_can_be_left_out_and_is_counted(fixtures: Path, tmp_path: Path) -> None:
    report = convert(fixtures / "kitti/object", tmp_path / "out", source="kitti", dontcare="drop")
    assert findings(report, "filtered") == ["DontCare region"]
    assert "DontCare" not in (tmp_path / "out/annotations.jsonl").read_text()


def test_headings_are_exact_where_the_camera_looks_aside(tmp_path: Path) -> None:
    (tmp_path / "label_2").mkdir()
    (tmp_path / "calib").mkdir()
    (tmp_path / "label_2/0.txt").write_text("Car 0 0 0 1 2 3 4 1.5 1.6 4.0 1.0 1.65 10.0 0\n")
    (tmp_path / "calib/0.txt").write_text("R0_rect: 1 0 0 0 1 0 0 0 1\nTr_velo_to_cam: 1 0 0 0 0 0 -1 0 0 1 0 0\n")
    for option, yaw in ((None, 0), (True, 0), (False, -math.pi / 2)):
        (cuboid,) = (one.shape(Cuboid) for one in read(tmp_path, "kitti", exact_yaw=option).annotations())
        assert (cuboid.x, cuboid.y, cuboid.z) == pytest.approx((1.0, 10.0, -0.9))  # example D
        assert cuboid.yaw == pytest.approx(yaw)


# ---------------------------------------------------------------------- tracking and raw


def test_sequences_are_scenes_and_tracks_are_theirs(fixtures: Path) -> None:
    labels = read(fixtures / "kitti/tracking", "kitti")
    assert [(scene.id, scene.kind) for scene in labels.header.scenes] == [("0000", "lidar"), ("0001", "video")]
    found = images(labels)
    assert [str(item) for item in found] == [f"training/image_02/0000/{i:06}.png" for i in range(4)] + [
        f"training/image_02/0001/{i:06}.png" for i in range(3)
    ]
    first = found["training/image_02/0000/000000.png"]
    assert [one.track for one in first.annotations] == [None, "0000/0", "0000/1"]
    last = found["training/image_02/0000/000002.png"].annotations[0]
    assert (last.track, last.truncated, last.occluded) == ("0000/0", 2, 1)  # truncation is not clamped
    assert found["training/image_02/0001/000001.png"].annotations[0].track == "0001/0"


def test_poses_of_tracklets_are_cuboids_of_the_point_cloud(fixtures: Path) -> None:
    records = list(read(fixtures / "kitti/raw", "kitti"))
    assert [(record.item.kind, len(record.annotations)) for record in records] == [
        ("pointcloud", 1), ("image", 0), ("pointcloud", 2), ("image", 0)
    ]  # fmt: skip
    van = records[0].annotations[0]
    assert van.shapes == (Cuboid(12, -3.5, -0.95, 4.0, 1.6, 1.5, 0.3),)  # the fact sheet's example
    again, person = records[2].annotations
    assert again.track == van.track
    assert again.shapes[0].yaw == pytest.approx(4.0 - 2 * math.pi)
    assert (again.occluded, again.truncated, person.occluded) == (1, 1, None)
    assert person.label == "Person (sitting)"
    scene = records[3].item.scene
    assert scene is not None
    assert scene.timestamp == pytest.approx(1317042146.074343562)
    assert records[1].item.camera is not None


# ---------------------------------------------------------------------- there and back


@pytest.mark.parametrize("case", ["object", "results", "tracking", "raw", "datumaro"])
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("way", ["nucleus", "coco", "voc", "yolo", "cvat", "ir"])
def test_rows_come_back_to_the_last_character(
    fixtures: Path, tmp_path: Path, case: str, workers: int, way: str
) -> None:
    source = fixtures / "kitti" / case
    between = tmp_path / {"ir": "i.ndjson", "cvat": "c.xml"}.get(way, way)
    convert(source, between, source="kitti", target=way, workers=workers)
    convert(between, tmp_path / "back", source=way, target="kitti", workers=workers)
    found = texts(tmp_path / "back")
    if case == "results":
        found = {name.removeprefix("results/data/"): text for name, text in found.items()}
    assert found == texts(source)


def test_rows_come_back_without_the_side_files(fixtures: Path, tmp_path: Path) -> None:
    """What a label file says must not depend on the file of ours beside it."""
    convert(fixtures / "kitti/object", tmp_path / "1", source="kitti", target="kitti")
    (tmp_path / "1" / SIDE).unlink()
    convert(tmp_path / "1", tmp_path / "2", source="kitti", target="kitti")
    assert texts(tmp_path / "2") == texts(fixtures / "kitti/object")


def test_the_second_way_back_is_the_first(fixtures: Path, tmp_path: Path) -> None:
    for case in ("object", "tracking", "raw"):
        convert(fixtures / "kitti" / case, tmp_path / case, source="kitti", pointclouds="reference")
        convert(tmp_path / case, tmp_path / f"{case}-k", source="nucleus", target="kitti")
        convert(tmp_path / f"{case}-k", tmp_path / f"{case}-2", source="kitti", pointclouds="reference")
        for name in ("items", "annotations", "scenes"):
            one, two = (tmp_path / folder / f"{name}.jsonl" for folder in (case, f"{case}-2"))
            assert one.read_text() == two.read_text(), (case, name)


def test_an_edit_of_a_row_wins_over_the_side_file(fixtures: Path, tmp_path: Path) -> None:
    convert(fixtures / "kitti/object", tmp_path / "k", source="kitti", target="kitti")
    path = tmp_path / "k/training/label_2/000000.txt"
    path.write_text(path.read_text().replace("Car 0.00 0", "Truck 0.50 1"))
    found = images(read(tmp_path / "k", "kitti"))["training/image_2/000000.png"].annotations
    assert [one.label for one in found] == ["Truck", "Pedestrian", "DontCare"]
    assert (found[0].truncated, found[0].occluded) == (0.5, 1)


# ---------------------------------------------------------------------- written from other formats


def one(*annotations: Annotation, header: Header | None = None, **fields: Any) -> LabelSet:
    item = Item(**{"id": 1, "path": "a.jpg", "width": 1242, "height": 375, **fields})
    return from_records(header or Header(labels=(Label(name="car"),)), [Record(item, annotations)])


CAMERA = Camera(position=(0, 0, 0), heading=(0.5, -0.5, 0.5, -0.5), fx=700, fy=700, cx=600, cy=180)


def row(labels: LabelSet, folder: Path, **options: Any) -> str:
    write(labels, folder, "kitti", overwrite=True, **options)
    return (folder / "training/label_2/a.txt").read_text()


def test_a_box_has_the_fillers_of_the_development_kit(tmp_path: Path) -> None:
    box = Annotation(label="car", shapes=(Box(1, 2.5, 30, 40.25),))
    assert row(one(box), tmp_path / "1") == "car -1 -1 -10 1 2.5 31 42.75 -1 -1 -1 -1000 -1000 -1000 -10\n"
    two = row(one(box), tmp_path / "2", decimals=2)
    assert two == "car -1 -1 -10 1 2.50 31 42.75 -1 -1 -1 -1000 -1000 -1000 -10\n"


def test_a_cuboid_has_its_alpha_and_the_box_around_its_projection(tmp_path: Path) -> None:
    cuboid = Annotation(label="car", shapes=(Cuboid(20, -2.0, -0.9, 4.0, 1.6, 1.5, 0.0),), occluded=2, truncated=0.1)
    words = row(one(cuboid, camera=CAMERA), tmp_path / "1", decimals=4).split()
    assert words[:3] == ["car", "0.1000", "2"]
    assert words[8:15] == ["1.5000", "1.6000", "4.0000", "2.0000", "1.6500", "20.0000", "-1.5708"]
    assert float(words[3]) == pytest.approx(-math.pi / 2 - math.atan2(2, 20), abs=1e-4)
    # The nearest face is 18 m away: x from 1.2 to 2.8, y from 0.15 to 1.65.
    assert [float(word) for word in words[4:8]] == pytest.approx(
        [600 + 700 * 1.2 / 22, 180 + 700 * 0.15 / 22, 600 + 700 * 2.8 / 18, 180 + 700 * 1.65 / 18], abs=1e-3
    )
    assert "Tr_velo_to_cam" in (tmp_path / "1/training/calib/a.txt").read_text()


def test_a_cuboid_behind_the_camera_has_no_row_and_travels_along(tmp_path: Path) -> None:
    behind = Annotation(label="car", shapes=(Cuboid(-20, 0, 0, 4.0, 1.6, 1.5, 0.0),))
    report = write(one(behind, camera=CAMERA), tmp_path / "1", "kitti")
    assert (tmp_path / "1/training/label_2/a.txt").read_text() == ""
    assert "object that the camera does not see" in str(findings(report, "carried"))
    assert list(read(tmp_path / "1", "kitti").annotations()) == [behind]


def test_predictions_are_results_and_scores_are_not_made_up(tmp_path: Path) -> None:
    box = (Box(1, 2, 3, 4),)
    labels = one(
        Annotation(label="car", shapes=box),
        Annotation(label="car", shapes=box, confidence=0.123456789012),
        Annotation(label="car", shapes=box, predicted=True),
    )
    text = row(labels, tmp_path / "1")
    assert len(text.splitlines()) == 1
    assert len(text.split()) == 15
    first, second = (tmp_path / "1/results/data/a.txt").read_text().splitlines()
    assert first.split()[15] == "0.123456789"
    assert len(second.split()) == 15
    assert [one.confidence for one in read(tmp_path / "1", "kitti").annotations()] == [None, 0.123456789012, None]


def test_tracks_of_others_become_numbers_and_come_back(tmp_path: Path) -> None:
    header = Header(labels=(Label(name="car"),), scenes=(Scene(id="drive/1"),))
    records = [
        Record(
            Item(id=f"{i}.jpg", path=f"{i}.jpg", scene=SceneRef(id="drive/1", frame=i)),
            tuple(Annotation(label="car", shapes=(Box(i, 0, 5, 5),), track=track) for track in ("a", 7, None)),
        )
        for i in range(3)
    ]
    labels = from_records(header, records)
    write(labels, tmp_path / "1", "kitti")
    (path,) = (tmp_path / "1/training/label_02").rglob("*.txt")
    found = [line.split()[:2] for line in path.read_text().splitlines()]
    assert found == [[str(i), track] for i in range(3) for track in ("100000", "100001", "-1")]
    assert [one.track for one in read(tmp_path / "1", "kitti").annotations()] == ["a", 7, None] * 3


@pytest.mark.parametrize("target", ["coco", "voc", "yolo"])
def test_what_2d_formats_do_not_hold_is_reported(fixtures: Path, tmp_path: Path, target: str) -> None:
    out = tmp_path / "out"
    report = convert(fixtures / "kitti/object", out, source="kitti", target=target)
    said = [*findings(report, "carried"), *findings(report, "dropped")]
    assert "cuboid" in said
    assert "point cloud" in said
    assert report.ledger.balance()["box"]["read"] == 6


# ---------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("case", "file", "line", "reason"),
    [
        ("columns", "label_2/000000.txt", 2, "13 columns, expected 15 columns (16 with a score)"),
        ("letters", "label_2/000000.txt", 2, "width should be a number, and is 'one'"),
        ("nan", "label_2/000000.txt", 2, "right is 'nan', no finite number"),
        ("track", "label_02/0000.txt", 2, "expected a frame and a track as whole numbers, found '0' and 'x'"),
        ("singular", "calib/000000.txt", 2, "Tr_velo_to_cam is singular: points cannot be brought back through it"),
        ("cloud", "velodyne/000000.bin", None, "9 bytes"),
    ],
)
def test_bad_input_is_said_with_file_and_line(
    fixtures: Path, tmp_path: Path, case: str, file: str, line: int | None, reason: str
) -> None:
    source = fixtures / "kitti/bad" / case
    with pytest.raises(ConvertError) as caught:
        convert(source, tmp_path / "out", source="kitti")
    where = caught.value.where
    assert where is not None
    assert str(where.file).endswith(file)
    assert where.line == line
    assert reason in caught.value.message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("case", ["columns", "letters", "nan", "track"])
def test_bad_rows_can_be_left_out(fixtures: Path, tmp_path: Path, case: str) -> None:
    report = convert(fixtures / "kitti/bad" / case, tmp_path / "out", source="kitti", on_error="quarantine")
    assert report.ledger.balance()["object"] == {"read": 2, "written": 1, "carried": 0, "dropped": 0, "skipped": 1}
    (rejected,) = (json.loads(line) for line in (tmp_path / "out/rejected.jsonl").read_text().splitlines())
    assert rejected["where"]["line"] == 2


def test_missing_matrices_are_said(fixtures: Path, tmp_path: Path) -> None:
    (tmp_path / "label_2").mkdir()
    (tmp_path / "calib").mkdir()
    (tmp_path / "label_2/0.txt").write_text("Car 0 0 0 1 2 3 4 1.5 1.6 4.0 1.0 1.65 10.0 0\n")
    for text, what in (
        ("P2: 700 0 600 0 0 700 180 0 0 0 1 0\n", "no calibration from lidar to camera"),
        ("Tr_velo_to_cam: 0 -1 0 0 0 0 -1 0 1 0 0 0\n", "no R0_rect"),
    ):
        (tmp_path / "calib/0.txt").write_text(text)
        report = Report()
        list(read(tmp_path, "kitti").records(report))
        assert any(what in one for one in findings(report, "assumed"))


def test_a_side_file_that_is_not_ours_is_refused(fixtures: Path, tmp_path: Path) -> None:
    convert(fixtures / "kitti/object", tmp_path / "k", source="kitti", target="kitti")
    path = tmp_path / "k" / SIDE
    path.write_text(path.read_text().replace('"nucleus_convert_kitti":1', '"nucleus_convert_kitti":2'))
    with pytest.raises(ConvertError, match="newer nucleus-convert"):
        read(tmp_path / "k", "kitti")
    path.write_text("{}\n")
    with pytest.raises(ConvertError, match="not as this program writes it"):
        read(tmp_path / "k", "kitti")


def test_paths_of_a_side_file_do_not_leave_the_folder(fixtures: Path, tmp_path: Path) -> None:
    convert(fixtures / "kitti/object", tmp_path / "k", source="kitti", target="kitti")
    path = tmp_path / "k" / SIDE
    path.write_text(path.read_text().replace("training/label_2/000000.txt", "../../secret.txt"))
    (tmp_path / "secret.txt").write_text("Car 0 0 0 1 2 3 4 1.5 1.6 4.0 1.0 1.65 10.0 0\n")
    report = Report()
    records = list(read(tmp_path / "k", "kitti").records(report))
    assert report.count("stale", "a label file") == 1
    assert msgspec.json.encode(records).count(b'"label"') == 3


# ---------------------------------------------------------------------- pictures


@pytest.mark.parametrize("silent", [False, True])
def test_pictures_of_classes_and_instances_come_back_by_way_of_nucleus(tmp_path: Path, silent: bool) -> None:
    instance = np.zeros((6, 8), np.uint16)
    instance[:3], instance[3:] = 23 << 8, 7 << 8
    instance[2:4, 1:3], instance[4:, 5:] = 6659, 26 << 8 | 1  # cars 3 and 1
    semantic = (instance >> 8).astype(np.uint8)
    if silent:
        instance[instance & 255 == 0] = 0
    root = tmp_path / "source/training"
    for name, data in (("semantic", png.encode(semantic)), ("instance", png.encode_deep(instance))):
        (root / name).mkdir(parents=True)
        (root / name / "000000_10.png").write_bytes(data)
    labels = read(tmp_path / "source", "kitti")
    assert [label.name for label in labels.header.labels] == ["road", "sky", "car"]
    assert sorted(str(one.label) for one in labels.annotations()) == ["car", "car", "road", "sky"]
    convert(tmp_path / "source", tmp_path / "n", source="kitti")
    convert(tmp_path / "n", tmp_path / "k", source="nucleus", target="kitti")
    for name, pixels in (("semantic", semantic), ("instance", instance)):
        found = png.decode((tmp_path / "k/training" / name / "000000_10.png").read_bytes())
        assert found.tolist() == pixels.tolist()
    assert not (tmp_path / "k/training/label_2").exists()


def test_masks_of_others_are_pictures_when_asked_for(tmp_path: Path) -> None:
    square = Mask(masks.encode_counts([0, 2, 2, 2, 2]), 4, 2)
    report = write(
        one(Annotation(label="car", shapes=(square,)), width=2, height=4), tmp_path / "k", "kitti", pictures="png"
    )
    found = png.decode((tmp_path / "k/training/instance/a.png").read_bytes())
    assert found.tolist() == [[6657, 6657], [6657, 6657], [0, 0], [0, 0]]  # Cityscapes' car is class 26
    assert report.ledger.balance()["mask"]["written"] == 1
    assert [entry.shapes for entry in read(tmp_path / "k", "kitti").annotations()] == [(square,)]
