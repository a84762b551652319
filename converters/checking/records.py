"""The rules over a stretch of records: what :func:`parallel.encode_chunks` calls."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from nucleus_convert.converters.checking import consistency, duplicates, shapes, values
from nucleus_convert.converters.checking.catalogue import Code
from nucleus_convert.converters.checking.consistency import Seen
from nucleus_convert.converters.checking.problems import Problems
from nucleus_convert.converters.checking.shapes import Placed
from nucleus_convert.converters.model import Header, Record
from nucleus_convert.converters.report import Report

DUPLICATE_IOU = 0.95


class Checker(msgspec.Struct, frozen=True, kw_only=True):
    """Checks records. Picklable.

    Attributes:
        taxonomies: name -> labels, as the header lists them.
        own_values: whether values, ids and categories are left to the format's own rules.
        duplicate_iou: from which overlap on two objects of one label are taken for one, 0.5 to 1.
        logged: whether every single problem is wanted.
    """

    taxonomies: dict[str, frozenset[str]]
    own_values: bool = False
    duplicate_iou: float = DUPLICATE_IOU
    logged: bool = False

    def __call__(self, records: Iterator[Record], report: Report) -> tuple[Problems, Seen]:
        """Problems of a stretch, and what it tells about the whole."""
        problems, seen, _ = self.look(list(records))
        return problems, seen

    def look(self, records: list[Record]) -> tuple[Problems, Seen, list[list[Placed]]]:
        """The same, and for each record the upright boxes of its annotations."""
        problems, seen = Problems(logged=self.logged), Seen()
        ignored = Problems() if self.own_values else problems
        for record in records:
            consistency.see(record, seen, ignored, self.taxonomies)
            if not self.own_values:
                for annotation in record.annotations:
                    values.check(record.item, annotation, problems)
        placed = shapes.check(records, problems)
        for record, extents in zip(records, placed, strict=True):
            if len(extents) > 1:
                self._duplicates(record, extents, problems)
        return problems, seen, placed

    def _duplicates(self, record: Record, extents: list[Placed], problems: Problems) -> None:
        annotations = record.annotations
        alike: dict[tuple[str | None, bool], list[Placed]] = {}
        for placed in extents:
            annotation = annotations[placed[0]]
            alike.setdefault((annotation.label, annotation.is_prediction), []).append(placed)
        for (label, _), group in alike.items():
            if len(group) < 2:
                continue
            for _, later, iou in duplicates.duplicates([box for _, box in group], self.duplicate_iou):
                annotation = annotations[group[later][0]]
                problems.of(Code.DUPLICATE_OBJECT, f"'{label}'", record.item, annotation, ("IoU", iou))


def checker(header: Header, *, own_values: bool, duplicate_iou: float, logged: bool) -> Checker:
    """The checker of a data set."""
    taxonomies = {taxonomy.name: frozenset(taxonomy.labels) for taxonomy in header.taxonomies}
    return Checker(taxonomies=taxonomies, own_values=own_values, duplicate_iou=duplicate_iou, logged=logged)


def check_record(record: Record, header: Header) -> Problems:
    """The problems of one record: what can be told of it without the rest."""
    made = checker(header, own_values=False, duplicate_iou=DUPLICATE_IOU, logged=True)
    problems, _ = made(iter((record,)), Report())
    return problems
