"""SegmentationClass and SegmentationObject pictures to masks, and which object each mask belongs to."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nucleus_convert.converters import indexmap, masks, png
from nucleus_convert.converters.errors import ReadError, SchemaError, Where
from nucleus_convert.converters.model import Annotation, Box, Mask

VOID = 255
_LEAST_IOU = 0.3
"""A mask belongs to no box that it fits worse than this."""


class Region(NamedTuple):
    """An object's pixels: its number (None in a class map), the class index most of them have, the mask."""

    number: int | None
    klass: int | None
    mask: Mask
    box: tuple[int, int, int, int]


def read_indices(path: Path, colors: dict[int, int], shown: str) -> npt.NDArray[Any]:
    """A label picture as indices; colours are looked up.

    Args:
        path: the PNG.
        colors: index by colour as R + 256 G + 65536 B, for pictures in RGB.
        shown: the file, for errors.

    Raises:
        MalformedFileError: not a PNG, or damaged.
        SchemaError: a colour that stands for nothing.
        ReadError: it cannot be opened.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ReadError(f"the picture cannot be read ({error.strerror})", Where(file=shown)) from error
    header = png.read_header(data[:33], name=shown)
    if header.colour not in (png.RGB, png.RGB_ALPHA):
        return png.decode(data, name=shown)
    ids = png.decode_ids(data, name=shown)
    present, places = np.unique(ids, return_inverse=True)
    table = np.zeros(len(present), np.int64)
    for i, color in enumerate(present.tolist()):
        if color not in colors:
            rgb = (color & 255, color >> 8 & 255, color >> 16)
            raise SchemaError(
                f"the colour {rgb} stands for no class", Where(file=shown), "name it in labelmap.txt"
            )
        table[i] = colors[color]
    return table[places].reshape(ids.shape)


def regions(classes: npt.NDArray[Any] | None, instances: npt.NDArray[Any] | None, shown: str) -> list[Region]:
    """The regions of a pair of pictures, without void: one for each object, or class if there are no objects.

    Raises:
        SchemaError: the two differ in size.
    """
    if instances is None:
        assert classes is not None
        return [
            _region(None, index, runs, classes)
            for index, runs in indexmap.split(classes, skip=(0, VOID)).items()
        ]
    if classes is not None and classes.shape != instances.shape:
        raise SchemaError(
            f"the object picture is {instances.shape[1]} x {instances.shape[0]}, the class picture"
            f" {classes.shape[1]} x {classes.shape[0]}",
            Where(file=shown),
        )
    found = []
    for number, runs in indexmap.split(instances, skip=(0, VOID)).items():
        index = None
        if classes is not None:
            votes = np.bincount(classes[instances == number].ravel())
            votes[[i for i in (0, VOID) if i < len(votes)]] = 0
            index = int(votes.argmax()) if votes.any() else None
        found.append(_region(number, index, runs, instances))
    return found


def void(pixels: npt.NDArray[Any] | None) -> Mask | None:
    """The pixels marked void, or None."""
    if pixels is None:
        return None
    runs = indexmap.split(pixels == VOID).get(1)
    return None if runs is None else Mask(masks.encode_counts(runs), *pixels.shape)


def _region(number: int | None, index: int | None, runs: masks.Runs, pixels: npt.NDArray[Any]) -> Region:
    height, width = pixels.shape
    return Region(number, index, Mask(masks.encode_counts(runs), height, width), masks.box(runs, height))


def match(found: list[Region], objects: list[Annotation], names: dict[int, str]) -> dict[int, int]:
    """Which object each region is of: {place in ``found``: place in ``objects``}.

    The class has to agree where both say one; then the box that fits best; order decides only between equals.
    """
    pairs = []
    for i, region in enumerate(found):
        if region.number is None:
            continue
        for j, annotation in enumerate(objects):
            box = annotation.shape(Box)
            if box is None or annotation.shape(Mask) is not None:
                continue
            if region.klass is not None and names.get(region.klass) not in (annotation.label, None):
                continue
            fit = _iou(box, region.box)
            if fit >= _LEAST_IOU:
                pairs.append((-fit, abs(region.number - 1 - j), i, j))
    matched: dict[int, int] = {}
    taken: set[int] = set()
    for _, _, i, j in sorted(pairs):
        if i not in matched and j not in taken:
            matched[i] = j
            taken.add(j)
    return matched


def _iou(box: Box, other: tuple[int, int, int, int]) -> float:
    x, y, width, height = other
    across = min(box.x + box.width, x + width) - max(box.x, x)
    down = min(box.y + box.height, y + height) - max(box.y, y)
    if across <= 0 or down <= 0:
        return 0.0
    shared = across * down
    return float(shared / (box.width * box.height + width * height - shared))
