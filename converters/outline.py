"""Plain objects as the text they were read from: the short way from one file to another.

A record may hold :class:`Outlines` in place of some annotations only where a writer asked for it
(:meth:`LabelSet.outlined`) and every step on the way says that it knows it. What comes of it is the same.
"""

from __future__ import annotations

import msgspec

from nucleus_convert.converters.model import Annotation, Box, Number, Polygon, Record, Ring
from nucleus_convert.formats.cocorows import PlainRows


class Outlines(Annotation, frozen=True, kw_only=True):
    """Objects of an item that come one after the other, each of a box and a region without holes, as COCO rows.

    None of them is a crowd. Of the fields of an annotation none is set; :meth:`drawn` is the annotations themselves.

    Attributes:
        rows: the rows of a stretch of items.
        start: the first object's among them.
        labels: of each object.
        ids: of each.
        places: of each, its place among the source's annotations.
        source: the format that they were read from.
    """

    rows: PlainRows
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
        """The same annotations as any others: with shapes of numbers, and their extras."""
        return tuple([self._drawn(i) for i in range(len(self.ids))])

    def _drawn(self, number: int) -> Annotation:
        row = _DECODE_ROW(self.rows.row(self.start + number))
        return Annotation(
            label=self.labels[number],
            shapes=(Box(*row.bbox), Polygon(tuple([(ring,) for ring in row.segmentation]))),
            id=row.id,
            crowd=False,
            extras={self.source: {"row": self.places[number], "area": row.area}},
        )


class _Row(msgspec.Struct):
    """What a plain COCO row says of its object's shape."""

    id: int
    bbox: tuple[Number, Number, Number, Number]
    segmentation: list[Ring]
    area: Number


_DECODE_ROW = msgspec.json.Decoder(_Row).decode


def drawn(record: Record) -> Record:
    """The record with annotations as they usually are."""
    annotations: list[Annotation] = []
    for one in record.annotations:
        if type(one) is Outlines:
            annotations += one.drawn()
        else:
            annotations.append(one)
    return Record(record.item, tuple(annotations))
