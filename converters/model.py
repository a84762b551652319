"""The intermediate representation (IR): what every format is read into and written from.

Conventions, stated here and nowhere contradicted:

- **Pixels** are continuous. (0, 0) is the *outer corner* of the top-left pixel, x grows right, y grows down; the
  pixel in column c, row r covers [c, c+1) x [r, r+1). A box is x, y, width, height, so that the numbers of COCO
  and Nucleus pass through untouched.
- **Rotation** is in degrees, clockwise on screen, about the centre of the shape.
- **Rings** and point lists are flat: x0, y0, x1, y1, ... A ring is closed without repeating its first point.
- **3-D** is in metres, z up, yaw about z counter-clockwise in radians, in (-pi, pi].
- Numbers are float64, or int where the source said int. ``None`` means "not said".
- Labels go by name; numbers of classes are a format's business and are kept in :class:`Label`.

Records are frozen: to change one, make another with ``msgspec.structs.replace``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import msgspec

MODEL_VERSION = 1

Number: TypeAlias = int | float
Ring: TypeAlias = tuple[Number, ...]
Id: TypeAlias = int | str
Extras: TypeAlias = Mapping[str, Mapping[str, Any]]
"""What a format said that the model has no word for: {format name: {key: value}}."""

EMPTY: Mapping[str, Any] = {}


_IMAGE = sys.intern("image")


def _intern(struct: msgspec.Struct, name: str) -> None:
    """Make a string the one object of its text: msgspec knows a default by identity, which pickling loses."""
    msgspec.structs.force_setattr(struct, name, sys.intern(getattr(struct, name)))


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of the model: a key that the model does not know is an error when decoding, never dropped."""


class Box(Strict, frozen=True, tag="box", tag_field="type", omit_defaults=True, gc=False):
    """A box in pixels: left, top, width, height of the unrotated box, and its rotation."""

    x: Number
    y: Number
    width: Number
    height: Number
    rotation: Number = 0


class Polygon(Strict, frozen=True, tag="polygon", tag_field="type"):
    """A region: the union of parts. A part is its outline ring followed by the rings of its holes."""

    parts: tuple[tuple[Ring, ...], ...]


class Line(Strict, frozen=True, tag="line", tag_field="type"):
    """An open polyline of at least two points."""

    points: Ring


class Points(Strict, frozen=True, tag="points", tag_field="type"):
    """Points without names, edges or visibility."""

    points: Ring


class Keypoints(Strict, frozen=True, tag="keypoints", tag_field="type", omit_defaults=True):
    """Named points of one object.

    ``points`` is flat: x, y, visibility for each, visibility as in COCO: 0 not labelled, 1 labelled but hidden,
    2 labelled and visible. ``skeleton`` holds 0-based pairs of indices into the points.
    """

    points: tuple[Number, ...]
    names: tuple[str, ...] = ()
    skeleton: tuple[tuple[int, int], ...] = ()


class Ellipse(Strict, frozen=True, tag="ellipse", tag_field="type", omit_defaults=True):
    """An ellipse: centre and half axes before rotation, in pixels."""

    cx: Number
    cy: Number
    rx: Number
    ry: Number
    rotation: Number = 0


class Mask(Strict, frozen=True, tag="mask", tag_field="type"):
    """A pixel mask as COCO's compressed RLE: column-major, the first run counts zeros."""

    counts: str
    height: int
    width: int


class Cuboid(Strict, frozen=True, tag="cuboid", tag_field="type", omit_defaults=True):
    """A 3-D box: its centre, length along its heading, width, height, and yaw, in the named frame."""

    x: Number
    y: Number
    z: Number
    length: Number
    width: Number
    height: Number
    yaw: Number
    frame: str = "lidar"

    def __post_init__(self) -> None:
        _intern(self, "frame")


class Cuboid2D(Strict, frozen=True, tag="cuboid2d", tag_field="type"):
    """A cuboid drawn on an image: eight corners in pixels, flat, in CVAT's order."""

    points: tuple[Number, ...]


class Tag(Strict, frozen=True, tag="tag", tag_field="type", omit_defaults=True):
    """The annotation's label is said of the whole item, within a taxonomy."""

    taxonomy: str | None = None


class Caption(Strict, frozen=True, tag="caption", tag_field="type"):
    """A sentence about the whole item."""

    text: str


Shape: TypeAlias = (
    Box | Polygon | Line | Points | Keypoints | Ellipse | Mask | Cuboid | Cuboid2D | Tag | Caption
)
SHAPES: tuple[type[Shape], ...] = (
    Box, Polygon, Line, Points, Keypoints, Ellipse, Mask, Cuboid, Cuboid2D, Tag, Caption,
)  # fmt: skip
KINDS: Mapping[type[Any], str] = {shape: str(shape.__struct_config__.tag) for shape in SHAPES}
"""Shape class -> its name in reports and files ("box", "polygon", ...)."""


