"""Plain COCO rows told by their looks: both implementations against the standard library's JSON, and each other."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nucleus_convert.converters.errors import ReadError
from nucleus_convert.formats import rings
from nucleus_convert.formats.cocorows import Learner, PlainReader, PlainRow
from nucleus_convert.formats.rows import RowFile

IMPLEMENTATIONS: list[Any] = [pytest.param(Learner, id="python")]
if rings.quick is not None:
    IMPLEMENTATIONS.append(pytest.param(lambda: rings.quick.coco_row, id="compiled"))
both = pytest.mark.parametrize("reader", IMPLEMENTATIONS)
Reader = Callable[[], Callable[[bytes], PlainRow | None]]

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


def agrees(told: PlainRow | None, row: dict[str, Any]) -> bool:
    assert told is not None
    region, area, crowd, box, category, identity, parts, gap = told
    values = [json.loads(text) for text in (region, area, b"[" + box + b"]", category)]
    assert not set(box) & set(b" \t\r\n")
    assert values == [row["segmentation"], row["area"], row["bbox"], row["category_id"]]
    assert (crowd, identity, parts) == (row["iscrowd"] == 1, row["id"], len(row["segmentation"]))
    xs = [x for ring in row["segmentation"] for x in ring[::2]]
    ys = [y for ring in row["segmentation"] for y in ring[1::2]]
    x, y, width, height = row["bbox"]
    return gap == max(abs(min(xs) - x), abs(min(ys) - y), abs(max(xs) - x - width), abs(max(ys) - y - height))


@both
@given(
    st.permutations(list(PLAIN)),
    st.sampled_from(SEPARATORS),
    st.integers(0, 1),
    st.integers(-(10**18) + 1, 10**18 - 1),
    st.one_of(st.integers(0, 10**6), st.decimals(-1000, 1000, places=3).map(float)),
)
def test_a_plain_row_says_what_json_says(
    reader: Reader, order: list[str], separators: tuple[str, str], crowd: int, identity: int, area: float
) -> None:
    row = {**PLAIN, "iscrowd": crowd, "id": identity, "image_id": -identity, "area": area}
    row = {key: row[key] for key in order}
    read = reader()
    assert agrees(read(json.dumps(row, separators=separators).encode()), row)
    assert agrees(read(json.dumps(PLAIN, separators=separators).encode()), PLAIN)  # in another order


@both
@pytest.mark.parametrize(
    "change",
    [
        {"image_id": "1"},
        {"image_id": 1.0},
        {"image_id": 10**18},
        {"iscrowd": 2},
        {"iscrowd": 10},
        {"iscrowd": True},
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
        {"segmentation": [[1, 2, 3, 4, 1, 2]]},
        {"segmentation": {"size": [1, 1], "counts": "01"}},
        {"segmentation": "[[1,2,3,4,5,6]]"},
        {"more": 1},
        {"ids": 1},
        {"area": ...},
        {"segmentation": ...},
    ],
    ids=str,
)
def test_other_rows_are_not_plain(reader: Reader, change: dict[str, Any]) -> None:
    row = {key: value for key, value in {**PLAIN, **change}.items() if value is not ...}
    for read in (learned := reader(), reader()):
        if read is learned:
            assert read(json.dumps(PLAIN).encode()) is not None
        assert read(json.dumps(row).encode()) is None


@both
@pytest.mark.parametrize("row", [b"", b"{}", b"[]", b"null", b"7", b'"id"', b'{"id":{"id":7}}', b"[{}]"])
def test_other_values_are_not_rows(reader: Reader, row: bytes) -> None:
    assert reader()(row) is None


@both
def test_a_key_that_stands_twice_is_not_plain(reader: Reader) -> None:
    text = json.dumps(PLAIN)
    assert reader()((text[:-1] + ', "id": 9}').encode()) is None


@both
def test_the_end_is_the_end(reader: Reader) -> None:
    text = json.dumps(PLAIN).encode()
    assert reader()(text) is not None
    assert reader()(text + b"\0") is None
    assert reader()(text[:-1]) is None
    assert reader()(text + b"}") is None


@pytest.mark.parametrize("compiled", [True, False])
def test_rows_are_read_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: bool) -> None:
    if not compiled:
        monkeypatch.setattr(rings, "quick", None)
    texts = [json.dumps(row).encode() for row in (PLAIN, {**PLAIN, "more": 1}, {**PLAIN, "id": 9})]
    path = tmp_path / "rows"
    path.write_bytes(b"".join(texts))
    places = [(i, sum(map(len, texts[:i])), len(text)) for i, text in enumerate(texts)]
    read = pickle.loads(pickle.dumps(PlainReader()))
    file = RowFile(path)
    first, second, third = read(file, [places[2], places[1], places[0]])
    assert agrees(first, {**PLAIN, "id": 9})
    assert second == texts[1]
    assert agrees(third, PLAIN)
    path.write_bytes(b"".join(texts)[:-1])
    with pytest.raises(ReadError, match="changed while it was read"):
        read(file, [places[0], places[2]])


@pytest.mark.skipif(not hasattr(rings.quick, "coco_rows_at"), reason="there is no pread on this system, or no compiler")
@pytest.mark.parametrize("rows", [[1], [(1, 2)], [(0, "0", 1)], [(0, 2**64, 1)], ((0, 0, 1),)])
def test_the_compiled_module_takes_places_only(tmp_path: Path, rows: Any) -> None:
    (tmp_path / "rows").write_bytes(b"{}")
    file = RowFile(tmp_path / "rows")
    with pytest.raises((TypeError, OverflowError)):
        rings.quick.coco_rows_at(file.descriptor, rows)
    with pytest.raises(ValueError, match="length"):
        rings.quick.coco_rows_at(file.descriptor, [(0, 0, -1)])
    assert rings.quick.coco_rows_at(-1, [(0, 0, 1)]) is None


@given(st.data())
def test_both_agree_on_rows_with_a_stretch_replaced(data: st.DataObject) -> None:
    if rings.quick is None:
        return
    text = json.dumps(PLAIN, separators=data.draw(st.sampled_from(SEPARATORS)))
    start = data.draw(st.integers(0, len(text) - 1))
    stop = min(len(text), start + data.draw(st.integers(0, 4)))
    changed = (text[:start] + data.draw(st.text('[]{}"0123456789.,:-+eE id\0', max_size=4)) + text[stop:]).encode()
    plain = Learner()(changed)
    try:
        json.loads(changed)
    except ValueError:
        return  # no such row comes this far
    assert rings.quick.coco_row(changed) == plain
