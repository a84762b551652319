"""Makes records fit what the target can hold: the only place that gives something up, and says so each time.

``SPEC.holds`` is what the target has words for; ``SPEC.carries`` what travels along in a side channel and
comes back; the rest is *dropped*. A shape the target has no word for is drawn as the nearest one it has, if
the object has no other shape that can be drawn, or none that is a region: *approximated* where the original
is carried, *replaced* where it is not.

What is to be done depends only on an annotation's outline (which kinds of shapes, which fields are set), so
it is worked out once for each outline, and most annotations pass untouched.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any, TypeAlias

import msgspec

from nucleus_convert.converters.boxes import Boxes
from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import Where
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.model import (
    KINDS,
    Annotation,
    Box,
    Cuboid2D,
    Ellipse,
    Extras,
    Header,
    Item,
    Mask,
    Points,
    Polygon,
    Record,
    Shape,
)
from nucleus_convert.converters.nearest import approximate, describe, drawable, extent_rank, features_of
from nucleus_convert.converters.outline import Outlines
from nucleus_convert.converters.protocol import (
    ANNOTATION_FEATURES,
    HEADER_FEATURES,
    ITEM_FEATURES,
    LABEL_FEATURES,
    SHAPE_FEATURES,
    Feature,
    Spec,
)
from nucleus_convert.converters.report import EXAMPLES, Finding, Report
from nucleus_convert.converters.several import drawn
from nucleus_convert.converters.sketch import Common, Sketches
from nucleus_convert.converters.substitutes import substitute

_MANY_PLANS = 1000
_MANY_COMMONS = 20_000
_ALONE = frozenset({Box, Ellipse, Points, Cuboid2D})
"""Kinds of shapes that differ in nothing that matters here, boxes apart from those that are not turned."""
_NOTHING: dict[str, Any] = {"attributes": {}, "keypoints": (), "skeleton": ()}
_REGIONS = (Mask, Polygon, Ellipse)


def fitted(labels: LabelSet, spec: Spec, report: Report) -> LabelSet:
    """The label set as the target can hold it; what is given up is reported when records are read."""
    return labels.then(Fit(spec), _header(labels.header, spec, report))


_Key: TypeAlias = tuple[bool, bool, tuple[Any, ...]]
"""What the plan for an annotation depends on: its shapes need a look, it has another format's extras, its fields."""


class _Plan(msgspec.Struct, frozen=True, eq=False):
    """What to do with annotations of one outline. ``shapes`` says whether shapes need a look."""

    shapes: bool
    dropped: tuple[str, ...]
    carried: tuple[str, ...]


class Sketched(msgspec.Struct, frozen=True, eq=False):
    """What to do with sketches that have something in common.

    Attributes:
        key: what the plan depends on.
        plan: as for any other annotation.
        after: what they have in common with something that stands in for their shape; None if nothing has to.
        what: that, in the report's words.
    """

    key: _Key
    plan: _Plan
    after: Common | None
    what: str