class Annotation(Strict, frozen=True, kw_only=True, omit_defaults=True):
    """One labelled object and the ways it was drawn, at most one shape of each kind.

    ``predicted`` marks what a model said; a ``confidence`` or a ``class_pdf`` says so too.
    ``derived`` names the kinds of the *last* shapes, those that :mod:`fit` added because the target cannot hold the
    original; readers leave such shapes out again.
    ``truncated`` and ``occluded`` are what the source said: a bool, a fraction or a grade.
    """

    label: str | None = None
    shapes: tuple[Shape, ...] = ()
    id: Id | None = None
    predicted: bool = False
    confidence: Number | None = None
    class_pdf: Mapping[str, Number] | None = None
    track: Id | None = None
    group: Id | None = None
    occluded: bool | Number | None = None
    truncated: bool | Number | None = None
    difficult: bool | None = None
    crowd: bool | None = None
    z_order: int | None = None
    embedding: tuple[Number, ...] | None = None
    attributes: Mapping[str, Any] = EMPTY
    extras: Extras = EMPTY
    derived: tuple[str, ...] = ()

    @property
    def is_prediction(self) -> bool:
        """Whether a model said this rather than a person."""
        return self.predicted or self.confidence is not None or self.class_pdf is not None

    def shape(self, kind: type[Any]) -> Any:
        """The shape of that class, or None."""
        for shape in self.shapes:
            if type(shape) is kind:
                return shape
        return None


class Camera(Strict, frozen=True, kw_only=True, omit_defaults=True):
    """A camera: position and heading quaternion (w, x, y, z, Hamilton) in the world, intrinsics in pixels."""

    position: tuple[Number, Number, Number]
    heading: tuple[Number, Number, Number, Number]
    fx: Number
    fy: Number
    cx: Number
    cy: Number
    model: str | None = None
    distortion: Mapping[str, Number] = EMPTY


class SceneRef(Strict, frozen=True, kw_only=True, omit_defaults=True):
    """An item's place in a scene: 0-based frame, and the sensor where a frame has several.

    ``cloud`` names, for an image, the item of the frame's point cloud that cuboids of its objects stand in.
    """

    id: str
    frame: int
    sensor: str | None = None
    timestamp: Number | None = None
    cloud: str | None = None


class Item(Strict, frozen=True, kw_only=True, omit_defaults=True):
    """One image, video frame or point cloud. ``id`` is what the source calls it by; sizes are in pixels."""

    id: Id
    kind: Literal["image", "pointcloud"] = "image"
    path: str | None = None
    width: int | None = None
    height: int | None = None
    subset: str | None = None
    scene: SceneRef | None = None
    camera: Camera | None = None
    attributes: Mapping[str, Any] = EMPTY
    extras: Extras = EMPTY

    def __post_init__(self) -> None:
        if self.kind is not _IMAGE:
            _intern(self, "kind")


class Record(Strict, frozen=True):
    """One item and everything said about it: the unit that streams."""

    item: Item
    annotations: tuple[Annotation, ...] = ()


class Label(Strict, frozen=True, kw_only=True, omit_defaults=True):
    """A class of objects: its name, unique in the header, and the number and family the source gave it.

    ``skeleton`` is 0-based. ``attributes`` is the schema of its attributes: name -> {"type", "values", ...}.
    """

    name: str
    id: Id | None = None
    parent: str | None = None
    color: str | None = None
    keypoints: tuple[str, ...] = ()
    skeleton: tuple[tuple[int, int], ...] = ()
    attributes: Mapping[str, Any] = EMPTY
    extras: Extras = EMPTY


class Taxonomy(Strict, frozen=True):
    """A named list of labels for tags."""

    name: str
    labels: tuple[str, ...]


class Scene(Strict, frozen=True, kw_only=True, omit_defaults=True):
    """A sequence of frames. ``categories`` are (label, taxonomy) said of the whole scene."""

    id: str
    kind: Literal["lidar", "video"] = "video"
    frame_rate: Number | None = None
    video_url: str | None = None
    attributes: Mapping[str, Any] = EMPTY
    categories: tuple[Annotation, ...] = ()
    extras: Extras = EMPTY

    def __post_init__(self) -> None:
        _intern(self, "kind")


class Header(Strict, frozen=True, kw_only=True, omit_defaults=True):
    """What is said once for a whole data set. Labels are in the source's order."""

    labels: tuple[Label, ...] = ()
    taxonomies: tuple[Taxonomy, ...] = ()
    scenes: tuple[Scene, ...] = ()
    extras: Extras = EMPTY
    model_version: int = MODEL_VERSION
