"""COCO files to records: an index of byte offsets first, then each image's rows when its turn comes.

The first pass goes through each file once and keeps, for every annotation, where it is and which image it belongs
to. The second reads the rows of one image after the other. Memory grows with the number of rows, not their size.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from nucleus_convert.converters.coco.labels import read_categories
from nucleus_convert.converters.coco.options import ReadOptions
from nucleus_convert.converters.coco.reserved import RESERVED, UNLABELLED, restore_header, restore_item
from nucleus_convert.converters.coco.rows import RowReader
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import (
    ConvertError,
    DanglingReferenceError,
    ReadError,
    SchemaError,
    UnknownFormatError,
    Where,
)
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.model import Annotation, Box, Header, Item, Label, Record
from nucleus_convert.converters.report import Report
from nucleus_convert.formats import coco as wire
from nucleus_convert.formats.jsonstream import JsonDocument, Rows
from nucleus_convert.formats.rows import RowFile, RowIndex

_STRETCH = 256
"""Items whose rows are looked up together."""
_IMAGE_KEYS = ("id", "file_name", "width", "height")


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

    def add_bare(self, file: int, identity: int | str) -> int:
        """Add an item of which nothing but the id is known."""
        number = self.add(file, -1, 0, 0)
        self._ids[number] = identity
        return number

    def item(self, number: int) -> tuple[Item, tuple[Annotation, ...]]:
        """The item, and annotations that travelled with it (see ``reserved``).

        Raises:
            SchemaError: the row is no image.
        """
        file = self._file[number]
        subset = self.subsets[file]
        if number in self._ids:
            return Item(id=self._ids[number], subset=subset), ()
        row = wire.DECODE(self.files[file].read(self._offset[number], self._length[number]))
        place = f"$.images[{self._row[number]}]"
        try:
            item = _item(row, subset)
            if RESERVED in row:
                return restore_item(row[RESERVED], item, Where())
            return item, ()
        except SchemaError as error:
            where = error.where or Where()
            raise SchemaError(
                error.message, Where(file=self.names[file], path=place + (where.path or "")), error.hint
            ) from error

    def raw(self, number: int) -> Any:
        """The row of an item as JSON, for the quarantine."""
        if number in self._ids:
            return None
        return wire.DECODE(self.files[self._file[number]].read(self._offset[number], self._length[number]))


def _item(row: Any, subset: str | None) -> Item:
    if not isinstance(row, dict):
        raise SchemaError("expected an image object")
    extras = {key: value for key, value in row.items() if key not in _IMAGE_KEYS and key != RESERVED}
    identity = row["id"]
    if type(identity) is float:
        identity = int(identity)
    name = row.get("file_name")
    if name is None:
        if "file_name" in row:
            extras["file_name"] = None
        # LVIS leaves the name to be read off the address.
        url = row.get("coco_url")
        path = "/".join(url.split("/")[-2:]) if isinstance(url, str) and "/" in url else None
    elif not isinstance(name, str):
        raise SchemaError(f"expected a file name, found {name!r:.80}", Where(path=".file_name"))
    else:
        path = name
    if path is not None and name is None:
        extras["path_from_url"] = True
    sizes: list[int | None] = []
    for key in ("width", "height"):
        size = row.get(key)
        if size is None:
            sizes.append(None)
            if key in row:
                extras[key] = None
        elif not wire.is_number(size) or abs(size - round(size)) > 1e-6 or size < 0:
            raise SchemaError(f"expected a whole number of pixels, found {size!r:.80}", Where(path=f".{key}"))
        else:
            sizes.append(round(size) or None)
            if not size:
                extras[key] = size
    return Item(
        id=identity, path=path, width=sizes[0], height=sizes[1], subset=subset,
        extras={"coco": extras} if extras else {},
    )  # fmt: skip


class CocoSource:
    """Reads the records of items ``start`` to ``stop``. Picklable."""

    def __init__(self, images: Images, parts: list[Part]) -> None:
        self.images = images
        self.parts = parts

    def __call__(self, report: Report, start: int, stop: int | None) -> Iterator[Record]:
        stop = len(self.images) if stop is None else min(stop, len(self.images))
        for first in range(start, stop, _STRETCH):
            last = min(first + _STRETCH, stop)
            rows = [part.index.stretch(first, last) for part in self.parts]
            for number in range(first, last):
                record = self._record(number, [stretch[number - first] for stretch in rows], report)
                if record is not None:
                    yield record

    def _record(self, number: int, rows: list[list[tuple[int, int, int]]], report: Report) -> Record | None:
        try:
            item, carried = self.images.item(number)
        except ConvertError as error:
            report.reject(error, self.images.raw(number), kind="item")
            self._reject_rows(rows, report)
            return None
        if (item.width is None or item.height is None) and item.path is not None:
            report.add(Code.SIZE_MISSING, "missing or zero", format="coco", where=Where(item=item.path))
        annotations: list[Annotation] = []
        for part, mine in zip(self.parts, rows, strict=True):
            read, annotation_of = part.file.read, part.reader.read
            for row, offset, length in mine:
                raw = read(offset, length)
                try:
                    annotations.append(annotation_of(raw, row, item, report))
                except ConvertError as error:
                    report.reject(error, wire.DECODE(raw))
        return Record(item, (*annotations, *carried))

    def _reject_rows(self, rows: list[list[tuple[int, int, int]]], report: Report) -> None:
        for part, mine in zip(self.parts, rows, strict=True):
            for row, offset, length in mine:
                error = SchemaError(
                    "the annotation's image could not be read",
                    Where(file=part.name, path=f"{part.reader.path}[{row}]"),
                )
                report.reject(error, wire.DECODE(part.file.read(offset, length)))


class _Contents:
    """What the first pass over one file found."""

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self.file = RowFile(path)
        self.task, self.split = wire.split_name(path.stem)
        self.results = False
        self.fields: dict[str, Any] = {}
        self.keys: list[str] = []
        self.labels: list[tuple[int | str, Label]] | None = None
        self.used: list[int | str] = []
        self.rows = RowIndex()


def read(source: Path, *, options: ReadOptions, report: Report) -> LabelSet:
    """Open a COCO JSON file, several in a folder's ``annotations/``, or a results file.

    Args:
        source: an instances, keypoints, captions, stuff, LVIS, image_info or results JSON file, or a folder.
        options: see :class:`ReadOptions`.
        report: findings of the first pass; those of the second go to the report given to ``records``.

    Raises:
        ReadError: a file cannot be read, is no JSON, or is no COCO file; with file and JSON path.
    """
    return _Reader(options, report).read(source)


class _Reader:
    def __init__(self, options: ReadOptions, report: Report) -> None:
        self.options = options
        self.report = report
        self.images = Images()
        self.parts: list[Part] = []
        self.labels: dict[str, Label] = {}
        self.files: list[dict[str, Any]] = []
        self.kept: list[tuple[str, Any]] = []

    def read(self, source: Path) -> LabelSet:
        paths = _files(source, self.report)
        truth = self.options.ground_truth
        if truth is not None:
            self._ground_truth_only(truth)
        tables: dict[str | None, dict[int | str, int]] = {}
        by_split: dict[str | None, list[Path]] = {}
        for path in paths:
            by_split.setdefault(wire.split_name(path.stem)[1] if len(paths) > 1 else None, []).append(path)
        for split, members in by_split.items():
            self._split(split, members, tables, source)
        for part in self.parts:
            part.index.freeze(len(self.images))
        header = Header(labels=tuple(self.labels.values()), extras={"coco": {"files": self.files}})
        for name, kept in self.kept:
            header = restore_header(kept, header, Where(file=name, path=f"$.{RESERVED}"))
        labels = LabelSet(header, CocoSource(self.images, self.parts), size=len(self.images))
        if self.options.bbox == "check":
            _check_boxes(labels, source)
        return labels

    # ------------------------------------------------------------------ one split

    def _split(
        self, split: str | None, paths: list[Path], tables: dict[str | None, dict[int | str, int]], source: Path
    ) -> None:
        """The files of one split: the same images, each file with its own kind of annotations."""
        if len(paths) > 1:
            order = ("person_keypoints", "instances", "stuff", "captions", "labels", "image_info")
            paths = sorted(paths, key=lambda p: _rank(wire.split_name(p.stem)[0], order))
        table: dict[int | str, int] = {}
        tables[split] = table
        offset = 0
        identities: set[int | str] = set()
        for path in paths:
            name = path.name if source.is_file() else path.relative_to(source).as_posix()
            contents = _Contents(path, name)
            first = not table
            seen = identities if contents.task in ("instances", "person_keypoints") and len(paths) > 1 else None
            self._scan(contents, table, split, first=first, identities=seen)
            self._finish(contents, table, split, offset)
            offset += len(contents.rows)

    def _ground_truth_only(self, path: Path) -> None:
        """The images and categories of a ground-truth file, for the results that name them."""
        contents = _Contents(path, path.name)
        table: dict[int | str, int] = {}
        self._scan(contents, table, None, first=True, identities=None, annotations=False)
        if contents.results:
            raise SchemaError(
                "this is a results file, not the ground truth", Where(file=str(path)), "give the instances file"
            )
        self._truth = (table, dict(contents.labels or []))
        for _, label in contents.labels or []:
            self._add_label(label, contents.name)

    _truth: tuple[dict[int | str, int], dict[int | str, Label]] | None = None

    def _scan(
        self,
        contents: _Contents,
        table: dict[int | str, int],
        split: str | None,
        *,
        first: bool,
        identities: set[int | str] | None,
        annotations: bool = True,
    ) -> None:
        """The first pass over a file: images into ``table``, annotations into the index."""
        known = False
        with JsonDocument(contents.path) as document:
            root = document.root()
            contents.results = root == "array"
            if root == "other":
                raise SchemaError(
                    "expected a JSON object (a COCO data set) or an array (COCO results)",
                    Where(file=contents.name, path="$"),
                )
            pending = _Pending(contents)
            for member in document.members():
                key = member.key
                if key is not None:
                    contents.keys.append(key)
                if key == "images" and member.kind == "array":
                    for block in member.rows(wire.IMAGE_PROBES):
                        self._index_images(block, contents, table, split, first)
                elif (key == "annotations" or key is None) and member.kind == "array":
                    for rows in member.rows(wire.ANNOTATION_PROBES):
                        if annotations:
                            pending.add(rows, self, identities)
                            known = True
                elif key == "categories":
                    contents.labels = read_categories(wire.DECODE(member.value()), contents.name, self.report)
                elif key in ("images", "annotations"):
                    raise SchemaError(f"expected a list of {key}", Where(file=contents.name, path=f"$.{key}"))
                elif key is not None:
                    contents.fields[key] = wire.DECODE(member.value())
        if not contents.results and "images" not in contents.keys:
            raise UnknownFormatError(
                "this JSON object has no 'images', so it is no COCO file",
                Where(file=contents.name, path="$"),
                hint=f"its keys are {', '.join(contents.keys[:8]) or 'none'}",
            )
        if annotations and known:
            pending.resolve(self, table, contents)

    def _index_images(
        self, block: Rows[wire.ImageProbe], contents: _Contents, table: dict[int | str, int], split: str | None, first: bool
    ) -> None:
        if first and (not self.images.files or self.images.files[-1] is not contents.file):
            self._image_file = self.images.add_file(contents.name, contents.file, split)
        for i, probe in enumerate(block.probes):
            row = block.first + i
            identity = None if isinstance(probe, Exception) else wire.canonical_id(probe.id)
            where = Where(file=contents.name, path=f"$.images[{row}]")
            if identity is None:
                error = SchemaError("expected an image object with an id (a whole number or a string)", where)
                self.report.reject(error, wire.DECODE(block.raw(i)), kind="item")
                continue
            if identity in table:
                if first:
                    error = SchemaError(
                        f"image id {identity} stands twice",
                        Where(file=contents.name, path=f"$.images[{row}].id"),
                        "annotations cannot tell them apart; give every image its own id",
                    )
                    self.report.reject(error, wire.DECODE(block.raw(i)), kind="item")
                continue
            start, end = block.starts[i], block.ends[i]
            if not first:
                self._image_file = self.images.add_file(contents.name, contents.file, split)
            table[identity] = self.images.add(self._image_file, row, block.base + start, end - start)

    _image_file: int = 0

    # ------------------------------------------------------------------ what a file's rows mean

    def _finish(self, contents: _Contents, table: dict[int | str, int], split: str | None, offset: int) -> None:
        """Settle a file's labels and add its rows as a part."""
        labels: dict[int | str, Label]
        if contents.labels is not None:
            labels = dict(contents.labels)
            if contents.results is False:
                for _, label in contents.labels:
                    if label.name != UNLABELLED or label.id is not None:
                        self._add_label(label, contents.name)
        elif self._truth is not None:
            labels = self._truth[1]
        else:
            labels = {}
            for number in contents.used:
                label = Label(name=str(number), id=number)
                labels[number] = label
                self._add_label(label, contents.name)
                self.report.add(
                    Code.LABEL_UNDECLARED, str(number), format="coco", where=Where(file=contents.name)
                )
        reader = RowReader(
            contents.name,
            "$" if contents.results else "$.annotations",
            labels,
            predicted=contents.results or self.options.predictions,
            tags=contents.task == "labels",
            offset=offset,
        )
        self.parts.append(Part(contents.name, contents.file, contents.rows, reader))
        entry: dict[str, Any] = {"name": Path(contents.name).name, "kind": "results" if contents.results else "dataset"}
        if split is not None:
            entry["subset"] = split
        if RESERVED in contents.fields:
            self.kept.append((contents.name, contents.fields.pop(RESERVED)))
            contents.keys.remove(RESERVED)
        if not contents.results:
            entry["keys"] = contents.keys
            entry["fields"] = contents.fields
        self.files.append(entry)

    def _add_label(self, label: Label, file: str) -> None:
        have = self.labels.setdefault(label.name, label)
        if have is not label and have != label:
            self.report.add(Code.LABEL_CONFLICT, label.name, format="coco", where=Where(file=file))


