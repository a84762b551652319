"""One item's files to a record: the annotation file, its lines in lists and results, its masks."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from nucleus_convert.converters import files, imagefile, reserved
from nucleus_convert.converters.boxes import Boxes
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import ConvertError, ReadError, SchemaError, Where
from nucleus_convert.converters.model import Annotation, Box, Item, Mask, Record, Tag
from nucleus_convert.converters.report import EXAMPLES, Report
from nucleus_convert.converters.several import drawn
from nucleus_convert.converters.voc import items as item_fields
from nucleus_convert.converters.voc import numbers, objects
from nucleus_convert.converters.voc.evidence import Evidence, is_kit
from nucleus_convert.converters.voc.folders import CLASS_PNG, INSTANCE_PNG, SUBSETS, XML, Folder, Items
from nucleus_convert.converters.voc.kept import Kept, Shared
from nucleus_convert.converters.voc.lists import Lists
from nucleus_convert.converters.voc.memberships import Memberships, Side
from nucleus_convert.converters.voc.options import ReadOptions
from nucleus_convert.converters.voc.plain import plain_objects
from nucleus_convert.converters.voc.results import Results
from nucleus_convert.formats import voc as wire
from nucleus_convert.formats.voc.quick import Quick

_MANY = 1000
"""Heads of files remembered (a data set has one for each size of image), and what lists say of an item."""
FLAG_NAMES = ("truncated", "occluded", "difficult")
_NOTHING: dict[str, Any] = {}
_NONE: list[str] = []
_SUFFIXES = frozenset(imagefile.SUFFIXES)
_UNKNOWN: Any = object()


class Head(NamedTuple):
    """What files say of their items, which are alike but for the name. Shared, so not to be changed.

    ``filename`` is which of the head's texts is the name, ``kit`` whether the development kit is named.
    """

    known: item_fields.Basics
    filename: int
    extras: dict[str, Any]
    kit: bool


class VocSource:
    """Reads the records of items ``start`` to ``stop``. Picklable.

    ``coords``, ``names`` (of the numbers in masks) and ``colors`` are what all files together tell:
    :meth:`settled` gives a source that knows. Until then ``watch``, if set, is shown every file that is read.
    """

    def __init__(
        self,
        *,
        folders: list[Folder],
        items: Items,
        lists: Lists,
        results: Results,
        memberships: Memberships,
        side: Side,
        options: ReadOptions,
        reader: wire.Reader,
    ) -> None:
        self.folders = folders
        self.items = items
        self.lists = lists
        self.results = results
        self.memberships = memberships
        self.side = side
        self.options = options
        self.reader = reader
        self.coords: numbers.Coords = "edges"
        self.names: dict[int, str] = {}
        self.colors: dict[int, int] = {}
        self.kept: dict[int, Kept] = {}
        self.watch: Evidence | None = None
        self.boxed = False  # whether plain objects are given as :class:`Boxes`
        self._shared = Shared()
        self._heads: dict[Any, Head | None] = {}
        self._listed: dict[Any, tuple[str | None, list[str], dict[str, list[str]]]] = {}
        # Whether a file of nothing but VOC's plain elements is all there is to know of an item.
        self._plain = not (side.ours or side.fill or options.predictions or len(results))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_heads": {}, "_listed": {}, "_shared": Shared()}

    def outlined(self) -> VocSource:
        """A source of the same records, with :class:`Boxes` where objects are plain."""
        made = copy.copy(self)
        made.boxed = True
        return made

    def settled(
        self, coords: numbers.Coords, names: dict[int, str], colors: dict[int, int], kept: dict[int, Kept]
    ) -> VocSource:
        """A source that knows what all files together tell, and has some of the records already."""
        made = copy.copy(self)
        made.coords, made.names, made.colors, made.kept, made.watch = coords, names, colors, kept, None
        return made

    def __call__(self, report: Report, start: int, stop: int | None) -> Iterator[Record]:
        """Yield the records of a stretch of items."""
        stop = len(self.items) if stop is None else min(stop, len(self.items))
        number = start
        while number < stop:
            kept = self.kept.get(number)
            if kept is not None and number + kept.count <= stop:
                records = kept.records(report, self._shared)
                yield from records if self.boxed else map(drawn, records)
                number += kept.count
                continue
            record = self._record(number, report)
            if record is not None:
                yield record
            number += 1

    # ------------------------------------------------------------------ one item

    def _record(self, number: int, report: Report) -> Record | None:
        folder = self.folders[self.items.folder(number)]
        name = self.items.name(number)
        has = self.items.has(number)
        data = b""
        quick: Quick | None = None
        try:
            if has & XML:
                data = _contents(folder, name)
                quick = self.reader.quick(data)
                if self.watch is not None:
                    self.watch.files += 1
                if quick is not None:
                    record = None
                    if has == XML and self._plain:
                        record = self._at_once(number, folder, name, quick, report)
                    if record is not None:
                        return record
                    if self.watch is not None:
                        self.watch.take(quick)
            shown = folder.shown(folder.xml(name)) if has & XML else ""
            return self._whole(number, folder, name, has, data, quick, shown, report)
        except ConvertError as error:
            if error.where is None or error.where.file is None:
                error.where = Where(file=folder.shown(folder.xml(name)) if has & XML else "")
            report.reject(error, data.decode("utf-8", "backslashreplace"), kind="item")
            return None

    def look(self, number: int) -> None:
        """Show ``watch`` an item's annotation file, without making anything of it."""
        assert self.watch is not None
        if not self.items.has(number) & XML:
            return
        try:
            data = _contents(self.folders[self.items.folder(number)], self.items.name(number))
            self.watch.files += 1
            quick = self.reader.quick(data)
            if quick is not None:
                self.watch.take(quick)
            else:
                self.watch.take_parsed(wire.parse(data))
        except ConvertError:
            return  # for the second pass to say

    def _at_once(self, number: int, folder: Folder, name: str, quick: Quick, report: Report) -> Record | None:
        """The record of a file that has nothing out of the ordinary; None if anything needs a closer look.

        The same as the long way gives. Most files are of this kind, and most time goes here.
        """
        head = self._head(quick)
        if head is None:
            return None
        width, height, verbatim = head.known
        if width is None or height is None:
            return None
        said = quick.head_texts[head.filename].strip()
        path, own = said, verbatim
        if folder.suffixes or not (said.startswith(name) and said[len(name) :] in _SUFFIXES):
            notes: list[str] = []
            path, own = item_fields.placed(verbatim, said, name, folder, lambda _, what: notes.append(what))
            if notes:
                return None
        plain = plain_objects(quick, self.coords, width, height)
        if plain is None:
            return None
        key = self.lists.key(number)
        subset, tags, lists = (None, _NONE, _NOTHING) if key is None else self._in(key, number)
        item = Item(
            id=folder.prefix + name,
            path=folder.prefix + path,
            width=width,
            height=height,
            subset=subset,
            extras=head.extras if own is verbatim else item_fields.as_extras(own),
        )
        tagged: list[Annotation] = []
        if key is None or tags or lists:
            item = self._in_lists(item, number, tagged, _NOTHING)
        if plain.doubtful:
            self._check_boxes(item, plain.annotations(), report)
        kinds = plain.kinds
        if self.watch is not None:
            self.watch.take_plain(kinds, plain.zero, plain.fraction, head.kit)
        if self.boxed and plain.whole and kinds and not tagged:
            return Record(item, (Boxes(kinds=tuple(kinds), sides=tuple(plain.boxes)),))
        return Record(item, (*plain.annotations(), *tagged))

    def _whole(
        self,
        number: int,
        folder: Folder,
        name: str,
        has: int,
        data: bytes,
        quick: Quick | None,
        shown: str,
        report: Report,
    ) -> Record:
        """The record of an item, whose annotation file holds ``data``."""
        annotations: list[Annotation] = []
        kept: dict[str, Any] = {}
        if has & XML:
            note = self._note(report, shown, data)
            fields = self._file(data, quick, shown, annotations, report)
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
        key = self.lists.key(number)
        if key is None:
            if item.subset is None and not self.side.ours and not self.lists.files:
                first = self.items.name(number).partition("/")
                if first[1] and first[0].lower() in SUBSETS:
                    return msgspec.structs.replace(item, subset=first[0])
            return item
        subset, tags, lists = self._in(key, number)
        if kept.get("tags") != "here":
            annotations += [Annotation(label=label, shapes=(Tag(),)) for label in tags]
        extras = item.extras
        if lists:
            extras = {**extras, "voc": {**extras.get("voc", {}), "lists": lists}}
        if subset is None:
            subset = item.subset  # one that no list can be named after
        return msgspec.structs.replace(item, subset=subset, extras=extras)

    def _in(self, key: Any, number: int) -> tuple[str | None, list[str], dict[str, list[str]]]:
        """What the lists make of an item whose lines have that key."""
        known = self._listed.get(key)
        if known is None:
            if len(self._listed) >= _MANY:
                self._listed.clear()
            known = self._listed[key] = self.memberships.resolve(self.lists.rows(number))
        return known

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

    def _head(self, quick: Quick) -> Head | None:
        """What a file says of its item, which alike files share; None if that needs a closer look."""
        alike = quick.alike
        if alike is None:
            return self._head_of(quick)
        if alike.facts is None:
            alike.facts = (self._head_of(quick),)
        return alike.facts[0]  # type: ignore[no-any-return]

    def _head_of(self, quick: Quick) -> Head | None:
        template, texts = quick.head, quick.head_texts
        at = template.facts
        if at is None:
            at = template.facts = template.leaves.index("filename") if "filename" in template.leaves else -1
        if at < 0:
            return None
        key = (template, texts[:at], texts[at + 1 :])
        known = self._heads.get(key, _UNKNOWN)
        if known is _UNKNOWN:
            notes: list[str] = []
            fields = template.value(texts)
            found = item_fields.basics(fields, lambda _, what: notes.append(what))
            known = None
            if not notes and reserved.TAG not in fields:
                known = Head(found, at, item_fields.as_extras(found.extras), is_kit(quick))
            if len(self._heads) >= _MANY:
                self._heads.clear()
            self._heads[key] = known
        return known  # type: ignore[no-any-return]

    def _file(
        self, data: bytes, quick: Quick | None, shown: str, annotations: list[Annotation], report: Report
    ) -> Any:
        """Read a file's objects into ``annotations``.

        Returns:
            The other elements; or, where other files say the same, (what they say, <filename>).
        """
        if quick is not None:
            plain = plain_objects(quick, self.coords, 0, 0)
            if plain is not None:
                annotations += plain.annotations()
                if self.side.fill:
                    annotations[:] = [_unfilled(annotation) for annotation in annotations]
                head = self._head(quick)
                if head is None:
                    return quick.head.value(quick.head_texts) or {}
                return head.known, quick.head_texts[head.filename].strip()
            document = quick.document()
        else:
            document = wire.parse(data, shown)
            if self.watch is not None:
                self.watch.take_parsed(document)
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

    def _check_boxes(self, item: Item, annotations: Sequence[Annotation], report: Report) -> None:
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


def _contents(folder: Folder, name: str) -> bytes:
    path = folder.xml(name)
    try:
        return files.contents(path)
    except OSError as error:
        raise ReadError(f"cannot be read ({error.strerror})", Where(file=folder.shown(path))) from error


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
