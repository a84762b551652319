"""What every format in the registry promises; a new format gets these tests for nothing.

Whatever the model can say is held, carried or given up by a format. What is held or carried comes back from
what it wrote; what is given up, or shows otherwise, is in the report; the balance closes; nothing depends on
chance.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nucleus_convert.converters import fit, ir, parallel, registry
from nucleus_convert.converters.errors import ConvertError
from nucleus_convert.converters.labelset import LabelSet, from_records
from nucleus_convert.converters.model import (
    Annotation,
    Box,
    Header,
    Item,
    Keypoints,
    Label,
    Line,
    Mask,
    Polygon,
    Record,
    Tag,
)
from nucleus_convert.converters.protocol import (
    ANNOTATION_FEATURES,
    HEADER_FEATURES,
    ITEM_FEATURES,
    LABEL_FEATURES,
    Feature,
    Target,
)
from nucleus_convert.converters.report import Report

from .support import BOX, ITEM, LABELS, ONE, labelset, said, whats

FORMATS = list(registry.FORMATS)
formats = pytest.mark.parametrize("name", FORMATS)

_OUTLINES = frozenset({Feature.POLYGON, Feature.PARTS, Feature.HOLES, Feature.ELLIPSE, Feature.ROTATION})
_ABOUT_THE_SET = frozenset(
    {Feature.SCENE, Feature.TAXONOMIES, Feature.HEADER_EXTRAS, Feature.UNUSED_LABEL}
    | {feature for feature in LABEL_FEATURES.values() if feature is not Feature.LABEL_ID}
)
GIVEN_UP: dict[str, frozenset[Feature]] = {"maskpng": _OUTLINES, "rle": _OUTLINES | _ABOUT_THE_SET}
"""Format -> what it deliberately neither holds nor carries."""


def write(name: str, labels: LabelSet, folder: Path, report: Report | None = None, workers: int = 1) -> Path:
    """Fit and write, as a run does, and close the balance."""
    module = registry.get(name)
    target = folder / f"{name}{module.SPEC.suffix if module.SPEC.layout == 'file' else ''}"
    (target.parent if target.suffix else target).mkdir(parents=True, exist_ok=True)
    report = report or Report()
    fitted = fit.fitted(labels, module.SPEC, report)
    # Output may say where it is to be: the same place each time.
    place = Target(path=target, final=Path("/somewhere") / target.name, workers=workers)
    module.write(fitted, place, options=module.WriteOptions(), report=report)
    report.ledger.check()
    return target


def read(name: str, source: Path, report: Report | None = None) -> LabelSet:
    module = registry.get(name)
    labels: LabelSet = module.read(source, options=module.ReadOptions(), report=report or Report())
    return labels


def contents(path: Path) -> dict[str, str]:
    """A digest of each file at a path."""
    files = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
    return {one.relative_to(path).as_posix(): hashlib.sha256(one.read_bytes()).hexdigest() for one in files}


# ---------------------------------------------------------------------- what is said comes back


def within(expected: Any, actual: Any) -> bool:
    """Equal, but that mappings may hold more: formats keep notes of their own."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        return all(key in actual and within(value, actual[key]) for key, value in expected.items())
    return bool(expected == actual) and type(expected) is type(actual)


def missing(
    name: str, before: Any, after: Any, features: dict[str, Feature], place: str, completed: set[str]
) -> Iterator[str]:
    """The fields that a format promises and that did not come back."""
    spec = registry.get(name).SPEC
    for field, feature in features.items():
        if feature not in spec.holds | spec.carries:
            continue
        meant, found = getattr(before, field), getattr(after, field)
        if field == "crowd" and meant is None and "iscrowd" in completed:
            continue
        if field == "id" and meant is None and isinstance(before, Annotation):
            continue  # every row needs one
        if field == "predicted":  # a confidence says so too
            meant, found = before.is_prediction, after.is_prediction
        if not (within(meant, found) if field in ("extras", "attributes") else within([meant], [found])):
            yield f"{place} {field}: {meant!r} came back as {found!r}"


