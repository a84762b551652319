"""One annotation of the model to one COCO row; the counterpart of ``rows``.

A row is made without ``image_id`` (and without ``id`` where it has yet to be given one): the writer prepends
them. What COCO has no key for goes under one reserved key, from where the reader takes it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from nucleus_convert.converters.coco.reserved import ANNOTATION_FIELDS, RESERVED, UNLABELLED, foreign, sealed
from nucleus_convert.converters.coco.rows import NOTES, turned_box
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import UnrepresentableError, Where
from nucleus_convert.converters.model import (
    KINDS,
    Annotation,
    Box,
    Caption,
    Item,
    Keypoints,
    Label,
    Mask,
    Polygon,
    Shape,
    Tag,
)
from nucleus_convert.converters.report import Fate, Outcome, Report
from nucleus_convert.formats import coco as wire

_NATIVE: tuple[type[Any], ...] = (Box, Polygon, Mask, Keypoints, Caption)
_OURS = NOTES | {"id", "area", "segmentation", "bbox", "num_keypoints", "iscrowd"}


class RowDumper:
    """Makes rows. ``categories`` numbers the labels; ``keep_ids``: text ids are COCO's own, and stay."""

    def __init__(self, labels: Mapping[str, Label], categories: Mapping[str, Any], *, keep_ids: bool) -> None:
        self.labels = labels
        self.categories = categories
        self.keep_ids = keep_ids

    def native(self, annotation: Annotation) -> bool:
        """Whether COCO has a row for it: an object with none of COCO's shapes travels with its image.

        A COCO source's own rows without a shape (that may label the whole image) go back as rows.
        """
        if any(type(shape) in _NATIVE and not getattr(shape, "rotation", 0) for shape in annotation.shapes):
            return True
        return "coco" in annotation.extras and all(type(shape) is Tag for shape in annotation.shapes)

    def dump(
        self, annotation: Annotation, item: Item, report: Report, *, result: bool
    ) -> tuple[dict[str, Any], Fate]:
        """The row, and what became of the annotation's shapes. A ``result`` gets only what was said."""
        extras = annotation.extras.get("coco", {})
        row: dict[str, Any] = {}
        kept: dict[str, Any] = {}
        identity = annotation.id
        if identity is not None and "id" in extras:
            if extras["id"] is not None:
                row["id"] = extras["id"]
            kept["id"] = identity
        elif identity is not None and "segment" in extras:
            kept["id"] = identity  # of a panoptic segment: unique in its image only
        elif type(identity) is int or (identity is not None and self.keep_ids):
            row["id"] = identity
        elif identity is not None:
            kept["id"] = identity
            report.add(Code.RENUMBERED, "annotation id", format="coco", where=_where(annotation, item))
        self._category(annotation, row, kept, extras, item, report)
        # Of two shapes of a kind the later one is an approximation that stands in for the first.
        shapes: dict[type[Any], Any] = {type(shape): shape for shape in annotation.shapes}
        used = self._region(shapes, row, extras)
        self._points(annotation, shapes, row, kept, extras, item, report, result)
        used |= {Keypoints, Caption} & set(shapes)
        added = self._box(annotation, shapes, row, extras, item, report, result)
        box = shapes.get(Box)
        if box is not None and not box.rotation:
            used.add(Box)
        if Caption in shapes:
            row["caption"] = shapes[Caption].text
        elif not result:
            self._complete(annotation, shapes, row, extras, item, report)
        if result and "area" in extras:
            row["area"] = extras["area"]
        given = extras.get("iscrowd", msgspec.UNSET)
        if given is not msgspec.UNSET and (None if given is None else bool(given)) == annotation.crowd:
            row["iscrowd"] = given
        elif annotation.crowd is not None:
            row["iscrowd"] = int(annotation.crowd)
        if annotation.confidence is not None:
            row["score"] = annotation.confidence
        elif annotation.predicted and not result:
            kept["predicted"] = True
        if annotation.track is not None:
            row["track_id"] = annotation.track
        if annotation.attributes:
            row["attributes"] = dict(annotation.attributes)
        for key, value in extras.items():
            if key not in _OURS and key not in row:
                row[key] = value
        row.update(extras.get("keys", {}))
        if unsaid := _unsaid(row, extras):
            kept["own"] = unsaid
        fate = self._carry(annotation, {kind: shapes[kind] for kind in used}, added, kept)
        if kept:
            row[RESERVED] = sealed(kept)
        return row, fate

    def _category(
        self,
        annotation: Annotation,
        row: dict[str, Any],
        kept: dict[str, Any],
        extras: Mapping[str, Any],
        item: Item,
        report: Report,
    ) -> None:
        label = annotation.label
        if label is None:
            # pycocotools wants a category of every row, captions too, as soon as there are categories.
            if (self.labels or not self.keep_ids) and "category_id" not in extras:
                row["category_id"] = self.categories[UNLABELLED]
                kept["label"] = None
                report.add(
                    Code.COMPLETED, f"category '{UNLABELLED}'", format="coco", where=_where(annotation, item)
                )
            return
        number = self.categories.get(label)
        if number is None:
            raise UnrepresentableError(
                f"label '{label}' is not among the header's labels",
                _where(annotation, item),
                "add it to the header's labels (a step that renames labels must rename them there too)",
            )
        row["category_id"] = number

    def _region(
        self, shapes: dict[type[Any], Any], row: dict[str, Any], extras: Mapping[str, Any]
    ) -> set[type[Any]]:
        """Write ``segmentation``; returns which shape it is. A mask is more exact than a polygon."""
        verbatim = extras.get("segmentation", msgspec.UNSET)
        mask: Mask | None = shapes.get(Mask)
        polygon: Polygon | None = shapes.get(Polygon)
        if mask is not None:
            counts: Any = mask.counts
            if extras.get("counts") == "list":
                from nucleus_convert.converters import masks

                counts = masks.decode_counts(counts).tolist()
            row["segmentation"] = {
                "size": [mask.height, mask.width],
                "counts": counts,
                **extras.get("rle", {}),
            }
            return {Mask}
        if polygon is not None:
            if any(len(part) > 1 for part in polygon.parts):
                return set()  # holes have no place among the parts; fit gave a mask or an outline beside it
            if verbatim is not msgspec.UNSET and _says(verbatim, polygon):
                row["segmentation"] = verbatim
            else:
                closed = extras.get("closed", ())
                row["segmentation"] = [
                    (*part[0], *part[0][:2]) if i in closed else part[0]
                    for i, part in enumerate(polygon.parts)
                ]
            return {Polygon}
        if verbatim is not msgspec.UNSET:
            row["segmentation"] = verbatim
        return set()

    def _points(
        self,
        annotation: Annotation,
        shapes: dict[type[Any], Any],
        row: dict[str, Any],
        kept: dict[str, Any],
        extras: Mapping[str, Any],
        item: Item,
        report: Report,
        result: bool,
    ) -> None:
        shape: Keypoints | None = shapes.get(Keypoints)
        if shape is None:
            if "num_keypoints" in extras:
                row["num_keypoints"] = extras["num_keypoints"]
            return
        points: list[Any] = list(shape.points)
        count = sum(entry > 0 for entry in points[2::3])
        visibility = extras.get("visibility")
        if visibility is not None and [2 if entry > 0 else 0 for entry in visibility] == points[2::3]:
            points[2::3] = visibility
        row["keypoints"] = points
        if "num_keypoints" in extras:
            row["num_keypoints"] = extras["num_keypoints"]
        elif not result:
            row["num_keypoints"] = count
            report.add(Code.COMPLETED, "num_keypoints", format="coco", where=_where(annotation, item))
        label = self.labels.get(annotation.label or "")
        if shape.names and (label is None or label.keypoints != shape.names):
            kept["names"] = list(shape.names)
        if shape.skeleton and (label is None or label.skeleton != shape.skeleton):
            kept["skeleton"] = [list(edge) for edge in shape.skeleton]

    def _box(
        self,
        annotation: Annotation,
        shapes: dict[type[Any], Any],
        row: dict[str, Any],
        extras: Mapping[str, Any],
        item: Item,
        report: Report,
        result: bool,
    ) -> tuple[str, ...]:
        """Write ``bbox``; returns the kinds of shapes that are in the row though nobody drew them."""
        box: Box | None = shapes.get(Box)
        verbatim = extras.get("bbox", msgspec.UNSET)
        turned = isinstance(verbatim, list) and len(verbatim) == 5
        if box is not None and not box.rotation and not (turned and turned_box(verbatim) == box):
            row["bbox"] = [box.x, box.y, box.width, box.height]
        elif verbatim is not msgspec.UNSET:
            row["bbox"] = verbatim
        elif Caption not in shapes and not result:
            envelope = _envelope(shapes)
            if envelope is not None:
                row["bbox"] = envelope
                report.add(Code.COMPLETED, "bbox", format="coco", where=_where(annotation, item))
                return ("box",)
        return ()

    def _complete(
        self,
        annotation: Annotation,
        shapes: dict[type[Any], Any],
        row: dict[str, Any],
        extras: Mapping[str, Any],
        item: Item,
        report: Report,
    ) -> None:
        """Other tools need area and iscrowd: pycocotools' evaluation fails without them."""
        if "area" in extras:
            row["area"] = extras["area"]
        else:
            row["area"] = _area(shapes, row, item)
            report.add(Code.COMPLETED, "area", format="coco", where=_where(annotation, item))
        if annotation.crowd is None and "iscrowd" not in extras:
            row["iscrowd"] = 0
            report.add(Code.COMPLETED, "iscrowd", format="coco", where=_where(annotation, item))

    def _carry(
        self,
        annotation: Annotation,
        used: dict[type[Any], Any],
        added: tuple[str, ...],
        kept: dict[str, Any],
    ) -> Fate:
        """Put what has no key of its own under the reserved one."""
        carried: list[Shape] = []
        fate: list[tuple[str, Outcome]] = [("object", "written")]
        for shape in annotation.shapes[: len(annotation.shapes) - len(annotation.derived)]:
            kind = KINDS[type(shape)]
            if used.get(type(shape)) is shape:
                fate.append((kind, "written"))
            else:
                carried.append(shape)
                fate.append((kind, "carried"))
        if carried:
            kept["shapes"] = msgspec.to_builtins(carried)
        if annotation.derived or added:
            kept["derived"] = [*annotation.derived, *added]
        for name in ANNOTATION_FIELDS:
            value = getattr(annotation, name)
            if value is not None:
                kept[name] = msgspec.to_builtins(value)
        if others := foreign(annotation.extras):
            kept["extras"] = others
        return tuple(fate)


