"""YOLO data sets to records: the tree, the names and the columns of the lines first, then image by image."""

from __future__ import annotations

import errno
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from nucleus_convert.converters import files, imagefile
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import ConvertError, ReadError, SchemaError, Where
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.model import Annotation, Item, Record, Tag
from nucleus_convert.converters.report import Report
from nucleus_convert.converters.yolo.lines import LineReader, prediction
from nucleus_convert.converters.yolo.opening import Opened, opened
from nucleus_convert.converters.yolo.options import ReadOptions, pair
from nucleus_convert.converters.yolo.reserved import Sidecar, restore
from nucleus_convert.converters.yolo.tree import Listing
from nucleus_convert.formats import yolo as wire

MISSING: Mapping[str, Any] = {"yolo": {"labels": "missing"}}
"""Says of an item that it has no label file: nobody looked, which is not the same as nothing being there."""


class YoloSource:
    """Reads the records of items ``start`` to ``stop``. Picklable."""

    def __init__(
        self,
        listing: Listing,
        lines: LineReader | None,
        *,
        sizes: Mapping[str, tuple[int, int]],
        size: tuple[int, int] | None,
        exif: imagefile.Exif,
        sidecar: Sidecar | None,
        classify: bool,
    ) -> None:
        self.listing = listing
        self.lines = lines
        self.sizes = sizes
        self.size = size
        self.exif = exif
        self.sidecar = sidecar
        self.classify = classify
        self._prefix = f"{listing.root}{os.sep}"

    def __call__(self, report: Report, start: int, stop: int | None) -> Iterator[Record]:
        """Yield the records of items ``start`` to ``stop``."""
        total = len(self.listing)
        for number in range(start, total if stop is None else min(stop, total)):
            record = self._record(number, report)
            if record is not None:
                yield record

    def _record(self, number: int, report: Report) -> Record | None:
        listing = self.listing
        image, label, subset = listing.images[number], listing.labels[number], listing.subsets[number]
        if self.classify:
            return self._classified(image, label, subset, report)
        data = self._data(label)
        extras: Mapping[str, Any] = {}
        if data is None:
            report.add(
                Code.ASSUMED, "image without a label file: not labelled, which is not empty", format="yolo"
            )
            extras = MISSING
        try:
            size = self._size(
                image, label, report, needed=data is not None and self.lines is not None and not _blank(data)
            )
        except ConvertError as error:
            report.reject(
                error, (data or b"").decode("utf-8", "replace"), kind="item", what="image without a size"
            )
            return None
        name = image or _stem(label)
        item = Item(
            id=name, path=image or None, width=size[0] if size else None, height=size[1] if size else None,
            subset=subset, extras=extras,
        )  # fmt: skip
        annotations = self._annotations(data, label, size, report) if data else []
        if self.sidecar is not None:
            kept = self.sidecar.get(name)
            if kept is not None:
                item, annotations = restore(
                    kept, item, annotations, None if data is None else zlib.crc32(data), report
                )
        return Record(item, tuple(annotations))

    def _data(self, label: str) -> bytes | None:
        """A label file's content; None where there is no such file."""
        try:
            return files.contents(self._prefix + label)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:  # no file has such a name
                return None
            raise ReadError(f"cannot be read ({error.strerror})", Where(file=label)) from error

    def _size(self, image: str, label: str, report: Report, *, needed: bool) -> tuple[int, int] | None:
        """The size of an image in pixels: from the manifest, its header, or as the user says."""
        size = self.sizes.get(image or _stem(label)) if self.sizes else None
        if size is not None:
            return size if size[0] and size[1] else None
        if image:
            try:
                info = imagefile.info(self._prefix + image)
                if info.orientation >= 5:
                    how = "as seen" if self.exif == "apply" else "as stored"
                    report.add(
                        Code.ASSUMED, f"image turned by EXIF: labelled {how} (--exif)", format="yolo",
                        where=Where(item=image),
                    )  # fmt: skip
                return info.size(self.exif)
            except ReadError as error:
                if self.size is None and needed:
                    missing = not os.path.exists(self._prefix + image)  # noqa: PTH110
                    problem = "the image is not there" if missing else error.message
                    raise SchemaError(
                        f"the image's size is not known: {problem}",
                        Where(file=label, item=image),
                        "put the image in place, or give --sizes FILE or --image-size WIDTHxHEIGHT",
                    ) from error
        if self.size is None and needed:
            raise SchemaError(
                "the image's size is not known: there is no image for this label file",
                Where(file=label),
                "put the image in place, or give --sizes FILE or --image-size WIDTHxHEIGHT",
            )
        if self.size is None:
            report.add(Code.SIZE_MISSING, "not known", format="yolo", where=Where(item=image or label))
        return self.size

    def _annotations(
        self, data: bytes, label: str, size: tuple[int, int] | None, report: Report
    ) -> list[Annotation]:
        found: list[Annotation] = []
        reader = self.lines
        if reader is not None and size is None:
            return found  # blank
        width, height = size or (0, 0)
        if reader is not None and b"_" not in data and b"\r" not in data:
            boxes = reader.boxes(data, width, height)
            if boxes is not None:
                return boxes
        seen: set[bytes] = set()
        underscore = b"_" in data
        for number, columns in wire.rows(data):
            try:
                if reader is None:
                    found.append(prediction(columns, label, number))
                    continue
                if underscore and any(b"_" in column for column in columns):
                    raise SchemaError("expected numbers, found '_'", Where(file=label, line=number))
                found.append(reader.read(columns, width, height, report, label, number))
            except ConvertError as error:
                report.reject(error, b" ".join(columns).decode("utf-8", "replace"), what=_what(error))
                continue
            line = b" ".join(columns)
            if line in seen:
                report.add(
                    Code.DUPLICATE_ID, "label line", format="yolo", where=Where(file=label, line=number)
                )
            seen.add(line)
        return found

    def _classified(self, image: str, label: str, subset: str | None, report: Report) -> Record | None:
        size = self._size(image, image, report, needed=False)
        item = Item(
            id=image,
            path=image,
            width=size[0] if size else None,
            height=size[1] if size else None,
            subset=subset,
        )
        annotations = [Annotation(label=label, shapes=(Tag(),))] if label else []
        if self.sidecar is not None:
            kept = self.sidecar.get(image)
            if kept is not None:
                item, annotations = restore(kept, item, annotations, None, report)
        return Record(item, tuple(annotations))


