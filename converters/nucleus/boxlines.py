"""Boxes to lines of box payloads, and their items to lines: the same lines that the drawn annotations would give.

Most of a line is what many have in common: it is made once, and then only names and numbers are put in.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from msgspec import Raw

from nucleus_convert.converters.boxes import Boxes
from nucleus_convert.converters.model import Annotation, Item
from nucleus_convert.converters.nucleus.metadata import FORMAT, KEY, VERSION, Packer
from nucleus_convert.formats.nucleus.wire import ENCODER

_MANY = 4096
_ORDINALS = [f"{number:04}" for number in range(1, 1001)]
_ID = f'"{KEY}":{{"v":{VERSION},"id":'


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
        self._items: dict[Any, tuple[str, str, Item] | None] = {}

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

    # ------------------------------------------------------------------ items

    def item(self, item: Item) -> bytes | None:
        """The line of an item whose reference id and location are its path; None unless one like it is known."""
        known = self._items.get(_likeness(item))
        if known is None:
            return None
        before, after, _ = known
        try:
            path, identity = ENCODER.encode(item.path).decode(), ENCODER.encode(item.id).decode()
        except UnicodeEncodeError:  # said with the payload
            return None
        return f'{{"image_url":{path},"reference_id":{path}{before}{identity}{after}'.encode()

    def learn(self, item: Item, payload: Any) -> None:
        """Take note of the payload that was made of an item, for others that differ in path and id alone."""
        key = _likeness(item)
        if key in self._items:
            return
        found: tuple[str, str, Item] | None = None
        try:
            path, identity = ENCODER.encode(item.path).decode(), ENCODER.encode(item.id).decode()
            text = ENCODER.encode(payload).decode()
        except UnicodeEncodeError:
            return
        start = f'{{"image_url":{path},"reference_id":{path}'
        before, said, after = text.removeprefix(start).partition(f"{_ID}{identity}")
        if text.startswith(start) and said and "null" not in text and _ID not in before + after:
            found = before + _ID, after, item
        if len(self._items) >= _MANY:
            self._items.clear()
        self._items[key] = found


def _likeness(item: Item) -> Any:
    """What decides on an item's line but for path and id, where it has nothing else than these, size and subset."""
    return id(item.extras), item.width, item.height, item.subset
