"""COCO files to records: an index of byte offsets first, then each image's rows when its turn comes.

The first pass goes through each file once and keeps, for every annotation, where it is and which image it
belongs to. The second reads the rows of one image after the other. Memory grows with the number of rows, not
their size.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from nucleus_convert.converters.coco.find import find
from nucleus_convert.converters.coco.options import ReadOptions
from nucleus_convert.converters.coco.reserved import (
    RESERVED,
    UNLABELLED,
    Carried,
    placed,
    restore_header,
    restore_item,
)
from nucleus_convert.converters.coco.rows import RowReader
from nucleus_convert.converters.coco.scan import Contents, scan, with_bad_image
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import (
    DanglingReferenceError,
    OptionError,
    ReadError,
    SchemaError,
    Where,
)
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.model import Annotation, Box, Header, Item, Label, Record
from nucleus_convert.converters.report import Report
from nucleus_convert.converters.several import drawn
from nucleus_convert.formats import coco as wire
from nucleus_convert.formats.cocorows import PlainRows, plain_rows, reads_plain_rows
from nucleus_convert.formats.rows import RowFile, RowIndex

_IMAGE_KEYS = frozenset({"id", "file_name", "width", "height", RESERVED})
_STRETCH = 64
"""Items whose rows are looked up together."""


class Part:
    """The annotation rows of one file, by item."""

    def __init__(self, name: str, file: RowFile, index: RowIndex, reader: RowReader) -> None:
        self.name = name
        self.file = file
        self.index = index
        self.reader = reader


class Images:
    """Where each item's image row is; items of a results file read alone have only an id."""

    def __init__(self) -> None:
        self.files: list[RowFile] = []
        self.names: list[str] = []
        self.subsets: list[str | None] = []
        self._file = array("i")
        self._row = array("i")
        self._offset = array("q")
        self._length = array("i")
        self._ids: dict[int, int | str] = {}

    def __len__(self) -> int:
        return len(self._file)

    def add_file(self, name: str, file: RowFile, subset: str | None) -> int:
        """Begin a file; its number is for :meth:`add`."""
        self.files.append(file)
        self.names.append(name)
        self.subsets.append(subset)
        return len(self.files) - 1

    def add(self, file: int, row: int, offset: int, length: int) -> int:
        """Add an image row; returns the item's number."""
        self._file.append(file)
        self._row.append(row)
        self._offset.append(offset)
        self._length.append(length)
        return len(self) - 1

    def extend(self, file: int, rows: array[int], offsets: array[int], lengths: array[int]) -> int:
        """Add many image rows of a file; returns the first item's number."""
        first = len(self)
        self._file.extend(array("i", [file]) * len(rows))
        self._row.extend(rows)
        self._offset.extend(offsets)
        self._length.extend(lengths)
        return first

    def add_bare(self, file: int, identity: int | str) -> int:
        """Add an item of which nothing but the id is known."""
        number = self.add(file, -1, 0, 0)
        self._ids[number] = identity
        return number

    def rows(self, start: int, stop: int) -> list[bytes]:
        """The image rows of items ``start`` to ``stop``."""
        files = self._file[start:stop]
        places = list(
            zip(self._row[start:stop], self._offset[start:stop], self._length[start:stop], strict=True)
        )
        if files.count(files[0]) == len(files):
            return self.files[files[0]].read_rows(places)
        return [self.files[file].read_rows([place])[0] for file, place in zip(files, places, strict=True)]

    def item(self, number: int, raw: bytes) -> tuple[Item, Carried]:
        """The item of an image row, and annotations that travelled with it (see ``reserved``).

        Raises:
            SchemaError: the row is no image.
        """
        file = self._file[number]
        subset = self.subsets[file]
        if number in self._ids:
            return Item(id=self._ids[number], subset=subset), ()
        where = Where(file=self.names[file], path=f"$.images[{self._row[number]}]")
        row = wire.load(raw, where)
        item = _item(row, subset, where)
        if RESERVED in row:
            return restore_item(row[RESERVED], item, below(where, f".{RESERVED}"))
        return item, ()

    def raw(self, number: int) -> Any:
        """The row of an item as JSON, for the quarantine."""
        return None if number in self._ids else wire.verbatim(self._read(number))

    def name(self, number: int) -> Any:
        """The ``file_name`` of an item's row."""
        row = self.raw(number)
        return row.get("file_name") if isinstance(row, dict) else None

    def file_of(self, number: int) -> str:
        """The name of the file that an item's row is in."""
        return self.names[self._file[number]]

    def _read(self, number: int) -> bytes:
        return self.files[self._file[number]].read(self._offset[number], self._length[number])


