"""How far apart two drawings are: pixels, intersection over union, metres. Knows shapes, not files or rules.

Displacements are between points of the same number, so shapes of unlike structure have none and are told apart by
their intersection over union. That of upright boxes and of masks is exact; an outline is drawn on the pixels of the
mask it is compared with, and two outlines on a raster of their common envelope, fine enough for two digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from nucleus_convert.converters import contours, geometry, masks, raster
from nucleus_convert.converters.errors import ConvertError
from nucleus_convert.converters.model import (
    Annotation,
    Box,
    Cuboid,
    Cuboid2D,
    Ellipse,
    Keypoints,
    Line,
    Mask,
    Number,
    Points,
    Polygon,
    Shape,
)

RASTER = 512
"""Longer side of the raster that outlines are drawn on to be compared."""
THICKNESS = 4
"""Pixels by which a line or a point is thought wide when places are compared."""


class Measure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How large a difference is, as far as there is a measure for it.

    Attributes:
        pixels: the largest displacement of a point, in pixels.
        iou: intersection over union of the two regions, 0 to 1.
        differing: pixels that are in one mask only.
        metres: how far the centres of two cuboids are apart.
        degrees: how far they, or two boxes, are turned against each other.
    """

    pixels: float | None = None
    iou: float | None = None
    differing: int | None = None
    metres: float | None = None
    degrees: float | None = None

    @property
    def says(self) -> bool:
        """Whether something moved: shapes may differ in what has no place, such as the names of points."""
        moved = self.pixels or self.differing or self.metres or self.degrees
        return bool(moved) or (self.iou is not None and self.iou < 1)

    def __str__(self) -> str:
        parts = []
        if self.pixels is not None:
            parts.append(f"{self.pixels:.4g} px")
        if self.metres is not None:
            parts.append(f"{self.metres:.4g} m")
        if self.degrees:
            parts.append(f"{self.degrees:.4g}°")
        if self.differing is not None:
            parts.append(f"{self.differing:,} pixels differ")
        if self.iou is not None:
            parts.append(f"IoU {self.iou:.4f}")
        return ", ".join(parts)


NOTHING = Measure()


class Place(NamedTuple):
    """Where an object is: a space (the picture, or a frame of the world seen from above) and an upright box in it."""

    space: str
    x: float
    y: float
    width: float
    height: float


_REGIONS = (Mask, Polygon, Ellipse, Box, Cuboid2D, Keypoints, Line, Points, Cuboid)


def region(annotation: Annotation) -> Any:
    """The shape that says best where an object is, or None."""
    for kind in _REGIONS:
        shape = annotation.shape(kind)
        if shape is not None:
            return shape
    return None


def place(annotation: Annotation) -> Place | None:
    """Where an object is; None for what is said of the whole item."""
    shape = annotation.shape(Box) or region(annotation)
    return None if shape is None else place_of(shape)


def place_of(shape: Shape) -> Place | None:
    """The upright box around a shape; None if it has no place, or one that is no number."""
    if isinstance(shape, Cuboid):
        space = f"frame {shape.frame}"
        bounds = _bounds(_ground, shape)
    else:
        space = "image"
        bounds = _bounds(_envelope, shape)
    if bounds is None:
        return None
    x, y, width, height = bounds
    if not math.isfinite(x + y + width + height):
        return None
    if isinstance(shape, Line | Points | Keypoints):
        return Place(space, x - THICKNESS / 2, y - THICKNESS / 2, width + THICKNESS, height + THICKNESS)
    return Place(space, x, y, width, height)


def envelope(shape: Shape) -> geometry.Bounds | None:
    """The upright box around a shape in the picture, in pixels; None if nothing of it is there."""
    return _bounds(_envelope, shape)


