"""The first pass over a COCO file: the same by plain rows read together as by a decoder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nucleus_convert.converters.coco import scan as module
from nucleus_convert.converters.errors import ConvertError, MalformedFileError
from nucleus_convert.converters.report import Report
from nucleus_convert.formats import jsonstream, rings
from nucleus_convert.formats.cocorows import RowColumns, plain_columns

pytestmark = pytest.mark.skipif(rings.quick is None, reason="without the compiled module there is no other way")
STABLE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)

PLAIN: dict[str, Any] = {
    "segmentation": [[10.5, 20, 30, 20, 30, 40.25]],
    "area": 394.875,
    "iscrowd": 0,
    "image_id": 1,
    "bbox": [1, 2, 29, 38.5],
    "category_id": 18,
    "id": 7,
}
CHANGES: list[dict[str, Any]] = [
    {},
    {"id": 8, "category_id": 3},
    {"image_id": 2, "id": -9},
    {"segmentation": {"counts": [1, 2, 3], "size": [2, 3]}, "iscrowd": 1},
    {"segmentation": {"size": [2, 3], "counts": "`12oQ4"}},
    {"segmentation": {"size": [2, 3], "counts": 'a"b\\'}},
    {"segmentation": [[1, 2, 3, 4, 1, 2]]},
    {"segmentation": []},
    {"segmentation": [[]]},
    {"segmentation": [[1e-7, 2, 3, 4, 5, 6]]},
    {"image_id": "1"},
    {"image_id": 1.0},
    {"id": None},
    {"id": 2**64},
    {"area": ...},
    {"keypoints": [1, 2, 2]},
    {"note": "}, {"},
]


BLOCK = jsonstream.BLOCK


def first_pass(path: Path, *, quick: bool, block: int = BLOCK) -> tuple[Any, int]:
    """All that is kept of the rows, or the error; and how many times rows were read together."""
    columns = plain_columns() if quick else None
    found: list[RowColumns] = []

    def noted(data: bytes, start: int, base: int) -> tuple[int, RowColumns] | None:
        assert columns is not None
        known = columns(data, start, base)
        if known is not None:
            found.append(known[1])
        return known

    report = Report("skip")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "plain_columns", lambda: noted if quick else None)
        patch.setattr(jsonstream, "BLOCK", block)
        try:
            rows = module.scan(path, "a.json", report).rows
        except ConvertError as error:
            return (type(error), str(error)), len(found)
    kept = (rows.offsets, rows.lengths, rows.images, rows.other_images, rows.wrong, list(rows.categories))
    return (*kept, rows.ids(), rows.repeated(), report.to_json()), len(found)


def document(rows: list[dict[str, Any]], *, indent: int | None = None, wide: bool = True) -> str:
    data = {"images": [{"id": 1}, {"id": 2}], "annotations": rows, "categories": [{"id": 18, "name": "a"}]}
    return json.dumps(data, indent=indent, separators=(", ", ": ") if wide else (",", ":"))


def changed(change: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**PLAIN, **change}.items() if value is not ...}


def test_plain_rows_are_where_they_are(tmp_path: Path) -> None:
    rows = [changed(change) for change in CHANGES[:5]]
    path = tmp_path / "a.json"
    path.write_text(document(rows), encoding="utf-8")
    kept, together = first_pass(path, quick=True)
    offsets, lengths, images, _, wrong, categories, ids, _, _ = kept
    data = path.read_bytes()
    read = [json.loads(data[start : start + size]) for start, size in zip(offsets, lengths, strict=True)]
    assert (read, together, wrong) == (rows, 1, set())
    assert (list(images), categories) == ([1, 1, 2, 1, 1], [18, 3])
    assert ids == {7: 0, 8: 1, -9: 2}


@given(
    st.lists(st.sampled_from(CHANGES), max_size=12),
    st.sampled_from([None, 0, 1]),
    st.booleans(),
    st.sampled_from([1, 150, 400, BLOCK]),
    st.data(),
)
@STABLE
def test_the_same_as_by_a_decoder(
    tmp_path: Path, changes: list[dict[str, Any]], indent: int | None, wide: bool, block: int, data: st.DataObject
) -> None:
    text = document([changed(change) for change in changes], indent=indent, wide=wide)
    if data.draw(st.booleans()):  # damage it
        start = data.draw(st.integers(0, len(text) - 1))
        stop = min(len(text), start + data.draw(st.integers(0, 3)))
        text = text[:start] + data.draw(st.text('[]{}"0123456789.,:-+eE \\\0\n\u00e4', max_size=3)) + text[stop:]
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")
    quick, _ = first_pass(path, quick=True, block=block)
    slow, _ = first_pass(path, quick=False, block=block)
    assert quick == slow


@pytest.mark.parametrize(
    "end",
    ["}", "} {", "},,", "},]", "}x", "}}", "", ",", '"}', "}]"],
)
def test_rows_that_are_not_parted_as_they_should_be(tmp_path: Path, end: str) -> None:
    row = json.dumps(PLAIN)
    path = tmp_path / "a.json"
    path.write_text(f'{{"images": [], "annotations": [{row}, {row[:-1]}{end}{row}, {row}]}}', encoding="utf-8")
    quick, _ = first_pass(path, quick=True)
    slow, _ = first_pass(path, quick=False)
    assert quick == slow
    assert quick[0] is MalformedFileError


def test_a_few_rows_that_are_no_json_leave_the_others_to_be_read_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [changed({"id": i}) for i in range(4000)]
    bad = [7, 2500, 2501, 2700, 3999]
    for i in bad:
        rows[i]["area"] = float("nan")
    path = tmp_path / "a.json"
    path.write_text(document(rows), encoding="utf-8")
    singly: list[int] = []
    add = module.Rowset.add

    def noted(self: module.Rowset, block: Any) -> None:
        if not isinstance(block, RowColumns):
            singly.append(len(block.starts))
        add(self, block)

    monkeypatch.setattr(module.Rowset, "add", noted)
    found = module.scan(path, "a.json", Report("skip")).rows
    assert found.wrong == set(bad)
    assert sorted(found.ids()) == [i for i in range(4000) if i not in bad]
    # The second is told to be near the first, and a block is walked for it.
    assert singly == [1, 1, 4000 - 2501]


def test_the_compiled_module_checks_what_it_is_given() -> None:
    coco_rows = rings.quick.coco_rows
    for wrong in (-1, 3):
        with pytest.raises(ValueError, match="start"):
            coco_rows(b"{}", wrong, 0)
    with pytest.raises(TypeError):
        coco_rows("{}", 0, 0)
    assert coco_rows(b"{}", 2, 0) == (2, b"", b"", b"", b"", {})