class _Pending:
    """Annotation rows whose images may come later in the file: arrays of numbers, settled at the end."""

    def __init__(self, contents: _Contents) -> None:
        self.contents = contents
        self.image_ids: Any = array("q")
        self.other_ids: dict[int, Any] = {}
        self.offsets: Any = array("q")
        self.lengths: Any = array("i")
        self.identities: Any = array("q")
        self.superseded: set[int] = set()
        self.bad: list[tuple[int, Exception]] = []
        self.used: dict[Any, None] = {}
        self.names: dict[str, None] = {}
        self.repeated: dict[str, int] = {}

    def add(self, rows: Rows[wire.AnnotationProbe], reader: _Reader, identities: set[int | str] | None) -> None:
        """Take a block of rows."""
        first = len(self.offsets)
        base = rows.base
        self.offsets.extend([base + start for start in rows.starts])
        self.lengths.extend([end - start for start, end in zip(rows.starts, rows.ends, strict=True)])
        probes = rows.probes
        try:
            # Nearly every file: ids are whole numbers, and there are no odd rows.
            image_ids = [probe.image_id for probe in probes]  # type: ignore[union-attr]
            ids = [probe.id for probe in probes]  # type: ignore[union-attr]
            if {type(i) for i in image_ids} | {type(i) for i in ids} <= {int} and identities is None:
                self.image_ids.extend(image_ids)
                self.identities.extend(ids)
                self.used.update(dict.fromkeys([probe.category_id for probe in probes]))  # type: ignore[union-attr]
                return
        except (AttributeError, OverflowError):
            pass
        del self.image_ids[first:], self.identities[first:]
        for i, probe in enumerate(probes):
            self._one(first + i, probe, identities)

    def _one(self, row: int, probe: wire.AnnotationProbe | Exception, identities: set[int | str] | None) -> None:
        image: Any = None
        identity: Any = None
        if isinstance(probe, Exception):
            self.bad.append((row, probe))
        else:
            image = wire.canonical_id(probe.image_id)
            identity = wire.canonical_id(probe.id)
            self.used[probe.category_id] = None
        if type(image) is int and -(2**62) < image < 2**62:
            self.image_ids.append(image)
        else:
            self.image_ids.append(0)
            self.other_ids[row] = image
        if type(identity) is int and -(2**62) < identity < 2**62:
            self.identities.append(identity)
        else:
            self.identities.append(-(2**62) - row)  # not checked as a number
            if isinstance(identity, str):
                if identity in self.names:
                    self.repeated[identity] = self.repeated.get(identity, 1) + 1
                self.names[identity] = None
        if identities is not None and identity is not None:
            if identity in identities:
                self.superseded.add(row)
            identities.add(identity)

    def resolve(self, reader: _Reader, table: dict[int | str, int], contents: _Contents) -> None:
        """Find each row's item, now that all images are known, and index the rows."""
        report = reader.report
        if contents.results and reader._truth is not None:
            table = reader._truth[0]
        bare: dict[int | str, int] = {}
        groups = [table.get(image, -1) for image in self.image_ids]
        for row, image in self.other_ids.items():
            groups[row] = table.get(image, -1) if image is not None else -1
        wrong = [row for row, group in enumerate(groups) if group < 0]
        path = "$" if contents.results else "$.annotations"
        bad = dict(self.bad)
        file = -1
        for row in wrong:
            image = self.other_ids.get(row, self.image_ids[row])
            if row in bad or image is None:
                error: ConvertError = SchemaError(
                    "expected an annotation object with an image_id (a whole number or a string)",
                    Where(file=contents.name, path=f"{path}[{row}]" + ("" if row in bad else ".image_id")),
                )
            elif contents.results and reader._truth is None:
                # Results read alone: nothing names the images but their ids.
                if image not in bare:
                    if file < 0:
                        file = reader.images.add_file(contents.name, contents.file, None)
                    bare[image] = reader.images.add_bare(file, image)
                groups[row] = bare[image]
                continue
            else:
                error = DanglingReferenceError(
                    f"image id {image} is not among the images"
                    + (" of the ground truth" if contents.results else ""),
                    Where(file=contents.name, path=f"{path}[{row}].image_id"),
                    "is this the right ground truth?"
                    if contents.results
                    else "add the image, or leave such annotations out with --on-error skip",
                )
            raw = contents.file.read(self.offsets[row], self.lengths[row])
            report.reject(error, wire.DECODE(raw))
        if bare:
            report.add(
                Code.ASSUMED,
                "results read alone: images go by id, categories by number (--ground-truth FILE names them)",
                format="coco",
                where=Where(file=contents.name),
            )
        for row in self.superseded:
            groups[row] = -1
        if self.superseded:
            report.add(
                Code.SUPERSEDED,
                f"objects of {contents.name} that are also in the split's keypoints file are read from there",
                format="coco", count=len(self.superseded),
            )  # fmt: skip
        self._report_duplicates(report, contents, path)
        contents.rows.extend(self.offsets, self.lengths, groups)
        contents.used = [number for given in self.used if (number := wire.canonical_id(given)) is not None]

    def _report_duplicates(self, report: Report, contents: _Contents, path: str) -> None:
        ids = np.frombuffer(self.identities, dtype=np.int64) if len(self.identities) else np.zeros(0, np.int64)
        order = np.argsort(ids, kind="stable")
        ordered = ids[order]
        repeated = order[1:][ordered[1:] == ordered[:-1]]
        for row in np.sort(repeated)[:5].tolist():
            report.add(
                Code.DUPLICATE_ID, "annotation id", format="coco",
                where=Where(file=contents.name, path=f"{path}[{row}].id", annotation=str(self.identities[row])),
            )  # fmt: skip
        if len(repeated) > 5:
            report.add(Code.DUPLICATE_ID, "annotation id", format="coco", count=len(repeated) - 5)
        for name, count in self.repeated.items():
            report.add(
                Code.DUPLICATE_ID, "annotation id", format="coco", count=count - 1,
                where=Where(file=contents.name, annotation=name),
            )  # fmt: skip


