"""JSON Lines of run-length masks to the model and back: what pycocotools takes and gives, one a line.

Masks are COCO's: ``size`` is [height, width], ``counts`` a compressed string or a list of runs down the
columns. What a line has no key for travels in it under one reserved key.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import (
    ConvertError,
    MalformedFileError,
    SchemaError,
    UnrepresentableError,
    Where,
)
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.model import KINDS, Annotation, Header, Item, Label, Mask, Record
from nucleus_convert.converters.optionmodel import Options, option
from nucleus_convert.converters.parallel import encode_chunks
from nucleus_convert.converters.protocol import Feature, Spec, Target
from nucleus_convert.converters.report import Report
from nucleus_convert.formats import rle as wire
from nucleus_convert.formats.jsonlines import scan_lines
from nucleus_convert.formats.rows import RowFile, RowIndex

RESERVED = "_nucleus_convert"
VERSION = 1
_HOLDS = frozenset(
    {
        Feature.MASK,
        Feature.BOX,
        Feature.UNLABELLED,
        Feature.ID,
        Feature.CONFIDENCE,
        Feature.CROWD,
        Feature.ITEM_ID,
        Feature.EMPTY_ITEM,
        Feature.PATH,
        Feature.SIZE,
        Feature.LABEL_ID,
    }
)
_NOWHERE = frozenset(
    {
        # A line is about a mask: what says an outline more exactly would contradict it once someone edits
        # the mask.
        *(Feature.POLYGON, Feature.PARTS, Feature.HOLES, Feature.ELLIPSE, Feature.ROTATION),
        # No line is about the data set.
        *(
            Feature.SCENE,
            Feature.TAXONOMIES,
            Feature.HEADER_EXTRAS,
            Feature.UNUSED_LABEL,
            Feature.LABEL_PARENT,
        ),
        *(Feature.LABEL_COLOR, Feature.LABEL_KEYPOINTS, Feature.LABEL_ATTRIBUTES, Feature.LABEL_EXTRAS),
    }
)

SPEC = Spec(
    name="rle",
    title="JSON Lines of run-length masks",
    holds=_HOLDS,
    carries=frozenset(Feature) - _HOLDS - _NOWHERE,
    layout="file",
    suffix=".jsonl",
    reference="docs/masks.md",
)


class ReadOptions(Options):
    """Options of the reader of run-length lines."""

    predictions: bool = option(False, description="read every mask as a model's prediction")


class WriteOptions(Options):
    """Options of the writer of run-length lines."""

    counts: bool = option(False, description="write counts as lists of runs, not as compressed strings")


def sniff(source: Path) -> str | None:
    """None if the first line is a mask's."""
    if not source.is_file():
        return "it is not a file"
    return None if wire.opens_like_rle(source) else 'its first line has no "size" and "counts"'


# --- reading -------------------------------------------------------------------------------------------


def read(source: Path, *, options: ReadOptions, report: Report) -> LabelSet:
    """Open a file of masks; lines that name the same image make one item.

    Raises:
        ReadError: the file cannot be read.
    """
    index = RowIndex()
    numbers: list[int] = []
    images: dict[wire.Key | tuple[int], int] = {}
    labels: dict[str, Label] = {}
    for rows in scan_lines(source, wire.PROBES):
        for i, probe in enumerate(rows.probes):
            number = rows.numbers[i] if rows.numbers else rows.first + i
            if isinstance(probe, Exception):
                _reject(probe, rows.raw(i), Where(file=str(source), line=number), report)
                continue
            image = wire.image_of(probe)
            group = images.setdefault((number,) if image is None else image, len(images))
            index.add(rows.base + rows.starts[i], rows.ends[i] - rows.starts[i], group)
            numbers.append(number)
            name, category = wire.label_of(probe)
            if name is not None and name not in labels:
                labels[name] = Label(name=name, id=category)
    index.freeze(len(images))
    lines = wire.Lines(RowFile(source), index, numbers)
    header = Header(labels=tuple(labels.values()))
    return LabelSet(header, RleSource(lines, str(source), options.predictions), size=len(images))


def _reject(error: Exception, raw: bytes, where: Where, report: Report) -> None:
    text = str(error).partition(" (byte")[0]
    wrong: ConvertError
    if isinstance(error, msgspec.ValidationError):
        wrong = SchemaError("expected a JSON object with size and counts", where)
    else:
        wrong = MalformedFileError(f"the line is not JSON: {text}", where)
    report.reject(wrong, raw.decode("utf-8", "backslashreplace"), what="line that is no JSON object")


