"""Records to COCO files: rows are spooled as they come, then put together in the source's order.

Each image's rows are made in a chunk (in this process or another); here they get their image's number, go to a
temporary file, and only their lengths and order are held. Annotations of a COCO source stood in an order of their
own; it travels as ``row`` and is given back.
"""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np

from nucleus_convert.converters.coco.labels import category_ids, category_row
from nucleus_convert.converters.coco.options import WriteOptions
from nucleus_convert.converters.coco.reserved import RESERVED, UNLABELLED, VERSION, carried_header, carried_item
from nucleus_convert.converters.coco.rowdump import RowDumper
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import UnrepresentableError, Where
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.model import KINDS, Annotation, Header, Item, Label, Record
from nucleus_convert.converters.parallel import encode_chunks
from nucleus_convert.converters.protocol import Target
from nucleus_convert.converters.report import Fate, Report
from nucleus_convert.formats import coco as wire

_LAST = 2**60
"""Order of rows that have no place from their source: after those that have."""


class Encoded(msgspec.Struct):
    """One item's rows: without image ids, and rows of the data set without ids where these are yet to be given."""

    subset: str | None
    item: dict[str, Any]
    verbatim: bool
    rows: list[bytes]
    orders: list[int]
    ids: list[int | None]
    results: list[bytes]
    result_orders: list[int]


class Encoder:
    """Makes the rows of a stretch of records. Picklable."""

    def __init__(self, header: Header, *, inline: bool) -> None:
        self.header = header
        self.inline = inline
        labels = {label.name: label for label in header.labels}
        self.ours = "coco" in header.extras
        self.subsets = {entry.get("subset") for entry in header.extras.get("coco", {}).get("files", ())}
        self.dumper = RowDumper(labels, numbered(header.labels), keep_ids=self.ours)

    def __call__(self, records: Iterator[Record], report: Report) -> list[Encoded]:
        return [self._record(record, report) for record in records]

    def _record(self, record: Record, report: Report) -> Encoded:
        item = record.item
        dump, native = self.dumper.dump, self.dumper.native
        rows: list[bytes] = []
        orders: list[int] = []
        ids: list[int | None] = []
        results: list[bytes] = []
        result_orders: list[int] = []
        with_item: list[Annotation] = []
        for annotation in record.annotations:
            if not native(annotation) and not self._shapeless(annotation):
                with_item.append(annotation)
                fate: Fate = (("object", "carried"), *((KINDS[type(s)], "carried") for s in annotation.shapes))
                report.ledger.fate(fate)
                continue
            result = annotation.is_prediction and not self.inline
            row, fate = dump(annotation, item, report, result=result)
            report.ledger.fate(fate)
            order = annotation.extras.get("coco", {}).get("row")
            order = order if type(order) is int else _LAST
            if result:
                results.append(wire.ENCODE(row))
                result_orders.append(order)
            else:
                rows.append(wire.ENCODE(row))
                orders.append(order)
                identity = row.get("id")
                ids.append(identity if type(identity) is int else None if identity is None else -1)
        report.ledger.item("written")
        image, verbatim = self._image(item, with_item, report)
        return Encoded(item.subset, image, verbatim, rows, orders, ids, results, result_orders)

    def _shapeless(self, annotation: Annotation) -> bool:
        """A COCO source's own row without a shape goes back as the row it was."""
        return not annotation.shapes and "coco" in annotation.extras

    def _image(self, item: Item, with_item: list[Annotation], report: Report) -> tuple[dict[str, Any], bool]:
        extras: Mapping[str, Any] = item.extras.get("coco", {})
        verbatim = self.ours or type(item.id) is int
        row: dict[str, Any] = {"id": item.id}
        if not extras.get("path_from_url"):
            row["file_name"] = item.path if item.path is not None else str(item.id)
        for name in ("width", "height"):
            size = getattr(item, name)
            if size is not None:
                row[name] = size
        row.update((key, value) for key, value in extras.items() if key != "path_from_url")
        if not verbatim:
            report.add(Code.RENUMBERED, "image id", format="coco", where=Where(item=str(item.path or item.id)))
        # Results read alone have items without a path, and no image rows to complete.
        kept = carried_item(item, with_item, named=verbatim, subset=True)
        if kept.get("path", "") is None and self.ours and not extras:
            del kept["path"]
        if kept:
            row[RESERVED] = {"v": VERSION, **kept}
        return row, verbatim


