"""The preview without a browser: which items, which pictures, which marks, and what is written."""

from __future__ import annotations

import base64
import io
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nucleus_convert.converters import ir, masks, preview
from nucleus_convert.converters.errors import OptionError, OutputExistsError
from nucleus_convert.converters.labelset import LabelSet, from_records
from nucleus_convert.converters.model import (
    Annotation,
    Box,
    Camera,
    Cuboid,
    Cuboid2D,
    Header,
    Item,
    Keypoints,
    Label,
    Line,
    Mask,
    Polygon,
    Record,
    SceneRef,
)
from nucleus_convert.converters.opening import DataSet
from nucleus_convert.converters.previewing import draw, page, pictures, sample, views
from nucleus_convert.converters.previewing.draw import Area, Dot, Labels, Stroke
from nucleus_convert.converters.report import Report

VIEW = views.Picture(100, 80)
NONE = Labels(())


def looked(labels: LabelSet, path: Path) -> DataSet:
    return DataSet("labels.ndjson", labels, ir.SPEC, path, Report("skip"))


def many(count: int, **fields: Any) -> LabelSet:
    header = Header(labels=(Label(name="even"), Label(name="odd")))
    records = [
        Record(
            Item(id=i, path=f"{i}.jpg", width=100, height=80, **fields),
            (Annotation(label=("even", "odd")[i % 2], shapes=(Box(i % 50, 10, 20, 20),)),),
        )
        for i in range(count)
    ]
    return from_records(header, records)


def html(first: LabelSet, folder: Path, other: LabelSet | None = None, **plan: Any) -> str:
    target = folder / "page.html"
    second = None if other is None else looked(other, folder)
    preview.make(looked(first, folder), second, preview.Plan(html=target, overwrite=True, **plan))
    return target.read_text(encoding="utf-8")


def shown(text: str) -> list[str]:
    return re.findall(r'<figcaption><div class="name">(.*?)</div>', text)


# ---------------------------------------------------------------------- which items


def test_the_seed_decides_and_order_is_kept() -> None:
    labels = many(200)
    first, again, another = (sample.of_one(labels, 10, seed) for seed in (1, 1, 2))
    ids = [chosen.records[0].item.id for chosen in first]
    assert ids == [chosen.records[0].item.id for chosen in again]
    assert ids != [chosen.records[0].item.id for chosen in another]
    assert ids == sorted(ids, key=int)
    assert len(set(ids)) == 10


def test_every_item_is_as_likely_as_any_other() -> None:
    # Of a stream of unknown length: 60 items, 6 drawn, 400 times.
    labels = many(60)
    stream = LabelSet(labels.header, labels.source)
    counts = np.zeros(60)
    for seed in range(400):
        for chosen in sample.of_one(stream, 6, seed):
            counts[int(chosen.records[0].item.id)] += 1
    assert counts.sum() == 2400
    # 40 expected each, by chance within 5 standard deviations.
    assert np.abs(counts - 40).max() < 5 * math.sqrt(40)


def test_a_large_data_set_is_not_read_through() -> None:
    read: list[int] = []

    class Source:
        def __call__(self, report: Any, start: int, stop: int | None) -> Any:
            assert stop is not None
            read.append(stop - start)
            yield from (Record(Item(id=i), (Annotation(label="x"),)) for i in range(start, stop))

    assert len(sample.of_one(LabelSet(Header(), Source(), size=10**9), 5, 0)) == 5
    assert read == [1] * 5


@pytest.mark.parametrize("size", [None, 3000])
def test_items_without_objects_are_a_quarter_at_most(size: int | None) -> None:
    full = many(3000)
    records = [record if number % 100 == 7 else Record(record.item) for number, record in enumerate(full)]
    labels = LabelSet(full.header, from_records(full.header, records).source, size=size)
    for seed in range(5):
        counts = [len(chosen.records[0].annotations) for chosen in sample.of_one(labels, 20, seed)]
        assert sorted(counts) == [0] * 5 + [1] * 15
    assert len(sample.of_one(labels, 100, 0)) == 100  # there are but 30 with objects


