"""Annotations of one payload that is neither a box nor a polygon: lines, keypoints, and what stands in for an original.

One without an id needs no :class:`draw.Canvas` (see :mod:`assembly`): its line is the same.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from nucleus_convert.converters.model import (
    KINDS,
    Annotation,
    Box,
    Cuboid2D,
    Ellipse,
    Keypoints,
    Line,
    Points,
    Polygon,
    Ring,
)
from nucleus_convert.converters.nucleus.payloads import geometry
from nucleus_convert.converters.report import Fate
from nucleus_convert.formats.nucleus.wire import ENCODER
from nucleus_convert.formats.rings import vertices

_UNDRAWN = (Box, Ellipse, Points, Cuboid2D)
"""What a polygon or keypoints may stand in for."""
_MARK = b'"id":null'


class Drawn(NamedTuple):
    """The one payload of an annotation.

    Attributes:
        kind: the payload's type.
        geometry: of the payload, as JSON.
        before: what its reserved key holds besides, as JSON after a comma each: behind the id,
        behind: and at the end.
        fate: of the annotation's shapes.
    """

    kind: str
    geometry: bytes
    before: bytes
    behind: bytes
    fate: Fate


def drawn(annotation: Annotation) -> Drawn | None:
    """The payload of an annotation that is a line, keypoints, or an original and what stands in for it; else None."""
    shapes = annotation.shapes
    shape: Any = shapes[-1]
    kind = type(shape)
    name = KINDS[kind]
    before = b""
    fate: Fate = (("object", "written"), (name, "written"))
    if len(shapes) == 2:
        original: Any = shapes[0]
        if (
            annotation.derived != (name,)
            or type(original) not in _UNDRAWN
            or (type(original) is Box and not original.rotation)
        ):
            return None
        before = b',"shapes":[%b],"derived":["%b"]' % (ENCODER.encode(original), name.encode())
        fate = (("object", "written"), (KINDS[type(original)], "carried"))
    elif len(shapes) != 1 or annotation.derived:
        return None
    if kind is Polygon:
        parts = shape.parts
        if len(shapes) == 1 or len(parts) != 1 or len(parts[0]) != 1 or len(parts[0][0]) < 6 or len(parts[0][0]) & 1:
            return None
        return Drawn(name, _vertices(parts[0][0]), before, b"", fate)
    if kind is Line and len(shape.points) >= 4 and not len(shape.points) & 1:
        return Drawn(name, _vertices(shape.points), before, b"", fate)
    if kind is Keypoints and shape.points and not len(shape.points) % 3:
        return Drawn(name, *_keypoints(shape, before), fate)
    return None


def _vertices(ring: Ring) -> bytes:
    """The geometry of a polygon or line."""
    return b'{"vertices":[%b]}' % vertices(b"[%b]" % ENCODER.encode(ring))[0]


def _keypoints(shape: Keypoints, before: bytes) -> tuple[bytes, bytes, bytes]:
    """The geometry of keypoints, and what is before and behind under the reserved key."""
    numbers = ENCODER.encode(shape.points)[1:-1].split(b",")
    if numbers[2::3].count(b"2") < len(numbers) // 3:  # not all are seen
        reserved: dict[str, Any] = {}
        made = ENCODER.encode(geometry(shape, reserved))
        return made, before, b"," + ENCODER.encode(reserved)[1:-1] if reserved else b""
    frame, behind = _frame(len(numbers) // 3, shape.names, shape.skeleton)
    places = zip(numbers[::3], numbers[1::3], strict=True)
    return frame % b",".join([b'{"x":%b,"y":%b,"visible":true}' % place for place in places]), before, behind


@lru_cache(maxsize=64)
def _frame(count: int, names: tuple[str, ...], skeleton: tuple[tuple[int, int], ...]) -> tuple[bytes, bytes]:
    """The geometry of so many keypoints that are all seen, with a place for them; what is behind."""
    reserved: dict[str, Any] = {}
    made = ENCODER.encode(geometry(Keypoints((0, 0, 2) * count, names, skeleton), reserved))
    head, tail = made[: made.index(b"[") + 1], made[made.index(b"]") :]
    behind = b"," + ENCODER.encode(reserved)[1:-1] if reserved else b""
    return head.replace(b"%", b"%%") + b"%b" + tail.replace(b"%", b"%%"), behind


def spliced(metadata: bytes, one: Drawn) -> bytes | None:
    """Metadata of an annotation without an id as JSON, with what its payload adds.

    None where there is another null: perhaps a number that is none.
    """
    if one.before:
        metadata = metadata.replace(_MARK, _MARK + one.before)
    if one.behind:
        metadata = metadata[:-2] + one.behind + b"}}"
    return metadata if metadata.count(b"null") == 1 else None
