"""Makes records fit what the target can hold: the only place that gives something up, and it says so each time.

``SPEC.holds`` is what the target has words for; ``SPEC.carries`` what travels along in a side channel and comes
back; the rest is *dropped*. A shape the target has no word for is drawn as the nearest one it has, if the object has
no other shape that can be drawn: *approximated* where the original is carried, *replaced* where it is not.

What is to be done depends only on an annotation's outline (which kinds of shapes, which fields are set), so it is
worked out once for each outline, and most annotations pass untouched.
"""

from __future__ import annotations

import math
from operator import attrgetter
from typing import Any

import msgspec

from nucleus_convert.converters.codes import Code
from nucleus_convert.converters.errors import Where
from nucleus_convert.converters.labelset import LabelSet
from nucleus_convert.converters.model import (
    KINDS,
    Annotation,
    Box,
    Cuboid2D,
    Ellipse,
    Header,
    Item,
    Keypoints,
    Line,
    Mask,
    Points,
    Polygon,
    Record,
    Ring,
    Shape,
)
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

_MANY_PLANS = 1000


def features_of(shape: Shape) -> list[Feature]:
    """What a format must hold to hold this shape exactly."""
    features = [SHAPE_FEATURES[KINDS[type(shape)]]]
    if type(shape) is Box and shape.rotation:
        features.append(Feature.ROTATION)
    elif type(shape) is Polygon:
        if len(shape.parts) > 1:
            features.append(Feature.PARTS)
        if any(len(part) > 1 for part in shape.parts):
            features.append(Feature.HOLES)
    return features


def drawable(shape: Shape, spec: Spec) -> bool:
    """Whether the format has words for this shape."""
    return spec.holds.issuperset(features_of(shape))


def fitted(labels: LabelSet, spec: Spec, report: Report) -> LabelSet:
    """The label set as the target can hold it; what is given up goes into the report when records are read."""
    return labels.then(Fit(spec), _header(labels.header, spec, report))


class _Plan(msgspec.Struct, frozen=True):
    """What to do with annotations of one outline. ``shapes`` says whether shapes need a look."""

    shapes: bool
    dropped: tuple[str, ...]
    carried: tuple[str, ...]


