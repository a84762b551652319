"""Numbers in text, and the two readings of a box, without losing a digit.

``voc``: xmin..xmax are pixel numbers from 1, both ends included: x = xmin - 1 and width = xmax - xmin + 1.
``edges``: x = xmin and width = xmax - xmin. Whole numbers stay whole; sums and differences of fractions
are taken in decimal, so that a box written and read again is the same box to the last digit.
"""

from __future__ import annotations

import math
import re
from decimal import Context, Decimal
from typing import Literal, TypeAlias

from nucleus_convert.converters.errors import UnrepresentableError
from nucleus_convert.converters.model import Box, Number

Coords: TypeAlias = Literal["voc", "edges"]

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_EXACT = Context(prec=60)
MAX_DIGITS = 40


def number(text: str) -> Number:
    """An int where the text is whole, else a float.

    Raises:
        ValueError: it is no finite number.
    """
    text = text.strip()
    if len(text) > MAX_DIGITS or _NUMBER.fullmatch(text) is None:
        raise ValueError(text)
    if text.lstrip("+-").isdigit():
        return int(text)
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def shifted(value: Number, by: int) -> Number:
    """``value + by`` without losing a digit that is written."""
    if not by or type(value) is int:
        return value + by
    return float(_EXACT.add(Decimal(repr(value)), Decimal(by)))


def difference(high: Number, low: Number, more: int = 0) -> Number:
    """``high - low + more``, in decimal where there are fractions."""
    if type(high) is int and type(low) is int:
        return high - low + more
    exact = _EXACT.subtract(Decimal(repr(high)), Decimal(repr(low)))
    return float(_EXACT.add(exact, Decimal(more)))


def box(xmin: Number, ymin: Number, xmax: Number, ymax: Number, coords: Coords) -> Box:
    """The box of four coordinates, which are in order."""
    if coords == "edges":
        return Box(xmin, ymin, difference(xmax, xmin), difference(ymax, ymin))
    return Box(shifted(xmin, -1), shifted(ymin, -1), difference(xmax, xmin, 1), difference(ymax, ymin, 1))


def corners(shape: Box, coords: Coords) -> tuple[str, str, str, str]:
    """xmin, ymin, xmax, ymax as text: :func:`box` of them is the box."""
    start = 1 if coords == "voc" else 0
    return (
        _sum(shape.x, start),
        _sum(shape.y, start),
        _sum(shape.x, shape.width),
        _sum(shape.y, shape.height),
    )


def _sum(a: Number, b: Number) -> str:
    if type(a) is int and type(b) is int:
        return str(a + b)
    total = _EXACT.add(Decimal(repr(a)), Decimal(repr(b)))
    if not total.is_finite():
        raise UnrepresentableError("a coordinate is NaN or infinite", hint="mend the source")
    text = format(total, "f")
    if len(text) > MAX_DIGITS:  # of no use to anyone: the nearest float will do
        return repr(float(total))
    if "." not in text:  # 2.5 + 0.5: keep it a fraction, as it was
        text += ".0"
    return text


def outward(shape: Box) -> Box:
    """The smallest box in whole pixels that covers the box."""
    if all(type(value) is int for value in (shape.x, shape.y, shape.width, shape.height)):
        return shape
    left, top = math.floor(shape.x), math.floor(shape.y)
    right, bottom = math.ceil(shape.x + shape.width), math.ceil(shape.y + shape.height)
    return Box(left, top, max(right - left, 1), max(bottom - top, 1), shape.rotation)
