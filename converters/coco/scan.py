"""The first pass over a COCO file: where each row is, what it names, and everything else the file says.

Ids are compared as ``canonical_id`` has them: 7, 7.0 and "7" are one id. Rows are held as numbers in arrays.
"""

from __future__ import annotations

from array import array
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from nucleus_convert.converters.coco.labels import read_categories
from nucleus_convert.converters.coco.reserved import RESERVED, KeptRoot, kept_root
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import ReadError, SchemaError, UnknownFormatError, Where
from nucleus_convert.converters.model import Label
from nucleus_convert.converters.report import Report
from nucleus_convert.formats import coco as wire
from nucleus_convert.formats.cocorows import RowColumns, plain_columns
from nucleus_convert.formats.jsonstream import JsonDocument, Rows
from nucleus_convert.formats.rows import RowFile

_LARGEST = 2**62


class Rowset:
    """The annotation rows of a file, in order: place, image and id of each.

    ``images`` holds a whole number for each row; rows whose image id is another kind of value, or none, have
    it in ``other_images``. ``wrong`` are rows that are no annotation objects, or no JSON. ``categories``
    are the category ids used.
    """

    def __init__(self) -> None:
        self.offsets: array[int] = array("q")
        self.lengths: array[int] = array("i")
        self.images: array[int] = array("q")
        self.texts = 0
        self.other_images: dict[int, str | int | None] = {}
        self.wrong: set[int] = set()
        self.categories: dict[Any, None] = {}
        self._ids: array[int] = array("q")
        self._other_ids: dict[int, str | int] = {}

    def __len__(self) -> int:
        return len(self.offsets)

    def add(self, rows: Rows[wire.AnnotationProbe] | RowColumns) -> None:
        """Take a block of rows."""
        if isinstance(rows, RowColumns):
            self.offsets.extend(rows.offsets)
            self.lengths.extend(rows.lengths)
            self.images.extend(rows.images)
            self._ids.extend(rows.ids)
            self.categories.update(rows.categories)
            return
        first, base = len(self.offsets), rows.base
        self.offsets.extend([base + start for start in rows.starts])
        self.lengths.extend([end - start for start, end in zip(rows.starts, rows.ends, strict=True)])
        probes = rows.probes
        try:
            # Nearly every file: ids are whole numbers, and there are no odd rows.
            images = [probe.image_id for probe in probes]  # type: ignore[union-attr]
            ids = [probe.id for probe in probes]  # type: ignore[union-attr]
            if {*map(type, images), *map(type, ids)} <= {int}:
                self.images.extend(images)  # type: ignore[arg-type]
                self._ids.extend(ids)  # type: ignore[arg-type]
                self.categories.update(dict.fromkeys([probe.category_id for probe in probes]))  # type: ignore[union-attr]
                return
        except (AttributeError, OverflowError):
            pass
        del self.images[first:], self._ids[first:]
        for row, probe in enumerate(probes, first):
            self._one(row, probe)

    def _one(self, row: int, probe: wire.AnnotationProbe | Exception) -> None:
        image: int | str | None = None
        identity: int | str | None = None
        if isinstance(probe, Exception):
            self.wrong.add(row)
        else:
            image, identity = wire.canonical_id(probe.image_id), wire.canonical_id(probe.id)
            self.categories[probe.category_id] = None
            self.texts += type(probe.image_id) is str
        if type(image) is int and abs(image) < _LARGEST:
            self.images.append(image)
        else:
            self.images.append(0)
            self.other_images[row] = image
        if type(identity) is int and abs(identity) < _LARGEST:
            self._ids.append(identity)
        else:
            self._ids.append(-_LARGEST - row)  # a number that no other row has
            if identity is not None:
                self._other_ids[row] = identity

    def image(self, row: int) -> int | str | None:
        """The image id of a row; None if it has none that can be one."""
        return self.other_images[row] if row in self.other_images else self.images[row]

    def ids(self) -> dict[int | str, int]:
        """The row of each id; of rows that share one, the first."""
        found: dict[int | str, int] = {}
        for row, identity in enumerate(self._ids):
            key: int | str = self._other_ids.get(row, identity)
            if identity > -_LARGEST or row in self._other_ids:
                found.setdefault(key, row)
        return found

    def repeated(self) -> list[tuple[int, int | str]]:
        """(row, id) of rows whose id stood in an earlier row."""
        ids = np.frombuffer(self._ids, dtype=np.int64) if len(self._ids) else np.zeros(0, np.int64)
        ordered = np.sort(ids)
        rows: list[int] = []
        if (ordered[1:] == ordered[:-1]).any():
            order = np.argsort(ids, kind="stable")
            ordered = ids[order]
            rows = np.sort(order[1:][ordered[1:] == ordered[:-1]]).tolist()
        found: list[tuple[int, int | str]] = [(row, self._ids[row]) for row in rows]
        seen: set[int | str] = set()
        for row, identity in self._other_ids.items():
            if identity in seen:
                found.append((row, identity))
            seen.add(identity)
        return sorted(found, key=itemgetter(0))


