"""What is drawn of an object's region: its polygon, its pixels in the image's one picture, or its class's pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import SchemaError, Where
from nucleus_convert.converters.model import Annotation, Item, Label, Mask, Polygon
from nucleus_convert.converters.report import Report

Segmentation: TypeAlias = Literal["auto", "polygon", "instance", "semantic", "panoptic"]
FORMAT = "nucleus"


def as_wanted(
    annotation: Annotation, item: Item, how: Segmentation, tolerance: float, where: Where, report: Report
) -> Annotation:
    """The annotation with a stand-in for its region where another kind is wanted: see ``Annotation.derived``.

    Args:
        annotation: the object.
        item: its image, whose size polygons are drawn in.
        how: what regions are to be.
        tolerance: pixels by which corners may be left out of traced polygons.
        where: the object's place.
        report: told of what the stand-in does not show.
    """
    if how == "auto":
        return annotation
    mask: Mask | None = annotation.shape(Mask)
    polygon: Polygon | None = annotation.shape(Polygon)
    if how == "polygon":
        traced = None if mask is None or polygon is not None else _traced(mask, tolerance, where, report)
        return annotation if traced is None else _with(annotation, traced)
    drawn = None if polygon is None or mask is not None else _drawn(polygon, item, where, report)
    return annotation if drawn is None else _with(annotation, drawn)


def _with(annotation: Annotation, shape: Mask | Polygon) -> Annotation:
    name = "mask" if isinstance(shape, Mask) else "polygon"
    return msgspec.structs.replace(
        annotation, shapes=(*annotation.shapes, shape), derived=(*annotation.derived, name)
    )


def _traced(mask: Mask, tolerance: float, where: Where, report: Report) -> Polygon | None:
    """The mask's outlines along the edges of its pixels, each with its holes in one ring; None if it is empty."""
    from nucleus_convert.converters import contours, masks

    runs = masks.read_counts(mask.counts, mask.height, mask.width, where=where)
    iou = 1.0
    parts: tuple[tuple[tuple[int | float, ...], ...], ...]
    if tolerance > 0:
        parts, iou = contours.simplify(runs, mask.height, mask.width, tolerance)
    else:
        parts = contours.trace(runs, mask.height)
    if not parts:
        return None
    if contours.has_holes(parts):
        text = "holes of a mask as a ring that walks to them and back (exact by the even-odd rule)"
        report.add(Code.APPROXIMATED, text, format=FORMAT, where=where, measure=("IoU", iou))
    elif iou < 1:
        text = "mask as a polygon with corners left out"
        report.add(Code.APPROXIMATED, text, format=FORMAT, where=where, measure=("IoU", iou))
    return Polygon(tuple((contours.keyhole(part),) for part in parts))


def _drawn(polygon: Polygon, item: Item, where: Where, report: Report) -> Mask | None:
    """The polygon's pixels by COCO's rule; None if they cannot be had, which is reported."""
    from nucleus_convert.converters import raster

    if not item.width or not item.height:
        report.add(Code.SIZE_MISSING, "unknown: polygons stay polygons", format=FORMAT, where=where)
        return None
    try:
        counts = raster.from_parts(polygon.parts, item.height, item.width, where=where)
    except SchemaError as error:
        report.add(Code.UNREADABLE_SHAPE, f"polygon ({error.message})", format=FORMAT, where=where)
        return None
    report.add(Code.APPROXIMATED, "polygon as its pixels", format=FORMAT, where=where)
    return Mask(counts, item.height, item.width)


def is_stuff(label: Label | None) -> bool:
    """Whether objects of a label have no number: COCO's ``isthing`` is 0."""
    if label is None:
        return False
    own: Mapping[str, Any] = label.extras.get("coco", {})
    return own.get("isthing", 1) in (0, False)