class RleSource(msgspec.Struct, frozen=True):
    """Reads the lines of images ``start`` to ``stop``. Picklable."""

    lines: wire.Lines
    name: str
    predicted: bool

    def __call__(self, report: Report, start: int, stop: int | None) -> Iterator[Record]:
        """Yield the records of images ``start`` to ``stop``."""
        index = self.lines.index
        count = index.groups if stop is None else min(stop, index.groups)
        for group in range(start, count):
            record = self._record(index.rows(group), report)
            if record is not None:
                yield record

    def _record(self, rows: list[tuple[int, int, int]], report: Report) -> Record | None:
        item: Item | None = None
        annotations: list[Annotation] = []
        for position, offset, length in rows:
            number = self.lines.numbers[position]
            where = Where(file=self.name, line=number)
            raw = self.lines.file.read(offset, length)
            try:
                row = _object(raw, where)
                kept = row.get(RESERVED) or {}
                if item is None:
                    item = _item(row, kept, number, where)
                if _without_mask(row, kept):
                    continue
                annotations.append(_annotation(row, kept, item, self.predicted, where))
            except ConvertError as error:
                report.reject(error, raw.decode("utf-8", "backslashreplace"))
        return None if item is None else Record(item, tuple(annotations))


def _object(raw: bytes, where: Where) -> dict[str, Any]:
    try:
        row = wire.DECODE(raw)
    except RecursionError as error:
        raise SchemaError("nested too deeply", where) from error
    if not isinstance(row, dict):
        raise SchemaError("expected a JSON object with size and counts", where)
    kept = row.get(RESERVED, {"v": VERSION})
    known = isinstance(kept, dict) and kept.get("v") == VERSION
    if not known or not all(isinstance(kept.get(name, {}), dict) for name in ("annotation", "item")):
        text = f"key '{RESERVED}' is not what this version writes"
        raise SchemaError(text, where, "remove the key to read without it")
    return row


def _without_mask(row: dict[str, Any], kept: dict[str, Any]) -> bool:
    """Whether a line is about an image without masks; one whose size is not known says so under our key."""
    about_item = "size" in row or "item" in kept
    return about_item and "counts" not in row and "segmentation" not in row and "annotation" not in kept


def _size(row: dict[str, Any], where: Where) -> tuple[int, int] | None:
    """Height and width as the line gives them."""
    inner = row.get("segmentation")
    size = row.get("size", inner.get("size") if isinstance(inner, dict) else None)
    if size is None:
        return None
    if not (isinstance(size, list) and len(size) == 2 and all(type(n) is int and n > 0 for n in size)):
        raise SchemaError('expected "size": [height, width]', where)
    return size[0], size[1]


def _item(row: dict[str, Any], kept: dict[str, Any], number: int, where: Where) -> Item:
    size = _size(row, where)
    path = next((row[key] for key in wire.IMAGE_KEYS if isinstance(row.get(key), str)), None)
    given = row.get("image_id")
    identity: int | str = given if isinstance(given, int | str) else number if path is None else path
    if "item" in kept:
        item: Item = _convert({"id": identity, "path": path, **_sides(size), **kept["item"]}, Item, where)
        return item
    return Item(id=identity, path=path, **_sides(size))


def _sides(size: tuple[int, int] | None) -> dict[str, Any]:
    return {} if size is None else {"height": size[0], "width": size[1]}


def _convert(value: Any, kind: type[Any], where: Where) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise SchemaError(
            f"key '{RESERVED}' was changed: {error}", where, "remove the key to read without it"
        ) from error


def _annotation(
    row: dict[str, Any], kept: dict[str, Any], item: Item, predicted: bool, where: Where
) -> Annotation:
    from nucleus_convert.converters import masks

    said = _convert(kept.get("annotation", {}), Annotation, where)
    inner = row.get("segmentation")
    holder = inner if isinstance(inner, dict) else row
    given: list[Mask] = []
    extras: dict[str, Any] = {
        key: value for key, value in row.items() if key not in wire.KNOWN and key != RESERVED
    }
    if "counts" in holder or "size" not in row:
        size = _size(row, where)
        counts = holder.get("counts")
        if size is None or not isinstance(counts, str | list):
            if not kept:
                raise SchemaError('expected "size": [height, width] and "counts"', where)
        else:
            runs = masks.read_counts(counts, *size, where=where)
            if item.height and item.width and size != (item.height, item.width):
                sizes = f"{size[0]} x {size[1]} (height x width), its image {item.height} x {item.width}"
                raise SchemaError(f"the mask is {sizes}", where, "masks of one image must be of its size")
            given.append(Mask(counts if isinstance(counts, str) else masks.encode_counts(runs), *size))
    identity = next((row[key] for key in wire.ID_KEYS if type(row.get(key)) in (int, str)), None)
    score, crowd = row.get("score"), row.get("iscrowd")
    if score is not None and type(score) not in (int, float):
        raise SchemaError(f"expected a number as score, found {score!r:.40}", where)
    if crowd not in (None, 0, 1):
        raise SchemaError(f"expected iscrowd 0 or 1, found {crowd!r:.40}", where)
    own = {"rle": extras} if extras else {}
    return Annotation(
        **{
            **{name: getattr(said, name) for name in said.__struct_fields__},
            "label": wire.label_of(msgspec.convert(row, wire.Probe))[0],
            "shapes": (*said.shapes, *given),
            "id": identity,
            "predicted": predicted or said.predicted,
            "confidence": score,
            "crowd": None if crowd is None else bool(crowd),
            "extras": {**said.extras, **own},
        }
    )


