"""The pictures of KITTI's 2015 semantics benchmark as masks, and masks as such pictures.

- ``semantic/``: 8 bits, the number of each pixel's class (Cityscapes' numbers), 0 where there is none.
- ``instance/``: 16 bits, class * 256 + instance; instances count from 1 in each class of a picture, and 0 is no
  instance: ground and sky, or a group of objects that nobody told apart. Some writers leave those pixels 0.

A region is the pixels of one class and instance. Where both pictures are there, the instance picture says what its
pixels that are not 0 are, the semantic picture all others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from nucleus_convert.converters import indexmap, masks, png
from nucleus_convert.converters.errors import ReadError, SchemaError, Where
from nucleus_convert.converters.model import Annotation, Label, Mask

MOST = 255
"""Classes, and instances of a class, that a picture holds."""
INSTANCE: Final = "instance"
"""The key of a region's instance number in the extras of its annotation."""

NAMES: Final[Mapping[int, str]] = dict(enumerate((
    "unlabeled", "ego vehicle", "rectification border", "out of roi", "static", "dynamic", "ground", "road",
    "sidewalk", "parking", "rail track", "building", "wall", "fence", "guard rail", "bridge", "tunnel", "pole",
    "polegroup", "traffic light", "traffic sign", "vegetation", "terrain", "sky", "person", "rider", "car", "truck",
    "bus", "caravan", "trailer", "train", "motorcycle", "bicycle",
)))  # fmt: skip
"""Cityscapes' classes, as KITTI numbers them."""


class Region(NamedTuple):
    """The pixels of a class and an instance (0: none)."""

    klass: int
    instance: int
    mask: Mask


class Regions(NamedTuple):
    """The regions of a frame by class and instance.

    Attributes:
        found: the regions.
        disagreeing: pixels whose two pictures name different classes.
        silent: whether the instance picture has 0 where only the semantic picture names a class.
    """

    found: list[Region]
    disagreeing: int
    silent: bool = False


# --- pictures to masks ---------------------------------------------------------------------------------


def read(semantic: Path | None, instance: Path | None, *, folder: Path | None = None) -> Regions:
    """The regions that a frame's pictures show.

    Args:
        semantic: the 8-bit picture, if there is one.
        instance: the 16-bit picture, if there is one.
        folder: what names in errors are relative to.

    Raises:
        ReadError: a picture cannot be opened.
        MalformedFileError: it is no PNG.
        SchemaError: it has colours, or values beyond 255 where classes are expected; or the sizes differ.
    """
    classes = None if semantic is None else _pixels(semantic, folder)
    values = None if instance is None else _pixels(instance, folder)
    if classes is not None and classes.dtype != np.uint8 and (classes > MOST).any():
        raise SchemaError(
            f"the picture holds the value {int(classes.max())}, which is no class",
            _where(semantic, folder),
            "is it the instance picture?",
        )
    if values is not None and values.dtype == np.uint8:
        raise SchemaError(
            "the instance picture has 8 bits, and needs 16: class * 256 + instance",
            _where(instance, folder),
            "it was saved by a program that keeps only 8 bits; get the original",
        )
    if classes is not None and values is not None and classes.shape != values.shape:
        raise SchemaError(
            f"the instance picture is {values.shape[1]} x {values.shape[0]}, the semantic picture"
            f" {classes.shape[1]} x {classes.shape[0]}",
            _where(instance, folder),
        )
    return regions(classes, values)


def _where(path: Path | None, folder: Path | None) -> Where:
    assert path is not None
    return Where(file=str(path if folder is None else path.relative_to(folder)))


def _pixels(path: Path, folder: Path | None) -> npt.NDArray[Any]:
    where = _where(path, folder)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ReadError(f"the picture cannot be read ({error.strerror})", where) from error
    return png.decode(data, name=where.file)


def regions(classes: npt.NDArray[Any] | None, values: npt.NDArray[Any] | None) -> Regions:
    """The regions in arrays of one shape (height, width): classes, and class * 256 + instance."""
    silent = False
    if values is None:
        if classes is None:
            return Regions([], 0)
        whole, disagreeing = classes.astype(np.int64) << 8, 0
    else:
        whole, disagreeing = values.astype(np.int64), 0
        if classes is not None:
            silent = bool(np.any((values == 0) & (classes != 0)))
            said = values != 0
            disagreeing = int(np.count_nonzero(said & (values >> 8 != classes)))
            whole = np.where(said, whole, classes.astype(np.int64) << 8)
    height, width = whole.shape
    found = [
        Region(value >> 8, value & MOST, Mask(masks.encode_counts(runs), height, width))
        for value, runs in indexmap.split(whole).items()
    ]
    return Regions(found, disagreeing, silent)


def annotated(found: Iterable[Region], names: Mapping[int, str], format: str = "kitti") -> list[Annotation]:
    """An annotation for each region, with the class's name, or its number where it has none.

    The number of the instance is kept: an object of its own has one from 1 on.
    """
    return [
        Annotation(
            label=names.get(region.klass, str(region.klass)),
            shapes=(region.mask,),
            extras={format: {INSTANCE: region.instance}},
        )
        for region in found
    ]


# --- masks to pictures ---------------------------------------------------------------------------------


class Layer(NamedTuple):
    """An annotation's class, instance, and mask; ``place`` is which annotation of the frame it is."""

    place: int
    klass: int
    instance: int
    mask: Mask


