"""Comparing what was written with what was meant."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import nucleus_convert
from nucleus_convert.converters import ir, masks, verify
from nucleus_convert.converters.errors import MalformedFileError, VerifyError
from nucleus_convert.converters.labelset import LabelSet, from_records
from nucleus_convert.converters.model import (
    Annotation,
    Box,
    Header,
    Item,
    Label,
    Mask,
    Polygon,
    Record,
)
from nucleus_convert.converters.protocol import Feature, Spec
from nucleus_convert.converters.report import Report
from nucleus_convert.converters.verify import Difference, differences, header_differences

ALL = ir.SPEC
SQUARE = Polygon((((0, 0, 4, 0, 4, 4, 0, 4),),))


def changed(value: Any) -> Any:
    """Something else of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, tuple):
        return (changed(value[0]), *value[1:])
    if isinstance(value, dict):
        key = next(iter(value))
        return {**value, key: changed(value[key])}
    if isinstance(value, msgspec.Struct):
        name = next(name for name in value.__struct_fields__ if getattr(value, name) is not None)
        return msgspec.structs.replace(value, **{name: changed(getattr(value, name))})
    raise TypeError(type(value))


def altered(struct: Any) -> Iterator[tuple[str, Any]]:
    """The struct with one field changed, for each field that says something."""
    for field in msgspec.structs.fields(type(struct)):
        value = getattr(struct, field.name)
        if value not in (None, (), {}, False) and field.name not in ("derived", "model_version"):
            yield field.name, msgspec.structs.replace(struct, **{field.name: changed(value)})


@pytest.fixture
def everything(fixtures: Path) -> LabelSet:
    return ir.read(fixtures / "ir/everything/labels.ndjson", options=ir.ReadOptions(), report=Report())


def test_equal_records_do_not_differ(everything: LabelSet) -> None:
    assert [list(differences(record, record, ALL)) for record in everything] == [[], [], []]
    assert list(header_differences(everything.header, everything.header, ALL)) == []


def test_any_change_of_any_field_is_found(everything: LabelSet) -> None:
    changes = 0
    for record in everything:
        for name, item in altered(record.item):
            [found] = differences(record, Record(item, record.annotations), ALL)
            assert found.field == f"item {name}"
            changes += 1
        for index, annotation in enumerate(record.annotations):
            for name, other in altered(annotation):
                if name == "predicted" and other.is_prediction == annotation.is_prediction:
                    continue  # a confidence says so too
                annotations = (*record.annotations[:index], other, *record.annotations[index + 1 :])
                [found] = differences(record, Record(record.item, annotations), ALL)
                assert name == "shapes" or found.field == name
                changes += 1
            for place, shape in enumerate(annotation.shapes):
                for name, drawn in altered(shape):
                    shapes = (*annotation.shapes[:place], drawn, *annotation.shapes[place + 1 :])
                    other = msgspec.structs.replace(annotation, shapes=shapes)
                    annotations = (*record.annotations[:index], other, *record.annotations[index + 1 :])
                    [found] = differences(record, Record(record.item, annotations), ALL)
                    assert found.field.endswith(f" {name}")
                    changes += 1
    for name, header in altered(everything.header):
        assert list(header_differences(everything.header, header, ALL)), name
        changes += 1
    for index, label in enumerate(everything.header.labels):
        for name, other_label in altered(label):
            labels = list(everything.header.labels)
            labels[index] = other_label
            header = msgspec.structs.replace(everything.header, labels=tuple(labels))
            assert list(header_differences(everything.header, header, ALL)), name
            changes += 1
    assert changes > 90


def one(*annotations: Annotation, **item: Any) -> Record:
    return Record(Item(id=1, **item), annotations)


def found(expected: Record, actual: Record, spec: Spec = ALL) -> list[str]:
    return [difference.field for difference in differences(expected, actual, spec)]


def test_what_is_missing_is_found(everything: LabelSet) -> None:
    for record in everything:
        for index, annotation in enumerate(record.annotations):
            fewer = (*record.annotations[:index], *record.annotations[index + 1 :])
            assert "number of annotations" in found(record, Record(record.item, fewer))
            if annotation.shapes:
                bare = msgspec.structs.replace(annotation, shapes=())
                rest = (*record.annotations[:index], bare, *record.annotations[index + 1 :])
                assert len(found(record, Record(record.item, rest))) == len(annotation.shapes)


