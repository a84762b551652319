"""COCO's plain annotation rows told by their looks: a box, a region of rings, and no keys but the usual seven.

Each value is taken as text, without decoding any; only if it cannot be anything but what it should be, and all other
rows are left to a decoder. :func:`plain_columns` indexes a file's rows, which also proves that they are JSON;
:func:`plain_rows` reads them again. Both are the compiled module's (``_rings.c``): without it every row is decoded.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import msgspec

from nucleus_convert.formats import rings
from nucleus_convert.formats.rows import RowFile

Number: TypeAlias = int | float
Box: TypeAlias = tuple[Number, Number, Number, Number]


class _Shape(msgspec.Struct):
    """What a plain row says of its object's shape."""

    bbox: Box
    segmentation: list[tuple[Number, ...]]
    area: Number


_DECODE = msgspec.json.Decoder(_Shape).decode


class PlainRows(NamedTuple):
    """Rows of a file, and what the plain ones of them say; of others only ``data`` is told.

    Plain is a row of exactly the keys ``segmentation``, ``area``, ``iscrowd``, ``image_id``, ``bbox``, ``category_id``
    and ``id``, whose segmentation is rings of at least three points that do not repeat the first, whose box is four
    numbers, whose category id is a whole number not below 0, and which is no crowd.

    Attributes:
        data: the rows verbatim, a NUL behind each.
        told: for the compiled module: where in ``data`` the values of each row are.
        plain: for each row 1 if it is plain, else 0.
        ids: of the rows.
        categories: their category ids.
        gaps: the pixels by which a box differs from its rings' envelope, at the edge where it differs most.
        starts: of the rows in ``data``, and where the next one would be.
    """

    data: bytes
    told: bytes
    plain: bytes
    starts: memoryview
    ids: memoryview
    categories: memoryview
    gaps: memoryview[float]

    def row(self, number: int) -> bytes:
        """A row verbatim."""
        return self.data[self.starts[number] : self.starts[number + 1] - 1]

    def values(self, number: int) -> tuple[Box, list[tuple[Number, ...]], Number]:
        """``bbox``, ``segmentation`` and ``area`` of a plain row."""
        row = _DECODE(self.row(number))
        return row.bbox, row.segmentation, row.area


def reads_plain_rows() -> bool:
    """Whether :func:`plain_rows` can be called here."""
    return hasattr(rings.quick, "coco_read")


def plain_rows(file: RowFile, offsets: Any, lengths: Any) -> PlainRows:
    """Read rows of a file.

    Args:
        file: the file.
        offsets: of the rows in the file: a buffer of 64-bit numbers.
        lengths: of the rows in bytes: a buffer of as many 32-bit numbers.

    Raises:
        ReadError: the file is gone, or shorter than it was when it was indexed.
    """
    found = rings.quick.coco_read(file.descriptor, offsets, lengths)
    if found is None:
        raise file.changed()
    data, told, plain, starts, ids, categories, gaps = found
    starts, ids, categories = (memoryview(column).cast("q") for column in (starts, ids, categories))
    return PlainRows(data, told, plain, starts, ids, categories, memoryview(gaps).cast("d"))


def payload_lines(
    rows: PlainRows,
    start: int,
    pieces: list[Any],
    places: list[int],
    reference: bytes,
    reserved: bytes,
) -> bytes:
    """Plain rows as lines of Nucleus polygon payloads: the first ring of each, then its others; newlines between.

    A first ring's line is ``head`` vertices ``]},"reference_id":`` reference ``,"annotation_id":"`` id ``meta`` area
    ``reserved`` ``"box":[`` box ``],"id":`` id ``origin`` place ``}}``; another's has ``"object":"`` id ``"`` behind
    ``reserved``. Either ends with its number among several, ``,"part":[2,3]``, and ``}}}``.

    Args:
        rows: read by :func:`plain_rows`.
        start: the first of them to write.
        pieces: for each, ``(head, meta, origin)``; each row is plain.
        places: for each, a number to write.
        reference: the reference id as JSON.
        reserved: what stands between the area and the box.
    """
    made: bytes = rings.quick.coco_lines(rows.data, rows.told, start, pieces, places, reference, reserved)
    return made


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
