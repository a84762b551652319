"""Data sets that say one thing each: one for every feature, so that all that can be said is tested."""

from __future__ import annotations

from typing import Any

import msgspec

from nucleus_convert.converters import masks
from nucleus_convert.converters.labelset import LabelSet, from_records
from nucleus_convert.converters.model import (
    Annotation,
    Box,
    Camera,
    Caption,
    Cuboid,
    Cuboid2D,
    Ellipse,
    Header,
    Item,
    Keypoints,
    Label,
    Line,
    Mask,
    Points,
    Polygon,
    Record,
    Scene,
    SceneRef,
    Shape,
    Tag,
    Taxonomy,
)
from nucleus_convert.converters.protocol import Feature
from nucleus_convert.converters.report import Report

SQUARE = (1, 1, 5, 1, 5, 5, 1, 5)
HOLE = (2, 2, 4, 2, 4, 4, 2, 4)
ITEM = Item(id="i", path="i.jpg", width=10, height=8)
LABELS = (Label(name="cat"),)


def labelset(*annotations: Annotation, item: Item = ITEM, header: Header | None = None) -> LabelSet:
    """A data set of one item."""
    return from_records(header or Header(labels=LABELS), [Record(item, annotations)])


def said(report: Report) -> dict[tuple[str, str], int]:
    """How often each thing was found."""
    return {(str(finding.code), finding.what): finding.count for finding in report.sorted()}


def whats(feature: Feature) -> set[str]:
    """The words in which a feature is reported."""
    return {
        Feature.EXTRAS: {"fields of its source format"},
        Feature.ITEM_EXTRAS: {"fields of the item's source format"},
        Feature.LABEL_EXTRAS: {"label fields of the source format"},
        Feature.HEADER_EXTRAS: {"data set fields of the source format"},
    }.get(feature, {str(feature)})


BOX = Box(1, 2, 3, 4)


def annotation_with(*shapes: Shape, **fields: Any) -> LabelSet:
    return labelset(Annotation(label="cat", shapes=shapes or (BOX,), **fields))


def _item(**fields: Any) -> LabelSet:
    return labelset(Annotation(label="cat", shapes=(BOX,)), item=msgspec.structs.replace(ITEM, **fields))


def _header(**fields: Any) -> LabelSet:
    return labelset(Annotation(label="cat", shapes=(BOX,)), header=Header(labels=LABELS, **fields))


def _label(**fields: Any) -> LabelSet:
    header = Header(labels=(Label(name="cat", **fields),))
    return labelset(Annotation(label="cat", shapes=(BOX,)), header=header)


BARE = Item(id="i")
ONE: dict[Feature, LabelSet] = {
    Feature.BOX: annotation_with(BOX),
    Feature.ROTATION: annotation_with(Box(1, 2, 3, 4, 30)),
    Feature.POLYGON: annotation_with(Polygon(((SQUARE,),))),
    Feature.PARTS: annotation_with(Polygon(((SQUARE,), ((6, 6, 8, 6, 8, 7),)))),
    Feature.HOLES: annotation_with(Polygon(((SQUARE, HOLE),))),
    Feature.LINE: annotation_with(Line((1, 2, 3, 4))),
    Feature.POINTS: annotation_with(Points((1, 2, 3, 4))),
    Feature.KEYPOINTS: annotation_with(Keypoints((1, 2, 2, 3, 4, 1))),
    Feature.ELLIPSE: annotation_with(Ellipse(5, 4, 3, 2)),
    Feature.MASK: annotation_with(Mask(masks.encode_counts([9, 3, 5, 3, 60]), 8, 10)),
    Feature.CUBOID: annotation_with(Cuboid(1, 2, 3, 4, 5, 6, 0.5)),
    Feature.CUBOID2D: annotation_with(Cuboid2D(tuple(range(16)))),
    Feature.TAG: annotation_with(Tag("weather")),
    Feature.CAPTION: annotation_with(Caption("text")),
    Feature.UNLABELLED: labelset(Annotation(shapes=(BOX,))),
    Feature.ID: annotation_with(id="a"),
    Feature.PREDICTED: annotation_with(predicted=True),
    Feature.CONFIDENCE: annotation_with(confidence=0, predicted=True),
    Feature.CLASS_PDF: annotation_with(class_pdf={"cat": 1.0}, predicted=True),
    Feature.TRACK: annotation_with(track=0),
    Feature.GROUP: annotation_with(group=0),
    Feature.OCCLUDED: annotation_with(occluded=0.5),
    Feature.TRUNCATED: annotation_with(truncated=True),
    Feature.DIFFICULT: annotation_with(difficult=True),
    Feature.CROWD: annotation_with(crowd=True),
    Feature.Z_ORDER: annotation_with(z_order=0),
    Feature.EMBEDDING: annotation_with(embedding=(0.5, 1)),
    Feature.ATTRIBUTES: annotation_with(attributes={"a": 1}),
    Feature.EXTRAS: annotation_with(extras={"toy": {"x": 1}, "other": {"y": 2}}),
    Feature.ITEM_ID: labelset(Annotation(label="cat", shapes=(BOX,)), item=BARE),
    Feature.EMPTY_ITEM: labelset(),
    Feature.POINTCLOUD: _item(kind="pointcloud"),
    Feature.PATH: labelset(Annotation(label="cat", shapes=(BOX,)), item=Item(id="i", path="i.jpg")),
    Feature.SIZE: labelset(Annotation(label="cat", shapes=(BOX,)), item=Item(id="i", width=5, height=5)),
    Feature.SUBSET: _item(subset="train"),
    Feature.SCENE: labelset(
        Annotation(label="cat", shapes=(BOX,)),
        item=msgspec.structs.replace(ITEM, scene=SceneRef(id="s", frame=0)),
        header=Header(labels=LABELS, scenes=(Scene(id="s"),)),
    ),
    Feature.CAMERA: _item(camera=Camera(position=(0, 0, 0), heading=(1, 0, 0, 0), fx=1, fy=1, cx=0, cy=0)),
    Feature.ITEM_ATTRIBUTES: _item(attributes={"a": 1}),
    Feature.ITEM_EXTRAS: _item(extras={"toy": {"x": 1}, "other": {"y": 2}}),
    Feature.LABEL_ID: _label(id=3),
    Feature.LABEL_PARENT: _label(parent="animal"),
    Feature.LABEL_COLOR: _label(color="#ff0000"),
    Feature.LABEL_KEYPOINTS: _label(keypoints=("a", "b"), skeleton=((0, 1),)),
    Feature.LABEL_ATTRIBUTES: _label(attributes={"a": {"type": "number"}}),
    Feature.LABEL_EXTRAS: _label(extras={"toy": {"x": 1}, "other": {"y": 2}}),
    Feature.UNUSED_LABEL: labelset(
        Annotation(label="cat", shapes=(BOX,)), header=Header(labels=(*LABELS, Label(name="dog")))
    ),
    Feature.TAXONOMIES: _header(taxonomies=(Taxonomy("t", ("a",)),)),
    Feature.HEADER_EXTRAS: _header(extras={"toy": {"x": 1}, "other": {"y": 2}}),
}
