"""Records of an images file: a stretch of images at a time, read from where it stands in the file."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from nucleus_convert.converters import reserved
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.cvat.items import read_item
from nucleus_convert.converters.cvat.notes import Place
from nucleus_convert.converters.cvat.objects import KINDS, Objects
from nucleus_convert.converters.cvat.sketches import Reader
from nucleus_convert.converters.errors import ConvertError
from nucleus_convert.converters.model import Annotation, Record
from nucleus_convert.converters.report import Report
from nucleus_convert.formats.cvat import ImageIndex, Node, scan
from nucleus_convert.formats.cvat.index import STEP

READ_AT_ONCE = 2 * STEP
"""Images whose elements are held at a time."""
_MOST_TEXT = 1 << 22
"""Bytes of images that are read from the file at once, where so many are asked for."""


class Images(msgspec.Struct, frozen=True):
    """The records of an images file: a :class:`Source`."""

    index: ImageIndex
    objects: Objects
    subsets: dict[str, str | None]
    """The subset of each task, by its id; under "" that of a file with one task."""
    sketches: Reader | None = None
    """Reads plain stretches with their shapes as sketches, where somebody asked for that."""
    items_only: bool = False
    """Records hold items alone."""

    def outlined(self) -> Images:
        """The same records, plain shapes as :class:`sketch.Sketches`."""
        if self.objects.predictions or scan.quick is None:
            return self
        sketches = Reader(self.objects, self.subsets)
        return Images(self.index, self.objects, self.subsets, sketches)

    def bare(self) -> Images:
        """The same items without annotations."""
        return Images(self.index, self.objects, self.subsets, items_only=True)

    def __call__(self, report: Report, start: int, stop: int | None) -> Iterator[Record]:
        """Yield the records of images ``start`` to ``stop``."""
        index = self.index
        stop = index.count if stop is None else min(stop, index.count)
        first = start // STEP * STEP
        text, base = b"", 0
        if self.sketches is not None and stop > first:
            base, end = index.bounds(first, stop)
            if end - base <= _MOST_TEXT:
                text = index.text(first, stop)
        for at in range(first, stop, READ_AT_ONCE):
            upto = min(at + READ_AT_ONCE, stop)
            if self.sketches is not None and self.sketches.worthwhile:
                begin, end = index.bounds(at, upto)
                here = text[begin - base : end - base] if text else index.text(at, upto)
                records = self.sketches.records(here, at)
                if records is not None:
                    yield from records[max(start - at, 0) : upto - at]
                    continue
            nodes = index.read(at, upto)
            place = Place(index.path, index.file, *index.bounds(at, upto), nodes, report)
            number = at
            for node in nodes:
                if node.tag != "image":
                    if number > start:
                        place.note(Code.DROPPED, f"unknown element <{node.tag:.40}> between images", node)
                    continue
                if start <= number < stop:
                    record = self.record(node, number, place)
                    if record is not None:
                        yield record
                number += 1

    def record(self, node: Node, number: int, place: Place) -> Record | None:
        """The record of an image; None if it was rejected as a whole."""
        place.item = node.attributes.get("name")
        try:
            item, kept = read_item(node, number, self.subsets, place.note)
        except ConvertError as error:
            place.reject(error, node, kind="item")
            return None
        if self.items_only:
            return Record(item)
        annotations: list[Annotation] = []
        more = iter(node.children)
        objects, note = self.objects, place.note
        width, height = item.width, item.height
        for child in more:
            if child.tag not in KINDS:
                continue
            try:
                annotation = objects.annotation(child, width, height, note, rest=more)
            except ConvertError as error:
                place.reject(error, child)
                continue
            annotations.append(annotation)
        if kept is not None:
            for position, value in sorted(kept.get("annotations", ())):
                annotations.insert(position, reserved.convert(value, Annotation, place.where(node)))
        return Record(item, tuple(annotations))
