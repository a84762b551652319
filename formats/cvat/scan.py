"""Plain shapes found in the bytes of a file, their numbers left as text, and where images begin.

An element is plain if it is a shape of one element (neither a mask nor a skeleton) or a tag, and its numbers are
written so that they can stay as they are; all else is handed back as it stands, for a parser. Nothing here proves that
a file is XML: text that is kept, and what is not plain, has yet to be parsed. ``_scan.c`` does the same many times as
fast and is used where it was built; where it was not (``quick`` is None), :func:`images` takes longer than a parser.
"""

from __future__ import annotations

import importlib
import re
from typing import Any

MOST_SAID = 2048
"""Bytes that a plain element's start may have besides its numbers, and bytes that may stand within."""

_UNIT = 10**6
_SMALLEST = 1000
"""Millionths: nearer to 0, others write numbers with an exponent."""
_TAG = rb"(?:[^<>\"'\0]|\"[^\"<\0]*\"|'[^'<\0]*')*+>"
_IMAGE = re.compile(rb"<image(?=[ \t\r\n>/])" + _TAG)
_ANY = re.compile(b"<(?![!?])" + _TAG)
_IMAGE_END = re.compile(rb"</image[ \t\r\n]*>")
_SPACE = re.compile(rb"[ \t\r\n]*")
_SHAPE = re.compile(rb"<(box|polygon|polyline|points|ellipse|cuboid|tag)(?=[ \t\r\n])")
_ATTRIBUTE = re.compile(rb"[ \t\r\n]+(?!/)(([!#-;?-\xff]*)=\"([^\"\0]*)\")")
_START_END = re.compile(rb"[ \t\r\n]*(/?)>")
_NUMBER = re.compile(rb"(-?)(0|[1-9][0-9]{0,5})(?:\.([0-9]{1,6}))?")
_ROTATION = b"rotation"
_CORNERS = " ".join(f"x{corner}{face} y{corner}{face}" for face in "12" for corner in ("tl", "bl", "tr", "br"))
_NUMBERS: dict[bytes, tuple[bytes, ...]] = {
    b"box": (b"xtl", b"ytl", b"xbr", b"ybr"),
    b"polygon": (b"points",),
    b"polyline": (b"points",),
    b"points": (b"points",),
    b"ellipse": (b"cx", b"cy", b"rx", b"ry"),
    b"cuboid": tuple(_CORNERS.encode().split()),
    b"tag": (),
}
"""Attributes that are numbers, in the order that they are given back in."""
_OPTIONAL = {b"box": _ROTATION, b"ellipse": _ROTATION}
_LEAST = {b"polygon": 3, b"polyline": 2, b"points": 1}
"""Points that an element takes."""
_BEGIN = re.compile(rb"<image[\s>/]")
_LABEL = re.compile(rb"\slabel=(?:\"([^\"]*)\"|'([^']*)')")


def images(data: bytes) -> list[Any] | None:
    """What stands in a stretch of images.

    Args:
        data: from the start of an ``<image>`` to behind the end of one.

    Returns:
        For each image four entries: the text of its start tag's attributes, and three lists of one entry for each
        element within. Those of a plain element are its name and attributes, but for the numbers, with a space before
        each; the text within, None where that is only space; and the numbers as JSON: ``x,y,width,height`` of a box,
        the values of an ellipse or cuboid as the format orders them, with the rotation at the end, which stands with
        the attributes as ``rotation=""`` before all others; ``[[x,y,x,y,...]]`` of what has points; nothing of a tag.
        Those of any other element are None, None and its text. There is None in place of the second list if all of its
        entries are. None if there is anything but images, elements and space.
    """
    found: list[Any] = []
    position = _space(data, 0)
    while position < len(data):
        start = _IMAGE.match(data, position)
        if start is None:
            return None
        head = start[0][len(b"<image") : -1]
        empty = head.endswith(b"/")
        found.append(head.removesuffix(b"/"))
        position = start.end()
        if empty:
            found += [], None, []
        else:
            elements, position = _elements(data, position)
            if elements is None:
                return None
            said, within, numbers = (elements[i::3] for i in range(3))
            found += said, within if any(within) else None, numbers
        position = _space(data, position)
    return found


def _space(data: bytes, position: int) -> int:
    """Behind the space that begins at a position."""
    found = _SPACE.match(data, position)
    return position if found is None else found.end()


def _elements(data: bytes, position: int) -> tuple[list[bytes | None] | None, int]:
    """What is within an image, three entries for each element, and the position behind it."""
    within: list[bytes | None] = []
    while True:
        position = _space(data, position)
        if data[position : position + 2] == b"</":
            end = _IMAGE_END.match(data, position)
            return (None, position) if end is None else (within, end.end())
        plain = _shape(data, position)
        if plain is None:
            stop = _element_end(data, position)
            if stop is None:
                return None, position
            within += None, None, data[position:stop]
            position = stop
        else:
            said, inner, numbers, position = plain
            within += said, inner, numbers


