"""KITTI and Nucleus: cuboids with the point cloud, boxes with the image, one object; scenes; point clouds."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nucleus_convert import Report, convert, read, write
from nucleus_convert.converters import frames, parallel
from nucleus_convert.converters.errors import ConvertError
from nucleus_convert.converters.labelset import from_records
from nucleus_convert.converters.model import (
    Annotation,
    Box,
    Camera,
    Cuboid,
    Header,
    Item,
    Label,
    Record,
    Scene,
    SceneRef,
)

sdk = pytest.importorskip("nucleus", reason="the SDK (scale-nucleus) is not installed")
CASES = ["object", "tracking", "raw"]


def lines(folder: Path, stem: str) -> list[dict[str, Any]]:
    path = folder / f"{stem}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def bare(value: Any) -> Any:
    """Without nulls and empty metadata, which the SDK adds."""
    if isinstance(value, dict):
        said = {key: entry for key, entry in value.items() if entry is not None}
        return {key: bare(entry) for key, entry in said.items() if (key, entry) != ("metadata", {})}
    return [bare(entry) for entry in value] if isinstance(value, list) else value


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# ---------------------------------------------------------------------- the SDK


@pytest.mark.parametrize("case", CASES)
def test_the_sdk_loads_what_is_written_and_gives_it_back(fixtures: Path, tmp_path: Path, case: str) -> None:
    convert(fixtures / "kitti" / case, tmp_path / "n", source="kitti")
    kinds = set()
    for line in lines(tmp_path / "n", "annotations"):
        made = sdk.annotation.Annotation.from_json(json.loads(json.dumps(line)))
        assert bare(made.to_payload()) == bare(line)
        kinds.add(type(made).__name__)
        if line["type"] == "cuboid":
            assert isinstance(made, sdk.CuboidAnnotation)
            assert bare(sdk.CuboidAnnotation.from_json(json.loads(json.dumps(line))).to_payload()) == bare(line)
    assert "CuboidAnnotation" in kinds
    scenes = lines(tmp_path / "n", "scenes")
    assert scenes
    for line in scenes:
        lidar = "url" not in line["frames"][0]
        scene: Any = (sdk.LidarScene if lidar else sdk.VideoScene).from_json(json.loads(json.dumps(line)))
        for entries in line["frames"]:
            for entry in entries.values() if lidar else (entries,):
                entry.pop("image_url", None)  # told beside url for from_json's sake
                entry.pop("pointcloud_url", None)
                if "camera_params" in entry:
                    camera = sdk.CameraParams.from_json(entry["camera_params"])
                    assert bare(camera.to_payload()) == bare(entry["camera_params"])
        assert bare(scene.to_payload()) == bare(line)
    items = {
        entry["reference_id"]: entry["type"]
        for line in scenes
        for frame in line["frames"]
        for entry in ([frame] if "url" in frame else frame.values())
    }
    for line in lines(tmp_path / "n", "annotations"):
        wanted = "pointcloud" if line["type"] == "cuboid" else "image"
        assert items.get(line["reference_id"], "image") == wanted
    names = [(line["reference_id"], line["annotation_id"]) for line in lines(tmp_path / "n", "annotations")]
    assert len(set(names)) == len(names)


def test_scenes_have_the_frames_sensors_and_cameras(fixtures: Path, tmp_path: Path) -> None:
    convert(fixtures / "kitti/object", tmp_path / "n", source="kitti", pointcloud_url_prefix="s3://b/clouds")
    scene = lines(tmp_path / "n", "scenes")[0]
    assert scene["reference_id"] == "000000"
    (frame,) = scene["frames"]
    assert list(frame) == ["lidar", "camera_2"]
    assert frame["lidar"]["url"] == "s3://b/clouds/train/training/velodyne/000000.json"
    camera = frame["camera_2"]["camera_params"]
    assert camera == frame["camera_2"]["metadata"]["camera_params"]
    assert camera["position"] == pytest.approx({"x": 0.269306999788, "y": 0.048273254288, "z": -0.078732490361})
    assert camera["heading"] == pytest.approx(
        {"x": -0.501744386496, "y": 0.503226942391, "z": -0.504194225305, "w": 0.490717228391}
    )
    assert [camera[key] for key in ("fx", "fy", "cx", "cy")] == [700, 700, 600, 180]
    # The fact sheet's check, with what was written only.
    pose = frames.CameraPose(
        tuple(camera["position"][k] for k in "xyz"), tuple(camera["heading"][k] for k in "wxyz"), 700, 700, 600, 180
    )  # type: ignore[arg-type]
    pixels, _ = frames.see(np.array([[12, -3, 0.5]]), pose)
    assert pixels[0] == pytest.approx((771.296218579589, 140.661245111415), abs=1e-4)


def test_an_object_is_tied_over_its_two_items(fixtures: Path, tmp_path: Path) -> None:
    convert(fixtures / "kitti/object", tmp_path / "n", source="kitti")
    box, cuboid = [line for line in lines(tmp_path / "n", "annotations") if line["label"] == "Car"][:2]
    assert (box["type"], box["reference_id"]) == ("box", "train/training/image_2/000000.png")
    assert (cuboid["type"], cuboid["reference_id"]) == ("cuboid", "train/training/velodyne/000000.bin")
    assert cuboid["metadata"]["_nucleus_convert"]["object"] == box["annotation_id"]
    assert cuboid["metadata"]["_nucleus_convert"]["image"] == box["reference_id"]
    for key in ("alpha", "occluded", "truncated"):
        assert box["metadata"][key] == cuboid["metadata"][key]


# ---------------------------------------------------------------------- options


def test_images_alone_without_scenes(fixtures: Path, tmp_path: Path) -> None:
    convert(fixtures / "kitti/object", tmp_path / "n", source="kitti", scenes="none", pointclouds="none")
    assert lines(tmp_path / "n", "scenes") == []
    assert len(lines(tmp_path / "n", "items")) == 3
    assert {line["type"] for line in lines(tmp_path / "n", "annotations")} == {"box"}
    convert(tmp_path / "n", tmp_path / "k", source="nucleus", target="kitti")
    for name in ("000000", "000001", "000002"):
        path = f"training/label_2/{name}.txt"
        assert (tmp_path / "k" / path).read_bytes() == (fixtures / "kitti/object" / path).read_bytes()


def test_without_scenes_a_point_cloud_has_one_to_itself(fixtures: Path, tmp_path: Path) -> None:
    convert(fixtures / "kitti/object", tmp_path / "n", source="kitti", scenes="none")
    assert [len(line["frames"]) for line in lines(tmp_path / "n", "scenes")] == [1, 1]
    assert len(lines(tmp_path / "n", "items")) == 3


def test_point_clouds_are_converted_referred_to_or_left_out(fixtures: Path, tmp_path: Path) -> None:
    source = fixtures / "kitti/object"
    report = convert(source, tmp_path / "c", source="kitti")
    cloud = json.loads((tmp_path / "c/pointclouds/train/training/velodyne/000000.json").read_text())
    assert cloud["points"][0] == {"x": 12, "y": -3, "z": 0.5, "i": 0.25}
    assert len(cloud["points"]) == 3
    outputs = {entry["file"] for entry in json.loads((tmp_path / "c/report.json").read_text())["outputs"]}
    assert "pointclouds/train/training/velodyne/000000.json" in outputs
    assert not report.count("ignored-file")
    convert(source, tmp_path / "r", source="kitti", pointclouds="reference", image_root="s3://b")
    assert not (tmp_path / "r/pointclouds").exists()
    assert lines(tmp_path / "r", "scenes")[0]["frames"][0]["lidar"]["url"] == "s3://b/training/velodyne/000000.bin"
    report = convert(source, tmp_path / "o", source="kitti", pointclouds="none")
    assert report.count("filtered") == 2
    assert report.ledger.balance()["cuboid"]["carried"] == 3


@pytest.mark.parametrize("how", ["path", "stem", "name", "id"])
def test_every_way_to_call_items_comes_back(fixtures: Path, tmp_path: Path, how: str) -> None:
    convert(fixtures / "kitti/object", tmp_path / "n", source="kitti", reference_id=how)
    before = list(read(fixtures / "kitti/object", "kitti"))
    after = list(read(tmp_path / "n", "nucleus"))
    assert [record.annotations for record in after] == [record.annotations for record in before]
    assert [record.item.scene for record in after] == [record.item.scene for record in before]


# ---------------------------------------------------------------------- streaming


def many(folder: Path, count: int) -> Path:
    """Frames of which some have a point cloud, so that a frame's two items fall on both sides of a chunk's border."""
    for name in ("label_2", "calib", "velodyne"):
        (folder / name).mkdir(parents=True)
    for i in range(count):
        rows = [
            f"Car 0.00 {j % 3} -1.57 {j}.00 2.50 {j + 30}.25 40.00 1.50 1.60 4.00 {j}.00 1.65 {20 + i % 7}.00 0.{j}5\n"
            for j in range(i % 4)
        ]
        (folder / f"label_2/{i:06}.txt").write_text("".join(rows))
        (folder / f"calib/{i:06}.txt").write_text(
            "P2: 700 0 600 40 0 700 180 0.2 0 0 1 0.003\nR0_rect: 1 0 0 0 1 0 0 0 1\n"
            f"Tr_velo_to_cam: 0 -1 0 0 0 0 -1 -0.08 1 0 0 -0.{27 + i % 3}\n"
        )
        if i % 3:
            (folder / f"velodyne/{i:06}.bin").write_bytes(struct.pack("<4f", i, 1, 2, 0.5))
    return folder


def test_the_number_of_workers_changes_nothing_and_borders_do_not_show(tmp_path: Path) -> None:
    source = many(tmp_path / "source", parallel.CHUNK + 40)
    for workers in (1, 2):
        out = tmp_path / str(workers)
        convert(source, out / "n", source="kitti", workers=workers, pointcloud_url_prefix="clouds")
        convert(out / "n", out / "k", source="nucleus", target="kitti", workers=workers)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")
    for path in sorted(source.glob("label_2/*")) + sorted(source.glob("calib/*")):
        assert (tmp_path / "1/k" / path.relative_to(source)).read_bytes() == path.read_bytes()
    before, after = (list(read(*pair)) for pair in ((source, "kitti"), (tmp_path / "1/n", "nucleus")))
    assert [record.annotations for record in before] == [record.annotations for record in after]


# ---------------------------------------------------------------------- edits, and data that began in Nucleus


def edit(folder: Path, change: Any) -> None:
    rows = [row for row in lines(folder, "annotations") if change(row) is not False]
    (folder / "annotations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def labels_of(folder: Path, name: str = "training/label_2/000000.txt") -> list[list[str]]:
    return [line.split() for line in (folder / name).read_text().splitlines()]


def test_an_edit_in_nucleus_wins_and_leaves_the_other_columns_as_they_were(fixtures: Path, tmp_path: Path) -> None:
    source = fixtures / "kitti/object"
    before = labels_of(source)[0]

    def moved_box(row: dict[str, Any]) -> None:
        if row["label"] == "Car" and row["type"] == "box" and "000000" in row["reference_id"]:
            row["geometry"]["x"] += 10

    def turned(row: dict[str, Any]) -> None:
        if row["label"] == "Car" and row["type"] == "cuboid":
            row["geometry"]["position"]["x"] += 1

    def gone(row: dict[str, Any]) -> bool:
        return not (row["label"] == "Car" and row["type"] == "cuboid")

    def seen(row: dict[str, Any]) -> None:
        if row["label"] == "Car":
            row["metadata"]["occluded"] = 2

    after = []
    for number, change in enumerate((moved_box, turned, gone, seen)):
        convert(source, tmp_path / f"n{number}", source="kitti")
        edit(tmp_path / f"n{number}", change)
        convert(tmp_path / f"n{number}", tmp_path / f"k{number}", source="nucleus", target="kitti")
        after.append(labels_of(tmp_path / f"k{number}")[0])
        assert labels_of(tmp_path / f"k{number}")[1:] == labels_of(source)[1:]
    assert after[0] == [*before[:4], "682.88", "175.34", "1055.78", "315.73", *before[8:]]
    assert after[1][:3] + after[1][4:11] == before[:3] + before[4:11]
    assert float(after[1][13]) == pytest.approx(float(before[13]) + 1, abs=1e-3)  # one metre further
    assert after[2] == [*before[:3], "-10", *before[4:8], *["-1", "-1", "-1", "-1000", "-1000", "-1000", "-10"]]
    assert after[3] == [*before[:2], "2", *before[3:]]


def native(tmp_path: Path, *, track: str | None) -> Path:
    """A lidar scene as a customer has it: a cuboid on the cloud, a box on the image, tied by a track or not."""
    camera = Camera(position=(0, 0, 0), heading=(0.5, -0.5, 0.5, -0.5), fx=700, fy=700, cx=600, cy=180)
    records = []
    for frame in range(2):
        place = {"id": "drive", "frame": frame}
        shape = Cuboid(20 + frame, -2.0, -0.9, 4.0, 1.6, 1.5, 0.0)
        cuboid = Annotation(label="car", shapes=(shape,), id="c", track="t")
        box = Annotation(label="car", shapes=(Box(600, 180, 90, 60),), id="b", track=track)
        lidar = SceneRef(sensor="lidar", **place)
        cloud = Item(id=f"{frame}.json", path=f"{frame}.json", kind="pointcloud", scene=lidar)
        image = Item(
            id=f"{frame}.jpg", path=f"{frame}.jpg", width=1242, height=375, camera=camera,
            scene=SceneRef(sensor="front", **place),
        )  # fmt: skip
        records += [Record(cloud, (cuboid,)), Record(image, (box,))]
    header = Header(labels=(Label(name="car"),), scenes=(Scene(id="drive", kind="lidar"),))
    write(from_records(header, records), tmp_path / "native", "nucleus")
    (tmp_path / "native/dataset.json").unlink()
    return tmp_path / "native"


@pytest.mark.parametrize(("track", "rows"), [("t", 1), ("u", 2), (None, 2)])
def test_cuboids_and_scenes_of_nucleus_become_rows(tmp_path: Path, track: str | None, rows: int) -> None:
    source = native(tmp_path, track=track)
    convert(source, tmp_path / "k", source="nucleus", target="kitti")
    found = labels_of(tmp_path / "k", "training/label_02/drive.txt")
    assert len(found) == 2 * rows
    assert [row[0] for row in found] == ["0"] * rows + ["1"] * rows
    placed = [row for row in found if row[10] == "1.5"]
    for row, x in zip(placed, (20, 21), strict=True):
        assert [float(word) for word in row[10:16]] == pytest.approx([1.5, 1.6, 4.0, 2.0, 1.65, x])
    if rows == 1:
        assert placed[0][6:10] == ["600", "180", "690", "240"]  # the box as it was drawn
    # Read again it is what it was: the rows repeat what the items say, and do not double it.
    before, after = list(read(source, "nucleus")), list(read(tmp_path / "k", "kitti"))
    assert [record.annotations for record in after] == [record.annotations for record in before]
    # Another tool reads rows only.
    (tmp_path / "k/nucleus_convert.kitti.jsonl").unlink()
    alone = [one for one in read(tmp_path / "k", "kitti").annotations() if one.shape(Cuboid)]
    assert len(alone) == 2
    assert alone[0].shape(Cuboid).x == pytest.approx(20)


def test_a_cuboid_that_lost_its_image_stays_with_the_cloud(fixtures: Path, tmp_path: Path) -> None:
    convert(fixtures / "kitti/object", tmp_path / "n", source="kitti")
    path = tmp_path / "n/scenes.jsonl"
    rows = lines(tmp_path / "n", "scenes")
    del rows[0]["frames"][0]["camera_2"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    edit(tmp_path / "n", lambda row: row["reference_id"] != "training/image_2/000000.png")
    report = Report()
    found = {str(record.item.id): record for record in read(tmp_path / "n", "nucleus").records(report)}
    assert len(found["training/velodyne/000000.bin"].annotations) == 2


def scene_of_two_cameras(tmp_path: Path, *, boxes: bool, moving: bool = False) -> Path:
    """A lidar scene as the SDK writes it: two cameras a frame, of which the second may have a box."""
    rows, drawn = [], []
    for frame in range(3):
        place = sdk.Point3D(0.27 + frame * moving, 0.05, -0.08)
        camera = sdk.CameraParams(place, sdk.Quaternion(-0.5, 0.5, -0.5, 0.5), 700, 700, 600, 180)
        items = {"lidar": sdk.DatasetItem(pointcloud_location=f"s3://b/{frame}.json", reference_id=f"cloud{frame}")}
        for name in ("left", "right"):
            items[name] = sdk.DatasetItem(
                f"s3://b/{name}{frame}.jpg",
                reference_id=f"{name}{frame}",
                metadata={"camera_params": camera.to_payload()},
            )
        rows.append(sdk.Frame(**items))
        car = sdk.CuboidAnnotation(
            "car", sdk.Point3D(20, -2, -0.9), sdk.Point3D(4, 1.6, 1.5), 0.3, f"cloud{frame}", f"c{frame}",
            track_reference_id="t",
        )  # fmt: skip
        drawn.append(car.to_payload())
        if boxes:
            box = sdk.BoxAnnotation("car", 1, 2, 30, 40, f"right{frame}", f"b{frame}", track_reference_id="t")
            drawn.append(box.to_payload())
    folder = tmp_path / "native"
    folder.mkdir()
    scene = sdk.LidarScene(reference_id="drive", frames=rows)
    (folder / "scenes.jsonl").write_text(json.dumps(scene.to_payload()) + "\n")
    (folder / "annotations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in drawn))
    return folder


@pytest.mark.parametrize("boxes", [False, True])
@pytest.mark.parametrize("camera", [2, 3])
def test_images_of_a_second_camera_do_not_repeat_the_rows_of_the_first(
    tmp_path: Path, *, boxes: bool, camera: int
) -> None:
    source = scene_of_two_cameras(tmp_path, boxes=boxes)
    convert(source, tmp_path / "k", source="nucleus", target="kitti", camera=camera)
    folder = f"training/label_0{camera}"
    assert [row[:3] for row in labels_of(tmp_path / "k", f"{folder}/drive.txt")] == [
        [str(frame), "100000", "car"] for frame in range(3)
    ]
    right = tmp_path / "k" / folder / "drive_right.txt"
    assert right.exists() is boxes
    if boxes:
        assert [line.split()[6:10] for line in right.read_text().splitlines()] == [["1", "2", "31", "42"]] * 3
    before, after = (list(read(*pair)) for pair in ((source, "nucleus"), (tmp_path / "k", "kitti")))
    assert [record.annotations for record in after] == [record.annotations for record in before]


def test_a_camera_that_moves_within_a_sequence_is_reported(tmp_path: Path) -> None:
    """KITTI has one calibration for a sequence: rows are right in each frame, and where the lidar was is lost."""
    source = scene_of_two_cameras(tmp_path, boxes=False, moving=True)
    report = convert(source, tmp_path / "k", source="nucleus", target="kitti")
    assert report.count("carried", "camera that moves within its sequence") == 1
    rows = labels_of(tmp_path / "k", "training/label_02/drive.txt")
    assert [float(row[15]) for row in rows] == pytest.approx([19.73, 18.73, 17.73])
    (tmp_path / "still").mkdir()
    report = convert(
        scene_of_two_cameras(tmp_path / "still", boxes=False), tmp_path / "s", source="nucleus", target="kitti"
    )
    assert report.count("carried", "camera that moves within its sequence") == 0


def test_a_damaged_point_cloud_is_left_out_where_bad_records_are(fixtures: Path, tmp_path: Path) -> None:
    shutil.copytree(fixtures / "kitti/object", tmp_path / "kitti")
    (tmp_path / "kitti/training/velodyne/000001.bin").write_bytes(bytes(52))
    with pytest.raises(ConvertError, match=r"velodyne/000001\.bin: the point cloud has 52 bytes, not a multiple of 16"):
        convert(tmp_path / "kitti", tmp_path / "n", source="kitti")
    reports = [
        convert(
            tmp_path / "kitti", tmp_path / f"n{workers}", source="kitti", on_error="quarantine", workers=workers,
            pointcloud_url_prefix="clouds/",
        )
        for workers in (1, 2)
    ]
    for report in reports:
        assert report.count("rejected", "point cloud that cannot be read") == 1
    assert contents(tmp_path / "n1") == contents(tmp_path / "n2")
    (rejected,) = lines(tmp_path / "n1", "rejected")
    assert rejected["record"] == "training/velodyne/000001.bin"
    # The frame has its cuboids and its image all the same, and the cloud is said to be where it was.
    urls = [line["frames"][0]["lidar"]["url"] for line in lines(tmp_path / "n1", "scenes")]
    assert [url.rpartition("/")[2] for url in urls] == ["000000.json", "000001.bin"]
    assert [line["type"] for line in lines(tmp_path / "n1", "annotations")].count("cuboid") == 3


@pytest.mark.parametrize("order", [1, -1])
def test_cuboids_of_a_cloud_that_is_not_there_are_no_bug_but_said(tmp_path: Path, order: int) -> None:
    """Somebody took the point clouds out of a COCO file, which is for images."""
    car = Annotation(label="car", shapes=(Box(1, 2, 3, 4), Cuboid(20, 0, 0, 4, 2, 1.5, 0)))
    image = Item(id="a.jpg", path="a.jpg", scene=SceneRef(id="s", frame=0, sensor="camera", cloud="a.bin"))
    cloud = Item(id="a.bin", path="a.bin", kind="pointcloud", scene=SceneRef(id="s", frame=0, sensor="lidar"))
    header = Header(labels=(Label(name="car"),))
    said = r"item 'a\.jpg' names the point cloud 'a\.bin'.*not in the data set"
    with pytest.raises(ConvertError, match=said) as caught:
        write(from_records(header, [Record(image, (car,))]), tmp_path / "n", "nucleus")
    assert "--pointclouds none" in str(caught.value)
    write(from_records(header, [Record(image, (car,))]), tmp_path / "n", "nucleus", pointclouds="none")
    assert [one.annotations for one in read(tmp_path / "n", "nucleus")] == [(car,)]
    write(from_records(header, [Record(cloud), Record(image, (car,))][::order]), tmp_path / "n2", "nucleus")
    assert sum((one.annotations for one in read(tmp_path / "n2", "nucleus")), ()) == (car,)


def test_scores_of_any_range_are_kept_and_said(fixtures: Path, tmp_path: Path) -> None:
    """KITTI's scores may be any numbers; Nucleus's confidences lie in 0 to 1, and nothing tells how to get there."""
    report = convert(fixtures / "kitti/results", tmp_path / "n", source="kitti")
    assert [line["confidence"] for line in lines(tmp_path / "n", "predictions")] == [0.987654321, -3.5]
    assert report.count("out-of-range", "scores that are not within 0 to 1, as confidences are") == 1
