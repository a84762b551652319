"""Lines of annotations put together of text: what many have in common, and the numbers of each.

``_lines.c`` does the same several times as fast and is used where it was built.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, NamedTuple

BOX, RING, WHOLE, CATEGORY = range(4)
"""How numbers become a geometry: those of a box or a ring; none, since it is one already; none at all."""


class Frame(NamedTuple):
    """What lines have in common, as JSON.

    Attributes:
        mode: how the geometry is made, one of those above.
        head: from the start: as far as the number of a box, or the vertices of a ring; or as far as the geometry; of a
            category to the end of that.
        label: without the mark at its end: an ``annotation_id`` begins with it. Nothing of a category.
        end: the metadata; of a category all that is behind the ``reference_id``.
    """

    mode: int
    head: bytes
    label: bytes
    end: bytes


def lines(
    frames: Sequence[Frame], numbers: Sequence[bytes], ends: Sequence[bytes | None] | None, reference: bytes, first: int
) -> bytes:
    """The lines of an item's annotations, without the last one's end.

    Args:
        frames: what each has in common with others.
        numbers: of each: ``x,y,width,height`` of a box; an array of x and y in turn of a ring, in brackets or two
            pairs of them; or its geometry; without spaces.
        ends: for each what stands in place of its frame's end, None if nothing does.
        reference: the item's reference id as JSON.
        first: the number of the first one, from 1: their ids are made of label and number.
    """
    if ends is not None and len(ends) != len(frames):
        raise ValueError("not as many ends as frames")
    made: list[bytes] = []
    for ordinal, (frame, text) in enumerate(zip(frames, numbers, strict=True), first):
        mode, head, label, end = frame
        other = None if ends is None else ends[ordinal - first]
        end = end if other is None else other
        if mode == CATEGORY:
            made.append(b'%b,"reference_id":%b%b' % (head, reference, end))
            continue
        if mode == BOX:
            x, y, width, height = text.split(b",")
            geometry = b'%b,"y":%b,"width":%b,"height":%b}' % (x, y, width, height)
        elif mode == RING:
            number = iter(text.strip(b"[]").split(b","))
            points = map(b',"y":'.join, zip(number, number, strict=True))
            geometry = b'{"x":%b}]}' % b'},{"x":'.join(points)
        else:
            geometry = text
        made.append(
            b'%b%b,"reference_id":%b,"annotation_id":%b-%04d","metadata":%b}'
            % (head, geometry, reference, label, ordinal, end)
        )
    return b"\n".join(made)


def _compiled() -> Any:
    try:
        return importlib.import_module("nucleus_convert.formats.nucleus._lines")
    except ImportError:
        return None


plain_lines = lines
if (quick := _compiled()) is not None:
    lines = quick.lines
