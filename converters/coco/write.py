"""Records to COCO files: rows are spooled as they come, then put together in the source's order.

Each image's rows are made in a chunk (in this process or another); here they get their image's number, go to
a temporary file, and only their lengths and order are held. Annotations of a COCO source stood in an order of
their own; it travels as ``row`` and is given back.
"""

from __future__ import annotations

import re
import tempfile
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np

from nucleus_convert.converters.coco.labels import category_ids, category_row
from nucleus_convert.converters.coco.options import WriteOptions
from nucleus_convert.converters.coco.reserved import (
    RESERVED,
    UNLABELLED,
    carried_header,
    carried_item,
    sealed,
)
from nucleus_convert.converters.coco.rowdump import RowDumper
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import UnrepresentableError, Where
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.layout import names_file
from nucleus_convert.converters.model import KINDS, Annotation, Header, Item, Label, Record
from nucleus_convert.converters.parallel import encode_chunks
from nucleus_convert.converters.protocol import Target
from nucleus_convert.converters.report import Fate, Report
from nucleus_convert.formats import coco as wire
from nucleus_convert.formats.rows import pread

_LAST = 2**60
"""Order of rows that have no place from their source: after those that have."""


class Encoded(msgspec.Struct):
    """One item's rows: without image ids, and without ids of their own where these are yet to be given.

    ``verbatim``: the item's id goes into the file. ``bare``: there is nothing to say of the image but its id.
    """

    subset: str | None
    item: dict[str, Any]
    verbatim: bool
    bare: bool
    rows: list[bytes]
    orders: list[int]
    ids: list[int | str | None]
    results: list[bytes]
    result_orders: list[int]


class Encoder:
    """Makes the rows of a stretch of records. Picklable."""

    def __init__(self, header: Header, *, inline: bool) -> None:
        self.header = header
        self.inline = inline
        self.ours = "coco" in header.extras
        labels = {label.name: label for label in header.labels}
        self.dumper = RowDumper(labels, numbered(header.labels), keep_ids=self.ours)

    def __call__(self, records: Iterator[Record], report: Report) -> list[Encoded]:
        """The rows of each record."""
        return [self._record(record, report) for record in records]

    def _record(self, record: Record, report: Report) -> Encoded:
        item = record.item
        dump, native = self.dumper.dump, self.dumper.native
        rows: list[bytes] = []
        orders: list[int] = []
        ids: list[int | str | None] = []
        results: list[bytes] = []
        result_orders: list[int] = []
        with_item: list[Annotation] = []
        places: list[int] = []
        for place, annotation in enumerate(record.annotations):
            if not native(annotation):
                with_item.append(annotation)
                places.append(place)
                fate: Fate = (
                    ("object", "carried"),
                    *((KINDS[type(s)], "carried") for s in annotation.shapes),
                )
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
                ids.append(row.get("id"))
        report.ledger.item("written")
        if places and places[0] == len(record.annotations) - len(places):
            places = []  # at the end, where they are put anyway
        image, verbatim, bare = self._image(item, with_item, places, report)
        return Encoded(item.subset, image, verbatim, bare, rows, orders, ids, results, result_orders)

    def _image(
        self, item: Item, with_item: list[Annotation], places: list[int], report: Report
    ) -> tuple[dict[str, Any], bool, bool]:
        extras: Mapping[str, Any] = item.extras.get("coco", {})
        number = extras.get("id", item.id)
        verbatim = "id" in extras or self.ours or type(item.id) is int
        row: dict[str, Any] = {"id": number}
        if not extras.get("path_from_url") and (item.path is not None or "file_name" not in extras):
            row["file_name"] = item.path if item.path is not None else str(item.id)
        for name in ("width", "height"):
            size = getattr(item, name)
            given = extras.get(name)
            if size is not None:
                # A source's own number stays where it means this size: 640.0000001 for 640.
                row[name] = given if isinstance(given, int | float) and round(given) == size else size
        row.update((key, value) for key, value in extras.items() if key not in row and key != "path_from_url")
        if not verbatim:
            report.add(
                Code.RENUMBERED, "image id", format="coco", where=Where(item=str(item.path or item.id))
            )
        kept = carried_item(item, with_item, places, named=verbatim and number == item.id)
        if "file_name" in extras:
            kept.pop("path", None)
        bare = verbatim and kept == {"path": None} and row.keys() == {"id", "file_name"}
        if kept:
            row[RESERVED] = sealed(kept)
        return row, verbatim, bare


def numbered(labels: tuple[Label, ...]) -> dict[str, int | str]:
    """Category ids, with one for objects that have no label."""
    ids = category_ids(labels)
    numbers = [number for number in map(wire.canonical_id, ids.values()) if type(number) is int]
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
        descriptor = self._file.fileno()
        for position in np.argsort(np.frombuffer(self._orders, dtype=np.int64), kind="stable").tolist():
            yield position, pread(descriptor, int(lengths[position]), int(offsets[position]))

    def close(self) -> None:
        """Give the disk space back."""
        self._file.close()


