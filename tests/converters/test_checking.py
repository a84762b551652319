"""Rules over the model: geometry, values, duplicates, consistency; each with what breaks it and what does not."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nucleus_convert import (
    Annotation,
    Box,
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
    Scene,
    SceneRef,
    Tag,
    Taxonomy,
    from_records,
)
from nucleus_convert.cli import run
from nucleus_convert.converters import geometry, looks, masks, pipeline
from nucleus_convert.converters.checking import crossing as crossings
from nucleus_convert.converters.checking.catalogue import RULES, Code, Level
from nucleus_convert.converters.checking.duplicates import duplicates
from nucleus_convert.converters.checking.problems import KINDS, OTHERS, Problems
from nucleus_convert.converters.checking.records import check_record
from nucleus_convert.converters.errors import Where

ITEM = Item(id="i", path="i.jpg", width=20, height=10)
HEADER = Header(labels=(Label(name="cat", id=1), Label(name="dog", id=2)))
BOWTIE = (1, 1, 5, 5, 5, 1, 1, 5)
SQUARE = (1, 1, 5, 1, 5, 5, 1, 5)


def codes(*shapes: Any, item: Item = ITEM, **fields: Any) -> dict[str, int]:
    annotation = Annotation(**{"label": "cat", "shapes": shapes, **fields})
    found = check_record(Record(item, (annotation,)), HEADER)
    return {problem.code: problem.count for problem in found.sorted()}


def mask(*rows: str) -> Mask:
    picture = np.array([[pixel == "#" for pixel in row] for row in rows])
    return Mask(masks.encode_counts(masks.from_array(picture)), *picture.shape)


EMPTY, FULL = mask(*["." * 20] * 10), mask(*["#" * 20] * 10)
GOOD = [
    Box(0, 0, 20, 10),
    Box(1.5, 2, 3, 4, 30),
    Box(-0.4, 0, 20.8, 10),  # half a pixel is rounding
    Polygon(((SQUARE,),)),
    Polygon(((SQUARE, (2, 2, 4, 2, 4, 4, 2, 4)), ((6, 1, 9, 1, 9, 4),))),
    Polygon((((1, 1, 5, 1, 5, 5, 3, 5, 3, 3, 3, 5, 1, 5),),)),  # there and back the same way is no crossing
    Line((1, 1, 5, 5)),
    Points((1, 1)),
    Keypoints((1, 1, 2, 0, 0, 0), ("a", "b"), ((0, 1),)),
    Keypoints((1, 1, 2, 500, 500, 0), ("a", "b")),  # not labelled, so nowhere
    Ellipse(10, 5, 4, 2, 30),
    Cuboid(1, 2, 3, 4, 5, 6, 0),
    Cuboid2D((-5, 1, 5, 1, 5, 5, -5, 5, -4, 2, 6, 2, 6, 6, -4, 6)),
    FULL,
]
BAD: dict[str, tuple[Any, Code]] = {
    "box beyond": (Box(15, 2, 8, 3), Code.OUTSIDE_IMAGE),
    "box before": (Box(-2, 2, 8, 3), Code.OUTSIDE_IMAGE),
    "turned box": (Box(0, 4, 14, 2, 90), Code.OUTSIDE_IMAGE),
    "box elsewhere": (Box(25, 2, 3, 3), Code.OFF_IMAGE),
    "2-D cuboid elsewhere": (Cuboid2D(tuple(range(30, 46))), Code.OFF_IMAGE),
    "box above": (Box(2, -9, 3, 3), Code.OFF_IMAGE),
    "polygon beyond": (Polygon((((1, 1, 25, 1, 5, 5),),)), Code.OUTSIDE_IMAGE),
    "part elsewhere": (Polygon(((SQUARE,), ((30, 1, 35, 1, 30, 5),))), Code.OUTSIDE_IMAGE),
    "line beyond": (Line((1, 1, 25, 1)), Code.OUTSIDE_IMAGE),
    "points beyond": (Points((1, 1, 25, 1)), Code.OUTSIDE_IMAGE),
    "keypoint beyond": (Keypoints((1, 1, 2, 25, 1, 1)), Code.OUTSIDE_IMAGE),
    "ellipse beyond": (Ellipse(10, 5, 4, 9), Code.OUTSIDE_IMAGE),
    "negative box": (Box(5, 5, -3, 2), Code.NEGATIVE_SIZE),
    "negative ellipse": (Ellipse(5, 5, -3, 2), Code.NEGATIVE_SIZE),
    "negative cuboid": (Cuboid(1, 2, 3, 4, -5, 6, 0), Code.NEGATIVE_SIZE),
    "flat box": (Box(5, 5, 3, 0), Code.ZERO_AREA),
    "flat turned box": (Box(5, 5, 3, 0, 45), Code.ZERO_AREA),
    "flat ring": (Polygon((((1, 1, 5, 5, 3, 3),),)), Code.ZERO_AREA),
    "flat ellipse": (Ellipse(5, 5, 3, 0), Code.ZERO_AREA),
    "flat cuboid": (Cuboid(1, 2, 3, 4, 0, 6, 0), Code.ZERO_AREA),
    "empty mask": (EMPTY, Code.ZERO_AREA),
    "two corners": (Polygon((((1, 1, 5, 5),),)), Code.FEW_POINTS),
    "a line of a point": (Line((1, 1)), Code.FEW_POINTS),
    "crossing": (Polygon((((1, 1, 9, 4, 6, 1, 2, 6),),)), Code.SELF_CROSSING),
    "crossing hole": (Polygon(((SQUARE, (2, 2, 4, 4, 4.5, 2, 2, 4.5)),)), Code.SELF_CROSSING),
    "nan box": (Box(math.nan, 1, 2, 3), Code.NOT_FINITE),
    "nan turned box": (Box(math.nan, 1, 2, 3, 10), Code.NOT_FINITE),
    "infinite ring": (Polygon((((1, 1, math.inf, 1, 5, 5),),)), Code.NOT_FINITE),
    "too large a number": (Box(10**400, 1, 2, 3), Code.NOT_FINITE),
    "nan cuboid": (Cuboid(1, 2, math.nan, 4, 5, 6, 0), Code.NOT_FINITE),
    "another size": (mask("##", ".."), Code.MASK_SIZE),
    "names of keypoints": (Keypoints((1, 1, 2, 3, 3, 2), ("a",)), Code.KEYPOINT_NAMES),
    "names twice": (Keypoints((1, 1, 2, 3, 3, 2), ("a", "a")), Code.KEYPOINT_NAMES),
    "an edge to nowhere": (Keypoints((1, 1, 2, 3, 3, 2), ("a", "b"), ((0, 2),)), Code.KEYPOINT_SKELETON),
}


@pytest.mark.parametrize("shape", GOOD, ids=str)
def test_nothing_is_wrong_with(shape: Any) -> None:
    assert codes(shape) == {}


@pytest.mark.parametrize(("shape", "code"), BAD.values(), ids=BAD)
def test_shapes_that_break_one_rule(shape: Any, code: Code) -> None:
    assert codes(shape) == {str(code): 1}


def test_a_bowtie_has_no_area_and_crosses() -> None:
    assert codes(Polygon(((BOWTIE,),))) == {"zero-area": 1, "self-crossing": 1}


def test_the_measure_is_how_far_out() -> None:
    record = Record(ITEM, (Annotation(label="cat", id=7, shapes=(Box(15, 2, 8, 3),)),))
    (problem,) = check_record(record, HEADER).sorted()
    assert problem.line == "box reaches out of the image (worst pixels: 3)"
    assert problem.examples == [Where(item="i.jpg", annotation="7")]


def test_without_a_size_nothing_is_outside() -> None:
    assert codes(Box(500, 2, 8, 3), item=Item(id="i")) == {}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"confidence": 1.5}, Code.CONFIDENCE_RANGE),
        ({"confidence": math.nan}, Code.CONFIDENCE_RANGE),
        ({"class_pdf": {"cat": 0.5, "dog": 0.4}}, Code.CLASS_PDF_SUM),
        ({"class_pdf": {"cat": 1.5, "dog": -0.5}}, Code.CLASS_PDF_RANGE),
        ({"label": None}, Code.NO_LABEL),
    ],
)
def test_values(fields: dict[str, Any], code: Code) -> None:
    assert codes(Box(1, 1, 2, 2), **fields) == {str(code): 1}


@pytest.mark.parametrize("fields", [{"confidence": 0}, {"confidence": 1}, {"class_pdf": {"cat": 1 / 3, "dog": 0.667}}])
def test_values_at_the_edge(fields: dict[str, Any]) -> None:
    assert codes(Box(1, 1, 2, 2), **fields) == {}


# --- crossing ------------------------------------------------------------------------------------------

GRID = st.integers(0, 6)
RING = st.lists(st.tuples(GRID, GRID), min_size=3, max_size=12).map(lambda points: [v for p in points for v in p])


def crossed(rings: list[list[float]], **budget: int) -> tuple[list[bool], list[bool]]:
    sizes = np.array([len(ring) // 2 for ring in rings])
    points = np.array([value for ring in rings for value in ring], float).reshape(-1, 2)
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    found, left_open = crossings.crossing(points, starts, sizes, **budget)
    return found.tolist(), left_open.tolist()


@given(st.lists(RING, min_size=1, max_size=8))
@settings(max_examples=300, deadline=None)
def test_many_rings_are_as_one_by_one(rings: list[list[float]]) -> None:
    """On a grid points meet, edges overlap and rings touch: all that a crossing is not."""
    assert crossed(rings) == ([geometry.crosses_itself(ring) for ring in rings], [False] * len(rings))


def test_a_hostile_ring_is_left_open() -> None:
    comb = [value for n in range(400) for value in (1000 if n % 2 else 0, n)] + [1500, 399, 1500, -1]
    found, left_open = crossed([comb, list(BOWTIE)], budget=2_000)
    assert left_open == [True, False]
    assert found == [False, True]


def test_many_more_rings_than_sixteen_bits_count() -> None:
    rings: list[list[float]] = [[0, 0, 4, 0, 0, 3]] * 70_000
    rings[0] = rings[1 << 16] = rings[-1] = list(BOWTIE)
    found, _ = crossed(rings)
    assert [number for number, one in enumerate(found) if one] == [0, 1 << 16, 69_999]


# --- duplicates ----------------------------------------------------------------------------------------


def pairwise(extents: list[tuple[float, float, float, float]], threshold: float) -> set[int]:
    pairs = itertools.combinations(range(len(extents)), 2)
    return {later for earlier, later in pairs if geometry.box_iou(extents[earlier], extents[later]) >= threshold}


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.95, 1.0])
@pytest.mark.parametrize("count", [5, 24, 25, 600])
def test_duplicates_are_those_that_comparing_all_finds(count: int, threshold: float) -> None:
    rng = np.random.default_rng(count)
    extents = [tuple(row) for row in rng.uniform([-50, -50, 1, 1], [50, 50, 40, 40], (count, 4)).tolist()]
    near = [tuple((np.array(extents[n % count]) * rng.uniform(0.98, 1.02, 4)).tolist()) for n in range(count // 3)]
    extents += [*near, *extents[:3]]
    assert {later for _, later, _ in duplicates(extents, threshold)} == pairwise(extents, threshold)


def test_a_crowd_takes_no_quadratic_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not timed: lines of a text all begin at one edge, and copies all lie at one place."""
    calls = 0

    def counted(first: Any, second: Any) -> float:
        nonlocal calls
        calls += 1
        return geometry.box_iou(first, second)

    monkeypatch.setattr("nucleus_convert.converters.checking.duplicates.box_iou", counted)
    lines = [(10.0, 12.0 * n, 500.0, 10.0) for n in range(4000)]
    assert list(duplicates(lines, 0.95)) == []
    assert len(list(duplicates([(1.0, 1.0, 5.0, 5.0)] * 4000, 0.95))) == 3999
    crowd = np.random.default_rng(1).uniform([0, 0, 20, 20], [60, 60, 30, 30], (4000, 4)).tolist()
    list(duplicates([tuple(row) for row in crowd], 0.95))
    assert calls < 40 * 4000


