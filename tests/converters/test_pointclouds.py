"""Point clouds: .bin to Nucleus's JSON and back, digit by digit, in bounded memory."""

from __future__ import annotations

import json
import math
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nucleus_convert.converters import pointclouds
from nucleus_convert.converters.errors import MalformedFileError, ReadError, SchemaError
from nucleus_convert.converters.pointclouds import Converted, Device


def converted(folder: Path, rows: list[tuple[float, ...]], device: Device | None = None) -> tuple[str, Converted]:
    """The JSON of points, and what became of them."""
    source, target = folder / "000000.bin", folder / "000000.json"
    source.write_bytes(b"".join(struct.pack("<4f", *row) for row in rows))
    result = pointclouds.convert_cloud(source, target, device=device)
    return target.read_text(encoding="utf-8"), result


def test_millimetres(tmp_path: Path) -> None:
    text, result = converted(tmp_path, [(18.324, -0.049, 0.829, 0.0), (0.5, -120, 0.1, 0.99), (-9999.5, 9, 1, 1)])
    assert text == (
        '{"points":[{"x":18.324,"y":-0.049,"z":0.829,"i":0.0},'
        '{"x":0.5,"y":-120.0,"z":0.1,"i":0.99},{"x":-9999.5,"y":9.0,"z":1.0,"i":1.0}]}'
    )
    assert result == Converted(3)


def test_any_numbers(tmp_path: Path) -> None:
    text, result = converted(tmp_path, [(1 / 3, -0.0, 1e-7, 0.1), (70000.5, 2, 123456.789, 0.25)])
    assert text == (
        '{"points":[{"x":0.33333334,"y":-0.0,"z":1e-7,"i":0.1},{"x":70000.5,"y":2.0,"z":123456.79,"i":0.25}]}'
    )
    assert result == Converted(2)


def test_no_points(tmp_path: Path) -> None:
    assert converted(tmp_path, []) == ('{"points":[]}', Converted(0))


def test_device(tmp_path: Path) -> None:
    text, _ = converted(tmp_path, [(1, 2, 3, 0)], Device((0, 0, 1.73), (1, 0, 0, 0), 12.5))
    assert json.loads(text) == {
        "device_position": {"x": 0, "y": 0, "z": 1.73},
        "device_heading": {"w": 1, "x": 0, "y": 0, "z": 0},
        "timestamp": 12.5,
        "points": [{"x": 1, "y": 2, "z": 3, "i": 0}],
    }


@pytest.mark.parametrize(
    ("intensities", "wanted", "divisor"),
    [
        ([0, 0.5, 1], [0, 0.5, 1], 1),
        ([0, 51, 255], [0, 0.2, 1], 255),
        ([0, 13107, 65535], [0, 0.2, 1], 65535),
        ([-1, 0.5, 1], [None] * 3, None),
        ([0, 0, 70000], [None] * 3, None),
    ],
)
def test_intensities_come_to_lie_in_0_to_1(
    tmp_path: Path, intensities: list[float], wanted: list[float | None], divisor: int | None
) -> None:
    text, result = converted(tmp_path, [(1, 2, 3, value) for value in intensities])
    assert [point.get("i") for point in json.loads(text)["points"]] == wanted
    assert result == Converted(3, 0, 0, divisor)


def test_not_finite(tmp_path: Path) -> None:
    """JSON has no NaN: a point without a place is left out, one without an intensity has none. Both are counted."""
    rows = [(1, 2, 3, 0.5), (math.nan, 2, 3, 0.5), (1, math.inf, 3, 0.5), (4, 5, 6, math.nan), (1, 2, -math.inf, 0)]
    text, result = converted(tmp_path, rows)
    assert json.loads(text) == {"points": [{"x": 1, "y": 2, "z": 3, "i": 0.5}, {"x": 4, "y": 5, "z": 6}]}
    assert result == Converted(2, left_out=3, without_intensity=1)
    assert converted(tmp_path, rows[1:2]) == ('{"points":[]}', Converted(0, left_out=1))


def test_a_size_that_is_no_multiple_of_16(tmp_path: Path) -> None:
    source = tmp_path / "000007.bin"
    source.write_bytes(bytes(16 * 3 + 4))
    with pytest.raises(MalformedFileError, match=r"000007\.bin: the point cloud has 52 bytes, not a multiple of 16"):
        pointclouds.convert_cloud(source, tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


def test_too_many_points_are_refused_unread(tmp_path: Path) -> None:
    source = tmp_path / "big.bin"
    with source.open("wb") as file:
        file.truncate(16 * (pointclouds.MAX_POINTS + 1))
    with pytest.raises(MalformedFileError, match="67,108,865 points, more than"):
        pointclouds.convert_cloud(source, tmp_path / "out.json")


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"none\.bin: the point cloud cannot be read"):
        pointclouds.convert_cloud(tmp_path / "none.bin", tmp_path / "out.json")