def _bounds(find: Callable[[Any], geometry.Bounds | None], shape: Shape) -> geometry.Bounds | None:
    """What ``find`` finds, as floats; None for numbers that no float holds, or of which nothing can be found."""
    try:
        found = find(shape)
        return None if found is None else geometry.Bounds(*map(float, found))
    except (OverflowError, ValueError):
        return None


def _ground(shape: Cuboid) -> geometry.Bounds:
    """The upright box around a cuboid seen from above, in metres."""
    left, low = shape.x - shape.length / 2, shape.y - shape.width / 2
    return geometry.box_envelope(left, low, shape.length, shape.width, math.degrees(shape.yaw))


def _envelope(shape: Shape) -> geometry.Bounds | None:
    if isinstance(shape, Box):
        return geometry.box_envelope(shape.x, shape.y, shape.width, shape.height, shape.rotation)
    if isinstance(shape, Ellipse):
        return geometry.ellipse_envelope(shape.cx, shape.cy, shape.rx, shape.ry, shape.rotation)
    if isinstance(shape, Keypoints):
        return geometry.keypoints_box(shape.points)
    if isinstance(shape, Mask):
        runs = _runs(shape)
        return None if runs is None else geometry.Bounds(*masks.box(runs, shape.height))
    if isinstance(shape, Polygon):
        points: Sequence[Number] = [value for part in shape.parts for ring in part for value in ring]
    elif isinstance(shape, Line | Points | Cuboid2D):
        points = shape.points
    else:
        return None
    return geometry.envelope(points) if len(points) >= 2 else None


def overlap(one: Place, other: Place) -> float:
    """Intersection over union of two places of one space."""
    return geometry.box_iou(one[1:], other[1:])


# --- two shapes ----------------------------------------------------------------------------------------


def between(before: Shape, after: Shape) -> Measure:
    """How far apart two shapes are, of one kind or of two; nothing where that is more than a float holds."""
    try:
        return _between(before, after)
    except (OverflowError, ValueError):
        return NOTHING


def _between(before: Shape, after: Shape) -> Measure:
    if isinstance(before, Cuboid) and isinstance(after, Cuboid):
        turned = math.degrees(math.remainder(after.yaw - before.yaw, math.tau))
        return Measure(
            metres=math.dist((before.x, before.y, before.z), (after.x, after.y, after.z)), degrees=abs(turned)
        )
    if isinstance(before, Mask) and isinstance(after, Mask):
        return _masks(before, after)
    degrees = None
    if isinstance(before, Box) and isinstance(after, Box) and before.rotation != after.rotation:
        degrees = abs(math.remainder(after.rotation - before.rotation, 360))
    return Measure(pixels=_displacement(before, after), iou=_iou(before, after), degrees=degrees)


def _masks(before: Mask, after: Mask) -> Measure:
    size = before.height, before.width
    if size != (after.height, after.width):
        return Measure(iou=_iou(before, after))
    first, second = _runs(before), _runs(after)
    if first is None or second is None:
        return NOTHING
    areas = masks.area(first) + masks.area(second)
    whole = masks.area(masks.decode_counts(masks.union([before.counts, after.counts], *size)))
    return Measure(iou=(areas - whole) / whole if whole else 1.0, differing=2 * whole - areas)


def _runs(mask: Mask) -> masks.Runs | None:
    """The mask's runs; None if they are none, or do not fit its size."""
    try:
        runs = masks.decode_counts(mask.counts)
        masks.check_runs(runs, mask.height, mask.width)
    except ConvertError:
        return None
    return runs


def _displacement(before: Shape, after: Shape) -> float | None:
    """The largest distance between points of the same number; None for shapes of unlike structure."""
    if type(before) is not type(after):
        return None
    if isinstance(before, Keypoints) and isinstance(after, Keypoints):
        return _keypoints(before, after)
    one, other = _points(before), _points(after)
    if [len(ring) for ring in one] != [len(ring) for ring in other]:
        return None
    return max((geometry.max_displacement(a, b) for a, b in zip(one, other, strict=True)), default=0.0)


