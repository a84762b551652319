"""KITTI as it lies on disks: which folder is named, what stands beside it, and what is not there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from nucleus_convert import Report, convert, read
from nucleus_convert.converters.errors import ConvertError
from nucleus_convert.converters.model import Record

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
        if path.suffix in (".txt", ".xml") and path.is_file()
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
