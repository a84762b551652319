"""Outlines to lines of polygon payloads: text to text, the same line that the drawn annotation would give."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from nucleus_convert.converters.model import Record
from nucleus_convert.converters.nucleus.metadata import KEY, Packer
from nucleus_convert.converters.nucleus.numbers import SLACK
from nucleus_convert.converters.outline import Outline
from nucleus_convert.formats.nucleus.wire import ENCODER
from nucleus_convert.formats.rings import polygon, vertices

_REFERENCE, _NAME, _ID = b']},"reference_id":', b',"annotation_id":"', b'],"id":'
_RESERVED = b',%b:{"v":1,' % ENCODER.encode(KEY)


def ready(record: Record) -> Record:
    """The record, its outlines drawn unless every one can be written as it is.

    That takes a region that gives the box, and ids that are numbers, each once: then no name that is made of one is
    another's.
    """
    annotations = record.annotations
    plain = True
    outlined = 0
    for annotation in annotations:
        if type(annotation) is Outline:
            outlined += 1
            if annotation.gap > SLACK:
                plain = False
        elif type(annotation.id) is not int:
            plain = False
    if not outlined or (plain and len({annotation.id for annotation in annotations}) == len(annotations)):
        return record
    return Record(record.item, tuple([one.drawn() if type(one) is Outline else one for one in annotations]))


class Pieces(NamedTuple):
    """What the lines of a label's outlines have in common.

    Attributes:
        head: as far as the vertices.
        meta: from behind the id as far as the area.
        box: from behind the area as far as the box.
        origin: from behind the object's id as far as the row.
    """

    head: bytes
    meta: bytes
    box: bytes
    origin: bytes


class OutlineLines:
    """Makes the lines of outlines; it keeps what repeats.

    Args:
        packer: knows the constant metadata of labels, and takes note of the kinds of metadata keys.
    """

    def __init__(self, packer: Packer) -> None:
        self._packer = packer
        self._pieces: dict[tuple[Any, ...], Pieces] = {}

    def add(self, outlines: Iterable[Any], reference: bytes, append: Callable[[bytes], None]) -> None:
        """Append the lines of outlines, one a part. ``reference`` is their item's reference id as JSON."""
        known = self._pieces
        for outline in outlines:
            key = outline.label, outline.crowd, outline.source
            head, meta, before_box, origin = known.get(key) or self._common(outline, key)
            rings, area, parts = outline.rings, outline.area, outline.parts
            name = b"%d" % outline.id
            end = b"%d}}}}}" % outline.row if parts == 1 else b'%d}},"part":[1,%d]}}}' % (outline.row, parts)
            append(
                polygon(
                    head, rings, _REFERENCE, reference, _NAME, name, meta, area, before_box, outline.box, _ID, name,
                    origin, end,
                )
            )  # fmt: skip
            if parts > 1:
                for number, ring in enumerate(vertices(rings)[1:], 2):
                    part = b"%b-part%d" % (name, number)
                    last = b'"object":"%b","part":[%d,%d]}}}' % (name, number, parts)
                    append(b"".join((head, ring, _REFERENCE, reference, _NAME, part, meta, area, _RESERVED, last)))

    def _common(self, outline: Outline, key: tuple[Any, ...]) -> Pieces:
        self._packer.kinds.numbers.update(("iscrowd", "area"))
        label: Any = outline.label
        constants = ENCODER.encode(self._packer.constants(label))[1:-1]
        source = outline.source.encode()
        made = self._pieces[key] = Pieces(
            head=b'{"label":%b,"type":"polygon","geometry":{"vertices":[' % ENCODER.encode(label),
            meta=b'","metadata":{%b"iscrowd":%d,"area":' % (constants and constants + b",", bool(outline.crowd)),
            box=_RESERVED + b'"box":[',
            origin=b',"from":"%b","extras":{"%b":{"row":' % (source, source),
        )
        return made