def _rank(task: str | None, order: tuple[str, ...]) -> int:
    return order.index(task) if task in order else len(order)


def _files(source: Path, report: Report) -> list[Path]:
    """The JSON files of a source: itself, or those in a folder or its ``annotations``."""
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise ReadError("no such file or folder", Where(file=str(source)), hint="check the path")
    folder = source / "annotations" if (source / "annotations").is_dir() else source
    paths = sorted(folder.glob("*.json"))
    if not paths and folder is source:
        paths = sorted(source.glob("*/_annotations.coco.json"))  # Roboflow: one in each split's folder
    wanted: list[Path] = []
    for path in paths:
        if path.name.endswith(".report.json") or path.name == "report.json":
            continue
        task = wire.split_name(path.stem)[0]
        if task == "panoptic" or _is_results(path):
            report.add(Code.IGNORED_FILE, path.name, format="coco", where=Where(file=str(path)))
            continue
        wanted.append(path)
    if not wanted:
        raise ReadError(
            "no COCO JSON files in this folder",
            Where(file=str(folder)),
            hint="name the JSON file itself",
        )
    return wanted


def _is_results(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")


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
            f"the boxes look like [x1, y1, x2, y2]: {outside} of the first {total} would end outside their image",
            Where(file=str(source), path="$.annotations[*].bbox"),
            "COCO boxes are [x, y, width, height]; mend the file, or give --bbox xywh if they are right",
        )
    if total >= 3 and fractions == total:
        raise SchemaError(
            f"the boxes look like fractions of the image: the first {total} are all within 0 and 1",
            Where(file=str(source), path="$.annotations[*].bbox"),
            "COCO boxes are in pixels; mend the file, or give --bbox xywh if they are right",
        )


