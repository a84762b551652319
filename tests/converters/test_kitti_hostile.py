"""A frame with one thing wrong or odd in it, from end to end: refused with file, line and reason, or back as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nucleus_convert import convert
from nucleus_convert.converters.errors import ConvertError

ROW = "Car 0.00 0 1.55 10.00 20.00 30.00 40.00 1.50 1.60 4.00 2.00 1.65 20.00 0.50"
CALIB = (
    "P2: 700 0 600 40 0 700 180 0.2 0 0 1 0.003\nR0_rect: 1 0 0 0 1 0 0 0 1\n"
    "Tr_velo_to_cam: 0 -1 0 0 0 0 -1 -0.08 1 0 0 -0.27\n"
)


def write(folder: Path, labels: str, calib: str = CALIB, tracking: bool = False) -> Path:
    """A data set of one file; the path of its labels."""
    kind, stem = ("label_02", "0000") if tracking else ("label_2", "000000")
    for name, text in ((kind, labels), ("calib", calib)):
        (folder / name).mkdir(parents=True)
        (folder / name / f"{stem}.txt").write_bytes(text.encode("utf-8"))
    return folder / kind / f"{stem}.txt"


@pytest.mark.parametrize(
    "labels",
    [
        "",
        ROW,
        f"{ROW}\r\n{ROW}\r\n",
        f"{ROW}\n{ROW}\n",
        f"my big {ROW}\n",
        f"car 2{ROW[3:]}\n",
        f"自動車{ROW[3:]}\n",
        f"C\"\\a'r{ROW[3:]}\n",
        ROW.replace(" ", "\t") + " \n",
        ROW.replace(" ", "  ") + "\n",
        ROW.replace("0.50", "-4.00") + "\n",
        ROW.replace("0.50", "-3.1416") + "\n",
        ROW.replace("1.50 1.60 4.00", "0.00 0.00 0.00") + "\n",
        ROW.replace("Car 0.00 0", "Car 2 7") + "\n",
        ROW.replace("Car 0.00 0", "Car -0.00 00") + "\n",
        ROW.replace("Car 0.00 0", "Car +0.5 0.5") + "\n",
        ROW.replace("30.00", "5.00") + "\n",
        ROW.replace("30.00", "1e300") + "\n",
        ROW.replace("20.00 0.50", "-20.00 0.50") + "\n",
        ROW.replace("10.00 20.00 30.00 40.00", "-1 -1 -1 -1") + "\n",
        ROW.replace("10.00 20.00 30.00 40.00", "10.1234567890123 2e1 .3e2 40.") + "\n",
        "DontCare -1 -1 -10 1 2 3 4 -1 -1 -1 -1000 -1000 -1000 -10\n",
        f"DontCare{ROW[3:]}\n",
    ],
)
def test_odd_rows_come_back_to_the_character(tmp_path: Path, labels: str) -> None:
    path = write(tmp_path / "kitti", labels)
    convert(tmp_path / "kitti", tmp_path / "nucleus", source="kitti")
    convert(tmp_path / "nucleus", tmp_path / "back", source="nucleus", target="kitti")
    assert (tmp_path / "back" / path.relative_to(tmp_path / "kitti")).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("tracking", [False, True])
def test_a_row_that_is_no_text_spoils_no_other(tmp_path: Path, tracking: bool) -> None:
    rows = [f"{frame} {frame} {ROW}" for frame in range(3)] if tracking else [ROW] * 3
    path = write(tmp_path / "kitti", "\n".join(rows), tracking=tracking)
    bad = rows[1].replace("Car", "Fu\xdf").encode("latin-1")
    path.write_bytes(b"\n".join([rows[0].encode(), bad, rows[2].encode()]))
    with pytest.raises(ConvertError) as caught:
        convert(tmp_path / "kitti", tmp_path / "out", source="kitti")
    assert f"{path.name}:2: the row is no text (not UTF-8)" in str(caught.value)
    convert(tmp_path / "kitti", tmp_path / "out", source="kitti", on_error="quarantine")
    [line] = (tmp_path / "out/rejected.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["record"] == bad.decode("utf-8", "backslashreplace")
    boxes = (tmp_path / "out/annotations.jsonl").read_text(encoding="utf-8")
    assert boxes.count('"type":"box"') == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ROW.rpartition(" ")[0]}, r"label_2/000000\.txt:1: 14 columns, expected 15"),
        ({"labels": f"{ROW}\n{ROW} 0.5 0.6 0.7\n"}, r"label_2/000000\.txt:2: 18 columns, expected 15"),
        ({"labels": ROW.replace("20.00 0.50", "x2 0.50")}, r"label_2/000000\.txt:1: z should be a number, and is 'x2'"),
        ({"labels": ROW.replace("1.65", "nan")}, r"label_2/000000\.txt:1: y is 'nan', no finite number"),
        ({"labels": ROW.replace("30.00", "9" * 5000)}, r"label_2/000000\.txt:1: a number too large"),
        ({"labels": f"-1 1 {ROW}\n", "tracking": True}, r"label_02/0000\.txt:1: expected a frame and a track"),
        ({"labels": f"0 1.5 {ROW}\n", "tracking": True}, r"label_02/0000\.txt:1: expected a frame and a track"),
        (
            {"labels": f"0 1 {ROW}\n9999999 1 {ROW}\n", "tracking": True},
            r"label_02/0000\.txt:2: frame 9999999 is beyond",
        ),
        (
            {"labels": ROW, "calib": CALIB.replace("R0_rect: 1", "R0_rect: 0")},
            r"calib/000000\.txt:2: R0_rect is singular",
        ),
        ({"labels": ROW, "calib": CALIB.replace("-0.27", "nan")}, r"calib/000000\.txt:3: .* not finite: 'nan'"),
        ({"labels": ROW, "calib": CALIB.replace(" -0.27", "")}, r"calib/000000\.txt:3: .* has 11 numbers, not 12"),
        ({"labels": ROW, "calib": CALIB.replace("700 0 600", "700 5 600")}, r"calib/000000\.txt: .* skew"),
        ({"labels": ROW, "calib": "\0\1"}, r"calib/000000\.txt: the file is no text"),
    ],
)
def test_damage_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write(tmp_path / "kitti", **changes)
    with pytest.raises(ConvertError, match=message):
        convert(tmp_path / "kitti", tmp_path / "nucleus", source="kitti")
    assert not (tmp_path / "nucleus").exists()


@pytest.mark.parametrize("bad", [f"-1 1 {ROW}", f"9999999 1 {ROW}", f"0 1 {ROW} 5 5"])
def test_rows_of_no_frame_are_counted_where_they_are_skipped(tmp_path: Path, bad: str) -> None:
    write(tmp_path / "kitti", f"{bad}\n", tracking=True)
    report = convert(tmp_path / "kitti", tmp_path / "nucleus", source="kitti", on_error="skip")
    assert [finding.count for finding in report.sorted() if str(finding.code) == "rejected"] == [1]


@pytest.mark.parametrize("lost", ["P2", "R0_rect", "Tr_velo_to_cam"])
def test_calibrations_that_lack_a_key_are_said_to(tmp_path: Path, lost: str) -> None:
    lines = [line for line in CALIB.splitlines(keepends=True) if not line.startswith(lost)]
    path = write(tmp_path / "kitti", ROW, "".join(lines))
    report = convert(tmp_path / "kitti", tmp_path / "nucleus", source="kitti")
    said = " ".join(finding.what for finding in report.sorted())
    assert {"P2": "P2", "R0_rect": "R0_rect", "Tr_velo_to_cam": "no calibration from lidar to camera"}[lost] in said
    convert(tmp_path / "nucleus", tmp_path / "back", source="nucleus", target="kitti")
    assert (tmp_path / "back/label_2/000000.txt").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("named", ["", "label_2", "label_2/000000.txt"])
def test_the_only_row_is_bad_and_is_named_all_the_same(tmp_path: Path, named: str) -> None:
    (tmp_path / "label_2").mkdir()
    (tmp_path / "label_2" / "000000.txt").write_text("Car 0.0 0 1.5 100 100 200 abc 1.5 1.6 4 1 2 20 0.3\n")
    with pytest.raises(ConvertError, match="bottom should be a number, and is 'abc'") as caught:
        convert(tmp_path / named, tmp_path / "out", source="kitti")
    assert caught.value.where is not None
    assert caught.value.where.line == 1
