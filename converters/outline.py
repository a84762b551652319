"""Plain objects, boxes with regions, as the text they were read from (see :mod:`several`)."""

from __future__ import annotations

from typing import Protocol

from nucleus_convert.converters.model import Annotation, Box, Number, Polygon, Ring
from nucleus_convert.converters.several import Several


class Rows(Protocol):
    """The text, and how to read it: ``formats.cocorows.PlainRows``."""

    @property
    def gaps(self) -> memoryview[float]:
        """Pixels by which each row's box differs from its region's envelope, at the edge where it differs most."""
        ...

    def values(self, number: int) -> tuple[tuple[Number, Number, Number, Number], list[Ring], Number]:
        """Of a row: left, top, width and height of the box; the rings of the region; its area."""
        ...


class Outlines(Several, frozen=True, kw_only=True):
    """Objects of an item that come one after the other, each of a box and a region without holes; none is a crowd.

    Attributes:
        rows: the rows of a stretch of items.
        start: the first object's among them.
        labels: of each object.
        ids: of each.
        places: of each, its place among the source's annotations.
        source: the format that they were read from.
    """

    rows: Rows
    start: int
    labels: list[str]
    ids: list[int]
    places: list[int]
    source: str

    def gap(self) -> float:
        """Pixels by which the box of an object differs from its region's envelope, where it differs most of all."""
        return max(self.rows.gaps[self.start : self.start + len(self.ids)])

    def named(self) -> tuple[Annotation, ...]:
        """For each object, what tells it from others: label and id."""
        return tuple([Annotation(label=a, id=b, crowd=False) for a, b in zip(self.labels, self.ids, strict=True)])

    def drawn(self) -> tuple[Annotation, ...]:
        """The same objects as any others: with shapes of numbers, and their extras."""
        return tuple([self._drawn(i) for i in range(len(self.ids))])

    def _drawn(self, number: int) -> Annotation:
        box, rings, area = self.rows.values(self.start + number)
        return Annotation(
            label=self.labels[number],
            shapes=(Box(*box), Polygon(tuple([(ring,) for ring in rings]))),
            id=self.ids[number],
            crowd=False,
            extras={self.source: {"row": self.places[number], "area": area}},
        )
