"""The ir format: every word of the model, both ways."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nucleus_convert.converters import ir, model, parallel
from nucleus_convert.converters.errors import (
    ConvertError,
    MalformedFileError,
    ReadError,
    SchemaError,
    UnrepresentableError,
)
from nucleus_convert.converters.labelset import LabelSet, from_records
from nucleus_convert.converters.model import Annotation, Box, Header, Item, Record
from nucleus_convert.converters.protocol import Target
from nucleus_convert.converters.report import Report

HEADER = '{"header":{"labels":[{"name":"cat"}]},"model_version":1}\n'
GOOD = '{"item":{"id":1},"annotations":[]}\n'


def read(path: Path, report: Report | None = None) -> LabelSet:
    return ir.read(path, options=ir.ReadOptions(), report=report or Report())


def write(labels: LabelSet, path: Path, report: Report | None = None, workers: int = 1) -> None:
    ir.write(labels, Target(path, path, workers), options=ir.WriteOptions(), report=report or Report())


def structs(value: Any) -> Iterator[msgspec.Struct]:
    if isinstance(value, msgspec.Struct):
        yield value
        value = [getattr(value, name) for name in value.__struct_fields__]
    if isinstance(value, list | tuple):
        for one in value:
            yield from structs(one)


def test_the_fixture_says_everything_that_the_model_can_say(fixtures: Path) -> None:
    labels = read(fixtures / "ir/everything/labels.ndjson")
    said: dict[str, set[str]] = {}
    for struct in structs([labels.header, list(labels)]):
        kind = type(struct)
        for field in msgspec.structs.fields(kind):
            if getattr(struct, field.name) != field.default:
                said.setdefault(kind.__name__, set()).add(field.name)
    unsaid = {
        f"{kind.__name__}.{name}"
        for kind in vars(model).values()
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind is not model.Strict
        for name in set(kind.__struct_fields__) - said.get(kind.__name__, set())
    }
    assert unsaid == {"Annotation.derived", "Header.model_version"}


def test_what_is_read_is_written_byte_for_byte(fixtures: Path, tmp_path: Path) -> None:
    source = fixtures / "ir/everything/labels.ndjson"
    report = Report()
    write(read(source), tmp_path / "out.ndjson", report)
    assert (tmp_path / "out.ndjson").read_bytes() == source.read_bytes()
    report.ledger.check()
    assert report.ledger.balance()["item"]["written"] == 3


def test_a_data_set_without_items_comes_back(tmp_path: Path) -> None:
    write(from_records(Header(), []), tmp_path / "a.ndjson")
    labels = read(tmp_path / "a.ndjson")
    assert (labels.size, list(labels), labels.header) == (0, [], Header())


def test_derived_shapes_are_read_as_any_other(tmp_path: Path) -> None:
    """Else the balance would not close: what ``fit`` adds is not counted as read, and what a file says is."""
    marked = Annotation(id=1, shapes=(Box(1, 2, 3, 4),), derived=("box",))
    write(from_records(Header(), [Record(Item(id=1), (marked,))]), tmp_path / "a.ndjson")
    report = Report()
    [record] = read(tmp_path / "a.ndjson").records(report)
    assert record.annotations == (Annotation(id=1, shapes=(Box(1, 2, 3, 4),)),)
    assert report.count("value-normalised") == 1
    assert report.ledger.balance()["box"]["read"] == 1


def test_any_stretch_can_be_read_and_blank_lines_are_no_items(tmp_path: Path) -> None:
    lines = [f'{{"item":{{"id":{number}}}}}\n' for number in range(10)]
    lines.insert(4, "\n")
    lines.insert(7, "  \n")
    path = tmp_path / "a.ndjson"
    path.write_text(HEADER + "".join(lines) + "\n")
    labels = read(path)
    assert labels.size == 10
    for start in range(11):
        for stop in [*range(start, 12), None]:
            ids = [record.item.id for record in labels.records(Report(), start, stop)]
            assert ids == list(range(10))[start:stop]


def test_the_source_is_picklable(fixtures: Path) -> None:
    labels = read(fixtures / "ir/everything/labels.ndjson")
    again = pickle.loads(pickle.dumps(labels))
    assert list(again) == list(labels)


def test_the_number_of_workers_changes_nothing(tmp_path: Path, boxes: Callable[[int], LabelSet]) -> None:
    labels = boxes(parallel.CHUNK * 2 + 10)
    written = []
    for workers in (1, 2):
        path, report = tmp_path / f"{workers}.ndjson", Report()
        write(labels, path, report, workers)
        written.append((path.read_bytes(), report.to_json()))
    assert written[0] == written[1]


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("", MalformedFileError, "empty"),
        ('{"header":{"labels":', MalformedFileError, "not JSON"),
        ('{"header":{}}\n', SchemaError, "model_version"),
        ('{"images":[]}\n', SchemaError, "not a header"),
        ("[]\n", SchemaError, "not a header"),
        ('{"header":{"labels":[{"id":3}]},"model_version":1}\n', SchemaError, "name"),
        ('{"header":{"colour":1},"model_version":1}\n', SchemaError, "colour"),
        ('{"header":{},"model_version":2}\n', SchemaError, "version is 2"),
        ('{"header":{"labels":[{"name":"\udcff"}]},"model_version":1}\n', SchemaError, "utf-8"),
    ],
)
def test_a_wrong_first_line_is_named(tmp_path: Path, text: str, error: type[ConvertError], said: str) -> None:
    path = tmp_path / "a.ndjson"
    path.write_text(text, errors="surrogateescape")
    with pytest.raises(error, match=said) as caught:
        read(path)
    assert type(caught.value) is error
    assert caught.value.where is not None
    assert (caught.value.where.file, caught.value.where.line) == (str(path), 1)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="No such file"):
        read(tmp_path / "none.ndjson")


BAD = [
    (
        '{"item":{"id":1},"annotations":[{"shapes":[{"type":"box","x":"1","y":2,"width":3,"height":4}]}]}',
        "$.ann",
    ),
    ('{"item":{"id":1},"annotations":[{"shapes":[{"type":"blob"}]}]}', "blob"),
    ('{"item":{"id":1},"annotations":[{"lable":"cat"}]}', "lable"),
    ('{"item":{"id":1},"annotations":[{"%s":"cat"}]}' % ("l" * 5000), "lll"),
    ('{"item":{"id":1},"annotations":[', "truncated"),
    ('{"item":{"id":1}} {"item":{"id":2}}', "trailing"),
    (
        '{"item":{"id":1},"annotations":[{},{"shapes":[{"type":"mask","counts":"04","height":2,"width":3}]}]}',
        "$.annotations[1]: RLE counts cover 4 pixels",
    ),
    (
        '{"item":{"id":1},"annotations":[{"shapes":[{"type":"mask","counts":"/","height":2,"width":3}]}]}',
        "RLE counts hold the character '/'",
    ),
    (
        '{"item":{"id":1},"annotations":[{"shapes":[{"type":"keypoints","points":[1,2,3]}]}]}',
        "$.annotations[0]: expected keypoints of x, y and a visibility of 0, 1 or 2",
    ),
    ('{"item":{"id":1},"annotations":[{"shapes":[{"type":"keypoints","points":[1,2]}]}]}', "expected keypoints"),
    ('{"item":{"id":NaN}}', "NaN|malformed|JSON"),
    ('{"item":{"id":1,"attributes":{"a":1e999}}}', "range"),
    ('{"item":{"id":"\udcff"}}', "utf-8"),
    ('{"item":{"id":1,"attributes":{"a":' + "[" * 5000 + "]" * 5000 + "}}}", "recursion"),
]


@pytest.mark.parametrize(("line", "said"), BAD, ids=[said for _, said in BAD])
def test_a_bad_line_stops_or_is_kept_verbatim(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(
        (HEADER + GOOD + "\n").encode() + line.encode(errors="surrogateescape") + b"\n" + GOOD.encode()
    )
    with pytest.raises(ReadError) as caught:
        list(read(path))
    assert caught.value.where is not None
    assert caught.value.where.line == 4
    assert said.split("|")[0] in str(caught.value) or any(one in str(caught.value) for one in said.split("|"))
    assert "--on-error" in (caught.value.hint or "") or "RLE" in said  # of masks more is known

    report = Report("quarantine")
    assert len(list(read(path).records(report))) == 2
    balance = report.ledger.balance()["item"]
    assert (balance["read"], balance["skipped"]) == (3, 1)
    [rejected] = report.rejected
    assert rejected.record == line.encode(errors="surrogateescape").decode(errors="backslashreplace")
    assert rejected.where.line == 4
    assert len(rejected.reason) < 400


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "annotation",
    [
        lambda value: Annotation(id="a", shapes=(Box(1, 2, value, 4),)),
        lambda value: Annotation(id="a", confidence=value),
        lambda value: Annotation(id="a", extras={"coco": {"deep": [{"er": [1, value]}]}}),
    ],
)
def test_no_number_that_is_none_is_written(
    tmp_path: Path, value: float, annotation: Callable[[float], Annotation]
) -> None:
    labels = from_records(Header(), [Record(Item(id=5), (annotation(value),))])
    with pytest.raises(UnrepresentableError, match="NaN or infinite") as caught:
        write(labels, tmp_path / "a.ndjson")
    assert caught.value.where is not None
    assert caught.value.where.item == "5"
    assert str(caught.value.where.path).startswith("$.annotations[0]")
    with pytest.raises(UnrepresentableError):
        write(from_records(Header(extras={"coco": {"x": value}}), []), tmp_path / "b.ndjson")


def test_null_that_was_said_is_written(tmp_path: Path) -> None:
    record = Record(Item(id=1, extras={"coco": {"a": None, "b": "null"}}))
    write(from_records(Header(), [record]), tmp_path / "a.ndjson")
    assert list(read(tmp_path / "a.ndjson")) == [record]


def test_sniff(tmp_path: Path, fixtures: Path) -> None:
    assert ir.sniff(fixtures / "ir/everything/labels.ndjson") is None
    assert ir.sniff(tmp_path) == "it is not a file"
    for text in ("", "[]", '{"images": []}', '{"headers":1}'):
        (tmp_path / "a").write_text(text)
        assert ir.sniff(tmp_path / "a") is not None
    (tmp_path / "a").write_text(json.dumps({"header": {}, "model_version": 1}, indent=2))
    assert ir.sniff(tmp_path / "a") is None