def below(where: Where, path: str) -> Where:
    """A place within a place."""
    return msgspec.structs.replace(where, path=f"{where.path}{path}")


def _item(row: Any, subset: str | None, where: Where) -> Item:
    if not isinstance(row, dict):
        raise SchemaError("expected an image object", where)
    extras = {key: value for key, value in row.items() if key not in _IMAGE_KEYS}
    identity = row["id"]
    path = row.get("file_name")
    if path is None:
        if "file_name" in row:
            extras["file_name"] = None
        # LVIS leaves the name to be read off the address.
        url = row.get("coco_url")
        if isinstance(url, str) and "/" in url:
            path = "/".join(url.split("/")[-2:])
            extras["path_from_url"] = True
    elif not isinstance(path, str):
        raise SchemaError(f"expected a file name, found {path!r:.80}", below(where, ".file_name"))
    width, height = (_pixels(row, key, extras, where) for key in ("width", "height"))
    return Item(
        id=int(identity) if type(identity) is float else identity,
        path=path,
        width=width,
        height=height,
        subset=subset,
        extras={"coco": extras} if extras else {},
    )


def _pixels(row: Any, key: str, extras: dict[str, Any], where: Where) -> int | None:
    """A side of an image; what is given otherwise than as a whole number goes among the extras."""
    size = row.get(key)
    if type(size) is int and size > 0:
        return size
    if size is None:
        if key in row:
            extras[key] = None
        return None
    if not wire.is_number(size) or abs(size - round(size)) > 1e-6 or size < 0:
        raise SchemaError(f"expected a whole number of pixels, found {size!r:.80}", below(where, f".{key}"))
    if not size or size != round(size):
        extras[key] = size  # given back as it was
    return round(size) or None


class CocoSource:
    """Reads the records of items ``start`` to ``stop``. Picklable."""

    def __init__(self, images: Images, parts: list[Part], *, outlines: bool = False) -> None:
        self.images = images
        self.parts = parts
        self.outlines = outlines

    def outlined(self) -> CocoSource:
        """The same, with plain objects as :class:`outline.Outlines`, if they can be told here."""
        return CocoSource(self.images, self.parts, outlines=reads_plain_rows())

    def __call__(self, report: Report, start: int, stop: int | None) -> Iterator[Record]:
        """Yield the records; images and annotations that are wrong go through ``report.reject``."""
        stop = len(self.images) if stop is None else min(stop, len(self.images))
        for first in range(start, stop, _STRETCH):
            last = min(first + _STRETCH, stop)
            rows = [PartRows(part, first, last, outlines=self.outlines) for part in self.parts]
            for which, raw in enumerate(self.images.rows(first, last)):
                record = self._record(first + which, raw, rows, which, report)
                if record is not None:
                    yield record

    def _record(self, number: int, raw: bytes, rows: list[PartRows], which: int, report: Report) -> Record | None:
        try:
            item, carried = self.images.item(number, raw)
        except SchemaError as error:
            report.reject(error, self.images.raw(number), kind="item")
            for part in rows:
                part.reject(which, report)
            return None
        if (item.width is None or item.height is None) and item.path is not None:
            report.add(Code.SIZE_MISSING, "missing or zero", format="coco", where=Where(item=item.path))
        given = item.extras.get("coco")
        if given and (given.get("width") or given.get("height")):
            report.add(
                Code.VALUE_NORMALISED,
                "image size read as the whole number it is nearly",
                format="coco",
                where=Where(item=str(item.path or item.id)),
            )
        annotations: list[Annotation] = []
        for part in rows:
            part.read(which, item, report, annotations)
        if carried:  # each has a place among the others
            return Record(item, placed(drawn(Record(item, tuple(annotations))).annotations, carried))
        return Record(item, tuple(annotations))


class PartRows:
    """A part's rows of some items."""

    def __init__(self, part: Part, first: int, last: int, *, outlines: bool) -> None:
        self._part = part
        columns = part.index.columns(first, last)
        self._bounds = columns.bounds
        self._places = columns.places.tolist()
        self._plain: PlainRows | None = None
        self._raws: list[bytes] = []
        if not self._places:
            return
        if outlines:
            self._plain = plain_rows(part.file, columns.offsets, columns.lengths)
        else:
            self._raws = part.file.read_rows(
                list(zip(self._places, columns.offsets.tolist(), columns.lengths.tolist(), strict=True))
            )

    def read(self, which: int, item: Item, report: Report, annotations: list[Annotation]) -> None:
        """Add the annotations of one of the items."""
        start, stop = self._bounds[which], self._bounds[which + 1]
        if start == stop:
            return
        reader, places = self._part.reader, self._places[start:stop]
        if self._plain is not None:
            reader.read_outlines(self._plain, start, places, item, report, annotations)
        else:
            reader.read(self._raws[start:stop], places, item, report, annotations)

    def reject(self, which: int, report: Report) -> None:
        """Reject the rows of an item that could not be read."""
        for number in range(self._bounds[which], self._bounds[which + 1]):
            where = Where(file=self._part.name, path=f"{self._part.reader.path}[{self._places[number]}]")
            raw = self._raws[number] if self._plain is None else self._plain.row(number)
            report.reject(with_bad_image(where), wire.verbatim(raw))