def test_duplicates_are_of_one_label_and_of_one_side() -> None:
    box, close = Box(1, 1, 8, 8), Box(1, 1, 8, 8.1)

    def found(*annotations: Annotation) -> int:
        return check_record(Record(ITEM, annotations), HEADER).count(Code.DUPLICATE_OBJECT)

    cat = Annotation(label="cat", shapes=(box,))
    assert found(cat, Annotation(label="cat", shapes=(close,))) == 1
    assert found(cat, Annotation(label="dog", shapes=(close,))) == 0
    assert found(cat, Annotation(label="cat", shapes=(close,), confidence=0.5)) == 0
    assert found(cat, Annotation(label="cat", shapes=(Box(3, 1, 8, 8),))) == 0
    assert found(cat, cat) == 1
    drawn = Annotation(label="cat", shapes=(FULL,))
    assert found(drawn, Annotation(label="cat", shapes=(Polygon((((0, 0, 20, 0, 20, 10, 0, 10),),)),))) == 1


# --- the data set as a whole ---------------------------------------------------------------------------


def whole(tmp_path: Path, header: Header, *records: Record, **options: Any) -> Problems:
    path = tmp_path / "set.ndjson"
    pipeline.write(from_records(header, records), path, "ir", overwrite=True)
    return looks.check(path, **options).problems


