"""Outlines to lines of polygon payloads: text to text, the same line that the drawn annotation would give."""

from __future__ import annotations

from typing import Any

from nucleus_convert.converters.model import Record
from nucleus_convert.converters.nucleus.metadata import KEY, Packer
from nucleus_convert.converters.nucleus.numbers import SLACK
from nucleus_convert.converters.outline import Outline, Sketch
from nucleus_convert.formats.nucleus.wire import ENCODER
from nucleus_convert.formats.rings import vertices

_SPACE = b" \t\r\n"
_RESERVED = ENCODER.encode(KEY) + b":{"


def ready(record: Record) -> Record:
    """The record, its outlines and sketches drawn unless every one can be written as it is.

    Of outlines that takes a region that gives the box, and ids that are numbers, each once: then no name that is made
    of one is another's. Of sketches it takes that nothing has an id: then all names are made of different ordinals.
    """
    annotations = record.annotations
    kinds = set(map(type, annotations))
    if Outline in kinds:
        named = all(type(annotation.id) is int for annotation in annotations)
        given = all(annotation.gap <= SLACK for annotation in annotations if type(annotation) is Outline)
        if named and given and len({annotation.id for annotation in annotations}) == len(annotations):
            return record
    elif Sketch not in kinds or all(annotation.id is None for annotation in annotations):
        return record
    drawn = [one.drawn() if type(one) is Outline else one for one in annotations]
    return without_sketches(Record(record.item, tuple(drawn)))


def without_sketches(record: Record) -> Record:
    """The record, its sketches drawn."""
    if not any(type(annotation) is Sketch for annotation in record.annotations):
        return record
    drawn = [one.drawn() if type(one) is Sketch else one for one in record.annotations]
    return Record(record.item, tuple(drawn))


class OutlineLines:
    """Makes the lines of a stretch's outlines; it keeps what repeats.

    Args:
        packer: knows the constant metadata of labels, and takes note of the kinds of metadata keys.
    """

    def __init__(self, packer: Packer) -> None:
        self._packer = packer
        self._labels: dict[str, tuple[bytes, bytes]] = {}

    def add(self, outline: Outline, reference: bytes, lines: list[Any]) -> None:
        """Add the lines of an outline, one a part. ``reference`` is its item's reference id as JSON."""
        label: Any = outline.label
        head, constants = self._labels.get(label) or self._label(label)
        name: Any = outline.id
        crowd: Any = outline.crowd
        box, parts, area, source = outline.box, outline.parts, outline.area, outline.source.encode()
        if b" " in box:
            box = box.translate(None, _SPACE)
        rings = vertices(outline.rings)
        part = b"" if parts == 1 else b',"part":[1,%d]' % parts
        lines.append(
            b'%b%b]},"reference_id":%b,"annotation_id":"%d","metadata":{%b"iscrowd":%d,"area":%b,%b"v":1,"box":[%b]'
            b',"id":%d,"from":"%b","extras":{"%b":{"row":%d}}%b}}}'
            % (
                head, rings[0], reference, name, constants, crowd, area, _RESERVED, box,
                name, source, source, outline.row, part,
            )
        )  # fmt: skip
        for number in range(1, parts):
            lines.append(
                b'%b%b]},"reference_id":%b,"annotation_id":"%d-part%d","metadata":{%b"iscrowd":%d,"area":%b,%b"v":1'
                b',"object":"%d","part":[%d,%d]}}}'
                % (
                    head, rings[number], reference, name, number + 1, constants, crowd, area,
                    _RESERVED, name, number + 1, parts,
                )
            )  # fmt: skip

    def _label(self, label: str) -> tuple[bytes, bytes]:
        """What the lines of a label begin with, and the metadata that all of them have."""
        self._packer.kinds.numbers.update(("iscrowd", "area"))
        constants = ENCODER.encode(self._packer.constants(label))[1:-1]
        head = b'{"label":%b,"type":"polygon","geometry":{"vertices":[' % ENCODER.encode(label)
        made = self._labels[label] = head, constants and constants + b","
        return made
