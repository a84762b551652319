"""Plain COCO rows told by their looks, and written as payloads: against the standard library's JSON."""

from __future__ import annotations

import json
import tempfile
from array import array
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nucleus_convert.converters.errors import ReadError
from nucleus_convert.formats import rings
from nucleus_convert.formats.cocorows import PlainRows, payload_lines, plain_rows, reads_plain_rows
from nucleus_convert.formats.rows import RowFile

pytestmark = pytest.mark.skipif(not reads_plain_rows(), reason="without compiler or pread no row is read this way")

PLAIN: dict[str, Any] = {
    "segmentation": [[10.5, 20, 30, 20, 30, 40.25], [1, 2, 3, 4, 5, 7]],
    "area": 394.875,
    "iscrowd": 0,
    "image_id": 1,
    "bbox": [1, 2, 29, 38.5],
    "category_id": 18,
    "id": 7,
}
SEPARATORS = [(",", ":"), (", ", ": "), (" , ", " : "), (",\n  ", ":\t")]
PIECES = (b'{"label":"a","geometry":{"vertices":[', b'","metadata":{"area":', b',"extras":{"coco":{"row":')


def read(*texts: bytes, order: list[int] | None = None, between: bytes = b",") -> PlainRows:
    """Rows of a file that holds them one after the other, read in some order."""
    offsets = [sum(map(len, texts[:i])) + i * len(between) for i in range(len(texts))]
    order = list(range(len(texts))) if order is None else order
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows")
        path.write_bytes(between.join(texts))
        places = array("q", [offsets[i] for i in order]), array("i", [len(texts[i]) for i in order])
        return plain_rows(RowFile(path), *places)


def payloads(rows: PlainRows, number: int) -> list[Any]:
    """The payloads of a row."""
    lines = payload_lines(rows, number, [PIECES], [12], b'"picture"', b',"own":{"v":1,')
    return [json.loads(line) for line in lines.split(b"\n")]


def agrees(rows: PlainRows, number: int, row: dict[str, Any]) -> bool:
    """Check all that is told of a plain row."""
    region = row["segmentation"]
    xs = [x for ring in region for x in ring[::2]]
    ys = [y for ring in region for y in ring[1::2]]
    x, y, width, height = row["bbox"]
    gap = max(abs(min(xs) - x), abs(min(ys) - y), abs(max(xs) - (x + width)), abs(max(ys) - (y + height)))
    assert json.loads(rows.row(number)) == row
    assert rows.values(number) == (tuple(row["bbox"]), [tuple(ring) for ring in region], row["area"])
    assert (rows.ids[number], rows.categories[number], rows.gaps[number]) == (row["id"], row["category_id"], gap)
    expected = []
    for k, ring in enumerate(region, 1):
        first = {"box": row["bbox"], "id": row["id"], "extras": {"coco": {"row": 12}}}
        own = first if k == 1 else {"object": str(row["id"])}
        part = {"part": [k, len(region)]} if len(region) > 1 else {}
        expected.append(
            {
                "label": "a",
                "geometry": {"vertices": [{"x": x, "y": y} for x, y in zip(ring[::2], ring[1::2], strict=True)]},
                "reference_id": "picture",
                "annotation_id": str(row["id"]) if k == 1 else f"{row['id']}-part{k}",
                "metadata": {"area": row["area"], "own": {"v": 1, **own, **part}},
            }
        )
    return payloads(rows, number) == expected


@given(
    st.permutations(list(PLAIN)),
    st.sampled_from(SEPARATORS),
    st.integers(-(10**18) + 1, 10**18 - 1),
    st.one_of(st.integers(0, 10**6), st.decimals(-1000, 1000, places=3).map(float)),
)
def test_a_plain_row_says_what_json_says(
    order: list[str], separators: tuple[str, str], identity: int, area: float
) -> None:
    row = {**PLAIN, "id": identity, "image_id": -identity, "area": area}
    row = {key: row[key] for key in order}
    rows = read(json.dumps(row, separators=separators).encode(), json.dumps(PLAIN, separators=separators).encode())
    assert rows.plain == b"\1\1"
    assert agrees(rows, 0, row)
    assert agrees(rows, 1, PLAIN)