def placed(name: str, *annotations: Annotation, **fields: Any) -> Record:
    return Record(Item(id=name, path=f"{name}.jpg", width=20, height=10, **fields), annotations)


CAT = Annotation(label="cat", id=1, shapes=(Box(1, 1, 3, 3),))
DOG = Annotation(label="dog", id=2, shapes=(Box(6, 1, 3, 3),))
SCENE = Header(labels=HEADER.labels, scenes=(Scene(id="s"),))


def at(number: int, sensor: str | None = None) -> SceneRef:
    return SceneRef(id="s", frame=number, sensor=sensor)


def tagged(*labels: str, taxonomy: str | None = "weather") -> list[Annotation]:
    return [Annotation(label=label, shapes=(Tag(taxonomy),)) for label in labels]


WEATHER = Header(labels=HEADER.labels, taxonomies=(Taxonomy("weather", ("sunny", "rainy")),))
WHOLE: dict[str, tuple[Header, list[Record], dict[Code, int]]] = {
    "nothing": (HEADER, [placed("a", CAT, DOG), placed("b", CAT)], {}),
    "labels by case": (
        Header(labels=(*HEADER.labels, Label(name="Cat", id=3))),
        [placed("a", CAT, DOG, msgspec.structs.replace(DOG, id=3, label="Cat"))],
        {Code.LABEL_CASE: 1},
    ),
    "labels by spaces": (
        HEADER,
        [placed("a", CAT, DOG, msgspec.structs.replace(DOG, id=3, label=" cat"))],
        {Code.LABEL_CASE: 1},
    ),
    "one id over two labels": (
        Header(labels=(Label(name="cat", id=1), Label(name="dog", id=1))),
        [placed("a", CAT, DOG)],
        {Code.ID_TWO_LABELS: 1},
    ),
    "a label unused": (HEADER, [placed("a", CAT)], {Code.LABEL_UNUSED: 1}),
    "an id twice in an item": (
        HEADER,
        [placed("a", CAT, msgspec.structs.replace(DOG, id=1))],
        {Code.DUPLICATE_ANNOTATION_ID: 1},
    ),
    "an item twice": (
        HEADER,
        [placed("a", CAT, DOG), Record(Item(id="a", path="other.jpg", width=20, height=10))],
        {Code.DUPLICATE_ITEM: 1},
    ),
    "an item of two subsets": (
        HEADER,
        [placed("a", CAT, DOG, subset="train"), placed("a", subset="val")],
        {},
    ),
    "a picture twice": (
        HEADER,
        [placed("a", CAT, DOG), Record(Item(id="b", path="a.jpg", width=20, height=10))],
        {Code.DUPLICATE_PICTURE: 1},
    ),
    "frames in a row": (SCENE, [placed("a", CAT, DOG, scene=at(0)), placed("b", scene=at(1))], {}),
    "a frame of two sensors": (SCENE, [placed("a", CAT, DOG, scene=at(0, "l")), placed("b", scene=at(0, "r"))], {}),
    "a still video": (
        SCENE,
        [placed("a", CAT, DOG, scene=at(0)), Record(Item(id="b", path="a.jpg", width=9, height=9, scene=at(1)))],
        {},
    ),
    "a gap": (SCENE, [placed("a", CAT, DOG, scene=at(0)), placed("b", scene=at(2))], {Code.FRAME_GAP: 1}),
    "frames from 1": (SCENE, [placed("a", CAT, DOG, scene=at(1)), placed("b", scene=at(2))], {Code.FRAME_GAP: 1}),
    "a frame twice": (SCENE, [placed("a", CAT, DOG, scene=at(0)), placed("b", scene=at(0))], {Code.FRAME_TWICE: 1}),
    "tags": (WEATHER, [placed("a", CAT, DOG, *tagged("sunny"))], {}),
    "two tags": (WEATHER, [placed("a", CAT, DOG, *tagged("sunny", "rainy"))], {Code.SEVERAL_CATEGORIES: 1}),
    "a tag unlisted": (WEATHER, [placed("a", CAT, DOG, *tagged("snowy"))], {Code.TAXONOMY_LABEL: 1}),
    "a taxonomy unlisted": (
        WEATHER,
        [placed("a", CAT, DOG, *tagged("x", taxonomy="sky"))],
        {Code.TAXONOMY_UNLISTED: 1},
    ),
}