def _where(annotation: Annotation, item: Item) -> Where:
    return Where(
        item=str(item.path or item.id), annotation=None if annotation.id is None else str(annotation.id)
    )


def _unsaid(row: dict[str, Any], extras: Mapping[str, Any]) -> dict[str, Any]:
    """What was noted of a segmentation that the row no longer has: of a polygon where there is a mask now."""
    masked = isinstance(row.get("segmentation"), dict)
    names = ("closed", "segmentation") if masked else ("counts", "rle") if row.get("segmentation") else ()
    return {name: extras[name] for name in names if name in extras and extras[name] != row.get(name)}


def _says(verbatim: Any, polygon: Polygon) -> bool:
    """Whether a source's odd segmentation is still that of the polygon, which a step may have changed."""
    if not isinstance(verbatim, list):
        return False
    parts = wire.polygon_parts(verbatim)
    if parts is None:
        parts = [tuple(part) for part in verbatim if isinstance(part, list) and wire.polygon_parts([part])]
    rings = [part[0] for part in polygon.parts]
    return len(parts) == len(rings) and all(
        part[: len(ring)] == ring for part, ring in zip(parts, rings, strict=True)
    )


def _envelope(shapes: dict[type[Any], Any]) -> list[Any] | None:
    """The box around the region or the labelled keypoints, as [x, y, width, height]."""
    from nucleus_convert.converters import geometry, masks

    if Mask in shapes:
        mask: Mask = shapes[Mask]
        runs = masks.read_counts(mask.counts, mask.height, mask.width)
        return list(masks.box(runs, mask.height))
    if Polygon in shapes:
        return list(geometry.envelope([n for part in shapes[Polygon].parts for n in part[0]]))
    if Keypoints in shapes:
        bounds = geometry.keypoints_box(shapes[Keypoints].points)
        return list(bounds) if bounds is not None else None
    return None


def _area(shapes: dict[type[Any], Any], row: dict[str, Any], item: Item) -> int | float:
    """COCO's area: pixels of the mask; of the box where there is no region."""
    from nucleus_convert.converters import geometry, masks, raster

    if Mask in shapes:
        mask: Mask = shapes[Mask]
        return int(masks.area(masks.read_counts(mask.counts, mask.height, mask.width)))
    if Polygon in shapes:
        polygon: Polygon = shapes[Polygon]
        if item.width and item.height:
            counts = raster.from_polygons([part[0] for part in polygon.parts], item.height, item.width)
            return int(masks.area(masks.decode_counts(counts)))
        return float(sum(geometry.part_area(part) for part in polygon.parts))
    bbox = row.get("bbox")
    if isinstance(bbox, list) and len(bbox) == 4:
        area: int | float = bbox[2] * bbox[3]
        return area
    return 0
