"""The payloads, with the names the SDK gives them: structs to write and structs to check what is read.

A key that is not set is left out: a missing key and null load the same. Structs named ``...Row`` are strict
(an unknown key or a wrong type is an error with its JSON path) and are for reading.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

Number: TypeAlias = int | float

ITEMS, ANNOTATIONS, PREDICTIONS, SCENES = "items", "annotations", "predictions", "scenes"
"""Stems of the JSON Lines files of a folder."""
TAXONOMIES, DATASET, MASKS, CLOUDS = "taxonomies.json", "dataset.json", "masks", "pointclouds"
"""The other files of a folder, and the folder of mask pictures in it."""
PART_BYTES = 0x1FFFFFE8
"""The largest upload the service takes."""
LOCATIONS = ("image_url", "original_image_url", "processed_url", "url", "pointcloud_url")
"""Where an item's payload says where the image or point cloud is."""
TYPES = ("box", "polygon", "line", "keypoints", "cuboid", "category", "multicategory", "segmentation", "mask")
"""Payload types, and the names of groups in exported rows."""
CAMERA_MODELS = ("brown_conrady", "fisheye")
DISTORTION = ("k1", "k2", "k3", "k4", "p1", "p2")
REMOTE = ("http://", "https://", "s3://", "gs://")
"""What the SDK takes for remote; anything else is a local file to it."""


# --- writing -------------------------------------------------------------------------------------------


class Vertex(msgspec.Struct, gc=False):
    """A point of a polygon or line."""

    x: Number
    y: Number


class Vertices(msgspec.Struct, gc=False):
    """Geometry of a polygon or line."""

    vertices: list[Vertex]


class Rectangle(msgspec.Struct, gc=False):
    """Geometry of a box."""

    x: Number
    y: Number
    width: Number
    height: Number


class Keypoint(msgspec.Struct, gc=False, kw_only=True, omit_defaults=True):
    """One keypoint; one that is not visible may have no place."""

    x: Number | None = None
    y: Number | None = None
    visible: bool


class Skeleton(msgspec.Struct, gc=False):
    """Geometry of keypoints: unique names, as many as points; ``skeleton`` is 0-based and never left out."""

    keypoints: list[Keypoint]
    names: list[str]
    skeleton: list[tuple[int, int]]


class Point3D(msgspec.Struct, gc=False):
    """A point, or the lengths of a cuboid's edges."""

    x: Number
    y: Number
    z: Number


class Block(msgspec.Struct, gc=False):
    """Geometry of a cuboid: its centre, length x width x height, and yaw in radians."""

    position: Point3D
    dimensions: Point3D
    yaw: Number


class Nothing(msgspec.Struct, gc=False):
    """Geometry of a category."""


class Payload(msgspec.Struct, omit_defaults=True, gc=False):
    """An annotation or prediction of any type but mask."""

    label: str
    type: str
    geometry: Any
    reference_id: str
    annotation_id: str | None = None
    metadata: Any = None
    embedding_vector: Any = None
    track_reference_id: str | None = None
    taxonomy_name: str | None = None
    confidence: Number | None = None
    class_pdf: Any = None


class Segment(msgspec.Struct, omit_defaults=True, gc=False):
    """What one value in a mask picture stands for."""

    label: str
    index: int
    metadata: Any = None


class MaskPayload(msgspec.Struct, omit_defaults=True, gc=False, tag="mask", tag_field="type"):
    """The one segmentation of an item."""

    mask_url: str
    annotations: list[Any]
    reference_id: str
    annotation_id: str | None = None


# --- reading -------------------------------------------------------------------------------------------


class Row(
    msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True, tag_field="type", gc=False
):
    """What all payloads have. ``task_id`` and ``dataset_item_id`` are the service's; the SDK writes null."""

    reference_id: str | None = None
    annotation_id: str | None = None
    metadata: dict[str, Any] | None = None
    track_reference_id: str | None = None
    task_id: None = None
    dataset_item_id: None = None
    confidence: Number | None = None
    class_pdf: dict[str, Number] | None = None


