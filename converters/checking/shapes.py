"""Rules about geometry, for a stretch of records at once: numbers go into arrays, and only what is wrong comes out.

Pixels as in the model: (0, 0) is the outer corner of the top-left pixel, so an image reaches to its width and height.
"""

from __future__ import annotations

import math
import struct
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from nucleus_convert.converters import geometry, masks
from nucleus_convert.converters.checking.catalogue import Code
from nucleus_convert.converters.checking.crossing import crossing
from nucleus_convert.converters.checking.duplicates import Extent
from nucleus_convert.converters.checking.problems import Problems
from nucleus_convert.converters.errors import ConvertError
from nucleus_convert.converters.model import (
    Annotation,
    Box,
    Cuboid,
    Cuboid2D,
    Ellipse,
    Item,
    Keypoints,
    Line,
    Mask,
    Points,
    Polygon,
    Record,
)

Floats: TypeAlias = npt.NDArray[np.float64]
Placed: TypeAlias = tuple[int, Extent]
"""The position of an annotation in its record, and its upright box."""
SLACK = 0.5
"""Pixels that a shape may reach out of its image: rounding, and points at the centre of pixels."""
_RING, _HOLE, _OPEN = 0, 1, 2
_CUBOID2D = "cuboid2d"
_FARTHEST = 1 << 53
"""Pixels: up to here a float holds every whole number. No image is so large."""
_SHORT_COUNTS = 12
"""Characters: the text of a mask with no pixel set is at most so long."""


class Owner(NamedTuple):
    """Whose a shape is."""

    item: Item
    annotation: Annotation
    kind: str


class Gathered:
    """The coordinates of a stretch of records."""

    def __init__(self) -> None:
        self.owners: list[Owner] = []
        self.packed: list[bytes] = []
        self.sizes: list[int] = []
        self.roles: list[int] = []
        self.point_owners: list[int] = []
        self.boxes: list[bytes] = []
        self.box_owners: list[int] = []


class _Packs(dict[int, Any]):
    """Functions that pack so many numbers as doubles."""

    def __missing__(self, count: int) -> Any:
        pack = self[count] = struct.Struct(f"{count}d").pack
        return pack


_PACKS = _Packs()


def check(records: list[Record], problems: Problems) -> list[list[Placed]]:
    """Check the shapes of records.

    Returns:
        For each record, (position, upright box) of each annotation that has one of positive size.
    """
    gathered = Gathered()
    ends: list[int] = []
    positions: list[int] = []
    for record in records:
        item = record.item
        for position, annotation in enumerate(record.annotations):
            for shape in annotation.shapes:
                _gather(shape, item, annotation, gathered, problems)
            positions += [position] * (len(gathered.owners) - len(positions))
        ends.append(len(gathered.owners))
    with np.errstate(all="ignore"):  # numbers near the end of what a float holds
        extents = _tested(gathered, problems)
        return _by_record(extents, ends, positions)


def _gather(shape: Any, item: Item, annotation: Annotation, gathered: Gathered, problems: Problems) -> None:
    """Add a shape's numbers, and tell at once what needs no array."""
    kind = type(shape)
    if kind is Box:
        x, y, width, height, rotation = shape.x, shape.y, shape.width, shape.height, shape.rotation
        if width < 0 or height < 0:
            problems.of(Code.NEGATIVE_SIZE, "box", item, annotation)
            return
        owner = Owner(item, annotation, "box")
        if rotation and geometry.finite(x, y, width, height, rotation):
            if not width or not height:
                problems.of(Code.ZERO_AREA, "box", item, annotation)
            x, y, width, height = geometry.box_envelope(x, y, width, height, rotation)
        try:
            gathered.boxes.append(_PACKS[4](x, y, width, height))
        except (OverflowError, struct.error):  # which of them, depends on the Python
            problems.of(Code.NOT_FINITE, "box", item, annotation)
            return
        gathered.box_owners.append(len(gathered.owners))
        gathered.owners.append(owner)
    elif kind is Polygon:
        owner = Owner(item, annotation, "polygon")
        for part in shape.parts:
            for number, ring in enumerate(part):
                _points(ring, _HOLE if number else _RING, owner, gathered, problems)
        gathered.owners.append(owner)
    elif kind is Line or kind is Points or kind is Cuboid2D:
        name = {Line: "line", Points: "points", Cuboid2D: _CUBOID2D}[kind]
        if kind is Line and len(shape.points) < 4:
            problems.of(Code.FEW_POINTS, "line", item, annotation)
        elif shape.points:
            owner = Owner(item, annotation, name)
            _points(shape.points, _OPEN, owner, gathered, problems)
            gathered.owners.append(owner)
    elif kind is Keypoints:
        seen = [
            value
            for x, y, visible in zip(shape.points[0::3], shape.points[1::3], shape.points[2::3], strict=False)
            if visible
            for value in (x, y)
        ]
        if seen:
            owner = Owner(item, annotation, "keypoints")
            _points(tuple(seen), _OPEN, owner, gathered, problems)
            gathered.owners.append(owner)
    else:
        _others(shape, item, annotation, gathered, problems)


