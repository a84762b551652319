"""Numbers in text, and the two readings of a box, without losing a digit.

``voc``: xmin..xmax are pixel numbers from 1, both ends included: x = xmin - 1 and width = xmax - xmin + 1.
``edges``: x = xmin and width = xmax - xmin. Whole numbers stay whole; sums and differences of fractions
are taken in decimal, so that a box written and read again is the same box to the last digit.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

from nucleus_convert.converters.decimals import difference, shifted, total
from nucleus_convert.converters.model import Box, Number

Coords: TypeAlias = Literal["voc", "edges"]

def box(xmin: Number, ymin: Number, xmax: Number, ymax: Number, coords: Coords) -> Box:
    """The box of four coordinates, which are in order."""
    if coords == "edges":
        return Box(xmin, ymin, difference(xmax, xmin), difference(ymax, ymin))
    return Box(shifted(xmin, -1), shifted(ymin, -1), difference(xmax, xmin, 1), difference(ymax, ymin, 1))


def corners(shape: Box, coords: Coords) -> tuple[str, str, str, str]:
    """xmin, ymin, xmax, ymax as text: :func:`box` of them is the box."""
    start = 1 if coords == "voc" else 0
    return (
        total(shape.x, start),
        total(shape.y, start),
        total(shape.x, shape.width),
        total(shape.y, shape.height),
    )


def outward(shape: Box) -> Box:
    """The smallest box in whole pixels that covers the box."""
    if all(type(value) is int for value in (shape.x, shape.y, shape.width, shape.height)):
        return shape
    left, top = math.floor(shape.x), math.floor(shape.y)
    right, bottom = math.ceil(shape.x + shape.width), math.ceil(shape.y + shape.height)
    return Box(left, top, max(right - left, 1), max(bottom - top, 1), shape.rotation)