class Imageset:
    """The image rows of a file: place of each, by id. ``lost`` are the ids of rows that are no JSON."""

    def __init__(self) -> None:
        self.positions: dict[int | str, int] = {}
        self.rows: array[int] = array("i")
        self.offsets: array[int] = array("q")
        self.lengths: array[int] = array("i")
        self.texts = 0
        self.lost: set[int | str] = set()


class Contents:
    """What the first pass over one file found."""

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self.file = RowFile(path)
        self.task = wire.split_name(path.stem)[0]
        self.results = False
        self.keys: list[str] = []
        self.fields: dict[str, Any] = {}
        self.kept: KeptRoot | None = None
        self.labels: list[tuple[int | str, Label]] | None = None
        self.images = Imageset()
        self.rows = Rowset()

    @property
    def rows_path(self) -> str:
        """The JSON path of the annotation rows."""
        return "$" if self.results else "$.annotations"

    def where(self, path: str) -> Where:
        """A place in the file."""
        return Where(file=self.name, path=path)

    def raw(self, row: int) -> bytes:
        """An annotation row verbatim."""
        return self.file.read(self.rows.offsets[row], self.rows.lengths[row])

    def row(self, row: int) -> Any:
        """An annotation row as JSON."""
        return wire.verbatim(self.raw(row))

    def image_row(self, position: int) -> Any:
        """An image row as JSON."""
        return wire.verbatim(self.file.read(self.images.offsets[position], self.images.lengths[position]))


def scan(path: Path, name: str, report: Report, *, annotations: bool = True) -> Contents:
    """Go through a file once.

    Args:
        path: the file.
        name: what messages call it.
        report: gets the findings, and image rows that are none.
        annotations: whether annotation rows are wanted.

    Raises:
        ReadError: the file cannot be read, is no JSON, or no COCO file that this version reads.
    """
    contents = Contents(path, name)
    with JsonDocument(path) as document:
        root = document.root()
        if root == "other":
            raise SchemaError(
                "expected a JSON object (a COCO data set) or an array (COCO results)", contents.where("$")
            )
        contents.results = root == "array"
        for member in document.members():
            key = member.key
            if key is not None:
                contents.keys.append(key)
            if key is None or (key == "annotations" and member.kind == "array"):
                for rows in member.rows_or(wire.ANNOTATION_PROBES, plain_columns()):
                    if isinstance(rows, Rows):
                        _refuse_panoptic(rows, contents)
                    if annotations:
                        contents.rows.add(rows)
            elif key == "images" and member.kind == "array":
                for block in member.rows(wire.IMAGE_PROBES):
                    _add_images(block, contents, report)
            elif key in ("images", "annotations"):
                raise SchemaError(f"expected a list of {key}", contents.where(f"$.{key}"))
            else:
                value = wire.load(member.value(), contents.where(f"$.{key}"))
                if key == "categories":
                    contents.labels = read_categories(value, name, report)
                elif key == RESERVED:
                    contents.keys.pop()
                    contents.kept = kept_root(value, contents.where(f"$.{key}"))
                else:
                    contents.fields[str(key)] = value
    if not contents.results and "images" not in contents.keys:
        raise UnknownFormatError(
            "this JSON object has no 'images', so it is no COCO file",
            contents.where("$"),
            hint=f"its keys are {', '.join(contents.keys[:8]) or 'none'}",
        )
    _report_ids(contents, report)
    return contents