def test_only_items_with_a_label(tmp_path: Path) -> None:
    names = shown(html(many(40), tmp_path, labels=("odd",), items=8))
    assert len(names) == 8
    assert all(int(name.removesuffix(".jpg")) % 2 for name in names)


def test_a_label_that_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no label is called 'evn'") as caught:
        html(many(3), tmp_path, labels=("evn",))
    assert caught.value.hint == "did you mean 'even'?"
    assert list(tmp_path.iterdir()) == []


def test_the_largest_differences_come_first(tmp_path: Path) -> None:
    before = many(9)
    records = list(before)
    for number, shift in ((2, 3), (5, 9), (7, 1)):
        [one] = records[number].annotations
        moved = Annotation(label=one.label, shapes=(Box(one.shapes[0].x + shift, 10, 20, 20),))
        records[number] = Record(records[number].item, (moved,))
    after = from_records(before.header, records)
    assert shown(html(before, tmp_path, after)) == ["5.jpg", "2.jpg", "7.jpg"]
    assert shown(html(before, tmp_path, after, items=1)) == ["5.jpg"]
    assert len(shown(html(before, tmp_path, after, pick="sample"))) == 9


def test_items_with_problems_are_picked_and_told(tmp_path: Path) -> None:
    records = list(many(6))
    outside = Annotation(label="odd", id="far", shapes=(Box(-400, 10, 20, 20),))
    records[3] = Record(records[3].item, (outside, *records[3].annotations))
    twice = records[4].annotations
    records[4] = Record(records[4].item, (*twice, *twice))
    text = html(from_records(many(6).header, records), tmp_path, pick="problems")
    assert sorted(shown(text)) == ["3.jpg", "4.jpg"]
    notes = re.findall(r'<li class="(\w+)">(.*?)</li>', text)
    assert {level for level, _ in notes} <= {"error", "warning", "note"}
    assert any("annotation far" in note for _, note in notes)
    assert any("nearly the same place" in note for _, note in notes)


@pytest.mark.parametrize("two", [False, True])
def test_what_cannot_be_picked_is_said(tmp_path: Path, two: bool) -> None:
    pick = "problems" if two else "differences"
    with pytest.raises(OptionError, match=f"picked by {pick}"):
        html(many(3), tmp_path, many(3) if two else None, pick=pick)


def test_predictions_are_held_against_labels(tmp_path: Path) -> None:
    header = Header(labels=(Label(name="car"), Label(name="dog")))

    def at(x: float, label: str = "car", **fields: Any) -> Annotation:
        return Annotation(label=label, shapes=(Box(x, 10, 20, 20),), **fields)

    truth = from_records(header, [Record(Item(id=1), (at(0), at(30), at(60, "dog", id=7, attributes={"a": 1})))])
    guess = from_records(
        header,
        [Record(Item(id=1), (at(2, confidence=0.9), at(60, confidence=0.8), at(80, confidence=0.1)))],
    )
    text = html(truth, tmp_path, guess)
    changes = re.findall(r'<li class="(\w+)">(.*?)</li>', text)
    assert sorted(changes) == [
        ("added", "1 object too many"),
        ("changed", "1 object of another label"),
        ("removed", "1 object missed"),
    ]
    assert text.count('data-d="same"') == 2  # the found one, on both sides
    assert "predictions (dashed)" in text


# ---------------------------------------------------------------------- pictures


def jpeg(path: Path, size: tuple[int, int] = (40, 20), colour: Any = (200, 30, 30), **settings: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path, **settings)
    return path


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("a.jpg", "images/a.jpg"),
        ("a.jpg", "a.jpg"),
        ("images/train/a.jpg", "images/train/a.jpg"),
        ("data/images/a.jpg", "images/a.jpg"),
        ("train\\a.jpg", "images/train/a.jpg"),
        ("a.jpg", "annotations/a.jpg"),
    ],
)
def test_pictures_are_found_beside_labels(tmp_path: Path, name: str, place: str) -> None:
    labels = tmp_path / "set/annotations/labels.json"
    labels.parent.mkdir(parents=True)
    labels.touch()
    path = jpeg(tmp_path / "set" / place)
    found = pictures.Finder(pictures.roots(labels, None, None)).find(Item(id=1, path=name))
    assert found is not None
    assert found.samefile(path)


