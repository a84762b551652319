"""What YOLO has no word for: it travels beside ``data.yaml``, and is taken back.

The file is ``nucleus_convert.jsonl``. Its first line is the header's, then one line an image that has
anything to say: the item's fields, and for each annotation the number of its line in the label file (from
0; null: it has none). The label file's checksum stands there too: if the labels were edited since, what
travelled for them fits no more, and is left out and reported.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import SchemaError, Where
from nucleus_convert.converters.model import (
    KINDS,
    Annotation,
    Camera,
    Header,
    Item,
    Label,
    SceneRef,
    Shape,
    Tag,
)
from nucleus_convert.converters.report import Report

SIDECAR: Final = "nucleus_convert.jsonl"
SIZES: Final = "images.meta"
KEY: Final = "nucleus_convert"
"""Our key in ``data.yaml``."""
VERSION: Final = 1
UNLABELLED: Final = "unlabelled"
"""The class of objects that have none."""
_FIELDS: Final = (
    "predicted", "confidence", "class_pdf", "track", "group", "occluded", "truncated", "difficult", "crowd",
    "z_order", "embedding", "attributes",
)  # fmt: skip
_ITEM: Final[Mapping[str, Any]] = {"scene": SceneRef, "camera": Camera, "attributes": dict[str, Any]}
_LABEL: Final = ("id", "parent", "color", "keypoints", "skeleton", "attributes")
_HEADER_KEYS: Final = frozenset({KEY, "labels", "taxonomies", "scenes", "extras"})
_ITEM_KEYS: Final = frozenset(
    {"image", "id", "path", "subset", "kind", "size", "extras", "checksum", "annotations", *_ITEM}
)
_ENTRY_KEYS: Final = frozenset(
    {"line", "at", "annotation", "label", "id", "extras", "derived", "shapes", *_FIELDS}
)
_ENCODE = msgspec.json.Encoder().encode


class _Named(msgspec.Struct):
    image: str


class _Entry(msgspec.Struct):
    """Types of what is kept of an annotation, where no struct of the model says them."""

    line: int | None = None
    at: int = 0
    annotation: dict[str, Any] | None = None
    derived: list[str] = []
    shapes: list[tuple[int, dict[str, Any]]] = []
    extras: dict[str, Any] = {}


class _Kept(msgspec.Struct):
    """The same, of an item."""

    size: tuple[int | None, int | None] = (None, None)
    extras: dict[str, Any] = {}
    annotations: list[_Entry] = []


class _KeptLabel(msgspec.Struct):
    """The same, of a label."""

    extras: dict[str, Any] = {}


class _KeptHeader(msgspec.Struct):
    """The same, of the data set."""

    labels: dict[str, _KeptLabel] = {}
    extras: dict[str, dict[str, Any]] = {}


_NAME = msgspec.json.Decoder(_Named).decode


# --- writing -------------------------------------------------------------------------------------------


def carried_annotation(annotation: Annotation, read: Annotation, *, exact: bool) -> dict[str, Any]:
    """What of an annotation its line does not say.

    Args:
        annotation: what is written.
        read: the annotation as its line will be read.
        exact: whether the line's shapes come back to the last digit.
    """
    kept: dict[str, Any] = {}
    if annotation.label != read.label:
        kept["label"] = annotation.label
    if annotation.id is not None:
        kept["id"] = annotation.id
    for name in _FIELDS:
        value = getattr(annotation, name)
        # A line may say more than was meant: a flag that follows from a confidence, filled-in points.
        if not _alike(value, getattr(read, name)):
            kept[name] = value
    extras = {name: values for name, values in annotation.extras.items() if name != "yolo"}
    if extras:
        kept["extras"] = extras
    derived = set(annotation.derived)
    said = {KINDS[type(shape)] for shape in read.shapes}
    stays: list[str] = []
    beside: list[Any] = []
    taken: set[str] = set()
    for index, shape in enumerate(original_shapes(annotation)):
        kind = KINDS[type(shape)]
        if exact and kind in said and kind not in derived and shape_said(shape, read):
            stays.append(kind)
        else:
            beside.append([index, msgspec.to_builtins(shape)])
            taken.add(kind)
    replaced = sorted(said - set(stays))
    if replaced:
        kept["derived"] = replaced
    if beside:
        kept["shapes"] = beside
    return kept


def original_shapes(annotation: Annotation) -> tuple[Shape, ...]:
    """The shapes without those at the end that ``fit`` or the writer added."""
    count = len(annotation.derived)
    return annotation.shapes[: len(annotation.shapes) - count] if count else annotation.shapes


def shape_said(shape: Shape, read: Annotation) -> bool:
    """Whether the line's shape is this one, apart from rounding: names of keypoints may differ."""
    other = read.shape(type(shape))
    if type(shape) is Tag:
        return bool(shape == other)
    return getattr(shape, "names", ()) == getattr(other, "names", ()) and getattr(
        shape, "skeleton", ()
    ) == getattr(other, "skeleton", ())