def _keypoints(before: Keypoints, after: Keypoints) -> float | None:
    """The largest displacement of points that both have labelled."""
    if len(before.points) != len(after.points):
        return None
    points = zip(*(shape.points[k::3] for shape in (before, after) for k in range(3)), strict=True)
    return max((math.dist((ax, ay), (bx, by)) for ax, ay, av, bx, by, bv in points if av and bv), default=0.0)


def _points(shape: Shape) -> list[Sequence[Number]]:
    """A shape's own points as flat lists."""
    if isinstance(shape, Box):
        return [geometry.box_ring(shape.x, shape.y, shape.width, shape.height, shape.rotation)]
    if isinstance(shape, Ellipse):
        cos, sin = geometry.cos_sin(shape.rotation)
        corners: list[Number] = []
        for i in range(16):
            c, s = geometry.cos_sin(22.5 * i)
            corners += (
                shape.cx + shape.rx * c * cos - shape.ry * s * sin,
                shape.cy + shape.rx * c * sin + shape.ry * s * cos,
            )
        return [corners]
    if isinstance(shape, Polygon):
        return [ring for part in shape.parts for ring in part]
    return [shape.points] if isinstance(shape, Line | Points | Cuboid2D) else []


def _iou(before: Shape, after: Shape) -> float | None:
    """Intersection over union of two regions; None if either is none, or is too far out to draw."""
    if isinstance(before, Box) and isinstance(after, Box) and before.rotation == after.rotation == 0:
        return geometry.box_iou(*((box.x, box.y, box.width, box.height) for box in (before, after)))
    for mask, shape in ((before, after), (after, before)):
        if isinstance(mask, Mask) and not isinstance(shape, Mask):
            return _drawn_iou(mask, shape)
    one, other = outlines(before), outlines(after)
    if not one or not other:
        return None
    x, y, width, height = geometry.envelope([v for parts in (one, other) for part in parts for v in part[0]])
    longer = max(width, height)
    if not math.isfinite(longer) or longer <= 0:
        return None
    scale = RASTER / longer
    size = max(1, math.ceil(height * scale)), max(1, math.ceil(width * scale))
    drawn = []
    try:
        for parts in (one, other):
            moved = [[_moved(ring, x, y, scale) for ring in part if len(ring) >= 6] for part in parts]
            drawn.append(raster.from_parts([part for part in moved if part], *size))
        return masks.iou(drawn[0], drawn[1], *size)
    except ConvertError:
        return None


def _drawn_iou(mask: Mask, shape: Shape) -> float | None:
    """Intersection over union of a mask and an outline, drawn on the mask's own pixels."""
    parts = outlines(shape)
    if _runs(mask) is None or not parts:
        return None
    try:
        rings = [[ring for ring in part if len(ring) >= 6] for part in parts]
        drawn = raster.from_parts(rings, mask.height, mask.width)
        return masks.iou(mask.counts, drawn, mask.height, mask.width)
    except ConvertError:
        return None


def _moved(ring: Sequence[Number], x: Number, y: Number, scale: float) -> list[float]:
    return [(value - (y if i % 2 else x)) * scale for i, value in enumerate(ring)]


def outlines(shape: Shape) -> Sequence[Sequence[Sequence[Number]]]:
    """The parts of a region, each an outline and its holes, in pixels; none for what covers nothing."""
    if isinstance(shape, Polygon):
        return [part for part in shape.parts if part and len(part[0]) >= 6]
    if isinstance(shape, Box):
        return [[geometry.box_ring(shape.x, shape.y, shape.width, shape.height, shape.rotation)]]
    if isinstance(shape, Ellipse):
        return [[geometry.ellipse_ring(shape.cx, shape.cy, shape.rx, shape.ry, shape.rotation).ring]]
    if isinstance(shape, Mask):
        runs = _runs(shape)
        return [] if runs is None else contours.trace(runs, shape.height)
    return []
