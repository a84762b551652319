"""What inspect counts, against numbers worked out by hand and by pycocotools; how it is shown."""

from __future__ import annotations

import contextlib
import html.parser
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pycocotools.coco import COCO

from nucleus_convert import (
    Annotation,
    Box,
    Header,
    Item,
    Keypoints,
    Label,
    LabelSet,
    Polygon,
    Record,
    SceneRef,
    from_records,
)
from nucleus_convert.converters import looks, pipeline, showing
from nucleus_convert.converters.inspecting import sheet, tables
from nucleus_convert.converters.inspecting.statistics import (
    LABELS,
    NAMES,
    SUBSETS,
    VALUES,
    Scores,
    Statistics,
    quantile,
)

ROOT = Path(__file__).resolve().parent.parent.parent
PARK = ROOT / "examples/park/annotations/instances.json"
EVIL = "<script>alert(1)</script>[bold]\x1b[31m\"'&\n"


def saved(folder: Path, labels: LabelSet) -> Path:
    path = folder / "set.ndjson"
    pipeline.write(labels, path, "ir", overwrite=True)
    return path


def by_hand() -> LabelSet:
    """Three items: two with objects, one in a subset of its own; every number below is counted from here."""
    header = Header(labels=(Label(name="cat", id=1, parent="pet"), Label(name="dog", id=2), Label(name="eel", id=3)))
    small, medium, large = Box(0, 0, 10, 10), Box(0, 0, 50, 50), Box(20, 20, 100, 100)
    ring = (20, 20, 40, 20, 40, 40)
    first = (
        Annotation(label="cat", id=1, shapes=(small,), crowd=True, track=5, attributes={"age": 3, "fur": "soft"}),
        Annotation(label="cat", id=2, shapes=(medium, Polygon(((ring,), (ring,)))), track=5, attributes={"age": 7.5}),
        Annotation(label="dog", id=3, shapes=(Keypoints((1, 2, 2)),), occluded=0.5, attributes={"age": None}),
    )
    second = (
        Annotation(label="dog", id=4, shapes=(large,), confidence=0.04, track="t"),
        Annotation(label="dog", id=5, shapes=(Box(1, 1, 5, 9),), confidence=1.0),
        Annotation(id=6, confidence=1.5),
    )
    records = [
        Record(
            Item(id="a", path="a.jpg", width=200, height=200, subset="train", scene=SceneRef(id="s", frame=0)), first
        ),
        Record(Item(id="b", path="b.jpg", width=200, height=200, subset="train", attributes={"rain": True}), second),
        Record(Item(id="c", path="c.jpg", subset="val")),
    ]
    return from_records(header, records)


def test_the_numbers_by_hand(tmp_path: Path) -> None:
    found = json.loads(showing.inspected_json(looks.inspect(saved(tmp_path, by_hand()))))
    assert found["format"] == "ir"
    assert found["items"] == {
        "count": 3,
        "kinds": {"image": 3},
        "empty": 1,
        "objects": {"0": 1, "3": 2},
        "subsets": {"train": {"items": 2, "objects": 6}, "val": {"items": 1, "objects": 0}},
        "sizes": [[200, 200, 2]],
        "without size": 1,
    }
    assert found["objects"] == {
        "count": 6,
        "predictions": 3,
        "without label": 1,
        "without shape": 1,
        "shapes": {"box": 4, "keypoints": 1, "polygon": 1},
        "flags": {"crowd": 1, "occluded": 1},
        "outlines": {"rings": 2, "points": 6, "in parts": 1, "with holes": 0},
    }
    cat, dog, eel = found["labels"]
    assert cat == {
        **{"label": "cat", "declared": True, "id": 1, "parent": "pet", "objects": 2, "items": 1, "predictions": 0},
        **{"kinds": {"box": 2, "polygon": 1}, "small": 1, "medium": 1, "large": 0},
    }
    assert (dog["objects"], dog["items"], dog["predictions"], dog["small"], dog["large"]) == (3, 2, 2, 1, 1)
    assert eel == {
        **{"label": "eel", "declared": True, "id": 3, "parent": None, "objects": 0, "items": 0, "predictions": 0},
        **{"kinds": {}, "small": 0, "medium": 0, "large": 0},
    }
    age, fur = found["attributes"]
    assert (age["name"], age["count"], age["types"], age["min"], age["max"]) == (
        "age",
        3,
        {"null": 1, "number": 2},
        3,
        7.5,
    )
    assert (fur["name"], fur["values"]) == ("fur", {"soft": 1})
    assert found["item attributes"][0]["values"] == {"true": 1}
    assert found["tracks"] == {"count": 2, "shortest": 1, "median": 1, "longest": 2}
    assert found["scenes"] == {"declared": 0, "count": 1, "shortest": 1, "median": 1, "longest": 1}
    scores = found["confidence"]
    assert (scores["count"], scores["not within 0 to 1"], scores["min"], scores["max"]) == (2, 1, 0.04, 1.0)
    assert [n for n, count in enumerate(scores["bins"]) if count] == [0, 19]
    assert {problem["code"] for problem in found["problems"]} == {"confidence-range", "no-label", "label-unused"}


