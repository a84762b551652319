"""The model: frozen, strict, whole; every field of it has a Feature."""

from __future__ import annotations

import pickle
from typing import Any

import msgspec
import pytest

from nucleus_convert.converters import model
from nucleus_convert.converters.labelset import LabelSet, MapStep, from_records
from nucleus_convert.converters.model import (
    KINDS,
    SHAPES,
    Annotation,
    Box,
    Cuboid,
    Header,
    Item,
    Keypoints,
    Label,
    Mask,
    Polygon,
    Record,
    Scene,
    Tag,
)
from nucleus_convert.converters.protocol import (
    ANNOTATION_FEATURES,
    HEADER_FEATURES,
    ITEM_FEATURES,
    LABEL_FEATURES,
    SHAPE_FEATURES,
    Feature,
)
from nucleus_convert.converters.report import Report

from .support import BOX, ONE

STRUCTS = [
    kind
    for kind in vars(model).values()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind is not model.Strict
]


def test_every_field_has_a_feature() -> None:
    """What has none could be lost and nobody would say so."""
    assert {*ANNOTATION_FEATURES, "label", "shapes", "derived"} == set(Annotation.__struct_fields__)
    assert set(ITEM_FEATURES) == set(Item.__struct_fields__)
    assert {*LABEL_FEATURES, "name"} == set(Label.__struct_fields__)
    assert {*HEADER_FEATURES, "labels", "model_version"} == set(Header.__struct_fields__)
    assert set(SHAPE_FEATURES) == set(KINDS.values())
    mapped = {*ANNOTATION_FEATURES.values(), *ITEM_FEATURES.values(), *LABEL_FEATURES.values()}
    mapped |= {*HEADER_FEATURES.values(), *SHAPE_FEATURES.values()}
    # The rest is said by more than one field, or by the absence of one.
    assert set(Feature) - mapped == {
        Feature.ROTATION,
        Feature.PARTS,
        Feature.HOLES,
        Feature.UNLABELLED,
        Feature.EMPTY_ITEM,
        Feature.UNUSED_LABEL,
    }


def test_every_shape_is_in_the_union_under_a_name_of_its_own() -> None:
    assert set(SHAPES) == set(model.Shape.__args__)
    assert len(set(KINDS.values())) == len(SHAPES)


@pytest.mark.parametrize("kind", STRUCTS, ids=lambda kind: kind.__name__)
def test_structs_are_frozen_and_strict(kind: type[msgspec.Struct]) -> None:
    config = kind.__struct_config__
    assert config.frozen
    assert config.forbid_unknown_fields


@pytest.mark.parametrize("feature", Feature)
def test_records_survive_json_and_pickling(feature: Feature) -> None:
    labels = ONE[feature]
    for value, kind in [(labels.header, Header), *((record, Record) for record in labels)]:
        text = msgspec.json.encode(value)
        assert msgspec.json.decode(text, type=kind) == value
        again = pickle.loads(pickle.dumps(value))
        assert again == value
        assert msgspec.json.encode(again) == text  # defaults are still left out


def test_numbers_stay_what_they_were() -> None:
    box = Box(1, 2.0, 3, 4.5)
    again = msgspec.json.decode(msgspec.json.encode(box), type=Box)
    assert [type(value) for value in (again.x, again.y, again.width, again.height)] == [
        int,
        float,
        int,
        float,
    ]


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"box","x":1,"y":2,"width":3,"height":4,"colour":1}',
        '{"type":"box","x":1,"y":2,"width":3}',
        '{"type":"blob"}',
        '{"x":1}',
        '{"type":"mask","counts":[1],"height":1,"width":1}',
        '{"type":"keypoints","points":[1,2,2],"skeleton":[[0]]}',
    ],
)
def test_what_is_no_shape_is_an_error(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=model.Shape)


@pytest.mark.parametrize(
    ("fields", "prediction"),
    [
        ({}, False),
        ({"predicted": True}, True),
        ({"confidence": 0}, True),
        ({"class_pdf": {}}, True),
    ],
)
def test_what_is_a_prediction(fields: dict[str, Any], prediction: bool) -> None:
    assert Annotation(**fields).is_prediction is prediction


def test_a_shape_by_its_kind() -> None:
    annotation = Annotation(shapes=(BOX, Tag()))
    assert annotation.shape(Box) is BOX
    assert annotation.shape(Tag) == Tag()
    assert annotation.shape(Mask) is None


def test_defaults_are_not_shared_state() -> None:
    for value in (Annotation(), Item(id=1), Label(name="a"), Scene(id="s"), Header()):
        with pytest.raises(AttributeError):
            value.extras = {"a": {}}  # type: ignore[misc]
    assert Keypoints((1, 2, 2)).names == ()
    assert Cuboid(1, 2, 3, 4, 5, 6, 0).frame == "lidar"
    assert Polygon((((1, 2, 3, 4, 5, 6),),)).parts[0][0] == (1, 2, 3, 4, 5, 6)


# ---------------------------------------------------------------------- label sets


def cats(count: int) -> LabelSet:
    records = [Record(Item(id=i), (Annotation(label="cat", id=i, shapes=(BOX,)),)) for i in range(count)]
    return from_records(Header(labels=(Label(name="cat"),)), records)


def test_a_label_set_is_read_as_often_as_wanted() -> None:
    labels = cats(5)
    assert [record.item.id for record in labels] == [record.item.id for record in labels] == [0, 1, 2, 3, 4]
    assert [record.item.id for record in labels.records(Report(), 1, 3)] == [1, 2]
    assert [annotation.id for annotation in labels.annotations()] == [0, 1, 2, 3, 4]


def test_a_function_on_each_record_is_accounted_for() -> None:
    def half(record: Record) -> Record | None:
        if record.item.id == 0:
            return None
        if record.item.id == 1:
            return Record(record.item)
        extra = Annotation(label="cat", shapes=(BOX,))
        return Record(record.item, (*record.annotations, extra))

    report = Report()
    kept = list(cats(3).map(half).records(report))
    assert [len(record.annotations) for record in kept] == [0, 2]
    assert report.count("filtered", "item") == 1
    assert report.count("filtered", "object") == report.count("filtered", "box") == 1
    assert report.ledger.balance() == {
        "item": {"read": 3, "written": 0, "carried": 0, "dropped": 1, "skipped": 0},
        "object": {"read": 4, "written": 0, "carried": 0, "dropped": 2, "skipped": 0},
        "box": {"read": 4, "written": 0, "carried": 0, "dropped": 2, "skipped": 0},
    }


def test_steps_are_taken_in_order_until_one_drops_the_record() -> None:
    seen: list[str] = []

    def step(name: str, keep: bool) -> MapStep:
        def take(record: Record) -> Record | None:
            seen.append(name)
            return record if keep else None

        return MapStep(take)

    labels = cats(1).then(step("a", keep=True)).then(step("b", keep=False)).then(step("c", keep=True))
    assert list(labels) == []
    assert seen == ["a", "b"]


def test_a_step_may_bring_another_header() -> None:
    header = Header(labels=(Label(name="dog"),))
    labels = cats(1).map(lambda record: record, header)
    assert labels.header is header
    assert labels.size == 1
