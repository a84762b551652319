"""Pieces to annotations of the model: those of one object become one, and metadata is undone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import Where
from nucleus_convert.converters.model import KINDS, SHAPES, Annotation, Box, Polygon, Shape, Tag
from nucleus_convert.converters.nucleus.decode import Piece
from nucleus_convert.converters.nucleus.metadata import FLAGS, FORMAT, PLAIN
from nucleus_convert.converters.nucleus.reserved import NOTHING, Opened, Reserved, split_plain
from nucleus_convert.converters.report import Report

_RANK = {kind: rank for rank, kind in enumerate(SHAPES)}
_UNSET = msgspec.UNSET


def fuse(
    pieces: list[Piece],
    labels: Mapping[str, tuple[Any, Any]],
    place: Callable[[], Where],
    report: Report,
) -> list[Annotation]:
    """The annotations of one item.

    Args:
        pieces: what its payloads say.
        labels: number and family of the header's labels, by name.
        place: gives the place of the first payload.
        report: told about objects whose mask is not here.
    """
    for piece in pieces:
        reserved = piece.reserved
        if reserved is not NOTHING and (reserved.object is not None or reserved.part is not None):
            break
    else:
        return [_annotation([piece], labels, place, report) for piece in pieces]
    objects: list[tuple[int, list[Piece]]] = []
    by_name: dict[tuple[bool, str], list[Piece]] = {}
    for i, piece in enumerate(pieces):
        if piece.reserved.object is None:
            objects.append((i, [piece]))
            if piece.name is not None:
                by_name.setdefault((piece.predicted, piece.name), objects[-1][1])
    for i, piece in enumerate(pieces):
        if piece.reserved.object is not None:
            key = (piece.predicted, piece.reserved.object)
            members = by_name.get(key)
            if members is None:
                members = by_name[key] = []
                objects.append((i, members))
            members.append(piece)
    objects.sort(key=lambda entry: entry[0])
    return [_annotation(members, labels, place, report) for _, members in objects]


def _annotation(
    pieces: list[Piece],
    labels: Mapping[str, tuple[Any, Any]],
    place: Callable[[], Where],
    report: Report,
) -> Annotation:
    first = pieces[0]
    plain, reserved = first.plain, first.reserved
    said = reserved.fields
    label = first.label if said is None or said.label is _UNSET else said.label
    shapes = _shapes(pieces, reserved)
    for piece in pieces:
        if piece.reserved.tag is not None:  # written as a label True of a taxonomy of its own
            label, taxonomy = piece.reserved.tag
            shapes = tuple(Tag(taxonomy) if type(shape) is Tag else shape for shape in shapes)
    embedding = next((piece.embedding for piece in pieces if piece.embedding is not None), None)
    fields: dict[str, Any] = {
        "label": label,
        "shapes": shapes,
        "id": first.name if reserved.object is None else reserved.object,
        "predicted": first.predicted,
        "confidence": first.confidence,
        "class_pdf": first.class_pdf,
        "track": first.track,
        "embedding": None if embedding is None else tuple(embedding),
    }
    if reserved.id is not _UNSET:
        fields["id"] = reserved.id
    if said is not None:
        for key in ("predicted", "track", "embedding", "class_pdf"):
            value = getattr(said, key)
            if value is not _UNSET:
                fields[key] = value
    if plain:
        known = labels.get(label) if label is not None else None
        if known is not None:
            for key, derived in zip(("category_id", "supercategory"), known, strict=True):
                if derived is not None and plain.get(key) == derived:
                    del plain[key]
        _flags(plain, reserved, fields)
    attributes, extras, remember = split_plain(Opened(plain, reserved), item=False)
    if first.own or remember:
        own = {**extras.get(FORMAT, {}), **(first.own or {})}
        if remember:
            own[PLAIN] = remember
        extras[FORMAT] = own
    if attributes:
        fields["attributes"] = attributes
    if extras:
        fields["extras"] = extras
    if not shapes:
        report.add(Code.UNREADABLE_SHAPE, "mask that is not here", format=FORMAT, where=place())
    return Annotation(**fields)


def _shapes(pieces: list[Piece], reserved: Reserved) -> tuple[Shape, ...]:
    if len(pieces) == 1 and reserved.order is None and not reserved.shapes and not reserved.derived:
        shape = pieces[0].shape
        if reserved.box is None:
            return () if shape is None else (shape,)
        if shape is not None and type(shape) is not Box:
            return (Box(*reserved.box), shape)
    found: dict[type[Any], Shape] = {}
    parts: list[tuple[int, Polygon]] = []
    carried: list[Shape] = []
    for piece in pieces:
        shape = piece.shape
        if piece.reserved.box is not None:
            carried.append(Box(*piece.reserved.box))
        carried.extend(piece.reserved.shapes)
        if type(shape) is Polygon:
            parts.append((1 if piece.reserved.part is None else piece.reserved.part[0], shape))
        elif shape is not None:
            found.setdefault(type(shape), shape)
    if parts:
        parts.sort(key=lambda entry: entry[0])
        found[Polygon] = Polygon(tuple(part for _, polygon in parts for part in polygon.parts))
    for made in list(found):
        if KINDS[made] in reserved.derived:
            del found[made]
    for shape in carried:
        found.pop(type(shape), None)
    shapes = [*found.values(), *carried]
    if reserved.order is None:
        shapes.sort(key=lambda shape: _RANK[type(shape)])
    else:
        ranks: dict[Any, int] = {kind: rank for rank, kind in enumerate(reserved.order)}
        shapes.sort(key=lambda shape: ranks.get(KINDS[type(shape)], len(ranks)))
    return tuple(shapes)


def _flags(plain: dict[str, Any], reserved: Reserved, fields: dict[str, Any]) -> None:
    """Move the model's flags from the plain keys to the annotation's fields, where their values fit."""
    for field, key in FLAGS.items():
        if key not in plain:
            continue
        value = plain[key]
        kind = type(value)
        if field in ("crowd", "difficult"):
            if kind is int and value in (0, 1):
                fields[field] = value == 1
                del plain[key]
        elif field in ("occluded", "truncated"):
            if kind is int or kind is float:
                fields[field] = value == 1 if key in reserved.bools and value in (0, 1) else value
                del plain[key]
        elif kind is int or (kind is str and field == "group"):
            fields[field] = value
            del plain[key]
