"""Rings of numbers as JSON text: looked over, and written as vertices, without making a Python number of each.

Label files of the common kind hold little else, so this is where most of their bytes go. The text of the numbers
stays as it was written, to the last digit. ``_rings.c`` does the same several times as fast and is used where it was
built; without a compiler at installation all works just as well, only slower.
"""

from __future__ import annotations

import importlib
from typing import Any

import msgspec

_DECODE_RINGS = msgspec.json.Decoder(list[list[float]]).decode
_DECODE_BOX = msgspec.json.Decoder(tuple[float, float, float, float]).decode
_SPACE = b" \t\r\n"


def measure(rings: bytes, box: bytes) -> tuple[int, float] | None:
    """Look over the rings of a region, and how far its box is from their extent.

    Args:
        rings: a JSON array of rings, each a flat array of x and y in turn: ``[[x0,y0,x1,y1,...],...]``.
        box: left, top, width and height as JSON numbers with commas between, without brackets.

    Returns:
        The number of rings, and the largest distance in pixels of an edge of the box from that edge of the rings'
        envelope. None if this is anything else: rings of fewer than three points, of an odd count of numbers, or
        that repeat their first point; numbers beyond float64; no numbers.
    """
    try:
        x, y, width, height = _DECODE_BOX(b"[" + box + b"]")
        read = _DECODE_RINGS(rings)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if not read or any(len(ring) < 6 or len(ring) & 1 or ring[:2] == ring[-2:] for ring in read):
        return None
    xs = [number for ring in read for number in ring[::2]]
    ys = [number for ring in read for number in ring[1::2]]
    edges = (min(xs) - x, min(ys) - y, max(xs) - (x + width), max(ys) - (y + height))
    return len(read), max(map(abs, edges))


def vertices(rings: bytes) -> list[bytes]:
    """The rings that :func:`measure` approved of, each as ``{"x":1,"y":2},...``: the points of one JSON array."""
    made: list[bytes] = []
    for ring in rings.translate(None, _SPACE)[2:-2].split(b"],["):
        numbers = ring.split(b",")
        points = map(b',"y":'.join, zip(numbers[::2], numbers[1::2], strict=True))
        made.append(b'{"x":' + b'},{"x":'.join(points) + b"}")
    return made


def polygon(head: bytes, rings: bytes, *rest: bytes) -> bytes:
    """The :func:`vertices` of the first ring between the head and the rest, as one text."""
    return b"".join((head, vertices(rings)[0], *rest))


def _compiled() -> Any:
    try:
        return importlib.import_module("nucleus_convert.formats._rings")
    except ImportError:
        return None


plain_measure, plain_vertices, plain_polygon = measure, vertices, polygon
if (quick := _compiled()) is not None:
    measure, vertices, polygon = quick.measure, quick.vertices, quick.polygon
