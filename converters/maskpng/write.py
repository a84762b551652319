"""Masks to PNG files and the manifest that names them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from nucleus_convert.converters import filenames
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.compose import MOST, Layer, compose, report_losses
from nucleus_convert.converters.errors import UnrepresentableError, Where
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.maskpng.options import WriteOptions
from nucleus_convert.converters.model import KINDS, Annotation, Header, Item, Mask, Record
from nucleus_convert.converters.palette import voc_palette
from nucleus_convert.converters.parallel import encode_chunks
from nucleus_convert.converters.protocol import Target
from nucleus_convert.converters.report import Outcome, Report
from nucleus_convert.formats import maskpng as wire

NAME = "maskpng"
UNLABELLED = "unlabelled"


class Encoded(msgspec.Struct):
    """One item: its line, its manifest's lines, and its pictures by the name wanted for them.

    ``pictures[i]`` is a picture; ``of[k]`` is the picture that line k names, or None.
    """

    item: dict[str, Any]
    entries: list[wire.Entry]
    pictures: list[tuple[str, bytes]]
    of: list[int | None]


class Encoder(msgspec.Struct, frozen=True):
    """Draws the masks of a stretch of records. Picklable."""

    options: WriteOptions
    classes: dict[str, int] | None

    def __call__(self, records: Iterator[Record], report: Report) -> list[Encoded]:
        """Lines and pictures of each record."""
        return [self._record(record, report) for record in records]

    def _record(self, record: Record, report: Report) -> Encoded:
        item = record.item
        encoded = Encoded(msgspec.to_builtins(item), [], [], [])
        layers: list[Layer] = []
        layered: list[int] = []
        size = (item.height, item.width) if item.height and item.width else None
        stem = filenames.safe_path(filenames.without_suffix(item.path or str(item.id)))
        for ordinal, annotation in enumerate(record.annotations):
            where = _where(annotation, item)
            mask: Mask | None = annotation.shape(Mask)
            entry = _entry(annotation, item, mask)
            encoded.entries.append(entry)
            encoded.of.append(None)
            outcome: Outcome = "written"
            if mask is not None and self.options.layout == "mask":
                encoded.of[-1] = len(encoded.pictures)
                encoded.pictures.append((f"{stem}/{_name(annotation, ordinal)}.png", self._one(mask, where)))
            elif mask is not None:
                size = size or (mask.height, mask.width)
                if (mask.height, mask.width) == size:
                    layers.append(self._layer(annotation, mask, ordinal, where))
                    layered.append(ordinal)
                else:
                    outcome = "carried"
                    entry.mask, entry.size = mask.counts, (mask.height, mask.width)
                    report.add(Code.CARRIED, "mask that is not of its image's size", format=NAME, where=where)
            _fate(annotation, mask, outcome, report)
        if layers and size is not None:
            self._picture(layers, layered, size, encoded, record.annotations, report, f"{stem}.png")
        report.ledger.item("written")
        return encoded

    def _one(self, mask: Mask, where: Where) -> bytes:
        from nucleus_convert.converters import masks, png

        runs = masks.read_counts(mask.counts, mask.height, mask.width, where=where)
        pixels = masks.to_array(runs, mask.height, mask.width, where=where)
        if not self.options.ones:
            pixels = pixels * pixels.dtype.type(255)
        return png.encode(pixels)

    def _layer(self, annotation: Annotation, mask: Mask, ordinal: int, where: Where) -> Layer:
        from nucleus_convert.converters import masks

        label = annotation.label or UNLABELLED
        runs = masks.read_counts(mask.counts, mask.height, mask.width, where=where)
        key: int | str = ordinal if self.classes is None else label
        return Layer(key, label, runs, bool(annotation.crowd), where)

    def _picture(
        self,
        layers: list[Layer],
        layered: list[int],
        size: tuple[int, int],
        encoded: Encoded,
        annotations: tuple[Annotation, ...],
        report: Report,
        name: str,
    ) -> None:
        """Draw one picture of all masks; those it does not show whole and alone travel in the manifest."""
        from nucleus_convert.converters import png

        options = self.options
        composed = compose(
            layers, *size, overlap=options.overlap, overflow=options.overflow, fixed=self.classes
        )
        report_losses(composed, layers, options.overlap, report, format=NAME)
        data = png.encode(composed.pixels, palette=voc_palette() if options.palette else None)
        crc = zlib.crc32(data)
        shared = {index for index in composed.indices if composed.indices.count(index) > 1}
        for ordinal, index, lost in zip(layered, composed.indices, composed.lost, strict=True):
            entry = encoded.entries[ordinal]
            encoded.of[ordinal] = len(encoded.pictures)
            entry.index = index or None
            if lost or index in shared or not index:
                mask: Mask = annotations[ordinal].shape(Mask)
                entry.mask, entry.size, entry.crc = mask.counts, size, crc
        encoded.pictures.append((name, data))


def _where(annotation: Annotation, item: Item) -> Where:
    name = None if annotation.id is None else str(annotation.id)
    return Where(item=str(item.path or item.id), annotation=name)


def _name(annotation: Annotation, ordinal: int) -> str:
    """A file name for an object: its id, or its number in the image."""
    if annotation.id is None:
        return f"{ordinal + 1:04}"
    return filenames.safe_path(str(annotation.id)).replace("/", "_")


def _entry(annotation: Annotation, item: Item, mask: Mask | None) -> wire.Entry:
    originals = annotation.shapes[: len(annotation.shapes) - len(annotation.derived)]
    others = tuple(shape for shape in originals if shape is not mask)
    rest = msgspec.structs.replace(annotation, label=None, id=None, shapes=others, derived=())
    return wire.Entry(
        image=item.path, id=annotation.id, label=annotation.label, more=msgspec.to_builtins(rest)
    )


def _fate(annotation: Annotation, mask: Mask | None, outcome: Outcome, report: Report) -> None:
    """Count what became of an object. A mask that stands in for another shape was not read."""
    originals = annotation.shapes[: len(annotation.shapes) - len(annotation.derived)]
    fates: list[tuple[str, Outcome]] = [("object", outcome if mask is not None else "carried")]
    fates += [(KINDS[type(shape)], outcome if shape is mask else "carried") for shape in originals]
    report.ledger.fate(tuple(fates))


def write(labels: LabelSet, target: Target, *, options: WriteOptions, report: Report) -> list[Path]:
    """Write the pictures into ``masks/``, and the manifest, items and labels beside it.

    Raises:
        UnrepresentableError: a policy is to fail, or there are more classes than indices.
    """
    root = target.path
    classes = _classes(labels.header) if options.layout == "semantic" else None
    names = filenames.Names()
    written = [root / name for name in (wire.MANIFEST, wire.ITEMS, wire.LABELS)]
    with (root / wire.MANIFEST).open("wb") as manifest, (root / wire.ITEMS).open("wb") as items:
        chunks = encode_chunks(
            labels, Encoder(options, classes), report, workers=target.workers, progress=target.progress
        )
        number = 0
        for chunk in chunks:
            for encoded in chunk:
                files = [names.free(f"{wire.FOLDER}/{name}") for name, _ in encoded.pictures]
                for file, (_, data) in zip(files, encoded.pictures, strict=True):
                    written.append(root / file)
                    _save(root / file, data)
                for entry, picture in zip(encoded.entries, encoded.of, strict=True):
                    entry.item = number
                    entry.file = None if picture is None else files[picture]
                    manifest.write(_encoded(entry) + b"\n")
                items.write(_encoded(encoded.item) + b"\n")
                number += 1
    (root / wire.LABELS).write_bytes(_encoded(labels.header) + b"\n")
    if classes is not None:
        written.append(root / wire.CLASSES)
        (root / wire.CLASSES).write_bytes(
            _encoded({str(index): name for name, index in classes.items()}) + b"\n"
        )
    return written


def _save(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(data)


def _encoded(value: Any) -> bytes:
    try:
        return wire.ENCODE(value)
    except UnicodeEncodeError as error:
        text = f"text that is not valid Unicode: {error.object[:80]!r}"
        raise UnrepresentableError(text, hint="mend it in the source") from error


def _classes(header: Header) -> dict[str, int]:
    """The index of each label: its own number where those all fit a byte, else its place, from 1."""
    names = [label.name for label in header.labels]
    if len(names) > MOST:
        raise UnrepresentableError(
            f"{len(names)} labels do not fit the {MOST} indices of an 8-bit picture",
            hint="merge or drop some with --labels, or choose --layout instance",
        )
    numbers = [label.id for label in header.labels if isinstance(label.id, int) and 1 <= label.id <= MOST]
    if len(set(numbers)) < len(names):
        numbers = list(range(1, len(names) + 1))
    classes = dict(zip(names, numbers, strict=True))
    free = next((index for index in range(1, MOST + 1) if index not in numbers), None)
    if free is not None:
        classes.setdefault(UNLABELLED, free)
    return classes