def numbered(labels: tuple[Label, ...]) -> dict[str, int | str]:
    """Category ids, with one for objects that have no label."""
    ids = category_ids(labels)
    numbers = [number for number in ids.values() if type(number) is int]
    ids.setdefault(UNLABELLED, max(numbers, default=0) + 1)
    return ids


class Spool:
    """Rows on disk, with their lengths and order in memory."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(buffering=1 << 20)  # noqa: SIM115 - closed by close()
        self._lengths: Any = array("i")
        self._orders: Any = array("q")
        self._sorted = True
        self._unnamed: dict[int, None] = {}
        self.largest = 0

    def __len__(self) -> int:
        return len(self._lengths)

    def add(self, row: bytes, order: int, identity: int | None) -> None:
        """Add a row; ``identity`` None means that it has yet to get an id."""
        if identity is None:
            self._unnamed[len(self)] = None
        elif identity > self.largest:
            self.largest = identity
        if self._orders and order < self._orders[-1]:
            self._sorted = False
        self._file.write(row)
        self._lengths.append(len(row))
        self._orders.append(order)

    def rows(self) -> Iterator[bytes]:
        """The rows in order; rows without an id get the numbers after the largest."""
        number = self.largest
        for position, row in self._ordered():
            if position in self._unnamed:
                number += 1
                yield b'{"id":%d,%b' % (number, row[1:])
            else:
                yield row

    def _ordered(self) -> Iterator[tuple[int, bytes]]:
        self._file.flush()
        self._file.seek(0)
        read = self._file.read
        if self._sorted:
            for position, length in enumerate(self._lengths):
                yield position, read(length)
            return
        lengths = np.frombuffer(self._lengths, dtype=np.int32)
        offsets = np.cumsum(lengths, dtype=np.int64) - lengths
        for position in np.argsort(np.frombuffer(self._orders, dtype=np.int64), kind="stable").tolist():
            self._file.seek(offsets[position])
            yield position, read(lengths[position])

    def close(self) -> None:
        """Give the disk space back."""
        self._file.close()


class _File:
    """What goes into the file, or the pair of files, of one subset."""

    def __init__(self) -> None:
        self.images = Spool()
        self.rows = Spool()
        self.results = Spool()
        self.used: set[int | str] = set()
        self.next = 1

    def number(self, encoded: Encoded, report: Report) -> int | str:
        """The image's id: its own, or the next free number."""
        identity: int | str = encoded.item["id"]
        if encoded.verbatim and identity not in self.used:
            self.used.add(identity)
            return identity
        if encoded.verbatim:
            report.add(
                Code.RENUMBERED, "image id that stood twice", format="coco",
                where=Where(item=str(encoded.item.get("file_name", identity))),
            )  # fmt: skip
            encoded.item.setdefault(RESERVED, {"v": VERSION})["id"] = identity
        while self.next in self.used:
            self.next += 1
        self.used.add(self.next)
        return self.next


def write(labels: LabelSet, target: Target, *, options: WriteOptions, report: Report) -> list[Path]:
    """Write a COCO data set, and a results file where there are predictions apart from it.

    Args:
        labels: records that fit ``SPEC``.
        target: a ``.json`` file, or a folder: then ``annotations/`` in it gets a file for each subset.
        options: see :class:`WriteOptions`.
        report: fates and findings.

    Raises:
        UnrepresentableError: several subsets for one file; a label that the header does not have.
    """
    header = labels.header
    entries = list(header.extras.get("coco", {}).get("files", ()))
    inline = options.results == "inline" or (
        options.results == "auto" and any(entry.get("kind") == "dataset" for entry in entries)
    )
    files: dict[str | None, _File] = {}
    single = target.final.suffix.lower() == ".json"
    unlabelled = False
    try:
        for chunk in encode_chunks(
            labels, Encoder(header, inline=inline), report, workers=target.workers, progress=target.progress
        ):
            for encoded in chunk:
                if encoded.subset not in files:
                    if single and files:
                        raise UnrepresentableError(
                            f"the data set has several subsets ({encoded.subset!r} and {next(iter(files))!r}),"
                            " one COCO file holds one",
                            Where(file=str(target.final)),
                            "give a folder as the target: each subset gets a file in its annotations/",
                        )
                    files[encoded.subset] = _File()
                _spool(encoded, files[encoded.subset], report)
        unlabelled = report.count(Code.COMPLETED, f"category '{UNLABELLED}'") > 0
        if not files:
            subsets: list[str | None] = [entry.get("subset") for entry in entries] or [None]
            files = {subset: _File() for subset in dict.fromkeys(subsets)}
        written: list[Path] = []
        for subset, file in files.items():
            written += _put_together(subset, file, entries, header, target, single, unlabelled, options)
        return written
    finally:
        for file in files.values():
            for spool in (file.images, file.rows, file.results):
                spool.close()


