"""The model itself as JSON Lines: every word of it, both ways. Tests, pipes and bug reports speak it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from nucleus_convert.converters import model
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import (
    MalformedFileError,
    SchemaError,
    UnrepresentableError,
    Where,
)
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.optionmodel import Options
from nucleus_convert.converters.parallel import encode_chunks
from nucleus_convert.converters.protocol import Feature, Spec, Target
from nucleus_convert.converters.report import Fate, Report
from nucleus_convert.formats import ir

SPEC = Spec(
    name="ir",
    title="the model itself as JSON Lines",
    holds=frozenset(Feature),
    layout="file",
    suffix=".ndjson",
    reference="converters/model.py",
)

_DECODE = msgspec.json.Decoder(model.Record).decode
_ENCODER = msgspec.json.Encoder()


class ReadOptions(Options):
    """None: an IR file says everything itself."""


class WriteOptions(Options):
    """None: an IR file holds everything."""


def sniff(source: Path) -> str | None:
    """None if the file begins as an IR file does."""
    if not source.is_file():
        return "it is not a file"
    with source.open("rb") as file:
        start = file.read(len(ir.START) + 64)
    if b"".join(start.split()).startswith(ir.START):
        return None
    return 'its first line does not begin with {"header":'


def read(source: Path, *, options: ReadOptions, report: Report) -> LabelSet:
    """Open an IR file: the header now, records when they are asked for.

    Raises:
        ReadError: the file, or its first line, cannot be read.
    """
    envelope, lines = ir.load(source)
    where = Where(file=str(source), line=1)
    if envelope.model_version > model.MODEL_VERSION:
        raise SchemaError(
            f"the model's version is {envelope.model_version}, and this program knows {model.MODEL_VERSION}",
            where,
            hint="install a newer nucleus-convert",
        )
    try:
        header = msgspec.json.decode(envelope.header, type=model.Header)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SchemaError(f"the header does not fit the model: {error}", where) from error
    return LabelSet(header, _Records(lines), size=len(lines))


class _Records(msgspec.Struct, frozen=True):
    lines: ir.Lines

    def __call__(self, report: Report, start: int, stop: int | None) -> Iterator[model.Record]:
        for number, line in self.lines.read(start, stop):
            where = Where(file=str(self.lines.path), line=number)
            try:
                record = _DECODE(line)
                if b'"mask"' in line or b'"keypoints"' in line:
                    _check_shapes(record, where)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, SchemaError) as error:
                report.reject(
                    error if isinstance(error, SchemaError) else _error(error, where),
                    line.decode("utf-8", "backslashreplace").rstrip("\r\n"),
                    kind="item",
                    what="line that is no record of the model",
                )
            else:
                yield _unmarked(record, report) if b'"derived"' in line else record


def _check_shapes(record: model.Record, where: Where) -> None:
    """Raise SchemaError unless masks cover their size, and keypoints are what they should be: no type says so."""
    for i, annotation in enumerate(record.annotations):
        place = msgspec.structs.replace(where, path=f"$.annotations[{i}]")
        for shape in annotation.shapes:
            if type(shape) is model.Mask:
                from nucleus_convert.converters import masks  # heavy, and many files have no mask

                masks.read_counts(shape.counts, shape.height, shape.width, where=place)
            elif type(shape) is model.Keypoints and (
                len(shape.points) % 3 or not {*shape.points[2::3]} <= {0, 1, 2}
            ):
                raise SchemaError("expected keypoints of x, y and a visibility of 0, 1 or 2 each", place)


def _unmarked(record: model.Record, report: Report) -> model.Record:
    """The record of a file written after ``fit``: the shapes that it added are now what the source says."""
    annotations = []
    for annotation in record.annotations:
        if annotation.derived:
            where = Where(item=str(record.item.id), annotation=str(annotation.id))
            report.add(Code.VALUE_NORMALISED, "derived shapes are read as any other", where=where)
            annotation = msgspec.structs.replace(annotation, derived=())
        annotations.append(annotation)
    return model.Record(record.item, tuple(annotations))


def _error(error: Exception, where: Where) -> SchemaError | MalformedFileError:
    if isinstance(error, msgspec.ValidationError):
        text, _, path = str(error).partition(" - at ")
        where = msgspec.structs.replace(where, path=path.strip("`") or None)
        return SchemaError(f"the record does not fit the model: {text:.300}", where)
    return MalformedFileError(f"the line is not JSON: {error}", where)


def write(labels: LabelSet, target: Target, *, options: WriteOptions, report: Report) -> list[Path]:
    """Write the header, then a line for each record.

    Raises:
        UnrepresentableError: a number is NaN or infinite, which JSON has no word for.
    """
    header = _finite(_ENCODER.encode(labels.header), labels.header, Where())
    with target.path.open("wb") as file:
        file.write(b'{"header":%b,"model_version":%d}\n' % (header, model.MODEL_VERSION))
        chunks = encode_chunks(labels, _encode, report, workers=target.workers, progress=target.progress)
        for chunk in chunks:
            file.write(chunk)
    return [target.path]


def _encode(records: Iterator[model.Record], report: Report) -> bytes:
    text = bytearray()
    kinds: Counter[tuple[type[Any], ...]] = Counter()
    count = 0
    for record in records:
        line = _ENCODER.encode(record)
        text += _finite(line, record, Where(item=str(record.item.id)))
        text += b"\n"
        count += 1
        kinds.update(tuple(map(type, annotation.shapes)) for annotation in record.annotations)
    report.ledger.item("written", count)
    for shapes, times in kinds.items():
        fate: Fate = (("object", "written"), *((model.KINDS[shape], "written") for shape in shapes))
        report.ledger.fate(fate, times)
    return bytes(text)


def _finite(line: bytes, value: Any, where: Where) -> bytes:
    """``line``, which encodes ``value``, unless that holds a number that is none.

    msgspec writes NaN and infinity as null, so only a line with a null in it needs a closer look.
    """
    if b"null" in line and (path := _not_finite(value)) is not None:
        raise UnrepresentableError(
            "a number is NaN or infinite, which JSON has no word for",
            msgspec.structs.replace(where, path=f"${path}"),
            hint="mend the source",
        )
    return line


def _not_finite(value: Any) -> str | None:
    """The path of the first number in ``value`` that is NaN or infinite."""
    if isinstance(value, float):
        return None if math.isfinite(value) else ""
    if isinstance(value, msgspec.Struct):
        pairs = [(f".{name}", getattr(value, name)) for name in value.__struct_fields__]
    elif isinstance(value, Mapping):
        pairs = [(f".{key}", item) for key, item in value.items()]
    elif isinstance(value, list | tuple):
        pairs = [(f"[{index}]", item) for index, item in enumerate(value)]
    else:
        return None
    for name, item in pairs:
        if (path := _not_finite(item)) is not None:
            return name + path
    return None