def sniff(source: Path) -> str | None:
    """None for a COCO file or folder; otherwise what it lacks."""
    if source.is_dir():
        folder = source / "annotations" if (source / "annotations").is_dir() else source
        candidates = [*folder.glob("*.json"), *source.glob("*/_annotations.coco.json")]
        candidates = [path for path in candidates if path.name not in ("dataset.json", "report.json", "taxonomies.json")]
        reasons = [reason for path in sorted(candidates)[:8] if (reason := _sniff_file(path)) is not None]
        if not candidates:
            return "no .json file in it or its annotations folder"
        return None if len(reasons) < len(candidates[:8]) else reasons[0]
    return _sniff_file(source)


def _sniff_file(path: Path) -> str | None:
    if path.suffix.lower() != ".json":
        return "its name does not end in .json"
    try:
        with JsonDocument(path) as document:
            if document.root() == "array":
                return _sniff_results(document)
            for keys, member in enumerate(document.members()):
                if member.key in ("images", "annotations", "categories") and member.kind == "array":
                    return None
                if member.key in ("info", "licenses", "type"):
                    continue
                if keys > 8:
                    break
    except (ConvertError, OSError) as error:
        return f"not readable as JSON ({error})".splitlines()[0]
    return "no 'images', 'annotations' or 'categories' at its root"


def _sniff_results(document: JsonDocument) -> str | None:
    for member in document.members():
        for rows in member.rows(msgspec.json.Decoder(list[msgspec.Raw])):
            row = wire.DECODE(rows.raw(0))
            if isinstance(row, dict) and "image_id" in row:
                return None
            return "an array whose first element has no 'image_id'"
    return "an empty array"

