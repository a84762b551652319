"""Boxes to lines of box payloads: the same lines that the drawn annotations would give.

Most of a line is what many have in common: it is made once, and then only names and numbers are put in.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Raw

from nucleus_convert.converters.boxes import Boxes
from nucleus_convert.converters.model import Annotation
from nucleus_convert.converters.nucleus.metadata import FORMAT, Packer
from nucleus_convert.formats.nucleus.wire import ENCODER

_MANY = 4096
_ORDINALS = [f"{number:04}" for number in range(1, 1001)]


class _Kind(NamedTuple):
    """What lines of a kind of box have in common. The annotation is there so that no other has its identity."""

    head: str
    label: str
    metadata: str
    kind: Annotation


class BoxLines:
    """Makes the lines of boxes; it keeps what repeats.

    Args:
        packer: makes the metadata, and takes note of the kinds of its keys.
    """

    def __init__(self, packer: Packer) -> None:
        self._packer = packer
        self._kinds: dict[int, _Kind | None] = {}

    def lines(self, boxes: Boxes, reference: str) -> bytes | None:
        """The lines of an item's boxes, one each, without the last line's end; None if any has to be drawn.

        Names need not be compared: a number at the end, of the place among the others, tells them apart.
        """
        try:
            quoted = ENCODER.encode(reference).decode()
        except UnicodeEncodeError:  # said with the payload
            return None
        ordinals = _ORDINALS
        if len(boxes.kinds) > len(ordinals):
            ordinals = [f"{number:04}" for number in range(1, len(boxes.kinds) + 1)]
        known = self._kinds
        side = iter(boxes.sides)
        lines: list[str] = []
        for kind, ordinal, x, y, width, height in zip(boxes.kinds, ordinals, side, side, side, side, strict=False):
            found = known.get(id(kind)) or self._kind(kind)
            if found is None:
                return None
            head, label, metadata, _ = found
            lines.append(
                f'{head}{x},"y":{y},"width":{width},"height":{height}}},"reference_id":{quoted},'
                f'"annotation_id":"{label}-{ordinal}","metadata":{metadata}}}'
            )
        return "\n".join(lines).encode()

    def name(self, boxes: Boxes) -> str:
        """The annotation id of the first box."""
        return f"{boxes.kinds[0].label}-{_ORDINALS[0]}"

    def _kind(self, kind: Annotation) -> _Kind | None:
        found: _Kind | None = None
        if (
            kind.label
            and kind.id is None
            and kind.track is None
            and kind.embedding is None
            and not kind.is_prediction
            and not kind.derived
            and FORMAT not in kind.extras
        ):
            metadata = self._packer.nameless(kind)
            if type(metadata) is Raw:  # otherwise there is something to be said of it
                label = ENCODER.encode(kind.label).decode()
                head = f'{{"label":{label},"type":"box","geometry":{{"x":'
                found = _Kind(head, label[1:-1], bytes(metadata).decode(), kind)
        if len(self._kinds) >= _MANY:
            self._kinds.clear()
        self._kinds[id(kind)] = found
        return found
