"""Results files (comp3 and comp4 detections, comp1 and comp2 classifications) by item."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nucleus_convert.converters import decimals
from nucleus_convert.converters.errors import ConvertError, ReadError, SchemaError, Where
from nucleus_convert.converters.model import Annotation, Box, Number, Tag
from nucleus_convert.converters.report import Report
from nucleus_convert.converters.voc import numbers
from nucleus_convert.formats.rows import RowFile
from nucleus_convert.formats.voc import result_name

COLUMNS = {"det": 5, "cls": 1}


class Results:
    """Where each item's lines are: four small numbers a line."""

    def __init__(self) -> None:
        self.files: list[tuple[RowFile, str, str, str]] = []
        self.stems: list[str] = []
        self._items = array("i")
        self._files = array("H")
        self._offsets = array("q")
        self._lengths = array("i")

    def __len__(self) -> int:
        return len(self._items)

    def add(self, path: Path, shown: str, number: Callable[[str], int]) -> None:
        """Index a file; ``number`` gives an item's number for an id.

        Raises:
            ReadError: it cannot be read.
        """
        name = result_name(path.name)
        assert name is not None
        comp, task, subset, label = name
        stem = f"comp{comp}_{task}_{subset}" if comp else f"{task}_{subset}"
        if stem not in self.stems:
            self.stems.append(stem)
        self.files.append((RowFile(path), shown, label, stem))
        columns = COLUMNS[task]
        offset = 0
        try:
            with path.open("rb") as file:
                for line in file:
                    words = line.rsplit(None, columns)
                    if words:
                        identity = words[0].strip().decode("utf-8", "replace")
                        self._items.append(number(identity.strip('"')))
                        self._files.append(len(self.files) - 1)
                        self._offsets.append(offset)
                        self._lengths.append(len(line))
                    offset += len(line)
        except OSError as error:
            raise ReadError(f"the results cannot be read ({error.strerror})", Where(file=shown)) from error

    def freeze(self) -> None:
        """Sort by item; within an item, files and lines keep their order."""
        if not self._items:
            return
        import numpy as np  # heavy, and few data sets come with results

        order = np.argsort(np.frombuffer(self._items, np.int32), kind="stable")
        for name, kind in (
            ("_items", np.int32),
            ("_files", np.uint16),
            ("_offsets", np.int64),
            ("_lengths", np.int32),
        ):
            held: Any = getattr(self, name)
            setattr(self, name, array(held.typecode, np.frombuffer(held, kind)[order].tobytes()))

    def read(self, item: int, report: Report) -> Iterator[Annotation]:
        """The predictions of an item; bad lines go to ``report.reject``."""
        at = bisect_left(self._items, item)
        several = len(self.stems) > 1
        while at < len(self._items) and self._items[at] == item:
            file, shown, label, stem = self.files[self._files[at]]
            offset = self._offsets[at]
            line = file.read(offset, self._lengths[at]).decode("utf-8", "replace")
            at += 1
            try:
                yield _prediction(line, label, stem if several else None, "det_" in stem)
            except ConvertError as error:
                before = file.read(0, offset).count(b"\n")
                error.where = Where(file=shown, line=before + 1)
                report.reject(error, line.rstrip("\r\n"), what="line of a results file that is none")


def _prediction(line: str, label: str, stem: str | None, detection: bool) -> Annotation:
    columns = COLUMNS["det" if detection else "cls"]
    words = line.rsplit(None, columns)[1:]
    try:
        values: list[Number] = [decimals.number(word) for word in words]
    except ValueError as error:
        raise SchemaError(f"not a number: {str(error)!r:.40}", None, "mend the line") from error
    if len(values) != columns:
        expected = "id confidence left top right bottom" if detection else "id confidence"
        raise SchemaError(f"expected '{expected}', found {len(values) + 1} columns")
    extras: dict[str, Any] = {"voc": {"results": stem}} if stem else {}
    if not detection:
        return Annotation(label=label, shapes=(Tag(),), confidence=values[0], extras=extras)
    confidence, left, top, right, bottom = values
    # Results count pixels from 1, both ends included, whatever the annotations do: the evaluation code does.
    box = numbers.box(min(left, right), min(top, bottom), max(left, right), max(top, bottom), "voc")
    return Annotation(label=label, shapes=(box,), confidence=confidence, extras=extras)


def dump(annotation: Annotation, stem: str) -> tuple[str, str, Annotation]:
    """The file a prediction goes to, what follows the id on its line, and what that line reads back as."""
    shape = annotation.shape(Box) or annotation.shape(Tag)
    rest = repr(annotation.confidence)
    if type(shape) is Box:
        rest += " " + " ".join(numbers.corners(shape, "voc"))
    read = _prediction(f"x {rest}", str(annotation.label), None, type(shape) is Box)
    return f"{stem}_{annotation.label}.txt", rest, read
