"""Outlines to lines of polygon payloads: text to text, the same lines that the drawn annotations would give."""

from __future__ import annotations

from typing import NamedTuple, cast

from nucleus_convert.converters.model import Annotation, Record
from nucleus_convert.converters.nucleus.metadata import KEY, Packer
from nucleus_convert.converters.nucleus.numbers import SLACK
from nucleus_convert.converters.outline import Outlines
from nucleus_convert.converters.several import Several, drawn
from nucleus_convert.formats.cocorows import PlainRows, payload_lines
from nucleus_convert.formats.nucleus.wire import ENCODER

_RESERVED = b',%b:{"v":1,' % ENCODER.encode(KEY)


def ready(record: Record) -> Record:
    """The record, its outlines drawn unless every one can be written as it is.

    That takes regions that give the boxes, and ids that are numbers, each once: then no name that is made of one is
    another's.
    """
    plain, outlined = True, False
    ids: list[int] = []
    for annotation in record.annotations:
        if type(annotation) is Outlines:
            outlined = True
            ids += annotation.ids
            plain = plain and annotation.gap() <= SLACK
        elif type(annotation.id) is int:
            ids.append(annotation.id)
        else:
            plain = False
    return record if not outlined or (plain and len(set(ids)) == len(ids)) else drawn(record)


def singly(record: Record) -> Record:
    """The record with an annotation for each object; of outlines that is no more than tells one from another."""
    if not any(isinstance(one, Several) for one in record.annotations):
        return record
    named: list[Annotation] = []
    for one in record.annotations:
        named += one.named() if type(one) is Outlines else one.drawn() if isinstance(one, Several) else (one,)
    return Record(record.item, tuple(named))


class Pieces(NamedTuple):
    """What the lines of a label's outlines have in common.

    Attributes:
        head: as far as the vertices.
        meta: from behind the id as far as the area.
        origin: from behind the object's id as far as the row.
    """

    head: bytes
    meta: bytes
    origin: bytes


class OutlineLines:
    """Makes the lines of outlines; it keeps what repeats.

    Args:
        packer: knows the constant metadata of labels, and takes note of the kinds of metadata keys.
    """

    def __init__(self, packer: Packer) -> None:
        self._packer = packer
        self._pieces: dict[tuple[str, str], Pieces] = {}

    def lines(self, outlines: Outlines, reference: bytes) -> bytes:
        """The lines of outlines, one a part, with newlines between. ``reference`` is their item's id as JSON."""
        known, source = self._pieces, outlines.source
        pieces = [known.get((label, source)) or self._common(label, source) for label in outlines.labels]
        rows = cast("PlainRows", outlines.rows)  # no other reader has any
        return payload_lines(rows, outlines.start, pieces, outlines.places, reference, _RESERVED)

    def _common(self, label: str, source: str) -> Pieces:
        self._packer.kinds.numbers.update(("iscrowd", "area"))
        constants = ENCODER.encode(self._packer.constants(label))[1:-1]
        made = self._pieces[label, source] = Pieces(
            head=b'{"label":%b,"type":"polygon","geometry":{"vertices":[' % ENCODER.encode(label),
            meta=b'","metadata":{%b"iscrowd":0,"area":' % (constants and constants + b","),
            origin=b',"from":"%b","extras":{"%b":{"row":' % (source.encode(), source.encode()),
        )
        return made
