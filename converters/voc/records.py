"""One item's files to a record: the annotation file, its lines in lists and results, its masks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from nucleus_convert.converters import decimals, imagefile, reserved
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import ConvertError, ReadError, SchemaError, Where
from nucleus_convert.converters.model import Annotation, Box, Item, Mask, Record, Tag
from nucleus_convert.converters.report import EXAMPLES, Report
from nucleus_convert.converters.voc import items as item_fields
from nucleus_convert.converters.voc import numbers, objects
from nucleus_convert.converters.voc.evidence import Facts
from nucleus_convert.converters.voc.folders import CLASS_PNG, INSTANCE_PNG, SUBSETS, XML, Folder, Items
from nucleus_convert.converters.voc.lists import Lists
from nucleus_convert.converters.voc.memberships import Memberships, Side
from nucleus_convert.converters.voc.options import ReadOptions
from nucleus_convert.converters.voc.results import Results
from nucleus_convert.formats import voc as wire
from nucleus_convert.formats.voc.quick import Quick

_HEADS = 1000
"""Heads of files remembered; a data set has one for each size of image."""
FLAG_NAMES = ("truncated", "occluded", "difficult")


class VocSource:
    """Reads the records of items ``start`` to ``stop``. Picklable."""

    def __init__(
        self,
        *,
        folders: list[Folder],
        items: Items,
        lists: Lists,
        results: Results,
        memberships: Memberships,
        names: dict[int, str],
        colors: dict[int, int],
        coords: numbers.Coords,
        side: Side,
        options: ReadOptions,
        reader: wire.Reader,
    ) -> None:
        self.folders = folders
        self.items = items
        self.lists = lists
        self.results = results
        self.memberships = memberships
        self.names = names
        self.colors = colors
        self.coords = coords
        self.side = side
        self.options = options
        self.reader = reader
        self._heads: dict[Any, item_fields.Basics] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_heads": {}}

    def __call__(self, report: Report, start: int, stop: int | None) -> Iterator[Record]:
        """Yield the records of a stretch of items."""
        stop = len(self.items) if stop is None else min(stop, len(self.items))
        for number in range(start, stop):
            record = self._record(number, report)
            if record is not None:
                yield record

    # ------------------------------------------------------------------ one item

    def _record(self, number: int, report: Report) -> Record | None:
        folder = self.folders[self.items.folder(number)]
        name = self.items.name(number)
        has = self.items.has(number)
        path = folder.xml(name) if has & XML else ""
        shown = folder.shown(path) if path else ""
        data = b""
        try:
            if path:
                data = _contents(path, shown)
            return self._whole(number, folder, name, has, data, shown, report)
        except ConvertError as error:
            if error.where is None or error.where.file is None:
                error.where = Where(file=shown)
            report.reject(error, data.decode("utf-8", "backslashreplace"), kind="item")
            return None

    def _whole(
        self, number: int, folder: Folder, name: str, has: int, data: bytes, shown: str, report: Report
    ) -> Record:
        """The record of an item, whose annotation file holds ``data``."""
        annotations: list[Annotation] = []
        kept: dict[str, Any] = {}
        if has & XML:
            note = self._note(report, shown, data)
            fields = self._file(data, shown, annotations, report)
            if type(fields) is tuple:
                item = item_fields.named(fields[0], fields[1], name, folder, self.side.ours, note)
            else:
                if reserved.TAG in fields:
                    kept = reserved.load(fields.pop(reserved.TAG), Where(file=shown))
                item = item_fields.read_item(fields, name, folder, self.side.ours, note)
            if self.side.fill:
                item = item_fields.unfilled(item)
            item = reserved.restore_item(kept, item)
        else:
            item = item_fields.bare_item(name, Folder(folder.root) if self.side.ours else folder)
        item = self._in_lists(item, number, annotations, kept)
        item = self._sized(item, folder, name, shown, report)
        self._check_boxes(item, annotations, report)
        if has & (CLASS_PNG | INSTANCE_PNG):
            item = self._masks(item, folder, name, has, annotations, report)
        if len(self.results) and kept.get("results") != "here":
            annotations += self.results.read(number, report)
        if kept:
            annotations += reserved.convert(kept.get("annotations", []), list[Annotation], Where(file=shown))
            if "order" in kept:
                annotations = _ordered(annotations, kept["order"], shown)
        if self.options.predictions:
            annotations = [msgspec.structs.replace(one, predicted=True) for one in annotations]
        return Record(item, tuple(annotations))

    def _in_lists(self, item: Item, number: int, annotations: list[Annotation], kept: dict[str, Any]) -> Item:
        """The item with what the lists say of it; classes of the whole image become tags."""
        rows = self.lists.rows(number)
        if not rows:
            if item.subset is None and not self.side.ours and not self.lists.files:
                first = self.items.name(number).partition("/")
                if first[1] and first[0].lower() in SUBSETS:
                    return msgspec.structs.replace(item, subset=first[0])
            return item
        subset, tags, lists = self.memberships.resolve(rows)
        if kept.get("tags") != "here":
            annotations += [Annotation(label=label, shapes=(Tag(),)) for label in tags]
        extras = item.extras
        if lists:
            extras = {**extras, "voc": {**extras.get("voc", {}), "lists": lists}}
        if subset is None:
            subset = item.subset  # one that no list can be named after
        return msgspec.structs.replace(item, subset=subset, extras=extras)

    def _note(self, report: Report, shown: str, data: bytes, index: int = -1) -> objects.Notes:
        def note(code: str, what: str) -> None:
            finding = report.findings.get((Code(code), "voc", what))
            where = None
            if report.logging or finding is None or len(finding.examples) < EXAMPLES:
                line = wire.locate(data, index) if index >= 0 else None
                where = Where(file=shown, line=line)
            report.add(code, what, format="voc", where=where)

        return note

    # ------------------------------------------------------------------ the annotation file

    def _shared_head(self, quick: Quick) -> Any:
        """What a file says of its item, as :meth:`_file` returns it: alike files share all but the name."""
        template, texts = quick.head, quick.head_texts
        if "filename" not in template.leaves:
            return template.value(texts) or {}
        at = template.leaves.index("filename")
        key = (template, texts[:at], texts[at + 1 :])
        known = self._heads.get(key)
        if known is None:
            notes: list[str] = []
            fields = template.value(texts)
            known = item_fields.basics(fields, lambda _, what: notes.append(what))
            if notes or reserved.TAG in fields:
                return fields
            if len(self._heads) >= _HEADS:
                self._heads.clear()
            self._heads[key] = known
        return known, texts[at].strip()

    def _file(self, data: bytes, shown: str, annotations: list[Annotation], report: Report) -> Any:
        """Read a file's objects into ``annotations``.

        Returns:
            The other elements; or, where other files say the same, (what they say, <filename>).
        """
        quick = self.reader.quick(data)
        if quick is not None:
            for template, texts in quick.objects:
                facts = template.facts
                if type(facts) is not Facts:
                    facts = template.facts = Facts(template)
                annotation = None if facts.odd else _plain(facts, texts, self.coords)
                if annotation is None:
                    break
                annotations.append(annotation)
            else:
                if self.side.fill:
                    annotations[:] = [_unfilled(annotation) for annotation in annotations]
                return self._shared_head(quick)
            annotations.clear()
            document = quick.document()
        else:
            document = wire.parse(data, shown)
        for index, value in enumerate(document.objects):
            try:
                annotations += self._object(value, index, data, shown, report)
            except ConvertError as error:
                path = getattr(error, "path", ())
                error.where = Where(file=shown, line=wire.locate(data, index, path))
                report.reject(error, value)
        return document.fields

    def _object(
        self, value: Any, index: int, data: bytes, shown: str, report: Report
    ) -> Iterator[Annotation]:
        note = self._note(report, shown, data, index)
        annotation = objects.read_object(value, self.coords, note, fill=self.side.fill)
        if not annotation.shapes:
            note("no-shape", "neither box nor polygon")
        if self.options.parts != "boxes" or "part" not in annotation.extras.get("voc", {}):
            yield annotation
            return
        yield from objects.with_parts(annotation, f"{shown}#{index + 1}", self.coords, note)

    # ------------------------------------------------------------------ size, boxes, masks

    def _sized(self, item: Item, folder: Folder, name: str, shown: str, report: Report) -> Item:
        if (item.width is not None and item.height is not None) or self.side.ours:
            return item
        where = Where(file=shown) if shown else Where(item=name)
        image = (
            None
            if item.path is None
            else folder.images and folder.images / item.path.removeprefix(folder.prefix)
        )
        if image and folder.suffixes and os.path.isfile(image):  # noqa: PTH113
            try:
                width, height = imagefile.info(Path(image)).size(self.options.exif)
            except ReadError:
                report.add(
                    Code.SIZE_MISSING, "missing or zero, and the image is damaged", format="voc", where=where
                )
                return item
            report.add(
                Code.ASSUMED,
                "image size taken from the image, as the annotation has none (--exif)",
                format="voc",
                where=where,
            )
            return msgspec.structs.replace(item, width=width, height=height)
        report.add(Code.SIZE_MISSING, "missing or zero, and there is no image", format="voc", where=where)
        return item

    def _check_boxes(self, item: Item, annotations: list[Annotation], report: Report) -> None:
        width, height = item.width, item.height
        for annotation in annotations:
            shapes = annotation.shapes
            box = shapes[0] if shapes else None
            if type(box) is not Box:
                continue
            if box.width <= 0 or box.height <= 0:
                report.tally(Code.DOUBTFUL_BOX, "without extent", "voc", item, annotation, 1)
            if width is None or height is None or box.rotation:
                continue
            if box.x < 0 or box.y < 0 or box.x + box.width > width or box.y + box.height > height:
                over = max(-box.x, -box.y, box.x + box.width - width, box.y + box.height - height)
                what = "up to one pixel outside the image" if over <= 1 else "reaching outside the image"
                report.tally(Code.DOUBTFUL_BOX, what, "voc", item, annotation, 1)

    def _masks(
        self, item: Item, folder: Folder, name: str, has: int, annotations: list[Annotation], report: Report
    ) -> Item:
        """Add the masks of the item's pictures to its objects, and objects for those that belong to none."""
        from nucleus_convert.converters.voc import segments

        classes: Any = None
        instances: Any = None
        shown = ""
        try:
            if has & CLASS_PNG and folder.classes is not None:
                shown = folder.shown(folder.classes / f"{name}.png")
                classes = segments.read_indices(folder.classes / f"{name}.png", self.colors, shown)
            if has & INSTANCE_PNG and folder.instances is not None:
                shown = folder.shown(folder.instances / f"{name}.png")
                instances = segments.read_indices(folder.instances / f"{name}.png", self.colors, shown)
            found = segments.regions(classes, instances, shown)
        except ConvertError as error:
            report.reject(error, shown, kind="object", what="masks that cannot be read")
            return item
        pixels = classes if classes is not None else instances
        if item.width is None or item.height is None:
            item = msgspec.structs.replace(item, width=pixels.shape[1], height=pixels.shape[0])
        elif pixels.shape != (item.height, item.width):
            report.add(
                Code.VALUE_NORMALISED,
                "masks of another size than their image",
                format="voc",
                where=Where(file=shown),
            )
        if self.side.numbered:
            matched = {
                i: r.number - 1 for i, r in enumerate(found) if r.number and r.number <= len(annotations)
            }
        else:
            matched = segments.match(found, annotations, self.names)
        for i, region in enumerate(found):
            if i in matched:
                one = annotations[matched[i]]
                if one.shape(Mask) is None:  # one that others cover travelled whole
                    annotations[matched[i]] = msgspec.structs.replace(one, shapes=(*one.shapes, region.mask))
                continue
            label = None if region.klass is None else self.names.get(region.klass)
            if region.klass is not None and label is None:
                report.add(Code.LABEL_UNDECLARED, str(region.klass), format="voc", where=Where(file=shown))
            extras = {"voc": {"region": "class" if region.number is None else "object"}}
            annotations.append(Annotation(label=label, shapes=(region.mask,), extras=extras))
        blank = segments.void(pixels)
        if blank is not None and self.options.void == "label":
            annotations.append(Annotation(label="void", shapes=(blank,)))
        elif blank is not None:
            report.add(
                Code.FILTERED,
                "pixels marked void (255) in masks (--void label keeps them)",
                format="voc",
                where=Where(file=shown),
            )
        return item


