"""Fit: what a target holds passes, what it carries is told, the rest is replaced or dropped, and told."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from nucleus_convert.converters import fit, masks, nearest, raster
from nucleus_convert.converters.labelset import LabelSet, from_records
from nucleus_convert.converters.model import (
    KINDS,
    Annotation,
    Box,
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
    Shape,
    Tag,
)
from nucleus_convert.converters.protocol import SHAPE_FEATURES, Feature, Spec
from nucleus_convert.converters.report import Report

from ..support import BOX, HOLE, ITEM, ONE, SQUARE, labelset, said, whats  # noqa: TID252
from ..support import annotation_with as _annotation  # noqa: TID252

ALL = frozenset(Feature)


def spec(holds: Iterable[Feature] = (), carries: Iterable[Feature] = ()) -> Spec:
    return Spec(name="toy", title="a toy", holds=frozenset(holds), carries=frozenset(carries))


def but(*features: Feature, carries: Iterable[Feature] = ()) -> Spec:
    """Holds everything but these."""
    return spec(ALL - set(features), carries)


def fitted(labels: LabelSet, target: Spec, report: Report | None = None) -> list[Record]:
    """The records as the target can hold them; a stand-in for a writer closes the balance."""
    report = report or Report()
    records = list(fit.fitted(labels, target, report).records(report))
    for record in records:
        report.ledger.item("written")
        for annotation in record.annotations:
            originals = annotation.shapes[: len(annotation.shapes) - len(annotation.derived)]
            report.ledger.fate(
                (("object", "written"), *((KINDS[type(shape)], "written") for shape in originals))
            )
    report.ledger.check()
    return records


BY_THE_WRITER = {Feature.UNUSED_LABEL}
"""Only who has seen all records knows whether a label is used: the writers report these."""


def test_every_feature_has_its_data_set() -> None:
    assert set(ONE) == ALL


@pytest.mark.parametrize("feature", Feature)
def test_what_is_held_passes_untouched(feature: Feature) -> None:
    report = Report()
    labels = ONE[feature]
    [before], [after] = labels, fitted(labels, spec(ALL), report)
    assert after is before
    assert fit.fitted(labels, spec(ALL), report).header == labels.header
    assert said(report) == {}


def drawn(annotation: Annotation) -> Annotation:
    """An annotation whose shapes are all its own."""
    return msgspec.structs.replace(annotation, derived=())


@pytest.mark.parametrize("feature", sorted(ALL - BY_THE_WRITER))
def test_what_is_carried_is_kept_and_reported(feature: Feature) -> None:
    report = Report()
    labels = ONE[feature]
    target = but(feature, carries={feature})
    [before], [after] = labels, fitted(labels, target, report)
    originals = after.annotations and after.annotations[0].shapes
    assert after.item == before.item
    if before.annotations:
        kept = after.annotations[0]
        assert originals
        assert (
            msgspec.structs.replace(kept, shapes=before.annotations[0].shapes, derived=())
            == before.annotations[0]
        )
        assert kept.shapes[: len(before.annotations[0].shapes)] == before.annotations[0].shapes
    assert fit.fitted(labels, target, Report()).header == labels.header
    if feature is Feature.EMPTY_ITEM or feature is Feature.ITEM_ID:
        return  # nothing is missing from such a record; the id is looked at below
    findings = said(report)
    carried = {what for code, what in findings if code == "carried"} & whats(feature)
    approximated = [
        what for code, what in findings if code == "approximated" and what.startswith(str(feature))
    ]
    assert carried or approximated
    assert {code for code, _ in findings} <= {"carried", "approximated"}


@pytest.mark.parametrize("feature", sorted(ALL - BY_THE_WRITER))
def test_what_is_neither_is_given_up_and_reported(feature: Feature) -> None:
    report = Report()
    labels = ONE[feature]
    after = fitted(labels, but(feature), report)
    header = fit.fitted(labels, but(feature), Report()).header
    findings = said(report)
    given_up = {what for code, what in findings if code == "dropped"} & whats(feature)
    replaced = [what for code, what in findings if code == "replaced" and what.startswith(str(feature))]
    assert given_up or replaced, findings
    # It is not there any more: fitting what is left finds nothing to give up.
    again = Report()
    left = from_records(
        header, [Record(record.item, tuple(map(drawn, record.annotations))) for record in after]
    )
    if feature is not Feature.ITEM_ID:  # an item cannot be without
        assert fitted(left, but(feature), again) == list(left)
        assert said(again) == {}


def test_a_record_is_the_same_object_if_nothing_is_changed() -> None:
    annotations = tuple(
        Annotation(label="cat", shapes=(BOX,), id=i, track=i, attributes={"a": [i]}) for i in range(5)
    )
    labels = labelset(*annotations)
    for target in (
        spec(ALL),
        but(Feature.MASK),
        but(Feature.TRACK, carries=[Feature.TRACK]),
        but(Feature.CROWD),
    ):
        [before], [after] = labels, fitted(labels, target)
        assert after is before


def test_only_the_annotations_that_need_it_are_changed() -> None:
    plain = [Annotation(label="cat", shapes=(BOX,), id=i) for i in range(3)]
    odd = Annotation(label="cat", shapes=(Ellipse(5, 4, 3, 2),), id=9)
    [after] = fitted(labelset(plain[0], odd, plain[1], plain[2]), but(Feature.ELLIPSE))
    assert [after.annotations[i] is plain[j] for i, j in ((0, 0), (2, 1), (3, 2))] == [True] * 3
    assert after.annotations[1].shapes != odd.shapes


def test_counts_and_places_of_what_is_carried() -> None:
    rows = [
        Annotation(label="cat", shapes=(BOX,), id=i, track=i // 3, attributes={"a": i} if i % 2 else {})
        for i in range(20)
    ]
    report = Report()
    target = but(Feature.TRACK, Feature.ATTRIBUTES, carries=[Feature.TRACK, Feature.ATTRIBUTES])
    fitted(labelset(*rows), target, report)
    assert said(report) == {("carried", "track"): 20, ("carried", "attributes"): 10}
    assert {example.item for finding in report.sorted() for example in finding.examples} == {"i.jpg"}


@pytest.mark.parametrize("first", [False, 0, 0.0, None, 0.5, 1, True])
@pytest.mark.parametrize("second", [False, 0, 0.0, None, 0.5, 1, True])
def test_values_that_python_takes_for_equal_are_not_confused(first: Any, second: Any) -> None:
    """A flag that is not raised is nothing lost; a grade of it is. What came before does not matter."""
    rows = [
        Annotation(label="cat", shapes=(BOX,), occluded=value, z_order=order)
        for value, order in ((first, 0), (second, 1))
    ]
    report = Report()
    fitted(labelset(*rows), but(Feature.OCCLUDED, carries=[Feature.OCCLUDED]), report)
    expected = sum(bool(value) for value in (first, second))
    assert said(report) == ({("carried", "occluded"): expected} if expected else {})


def test_more_kinds_of_annotations_than_plans() -> None:
    rows = [Annotation(label="cat", shapes=(BOX,), track=i) for i in range(2500)]
    report = Report()
    fitted(labelset(*rows), but(Feature.TRACK), report)
    assert said(report) == {("dropped", "track"): 2500}


def test_own_extras_are_no_loss_and_stay() -> None:
    target = but(Feature.EXTRAS, Feature.ITEM_EXTRAS, Feature.LABEL_EXTRAS, Feature.HEADER_EXTRAS)
    own = {"toy": {"x": 1}}
    labels = labelset(
        Annotation(label="cat", shapes=(BOX,), extras=own),
        item=msgspec.structs.replace(ITEM, extras=own),
        header=Header(labels=(Label(name="cat", extras=own),), extras=own),
    )
    report = Report()
    [before], [after] = labels, fitted(labels, target, report)
    assert after is before
    assert said(report) == {}
    for feature in (Feature.EXTRAS, Feature.ITEM_EXTRAS, Feature.LABEL_EXTRAS, Feature.HEADER_EXTRAS):
        step = fit.fitted(ONE[feature], target, Report())
        [record] = step
        found = [
            record.annotations[0].extras,
            record.item.extras,
            step.header.labels[0].extras,
            step.header.extras,
        ]
        assert [extras for extras in found if extras] == [own]


def test_a_prediction_stays_one_when_its_confidence_goes() -> None:
    labels = _annotation(confidence=0.5)
    report = Report()
    [record] = fitted(labels, but(Feature.CONFIDENCE), report)
    assert record.annotations[0].is_prediction
    assert said(report) == {("dropped", "confidence"): 1}
    report = Report()
    [record] = fitted(labels, but(Feature.CONFIDENCE, Feature.PREDICTED), report)
    assert said(report) == {("dropped", "confidence"): 1, ("dropped", "being a prediction"): 1}
    report = Report()
    fitted(_annotation(class_pdf={"cat": 1.0}), but(Feature.CLASS_PDF, Feature.PREDICTED), report)
    assert said(report) == {("dropped", "class distribution"): 1, ("dropped", "being a prediction"): 1}


def test_it_is_picklable() -> None:
    step = fit.Fit(but(Feature.MASK))
    again = pickle.loads(pickle.dumps(step))
    [record] = ONE[Feature.MASK]
    assert again(record, Report()) == step(record, Report())


# ---------------------------------------------------------------------- approximations

AREA = Feature.POLYGON, Feature.PARTS, Feature.HOLES
BOXES = spec((ALL - set(SHAPE_FEATURES.values()) - {Feature.ROTATION}) | {Feature.BOX})
"""Holds no shape but upright boxes."""


def approximated(shape: Shape, target: Spec, item: Item = ITEM) -> tuple[Shape, str | None, float | None]:
    """The shape that stands in, and the measure that is reported with it."""
    report = Report()
    [record] = fitted(labelset(Annotation(label="cat", shapes=(shape,)), item=item), target, report)
    [annotation] = record.annotations
    assert annotation.derived == (KINDS[type(annotation.shapes[-1])],)
    finding = next(f for f in report.sorted() if f.code in ("approximated", "replaced"))
    assert finding.examples[0].item == str(item.path or item.id)
    return annotation.shapes[-1], finding.measure, finding.worst


def test_a_turned_box_is_its_corners() -> None:
    shape, measure, _ = approximated(Box(1, 2, 4, 2, 90), but(Feature.ROTATION))
    assert isinstance(shape, Polygon)
    assert set(zip(shape.parts[0][0][::2], shape.parts[0][0][1::2], strict=True)) == {
        (2, 1),
        (4, 1),
        (4, 5),
        (2, 5),
    }
    assert measure is None


def test_a_turned_box_without_polygons_or_masks_is_its_envelope() -> None:
    shape, measure, worst = approximated(Box(1, 1, 2, 2, 45), but(Feature.ROTATION, Feature.MASK, *AREA))
    assert isinstance(shape, Box)
    assert (shape.x, shape.width) == pytest.approx((2 - 2**0.5, 2 * 2**0.5))
    assert (measure, worst) == ("IoU", pytest.approx(0.5))


def test_an_ellipse_is_a_polygon_within_a_tenth_of_a_pixel() -> None:
    shape, measure, worst = approximated(Ellipse(50, 40, 30, 20, 20), but(Feature.ELLIPSE))
    assert isinstance(shape, Polygon)
    assert measure == "pixels"
    assert worst is not None
    assert 0 < worst <= 0.1


def test_an_ellipse_is_a_mask_or_a_box_where_there_is_nothing_else() -> None:
    shape, measure, worst = approximated(Ellipse(5, 4, 4, 3), but(Feature.ELLIPSE, *AREA))
    assert isinstance(shape, Mask)
    assert measure == "IoU"
    assert worst is not None
    assert 0.8 < worst <= 1
    shape, measure, worst = approximated(Ellipse(5, 4, 4, 3), but(Feature.ELLIPSE, Feature.MASK, *AREA))
    assert shape == Box(1, 1, 8, 6)
    assert (measure, worst) == ("IoU", pytest.approx(3.14159 / 4, abs=1e-5))


@pytest.mark.parametrize("holes", [False, True])
def test_a_mask_is_traced_exactly(holes: bool) -> None:
    runs = [0, 3, 5, 3, 5, 3, 61] if not holes else [9, 3, 5, 1, 1, 1, 5, 3, 52]
    mask = Mask(masks.encode_counts(runs), 8, 10)
    shape, measure, _ = approximated(mask, but(Feature.MASK))
    assert isinstance(shape, Polygon)
    assert len(shape.parts[0]) == 1 + holes
    assert measure is None
    assert raster.from_parts(shape.parts, 8, 10) == mask.counts


def test_a_mask_without_polygons_is_its_box() -> None:
    mask = Mask(masks.encode_counts([9, 3, 5, 1, 62]), 8, 10)
    assert approximated(mask, but(Feature.MASK, *AREA)) == (Box(1, 1, 2, 3), "IoU", pytest.approx(4 / 6))


def test_a_mask_of_nothing_cannot_be_shown() -> None:
    report = Report()
    empty = Mask(masks.encode_counts([80]), 8, 10)
    assert (
        fitted(_annotation(empty), spec({Feature.BOX, *AREA, Feature.EMPTY_ITEM}), report)[0].annotations
        == ()
    )
    assert ("dropped", "mask") in said(report)


def test_holes_become_a_mask_or_are_filled() -> None:
    ring = Polygon(((SQUARE, HOLE),))
    shape, measure, worst = approximated(ring, but(Feature.HOLES))
    assert shape == Mask(raster.from_parts(ring.parts, 8, 10), 8, 10)
    assert (measure, worst) == ("IoU", 1.0)
    for target, item in (
        (but(Feature.HOLES, Feature.MASK), ITEM),
        (but(Feature.HOLES), Item(id="i", path="i.jpg")),
    ):
        shape, measure, worst = approximated(ring, target, item)
        assert shape == Polygon(((SQUARE,),))
        assert (measure, worst) == ("IoU", pytest.approx(12 / 16))


def test_parts_become_a_mask_or_the_largest_is_kept() -> None:
    parts = Polygon((((6, 6, 8, 6, 8, 7, 6, 7),), (SQUARE,)))
    shape, *_ = approximated(parts, but(Feature.PARTS))
    assert shape == Mask(raster.from_parts(parts.parts, 8, 10), 8, 10)
    assert approximated(parts, but(Feature.PARTS, Feature.MASK)) == (
        Polygon(((SQUARE,),)),
        "IoU",
        pytest.approx(16 / 18),
    )


def test_a_polygon_too_large_to_draw_is_filled() -> None:
    far = Polygon((((0, 0, 1e12, 0, 1e12, 1e12, 0, 1e12), HOLE),))
    shape, *_ = approximated(far, but(Feature.HOLES))
    assert shape == Polygon((far.parts[0][:1],))


@pytest.mark.parametrize(
    ("shape", "box", "worst"),
    [
        (Polygon(((SQUARE,),)), Box(1, 1, 4, 4), 1.0),
        (Polygon((((0, 0, 4, 0, 0, 4),),)), Box(0, 0, 4, 4), 0.5),
        (Polygon(((SQUARE, HOLE),)), Box(1, 1, 4, 4), 12 / 16),
        (Line((1, 2, 5, 4)), Box(1, 2, 4, 2), None),
        (Points((3, 3)), Box(3, 3, 0, 0), None),
        (Keypoints((1, 2, 2, 9, 9, 0, 5, 4, 1)), Box(1, 2, 4, 2), None),
        (Cuboid2D((1, 2, 5, 2, 5, 6, 1, 6, 2, 1, 6, 1, 6, 5, 2, 5)), Box(1, 1, 5, 5), None),
    ],
)
def test_an_extent_is_a_box(shape: Shape, box: Box, worst: float | None) -> None:
    found = approximated(shape, BOXES)
    assert found[0] == box
    assert found[2] == (pytest.approx(worst) if worst is not None else None)


def test_a_box_is_a_polygon_where_boxes_are_unknown() -> None:
    shape, measure, _ = approximated(BOX, but(Feature.BOX, Feature.ROTATION))
    assert shape == Polygon((((1, 2, 4, 2, 4, 6, 1, 6),),))
    assert measure is None


def test_points_are_keypoints_where_points_are_unknown() -> None:
    assert approximated(Points((1, 2, 3, 4)), but(Feature.POINTS))[0] == Keypoints((1, 2, 2, 3, 4, 2))


@pytest.mark.parametrize("shape", [Tag(), Caption("x"), Cuboid(1, 2, 3, 4, 5, 6, 0), Keypoints((1, 2, 0))])
def test_what_nothing_comes_near_is_dropped(shape: Shape) -> None:
    report = Report()
    target = spec(ALL - {nearest.features_of(shape)[0], Feature.EXTRAS})
    [record] = fitted(_annotation(shape), target, report)
    assert record.annotations == ()
    assert said(report) == {
        ("dropped", str(nearest.features_of(shape)[0])): 1,
        ("dropped", KINDS[type(shape)]): 1,
    } or said(report) == {("dropped", str(nearest.features_of(shape)[0])): 2}


def test_a_shape_beside_one_that_is_held_is_not_approximated() -> None:
    report = Report()
    [record] = fitted(_annotation(BOX, Line((1, 2, 3, 4))), but(Feature.LINE), report)
    assert record.annotations[0].shapes == (BOX,)
    assert said(report) == {("dropped", "line"): 1}


def test_a_region_is_shown_beside_a_box_but_not_beside_a_region() -> None:
    report = Report()
    [record] = fitted(_annotation(BOX, Ellipse(5, 4, 3, 2)), but(Feature.ELLIPSE), report)
    kinds = [type(shape) for shape in record.annotations[0].shapes]
    assert kinds == [Box, Polygon]
    assert record.annotations[0].derived == ("polygon",)
    mask = next(iter(ONE[Feature.MASK])).annotations[0].shapes[0]
    [record] = fitted(_annotation(mask, Ellipse(5, 4, 3, 2)), but(Feature.ELLIPSE))
    assert record.annotations[0].shapes == (mask,)
    # Boxes only: the box is there, and an envelope of the region would be a second one.
    [record] = fitted(_annotation(BOX, Ellipse(5, 4, 3, 2)), BOXES)
    assert record.annotations[0].shapes == (BOX,)


def test_an_original_that_is_carried_comes_before_what_stands_in() -> None:
    ring = Polygon(((SQUARE, HOLE),))
    target = but(Feature.HOLES, Feature.MASK, carries=[Feature.HOLES])
    [record] = fitted(_annotation(ring), target)
    assert record.annotations[0].shapes == (ring, Polygon(((SQUARE,),)))
    assert record.annotations[0].derived == ("polygon",)


def test_the_worst_measure_is_kept() -> None:
    triangle = Polygon((((0, 0, 4, 0, 0, 4),),))
    rows = [
        Annotation(label="cat", shapes=(shape,))
        for shape in (Polygon(((SQUARE,),)), triangle, Polygon(((SQUARE,),)))
    ]
    report = Report()
    fitted(labelset(*rows), BOXES, report)
    [finding] = report.sorted()
    assert (finding.count, finding.measure, finding.worst) == (3, "IoU", 0.5)
    assert "worst IoU: 0.5" in finding.text


def test_an_object_without_shapes_needs_a_place() -> None:
    labels = labelset(Annotation(label="cat", id=1), Annotation(label="cat", shapes=(BOX,)))
    report = Report()
    [record] = fitted(labels, but(Feature.EXTRAS), report)
    assert len(record.annotations) == 1
    assert said(report) == {("dropped", "object without any shape"): 1}
    [record] = fitted(labels, but(Feature.EXTRAS, carries=[Feature.EXTRAS]))
    assert len(record.annotations) == 2


def test_an_item_whose_every_object_is_dropped_is_empty() -> None:
    labels = labelset(Annotation(label="cat", shapes=(Tag(),)))
    report = Report()
    assert fitted(labels, but(Feature.TAG, Feature.EXTRAS, Feature.EMPTY_ITEM), report) == []
    assert ("dropped", "item without annotations") in said(report)
    assert report.ledger.balance()["item"] == {
        "read": 1,
        "written": 0,
        "carried": 0,
        "dropped": 1,
        "skipped": 0,
    }
