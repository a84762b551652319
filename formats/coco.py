"""What COCO's JSON files say: the rows, and loading and dumping them. Facts: cocodataset.org/#format-data.

A row is decoded in one go where it is as COCO writes it; where it is not, :func:`annotation_fields` decodes
it value by value, so that each odd value can be named.
"""

from __future__ import annotations

import json
import re
from typing import Any, TypeAlias

import msgspec

from nucleus_convert.formats import jsonvalue

Number: TypeAlias = int | float
RowId: TypeAlias = int | str | float | None


class Rle(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A mask: ``size`` is [height, width]; counts are runs down the columns, or the same compressed."""

    size: tuple[int, int]
    counts: str | list[int]


class AnnotationRow(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An annotation or result as COCO writes it. UNSET: the key is absent."""

    image_id: int | str
    id: int | msgspec.UnsetType | None = msgspec.UNSET
    category_id: int | msgspec.UnsetType = msgspec.UNSET
    bbox: tuple[Number, Number, Number, Number] | msgspec.UnsetType = msgspec.UNSET
    segmentation: list[tuple[Number, ...]] | Rle | msgspec.UnsetType = msgspec.UNSET
    area: Number | msgspec.UnsetType = msgspec.UNSET
    iscrowd: int | msgspec.UnsetType = msgspec.UNSET
    keypoints: tuple[Number, ...] | msgspec.UnsetType = msgspec.UNSET
    num_keypoints: int | msgspec.UnsetType = msgspec.UNSET
    score: Number | msgspec.UnsetType = msgspec.UNSET
    attributes: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    track_id: int | str | msgspec.UnsetType = msgspec.UNSET


class AnnotationProbe(msgspec.Struct, gc=False):
    """What the index needs of an annotation."""

    image_id: RowId = None
    id: RowId = None
    category_id: RowId = None


class ImageProbe(msgspec.Struct, gc=False):
    """What the index needs of an image."""

    id: RowId = None


DECODE_ANNOTATION = msgspec.json.Decoder(AnnotationRow).decode
ANNOTATION_PROBES = msgspec.json.Decoder(list[AnnotationProbe])
IMAGE_PROBES = msgspec.json.Decoder(list[ImageProbe])
ENCODE = msgspec.json.Encoder().encode
load, refusal, verbatim = jsonvalue.load, jsonvalue.refusal, jsonvalue.verbatim

KNOWN_KEYS = frozenset(AnnotationRow.__struct_fields__) | {"caption"}

_TASKS = ("instances", "person_keypoints", "captions", "stuff", "image_info", "labels", "panoptic")
_TASK_NAME = re.compile(rf"^({'|'.join(_TASKS)})(?:_(.+))?$")


def canonical_id(value: Any) -> int | str | None:
    """An id as a key to join by: integral floats and numbers written as text equal the int; None is no id."""
    if type(value) is int:
        return value
    if type(value) is float:
        return int(value) if value.is_integer() else None
    if type(value) is str:
        if len(value) < 19 and value.isascii() and value.isdigit() and (value == "0" or value[0] != "0"):
            return int(value)
        return value
    return None


def damaged_id(raw: bytes) -> int | str | None:
    """The canonical id in a row that is no JSON, if only its numbers are none, or parts of characters."""
    try:
        row = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return canonical_id(row.get("id")) if isinstance(row, dict) else None


def split_name(stem: str) -> tuple[str | None, str | None]:
    """Task and split of a file name in the usual layout: "instances_val2017" -> ("instances", "val2017")."""
    match = _TASK_NAME.match(stem)
    return (match.group(1), match.group(2)) if match else (None, None)


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number (a bool is not)."""
    return type(value) in (int, float)


def polygon_parts(value: Any) -> list[tuple[Number, ...]] | None:
    """The parts of a polygon in any of the forms found in the wild; None if it is none of them.

    ``[[x, y, ...], ...]`` is COCO's; a flat ``[x, y, ...]`` and pairs ``[[x, y], ...]`` or ``[[[x, y], ...],
    ...]`` also occur. Parts of fewer than three points, or an odd count of numbers, are no polygon.
    """
    if not isinstance(value, list) or not value:
        return None
    if all(is_number(number) for number in value):
        parts = [value]
    elif all(_is_pair(point) for point in value) and len(value) >= 3:
        parts = [[number for point in value for number in point]]
    elif all(isinstance(part, list) and part and all(_is_pair(point) for point in part) for part in value):
        parts = [[number for point in part for number in point] for part in value]
    elif all(isinstance(part, list) and all(is_number(number) for number in part) for part in value):
        parts = value
    else:
        return None
    if any(len(part) < 6 or len(part) % 2 for part in parts):
        return None
    return [tuple(part) for part in parts]


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and is_number(value[0]) and is_number(value[1])
