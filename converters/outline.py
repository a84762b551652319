"""Plain objects as the text they were read from: the short way from one file to another.

A record may hold an :class:`Outline` in place of an annotation only where a writer asked for it
(:meth:`LabelSet.outlined`) and every step on the way says that it knows it. What comes of it is the same.
"""

from __future__ import annotations

import msgspec

from nucleus_convert.converters.model import Annotation, Box, Polygon, Ring


class Outline(Annotation, frozen=True, kw_only=True):
    """An annotation of a box and a region without holes whose numbers are still the text they were read from.

    Label, id and crowd flag are set as ever; ``shapes`` and ``extras`` are empty, and :meth:`drawn` is the annotation
    with both.

    Attributes:
        box: left, top, width, height as JSON numbers with commas between, without spaces.
        rings: a JSON array of the parts' rings, which ``formats.rings.measure`` approved of.
        parts: how many there are.
        gap: pixels by which the box differs from the rings' envelope, at the edge where it differs most.
        area: the source's area as a JSON number.
        source: the format that it was read from; ``area`` and ``row`` belong to its extras.
        row: the place among the source's annotations.
    """

    box: bytes
    rings: bytes
    parts: int
    gap: float
    area: bytes
    source: str
    row: int

    def drawn(self) -> Annotation:
        """The same annotation as any other: with shapes of numbers, and its extras."""
        extras = {"row": self.row, "area": msgspec.json.decode(self.area)}
        x, y, width, height = msgspec.json.decode(b"[" + self.box + b"]")
        rings = msgspec.json.decode(self.rings, type=tuple[Ring, ...])
        return Annotation(
            label=self.label,
            shapes=(Box(x, y, width, height), Polygon(tuple((ring,) for ring in rings))),
            id=self.id,
            crowd=self.crowd,
            extras={self.source: extras},
        )