class Fit:
    """The step that makes each record fit. Picklable."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._plans: dict[Any, _Plan] = {}
        # Fields that the target holds need no look; the rest decide the plan.
        self._watched = tuple(
            name for name, feature in ANNOTATION_FEATURES.items() if feature not in spec.holds and name != "extras"
        )
        self._values = attrgetter("derived", "derived", *self._watched)
        self._item_watched = tuple(name for name, feature in ITEM_FEATURES.items() if feature not in spec.holds)
        # Two names at the least, so that the getter gives a tuple.
        self._item_values = attrgetter("kind", "kind", *self._item_watched)
        self._item_plans: dict[Any, _Plan] = {}
        self._shapes_held = frozenset(
            kind for kind, name in KINDS.items() if SHAPE_FEATURES[name] in spec.holds and kind not in (Box, Polygon)
        )
        self._rotation = Feature.ROTATION in spec.holds
        self._parts = Feature.PARTS in spec.holds
        self._holes = Feature.HOLES in spec.holds
        self._box = Feature.BOX in spec.holds
        self._polygon = Feature.POLYGON in spec.holds
        self._extras = Feature.EXTRAS in spec.holds

    def __reduce__(self) -> Any:
        return Fit, (self.spec,)

    def __call__(self, record: Record, report: Report) -> Record:
        """The record as the target can hold it."""
        spec = self.spec
        item = self._item(record.item, report)
        annotations: list[Annotation] | None = None
        values, name, extras_watched = self._values, spec.name, not self._extras
        box_held, rotation, polygon_held, held = self._box, self._rotation, self._polygon, self._shapes_held
        plan: _Plan | None = None
        last: Any = None
        alike = 0  # annotations in a row that are dealt with alike
        for i, annotation in enumerate(record.annotations):
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
            extras = annotation.extras
            foreign = extras_watched and bool(extras) and (name not in extras or len(extras) > 1)
            key = (look, foreign, values(annotation))
            if key != last:
                if plan is not None and plan.carried:
                    self._count(plan, alike, item, record.annotations[i - 1], report)
                last, alike = key, 0
                plan = self._planned(key, annotation)
            alike += 1
            if plan.shapes or plan.dropped:  # type: ignore[union-attr]
                changed = self._change(annotation, plan, item, report)  # type: ignore[arg-type]
                if annotations is None:
                    annotations = list(record.annotations[:i])
                if changed is not None:
                    annotations.append(changed)
            elif annotations is not None:
                annotations.append(annotation)
        if plan is not None and plan.carried:
            self._count(plan, alike, item, record.annotations[-1], report)
        if annotations is None and item is record.item:
            return record
        return Record(item, record.annotations if annotations is None else tuple(annotations))

    def _count(self, plan: _Plan, count: int, item: Item, annotation: Annotation, report: Report) -> None:
        for what in plan.carried:
            report.tally(Code.CARRIED, what, self.spec.name, item, annotation, count)

    def _planned(self, key: tuple[bool, bool, tuple[Any, ...]], annotation: Annotation) -> _Plan:
        """The plan for annotations like this. Values repeat, so they are the key as they are, while they are few."""
        look, foreign, said = key
        try:
            plan = self._plans.get(key)
        except TypeError:  # a dictionary among the values
            key = (look, foreign, tuple([_unset(value) for value in said]))
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
            if not _unset(getattr(annotation, name)):
                feature = ANNOTATION_FEATURES[name]
                (carried if feature in spec.carries else dropped).append(name)
        if foreign:
            if Feature.EXTRAS in spec.carries:
                carried.append("extras")
            else:
                dropped.append("extras")
        named = tuple(
            "fields of its source format" if name == "extras" else str(ANNOTATION_FEATURES[name]) for name in carried
        )
        return _Plan(shapes=look, dropped=tuple(dropped), carried=named)

    # ------------------------------------------------------------------ annotations

    def _change(self, annotation: Annotation, plan: _Plan, item: Item, report: Report) -> Annotation | None:
        spec = self.spec
        where = Where(
            item=str(item.path or item.id), annotation=None if annotation.id is None else str(annotation.id)
        )
        changes: dict[str, Any] = {}
        for name in plan.dropped:
            feature = ANNOTATION_FEATURES[name]
            if name == "extras":
                own = {spec.name: annotation.extras[spec.name]} if spec.name in annotation.extras else {}
                changes[name] = own
                report.add(Code.DROPPED, "fields of its source format", format=spec.name, where=where)
                continue
            changes[name] = {} if name == "attributes" else False if name == "predicted" else None
            report.add(Code.DROPPED, str(feature), format=spec.name, where=where)
        if plan.shapes:
            shapes, derived = self._shapes(annotation.shapes, item, where, report)
            if not shapes and not _may_be_shapeless(spec):
                what = " and ".join(KINDS[type(shape)] for shape in annotation.shapes) or "object without any shape"
                report.add(Code.DROPPED, what, format=spec.name, where=where)
                report.ledger.drop_annotation(annotation.shapes)
                return None
            for shape in annotation.shapes:
                if shape not in shapes:
                    report.ledger.fate(((KINDS[type(shape)], "dropped"),))
            changes["shapes"] = shapes
            changes["derived"] = (*annotation.derived, *derived)
        return msgspec.structs.replace(annotation, **changes)

    def _shapes(
        self, shapes: tuple[Shape, ...], item: Item, where: Where, report: Report
    ) -> tuple[tuple[Shape, ...], tuple[str, ...]]:
        """The shapes that travel (held or carried), with an approximation where none of them can be drawn."""
        spec = self.spec
        held = [shape for shape in shapes if drawable(shape, spec)]
        travelling = [shape for shape in shapes if drawable(shape, spec) or spec.carries.issuperset(
            feature for feature in features_of(shape) if feature not in spec.holds)]  # fmt: skip
        derived: list[Shape] = []
        if not held:
            for shape in sorted(shapes, key=lambda shape: -_extent_rank(shape)):
                found = approximate(shape, spec, item)
                if found is not None:
                    new, measure = found
                    what = f"{_describe(shape)} as {_describe(new)}"
                    code = Code.APPROXIMATED if shape in travelling else Code.REPLACED
                    report.add(code, what, format=spec.name, where=where, measure=measure)
                    derived.append(new)
                    break
        for shape in shapes:
            if shape not in travelling and (held or not derived):
                report.add(Code.DROPPED, _describe(shape), format=spec.name, where=where)
            elif shape in travelling and shape not in held and not derived:
                report.add(Code.CARRIED, _describe(shape), format=spec.name, where=where)
        kinds = {type(shape) for shape in travelling}
        if derived and type(derived[0]) in kinds:
            # One shape of each kind: the approximation stands in for an original of its own kind that is carried.
            return (*travelling, *derived), tuple(KINDS[type(shape)] for shape in derived)
        return (*travelling, *derived), tuple(KINDS[type(shape)] for shape in derived)

    # ------------------------------------------------------------------ items

    def _item(self, item: Item, report: Report) -> Item:
        said = tuple([_unset(value) for value in self._item_values(item)])
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
            if name in ("attributes", "extras"):
                changes[name] = {}
            elif name not in ("id", "kind"):
                changes[name] = None
        return msgspec.structs.replace(item, **changes)

    def _plan_item(self, item: Item, own: bool) -> _Plan:
        dropped: list[str] = []
        carried: dict[str, None] = {}
        for name in self._item_watched:
            if (name == "kind" and item.kind == "image") or _unset(getattr(item, name)) or (name == "extras" and own):
                continue
            if ITEM_FEATURES[name] in self.spec.carries:
                carried[_item_feature(name)] = None
            else:
                dropped.append(name)
        return _Plan(shapes=False, dropped=tuple(dropped), carried=tuple(carried))


def _item_feature(name: str) -> str:
    return "fields of the item's source format" if name == "extras" else str(ITEM_FEATURES[name])


def _unset(value: Any) -> bool:
    return value is None or value is False or value == {} or value == ()


def _may_be_shapeless(spec: Spec) -> bool:
    """Whether an object without shapes can travel: only where whole objects have a side channel."""
    return Feature.EXTRAS in spec.carries or Feature.EXTRAS in spec.holds


def _extent_rank(shape: Shape) -> int:
    """The shape to approximate first: the one that says most about the object's extent."""
    ranks: dict[type[Any], int] = {Mask: 6, Polygon: 5, Ellipse: 4, Box: 3, Cuboid2D: 2, Keypoints: 1}
    return ranks.get(type(shape), 0)


