"""What is different between two data sets of any formats: what was added, removed and changed, and by how much.

Items and objects are paired by :mod:`matching`, compared by :mod:`compare` as ``--verify`` does, and measured by
:mod:`measure`. Compared is what both formats can say; numbers that a format gives by itself (ids, places of files)
and fields that only one format knows are compared between data sets of one format. What was left out so is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from nucleus_convert.converters import compare, matching, measure, pairing
from nucleus_convert.converters.compare import Rules
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.measure import NOTHING, Measure
from nucleus_convert.converters.model import KINDS, Annotation, Item, Keypoints, Record, Shape
from nucleus_convert.converters.protocol import (
    ANNOTATION_FEATURES,
    HEADER_FEATURES,
    ITEM_FEATURES,
    LABEL_FEATURES,
    SHAPE_FEATURES,
    Feature,
    Spec,
)
from nucleus_convert.converters.report import Report

Kind: TypeAlias = Literal["added", "removed", "changed"]

OWN = frozenset(
    {
        Feature.ITEM_ID, Feature.ID, Feature.LABEL_ID, Feature.PATH, Feature.GROUP, Feature.UNUSED_LABEL,
        Feature.EXTRAS, Feature.ITEM_EXTRAS, Feature.LABEL_EXTRAS, Feature.HEADER_EXTRAS,
    }
)  # fmt: skip
"""What each format has its own way with: compared between data sets of one format only."""
HAIR = 0.01
"""Pixels that coordinates may be apart in data sets of two formats, where no tolerance is given."""
FIELDS = ("label", *SHAPE_FEATURES, *ANNOTATION_FEATURES, "item", "header")
"""What can be ignored: an object's label, its shapes and fields; all fields of items; labels and the data set's own."""


class Tolerance(msgspec.Struct, frozen=True, kw_only=True):
    """What is not thought a difference.

    Attributes:
        pixels: how far apart coordinates may be; None: nothing between data sets of one format, else a hair.
        iou: regions that overlap so much are the same, whatever their corners; 1: only equal ones.
        number: how far apart scores and attributes may be.
        overlap: how much two objects must overlap to be thought one, where ids do not say so.
        ignore: names out of :data:`FIELDS`.
    """

    pixels: float | None = None
    iou: float = 1.0
    number: float = 0.0
    overlap: float = 0.5
    ignore: frozenset[str] = frozenset()


class Side(msgspec.Struct, frozen=True):
    """One of the two data sets, what its format can say, and who is told of rows that cannot be read.

    Without a report they are errors.
    """

    labels: LabelSet
    spec: Spec
    report: Report | None = None

    def records(self) -> Iterator[Record]:
        """The records."""
        return self.labels.records(self.report or Report())


class Change(msgspec.Struct, frozen=True):
    """A field that changed, and by how much where that can be measured."""

    field: str
    before: Any
    after: Any
    measure: Measure = NOTHING


class ObjectDiff(msgspec.Struct, frozen=True):
    """An object that was added, removed or changed."""

    kind: Kind
    before: Annotation | None
    after: Annotation | None
    changes: tuple[Change, ...] = ()

    @property
    def one(self) -> Annotation:
        """The object, as it was before if it was there."""
        found = self.before or self.after
        assert found is not None
        return found


class ItemDiff(msgspec.Struct, frozen=True):
    """An item that was added, removed or changed, with its objects. ``by`` says what it was paired by."""

    kind: Kind
    before: Record | None
    after: Record | None
    by: str
    changes: tuple[Change, ...] = ()
    objects: tuple[ObjectDiff, ...] = ()

    @property
    def item(self) -> Item:
        """The item, as it was before if it was there."""
        found = self.before or self.after
        assert found is not None
        return found.item

    @property
    def weight(self) -> float:
        """How different it is: 1 for each object added, removed or of another label, what does not overlap else."""
        if self.kind != "changed":
            record = self.before or self.after
            return 1.0 + (len(record.annotations) if record else 0)
        return sum(map(_weight, self.objects)) + 0.1 * len(self.changes)


def _weight(one: ObjectDiff) -> float:
    if one.kind != "changed" or any(change.field == "label" for change in one.changes):
        return 1.0
    return max((0.1 if c.measure.iou is None else max(0.1, 1 - c.measure.iou) for c in one.changes), default=0.0)


class Summary(msgspec.Struct):
    """Counts of a comparison, complete when its items were gone through."""

    items: dict[str, int] = msgspec.field(
        default_factory=lambda: {"same": 0, "changed": 0, "added": 0, "removed": 0, "by file name": 0}
    )
    objects: dict[str, int] = msgspec.field(default_factory=lambda: {"same": 0, "changed": 0, "added": 0, "removed": 0})
    header: int = 0
    fields: Counter[str] = msgspec.field(default_factory=Counter)
    pixels: dict[str, float] = msgspec.field(default_factory=dict)
    iou: dict[str, float] = msgspec.field(default_factory=dict)
    not_compared: Counter[str] = msgspec.field(default_factory=Counter)

    @property
    def same(self) -> bool:
        """Whether there is no difference."""
        both = (self.items, self.objects)
        return not self.header and not any(one[kind] for one in both for kind in ("changed", "added", "removed"))

    def count(self, change: Change) -> None:
        """Count a change, and keep the worst of its measures."""
        name = change.field
        self.fields[name] += 1
        if change.measure.pixels is not None:
            self.pixels[name] = max(self.pixels.get(name, 0.0), change.measure.pixels)
        if change.measure.iou is not None:
            self.iou[name] = min(self.iou.get(name, 1.0), change.measure.iou)


class Diff:
    """The comparison of two data sets: ``header`` at once, items as they are iterated, ``summary`` after that.

    Args:
        before: the first.
        after: the second.
        tolerance: what is not thought a difference.
    """

    def __init__(self, before: Side, after: Side, tolerance: Tolerance | None = None) -> None:
        self.before = before
        self.after = after
        self.tolerance = tolerance or Tolerance()
        self.one_format = before.spec.name == after.spec.name
        here = (before.spec.holds | before.spec.carries) & (after.spec.holds | after.spec.carries)
        if not self.one_format:
            here -= OWN
        named = {**ANNOTATION_FEATURES, **SHAPE_FEATURES}
        here -= {named[name] for name in self.tolerance.ignore if name in named}
        self.rules = Rules(here=here, slack=self._slack(), number=self.tolerance.number)
        self.summary = self._begun = Summary()
        self.header = [] if "header" in self.tolerance.ignore else list(self._header())

    def _slack(self) -> float:
        if self.tolerance.pixels is not None:
            return self.tolerance.pixels
        if self.one_format:
            return 0.0
        return max(HAIR, *(2 * compare.rounding(side.spec.decimals) for side in (self.before, self.after)))

    def __iter__(self) -> Iterator[ItemDiff]:
        """The items that differ. A second pass begins the summary anew."""
        self.summary = Summary(header=len(self.header), not_compared=self._begun.not_compared.copy())
        for pair in self.pairs():
            found = self.compare(pair)
            if found is not None:
                yield found

    def pairs(self) -> Iterator[matching.Pair]:
        """The items of both, side by side."""
        return matching.items(self.before.records(), self.after.records())

    def compare(self, pair: matching.Pair) -> ItemDiff | None:
        """What is different of one item, counted in the summary; None if nothing is."""
        summary = self.summary
        if pair.before is None or pair.after is None:
            record = pair.before or pair.after
            assert record is not None
            kind: Kind = "removed" if pair.before else "added"
            summary.items[kind] += 1
            summary.objects[kind] += len(record.annotations)
            return ItemDiff(kind, pair.before, pair.after, pair.by)
        summary.items["by file name"] += pair.by == matching.FILE
        changes = tuple(self._item(pair.before.item, pair.after.item))
        objects = tuple(self._objects(pair.before, pair.after))
        for change in changes:
            summary.count(change)
        if not changes and not objects:
            summary.items["same"] += 1
            return None
        summary.items["changed"] += 1
        return ItemDiff("changed", pair.before, pair.after, pair.by, changes, objects)

    # --- the header -------------------------------------------------------------------------------------

    def _header(self) -> Iterator[Change]:
        before, after = self.before.labels.header, self.after.labels.header
        first, second = ({label.name: label for label in header.labels} for header in (before, after))
        if Feature.UNUSED_LABEL in self.rules.here:
            for name in [*first, *(name for name in second if name not in first)]:
                if name not in second:
                    yield Change("label", name, None)
                elif name not in first:
                    yield Change("label", None, name)
            common = [[name for name in one if name in other] for one, other in ((first, second), (second, first))]
            if common[0] != common[1]:
                yield Change("order of labels", common[0], common[1])
        for name, label in first.items():
            if name in second:
                yield from self._fields(label, second[name], LABEL_FEATURES, self.rules, f"label '{name}' ")
        yield from self._fields(compare.unnamed(before), compare.unnamed(after), HEADER_FEATURES, self.rules)

    # --- items and objects ------------------------------------------------------------------------------

    def _item(self, before: Item, after: Item) -> Iterator[Change]:
        if "item" in self.tolerance.ignore:
            return
        for change in self._fields(before, after, ITEM_FEATURES, self.rules, "item "):
            # Some formats must put an item into some subset; a size that is not said is looked up elsewhere.
            if self.one_format or None not in (change.before, change.after):
                yield change
            else:
                self.summary.not_compared[change.field] += 1

    def _objects(self, before: Record, after: Record) -> Iterator[ObjectDiff]:
        counts = self.summary.objects
        for i, j in pairing.objects(before.annotations, after.annotations, self.tolerance.overlap):
            one = None if i is None else before.annotations[i]
            other = None if j is None else after.annotations[j]
            if one is None or other is None:
                kind: Kind = "added" if one is None else "removed"
                counts[kind] += 1
                yield ObjectDiff(kind, one, other)
                continue
            changes = tuple(self._object(one, other))
            for change in changes:
                self.summary.count(change)
            if changes:
                counts["changed"] += 1
                yield ObjectDiff("changed", one, other, changes)
            else:
                counts["same"] += 1

    def _object(self, before: Annotation, after: Annotation) -> Iterator[Change]:
        if before.label != after.label and "label" not in self.tolerance.ignore:
            yield Change("label", before.label, after.label)
        yield from self._shapes(before, after)
        for name in before.extras.keys() | after.extras.keys():
            before, after = compare.placeless(before, name), compare.placeless(after, name)
        yield from self._fields(before, after, ANNOTATION_FEATURES, self.rules)

    def _shapes(self, before: Annotation, after: Annotation) -> Iterator[Change]:
        first, second = _drawn(before), _drawn(after)
        gone = [kind for kind in first if kind not in second]
        new = [kind for kind in second if kind not in first]
        if len(gone) == len(new) == 1 and {SHAPE_FEATURES[gone[0]], SHAPE_FEATURES[new[0]]} <= self.rules.here:
            drawn = first.pop(gone[0]), second.pop(new[0])  # the same thing drawn another way
            yield from self._sized(Change(gone[0], *drawn, measure.between(*drawn)))
        for kind in [*first, *(kind for kind in second if kind not in first)]:
            one, other = first.get(kind), second.get(kind)
            if one == other:
                continue
            if SHAPE_FEATURES[kind] not in self.rules.here:
                if kind not in self.tolerance.ignore:
                    self.summary.not_compared[str(SHAPE_FEATURES[kind])] += 1
            elif one is None or other is None:
                regions = measure.region(before), measure.region(after)
                size = NOTHING if None in regions else measure.between(*regions)
                yield Change(kind, one, other, size)
            else:
                yield from self._shape(kind, one, other)

    def _shape(self, kind: str, before: Shape, after: Shape) -> Iterator[Change]:
        if _visibility(before) == _visibility(after) and not any(compare.shapes(kind, before, after, self.rules.slack)):
            return
        yield from self._sized(Change(kind, before, after, measure.between(before, after)))

    def _sized(self, change: Change) -> Iterator[Change]:
        """The change, unless its regions are as good as equal."""
        iou = change.measure.iou
        if self.tolerance.iou >= 1 or iou is None or iou < self.tolerance.iou:
            yield change

    def _fields(
        self, before: Any, after: Any, features: Mapping[str, Feature], rules: Rules, prefix: str = ""
    ) -> Iterator[Change]:
        """Fields that differ; of mappings the keys that do."""
        for found in compare.fields(before, after, features, rules, prefix):
            name = found.field.removeprefix(prefix)
            if name in ("attributes", "extras"):
                yield from _keys(found.field, found.expected, found.found, rules.number, 2 if name == "extras" else 1)
            elif self.one_format or not _unsaid(found.expected, found.found):
                yield Change(found.field, found.expected, found.found)
        for name, feature in features.items():
            unseen = feature not in rules.here and feature not in OWN and name not in self.tolerance.ignore
            if unseen and getattr(before, name) != getattr(after, name):
                self.summary.not_compared[str(feature)] += 1


def _drawn(annotation: Annotation) -> dict[str, Shape]:
    """Shapes by kind, without those that were derived from others."""
    own = annotation.shapes[: len(annotation.shapes) - len(annotation.derived)]
    return {KINDS[type(shape)]: shape for shape in own}


def _visibility(shape: Shape) -> Any:
    """What of key points is no coordinate: a tolerance for those must not hide it."""
    return (shape.points[2::3], shape.names, shape.skeleton) if isinstance(shape, Keypoints) else None


def _unsaid(before: Any, after: Any) -> bool:
    """Whether one says no where the other says nothing, which formats that must say it do."""
    return before in (None, False) and after in (None, False)


def _keys(field: str, before: Any, after: Any, slack: float, depth: int) -> Iterator[Change]:
    """The keys in which two mappings differ, down to ``depth``."""
    for key in [*before, *(key for key in after if key not in before)]:
        one, other = before.get(key), after.get(key)
        if depth > 1 and isinstance(one, Mapping | None) and isinstance(other, Mapping | None):
            yield from _keys(f"{field}.{key}", one or {}, other or {}, slack, depth - 1)
        elif (key in before) != (key in after) or not compare.same(one, other, slack):
            yield Change(f"{field}.{key}", one, other)
