"""All objects of an item in one, where each is a plain box: for data sets of many small files (see :mod:`several`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from nucleus_convert.converters.model import Annotation, Box, Number, Record
from nucleus_convert.converters.several import Several


class Boxes(Several, frozen=True, kw_only=True):
    """At least one object, each of one box that is not rotated, in whole pixels; nothing else of an item.

    What objects have in common besides is worked out once, by identity: who makes them gives those that are alike the
    same ``kinds``, and items that are alike the same ``extras``.

    Attributes:
        kinds: for each object, the annotation but for its shape.
        sides: left, top, width and height of each, one after the other.
    """

    kinds: tuple[Annotation, ...]
    sides: tuple[int, ...]

    def drawn(self) -> tuple[Annotation, ...]:
        """The same objects as any others."""
        return draw(self.kinds, self.sides)


def draw(kinds: Sequence[Annotation], sides: Iterable[Number]) -> tuple[Annotation, ...]:
    """Annotations of so many kinds, each with a box: left, top, width and height of one after the other."""
    side = iter(sides)
    boxes = map(Box, side, side, side, side)
    replace = msgspec.structs.replace
    return tuple([replace(kind, shapes=(box,)) for kind, box in zip(kinds, boxes, strict=True)])


def boxes_of(record: Record) -> Boxes | None:
    """A record's boxes, if they stand in place of its annotations."""
    annotations = record.annotations
    if len(annotations) == 1 and type(annotations[0]) is Boxes:
        return annotations[0]
    return None