def _alike(value: Any, other: Any) -> bool:
    return bool(value == other and isinstance(value, bool) == isinstance(other, bool))


def carried_item(item: Item, image: str, subset: str | None) -> dict[str, Any]:
    """What of an item its place in a list does not say."""
    kept: dict[str, Any] = {}
    if item.id != image:
        kept["id"] = item.id
    if item.path != image:
        kept["path"] = item.path
    if item.subset != subset:
        kept["subset"] = item.subset
    if item.kind != "image":
        kept["kind"] = item.kind
    if (item.width is None) != (item.height is None):
        kept["size"] = [item.width, item.height]
    for name in _ITEM:
        value = getattr(item, name)
        if value is not None and value != {}:
            kept[name] = msgspec.to_builtins(value)
    extras = {name: values for name, values in item.extras.items() if name != "yolo"}
    if extras:
        kept["extras"] = extras
    return kept


def header_line(header: Header, numbers: Mapping[str, int]) -> bytes:
    """The first line: what ``data.yaml`` does not say of labels and of the data set."""
    labels: dict[str, Any] = {}
    for label in header.labels:
        kept = {
            name: value
            for name in _LABEL
            if name != "keypoints" and ((value := getattr(label, name)) or (name == "id" and value == 0))
        }
        if label.id == numbers.get(label.name):
            kept.pop("id", None)
        elif label.id is None:
            kept["id"] = None
        if label.keypoints:
            kept["keypoints"] = label.keypoints
        extras = {name: values for name, values in label.extras.items() if name != "yolo"}
        if extras:
            kept["extras"] = extras
        if kept:
            labels[label.name] = kept
    values: dict[str, Any] = {KEY: VERSION, "labels": labels}
    for name in ("taxonomies", "scenes"):
        if getattr(header, name):
            values[name] = msgspec.to_builtins(getattr(header, name))
    extras = {name: dict(kept) for name, kept in header.extras.items() if name != "yolo"}
    download = header.extras.get("yolo", {}).get("download")
    if download is not None:
        extras["yolo"] = {"download": download}
    if extras:
        values["extras"] = extras
    return _ENCODE(values) + b"\n"


def encode(values: Mapping[str, Any]) -> bytes:
    """A line of the sidecar."""
    return _ENCODE(values) + b"\n"


# --- reading -------------------------------------------------------------------------------------------