class Fit:
    """The step that makes each record fit. Picklable."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._plans: dict[Any, _Plan] = {}
        # Fields that the target holds need no look; the rest decide the plan.
        self._watched = tuple(
            name
            for name, feature in ANNOTATION_FEATURES.items()
            if feature not in spec.holds and name != "extras"
        )
        self._values = attrgetter("derived", "derived", *self._watched)
        self._item_watched = tuple(
            name for name, feature in ITEM_FEATURES.items() if feature not in spec.holds
        )
        # Two names at the least, so that the getter gives a tuple.
        self._item_values = attrgetter("kind", "kind", *self._item_watched)
        self._item_plans: dict[Any, _Plan] = {}
        self._shapes_held = frozenset(
            kind
            for kind, name in KINDS.items()
            if SHAPE_FEATURES[name] in spec.holds and kind not in (Box, Polygon)
        )
        self._rotation = Feature.ROTATION in spec.holds
        self._parts = Feature.PARTS in spec.holds
        self._holes = Feature.HOLES in spec.holds
        self._box = Feature.BOX in spec.holds
        self._polygon = Feature.POLYGON in spec.holds
        self._extras = Feature.EXTRAS in spec.holds
        self._unlabelled = Feature.UNLABELLED in spec.holds
        self._anything = self._has(Feature.POINTCLOUD) and self._has(Feature.EMPTY_ITEM)
        self.takes_outlines = spec.holds.issuperset(
            (Feature.BOX, Feature.POLYGON, Feature.PARTS, Feature.LINE, Feature.ID, Feature.ATTRIBUTES)
        )
        self._outlines: dict[str, tuple[_Plan, _Key]] = {}
        self._kinds: dict[int, tuple[_Plan, _Key, Annotation]] = {}
        self._commons: dict[Common, Sketched | None] = {}
        self._alone_travels: dict[type[Any], bool] = {}
        """Whether a shape of that kind that is not drawn is carried."""
        self._report: Report | None = None
        self._settled: dict[tuple[str, ...], list[Finding]] = {}
        """Of what is carried: its findings, if in that report they have all the examples they want."""

    def __reduce__(self) -> Any:
        return Fit, (self.spec,)

    def __call__(self, record: Record, report: Report) -> Record | None:
        """The record as the target can hold it; None if it cannot hold such a record at all."""
        if not self._anything and (record.item.kind != "image" or not record.annotations):
            if record.item.kind != "image" and not self._has(Feature.POINTCLOUD):
                report.tally(Code.DROPPED, str(Feature.POINTCLOUD), self.spec.name, record.item, None, 1)
                report.ledger.drop_record(record)
                return None
            if not record.annotations and not self._has(Feature.EMPTY_ITEM):
                self._drop_empty(record.item, report)
                return None
        if len(record.annotations) == 1:
            (only,) = record.annotations
            if type(only) is Sketches:
                return self._sketches(record, only, report)
            if type(only) is Boxes:
                return self._boxes(record, only, report)
        elif Sketches in map(type, record.annotations) and (report.logging or not self._know(record)):
            record = drawn(record)
        if Outlines in map(type, record.annotations) and not self._holds_outlines(record):
            record = drawn(record)
        spec = self.spec
        item = self._item(record.item, report)
        annotations: list[Annotation] | None = None
        values, name, extras_watched = self._values, spec.name, not self._extras
        box_held, rotation, polygon_held, held = self._box, self._rotation, self._polygon, self._shapes_held
        plan: _Plan | None = None
        last: Any = None
        alike = 0  # annotations in a row that are dealt with alike, so far
        for i, annotation in enumerate(record.annotations):
            count = 1
            sketched: Any = None
            if type(annotation) is Outlines:
                planned, key = self._outlines.get(annotation.source) or self._outlined(annotation)
                count = len(annotation.ids)
            elif type(annotation) is Sketches:
                sketched = self._commons.get(annotation.commons[0]) or self._sketched(annotation.commons[0])
                planned, key = sketched.plan, sketched.key
            else:
                shapes = annotation.shapes
                look = not shapes
                for shape in shapes:
                    kind = type(shape)
                    if kind is Polygon and polygon_held:
                        parts = shape.parts  # type: ignore[union-attr]
                        if len(parts) > 1 and not self._parts:
                            look = True
                        elif not self._holes:
                            for part in parts:
                                if len(part) > 1:
                                    look = True
                    elif kind is Box and box_held:
                        if shape.rotation and not rotation:  # type: ignore[union-attr]
                            look = True
                    elif kind not in held:
                        look = True
                if annotation.label is None and not self._unlabelled:
                    look = True
                extras = annotation.extras
                foreign = extras_watched and bool(extras) and (name not in extras or len(extras) > 1)
                key = (look, foreign, values(annotation))
                planned = plan if key == last else self._planned(key, annotation)  # type: ignore[assignment]
            if planned is not plan or key != last:
                if plan is not None and plan.carried:
                    self._count(plan, alike, item, record.annotations[i - 1], report)
                plan, alike = planned, 0
            alike += count
            last = key
            if planned.shapes or planned.dropped:
                changed: Annotation | None
                if type(annotation) is Sketches:
                    changed = msgspec.structs.replace(annotation, commons=[sketched.after])
                    self._stands_in(sketched, item, sketched.after.error(annotation.numbers[0]), report)
                else:
                    changed = self._change(annotation, planned, item, report)
                if annotations is None:
                    annotations = list(record.annotations[:i])
                if changed is not None:
                    annotations.append(changed)
            elif annotations is not None:
                annotations.append(annotation)
        if plan is not None and plan.carried:
            self._count(plan, alike, item, record.annotations[-1], report)
        if annotations is None:
            return record if item is record.item else Record(item, record.annotations)
        if not annotations and not self._anything and not self._has(Feature.EMPTY_ITEM):
            self._drop_empty(item, report)
            return None
        return Record(item, tuple(annotations))

    def _holds_outlines(self, record: Record) -> bool:
        """Whether the target can hold a record's outlines as they are."""
        outlines = [one for one in record.annotations if type(one) is Outlines]
        plans = [(self._outlines.get(one.source) or self._outlined(one))[0] for one in outlines]
        return not any(plan.shapes or plan.dropped for plan in plans)

    def _outlined(self, outlines: Outlines) -> tuple[_Plan, _Key]:
        """The plan for outlines of a source, and what it depends on: all are objects of the same fields."""
        kind = outlines.named()[0]
        foreign = not self._extras and outlines.source != self.spec.name
        key = False, foreign, self._values(kind)
        known = self._outlines[outlines.source] = self._planned(key, kind), key
        return known

    def _boxes(self, record: Record, boxes: Boxes, report: Report) -> Record | None:
        """The record of boxes; drawn and gone through one by one if the target cannot hold any of them as it is."""
        known = self._kinds
        kinds = [known.get(id(kind)) or self._kind(kind) for kind in boxes.kinds]
        if any(plan.shapes or plan.dropped for plan, _, _ in kinds):
            return self(drawn(record), report)
        item = self._item(record.item, report)
        name, start = self.spec.name, 0
        for stop, (plan, key, _) in enumerate(kinds, 1):
            if stop == len(kinds) or kinds[stop][1] != key:
                for what in plan.carried:
                    report.tally(Code.CARRIED, what, name, item, boxes.kinds[stop - 1], stop - start)
                start = stop
        return record if item is record.item else Record(item, record.annotations)

    def _kind(self, kind: Annotation) -> tuple[_Plan, _Key, Annotation]:
        """The plan for boxes of a kind, and what it depends on."""
        look = not self._box or (kind.label is None and not self._unlabelled)
        foreign = not self._extras and bool(kind.extras) and (self.spec.name not in kind.extras or len(kind.extras) > 1)
        if len(self._kinds) > _MANY_PLANS:
            self._kinds.clear()
        # With the annotation, so that no other can have its identity.
        key = look, foreign, self._values(kind)
        known = self._kinds[id(kind)] = self._planned(key, kind), key, kind
        return known

    def _sketches(self, record: Record, sketches: Sketches, report: Report) -> Record | None:
        """The record of sketches; drawn and gone through one by one if one cannot be held so, or all is logged."""
        known = self._commons
        found: list[Any] = list(map(known.get, sketches.commons))
        if not all(found):
            found = [known.get(common) or self._sketched(common) for common in sketches.commons]
        if report.logging or not all(found):
            return self(drawn(record), report)
        item = self._item(record.item, report)
        commons = sketches.commons
        settled = self._settled if report is self._report else {}
        plan: _Plan = found[0].plan
        first = 0
        for i, one in enumerate(found):
            if one.plan is not plan:
                if plan.carried in settled:
                    for finding in settled[plan.carried]:
                        finding.count += i - first
                elif plan.carried:
                    self._count(plan, i - first, item, None, report)
                    settled = self._settled
                plan, first = one.plan, i
            if one.after is not None:
                if commons is sketches.commons:
                    commons = commons.copy()
                commons[i] = one.after
                self._stands_in(one, item, one.after.error(sketches.numbers[i]), report)
        if plan.carried in settled:
            for finding in settled[plan.carried]:
                finding.count += len(found) - first
        elif plan.carried:
            self._count(plan, len(found) - first, item, None, report)
        if commons is not sketches.commons:
            sketches = Sketches(commons=commons, numbers=sketches.numbers, said=sketches.said)
            return Record(item, (sketches,))
        return record if item is record.item else Record(item, record.annotations)

    def _know(self, record: Record) -> bool:
        """Whether no sketch of a record has to be drawn."""
        sketches = [one for one in record.annotations if type(one) is Sketches]
        return all(self._commons.get(one.commons[0]) or self._sketched(one.commons[0]) for one in sketches)

    def _sketched(self, common: Common) -> Sketched | None:
        """What to do with sketches that have this in common; None if they have to be drawn."""
        if common in self._commons:
            return None
        annotation, shape = common.annotation, common.like
        extras = annotation.extras
        foreign = not self._extras and bool(extras) and (self.spec.name not in extras or len(extras) > 1)
        look = not drawable(shape, self.spec)
        key = look, foreign, self._values(annotation)
        plan = self._planned(key, annotation)
        after, what = None, ""
        if look and self._travels(shape) and (found := substitute(shape)) is not None and drawable(found[0], self.spec):
            new = found[0]
            what = f"{describe(shape)} as {describe(new)}"
            changed = msgspec.structs.replace(annotation, derived=(*annotation.derived, KINDS[type(new)]))
            after = Common(changed, shape, (type(shape), type(new)))
        if len(self._commons) >= _MANY_COMMONS:
            self._commons.clear()
        undrawn = annotation.label is not None and not plan.dropped and (after is not None or not look)
        made = self._commons[common] = Sketched(key, plan, after, what) if undrawn else None
        return made

    def _stands_in(self, one: Sketched, item: Item, error: float | None, report: Report) -> None:
        """Count a shape that another stands in for."""
        name = self.spec.name
        finding = report.findings.get((Code.APPROXIMATED, name, one.what))
        if finding is None or len(finding.examples) < EXAMPLES:
            where = Where(item=str(item.path or item.id))
            measure = None if error is None else ("pixels", error)
            report.add(Code.APPROXIMATED, one.what, format=name, where=where, measure=measure)
            return
        finding.count += 1
        if error is not None and finding.worst is not None and error > finding.worst:
            finding.worst = error

    def _has(self, feature: Feature) -> bool:
        """Whether the target has a place for it."""
        return feature in self.spec.holds or feature in self.spec.carries

    def _drop_empty(self, item: Item, report: Report) -> None:
        report.tally(Code.DROPPED, str(Feature.EMPTY_ITEM), self.spec.name, item, None, 1)
        report.ledger.item("dropped")

    def _count(self, plan: _Plan, count: int, item: Item, annotation: Annotation | None, report: Report) -> None:
        if report is not self._report:
            self._report = report
            self._settled.clear()
        settled = self._settled.get(plan.carried)
        if settled is not None:
            for finding in settled:
                finding.count += count
            return
        name = self.spec.name
        if type(annotation) is Outlines:
            annotation = annotation.named()[-1]
        for what in plan.carried:
            report.tally(Code.CARRIED, what, name, item, annotation, count)
        if not any(report.wants_example(Code.CARRIED, what, name) for what in plan.carried):
            self._settled[plan.carried] = [report.findings[Code.CARRIED, name, what] for what in plan.carried]

    def _planned(self, key: _Key, annotation: Annotation) -> _Plan:
        """The plan for annotations like this. Values repeat, so they are the key as they are, while few."""
        look, foreign, said = key
        try:
            plan = self._plans.get(key)
        except TypeError:  # a dictionary among the values
            names = ("", "", *self._watched)
            key = (look, foreign, tuple([_unset(*pair) for pair in zip(names, said, strict=True)]))
            plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) > _MANY_PLANS:
                self._plans.clear()
            plan = self._plans[key] = self._plan(annotation, look, foreign)
        return plan

    def _plan(self, annotation: Annotation, look: bool, foreign: bool) -> _Plan:
        spec = self.spec
        dropped: list[str] = []
        carried: list[str] = []
        for name in self._watched:
            if not _unset(name, getattr(annotation, name)):
                feature = ANNOTATION_FEATURES[name]
                (carried if feature in spec.carries else dropped).append(name)
        if foreign:
            if Feature.EXTRAS in spec.carries:
                carried.append("extras")
            else:
                dropped.append("extras")
        named = tuple(
            "fields of its source format" if name == "extras" else str(ANNOTATION_FEATURES[name])
            for name in carried
        )
        return _Plan(shapes=look, dropped=tuple(dropped), carried=named)

    # ------------------------------------------------------------------ annotations

    def _change(self, annotation: Annotation, plan: _Plan, item: Item, report: Report) -> Annotation | None:
        if not plan.dropped and annotation.label is not None and len(annotation.shapes) == 1:
            changed = self._alone(annotation, item, report)
            if changed is not None:
                return changed
        spec = self.spec
        where = Where(
            item=str(item.path or item.id), annotation=None if annotation.id is None else str(annotation.id)
        )
        if annotation.label is None and not self._has(Feature.UNLABELLED):
            report.add(Code.DROPPED, str(Feature.UNLABELLED), format=spec.name, where=where)
            report.ledger.drop_annotation(annotation.shapes)
            return None
        if annotation.label is None and not self._unlabelled:
            report.add(Code.CARRIED, str(Feature.UNLABELLED), format=spec.name, where=where)
        changes: dict[str, Any] = {}
        for name in plan.dropped:
            feature = ANNOTATION_FEATURES[name]
            if name == "extras":
                changes[name] = _own(annotation.extras, spec)
                report.add(Code.DROPPED, "fields of its source format", format=spec.name, where=where)
                continue
            changes[name] = {} if name == "attributes" else False if name == "predicted" else None
            report.add(Code.DROPPED, str(feature), format=spec.name, where=where)
        if (
            annotation.is_prediction
            and not annotation.predicted
            and {"confidence", "class_pdf"} & changes.keys()
        ):
            # It no longer shows that a model said this.
            if self._has(Feature.PREDICTED):
                changes["predicted"] = True
            elif annotation.confidence is None or "confidence" in changes:
                report.add(Code.DROPPED, str(Feature.PREDICTED), format=spec.name, where=where)
        if plan.shapes:
            shapes, derived = self._shapes(annotation.shapes, item, where, report)
            if not shapes and not _may_be_shapeless(spec):
                what = (
                    " and ".join(KINDS[type(shape)] for shape in annotation.shapes)
                    or "object without any shape"
                )
                report.add(Code.DROPPED, what, format=spec.name, where=where)
                report.ledger.drop_annotation(annotation.shapes)
                return None
            for shape in annotation.shapes:
                if shape not in shapes:
                    report.ledger.fate(((KINDS[type(shape)], "dropped"),))
            changes["shapes"] = shapes
            changes["derived"] = (*annotation.derived, *derived)
        return msgspec.structs.replace(annotation, **changes)

    def _alone(self, annotation: Annotation, item: Item, report: Report) -> Annotation | None:
        """The commonest change: an only shape that is carried, and another drawn in its place; None for another."""
        (shape,) = annotation.shapes
        kind = type(shape)
        if kind not in _ALONE or (kind is Box and not shape.rotation):  # type: ignore[union-attr]
            return None
        spec = self.spec
        travels = self._alone_travels.get(kind)
        if travels is None:
            travels = self._alone_travels[kind] = self._travels(shape)
        found = approximate(shape, spec, item) if travels else None
        if found is None:
            return None
        new, measure = found
        what = f"{describe(shape)} as {describe(new)}"
        where = None
        if report.wants_example(Code.APPROXIMATED, what, spec.name):
            identity = None if annotation.id is None else str(annotation.id)
            where = Where(item=str(item.path or item.id), annotation=identity)
        report.add(Code.APPROXIMATED, what, format=spec.name, where=where, measure=measure)
        derived = (*annotation.derived, KINDS[type(new)])
        return msgspec.structs.replace(annotation, shapes=(shape, new), derived=derived)

    def _travels(self, shape: Shape) -> bool:
        """Whether a shape cannot be drawn, but is carried."""
        missing = [feature for feature in features_of(shape) if feature not in self.spec.holds]
        return bool(missing) and self.spec.carries.issuperset(missing)

    def _shapes(
        self, shapes: tuple[Shape, ...], item: Item, where: Where, report: Report
    ) -> tuple[tuple[Shape, ...], tuple[str, ...]]:
        """The shapes that travel (held or carried), with an approximation where none of them can be drawn."""
        spec = self.spec
        held = [shape for shape in shapes if drawable(shape, spec)]
        travelling = [shape for shape in shapes if drawable(shape, spec) or spec.carries.issuperset(
            feature for feature in features_of(shape) if feature not in spec.holds)]  # fmt: skip
        derived, replaced = self._stand_in(shapes, held, travelling, item, where, report)
        for shape in shapes:
            if shape not in travelling and shape is not replaced and (held or derived is None):
                report.add(Code.DROPPED, describe(shape), format=spec.name, where=where)
            elif shape in travelling and shape not in held and derived is None:
                report.add(Code.CARRIED, describe(shape), format=spec.name, where=where)
        if derived is None:
            return tuple(travelling), ()
        return (*travelling, derived), (KINDS[type(derived)],)

    def _stand_in(
        self,
        shapes: tuple[Shape, ...],
        held: list[Shape],
        travelling: list[Shape],
        item: Item,
        where: Where,
        report: Report,
    ) -> tuple[Shape, Shape] | tuple[None, None]:
        """A shape to draw in place of one that cannot be, and that one: where there is no other region."""
        spec = self.spec
        if any(type(shape) in _REGIONS for shape in held):
            return None, None
        for shape in sorted(shapes, key=lambda shape: -extent_rank(shape)):
            if shape in held or (held and type(shape) not in _REGIONS):
                continue
            found = approximate(shape, spec, item)
            if found is None or (held and type(found[0]) not in _REGIONS):
                continue
            new, measure = found
            code = Code.APPROXIMATED if shape in travelling else Code.REPLACED
            what = f"{describe(shape)} as {describe(new)}"
            report.add(code, what, format=spec.name, where=where, measure=measure)
            return new, shape
        return None, None

    # ------------------------------------------------------------------ items

    def _item(self, item: Item, report: Report) -> Item:
        # What _unset says, without a call for each.
        said = tuple([v is None or v is False or v == {} or v == () for v in self._item_values(item)])
        own = len(item.extras) == 1 and self.spec.name in item.extras
        plan = self._item_plans.get((said, own, item.kind))
        if plan is None:
            plan = self._item_plans[said, own, item.kind] = self._plan_item(item, own)
        for what in plan.carried:
            report.tally(Code.CARRIED, what, self.spec.name, item, None, 1)
        if not plan.dropped:
            return item
        changes: dict[str, Any] = {}
        for name in plan.dropped:
            report.tally(Code.DROPPED, _item_feature(name), self.spec.name, item, None, 1)
            if name == "extras":
                changes[name] = _own(item.extras, self.spec)
            elif name == "attributes":
                changes[name] = {}
            elif name not in ("id", "kind"):
                changes[name] = None
        return msgspec.structs.replace(item, **changes)

    def _plan_item(self, item: Item, own: bool) -> _Plan:
        dropped: list[str] = []
        carried: dict[str, None] = {}
        for name in self._item_watched:
            if (
                (name == "kind" and item.kind == "image")
                or _unset(name, getattr(item, name))
                or (name == "extras" and own)
            ):
                continue
            if ITEM_FEATURES[name] in self.spec.carries:
                carried[_item_feature(name)] = None
            else:
                dropped.append(name)
        return _Plan(shapes=False, dropped=tuple(dropped), carried=tuple(carried))


