"""What a data set of one task holds, and the last step before writing: shapes as their lines say them.

``fit`` has left each record with shapes that the task has a line for. What is particular to YOLO is done
here: regions of several parts or with holes become one ring (or several lines), values are clipped to the
image, a pose gets the box or the points that its line must have. Originals stay beside what stands in for
them where a sidecar is written, and are given up, and reported, where none is.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from nucleus_convert.converters import geometry, imagefile
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import ConvertError, UnrepresentableError, Where
from nucleus_convert.converters.labelset import LabelSet, Step
from nucleus_convert.converters.model import (
    KINDS,
    Annotation,
    Box,
    Ellipse,
    Item,
    Keypoints,
    Mask,
    Polygon,
    Record,
    Shape,
    Tag,
)
from nucleus_convert.converters.protocol import Feature, Spec
from nucleus_convert.converters.report import Report
from nucleus_convert.converters.yolo import regions
from nucleus_convert.converters.yolo.naming import class_folder, class_numbers, image_name
from nucleus_convert.converters.yolo.options import Task, WriteOptions
from nucleus_convert.converters.yolo.spec import spec_of

LOOKED_AT = 200
"""Items at the start that tell the task where nothing else does."""
DRAWN: dict[str, type[Any]] = {
    "detect": Box,
    "segment": Polygon,
    "pose": Keypoints,
    "obb": Box,
    "classify": Tag,
}


def narrowed(labels: LabelSet, *, options: WriteOptions, report: Report) -> tuple[Spec, Step]:
    """What the target holds with these options, and what is to be done to records that fit that."""
    task = _task(labels, options, report)
    spec = spec_of(task, options)
    with suppress(ConvertError):
        numbers = class_numbers(labels.header.labels, options, Report())
        if all(label.id in (None, numbers[label.name]) for label in labels.header.labels):
            spec = msgspec.structs.replace(spec, holds=spec.holds | {Feature.LABEL_ID})
    points = _points(labels) if task == "pose" else 0
    root = options.image_root or labels.images
    return spec, Draw(task, options, spec, points, root)


def _task(labels: LabelSet, options: WriteOptions, report: Report) -> Task:
    """The task to write: as the user says, as the source was, or what most of its shapes can be said in."""
    if options.task != "auto":
        return options.task
    told = labels.header.extras.get("yolo", {}).get("task")
    if told in DRAWN:
        return told  # type: ignore[no-any-return]
    kinds: Counter[type[Any]] = Counter()
    turned = False
    objects = 0
    for record in labels.records(Report("skip"), 0, LOOKED_AT):
        objects += len(record.annotations)
        for annotation in record.annotations:
            for shape in annotation.shapes:
                kinds[type(shape)] += 1
                turned = turned or (type(shape) is Box and shape.rotation % 90 != 0)
    task: Task = "detect"
    if 2 * kinds[Keypoints] > objects:
        task = "pose"
    elif kinds[Polygon] or kinds[Mask] or kinds[Ellipse]:
        task = "segment"
    elif turned:
        task = "obb"
    elif kinds[Tag] and not kinds[Box]:
        task = "classify"
    report.add(Code.ASSUMED, f"written as '{task}', by the shapes of the first items (--task)", format="yolo")
    return task


def _points(labels: LabelSet) -> int:
    """How many keypoints a line has: the most that any object can have."""
    told = labels.header.extras.get("yolo", {}).get("kpt_shape")
    most = max((len(label.keypoints) for label in labels.header.labels), default=0)
    if isinstance(told, list) and told and isinstance(told[0], int):
        most = max(most, told[0])
    if most:
        return most
    for annotation in (a for record in labels.records(Report("skip")) for a in record.annotations):
        for shape in annotation.shapes:
            if type(shape) is Keypoints:
                most = max(most, len(shape.points) // 3)
    return most or 1


class Draw:
    """The step that makes each shape what its line will say. Picklable."""

    def __init__(self, task: Task, options: WriteOptions, spec: Spec, points: int, root: Path | None) -> None:
        self.task = task
        self.options = options
        self.spec = spec
        self.points = points
        self.root = root
        self.sidecar = options.sidecar

    def __call__(self, record: Record, report: Report) -> Record:
        """The record with shapes as lines can say them."""
        item = self._item(record, report)
        drawn: list[Annotation] = []
        changed = False
        tagged = False
        for annotation in record.annotations:
            if not annotation.shapes:
                drawn.append(annotation)
                continue
            where = Where(
                item=str(item.path or item.id),
                annotation=None if annotation.id is None else str(annotation.id),
            )
            if self.task == "classify":
                made = self._tag(annotation, where, report, first=not tagged)
                tagged = tagged or bool(made)
            else:
                made = self._annotation(annotation, item, where, report)
            changed = changed or len(made) != 1 or made[0] is not annotation
            drawn += made
        if not changed and item is record.item:
            return record
        return Record(item, tuple(drawn) if changed else record.annotations)

    # ------------------------------------------------------------------ items

    def _item(self, record: Record, report: Report) -> Item:
        item = record.item
        if (item.width is None or item.height is None) and self.root is not None and item.path:
            try:
                size = imagefile.info(imagefile.inside(self.root, item.path)).size()
            except ConvertError:
                pass
            else:
                report.add(Code.COMPLETED, "image size", format="yolo", where=Where(item=item.path))
                item = msgspec.structs.replace(item, width=size[0], height=size[1])
        if self.sidecar:
            return item
        name = image_name(item, class_folder(class_of(record)) if self.task == "classify" else None)
        if name not in (item.path, str(item.id)):
            where = Where(item=str(item.path or item.id))
            report.add(
                Code.DROPPED, "item id and path other than the place in the tree", format="yolo", where=where
            )
        elif item.path != name or item.id != name:
            report.add(Code.VALUE_NORMALISED, "image named by its place in the tree", format="yolo")
        return msgspec.structs.replace(item, id=name, path=name)

    # ------------------------------------------------------------------ annotations

    def _tag(self, annotation: Annotation, where: Where, report: Report, *, first: bool) -> list[Annotation]:
        """An image goes into the folder of one class: the first; others travel beside, or are given up."""
        tag = annotation.shape(Tag)
        if tag is None:
            return [annotation]
        if not first or annotation.label is None:
            what = "second class of an image" if annotation.label is not None else "class without a name"
            return self._lineless(annotation, what, where, report)
        if tag.taxonomy is not None and not self.sidecar:
            report.add(Code.DROPPED, "taxonomy of a class", format="yolo", where=where)
            return [msgspec.structs.replace(annotation, shapes=(Tag(),))]
        return [annotation]

    def _lineless(self, annotation: Annotation, what: str, where: Where, report: Report) -> list[Annotation]:
        """An annotation that gets no line: it travels beside the labels, or is given up."""
        if self.sidecar:
            report.add(Code.CARRIED, what, format="yolo", where=where)
            return [annotation]
        report.add(Code.DROPPED, what, format="yolo", where=where)
        originals = annotation.shapes[: len(annotation.shapes) - len(annotation.derived)]
        report.ledger.drop_annotation(originals)
        return []

    def _annotation(
        self, annotation: Annotation, item: Item, where: Where, report: Report
    ) -> list[Annotation]:
        kinds = (Box, Keypoints) if self.task == "pose" else (DRAWN[self.task],)
        turned = self.task == "obb"
        if not any(shape_to_draw(annotation, kind, turned=turned) is not None for kind in kinds):
            return [annotation]  # travels in the sidecar: fit left nothing else
        if not item.width or not item.height:
            return self._lineless(
                annotation, "object of an image whose size is not known (--image-root)", where, report
            )
        made = [annotation]
        if self.task == "segment":
            made = self._region(annotation, where, report)
        elif self.task == "pose":
            made = [self._pose(annotation, where, report)]
        result: list[Annotation] = []
        for one in made:
            checked = self._checked(one, item, where, report)
            result += (
                [checked]
                if checked is not None
                else self._lineless(one, "shape outside the image, or without extent", where, report)
            )
        return [self._track(one, where, report) for one in result]

    def _track(self, annotation: Annotation, where: Where, report: Report) -> Annotation:
        if (
            annotation.track is None
            or self.sidecar
            or (type(annotation.track) is int and annotation.track >= 0)
        ):
            return annotation
        report.add(Code.DROPPED, "track whose id is no whole number", format="yolo", where=where)
        return msgspec.structs.replace(annotation, track=None)

    def _region(self, annotation: Annotation, where: Where, report: Report) -> list[Annotation]:
        """A polygon as one ring, or as several annotations."""
        polygon: Polygon = shape_to_draw(annotation, Polygon)
        if len(polygon.parts) == 1 and len(polygon.parts[0]) == 1:
            return [annotation]
        parts = polygon.parts
        several = len(parts) > 1
        if self.options.parts == "split" and several:
            rings = [regions.one_ring((part,)) for part in parts]
            report.add(
                Code.REPLACED, "object of several parts as an object for each", format="yolo", where=where,
                measure=("IoU", regions.likeness(parts, rings)),
            )  # fmt: skip
            first = self._instead(annotation, polygon, Polygon(((rings[0],),)), report)
            bare = msgspec.structs.replace(annotation, id=None, extras={}, derived=())
            report.ledger.read_more("object", len(rings) - 1)
            report.ledger.read_more("polygon", len(rings) - 1)
            return [
                first,
                *(msgspec.structs.replace(bare, shapes=(Polygon(((ring,),)),)) for ring in rings[1:]),
            ]
        ring = regions.one_ring(parts)
        what = "polygon of several parts" if several else "polygon with holes"
        report.add(
            Code.APPROXIMATED if self.sidecar else Code.REPLACED,
            f"{what} as one ring with bridges",
            format="yolo",
            where=where, measure=("IoU", regions.likeness(parts, [ring])),
        )  # fmt: skip
        return [self._instead(annotation, polygon, Polygon(((ring,),)), report)]

    def _pose(self, annotation: Annotation, where: Where, report: Report) -> Annotation:
        """A line of a pose has a box and all points."""
        points: Keypoints | None = shape_to_draw(annotation, Keypoints)
        if points is None:
            report.add(Code.COMPLETED, "keypoints, all of them not labelled,", format="yolo", where=where)
            annotation = _added(annotation, Keypoints((0.0, 0.0, 0) * self.points))
        elif len(points.points) != 3 * self.points:
            count = len(points.points) // 3
            if count > self.points:
                raise UnrepresentableError(
                    f"an object has {count} keypoints, and a line has {self.points}",
                    where,
                    "name all keypoints in the header's labels",
                )
            report.add(Code.COMPLETED, "keypoints up to the number of a line", format="yolo", where=where)
            filled = Keypoints((*points.points, *((0.0, 0.0, 0) * (self.points - count))))
            annotation = self._instead(annotation, points, filled, report)
        elif not self.sidecar and (points.names or points.skeleton):
            annotation = self._instead(annotation, points, Keypoints(points.points), report, count=False)
        if shape_to_draw(annotation, Box) is None:
            found = geometry.keypoints_box(shape_to_draw(annotation, Keypoints).points)
            report.add(Code.COMPLETED, "box of keypoints", format="yolo", where=where)
            annotation = _added(annotation, Box(*found) if found is not None else Box(0, 0, 0, 0))
        return annotation

    def _checked(self, annotation: Annotation, item: Item, where: Where, report: Report) -> Annotation | None:
        """The annotation with shapes that a consumer takes, or None if nothing is left of them."""
        assert item.width is not None
        assert item.height is not None
        size = item.width, item.height
        for kind in (
            (Polygon,) if self.task == "segment" else (Box, Keypoints) if self.task == "pose" else (Box,)
        ):
            shape = shape_to_draw(annotation, kind, turned=self.task == "obb")
            new = regions.checked(shape, size, turned=self.task == "obb", clip=self.options.clip)
            if new is None:
                return None
            if new.shape is shape:
                if new.outside:
                    report.add(
                        Code.OUT_OF_RANGE, f"{KINDS[kind]} beyond the image", format="yolo", where=where
                    )
                continue
            report.add(
                Code.VALUE_NORMALISED
                if not new.measure
                else Code.APPROXIMATED
                if self.sidecar
                else Code.REPLACED,
                new.what,
                format="yolo",
                where=where,
                measure=new.measure,
            )
            annotation = self._instead(annotation, shape, new.shape, report)
        return annotation

    def _instead(
        self, annotation: Annotation, old: Shape, new: Shape, report: Report, *, count: bool = True
    ) -> Annotation:
        """``new`` for ``old``, which stays beside it if it is an original and travels in the sidecar."""
        shapes, derived = annotation.shapes, annotation.derived
        at = next(i for i in reversed(range(len(shapes))) if shapes[i] is old)
        if at >= len(shapes) - len(derived):  # it stood in for another already
            return msgspec.structs.replace(annotation, shapes=(*shapes[:at], new, *shapes[at + 1 :]))
        if not self.sidecar:
            shapes = (*shapes[:at], *shapes[at + 1 :])
            if count:
                report.ledger.fate(((KINDS[type(old)], "dropped"),))
            else:
                return msgspec.structs.replace(
                    annotation, shapes=(*annotation.shapes[:at], new, *annotation.shapes[at + 1 :])
                )
        return msgspec.structs.replace(
            annotation, shapes=(*shapes, new), derived=(*derived, KINDS[type(new)])
        )


def _added(annotation: Annotation, shape: Shape) -> Annotation:
    return msgspec.structs.replace(
        annotation, shapes=(*annotation.shapes, shape), derived=(*annotation.derived, KINDS[type(shape)])
    )


def shape_to_draw(annotation: Annotation, kind: type[Any], *, turned: bool = False) -> Any:
    """The last shape of that kind (one that stands in for another comes last); turned boxes if wanted."""
    for shape in reversed(annotation.shapes):
        if type(shape) is kind and (turned or kind is not Box or not shape.rotation):  # type: ignore[union-attr]
            return shape
    return None


def class_of(record: Record) -> str | None:
    """The class whose folder an image goes into."""
    for annotation in record.annotations:
        if annotation.label is not None and annotation.shape(Tag) is not None:
            return annotation.label
    return None