@pytest.mark.parametrize(
    "name",
    ["../secret.jpg", "/etc/passwd", "a/../../secret.jpg", "https://x/a.jpg", "C:/secret.jpg", "", "x\0y", "n" * 5000],
)
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    jpeg(tmp_path / "secret.jpg")
    folder = tmp_path / "set"
    folder.mkdir()
    assert pictures.Finder([folder]).find(Item(id=1, path=name)) is None


def test_a_folder_that_is_given_is_the_only_one(tmp_path: Path) -> None:
    jpeg(tmp_path / "set/a.jpg")
    given = tmp_path / "elsewhere"
    assert pictures.roots(tmp_path / "set", tmp_path / "set", given) == [given]


def test_pictures_are_made_small(tmp_path: Path) -> None:
    path = jpeg(tmp_path / "a.jpg", (4000, 2000))
    made = pictures.small(path, Item(id=1, width=4000, height=2000), 480)
    assert made is not None
    assert (made.width, made.height, made.kind) == (4000, 2000, "image/jpeg")
    with Image.open(io.BytesIO(made.data)) as image:
        assert image.size == (480, 240)
    assert base64.b64decode(made.uri.partition(",")[2]) == made.data


@pytest.mark.parametrize(("size", "turned"), [((20, 40), True), ((40, 20), False), ((None, None), True)])
def test_pictures_are_turned_as_they_were_labelled(tmp_path: Path, size: tuple[int, int], turned: bool) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = jpeg(tmp_path / "a.jpg", exif=exif)
    made = pictures.small(path, Item(id=1, width=size[0], height=size[1]), 480)
    assert made is not None
    assert (made.width, made.height) == ((20, 40) if turned else (40, 20))
    with Image.open(io.BytesIO(made.data)) as image:
        assert image.size == (made.width, made.height)


@pytest.mark.parametrize("mode", ["L", "I;16", "I", "F", "P", "RGBA", "LA", "CMYK", "1"])
def test_pictures_of_every_kind_are_shown(tmp_path: Path, mode: str) -> None:
    if mode in ("I;16", "I", "F"):
        image = Image.fromarray(
            (np.arange(600).reshape(20, 30) * 50).astype({"I;16": "u2", "I": "i4", "F": "f4"}[mode])
        )
    else:
        image = Image.new(mode, (30, 20))
    path = tmp_path / "a.tif"
    image.save(path)
    made = pictures.small(path, Item(id=1), 480)
    assert made is not None
    assert (made.width, made.height) == (30, 20)


def test_damaged_and_enormous_pictures_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "a.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 no picture")
    assert pictures.small(broken, Item(id=1), 480) is None
    monkeypatch.setattr(pictures, "MAX_PIXELS", 799)
    assert pictures.small(jpeg(tmp_path / "b.jpg"), Item(id=1), 480) is None


def test_a_point_cloud_from_above(tmp_path: Path) -> None:
    points = np.array([[10, 0, 0, 0], [0, 10, 0, 0], [math.nan, 0, 0, 0], [1e30, 0, 0, 0]], "<f4")
    path = tmp_path / "a.bin"
    points.tofile(path)
    made = pictures.from_above(path, views.Ground(0, 0, 20), 100)
    assert made is not None
    with Image.open(io.BytesIO(made.data)) as image:
        lit = np.argwhere(np.asarray(image) > 30).tolist()
    # x is up and y is left: (row, column).
    assert lit == [[25, 50], [50, 25]]
    path.write_bytes(b"12345")
    assert pictures.from_above(path, views.Ground(0, 0, 20), 100) is None


# ---------------------------------------------------------------------- marks


def marks(shape: Any, view: views.View = VIEW, **fields: Any) -> list[draw.Mark]:
    return draw.drawn(Annotation(label="x", shapes=(shape,), **fields), NONE, view).marks


