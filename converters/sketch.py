"""Objects without ids, of one shape each, as the text they were read from (see :mod:`several`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from nucleus_convert.converters.geometry import ellipse_corners
from nucleus_convert.converters.model import (
    EMPTY,
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
    Shape,
    Tag,
)
from nucleus_convert.converters.several import Several
from nucleus_convert.converters.substitutes import substitute

_DECODE_RING = msgspec.json.Decoder(tuple[Ring]).decode
_DECODE_NUMBERS = msgspec.json.Decoder(tuple[Number, ...]).decode


class Common(msgspec.Struct, frozen=True, eq=False):
    """What sketches have in common: one object for all that say the same.

    Attributes:
        annotation: all that they say but for their attributes, without shapes and without an id.
        like: a shape like the one that they have, but for its numbers.
        kinds: the class of that, and of what stands in for it, if anything does.
    """

    annotation: Annotation
    like: Shape
    kinds: tuple[type[Any], ...]

    def shape(self, numbers: bytes) -> Shape:
        """The shape of such numbers."""
        return _MAKERS[self.kinds[0]](numbers, self.like)

    def drawn(self, numbers: bytes, attributes: Mapping[str, Any]) -> Annotation:
        """An annotation as any other: with a shape of such numbers, and what stands in for it."""
        shape = self.shape(numbers)
        shapes: tuple[Shape, ...] = (shape,)
        if len(self.kinds) > 1 and (found := substitute(shape)) is not None:
            shapes = (shape, found[0])
        return msgspec.structs.replace(self.annotation, shapes=shapes, attributes=attributes)

    def error(self, numbers: bytes) -> float | None:
        """How far from a shape of such numbers what stands in for it gets, in pixels; None where it is exact."""
        if self.kinds[0] is not Ellipse:
            return None
        _, _, rx, ry, *_ = numbers.split(b",")
        return ellipse_corners(float(rx), float(ry))[1]


class Sketches(Several, frozen=True, kw_only=True):
    """At least one object, each of one shape whose numbers are still text and without an id.

    Either all objects of an item, or one that is no tag.

    Attributes:
        commons: what each says, but for numbers and attributes.
        numbers: of each, as ``repr`` would write them: ``[[x,y,x,y,...]]`` of a polygon (three points at the least), a
            line (two) or points (one); nothing of a tag; of other shapes all there are, in their order, with commas
            between. A box or ellipse may be without its rotation.
        said: the attributes of each, the same object where they are the same; None if none has any.
    """

    commons: list[Common]
    numbers: list[bytes]
    said: list[Mapping[str, Any]] | None

    def drawn(self) -> tuple[Annotation, ...]:
        """The same objects as any others: with shapes of numbers."""
        said = [EMPTY] * len(self.commons) if self.said is None else self.said
        every = zip(self.commons, self.numbers, said, strict=True)
        return tuple([common.drawn(numbers, attributes) for common, numbers, attributes in every])


def _of_numbers(kind: Callable[..., Shape]) -> Callable[[bytes, Any], Shape]:
    return lambda numbers, _like: kind(*_DECODE_NUMBERS(b"[%b]" % numbers))


_MAKERS: Mapping[type[Any], Callable[[bytes, Any], Shape]] = {
    Box: _of_numbers(Box),
    Ellipse: _of_numbers(Ellipse),
    Cuboid2D: lambda numbers, _: Cuboid2D(_DECODE_NUMBERS(b"[%b]" % numbers)),
    Polygon: lambda numbers, _: Polygon((_DECODE_RING(numbers),)),
    Line: lambda numbers, _: Line(_DECODE_RING(numbers)[0]),
    Points: lambda numbers, _: Points(_DECODE_RING(numbers)[0]),
    Keypoints: lambda numbers, like: Keypoints(_DECODE_NUMBERS(b"[%b]" % numbers), like.names, like.skeleton),
    Tag: lambda _, like: like,
}
"""Shapes of such numbers, like another."""
