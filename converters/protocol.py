"""What a format module in ``converters/`` offers: its Spec, options, ``sniff``, ``read`` and ``write``.

A format is a module, not a class: mypy checks the modules against :class:`Format` (tests/typing_contract.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.report import Report


class Feature(StrEnum):
    """What a format can be asked to hold. Every field of the model maps to one (tests/test_model.py)."""

    BOX = "box"
    ROTATION = "rotated box"
    POLYGON = "polygon"
    PARTS = "polygon of several parts"
    HOLES = "polygon with holes"
    LINE = "line"
    POINTS = "points"
    KEYPOINTS = "keypoints"
    ELLIPSE = "ellipse"
    MASK = "mask"
    CUBOID = "cuboid"
    CUBOID2D = "2-D cuboid"
    TAG = "tag"
    CAPTION = "caption"

    UNLABELLED = "object without a label"
    ID = "annotation id"
    PREDICTED = "being a prediction"
    CONFIDENCE = "confidence"
    CLASS_PDF = "class distribution"
    TRACK = "track"
    GROUP = "group"
    OCCLUDED = "occluded"
    TRUNCATED = "truncated"
    DIFFICULT = "difficult"
    CROWD = "crowd"
    Z_ORDER = "z order"
    EMBEDDING = "embedding"
    ATTRIBUTES = "attributes"
    EXTRAS = "other formats' fields"

    ITEM_ID = "item id"
    EMPTY_ITEM = "item without annotations"
    POINTCLOUD = "point cloud"
    PATH = "image location"
    SIZE = "image size"
    SUBSET = "subset"
    SCENE = "scene"
    CAMERA = "camera"
    ITEM_ATTRIBUTES = "item attributes"
    ITEM_EXTRAS = "other formats' item fields"

    LABEL_ID = "label id"
    LABEL_PARENT = "label parent"
    LABEL_COLOR = "label colour"
    LABEL_KEYPOINTS = "label keypoints"
    LABEL_ATTRIBUTES = "attribute schema"
    LABEL_EXTRAS = "other formats' label fields"
    UNUSED_LABEL = "label without objects"
    TAXONOMIES = "taxonomies"
    HEADER_EXTRAS = "other formats' data set fields"


SHAPE_FEATURES: Mapping[str, Feature] = {
    "box": Feature.BOX,
    "polygon": Feature.POLYGON,
    "line": Feature.LINE,
    "points": Feature.POINTS,
    "keypoints": Feature.KEYPOINTS,
    "ellipse": Feature.ELLIPSE,
    "mask": Feature.MASK,
    "cuboid": Feature.CUBOID,
    "cuboid2d": Feature.CUBOID2D,
    "tag": Feature.TAG,
    "caption": Feature.CAPTION,
}
ANNOTATION_FEATURES: Mapping[str, Feature] = {
    "id": Feature.ID,
    "predicted": Feature.PREDICTED,
    "confidence": Feature.CONFIDENCE,
    "class_pdf": Feature.CLASS_PDF,
    "track": Feature.TRACK,
    "group": Feature.GROUP,
    "occluded": Feature.OCCLUDED,
    "truncated": Feature.TRUNCATED,
    "difficult": Feature.DIFFICULT,
    "crowd": Feature.CROWD,
    "z_order": Feature.Z_ORDER,
    "embedding": Feature.EMBEDDING,
    "attributes": Feature.ATTRIBUTES,
    "extras": Feature.EXTRAS,
}
ITEM_FEATURES: Mapping[str, Feature] = {
    "id": Feature.ITEM_ID,
    "kind": Feature.POINTCLOUD,
    "path": Feature.PATH,
    "width": Feature.SIZE,
    "height": Feature.SIZE,
    "subset": Feature.SUBSET,
    "scene": Feature.SCENE,
    "camera": Feature.CAMERA,
    "attributes": Feature.ITEM_ATTRIBUTES,
    "extras": Feature.ITEM_EXTRAS,
}
LABEL_FEATURES: Mapping[str, Feature] = {
    "id": Feature.LABEL_ID,
    "parent": Feature.LABEL_PARENT,
    "color": Feature.LABEL_COLOR,
    "keypoints": Feature.LABEL_KEYPOINTS,
    "skeleton": Feature.LABEL_KEYPOINTS,
    "attributes": Feature.LABEL_ATTRIBUTES,
    "extras": Feature.LABEL_EXTRAS,
}
HEADER_FEATURES: Mapping[str, Feature] = {
    "taxonomies": Feature.TAXONOMIES,
    "scenes": Feature.SCENE,
    "extras": Feature.HEADER_EXTRAS,
}


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """What a format is and what it can express.

    Attributes:
        name: one lower-case word, the same in the registry, both folders, fixtures and tests.
        title: for people.
        holds: what the format has words for: it arrives exact.
        carries: what it has no words for but a place (metadata, extra keys): it travels along and comes back.
            What is in neither is given up by ``fit``, and reported.
        layout: whether a target is one file, a folder, or either (a target with a suffix is a file).
        suffix: the usual suffix of its files, with the dot.
        decimals: the digits a coordinate is written with; None: exact.
        reference: the address of the specification.
    """

    name: str
    title: str
    holds: frozenset[Feature]
    carries: frozenset[Feature] = frozenset()
    layout: Literal["file", "directory", "either"] = "directory"
    suffix: str = ""
    decimals: int | None = None
    reference: str = ""


class Stretch(msgspec.Struct, frozen=True):
    """Where the records of items ``start`` to ``stop`` stand in the output: from and to byte, for each kind of file."""

    start: int
    stop: int
    bytes: dict[str, tuple[int, int]]


class Target(msgspec.Struct, frozen=True):
    """Where a writer writes, and with how many hands.

    ``path`` is where to write now (a place that is moved to ``final`` when all went well).
    ``progress``, if given, is called with the number of items done so far.
    ``stretches`` is filled by writers whose module offers ``excerpt(folder, stretch, into)``, which makes a small
    data set of one stretch: so a large output can be read back here and there without being read from the start.
    """

    path: Path
    final: Path
    workers: int = 1
    progress: Callable[[int], None] | None = None
    stretches: list[Stretch] = msgspec.field(default_factory=list)


class Format(Protocol):
    """Satisfied by every module named in the registry.

    A module whose target holds less or more with other options (a task of YOLO's, a file beside or none) also has

        narrowed(labels: LabelSet, *, options, report: Report) -> tuple[Spec, Step | None]

    which says what this target holds, and what is to be done to records after they were made to fit that.

    A module that has to look into many files before the first record can be read also has

        read_by(source: Path, *, options, report: Report, workers: int | None) -> LabelSet

    which is ``read`` with several processes (None: as many as pay).

    A module with rules of its own about what its files say (``convert check``) has

        examine(source: Path, options, setting: Setting, problems: Problems) -> None
        payloads(labels, folder: Path, options, problems: Problems, report: Report, *, workers, progress) -> Path | None

    ``examine`` looks at every row of a source, also those that ``read`` turns away; ``payloads`` writes what it can of
    a label set, for ``examine``, and tells what it cannot.
    """

    SPEC: Spec
    ReadOptions: type[Any]
    WriteOptions: type[Any]

    def sniff(self, source: Path) -> str | None:
        """None: this source is mine. Text: the requirement it does not meet."""
        ...

    def read(self, source: Path, *, options: Any, report: Report) -> LabelSet:
        """Open a source. Rows that cannot be read go through ``report.reject``; files that cannot raise ReadError."""
        ...

    def write(self, labels: LabelSet, target: Target, *, options: Any, report: Report) -> list[Path]:
        """Write records that fit SPEC to ``target.path``; return the files written. Counts every fate in the ledger."""
        ...