def read(source: Path, *, options: ReadOptions, report: Report) -> LabelSet:
    """Open a COCO JSON file, several in a folder's ``annotations/``, or a results file.

    Args:
        source: an instances, keypoints, captions, stuff, LVIS, image_info or results JSON file, or a folder.
        options: see :class:`ReadOptions`.
        report: findings of the first pass; those of the second go to the report given to ``records``.

    Raises:
        ReadError: a file cannot be read, is no JSON, or is no COCO file; with file and JSON path.
        OptionError: a ground truth for what is no results file.
    """
    return _Reader(options, report).read(source)


Table = dict[int | str, int]
"""Image id -> the item's number."""


class _Reader:
    def __init__(self, options: ReadOptions, report: Report) -> None:
        self.options = options
        self.report = report
        self.images = Images()
        self.lost: set[int | str] = set()
        """Ids of images of the split whose rows are no JSON."""
        self.parts: list[Part] = []
        self.labels: dict[str, Label] = {}
        self.entries: list[dict[str, Any]] = []
        self.header = Header()

    def read(self, source: Path) -> LabelSet:
        """Open the source."""
        found = find(source, self.report)
        consumed: set[Path] = set()
        for split, paths in found.splits.items():
            files = [scan(path, self._name(path, source), self.report) for path in paths]
            if files[0].results:
                self._results(files[0])
            elif self.options.ground_truth is not None:
                raise OptionError(
                    "a ground truth goes with a results file, and this is a data set",
                    Where(file=files[0].name),
                    hint="leave --ground-truth out, or name the results file",
                )
            else:
                consumed |= self._split(split, files, source)
        for path in found.results:
            if path not in consumed:
                self.report.add(Code.IGNORED_FILE, path.name, format="coco", where=Where(file=str(path)))
        for part in self.parts:
            part.index.freeze(len(self.images))
        # In an order that does not depend on what the files are called.
        self.entries.sort(key=lambda entry: entry.get("subset") or "")
        header = msgspec.structs.replace(
            self.header,
            labels=tuple(self.labels.values()),
            extras={"coco": {"files": self.entries}, **self.header.extras},
        )
        labels = LabelSet(header, CocoSource(self.images, self.parts), size=len(self.images))
        if self.options.bbox == "check":
            _check_boxes(labels, source)
        return labels

    def _name(self, path: Path, source: Path) -> str:
        return path.relative_to(source).as_posix() if source.is_dir() else path.name

    # ------------------------------------------------------------------ data sets

    def _split(self, split: str | None, files: list[Contents], source: Path) -> set[Path]:
        """The files of one split, all of the same images. Returns the results files that were read too."""
        table: Table = {}
        for contents in files:
            if contents.kept is not None and contents.kept.subset is not None:
                split = contents.kept.subset
        self.lost.clear()
        for contents in files:
            self._add_images(contents, table, split)
        offset = 0
        fuller: list[tuple[Contents, dict[int | str, int]]] = []
        consumed: set[Path] = set()
        for contents in files:
            same = self._superseded(contents, fuller) if len(files) > 1 else set()
            if contents.task in ("person_keypoints", "instances") and len(files) > 1:
                fuller.append((contents, contents.rows.ids()))
            labels = self._labels(contents)
            self._add_rows(contents, table, labels, same, offset)
            self._add_entry(contents, split)
            offset += len(contents.rows)
            if contents.kept is not None:
                self.header = restore_header(contents.kept, self.header)
                results = self._own_results(contents)
                if results is not None:
                    consumed.add(results.path)
                    self._add_rows(results, table, labels, set(), 0)
                    self._add_entry(results, split)
        return consumed

    def _own_results(self, contents: Contents) -> Contents | None:
        """The results file that a data set names as its own, if it is there."""
        name = contents.kept.results if contents.kept is not None else None
        if name is None:
            return None
        path = contents.path.parent / name if name and Path(name).name == name else None
        if path is None or not path.is_file():
            self.report.add(
                Code.IGNORED_FILE, f"{name}, named in {contents.name}, is not there", format="coco",
                where=Where(file=contents.name),
            )  # fmt: skip
            return None
        results = scan(path, Path(contents.name).with_name(name).as_posix(), self.report)
        if not results.results:
            raise SchemaError("expected an array of results", results.where("$"))
        return results

    def _add_images(self, contents: Contents, table: Table, split: str | None) -> None:
        file = self.images.add_file(contents.name, contents.file, split)
        images = contents.images
        self.lost |= images.lost
        if not table:
            first = self.images.extend(file, images.rows, images.offsets, images.lengths)
            table.update({identity: first + position for identity, position in images.positions.items()})
            return
        for identity, position in images.positions.items():
            number = table.get(identity)
            if number is None:
                row, offset, length = (
                    images.rows[position],
                    images.offsets[position],
                    images.lengths[position],
                )
                table[identity] = self.images.add(file, row, offset, length)
                continue
            row = contents.image_row(position)
            name, other = row.get("file_name") if isinstance(row, dict) else None, self.images.name(number)
            if name != other:
                raise SchemaError(
                    f"image id {identity} is {name!r:.80} here and {other!r:.80} in"
                    f" {self.images.file_of(number)}",
                    contents.where(f"$.images[{images.rows[position]}]"),
                    "these are different data sets; convert them one at a time",
                )

    def _superseded(
        self, contents: Contents, fuller: list[tuple[Contents, dict[int | str, int]]]
    ) -> set[int]:
        """Rows that a fuller file of the split has too: of one id, image and category, with the same box."""
        if contents.task != "instances" or not fuller:
            return set()
        same: set[int] = set()
        repeated = 0
        for identity, row in contents.rows.ids().items():
            for other, ids in fuller:
                if identity in ids:
                    if _same_object(contents.row(row), other.row(ids[identity])):
                        same.add(row)
                    else:
                        repeated += 1
        if same:
            text = f"objects of {contents.name} that are also in {fuller[0][0].name} are read from there"
            self.report.add(Code.SUPERSEDED, text, format="coco", count=len(same))
        if repeated:
            where = Where(file=contents.name)
            self.report.add(Code.DUPLICATE_ID, "annotation id", format="coco", where=where, count=repeated)
        return same

    # ------------------------------------------------------------------ results

    def _results(self, contents: Contents) -> None:
        """A results file that was named itself."""
        truth = self.options.ground_truth
        table: Table = {}
        if truth is None:
            self._bare_images(contents, table)
            labels = self._labels(contents)
        else:
            named = scan(truth, truth.name, self.report, annotations=False)
            if named.results:
                raise SchemaError(
                    "this is a results file, not the ground truth",
                    Where(file=str(truth)),
                    "give the instances file",
                )
            self._add_images(named, table, None)
            labels = self._labels(named)
            self._add_entry(named, None)
        self._add_rows(contents, table, labels, set(), 0)
        self._add_entry(contents, None)

    def _bare_images(self, contents: Contents, table: Table) -> None:
        """Items for the image ids of results read alone: nothing else names the images."""
        file = self.images.add_file(contents.name, contents.file, None)
        for row in range(len(contents.rows)):
            image = contents.rows.image(row)
            if image is not None and image not in table:
                table[image] = self.images.add_bare(file, image)
        if table:
            self.report.add(
                Code.ASSUMED,
                "results read alone: images go by id, categories by number (--ground-truth FILE names them)",
                format="coco",
                where=Where(file=contents.name),
            )

    # ------------------------------------------------------------------ what a file's rows mean

    def _labels(self, contents: Contents) -> dict[int | str, Label]:
        """The labels by number: those the file declares, or else its numbers as names."""
        if contents.labels is not None:
            for _, label in contents.labels:
                if label.name != UNLABELLED or label.id is not None:
                    self._add_label(label, contents.name)
            return dict(contents.labels)
        labels: dict[int | str, Label] = {}
        for given in contents.rows.categories:
            number = wire.canonical_id(given)
            if number is not None and number not in labels:
                labels[number] = Label(name=str(number), id=number)
                self._add_label(labels[number], contents.name)
                where = Where(file=contents.name)
                self.report.add(Code.LABEL_UNDECLARED, str(number), format="coco", where=where)
        return labels

    def _add_label(self, label: Label, file: str) -> None:
        have = self.labels.setdefault(label.name, label)
        if have != label and not _less_of(label, have):
            self.report.add(Code.LABEL_CONFLICT, label.name, format="coco", where=Where(file=file))

    def _add_rows(
        self, contents: Contents, table: Table, labels: Mapping[int | str, Label], same: set[int], offset: int
    ) -> None:
        """Find each row's item and index the rows; those without one are rejected."""
        rows = contents.rows
        groups = list(map(table.get, rows.images, itertools.repeat(-1)))
        for row, image in rows.other_images.items():
            groups[row] = -1 if image is None else table.get(image, -1)
        for row in [row for row, group in enumerate(groups) if group < 0]:
            self.report.reject(_without_image(contents, row, self.lost), contents.row(row))
        for row in same:
            groups[row] = -1
        index = RowIndex()
        index.extend(rows.offsets, rows.lengths, groups)
        reader = RowReader(
            contents.name,
            contents.rows_path,
            labels,
            predicted=contents.results or self.options.predictions,
            tags=contents.task == "labels",
            offset=offset,
        )
        self.parts.append(Part(contents.name, contents.file, index, reader))

    def _add_entry(self, contents: Contents, split: str | None) -> None:
        """Note what a file was, for the way back."""
        if contents.kept is not None and contents.kept.files:
            self.entries += contents.kept.files
            return
        kind = "results" if contents.results else "dataset"
        entry: dict[str, Any] = {"name": contents.path.name, "kind": kind}
        if split is not None:
            entry["subset"] = split
        if not contents.results:
            entry["keys"] = contents.keys
            entry["fields"] = contents.fields
        self.entries.append(entry)


