"""Numbers in text, and sums and differences of them taken in decimal, so that no digit is lost or made.

A file says 1.10 and 5.55 where the model says 1.1 and a width of 4.45: in binary the difference is
4.449999999999999, and the sum of 1.1 and that is not 5.55 for every such pair.
"""

from __future__ import annotations

import math
import re
from decimal import Context, Decimal

from nucleus_convert.converters.errors import UnrepresentableError
from nucleus_convert.converters.model import Number

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_PLAIN = re.compile(r"-?\d{1,15}\.\d{1,15}", re.ASCII)
_EXACT = Context(prec=60)
MAX_DIGITS = 40


def number(text: str) -> Number:
    """An int where the text is whole, else a float.

    Raises:
        ValueError: it is no finite number.
    """
    if _PLAIN.fullmatch(text) is not None:  # as nearly all are
        return float(text)
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


def total(a: Number, b: Number) -> str:
    """``a + b`` as text, whole only if both are; :func:`difference` of it and one is the other.

    Raises:
        UnrepresentableError: one of them is not finite.
    """
    if type(a) is int and type(b) is int:
        return str(a + b)
    exact = _EXACT.add(Decimal(repr(a)), Decimal(repr(b)))
    if not exact.is_finite():
        raise UnrepresentableError("a coordinate is NaN or infinite", hint="mend the source")
    text = format(exact, "f")
    if len(text) > MAX_DIGITS:  # of no use to anyone: the nearest float will do
        return repr(float(exact))
    if "." not in text:  # 2.5 + 0.5: keep it a fraction, as it was
        text += ".0"
    return text