def test_a_shape_that_was_never_meant_is_found() -> None:
    drawn = Annotation(shapes=(SQUARE,))
    more = Annotation(shapes=(SQUARE, Box(0, 0, 4, 4)))
    assert found(one(drawn), one(more)) == ["box"]
    assert found(one(drawn), one(msgspec.structs.replace(more, derived=("box",)))) == []


def test_what_the_target_has_no_place_for_is_not_compared() -> None:
    said = Annotation(id=1, track=4, shapes=(SQUARE, Box(0, 0, 4, 4)))
    heard = Annotation(id=1, shapes=(SQUARE,))
    without = {Feature.TRACK, Feature.BOX}
    narrow = msgspec.structs.replace(ALL, holds=ALL.holds - without)
    assert found(one(said), one(heard)) == ["track", "box"]
    assert found(one(said), one(heard), narrow) == []
    carrying = msgspec.structs.replace(narrow, carries=frozenset(without))
    assert found(one(said), one(heard), carrying) == ["track", "box"]


def test_approximations_need_not_come_back_but_what_stands_alone_must() -> None:
    box = Box(0, 0, 4, 4)
    beside = Annotation(shapes=(SQUARE, box), derived=("box",))
    assert found(one(beside), one(Annotation(shapes=(SQUARE,)))) == []
    assert found(one(beside), one(Annotation(shapes=(box,)))) == ["polygon"]
    alone = Annotation(shapes=(box,), derived=("box",))
    assert found(one(alone), one(Annotation(shapes=(box,)))) == []
    assert found(one(alone), one(Annotation(shapes=(Box(0, 0, 4, 5),)))) == ["box height"]
    assert found(one(alone), one(Annotation())) == ["box"]


def test_an_approximation_may_be_of_its_originals_kind() -> None:
    original, simpler = (
        Polygon((((0, 0, 4, 0, 4, 4), (1, 1, 2, 1, 2, 2)),)),
        Polygon((((0, 0, 4, 0, 4, 4),),)),
    )
    both = one(Annotation(shapes=(original, simpler), derived=("polygon",)))
    assert found(both, one(Annotation(shapes=(original,)))) == []
    assert found(both, one(Annotation(shapes=(simpler,)))) == []
    assert found(both, one(Annotation(shapes=(SQUARE,)))) == ["polygon parts"]


def test_annotations_pair_by_id_where_ids_tell_them_apart() -> None:
    first, second = Annotation(id=1, label="a"), Annotation(id="b", label="b")
    assert found(one(first, second), one(second, first)) == []
    twins = Annotation(id=1, label="a"), Annotation(id=1, label="b")
    assert found(one(*twins), one(*twins)) == []
    assert found(one(*twins), one(*reversed(twins))) == ["label", "label"]
    assert found(one(Annotation(label="a")), one(Annotation(label="a", id="made"))) == []
    assert found(one(first), one(Annotation(label="a"))) == ["id"]
    assert found(one(first), one(Annotation(id="1", label="a"))) == ["id"]


def test_annotations_without_ids_pair_with_what_is_alike() -> None:
    box, other = (Annotation(label="cat", shapes=(Box(x, 1, 2, 3),)) for x in (1, 2))
    polygon = Annotation(label="cat", shapes=(SQUARE,))
    assert found(one(box, polygon, other), one(box, other, polygon)) == []
    assert found(one(box, polygon, other), one(other, box, polygon)) == ["box x", "box x"]
    assert found(one(box, polygon), one(polygon, polygon)) != []


def test_rounding_is_allowed_to_half_a_unit_and_only_on_coordinates() -> None:
    rounding = msgspec.structs.replace(ALL, decimals=2)
    drawn = one(Annotation(confidence=0.125, shapes=(Box(1.005, 2, 3, 4),)))
    assert found(drawn, one(Annotation(confidence=0.125, shapes=(Box(1.01, 2, 3, 4),))), rounding) == []
    assert found(drawn, one(Annotation(confidence=0.125, shapes=(Box(1.0, 2, 3, 4),))), rounding) == []
    assert found(drawn, one(Annotation(confidence=0.13, shapes=(Box(1.01, 2, 3, 4),))), rounding) == [
        "confidence"
    ]
    off = one(Annotation(confidence=0.125, shapes=(Box(1.011, 2, 3, 4),)))
    assert found(drawn, off, rounding) == ["box x"]
    assert found(drawn, one(Annotation(confidence=0.125, shapes=(Box(1.005000001, 2, 3, 4),)))) == ["box x"]