def test_boxes_turned_and_not() -> None:
    assert marks(Box(10, 20, 30, 40)) == [Area([[10, 20, 40, 20, 40, 60, 10, 60]])]
    [area] = marks(Box(10, 20, 40, 20, 90))
    assert isinstance(area, Area)
    assert area.rings == [[40, 10, 40, 50, 20, 50, 20, 10]]


def test_a_mask_is_its_outline_with_holes() -> None:
    pixels = np.zeros((80, 100), np.uint8)
    pixels[10:30, 20:50] = 1
    pixels[15:20, 30:40] = 0
    [area] = marks(Mask(masks.encode_counts(masks.from_array(pixels)), 80, 100))
    assert isinstance(area, Area)
    boxes = [(min(r[0::2]), min(r[1::2]), max(r[0::2]), max(r[1::2])) for r in area.rings]
    assert boxes == [(20, 10, 50, 30), (30, 15, 40, 20)]


def test_keypoints_and_their_edges() -> None:
    label = Label(name="x", keypoints=("a", "b", "c"), skeleton=((0, 1), (1, 2), (0, 9)))
    shape = Keypoints((1, 2, 2, 3, 4, 1, 5, 6, 0))
    made = draw.drawn(Annotation(label="x", shapes=(shape,)), Labels([label]), VIEW).marks
    assert made == [Stroke([1, 2, 3, 4], faint=True), Dot(1, 2), Dot(3, 4, hollow=True)]


def test_a_flat_cuboid_has_twelve_edges() -> None:
    made = marks(Cuboid2D((0, 0, 0, 9, 9, 0, 9, 9, 12, 3, 12, 7, 3, 3, 3, 7)))
    assert len(made) == 12
    ends = [tuple(mark.points) for mark in made if isinstance(mark, Stroke)]
    assert (0, 0, 0, 9) in ends  # an upright one of the front
    assert (9, 0, 12, 3) in ends  # from the front's right to the back's


def test_a_box_is_drawn_beside_its_region_only_where_it_does_not_fit() -> None:
    region = Polygon((((10, 10, 30, 10, 30, 30, 10, 30),),))
    assert len(draw.drawn(Annotation(shapes=(Box(10, 10, 20, 20.5), region)), NONE, VIEW).marks) == 1
    assert len(draw.drawn(Annotation(shapes=(Box(40, 10, 20, 20), region)), NONE, VIEW).marks) == 2


def test_what_cannot_be_drawn_is_left_out() -> None:
    nan, far = math.nan, 1e300
    for shape in (
        Box(nan, 1, 2, 3),
        Box(far, 1, 2, 3),
        Line((0, 0, math.inf, 1)),
        Keypoints((nan, 1, 2)),
        Polygon(((),)),
    ):
        assert marks(shape) == []
    assert marks(Mask("nonsense", 80, 100)) == []
    assert marks(Cuboid(nan, 0, 0, 1, 1, 1, 0), views.Ground(0, 0, 20)) == []
    assert marks(Cuboid(1, 0, 0, 1, 1, 1, math.inf), views.Ground(0, 0, 20)) == []


def test_a_jagged_outline_is_smoothed_as_far_as_it_is_seen() -> None:
    chance = np.random.default_rng(1)
    angle = np.linspace(0, 2 * math.pi, 20_000, endpoint=False)
    radius = 900 + chance.uniform(-1, 1, len(angle))
    ring = np.stack([1000 + radius * np.cos(angle), 1000 + radius * np.sin(angle)], axis=1)
    [area] = marks(Polygon(((tuple(ring.ravel().tolist()),),)), views.Picture(2000, 2000))
    assert isinstance(area, Area)
    assert len(area.rings[0]) < 2 * 2000
    away = np.hypot(np.array(area.rings[0][0::2]) - 1000, np.array(area.rings[0][1::2]) - 1000)
    assert np.abs(away - 900).max() <= 1


