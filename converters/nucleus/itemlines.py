"""Items to lines, where one like it is known already: the same lines, with another path and id."""

from __future__ import annotations

from typing import Any

from nucleus_convert.converters.model import Item
from nucleus_convert.converters.nucleus.metadata import KEY, VERSION
from nucleus_convert.formats.nucleus.wire import ENCODER

_MANY = 4096
_ID = b'"%b":{"v":%d,"id":' % (KEY.encode(), VERSION)


class ItemLines:
    """Makes the lines of items; it keeps what repeats."""

    def __init__(self) -> None:
        self._known: dict[Any, tuple[bytes, bytes, Item] | None] = {}

    def line(self, item: Item, path: bytes) -> bytes | None:
        """The line of a :func:`plain` item; None unless one like it is known. ``path`` is its path as JSON."""
        known = self._known.get(_likeness(item))
        if known is None:
            return None
        before, after, _ = known
        try:
            identity = ENCODER.encode(item.id)
        except UnicodeEncodeError:  # said with the payload
            return None
        return b'{"image_url":%b,"reference_id":%b%b%b%b' % (path, path, before, identity, after)

    def learn(self, item: Item, payload: Any) -> None:
        """Take note of the payload that was made of an item, for others that differ in path and id alone."""
        key = _likeness(item)
        if key in self._known:
            return
        found: tuple[bytes, bytes, Item] | None = None
        try:
            path, identity = ENCODER.encode(item.path), ENCODER.encode(item.id)
            text = ENCODER.encode(payload)
        except UnicodeEncodeError:
            return
        start = b'{"image_url":%b,"reference_id":%b' % (path, path)
        before, said, after = text.removeprefix(start).partition(_ID + identity)
        if text.startswith(start) and said and b"null" not in text and _ID not in before + after:
            found = before + _ID, after, item
        if len(self._known) >= _MANY:
            self._known.clear()
        self._known[key] = found


def plain(item: Item, reference: str) -> bool:
    """Whether an item has only a size and a subset besides its path, by which it is called, and another id."""
    path = item.path
    return (
        path == reference
        and item.kind == "image"
        and item.scene is None
        and item.camera is None
        and not item.attributes
        and item.id != path
        and ":" not in path
        and path[0] not in "/\\"
    )


def _likeness(item: Item) -> Any:
    """What decides on an item's line but for path and id, where it has nothing else than these, size and subset."""
    return id(item.extras) if item.extras else 0, item.width, item.height, item.subset