def test_what_a_target_adds_of_its_own_is_no_difference() -> None:
    said = Annotation(attributes={"a": 1}, extras={"coco": {"x": [1]}})
    heard = Annotation(attributes={"a": 1, "b": 2}, extras={"coco": {"x": [1], "y": 2}, "nucleus": {"z": 3}})
    assert found(one(said), one(heard)) == []
    assert found(one(heard), one(said)) == ["attributes", "extras"]


def test_types_count_where_they_mean_something() -> None:
    assert found(one(Annotation(occluded=1)), one(Annotation(occluded=True))) == ["occluded"]
    assert found(one(Annotation(attributes={"a": [1]})), one(Annotation(attributes={"a": (1.0,)}))) == []
    assert found(one(Annotation(attributes={"a": 1})), one(Annotation(attributes={"a": "1"}))) == [
        "attributes"
    ]


def test_masks_are_compared_by_pixels() -> None:
    plain = Mask(masks.encode_counts(np.array([2, 2, 2])), 2, 3)
    spelt = Mask(masks.encode_counts(np.array([2, 1, 0, 1, 2])), 2, 3)
    other = Mask(masks.encode_counts(np.array([2, 1, 3])), 2, 3)
    turned = Mask(plain.counts, 3, 2)
    assert plain.counts != spelt.counts
    assert found(one(Annotation(shapes=(plain,))), one(Annotation(shapes=(spelt,)))) == []
    assert found(one(Annotation(shapes=(plain,))), one(Annotation(shapes=(other,)))) == ["mask counts"]
    assert found(one(Annotation(shapes=(plain,))), one(Annotation(shapes=(turned,)))) == [
        "mask height",
        "mask width",
    ]


def test_header_labels_are_compared_in_order() -> None:
    a, b = Label(name="a", id=1), Label(name="b")
    assert list(header_differences(Header(labels=(a, b)), Header(labels=(a, b)), ALL)) == []
    [swapped] = header_differences(Header(labels=(a, b)), Header(labels=(b, a)), ALL)
    assert swapped.field == "labels"
    [number] = header_differences(Header(labels=(a,)), Header(labels=(Label(name="a", id="1"),)), ALL)
    assert number == Difference("label 'a' id", 1, "1")


def test_what_a_file_was_called_need_not_come_back() -> None:
    def header(name: str, year: int) -> Header:
        return Header(extras={"coco": {"files": [{"name": name, "info": {"year": year, "name": "x"}}]}})

    assert list(header_differences(header("a.json", 1), header("b.json", 1), ALL)) == []
    assert len(list(header_differences(header("a.json", 1), header("a.json", 2), ALL))) == 1


# ---------------------------------------------------------------------- whole data sets


def broken_at(labels: LabelSet, *places: int) -> LabelSet:
    records = list(labels)
    for place in places:
        records[place] = Record(records[place].item, records[place].annotations[:1])
    return from_records(labels.header, records)


def test_all_is_all(boxes: Callable[[int], LabelSet]) -> None:
    labels = boxes(100)
    assert verify.verify(labels, labels, ALL, sample=None) == 100
    for place in (0, 50, 99):
        with pytest.raises(VerifyError, match=f"item {place}: number of annotations should be 2 and is 1"):
            verify.verify(labels, broken_at(labels, place), ALL, sample=None)


def test_the_error_names_the_first_three(boxes: Callable[[int], LabelSet]) -> None:
    labels = boxes(100)
    with pytest.raises(VerifyError) as caught:
        verify.verify(labels, broken_at(labels, *range(10, 20)), ALL, sample=None)
    assert caught.value.message.count("number of annotations") == 3
    assert "item 12" in caught.value.message


def test_a_sample_holds_the_first_the_last_and_stretches_between(boxes: Callable[[int], LabelSet]) -> None:
    labels = boxes(2000)
    sample = 250
    assert verify.verify(labels, labels, ALL, sample=sample) == sample
    seen = []
    for place in range(0, 2000, 3):
        try:
            verify.verify(labels, broken_at(labels, place), ALL, sample=sample)
        except VerifyError:
            seen.append(place)
    assert len(seen) == pytest.approx(sample / 3, abs=10)
    for place in (0, 1999):
        with pytest.raises(VerifyError):
            verify.verify(labels, broken_at(labels, place), ALL, sample=sample)