def _refuse_panoptic(rows: Rows[wire.AnnotationProbe], contents: Contents) -> None:
    if rows.first == 0:
        first = wire.verbatim(rows.raw(0))
        if isinstance(first, dict) and "segments_info" in first:
            raise ReadError(
                "rows of panoptic segments where rows of objects are expected",
                contents.where(f"{contents.rows_path}[0].segments_info"),
                hint="a panoptic file is an object, with these rows as its 'annotations'",
            )


def _add_images(block: Rows[wire.ImageProbe], contents: Contents, report: Report) -> None:
    images = contents.images
    ids: list[Any] = [getattr(probe, "id", None) for probe in block.probes]
    if set(map(type, ids)) == {int} and len(set(ids)) == len(ids) and images.positions.keys().isdisjoint(ids):
        images.positions.update(zip(ids, range(len(images.rows), len(images.rows) + len(ids)), strict=True))
        images.rows.extend(range(block.first, block.first + len(ids)))
        images.offsets.extend([block.base + start for start in block.starts])
        images.lengths.extend([end - start for start, end in zip(block.starts, block.ends, strict=True)])
        return
    for i, probe in enumerate(block.probes):
        row = block.first + i
        identity = None if isinstance(probe, Exception) else wire.canonical_id(probe.id)
        path = f"$.images[{row}]"
        error: ReadError | None
        if isinstance(probe, Exception) and (error := wire.refusal(block.raw(i), contents.where(path))):
            lost = wire.damaged_id(block.raw(i))
            if lost is not None:
                images.lost.add(lost)
        elif identity is None:
            error = SchemaError(
                "expected an image object with an id (a whole number or a string)", contents.where(path)
            )
        elif identity in images.positions:
            error = SchemaError(
                f"image id {identity} stands twice",
                contents.where(f"{path}.id"),
                "annotations cannot tell them apart; give every image its own id",
            )
        else:
            images.positions[identity] = len(images.rows)
            images.rows.append(row)
            images.offsets.append(block.base + block.starts[i])
            images.lengths.append(block.ends[i] - block.starts[i])
            images.texts += type(probe.id) is str  # type: ignore[union-attr]
            continue
        report.reject(error, wire.verbatim(block.raw(i)), kind="item")


def with_bad_image(where: Where) -> SchemaError:
    """The error of an annotation whose image was turned away."""
    return SchemaError("the annotation's image could not be read", where)


def _report_ids(contents: Contents, report: Report) -> None:
    rows, images = contents.rows, contents.images
    repeated = rows.repeated()
    for row, identity in repeated[:5]:
        where = Where(file=contents.name, path=f"{contents.rows_path}[{row}].id", annotation=str(identity))
        report.add(Code.DUPLICATE_ID, "annotation id", format="coco", where=where)
    if len(repeated) > 5:
        report.add(Code.DUPLICATE_ID, "annotation id", format="coco", count=len(repeated) - 5)
    # Images all of one type, annotations that name them by the other.
    other = (
        rows.texts if not images.texts else len(rows) - rows.texts if images.texts == len(images.rows) else 0
    )
    if other and len(images.rows):
        text = "image_id of another type (number or text) than the image's id"
        report.add(Code.VALUE_NORMALISED, text, format="coco", where=Where(file=contents.name), count=other)
