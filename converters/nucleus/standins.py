"""Annotations of one payload that is neither a box nor a polygon: lines, keypoints, and what stands in for an original.

One without an id needs no :class:`draw.Canvas` (see :mod:`assembly` and :mod:`sketchlines`): its line is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple, TypeAlias

import msgspec

from nucleus_convert.converters.geometry import box_ring, ellipse_ring
from nucleus_convert.converters.model import (
    KINDS,
    Annotation,
    Box,
    Cuboid2D,
    Ellipse,
    Keypoints,
    Line,
    Number,
    Points,
    Polygon,
    Ring,
)
from nucleus_convert.converters.nucleus.payloads import geometry
from nucleus_convert.converters.report import Fate
from nucleus_convert.converters.sketch import Common
from nucleus_convert.converters.substitutes import substitute
from nucleus_convert.formats.nucleus.wire import ENCODER
from nucleus_convert.formats.rings import vertices

_UNDRAWN = (Box, Ellipse, Points, Cuboid2D)
"""What a polygon or keypoints may stand in for."""
_MARK = b'"id":null'
_DECODE_NUMBERS = msgspec.json.Decoder(tuple[Number, ...]).decode


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
        before = _before(ENCODER.encode(original), name)
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
        numbers = ENCODER.encode(shape.points)[1:-1].split(b",")
        made, behind = _keypoints(numbers, shape.names, shape.skeleton)
        return Drawn(name, made, before, behind, fate)
    return None


def _before(original: bytes, name: str) -> bytes:
    """What is under the reserved key of what stands in for an original."""
    return b',"shapes":[%b],"derived":["%b"]' % (original, name.encode())


def _vertices(ring: Ring) -> bytes:
    """The geometry of a polygon or line."""
    return b'{"vertices":[%b]}' % vertices(b"[%b]" % ENCODER.encode(ring))[0]


def _keypoints(
    numbers: Sequence[bytes], names: tuple[str, ...], skeleton: tuple[tuple[int, int], ...]
) -> tuple[bytes, bytes]:
    """The geometry of keypoints, and what is behind under the reserved key."""
    xs, ys, seen = numbers[::3], numbers[1::3], tuple(numbers[2::3])
    if seen.count(b"2") + seen.count(b"1") < len(seen) and (
        any(one not in _VISIBILITY for one in seen) or (b"0", b"0", b"0") in zip(xs, ys, seen, strict=True)
    ):
        shape = Keypoints(_DECODE_NUMBERS(b"[%b]" % b",".join(numbers)), names, skeleton)
        reserved: dict[str, Any] = {}
        made = ENCODER.encode(geometry(shape, reserved))
        return made, _after_comma(reserved)
    frame, behind = _frame(seen, names, skeleton)
    places: list[bytes] = [b""] * (2 * len(xs))
    places[::2], places[1::2] = xs, ys
    return frame % tuple(places), behind


_VISIBILITY = (b"0", b"1", b"2")


@lru_cache(maxsize=1024)
def _frame(
    seen: tuple[bytes, ...], names: tuple[str, ...], skeleton: tuple[tuple[int, int], ...]
) -> tuple[bytes, bytes]:
    """The geometry of keypoints that are seen so, with a place for the numbers of each; what is behind."""
    points = tuple([number for one in seen for number in (0.5, 0.5, int(one))])
    reserved: dict[str, Any] = {}
    made = ENCODER.encode(geometry(Keypoints(points, names, skeleton), reserved))
    return made.replace(b"%", b"%%").replace(b'"x":0.5,"y":0.5', b'"x":%b,"y":%b'), _after_comma(reserved)


def _after_comma(reserved: dict[str, Any]) -> bytes:
    return b"," + ENCODER.encode(reserved)[1:-1] if reserved else b""


def spliced(metadata: bytes, before: bytes, behind: bytes) -> bytes:
    """Metadata of an annotation without an id as JSON, with what its payload adds; see :class:`Drawn`."""
    if before:
        metadata = metadata.replace(_MARK, _MARK + before)
    return metadata[:-2] + behind + b"}}" if behind else metadata


# --- of numbers that are text --------------------------------------------------------------------------

Maker: TypeAlias = Callable[[bytes], tuple[bytes, bytes, bytes]]
"""Of the numbers of a sketch: an array of the numbers of a ring, or a whole geometry; and what is before and behind."""


def maker_of(common: Common) -> Maker | None:
    """What makes a payload of the numbers of such sketches; None where there is nothing to make."""
    kind = common.kinds[0]
    if isinstance(common.like, Keypoints):
        return partial(_skeleton, common.like)
    if len(common.kinds) == 1:
        return None
    named = b'{"type":"%b",' % KINDS[kind].encode()
    if kind is Box or kind is Ellipse:
        fields = [b'"%b":' % name.encode() for name in kind.__struct_fields__]
        ring_of = box_ring if kind is Box else _curve
        return partial(_turned, ring_of, named, fields)
    found = substitute(common.like)
    assert found is not None
    return partial(_points, named + b'"points":[%b]}', found[0])


def _curve(*numbers: Number) -> Ring:
    return ellipse_ring(*numbers).ring


def _turned(
    ring_of: Callable[..., Ring], named: bytes, fields: list[bytes], numbers: bytes
) -> tuple[bytes, bytes, bytes]:
    ring = ring_of(*_DECODE_NUMBERS(b"[%b]" % numbers))
    said = b",".join([field + number for field, number in zip(fields, numbers.split(b","), strict=False)])
    return ENCODER.encode(ring), _before(b"%b%b}" % (named, said), "polygon"), b""


def _points(original: bytes, like: Any, numbers: bytes) -> tuple[bytes, bytes, bytes]:
    flat = numbers.strip(b"[]")
    places = flat.split(b",")
    frame, behind = _frame((b"2",) * (len(places) // 2), like.names, like.skeleton)
    return frame % tuple(places), _before(original % flat, "keypoints"), behind


def _skeleton(like: Keypoints, numbers: bytes) -> tuple[bytes, bytes, bytes]:
    made, behind = _keypoints(numbers.split(b","), like.names, like.skeleton)
    return made, b"", behind