def _blank(data: bytes) -> bool:
    return not data or data.isspace()


def _what(error: ConvertError) -> str:
    """The reason in words that are the same for every such line: what was found in it is left out."""
    return error.message.partition(", found")[0]


def _stem(label: str) -> str:
    """What an item without an image is called: its label file's name without the folder ``labels``."""
    parts = label.removesuffix(".txt").split("/")
    return "/".join([part for part in parts[:-1] if part.lower() != "labels"] + parts[-1:])


def read(source: Path, *, options: ReadOptions, report: Report) -> LabelSet:
    """Open a YOLO data set: a folder, a ``data.yaml``, an ``obj.data``, a list of images.

    Args:
        source: see :mod:`locating`.
        options: see :class:`ReadOptions`.
        report: findings of opening; those of the lines go to the report given to ``records``.

    Raises:
        ReadError: there is nothing to read, or a file that describes the data set is wrong.
    """
    found: Opened = opened(source, options, report)
    lines = None
    if not found.named_lines and not found.classify:
        points = {label.name: (label.keypoints, label.skeleton) for label in found.header.labels}
        lines = LineReader(found.plan, found.names, points, predicted=options.predictions)
    records = YoloSource(
        found.listing,
        lines,
        sizes=found.sizes,
        size=pair(options.image_size) if options.image_size else None,
        exif=options.exif,
        sidecar=found.sidecar,
        classify=found.classify,
    )
    header = found.header
    if msgspec.json.encode(header.extras.get("yolo", {})) == b"{}":
        header = msgspec.structs.replace(
            header, extras={k: v for k, v in header.extras.items() if k != "yolo"}
        )
    return LabelSet(header, records, size=len(found.listing), images=found.listing.root)