def _describe(shape: Shape) -> str:
    features = features_of(shape)
    return str(features[-1] if len(features) == 2 else features[0]) if len(features) < 3 else "polygon with holes"


# ---------------------------------------------------------------------- approximations


def approximate(shape: Shape, spec: Spec, item: Item) -> tuple[Shape, tuple[str, float] | None] | None:
    """The nearest shape that the format holds, and how far off it is: ("IoU", 0 to 1) or None where exact.

    Rotated box, ellipse and mask become polygons where those are held; everything with an extent becomes its
    envelope box where only boxes are. Returns None where nothing comes near (a tag, a 3-D cuboid).
    """
    from nucleus_convert.converters import geometry  # numpy, needed by few records

    ring: Ring | None = None
    area: float | None = None
    if type(shape) is Box and (shape.rotation or Feature.BOX not in spec.holds):
        ring = geometry.box_ring(shape.x, shape.y, shape.width, shape.height, shape.rotation)
        area = abs(shape.width * shape.height)
    elif type(shape) is Ellipse:
        ring, error = geometry.ellipse_ring(shape.cx, shape.cy, shape.rx, shape.ry, shape.rotation)
        area = math.pi * shape.rx * shape.ry
        if Feature.POLYGON in spec.holds:
            return Polygon(((ring,),)), ("pixels", error)
    if ring is not None and Feature.POLYGON in spec.holds:
        return Polygon(((ring,),)), None
    if type(shape) is Polygon and Feature.POLYGON in spec.holds:
        return _simpler_polygon(shape, spec)
    if type(shape) is Mask and Feature.POLYGON in spec.holds:
        return _traced(shape, spec)
    if type(shape) is Points and Feature.KEYPOINTS in spec.holds:
        flat = shape.points
        points = tuple(n for i in range(0, len(flat), 2) for n in (flat[i], flat[i + 1], 2))
        return Keypoints(points), None
    if Feature.BOX not in spec.holds:
        return None
    envelope = _envelope(shape, ring)
    if envelope is None:
        return None
    whole = envelope.width * envelope.height
    if area is None:
        area = _area(shape)
    return envelope, ("IoU", min(1.0, area / whole)) if whole and area is not None else None