def not_back(name: str, before: LabelSet, after: LabelSet, report: Report) -> list[str]:
    """All that a format promises and that did not come back."""
    spec = registry.get(name).SPEC
    here = spec.holds | spec.carries
    completed = {what for code, what in said(report) if code == "completed"}
    found = list(missing(name, before.header, after.header, dict(HEADER_FEATURES), "header", completed))
    labels = {label.name: label for label in after.header.labels}
    for label in before.header.labels:
        if label.name in labels:
            place = f"label {label.name}"
            found += missing(name, label, labels[label.name], dict(LABEL_FEATURES), place, completed)
        elif Feature.UNUSED_LABEL in here:
            found.append(f"label {label.name} is gone")
    records = list(after)
    meant = list(fit.fitted(before, spec, Report()).records(Report()))
    if len(records) != len(meant):
        return [*found, f"{len(meant)} items came back as {len(records)}"]
    if Feature.ITEM_ID in here:
        records.sort(key=lambda record: str(record.item.id))
        meant.sort(key=lambda record: str(record.item.id))
    for one, other in zip(meant, records, strict=True):
        place = f"item {one.item.id}"
        found += missing(name, one.item, other.item, dict(ITEM_FEATURES), place, completed)
        found += annotations_not_back(name, one, other, place, completed)
    return found


def annotations_not_back(
    name: str, one: Record, other: Record, place: str, completed: set[str]
) -> Iterator[str]:
    if len(one.annotations) != len(other.annotations):
        yield f"{place}: {len(one.annotations)} annotations came back as {len(other.annotations)}"
        return
    rest = list(other.annotations)
    for annotation in one.annotations:
        if annotation.id is not None:
            same = [entry for entry in rest if entry.id == annotation.id]
        else:
            same = [
                entry
                for entry in rest
                if entry.label == annotation.label and set(annotation.shapes) >= set(entry.shapes)
            ]
        found = (same or rest)[0]
        rest.remove(found)
        where = f"{place}, annotation {annotation.id}"
        yield from missing(name, annotation, found, dict(ANNOTATION_FEATURES), where, completed)
        if annotation.label != found.label:
            yield f"{where} label: {annotation.label!r} came back as {found.label!r}"
        originals = annotation.shapes[: len(annotation.shapes) - len(annotation.derived)] or annotation.shapes
        drawn = found.shapes[: len(found.shapes) - len(found.derived)] or found.shapes
        if Feature.POLYGON in GIVEN_UP.get(name, ()):  # there the pixels take the outline's place for good
            stand_ins = annotation.shapes[len(annotation.shapes) - len(annotation.derived) :]
            drawn = tuple(shape for shape in drawn if shape not in stand_ins or shape in originals)
        if set(originals) != set(drawn):
            yield f"{where} shapes: {originals!r} came back as {drawn!r}"


@formats
@pytest.mark.parametrize("feature", Feature)
def test_what_is_said_comes_back_or_is_reported(tmp_path: Path, name: str, feature: Feature) -> None:
    spec = registry.get(name).SPEC
    report = Report()
    labels = ONE[feature]
    target = write(name, labels, tmp_path, report)
    assert not_back(name, labels, read(name, target), report) == []
    findings = said(report)
    told = {what for _, what in findings} & whats(feature)
    shown = [
        what
        for code, what in findings
        if code in ("approximated", "replaced") and what.startswith(str(feature))
    ]
    if feature in spec.holds:
        assert not {code for code, what in findings if what in told} & {"carried", "dropped"}
        assert not shown
    elif feature not in spec.carries:
        assert told or shown, f"{feature} is lost and nobody says so"
    elif feature not in (Feature.EMPTY_ITEM, Feature.ITEM_ID, Feature.UNUSED_LABEL, Feature.POINTCLOUD):
        assert told or shown, f"{feature} travels along and nobody says so"


