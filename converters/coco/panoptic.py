"""COCO panoptic: JSON with a row of segments for each image, and a folder of PNGs coloured by their ids.

A pixel's id is R + 256 G + 65536 B; 0 is nothing. Each segment becomes an annotation with the mask of its
pixels. Its ``area`` and ``bbox`` are kept only where the pixels say otherwise, and given back then. One
picture is in memory at a time; rows are found by their place in the file, as in ``read``.
"""

from __future__ import annotations

import json
import mmap
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from nucleus_convert.converters import filenames
from nucleus_convert.converters.coco.labels import read_categories
from nucleus_convert.converters.coco.options import ReadOptions
from nucleus_convert.converters.coco.reserved import (
    RESERVED,
    Carried,
    kept_root,
    kept_segment,
    placed,
    restore_header,
    restore_item,
)
from nucleus_convert.converters.coco.scan import with_bad_image
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import (
    ConvertError,
    DanglingReferenceError,
    ReadError,
    SchemaError,
    Where,
)
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.model import Annotation, Header, Item, Label, Mask, Record
from nucleus_convert.converters.report import Report
from nucleus_convert.formats import coco as wire
from nucleus_convert.formats.jsonstream import JsonDocument, Rows
from nucleus_convert.formats.rows import RowFile, RowIndex

KEY = "segment"
"""Under which an annotation's ``extras["coco"]`` has what a segment said beside its pixels."""
_FIRST_ROW = re.compile(rb'"annotations"\s*:\s*\[\s*\{')
_LOOK = 1 << 20
_OWN = ("id", "category_id", "area", "bbox", "iscrowd")
_ROW_KEYS = ("image_id", "segments_info")
_ITEM_KEYS = ("id", "file_name", "width", "height")


