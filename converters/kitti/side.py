"""The file of ours beside label files: what KITTI has no column for travels in it, and comes back.

``nucleus_convert.kitti.jsonl`` holds the data set's header on its first line, and then a line for each item: its
files, the item itself, and those of its objects that a row cannot say whole. Labels win: an object that is kept
here counts only as long as its row is as it was written.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path

import msgspec

from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import ReadError, SchemaError, Where
from nucleus_convert.converters.model import Annotation, Header, Item
from nucleus_convert.converters.report import Report

VERSION = 1
LARGEST = 1 << 30


class First(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first line. ``scores``: whether the 16th column is a score."""

    nucleus_convert_kitti: int
    header: Header
    scores: bool = True


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is kept of an item.

    Attributes:
        item: the item.
        labels: its label file; None: it has none.
        results: its file of predictions.
        frame: its frame in these files, if they are of a sequence.
        dialect: of a raw drive's tracklets.
        objects: pairs of a row's text (None: no row) and the object (None: the row repeats an object of the frame's
            point cloud).
        order: of the objects: rows by number, then those without a row; empty: just so.
    """

    item: Item
    labels: str | None = None
    results: str | None = None
    frame: int | None = None
    dialect: str | None = None
    objects: tuple[tuple[str | None, Annotation | None], ...] = ()
    order: tuple[int, ...] = ()


ENCODE = msgspec.json.Encoder().encode
_FIRST = msgspec.json.Decoder(First)
_LINE = msgspec.json.Decoder(Line)


def first(data: bytes, where: Where) -> First:
    """The first line.

    Raises:
        SchemaError: it is not what this program writes, or of a newer version.
    """
    try:
        found = _FIRST.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _changed(error, where) from error
    if found.nucleus_convert_kitti != VERSION:
        raise SchemaError("written by a newer nucleus-convert", where, "read it with that version, or a newer one")
    return found


def line(data: bytes, where: Where) -> Line:
    """The line of an item.

    Raises:
        SchemaError: it is not what this program writes.
    """
    try:
        return _LINE.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _changed(error, where) from error


def _changed(error: Exception, where: Where) -> SchemaError:
    return SchemaError(f"not as this program writes it: {error}", where, "restore the file, or remove it")


def offsets(path: Path) -> list[tuple[int, int]]:
    """Offset and length of each line but the first.

    Raises:
        ReadError: the file cannot be read.
    """
    found: list[tuple[int, int]] = []
    at = 0
    try:
        with path.open("rb") as file:
            for data in file:
                if at and data.strip():
                    found.append((at, len(data)))
                at += len(data)
    except OSError as error:
        raise ReadError(f"cannot be read ({error.strerror})", Where(file=str(path))) from error
    return found


def restored(kept: Line, texts: list[str], found: list[Annotation], report: Report) -> tuple[Annotation, ...]:
    """The objects of an item: those kept here in the place of their rows, and those without a row."""
    held: dict[str, deque[Annotation | None]] = {}
    loose: list[Annotation] = []
    for text, annotation in kept.objects:
        if text is not None:
            held.setdefault(text, deque()).append(annotation)
        elif annotation is not None:
            loose.append(annotation)
    said = [held[text].popleft() if held.get(text) else one for text, one in zip(texts, found, strict=True)]
    stale = sum(map(len, held.values()))
    if stale:
        report.add(
            Code.STALE, "a row of a label file", format="kitti", where=Where(item=str(kept.item.id)), count=stale
        )
    result = [one for one in said if one is not None] + loose
    if len(kept.order) == len(result) and sorted(kept.order) == list(range(len(result))):
        result = [result[at] for at in kept.order]
    return tuple(result)
