"""The one reserved key of COCO rows, under which travels what COCO has no key for; and taking it back.

What may be under it is written down as structs, so that a value that was tampered with is an error and not a
record with something strange in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec

from nucleus_convert.converters.errors import SchemaError, Where
from nucleus_convert.converters.model import (
    EMPTY,
    KINDS,
    Annotation,
    Camera,
    Extras,
    Header,
    Id,
    Item,
    Keypoints,
    Label,
    Number,
    Scene,
    SceneRef,
    Shape,
    Taxonomy,
)

RESERVED = "_nucleus_convert"
VERSION = 1
UNLABELLED = "unlabelled"
"""The category of objects that have none; other tools need one."""

ITEM_FIELDS = ("scene", "camera", "attributes")
ANNOTATION_FIELDS = ("class_pdf", "group", "occluded", "truncated", "difficult", "z_order", "embedding")
_UNSET = msgspec.UNSET
_Unset = msgspec.UnsetType


class _Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    v: int


class KeptAnnotation(_Kept, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an annotation row cannot say. ``derived`` are kinds in the row that stand in for ``shapes``."""

    label: str | _Unset | None = _UNSET
    id: Id | _Unset = _UNSET
    predicted: bool | _Unset = _UNSET
    class_pdf: Mapping[str, Number] | _Unset = _UNSET
    group: Id | _Unset = _UNSET
    occluded: bool | Number | _Unset = _UNSET
    truncated: bool | Number | _Unset = _UNSET
    difficult: bool | _Unset = _UNSET
    z_order: int | _Unset = _UNSET
    embedding: tuple[Number, ...] | _Unset = _UNSET
    names: tuple[str, ...] | _Unset = _UNSET
    skeleton: tuple[tuple[int, int], ...] | _Unset = _UNSET
    shapes: tuple[Shape, ...] = ()
    derived: tuple[str, ...] = ()
    extras: Extras = EMPTY
    own: Mapping[str, Any] = EMPTY
    """What the reader noted of a segmentation that the row no longer has."""