@formats
def test_everything_at_once_comes_back(tmp_path: Path, fixtures: Path, name: str) -> None:
    labels = ir.read(fixtures / "ir/everything/labels.ndjson", options=ir.ReadOptions(), report=Report())
    report = Report()
    target = write(name, labels, tmp_path, report)
    assert not_back(name, labels, read(name, target), report) == []


@formats
def test_what_is_read_back_is_written_the_same(tmp_path: Path, fixtures: Path, name: str) -> None:
    labels = ir.read(fixtures / "ir/everything/labels.ndjson", options=ir.ReadOptions(), report=Report())
    first = write(name, labels, tmp_path / "1")
    second = write(name, read(name, first), tmp_path / "2")
    assert contents(second) == contents(first)


@formats
def test_the_spec_says_what_becomes_of_every_feature(name: str) -> None:
    spec = registry.get(name).SPEC
    assert spec.name == name
    assert not spec.holds & spec.carries
    assert frozenset(Feature) - spec.holds - spec.carries == GIVEN_UP.get(name, frozenset())
    assert spec.title
    assert spec.reference


# ---------------------------------------------------------------------- awkward data sets

NAMES = [
    "a weird Filename.asdf.jpg",
    "überall/日本.png",
    "-leading-dash.jpg",
    "trailing.dot.",
    "a/b/c.jpg",
    "a/B/c.jpg",
    "no_suffix",
    ".hidden",
    "sp ace .jpg",
    "quote'\"s.jpg",
    "semi;colon&amp.jpg",
    "per%20cent.jpg",
    "hash#1?x=y.jpg",
    "back\\slash.jpg",
    "tab\there.jpg",
    "con.jpg",
    "x" * 180 + ".jpg",
]


@formats
def test_awkward_names_come_back(tmp_path: Path, name: str) -> None:
    records = [
        Record(
            Item(id=path, path=path, width=10, height=8),
            (Annotation(label=path, id=f"{path}/1", shapes=(BOX,)),),
        )
        for path in NAMES
    ]
    labels = from_records(Header(labels=tuple(Label(name=path) for path in NAMES)), records)
    report = Report()
    target = write(name, labels, tmp_path, report)
    assert not_back(name, labels, read(name, target), report) == []
    assert {
        path.resolve().is_relative_to(target.resolve()) for path in tmp_path.rglob("*") if path.is_file()
    } == {True}


@formats
@pytest.mark.parametrize("labels", [(), LABELS], ids=["nothing", "a label"])
def test_an_empty_data_set_comes_back(tmp_path: Path, name: str, labels: tuple[Label, ...]) -> None:
    report = Report()
    empty = from_records(Header(labels=labels), [])
    target = write(name, empty, tmp_path, report)
    assert not_back(name, empty, read(name, target), report) == []
    assert report.ledger.balance()["item"]["read"] == 0


@formats
def test_items_of_one_name_in_two_subsets_are_two(tmp_path: Path, name: str) -> None:
    records = [
        Record(
            Item(id=f"{subset}/1.jpg", path=f"{subset}/1.jpg", subset=subset),
            (Annotation(label="cat", shapes=(BOX,)),),
        )
        for subset in ("train", "val")
    ]
    labels = from_records(Header(labels=LABELS), records)
    report = Report()
    assert not_back(name, labels, read(name, write(name, labels, tmp_path, report)), report) == []


@formats
def test_objects_drawn_in_several_ways_stay_one_object(tmp_path: Path, name: str) -> None:
    mask = next(iter(ONE[Feature.MASK])).annotations[0].shapes[0]
    assert isinstance(mask, Mask)
    polygon = Polygon((((1, 1, 5, 1, 5, 5),), ((6, 6, 8, 6, 8, 7),)))
    points = Keypoints((1, 2, 2, 3, 4, 0), ("a", "b"), ((0, 1),))
    ways = [
        (BOX, polygon),
        (polygon, points),
        (BOX, mask),
        (BOX, points, mask),
        (mask, Line((1, 2, 3, 4))),
        (BOX, Tag("t")),
    ]
    annotations = [
        Annotation(label="cat", id=i, shapes=ways[i % len(ways)], confidence=0.5 if i % 2 else None)
        for i in range(18)
    ]
    labels = labelset(*annotations)
    report = Report()
    assert not_back(name, labels, read(name, write(name, labels, tmp_path, report)), report) == []


