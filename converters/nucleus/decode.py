"""Checked payload rows to pieces: what each payload, or each segment of a mask, says of an object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import SchemaError
from nucleus_convert.converters.model import Box, Cuboid, Keypoints, Line, Polygon, Shape, Tag
from nucleus_convert.converters.nucleus.check import Place
from nucleus_convert.converters.nucleus.metadata import FORMAT, MASK, MULTI, SEGMENT
from nucleus_convert.converters.nucleus.pictures import Pictures
from nucleus_convert.converters.nucleus.reserved import Reserved, open_up
from nucleus_convert.converters.report import Report
from nucleus_convert.formats.nucleus import wire

_MERGED = "segments of a whole label: their objects are read from the item's metadata"
SEGMENTATION = "segmentation"
"""The id that a mask payload is given when its source had none."""


class Piece(msgspec.Struct, gc=False):
    """What one payload, or one segment of a mask, says of an object.

    ``plain`` are its plain metadata keys, ``own`` what goes to ``extras["nucleus"]``.
    """

    label: str | None
    shape: Shape | None
    predicted: bool
    name: str | None
    plain: dict[str, Any]
    reserved: Reserved
    confidence: int | float | None = None
    class_pdf: Mapping[str, Any] | None = None
    track: str | None = None
    embedding: Any = None
    own: dict[str, Any] | None = None


def pieces_of(
    row: Any,
    extras: dict[str, Any],
    place: Place,
    size: tuple[int | None, int | None],
    pictures: Pictures,
    report: Report,
    *,
    predicted: bool,
) -> list[Piece]:
    """What a checked row says of objects.

    Args:
        row: the payload.
        extras: keys that the SDK does not know.
        place: gives places for errors.
        size: height and width of its item, as far as known.
        pictures: finds mask pictures.
        report: told what a mask picture holds that no segment names.
        predicted: whether its file, or the caller, says that a model made it.
    """
    kind = type(row)
    predicted = predicted or row.confidence is not None or row.class_pdf is not None
    if kind is wire.MaskRow:
        return _segments(row, extras, place, size, pictures, report, predicted)
    if row.metadata:
        plain, reserved = open_up(row.metadata, lambda inside: place(f".metadata{inside}"))
    else:
        plain, reserved = open_up(None, place)
    if kind is wire.MultiCategoryRow:
        return _labels(row, extras, plain, reserved, predicted)
    shape: Shape
    embedding = None
    if kind is wire.CategoryRow:
        shape = Tag(row.taxonomy_name)
    else:
        geometry = row.geometry
        embedding = row.embedding_vector
        if kind is wire.PolygonRow:
            shape = Polygon(((_flat(geometry.vertices),),))
        elif kind is wire.BoxRow:
            shape = Box(geometry.x, geometry.y, geometry.width, geometry.height)
        elif kind is wire.LineRow:
            shape = Line(_flat(geometry.vertices))
        elif kind is wire.KeypointsRow:
            shape = _keypoints(geometry, reserved, place)
        else:
            centre, lengths = geometry.position, geometry.dimensions
            shape = Cuboid(centre.x, centre.y, centre.z, lengths.x, lengths.y, lengths.z, geometry.yaw)
    piece = Piece(
        row.label,
        shape,
        predicted,
        row.annotation_id,
        plain,
        reserved,
        row.confidence,
        row.class_pdf,
        row.track_reference_id,
        embedding,
        extras or None,
    )
    return [piece]


def _labels(
    row: wire.MultiCategoryRow,
    extras: dict[str, Any],
    plain: dict[str, Any],
    reserved: Reserved,
    predicted: bool,
) -> list[Piece]:
    """A tag for each label; ``_multi`` ties them, so that they can be written as one payload again."""
    return [
        Piece(
            label,
            Tag(row.taxonomy_name),
            predicted,
            None,
            dict(plain),
            reserved,
            row.confidence,
            row.class_pdf,
            row.track_reference_id,
            own={**extras, MULTI: [i, len(row.labels)]},
        )
        for i, label in enumerate(row.labels)
    ]


def _segments(
    row: wire.MaskRow,
    extras: dict[str, Any],
    place: Place,
    size: tuple[int | None, int | None],
    pictures: Pictures,
    report: Report,
    predicted: bool,
) -> list[Piece]:
    """An object for each segment. Without a picture ``_mask`` keeps what the payload said."""
    masks = pictures.read(row, place, size, report)
    strange: Mapping[int, Any] = extras.pop("segments", {})
    line = dict(extras)
    if row.annotation_id is not None and row.annotation_id != SEGMENTATION:
        line["annotation_id"] = row.annotation_id
    if row.metadata:
        line["metadata"] = row.metadata
    if row.track_reference_id:
        line["track_reference_id"] = row.track_reference_id
    pieces: list[Piece] = []
    for i, segment in enumerate(row.annotations):

        def inside(path: str, i: int = i) -> Any:
            return place(f".annotations[{i}].metadata{path}")

        plain, reserved = open_up(segment.metadata, inside)
        if reserved.merged:
            report.add(Code.SUPERSEDED, _MERGED, format=FORMAT, where=place(f".annotations[{i}]"))
            continue
        confidence = row.confidence
        if predicted and type(plain.get("confidence")) in (int, float):
            confidence = plain.pop("confidence")
        own: dict[str, Any] = {}
        mask = masks.get(i)
        if mask is None:
            own[MASK] = {"mask_url": row.mask_url, "index": segment.index, **line}
        elif line:
            own[MASK] = line
        if i in strange:
            own[SEGMENT] = strange[i]
        pieces.append(
            Piece(
                segment.label,
                mask,
                predicted,
                None,
                plain,
                reserved,
                confidence,
                row.class_pdf,
                own=own or None,
            )
        )
    return pieces


def _flat(vertices: list[Any]) -> tuple[Any, ...]:
    flat: list[Any] = [None] * (2 * len(vertices))
    flat[0::2] = [vertex.x for vertex in vertices]
    flat[1::2] = [vertex.y for vertex in vertices]
    return tuple(flat)


def _keypoints(geometry: wire.SkeletonRead, reserved: Reserved, place: Place) -> Keypoints:
    points: list[Any] = []
    for i, point in enumerate(geometry.keypoints):
        x, y = point.x, point.y
        if (x is None) != (y is None) or (x is None and point.visible):
            raise SchemaError(
                "a visible keypoint must have x and y" if point.visible else "a keypoint has only one of x and y",
                place(f".geometry.keypoints[{i}]"),
            )
        if x is None:
            points += (0, 0, 0)
        else:
            points += (x, y, 2 if point.visible else 1)
    count = len(geometry.keypoints)
    if len(geometry.names) != count:
        raise SchemaError(f"{len(geometry.names)} names for {count} keypoints", place(".geometry.names"))
    if reserved.visibility is not None and len(reserved.visibility) == count:
        points[2::3] = reserved.visibility
    return Keypoints(
        tuple(points),
        tuple(geometry.names) if reserved.names is None else reserved.names,
        tuple(geometry.skeleton or ()) if reserved.skeleton is None else reserved.skeleton,
    )