def _same_object(first: Any, second: Any) -> bool:
    return (
        isinstance(first, dict)
        and isinstance(second, dict)
        and all(
            wire.canonical_id(first.get(key)) == wire.canonical_id(second.get(key))
            for key in ("image_id", "category_id")
        )
        and first.get("bbox") == second.get("bbox")
    )


def _less_of(label: Label, other: Label) -> bool:
    """Whether a label says nothing that the other one does not say too."""
    return all(
        not said or said == getattr(other, name)
        for name, said in ((name, getattr(label, name)) for name in label.__struct_fields__)
    )


def _without_image(contents: Contents, row: int, lost: set[int | str]) -> ReadError:
    """What is wrong with a row that belongs to no image; ``lost`` are images that could not be read."""
    image, path = contents.rows.image(row), f"{contents.rows_path}[{row}]"
    if row in contents.rows.wrong and (error := wire.refusal(contents.raw(row), contents.where(path))):
        return error
    if image in lost:
        return with_bad_image(contents.where(path))
    if row in contents.rows.wrong or image is None:
        return SchemaError(
            "expected an annotation object with an image_id (a whole number or a string)",
            contents.where(path if row in contents.rows.wrong else f"{path}.image_id"),
        )
    where = contents.where(f"{path}.image_id")
    if contents.results:
        text, hint = f"image id {image} is not among the images of the ground truth", "is this the right one?"
        return DanglingReferenceError(text, where, hint)
    return DanglingReferenceError(
        f"image id {image} is not among the images",
        where,
        "add the image, or leave such annotations out with --on-error skip",
    )


