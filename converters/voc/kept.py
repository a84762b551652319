"""Records of a stretch of items that were made while files were looked through, encoded until their turn comes."""

from __future__ import annotations

import functools
import pickle
from typing import Any, TypeAlias

import msgspec

from nucleus_convert.converters.boxes import Boxes, boxes_of
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.model import Annotation, Item, Record
from nucleus_convert.converters.report import Report

_MANY = 4096
"""Kinds of boxes, and of items, that are shared: a data set has some dozens."""
_Row: TypeAlias = tuple[int, str, str, tuple[int, ...], tuple[int, ...]]
"""Of an item with boxes: what it is like, id and path; of each box its kind, then the sides of all."""


class _Stretch(msgspec.Struct, array_like=True):
    """Records in their order. Kinds, and an item for all that are like it, are there once, encoded by themselves."""

    kinds: list[bytes]
    items: list[bytes]
    records: list[_Row | Record]


class Shared:
    """What records of all stretches have in common, each once, so that it can be known by its identity."""

    def __init__(self) -> None:
        self._kinds: dict[bytes, Annotation] = {}
        self._items: dict[bytes, Item] = {}

    def kind(self, encoded: bytes) -> Annotation:
        """The kind of box."""
        found: Annotation = _known(self._kinds, encoded, Annotation)
        return found

    def item(self, encoded: bytes) -> Item:
        """The item that others are like."""
        found: Item = _known(self._items, encoded, Item)
        return found


def _known(known: dict[bytes, Any], encoded: bytes, kind: Any) -> Any:
    found = known.get(encoded)
    if found is None:
        if len(known) >= _MANY:
            known.clear()
        found = known[encoded] = msgspec.msgpack.decode(encoded, type=kind)
    return found


class Kept(msgspec.Struct, frozen=True):
    """The records of so many items, and the report of reading them, pickled (empty: nothing to say)."""

    count: int
    encoded: bytes
    report: bytes

    def records(self, report: Report, shared: Shared) -> list[Record]:
        """The records, as reading them again would give them, with :class:`Boxes` where they were kept so."""
        if self.report:
            report.merge(pickle.loads(self.report))
        stretch = _decoder().decode(self.encoded)
        kinds = list(map(shared.kind, stretch.kinds))
        items = list(map(shared.item, stretch.items))
        made: list[Record] = []
        for row in stretch.records:
            if isinstance(row, Record):
                made.append(row)
                continue
            number, identity, path, its_kinds, sides = row
            like = items[number]
            item = Item(
                id=identity, path=path, width=like.width, height=like.height, subset=like.subset, extras=like.extras
            )
            made.append(Record(item, (Boxes(kinds=tuple([kinds[i] for i in its_kinds]), sides=sides),)))
        return made


def keep(records: list[Record], count: int, report: Report) -> Kept | None:
    """What keeps the records of ``count`` items; None where reading them again is the only way.

    That is where something could not be read, a number is beyond 64 bits, or a text beyond Unicode.

    Args:
        records: items of boxes have nothing but id, path, size, subset and extras.
        count: how many items they were made of.
        report: of making them.
    """
    if any(code is Code.REJECTED for code, _, _ in report.findings):
        return None
    kinds: dict[int, tuple[int, Annotation]] = {}
    items: dict[Any, tuple[int, Item]] = {}
    rows: list[_Row | Record] = []
    for record in records:
        boxes = boxes_of(record)
        if boxes is None:
            rows.append(record)
            continue
        item: Any = record.item
        key = (id(item.extras), item.width, item.height, item.subset)
        like = items.get(key) or items.setdefault(key, (len(items), item))
        its_kinds = tuple([
            (kinds.get(id(kind)) or kinds.setdefault(id(kind), (len(kinds), kind)))[0] for kind in boxes.kinds
        ])  # fmt: skip
        rows.append((like[0], item.id, item.path, its_kinds, boxes.sides))
    encode = msgspec.msgpack.encode
    try:
        stretch = _Stretch(
            [encode(kind) for _, kind in kinds.values()],
            [encode(msgspec.structs.replace(item, id="", path=None)) for _, item in items.values()],
            rows,
        )
        encoded = encode(stretch)
    except (OverflowError, UnicodeEncodeError):
        return None
    return Kept(count, encoded, pickle.dumps(report) if report.findings else b"")


@functools.cache
def _decoder() -> msgspec.msgpack.Decoder[_Stretch]:
    return msgspec.msgpack.Decoder(_Stretch)