def _others(shape: Any, item: Item, annotation: Annotation, gathered: Gathered, problems: Problems) -> None:
    if type(shape) is Mask:
        _mask(shape, item, annotation, gathered, problems)
    elif type(shape) is Ellipse:
        if shape.rx < 0 or shape.ry < 0:
            problems.of(Code.NEGATIVE_SIZE, "ellipse", item, annotation)
        elif not geometry.finite(shape.cx, shape.cy, shape.rx, shape.ry, shape.rotation):
            problems.of(Code.NOT_FINITE, "ellipse", item, annotation)
        elif not shape.rx or not shape.ry:
            problems.of(Code.ZERO_AREA, "ellipse", item, annotation)
        else:
            x, y, width, height = geometry.ellipse_envelope(shape.cx, shape.cy, shape.rx, shape.ry, shape.rotation)
            gathered.boxes.append(_PACKS[4](x, y, width, height))
            gathered.box_owners.append(len(gathered.owners))
            gathered.owners.append(Owner(item, annotation, "ellipse"))
    elif type(shape) is Cuboid:
        sides = (shape.length, shape.width, shape.height)
        if not geometry.finite(*sides, shape.x, shape.y, shape.z, shape.yaw):
            problems.of(Code.NOT_FINITE, "cuboid", item, annotation)
        elif min(sides) < 0:
            problems.of(Code.NEGATIVE_SIZE, "cuboid", item, annotation)
        elif min(sides) == 0:
            problems.of(Code.ZERO_AREA, "cuboid", item, annotation)


def _mask(shape: Mask, item: Item, annotation: Annotation, gathered: Gathered, problems: Problems) -> None:
    if (item.height is not None and item.height != shape.height) or (
        item.width is not None and item.width != shape.width
    ):
        problems.of(Code.MASK_SIZE, "", item, annotation)
    alone = len(annotation.shapes) == 1
    if not alone and len(shape.counts) > _SHORT_COUNTS:
        return  # not empty, and another shape says where it is
    try:
        runs = masks.decode_counts(shape.counts)
        masks.check_runs(runs, shape.height, shape.width)
    except ConvertError as error:
        problems.of(Code.UNREADABLE, f"mask: {error.message}", item, annotation)
        return
    if masks.area(runs) == 0:
        problems.of(Code.ZERO_AREA, "mask", item, annotation)
    elif alone:
        gathered.boxes.append(_PACKS[4](*masks.box(runs, shape.height)))
        gathered.box_owners.append(len(gathered.owners))
        gathered.owners.append(Owner(item, annotation, "mask"))


def _points(ring: Any, role: int, owner: Owner, gathered: Gathered, problems: Problems) -> None:
    size = len(ring)
    if size & 1 or (role != _OPEN and size < 6):
        problems.of(Code.FEW_POINTS, owner.kind, owner.item, owner.annotation)
        return
    try:
        gathered.packed.append(_PACKS[size](*ring))
    except (OverflowError, struct.error):  # which of them, depends on the Python
        problems.of(Code.NOT_FINITE, owner.kind, owner.item, owner.annotation)
        return
    gathered.sizes.append(size >> 1)
    gathered.roles.append(role)
    gathered.point_owners.append(len(gathered.owners))


# --- all at once ---------------------------------------------------------------------------------------


def _tested(gathered: Gathered, problems: Problems) -> Floats:
    """Test everything; the extents x0, y0, x1, y1 of all owners, NaN where there is none."""
    owners = gathered.owners
    extents = np.full((len(owners), 4), np.nan)
    if gathered.boxes:
        boxes = np.frombuffer(b"".join(gathered.boxes)).reshape(-1, 4)
        whose = np.array(gathered.box_owners)
        # The far corner may be too large where neither number is.
        finite = np.logical_and(np.isfinite(boxes), np.isfinite(boxes[:, [0, 1, 0, 1]] + boxes[:, [2, 3, 2, 3]])).all(1)
        _tell(Code.NOT_FINITE, whose[~finite], owners, problems)
        flat = finite & ((boxes[:, 2] == 0) | (boxes[:, 3] == 0))
        _tell(Code.ZERO_AREA, whose[flat], [*owners], problems, unrotated=True)
        boxes, whose = boxes[finite], whose[finite]
        extents[whose, :2] = boxes[:, :2]
        extents[whose, 2:] = boxes[:, :2] + boxes[:, 2:]
    if gathered.packed:
        _test_points(gathered, extents, problems)
    _test_place(extents, owners, problems)
    return extents


