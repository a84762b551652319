"""Points as JSON text: ``{"x":12.5,"y":-3.0,"z":0.25,"i":0.5},`` for each.

Numbers are written with the fewest digits that give the same float32 again, as its ``repr`` has them. ``_pointtext.c``
does the same several times as fast and is used where it was built; without a compiler at installation all works just
as well, only slower.
"""

from __future__ import annotations

import functools
import importlib
import math
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

Points: TypeAlias = npt.NDArray[np.float32]
"""Shape (n, 4): x, y, z in metres, intensity."""

CHUNK: Final = 1 << 15
"""As many points are written at once, at most."""
_STEP: Final = 64


class _Full(msgspec.Struct, gc=False):
    x: float
    y: float
    z: float
    i: float


class _Bare(msgspec.Struct, gc=False):
    x: float
    y: float
    z: float


_NUMBER = [("sign", "u1"), ("whole", "u4"), ("rest", "u4")]
_ROW: Final = np.dtype([
    ("x=", "S5"), ("x", _NUMBER), ("y=", "S5"), ("y", _NUMBER), ("z=", "S5"), ("z", _NUMBER),
    ("i=", "S5"), ("i", _NUMBER), ("end", "S2"),
])  # fmt: skip
"""The text of a point in columns, filled up with NUL: of a number its sign, four digits, the point and three digits."""


@functools.cache
def _tables() -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Texts of 0 to 9999 and of .0 to .999, each of at most four characters, as the numbers that their bytes make."""
    whole = [str(number) for number in range(10_000)]
    rest = [f"{number / 1000:.3f}".rstrip("0")[1:].ljust(2, "0") for number in range(1000)]
    return np.array(whole, "S4").view(np.uint32), np.array(rest, "S4").view(np.uint32)


class PointText:
    """Writes points.

    Args:
        compiled: whether the compiled module may be used, where there is one.
    """

    def __init__(self, *, compiled: bool = True) -> None:
        self.quick = _compiled() if compiled else None
        self.encoder = msgspec.json.Encoder()
        self.rows: npt.NDArray[np.void] | None = None

    def of(self, points: Points) -> tuple[bytes, int]:
        """The JSON objects of points, at least one and at most CHUNK, a comma behind each; how many have no intensity.

        Coordinates must be finite; an intensity that is NaN is left out.
        """
        if self.quick is None:
            return self._plain(points)
        texts: list[bytes] = []
        bare = at = 0
        rows = np.ascontiguousarray(points, "<f4")
        while at < len(rows):
            text, done, without = self.quick.text(rows[at:])
            texts.append(text)
            bare += without
            at += done
            if at < len(rows):  # very small or large numbers
                text, without = self._plain(rows[at : at + _STEP])
                texts.append(text)
                bare += without
                at += _STEP
        return b"".join(texts), bare

    def _plain(self, points: Points) -> tuple[bytes, int]:
        """Lidars give millimetres, which need no float's digits to be searched: they are looked up."""
        exact = points.astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            thousandths = np.rint(exact * 1000)
            whole = (thousandths / 1000).astype(np.float32) == points
        if whole.all() and np.abs(thousandths).max() < 10_000_000:
            return self._looked_up(points, thousandths.astype(np.int32)), 0
        return self._searched(points)

    def _looked_up(self, points: Points, thousandths: npt.NDArray[np.int32]) -> bytes:
        size = len(points)
        if self.rows is None:
            self.rows = np.zeros(CHUNK, _ROW)
            for name, text in (("x=", b'{"x":'), ("y=", b',"y":'), ("z=", b',"z":'), ("i=", b',"i":'), ("end", b"},")):
                self.rows[name] = text
        rows = self.rows[:size]
        whole, rest = _tables()
        magnitude = np.abs(thousandths)
        wholes = magnitude // 1000
        rests = magnitude - 1000 * wholes
        signs = np.signbit(points).view(np.uint8) * np.uint8(ord("-"))
        for column, name in enumerate("xyzi"):
            into = rows[name]
            into["sign"] = signs[:, column]
            into["whole"] = whole[wholes[:, column]]
            into["rest"] = rest[rests[:, column]]
        return rows.tobytes().translate(None, b"\0")

    def _searched(self, points: Points) -> tuple[bytes, int]:
        x, y, z, i = (shortest(points[:, column]).tolist() for column in range(4))
        bare = sum(map(math.isnan, i))
        if not bare:
            return self.encoder.encode(list(map(_Full, x, y, z, i)))[1:-1] + b",", 0
        objects = [
            _Bare(across, aside, up) if math.isnan(value) else _Full(across, aside, up, value)
            for across, aside, up, value in zip(x, y, z, i, strict=True)
        ]
        return self.encoder.encode(objects)[1:-1] + b",", bare


def shortest(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Float64 numbers whose shortest text is that of the float32 given: 0.1 for float32's 0.1, not 0.10000000149.

    Among decimals of equally few digits that round to the float32, it is the nearest to it. Between 1e-12 and 1e22,
    that is; beyond, digits may be more, and the float32 is the same.
    """
    found = values.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        finite = np.flatnonzero(np.isfinite(np.log10(np.abs(found))))
    # More digits are never worse: one look at 6 spares most numbers, which are short or have them all, the others.
    short = _rounded(values[finite], 6)[1]
    for left, tried in ((finite[short], range(1, 7)), (finite[~short], range(7, 10))):
        for digits in tried:
            rounded, right = _rounded(values[left], digits)
            found[left[right]] = rounded[right]
            left = left[~right]
    return found


def _rounded(values: npt.NDArray[np.float32], digits: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Finite numbers, not 0, rounded to some significant digits, and whether they are the same float32 still."""
    exact = values.astype(np.float64)
    places = digits - 1 - np.floor(np.log10(np.abs(exact)))
    # Powers of ten are exact up to the 22nd: then this is the nearest float64 to the decimal.
    power = 10.0 ** np.abs(places)
    rounded = np.where(places >= 0, np.rint(exact * power) / power, np.rint(exact / power) * power)
    with np.errstate(over="ignore"):
        return rounded, rounded.astype(np.float32) == values


@functools.cache
def _compiled() -> Any:
    try:
        return importlib.import_module("nucleus_convert.converters._pointtext")
    except ImportError:
        return None