def _contents(path: str, shown: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            return file.read()
    except OSError as error:
        raise ReadError(f"cannot be read ({error.strerror})", Where(file=shown)) from error


def _plain(facts: Facts, texts: tuple[str, ...], coords: numbers.Coords) -> Annotation | None:
    """An object that has nothing but VOC's plain elements; None if a value needs a closer look."""
    try:
        sides = [int(texts[i]) if texts[i].isdigit() else decimals.number(texts[i]) for i in facts.sides]
        flags = [None if i < 0 else objects.FLAGS[texts[i].strip()] for i in facts.flags]
    except (ValueError, KeyError):
        return None
    xmin, ymin, xmax, ymax = sides
    label = texts[facts.name].strip()
    if xmax < xmin or ymax < ymin or not label:
        return None
    pose = texts[facts.pose].strip() if facts.pose >= 0 else "Unspecified"
    if pose == "Unspecified":
        return Annotation(
            label=label,
            shapes=(numbers.box(xmin, ymin, xmax, ymax, coords),),
            truncated=flags[0],
            occluded=flags[1],
            difficult=flags[2],
        )
    return (
        None
        if pose.lower() in objects.UNSAID
        else Annotation(
            label=label,
            shapes=(numbers.box(xmin, ymin, xmax, ymax, coords),),
            truncated=flags[0],
            occluded=flags[1],
            difficult=flags[2],
            attributes={"pose": pose},
        )
    )


def _unfilled(annotation: Annotation) -> Annotation:
    """Flags of 0 that were written only because tools want them are not said."""
    changes = {name: None for name in FLAG_NAMES if getattr(annotation, name) is False}
    return msgspec.structs.replace(annotation, **changes) if changes else annotation


def _ordered(annotations: list[Annotation], order: Any, shown: str) -> list[Annotation]:
    if not isinstance(order, list) or sorted(order, key=str) != sorted(range(len(annotations)), key=str):
        raise SchemaError(
            f"<{reserved.TAG}> was changed: the order does not fit the objects",
            Where(file=shown),
            "remove the element to read without it",
        )
    placed: list[Any] = [None] * len(annotations)
    for annotation, place in zip(annotations, order, strict=True):
        placed[place] = annotation
    return placed