def is_panoptic(path: Path) -> bool:
    """Whether the first annotation of a JSON file has segments."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for found in _FIRST_ROW.finditer(data):
                told = _has_segments(data[found.end() - 1 : found.end() + _LOOK])
                if told is not None:
                    return told
            return False
    except (OSError, ValueError):  # an empty file cannot be mapped
        return False


def _has_segments(start: bytes) -> bool | None:
    """Whether the JSON object that begins here is a row of segments; None if it is no row of a COCO file."""
    try:
        row, _ = json.JSONDecoder().raw_decode(start.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        # Longer than what was looked at: rows of objects have a category before so many numbers.
        return b'"segments_info"' in start and b'"bbox"' in start
    if "image_id" not in row:
        return None  # what travels with an image has this key too
    return "segments_info" in row and "category_id" not in row


def files(source: Path) -> list[Path]:
    """The panoptic files of a source: itself, or all in a folder that has no other COCO files."""
    if source.is_file():
        return [source] if source.suffix.lower() == ".json" and is_panoptic(source) else []
    folder = source / "annotations" if (source / "annotations").is_dir() else source
    paths = [path for path in sorted(folder.glob("*.json")) if not path.name.endswith("report.json")]
    return paths if all(map(is_panoptic, paths)) else []


class _Truth(msgspec.Struct):
    """What names the images and categories of results; ``lost`` are the ids of images that are no JSON."""

    images: dict[int | str, dict[str, Any]]
    labels: list[tuple[int | str, Label]]
    lost: set[int | str]


class _Members(msgspec.Struct):
    """The root of a file, but for its annotations: other members, image rows with their places, keys in their order."""

    fields: dict[str, Any] = msgspec.field(default_factory=dict)
    images: list[tuple[int, Any]] = msgspec.field(default_factory=list)
    keys: list[str] = msgspec.field(default_factory=list)
    lost: set[int | str] = msgspec.field(default_factory=set)


Carrier: TypeAlias = tuple[Item, Carried]
"""An item, and annotations that travel with it."""


class Part(msgspec.Struct):
    """One file: where its rows are, what its categories mean, where its pictures are."""

    name: str
    folder: Path
    file: RowFile
    index: RowIndex
    labels: dict[int | str, str]
    predicted: bool
    subset: str | None


def read(paths: list[Path], source: Path, *, options: ReadOptions, report: Report) -> LabelSet:
    """Open panoptic files.

    Raises:
        ReadError: a file cannot be read, or its folder of pictures is not there.
    """
    parts: list[Part] = []
    items: list[tuple[int, Carrier]] = []
    labels: dict[str, Label] = {}
    entries: list[dict[str, Any]] = []
    header = Header()
    truth = None if options.ground_truth is None else _truth(options.ground_truth, report)
    for path in paths:
        part, mine, given, entry, kept = _scan(path, source, len(paths) > 1, options, truth, report)
        items.extend((len(parts), item) for item in mine)
        parts.append(part)
        root = None if kept is None else kept_root(kept, Where(file=part.name, path=f"$.{RESERVED}"))
        entries.extend([entry] if root is None or not root.files else root.files)
        for _, label in given:
            if labels.setdefault(label.name, label) != label:
                report.add(Code.LABEL_CONFLICT, label.name, format="coco", where=Where(file=part.name))
        if root is not None:
            header = restore_header(root, header)
    extras = {**header.extras, "coco": {"files": entries}}
    header = msgspec.structs.replace(header, labels=tuple(labels.values()), extras=extras)
    starts = [sum(1 for number, _ in items if number < k) for k in range(len(parts))]
    return LabelSet(header, PanopticSource(parts, items, starts), size=len(items))


def _truth(path: Path, report: Report) -> _Truth:
    found = _members(path, path.name, None, report)
    categories = read_categories(found.fields.get("categories", []), path.name, report)
    images = {wire.canonical_id(row.get("id")): row for _, row in found.images if isinstance(row, dict)}
    return _Truth({key: row for key, row in images.items() if key is not None}, categories, found.lost)


def _members(path: Path, name: str, index: Any, report: Report) -> _Members:
    """All members; annotations go to ``index``."""
    found = _Members()
    with JsonDocument(path) as document:
        for member in document.members():
            if member.key is None:
                raise SchemaError("expected a JSON object", Where(file=name, path="$"))
            found.keys.append(member.key)
            if member.key == "annotations" and member.kind == "array":
                if index is not None:
                    index(member)
            elif member.key == "images" and member.kind == "array":
                for rows in member.rows(wire.IMAGE_PROBES):
                    _add_images(rows, found, name, report)
            else:
                where = Where(file=name, path=f"$.{member.key}")
                found.fields[member.key] = wire.load(member.value(), where)
    return found


def _add_images(rows: Rows[wire.ImageProbe], found: _Members, name: str, report: Report) -> None:
    for i in range(len(rows.starts)):
        raw, number = rows.raw(i), rows.first + i
        try:
            found.images.append((number, wire.load(raw, Where(file=name, path=f"$.images[{number}]"))))
        except ReadError as error:
            report.reject(error, wire.verbatim(raw), kind="item")
            lost = wire.damaged_id(raw)
            if lost is not None:
                found.lost.add(lost)


def _scan(
    path: Path, source: Path, several: bool, options: ReadOptions, truth: _Truth | None, report: Report
) -> tuple[Part, list[Carrier], list[tuple[int | str, Label]], dict[str, Any], Any]:
    name = path.name if source.is_file() else path.relative_to(source).as_posix()
    places: list[tuple[int, int, Any]] = []

    def note(member: Any) -> None:
        for rows in member.rows(wire.ANNOTATION_PROBES):
            for i, probe in enumerate(rows.probes):
                image = None if isinstance(probe, Exception) else wire.canonical_id(probe.image_id)
                places.append((rows.base + rows.starts[i], rows.ends[i] - rows.starts[i], image))

    found = _members(path, name, note, report)
    fields, images, lost = found.fields, found.images, found.lost
    results = "images" not in found.keys
    subset = wire.split_name(path.stem)[1] if several else None
    if results and truth is not None:
        named = [truth.images[image] for _, _, image in places if image in truth.images]
        images, lost = list(enumerate(named)), truth.lost
    items: list[Carrier] = []
    table: dict[Any, int] = {}
    for k, row in images:
        item = _item(row, subset, Where(file=name, path=f"$.images[{k}]"), report)
        if item is None:
            continue
        key = wire.canonical_id(row["id"])
        if key in table:
            error = SchemaError(f"image id {key} stands twice", Where(file=name, path=f"$.images[{k}].id"))
            report.reject(error, row, kind="item")
            continue
        table[key] = len(items)
        items.append(item)
    rows = RowFile(path)
    index = RowIndex()
    for k, (offset, length, image) in enumerate(places):
        if results and truth is None and image is not None and image not in table:
            table[image] = len(items)
            items.append((Item(id=image, subset=subset), ()))
        group = table.get(image, -1)
        if group < 0:
            raw, where = rows.read(offset, length), Where(file=name, path=f"$.annotations[{k}]")
            report.reject(_without_image(raw, image, where, lost), wire.verbatim(raw))
        index.add(offset, length, group)
    index.freeze(len(items))
    if "categories" in fields:
        labels = read_categories(fields.pop("categories"), name, report)
    else:
        labels = _bare_labels(rows, places, name, report) if truth is None else truth.labels
    folder = options.panoptic_masks or path.with_suffix("")
    if places and not folder.is_dir():
        raise ReadError(
            "the folder with the segments' PNGs is not there",
            Where(file=str(folder)),
            "give --panoptic-masks FOLDER",
        )
    kept = fields.pop(RESERVED, None)
    entry = {"name": path.name, "kind": "panoptic", "results": results, "fields": fields}
    entry["keys"] = [key for key in found.keys if key != RESERVED]
    if subset is not None:
        entry["subset"] = subset
    names = {number: label.name for number, label in labels}
    predicted = options.predictions or results
    return Part(name, folder, rows, index, names, predicted, subset), items, labels, entry, kept


def _without_image(raw: bytes, image: int | str | None, where: Where, lost: set[int | str]) -> ReadError:
    """What is wrong with a row that belongs to no image; ``lost`` are images that could not be read."""
    if image in lost:
        return with_bad_image(where)
    refusal = wire.refusal(raw, where) if image is None else None
    return refusal or DanglingReferenceError(
        f"image id {image} is not among the images",
        Where(file=where.file, path=f"{where.path}.image_id"),
        "add the image, or leave such rows out with --on-error skip",
    )


def _bare_labels(
    rows: RowFile, places: list[tuple[int, int, Any]], name: str, report: Report
) -> list[tuple[int | str, Label]]:
    """A label for each category number that occurs, where nothing names them."""
    labels: dict[int | str, Label] = {}
    for offset, length, _ in places:
        row = wire.verbatim(rows.read(offset, length))
        segments = row.get("segments_info") if isinstance(row, dict) else None
        for segment in segments if isinstance(segments, list) else ():
            number = wire.canonical_id(segment.get("category_id")) if isinstance(segment, dict) else None
            if number is not None and number not in labels:
                labels[number] = Label(name=str(number), id=number)
                report.add(Code.LABEL_UNDECLARED, str(number), format="coco", where=Where(file=name))
    return list(labels.items())


def _whole(size: float | None) -> int | None:
    return None if size is None else int(size)


def _item(row: Any, subset: str | None, where: Where, report: Report) -> Carrier | None:
    try:
        if not isinstance(row, dict) or wire.canonical_id(row.get("id")) is None:
            raise SchemaError("expected an image object with an id", where)
        sizes: dict[str, Any] = {key: row[key] for key in ("width", "height") if row.get(key)}
        if any(not wire.is_number(size) or size != int(size) or size < 0 for size in sizes.values()):
            raise SchemaError("expected width and height in whole pixels", where)
        path = row.get("file_name")
        if path is not None and not isinstance(path, str):
            raise SchemaError(
                "expected file_name to be a string", Where(file=where.file, path=f"{where.path}.file_name")
            )
        extras = {key: value for key, value in row.items() if key not in _ITEM_KEYS and key != RESERVED}
        extras |= {key: row[key] for key in ("width", "height") if key in row and key not in sizes}
        item = Item(
            id=row["id"] if isinstance(row["id"], str) else int(row["id"]),
            path=path,
            subset=subset,
            extras={"coco": extras} if extras else {},
            width=_whole(sizes.get("width")),
            height=_whole(sizes.get("height")),
        )
        if RESERVED in row:
            return restore_item(row[RESERVED], item, where)
        return item, ()
    except SchemaError as error:
        report.reject(error, row, kind="item")
        return None


class PanopticSource(msgspec.Struct, frozen=True):
    """Reads the items ``start`` to ``stop`` with their pictures. Picklable."""

    parts: list[Part]
    items: list[tuple[int, Carrier]]
    starts: list[int]

    def __call__(self, report: Report, start: int, stop: int | None) -> Iterator[Record]:
        """Yield the records of items ``start`` to ``stop``."""
        for number, (which, (item, carried)) in enumerate(self.items[start:stop], start):
            part = self.parts[which]
            annotations: list[Annotation] = []
            rows = part.index.rows(number - self.starts[which])
            for k, (position, offset, length) in enumerate(rows):
                row = wire.verbatim(part.file.read(offset, length))
                where = Where(
                    file=part.name, path=f"$.annotations[{position}]", item=str(item.path or item.id)
                )
                try:
                    if k:
                        raise SchemaError("the image has a row of segments already", where)
                    item, annotations = _Row(part, row, where, report).read(item, position)
                except ConvertError as error:
                    report.reject(error, row)
            yield Record(item, placed(annotations, carried))


class _Row:
    """One image's segments and their picture."""

    def __init__(self, part: Part, row: Any, where: Where, report: Report) -> None:
        self.part = part
        self.row = row
        self.where = where
        self.report = report

    def place(self, tail: str, annotation: Any = None) -> Where:
        """A place within the row."""
        name = None if annotation is None else str(annotation)
        return msgspec.structs.replace(self.where, path=f"{self.where.path}{tail}", annotation=name)

    def read(self, item: Item, position: int) -> tuple[Item, list[Annotation]]:
        """The item, with what the row says of it, and an annotation for each segment.

        Raises:
            ConvertError: the row or its picture cannot be used.
        """
        from nucleus_convert.converters import indexmap, png

        row = self.row
        segments = row.get("segments_info") if isinstance(row, dict) else None
        name = row.get("file_name") if isinstance(row, dict) else None
        if not isinstance(segments, list) or not isinstance(name, str):
            raise SchemaError("expected a row with segments_info and the file_name of its PNG", self.where)
        path = filenames.inside(self.part.folder, name)
        if path is None:
            raise SchemaError(
                f"file name '{name:.200}' leads out of the folder of PNGs", self.place(".file_name")
            )
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ReadError(
                f"cannot be read ({error.strerror})", Where(file=str(path), item=self.where.item)
            ) from error
        ids = png.decode_ids(data, name=str(path))
        height, width = ids.shape
        if item.height and item.width and (item.height, item.width) != (height, width):
            sizes = f"{height} x {width} (height x width), its image {item.height} x {item.width}"
            raise SchemaError(f"the PNG is {sizes}", Where(file=str(path), item=self.where.item))
        found = indexmap.split(ids)
        del ids
        annotations: list[Annotation] = []
        seen: set[int] = set()
        for k, segment in enumerate(segments):
            try:
                annotation = self._segment(segment, k, found, height, width, seen)
            except ConvertError as error:
                self.report.reject(error, segment)
            else:
                annotations.append(annotation)
        annotations += self._undeclared(found, seen, height, width)
        said = {key: value for key, value in row.items() if key not in _ROW_KEYS}
        extras = {**item.extras.get("coco", {}), "panoptic": {**said, "row": position}}
        return (
            msgspec.structs.replace(item, height=height, width=width, extras={**item.extras, "coco": extras}),
            annotations,
        )

    def _segment(
        self, segment: Any, k: int, found: Mapping[int, Any], height: int, width: int, seen: set[int]
    ) -> Annotation:
        from nucleus_convert.converters import masks

        tail = f".segments_info[{k}]"
        number = wire.canonical_id(segment.get("id")) if isinstance(segment, dict) else None
        if not isinstance(number, int) or not 0 < number < 2**24:
            raise SchemaError("expected a segment with an id from 1 to 16777215", self.place(tail))
        where = self.place(tail, number)
        if number in seen:
            raise SchemaError(f"segment id {number} stands twice", where)
        seen.add(number)
        category = wire.canonical_id(segment.get("category_id"))
        label = None if category is None else self.part.labels.get(category)
        if label is None:
            if self.part.labels or category is None:
                text = f"category id {segment.get('category_id')!r:.40} is not among the file's categories"
                raise DanglingReferenceError(
                    text, where, "is this the right file? --ground-truth names categories"
                )
            label = str(category)
        runs = found.get(number)
        if runs is None:
            self.report.add(
                Code.UNREADABLE_SHAPE, "segment without pixels in the PNG", format="coco", where=where
            )
            runs = masks.as_runs([height * width])
        area, box = masks.area(runs), list(masks.box(runs, height))
        more = {key: value for key, value in segment.items() if key not in _OWN and key != RESERVED}
        for key, value in (("area", area), ("bbox", box)):
            if key in segment and (segment[key] != value or _types(segment[key]) != _types(value)):
                more[key] = segment[key]
                if segment[key] != value:
                    text = f"{key} of a segment is not that of its pixels; given back as it was"
                    self.report.add(Code.VALUE_NORMALISED, text, format="coco", where=where)
        missing = [key for key in ("area", "bbox") if key not in segment]
        crowd = segment.get("iscrowd")
        if crowd is not None and crowd not in (0, 1):
            raise SchemaError(f"expected iscrowd 0 or 1, found {crowd!r:.40}", where)
        extras = {**more, "n": k, **({"without": missing} if missing else {})}
        if "iscrowd" in segment and type(crowd) is not int:
            extras["iscrowd"] = crowd
        mask = Mask(masks.encode_counts(runs), height, width)
        if RESERVED in segment:
            return _restored(segment[RESERVED], mask, (area, box), segment, where, self.report)
        return Annotation(
            label=label,
            shapes=(mask,),
            id=number,
            predicted=self.part.predicted,
            crowd=None if crowd is None else bool(crowd),
            extras={"coco": {KEY: extras}},
        )

    def _undeclared(
        self, found: Mapping[int, Any], seen: set[int], height: int, width: int
    ) -> Iterator[Annotation]:
        """Pixels of ids that no segment has: kept without a label."""
        from nucleus_convert.converters import masks

        for number, runs in found.items():
            if number not in seen:
                where = self.place("", number)
                text = "pixels of an id that is not in segments_info; kept as an object without a label"
                self.report.add(Code.VALUE_NORMALISED, text, format="coco", where=where, count=1)
                yield Annotation(
                    shapes=(Mask(masks.encode_counts(runs), height, width),),
                    id=number,
                    predicted=self.part.predicted,
                    extras={"coco": {KEY: {"undeclared": True}}},
                )


def _types(value: Any) -> Any:
    return [type(entry) for entry in value] if isinstance(value, list) else type(value)


def _restored(
    kept: Any,
    mask: Mask,
    measured: tuple[int, list[int]],
    segment: dict[str, Any],
    where: Where,
    report: Report,
) -> Annotation:
    """The object that a segment was made of, if its pixels are the ones that were written."""
    said = kept_segment(kept, where)
    whole = said.annotation
    if said.masked:  # the picture shows its mask whole, so only there is it kept
        whole = msgspec.structs.replace(whole, shapes=(*whole.shapes, mask))
    if [segment.get("area"), segment.get("bbox")] == list(measured):
        return whole
    report.add(
        Code.VALUE_NORMALISED,
        "picture changed since it was written: the pixels count",
        format="coco",
        where=where,
    )
    return msgspec.structs.replace(whole, shapes=(mask,), derived=())