@formats
def test_numbers_come_back_to_the_last_digit(tmp_path: Path, name: str) -> None:
    values = [0.1, 1 / 3, 1e-9, 123456.789012345, 5, 5.0, -0.25, 2**53 + 1, 1e300]
    annotations = [
        Annotation(label="cat", id=i, shapes=(Box(value, 1, value, 2.5),)) for i, value in enumerate(values)
    ]
    report = Report()
    target = write(name, labelset(*annotations), tmp_path, report)
    if registry.get(name).SPEC.decimals is not None:
        assert report.count("rounded")
        return
    back = {entry.id: entry.shapes[0] for entry in read(name, target).annotations()}
    for annotation in annotations:
        assert repr(back[annotation.id]) == repr(annotation.shapes[0])


# ---------------------------------------------------------------------- telling formats apart


@formats
def test_a_format_knows_its_own_and_no_other(tmp_path: Path, fixtures: Path, name: str) -> None:
    labels = ir.read(fixtures / "ir/everything/labels.ndjson", options=ir.ReadOptions(), report=Report())
    target = write(name, labels, tmp_path)
    reasons = registry.reasons(target)
    assert [one for one, reason in reasons.items() if reason is None] == [name]
    assert registry.detect(target) == name


@formats
def test_no_format_takes_what_is_none(tmp_path: Path, name: str) -> None:
    module = registry.get(name)
    for text in ("", "{}", "[]", '{"a": 1}\n', "hello", "<xml/>", "\x00\x01\xff"):
        for suffix in (".json", ".jsonl", ".ndjson", ".txt", ".xml", ""):
            path = tmp_path / f"file{suffix}"
            path.write_text(text)
            reason = module.sniff(path)
            assert isinstance(reason, str), f"{name} takes {text!r} in a file{suffix}"
            assert reason
    (tmp_path / "empty").mkdir()
    assert module.sniff(tmp_path / "empty")


# ---------------------------------------------------------------------- what a format does not know


def planted(path: Path) -> int:
    """Put a key that nobody knows into every JSON object that is a row; the number of them."""
    count = 0

    def plant(value: Any) -> Any:
        nonlocal count
        if isinstance(value, dict):
            count += 1
            return {**value, "zzz": {"deep": [count, None]}}
        return value

    for file in [path] if path.is_file() else sorted(path.rglob("*")):
        if file.suffix == ".xml":
            pieces = re.split("(?=</(?:object|annotation|image|skeleton|points|label|task)>)", file.read_text())
            unknown = [f'<zzz>{{"deep": [{count + i}, null]}}</zzz>' for i in range(1, len(pieces))]
            file.write_text("".join(a + b for a, b in zip_longest(pieces, unknown, fillvalue="")))
            count += len(unknown)
        elif file.suffix in (".jsonl", ".ndjson"):
            lines = [plant(json.loads(line)) for line in file.read_text().splitlines() if line.strip()]
            file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        elif file.suffix == ".json":
            value = json.loads(file.read_text())
            if isinstance(value, dict):
                value = {
                    key: [plant(row) for row in rows] if isinstance(rows, list) else rows
                    for key, rows in value.items()
                }
            else:
                value = [plant(row) for row in value]
            file.write_text(json.dumps(value))
    return count


def found(path: Path) -> int:
    """How many of the planted keys are in the files."""
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    # As JSON, or as JSON within a text, whose quotes are escaped.
    return sum(len(re.findall(rb'deep\\?": ?\[', one.read_bytes())) for one in files)


