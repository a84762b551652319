"""KITTI as it lies on disks: which folder is named, what stands beside it, and what is not there."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nucleus_convert import Report, convert, read, write
from nucleus_convert.converters.errors import ConvertError
from nucleus_convert.converters.kitti import folders
from nucleus_convert.converters.labelset import from_records
from nucleus_convert.converters.model import Cuboid, Header, Item, Record, Scene, SceneRef
from nucleus_convert.formats.kitti import tracklets

DAY, DRIVE = "2011_09_26", "2011_09_26_drive_0001_sync"


def records(source: Path, report: Report | None = None, **options: Any) -> list[Record]:
    report = report or Report()
    return list(read(source, "kitti", report=report, **options).records(report))


def findings(report: Report, code: str) -> list[str]:
    return [finding.what for finding in report.sorted() if finding.code == code]


def texts(folder: Path) -> dict[str, bytes]:
    """The text files of a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if (path.suffix in (".txt", ".xml") or "seqmap" in path.name) and path.is_file()
    }


def there_and_back(source: Path, folder: Path, **options: Any) -> dict[str, bytes]:
    """The text files after a return trip by way of Nucleus."""
    convert(source, folder / "n", source="kitti", **options)
    convert(folder / "n", folder / "k", source="nucleus", target="kitti")
    return texts(folder / "k")


# ---------------------------------------------------------------------- raw drives


@pytest.mark.parametrize("named", ["", DAY, f"{DAY}/{DRIVE}", f"{DAY}/{DRIVE}/tracklet_labels.xml"])
def test_a_raw_drive_is_found_whichever_of_its_folders_is_named(fixtures: Path, tmp_path: Path, named: str) -> None:
    whole = records(fixtures / "kitti/raw")
    found = records(fixtures / "kitti/raw" / named)
    assert [(one.item.kind, one.annotations) for one in found] == [(one.item.kind, one.annotations) for one in whole]
    assert [one.item.camera for one in found] == [one.item.camera for one in whole]
    back = there_and_back(fixtures / "kitti/raw" / named, tmp_path)
    before = (fixtures / "kitti/raw" / DAY / DRIVE / "tracklet_labels.xml").read_bytes()
    assert [text for name, text in back.items() if name.endswith(".xml")] == [before]


def test_a_drive_without_tracklets_is_a_scene_without_objects(fixtures: Path, tmp_path: Path) -> None:
    """Most of KITTI's drives have none."""
    shutil.copytree(fixtures / "kitti/raw", tmp_path / "raw")
    second = tmp_path / "raw" / DAY / "2011_09_26_drive_0002_sync"
    shutil.copytree(tmp_path / "raw" / DAY / DRIVE, second)
    (second / "tracklet_labels.xml").unlink()
    labels = read(tmp_path / "raw", "kitti")
    assert [scene.id for scene in labels.header.scenes] == [DRIVE, second.name]
    found = [(one.item.scene.id, one.item.kind, len(one.annotations)) for one in labels if one.item.scene is not None]
    assert found[4:] == [(second.name, kind, 0) for kind in ("pointcloud", "image") * 2]
    assert found[:4] == [(DRIVE, kind, n) for kind, n in zip(("pointcloud", "image") * 2, (1, 0, 2, 0), strict=True)]
    assert there_and_back(tmp_path / "raw", tmp_path) == texts(tmp_path / "raw")
    assert there_and_back(second, tmp_path / "alone") == texts(second) | {
        path.name: path.read_bytes() for path in (tmp_path / "raw" / DAY).glob("calib*.txt")
    }


