"""Records to COCO panoptic: PNGs whose colours are segment ids, and the rows that say what they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from nucleus_convert.converters import filenames
from nucleus_convert.converters.coco.labels import category_ids, category_row
from nucleus_convert.converters.coco.options import WriteOptions
from nucleus_convert.converters.coco.panoptic import KEY
from nucleus_convert.converters.coco.reserved import (
    RESERVED,
    UNLABELLED,
    carried_header,
    carried_item,
    sealed,
)
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.compose import PIXELS_COVERED
from nucleus_convert.converters.errors import UnrepresentableError, Where
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.layout import names_file
from nucleus_convert.converters.model import KINDS, Annotation, Header, Item, Mask, Polygon, Record
from nucleus_convert.converters.palette import voc_palette
from nucleus_convert.converters.parallel import encode_chunks
from nucleus_convert.converters.protocol import Target
from nucleus_convert.converters.report import Report
from nucleus_convert.formats import coco as wire

_LAST = 2**60
_LARGEST = 2**24 - 1
_KEPT = ("n", "without", "undeclared")


def wanted(labels: LabelSet, options: WriteOptions) -> bool:
    """Whether to write panoptic files: on request, or because the source was one."""
    files = labels.header.extras.get("coco", {}).get("files", ())
    return options.kind == "panoptic" or (
        options.kind == "auto" and any(entry.get("kind") == "panoptic" for entry in files)
    )


class Encoded(msgspec.Struct):
    """One item: its image row, its row of segments and its PNG (None: no picture), and the name wanted."""

    subset: str | None
    item: dict[str, Any]
    row: dict[str, Any] | None
    order: int
    name: str
    png: bytes | None


class Encoder(msgspec.Struct, frozen=True):
    """Draws a stretch of records. Picklable."""

    numbers: dict[str, Any]
    results: bool

    def __call__(self, records: Iterator[Record], report: Report) -> list[Encoded]:
        """Rows and pictures of each record."""
        return [self._record(record, report) for record in records]

    def _record(self, record: Record, report: Report) -> Encoded:
        item = record.item
        own = item.extras.get("coco", {})
        said = own.get("panoptic")
        drawn: list[tuple[Annotation, int, Any]] = []
        rest: list[Annotation] = []
        used: set[int] = set()
        taken = {annotation.id for annotation in record.annotations}
        for annotation in record.annotations:
            runs = _runs(annotation, item)
            if runs is None:
                rest.append(annotation)
                fates = (
                    ("object", "carried"),
                    *((KINDS[type(shape)], "carried") for shape in annotation.shapes),
                )
                report.ledger.fate(fates)  # type: ignore[arg-type]
                continue
            number = annotation.id
            if not isinstance(number, int) or not 0 < number <= _LARGEST or number in used:
                number = next(n for n in range(1, _LARGEST + 1) if n not in used and n not in taken)
            used.add(number)
            drawn.append((annotation, number, runs))
        report.ledger.item("written")
        image = self._image(item, rest)
        if not drawn and said is None:
            return Encoded(item.subset, image, None, _LAST, "", None)
        segments, data = self._draw(drawn, item, report)
        row: dict[str, Any] = {"image_id": item.id}
        said = dict(said or {})
        order = said.pop("row", _LAST)
        stem = filenames.without_suffix(item.path or str(item.id))
        name = said.get("file_name") or f"{filenames.safe_path(stem)}.png"
        row |= {"file_name": name, "segments_info": segments, **said}
        return Encoded(item.subset, image, row, order, name, data)

    def _image(self, item: Item, rest: list[Annotation]) -> dict[str, Any]:
        extras = {key: value for key, value in item.extras.get("coco", {}).items() if key != "panoptic"}
        row: dict[str, Any] = {"id": item.id, "file_name": item.path}
        if item.path is None:
            del row["file_name"]
        row |= {key: size for key in ("width", "height") if (size := getattr(item, key)) is not None}
        row.update(extras)
        kept = carried_item(item, rest, named=True)
        kept.pop("path", None)
        if kept:
            row[RESERVED] = sealed(kept)
        return row

    def _draw(
        self, drawn: list[tuple[Annotation, int, Any]], item: Item, report: Report
    ) -> tuple[list[dict[str, Any]], bytes]:
        """Segments, and the PNG. Crowds lie below all else; of two others the later one is on top."""
        import numpy as np

        from nucleus_convert.converters import indexmap, masks, png

        height, width = _size(drawn, item)
        ids = np.zeros(height * width, np.uint32)
        for annotation, number, runs in sorted(drawn, key=lambda one: not one[0].crowd):
            masks.check_runs(runs, height, width, where=_where(annotation, item))
            starts, ends = masks.spans(runs)
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
                ids[start:end] = number
        picture = ids.reshape(width, height).T
        shown = indexmap.split(picture)
        nothing = masks.as_runs([height * width])
        segments: list[tuple[int, dict[str, Any]]] = []
        covered = 0
        for place, (annotation, number, runs) in enumerate(drawn):
            visible = shown.get(number, nothing)
            lost = masks.area(runs) - masks.area(visible)
            if lost:
                covered += lost
                report.add(
                    Code.MASK_OVERLAP,
                    "later masks on top",
                    format="coco",
                    where=_where(annotation, item),
                    measure=("pixels covered", lost),
                )
            own = annotation.extras.get("coco", {}).get(KEY, {})
            segment = self._segment(annotation, number, visible, height, lost, item, report)
            if not own.get("undeclared"):
                segments.append((own.get("n", _LAST + place), segment))
        if covered:
            report.add(Code.MASK_OVERLAP, PIXELS_COVERED, format="coco", count=covered)
        return [segment for _, segment in sorted(segments, key=lambda one: one[0])], png.encode_ids(picture)

    def _segment(
        self,
        annotation: Annotation,
        number: int,
        visible: Any,
        height: int,
        lost: int,
        item: Item,
        report: Report,
    ) -> dict[str, Any]:
        from nucleus_convert.converters import masks

        own = annotation.extras.get("coco", {}).get(KEY)
        segment: dict[str, Any] = {"id": number, "category_id": self._category(annotation, item)}
        segment |= {"area": masks.area(visible), "bbox": list(masks.box(visible, height))}
        if annotation.crowd is not None or own is None:
            segment["iscrowd"] = int(bool(annotation.crowd))
        mask = annotation.shape(Mask)
        if own is not None:
            for key in own.get("without", ()):
                segment.pop(key, None)
            segment |= {key: value for key, value in own.items() if key not in _KEPT}
        kept = self._kept(annotation, own, mask, lost, number)
        if kept is not None:
            segment[RESERVED] = sealed(kept)
        originals = annotation.shapes[: len(annotation.shapes) - len(annotation.derived)]
        fates = [("object", "written")]
        for shape in originals:
            fates.append((KINDS[type(shape)], "written" if shape is mask else "carried"))
            if isinstance(shape, Polygon) and mask is None:
                text = "polygon as its pixels"
                report.add(Code.APPROXIMATED, text, format="coco", where=_where(annotation, item))
        report.ledger.fate(tuple(fates))  # type: ignore[arg-type]
        return segment

    def _kept(
        self, annotation: Annotation, own: Any, mask: Mask | None, lost: int, number: int
    ) -> dict[str, Any] | None:
        """What a segment has no key for; None if it says all there is to say."""
        plain = msgspec.structs.replace(
            annotation, extras={}, label=None, crowd=None, shapes=(), id=None, predicted=False
        )
        if (
            own is not None
            and not lost
            and annotation.shapes == (mask,)
            and set(annotation.extras) == {"coco"}
            and set(annotation.extras["coco"]) == {KEY}
            and annotation.id == number
            and annotation.predicted == self.results
            and not msgspec.to_builtins(plain)
        ):
            return None
        if lost or mask is None:
            return {"annotation": msgspec.to_builtins(annotation)}
        shapes = tuple(shape for shape in annotation.shapes if shape is not mask)
        derived = tuple(kind for kind in annotation.derived if kind != "mask")
        rest = msgspec.structs.replace(annotation, shapes=shapes, derived=derived)
        return {"annotation": msgspec.to_builtins(rest),
                "masked": True}  # fmt: skip

    def _category(self, annotation: Annotation, item: Item) -> Any:
        number = self.numbers.get(annotation.label if annotation.label is not None else UNLABELLED)
        if number is None:
            text = f"label '{annotation.label}' is not among the header's labels"
            raise UnrepresentableError(text, _where(annotation, item), "add it to the header's labels")
        return number


def _where(annotation: Annotation, item: Item) -> Where:
    name = None if annotation.id is None else str(annotation.id)
    return Where(item=str(item.path or item.id), annotation=name)


def _size(drawn: list[tuple[Annotation, int, Any]], item: Item) -> tuple[int, int]:
    if item.height and item.width:
        return item.height, item.width
    for annotation, _, _ in drawn:
        mask: Mask | None = annotation.shape(Mask)
        if mask is not None:
            return mask.height, mask.width
    raise UnrepresentableError("a panoptic PNG needs the image's size", Where(item=str(item.path or item.id)))


def _runs(annotation: Annotation, item: Item) -> Any:
    """The pixels of an object, or None if it has no region that can be drawn."""
    from nucleus_convert.converters import masks, raster

    mask: Mask | None = annotation.shape(Mask)
    if mask is not None:
        size = (item.height or mask.height, item.width or mask.width)
        if (mask.height, mask.width) != size:
            return None
        return masks.canonical(masks.read_counts(mask.counts, *size, where=_where(annotation, item)))
    polygon: Polygon | None = annotation.shape(Polygon)
    if polygon is None or not item.height or not item.width:
        return None
    counts = raster.from_parts(polygon.parts, item.height, item.width, where=_where(annotation, item))
    return masks.decode_counts(counts)


# --- files ---------------------------------------------------------------------------------------------


class _File:
    def __init__(self, folder: Path) -> None:
        from nucleus_convert.converters.coco.write import Spool

        self.images, self.rows = Spool(), Spool()
        self.folder = folder
        self.names = filenames.Names()
        self.written: list[Path] = []

    def add(self, encoded: Encoded) -> None:
        """Take an item's rows, and write its picture."""
        self.images.add(wire.ENCODE(encoded.item), _LAST, -1)
        if encoded.row is None or encoded.png is None:
            return
        wanted = (
            encoded.name if filenames.inside(self.folder, encoded.name) else filenames.safe_path(encoded.name)
        )
        name = encoded.row["file_name"] = self.names.free(wanted)
        self.rows.add(wire.ENCODE(encoded.row), encoded.order, -1)
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded.png)
        self.written.append(path)