numbers = st.one_of(
    st.integers(-(10**6), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.decimals(-1000, 1000, places=2).map(float),
)
points = st.tuples(numbers, numbers)
regions = st.lists(st.lists(points, min_size=1, max_size=8), min_size=1, max_size=4)


@given(regions, st.tuples(numbers, numbers, numbers, numbers), st.sampled_from(SEPARATORS))
def test_any_rings_and_any_box(region: Any, box: Any, separators: tuple[str, str]) -> None:
    flat = [[number for point in ring for number in point] for ring in region]
    row = {**PLAIN, "segmentation": flat, "bbox": list(box)}
    rows = read(json.dumps(row, separators=separators).encode())
    as_floats = [[(float(x), float(y)) for x, y in ring] for ring in region]
    if any(len(ring) < 3 or ring[0] == ring[-1] for ring in as_floats):
        assert rows.plain == b"\0"
        return
    assert rows.plain == b"\1"
    floats = {**row, "segmentation": [[*map(float, ring)] for ring in flat], "bbox": [*map(float, box)]}
    made = payloads(rows, 0)
    assert [[(p["x"], p["y"]) for p in line["geometry"]["vertices"]] for line in made] == region
    assert made[0]["metadata"]["own"]["box"] == list(box)
    xs, ys = zip(*(point for ring in as_floats for point in ring), strict=True)
    x, y, width, height = floats["bbox"]
    edges = (min(xs) - x, min(ys) - y, max(xs) - (x + width), max(ys) - (y + height))
    assert rows.gaps[0] == max(map(abs, edges))


def test_digits_stay_as_written() -> None:
    row = (
        b'{"segmentation":[[1.50, -0,1e2 ,2.0,\n3,4.123456789012345678]],"area":2.500,"iscrowd":0,"image_id":1,'
        b'"bbox":[ 1.50,-0,\t98.5, 4.1200],"category_id":1,"id":-0}'
    )
    line = payload_lines(read(row), 0, [PIECES], [3], b'"picture"', b",")
    for text in (b'{"x":1.50,"y":-0},{"x":1e2,"y":2.0},{"x":3,"y":4.123456789012345678}', b'"area":2.500,', b'"id":0,'):
        assert text in line
    assert b'"box":[1.50,-0,98.5,4.1200]' in line


@pytest.mark.parametrize(
    "change",
    [
        {"image_id": "1"},
        {"image_id": 1.0},
        {"image_id": 10**18},
        {"iscrowd": 1},
        {"iscrowd": 2},
        {"iscrowd": 10},
        {"iscrowd": False},
        {"iscrowd": None},
        {"area": "4"},
        {"area": 1e300},
        {"area": 10**30},
        {"area": None},
        {"category_id": "18"},
        {"category_id": -1},
        {"category_id": 1e3},
        {"id": None},
        {"id": 1.5},
        {"id": -(10**18)},
        {"bbox": None},
        {"bbox": []},
        {"bbox": [1, 2, 3]},
        {"bbox": [1, 2, 3, 4, 5]},
        {"bbox": ["1", 2, 3, 4]},
        {"bbox": [[1, 2], [3, 4]]},
        {"segmentation": []},
        {"segmentation": [[]]},
        {"segmentation": [[1, 2, 3, 4]]},
        {"segmentation": [[1, 2, 3, 4, 5]]},
        {"segmentation": [[1, 2, 3, 4, 1, 2]]},
        {"segmentation": [[1, 2, 3, 4, 5, 6], []]},
        {"segmentation": [[[1, 2], [3, 4], [5, 6]]]},
        {"segmentation": [1, 2, 3, 4, 5, 6]},
        {"segmentation": [[1, 2, 3, 4, 5, None]]},
        {"segmentation": {"size": [1, 1], "counts": "01"}},
        {"segmentation": "[[1,2,3,4,5,6]]"},
        {"more": 1},
        {"ids": 1},
        {"area": ...},
        {"segmentation": ...},
    ],
    ids=str,
)
def test_other_rows_are_not_plain(change: dict[str, Any]) -> None:
    row = {key: value for key, value in {**PLAIN, **change}.items() if value is not ...}
    rows = read(json.dumps(PLAIN).encode(), json.dumps(row).encode(), json.dumps(PLAIN).encode())
    assert rows.plain == b"\1\0\1"
    assert json.loads(rows.row(1)) == row
    with pytest.raises(ValueError, match="plain"):
        payload_lines(rows, 1, [PIECES], [1], b"", b"")


@pytest.mark.parametrize(
    "number", ["1e999", "01", "1.", ".5", "+5", "-", "1e", "0x10", "NaN", "1\0", "12345678901234567."]
)
def test_what_is_no_number_is_not_plain(number: str) -> None:
    for given_text in ("40.25", "38.5"):
        text = json.dumps(PLAIN).replace(given_text, number)
        assert read(text.encode()).plain == b"\0"


@pytest.mark.parametrize("row", [b"", b"{}", b"[]", b"null", b"7", b'"id"', b'{"id":{"id":7}}', b"[{}]"])
def test_other_values_are_not_rows(row: bytes) -> None:
    rows = read(row, row)
    assert rows.plain == b"\0\0"
    assert (rows.row(0), rows.row(1)) == (row, row)


def test_a_key_that_stands_twice_is_not_plain() -> None:
    assert read((json.dumps(PLAIN)[:-1] + ', "id": 9}').encode()).plain == b"\0"


def test_the_end_is_the_end() -> None:
    text = json.dumps(PLAIN).encode()
    assert read(text, text + b"\0", text[:-1], text + b"}", text + b" ").plain == b"\1\0\0\0\0"


@pytest.mark.parametrize("between", [b"", b",", b",\n"])
@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0], [0, 2], [1], [1, 1, 2], []])
def test_rows_are_read_where_they_are(order: list[int], between: bytes) -> None:
    given_rows: list[dict[str, Any]] = [PLAIN, {**PLAIN, "more": 1}, {**PLAIN, "id": 9}]
    texts = [json.dumps(row).encode() for row in given_rows]
    rows = read(*texts, order=order, between=between)
    assert [rows.row(i) for i in range(len(order))] == [texts[i] for i in order]
    assert list(rows.plain) == [i != 1 for i in order]
    assert all(agrees(rows, i, given_rows[which]) for i, which in enumerate(order) if which != 1)