class _File:
    """What goes into the file, or the pair of files, of one subset."""

    def __init__(self) -> None:
        self.images = Spool()
        self.rows = Spool()
        self.results = Spool()
        self.bare = True
        self.used: set[int | str | None] = set()
        self.next = 1

    def add(self, encoded: Encoded, report: Report) -> None:
        """Take an item's rows."""
        number = self._number(encoded, report)
        encoded.item["id"] = number
        self.bare = self.bare and encoded.bare
        self.images.add(wire.ENCODE(encoded.item), _LAST, -1)
        image = b'"image_id":%b' % wire.ENCODE(number)
        for row, order, identity in zip(encoded.rows, encoded.orders, encoded.ids, strict=True):
            # The id comes first; where it has yet to be given, the spool puts it there.
            head = b"{" if identity is None else b'{"id":%b,' % wire.ENCODE(identity)
            rest = row[1:] if identity is None else b"}" if len(row) == len(head) else row[len(head) :]
            known = None if identity is None else identity if type(identity) is int else -1
            self.rows.add(_joined(head + image, rest), order, known)
        for row, order in zip(encoded.results, encoded.result_orders, strict=True):
            self.results.add(_joined(b"{" + image, row[1:]), order, -1)

    def _number(self, encoded: Encoded, report: Report) -> int | str:
        """The image's id: its own, or the next free number."""
        identity: int | str = encoded.item["id"]
        if encoded.verbatim and wire.canonical_id(identity) not in self.used:
            self.used.add(wire.canonical_id(identity))
            return identity
        if encoded.verbatim:
            report.add(
                Code.RENUMBERED, "image id that stood twice", format="coco",
                where=Where(item=str(encoded.item.get("file_name", identity))),
            )  # fmt: skip
            encoded.item[RESERVED] = {**sealed({"id": identity}), **encoded.item.get(RESERVED, {})}
        while self.next in self.used:
            self.next += 1
        self.used.add(self.next)
        return self.next

    def close(self) -> None:
        """Give the disk space back."""
        for spool in (self.images, self.rows, self.results):
            spool.close()


def _joined(head: bytes, rest: bytes) -> bytes:
    return head + b"," + rest if len(rest) > 1 else head + rest


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
    writer = _Writer(labels.header, target, options, report)
    try:
        return writer.write(labels)
    finally:
        for file in writer.files.values():
            file.close()