def test_the_example_as_pycocotools_has_it() -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        park = COCO(str(PARK))
    counted = looks.inspect(PARK).statistics
    rows = park.dataset["annotations"]
    names = {category["id"]: category["name"] for category in park.dataset["categories"]}
    objects = Counter(names[row["category_id"]] for row in rows)
    assert {name: label.objects for name, label in counted.labels.items()} == objects
    assert {name: label.items for name, label in counted.labels.items()} == {
        name: len({row["image_id"] for row in rows if names[row["category_id"]] == name}) for name in objects
    }
    assert counted.sizes == Counter((image["width"], image["height"]) for image in park.dataset["images"])
    polygons = [row["segmentation"] for row in rows if isinstance(row.get("segmentation"), list)]
    assert counted.rings == sum(map(len, polygons))
    closed = sum(ring[:2] == ring[-2:] for rings in polygons for ring in rings)  # the first point again
    assert counted.vertices == sum(len(ring) // 2 for rings in polygons for ring in rings) - closed
    assert counted.flags["crowd"] == sum(row["iscrowd"] for row in rows)
    small = sum(row["bbox"][2] * row["bbox"][3] < 32**2 for row in rows)
    assert sum(label.small for label in counted.labels.values()) == small


def test_any_number_of_parts_is_the_same(tmp_path: Path) -> None:
    records = [
        Record(
            Item(id=n, path=f"{n}.jpg", width=n % 7 + 1, height=5, subset="a" if n % 3 else None),
            tuple(
                Annotation(label=f"l{k}", id=k, shapes=(Box(0, 0, n + 1, k + 1),), confidence=k / 5, track=n % 4)
                for k in range(n % 5)
            ),
        )
        for n in range(600)
    ]
    path = saved(tmp_path, from_records(Header(), records))
    one, two = looks.inspect(path), looks.inspect(path, workers=2)
    assert showing.inspected_json(one) == showing.inspected_json(two)
    parts = Statistics()
    for record in records:
        part = Statistics()
        part.add(record, [(k, (0, 0, record.item.id + 1, k + 1)) for k in range(len(record.annotations))])  # type: ignore[operator]
        parts.merge(part)
    assert parts.labels == one.statistics.labels
    assert parts.sizes == one.statistics.sizes
    assert parts.tracks == one.statistics.tracks
    assert (parts.scores.bins, parts.per_item) == (one.statistics.scores.bins, one.statistics.per_item)


def test_what_could_grow_is_bounded() -> None:
    counted = Statistics()
    for n in range(NAMES + 10):
        annotation = Annotation(label="x", attributes={f"a{n}": 1, "text": str(n)})
        counted.add(Record(Item(id=n), (annotation,)), [])
    assert len(counted.attributes) == NAMES
    for n in range(LABELS + 5):
        counted.add(Record(Item(id=n, subset=f"s{n}"), (Annotation(label=f"l{n}"),)), [(0, (0, 0, 1, 1))])
    assert (len(counted.labels), len(counted.subsets)) == (LABELS, SUBSETS + 1)
    assert sum(subset.items for subset in counted.subsets.values()) == counted.items
    assert counted.more == {"attributes", "labels", "subsets"}
    again = Statistics()
    again.merge(counted)
    again.merge(counted)
    assert (len(again.labels), again.more, again.objects) == (LABELS, counted.more, 2 * counted.objects)
    text = counted.attributes["text"]
    assert (text.count, len(text.values), text.more) == (NAMES + 10, VALUES, True)


def test_scores_at_the_edges() -> None:
    scores = Scores()
    for value in (0, 0.05, 0.999, 1, float("nan"), -0.1):
        scores.add(value)
    assert (scores.bins[0], scores.bins[1], scores.bins[19], scores.outside) == (1, 1, 2, 2)


@pytest.mark.parametrize(("share", "value"), [(0, 1), (0.5, 2), (0.75, 2), (1, 9)])
def test_quantiles(share: float, value: int) -> None:
    assert quantile({1: 1, 2: 2, 9: 1}, share) == value


# --- shown ---------------------------------------------------------------------------------------------


class Page(html.parser.HTMLParser):
    """Elements, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def evil() -> LabelSet:
    annotation = Annotation(label=EVIL, shapes=(Box(1, 1, 900, 3),), id=EVIL, attributes={EVIL: EVIL})
    item = Item(id=EVIL, path=EVIL, width=20, height=10, subset=EVIL, attributes={EVIL: EVIL})
    return from_records(Header(labels=(Label(name=EVIL, id=EVIL), Label(name="x"))), [Record(item, (annotation,))])


def test_a_page_needs_nothing_and_runs_nothing(tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    showing.save_page(looks.inspect(saved(tmp_path, evil())), target, limit=0, overwrite=False)
    page = Page(target.read_text(encoding="utf-8"))
    assert {tag for tag, _ in page.tags} <= {
        *("html", "head", "meta", "title", "style", "body", "h1", "h2", "small", "div", "details", "summary"),
        *("ul", "li", "dl", "dt", "dd", "table", "tr", "th", "td", "p"),
    }
    assert not {name for _, attrs in page.tags for name in attrs} & {"src", "href", "onload", "onclick", "srcset"}
    assert "url(" not in target.read_text()
    assert "@import" not in target.read_text()
    assert "<script>alert(1)</script>[bold]\\x1b[31m" in page.text
    assert "\x1b" not in page.text


def test_a_page_is_not_replaced_unless_asked(tmp_path: Path) -> None:
    looked, target = looks.inspect(PARK), tmp_path / "page.html"
    target.write_text("mine")
    with pytest.raises(Exception, match="exists"):
        showing.save_page(looked, target, limit=0, overwrite=False)
    assert target.read_text() == "mine"
    showing.save_page(looked, target, limit=0, overwrite=True)
    assert Page(target.read_text()).tags


def test_a_terminal_gets_no_control_characters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    looked = looks.inspect(saved(tmp_path, evil()))
    showing.show(looked, limit=0)
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "[bold]" in shown.replace("\n", "").replace(" ", "")
    checked = [line for line, _ in showing.checked_lines(looked, verbose=True, limit=0)]
    assert all("\x1b" not in line and "\n" not in line for line in checked)


def test_long_tables_are_cut_and_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    annotations = tuple(Annotation(label=f"label-{n}", shapes=(Box(1, 1, 2, 2),)) for n in range(40))
    path = saved(tmp_path, from_records(Header(), [Record(Item(id=1, width=9, height=9), annotations)]))
    looked = looks.inspect(path)
    showing.show(looked, limit=10)
    shown = capsys.readouterr().out
    assert "... and 30 more" in shown
    assert "label-9 " in shown
    assert "label-10" not in shown
    showing.show(looked, limit=0)
    assert "label-39" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("share", "blocks", "bar"),
    [
        (0, True, ""),
        (1, True, "█" * 14),
        (0.5, True, "█" * 7),
        (0.001, True, "▏"),
        (0.5, False, "#######"),
        (0.001, False, "#"),
    ],
)
def test_bars(share: float, blocks: bool, bar: str) -> None:
    assert tables.bar(share, blocks=blocks) == bar


def test_an_empty_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "e.json"
    path.write_text('{"images": [], "annotations": [], "categories": []}')
    looked = looks.inspect(path, source="coco")
    showing.show(looked, limit=30)
    assert "Items   none" in capsys.readouterr().out
    assert json.loads(showing.inspected_json(looked))["items"]["count"] == 0


def test_a_broken_row_hides_nothing(tmp_path: Path) -> None:
    data: dict[str, Any] = json.loads(PARK.read_text())
    data["annotations"][3]["bbox"] = [1, 2, "x", 4]
    data["annotations"][7]["image_id"] = 10**9
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(data))
    looked = looks.inspect(path)
    assert looked.error is None
    assert looked.statistics.objects == 32
    assert looked.problems.count("unreadable") == 2


def test_a_range_of_one_number_is_that_number() -> None:
    records = [
        Record(Item(id=n, scene=SceneRef(id="s", frame=n)), (Annotation(track=n % 2, label="a"),) if n < 4 else ())
        for n in range(100)
    ]
    counted = Statistics()
    for record in records:
        counted.add(record, [])
    facts = dict(sheet.facts(Header(), counted))
    assert facts["Tracks"] == "2 of 2 objects, median 2"
    assert facts["Scenes"] == "1 scene of 100 items"
    assert facts["Objects"] == "4; 0.04 an item (0 to 1, median 0)"