# --- writing -------------------------------------------------------------------------------------------


def write(labels: LabelSet, target: Target, *, options: WriteOptions, report: Report) -> list[Path]:
    """Write a line for each mask, and one for each image without masks.

    Raises:
        UnrepresentableError: a number is NaN or infinite.
    """
    numbers = {label.name: label.id for label in labels.header.labels if label.id is not None}
    used: set[str] = set()
    encode = _Encode(numbers, options.counts)
    with target.path.open("wb") as file:
        for text, seen in encode_chunks(
            labels, encode, report, workers=target.workers, progress=target.progress
        ):
            file.write(text)
            used |= seen
    for label in labels.header.labels:
        if label.name not in used:
            where = Where(path=f"label '{label.name}'")
            report.add(Code.DROPPED, str(Feature.UNUSED_LABEL), format=SPEC.name, where=where)
    return [target.path]


class _Encode(msgspec.Struct, frozen=True):
    numbers: dict[str, Any]
    lists: bool

    def __call__(self, records: Iterator[Record], report: Report) -> tuple[bytes, set[str]]:
        """The lines of a stretch of records, and the labels that occur in them."""
        text = bytearray()
        used: set[str] = set()
        for record in records:
            item = record.item
            head = _head(item)
            lines = [self._line(annotation, head, item, report) for annotation in record.annotations] or [
                head
            ]
            kept = _rest(item)
            if "size" in lines[0]:  # of a mask: what is not said of the image stays so
                kept |= {name: None for name in ("height", "width") if getattr(item, name) is None}
            if kept or (not record.annotations and "size" not in head):
                reserved = {"v": VERSION, **lines[0].get(RESERVED, {}), "item": kept}
                lines[0] = {**lines[0], RESERVED: reserved}
            for line in lines:
                text += wire.ENCODE(line) + b"\n"
            used.update(annotation.label for annotation in record.annotations if annotation.label is not None)
            report.ledger.item("written")
        return bytes(text), used

    def _line(
        self, annotation: Annotation, head: dict[str, Any], item: Item, report: Report
    ) -> dict[str, Any]:
        line = {key: value for key, value in head.items() if key != "size"}
        if annotation.id is not None:
            line["id"] = annotation.id
        if annotation.label is not None:
            line["label"] = annotation.label
            if annotation.label in self.numbers:
                line["category_id"] = self.numbers[annotation.label]
        if annotation.confidence is not None:
            line["score"] = _finite(annotation.confidence, item, annotation)
        if annotation.crowd is not None:
            line["iscrowd"] = int(annotation.crowd)
        mask: Mask | None = annotation.shape(Mask)
        if mask is not None:
            line["size"] = [mask.height, mask.width]
            line["counts"] = self._counts(mask)
        elif "size" in head:
            line["size"] = head["size"]
        own = annotation.extras.get("rle", {})
        line = {**own, **line}
        originals = annotation.shapes[: len(annotation.shapes) - len(annotation.derived)]
        others = tuple(shape for shape in originals if shape is not mask)
        rest = msgspec.structs.replace(
            annotation, label=None, id=None, confidence=None, crowd=None, shapes=others, derived=(),
            extras={name: values for name, values in annotation.extras.items() if name != "rle"},
        )  # fmt: skip
        kept = msgspec.to_builtins(rest)
        if kept or mask is None:
            line[RESERVED] = {"v": VERSION, "annotation": kept}
        drawn = mask is not None and any(shape is mask for shape in originals)
        report.ledger.fate(
            (
                ("object", "carried" if mask is None else "written"),
                *((("mask", "written"),) if drawn else ()),
                *((KINDS[type(shape)], "carried") for shape in others),
            )
        )
        return line

    def _counts(self, mask: Mask) -> Any:
        if not self.lists:
            return mask.counts
        from nucleus_convert.converters import masks

        return masks.decode_counts(mask.counts).tolist()


def _head(item: Item) -> dict[str, Any]:
    head: dict[str, Any] = {}
    if item.path is not None:
        head["image"] = item.path
    head["image_id"] = item.id
    if item.height is not None and item.width is not None:
        head["size"] = [item.height, item.width]
    return head


def _rest(item: Item) -> dict[str, Any]:
    """What of an item the lines have no keys for."""
    rest: dict[str, Any] = msgspec.to_builtins(item)
    for name in ("id", "path"):
        rest.pop(name, None)
    if "height" in rest and "width" in rest:
        del rest["height"], rest["width"]
    return rest


def _finite(number: float, item: Item, annotation: Annotation) -> float:
    if not math.isfinite(number):
        where = Where(item=str(item.path or item.id), annotation=str(annotation.id))
        raise UnrepresentableError(
            "a number is NaN or infinite, which JSON has no word for", where, "mend the source"
        )
    return number
