"""JSON Lines in parts, and the forms that Nucleus data comes in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nucleus_convert.converters.errors import MalformedFileError, UnrepresentableError
from nucleus_convert.formats.nucleus import forms, wire
from nucleus_convert.formats.nucleus.parts import PartWriter, rewrite


def fill(folder: Path, limit: int, *chunks: bytes) -> list[Path]:
    with PartWriter(folder, "x", limit) as writer:
        for chunk in chunks:
            writer.write(chunk)
        return writer.close()


def test_one_part_has_the_plain_name(tmp_path: Path) -> None:
    assert fill(tmp_path, 10, b"1234\n", b"", b"678\n") == [tmp_path / "x.jsonl"]
    assert (tmp_path / "x.jsonl").read_bytes() == b"1234\n678\n"


def test_no_lines_make_no_file_unless_wanted(tmp_path: Path) -> None:
    assert fill(tmp_path, 10) == []
    with PartWriter(tmp_path, "x", 10) as writer:
        assert writer.close(always=True) == [tmp_path / "x.jsonl"]
    assert (tmp_path / "x.jsonl").read_bytes() == b""


@pytest.mark.parametrize("limit", [5, 9, 10, 11, 14, 15, 100])
def test_parts_are_cut_between_lines(tmp_path: Path, limit: int) -> None:
    lines = b"".join(b"%04d\n" % i for i in range(20))
    paths = fill(tmp_path, limit, lines[:35], lines[35:40], lines[40:])
    assert b"".join(path.read_bytes() for path in paths) == lines
    assert all(path.stat().st_size <= limit and path.read_bytes().endswith(b"\n") for path in paths)
    assert len(paths) == -(-20 // (limit // 5))
    names = [path.name for path in paths]
    assert names == (["x.jsonl"] if len(paths) == 1 else [f"x-{i:05}.jsonl" for i in range(len(paths))])


def test_a_line_larger_than_a_part(tmp_path: Path) -> None:
    with pytest.raises(UnrepresentableError, match="takes 12 bytes, more than a part may have"):
        fill(tmp_path, 10, b"1\n", b"34567890123\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full, which takes nothing, is Linux's")
def test_a_full_disk_is_told(tmp_path: Path) -> None:
    (tmp_path / "items.jsonl").symlink_to("/dev/full")
    writer = PartWriter(tmp_path, "items", 1000)
    writer.write(b"{}\n")  # on its way
    with pytest.raises(OSError, match="No space left"):
        writer.write(b"{}\n")
    writer.write(b"{}\n")
    with pytest.raises(OSError, match="No space left"):
        writer.close()


def test_rewriting(tmp_path: Path) -> None:
    paths = fill(tmp_path, 10, b"1234\n", b"678\n")
    paths = rewrite(paths, 10, "x", lambda line: line * 2)
    assert [path.name for path in paths] == ["x-00000.jsonl", "x-00001.jsonl"]
    assert b"".join(path.read_bytes() for path in paths) == b"1234\n1234\n678\n678\n"
    paths = rewrite(paths, 100, "x", lambda line: line)
    assert [path.name for path in tmp_path.iterdir()] == ["x.jsonl"]
    assert rewrite([], 10, "x", lambda line: line) == []


ROW: dict[str, Any] = {"label": "a", "type": "box", "reference_id": "r", "geometry": {}}


@pytest.mark.parametrize(
    ("row", "role"),
    [
        (ROW, "payload"),
        ({"type": "mask", "mask_url": "m", "annotations": []}, "payload"),
        ({"mask_url": "m", "annotations": [], "reference_id": "r"}, "payload"),
        ({"labels": ["a"], "type": "multicategory", "reference_id": "r"}, "payload"),
        ({"image_url": "u", "reference_id": "r"}, "item"),
        ({"pointcloud_url": "u", "reference_id": "r"}, "item"),
        ({"url": "u", "type": "image", "reference_id": "r"}, "item"),
        ({"reference_id": "r", "frames": []}, "scene"),
        ({"reference_id": "r", "video_url": "u"}, "scene"),
        ({"item": {"reference_id": "r"}, "annotations": {}}, "export"),
        ({"reference_id": "r", "image_url": "u", "box": []}, "export"),
        ({"reference_id": "r", "polygon": [{}]}, "export"),
        ({"reference_id": "r"}, None),
        ({"image_id": 1, "bbox": []}, None),
        ({"images": [], "annotations": []}, None),
        ({"header": {}, "model_version": 1}, None),
        ([ROW], None),
        (5, None),
    ],
)
def test_roles(row: Any, role: str | None) -> None:
    assert forms.role_of(row) == role


def test_other_spellings_of_keys() -> None:
    row = {alias: i for i, alias in enumerate(forms.ALIASES)}
    assert set(forms.normal(row)) == set(forms.ALIASES.values())
    assert forms.normal({"reference_id": "a", "ref_id": "b"}) == {"reference_id": "a"}


@pytest.mark.parametrize(
    ("content", "members"),
    [
        ('{"a": 1}\n{"a": 2}\n', [None, None]),
        ('{"a": 1}', [None]),
        ('[{"a": 1}, {"a": 2}]', [None, None]),
        ('{"annotations": [{"a": 1}], "segmentations": [{"a": 2}]}', ["annotations", "segmentations"]),
        ('{\n "annotations": [\n  {"a": 1}\n ]\n}', ["annotations"]),
        ('{\n "a": 1\n}', [None]),
        ("\ufeff[]", []),
        ("", []),
    ],
)  # fmt: skip
def test_scanning(tmp_path: Path, content: str, members: list[str | None]) -> None:
    path = tmp_path / "x.json"
    path.write_text(content, encoding="utf-8")
    found = [
        (stretch.member, json.loads(stretch.rows.raw(i)))
        for stretch in forms.scan(path, forms.Brief)
        for i in range(len(stretch.rows.starts))
    ]
    assert [member for member, _ in found] == members
    assert all(set(row) == {"a"} for _, row in found)


def test_a_long_first_line_is_a_row_or_a_body(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    long = "x" * (1 << 20)
    path.write_text(json.dumps({"label": long, "type": "box"}) + "\n{}\n")
    assert sum(len(stretch.rows.starts) for stretch in forms.scan(path, forms.Brief)) == 2
    path.write_text(json.dumps({"annotations": [{"label": long}, {}]}))
    (stretch,) = forms.scan(path, forms.Brief)
    assert (stretch.member, len(stretch.rows.starts)) == ("annotations", 2)


def test_utf_16_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("{}", encoding="utf-16")
    with pytest.raises(MalformedFileError, match="UTF-16"):
        list(forms.scan(path, forms.Brief))


def test_payloads_leave_out_what_is_not_set() -> None:
    payload = wire.Payload("a", "category", wire.Nothing(), "r")
    assert json.loads(wire.ENCODER.encode(payload)) == {
        "label": "a", "type": "category", "geometry": {}, "reference_id": "r",
    }  # fmt: skip


def test_the_rows_know_the_types_of_the_sdk() -> None:
    sdk = pytest.importorskip("nucleus.constants", reason="the SDK (scale-nucleus) is not installed")
    assert set(wire.TYPES) == {*sdk.ANNOTATION_TYPES, sdk.MASK_TYPE}
    assert set(wire.ROWS) == {*sdk.ANNOTATION_TYPES, sdk.MASK_TYPE} - {sdk.SEGMENTATION_TYPE}


@pytest.mark.parametrize(
    ("first", "lines"),
    [('"reference_id"', True), ('"type"', True), ('"info"', False), ('"annotations"', False)],
)
def test_a_first_line_too_long_to_look_at(tmp_path: Path, first: str, lines: bool) -> None:
    """Another format's file on one line, of any size, is not held to find out that it is not ours."""
    path = tmp_path / "x.json"
    path.write_text(f'{{{first}: "{"x" * (2 << 20)}"}}')
    stretches = list(forms.scan(path, dict[str, Any]))
    assert [stretch.lines for stretch in stretches] == [lines]