def test_a_cuboid_through_a_camera() -> None:
    """A cuboid of 2 m, 10 m ahead of a camera that looks along x: worked out by hand."""
    heading = (0.5, -0.5, 0.5, -0.5)  # camera z is the world's x, camera x its -y, camera y its -z
    camera = Camera(position=(0, 0, 0), heading=heading, fx=100, fy=100, cx=50, cy=40)
    made = marks(Cuboid(10, 0, 0, 2, 2, 2, 0), views.Picture(100, 80, camera))
    points = [pair for mark in made if isinstance(mark, Stroke) for pair in zip(*[iter(mark.points)] * 2, strict=True)]
    xs, ys = zip(*points, strict=True)
    near = 100 / 9  # the near face: 1 m to each side, 9 m away
    assert (min(xs), max(xs)) == pytest.approx((50 - near, 50 + near))
    assert (min(ys), max(ys)) == pytest.approx((40 - near, 40 + near))
    assert len(made) == 14
    assert marks(Cuboid(-10, 0, 0, 2, 2, 2, 0), views.Picture(100, 80, camera)) == []
    # Half behind: cut at the camera, and no number is wild.
    around = marks(Cuboid(0, 0, 5, 20, 2, 2, 0), views.Picture(100, 80, camera))
    assert 0 < len(around) <= 14
    assert marks(Cuboid(10, 0, 0, 2, 2, 2, 0)) == []  # no camera is known


def test_a_cuboid_from_above() -> None:
    view = views.Ground(0, 0, 36)  # 10 pixels a metre
    assert marks(Box(10, 10, 20, 20), view) == []  # pixels have no place here
    outline, heading = marks(Cuboid(10, 0, 0, 4, 2, 1, math.pi / 2), view)
    assert isinstance(outline, Stroke)
    assert isinstance(heading, Stroke)
    xs, ys = outline.points[0::2], outline.points[1::2]
    # 10 m ahead is 100 pixels up; it heads left, so its length lies across.
    assert (min(xs), max(xs), min(ys), max(ys)) == pytest.approx((340, 380, 250, 270))
    assert heading.points == pytest.approx([360, 260, 340, 260])


def test_a_view_from_above_shows_all_cuboids_and_the_sensor() -> None:
    annotations = [Annotation(shapes=(Cuboid(x, y, 0, 4, 2, 2, 0),)) for x, y in ((60, 10), (20, -30))]
    view = views.ground(annotations)
    for x, y in ((0, 0), (62, 11), (20, -31)):
        column, row = view.at(x, y)
        assert 0 <= column <= views.CANVAS
        assert 0 <= row <= views.CANVAS


def test_tracks_leave_trails_and_lidar_cuboids_are_seen_by_cameras(tmp_path: Path) -> None:
    camera = Camera(position=(0, 0, 0), heading=(0.5, -0.5, 0.5, -0.5), fx=100, fy=100, cx=50, cy=40)
    records = []
    for frame in range(5):
        box = Annotation(label="car", track="t", shapes=(Box(10 * frame, 20, 10, 10),))
        sight = SceneRef(id="s", frame=frame, sensor="front")
        records.append(Record(Item(id=f"i{frame}", width=100, height=80, scene=sight, camera=camera), (box,)))
        cloud = Item(id=f"c{frame}", kind="pointcloud", scene=SceneRef(id="s", frame=frame, sensor="lidar"))
        solid = Annotation(label="bus", shapes=(Cuboid(10 + frame, 0, 0, 2, 2, 2, 0),))
        records.append(Record(cloud, (solid,)))
    labels = from_records(Header(), records)
    chosen = {one.records[0].item.id: one for one in sample.of_one(labels, 20, 0)}
    assert chosen["i2"].trails == {"t": [5, 25, 15, 25, 25, 25, 35, 25, 45, 25]}
    assert [one.shapes[0].x for one in chosen["i2"].near] == [12]
    assert chosen["c2"].near == ()  # there are none in the pictures
    turned = [
        Record(
            record.item, tuple(Annotation(label="bus", track=1, shapes=(Cuboid(9, 0, 0, 2, 2, 2, 0),)) for _ in (0,))
        )
        if record.item.kind == "image"
        else Record(record.item)
        for record in records
    ]
    around = {one.records[0].item.id: one for one in sample.of_one(from_records(Header(), turned), 20, 0)}
    assert [one.shapes[0].x for one in around["c2"].near] == [9]
    text = html(labels, tmp_path)
    assert text.count('class="trail"') == 5
    assert text.count("from above") == 5
    # A point cloud whose frame's cuboids stand with the image does not say that it has none.
    said = re.findall(r'<div class="facts">(from above.*?)</div>', html(from_records(Header(), turned), tmp_path))
    assert sorted(said) == [f"from above · s, frame {n} · 1 object of the frame&#x27;s other items" for n in range(5)]
    assert text.count(" · 1 object · 1 object of the frame&#x27;s other items") == 5  # the cameras


