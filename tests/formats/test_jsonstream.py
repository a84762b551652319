"""Large JSON in blocks: whatever the size of a block, what json.loads says is what is found."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nucleus_convert.converters.errors import ConvertError, MalformedFileError, ReadError, SchemaError
from nucleus_convert.formats import jsonstream
from nucleus_convert.formats.jsonlines import scan_lines
from nucleus_convert.formats.jsonstream import JsonDocument, LineIndex, Rows, line_at

STABLE = settings(
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


class Probe(msgspec.Struct):
    id: int | str | None = None


ANY = msgspec.json.Decoder(list[Any])
PROBES = msgspec.json.Decoder(list[Probe])
LINE = msgspec.json.Decoder()

# Texts that look like JSON's own punctuation: what a guess at boundaries could fall for.
TRICKY = st.sampled_from(
    [
        "",
        "},{",
        '{"id":',
        '"',
        "\\",
        '\\"',
        "]}",
        "[{",
        '},{"id":1',
        "\n",
        ",",
        "ä",
        "\U0001f600",
        '"},{"id":2,"x":"',
    ]
)
TEXT = st.one_of(
    TRICKY, st.lists(TRICKY, max_size=4).map("".join), st.text(st.characters(codec="utf-8"), max_size=6)
)
SCALAR = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXT,
)
KEY = st.one_of(st.sampled_from(["id", "x", "annotations"]), TEXT)
VALUE = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEY, inner, max_size=4), max_leaves=12
)
OBJECT = st.dictionaries(KEY, VALUE, max_size=4)
NESTED = st.fixed_dictionaries(
    {"id": st.integers(0, 9), "parts": st.lists(st.fixed_dictionaries({"id": st.integers(0, 9)}))}
)
LAYOUT = st.sampled_from([None, 0, 1, "\t"])
BLOCKS = st.sampled_from([1, 2, 3, 7, 16, 64, 1 << 12])


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    return lambda size: monkeypatch.setattr(jsonstream, "BLOCK", size)


def dumped(value: Any, indent: Any, *, ascii_only: bool = True, crlf: bool = False) -> bytes:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()
    return text.replace(b"\n", b"\r\n") if crlf else text


DAMAGED = object()
"""In place of an element that is no JSON."""


def is_damaged(probe: Any) -> bool:
    return isinstance(probe, Exception) and not isinstance(probe, msgspec.ValidationError)


def elements(rows: Rows[Any], data: bytes) -> list[Any]:
    """The elements of a block, after checking that its offsets say where they are in the file."""
    assert len(rows.starts) == len(rows.ends) == len(rows.probes) > 0
    for i in range(len(rows.starts)):
        raw = rows.raw(i)
        assert data[rows.base + rows.starts[i] : rows.base + rows.ends[i]] == raw
        assert raw == raw.strip(b" \t\r\n")
    return [
        DAMAGED if is_damaged(rows.probes[i]) else json.loads(rows.raw(i)) for i in range(len(rows.starts))
    ]


def read_array(path: Path, probe: msgspec.json.Decoder[Any] = ANY) -> Any:
    """All elements of all arrays, or the values, of the root; keyed if the root is an object."""
    data = path.read_bytes()
    found: dict[str | None, Any] = {}
    with JsonDocument(path) as document:
        for member in document.members():
            if member.kind == "array":
                found[member.key] = []
                for rows in member.rows(probe):
                    assert rows.first == len(found[member.key])
                    found[member.key] += elements(rows, data)
            else:
                found[member.key] = json.loads(member.value())
    whole: Any = found.get(None, found)
    return whole


@given(
    value=st.lists(VALUE, max_size=8) | st.lists(OBJECT | NESTED, max_size=8),
    indent=LAYOUT,
    block=BLOCKS,
    utf8=st.booleans(),
    crlf=st.booleans(),
)
@STABLE
def test_an_array_is_read_as_json_reads_it(
    tmp_path: Path, blocks: Callable[[int], None], value: Any, indent: Any, block: int, utf8: bool, crlf: bool
) -> None:
    blocks(block)
    path = tmp_path / "a.json"
    path.write_bytes(dumped(value, indent, ascii_only=not utf8, crlf=crlf))
    assert read_array(path) == value


@given(value=st.lists(OBJECT | NESTED, max_size=12), indent=LAYOUT, block=BLOCKS)
@STABLE
def test_probes_are_of_their_elements(
    tmp_path: Path, blocks: Callable[[int], None], value: list[Any], indent: Any, block: int
) -> None:
    blocks(block)
    path = tmp_path / "a.json"
    path.write_bytes(dumped({"rows": value}, indent))
    probes: list[Any] = []
    with JsonDocument(path) as document:
        for member in document.members():
            for rows in member.rows(PROBES):
                probes += rows.probes
    assert len(probes) == len(value)
    for probe, element in zip(probes, value, strict=True):
        identity = element.get("id")
        if identity is None or (type(identity) in (int, str)):
            assert probe.id == identity
        else:
            assert isinstance(probe, msgspec.ValidationError)


@given(value=OBJECT, indent=LAYOUT, block=BLOCKS, crlf=st.booleans())
@STABLE
def test_an_object_is_read_as_json_reads_it(
    tmp_path: Path, blocks: Callable[[int], None], value: Any, indent: Any, block: int, crlf: bool
) -> None:
    blocks(block)
    path = tmp_path / "a.json"
    path.write_bytes(dumped(value, indent, crlf=crlf))
    assert read_array(path) == value


@given(value=OBJECT, indent=LAYOUT, block=BLOCKS, taken=st.sets(st.integers(0, 3)))
@STABLE
def test_members_that_are_not_read_are_passed_over(
    tmp_path: Path, blocks: Callable[[int], None], value: Any, indent: Any, block: int, taken: set[int]
) -> None:
    blocks(block)
    path = tmp_path / "a.json"
    path.write_bytes(dumped(value, indent))
    with JsonDocument(path) as document:
        for i, member in enumerate(document.members()):
            if i in taken:
                assert json.loads(member.value()) == value[member.key]
            else:
                assert member.key in value


SAMPLE: dict[str, Any] = {
    "info": {"a": 'b\\"c', "n": [1.5e3, -0.25, True, None]},
    "images": [{"id": 1, "file_name": "ä}.jpg"}, {"id": 2, "x": [{"id": 3}, {"id": 4}]}],
    "annotations": [],
    "n": -12,
}


@pytest.mark.parametrize("block", [1, 16, 1 << 20])
@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("value", [SAMPLE, SAMPLE["images"]], ids=["object", "array"])
def test_a_file_cut_off_anywhere_is_malformed(
    tmp_path: Path, blocks: Callable[[int], None], value: Any, indent: Any, block: int
) -> None:
    blocks(block)
    whole = dumped(value, indent, ascii_only=False)
    path = tmp_path / "a.json"
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(MalformedFileError) as caught:
            read_array(path, PROBES)
        assert caught.value.where is not None
        assert caught.value.where.file == str(path)


@given(value=OBJECT | st.lists(OBJECT, max_size=6), indent=LAYOUT, block=BLOCKS, data=st.data())
@STABLE
def test_damage_is_an_error_or_what_json_reads(
    tmp_path: Path, blocks: Callable[[int], None], value: Any, indent: Any, block: int, data: st.DataObject
) -> None:
    blocks(block)
    text = bytearray(dumped(value, indent, ascii_only=False))
    place = data.draw(st.integers(0, len(text) - 1))
    text[place] = data.draw(st.sampled_from(list(b'{}[]",:\\0x-\n\x00\xff\xc3')))
    path = tmp_path / "a.json"
    path.write_bytes(text)
    try:
        found = read_array(path, ANY)
    except ConvertError:
        return
    arrays = [found] if isinstance(found, list) else [rows for rows in found.values() if isinstance(rows, list)]
    damaged = any(row is DAMAGED for rows in arrays for row in rows)
    try:
        whole = json.loads(text.decode())
    except (json.JSONDecodeError, UnicodeDecodeError):
        whole = DAMAGED
    assert (whole is DAMAGED) == damaged, f"read {bytes(text)!r} as {found!r}"
    assert damaged or found == whole


@pytest.mark.parametrize(
    ("text", "error", "said", "line"),
    [
        (b"", MalformedFileError, "empty", None),
        (b"  \n ", MalformedFileError, "ends in the middle", 2),
        (b"{}\nx", MalformedFileError, "something follows", 2),
        (b"[] []", MalformedFileError, "something follows", 1),
        (b"5", MalformedFileError, "neither an object nor an array", 1),
        (b'"a"', MalformedFileError, "neither an object nor an array", 1),
        (b'{"a":1,\n"b":NaN}', MalformedFileError, "NaN", 2),
        (b'{"a":1,\n\n"a":2}', SchemaError, "stands twice", 3),
        (b'{"a":1,}', MalformedFileError, "double quotes", 1),
        (b"{'a':1}", MalformedFileError, "double quotes", 1),
        (b'{"a" 1}', MalformedFileError, "expected ':'", 1),
        (b'{"a":1\n"b":2}', MalformedFileError, "expected ',' or '}'", 2),
        (b'{"a":[1\n2]}', MalformedFileError, "expected ',' or ']'", 2),
        (b'{"a":[1,]}', MalformedFileError, "not valid JSON", 1),
        (b'{"a":[,1]}', MalformedFileError, "not valid JSON", 1),
        (b'{"a":[1}', MalformedFileError, "not valid JSON", 1),
        (b'{"a":[{"id":1],"b":2}]}', MalformedFileError, "not valid JSON", 1),
        (b'{"a":[{"id":[1},2]}]}', MalformedFileError, "not valid JSON", 1),
        (b'{"a":[{"id":1},\n:]}', MalformedFileError, "not valid JSON", 2),
        (b'{"a":[{"id":NaN}\n"b"]}', MalformedFileError, "expected ',' or ']' after $.a[0]", 2),
        (b'{"a":[{"id":NaN},', MalformedFileError, "truncated", 1),
        (b'{"a":[{"id":NaN', MalformedFileError, "truncated", 1),
        (b'{"a":"\\q"}', MalformedFileError, "not valid JSON", 1),
        (b'{"a":\n"\xe4"}', MalformedFileError, "not UTF-8", 2),
        (b'{"\xe4":1}', MalformedFileError, "not UTF-8", 1),
        (b"\xff\xfe{\x00}\x00", MalformedFileError, "UTF-16", None),
        (b"\xfe\xff\x00{\x00}", MalformedFileError, "UTF-16", None),
    ],
)
@pytest.mark.parametrize("block", [1, 1 << 20])
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path,
    blocks: Callable[[int], None],
    block: int,
    text: bytes,
    error: type[ConvertError],
    said: str,
    line: int | None,
) -> None:
    blocks(block)
    path = tmp_path / "a.json"
    path.write_bytes(text)
    with pytest.raises(error) as caught:
        read_array(path, PROBES)
    shown = str(caught.value)
    assert said in shown
    assert caught.value.where is not None
    assert caught.value.where.file == str(path)
    if line is not None:
        assert caught.value.where.line == line


@pytest.mark.parametrize(
    "element",
    [
        b'{"b":NaN}',
        b'{"b":[1,{"c":-Infinity}]}',
        b"Infinity",
        b'{"id":01}',
        b'{"x":"\\q}]"}',
        b'{"x":"\xff"}',
        b'{"id":"\xff"}',
        b'{"id":1 "x":2}',
        b"{'id':1}",
        b'{"id":1,}',
        b'{"x":"\\udce9"}',
        b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
)
@pytest.mark.parametrize("block", [1, 16, 1 << 20])
@pytest.mark.parametrize("probe", [PROBES, ANY, msgspec.json.Decoder(list[msgspec.Raw])])
def test_an_element_that_is_no_json_spoils_no_other(
    tmp_path: Path, blocks: Callable[[int], None], block: int, element: bytes, probe: msgspec.json.Decoder[Any]
) -> None:
    blocks(block)
    path = tmp_path / "a.json"
    good = [b'{"id":%d}' % i for i in range(12)]
    for place in (0, 1, 5, 12):
        path.write_bytes(b'{"a":[' + b",\n".join([*good[:place], element, *good[place:]]) + b'],"b":1}')
        found = read_array(path, probe)
        assert found.pop("b") == 1
        wanted: list[Any] = [{"id": i} for i in range(12)]
        wanted.insert(place, DAMAGED)
        assert found == {"a": wanted}


@pytest.mark.parametrize(
    ("text", "error", "said", "line"),
    [
        (b'{"a":[{"id":1},\n{"x":[0,\nNaN]}]}', MalformedFileError, "$.a[1].x[1]: NaN is not JSON", 3),
        (b'{"a":[{"id":1},{"x":"\xff"}],"b":1}', MalformedFileError, "$.a[1].x: not valid JSON: the text is not", 1),
        (b'{"b":{"x":[0,\nNaN]}}', MalformedFileError, "$.b.x[1]: NaN is not JSON", 2),
        (b'{"b":{"x":' + b"[" * 5000 + b"]" * 5000 + b"}}", SchemaError, "$.b: nested too deeply", 1),
        (b'{"a":[0,\n' + b"[" * 5000 + b"]" * 5000 + b"]}", SchemaError, "$.a[1]: nested too deeply", 2),
    ],
)
@pytest.mark.parametrize("block", [1, 1 << 20])
def test_what_is_not_read_is_proved_too(
    tmp_path: Path,
    blocks: Callable[[int], None],
    block: int,
    text: bytes,
    error: type[ConvertError],
    said: str,
    line: int,
) -> None:
    blocks(block)
    path = tmp_path / "a.json"
    path.write_bytes(text)
    with JsonDocument(path) as document, pytest.raises(error) as caught:
        list(document.members())
    assert f"{path}:{line} {said}" in str(caught.value)


def test_the_end_of_damage_is_looked_for_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonstream, "DEEPEST", 8)
    path = tmp_path / "a.json"
    path.write_bytes(b"[" + b"[" * 8 + b"NaN" + b"]" * 8 + b",1]")
    assert read_array(path) == [DAMAGED, 1]
    path.write_bytes(b"[" + b"[" * 9 + b"NaN" + b"]" * 9 + b",1]")
    with pytest.raises(MalformedFileError, match="NaN is not JSON"):
        read_array(path)


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": [{"id": 1}]}')
    assert read_array(path, PROBES) == {"a": [{"id": 1}]}


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(ReadError, match="cannot be read"):
            JsonDocument(path)


def test_a_value_too_large_to_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonstream, "BLOCK", 4)
    monkeypatch.setattr(jsonstream, "LARGEST_VALUE", 64)
    path = tmp_path / "a.json"
    path.write_bytes(b'{"info":"' + b"x" * 200 + b'"}')
    with pytest.raises(SchemaError, match="single value") as caught:
        read_array(path)
    assert caught.value.where is not None
    assert caught.value.where.path == "$.info"


def test_one_open_bracket_does_not_make_it_read_for_ever(
    tmp_path: Path, blocks: Callable[[int], None]
) -> None:
    blocks(8)
    path = tmp_path / "a.json"
    path.write_bytes(b'{"a":[{"id":1},{"b":[' + b"1," * 5000)
    with pytest.raises(MalformedFileError, match="truncated"):
        read_array(path)


def test_the_quick_way_is_taken(
    tmp_path: Path, blocks: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The boundaries between alike objects are found without a walk, wherever a block ends."""
    value = {"pad": "x" * 50, "rows": [{"id": i, "bbox": [1, 2, 3, 4]} for i in range(2000)]}
    path = tmp_path / "a.json"
    path.write_bytes(dumped(value, None))
    walked: list[int] = []
    walk = JsonDocument._walked

    def count(self: JsonDocument, *args: Any, **more: Any) -> Any:
        rows = walk(self, *args, **more)
        walked.append(len(rows.starts))
        return rows

    monkeypatch.setattr(JsonDocument, "_walked", count)
    for block in range(64, 96):  # the array begins at about the end of the first block
        blocks(block * 10)
        walked.clear()
        assert read_array(path, PROBES)["rows"] == value["rows"]
        assert sum(walked) < 200
        blocks(block)
        walked.clear()
        with JsonDocument(path) as document:
            for member in document.members():
                if member.key == "rows":
                    assert sum(len(rows.probes) for rows in member.rows(PROBES)) == 2000
        assert sum(walked) < 200


