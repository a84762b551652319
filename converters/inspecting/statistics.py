"""Statistics over records: counted stretch by stretch, in bounded memory, and merged in any number of parts.

What could grow with the data (values of attributes, tracks, sizes) is kept up to a limit; past it the count goes on
and the names stop, which ``more`` says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from nucleus_convert.converters import geometry
from nucleus_convert.converters.checking.duplicates import Extent
from nucleus_convert.converters.checking.problems import OTHERS
from nucleus_convert.converters.model import KINDS, Annotation, Polygon, Record

BINS = 20
VALUES = 64
"""Different values kept of an attribute."""
NAMES = 2_000
"""Attributes kept."""
LABELS = 20_000
SUBSETS = 1_000
SIZES = 10_000
TRACKS = 200_000
SCENES = 20_000
SMALL, MEDIUM = 32**2, 96**2
"""Square pixels of a box below which COCO calls an object small, and medium."""
_FLAGS = ("crowd", "difficult", "occluded", "truncated")


class Attribute(msgspec.Struct):
    """Values under one name: how often, of which types, numbers' range, and the values while they are few."""

    count: int = 0
    types: dict[str, int] = msgspec.field(default_factory=dict)
    low: float | None = None
    high: float | None = None
    values: dict[str, int] = msgspec.field(default_factory=dict)
    more: bool = False

    def add(self, value: Any) -> None:
        """Count a value."""
        self.count += 1
        kind = _TYPES.get(type(value), "list" if isinstance(value, tuple) else "object")
        self.types[kind] = self.types.get(kind, 0) + 1
        if kind == "number":
            if geometry.finite(value):
                self.low = value if self.low is None else min(self.low, value)
                self.high = value if self.high is None else max(self.high, value)
        elif kind in ("text", "bool"):
            self._value(str(value) if kind == "text" else str(value).lower(), 1)

    def _value(self, value: str, count: int) -> None:
        if value in self.values or len(self.values) < VALUES:
            self.values[value] = self.values.get(value, 0) + count
        else:
            self.more = True

    def merge(self, other: Attribute) -> None:
        """Add another's counts."""
        self.count += other.count
        for kind, count in other.types.items():
            self.types[kind] = self.types.get(kind, 0) + count
        if other.low is not None and other.high is not None:
            self.low = other.low if self.low is None else min(self.low, other.low)
            self.high = other.high if self.high is None else max(self.high, other.high)
        for value, count in other.values.items():
            self._value(value, count)
        self.more = self.more or other.more


_TYPES: Mapping[type[Any], str] = {
    **{int: "number", float: "number", str: "text", bool: "bool", list: "list", dict: "object", type(None): "null"}
}


class LabelCount(msgspec.Struct):
    """Of one label: objects, items that have it, predictions among the objects, kinds of shapes, COCO's sizes."""

    objects: int = 0
    items: int = 0
    predictions: int = 0
    kinds: dict[str, int] = msgspec.field(default_factory=dict)
    small: int = 0
    medium: int = 0
    large: int = 0

    def merge(self, other: LabelCount) -> None:
        """Add another's counts."""
        self.objects += other.objects
        self.items += other.items
        self.predictions += other.predictions
        self.small += other.small
        self.medium += other.medium
        self.large += other.large
        for kind, count in other.kinds.items():
            self.kinds[kind] = self.kinds.get(kind, 0) + count


class Scores(msgspec.Struct):
    """Confidences: in twenty bins over 0 to 1, and those that are outside."""

    bins: list[int] = msgspec.field(default_factory=lambda: [0] * BINS)
    outside: int = 0
    low: float | None = None
    high: float | None = None
    total: float = 0

    def add(self, value: float) -> None:
        """Count a confidence."""
        if not 0 <= value <= 1:
            self.outside += 1
            return
        self.bins[min(int(value * BINS), BINS - 1)] += 1
        self.total += value
        self.low = value if self.low is None else min(self.low, value)
        self.high = value if self.high is None else max(self.high, value)

    @property
    def count(self) -> int:
        """How many are within 0 to 1."""
        return sum(self.bins)

    def merge(self, other: Scores) -> None:
        """Add another's counts."""
        self.bins = [mine + theirs for mine, theirs in zip(self.bins, other.bins, strict=True)]
        self.outside += other.outside
        self.total += other.total
        if other.low is not None and other.high is not None:
            self.low = other.low if self.low is None else min(self.low, other.low)
            self.high = other.high if self.high is None else max(self.high, other.high)


class Subset(msgspec.Struct):
    """Of one subset: items and objects."""

    items: int = 0
    objects: int = 0


