"""Objects drawn twice: same label, nearly the same box. Linear in the number of objects, however crowded."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from nucleus_convert.converters.geometry import box_iou

Extent: TypeAlias = tuple[float, float, float, float]
"""x, y, width, height in pixels, finite, of positive size."""

FEW = 24
"""Up to so many, comparing all with all is quicker than sorting them into cells."""


def duplicates(extents: Sequence[Extent], threshold: float) -> Iterator[tuple[int, int, float]]:
    """(earlier, later, IoU) for each extent that overlaps an earlier one by ``threshold`` or more.

    Args:
        extents: of objects of one label in one image.
        threshold: intersection over union, from 0.5 to 1.
    """
    if len(extents) > FEW:
        yield from _among_many(extents, threshold)
        return
    for j in range(1, len(extents)):
        x, y, width, height = later = extents[j]
        for i in range(j):
            earlier = extents[i]
            # Most pairs are far apart, and a comparison is cheaper than an IoU.
            if abs(earlier[0] - x) > width or abs(earlier[1] - y) > height:
                continue
            iou = box_iou(earlier, later)
            if iou >= threshold:
                yield i, j, iou
                break


def _among_many(extents: Sequence[Extent], threshold: float) -> Iterator[tuple[int, int, float]]:
    """By cells: two extents that overlap by t have sides of a ratio of t at least, and corners close by.

    With sides in steps of 1/t two such extents are at most one step apart, and their corners at most (1 - t) / t of
    the side, which is what a cell measures. So a cell can hold but a few extents that do not overlap by t.
    """
    ratio = min(threshold, 0.99)  # of 1 there would be no cells; a few more are compared then
    step = math.log(1 / ratio)
    reach = (1 - ratio) / ratio**2
    cells: dict[tuple[int, int, int, int], list[int]] = {}
    for j, extent in enumerate(extents):
        x, y, width, height = extent
        across, down = math.floor(math.log(width) / step), math.floor(math.log(height) / step)
        match = _match(extent, extents, cells, across, down, step, reach, threshold)
        if match is not None:
            yield match[0], j, match[1]
        key = (across, down, *_cell(x, y, across, down, step, reach))
        cells.setdefault(key, []).append(j)


def _cell(x: float, y: float, across: int, down: int, step: float, reach: float) -> tuple[int, int]:
    """The cell of a corner, for sides of those steps."""
    return math.floor(x / (reach * math.exp(across * step))), math.floor(y / (reach * math.exp(down * step)))


def _match(
    extent: Extent,
    extents: Sequence[Extent],
    cells: dict[tuple[int, int, int, int], list[int]],
    across: int,
    down: int,
    step: float,
    reach: float,
    threshold: float,
) -> tuple[int, float] | None:
    for wide in (across, across - 1, across + 1):
        for tall in (down, down - 1, down + 1):
            column, row = _cell(extent[0], extent[1], wide, tall, step, reach)
            for i in (column, column - 1, column + 1):
                for k in (row, row - 1, row + 1):
                    for earlier in cells.get((wide, tall, i, k), ()):
                        iou = box_iou(extents[earlier], extent)
                        if iou >= threshold:
                            return earlier, iou
    return None
