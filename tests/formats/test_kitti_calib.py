"""KITTI's calibration and timestamps files. Numbers are made up: no calibration here is KITTI's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nucleus_convert.converters.errors import MalformedFileError, ReadError, SchemaError
from nucleus_convert.formats.kitti import calib, timestamps

P2 = "7.000000000000e+02 0.000000000000e+00 6.000000000000e+02 4.000000000000e+01 0.000000000000e+00 \
7.000000000000e+02 1.800000000000e+02 2.000000000000e-01 0.000000000000e+00 0.000000000000e+00 \
1.000000000000e+00 3.000000000000e-03"
R0 = "1.000000000000e+00 0.000000000000e+00 0.000000000000e+00 0.000000000000e+00 1.000000000000e+00 \
0.000000000000e+00 0.000000000000e+00 0.000000000000e+00 1.000000000000e+00"
TR = "0.000000000000e+00 -1.000000000000e+00 0.000000000000e+00 1.000000000000e-01 0.000000000000e+00 \
0.000000000000e+00 -1.000000000000e+00 -8.000000000000e-02 1.000000000000e+00 0.000000000000e+00 \
0.000000000000e+00 -2.700000000000e-01"
OBJECT = f"P2: {P2}\nR0_rect: {R0}\nTr_velo_to_cam: {TR}\nTr_imu_to_velo: {TR}\n"
TRACKING = f"P2 {P2}\nR_rect {R0}\nTr_velo_cam {TR}\nTr_imu_velo {TR}\n"

PROJECTION = ((700, 0, 600, 40), (0, 700, 180, 0.2), (0, 0, 1, 0.003))
IDENTITY = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
MOUNTING = ((0, -1, 0, 0.1), (0, 0, -1, -0.08), (1, 0, 0, -0.27))


@pytest.mark.parametrize("text", [OBJECT, TRACKING, OBJECT.replace(": ", " : "), OBJECT.replace(": ", ":")])
def test_matrices_by_key(text: str) -> None:
    found = calib.parse(text)
    assert found.projection() == PROJECTION
    assert found.projection(0) is None
    assert found.r0() == IDENTITY
    assert found.tr() == MOUNTING
    assert found.missing() == []
    assert found.missing(3) == ["P3"]


@pytest.mark.parametrize("text", [OBJECT, TRACKING])
def test_text_comes_back(text: str) -> None:
    assert calib.dump(calib.parse(text)) == text
    spaced = text.replace("\n", "  \r\n") + "\n\n"
    assert calib.dump(calib.parse("\ufeff" + spaced)) == text


@pytest.mark.parametrize("tracking", [False, True])
def test_made(tracking: bool) -> None:
    made = calib.made({2: PROJECTION}, IDENTITY, MOUNTING, imu=MOUNTING, tracking=tracking)
    assert calib.dump(made) == (TRACKING if tracking else OBJECT)


def test_numbers_of_more_digits_come_back() -> None:
    text = calib.dump(calib.made({2: PROJECTION}, None, ((0, -1, 0, 1 / 3), *MOUNTING[1:])))
    assert calib.parse(text).tr() == ((0, -1, 0, 1 / 3), *MOUNTING[1:])


def test_no_calibration_at_all() -> None:
    found = calib.parse("\n \n")
    assert found.missing() == ["P2", "R0_rect", "Tr_velo_to_cam"]
    assert (found.r0(), found.tr()) == (None, None)


def test_lines_that_are_no_matrices_are_kept() -> None:
    text = "calib_time: 09-Jan-2012 13:57:47\ncorner_dist: 9.950000000000e-02\n"
    found = calib.parse(text)
    assert found.texts == {"calib_time": "09-Jan-2012 13:57:47"}
    assert found.numbers == {"corner_dist": (0.0995,)}
    assert calib.dump(found) == text


def test_rows_of_four_by_four_and_three_by_four() -> None:
    r0 = "1 0 0 0 0 1 0 0 0 0 1 0"
    found = calib.parse(f"R0_rect: {r0}\nTr_velo_to_cam: {TR} 0 0 0 1\n")
    assert found.r0() == IDENTITY
    assert found.tr() == MOUNTING


def test_a_mounting_for_each_camera() -> None:
    other = TR.replace("1.000000000000e-01", "5.000000000000e-01")
    found = calib.parse(f"Tr_velo_to_cam_0: {TR}\nTr_velo_to_cam_3: {other}\n")
    assert found.tr(0) == MOUNTING
    assert found.tr(3) == ((0, -1, 0, 0.5), *MOUNTING[1:])
    assert found.tr(2) is None


def test_a_key_twice_with_the_same_numbers() -> None:
    assert calib.parse(f"P2: {P2}\nP2: {P2}\n").projection() == PROJECTION


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("P2: 1 2 3", "P2 has 3 numbers, not 12"),
        ("P2:", "P2 has 0 numbers, not 12"),
        ("R0_rect: " + "1 " * 10, "R0_rect has 10 numbers, not 9"),
        ("Tr_velo_to_cam: " + "x " * 12, "Tr_velo_to_cam has no number: 'x'"),
        ("Tr_velo_cam " + TR.replace("1.000000000000e-01", "nan"), "not finite: 'nan'"),
        ("Tr_velo_cam " + TR.replace("1.000000000000e-01", "-Infinity"), "not finite: '-Infinity'"),
        ("Tr_velo_cam " + TR.replace("1.000000000000e-01", "1e999"), "not finite: '1e999'"),
        ("Tr_velo_cam " + TR.replace("1.000000000000e-01", "1e12"), "beyond 1e"),
        ("Tr_velo_cam " + TR.replace("1.000000000000e-01", "1_0"), "no number: '1_0'"),
        ("R0_rect: 0 0 0 0 0 0 0 0 0", "R0_rect is singular"),
        ("R0_rect: 1 2 3 4 5 6 7 8 9", "R0_rect is singular"),
        ("R0_rect: 1 0 0 0 1 0 0 0 -1", "mirrors"),
        ("R0_rect: 1 0 0 5 0 1 0 0 0 0 1 0", "translation"),
        ("P2: 1 0 0 0 0 0 0 0 0 0 1 0", "P2 is singular"),
        ("P2: 1 0 0 0 0 1 0 0 0 0 1 0 1 1 1 1", "last row"),
        (f"P3: {P2.replace('4.0', '5.0')}", "P3 stands twice"),
        (": 1 2 3", "without a key"),
    ],
)
def test_damage_is_named_with_its_line(line: str, message: str) -> None:
    with pytest.raises(SchemaError, match=message) as caught:
        calib.parse(f"P3: {P2}\n\n{line}\n", "calib/000007.txt")
    assert str(caught.value.where) == "calib/000007.txt:3"


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="cannot be read"):
        calib.load(tmp_path / "none.txt")
    path = tmp_path / "000000.txt"
    path.write_bytes(b"P2: \xff\xfe")
    with pytest.raises(MalformedFileError, match=r"000000\.txt: the file is no text"):
        calib.load(path)
    path.write_bytes(b"P2 \0\1")
    with pytest.raises(MalformedFileError, match="the file is no text"):
        calib.load(path)
    path.write_bytes(b"\n" * (calib.MAX_BYTES + 1))
    with pytest.raises(MalformedFileError, match="more than"):
        calib.load(path)


@given(st.text(alphabet="P2TrR0_velotcam:. \n\t-+e19nax", max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = calib.parse(text, "x.txt")
    except SchemaError as error:
        said = str(error)
    else:
        said = "x.txt:0: "
        assert calib.parse(calib.dump(found)).numbers == found.numbers
    assert re.match(r"x\.txt:\d+: ", said)


# --- raw drives ----------------------------------------------------------------------------------------


def write_raw(folder: Path) -> None:
    cameras = "".join(f"K_{i:02d}: 1 0 0 0 1 0 0 0 1\nR_rect_{i:02d}: {R0}\nP_rect_{i:02d}: {P2}\n" for i in range(4))
    (folder / "calib_cam_to_cam.txt").write_text(f"calib_time: 09-Jan-2012 13:57:47\n{cameras}", encoding="utf-8")
    (folder / "calib_velo_to_cam.txt").write_text(
        "calib_time: 15-Mar-2012 11:37:16\nR: 0 -1 0 0 0 -1 1 0 0\nT: 0.1 -0.08 -0.27\ndelta_f: 0 0\ndelta_c: 0 0\n",
        encoding="utf-8",
    )
    (folder / "calib_imu_to_velo.txt").write_text("R: 1 0 0 0 1 0 0 0 1\nT: -1 2 3\n", encoding="utf-8")


def test_raw_says_what_an_object_file_says(tmp_path: Path) -> None:
    write_raw(tmp_path)
    found = calib.load_raw(tmp_path)
    assert list(found.numbers) == ["P0", "P1", "P2", "P3", "R0_rect", "Tr_velo_to_cam", "Tr_imu_to_velo"]
    assert (found.projection(), found.r0(), found.tr()) == (PROJECTION, IDENTITY, MOUNTING)
    assert found.numbers["Tr_imu_to_velo"] == (1, 0, 0, -1, 0, 1, 0, 2, 0, 0, 1, 3)


def test_raw_without_some_of_its_files(tmp_path: Path) -> None:
    write_raw(tmp_path)
    (tmp_path / "calib_velo_to_cam.txt").unlink()
    assert calib.load_raw(tmp_path).missing() == ["Tr_velo_to_cam"]


def test_raw_with_half_a_transform(tmp_path: Path) -> None:
    write_raw(tmp_path)
    (tmp_path / "calib_velo_to_cam.txt").write_text("R: 1 0 0 0 1 0 0 0 1\n", encoding="utf-8")
    with pytest.raises(SchemaError, match=r"calib_velo_to_cam\.txt: the file has no T"):
        calib.load_raw(tmp_path)


# --- timestamps ----------------------------------------------------------------------------------------


def test_timestamps_to_the_nanosecond(tmp_path: Path) -> None:
    text = "2011-09-26 13:02:25.964389445\n\n1970-01-01 00:00:00.000000001\n"
    path = tmp_path / "timestamps.txt"
    path.write_text(text + "\n", encoding="utf-8")
    times = timestamps.load(path)
    assert times == [1_317_042_145_964_389_445, None, 1]
    assert timestamps.dump(times) == text


@pytest.mark.parametrize("line", ["13:02:25.96", "2011-13-26 13:02:25.9", "2011-09-26 13:02:25.9643894451", "nan"])
def test_a_line_that_is_no_time(tmp_path: Path, line: str) -> None:
    path = tmp_path / "timestamps.txt"
    path.write_text(f"2011-09-26 13:02:25\n{line}\n", encoding="utf-8")
    with pytest.raises(SchemaError, match=r"timestamps\.txt:2: no date and time"):
        timestamps.load(path)
