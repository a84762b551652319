"""COCO's plain annotation rows told by their looks: a box, a region of rings, and no keys but the usual seven.

Each value is taken as text, without decoding any; only if it cannot be anything but what it should be, and all other
rows are left to a decoder. :class:`PlainReader` is for rows that were proved to be JSON when the file was indexed;
:func:`plain_columns` indexes it, and proves that.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from nucleus_convert.formats import rings
from nucleus_convert.formats.rows import RowFile

PlainRow: TypeAlias = tuple[bytes, bytes, bool, bytes, bytes, int, int, float]
"""What a plain row says, in this order:

``rings``: the JSON array of its ``segmentation``, which ``rings.measure`` approved of; ``area``: a JSON number of at
most 30 digits before the point and after it; ``iscrowd``; ``box``: left, top, width and height with commas between,
without spaces; ``category``: its id, as text; ``id``; the number of rings; the pixels by which the box differs from
their envelope."""

_VALUES = {
    b"segmentation": rb"(?P<rings>\[[^\"{}]*\])",
    b"area": rb"(?P<area>-?\d{1,30}(?:\.\d{1,30})?)",
    b"iscrowd": rb"(?P<crowd>[01])",
    b"image_id": rb"-?\d{1,18}",
    b"bbox": rb"\[(?P<box>[^]\"{}]*)\]",
    b"category_id": rb"(?P<category>\d{1,18})",
    b"id": rb"(?P<id>-?\d{1,18})",
}
_GROUPS = ("rings", "area", "crowd", "box", "category", "id")
_KEY = re.compile(rb'\s*[{,]\s*"(\w+)"\s*:\s*')
_END = re.compile(rb"\s*\}\s*")


class Learner:
    """Reads plain rows by a regular expression made from one of them: an exporter writes all its rows alike."""

    def __init__(self) -> None:
        self._pattern = re.compile(rb"(?!)")

    def __call__(self, row: bytes) -> PlainRow | None:
        """What a row says; None if it is not plain."""
        match = self._pattern.fullmatch(row)
        if match is None:
            learned = _pattern(row)
            if learned is None:
                return None
            self._pattern = learned
            match = learned.fullmatch(row)
            if match is None:
                return None
        region, area, crowd, box, category, identity = match.group(*_GROUPS)
        measured = rings.measure(region, box)
        if measured is None:
            return None
        return region, area, crowd == b"1", box.translate(None, b" \t\r\n"), category, int(identity), *measured


def _pattern(row: bytes) -> re.Pattern[bytes] | None:
    """What matches rows that are written like this one; None if it is no plain row itself."""
    pattern, position, keys = b"", 0, set[bytes]()
    while key := _KEY.match(row, position):
        value = _VALUES.get(key[1])
        if value is None or key[1] in keys:
            return None
        found = re.compile(value).match(row, key.end())
        if found is None:
            return None
        keys.add(key[1])
        pattern += re.escape(key[0]) + value
        position = found.end()
    end = _END.fullmatch(row, position)
    if end is None or len(keys) < len(_VALUES):
        return None
    return re.compile(pattern + re.escape(end[0]))


class PlainReader:
    """Reads rows of a file, the plain ones as :data:`PlainRow`. Picklable.

    The compiled module does it if it is there: many rows of a large file are read in one go, each where it is.
    """

    def __init__(self) -> None:
        self._learner = Learner()

    def __call__(self, file: RowFile, rows: list[tuple[int, int, int]]) -> list[PlainRow | bytes]:
        """What each row says, or its bytes where it is not plain.

        Args:
            file: the file.
            rows: (position, offset, length) of each.

        Raises:
            ReadError: the file is gone, or shorter than it was when it was indexed.
        """
        at = getattr(rings.quick, "coco_rows_at", None)
        if at is None:
            plain = self._learner if rings.quick is None else rings.quick.coco_row
            return [plain(raw) or raw for raw in file.read_rows(rows)]
        found: list[PlainRow | bytes] | None = at(file.descriptor, rows)
        if found is None:
            raise file.changed()
        return found


class RowColumns(NamedTuple):
    """Consecutive rows of the usual seven keys, whose region may be a mask too, and any rings: one number for each.

    Attributes:
        offsets: of the rows in the file.
        lengths: in bytes.
        images: their image ids.
        ids: their own.
        categories: the category ids that occur, in that order.
    """

    offsets: array[int]
    lengths: array[int]
    images: array[int]
    ids: array[int]
    categories: dict[int, None]

    def __len__(self) -> int:
        return len(self.offsets)


def plain_columns() -> Callable[[bytes, int, int], tuple[int, RowColumns] | None] | None:
    """What reads plain rows together (see ``jsonstream.Member.rows_or``); None where only a decoder can."""
    return None if rings.quick is None else _columns


def _columns(data: bytes, start: int, base: int) -> tuple[int, RowColumns] | None:
    end, offsets, lengths, images, ids, categories = rings.quick.coco_rows(data, start, base)
    if not offsets:
        return None
    return end, RowColumns(array("q", offsets), array("i", lengths), array("q", images), array("q", ids), categories)
