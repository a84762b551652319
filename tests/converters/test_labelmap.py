"""The label map: rename, merge, drop, order, number."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from nucleus_convert.converters import labelmap
from nucleus_convert.converters.errors import OptionError, Where
from nucleus_convert.converters.labelmap import LabelMap
from nucleus_convert.converters.labelset import LabelSet, from_records
from nucleus_convert.converters.model import (
    Annotation,
    Box,
    Header,
    Item,
    Keypoints,
    Label,
    Record,
    Scene,
    Tag,
    Taxonomy,
)
from nucleus_convert.converters.report import Report

BOX = Box(1, 2, 3, 4)


def labels() -> LabelSet:
    header = Header(
        labels=(
            Label(name="car", id=3, parent="vehicle", color="#f00"),
            Label(name="truck", id=5),
            Label(name="person", id=1),
            Label(name="sun"),
        ),
        taxonomies=(Taxonomy("mixed", ("car", "truck", "sun")),),
        scenes=(Scene(id="s", categories=(Annotation(label="truck", shapes=(Tag("mixed"),)),)),),
    )
    records = [
        Record(
            Item(id=7),
            (
                Annotation(label="car", id=1, shapes=(BOX,)),
                Annotation(label="truck", id=2, shapes=(BOX, Keypoints((1, 2, 2)))),
                Annotation(label="person", id=3, class_pdf={"person": 0.5, "car": 0.25, "truck": 0.25}),
                Annotation(label="sun", shapes=(Tag("mixed"),)),
                Annotation(id=5, shapes=(BOX,)),
                Annotation(label="undeclared", id=6, shapes=(BOX,)),
            ),
        ),
        Record(Item(id=8), (Annotation(label="person", id=9),)),
    ]
    return from_records(header, records)


def applied(**wanted: Any) -> tuple[LabelSet, list[Record], Report]:
    report = Report()
    mapped = labelmap.apply(labels(), LabelMap(**wanted), report)
    return mapped, list(mapped.records(report)), report


def names(mapped: LabelSet) -> list[str]:
    return [label.name for label in mapped.header.labels]


def used(records: list[Record]) -> list[str | None]:
    return [annotation.label for record in records for annotation in record.annotations]


def refusal(**wanted: Any) -> OptionError:
    with pytest.raises(OptionError) as caught:
        labelmap.apply(labels(), LabelMap(**wanted), Report(), where=Where(file="map.toml"))
    assert caught.value.where == Where(file="map.toml")
    return caught.value


def test_an_empty_map_changes_nothing() -> None:
    mapped, records, report = applied()
    assert mapped.header == labels().header
    assert records == list(labels())
    assert report.findings == {}


def test_rename() -> None:
    mapped, records, report = applied(rename={"car": "auto", "person": "human"})
    assert names(mapped) == ["auto", "truck", "human", "sun"]
    assert mapped.header.labels[0] == Label(name="auto", id=3, parent="vehicle", color="#f00")
    assert mapped.header.taxonomies[0].labels == ("auto", "truck", "sun")
    assert used(records) == ["auto", "truck", "human", "sun", None, "undeclared", "human"]
    assert records[0].annotations[2].class_pdf == {"human": 0.5, "auto": 0.25, "truck": 0.25}
    assert report.count("relabelled", "person -> human") == 2
    assert report.count("relabelled", "car -> auto") == 1
    finding = next(f for f in report.findings.values() if f.what == "car -> auto")
    assert finding.examples == [Where(item="7", annotation="1")]


def test_names_can_be_swapped() -> None:
    mapped, records, _ = applied(rename={"car": "truck", "truck": "car"})
    assert names(mapped)[:2] == ["truck", "car"]
    assert used(records)[:2] == ["truck", "car"]


def test_merge_keeps_the_first_ones_number_and_sums_distributions() -> None:
    mapped, records, report = applied(merge={"vehicle": ["truck", "car"]})
    assert names(mapped) == ["vehicle", "person", "sun"]
    assert mapped.header.labels[0] == Label(name="vehicle", id=5)
    assert mapped.header.taxonomies[0].labels == ("vehicle", "sun")
    assert mapped.header.scenes[0].categories[0].label == "vehicle"
    assert used(records)[:3] == ["vehicle", "vehicle", "person"]
    assert records[0].annotations[2].class_pdf == {"person": 0.5, "vehicle": 0.5}
    assert report.count("relabelled") == 3


def test_merge_into_one_of_them() -> None:
    mapped, records, report = applied(merge={"car": ["car", "truck"]})
    assert names(mapped) == ["car", "person", "sun"]
    assert mapped.header.labels[0].id == 3
    assert used(records)[:2] == ["car", "car"]
    assert {finding.what for finding in report.findings.values()} == {"truck -> car"}


def test_drop_goes_through_the_ledger() -> None:
    mapped, records, report = applied(drop=["truck", "person"])
    assert names(mapped) == ["car", "sun"]
    assert mapped.header.scenes[0].categories == ()
    assert mapped.header.taxonomies[0].labels == ("car", "sun")
    assert used(records) == ["car", "sun", None, "undeclared"]
    assert records[1].annotations == ()
    assert report.count("filtered", "label 'truck'") == 2  # an object and a scene's category
    assert report.count("filtered", "label 'person'") == 2
    balance = report.ledger.balance()
    assert balance["object"]["dropped"] == 3
    assert balance["keypoints"]["dropped"] == 1
    assert balance["box"]["dropped"] == 1
    assert balance["item"]["dropped"] == 0


def test_dropping_from_a_distribution_is_reported() -> None:
    _, records, report = applied(drop=["car", "truck"])
    assert records[0].annotations[0].class_pdf == {"person": 0.5}
    assert report.count("filtered", "probability of 'car'") == 1


def test_a_distribution_that_is_gone_still_was_a_prediction() -> None:
    record = Record(Item(id=1), (Annotation(label="a", class_pdf={"b": 1.0}),))
    source = from_records(Header(labels=(Label(name="a"), Label(name="b"))), [record])
    [mapped] = labelmap.apply(source, LabelMap(drop=["b"]), Report())
    assert mapped.annotations[0].class_pdf is None
    assert mapped.annotations[0].is_prediction


def test_a_label_without_objects_is_reported_too() -> None:
    source = from_records(Header(labels=(Label(name="a"),)), [])
    report = Report()
    assert labelmap.apply(source, LabelMap(drop=["a"]), report).header.labels == ()
    assert [(finding.what, finding.count) for finding in report.findings.values()] == [("label 'a'", 0)]


def test_order() -> None:
    mapped, records, _ = applied(rename={"person": "human"}, order=["sun", "human"])
    assert names(mapped) == ["sun", "human", "car", "truck"]
    assert len(used(records)) == 7


def test_only() -> None:
    mapped, records, report = applied(rename={"person": "human"}, order=["human", "car"], only=True)
    assert names(mapped) == ["human", "car"]
    assert used(records) == ["car", "human", None, "undeclared", "human"]
    assert report.count("filtered", "label 'sun'") == 1


def test_ids() -> None:
    mapped, _, _ = applied(merge={"vehicle": ["car", "truck"]}, ids={"vehicle": 0, "sun": 9})
    assert [(label.name, label.id) for label in mapped.header.labels] == [
        ("vehicle", 0),
        ("person", 1),
        ("sun", 9),
    ]


def test_the_step_is_picklable() -> None:
    mapped, records, _ = applied(rename={"car": "auto"}, drop=["sun"])
    assert list(pickle.loads(pickle.dumps(mapped))) == records


@pytest.mark.parametrize(
    ("wanted", "message", "hint"),
    [
        ({"rename": {"cars": "auto"}}, "'rename' names 'cars', which is no label of the source", "'car'?"),
        ({"drop": ["zebra"]}, "'drop' names 'zebra'", "labels: car, truck, person, sun"),
        ({"merge": {"x": ["car", "trcuk"]}}, "'merge' names 'trcuk'", "'truck'?"),
        ({"rename": {"car": "x"}, "drop": ["car"]}, "'car' is in both 'rename' and 'drop'", ""),
        ({"merge": {"x": ["car"], "y": ["car"]}}, "'car' is in both 'merge' and 'merge'", ""),
        ({"rename": {"car": "truck"}}, "'car', 'truck' would all be 'truck'", "merge.truck"),
        ({"merge": {"person": ["car", "truck"]}}, "'car', 'truck', 'person' would all be 'person'", ""),
        ({"order": ["car", "zebra"]}, "'order' names 'zebra', which is no label of the output", ""),
        ({"rename": {"car": "auto"}, "order": ["car"]}, "'order' names 'car'", ""),
        ({"order": ["car", "car"]}, "'order' names 'car' twice", ""),
        ({"only": True}, "'only' needs 'order'", ""),
        ({"drop": ["car"], "ids": {"car": 1}}, "'ids' names 'car'", ""),
        ({"ids": {"car": 1}}, "'car' and 'person' would both have the number 1", ""),
    ],
)
def test_a_map_that_does_not_fit_is_refused(wanted: dict[str, Any], message: str, hint: str) -> None:
    error = refusal(**wanted)
    assert message in error.message
    assert hint in (error.hint or "")


TOML = """
drop = ["sun"]
order = ["human"]
[rename]
person = "human"
[merge]
vehicle = ["car", "truck"]
[ids]
human = 4
"""
YAML = """
drop: [sun]
order: [human]
rename: {person: human}
merge: {vehicle: [car, truck]}
ids: {human: 4}
"""


@pytest.mark.parametrize(("name", "text"), [("a.toml", TOML), ("a.yaml", YAML), ("a.YML", YAML)])
def test_toml_and_yaml_say_the_same(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert labelmap.load(tmp_path / name) == LabelMap(
        drop=["sun"],
        order=["human"],
        rename={"person": "human"},
        merge={"vehicle": ["car", "truck"]},
        ids={"human": 4},
    )


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.toml", "rename = ", "is not TOML"),
        ("a.yaml", "rename: [\nx: }", "is not YAML"),
        ("a.yaml", "- a\n- b\n", "is a table"),
        ("a.yaml", "a: " + "[" * 5000, "is not YAML"),
        ("a.yaml", "rename: {a: b, a: c}", "twice"),
        ("a.json", "{}", "TOML or YAML, not '.json'"),
        ("a.toml", 'renames = {a = "b"}', "unknown key 'renames'"),
        ("a.toml", 'rename = ["a"]', "'rename': input should be a valid dictionary, not ['a']"),
        ("a.toml", "drop = [1]", "'drop.0': input should be a valid string, not 1"),
        ("a.toml", "drop = [1, 2]", "and 1 more like it"),
        ("a.toml", 'ids = {car = "1"}', "'ids.car': input should be a valid integer, not '1'"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(OptionError) as caught:
        labelmap.load(tmp_path / name)
    assert said in caught.value.message
    assert caught.value.where is not None
    assert caught.value.where.file == str(tmp_path / name)


def test_a_misspelt_key_gets_a_hint(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('renames = {a = "b"}')
    with pytest.raises(OptionError) as caught:
        labelmap.load(tmp_path / "a.toml")
    assert caught.value.hint == "did you mean 'rename'?"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="No such file"):
        labelmap.load(tmp_path / "none.toml")