def _item_feature(name: str) -> str:
    return "fields of the item's source format" if name == "extras" else str(ITEM_FEATURES[name])


def _unset(name: str, value: Any) -> bool:
    """Whether there is nothing to lose: a flag that is not raised says no more than one that is not there."""
    if name in ("occluded", "truncated"):
        return not value
    return value is None or value is False or value == {} or value == ()


def _own(extras: Extras, spec: Spec) -> Extras:
    """What of the extras is the target's own."""
    return {name: values for name, values in extras.items() if name == spec.name}


def _may_be_shapeless(spec: Spec) -> bool:
    """Whether an object without shapes can travel: only where whole objects have a side channel."""
    return Feature.EXTRAS in spec.carries or Feature.EXTRAS in spec.holds


# ---------------------------------------------------------------------- the header


def _header(header: Header, spec: Spec, report: Report) -> Header:
    """The header as the target can hold it."""
    changes: dict[str, Any] = {}
    for name, feature in HEADER_FEATURES.items():
        value = getattr(header, name)
        if _unset(name, value) or feature in spec.holds or (name == "extras" and set(value) == {spec.name}):
            continue
        what = "data set fields of the source format" if name == "extras" else str(feature)
        if feature in spec.carries:
            report.add(Code.CARRIED, what, format=spec.name)
        else:
            report.add(Code.DROPPED, what, format=spec.name)
            changes[name] = _own(header.extras, spec) if name == "extras" else ()
    labels = []
    for label in header.labels:
        lost: dict[str, Any] = {}
        for name, feature in LABEL_FEATURES.items():
            value = getattr(label, name)
            if (
                _unset(name, value)
                or feature in spec.holds
                or (name == "extras" and set(value) == {spec.name})
            ):
                continue
            what = "label fields of the source format" if name == "extras" else str(feature)
            code = Code.CARRIED if feature in spec.carries else Code.DROPPED
            report.add(code, what, format=spec.name, where=Where(path=f"label '{label.name}'"))
            if code is Code.DROPPED:
                lost[name] = _own(label.extras, spec) if name == "extras" else _NOTHING.get(name)
        labels.append(msgspec.structs.replace(label, **lost) if lost else label)
    changes["labels"] = tuple(labels)
    return msgspec.structs.replace(header, **changes)