@pytest.mark.parametrize(("header", "records", "expected"), WHOLE.values(), ids=WHOLE)
def test_the_whole(tmp_path: Path, header: Header, records: list[Record], expected: dict[Code, int]) -> None:
    found = whole(tmp_path, header, *records).found.values()
    assert {problem.code: problem.count for problem in found} == {str(code): n for code, n in expected.items()}


def test_all_of_it_at_once(tmp_path: Path) -> None:
    """No problem hides another: a set of all that is wrong gives the sum of what each gives."""
    shapes = [shape for shape, _ in BAD.values() if "nan" not in str(shape) and "inf" not in str(shape)]
    shapes = [shape for shape in shapes if not (type(shape) is Box and shape.x == 10**400)]
    annotations = [Annotation(label=f"l{n}", shapes=(shape,)) for n, shape in enumerate(shapes)]
    header = Header(labels=tuple(Label(name=f"l{n}") for n in range(len(shapes))))
    expected: dict[str, int] = {}
    for shape, code in BAD.values():
        if shape in shapes:
            expected[str(code)] = expected.get(str(code), 0) + 1
    found = whole(tmp_path, header, Record(ITEM, tuple(annotations)))
    assert {p.code: found.count(p.code) for p in found.sorted()} == expected


def test_two_workers_find_the_same(tmp_path: Path) -> None:
    records = [
        placed(f"{n}", CAT, msgspec.structs.replace(DOG, id=n % 3, shapes=(Box(n % 30, 1, 3, 3),))) for n in range(700)
    ]
    one = whole(tmp_path, HEADER, *records, log=tmp_path / "1.jsonl")
    two = whole(tmp_path, HEADER, *records, log=tmp_path / "2.jsonl", workers=2)
    assert one.to_list() == two.to_list()
    assert one.total(Level.ERROR) > 100
    log = (tmp_path / "1.jsonl").read_text()
    assert sorted(log.splitlines()) == sorted((tmp_path / "2.jsonl").read_text().splitlines())
    assert sum(json.loads(line).get("count", 1) for line in log.splitlines()) == sum(p.count for p in one.sorted())