class Numbered(NamedTuple):
    """The layers of a frame in order, and the annotations (by place) that no number was left for."""

    layers: list[Layer]
    beyond: list[int]


class Pictures(NamedTuple):
    """Pixels of both pictures, shape (height, width), and for each layer those it lost to later layers."""

    semantic: npt.NDArray[np.uint8]
    instance: npt.NDArray[np.uint16]
    lost: tuple[int, ...]


def classes_of(labels: Iterable[Label]) -> dict[str, int]:
    """Numbers of classes by name: the one that a label came with, if it can be; Cityscapes'; the next free one."""
    known = {name: number for number, name in NAMES.items()}
    numbers: dict[str, int] = {}
    waiting = []
    for label in labels:
        number = label.id if type(label.id) is int else known.get(label.name)
        if number is None or not 0 <= number <= MOST or number in numbers.values():
            waiting.append(label.name)
        else:
            numbers[label.name] = number
    free = (number for number in (*range(len(NAMES), MOST + 1), *range(1, len(NAMES))))
    for name in waiting:
        found = next((number for number in free if number not in numbers.values()), None)
        if found is None:
            break
        numbers[name] = found
    return numbers


def numbered(found: Sequence[Annotation], classes: Mapping[str, int], format: str = "kitti") -> Numbered:
    """The masks of a frame's annotations with their numbers.

    An annotation that came from such a picture keeps its instance. Of the others, crowds have instance 0, and each
    other the lowest that is free in its class.
    """
    wanted = [_instance(annotation, format) for annotation in found]
    taken = {(annotation.label, number) for annotation, number in zip(found, wanted, strict=True) if number is not None}
    layers: list[Layer] = []
    beyond: list[int] = []
    last: dict[str, int] = {}
    for place, (annotation, number) in enumerate(zip(found, wanted, strict=True)):
        mask, label = annotation.shape(Mask), annotation.label
        if mask is None:
            continue
        klass = None if label is None else classes.get(label)
        if label is not None and number is None:
            number = last.get(label, 0) + 1
            while (label, number) in taken:
                number += 1
            last[label] = number
        if klass is None or number is None or number > MOST:
            beyond.append(place)
        else:
            layers.append(Layer(place, klass, number, mask))
    return Numbered(layers, beyond)


def _instance(annotation: Annotation, format: str) -> int | None:
    if annotation.crowd:
        return 0
    number = annotation.extras.get(format, {}).get(INSTANCE)
    return number if type(number) is int and 0 <= number <= MOST else None


def pictures(layers: Sequence[Layer], height: int, width: int, *, where: Where | None = None) -> Pictures:
    """Paint layers one over the other, the last on top.

    Raises:
        SchemaError: the size is too large, or a mask is of another.
    """
    masks.check_size(height, width, max_pixels=masks.MAX_ARRAY_PIXELS, where=where)
    flat = np.zeros(height * width, np.uint16)
    areas: list[int] = []
    for layer in layers:
        if (layer.mask.height, layer.mask.width) != (height, width):
            raise SchemaError(
                f"a mask is {layer.mask.width} x {layer.mask.height}, its picture {width} x {height}", where
            )
        runs = masks.read_counts(layer.mask.counts, height, width, where=where)
        value = layer.klass << 8 | layer.instance
        for start, end in zip(*(edge.tolist() for edge in masks.spans(runs)), strict=True):
            flat[start:end] = value
        areas.append(masks.area(runs))
    lost = (0,) * len(layers)
    if sum(areas) != np.count_nonzero(flat):
        lost = tuple(_lost(flat, layer) for layer in layers)
    instance = flat.reshape(width, height).T
    return Pictures((instance >> 8).astype(np.uint8), instance, lost)


def _lost(flat: npt.NDArray[np.uint16], layer: Layer) -> int:
    """The pixels of a layer that another value was painted over."""
    inside = masks.expand(masks.decode_counts(layer.mask.counts)).view(np.bool_)
    return int(np.count_nonzero(inside & (flat[: len(inside)] != (layer.klass << 8 | layer.instance))))


def classes_shown(path: Path, *, instance: bool) -> list[int]:
    """The numbers of the classes in a picture; none if it cannot be read.

    Args:
        path: the picture.
        instance: whether it is one of instances.
    """
    try:
        values = np.unique(_pixels(path, None))
    except ReadError:
        return []
    numbers: list[int] = np.unique(values >> 8 if instance else values).tolist()
    return [number for number in numbers if 0 < number <= MOST]


def drawn(
    found: Sequence[Annotation], classes: Mapping[str, int], height: int, width: int, *, silent: bool
) -> tuple[bytes, bytes, int, int]:
    """The semantic and the instance picture of a frame's masks, as PNG.

    Returns:
        Both pictures, how many masks lost pixels to others, and how many objects no number was left for.
    """
    layers, beyond = numbered(found, classes)
    made = pictures(layers, height, width)
    instance = made.instance
    if silent:
        instance = np.where(instance & MOST, instance, 0).astype(np.uint16)
    covered = sum(count > 0 for count in made.lost)
    semantic = png.encode(np.ascontiguousarray(made.semantic))
    return semantic, png.encode_deep(np.ascontiguousarray(instance)), covered, len(beyond)
