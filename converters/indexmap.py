"""Many masks in one picture: painting them as indices, and taking them apart again.

An index map has one number for each pixel: which instance, segment or class is there. Runs are column-major,
as in ``masks``.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nucleus_convert.converters import masks
from nucleus_convert.converters.errors import Where
from nucleus_convert.converters.masks import Bitmap, Runs


class Painted(NamedTuple):
    """An index map of shape (height, width), and for each layer the pixels it lost to later layers."""

    pixels: Bitmap
    lost: tuple[int, ...]


def paint(
    layers: Sequence[tuple[int, Runs]],
    height: int,
    width: int,
    *,
    max_pixels: int = masks.MAX_ARRAY_PIXELS,
    where: Where | None = None,
) -> Painted:
    """Paint masks one over the other, the last on top, on a background of 0.

    A layer's loss is the number of its pixels that end up with another index: where two layers of one
    index overlap (two objects of a class in a semantic map), nothing is lost.

    Args:
        layers: index (1 to 255) and runs of each mask, all of the given size.
        height: of the picture, in pixels.
        width: of the picture, in pixels.
        max_pixels: size above which nothing is allocated.
        where: for the error.

    Raises:
        SchemaError: the size is over the limit, or runs do not fit it.
        ValueError: an index is not from 1 to 255.
    """
    masks.check_size(height, width, max_pixels=max_pixels, where=where)
    flat = np.zeros(height * width, np.uint8)
    areas = []
    for index, runs in layers:
        if not 1 <= index <= 255:
            raise ValueError(f"index {index} is not from 1 to 255")
        masks.check_runs(runs, height, width, where=where)
        start, inside = _window(runs)
        flat[start : start + len(inside)][inside] = index
        areas.append(masks.area(runs))
    if sum(areas) == np.count_nonzero(flat):
        lost = (0,) * len(areas)
    else:
        lost = tuple(
            size - _count(flat, index, runs) for size, (index, runs) in zip(areas, layers, strict=True)
        )
    return Painted(flat.reshape(width, height).T, lost)


def _window(runs: Runs) -> tuple[int, npt.NDArray[np.bool_]]:
    """The flat pixels from the first set one on (at least as far as the last): their position and state."""
    if len(runs) < 2:
        return 0, np.zeros(0, np.bool_)
    inner = runs[1:-1] if len(runs) % 2 else runs[1:]
    values = np.zeros(len(inner), np.bool_)
    values[0::2] = True
    return int(runs[0]), np.repeat(values, inner)


def _count(flat: Bitmap, index: int, runs: Runs) -> int:
    start, inside = _window(runs)
    return int(np.count_nonzero((flat[start : start + len(inside)] == index) & inside))


def split(pixels: npt.NDArray[np.integer], *, skip: Collection[int] = (0,)) -> dict[int, Runs]:
    """Take an index map apart: the canonical runs of each value present, in ascending order of value.

    Args:
        pixels: shape (height, width), any integer type (8-bit indices, panoptic ids).
        skip: values to leave out.
    """
    total = pixels.size
    if not total:
        return {}
    flat = pixels.T.reshape(-1)
    starts = np.concatenate([np.zeros(1, np.int64), np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    ends = np.append(starts[1:], total)
    values = flat[starts]
    order = np.argsort(values, kind="stable")
    values, starts, ends = values[order], starts[order], ends[order]
    cuts = np.flatnonzero(values[1:] != values[:-1]) + 1
    bounds = [0, *cuts.tolist(), len(values)]
    return {
        int(values[a]): masks.from_spans(starts[a:b], ends[a:b], total)
        for a, b in itertools.pairwise(bounds)
        if int(values[a]) not in skip
    }