def test_colours_depend_on_the_name_only() -> None:
    assert draw.stable_colour("car") == draw.stable_colour("car") != draw.stable_colour("bus")
    assert Labels([Label(name="car", color="#12AB34")]).colour("car") == "#12ab34"
    for bad in ("red", "#123", '#12ab34"', "#12ab34\n", "url(x)"):
        assert Labels([Label(name="car", color=bad)]).colour("car") == draw.stable_colour("car")
    made = {draw.stable_colour(f"label {i}") for i in range(500)}
    assert len(made) > 450
    assert all(re.fullmatch(r"#[0-9a-f]{6}", colour) for colour in made)


# ---------------------------------------------------------------------- what is written


class Reader(HTMLParser):
    """Collects tags, attribute names and text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.names: set[str] = set()
        self.addresses: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.names |= {name for name, _ in attrs}
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_stands_alone_and_escapes_everything(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
    annotation = Annotation(label=evil, id=evil, track=evil, shapes=(Box(1, 1, 5, 5),), attributes={evil: [evil]})
    item = Item(id=evil, path=evil, width=10, height=10, subset=evil, attributes={evil: evil})
    labels = from_records(Header(labels=(Label(name=evil),)), [Record(item, (annotation,))])
    jpeg(tmp_path / "x.jpg")
    reader = Reader()
    text = html(labels, tmp_path)
    reader.feed(text)
    assert reader.tags.count("script") == 1
    assert "img" not in reader.tags
    assert not any(name.startswith("on") or name == "style" for name in reader.names)
    assert evil in reader.text
    assert reader.addresses == []
    assert "http" not in text.replace("http-equiv", "")


def test_the_page_is_the_same_to_the_byte(tmp_path: Path) -> None:
    jpeg(tmp_path / "3.jpg")
    assert html(many(50), tmp_path) == html(many(50), tmp_path)


def test_many_objects_are_counted_not_drawn(tmp_path: Path) -> None:
    annotations = tuple(Annotation(label="x", shapes=(Box(i % 90, i % 70, 5, 5),)) for i in range(1000))
    text = html(from_records(Header(), [Record(Item(id=1, width=100, height=80), annotations)]), tmp_path)
    assert text.count("<g class=") == draw.MAX_OBJECTS
    assert f"{1000 - draw.MAX_OBJECTS} more objects are not drawn" in text


def test_a_page_does_not_grow_without_bounds(tmp_path: Path) -> None:
    line = Line(tuple(float(i % 97) for i in range(60_000)))
    annotations = tuple(Annotation(label="x", shapes=(line,)) for _ in range(100))
    text = html(from_records(Header(), [Record(Item(id=1, width=100, height=80), annotations)]), tmp_path)
    # A line is drawn twice, the second time to be pointed at.
    assert len(text) < 2 * 8 * draw.MAX_ALL
    assert "more objects are not drawn" in text


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    target.write_text("mine")
    with pytest.raises(OutputExistsError):
        preview.make(looked(many(3), tmp_path), None, preview.Plan(html=target))
    assert target.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_an_empty_data_set_makes_an_empty_page(tmp_path: Path) -> None:
    text = html(from_records(Header(), []), tmp_path, png=tmp_path / "sheet.png")
    assert shown(text) == []
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.size[0] > 0


def test_the_contact_sheet_shows_shapes_where_they_are(tmp_path: Path) -> None:
    jpeg(tmp_path / "a.png", (300, 300), (120, 120, 120))
    labels = from_records(
        Header(labels=(Label(name="box", color="#ff0000"), Label(name="dot", color="#00ff00"))),
        [
            Record(
                Item(id=1, path="a.png", width=300, height=300),
                (
                    Annotation(label="box", shapes=(Box(50, 100, 100, 80),)),
                    Annotation(label="dot", shapes=(Keypoints((250, 250, 2)),)),
                    Annotation(label="box", shapes=(Box(200, 20, 60, 60),), confidence=0.5),
                ),
            )
        ],
    )
    target = tmp_path / "sheet.png"
    preview.make(looked(labels, tmp_path), None, preview.Plan(png=target))
    with Image.open(target) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    left = top = 14

    def at(x: int, y: int) -> list[int]:
        return [int(value) for value in pixels[top + y, left + x]]

    for x, y in ((50, 140), (150, 140), (100, 100), (100, 180)):
        red, green, blue = at(x, y)
        assert red > 200
        assert max(green, blue) < 90
    assert at(250, 250)[1] > 200
    assert at(20, 250) == [120, 120, 120]
    inside = at(100, 140)
    assert inside[0] > 120 > inside[1]  # a veil
    edge = [at(200 + k, 80)[0] > 200 for k in range(60)]
    assert 0.3 < np.mean(edge) < 0.8  # dashed


@pytest.mark.parametrize(
    ("pick", "two", "said"),
    [
        (None, True, "Nothing to show: no item differs."),
        ("problems", False, "Nothing to show: no item has a problem that can be told of it alone."),
        (None, False, "Nothing to show: there are no items."),
    ],
)
def test_an_empty_page_says_why(tmp_path: Path, pick: Any, two: bool, said: str) -> None:
    labels = many(4) if two or pick else from_records(Header(), [])
    assert f"<p>{said}</p>" in html(labels, tmp_path, labels if two else None, pick=pick)
    assert "Nothing to show" not in html(many(4), tmp_path)


def test_names_of_two_data_sets_are_not_written_over_each_other(tmp_path: Path) -> None:
    """On the sheet as on the page: the first one's above, the second one's below."""

    def named(label: str) -> LabelSet:
        thing = Annotation(label=label, shapes=(Box(20, 30, 40, 20),), id=1)
        item = Item(id=1, width=100, height=80)
        return from_records(Header(labels=(Label(name=label, color="#000000"),)), [Record(item, (thing,))])

    target = tmp_path / "sheet.png"
    preview.make(looked(named("MMMM"), tmp_path), looked(named("WWWW"), tmp_path), preview.Plan(png=target, columns=1))
    with Image.open(target) as image:
        white = np.asarray(image.convert("RGB"))[14 : 14 + 240, 14 : 14 + 300].min(axis=2) > 235
    rows = np.flatnonzero(white.any(axis=1))
    # Of 3 pixels each: the box's edges are at 90 and 150, one name stands above and one below.
    assert rows.min() > 70
    assert set(rows[rows < 100]) <= set(range(70, 92))
    assert set(rows[rows >= 100]) <= set(range(148, 170))
    assert (rows < 92).any()
    assert (rows > 148).any()


@pytest.mark.parametrize(("width", "height"), [(10**30, 1), (1, 10**30), (10**400, 10**400), (1, 1)])
def test_sizes_that_no_picture_has_are_no_crash(tmp_path: Path, width: int, height: int) -> None:
    things = tuple(
        Annotation(label="car", shapes=(shape,))
        for shape in (Box(0, 0, 10, 10), Box(10**400, 0, 1, 1), Polygon((((0, 0, 10**400, 1, 2, 2),),)))
    )
    item = Item(id=1, width=width, height=height)
    labels = from_records(Header(labels=(Label(name="car"),)), [Record(item, things)])
    text = html(labels, tmp_path, png=tmp_path / "sheet.png", pick="problems")
    assert "nan" not in text.split("<main>")[1].split("</main>")[0]


def test_assets_are_in_the_package() -> None:
    for name in ("page.html", "page.css", "page.js"):
        assert page._asset(name)
