"""PNG masks without a manifest: what they mean is told by their pixels, and by what a person says of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import ConvertError, OptionError, ReadError, Where
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.maskpng.options import ReadOptions
from nucleus_convert.converters.model import Annotation, Header, Item, Label, Mask, Record
from nucleus_convert.converters.report import Report

NAME = "maskpng"


def is_png(path: Path) -> bool:
    """Whether the file's name says that it is a PNG."""
    return path.suffix.lower() == ".png"


def pictures(source: Path, limit: int | None = None) -> list[Path]:
    """The PNG files of a folder and those below it, by name, or the file itself."""
    if source.is_file():
        return [source]
    found = (
        path
        for path in source.rglob("*")
        if is_png(path) and path.is_file() and not path.name.startswith(".")
    )
    return sorted(islice(found, limit))


def read(source: Path, classes: dict[int, str] | None, options: ReadOptions, report: Report) -> LabelSet:
    """Open PNGs. Where no class file names the indices, all are looked through once for what occurs.

    Raises:
        ReadError: there are none, or one cannot be read.
    """
    paths = pictures(source)
    if not paths:
        raise ReadError("no PNG files in it", Where(file=str(source)), hint="check the path")
    root = source.parent if source.is_file() else source
    meaning = options.pixels
    values: set[int] = set()
    if meaning == "auto" or (meaning == "semantic" and classes is None):
        binary, values = _survey(paths, report)
        if meaning == "auto":
            meaning = "mask" if binary and classes is None else "semantic"
            says = "one mask each" if meaning == "mask" else "an index of a class each"
            report.add(
                Code.ASSUMED, f"pictures' pixels say {says} (--pixels says otherwise)", format=NAME,
                where=Where(file=str(source)),
            )  # fmt: skip
    labels: dict[int, str] = dict(classes or {})
    if meaning == "semantic":
        for value in sorted(values - {0, *options.ignore} - set(labels)):
            labels[value] = str(value)
            report.add(Code.LABEL_UNDECLARED, str(value), format=NAME, where=Where(file=str(source)))
        header = Header(labels=tuple(Label(name=name, id=index) for index, name in labels.items()))
    else:
        header = Header(labels=(Label(name=options.label),))
    images = None if options.images is None else _images(options.images)
    if images is None:
        report.add(
            Code.ASSUMED, "images go by the names of their masks (--images FOLDER finds them)", format=NAME,
            where=Where(file=str(source)),
        )  # fmt: skip
    made = LooseSource(
        root, [path.relative_to(root).as_posix() for path in paths], meaning, labels, images, options
    )
    return LabelSet(header, made, size=len(paths))


def _decode(path: Path) -> Any:
    from nucleus_convert.converters import png

    try:
        data = path.read_bytes()
    except OSError as error:
        raise ReadError(f"cannot be read ({error.strerror})", Where(file=str(path))) from error
    return png.decode(data, name=str(path))


def _survey(paths: list[Path], report: Report) -> tuple[bool, set[int]]:
    """Whether every picture is of one value beside 0, the largest there can be or 1; and all values."""
    import numpy as np

    binary, values = True, set[int]()
    for path in paths:
        try:
            pixels = _decode(path)
        except ConvertError:
            continue  # said when it is read
        counts = np.bincount(pixels.reshape(-1))
        present = set(np.flatnonzero(counts).tolist())
        binary = binary and (present <= {0, 255} or present <= {0, 1})
        values |= present
    return binary, values


def _images(folder: Path) -> dict[str, str]:
    """Name without suffix -> path in the folder, of every file in it; what is not told apart is left out."""
    if not folder.is_dir():
        raise OptionError("--images is no folder", Where(file=str(folder)))
    found: dict[str, str] = {}
    twice: set[str] = set()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            inner = path.relative_to(folder)
            for key in {inner.with_suffix("").as_posix(), inner.stem}:
                if key in found:
                    twice.add(key)
                found[key] = inner.as_posix()
    return {key: name for key, name in found.items() if key not in twice}


class LooseSource(msgspec.Struct, frozen=True):
    """Reads the pictures ``start`` to ``stop``. Picklable."""

    root: Path
    names: list[str]
    meaning: str
    labels: Mapping[int, str]
    images: dict[str, str] | None
    options: ReadOptions

    def __call__(self, report: Report, start: int, stop: int | None) -> Iterator[Record]:
        """Yield the records of items ``start`` to ``stop``."""
        for name in self.names[start:stop]:
            path = self.root / name
            try:
                pixels = _decode(path)
            except ConvertError as error:
                report.reject(error, name, kind="item")
                continue
            height, width = pixels.shape
            item = Item(id=name, path=self._image(name, report), height=height, width=width)
            yield Record(item, tuple(self._annotations(pixels, Where(file=str(path)), report)))

    def _image(self, name: str, report: Report) -> str:
        if self.images is None:
            return name
        stem = name[: -len(".png")]
        image = self.images.get(stem) or self.images.get(stem.rpartition("/")[2])
        if image is None:
            report.add(
                Code.ASSUMED, "mask without an image of its name in --images", format=NAME,
                where=Where(file=str(self.root / name)),
            )  # fmt: skip
            return name
        return image

    def _annotations(self, pixels: Any, where: Where, report: Report) -> Iterator[Annotation]:
        from nucleus_convert.converters import indexmap, masks

        size = pixels.shape
        ignored = set(self.options.ignore)
        if self.meaning == "mask":
            kept = pixels if not ignored else _without(pixels, ignored)
            yield Annotation(
                label=self.options.label, shapes=(Mask(masks.encode_counts(masks.from_array(kept)), *size),)
            )
            return
        for value, runs in indexmap.split(pixels).items():
            if value in ignored:
                report.add(
                    Code.FILTERED,
                    f"pixels of index {value}",
                    format=NAME,
                    where=where,
                    count=masks.area(runs),
                )
                continue
            label: str | None = self.options.label
            if self.meaning == "semantic":
                label = self.labels.get(value)
                if label is None:
                    report.add(Code.LABEL_UNDECLARED, f"of index {value}", format=NAME, where=where)
            mask = Mask(masks.encode_counts(runs), *size)
            # The index is no id: it says nothing beyond its picture.
            yield Annotation(label=label, shapes=(mask,), extras={NAME: {"index": value}})


def _without(pixels: Any, ignored: set[int]) -> Any:
    import numpy as np

    return np.where(np.isin(pixels, list(ignored)), 0, pixels)
