"""Payload rows checked against what the SDK has, and keys that it does not know put aside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from nucleus_convert.converters.errors import SchemaError, Where
from nucleus_convert.formats.nucleus import forms, wire

Place: TypeAlias = Callable[[str], Where]
"""Gives the place of something inside a row, by its JSON path without the $."""

_GEOMETRY: dict[str, type[msgspec.Struct]] = {
    "box": wire.RectangleRead,
    "polygon": wire.VerticesRead,
    "line": wire.VerticesRead,
    "keypoints": wire.SkeletonRead,
    "cuboid": wire.BlockRead,
}
_POINTS = {"vertices": {"x", "y"}, "keypoints": {"x", "y", "visible"}}


def checked(row: Any, place: Place, kind: str | None = None) -> tuple[Any, dict[str, Any]]:
    """A decoded payload as the struct of its type, and the keys that no struct knows.

    Args:
        row: the payload.
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
        raise SchemaError(f"unknown payload type {found!r:.60}", place(".type"), hint=f"types: {', '.join(wire.ROWS)}")
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


def _plain_geometry(value: Any, made: type[msgspec.Struct], extras: dict[str, Any]) -> Any:
    """Geometry without the keys that the SDK does not know, which go to ``extras``."""
    if type(value) is not dict:
        return value
    known = made.__struct_fields__
    strange = {key: entry for key, entry in value.items() if key not in known}
    plain = {key: entry for key, entry in value.items() if key in known}
    for key, wanted in _POINTS.items():
        points = plain.get(key)
        if type(points) is not list:
            continue
        if any(type(point) is dict and not wanted.issuperset(point) for point in points):
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
    known = set(wire.SegmentRead.__struct_fields__)
    plain, strange = [], {}
    for i, segment in enumerate(value):
        if type(segment) is dict and not known.issuperset(segment):
            strange[i] = {key: entry for key, entry in segment.items() if key not in known}
            segment = {key: entry for key, entry in segment.items() if key in known}
        plain.append(segment)
    if strange:
        extras["segments"] = strange
    return plain