def test_auto_is_all_of_a_small_data_set() -> None:
    assert verify.sample_size(None) is None
    assert verify.sample_size(5_000) is None
    assert verify.sample_size(5_001) == 1_000


@pytest.mark.parametrize("sample", [None, 50])
def test_missing_and_extra_items_are_found(boxes: Callable[[int], LabelSet], sample: int | None) -> None:
    labels, fewer = boxes(100), boxes(99)
    with pytest.raises(VerifyError, match="item should be 99 and is missing"):
        verify.verify(labels, fewer, ALL, sample=sample)
    with pytest.raises(VerifyError, match="item should be missing and is 99"):
        verify.verify(fewer, labels, ALL, sample=sample)


@pytest.mark.parametrize("sample", [None, 50])
def test_another_order_of_items_is_no_difference(
    boxes: Callable[[int], LabelSet], sample: int | None
) -> None:
    labels = boxes(100)
    records = list(labels)
    for shuffled in (records[::-1], records[50:] + records[:50], records[::2] + records[1::2]):
        assert verify.verify(labels, from_records(labels.header, shuffled), ALL, sample=sample) == 100
        broken = [*shuffled[:-1], Record(shuffled[-1].item)]
        with pytest.raises(VerifyError, match="number of annotations should be 2 and is 0"):
            verify.verify(labels, from_records(labels.header, broken), ALL, sample=sample)


def test_an_item_under_another_name_is_named(boxes: Callable[[int], LabelSet]) -> None:
    labels = boxes(3)
    first, *rest = labels
    renamed = Record(msgspec.structs.replace(first.item, id="zero"), first.annotations)
    with pytest.raises(VerifyError, match="item 0: item id should be 0 and is 'zero'"):
        verify.verify(labels, from_records(labels.header, [renamed, *rest]), ALL, sample=None)


def test_items_of_one_id_in_two_subsets_are_told_apart() -> None:
    records = [
        Record(Item(id=1, subset=subset), (Annotation(label=subset),)) for subset in ("train", "val", "test")
    ]
    turned = from_records(Header(), records[::-1])
    assert verify.verify(from_records(Header(), records), turned, ALL, sample=None) == 3


def _only_even(record: Record) -> Record | None:
    return record if int(record.item.id) % 2 == 0 else None


def test_a_sample_of_a_filtered_data_set_compares_the_right_items(boxes: Callable[[int], LabelSet]) -> None:
    filtered = boxes(200).map(_only_even)
    written = from_records(filtered.header, list(filtered))
    assert verify.verify(filtered, written, ALL, sample=50) == 100
    with pytest.raises(VerifyError):
        verify.verify(filtered, broken_at(written, 77), ALL, sample=50)


def test_output_that_cannot_be_read_is_an_error_of_ours(boxes: Callable[[int], LabelSet]) -> None:
    def broken(report: Report, start: int, stop: int | None) -> Iterator[Record]:
        raise MalformedFileError("not JSON")
        yield

    with pytest.raises(VerifyError, match="cannot be read back: not JSON"):
        verify.verify(boxes(2), LabelSet(boxes(2).header, broken, size=2), ALL, sample=None)


def test_predictions_may_be_kept_apart_from_what_people_drew(tmp_path: Path) -> None:
    """COCO has a file of its own for them; without ids only their place would tell which is which."""
    guess = Annotation(label="a", shapes=(Box(1, 1, 2, 2),), predicted=True, confidence=0.5)
    drawn = Annotation(label="a", shapes=(Box(3, 3, 4, 4),))
    record = Record(Item(id=1, path="a.jpg", width=10, height=10), (guess, drawn))
    nucleus_convert.write(from_records(Header(labels=(Label(name="a"),)), [record]), tmp_path / "out", "coco")
    read = next(iter(nucleus_convert.read(tmp_path / "out", "coco")))
    assert [(one.is_prediction, one.shapes[0]) for one in read.annotations] == [
        (False, drawn.shapes[0]),
        (True, guess.shapes[0]),
    ]
    assert not list(differences(record, Record(record.item, (drawn, guess)), ALL))
    swapped = [msgspec.structs.replace(one, shapes=other.shapes) for one, other in ((drawn, guess), (guess, drawn))]
    assert len(list(differences(record, Record(record.item, tuple(swapped)), ALL))) == 8  # four sides of two boxes
