"""Payload rows to annotations of the model: each row checked, payloads of one object fused, metadata undone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import SchemaError, Where
from nucleus_convert.converters.model import (
    KINDS,
    SHAPES,
    Annotation,
    Box,
    Cuboid,
    Keypoints,
    Line,
    Polygon,
    Shape,
    Tag,
)
from nucleus_convert.converters.nucleus.metadata import (
    FLAGS,
    FORMAT,
    KEY,
    PLAIN,
    Unpacked,
    open_up,
    split_plain,
)
from nucleus_convert.converters.nucleus.pictures import Pictures, Segments
from nucleus_convert.converters.report import Report
from nucleus_convert.formats.nucleus import forms, wire

_RANK = {kind: rank for rank, kind in enumerate(SHAPES)}
_SHAPES = msgspec.json.Decoder(list[Shape])  # type: ignore[arg-type]
_EMPTY: Mapping[str, Any] = {}
_FIELDS = frozenset({"label", "predicted", "track", "embedding", "class_pdf"})
_GEOMETRY = {
    "box": wire.RectangleRead,
    "polygon": wire.VerticesRead,
    "line": wire.VerticesRead,
    "keypoints": wire.SkeletonRead,
    "cuboid": wire.BlockRead,
}
_POINTS = {"vertices": {"x", "y"}, "keypoints": {"x", "y", "visible"}}

Place = Callable[[str], Where]
"""Gives the place of something inside a row, by its JSON path."""


class Piece(msgspec.Struct, gc=False):
    """What one payload, or one segment of a mask, says of an object."""

    label: str | None
    shape: Shape | None
    predicted: bool
    name: str | None
    plain: dict[str, Any]
    reserved: Mapping[str, Any]
    confidence: int | float | None = None
    class_pdf: Mapping[str, Any] | None = None
    track: str | None = None
    embedding: Any = None
    own: dict[str, Any] | None = None


# --- checking a row ------------------------------------------------------------------------------------


def checked(row: Any, place: Place, kind: str | None = None) -> tuple[Any, dict[str, Any]]:
    """A decoded payload as the struct of its type, and the keys that no struct knows.

    Args:
        row: the payload; used up.
        place: gives places for errors.
        kind: its type where the payload does not say: the name of its group.

    Raises:
        SchemaError: something is not as the SDK has it.
    """
    if type(row) is not dict:
        raise SchemaError("expected a payload object", place(""))
    row = forms.normal(dict(row))
    found = row.get("type", kind)
    if found == "segmentation" or (found is None and "mask_url" in row):
        found = "mask"
    made = wire.ROWS.get(found) if type(found) is str else None
    if made is None:
        raise SchemaError(
            f"unknown payload type {found!r:.60}", place(".type"), hint=f"types: {', '.join(wire.ROWS)}"
        )
    row["type"] = found
    extras = {key: row.pop(key) for key in list(row) if key not in made.__struct_fields__ and key != "type"}
    for key in ("task_id", "dataset_item_id"):
        if row.get(key) is not None:
            extras[key] = row.pop(key)
    for key in ("reference_id", "annotation_id", "track_reference_id"):
        if type(row.get(key)) is int:
            row[key] = str(row[key])
    if found == "mask":
        row["annotations"] = _plain_segments(row.get("annotations"), extras)
    elif found in _GEOMETRY:
        row["geometry"] = _plain_geometry(row.get("geometry"), _GEOMETRY[found], extras)
    elif type(row.get("geometry")) is dict and row["geometry"]:
        extras["geometry"] = row.pop("geometry")
    try:
        return msgspec.convert(row, made), extras
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at ")
        raise SchemaError(
            f"not a {found} as Nucleus has it: {text}",
            place(path.strip("`").removeprefix("$")),
            hint="see the SDK's from_json for what is expected",
        ) from error


def _plain_geometry(value: Any, made: Any, extras: dict[str, Any]) -> Any:
    """Geometry without the keys that the SDK does not know, which go to ``extras``."""
    if type(value) is not dict:
        return value
    known = made.__struct_fields__
    strange = {key: entry for key, entry in value.items() if key not in known}
    plain = {key: entry for key, entry in value.items() if key in known}
    for key, wanted in _POINTS.items():
        points = plain.get(key)
        if type(points) is list and any(
            type(point) is dict and not wanted.issuperset(point) for point in points
        ):
            strange[key] = points
            plain[key] = [
                {name: point[name] for name in wanted & point.keys()} if type(point) is dict else point
                for point in points
            ]
    if strange:
        extras["geometry"] = strange
    return plain


def _plain_segments(value: Any, extras: dict[str, Any]) -> Any:
    if type(value) is not list:
        return value
    known = wire.SegmentRead.__struct_fields__
    plain, strange = [], {}
    for i, segment in enumerate(value):
        if type(segment) is dict and not set(known).issuperset(segment):
            strange[i] = {key: entry for key, entry in segment.items() if key not in known}
            segment = {key: entry for key, entry in segment.items() if key in known}
        plain.append(segment)
    if strange:
        extras["segments"] = strange
    return plain


# --- a row to pieces -----------------------------------------------------------------------------------


class Decoder:
    """Makes annotations of the payload rows of an item."""

    def __init__(
        self, labels: Mapping[str, tuple[Any, Any]], pictures: Pictures, *, predictions: bool
    ) -> None:
        self.labels = labels
        self.pictures = pictures
        self.predictions = predictions

    def pieces(
        self,
        row: Any,
        extras: dict[str, Any],
        place: Place,
        size: tuple[int | None, int | None],
        report: Report,
        *,
        predicted: bool,
    ) -> list[Piece]:
        """What a checked row says of objects."""
        kind = type(row)
        predicted = predicted or self.predictions or row.confidence is not None or row.class_pdf is not None
        if kind is wire.MaskRow:
            return self._segments(row, extras, place, size, report, predicted)
        plain, reserved = open_up(row.metadata, lambda: place(f".metadata.{KEY}"))
        own = extras or None
        if kind is wire.MultiCategoryRow:
            count = len(row.labels)
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
                    own={**extras, "multi": [i, count]},
                )
                for i, label in enumerate(row.labels)
            ]
        shape: Shape
        name = row.annotation_id
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
        return [
            Piece(
                row.label,
                shape,
                predicted,
                name,
                plain,
                reserved,
                row.confidence,
                row.class_pdf,
                row.track_reference_id,
                embedding,
                own,
            )
        ]

    def _segments(
        self,
        row: wire.MaskRow,
        extras: dict[str, Any],
        place: Place,
        size: tuple[int | None, int | None],
        report: Report,
        predicted: bool,
    ) -> list[Piece]:
        found: Segments = self.pictures.read(row, place, size, report)
        strange = extras.pop("segments", _EMPTY)
        line: dict[str, Any] = dict(extras)
        if row.annotation_id is not None and row.annotation_id != "segmentation":
            line["annotation_id"] = row.annotation_id
        for key in ("metadata", "track_reference_id"):
            value = getattr(row, key)
            if value:
                line[key] = value
        pieces: list[Piece] = []
        for i, segment in enumerate(row.annotations):
            inside = f".annotations[{i}].metadata.{KEY}"
            plain, reserved = open_up(segment.metadata, lambda inside=inside: place(inside))  # type: ignore[misc]
            confidence = row.confidence
            if predicted and type(plain.get("confidence")) in (int, float):
                confidence = plain.pop("confidence")
            own: dict[str, Any] = {}
            mask = found.masks.get(i)
            if mask is None:
                own["mask"] = {"mask_url": row.mask_url, "index": segment.index, **line}
            elif line:
                own["mask"] = line
            if i in strange:
                own["segment"] = strange[i]
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

    # ------------------------------------------------------------------ pieces to annotations

    def fuse(self, pieces: list[Piece], place: Callable[[], Where], report: Report) -> list[Annotation]:
        """Annotations of the pieces of one item: those of one object become one."""
        simple = True
        for piece in pieces:
            if piece.reserved and ("object" in piece.reserved or "part" in piece.reserved):
                simple = False
                break
        if simple:
            return [self._annotation([piece], place, report) for piece in pieces]
        objects: list[tuple[int, list[Piece]]] = []
        by_name: dict[tuple[bool, str], list[Piece]] = {}
        for i, piece in enumerate(pieces):
            if "object" not in piece.reserved:
                objects.append((i, [piece]))
                if piece.name is not None:
                    by_name.setdefault((piece.predicted, piece.name), objects[-1][1])
        for i, piece in enumerate(pieces):
            if "object" in piece.reserved:
                key = (piece.predicted, str(piece.reserved["object"]))
                members = by_name.get(key)
                if members is None:
                    members = by_name[key] = []
                    objects.append((i, members))
                members.append(piece)
        objects.sort(key=lambda entry: entry[0])
        return [self._annotation(members, place, report) for _, members in objects]

    def _annotation(self, pieces: list[Piece], place: Callable[[], Where], report: Report) -> Annotation:
        first = pieces[0]
        plain, reserved = first.plain, first.reserved
        if not reserved and not plain and len(pieces) == 1 and first.own is None and first.shape is not None:
            return Annotation(
                label=first.label,
                shapes=(first.shape,),
                id=first.name,
                predicted=first.predicted,
                confidence=first.confidence,
                class_pdf=first.class_pdf,
                track=first.track,
                embedding=None if first.embedding is None else tuple(first.embedding),
            )
        shapes = self._shapes(pieces, reserved, place)
        label = reserved["fields"].get("label", first.label) if "fields" in reserved else first.label
        known = self.labels.get(label) if label is not None else None
        for piece in pieces:
            if "tag" in piece.reserved:  # written as a label True of a taxonomy of its own
                label, taxonomy = piece.reserved["tag"]
                known = self.labels.get(label)
                shapes = tuple(Tag(taxonomy) if type(shape) is Tag else shape for shape in shapes)
        if known is not None:
            if "category_id" in plain and plain["category_id"] == known[0] and known[0] is not None:
                del plain["category_id"]
            if "supercategory" in plain and plain["supercategory"] == known[1] and known[1] is not None:
                del plain["supercategory"]
        fields: dict[str, Any] = {
            "label": label,
            "shapes": shapes,
            "id": reserved["id"] if "id" in reserved else first.name,
            "predicted": first.predicted,
            "confidence": first.confidence,
            "class_pdf": first.class_pdf,
            "track": first.track,
        }
        if "id" not in reserved and "object" in reserved:
            fields["id"] = reserved["object"]  # its first payload is gone
        for piece in pieces:
            if piece.embedding is not None:
                fields["embedding"] = tuple(piece.embedding)
                break
        if plain:
            _flags(plain, reserved, fields)
        for key, value in reserved.get("fields", _EMPTY).items():
            if key in _FIELDS:
                fields[key] = tuple(value) if type(value) is list else value
        attributes, extras, remember = split_plain(Unpacked(plain, reserved), item=False)
        own = first.own
        if own or remember or FORMAT in extras:
            here = {**extras.get(FORMAT, _EMPTY), **(own or {})}
            if remember:
                here[PLAIN] = remember
            extras[FORMAT] = here
        if attributes:
            fields["attributes"] = attributes
        if extras:
            fields["extras"] = extras
        annotation = Annotation(**fields)
        if not shapes:
            report.add(
                Code.UNREADABLE_SHAPE,
                "mask that is not here",
                format=FORMAT,
                where=place(),
            )
        return annotation

    def _shapes(
        self, pieces: list[Piece], reserved: Mapping[str, Any], place: Callable[[], Where]
    ) -> tuple[Shape, ...]:
        if len(pieces) == 1 and "shapes" not in reserved and "derived" not in reserved:
            shape = pieces[0].shape
            box = reserved.get("box")
            if box is None:
                return () if shape is None else (shape,)
            if shape is not None and type(box) is list and len(box) == 4:
                if "order" not in reserved and type(shape) is not Box:
                    return (Box(*box), shape)
        found: dict[type[Any], Shape] = {}
        parts: list[tuple[int, Polygon]] = []
        carried: list[Shape] = []
        for piece in pieces:
            shape = piece.shape
            said = piece.reserved
            if "box" in said:
                box = said["box"]
                if type(box) is not list or len(box) != 4 or not all(type(n) in (int, float) for n in box):
                    raise _damaged("box", place)
                carried.append(Box(*box))
            if "shapes" in said:
                try:
                    carried.extend(_SHAPES.decode(msgspec.json.encode(said["shapes"])))
                except msgspec.MsgspecError as error:
                    raise _damaged("shapes", place) from error
            if shape is None:
                continue
            if type(shape) is Polygon:
                part = said.get("part")
                parts.append((part[0] if type(part) is list and part else 1, shape))
            else:
                found.setdefault(type(shape), shape)
        if parts:
            parts.sort(key=lambda entry: entry[0])
            found[Polygon] = Polygon(tuple(part for _, polygon in parts for part in polygon.parts))
        for kind in reserved.get("derived", ()):
            for made in list(found):
                if KINDS[made] == kind:
                    del found[made]
        for shape in carried:
            found.pop(type(shape), None)
        shapes = [*found.values(), *carried]
        order = reserved.get("order")
        ranks = {kind: rank for rank, kind in enumerate(order)} if type(order) is list else None
        if ranks is None:
            shapes.sort(key=lambda shape: _RANK[type(shape)])
        else:
            shapes.sort(key=lambda shape: ranks.get(KINDS[type(shape)], len(ranks)))
        return tuple(shapes)


def _damaged(key: str, place: Callable[[], Where]) -> SchemaError:
    return SchemaError(
        f"'{key}' in metadata key '{KEY}' is not as this program writes it",
        place(),
        hint=f"leave '{KEY}' out, or as it was",
    )


def _flags(plain: dict[str, Any], reserved: Mapping[str, Any], fields: dict[str, Any]) -> None:
    """Move the model's flags from the plain keys to the annotation's fields, where their values fit."""
    bools = reserved.get("bools", ())
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
                fields[field] = value == 1 if key in bools and value in (0, 1) else value
                del plain[key]
        elif kind is int or (kind is str and field == "group"):
            fields[field] = value
            del plain[key]


def _flat(vertices: list[Any]) -> tuple[Any, ...]:
    flat: list[Any] = []
    for vertex in vertices:
        flat.append(vertex.x)
        flat.append(vertex.y)
    return tuple(flat)


def _keypoints(geometry: Any, reserved: Mapping[str, Any], place: Place) -> Keypoints:
    points: list[Any] = []
    for i, point in enumerate(geometry.keypoints):
        x, y = point.x, point.y
        if (x is None) != (y is None) or (x is None and point.visible):
            raise SchemaError(
                "a visible keypoint must have x and y"
                if point.visible
                else "a keypoint has only one of x and y",
                place(f".geometry.keypoints[{i}]"),
            )
        if x is None:
            points += (0, 0, 0)
        else:
            points += (x, y, 2 if point.visible else 1)
    count = len(geometry.keypoints)
    if len(geometry.names) != count:
        raise SchemaError(f"{len(geometry.names)} names for {count} keypoints", place(".geometry.names"))
    seen = reserved.get("visibility")
    if type(seen) is list and len(seen) == count:
        points[2::3] = seen
    names = reserved.get("names")
    skeleton = reserved.get("skeleton")
    return Keypoints(
        tuple(points),
        tuple(geometry.names if names is None else names),
        tuple((edge[0], edge[1]) for edge in (geometry.skeleton or () if skeleton is None else skeleton)),
    )
