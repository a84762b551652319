"""Rings of numbers as JSON text, written as vertices without making a Python number of each.

The text of the numbers stays as it was written, to the last digit. ``_rings.c`` does the same several times as fast and
is used where it was built; without a compiler at installation all works just as well, only slower.
"""

from __future__ import annotations

import importlib
from typing import Any

_SPACE = b" \t\r\n"


def vertices(rings: bytes) -> list[bytes]:
    """The points of each ring as those of one JSON array, ``{"x":1,"y":2},...``.

    Args:
        rings: a JSON array of rings, each a flat array of x and y in turn: ``[[x0,y0,x1,y1,...],...]``.
    """
    made: list[bytes] = []
    for ring in rings.translate(None, _SPACE)[2:-2].split(b"],["):
        numbers = ring.split(b",")
        points = map(b',"y":'.join, zip(numbers[::2], numbers[1::2], strict=True))
        made.append(b'{"x":' + b'},{"x":'.join(points) + b"}")
    return made


def _compiled() -> Any:
    try:
        return importlib.import_module("nucleus_convert.formats._rings")
    except ImportError:
        return None


plain_vertices = vertices
if (quick := _compiled()) is not None:
    vertices = quick.vertices