class Statistics(msgspec.Struct):
    """Of a stretch of records, or of a data set.

    ``per_item`` counts items by their number of objects, ``sizes`` by (width, height), ``tracks`` annotations by
    track, ``scenes`` items by scene. ``empty`` are items without objects. ``more`` names what was cut off.
    """

    items: int = 0
    objects: int = 0
    predictions: int = 0
    unlabelled: int = 0
    shapeless: int = 0
    empty: int = 0
    item_kinds: Counter[str] = msgspec.field(default_factory=Counter)
    subsets: dict[str, Subset] = msgspec.field(default_factory=dict)
    sizes: Counter[tuple[int, int]] = msgspec.field(default_factory=Counter)
    sizeless: int = 0
    per_item: Counter[int] = msgspec.field(default_factory=Counter)
    labels: dict[str, LabelCount] = msgspec.field(default_factory=dict)
    kinds: Counter[str] = msgspec.field(default_factory=Counter)
    vertices: int = 0
    rings: int = 0
    in_parts: int = 0
    with_holes: int = 0
    flags: Counter[str] = msgspec.field(default_factory=Counter)
    attributes: dict[str, Attribute] = msgspec.field(default_factory=dict)
    item_attributes: dict[str, Attribute] = msgspec.field(default_factory=dict)
    tracks: Counter[str] = msgspec.field(default_factory=Counter)
    scenes: Counter[str] = msgspec.field(default_factory=Counter)
    scores: Scores = msgspec.field(default_factory=Scores)
    more: set[str] = msgspec.field(default_factory=set)

    # ------------------------------------------------------------------ counting

    def add(self, record: Record, extents: Iterable[tuple[int, Extent]]) -> None:
        """Count a record; ``extents`` are the upright boxes of its annotations, by position."""
        item, annotations = record.item, record.annotations
        self.items += 1
        self.item_kinds[item.kind] += 1
        count = len(annotations)
        self.per_item[count] += 1
        if not count:
            self.empty += 1
        subset = self._subset(item.subset or "")
        subset.items += 1
        subset.objects += count
        if item.width and item.height:
            self._count(self.sizes, (item.width, item.height), SIZES, "sizes")
        elif item.kind == "image":
            self.sizeless += 1
        if item.scene is not None:
            self._count(self.scenes, item.scene.id, SCENES, "scenes")
        if item.attributes:
            self._attributes(self.item_attributes, item.attributes)
        seen: set[str] = set()
        for annotation in annotations:
            self._annotation(annotation, seen)
        for name in seen:
            self.labels[name].items += 1
        for position, (_, _, width, height) in extents:
            label = annotations[position].label
            held = None if label is None else self.labels.get(label)
            if held is not None:
                area = width * height
                if area < SMALL:
                    held.small += 1
                elif area < MEDIUM:
                    held.medium += 1
                else:
                    held.large += 1

    def _annotation(self, annotation: Annotation, seen: set[str]) -> None:
        self.objects += 1
        label = annotation.label
        held: LabelCount | None = None
        if label is None:
            self.unlabelled += 1
        else:
            held = self.labels.get(label)
            if held is None:
                held = self._label(label)
            if held is not None:
                held.objects += 1
                seen.add(label)
        shapes = annotation.shapes
        if not shapes:
            self.shapeless += 1
        for shape in shapes:
            kind = KINDS[type(shape)]
            self.kinds[kind] += 1
            if held is not None:
                held.kinds[kind] = held.kinds.get(kind, 0) + 1
            if type(shape) is Polygon:
                self._polygon(shape)
        if annotation.is_prediction:
            self.predictions += 1
            if held is not None:
                held.predictions += 1
            if annotation.confidence is not None:
                self.scores.add(annotation.confidence)
        for flag in _FLAGS:
            if getattr(annotation, flag):
                self.flags[flag] += 1
        if annotation.track is not None:
            self._count(self.tracks, str(annotation.track), TRACKS, "tracks")
        if annotation.attributes:
            self._attributes(self.attributes, annotation.attributes)

    def _label(self, name: str) -> LabelCount | None:
        """The counts of a label seen for the first time; None if there are too many."""
        if len(self.labels) >= LABELS:
            self.more.add("labels")
            return None
        held = self.labels[name] = LabelCount()
        return held

    def _subset(self, name: str) -> Subset:
        if name not in self.subsets and len(self.subsets) >= SUBSETS:
            self.more.add("subsets")
            name = OTHERS
        return self.subsets.setdefault(name, Subset())

    def _polygon(self, shape: Polygon) -> None:
        parts = shape.parts
        self.in_parts += len(parts) > 1
        holes = False
        for part in parts:
            holes = holes or len(part) > 1
            for ring in part:
                self.rings += 1
                self.vertices += len(ring) >> 1
        self.with_holes += holes

    def _attributes(self, held: dict[str, Attribute], values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            attribute = held.get(name)
            if attribute is None:
                if len(held) >= NAMES:
                    self.more.add("attributes")
                    continue
                attribute = held[name] = Attribute()
            attribute.add(value)

    def _count(self, counter: Counter[Any], key: Any, limit: int, what: str, count: int = 1) -> None:
        if key in counter or len(counter) < limit:
            counter[key] += count
        else:
            self.more.add(what)

    # ------------------------------------------------------------------ merging

    def merge(self, other: Statistics) -> None:
        """Add the statistics of the stretch that follows."""
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("item_kinds", "per_item", "kinds", "flags"):
            getattr(self, name).update(getattr(other, name))
        for name, limit in (("sizes", SIZES), ("tracks", TRACKS), ("scenes", SCENES)):
            mine = getattr(self, name)
            for key, count in getattr(other, name).items():
                self._count(mine, key, limit, name, count)
        for name, subset in other.subsets.items():
            held = self._subset(name)
            held.items += subset.items
            held.objects += subset.objects
        for name, label in other.labels.items():
            mine_label = self.labels.get(name) or self._label(name)
            if mine_label is not None:
                mine_label.merge(label)
        for field in ("attributes", "item_attributes"):
            held_attributes: dict[str, Attribute] = getattr(self, field)
            for name, attribute in getattr(other, field).items():
                if name in held_attributes or len(held_attributes) < NAMES:
                    held_attributes.setdefault(name, Attribute()).merge(attribute)
                else:
                    self.more.add("attributes")
        self.scores.merge(other.scores)
        self.more |= other.more


_SUMS = (
    *("items", "objects", "predictions", "unlabelled", "shapeless", "empty", "sizeless"),
    *("vertices", "rings", "in_parts", "with_holes"),
)


def quantile(counts: Mapping[int, int], share: float) -> int:
    """The value below which a share of the counted values lie; 0 of none."""
    left = share * sum(counts.values())
    for value in sorted(counts):
        left -= counts[value]
        if left <= 0:
            return value
    return max(counts, default=0)