def _element_end(data: bytes, position: int) -> int | None:
    """Behind the element that begins at a position."""
    depth = 0
    while position >= 0:
        tag = _ANY.match(data, position)
        if tag is None:
            return None
        if tag[0].startswith(b"</"):
            depth -= 1
        elif not tag[0].endswith(b"/>"):
            depth += 1
        if depth <= 0:
            return tag.end()
        position = data.find(b"<", tag.end())
        if b"\0" in data[tag.end() : position]:
            return None
    return None


def _shape(data: bytes, position: int) -> tuple[bytes, bytes | None, bytes, int] | None:
    """What a plain element says, what is within, its numbers, and the position behind it."""
    start = _SHAPE.match(data, position)
    if start is None:
        return None
    tag, position = start[1], start.end()
    names, optional = _NUMBERS[tag], _OPTIONAL.get(tag)
    said = [tag]
    values: dict[bytes, bytes] = {}
    while attribute := _ATTRIBUTE.match(data, position):
        text, name, value = attribute.groups()
        if name in values:
            return None
        if name in names or name == optional:
            values[name] = value
        else:
            said.append(text)
        position = attribute.end()
    end = _START_END.match(data, position)
    if end is None:
        return None
    position = end.end()
    inner = b""
    if not end[1]:
        begin, position = position, data.find(b"</" + tag, position)
        inner = data[begin:position]
        close = _START_END.match(data, position + 2 + len(tag))
        if position < 0 or b"\0" in inner or close is None or close[1]:
            return None
        position = close.end()
    if _ROTATION in values:
        said.insert(1, _ROTATION + b'=""')
    kept = b" ".join(said)
    within = inner if inner.strip(b" \t\r\n") else None
    numbers = _numbers(tag, values)
    if numbers is None or len(kept) > MOST_SAID or len(within or b"") > MOST_SAID:
        return None
    return kept, within, numbers, position


def _numbers(tag: bytes, values: dict[bytes, bytes]) -> bytes | None:
    """The numbers of an element as JSON."""
    names = _NUMBERS[tag]
    if not values.keys() >= set(names):
        return None
    if tag in _LEAST:
        return _ring(values[b"points"], _LEAST[tag])
    wanted = names if _ROTATION not in values else (*names, _ROTATION)
    numbers = [number for name in wanted if (number := _number(values[name])) is not None]
    if len(numbers) < len(wanted) or (_ROTATION in values and not numbers[-1][1]):  # turned by nothing
        return None
    made = [text for text, _, _ in numbers]
    if tag == b"box":
        for i in (2, 3):
            (_, low, whole), (_, high, whole_too) = numbers[i - 2], numbers[i]
            size = high - low
            if size < 0 or 0 < size < _SMALLEST:
                return None
            both = whole and whole_too
            made[i] = b"%d" % (size // _UNIT) if both else _fraction(b"%d.%06d" % divmod(size, _UNIT))
    return b",".join(made)


def _ring(points: bytes, least: int) -> bytes | None:
    """Points as one ring."""
    made: list[bytes] = []
    for point in points.split(b";"):
        pair = point.split(b",")
        numbers = [number[0] for text in pair if (number := _number(text)) is not None]
        if len(pair) != 2 or len(numbers) != 2:
            return None
        made += numbers
    return b"[[%b]]" % b",".join(made) if len(made) >= 2 * least else None


def _number(text: bytes) -> tuple[bytes, int, bool] | None:
    """A number as ``repr`` would write it, its millionths, and whether it is written without a point."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    sign, whole, decimals = found.groups()
    size = int(whole) * _UNIT + int((decimals or b"0").ljust(6, b"0"))
    if 0 < size < _SMALLEST or (sign and not size and decimals is None):
        return None
    return text if decimals is None else _fraction(text), -size if sign else size, decimals is None


def _fraction(text: bytes) -> bytes:
    """A decimal fraction without the zeros that say nothing."""
    short = text.rstrip(b"0")
    return short + b"0" if short.endswith(b".") else short


def places(data: bytes, stop: int) -> tuple[list[int], set[bytes]] | None:
    """Where images begin and which labels there are, before ``stop``.

    Returns:
        Offsets of ``<image``, and labels as they are written. None if there is anything in ``data`` that may hold what
        looks like an element and is none: a comment, CDATA, an instruction.
    """
    if b"<!" in data or b"<?" in data:
        return None
    offsets = [found.start() for found in _BEGIN.finditer(data, 0, stop)]
    return offsets, {one or other for one, other in _LABEL.findall(data, 0, stop)}


def _compiled() -> Any:
    try:
        return importlib.import_module("nucleus_convert.formats.cvat._scan")
    except ImportError:
        return None


plain_images, plain_places = images, places
if (quick := _compiled()) is not None:
    images, places = quick.images, quick.places