class Strict(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Base of geometry that is read."""


class RectangleRead(Strict):
    """A box's."""

    x: Number
    y: Number
    width: Number
    height: Number


class VertexRead(Strict):
    """A point's."""

    x: Number
    y: Number


class VerticesRead(Strict):
    """A polygon's or line's."""

    vertices: list[VertexRead]


class KeypointRead(Strict, kw_only=True):
    """A keypoint's; the SDK takes any truth value for ``visible``."""

    x: Number | None = None
    y: Number | None = None
    visible: bool | int


class SkeletonRead(Strict, kw_only=True):
    """Keypoints'."""

    keypoints: list[KeypointRead]
    names: list[str]
    skeleton: list[tuple[int, int]] | None = None


class Point3DRead(Strict):
    """A cuboid's centre or lengths."""

    x: Number
    y: Number
    z: Number


class BlockRead(Strict):
    """A cuboid's."""

    position: Point3DRead
    dimensions: Point3DRead
    yaw: Number = 0


class NothingRead(Strict):
    """A category's."""


class BoxRow(Row, tag="box"):
    """A box."""

    label: str
    geometry: RectangleRead
    embedding_vector: list[Number] | None = None


class PolygonRow(Row, tag="polygon"):
    """A polygon of one ring."""

    label: str
    geometry: VerticesRead
    embedding_vector: list[Number] | None = None


class LineRow(Row, tag="line"):
    """An open line."""

    label: str
    geometry: VerticesRead
    embedding_vector: list[Number] | None = None


class KeypointsRow(Row, tag="keypoints"):
    """Named points."""

    label: str
    geometry: SkeletonRead
    embedding_vector: list[Number] | None = None


class CuboidRow(Row, tag="cuboid"):
    """A cuboid."""

    label: str
    geometry: BlockRead
    embedding_vector: list[Number] | None = None


class CategoryRow(Row, tag="category"):
    """A label of the item or scene."""

    label: str
    geometry: NothingRead | None = None
    taxonomy_name: str | None = None


class MultiCategoryRow(Row, tag="multicategory"):
    """Several labels of the item."""

    labels: list[str]
    geometry: NothingRead | None = None
    taxonomy_name: str | None = None


class SegmentRead(Strict):
    """What one value in a mask picture stands for."""

    label: str
    index: int | str | None = None
    metadata: dict[str, Any] | None = None


class MaskRow(Row, tag="mask"):
    """The segmentation of an item."""

    mask_url: str
    annotations: list[SegmentRead]


AnyRow: TypeAlias = (
    BoxRow | PolygonRow | LineRow | KeypointsRow | CuboidRow | CategoryRow | MultiCategoryRow | MaskRow
)


class _Skimmed(Row):
    """A row whose geometry is left as the text it is, which takes a third of the time."""

    label: str
    geometry: msgspec.Raw
    embedding_vector: list[Number] | None = None


class SkimmedBox(_Skimmed, tag="box"):
    """A box."""


class SkimmedPolygon(_Skimmed, tag="polygon"):
    """A polygon of one ring."""


class SkimmedLine(_Skimmed, tag="line"):
    """An open line."""


SkimmedRow: TypeAlias = (
    SkimmedBox | SkimmedPolygon | SkimmedLine | KeypointsRow | CuboidRow | CategoryRow | MultiCategoryRow | MaskRow
)
"""Rows that this program wrote: their geometry is sound, and what goes for numbers and names is told of the model."""
ROWS: dict[str, Any] = {
    "box": BoxRow,
    "polygon": PolygonRow,
    "line": LineRow,
    "keypoints": KeypointsRow,
    "cuboid": CuboidRow,
    "category": CategoryRow,
    "multicategory": MultiCategoryRow,
    "mask": MaskRow,
}


class CameraRead(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Calibration of a camera: where it is, where it looks (a Hamilton quaternion), and its lens."""

    position: Point3DRead
    heading: Quaternion
    fx: Number
    fy: Number
    cx: Number
    cy: Number
    camera_model: str | None = None
    k1: Number | None = None
    k2: Number | None = None
    k3: Number | None = None
    k4: Number | None = None
    p1: Number | None = None
    p2: Number | None = None


class Quaternion(Strict):
    """A rotation."""

    w: Number
    x: Number
    y: Number
    z: Number


class TaxonomyRow(msgspec.Struct, kw_only=True):
    """Arguments of ``Dataset.add_taxonomy``."""

    taxonomy_name: str
    taxonomy_type: str = "category"
    labels: list[str]


ENCODER = msgspec.json.Encoder()
DECODE_ROW = msgspec.json.Decoder(AnyRow).decode
DECODE = msgspec.json.Decoder().decode