def _test_points(gathered: Gathered, extents: Floats, problems: Problems) -> None:
    owners = gathered.owners
    points = np.frombuffer(b"".join(gathered.packed)).reshape(-1, 2)
    sizes = np.array(gathered.sizes)
    roles = np.array(gathered.roles)
    whose = np.array(gathered.point_owners)
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    finite = np.logical_and.reduceat(np.isfinite(points).all(axis=1), starts)
    if not finite.all():
        _tell(Code.NOT_FINITE, np.unique(whose[~finite]), owners, problems)
        points = points[np.repeat(finite, sizes)]
        sizes, roles, whose = sizes[finite], roles[finite], whose[finite]
        if not len(sizes):
            return
        starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    low, high = np.minimum.reduceat(points, starts, axis=0), np.maximum.reduceat(points, starts, axis=0)
    # Rings of one owner stand together, so their extent is again a reduction.
    first = np.flatnonzero(np.concatenate(([True], whose[1:] != whose[:-1])))
    extents[whose[first], :2] = np.minimum.reduceat(low, first, axis=0)
    extents[whose[first], 2:] = np.maximum.reduceat(high, first, axis=0)
    closed = np.not_equal(roles, _OPEN)
    if not closed.any():
        return
    points = points[np.repeat(closed, sizes)]
    sizes, whose = sizes[closed], whose[closed]
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    flat = np.equal(_areas(points, starts, sizes), 0)
    _tell(Code.ZERO_AREA, np.unique(whose[flat]), owners, problems)
    crossed, left_open = crossing(points, starts, sizes)
    _tell(Code.SELF_CROSSING, np.unique(whose[crossed]), owners, problems)
    _tell(Code.NOT_TESTED, np.unique(whose[left_open]), owners, problems)


def _areas(points: Floats, starts: Any, sizes: Any) -> Floats:
    """Shoelace areas of rings, relative to their first points: small ones far from the origin keep their digits."""
    near = points - np.repeat(points[starts], sizes, axis=0)
    following = np.arange(1, len(points) + 1)
    following[starts + sizes - 1] = starts
    x, y = near[:, 0], near[:, 1]
    return np.abs(np.add.reduceat(x * y[following] - x[following] * y, starts)) / 2


def _test_place(extents: Floats, owners: list[Owner], problems: Problems) -> None:
    """What reaches out of its image, where its size is known."""
    if not owners:
        return
    sizes = np.array([(_side(owner.item.width), _side(owner.item.height)) for owner in owners], float)
    over = np.fmax(np.fmax(-extents[:, :2], extents[:, 2:] - sizes), 0).max(axis=1)
    over[np.isnan(extents[:, 0]) | np.isnan(sizes[:, 0])] = 0
    off = np.logical_or((extents[:, 2:] <= 0).any(axis=1), (extents[:, :2] >= sizes).any(axis=1))
    for position in np.flatnonzero(over > SLACK).tolist():
        item, annotation, kind = owners[position]
        if kind == _CUBOID2D and not off[position]:
            continue  # the corners of a cuboid that is partly seen are out of the image
        code = Code.OFF_IMAGE if off[position] else Code.OUTSIDE_IMAGE
        problems.of(code, kind, item, annotation, ("pixels", float(over[position])))


def _side(pixels: int | None) -> float:
    """A side of an image, NaN if it is not known."""
    return min(pixels, _FARTHEST) if pixels else math.nan


def _tell(code: Code, whose: Any, owners: list[Owner], problems: Problems, *, unrotated: bool = False) -> None:
    for position in whose.tolist():
        item, annotation, kind = owners[position]
        if unrotated and kind == "box":
            box = annotation.shape(Box)
            if box.rotation:
                continue  # told already
        problems.of(code, kind, item, annotation)


def _by_record(extents: Floats, ends: list[int], positions: list[int]) -> list[list[Placed]]:
    """For each record, the place and upright box of annotations: the first shape that has one, boxes before others."""
    sides = extents[:, 2:] - extents[:, :2]
    usable: list[bool] = np.asarray(np.logical_and(sides > 0, np.isfinite(sides)).all(axis=1)).tolist()
    boxes = np.concatenate((extents[:, :2], sides), axis=1).tolist()
    made: list[list[Placed]] = []
    start = 0
    for end in ends:
        found: dict[int, Extent] = {}
        for number in range(start, end):
            if usable[number]:
                found.setdefault(positions[number], tuple(boxes[number]))
        made.append(list(found.items()))
        start = end
    return made