def write(labels: LabelSet, target: Target, *, options: WriteOptions, report: Report) -> list[Path]:
    """Write a panoptic file and its folder of PNGs, one pair for each subset.

    Raises:
        UnrepresentableError: several subsets for one file; a label that the header does not have.
    """
    header = labels.header
    entries: dict[str | None, list[dict[str, Any]]] = {}
    for entry in header.extras.get("coco", {}).get("files", ()):
        entries.setdefault(entry.get("subset"), []).append(entry)
    single = names_file(target.final)
    numbers = category_ids(header.labels)
    numbers.setdefault(UNLABELLED, max((n for n in numbers.values() if type(n) is int), default=0) + 1)
    results = any(entry.get("results") for mine in entries.values() for entry in mine)
    files: dict[str | None, _File] = {}
    paths: dict[str | None, Path] = {}

    def opened(subset: str | None) -> _File:
        if subset not in files:
            if single and files:
                text = f"several subsets ({subset!r} and {next(iter(files))!r}), and one file holds one"
                raise UnrepresentableError(text, Where(file=str(target.final)), "give a folder as the target")
            name = f"panoptic_{subset}.json" if subset else "panoptic.json"
            path = (
                target.path
                if single
                else target.path / "annotations" / _own_name(entries.get(subset, []), name)
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            paths[subset] = path
            files[subset] = _File(path.with_suffix(""))
        return files[subset]

    encode = Encoder(numbers, results)
    for chunk in encode_chunks(labels, encode, report, workers=target.workers, progress=target.progress):
        for encoded in chunk:
            opened(encoded.subset).add(encoded)
    if not files:
        opened(None)
    written: list[Path] = []
    for subset, file in files.items():
        _put(paths[subset], file, entries.get(subset, []), header, numbers, options, report)
        written += [paths[subset], *file.written]
    return written


def _own_name(entries: list[dict[str, Any]], otherwise: str) -> str:
    """What the source's file was called, if it was one of this kind."""
    for entry in entries:
        name = str(entry.get("name"))
        if entry.get("kind") == "panoptic" and filenames.safe_path(name) == name:
            return name
    return otherwise


def _put(
    path: Path,
    file: _File,
    entries: list[dict[str, Any]],
    header: Header,
    numbers: dict[str, Any],
    options: WriteOptions,
    report: Report,
) -> None:
    """Write one JSON file, its keys in the source's order."""
    line = b"\n" if options.indent else b""
    entry = next((entry for entry in entries if "keys" in entry), None)
    keys = list(entry["keys"]) if entry else ["images", "annotations", "categories"]
    fields = dict(entry["fields"]) if entry else {}
    kept = carried_header(header)
    complete = [one.get("kind") for one in entries] != ["panoptic"]
    if entries and complete:
        kept["files"] = entries
    if kept:
        fields[RESERVED] = sealed(kept)
        keys.append(RESERVED)
    keys += [key for key in ("images", "annotations", "categories") if key not in keys and complete]
    with path.open("wb") as out:
        out.write(b"{")
        for i, key in enumerate(keys):
            out.write((b"," if i else b"") + line + wire.ENCODE(key) + b":")
            if key in ("images", "annotations"):
                rows = (file.images if key == "images" else file.rows).rows()
                out.write(b"[" + line)
                for k, row in enumerate(rows):
                    out.write((b"," + line if k else b"") + row)
                out.write(line + b"]")
            elif key == "categories":
                out.write(wire.ENCODE(_categories(header, numbers, complete, report)))
            else:
                out.write(wire.ENCODE(fields[key]))
        out.write(line + b"}" + line)
    for spool in (file.images, file.rows):
        spool.close()


def _categories(
    header: Header, numbers: dict[str, Any], complete: bool, report: Report
) -> list[dict[str, Any]]:
    """Category rows; panoptic tools need to be told things from stuff, and a colour."""
    palette = voc_palette()
    rows = []
    for i, label in enumerate(header.labels, 1):
        row = category_row(label, numbers[label.name])
        if complete and "isthing" not in row:
            row["isthing"] = 1
            row.setdefault("color", list(palette[3 * (i % 256) : 3 * (i % 256) + 3]))
            report.add(Code.COMPLETED, "isthing of a category (1)", format="coco")
        rows.append(row)
    return rows