# --- collecting ----------------------------------------------------------------------------------------


def test_different_texts_are_bounded() -> None:
    problems, other = Problems(), Problems()
    for n in range(KINDS + 50):
        problems.add(Code.UNKNOWN_KEY, str(n))
        other.add(Code.UNKNOWN_KEY, f"x{n}")
    problems.merge(other)
    assert problems.count(Code.UNKNOWN_KEY) == 2 * (KINDS + 50)
    assert len(problems.found) == KINDS + 1
    assert problems.count(Code.UNKNOWN_KEY, OTHERS) == KINDS + 100


def test_every_code_has_a_rule() -> None:
    assert set(RULES) == set(Code)
    assert all(rule.text and rule.advice.endswith(".") for rule in RULES.values())


# --- any numbers at all --------------------------------------------------------------------------------

NUMBERS = ("shapes", "attributes", "confidence", "class_pdf")
ODD = {"10^400": 10**400, "2^63": 2**63, "10^30": 10**30, "1e308": 1e308, "-1e308": -1e308, "0": 0, "-1": -1}


@pytest.mark.parametrize("number", ODD.values(), ids=ODD)
def test_no_number_stops_a_look(number: float, tmp_path: Path, fixtures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each shape of the model with one number in all places, through every command that looks."""

    def changed(value: Any, *, inside: bool = False) -> Any:
        if isinstance(value, dict):
            return {key: changed(inner, inside=inside or key in NUMBERS) for key, inner in value.items()}
        if isinstance(value, list):
            return [changed(inner, inside=inside) for inner in value]
        return number if inside and type(value) in (int, float) else value

    source = fixtures / "ir/everything/labels.ndjson"
    header, *rows = [json.loads(line) for line in source.read_text().splitlines()]
    path = tmp_path / "odd.ndjson"
    path.write_text("".join(json.dumps(row) + "\n" for row in [header, *map(changed, rows)]))
    monkeypatch.chdir(tmp_path)
    both = (str(source), str(path))
    for command in (
        ["inspect", str(path)],
        ["check", str(path), "--as", "nucleus"],
        ["diff", *both, "--on-error", "skip", "--overlap", "0"],
        ["preview", str(path), "--pick", "problems", "-o", "problems.html", "--png", "problems.png"],
        ["preview", str(path), "-o", "page.html", "--png", "page.png"],
        ["preview", *both, "-o", "both.html", "--png", "both.png"],
    ):
        assert run(command) in (0, 1, 3)