class KeptItem(_Kept, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an image row cannot say, and annotations that COCO has no rows for."""

    id: Id | _Unset = _UNSET
    kind: Literal["image", "pointcloud"] | _Unset = _UNSET
    path: _Unset | None = _UNSET
    scene: SceneRef | _Unset = _UNSET
    camera: Camera | _Unset = _UNSET
    attributes: Mapping[str, Any] | _Unset = _UNSET
    extras: Extras = EMPTY
    annotations: tuple[Annotation, ...] = ()
    places: tuple[int, ...] = ()
    """Where among the item's annotations these stood; nothing: at the end."""


class KeptLabel(_Kept, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a category row cannot say."""

    id: Id | _Unset | None = _UNSET
    color: str | _Unset = _UNSET
    attributes: Mapping[str, Any] | _Unset = _UNSET
    extras: Extras = EMPTY


class KeptRoot(_Kept, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the root object cannot say.

    ``results`` is the file beside this one that holds the predictions; ``files`` are those that were joined
    in this one, as the reader notes them.
    """

    files: tuple[dict[str, Any], ...] = ()
    subset: str | None = None
    results: str | None = None
    taxonomies: tuple[Taxonomy, ...] = ()
    scenes: tuple[Scene, ...] = ()
    extras: Extras = EMPTY


class KeptSegment(_Kept, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The object that a panoptic segment was made of; ``masked``: with the mask that its pixels are."""

    annotation: Annotation
    masked: bool = False


K = TypeVar("K", bound=_Kept)


def _opened(kept: Any, kind: type[K], where: Where) -> K:
    """The reserved value, checked.

    Raises:
        SchemaError: it is not ours, or a newer version wrote it.
    """
    version = kept.get("v") if isinstance(kept, dict) else None
    if type(version) is not int:
        raise SchemaError(
            f"key '{RESERVED}' is reserved for nucleus-convert, and this is not what it writes",
            where,
            "rename the key",
        )
    if version > VERSION:
        raise SchemaError(
            "written by a newer nucleus-convert", where, "read it with that version, or a newer one"
        )
    try:
        return msgspec.convert(kept, kind)
    except msgspec.ValidationError as error:
        raise SchemaError(
            f"key '{RESERVED}' was changed: {error}", where, "remove the key to read without it"
        ) from error


def _said(kept: _Kept, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(kept, name)) is not _UNSET}


def sealed(kept: dict[str, Any]) -> dict[str, Any]:
    """What is kept, as the value of the reserved key."""
    return {"v": VERSION, **kept}


def foreign(extras: Extras) -> dict[str, Any]:
    """Extras that are not COCO's own."""
    return {name: values for name, values in extras.items() if name != "coco"}


# ---------------------------------------------------------------------- annotations


def restore_annotation(value: Any, fields: dict[str, Any], shapes: list[Shape], where: Where) -> None:
    """Take back what a row's reserved key carries into the annotation's fields and shapes."""
    kept = _opened(value, KeptAnnotation, where)
    originals = {type(shape) for shape in kept.shapes}
    shapes[:] = [
        shape for shape in shapes if type(shape) not in originals and KINDS[type(shape)] not in kept.derived
    ]
    for i, shape in enumerate(shapes):
        if type(shape) is Keypoints:
            shapes[i] = msgspec.structs.replace(shape, **_said(kept, ("names", "skeleton")))
    shapes.extend(kept.shapes)
    if kept.id is not _UNSET:  # the row's own number, for the next time it is written
        fields["extras"]["coco"]["id"] = fields["id"]
    fields.update(_said(kept, ("label", "id", "predicted", *ANNOTATION_FIELDS)))
    if kept.extras:
        fields["extras"] = {**fields["extras"], **kept.extras}
    if kept.own:
        fields["extras"] = {**fields["extras"], "coco": {**fields["extras"].get("coco", {}), **kept.own}}


def kept_segment(value: Any, where: Where) -> KeptSegment:
    """What a panoptic segment carries."""
    return _opened(value, KeptSegment, where)


# ---------------------------------------------------------------------- images


_END = 2**31
Carried: TypeAlias = tuple[tuple[int, Annotation], ...]
"""Annotations that travelled with their item, and where among the others each stood."""


def placed(annotations: Sequence[Annotation], carried: Carried) -> tuple[Annotation, ...]:
    """All annotations of an item, in their order."""
    together = list(annotations)
    for place, annotation in carried:
        together.insert(place, annotation)
    return tuple(together)


def restore_item(value: Any, item: Item, where: Where) -> tuple[Item, Carried]:
    """The item with what its row's reserved key carries, and the annotations that travelled with it."""
    kept = _opened(value, KeptItem, where)
    changes = _said(kept, ("id", "kind", "path", *ITEM_FIELDS))
    numbered = {} if kept.id is _UNSET else {"coco": {**item.extras.get("coco", {}), "id": item.id}}
    changes["extras"] = {**item.extras, **numbered, **kept.extras}
    places = kept.places if len(kept.places) == len(kept.annotations) and min(kept.places, default=0) >= 0 else ()
    carried = zip(places or [_END] * len(kept.annotations), kept.annotations, strict=True)
    return msgspec.structs.replace(item, **changes), tuple(carried)


def carried_item(
    item: Item, annotations: list[Annotation], places: Sequence[int] = (), *, named: bool
) -> dict[str, Any]:
    """What an image row cannot say.

    Args:
        item: the image.
        annotations: those that have no rows.
        places: where among all of the item's annotations they stand, unless that is at the end.
        named: whether the item's id stands in the row.
    """
    kept: dict[str, Any] = {}
    if not named:
        kept["id"] = item.id
    if item.path is None:
        kept["path"] = None
    if item.kind != "image":
        kept["kind"] = item.kind
    for name in ITEM_FIELDS:
        value = getattr(item, name)
        if value is not None and value != {}:
            kept[name] = msgspec.to_builtins(value)
    if others := foreign(item.extras):
        kept["extras"] = others
    if annotations:
        kept["annotations"] = msgspec.to_builtins(annotations)
        if places:
            kept["places"] = list(places)
    return kept


# ---------------------------------------------------------------------- categories


def restore_label(value: Any, label: Label, where: Where) -> Label:
    """The label with what its category row carries."""
    kept = _opened(value, KeptLabel, where)
    changes = _said(kept, ("id", "color", "attributes"))
    if kept.extras:
        changes["extras"] = {**label.extras, **kept.extras}
    return msgspec.structs.replace(label, **changes)


def carried_label(label: Label) -> dict[str, Any]:
    """What a category row cannot say."""
    kept: dict[str, Any] = {}
    if label.color is not None:
        kept["color"] = label.color
    if label.attributes:
        kept["attributes"] = dict(label.attributes)
    if others := foreign(label.extras):
        kept["extras"] = others
    return kept


# ---------------------------------------------------------------------- the root


def kept_root(value: Any, where: Where) -> KeptRoot:
    """What the root object carries."""
    return _opened(value, KeptRoot, where)


def restore_header(kept: KeptRoot, header: Header) -> Header:
    """The header with what the root object carries."""
    return msgspec.structs.replace(
        header,
        taxonomies=header.taxonomies or kept.taxonomies,
        scenes=header.scenes or kept.scenes,
        extras={**header.extras, **kept.extras},
    )


def carried_header(header: Header) -> dict[str, Any]:
    """What the root object cannot say."""
    kept: dict[str, Any] = {}
    if header.taxonomies:
        kept["taxonomies"] = msgspec.to_builtins(header.taxonomies)
    if header.scenes:
        kept["scenes"] = msgspec.to_builtins(header.scenes)
    if others := foreign(header.extras):
        kept["extras"] = others
    return kept
