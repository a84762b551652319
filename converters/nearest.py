"""The nearest shape that a format can hold, how far off it is, and what a shape needs of a format to be held."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

from nucleus_convert.converters import geometry
from nucleus_convert.converters.errors import ConvertError
from nucleus_convert.converters.model import (
    KINDS,
    Box,
    Cuboid2D,
    Ellipse,
    Item,
    Keypoints,
    Line,
    Mask,
    Points,
    Polygon,
    Shape,
)
from nucleus_convert.converters.protocol import SHAPE_FEATURES, Feature, Spec
from nucleus_convert.converters.substitutes import substitute


def features_of(shape: Shape) -> list[Feature]:
    """What a format must hold to hold this shape exactly."""
    features = [SHAPE_FEATURES[KINDS[type(shape)]]]
    if type(shape) is Box and shape.rotation:
        features.append(Feature.ROTATION)
    elif type(shape) is Polygon:
        if len(shape.parts) > 1:
            features.append(Feature.PARTS)
        if any(len(part) > 1 for part in shape.parts):
            features.append(Feature.HOLES)
    return features


def drawable(shape: Shape, spec: Spec) -> bool:
    """Whether the format has words for this shape."""
    return spec.holds.issuperset(features_of(shape))


def extent_rank(shape: Shape) -> int:
    """The shape to approximate first: the one that says most about the object's extent."""
    ranks: dict[type[Any], int] = {Mask: 6, Polygon: 5, Ellipse: 4, Box: 3, Cuboid2D: 2, Keypoints: 1}
    return ranks.get(type(shape), 0)


def describe(shape: Shape) -> str:
    """What to call it: by the feature that it needs, if that is one."""
    features = features_of(shape)
    return (
        str(features[-1] if len(features) == 2 else features[0])
        if len(features) < 3
        else "polygon with holes"
    )


Approximation: TypeAlias = tuple[Shape, tuple[str, float] | None]
"""A shape, and how far off it is: ("IoU", 0 to 1), ("pixels", largest distance) or None where it is exact."""


def approximate(shape: Shape, spec: Spec, item: Item) -> Approximation | None:
    """The nearest shape that the format holds, or None where nothing comes near (a tag, a 3-D cuboid).

    What has an outline becomes a polygon, or else a mask where the item's size is known, or else a polygon
    without its holes and smaller parts; what has only an extent becomes its envelope box. Nothing comes near
    whole numbers that no float holds.
    """
    try:
        return _nearest(shape, spec, item)
    except OverflowError:
        return None


def _nearest(shape: Shape, spec: Spec, item: Item) -> Approximation | None:
    outline, measure = _outline(shape, spec)
    if outline is not None:
        if drawable(outline, spec):
            return outline, measure
        mask = _drawn(outline, item) if Feature.MASK in spec.holds and type(shape) is not Mask else None
        if mask is not None:
            return mask, ("IoU", _likeness(_area(mask), _area(shape)))
        if Feature.POLYGON in spec.holds:
            simpler = _simpler(outline, spec)
            return simpler, ("IoU", _likeness(_area(simpler), _area(shape)))
    if type(shape) in (Points, Cuboid2D) and Feature.KEYPOINTS in spec.holds:
        found = substitute(shape)
        if found is not None:
            return found[0], None
    envelope = _envelope(shape) if Feature.BOX in spec.holds else None
    if envelope is None:
        return None
    area = _area(shape)
    return envelope, None if area is None else ("IoU", _likeness(area, envelope.width * envelope.height))


def _outline(shape: Shape, spec: Spec) -> tuple[Polygon | None, tuple[str, float] | None]:
    """A shape as a polygon, exact but for an ellipse; traced only if a polygon is of use."""
    if type(shape) is Polygon:
        return shape, None
    if type(shape) in (Box, Ellipse) and (found := substitute(shape)) is not None:
        polygon, error = found
        return polygon, None if error is None else ("pixels", error)
    if type(shape) is Mask and Feature.POLYGON in spec.holds:
        from nucleus_convert.converters import contours, masks  # numpy, needed by few records

        parts = contours.trace(masks.read_counts(shape.counts, shape.height, shape.width), shape.height)
        return (Polygon(parts) if parts else None), None
    return None, None


def _drawn(polygon: Polygon, item: Item) -> Mask | None:
    """The polygon's pixels in the item's picture; None if its size is not known or it cannot be drawn."""
    from nucleus_convert.converters import raster

    if not item.width or not item.height:
        return None
    try:
        counts = raster.from_parts(polygon.parts, item.height, item.width)
    except ConvertError:
        return None
    return Mask(counts, item.height, item.width)


def _simpler(polygon: Polygon, spec: Spec) -> Polygon:
    """A polygon without holes, and of its largest part, as far as the format wants that."""
    parts = polygon.parts
    if Feature.HOLES not in spec.holds:
        parts = tuple((part[0],) for part in parts)
    if Feature.PARTS not in spec.holds:
        parts = (max(parts, key=geometry.part_area),)
    return Polygon(parts)


def _likeness(area: float | None, other: float | None) -> float:
    """Intersection over union of two shapes, one within the other, by their areas."""
    smaller, larger = sorted((area or 0.0, other or 0.0))
    return smaller / larger if larger else 1.0


def _area(shape: Shape) -> float | None:
    """The area in square pixels by the shape's outlines; None where it has none."""
    from nucleus_convert.converters import masks

    if type(shape) is Polygon:
        return float(sum(geometry.part_area(part) for part in shape.parts))
    if type(shape) is Mask:
        return float(masks.area(masks.read_counts(shape.counts, shape.height, shape.width)))
    if type(shape) is Ellipse:
        return math.pi * abs(shape.rx * shape.ry)
    if type(shape) is Box:
        return float(abs(shape.width * shape.height))
    return None


def _envelope(shape: Shape) -> Box | None:
    """The smallest upright box around a shape, or None."""
    from nucleus_convert.converters import masks

    if type(shape) is Mask:
        runs = masks.read_counts(shape.counts, shape.height, shape.width)
        return Box(*masks.box(runs, shape.height)) if masks.area(runs) else None
    if type(shape) is Box:
        return Box(*geometry.box_envelope(shape.x, shape.y, shape.width, shape.height, shape.rotation))
    if type(shape) is Ellipse:
        return Box(*geometry.ellipse_envelope(shape.cx, shape.cy, shape.rx, shape.ry, shape.rotation))
    if type(shape) is Keypoints:
        bounds = geometry.keypoints_box(shape.points)
        return None if bounds is None else Box(*bounds)
    flat: tuple[Any, ...] = ()
    if type(shape) is Polygon:
        flat = tuple(n for part in shape.parts for n in part[0])
    elif type(shape) is Line or type(shape) is Points or type(shape) is Cuboid2D:
        flat = shape.points
    return Box(*geometry.envelope(flat)) if flat else None
