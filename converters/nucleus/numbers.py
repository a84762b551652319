"""Questions about many numbers at once: whether all are finite, and whether polygons give their boxes."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from itertools import chain
from typing import Any

from nucleus_convert.converters.model import Box, Polygon, Record

SLACK = 1
"""Pixels that a box may differ from its region's envelope and still be taken as given by it."""


def not_finite(value: Any) -> str | None:
    """The path of the first number in ``value`` that is NaN or infinite."""
    pairs: Iterable[tuple[str, Any]]
    if type(value) is float:
        return None if math.isfinite(value) else ""
    if type(value) is dict:
        pairs = [(f".{key}", entry) for key, entry in value.items()]
    elif type(value) in (list, tuple):
        pairs = [(f"[{i}]", entry) for i, entry in enumerate(value)]
    else:
        return None
    for step, entry in pairs:
        rest = not_finite(entry)
        if rest is not None:
            return step + rest
    return None


class _Packs(dict[int, Any]):
    """Functions that pack so many numbers as doubles."""

    def __missing__(self, count: int) -> Any:
        pack = self[count] = struct.Struct(f"{count}d").pack
        return pack


def boxes_given(records: list[Record]) -> list[bool]:
    """For each annotation of a box and a polygon: whether the polygon gives the box to the pixel (no holes).

    All of a stretch at once: looking for the ends of each ring by itself takes four times as long.
    """
    packs = _Packs()
    pack_box = packs[4]
    rings: list[bytes] = []
    sizes: list[int] = []
    boxes: list[bytes] = []
    places: list[int] = []
    count = 0
    for record in records:
        for annotation in record.annotations:
            shapes = annotation.shapes
            if len(shapes) == 2 and type(shapes[0]) is Box and type(shapes[1]) is Polygon:
                box: Any = shapes[0]
                parts: Any = shapes[1].parts
                if len(parts) == 1 and len(parts[0]) == 1:
                    ring = parts[0][0]
                elif all(len(part) == 1 and len(part[0]) >= 6 and not len(part[0]) & 1 for part in parts):
                    ring = tuple(chain.from_iterable(part[0] for part in parts))
                else:
                    ring = ()
                size = len(ring)
                if size >= 6 and not size & 1 and not box.rotation:
                    try:
                        rings.append(packs[size](*ring))
                        boxes.append(pack_box(box.x, box.y, box.width, box.height))
                    except (OverflowError, struct.error):  # which of them, depends on the Python
                        del rings[len(boxes) :]
                    else:
                        sizes.append(size)
                        places.append(count)
                count += 1
    given = [False] * count
    if places:
        import numpy as np

        points = np.frombuffer(b"".join(rings)).reshape(-1, 2)
        starts = np.zeros(len(sizes), np.int64)
        np.cumsum(np.array(sizes[:-1], np.int64) // 2, out=starts[1:])
        rectangles = np.frombuffer(b"".join(boxes)).reshape(-1, 4)
        low = np.abs(np.minimum.reduceat(points, starts, axis=0) - rectangles[:, :2])
        high = np.abs(np.maximum.reduceat(points, starts, axis=0) - (rectangles[:, :2] + rectangles[:, 2:]))
        near = ((low <= SLACK) & (high <= SLACK)).all(axis=1)
        for place in np.array(places)[near].tolist():
            given[place] = True
    return given
