"""What is drawn of an object's region: its polygon, its pixels in the image's one PNG, or its label's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.compose import BY_LABEL, MOST, NOT_DRAWN, PIXELS_NOT_DRAWN, Overflow, Overlap
from nucleus_convert.converters.errors import SchemaError, UnrepresentableError, Where
from nucleus_convert.converters.model import Annotation, Item, Label, Mask, Polygon
from nucleus_convert.converters.nucleus.metadata import FORMAT
from nucleus_convert.converters.nucleus.payloads import UNLABELLED
from nucleus_convert.converters.report import Report

Segmentation: TypeAlias = Literal["auto", "polygon", "instance", "semantic", "panoptic"]


class Choices(Protocol):
    """The options that regions depend on."""

    @property
    def segmentation(self) -> Segmentation:
        """What regions become."""

    @property
    def overlap(self) -> Overlap:
        """The mask on top."""

    @property
    def overflow(self) -> Overflow:
        """What to do with more masks than indices."""

    @property
    def simplify(self) -> float:
        """Pixels by which corners may be left out."""


def as_wanted(
    annotation: Annotation, item: Item, how: Segmentation, tolerance: float, where: Where, report: Report
) -> Annotation:
    """The annotation with a stand-in for its region where another kind is wanted (``derived``).

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
    return msgspec.structs.replace(annotation, shapes=(*annotation.shapes, shape), derived=(*annotation.derived, name))


def _traced(mask: Mask, tolerance: float, where: Where, report: Report) -> Polygon | None:
    """Outlines along the edges of the pixels, each with its holes in one ring; None if none is set."""
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


class Regions:
    """What becomes of the regions of one item's objects: which kind, and for masks, which index.

    Args:
        settings: the options.
        labels: the header's, by name.
        item: the image.
        annotations: all that is said of it.
        report: findings.
    """

    def __init__(
        self,
        settings: Choices,
        labels: Mapping[str, Label],
        item: Item,
        annotations: Sequence[Annotation],
        report: Report,
    ) -> None:
        self.settings = settings
        self._labels = labels
        self._item = item
        self._all = annotations
        self._report = report
        self._place = Where(item=str(item.path or item.id))
        self._made: dict[int, Annotation] = {}
        self._left: dict[bool, dict[int, int]] = {}
        self._said: set[int] = set()
        self._by_label = {False: False, True: False}

    def _where(self, annotation: Annotation) -> Where:
        name = None if annotation.id is None else str(annotation.id)
        return msgspec.structs.replace(self._place, annotation=name)

    def wanted(self, ordinal: int) -> Annotation:
        """The annotation with the kind of region that was asked for."""
        annotation = self._all[ordinal]
        settings = self.settings
        if settings.segmentation == "auto":
            return annotation
        made = self._made.get(ordinal)
        if made is None:
            made = self._made[ordinal] = as_wanted(
                annotation,
                self._item,
                settings.segmentation,
                settings.simplify,
                self._where(annotation),
                self._report,
            )
        return made

    def prefers_mask(self, *, stands_in: bool) -> bool:
        """Whether of a polygon and a mask the mask is drawn; ``stands_in``: the polygon stands in for it."""
        how = self.settings.segmentation
        return stands_in if how == "auto" else how != "polygon"

    def shared(self, annotation: Annotation, *, predicted: bool) -> str | None:
        """The label whose index a mask shares with all of the label; None where it has its own."""
        how = self.settings.segmentation
        label = annotation.label or UNLABELLED
        stuff = how == "panoptic" and is_stuff(self._labels.get(label))
        return label if how == "semantic" or stuff or self._by_label[predicted] else None

    def has_index(self, ordinal: int, *, predicted: bool) -> bool:
        """Whether there is an index for a mask in the item's picture; if not, that is reported."""
        if predicted not in self._left:
            self._left[predicted] = self._overflow(predicted)
        left = self._left[predicted]
        if ordinal not in left:
            return True
        if ordinal not in self._said:
            self._said.add(ordinal)
            where = self._where(self._all[ordinal])
            self._report.add(Code.MASK_OVERFLOW, NOT_DRAWN, format=FORMAT, where=where)
            self._report.add(Code.MASK_OVERFLOW, PIXELS_NOT_DRAWN, format=FORMAT, count=left[ordinal])
        return False

    def _fits(self, mask: Mask) -> bool:
        item = self._item
        return (item.height or mask.height, item.width or mask.width) == (mask.height, mask.width)

    def _overflow(self, predicted: bool) -> dict[int, int]:
        """What the policy makes of more masks than indices: the masks left out, with their pixels."""
        if len(self._all) <= MOST:
            return {}
        from nucleus_convert.converters import masks

        settings = self.settings
        mine = [i for i, annotation in enumerate(self._all) if annotation.is_prediction == predicted]
        if len(mine) <= MOST or settings.segmentation in ("polygon", "semantic"):
            return {}
        areas: dict[int, int] = {}
        labels: set[str] = set()
        for i in mine:
            annotation = self.wanted(i)
            mask: Mask | None = annotation.shape(Mask)
            if mask is None or not self._fits(mask):
                continue
            label = self.shared(annotation, predicted=predicted)
            if label is not None:
                labels.add(label)
            else:
                areas[i] = masks.area(masks.decode_counts(mask.counts))
        if len(areas) + len(labels) <= MOST:
            return {}
        if settings.overflow == "fail":
            raise UnrepresentableError(
                f"an image has {len(areas) + len(labels)} masks, one 8-bit PNG holds {MOST}",
                self._place,
                hint="choose another way with --overflow semantic (or largest), or --segmentation polygon",
            )
        if settings.overflow == "semantic":
            self._by_label[predicted] = True
            self._report.add(Code.MASK_OVERFLOW, BY_LABEL, format=FORMAT, where=self._place)
            return {}
        kept = sorted(areas, key=lambda i: -areas[i])[: max(0, MOST - len(labels))]
        return {i: areas[i] for i in areas.keys() - set(kept)}