def _spool(encoded: Encoded, file: _File, report: Report) -> None:
    number = file.number(encoded, report)
    encoded.item["id"] = number
    file.images.add(wire.ENCODE(encoded.item), _LAST, -1)
    head = b'{"image_id":%b,' % wire.ENCODE(number)
    for row, order, identity in zip(encoded.rows, encoded.orders, encoded.ids, strict=True):
        file.rows.add(head + row[1:], order, identity)
    for row, order in zip(encoded.results, encoded.result_orders, strict=True):
        file.results.add(head + row[1:], order, -1)


def _put_together(
    subset: str | None,
    file: _File,
    entries: list[dict[str, Any]],
    header: Header,
    target: Target,
    single: bool,
    unlabelled: bool,
    options: WriteOptions,
) -> list[Path]:
    """Write the data set file and the results file of a subset, each if there is anything to say in it."""
    mine = [entry for entry in entries if entry.get("subset") == subset]
    datasets = [entry for entry in mine if entry.get("kind") == "dataset"]
    results = [entry for entry in mine if entry.get("kind") == "results"]
    only_results = bool(results) and not datasets and not len(file.rows)
    folder = target.path.parent if single else target.path / "annotations"
    folder.mkdir(parents=True, exist_ok=True)
    suffix = f"_{subset}" if subset else ""
    written: list[Path] = []
    if not only_results:
        name = target.path.name if single else datasets[0]["name"] if datasets else f"instances{suffix}.json"
        written.append(folder / name)
        _write_dataset(folder / name, file, datasets, header, unlabelled, options)
    if only_results or len(file.results):
        if single:
            name = target.path.name if only_results else f"{target.path.stem}_results.json"
        else:
            name = results[0]["name"] if results else f"results{suffix}.json"
        written.append(folder / name)
        with (folder / name).open("wb") as out:
            _write_rows(out, file.results, options)
            out.write(b"\n" if options.indent else b"")
    return written


def _write_dataset(
    path: Path,
    file: _File,
    entries: list[dict[str, Any]],
    header: Header,
    unlabelled: bool,
    options: WriteOptions,
) -> None:
    """One data set file, its keys in the source's order; what several sources said is joined, the first one first."""
    keys: dict[str, None] = {}
    fields: dict[str, Any] = {}
    for entry in entries:
        keys.update(dict.fromkeys(entry.get("keys", ())))
        for key, value in entry.get("fields", {}).items():
            fields.setdefault(key, value)
    kept = carried_header(header)
    if kept:
        fields[RESERVED] = {"v": VERSION, **kept}
    had = set(keys)
    keys.update(dict.fromkeys(("images", "annotations", "categories") if not entries else ("images",)))
    if len(file.rows):
        keys["annotations"] = None
    if header.labels or unlabelled:
        keys["categories"] = None
    keys.update(dict.fromkeys(fields))
    ids = numbered(header.labels)
    categories = [category_row(label, ids[label.name]) for label in header.labels]
    if entries and "categories" not in had and all(not label.extras for label in header.labels) and not len(file.rows):
        keys.pop("categories", None)
    if unlabelled:
        categories.append({"id": ids[UNLABELLED], "name": UNLABELLED, RESERVED: {"v": VERSION, "id": None}})
    line = b"\n" if options.indent else b""
    with path.open("wb") as out:
        out.write(b"{")
        for i, key in enumerate(keys):
            out.write((b"," if i else b"") + line + wire.ENCODE(key) + b":")
            if key == "images":
                _write_rows(out, file.images, options)
            elif key == "annotations":
                _write_rows(out, file.rows, options)
            elif key == "categories":
                out.write(b"[" + line + (b"," + line).join(map(wire.ENCODE, categories)) + line + b"]")
            else:
                out.write(wire.ENCODE(fields[key]))
        out.write(line + b"}" + line)


def _write_rows(out: IO[bytes], spool: Spool, options: WriteOptions) -> None:
    line = b"\n" if options.indent else b""
    out.write(b"[")
    for i, row in enumerate(spool.rows()):
        out.write((b"," + line + row) if i else (line + row))
    out.write(line + b"]")