@formats
def test_keys_that_nobody_knows_come_back_or_are_an_error(tmp_path: Path, name: str) -> None:
    target = write(name, ONE[Feature.KEYPOINTS], tmp_path / "1")
    count = planted(target)
    report = Report()
    try:
        again = write(name, read(name, target, report), tmp_path / "2", report)
    except ConvertError as error:
        if "zzz" not in str(error):
            raise
        return  # refused, and named
    lost = sum(number for (code, what), number in said(report).items() if "zzz" in what and code != "unknown")
    assert found(again) + lost == count > 0


# ---------------------------------------------------------------------- nothing depends on chance


def many(count: int) -> LabelSet:
    shapes = [
        next(iter(ONE[feature])).annotations[0] for feature in Feature if next(iter(ONE[feature])).annotations
    ]
    records = [
        Record(
            msgspec.structs.replace(ITEM, id=f"i{i}", path=f"{i % 7}/{i}.jpg", attributes={"n": i}),
            tuple(
                msgspec.structs.replace(shapes[(i + j) % len(shapes)], id=f"{i}.{j}") for j in range(i % 4)
            ),
        )
        for i in range(count)
    ]
    return from_records(Header(labels=(*LABELS, Label(name="dog"))), records)


@formats
def test_the_number_of_workers_changes_nothing(tmp_path: Path, name: str) -> None:
    labels = many(2 * parallel.CHUNK + 20)
    outputs = []
    for workers in (1, 2):
        report = Report()
        target = write(name, labels, tmp_path / str(workers), report, workers)
        outputs.append((contents(target), report.to_json()))
    assert outputs[0] == outputs[1]


@formats
def test_two_runs_and_two_hash_seeds_give_the_same_bytes(tmp_path: Path, name: str) -> None:
    source = write("ir", many(40), tmp_path / "source")
    script = (
        "import sys; from nucleus_convert import convert; "
        "convert(sys.argv[1], sys.argv[2], source='ir', target=sys.argv[3])"
    )
    digests: list[dict[str, str]] = []
    suffix = registry.get(name).SPEC.suffix
    for seed in ("0", "1", "1"):
        target = tmp_path / "run" / f"out{suffix}"
        target.parent.mkdir()
        subprocess.run(
            [sys.executable, "-c", script, str(source), str(target), name],
            check=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        digests.append(contents(target.parent))
        shutil.rmtree(target.parent)
    assert digests[0] == digests[1] == digests[2]
    assert any("report.json" in file for file in digests[0])


@formats
def test_what_goes_in_is_not_changed(tmp_path: Path, fixtures: Path, name: str) -> None:
    everything = ir.read(fixtures / "ir/everything/labels.ndjson", options=ir.ReadOptions(), report=Report())
    held = from_records(everything.header, list(everything))
    before = msgspec.json.encode([held.header, list(held)])
    target = write(name, held, tmp_path / "1")
    assert msgspec.json.encode([held.header, list(held)]) == before
    files = contents(target)
    labels = read(name, target)
    list(labels)
    write(name, labels, tmp_path / "2")
    assert contents(target) == files


@formats
def test_a_label_set_can_be_read_more_than_once_and_by_stretches(tmp_path: Path, name: str) -> None:
    labels = read(name, write(name, many(30), tmp_path))
    whole = list(labels)
    assert list(labels) == whole
    assert labels.size in (None, len(whole))
    for start, stop in ((0, 7), (7, 30), (29, None), (30, None)):
        assert list(labels.records(Report(), start, stop)) == whole[start:stop]


@formats
def test_options_refuse_what_they_do_not_know_and_say_what_they_do(name: str) -> None:
    module = registry.get(name)
    for model in (module.ReadOptions, module.WriteOptions):
        with pytest.raises(ValueError, match="Extra inputs"):
            model(no_such_option=1)
        for option, field in model.model_fields.items():
            assert field.description, f"{name}: option {option} has no description"