def _check_boxes(labels: LabelSet, source: Path) -> None:
    """Refuse boxes that are plainly not [x, y, width, height]; a sample of the first images decides.

    Raises:
        SchemaError: most boxes would end outside their image, but fit it as corners, or all are fractions.
    """
    corners = outside = fractions = total = 0
    scratch = Report("skip")
    for record in labels.records(scratch, 0, 200):
        width, height = record.item.width, record.item.height
        if not width or not height:
            continue
        for annotation in record.annotations:
            box = annotation.shape(Box)
            if box is None:
                continue
            x, y, w, h = box.x, box.y, box.width, box.height
            total += 1
            corners += x < w <= width and y < h <= height
            outside += x + w > width * 1.05 or y + h > height * 1.05
            fractions += max(x, y, w, h) <= 1 and width > 2 and height > 2
    if total >= 3 and corners == total and outside * 2 > total:
        raise SchemaError(
            f"the boxes look like [x1, y1, x2, y2]: {outside} of the first {total} would end outside their"
            " image",
            Where(file=str(source), path="$.annotations[*].bbox"),
            "COCO boxes are [x, y, width, height]; mend the file, or give --bbox xywh if they are right",
        )
    if total >= 3 and fractions == total:
        raise SchemaError(
            f"the boxes look like fractions of the image: the first {total} are all within 0 and 1",
            Where(file=str(source), path="$.annotations[*].bbox"),
            "COCO boxes are in pixels; mend the file, or give --bbox xywh if they are right",
        )