class _Writer:
    def __init__(self, header: Header, target: Target, options: WriteOptions, report: Report) -> None:
        self.header = header
        self.target = target
        self.options = options
        self.report = report
        self.single = names_file(target.final)
        self.entries = list(header.extras.get("coco", {}).get("files", ()))
        self.ids = numbered(header.labels)
        self.files: dict[str | None, _File] = {}
        self.names: set[str] = set()
        self.unlabelled = False

    def write(self, labels: LabelSet) -> list[Path]:
        """Spool all rows, then put the files together."""
        kinds = {entry.get("kind") for entry in self.entries}
        asked = self.options.results
        inline = asked == "inline" or (asked == "auto" and kinds == {"dataset"})
        encoder = Encoder(self.header, inline=inline)
        target, report = self.target, self.report
        for chunk in encode_chunks(labels, encoder, report, workers=target.workers, progress=target.progress):
            for encoded in chunk:
                self._file(encoded.subset).add(encoded, report)
        self.unlabelled = report.count(Code.COMPLETED, f"category '{UNLABELLED}'") > 0
        for label in self.header.labels:
            if label.id is not None and self.ids[label.name] != label.id:
                where = Where(path=f"label '{label.name}'")
                report.add(Code.RENUMBERED, "category id that stood twice", format="coco", where=where)
        if not self.files:
            for subset in [entry.get("subset") for entry in self.entries][: 1 if self.single else None] or [
                None
            ]:
                self._file(subset)
        return [path for subset in self.files for path in self._put_together(subset)]

    def _file(self, subset: str | None) -> _File:
        file = self.files.get(subset)
        if file is None:
            if self.single and self.files:
                raise UnrepresentableError(
                    f"the data set has several subsets ({subset!r} and {next(iter(self.files))!r}),"
                    " one COCO file holds one",
                    Where(file=str(self.target.final)),
                    "give a folder as the target: each subset gets a file in its annotations/",
                )
            file = self.files[subset] = _File()
        return file

    # ------------------------------------------------------------------ files of a subset

    def _put_together(self, subset: str | None) -> list[Path]:
        """Write the data set file and the results file of a subset, each if there is anything to say."""
        file = self.files[subset]
        mine = [entry for entry in self.entries if entry.get("subset") == subset]
        datasets = [entry for entry in mine if entry.get("kind") in ("dataset", "panoptic")]
        plain = [entry for entry in datasets if entry["kind"] == "dataset"]
        results = [entry for entry in mine if entry.get("kind") == "results"]
        folder = self.target.path.parent if self.single else self.target.path / "annotations"
        folder.mkdir(parents=True, exist_ok=True)
        if results and not datasets and file.bare and not len(file.rows) and self._labels_are_bare():
            path = folder / (self.target.path.name if self.single else self._name(results, "results", subset))
            self._write_results(path, file)
            return [path]
        path = folder / (self.target.path.name if self.single else self._name(plain, "instances", subset))
        kept = carried_header(self.header)
        if subset != self._subset_of(path):
            kept["subset"] = subset
        written = [path]
        if plain != datasets:  # this file stands for one of another kind
            kept["files"] = datasets
        elif len(datasets) > 1:
            kept["files"] = datasets
            self.report.add(
                Code.ASSUMED, f"{len(datasets)} files of a split are joined in {path.name}", format="coco",
                where=Where(file=path.name),
            )  # fmt: skip
        if len(file.results):
            if self.single:
                beside = path.with_name(f"{path.stem}_results.json")
            else:
                beside = folder / self._name(results, "results", subset)
            kept["results"] = beside.name
            written.append(beside)
            self._write_results(beside, file)
        self._write_dataset(path, file, datasets, kept)
        return written

    def _labels_are_bare(self) -> bool:
        """Whether all that is known of labels is their numbers: then results need no data set beside them."""
        return not self.unlabelled and all(
            label == Label(name=str(label.id), id=label.id) for label in self.header.labels
        )

    def _name(self, entries: list[dict[str, Any]], task: str, subset: str | None) -> str:
        """A name for a file in the folder: the source's if it can be one, or made of the subset's."""
        wanted = entries[0].get("name") if entries else None
        alike = sum(entry.get("name") == wanted for entry in self.entries)
        if alike > 1 or not isinstance(wanted, str) or not re.fullmatch(r"[\w-][\w .-]*\.json", wanted):
            told = re.sub(r"[^\w.-]", "-", subset)[:80] if subset else ""
            wanted = f"{task}_{told}.json" if told else f"{task}.json"
        name, count = wanted, 1
        while name.casefold() in self.names or name == "report.json" or name.endswith(".report.json"):
            count += 1
            name = f"{wanted.removesuffix('.json')}-{count}.json"
        self.names.add(name.casefold())
        return name

    def _subset_of(self, path: Path) -> str | None:
        """The subset that reading will take from the file's name."""
        if self.single:
            return None
        task, split = wire.split_name(path.stem)
        return split if task else None if len(self.files) == 1 else path.stem

    # ------------------------------------------------------------------ one file

    def _write_dataset(
        self, path: Path, file: _File, entries: list[dict[str, Any]], kept: dict[str, Any]
    ) -> None:
        """Its keys in the source's order; what several sources said is joined, the first one first."""
        keys: dict[str, None] = {}
        fields: dict[str, Any] = {}
        for entry in entries:
            keys.update(dict.fromkeys(entry.get("keys", ())))
            for key, value in entry.get("fields", {}).items():
                fields.setdefault(key, value)
        categories = [category_row(label, self.ids[label.name]) for label in self.header.labels]
        if self.unlabelled and all(label.name != UNLABELLED for label in self.header.labels):
            row = {"id": self.ids[UNLABELLED], "name": UNLABELLED, RESERVED: sealed({"id": None})}
            categories.append(row)
        if not entries:
            keys.update(dict.fromkeys(("images", "annotations", "categories")))
        keys["images"] = None
        if len(file.rows):
            keys["annotations"] = None
        if categories:
            keys["categories"] = None
        if kept:
            fields[RESERVED] = sealed(kept)
        keys.update(dict.fromkeys(fields))
        line = b"\n" if self.options.indent else b""
        with path.open("wb") as out:
            out.write(b"{")
            for i, key in enumerate(keys):
                out.write((b"," if i else b"") + line + wire.ENCODE(key) + b":")
                if key == "images":
                    self._write_rows(out, file.images.rows())
                elif key == "annotations":
                    self._write_rows(out, file.rows.rows())
                elif key == "categories":
                    self._write_rows(out, map(wire.ENCODE, categories))
                else:
                    out.write(wire.ENCODE(fields[key]))
            out.write(line + b"}" + line)

    def _write_results(self, path: Path, file: _File) -> None:
        with path.open("wb") as out:
            self._write_rows(out, file.results.rows())
            out.write(b"\n" if self.options.indent else b"")

    def _write_rows(self, out: IO[bytes], rows: Iterator[bytes]) -> None:
        line = b"\n" if self.options.indent else b""
        out.write(b"[")
        for i, row in enumerate(rows):
            out.write((b"," + line + row) if i else (line + row))
        out.write(line + b"]")
