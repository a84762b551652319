"""Folders of PNG masks, with our manifest or without, to records. One picture is in memory at a time."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from nucleus_convert.converters import filenames
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import ConvertError, ReadError, SchemaError, Where
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.maskpng import loose
from nucleus_convert.converters.maskpng.classes import load_classes
from nucleus_convert.converters.maskpng.options import ReadOptions
from nucleus_convert.converters.model import Annotation, Header, Item, Label, Mask, Record
from nucleus_convert.converters.report import Report
from nucleus_convert.formats import maskpng as wire
from nucleus_convert.formats.jsonvalue import load, verbatim

NAME = "maskpng"


def sniff(source: Path) -> str | None:
    """None for a folder with a manifest of ours, a PNG, or a folder of PNGs."""
    if source.is_file():
        return None if loose.is_png(source) else "it is not a PNG"
    if (source / wire.MANIFEST).is_file():
        return None
    files = (path for path in source.rglob("*") if path.is_file() and not path.name.startswith("."))
    for count, path in enumerate(files):
        if not loose.is_png(path):
            return f"it holds {path.name}, which is no PNG, and no {wire.MANIFEST}"
        if count > 20:
            break
    if not any(loose.is_png(path) for path in source.iterdir() if path.is_file()):
        # Pictures in folders of folders are more often a data set's images than masks.
        return f"it holds no PNG of its own and no {wire.MANIFEST}"
    return None


def read(source: Path, *, options: ReadOptions, report: Report) -> LabelSet:
    """Open a folder of PNG masks, or one PNG.

    Raises:
        ReadError: a file cannot be read; there are no PNGs.
        OptionError: the file of class names cannot be used.
    """
    if source.is_dir() and (source / wire.MANIFEST).is_file():
        return _with_manifest(source, options, report)
    classes = None if options.classes is None else load_classes(options.classes, report)
    return loose.read(source, classes, options, report)


# --- with a manifest -----------------------------------------------------------------------------------


def _with_manifest(source: Path, options: ReadOptions, report: Report) -> LabelSet:
    manifest = wire.load(source)
    for error, line in manifest.bad:
        report.reject(error, verbatim(line))
    path = source / wire.LABELS
    if path.is_file():
        header: Header = _convert(wire.read_json(path), Header, Where(file=str(path)))
    else:
        header = Header(labels=tuple(Label(name=name) for name in manifest.labels))
    names = {}
    if options.classes is not None:
        names = load_classes(options.classes, report)
        have = {label.name for label in header.labels}
        more = [Label(name=name, id=index) for index, name in names.items() if name not in have]
        header = msgspec.structs.replace(header, labels=(*header.labels, *more))
    return LabelSet(header, ManifestSource(manifest, names), size=manifest.index.groups)


def _convert(value: Any, kind: type[Any], where: Where) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise SchemaError(f"not as nucleus-convert writes it: {error}", where) from error


class ManifestSource(msgspec.Struct, frozen=True):
    """Reads the items ``start`` to ``stop`` and their pictures. Picklable."""

    manifest: wire.Manifest
    classes: Mapping[int, str]

    def __call__(self, report: Report, start: int, stop: int | None) -> Iterator[Record]:
        """Yield the records of items ``start`` to ``stop``."""
        manifest = self.manifest
        count = manifest.index.groups if stop is None else min(stop, manifest.index.groups)
        for number in range(start, count):
            record = self._record(number, manifest.index.rows(number), report)
            if record is not None:
                yield record

    def _record(self, number: int, rows: list[tuple[int, int, int]], report: Report) -> Record | None:
        manifest = self.manifest
        item: Item | None = None
        if manifest.items is not None:
            file, index = manifest.items
            _, offset, length = index.rows(number)[0]
            where = Where(file=str(manifest.root / wire.ITEMS), line=number + 1)
            text = file.read(offset, length)
            try:
                item = _convert(load(text, where), Item, where)
            except ConvertError as error:
                report.reject(error, verbatim(text), kind="item")
                self._reject_masks(rows, report)
                return None
        picture = Picture(manifest.root)
        annotations: list[Annotation] = []
        for position, offset, length in rows:
            raw = manifest.entries.read(offset, length)
            where = Where(file=str(manifest.root / wire.MANIFEST), line=manifest.numbers[position])
            try:
                annotations.append(self._annotation(raw, item, picture, where, report))
            except ConvertError as error:
                report.reject(error, verbatim(raw))
        if item is None:
            name = manifest.names[number]
            height, width = picture.size or (None, None)
            item = Item(id=name, path=name or None, height=height, width=width)
        return Record(item, tuple(annotations))

    def _reject_masks(self, rows: list[tuple[int, int, int]], report: Report) -> None:
        for position, offset, length in rows:
            where = Where(file=str(self.manifest.root / wire.MANIFEST), line=self.manifest.numbers[position])
            error = SchemaError("the mask's image could not be read", where)
            report.reject(error, verbatim(self.manifest.entries.read(offset, length)))

    def _annotation(
        self, raw: bytes, item: Item | None, picture: Picture, where: Where, report: Report
    ) -> Annotation:
        from nucleus_convert.converters import masks

        try:
            entry = wire.DECODE_ENTRY(raw)
        except msgspec.DecodeError as error:
            raise SchemaError(f"not a line of a manifest: {error}", where) from error
        said: Annotation = _convert(entry.more, Annotation, where)
        label = entry.label
        if label is None and entry.index is not None:
            label = self.classes.get(entry.index)
        mask: Mask | None = None
        if entry.file is not None:
            crc = picture.open(entry.file, where)
            size = picture.size
            assert size is not None
            if item is not None and item.height and item.width and size != (item.height, item.width):
                sizes = f"{size[0]} x {size[1]} (height x width), its image {item.height} x {item.width}"
                raise SchemaError(f"the picture is {sizes}", where)
            if entry.mask is None or entry.crc != crc:
                if entry.mask is not None:
                    report.add(
                        Code.VALUE_NORMALISED,
                        "picture changed since its manifest was written: the pixels count",
                        format=NAME,
                        where=where,
                    )
                mask = Mask(masks.encode_counts(picture.runs(entry.index)), *size)
        if mask is None and entry.mask is not None:
            if entry.size is None:
                raise SchemaError("expected the size of the mask, as [height, width]", where)
            masks.read_counts(entry.mask, *entry.size, where=where)
            mask = Mask(entry.mask, *entry.size)
        shapes = said.shapes if mask is None else (*said.shapes, mask)
        return msgspec.structs.replace(said, label=label, id=entry.id, shapes=shapes)


class Picture:
    """The picture that an item's lines are about; the one opened last is held."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.size: tuple[int, int] | None = None
        self._name: str | None = None
        self._crc = 0
        self._pixels: Any = None
        self._split: dict[int, Any] | None = None

    def open(self, name: str, where: Where) -> int:
        """Open a picture unless it is open; its checksum.

        Raises:
            ReadError: it is missing, or its name leads out of the folder.
            ConvertError: it is no PNG mask.
        """
        if name == self._name:
            return self._crc
        from nucleus_convert.converters import png

        path = filenames.inside(self.root, name)
        if path is None:
            raise SchemaError(f"file name '{name:.200}' leads out of the folder", where, "mend the manifest")
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ReadError(f"picture '{name:.200}' cannot be read ({error.strerror})", where) from error
        self._pixels = png.decode(data, name=str(path))
        height, width = self._pixels.shape
        self._name, self._split, self.size = name, None, (height, width)
        self._crc = zlib.crc32(data)
        return self._crc

    def runs(self, index: int | None) -> Any:
        """The runs of the pixels with that index, or of all that are set."""
        import numpy as np

        from nucleus_convert.converters import indexmap, masks

        if index is None:
            return masks.from_array(self._pixels)
        if self._split is None:
            self._split = indexmap.split(self._pixels)
        empty = np.array([self._pixels.size], np.int64)
        return self._split.get(index, empty)