def test_line_at(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"a\nb\r\nc")
    assert [line_at(path, offset) for offset in range(8)] == [1, 1, 2, 2, 2, 3, 3, 3]


def test_bad_rows_hold_nothing_in_a_circle(tmp_path: Path) -> None:
    """An error's traceback knows the block that it was found in, whose list has the error."""
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 1}\n' + "[]\n" * 40)
    decoder = msgspec.json.Decoder(Probe)
    gc.collect()
    gc.disable()
    try:
        assert sum(isinstance(probe, Exception) for rows in scan_lines(path, decoder) for probe in rows.probes) == 40
        assert gc.collect() < 40
    finally:
        gc.enable()


def test_lines_are_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In any order, over the bounds of blocks, and beyond the end."""
    path = tmp_path / "a"
    path.write_bytes(b"ab\n" * 100)
    monkeypatch.setattr(LineIndex, "BLOCK", 7)
    index = LineIndex(path)
    offsets = [*range(305), *range(304, -1, -1), *range(0, 300, 17)]
    assert [index.at(offset) for offset in offsets] == [1 + min(offset, 300) // 3 for offset in offsets]
    assert LineIndex(path).at(299) == 100


# ---------------------------------------------------------------------- lines


def read_lines(path: Path) -> tuple[dict[int, Any], list[int]]:
    """Line number -> value, and the numbers of the lines that are not JSON."""
    data = path.read_bytes()
    good: dict[int, Any] = {}
    bad: list[int] = []
    for rows in scan_lines(path, LINE):
        assert rows.numbers is not None
        assert len(rows.starts) == len(rows.ends) == len(rows.probes) == len(rows.numbers)
        for i, (number, probe) in enumerate(zip(rows.numbers, rows.probes, strict=True)):
            assert data[rows.base + rows.starts[i] : rows.base + rows.ends[i]] == rows.raw(i)
            if isinstance(probe, Exception):
                bad.append(number)
            else:
                assert json.loads(rows.raw(i)) == probe
                good[number] = probe
    return good, bad


LINES = st.one_of(
    VALUE.map(lambda value: (json.dumps(value), value)),
    st.sampled_from(["", "  ", "\t"]).map(lambda text: (text, ...)),
    st.sampled_from(
        ["{", '{"a":', "1}", '} {"b":2}', '{"a":1}{"b":2}', "1 2", '{"a":1},', "NaN", "\\", '"', "]"]
    ).map(lambda text: (text, Exception)),
)


@given(
    lines=st.lists(LINES, max_size=8), block=BLOCKS, end=st.sampled_from(["\n", "\r\n"]), last=st.booleans()
)
@STABLE
def test_lines_are_read_one_by_one(
    tmp_path: Path, blocks: Callable[[int], None], lines: list[Any], block: int, end: str, last: bool
) -> None:
    blocks(block)
    path = tmp_path / "a.jsonl"
    path.write_bytes(end.join(text for text, _ in lines).encode() + (end.encode() if last else b""))
    good, bad = read_lines(path)
    assert good == {i: value for i, (_, value) in enumerate(lines, 1) if value not in (..., Exception)}
    assert bad == [i for i, (_, value) in enumerate(lines, 1) if value is Exception]


def test_two_lines_that_make_two_values_only_together_are_both_bad(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a":\n1} {"b":2}\n{"c":3}\n')
    assert read_lines(path) == ({3: {"c": 3}}, [1, 2])


@pytest.mark.parametrize("bad", [b'"\xff"', b'{"a":"\xff"}', b"[" * 5000 + b"]" * 5000])
def test_a_line_that_cannot_be_decoded_is_one_bad_line(tmp_path: Path, bad: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a":1}\n' + bad + b'\n{"b":2}\n')
    assert read_lines(path) == ({1: {"a": 1}, 3: {"b": 2}}, [2])


def test_lines_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a":1}\n\n{"b":2}')
    assert read_lines(path) == ({1: {"a": 1}, 3: {"b": 2}}, [])


def test_a_line_too_long_to_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonstream, "BLOCK", 4)
    monkeypatch.setattr(jsonstream, "LARGEST_VALUE", 64)
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"{}\n" + b'"' + b"x" * 100)
    with pytest.raises(SchemaError, match="line 2 is longer"):
        read_lines(path)


def test_lines_of_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="cannot be read"):
        list(scan_lines(tmp_path / "none.jsonl", LINE))


def test_seams_within_elements_are_not_taken_for_bounds_between_others(tmp_path: Path) -> None:
    value = [{"id": 0, "x": [{"b": 1}, {"c": 1}, {"d": 1}]}, 5, {"id": 1}, {"id": 2}]
    path = tmp_path / "a.json"
    path.write_bytes(dumped(value, None))
    assert read_array(path) == value
