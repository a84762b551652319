"""The one reserved key of COCO rows, under which travels what COCO has no key for; and taking it back."""

from __future__ import annotations

from typing import Any

import msgspec

from nucleus_convert.converters.errors import SchemaError, Where
from nucleus_convert.converters.model import KINDS, Annotation, Camera, Header, Item, Keypoints, Label, SceneRef, Shape

RESERVED = "_nucleus_convert"
VERSION = 1
UNLABELLED = "unlabelled"
"""The category of objects that have none; other tools need one."""
_ITEM_FIELDS: dict[str, Any] = {"scene": SceneRef, "camera": Camera, "attributes": dict[str, Any]}


def opened(kept: Any, where: Where) -> dict[str, Any]:
    """The reserved value, checked.

    Raises:
        SchemaError: it is not ours, or a newer version wrote it.
    """
    if not isinstance(kept, dict) or not isinstance(kept.get("v"), int):
        raise SchemaError(
            f"key '{RESERVED}' is reserved for nucleus-convert, and this is not what it writes", where, "rename the key"
        )
    if kept["v"] > VERSION:
        raise SchemaError(
            "written by a newer nucleus-convert", where, "read it with that version, or a newer one"
        )
    return kept


def _convert(value: Any, kind: Any, where: Where) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise SchemaError(f"key '{RESERVED}' was changed: {error}", where, "remove the key to read without it") from error


def restore_annotation(kept: Any, fields: dict[str, Any], shapes: list[Shape], where: Where) -> None:
    """Take back what a row's reserved key carries into the annotation's fields and shapes."""
    kept = opened(kept, where)
    derived = set(kept.get("derived", ()))
    shapes[:] = [shape for shape in shapes if KINDS[type(shape)] not in derived]
    for i, shape in enumerate(shapes):
        if type(shape) is Keypoints and ("names" in kept or "skeleton" in kept):
            shapes[i] = Keypoints(
                shape.points,
                names=tuple(kept.get("names", shape.names)),
                skeleton=tuple((a, b) for a, b in kept.get("skeleton", shape.skeleton)),
            )
    shapes.extend(_convert(kept.get("shapes", []), list[Shape], where))
    for name in ("label", "id", "predicted"):
        if name in kept:
            fields[name] = kept[name]
    for name, value in kept.get("fields", {}).items():
        fields[name] = tuple(value) if isinstance(value, list) else value
    fields["extras"] = {**fields.get("extras", {}), **kept.get("extras", {})}
    if "own" in kept:
        fields["extras"]["coco"] = {**fields["extras"].get("coco", {}), **kept["own"]}


def restore_item(kept: Any, item: Item, where: Where) -> tuple[Item, tuple[Annotation, ...]]:
    """The item with what its row's reserved key carries, and the annotations that travelled with it."""
    kept = opened(kept, where)
    changes: dict[str, Any] = {name: kept[name] for name in ("id", "kind", "path", "subset") if name in kept}
    for name, kind in _ITEM_FIELDS.items():
        if name in kept:
            changes[name] = _convert(kept[name], kind, where)
    if "extras" in kept:
        changes["extras"] = {**item.extras, **kept["extras"]}
    annotations = tuple(_convert(kept.get("annotations", []), list[Annotation], where))
    return msgspec.structs.replace(item, **changes), annotations


def carried_item(item: Item, annotations: list[Annotation], *, named: bool, subset: bool) -> dict[str, Any]:
    """What an image row cannot say: ``named``, whether its id stands in the row; ``subset``, whether the file says it."""
    kept: dict[str, Any] = {}
    if not named:
        kept["id"] = item.id
    if item.path is None:
        kept["path"] = None
    if item.kind != "image":
        kept["kind"] = item.kind
    if item.subset is not None and not subset:
        kept["subset"] = item.subset
    for name in _ITEM_FIELDS:
        value = getattr(item, name)
        if value is not None and value != {}:
            kept[name] = msgspec.to_builtins(value)
    others = {name: values for name, values in item.extras.items() if name != "coco"}
    if others:
        kept["extras"] = others
    if annotations:
        kept["annotations"] = msgspec.to_builtins(annotations)
    return kept


def carried_label(label: Label) -> dict[str, Any]:
    """What a category row cannot say."""
    kept: dict[str, Any] = {}
    if label.color is not None:
        kept["color"] = label.color
    if label.attributes:
        kept["attributes"] = dict(label.attributes)
    others = {name: values for name, values in label.extras.items() if name != "coco"}
    if others:
        kept["extras"] = others
    return kept


def restore_label(kept: Any, label: Label, where: Where) -> Label:
    """The label with what its category row carries."""
    kept = opened(kept, where)
    changes = {name: kept[name] for name in ("id", "color", "attributes") if name in kept}
    if "extras" in kept:
        changes["extras"] = {**label.extras, **kept["extras"]}
    return msgspec.structs.replace(label, **changes)


def carried_header(header: Header) -> dict[str, Any]:
    """What the root object cannot say."""
    kept: dict[str, Any] = {}
    if header.taxonomies:
        kept["taxonomies"] = msgspec.to_builtins(header.taxonomies)
    if header.scenes:
        kept["scenes"] = msgspec.to_builtins(header.scenes)
    others = {name: values for name, values in header.extras.items() if name != "coco"}
    if others:
        kept["extras"] = others
    return kept


def restore_header(kept: Any, header: Header, where: Where) -> Header:
    """The header with what the root object carries."""
    kept = opened(kept, where)
    told: Header = _convert(
        {name: kept[name] for name in ("taxonomies", "scenes", "extras") if name in kept}, Header, where
    )
    return msgspec.structs.replace(
        header, taxonomies=told.taxonomies, scenes=told.scenes, extras={**header.extras, **told.extras}
    )