def _simpler_polygon(shape: Polygon, spec: Spec) -> tuple[Shape, tuple[str, float] | None] | None:
    """A polygon without holes, and of one part, as far as the format wants that; measured by areas."""
    from nucleus_convert.converters import geometry

    parts = shape.parts
    whole = _area(shape) or 0.0
    measure: tuple[str, float] | None = None
    if any(len(part) > 1 for part in parts) and Feature.HOLES not in spec.holds:
        parts = tuple((part[0],) for part in parts)
        filled = _area(Polygon(parts)) or 0.0
        measure = ("IoU", min(whole, filled) / max(whole, filled) if max(whole, filled) else 1.0)
    if len(parts) > 1 and Feature.PARTS not in spec.holds:
        largest = max(parts, key=lambda part: geometry.area(part[0]))
        kept = _area(Polygon((largest,))) or 0.0
        parts = (largest,)
        measure = ("IoU", kept / whole if whole else 1.0)
    return Polygon(parts), measure


def _traced(shape: Mask, spec: Spec) -> tuple[Shape, tuple[str, float] | None] | None:
    """A mask as polygons along its pixel edges; exact but for holes and parts that the format has no word for."""
    from nucleus_convert.converters import contours, masks

    runs = masks.read_counts(shape.counts, shape.height, shape.width)
    parts = contours.trace(runs, shape.height)
    if not parts:
        return None
    traced = Polygon(parts)
    return (traced, None) if drawable(traced, spec) else _simpler_polygon(traced, spec)


def _area(shape: Shape) -> float | None:
    """The area in square pixels by the shape's outlines; None where it has none."""
    from nucleus_convert.converters import geometry, masks

    if type(shape) is Polygon:
        return float(sum(geometry.part_area(part) for part in shape.parts))
    if type(shape) is Mask:
        return float(masks.area(masks.read_counts(shape.counts, shape.height, shape.width)))
    return None


def _envelope(shape: Shape, ring: Ring | None) -> Box | None:
    """The smallest upright box around a shape, or None."""
    from nucleus_convert.converters import masks

    if type(shape) is Mask:
        runs = masks.read_counts(shape.counts, shape.height, shape.width)
        return Box(*masks.box(runs, shape.height)) if masks.area(runs) else None
    flat: tuple[Any, ...]
    if ring is not None:
        flat = ring
    elif type(shape) is Box:
        return shape
    elif type(shape) is Polygon:
        flat = tuple(n for part in shape.parts for n in part[0])
    elif type(shape) is Keypoints:
        points = shape.points
        flat = tuple(n for i in range(0, len(points), 3) if points[i + 2] for n in points[i : i + 2])
    elif type(shape) is Line or type(shape) is Points or type(shape) is Cuboid2D:
        flat = shape.points
    else:
        return None
    if not flat:
        return None
    xs, ys = flat[0::2], flat[1::2]
    return Box(min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))


# ---------------------------------------------------------------------- the header


def _header(header: Header, spec: Spec, report: Report) -> Header:
    """The header as the target can hold it."""
    changes: dict[str, Any] = {}
    for name, feature in HEADER_FEATURES.items():
        value = getattr(header, name)
        if _unset(value) or feature in spec.holds or (name == "extras" and set(value) == {spec.name}):
            continue
        what = "data set fields of the source format" if name == "extras" else str(feature)
        if feature in spec.carries:
            report.add(Code.CARRIED, what, format=spec.name)
        else:
            report.add(Code.DROPPED, what, format=spec.name)
            changes[name] = {} if name == "extras" else ()
    labels = []
    for label in header.labels:
        lost: dict[str, Any] = {}
        for name, feature in LABEL_FEATURES.items():
            value = getattr(label, name)
            if _unset(value) or feature in spec.holds or (name == "extras" and set(value) == {spec.name}):
                continue
            what = "label fields of the source format" if name == "extras" else str(feature)
            code = Code.CARRIED if feature in spec.carries else Code.DROPPED
            report.add(code, what, format=spec.name, where=Where(path=f"label '{label.name}'"))
            if code is Code.DROPPED:
                lost[name] = {} if name in ("extras", "attributes") else () if name in ("keypoints", "skeleton") else None
        labels.append(msgspec.structs.replace(label, **lost) if lost else label)
    changes["labels"] = tuple(labels)
    return msgspec.structs.replace(header, **changes)