def random_points(count: int, *, thousandths: bool) -> pointclouds.Points:
    rng = np.random.default_rng(5)
    points = np.column_stack([rng.normal(0, 20, (count, 3)), rng.integers(0, 100, count) / 100])
    return (np.round(points, 3) if thousandths else points).astype(np.float32)


@pytest.mark.parametrize("thousandths", [True, False])
def test_there_and_back_to_the_byte(tmp_path: Path, thousandths: bool) -> None:
    """More than one chunk; and Python's own JSON says the same numbers."""
    points = random_points(70_001, thousandths=thousandths)
    source, target = tmp_path / "a.bin", tmp_path / "a.json"
    pointclouds.write_bin(points, source)
    assert pointclouds.convert_cloud(source, target).points == len(points)
    loaded = json.loads(target.read_bytes())["points"]
    assert list(loaded[0]) == ["x", "y", "z", "i"]
    np.testing.assert_array_equal(np.array([list(point.values()) for point in loaded], np.float32), points)
    pointclouds.write_bin(pointclouds.read_json(target).points, tmp_path / "b.bin")
    assert (tmp_path / "b.bin").read_bytes() == source.read_bytes()


def test_memory_is_bounded_by_a_chunk(tmp_path: Path) -> None:
    peaks = []
    for count in (100_000, 400_000):
        source = tmp_path / f"{count}.bin"
        pointclouds.write_bin(random_points(count, thousandths=True), source)
        tracemalloc.start()
        pointclouds.convert_cloud(source, tmp_path / "out.json")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


@given(st.lists(st.tuples(*[st.floats(-9999, 9999, width=32)] * 3, st.floats(0, 1, width=32)), max_size=20))
def test_every_float_comes_back(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float, ...]]) -> None:
    folder = tmp_path_factory.mktemp("clouds")
    text, _ = converted(folder, rows)
    found = [struct.pack("<4f", *point.values()) for point in json.loads(text)["points"]]
    assert found == [struct.pack("<4f", *row) for row in rows]


# --- reading JSON --------------------------------------------------------------------------------------


def test_json_of_nucleus(tmp_path: Path) -> None:
    path = tmp_path / "cloud.json"
    path.write_text(
        '{"points": [{"x": 1, "y": 2.5, "z": -3}, {"x": 1, "y": 2, "z": 3, "i": 0.5}], "timestamp": 3,'
        ' "device_position": {"x": 1, "y": 2, "z": 3}, "device_heading": {"w": 1, "x": 0, "y": 0, "z": 0}}',
        encoding="utf-8",
    )
    points, device = pointclouds.read_json(path)
    np.testing.assert_array_equal(points, np.array([(1, 2.5, -3, math.nan), (1, 2, 3, 0.5)], np.float32))
    assert device == Device((1, 2, 3), (1, 0, 0, 0), 3)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ('{"points": [{"x": 1, "y": 2}]}', SchemaError, r"missing required field `z` - at `\$.points"),
        ('{"points": [{"x": 1, "y": 2, "z": "3"}]}', SchemaError, r"Expected `float`, got `str`"),
        ('{"points": [{"x": 1, "y": 2, "z": 3, "ring": 5}]}', SchemaError, "unknown field `ring`"),
        ('{"points": [{"x": 1e39, "y": 2, "z": 3}]}', SchemaError, "beyond what a float32 holds"),
        ('{"points": [{"x": 1, "y": 2, "z": 3, "i": -1e40}]}', SchemaError, "beyond what a float32 holds"),
        ('{"device_position": {"x": 1}, "points": []}', SchemaError, "position or heading"),
        ("[]", SchemaError, "Expected `object`"),
        ('{"points": [{"x": NaN}]}', MalformedFileError, "no JSON"),
        ('{"points": [', MalformedFileError, "no JSON"),
        ("[" * 100_000, SchemaError, "Expected `object`"),
    ],
)
def test_json_that_is_none(tmp_path: Path, text: str, error: type[Exception], message: str) -> None:
    path = tmp_path / "cloud.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(error, match=message) as caught:
        pointclouds.read_json(path)
    assert str(path) in str(caught.value)
