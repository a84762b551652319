"""Plain rows told by their looks: a box, a region of rings, and in every row the same keys in the same order.

An exporter writes all its rows alike, so a regular expression made from one row reads the next ones: each value as
text, without decoding any. That a row is JSON was proved when the file was indexed; a value matches only if it cannot
be anything but what it should be, and a row that does not match is decoded like any other.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple


class Layout(NamedTuple):
    """How rows are written: what matches one, and the numbers of the groups called VALUES in that match."""

    match: Callable[[bytes], re.Match[bytes] | None]
    groups: tuple[int, ...]


_VALUES = {
    b"segmentation": rb"(?P<rings>\[\[[^\"{}]*\]\])",
    b"area": rb"(?P<area>-?\d{1,30}(?:\.\d{1,30})?)",
    b"iscrowd": rb"(?P<crowd>[01])",
    b"image_id": rb"-?\d{1,18}",
    b"bbox": rb"\[(?P<box>[^]\"{}]*)\]",
    b"category_id": rb"(?P<category>\d{1,18})",
    b"id": rb"(?P<id>-?\d{1,18})",
}
VALUES = ("rings", "area", "crowd", "box", "category", "id")
"""What a match gives. The numbers in ``rings`` and ``box`` are for ``formats.rings.measure`` to check."""

_KEY = re.compile(rb'\s*[{,]\s*"(\w+)"\s*:\s*')
_END = re.compile(rb"\s*\}")


def layout_of(row: bytes) -> Layout | None:
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
    compiled = re.compile(pattern + re.escape(end[0]))
    return Layout(compiled.fullmatch, tuple(compiled.groupindex[name] for name in VALUES))


UNKNOWN = Layout(re.compile(rb"(?!)").fullmatch, ())
"""Before any row was plain, none is."""