class Sidecar:
    """Lines by image, read when their image's turn comes. Picklable."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header: dict[str, Any] = {}
        self._places: dict[str, tuple[int, int]] = {}
        offset = 0
        with path.open("rb") as file:
            for number, line in enumerate(file):
                where = Where(file=path.name, line=number + 1)
                try:
                    if number == 0:
                        self.header = json.loads(line)
                        if not isinstance(self.header, dict) or not isinstance(self.header.get(KEY), int):
                            raise SchemaError(
                                "this is not what nucleus-convert writes", where, "remove the file"
                            )
                        if self.header[KEY] > VERSION:
                            raise SchemaError(
                                "written by a newer nucleus-convert", where, "read it with that version"
                            )
                    elif line.strip():
                        self._places[_NAME(line).image] = (offset, len(line))
                except (ValueError, RecursionError) as error:
                    raise SchemaError(f"the line was changed: {error}", where, "remove the file") from error
                offset += len(line)

    def get(self, image: str) -> dict[str, Any] | None:
        """What travelled beside an image."""
        place = self._places.get(image)
        if place is None:
            return None
        with self.path.open("rb") as file:
            file.seek(place[0])
            try:
                kept: dict[str, Any] = json.loads(file.read(place[1]))
            except (ValueError, RecursionError) as error:  # a number of more digits than Python reads
                where = Where(file=self.path.name, item=image)
                raise SchemaError(f"the line was changed: {error}", where, "remove the file") from error
        return kept


def _check_keys(kept: Mapping[str, Any], known: frozenset[str], where: Where) -> None:
    for key in kept:
        if key not in known:
            raise SchemaError(f"key '{key}' is not what nucleus-convert writes", where, "remove the key")


def restore_header(kept: Mapping[str, Any], header: Header, where: Where) -> Header:
    """The header with what its line carries."""
    _check_keys(kept, _HEADER_KEYS, where)
    _convert(kept, _KeptHeader, where)
    labels: list[Label] = []
    carried = kept.get("labels", {})
    for label in header.labels:
        mine = dict(carried.get(label.name, {}))
        if mine:
            mine["extras"] = {**label.extras, **mine.get("extras", {})}
            values = {**msgspec.to_builtins(label), **mine}
            label = _convert(values, Label, where)
        labels.append(label)
    told: Header = _convert(
        {name: kept[name] for name in ("taxonomies", "scenes", "extras") if name in kept}, Header, where
    )
    extras = {**header.extras, **told.extras}
    if "yolo" in told.extras:
        extras["yolo"] = {**header.extras.get("yolo", {}), **told.extras["yolo"]}
    return msgspec.structs.replace(
        header, labels=tuple(labels), taxonomies=told.taxonomies, scenes=told.scenes, extras=extras
    )


def restore(
    kept: Mapping[str, Any], item: Item, annotations: list[Annotation], checksum: int | None, report: Report
) -> tuple[Item, list[Annotation]]:
    """The item and its annotations with what travelled beside them.

    Raises:
        SchemaError: the line was changed, and fits the model no more.
    """
    where = Where(file=SIDECAR, item=str(item.path or item.id))
    _check_keys(kept, _ITEM_KEYS, where)
    _convert(kept, _Kept, where)
    for entry in kept.get("annotations", ()):
        _check_keys(entry, _ENTRY_KEYS, where)
    changes: dict[str, Any] = {name: kept[name] for name in ("id", "path", "subset", "kind") if name in kept}
    if "size" in kept:
        changes["width"], changes["height"] = kept["size"]
    for name, kind in _ITEM.items():
        if name in kept:
            changes[name] = _convert(kept[name], kind, where)
    if "extras" in kept:
        changes["extras"] = {**item.extras, **kept["extras"]}
    if changes:
        item = _convert({**msgspec.to_builtins(item), **msgspec.to_builtins(changes)}, Item, where)
    entries = kept.get("annotations", [])
    if not entries:
        return item, annotations
    if kept.get("checksum") != checksum:
        report.add(Code.STALE, "label file", format="yolo", where=where)
        return item, annotations
    lines = {entry["line"]: entry for entry in entries if entry.get("line") is not None}
    result = [
        _annotation(lines[number], annotation, where) if number in lines else annotation
        for number, annotation in enumerate(annotations)
    ]
    for entry in entries:
        if entry.get("line") is None:
            at = min(max(0, entry.get("at", len(result))), len(result))
            result.insert(at, _convert(entry.get("annotation"), Annotation, where))
    return item, result


def _annotation(kept: Mapping[str, Any], read: Annotation, where: Where) -> Annotation:
    values = msgspec.to_builtins(read)
    derived = set(kept.get("derived", ()))
    shapes = [shape for shape in values.get("shapes", ()) if shape["type"] not in derived]
    for index, shape in kept.get("shapes", ()):
        shapes.insert(index, shape)
    values.update({name: kept[name] for name in ("label", "id", *_FIELDS) if name in kept})
    values["shapes"] = shapes
    if "extras" in kept:
        values["extras"] = {**values.get("extras", {}), **kept["extras"]}
    restored: Annotation = _convert(values, Annotation, where)
    return restored


def _convert(value: Any, kind: Any, where: Where) -> Any:
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, TypeError, KeyError) as error:
        raise SchemaError(
            f"the line was changed: {error}", where, "remove the file to read without it"
        ) from error