def test_lines_of_several_rows() -> None:
    texts = [json.dumps({**PLAIN, "id": i, "segmentation": PLAIN["segmentation"][: i % 2 + 1]}) for i in range(4)]
    rows = read(*map(str.encode, texts))
    other = (PIECES[0].replace(b'"a"', b'"b"'), *PIECES[1:])
    made = payload_lines(rows, 1, [PIECES, other, PIECES], [5, 6, 7], b'"picture"', b',"own":{').split(b"\n")
    said = [(one["label"], one["annotation_id"]) for one in map(json.loads, made)]
    assert said == [("a", "1"), ("a", "1-part2"), ("b", "2"), ("a", "3"), ("a", "3-part2")]


def test_a_file_that_changed_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(b"0123456789")
    with pytest.raises(ReadError, match="changed while it was read"):
        plain_rows(RowFile(path), array("q", [0, 8]), array("i", [4, 3]))
    with pytest.raises(ReadError, match="cannot be read"):
        plain_rows(RowFile(tmp_path / "none"), array("q"), array("i"))


@pytest.mark.parametrize(
    ("offsets", "lengths"), [([0], []), ([], [1]), ([-1], [1]), ([0], [-1]), ([0, 0], [2**31 - 1] * 3)], ids=str
)
def test_the_compiled_module_takes_places_only(tmp_path: Path, offsets: list[int], lengths: list[int]) -> None:
    (tmp_path / "rows").write_bytes(b"{}")
    with pytest.raises(ValueError, match="offsets"):
        plain_rows(RowFile(tmp_path / "rows"), array("q", offsets), array("i", lengths))


@pytest.mark.parametrize(
    ("start", "pieces", "places"),
    [
        (0, [PIECES], []),
        (1, [PIECES], [1]),
        (-1, [PIECES], [1]),
        (0, [PIECES] * 2, [1, 2]),
        (0, [PIECES[:2]], [1]),
        (0, [("a", b"", b"")], [1]),
        (0, [None], [1]),
    ],
    ids=str,
)
def test_the_compiled_module_writes_rows_only(start: int, pieces: list[Any], places: list[int]) -> None:
    with pytest.raises(ValueError, match=r"there are no such rows|each row is plain"):
        payload_lines(read(json.dumps(PLAIN).encode()), start, pieces, places, b"", b"")


@given(st.data())
def test_rows_with_a_stretch_replaced_say_what_json_says(data: st.DataObject) -> None:
    text = json.dumps(PLAIN, separators=data.draw(st.sampled_from(SEPARATORS)))
    start = data.draw(st.integers(0, len(text) - 1))
    stop = min(len(text), start + data.draw(st.integers(0, 4)))
    changed = (text[:start] + data.draw(st.text('[]{}"0123456789.,:-+eE id\0', max_size=4)) + text[stop:]).encode()
    rows = read(changed)
    if rows.plain == b"\1":
        try:
            row = json.loads(changed)
        except ValueError:  # a bare minus, for one: no such row comes this far, since indexing proves that it is JSON
            return
        assert agrees(rows, 0, row)


@given(st.lists(st.binary(max_size=80), max_size=4))
def test_any_bytes_are_survived(texts: list[bytes]) -> None:
    rows = read(*texts)
    assert [rows.row(i) for i in range(len(texts))] == texts
    assert not any(rows.plain)


def test_without_the_compiled_module_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rings, "quick", None)
    assert not reads_plain_rows()