def test_drives_of_one_name_are_scenes_of_their_own(fixtures: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        shutil.copytree(fixtures / "kitti/raw" / DAY, tmp_path / "raw" / name)
    assert [scene.id for scene in read(tmp_path / "raw", "kitti").header.scenes] == [DRIVE, f"b/{DRIVE}"]
    assert there_and_back(tmp_path / "raw", tmp_path) == texts(tmp_path / "raw")


def test_a_drive_without_calibration_says_so(fixtures: Path, tmp_path: Path) -> None:
    shutil.copytree(fixtures / "kitti/raw" / DAY / DRIVE, tmp_path / DRIVE)
    report = Report()
    assert all(one.item.camera is None for one in records(tmp_path / DRIVE, report))
    assert any("no calibration" in what for what in findings(report, "assumed"))


def test_damaged_tracklets_are_named_not_passed_over(fixtures: Path, tmp_path: Path) -> None:
    shutil.copytree(fixtures / "kitti/raw", tmp_path / "raw")
    (tmp_path / "raw" / DAY / DRIVE / "tracklet_labels.xml").write_text("<!-- cut short")
    with pytest.raises(ConvertError, match=r"tracklet_labels\.xml:1: not well-formed"):
        read(tmp_path / "raw", "kitti")


@pytest.mark.parametrize(
    ("find", "put", "line", "message", "kept"),
    [
        ("<tx>5.25<", "<tx>nan<", 63, "<tx> is no finite number: 'nan'", "Van"),
        ("<tx>12<", "<tx>far<", 17, "<tx> is no finite number: 'far'", "Person (sitting)"),
        ("<first_frame>1<", "<first_frame>-1<", 53, "<first_frame> is no frame (0, 1, 2, …): '-1'", "Van"),
    ],
)
@pytest.mark.parametrize("ours", [False, True])
def test_a_damaged_tracklet_is_one_bad_object(
    fixtures: Path, tmp_path: Path, find: str, put: str, line: int, message: str, kept: str, ours: bool
) -> None:
    """Also where this program wrote the drive, with a file of its own beside it."""
    root = tmp_path / "raw"
    if ours:
        convert(fixtures / "kitti/raw", root, source="kitti", target="kitti")
        assert (root / folders.SIDE_FILE).is_file()
    else:
        shutil.copytree(fixtures / "kitti/raw", root)
    [path] = root.rglob("tracklet_labels.xml")
    text = path.read_text()
    assert find in text
    path.write_text(text.replace(find, put))
    with pytest.raises(ConvertError) as caught:
        records(root)
    assert f"tracklet_labels.xml:{line}: {message}" in str(caught.value)
    assert "--on-error skip (or quarantine)" in str(caught.value)
    report = Report("quarantine")
    found = records(root, report)
    assert {one.label for record in found for one in record.annotations} == {kept}
    [rejected] = report.rejected
    assert rejected.reason == message
    assert put in rejected.record
    assert rejected.record.startswith("<item")
    assert rejected.record.endswith("</item>")
    assert report.ledger.balance()["object"]["skipped"] == 1
    convert(root, tmp_path / "back", source="kitti", target="kitti", on_error="skip", workers=2)
    [path] = (tmp_path / "back").rglob("tracklet_labels.xml")
    assert re.findall("<objectType>(.*)</objectType>", path.read_text()) == [kept]


@pytest.mark.parametrize(
    ("file", "find", "put", "said", "kind"),
    [
        ("velodyne_points/timestamps.txt", "13:02:", "13:NaN:", "no date and time: '2011-09-26 13:NaN:", "timestamp"),
        ("image_02/timestamps.txt", "2011-09-26", "2011-09-77", "no date and time: '2011-09-77", "timestamp"),
        ("../calib_velo_to_cam.txt", "T: ", "T: NaN ", "T has", "calibration"),
        ("../calib_cam_to_cam.txt", "P_rect_02: ", "P_rect_02: x", "P_rect_02 has", "calibration"),
    ],
)
def test_what_is_damaged_beside_a_drive_does_not_cost_its_tracklets(
    fixtures: Path, tmp_path: Path, file: str, find: str, put: str, said: str, kind: str
) -> None:
    shutil.copytree(fixtures / "kitti/raw", tmp_path / "raw")
    path = tmp_path / "raw" / DAY / DRIVE / file
    text = path.read_text()
    assert find in text
    path.write_text(text.replace(find, put, 1))
    with pytest.raises(ConvertError, match=said) as caught:
        records(tmp_path / "raw")
    assert re.search(rf"{path.name}:\d+: ", str(caught.value))
    report = Report("quarantine")
    found = records(tmp_path / "raw", report)
    whole = records(fixtures / "kitti/raw")
    assert [len(one.annotations) for one in found] == [len(one.annotations) for one in whole]
    [rejected] = report.rejected
    assert rejected.reason.startswith(said)
    assert report.ledger.balance()[kind]["skipped"] == 1
    if kind == "timestamp":
        times = [one.item.scene.timestamp for one in found if one.item.scene is not None]
        assert (len(times), times.count(None)) == (4, 1)
    convert(tmp_path / "raw", tmp_path / "n", source="kitti", on_error="skip")


# ---------------------------------------------------------------------- the object benchmark

ROW = "Car 0.00 0 1.55 10.00 20.00 30.00 40.00 1.50 1.60 4.00 2.00 1.65 20.00 0.50\n"


def benchmark(root: Path) -> Path:
    """Two frames for training and two for testing, called alike, as the benchmark has them; the usual lists."""
    for part in ("training", "testing"):
        for name in ("000000", "000001"):
            for folder in ("image_2", *(["label_2"] if part == "training" else [])):
                (root / part / folder).mkdir(parents=True, exist_ok=True)
            (root / part / f"image_2/{name}.png").touch()
            if part == "training":
                (root / f"training/label_2/{name}.txt").write_text(ROW)
    (root / "ImageSets").mkdir()
    for name, ids in (("train", "0"), ("val", "1"), ("trainval", "01"), ("test", "01")):
        (root / f"ImageSets/{name}.txt").write_text("".join(f"00000{i}\n" for i in ids))
    return root


SUBSETS = {
    "testing/image_2/000000.png": "test",
    "testing/image_2/000001.png": "test",
    "training/image_2/000000.png": "train",
    "training/image_2/000001.png": "val",
}


def test_lists_of_test_frames_do_not_speak_of_training_frames_of_the_same_name(tmp_path: Path) -> None:
    root = benchmark(tmp_path / "kitti")
    assert {str(one.item.id): one.item.subset for one in records(root)} == SUBSETS
    for part in ("training", "testing"):
        found = {f"{part}/{one.item.id}": one.item.subset for one in records(root / part)}
        assert found == {name: subset for name, subset in SUBSETS.items() if name.startswith(part)}


def test_lists_and_unlabelled_frames_come_back(tmp_path: Path) -> None:
    """The test frames have no label files, and get none: an empty one would say that nothing is to be seen."""
    root = benchmark(tmp_path / "kitti")
    assert there_and_back(root, tmp_path) == texts(root)
    for way in ("coco", "yolo"):
        convert(root, tmp_path / way, source="kitti", target=way)
        convert(tmp_path / way, tmp_path / f"{way}-back", source=way, target="kitti")
        assert texts(tmp_path / f"{way}-back") == texts(root)


# ---------------------------------------------------------------------- tracking


def test_sequences_for_testing_have_frames_and_get_no_label_files(fixtures: Path, tmp_path: Path) -> None:
    shutil.copytree(fixtures / "kitti/tracking", tmp_path / "kitti")
    for frame in range(2):
        image = tmp_path / f"kitti/testing/image_02/0000/{frame:06}.png"
        image.parent.mkdir(parents=True, exist_ok=True)
        image.touch()
    assert [str(one.item.id) for one in records(tmp_path / "kitti")][:2] == [
        f"testing/image_02/0000/{frame:06}.png" for frame in range(2)
    ]
    back = there_and_back(tmp_path / "kitti", tmp_path)
    assert back == texts(tmp_path / "kitti")


@pytest.mark.parametrize("named", ["", "0000.txt"])
def test_results_of_tracking_come_back_as_results(tmp_path: Path, named: str) -> None:
    (tmp_path / "kitti").mkdir()
    rows = "".join(f"{frame} {track} {ROW[:-1]} 0.{track}5\n" for frame in (0, 1, 3) for track in (4, 7))
    (tmp_path / "kitti/0000.txt").write_text(rows)
    found = [one for record in records(tmp_path / "kitti" / named) for one in record.annotations]
    assert [(one.track, one.confidence) for one in found] == [("0000/4", 0.45), ("0000/7", 0.75)] * 3
    assert there_and_back(tmp_path / "kitti" / named, tmp_path) == {"results/data/0000.txt": rows.encode()}


# ---------------------------------------------------------------------- what is said of rows and files


@pytest.mark.parametrize("tracking", [False, True])
def test_doubtful_rows_are_named_with_file_and_line(tmp_path: Path, *, tracking: bool) -> None:
    folder = tmp_path / ("label_02" if tracking else "label_2")
    folder.mkdir()
    odd = ROW.replace("30.00 40.00", "5.00 40.00").replace("Car 0.00 0", "Car 0.00 7")
    (folder / "0000.txt").write_text(f"0 1 {ROW}2 1 {odd}" if tracking else ROW + odd)
    report = Report()
    records(tmp_path, report)
    places = {str(one.code): one.examples[0] for one in report.sorted()}
    for code in ("doubtful-box", "out-of-range"):
        assert places[code].file == str(folder / "0000.txt")
        assert places[code].line == 2


def test_results_as_the_development_kit_wants_them(tmp_path: Path) -> None:
    """``results/NAME/data``: naming the folder above is as good."""
    (tmp_path / "mine/data").mkdir(parents=True)
    (tmp_path / "mine/data/000000.txt").write_text(ROW[:-1] + " 0.5\n")
    (tmp_path / "mine/data/000001.txt").touch()
    assert [[one.confidence for one in record.annotations] for record in records(tmp_path / "mine")] == [[0.5], []]
    assert there_and_back(tmp_path / "mine", tmp_path) == {
        f"results/data/{name}.txt": (tmp_path / f"mine/data/{name}.txt").read_bytes() for name in ("000000", "000001")
    }


def test_a_matrix_is_no_row(tmp_path: Path) -> None:
    """Sixteen numbers, as of MMDetection3D's calibrations, would be a type that is a number, and fifteen columns."""
    (tmp_path / "000008.txt").write_text("721.5 0.0 609.6 44.9 0.0 721.5 172.9 0.2 0.0 0.0 1.0 0.0 0.0 0.0 0.0 1.0\n")
    assert folders.sniff(tmp_path) is not None
    for source in (tmp_path, tmp_path / "000008.txt"):
        with pytest.raises(ConvertError, match=r"000008\.txt:1: the type is a number, '721\.5'"):
            convert(source, tmp_path / "out", source="kitti")
    # A whole number may be somebody's name of a class.
    (tmp_path / "000008.txt").write_text(ROW.replace("Car", "7"))
    assert [one.label for record in records(tmp_path) for one in record.annotations] == ["7"]


# ---------------------------------------------------------------------- several cameras

CALIB = (
    "P2: 700 0 600 40 0 700 180 0.2 0 0 1 0.003\nP3: 650 0 610 -340 0 660 170 2.1 0 0 1 0.002\n"
    "R0_rect: 1 0 0 0 1 0 0 0 1\nTr_velo_to_cam: 0 -1 0 0.01 0 0 -1 -0.08 1 0 0 -0.27\n"
)


def two_cameras(root: Path, kind: str) -> Path:
    """A frame, or two of a sequence, with an image of each of two cameras and a point cloud."""
    names = ["000000"] if kind == "object" else ["0000/000000", "0000/000001"]
    folders = ["image_2", "image_3"] if kind == "object" else ["image_02", "image_03"]
    for folder, ending in (*((one, "png") for one in folders), ("velodyne", "bin")):
        for name in names:
            path = root / "training" / folder / f"{name}.{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    labels, calib = (root / "training" / one for one in ("label_2" if kind == "object" else "label_02", "calib"))
    for folder in (labels, calib):
        folder.mkdir()
    stem = "000000" if kind == "object" else "0000"
    (labels / f"{stem}.txt").write_text(ROW if kind == "object" else f"0 3 {ROW}1 3 {ROW}")
    (calib / f"{stem}.txt").write_text(CALIB)
    return root


@pytest.mark.parametrize("kind", ["object", "tracking"])
def test_images_of_other_cameras_are_said_to_be_left_out(tmp_path: Path, kind: str) -> None:
    report = Report()
    found = records(two_cameras(tmp_path / "kitti", kind), report)
    assert {one.item.scene.sensor for one in found if one.item.scene is not None} == {"lidar", "camera_2"}
    name = "image_3" if kind == "object" else "image_03"
    assert f"images of other cameras are left out: {name} (option cameras)" in findings(report, "assumed")


@pytest.mark.parametrize("kind", ["object", "tracking"])
def test_images_of_all_cameras_are_in_the_scene_each_with_its_own_view(tmp_path: Path, kind: str) -> None:
    root = two_cameras(tmp_path / "kitti", kind)
    assert there_and_back(root, tmp_path, cameras="all") == texts(root)
    for frame in json.loads((tmp_path / "n/scenes.jsonl").read_text().splitlines()[0])["frames"]:
        assert list(frame) == ["lidar", "camera_2", "camera_3"]
        for number, projection in ((2, CALIB.splitlines()[0]), (3, CALIB.splitlines()[1])):
            said = frame[f"camera_{number}"]["camera_params"]
            # The development kit's projection of a lidar point, and a pinhole camera at the place said.
            point = np.array([12.0, -3.0, 0.5, 1.0])
            tr = np.vstack([np.array(CALIB.split("cam: ")[1].split(), float).reshape(3, 4), [0, 0, 0, 1]])
            x, y, z = np.array(projection.split()[1:], float).reshape(3, 4) @ tr @ point
            right, down, ahead = (point[:3] - [said["position"][axis] for axis in "xyz"])[[1, 2, 0]] * [-1, -1, 1]
            assert list(said["heading"].values()) == pytest.approx([0.5, -0.5, 0.5, -0.5])
            pixel = (said["fx"] * right / ahead + said["cx"], said["fy"] * down / ahead + said["cy"])
            assert pixel == pytest.approx((x / z, y / z), abs=1e-9)
    assert "image_3" not in (text := (tmp_path / "n/annotations.jsonl").read_text())
    assert "image_03" not in text  # nobody labelled them


def test_a_raw_drive_of_two_cameras_comes_back_with_the_times_of_both(fixtures: Path, tmp_path: Path) -> None:
    shutil.copytree(fixtures / "kitti/raw", tmp_path / "kitti")
    drive = tmp_path / "kitti" / DAY / DRIVE
    shutil.copytree(drive / "image_02", drive / "image_03")
    times = drive / "image_03/timestamps.txt"
    times.write_text(times.read_text().replace("2011-09-26 13:02:25", "2011-09-26 13:02:27"))
    assert there_and_back(tmp_path / "kitti", tmp_path, cameras="all") == texts(tmp_path / "kitti")
    frames = json.loads((tmp_path / "n/scenes.jsonl").read_text())["frames"]
    assert [list(frame) for frame in frames] == [["lidar", "camera_2", "camera_3"]] * 2


def test_a_box_drawn_for_another_camera_goes_to_its_own_label_folder(tmp_path: Path) -> None:
    for kind in ("object", "tracking"):
        root = two_cameras(tmp_path / kind, kind)
        convert(root, tmp_path / f"{kind}-n", source="kitti", cameras="all")
        path = "training/image_3/000000.png" if kind == "object" else "training/image_03/0000/000001.png"
        box = {"label": "Van", "type": "box", "geometry": {"x": 1, "y": 2, "width": 3, "height": 4}}
        with (tmp_path / f"{kind}-n/annotations.jsonl").open("a") as file:
            file.write(json.dumps({**box, "reference_id": path, "annotation_id": "mine"}) + "\n")
        convert(tmp_path / f"{kind}-n", tmp_path / f"{kind}-k", source="nucleus", target="kitti")
        found = texts(tmp_path / f"{kind}-k")
        name = "training/label_3/000000.txt" if kind == "object" else "training/label_03/0000.txt"
        assert found.pop(name).decode().split()[-15:-7] == ["Van", "-1", "-1", "-10", "1", "2", "4", "6"]
        assert found == texts(root)


# ---------------------------------------------------------------------- raw drives as CVAT exports them


def cvat_drive(folder: Path, rx: str = "0.0") -> Path:
    """Two objects of a pose each, extents as CVAT has them, point clouds by names of their own, no indentation."""

    def item(label: str, frame: int, size: str, place: str, occlusion: int, marks: list[str]) -> str:
        sizes = "".join(f"<{name}>{text}</{name}>\n" for name, text in zip("hwl", size.split(), strict=True))
        values = [*place.split()[:3], rx, "0.0", place.split()[3], "2", str(occlusion), "0", "0", *["-1"] * 5]
        pose = "".join(
            f"<{name}>{text}</{name}>\n" for name, text in zip(tracklets.CVAT_FIELDS, values, strict=True)
        )
        return (
            f"<item{marks[0]}>\n<objectType>{label}</objectType>\n{sizes}<first_frame>{frame}</first_frame>\n"
            f"<poses{marks[1]}>\n<count>1</count>\n<item_version>0</item_version>\n<item{marks[2]}>\n{pose}</item>\n"
            "</poses>\n<finished>1</finished>\n</item>\n"
        )

    marks = [f' class_id="{n}" tracking_level="0" version="{n & 1}"' for n in (1, 2, 3)]
    (folder / "velodyne_points/data").mkdir(parents=True)
    for name in ("scan a", "scan_b"):
        (folder / f"velodyne_points/data/{name}.pcd").touch()
    (folder / "frame_list.txt").write_text("0 scan_b\n1 scan a\n")
    (folder / "tracklet_labels.xml").write_text(
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<!DOCTYPE boost_serialization>\n'
        '<boost_serialization signature="serialization::archive" version="9">\n'
        '<tracklets class_id="0" tracking_level="0" version="0">\n<count>2</count>\n<item_version>1</item_version>\n'
        + item("car", 1, "1.6 4.0 1.5", "10.0 -2.0 0.5 0.25", 1, marks)
        + item("bus", 0, "2.5 11.0 3.0", "20.0 4.0 1.0 -1.0", 0, [""] * 3)
        + "</tracklets>\n</boost_serialization>\n"
    )
    return folder


def test_a_drive_of_cvats_has_centres_extents_and_names_of_its_own(tmp_path: Path) -> None:
    found = records(cvat_drive(tmp_path / "drive"))
    assert [(one.item.path, [a.label for a in one.annotations]) for one in found] == [
        ("velodyne_points/data/scan_b.pcd", ["bus"]),
        ("velodyne_points/data/scan a.pcd", ["car"]),
    ]
    assert found[0].annotations[0].shapes == (Cuboid(20, 4, 1, 11, 2.5, 3, -1),)
    assert found[1].annotations[0].shapes == (Cuboid(10, -2, 0.5, 4, 1.6, 1.5, 0.25),)
    assert there_and_back(tmp_path / "drive", tmp_path) == texts(tmp_path / "drive")


def test_a_cloud_that_frame_list_names_may_be_elsewhere(tmp_path: Path) -> None:
    shutil.rmtree(cvat_drive(tmp_path / "drive") / "velodyne_points")
    paths = [one.item.path for one in records(tmp_path / "drive")]
    assert paths == [f"velodyne_points/data/{name}.pcd" for name in ("scan_b", "scan a")]


@pytest.mark.parametrize("text", ["0\n", "x scan\n", "0 a\n0 b\n", "9999999 a\n"])
def test_a_frame_list_that_is_none_is_named_with_its_line(tmp_path: Path, text: str) -> None:
    (cvat_drive(tmp_path / "drive") / "frame_list.txt").write_text(text)
    line = 2 if text.startswith("0 a") else 1
    with pytest.raises(ConvertError, match=rf"frame_list\.txt:{line}: "):
        records(tmp_path / "drive")


def test_a_tilt_is_said_to_be_lost_and_comes_back(tmp_path: Path) -> None:
    """A cuboid turns about the vertical only."""
    report = Report()
    records(cvat_drive(tmp_path / "drive", rx="0.125"), report)
    assert report.count("out-of-range", "tilts of boxes (rx, ry), which no cuboid shows") == 2
    assert there_and_back(tmp_path / "drive", tmp_path) == texts(tmp_path / "drive")


# ---------------------------------------------------------------------- results beside the data set


@pytest.mark.parametrize("kind", ["object", "tracking"])
@pytest.mark.parametrize("inner", ["", "data"])
def test_results_are_predictions_for_the_frames_of_the_data_set(tmp_path: Path, kind: str, inner: str) -> None:
    """The same reference ids as the ground truth, cuboids on the same point clouds: what an evaluation needs."""
    root = two_cameras(tmp_path / "kitti", kind)
    results = tmp_path / "results" / inner
    results.mkdir(parents=True)
    scored = ROW.replace("2.00 1.65", "2.50 1.65").replace("\n", " 0.75\n")
    name = "000000.txt" if kind == "object" else "0000.txt"
    (results / name).write_text(scored if kind == "object" else f"0 5 {scored}1 5 {scored}")
    convert(root, tmp_path / "truth", source="kitti")
    convert(root, tmp_path / "n", source="kitti", results=tmp_path / "results")
    truth, found = (
        [json.loads(line) for line in (tmp_path / path).read_text().splitlines()]
        for path in ("truth/annotations.jsonl", "n/predictions.jsonl")
    )
    key = ("type", "reference_id")
    assert [[one[name] for name in key] for one in found] == [[one[name] for name in key] for one in truth]
    assert {one["confidence"] for one in found} == {0.75}
    cuboids = [one["geometry"]["position"]["y"] for one in (*truth, *found) if one["type"] == "cuboid"]
    assert sorted(cuboids) == pytest.approx([-2.49] * (len(cuboids) // 2) + [-1.99] * (len(cuboids) // 2))
    assert (tmp_path / "n/annotations.jsonl").read_text() == ""
    assert (tmp_path / "n/scenes.jsonl").read_text().count("camera_params") > 0
    convert(tmp_path / "n", tmp_path / "k", source="nucleus", target="kitti")
    assert texts(tmp_path / "k/training/results") | texts(tmp_path / "k/results") == {
        f"data/{name}": (results / name).read_bytes()
    }


def test_results_that_are_none_or_of_which_part_is_not_said(tmp_path: Path) -> None:
    root = benchmark(tmp_path / "kitti")
    (tmp_path / "results").mkdir()
    with pytest.raises(ConvertError, match="testing and training"):
        records(root, results=tmp_path / "results")
    with pytest.raises(ConvertError, match="no files of rows"):
        records(root / "testing", results=tmp_path / "results")
    (tmp_path / "results/000001.txt").write_text(ROW[:-1] + " 0.5\n")
    found = records(root / "testing", results=tmp_path / "results")
    assert [[one.confidence for one in record.annotations] for record in found] == [[], [0.5]]


# ---------------------------------------------------------------------- the command line


@pytest.mark.parametrize(("given", "yaw"), [([], 0.0), (["--exact-yaw"], 0.0), (["--no-exact-yaw"], -math.pi / 2)])
def test_headings_can_be_asked_for_and_against(tmp_path: Path, given: list[str], yaw: float) -> None:
    """Left to itself, a camera that looks left gets exact headings (the fact sheet's example D)."""
    for folder, text in (
        ("label_2", "Car 0 0 0 1 2 3 4 1.5 1.6 4.0 1.0 1.65 10.0 0\n"),
        ("calib", "P2: 700 0 600 0 0 700 180 0 0 0 1 0\nTr_velo_to_cam: 1 0 0 0 0 0 -1 0 0 1 0 0\n"),
    ):
        (tmp_path / "kitti" / folder).mkdir(parents=True)
        (tmp_path / f"kitti/{folder}/000000.txt").write_text(text)
    command = [sys.executable, "-m", "nucleus_convert", "kitti2nucleus", str(tmp_path / "kitti"), *given]
    subprocess.run([*command, "-o", str(tmp_path / "n")], check=True, capture_output=True)
    rows = map(json.loads, (tmp_path / "n/annotations.jsonl").read_text().splitlines())
    assert [row["geometry"]["yaw"] for row in rows if row["type"] == "cuboid"] == pytest.approx([yaw])


@pytest.mark.parametrize("kind", ["object", "tracking"])
def test_predictions_for_two_cameras_do_not_share_a_file(tmp_path: Path, kind: str) -> None:
    root = two_cameras(tmp_path / "kitti", kind)
    convert(root, tmp_path / "n", source="kitti", cameras="all")
    boxes = []
    for number in (2, 3):
        name = f"image_{number}/000000.png" if kind == "object" else f"image_0{number}/0000/000001.png"
        geometry = {"x": number, "y": 2, "width": 3, "height": 4}
        box = {"label": "Van", "type": "box", "geometry": geometry, "reference_id": f"training/{name}"}
        boxes.append(json.dumps({**box, "annotation_id": "p", "confidence": 0.5}) + "\n")
    (tmp_path / "n/predictions.jsonl").write_text("".join(boxes))
    convert(tmp_path / "n", tmp_path / "k", source="nucleus", target="kitti")
    found = {name: text.decode().split() for name, text in texts(tmp_path / "k").items() if "results" in name}
    assert sorted(words[-12] for words in found.values()) == ["2", "3"]
    assert all(len(words) == (16 if kind == "object" else 18) for words in found.values())


# ---------------------------------------------------------------------- images and point clouds beside the labels


def files(folder: Path) -> list[str]:
    """Everything but what we add to a data set."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("report.json", "nucleus_convert.kitti.jsonl")
    )


def test_images_of_others_go_where_kitti_has_them(tmp_path: Path) -> None:
    for name in ("a.jpg", "b/c.png"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 32)).save(tmp_path / "photos" / name)
    rows = [Record(Item(id=name, path=name, width=64, height=32)) for name in ("a.jpg", "b/c.png")]
    for how in ("copy", "link"):
        options = {"images": how, "image_root": tmp_path / "photos"}
        write(from_records(Header(), rows), tmp_path / how, "kitti", **options)
        assert files(tmp_path / how) == [
            "training/image_2/a.jpg",
            "training/image_2/b/c.png",
            "training/label_2/a.txt",
            "training/label_2/b/c.txt",
        ]
    # Other tools, and we without the file of ours, find each label's image.
    (tmp_path / "copy/nucleus_convert.kitti.jsonl").unlink()
    assert [(one.item.path, one.item.width) for one in records(tmp_path / "copy")] == [
        ("training/image_2/a.jpg", 64), ("training/image_2/b/c.png", 64)
    ]  # fmt: skip


def test_images_and_clouds_of_a_scene_go_where_sequences_have_them(tmp_path: Path) -> None:
    """A scene of Nucleus's: JSON clouds become .bin again."""
    root = tmp_path / "media"
    root.mkdir()
    rows = []
    for frame in range(2):
        place = {"id": "drive", "frame": frame}
        points = [{"x": 1.5 + frame, "y": -2.25, "z": 0.125, "i": 0.5}, {"x": 0.1, "y": 0.2, "z": 0.3}]
        (root / f"{frame}.json").write_text(json.dumps({"points": points}))
        rows.append(Record(Item(id=f"c{frame}", path=f"{frame}.json", kind="pointcloud", scene=SceneRef(**place))))
        for sensor in ("front", "rear"):
            Image.new("RGB", (64, 32)).save(root / f"{sensor}{frame}.png")
            seen = SceneRef(sensor=sensor, **place)
            name = f"{sensor}{frame}"
            rows.append(Record(Item(id=name, path=f"{name}.png", width=64, height=32, scene=seen)))
    header = Header(scenes=(Scene(id="drive", kind="lidar"),))
    report = write(from_records(header, rows), tmp_path / "k", "kitti", images="copy", image_root=root)
    assert files(tmp_path / "k") == [
        *(f"training/image_02/drive/{frame:06}.png" for frame in range(2)),
        *(f"training/image_02/drive_rear/{frame:06}.png" for frame in range(2)),
        "training/label_02/drive.txt",
        *(f"training/velodyne/drive/{frame:06}.bin" for frame in range(2)),
    ]
    cloud = np.fromfile(tmp_path / "k/training/velodyne/drive/000001.bin", "<f4").reshape(-1, 4)
    assert cloud.tolist() == np.array([[2.5, -2.25, 0.125, 0.5], [0.1, 0.2, 0.3, 0.0]], np.float32).tolist()
    assert report.count("completed", "intensity of a point (0)") == 2


def test_what_came_from_kitti_stays_where_it_was(fixtures: Path, tmp_path: Path) -> None:
    for case in ("object", "raw"):
        convert(fixtures / "kitti" / case, tmp_path / case, source="kitti", target="kitti", images="copy")
        assert files(tmp_path / case) == files(fixtures / "kitti" / case)


# ---------------------------------------------------------------------- without labels


@pytest.mark.parametrize("kind", ["object", "tracking"])
def test_point_clouds_alone_are_scenes(tmp_path: Path, kind: str) -> None:
    """A drive that nobody has labelled yet, to be labelled in Nucleus."""
    root = two_cameras(tmp_path / "kitti", kind)
    for folder in [one for one in (root / "training").iterdir() if one.name != "velodyne"]:
        shutil.rmtree(folder)
    for named in ("", "training"):
        convert(root / named, tmp_path / f"n{named}", source="kitti")
        frames = json.loads((tmp_path / f"n{named}/scenes.jsonl").read_text())["frames"]
        assert [list(frame) for frame in frames] == [["lidar"]] * (1 if kind == "object" else 2)
    assert folders.sniff(root) is not None  # nobody says that it is KITTI's


def test_frames_for_testing_alone(tmp_path: Path) -> None:
    root = benchmark(tmp_path / "kitti")
    shutil.rmtree(root / "training")
    assert [one.item.subset for one in records(root)] == ["test", "test"]


def test_extents_come_back_in_their_order(fixtures: Path, tmp_path: Path) -> None:
    """Datumaro writes w, h, l; the development kit h, w, l."""
    shutil.copytree(fixtures / "kitti/raw", tmp_path / "kitti")
    path = tmp_path / "kitti" / DAY / DRIVE / "tracklet_labels.xml"
    path.write_text(re.sub(r"(\s*<h>.*?</h>)(\s*<w>.*?</w>)", r"\2\1", path.read_text()))
    assert there_and_back(tmp_path / "kitti", tmp_path) == texts(tmp_path / "kitti")
    before, after = (
        [annotation.shapes for record in records(root) for annotation in record.annotations]
        for root in (fixtures / "kitti/raw", tmp_path / "kitti")
    )
    assert after == before
