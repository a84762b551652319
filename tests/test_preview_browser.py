"""The preview in a real browser: shapes are where they belong, controls work, hostile labels do nothing."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nucleus_convert.converters import ir, masks, opening, preview
from nucleus_convert.converters.labelset import LabelSet, from_records
from nucleus_convert.converters.model import (
    Annotation,
    Box,
    Caption,
    Header,
    Item,
    Keypoints,
    Label,
    Line,
    Mask,
    Polygon,
    Record,
    Scene,
    SceneRef,
    Tag,
)
from nucleus_convert.converters.opening import DataSet
from nucleus_convert.converters.report import Report

from .browser import opened

GREY = (120, 120, 120)
RED, GREEN, BLUE, YELLOW, CYAN, MAGENTA = "#ff0000", "#00ff00", "#0000ff", "#ffff00", "#00ffff", "#ff00ff"
WIDTH, HEIGHT = 200, 150  # the shape of a card's frame: no bars beside it
EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with opened() as driver:
        yield driver


def mask(x: int, y: int, width: int, height: int) -> Mask:
    import numpy as np

    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    pixels[y : y + height, x : x + width] = 1
    return Mask(masks.encode_counts(masks.from_array(pixels)), HEIGHT, WIDTH)


SHAPES = from_records(
    Header(
        labels=(
            Label(name="box", color=RED),
            Label(name="turned", color=GREEN),
            Label(name="holed", color=BLUE),
            Label(name="mask", color=YELLOW),
            Label(name="points", color=CYAN, keypoints=("a", "b", "c"), skeleton=((0, 1), (1, 2))),
            Label(name="line", color=MAGENTA),
        )
    ),
    [
        Record(
            Item(id="one", path="one.png", width=WIDTH, height=HEIGHT),
            (
                Annotation(label="box", shapes=(Box(10, 20, 40, 30),), confidence=0.25),
                Annotation(label="turned", shapes=(Box(70, 20, 40, 20, 90),), confidence=0.75),
                Annotation(
                    label="holed",
                    shapes=(Polygon((((120, 20, 180, 20, 180, 60, 120, 60), (140, 30, 160, 30, 160, 50, 140, 50)),)),),
                ),
                Annotation(label="mask", shapes=(mask(20, 90, 30, 20),)),
                Annotation(label="points", shapes=(Keypoints((80, 90, 2, 110, 90, 1, 110, 130, 0)),)),
                Annotation(label="line", shapes=(Line((140, 90, 180, 90, 180, 130)),)),
            ),
        ),
        Record(Item(id="two", width=WIDTH, height=HEIGHT), (Annotation(label="box", shapes=(Box(50, 50, 10, 10),)),)),
    ],
)


def looked(labels: LabelSet, folder: Path) -> DataSet:
    return DataSet("labels.ndjson", labels, ir.SPEC, folder, Report("skip"))


def page(folder: Path, first: LabelSet, other: LabelSet | None = None, **plan: Any) -> Path:
    Image.new("RGB", (WIDTH, HEIGHT), GREY).save(folder / "one.png")
    target = folder / "page.html"
    second = None if other is None else looked(other, folder)
    preview.make(looked(first, folder), second, preview.Plan(html=target, overwrite=True, **plan))
    return target


def show(browser: Any, path: Path) -> None:
    browser.get(path.as_uri())
    logs = [entry["message"] for entry in browser.get_log("browser")]
    assert logs == []  # nor anything that the page's own policy refused


class Shot:
    """A screenshot of the first card's frame, asked in pixels of the item's picture."""

    def __init__(self, browser: Any) -> None:
        browser.execute_script("document.body.classList.add('nameless')")  # names may stand on other shapes
        frame = browser.find_element("css selector", ".frame")
        self.image = Image.open(io.BytesIO(frame.screenshot_as_png)).convert("RGB")
        self.scale = self.image.width / WIDTH
        assert self.image.height / HEIGHT == pytest.approx(self.scale, rel=0.02)

    def at(self, x: float, y: float, dx: int = 0, dy: int = 0) -> tuple[int, int, int]:
        """The colour at a place of the picture, or so many pixels of the screen beside it."""
        column, row = int(x * self.scale) + dx, int(y * self.scale) + dy
        place = min(max(column, 0), self.image.width - 1), min(max(row, 0), self.image.height - 1)
        colour = self.image.getpixel(place)
        assert isinstance(colour, tuple)
        return colour[0], colour[1], colour[2]

    def is_colour(self, colour: str, x: float, y: float) -> bool:
        """Whether the colour is at that place, give or take a pixel of the screen."""
        wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        near = [self.at(x, y, dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)]
        return any(max(abs(a - b) for a, b in zip(one, wanted, strict=True)) < 60 for one in near)

    def is_picture(self, x: float, y: float) -> bool:
        return max(abs(a - b) for a, b in zip(self.at(x, y), GREY, strict=True)) < 6


def test_shapes_are_where_they_belong(browser: Any, tmp_path: Path) -> None:
    show(browser, page(tmp_path, SHAPES))
    shot = Shot(browser)
    for colour, places in {
        RED: [(10, 35), (50, 35), (30, 20), (30, 50)],
        # 40 x 20 about (90, 30), turned by 90 degrees: 20 x 40.
        GREEN: [(80, 30), (100, 30), (90, 10), (90, 50)],
        BLUE: [(120, 40), (180, 40), (140, 40), (160, 40), (150, 30), (150, 50)],
        YELLOW: [(20, 100), (50, 100), (35, 90), (35, 110)],
        CYAN: [(80, 90), (95, 90)],  # a point, and the edge to the next
        MAGENTA: [(160, 90), (180, 110)],
    }.items():
        for x, y in places:
            assert shot.is_colour(colour, x, y), (colour, x, y, shot.at(x, y))
    for x, y in [(60, 70), (5, 5), (150, 40), (70, 30), (110, 30), (110, 115), (60, 100), (195, 140)]:
        assert shot.is_picture(x, y), (x, y, shot.at(x, y))
    inside = {RED: (30, 35), GREEN: (90, 30), BLUE: (130, 40), YELLOW: (35, 100)}
    for colour, (x, y) in inside.items():  # a veil of the colour, not more
        assert not shot.is_picture(x, y), colour
        assert not shot.is_colour(colour, x, y), colour


def visible(browser: Any) -> list[str]:
    """The first line of what each visible object says of itself."""
    script = "return [...document.querySelectorAll('.o')].filter(o => getComputedStyle(o).display !== 'none')"
    script += ".map(o => o.querySelector('desc').textContent.split('\\n')[0])"
    return list(browser.execute_script(script))


def test_the_label_filter_hides_and_shows(browser: Any, tmp_path: Path) -> None:
    show(browser, page(tmp_path, SHAPES))
    assert len(visible(browser)) == 7
    label = browser.find_element("xpath", "//aside//label[span[text()='box']]")
    label.click()
    assert not any(name.startswith("box") for name in visible(browser))
    assert len(visible(browser)) == 5
    assert browser.find_element("id", "shown").text == "5 of 7 shown"
    shot = Shot(browser)
    assert shot.is_picture(10, 35)
    assert shot.is_colour(BLUE, 120, 40)
    browser.find_element("id", "filled").click()  # items of which nothing is left
    assert [card.is_displayed() for card in browser.find_elements("tag name", "figure")] == [True, False]
    browser.find_element("id", "none").click()
    assert visible(browser) == []
    browser.find_element("id", "every").click()
    assert len(visible(browser)) == 7


def test_the_slider_hides_what_is_less_sure(browser: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    show(browser, page(tmp_path, SHAPES))
    slider = browser.find_element("id", "confidence")
    slider.send_keys(*[Keys.ARROW_RIGHT] * 26)
    assert browser.find_element("id", "least").text == "from 0.26"
    names = visible(browser)
    assert "box 0.25" not in names
    assert "turned 0.75" in names
    assert "holed" in names  # says nothing of confidence
    shot = Shot(browser)
    assert shot.is_picture(10, 35)
    assert shot.is_colour(GREEN, 80, 30)
    slider.send_keys(Keys.ARROW_LEFT)
    assert "box 0.25" in visible(browser)


def test_names_and_fillings_can_be_switched_off(browser: Any, tmp_path: Path) -> None:
    show(browser, page(tmp_path, SHAPES))
    name = browser.find_element("css selector", "svg text")
    assert name.is_displayed()
    browser.find_element("id", "names").click()
    assert not name.is_displayed()
    browser.find_element("id", "fill").click()
    assert Shot(browser).is_picture(30, 35)


def test_details_are_shown_on_hover(browser: Any, tmp_path: Path) -> None:
    from selenium.webdriver import ActionChains

    show(browser, page(tmp_path, SHAPES))
    tip = browser.find_element("id", "tip")
    assert not tip.is_displayed()
    ActionChains(browser).move_to_element(browser.find_element("css selector", "g.o[data-c='0.25']")).perform()
    assert tip.is_displayed()
    assert tip.text.splitlines()[:3] == ["box 0.25", "box", "box: x 10, y 20, width 40, height 30, rotation 0"]


def test_a_card_grows_and_names_stay_legible(browser: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    show(browser, page(tmp_path, SHAPES))
    card = browser.find_element("tag name", "figure")
    height = "return document.querySelector('svg text').getBoundingClientRect().height"
    small, before = card.size["width"], browser.execute_script(height)
    card.click()
    assert card.size["width"] == 1400 > 2 * small
    assert browser.execute_script(height) == pytest.approx(before, rel=0.05)
    browser.find_element("tag name", "body").send_keys(Keys.ESCAPE)
    assert card.size["width"] == small
    assert browser.execute_script(height) == pytest.approx(before, rel=0.05)


def test_a_page_without_pictures_shows_outlines_on_grey(browser: Any, tmp_path: Path) -> None:
    records = [Record(Item(id=1, width=WIDTH, height=HEIGHT), record.annotations) for record in SHAPES]
    show(browser, page(tmp_path, from_records(SHAPES.header, records)))
    shot = Shot(browser)
    assert shot.is_colour(RED, 10, 35)
    assert shot.at(5, 5) == (0x5B, 0x62, 0x70)


def test_nothing_is_fetched(browser: Any, tmp_path: Path) -> None:
    show(browser, page(tmp_path, SHAPES))
    names = browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [name for name in names if not name.startswith("data:")] == []
    sources = browser.execute_script(
        "return [...document.querySelectorAll('[src], [href]')]"
        ".map(e => e.getAttribute('src') ?? e.getAttribute('href'))"
    )
    assert sources
    assert all(source.startswith("data:image/") for source in sources)


def hostile() -> LabelSet:
    nasty = [
        EVIL,
        '"><img src=x onerror="window.hacked=1">',
        "' onmouseover='window.hacked=1",
        "</desc></svg><iframe src='javascript:window.hacked=1'></iframe>",
        "]]><svg onload=window.hacked=1>",
        "{title}{script}",
        "javascript:window.hacked=1",
        "\u202egnp.exe\x00\x1b[31m",
    ]
    labels = tuple(Label(name=name, color='#ff0000" onload="window.hacked=1', parent=name) for name in nasty)
    annotations = [
        Annotation(
            label=name,
            id=name,
            track=name,
            shapes=(Box(10 + 20 * i, 20, 15, 30), Tag(name), Caption(name)),
            attributes={name: name},
            confidence=0.5,
        )
        for i, name in enumerate(nasty)
    ]
    item = Item(
        id=EVIL,
        path=f"{EVIL}.png",
        width=WIDTH,
        height=HEIGHT,
        subset=EVIL,
        scene=SceneRef(id=EVIL, frame=0),
        attributes={EVIL: EVIL},
    )
    return from_records(Header(labels=labels, scenes=(Scene(id=EVIL),)), [Record(item, tuple(annotations))])


def test_hostile_labels_do_nothing(browser: Any, tmp_path: Path) -> None:
    from selenium.common.exceptions import NoAlertPresentException
    from selenium.webdriver import ActionChains

    labels = hostile()
    show(browser, page(tmp_path, labels))
    for thing in browser.find_elements("css selector", "svg .o")[:8]:
        ActionChains(browser).move_to_element(thing).perform()
    browser.find_element("tag name", "figure").click()
    with pytest.raises(NoAlertPresentException):
        _ = browser.switch_to.alert
    assert browser.execute_script("return window.hacked") is None
    counts = "return ['script', 'iframe', 'img', 'object', 'embed', 'a', 'base', 'link', 'form', 'foreignObject']"
    found = browser.execute_script(f"{counts}.map(name => document.querySelectorAll(name).length)")
    assert found == [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    handlers = browser.execute_script(
        "return [...document.querySelectorAll('*')].flatMap(e => e.getAttributeNames()).filter(n => n.startsWith('on'))"
    )
    assert handlers == []
    # It is there, as the text that it is.
    names = [name.get_attribute("textContent") for name in browser.find_elements("css selector", "aside .name")]
    assert EVIL in names
    assert "{title}{script}" in names
    assert browser.get_log("browser") == []


def test_the_policy_would_stop_what_slipped_through(browser: Any, tmp_path: Path) -> None:
    show(browser, page(tmp_path, SHAPES))
    browser.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.hacked = 1'; document.body.append(s);"
        "document.body.insertAdjacentHTML('beforeend', '<p onclick=\"window.hacked=1\" id=trap>x</p>');"
        "document.getElementById('trap').click();"
    )
    assert browser.execute_script("return window.hacked") is None
    refused = [entry["message"] for entry in browser.get_log("browser")]
    assert len([text for text in refused if "Content Security Policy" in text]) >= 2


def test_two_data_sets_and_only_what_differs(browser: Any, tmp_path: Path) -> None:
    [record, other] = SHAPES
    moved = Annotation(label="box", shapes=(Box(13, 20, 40, 30),), confidence=0.25)
    after = from_records(SHAPES.header, [Record(record.item, (moved, *record.annotations[2:])), other])
    show(browser, page(tmp_path, SHAPES, after))
    assert len(browser.find_elements("tag name", "figure")) == 1  # the other item is the same
    assert len(visible(browser)) == 6 + 5
    listed = [line.text for line in browser.find_elements("css selector", ".notes li")]
    assert listed == ["1 object changed", "1 object removed"]
    browser.find_element("id", "different").click()
    assert sorted(visible(browser)) == ["box 0.25", "box 0.25", "turned 0.75"]
    browser.find_element("css selector", "input[name=side][value=b]").click()
    assert visible(browser) == ["box 0.25"]
    shot = Shot(browser)
    assert shot.is_picture(30, 60)
    # Dashed, so somewhere along the edge.
    assert any(shot.is_colour(RED, 53, 20 + k / 4) for k in range(120))
    assert not any(shot.is_colour(RED, 10, 20 + k / 4) for k in range(20, 100))


def test_predictions_of_the_example_against_its_labels(browser: Any, tmp_path: Path) -> None:
    park = Path(__file__).resolve().parents[1] / "examples/park/annotations"
    target = tmp_path / "page.html"
    given = [f"ground-truth={park / 'instances.json'}"]
    with opening.opened(park / "instances.json") as a, opening.opened(park / "results_bbox.json", given=given) as b:
        preview.make(a, b, preview.Plan(html=target))
    show(browser, target)
    sides = [label.text for label in browser.find_elements("xpath", "//fieldset[legend='Show']//label")]
    assert sides == ["both", "labels", "predictions (dashed)"]
    text = browser.find_element("tag name", "main").text
    assert "missed" in text
    assert "too many" in text
    assert "removed" not in text
    pictures = browser.find_elements("css selector", "svg image")
    assert len(pictures) == len(browser.find_elements("tag name", "figure")) > 3
